package batch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

// teller is a service whose Submits follow a script, one word for each; the
// last repeats. It applies a batch as often as it is told to: that no batch is
// applied twice is up to Run.
type teller struct {
	mu      sync.Mutex
	info    batch.Info
	script  []string
	absent  any            // what Poll says of a batch that was not applied: a State or an error
	submits int            // calls of Submit
	creates int            // calls of Create
	applied map[string]int // by batch reference
	polls   map[string]int // since it was applied
	down    int            // so many polls fail first
	create  error          // what Create fails with
	left    batch.Batch    // the ID, and the State if it is no draft, of what a failed Create has made
	during  func()         // called in Submit
	drafts  []batch.Draft  // as submitted
	status  int            // HTTP status of a refusal
}

func newTeller(script ...string) *teller {
	return &teller{
		info:    batch.Info{Name: "teller", Account: "test/1", Direction: batch.Collect, Interval: time.Second},
		script:  script,
		absent:  batch.StateUnknown,
		applied: map[string]int{},
		polls:   map[string]int{},
	}
}

func (s *teller) Info() batch.Info { return s.info }

func (s *teller) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creates++
	b := batch.Batch{Provider: "teller", Draft: d, State: batch.StateDraft}
	if s.create != nil {
		b.ID = s.left.ID
		if s.left.State != "" {
			b.State = s.left.State
		}
		return b, s.create
	}
	b.ID = "id-" + d.Reference
	return b, nil
}

func (s *teller) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if err := s.info.RefuseSubmit("Submit", b); err != nil {
		return b, err
	}
	s.mu.Lock()
	word := s.script[min(s.submits, len(s.script)-1)]
	s.submits++
	s.drafts = append(s.drafts, b.Draft)
	during := s.during
	s.mu.Unlock()
	if during != nil {
		during()
	}
	apply := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.applied[b.Draft.Reference]++
	}
	fail := func(kind batch.Kind, err batch.Error) (batch.Batch, error) {
		if kind == batch.ErrAmbiguous {
			b.State = batch.StateUnknown
		}
		err.Kind, err.Provider, err.Op = kind, "teller", "Submit"
		return b, &err
	}
	switch word {
	case "ok":
		apply()
		if ctx.Err() != nil {
			return fail(batch.ErrAmbiguous, batch.Error{Err: ctx.Err()})
		}
		b.State = batch.StatePending
		return b, nil
	case "applied and lost":
		apply()
		return fail(batch.ErrAmbiguous, batch.Error{})
	case "lost":
		return fail(batch.ErrAmbiguous, batch.Error{})
	case "hang":
		<-ctx.Done()
		return fail(batch.ErrAmbiguous, batch.Error{Err: ctx.Err()})
	case "guarded": // refuses if it was applied before
		s.mu.Lock()
		before := s.applied[b.Draft.Reference]
		s.mu.Unlock()
		if before > 0 {
			return fail(batch.ErrConflict, batch.Error{Message: "not in draft"})
		}
		apply()
		b.State = batch.StatePending
		return b, nil
	case "not sent":
		return fail(batch.ErrUnavailable, batch.Error{})
	case "throttled":
		return fail(batch.ErrThrottled, batch.Error{RetryAfter: 5 * time.Second})
	case "throttled for an hour":
		return fail(batch.ErrThrottled, batch.Error{RetryAfter: time.Hour})
	case "401":
		return fail(batch.ErrAuth, batch.Error{Status: 401})
	case "funds":
		return fail(batch.ErrFunds, batch.Error{})
	case "refused":
		return fail(batch.ErrInvalid, batch.Error{Code: "B006", Status: s.status})
	case "plain":
		return b, errors.New("no *batch.Error, so it promises nothing")
	}
	panic(word)
}

func (s *teller) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	if b.State.Final() {
		return b, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down > 0 {
		s.down--
		return b, &batch.Error{Kind: batch.ErrUnavailable, Provider: "teller"}
	}
	ref := b.Draft.Reference
	if s.applied[ref] == 0 {
		switch absent := s.absent.(type) {
		case batch.State:
			b.State = absent
			return b, nil
		default:
			return b, s.absent.(error)
		}
	}
	s.polls[ref]++
	if b.State = batch.StatePending; s.polls[ref] > 1 {
		b.State = batch.StateDone
	}
	return b, nil
}

func (s *teller) Report(_ context.Context, b batch.Batch) (batch.Report, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []batch.Result
	for _, item := range b.Draft.Items {
		for range s.applied[b.Draft.Reference] {
			rows = append(rows, batch.Result{Item: item, Outcome: batch.OutcomePaid})
		}
	}
	return batch.NewReport(b, rows)
}

