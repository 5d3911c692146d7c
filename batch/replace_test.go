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
	_, err = batch.Run(t.Context(), s, replacing("february", "february"), o)
	require.ErrorIs(t, err, batch.ErrNotFound)
	require.ErrorContains(t, err, `the journal does not know the reference "february"`)
	_, err = batch.Run(t.Context(), s, replacing("no reference", "february"), o)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, "replaces: is")
	require.Zero(t, s.creates)

	runUntil(t, batch.PhaseCreate, s, invoice("january", ""), o.Journal)
	s.info.Terms = map[string]string{"merchant": "2"}
	_, err = batch.Run(t.Context(), s, replacing("january", "february"), o)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, `the reference "january" belongs to other terms`)
	require.Len(t, pending(t, s, o.Journal), 1, "it is not given up by another merchant")
}

// corrected is the same batch with another item.
func corrected(reference, number, item string) batch.Draft {
	d := replacing(reference, reference)
	d.Items[0].Purpose, d.Items[0].Reference = number, item
	return d
}

// A draft is corrected under its own reference, whatever crashes: what the
// service has of the first one is withdrawn, and only the corrected one is paid.
func TestADraftIsCorrected(t *testing.T) {
	for at := range 14 {
		synctest.Test(t, func(t *testing.T) {
			s, journal := batchtest.NewMemory(batchtest.MemoryOptions{}), batch.NewMemoryJournal()
			runUntil(t, batch.PhaseCreate, s, invoice("january", "INV-1"), journal)
			right := corrected("january", "INV-2", "right")
			_, _ = batch.Run(t.Context(), s, right, &batch.RunOptions{Journal: &failing{Journal: journal, at: at}})
			report, err := batch.Run(t.Context(), s, right, &batch.RunOptions{Journal: journal})
			require.NoError(t, err)
			require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
			require.Equal(t, map[string]int{"right": 1}, s.Moved())
			require.Empty(t, pending(t, s, journal))

			_, err = batch.Run(t.Context(), s, invoice("january", "INV-1"), &batch.RunOptions{Journal: journal})
			require.ErrorIs(t, err, batch.ErrConflict)
			other, err := batch.Run(t.Context(), s, invoice("other", "INV-1"), &batch.RunOptions{Journal: journal})
			require.NoError(t, err, "its purpose is free")
			require.Equal(t, batch.OutcomePaid, other.Results[0].Outcome)
		})
	}
}

func TestACorrectionIsCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, journal := batchtest.NewMemory(batchtest.MemoryOptions{}), batch.NewMemoryJournal()
		o := &batch.RunOptions{Journal: journal}
		first, second := corrected("january", "", "first"), corrected("january", "", "second")
		runUntil(t, batch.PhaseCreate, s, invoice("january", ""), journal)
		runUntil(t, batch.PhaseCreate, s, first, journal)
		runUntil(t, batch.PhaseCreate, s, second, journal)
		require.Equal(t, "intent create#1 create#1=ok withdrawn intent create#2 create#2=ok withdrawn intent create#3 create#3=ok",
			kindsOf(t, journal, batch.Key{Provider: s.Info().Name, Account: s.Info().Account, Reference: "january"}))
		_, err := batch.Run(t.Context(), s, first, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, `the draft "january" is an earlier one, and another has taken its place`)
		_, err = batch.Run(t.Context(), s, second, o)
		require.NoError(t, err)
		require.Equal(t, map[string]int{"second": 1}, s.Moved())
	})
}

func TestNothingCorrectsWhatMayBeSubmitted(t *testing.T) {
	for word, state := range map[string]batch.State{"lost": batch.StateUnknown, "applied and lost": batch.StateDone, "ok": batch.StateDone} {
		synctest.Test(t, func(t *testing.T) {
			s, o := newTeller(word, "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
			old, _ := batch.Run(t.Context(), s, invoice("january", ""), o)
			require.Equal(t, state, old.Batch.State)
			before := kinds(t, o.Journal, "january")
			report, err := batch.Run(t.Context(), s, corrected("january", "", "right"), o)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, `the draft "january" may have been submitted, so nothing takes its place`)
			require.Equal(t, state, report.Batch.State)
			require.Equal(t, before, kinds(t, o.Journal, "january"))
			require.Equal(t, 1, s.submits)
		})
	}
}

// A draft that a colleague has submitted at the service is not corrected.
func TestADraftThatWasSubmittedElsewhereIsNotCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := &drafty{teller: newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		runUntil(t, batch.PhaseCreate, s, invoice("january", ""), o.Journal)
		s.cancel, s.absent = &batch.Error{Kind: batch.ErrConflict}, batch.StatePending
		before := kinds(t, o.Journal, "january")
		_, err := batch.Run(t.Context(), s, corrected("january", "", "right"), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "this journal has not submitted it: find out who did")
		require.Equal(t, before, kinds(t, o.Journal, "january"))
		require.Equal(t, 1, s.creates)
	})
}

func TestNothingCorrectsWhatIsUnderWayOrNamedByAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		runUntil(t, batch.PhaseSubmit, s, invoice("january", ""), o.Journal)
		_, err := batch.Run(t.Context(), s, corrected("january", "", "right"), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "may have been submitted")

		s.absent = batch.StateDraft
		runUntil(t, batch.PhaseCreate, s, invoice("february", ""), o.Journal)
		d := decision(batch.Adopt)
		d.BatchID = "7"
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), "february", d)
		require.NoError(t, err)
		_, err = batch.Run(t.Context(), s, corrected("february", "", "right"), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "goes on with a batch that an operator has named: abandon it")
		require.Equal(t, 1, s.submits)
	})
}

// Approvals are of what they were given for.
func TestACorrectionNeedsNewApprovals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, journal := batchtest.NewMemory(batchtest.MemoryOptions{}), batch.NewMemoryJournal()
		o, desk := &batch.RunOptions{Journal: journal}, batch.NewDesk(s, journal)
		d := invoice("january", "")
		d.Author, d.Approvals = "Ada", 1
		_, err := batch.Run(t.Context(), s, d, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		dossier, err := desk.Dossier(t.Context(), "january")
		require.NoError(t, err)
		require.NoError(t, desk.Approve(t.Context(), "january", batch.Approval{Operator: "Ben", Digest: dossier.Digest}))
		right := corrected("january", "", "right")
		right.Author, right.Approvals = "Ada", 1
		_, err = batch.Run(t.Context(), s, right, o)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, batch.CodeApprovalNeeded, e.Code)
		require.Empty(t, s.Moved())
	})
}
