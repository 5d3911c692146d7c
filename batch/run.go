package batch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// RunOptions is how Run works. The zero value is careful and polite, but
// forgets everything when the process ends: set Journal.
type RunOptions struct {
	// Journal is where Run writes down what it does before it does it. Nil
	// means a new memory journal, with which nothing survives the call.
	Journal Journal

	Watch         WatchOptions  // how patiently to wait for the end
	SubmitTimeout time.Duration // how long one Submit may take, whatever becomes of ctx; 0 means 5 minutes
	ReconcileFor  time.Duration // how long to ask what became of an unclear Submit; 0 means 2 minutes

	// Observe, if set, hears of everything that has happened, in order, from
	// the goroutine that runs: for progress bars and logs. It must not block.
	Observe func(Event)
}

// An Event is one thing that has happened in a run.
type Event struct {
	Phase   Phase
	Attempt int   // of a Submit: 1, or more where the rules let it be repeated
	Batch   Batch // as known after it
	Err     error // what went wrong, if anything did
}

// Phase is a part of a run.
type Phase string

// The phases of a run.
const (
	PhaseCreate    Phase = "create"    // a draft was made
	PhaseSubmit    Phase = "submit"    // a Submit has returned
	PhaseReconcile Phase = "reconcile" // a read asked what became of an unclear Submit
	PhaseWait      Phase = "wait"      // a poll has returned
	PhaseReport    Phase = "report"    // the report was read
)

// Run sees a batch through: it creates and submits d, waits for it to finish,
// and reports. It may be called again, at any time, in any process that has
// the same journal, with the same draft: it goes on where the last call
// stopped, and money moves once.
//
// Before anything is sent, the journal holds the intent; before each Create
// and Submit, the attempt; and the result before Run goes on. A Submit is sent
// again only if all earlier ones are known to have had no effect, now or
// later, or if the service itself refuses the second of two (Info.Guard).
// Otherwise an unclear outcome is reconciled by reading, and if the service
// cannot tell within ReconcileFor, the error is ErrAmbiguous. Calling Run or
// Resume again then only asks again.
//
// If ctx ends before Submit begins, nothing is sent. Once it has begun it
// runs to its own deadline, so that Ctrl-C does not manufacture doubt; a ctx
// that ends later only stops the waiting.
//
// A draft under a reference that the journal knows with another draft is
// ErrConflict. A journal that fails before the Submit is ErrUnavailable, and
// this call has sent nothing; one that fails after it is ErrAmbiguous, even if
// the service accepted the batch.
//
// The kind of an error speaks of this call, and Report.Batch.State, which is
// set even beside an error, of all that were ever made: StateDraft means that
// no call under this reference has submitted anything. Only a draft that is
// itself refused (ErrInvalid) is returned as it came: the journal is not asked.
func Run(ctx context.Context, p Provider, d Draft, o *RunOptions) (Report, error) {
	d = d.Clone()
	if err := Invalid(p.Info().Name, "Run", p.Info().Faults(d)); err != nil {
		return Report{Batch: Batch{Provider: p.Info().Name, Draft: d, State: StateDraft}}, err
	}
	return newRun(p, d.Reference, o, &d).all(ctx)
}

// Resume goes on with a batch that an earlier Run wrote into the journal,
// after a crash or an ErrAmbiguous, as Run with the same draft would.
// ErrNotFound means that the journal does not know the reference.
func Resume(ctx context.Context, p Provider, reference string, o *RunOptions) (Report, error) {
	return newRun(p, reference, o, nil).all(ctx)
}

// Recover yields every batch of p's account that the journal holds open, as
// it stands now. It reads only: a batch whose Submit was unclear is reconciled
// once, a submitted one is polled once, and one that was never submitted is
// StateDraft. Call Resume for those that should go on.
//
// An error belongs to the batch beside it, and the others follow; ErrAmbiguous
// marks those of which the service still cannot say what happened. An error
// beside a Batch without a reference is the journal's own, and the last.
func Recover(ctx context.Context, p Provider, o *RunOptions) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		r := newRun(p, "", o, nil)
		for open, err := range r.journal.Open(ctx, r.key.Provider, r.key.Account) {
			if err != nil && open.Key == (Key{}) {
				yield(Batch{}, r.journalFailed("Recover", ErrUnavailable, "the open batches cannot be listed", err))
				return
			}
			if !yield(newRun(p, open.Key.Reference, &r.o, nil).look(ctx)) {
				return
			}
		}
	}
}

