package batchhttp

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/batchway/batchway-go/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	opPay  = Op{Name: "Pay", Method: http.MethodPost, Path: "/pay", Safety: Once}
	opRead = Op{Name: "Read", Method: http.MethodPost, Path: "/read", Safety: Repeatable}
)

// withWaits is the URL of tests in a synctest bubble: reads wait there before
// they are repeated.
const withWaits = "https://waits.test"

const canary = "canary-secret-8842"

// theirs reads the error replies of the service that these tests play.
func theirs(_ int, header http.Header, body []byte) *batch.Error {
	if header.Get("Content-Type") != "application/json" {
		return nil
	}
	return &batch.Error{Kind: batch.ErrInvalid, Code: "E1", Message: string(body)}
}

func newClient(t testing.TB, url string, change ...func(*Config)) *Client {
	t.Helper()
	c := Config{Provider: "test", BaseURL: url, Refusal: theirs, Secrets: []Secret{NewSecret(canary)},
		Authorize: func(r *http.Request) error { r.Header.Set("X-Api-Key", canary); return nil }}
	for _, f := range change {
		f(&c)
	}
	client, err := New(c)
	require.NoError(t, err)
	client.noWait = url != withWaits
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// decodeOK wants {"ok":true}; {"ok":false} is the service's no.
func decodeOK(body io.Reader) error {
	var reply struct {
		OK      *bool  `json:"ok"`
		Message string `json:"message"`
	}
	if err := JSON(&reply)(body); err != nil {
		return err
	}
	switch {
	case reply.OK == nil:
		return errors.New("the reply has no ok")
	case !*reply.OK:
		return &batch.Error{Kind: batch.ErrConflict, Message: reply.Message}
	}
	return nil
}

// raw is a server on a real socket that answers every request with exactly
// these bytes and then does what last says.
type raw struct {
	url      string
	requests atomic.Int64
	bodies   chan string
}

const (
	closeIt = "close"
	resetIt = "reset"
	holdIt  = "hold"
)

func serveRaw(t testing.TB, answer func(n int) (reply, last string)) *raw {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &raw{url: "http://" + listener.Addr().String(), bodies: make(chan string, 100)}
	ended := make(chan struct{})
	done := make(chan struct{})
	t.Cleanup(func() { close(ended); _ = listener.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					n := int(s.requests.Add(1))
					s.bodies <- string(body)
					reply, last := answer(n)
					_, _ = io.WriteString(conn, reply)
					switch last {
					case resetIt:
						_ = conn.(*net.TCPConn).SetLinger(0)
						return
					case closeIt:
						return
					case holdIt:
						<-ended
						return
					}
				}
			}()
		}
	}()
	return s
}

func always(reply, last string) func(int) (string, string) {
	return func(int) (string, string) { return reply, last }
}

func reply(status, header, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, header, len(body), body)
}

const asJSON = "Content-Type: application/json\r\n"

