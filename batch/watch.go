package batch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// WatchOptions is how patiently to wait. The zero value is polite to every
// service and waits for as long as the context does.
type WatchOptions struct {
	Interval    time.Duration // between the first polls; 0 means Info.Interval
	MaxInterval time.Duration // the intervals grow to this; 0 means ten times Interval, at least 5 minutes
	// MaxFailures is how many polls in a row may fail, or say StateUnknown,
	// before the watch gives up; 0 means 10.
	MaxFailures int

	// OnFailure, if set, hears of every failed poll that the watch survives.
	OnFailure func(Batch, error)
}

// Watch polls b until it is final and yields it after every poll. The
// intervals grow by half each time, with some jitter.
//
// A poll that fails in a way that may pass (ErrUnavailable, ErrThrottled,
// ErrProtocol, and ErrNotFound, which a service may say of a batch that it has
// only just taken) does not end the watch unless it happens MaxFailures times
// in a row; any other error does. The last pair then holds the batch as it was last
// known, and the error. MaxFailures polls in a row that say StateUnknown end it
// with an ErrProtocol that names the service's word. If ctx ends, that error matches ctx.Err(), and the
// batch goes on at the service: watch it again later.
func Watch(ctx context.Context, p Provider, b Batch, o *WatchOptions) iter.Seq2[Batch, error] {
	return WatchAll(ctx, p, []Batch{b}, o)
}

// WatchAll is Watch for many batches of one provider, with few requests where
// the provider is a BulkPoller. Each batch is yielded after each poll until it
// is final. A batch whose polls fail for good is yielded once with its error,
// and the others go on. A wait that the service asks for (Error.RetryAfter)
// delays only the batches of that request.
func WatchAll(ctx context.Context, p Provider, bs []Batch, o *WatchOptions) iter.Seq2[Batch, error] {
	var options WatchOptions
	if o != nil {
		options = *o
	}
	return func(yield func(Batch, error) bool) {
		pause := newPause(p.Info(), options)
		open := make([]watched, len(bs))
		for i, b := range bs {
			open[i].batch = b
		}
		for len(open) > 0 {
			due, still := split(open, time.Now())
			for _, w := range pollRound(ctx, p, due) {
				w.judge(p.Info(), pause.maxFailures)
				if w.err == nil {
					if !yield(w.batch, nil) {
						return
					}
					if !w.batch.State.Final() {
						still = append(still, w)
					}
					continue
				}
				if w.over || w.failures >= pause.maxFailures || !mayPass(w.err) || ctx.Err() != nil {
					if !yield(w.batch, stopped(ctx, p, w.err)) {
						return
					}
					continue
				}
				if options.OnFailure != nil {
					options.OnFailure(w.batch, w.err)
				}
				still = append(still, w)
			}
			open = still
			if len(open) == 0 {
				return
			}
			first := slices.MinFunc(open, func(a, b watched) int { return a.rests.Compare(b.rests) })
			if err := sleep(ctx, max(pause.next(), time.Until(first.rests))); err != nil {
				for _, w := range open {
					if !yield(w.batch, stopped(ctx, p, err)) {
						return
					}
				}
				return
			}
		}
	}
}

