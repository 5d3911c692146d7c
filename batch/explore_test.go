package batch_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/maphash"
	"iter"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// This file explores small worlds whole: one reference, every call of the
// package in every order and two at once, with every fate of a request, a crash
// at every write and between sending and hearing, and every order of late
// arrivals. A world is what survives its processes: the journal, the service
// and the clock. From each world every call is tried with every answer that the
// world can give; worlds that are the same are explored once.

var deeper = flag.Int("explore", 0,
	"how many more submits than 2 small worlds have, and how many more crashes and failed reads; 1 takes some minutes")

// rulesOf is what a service promises.
type rulesOf struct {
	name     string
	guard    batch.Guard
	unseen   batch.State // what Poll says of a batch that has not arrived
	cancels  bool        // it can cancel a draft, for good
	lockless bool        // the journal's lock does not exclude others, as after a lost connection
	approved bool        // a person must approve
}

// A world is what survives a process.
type world struct {
	history  []batch.Entry
	applied  int  // times that money moved
	flight   int  // requests that may still arrive
	canceled bool // for good
	clock    int  // minutes
	submits  int
	crashes  int // that may still happen
	failures int // reads that may still fail or lie
}

// key tells worlds apart. What decides of a history is its progress.
func (w world) key() string {
	return fmt.Sprint(w.applied, w.flight, w.canceled, w.aged(), w.submits, w.crashes, w.failures, w.resends(),
		batch.ProgressKey(w.history))
}

// aged says that the last Submit began longer ago than a request can be in
// flight.
func (w world) aged() bool {
	for _, e := range slices.Backward(w.history) {
		if e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit {
			return !e.At.Add(15 * time.Minute).After(minute(w.clock))
		}
	}
	return true
}

func minute(n int) time.Time { return time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC) }

// mostSubmits bounds a world: a later Submit only succeeds.
func mostSubmits() int { return 2 + *deeper }

// resends counts the submits that an operator has decided to send again: if
// that is wrong, money moves again.
func (w world) resends() int {
	n, decided := 0, false
	for _, e := range w.history {
		switch {
		case e.Kind == batch.EntryDecision:
			decided = true
		case e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit && decided:
			n, decided = n+1, false
		}
	}
	return n
}

// A path is a list of choices. It is run again and again, each time with the
// next choices, until all were made.
type path struct {
	choices, limits []int
	at              int
	frozen          bool // what follows was tried from another path
}

func (p *path) choose(n int) int {
	if p.frozen {
		return 0
	}
	if p.at == len(p.choices) {
		p.choices, p.limits = append(p.choices, 0), append(p.limits, n)
	}
	p.at++
	return p.choices[p.at-1]
}

// next moves on to the next list of choices, if there is one.
func (p *path) next() bool {
	p.at, p.frozen = 0, false
	for n := len(p.choices) - 1; n >= 0; n-- {
		if p.choices[n]++; p.choices[n] < p.limits[n] {
			p.choices, p.limits = p.choices[:n+1], p.limits[:n+1]
			return true
		}
	}
	return false
}

// dies is what a process panics with.
type dies struct{}

// A play is one run of one or two calls in a world. It is the service, the
// journal and the clock of these calls.
type play struct {
	rules rulesOf
	world
	path   *path
	faults []string
	log    []string

	// For two calls at once: one runs at a time, and passes the turn on.
	actors []*actor
	holder *actor // of the lock
}

// An actor is one call that runs beside another.
type actor struct {
	name  string
	turn  chan struct{}
	back  chan struct{}
	over  bool
	wait  bool // for the lock
	steps int
	read  int      // how many requests had arrived or were late when it read the history
	saw   []string // all that it was told: with the world, that is its state
}

func (p *play) wrong(format string, args ...any) {
	p.faults = append(p.faults, fmt.Sprintf(format, args...)+"\n\t"+strings.Join(p.log, "\n\t")+"\n\t"+p.key())
}

func (p *play) say(a *actor, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if a != nil {
		a.saw = append(a.saw, text)
		text = a.name + ": " + text
	}
	p.log = append(p.log, text)
}

// yield lets the other call go on, in all ways.
func (p *play) yield(a *actor) {
	if a == nil {
		return
	}
	a.steps++
	a.back <- struct{}{}
	<-a.turn
}