// What each broken or hostile reply means, for a request that can move money
// and for a read. The number of requests that arrive is as much a result as
// the kind of the error.
func TestReplies(t *testing.T) {
	good := reply("200 OK", asJSON, `{"ok":true}`)
	for name, c := range map[string]struct {
		reply, last string
		once        batch.Kind
		read        batch.Kind
		reads       int // requests of a read
		says        string
	}{
		"200":                           {good, "", "", "", 1, ""},
		"row 11: reset before any byte": {"", resetIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"closed before any byte":        {"", closeIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, "EOF"},
		"row 13: reset in the body": {strings.TrimSuffix(good, "ue}"), resetIt, batch.ErrAmbiguous,
			batch.ErrProtocol, 3, ""},
		"row 14: longer length than body": {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"ok\":true}",
			closeIt, batch.ErrAmbiguous, batch.ErrProtocol, 3, "unexpected EOF"},
		"row 15: chunks without an end": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"ok\":true}\r\n", closeIt, batch.ErrAmbiguous,
			batch.ErrProtocol, 3, "unexpected EOF"},
		"row 16: two lengths": {
			"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nContent-Length: 5\r\n\r\n{\"ok\":true}", closeIt,
			batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"row 16: a length and chunks": {
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"ok\":true}\r\n0\r\n\r\n",
			"", "", "", 1, ""},
		"row 16: a length and chunks, cut off": {
			"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nTransfer-Encoding: chunked\r\n\r\n{\"ok\":true}", closeIt,
			batch.ErrAmbiguous, batch.ErrProtocol, 3, ""},
		"a length that is too short": {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\"ok\":true}", closeIt,
			batch.ErrAmbiguous, batch.ErrProtocol, 3, ""},
		"a negative length": {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{\"ok\":true}",
			closeIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"a length of 1 GiB": {"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n{\"ok\":true}",
			closeIt, batch.ErrAmbiguous, batch.ErrProtocol, 3, "unexpected EOF"},
		"a chunk beyond 64 bits": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{\"ok\":true}", closeIt,
			batch.ErrAmbiguous, batch.ErrProtocol, 3, ""},
		"a chunk that is longer than it says": {
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ok\":true}\r\n0\r\n\r\n", closeIt,
			batch.ErrAmbiguous, batch.ErrProtocol, 3, ""},
		"row 34: 425 by the service": {reply("425 Too Early", asJSON, `{}`), "", batch.ErrInvalid,
			batch.ErrInvalid, 3, ""},
		"row 34: 425 by a proxy": {reply("425 Too Early", "", ""), "", batch.ErrAmbiguous,
			batch.ErrUnavailable, 3, ""},
		"a million headers": {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 1_000_000) +
			"Content-Length: 11\r\n\r\n{\"ok\":true}", closeIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"row 19: 101": {
			"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", closeIt,
			batch.ErrAmbiguous, batch.ErrProtocol, 1, ""},
		"row 20: 204": {"HTTP/1.1 204 No Content\r\n\r\n", "", batch.ErrAmbiguous,
			batch.ErrProtocol, 3, "unexpected EOF"},
		"row 21: 201 and a good body": {reply("201 Created", asJSON, `{"ok":true}`), "", "", "", 1, ""},
		"row 22: 301 to the same host": {reply("301 Moved", "Location: /elsewhere\r\n", ""), "",
			batch.ErrAmbiguous, batch.ErrProtocol, 1, "redirects are not followed"},
		"row 23: 302 to another host": {reply("302 Found", "Location: https://evil.test/x?token=1\r\n", ""),
			"", batch.ErrAmbiguous, batch.ErrProtocol, 1, "https://evil.test"},
		"a redirect to our secret": {reply("302 Found", "Location: https://"+canary+".test/\r\n", ""), "",
			batch.ErrAmbiguous, batch.ErrProtocol, 1, "https://[redacted].test"},
		"row 24: 307": {reply("307 Temporary Redirect", "Location: http://127.0.0.1:1/\r\n",
			""), "", batch.ErrAmbiguous, batch.ErrProtocol, 1, "http://127.0.0.1:1"},
		"row 25: 303": {reply("303 See Other", "Location: /read\r\n", ""), "",
			batch.ErrAmbiguous, batch.ErrProtocol, 1, ""},
		"row 26: 400 by the service": {reply("400 Bad Request", asJSON, `{"why":"x"}`), "",
			batch.ErrInvalid, batch.ErrInvalid, 1, "why"},
		"row 27: 400 by a firewall": {reply("400 Bad Request", "Content-Type: text/html\r\n", "<html>"),
			"", batch.ErrAmbiguous, batch.ErrProtocol, 1, ""},
		"row 33: 413 by the service": {reply("413 Too Large", asJSON, `{}`), "", batch.ErrInvalid,
			batch.ErrInvalid, 1, ""},
		"row 39: 500 with two megabytes of HTML": {reply("500 Oops", "Content-Type: text/html\r\n",
			strings.Repeat("<p>"+canary, 100_000)), closeIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"row 42: 599": {reply("599 Odd", "", ""), "", batch.ErrAmbiguous,
			batch.ErrUnavailable, 3, ""},
		"row 42: 999": {reply("999 Odd", "", ""), "", batch.ErrAmbiguous,
			batch.ErrProtocol, 1, ""},
		"row 42: 000": {reply("000 Odd", "", ""), "", batch.ErrAmbiguous,
			batch.ErrUnavailable, 3, ""},
		"row 43: a login page": {reply("200 OK", "Content-Type: text/html\r\n", "<html>"), "",
			batch.ErrAmbiguous, batch.ErrProtocol, 3, "something other than the service"},
		"row 44: JSON as text/plain": {reply("200 OK", "Content-Type: text/plain\r\n", `{"ok":true}`), "",
			"", "", 1, ""},
		"row 44: XML": {reply("200 OK", "Content-Type: text/xml\r\n", `<ok/>`), "",
			batch.ErrAmbiguous, batch.ErrProtocol, 3, "text/xml"},
		"row 45: gzip that was not asked for": {reply("200 OK", asJSON+"Content-Encoding: gzip\r\n", `{"ok":true}`), "",
			batch.ErrAmbiguous, batch.ErrProtocol, 3, "gzip"},
		"row 48: larger than allowed": {reply("200 OK", asJSON, `{"ok":true,"x":"`+strings.Repeat("y", 2<<20)+`"}`),
			closeIt, batch.ErrAmbiguous, batch.ErrProtocol, 3, ""},
		"row 49: an empty body": {reply("200 OK", asJSON, ""), "", batch.ErrAmbiguous, batch.ErrProtocol, 3,
			"unexpected EOF"},
		"row 50: null": {reply("200 OK", asJSON, "null"), "", batch.ErrAmbiguous,
			batch.ErrProtocol, 3, "no ok"},
		"row 50: a list": {reply("200 OK", asJSON, "[]"), "", batch.ErrAmbiguous,
			batch.ErrProtocol, 3, ""},
		"row 52: trailing data": {reply("200 OK", asJSON, `{"ok":true}{"ok":false}`), "", batch.ErrAmbiguous,
			batch.ErrProtocol, 3, "after top-level value"},
		"row 53: a key twice": {reply("200 OK", asJSON, `{"ok":false,"ok":true}`), "", batch.ErrAmbiguous,
			batch.ErrProtocol, 3, "duplicate object member name"},
		"row 54: a key in two cases": {reply("200 OK", asJSON, `{"ok":false,"OK":true}`), "", batch.ErrAmbiguous,
			batch.ErrProtocol, 3, "duplicate object member name"},
		"row 56: a definite no in a 200": {reply("200 OK", asJSON, `{"ok":false,"message":"because"}`), "",
			batch.ErrConflict, batch.ErrConflict, 1, "because"},
		"headers without end": {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), closeIt,
			batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"a header of 100 KiB": {reply("200 OK", asJSON+"X: "+strings.Repeat("x", 100<<10)+"\r\n",
			`{"ok":true}`), "", batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"row 18: a thousand 1xx replies": {strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 100)+
			"\r\n\r\n", 1000) + good, closeIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
		"no HTTP at all": {"SSH-2.0-OpenSSH\r\n", closeIt, batch.ErrAmbiguous, batch.ErrUnavailable, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []Op{opPay, opRead} {
				want, requests := c.once, 1
				if op.Safety == Repeatable {
					want, requests = c.read, c.reads
				}
				s := serveRaw(t, always(c.reply, c.last))
				client := newClient(t, s.url)
				err := client.Do(t.Context(), Call{Op: op, Body: []byte(`{"n":1}`), Decode: decodeOK})
				require.Equal(t, want, batch.KindOf(err), "%s: %v", op.Name, err)
				require.Equal(t, requests, int(s.requests.Load()), "requests of %s that arrived (%v)", op.Name, err)
				if c.says != "" {
					require.ErrorContains(t, err, c.says)
				}
				if err != nil {
					require.NotContains(t, err.Error(), canary)
					require.Less(t, len(err.Error()), 1000)
				}
				for range requests {
					require.Equal(t, `{"n":1}`, <-s.bodies, "every attempt has the same body")
				}
			}
		})
	}
}

func TestNothingIsSent(t *testing.T) {
	encrypted := httptest.NewUnstartedServer(http.NotFoundHandler())
	encrypted.Config.ErrorLog = quiet
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	talksPlain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(talksPlain.Close)
	plain := serveRaw(t, always("HTTP/1.1 400 Bad Request\r\n\r\n", closeIt))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	free, err := net.Listen("tcp", "127.0.0.1:0") // The last to listen, so that no other gets its port.
	require.NoError(t, err)
	closed := "http://" + free.Addr().String()
	require.NoError(t, free.Close())

	for name, c := range map[string]struct {
		url    string
		ctx    context.Context
		change func(*Config)
		kind   batch.Kind
		is     error
	}{
		"row 1: the context has ended": {plain.url, ended, nil, batch.ErrUnavailable, context.Canceled},
		"row 8: connection refused":    {closed, nil, nil, batch.ErrUnavailable, nil},
		"row 9: an unknown authority":  {encrypted.URL, nil, nil, batch.ErrUnavailable, nil},
		"row 10: plain HTTP behind https": {strings.Replace(talksPlain.URL, "http:", "https:", 1), nil, nil,
			batch.ErrUnavailable, nil},
		"no credential": {plain.url, nil, func(c *Config) {
			c.Authorize = func(*http.Request) error { return io.EOF }
		}, batch.ErrUnavailable, nil},
		"a credential that is refused": {plain.url, nil, func(c *Config) {
			c.Authorize = func(*http.Request) error { return &batch.Error{Kind: batch.ErrAuth} }
		}, batch.ErrAuth, nil},
		"a credential in doubt is no doubt": {plain.url, nil, func(c *Config) {
			c.Authorize = func(*http.Request) error { return &batch.Error{Kind: batch.ErrAmbiguous} }
		}, batch.ErrUnavailable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []Op{opPay, opRead} {
				change := c.change
				if change == nil {
					change = func(*Config) {}
				}
				ctx := c.ctx
				if ctx == nil {
					ctx = t.Context()
				}
				err := newClient(t, c.url, change).Do(ctx, Call{Op: op, Decode: decodeOK})
				require.Equal(t, c.kind, batch.KindOf(err), "%s: %v", op.Name, err)
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
				require.NotContains(t, err.Error(), c.url, "an error names no URL")
			}
			require.Zero(t, plain.requests.Load(), "nothing has arrived")
		})
	}
}

// A transport that reports nothing about connections proves nothing, whatever
// its error says.
func TestASilentTransportIsAmbiguous(t *testing.T) {
	calls := 0
	silent := roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	})
	err := newClient(t, "https://service.test", func(c *Config) { c.Middleware = only(silent) }).
		Do(t.Context(), Call{Op: opPay, Decode: decodeOK})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.Equal(t, 1, calls)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// only is a middleware that answers by itself.
func only(f roundTrip) func(http.RoundTripper) http.RoundTripper {
	return func(http.RoundTripper) http.RoundTripper { return f }
}

func TestContextEndsUnderWay(t *testing.T) {
	t.Run("row 3: while dialling", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := newClient(t, "https://service.test", func(c *Config) {
			c.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _,
				_ string) (net.Conn, error) {
				cancel()
				<-ctx.Done()
				return nil, ctx.Err()
			}}}
		})
		err := client.Do(ctx, Call{Op: opPay, Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("row 4: after the body was written", func(t *testing.T) {
		s := serveRaw(t, always("", holdIt))
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-s.bodies; cancel() }()
		err := newClient(t, s.url).Do(ctx, Call{Op: opPay, Body: []byte("x"), Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("row 4: while the reply arrives", func(t *testing.T) {
		s := serveRaw(t, always("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", holdIt))
		ctx, cancel := context.WithCancel(t.Context())
		err := newClient(t, s.url).Do(ctx, Call{Op: opPay, Decode: func(r io.Reader) error {
			cancel()
			return decodeOK(r)
		}})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("row 4: and a middleware hides it", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := newClient(t, "https://service.test", func(c *Config) {
			c.Middleware = only(func(*http.Request) (*http.Response, error) {
				cancel()
				return nil, errors.New("it failed")
			})
		}).Do(ctx, Call{Op: opPay, Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorIs(t, err, context.Canceled)
		require.NotContains(t, err.Error(), "\n")
	})
	t.Run("a refusal is one all the same", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := newClient(t, "https://service.test", func(c *Config) {
			c.Refusal = func(int, http.Header, []byte) *batch.Error {
				cancel()
				return &batch.Error{Kind: batch.ErrFunds}
			}
			c.Middleware = only(func(r *http.Request) (*http.Response, error) { return answer(r, 422), nil })
		}).Do(ctx, Call{Op: opPay, Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrFunds)
		require.NotErrorIs(t, err, context.Canceled)
	})
	t.Run("row 5: while a read waits to be repeated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, withWaits, func(c *Config) {
				c.Middleware = only(func(r *http.Request) (*http.Response, error) {
					return answer(r, 503, "Retry-After", "15"), nil
				})
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			time.AfterFunc(time.Second, cancel)
			start := time.Now()
			err := client.Do(ctx, Call{Op: opRead, Decode: decodeOK})
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, batch.ErrUnavailable)
			require.Equal(t, time.Second, time.Since(start))
		})
	})
}

func answer(r *http.Request, status int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(`{"ok":true}`)),
		Request: r}
}

// Every phase of a silent service ends, and says which it was.
func TestSilenceEnds(t *testing.T) {
	for name, c := range map[string]struct {
		script func(conn net.Conn) // the service
		after  time.Duration
		says   string
	}{
		"row 17: 100-continue, then nothing": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		}, 2 * time.Minute, "timeout"},
		"no header": {func(net.Conn) {}, 2 * time.Minute, "timeout"},
		"no body": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
		}, 15 * time.Second, "stopped arriving"},
		"row 47: a body of one byte each 10 s, then nothing": {func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")
			for range 6 {
				time.Sleep(10 * time.Second)
				_, _ = io.WriteString(conn, " ")
			}
		}, 75 * time.Second, "stopped arriving"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := newClient(t, "http://localhost", func(config *Config) {
					config.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(context.Context,
						string, string) (net.Conn, error) {
						here, there := net.Pipe()
						go func() {
							_, _ = http.ReadRequest(bufio.NewReader(there))
							c.script(there)
							_, _ = io.Copy(io.Discard, there)
						}()
						return here, nil
					}}}
				})
				start := time.Now()
				err := client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK})
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.ErrorContains(t, err, c.says)
				require.Equal(t, c.after, time.Since(start))
			})
		})
	}
}

func TestReadsAreRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		statuses []int // the last repeats
		header   []string
		kind     batch.Kind
		attempts int
		least    time.Duration
		most     time.Duration
	}{
		"once is enough":   {[]int{200}, nil, "", 1, 0, 0},
		"at the third try": {[]int{500, 502, 200}, nil, "", 3, 0, 1500 * time.Millisecond},
		"never":            {[]int{503}, nil, batch.ErrUnavailable, 3, 0, 1500 * time.Millisecond},
		"throttled": {[]int{429, 200}, []string{"Retry-After", "7"}, "", 2, 7 * time.Second,
			7 * time.Second},
		"throttled for ever": {[]int{429}, nil, batch.ErrThrottled, 3, 0, 1500 * time.Millisecond},
		"row 36: an absurd Retry-After": {[]int{503}, []string{"Retry-After", "99999999999999999999"},
			batch.ErrUnavailable, 1, 0, 0},
		"a long Retry-After": {[]int{503}, []string{"Retry-After", "21"}, batch.ErrUnavailable, 1, 0, 0},
		"row 37: a negative Retry-After": {[]int{503, 200}, []string{"Retry-After", "-1"}, "", 2, 0,
			500 * time.Millisecond},
		"row 37: a Retry-After of words": {[]int{503, 200}, []string{"Retry-After", "abc"}, "", 2, 0,
			500 * time.Millisecond},
		"row 37: an empty Retry-After": {[]int{503, 200}, []string{"Retry-After", ""}, "", 2, 0,
			500 * time.Millisecond},
		"row 37: two of them": {[]int{503, 200}, []string{"Retry-After", "7", "Retry-After", "9"}, "", 2,
			0, 500 * time.Millisecond},
		"row 38: a date that has passed": {[]int{503, 200}, []string{"Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT"},
			"", 2, 0, 500 * time.Millisecond},
		"row 38: a date to come (synctest)": {[]int{503, 200}, []string{"Retry-After", "Sat, 01 Jan 2000 00:00:10 GMT"},
			"", 2, 10 * time.Second, 10 * time.Second},
		"row 38: asctime": {[]int{503, 200}, []string{"Retry-After", "Sat Jan  1 00:00:10 2000"}, "", 2,
			10 * time.Second, 10 * time.Second},
		"row 38: RFC 850": {[]int{503, 200}, []string{"Retry-After", "Saturday, 01-Jan-00 00:00:10 GMT"},
			"", 2, 10 * time.Second, 10 * time.Second},
		"row 38: the year 9999": {[]int{503}, []string{"Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"},
			batch.ErrUnavailable, 1, 0, 0},
		"401 without anything to renew": {[]int{401, 200}, nil, batch.ErrAuth, 1, 0, 0},
		"425":                           {[]int{425, 200}, nil, "", 2, 0, 500 * time.Millisecond},
		"404":                           {[]int{404, 200}, nil, batch.ErrProtocol, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				client := newClient(t, withWaits, func(config *Config) {
					config.Middleware = only(func(r *http.Request) (*http.Response, error) {
						status := c.statuses[min(calls, len(c.statuses)-1)]
						calls++
						return answer(r, status, c.header...), nil
					})
				})
				start := time.Now()
				err := client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK})
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.Equal(t, c.attempts, calls)
				require.GreaterOrEqual(t, time.Since(start), c.least)
				require.LessOrEqual(t, time.Since(start), c.most)
				var e *batch.Error
				if errors.As(err, &e) && len(c.header) > 0 {
					require.NotZero(t, e.RetryAfter)
					require.LessOrEqual(t, e.RetryAfter, 24*time.Hour)
				}
			})
		})
	}
}

