package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

func pending(t *testing.T, p batch.Provider, j batch.Journal) []batch.Dossier {
	t.Helper()
	var all []batch.Dossier
	for d, err := range batch.NewDesk(p, j).Pending(t.Context()) {
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

// unclear runs a batch into doubt that the service cannot end.
func unclear(t *testing.T, s batch.Provider, o *batch.RunOptions) {
	t.Helper()
	_, err := batch.Run(t.Context(), s, oneItem(), o)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
}

// runUntil runs a batch until something of phase has happened, and stops.
func runUntil(t *testing.T, phase batch.Phase, p batch.Provider, d batch.Draft, j batch.Journal) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := batch.Run(ctx, p, d, &batch.RunOptions{Journal: j, Observe: func(e batch.Event) {
		if e.Phase == phase {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
}

var word = batch.Decision{Operator: "ada", Reason: "case 4711"}

func decision(v batch.Verdict) batch.Decision { d := word; d.Verdict = v; return d }

func TestPendingTellsWhatAPersonNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s := newTeller("lost")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		require.Empty(t, pending(t, s, o.Journal))
		unclear(t, s, o)
		ended := began
		want := []batch.Dossier{{
			Key:      batch.Key{Provider: "teller", Account: "test/1", Reference: oneItem().Reference},
			Standing: batch.StandingUnclear,
			Intended: began, Items: 1, Total: gbp(100), BatchID: "id-" + oneItem().Reference,
			Attempts: []batch.Attempt{{Step: batch.StepCreate, Number: 1, Began: began, Ended: &ended},
				{Step: batch.StepSubmit, Number: 1, Began: began, Ended: &ended,
					Failure: &batch.Failure{Kind: batch.ErrAmbiguous, Op: "Submit"}}},
			Next: "do not send it again: call Resume to ask; if the service cannot tell, ask its support, and record the answer with Resolve",
		}}
		got := pending(t, s, o.Journal)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(batch.Dossier{}, "Fingerprint", "Digest")); diff != "" {
			t.Errorf("the dossier is not as wanted (-want +got):\n%s", diff)
		}
		require.NotEmpty(t, got[0].Fingerprint)
		text, err := json.Marshal(got[0])
		require.NoError(t, err)
		require.NotContains(t, string(text), `"acc"`, "no account of an item")
		require.Contains(t, string(text), `"standing":"unclear"`)
		require.Equal(t, 1, s.submits, "Pending asks nobody")
	})
}

func TestPendingStandings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := func(s *teller, guard batch.Guard, stop batch.Phase) batch.Dossier {
			s.info.Guard = guard
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), Observe: func(e batch.Event) {
				if e.Phase == stop {
					cancel()
				}
			}}
			_, err := batch.Run(ctx, s, oneItem(), o)
			require.Error(t, err)
			all := pending(t, s, o.Journal)
			require.Len(t, all, 1)
			return all[0]
		}
		refusing := newTeller("ok")
		refusing.create = &batch.Error{Kind: batch.ErrUnavailable}
		require.Equal(t, batch.StandingIntended, one(refusing, "", "").Standing)
		unknown := newTeller("ok")
		unknown.create = &batch.Error{Kind: batch.ErrAmbiguous}
		require.Equal(t, batch.StandingDraft, one(unknown, "", "").Standing)
		require.Equal(t, batch.StandingDraft, one(newTeller("ok"), "", batch.PhaseCreate).Standing)
		require.Equal(t, batch.StandingSubmitted, one(newTeller("ok"), "", batch.PhaseSubmit).Standing)
		guarded := one(newTeller("lost"), batch.GuardRefuses, batch.PhaseSubmit)
		require.Equal(t, batch.StandingUnclear, guarded.Standing)
		require.Contains(t, guarded.Next, "the service refuses the second of two")
	})
}

func TestPendingGivesEveryAttemptItsOwnResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("throttled", "funds")
		s.create, s.absent = &batch.Error{Kind: batch.ErrAmbiguous}, batch.StateDraft
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		adopt := decision(batch.Adopt)
		adopt.BatchID = "another"
		_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.NoError(t, err)
		_, err = batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.ErrorIs(t, err, batch.ErrFunds)
		adopt.BatchID = "a third"
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.NoError(t, err)

		dossier := pending(t, s, o.Journal)[0]
		var got []string
		for _, a := range dossier.Attempts {
			require.NotNil(t, a.Ended)
			require.NotNil(t, a.Failure, "a person's word makes no attempt a success")
			got = append(got, fmt.Sprintf("%s#%d=%s", a.Step, a.Number, a.Failure.Kind))
		}
		require.Equal(t, []string{"create#1=ambiguous", "submit#1=throttled", "submit#2=funds"}, got)
		require.Len(t, dossier.Decisions, 2)
		require.Equal(t, "a third", dossier.BatchID)
	})
}

// selecting is a teller that selects the items itself.
type selecting struct{ *teller }

func (s selecting) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	d.Items = oneItem().Items
	return s.teller.Create(ctx, d)
}

