package batch_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// A stuck is a ledger whose batches never end, or whose reports never agree.
type stuck struct {
	*ledger
	pends  bool // no batch is ever done
	report error
}

func (s *stuck) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := s.ledger.Poll(ctx, b)
	if s.pends && err == nil && b.State == batch.StateDone {
		b.State = batch.StatePending
	}
	return b, err
}

func (s *stuck) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := s.ledger.Report(ctx, b)
	if err == nil {
		err = s.report
	}
	return r, err
}

func closing(outcomes map[string]batch.Outcome) batch.Decision {
	d := decision(batch.Close)
	d.Outcomes = outcomes
	return d
}

// Whatever stands in the journal, a person can close it, and what the person
// closes stays closed.
func TestEveryStandingHasAnExit(t *testing.T) {
	unavailable := &batch.Error{Kind: batch.ErrUnavailable, Op: "Report"}
	odd := &batch.Error{Kind: batch.ErrProtocol, Op: "Report", Message: "one client was added"}
	for name, c := range map[string]struct {
		word     string
		change   func(s *stuck)
		standing batch.Standing
		exits    []batch.Verdict // all others are refused, or leave it open
	}{
		"nothing was sent": {"ok", func(s *stuck) { s.create = unavailable }, batch.StandingIntended,
			[]batch.Verdict{batch.Abandon}},
		"a draft may have been made": {"ok", func(s *stuck) { s.create = &batch.Error{Kind: batch.ErrAmbiguous} },
			batch.StandingDraft, []batch.Verdict{batch.Abandon}},
		"a draft":        {"refused", nil, batch.StandingDraft, []batch.Verdict{batch.Abandon}},
		"a lost request": {"lost", nil, batch.StandingUnclear, []batch.Verdict{batch.Abandon}},
		"no end": {"ok", func(s *stuck) { s.pends = true }, batch.StandingSubmitted,
			[]batch.Verdict{batch.Close}},
		"a difference": {"ok", func(s *stuck) { s.report = odd }, batch.StandingSubmitted,
			[]batch.Verdict{batch.Close}},
		"the service has forgotten": {"ok", func(s *stuck) { s.gone = true }, batch.StandingSubmitted,
			[]batch.Verdict{batch.Close}},
	} {
		for _, v := range []batch.Verdict{batch.Abandon, batch.Adopt, batch.Resend, batch.Close} {
			t.Run(name+", "+string(v), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := &stuck{ledger: newLedger(c.word)}
					s.info.Guard = batch.GuardNone
					if c.change != nil {
						c.change(s)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
					_, err := batch.Run(ctx, s, oneItem(), o)
					require.Error(t, err)
					open := pending(t, s, o.Journal)
					require.Len(t, open, 1)
					require.Equal(t, c.standing, open[0].Standing)
					desk := batch.NewDesk(s, o.Journal)
					d := decision(v)
					if v == batch.Adopt {
						d.BatchID = "id-" + oneItem().Reference
					}
					_, err = desk.Resolve(t.Context(), oneItem().Reference, d)
					open = pending(t, s, o.Journal)
					for _, exit := range c.exits {
						if exit == v {
							require.NoError(t, err)
							require.Empty(t, open)
							submits := s.submits
							_, _ = batch.Resume(t.Context(), s, oneItem().Reference, o)
							require.Empty(t, pending(t, s, o.Journal), "it stays closed")
							require.Equal(t, submits, s.submits)
							closed, err := desk.Dossier(t.Context(), oneItem().Reference)
							require.NoError(t, err)
							require.Equal(t, batch.StandingClosed, closed.Standing)
							require.Equal(t, v, closed.Decisions[0].Verdict)
							return
						}
					}
					require.Len(t, open, 1, "it stays open: %v", err)
				})
			})
		}
	}
}

