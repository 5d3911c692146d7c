package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	StandingClosed    Standing = "closed"    // finished and reported, or given up by a person
)

// A Dossier is what a journal knows of one open batch: what a person needs to
// ask the service's support, and to decide. It is plain data, JSON-safe, and
// holds no credential and no account of an item.
type Dossier struct {
	Key         Key               `json:"key"`
	Standing    Standing          `json:"standing"`
	Guard       Guard             `json:"guard,omitempty"` // what the service itself refuses
	Fingerprint string            `json:"fingerprint"`     // of the draft
	Intended    time.Time         `json:"intended"`
	Items       int               `json:"items"`
	Total       Money             `json:"total"`
	Terms       map[string]string `json:"terms,omitempty"`    // what the provider's configuration decided about money
	BatchID     string            `json:"batch_id,omitempty"` // the service's
	Purposes    []string          `json:"purposes,omitempty"` // those that it holds: Run refuses another batch for them
	Left        []string          `json:"left,omitempty"`     // IDs of drafts that failed attempts to create have left
	Native      string            `json:"native,omitempty"`   // the service's last word about it
	Read        time.Time         `json:"read,omitzero"`      // when that was written down; not every read is
	Attempts    []Attempt         `json:"attempts,omitempty"`
	Decisions   []Decision        `json:"decisions,omitempty"`
	Author      string            `json:"author,omitempty"`    // Draft.Author
	Digest      string            `json:"digest,omitempty"`    // of what people approve; empty while there is no draft
	Needed      int               `json:"needed,omitempty"`    // approvals before a Submit
	Approvals   []Approval        `json:"approvals,omitempty"` // those that count
	Notes       []Note            `json:"notes,omitempty"`
	Next        string            `json:"next"` // what is safe to do now
}

// An Attempt is one call that changes something at the service.
type Attempt struct {
	Step    Step       `json:"step"`
	Number  int        `json:"number"` // 1, 2, 3... within the step
	Began   time.Time  `json:"began"`
	Ended   *time.Time `json:"ended,omitempty"`   // nil: the process stopped, or is still at it
	Failure *Failure   `json:"failure,omitempty"` // nil: it succeeded, or has not ended
}

// Ticket is the text for the service's support: what is asked, and all that
// identifies the batch and each call there. It holds no account and no name of
// an item, and no word of a person of ours.
func (d Dossier) Ticket() string {
	var s strings.Builder
	fmt.Fprintf(&s, "Payment batch %q of account %s\n", d.Key.Reference, d.Key.Account)
	if d.BatchID != "" {
		fmt.Fprintf(&s, "Batch ID at your service: %s\n", d.BatchID)
	}
	for _, term := range slices.Sorted(maps.Keys(d.Terms)) {
		if d.Terms[term] != "" {
			fmt.Fprintf(&s, "%s: %s\n", term, d.Terms[term])
		}
	}
	fmt.Fprintf(&s, "Items: %d, total %s\n", d.Items, d.Total)
	if d.Native != "" {
		fmt.Fprintf(&s, "Status that you gave at %s: %s\n", d.Read.UTC().Format(time.RFC3339), d.Native)
	}
	for _, a := range d.Attempts {
		fmt.Fprintf(&s, "Call %s %d began at %s", a.Step, a.Number, a.Began.UTC().Format(time.RFC3339))
		switch f := a.Failure; {
		case a.Ended == nil:
			s.WriteString(", and its answer is not known to us")
		case f == nil:
			s.WriteString(", and succeeded")
		default:
			fmt.Fprintf(&s, ", and ended with: %s", f)
			if f.RequestID != "" {
				fmt.Fprintf(&s, " (your request ID %s)", f.RequestID)
			}
		}
		s.WriteString("\n")
	}
	switch d.Standing {
	case StandingUnclear:
		s.WriteString("1. Has this batch been processed? If so, under which ID?\n" +
			"2. If not: can it still be processed, because of any call that is listed here?\n")
	case StandingSubmitted:
		s.WriteString("Your answers say that you have this batch. Do you? Where does it stand, and when will it end?\n")
	}
	return s.String()
}

