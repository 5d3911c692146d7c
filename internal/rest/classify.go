package rest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/batchway/batchway-go/batch"
)

// outcome is what is known about the effect of one request.
type outcome int

const (
	unknown  outcome = iota // it may have had an effect, or may still
	notSent                 // no byte of it has left
	rejected                // the service has refused it, and will not apply it
	accepted                // the service has confirmed it
)

// exchange is everything that is known about one request.
type exchange struct {
	connecting bool         // the transport reported that it wanted a connection
	connected  bool         // and that it had one
	err        error        // why there is no reply, or no whole one
	status     int          // 0 if there is no reply
	refusal    *batch.Error // what the service's own error reply means; nil if it did not write it
	throttles  bool         // the service documents that a 429 was not processed
	welcome    bool         // the status is 2xx, or another whose body is an answer
	decoded    decoding     // of a welcome reply
}

// decoding is what reading a 2xx reply came to.
type decoding int

const (
	broken   decoding = iota // not whole, or it makes no sense
	negative                 // a definite no, inside a 2xx
	positive                 // a definite yes, or the answer that was asked for
)

// verdict is what follows from an exchange.
type verdict struct {
	outcome outcome
	kind    batch.Kind // of the error; empty if accepted
	retry   bool       // a Repeatable operation may be tried again
}

// classify is the table that decides about money. Doubt always falls on the
// side of unknown.
func classify(safety Safety, x exchange) verdict {
	v := judge(x)
	if x.refusal != nil && x.refusal.Kind == batch.ErrAuth && safety == Repeatable {
		return verdict{rejected, batch.ErrAuth, false} // Whatever the status: no other attempt will be believed.
	}
	if v.outcome == rejected && x.refusal != nil && x.refusal.Kind != "" {
		v.kind = x.refusal.Kind
		if v.kind == batch.ErrAmbiguous {
			v.outcome = unknown
		}
	}
	if safety == Once {
		v.retry = false
		if v.outcome == unknown {
			v.kind = batch.ErrAmbiguous
		}
	} else if v.kind == batch.ErrAmbiguous {
		v.kind = batch.ErrUnavailable // A read has no effect that could be in doubt.
	}
	return v
}

// judge says what each reply means; the kind of an unknown outcome is the one
// for reads.
func judge(x exchange) verdict {
	const no, again = false, true
	switch status := x.status; {
	case status == 0 && neverConnected(x):
		return verdict{notSent, batch.ErrUnavailable, !permanent(x.err)}
	case status == 0:
		return verdict{unknown, batch.ErrUnavailable, again}

	case x.welcome:
		switch x.decoded {
		case positive:
			return verdict{accepted, "", no}
		case negative:
			return verdict{rejected, batch.ErrInvalid, no}
		}
		return verdict{unknown, batch.ErrProtocol, again}

	case status == 401, status == 403:
		// Whoever answers these does so instead of processing.
		return verdict{rejected, batch.ErrAuth, no}
	case status == 425:
		return verdict{notSent, batch.ErrUnavailable, again}
	case status == 429 && x.throttles:
		return verdict{rejected, batch.ErrThrottled, again}
	case status == 429:
		return verdict{unknown, batch.ErrThrottled, again}
	case status == 501, status == 505:
		return verdict{rejected, batch.ErrUnsupported, no}
	case status == 409, status == 423:
		return verdict{unknown, batch.ErrConflict, no}
	case status == 408:
		return verdict{unknown, batch.ErrUnavailable, again}

	case refuses(status) && x.refusal == nil:
		return verdict{unknown, batch.ErrProtocol, no} // A proxy spoke.
	case status == 404:
		return verdict{rejected, batch.ErrNotFound, no}
	case refuses(status):
		return verdict{rejected, batch.ErrInvalid, no}

	case status >= 500 && status <= 599:
		return verdict{unknown, batch.ErrUnavailable, again}
	}
	return verdict{unknown, batch.ErrProtocol, no} // 1xx, 3xx, and what is no HTTP status.
}

// refuses lists the statuses that a service uses to refuse a request, and a
// proxy to refuse to pass it on.
func refuses(status int) bool {
	switch status {
	case 400, 404, 405, 406, 411, 413, 414, 415, 422:
		return true
	}
	return false
}

// neverConnected needs two proofs together that nothing was sent: the
// transport has reported that it looked for a connection and never that it had
// one, and the error is one of those that come before there is a connection. A
// transport that reports nothing proves nothing.
func neverConnected(x exchange) bool {
	if !x.connecting || x.connected || x.err == nil {
		return false
	}
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(x.err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") || errors.As(x.err, &dns) {
		return true
	}
	return handshake(x.err) || errors.Is(x.err, context.Canceled) || errors.Is(x.err, context.DeadlineExceeded)
}

// handshake reports whether err is that of a TLS handshake.
func handshake(err error) bool {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &record) || errors.As(err, &alert) || errors.As(err, &verify) ||
		certificate(err) || errors.Is(err, http.ErrSchemeMismatch) || errText(err) == "net/http: TLS handshake timeout"
}

func certificate(err error) bool {
	var unknownAuthority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknownAuthority) || errors.As(err, &hostname) || errors.As(err, &invalid)
}

// permanent reports whether the next attempt would meet the same error.
func permanent(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return true
	}
	return handshake(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// errText is the text of the innermost error: net/http exports no value for
// some of its own.
func errText(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
