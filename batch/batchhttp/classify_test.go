package batchhttp

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
	unsent := func(err error) exchange { return exchange{unsent: true, err: err} }
	sent := func(err error) exchange { return exchange{sent: 1, err: err} }
	status := func(code int) exchange { return exchange{sent: 1, status: code} }
	refused := func(code int) exchange { x := status(code); x.refusal = theirs; return x }
	said := func(code int, kind batch.Kind) exchange {
		x := status(code)
		x.refusal = &batch.Error{Kind: kind}
		return x
	}
	ok := func(d decoding) exchange { x := status(200); x.welcome, x.decoded = true, d; return x }
	no := ok(negative)
	no.refusal = theirs
	kindless := ok(negative)
	kindless.refusal = &batch.Error{}
	twice := ok(positive)
	twice.sent = 2
	const again = true

	for name, c := range map[string]struct {
		x       exchange
		outcome outcome
		once    batch.Kind // of a Once operation
		read    batch.Kind // of a Repeatable one
		retry   bool       // of a Repeatable one
	}{
		// The wire proves that nothing was sent.
		"refused": {unsent(dial), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},
		"refused, as net/http says it": {unsent(&url.Error{Op: "Post", URL: "x", Err: dial}), notSent,
			batch.ErrUnavailable, batch.ErrUnavailable, again},
		"no such host": {unsent(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}), notSent,
			batch.ErrUnavailable, batch.ErrUnavailable, false},
		"DNS fails for now": {unsent(&net.DNSError{IsTemporary: true}), notSent, batch.ErrUnavailable,
			batch.ErrUnavailable, again},
		"dial timeout": {unsent(&net.OpError{Op: "dial", Err: context.DeadlineExceeded}), notSent,
			batch.ErrUnavailable, batch.ErrUnavailable, again},
		"bad certificate": {unsent(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}),
			notSent, batch.ErrUnavailable, batch.ErrUnavailable, false},
		"plain HTTP on the TLS port": {unsent(tls.RecordHeaderError{}), notSent, batch.ErrUnavailable,
			batch.ErrUnavailable, false},
		"the same, as net/http says": {unsent(http.ErrSchemeMismatch), notSent, batch.ErrUnavailable,
			batch.ErrUnavailable, false},
		"EOF in the handshake": {unsent(io.EOF), notSent, batch.ErrUnavailable, batch.ErrUnavailable, again},

		// There is no such proof, and no reply.
		"a dial error": {sent(dial), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"reset": {sent(errors.New("connection reset by peer")), unknown, batch.ErrAmbiguous,
			batch.ErrUnavailable, again},
		"EOF":              {sent(io.EOF), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"timeout":          {sent(context.DeadlineExceeded), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"cancelled":        {sent(context.Canceled), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"nothing is known": {exchange{}, unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},

		// 2xx.
		"a definite yes":           {ok(positive), accepted, "", "", false},
		"a definite no":            {no, rejected, batch.ErrInvalid, batch.ErrInvalid, false},
		"a definite no of no kind": {kindless, rejected, batch.ErrInvalid, batch.ErrInvalid, false},
		"cut short, or nonsense":   {ok(broken), unknown, batch.ErrAmbiguous, batch.ErrProtocol, again},

		// In the service's own words.
		"401": {said(401, ""), rejected, batch.ErrAuth, batch.ErrAuth, false},
		"403": {said(403, ""), rejected, batch.ErrAuth, batch.ErrAuth, false},
		"403 of another kind": {said(403, batch.ErrConflict), rejected, batch.ErrConflict,
			batch.ErrConflict, false},
		"404":                 {said(404, ""), rejected, batch.ErrNotFound, batch.ErrNotFound, false},
		"425":                 {said(425, ""), rejected, batch.ErrUnavailable, batch.ErrUnavailable, again},
		"429, not documented": {said(429, ""), unknown, batch.ErrAmbiguous, batch.ErrThrottled, again},
		"429, documented": {exchange{status: 429, throttles: true, refusal: &batch.Error{}}, rejected,
			batch.ErrThrottled, batch.ErrThrottled, again},
		"501":                     {said(501, ""), rejected, batch.ErrUnsupported, batch.ErrUnsupported, false},
		"505":                     {said(505, ""), rejected, batch.ErrUnsupported, batch.ErrUnsupported, false},
		"422, the service's kind": {said(422, batch.ErrFunds), rejected, batch.ErrFunds, batch.ErrFunds, false},
		"422, it does not know": {said(422, batch.ErrAmbiguous), unknown, batch.ErrAmbiguous,
			batch.ErrUnavailable, false},

		// The same in foreign words: no status is a refusal by itself.
		"a foreign 401": {status(401), unknown, batch.ErrAmbiguous, batch.ErrAuth, false},
		"a foreign 403": {status(403), unknown, batch.ErrAmbiguous, batch.ErrAuth, false},
		"a foreign 404": {status(404), unknown, batch.ErrAmbiguous, batch.ErrProtocol, false},
		"a foreign 425": {status(425), unknown, batch.ErrAmbiguous, batch.ErrUnavailable, again},
		"a foreign 429": {exchange{status: 429, throttles: true}, unknown, batch.ErrAmbiguous,
			batch.ErrThrottled, again},
		"a foreign 501": {status(501), unknown, batch.ErrAmbiguous, batch.ErrUnsupported, false},
		"a foreign 505": {status(505), unknown, batch.ErrAmbiguous, batch.ErrUnsupported, false},

		// Whatever the reply.
		"sent twice": {twice, unknown, batch.ErrAmbiguous, "", false},

		// A reply counts, whatever the wire says.
		"a reply to what was not sent": {exchange{unsent: true, status: 500}, unknown, batch.ErrAmbiguous,
			batch.ErrUnavailable, again},

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
			read := classify(Repeatable, c.x)
			require.Equal(t, []any{c.read, c.retry}, []any{read.kind, read.retry}, "of a read")
		})
	}
	for _, code := range []int{400, 405, 406, 411, 413, 414, 415, 422} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			require.Equal(t, verdict{rejected, batch.ErrInvalid, false}, classify(Once, refused(code)),
				"by the service")
			require.Equal(t, verdict{unknown, batch.ErrAmbiguous, false}, classify(Once, status(code)), "by a proxy")
			require.Equal(t, verdict{unknown, batch.ErrProtocol, false}, classify(Repeatable, status(code)),
				"by a proxy, of a read")
		})
	}
}