// crash asks whether the process dies here.
func (p *play) crash(a *actor, where string) {
	if p.crashes == 0 || p.path.choose(2) == 0 {
		return
	}
	p.crashes--
	p.say(a, "dies %s", where)
	panic(dies{})
}

// arrive is a request that reaches the service.
func (p *play) arrive() (refused bool) {
	if p.canceled || p.rules.guard == batch.GuardRefuses && p.applied > 0 {
		return true
	}
	p.applied++
	return false
}

// pass lets time pass, or a late request arrive.
func (p *play) pass() {
	if p.flight > 0 && p.path.choose(2) == 1 {
		p.flight--
		p.say(nil, "a late request arrives, refused: %t", p.arrive())
	}
	if (p.rules.guard != "" || len(p.actors) == 0) && !p.aged() && p.path.choose(2) == 1 {
		p.clock += 16
		p.say(nil, "time passes")
	}
}

// seat is the provider and the journal as one call sees them.
type seat struct {
	*play
	a *actor
}

// plainly is a seat whose service cannot cancel.
type plainly struct{ batch.Provider }

var _ batch.Canceler = seat{}

func (s seat) Info() batch.Info {
	return batch.Info{Name: "small", Account: "world", Direction: batch.Collect, Guard: s.rules.guard, NoRepeat: true,
		Interval: time.Nanosecond}
}

func (s seat) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	return batch.Batch{Provider: "small", ID: "1", Draft: d, State: batch.StateDraft}, nil
}

func (s seat) Submit(_ context.Context, b batch.Batch) (batch.Batch, error) {
	fail := func(kind batch.Kind) (batch.Batch, error) {
		if b.State = batch.StateDraft; kind == batch.ErrAmbiguous {
			b.State = batch.StateUnknown
		}
		return b, &batch.Error{Kind: kind, Provider: "small", Op: "Submit"}
	}
	if err := s.Info().RefuseSubmit("Submit", b); err != nil {
		s.wrong("Submit of a batch in state %q", b.State)
	}
	s.yield(s.a)
	s.submits++
	attempts := 0
	for _, e := range s.history {
		if e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit {
			attempts++
		}
	}
	if attempts < s.submits {
		s.wrong("a request leaves before its attempt is written")
	}
	if s.rules.approved && !slices.ContainsFunc(s.history, func(e batch.Entry) bool {
		return e.Kind == batch.EntryApproval
	}) {
		s.wrong("a request leaves that no person has approved")
	}
	if at, young := s.young(); young {
		s.wrong("a request leaves again while that of minute %s may still be under way", at.Format("4"))
	}
	s.pass()
	fate := 0
	switch {
	case s.submits > mostSubmits():
	case s.a != nil && *deeper <= 1:
		fate = s.path.choose(4)
	default:
		fate = s.path.choose(6)
	}
	switch fate {
	case 0: // It arrives, and the answer too.
		if s.arrive() {
			s.say(s.a, "submit refused by the guard")
			return fail(batch.ErrConflict)
		}
		s.say(s.a, "submit applied")
		s.crash(s.a, "before it hears")
		b.State = batch.StatePending
		return b, nil
	case 1:
		refused := s.arrive()
		s.say(s.a, "submit arrived (refused %t), and the answer is lost", refused)
	case 2:
		s.flight++
		s.say(s.a, "submit is late")
		s.crash(s.a, "while it is under way")
	case 3:
		s.say(s.a, "submit refused for itself")
		return fail(batch.ErrFunds)
	case 4:
		s.say(s.a, "submit lost")
	case 5:
		s.say(s.a, "submit not sent")
		return fail(batch.ErrUnavailable)
	}
	return fail(batch.ErrAmbiguous)
}

// young returns when an earlier Submit began that may still arrive, if there is
// one and no operator has decided since to send again.
func (p *play) young() (time.Time, bool) {
	var began time.Time
	attempt := func(e batch.Entry) bool { return e.Kind == batch.EntryAttempt && e.Step == batch.StepSubmit }
	for n, e := range p.history {
		switch {
		case e.Kind == batch.EntryDecision:
			began = time.Time{}
		case attempt(e) && slices.ContainsFunc(p.history[n+1:], attempt): // The last attempt is that of this request.
			after := p.history[n+1]
			if after.Kind != batch.EntryResult || after.Failure == nil || after.Failure.Kind == batch.ErrAmbiguous {
				began = e.At
			}
		}
	}
	return began, !began.IsZero() && began.Add(15*time.Minute).After(minute(p.clock))
}