// A Note is what people write down about an open batch. It decides nothing.
type Note struct {
	Operator string    `json:"operator"` // who writes
	Text     string    `json:"text"`     // such as the case number of the support, or what it has promised
	Due      time.Time `json:"due,omitzero"`
	At       time.Time `json:"at"` // set by Desk.Note
}

func dossier(info Info, key Key, history []Entry) Dossier {
	p := replay(history)
	d := Dossier{Key: key, Guard: info.Guard, Left: p.left}
	var items []Item
	if p.intent != nil {
		d.Fingerprint, d.Intended, d.Terms = p.intent.Fingerprint, p.intent.At, p.intent.Terms
		d.Author, d.Digest, d.Needed, d.Approvals = p.author(), p.digest(), p.intent.Approvals, p.approved()
		items = p.intent.Draft.Items
		if p.batch != nil && len(items) == 0 {
			items = p.batch.Draft.Items // As Create has found them.
		}
		d.Items = len(items)
		amounts := make([]Money, 0, d.Items)
		for _, item := range items {
			amounts = append(amounts, item.Amount)
		}
		d.Total, _ = Sum(amounts...) // Run refuses items that cannot be added up.
	}
	if p.batch != nil {
		d.BatchID = p.batch.ID
	} else if n := len(p.left); n > 0 {
		d.BatchID = p.left[n-1]
	}
	if p.seen != nil && p.seen.Native != "" {
		d.Native, d.Read = p.seen.Native, p.seenAt
	}
	held := make(map[string]bool)
	for _, entry := range history {
		entry.claim(held)
		switch {
		case entry.Kind == EntryAttempt:
			d.Attempts = append(d.Attempts, Attempt{Step: entry.Step, Number: entry.Attempt, Began: entry.At})
		case entry.Kind == EntryResult && entry.Decision == nil:
			for i := range d.Attempts {
				if a := &d.Attempts[i]; a.Step == entry.Step && a.Number == entry.Attempt {
					a.Ended, a.Failure = &entry.At, entry.Failure.withoutAccounts(items)
				}
			}
		}
		if entry.Note != nil {
			d.Notes = append(d.Notes, *entry.Note)
		}
		if entry.Decision != nil {
			d.Decisions = append(d.Decisions, *entry.Decision)
		}
	}
	d.Purposes = purposesIn(history, held)
	d.Standing, d.Next = p.standing(info, time.Now())
	if p.abandoned != nil && len(d.Purposes) > 0 {
		d.Next = "nothing is sent any more, but it may have been submitted, and so it keeps its purposes: " +
			"if the service's support says that it was not and never will be, Resolve (resend) frees them " +
			"and sends nothing; if it was, Resolve (adopt) goes on with it"
	}
	return d
}

