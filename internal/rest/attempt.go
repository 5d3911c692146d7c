package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/batchway/batchway-go/batch"
)

const (
	defaultMaxReply = 1 << 20
	maxErrorReply   = 64 << 10
	bodyIdle        = 15 * time.Second // a body may pause for so long
)

var (
	errTooLarge = errors.New("the reply is larger than allowed")
	errIdle     = errors.New("the reply stopped arriving")
)

// An attempt is one request and what came of it.
type attempt struct {
	client      *Client
	safety      Safety
	number      int
	start       time.Time
	secrets     []string // those of the client, and what Authorize has set
	response    *http.Response
	location    string      // where a redirect would go
	wanted, had atomic.Bool // a connection, as the transport reports
	exchange
}

// authorize sets the credentials and learns what must not leak.
func (a *attempt) authorize(req *http.Request) error {
	c := a.client
	a.secrets = c.config.Secrets
	if c.config.Authorize == nil {
		return nil
	}
	if req.URL.Host != c.base.Host || req.URL.Scheme != c.base.Scheme {
		return c.fail(Op{}, batch.ErrInvalid, "refusing to send credentials to another host", nil)
	}
	before := req.Header.Clone()
	if err := c.config.Authorize(req); err != nil {
		return err
	}
	for name, values := range req.Header {
		if _, had := before[name]; had {
			continue
		}
		for _, value := range values {
			a.secrets = append(a.secrets[:len(a.secrets):len(a.secrets)], value)
			if _, token, ok := strings.Cut(value, " "); ok {
				a.secrets = append(a.secrets, token)
			}
		}
	}
	return nil
}

// trace watches whether a connection was ever obtained.
func (a *attempt) trace(req *http.Request) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { a.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { a.had.Store(true) },
	}))
}

// read reads the reply, if there is one, and decodes it. cancel ends the
// request's context: what makes a silent body return.
func (a *attempt) read(call Call, cancel context.CancelCauseFunc) {
	a.connecting, a.connected = a.wanted.Load(), a.had.Load()
	a.throttles = a.client.config.ThrottleRejects
	if a.response == nil {
		return
	}
	defer func() { _ = a.response.Body.Close() }()
	if call.Reply != nil {
		*call.Reply = Reply{a.status, a.response.Header}
	}
	a.welcome = a.status >= 200 && a.status <= 299 || call.Welcome != nil && call.Welcome(a.status)
	limit := call.MaxReply
	if limit <= 0 {
		limit = defaultMaxReply
	}
	if !a.welcome {
		limit = maxErrorReply
	}
	idle := time.AfterFunc(bodyIdle, func() { cancel(errIdle) })
	defer idle.Stop()
	body := &bodyReader{body: a.response.Body, left: limit, idle: idle}
	if a.welcome {
		a.decode(call, body)
	} else {
		a.readRefusal(body)
	}
	if a.err != nil && errors.Is(context.Cause(a.response.Request.Context()), errIdle) {
		a.err = errIdle
	}
}

// decode reads a 2xx reply to its very end.
func (a *attempt) decode(call Call, body io.Reader) {
	header := a.response.Header
	if encoding := header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		a.err = fmt.Errorf("the reply is encoded as %q, which nobody asked for", clean(encoding, a.secrets))
		return
	}
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind == "text/html" || strings.HasSuffix(kind, "xml") {
		a.err = fmt.Errorf("the reply is %s: something other than the service has answered", kind)
		return
	}
	if call.Decode != nil {
		err := call.Decode(body)
		if refusal := (*batch.Error)(nil); errors.As(err, &refusal) {
			a.refusal, a.decoded = refusal, negative
			return
		}
		if a.err = err; err != nil {
			return
		}
	}
	// A reply that is cut off after its last brace is cut off all the same.
	if _, a.err = io.Copy(io.Discard, body); a.err == nil {
		a.decoded = positive
	}
}

func (a *attempt) readRefusal(body io.Reader) {
	if a.client.config.Refusal == nil {
		return
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return // Half a refusal is none.
	}
	a.refusal = a.client.config.Refusal(a.status, a.response.Header, text)
}

// finish turns the exchange into the error of the call, or nil.
func (a *attempt) finish(op Op) error {
	v := classify(a.safety, a.exchange)
	a.log(op, v)
	if v.outcome == accepted {
		return nil
	}
	return a.error(op, v)
}

func (a *attempt) error(op Op, v verdict) *batch.Error {
	e := &batch.Error{Kind: v.kind, Provider: a.client.config.Provider, Op: op.Name, Status: a.status}
	if a.response != nil {
		h := a.response.Header
		e.RetryAfter = retryAfter(h.Get("Retry-After"), time.Now())
		e.RequestID = clean(first(h.Get("X-Request-Id"), h.Get("Request-Id")), a.secrets)
		if a.status >= 300 && a.status <= 399 && a.location != "" {
			e.Message = "redirects are not followed; this one goes to " + clean(whereTo(a.location), a.secrets)
		}
	}
	if r := a.refusal; r != nil {
		e.Code, e.Message = clean(r.Code, a.secrets), clean(r.Message, a.secrets)
		e.Fields = r.Fields
		if r.RequestID != "" {
			e.RequestID = clean(r.RequestID, a.secrets)
		}
		if r.Err != nil {
			e.Err = cleanCause(r.Err, a.secrets)
		}
	}
	if a.err != nil {
		e.Err = cleanCause(a.err, a.secrets)
	}
	return e
}

func (a *attempt) log(op Op, v verdict) {
	logger := a.client.config.Logger
	if logger == nil {
		return
	}
	level := slog.LevelDebug
	if v.outcome != accepted {
		level = slog.LevelWarn
	}
	logger.LogAttrs(a.context(), level, "call",
		slog.String("provider", a.client.config.Provider), slog.String("op", op.Name), slog.Int("attempt", a.number),
		slog.Int("status", a.status), slog.Duration("duration", time.Since(a.start)), slog.String("kind", string(v.kind)))
}

func (a *attempt) context() context.Context {
	if a.response != nil && a.response.Request != nil {
		return a.response.Request.Context()
	}
	return context.Background()
}

// whereTo names the target of a redirect by scheme and host alone.
func whereTo(location string) string {
	target, err := url.Parse(location)
	if err != nil {
		return "nowhere"
	}
	if target.Host == "" {
		return "the same host"
	}
	return target.Scheme + "://" + target.Host
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// retryAfter reads the header of that name, in seconds or as a date. What is
// no such thing, or in the past, is 0; what is absurd is a day.
func retryAfter(value string, now time.Time) time.Duration {
	const most = 24 * time.Hour
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(most/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		return most
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), most)
}

// bodyReader reads a body up to a limit, and restarts the idle timer with
// every byte that comes.
type bodyReader struct {
	body io.Reader
	left int64
	idle *time.Timer
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// One byte more decides whether it ends here.
		n, err := b.body.Read(p[:min(1, len(p))])
		if n > 0 {
			return 0, errTooLarge
		}
		return 0, err
	}
	n, err := b.body.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if n > 0 {
		b.idle.Reset(bodyIdle)
	}
	return n, err
}