func TestA401RenewsTheCredentialOfAReadOnce(t *testing.T) {
	for _, op := range []Op{opRead, opPay} {
		calls, renewed, token := 0, 0, "old"
		client := newClient(t, "https://service.test", func(c *Config) {
			c.Authorize = func(r *http.Request) error { r.Header.Set("Authorization", "Bearer "+token); return nil }
			c.Unauthorized = func(r *http.Request) {
				require.Equal(t, "Bearer "+token, r.Header.Get("Authorization"))
				renewed++
				token = "new"
			}
			c.Middleware = only(func(r *http.Request) (*http.Response, error) {
				calls++
				if r.Header.Get("Authorization") == "Bearer new" {
					return answer(r, 200), nil
				}
				return answer(r, 401), nil
			})
		})
		err := client.Do(t.Context(), Call{Op: op, Decode: decodeOK})
		require.Equal(t, 1, renewed)
		if op.Safety == Repeatable {
			require.NoError(t, err)
			require.Equal(t, 2, calls)
			continue
		}
		require.ErrorIs(t, err, batch.ErrAmbiguous, "the 401 is not in the service's words")
		require.Equal(t, 1, calls, "what moves money is not repeated, not even after a 401")
	}
}

func TestTheBudgetOfRetriesRunsOut(t *testing.T) {
	calls := 0
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Middleware = only(func(r *http.Request) (*http.Response, error) { calls++; return answer(r, 500), nil })
	})
	for range 200 {
		require.ErrorIs(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}), batch.ErrUnavailable)
	}
	require.Equal(t, 200+budgetLimit/budgetCost, calls)
}

