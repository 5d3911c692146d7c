package centrapay

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/batchway/batchway-go/batch"
)

// The headers that carry the credential, and the account for which a user acts.
const (
	keyHeader     = "X-Api-Key"
	tokenHeader   = "Authorization" // the bare token, without a scheme (documented)
	accountHeader = "X-Centrapay-Account"
)

// authorize waits for the client's turn and sets the credential. It is asked before
// every attempt, so reads that are repeated count against the limit as well.
func (c *Client) authorize(r *http.Request) error {
	if err := c.limiter.Wait(r.Context()); err != nil {
		if ended := r.Context().Err(); ended != nil {
			return ended
		}
		return &batch.Error{Kind: batch.ErrThrottled, Err: context.DeadlineExceeded,
			Message: "the limit on requests per minute allows none before the deadline"}
	}
	if c.config.UserToken == nil {
		r.Header.Set(keyHeader, c.key.Reveal())
		return nil
	}
	token, err := c.config.UserToken(r.Context())
	switch {
	case err != nil:
		return err
	case !printable(token):
		return &batch.Error{Kind: batch.ErrAuth, Message: "UserToken must return printable ASCII without spaces"}
	}
	r.Header.Set(tokenHeader, token)
	return nil
}

// newLimiter lets at most perMinute requests pass in any minute: a tenth of
// them at once, the others evenly.
func newLimiter(perMinute int) *rate.Limiter {
	burst := max(1, perMinute/10)
	return rate.NewLimiter(rate.Every(time.Minute/time.Duration(max(1, perMinute-burst))), burst)
}
