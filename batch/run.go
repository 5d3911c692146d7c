package batch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// RunOptions is how Run works. The zero value is careful and polite, but
// forgets everything when the call returns: set Journal.
type RunOptions struct {
	// Journal is where Run writes down what it does before it does it. Nil
	// means a new memory journal: nothing survives the call, so a second call
	// with the same draft is a second payment.
	Journal Journal

	Watch         WatchOptions  // how patiently to wait for the end
	SubmitTimeout time.Duration // how long one Submit may take, whatever becomes of ctx; 0 means 5 minutes
	// ReconcileFor is how long one call asks what became of an unclear Submit.
	// 0 means 2 minutes or, where the service refuses the second of two submits,
	// a minute more than Info.InFlight: then the call itself may send again.
	ReconcileFor time.Duration

	// Observe, if set, is called for every event, in order, from the goroutine
	// that runs: for progress bars and logs. What an event reports is already in
	// the journal. Observe must not block.
	Observe func(Event)
	// Logger, if set, has a record of every event, and at debug level one of what
	// Run decides to do next, and why. A record has the reference, the batch ID,
	// the state and the error, and no item.
	Logger *slog.Logger
}

// An Event is one thing that has happened in a run.
type Event struct {
	Phase   Phase
	Attempt int           // of a Submit: 1, or more where the rules let it be repeated
	Batch   Batch         // as known after it; its Counts say how many items of how many have an outcome
	Err     error         // what went wrong, if anything did
	Took    time.Duration // since the event before it, or since the call began
}

// Phase is a part of a run.
type Phase string

// The phases of a run.
const (
	PhaseWithdraw  Phase = "withdraw"  // a draft that an earlier call had left was canceled
	PhaseCreate    Phase = "create"    // a draft was made
	PhaseSubmit    Phase = "submit"    // a Submit has returned
	PhaseReconcile Phase = "reconcile" // a read asked what became of an unclear Submit
	PhaseWait      Phase = "wait"      // a poll has returned
	PhaseReport    Phase = "report"    // the report was read
)

// Run sees a batch through: it creates and submits d, waits for it to finish,
// and reports. With the same draft and the same journal it may be called again
// at any time and in any process: it goes on where the last call stopped, and
// money moves once.
//
// The journal holds the intent before anything is sent, each attempt to create
// or submit before it is made, and its result before Run goes on or Observe is
// called. A Submit is sent again only if every earlier one is known to have had
// no effect, or if the service itself refuses the second of two (Info.Guard),
// the last one began longer ago than Info.InFlight, and a read since then says
// that the batch is still a draft. Otherwise the outcome of an unclear Submit
// is read, and if the service cannot tell within ReconcileFor, the error is
// ErrAmbiguous. Calling Run or Resume again then only asks again.
//
// A ctx that ends before Submit begins ends the call, and no money moves; a
// draft may have been made. Once Submit has begun, it runs to its own deadline:
// canceling ctx does not leave its outcome unknown. A ctx that ends later only
// stops the waiting.
//
// A draft under a reference that the journal knows with another draft, or with
// other terms (Info.Terms), is ErrConflict and nothing is sent. The one
// exception is a draft that was never submitted: a corrected one takes its place
// if nothing is left of it at the service, or if the corrected one says so
// (Draft.Replaces). ErrConflict also says that the batch ID belongs to another
// reference, that Draft.NotAfter has passed (CodeExpired), that another batch
// holds a purpose (CodePurposeTaken), or that people must approve first
// (CodeApprovalNeeded).
//
// A purpose (Item.Purpose) is held from the intent on. It is free again once a
// final report says that its item failed, was skipped or has been returned, and
// when a batch is abandoned of which no Submit had an effect. Run or Resume of a closed
// batch reads its report again, and frees what has been returned since. An item
// that is paid, pending or unknown holds its purpose. Where items overwrite those
// of earlier batches (Info.Overwrites), an item is held in the same way, until its
// batch is over: an older file never arrives after a newer one.
//
// The kind of an error speaks of the call that failed. What is known about
// money is in Report.Batch.State, which is set beside every error:
//
//	StateDraft        no call with this reference has submitted anything
//	StateUnknown      a call may have submitted the batch
//	StatePending      the service has the batch
//	a final state     the service has finished it
//
// A journal that fails before Submit gives ErrUnavailable: this call has
// submitted nothing. One that fails after it gives ErrAmbiguous, even if the
// service accepted the batch. A draft that is itself refused (ErrInvalid) is
// returned as it came: the journal is not asked.
func Run(ctx context.Context, p Provider, d Draft, o *RunOptions) (Report, error) {
	d = d.Clone()
	e := newEngine("Run", p, d.Reference, o, &d)
	if err := Invalid(e.info.Name, e.op, e.info.Faults(d)); err != nil {
		return Report{Batch: e.unsent()}, err
	}
	return e.all(ctx)
}

// Start is Run until the service has the batch, and not longer. Settle reports
// and closes it later, in any process that has the journal. Without a Journal it
// is ErrInvalid.
func Start(ctx context.Context, p Provider, d Draft, o *RunOptions) (Batch, error) {
	d = d.Clone()
	e := newEngine("Start", p, d.Reference, o, &d)
	if err := cmp.Or(e.needsJournal(o), Invalid(e.info.Name, e.op, e.info.Faults(d))); err != nil {
		return e.unsent(), err
	}
	b, err := e.start(ctx)
	return e.confirm(ctx, b, err), err
}