func (s *teller) moved() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, times := range s.applied {
		n += times
	}
	return n
}

func oneItem() batch.Draft {
	return draft(batch.Item{Reference: "a", Account: "acc", Amount: gbp(100)})
}

// kinds writes a history in a line: "intent create create:ok submit#1 ...".
func kinds(t *testing.T, j batch.Journal, reference string) string {
	t.Helper()
	return kindsOf(t, j, batch.Key{Provider: "teller", Account: "test/1", Reference: reference})
}

func kindsOf(t *testing.T, j batch.Journal, key batch.Key) string {
	t.Helper()
	history, err := j.History(t.Context(), key)
	require.NoError(t, err)
	var words []string
	for n, e := range history {
		require.Equal(t, n+1, e.Seq)
		word := string(e.Kind)
		if e.Step != "" {
			word = fmt.Sprintf("%s#%d", e.Step, e.Attempt)
		}
		if e.Kind == batch.EntryResult {
			word += "=ok"
			if e.Failure != nil {
				word = strings.TrimSuffix(word, "ok") + string(e.Failure.Kind)
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func guarded(s *teller) { s.info.Guard, s.absent = batch.GuardRefuses, batch.StateDraft }

func renewing(s *teller) { s.info.Renews = true }

func TestRun(t *testing.T) {
	for name, c := range map[string]struct {
		script  []string
		change  func(*teller)
		kind    batch.Kind // of the error
		submits int
		moved   int
		history string
	}{
		"all goes well": {[]string{"ok"}, nil, "", 1, 1,
			"intent create#1 create#1=ok submit#1 submit#1=ok done"},
		"applied, and the reply is lost: a read is the witness": {[]string{"applied and lost"}, nil, "", 1, 1,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous reconciled done"},
		"the witness answers only at the third try": {[]string{"applied and lost"}, func(s *teller) { s.down = 2 }, "",
			1, 1,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous reconciled done"},
		"lost, and the service does not know": {[]string{"lost", "ok"}, nil, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"lost, and the service does not find it": {[]string{"lost", "ok"}, func(s *teller) {
			s.absent = &batch.Error{Kind: batch.ErrNotFound}
		}, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"lost, and the service shows a draft, which is no proof without a guard": {[]string{"lost", "ok"},
			func(s *teller) { s.absent = batch.StateDraft }, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"lost, and no read succeeds": {[]string{"lost", "ok"}, func(s *teller) {
			s.down = 1000
			s.info.Guard = batch.GuardRefuses
		}, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"lost behind a guard: one more is harmless once the first is not in flight": {[]string{"lost", "ok"},
			guarded, "", 2, 1,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous submit#2 submit#2=ok done"},
		"lost behind a guard, and the service does not know": {[]string{"lost", "ok"}, func(s *teller) {
			s.info.Guard = batch.GuardRefuses
		}, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"lost four times behind a guard: enough": {[]string{"lost"}, guarded, batch.ErrAmbiguous, 4, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous submit#2 submit#2=ambiguous submit#3 submit#3=ambiguous submit#4 submit#4=ambiguous"},
		"lost, then refused for funds: the first may still land": {[]string{"lost", "funds"}, guarded,
			batch.ErrAmbiguous, 4, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous submit#2 submit#2=funds submit#3 submit#3=funds submit#4 submit#4=funds"},
		"never sent, then sent": {[]string{"not sent", "not sent", "ok"}, nil, "", 3, 1,
			"intent create#1 create#1=ok submit#1 submit#1=unavailable submit#2 submit#2=unavailable submit#3 submit#3=ok done"},
		"never sent at all": {[]string{"not sent"}, nil, batch.ErrUnavailable, 3, 0,
			"intent create#1 create#1=ok submit#1 submit#1=unavailable submit#2 submit#2=unavailable submit#3 submit#3=unavailable"},
		"throttled for a moment": {[]string{"throttled", "ok"}, nil, "", 2, 1,
			"intent create#1 create#1=ok submit#1 submit#1=throttled submit#2 submit#2=ok done"},
		"throttled for long: the caller knows better": {[]string{"throttled for an hour", "ok"}, nil,
			batch.ErrThrottled, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=throttled"},
		"the token expired under way": {[]string{"401", "ok"}, renewing, "", 2, 1,
			"intent create#1 create#1=ok submit#1 submit#1=auth submit#2 submit#2=ok done"},
		"no token is accepted": {[]string{"401"}, renewing, batch.ErrAuth, 2, 0,
			"intent create#1 create#1=ok submit#1 submit#1=auth submit#2 submit#2=auth"},
		"a credential that nothing renews is refused": {[]string{"401", "ok"}, nil, batch.ErrAuth, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=auth"},
		"never sent, at a service where no Submit is repeated": {[]string{"not sent", "ok"},
			func(s *teller) { s.info.NoRepeat = true }, batch.ErrUnavailable, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=unavailable"},
		"refused": {[]string{"refused", "ok"}, nil, batch.ErrInvalid, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=invalid"},
		"no money": {[]string{"funds", "ok"}, nil, batch.ErrFunds, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=funds"},
		"the service is silent": {[]string{"hang", "ok"}, nil, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"an error that promises nothing": {[]string{"plain", "ok"}, nil, batch.ErrAmbiguous, 1, 0,
			"intent create#1 create#1=ok submit#1 submit#1=ambiguous"},
		"the draft is refused": {[]string{"ok"}, func(s *teller) { s.create = &batch.Error{Kind: batch.ErrInvalid} },
			batch.ErrInvalid, 0, 0,
			"intent create#1 create#1=invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service, journal := newTeller(c.script...), batch.NewMemoryJournal()
				if c.change != nil {
					c.change(service)
				}
				report, err := batch.Run(t.Context(), service, oneItem(), &batch.RunOptions{Journal: journal})
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				require.Equal(t, c.submits, service.submits, "calls of Submit")
				require.Equal(t, c.moved, service.moved(), "times that money moved")
				require.Equal(t, c.history, kinds(t, journal, "run-1"))
				require.Equal(t, "run-1", report.Batch.Draft.Reference, "the batch is there even beside an error")
				if c.kind == "" {
					require.Equal(t, batch.StateDone, report.Batch.State)
					require.Equal(t, 1, report.Totals[batch.OutcomePaid].Count)
				}
				if c.kind == batch.ErrAmbiguous {
					require.Equal(t, batch.StateUnknown, report.Batch.State)
				}
			})
		})
	}
}

func TestRunAgainOnlyAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, journal := newTeller("lost", "ok"), batch.NewMemoryJournal()
		o := &batch.RunOptions{Journal: journal}
		for range 3 {
			_, err := batch.Run(t.Context(), service, oneItem(), o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			_, err = batch.Resume(t.Context(), service, "run-1", o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
		}
		require.Equal(t, 1, service.submits, "an unclear submit is never sent again")

		service.applied["run-1"]++ // it lands late, after all
		report, err := batch.Resume(t.Context(), service, "run-1", o)
		require.NoError(t, err)
		require.Equal(t, 1, report.Totals[batch.OutcomePaid].Count)
		require.Equal(t, 1, service.submits)

		report, err = batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err, "a batch that is done is reported again")
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, 1, service.submits)
	})
}

// The first submit is lost and lands late; the second is refused because of
// it. The refusal is that of the second alone.
func TestRunDoesNotTakeTheRefusalOfAResendForTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := newTeller("lost", "guarded")
		guarded(service)
		service.during = func() {
			if service.submits == 2 {
				service.applied["run-1"]++ // the first one lands now
			}
		}
		report, err := batch.Run(t.Context(), service, oneItem(), nil)
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, 2, service.submits)
		require.Equal(t, 1, service.moved())
	})
}

func TestRunKeepsAReferenceForItsDraft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err)

		other := oneItem()
		other.Items[0].Amount.Minor++
		report, err := batch.Run(t.Context(), service, other, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, `the reference "run-1" belongs to another draft`)
		require.Equal(t, batch.StateDone, report.Batch.State, "a call under this reference has submitted something")
		require.Equal(t, 1, service.submits)

		again := oneItem()
		again.Date = time.Time{}.UTC()
		_, err = batch.Run(t.Context(), service, again, o)
		require.NoError(t, err)
	})
}

func TestRunKnowsADraftByItsDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		run := func(date time.Time) error {
			d := oneItem()
			d.Date = date
			_, err := batch.Run(t.Context(), service, d, o)
			return err
		}
		auckland := time.Date(2026, 3, 2, 1, 30, 0, 0, time.FixedZone("NZDT", 13*60*60))
		require.NoError(t, run(auckland))
		require.NoError(t, run(auckland.Add(20*time.Hour)), "the time of day is never sent")
		require.NoError(t, run(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)), "nor is the zone")
		require.ErrorIs(t, run(auckland.UTC()), batch.ErrConflict, "the same moment is on another day there")
		require.ErrorIs(t, run(auckland.AddDate(0, 0, 1)), batch.ErrConflict)
		require.ErrorIs(t, run(time.Time{}), batch.ErrConflict)
		require.Equal(t, 1, service.submits)
	})
}

// A reference is free for a corrected draft as long as the service has nothing
// under it.
func TestRunTakesACorrectedDraftIfNothingIsLeftOfTheFirst(t *testing.T) {
	for name, c := range map[string]struct {
		create   batch.Kind
		left     batch.Batch
		standing batch.Standing
		id       string     // in the dossier
		kind     batch.Kind // of the error of the corrected draft
	}{
		"it was refused": {create: batch.ErrInvalid, standing: batch.StandingIntended},
		"it was made and withdrawn": {create: batch.ErrInvalid, left: batch.Batch{ID: "1", State: batch.StateCanceled},
			standing: batch.StandingIntended},
		"it was made and is left": {create: batch.ErrUnavailable, left: batch.Batch{ID: "1"},
			standing: batch.StandingDraft, id: "1", kind: batch.ErrConflict},
		"nobody knows": {create: batch.ErrAmbiguous, standing: batch.StandingDraft, kind: batch.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
				service.create, service.left = &batch.Error{Kind: c.create}, c.left
				report, err := batch.Run(t.Context(), service, oneItem(), o)
				require.ErrorIs(t, err, c.create)
				require.Equal(t, batch.StateDraft, report.Batch.State, "nothing was submitted")
				require.Equal(t, c.id, report.Batch.ID, "what was withdrawn has no ID for the caller")
				dossier := pending(t, service, o.Journal)[0]
				require.Equal(t, c.standing, dossier.Standing)
				require.Equal(t, c.id, dossier.BatchID)

				service.create = nil
				corrected := oneItem()
				corrected.Items[0].Amount.Minor = 99
				report, err = batch.Run(t.Context(), service, corrected, o)
				require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
				if c.kind == "" {
					require.Equal(t, gbp(99), report.Totals[batch.OutcomePaid].Amount)
				}
			})
		})
	}
}

