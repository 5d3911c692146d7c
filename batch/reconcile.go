package batch

import "context"

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
// service does not find is ambiguous too. Any other error is that of a read
// that failed; the batch is returned as it was.
func Reconcile(ctx context.Context, p Provider, b Batch) (Batch, error) {
	info := p.Info()
	if err := info.Refuse("Reconcile", b); err != nil {
		return b, err
	}
	read, err := b, error(nil)
	if b.ID != "" {
		read, err = p.Poll(ctx, b)
	} else {
		read, err = Find(ctx, p, b.Draft.Reference)
		read.Draft = b.Draft
	}
	unclear := func(message string, cause error) error {
		return &Error{Kind: ErrAmbiguous, Provider: info.Name, Op: "Reconcile", Message: message, Err: cause}
	}
	switch kind := KindOf(err); {
	case kind == ErrNotFound:
		return b, unclear("the service does not find the batch, which does not prove that it never will", err)
	case kind == ErrUnsupported:
		return b, unclear("the batch has no id, and the service cannot look one up by reference", err)
	case err != nil:
		return b, err
	case read.State == StateUnknown:
		return read, unclear("the service does not know, or says it in a word that this version does not know", nil)
	}
	return read, nil
}