// Resume goes on with a batch that an earlier Run wrote into the journal,
// after a crash or an ErrAmbiguous, as Run with the same draft would.
// ErrNotFound means that the journal does not know the reference.
func Resume(ctx context.Context, p Provider, reference string, o *RunOptions) (Report, error) {
	return newEngine("Resume", p, reference, o, nil).all(ctx)
}

// An engine carries out, for one key and one call, what the table in replay.go
// allows.
type engine struct {
	op       string // the function that was called
	p        Provider
	info     Info
	journal  Journal
	key      Key
	o        RunOptions
	draft    *Draft          // as the caller supplied it; nil in Resume
	patience time.Duration   // how long to wait for the lock of key; 0 means as long as ctx
	history  []Entry         // of key, as read and appended under its lock
	claimed  map[string]bool // names that the key holds
	made     *Batch          // as Create returned it to this call, with its secrets
	told     time.Time       // when Observe last heard, or the call began

	asking    time.Time // until when the outcome of an unclear Submit is asked for
	asked     int       // reads about the last attempt
	evidence  State     // what such a read says that began when the attempt was no longer in flight
	readError error     // why the last such read was no answer
	native    string    // the service's word in it
	searched  bool      // for a draft that an earlier Create may have left
	resends   int
}

func newEngine(op string, p Provider, reference string, o *RunOptions, d *Draft) *engine {
	e := &engine{op: op, p: p, info: p.Info(), draft: d, told: time.Now()}
	if o != nil {
		e.o = *o
	}
	if e.o.Journal == nil {
		e.o.Journal = NewMemoryJournal()
	}
	if e.o.SubmitTimeout <= 0 {
		e.o.SubmitTimeout = 5 * time.Minute
	}
	if e.o.ReconcileFor <= 0 {
		e.o.ReconcileFor = 2 * time.Minute
		if e.info.Guard == GuardRefuses {
			e.o.ReconcileFor = max(e.o.ReconcileFor, e.info.inFlight()+time.Minute)
		}
	}
	e.journal = e.o.Journal
	e.key = Key{Provider: e.info.Name, Account: e.info.Account, Reference: reference}
	return e
}

// needsJournal refuses a call that makes no sense without a journal.
func (e *engine) needsJournal(o *RunOptions) error {
	if o != nil && o.Journal != nil {
		return nil
	}
	return Invalid(e.info.Name, e.op, []FieldError{{Item: -1, Field: "the journal",
		Message: "is nil; it must be the journal that Run was given"}})
}

func (e *engine) all(ctx context.Context) (Report, error) {
	b, err := e.start(ctx)
	if err != nil {
		return Report{Batch: e.confirm(ctx, b, err)}, err
	}
	p := replay(e.history)
	if p.closed && p.erased() {
		return toldBy(e.history, time.Now())
	}
	given := p.explained // A person has given up waiting.
	if given == nil {
		if b, err = e.wait(ctx, b); err != nil {
			return Report{Batch: b}, err
		}
	}
	report, err := e.finish(ctx, b)
	if err == nil && given != nil && !report.Batch.State.Final() {
		err = e.fail(ErrConflict, fmt.Sprintf("the batch was closed by %s (%s) before its end", given.Operator,
			given.Reason), nil)
	}
	return report, err
}

// finish reports a batch and closes its history.
func (e *engine) finish(ctx context.Context, b Batch) (Report, error) {
	report, err := reportOf(ctx, e.p, b)
	if report.Batch.Provider == "" {
		report.Batch = b
	}
	if err = e.forgotten(err); err == nil {
		err = e.close(ctx, report)
	}
	e.observe(Event{Phase: PhaseReport, Batch: report.Batch, Err: err})
	return report, err
}

