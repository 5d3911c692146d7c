package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/simkit"
)

// A plan is everything that goes wrong in one run.
type plan struct {
	batches int
	items   int // of each batch
	callers int // of each batch, at once
	faults  []simkit.Fault
	crashes []crash
	lie     bool // every report has an amount that is null, until all is healed
	hurry   bool // contexts end early
	giveUp  bool // whoever is told for certain that nothing was sent believes it, and never calls again
}

func (p plan) calm() bool { return len(p.faults) == 0 && len(p.crashes) == 0 && !p.lie && !p.hurry }

// A crash strikes the nth entry that is written in a run.
type crash struct {
	nth  int
	kind crashKind
}

type crashKind string

const (
	diesBefore  crashKind = "dies before an entry is written"
	diesAfter   crashKind = "dies after an entry is written"
	failsBefore crashKind = "the disk fails, and the entry is lost"
	failsAfter  crashKind = "the disk fails, and the entry is there"
)

// died is what a process panics with.
type died struct{}

// disk is the journal of one run, which outlives its processes.
type disk struct {
	batch.Journal
	mu      sync.Mutex
	written int
	crashes []crash
	struck  int
}

// strike counts an entry, and returns what happens at it.
func (d *disk) strike() crashKind {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.written++
	for _, c := range d.crashes {
		if c.nth == d.written {
			d.struck++
			return c.kind
		}
	}
	return ""
}

// process is the journal as one process has it open.
type process struct {
	*disk
	mu       sync.Mutex
	poisoned error
}

var errDisk = errors.New("input/output error")

func (p *process) Append(ctx context.Context, key batch.Key, e batch.Entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.poisoned != nil {
		return p.poisoned
	}
	kind := p.strike()
	if kind == diesBefore {
		panic(died{})
	}
	if kind != failsBefore {
		if err := p.disk.Append(ctx, key, e); err != nil {
			return err
		}
	}
	switch kind {
	case diesAfter:
		panic(died{})
	case failsBefore, failsAfter:
		p.poisoned = errDisk
	}
	return p.poisoned
}

// tally is what came of the runs.
type tally struct {
	runs, faults, crashes          int
	duplicates, lost, wrong, hangs int
	leaks, unknown, stuck          int
	took                           time.Duration
	violations                     []string
}

func (t *tally) add(o tally) {
	t.runs += o.runs
	t.faults += o.faults
	t.crashes += o.crashes
	t.duplicates += o.duplicates
	t.lost += o.lost
	t.wrong += o.wrong
	t.hangs += o.hangs
	t.leaks += o.leaks
	t.unknown += o.unknown
	t.stuck += o.stuck
	t.violations = append(t.violations, o.violations...)
}

// story is what is remembered of one batch of a run.
type story struct {
	mu      sync.Mutex
	draft   batch.Draft
	excused bool // some call has died, was unclear, or has submitted
	ended   bool // some call has reported its end
	gaveUp  bool // the only caller was told for certain that nothing was sent
	last    error
}

// runner is one run.
type runner struct {
	s       *service
	r       *rand.Rand
	plan    plan
	disk    *disk
	mu      sync.Mutex
	tally   tally
	stories []*story
	healed  bool
}

// longest is how long any call may take in virtual time.
const longest = 90 * time.Minute

func (u *runner) violate(count *int, format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	*count++
	u.tally.violations = append(u.tally.violations, fmt.Sprintf(format, args...))
}

// play opens the world of a seed and runs the plan that is made for it, in a
// bubble of virtual time.
func play(t *testing.T, w world, seed uint64, makePlan func(*service) plan) tally {
	t.Helper()
	u := &runner{r: rand.New(rand.NewPCG(seed, 1))}
	synctest.Test(t, func(*testing.T) { u.play(w, makePlan) })
	u.tally.runs = 1
	return u.tally
}

