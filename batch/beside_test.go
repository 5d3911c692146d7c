package batch_test

import (
	"context"
	"fmt"
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
	for name, call := range map[string]func(ctx context.Context, s batch.Provider, d batch.Draft,
		o *batch.RunOptions) error{
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
			history, err := j.History(t.Context(), batch.Key{Provider: "teller", Account: "test/1",
				Reference: d.Reference})
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
		report, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
			Observe: func(e batch.Event) {
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

// Another draft under a known reference, and other terms, are refused beside the
// batch as it is known, and the error says no more than the journal knows.
func TestTheBatchBesideAConflict(t *testing.T) {
	merchant := func(name string) map[string]string { return map[string]string{"merchant": name} }
	for name, c := range map[string]struct {
		before  func(t *testing.T, s *teller, j batch.Journal)
		state   batch.State
		message string // of another draft
	}{
		"a draft": {func(t *testing.T, s *teller, j batch.Journal) { runUntil(t, batch.PhaseCreate, s, oneItem(), j) },
			batch.StateDraft, "which was not submitted so far"},
		"under way": {func(t *testing.T, s *teller, j batch.Journal) {
			_, err := batch.Start(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.NoError(t, err)
		}, batch.StatePending, "which may have been sent"},
		"unclear": {func(t *testing.T, s *teller, j batch.Journal) {
			s.script = []string{"lost"}
			unclear(t, s, &batch.RunOptions{Journal: j, ReconcileFor: time.Second})
		}, batch.StateUnknown, "which may have been sent"},
		"reported": {func(t *testing.T, s *teller, j batch.Journal) {
			_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.NoError(t, err)
		}, batch.StateDone, "which may have been sent"},
		"canceled by another program": {func(t *testing.T, s *teller, j batch.Journal) {
			elsewhere, o := &deleted{teller: s}, &batch.RunOptions{Journal: j}
			_, err := batch.Run(t.Context(), elsewhere, oneItem(), o)
			require.ErrorIs(t, err, batch.ErrConflict)
			_, errs := settle(t, elsewhere, o)
			require.Empty(t, errs)
		}, batch.StateCanceled, "which may have been sent"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := newTeller("ok"), batch.NewMemoryJournal()
				s.info.Terms = merchant("1")
				c.before(t, s, j)
				submits, other := s.submits, oneItem()
				other.Items[0].Amount.Minor++
				report, err := batch.Run(t.Context(), s, other, &batch.RunOptions{Journal: j})
				require.ErrorIs(t, err, batch.ErrConflict)
				require.ErrorContains(t, err, c.message)
				require.Equal(t, "run-1 "+string(c.state), report.Batch.Draft.Reference+" "+string(report.Batch.State))

				for _, terms := range []map[string]string{nil, merchant("2"), {"site": "1"}} {
					s.info.Terms = terms
					report, err = batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
					require.ErrorIs(t, err, batch.ErrConflict)
					require.Equal(t, "run-1 "+string(c.state), report.Batch.Draft.Reference+" "+
						string(report.Batch.State))
					var e *batch.Error
					require.ErrorAs(t, err, &e)
					here := terms["merchant"]
					require.Equal(t, batch.FieldError{Item: -1, Field: "merchant",
						Message: fmt.Sprintf("is %q here, but was \"1\" when the batch was intended", here)},
						e.Fields[0])
					require.Len(t, e.Fields, 1+len(terms)-len(here))
				}
				require.Equal(t, submits, s.submits)
			})
		})
	}
}

// A call that has lost its lock does not say draft of what another process has
// submitted meanwhile.
func TestDraftIsNotSaidOfWhatAnotherProcessHasSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newTeller("refused"), batch.NewMemoryJournal()
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "run-1"}
		report, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j, Observe: func(e batch.Event) {
			if e.Phase != batch.PhaseSubmit {
				return
			}
			b := e.Batch
			b.State = batch.StatePending
			for n, entry := range []batch.Entry{{Kind: batch.EntryAttempt}, {Kind: batch.EntryResult, Batch: &b}} {
				entry.Seq, entry.Step, entry.Attempt = 6+n, batch.StepSubmit, 2
				require.NoError(t, j.Append(t.Context(), key, entry))
			}
		}})
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.Equal(t, batch.StateUnknown, report.Batch.State)
	})
}

