package batch_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

func replacing(old, reference string) batch.Draft {
	d := invoice(reference, "INV-1")
	d.Replaces = old
	return d
}

// A draft takes the place of one that was never submitted, whatever crashes:
// the old one is withdrawn, and the invoice is paid once.
func TestADraftTakesThePlaceOfAnother(t *testing.T) {
	for at := range 14 {
		synctest.Test(t, func(t *testing.T) {
			s, journal := batchtest.NewMemory(batchtest.MemoryOptions{}), batch.NewMemoryJournal()
			runUntil(t, batch.PhaseCreate, s, invoice("january", "INV-1"), journal)
			_, _ = batch.Run(t.Context(), s, replacing("january", "february"), &batch.RunOptions{Journal: &failing{Journal: journal, at: at}})
			report, err := batch.Run(t.Context(), s, replacing("january", "february"), &batch.RunOptions{Journal: journal})
			require.NoError(t, err)
			require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
			require.Empty(t, pending(t, s, journal))
			require.Equal(t, map[string]int{report.Results[0].Item.Reference: 1}, s.Moved())
			_, err = batch.Resume(t.Context(), s, "january", &batch.RunOptions{Journal: journal})
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, `the reference "january" was abandoned by Run (replaced by february)`)
		})
	}
}

func TestNothingTakesThePlaceOfWhatMayBeSubmitted(t *testing.T) {
	for word, state := range map[string]batch.State{"lost": batch.StateUnknown, "applied and lost": batch.StateDone, "ok": batch.StateDone} {
		synctest.Test(t, func(t *testing.T) {
			s, o := newTeller(word, "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
			old, _ := batch.Run(t.Context(), s, invoice("january", ""), o)
			require.Equal(t, state, old.Batch.State)
			report, err := batch.Run(t.Context(), s, replacing("january", "february"), o)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, `the reference "january" may have been submitted, so nothing takes its place`)
			require.Equal(t, batch.StateDraft, report.Batch.State)
			require.Equal(t, 1, s.submits)
		})
	}
}

func TestReplacesNamesAnotherDraftThatIsKnown(t *testing.T) {
	s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Run(t.Context(), s, replacing("january", "february"), o)
	require.ErrorIs(t, err, batch.ErrNotFound)
	require.ErrorContains(t, err, `the journal does not know the reference "january"`)
	for _, wrong := range []string{"february", "no reference"} {
		_, err = batch.Run(t.Context(), s, replacing(wrong, "february"), o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "replaces: is")
	}
	require.Zero(t, s.creates)

	runUntil(t, batch.PhaseCreate, s, invoice("january", ""), o.Journal)
	s.info.Terms = map[string]string{"merchant": "2"}
	_, err = batch.Run(t.Context(), s, replacing("january", "february"), o)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, `the reference "january" belongs to other terms`)
	require.Len(t, pending(t, s, o.Journal), 1, "it is not given up by another merchant")
}