// confirm is b beside err, unless the journal knows more by now: if the lock was
// lost under way, another process may have submitted the batch.
func (e *engine) confirm(ctx context.Context, b Batch, err error) Batch {
	if b.State != StateDraft {
		return b
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	history, failed := e.journal.History(detached, e.key)
	if p := replay(history); failed != nil || overtaken(err) || p.open > 0 || p.submitted {
		b.State = StateUnknown
	}
	return b
}

// start brings the batch to where the service has it, under the lock: it takes
// the step that the table allows, writes down what came of it, and asks again.
func (e *engine) start(ctx context.Context) (Batch, error) {
	if err := e.replace(ctx); err != nil {
		return e.unsent(), err
	}
	unlock, err := e.begin(ctx)
	if err != nil {
		return e.unknown(), err
	}
	defer unlock()
	if b, err := e.accept(ctx); err != nil {
		return b, err
	}
	for tries := 1; ; {
		p := replay(e.history)
		b, whole := e.restore(p)
		s, err := e.situation(ctx, p, whole)
		if err != nil {
			return p.state(b), e.journalFailed(ErrUnavailable, "not submitted by this call", err)
		}
		next, why := p.decide(s)
		e.decides(next, why)
		switch next {
		case stepStop, stepWait:
			return b, nil
		case stepExpire:
			return b, e.expired(*p.intent.Draft)
		case stepApprove:
			return p.state(b), e.unapproved(p)
		case stepWithdraw:
			if err := e.withdraw(ctx, p); err != nil {
				return p.state(e.unsent()), err
			}
		case stepCreate:
			b, err := e.create(ctx, p)
			if err = e.renumber(ctx, err); err != nil {
				return p.state(b), err
			}
		case stepReconcile:
			if b, err := e.reconcile(ctx, b, p); err != nil {
				return b, err
			}
		case stepSubmit:
			after, attempted, err := e.submit(ctx, b, p)
			if err == nil || !attempted || isJournal(err) {
				return after, err
			}
			if replay(e.history).open > 0 {
				continue // This attempt or an earlier one may have arrived: only a read decides.
			}
			if err = e.renumber(ctx, err); err == nil {
				continue
			}
			wait, again := e.repeats(err, tries)
			if !again || sleep(ctx, wait) != nil {
				return after, err
			}
			tries++
		}
	}
}

// replace abandons the draft that this one takes the place of, unless this one
// is intended already. It holds one lock at a time.
func (e *engine) replace(ctx context.Context) error {
	if e.draft == nil || e.draft.Replaces == "" || e.corrects() {
		return nil
	}
	own, err := e.journal.History(ctx, e.key)
	if err != nil {
		return e.journalFailed(ErrUnavailable, "nothing was sent", err)
	}
	if len(own) > 0 {
		return nil
	}
	old := newEngine(e.op, e.p, e.draft.Replaces, &e.o, nil)
	unlock, err := old.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p := replay(old.history)
	switch {
	case p.intent == nil:
		return old.unknownReference()
	case p.abandoned != nil && (p.batch.State == StateDraft || p.batch.State == StateCanceled):
		return nil // By an earlier call of this one, or by a person.
	case p.closed, p.submitted, p.open > 0:
		return e.fail(ErrConflict,
			fmt.Sprintf("nothing was sent: the reference %q may have been submitted, so nothing takes its place",
				old.key.Reference), nil)
	}
	if err := old.sameTerms(p); err != nil {
		return err
	}
	d := Decision{Verdict: Abandon, Operator: cmp.Or(e.draft.Author, e.op), Reason: "replaced by " + e.key.Reference,
		At: time.Now()}
	if p.batch != nil && e.theirs(p) {
		released := append(old.givenUp(p, *p.batch), e.batchName(p.batch.ID))
		return old.decide(ctx, Entry{Kind: EntryDone, Batch: old.kept(*p.batch), Decision: &d, Releases: released})
	}
	if _, err = old.abandon(ctx, p, d); KindOf(err) == ErrUnsupported {
		err = nil // A draft that cannot be looked up moves no money by itself.
	}
	return err
}

// corrects says that the draft takes the place of an earlier one under its own
// reference.
func (e *engine) corrects() bool { return e.draft.Replaces == e.key.Reference }

// theirs says that the draft of p names a batch that the service has made. It is
// left to the service when another draft takes the place of this one.
func (e *engine) theirs(p progress) bool {
	return e.info.ExtraBatch != "" && p.intent.Draft.Extra[e.info.ExtraBatch] != ""
}

// revise withdraws what the service has of the draft under this reference, of
// which no Submit can have arrived, so that another can take its place.
func (e *engine) revise(ctx context.Context, p progress, fingerprint string) error {
	conflict := func(why string) error {
		return e.fail(ErrConflict, fmt.Sprintf("nothing was sent: the draft %q %s", e.key.Reference, why), nil)
	}
	switch {
	case p.submitted, p.open > 0:
		return conflict("may have been submitted, so nothing takes its place")
	case p.adopted:
		return conflict("goes on with a batch that an operator has named: abandon it")
	}
	for _, entry := range e.history {
		if entry.Kind == EntryIntent && entry.Fingerprint == fingerprint {
			return conflict("is an earlier one, and another has taken its place")
		}
	}
	_, cancels := As[Canceler](e.p)
	_, finds := As[Finder](e.p)
	if !cancels || e.theirs(p) {
		return nil
	}
	for {
		if p.batch != nil {
			p.left = append(slices.Clone(p.left), p.batch.ID)
		}
		if len(p.left) == 0 && (p.creating == 0 || !finds || e.searched) {
			return nil
		}
		if err := e.withdraw(ctx, p); err != nil {
			return err
		}
		p = replay(e.history)
	}
}

// accept refuses what must not go on: a reference that was abandoned, or that
// belongs to another draft or to other terms. It writes down a new intent.
func (e *engine) accept(ctx context.Context) (Batch, error) {
	p := replay(e.history)
	if a := p.abandoned; a != nil {
		advice := "use another"
		if p.batch.State != StateDraft && p.batch.State != StateCanceled {
			advice = "find out what became of it before you use another"
		}
		return *p.batch, e.fail(ErrConflict, fmt.Sprintf("the reference %q was abandoned by %s (%s): %s",
			e.key.Reference, a.Operator, a.Reason, advice), nil)
	}
	b := p.state(e.unsent())
	if p.submitted || p.closed {
		b.State = p.batch.State
	}
	if err := e.sameTerms(p); err != nil {
		return b, err
	}
	return b, e.intend(ctx, p)
}

// sameTerms refuses to go on with an intent under other terms than its own.
func (e *engine) sameTerms(p progress) error {
	if p.intent == nil || maps.Equal(p.intent.Terms, e.info.Terms) {
		return nil
	}
	var faults []FieldError
	all := maps.Clone(e.info.Terms)
	if all == nil {
		all = make(map[string]string)
	}
	maps.Copy(all, p.intent.Terms)
	for _, term := range slices.Sorted(maps.Keys(all)) {
		if have, want := e.info.Terms[term], p.intent.Terms[term]; have != want {
			faults = append(faults,
				FieldError{Item: -1, Field: term,
					Message: fmt.Sprintf("is %q here, but was %q when the batch was intended", have, want)})
		}
	}
	return &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Fields: faults,
		Message: fmt.Sprintf("the reference %q belongs to other terms: nothing was sent by this call", e.key.Reference)}
}

