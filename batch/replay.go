package batch

import (
	"fmt"
	"slices"
	"time"
)

// This file decides about money. It does no I/O: replay reads what a history
// says, and next looks up in a table what may be done about it. Run, Resume,
// Settle, Pending and Resolve all ask this table, and carry out what it says.

// A step is what may be done next about a batch.
type step string

const (
	stepStop      step = "stop"      // nothing: the history is closed
	stepExpire    step = "expire"    // nothing: the time for it is over
	stepWait      step = "wait"      // wait for the end and report; nothing more is sent
	stepReconcile step = "reconcile" // read what became of a Submit; nothing more is sent before that is known
	stepSubmit    step = "submit"    // let the money move
	stepWithdraw  step = "withdraw"  // cancel a draft that an earlier Create has left
	stepCreate    step = "create"    // make a draft at the service
	stepApprove   step = "approve"   // nothing: people must approve first
)

// A situation is what decides beside the history.
type situation struct {
	guard    Guard
	read     State // what a read says that began when the last Submit was no longer in flight; empty without one
	secrets  bool  // the batch has its secrets, which a journal does not keep
	cancels  bool  // the provider is a Canceler
	finds    bool  // the provider is a Finder
	searched bool  // this call has looked for a draft that an earlier Create may have left
	expired  bool  // Draft.NotAfter has passed
}

// rules is the table: the first rule that applies names the step.
var rules = []struct {
	applies func(p progress, s situation) bool
	step    step
	reason  string
}{
	{func(p progress, _ situation) bool { return p.closed }, stepStop,
		"the history is closed"},
	{func(p progress, _ situation) bool { return p.submitted }, stepWait,
		"the service has the batch"},
	{func(p progress, s situation) bool { return p.open > 0 && s.expired }, stepReconcile,
		"a Submit may have arrived, and none may begin any more"},
	{func(_ progress, s situation) bool { return s.expired }, stepExpire,
		"no Submit may begin any more"},
	{func(p progress, s situation) bool {
		return p.batch != nil && s.secrets && p.lacking() > 0 && (p.open == 0 || p.resend)
	}, stepApprove,
		"there is a draft, and people must approve first"},
	{func(p progress, s situation) bool { return p.open > 0 && p.resend && s.secrets }, stepSubmit,
		"a Submit may have arrived, and an operator has decided to send one more"},
	{func(p progress, _ situation) bool { return p.open > 0 && p.resend }, stepCreate,
		"the same, and the batch has lost its secrets"},
	{func(p progress, s situation) bool {
		return p.open > 0 && s.guard == GuardRefuses && s.read == StateDraft && s.secrets
	}, stepSubmit,
		"a Submit may have arrived, but it is no longer in flight, a read since then says draft, and the service refuses the second of two"},
	{func(p progress, _ situation) bool { return p.open > 0 }, stepReconcile,
		"a Submit may have arrived"},
	{func(p progress, s situation) bool { return p.batch == nil && len(p.left) > 0 && s.cancels }, stepWithdraw,
		"an earlier Create has left a draft that was not verified"},
	{func(p progress, s situation) bool {
		return p.batch == nil && p.creating > 0 && s.finds && !s.searched
	}, stepWithdraw,
		"an earlier Create may have left a draft"},
	{func(p progress, s situation) bool { return p.batch == nil || !s.secrets }, stepCreate,
		"there is no draft"},
	{func(progress, situation) bool { return true }, stepSubmit,
		"there is a draft, and no Submit that can have arrived"},
}

// next returns what may be done about p.
func (p progress) next(s situation) step {
	next, _ := p.decide(s)
	return next
}

// decide returns what may be done about p, and why.
func (p progress) decide(s situation) (next step, reason string) {
	for _, rule := range rules {
		if rule.applies(p, s) {
			return rule.step, rule.reason
		}
	}
	return stepStop, "no rule applies"
}