// standing says how far a batch has come, and what is safe to do now.
func (p progress) standing(info Info, now time.Time) (Standing, string) {
	expired := p.intent != nil && p.intent.Draft.expired(now)
	switch {
	case p.abandoned != nil:
		return StandingClosed, "nothing: it was abandoned"
	case p.closed && p.openItems() > 0:
		return StandingClosed, fmt.Sprintf("it was reported with %d items unknown or pending: "+
			"call Review to ask again; if the service cannot tell, ask its support, "+
			"and record the answer with Resolve (close) and its Outcomes", p.openItems())
	case p.closed:
		return StandingClosed, "nothing: it was reported; Review finds what has changed since"
	case p.submitted:
		return StandingSubmitted,
			"call Resume: it waits for the end and reports; if the end never comes, or the report never agrees, " +
				"ask the service's support, and record the answer with Resolve (close)"
	case expired && p.open == 0:
		return begun[p.touched], p.intent.Draft.lateness() +
			", and was not: call Resolve to abandon it, or Run with a corrected draft (Draft.Replaces)"
	case expired && p.observed == nil:
		return StandingUnclear, p.intent.Draft.lateness() + ", and may have been: call Resume to ask; " +
			"if the service cannot tell, ask its support, and record the answer with Resolve"
	case p.batch != nil && p.lacking() > 0 && (p.open == 0 || p.resend):
		return waits[p.open > 0],
			fmt.Sprintf("wait for %d more approvals of its digest, and then call Resume; or call Resolve to abandon it",
				p.lacking())
	case p.open == 0 && p.refused != nil && p.refused.Code == CodeNumberTaken:
		return StandingDraft, "call Run with the draft again: it takes the next number; or call Resolve to abandon it"
	case p.open > 0 && p.observed != nil:
		return StandingUnclear, p.observed.Message +
			"; when its support has named the batch, record that with Resolve (adopt)"
	case p.open > 0 && p.resend:
		return StandingUnclear,
			"call Run or Resume: it sends once more, because an operator has said that no earlier call had an effect or will have one; " +
				"if that is wrong, money moves twice: record what is right with Resolve (adopt, abandon) before it is sent"
	case p.open > 0 && info.Guard == GuardRefuses:
		return StandingUnclear, "call Resume: it asks, and from " + p.landsBy(info).UTC().Format(time.RFC3339) +
			" on it sends again if the batch is still a draft, because the service refuses the second of two"
	case p.open > 0:
		return StandingUnclear,
			"do not send it again: call Resume to ask; if the service cannot tell, ask its support, and record the answer with Resolve"
	case p.refused != nil && p.creating == 0 && len(p.left) == 0:
		return begun[p.batch != nil],
			fmt.Sprintf("the last call had no effect, and ended with %s: once that is mended, call Resume, "+
				"or Run with a corrected draft (Draft.Replaces); or call Resolve to abandon it",
				p.refused.withoutAccounts(p.intent.Draft.Items))
	case p.batch != nil || p.creating > 0 || len(p.left) > 0:
		return StandingDraft, "call Resume to go on, or Resolve to abandon it"
	}
	return StandingIntended, "call Run or Resume to go on, or Resolve to abandon it"
}

// openItems counts the items whose outcome was reported as unknown or pending.
func (p progress) openItems() (n int) {
	if p.outcomes == nil {
		return 0
	}
	for outcome := range open {
		n += strings.Count(p.outcomes.Letters, string(letters[outcome]))
	}
	return n
}

// purposesIn are the purposes of items whose names are held, as the caller has
// written them.
func purposesIn(history []Entry, held map[string]bool) (purposes []string) {
	for _, entry := range history {
		if entry.Kind != EntryIntent {
			continue
		}
		for _, item := range entry.Draft.Items {
			if item.Purpose != "" && held[purposeName(item.Purpose)] {
				purposes = append(purposes, item.Purpose)
			}
		}
	}
	slices.Sort(purposes)
	return slices.Compact(purposes)
}

// begun is the standing of a batch that was not submitted, by whether the service
// may hold something of it.
var begun = map[bool]Standing{false: StandingIntended, true: StandingDraft}

// waits is the standing of a batch that waits for people, by whether a Submit
// may have arrived.
var waits = map[bool]Standing{false: StandingDraft, true: StandingUnclear}

// withoutAccounts returns f without the accounts of items: a service that
// refuses an item may name its account.
func (f *Failure) withoutAccounts(items []Item) *Failure {
	if f == nil {
		return nil
	}
	clean := *f
	for _, item := range items {
		if len(item.Account) >= 3 { // A shorter one would also be a part of other words.
			clean.Message = strings.ReplaceAll(clean.Message, item.Account, "[account]")
		}
	}
	return &clean
}

// Verdict is what a person decides about a batch.
type Verdict string

