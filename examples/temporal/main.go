package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
	"github.com/batchway/batchway-go/sixdotfifty"
)

const queue = "batchway"

// main is one worker: start as many as there is work for. With the id of a
// batch it starts that instead, and reads the draft from its input:
//
//	go run .
//	go run . wages-november <draft.json
//
// A worker pays at 6DOT50's test environment, with BATCHWAY_LIVE=1 and the
// variables SIXDOTFIFTY_KEY, SIXDOTFIFTY_SECRET and SIXDOTFIFTY_BASE_URL.
func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(ids []string) error {
	engine, err := client.NewLazyClient(client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS")})
	if err != nil {
		return err
	}
	defer engine.Close()
	if len(ids) == 1 {
		var d batch.Draft
		if err := json.NewDecoder(os.Stdin).Decode(&d); err != nil {
			return err
		}
		return begin(context.Background(), engine, ids[0], d)
	}
	return work(engine)
}

// begin starts the workflow of a batch. An id is taken once, and the workflow
// has no RetryPolicy: a second run would know nothing of the first.
func begin(ctx context.Context, engine client.Client, id string, d batch.Draft) error {
	_, err := engine.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: queue,
		WorkflowIDReusePolicy:                    enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowExecutionErrorWhenAlreadyStarted: true, // Not the handle of one that pays another draft.
	}, Workflow, d, Schedule{})
	return err
}

func work(engine client.Client) error {
	if err := sandbox.Check(os.Getenv, os.Getenv("SIXDOTFIFTY_BASE_URL"), "staging.6dot50.com"); err != nil {
		return err
	}
	paying, err := sixdotfifty.New(sixdotfifty.Config{Key: os.Getenv("SIXDOTFIFTY_KEY"), Secret: os.Getenv("SIXDOTFIFTY_SECRET"),
		BaseURL: os.Getenv("SIXDOTFIFTY_BASE_URL")})
	if err != nil {
		return err
	}
	provider, err := sixdotfifty.NewProvider(paying, sixdotfifty.ProviderConfig{})
	if err != nil {
		return err
	}
	if err := guarded(provider); err != nil {
		return err
	}
	w := worker.New(engine, queue, worker.Options{})
	w.RegisterWorkflow(Workflow)
	w.RegisterActivity(&Activities{Provider: provider})
	return w.Run(worker.InterruptCh())
}
