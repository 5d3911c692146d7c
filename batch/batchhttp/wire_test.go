package batchhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// with is a middleware from a function.
func with(f func(next http.RoundTripper, r *http.Request) (*http.Response, error)) func(*Config) {
	return func(c *Config) {
		c.Middleware = func(next http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) { return f(next, r) })
		}
	}
}

// again is the same request as a retrying middleware makes it.
func again(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(strings.NewReader(`{"n":1}`))
	return r
}

// Whatever a middleware does, a call that moves money is sent once.
func TestMiddlewareSendsAOnceCallOnce(t *testing.T) {
	never := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s arrived at another host", r.URL)
	}))
	defer never.Close()
	elsewhere, _ := url.Parse(never.URL)
	for name, c := range map[string]struct {
		status   int
		send     func(next http.RoundTripper, r *http.Request) (*http.Response, error)
		kind     batch.Kind
		arrive   int
		reads    int // requests of a read that arrive; 0 if that is not tried
		says     string
		contrary string
	}{
		"it passes the request on": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			return next.RoundTrip(r)
		}, "", 1, 1, "", ""},
		"it tries again after a 503": {503, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			if first, err := next.RoundTrip(r); err == nil {
				_ = first.Body.Close()
			}
			return next.RoundTrip(again(r))
		}, batch.ErrAmbiguous, 1, 6, "the second request was refused", ""},
		"it sends twice and returns the first reply": {200,
			func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				first, err := next.RoundTrip(r)
				if second, err := next.RoundTrip(again(r)); err == nil {
					_ = second.Body.Close()
				}
				return first, err
			}, "", 1, 2, "", ""},
		"it sends two at once": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			replies := make(chan *http.Response, 2)
			for _, r := range []*http.Request{again(r), again(r)} {
				go func() { reply, _ := next.RoundTrip(r); replies <- reply }() //nolint:bodyclose // Returned.
			}
			for range 2 {
				if reply := <-replies; reply != nil {
					return reply, nil
				}
			}
			return nil, errors.New("none was answered")
		}, "", 1, 0, "", ""},
		"it sends the second with a context of its own": {503,
			func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				if first, err := next.RoundTrip(r); err == nil {
					_ = first.Body.Close()
				}
				return next.RoundTrip(again(r).WithContext(context.Background()))
			}, batch.ErrAmbiguous, 1, 3, "replaced the context", ""},
		"it sends with a context of its own": {200,
			func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				return next.RoundTrip(r.WithContext(context.Background()))
			}, batch.ErrUnavailable, 0, 0, "replaced the context", ""},
		"it makes a request of its own": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			fresh, _ := http.NewRequest(r.Method, r.URL.String(), r.Body) //nolint:noctx // That is the fault.
			return next.RoundTrip(fresh)
		}, batch.ErrUnavailable, 0, 0, "replaced the context", ""},
		"it detaches the context": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			return next.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		}, "", 1, 1, "", ""},
		"it makes the body repeatable": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			r = again(r)
			r.Close, r.GetBody = false, func() (io.ReadCloser, error) { return r.Body, nil }
			r.Header.Set("Idempotency-Key", "x")
			return next.RoundTrip(r)
		}, "", 1, 1, "", ""},
		"it sends to another host": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Host = elsewhere.Host
			return next.RoundTrip(r)
		}, batch.ErrUnavailable, 0, 0, "changed the host", ""},
		"it names another host": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Host = "other.test"
			return next.RoundTrip(r)
		}, batch.ErrUnavailable, 0, 0, "changed the host", ""},
		"it sends without a URL": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL = nil
			return next.RoundTrip(r)
		}, batch.ErrUnavailable, 0, 0, "changed the host", ""},
		"it breaks a header": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("X", "a\r\nb")
			return next.RoundTrip(r)
		}, batch.ErrUnavailable, 0, 0, "invalid header field value", ""},
		"it answers by itself": {500, func(http.RoundTripper, *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"ok":true}`))}, nil
		}, "", 0, 0, "", ""},
		"it fails by itself": {200, func(http.RoundTripper, *http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}, batch.ErrAmbiguous, 0, 0, "connection refused", ""},
		"it fails after a reply": {200, func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			reply, _ := next.RoundTrip(r)
			return reply, io.EOF
		}, batch.ErrAmbiguous, 1, 3, "EOF", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, op := range []Op{opPay, opRead} {
				want := c.arrive
				if op.Safety == Repeatable {
					if want = c.reads; want == 0 {
						continue
					}
				}
				s := serveRaw(t, func(int) (string, string) {
					return reply(fmt.Sprint(c.status, " X"), asJSON, `{"ok":true}`), ""
				})
				err := newClient(t, s.url, with(c.send)).Do(t.Context(),
					Call{Op: op, Body: []byte(`{"n":1}`), Decode: decodeOK})
				if op.Safety == Once {
					require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				}
				if c.says != "" && op.Safety == Once {
					require.ErrorContains(t, err, c.says)
				}
				require.EqualValues(t, want, s.requests.Load(), "%s: %v", op.Name, err)
			}
		})
	}
}

// A middleware that leaves before the wire has answered proves nothing, and
// cannot send afterwards.
func TestMiddlewareThatLeavesEarly(t *testing.T) {
	var late sync.WaitGroup
	defer late.Wait()
	t.Run("the request is under way", func(t *testing.T) {
		arrived := make(chan struct{})
		s := serveRaw(t, func(int) (string, string) { close(arrived); return "", holdIt })
		err := newClient(t, s.url, with(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			late.Go(func() { _, _ = next.RoundTrip(r) }) //nolint:bodyclose // There is no reply.
			<-arrived
			return nil, context.DeadlineExceeded
		})).Do(t.Context(), Call{Op: opPay, Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
	})
	t.Run("the request is being dialled", func(t *testing.T) {
		dialling, leave := make(chan struct{}), make(chan struct{})
		defer close(leave)
		client := newClient(t, "http://localhost",
			with(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
				late.Go(func() { _, _ = next.RoundTrip(r) }) //nolint:bodyclose // There is no reply.
				<-dialling
				return next.RoundTrip(r) // Refused by the wire: its error is no proof while the first is under way.
			}), func(c *Config) {
				c.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string,
					string) (net.Conn, error) {
					close(dialling)
					<-leave
					return nil, io.EOF
				}}}
			})
		require.ErrorIs(t, client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK}), batch.ErrAmbiguous)
	})
	t.Run("the request comes after the call", func(t *testing.T) {
		s := serveRaw(t, always(reply("200 OK", asJSON, `{"ok":true}`), ""))
		ended, refused := make(chan struct{}), make(chan error, 2)
		client := newClient(t, s.url, with(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
			late.Go(func() {
				<-ended
				_, err := next.RoundTrip(again(r)) //nolint:bodyclose // There is no reply.
				refused <- err
			})
			return nil, context.DeadlineExceeded
		}))
		require.ErrorIs(t, client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK}), batch.ErrAmbiguous)
		close(ended)
		require.ErrorIs(t, <-refused, errLateSend)
		require.Zero(t, s.requests.Load())
	})
}

// The context of a call reaches the wire through any middleware.
func TestADetachedContextEndsWithTheCall(t *testing.T) {
	s := serveRaw(t, always("", holdIt))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-s.bodies; cancel() }()
	err := newClient(t, s.url, with(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		return next.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
	})).Do(ctx, Call{Op: opPay, Body: []byte("x"), Decode: decodeOK})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.ErrorIs(t, err, context.Canceled)
}

// A middleware traces the wire, and ours is not lost for it.
func TestMiddlewareTracesTheWire(t *testing.T) {
	s := serveRaw(t, always(reply("200 OK", asJSON, `{"ok":true}`), ""))
	var had atomic.Int64
	require.NoError(t, newClient(t, s.url, with(func(next http.RoundTripper, r *http.Request) (*http.Response, error) {
		trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { had.Add(1) }}
		return next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	})).Do(t.Context(), Call{Op: opPay, Decode: decodeOK}))
	require.EqualValues(t, 1, had.Load())
}

// The last line of defence: net/http itself has sent more than it was asked to.
func TestAWireThatSendsTwiceIsAmbiguous(t *testing.T) {
	client := newClient(t, "https://service.test")
	client.once = roundTrip(func(r *http.Request) (*http.Response, error) {
		for range 2 {
			httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
		}
		return answer(r, 200), nil
	})
	err := client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.ErrorContains(t, err, "2 requests were sent, and each can have moved money")
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("in Read") }
func (panics) Close() error             { panic("in Close") }
func (panics) Error() string            { panic("in Error") }

type body struct {
	io.Reader
	io.Closer
}

type count int

func (n count) Read(p []byte) (int, error) { return int(n) + len(p), nil }

type forever struct{}

func (forever) Read([]byte) (int, error) { return 0, nil }

// No reply of a middleware makes a caller panic or hang, and none is believed
// that is not whole.
func TestNoReplyOfAMiddlewarePanics(t *testing.T) {
	ok := func() io.ReadCloser { return io.NopCloser(strings.NewReader(`{"ok":true}`)) }
	var noURLError *url.Error
	var noOpError *net.OpError
	type reply struct {
		reply *http.Response
		err   error
		once  batch.Kind
		read  batch.Kind
		says  string
	}
	// A body can be read once.
	replies := func() map[string]reply {
		return map[string]reply{
			"nothing at all": {nil, nil, batch.ErrAmbiguous, batch.ErrUnavailable,
				"neither a reply nor an error"},
			"no Request": {&http.Response{StatusCode: 200, Header: http.Header{},
				Body: ok()}, nil, "", "", ""},
			"no Header": {&http.Response{StatusCode: 200, Body: ok()},
				nil, "", "", ""},
			"no Header, and refused": {&http.Response{StatusCode: 403, Body: ok()}, nil,
				batch.ErrAmbiguous, batch.ErrAuth, ""},
			"no Header, and redirected": {&http.Response{StatusCode: 302, Body: ok()}, nil,
				batch.ErrAmbiguous, batch.ErrProtocol, ""},
			"no Body": {&http.Response{StatusCode: 200}, nil, batch.ErrAmbiguous,
				batch.ErrProtocol, "unexpected EOF"},
			"nothing but a pointer": {&http.Response{}, nil, batch.ErrAmbiguous,
				batch.ErrUnavailable, "status 0"},
			"status 0": {&http.Response{Body: ok()}, nil, batch.ErrAmbiguous,
				batch.ErrUnavailable, "status 0"},
			"a negative status": {&http.Response{StatusCode: -200, Body: ok()}, nil,
				batch.ErrAmbiguous, batch.ErrUnavailable, "status -200"},
			"status 20": {&http.Response{StatusCode: 20, Body: ok()}, nil,
				batch.ErrAmbiguous, batch.ErrUnavailable, "status 20"},
			"status 2000": {&http.Response{StatusCode: 2000, Body: ok()}, nil,
				batch.ErrAmbiguous, batch.ErrProtocol, ""},
			"an error that is a nil pointer": {nil, noURLError, batch.ErrAmbiguous, batch.ErrUnavailable,
				"a middleware panicked"},
			"the same of another type": {nil, noOpError, batch.ErrAmbiguous, batch.ErrUnavailable,
				"a middleware panicked"},
			"an error that panics": {nil, panics{}, batch.ErrAmbiguous, batch.ErrUnavailable,
				"a middleware panicked: in Error"},
			"an error beside a reply": {&http.Response{StatusCode: 200, Body: ok()}, io.EOF,
				batch.ErrAmbiguous, batch.ErrUnavailable, "EOF"},
			"an error of our own type": {nil, &batch.Error{Kind: batch.ErrInvalid, Message: "x"},
				batch.ErrAmbiguous, batch.ErrUnavailable, "x"},
			"a body that panics": {&http.Response{StatusCode: 200, Body: panics{}}, nil,
				batch.ErrAmbiguous, batch.ErrProtocol, "a middleware panicked: in Read"},
			"a body that panics, under a refusal": {&http.Response{StatusCode: 400, Body: panics{}}, nil,
				batch.ErrAmbiguous, batch.ErrProtocol, ""},
			"a body whose Close panics": {&http.Response{StatusCode: 200, Body: body{ok(), panics{}}},
				nil, "", "", ""},
			"a body whose Close panics, beside an error": {&http.Response{StatusCode: 200, Body: panics{}}, io.EOF,
				batch.ErrAmbiguous, batch.ErrUnavailable, "EOF"},
			"a body that counts too much": {&http.Response{StatusCode: 200, Body: io.NopCloser(count(1))}, nil,
				batch.ErrAmbiguous, batch.ErrProtocol, "miscounts"},
			"a body that counts below zero": {&http.Response{StatusCode: 200, Body: io.NopCloser(count(-1 << 30))}, nil,
				batch.ErrAmbiguous, batch.ErrProtocol, "miscounts"},
			"a body that fails as a refusal": {&http.Response{StatusCode: 200,
				Body: io.NopCloser(io.MultiReader(strings.NewReader("{"),
					errorReader{&batch.Error{Kind: batch.ErrInvalid}}))},
				nil, batch.ErrAmbiguous, batch.ErrProtocol, ""},
			"a refusal that is cut off": {&http.Response{StatusCode: 200,
				Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"ok":false}`),
					errorReader{io.ErrUnexpectedEOF}))},
				nil, batch.ErrAmbiguous, batch.ErrProtocol, "unexpected EOF"},
		}
	}
	for _, op := range []Op{opPay, opRead} {
		for name, c := range replies() {
			t.Run(op.Name+", "+name, func(t *testing.T) {
				client := newClient(t, "https://service.test",
					with(func(http.RoundTripper, *http.Request) (*http.Response, error) { return c.reply, c.err }))
				client.budget.Store(0) // One attempt.
				err := client.Do(t.Context(), Call{Op: op, Decode: decodeOK})
				want := c.once
				if op.Safety == Repeatable {
					want = c.read
				}
				require.Equal(t, want, batch.KindOf(err), "%v", err)
				if c.says != "" {
					require.ErrorContains(t, err, c.says)
				}
			})
		}
	}
	t.Run("a panic", func(t *testing.T) {
		client := newClient(t, "https://service.test",
			with(func(http.RoundTripper, *http.Request) (*http.Response, error) { panic("in RoundTrip") }))
		require.ErrorContains(t, client.Do(t.Context(), Call{Op: opPay, Decode: decodeOK}),
			"ambiguous: a middleware panicked: in RoundTrip")
	})
	t.Run("a body that gives nothing, for ever", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, withWaits, with(func(http.RoundTripper, *http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(slow{forever{}})}, nil
			}))
			start := time.Now()
			err := client.Do(t.Context(), Call{Op: opPay, Decode: func(r io.Reader) error {
				for { // A decoder that does not give up by itself.
					if _, err := r.Read(make([]byte, 1)); err != nil {
						return err
					}
				}
			}})
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.ErrorIs(t, err, errIdle)
			require.InDelta(t, 15, time.Since(start).Seconds(), 1)
		})
	})
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// slow lets the time of a bubble pass.
type slow struct{ io.Reader }

func (s slow) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(p)
}

// An error that a middleware kept from another call proves nothing about this
// one: the middleware may have sent this request by other means.
func TestTheErrorOfAnotherCallDoesNotProveThatNothingWasSent(t *testing.T) {
	mine, other := new(sending), new(sending)
	require.False(t, mine.end(&wireError{other, io.EOF}))
	require.False(t, mine.end(io.EOF), "an error of the middleware itself")
	require.True(t, mine.end(&wireError{mine, io.EOF}))
	require.True(t, mine.end(&wireError{nil, errNewContext}), "a request without the sending was refused")
}
