package batchsim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"io"
	"net/http"
	"time"
)

// An Applied is a request that the service has applied, so that a new simulator
// with the same options can repeat it: see [Kit.Around] and [Kit.Replay].
type Applied struct {
	Method string        `json:"method"`
	URL    string        `json:"url"` // path and query
	Header http.Header   `json:"header,omitempty"`
	Body   []byte        `json:"body,omitempty"`
	At     time.Time     `json:"at"`             // when it arrived
	Now    time.Time     `json:"now"`            // what the clock said while it was applied
	Late   time.Duration `json:"late,omitempty"` // it is applied so much later: Fault.Delay
}

// apply serves a request, or arranges that it is served late.
func (k *Kit) apply(r Request, late time.Duration, serve func(Request) Reply) (reply Reply) {
	do := func() {
		if late > 0 {
			k.Clock.After(late, func() { serve(r) })
			return
		}
		reply = serve(r)
	}
	if k.Around == nil || replayOf(r.Request) != nil {
		do()
		return reply
	}
	k.Around(func() Applied {
		now, release := k.Clock.Hold(time.Time{})
		defer release()
		do()
		return Applied{r.Method, r.URL.RequestURI(), r.Header.Clone(), r.Body, r.At, now, late}
	})
	return reply
}

type replayKey struct{}

// replayOf is what r repeats, or nil.
func replayOf(r *http.Request) *Applied {
	a, _ := r.Context().Value(replayKey{}).(*Applied)
	return a
}

// Replay applies a request once more, at its time, with no fault around it. Do
// this with all that a simulator has applied, in order, before the new one gets
// its first request: it then has the same state, if Random is the same, too.
func (k *Kit) Replay(a Applied) error {
	_, release := k.Clock.Hold(a.Now)
	defer release()
	ctx := context.WithValue(context.Background(), replayKey{}, &a)
	r, err := http.NewRequestWithContext(ctx, a.Method, a.URL, bytes.NewReader(a.Body))
	if err != nil {
		return err
	}
	r.Header = a.Header.Clone()
	k.mux.ServeHTTP(nowhere{}, r)
	return nil
}

// nowhere drops a reply.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

// Text returns 26 random letters and digits, for an ID.
func (k *Kit) Text() string {
	if k.Random == nil {
		return rand.Text()
	}
	k.random.Lock()
	defer k.random.Unlock()
	text := make([]byte, 16)
	if _, err := io.ReadFull(k.Random, text); err != nil {
		panic("batchsim: Random ends: " + err.Error())
	}
	return base32.StdEncoding.EncodeToString(text)[:26]
}
