package campaign

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// A move is one call of the public API.
type move struct {
	op       string // Run, Resume, Settle, Pending or Resolve
	other    bool   // by a process of other terms
	decision batch.Decision
}

// operator makes moves at random, now and then.
func (u *runner) operator(r *rand.Rand) {
	for range 1 + r.IntN(5) {
		time.Sleep(time.Duration(r.IntN(1800)) * time.Second)
		st := u.stories[r.IntN(len(u.stories))]
		m := move{op: pick(r, "Resume", "Resume", "Settle", "Pending", "Resolve"), other: u.plan.sites && maybe(r)}
		if m.op == "Resolve" {
			m.decision = u.decide(r, u.verdict(r))
		}
		u.call(st, u.patience(r), m)
	}
}

func (u *runner) verdict(r *rand.Rand) batch.Verdict {
	if u.plan.resends && r.IntN(4) == 0 {
		return batch.Resend
	}
	return pick(r, batch.Abandon, batch.Adopt, batch.Adopt)
}

// decide is the decision of an operator who does not know better.
func (u *runner) decide(r *rand.Rand, v batch.Verdict) batch.Decision {
	d := batch.Decision{Verdict: v, Operator: "an operator", Reason: fmt.Sprint("case ", u.event())}
	if d.Verdict != batch.Adopt {
		return d
	}
	// The right ID, one of another reference, or an old one.
	ids := []string{u.old, "1"}
	for _, e := range u.effects() {
		ids = append(ids, e.Batch)
	}
	for _, st := range u.stories {
		for _, e := range u.disk.read(st.key) {
			if e.Batch != nil {
				ids = append(ids, e.Batch.ID)
			}
		}
	}
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
	if d.BatchID = pick(r, ids...); u.old != "" && maybe(r) {
		d.BatchID = u.old
	}
	return d
}

// call is one process. It reports whether there is nothing more to do.
func (u *runner) call(st *story, patience time.Duration, m move) (done bool) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	p := u.s.provider()
	if m.other && u.s.other != nil {
		p = u.s.other()
	}
	u.mu.Lock()
	u.tally.moves++
	u.mu.Unlock()
	began := time.Now()
	report, err, dies := u.make(ctx, p, st, m)
	// It waits for those that have the lock.
	limit := longest * time.Duration(max(1, u.plan.callers+u.plan.operators-1))
	if m.op == "Settle" {
		limit *= time.Duration(len(u.stories)) // It waits for the lock of each.
	}
	if took := time.Since(began); took > limit {
		u.violate(&u.tally.hangs, "a %s took %s of virtual time", m.op, took)
	}
	if dies || m.op != "Run" && m.op != "Resume" {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if err == nil {
		st.ended = true
		u.finished(st, report)
		return true
	}
	if u.plan.calm() && !u.healed {
		u.violate(&u.tally.lost, "nothing goes wrong, and yet a batch fails: %v", err)
		return true
	}
	st.gaveUp = u.plan.giveUp && u.plan.callers == 1 && u.plan.operators == 0 && len(u.plan.decisions) == 0 &&
		!u.plan.sites && report.Batch.State == batch.StateDraft
	return st.gaveUp
}

// make makes a move, and survives the death of its process.
func (u *runner) make(ctx context.Context, p batch.Provider, st *story, m move) (report batch.Report, err error, dies bool) { //nolint:revive // The error is not the last thing that is said.
	defer func() {
		if v := recover(); v != nil {
			if _, ok := v.(died); !ok {
				panic(v)
			}
			dies = true
		}
	}()
	o := &batch.RunOptions{Journal: &process{disk: u.disk}, Watch: batch.WatchOptions{Interval: time.Second,
		MaxInterval: 10 * time.Second, MaxFailures: 5}}
	began := u.event()
	say := func(reference string, b batch.Batch, err error) {
		known := slices.IndexFunc(u.stories, func(st *story) bool { return st.key.Reference == reference })
		switch {
		case known >= 0:
			u.say(u.stories[known], telling{began, u.event(), m.op, b, err})
		case reference != "" || err == nil: // An error of the journal itself is about no batch.
			u.violate(&u.tally.wrong, "%s says something of %q, which is not a reference: %v", m.op, reference, err)
		}
	}
	switch m.op {
	case "Run", "Resume":
		o.Observe = func(e batch.Event) { u.observed(st, e) }
		if m.op == "Run" {
			report, err = batch.Run(ctx, p, st.draft, o)
		} else {
			report, err = batch.Resume(ctx, p, st.key.Reference, o)
		}
		say(st.key.Reference, report.Batch, err)
	case "Settle":
		for settled, err := range batch.Settle(ctx, p, o) {
			b := settled.Batch
			say(b.Draft.Reference, b, err)
		}
	case "Pending":
		for d, err := range batch.NewDesk(p, o.Journal).Pending(ctx) {
			state := batch.StateUnknown
			if d.Standing == batch.StandingIntended || d.Standing == batch.StandingDraft {
				state = batch.StateDraft
			}
			say(d.Key.Reference, batch.Batch{Provider: d.Key.Provider, State: state,
				Draft: batch.Draft{Reference: d.Key.Reference}}, err)
		}
	case "Resolve":
		var b batch.Batch
		b, err = batch.NewDesk(p, o.Journal).Resolve(ctx, st.key.Reference, m.decision)
		say(st.key.Reference, b, err)
		written := slices.ContainsFunc(u.disk.read(st.key), func(e batch.Entry) bool {
			return e.Decision != nil && e.Decision.Reason == m.decision.Reason
		})
		if err == nil && !written {
			u.violate(&u.tally.lost, "Resolve has returned without an error, and %q is not in the journal",
				m.decision.Verdict)
		}
	}
	return report, err, false
}

