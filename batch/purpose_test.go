package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

// A biller is a teller whose items can fail or be returned.
type biller struct {
	*teller
	outcomes map[string]batch.Outcome // by the reference of the batch; paid if there is none
}

func newBiller(script ...string) *biller {
	return &biller{teller: newTeller(script...), outcomes: make(map[string]batch.Outcome)}
}

func (s *biller) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := s.teller.Report(ctx, b)
	if err != nil || s.outcomes[b.Draft.Reference] == "" {
		return r, err
	}
	for n := range r.Results {
		r.Results[n].Outcome = s.outcomes[b.Draft.Reference]
	}
	return batch.NewReport(b, r.Results)
}

// invoice is a batch of one item for an invoice.
func invoice(reference, number string) batch.Draft {
	d := oneItem()
	d.Reference, d.Items[0].Purpose = reference, number
	return d
}

// requireTaken holds that a draft is refused because of its purpose, and left
// no trace.
func requireTaken(t *testing.T, s *biller, d batch.Draft, o *batch.RunOptions, holder string) {
	t.Helper()
	submits := s.submits
	report, err := batch.Run(t.Context(), s, d, o)
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, batch.CodePurposeTaken, e.Code, "%v", err)
	require.Equal(t, batch.ErrConflict, e.Kind)
	var held *batch.ClaimedError
	require.ErrorAs(t, err, &held)
	require.Equal(t, holder, held.Holder.Reference)
	require.Equal(t, batch.StateDraft, report.Batch.State)
	require.Equal(t, submits, s.submits)
	require.Empty(t, kinds(t, o.Journal, d.Reference))
}

func TestAPurposeBelongsToOneBatch(t *testing.T) {
	ruling := func(v batch.Verdict) batch.Decision {
		return batch.Decision{Verdict: v, Operator: "Ada", Reason: "case 1"}
	}
	for name, c := range map[string]struct {
		script  string
		outcome batch.Outcome
		after   func(t *testing.T, s *biller, o *batch.RunOptions)
		free    bool
	}{
		"paid":     {script: "ok"},
		"unknown":  {script: "ok", outcome: batch.OutcomeUnknown},
		"failed":   {script: "ok", outcome: batch.OutcomeFailed, free: true},
		"skipped":  {script: "ok", outcome: batch.OutcomeSkipped, free: true},
		"returned": {script: "ok", outcome: batch.OutcomeReturned, free: true},
		"returned after the end": {script: "ok", free: true, after: func(t *testing.T, s *biller, o *batch.RunOptions) {
			requireTaken(t, s, invoice("second", "INV-1"), o, "first")
			s.outcomes["first"] = batch.OutcomeReturned
			report, err := batch.Resume(t.Context(), s, "first", o)
			require.NoError(t, err)
			require.Equal(t, batch.OutcomeReturned, report.Results[0].Outcome)
			require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ok done done", kinds(t, o.Journal, "first"))
			_, err = batch.Resume(t.Context(), s, "first", o)
			require.NoError(t, err)
			require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ok done done", kinds(t, o.Journal, "first"))
		}},
		"unclear": {script: "lost"},
		"refused": {script: "refused"},
		"refused and abandoned": {script: "refused", free: true,
			after: func(t *testing.T, s *biller, o *batch.RunOptions) {
				_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "first", ruling(batch.Abandon))
				require.NoError(t, err)
			}},
		"unclear and abandoned": {script: "lost", after: func(t *testing.T, s *biller, o *batch.RunOptions) {
			_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "first", ruling(batch.Abandon))
			require.NoError(t, err)
		}},
		"said not to have landed, and abandoned": {script: "lost", free: true,
			after: func(t *testing.T, s *biller, o *batch.RunOptions) {
				_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "first", ruling(batch.Resend))
				require.NoError(t, err)
				_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), "first", ruling(batch.Abandon))
				require.NoError(t, err)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newBiller(c.script, "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
					ReconcileFor: time.Second}
				s.outcomes["first"] = c.outcome
				_, _ = batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
				if c.after != nil {
					c.after(t, s, o)
				}
				_, err := batch.Run(t.Context(), s, invoice("other", "INV-2"), o)
				require.NoError(t, err, "another purpose is free")
				dossier, err := batch.NewDesk(s, o.Journal).Dossier(t.Context(), "first")
				require.NoError(t, err)
				require.Equal(t, !c.free, slices.Equal(dossier.Purposes, []string{"INV-1"}),
					"the dossier says what it holds: %q", dossier.Purposes)
				if !c.free {
					requireTaken(t, s, invoice("second", "INV-1"), o, "first")
					return
				}
				_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
				require.NoError(t, err)
				requireTaken(t, s, invoice("third", "INV-1"), o, "second")
			})
		})
	}
}