// intend writes down the intent of this key if it is new.
func (e *engine) intend(ctx context.Context, p progress) error {
	if e.draft == nil {
		if p.intent == nil {
			return e.unknownReference()
		}
		return nil
	}
	fingerprint := fingerprint(*e.draft)
	switch {
	case p.intent != nil && p.intent.Fingerprint == fingerprint:
		return nil
	case p.erased():
		return e.fail(ErrConflict,
			fmt.Sprintf(
				"items of %q were erased from the journal, so that no draft can be compared with it: nothing was sent by this call; "+
					"Resume returns its report", e.key.Reference), nil)
	case p.intent == nil && e.corrects():
		return e.unknownReference()
	case p.intent != nil && p.touched && !e.corrects() && p.open == 0 && !p.submitted && !p.closed:
		return e.fail(ErrConflict,
			fmt.Sprintf(
				"the reference %q belongs to another draft, which was not submitted so far: nothing was sent by this call; "+
					"this draft corrects it if its Replaces is %q", e.key.Reference, e.key.Reference), nil)
	case p.intent != nil && p.touched && !e.corrects():
		return e.fail(ErrConflict,
			fmt.Sprintf(
				"the reference %q belongs to another draft, which may have been sent: nothing was sent by this call",
				e.key.Reference), nil)
	}
	// The reference is new, or nothing may be left of the first draft at the service.
	if err := e.stillInTime(ctx, *e.draft); err != nil {
		return err
	}
	if p.touched {
		if err := e.revise(ctx, p, fingerprint); err != nil {
			return err
		}
	}
	d, _, err := e.number(ctx)
	if err != nil {
		return err
	}
	return e.writeIntent(ctx, d)
}

// number returns the draft with a number where the service needs one.
// allocated says that the journal gave it.
func (e *engine) number(ctx context.Context) (d Draft, allocated bool, err error) {
	n, ok := As[Numberer](e.p)
	if !ok {
		return *e.draft, false, nil
	}
	d, err = n.Number(*e.draft, func(first int64) (int64, error) {
		allocated = true
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
		defer cancel()
		return e.journal.Next(detached, e.key.Provider+"/"+e.key.Account, first)
	})
	var known *Error
	if err != nil && !errors.As(err, &known) {
		err = e.journalFailed(ErrUnavailable, "nothing was sent", err)
	}
	return d, allocated, err
}

func (e *engine) writeIntent(ctx context.Context, d Draft) error {
	kept := e.info.withoutSecrets(d)
	entry := Entry{Kind: EntryIntent, Fingerprint: fingerprint(*e.draft), Draft: &kept, Terms: e.info.Terms,
		Approvals: e.draft.needed()}
	entry.Claims, entry.Releases = e.purposes(d.Items)
	if place := e.placeName(d.Replaces); d.Replaces != "" && !e.corrects() && !e.claimed[place] {
		entry.Claims = append(entry.Claims, place)
	}
	err := e.append(ctx, entry)
	held := claimedBy(err)
	if held != nil && strings.HasPrefix(held.Name, placePrefix) {
		return e.fail(ErrConflict, "nothing was sent by this call: another draft has taken the place of "+
			"that in Replaces; name the other one, if it was not sent", held)
	}
	if held != nil {
		return &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Code: CodePurposeTaken, Err: held,
			Message: "nothing was sent by this call: " + reasonOf(held)}
	}
	if err != nil {
		return e.journalFailed(ErrUnavailable, "nothing was sent", err)
	}
	return nil
}

// maxNumbers bounds how many numbers one reference tries.
const maxNumbers = 20

// renumber gives the intent the next number of the journal if err says that its
// number is another batch's. It returns nil if the call can go on.
func (e *engine) renumber(ctx context.Context, err error) error {
	var known *Error
	if !errors.As(err, &known) || known.Code != CodeNumberTaken || e.draft == nil || ctx.Err() != nil {
		return err
	}
	numbers := 0
	for _, entry := range e.history {
		switch f := entry.Failure; {
		case entry.Kind == EntryIntent:
			numbers++
		case entry.Kind == EntryResult && entry.Step == StepSubmit && (f == nil || f.Code != CodeNumberTaken &&
			f.Status != 0):
			return err // The number may be taken by an earlier Submit of this reference whose refusal was wrong.
		}
	}
	if numbers >= maxNumbers {
		return err
	}
	d, allocated, failed := e.number(ctx)
	switch {
	case failed != nil:
		return failed
	case !allocated:
		return err // The number is the caller's choice.
	}
	e.made = nil
	return e.writeIntent(ctx, d)
}

// restore returns the batch of p with its secrets, and whether it has all of
// them.
func (e *engine) restore(p progress) (Batch, bool) {
	switch {
	case p.batch == nil:
		return e.unsent(), true
	case e.made != nil && !p.submitted:
		return *e.made, true
	}
	b := *p.batch
	d, whole := e.info.restoreSecrets(b.Draft, e.supplied())
	b.Draft = d
	return b, whole
}

// supplied is the caller's draft, which has the secrets; it is empty in Resume.
func (e *engine) supplied() Draft {
	if e.draft == nil {
		return Draft{}
	}
	return *e.draft
}

