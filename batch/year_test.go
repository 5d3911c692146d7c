package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// One draft takes the place of another, and not two: each would be paid.
func TestOneDraftTakesThePlaceOfAnother(t *testing.T) {
	waiting := func(old, reference string) batch.Draft {
		d := invoice(reference, "")
		d.Replaces, d.Author, d.Approvals = old, "eve", 1
		return d
	}
	first, second, fixed := waiting("", "a"), waiting("a", "b"), waiting("a", "a")
	fixed.Items[0].Reference = "x"
	type list = []batch.Draft
	for name, c := range map[string]struct {
		before list   // each waits for an approval, or is done
		give   string // is given up by a person
		last   batch.Draft
		holder string // that has taken the place already; "" if the last one may go on
	}{
		"twice": {before: list{first, replacing("a", "b")}, last: replacing("a", "c"),
			holder: "b"},
		"twice, and the other waits": {before: list{first, second}, last: replacing("a", "c"), holder: "b"},
		"a chain":                    {before: list{first, second}, last: replacing("b", "c")},
		"the start of a chain": {before: list{first, second, replacing("b", "c")}, last: replacing("a", "d"),
			holder: "b"},
		"a draft that was given up": {before: list{first}, give: "a", last: replacing("a", "b")},
		"of a place that was given up": {before: list{first, second}, give: "b", last: replacing("a", "c"),
			holder: "b"},
		"the one that was given up": {before: list{first, second}, give: "b", last: replacing("b", "c")},
		"a corrected one": {before: list{first, second, corrected("b", "", "x")},
			last: replacing("a", "c"), holder: "b"},
		"the place of a corrected one": {before: list{first, fixed}, last: replacing("a", "c")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				for _, d := range c.before {
					d.Items[0].Purpose = ""
					if _, err := batch.Run(t.Context(), s, d, o); d.Approvals > 0 {
						require.ErrorIs(t, err, batch.ErrConflict)
						require.ErrorContains(t, err, batch.CodeApprovalNeeded)
					} else {
						require.NoError(t, err)
					}
				}
				if c.give != "" {
					_, err := batch.NewDesk(s, o.Journal).Resolve(t.Context(), c.give, decision(batch.Abandon))
					require.NoError(t, err)
				}
				before := s.submits
				c.last.Items[0].Purpose = ""
				for range 2 { // As a program that starts again does.
					report, err := batch.Run(t.Context(), s, c.last, o)
					if c.holder == "" {
						require.NoError(t, err)
						require.Equal(t, before+1, s.submits)
						continue
					}
					require.ErrorIs(t, err, batch.ErrConflict)
					require.ErrorContains(t, err,
						"nothing was sent by this call: another draft has taken the place of "+
							"that in Replaces; name the other one, if it was not sent")
					var held *batch.ClaimedError
					require.ErrorAs(t, err, &held)
					require.Equal(t, c.holder, held.Holder.Reference)
					require.Equal(t, batch.StateDraft, report.Batch.State)
					require.Equal(t, before, s.submits)
					require.Empty(t, kinds(t, o.Journal, c.last.Reference))
				}
			})
		})
	}
}

// slanted is a journal with a clock that is not that of the machine.
type slanted struct {
	batch.Journal
	by *time.Duration
}

func (j slanted) Now(context.Context) (time.Time, error) { return time.Now().Add(*j.by), nil }

// What was told by a time stays so, whichever machine writes down what has
// changed since, and whatever its clock says.
func TestJuneStaysJuneWhateverTheClocksSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLedger()
		by := time.Hour
		o := &batch.RunOptions{Journal: slanted{batch.NewMemoryJournal(), &by}}
		desk := batch.NewDesk(s, o.Journal)
		_, err := batch.Run(t.Context(), s, wages("june", "a"), o)
		require.NoError(t, err)
		june := time.Now().Add(by)
		told := changesOf(t, desk, "june")
		require.Equal(t, june, told[0].Told, "by the journal's clock")

		by = -time.Hour // The journal has moved to another machine.
		s.flip("a", batch.OutcomeReturned)
		require.Len(t, reviewed(t, desk, time.Time{}), 1)
		told = changesOf(t, desk, "june")
		require.True(t, told[1].Told.After(june), "what was told later is later")
		then, err := desk.AsOf(t.Context(), "june", june)
		require.NoError(t, err)
		require.Equal(t, batch.OutcomePaid, then.Results[0].Outcome)
		now, err := desk.AsOf(t.Context(), "june", told[1].Told)
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeReturned, now.Results[0].Outcome)

		o.Journal = brokenClock{o.Journal}
		s.flip("a", batch.OutcomePaid)
		for _, err := range batch.NewDesk(s, o.Journal).Review(t.Context(), time.Time{}) {
			require.ErrorIs(t, err, batch.ErrUnavailable)
			require.ErrorContains(t, err, "no clock")
		}
		require.Len(t, changesOf(t, desk, "june"), 2)
	})
}