// A person says what became of the items that the service leaves open. That
// frees and holds purposes, and a later review does not take it back.
func TestAPersonsWordFillsWhatTheServiceLeavesOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{ledger: newLedger(), pends: true}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
		desk := batch.NewDesk(s, o.Journal)
		d := wages("june", "a", "b", "c")
		for n := range d.Items {
			d.Items[n].Purpose = "INV-" + d.Items[n].Reference
		}
		s.flip("a", batch.OutcomePaid)
		s.flip("b", batch.OutcomeUnknown)
		s.flip("c", batch.OutcomePending)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := batch.Run(ctx, s, d, o)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		for name, c := range map[string]struct {
			outcomes map[string]batch.Outcome
			kind     batch.Kind
			want     string
		}{
			"another word": {map[string]batch.Outcome{"b": batch.OutcomeUnknown}, batch.ErrInvalid,
				`outcomes: of "b" is "unknown"; it must be paid, failed, returned or skipped`},
			"no item": {map[string]batch.Outcome{"z": batch.OutcomePaid}, batch.ErrConflict,
				`outcomes: "z" is not an item of the batch`},
			"against it": {map[string]batch.Outcome{"a": batch.OutcomeFailed}, batch.ErrConflict,
				`outcomes: "a" is paid, as the service says`},
		} {
			b, err := desk.Resolve(t.Context(), "june", closing(c.outcomes))
			require.ErrorIs(t, err, c.kind, name)
			require.Equal(t, "june", b.Draft.Reference, name)
			require.ErrorContains(t, err, c.want, name)
		}
		early := decision(batch.Abandon)
		early.Outcomes = map[string]batch.Outcome{"b": batch.OutcomePaid}
		_, err = desk.Resolve(t.Context(), "june", early)
		require.ErrorContains(t, err, "outcomes: are only for close")

		b, err := desk.Resolve(t.Context(), "june",
			closing(map[string]batch.Outcome{"a": batch.OutcomePaid, "b": batch.OutcomeFailed}))
		require.NoError(t, err)
		require.Equal(t, batch.StatePending, b.State)
		report, err := desk.AsOf(t.Context(), "june", time.Now())
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeFailed, report.Results[1].Outcome)
		require.Equal(t, batch.OutcomePending, report.Results[2].Outcome)
		requireHeld := func(purpose string, held bool) {
			other := invoice("other-"+purpose, purpose)
			_, err := batch.Run(ctx, &stuck{ledger: newLedger("refused")}, other, o)
			if held {
				require.ErrorIs(t, err, batch.ErrConflict, purpose)
			} else {
				require.ErrorIs(t, err, batch.ErrInvalid, purpose)
			}
		}
		ctx = t.Context()
		requireHeld("INV-a", true)
		requireHeld("INV-b", false)
		requireHeld("INV-c", true)

		report, err = batch.Resume(t.Context(), s, "june", o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "the batch was closed by ada (case 4711) before its end")
		require.Equal(t, batch.StatePending, report.Batch.State)
		require.Empty(t, reviewed(t, desk, time.Time{}), "the service says nothing new")

		// A month later the support answers for the last one.
		_, err = desk.Resolve(t.Context(), "june",
			closing(map[string]batch.Outcome{"b": batch.OutcomeFailed, "c": batch.OutcomeReturned}))
		require.NoError(t, err)
		requireHeld("INV-c", false)
		s.pends = false
		s.flip("c", batch.OutcomePaid) // And then the service speaks after all.
		n := 0
		for c, err := range desk.Review(t.Context(), time.Time{}) {
			if n++; n == 1 {
				require.NoError(t, err)
				require.Equal(t, batch.OutcomeReturned, c.Before)
				require.Equal(t, batch.OutcomePaid, c.Result.Outcome)
				continue
			}
			require.ErrorIs(t, err, batch.ErrConflict, "it was billed again meanwhile")
		}
		require.Equal(t, 2, n)
	})
}

// A difference that a person has explained does not hide a later bounce, and
// every decision is kept.
func TestADifferenceThatIsExplainedHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{ledger: newLedger(), report: &batch.Error{Kind: batch.ErrProtocol, Op: "Report"}}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, wages("june", "a"), o)
		require.ErrorIs(t, err, batch.ErrProtocol)
		desk := batch.NewDesk(s, o.Journal)
		for range 2 {
			_, err = desk.Resolve(t.Context(), "june", closing(nil))
			require.NoError(t, err)
		}
		dossier, err := desk.Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.Len(t, dossier.Decisions, 2)
		s.flip("a", batch.OutcomeReturned)
		changed := reviewed(t, desk, time.Time{})
		require.Len(t, changed, 1)
		require.Equal(t, batch.OutcomeReturned, changed[0].Result.Outcome)
	})
}

// A service that has forgotten the batch says nothing of its items, and neither
// does the report of a batch that a person closes.
func TestCloseOfWhatTheServiceHasForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{ledger: newLedger()}
		s.gone = true
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, wages("june", "a", "b"), o)
		require.ErrorIs(t, err, batch.ErrProtocol)
		desk := batch.NewDesk(s, o.Journal)
		b, err := desk.Resolve(t.Context(), "june", closing(map[string]batch.Outcome{"b": batch.OutcomePaid}))
		require.NoError(t, err)
		require.Equal(t, "id-june", b.ID)
		report, err := desk.AsOf(t.Context(), "june", time.Now())
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeUnknown, report.Results[0].Outcome)
		require.Equal(t, batch.OutcomePaid, report.Results[1].Outcome, "as a person has said")
		dossier, err := desk.Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, time.Now(), dossier.Decisions[0].At)
	})
}