// How long one call takes: RunOptions say it, or their zero values do.
func TestHowLongACallTakes(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		guard  batch.Guard
		o      batch.RunOptions
		least  time.Duration
		most   time.Duration
	}{
		"a silent Submit": {"hang", batch.GuardNone, batch.RunOptions{ReconcileFor: 1}, 5 * time.Minute,
			5 * time.Minute},
		"a silent Submit, bounded": {"hang", batch.GuardNone,
			batch.RunOptions{ReconcileFor: 1, SubmitTimeout: time.Minute}, time.Minute, time.Minute},
		"the shortest": {"hang", batch.GuardNone, batch.RunOptions{ReconcileFor: 1, SubmitTimeout: 1}, 1,
			1},
		"a lost one": {"lost", batch.GuardNone, batch.RunOptions{}, 90 * time.Second, 2 * time.Minute},
		"a lost one, bounded": {"lost", batch.GuardNone, batch.RunOptions{ReconcileFor: 10 * time.Second},
			5 * time.Second, 10 * time.Second},
		"a lost one behind a guard": {"lost", batch.GuardRefuses, batch.RunOptions{}, 15*time.Minute + 30*time.Second,
			16 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTeller(c.script)
				s.info.Guard = c.guard
				began := time.Now()
				_, err := batch.Run(t.Context(), s, oneItem(), &c.o)
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.GreaterOrEqual(t, time.Since(began), c.least)
				require.LessOrEqual(t, time.Since(began), c.most)
			})
		})
	}
}

// What a person has explained is told as it is now.
func TestAnExplainedBatchIsToldAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{ledger: newLedger(), report: &batch.Error{Kind: batch.ErrProtocol, Op: "Report"}}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), ended{s}, wages("june", "a"), o)
		require.ErrorIs(t, err, batch.ErrProtocol)
		_, err = batch.NewDesk(ended{s}, o.Journal).Resolve(t.Context(), "june", closing(nil))
		require.NoError(t, err)
		_, err = batch.Resume(t.Context(), ended{s}, "june", o)
		require.ErrorIs(t, err, batch.ErrProtocol)
		s.report = nil
		_, err = batch.Resume(t.Context(), ended{s}, "june", o)
		require.NoError(t, err, "the batch has ended")

		s = &stuck{ledger: newLedger(), pends: true}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = batch.Run(ctx, s, wages("july", "a"), o)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), "july", closing(nil))
		require.NoError(t, err)
		s.report = &batch.Error{Kind: batch.ErrUnavailable, Op: "Report"}
		_, err = batch.Resume(t.Context(), s, "july", o)
		require.ErrorIs(t, err, batch.ErrUnavailable, "the report could not be read")
	})
}

// An ended service reads with its report that the batch is done.
type ended struct{ *stuck }

func (s ended) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	b.State = batch.StateDone
	return s.stuck.Report(ctx, b)
}

// A rereading service reads the batch anew with its report.
type rereading struct{ *teller }

func (s rereading) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := s.teller.Report(ctx, b)
	r.Batch.Native = "as reported"
	return r, err
}

func TestTheBatchIsTheOneThatWasReadWithTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		report, err := batch.Run(t.Context(), rereading{newTeller("ok")}, oneItem(), nil)
		require.NoError(t, err)
		require.Equal(t, "as reported", report.Batch.Native)
	})
}

// A numberless is a journal that gives so many numbers.
type numberless struct {
	batch.Journal
	left int
}

func (j *numberless) Next(ctx context.Context, sequence string, first int64) (int64, error) {
	if j.left--; j.left < 0 {
		return 0, errDisk
	}
	return j.Journal.Next(ctx, sequence, first)
}

// Without a number nothing is written down, and nothing is sent.
func TestAJournalThatGivesNoNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, history := range []string{"", "intent create#1 create#1=ok submit#1 submit#1=conflict"} {
			s := taken{numbered{newTeller("ok")}, map[string]bool{"500": true}, new(int)}
			j := &numberless{batch.NewMemoryJournal(), left}
			report, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.ErrorIs(t, err, batch.ErrUnavailable)
			require.ErrorContains(t, err, "the journal failed: nothing was sent: the disk is full")
			require.Equal(t, batch.StateDraft, report.Batch.State)
			require.Equal(t, history, kinds(t, j, "run-1"))
			require.Zero(t, s.submits)
		}
	})
}