func TestNewRefusesABadBaseURL(t *testing.T) {
	for url, fault := range map[string]string{
		"":                                   "must be a URL with a host",
		"service.test":                       "must be a URL with a host",
		"https://:443":                       "must be a URL with a host",
		"https://.":                          "must have a host",
		"https://b\u00fccher.test":           "punycode",
		"https://[fe80::1%25en0]":            "must have a host",
		"https://x%00.test":                  "must be a URL with a host",
		"https://x;y.test":                   "must have a host",
		"https://x.test:0":                   "port from 1 to 65535",
		"https://x.test:65536":               "port from 1 to 65535",
		"https://x.test/a//b":                "path without empty parts",
		"https://x.test/a/../b":              "path without empty parts",
		"https://x.test/a/./b":               "path without empty parts",
		"https://x.test/za/%50ay":            "unusual escapes",
		"https://x.test/a%2fb":               "path without empty parts",
		"http://service.test":                "must be https",
		"http://127.0.0.1.test":              "must be https",
		"ftp://localhost":                    "must be https",
		"https://user:" + canary + "@x.test": "user name",
		"https://x.test/?key=" + canary:      "query",
		"https://x.test/#" + canary:          "fragment",
		"https://x.test#":                    "fragment",
		"https://x.test:" + canary:           "must be a URL with a host",
	} {
		_, err := New(Config{Provider: "test", BaseURL: url})
		require.ErrorIs(t, err, batch.ErrInvalid, url)
		require.ErrorContains(t, err, fault, url)
		require.NotContains(t, err.Error(), canary)
		_, err = Canonical(url)
		require.ErrorContains(t, err, fault, url)
		require.NotContains(t, err.Error(), canary)
	}
}

