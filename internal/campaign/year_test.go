package campaign

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // For Windows, and machines without it.

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

var years = flag.Int("years", 3, "random years for each provider")

// A year is the life of one account over twelve months, with a journal in a
// file, the people who look after it, and something that goes wrong each month.
type year struct {
	*testing.T
	s    *service
	r    *rand.Rand
	zone *time.Location

	path    string
	journal *boltjournal.Journal
	months  []month
	bounced map[string]bool // items, by reference
}

// month is what was told of the batch of one month.
type month struct {
	draft batch.Draft
	told  batch.Report
	at    time.Time
}

// TestAYear lives a year of monthly batches with each provider, in virtual time:
// every month a reply is lost or late, people approve and correct, payments come
// back, the credential is rotated, the journal moves to another machine, and the clocks of Auckland change twice. At
// its
// end the service's ledger, the journal and the reports of all months agree.
func TestAYear(t *testing.T) {
	for _, w := range worlds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			for range *years {
				number := rand.Uint64() >> 1
				if *seed != 0 {
					number = *seed
				}
				directory := t.TempDir()
				synctest.Test(t, func(t *testing.T) { //nolint:paralleltest // It is in a bubble.
					t.Logf("replay: go test ./internal/campaign -run TestAYear/%s -seed %d", w.name, number)
					y := &year{T: t, r: rand.New(rand.NewPCG(number, 4)),
						path: filepath.Join(directory, fmt.Sprint(number)), bounced: make(map[string]bool)}
					y.zone = must(time.LoadLocation("Pacific/Auckland"))
					y.s = w.open(y.r)
					defer y.s.close()
					y.open()
					for n := range 12 {
						y.month(n)
					}
					y.end()
					require.NoError(t, y.journal.Close())
				})
			}
		})
	}
}

func (y *year) open() {
	y.Helper()
	j, err := boltjournal.Open(y.path, y.s.provider().Info())
	require.NoError(y, err)
	y.journal = j
}

// desk is a person's, of a process that has just been started.
func (y *year) desk() *batch.Desk { return batch.NewDesk(y.s.provider(), y.journal) }

// until lets time pass until the first of a month, at nine in Auckland.
func (y *year) until(n int) {
	time.Sleep(time.Until(time.Date(2000, time.Month(2+n), 1, 9, 0, 0, 0, y.zone)))
	y.s.kit.Clock.Advance(0)
}

func (y *year) month(n int) {
	y.until(n)
	if n == 6 {
		y.move()
	}
	d := y.s.draft(n, 4)
	d.Author, d.NotAfter = "Ada", time.Date(2000, time.Month(3+n), 1, 0, 0, 0, 0, y.zone)
	for i := range d.Items {
		d.Items[i].Purpose = fmt.Sprintf("INV-%d-%d", n, i)
		d.Items[i].Labels = map[string]string{"site": fmt.Sprint(i % 2)}
	}
	if n%3 == 2 {
		d.Approvals = 1
	}
	if n%4 == 3 {
		d = y.correct(d)
	}
	if n == 4 {
		y.rotate(d)
	}
	submit := pick(y.r, y.s.submits...)
	late := lateHour
	if y.s.atMost > 0 {
		late = lateMinute
	}
	fault{submit, 1, pick(y.r, lostAfter, lostBefore, late, refused)}.inject(y.s)
	report := y.run(d)
	y.s.kit.Heal()
	y.months = append(y.months, month{d, report, time.Now()})
	dossier, err := y.desk().Dossier(y.Context(), d.Reference)
	require.NoError(y, err)
	require.Len(y, dossier.Approvals, d.Approvals)

	again := d.Clone() // The application has lost its notes, and bills all of it once more.
	again.Reference, again.Replaces, again.NotAfter, again.Approvals = "again-"+d.Reference, "", time.Time{}, 0
	if slices.ContainsFunc(report.Results, func(r batch.Result) bool { return r.Outcome == batch.OutcomePaid }) {
		_, err := batch.Run(y.Context(), y.s.provider(), again, y.options())
		var e *batch.Error
		require.ErrorAs(y, err, &e)
		require.Equal(y, batch.CodePurposeTaken, e.Code, "%v", err)
	}
	y.comeBack()
}

// rotate changes the credential at the service. A process that has the old one
// sends nothing, and one that has the new one goes on with the same journal.
func (y *year) rotate(d batch.Draft) {
	outdated := y.s.provider()
	y.s.rotate()
	report, err := batch.Run(y.Context(), outdated, d, y.options())
	require.ErrorIs(y, err, batch.ErrAuth)
	require.Equal(y, batch.StateDraft, report.Batch.State)
}

