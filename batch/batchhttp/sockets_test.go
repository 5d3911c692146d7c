package batchhttp

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// listen runs serve for every connection on a real socket. It returns the
// address, and how many have come.
func listen(t *testing.T, serve func(net.Conn)) (address string, conns *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	conns = new(atomic.Int64)
	done := make(chan struct{})
	t.Cleanup(func() { _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second)) // A test that fails must end.
			serve(conn)
			_ = conn.Close()
		}
	}()
	return listener.Addr().String(), conns
}

// certificate is one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T, change func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// hello reads the record with which a client begins.
func hello(conn net.Conn) {
	head := make([]byte, 5)
	_, _ = io.ReadFull(conn, head)
	_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint16(head[3:])))
}

func reset(conn net.Conn) { _ = conn.(*net.TCPConn).SetLinger(0) }

// A handshake that fails has sent nothing, however it fails. The proof is that
// net/http has handed out no connection, not the text of an error.
func TestAFailedHandshakeHasSentNothing(t *testing.T) {
	good, roots := certificate(t, nil)
	expired, expiredRoots := certificate(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	foreign, foreignRoots := certificate(t, func(c *x509.Certificate) {
		c.IPAddresses, c.DNSNames = nil, []string{"other.test"}
	})
	serveTLS := func(c *tls.Config) func(net.Conn) {
		return func(conn net.Conn) {
			if err := tls.Server(conn, c).Handshake(); err == nil {
				t.Error("the handshake was to fail")
			}
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		roots *x509.CertPool
		says  string
	}{
		"EOF at once":        {func(net.Conn) {}, nil, ""},
		"EOF in the midst":   {hello, nil, "EOF"},
		"reset at once":      {reset, nil, "reset"},
		"reset in the midst": {func(conn net.Conn) { hello(conn); reset(conn) }, nil, "reset"},
		"EOF in a record": {func(conn net.Conn) { hello(conn); _, _ = conn.Write([]byte{22, 3, 3, 0, 99, 2}) }, nil,
			"EOF"},
		"a TLS alert": {func(conn net.Conn) { hello(conn); _, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 40}) }, nil,
			"handshake failure"},
		"plain HTTP": {func(conn net.Conn) {
			hello(conn)
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		}, nil, "does not look like a TLS handshake"},
		"another protocol": {func(conn net.Conn) {
			hello(conn)
			_, _ = io.WriteString(conn, "SSH-2.0-OpenSSH_9.9\r\n")
		}, nil, "TLS"},
		"zeros": {func(conn net.Conn) {
			hello(conn)
			_, _ = conn.Write(make([]byte, 1000))
		}, nil, "TLS"},
		"TLS 1.1 only": {serveTLS(&tls.Config{Certificates: []tls.Certificate{good},
			MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}), roots, "protocol version"},
		"an unknown authority": {serveTLS(&tls.Config{Certificates: []tls.Certificate{good}}), nil,
			"unknown authority"},
		"expired":         {serveTLS(&tls.Config{Certificates: []tls.Certificate{expired}}), expiredRoots, "expired"},
		"of another host": {serveTLS(&tls.Config{Certificates: []tls.Certificate{foreign}}), foreignRoots, "127.0.0.1"},
		"no certificate": {serveTLS(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, io.EOF
		}}), roots, ""},
	} {
		t.Run(name, func(t *testing.T) {
			address, conns := listen(t, c.serve)
			client := newClient(t, "https://"+address, func(config *Config) {
				config.HTTPClient = &http.Client{
					Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.roots,
						MinVersion: tls.VersionTLS10}}}
			})
			err := client.Do(t.Context(), Call{Op: opPay, Body: []byte(`{"n":1}`), Decode: decodeOK})
			require.Equal(t, batch.ErrUnavailable, batch.KindOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.EqualValues(t, 1, conns.Swap(0))
			require.ErrorIs(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}), batch.ErrUnavailable)
			reads := int64(3)
			if slices.Contains([]string{"plain HTTP", "another protocol", "zeros", "an unknown authority", "expired",
				"of another host"}, name) {
				reads = 1 // Row 9: another try would meet the same.
			}
			require.Equal(t, reads, conns.Load())
		})
	}
}

