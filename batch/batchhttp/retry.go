package batchhttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/batchway/batchway-go/batch"
)

const (
	readAttempts = 3
	readLimit    = 2 * time.Minute        // for all attempts together
	backoffBase  = 500 * time.Millisecond // doubled with every attempt
	backoffCap   = 20 * time.Second

	// A client whose reads keep failing stops repeating them, so that a
	// struggling service is not hit three times as hard.
	budgetLimit = 500
	budgetCost  = 5
)

// sendRepeatable is the path of reads. Go-retryablehttp runs the attempts and
// the waits; every decision is ours.
func (c *Client) sendRepeatable(ctx context.Context, call Call, target string) error {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	r := &repeated{client: c, call: call}
	client := retryablehttp.Client{
		HTTPClient: &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		RetryMax:     readAttempts - 1,
		CheckRetry:   r.check,
		Backoff:      func(_, _ time.Duration, _ int, _ *http.Response) time.Duration { return r.wait },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	var body any
	if call.Body != nil {
		body = call.Body
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, call.Op.Method, target, body)
	if err != nil {
		return c.fail(call.Op, batch.ErrInvalid, "no request can be made of this", nil)
	}
	r.client.setHeaders(req.Header, call)
	req.SetResponseHandler(r.handle)
	_, err = client.Do(req) //nolint:bodyclose // handle has read and closed it.
	if r.failed == nil && err == nil {
		c.budget.Add(min(1, budgetLimit-c.budget.Load()))
		return nil
	}
	if r.failed == nil {
		return c.fail(call.Op, batch.ErrUnavailable, "", c.words.cleanCause(err))
	}
	if r.retry {
		withEnded(ctx, r.failed)
	}
	return r.failed
}

// repeated is one Repeatable call: the transport of its attempts, and the
// judge between them.
type repeated struct {
	client  *Client
	call    Call
	number  int
	current *attempt
	failed  *batch.Error  // how the last attempt failed; nil if it did not
	retry   bool          // whether another may follow
	wait    time.Duration // and after which wait
	renewed bool          // a 401 was already answered with a new credential
}

// RoundTrip sends one attempt.
func (r *repeated) RoundTrip(req *http.Request) (*http.Response, error) {
	r.number++
	req = req.Clone(req.Context()) // A RoundTripper must not change the request it is given.
	a, err := r.client.attempt(req, r.call, r.number)
	if err != nil {
		r.current, r.retry = nil, false
		r.failed = r.client.unauthorized(r.call.Op, err)
		return nil, err
	}
	r.current = a
	if a.err != nil {
		r.judge()
		return nil, a.err
	}
	// handle reads the true one.
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// handle reads and judges one reply.
func (r *repeated) handle(*http.Response) error {
	r.judge()
	if r.failed != nil {
		return r.failed
	}
	return nil
}

func (r *repeated) judge() {
	a := r.current
	a.read(r.call)
	v := classify(Repeatable, a.exchange)
	a.log(r.call.Op, v)
	r.failed, r.retry = nil, false
	if v.outcome == accepted {
		return
	}
	r.failed = a.error(r.call.Op, v)
	if r.retry = v.retry; a.status == http.StatusUnauthorized && r.client.config.Unauthorized != nil && !r.renewed {
		r.retry, r.renewed = true, true
	}
}

// check is called after every attempt, and once more after its reply was read.
func (r *repeated) check(ctx context.Context, _ *http.Response, err error) (bool, error) {
	if err == nil || !r.retry || ctx.Err() != nil || r.number >= readAttempts {
		return false, nil
	}
	if r.failed.Status == http.StatusUnauthorized {
		r.wait = 0 // A new credential needs no rest, and is tried once in a call.
		return true, nil
	}
	full := backoffBase << (r.number - 1)
	r.wait = rand.N(min(full, backoffCap)) + 1
	if asked := r.failed.RetryAfter; asked > 0 {
		if asked > backoffCap {
			return false, nil // Too long to sit on it: the caller knows better.
		}
		r.wait = max(r.wait, asked)
	}
	if r.client.noWait {
		r.wait = 0
	}
	if deadline, ok := ctx.Deadline(); ok && time.Now().Add(r.wait).After(deadline) {
		return false, nil
	}
	if r.client.budget.Add(-budgetCost) < 0 {
		r.client.budget.Add(budgetCost)
		return false, nil
	}
	return true, nil
}

// unauthorized is the error of a call for which no credential could be had.
func (c *Client) unauthorized(op Op, err error) *batch.Error {
	kind := batch.ErrUnavailable
	var known *batch.Error
	if errors.As(err, &known) && known.Kind != batch.ErrAmbiguous {
		kind = known.Kind
	}
	return c.fail(op, kind, "nothing was sent: no credential could be had", c.words.cleanCause(err))
}