func (u *runner) play(w world, makePlan func(*service) plan) {
	u.s = w.open(u.r)
	defer u.s.close()
	u.plan = makePlan(u.s)
	u.disk = &disk{Journal: batch.NewMemoryJournal(), crashes: u.plan.crashes}
	for n := range u.plan.batches {
		u.stories = append(u.stories, &story{draft: u.s.draft(n, u.plan.items)})
	}
	for _, f := range u.plan.faults {
		u.s.kit.Inject(f)
	}
	if u.plan.lie {
		u.s.kit.Inject(simkit.Fault{Op: u.s.report, Phase: simkit.AfterApply, Act: simkit.Lie, Alter: nullAmount(u.s.amount)})
	}
	var callers sync.WaitGroup
	for _, st := range u.stories {
		for range u.plan.callers {
			patience := 24 * time.Hour
			if u.plan.hurry {
				patience = time.Duration(1+u.r.IntN(600)) * time.Second
			}
			callers.Go(func() { u.caller(st, patience) })
		}
	}
	callers.Wait()

	u.s.kit.Heal()
	u.healed = true
	time.Sleep(3 * time.Hour) // In virtual time: what was under way lands.
	u.s.kit.Clock.Advance(0)
	u.s.finish()
	for _, st := range u.stories {
		if !st.gaveUp {
			u.recover(st)
		}
	}
	u.judge()
	u.tally.faults = len(u.plan.faults)
	u.tally.crashes = u.disk.struck
}

// caller sees one batch through, in several processes if it has to.
func (u *runner) caller(st *story, patience time.Duration) {
	for range 4 {
		if u.call(st, patience, false) {
			return
		}
	}
}

// call is one process. It reports whether there is nothing more to do.
func (u *runner) call(st *story, patience time.Duration, last bool) (done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p := u.s.provider()
	began := time.Now()
	report, err, died := u.run(ctx, p, st.draft)
	if took := time.Since(began); took > longest {
		u.violate(&u.tally.hangs, "a call took %s of virtual time", took)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.last = err; died {
		st.excused = true
		return false
	}
	if text := fmt.Sprintf("%v %+v %v", err, report, report.Batch); slices.ContainsFunc(u.s.secrets, func(s string) bool { return strings.Contains(text, s) }) {
		u.violate(&u.tally.wrong, "a secret is in what Run returned: %s", text)
	}
	switch {
	case err == nil:
		st.excused, st.ended = true, true
		u.finished(st.draft, report)
		return true
	case batch.KindOf(err) == batch.ErrAmbiguous || report.Batch.State != batch.StateDraft:
		st.excused = true
	}
	if u.plan.calm() && !u.healed {
		u.violate(&u.tally.lost, "nothing goes wrong, and yet a batch fails: %v", err)
		return true
	}
	if u.plan.giveUp && u.plan.callers == 1 && report.Batch.State == batch.StateDraft && batch.KindOf(err) != batch.ErrAmbiguous {
		st.gaveUp = true
		return true
	}
	return last
}

// run calls Run, and survives the death of its process.
func (u *runner) run(ctx context.Context, p batch.Provider, d batch.Draft) (report batch.Report, err error, dies bool) { //nolint:revive // The error is not the last thing that is said.
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(died); !ok {
				panic(v)
			}
			dies = true
		}
	}()
	report, err = batch.Run(ctx, p, d, &batch.RunOptions{Journal: &process{disk: u.disk},
		Watch: batch.WatchOptions{Interval: time.Second, MaxInterval: 10 * time.Second, MaxFailures: 5}})
	return report, err, false
}

// finished holds a report against what has happened.
func (u *runner) finished(d batch.Draft, report batch.Report) {
	if !report.Batch.State.Final() {
		u.violate(&u.tally.wrong, "Run returned without an error, and the batch is %q", report.Batch.State)
	}
	if paid := report.Totals[batch.OutcomePaid].Count; u.plan.lie && !u.healed && paid > 0 {
		u.violate(&u.tally.wrong, "%d amounts that are null were believed", paid)
	}
	if len(report.Results) != len(d.Items) || len(report.Unmatched) > 0 {
		u.violate(&u.tally.wrong, "%d results and %d unmatched for %d items", len(report.Results), len(report.Unmatched), len(d.Items))
		return
	}
	accepted, moved := u.s.accepted(), u.s.kit.Ledger.Moved()
	for n, result := range report.Results {
		item := d.Items[n]
		if result.Item.Reference != item.Reference || result.Item.Amount != item.Amount {
			u.violate(&u.tally.wrong, "item %d is reported as %v", n, result.Item)
		}
		// A record that a service refuses by itself is not accepted.
		if n := accepted[item.Reference]; n != 1 && (n != 0 || result.Outcome != batch.OutcomeFailed) {
			u.violate(&u.tally.wrong, "Run returned without an error, and %s was accepted %d times", item.Reference, accepted[item.Reference])
		}
		if report.Batch.State == batch.StateCancelled && accepted[item.Reference] > 0 {
			u.violate(&u.tally.wrong, "the batch is reported as cancelled, and %s was accepted", item.Reference)
		}
		times := moved[item.Reference]
		switch result.Outcome {
		case batch.OutcomePaid:
			if times != 1 {
				u.violate(&u.tally.wrong, "%s is reported as paid, and moved %d times", item.Reference, times)
			}
		case batch.OutcomeFailed, batch.OutcomeSkipped:
			if times != 0 {
				u.violate(&u.tally.wrong, "%s is reported as %s, and moved %d times", item.Reference, result.Outcome, times)
			}
		case batch.OutcomePending:
			u.violate(&u.tally.wrong, "%s is reported as pending in a batch that is final", item.Reference)
		}
	}
}