func TestPendingCountsWhatTheServiceHasSelected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := selecting{newTeller("ok")}, batch.NewMemoryJournal()
		s.info.ItemsOptional = true
		report, err := batch.Run(t.Context(), s, draft(), &batch.RunOptions{Journal: j})
		require.ErrorContains(t, err, "nothing was submitted: the batch needs 1 more approvals",
			"a person must see what was selected")
		require.Equal(t, batch.StateDraft, report.Batch.State)
		dossier := pending(t, s, j)[0]
		require.Equal(t, 1, dossier.Items)
		require.Equal(t, gbp(100), dossier.Total)
	})
}

func TestResolveResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("lost", "ok")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		_, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.Equal(t, 1, s.submits, "without a person nothing is sent again")

		b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Resend))
		require.NoError(t, err)
		require.Equal(t, batch.StateUnknown, b.State, "the operator may be wrong")
		require.Equal(t, 1, s.submits, "Resolve submits nothing")
		require.Equal(t, "ada", pending(t, s, o.Journal)[0].Decisions[0].Operator)
		require.Equal(t, time.Now(), pending(t, s, o.Journal)[0].Decisions[0].At)
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Resend))
		require.ErrorContains(t, err, "one more Submit is already decided")
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		again, err := batch.Run(ended, s, oneItem(), o)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, batch.StateUnknown, again.Batch.State, "the first Submit may have arrived")
		require.Equal(t, 1, s.submits)

		report, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, 2, s.submits)
		require.Empty(t, pending(t, s, o.Journal))
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Abandon))
		require.ErrorContains(t, err, "not open any more")
	})
}

// What refuses the repeat may be an earlier submit that has landed after all.
func TestResolveResendThatIsRefused(t *testing.T) {
	const history = "intent create#1 create#1=ok submit#1 submit#1=ambiguous decision submit#2 submit#2=invalid"
	for name, c := range map[string]struct {
		change  func(*teller)
		kind    batch.Kind
		state   batch.State
		history string // after that
	}{
		"the first one has landed": {func(s *teller) { s.applied["run-1"]++ }, "", batch.StateDone,
			" reconciled done"},
		"the first one is done": {func(s *teller) { s.applied["run-1"]++; s.polls["run-1"]++ }, "",
			batch.StateDone, " reconciled done"},
		"no read succeeds": {func(s *teller) { s.down = 1000 }, batch.ErrAmbiguous,
			batch.StateUnknown, ""},
		"the service does not know": {func(*teller) {}, batch.ErrAmbiguous, batch.StateUnknown, ""},
		"the service still has a draft": {func(s *teller) { s.absent = batch.StateDraft }, batch.ErrAmbiguous,
			batch.StateUnknown, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newTeller("lost", "refused"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				unclear(t, s, o)
				_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Resend))
				require.NoError(t, err)
				c.change(s)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				report, err := batch.Resume(ctx, s, "run-1", o)
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.Equal(t, c.state, report.Batch.State)
				require.Equal(t, history+c.history, kinds(t, o.Journal, "run-1"))
				if c.kind != "" {
					require.ErrorContains(t, err, "the last Submit was refused")
					_, err = batch.Resume(ctx, s, "run-1", o)
					require.ErrorIs(t, err, batch.ErrAmbiguous)
				}
				require.Equal(t, 2, s.submits, "one decision is one Submit")
			})
		})
	}
}

func TestResolveOfWhatWasSubmitted(t *testing.T) {
	const message = "the batch was submitted, as the service has said: Resume waits for its end"
	for _, verdict := range []batch.Verdict{batch.Abandon, batch.Adopt, batch.Resend} {
		t.Run(string(verdict), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				runUntil(t, batch.PhaseSubmit, s, oneItem(), o.Journal)
				d := decision(verdict)
				if verdict == batch.Adopt {
					d.BatchID = "another"
				}
				b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, d)
				require.ErrorIs(t, err, batch.ErrConflict)
				require.ErrorContains(t, err, message)
				require.Equal(t, batch.StatePending, b.State)
				dossiers := pending(t, s, o.Journal)
				require.Len(t, dossiers, 1)
				require.Equal(t, batch.StandingSubmitted, dossiers[0].Standing)
				require.Empty(t, dossiers[0].Decisions, "what does not fit is not recorded")

				report, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
				require.NoError(t, err)
				require.Equal(t, "id-run-1", report.Batch.ID)
				require.Equal(t, 1, s.submits)
			})
		})
	}
}

func TestResolveAbandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("lost")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Abandon))
		require.NoError(t, err)
		require.Equal(t, batch.StateUnknown, b.State, "the service cannot cancel, so nobody knows")
		require.Empty(t, pending(t, s, o.Journal))
		other := draft(batch.Item{Reference: "b", Account: "acc", Amount: gbp(100)})
		for _, again := range []func() error{
			func() error { _, err := batch.Run(t.Context(), s, oneItem(), o); return err },
			func() error { _, err := batch.Run(t.Context(), s, other, o); return err },
			func() error { _, err := batch.Resume(t.Context(), s, oneItem().Reference, o); return err },
		} {
			err := again()
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, "was abandoned by ada (case 4711)")
		}
		require.Equal(t, 1, s.submits)
	})
}

