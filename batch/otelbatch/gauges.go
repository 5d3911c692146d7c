package otelbatch

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/batchway/batchway-go/batch"
)

// unreadable is the standing of a batch whose history cannot be read.
const unreadable batch.Standing = "unreadable"

// Observe makes gauges of the batches of p's account that j holds open. Each
// time that metrics are collected it reads the history of every open batch, and
// asks no service: where many processes share a journal, call it in one of them.
//
// If j cannot list its open batches there is no gauge, and the error goes to
// OpenTelemetry's error handler. Unregister of the result ends the gauges.
func Observe(p batch.Provider, j batch.Journal, options ...Option) (metric.Registration, error) {
	meter, info := newConfig(options).meter(), p.Info()
	open := made(meter.Int64ObservableGauge("batchway.batches.open", metric.WithUnit("{batch}"),
		metric.WithDescription("Batches that the journal holds open. Unclear ones may have been submitted.")))
	age := made(meter.Int64ObservableGauge("batchway.batches.age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest open batch, since its first Submit or else its intent.")))
	desk := batch.NewDesk(p, j)
	return meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		count, oldest, err := census(ctx, desk)
		if err != nil {
			return err
		}
		for standing, n := range count {
			set := append(account(info.Name, info.Account), keyStanding.String(string(standing)))
			about := metric.WithAttributes(set...)
			o.ObserveInt64(open, n, about)
			if standing != unreadable {
				o.ObserveInt64(age, int64(oldest[standing]/time.Second), about)
			}
		}
		return nil
	}, open, age)
}

// census counts the open batches by their standing. Every standing is in count.
func census(ctx context.Context, desk *batch.Desk) (
	count map[batch.Standing]int64, oldest map[batch.Standing]time.Duration, err error,
) {
	count = map[batch.Standing]int64{batch.StandingIntended: 0, batch.StandingDraft: 0, batch.StandingUnclear: 0,
		batch.StandingSubmitted: 0, unreadable: 0}
	oldest = make(map[batch.Standing]time.Duration)
	for d, err := range desk.Pending(ctx) {
		switch {
		case err == nil:
			count[d.Standing]++
			oldest[d.Standing] = max(oldest[d.Standing], time.Since(since(d)))
		case d.Key == batch.Key{}:
			return nil, nil, err
		default:
			count[unreadable]++
		}
	}
	return count, oldest, nil
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