// submittedByAnother finds in Submit that another program has submitted the batch.
type submittedByAnother struct{ *teller }

func (submittedByAnother) Submit(_ context.Context, b batch.Batch) (batch.Batch, error) {
	b.State, b.Native = batch.StatePending, "submitted"
	return b, &batch.Error{Kind: batch.ErrConflict, Provider: "teller", Op: "Submit"}
}

// Later calls report the state that a refused Submit has read.
func TestARefusedSubmitKeepsTheStateThatItHasRead(t *testing.T) {
	service, o := submittedByAnother{newTeller("ok")}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	report, err := batch.Run(t.Context(), service, oneItem(), o)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, batch.StatePending, report.Batch.State)
	for settled, err := range batch.Settle(t.Context(), service, o) {
		b := settled.Batch
		require.NoError(t, err)
		require.Equal(t, batch.StatePending, b.State)
		require.Equal(t, "submitted", b.Native)
	}
	report, err = batch.Run(t.Context(), service.teller, oneItem(), o)
	require.NoError(t, err, "the table goes by what this journal has submitted")
	require.Equal(t, batch.StateDone, report.Batch.State)
}

func TestRunRefusesABadDraftBeforeTheJournal(t *testing.T) {
	service, journal := newTeller("ok"), batch.NewMemoryJournal()
	d := oneItem()
	d.Direction = batch.Pay
	_, err := batch.Run(t.Context(), service, d, &batch.RunOptions{Journal: journal})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Zero(t, service.creates)
	require.Empty(t, kinds(t, journal, "run-1"))
}

func TestRunByAHundredCallersSubmitsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("ok"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		service.during = func() { time.Sleep(time.Minute) } // fake: this is a synctest bubble
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if n%10 == 9 {
					time.AfterFunc(time.Second, cancel)
				}
				report, err := batch.Run(ctx, service, oneItem(), o)
				switch {
				case err == nil:
					if report.Batch.State != batch.StateDone {
						t.Errorf("caller %d got no final batch", n)
					}
				case n%10 == 9 && errors.Is(err, context.Canceled):
				default:
					t.Errorf("caller %d: %v", n, err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, service.submits)
		require.Equal(t, 1, service.moved())
	})
}

// attentive is a journal that writes nothing once its context has ended.
type attentive struct {
	batch.Journal
	during func() // called in Next
}

func (j attentive) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return j.Journal.Append(ctx, key, e)
}

func (j attentive) Next(ctx context.Context, sequence string, first int64) (int64, error) {
	j.during()
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	return j.Journal.Next(ctx, sequence, first)
}

func TestRunIsNotMadeAmbiguousByCtrlC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("ok"), &batch.RunOptions{Journal: attentive{Journal: batch.NewMemoryJournal()}}
		ctx, cancel := context.WithCancel(t.Context())
		service.during = func() { cancel(); time.Sleep(time.Second) }
		report, err := batch.Run(ctx, service, oneItem(), o)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.Equal(t, batch.StatePending, report.Batch.State)

		report, err = batch.Resume(t.Context(), service, "run-1", o)
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, report.Batch.State)
		require.Equal(t, 1, service.submits)
		require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ok done", kinds(t, o.Journal, "run-1"))
	})
}

func TestRunSendsNothingOnceItsContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	service := newTeller("ok")
	_, err := batch.Run(ctx, service, oneItem(), nil)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.Zero(t, service.creates+service.submits)
}

func TestResumeOfAnUnknownReference(t *testing.T) {
	_, err := batch.Resume(t.Context(), newTeller("ok"), "nobody", nil)
	require.ErrorIs(t, err, batch.ErrNotFound)
	require.ErrorContains(t, err, `"nobody"`)
}

func TestRunTellsWhatHappens(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		guard  batch.Guard
		want   []string
	}{
		"a read is the witness": {[]string{"not sent", "applied and lost"}, batch.GuardNone,
			[]string{`create "draft"`, `submit "draft" #1 unavailable`, `submit "" #2 ambiguous`, `reconcile "pending"`,
				`wait "done"`, `report "done"`}},
		"behind a guard it asks until no Submit is in flight": {[]string{"lost", "ok"}, batch.GuardRefuses,
			[]string{`create "draft"`, `submit "" #1 ambiguous`, `reconcile ""`, `reconcile ""`, `reconcile ""`,
				`submit "pending" #2`, `wait "pending"`, `wait "done"`, `report "done"`}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				service := newTeller(c.script...)
				service.info.Guard, service.info.InFlight, service.absent = c.guard, 4*time.Second, batch.StateDraft
				_, err := batch.Run(t.Context(), service, oneItem(), &batch.RunOptions{Observe: func(e batch.Event) {
					word := fmt.Sprintf("%s %q", e.Phase, e.Batch.State)
					if e.Attempt > 0 {
						word += fmt.Sprint(" #", e.Attempt)
					}
					if e.Err != nil {
						word += " " + string(batch.KindOf(e.Err))
					}
					seen = append(seen, word)
				}})
				require.NoError(t, err)
				require.Empty(t, cmp.Diff(c.want, seen))
			})
		})
	}
}

func TestRunWaitsBeforeItRepeats(t *testing.T) {
	for name, c := range map[string]struct {
		script []string
		want   []time.Duration // between the first Submit and each
	}{
		"a little longer each time": {[]string{"not sent", "not sent", "ok"},
			[]time.Duration{0, time.Second, 5 * time.Second}},
		"as long as the service wants": {[]string{"throttled", "ok"}, []time.Duration{0, 5 * time.Second}},
		"not for a new token":          {[]string{"401", "ok"}, []time.Duration{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				began := time.Now()
				service := newTeller(c.script...)
				renewing(service)
				service.during = func() { at = append(at, time.Since(began)) }
				_, err := batch.Run(t.Context(), service, oneItem(), nil)
				require.NoError(t, err)
				require.Equal(t, c.want, at)
			})
		})
	}
}

func TestSettleSubmitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := batch.NewMemoryJournal()
		o := &batch.RunOptions{Journal: journal, ReconcileFor: time.Second}
		run := func(reference, word string) {
			d := oneItem()
			d.Reference = reference
			service := newTeller(word)
			_, _ = batch.Run(t.Context(), service, d, o)
		}
		run("unclear", "lost")
		run("landed", "lost")
		run("refused", "refused")
		run("finished", "ok")

		service := newTeller("ok")
		service.applied["landed"]++
		got := map[string]string{}
		for settled, err := range batch.Settle(t.Context(), service, o) {
			b := settled.Batch
			got[b.Draft.Reference] = string(b.State) + " " + string(batch.KindOf(err))
		}
		require.Equal(t, map[string]string{"unclear": " ambiguous", "landed": "pending ", "refused": "draft "}, got)
		require.Zero(t, service.submits+service.creates)
		require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous reconciled",
			kinds(t, journal, "landed"),
			"what a read has proved is written down")
	})
}

func TestSettleTakesADraftForNoProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := newTeller("lost"), &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		unclear(t, service, o)
		service.absent = batch.StateDraft
		for settled, err := range batch.Settle(t.Context(), service, o) {
			b := settled.Batch
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.ErrorContains(t, err, "may still be under way")
			require.Equal(t, batch.StateUnknown, b.State)
		}
		require.Equal(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous", kinds(t, o.Journal, "run-1"))
		require.Equal(t, batch.StandingUnclear, pending(t, service, o.Journal)[0].Standing)
	})
}

func TestRunKeepsSecretsOutOfTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "https://files.test/batch.jsonl?signature=canary"
		service, journal := newTeller("not sent", "not sent", "not sent", "ok"), batch.NewMemoryJournal()
		service.info.Extra, service.info.SecretExtra = []string{"url"}, []string{"url"}
		o := &batch.RunOptions{Journal: journal}
		d := oneItem()
		d.Extra = map[string]string{"url": secret}

		_, err := batch.Run(t.Context(), service, d, o)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.Equal(t, secret, service.drafts[0].Extra["url"], "the service gets the secret")
		history, err := journal.History(t.Context(), batch.Key{Provider: "teller", Account: "test/1",
			Reference: "run-1"})
		require.NoError(t, err)
		text, err := json.Marshal(history)
		require.NoError(t, err)
		require.NotContains(t, string(text), "canary")

		_, err = batch.Resume(t.Context(), service, "run-1", o)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, "call Run with the draft again")
		require.Equal(t, 3, service.submits)

		_, err = batch.Run(t.Context(), service, d, o)
		require.NoError(t, err)
		require.Equal(t, secret, service.drafts[3].Extra["url"])
		require.Equal(t, secret, d.Extra["url"], "the caller's draft is not touched")
	})
}

// numbered is a teller that runs batches under numbers.
type numbered struct{ *teller }

func (n numbered) Number(d batch.Draft, next func(int64) (int64, error)) (batch.Draft, error) {
	number, err := next(500)
	if err != nil {
		return d, err
	}
	d.Extra = map[string]string{"number": fmt.Sprint(number)}
	return d, nil
}

func TestRunAllocatesANumberOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, o := numbered{newTeller("not sent", "not sent", "not sent", "ok")},
			&batch.RunOptions{Journal: batch.NewMemoryJournal()}
		_, err := batch.Run(t.Context(), service, oneItem(), o)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		_, err = batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err)
		d := oneItem()
		d.Reference = "run-2"
		_, err = batch.Run(t.Context(), service, d, o)
		require.NoError(t, err)

		var numbers []string
		for _, d := range service.drafts {
			numbers = append(numbers, d.Extra["number"])
		}
		require.Equal(t, []string{"500", "500", "500", "500", "501"}, numbers)
	})
}

func TestRunKeepsTheNumberThatCtrlCFindsItAllocating(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		service, o := numbered{newTeller("ok")}, &batch.RunOptions{Journal: attentive{batch.NewMemoryJournal(), cancel}}
		_, err := batch.Run(ctx, service, oneItem(), o)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, "intent", kinds(t, o.Journal, "run-1"), "the number is written down, and nothing is sent")

		_, err = batch.Run(t.Context(), service, oneItem(), o)
		require.NoError(t, err)
		require.Equal(t, "500", service.drafts[0].Extra["number"])
	})
}

// brokenJournal fails its nth Append: with the entry kept, or without. Then it
// is poisoned, until it is opened anew.
type brokenJournal struct {
	batch.Journal
	n     int
	kept  bool
	dead  bool
	tries int // calls of Append
}

var errDisk = errors.New("the disk is full")

func (j *brokenJournal) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if j.tries++; j.dead {
		return errDisk
	}
	if j.n--; j.n == 0 {
		j.dead = true
		if j.kept {
			if err := j.Journal.Append(ctx, key, e); err != nil {
				return err
			}
		}
		return errDisk
	}
	return j.Journal.Append(ctx, key, e)
}

