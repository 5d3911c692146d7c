package main

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/batchway/batchway-go/batch"
)

// Activities are what workers do. They keep no state: any worker can do any of
// them.
type Activities struct {
	Provider batch.Provider
}

// guarded refuses a provider whose service takes a batch twice: nothing here
// remembers, for longer than a workflow lives, that a request may be under way.
func guarded(p batch.Provider) error {
	if p.Info().Guard == batch.GuardRefuses {
		return nil
	}
	return &batch.Error{Kind: batch.ErrUnsupported, Provider: p.Info().Name, Op: "Temporal",
		Message: "the service does not refuse a second submit, which takes a journal that outlives the workflow: call batch.Run with a batch/sqljournal, inside one activity"}
}

// Create makes the draft. No money moves.
func (a *Activities) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	if err := guarded(a.Provider); err != nil {
		return batch.Batch{}, said(err)
	}
	b, err := a.Provider.Create(ctx, d)
	if errors.Is(err, batch.ErrConflict) {
		// A worker that died here may have left a draft in the way.
		if left, lost := batch.Find(ctx, a.Provider, d.Reference); lost == nil && left.State == batch.StateDraft {
			if _, err = batch.Cancel(ctx, a.Provider, left); err == nil {
				b, err = a.Provider.Create(ctx, d)
			}
		}
	}
	return b, said(err)
}

// Submit moves money. The engine must not repeat it.
func (a *Activities) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := a.Provider.Submit(ctx, b)
	return b, said(err)
}

// Reconcile asks what became of an unclear submit. It only reads.
func (a *Activities) Reconcile(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b.State = batch.StateUnknown
	b, err := batch.Reconcile(ctx, a.Provider, b)
	return b, said(err)
}

// Poll reads where the batch stands.
func (a *Activities) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	b, err := a.Provider.Poll(ctx, b)
	return b, said(err)
}

// Report reads the outcome of every item.
func (a *Activities) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := a.Provider.Report(ctx, b)
	return r, said(err)
}

// said gives an error to the engine, with its kind as the type.
func said(err error) error {
	if err == nil {
		return nil
	}
	var o temporal.ApplicationErrorOptions
	var e *batch.Error
	if errors.As(err, &e) {
		o.NextRetryDelay = e.RetryAfter
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), string(batch.KindOf(err)), o)
}