// Resend of a batch that was abandoned frees its purposes, and sends nothing.
func TestResendFreesThePurposesOfAnAbandonedBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newBiller("lost", "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
		_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		desk := batch.NewDesk(s, o.Journal)
		decide := func(v batch.Verdict) (batch.Batch, error) {
			return desk.Resolve(t.Context(), "first", batch.Decision{Verdict: v, Operator: "Ada", Reason: string(v)})
		}
		abandoned, err := decide(batch.Abandon)
		require.NoError(t, err)
		_, err = decide(batch.Abandon)
		require.ErrorIs(t, err, batch.ErrConflict, "it is abandoned already, and that frees nothing")
		requireTaken(t, s, invoice("second", "INV-1"), o, "first")

		freed, err := decide(batch.Resend)
		require.NoError(t, err)
		require.Equal(t, abandoned.ID, freed.ID)
		require.Equal(t, abandoned.State, freed.State)
		history, err := o.Journal.History(t.Context(), batch.Key{Provider: "teller", Account: "test/1",
			Reference: "first"})
		require.NoError(t, err)
		last := history[len(history)-1]
		require.Equal(t, batch.EntryDone, last.Kind)
		require.Equal(t, freed.ID, last.Batch.ID)
		require.Equal(t, batch.Resend, last.Decision.Verdict)
		require.Equal(t, []string{`purpose "INV-1"`}, last.Releases)
		_, err = decide(batch.Resend)
		require.ErrorIs(t, err, batch.ErrConflict, "it holds nothing any more")

		_, _ = batch.Resume(t.Context(), s, "first", o)
		require.Equal(t, 1, s.submits, "what was abandoned is not sent")
		_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
		require.NoError(t, err)
		requireTaken(t, s, invoice("third", "INV-1"), o, "second")
	})
}

func TestACorrectedDraftFreesThePurposesOfTheFirst(t *testing.T) {
	s, o := newBiller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	s.create = &batch.Error{Kind: batch.ErrInvalid}
	_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
	require.ErrorIs(t, err, batch.ErrInvalid)
	_, err = batch.Run(t.Context(), s, invoice("first", "INV-2"), o)
	require.ErrorIs(t, err, batch.ErrInvalid)
	s.create = nil
	requireTaken(t, s, invoice("second", "INV-2"), o, "first")
	_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
	require.NoError(t, err)
}

// A service that has cancelled the batch for good says that no Submit had an
// effect.
func TestACancelledBatchFreesItsPurposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := batchtest.NewMemory(batchtest.MemoryOptions{})
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
		service.Break(batchtest.LostBefore)
		_, err := batch.Run(t.Context(), blind{service}, invoice("first", "INV-1"), o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		_, err = batch.Run(t.Context(), service, invoice("second", "INV-1"), o)
		require.ErrorIs(t, err, batch.ErrConflict)
		b, err := batch.NewDesk(service, o.Journal).Resolve(t.Context(), "first",
			batch.Decision{Verdict: batch.Abandon, Operator: "Ada", Reason: "case 1"})
		require.NoError(t, err)
		require.Equal(t, batch.StateCanceled, b.State)
		_, err = batch.Run(t.Context(), service, invoice("second", "INV-1"), o)
		require.NoError(t, err)
	})
}

// An abandoned batch that turns out to be submitted holds its purpose again,
// or says that another batch may have paid for the same.
func TestAdoptHoldsThePurposesOfAnAbandonedBatch(t *testing.T) {
	for _, paidAgain := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, o := newBiller("refused", "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
				ReconcileFor: time.Second}
			_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
			require.ErrorIs(t, err, batch.ErrInvalid)
			decide := func(v batch.Verdict, id string) error {
				_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "first",
					batch.Decision{Verdict: v, BatchID: id, Operator: "Ada", Reason: "case 1"})
				return err
			}
			require.NoError(t, decide(batch.Abandon, ""))
			if paidAgain {
				_, err := batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
				require.NoError(t, err)
			}
			s.applied["first"] = 1 // The refusal was wrong.
			err = decide(batch.Adopt, "id-first")
			if paidAgain {
				require.ErrorContains(t, err, "the decision was recorded, and another batch may have paid for the same")
				require.ErrorIs(t, err, batch.ErrConflict)
			} else {
				require.NoError(t, err)
				requireTaken(t, s, invoice("second", "INV-1"), o, "first")
			}
			for range 2 { // The history is closed once, and the contradiction is said each time.
				report, err := batch.Resume(t.Context(), s, "first", o)
				if paidAgain {
					require.ErrorIs(t, err, batch.ErrConflict)
					require.ErrorContains(t, err, "finished and reported, and another batch may have paid for the same")
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
				require.Len(t, closings(t, s, o.Journal, "first"), 2, "of Abandon and of the report")
			}
		})
	}
}