// Wait polls b until it is final and returns it. A batch that ends as
// StateFailed or StateCanceled is an answer, not an error. On an error (see
// Watch) the batch is returned as it was last known.
func Wait(ctx context.Context, p Provider, b Batch, o *WatchOptions) (Batch, error) {
	for next, err := range Watch(ctx, p, b, o) {
		b = next
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

type watched struct {
	batch    Batch
	failures int       // in a row
	unclear  int       // polls in a row that say StateUnknown
	rests    time.Time // the service asked for no poll before
	err      error     // of the last poll
	over     bool      // err ends the watch
}

// split returns those that may be polled now, and those that rest.
func split(open []watched, now time.Time) (due, resting []watched) {
	for _, w := range open {
		if w.rests.After(now) {
			resting = append(resting, w)
		} else {
			due = append(due, w)
		}
	}
	return due, resting
}

// judge counts what the last poll said.
func (w *watched) judge(info Info, most int) {
	if w.err != nil {
		w.failures++
		var e *Error
		if errors.As(w.err, &e) && e.RetryAfter > 0 {
			w.rests = time.Now().Add(e.RetryAfter)
		}
		return
	}
	w.failures = 0
	if w.batch.State != StateUnknown {
		w.unclear = 0
		return
	}
	if w.unclear++; w.unclear >= most {
		w.over = true
		w.err = &Error{Kind: ErrProtocol, Provider: info.Name, Op: "Watch",
			Message: fmt.Sprintf("%d polls in a row say %q, "+
				"which does not tell where the batch stands: it may go on, watch it again later", w.unclear,
				w.batch.Native)}
	}
}

// pollRound polls every batch once.
func pollRound(ctx context.Context, p Provider, round []watched) []watched {
	bs := make([]Batch, len(round))
	for i, w := range round {
		bs[i] = w.batch
	}
	polled, failed := pollAll(ctx, p, bs)
	for i := range round {
		round[i].batch, round[i].err = polled[i], failed[i]
	}
	return round
}

// pollAll polls every batch once, in as few requests as p can. A failure of the
// request for all of them is the error of each: to poll them one by one would
// only send more requests.
func pollAll(ctx context.Context, p Provider, bs []Batch) ([]Batch, PollErrors) {
	out, failed := slices.Clone(bs), make(PollErrors)
	bulk, ok := As[BulkPoller](p)
	if !ok || len(bs) < 2 {
		places := make([]int, len(bs))
		for n := range bs {
			places[n] = n
		}
		failed.PollEach(ctx, p, out, places)
		return out, failed
	}
	polled, err := bulk.PollAll(ctx, bs)
	if err == nil && len(polled) != len(bs) {
		err = &Error{Kind: ErrProtocol, Provider: p.Info().Name, Op: "PollAll",
			Message: fmt.Sprintf("gave %d batches of %d", len(polled), len(bs))}
	}
	var each PollErrors
	if err != nil && !errors.As(err, &each) {
		for n := range bs {
			failed[n] = err
		}
		return out, failed
	}
	for n, b := range bs {
		switch {
		case each[n] != nil:
			failed[n] = each[n]
		case isStale(b, polled[n]):
			failed[n] = stale(p)
		default:
			out[n] = polled[n]
		}
	}
	return out, failed
}

// poll is p.Poll, but a batch that was submitted is never a draft again: such a
// read is stale.
func poll(ctx context.Context, p Provider, b Batch) (Batch, error) {
	read, err := p.Poll(ctx, b)
	if err == nil && isStale(b, read) {
		return b, stale(p)
	}
	return read, err
}

func stale(p Provider) error {
	return &Error{Kind: ErrProtocol, Provider: p.Info().Name, Op: "Poll",
		Message: "the batch was submitted, and the service says that it is a draft: the answer is out of date"}
}

func isStale(b, read Batch) bool { return b.State == StatePending && read.State == StateDraft }

// mayPass reports whether the same poll may succeed later.
func mayPass(err error) bool {
	switch KindOf(err) {
	case ErrUnavailable, ErrThrottled, ErrProtocol, ErrNotFound:
		return true
	}
	return false
}

// stopped is the error of a watch that ended early: err, unless the context
// is the reason.
func stopped(ctx context.Context, p Provider, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return &Error{Kind: ErrUnavailable, Provider: p.Info().Name, Op: "Watch",
		Message: "stopped waiting; the batch goes on", Err: ctx.Err()}
}

// A pause gives the growing intervals between polls.
type pause struct {
	interval, limit time.Duration
	maxFailures     int
}

func newPause(info Info, o WatchOptions) *pause {
	p := &pause{interval: o.Interval, limit: o.MaxInterval, maxFailures: o.MaxFailures}
	if p.interval <= 0 {
		p.interval = info.Interval
	}
	if p.interval <= 0 {
		p.interval = 30 * time.Second
	}
	if p.limit <= 0 {
		p.limit = max(10*p.interval, 5*time.Minute)
	}
	p.limit = max(p.limit, p.interval)
	if p.maxFailures <= 0 {
		p.maxFailures = 10
	}
	return p
}

// next returns the interval to wait now: up to a tenth shorter than the
// schedule, so that many watchers do not fall into step.
func (p *pause) next() time.Duration {
	now := p.interval
	p.interval = min(p.interval+p.interval/2, p.limit)
	return now - rand.N(now/10+1)
}

// sleep waits for d, or less if ctx ends, which it reports.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
