package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

func TestABatchIDBelongsToOneReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		first, second := newTeller("lost"), shared{newTeller("ok"), "id-run-1"}
		_, err := batch.Run(t.Context(), first, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)

		other := oneItem()
		other.Reference = "run-2"
		report, err := batch.Run(t.Context(), second, other, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, `batch id-run-1 of test/1 at teller belongs to the reference "run-1"`)
		require.Equal(t, batch.StateDraft, report.Batch.State)
		require.Zero(t, second.submits)
		require.Equal(t, "intent create#1 create#1=conflict", kinds(t, o.Journal, "run-2"),
			"the number was not the journal's")

		other.Reference = "run-3"
		_, err = batch.Run(t.Context(), newTeller("lost"), other, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		adopt := decision(batch.Adopt)
		adopt.BatchID = "id-run-1"
		done := newTeller("ok")
		done.applied["run-3"]++
		b, err := batch.NewDesk(done, o.Journal).Resolve(t.Context(), "run-3", adopt)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, `belongs to the reference "run-1"`)
		require.Equal(t, batch.StateUnknown, b.State)
		require.Equal(t, "id-run-3", b.ID)
	})
}

// shared gives every draft the same batch.
type shared struct {
	*teller
	id string
}

func (s shared) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	b, err := s.teller.Create(ctx, d)
	b.ID = s.id
	return b, err
}

func TestASubmitThatIsAnsweredWithAnothersIDIsUnclear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), newTeller("ok"), oneItem(), o)
		require.NoError(t, err)
		other := oneItem()
		other.Reference = "run-2"
		service := renaming{newTeller("ok")}
		report, err := batch.Run(t.Context(), service, other, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.Equal(t, batch.StateUnknown, report.Batch.State)
		require.Empty(t, report.Batch.ID)
		require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous", kinds(t, o.Journal, "run-2"))
		require.ErrorContains(t, err, "the service answered with the ID of another reference's batch")
		require.Equal(t, batch.StandingUnclear, pending(t, service, o.Journal)[0].Standing)
	})
}

// renaming answers every Submit with the ID of run-1, and finds nothing.
type renaming struct{ *teller }

func (s renaming) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	return batch.Batch{Provider: "teller", Draft: d, State: batch.StateDraft}, nil
}

func (s renaming) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := s.teller.Submit(ctx, b)
	b.ID = "id-run-1"
	return b, err
}

func (s renaming) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	b.State = batch.StateUnknown
	return b, nil
}

func TestTermsBelongToTheIntent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		one, other := newTeller("not sent"), newTeller("ok")
		one.info.Terms = map[string]string{"merchant": "1", "currency": "GBP"}
		other.info.Terms = map[string]string{"merchant": "2", "currency": "GBP"}
		_, err := batch.Run(t.Context(), one, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrUnavailable)

		for name, call := range map[string]func() error{
			"Run":    func() error { _, err := batch.Run(t.Context(), other, oneItem(), o); return err },
			"Resume": func() error { _, err := batch.Resume(t.Context(), other, "run-1", o); return err },
			"Resolve": func() error {
				_, err := batch.NewDesk(other, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
				return err
			},
			"Settle": func() error {
				for _, err := range batch.Settle(t.Context(), other, o) {
					return err
				}
				return nil
			},
		} {
			err := call()
			require.ErrorIs(t, err, batch.ErrConflict, name)
			require.ErrorContains(t, err, `merchant: is "2" here, but was "1" when the batch was intended`, name)
			require.NotContains(t, err.Error(), "currency", name)
		}
		require.Zero(t, other.submits+other.creates)
		require.Equal(t, one.info.Terms, pending(t, one, o.Journal)[0].Terms)
		one.script = []string{"ok"}
		_, err = batch.Run(t.Context(), one, oneItem(), o)
		require.NoError(t, err)
	})
}

