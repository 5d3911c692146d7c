package batch

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"
)

// ItemOutcomes is what a report said of every item, as a journal keeps it: in the
// order of Batch.Draft.Items of the same entry, and small.
type ItemOutcomes struct {
	Letters string      `json:"letters"`         // one for each item, see the table letters
	Codes   []string    `json:"codes,omitempty"` // Result.Code; nil if no item has one
	IDs     []string    `json:"ids,omitempty"`   // Result.ID
	Times   []time.Time `json:"times,omitempty"` // Result.At
}

// letters is how a journal keeps an Outcome.
var letters = map[Outcome]byte{
	OutcomePaid:     'p',
	OutcomeFailed:   'f',
	OutcomePending:  'w',
	OutcomeReturned: 'r',
	OutcomeSkipped:  's',
	OutcomeUnknown:  'u',
}

// outcomesOf is what a journal keeps of results.
func outcomesOf(results []Result) *ItemOutcomes {
	var o ItemOutcomes
	n := len(results)
	kept, codes, ids, times := make([]byte, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i, r := range results {
		kept[i] = cmp.Or(letters[r.Outcome], letters[OutcomeUnknown])
		codes[i], ids[i], times[i] = r.Code, r.ID, r.At.UTC()
	}
	o.Letters = string(kept)
	if slices.ContainsFunc(codes, func(s string) bool { return s != "" }) {
		o.Codes = codes
	}
	if slices.ContainsFunc(ids, func(s string) bool { return s != "" }) {
		o.IDs = ids
	}
	if slices.ContainsFunc(times, func(t time.Time) bool { return !t.IsZero() }) {
		o.Times = times
	}
	return &o
}

// results is the reverse of outcomesOf, for the items of the same entry.
func (o *ItemOutcomes) results(items []Item) []Result {
	results := make([]Result, len(items))
	for i, item := range items {
		results[i] = Result{Item: item, Outcome: OutcomeUnknown, Code: at(o.Codes, i), ID: at(o.IDs, i),
			At: at(o.Times, i)}
		for outcome, letter := range letters {
			if i < len(o.Letters) && o.Letters[i] == letter {
				results[i].Outcome = outcome
			}
		}
	}
	return results
}

func at[T any](list []T, n int) (zero T) {
	if n < len(list) {
		return list[n]
	}
	return zero
}

// same reports whether o says of every item what other says, in the words of
// the service.
func (o *ItemOutcomes) same(other *ItemOutcomes) bool {
	return o != nil && other != nil && o.Letters == other.Letters && slices.Equal(o.Codes, other.Codes)
}

// A Change is what a journal learned of one item.
type Change struct {
	Key    Key       `json:"key"`
	Before Outcome   `json:"before,omitempty"` // empty in the first report
	Result Result    `json:"result"`           // what the item is since then
	Told   time.Time `json:"told"`             // when it was written down
}

// told yields the entries of a history that say what became of its items, each
// with its results, oldest first.
func told(history []Entry) iter.Seq2[*Entry, []Result] {
	return func(yield func(*Entry, []Result) bool) {
		for i := range history {
			if e := &history[i]; e.Outcomes != nil && !yield(e, e.Outcomes.results(e.Batch.Draft.Items)) {
				return
			}
		}
	}
}

// changes are the results of after that differ from before, as they were written
// down at a time. Items are told apart by their reference.
func changes(key Key, at time.Time, before, after []Result) (changed []Change) {
	was := make(map[string]Result, len(before))
	for _, r := range before {
		was[r.Item.Reference] = r
	}
	for _, r := range after {
		if old, known := was[r.Item.Reference]; !known || old.Outcome != r.Outcome || old.Code != r.Code {
			changed = append(changed, Change{Key: key, Before: old.Outcome, Result: r, Told: at})
		}
	}
	return changed
}

// Changes yields what the journal has learned of the items of a batch: first
// the outcome of each as it was first reported, and then every change, in the
// order in which they were written down. It reads the journal and nothing else,
// so it works when the service has forgotten the batch.
//
// ErrNotFound means that the journal does not know the reference. An error is
// the last.
func (k *Desk) Changes(ctx context.Context, reference string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		e, err := k.read(ctx, "Changes", reference)
		if err != nil {
			yield(Change{}, err)
			return
		}
		var before []Result
		for entry, results := range told(e.history) {
			for _, c := range changes(e.key, entry.At, before, results) {
				if !yield(c, nil) {
					return
				}
			}
			before = results
		}
	}
}

