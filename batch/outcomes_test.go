package batch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// A ledger is a teller whose items have outcomes of their own, which change.
type ledger struct {
	*teller
	rows map[string]batch.Result // by the reference of the item
	gone bool                    // the service has forgotten every batch
}

func newLedger(words ...string) *ledger {
	if len(words) == 0 {
		words = []string{"ok"}
	}
	return &ledger{teller: newTeller(words...), rows: make(map[string]batch.Result)}
}

func (s *ledger) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if s.gone {
		return batch.Report{Batch: b}, &batch.Error{Kind: batch.ErrNotFound, Op: "Report"}
	}
	r, err := s.teller.Report(ctx, b)
	if err != nil {
		return r, err
	}
	for n, result := range r.Results {
		if row, ok := s.rows[result.Item.Reference]; ok {
			row.Item = result.Item
			r.Results[n] = row
		}
	}
	return batch.NewReport(r.Batch, r.Results)
}

// flip changes what the service says of an item.
func (s *ledger) flip(reference string, o batch.Outcome) {
	s.rows[reference] = batch.Result{Outcome: o, Code: "code of " + string(o), ID: "pay-" + reference,
		At: time.Now().UTC()}
}

func wages(reference string, items ...string) batch.Draft {
	d := oneItem()
	d.Reference, d.Items = reference, nil
	for n, item := range items {
		d.Items = append(d.Items, batch.Item{Reference: item, Account: "acc-" + item, Amount: gbp(int64(n + 1))})
	}
	return d
}

func changesOf(t *testing.T, k *batch.Desk, reference string) (all []batch.Change) {
	t.Helper()
	for c, err := range k.Changes(t.Context(), reference) {
		require.NoError(t, err)
		all = append(all, c)
	}
	return all
}

func reviewed(t *testing.T, k *batch.Desk, since time.Time) (all []batch.Change) {
	t.Helper()
	for c, err := range k.Review(t.Context(), since) {
		require.NoError(t, err)
		all = append(all, c)
	}
	return all
}

// review reviews everything, whatever comes of it.
func review(t *testing.T, k *batch.Desk) {
	for _, err := range k.Review(t.Context(), time.Time{}) {
		_ = err
	}
}

// A payment bounces twenty days after its batch was done. A review finds it,
// once; June stays June; and the story stands when the service has forgotten
// the batch.
func TestABounceAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newLedger(), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		desk := batch.NewDesk(s, o.Journal)
		s.flip("b", batch.OutcomePaid)
		start := time.Now()
		report, err := batch.Run(t.Context(), s, wages("june", "a", "b"), o)
		require.NoError(t, err)
		june := time.Now()
		require.Empty(t, reviewed(t, desk, start))

		time.Sleep(20 * 24 * time.Hour)
		s.flip("b", batch.OutcomeReturned)
		require.Empty(t, reviewed(t, desk, time.Now()), "it was closed before that")
		all := reviewed(t, desk, start)
		require.Len(t, all, 1)
		require.Equal(t, batch.OutcomePaid, all[0].Before)
		require.Equal(t, "june", all[0].Key.Reference)
		require.Equal(t, time.Now(), all[0].Told)
		require.Equal(t, batch.Result{Item: report.Results[1].Item, Outcome: batch.OutcomeReturned,
			Code: "code of returned", ID: "pay-b", At: time.Now().UTC()}, all[0].Result)
		require.Empty(t, reviewed(t, desk, start), "it is written down already")

		s.gone = true
		then, err := desk.AsOf(t.Context(), "june", june)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(report, then), "the report of June")
		now, err := desk.AsOf(t.Context(), "june", time.Now())
		require.NoError(t, err)
		require.Equal(t, map[batch.Outcome]batch.Total{batch.OutcomePaid: {Count: 1, Amount: gbp(1)},
			batch.OutcomeReturned: {Count: 1, Amount: gbp(2)}}, now.Totals)
		_, err = desk.AsOf(t.Context(), "june", start.Add(-time.Second))
		require.ErrorIs(t, err, batch.ErrNotFound)
		require.ErrorContains(t, err, `nothing was reported of "june" by`)

		var story []string
		for _, c := range changesOf(t, desk, "june") {
			story = append(story, fmt.Sprintf("%s %s->%s", c.Result.Item.Reference, c.Before, c.Result.Outcome))
		}
		require.Equal(t, []string{"a ->paid", "b ->paid", "b paid->returned"}, story)
		for c, err := range desk.Review(t.Context(), start) {
			require.ErrorIs(t, err, batch.ErrNotFound)
			require.Equal(t, "june", c.Key.Reference, "the error names its batch")
		}
		require.Len(t, changesOf(t, desk, "june"), 3, "nothing once told is lost")
		for _, err := range desk.Changes(t.Context(), "july") {
			require.ErrorIs(t, err, batch.ErrNotFound)
		}
	})
}

