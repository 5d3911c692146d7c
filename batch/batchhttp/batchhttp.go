// Package batchhttp makes one HTTP call at a time for the client of a payment
// service, and says what its outcome means for money. The clients of citypay,
// centrapay, sixdotfifty and snapbill stand on it, and so can a provider of your
// own: examples/toypay is one, with a guide.
//
// # What it promises
//
// Every error of [Client.Do] is a *batch.Error. Each kind but batch.ErrAmbiguous
// promises that the call has had no effect, and will have none.
//
// Whether a call may be repeated is a property of the operation, declared in its
// [Op], and never of the HTTP method. A Repeatable operation is repeated by
// go-retryablehttp, a few times and within a budget. A Once operation is sent
// once: not by net/http, not by a middleware and not by this package is it sent
// again.
//
// All requests go over one transport, below any middleware: HTTP/1.1, a new
// connection for each request, TLS 1.2 or later, no redirects, no compression.
//
// # What you must say
//
// No status is a refusal by itself, because a proxy can answer any of them after
// the service has acted. [Config.Refusal] recognises the errors that your
// service documents, by content type, shape and words, and returns nil for
// everything else. A Once operation without such a refusal is ambiguous, and is
// decided by reading what the service has.
//
// [Call.Decode] reads a reply. Check there what decides: that the reply is about
// what was asked for, and that the fields are there by which your provider
// recognises a batch and its state. Keep what decides nothing in a [Text], which
// no reply can break. An error of Decode makes a Once operation ambiguous.
package batchhttp

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
)

// Safety says whether an operation may be sent more than once.
type Safety int

const (
	// Once is the zero value, the careful one: sent at most once; an unclear
	// fate is batch.ErrAmbiguous.
	Once Safety = iota
	// Repeatable is reading, or replacing a whole with the same whole.
	Repeatable
)

// An Op is one operation of a service. Path may hold {name} places, which
// Call.Params fill in order.
type Op struct {
	Name, Method, Path string
	Safety             Safety
}

// Config describes one service and one credential.
type Config struct {
	Provider   string       // the name in errors
	BaseURL    string       // https, or http on a loopback host; no userinfo, query or fragment
	HTTPClient *http.Client // optional; nil or *http.Transport: its proxy, dialer and certificates are used
	// Middleware, if set, wraps the wire on which all requests go. It is called once.
	Middleware func(http.RoundTripper) http.RoundTripper
	Logger     *slog.Logger // optional; op, status, duration, attempt; never bodies, headers or URLs

	// Header is sent with every request. Nothing in it is a secret.
	Header http.Header
	// Authorize sets the credential headers. It is called for every attempt,
	// last of all before the middleware. Its error means that nothing was sent.
	Authorize func(*http.Request) error
	// Unauthorized, if set, hears that this request was answered 401, so that
	// a token can be dropped; a Repeatable operation is then tried once more.
	Unauthorized func(*http.Request)
	// Refusal reads an error reply (any status but 2xx) and returns what it
	// means. It must return nil for every reply that is not documented by the
	// service, in status, content type, shape and words: a proxy can have
	// written it, and a Once operation is then ambiguous. A Kind of
	// ErrAmbiguous says that the service itself does not know.
	//
	// With these statuses a Once operation is refused: 400, 401, 403, 404, 405, 406,
	// 411, 413, 414, 415, 422, 425, 501 and 505, and 429 with ThrottleRejects. If
	// Kind is empty, the status gives it. With any other, such as 402 or 409, it
	// stays ambiguous, because the request that was refused may not be the only one
	// that arrived. Where your service documents such a status as a refusal, name it
	// in Call.Welcome, and let Call.Decode return the *batch.Error.
	Refusal func(status int, header http.Header, body []byte) *batch.Error
	// ThrottleRejects: the service documents that a 429 in its own words was
	// not processed.
	ThrottleRejects bool
	// Secrets never appear in an error, whatever a service echoes.
	Secrets []Secret
}

// A Call is one use of an operation.
type Call struct {
	Op          Op
	Params      []string // path parameters, checked and escaped
	Query       url.Values
	ContentType string
	Accept      string // the type of the reply; empty means application/json
	Body        []byte
	MaxReply    int64 // bytes of the reply that are read at the most; 0, and any for a Once operation, means 1 MiB
	MaxValues   int   // JSON values of the reply that are read at the most; 0 means 100,000

	// Welcome, if set, names statuses beside 2xx whose body is for Decode: an
	// answer, not an error.
	Welcome func(status int) bool
	// Reply, if set, receives the status and header of every reply.
	Reply *Reply
	// Refusal, if set, is used instead of Config.Refusal, for an operation with codes of its own.
	Refusal func(status int, header http.Header, body []byte) *batch.Error
	// Secrets are in the body of this call, and never appear in its error.
	Secrets []Secret

	// Decode reads the body of a 2xx reply; nil ignores it. An error that is a
	// *batch.Error is the service's own refusal; any other means that the
	// reply makes no sense. It may be called again for another attempt.
	Decode func(body io.Reader) error
}

// A Reply is what came before the body.
type Reply struct {
	Status int
	Header http.Header
}

// Client makes the calls of one provider client.
type Client struct {
	config Config
	base   *url.URL          // where requests go
	name   string            // base in its canonical form
	once   http.RoundTripper // what the wire sends with
	reads  http.RoundTripper
	stack  http.RoundTripper // the middleware around the wire
	words  redactor
	budget atomic.Int64 // what failed reads may still spend on being repeated
	noWait bool         // for tests on real sockets, where time is real
}