// FuzzClassify holds every input against what must never be.
func FuzzClassify(f *testing.F) {
	kinds := []batch.Kind{"", batch.ErrInvalid, batch.ErrAuth, batch.ErrNotFound, batch.ErrConflict, batch.ErrFunds,
		batch.ErrThrottled,
		batch.ErrUnavailable, batch.ErrProtocol, batch.ErrUnsupported, batch.ErrAmbiguous}
	causes := []error{nil, io.EOF, io.ErrUnexpectedEOF, context.Canceled, context.DeadlineExceeded,
		&net.OpError{Op: "dial", Err: io.EOF},
		&net.OpError{Op: "read", Err: io.EOF}, &net.DNSError{}, tls.RecordHeaderError{}}
	f.Add(200, uint8(0), uint8(1), uint8(2), 1, false, false, false)
	f.Add(422, uint8(0), uint8(1), uint8(0), 1, false, true, true)
	f.Add(403, uint8(0), uint8(1), uint8(0), 1, false, false, false)
	f.Add(0, uint8(5), uint8(0), uint8(0), 0, true, false, false)
	f.Fuzz(func(t *testing.T, status int, cause, kind, decoded uint8, sent int, unsent, hasRefusal, throttles bool) {
		x := exchange{unsent: unsent, sent: sent, err: causes[int(cause)%len(causes)], status: status,
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
			if v.outcome == notSent && !unsent {
				t.Fatalf("not sent, without proof: %+v", x)
			}
			if v.outcome == rejected && !hasRefusal {
				t.Fatalf("rejected, without the service's words: %+v", x)
			}
			if safety == Once && sent > 1 && v.outcome != unknown {
				t.Fatalf("sent twice, and clear: %+v", x)
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
	x := exchange{sent: 1, status: 500, refusal: &batch.Error{Kind: batch.ErrAuth}}
	require.Equal(t, verdict{rejected, batch.ErrAuth, false}, classify(Repeatable, x))
	require.Equal(t, verdict{unknown, batch.ErrAmbiguous, false}, classify(Once, x))
}