// Where the service cannot cancel, a read may still say that it is too late.
func TestResolveAbandonAtAServiceThatCannotCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("applied and lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		s.down = 1000
		unclear(t, s, o)
		s.down = 0
		b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Abandon))
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "too late: the batch was submitted")
		require.Equal(t, batch.StatePending, b.State)
		require.Equal(t, batch.StandingSubmitted, pending(t, s, o.Journal)[0].Standing, "what has landed is waited for")
		_, err = batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.NoError(t, err)
		require.Equal(t, 1, s.submits)

		s = newTeller("lost")
		o = &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		s.absent = batch.StateDraft
		b, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Abandon))
		require.NoError(t, err, "not submitted so far: that is for the person to judge")
		require.Equal(t, batch.StateUnknown, b.State)
		require.Empty(t, pending(t, s, o.Journal))
	})
}

func TestRunSaysWhatToDoAfterAnAbandon(t *testing.T) {
	for name, c := range map[string]struct {
		provider func() batch.Provider
		stop     batch.Phase // where it is abandoned
		state    batch.State
		advice   string
	}{
		"nobody knows": {func() batch.Provider { return newTeller("lost") }, batch.PhaseSubmit, batch.StateUnknown,
			"): find out what became of it before you use another"},
		"a draft is left": {func() batch.Provider { return newTeller("ok") }, batch.PhaseCreate, batch.StateDraft,
			"): use another"},
		"it is cancelled": {func() batch.Provider { return batchtest.NewMemory(batchtest.MemoryOptions{}) },
			batch.PhaseCreate, batch.StateCanceled, "): use another"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, o := c.provider(), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				runUntil(t, c.stop, p, oneItem(), o.Journal)
				_, err := batch.NewDesk(p, o.Journal).Resolve(t.Context(), oneItem().Reference, decision(batch.Abandon))
				require.NoError(t, err)
				report, err := batch.Run(t.Context(), p, oneItem(), o)
				require.ErrorIs(t, err, batch.ErrConflict)
				require.ErrorContains(t, err, "was abandoned by ada (case 4711"+c.advice)
				require.Equal(t, c.state, report.Batch.State)
			})
		})
	}
}

// Where the service can cancel, an abandoned batch is one that it has
// cancelled, or one that it has submitted.
func TestResolveAbandonAtAServiceThatCancels(t *testing.T) {
	for name, c := range map[string]struct {
		fault batchtest.Fault
		want  batch.State
		moved int
		kind  batch.Kind
	}{
		"it had not landed": {fault: batchtest.LostBefore, want: batch.StateCanceled},
		"it had landed":     {fault: batchtest.LostAfter, want: batch.StatePending, moved: 1, kind: batch.ErrConflict},
		"it lands later":    {fault: batchtest.LateAfter, want: batch.StateCanceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := batchtest.NewMemory(batchtest.MemoryOptions{})
				o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				d := oneItem()
				m.Break(c.fault)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				o.Observe = func(e batch.Event) {
					if e.Phase == batch.PhaseSubmit {
						cancel() // Nobody asks what became of it.
					}
				}
				_, err := batch.Run(ctx, blind{m}, d, o)
				require.ErrorIs(t, err, batch.ErrAmbiguous)

				b, err := batch.NewDesk(m, o.Journal).Resolve(t.Context(), d.Reference, decision(batch.Abandon))
				require.Equal(t, c.kind, batch.KindOf(err))
				require.Equal(t, c.want, b.State)
				m.Settle()
				require.Equal(t, c.moved, m.Moved()["a"])
				if c.kind == "" {
					require.Empty(t, pending(t, m, o.Journal))
					return
				}
				require.Equal(t, batch.StandingSubmitted, pending(t, m, o.Journal)[0].Standing,
					"what has landed is waited for")
			})
		})
	}
}

func TestResolveAbandonWhatSomebodyHasCancelled(t *testing.T) {
	m := batchtest.NewMemory(batchtest.MemoryOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var made batch.Batch
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), Observe: func(e batch.Event) {
		made = e.Batch
		cancel() // before it is submitted
	}}
	_, err := batch.Run(ctx, m, oneItem(), o)
	require.ErrorIs(t, err, context.Canceled)
	_, err = m.Cancel(t.Context(), made)
	require.NoError(t, err)
	b, err := batch.NewDesk(m, o.Journal).Resolve(t.Context(), made.Draft.Reference, decision(batch.Abandon))
	require.NoError(t, err)
	require.Equal(t, batch.StateCanceled, b.State)
	require.Empty(t, pending(t, m, o.Journal))
}

// blind is a provider whose reads fail.
type blind struct{ *batchtest.Memory }

func (b blind) Poll(_ context.Context, x batch.Batch) (batch.Batch, error) {
	return x, &batch.Error{Kind: batch.ErrUnavailable, Provider: "memory"}
}

func TestResolveAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("applied and lost")
		s.down = 1000
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		adopt := decision(batch.Adopt)
		adopt.BatchID = "id-from-support"
		_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.ErrorIs(t, err, batch.ErrUnavailable, "what the service does not confirm is not adopted")
		s.down = 0
		b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.NoError(t, err)
		require.Equal(t, "id-from-support", b.ID)
		report, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.NoError(t, err)
		require.Equal(t, "id-from-support", report.Batch.ID)
		require.Equal(t, 1, s.submits)
	})
}

func TestResolveAdoptWhatIsNotSubmitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		adopt := decision(batch.Adopt)
		adopt.BatchID = "another"
		s := newTeller("lost", "ok")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.ErrorContains(t, err, "does not say where that batch stands")
		s.absent = batch.StateDraft
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.ErrorContains(t, err, "may still be under way")

		// A draft that an unclear Create has left is adopted, and submitted.
		s = newTeller("ok")
		s.create, s.absent = &batch.Error{Kind: batch.ErrAmbiguous}, batch.StateDraft
		o = &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), oneItem().Reference, adopt)
		require.NoError(t, err)
		report, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.NoError(t, err)
		require.Equal(t, "another", report.Batch.ID)
		require.Equal(t, 1, s.creates)
	})
}

func TestResolveChecksTheDecision(t *testing.T) {
	s := newTeller("ok")
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "r", batch.Decision{BatchID: "1"})
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Fields, 4)
	require.Equal(t, batch.FieldError{Item: -1, Field: "operator", Message: "is empty"}, e.Fields[1])
	other := decision(batch.Close)
	other.Outcomes = map[string]batch.Outcome{"a": "lost"}
	_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), "r", other)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, `outcomes: of "a" is "lost"; it must be paid, failed, returned or skipped`)
	b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "never-run", decision(batch.Abandon))
	require.ErrorIs(t, err, batch.ErrNotFound)
	require.Equal(t, "never-run", b.Draft.Reference)
	require.Equal(t, batch.StateDraft, b.State, "nothing was submitted under it")
}

// What a person decides is not carried out before the journal has it.
func TestResolveOnAJournalThatFails(t *testing.T) {
	adopt := decision(batch.Adopt)
	adopt.BatchID = "9"
	for name, c := range map[string]struct {
		submit string
		able   bool // the service can cancel
		cancel error
		absent batch.State
		d      batch.Decision
		kind   batch.Kind
		state  batch.State
	}{
		"abandon": {"lost", false, nil, "", decision(batch.Abandon), batch.ErrUnavailable,
			batch.StateUnknown},
		"abandon and cancel": {"funds", true, nil, "", decision(batch.Abandon), batch.ErrUnavailable,
			batch.StateCanceled},
		"too late": {"lost", true, &batch.Error{Kind: batch.ErrConflict}, batch.StatePending,
			decision(batch.Abandon), batch.ErrAmbiguous, batch.StateUnknown},
		"resend": {"lost", false, nil, "", decision(batch.Resend), batch.ErrUnavailable, batch.StateUnknown},
		"adopt":  {"lost", false, nil, batch.StatePending, adopt, batch.ErrUnavailable, batch.StateUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &drafty{teller: newTeller(c.submit), cancel: c.cancel}
				o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
				_, err := batch.Run(t.Context(), s, oneItem(), o)
				require.Error(t, err)
				if c.absent != "" {
					s.absent = c.absent
				}
				var p batch.Provider = s
				if !c.able {
					p = s.teller
				}
				history := kinds(t, o.Journal, "run-1")
				b, err := batch.NewDesk(p, &failing{o.Journal, 1}).Resolve(t.Context(), "run-1", c.d)
				require.ErrorIs(t, err, errDisk)
				require.ErrorIs(t, err, c.kind)
				require.ErrorContains(t, err, "could not be written down")
				require.Equal(t, "id-run-1 run-1 "+string(c.state), b.ID+" "+b.Draft.Reference+" "+string(b.State))
				require.Equal(t, history, kinds(t, o.Journal, "run-1"))
			})
		})
	}
}

// What was refused was not submitted, so the service is not asked.
func TestResolveAbandonsWhatWasRefusedWithoutARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("funds"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrFunds)
		s.down = 1000
		b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.NoError(t, err)
		require.Equal(t, batch.StateDraft, b.State)
	})
}