// closings are the entries that have closed a history.
func closings(t *testing.T, p batch.Provider, j batch.Journal, reference string) (all []batch.Entry) {
	t.Helper()
	history, err := j.History(t.Context(), batch.Key{Provider: p.Info().Name, Account: p.Info().Account,
		Reference: reference})
	require.NoError(t, err)
	for _, e := range history {
		if e.Kind == batch.EntryDone {
			all = append(all, e)
		}
	}
	return all
}

func TestTwoItemsOfOnePurposeAreRefused(t *testing.T) {
	d := invoice("first", "INV-1")
	d.Items = append(d.Items, batch.Item{Reference: "b", Account: "acc", Amount: gbp(1), Purpose: "INV-1"},
		batch.Item{Reference: "c", Account: "acc", Amount: gbp(1), Purpose: "INV\x00"})
	_, err := batch.Run(t.Context(), newTeller("ok"), d, nil)
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.ErrorContains(t, err, `item 1 ("b"): purpose: is also that of item 0`)
	require.ErrorContains(t, err, `item 2 ("c"): purpose:`)
}

// An office bills every month what it has not heard to be paid, under a new
// reference, through requests that are lost and refused. Each invoice is paid
// once: never twice, and none is held for ever once the service's support has
// said what became of every batch.
func TestAYearOfInvoices(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 0))
			s, o := newBiller(), &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
			var references []string
			paid := make(map[string]bool)
			numbers := []string{"INV-0", "INV-1", "INV-2"}
			bill := func(month int, number, word string, outcome batch.Outcome) error {
				reference := fmt.Sprintf("%s-%d", number, month)
				s.script, s.submits, s.outcomes[reference] = []string{word}, 0, outcome
				references = append(references, reference)
				report, err := batch.Run(t.Context(), s, invoice(reference, number), o)
				paid[number] = paid[number] || err == nil && report.Totals[batch.OutcomePaid].Count == 1
				return err
			}
			decide := func(reference string, v batch.Verdict) {
				d := batch.Decision{Verdict: v, Operator: "Ada", Reason: "case 1"}
				if v == batch.Adopt {
					d.BatchID = "id-" + reference
				}
				_, _ = batch.NewDesk(s, o.Journal).Resolve(t.Context(), reference, d)
			}
			for month := range 12 {
				for _, number := range numbers {
					if !paid[number] {
						words := []string{"ok", "applied and lost", "lost", "refused", "not sent"}
						outcomes := []batch.Outcome{batch.OutcomePaid, batch.OutcomeFailed, batch.OutcomeReturned,
							batch.OutcomeUnknown}
						_ = bill(month, number, words[r.IntN(len(words))], outcomes[r.IntN(len(outcomes))])
					}
				}
				for _, reference := range references { // Support says what is true, or nothing.
					switch verdict := r.IntN(4); {
					case verdict == 0:
						decide(reference, batch.Abandon)
					case verdict == 1 && s.applied[reference] == 0:
						decide(reference, batch.Resend)
					case verdict == 2 && s.applied[reference] > 0:
						decide(reference, batch.Adopt)
					}
					_, _ = batch.Resume(t.Context(), s, reference, o)
				}
			}
			for _, reference := range references {
				if s.applied[reference] > 0 {
					decide(reference, batch.Adopt)
				} else {
					decide(reference, batch.Resend)
					decide(reference, batch.Abandon)
				}
				_, _ = batch.Resume(t.Context(), s, reference, o)
			}
			for _, number := range numbers {
				_ = bill(12, number, "ok", batch.OutcomePaid)
			}
			moved := make(map[string]int)
			for reference, times := range s.applied {
				if outcome := s.outcomes[reference]; outcome == batch.OutcomePaid || outcome == batch.OutcomeUnknown {
					moved[reference[:len("INV-0")]] += times
				}
			}
			require.Equal(t, map[string]int{"INV-0": 1, "INV-1": 1, "INV-2": 1}, moved, "seed %d", seed)
		})
	}
}