// closedAccount is a service that has closed our account.
type closedAccount struct {
	*ledger
	closed  error
	refuses bool // to cancel
}

func (s *closedAccount) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if s.closed != nil {
		return b, s.closed
	}
	return s.ledger.Poll(ctx, b)
}

func (s *closedAccount) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if s.closed != nil {
		return batch.Report{Batch: b}, s.closed
	}
	return s.ledger.Report(ctx, b)
}

// cancelingAccount can also cancel and find.
type cancelingAccount struct{ *closedAccount }

func (s cancelingAccount) Cancel(_ context.Context, b batch.Batch) (batch.Batch, error) {
	if s.refuses {
		return b, &batch.Error{Kind: batch.ErrConflict, Message: "not now"}
	}
	if s.closed != nil {
		return b, s.closed
	}
	b.State = batch.StateCanceled
	return b, nil
}

func (s cancelingAccount) Find(_ context.Context, reference string) (batch.Batch, error) {
	return batch.Batch{}, s.closed
}

// A contract ends in July, and the service answers no more. A person who says so
// can close every batch there.
func TestEveryCaseCanBeClosedWhenTheServiceIsGone(t *testing.T) {
	gone := &batch.Error{Kind: batch.ErrAuth, Status: 401, Message: "account closed"}
	told := func(o batch.Outcome) map[string]batch.Outcome { return map[string]batch.Outcome{"a": o} }
	for name, c := range map[string]struct {
		word     string
		create   error
		verdict  batch.Verdict
		outcomes map[string]batch.Outcome
		free     bool
	}{
		"nothing was sent":           {"ok", &batch.Error{Kind: batch.ErrInvalid}, batch.Abandon, nil, true},
		"a draft may have been made": {"ok", &batch.Error{Kind: batch.ErrAmbiguous}, batch.Abandon, nil, true},
		"a draft":                    {"refused", nil, batch.Abandon, nil, true},
		"a lost request":             {"lost", nil, batch.Abandon, nil, false},
		"submitted, and it is paid":  {"ok", nil, batch.Close, told(batch.OutcomePaid), false},
		"submitted, and it failed":   {"ok", nil, batch.Close, told(batch.OutcomeFailed), true},
		"submitted":                  {"ok", nil, batch.Close, nil, false},
	} {
		for _, cancels := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := &closedAccount{ledger: newLedger(c.word)}
				s.create = c.create
				var p batch.Provider = s
				if cancels {
					p = cancelingAccount{s}
				}
				o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
				_, _ = batch.Start(t.Context(), p, invoice("june", "INV-1"), o)
				s.closed = gone
				desk := batch.NewDesk(p, o.Journal)
				d := decision(c.verdict)
				d.Outcomes = c.outcomes
				reads := c.verdict == batch.Close || c.word == "lost"
				if cancels {
					reads = c.create == nil || batch.KindOf(c.create) == batch.ErrAmbiguous
				}
				if reads {
					_, err := desk.Resolve(t.Context(), "june", d)
					require.ErrorIs(t, err, batch.ErrAuth, "%s: it may only be the wrong credential", name)
					require.ErrorContains(t, err, "the decision was not recorded")
					require.Len(t, pending(t, p, o.Journal), 1)
				}
				d.Unanswered = true
				_, err := desk.Resolve(t.Context(), "june", d)
				require.NoError(t, err, name)
				require.Empty(t, pending(t, p, o.Journal))
				dossier, err := desk.Dossier(t.Context(), "june")
				require.NoError(t, err)
				require.Equal(t, batch.StandingClosed, dossier.Standing)
				require.True(t, dossier.Decisions[0].Unanswered)
				if c.verdict == batch.Close {
					report, err := desk.AsOf(t.Context(), "june", time.Now())
					require.NoError(t, err)
					want := batch.OutcomeUnknown
					if c.outcomes != nil {
						want = c.outcomes["a"]
					}
					require.Equal(t, want, report.Results[0].Outcome)
				}
				// July is another provider.
				_, err = batch.Run(t.Context(), newBiller("ok"), invoice("july", "INV-1"), o)
				if c.free {
					require.NoError(t, err, name)
				} else {
					require.ErrorIs(t, err, batch.ErrConflict, name)
				}
				require.LessOrEqual(t, s.submits, 1)
			})
		}
	}
}