// An observer that panics loses nothing: the journal was written before.
func TestTheJournalIsWrittenBeforeObserveIsCalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, phase := range []batch.Phase{batch.PhaseCreate, batch.PhaseSubmit, batch.PhaseReconcile,
			batch.PhaseReport} {
			service, journal := newTeller("applied and lost"), batch.NewMemoryJournal()
			o := &batch.RunOptions{Journal: journal, Observe: func(e batch.Event) {
				if e.Phase == phase {
					panic("observer")
				}
			}}
			require.Panics(t, func() { _, _ = batch.Run(t.Context(), service, oneItem(), o) }, phase)
			want := map[batch.Phase]string{
				batch.PhaseCreate:    "create#1=ok",
				batch.PhaseSubmit:    "submit#1=ambiguous",
				batch.PhaseReconcile: "reconciled",
				batch.PhaseReport:    "done",
			}[phase]
			require.Regexp(t, want+"$", kinds(t, journal, "run-1"), phase)
			o.Observe = nil
			_, err := batch.Run(t.Context(), service, oneItem(), o)
			require.NoError(t, err, phase)
			require.Equal(t, 1, service.moved(), phase)
		}
	})
}

func TestAResendWaitsUntilNoSubmitIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newTeller("lost", "guarded")
		guarded(service)
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Millisecond}
		began := time.Now()
		for service.submits < 2 {
			_, err := batch.Run(t.Context(), service, oneItem(), o)
			if service.submits < 2 {
				require.ErrorIs(t, err, batch.ErrAmbiguous)
			}
			require.Less(t, time.Since(began), time.Hour)
			time.Sleep(time.Minute) // Short calls add up: only the age of the attempt counts.
		}
		require.Equal(t, 16*time.Minute, time.Since(began).Truncate(time.Minute))
		require.Equal(t, 1, service.moved())
	})
}

func TestAResendGoesByTheJournalsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newTeller("lost", "guarded")
		guarded(service)
		journal := clocked{batch.NewMemoryJournal(), new(time.Duration)}
		o := &batch.RunOptions{Journal: journal, ReconcileFor: time.Millisecond}
		for range 30 {
			_, err := batch.Run(t.Context(), service, oneItem(), o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			time.Sleep(time.Minute)
		}
		require.Equal(t, 1, service.submits, "the journal's clock stands still")
		*journal.moved = 15 * time.Minute
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err)
		require.Equal(t, 2, service.submits)
	})
}

// clocked is a journal with a clock of its own.
type clocked struct {
	batch.Journal
	moved *time.Duration
}

func (j clocked) Now(context.Context) (time.Time, error) {
	return time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(*j.moved), nil
}

// drafty is a teller that keeps drafts, and cancels them.
type drafty struct {
	*teller
	canceled []string
	cancel   error
}

func (s *drafty) Cancel(_ context.Context, b batch.Batch) (batch.Batch, error) {
	if s.cancel != nil {
		return b, s.cancel
	}
	s.canceled = append(s.canceled, b.ID)
	b.State = batch.StateCanceled
	return b, nil
}

func TestADraftThatCreateHasLeftIsWithdrawnBeforeAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := &drafty{teller: newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.create, service.left = &batch.Error{Kind: batch.ErrConflict, Message: "totals do not match"},
			batch.Batch{ID: "7"}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.Equal(t, []string{"7"}, pending(t, service, o.Journal)[0].Left)

		service.cancel = &batch.Error{Kind: batch.ErrAmbiguous}
		report, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrUnavailable, "no money can move either way")
		require.Equal(t, oneItem(), report.Batch.Draft)
		require.ErrorContains(t, err, "an earlier call has left a draft: the draft 7 was not canceled")
		require.Equal(t, 1, service.creates)

		service.cancel, service.create = nil, nil
		var phases []batch.Phase
		o.Observe = func(e batch.Event) { phases = append(phases, e.Phase) }
		_, err = batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err)
		require.Equal(t, []string{"7"}, service.canceled)
		require.Equal(t, batch.PhaseWithdraw, phases[0])
		require.Contains(t, kinds(t, o.Journal, "run-1"), "withdrawn create#2 create#2=ok")
	})
}

func TestAbandonCancelsEveryDraftThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := &drafty{teller: newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.create, service.left = &batch.Error{Kind: batch.ErrConflict}, batch.Batch{ID: "7"}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		service.cancel = &batch.Error{Kind: batch.ErrUnavailable}
		b, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "the decision was not recorded: the draft 7 was not canceled")
		require.Equal(t, "run-1", b.Draft.Reference)
		require.Len(t, pending(t, service, o.Journal), 1)
		service.cancel = nil
		b, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.NoError(t, err)
		require.Equal(t, batch.StateCanceled, b.State)
		require.Equal(t, []string{"7"}, service.canceled)
		require.Empty(t, pending(t, service, o.Journal))

		// One that cannot be looked up may be left, and that is said.
		service.create, service.left = &batch.Error{Kind: batch.ErrAmbiguous}, batch.Batch{}
		d := oneItem()
		d.Reference = "run-2"
		_, err = batch.Run(t.Context(), service, d, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		_, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-2", decision(batch.Abandon))
		require.ErrorIs(t, err, batch.ErrUnsupported)
		require.ErrorContains(t, err, "abandoned; the service may hold a draft")
		require.Empty(t, pending(t, service, o.Journal))
	})
}

// What becomes of the draft decides whether the reference is abandoned.
func TestAbandonGoesByWhatTheCancelSays(t *testing.T) {
	refused := func(k batch.Kind) error { return &batch.Error{Kind: k} }
	const late, kept = "too late: the batch was submitted", "the decision was not recorded: "
	for name, c := range map[string]struct {
		submit  string
		cancel  error
		absent  any // what Poll says
		kind    batch.Kind
		message string
		state   batch.State
	}{
		"canceled": {"funds", nil, nil, "", "", batch.StateCanceled},
		"no answer": {"funds", refused(batch.ErrUnavailable), nil, batch.ErrUnavailable, kept +
			"the draft id-run-1 was not", batch.StateDraft},
		"unclear, no answer": {"lost", refused(batch.ErrAmbiguous), nil, batch.ErrAmbiguous, kept +
			"the draft id-run-1 was not", batch.StateUnknown},
		"not found":          {"funds", refused(batch.ErrNotFound), nil, "", "", batch.StateCanceled},
		"unclear, not found": {"lost", refused(batch.ErrNotFound), nil, "", "", batch.StateUnknown},
		"canceled before": {"lost", refused(batch.ErrConflict), batch.StateCanceled, "", "",
			batch.StateCanceled},
		"submitted": {"lost", refused(batch.ErrConflict), batch.StatePending, batch.ErrConflict, late,
			batch.StatePending},
		"done": {"lost", refused(batch.ErrConflict), batch.StateDone, batch.ErrConflict, late,
			batch.StateDone},
		"still a draft": {"funds", refused(batch.ErrConflict), batch.StateDraft, batch.ErrConflict, kept +
			"batch id-run-1 was not", batch.StateDraft},
		"unclear, still a draft": {"lost", refused(batch.ErrConflict), batch.StateDraft, batch.ErrConflict, kept +
			"batch id-run-1 was not", batch.StateUnknown},
		"not readable": {"funds", refused(batch.ErrConflict), &batch.Error{Kind: batch.ErrUnavailable, Message: "down"},
			batch.ErrConflict, kept + "batch id-run-1 was not", batch.StateDraft},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &drafty{teller: newTeller(c.submit)}
				o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
				_, err := batch.Run(t.Context(), s, oneItem(), o)
				require.Error(t, err)
				if s.cancel = c.cancel; c.absent != nil {
					s.absent = c.absent
				}
				b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.Equal(t, "id-run-1 run-1 "+string(c.state), b.ID+" "+b.Draft.Reference+" "+string(b.State))
				want := []string{"intent create#1 create#1=ok submit#1 submit#1=ambiguous", ""}
				if c.submit == "funds" {
					want[0] = "intent create#1 create#1=ok submit#1 submit#1=funds"
				}
				switch {
				case err == nil:
					want[1] = " done"
				case c.message == late:
					want[1] = " reconciled"
				}
				require.Equal(t, strings.Join(want, ""), kinds(t, o.Journal, "run-1"))
				if err != nil {
					require.ErrorContains(t, err, c.message)
				}
			})
		})
	}
}

// seeker also finds drafts by their reference, the newest first.
type seeker struct {
	*drafty
	drafts []string
}

