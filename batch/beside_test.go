package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// A clock that cannot be read when a draft has a last time stops a call that
// goes on with a draft: nothing is sent, and the draft is told.
func TestABrokenClockStopsAResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, j := newTeller("refused", "ok"), oneItem(), batch.NewMemoryJournal()
		d.NotAfter = time.Now().Add(time.Hour)
		_, err := batch.Run(t.Context(), s, d, &batch.RunOptions{Journal: j})
		require.ErrorIs(t, err, batch.ErrInvalid)
		report, err := batch.Resume(t.Context(), s, d.Reference, &batch.RunOptions{Journal: brokenClock{j}})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "no clock")
		require.Equal(t, batch.StateDraft, report.Batch.State)
		require.Equal(t, d.Reference, report.Batch.Draft.Reference)
		require.Equal(t, d.Items, report.Batch.Draft.Items)
		require.Equal(t, 1, s.submits)
	})
}

// Beside an error that ends a call before anything was sent is the draft as it
// came, or its reference.
func TestTheBatchBesideAnEarlyError(t *testing.T) {
	s, bad := newTeller("ok"), oneItem()
	bad.Direction = batch.Pay
	report, err := batch.Run(t.Context(), s, bad, nil)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Equal(t, batch.Batch{Provider: "teller", State: batch.StateDraft, Draft: bad}, report.Batch)

	report, err = batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: unlockable{batch.NewMemoryJournal()}})
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.Equal(t, batch.Batch{Provider: "teller", State: batch.StateUnknown, Draft: oneItem()}, report.Batch)
}

// What a caller changes after the call does not reach the journal.
func TestTheJournalDoesNotShareTheCallersDraft(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, s batch.Provider, d batch.Draft, o *batch.RunOptions) error{
		"Run": func(ctx context.Context, s batch.Provider, d batch.Draft, o *batch.RunOptions) error {
			_, err := batch.Run(ctx, s, d, o)
			return err
		},
		"Start": func(ctx context.Context, s batch.Provider, d batch.Draft, o *batch.RunOptions) error {
			_, err := batch.Start(ctx, s, d, o)
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, d, j := newTeller("ok"), oneItem(), batch.NewMemoryJournal()
			require.NoError(t, call(t.Context(), s, d, &batch.RunOptions{Journal: j}), name)
			d.Items[0].Account = "another"
			history, err := j.History(t.Context(), batch.Key{Provider: "teller", Account: "test/1", Reference: d.Reference})
			require.NoError(t, err)
			for _, e := range history {
				require.False(t, e.Draft != nil && e.Draft.Items[0].Account == "another", "%s: entry %d", name, e.Seq)
			}
		})
	}
}

// An emptied is a teller whose Report fails with nothing beside the error.
type emptied struct{ *teller }

func (emptied) Report(context.Context, batch.Batch) (batch.Report, error) {
	return batch.Report{}, &batch.Error{Kind: batch.ErrUnavailable, Op: "Report"}
}

// A report that cannot be read leaves the batch as it was polled, and the event
// says why.
func TestAReportThatCannotBeReadKeepsTheBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emptied{newTeller("ok")}
		var heard error
		report, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: batch.NewMemoryJournal(), Observe: func(e batch.Event) {
			if e.Phase == batch.PhaseReport {
				heard = e.Err
				require.Equal(t, batch.StateDone, e.Batch.State)
			}
		}})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorIs(t, heard, batch.ErrUnavailable)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, oneItem().Items, report.Batch.Draft.Items)
	})
}
