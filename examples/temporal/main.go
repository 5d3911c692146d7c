// Temporal is a fleet of workers that run batches with go.temporal.io and
// PostgreSQL, at any of the four services:
//
//	go run .                                            # a worker; start as many as there is work for
//	go run . sixdotfifty wages-november <draft.json     # orders a batch
//
// What the workers do is in package fleet. They find the engine by
// TEMPORAL_ADDRESS, the database by FLEET_POSTGRES, and each service by its
// variables, which examples/README.md lists: sandboxes and simulators only.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	_ "github.com/lib/pq"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/sqljournal"
	"github.com/batchway/batchway-go/examples/temporal/fleet"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Getenv, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader) error {
	if len(args) != 0 && len(args) != 2 {
		return errors.New("the arguments are a provider and a reference, or none for a worker")
	}
	db, err := sql.Open("postgres", getenv("FLEET_POSTGRES"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	kept := orders{db}
	if err := errors.Join(sqljournal.Migrate(ctx, db), kept.prepare(ctx)); err != nil {
		return err
	}
	engine, err := client.NewLazyClient(client.Options{HostPort: getenv("TEMPORAL_ADDRESS")})
	if err != nil {
		return err
	}
	defer engine.Close()
	if len(args) == 2 {
		var d batch.Draft
		if err := json.NewDecoder(stdin).Decode(&d); err != nil {
			return err
		}
		d.Reference = args[1]
		order, err := kept.put(ctx, args[0], d)
		if err != nil {
			return err
		}
		return begin(ctx, engine, order)
	}
	providers, err := open(getenv)
	if err != nil {
		return err
	}
	return work(ctx, engine, db, kept, providers)
}

// begin starts the workflow of an order, unless one is under way. It may be
// started again after it has ended: the journal knows what was sent.
func begin(ctx context.Context, engine client.Client, o fleet.Order) error {
	_, err := engine.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: fleet.ID(o), TaskQueue: fleet.Queue,
		WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING}, fleet.Run, o, fleet.Pace{})
	return err
}

// settleEvery is how often all open batches of an account are asked about.
const settleEvery = 10 * time.Minute

// stopWithin is how long a worker that is stopped goes on with what it has
// begun: a Submit may take five minutes.
const stopWithin = 6 * time.Minute

func work(ctx context.Context, engine client.Client, db *sql.DB, kept orders, providers []batch.Provider) error {
	activities := &fleet.Activities{Accounts: make(map[string]fleet.Account), Draft: kept.draft}
	for _, p := range providers {
		journal, err := sqljournal.Open(ctx, db, p.Info())
		if err != nil {
			return err
		}
		activities.Accounts[p.Info().Name] = fleet.Account{Provider: p, Journal: journal}
		if _, err := engine.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: "settle " + p.Info().Name,
			TaskQueue:                fleet.Queue,
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING}, fleet.SettleAll, p.Info().Name,
			settleEvery, fleet.Pace{}); err != nil {
			return err
		}
	}
	w := worker.New(engine, fleet.Queue, worker.Options{WorkerStopTimeout: stopWithin})
	w.RegisterWorkflow(fleet.Run)
	w.RegisterWorkflow(fleet.SettleAll)
	w.RegisterActivity(activities)
	return w.Run(worker.InterruptCh())
}
