package campaign

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
)

// A plan is everything that goes wrong in one run.
type plan struct {
	batches   int
	items     int             // of each batch
	callers   int             // of each batch, at once
	pause     time.Duration   // between two calls of one caller
	operators int             // at once with the callers: Resume, Settle, Pending and Resolve, at random
	calls     int             // of each caller; 0 means 4
	decisions []batch.Verdict // about what is open when the callers have gone
	faults    []fault
	crashes   []crash
	lie       bool // every report has an amount that is null, until all is healed
	nulls     bool // a field that decides nothing is null in every reply, until all is healed
	hurry     bool // contexts end early
	giveUp    bool // whoever is told for certain that nothing was sent believes it, and never calls again
	earlier   bool // another journal has run a batch at this account before
	twin      bool // a second reference names the batch of the first
	sites     bool // a second process of other terms has the same references
	resends   bool // operators may decide that a Submit is sent again
	overTLS   bool
}

func (p plan) calm() bool {
	return len(p.faults) == 0 && len(p.crashes) == 0 && p.operators == 0 && len(p.decisions) == 0 && !p.lie &&
		!p.hurry && !p.twin && !p.sites
}

// unsent reports whether all that goes wrong is that requests are not sent.
func (p plan) unsent() bool {
	none := p
	none.faults = nil
	return none.calm() && !slices.ContainsFunc(p.faults, func(f fault) bool { return !f.net.unsent() })
}

// twice reports whether a middlebox repeats a request.
func (p plan) twice() bool {
	return slices.ContainsFunc(p.faults, func(f fault) bool { return f.name == delivered.name })
}

// tally is what came of the runs.
type tally struct {
	runs, faults, crashes, moves   int
	duplicates, lost, wrong, hangs int
	unknown, stuck                 int
	// batches that a middlebox doubled, and those of them that are not reported as done
	repeated, noticed int
	resent            int // batches that a wrong Resend doubled
	took              time.Duration
	violations        []string
}

func (t *tally) add(o tally) {
	t.runs += o.runs
	t.faults += o.faults
	t.crashes += o.crashes
	t.moves += o.moves
	t.duplicates += o.duplicates
	t.lost += o.lost
	t.wrong += o.wrong
	t.hangs += o.hangs
	t.unknown += o.unknown
	t.stuck += o.stuck
	t.repeated += o.repeated
	t.noticed += o.noticed
	t.resent += o.resent
	t.violations = append(t.violations, o.violations...)
}

// A telling is one thing that a call said of a batch. Times are counted in
// events of the run: in virtual time, much happens at once.
type telling struct {
	began, ended int
	op           string
	batch        batch.Batch
	err          error
}

func (t telling) String() string { return fmt.Sprintf("%s said %q and %v", t.op, t.batch.State, t.err) }

// story is what is remembered of one batch of a run.
type story struct {
	draft    batch.Draft
	key      batch.Key
	shared   bool // with another story: both name one batch
	mu       sync.Mutex
	tellings []telling
	arrived  int  // when the last request arrived that could move its money
	ended    bool // some call has reported its end
	gaveUp   bool // the only caller was told for certain that nothing was sent
}

func (st *story) last() (t telling) {
	if n := len(st.tellings); n > 0 {
		t = st.tellings[n-1]
	}
	return t
}

// runner is one run.
type runner struct {
	s       *service
	r       *rand.Rand
	plan    plan
	disk    *disk
	stories []*story
	before  int // effects of the batch that was earlier
	taken   map[string]int
	old     string // its ID
	healed  bool

	mu       sync.Mutex
	events   int
	arrivals map[string]int // of requests that move money, by what names the batch
	tally    tally
}

// longest is how long any call may take in virtual time.
const longest = 90 * time.Minute

func (u *runner) violate(count *int, format string, args ...any) {
	u.mu.Lock()
	defer u.mu.Unlock()
	*count++
	u.tally.violations = append(u.tally.violations, fmt.Sprintf(format, args...))
}

func (u *runner) event() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.events++
	return u.events
}

// play opens the world of a seed and runs the plan that is made for it, in a
// bubble of virtual time. The bubble fails if a goroutine outlives it (I10).
func play(t *testing.T, w world, number uint64, makePlan func(*service) plan) tally {
	t.Helper()
	u := &runner{r: rand.New(rand.NewPCG(number, 1))}
	defer func() {
		if v := recover(); v != nil {
			panic(fmt.Sprintf("run %d of %s: %v", number, w.name, v))
		}
	}()
	synctest.Test(t, func(*testing.T) { u.play(w, makePlan) })
	if *seed != 0 {
		t.Log(u.explain())
	}
	u.tally.runs = 1
	return u.tally
}