func TestCloseIsRefusedWhereAReadMayStillTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{ledger: newLedger(), report: &batch.Error{Kind: batch.ErrUnavailable, Op: "Report"}}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		desk := batch.NewDesk(s, o.Journal)
		b, err := desk.Resolve(t.Context(), oneItem().Reference, closing(nil))
		require.Equal(t, oneItem().Reference, b.Draft.Reference)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "the decision was not recorded: the report could not be read")
		require.Len(t, pending(t, s, o.Journal), 1)
		s.info.Terms = map[string]string{"merchant": "2"}
		s.report = nil
		_, err = desk.Resolve(t.Context(), oneItem().Reference, closing(nil))
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "belongs to other terms")
	})
}

func TestNotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
		desk := batch.NewDesk(s, o.Journal)
		unclear(t, s, o)
		reference := oneItem().Reference
		err := desk.Note(t.Context(), reference, batch.Note{})
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "operator: is empty")
		require.ErrorContains(t, err, "text: is empty")
		note := batch.Note{Operator: "ada", Text: "case 4711 at the support", Due: time.Now().AddDate(0, 0, 2)}
		require.ErrorIs(t, desk.Note(t.Context(), "other", note), batch.ErrNotFound)
		before := pending(t, s, o.Journal)[0]
		require.NoError(t, desk.Note(t.Context(), reference, note))
		after := pending(t, s, o.Journal)[0]
		note.At = time.Now()
		require.Equal(t, []batch.Note{note}, after.Notes)
		after.Notes = nil
		require.Equal(t, before, after, "a note decides nothing")
		_, err = desk.Resolve(t.Context(), reference, decision(batch.Abandon))
		require.NoError(t, err)
		require.ErrorIs(t, desk.Note(t.Context(), reference, note), batch.ErrConflict)
		closed, err := desk.Dossier(t.Context(), reference)
		require.NoError(t, err)
		require.Equal(t, []batch.Note{note}, closed.Notes)
		_, err = desk.Dossier(t.Context(), "other")
		require.ErrorIs(t, err, batch.ErrNotFound)
	})
}

func TestATicketSaysWhatIsKnown(t *testing.T) {
	began := time.Date(2026, 6, 1, 9, 0, 0, 0, time.FixedZone("", 3600))
	d := batch.Dossier{Key: batch.Key{Account: "test/1", Reference: "run-1"}, Standing: batch.StandingDraft, Items: 2,
		Total: gbp(300)}
	require.Equal(t, `Payment batch "run-1" of account test/1
Items: 2, total 3.00 GBP
`, d.Ticket())
	d.Native, d.Read = "LOCKED", began
	d.Attempts = []batch.Attempt{{Step: batch.StepSubmit, Number: 1, Began: began},
		{Step: batch.StepSubmit, Number: 2, Began: began, Ended: &began,
			Failure: &batch.Failure{Kind: batch.ErrFunds, Code: "F1", Message: "too little", RequestID: "q-1"}}}
	require.Equal(t, `Payment batch "run-1" of account test/1
Items: 2, total 3.00 GBP
Status that you gave at 2026-06-01T08:00:00Z: LOCKED
Call submit 1 began at 2026-06-01T08:00:00Z, and its answer is not known to us
Call submit 2 began at 2026-06-01T08:00:00Z, and ended with: funds F1: too little (your request ID q-1)
`, d.Ticket())
}