// observed checks that the journal has the result of a Submit of which an event
// tells.
func (p *play) observed(event batch.Event) {
	if event.Phase != batch.PhaseSubmit || len(p.actors) > 0 {
		return // Beside another call, the last entry may be that of the other.
	}
	if last := p.history[len(p.history)-1]; last.Kind == batch.EntryAttempt {
		p.wrong("an event tells of a submit whose result is not written")
	}
}

func (s seat) Poll(_ context.Context, b batch.Batch) (batch.Batch, error) {
	if b.State.Final() {
		return b, nil
	}
	s.yield(s.a)
	s.pass()
	word := 0
	if s.failures > 0 {
		word = s.path.choose(3)
	}
	if word > 0 {
		s.failures--
	}
	switch {
	case word == 1:
		s.say(s.a, "poll failed")
		return b, &batch.Error{Kind: batch.ErrUnavailable, Provider: "small", Op: "Poll"}
	case b.ID != "1":
		s.say(s.a, "poll of a batch that is another's")
		return b, &batch.Error{Kind: batch.ErrConflict, Provider: "small", Op: "Poll"}
	case word == 2 || s.applied == 0 && !s.canceled:
		b.State = s.rules.unseen
	case s.applied > 0:
		b.State = batch.StateDone
	default:
		b.State = batch.StateCanceled
	}
	s.say(s.a, "poll says %q", b.State)
	return b, nil
}

func (s seat) Report(_ context.Context, b batch.Batch) (batch.Report, error) {
	outcome := batch.OutcomePaid
	if s.applied == 0 {
		outcome = batch.OutcomeSkipped
	}
	return batch.NewReport(b, []batch.Result{{Item: b.Draft.Items[0], Outcome: outcome}})
}

func (s seat) Cancel(_ context.Context, b batch.Batch) (batch.Batch, error) {
	s.yield(s.a)
	s.pass()
	if s.applied > 0 {
		s.say(s.a, "cancel refused")
		return b, &batch.Error{Kind: batch.ErrConflict, Provider: "small", Op: "Cancel"}
	}
	s.canceled = true
	s.say(s.a, "canceled")
	b.State = batch.StateCanceled
	return b, nil
}

func (s seat) Lock(context.Context, batch.Key) (func(), error) {
	if s.a == nil || s.rules.lockless {
		return func() {}, nil
	}
	for s.holder != nil && s.holder != s.a {
		s.a.wait = true
		s.yield(s.a)
	}
	s.a.wait, s.holder = false, s.a
	return func() { s.holder = nil }, nil
}

func (s seat) History(context.Context, batch.Key) ([]batch.Entry, error) {
	s.yield(s.a)
	s.say(s.a, "reads %d entries", len(s.history))
	if s.a != nil {
		s.a.read = s.applied + s.flight
	}
	return slices.Clone(s.history), nil
}

func (s seat) Append(_ context.Context, _ batch.Key, e batch.Entry) error {
	s.yield(s.a)
	s.crash(s.a, "before it writes "+string(e.Kind))
	if e.Seq != len(s.history)+1 {
		s.say(s.a, "was overtaken")
		return &batch.Error{Kind: batch.ErrConflict, Op: "Journal"}
	}
	claims := func(one batch.Entry) bool {
		return slices.ContainsFunc(one.Claims, func(name string) bool {
			return strings.HasPrefix(name, "batch "+e.Batch.ID+" ")
		})
	}
	if e.Batch != nil && e.Batch.ID != "" && !claims(e) && !slices.ContainsFunc(s.history, claims) {
		s.wrong("an entry has the ID of a batch, and the journal has no claim to it")
	}
	for _, name := range e.Claims {
		if strings.HasPrefix(name, "batch 2 ") {
			return &batch.ClaimedError{Name: name, Holder: batch.Key{Reference: "other"}}
		}
	}
	s.history = append(s.history[:len(s.history):len(s.history)], e)
	s.say(s.a, "wrote %s %s", e.Kind, e.Step)
	s.crash(s.a, "after it has written")
	return nil
}

func (s seat) Open(context.Context, string, string) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) {
		if n := len(s.history); n > 0 && s.history[n-1].Kind != batch.EntryDone {
			yield(batch.History{Key: batch.Key{Provider: "small", Account: "world", Reference: "run-1"},
				Entries: slices.Clone(s.history)}, nil)
		}
	}
}