// However a URL is spelt, it has one name.
func TestABaseURLHasOneName(t *testing.T) {
	for want, spellings := range map[string][]string{
		"https://x.test": {"https://x.test", "https://x.test/", "HTTPS://X.TEST", "https://x.test:443/",
			"https://x.test.", "https://x.test.:0443//", "https://x.test:"},
		"https://x.test:8443":   {"https://x.test:8443", "https://X.test.:8443/"},
		"https://x.test/za/Pay": {"https://x.test/za/Pay", "https://X.test:443/za/Pay/"},
		"https://x.test/a%20b":  {"https://x.test/a%20b", "https://x.test/a%20b/"},
		"http://localhost": {"http://localhost", "http://LOCALHOST:80/", "http://127.0.0.1", "http://[::1]:80",
			"http://127.9.9.9", "http://localhost.", "http://[::ffff:127.0.0.1]"},
		"http://localhost:8080/x": {"http://127.0.0.1:8080/x/", "http://[0:0::1]:8080/x"},
		"https://localhost":       {"https://127.0.0.1:443"},
		"https://localhost:80":    {"https://localhost:80"},
		"https://[2001:db8::1]":   {"https://[2001:DB8:0::1]:443"},
		"https://192.0.2.1:1":     {"https://192.0.2.1:1"},
	} {
		for _, spelling := range spellings {
			client, err := New(Config{Provider: "test", BaseURL: spelling})
			require.NoError(t, err, spelling)
			require.Equal(t, want, client.BaseURL(), spelling)
			require.True(t, strings.HasPrefix(want, client.base.Scheme+"://"+client.Host()), spelling)
			named, err := Canonical(spelling)
			require.NoError(t, err)
			require.Equal(t, want, named)
		}
	}
	client, err := New(Config{Provider: "test", BaseURL: "http://127.0.0.1:8080"})
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:8080", client.base.Host, "requests go where the user's listener is")
}

func TestPathsStayBelowTheBaseURL(t *testing.T) {
	op := Op{Name: "Get", Method: http.MethodGet, Path: "/batches/{id}/payments/{payment}", Safety: Repeatable}
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.RequestURI
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	defer s.Close()
	client := newClient(t, s.URL+"/za/pay/")
	require.NoError(t,
		client.Do(t.Context(), Call{Op: op, Params: []string{"a b:c", "é"}, Query: map[string][]string{"q": {"x&y=1"}},
			Decode: decodeOK}))
	require.Equal(t, "/za/pay/batches/a%20b:c/payments/%C3%A9?q=x%26y%3D1", got)

	got = ""
	for _, bad := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a?b", "a#b", "%2e%2e", "a\x00", "a\r\nb",
		"a\x7f", "\xff", strings.Repeat("x", 129)} {
		err := client.Do(t.Context(), Call{Op: op, Params: []string{"ok", bad}, Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrInvalid, "%q", bad)
		require.ErrorContains(t, err, "payment: cannot be part of a path")
	}
	require.ErrorIs(t, client.Do(t.Context(), Call{Op: op, Params: []string{"only one"}, Decode: decodeOK}),
		batch.ErrInvalid)
	require.Empty(t, got, "nothing was sent")
}

func TestNoCredentialLeaks(t *testing.T) {
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-Id", "id "+r.Header.Get("X-Api-Key"))
		w.Header().Set("Location", "https://"+r.Header.Get("X-Api-Key")+".test/")
		w.WriteHeader(map[string]int{"/pay": 422, "/read": 302}[r.URL.Path])
		_ = r.Header.Write(w)
	}))
	defer echo.Close()
	var logged bytes.Buffer
	client := newClient(t, echo.URL, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Authorize = func(r *http.Request) error {
			r.Header.Set("X-Api-Key", canary)
			r.Header.Set("Authorization", "Bearer token-of-this-attempt")
			return nil
		}
	})
	for _, op := range []Op{opPay, opRead} {
		err := client.Do(t.Context(), Call{Op: op, Decode: decodeOK})
		require.Error(t, err)
		for _, text := range []string{fmt.Sprintf("%v %+v %#v", err, err, err), logged.String()} {
			require.NotContains(t, text, canary)
			require.NotContains(t, text, "token-of-this-attempt")
			require.NotContains(t, text, echo.URL)
		}
	}
	require.Contains(t, logged.String(), "op=Pay attempt=1 status=422")

	cause := errors.New("broken by " + canary)
	broken := newClient(t, "https://service.test", func(c *Config) {
		c.Middleware = only(func(*http.Request) (*http.Response, error) { return nil, cause })
	})
	err := broken.Do(t.Context(), Call{Op: opPay, Decode: decodeOK})
	require.ErrorIs(t, err, cause)
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), canary)
}

