package campaign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A network lies between the clients of one run and their service. It plays
// what goes wrong before a request has a connection, and what a middleware of
// the user does to a request.
type network struct {
	tls    bool                       // the service is reached over TLS
	op     func(*http.Request) string // the operation of a request
	mu     sync.Mutex
	faults []netFault
}

// A netFault strikes the nth request for op from now.
type netFault struct {
	op   string
	nth  int
	kind netKind
}

type netKind string

// What goes wrong outside the service.
const (
	dialRefused   netKind = "the connection is refused"
	dialHang      netKind = "the dial hangs"
	noHost        netKind = "the host is not found"
	resolverFails netKind = "the resolver does not answer"
	// The following need TLS.
	wrongName      netKind = "the certificate is another host's"
	unknownIssuer  netKind = "the certificate's issuer is not known"
	handshakeAlert netKind = "the handshake ends with an alert"
	handshakeEOF   netKind = "the handshake ends with EOF"
	handshakeHang  netKind = "the handshake hangs"
	plainHTTP      netKind = "the port speaks plain HTTP"
	// And a middleware above our transport.
	sendsTwice  netKind = "a middleware sends the request twice"
	losesReply  netKind = "a middleware loses the reply"
	panicsAfter netKind = "a middleware panics after the request"
)

func (k netKind) needsTLS() bool {
	switch k {
	case wrongName, unknownIssuer, handshakeAlert, handshakeEOF, handshakeHang, plainHTTP:
		return true
	}
	return false
}

// unsent reports whether the request has certainly not been sent.
func (k netKind) unsent() bool {
	switch k {
	case dialRefused, dialHang, noHost, resolverFails:
		return true
	}
	return k.needsTLS()
}

func (n *network) inject(f netFault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
	n.tls = n.tls || f.kind.needsTLS()
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = nil
}

// strike counts a request for op, and returns what goes wrong with it.
func (n *network) strike(op string) (strikes netKind) {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := n.faults[:0]
	for _, f := range n.faults {
		if f.op == op {
			if f.nth--; f.nth == 0 {
				strikes = f.kind
				continue
			}
		}
		kept = append(kept, f)
	}
	n.faults = kept
	return strikes
}

type netKindKey struct{}

// middleware is what the user has put around our transport. It also tells the
// dialer which request it dials for.
func (n *network) middleware(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		time.Sleep(time.Millisecond) // In virtual time: no request of a call is at the instant of the one before.
		kind := n.strike(n.op(r))
		r = r.WithContext(context.WithValue(r.Context(), netKindKey{}, kind))
		switch kind {
		case sendsTwice:
			var body []byte // A middleware can keep it, though the request has no GetBody.
			if r.Body != nil {
				body, _ = io.ReadAll(r.Body)
			}
			again := r.Clone(r.Context())
			if r.Body != nil {
				r.Body, again.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
			}
			if response, err := next.RoundTrip(again); err == nil {
				_ = response.Body.Close()
			}
		case losesReply, panicsAfter:
			if response, err := next.RoundTrip(r); err == nil {
				_ = response.Body.Close()
			}
			if kind == panicsAfter {
				panic("a middleware panics")
			}
			return nil, errors.New("a middleware lost the reply")
		}
		return next.RoundTrip(r)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// client is c as a user configures it in this network.
func (n *network) client(c *http.Client) *http.Client {
	inner := c.Transport.(*http.Transport).DialContext
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: identities().roots, MinVersion: tls.VersionTLS12,
			CurvePreferences: quick},
		DialContext: func(ctx context.Context, proto, address string) (net.Conn, error) {
			return n.dial(ctx, proto, address, inner)
		},
	}}
}

func (n *network) url(base string) string {
	if n.tls {
		return "https" + strings.TrimPrefix(base, "http")
	}
	return base
}

func (n *network) dial(ctx context.Context, proto, address string,
	inner func(context.Context, string, string) (net.Conn, error)) (net.Conn, error) {
	kind, _ := ctx.Value(netKindKey{}).(netKind)
	switch kind {
	case dialRefused:
		return nil, &net.OpError{Op: "dial", Net: proto, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	case dialHang:
		<-ctx.Done()
		return nil, ctx.Err()
	case noHost:
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	case resolverFails:
		return nil, &net.DNSError{Err: "server misbehaving", Name: address, IsTemporary: true}
	}
	service, err := inner(ctx, proto, address)
	if err != nil || !n.tls {
		return service, err
	}
	here, there := net.Pipe()
	go terminate(kind, there, service)
	return here, nil
}

// terminate is the TLS of the service: it speaks it with the client, and hands
// on what it hears.
func terminate(kind netKind, client, service net.Conn) {
	defer func() { _ = client.Close(); _ = service.Close() }()
	id := identities()
	certificate := id.service
	switch kind {
	case wrongName:
		certificate = id.elsewhere
	case unknownIssuer:
		certificate = id.unknown
	case handshakeAlert, handshakeEOF, handshakeHang, plainHTTP:
		hello := make([]byte, 4096)
		if _, err := client.Read(hello); err != nil {
			return
		}
		switch kind {
		case handshakeAlert: // fatal, handshake_failure
			_, _ = client.Write([]byte{21, 3, 3, 0, 2, 2, 40})
		case plainHTTP:
			_, _ = client.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		case handshakeHang:
			_, _ = io.Copy(io.Discard, client)
		}
		return
	}
	outside := tls.Server(client, &tls.Config{Certificates: []tls.Certificate{certificate},
		MinVersion: tls.VersionTLS12, CurvePreferences: quick, SessionTicketsDisabled: true})
	if outside.Handshake() != nil {
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(service, outside)
		_ = service.Close()
	}()
	_, err := io.Copy(outside, service)
	if err == nil {
		_ = outside.CloseWrite()
	}
	_ = client.Close()
	<-gone
}

// quick is the key exchange that costs least: a third of the campaign's time
// was the default one.
var quick = []tls.CurveID{tls.CurveP256}

type identity struct {
	roots                       *x509.CertPool
	service, elsewhere, unknown tls.Certificate
}

// identities makes the certificates, once. They are valid in virtual time, too.
var identities = sync.OnceValue(func() identity {
	id := identity{roots: x509.NewCertPool()}
	issue := func(host string) tls.Certificate {
		key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host},
			DNSNames:  []string{host},
			NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0,
				time.UTC), IsCA: true, BasicConstraintsValid: true,
			KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		der := must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
	}
	id.service, id.elsewhere, id.unknown = issue("localhost"), issue("elsewhere.test"), issue("localhost")
	id.roots.AddCert(id.service.Leaf)
	id.roots.AddCert(id.elsewhere.Leaf)
	return id
})