func (e *engine) situation(ctx context.Context, p progress, whole bool) (situation, error) {
	_, cancels := As[Canceler](e.p)
	_, finds := As[Finder](e.p)
	s := situation{guard: e.info.Guard, read: e.evidence, secrets: whole, cancels: cancels, finds: finds,
		searched: e.searched}
	if p.submitted || p.closed || p.intent.Draft.NotAfter.IsZero() {
		return s, nil
	}
	now, err := e.now(ctx)
	s.expired = p.intent.Draft.expired(now)
	return s, err
}

// expired is the error for a draft whose time is over.
func (e *engine) expired(d Draft) error {
	return &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Code: CodeExpired,
		Message: "nothing was submitted: " + d.lateness() + "; Resolve can abandon it"}
}

// withdraw cancels a draft that an earlier Create has left, and writes that
// down.
func (e *engine) withdraw(ctx context.Context, p progress) error {
	b := Batch{Provider: e.info.Name, Draft: *p.intent.Draft, State: StateDraft}
	if len(p.left) > 0 {
		b.ID = p.left[0]
	} else {
		e.searched = true
		found, err := Find(ctx, e.p, e.key.Reference)
		switch {
		case KindOf(err) == ErrNotFound:
			return nil
		case err != nil:
			return e.fail(KindOf(err),
				"nothing was submitted: an earlier call may have left a draft, and the service was not able to say",
				err)
		case found.State == StateCanceled:
			return nil
		case found.State != StateDraft:
			return e.fail(ErrConflict,
				fmt.Sprintf(
					"the service has batch %s with this reference as %q, and this journal has not submitted it: find out who did", found.ID, found.Native), nil)
		}
		b.ID, b.Native, b.UpdatedAt = found.ID, found.Native, found.UpdatedAt
	}
	after, err := e.cancel(ctx, b, "nothing was submitted, and an earlier call has left a draft")
	late, known := tooLateError{}, (*Error)(nil)
	switch {
	case errors.As(err, &late):
		return e.fail(ErrConflict,
			fmt.Sprintf("the service has batch %s as %q, and this journal has not submitted it: find out who did",
				late.read.ID, late.read.Native), nil)
	case errors.As(err, &known) && known.Kind == ErrAmbiguous:
		known.Kind = ErrUnavailable // Whether it was canceled is not known; no money can move either way.
		return err
	case err != nil:
		return err
	}
	after.State = StateCanceled
	if err := e.append(ctx, Entry{Kind: EntryWithdrawn, Batch: e.kept(after)}); err != nil {
		return e.journalFailed(ErrUnavailable, "nothing was submitted; a draft was canceled", err)
	}
	e.searched = false // Another attempt may have left another draft.
	e.observe(Event{Phase: PhaseWithdraw, Batch: after})
	return nil
}

// create makes the draft at the service.
func (e *engine) create(ctx context.Context, p progress) (Batch, error) {
	b := e.unsent()
	d, whole := e.info.restoreSecrets(*p.intent.Draft, e.supplied())
	if !whole {
		return b,
			e.fail(ErrInvalid,
				"nothing was submitted, and the journal does not keep the secrets of the draft: call Run with the draft again", nil)
	}
	if err := ctx.Err(); err != nil {
		return b, e.fail(ErrUnavailable, "nothing was submitted", err)
	}
	n := p.creates + 1
	if err := e.append(ctx, Entry{Kind: EntryAttempt, Step: StepCreate, Attempt: n}); err != nil {
		return b, e.journalFailed(ErrUnavailable, "nothing was submitted", err)
	}
	b, err := e.p.Create(ctx, d)
	result := Entry{Kind: EntryResult, Step: StepCreate, Attempt: n, Batch: e.kept(b), Failure: failure(err)}
	failed := e.append(ctx, result)
	if held := claimedBy(failed); held != nil {
		err = &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Code: CodeNumberTaken, Err: held,
			Message: "nothing was submitted: the batch is another reference's"}
		b.ID = ""
		result.Batch, result.Failure = e.kept(b), failure(err)
		failed = e.append(ctx, result)
	}
	if err == nil {
		e.made = &b
	}
	if failed != nil {
		failed = e.journalFailed(ErrUnavailable, "a draft may have been made, and nothing was submitted",
			errors.Join(failed, err))
		e.observe(Event{Phase: PhaseCreate, Batch: b, Err: failed})
		return b, failed
	}
	e.observe(Event{Phase: PhaseCreate, Batch: b, Err: err})
	if err != nil && b.State == StateCanceled {
		b.ID, b.State = "", StateDraft // Create has withdrawn it, and the next call makes another.
	}
	return b, err
}