func (u *runner) play(w world, makePlan func(*service) plan) {
	u.s = w.open(u.r)
	defer u.s.close()
	u.plan = makePlan(u.s)
	u.s.net.tls = u.plan.overTLS
	u.disk = &disk{Journal: batch.NewMemoryJournal(), crashes: u.plan.crashes}
	u.prepare()
	if u.plan.nulls { // Any other fault is played in its place.
		u.s.kit.Inject(batchsim.Fault{Phase: batchsim.AfterApply, Act: batchsim.Lie, Alter: nulls(u.s.idle)})
	}
	for _, f := range u.plan.faults {
		f.inject(u.s)
	}
	if u.plan.lie {
		u.s.kit.Inject(batchsim.Fault{Op: u.s.report, Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: nulls(u.s.amount)})
	}
	var callers sync.WaitGroup
	for _, st := range u.stories {
		for n := range u.plan.callers {
			patience := u.patience(u.r)
			callers.Go(func() { u.caller(st, patience, u.plan.sites && n%2 == 1) })
		}
		if u.plan.sites && u.plan.callers == 1 {
			callers.Go(func() { u.caller(st, 24*time.Hour, true) })
		}
	}
	for range u.plan.operators {
		r := rand.New(rand.NewPCG(u.r.Uint64(), 3))
		callers.Go(func() { u.operator(r) })
	}
	callers.Wait()
	for _, st := range u.stories {
		for _, verdict := range u.plan.decisions {
			if closed, _ := u.disk.read(st.key).closed(); !closed {
				u.call(st, longest, move{op: "Resolve", decision: u.decide(u.r, verdict)})
			}
		}
	}

	u.s.kit.Heal()
	u.s.net.heal()
	u.disk.heal()
	u.healed = true
	time.Sleep(3 * time.Hour) // In virtual time: what was under way lands.
	u.s.kit.Clock.Advance(0)
	u.s.finish()
	for _, st := range u.stories {
		if !st.gaveUp {
			u.recover(st)
		}
	}
	for _, st := range u.stories {
		u.judge(st)
	}
	u.judgeAll()
	u.tally.faults = len(u.plan.faults)
	u.tally.crashes = u.disk.struck
}

// prepare makes the batches of the run, and the one that was before them.
func (u *runner) prepare() {
	p := u.s.provider()
	if u.plan.earlier {
		report, err := batch.Run(context.Background(), p, u.s.earlier(),
			&batch.RunOptions{Journal: batch.NewMemoryJournal()})
		if err != nil {
			u.violate(&u.tally.lost, "the batch of another journal fails on a calm day: %v", err)
		}
		u.s.finish()
		u.old = report.Batch.ID
	}
	u.before, u.taken, u.arrivals = len(u.s.kit.Ledger.Effects()), u.s.accepted(), make(map[string]int)
	for n := range u.plan.batches {
		u.stories = append(u.stories, &story{draft: u.s.draft(n, u.plan.items)})
	}
	if u.plan.twin && u.s.twin != nil {
		if d, ok := u.s.twin(u.stories[0].draft); ok {
			u.stories[0].shared = true
			u.stories = append(u.stories, &story{draft: d, shared: true})
		}
	}
	for _, st := range u.stories {
		st.key = batch.Key{Provider: p.Info().Name, Account: p.Info().Account, Reference: st.draft.Reference}
	}
	u.s.kit.Log.Arrived = u.arrive
}

// arrive hears of every request before it is served: one that can move money
// must be in the journal (I13).
func (u *runner) arrive(e batchsim.Entry) {
	if !slices.Contains(u.s.submits, e.Op) || e.Body == nil {
		return // It cannot move money, or was not read.
	}
	name := u.s.moves(e)
	if name == "" {
		return
	}
	at := u.event()
	u.mu.Lock()
	u.arrivals[name]++
	arrivals := u.arrivals[name]
	u.mu.Unlock()
	attempts := 0
	for _, st := range u.stories {
		if h := u.disk.read(st.key); st.key.Reference == name || h.names(name) {
			attempts += h.attempts()
			st.mu.Lock()
			st.arrived = max(st.arrived, at)
			st.mu.Unlock()
		}
	}
	if arrivals > attempts {
		u.violate(&u.tally.duplicates,
			"request %d that can move the money of batch %s has arrived, and the journal has %d attempts", arrivals,
			name, attempts)
	}
}

func (u *runner) patience(r *rand.Rand) time.Duration {
	if u.plan.hurry {
		return time.Duration(1+r.IntN(600)) * time.Second
	}
	return 24 * time.Hour
}