// A request that was never sent does not stand in the way of the next number, and
// only a call that has the draft tries one.
func TestTheNextNumberAfterARequestThatWasNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := taken{numbered{newTeller("not sent", "not sent", "not sent", "ok")}, map[string]bool{}, new(int)}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		s.numbers["500"] = true
		_, err = batch.Resume(t.Context(), s, "run-1", o)
		require.ErrorContains(t, err, batch.CodeNumberTaken)
		report, err := batch.Run(t.Context(), s, oneItem(), o)
		require.NoError(t, err)
		require.Equal(t, "501", report.Batch.ID)
		require.Equal(t, 1, s.moved())
	})
}

// A clock that cannot be read stops no call before the report of what was
// submitted.
func TestABrokenClockStopsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d, j := newTeller("ok"), oneItem(), batch.NewMemoryJournal()
		d.NotAfter = time.Now().Add(time.Hour)
		_, err := batch.Start(t.Context(), s, d, &batch.RunOptions{Journal: j})
		require.NoError(t, err)
		report, err := batch.Resume(t.Context(), s, d.Reference, &batch.RunOptions{Journal: brokenClock{j}})
		require.ErrorContains(t, err, "finished and reported, but")
		require.Equal(t, batch.StateDone, report.Batch.State)
		_, err = batch.Resume(t.Context(), s, d.Reference, &batch.RunOptions{Journal: j})
		require.NoError(t, err)
		report, err = batch.Resume(t.Context(), s, d.Reference, &batch.RunOptions{Journal: brokenClock{j}})
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, report.Batch.State)
	})
}

// Each write of the journal that fails ends the call: nothing begins that was not
// written down before, and the batch, the event and the error say what is known.
func TestWhatARunSaysOfAWriteThatFailed(t *testing.T) {
	for at, c := range []struct {
		script  string
		creates int
		submits int
		state   batch.State
		id      string
		kind    batch.Kind
		message string
		phase   batch.Phase // of the event that tells it
	}{
		{}, // No write fails.
		{"ok", 0, 0, batch.StateDraft, "", batch.ErrUnavailable, "nothing was sent", ""},
		{"ok", 0, 0, batch.StateDraft, "", batch.ErrUnavailable, "nothing was submitted", ""},
		{"ok", 1, 0, batch.StateDraft, "id-run-1", batch.ErrUnavailable,
			"a draft may have been made, and nothing was submitted", batch.PhaseCreate},
		{"ok", 1, 0, batch.StateDraft, "id-run-1", batch.ErrUnavailable, "not submitted by this call", ""},
		{"ok", 1, 1, batch.StateUnknown, "id-run-1", batch.ErrAmbiguous,
			"submitted, but the result could not be written down", batch.PhaseSubmit},
	} {
		synctest.Test(t, func(t *testing.T) {
			if c.kind == "" {
				return
			}
			s, events := newTeller(c.script), map[batch.Phase]batch.Event{}
			report, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{
				Journal: &brokenJournal{Journal: batch.NewMemoryJournal(), n: at},
				Observe: func(e batch.Event) { events[e.Phase] = e },
			})
			var e *batch.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind)
			require.Equal(t, "the journal failed: "+c.message, e.Message)
			require.ErrorIs(t, err, errDisk)
			require.Equal(t, "run-1", report.Batch.Draft.Reference)
			require.Equal(t, []any{c.creates, c.submits, c.state, c.id}, []any{s.creates, s.submits, report.Batch.State,
				report.Batch.ID}, "write %d", at)
			if c.phase != "" {
				require.Equal(t, err, events[c.phase].Err)
				require.Equal(t, report.Batch.ID, events[c.phase].Batch.ID)
				require.Equal(t, c.state, events[c.phase].Batch.State)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // The same of an unclear Submit.
		report, err := batch.Run(t.Context(), newTeller("lost"), oneItem(), &batch.RunOptions{
			Journal: &brokenJournal{Journal: batch.NewMemoryJournal(), n: 5}})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorContains(t, err, "submitted, but the result could not be written down")
		require.Equal(t, batch.StateUnknown, report.Batch.State)
	})
}