func (s seat) Closed(context.Context, string, string, time.Time) iter.Seq2[batch.History, error] {
	return func(func(batch.History, error) bool) {}
}

func (s seat) Next(context.Context, string, int64) (int64, error) { return 1, nil }

// Now is the journal's clock: it stands still until time passes.
func (s seat) Now(context.Context) (time.Time, error) {
	return minute(s.clock), nil
}

// calls are all that a program or an operator can do.
var calls = []struct {
	name string
	call func(p batch.Provider, o *batch.RunOptions) (batch.Batch, error)
}{
	{"Run", func(p batch.Provider, o *batch.RunOptions) (batch.Batch, error) {
		d := oneItem()
		if !o.Journal.(seat).rules.approved {
			report, err := batch.Run(context.Background(), p, d, o)
			return report.Batch, err
		}
		d.Author, d.Approvals = "eve", 1
		report, err := batch.Run(context.Background(), p, d, o)
		return report.Batch, err
	}},
	{"Resume", func(p batch.Provider, o *batch.RunOptions) (batch.Batch, error) {
		report, err := batch.Resume(context.Background(), p, "run-1", o)
		return report.Batch, err
	}},
	{"Settle", func(p batch.Provider, o *batch.RunOptions) (b batch.Batch, err error) {
		b.State = batch.StateUnknown
		var r batch.Report
		for r, err = range batch.Settle(context.Background(), p, o) {
			b = r.Batch
		}
		return b, err
	}},
	{"Abandon", resolves(batch.Abandon, "")},
	{"Resend", resolves(batch.Resend, "")},
	{"Adopt", resolves(batch.Adopt, "1")},
	{"Adopt another's", resolves(batch.Adopt, "2")},
	{"Close", resolves(batch.Close, "")},
	{"Approve", func(p batch.Provider, o *batch.RunOptions) (b batch.Batch, err error) {
		desk := batch.NewDesk(p, o.Journal)
		d, err := desk.Dossier(context.Background(), "run-1")
		if err == nil {
			err = desk.Approve(context.Background(), "run-1", batch.Approval{Operator: "ada", Digest: d.Digest})
		}
		return batch.Batch{State: batch.StateUnknown}, err
	}},
}

func resolves(v batch.Verdict, id string) func(batch.Provider, *batch.RunOptions) (batch.Batch, error) {
	return func(p batch.Provider, o *batch.RunOptions) (batch.Batch, error) {
		d := decision(v)
		d.BatchID = id
		return batch.NewDesk(p, o.Journal).Resolve(context.Background(), "run-1", d)
	}
}

// make makes a call, and holds what it is told against the world.
func (p *play) make(a *actor, n int) {
	s := seat{p, a}
	var service batch.Provider = s
	if !p.rules.cancels {
		service = plainly{s}
	}
	defer func() {
		if p.holder == a {
			p.holder = nil
		}
		if v := recover(); v != nil {
			if _, ok := v.(dies); !ok {
				panic(v)
			}
		}
	}()
	p.say(nil, "%s", calls[n].name)
	b, err := calls[n].call(service, &batch.RunOptions{Journal: s, ReconcileFor: time.Nanosecond, Observe: p.observed,
		Watch: batch.WatchOptions{Interval: time.Nanosecond, MaxFailures: 1}})
	p.say(nil, "%s returns %q, %v", calls[n].name, b.State, batch.KindOf(err))
	p.told(a, calls[n].name, b, err)
}

