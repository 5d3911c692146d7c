package centrapay

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/batchway/batchway-go/batch"
)

// keyHeader carries the API key. The service also takes a user's access token
// in Authorization; it ends after an hour and is not offered here.
const keyHeader = "X-Api-Key"

// authorize waits for the client's turn and sets the key. It is asked before
// every attempt, so reads that are repeated count against the limit as well.
func (c *Client) authorize(r *http.Request) error {
	if err := c.limiter.Wait(r.Context()); err != nil {
		if ended := r.Context().Err(); ended != nil {
			return ended
		}
		return &batch.Error{Kind: batch.ErrThrottled, Err: context.DeadlineExceeded,
			Message: "the limit on requests per minute allows none before the deadline"}
	}
	r.Header.Set(keyHeader, c.key.Reveal())
	return nil
}

// newLimiter lets at most perMinute requests pass in any minute: a tenth of
// them at once, the others evenly.
func newLimiter(perMinute int) *rate.Limiter {
	burst := max(1, perMinute/10)
	return rate.NewLimiter(rate.Every(time.Minute/time.Duration(max(1, perMinute-burst))), burst)
}
