package batch

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"
)

// WatchOptions is how patiently to wait. The zero value is polite to every
// service and waits for as long as the context does.
type WatchOptions struct {
	Interval    time.Duration // between the first polls; 0 means Info.Interval
	MaxInterval time.Duration // the intervals grow to this; 0 means ten times Interval, at least 5 minutes
	MaxFailures int           // how many polls in a row may fail before the watch gives up; 0 means 10

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
// known, and the error. If ctx ends, that error matches ctx.Err(), and the
// batch goes on at the service: watch it again later.
func Watch(ctx context.Context, p Provider, b Batch, o *WatchOptions) iter.Seq2[Batch, error] {
	return WatchAll(ctx, p, []Batch{b}, o)
}

// WatchAll is Watch for many batches of one provider, with few requests where
// the provider is a BulkPoller. Each batch is yielded after each poll until it
// is final. A batch whose polls fail for good is yielded once with its error,
// and the others go on.
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
			var wait time.Duration
			var still []watched
			for _, w := range pollRound(ctx, p, open) {
				if w.err == nil {
					w.failures = 0
					if !yield(w.batch, nil) {
						return
					}
					if !w.batch.State.Final() {
						still = append(still, w)
					}
					continue
				}
				w.failures++
				if w.failures >= pause.maxFailures || !mayPass(w.err) || ctx.Err() != nil {
					if !yield(w.batch, stopped(ctx, p, w.err)) {
						return
					}
					continue
				}
				if options.OnFailure != nil {
					options.OnFailure(w.batch, w.err)
				}
				var e *Error
				if errors.As(w.err, &e) {
					wait = max(wait, e.RetryAfter)
				}
				still = append(still, w)
			}
			open = still
			if len(open) == 0 {
				return
			}
			if err := sleep(ctx, max(wait, pause.next())); err != nil {
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
// StateFailed or StateCancelled is an answer, not an error. On an error (see
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
	failures int   // in a row
	err      error // of the last poll
}

// pollRound polls every batch once.
func pollRound(ctx context.Context, p Provider, round []watched) []watched {
	if bulk, ok := As[BulkPoller](p); ok && len(round) > 1 {
		bs := make([]Batch, len(round))
		for i, w := range round {
			bs[i] = w.batch
		}
		if polled, err := bulk.PollAll(ctx, bs); err == nil && len(polled) == len(bs) {
			stale := false
			for i := range round {
				stale = stale || isStale(round[i].batch, polled[i])
			}
			if !stale {
				for i := range round {
					round[i].batch, round[i].err = polled[i], nil
				}
				return round
			}
		}
		// One by one tells which of them failed, and why.
	}
	for i, w := range round {
		round[i].batch, round[i].err = poll(ctx, p, w.batch)
	}
	return round
}

// poll is p.Poll, but a batch that was submitted is never a draft again: such a
// read is stale.
func poll(ctx context.Context, p Provider, b Batch) (Batch, error) {
	read, err := p.Poll(ctx, b)
	if err == nil && isStale(b, read) {
		return b, &Error{Kind: ErrProtocol, Provider: p.Info().Name, Op: "Poll",
			Message: "the batch was submitted, and the service says that it is a draft: the answer is out of date"}
	}
	return read, err
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
