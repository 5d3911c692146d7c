package batchhttp

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// A wire is the bottom of every stack, below any middleware. It alone sends,
// and it keeps count: a middleware can neither send a Once call twice nor
// report a sending that did not happen.
type wire struct{}

// A sending is what the wire knows about one attempt. It travels in the
// context of the request.
type sending struct {
	wire   *Client // whose transports send it
	safety Safety
	ctx    context.Context // of the attempt: when it ends, so does every request of it

	conns atomic.Int64 // requests that got a connection: net/http writes none without

	mu            sync.Mutex
	asked, active int  // requests that reached the wire, and those of them under way
	ended         bool // the attempt is over: a request that comes now is too late
}

type sendingKey struct{}

// A wireError is an error of the wire itself, whatever a middleware puts around it.
type wireError struct {
	sending *sending
	err     error
}

func (e *wireError) Error() string { return e.err.Error() }
func (e *wireError) Unwrap() error { return e.err }

var (
	errNewContext = errors.New(
		"a middleware replaced the context of the request; it must derive its own from that one")
	errSecondSend  = errors.New("a middleware sent the request again; the second request was refused")
	errLateSend    = errors.New("a middleware sent the request after the call had ended; it was refused")
	errAnotherHost = errors.New("a middleware changed the host of the request; it was refused")
)

// RoundTrip sends a request by the transport of its path.
func (wire) RoundTrip(r *http.Request) (*http.Response, error) {
	refuse := func(s *sending, err error) (*http.Response, error) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, &wireError{s, err}
	}
	s, _ := r.Context().Value(sendingKey{}).(*sending)
	if s == nil {
		return refuse(nil, errNewContext)
	}
	if err := s.begin(r); err != nil {
		return refuse(s, err)
	}
	defer s.done()
	// The request keeps the values of a middleware's context, and ends with the attempt.
	ctx, cancel := context.WithCancelCause(r.Context())
	context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { s.conns.Add(1) },
	}))
	transport := s.wire.reads
	if s.safety == Once {
		transport = s.wire.once
		r.GetBody = nil // net/http has no means to send the body again.
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return nil, &wireError{s, err}
	}
	return response, nil
}

func (s *sending) begin(r *http.Request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	base := s.wire.base
	switch {
	case s.ended:
		return errLateSend
	case r.URL == nil || r.URL.Scheme != base.Scheme || r.URL.Host != base.Host || r.Host != "" && r.Host != base.Host:
		return errAnotherHost // It would get the credentials.
	case s.safety == Once && s.asked > 0:
		return errSecondSend
	}
	s.asked++
	s.active++
	return nil
}

func (s *sending) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
}

// end refuses all further requests of the attempt. It reports whether err
// comes from a wire and nothing has been or will be sent: without a
// connection, the dial, the handshake or the proxy failed.
func (s *sending) end(err error) (unsent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	var ours *wireError
	return errors.As(err, &ours) && (ours.sending == nil || ours.sending == s) && s.active == 0 && s.conns.Load() == 0
}