// The verdicts.
const (
	// Abandon gives the batch up: nothing more is sent under its reference.
	// An unclear batch keeps its purposes, until Resend of it says that it was not
	// submitted. Where the service can cancel, what it has is cancelled first; a batch
	// that turns out to be submitted is not abandoned, and ErrConflict.
	Abandon Verdict = "abandon"
	// Adopt says that the batch at the service with the ID in Decision.BatchID
	// is this one. The service must know it.
	Adopt Verdict = "adopt"
	// Resend says that no earlier attempt had, or will have, an effect: the
	// next Run or Resume sends again. If that is wrong, money moves twice:
	// nothing that this package promises covers it. Of a batch that was abandoned
	// it sends nothing, and frees the purposes.
	Resend Verdict = "resend"
	// Close gives up waiting for more of a batch that the service has: its end
	// never comes, or the difference in its report is explained. The report is
	// read once more and kept as it is. Nothing more is sent.
	Close Verdict = "close"
)

// A Decision is a person's word where the service has none. It stays in the
// journal.
type Decision struct {
	Verdict  Verdict   `json:"verdict"`
	BatchID  string    `json:"batch_id,omitempty"` // for Adopt: the service's
	Operator string    `json:"operator"`           // who decided
	Reason   string    `json:"reason"`             // and why: the case number of the support, for example
	At       time.Time `json:"at"`                 // set by Resolve

	// Outcomes, for Close, is what became of items that the report leaves
	// unknown or pending, by their reference: paid, failed, returned or skipped.
	// It frees and holds purposes as a report does. What an earlier Close has said
	// of other items stays.
	Outcomes map[string]Outcome `json:"outcomes,omitempty"`

	// Unanswered, for Abandon and Close, says that the service answers no more,
	// because the contract has ended, for example. The service is asked all the
	// same, and believed; if it does not answer, the decision is recorded without.
	Unanswered bool `json:"unanswered,omitempty"`
}