// A decision that does not fit is refused beside the batch as it is known, and
// is not written down.
func TestResolveRefusesWhatDoesNotFit(t *testing.T) {
	adopt := decision(batch.Adopt)
	adopt.BatchID = "9"
	absent := func(says any) func(*teller) { return func(s *teller) { s.absent = says } }
	terms := func(s *teller) { s.info.Terms = map[string]string{"merchant": "2"} }
	for name, c := range map[string]struct {
		submit  string          // what came of the Submit
		before  batch.Verdict   // an earlier decision
		change  func(s *teller) // what is different then
		d       batch.Decision
		kind    batch.Kind
		message string
		state   batch.State
	}{
		"abandon what is reported": {"ok", "", nil, decision(batch.Abandon), batch.ErrConflict,
			"is not open any more", batch.StateDone},
		"resend what is reported": {"ok", "", nil, decision(batch.Resend), batch.ErrConflict, "is not open any more",
			batch.StateDone},
		"adopt for what is reported": {"ok", "", nil, adopt, batch.ErrConflict, "is not open any more",
			batch.StateDone},
		"abandon what is abandoned": {"lost", batch.Abandon, nil, decision(batch.Abandon), batch.ErrConflict,
			"is not open any more", batch.StateUnknown},
		"resend what is abandoned": {"lost", batch.Abandon, nil, decision(batch.Resend), batch.ErrConflict,
			"is not open any more", batch.StateUnknown},
		"close what is abandoned": {"lost", batch.Abandon, nil, decision(batch.Close), batch.ErrConflict,
			"the batch was abandoned", batch.StateUnknown},
		"resend twice": {"lost", batch.Resend, nil, decision(batch.Resend), batch.ErrConflict,
			"one more Submit is already decided", batch.StateUnknown},
		"resend what is clear": {"funds", "", nil, decision(batch.Resend), batch.ErrConflict,
			"nothing is unclear: call Resume", batch.StateDraft},
		"close what is unclear": {"lost", "", nil, decision(batch.Close), batch.ErrConflict,
			"can be closed: abandon or adopt", batch.StateUnknown},
		"close what is refused": {"funds", "", nil, decision(batch.Close), batch.ErrConflict,
			"can be closed: abandon or adopt", batch.StateDraft},
		"resend under other terms": {"lost", "", terms, decision(batch.Resend), batch.ErrConflict, "other terms",
			batch.StateUnknown},
		"close under other terms": {"ok", "", terms, decision(batch.Close), batch.ErrConflict, "other terms",
			batch.StateDone},
		"adopt what is not known": {"lost", "", absent(&batch.Error{Kind: batch.ErrNotFound}), adopt,
			batch.ErrConflict, "the service does not know a batch 9", batch.StateUnknown},
		"adopt what cannot be read": {"lost", "", func(s *teller) { s.down = 1 }, adopt, batch.ErrUnavailable, "",
			batch.StateUnknown},
		"abandon what cannot be read": {"lost", "", func(s *teller) { s.down = 1 }, decision(batch.Abandon),
			batch.ErrUnavailable, "the decision was not recorded: the service was not able to say", batch.StateUnknown},
		"adopt what has no status": {"lost", "", nil, adopt, batch.ErrConflict, "does not say where that batch stands",
			batch.StateUnknown},
		"adopt what is canceled": {"lost", "", absent(batch.StateCanceled), adopt,
			batch.ErrConflict, "that batch was canceled, and a Submit of another may have arrived", batch.StateUnknown},
		"adopt a draft": {"lost", "", absent(batch.StateDraft), adopt,
			batch.ErrConflict, "and a Submit may still be under way", batch.StateUnknown},
		"adopt a draft for what is abandoned": {"funds", batch.Abandon, absent(batch.StateDraft), adopt,
			batch.ErrConflict, "that batch is not submitted, and the reference was abandoned", batch.StateDraft},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newTeller(c.submit), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
					ReconcileFor: time.Second}
				_, _ = batch.Run(t.Context(), s, oneItem(), o)
				if c.before != "" {
					_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", decision(c.before))
					require.NoError(t, err)
				}
				if c.change != nil {
					c.change(s)
				}
				history := kinds(t, o.Journal, "run-1")
				b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", c.d)
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.ErrorContains(t, err, c.message)
				require.Equal(t, "id-run-1 run-1 "+string(c.state), b.ID+" "+b.Draft.Reference+" "+string(b.State))
				require.Equal(t, history, kinds(t, o.Journal, "run-1"))
				require.Equal(t, 1, s.submits)
			})
		})
	}
}