// The journal stays true through flips and crashes at any write: the fold of
// the changes is the last report that was told.
func TestTheFoldOfTheChangesIsTheLastReport(t *testing.T) {
	items := []string{"a", "b", "c", "d"}
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			memory := batch.NewMemoryJournal()
			s := newLedger()
			for range 12 {
				s.flip(items[r.IntN(len(items))], batch.Outcomes()[r.IntN(6)])
				j := &failing{Journal: memory, at: r.IntN(8)}
				if r.IntN(2) == 0 {
					_, _ = batch.Run(t.Context(), s, wages("run-1", items...), &batch.RunOptions{Journal: j})
				} else {
					review(t, batch.NewDesk(s, j))
				}
				time.Sleep(time.Hour)
			}
			desk := batch.NewDesk(s, memory)
			review(t, desk)
			last, err := desk.AsOf(t.Context(), "run-1", time.Now())
			if err != nil {
				require.ErrorIs(t, err, batch.ErrNotFound)
				require.Empty(t, closings(t, s, memory, "run-1"))
				return
			}
			fold := make(map[string]batch.Result)
			for _, c := range changesOf(t, desk, "run-1") {
				require.Equal(t, fold[c.Result.Item.Reference].Outcome, c.Before)
				fold[c.Result.Item.Reference] = c.Result
			}
			for _, result := range last.Results {
				require.Equal(t, result.Outcome, fold[result.Item.Reference].Outcome)
			}
			if report, err := s.Report(t.Context(), last.Batch); err == nil {
				require.Equal(t, slices.Sorted(maps.Keys(report.Totals)), slices.Sorted(maps.Keys(last.Totals)),
					"what the service says now was reviewed")
			}
		})
	}
}

// failing is a journal of which one write fails.
type failing struct {
	batch.Journal
	at int
}

func (f *failing) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if f.at--; f.at == 0 {
		return errDisk
	}
	return f.Journal.Append(ctx, key, e)
}

// A report that shows a failed payment to be paid holds the purpose again.
func TestAPurposeIsHeldAgainByALatePayment(t *testing.T) {
	for _, late := range []batch.Outcome{batch.OutcomePaid, batch.OutcomeUnknown} {
		for _, paidAgain := range []bool{false, true} {
			lateOutcome(t, late, paidAgain)
		}
	}
}

func lateOutcome(t *testing.T, late batch.Outcome, paidAgain bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, o := newLedger(), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		desk := batch.NewDesk(s, o.Journal)
		first := invoice("first", "INV-1")
		first.Items[0].Reference = "first"
		s.flip("first", batch.OutcomeFailed)
		_, err := batch.Run(t.Context(), s, first, o)
		require.NoError(t, err)
		if paidAgain {
			_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
			require.NoError(t, err)
		}
		s.flip("first", late)
		n := 0
		for c, err := range desk.Review(t.Context(), time.Time{}) {
			if n++; err != nil {
				require.True(t, paidAgain)
				require.ErrorIs(t, err, batch.ErrConflict)
				require.ErrorContains(t, err, `purpose "INV-1" belongs to the reference "second"`)
				require.Equal(t, "first", c.Key.Reference)
				continue
			}
			require.Equal(t, batch.OutcomeFailed, c.Before)
			require.Equal(t, late, c.Result.Outcome)
		}
		if paidAgain {
			require.Equal(t, 2, n, "the change, and that it was paid twice")
			return
		}
		require.Equal(t, 1, n)
		_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
		require.ErrorIs(t, err, batch.ErrConflict)
	})
}