// submit submits b once, and writes down what came of it. attempted says that
// the journal holds the attempt; without it nothing was sent.
func (e *engine) submit(ctx context.Context, b Batch, p progress) (after Batch, attempted bool, err error) {
	if err := ctx.Err(); err != nil {
		return p.state(b), false, e.fail(ErrUnavailable, "not submitted by this call", err)
	}
	n := p.submits + 1
	began, err := e.now(ctx)
	if err == nil {
		err = e.append(ctx, Entry{Kind: EntryAttempt, Step: StepSubmit, Attempt: n, At: began})
	}
	if err != nil {
		return p.state(b), false, e.journalFailed(ErrUnavailable, "not submitted by this call", err)
	}
	e.asking, e.asked, e.evidence, e.readError = time.Time{}, 0, "", nil
	b.State = StateDraft
	if after, err = b, e.stillInTime(ctx, *p.intent.Draft); err == nil {
		detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.o.SubmitTimeout)
		defer cancel()
		after, err = e.p.Submit(detached, b)
	}

	result := Entry{Kind: EntryResult, Step: StepSubmit, Attempt: n, Batch: e.kept(after), Failure: failure(err)}
	failed := e.append(ctx, result)
	if held := claimedBy(failed); held != nil {
		err = e.fail(ErrAmbiguous, "the service answered with the ID of another reference's batch", held)
		after.ID, after.State = b.ID, StateUnknown
		result.Batch, result.Failure = e.kept(after), failure(err)
		failed = e.append(ctx, result)
	}
	if KindOf(err) == ErrAmbiguous && b.ID == "" && after.ID != "" {
		e.made = &after
	}
	switch {
	case failed == nil:
	case err == nil || KindOf(err) == ErrAmbiguous:
		after.State = StateUnknown
		err = e.journalFailed(ErrAmbiguous, "submitted, but the result could not be written down",
			errors.Join(failed, err))
	default:
		after = p.state(after)
		err = e.journalFailed(KindOf(err),
			"the Submit was refused, but that could not be written down, so that later calls must take it for unclear",
			errors.Join(failed, err))
	}
	e.observe(Event{Phase: PhaseSubmit, Attempt: n, Batch: after, Err: err})
	return after, true, err
}

// stillInTime reads the clock again once the attempt is durable, which may have
// taken long.
func (e *engine) stillInTime(ctx context.Context, d Draft) error {
	if d.NotAfter.IsZero() {
		return nil
	}
	now, err := e.now(ctx)
	switch {
	case err != nil:
		return e.fail(ErrUnavailable, "nothing was sent: the journal's clock cannot be read", err)
	case d.expired(now):
		return e.expired(d)
	}
	return nil
}

// repeats asks the table whether the Submit that failed with err is made again.
func (e *engine) repeats(err error, tries int) (time.Duration, bool) {
	var known *Error
	if isJournal(err) || !errors.As(err, &known) {
		return 0, false
	}
	return e.info.repeats(known, tries)
}

// maxResends bounds how often one call sends again behind a guard.
const maxResends = 3

// reconcile reads once what became of the open attempts, and writes down a
// proof that one has arrived. A nil error means that the table may say more
// now; otherwise the call has to end.
func (e *engine) reconcile(ctx context.Context, b Batch, p progress) (Batch, error) {
	b.State = StateUnknown
	if e.asking.IsZero() {
		e.asking = time.Now().Add(e.o.ReconcileFor)
	} else {
		wait := pauses[min(e.asked, len(pauses))-1]
		if p.observed != nil || time.Now().Add(wait).After(e.asking) {
			return e.asIs(b), e.unclear(p, nil)
		}
		if err := sleep(ctx, wait); err != nil {
			return e.asIs(b), e.unclear(p, err)
		}
	}
	e.asked++
	began, err := e.now(ctx)
	if err != nil {
		return b, e.unclear(p, err)
	}
	read, err := Reconcile(ctx, e.p, b)
	e.native = read.Native
	if err == nil && read.State != StateDraft {
		read, err = e.reconciled(ctx, read, nil)
		if claimedBy(err) == nil {
			e.observe(Event{Phase: PhaseReconcile, Batch: read, Err: err})
			return read, err
		}
		read.ID = b.ID
	}
	e.evidence, e.readError = "", err
	if err == nil && !began.Before(p.landsBy(e.info)) && e.resends < maxResends {
		e.evidence = read.State
		if e.info.Guard == GuardRefuses {
			e.resends++
		}
	}
	if failed := e.evident(ctx, p, read, err); failed != nil {
		return b, failed
	}
	e.observe(Event{Phase: PhaseReconcile, Batch: p.state(read), Err: err})
	return p.state(read), nil
}

// evident writes down evidence of a read that is not the batch itself, once.
func (e *engine) evident(ctx context.Context, p progress, read Batch, err error) error {
	var known *Error
	if !errors.As(err, &known) || known.Kind != ErrAmbiguous || known.Op == opReconcile || isJournal(err) {
		return nil
	}
	evidence := failure(err)
	if p.observed != nil && *p.observed == *evidence {
		return nil
	}
	if err := e.append(ctx, Entry{Kind: EntryObserved, Batch: e.kept(read), Failure: evidence}); err != nil {
		return e.journalFailed(ErrAmbiguous, "what a read said could not be written down", errors.Join(err, known))
	}
	return nil
}

// asIs is b with the service's last word about it.
func (e *engine) asIs(b Batch) Batch {
	if e.native != "" {
		b.Native = e.native
	}
	return b
}

// pauses are the waits between reads; the last one repeats.
var pauses = []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second, 20 * time.Second, 30 * time.Second}

