package batch

import (
	"context"
	"fmt"
	"iter"
	"time"
)

// Standing says how far a batch has come, as a journal knows it.
type Standing string

// The standings.
const (
	StandingIntended  Standing = "intended"  // nothing was sent that could matter
	StandingDraft     Standing = "draft"     // the service has a draft, or may have one; no money can have moved
	StandingUnclear   Standing = "unclear"   // a Submit may have landed, or may still land
	StandingSubmitted Standing = "submitted" // the service has it, and it is not reported yet
)

// A Dossier is what a journal knows of one open batch: what a person needs to
// ask the service's support, and to decide. It is plain data, JSON-safe, and
// holds no credential and no account of an item.
type Dossier struct {
	Key         Key        `json:"key"`
	Standing    Standing   `json:"standing"`
	Guard       Guard      `json:"guard,omitempty"` // what the service itself refuses
	Fingerprint string     `json:"fingerprint"`     // of the draft
	Intended    time.Time  `json:"intended"`
	Items       int        `json:"items"`
	Total       Money      `json:"total"`
	BatchID     string     `json:"batch_id,omitempty"` // the service's
	Native      string     `json:"native,omitempty"`   // the service's last word about it
	Attempts    []Attempt  `json:"attempts,omitempty"`
	Decisions   []Decision `json:"decisions,omitempty"`
	Next        string     `json:"next"` // what is safe to do now
}

// An Attempt is one call that changes something at the service.
type Attempt struct {
	Step    Step       `json:"step"`
	Number  int        `json:"number"` // 1, 2, 3... within the step
	Began   time.Time  `json:"began"`
	Ended   *time.Time `json:"ended,omitempty"`   // nil: the process stopped, or is still at it
	Failure *Failure   `json:"failure,omitempty"` // nil: it succeeded, or has not ended
}

// Pending yields a dossier of every batch of p's account that the journal
// holds open. It reads the journal and nothing else; Recover asks the service.
func Pending(ctx context.Context, p Provider, o *RunOptions) iter.Seq2[Dossier, error] {
	return func(yield func(Dossier, error) bool) {
		r := newRun(p, "", o, nil)
		for open, err := range r.journal.Open(ctx, r.key.Provider, r.key.Account) {
			if err == nil {
				err = known(open.Entries)
			}
			if err != nil {
				if !yield(Dossier{Key: open.Key}, r.journalFailed("Pending", ErrUnavailable, "the history cannot be read", err)) {
					return
				}
				continue
			}
			if !yield(dossier(r.info, open.Key, open.Entries), nil) {
				return
			}
		}
	}
}

func dossier(info Info, key Key, history []Entry) Dossier {
	s := stand(history)
	d := Dossier{Key: key, Guard: info.Guard}
	if s.intent != nil {
		d.Fingerprint, d.Intended = s.intent.Fingerprint, s.intent.At
		items := s.intent.Draft.Items
		if s.batch != nil && len(items) == 0 {
			items = s.batch.Draft.Items // As Create has found them.
		}
		d.Items = len(items)
		amounts := make([]Money, 0, d.Items)
		for _, item := range items {
			amounts = append(amounts, item.Amount)
		}
		d.Total, _ = Sum(amounts...) // Run refuses what cannot be added up.
	}
	if d.BatchID = s.left; s.batch != nil {
		d.BatchID, d.Native = s.batch.ID, s.batch.Native
	}
	for _, e := range history {
		switch {
		case e.Kind == EntryAttempt:
			d.Attempts = append(d.Attempts, Attempt{Step: e.Step, Number: e.Attempt, Began: e.At})
		case e.Kind == EntryResult && e.Decision == nil:
			for i := range d.Attempts {
				if a := &d.Attempts[i]; a.Step == e.Step && a.Number == e.Attempt {
					a.Ended, a.Failure = &e.At, e.Failure
				}
			}
		}
		if e.Decision != nil {
			d.Decisions = append(d.Decisions, *e.Decision)
		}
	}
	switch {
	case s.submitted:
		d.Standing, d.Next = StandingSubmitted, "call Resume: it waits for the end and reports"
	case s.open > 0 && info.Guard == GuardRefuses:
		d.Standing, d.Next = StandingUnclear, "call Resume: it asks, and sends again only because the service refuses the second of two"
	case s.open > 0:
		d.Standing, d.Next = StandingUnclear, "do not send it again: call Resume to ask; if the service cannot tell, ask its support, and record the answer with Resolve"
	case s.batch != nil || s.creating > 0:
		d.Standing, d.Next = StandingDraft, "call Resume to go on, or Resolve to abandon it"
	default:
		d.Standing, d.Next = StandingIntended, "call Run or Resume to go on, or Resolve to abandon it"
	}
	return d
}