// An abandoned batch has no report to review.
func TestReviewLeavesWhatWasAbandoned(t *testing.T) {
	s, o := newLedger("refused"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Run(t.Context(), s, wages("run-1", "a"), o)
	require.Error(t, err)
	desk := batch.NewDesk(s, o.Journal)
	_, err = desk.Resolve(t.Context(), "run-1", decision(batch.Abandon))
	require.NoError(t, err)
	s.gone = true
	require.Empty(t, reviewed(t, desk, time.Time{}))
}

func TestAReportSurvivesJSON(t *testing.T) {
	s := newLedger()
	s.flip("a", batch.OutcomeReturned)
	report, err := batch.Run(t.Context(), s, wages("run-1", "a", "b"), nil)
	require.NoError(t, err)
	text, err := json.Marshal(report)
	require.NoError(t, err)
	require.Contains(t, string(text), `"outcome":"returned","code":"code of returned","id":"pay-a","at":"`)
	var back batch.Report
	require.NoError(t, json.Unmarshal(text, &back))
	require.Empty(t, cmp.Diff(report, back))
}

func TestReviewRefusesOtherTerms(t *testing.T) {
	s, o := newLedger(), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
		Watch: batch.WatchOptions{Interval: time.Millisecond}}
	_, err := batch.Run(t.Context(), s, wages("run-1", "a"), o)
	require.NoError(t, err)
	s.info.Terms = map[string]string{"merchant": "2"}
	n := 0
	for _, err := range batch.NewDesk(s, o.Journal).Review(t.Context(), time.Time{}) {
		n++
		require.ErrorContains(t, err, "belongs to other terms")
	}
	require.Equal(t, 1, n)
}

// A service may give another reason for the same outcome.
func TestAnotherCodeIsAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newLedger(), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		s.flip("a", batch.OutcomeFailed)
		_, err := batch.Run(t.Context(), s, wages("run-1", "a"), o)
		require.NoError(t, err)
		row := s.rows["a"]
		row.Code = "another"
		s.rows["a"] = row
		changed := reviewed(t, batch.NewDesk(s, o.Journal), time.Time{})
		require.Len(t, changed, 1)
		require.Equal(t, "another", changed[0].Result.Code)
		require.Equal(t, batch.OutcomeFailed, changed[0].Before)
	})
}

// A caller who has enough of a list of changes ends it.
func TestAListOfChangesEndsWhenItsCallerHasEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newLedger(), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		start := time.Now()
		for _, reference := range []string{"june", "july"} {
			_, err := batch.Run(t.Context(), s, wages(reference, "a", "b"), o)
			require.NoError(t, err)
		}
		flip := func(outcome batch.Outcome) { s.flip("a", outcome); s.flip("b", outcome) }
		flip(batch.OutcomeReturned)
		desk := batch.NewDesk(s, o.Journal)
		require.Len(t, reviewed(t, desk, start), 4)
		for _, err := range desk.Changes(t.Context(), "june") {
			require.NoError(t, err)
			break
		}
		flip(batch.OutcomePaid)
		for _, err := range desk.Review(t.Context(), start) {
			require.NoError(t, err)
			break
		}
		s.gone = true
		for _, err := range desk.Review(t.Context(), start) {
			require.ErrorIs(t, err, batch.ErrNotFound)
			break
		}
		nothing, err := desk.AsOf(t.Context(), "june", start.Add(-time.Second))
		require.ErrorIs(t, err, batch.ErrNotFound)
		require.Equal(t, "june", nothing.Batch.Draft.Reference)
		require.Equal(t, batch.StateUnknown, nothing.Batch.State)
	})
}

// A closedList is a journal whose list of closed batches is as told.
type closedList struct {
	batch.Journal
	list []batch.History
	errs map[int]error // by their place
}

func (j closedList) Closed(context.Context, string, string, time.Time) iter.Seq2[batch.History, error] {
	return listing{nil, j.list, j.errs}.Open(context.Background(), "", "")
}

// A moot is a stuck whose reports can be empty.
type moot struct {
	*stuck
	empty bool
}

func (s *moot) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := s.stuck.Report(ctx, b)
	if s.empty {
		r = batch.Report{}
	}
	return r, err
}