func TestAJournalOfANewerVersion(t *testing.T) {
	made := batch.Batch{Provider: "teller", ID: "1", Draft: oneItem(), State: batch.StateDraft}
	hold, resend, failure, one := decision("hold"), decision(batch.Resend), batch.Failure{Kind: batch.ErrAmbiguous},
		oneItem()
	for name, e := range map[string]batch.Entry{
		"a kind of entry": {Kind: "refund"},
		"a kind with all fields": {Kind: "refund", Step: batch.StepSubmit, Attempt: 1, Draft: &one, Batch: &made,
			Failure:  &failure,
			Decision: &resend, Note: &batch.Note{}, Approval: &batch.Approval{}},
		"a withdrawal without a batch": {Kind: batch.EntryWithdrawn},
		"evidence without a batch":     {Kind: batch.EntryObserved, Failure: &failure},
		"evidence without a failure":   {Kind: batch.EntryObserved, Batch: &made},
		"a note without a text":        {Kind: batch.EntryNote},
		"an approval of nothing":       {Kind: batch.EntryApproval},
		"an intent without a draft":    {Kind: batch.EntryIntent},
		"an attempt of a step":         {Kind: batch.EntryAttempt, Step: "stage", Attempt: 1},
		"a result of a step":           {Kind: batch.EntryResult, Step: "stage", Attempt: 1, Batch: &made},
		"a result without a batch":     {Kind: batch.EntryResult, Step: batch.StepCreate, Attempt: 1},
		"a read without a batch":       {Kind: batch.EntryReconciled},
		"a verdict":                    {Kind: batch.EntryDecision, Decision: &hold},
		"a decision without a verdict": {Kind: batch.EntryDecision},
		"an end without a batch":       {Kind: batch.EntryDone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				runUntil(t, batch.PhaseCreate, s, oneItem(), o.Journal)
				key := batch.Key{Provider: "teller", Account: "test/1", Reference: oneItem().Reference}
				e.Seq = 4
				require.NoError(t, o.Journal.Append(t.Context(), key, e))

				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				report, err := batch.Run(ctx, s, oneItem(), o)
				require.ErrorIs(t, err, batch.ErrUnavailable)
				require.ErrorContains(t, err, "a newer version has written: update this one")
				require.Equal(t, batch.StateUnknown, report.Batch.State)
				require.Zero(t, s.submits)
				for _, err := range batch.NewDesk(s, o.Journal).Pending(t.Context()) {
					require.ErrorContains(t, err, "newer version")
				}
			})
		})
	}
}

// A decision about a batch whose history cannot be read returns the reference,
// and does not say that nothing was submitted.
func TestResolveBesideAJournalThatCannotBeReadKeepsTheReference(t *testing.T) {
	j := unlockable{batch.NewMemoryJournal()}
	b, err := batch.NewDesk(newTeller("ok"), j).Resolve(t.Context(), "run-1", decision(batch.Abandon))
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.Equal(t, "teller", b.Provider)
	require.Equal(t, "run-1", b.Draft.Reference)
	require.Equal(t, batch.StateUnknown, b.State)
}

// Create left the draft 7, an operator adopted the draft 9, and its Submit was
// refused: Abandon cancels both.
func TestAbandonCancelsTheAdoptedDraftAndTheOneThatWasLeft(t *testing.T) {
	service, o := &drafty{teller: newTeller("funds")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	service.create, service.left = &batch.Error{Kind: batch.ErrConflict}, batch.Batch{ID: "7"}
	_, err := batch.Run(t.Context(), service, oneItem(), o)
	require.ErrorIs(t, err, batch.ErrConflict)
	adopt := decision(batch.Adopt)
	adopt.BatchID, service.absent = "9", batch.StateDraft
	_, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", adopt)
	require.NoError(t, err)
	_, err = batch.Resume(t.Context(), service, "run-1", o)
	require.ErrorIs(t, err, batch.ErrFunds)
	b, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
	require.NoError(t, err)
	require.Equal(t, "9", b.ID)
	require.Equal(t, batch.StateCanceled, b.State)
	require.Equal(t, []string{"7", "9"}, service.canceled)
}

// Resend takes back an adoption, and lets another Create be made after an unclear one.
func TestResendBeforeAnySubmit(t *testing.T) {
	for name, c := range map[string]struct {
		create  batch.Kind // of the error of Create
		left    string     // the ID of the draft that it leaves
		adopt   bool
		message string // of the error of Resend
		history string
	}{
		"Create was unclear": {batch.ErrAmbiguous, "", false, "",
			"create#1=ambiguous decision"},
		"a draft was adopted after that": {batch.ErrAmbiguous, "", true, "",
			"create#1=ambiguous create#1=ok decision"},
		"a draft is left": {batch.ErrConflict, "7", false, "nothing is unclear",
			"create#1=conflict"},
		"a draft is left, and another was adopted": {batch.ErrConflict, "7", true, "",
			"create#1=conflict create#1=ok decision"},
		"Create was refused": {batch.ErrInvalid, "", false, "nothing is unclear",
			"create#1=invalid"},
		"Create was refused, and a draft is adopted": {batch.ErrInvalid, "", true, "",
			"create#1=invalid create#1=ok decision"},
	} {
		t.Run(name, func(t *testing.T) {
			s, j := newTeller("ok"), batch.NewMemoryJournal()
			s.create, s.left, s.absent = &batch.Error{Kind: c.create}, batch.Batch{ID: c.left}, batch.StateDraft
			_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
			require.ErrorIs(t, err, c.create)
			desk := batch.NewDesk(s, j)
			if c.adopt {
				adopt := decision(batch.Adopt)
				adopt.BatchID = "9"
				_, err = desk.Resolve(t.Context(), "run-1", adopt)
				require.NoError(t, err)
			}
			b, err := desk.Resolve(t.Context(), "run-1", decision(batch.Resend))
			require.Equal(t, "intent create#1 "+c.history, kinds(t, j, "run-1"))
			if c.message != "" {
				require.ErrorContains(t, err, c.message)
				return
			}
			require.NoError(t, err)
			require.Empty(t, b.ID)
			require.Equal(t, batch.StateDraft, b.State)
			other := batch.Entry{Seq: 1, Kind: batch.EntryIntent, Claims: []string{"batch 9 of test/1 at teller"}}
			key := batch.Key{Provider: "teller", Account: "test/1", Reference: "stranger"}
			require.NoError(t, j.Append(t.Context(), key, other), "the adopted draft is free")
		})
	}
}

// A batch that the service had finished, and does not know before its report was
// read, can be decided. A decision that is refused says that its state is unknown.
func TestAFinishedBatchThatTheServiceForgetsCanBeDecided(t *testing.T) {
	for _, verdict := range []batch.Verdict{batch.Abandon, batch.Resend, batch.Adopt} {
		synctest.Test(t, func(t *testing.T) {
			s, j := newTeller("applied and lost"), batch.NewMemoryJournal()
			s.polls["run-1"]++ // The first read says done.
			runUntilReconciled(t, s, j)
			s.applied["run-1"], s.absent = 0, &batch.Error{Kind: batch.ErrNotFound, Provider: "teller"}
			d := decision(verdict)
			if verdict == batch.Adopt {
				d.BatchID = "9"
			}
			b, err := batch.NewDesk(s, j).Resolve(t.Context(), "run-1", d)
			if verdict == batch.Adopt {
				require.ErrorContains(t, err, "the service does not know a batch 9")
			} else {
				require.NoError(t, err, verdict)
			}
			require.Equal(t, batch.StateUnknown, b.State, verdict)
			require.Equal(t, 1, s.submits)
		})
	}
}

func runUntilReconciled(t *testing.T, s *teller, j batch.Journal) {
	t.Helper()
	require.PanicsWithValue(t, "stop", func() {
		_, _ = batch.Run(context.Background(), s, oneItem(), &batch.RunOptions{Journal: j, ReconcileFor: time.Second,
			Observe: func(e batch.Event) {
				if e.Phase == batch.PhaseReconcile {
					panic("stop")
				}
			}})
	})
}

// requireHeldName holds that the journal knows, or does not know, a batch of the
// service as that of a reference.
func requireHeldName(t *testing.T, held bool, j batch.Journal, id string) {
	t.Helper()
	key := batch.Key{Provider: "teller", Account: "test/1", Reference: "stranger to " + id}
	err := j.Append(t.Context(), key, batch.Entry{Seq: 1, Kind: batch.EntryIntent,
		Claims: []string{"batch " + id + " of test/1 at teller"}})
	require.Equal(t, held, errors.Is(err, batch.ErrConflict), "%s: %v", id, err)
}

// An unnamed is a service whose batches have an ID only once they are looked up.
type unnamed struct {
	*teller
	id string
}

func (s unnamed) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	return batch.Batch{Provider: "teller", Draft: d, State: batch.StateDraft}, nil
}