func (s *seeker) Find(_ context.Context, reference string) (batch.Batch, error) {
	for _, id := range slices.Backward(s.drafts) {
		if !slices.Contains(s.canceled, id) {
			return batch.Batch{Provider: s.Info().Name, ID: id, State: batch.StateDraft,
				Draft: batch.Draft{Reference: reference}}, nil
		}
	}
	return batch.Batch{}, &batch.Error{Kind: batch.ErrNotFound}
}

// Two attempts to create were lost, and both arrive later: each has left a
// draft, and each is withdrawn.
func TestEveryAttemptToCreateMayHaveLeftADraft(t *testing.T) {
	for _, abandoned := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			service, o := &seeker{drafty: &drafty{teller: newTeller("ok")}},
				&batch.RunOptions{Journal: batch.NewMemoryJournal()}
			service.create = &batch.Error{Kind: batch.ErrAmbiguous}
			for range 2 {
				_, err := batch.Run(t.Context(), service, oneItem(), o)
				require.ErrorIs(t, err, batch.ErrAmbiguous)
			}
			service.drafts, service.create = []string{"7", "8"}, nil
			if abandoned {
				b, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
				require.NoError(t, err)
				require.Equal(t, batch.StateCanceled, b.State)
			} else {
				_, err := batch.Run(t.Context(), service, oneItem(), o)
				require.NoError(t, err)
				require.Contains(t, kinds(t, o.Journal, "run-1"), "withdrawn withdrawn create#3 create#3=ok")
			}
			require.Equal(t, []string{"8", "7"}, service.canceled)
		})
	}
}

// finding is a drafty whose Find says the same each time.
type finding struct {
	*drafty
	found batch.Batch
	err   error
}

func (s finding) Find(context.Context, string) (batch.Batch, error) { return s.found, s.err }

// Two attempts to create are unclear, and the reference is abandoned.
func TestAbandonGoesByWhatIsFound(t *testing.T) {
	draft := batch.Batch{Provider: "teller", ID: "7", State: batch.StateDraft}
	canceled := draft
	canceled.State = batch.StateCanceled
	for name, c := range map[string]struct {
		found    batch.Batch
		err      error
		cancel   error
		kind     batch.Kind
		message  string
		want     string // ID and state
		canceled []string
	}{
		"nothing": {batch.Batch{}, &batch.Error{Kind: batch.ErrNotFound}, nil, "", "", " draft", nil},
		"no answer": {batch.Batch{}, &batch.Error{Kind: batch.ErrProtocol}, nil, batch.ErrProtocol,
			"an earlier call may have left a draft", " draft", nil},
		"what is canceled": {canceled, nil, nil, "", "", "7 cancelled", []string{"7"}},
		"a draft that stays": {draft, nil, &batch.Error{Kind: batch.ErrThrottled}, batch.ErrThrottled,
			"the draft 7 was not canceled", "7 draft", nil},
	} {
		t.Run(name, func(t *testing.T) {
			s, o := finding{&drafty{teller: newTeller("ok")}, c.found, c.err},
				&batch.RunOptions{Journal: batch.NewMemoryJournal()}
			s.create = &batch.Error{Kind: batch.ErrAmbiguous}
			blind := s.drafty // It cannot find, so each Run makes one more attempt.
			for range 2 {
				_, err := batch.Run(t.Context(), blind, oneItem(), o)
				require.ErrorIs(t, err, batch.ErrAmbiguous)
			}
			s.cancel = c.cancel
			b, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			require.Equal(t, c.want, b.ID+" "+string(b.State))
			require.Equal(t, oneItem(), b.Draft)
			require.Equal(t, c.canceled, s.canceled)
			require.Equal(t, err == nil, strings.HasSuffix(kinds(t, o.Journal, "run-1"), " done"))
			if err != nil {
				require.ErrorContains(t, err, "the decision was not recorded: ")
				require.ErrorContains(t, err, c.message)
			}
		})
	}
}

func TestACallThatNeedsAJournalRefusesNil(t *testing.T) {
	service := newTeller("ok")
	refused := func(err error) {
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "the journal: is nil")
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, -1, e.Fields[0].Item)
	}
	n := 0
	for _, err := range batch.NewDesk(service, nil).Pending(t.Context()) {
		n++
		refused(err)
	}
	for _, o := range []*batch.RunOptions{nil, {}} {
		for _, err := range batch.Settle(t.Context(), service, o) {
			n++
			refused(err)
		}
	}
	require.Equal(t, 3, n)
	_, err := batch.NewDesk(service, nil).Resolve(t.Context(), "run-1", decision(batch.Abandon))
	refused(err)
}

func TestAnAdoptionThatWasWrongCanBeReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("applied and lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.down = 1000
		unclear(t, service, o)
		service.down = 0
		adopt := decision(batch.Adopt)
		adopt.BatchID = "wrong"
		_, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", adopt)
		require.NoError(t, err)

		// The wrong one is free for the reference that it belongs to.
		adopt.BatchID = "right"
		b, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", adopt)
		require.NoError(t, err)
		require.Equal(t, "right", b.ID)
		second := newTeller("lost")
		d := oneItem()
		d.Reference = "run-2"
		_, err = batch.Run(t.Context(), second, d, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		second.applied["run-2"]++
		for id, kind := range map[string]batch.Kind{"right": batch.ErrConflict, "wrong": ""} {
			adopt.BatchID = id
			_, err = batch.NewDesk(second, o.Journal).Resolve(t.Context(), "run-2", adopt)
			require.Equal(t, kind, batch.KindOf(err), "%s: %v", id, err)
		}

		b, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Resend))
		require.NoError(t, err)
		require.Equal(t, batch.StateUnknown, b.State)
		require.Equal(t, "id-run-1", b.ID)
		for _, dossier := range pending(t, service, o.Journal) {
			if dossier.Key.Reference == "run-1" {
				require.Equal(t, batch.StandingUnclear, dossier.Standing)
			}
		}
	})
}

func TestRunTriesTheNextNumberIfOneIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := taken{numbered{newTeller("ok")}, map[string]bool{"500": true, "501": true}, new(int)}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		report, err := batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err)
		require.Equal(t, "502", report.Batch.ID)
		require.Equal(t, 1, service.submits)

		for n := range 100 {
			service.numbers[fmt.Sprint(500+n)] = true
		}
		d := oneItem()
		d.Reference = "run-2"
		*service.tries = 0
		_, err = batch.Run(t.Context(), service, d, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, batch.CodeNumberTaken)
		require.Equal(t, 20, *service.tries, "it does not try for ever")
	})
}

// taken is a numbered teller at whose service some numbers are used.
type taken struct {
	numbered
	numbers map[string]bool
	tries   *int
}

func (s taken) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	b, err := s.numbered.Create(ctx, d)
	b.ID = d.Extra["number"]
	return b, err
}

func (s taken) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	*s.tries++
	if s.numbers[b.ID] {
		return b, &batch.Error{Kind: batch.ErrConflict, Provider: "teller", Op: "Submit", Status: 422,
			Code: batch.CodeNumberTaken}
	}
	return s.numbered.Submit(ctx, b)
}

// knowing is a service that has the batch but cannot name it.
type knowing struct{ *teller }

func (s knowing) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	return batch.Batch{Provider: "teller", Draft: d, State: batch.StateDraft}, nil
}

func (s knowing) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	b.Native = "fetched at noon"
	return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: "teller", Op: "Poll", Code: "fetched",
		Message: "the file was fetched at noon"}
}

// What a read has proved is written down once, told by every error and dossier,
// and nothing is attempted again.
func TestEvidenceIsKeptAndEndsTheAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := knowing{newTeller("lost")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		guarded(service.teller)
		service.info.PollsWithoutID = true
		for range 3 {
			report, err := batch.Run(t.Context(), service, oneItem(), o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.ErrorContains(t, err, "the file was fetched at noon")
			require.Equal(t, "fetched at noon", report.Batch.Native)
		}
		require.Equal(t, 1, service.submits)
		require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous observed",
			kinds(t, o.Journal, "run-1"))
		dossier := pending(t, service, o.Journal)[0]
		require.Contains(t, dossier.Next, "the file was fetched at noon")
		require.Equal(t, "fetched at noon", dossier.Native)
	})
}

func TestNothingThatWentWrongIsSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The last read beside an unclear batch.
		service, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.absent = &batch.Error{Kind: batch.ErrAuth, Provider: "teller", Message: "the key was revoked"}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorContains(t, err, "the last read: teller: auth: the key was revoked")
		require.NotContains(t, err.Error(), "\n")

		// A refusal that could not be written down.
		service = newTeller("refused")
		report, err := batch.Run(t.Context(), service, oneItem(),
			&batch.RunOptions{Journal: &brokenJournal{Journal: batch.NewMemoryJournal(), n: 5}})
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorIs(t, err, errDisk)
		require.ErrorContains(t, err, "later calls must take it for unclear")
		require.Equal(t, batch.StateUnknown, report.Batch.State)

		// A read that failed beside Abandon.
		service, o = newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, service, o)
		service.down = 1
		_, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "the decision was not recorded")
		require.Len(t, pending(t, service, o.Journal), 1)
	})
}

func TestOneUnreadableHistoryEndsNoList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		for _, reference := range []string{"run-1", "run-2", "run-3"} {
			d := oneItem()
			d.Reference = reference
			_, err := batch.Run(t.Context(), newTeller("lost"), d, o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
		}
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "run-2"}
		require.NoError(t, o.Journal.Append(t.Context(), key, batch.Entry{Seq: 6, Kind: "future"}))
		got := map[string]bool{}
		for d, err := range batch.NewDesk(newTeller("ok"), o.Journal).Pending(t.Context()) {
			got[d.Key.Reference] = err == nil
		}
		require.Equal(t, map[string]bool{"run-1": true, "run-2": false, "run-3": true}, got)
	})
}

func TestADossierShowsNoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.create = &batch.Error{Kind: batch.ErrInvalid, Message: "account 4111-secret is closed"}
		d := oneItem()
		d.Items[0].Account = "4111-secret"
		_, err := batch.Run(t.Context(), service, d, o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		text, err := json.Marshal(pending(t, service, o.Journal))
		require.NoError(t, err)
		require.NotContains(t, string(text), "4111-secret")
		require.Contains(t, string(text), "account [account] is closed")
	})
}

func TestAPollThatSaysDraftOfWhatWasSubmittedIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		runUntil(t, batch.PhaseSubmit, service, oneItem(), o.Journal)
		service.applied["run-1"], service.absent = 0, batch.StateDraft // A replica that lags behind.
		for settled, err := range batch.Settle(t.Context(), service, o) {
			b := settled.Batch
			require.ErrorIs(t, err, batch.ErrProtocol)
			require.Equal(t, batch.StatePending, b.State)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		report, err := batch.Resume(ctx, service, "run-1", o)
		require.Error(t, err)
		require.Equal(t, batch.StatePending, report.Batch.State)

		service.absent = &batch.Error{Kind: batch.ErrNotFound, Provider: "teller"}
		_, err = batch.Resume(t.Context(), service, "run-1", o)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.False(t, errors.Is(err, batch.ErrNotFound), "the journal knows the reference")
	})
}

// An ID that an unclear reply has is what the batch is looked up by.
func TestAnIDInAnUnclearReplyIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, journal := range map[string]batch.Journal{
			"in one call":                  batch.NewMemoryJournal(),
			"after a crash of its process": &brokenJournal{Journal: batch.NewMemoryJournal(), n: 6},
		} {
			service := named{newTeller("applied and lost")}
			report, err := batch.Run(t.Context(), service, oneItem(), &batch.RunOptions{Journal: journal})
			if broken, ok := journal.(*brokenJournal); ok {
				require.ErrorIs(t, err, errDisk, name)
				report, err = batch.Resume(t.Context(), service, "run-1", &batch.RunOptions{Journal: broken.Journal})
			}
			require.NoError(t, err, name)
			require.Equal(t, "from-the-reply", report.Batch.ID, name)
			require.Equal(t, 1, service.submits, name)
		}
	})
}

// named is a service whose replies name the batch, even unclear ones.
type named struct{ *teller }

func (s named) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	return batch.Batch{Provider: "teller", Draft: d, State: batch.StateDraft}, nil
}

func (s named) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := s.teller.Submit(ctx, b)
	b.ID = "from-the-reply"
	return b, err
}

func (s named) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if b.ID == "" {
		return b, &batch.Error{Kind: batch.ErrUnsupported, Provider: "teller"}
	}
	return s.teller.Poll(ctx, b)
}