// Whatever the journal loses, and whatever the service does: money moves at
// most once, a run that says it moved is right, and so is one that says it did
// not.
func TestRunOnAJournalThatFails(t *testing.T) {
	scripts := [][]string{{"ok"}, {"applied and lost", "ok"}, {"lost", "ok"}, {"not sent", "ok"}, {"refused", "ok"}}
	for _, script := range scripts {
		for _, guard := range []batch.Guard{batch.GuardNone, batch.GuardRefuses} {
			for n := 1; n <= 9; n++ {
				for _, kept := range []bool{false, true} {
					name := fmt.Sprintf("%s, guard %q, append %d, kept %v", strings.Join(script, " then "),
						guard, n, kept)
					synctest.Test(t, func(t *testing.T) {
						service := newTeller(script...)
						service.info.Guard = guard
						if guard == batch.GuardRefuses {
							service.absent = batch.StateDraft
							service.script = slices.Clone(script)
							service.script[len(script)-1] = "guarded"
						}
						journal := batch.NewMemoryJournal()
						o := &batch.RunOptions{Journal: &brokenJournal{Journal: journal, n: n, kept: kept}}
						_, err := batch.Run(t.Context(), service, oneItem(), o)
						first := service.moved()
						switch kind := batch.KindOf(err); {
						case err == nil || strings.Contains(err.Error(), "finished and reported"):
							require.Equal(t, 1, first, "%s: it said that it moved", name)
							require.Regexp(t, "submit#[0-9]=ok|reconciled", kinds(t, journal, "run-1"),
								"%s: it said that it moved before that was written down", name)
						case kind == batch.ErrAmbiguous:
						default:
							require.Zero(t, first, "%s: it said that it did not move: %v", name, err)
						}

						// The process starts again, with what the journal has.
						o.Journal = journal
						_, err = batch.Run(t.Context(), service, oneItem(), o)
						require.LessOrEqual(t, service.moved(), 1, "%s: money moved twice", name)
						if err == nil {
							require.Equal(t, 1, service.moved(), name)
						}
						if first == 1 {
							require.NoError(t, err, "%s: what has moved is found again", name)
						}
					})
				}
			}
		}
	}
}

func TestRunDoesNotTryABrokenJournalAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, journal := newTeller("ok"), &brokenJournal{Journal: batch.NewMemoryJournal(), n: 4}
		report, err := batch.Run(t.Context(), service, oneItem(), &batch.RunOptions{Journal: journal})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorIs(t, err, errDisk)
		require.ErrorContains(t, err, "the journal failed: not submitted")
		require.Equal(t, batch.StateDraft, report.Batch.State, "no call has submitted anything")
		require.Zero(t, service.submits)
		require.Equal(t, 4, journal.tries)
	})
}

func TestRunSaysIfTheEndIsNotWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, journal := newTeller("ok"), batch.NewMemoryJournal()
		report, err := batch.Run(t.Context(), service, oneItem(),
			&batch.RunOptions{Journal: &brokenJournal{Journal: journal, n: 6}})
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "finished and reported, but that could not be written down")
		require.Equal(t, 1, report.Totals[batch.OutcomePaid].Count)
		require.Equal(t, batch.StandingSubmitted, pending(t, service, journal)[0].Standing)
	})
}

// overtaken is a journal in which another process writes one entry first, in
// spite of the lock.
type overtaken struct {
	batch.Journal
	seq int
}

func (j overtaken) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	if e.Seq == j.seq {
		if err := j.Journal.Append(ctx, key, e); err != nil {
			return err
		}
	}
	return j.Journal.Append(ctx, key, e)
}

func TestRunOvertakenByAnotherProcessSubmitsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seq := 1; seq <= 4; seq++ { // The intent, the attempt to create, its result, the attempt to submit.
			service := newTeller("ok")
			report, err := batch.Run(t.Context(), service, oneItem(),
				&batch.RunOptions{Journal: overtaken{batch.NewMemoryJournal(), seq}})
			require.ErrorIs(t, err, batch.ErrUnavailable)
			require.ErrorContains(t, err, "the journal failed")
			require.Equal(t, batch.StateUnknown, report.Batch.State, "the other may have submitted it")
			require.Zero(t, service.submits)
		}
	})
}

// unlisted is a journal that cannot list.
type unlisted struct{ batch.Journal }

func (unlisted) Open(context.Context, string, string) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) { yield(batch.History{}, errDisk) }
}

func (unlisted) History(context.Context, batch.Key) ([]batch.Entry, error) { return nil, errDisk }

// unlockable is a journal that gives nobody the lock.
type unlockable struct{ batch.Journal }

func (unlockable) Lock(context.Context, batch.Key) (func(), error) { return nil, errDisk }