// What is safe to do next says why, where a call was refused or the time is over.
func TestADossierSaysWhatIsSafeNext(t *testing.T) {
	for name, c := range map[string]struct {
		script, next, ticket string
		expires              time.Duration
		err                  error
	}{
		"refused": {script: "refused", err: batch.ErrInvalid,
			next: "the last call had no effect, and ended with invalid (HTTP 400) B006: once that is mended, call Resume, " +
				"or Run with a corrected draft (Draft.Replaces); or call Resolve to abandon it",
			ticket: "Call submit 1 began at 2000-01-01T00:00:00Z, and ended with: invalid (HTTP 400) B006\n"},
		"late": {script: "refused", err: batch.ErrInvalid, expires: time.Minute,
			next: "the draft was to be submitted by 2000-01-01T00:01:00Z, and was not: call Resolve to abandon it, or Run with a corrected draft (Draft.Replaces)"},
		"its end never comes": {script: "ok", err: batch.ErrUnavailable,
			next: "call Resume: it waits for the end and reports; if the end never comes, or the report never agrees, " +
				"ask the service's support, and record the answer with Resolve (close)",
			ticket: "Your answers say that you have this batch. Do you? Where does it stand, and when will it end?\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newTeller(c.script), &batch.RunOptions{Journal: batch.NewMemoryJournal(),
					Watch: batch.WatchOptions{MaxFailures: 1}}
				s.status, s.down = 400, 1
				d := oneItem()
				if c.expires > 0 {
					d.NotAfter = time.Now().Add(c.expires)
				}
				_, err := batch.Run(t.Context(), s, d, o)
				require.ErrorIs(t, err, c.err)
				time.Sleep(2 * c.expires)
				dossier := pending(t, s, o.Journal)[0]
				require.Equal(t, c.next, dossier.Next)
				require.Contains(t, dossier.Ticket(), c.ticket)
				if c.script == "refused" {
					other := oneItem()
					other.Items[0].Amount.Minor++
					_, err = batch.Run(t.Context(), s, other, o)
					require.ErrorContains(t, err,
						`belongs to another draft, which was not submitted so far: nothing was sent by this call; this draft corrects it if its Replaces is "run-1"`)
				}
			})
		})
	}
}

// A ticket says what the support needs, and nothing about a person.
func TestATicketForTheSupport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
		s.info.Terms = map[string]string{"merchant": "12", "site": ""}
		d := oneItem()
		_, err := batch.Run(t.Context(), s, d, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		desk := batch.NewDesk(s, o.Journal)
		require.NoError(t, desk.Note(t.Context(), d.Reference, batch.Note{Operator: "ada", Text: "they are slow"}))
		dossier := pending(t, s, o.Journal)[0]
		require.Equal(t, `Payment batch "run-1" of account test/1
Batch ID at your service: id-run-1
merchant: 12
Items: 1, total 1.00 GBP
Call create 1 began at 2000-01-01T00:00:00Z, and succeeded
Call submit 1 began at 2000-01-01T00:00:00Z, and ended with: ambiguous
1. Has this batch been processed? If so, under which ID?
2. If not: can it still be processed, because of any call that is listed here?
`, dossier.Ticket())
		text, err := json.Marshal(dossier)
		require.NoError(t, err)
		require.NotContains(t, string(text), `"acc"`)
	})
}

// A draft that the service refused is shown with what it said of each item.
func TestADossierSaysWhatWasWrongWithADraft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLedger()
		s.create = &batch.Error{Kind: batch.ErrInvalid, Code: "E7", Message: "refused",
			Fields: []batch.FieldError{{Item: 0, Reference: "a", Field: "account", Message: "is closed"}}}
		j := batch.NewMemoryJournal()
		_, err := batch.Run(t.Context(), s, wages("june", "a"), &batch.RunOptions{Journal: j})
		require.ErrorIs(t, err, batch.ErrInvalid)
		d, err := batch.NewDesk(s, j).Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, `refused: item 0 ("a"): account: is closed`, d.Attempts[0].Failure.Message)
		require.Contains(t, d.Next, "is closed")
	})
}

// A service that does not find a batch any more may leave its report empty: what
// the journal keeps of a batch that a person closes is what it knew.
func TestCloseKeepsTheBatchThatTheServiceHasForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := oblivious{newTeller("ok")}, batch.NewMemoryJournal()
		_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
		require.ErrorIs(t, err, batch.ErrProtocol)
		b, err := batch.NewDesk(s, j).Resolve(t.Context(), "run-1", decision(batch.Close))
		require.NoError(t, err)
		require.Equal(t, "id-run-1 run-1", b.ID+" "+b.Draft.Reference)
		closed := closings(t, s, j, "run-1")
		require.Equal(t, b.ID, closed[0].Batch.ID)
		require.Equal(t, oneItem().Items, closed[0].Batch.Draft.Items)
	})
}

// An oblivious service does not find its batches when it is asked to report.
type oblivious struct{ *teller }

func (oblivious) Report(context.Context, batch.Batch) (batch.Report, error) {
	return batch.Report{}, &batch.Error{Kind: batch.ErrNotFound, Op: "Report"}
}

