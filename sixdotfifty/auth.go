package sixdotfifty

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

const (
	tokenLife    = 15 * time.Minute // documented
	fetchTimeout = time.Minute
)

// tokens gives out one token to all callers. It is fetched once, however many
// wait, and renewed when a fifth of its life is left, so that it does not
// expire under a request that must not be repeated.
type tokens struct {
	http        *batchhttp.Client // sends without a token
	key, secret batchhttp.Secret

	mu       sync.Mutex
	token    batchhttp.Secret
	renew    time.Time // when to fetch the next
	fetching *fetch    // the one under way
	failed   error     // of the last fetch
	failures int       // in a row
	rested   time.Time // no fetch before
}

// A fetch of a token is for all who wait for it, however short its life is.
type fetch struct {
	done  chan struct{}
	token batchhttp.Secret
	err   error
}

// authorize sets the token of one attempt.
func (t *tokens) authorize(r *http.Request) error {
	token, err := t.get(r.Context())
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	return nil
}

// unauthorized drops the token that was refused, and no newer one.
func (t *tokens) unauthorized(r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.Header.Get("Authorization") == "Bearer "+t.token.Reveal() {
		t.token = batchhttp.Secret{}
	}
}

// get returns the token, or waits for one as long as its own context allows.
func (t *tokens) get(ctx context.Context) (batchhttp.Secret, error) {
	t.mu.Lock()
	now := time.Now()
	if t.token.Reveal() != "" && now.Before(t.renew) {
		defer t.mu.Unlock()
		return t.token, nil
	}
	if t.failed != nil && now.Before(t.rested) {
		defer t.mu.Unlock()
		return batchhttp.Secret{}, t.failed
	}
	if t.fetching == nil {
		t.fetching = &fetch{done: make(chan struct{})}
		// Whoever asks first may leave: the others still want the token.
		go t.refresh(context.WithoutCancel(ctx), t.fetching)
	}
	f := t.fetching
	t.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return batchhttp.Secret{}, ctx.Err()
	}
}

// refresh fetches a token for everybody. After a failure it rests for a while:
// a second, then twice as long each time, up to a minute.
func (t *tokens) refresh(ctx context.Context, f *fetch) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	token, err := t.fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	defer close(f.done)
	t.fetching, t.failed, f.err = nil, err, err
	if err != nil {
		t.rested = time.Now().Add(min(time.Second<<min(t.failures, 6), time.Minute))
		t.failures++
		return
	}
	t.token = batchhttp.NewSecret(token.Token)
	f.token, t.renew, t.failures = t.token, time.Now().Add(token.life*4/5), 0
}

// fetch asks for a token.
func (t *tokens) fetch(ctx context.Context) (*Token, error) {
	body, err := json.Marshal(map[string]string{"key": t.key.Reveal(), "secret": t.secret.Reveal()})
	if err != nil {
		return nil, err
	}
	var reply batchhttp.Reply
	var out Token
	err = t.http.Do(ctx, batchhttp.Call{Op: opGetToken, ContentType: "application/json", Body: body, Reply: &reply,
		Decode: func(body io.Reader) error {
			var wire struct {
				Success   *bool  `json:"success"`
				Token     string `json:"token"`
				ExpiresAt Text   `json:"expiresAt"`
			}
			if err := batchhttp.JSON(&wire)(body); err != nil {
				return err
			}
			refuse := func(message string) error { return &batch.Error{Kind: batch.ErrAuth, Message: message} }
			switch {
			case wire.Success == nil:
				return errors.New("the reply has no success")
			case !*wire.Success:
				return refuse("the service does not accept the key and the secret")
			case wire.Token == "" || strings.IndexFunc(wire.Token, func(r rune) bool {
				return r <= ' ' || r > '~'
			}) >= 0:
				return refuse("the service gave a token that is not valid")
			}
			out = Token{Token: wire.Token, life: tokenLife}
			if wire.ExpiresAt != "" {
				var err error
				if out.ExpiresAt, err = ParseTime(wire.ExpiresAt); err != nil {
					return err
				}
				// By the service's own clock, where it tells the time.
				now, err := http.ParseTime(reply.Header.Get("Date"))
				if err != nil {
					now = time.Now()
				}
				if out.life = min(out.ExpiresAt.Sub(now), tokenLife); out.life <= 0 {
					return refuse("the service gave a token that has expired")
				}
			}
			return nil
		}})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// A Token is what getToken gives. Printed in any way, it shows no secret.
type Token struct {
	Token     string
	ExpiresAt time.Time // zero if the service does not say

	life time.Duration
}

// MarshalText is for logs and encoders: the token without what it is for.
func (t Token) MarshalText() ([]byte, error) { return fmt.Append(nil, t), nil }

// MarshalBinary is for encoding/gob: the same.
func (t Token) MarshalBinary() ([]byte, error) { return t.MarshalText() }

// Format writes the token without what it is for.
func (t Token) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sixdotfifty.Token{Token: [redacted], ExpiresAt: %q}", t.ExpiresAt.Format(time.RFC3339))
}