func TestAJournalThatCannotBeRead(t *testing.T) {
	o := &batch.RunOptions{Journal: unlisted{batch.NewMemoryJournal()}}
	for settled, err := range batch.Settle(t.Context(), newTeller("ok"), o) {
		b := settled.Batch
		require.Empty(t, b.Draft.Reference)
		require.ErrorIs(t, err, errDisk)
	}
	for name, journal := range map[string]batch.Journal{"no history": o.Journal,
		"no lock": unlockable{batch.NewMemoryJournal()}} {
		service := newTeller("ok")
		report, err := batch.Run(t.Context(), service, oneItem(), &batch.RunOptions{Journal: journal})
		require.ErrorIs(t, err, batch.ErrUnavailable, name)
		require.ErrorIs(t, err, errDisk, name)
		require.ErrorContains(t, err, "nothing was sent by this call, and what earlier ones have sent is not known",
			name)
		require.Equal(t, batch.StateUnknown, report.Batch.State, name)
		require.Zero(t, service.creates+service.submits, name)
		resolved, err := batch.NewDesk(service, journal).Resolve(t.Context(), "run-1", decision(batch.Abandon))
		require.ErrorIs(t, err, errDisk, name)
		require.Equal(t, batch.StateUnknown, resolved.State, name)
	}
}

// The records of a run say what it decides and why, and what went wrong, and
// name no item.
func TestRunLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 3})
		provider.Break(batchtest.LostAfter)
		d := draft(batch.Item{Reference: "INV-4711", Account: "account-of-ada",
			Amount: batch.Money{Minor: 1250, Currency: "GBP"}})
		d.Reference = "november"
		var took []time.Duration
		_, err := batch.Run(t.Context(), provider, d, &batch.RunOptions{
			Journal: batch.NewMemoryJournal(), Logger: logger, Watch: batch.WatchOptions{Interval: time.Minute},
			Observe: func(e batch.Event) { took = append(took, e.Took) },
		})
		require.NoError(t, err)
		var said []string
		for line := range strings.Lines(out.String()) {
			var r struct{ Level, Msg, Reference, Account, Next, Because, State, Kind, Error string }
			require.NoError(t, json.Unmarshal([]byte(line), &r))
			require.Equal(t, "november", r.Reference)
			if r.Next != "" {
				require.NotEmpty(t, r.Because)
				require.Equal(t, "DEBUG", r.Level)
			}
			said = append(said, strings.TrimSpace(r.Level+" "+strings.TrimPrefix(r.Msg, "batch: ")+" "+r.Next+
				r.State+" "+r.Kind))
		}
		require.Equal(t, []string{
			"DEBUG decided create", "INFO create draft", "DEBUG decided submit", "WARN submit  ambiguous",
			"DEBUG decided reconcile",
			"INFO reconcile pending", "DEBUG decided wait", "INFO wait pending", "INFO wait done", "INFO report done",
		}, said)
		require.NotContains(t, out.String(), "account-of-ada")
		require.NotContains(t, out.String(), d.Items[0].Reference)
		require.InDelta(t, time.Minute, took[4], float64(30*time.Second), "between two polls is about a minute")
		took[4] = 0
		require.Equal(t, make([]time.Duration, 6), took)
	})
}

// A tallying service says how far a batch is.
type tallying struct{ *batchtest.Memory }

func (c tallying) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := c.Memory.Submit(ctx, b)
	b.Counts = batch.Counts{Items: 3}
	return b, err
}

func (c tallying) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := c.Memory.Poll(ctx, b)
	b.Counts = batch.Counts{Final: 1, Items: 3}
	return b, err
}

func (c tallying) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	var all []batch.Batch
	for _, b := range bs {
		b, err := c.Poll(ctx, b)
		if err != nil {
			return bs, err
		}
		all = append(all, b)
	}
	return all, nil
}

// Events and records have the counts of the service. The journal keeps none:
// they are out of date when it is read.
func TestEventsCountItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var counts []batch.Counts
		journal := batch.NewMemoryJournal()
		d := draft(batch.Item{Reference: "INV-4711", Account: "ada", Amount: batch.Money{Minor: 1250, Currency: "GBP"}})
		provider := tallying{batchtest.NewMemory(batchtest.MemoryOptions{Polls: 2})}
		_, err := batch.Run(t.Context(), provider, d, &batch.RunOptions{
			Journal: journal, Logger: slog.New(slog.NewJSONHandler(&out, nil)), Observe: func(e batch.Event) {
				counts = append(counts, e.Batch.Counts)
			},
		})
		require.NoError(t, err)
		require.Equal(t, []batch.Counts{{}, {Items: 3}, {Final: 1, Items: 3}}, counts[:3])
		require.Contains(t, out.String(), `"final_items":1,"items":3`)
		info := provider.Info()
		history, err := journal.History(t.Context(), batch.Key{Provider: info.Name, Account: info.Account,
			Reference: d.Reference})
		require.NoError(t, err)
		kept := 0
		for _, entry := range history {
			if entry.Batch != nil {
				kept++
				require.Zero(t, entry.Batch.Counts, entry.Kind)
			}
		}
		require.NotZero(t, kept)
	})
}