func TestHTTPClientGivesOnlyProxyDialerAndCertificates(t *testing.T) {
	dialTLS := func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }
	for fault, transport := range map[string]http.RoundTripper{
		"Config.Middleware takes any other RoundTripper": only(nil)(nil),
		"DialTLSContext must be nil":                     &http.Transport{DialTLSContext: dialTLS},
		"DialTLSContext must be nil:":                    &http.Transport{DialTLS: func(string, string) (net.Conn, error) { return nil, io.EOF }}, //nolint:staticcheck // Deprecated, and still there.
		"Dial must be nil":                               &http.Transport{Dial: func(string, string) (net.Conn, error) { return nil, io.EOF }},    //nolint:staticcheck // Deprecated, and still there.
		"InsecureSkipVerify must not be set": &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	} {
		_, err := New(Config{Provider: "test", BaseURL: "https://x.test",
			HTTPClient: &http.Client{Transport: transport}})
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "HTTPClient: ")
		require.ErrorContains(t, err, fault)
	}
	_, err := New(Config{Provider: "test", BaseURL: "https://x.test",
		Middleware: func(http.RoundTripper) http.RoundTripper { return nil }})
	require.ErrorContains(t, err, "Middleware: must return a RoundTripper")

	proxy, _ := url.Parse("http://proxy.test")
	roots := x509.NewCertPool()
	theirs := &http.Transport{
		Proxy:              http.ProxyURL(proxy),
		ProxyConnectHeader: http.Header{"X": {"y"}},
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, NextProtos: []string{"h2"},
			InsecureSkipVerify: true,
			VerifyConnection:   func(tls.ConnectionState) error { return nil }},
		ForceAttemptHTTP2: true, DisableKeepAlives: false, MaxResponseHeaderBytes: 1 << 30, MaxConnsPerHost: 1,
		ExpectContinueTimeout: time.Hour,
		Protocols:             new(http.Protocols), HTTP2: new(http.HTTP2Config),
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil},
	}
	theirs.Protocols.SetHTTP2(true)
	theirs.Protocols.SetUnencryptedHTTP2(true)
	theirs.RegisterProtocol("https", only(nil)(nil))
	for _, user := range []*http.Client{nil, {}, {Transport: (*http.Transport)(nil)}, {Transport: theirs}} {
		once, reads, fault := transports(user)
		require.Empty(t, fault)
		for _, ours := range []*http.Transport{once, reads} {
			require.Equal(t, "{HTTP1}", ours.Protocols.String())
			require.False(t, ours.ForceAttemptHTTP2)
			require.Nil(t, ours.HTTP2)
			require.NotNil(t, ours.TLSNextProto, "net/http adds h2 to a nil map")
			require.Empty(t, ours.TLSNextProto)
			require.Empty(t, ours.TLSClientConfig.NextProtos)
			require.EqualValues(t, tls.VersionTLS12, ours.TLSClientConfig.MinVersion)
			require.EqualValues(t, 64<<10, ours.MaxResponseHeaderBytes)
			require.True(t, ours.DisableCompression)
			require.NotZero(t, ours.TLSHandshakeTimeout)
			require.NotZero(t, ours.ResponseHeaderTimeout)
			require.Zero(t, ours.ExpectContinueTimeout)
			if user != nil && user.Transport == theirs {
				require.NotNil(t, ours.Proxy)
				require.Equal(t, theirs.ProxyConnectHeader, ours.ProxyConnectHeader)
				require.Same(t, roots, ours.TLSClientConfig.RootCAs)
			} else {
				require.Nil(t, ours.Proxy)
			}
		}
		require.True(t, once.DisableKeepAlives)
		require.Equal(t, 32, reads.MaxConnsPerHost)
	}
	require.EqualValues(t, tls.VersionTLS10, theirs.TLSClientConfig.MinVersion,
		"the user's own transport is left alone")
}

func TestEnvironment(t *testing.T) {
	known := map[string]string{"https://sandbox.pay.test": "sandbox", "https://api.pay.test": "production"}
	for url, want := range map[string]string{
		"https://SANDBOX.pay.test:443/": "sandbox",
		"https://api.pay.test.":         "production",
		"https://api.pay.test/v1":       "api.pay.test/v1",
		"http://127.0.0.1:8080/v1":      "localhost:8080/v1",
		"https://production":            "https://production",
		"https://sandbox/v1":            "https://sandbox/v1",
	} {
		require.Equal(t, want, newClient(t, url).Environment(known), url)
	}
	require.Equal(t, "production", newClient(t, "https://production").Environment(nil))
}

// S7: the clients that all packages of a program share are as they were, and
// know nothing of ours (CVE-2024-28110).
func TestTheSharedClientIsLeftAlone(t *testing.T) {
	client, transport := http.DefaultClient, http.DefaultTransport
	before := *client
	settings := func() []any {
		theirs := transport.(*http.Transport)
		return []any{theirs.MaxResponseHeaderBytes, theirs.DisableKeepAlives, theirs.TLSHandshakeTimeout,
			theirs.ResponseHeaderTimeout, theirs.MaxConnsPerHost, theirs.TLSClientConfig.Clone()}
	}
	set := settings()
	s := serveRaw(t, always(reply("200 OK", asJSON, `{"ok":true}`), ""))
	for _, user := range []*http.Client{nil, {}, http.DefaultClient, {Transport: http.DefaultTransport}} {
		ours := newClient(t, s.url, func(c *Config) { c.HTTPClient = user })
		for _, op := range []Op{opPay, opRead} {
			require.NoError(t, ours.Do(t.Context(), Call{Op: op, Decode: decodeOK}))
		}
		require.NotSame(t, transport, ours.once)
		require.NotSame(t, transport, ours.reads)
	}
	require.Same(t, client, http.DefaultClient)
	require.Same(t, transport, http.DefaultTransport)
	require.Equal(t, before, *http.DefaultClient)
	require.Equal(t, set, settings())

	var theirs http.Header
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { theirs = r.Header }))
	defer other.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, other.URL, http.NoBody)
	require.NoError(t, err)
	answered, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, answered.Body.Close())
	require.NotContains(t, fmt.Sprint(theirs), canary, "a request of another package carries no credential of ours")
	http.DefaultClient.CloseIdleConnections()
}