// Verdict is what a person decides about a batch.
type Verdict string

// The verdicts.
const (
	// Abandon gives the batch up: nothing more is sent under its reference.
	// Where the service can cancel, what it has is cancelled first; a batch
	// that turns out to be submitted is not abandoned, and ErrConflict.
	Abandon Verdict = "abandon"
	// Adopt says that the batch at the service with the ID in Decision.BatchID
	// is this one. The service must know it.
	Adopt Verdict = "adopt"
	// Resend says that no earlier attempt had, or will have, an effect: the
	// next Run or Resume sends again. If that is wrong, money moves twice:
	// nothing that this package promises covers it.
	Resend Verdict = "resend"
)

// A Decision is a person's word where the service has none. It stays in the
// journal.
type Decision struct {
	Verdict  Verdict   `json:"verdict"`
	BatchID  string    `json:"batch_id,omitempty"` // for Adopt: the service's
	Operator string    `json:"operator"`           // who decided
	Reason   string    `json:"reason"`             // and why: the case number of the support, for example
	At       time.Time `json:"at"`                 // set by Resolve
}

// Resolve records a person's decision about a batch that the journal holds
// open, and returns the batch as it stands after it. It submits nothing.
//
// ErrNotFound means that the journal does not know the reference; ErrConflict
// that the decision does not fit what the journal or the service knows, and
// was not recorded.
func Resolve(ctx context.Context, p Provider, reference string, d Decision, o *RunOptions) (Batch, error) {
	r := newRun(p, reference, o, nil)
	var faults []FieldError
	fault := func(field, message string) {
		faults = append(faults, FieldError{Item: -1, Field: field, Message: message})
	}
	if d.Verdict != Abandon && d.Verdict != Adopt && d.Verdict != Resend {
		fault("verdict", "must be abandon, adopt or resend")
	}
	if d.Operator == "" {
		fault("operator", "is empty")
	}
	if d.Reason == "" {
		fault("reason", "is empty")
	}
	if (d.BatchID != "") != (d.Verdict == Adopt) {
		fault("batch_id", "is needed for adopt, and only for that")
	}
	if err := Invalid(r.info.Name, "Resolve", faults); err != nil {
		return r.unsent(), err
	}
	unlock, err := r.begin(ctx)
	if err != nil {
		return r.unknown(), err
	}
	defer unlock()
	s := stand(r.history)
	b := r.unsent()
	if s.intent == nil {
		return b, r.unknownReference("Resolve")
	}
	b.Draft = *s.intent.Draft
	if s.batch != nil {
		b = *s.batch
	}
	if s.open > 0 {
		b.State = StateUnknown
	}
	if s.done {
		return b, r.undecided("the batch is not open any more")
	}
	d.At = time.Now()
	switch d.Verdict {
	case Abandon:
		return r.abandon(ctx, s, b, d)
	case Adopt:
		return r.adopt(ctx, s, b, d)
	default:
		if s.submitted {
			return b, r.undecided("the batch was submitted, as the service has said")
		}
		if s.open == 0 && s.creating == 0 {
			return b, r.undecided("nothing is unclear: call Resume")
		}
		b.State = StateDraft
		return b, r.decide(ctx, Entry{Kind: EntryDecision, Decision: &d})
	}
}

