package batch_test

import (
	"context"
	"encoding/json"
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
	for d, err := range batch.Pending(t.Context(), p, &batch.RunOptions{Journal: j}) {
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
				{Step: batch.StepSubmit, Number: 1, Began: began, Ended: &ended, Failure: &batch.Failure{Kind: batch.ErrAmbiguous, Op: "Submit"}}},
			Next: "do not send it again: call Resume to ask; if the service cannot tell, ask its support, and record the answer with Resolve",
		}}
		got := pending(t, s, o.Journal)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(batch.Dossier{}, "Fingerprint")); diff != "" {
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

func TestResolveResend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("lost", "ok")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		_, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.Equal(t, 1, s.submits, "without a person nothing is sent again")

		b, err := batch.Resolve(t.Context(), s, oneItem().Reference, decision(batch.Resend), o)
		require.NoError(t, err)
		require.Equal(t, batch.StateDraft, b.State)
		require.Equal(t, 1, s.submits, "Resolve submits nothing")
		require.Equal(t, "ada", pending(t, s, o.Journal)[0].Decisions[0].Operator)
		_, err = batch.Resolve(t.Context(), s, oneItem().Reference, decision(batch.Resend), o)
		require.ErrorIs(t, err, batch.ErrConflict, "nothing is unclear any more")

		report, err := batch.Resume(t.Context(), s, oneItem().Reference, o)
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, 2, s.submits)
		require.Empty(t, pending(t, s, o.Journal))
		_, err = batch.Resolve(t.Context(), s, oneItem().Reference, decision(batch.Abandon), o)
		require.ErrorContains(t, err, "not open any more")
	})
}

func TestResolveAbandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTeller("lost")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		b, err := batch.Resolve(t.Context(), s, oneItem().Reference, decision(batch.Abandon), o)
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

// Where the service can cancel, an abandoned batch is one that it has
// cancelled, or one that it has submitted.
func TestResolveAbandonAtAServiceThatCancels(t *testing.T) {
	for name, c := range map[string]struct {
		fault batchtest.Fault
		want  batch.State
		moved int
		kind  batch.Kind
	}{
		"it had not landed": {fault: batchtest.LostBefore, want: batch.StateCancelled},
		"it had landed":     {fault: batchtest.LostAfter, want: batch.StatePending, moved: 1, kind: batch.ErrConflict},
		"it lands later":    {fault: batchtest.LateAfter, want: batch.StateCancelled},
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

				b, err := batch.Resolve(t.Context(), m, d.Reference, decision(batch.Abandon), o)
				require.Equal(t, c.kind, batch.KindOf(err))
				require.Equal(t, c.want, b.State)
				m.Settle()
				require.Equal(t, c.moved, m.Moved()["a"])
				if c.kind == "" {
					require.Empty(t, pending(t, m, o.Journal))
					return
				}
				require.Equal(t, batch.StandingSubmitted, pending(t, m, o.Journal)[0].Standing, "what has landed is waited for")
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
	b, err := batch.Resolve(t.Context(), m, made.Draft.Reference, decision(batch.Abandon), o)
	require.NoError(t, err)
	require.Equal(t, batch.StateCancelled, b.State)
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
		_, err := batch.Resolve(t.Context(), s, oneItem().Reference, adopt, o)
		require.ErrorIs(t, err, batch.ErrUnavailable, "what the service does not confirm is not adopted")
		s.down = 0
		b, err := batch.Resolve(t.Context(), s, oneItem().Reference, adopt, o)
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
		_, err := batch.Resolve(t.Context(), s, oneItem().Reference, adopt, o)
		require.ErrorContains(t, err, "does not say where that batch stands")
		s.absent = batch.StateDraft
		_, err = batch.Resolve(t.Context(), s, oneItem().Reference, adopt, o)
		require.ErrorContains(t, err, "may still be under way")

		// A draft that an unclear Create has left is adopted, and submitted.
		s = newTeller("ok")
		s.create, s.absent = &batch.Error{Kind: batch.ErrAmbiguous}, batch.StateDraft
		o = &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, s, o)
		_, err = batch.Resolve(t.Context(), s, oneItem().Reference, adopt, o)
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
	_, err := batch.Resolve(t.Context(), s, "r", batch.Decision{BatchID: "1"}, o)
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Len(t, e.Fields, 4)
	_, err = batch.Resolve(t.Context(), s, "never-run", decision(batch.Abandon), o)
	require.ErrorIs(t, err, batch.ErrNotFound)
}

func TestAJournalOfANewerVersion(t *testing.T) {
	s := newTeller("ok")
	j := batch.NewMemoryJournal()
	key := batch.Key{Provider: "teller", Account: "test/1", Reference: oneItem().Reference}
	require.NoError(t, j.Append(t.Context(), key, batch.Entry{Seq: 1, Kind: "refund"}))
	o := &batch.RunOptions{Journal: j}
	_, err := batch.Run(t.Context(), s, oneItem(), o)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.ErrorContains(t, err, "a newer version has written: update this one")
	require.Zero(t, s.creates)
	for _, err := range batch.Pending(t.Context(), s, o) {
		require.ErrorContains(t, err, "newer version")
	}
}
