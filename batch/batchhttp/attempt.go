package batchhttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
)

const (
	defaultMaxReply  = 1 << 20
	defaultMaxValues = 100_000
	maxErrorReply    = 64 << 10
	bodyIdle         = 15 * time.Second // a body may pause for so long
)

var (
	errTooLarge = errors.New("the reply is larger than allowed")
	errTooMany  = errors.New("the reply holds more values than allowed")
	errIdle     = errors.New("the reply stopped arriving")
)

// An attempt is one request and what came of it.
type attempt struct {
	client   *Client
	outer    context.Context         // of the call
	cancel   context.CancelCauseFunc // ends ctx, the attempt's own: a silent body returns
	number   int
	start    time.Time
	words    redactor // of the client's secrets and those of this request
	header   http.Header
	body     io.ReadCloser // nil if there is no reply
	location string        // where a redirect would go
	sending
	exchange
}

// authorize sets the credentials and learns what must not leak.
func (a *attempt) authorize(req *http.Request) error {
	c := a.client
	if c.config.Authorize == nil {
		return nil
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
			_, token, _ := strings.Cut(value, " ")
			a.words.learn(value, token)
			c.words.learn(value, token)
		}
	}
	return nil
}

// send sends the request through the middleware, whose reply may be anything.
func (a *attempt) send(req *http.Request) {
	response, err := a.roundTrip(req) //nolint:bodyclose // attempt.read closes it.
	switch {
	case err != nil:
		a.err = err
		if response != nil && response.Body != nil {
			a.close(response.Body)
		}
	case response == nil:
		a.err = errors.New("a middleware gave neither a reply nor an error")
	default:
		a.status, a.body, a.header = response.StatusCode, response.Body, response.Header.Clone()
		if a.body == nil {
			a.body = http.NoBody
		}
		if a.header == nil {
			a.header = http.Header{}
		}
		if a.status < 100 {
			a.err = fmt.Errorf("the reply has status %d, which is not a valid HTTP status", a.status)
			a.status = 0
		}
		a.location = a.header.Get("Location")
	}
	if a.err != nil {
		a.unsent = a.end(a.err)
	}
}

// roundTrip turns a panic of a middleware into an error: the request may have
// been sent, and the caller must learn that it is in doubt.
func (a *attempt) roundTrip(req *http.Request) (response *http.Response, err error) {
	defer recoverTo(&err)
	response, err = a.client.stack.RoundTrip(req)
	if err != nil {
		_ = err.Error() // A nil pointer in err panics here, and not in the caller.
		_ = errors.Is(err, io.EOF)
	}
	return response, err
}

func recoverTo(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("a middleware panicked: %v", p)
	}
}

func (a *attempt) close(body io.Closer) {
	var err error
	defer recoverTo(&err)
	_ = body.Close()
}

// read reads the reply, if there is one, and decodes it.
func (a *attempt) read(call Call) {
	a.throttles = a.client.config.ThrottleRejects
	defer func() {
		a.end(nil)
		a.cancel(nil)
		a.sent = int(a.conns.Load())
	}()
	if a.body == nil {
		return
	}
	defer a.close(a.body)
	if a.err != nil {
		return
	}
	if call.Reply != nil {
		*call.Reply = Reply{a.status, a.header}
	}
	a.welcome = a.status >= 200 && a.status <= 299 || call.Welcome != nil && call.Welcome(a.status)
	limit, values := call.MaxReply, call.MaxValues
	if limit <= 0 || a.safety == Once {
		limit = defaultMaxReply
	}
	if values <= 0 {
		values = defaultMaxValues
	}
	if !a.welcome {
		limit = maxErrorReply
	}
	idle := time.AfterFunc(bodyIdle, func() { a.cancel(errIdle) })
	defer idle.Stop()
	body := &bodyReader{ctx: a.ctx, body: a.body, limit: limit, left: limit, values: values, idle: idle}
	if a.welcome {
		a.decode(call, body)
	} else {
		a.readRefusal(call, body)
	}
}

// decode reads a 2xx reply to its very end.
func (a *attempt) decode(call Call, body *bodyReader) {
	if encoding := a.header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		a.err = fmt.Errorf("the reply is encoded as %q; only identity is accepted", a.words.clean(encoding))
		return
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if kind == "text/html" || strings.HasSuffix(kind, "xml") {
		a.err = fmt.Errorf("the reply is %s: something other than the service has answered", kind)
		return
	}
	var err error
	if call.Decode != nil {
		err = call.Decode(body)
	}
	// A reply that is cut off after its last brace is cut off all the same.
	if err == nil || errors.As(err, new(*batch.Error)) {
		_, _ = io.Copy(io.Discard, body)
	}
	// The decoder's error may hide why the body ended, and a body's own error is never a refusal.
	if body.err != nil {
		a.err = body.err
		return
	}
	if a.err = err; err == nil {
		a.decoded = positive
	} else if errors.As(err, &a.refusal) {
		a.err, a.decoded = nil, negative
	}
}

