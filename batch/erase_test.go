package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// erased is a journal with what j has of a reference, after Erase of an account.
func erased(t *testing.T, j batch.Journal, key batch.Key, account string) batch.Journal {
	t.Helper()
	history, err := j.History(t.Context(), key)
	require.NoError(t, err)
	history, matched := record.Erase(history, func(item batch.Item) bool { return item.Account == account })
	require.True(t, matched)
	after := batch.NewMemoryJournal()
	for _, e := range history {
		require.NoError(t, after.Append(t.Context(), key, e))
	}
	return after
}

// What became of a batch with an erased item is told from the journal: its
// report cannot be compared without accounts.
func TestAnErasedBatchIsReportedFromTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLedger()
		s.flip("b", batch.OutcomeFailed)
		d := wages("june", "a", "b")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		before, err := batch.Run(t.Context(), s, d, o)
		require.NoError(t, err)
		key := batch.Key{Provider: s.Info().Name, Account: s.Info().Account, Reference: "june"}
		o.Journal = erased(t, o.Journal, key, "acc-a")
		s.gone = true
		s.flip("b", batch.OutcomeReturned)

		after, err := batch.Resume(t.Context(), s, "june", o)
		require.NoError(t, err)
		require.Equal(t, before.Totals, after.Totals)
		require.Equal(t, batch.StateDone, after.Batch.State)
		require.Equal(t, batch.Erased, after.Results[0].Item.Account)
		require.Equal(t, batch.OutcomePaid, after.Results[0].Outcome)
		require.Equal(t, "acc-b", after.Results[1].Item.Account)
		require.Equal(t, batch.OutcomeFailed, after.Results[1].Outcome)

		desk := batch.NewDesk(s, o.Journal)
		for c, err := range desk.Review(t.Context(), time.Time{}) {
			t.Errorf("Review of an erased batch says %v, %v", c, err)
		}
		report, err := desk.AsOf(t.Context(), "june", time.Now())
		require.NoError(t, err)
		require.Equal(t, after, report)

		_, err = batch.Run(t.Context(), s, d, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "erased")
		require.Equal(t, 1, s.submits)
		_, err = desk.Resolve(t.Context(), "june", batch.Decision{Verdict: batch.Close, Operator: "o", Reason: "r"})
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "erased")

		again := wages("july", "c")
		again.Items[0].Account = batch.Erased
		_, err = batch.Run(t.Context(), s, again, o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "was erased")
	})
}

// The approvals of an erased batch are still those that counted.
func TestErasedApprovalsAreStillShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLedger()
		d := wages("june", "a", "b")
		d.Author, d.Approvals = "Ann", 1
		j := batch.NewMemoryJournal()
		o := &batch.RunOptions{Journal: j}
		_, err := batch.Run(t.Context(), s, d, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		desk := batch.NewDesk(s, j)
		dossier, err := desk.Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.NoError(t, desk.Approve(t.Context(), "june", batch.Approval{Operator: "Ben", Digest: dossier.Digest}))
		_, err = batch.Resume(t.Context(), s, "june", o)
		require.NoError(t, err)
		after := erased(t, j, dossier.Key, "acc-a")
		dossier, err = batch.NewDesk(s, after).Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, batch.Erased, dossier.Digest)
		require.Len(t, dossier.Approvals, 1)
		require.Equal(t, "Ben", dossier.Approvals[0].Operator)
	})
}

// A batch that was given up and erased, and then turns out to be submitted, is
// seen to its end.
func TestAnErasedBatchCanBeAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newBiller("refused"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		decide := func(d batch.Decision) error {
			_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "first", d)
			return err
		}
		require.NoError(t, decide(batch.Decision{Verdict: batch.Abandon, Operator: "Ada", Reason: "case 1"}))
		key := batch.Key{Provider: s.Info().Name, Account: s.Info().Account, Reference: "first"}
		o.Journal = erased(t, o.Journal, key, invoice("first", "INV-1").Items[0].Account)
		_, err = batch.Resume(t.Context(), s, "first", o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "abandoned")

		s.applied["first"] = 1 // The refusal was wrong.
		require.NoError(t, decide(batch.Decision{Verdict: batch.Adopt, BatchID: "id-first", Operator: "Ada",
			Reason: "case 2"}))
		for range 2 {
			report, err := batch.Resume(t.Context(), s, "first", o)
			require.NoError(t, err)
			require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
		}
		require.Len(t, closings(t, s, o.Journal, "first"), 2, "of Abandon and of the report")
	})
}

// A swapped is a journal whose content changes under it, and eraser a service
// that is slow to report.
type swapped struct{ batch.Journal }

type eraser struct {
	*ledger
	during func()
}

func (s eraser) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if s.during != nil {
		s.during()
	}
	return s.ledger.Report(ctx, b)
}

// A report that was asked for before an account was erased does not bring it
// back.
func TestReviewDoesNotBringBackWhatIsErasedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &swapped{batch.NewMemoryJournal()}
		s := eraser{ledger: newLedger()}
		_, err := batch.Run(t.Context(), s, wages("june", "a", "b"), &batch.RunOptions{Journal: j})
		require.NoError(t, err)
		key := batch.Key{Provider: s.Info().Name, Account: s.Info().Account, Reference: "june"}
		s.flip("b", batch.OutcomeReturned)
		s.during = func() { j.Journal = erased(t, j.Journal, key, "acc-a") }
		for _, err := range batch.NewDesk(s, j).Review(t.Context(), time.Time{}) {
			require.NoError(t, err)
		}
		history, err := j.History(t.Context(), key)
		require.NoError(t, err)
		for _, e := range history {
			require.False(t, e.Batch != nil && e.Batch.Draft.Items[0].Account == "acc-a", "entry %d", e.Seq)
		}
	})
}

// An account that was erased hides nothing that a person has to decide.
func TestAnErasedBatchThatWasAdoptedCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newBiller("refused"), batch.Journal(batch.NewMemoryJournal())
		_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
		require.ErrorIs(t, err, batch.ErrInvalid)
		_, err = batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.NoError(t, err)
		j = erased(t, j, batch.Key{Provider: "teller", Account: "test/1", Reference: "run-1"},
			oneItem().Items[0].Account)
		s.applied["run-1"] = 1
		adopt := decision(batch.Adopt)
		adopt.BatchID = "id-run-1"
		_, err = batch.NewDesk(s, j).Resolve(t.Context(), "run-1", adopt)
		require.NoError(t, err)
		_, err = batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Close))
		require.NoError(t, err)
		b, err := batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Close))
		require.ErrorContains(t, err, "items of the batch were erased")
		require.Equal(t, "id-run-1", b.ID)
	})
}