// After the handshake, the same errors leave the request in doubt.
func TestAConnectionThatBreaksAfterTheHandshake(t *testing.T) {
	good, roots := certificate(t, nil)
	for name, end := range map[string]func(net.Conn){"EOF": func(net.Conn) {}, "reset": reset} {
		for version, config := range map[string]*tls.Config{
			"TLS 1.2": {Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12},
			"TLS 1.3": {Certificates: []tls.Certificate{good}},
			// The service refuses the client after the client's side of the handshake is done.
			"TLS 1.3, no client certificate": {Certificates: []tls.Certificate{good},
				ClientAuth: tls.RequireAnyClientCert},
		} {
			t.Run(name+", "+version, func(t *testing.T) {
				address, conns := listen(t, func(conn net.Conn) {
					s := tls.Server(conn, config)
					if s.Handshake() == nil {
						_, _ = s.Read(make([]byte, 1))
					}
					end(conn)
				})
				client := newClient(t, "https://"+address, func(config *Config) {
					config.HTTPClient = &http.Client{
						Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
				})
				require.ErrorIs(t, client.Do(t.Context(), Call{Op: opPay, Body: []byte(`{"n":1}`), Decode: decodeOK}),
					batch.ErrAmbiguous)
				require.EqualValues(t, 1, conns.Load(), "no second connection is tried")
			})
		}
	}
}

// Row 12: a service that has read a part of the request may act on it.
func TestARequestThatIsCutOff(t *testing.T) {
	for _, size := range []int{100, 8 << 20} {
		for _, read := range []int64{0, 1, 10, 99} {
			for name, end := range map[string]func(net.Conn){"EOF": func(net.Conn) {}, "reset": reset} {
				t.Run(fmt.Sprintf("%s after %d bytes of %d", name, read, size), func(t *testing.T) {
					address, conns := listen(t, func(conn net.Conn) {
						in := bufio.NewReader(conn)
						if r, err := http.ReadRequest(in); err == nil {
							_, _ = io.CopyN(io.Discard, r.Body, read)
						}
						end(conn)
					})
					client := newClient(t, "http://"+address)
					body := make([]byte, size)
					require.ErrorIs(t, client.Do(t.Context(), Call{Op: opPay, Body: body, Decode: decodeOK}),
						batch.ErrAmbiguous)
					require.EqualValues(t, 1, conns.Swap(0))
					require.ErrorIs(t, client.Do(t.Context(), Call{Op: opRead, Body: body, Decode: decodeOK}),
						batch.ErrUnavailable)
					require.EqualValues(t, 3, conns.Load())
				})
			}
		}
	}
}

// Row 13: wherever a reply breaks off, it is not believed, and a read gets the
// whole one at its second try.
func TestAReplyThatIsCutAtEveryByte(t *testing.T) {
	for name, whole := range map[string]string{
		"a length": reply("200 OK", asJSON, `{"ok":true}`),
		"chunks":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"ok\":\r\n5\r\ntrue}\r\n0\r\n\r\n",
	} {
		for how, end := range map[string]func(net.Conn){"EOF": func(net.Conn) {}, "reset": reset} {
			t.Run(name+", "+how, func(t *testing.T) {
				var cut, requests atomic.Int64
				address, _ := listen(t, func(conn net.Conn) {
					if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
						return
					}
					if requests.Add(1) > 1 {
						_, _ = io.WriteString(conn, whole)
						return
					}
					_, _ = io.WriteString(conn, whole[:cut.Load()])
					end(conn)
				})
				client := newClient(t, "http://"+address)
				for n := range len(whole) {
					client.budget.Store(budgetLimit)
					cut.Store(int64(n))
					requests.Store(0)
					require.ErrorIs(t, client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK}), batch.ErrAmbiguous, n)
					require.EqualValues(t, 1, requests.Swap(0), n)
					require.NoError(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}), n)
					require.EqualValues(t, 2, requests.Load(), n)
				}
			})
		}
	}
}