// A ctx that ends between two steps ends Start with an error, beside the batch.
func TestStartSaysThatItHasNotSubmitted(t *testing.T) {
	s := newTeller("ok")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b, err := batch.Start(ctx, s, oneItem(), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
		Observe: func(batch.Event) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.Equal(t, "run-1 id-run-1 draft", b.Draft.Reference+" "+b.ID+" "+string(b.State))
	require.Zero(t, s.submits)
}

// An event of a failed Create says why.
func TestTheEventOfAFailedCreateSaysWhy(t *testing.T) {
	s := newTeller("ok")
	s.create = &batch.Error{Kind: batch.ErrInvalid}
	var events []batch.Event
	_, err := batch.Run(t.Context(), s, oneItem(),
		&batch.RunOptions{Observe: func(e batch.Event) { events = append(events, e) }})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Len(t, events, 1)
	require.Equal(t, batch.PhaseCreate, events[0].Phase)
	require.ErrorIs(t, events[0].Err, batch.ErrInvalid)
}

// What an earlier call has left, or may have left, is withdrawn before anything
// is made. What cannot be withdrawn ends the call.
func TestWhatMayBeLeftEndsACall(t *testing.T) {
	found := func(state batch.State) batch.Batch {
		return batch.Batch{Provider: "teller", ID: "7", State: state, Native: "SENT"}
	}
	const who = `the service has batch 7 with this reference as "SENT", and this journal has not submitted it: find out who did`
	for name, c := range map[string]struct {
		found   batch.Batch
		err     error
		cancel  error
		journal func(j batch.Journal) batch.Journal
		kind    batch.Kind
		message string
	}{
		"nothing":               {err: &batch.Error{Kind: batch.ErrNotFound}},
		"a canceled draft":      {found: found(batch.StateCanceled)},
		"a batch under way":     {found: found(batch.StatePending), kind: batch.ErrConflict, message: who},
		"a batch that is done":  {found: found(batch.StateDone), kind: batch.ErrConflict, message: who},
		"a batch in a new word": {found: found(batch.StateUnknown), kind: batch.ErrConflict, message: who},
		"no answer": {err: &batch.Error{Kind: batch.ErrProtocol}, kind: batch.ErrProtocol,
			message: "an earlier call may have left a draft, and the service was not able to say"},
		"no cancel": {found: found(batch.StateDraft), cancel: &batch.Error{Kind: batch.ErrThrottled},
			kind:    batch.ErrThrottled,
			message: "an earlier call has left a draft: the draft 7 was not canceled"},
		"no write": {found: found(batch.StateDraft), journal: func(j batch.Journal) batch.Journal {
			return &failing{j, 1}
		},
			kind: batch.ErrUnavailable, message: "the journal failed: nothing was submitted; a draft was canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j := finding{&drafty{teller: newTeller("ok")}, c.found, c.err}, batch.Journal(batch.NewMemoryJournal())
			s.create = &batch.Error{Kind: batch.ErrAmbiguous}
			_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			if s.create, s.cancel = nil, c.cancel; c.journal != nil {
				j = c.journal(j)
			}
			b, err := batch.Start(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			if c.kind != "" {
				require.ErrorContains(t, err, c.message)
				require.Equal(t, "run-1 draft", b.Draft.Reference+" "+string(b.State))
				require.Equal(t, 1, s.creates)
				require.Zero(t, s.submits)
			}
		})
	}
}

// What is known about an unclear Submit is told, and so is why no more is known.
func TestWhatIsToldOfAnUnclearSubmit(t *testing.T) {
	for name, c := range map[string]struct {
		stop    int // the write of the journal that fails
		wrap    func(j batch.Journal) batch.Journal
		absent  error
		want    []string
		wantNot string
	}{
		"its reply was lost": {0, nil, nil, []string{"teller: Submit: ambiguous"}, "holds no result"},
		"its process stopped": {5, nil, nil,
			[]string{
				"the journal holds no result of Submit 1, which began at 2000-01-01T00:00:00Z: its process stopped"},
			"teller: Submit: ambiguous"},
		"a read fails": {0, nil, &batch.Error{Kind: batch.ErrAuth, Message: "the key was revoked"},
			[]string{"teller: Submit: ambiguous", "the last read: auth: the key was revoked"}, "holds no result"},
		"no clock": {0, func(j batch.Journal) batch.Journal { return brokenClock{j} }, nil, []string{"no clock"},
			"the last read"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := newTeller("lost"), batch.Journal(batch.NewMemoryJournal())
				_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{
					Journal: &brokenJournal{Journal: j, n: c.stop}, ReconcileFor: time.Second})
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				if c.absent != nil {
					s.absent = c.absent
				}
				if c.wrap != nil {
					j = c.wrap(j)
				}
				report, err := batch.Resume(t.Context(), s, "run-1", &batch.RunOptions{Journal: j})
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.ErrorContains(t, err, "whether the batch was submitted is not known: do not send it again")
				for _, want := range c.want {
					require.ErrorContains(t, err, want)
				}
				require.NotContains(t, err.Error(), c.wantNot)
				require.Equal(t, "id-run-1 ", report.Batch.ID+" "+string(report.Batch.State))
				require.Equal(t, 1, s.submits)
			})
		})
	}
}