// faults lists what is wrong with d.
func (d Decision) faults() (faults []FieldError) {
	fault := func(field, message string) {
		faults = append(faults, FieldError{Item: -1, Field: field, Message: message})
	}
	if d.Verdict != Abandon && d.Verdict != Adopt && d.Verdict != Resend && d.Verdict != Close {
		fault("verdict", "must be abandon, adopt, resend or close")
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
	if d.Unanswered && d.Verdict != Abandon && d.Verdict != Close {
		fault("unanswered", "is only for abandon and close")
	}
	if len(d.Outcomes) > 0 && d.Verdict != Close {
		fault("outcomes", "are only for close")
	}
	for _, reference := range slices.Sorted(maps.Keys(d.Outcomes)) {
		if o := d.Outcomes[reference]; open[o] || letters[o] == 0 {
			fault("outcomes", fmt.Sprintf("of %q is %q; it must be paid, failed, returned or skipped", reference, o))
		}
	}
	return faults
}

// without says that d is recorded although the service was asked in vain, with
// err. A conflict is an answer.
func (d Decision) without(err error) bool {
	return d.Unanswered && err != nil && KindOf(err) != ErrConflict
}

// open are the outcomes that a person can fill in.
var open = map[Outcome]bool{OutcomeUnknown: true, OutcomePending: true}

// words are what people have said of items, by reference: d after those before.
func (p progress) words(d *Decision) map[string]Outcome {
	if d == nil || len(d.Outcomes) == 0 {
		return p.said
	}
	all := make(map[string]Outcome, len(p.said)+len(d.Outcomes))
	maps.Copy(all, p.said)
	maps.Copy(all, d.Outcomes)
	return all
}

// fill is results with the words of people where the service has none.
func fill(results []Result, words map[string]Outcome) []Result {
	if len(words) == 0 {
		return results
	}
	filled := slices.Clone(results)
	for n := range filled {
		if o, ok := words[filled[n].Item.Reference]; ok && open[filled[n].Outcome] {
			filled[n].Outcome = o
		}
	}
	return filled
}

func (e *engine) resolve(ctx context.Context, d Decision) (Batch, error) {
	unlock, err := e.begin(ctx)
	if err != nil {
		return e.unknown(), err
	}
	defer unlock()
	progress := replay(e.history)
	if progress.intent == nil {
		return e.unsent(), e.unknownReference()
	}
	b := progress.state(progress.handle(e.info.Name))
	if d.Verdict == Close {
		return e.explain(ctx, progress, b, d)
	}
	frees := progress.abandoned != nil && d.Verdict == Resend && len(e.heldPurposes(progress.intent.Draft.Items)) > 0
	if progress.closed && !frees && (progress.abandoned == nil || d.Verdict != Adopt) {
		return b, e.undecided("the batch is not open any more")
	}
	if err := e.sameTerms(progress); err != nil {
		return b, err
	}
	if progress.submitted && !progress.adopted {
		unclear := b
		unclear.State = StateUnknown
		if _, err := Reconcile(ctx, e.p, unclear); KindOf(err) != ErrAmbiguous {
			return b, e.undecided("the batch was submitted, as the service has said: Resume waits for its end")
		}
		progress.doubt() // The service no longer says so.
		b = progress.state(*progress.batch)
	}
	d.At = time.Now()
	switch {
	case frees:
		return b, e.decide(ctx, Entry{Kind: EntryDone, Batch: e.kept(b), Decision: &d,
			Releases: e.heldPurposes(progress.intent.Draft.Items)})
	case d.Verdict == Abandon:
		return e.abandon(ctx, progress, d)
	case d.Verdict == Adopt:
		return e.adopt(ctx, progress, b, d)
	case progress.resend:
		return b, e.undecided("one more Submit is already decided: call Run or Resume")
	case progress.open == 0 && progress.creating == 0 && !progress.adopted:
		return b, e.undecided("nothing is unclear: call Resume")
	}
	before := progress.withoutAdoption()
	b = before.state(before.handle(e.info.Name))
	return b, e.decide(ctx, Entry{Kind: EntryDecision, Decision: &d, Releases: e.adoptedName(progress)})
}

// adoptedName is the name that the adopted batch has claimed, unless the key
// held it before.
func (e *engine) adoptedName(p progress) []string {
	if !p.adopted {
		return nil
	}
	if p.unadopted != nil && p.unadopted.ID == p.batch.ID {
		return nil
	}
	return []string{e.batchName(p.batch.ID)}
}

// abandon cancels what the service may have, if it can, and closes the history.
func (e *engine) abandon(ctx context.Context, p progress, d Decision) (Batch, error) {
	released := e.adoptedName(p)
	p = p.withoutAdoption()
	known := p.batch != nil
	batch := p.handle(e.info.Name)
	if p.open > 0 {
		batch.State = StateUnknown
	}
	_, cancels := As[Canceler](e.p)
	if !cancels {
		if p.open > 0 {
			read, err := Reconcile(ctx, e.p, batch)
			switch {
			case err == nil && read.State != StateDraft:
				return e.tooLate(ctx, read, released)
			case err != nil && KindOf(err) != ErrAmbiguous && !d.without(err):
				return batch, e.fail(KindOf(err),
					"the decision was not recorded: the service was not able to say whether the batch was submitted", err)
			}
		}
		released = append(released, e.givenUp(p, batch)...)
		return batch, e.decide(ctx, Entry{Kind: EntryDone, Batch: e.kept(batch), Decision: &d, Releases: released})
	}
	for _, id := range p.left {
		left := batch
		left.ID = id
		after, err := e.cancel(ctx, left, unrecorded)
		if late := (tooLateError{}); errors.As(err, &late) {
			return e.tooLate(ctx, late.read, released)
		}
		if err != nil && !d.without(err) {
			return batch, err
		}
		if !known {
			batch = after
		}
	}
	orphan := false
	for n := 0; known || n < p.creating; n++ { // Each attempt to create may have left a draft.
		if !known {
			found, err := Find(ctx, e.p, e.key.Reference)
			kind := KindOf(err)
			again := kind == "" && n > 0 && found.State == StateCanceled
			if kind == ErrNotFound || kind == ErrUnsupported || d.without(err) || again {
				orphan = kind == ErrUnsupported
				break
			}
			if err != nil {
				return batch, e.fail(kind, "the decision was not recorded: an earlier call may have left a draft", err)
			}
			found.Draft = batch.Draft
			batch = found
		}
		after, err := e.cancel(ctx, batch, unrecorded)
		if late := (tooLateError{}); errors.As(err, &late) {
			return e.tooLate(ctx, late.read, released)
		}
		if err != nil && !d.without(err) {
			return batch, err
		}
		if batch = after; known {
			break
		}
	}
	released = append(released, e.givenUp(p, batch)...)
	if err := e.decide(ctx, Entry{Kind: EntryDone, Batch: e.kept(batch), Decision: &d,
		Releases: released}); err != nil {
		return batch, err
	}
	if orphan {
		return batch,
			e.fail(ErrUnsupported,
				"abandoned; the service may hold a draft of an earlier call, which cannot be looked up by reference: "+
					"no money moves unless it is submitted there", nil)
	}
	return batch, nil
}

// tooLateError says that a batch cannot be canceled because it was submitted.
type tooLateError struct {
	error
	read Batch
}

const unrecorded = "the decision was not recorded"

// cancel cancels a batch that may be a draft. A batch that is canceled already,
// or that the service does not know, is as good. Where cancellation is
// permanent, a Submit that is still in flight has no effect after it. otherwise
// is what an error says beside its reason. Beside an error there is no batch.
func (e *engine) cancel(ctx context.Context, b Batch, otherwise string) (Batch, error) {
	state := b.State
	b.State = StateDraft
	after, err := Cancel(ctx, e.p, b)
	switch KindOf(err) {
	case "":
		return after, nil
	case ErrNotFound:
		if b.State = state; state != StateUnknown {
			b.State = StateCanceled
		}
		return b, nil
	case ErrConflict:
		b.State = StateUnknown
		read, failed := e.p.Poll(ctx, b)
		switch {
		case failed == nil && read.State == StateCanceled:
			return read, nil
		case failed == nil && (read.State == StatePending || read.State.Final()):
			return Batch{}, tooLateError{e.undecided("too late: the batch was submitted"), read}
		}
		return Batch{}, e.fail(ErrConflict, fmt.Sprintf("%s: batch %s was not canceled", otherwise, b.ID),
			errors.Join(err, failed))
	}
	return Batch{}, e.fail(KindOf(err), fmt.Sprintf("%s: the draft %s was not canceled", otherwise, b.ID), err)
}

// tooLate writes down that the batch was submitted, and decides nothing.
func (e *engine) tooLate(ctx context.Context, read Batch, released []string) (Batch, error) {
	if slices.Contains(released, e.batchName(read.ID)) {
		released = nil
	}
	if read, err := e.reconciled(ctx, read, released); err != nil {
		return read, err
	}
	return read, e.undecided("too late: the batch was submitted")
}

// adopt reads the batch that the operator has named.
func (e *engine) adopt(ctx context.Context, p progress, b Batch, d Decision) (Batch, error) {
	named := b
	named.ID, named.State, named.Native = d.BatchID, StateUnknown, ""
	read, err := e.p.Poll(ctx, named)
	switch {
	case KindOf(err) == ErrNotFound:
		return b, e.fail(ErrConflict, fmt.Sprintf("the service does not know a batch %s", d.BatchID), err)
	case err != nil:
		return b, err
	case read.State == StateUnknown:
		return b, e.undecided("the service does not say where that batch stands")
	case read.State == StateCanceled && p.open > 0 && d.BatchID != b.ID:
		return b, e.undecided("that batch was canceled, and a Submit of another may have arrived")
	case p.closed && read.State == StateDraft:
		return b, e.undecided("that batch is not submitted, and the reference was abandoned")
	case read.State == StateDraft && p.open > 0:
		return b, e.undecided("that batch is not submitted so far, and a Submit may still be under way")
	case read.State == StateDraft:
		// What it holds is compared with the draft before Submit.
		return e.adopted(ctx, p, b, read, Entry{Kind: EntryResult, Step: StepCreate, Attempt: p.creates,
			Batch: e.kept(read), Decision: &d})
	}
	return e.adopted(ctx, p, b, read, Entry{Kind: EntryReconciled, Batch: e.kept(read), Decision: &d})
}

func (e *engine) adopted(ctx context.Context, p progress, before, after Batch, entry Entry) (Batch, error) {
	entry.Releases = e.adoptedName(p)
	if slices.Contains(entry.Releases, e.batchName(after.ID)) {
		entry.Releases = nil
	}
	entry.Claims, _ = e.purposes(p.intent.Draft.Items) // Those that an earlier Abandon has freed.
	err := e.decide(ctx, entry)
	held := claimedBy(err)
	switch {
	case err == nil:
		return after, nil
	case held == nil:
		return before, err
	case held.Name == e.batchName(after.ID):
		return before, e.fail(ErrConflict, "the decision was not recorded: the batch is another reference's", held)
	}
	entry.Claims = nil
	if err := e.decide(ctx, entry); err != nil {
		return before, err
	}
	return after, &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Code: CodePurposeTaken, Err: held,
		Message: "the decision was recorded, and " + reasonOf(held)}
}