// say notes what a call said, and checks what holds whatever happened.
func (u *runner) say(st *story, t telling) {
	st.mu.Lock()
	st.tellings = append(st.tellings, t)
	st.mu.Unlock()
	if text := fmt.Sprintf("%v %+v %+v", t.err, t.err, t.batch); u.leaks(text) {
		u.violate(&u.tally.wrong, "a secret is in what %s returned: %s", t.op, text)
	}
	if t.batch.Provider != st.key.Provider || t.batch.Draft.Reference != st.key.Reference {
		u.violate(&u.tally.wrong, "%v of a batch of provider %q and reference %q", t, t.batch.Provider,
			t.batch.Draft.Reference)
	}
	if t.err == nil {
		return
	}
	if e := (*batch.Error)(nil); !errors.As(t.err, &e) || strings.Contains(t.err.Error(), "\n") {
		u.violate(&u.tally.wrong, "%s returned an error that is not an *Error on one line: %v", t.op, t.err)
	}
}

// observed holds what an observer hears against the journal: it must be there
// already.
func (u *runner) observed(st *story, e batch.Event) {
	h := u.disk.read(st.key)
	written := true
	switch e.Phase {
	case batch.PhaseCreate:
		written = h.count(batch.EntryResult, batch.StepCreate) > 0 && h[len(h)-1].Kind == batch.EntryResult
	case batch.PhaseSubmit:
		written = slices.ContainsFunc(h, func(entry batch.Entry) bool {
			return entry.Kind == batch.EntryResult && entry.Step == batch.StepSubmit && entry.Attempt == e.Attempt
		})
	case batch.PhaseReconcile:
		written = e.Batch.State == batch.StateDraft || e.Batch.State == batch.StateUnknown ||
			h.count(batch.EntryReconciled, "") > 0
	case batch.PhaseWithdraw:
		written = h.count(batch.EntryWithdrawn, "") > 0
	}
	// A disk that has failed is told in the error.
	if !written && (e.Err == nil || !errors.Is(e.Err, errDisk)) {
		u.violate(&u.tally.wrong, "an observer has heard of %s (%v), and the journal has not", e.Phase, e.Err)
	}
}

// finished holds a report against what has happened.
func (u *runner) finished(st *story, report batch.Report) {
	d := st.draft
	if !report.Batch.State.Final() {
		u.violate(&u.tally.wrong, "a call returned without an error, and the batch is %q", report.Batch.State)
	}
	if paid := report.Totals[batch.OutcomePaid].Count; u.plan.lie && !u.healed && paid > 0 {
		u.violate(&u.tally.wrong, "%d amounts that are null were believed", paid)
	}
	if len(report.Results) != len(d.Items) || len(report.Unmatched) > 0 {
		u.violate(&u.tally.wrong, "%d results and %d unmatched for %d items", len(report.Results),
			len(report.Unmatched), len(d.Items))
		return
	}
	if u.plan.twice() || u.disk.read(st.key).decided(batch.Resend) {
		return // What moved twice is counted apart.
	}
	accepted, moved := u.accepted(), u.moved()
	for n, result := range report.Results {
		item := d.Items[n]
		if result.Item.Reference != item.Reference || result.Item.Amount != item.Amount {
			u.violate(&u.tally.wrong, "item %d is reported as %v", n, result.Item)
		}
		// A record that a service refuses by itself is not accepted; nor is a withdrawn draft that an operator has
		// adopted.
		if n := accepted[item.Reference]; n != 1 && (n != 0 || result.Outcome != batch.OutcomeFailed &&
			report.Batch.State != batch.StateCanceled) {
			u.violate(&u.tally.wrong, "a call returned without an error, and %s was accepted %d times",
				item.Reference, n)
		}
		times := moved[item.Reference]
		switch result.Outcome {
		case batch.OutcomePaid:
			if times != 1 {
				u.violate(&u.tally.wrong, "%s is reported as paid, and moved %d times", item.Reference, times)
			}
		case batch.OutcomeFailed, batch.OutcomeSkipped:
			// A withdrawn draft that an operator has adopted moved nothing: the twin of the batch did.
			if times != 0 && (!u.plan.twin || report.Batch.State != batch.StateCanceled) {
				u.violate(&u.tally.wrong, "%s is reported as %s, and moved %d times", item.Reference,
					result.Outcome, times)
			}
		case batch.OutcomePending:
			u.violate(&u.tally.wrong, "%s is reported as pending in a batch that is final", item.Reference)
		}
	}
}
