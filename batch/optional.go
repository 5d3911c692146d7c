package batch

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Abilities that not every service has are interfaces of one method, behind
// the free functions below. A provider that implements one really can.

// A Finder finds a batch by the reference of its draft. Not found is
// ErrNotFound; two of the same reference are ErrConflict.
type Finder interface {
	Find(ctx context.Context, reference string) (Batch, error)
}

// A Canceler withdraws a batch before any money moves. Success means that the
// service was seen to say so; a batch that is already running is ErrConflict.
// So is one in StateUnknown, before any request: see Info.RefuseCancel.
type Canceler interface {
	Cancel(ctx context.Context, b Batch) (Batch, error)
}

// A Lister lists the batches at the service, newest first where it can.
type Lister interface {
	List(ctx context.Context) iter.Seq2[Batch, error]
}

// An Editor replaces the whole list of items of a draft.
type Editor interface {
	SetItems(ctx context.Context, b Batch, items []Item) (Batch, error)
}

// A BulkPoller polls many batches in few requests. The result has the same
// length and order, and what could not be read is in it as it came. The error
// is a PollErrors if some of the batches could be read, and speaks of all of
// them otherwise.
type BulkPoller interface {
	PollAll(ctx context.Context, bs []Batch) ([]Batch, error)
}

// PollErrors says, by their place, which batches a PollAll was not able to read,
// and why. All others were read.
type PollErrors map[int]error

// Error counts the errors, and repeats the first.
func (e PollErrors) Error() string {
	places := slices.Sorted(maps.Keys(e))
	if len(places) == 0 {
		return "every batch was read"
	}
	return fmt.Sprintf("%d batches could not be read; the first of them: %v", len(places), e[places[0]])
}

// Unwrap returns the errors, in order.
func (e PollErrors) Unwrap() []error {
	var all []error
	for _, n := range slices.Sorted(maps.Keys(e)) {
		all = append(all, e[n])
	}
	return all
}

// Err is e, or nil if e is empty.
func (e PollErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// mostFailures is how many single polls in a row may fail before the others are
// left for the next round.
const mostFailures = 10

// PollEach polls the batches at places one by one, puts what it reads into bs,
// and what it cannot read into e. Once the service refuses the credential, wants
// no more requests twice in a row, or fails many times in a row, the others get
// that error without a request.
func (e PollErrors) PollEach(ctx context.Context, p Provider, bs []Batch, places []int) {
	failures, throttled := 0, false
	for i, n := range places {
		read, err := poll(ctx, p, bs[n])
		if err == nil {
			bs[n], failures, throttled = read, 0, false
			continue
		}
		e[n] = err
		failures++
		kind, before := KindOf(err), throttled
		throttled = kind == ErrThrottled
		if kind == ErrAuth || before && throttled || failures >= mostFailures || ctx.Err() != nil {
			for _, rest := range places[i+1:] {
				e[rest] = err
			}
			return
		}
	}
}

// As finds T, an interface such as Finder or a concrete provider, in p or in
// what p wraps, following Unwrap() Provider.
func As[T any](p Provider) (T, bool) {
	for p != nil {
		if t, ok := p.(T); ok {
			return t, true
		}
		wrapper, ok := p.(interface{ Unwrap() Provider })
		if !ok {
			break
		}
		p = wrapper.Unwrap()
	}
	var none T
	return none, false
}

// Find finds a batch by its reference, or returns ErrUnsupported.
func Find(ctx context.Context, p Provider, reference string) (Batch, error) {
	if f, ok := As[Finder](p); ok {
		return f.Find(ctx, reference)
	}
	return Batch{}, unsupported(p, "Find")
}

// Cancel withdraws b before any money moves, or returns ErrUnsupported.
func Cancel(ctx context.Context, p Provider, b Batch) (Batch, error) {
	if c, ok := As[Canceler](p); ok {
		return c.Cancel(ctx, b)
	}
	return b, unsupported(p, "Cancel")
}

// List lists the batches at the service, or yields ErrUnsupported.
func List(ctx context.Context, p Provider) iter.Seq2[Batch, error] {
	if l, ok := As[Lister](p); ok {
		return l.List(ctx)
	}
	return func(yield func(Batch, error) bool) { yield(Batch{}, unsupported(p, "List")) }
}

// SetItems replaces the items of a draft, or returns ErrUnsupported.
func SetItems(ctx context.Context, p Provider, b Batch, items []Item) (Batch, error) {
	if e, ok := As[Editor](p); ok {
		return e.SetItems(ctx, b, items)
	}
	return b, unsupported(p, "SetItems")
}

func unsupported(p Provider, op string) error {
	return &Error{Kind: ErrUnsupported, Provider: p.Info().Name, Op: op, Message: "the service cannot do this"}
}

// A Numberer runs batches under numbers. Number returns d with a number from
// next in its Extra if d needs one, and d as it is otherwise. Run calls it
// once for every new reference; next is the journal's, which gives no number
// twice. If Create or Submit finds that the number belongs to another batch,
// they return ErrConflict with CodeNumberTaken, and Run tries the next number.
type Numberer interface {
	Number(d Draft, next func(first int64) (int64, error)) (Draft, error)
}

// CodeNumberTaken is the Code of an ErrConflict that says that the number of a
// batch belongs to another batch, and that nothing was submitted.
const CodeNumberTaken = "number_taken"