// A refused Close names the outcomes that do not fit, and belongs to no item.
func TestCloseNamesTheOutcomesThatDoNotFit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newTeller("ok"), batch.NewMemoryJournal()
		_, err := batch.Run(t.Context(), s, oneItem(), &batch.RunOptions{Journal: j})
		require.NoError(t, err)
		_, err = batch.NewDesk(s, j).Resolve(t.Context(), "run-1",
			closing(map[string]batch.Outcome{"a": batch.OutcomeFailed, "b": batch.OutcomePaid}))
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []batch.FieldError{
			{Item: -1, Field: "outcomes", Message: `"a" is paid, as the service says`},
			{Item: -1, Field: "outcomes", Message: `"b" is not an item of the batch`},
		}, e.Fields)
	})
}

// What a desk cannot read it does not take for empty, and what it returns beside
// the error names the reference.
func TestADeskWhoseJournalCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		newer := batch.NewMemoryJournal()
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "run-1"}
		_, err := batch.Run(t.Context(), newTeller("ok"), oneItem(), &batch.RunOptions{Journal: newer})
		require.NoError(t, err)
		require.NoError(t, newer.Append(t.Context(), key, batch.Entry{Seq: 7, Kind: "future"}))
		for name, c := range map[string]struct {
			j    batch.Journal
			kind batch.Kind
			text string
		}{
			"no journal":         {nil, batch.ErrInvalid, "the journal: is nil"},
			"no history":         {unlisted{batch.NewMemoryJournal()}, batch.ErrUnavailable, errDisk.Error()},
			"of a newer version": {newer, batch.ErrUnavailable, "newer version"},
			"an unknown reference": {batch.NewMemoryJournal(), batch.ErrNotFound,
				`does not know the reference "run-1"`},
		} {
			desk := batch.NewDesk(newTeller("ok"), c.j)
			for call, err := range map[string]func() error{
				"Dossier": func() error {
					d, err := desk.Dossier(t.Context(), "run-1")
					require.Equal(t, batch.Dossier{Key: key}, d, name)
					return err
				},
				"AsOf": func() error {
					r, err := desk.AsOf(t.Context(), "run-1", time.Now())
					require.Equal(t, "teller run-1", r.Batch.Provider+" "+r.Batch.Draft.Reference, name)
					require.Equal(t, batch.StateUnknown, r.Batch.State, name)
					require.Nil(t, r.Results, name)
					return err
				},
				"Changes": func() (err error) {
					n := 0
					for c, e := range desk.Changes(t.Context(), "run-1") {
						require.Zero(t, c, name)
						n, err = n+1, e
					}
					require.Equal(t, 1, n, name)
					return err
				},
				"Resolve": func() error {
					b, err := desk.Resolve(t.Context(), "run-1", decision(batch.Abandon))
					require.Equal(t, "teller run-1", b.Provider+" "+b.Draft.Reference, name)
					return err
				},
				"Note": func() error {
					return desk.Note(t.Context(), "run-1", batch.Note{Operator: "ada", Text: "case 1"})
				},
				"Approve": func() error {
					return desk.Approve(t.Context(), "run-1", batch.Approval{Operator: "ada", Digest: "d"})
				},
			} {
				got := err()
				require.ErrorIs(t, got, c.kind, "%s, %s", name, call)
				require.ErrorContains(t, got, c.text, "%s, %s", name, call)
			}
		}
	})
}

// A note that says too little belongs to no item.
func TestFaultsOfANote(t *testing.T) {
	var e *batch.Error
	require.ErrorAs(t, batch.NewDesk(newTeller("ok"), batch.NewMemoryJournal()).Note(t.Context(), "run-1",
		batch.Note{}), &e)
	require.Equal(t, []batch.FieldError{{Item: -1, Field: "operator", Message: "is empty"},
		{Item: -1, Field: "text", Message: "is empty"}}, e.Fields)
}

// Pending tells every error of its list, and ends when its caller has enough.
func TestPendingOfAListWithErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, j := newTeller("lost"), batch.NewMemoryJournal()
		unclear(t, s, &batch.RunOptions{Journal: j, ReconcileFor: time.Second})
		key := batch.Key{Provider: "teller", Account: "test/1", Reference: "run-1"}
		history, err := j.History(t.Context(), key)
		require.NoError(t, err)
		other := key
		other.Reference = "unreadable"
		list := listing{j, []batch.History{{Key: other}, {Key: key, Entries: history}, {}},
			map[int]error{0: errDisk, 2: errDisk}}
		want := []string{"unreadable unavailable", "run-1 ", " unavailable"}
		for enough := 1; enough <= 3; enough++ {
			var got []string
			for d, err := range batch.NewDesk(s, list).Pending(t.Context()) {
				got = append(got, d.Key.Reference+" "+string(batch.KindOf(err)))
				if len(got) == enough {
					break
				}
			}
			require.Equal(t, want[:enough], got)
		}
	})
}
