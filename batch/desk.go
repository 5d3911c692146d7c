package batch

import (
	"context"
	"iter"
	"time"
)

// A Desk is where people look after the batches of one account: what is open,
// what is to be decided, and what became of it. Programs that only run batches
// do not need one. It is safe for concurrent use.
type Desk struct {
	p Provider
	j Journal
}

// NewDesk returns the desk of p's account. j is the journal that Run is given.
func NewDesk(p Provider, j Journal) *Desk { return &Desk{p, j} }

// engine is what carries out op for a reference. A nil Journal is ErrInvalid.
func (k *Desk) engine(op, reference string) (*engine, error) {
	o := &RunOptions{Journal: k.j}
	e := newEngine(op, k.p, reference, o, nil)
	return e, e.needsJournal(o)
}

// Pending yields a dossier of every batch of the account that the journal
// holds open. It reads the journal and nothing else; Settle asks the service.
//
// An error beside a Dossier with a Key says that its history cannot be read,
// and the others follow; an error without a Key is the last.
func (k *Desk) Pending(ctx context.Context) iter.Seq2[Dossier, error] {
	return func(yield func(Dossier, error) bool) {
		e, err := k.engine("Pending", "")
		if err != nil {
			yield(Dossier{}, err)
			return
		}
		for open, err := range e.journal.Open(ctx, e.key.Provider, e.key.Account) {
			if err == nil {
				err = known(open.Entries)
			}
			if err != nil {
				if !yield(Dossier{Key: open.Key}, e.journalFailed(ErrUnavailable, "the history cannot be read", err)) {
					return
				}
				continue
			}
			if !yield(dossier(e.info, open.Key, open.Entries), nil) {
				return
			}
		}
	}
}

// Resolve records an operator's decision about a batch that the journal holds
// open, and returns the batch as it stands after it. It submits nothing.
//
// ErrNotFound means that the journal does not know the reference; ErrConflict
// that the decision does not fit what the journal or the service knows, and
// was not recorded. A decision that proves wrong is replaced by another as long
// as nothing was sent because of it. ErrUnsupported beside Abandon says that the
// decision was recorded, but that the service may hold a draft that cannot be
// looked up. If the journal fails after the service has canceled a draft, the
// batch beside the error says so: decide again.
func (k *Desk) Resolve(ctx context.Context, reference string, d Decision) (Batch, error) {
	e, err := k.engine("Resolve", reference)
	if err != nil {
		return e.unknown(), err
	}
	if err := Invalid(e.info.Name, e.op, d.faults()); err != nil {
		return e.unknown(), err
	}
	b, err := e.resolve(ctx, d)
	return e.confirm(ctx, b, err), err
}

// Dossier returns what the journal knows of a batch, open or closed. It reads
// the journal and nothing else. ErrNotFound means that the journal does not
// know the reference.
func (k *Desk) Dossier(ctx context.Context, reference string) (Dossier, error) {
	e, err := k.read(ctx, "Dossier", reference)
	if err != nil {
		return Dossier{Key: e.key}, err
	}
	return dossier(e.info, e.key, e.history), nil
}

// Note writes a note into the history of an open batch, and its dossier shows
// it. ErrConflict says that the batch is closed.
func (k *Desk) Note(ctx context.Context, reference string, n Note) error {
	e, err := k.engine("Note", reference)
	if err != nil {
		return err
	}
	var faults []FieldError
	for _, f := range [][2]string{{"operator", n.Operator}, {"text", n.Text}} {
		if f[1] == "" {
			faults = append(faults, FieldError{Item: -1, Field: f[0], Message: "is empty"})
		}
	}
	if err := Invalid(e.info.Name, e.op, faults); err != nil {
		return err
	}
	unlock, err := e.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	switch p := replay(e.history); {
	case p.intent == nil:
		return e.unknownReference()
	case p.closed:
		return e.undecided("the batch is not open any more")
	}
	n.At = time.Now()
	return e.decide(ctx, Entry{Kind: EntryNote, Note: &n})
}
