package batch_test

import (
	"cmp"
	"context"
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
			_, _ = batch.Run(t.Context(), s, replacing("january", "february"),
				&batch.RunOptions{Journal: &failing{Journal: journal, at: at}})
			report, err := batch.Run(t.Context(), s, replacing("january", "february"),
				&batch.RunOptions{Journal: journal})
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
	for word, state := range map[string]batch.State{"lost": batch.StateUnknown, "applied and lost": batch.StateDone,
		"ok": batch.StateDone} {
		synctest.Test(t, func(t *testing.T) {
			s, o := newTeller(word, "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
				ReconcileFor: time.Second}
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
		require.Equal(t,
			"intent create#1 create#1=ok withdrawn intent create#2 create#2=ok withdrawn intent create#3 create#3=ok",
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
	for word, state := range map[string]batch.State{"lost": batch.StateUnknown, "applied and lost": batch.StateDone,
		"ok": batch.StateDone} {
		synctest.Test(t, func(t *testing.T) {
			s, o := newTeller(word, "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
				ReconcileFor: time.Second}
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
		require.NoError(t,
			desk.Approve(t.Context(), "january", batch.Approval{Operator: "Ben", Digest: dossier.Digest}))
		right := corrected("january", "", "right")
		right.Author, right.Approvals = "Ada", 1
		_, err = batch.Run(t.Context(), s, right, o)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, batch.CodeApprovalNeeded, e.Code)
		require.Empty(t, s.Moved())
	})
}

// A supplied service runs batches of its own making, which Extra["batch_id"]
// names, and cancels drafts.
type supplied struct{ *drafty }

func newSupplied(words ...string) supplied {
	s := supplied{&drafty{teller: newTeller(words...)}}
	s.info.Extra, s.info.ExtraBatch = []string{"batch_id"}, "batch_id"
	return s
}

func (s supplied) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	b, err := s.teller.Create(ctx, d)
	if id := d.Extra["batch_id"]; id != "" && err == nil {
		b.ID = id
	}
	return b, err
}

// A batch of the service's making is left to the service when another draft takes
// its place; a draft of ours is canceled. Either way its names are free.
func TestABatchOfTheServicesMakingIsNotCanceled(t *testing.T) {
	for _, corrects := range []bool{false, true} {
		for id, canceled := range map[string][]string{"": {"id-january"}, "77": nil, "?": nil} {
			synctest.Test(t, func(t *testing.T) {
				s, j := newSupplied("ok"), batch.NewMemoryJournal()
				old, next := invoice("january", "INV-1"), replacing("january", "february")
				if corrects {
					next = corrected("january", "INV-1", "right")
				}
				if next.Author = "ada"; id != "" {
					old.Extra = map[string]string{"batch_id": id}
					next.Extra = old.Extra
				}
				runUntil(t, batch.PhaseCreate, s, old, j)
				_, err := batch.Run(t.Context(), s, next, &batch.RunOptions{Journal: j})
				require.NoError(t, err)
				require.Equal(t, canceled, s.canceled)
				require.Equal(t, 1, s.submits)
				if corrects {
					return
				}
				closed := closings(t, s, j, "january")
				require.Len(t, closed, 1)
				require.Equal(t, cmp.Or(id, "id-january"), closed[0].Batch.ID)
				want := batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "replaced by february",
					At: closed[0].At}
				require.Equal(t, want, *closed[0].Decision)
				require.Contains(t, closed[0].Releases, `purpose "INV-1"`)
			})
		}
	}
	// Its Create was refused, so it has no batch.
	synctest.Test(t, func(t *testing.T) {
		s, j := newSupplied("ok"), batch.NewMemoryJournal()
		old := invoice("january", "INV-1")
		old.Extra = map[string]string{"batch_id": "77"}
		s.create = &batch.Error{Kind: batch.ErrInvalid}
		_, err := batch.Run(t.Context(), s, old, &batch.RunOptions{Journal: j})
		require.ErrorIs(t, err, batch.ErrInvalid)
		s.create = nil
		_, err = batch.Run(t.Context(), s, replacing("january", "february"), &batch.RunOptions{Journal: j})
		require.NoError(t, err)
	})
}

// A lockless is a journal that does not lock one reference.
type lockless struct {
	batch.Journal
	reference string
}

func (j lockless) Lock(ctx context.Context, key batch.Key) (func(), error) {
	if key.Reference == j.reference {
		return nil, errDisk
	}
	return j.Journal.Lock(ctx, key)
}

// What became of the first draft decides whether another takes its place.
func TestWhatADraftTakesThePlaceOf(t *testing.T) {
	abandon := func(t *testing.T, p batch.Provider, j batch.Journal) {
		_, err := batch.NewDesk(p, j).Resolve(t.Context(), "january", decision(batch.Abandon))
		require.NoError(t, err)
	}
	const may = `the reference "january" may have been submitted, so nothing takes its place`
	for name, c := range map[string]struct {
		script  string
		old     func(t *testing.T, s *drafty, j batch.Journal) // what became of january
		journal func(j batch.Journal) batch.Journal
		message string
	}{
		"a draft that was abandoned": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			runUntil(t, batch.PhaseCreate, s, invoice("january", "INV-1"), j)
			abandon(t, s.teller, j) // It cannot cancel.
		}, nil, ""},
		"an unclear batch that was abandoned": {"lost", func(t *testing.T, s *drafty, j batch.Journal) {
			_, _ = batch.Run(t.Context(), s, invoice("january", ""),
				&batch.RunOptions{Journal: j, ReconcileFor: time.Second})
			abandon(t, s.teller, j)
		}, nil, may},
		"a batch under way": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			_, err := batch.Start(t.Context(), s, invoice("january", ""), &batch.RunOptions{Journal: j})
			require.NoError(t, err)
		}, nil, may},
		"a batch that another program has canceled": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			elsewhere, o := &deleted{teller: s.teller}, &batch.RunOptions{Journal: j}
			_, err := batch.Run(t.Context(), elsewhere, invoice("january", ""), o)
			require.ErrorIs(t, err, batch.ErrConflict)
			_, errs := settle(t, elsewhere, o)
			require.Empty(t, errs)
		}, nil, may},
		"a draft that cannot be looked up": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			s.create = &batch.Error{Kind: batch.ErrAmbiguous}
			_, err := batch.Run(t.Context(), s, invoice("january", "INV-1"), &batch.RunOptions{Journal: j})
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			s.create = nil
		}, nil, ""},
		"a draft that cannot be canceled": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			runUntil(t, batch.PhaseCreate, s, invoice("january", ""), j)
			s.cancel = &batch.Error{Kind: batch.ErrUnavailable}
		}, nil, "the draft id-january was not canceled"},
		"a draft that cannot be locked": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			runUntil(t, batch.PhaseCreate, s, invoice("january", ""), j)
		}, func(j batch.Journal) batch.Journal { return lockless{j, "january"} }, errDisk.Error()},
		"a draft in a journal that cannot be read": {"ok", func(t *testing.T, s *drafty, j batch.Journal) {
			runUntil(t, batch.PhaseCreate, s, invoice("january", ""), j)
		}, func(j batch.Journal) batch.Journal {
			return unlisted{j}
		}, "unavailable: the journal failed: nothing was sent: " + errDisk.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := &drafty{teller: newTeller(c.script, "ok")}, batch.Journal(batch.NewMemoryJournal())
				c.old(t, s, j)
				submits := s.submits
				if c.journal != nil {
					j = c.journal(j)
				}
				report, err := batch.Run(t.Context(), s, replacing("january", "february"),
					&batch.RunOptions{Journal: j})
				if c.message == "" {
					require.NoError(t, err)
					require.Equal(t, submits+1, s.submits)
					return
				}
				require.ErrorContains(t, err, c.message)
				require.Equal(t, "february", report.Batch.Draft.Reference)
				require.Equal(t, submits, s.submits)
			})
		})
	}
}