// A service that does answer is believed, whatever the person says.
func TestAServiceThatAnswersIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newLedger("applied and lost")
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Nanosecond}
		s.down = 1000
		_, err := batch.Run(t.Context(), s, wages("june", "a"), o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		s.down = 0
		desk := batch.NewDesk(s, o.Journal)
		d := decision(batch.Abandon)
		d.Unanswered = true
		_, err = desk.Resolve(t.Context(), "june", d)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "too late: the batch was submitted")
		d = closing(map[string]batch.Outcome{"a": batch.OutcomeFailed})
		d.Unanswered = true
		_, err = desk.Resolve(t.Context(), "june", d)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, `"a" is paid, as the service says`)
		for _, v := range []batch.Verdict{batch.Adopt, batch.Resend} {
			d := decision(v)
			d.Unanswered = true
			_, err = desk.Resolve(t.Context(), "june", d)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, "unanswered: is only for abandon and close")
		}
	})
}

// A service that refuses to cancel does answer.
func TestARefusalToCancelIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := cancelingAccount{&closedAccount{ledger: newLedger("refused"), refuses: true}}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), s, wages("june", "a"), o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		d := decision(batch.Abandon)
		d.Unanswered = true
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), "june", d)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "the decision was not recorded")
		require.Len(t, pending(t, s, o.Journal), 1)
	})
}

// A service that shows another batch in place of this one does answer.
func TestAConflictBesideAReportIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := &closedAccount{ledger: newLedger()}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Start(t.Context(), s, wages("june", "a"), o)
		require.NoError(t, err)
		s.closed = &batch.Error{Kind: batch.ErrConflict, Message: "another batch"}
		d := closing(map[string]batch.Outcome{"a": batch.OutcomeFailed})
		d.Unanswered = true
		_, err = batch.NewDesk(s, o.Journal).Resolve(t.Context(), "june", d)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "another batch")
		require.Len(t, pending(t, s, o.Journal), 1)
	})
}

// A person who closes a batch that the service has forgotten keeps what it has
// told before.
func TestCloseKeepsWhatWasToldBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newLedger(), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		s.flip("a", batch.OutcomeFailed)
		s.flip("b", batch.OutcomeUnknown)
		_, err := batch.Run(t.Context(), s, wages("june", "a", "b"), o)
		require.NoError(t, err)
		desk := batch.NewDesk(s, o.Journal)
		dossier, err := desk.Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, "it was reported with 1 items unknown or pending: call Review to ask again; "+
			"if the service cannot tell, ask its support, and record the answer with Resolve (close) and its Outcomes",
			dossier.Next)
		s.gone = true
		_, err = desk.Resolve(t.Context(), "june", closing(map[string]batch.Outcome{"a": batch.OutcomePaid}))
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, `"a" is failed, as the service says`)
		_, err = desk.Resolve(t.Context(), "june", closing(map[string]batch.Outcome{"b": batch.OutcomePaid}))
		require.NoError(t, err)
		report, err := desk.AsOf(t.Context(), "june", time.Now())
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeFailed, report.Results[0].Outcome)
		require.Equal(t, "code of failed", report.Results[0].Code)
		require.Equal(t, batch.OutcomePaid, report.Results[1].Outcome)
		dossier, err = desk.Dossier(t.Context(), "june")
		require.NoError(t, err)
		require.Equal(t, "nothing: it was reported; Review finds what has changed since", dossier.Next)
	})
}