// Rows 22 to 25 and S5: no redirect is followed, so no other host gets a byte.
func TestNoRedirectIsFollowed(t *testing.T) {
	certified := httptest.NewUnstartedServer(http.NotFoundHandler())
	certified.StartTLS()
	defer certified.Close() // Its certificate is for example.com and what is below it.
	var requests atomic.Int64
	var status, target string
	first, _ := listen(t, func(conn net.Conn) {
		secure := tls.Server(conn, certified.TLS)
		if _, err := http.ReadRequest(bufio.NewReader(secure)); err == nil {
			requests.Add(1)
		}
		_, _ = io.WriteString(secure, reply(status, "Location: "+target+"\r\n", ""))
		_ = secure.Close()
	})
	second, others := listen(t, func(net.Conn) {})
	client := newClient(t, "https://example.com", func(c *Config) {
		theirs := certified.Client().Transport.(*http.Transport).Clone()
		theirs.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "example.com:443" {
				address = first
			} else {
				address = second
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		theirs.ForceAttemptHTTP2 = false
		c.HTTPClient = &http.Client{Transport: theirs}
	})
	for _, status = range []string{"301 X", "302 X", "303 X", "307 X", "308 X"} {
		for _, target = range []string{"/elsewhere", "https://example.com/elsewhere", "https://evil.test/?token=" +
			canary, "https://sub.example.com/",
			"http://example.com/", "//evil.test/", "https://user:" + canary + "@evil.test/"} {
			for _, op := range []Op{opPay, opRead} {
				err := client.Do(t.Context(), Call{Op: op, Body: []byte(`{"n":1}`), Decode: decodeOK})
				want := batch.ErrAmbiguous
				if op.Safety == Repeatable {
					want = batch.ErrProtocol
				}
				require.Equal(t, want, batch.KindOf(err), "%s to %s: %v", status, target, err)
				require.ErrorContains(t, err, "redirects are not followed")
				require.NotContains(t, err.Error(), canary)
				require.NotContains(t, err.Error(), "token")
				require.EqualValues(t, 1, requests.Swap(0), "%s to %s", status, target)
			}
		}
	}
	require.Zero(t, others.Load(), "another host was spoken to")
}

// bomb is a gzip text of a few kilobytes that becomes this many megabytes.
func bomb(t *testing.T, megabytes int) string {
	t.Helper()
	var packed strings.Builder
	w := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range megabytes {
		_, err := w.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return packed.String()
}

// allocated is how many bytes do allocates, freed or not.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Rows 45 and 46: what is packed is not unpacked; and where a middleware does
// that, the limit is of what comes out.
func TestAGzipBombStaysSmall(t *testing.T) {
	packed := bomb(t, 64)
	for name, c := range map[string]struct {
		status string
		unpack bool
		once   batch.Kind
		says   string
	}{
		"an answer":                  {"200 OK", false, batch.ErrAmbiguous, "only identity is accepted"},
		"an error":                   {"500 X", false, batch.ErrAmbiguous, ""},
		"an answer that is unpacked": {"200 OK", true, batch.ErrAmbiguous, ""},
		"an error that is unpacked":  {"422 X", true, batch.ErrAmbiguous, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := serveRaw(t, always(reply(c.status, asJSON+"Content-Encoding: gzip\r\n", packed), closeIt))
			client := newClient(t, s.url, with(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				reply, err := next.RoundTrip(r)
				if err == nil && c.unpack {
					reply.Header.Del("Content-Encoding")
					unpacked, err := gzip.NewReader(reply.Body)
					if err != nil {
						return nil, err
					}
					reply.Body = body{unpacked, reply.Body}
				}
				return reply, err
			}))
			for _, op := range []Op{opPay, opRead} {
				client.budget.Store(0) // One attempt.
				var err error
				used := allocated(func() {
					err = client.Do(t.Context(), Call{Op: op, Decode: func(r io.Reader) error {
						_, err := io.Copy(io.Discard, r)
						return err
					}})
				})
				require.ErrorContains(t, err, c.says)
				if op.Safety == Once {
					require.Equal(t, c.once, batch.KindOf(err), "%v", err)
				}
				if c.unpack && c.status == "200 OK" {
					require.ErrorIs(t, err, errTooLarge)
				}
				require.Less(t, used, uint64(1<<20))
			}
		})
	}
}