// A correction withdraws all that earlier calls may have left, and asks for
// nothing else.
func TestACorrectionWithdrawsAllThatIsLeft(t *testing.T) {
	run := func(t *testing.T, p batch.Provider, d batch.Draft, j batch.Journal, kind batch.Kind) {
		t.Helper()
		_, err := batch.Run(t.Context(), p, d, &batch.RunOptions{Journal: j})
		require.Equal(t, kind, batch.KindOf(err), "%v", err)
	}
	right := corrected("january", "", "right")
	t.Run("a draft that is named, and one that is not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := &seeker{drafty: &drafty{teller: newTeller("ok")}}, batch.NewMemoryJournal()
			s.create = &batch.Error{Kind: batch.ErrAmbiguous}
			run(t, s.drafty, invoice("january", ""), j, batch.ErrAmbiguous)
			s.create, s.left = &batch.Error{Kind: batch.ErrConflict}, batch.Batch{ID: "8"}
			run(t, s.drafty, invoice("january", ""), j, batch.ErrConflict)
			s.create, s.drafts = nil, []string{"7"}
			run(t, s, right, j, "")
			require.Equal(t, []string{"8", "7"}, s.canceled)
		})
	})
	t.Run("a draft that is left, and the adopted one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := &drafty{teller: newTeller("funds", "ok")}, batch.NewMemoryJournal()
			s.create, s.left = &batch.Error{Kind: batch.ErrConflict}, batch.Batch{ID: "7"}
			run(t, s, invoice("january", ""), j, batch.ErrConflict)
			adopt := decision(batch.Adopt)
			adopt.BatchID, s.absent, s.create = "9", batch.StateDraft, nil
			_, err := batch.NewDesk(s, j).Resolve(t.Context(), "january", adopt)
			require.NoError(t, err)
			run(t, s, invoice("january", ""), j, batch.ErrFunds)
			run(t, s, right, j, "")
			require.Equal(t, []string{"7", "9"}, s.canceled)
		})
	})
	t.Run("nothing is found", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := &seeker{drafty: &drafty{teller: newTeller("ok")}}, batch.NewMemoryJournal()
			s.create = &batch.Error{Kind: batch.ErrAmbiguous}
			run(t, s, invoice("january", ""), j, batch.ErrAmbiguous)
			s.create = nil
			run(t, s, right, j, "")
			require.Empty(t, s.canceled)
		})
	})
	t.Run("the draft is known", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := finding{&drafty{teller: newTeller("ok")}, batch.Batch{}, &batch.Error{Kind: batch.ErrUnavailable}},
				batch.NewMemoryJournal()
			runUntil(t, batch.PhaseCreate, s, invoice("january", ""), j)
			run(t, s, right, j, "")
			require.Equal(t, []string{"id-january"}, s.canceled)
		})
	})
	t.Run("the service cannot cancel", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, j := newTeller("ok"), batch.NewMemoryJournal()
			runUntil(t, batch.PhaseCreate, s, invoice("january", ""), j)
			run(t, s, right, j, "")
			require.Equal(t, 2, s.creates)
			require.Equal(t, 1, s.submits)
		})
	})
}