func (y *year) options() *batch.RunOptions {
	return &batch.RunOptions{Journal: y.journal, Watch: batch.WatchOptions{Interval: time.Minute,
		MaxInterval: time.Hour, MaxFailures: 5}}
}

// correct makes a draft at the service, and returns one that takes its place.
func (y *year) correct(d batch.Draft) batch.Draft {
	wrong := d.Clone()
	wrong.Items[0].Labels["site"] = "a wrong one"
	ctx, cancel := context.WithCancel(y.Context())
	defer cancel()
	o := y.options()
	o.Observe = func(e batch.Event) {
		if e.Phase == batch.PhaseCreate {
			cancel()
		}
	}
	report, err := batch.Run(ctx, y.s.provider(), wrong, o)
	require.Error(y, err)
	require.Equal(y, batch.StateDraft, report.Batch.State, "%v", err)
	d.Replaces = d.Reference
	return d
}

// run sees a batch through as a finance team does: it calls again, approves,
// asks the support, and decides.
func (y *year) run(d batch.Draft) batch.Report {
	y.Helper()
	for range 20 {
		report, err := batch.Run(y.Context(), y.s.provider(), d, y.options())
		y.s.finish()
		if err == nil {
			if report.Totals[batch.OutcomeUnknown].Count > 0 {
				return y.explain(d)
			}
			return report
		}
		var e *batch.Error
		require.ErrorAs(y, err, &e)
		switch {
		case e.Code == batch.CodeApprovalNeeded:
			y.approve(d)
		case e.Kind == batch.ErrAmbiguous:
			y.ask(d)
		case e.Kind == batch.ErrProtocol:
			return y.explain(d)
		default: // Such as a refusal of the day: tomorrow is another.
			require.Equal(y, batch.StateDraft, report.Batch.State, "%v", err)
		}
		time.Sleep(24 * time.Hour)
	}
	require.FailNow(y, "a batch has not ended in twenty days")
	return batch.Report{}
}

func (y *year) approve(d batch.Draft) {
	desk := y.desk()
	dossier, err := desk.Dossier(y.Context(), d.Reference)
	require.NoError(y, err)
	require.ErrorIs(y, desk.Approve(y.Context(), d.Reference, batch.Approval{Operator: "Ada", Digest: dossier.Digest}),
		batch.ErrConflict, "she is the author")
	require.NoError(y, desk.Approve(y.Context(), d.Reference, batch.Approval{Operator: "Ben", Digest: dossier.Digest}))
}

// ask asks the support what became of an unclear batch, once nothing can be
// under way any more, and writes the answer down.
func (y *year) ask(d batch.Draft) {
	time.Sleep(24 * time.Hour)
	y.s.kit.Clock.Advance(0)
	y.s.accepted() // A file that can still be fetched is.
	y.s.finish()
	if _, err := batch.Resume(y.Context(), y.s.provider(), d.Reference,
		y.options()); batch.KindOf(err) != batch.ErrAmbiguous {
		return
	}
	dossier, err := y.desk().Dossier(y.Context(), d.Reference)
	require.NoError(y, err)
	require.Equal(y, batch.StandingUnclear, dossier.Standing)
	require.NotEmpty(y, dossier.Ticket())
	require.NoError(y, y.desk().Note(y.Context(), d.Reference, batch.Note{Operator: "Ben", Text: "asked the support"}))
	answer := batch.Decision{Verdict: batch.Resend, Operator: "Ben", Reason: "the support has nothing of it"}
	for _, e := range y.effects(d) {
		answer = batch.Decision{Verdict: batch.Adopt, BatchID: e.Batch, Operator: "Ben",
			Reason: "the support has found it"}
	}
	_, err = y.desk().Resolve(y.Context(), d.Reference, answer)
	require.NoError(y, err)
}

// effects is what the service has done for a draft.
func (y *year) effects(d batch.Draft) (ours []batchsim.Effect) {
	for _, e := range y.s.kit.Ledger.Effects() {
		if slices.ContainsFunc(d.Items, func(item batch.Item) bool { return item.Reference == e.Item }) {
			ours = append(ours, e)
		}
	}
	return ours
}