// Evidence that cannot be written down is told, and other evidence is written
// down as well.
func TestEvidenceThatIsNotWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := &fetched{teller: newTeller("lost"), word: "at noon"}, batch.NewMemoryJournal()
		report, err := batch.Run(t.Context(), s, oneItem(),
			&batch.RunOptions{Journal: &brokenJournal{Journal: j, n: 6}})
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorIs(t, err, errDisk)
		require.ErrorContains(t, err, "what a read said could not be written down")
		require.Equal(t, "run-1 ", report.Batch.Draft.Reference+" "+string(report.Batch.State))
		const history = "intent create#1 create#1=ok submit#1 submit#1=ambiguous"
		require.Equal(t, history, kinds(t, j, "run-1"))
		for _, c := range [][2]string{{"at noon", " observed"}, {"at noon", " observed"},
			{"at one", " observed observed"}} {
			s.word, s.asked = c[0], 0
			_, err = batch.Resume(t.Context(), s, "run-1", &batch.RunOptions{Journal: j})
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.ErrorContains(t, err, c[0])
			require.Equal(t, history+c[1], kinds(t, j, "run-1"))
			require.Equal(t, 1, s.asked, "evidence ends the call")
		}
	})
}

// A fetched is a service whose reads are evidence.
type fetched struct {
	*teller
	word  string
	asked int
}

func (s *fetched) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	s.asked++
	return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: "teller", Op: "Poll", Message: "the file was fetched " +
		s.word}
}

// A turning is a journal whose clock turns once an attempt to submit is written.
type turning struct {
	batch.Journal
	by    time.Duration
	fails bool
	now   func() (time.Time, error)
}

func (j *turning) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit {
		j.now = func() (time.Time, error) {
			if j.fails {
				return time.Time{}, errDisk
			}
			return time.Now().Add(j.by), nil
		}
	}
	return j.Journal.Append(ctx, key, e)
}

func (j *turning) Now(context.Context) (time.Time, error) {
	if j.now == nil {
		return time.Now(), nil
	}
	return j.now()
}

// The journal's clock is read again once the attempt is durable, and decides.
func TestTheJournalsClockDecidesOnceTheAttemptIsDurable(t *testing.T) {
	for name, c := range map[string]struct {
		j       *turning
		kind    batch.Kind
		message string
		submits int
	}{
		"in time": {&turning{by: 59 * time.Minute}, "", "", 1},
		"late": {&turning{by: 61 * time.Minute}, batch.ErrConflict,
			"nothing was submitted: the draft was to be submitted by", 0},
		"no clock": {&turning{fails: true}, batch.ErrUnavailable, "the disk is full", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, d := newTeller("ok"), oneItem()
				d.NotAfter, c.j.Journal = time.Now().Add(time.Hour), batch.NewMemoryJournal()
				b, err := batch.Start(t.Context(), s, d, &batch.RunOptions{Journal: c.j})
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.Equal(t, c.submits, s.submits)
				require.Equal(t, "id-run-1", b.ID)
				if c.kind != "" {
					require.ErrorContains(t, err, c.message)
					require.Equal(t, batch.StateDraft, b.State)
				}
			})
		})
	}
}
