package batchhttp

import (
	"crypto/tls"
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
	unsent    bool         // our own transport proves that no byte of a request has left
	sent      int          // requests that our own transport has sent, or tried to
	err       error        // why there is no reply, or no whole one
	status    int          // 0 if there is no reply
	refusal   *batch.Error // the service's own documented refusal; nil if the reply is anything else
	throttles bool         // the service documents that a 429 was not processed
	welcome   bool         // the status is 2xx, or another whose body is an answer
	decoded   decoding     // of a welcome reply
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

// classify is the table that decides about money. No status is a refusal by
// itself: a proxy can answer any of them after the service has acted. Doubt
// always falls on the side of unknown.
func classify(safety Safety, x exchange) verdict {
	v := judge(x)
	if safety == Once {
		v.retry = false
		if x.sent > 1 || x.refusal != nil && x.refusal.Kind == batch.ErrAmbiguous {
			v.outcome = unknown
		}
		if v.outcome == unknown {
			v.kind = batch.ErrAmbiguous
		}
		return v
	}
	if x.refusal != nil && x.refusal.Kind == batch.ErrAuth {
		return verdict{rejected, batch.ErrAuth, false} // Whatever the status: another attempt has the same credential.
	}
	if v.kind == batch.ErrAmbiguous {
		return verdict{unknown, batch.ErrUnavailable, v.retry} // A read has no effect that could be in doubt.
	}
	return v
}

// judge says what each reply means; the kind of an unknown outcome is the one
// for reads.
func judge(x exchange) verdict {
	const no, again = false, true
	// refused is for a status with which a service may refuse: without the
	// service's own words it decides nothing.
	refused := func(kind batch.Kind, retry bool) verdict {
		switch {
		case x.refusal == nil:
			return verdict{unknown, kind, retry}
		case x.refusal.Kind != "":
			return verdict{rejected, x.refusal.Kind, retry}
		}
		return verdict{rejected, kind, retry}
	}
	switch status := x.status; {
	case status == 0 && x.unsent:
		return verdict{notSent, batch.ErrUnavailable, !permanent(x.err)}
	case status == 0:
		return verdict{unknown, batch.ErrUnavailable, again}

	case x.welcome:
		switch x.decoded {
		case positive:
			return verdict{accepted, "", no}
		case negative:
			return refused(batch.ErrInvalid, no)
		}
		return verdict{unknown, batch.ErrProtocol, again}

	case status == 401, status == 403:
		return refused(batch.ErrAuth, no)
	case status == 404 && x.refusal != nil:
		return refused(batch.ErrNotFound, no)
	case status == 425:
		return refused(batch.ErrUnavailable, again)
	case status == 429 && x.throttles:
		return refused(batch.ErrThrottled, again)
	case status == 429:
		return verdict{unknown, batch.ErrThrottled, again}
	case status == 501, status == 505:
		return refused(batch.ErrUnsupported, no)
	case refuses(status) && x.refusal != nil:
		return refused(batch.ErrInvalid, no)

	case status == 409, status == 423:
		return verdict{unknown, batch.ErrConflict, no}
	case status == 408, status >= 500 && status <= 599:
		return verdict{unknown, batch.ErrUnavailable, again}
	}
	// A proxy's 4xx, 1xx, 3xx, and what is not an HTTP status.
	return verdict{unknown, batch.ErrProtocol, no}
}

// refuses lists the other statuses that a service uses to refuse a request.
func refuses(status int) bool {
	switch status {
	case 400, 405, 406, 411, 413, 414, 415, 422:
		return true
	}
	return false
}

// permanent reports whether the next attempt would meet the same error.
func permanent(err error) bool {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &record) ||
		errors.As(err, &verify) || errors.Is(err, http.ErrSchemeMismatch)
}