// A run is one call of Run, Resume or Recover for one key.
type run struct {
	p       Provider
	info    Info
	journal Journal
	key     Key
	o       RunOptions
	draft   *Draft  // as the caller supplied it; nil in Resume
	history []Entry // of key, as read and appended under its lock
}

func newRun(p Provider, reference string, o *RunOptions, d *Draft) *run {
	r := &run{p: p, info: p.Info(), draft: d}
	if o != nil {
		r.o = *o
	}
	if r.o.Journal == nil {
		r.o.Journal = NewMemoryJournal()
	}
	if r.o.SubmitTimeout <= 0 {
		r.o.SubmitTimeout = 5 * time.Minute
	}
	if r.o.ReconcileFor <= 0 {
		r.o.ReconcileFor = 2 * time.Minute
	}
	r.journal = r.o.Journal
	r.key = Key{Provider: r.info.Name, Account: r.info.Account, Reference: reference}
	return r
}

func (r *run) all(ctx context.Context) (Report, error) {
	b, err := r.submit(ctx)
	if overtaken(err) {
		b.State = StateUnknown
	}
	if err != nil {
		return Report{Batch: b}, err
	}
	if b, err = r.wait(ctx, b); err != nil {
		return Report{Batch: b}, err
	}
	report, err := r.p.Report(ctx, b)
	if report.Batch.Provider == "" {
		report.Batch = b
	}
	r.observe(Event{Phase: PhaseReport, Batch: report.Batch, Err: err})
	if err != nil {
		return report, err
	}
	return report, r.done(ctx, report.Batch)
}

// submit brings the batch to where the service has it, under the lock.
func (r *run) submit(ctx context.Context) (Batch, error) {
	unlock, err := r.begin(ctx)
	if err != nil {
		return r.unknown(), err
	}
	defer unlock()

	s := stand(r.history)
	if a := s.abandoned; a != nil {
		advice := "use another"
		if s.batch.State != StateDraft && s.batch.State != StateCancelled {
			advice = "find out what became of it before you use another"
		}
		return *s.batch, &Error{Kind: ErrConflict, Provider: r.info.Name, Op: "Run",
			Message: fmt.Sprintf("the reference %q was abandoned by %s (%s): %s", r.key.Reference, a.Operator, a.Reason, advice)}
	}
	if s.intent, err = r.intend(ctx, s); err != nil {
		b := r.unsent()
		if s.submitted {
			b.State = s.batch.State
		} else if s.open > 0 {
			b.State = StateUnknown
		}
		return b, err
	}
	if s.submitted {
		return *s.batch, nil
	}
	var supplied Draft
	if r.draft != nil {
		supplied = *r.draft
	}
	draft, whole := r.info.restoreSecrets(*s.intent.Draft, supplied)
	if !whole && s.open == 0 {
		return r.unsent(), &Error{Kind: ErrInvalid, Provider: r.info.Name, Op: "Resume",
			Message: "nothing was sent, and the journal does not keep the secrets of the draft: call Run with the draft again"}
	}

	var b Batch
	if s.batch != nil {
		b = *s.batch
		b.Draft, whole = r.info.restoreSecrets(b.Draft, draft)
	}
	if s.batch == nil || !whole && s.open == 0 {
		if b, err = r.create(ctx, s, draft); err != nil {
			return b, err
		}
	}

	resends := 0
	for tries := 1; ; tries++ {
		if s = stand(r.history); s.open > 0 {
			read, again, err := r.reconcile(ctx, b, s)
			if err == nil {
				return read, nil
			}
			if resends++; !again || !whole || resends > maxResends {
				return read, err
			}
		}
		after, err := r.attempt(ctx, b, s.attempts+1)
		if err == nil {
			return after, nil
		}
		if s = stand(r.history); s.open > 0 {
			continue // This attempt or an earlier one may have landed: only a read decides.
		}
		wait, again := repeatable(err, tries)
		if !again && s.resent {
			// It may be refused because one that the person gave up has landed after all.
			b.State = StateUnknown
			read, failed := Reconcile(ctx, r.p, b)
			if failed != nil {
				return b, &Error{Kind: ErrAmbiguous, Provider: r.info.Name, Op: "Run",
					Message: "the repeat was refused, and what became of the earlier attempts is not known: call Resume to ask", Err: errors.Join(err, failed)}
			}
			if read.State != StateDraft {
				return read, r.reconciled(ctx, read)
			}
		}
		if !again {
			return after, err
		}
		if sleep(ctx, wait) != nil {
			return after, err
		}
	}
}

// How often one call repeats what is known to have had no effect, and what a
// guard makes harmless.
const (
	maxTries   = 3
	maxResends = 3
)