// An erased batch with an item that is unknown is closed by a person's word.
func TestAnErasedBatchCanBeClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, o := newBiller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		s.outcomes["first"] = batch.OutcomeUnknown
		_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
		require.NoError(t, err)
		key := batch.Key{Provider: s.Info().Name, Account: s.Info().Account, Reference: "first"}
		o.Journal = erased(t, o.Journal, key, invoice("first", "").Items[0].Account)
		requireTaken(t, s, invoice("second", "INV-1"), o, "first")
		desk := batch.NewDesk(s, o.Journal)
		s.outcomes["first"] = batch.OutcomePaid // A report is not read: it cannot be compared without accounts.
		_, err = desk.Resolve(t.Context(), "first", closing(map[string]batch.Outcome{"a": batch.OutcomeFailed}))
		require.NoError(t, err)
		_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
		require.NoError(t, err)
		report, err := batch.Resume(t.Context(), s, "first", o)
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeFailed, report.Results[0].Outcome)
	})
}

// A batch that was given up while it was unclear still holds its invoices. Its
// dossier says so, and what frees them.
func TestADossierSaysWhatAnAbandonedBatchHolds(t *testing.T) {
	const held = "nothing is sent any more, but it may have been submitted, and so it keeps its purposes: " +
		"if the service's support says that it was not and never will be, Resolve (resend) frees them and sends nothing; " +
		"if it was, Resolve (adopt) goes on with it"
	for word, want := range map[string]string{"lost": held, "refused": "nothing: it was abandoned"} {
		synctest.Test(t, func(t *testing.T) {
			s := newBiller(word, "ok")
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Second}
			_, err := batch.Run(t.Context(), s, invoice("first", "INV-1"), o)
			require.Error(t, err)
			desk := batch.NewDesk(s, o.Journal)
			_, err = desk.Resolve(t.Context(), "first", decision(batch.Abandon))
			require.NoError(t, err)
			dossier, err := desk.Dossier(t.Context(), "first")
			require.NoError(t, err)
			require.Equal(t, want, dossier.Next)
			if want == held { // The advice can be followed.
				requireTaken(t, s, invoice("second", "INV-1"), o, "first")
				_, err = desk.Resolve(t.Context(), "first", decision(batch.Resend))
				require.NoError(t, err)
				dossier, err = desk.Dossier(t.Context(), "first")
				require.NoError(t, err)
				require.Equal(t, "nothing: it was abandoned", dossier.Next)
			}
			_, err = batch.Run(t.Context(), s, invoice("second", "INV-1"), o)
			require.NoError(t, err)
			require.Equal(t, 1, s.moved())
			dossier, err = desk.Dossier(t.Context(), "second")
			require.NoError(t, err)
			require.Equal(t, []string{"INV-1"}, dossier.Purposes)
			require.Equal(t, "nothing: it was reported; Review finds what has changed since", dossier.Next)
		})
	}
}

// What a person has said of an item stays said when another item is explained.
func TestAPersonsWordStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{ledger: newLedger(), pends: true}
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		s.flip("a", batch.OutcomePending)
		s.flip("b", batch.OutcomePending)
		_, err := batch.Start(t.Context(), s, wages("june", "a", "b"), o)
		require.NoError(t, err)
		desk := batch.NewDesk(s, o.Journal)
		close := func(outcomes map[string]batch.Outcome) {
			_, err := desk.Resolve(t.Context(), "june", closing(outcomes))
			require.NoError(t, err)
		}
		requireOutcomes := func(a, b batch.Outcome) {
			t.Helper()
			report, err := desk.AsOf(t.Context(), "june", time.Now())
			require.NoError(t, err)
			require.Equal(t, []batch.Outcome{a, b}, []batch.Outcome{report.Results[0].Outcome,
				report.Results[1].Outcome})
		}
		close(map[string]batch.Outcome{"a": batch.OutcomeFailed})
		requireOutcomes(batch.OutcomeFailed, batch.OutcomePending)
		close(map[string]batch.Outcome{"b": batch.OutcomePaid})
		requireOutcomes(batch.OutcomeFailed, batch.OutcomePaid)
		require.Empty(t, reviewed(t, desk, time.Time{}))
		close(nil)
		requireOutcomes(batch.OutcomeFailed, batch.OutcomePaid)
		close(map[string]batch.Outcome{"a": batch.OutcomePaid}) // The first word was wrong.
		requireOutcomes(batch.OutcomePaid, batch.OutcomePaid)
	})
}
