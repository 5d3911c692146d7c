// Temporal runs a batch as a workflow of go.temporal.io, for a fleet of
// workers: Create, Submit, Poll and Report are activities, and a batch that
// takes weeks waits by durable timers, in no process's memory.
//
// What the engine cannot know is what happened to a worker that died between
// "sent" and "recorded". So Submit is never retried by the engine. A Submit of
// which nothing was heard is asked about, by reading, and sent again only if
// it is still a draft then.
//
// The workflow's id is the reference of the batch. The engine's history is no
// journal: a reset forgets what came after it, and a second workflow of an id
// knows nothing of the first. That money moves once all the same is the
// service's doing, which refuses the second of two submits. A provider without
// such a guard (batch.GuardRefuses) is refused, too: it needs batch.Run, and a
// journal that outlives the workflow.
package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/batchway/batchway-go/batch"
)

// Schedule is how patiently a workflow works. The zero value waits for a
// quarter of a year.
type Schedule struct {
	Poll      time.Duration // between two polls; 0 means a day
	WaitFor   time.Duration // for the end of the batch, though polls fail; 0 means 90 days
	Reconcile time.Duration // before the question what became of an unclear submit; 0 means 10 minutes
	AskFor    time.Duration // for an answer to anything else, until a person has to look; 0 means a day
}

// maxSubmits is how often a batch is sent at the most.
const maxSubmits = 3

// The types of the errors that tell where the money is.
const (
	ambiguous = string(batch.ErrAmbiguous)
	submitted = "submitted"
)

// Workflow sees a batch through. Its id must be fit for a reference.
//
// If it fails, the type of the ApplicationError says where the money is:
//
//   - "ambiguous": nobody knows what the service has done. A person has to ask
//     it.
//   - "submitted": the batch was, and only the waiting has ended.
//   - Any other, or a workflow that was cancelled: this run has submitted
//     nothing. A "conflict" may be the batch of a run before a reset.
//
// A reset begins again where nothing was submitted, and harms nothing where
// something was.
func Workflow(ctx workflow.Context, d batch.Draft, s Schedule) (batch.Report, error) {
	d.Reference = workflow.GetInfo(ctx).WorkflowExecution.ID
	s = s.withDefaults()
	var a *Activities
	var b batch.Batch
	err := workflow.ExecuteActivity(repeated(ctx, s.AskFor), a.Create, d).Get(ctx, &b)
	if err == nil {
		err = ctx.Err() // A cancellation may have come with the answer.
	}
	if err != nil {
		return batch.Report{}, err
	}
	// From here on a cancellation would only manufacture doubt.
	detached, _ := workflow.NewDisconnectedContext(ctx)
	if b, err = submit(detached, b, s); err != nil {
		return batch.Report{}, err
	}
	report, err := follow(ctx, b, s)
	if err != nil {
		return batch.Report{}, failure(submitted, b, "the batch was submitted, and waiting for it has ended", err)
	}
	return report, nil
}

// submit submits once, and reads until it knows what became of it.
func submit(ctx workflow.Context, b batch.Batch, s Schedule) (batch.Batch, error) {
	var a *Activities
	var err error
	open := false // whether a submit may have landed, or may still land
	for range maxSubmits {
		var after batch.Batch
		if err = workflow.ExecuteActivity(once(ctx), a.Submit, b).Get(ctx, &after); err == nil {
			return after, nil
		}
		if open = open || unclear(err); !open {
			return b, err // The service has refused it, and no other is under way.
		}
		_ = workflow.Sleep(ctx, s.Reconcile) // What is under way may arrive.
		var read batch.Batch
		if err := workflow.ExecuteActivity(repeated(ctx, s.AskFor), a.Reconcile, b).Get(ctx, &read); err != nil {
			return b, failure(ambiguous, b, "whether the batch was submitted is not known: a person has to ask the service, and must not send it again before", err)
		}
		if read.State != batch.StateDraft {
			return read, nil
		}
		b = read // Still a draft, and whichever of two arrives second is refused.
	}
	return b, failure(ambiguous, b, "the batch was submitted several times, and the service still has a draft: a person has to look", err)
}

// follow waits for the end of a batch, and reports.
func follow(ctx workflow.Context, b batch.Batch, s Schedule) (batch.Report, error) {
	var a *Activities
	deadline := workflow.Now(ctx).Add(s.WaitFor)
	for !b.State.Final() {
		left := deadline.Sub(workflow.Now(ctx))
		if left <= 0 {
			return batch.Report{}, fmt.Errorf("it is %s (%s) after %s", b.State, b.Native, s.WaitFor)
		}
		if err := workflow.Sleep(ctx, s.Poll); err != nil {
			return batch.Report{}, err
		}
		var next batch.Batch
		if err := workflow.ExecuteActivity(repeated(ctx, left), a.Poll, b).Get(ctx, &next); err != nil {
			return batch.Report{}, err
		}
		b = next
	}
	var report batch.Report
	err := workflow.ExecuteActivity(repeated(ctx, s.AskFor), a.Report, b).Get(ctx, &report)
	return report, err
}

// The kinds that promise that a submit had no effect: refusals, which another
// attempt does not mend, and outages, which it may.
var (
	refusals = []string{string(batch.ErrInvalid), string(batch.ErrAuth), string(batch.ErrNotFound),
		string(batch.ErrConflict), string(batch.ErrFunds), string(batch.ErrUnsupported)}
	outages = []string{string(batch.ErrThrottled), string(batch.ErrUnavailable), string(batch.ErrProtocol)}
)

// unclear reports whether a submit may have had an effect, which is so unless
// its error promises otherwise: nothing is known of a worker that died.
func unclear(err error) bool {
	var said *temporal.ApplicationError
	return !errors.As(err, &said) || !slices.Contains(refusals, said.Type()) && !slices.Contains(outages, said.Type())
}

// failure tells where the money is. The cause is only quoted: a workflow that
// fails because of a cancellation would pass for a cancelled one.
func failure(kind string, b batch.Batch, message string, cause error) error {
	return temporal.NewNonRetryableApplicationError(fmt.Sprintf("batch %q: %s: %v", b.ID, message, cause), kind, nil)
}

// once is for what the engine must not repeat.
func once(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 15 * time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// repeated is for what moves no money: it is repeated until it is done, it is
// refused, or the time is up.
func repeated(ctx workflow.Context, within time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    15 * time.Minute,
		ScheduleToCloseTimeout: within,
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Second, MaximumInterval: time.Hour,
			NonRetryableErrorTypes: refusals},
	})
}

func (s Schedule) withDefaults() Schedule {
	for value, otherwise := range map[*time.Duration]time.Duration{&s.Poll: 24 * time.Hour, &s.WaitFor: 90 * 24 * time.Hour,
		&s.Reconcile: 10 * time.Minute, &s.AskFor: 24 * time.Hour} {
		if *value <= 0 {
			*value = otherwise
		}
	}
	return s
}