// explain closes a batch whose report never agrees, with the word of the support
// about each item that it leaves open.
func (y *year) explain(d batch.Draft) batch.Report {
	y.Helper()
	word := batch.Decision{Verdict: batch.Close, Operator: "Ben", Reason: "as the support says",
		Outcomes: make(map[string]batch.Outcome)}
	moved := make(map[string]bool)
	for _, e := range y.effects(d) {
		moved[e.Item] = true
	}
	report, _ := batch.Resume(y.Context(), y.s.provider(), d.Reference, y.options())
	for _, r := range report.Results {
		if r.Outcome == batch.OutcomeUnknown || r.Outcome == batch.OutcomePending {
			word.Outcomes[r.Item.Reference] = map[bool]batch.Outcome{true: batch.OutcomePaid,
				false: batch.OutcomeFailed}[moved[r.Item.Reference]]
		}
	}
	_, err := y.desk().Resolve(y.Context(), d.Reference, word)
	require.NoError(y, err)
	report, err = y.desk().AsOf(y.Context(), d.Reference, time.Now())
	require.NoError(y, err)
	return report
}

// comeBack lets a payment of an earlier month come back, and reviews.
func (y *year) comeBack() {
	time.Sleep(10 * 24 * time.Hour)
	if y.s.bounce != nil && maybe(y.r) {
		results := y.months[y.r.IntN(len(y.months))].told.Results
		item := results[y.r.IntN(len(results))].Item
		if report := y.last(item); report.Outcome == batch.OutcomePaid {
			y.s.bounce(item.Account)
			y.bounced[item.Reference] = true
		}
	}
	changed := make(map[string]bool)
	for c, err := range y.desk().Review(y.Context(), time.Now().AddDate(-1, 0, 0)) {
		if batch.KindOf(err) == batch.ErrProtocol {
			continue // It was explained, and stays as it is.
		}
		require.NoError(y, err)
		require.True(y, y.bounced[c.Result.Item.Reference], "%v", c)
		require.Equal(y, batch.OutcomeReturned, c.Result.Outcome)
		changed[c.Result.Item.Reference] = true
	}
	for reference := range y.bounced {
		if report := y.last(batch.Item{Reference: reference}); report.Outcome != batch.OutcomeReturned {
			require.Contains(y, changed, reference)
		}
	}
}

// last is what the journal says of an item now.
func (y *year) last(item batch.Item) batch.Result {
	y.Helper()
	for _, m := range y.months {
		if !slices.ContainsFunc(m.draft.Items, func(i batch.Item) bool { return i.Reference == item.Reference }) {
			continue
		}
		report, err := y.desk().AsOf(y.Context(), m.draft.Reference, time.Now())
		require.NoError(y, err)
		for _, r := range report.Results {
			if r.Item.Reference == item.Reference {
				return r
			}
		}
	}
	require.FailNow(y, "the journal does not know the item", item.Reference)
	return batch.Result{}
}

// move takes the journal to another machine. The old one still has its cron job.
func (y *year) move() {
	old := y.path
	require.NoError(y, y.journal.Close())
	y.path += "-moved"
	require.NoError(y, boltjournal.Move(old, y.path, y.s.provider().Info()))
	y.open()
	_, err := boltjournal.Open(old, y.s.provider().Info())
	require.ErrorContains(y, err, "was moved to "+y.path)
}

// end holds the ledger, the journal and what was told of all months against each
// other.
func (y *year) end() {
	open := 0
	for d, err := range y.desk().Pending(y.Context()) {
		require.NoError(y, err)
		require.NotEqual(y, batch.StandingUnclear, d.Standing)
		open++
	}
	require.Zero(y, open, "nothing is open")
	for item, times := range y.s.kit.Ledger.Moved() {
		require.Equal(y, 1, times, item)
	}
	var moved, paid int64
	for _, m := range y.months {
		then, err := y.desk().AsOf(y.Context(), m.draft.Reference, m.at)
		require.NoError(y, err)
		require.Equal(y, m.told.Totals, then.Totals, "the report of a month stays that of the month")

		now, err := y.desk().AsOf(y.Context(), m.draft.Reference, time.Now())
		require.NoError(y, err)
		fold := make(map[string]batch.Outcome)
		for c, err := range y.desk().Changes(y.Context(), m.draft.Reference) {
			require.NoError(y, err)
			fold[c.Result.Item.Reference] = c.Result.Outcome
		}
		reported := make(map[string]batch.Outcome)
		for _, r := range now.Results {
			reported[r.Item.Reference] = r.Outcome
			if r.Outcome == batch.OutcomePaid || r.Outcome == batch.OutcomeReturned {
				paid += r.Item.Amount.Minor
			}
			require.NotEqual(y, batch.OutcomePending, r.Outcome)
			require.NotEqual(y, batch.OutcomeUnknown, r.Outcome)
		}
		require.True(y, maps.Equal(fold, reported), "%v and %v", fold, reported)
		for _, e := range y.effects(m.draft) {
			moved += e.Minor
		}
	}
	require.Equal(y, moved, paid, "to the cent")
}