// progress is what a history amounts to.
type progress struct {
	intent    *Entry
	batch     *Batch    // what Create returned, or what is known since it was submitted
	seen      *Batch    // the batch in the newest entry that has one
	seenAt    time.Time // when that was written down
	creates   int       // attempts to create
	creating  int       // attempts to create that may have left a draft whose ID is not known
	left      []string  // the IDs of drafts that failed attempts to create have left
	submits   int       // attempts to submit
	open      int       // attempts to submit that may have arrived or may still arrive
	last      *Entry    // the last attempt to submit
	running   *Entry    // the same, as long as the journal holds no result of it
	silent    *Entry    // an attempt to submit of which the journal holds no result
	unclear   *Failure  // why the outcome of the last unclear attempt is unknown
	refused   *Failure  // how the last attempt was refused; nil if it was not
	observed  *Failure  // the last evidence of a read about the unclear attempts
	resend    bool      // an operator has decided that one more Submit may be sent
	submitted bool      // the service has the batch
	adopted   bool      // batch is what an operator has named, and nothing was sent because of it
	unadopted *Batch    // batch as it was before that
	touched   bool      // the service may hold something under this key
	approvals []Approval
	closed    bool
	outcomes  *ItemOutcomes // as they were reported last
	told      time.Time     // when that was written down
	abandoned *Decision
	said      map[string]Outcome // what people have said of items when they closed it, by reference
	explained *Decision          // of a person who has closed it without an end, or with a difference
}

// replay returns the progress of a history.
func replay(history []Entry) progress {
	var p progress
	for i := range history {
		p.apply(&history[i])
	}
	return p
}

func (p *progress) apply(e *Entry) {
	if e.Batch != nil {
		p.seen, p.seenAt = e.Batch, e.At
	}
	switch e.Kind {
	case EntryIntent:
		p.intent = e
		if p.open == 0 {
			p.batch = nil // Another number or a corrected draft: nothing was submitted under the old one.
		}
	case EntryAttempt:
		p.touched = true
		if e.Step == StepCreate {
			p.creates = e.Attempt
			p.creating++
			return
		}
		// Until the journal holds its result, it may have arrived.
		if p.running != nil {
			p.silent = p.running
		}
		p.submits, p.last, p.running, p.refused, p.resend = e.Attempt, e, e, nil, false
		p.open++
		p.adopted, p.unadopted = false, nil
	case EntryResult:
		if e.Step == StepCreate {
			p.applyCreated(e)
		} else {
			p.applySubmitted(e)
		}
	case EntryWithdrawn:
		if n := slices.Index(p.left, e.Batch.ID); n >= 0 {
			p.left = slices.Delete(slices.Clone(p.left), n, n+1)
		} else if p.batch != nil && p.batch.ID == e.Batch.ID {
			p.batch = nil // A corrected draft takes its place.
		} else {
			// It was found by its reference; another attempt may have left another draft.
			p.creating = max(p.creating-1, 0)
		}
		p.touched = p.creating > 0 || len(p.left) > 0
	case EntryObserved:
		p.observed = e.Failure
	case EntryApproval:
		p.approvals = append(slices.Clone(p.approvals), *e.Approval)
	case EntryReconciled:
		switch {
		case e.Decision == nil:
			p.open, p.adopted = 0, false
		case !p.adopted:
			p.doubt()
			p.unadopted, p.adopted = p.batch, true
		}
		p.batch, p.submitted, p.resend = e.Batch, true, false
		p.closed, p.abandoned = false, nil // An abandoned batch turned out to be submitted.
	case EntryDecision:
		// Resend: one more Submit may be sent. What was adopted before was not this batch.
		*p = p.withoutAdoption()
		p.doubt()
		p.resend, p.creating = p.open > 0, 0
	case EntryDone:
		p.batch, p.closed, p.outcomes, p.abandoned, p.explained = e.Batch, true, e.Outcomes, e.Decision, nil
		if e.Outcomes != nil {
			p.told = e.At
		}
		if e.Decision != nil && e.Decision.Verdict == Close {
			p.abandoned, p.explained, p.said = nil, e.Decision, p.words(e.Decision)
		}
	}
}

// erased says that the journal has erased an item, and so the fingerprint.
func (p progress) erased() bool { return p.intent != nil && p.intent.Fingerprint == Erased }

// toldAt is the time of a report that is written down now: not earlier than those
// before it, even if the clock was set back or is another machine's, so that what
// AsOf has said of a time stays so.
func (p progress) toldAt(now time.Time) time.Time {
	if now.Before(p.told) {
		return p.told.Add(time.Nanosecond)
	}
	return now
}

// withoutAdoption is p as if the operator had named no batch.
func (p progress) withoutAdoption() progress {
	if p.adopted {
		p.batch, p.submitted, p.adopted = p.unadopted, false, false
	}
	return p
}

// handle is the batch as the history knows it, or the draft that was intended.
func (p progress) handle(provider string) Batch {
	if p.batch != nil {
		return *p.batch
	}
	return Batch{Provider: provider, Draft: *p.intent.Draft, State: StateDraft}
}

