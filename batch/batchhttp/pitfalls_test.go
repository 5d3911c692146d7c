package batchhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// Go-retryablehttp is made for requests that do no harm twice. Each test here
// shows what its defaults do, and that this package does not.

// counting is a server that answers one status and counts.
func counting(t *testing.T, status int, body string) (*httptest.Server, *atomic.Int64) {
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		for name := range r.Header {
			if strings.Contains(strings.ToLower(name), "idempotency") {
				t.Errorf("the header %s was sent: net/http resends a request that has it", name)
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s, &hits
}

// defaults is a client as the library makes it, but for the waits.
func defaults() *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryWaitMin, c.RetryWaitMax = 0, 0
	return c
}

func post(t *testing.T, c *retryablehttp.Client, url string) (*http.Response, error) {
	t.Helper()
	req, err := retryablehttp.NewRequestWithContext(t.Context(), http.MethodPost, url, []byte(`{"amount":1}`))
	require.NoError(t, err)
	r, err := c.Do(req)
	if r != nil {
		t.Cleanup(func() { _ = r.Body.Close() })
	}
	t.Cleanup(c.HTTPClient.CloseIdleConnections)
	return r, err
}

func TestPitfall01AnyMethodIsRepeated(t *testing.T) {
	s, hits := counting(t, 500, "")
	_, _ = post(t, defaults(), s.URL) //nolint:bodyclose // post closes it.
	require.EqualValues(t, 5, hits.Load(), "the default sends a POST five times")

	hits.Store(0)
	err := newClient(t, s.URL).Do(t.Context(), Call{Op: opPay, Body: []byte(`{"amount":1}`), Decode: decodeOK})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.EqualValues(t, 1, hits.Load(), "what moves money is sent once")
}

func TestPitfall02RetryAfterHasNoCap(t *testing.T) {
	year := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"31536000"}}}
	require.Equal(t, 365*24*time.Hour, retryablehttp.DefaultBackoff(time.Second, 30*time.Second, 0, year))

	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		client := newClient(t, withWaits, func(c *Config) {
			c.Middleware = only(func(r *http.Request) (*http.Response, error) {
				return answer(r, 503, "Retry-After", "31536000"), nil
			})
		})
		err := client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.Zero(t, time.Since(start), "a Retry-After of a year is not waited for")
	})
}

func TestPitfall03RetryAfterOverflows(t *testing.T) {
	absurd := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"9223372037"}}}
	require.Negative(t, retryablehttp.DefaultBackoff(time.Second, 30*time.Second, 0, absurd))
	for _, value := range []string{"9223372037", "18446744073709551615", strings.Repeat("9", 100)} {
		require.Equal(t, 24*time.Hour, retryAfter(value, time.Now()))
	}
}

func TestPitfall04DatesInRetryAfter(t *testing.T) {
	past := &http.Response{StatusCode: 503, Header: http.Header{"Retry-After": {"Fri, 31 Dec 1999 23:59:59 GMT"}}}
	require.LessOrEqual(t, retryablehttp.DefaultBackoff(time.Second, 30*time.Second, 0, past), time.Duration(0),
		"the default repeats at once")
	now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	require.Zero(t, retryAfter("Fri, 31 Dec 1999 23:59:59 GMT", now), "no wait is asked for, so the own one is taken")
	for _, date := range []string{"Sat, 01 Jan 2000 00:00:07 GMT", "Saturday, 01-Jan-00 00:00:07 GMT",
		"Sat Jan  1 00:00:07 2000"} {
		require.Equal(t, 7*time.Second, retryAfter(date, now), date)
	}
}

func TestPitfall05TheLoggerPrintsURLs(t *testing.T) {
	s, _ := counting(t, 200, `{"ok":true}`)
	var printed bytes.Buffer
	c := retryablehttp.NewClient()
	c.Logger.(*log.Logger).SetOutput(&printed)
	_, err := post(t, c, s.URL+"/?key="+canary) //nolint:bodyclose // post closes it.
	require.NoError(t, err)
	require.Contains(t, printed.String(), canary, "the default prints the query")

	log.SetOutput(&printed)
	defer log.SetOutput(log.Default().Writer())
	printed.Reset()
	require.NoError(t, newClient(t, s.URL).Do(t.Context(), Call{Op: opRead, Query: map[string][]string{"key": {canary}},
		Decode: decodeOK}))
	require.Empty(t, printed.String())
}

func TestPitfall06TheLastReplyIsDropped(t *testing.T) {
	s, _ := counting(t, 503, `{"code":"B001"}`)
	r, err := post(t, defaults(), s.URL) //nolint:bodyclose // post closes it.
	require.Nil(t, r)
	require.NotContains(t, fmt.Sprint(err), "B001", "the default loses what the service said")

	err = newClient(t, s.URL).Do(t.Context(), Call{Op: opRead, Decode: decodeOK})
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 503, e.Status)
	require.Contains(t, e.Message, "B001")
}