// A proxy that does not connect us has sent nothing to the service.
func TestAProxyThatDoesNotConnect(t *testing.T) {
	_, roots := certificate(t, nil)
	connect := func(answer string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
		}
	}
	for name, c := range map[string]struct {
		scheme string
		serve  func(net.Conn)
		says   string
	}{
		"403": {"http", connect("HTTP/1.1 403 Forbidden\r\nContent-Length: 20\r\n\r\n" +
			canary), "Forbidden"},
		"407": {"http", connect("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"),
			"Proxy Authentication Required"},
		"502": {"http", connect("HTTP/1.1 502 Bad Gateway\r\n\r\n"), "Bad Gateway"},
		"a redirect": {"http", connect("HTTP/1.1 302 Found\r\nLocation: http://evil.test\r\n\r\n"),
			"Found"},
		"its words repeat our secret": {"http", connect("HTTP/1.1 403 " + canary + "\r\n\r\n"), "[redacted]"},
		"EOF":                         {"http", connect(""), "EOF"},
		"cut":                         {"http", connect("HTTP/1.1 200 Connec"), "EOF"},
		"endless headers":             {"http", connect("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), ""},
		"reset": {"http", func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			reset(conn)
		}, "reset"},
		"not HTTP":            {"http", connect("SSH-2.0\r\n"), "malformed"},
		"connected, then EOF": {"http", connect("HTTP/1.1 200 OK\r\n\r\n"), ""},
		"connected, then a TLS alert": {"http", func(conn net.Conn) {
			connect("HTTP/1.1 200 OK\r\n\r\n")(conn)
			hello(conn)
			_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, 40})
		}, "handshake failure"},
		"TLS to the proxy fails": {"https", func(conn net.Conn) { hello(conn) }, "EOF"},
		"SOCKS refuses": {"socks5", func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, 3))
			_, _ = conn.Write([]byte{5, 0xff})
		}, "socks"},
		"SOCKS cannot reach it": {"socks5", func(conn net.Conn) {
			_, _ = io.ReadFull(conn, make([]byte, 3))
			_, _ = conn.Write([]byte{5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0})
		}, "socks"},
	} {
		t.Run(name, func(t *testing.T) {
			address, conns := listen(t, c.serve)
			client := newClient(t, "https://service.test", func(config *Config) {
				config.HTTPClient = &http.Client{
					Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots},
						Proxy: http.ProxyURL(&url.URL{Scheme: c.scheme, Host: address,
							User: url.UserPassword("user", "password-of-the-proxy")})}}
			})
			err := client.Do(t.Context(), Call{Op: opPay, Body: []byte(`{"n":1}`), Decode: decodeOK})
			require.Equal(t, batch.ErrUnavailable, batch.KindOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), canary)
			require.NotContains(t, err.Error(), "password-of-the-proxy")
			require.EqualValues(t, 1, conns.Load())
		})
	}
}

// HTTP/2 is never spoken: neither where a peer offers it, nor where it is all
// that a peer speaks.
func TestHTTP2IsNeverSpoken(t *testing.T) {
	var protocols atomic.Value
	offers := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		protocols.Store(r.Proto + " " + r.TLS.NegotiatedProtocol)
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	offers.EnableHTTP2 = true
	offers.StartTLS()
	defer offers.Close()
	theirs := offers.Client().Transport.(*http.Transport)
	require.True(t, theirs.ForceAttemptHTTP2, "the user's own transport would speak it")
	for _, middleware := range []func(http.RoundTripper) http.RoundTripper{nil,
		func(next http.RoundTripper) http.RoundTripper { return roundTrip(next.RoundTrip) }} {
		for _, op := range []Op{opPay, opRead} {
			client := newClient(t, offers.URL, func(c *Config) {
				c.HTTPClient, c.Middleware = offers.Client(), middleware
			})
			require.NoError(t, client.Do(t.Context(), Call{Op: op, Body: []byte("x"), Decode: decodeOK}))
			require.Equal(t, "HTTP/1.1 ", protocols.Load())
		}
	}

	// SETTINGS, and then RST_STREAM (refused, or a protocol error) and GOAWAY: net/http over HTTP/2 would send again,
	// and again.
	frames := "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + "\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x01" +
		"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	address, conns := listen(t, func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		_, _ = io.WriteString(conn, frames)
	})
	client := newClient(t, "http://"+address)
	require.ErrorIs(t, client.Do(t.Context(), Call{Op: opPay, Body: []byte("x"), Decode: decodeOK}), batch.ErrAmbiguous)
	require.EqualValues(t, 1, conns.Load())
	require.ErrorIs(t, client.Do(t.Context(), Call{Op: opRead, Body: []byte("x"), Decode: decodeOK}),
		batch.ErrUnavailable)
	require.EqualValues(t, 1+3, conns.Load())
}

