// Package fleet runs batches on the workers of go.temporal.io: as many workers
// as there are, on as many machines as there are, for weeks.
//
// The engine does not know where the money is. A journal that all workers share
// does (batch/sqljournal), and batch.Start and batch.Settle decide by it. So the
// engine may repeat every activity, on any worker, as often as it likes; a
// worker may die at any moment; and a workflow may be reset, terminated or
// started again. Where the money is says batch.Desk, whatever the engine says.
//
// Payloads hold a reference and totals. Items stay in the journal: the engine
// keeps every payload, refuses one of more than 2 MB, and ends a workflow whose
// history is larger than 50 MB.
package fleet

import (
	"cmp"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/batchway/batchway-go/batch"
)

// Queue is the task queue of the workers.
const Queue = "batchway"

// An Order names a batch.
type Order struct {
	Provider  string `json:"provider"`  // Info.Name
	Reference string `json:"reference"` // Draft.Reference
}

// A Pace is how often the engine acts. The zero value is for batches of days.
type Pace struct {
	// the pause before the journal is read, or a failed Start repeated; doubles each time; 0 means 10 seconds
	First time.Duration
	Most  time.Duration // the longest of these pauses; 0 means an hour
	Died  time.Duration // after its last sign of life a worker counts as dead; 0 means a minute
}

func (p Pace) withDefaults() Pace {
	return Pace{First: cmp.Or(p.First, 10*time.Second), Most: cmp.Or(p.Most, time.Hour),
		Died: cmp.Or(p.Died, time.Minute)}
}

// Result is what became of a batch. Desk.AsOf tells it item by item.
type Result struct {
	State  batch.State                   `json:"state"`
	Totals map[batch.Outcome]batch.Total `json:"totals"`
}

// Run sees a batch through: it starts it, and waits until SettleAll has closed
// it in the journal. Use an ID for the workflow that is made of the order, such
// as ID returns.
//
// If it fails, the type of the ApplicationError is the batch.Kind of what was
// refused; nothing was submitted then. Once that is mended, start a workflow of
// the same order again. Canceling the workflow ends the waiting. A Submit that
// has begun is not canceled.
func Run(ctx workflow.Context, o Order, pace Pace) (Result, error) {
	var a *Activities
	pace = pace.withDefaults()
	// After a continue-as-new Start finds that the service has the batch.
	if err := workflow.ExecuteActivity(starting(ctx, pace), a.Start, o).Get(ctx, nil); err != nil {
		return Result{}, err
	}
	for wait := pace.First; ; wait = min(2*wait, pace.Most) {
		if err := workflow.Sleep(ctx, wait); err != nil {
			return Result{}, err
		}
		var found Found
		if err := workflow.ExecuteActivity(reading(ctx, pace), a.Look, o).Get(ctx, &found); err != nil || found.Closed {
			return found.Result, err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return Result{}, workflow.NewContinueAsNewError(ctx, Run, o, pace)
		}
	}
}

// ID is the ID of the workflow of an order.
func ID(o Order) string { return "run " + o.Provider + " " + o.Reference }

// SettleAll goes over all open batches of a provider's account, again and again.
// One workflow for each provider is enough.
func SettleAll(ctx workflow.Context, provider string, every time.Duration, pace Pace) error {
	var a *Activities
	pace = pace.withDefaults()
	for !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		var settled Settled
		err := workflow.ExecuteActivity(settling(ctx, pace), a.Settle, provider).Get(ctx, &settled)
		if temporal.IsCanceledError(err) {
			return err
		}
		workflow.GetLogger(ctx).Info("settled", "provider", provider, "open", settled.Open, "closed", settled.Closed,
			"failed", settled.Failed, "error", err)
		if err := workflow.Sleep(ctx, every); err != nil {
			return err
		}
	}
	return workflow.NewContinueAsNewError(ctx, SettleAll, provider, every, pace)
}

// refusals are the kinds of errors that a repetition does not mend. Two others
// are repeated. After ErrAmbiguous Start asks the service again, and sends
// nothing that the journal does not allow. ErrAuth ends when the workers are
// deployed with the right credential; it also comes from a service that ends the
// token of one worker when it gives one to another.
var refusals = []string{string(batch.ErrInvalid), string(batch.ErrNotFound), string(batch.ErrConflict),
	string(batch.ErrFunds), string(batch.ErrUnsupported)}

// starting is for Start: repeated until the service has the batch, or has
// refused it.
func starting(ctx workflow.Context, pace Pace) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 15 * time.Minute,
		HeartbeatTimeout:    pace.Died,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: pace.First, MaximumInterval: pace.Most,
			NonRetryableErrorTypes: refusals},
	})
}

// reading is for what reads the journal.
func reading(ctx workflow.Context, pace Pace) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: time.Minute,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: pace.First, MaximumInterval: pace.Most,
			NonRetryableErrorTypes: refusals},
	})
}

// settling is for Settle: what fails is open for the next round.
func settling(ctx workflow.Context, pace Pace) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 6 * time.Hour,
		HeartbeatTimeout:    pace.Died,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}
