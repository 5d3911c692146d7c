package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// CodeApprovalNeeded is the Code of the ErrConflict of Run for a batch that
// needs more approvals. The draft is made, and nothing was submitted: call Run
// or Resume again once people have approved (see Desk.Approve).
const CodeApprovalNeeded = "approval_needed"

// An Approval is a person's consent to what is intended. It stays in the
// journal.
type Approval struct {
	Operator string    `json:"operator"` // who approves; another case or spacing is the same person
	Digest   string    `json:"digest"`   // of what: Dossier.Digest
	At       time.Time `json:"at"`       // set by Desk.Approve
}

// digest identifies what people approve: what the caller has asked for, the
// terms, and the items as Create has found them. It is empty without a draft,
// and Erased once an item was erased.
func (p progress) digest() string {
	switch {
	case p.intent == nil || p.batch == nil:
		return ""
	case p.erased():
		return Erased
	}
	text, _ := json.Marshal(struct { // Strings and integers always marshal.
		Fingerprint string
		Terms       map[string]string
		Items       []Item
	}{p.intent.Fingerprint, p.intent.Terms, p.batch.Draft.Items})
	return digest(text)
}

// approved are the approvals that count: of exactly this digest, one for each
// person, and none of the author's.
func (p progress) approved() []Approval {
	if len(p.approvals) == 0 {
		return nil // A digest costs as much as the items, and most batches need no approval.
	}
	want := p.digest()
	var count []Approval
	people := map[string]bool{spelled(p.author()): true}
	for _, a := range p.approvals {
		if a.Digest == want && !people[spelled(a.Operator)] {
			people[spelled(a.Operator)] = true
			count = append(count, a)
		}
	}
	return count
}

func (p progress) author() string { return p.intent.Draft.Author }

// lacking is how many approvals the batch needs before a Submit.
func (p progress) lacking() int {
	if p.intent == nil || p.intent.Approvals == 0 {
		return 0
	}
	return max(0, p.intent.Approvals-len(p.approved()))
}

// needed is how many people must approve d.
func (d Draft) needed() int {
	if len(d.Items) == 0 {
		return max(1, d.Approvals)
	}
	return d.Approvals
}

// unapproved is the error for a batch that needs more approvals.
func (e *engine) unapproved(p progress) error {
	return &Error{Kind: ErrConflict, Provider: e.info.Name, Op: e.op, Code: CodeApprovalNeeded,
		Message: fmt.Sprintf("nothing was submitted: the batch needs %d more approvals of the digest %s",
			p.lacking(), p.digest())}
}

// Approve writes down that a person approves of a batch that Run has prepared.
// a.Digest is Dossier.Digest, as the person has seen it: anything that changes
// it, such as another item or amount, makes the approval count no more. Approve
// submits nothing; Run or Resume does, once there are enough.
//
// ErrNotFound means that the journal does not know the reference; ErrConflict
// that there is no draft so far, that it was submitted, that the digest is
// another, or that the person is its author or has approved already.
func (k *Desk) Approve(ctx context.Context, reference string, a Approval) error {
	e, err := k.engine("Approve", reference)
	if err != nil {
		return err
	}
	fault := spellingFault(a.Operator)
	if a.Operator == "" {
		fault = "is empty"
	}
	if fault != "" {
		return Invalid(e.info.Name, e.op, []FieldError{{Item: -1, Field: "operator", Message: fault}})
	}
	unlock, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	p := replay(e.history)
	switch {
	case p.intent == nil:
		return e.unknownReference()
	case p.closed:
		return e.undecided("the batch is not open any more")
	case p.submitted, p.open > 0 && !p.resend:
		return e.undecided("the batch was submitted, or may have been")
	case p.batch == nil:
		return e.undecided("there is no draft to approve so far: call Run")
	case a.Digest != p.digest():
		return e.undecided(fmt.Sprintf("the digest of the batch is %s, and not %q: look at it again",
			p.digest(), a.Digest))
	case spelled(a.Operator) == spelled(p.author()):
		return e.undecided(fmt.Sprintf("%q is the author of the draft", a.Operator))
	}
	for _, earlier := range p.approved() {
		if spelled(earlier.Operator) == spelled(a.Operator) {
			return e.undecided(fmt.Sprintf("%q has approved already", a.Operator))
		}
	}
	if err := e.sameTerms(p); err != nil {
		return err
	}
	a.At = time.Now()
	return e.decide(ctx, Entry{Kind: EntryApproval, Approval: &a})
}