// unclear is the error of a call that ends without knowing whether the batch
// was submitted. It names the Submit and the last read.
func (e *engine) unclear(p progress, ended error) error {
	if p.observed != nil {
		return &Error{Kind: ErrAmbiguous, Provider: e.info.Name, Op: e.op, Code: p.observed.Code,
			Message: p.observed.Message, Err: ended}
	}
	var cause error
	if silent := cmp.Or(p.running, p.silent); silent != nil {
		cause = fmt.Errorf(
			"the journal holds no result of Submit %d, which began at %s: its process stopped or is still at it",
			silent.Attempt, silent.At.UTC().Format(time.RFC3339))
	} else if p.unclear != nil {
		cause = p.unclear.error(e.info.Name)
	}
	var refused, read error
	if p.refused != nil {
		refused = fmt.Errorf("the last Submit was refused: %w", p.refused.error(e.info.Name))
	}
	if e.readError != nil {
		read = fmt.Errorf("the last read: %w", e.readError)
	}
	return e.fail(ErrAmbiguous,
		"whether the batch was submitted is not known: do not send it again, call Resume later to ask again",
		errors.Join(cause, refused, read, ended))
}

// reconciled writes down that the service has b, and releases names.
func (e *engine) reconciled(ctx context.Context, b Batch, releases []string) (Batch, error) {
	if err := e.append(ctx, Entry{Kind: EntryReconciled, Batch: e.kept(b), Releases: releases}); err != nil {
		b.State = StateUnknown
		return b, e.journalFailed(ErrAmbiguous, "submitted, but that could not be written down", err)
	}
	return b, nil
}

// kept is b as the journal may keep it.
func (e *engine) kept(b Batch) *Batch {
	b.Draft, b.Counts = e.info.withoutSecrets(b.Draft), Counts{}
	return &b
}

func (e *engine) wait(ctx context.Context, b Batch) (Batch, error) {
	o := e.o.Watch
	onFailure := o.OnFailure
	o.OnFailure = func(b Batch, err error) {
		e.observe(Event{Phase: PhaseWait, Batch: b, Err: err})
		if onFailure != nil {
			onFailure(b, err)
		}
	}
	if b.State.Final() {
		return b, nil
	}
	for next, err := range Watch(ctx, e.p, b, &o) {
		b = next
		e.observe(Event{Phase: PhaseWait, Batch: b, Err: err})
		if err != nil {
			return b, e.forgotten(err)
		}
	}
	return b, nil
}

// forgotten is err of a read of a batch that was accepted. ErrNotFound of Run,
// Resume and Settle speaks of the journal.
func (e *engine) forgotten(err error) error {
	if KindOf(err) == ErrNotFound {
		return e.fail(ErrProtocol, "the service has accepted the batch and does not find it now", err)
	}
	return err
}

// close closes the history with what was reported, and frees the purposes that
// were not paid. A history that another call has closed is closed again only if
// this report says something else.
func (e *engine) close(ctx context.Context, r Report) error {
	unlock, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p := replay(e.history)
	if p.abandoned != nil || p.closed && p.erased() {
		return nil
	}
	return e.conclude(ctx, p, r, p.explained)
}

// conclude closes the history, with the word of a person if there is one.
func (e *engine) conclude(ctx context.Context, p progress, r Report, d *Decision) error {
	r.Results = fill(r.Results, p.words(d))
	entry := Entry{Kind: EntryDone, Batch: e.kept(r.Batch), Outcomes: outcomesOf(r.Results), Decision: d}
	entry.Claims, entry.Releases = e.settled(r)
	news := !p.closed || d != p.explained || !p.outcomes.same(entry.Outcomes) || len(entry.Releases) > 0
	if !news && len(entry.Claims) == 0 {
		return nil
	}
	now, err := e.now(ctx)
	if err != nil {
		return e.journalFailed(ErrUnavailable, "finished and reported, but the journal's clock cannot be read", err)
	}
	entry.At = p.toldAt(now)
	err = e.append(ctx, entry)
	held := claimedBy(err)
	if entry.Claims = nil; held != nil && news {
		err = e.append(ctx, entry)
	}
	switch {
	case held != nil && (err == nil || !news):
		return &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Code: CodePurposeTaken, Err: held,
			Message: "finished and reported, and " + reasonOf(held)}
	case err != nil:
		return e.journalFailed(ErrUnavailable, "finished and reported, but that could not be written down", err)
	}
	return nil
}

// look says where an open batch stands, with one read at most.
func (e *engine) look(ctx context.Context) (Batch, error) {
	unlock, err := e.begin(ctx)
	if err != nil {
		return e.unknown(), err
	}
	defer unlock()
	p := replay(e.history)
	if p.intent == nil {
		return e.unsent(), nil
	}
	if p.closed {
		return *p.batch, nil // Another call has closed it since it was listed.
	}
	b := p.state(p.handle(e.info.Name))
	if err := e.sameTerms(p); err != nil {
		return b, err
	}
	switch {
	case p.submitted:
		return poll(ctx, e.p, b)
	case p.open > 0:
		read, err := Reconcile(ctx, e.p, b)
		switch {
		case err == nil && read.State != StateDraft:
			return e.reconciled(ctx, read, nil)
		case err == nil:
			err = e.fail(ErrAmbiguous, "not submitted so far, but a request may still be under way", nil)
		}
		return p.state(read), err
	}
	return b, nil
}

// begin takes the lock and reads the history.
func (e *engine) begin(ctx context.Context) (unlock func(), err error) {
	const unknown = "nothing was sent by this call, and what earlier ones have sent is not known"
	waiting, cancel := ctx, func() {}
	if e.patience > 0 {
		waiting, cancel = context.WithTimeout(ctx, e.patience)
	}
	unlock, err = e.journal.Lock(waiting, e.key)
	busy := waiting.Err() != nil && ctx.Err() == nil
	cancel()
	switch {
	case err != nil && busy:
		return nil, e.fail(ErrUnavailable, "another call is at work on this batch: ask again later", err)
	case err != nil:
		return nil, e.journalFailed(ErrUnavailable, unknown, err)
	}
	if e.history, err = e.journal.History(ctx, e.key); err == nil {
		err = known(e.history)
	}
	if err != nil {
		unlock()
		return nil, e.journalFailed(ErrUnavailable, unknown, err)
	}
	e.claimed = make(map[string]bool)
	for _, entry := range e.history {
		entry.claim(e.claimed)
	}
	return unlock, nil
}