// accepted is that of the service, since the run began.
func (u *runner) accepted() map[string]int {
	all := u.s.accepted()
	for item, times := range u.taken {
		all[item] -= times
	}
	return all
}

func (u *runner) effects() []batchsim.Effect { return u.s.kit.Ledger.Effects()[u.before:] }

func (u *runner) moved() map[string]int {
	moved := make(map[string]int)
	for _, e := range u.effects() {
		moved[e.Item]++
	}
	return moved
}

// caller sees one batch through, in several processes if it has to.
func (u *runner) caller(st *story, patience time.Duration, other bool) {
	calls := u.plan.calls
	if calls == 0 {
		calls = 4
	}
	for range calls {
		if u.call(st, patience, move{op: "Run", other: other}) {
			return
		}
		time.Sleep(u.plan.pause) // In virtual time.
	}
}

// recover is what an operator does after a disaster: run it again, in a fresh
// process with a journal opened anew, and look at what stays open.
func (u *runner) recover(st *story) {
	other := false
	if u.s.other != nil {
		terms := u.disk.read(st.key).terms()
		other = terms != nil && fmt.Sprint(terms) == fmt.Sprint(u.s.other().Info().Terms)
	}
	for range 3 {
		if u.call(st, longest, move{op: "Run", other: other}) {
			break
		}
	}
	if u.plan.calm() {
		return
	}
	standing := batch.Standing("")
	for d, err := range batch.NewDesk(u.s.provider(), u.disk.Journal).Pending(context.Background()) {
		if err != nil {
			u.violate(&u.tally.lost, "Pending failed: %v", err)
			return
		}
		if d.Key != st.key {
			continue
		}
		if standing = d.Standing; d.Items != len(st.draft.Items) || d.Next == "" || d.Fingerprint == "" {
			u.violate(&u.tally.lost, "the dossier of %s is not complete: %+v", st.key.Reference, d)
		}
	}
	h := u.disk.read(st.key)
	closed, abandoned := h.closed()
	accepted := u.accepted()
	most := 0
	for _, item := range st.draft.Items {
		most = max(most, accepted[item.Reference])
	}
	switch {
	case abandoned:
		if kind := batch.KindOf(st.last().err); kind != batch.ErrConflict {
			u.violate(&u.tally.wrong, "%s was abandoned, and %v", st.key.Reference, st.last())
		}
	case closed:
		if !st.ended {
			u.violate(&u.tally.lost, "%s is over in the journal, and no caller was told: %v",
				st.key.Reference, st.last())
		}
	case st.shared, h.decided(batch.Resend):
	case u.plan.unsent(), u.s.once(st.draft) && !u.plan.twice() && !h.decided(batch.Adopt) && !h.names(u.old):
		u.violate(&u.tally.lost, "%s should end well once all is healed, and stays %q: %v", st.key.Reference,
			standing, st.last())
	case standing == batch.StandingUnclear:
		u.tally.unknown++
	case most > 0 && standing != batch.StandingSubmitted && !u.plan.twice():
		u.violate(&u.tally.lost, "%s was accepted, and the journal has it as %q: %v", st.key.Reference,
			standing, st.last())
	default:
		u.tally.stuck++ // It needs a person.
	}
}