// told checks that what a call has said is true.
func (p *play) told(a *actor, call string, b batch.Batch, err error) {
	closed := len(p.history) > 0 && p.history[len(p.history)-1].Kind == batch.EntryDone
	decided := p.history[max(0, len(p.history)-1):]
	abandoned := closed && decided[0].Decision != nil && decided[0].Decision.Verdict != batch.Close
	if b.Draft.Reference == "" && (call == "Settle" || call == "Approve") {
		return // Nothing is open, or nothing is said of it.
	}
	kind := batch.KindOf(err)
	switch {
	case err == nil && slices.Contains([]string{"Abandon", "Resend", "Adopt"}, call) &&
		!slices.ContainsFunc(p.history, func(e batch.Entry) bool { return e.Decision != nil }):
		p.wrong("%s succeeds, and the decision is not written", call)
	case p.applied > 1+p.resends():
		p.wrong("money moved %d times", p.applied)
	case a != nil && p.rules.lockless && b.State == batch.StateDraft && a.read == 0:
		// Without a lock, a call that writes nothing speaks of the time when it read.
	case b.State == batch.StateDraft && p.applied+p.flight > 0:
		p.wrong("%s says draft, and a Submit has arrived or may still", call)
	case b.State == batch.StatePending && p.applied == 0, b.State == batch.StateDone && p.applied == 0:
		p.wrong("%s says %q, and nothing has arrived", call, b.State)
	case b.State == batch.StateCanceled && !p.canceled:
		p.wrong("%s says canceled, and it is not", call)
	case (call == "Run" || call == "Resume") && err == nil && !b.State.Final():
		p.wrong("%s succeeds with the state %q", call, b.State)
	case kind == batch.ErrAmbiguous && b.State != batch.StateUnknown:
		p.wrong("%s says ambiguous, and %q", call, b.State)
	case kind == batch.ErrAmbiguous && closed && !abandoned && len(p.actors) == 0:
		p.wrong("%s says ambiguous, and the journal does not hold it open", call)
	case err != nil && !errorsAs(err):
		p.wrong("%s gives an error that is not an *Error: %v", call, err)
	}
	// A history that is closed without an operator has moved money or was canceled.
	if closed && !abandoned && p.applied == 0 && !p.canceled {
		p.wrong("the history is closed, and nothing has arrived")
	}
}

func errorsAs(err error) bool {
	var e *batch.Error
	return errors.As(err, &e)
}

// alone plays one call in a world, in every way, and yields the worlds after.
func alone(r rulesOf, w world, call int, yield func(world, []string)) {
	choices := new(path)
	for more := true; more; more = choices.next() {
		p := &play{rules: r, world: w, path: choices}
		p.make(nil, call)
		yield(p.world, p.faults)
	}
}

// together plays two calls at once in a world, in every order of their steps.
func together(r rulesOf, w world, one, two int, yield func(world, []string)) {
	choices := new(path)
	seen := make(map[uint64]bool)
	seed := maphash.MakeSeed()
	for more := true; more; more = choices.next() {
		p := &play{rules: r, world: w, path: choices}
		fresh := len(choices.choices)
		for n, call := range []int{one, two} {
			a := &actor{name: string(rune('A' + n)), turn: make(chan struct{}), back: make(chan struct{})}
			p.actors = append(p.actors, a)
			go func() {
				<-a.turn
				p.make(a, call)
				a.over = true
				a.back <- struct{}{}
			}()
		}
		pruned := false
		for {
			var ready []*actor
			for _, a := range p.actors {
				if !a.over && (!a.wait || p.holder == nil || p.holder == a) {
					ready = append(ready, a)
				}
			}
			if len(ready) == 0 {
				break
			}
			if p.path.at >= fresh && !pruned {
				// From the same world with the same two calls at the same places all was tried.
				state := maphash.String(seed, fmt.Sprint(p.key(), p.holder == p.actors[0], p.holder == p.actors[1],
					p.actors[0].steps, p.actors[0].saw, p.actors[0].over, "/", p.actors[1].steps, p.actors[1].saw,
					p.actors[1].over))
				if pruned = seen[state]; pruned {
					p.path.frozen = true // It only runs to its end.
				}
				seen[state] = true
			}
			next := ready[0]
			if len(ready) > 1 {
				next = ready[p.path.choose(len(ready))]
			}
			next.turn <- struct{}{}
			<-next.back
		}
		yield(p.world, p.faults)
	}
}

// end is what happens when all is healed: late requests arrive, and an operator
// resumes.
func end(r rulesOf, w world) []string {
	p := &play{rules: r, world: w, path: new(path)}
	p.crashes, p.failures = 0, 0
	for p.flight > 0 {
		p.flight--
		p.arrive()
	}
	p.clock += 16
	closed := len(p.history) == 0 || p.history[len(p.history)-1].Kind == batch.EntryDone
	n := slices.IndexFunc(calls, func(c struct {
		name string
		call func(batch.Provider, *batch.RunOptions) (batch.Batch, error)
	}) bool {
		return c.name == "Run"
	})
	p.make(nil, n)
	p.make(nil, n)
	last := p.history[len(p.history)-1]
	if !closed && p.applied > 0 && last.Kind != batch.EntryDone {
		p.wrong("it has arrived, all is healed, and it stays open")
	}
	if !closed && r.guard == batch.GuardRefuses && last.Kind != batch.EntryDone && !p.canceled {
		p.wrong("behind a guard, all is healed, and it stays open")
	}
	return p.faults
}