func (s unnamed) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if b.ID == "" {
		b.ID = s.id
	}
	return s.teller.Poll(ctx, b)
}

// A decision frees the name of a batch that was adopted wrongly, and of no other.
func TestADecisionFreesOnlyTheNameThatWasWrong(t *testing.T) {
	adopting := func(id string) batch.Decision {
		d := decision(batch.Adopt)
		d.BatchID = id
		return d
	}
	for name, c := range map[string]struct {
		service func(s *teller) batch.Provider
		later   batch.Decision // after the batch 9 was adopted
		message string
		held    []string
		free    []string
	}{
		"the same batch is adopted again": {func(s *teller) batch.Provider { return s }, adopting("9"), "",
			[]string{"9", "id-run-1"}, nil},
		"another is adopted": {func(s *teller) batch.Provider { return s }, adopting("8"), "",
			[]string{"8", "id-run-1"}, []string{"9"}},
		"its own batch was submitted": {func(s *teller) batch.Provider {
			return s
		}, decision(batch.Abandon), "too late",
			[]string{"id-run-1"}, []string{"9"}},
		"it was the batch that is found": {func(s *teller) batch.Provider { return unnamed{s, "9"} },
			decision(batch.Abandon), "too late",
			[]string{"9"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := newTeller("applied and lost"), batch.NewMemoryJournal()
				s.info.PollsWithoutID, s.down = true, 1000
				p := c.service(s)
				_, err := batch.Run(t.Context(), p, oneItem(), &batch.RunOptions{Journal: j, ReconcileFor: time.Second})
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				s.down = 0
				desk := batch.NewDesk(p, j)
				_, err = desk.Resolve(t.Context(), "run-1", adopting("9"))
				require.NoError(t, err)
				_, err = desk.Resolve(t.Context(), "run-1", c.later)
				if c.message != "" {
					require.ErrorContains(t, err, c.message)
				} else {
					require.NoError(t, err)
				}
				for _, id := range c.held {
					requireHeldName(t, true, j, id)
				}
				for _, id := range c.free {
					requireHeldName(t, false, j, id)
				}
			})
		})
	}
}