// abandon cancels what the service may have, if it can, and closes the history.
func (r *run) abandon(ctx context.Context, s standing, b Batch, d Decision) (Batch, error) {
	if s.submitted {
		return b, r.undecided("the batch was submitted: Resume waits for its end")
	}
	_, cancels := As[Canceler](r.p)
	if !cancels && s.open > 0 {
		if read, err := Reconcile(ctx, r.p, b); err == nil && read.State != StateDraft {
			return r.tooLate(ctx, read)
		}
	}
	if cancels && (s.batch != nil || s.creating > 0) {
		var err error
		if b.ID == "" {
			b.ID = s.left
		}
		if b.ID == "" {
			draft := b.Draft
			b, err = Find(ctx, r.p, r.key.Reference)
			b.Draft = draft
		}
		if err == nil {
			// Where a batch that was cancelled stays so, a submit that is late comes to nothing.
			b.State = StateDraft
			b, err = Cancel(ctx, r.p, b)
		}
		if err != nil && s.open > 0 {
			b.State = StateUnknown
		}
		if kind := KindOf(err); kind == ErrConflict {
			read, failed := r.p.Poll(ctx, b)
			switch {
			case failed != nil || read.State != StatePending && !read.State.Final():
				return b, err
			case read.State != StateCancelled: // By somebody else, if it is.
				return r.tooLate(ctx, read)
			}
			b = read
		} else if err != nil && kind != ErrNotFound && (kind != ErrUnsupported || b.ID != "") {
			return b, err // What cannot be looked for cannot be cancelled, and is left to the person.
		}
	}
	return b, r.decide(ctx, Entry{Kind: EntryDone, Batch: r.kept(b), Decision: &d})
}

// tooLate writes down that the batch was submitted, and decides nothing.
func (r *run) tooLate(ctx context.Context, read Batch) (Batch, error) {
	if err := r.reconciled(ctx, read); err != nil {
		return read, err
	}
	return read, r.undecided("too late: the batch was submitted")
}

// adopt reads the batch that the person has named.
func (r *run) adopt(ctx context.Context, s standing, b Batch, d Decision) (Batch, error) {
	if s.submitted {
		return b, r.undecided("the batch was submitted, and the service has said under which ID")
	}
	named := b
	named.ID, named.State = d.BatchID, StateUnknown
	read, err := r.p.Poll(ctx, named)
	switch {
	case err != nil:
		return b, err
	case read.State == StateUnknown:
		return b, r.undecided("the service does not say where that batch stands")
	case read.State == StateDraft && s.open > 0:
		return b, r.undecided("that batch is not submitted so far, and a Submit may still be under way")
	case read.State == StateDraft:
		// What it holds is compared with the draft before Submit.
		return read, r.decide(ctx, Entry{Kind: EntryResult, Step: StepCreate, Attempt: s.creates, Batch: r.kept(read), Decision: &d})
	}
	return read, r.decide(ctx, Entry{Kind: EntryReconciled, Batch: r.kept(read), Decision: &d})
}

func (r *run) decide(ctx context.Context, e Entry) error {
	if err := r.append(ctx, e); err != nil {
		return r.journalFailed("Resolve", ErrUnavailable, "the decision could not be written down", err)
	}
	return nil
}

func (r *run) undecided(message string) error {
	return &Error{Kind: ErrConflict, Provider: r.info.Name, Op: "Resolve", Message: message}
}

func (r *run) unknownReference(op string) error {
	return &Error{Kind: ErrNotFound, Provider: r.info.Name, Op: op,
		Message: fmt.Sprintf("the journal does not know the reference %q", r.key.Reference)}
}