// collectLess makes the garbage collector wait until t is over: a world is
// small, and there are many, and to collect each costs a third of the time.
func collectLess(t *testing.T) {
	percent := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
}

func TestSmallWorldsExploredWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find in one goroutine")
	}
	collectLess(t)
	services := []rulesOf{
		{name: "no guard, as CityPay", unseen: batch.StateUnknown},
		{name: "no guard, and it cancels, as SnapBill", unseen: batch.StateDraft, cancels: true},
		{name: "a guard", guard: batch.GuardRefuses, unseen: batch.StateDraft},
		{name: "a guard, and it cancels, as 6DOT50", guard: batch.GuardRefuses, unseen: batch.StateDraft,
			cancels: true},
		{name: "no guard, and a person must approve", unseen: batch.StateUnknown, approved: true},
	}
	for _, r := range services {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			runs := 0
			first := world{crashes: 1 + *deeper/2, failures: 1 + *deeper/2}
			seen := map[string]bool{first.key(): true}
			queue := []world{first}
			check := func(w world, faults []string) {
				runs++
				if len(faults) > 0 {
					require.Fail(t, faults[0])
				}
				if k := w.key(); len(w.history) > 0 && !seen[k] {
					seen[k] = true
					queue = append(queue, w)
				}
			}
			for len(queue) > 0 {
				w := queue[0]
				queue = queue[1:]
				for _, fault := range end(r, w) {
					require.Fail(t, fault)
				}
				if w.submits >= mostSubmits() {
					continue
				}
				for n, c := range calls {
					if c.name == "Run" && len(w.history) > 0 || c.name == "Approve" && !r.approved {
						continue // Resume does the same; and Approve changes nothing where no approval is needed.
					}
					alone(r, w, n, check)
				}
			}
			t.Logf("%d worlds, %d calls, %s", len(seen), runs, time.Since(began).Round(time.Millisecond))
		})
	}
}

func TestSmallWorldsWithTwoCallersAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine runs at a time")
	}
	collectLess(t)
	for _, r := range []rulesOf{
		{name: "no guard", unseen: batch.StateUnknown},
		{name: "a guard, and it cancels", guard: batch.GuardRefuses, unseen: batch.StateDraft, cancels: true},
		{name: "no guard, and a lock that excludes no other", unseen: batch.StateUnknown, lockless: true},
		{name: "a guard, it cancels, and a lock that excludes no other", guard: batch.GuardRefuses,
			unseen: batch.StateDraft, cancels: true, lockless: true},
	} {
		t.Run(r.name, func(t *testing.T) {
			if r.lockless && r.cancels && *deeper == 0 {
				t.Skip("370,000 pairs of calls: -explore 1 tries them")
			}
			t.Parallel()
			began := time.Now()
			runs, starts := 0, 0
			worlds := map[string]bool{}
			for _, first := range startingWorlds(r) {
				first.crashes, first.failures = max(*deeper-1, 0), max(*deeper-1, 0)
				starts++
				for one := range calls {
					for two := range calls[:one+1] {
						if calls[one].name == "Approve" || *deeper <= 1 && two > 1 || len(first.history) > 0 &&
							one+two == 1 {
							continue // One of the two is Run or Resume, which do the same in most worlds.
						}
						together(r, first, one, two, func(w world, faults []string) {
							runs++
							worlds[w.key()] = true
							if len(faults) > 0 {
								require.Fail(t, faults[0])
							}
						})
					}
				}
			}
			t.Logf("%d starts, %d worlds after, %d pairs of calls, %s", starts, len(worlds), runs,
				time.Since(began).Round(time.Millisecond))
		})
	}
}

// startingWorlds are one world for each progress that one call can leave.
func startingWorlds(r rulesOf) []world {
	all := []world{{}}
	seen := map[string]bool{}
	alone(r, world{crashes: 1}, 0, func(w world, _ []string) {
		k := w.key()
		if *deeper <= 1 {
			k = batch.ProgressKey(w.history) // One for each progress is enough by default.
		}
		if !seen[k] && w.submits <= 1 {
			seen[k] = true
			all = append(all, w)
		}
	})
	return all
}