// judge holds all that was said of a batch against all that has happened.
func (u *runner) judge(st *story) {
	accepted, moved := u.accepted(), u.moved()
	h := u.disk.read(st.key)
	repeated := u.plan.twice()
	resent := slices.ContainsFunc(u.stories, func(of *story) bool { // Of this batch, under whichever reference.
		return (of == st || of.shared && st.shared) && u.disk.read(of.key).decided(batch.Resend)
	})
	doubled, taken := false, false
	for _, item := range st.draft.Items {
		n := max(accepted[item.Reference], moved[item.Reference])
		taken = taken || n > 0
		if n <= 1 {
			continue
		}
		doubled = true
		if !resent && !repeated {
			u.violate(&u.tally.duplicates, "%s was accepted %d times, and moved %d times", item.Reference,
				accepted[item.Reference], moved[item.Reference])
		}
	}
	switch {
	case doubled && repeated:
		u.tally.repeated++
		if !st.ended {
			u.tally.noticed++
		}
	case doubled && resent:
		u.tally.resent++
	}
	alone := u.plan.callers == 1 && u.plan.operators == 0 && len(u.plan.decisions) == 0 && !u.plan.sites
	for n, t := range st.tellings {
		limit := t.began // Later, another call may send.
		if alone {
			limit = t.ended
		}
		switch {
		case st.shared || repeated || !taken:
		case t.batch.State == batch.StateDraft && st.arrived < limit:
			u.violate(&u.tally.wrong, "%v, and a request before that has moved the money of %s", t, st.key.Reference)
		case t.batch.State == batch.StateCanceled &&
			(t.batch.ID == "" || slices.ContainsFunc(u.effects(), func(e batchsim.Effect) bool {
				return e.Batch == t.batch.ID
			})):
			u.violate(&u.tally.wrong, "%v, and money of %s has moved", t, st.key.Reference)
		}
		for _, later := range st.tellings[n+1:] {
			// Pending can be older knowledge, or a stale reply.
			contradicts := later.batch.State == batch.StateDraft || later.batch.State.Final() &&
				later.batch.State != t.batch.State
			if t.batch.State.Final() && t.err == nil && later.began > t.ended && later.batch.ID == t.batch.ID &&
				contradicts && !resent && !h.decided(batch.Adopt) {
				u.violate(&u.tally.wrong, "%v, and later %v", t, later)
			}
		}
	}
	for _, e := range u.effects() {
		ours := slices.ContainsFunc(st.draft.Items, func(item batch.Item) bool { return item.Reference == e.Item })
		if want := u.s.payer(h.terms()); ours && want != "" && e.Payer != want {
			u.violate(&u.tally.wrong, "%s moved the money of %q, and not of %q", e.Item, e.Payer, want)
		}
		if id := h.submitted(); id != "" && e.Batch == id && !ours {
			u.violate(&u.tally.wrong, "%s has the batch %s in the journal, which moved %s",
				st.key.Reference, id, e.Item)
		}
	}
	if id := h.submitted(); id != "" && id == u.old {
		u.violate(&u.tally.wrong, "%s has a batch of last month in the journal", st.key.Reference)
	}
	for n, e := range h {
		// Only an operator can undo what an operator has decided.
		if e.Kind == batch.EntryDone && n < len(h)-1 && (e.Decision == nil || h[n+1].Decision == nil) {
			u.violate(&u.tally.wrong, "the history of %s was closed, and goes on: %s", st.key.Reference, h[n+1].Kind)
		}
	}
	text, err := json.Marshal(h)
	if err != nil || u.leaks(string(text)) {
		u.violate(&u.tally.wrong, "a secret is in the journal")
	}
}

// judgeAll holds the batches against each other.
func (u *runner) judgeAll() {
	owner := make(map[string]string)
	for _, st := range u.stories {
		id := u.disk.read(st.key).submitted()
		if other, taken := owner[id]; taken && id != "" {
			u.violate(&u.tally.wrong, "%s and %s both have the batch %s", other, st.key.Reference, id)
		}
		owner[id] = st.key.Reference
	}
	if n := u.s.kit.Log.Count("idempotency-key"); n > 0 {
		u.violate(&u.tally.duplicates, "%d requests had an idempotency key", n)
	}
}

// explain tells a run: what was planned, said and written.
func (u *runner) explain() string {
	var text strings.Builder
	p := u.plan
	fmt.Fprintf(&text,
		"%d callers, %d operators, crashes %v, lie %t, hurry %t, give up %t, earlier %q, twin %t, sites %t\n",
		p.callers, p.operators, p.crashes, p.lie, p.hurry, p.giveUp, u.old, p.twin, p.sites)
	for _, f := range p.faults {
		fmt.Fprintf(&text, "%s %d: %s\n", f.op, f.nth, f.name)
	}
	for _, st := range u.stories {
		fmt.Fprintf(&text, "%s, last request %d\n", st.key.Reference, st.arrived)
		for _, t := range st.tellings {
			fmt.Fprintf(&text, "\t%d-%d %s\n", t.began, t.ended, t)
		}
		for _, e := range u.disk.read(st.key) {
			fmt.Fprintf(&text, "\t%d %s %s %s %d", e.Seq, e.At.Format(time.TimeOnly), e.Kind, e.Step, e.Attempt)
			if e.Batch != nil {
				fmt.Fprintf(&text, " batch %s %q", e.Batch.ID, e.Batch.State)
			}
			if e.Failure != nil {
				fmt.Fprintf(&text, " %s: %s", e.Failure.Kind, e.Failure.Message)
			}
			if e.Decision != nil {
				fmt.Fprintf(&text, " decided: %s %s", e.Decision.Verdict, e.Decision.BatchID)
			}
			text.WriteString("\n")
		}
	}
	for _, e := range u.effects() {
		fmt.Fprintf(&text, "%s moved in %s\n", e.Item, e.Batch)
	}
	return text.String()
}

func (u *runner) leaks(text string) bool {
	return slices.ContainsFunc(u.s.secrets, func(s string) bool { return strings.Contains(text, s) })
}
