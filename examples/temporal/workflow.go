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
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/batchway/batchway-go/batch"
)

// Schedule is how patiently a workflow works. The zero value waits for a
// quarter of a year.
type Schedule struct {
	Poll      time.Duration // between two polls; 0 means a day
	WaitFor   time.Duration // for the end of the batch; 0 means 90 days
	Reconcile time.Duration // between two questions what became of an unclear submit; 0 means 10 minutes
	AskFor    time.Duration // until a person has to look; 0 means a day
}

// maxSubmits is how often a batch is sent at the most, where the service
// refuses the second of two.
const maxSubmits = 3

// Workflow sees a batch through. Its id must be fit for a reference.
//
// An ApplicationError of the type "ambiguous" means that nobody knows whether
// the batch was submitted: a person has to ask the service. Any other failure
// before the submit means that no money has moved.
func Workflow(ctx workflow.Context, d batch.Draft, s Schedule) (batch.Report, error) {
	d.Reference = workflow.GetInfo(ctx).WorkflowExecution.ID
	s = s.withDefaults()
	var a *Activities
	var b batch.Batch
	if err := workflow.ExecuteActivity(once(ctx), a.Create, d).Get(ctx, &b); err != nil {
		return batch.Report{}, err
	}
	b, err := submit(ctx, b, s)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	deadline := workflow.Now(ctx).Add(s.WaitFor)
	for !b.State.Final() {
		if workflow.Now(ctx).After(deadline) {
			return batch.Report{Batch: b}, fmt.Errorf("the batch is %s (%s) after %s", b.State, b.Native, s.WaitFor)
		}
		if err := workflow.Sleep(ctx, s.Poll); err != nil {
			return batch.Report{Batch: b}, err
		}
		if err := workflow.ExecuteActivity(reads(ctx), a.Poll, b).Get(ctx, &b); err != nil {
			return batch.Report{Batch: b}, err
		}
	}
	var report batch.Report
	err = workflow.ExecuteActivity(reads(ctx), a.Report, b).Get(ctx, &report)
	return report, err
}

// submit submits once, and reads until it knows what became of it.
func submit(ctx workflow.Context, b batch.Batch, s Schedule) (batch.Batch, error) {
	var a *Activities
	open := 0 // submits that may have landed, or may still land
	for range maxSubmits {
		var after batch.Batch
		err := workflow.ExecuteActivity(once(ctx), a.Submit, b).Get(ctx, &after)
		switch {
		case err == nil:
			return after, nil
		case unclear(err):
			open++
		case open == 0:
			return b, err // The service has refused it, and no other is under way.
		}
		read, err := reconcile(ctx, b, s)
		if err != nil || read.State != batch.StateDraft {
			return read, err
		}
		b = read // Still a draft, and whichever of two arrives second is refused.
	}
	return b, temporal.NewNonRetryableApplicationError("the batch was submitted several times, and the service still has a draft: a person has to look", string(batch.ErrAmbiguous), nil)
}

// unclear reports whether an activity may have had an effect: it says so, or
// nothing was heard of it.
func unclear(err error) bool {
	var said *temporal.ApplicationError
	if errors.As(err, &said) {
		return said.Type() == string(batch.ErrAmbiguous)
	}
	return true // A time-out, a worker that died, a cancellation under way.
}

// reconcile asks what became of a submit until the service says so.
func reconcile(ctx workflow.Context, b batch.Batch, s Schedule) (batch.Batch, error) {
	var a *Activities
	asked := b
	asked.State = batch.StateUnknown
	deadline := workflow.Now(ctx).Add(s.AskFor)
	for {
		var answer Answer
		if err := workflow.ExecuteActivity(reads(ctx), a.Reconcile, asked).Get(ctx, &answer); err != nil {
			return b, err
		}
		if answer.Known {
			return answer.Batch, nil
		}
		if workflow.Now(ctx).After(deadline) {
			return b, temporal.NewNonRetryableApplicationError("whether the batch was submitted is not known: a person has to ask the service, and must not send it again before", string(batch.ErrAmbiguous), nil)
		}
		if err := workflow.Sleep(ctx, s.Reconcile); err != nil {
			return b, err
		}
	}
}

// once is for what the engine must not repeat.
func once(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 15 * time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
}

// reads is for what may be repeated at will.
func reads(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 5 * time.Minute,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 10 * time.Second, MaximumInterval: time.Hour},
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
