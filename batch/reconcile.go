package batch

import "context"

const opReconcile = "Reconcile"

// Reconcile finds out what became of a batch whose Submit was ambiguous, or
// whose process died. It only reads; it never submits.
//
// A nil error means that the service has said where the batch stands:
// StatePending or a final state is proof that it was submitted. StateDraft
// means that it has not been submitted so far; a request that is still under
// way can change that, so it is no proof that money will not move.
//
// ErrAmbiguous means that the service cannot tell: ask again later, and ask a
// person before sending anything. Absence proves nothing, so a batch that the
// service does not find is ambiguous too, and so is one that contradicts the
// draft. Any other error is that of a read that failed; the batch is returned as
// it was.
//
// A batch without an ID is given to Poll if Info.PollsWithoutID says so;
// otherwise it is looked up by its reference where the provider is a Finder.
func Reconcile(ctx context.Context, p Provider, b Batch) (Batch, error) {
	info := p.Info()
	if err := info.Refuse(opReconcile, b); err != nil {
		return b, err
	}
	asked := b
	if !b.State.Final() {
		asked.State = StateUnknown // Poll then compares everything that the service shows.
	}
	read, err := asked, error(nil)
	if b.ID == "" && !info.PollsWithoutID {
		read, err = Find(ctx, p, b.Draft.Reference)
		asked.ID = read.ID
	}
	if err == nil {
		read, err = p.Poll(ctx, asked) // Find knows no draft to compare with.
	}
	unclear := func(message string, cause error) error {
		return &Error{Kind: ErrAmbiguous, Provider: info.Name, Op: opReconcile, Message: message, Err: cause}
	}
	switch kind := KindOf(err); {
	case kind == ErrNotFound:
		return b, unclear("the service does not find the batch, which does not prove that it never will", err)
	case kind == ErrUnsupported:
		return b, unclear("the batch has no ID, and the service cannot look one up by reference", err)
	case kind == ErrConflict:
		return b, unclear("the service shows another batch under this ID or reference", err)
	case kind == ErrAmbiguous:
		return read, err // The provider has evidence of its own.
	case err != nil:
		return b, err
	case read.State == StateUnknown:
		return read, unclear("the service does not know, or says it in a word that this version does not know", nil)
	}
	return read, nil
}