func (a *attempt) readRefusal(call Call, body *bodyReader) {
	refusal := a.client.config.Refusal
	if call.Refusal != nil {
		refusal = call.Refusal
	}
	if refusal == nil {
		return
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return // A truncated error body is ignored: it could hide what was refused.
	}
	a.refusal = refusal(a.status, a.header, text)
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
	if asked := a.header.Values("Retry-After"); len(asked) == 1 { // Two say nothing: a proxy has added one.
		e.RetryAfter = retryAfter(asked[0], time.Now())
	}
	e.RequestID = a.words.clean(first(a.header.Get("X-Request-Id"), a.header.Get("Request-Id")))
	if a.status >= 300 && a.status <= 399 && a.location != "" {
		e.Message = "redirects are not followed; this one goes to " + a.words.clean(whereTo(a.location))
	}
	if r := a.refusal; r != nil {
		e.Code, e.Message = a.words.clean(r.Code), a.words.clean(r.Message)
		e.Fields = a.words.cleanFields(r.Fields)
		if r.RequestID != "" {
			e.RequestID = a.words.clean(r.RequestID)
		}
		if r.Err != nil {
			e.Err = a.words.cleanCause(r.Err)
		}
	}
	if a.safety == Once && a.sent > 1 {
		e.Message = fmt.Sprintf("%d requests were sent, and each can have moved money", a.sent)
	}
	if a.err != nil {
		e.Err = a.words.cleanCause(a.err)
	}
	if v.outcome != rejected {
		withEnded(a.outer, e)
	}
	return e
}

// withEnded lets an error match the error of a context that has ended: what
// net/http and decoders return does not always.
func withEnded(ctx context.Context, e *batch.Error) {
	ended := ctx.Err()
	switch {
	case ended == nil || errors.Is(e.Err, ended):
	case e.Err == nil:
		e.Err = ended
	default:
		e.Err = fmt.Errorf("%w: %w", ended, e.Err)
	}
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
	logger.LogAttrs(a.outer, level, "call",
		slog.String("provider", a.client.config.Provider), slog.String("op", op.Name), slog.Int("attempt", a.number),
		slog.Int("status", a.status), slog.Duration("duration", time.Since(a.start)),
		slog.String("kind", string(v.kind)))
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

// bodyReader reads a body up to its limits, and restarts the idle timer with
// every byte that comes. It keeps why the body ended before its end.
type bodyReader struct {
	ctx    context.Context
	body   io.Reader
	limit  int64 // bytes
	left   int64 // of them
	values int   // JSON values: a few bytes of a reply can become a hundred in memory
	idle   *time.Timer
	err    error
}

func (b *bodyReader) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	// At the limit, one byte more decides whether the body ends here.
	most := min(int64(len(p)), max(b.left, 1))
	n, err := b.next(p[:most])
	switch {
	case context.Cause(b.ctx) != nil:
		err = context.Cause(b.ctx) // Some bodies go on, or hide why they ended.
	case n < 0 || int64(n) > most:
		n, err = 0, errors.New("a middleware gave a body that miscounts its bytes")
	case int64(n) > b.left:
		n, err = 0, errTooLarge
	case n > 0:
		b.left -= int64(n)
		b.idle.Reset(bodyIdle)
		// Each value but the first follows one of these; those in strings count as well.
		for _, separator := range []string{",", "[", "{"} {
			b.values -= bytes.Count(p[:n], []byte(separator))
		}
		if b.values < 0 {
			n, err = 0, errTooMany
		}
	}
	if err != nil && err != io.EOF { //nolint:errorlint // A reader returns it bare.
		b.err = err
		return 0, err
	}
	return n, err
}

// whole reads what is left. The buffer doubles up to the limit and no further: it
// and the one before it take at most one and a half times the limit.
func (b *bodyReader) whole() ([]byte, error) {
	most := int(b.left) + 1 // One byte more, to see the end.
	size := most
	for size > 64<<10 {
		size = (size + 1) / 2
	}
	text := make([]byte, 0, size)
	for {
		n, err := b.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case err == io.EOF: //nolint:errorlint // A reader returns it bare.
			return text, nil
		case err != nil:
			return nil, err
		case len(text) == cap(text):
			text = append(make([]byte, 0, min(2*cap(text), most)), text...)
		}
	}
}

func (b *bodyReader) next(p []byte) (n int, err error) {
	defer recoverTo(&err)
	return b.body.Read(p)
}