// What goes out: no connection is kept, and no coding is welcome.
func TestTheRequestAsItIsSent(t *testing.T) {
	sent := make(chan *http.Request, 1)
	address, _ := listen(t, func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			sent <- r
		}
		_, _ = io.WriteString(conn, reply("200 OK", asJSON+"Connection: close\r\n", `{"ok":true}`))
	})
	client := newClient(t, "http://"+address)
	for _, op := range []Op{opPay, opRead} {
		require.NoError(t, client.Do(t.Context(), Call{Op: op, Body: []byte("x"), ContentType: "application/json",
			Decode: decodeOK}))
		r := <-sent
		require.True(t, r.Close)
		require.Equal(t, "identity", r.Header.Get("Accept-Encoding"))
		require.Equal(t, "batchway-go", r.UserAgent())
		for name := range r.Header {
			require.NotContains(t, strings.ToLower(name), "idempotency")
		}
	}
}

// names is a DNS server that answers every question with this code.
func names(t *testing.T, code byte) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = server.Close(); <-done })
	go func() {
		defer close(done)
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			end := 12 + strings.IndexByte(string(buffer[12:n]), 0) + 5 // the header, and one question
			buffer[2], buffer[3] = 0x81, 0x80|code
			copy(buffer[6:12], make([]byte, 6))
			_, _ = server.WriteTo(buffer[:end], from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// Rows 6 and 7: a name that does not exist is not asked for again; one that is
// not known now is.
func TestDNS(t *testing.T) {
	for name, c := range map[string]struct {
		code  byte
		dials int64
	}{"NXDOMAIN": {3, 1}, "SERVFAIL": {2, 3}} {
		t.Run(name, func(t *testing.T) {
			var dials atomic.Int64
			resolver := names(t, c.code)
			client := newClient(t, "https://service.test", func(config *Config) {
				config.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context,
					network, address string) (net.Conn, error) {
					dials.Add(1)
					return (&net.Dialer{Resolver: resolver}).DialContext(ctx, network, address)
				}}}
			})
			err := client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK})
			require.ErrorIs(t, err, batch.ErrUnavailable)
			var dns *net.DNSError
			require.ErrorAs(t, err, &dns)
			require.EqualValues(t, 1, dials.Swap(0))
			require.ErrorIs(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}), batch.ErrUnavailable)
			require.Equal(t, c.dials, dials.Load())
		})
	}
}

// pipes is a client whose connections are served in memory, for a bubble.
func pipes(t *testing.T, baseURL string, serve func(net.Conn)) *Client {
	return newClient(t, baseURL, func(config *Config) {
		config.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string,
			string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				serve(there)
				_ = there.Close()
			}()
			return here, nil
		}}}
	})
}

