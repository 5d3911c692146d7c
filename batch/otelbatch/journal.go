package otelbatch

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/batchway/batchway-go/batch"
)

// WrapJournal returns j with counters of its failures, and of what it learns of
// items and money. An item is counted once the journal has kept its outcome, so
// that neither a second report nor a second process counts it again. An item
// whose outcome changes later, such as a payment that bounces, is counted again
// under its new one.
//
// Arguments, results and errors pass through unchanged. The result is a
// batch.Clock if j is one. Anything else that j can do, such as Prune, is called
// on j itself.
func WrapJournal(j batch.Journal, options ...Option) batch.Journal {
	meter := newConfig(options).meter()
	w := &journal{
		inner: j,
		failures: made(meter.Int64Counter("batchway.journal.failures", metric.WithUnit("{call}"),
			metric.WithDescription("Calls of the journal that failed."))),
		items: made(meter.Int64Counter("batchway.items", metric.WithUnit("{item}"),
			metric.WithDescription("Items by the outcome that the journal has kept."))),
		money: made(meter.Int64Counter("batchway.money", metric.WithUnit("{minor_unit}"),
			metric.WithDescription("Amounts by the outcome that the journal has kept, in minor units."))),
		final: made(meter.Float64Histogram("batchway.batch.time_to_final", metric.WithUnit("s"),
			metric.WithDescription("Time from the first Submit until the final report is in the journal."),
			metric.WithExplicitBucketBoundaries(60, 600, hour, 6*hour, day, 2*day, 4*day, 8*day, 16*day,
				32*day, 64*day))),
	}
	for _, op := range []string{"Lock", "History", "Append", "Open", "Closed", "Next", "Now"} {
		w.failures.Add(context.Background(), 0, metric.WithAttributes(keyOp.String(op)))
	}
	if c, ok := j.(batch.Clock); ok {
		return clock{w, c}
	}
	return w
}

const (
	hour = 60 * 60
	day  = 24 * hour
)

type journal struct {
	inner    batch.Journal
	failures metric.Int64Counter
	items    metric.Int64Counter
	money    metric.Int64Counter
	final    metric.Float64Histogram
}

// failed counts err if the journal is the reason. Conflicts and questions about
// another account are answers.
func (w *journal) failed(ctx context.Context, op string, err error) {
	switch {
	case err == nil, errors.Is(err, batch.ErrConflict), errors.Is(err, batch.ErrInvalid),
		errors.Is(err, context.Canceled):
		return
	case op == "Lock" && ctx.Err() != nil:
		return // Another call holds the lock.
	}
	w.failures.Add(ctx, 1, metric.WithAttributes(keyOp.String(op)))
}

func (w *journal) Lock(ctx context.Context, key batch.Key) (unlock func(), err error) {
	unlock, err = w.inner.Lock(ctx, key)
	w.failed(ctx, "Lock", err)
	return unlock, err
}

func (w *journal) History(ctx context.Context, key batch.Key) ([]batch.Entry, error) {
	entries, err := w.inner.History(ctx, key)
	w.failed(ctx, "History", err)
	return entries, err
}

func (w *journal) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	err := w.inner.Append(ctx, key, e)
	w.failed(ctx, "Append", err)
	switch {
	case err != nil:
	case e.Kind == batch.EntryIntent:
		w.expect(ctx, key, e)
	case e.Kind == batch.EntryDone && e.Outcomes != nil:
		w.count(ctx, key)
	}
	return err
}

func (w *journal) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	return w.listed(ctx, "Open", w.inner.Open(ctx, provider, account))
}

func (w *journal) Closed(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
	error] {
	return w.listed(ctx, "Closed", w.inner.Closed(ctx, provider, account, since))
}

func (w *journal) listed(
	ctx context.Context, op string, all iter.Seq2[batch.History, error],
) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) {
		for h, err := range all {
			w.failed(ctx, op, err)
			if err == nil && len(h.Entries) > 0 {
				w.expect(ctx, h.Key, h.Entries[0])
			}
			if !yield(h, err) {
				return
			}
		}
	}
}

func (w *journal) Next(ctx context.Context, sequence string, first int64) (int64, error) {
	n, err := w.inner.Next(ctx, sequence, first)
	w.failed(ctx, "Next", err)
	return n, err
}

type clock struct {
	*journal
	batch.Clock
}

func (c clock) Now(ctx context.Context) (time.Time, error) {
	now, err := c.Clock.Now(ctx)
	c.failed(ctx, "Now", err)
	return now, err
}

// expect adds zero to the counters that the batch of an intent may need:
// Prometheus sees no increase in a counter that appears with its first value.
func (w *journal) expect(ctx context.Context, key batch.Key, intent batch.Entry) {
	if intent.Draft == nil || len(intent.Draft.Items) == 0 {
		return
	}
	for _, outcome := range batch.Outcomes() {
		w.add(ctx, key, outcome, 0, batch.Money{Currency: intent.Draft.Items[0].Amount.Currency})
	}
}

func (w *journal) add(ctx context.Context, key batch.Key, outcome batch.Outcome, items int64, amount batch.Money) {
	about := append(account(key.Provider, key.Account), keyOutcome.String(string(outcome)))
	w.items.Add(ctx, items, metric.WithAttributes(about...))
	about = append(about, keyCurrency.String(amount.Currency))
	w.money.Add(ctx, amount.Minor, metric.WithAttributes(about...))
}

// count counts what the last entry of key says for the first time.
func (w *journal) count(ctx context.Context, key batch.Key) {
	entries, err := w.History(ctx, key)
	if err != nil || len(entries) == 0 {
		return
	}
	last := entries[len(entries)-1]
	before, after := learned(ctx, key, entries[:len(entries)-1]), learned(ctx, key, entries)
	totals := make(map[batch.Outcome]batch.Total)
	for _, c := range after[min(len(before), len(after)):] {
		t := totals[c.Result.Outcome]
		// Run refuses items that cannot be added up.
		amount := batch.Money{Minor: t.Amount.Minor + c.Result.Item.Amount.Minor,
			Currency: c.Result.Item.Amount.Currency}
		totals[c.Result.Outcome] = batch.Total{Count: t.Count + 1, Amount: amount}
	}
	for outcome, t := range totals {
		w.add(ctx, key, outcome, int64(t.Count), t.Amount)
	}
	if len(before) > 0 || last.Batch == nil || !last.Batch.State.Final() {
		return
	}
	for _, e := range entries {
		if e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit {
			about := append(account(key.Provider, key.Account), keyState.String(stateOf(*last.Batch)))
			w.final.Record(ctx, max(0, last.At.Sub(e.At)).Seconds(), metric.WithAttributes(about...))
			return
		}
	}
}

// learned is what a history says of its items, oldest first. Desk.Changes has
// the rule.
func learned(ctx context.Context, key batch.Key, entries []batch.Entry) (changes []batch.Change) {
	desk := batch.NewDesk(owner{info: batch.Info{Name: key.Provider, Account: key.Account}}, past{entries: entries})
	for c, err := range desk.Changes(ctx, key.Reference) {
		if err != nil {
			return nil
		}
		changes = append(changes, c)
	}
	return changes
}

// An owner is a provider that only has facts.
type owner struct {
	batch.Provider
	info batch.Info
}

func (o owner) Info() batch.Info { return o.info }

// A past is a journal that only has one history, which was read before.
type past struct {
	batch.Journal
	entries []batch.Entry
}

func (p past) History(context.Context, batch.Key) ([]batch.Entry, error) { return p.entries, nil }
