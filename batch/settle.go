package batch

import (
	"context"
	"iter"
	"time"
)

// Settle goes once over every batch of p's account that the journal holds open,
// and yields each as it stands now. It submits nothing.
//
//	never submitted   StateDraft, without a request: call Resume if it should go on
//	unclear           asked for once, and what that proves is written down; ErrAmbiguous if the service cannot tell
//	under way         polled, many with one request where the provider is a BulkPoller
//	final             reported, and closed in the journal: the Report has Results
//
// A Report without Results holds only the Batch. An error belongs to the batch
// beside it, and the others follow; an error beside a Batch without a reference
// is the journal's own, and the last. A nil Journal is ErrInvalid. Call Settle
// again and again, from as many workers as there are: that at which one fails
// is open for the next. The memory that it needs does not grow with the number
// of open batches.
func Settle(ctx context.Context, p Provider, o *RunOptions) iter.Seq2[Report, error] {
	return func(yield func(Report, error) bool) {
		s := settling{engine: newEngine("Settle", p, "", o, nil), yield: yield}
		if err := s.needsJournal(o); err != nil {
			yield(Report{}, err)
			return
		}
		for open, err := range s.journal.Open(ctx, s.key.Provider, s.key.Account) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil && (open.Key == (Key{}) || ctx.Err() != nil) {
				if s.page(ctx) {
					yield(Report{}, s.journalFailed(ErrUnavailable, "the open batches cannot be listed", err))
				}
				return
			}
			if !s.add(ctx, open, err) {
				return
			}
		}
		s.page(ctx)
	}
}

// The limits of a page: a service that lists has few lists to read, and the
// items of a page fit into memory.
const (
	pageBatches = 5_000
	pageItems   = 50_000
)

// settling is one call of Settle.
type settling struct {
	*engine
	yield func(Report, error) bool

	under []Batch // the page: batches under way
	items int     // in them
}

// one is the engine of one batch. A batch that another call is at work on, which
// may take it a quarter of an hour, delays no other.
func (s *settling) one(reference string) *engine {
	e := newEngine(s.op, s.p, reference, &s.o, nil)
	e.patience = 2 * time.Second
	return e
}

// add takes an open history. It reports whether the caller wants more.
func (s *settling) add(ctx context.Context, open History, err error) bool {
	e := s.one(open.Key.Reference)
	if err == nil {
		err = known(open.Entries)
	}
	if err != nil {
		return s.yield(Report{Batch: e.unknown()}, e.journalFailed(ErrUnavailable, "the history cannot be read", err))
	}
	p := replay(open.Entries)
	if !p.submitted || e.sameTerms(p) != nil {
		b, err := e.look(ctx) // Under its lock: there may be something to write down.
		if b = e.confirm(ctx, b, err); err == nil && b.State.Final() {
			return s.yield(e.finish(ctx, b))
		}
		return s.yield(Report{Batch: b}, err)
	}
	s.under = append(s.under, *p.batch)
	s.items += max(1, len(p.batch.Draft.Items))
	return len(s.under) < pageBatches && s.items < pageItems || s.page(ctx)
}

// page polls the batches of the page together, and finishes those that are final.
func (s *settling) page(ctx context.Context) bool {
	under, failed := pollAll(ctx, s.p, s.under)
	s.under, s.items = s.under[:0], 0
	for n, b := range under {
		e := s.one(b.Draft.Reference)
		var more bool
		switch err := failed[n]; {
		case err != nil:
			more = s.yield(Report{Batch: b}, e.forgotten(err))
		case b.State.Final():
			more = s.yield(e.finish(ctx, b))
		default:
			more = s.yield(Report{Batch: b}, nil)
		}
		if !more {
			return false
		}
	}
	return true
}
