package otelbatch

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/batchway/batchway-go/batch"
)

// unreadable is the standing of a batch whose history cannot be read.
const unreadable batch.Standing = "unreadable"

// fresh is for how long a census is not taken again.
const fresh = time.Minute

// Observe makes gauges of the batches of p's account that j holds open. When
// metrics are collected, and at most once a minute, it reads the history of every
// open batch, which is about a second for 1,000 batches of 100 items; it asks no
// service. Where many processes share a journal, call it in one of them.
//
// If j cannot list its open batches, the gauges show nothing, and the error goes to
// OpenTelemetry's error handler. Unregister of the result ends the gauges.
func Observe(p batch.Provider, j batch.Journal, options ...Option) (metric.Registration, error) {
	meter, info := newConfig(options).meter(), p.Info()
	open := made(meter.Int64ObservableGauge("batchway.batches.open", metric.WithUnit("{batch}"),
		metric.WithDescription("Batches that the journal holds open. Unclear ones may have been submitted.")))
	age := made(meter.Int64ObservableGauge("batchway.batches.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest open batch, since its first Submit or else its intent.")))
	c := &census{desk: batch.NewDesk(p, j)}
	return meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		standings, err := c.take(ctx)
		for standing, s := range standings {
			set := append(account(info.Name, info.Account), keyStanding.String(string(standing)))
			about := metric.WithAttributes(set...)
			o.ObserveInt64(open, s.count, about)
			switch {
			case standing == unreadable:
			case s.count == 0:
				o.ObserveInt64(age, 0, about)
			default:
				o.ObserveInt64(age, int64(time.Since(s.oldest)/time.Second), about)
			}
		}
		return err
	}, open, age)
}

// A census counts the open batches by their standing. Every standing is in it.
type census struct {
	desk *batch.Desk

	mu    sync.Mutex
	taken time.Time
	last  map[batch.Standing]standing
}

type standing struct {
	count  int64
	oldest time.Time
}

func (c *census) take(ctx context.Context) (map[batch.Standing]standing, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && time.Since(c.taken) < fresh {
		return c.last, nil
	}
	all := map[batch.Standing]standing{batch.StandingIntended: {}, batch.StandingDraft: {}, batch.StandingUnclear: {},
		batch.StandingSubmitted: {}, unreadable: {}}
	for d, err := range c.desk.Pending(ctx) {
		key, at := d.Standing, since(d)
		switch {
		case err != nil && d.Key == batch.Key{}:
			return nil, err
		case err != nil:
			key = unreadable
		}
		s := all[key]
		if s.count == 0 || at.Before(s.oldest) {
			s.oldest = at
		}
		s.count++
		all[key] = s
	}
	c.last, c.taken = all, time.Now()
	return all, nil
}

// since is when the batch was first submitted, or else when it was intended.
func since(d batch.Dossier) time.Time {
	for _, a := range d.Attempts {
		if a.Step == batch.StepSubmit {
			return a.Began
		}
	}
	return d.Intended
}