// New checks the configuration. It does no I/O.
func New(c Config) (*Client, error) {
	invalid := func(field, message string) error {
		return batch.Invalid(c.Provider, "New", []batch.FieldError{{Item: -1, Field: field, Message: message}})
	}
	base, fault := parseBase(c.BaseURL)
	if fault != "" {
		return nil, invalid("BaseURL", fault)
	}
	once, reads, fault := transports(c.HTTPClient)
	if fault != "" {
		return nil, invalid("HTTPClient", fault)
	}
	c.Secrets, c.Header = slices.Clone(c.Secrets), c.Header.Clone()
	client := &Client{config: c, base: base, name: canonical(base), once: once, reads: reads, stack: wire{}}
	client.words.fixed = c.Secrets
	if c.Middleware != nil {
		if client.stack = c.Middleware(wire{}); client.stack == nil {
			return nil, invalid("Middleware", "must return a RoundTripper; it returned nil")
		}
	}
	client.budget.Store(budgetLimit)
	return client, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() {
	for _, t := range []http.RoundTripper{c.once, c.reads} {
		if t, ok := t.(interface{ CloseIdleConnections() }); ok {
			t.CloseIdleConnections()
		}
	}
}

// Do makes one call. Every error is a *batch.Error.
func (c *Client) Do(ctx context.Context, call Call) error {
	target, err := c.target(call)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return c.fail(call.Op, batch.ErrUnavailable, "nothing was sent", err)
	}
	if call.Op.Safety == Once {
		return c.sendOnce(ctx, call, target)
	}
	return c.sendRepeatable(ctx, call, target)
}

// onceLimit is how long a whole exchange may take: a service that answers a
// byte now and then would otherwise hold its caller for hours.
const onceLimit = 10 * time.Minute

// sendOnce is the path of everything that must not be sent twice.
func (c *Client) sendOnce(ctx context.Context, call Call, target string) error {
	ctx, stop := context.WithTimeout(ctx, onceLimit)
	defer stop()
	req, err := c.newRequest(ctx, call, target)
	if err != nil {
		return c.fail(call.Op, batch.ErrInvalid, "no request can be made of this", nil)
	}
	req.GetBody = nil // Nothing below can send the body again.
	a, err := c.attempt(req, call, 1)
	if err != nil {
		return c.unauthorized(call.Op, err)
	}
	a.read(call)
	return a.finish(call.Op)
}

// attempt authorizes and sends one request. Its error is that of Authorize.
func (c *Client) attempt(req *http.Request, call Call, number int) (*attempt, error) {
	a := &attempt{client: c, outer: req.Context(), number: number, start: time.Now()}
	a.wire, a.safety = c, call.Op.Safety
	a.words.fixed = append(slices.Clip(c.config.Secrets), call.Secrets...)
	a.ctx, a.cancel = context.WithCancelCause(a.outer)
	req = req.WithContext(context.WithValue(a.ctx, sendingKey{}, &a.sending))
	if err := a.authorize(req); err != nil {
		a.cancel(nil)
		return nil, err
	}
	a.send(req)
	if a.status == http.StatusUnauthorized && c.config.Unauthorized != nil {
		c.config.Unauthorized(req)
	}
	return a, nil
}

func (c *Client) newRequest(ctx context.Context, call Call, target string) (*http.Request, error) {
	var body io.Reader
	if call.Body != nil {
		body = bytes.NewReader(call.Body)
	}
	req, err := http.NewRequestWithContext(ctx, call.Op.Method, target, body)
	if err != nil {
		return nil, err
	}
	c.setHeaders(req.Header, call)
	return req, nil
}

func (c *Client) setHeaders(h http.Header, call Call) {
	maps.Copy(h, c.config.Header)
	h.Set("Accept", cmp.Or(call.Accept, "application/json"))
	h.Set("Accept-Encoding", "identity") // Without it, a service may choose any coding (RFC 9110 12.5.3).
	h.Set("User-Agent", "batchway-go")
	if call.ContentType != "" {
		h.Set("Content-Type", call.ContentType)
	}
}

// target builds the URL of a call, on BaseURL's host and below its path.
func (c *Client) target(call Call) (string, error) {
	var path strings.Builder
	rest, params := call.Op.Path, call.Params
	for {
		before, after, found := strings.Cut(rest, "{")
		path.WriteString(before)
		if !found {
			break
		}
		name, tail, _ := strings.Cut(after, "}")
		if len(params) == 0 || !plainSegment(params[0]) {
			return "", batch.Invalid(c.config.Provider, call.Op.Name, []batch.FieldError{{Item: -1, Field: name,
				Message: "cannot be part of a path: it must be 1 to 128 bytes without control characters and / \\ ? # %"}})
		}
		path.WriteString(url.PathEscape(params[0]))
		rest, params = tail, params[1:]
	}
	target := c.base.Scheme + "://" + c.base.Host + c.base.EscapedPath() + path.String()
	if len(call.Query) > 0 {
		target += "?" + call.Query.Encode()
	}
	return target, nil
}

func plainSegment(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= 128 && utf8.ValidString(s) &&
		!strings.ContainsAny(s, "/\\?#%") && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// fail returns an error of this client that no reply has caused.
func (c *Client) fail(op Op, kind batch.Kind, message string, err error) *batch.Error {
	return &batch.Error{Kind: kind, Provider: c.config.Provider, Op: op.Name, Message: message, Err: err}
}