// explain closes a batch that the service has with the report as it is now.
func (e *engine) explain(ctx context.Context, p progress, b Batch, d Decision) (Batch, error) {
	switch {
	case p.abandoned != nil:
		return b, e.undecided("the batch was abandoned")
	case p.closed && p.erased() && len(d.Outcomes) == 0:
		return b, e.undecided("items of the batch were erased from the journal")
	case !p.submitted && !p.closed:
		return b, e.undecided("only a batch that the service is known to have can be closed: abandon or adopt this one")
	}
	if err := e.sameTerms(p); err != nil {
		return b, err
	}
	report, err := e.last(ctx, p, d)
	if err != nil {
		return b, err
	}
	is := make(map[string]Outcome, len(report.Results))
	for _, result := range report.Results {
		is[result.Item.Reference] = result.Outcome
	}
	var faults []FieldError
	for _, reference := range slices.Sorted(maps.Keys(d.Outcomes)) {
		if o, ok := is[reference]; !ok {
			faults = append(faults,
				FieldError{Item: -1, Field: "outcomes",
					Message: fmt.Sprintf("%q is not an item of the batch", reference)})
		} else if !open[o] && o != d.Outcomes[reference] {
			faults = append(faults,
				FieldError{Item: -1, Field: "outcomes", Message: fmt.Sprintf("%q is %s, as the service says",
					reference, o)})
		}
	}
	if len(faults) > 0 {
		return b, &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Fields: faults,
			Message: "the decision was not recorded"}
	}
	d.At = time.Now()
	return report.Batch, e.conclude(ctx, p, report, &d)
}

// last is the report of a batch that a person closes: what the service says, or
// what was reported last if it says nothing any more.
func (e *engine) last(ctx context.Context, p progress, d Decision) (Report, error) {
	if !p.erased() { // Without accounts a report cannot be compared.
		report, err := reportOf(ctx, e.p, *p.batch)
		switch kind := KindOf(err); {
		case err != nil && kind != ErrProtocol && kind != ErrNotFound && !d.without(err):
			return report, e.fail(kind, "the decision was not recorded: the report could not be read", err)
		case len(report.Results) > 0:
			return report, nil
		}
	}
	told := p.outcomes
	if told == nil {
		told = &ItemOutcomes{}
	}
	return Report{Batch: *p.batch, Results: told.results(p.batch.Draft.Items)}, nil
}

func (e *engine) decide(ctx context.Context, entry Entry) error {
	if err := e.append(ctx, entry); err != nil {
		return e.journalFailed(ErrUnavailable, "the decision could not be written down", err)
	}
	return nil
}

func (e *engine) undecided(message string) error { return e.fail(ErrConflict, message, nil) }
