package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func TestClassify(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	theirs := &batch.Error{Kind: batch.ErrInvalid}
	unconnected := func(err error) exchange { return exchange{connecting: true, err: err} }
	connected := func(err error) exchange { return exchange{connecting: true, connected: true, err: err} }
	status := func(code int) exchange { return exchange{connecting: true, connected: true, status: code} }
	refused := func(code int) exchange { x := status(code); x.refusal = theirs; return x }
	ok := func(d decoding) exchange { x := status(200); x.welcome, x.decoded = true, d; return x }
	const again = true

	for name, c := range map[string]struct {
		x       exchange
		outcome outcome
		once    batch.Kind // of a Once operation
		read    batch.Kind // of a Repeatable one
		retry   bool       // of a Repeatable one
	}{
		// No connection was obtained.
		"refused":                      {unconnected(dial), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},
		"refused, as net/http says it": {unconnected(&url.Error{Op: "Post", URL: "x", Err: dial}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},
		"no such host":                 {unconnected(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"DNS fails for now":            {unconnected(&net.DNSError{IsTemporary: true}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},
		"dial timeout":                 {unconnected(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"cancelled while dialling":     {unconnected(context.Canceled), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"bad certificate":              {unconnected(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"wrong host":                   {unconnected(x509.HostnameError{Certificate: &x509.Certificate{}}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"plain HTTP on the TLS port":   {unconnected(tls.RecordHeaderError{}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"the same, as net/http says":   {unconnected(http.ErrSchemeMismatch), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"TLS alert":                    {unconnected(tls.AlertError(40)), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"TLS handshake timeout":        {unconnected(errors.New("net/http: TLS handshake timeout")), notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"proxy refuses CONNECT":        {unconnected(&net.OpError{Op: "proxyconnect", Err: io.EOF}), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},

		// Both proofs are needed.
		"dial error, but a connection was had":     {connected(dial), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"no connection, but not a dial error":      {unconnected(io.EOF), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"dial error of a transport that is silent": {exchange{err: dial}, unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"cancelled, of a transport that is silent": {exchange{err: context.Canceled}, unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},

		// A connection was obtained, and no reply came.
		"reset":            {connected(errors.New("connection reset by peer")), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"EOF":              {connected(io.EOF), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"timeout":          {connected(context.DeadlineExceeded), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"cancelled":        {connected(context.Canceled), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"nothing is known": {exchange{}, unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},

		// 2xx.
		"a definite yes":         {ok(positive), accepted, "", "", false},
		"a definite no":          {ok(negative), rejected, batch.ErrInvalid, batch.ErrInvalid, false},
		"cut short, or nonsense": {ok(broken), unknown, batch.ErrAmbiguous, batch.ErrProtocol, again},

		// Refusals.
		"401":                     {status(401), rejected, batch.ErrAuth, batch.ErrAuth, false},
		"403":                     {status(403), rejected, batch.ErrAuth, batch.ErrAuth, false},
		"425":                     {status(425), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},
		"429":                     {status(429), unknown, batch.ErrAmbiguous, batch.ErrThrottled, again},
		"429, documented":         {exchange{status: 429, throttles: true}, rejected, batch.ErrThrottled, batch.ErrThrottled, again},
		"501":                     {status(501), rejected, batch.ErrUnsupported, batch.ErrUnsupported, false},
		"505":                     {status(505), rejected, batch.ErrUnsupported, batch.ErrUnsupported, false},
		"404 of the service":      {exchange{status: 404, refusal: &batch.Error{}}, rejected, batch.ErrNotFound, batch.ErrNotFound, false},
		"404 of a proxy":          {status(404), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
		"422, the service's kind": {exchange{status: 422, refusal: &batch.Error{Kind: batch.ErrFunds}}, rejected, batch.ErrFunds, batch.ErrFunds, false},
		"422, it does not know":   {exchange{status: 422, refusal: &batch.Error{Kind: batch.ErrAmbiguous}}, unknown, batch.ErrAmbiguous, batch.ErrUnavailable, false},

		// Neither yes nor no.
		"408":               {status(408), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"409":               {refused(409), unknown, batch.ErrAmbiguous, batch.ErrConflict, false},
		"423":               {status(423), unknown, batch.ErrAmbiguous, batch.ErrConflict, false},
		"500":               {refused(500), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"502":               {status(502), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"503":               {status(503), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"504":               {status(504), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"520":               {status(520), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"599":               {status(599), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"101":               {status(101), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
		"301":               {status(301), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
		"307":               {status(307), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
		"402, undocumented": {refused(402), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
		"999":               {status(999), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, verdict{c.outcome, c.once, false}, classify(Once, c.x), "of what must be sent once")
			require.Equal(t, verdict{c.outcome, c.read, c.retry}, classify(Repeatable, c.x), "of a read")
		})
	}
	for _, code := range []int{400, 405, 406, 411, 413, 414, 415, 422} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			require.Equal(t, verdict{rejected, batch.ErrInvalid, false}, classify(Once, refused(code)), "by the service")
			require.Equal(t, verdict{unknown, batch.ErrAmbiguous, false}, classify(Once, status(code)), "by a proxy")
			require.Equal(t, verdict{unknown, batch.ErrProtocol, false}, classify(Repeatable, status(code)), "by a proxy, of a read")
		})
	}
}

// FuzzClassify holds every input against what must never be.
func FuzzClassify(f *testing.F) {
	kinds := []batch.Kind{"", batch.ErrInvalid, batch.ErrAuth, batch.ErrNotFound, batch.ErrConflict, batch.ErrFunds, batch.ErrThrottled,
		batch.ErrUnavailable, batch.ErrProtocol, batch.ErrUnsupported, batch.ErrAmbiguous}
	causes := []error{nil, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded, &net.OpError{Op: "dial", Err: io.EOF},
		&net.OpError{Op: "read", Err: io.EOF}, &net.DNSError{}, tls.RecordHeaderError{}}
	f.Add(200, uint8(0), uint8(1), uint8(2), true, true, false, false)
	f.Add(422, uint8(0), uint8(1), uint8(0), true, true, true, true)
	f.Add(0, uint8(5), uint8(0), uint8(0), true, false, false, false)
	f.Fuzz(func(t *testing.T, status int, cause, kind, decoded uint8, connecting, connected, hasRefusal, throttles bool) {
		x := exchange{connecting: connecting, connected: connected, err: causes[int(cause)%len(causes)], status: status,
			throttles: throttles, decoded: decoding(decoded % 3), welcome: status >= 200 && status <= 299}
		if hasRefusal {
			x.refusal = &batch.Error{Kind: kinds[int(kind)%len(kinds)]}
		}
		for _, safety := range []Safety{Once, Repeatable} {
			v := classify(safety, x)
			if v.outcome == accepted && (x.decoded != positive || status < 200 || status > 299) {
				t.Fatalf("accepted without a positive reply: %+v", x)
			}
			if (v.kind == "") != (v.outcome == accepted) {
				t.Fatalf("kind %q for outcome %d: %+v", v.kind, v.outcome, x)
			}
			if !slices.Contains(kinds, v.kind) {
				t.Fatalf("kind %q does not exist", v.kind)
			}
			if v.outcome == notSent && status != 425 && (connected || !connecting) {
				t.Fatalf("not sent, without proof: %+v", x)
			}
			if safety == Once && (v.retry || (v.outcome == unknown) != (v.kind == batch.ErrAmbiguous)) {
				t.Fatalf("once: %+v gives %+v", x, v)
			}
			if safety == Repeatable && v.kind == batch.ErrAmbiguous {
				t.Fatalf("a read is never ambiguous: %+v", x)
			}
		}
	})
}

// A service that says that the credential is wrong is believed, whatever the
// status, where nothing could have happened.
func TestARefusedCredentialEndsARead(t *testing.T) {
	x := exchange{connecting: true, connected: true, status: 500, refusal: &batch.Error{Kind: batch.ErrAuth}}
	require.Equal(t, verdict{rejected, batch.ErrAuth, false}, classify(Repeatable, x))
	require.Equal(t, verdict{unknown, batch.ErrAmbiguous, false}, classify(Once, x))
}