// lateJournal takes its time over the attempt to submit.
type lateJournal struct {
	batch.Journal
	takes time.Duration
}

func (j *lateJournal) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	err := j.Journal.Append(ctx, key, e)
	if e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit {
		time.Sleep(j.takes) // fake: this is a synctest bubble
	}
	return err
}

func TestNoSubmitBeginsAfterNotAfter(t *testing.T) {
	due := func() batch.Draft {
		d := oneItem()
		d.NotAfter = time.Now().Add(time.Hour)
		return d
	}
	expired := func(t *testing.T, err error) {
		t.Helper()
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, batch.CodeExpired, e.Code, "%v", err)
		require.ErrorIs(t, err, batch.ErrConflict)
	}
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, o, d := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}, due()
			_, err := batch.Run(t.Context(), s, d, o)
			require.NoError(t, err)
			time.Sleep(2 * time.Hour)
			d.NotAfter = d.NotAfter.In(time.FixedZone("NZDT", 13*60*60))
			_, err = batch.Run(t.Context(), s, d, o)
			require.NoError(t, err,
				"what was submitted in time is reported at any time, and the zone makes no difference")
			require.Equal(t, 1, s.submits)
		})
	})
	t.Run("late from the start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, o, d := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}, due()
			time.Sleep(2 * time.Hour)
			_, err := batch.Run(t.Context(), s, d, o)
			expired(t, err)
			require.Zero(t, s.creates)
			require.Empty(t, kinds(t, o.Journal, d.Reference))
		})
	})
	t.Run("a draft of January", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, o, d := newTeller("refused", "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}, due()
			_, err := batch.Run(t.Context(), s, d, o)
			require.ErrorIs(t, err, batch.ErrInvalid)
			time.Sleep(2 * time.Hour)
			report, err := batch.Resume(t.Context(), s, d.Reference, o)
			expired(t, err)
			require.Equal(t, batch.StateDraft, report.Batch.State)
			require.Equal(t, d.Reference, report.Batch.Draft.Reference)
			require.Equal(t, 1, s.submits)
			require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=invalid", kinds(t, o.Journal, d.Reference),
				"none is attempted")
			dossier := pending(t, s, o.Journal)[0]
			require.Equal(t, batch.StandingDraft, dossier.Standing)
			require.NotContains(t, dossier.Next, "Resume")
			_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), d.Reference,
				batch.Decision{Verdict: batch.Abandon, Operator: "Ada", Reason: "late"})
			require.NoError(t, err)
		})
	})
	t.Run("a journal that is slow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, d := newTeller("ok"), due()
			o := &batch.RunOptions{Journal: &lateJournal{batch.NewMemoryJournal(), 2 * time.Hour}}
			report, err := batch.Run(t.Context(), s, d, o)
			expired(t, err)
			require.Zero(t, s.submits)
			require.Equal(t, batch.StateDraft, report.Batch.State)
			require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=conflict", kinds(t, o.Journal, d.Reference))
		})
	})
	t.Run("unclear", func(t *testing.T) {
		for _, verdict := range []batch.Verdict{"", batch.Resend} {
			synctest.Test(t, func(t *testing.T) {
				s, o, d := newTeller("lost", "ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}, due()
				s.info.Guard, s.info.InFlight, s.absent = batch.GuardRefuses, 2*time.Hour, batch.StateDraft
				o.ReconcileFor = time.Second
				_, err := batch.Run(t.Context(), s, d, o)
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				time.Sleep(3 * time.Hour)
				if verdict != "" {
					_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), d.Reference,
						batch.Decision{Verdict: verdict, Operator: "Ada", Reason: "case 1"})
					require.NoError(t, err)
				}
				_, err = batch.Resume(t.Context(), s, d.Reference, o)
				require.ErrorIs(t, err, batch.ErrAmbiguous)
				require.Equal(t, 1, s.submits, "neither the guard nor an operator sends it late")
				require.Equal(t, batch.StandingUnclear, pending(t, s, o.Journal)[0].Standing)
			})
		}
	})
	t.Run("a provider alone", func(t *testing.T) {
		d := due()
		d.NotAfter = time.Now().Add(-time.Second)
		err := newTeller("ok").info.RefuseSubmit("Submit", batch.Batch{Provider: "teller", Draft: d,
			State: batch.StateDraft})
		expired(t, err)
	})
	t.Run("a clock that cannot be read", func(t *testing.T) {
		s, d := newTeller("ok"), due()
		_, err := batch.Run(t.Context(), s, d, &batch.RunOptions{Journal: brokenClock{batch.NewMemoryJournal()}})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.Zero(t, s.submits)
	})
}