// A canceled batch can be adopted if it is the batch itself, or if no Submit of
// another can have arrived.
func TestAdoptABatchThatWasCanceled(t *testing.T) {
	for name, c := range map[string]struct {
		create  error
		id      string
		history string
	}{
		"its own, after an unclear Submit": {nil, "id-run-1", "create#1=ok submit#1 submit#1=ambiguous reconciled"},
		"another, after an unclear Create": {&batch.Error{Kind: batch.ErrAmbiguous}, "9",
			"create#1=ambiguous reconciled"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, j := newTeller("lost"), batch.NewMemoryJournal()
				s.create = c.create
				unclear(t, s, &batch.RunOptions{Journal: j, ReconcileFor: time.Second})
				s.absent = batch.StateCanceled
				adopt := decision(batch.Adopt)
				adopt.BatchID = c.id
				b, err := batch.NewDesk(s, j).Resolve(t.Context(), "run-1", adopt)
				require.NoError(t, err)
				require.Equal(t, c.id+" cancelled", b.ID+" "+string(b.State))
				require.Equal(t, "intent create#1 "+c.history, kinds(t, j, "run-1"))
			})
		})
	}
}

// A polling is a drafty whose Poll answers as told, and whose Cancel cancels
// only drafts.
type polling struct {
	*drafty
	state batch.State
	err   error
	asked []batch.State // the states of the batches that Poll was given
}

func (s *polling) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	s.asked = append(s.asked, b.State)
	b.State = s.state
	return b, s.err
}

func (s *polling) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if b.State != batch.StateDraft {
		return b, &batch.Error{Kind: batch.ErrInvalid, Message: "not a draft"}
	}
	return s.drafty.Cancel(ctx, b)
}

// A batch that cannot be canceled is read with everything compared, and what
// stands beside an error of that read decides nothing.
func TestAbandonTakesNoFailedReadForAnAnswer(t *testing.T) {
	for _, state := range []batch.State{batch.StateCanceled, batch.StatePending, batch.StateDone} {
		s, j := &polling{drafty: &drafty{teller: newTeller("funds")}}, batch.NewMemoryJournal()
		_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
		require.ErrorIs(t, err, batch.ErrFunds)
		history := kinds(t, j, "run-1")
		s.cancel, s.state, s.err = &batch.Error{Kind: batch.ErrConflict}, state,
			&batch.Error{Kind: batch.ErrConflict, Message: "another amount"}
		b, err := batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.ErrorContains(t, err, "the decision was not recorded: batch id-run-1 was not canceled")
		require.ErrorContains(t, err, "another amount")
		require.Equal(t, batch.StateDraft, b.State)
		require.Equal(t, []batch.State{batch.StateUnknown}, s.asked)
		require.Equal(t, history, kinds(t, j, "run-1"))

		s.cancel = nil
		b, err = batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.NoError(t, err)
		require.Equal(t, batch.StateCanceled, b.State)
	}
}

// Beside an error of Resolve is the batch, and the journal's error is told.
func TestTheBatchBesideARefusedDecision(t *testing.T) {
	// A draft that cannot be looked up may be left.
	s, j := &drafty{teller: newTeller("ok")}, batch.NewMemoryJournal()
	s.create = &batch.Error{Kind: batch.ErrAmbiguous}
	_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	b, err := batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Abandon))
	require.ErrorIs(t, err, batch.ErrUnsupported)
	require.Equal(t, "teller run-1 draft", b.Provider+" "+b.Draft.Reference+" "+string(b.State))

	// Another batch has paid for the same since this one was abandoned.
	for at, want := range []string{"id-first pending", "id-first draft", "id-first draft"} {
		synctest.Test(t, func(t *testing.T) {
			s, j := newBiller("refused", "ok"), batch.NewMemoryJournal()
			_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), &batch.RunOptions{Journal: j})
			require.ErrorIs(t, err, batch.ErrInvalid)
			_, err = batch.NewDesk(s, j).Resolve(t.Context(), "first", decision(batch.Abandon))
			require.NoError(t, err)
			_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), &batch.RunOptions{Journal: j})
			require.NoError(t, err)
			s.applied["first"] = 1
			adopt := decision(batch.Adopt)
			adopt.BatchID = "id-first"
			b, err := batch.NewDesk(s, &failing{j, at}).Resolve(t.Context(), "first", adopt)
			require.Equal(t, want, b.ID+" "+string(b.State))
			if at == 0 {
				require.ErrorContains(t, err, "the decision was recorded")
			} else {
				require.ErrorIs(t, err, errDisk)
			}
		})
	}
}

// Journals, dossiers and callers keep these words.
func TestTheWordsAreFixed(t *testing.T) {
	require.Equal(t, []batch.Standing{"intended", "draft", "unclear", "submitted", "closed"}, []batch.Standing{
		batch.StandingIntended, batch.StandingDraft, batch.StandingUnclear, batch.StandingSubmitted,
		batch.StandingClosed})
	require.Equal(t, []batch.Verdict{"abandon", "adopt", "resend", "close"}, []batch.Verdict{
		batch.Abandon, batch.Adopt, batch.Resend, batch.Close})
}