// S23: what a caller changes in a Config after New changes nothing.
func TestAClientKeepsItsOwnConfig(t *testing.T) {
	s := serveRaw(t, always(reply("422 X", asJSON, `"`+canary+`"`), ""))
	theirs := &http.Transport{TLSClientConfig: new(tls.Config), ProxyConnectHeader: http.Header{}}
	config := Config{Provider: "test", BaseURL: s.url, Refusal: ofTheService, Secrets: []Secret{NewSecret(canary)},
		HTTPClient: &http.Client{Transport: theirs}}
	client, err := New(config)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)

	config.Secrets[0] = NewSecret("another")
	config.BaseURL, config.Refusal = "https://evil.test", nil
	config.HTTPClient.Transport = only(nil)(nil)
	theirs.TLSClientConfig.InsecureSkipVerify, theirs.TLSClientConfig.NextProtos = true, []string{"h2"}
	theirs.ProxyConnectHeader.Set("X", "y")
	theirs.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("another dialer")
	}
	theirs.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("a proxy") }

	var e *batch.Error
	require.ErrorAs(t, client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK}), &e)
	require.Equal(t, []any{batch.ErrInvalid, `"[redacted]"`}, []any{e.Kind, e.Message})
	for _, path := range []http.RoundTripper{client.once, client.reads} {
		ours := path.(*http.Transport)
		require.False(t, ours.TLSClientConfig.InsecureSkipVerify)
		require.Empty(t, ours.TLSClientConfig.NextProtos)
		require.Empty(t, ours.ProxyConnectHeader)
		require.Nil(t, ours.Proxy)
	}
}

var ofTheService = theirs // Under a name that no test hides.

// S23: sixty-four callers share a client, of whom each gets the answer to its
// own question. The race detector watches.
func TestManyCallersShareAClient(t *testing.T) {
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Authorize = func(r *http.Request) error { r.Header.Set("X-Api-Key", canary+r.URL.Path); return nil }
		c.Middleware = only(func(r *http.Request) (*http.Response, error) {
			reply := answer(r, 422, "Content-Type", "application/json")
			reply.Body = io.NopCloser(strings.NewReader(r.URL.Path + " " + r.Header.Get("X-Api-Key")))
			return reply, nil
		})
	})
	said := make(chan string)
	for n := range 64 {
		go func() {
			path := fmt.Sprint("/", n)
			err := client.Do(t.Context(),
				Call{Op: Op{Name: "X", Method: http.MethodPost, Path: path, Safety: Safety(n % 2)}, Decode: decodeOK})
			var e *batch.Error
			if errors.As(err, &e) && e.Message == path+" [redacted]" {
				e.Message = "its own"
			}
			said <- fmt.Sprint(e.Message, client.Clean(canary))
		}()
	}
	for range 64 {
		require.Equal(t, "its own[redacted]", <-said)
	}
}

// FuzzCanonical: a name is its own name, and makes a client.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"https://X.test:443/a/", "http://127.0.0.1:80", "https://[::1]:0443//",
		"https://x.test.:65535/a%20b", "https://x%2etest", "https://[fe80::1%25en0]/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := Canonical(s)
		if err != nil {
			return
		}
		if again, err := Canonical(name); err != nil || again != name {
			t.Fatalf("%q is named %q, and that %q (%v)", s, name, again, err)
		}
		client, err := New(Config{Provider: "test", BaseURL: s})
		if err != nil || client.BaseURL() != name {
			t.Fatalf("%q: %v", s, err)
		}
		target, err := client.target(Call{Op: opRead})
		if u, parseErr := url.Parse(target); err != nil || parseErr != nil || u.Host != client.base.Host ||
			u.User != nil {
			t.Fatalf("%q sends to %q (%v, %v)", s, target, err, parseErr)
		}
	})
}

// FuzzPath: what a caller gives stays one part of the path, on the host.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"1500", "Clw:Xc", "..", "%2e%2e", "a/b", "a?b=c", "a#b", "a\x00b", "\r\n", "é", ";",
		"//evil.test", "@evil.test", "\u2028", "%"} {
		f.Add(s, s)
	}
	client, err := New(Config{Provider: "test", BaseURL: "https://x.test/v1"})
	require.NoError(f, err)
	op := Op{Name: "Get", Method: http.MethodGet, Path: "/batches/{id}/payments", Safety: Repeatable}
	f.Fuzz(func(t *testing.T, id, query string) {
		target, err := client.target(Call{Op: op, Params: []string{id}, Query: url.Values{"q": {query}}})
		if err != nil {
			require.ErrorIs(t, err, batch.ErrInvalid)
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
		require.NoError(t, err)
		require.Equal(t, []string{"https", "x.test", ""}, []string{r.URL.Scheme, r.URL.Host, r.URL.Fragment})
		require.Nil(t, r.URL.User)
		require.Equal(t, "/v1/batches/"+id+"/payments", r.URL.Path)
		require.Len(t, strings.Split(r.URL.EscapedPath(), "/"), 5, "%q is one part of %q", id, r.URL.EscapedPath())
		require.Equal(t, url.Values{"q": {query}}, r.URL.Query())
	})
}

// FuzzRetryAfter: no wait is negative, or longer than a day.
func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "5", "-1", "99999999999999999999", "1e9", "Fri, 31 Dec 9999 23:59:59 GMT",
		"Saturday, 01-Jan-00 00:00:07 GMT", "0x10", " 7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, time.Now()); d < 0 || d > 24*time.Hour {
			t.Fatalf("%q asks for %s", s, d)
		}
	})
}