// A number that is taken may be taken by an earlier Submit of the same reference
// whose refusal was wrong: then no other number is tried.
func TestRunTriesNoOtherNumberAfterASubmitWasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := taken{numbered{newTeller("refused", "ok")}, map[string]bool{}, new(int)}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.status = 422
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		service.numbers["500"] = true // It has arrived after all.
		_, err = batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.Equal(t, 1, service.submits)
		require.Equal(t, 2, *service.tries)
	})
}

// An operator who was wrong can say so, whatever the decision was.
func TestAWrongDecisionIsReplaced(t *testing.T) {
	resolve := func(t *testing.T, p batch.Provider, v batch.Verdict, id string, o *batch.RunOptions) (batch.Batch,
		error) {
		t.Helper()
		d := decision(v)
		d.BatchID = id
		return batch.NewDesk(p, o.Journal).Resolve(t.Context(), "run-1", d)
	}
	// An unclear Create, then another batch is adopted.
	adopted := func(t *testing.T, state batch.State) (*drafty, *batch.RunOptions) {
		t.Helper()
		service, o := &drafty{teller: newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.create = &batch.Error{Kind: batch.ErrAmbiguous}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		service.absent = state
		_, err = resolve(t, service, batch.Adopt, "another", o)
		require.NoError(t, err)
		return service, o
	}
	holds := func(t *testing.T, o *batch.RunOptions, id string) bool {
		t.Helper()
		name := "batch " + id + " of test/1 at teller"
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "stranger"}
		err := o.Journal.Append(t.Context(), key, batch.Entry{Seq: 1, Kind: batch.EntryIntent, Claims: []string{name}})
		return errors.Is(err, batch.ErrConflict)
	}
	t.Run("a submitted batch was adopted, and the reference is abandoned", func(t *testing.T) {
		service, o := adopted(t, batch.StatePending)
		_, err := resolve(t, service, batch.Abandon, "", o)
		require.ErrorIs(t, err, batch.ErrUnsupported, "a draft may be left that cannot be looked up")
		require.Empty(t, service.canceled, "the other's batch is not ours to cancel")
		require.False(t, holds(t, o, "another"))
	})
	t.Run("a draft was adopted, and the reference is abandoned", func(t *testing.T) {
		service, o := adopted(t, batch.StateDraft)
		_, err := resolve(t, service, batch.Abandon, "", o)
		require.ErrorIs(t, err, batch.ErrUnsupported)
		require.Empty(t, service.canceled)
		require.False(t, holds(t, o, "another"))
	})
	t.Run("a draft was adopted, and another is the right one", func(t *testing.T) {
		service, o := adopted(t, batch.StateDraft)
		b, err := resolve(t, service, batch.Adopt, "the right one", o)
		require.NoError(t, err)
		require.Equal(t, "the right one", b.ID)
		require.False(t, holds(t, o, "another"))
	})
	t.Run("its own batch was adopted, and keeps its name", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			service, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			unclear(t, service, o)
			service.absent = batch.StatePending
			_, err := resolve(t, service, batch.Adopt, "id-run-1", o)
			require.NoError(t, err)
			_, err = resolve(t, service, batch.Resend, "", o)
			require.NoError(t, err)
			require.True(t, holds(t, o, "id-run-1"))
		})
	})
	t.Run("it was abandoned while a Submit was in flight", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			service, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			unclear(t, service, o)
			_, err := resolve(t, service, batch.Abandon, "", o)
			require.NoError(t, err)
			service.applied["run-1"]++ // It lands late.
			for _, v := range []batch.Verdict{batch.Abandon, batch.Resend} {
				_, err = resolve(t, service, v, "", o)
				require.ErrorIs(t, err, batch.ErrConflict)
			}
			_, err = resolve(t, service, batch.Adopt, "id-run-1", o)
			require.NoError(t, err)
			require.Equal(t, batch.StandingSubmitted, pending(t, service, o.Journal)[0].Standing)
			_, err = batch.Resume(t.Context(), service, "run-1", o)
			require.NoError(t, err)
			require.Equal(t, 1, service.submits)
		})
	})
	t.Run("a batch that was canceled is not the one that may have arrived", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			service, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			unclear(t, service, o)
			service.absent = batch.StateCanceled
			_, err := resolve(t, service, batch.Adopt, "withdrawn", o)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, "a Submit of another may have arrived")
		})
	})
	t.Run("a draft that was left was submitted by another party", func(t *testing.T) {
		service, o := &drafty{teller: newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.create, service.left = &batch.Error{Kind: batch.ErrConflict}, batch.Batch{ID: "7"}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		service.cancel, service.absent = &batch.Error{Kind: batch.ErrConflict}, batch.StatePending
		b, err := resolve(t, service, batch.Abandon, "", o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "too late")
		require.Equal(t, batch.StatePending, b.State)
	})
}