// A review writes down only what it has read, and tells every error.
func TestReviewWritesNothingBesideAnError(t *testing.T) {
	key := func(reference string) batch.Key {
		return batch.Key{Provider: "teller", Account: "test/1", Reference: reference}
	}
	odd, down := &batch.Error{Kind: batch.ErrProtocol, Op: "Report"},
		&batch.Error{Kind: batch.ErrUnavailable, Op: "Report"}
	for name, c := range map[string]struct {
		explained bool // a person has closed it
		report    error
		empty     bool
		journal   func(j batch.Journal) batch.Journal
		kind      batch.Kind // of the error
		changed   int
	}{
		"a bounce":                              {changed: 2},
		"a difference":                          {report: odd, kind: batch.ErrProtocol},
		"a difference that is explained":        {explained: true, report: odd, changed: 2},
		"an empty report where it is explained": {explained: true, report: odd, empty: true, kind: batch.ErrProtocol},
		"no answer where it is explained":       {explained: true, report: down, kind: batch.ErrUnavailable},
		"no lock": {journal: func(j batch.Journal) batch.Journal { return unlockable{j} },
			kind: batch.ErrUnavailable},
		"no write": {journal: func(j batch.Journal) batch.Journal { return &failing{j, 1} },
			kind: batch.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := &moot{stuck: &stuck{ledger: newLedger()}}, batch.Journal(batch.NewMemoryJournal())
				_, err := batch.Run(t.Context(), s, wages("june", "a", "b"), &batch.RunOptions{Journal: j})
				require.NoError(t, err)
				if c.explained {
					_, err = batch.NewDesk(s, j).Resolve(t.Context(), "june", closing(nil))
					require.NoError(t, err)
				}
				s.flip("a", batch.OutcomeReturned)
				s.flip("b", batch.OutcomeFailed)
				history := kinds(t, j, "june")
				s.report, s.empty = c.report, c.empty
				reviewed := j
				if c.journal != nil {
					reviewed = c.journal(j)
				}
				changed, failed := 0, batch.Kind("")
				for change, err := range batch.NewDesk(s, reviewed).Review(t.Context(), time.Time{}) {
					require.Equal(t, key("june"), change.Key)
					if failed = batch.KindOf(err); err == nil {
						changed++
					}
				}
				require.Equal(t, c.changed, changed)
				require.Equal(t, c.kind, failed)
				require.Equal(t, c.kind != "", history == kinds(t, j, "june"))
			})
		})
	}
	t.Run("no list", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := newLedger(), batch.NewMemoryJournal()
			for _, reference := range []string{"june", "july"} {
				_, err := batch.Run(t.Context(), s, wages(reference, "a"), &batch.RunOptions{Journal: j})
				require.NoError(t, err)
			}
			s.flip("a", batch.OutcomeReturned)
			list := closedList{j, []batch.History{{Key: key("june")}, {}, {Key: key("july")}},
				map[int]error{0: errDisk, 1: errDisk}}
			var got []string
			for c, err := range batch.NewDesk(s, list).Review(t.Context(), time.Time{}) {
				got = append(got, c.Key.Reference)
				if c.Key == (batch.Key{}) {
					require.ErrorIs(t, err, errDisk)
					require.ErrorIs(t, err, batch.ErrUnavailable)
					require.ErrorContains(t, err, "the closed batches cannot be listed")
				} else {
					require.NoError(t, err, "its history was read again")
				}
			}
			require.Equal(t, []string{"june", ""}, got)
		})
	})
	t.Run("opened again since it was listed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := newTeller("ok"), batch.NewMemoryJournal()
			_, err := batch.Start(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.NoError(t, err)
			for c, err := range batch.NewDesk(s, closedList{j, []batch.History{{Key: key("run-1")}}, nil}).
				Review(t.Context(), time.Time{}) {
				t.Errorf("Review of an open batch says %v, %v", c, err)
			}
			require.Len(t, pending(t, s, j), 1)
		})
	})
	t.Run("no journal", func(t *testing.T) {
		n := 0
		for c, err := range batch.NewDesk(newTeller("ok"), nil).Review(t.Context(), time.Time{}) {
			n++
			require.Zero(t, c)
			require.ErrorIs(t, err, batch.ErrInvalid)
		}
		require.Equal(t, 1, n)
	})
}