// repeatable says whether, and after which wait, a Submit that certainly had
// no effect may be attempted again without asking anybody.
func repeatable(err error, tries int) (time.Duration, bool) {
	var e *Error
	var j journalError
	if tries >= maxTries || !errors.As(err, &e) || errors.As(err, &j) {
		return 0, false
	}
	wait := time.Duration(tries*tries) * time.Second
	switch {
	case e.RetryAfter > time.Minute:
		return 0, false // Too long to sit on it: the caller knows better.
	case e.Kind == ErrUnavailable, e.Kind == ErrThrottled:
		return max(wait, e.RetryAfter), true
	case e.Kind == ErrAuth && e.Status == 401:
		return 0, tries == 1 // The credential expired under way.
	}
	return 0, false
}

// intend returns the intent of this key, and writes it down if it is new.
func (r *run) intend(ctx context.Context, s standing) (*Entry, error) {
	if r.draft == nil {
		if s.intent == nil {
			return nil, r.unknownReference("Resume")
		}
		return s.intent, nil
	}
	print := fingerprint(*r.draft)
	if s.intent != nil && (s.intent.Fingerprint == print || s.touched) {
		if s.intent.Fingerprint != print {
			return nil, &Error{Kind: ErrConflict, Provider: r.info.Name, Op: "Run",
				Message: fmt.Sprintf("the reference %q belongs to another draft, which may have been sent: nothing was sent now", r.key.Reference)}
		}
		return s.intent, nil
	}
	// The reference is new, or the service never took anything under it.
	d := *r.draft
	if n, ok := As[Numberer](r.p); ok {
		sequence := r.key.Provider + "/" + r.key.Account
		numbered, err := n.Number(d, func(first int64) (int64, error) {
			detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
			defer cancel()
			return r.journal.Next(detached, sequence, first)
		})
		if err != nil {
			var known *Error
			if errors.As(err, &known) {
				return nil, err
			}
			return nil, r.journalFailed("Run", ErrUnavailable, "nothing was sent", err)
		}
		d = numbered
	}
	kept := r.info.withoutSecrets(d)
	err := r.append(ctx, Entry{Kind: EntryIntent, Fingerprint: print, Draft: &kept})
	if err != nil {
		return nil, r.journalFailed("Run", ErrUnavailable, "nothing was sent", err)
	}
	return &r.history[len(r.history)-1], nil
}