// doubt takes back that the service has the batch: it no longer says so, and an
// operator has decided.
func (p *progress) doubt() {
	if p.submitted {
		draft := *p.batch
		draft.State = StateDraft
		p.batch, p.submitted, p.open = &draft, false, 1
		if p.unclear == nil {
			p.unclear = &Failure{Kind: ErrAmbiguous, Message: "the service accepted batch " + draft.ID +
				" and does not know it now"}
		}
	}
}

func (p *progress) applyCreated(e *Entry) {
	switch {
	case e.Decision != nil:
		if !p.adopted {
			p.unadopted, p.adopted = p.batch, true
		}
		p.batch, p.submitted = e.Batch, false
		return
	case e.Failure == nil:
		p.batch, p.creating, p.left = e.Batch, 0, nil
		return
	case e.Batch.ID != "" && e.Batch.State == StateCanceled, e.Batch.ID == "" && e.Failure.Kind != ErrAmbiguous:
		p.creating-- // A refusal, or a draft that was withdrawn, closes only its own attempt.
	case e.Batch.ID != "":
		p.creating--
		p.left = append(slices.Clone(p.left), e.Batch.ID)
	}
	p.touched = p.creating > 0 || len(p.left) > 0
	p.refused = e.Failure
}

func (p *progress) applySubmitted(e *Entry) {
	p.running = nil
	switch {
	case e.Failure == nil:
		p.batch, p.open, p.submitted = e.Batch, 0, true
	case e.Failure.Kind == ErrAmbiguous:
		p.unclear = e.Failure
		if e.Batch.ID != "" && p.batch != nil && p.batch.ID == "" {
			named := *e.Batch // An unclear reply may still name the batch.
			named.State = StateDraft
			p.batch = &named
		}
	default:
		p.open-- // A refusal closes only its own attempt.
		p.refused = e.Failure
		if p.batch != nil && e.Batch.State != StateUnknown {
			read := *p.batch // Another program may have submitted or deleted it.
			read.State, read.Native = e.Batch.State, e.Batch.Native
			p.batch = &read
		}
	}
}

// state is what may be said of the batch: StateDraft only if no Submit can
// have arrived.
func (p progress) state(b Batch) Batch {
	if p.open > 0 && !p.submitted && !p.closed {
		b.State = StateUnknown
	}
	return b
}

// defaultInFlight is longer than any exchange: a provider gives up after ten
// minutes.
const defaultInFlight = 15 * time.Minute

func (i Info) inFlight() time.Duration {
	if i.InFlight > 0 {
		return i.InFlight
	}
	return defaultInFlight
}

// landsBy is when the last Submit can no longer be in flight.
func (p progress) landsBy(info Info) time.Time { return p.last.At.Add(info.inFlight()) }

// repeats says whether, and after which wait, Run makes the same Submit again
// that failed with err and certainly had no effect. tries counts this one.
//
//	nothing was sent            after 1 s and 4 s
//	throttled, not processed    after what the service asks, up to a minute
//	401, and tokens are renewed at once, one time
//	anything else               never
func (i Info) repeats(err *Error, tries int) (wait time.Duration, again bool) {
	const most, longest = 3, time.Minute
	switch {
	case i.NoRepeat, tries >= most, err.RetryAfter > longest:
		return 0, false // A longer wait is the caller's decision.
	case err.Kind == ErrUnavailable, err.Kind == ErrThrottled:
		return max(time.Duration(tries*tries)*time.Second, err.RetryAfter), true
	case err.Kind == ErrAuth && err.Status == 401:
		return 0, i.Renews && tries == 1
	}
	return 0, false
}

// known refuses a history with entries that this version does not know: what
// they mean may decide about money.
func known(history []Entry) error {
	for _, e := range history {
		switch {
		case e.Kind == EntryIntent && e.Draft != nil, e.Kind == EntryReconciled && e.Batch != nil,
			e.Kind == EntryDone && e.Batch != nil:
		case e.Kind == EntryAttempt && (e.Step == StepCreate || e.Step == StepSubmit):
		case e.Kind == EntryResult && (e.Step == StepCreate || e.Step == StepSubmit) && e.Batch != nil:
		case e.Kind == EntryWithdrawn && e.Batch != nil, e.Kind == EntryObserved && e.Batch != nil && e.Failure != nil:
		case e.Kind == EntryNote && e.Note != nil, e.Kind == EntryApproval && e.Approval != nil:
		case e.Kind == EntryDecision && e.Decision != nil && e.Decision.Verdict == Resend:
		default:
			return fmt.Errorf(
				"entry %d is of a kind (%q) or of a form that a newer version has written: update this one", e.Seq,
				e.Kind)
		}
	}
	return nil
}