// Every phase of a call has its limit.
func TestEveryPhaseEnds(t *testing.T) {
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	drip := func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
		for err == nil {
			time.Sleep(10 * time.Second)
			_, err = io.WriteString(conn, " ")
		}
	}
	for name, c := range map[string]struct {
		url   string
		body  int
		serve func(net.Conn) // nil is a black hole
		once  batch.Kind
		after time.Duration // of a Once call
		read  time.Duration // of a read, all attempts together
	}{
		"a dial into a black hole": {"https://waits.test", 1, nil, batch.ErrUnavailable, 10 * time.Second,
			30 * time.Second},
		"a silent handshake": {"https://waits.test", 1, silent, batch.ErrUnavailable, 10 * time.Second,
			30 * time.Second},
		"no header": {"http://localhost", 1, silent, batch.ErrAmbiguous, 2 * time.Minute, 90 * time.Second},
		"a header that drips": {"http://localhost", 1, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for err == nil {
				time.Sleep(time.Second)
				_, err = io.WriteString(conn, "X: y\r\n")
			}
		}, batch.ErrAmbiguous, 2 * time.Minute, 90 * time.Second},
		"100-continue that drips": {"http://localhost", 1, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			var err error
			for err == nil {
				time.Sleep(time.Second)
				_, err = io.WriteString(conn, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
			}
		}, batch.ErrAmbiguous, 2 * time.Minute, 90 * time.Second},
		"a body that never begins": {"http://localhost", 1, func(conn net.Conn) {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
			silent(conn)
		}, batch.ErrAmbiguous, 15 * time.Second, 45 * time.Second},
		"a body that drips": {"http://localhost", 1, drip, batch.ErrAmbiguous, 10 * time.Minute, 2 * time.Minute},
		"a write that is blocked": {"http://localhost", 1 << 20, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1))
			time.Sleep(time.Hour)
		}, batch.ErrAmbiguous, 10 * time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := pipes(t, c.url, c.serve)
				if c.serve == nil {
					client = newClient(t, c.url, func(config *Config) {
						config.HTTPClient = &http.Client{
							Transport: &http.Transport{DialContext: func(ctx context.Context, _,
								_ string) (net.Conn, error) {
								<-ctx.Done()
								return nil, &net.OpError{Op: "dial", Err: errors.New("i/o timeout")}
							}}}
					})
				}
				client.noWait = true
				start := time.Now()
				err := client.Do(t.Context(), Call{Op: opPay, Body: make([]byte, c.body), Decode: decodeOK})
				require.Equal(t, c.once, batch.KindOf(err), "%v", err)
				require.Equal(t, c.after, time.Since(start), "%v", err)
				start = time.Now()
				err = client.Do(t.Context(), Call{Op: opRead, Body: make([]byte, c.body), Decode: decodeOK})
				require.Error(t, err)
				require.InDelta(t, c.read.Seconds(), time.Since(start).Seconds(), 1, "%v", err)
				client.CloseIdleConnections()
				time.Sleep(2 * time.Hour) // The services of this bubble end.
			})
		})
	}
}

// A proxy that sends a reply twice answers the next request on the connection,
// too, which may ask for another batch: no read has the connection of another.
func TestNoReadGetsTheReplyOfAnother(t *testing.T) {
	twice := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, in, err := http.NewResponseController(w).Hijack()
		for err == nil {
			answer := reply("200 OK", asJSON, fmt.Sprintf(`{"ok":true,"path":%q}`, r.URL.Path))
			_, _ = io.WriteString(conn, answer+answer)
			r, err = http.ReadRequest(in.Reader)
		}
		_ = conn.Close()
	}))
	defer twice.Close()
	client := newClient(t, twice.URL)
	paths := make(chan string)
	for caller := range 16 {
		go func() {
			for n := range 50 {
				var got struct{ Path string }
				asked := fmt.Sprintf("/%d-%d", caller, n)
				err := client.Do(t.Context(),
					Call{Op: Op{Name: "Read", Method: http.MethodGet, Path: asked, Safety: Repeatable},
						Decode: JSON(&got)})
				paths <- fmt.Sprint(got.Path == asked, " ", err)
			}
		}()
	}
	for range 16 * 50 {
		require.Equal(t, "true <nil>", <-paths)
	}
}

// Ten thousand polls at once open some 32 connections.
func TestReadsAreLimitedInConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int64
		client := pipes(t, "http://localhost", func(conn net.Conn) {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			in := bufio.NewReader(conn)
			for {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
				_, _ = io.WriteString(conn, reply("200 OK", asJSON, `{"ok":true}`))
			}
		})
		errs := make(chan error)
		const calls = 10_000
		for range calls {
			go func() {
				errs <- client.Do(t.Context(),
					Call{Op: Op{Name: "Read", Method: http.MethodGet, Path: "/", Safety: Repeatable}, Decode: decodeOK})
			}()
		}
		for range calls {
			require.NoError(t, <-errs)
		}
		require.GreaterOrEqual(t, most.Load(), int64(32))
		require.Less(t, most.Load(), int64(100), "a service may still be closing some")
		client.CloseIdleConnections()
		synctest.Wait()
	})
}

// quiet keeps the complaints of servers out of the tests' output.
var quiet = log.New(io.Discard, "", 0)