// filling is a service whose drafts get a secret from Create.
type filling struct{ *teller }

func (s filling) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	d.Extra = map[string]string{"url": fmt.Sprint("https://files.test/", s.creates)}
	return s.teller.Create(ctx, d)
}

func TestAResendOfABatchThatHasLostItsSecretsMakesThemAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := filling{newTeller("lost", "ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.info.Extra, service.info.SecretExtra = []string{"url"}, []string{"url"}
		unclear(t, service, o)
		_, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", decision(batch.Resend))
		require.NoError(t, err)
		_, err = batch.Resume(t.Context(), service, "run-1", o)
		require.NoError(t, err)
		require.Equal(t, 2, service.submits)
		require.Equal(t, "https://files.test/1", service.drafts[1].Extra["url"])
	})
}

// A call that has lost its lock says draft only if the journal still does.
func TestDraftIsSaidOnlyIfTheJournalStillSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("refused"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "run-1"}
		service.during = func() { // Another process, which the lock does not keep away.
			e := batch.Entry{Seq: 6, Kind: batch.EntryAttempt, Step: batch.StepSubmit, Attempt: 2}
			time.AfterFunc(time.Nanosecond, func() { _ = o.Journal.Append(context.Background(), key, e) })
		}
		o.Observe = func(e batch.Event) {
			if e.Phase == batch.PhaseSubmit {
				time.Sleep(time.Second)
			}
		}
		report, err := batch.Run(t.Context(), service, oneItem(), o)
		require.Error(t, err)
		require.Equal(t, batch.StateUnknown, report.Batch.State)
	})
}

func TestReconcileComparesWhatIsFoundByReference(t *testing.T) {
	m := batchtest.NewMemory(batchtest.MemoryOptions{})
	made, err := m.Create(t.Context(), oneItem())
	require.NoError(t, err)
	made.ID, made.State = "", batch.StateUnknown
	found, err := batch.Reconcile(t.Context(), m, made)
	require.NoError(t, err)
	require.Equal(t, "1", found.ID)
	made.Draft.Items[0].Amount.Minor++
	_, err = batch.Reconcile(t.Context(), m, made)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
}

// A service that accepts a batch and then does not know it is doubted: an
// operator can decide.
func TestABatchThatTheServiceNoLongerKnowsCanBeDecided(t *testing.T) {
	for verdict, submits := range map[batch.Verdict]int{batch.Resend: 2, batch.Adopt: 1, batch.Abandon: 1} {
		synctest.Test(t, func(t *testing.T) {
			service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			runUntil(t, batch.PhaseSubmit, service, oneItem(), o.Journal)
			service.applied["run-1"], service.absent = 0, &batch.Error{Kind: batch.ErrNotFound, Provider: "teller"}
			_, err := batch.Resume(t.Context(), service, "run-1", o)
			require.ErrorIs(t, err, batch.ErrProtocol)
			d := decision(verdict)
			if verdict == batch.Adopt {
				d.BatchID = "the right one"
				_, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", d)
				require.ErrorIs(t, err, batch.ErrConflict, "the service does not know that one either")
				service.applied["run-1"]++
				_, err = batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", d)
				require.ErrorIs(t, err, batch.ErrConflict, "the service knows its own batch again")
				return
			}
			b, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "run-1", d)
			require.NoError(t, err)
			require.Equal(t, batch.StateUnknown, b.State)
			if verdict == batch.Resend {
				_, err = batch.Resume(t.Context(), service, "run-1", o)
				require.NoError(t, err)
			}
			require.Equal(t, submits, service.submits)
		})
	}
}