func TestPitfall07NoTimeoutsAndAProxyFromTheEnvironment(t *testing.T) {
	theirs := retryablehttp.NewClient().HTTPClient
	require.Zero(t, theirs.Timeout)
	require.Zero(t, theirs.Transport.(*http.Transport).ResponseHeaderTimeout)
	require.NotNil(t, theirs.Transport.(*http.Transport).Proxy)

	c := newClient(t, "https://service.test")
	for _, transport := range []http.RoundTripper{c.once, c.reads} {
		ours := transport.(*http.Transport)
		require.Nil(t, ours.Proxy, "libraries read no environment")
		require.NotZero(t, ours.ResponseHeaderTimeout)
		require.NotZero(t, ours.TLSHandshakeTimeout)
		require.NotZero(t, ours.MaxResponseHeaderBytes)
		require.True(t, ours.DisableCompression)
	}
	once := c.once.(*http.Transport)
	require.True(t, once.DisableKeepAlives)
	require.True(t, once.Protocols.HTTP1())
	require.False(t, once.Protocols.HTTP2())
}

func TestPitfall08BodiesCanBeReplayed(t *testing.T) {
	req, err := retryablehttp.NewRequestWithContext(t.Context(), http.MethodPost, "https://service.test", []byte("x"))
	require.NoError(t, err)
	require.NotNil(t, req.GetBody, "the default lets net/http send the body again")

	client := newClient(t, "https://service.test", func(c *Config) {
		c.Middleware = only(func(r *http.Request) (*http.Response, error) {
			require.Nil(t, r.GetBody)
			require.EqualValues(t, 5, r.ContentLength)
			return answer(r, 200), nil
		})
	})
	require.NoError(t, client.Do(t.Context(), Call{Op: opPay, Body: []byte("12345"), Decode: decodeOK}))
}

func TestPitfall09SignaturesGrowStale(t *testing.T) {
	s, _ := counting(t, 500, "")
	c := defaults()
	prepared := 0
	c.PrepareRetry = func(*http.Request) error { prepared++; return nil }
	_, _ = post(t, c, s.URL) //nolint:bodyclose // post closes it.
	require.Equal(t, 4, prepared, "of five attempts, the default prepares four")

	var keys []string
	n := 0
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Authorize = func(r *http.Request) error { n++; r.Header.Set("X-Api-Key", fmt.Sprint("key-", n)); return nil }
		c.Middleware = only(func(r *http.Request) (*http.Response, error) {
			keys = append(keys, r.Header.Get("X-Api-Key"))
			return answer(r, 500), nil
		})
	})
	require.Error(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}))
	require.Equal(t, []string{"key-1", "key-2", "key-3"}, keys, "every attempt is signed for itself")
}

func TestPitfall10RetriesHideInAnHTTPClient(t *testing.T) {
	s, hits := counting(t, 500, "")
	hidden := defaults().StandardClient()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, nil)
	require.NoError(t, err)
	_, err = hidden.Do(req) //nolint:bodyclose // There is no reply.
	require.Error(t, err)
	require.EqualValues(t, 5, hits.Load(), "an ordinary http.Client sends five times")
	hidden.CloseIdleConnections()

	_, err = New(Config{Provider: "test", BaseURL: s.URL, HTTPClient: hidden})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err,
		"HTTPClient: Transport must be nil or an *http.Transport; Config.Middleware takes any other")
}

// A read whose body breaks off is repeated: Do of the library would not.
func TestABrokenBodyOfAReadIsRepeated(t *testing.T) {
	s := serveRaw(t, func(n int) (string, string) {
		if n < 3 {
			return "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"ok\"", closeIt
		}
		return reply("200 OK", asJSON, `{"ok":true}`), ""
	})
	require.NoError(t, newClient(t, s.url).Do(t.Context(), Call{Op: opRead, Decode: decodeOK}))
	require.EqualValues(t, 3, s.requests.Load())
}

// Row 100: no connection is idle between two reads, so none can be closed as
// it is used again; a read that gets no reply is repeated.
func TestAnIdleConnectionThatIsClosed(t *testing.T) {
	s := serveRaw(t, func(n int) (string, string) {
		if n == 2 {
			return "", closeIt // net/http resends nothing that has reached the server
		}
		return reply("200 OK", asJSON, `{"ok":true}`), ""
	})
	client := newClient(t, s.url)
	for range 3 {
		require.NoError(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}))
	}
	require.EqualValues(t, 4, s.requests.Load())
}

func TestAnUnreadableReplyKeepsItsCause(t *testing.T) {
	s, _ := counting(t, 200, `{"ok":true}`)
	cause := errors.New("no such shape")
	err := newClient(t, s.URL).Do(t.Context(), Call{Op: opPay, Decode: func(io.Reader) error { return cause }})
	require.ErrorIs(t, err, cause)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
}
