package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/batchway/batchway-go/batch"
)

// Activities are what workers do. They keep no state: any worker can do any of
// them, and two can do the same at once.
type Activities struct {
	Accounts map[string]Account // by Info.Name of the provider
	// Draft loads what an order asks for, from where the orders are kept. It must
	// always return the same for the same order.
	Draft func(ctx context.Context, o Order) (batch.Draft, error)
	// AskFor is how long one Start asks about an unclear Submit; 0 means 30
	// seconds. The engine calls again, and what was read adds up in the journal.
	AskFor time.Duration
}

// An Account is a provider, and the journal of its account that all workers
// share.
type Account struct {
	Provider batch.Provider
	Journal  batch.Journal
}

// Start brings a batch to where the service has it. A nil error means that it
// has.
func (a *Activities) Start(ctx context.Context, o Order) error {
	account, err := a.account(o.Provider)
	if err != nil {
		return toEngine(err)
	}
	defer beat(ctx)()
	d, err := a.Draft(ctx, o)
	if err != nil {
		return err
	}
	if d.Reference != o.Reference {
		return toEngine(&batch.Error{Kind: batch.ErrInvalid, Op: "Draft",
			Message: fmt.Sprintf("the draft of the order %q has the reference %q; they must be the same",
				o.Reference, d.Reference)})
	}
	_, err = batch.Start(ctx, account.Provider, d, &batch.RunOptions{Journal: account.Journal,
		ReconcileFor: cmp.Or(a.AskFor, 30*time.Second)})
	return toEngine(err)
}

// Found is what the journal knows of a batch.
type Found struct {
	Closed bool   `json:"closed"`
	Result Result `json:"result"` // if it is closed
}

// Look reads in the journal whether a batch is closed.
func (a *Activities) Look(ctx context.Context, o Order) (Found, error) {
	account, err := a.account(o.Provider)
	if err != nil {
		return Found{}, toEngine(err)
	}
	desk := batch.NewDesk(account.Provider, account.Journal)
	dossier, err := desk.Dossier(ctx, o.Reference)
	if err != nil || dossier.Standing != batch.StandingClosed {
		return Found{}, toEngine(err)
	}
	report, err := desk.AsOf(ctx, o.Reference, time.Now())
	if errors.Is(err, batch.ErrNotFound) {
		return Found{}, temporal.NewNonRetryableApplicationError("the batch was abandoned: "+dossier.Next,
			"abandoned", nil)
	}
	return Found{Closed: err == nil, Result: Result{State: report.Batch.State, Totals: report.Totals}}, toEngine(err)
}

// Settled counts what one Settle has seen.
type Settled struct {
	Open   int `json:"open"`   // batches that are not over
	Closed int `json:"closed"` // batches that were reported and closed
	Failed int `json:"failed"` // batches of which a read has failed, or that are unclear
}

// Settle goes once over the open batches of an account, and closes those that
// are over.
func (a *Activities) Settle(ctx context.Context, provider string) (settled Settled, err error) {
	account, err := a.account(provider)
	if err != nil {
		return settled, toEngine(err)
	}
	defer beat(ctx)()
	for report, err := range batch.Settle(ctx, account.Provider, &batch.RunOptions{Journal: account.Journal}) {
		switch {
		case err != nil && report.Batch.Draft.Reference == "":
			return settled, toEngine(err)
		case err != nil:
			settled.Failed++
			activity.GetLogger(ctx).Warn("not settled", "provider", provider, "reference", report.Batch.Draft.Reference,
				"error", err)
		case len(report.Results) > 0:
			settled.Closed++
		default:
			settled.Open++
		}
	}
	return settled, ctx.Err()
}

func (a *Activities) account(provider string) (Account, error) {
	account, ok := a.Accounts[provider]
	if !ok {
		return account, &batch.Error{Kind: batch.ErrUnsupported, Op: "Fleet",
			Message: fmt.Sprintf("this worker has no account at %q", provider)}
	}
	return account, nil
}

// beat shows the engine that this worker is alive, until stop is called.
func beat(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	every := max(activity.GetInfo(ctx).HeartbeatTimeout/4, 10*time.Millisecond)
	go func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				activity.RecordHeartbeat(ctx)
			case <-done:
				return
			}
		}
	}()
	return func() { close(done) }
}

// toEngine gives an error to the engine. Its type is the kind, or the code where
// people must approve first: that is asked again.
func toEngine(err error) error {
	if err == nil {
		return nil
	}
	var e *batch.Error
	var o temporal.ApplicationErrorOptions
	kind := string(batch.KindOf(err))
	if errors.As(err, &e) {
		o.NextRetryDelay = e.RetryAfter
		if e.Code == batch.CodeApprovalNeeded {
			kind = e.Code
		}
	}
	return temporal.NewApplicationErrorWithOptions(err.Error(), kind, o)
}