// Draft returns a batch as Create has found it, or else as the caller has asked
// for it: with the items that people approve. It reads the journal and nothing
// else. ErrNotFound means that the journal does not know the reference.
func (k *Desk) Draft(ctx context.Context, reference string) (Draft, error) {
	e, err := k.read(ctx, "Draft", reference)
	if err != nil {
		return Draft{}, err
	}
	p := replay(e.history)
	if p.batch != nil {
		return p.batch.Draft.Clone(), nil
	}
	return p.intent.Draft.Clone(), nil
}

// AsOf returns the report of a batch as it was told at a time, so that the
// report of June stays that of June. It reads the journal and nothing else.
// Result.Message and Result.Native are not kept.
//
// ErrNotFound means that the journal does not know the reference, or that
// nothing was reported by then.
func (k *Desk) AsOf(ctx context.Context, reference string, at time.Time) (Report, error) {
	e, err := k.read(ctx, "AsOf", reference)
	if err != nil {
		return Report{Batch: e.unknown()}, err
	}
	report, err := toldBy(e.history, at)
	if err == nil && report.Results == nil {
		return Report{Batch: e.unknown()},
			e.fail(ErrNotFound, fmt.Sprintf("nothing was reported of %q by %s", reference, at.Format(time.RFC3339)),
				nil)
	}
	return report, err
}

// toldBy is the last report in a history that was written down by a time.
func toldBy(history []Entry, at time.Time) (report Report, err error) {
	for entry, results := range told(history) {
		if !entry.At.After(at) {
			report = Report{Batch: *entry.Batch, Results: results}
		}
	}
	report.Totals, err = totals(report.Results)
	return report, err
}

// read reads a history that must exist, without its lock.
func (k *Desk) read(ctx context.Context, op, reference string) (*engine, error) {
	e, err := k.engine(op, reference)
	if err != nil {
		return e, err
	}
	if e.history, err = e.journal.History(ctx, e.key); err == nil {
		err = known(e.history)
	}
	switch {
	case err != nil:
		return e, e.journalFailed(ErrUnavailable, "the history cannot be read", err)
	case len(e.history) == 0:
		return e, e.unknownReference()
	}
	return e, nil
}

// Review reads again the report of every batch that was closed since a time,
// and writes down what has changed, such as a payment that bounced later. It
// yields the changes; purposes of what has come back are free afterwards. It
// submits nothing. How long after the end a service may change an outcome is a
// matter of its facts, and since is the caller's choice: batch/PRODUCTION.md has
// a table by provider. A batch of which an item was erased (see Erased) is passed
// over. ErrProtocol says that a report no longer agrees with its batch: nothing of
// it is written down until a person does so with Resolve and Close.
//
// An error belongs to the batch whose Key is beside it, and the others follow;
// an error beside a Change without a Key is the journal's own, and the last.
func (k *Desk) Review(ctx context.Context, since time.Time) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		e, err := k.engine("Review", "")
		if err != nil {
			yield(Change{}, err)
			return
		}
		for closed, err := range e.journal.Closed(ctx, e.key.Provider, e.key.Account, since) {
			if err != nil && closed.Key == (Key{}) {
				yield(Change{}, e.journalFailed(ErrUnavailable, "the closed batches cannot be listed", err))
				return
			}
			one := newEngine("Review", k.p, closed.Key.Reference, &e.o, nil)
			changed, err := one.review(ctx)
			for _, c := range changed {
				if !yield(c, nil) {
					return
				}
			}
			if err != nil && !yield(Change{Key: closed.Key}, err) {
				return
			}
		}
	}
}

// review reads the report of a closed batch and writes down what has changed.
func (e *engine) review(ctx context.Context) ([]Change, error) {
	unlock, err := e.begin(ctx)
	if err != nil {
		return nil, err
	}
	p := replay(e.history)
	unlock()
	if !p.closed || p.abandoned != nil || p.erased() { // Without accounts a report cannot be compared.
		return nil, nil
	}
	if err := e.sameTerms(p); err != nil {
		return nil, err
	}
	n := len(e.history)
	report, err := reportOf(ctx, e.p, *p.batch)
	if explained := p.explained != nil && KindOf(err) == ErrProtocol && len(report.Results) > 0; err != nil &&
		!explained {
		return nil, err
	}
	if err = e.close(ctx, report); len(e.history) == n {
		return nil, err
	}
	var before, after []Result
	for entry, results := range told(e.history) {
		if entry.Seq <= n {
			before = results
		}
		after = results
	}
	return changes(e.key, e.history[len(e.history)-1].At, before, after), err
}