type brokenClock struct{ batch.Journal }

func (brokenClock) Now(context.Context) (time.Time, error) {
	return time.Time{}, errors.New("no clock")
}

// A loader is a teller whose items overwrite those of earlier batches.
type loader struct{ *biller }

func (s loader) Info() batch.Info {
	info := s.biller.Info()
	info.Overwrites = true
	return info
}

// An older batch that sets the same never arrives after a newer one.
func TestAnOlderBatchNeverOverwritesANewerOne(t *testing.T) {
	balances := func(reference string) batch.Draft {
		d := oneItem()
		d.Reference = reference
		return d
	}
	for name, c := range map[string]struct {
		script string
		stop   func(d *batch.Draft) // keeps the older batch from being sent
		end    func(t *testing.T, s loader, o *batch.RunOptions, newer *batch.Draft)
	}{
		"it is unclear, and is done in the end": {script: "applied and lost",
			end: func(t *testing.T, s loader, o *batch.RunOptions, _ *batch.Draft) {
				_, err := batch.Resume(t.Context(), s, "monday", o)
				require.NoError(t, err)
			}},
		"it waits for an approval, and is given up": {script: "ok", stop: func(d *batch.Draft) {
			d.Author, d.Approvals = "eve", 1
		},
			end: func(_ *testing.T, _ loader, _ *batch.RunOptions, newer *batch.Draft) { newer.Replaces = "monday" }},
		"a person abandons it, and says that it was never sent": {script: "lost",
			end: func(t *testing.T, s loader, o *batch.RunOptions, _ *batch.Draft) {
				for _, verdict := range []batch.Verdict{batch.Abandon, batch.Resend} {
					_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), "monday",
						batch.Decision{Verdict: verdict, Operator: "ada", Reason: "case 1"})
					require.NoError(t, err)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				s := loader{newBiller(c.script, "ok")}
				s.down = 1000
				o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Nanosecond}
				older, newer := balances("monday"), balances("tuesday")
				if c.stop != nil {
					c.stop(&older)
				}
				_, err := batch.Run(ctx, s, older, o)
				require.Error(t, err)
				sent := s.submits

				_, err = batch.Run(ctx, s, newer, o)
				var held *batch.ClaimedError
				require.ErrorAs(t, err, &held)
				require.Equal(t, "monday", held.Holder.Reference)
				require.ErrorContains(t, err, "an older batch sets the same, and is not over")
				require.Equal(t, sent, s.submits)
				elsewhere := loader{newBiller("ok")}
				elsewhere.info.Account = "test/2"
				_, err = batch.Run(ctx, elsewhere, newer, o)
				require.NoError(t, err, "another account has records of its own")
				s.down = 0

				c.end(t, s, o, &newer)
				_, err = batch.Run(ctx, s, newer, o)
				require.NoError(t, err)
				sent = s.submits
				_, _ = batch.Run(ctx, s, older, o)
				require.Equal(t, sent, s.submits, "the older one is not sent after the newer one")
				_, err = batch.Run(ctx, s, balances("wednesday"), o)
				require.NoError(t, err, "what is done holds nothing")
			})
		})
	}
}

// A corrected draft, and one with another number, keep the purposes of the first.
func TestAnIntentThatTakesThePlaceOfAnotherKeepsItsPurposes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newBiller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		first := invoice("first", "INV-1")
		first.Items = append(first.Items, batch.Item{Reference: "b", Account: "acc", Amount: gbp(1), Purpose: "INV-2"})
		s.create = &batch.Error{Kind: batch.ErrInvalid}
		_, err := batch.Run(t.Context(), s, first, o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		for _, amount := range []int64{99, 98} {
			corrected := invoice("first", "INV-1")
			corrected.Items[0].Amount.Minor = amount
			_, err = batch.Run(t.Context(), s, corrected, o)
			require.ErrorIs(t, err, batch.ErrInvalid)
			requireTaken(t, s, invoice("second", "INV-1"), o, "first")
		}
		s.create = nil
		_, err = batch.Run(t.Context(), s, invoice("second", "INV-2"), o)
		require.NoError(t, err, "the corrected draft does not need it")

		numbers := taken{numbered{s.teller}, map[string]bool{"500": true}, new(int)}
		_, err = batch.Run(t.Context(), numbers, invoice("third", "INV-3"), o)
		require.NoError(t, err)
		requireTaken(t, s, invoice("fourth", "INV-3"), o, "third")
	})
}