// writeLimit is how long a write to the journal may take, whatever becomes of
// the caller.
const writeLimit = 5 * time.Second

// append writes the next entry, even if ctx has ended: what has happened must
// be written down. An entry with a batch ID claims it for this key.
func (e *engine) append(ctx context.Context, entry Entry) error {
	entry.Seq = len(e.history) + 1
	if entry.At.IsZero() {
		entry.At = time.Now()
	}
	if b := entry.Batch; b != nil && b.ID != "" {
		if name := e.batchName(b.ID); !e.claimed[name] {
			entry.Claims = append(entry.Claims, name)
		}
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	if err := e.journal.Append(detached, e.key, entry); err != nil {
		return err
	}
	e.history = append(e.history, entry)
	entry.claim(e.claimed)
	return nil
}

// claim makes names those that the key holds after e.
func (e *Entry) claim(names map[string]bool) {
	for _, name := range e.Releases {
		delete(names, name)
	}
	for _, name := range e.Claims {
		names[name] = true
	}
}

// batchName is the name under which a journal knows a batch of the service.
func (e *engine) batchName(id string) string {
	return fmt.Sprintf("batch %s of %s at %s", id, e.key.Account, e.key.Provider)
}

// now is the time by the journal's clock.
func (e *engine) now(ctx context.Context) (time.Time, error) {
	c, ok := e.journal.(Clock)
	if !ok {
		return time.Now(), nil
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeLimit)
	defer cancel()
	return c.Now(detached)
}

func (e *engine) observe(event Event) {
	now := time.Now()
	event.Took, e.told = now.Sub(e.told), now
	e.log(event)
	if e.o.Observe != nil {
		e.o.Observe(event)
	}
}

// log writes down an event. What went wrong is a warning: the call returns it,
// or goes on.
func (e *engine) log(event Event) {
	if e.o.Logger == nil {
		return
	}
	level := slog.LevelInfo
	attrs := append(e.attrs(), slog.String("state", string(event.Batch.State)),
		slog.String("native", event.Batch.Native),
		slog.String("batch_id", event.Batch.ID), slog.Duration("took", event.Took))
	if n := event.Batch.Counts; n != (Counts{}) {
		attrs = append(attrs, slog.Int("final_items", n.Final), slog.Int("items", n.Items))
	}
	if event.Attempt > 0 {
		attrs = append(attrs, slog.Int("attempt", event.Attempt))
	}
	if event.Err != nil {
		level = slog.LevelWarn
		attrs = append(attrs, slog.String("kind", string(KindOf(event.Err))), slog.String("error", event.Err.Error()))
		var failed *Error
		if errors.As(event.Err, &failed) && failed.RequestID != "" {
			attrs = append(attrs, slog.String("request_id", failed.RequestID))
		}
	}
	e.o.Logger.LogAttrs(context.Background(), level, "batch: "+string(event.Phase), attrs...)
}

// decides writes down what Run does next, and why.
func (e *engine) decides(next step, why string) {
	if e.o.Logger != nil {
		e.o.Logger.LogAttrs(context.Background(), slog.LevelDebug, "batch: decided",
			append(e.attrs(), slog.String("next", string(next)), slog.String("because", why))...)
	}
}

// attrs say which batch a record is about.
func (e *engine) attrs() []slog.Attr {
	return []slog.Attr{slog.String("provider", e.key.Provider), slog.String("account", e.key.Account),
		slog.String("reference", e.key.Reference)}
}

func (e *engine) unsent() Batch {
	b := Batch{Provider: e.info.Name, State: StateDraft, Draft: Draft{Reference: e.key.Reference,
		Direction: e.info.Direction}}
	if e.draft != nil {
		b.Draft = *e.draft
	}
	return b
}

// unknown is unsent where earlier calls may have submitted it.
func (e *engine) unknown() Batch {
	b := e.unsent()
	b.State = StateUnknown
	return b
}

func (e *engine) fail(kind Kind, message string, cause error) error {
	return &Error{Kind: kind, Provider: e.info.Name, Op: e.op, Message: message, Err: cause}
}

func (e *engine) journalFailed(kind Kind, message string, err error) error {
	return e.fail(kind, "the journal failed: "+message, journalError{err})
}

func (e *engine) unknownReference() error {
	return e.fail(ErrNotFound, fmt.Sprintf("the journal does not know the reference %q", e.key.Reference), nil)
}

// journalError marks an error that a retry cannot fix.
type journalError struct{ error }

func (e journalError) Unwrap() error { return e.error }

func isJournal(err error) bool {
	var j journalError
	return errors.As(err, &j)
}

// overtaken reports whether another process appended the next entry first.
func overtaken(err error) bool {
	var j journalError
	return errors.As(err, &j) && KindOf(j.error) == ErrConflict && claimedBy(err) == nil
}

// claimedBy returns what err says of a name that another key holds, or nil.
func claimedBy(err error) *ClaimedError {
	var held *ClaimedError
	errors.As(err, &held)
	return held
}