// create makes the draft at the service. One that an earlier attempt under
// this key has left, and of which nobody knows what it holds or will hold, is
// cancelled first; where that cannot be done it is adopted, and what it holds
// is compared with d before Submit.
func (r *run) create(ctx context.Context, s standing, d Draft) (Batch, error) {
	b := r.unsent()
	if s.creating > 0 {
		if found, err := Find(ctx, r.p, r.key.Reference); err == nil && found.State == StateDraft && found.ID != "" {
			found.Draft = d
			if _, cancels := As[Canceler](r.p); !cancels {
				return found, r.created(ctx, found, s.creates, nil)
			}
			if _, err := Cancel(ctx, r.p, found); err != nil {
				return b, err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return b, &Error{Kind: ErrUnavailable, Provider: r.info.Name, Op: "Run", Message: "nothing was sent", Err: err}
	}
	if err := r.append(ctx, Entry{Kind: EntryAttempt, Step: StepCreate, Attempt: s.creates + 1}); err != nil {
		return b, r.journalFailed("Run", ErrUnavailable, "nothing was sent", err)
	}
	b, err := r.p.Create(ctx, d)
	r.observe(Event{Phase: PhaseCreate, Batch: b, Err: err})
	if failed := r.created(ctx, b, s.creates+1, err); failed != nil && err == nil {
		return b, failed
	}
	return b, err
}

func (r *run) created(ctx context.Context, b Batch, attempt int, err error) error {
	e := Entry{Kind: EntryResult, Step: StepCreate, Attempt: attempt, Batch: r.kept(b), Failure: failure(err)}
	if err := r.append(ctx, e); err != nil {
		return r.journalFailed("Run", ErrUnavailable, "a draft was made, and no money can move", err)
	}
	return nil
}

// attempt submits b once.
func (r *run) attempt(ctx context.Context, b Batch, n int) (Batch, error) {
	if err := ctx.Err(); err != nil {
		return b, &Error{Kind: ErrUnavailable, Provider: r.info.Name, Op: "Run", Message: "not submitted", Err: err}
	}
	if err := r.append(ctx, Entry{Kind: EntryAttempt, Step: StepSubmit, Attempt: n}); err != nil {
		return b, r.journalFailed("Run", ErrUnavailable, "not submitted by this call", err)
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.SubmitTimeout)
	defer cancel()
	after, err := r.p.Submit(detached, b)
	r.observe(Event{Phase: PhaseSubmit, Attempt: n, Batch: after, Err: err})

	e := Entry{Kind: EntryResult, Step: StepSubmit, Attempt: n, Batch: r.kept(after), Failure: failure(err)}
	if failed := r.append(ctx, e); failed != nil {
		if err == nil || KindOf(err) == ErrAmbiguous {
			return after, r.journalFailed("Run", ErrAmbiguous, "submitted, but the result could not be written down", failed)
		}
		return after, err
	}
	return after, err
}

// reconcile reads until the service says what became of the open attempts. A
// nil error is a witness that one has landed. again allows another attempt.
func (r *run) reconcile(ctx context.Context, b Batch, s standing) (read Batch, again bool, err error) {
	unclear := func(read Batch, cause error) (Batch, bool, error) {
		read.State = StateUnknown
		return read, false, &Error{Kind: ErrAmbiguous, Provider: r.info.Name, Op: "Run",
			Message: "whether the batch was submitted is not known: do not send it again, call Resume later to ask again", Err: cause}
	}
	cause := errors.New("an earlier process stopped before it had the result")
	if s.unclear != nil {
		cause = s.unclear.error(r.info.Name)
	}
	b.State = StateUnknown
	deadline := time.Now().Add(r.o.ReconcileFor)
	for reads, waits := 1, []time.Duration{2, 3, 5, 20, 30}; ; reads++ {
		read, err = Reconcile(ctx, r.p, b)
		r.observe(Event{Phase: PhaseReconcile, Batch: read, Err: err})
		told := err == nil || KindOf(err) == ErrAmbiguous
		if err == nil && read.State != StateDraft {
			return read, false, r.reconciled(ctx, read)
		}
		if told && r.info.Guard == GuardRefuses && reads >= 3 {
			// Whichever arrives second is refused, so one more is harmless.
			read, _, err = unclear(read, cause)
			return read, true, err
		}
		wait := waits[min(reads, len(waits))-1] * time.Second
		if time.Now().Add(wait).After(deadline) {
			return unclear(b, cause)
		}
		if ended := sleep(ctx, wait); ended != nil {
			return unclear(b, errors.Join(ended, cause))
		}
	}
}

func (r *run) reconciled(ctx context.Context, b Batch) error {
	if err := r.append(ctx, Entry{Kind: EntryReconciled, Batch: r.kept(b)}); err != nil {
		return r.journalFailed("Run", ErrAmbiguous, "submitted, but that could not be written down", err)
	}
	return nil
}

// kept is b as the journal may keep it.
func (r *run) kept(b Batch) *Batch {
	b.Draft = r.info.withoutSecrets(b.Draft)
	return &b
}

func (r *run) wait(ctx context.Context, b Batch) (Batch, error) {
	o := r.o.Watch
	hear := o.OnFailure
	o.OnFailure = func(b Batch, err error) {
		r.observe(Event{Phase: PhaseWait, Batch: b, Err: err})
		if hear != nil {
			hear(b, err)
		}
	}
	if b.State.Final() {
		return b, nil
	}
	for next, err := range Watch(ctx, r.p, b, &o) {
		b = next
		r.observe(Event{Phase: PhaseWait, Batch: b, Err: err})
		if err != nil {
			return b, err
		}
	}
	return b, nil
}

// done closes the history, unless somebody already has.
func (r *run) done(ctx context.Context, b Batch) error {
	unlock, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if stand(r.history).done {
		return nil
	}
	if err := r.append(ctx, Entry{Kind: EntryDone, Batch: r.kept(b)}); err != nil {
		return r.journalFailed("Run", ErrUnavailable, "finished and reported, but that could not be written down", err)
	}
	return nil
}

// look says where an open batch stands, with one read at most.
func (r *run) look(ctx context.Context) (Batch, error) {
	unlock, err := r.begin(ctx)
	if err != nil {
		return r.unknown(), err
	}
	defer unlock()
	s := stand(r.history)
	switch {
	case s.submitted:
		return r.p.Poll(ctx, *s.batch)
	case s.open > 0:
		b := *s.batch
		b.State = StateUnknown
		read, err := Reconcile(ctx, r.p, b)
		if err == nil && read.State == StateDraft {
			read.State = StateUnknown
			err = &Error{Kind: ErrAmbiguous, Provider: r.info.Name, Op: "Recover",
				Message: "not submitted so far, but a request may still be under way"}
		} else if err == nil {
			err = r.reconciled(ctx, read)
		}
		return read, err
	case s.batch != nil:
		return *s.batch, nil
	case s.intent != nil:
		return Batch{Provider: r.info.Name, Draft: *s.intent.Draft, State: StateDraft}, nil
	}
	return r.unsent(), nil
}

// begin takes the lock and reads the history.
func (r *run) begin(ctx context.Context) (unlock func(), err error) {
	const unknown = "nothing was sent by this call, and what earlier ones have sent is not known"
	unlock, err = r.journal.Lock(ctx, r.key)
	if err != nil {
		return nil, r.journalFailed("Run", ErrUnavailable, unknown, err)
	}
	if r.history, err = r.journal.History(ctx, r.key); err == nil {
		err = known(r.history)
	}
	if err != nil {
		unlock()
		return nil, r.journalFailed("Run", ErrUnavailable, unknown, err)
	}
	return unlock, nil
}

// writeLimit is how long a write to the journal may take, whatever becomes of
// the caller.
const writeLimit = 5 * time.Second

// append writes the next entry, even if ctx has ended: what has happened must
// be written down.
func (r *run) append(ctx context.Context, e Entry) error {
	e.Seq, e.At = len(r.history)+1, time.Now()
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	if err := r.journal.Append(detached, r.key, e); err != nil {
		return err
	}
	r.history = append(r.history, e)
	return nil
}

func (r *run) observe(e Event) {
	if r.o.Observe != nil {
		r.o.Observe(e)
	}
}

func (r *run) unsent() Batch {
	b := Batch{Provider: r.info.Name, State: StateDraft, Draft: Draft{Reference: r.key.Reference, Direction: r.info.Direction}}
	if r.draft != nil {
		b.Draft = *r.draft
	}
	return b
}

// unknown is unsent where earlier calls may have submitted it.
func (r *run) unknown() Batch {
	b := r.unsent()
	b.State = StateUnknown
	return b
}

func (r *run) journalFailed(op string, kind Kind, message string, err error) error {
	return &Error{Kind: kind, Provider: r.info.Name, Op: op, Message: "the journal failed: " + message, Err: journalError{err}}
}

// journalError marks what no second try will mend.
type journalError struct{ error }

func (e journalError) Unwrap() error { return e.error }

// overtaken reports whether another process has written what this one was
// about to.
func overtaken(err error) bool {
	var j journalError
	return errors.As(err, &j) && KindOf(j.error) == ErrConflict
}

// standing is what a history amounts to.
type standing struct {
	intent    *Entry
	batch     *Batch   // what Create returned, or what is known since it was submitted
	creating  int      // attempts to create that may have left a draft that is not known
	left      string   // the ID of the draft that the last of them has left, if it is known
	creates   int      // attempts to create
	resent    bool     // a person has decided to send again what may still have landed
	attempts  int      // attempts to submit
	open      int      // attempts to submit that may have landed or may still land
	unclear   *Failure // why the last open one is unclear; nil after a crash
	submitted bool
	touched   bool // the service may know something under this key
	done      bool
	abandoned *Decision
}

func stand(history []Entry) standing {
	var s standing
	for i := range history {
		e := &history[i]
		switch e.Kind {
		case EntryIntent:
			s.intent = e
		case EntryAttempt:
			s.touched = true
			if e.Step == StepCreate {
				s.creates = e.Attempt
				s.creating++
			} else {
				// Until its result is read, it may have landed.
				s.attempts, s.unclear = e.Attempt, nil
				s.open++
			}
		case EntryResult:
			switch {
			case e.Step == StepCreate && e.Failure == nil:
				s.batch, s.creating = e.Batch, 0
			case e.Step == StepCreate:
				if e.Failure.Kind != ErrAmbiguous && (e.Batch.ID == "" || e.Batch.State == StateCancelled) {
					s.creating-- // A refusal, or a draft that is withdrawn, closes its own attempt and no other.
				}
				s.touched = s.creating > 0
				if s.left = e.Batch.ID; e.Batch.State == StateCancelled {
					s.left = ""
				}
			case e.Failure == nil:
				s.batch, s.open, s.submitted = e.Batch, 0, true
			case e.Failure.Kind == ErrAmbiguous:
				s.unclear = e.Failure
			default:
				s.open-- // A refusal closes its own attempt and no other.
			}
		case EntryReconciled:
			s.batch, s.open, s.submitted = e.Batch, 0, true
		case EntryDecision:
			// Only Resend is recorded by itself.
			s.open, s.unclear, s.creating, s.resent = 0, nil, 0, true
		case EntryDone:
			s.batch, s.done, s.abandoned = e.Batch, true, e.Decision
		}
	}
	return s
}