// recover is what an operator does after a disaster: run it again, in a fresh
// process with a journal opened anew, and look at what stays open.
func (u *runner) recover(st *story) {
	u.disk.crashes = nil
	for n := range 3 {
		if u.call(st, longest, n == 2) {
			break
		}
	}
	if u.plan.calm() {
		return
	}
	p := u.s.provider()
	key := batch.Key{Provider: p.Info().Name, Account: p.Info().Account, Reference: st.draft.Reference}
	standing := batch.Standing("")
	for d, err := range batch.Pending(context.Background(), p, &batch.RunOptions{Journal: u.disk.Journal}) {
		if err != nil {
			u.violate(&u.tally.lost, "Pending failed: %v", err)
			return
		}
		if d.Key != key {
			continue
		}
		if standing = d.Standing; d.Items != len(st.draft.Items) || d.Next == "" || d.Fingerprint == "" {
			u.violate(&u.tally.lost, "the dossier of %s is not complete: %+v", key.Reference, d)
		}
	}
	history, err := u.disk.History(context.Background(), key)
	if err != nil {
		u.violate(&u.tally.lost, "the history of %s cannot be read: %v", key.Reference, err)
		return
	}
	ended := len(history) > 0 && history[len(history)-1].Kind == batch.EntryDone
	accepted := u.s.accepted()
	most := 0
	for _, item := range st.draft.Items {
		most = max(most, accepted[item.Reference])
	}
	switch {
	case ended:
		if !st.ended {
			u.violate(&u.tally.lost, "%s is over in the journal, and nobody was told: %v", key.Reference, st.last)
		}
	case u.s.once(st.draft):
		u.violate(&u.tally.lost, "%s should end well once all is healed, and stays %q: %v", key.Reference, standing, st.last)
	case standing == batch.StandingUnclear:
		u.tally.unknown++
	case most > 0:
		u.violate(&u.tally.lost, "%s was accepted, and the journal has it as %q: %v", key.Reference, standing, st.last)
	default:
		u.tally.stuck++ // It needs a person, and nothing has moved.
	}
}

// judge holds all that was said against all that has happened.
func (u *runner) judge() {
	accepted, moved := u.s.accepted(), u.s.kit.Ledger.Moved()
	for _, st := range u.stories {
		for _, item := range st.draft.Items {
			if n := accepted[item.Reference]; n > 1 {
				u.violate(&u.tally.duplicates, "%s was accepted %d times", item.Reference, n)
			} else if n > 0 && (!st.excused || st.gaveUp) {
				u.violate(&u.tally.wrong, "Run has said for certain that nothing was sent (%v), and %s was accepted", st.last, item.Reference)
			}
			if n := moved[item.Reference]; n > 1 {
				u.violate(&u.tally.duplicates, "%s moved %d times", item.Reference, n)
			}
		}
	}
	if n := u.s.kit.Log.Count("idempotency-key"); n > 0 {
		u.violate(&u.tally.duplicates, "%d requests had an idempotency key", n)
	}
	attempts, submits := 0, 0
	p := u.s.provider()
	for _, st := range u.stories {
		history, err := u.disk.History(context.Background(), batch.Key{Provider: p.Info().Name, Account: p.Info().Account, Reference: st.draft.Reference})
		if err != nil {
			u.violate(&u.tally.lost, "a history cannot be read: %v", err)
		}
		text, err := json.Marshal(history)
		if err != nil || slices.ContainsFunc(u.s.secrets, func(s string) bool { return strings.Contains(string(text), s) }) {
			u.violate(&u.tally.wrong, "a secret is in the journal")
		}
		for _, e := range history {
			if e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit {
				attempts++
			}
		}
	}
	for _, op := range u.s.submits {
		for _, request := range u.s.kit.Log.Requests(op) {
			if u.s.moves == nil || u.s.moves(request) {
				submits++
			}
		}
	}
	if submits > attempts {
		u.violate(&u.tally.duplicates, "%d requests that can move money, and %d attempts in the journal", submits, attempts)
	}
}
