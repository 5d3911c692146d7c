package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/server/temporaltest"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/sqljournal"
	"github.com/batchway/batchway-go/examples/temporal/fleet"
	"github.com/batchway/batchway-go/internal/pgtest"
)

var (
	workers = flag.Int("workers", 3, "worker processes")
	batches = flag.Int("batches", 40, "batches, of all four services")
	rows    = flag.Int("rows", 5, "items of each batch")
	within  = flag.Duration("within", 10*time.Minute, "the time for all of it")
	every   = flag.Duration("kill", time.Second,
		"the mean time between two kills, of a worker or of a database connection")
)

// quick is the pace of a test: real time passes.
var quick = fleet.Pace{First: 500 * time.Millisecond, Most: 2 * time.Second, Died: 3 * time.Second}

// TestMain is also a worker.
func TestMain(m *testing.M) {
	if os.Getenv("E2E_WORKER") != "" {
		if err := work(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// draftOf loads an order from a directory that all workers see.
func draftOf(_ context.Context, o fleet.Order) (d batch.Draft, err error) {
	text, err := os.ReadFile(filepath.Join(os.Getenv("E2E_ORDERS"), o.Provider+"-"+o.Reference))
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(text, &d)
}

func work() error {
	engine, err := client.Dial(client.Options{HostPort: os.Getenv("E2E_TEMPORAL"),
		Namespace: os.Getenv("E2E_NAMESPACE"),
		Logger:    log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	if err != nil {
		return err
	}
	db, err := sql.Open("postgres", os.Getenv("E2E_POSTGRES"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(20)
	activities := &fleet.Activities{Accounts: make(map[string]fleet.Account), Draft: draftOf, AskFor: 3 * time.Second}
	for _, p := range open() {
		journal, err := sqljournal.Open(context.Background(), db, p.Info())
		if err != nil {
			return err
		}
		activities.Accounts[p.Info().Name] = fleet.Account{Provider: p, Journal: journal}
	}
	w := worker.New(engine, fleet.Queue, worker.Options{WorkerStopTimeout: time.Minute,
		MaxConcurrentActivityExecutionSize: 8})
	w.RegisterWorkflow(fleet.Run)
	w.RegisterWorkflow(fleet.SettleAll)
	w.RegisterActivity(activities)
	return w.Run(worker.InterruptCh())
}

// TestFleet: workers and database connections are killed at random, replies are
// lost, and every batch ends, each item once.
func TestFleet(t *testing.T) {
	postgres, err := pgtest.New()
	require.NoError(t, err)
	t.Cleanup(postgres.Remove)
	require.NoError(t, postgres.Start())
	db, err := sql.Open("postgres", postgres.DSN("postgres"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, sqljournal.Migrate(t.Context(), db))
	temporal := temporaltest.NewServer(temporaltest.WithT(t),
		temporaltest.WithBaseClientOptions(
			client.Options{Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}))
	engine := temporal.GetDefaultClient()

	orders := t.TempDir()
	environ := map[string]string{"E2E_WORKER": "1", "E2E_TEMPORAL": temporal.GetFrontendHostPort(),
		"E2E_NAMESPACE": temporal.GetDefaultNamespace(),
		"E2E_POSTGRES":  postgres.DSN("postgres"), "E2E_ORDERS": orders}
	services := serve(t, environ)
	for name, value := range environ {
		t.Setenv(name, value)
	}
	desks := make(map[string]*batch.Desk)
	directions := make(map[string]batch.Direction)
	for _, p := range open() {
		journal, err := sqljournal.Open(t.Context(), db, p.Info())
		require.NoError(t, err)
		desks[p.Info().Name], directions[p.Info().Name] = batch.NewDesk(p, journal), p.Info().Direction
	}

	// An ordered is a batch, with what becomes of it.
	type ordered struct {
		service *service
		draft   batch.Draft
		order   fleet.Order
	}
	var all []ordered
	for n := range *batches {
		s := services[n%len(services)]
		if s.alone && n/len(services)%5 != 0 {
			s = services[0]
		}
		d := s.draft(n, *rows, directions[s.name])
		o := ordered{s, d, fleet.Order{Provider: s.name, Reference: d.Reference}}
		text, err := json.Marshal(d)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(orders, s.name+"-"+d.Reference), text, 0o600))
		all = append(all, o)
	}
	begin := func(o ordered) client.WorkflowRun {
		running, err := engine.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: fleet.ID(o.order),
			TaskQueue: fleet.Queue}, fleet.Run, o.order, quick)
		require.NoError(t, err)
		return running
	}
	start := func(o ordered) {
		if o.service.prepare != nil {
			o.service.prepare(o.draft)
		}
		begin(o)
	}
	began := time.Now()
	for _, s := range services {
		_, err := engine.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "settle " + s.name,
			TaskQueue: fleet.Queue},
			fleet.SettleAll, s.name, time.Second, quick)
		require.NoError(t, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), *within)
	var running sync.WaitGroup
	chaos := newChaos(t, db, services)
	for range *workers {
		running.Go(func() { chaos.worker(ctx) })
	}
	running.Go(func() { chaos.connections(ctx) })
	running.Go(func() { operator(ctx, desks, services, chaos) })
	defer func() {
		cancel()
		running.Wait()
		if t.Failed() {
			for _, s := range services {
				for d, err := range desks[s.name].Pending(t.Context()) {
					t.Logf("open: %s %s %s %v %s", s.name, d.Key.Reference, d.Standing, err, d.Next)
				}
			}
		}
	}()

	for _, o := range all {
		if !o.service.alone {
			start(o)
		}
	}
	largest := int64(0)
	for n, one := range all {
		o := one.order
		if one.service.alone {
			start(one)
		}
		var result fleet.Result
		err := engine.GetWorkflow(ctx, fleet.ID(o), "").Get(ctx, &result)
		for tries := 0; err != nil && one.service.alone && tries < 5; tries++ {
			// A worker died in Create, and has left a draft that may be another's: a person names it.
			chaos.adopt(ctx, desks[o.Provider], one.service, o.Reference)
			err = begin(one).Get(ctx, &result)
		}
		require.NoError(t, err, "%v", o)
		require.Equal(t, batch.StateDone, result.State, "%v", o)
		require.Equal(t, *rows, result.Totals[batch.OutcomePaid].Count, "%v", o)
		described, err := engine.DescribeWorkflowExecution(ctx, fleet.ID(o), "")
		require.NoError(t, err)
		require.Equal(t, enums.WORKFLOW_EXECUTION_STATUS_COMPLETED, described.GetWorkflowExecutionInfo().GetStatus())
		largest = max(largest, described.GetWorkflowExecutionInfo().GetHistorySizeBytes())
		if n%100 == 99 {
			t.Logf("%d batches done after %s", n+1, time.Since(began).Round(time.Second))
		}
	}
	wall := time.Since(began).Round(time.Second)
	twice, lost := 0, 0
	accepted := make(map[string]map[string]int)
	count := make(map[string]int)
	for _, s := range services {
		accepted[s.name] = s.accepted()
	}
	for _, o := range all {
		count[o.service.name]++
		for _, item := range o.draft.Items {
			switch times := accepted[o.service.name][item.Reference]; {
			case times == 0:
				lost++
			case times > 1:
				twice++
			}
		}
	}
	t.Logf(
		"%d batches of %d rows, %d workers: duplicates %d, lost %d; killed %d workers and %d connections, lost %d replies, %d decisions of an operator; %s, largest history %d bytes",
		len(all), *rows, *workers, twice, lost, chaos.killed.Load(), chaos.cut.Load(), chaos.lost.Load(),
		chaos.decided.Load(), wall, largest)
	for _, s := range services {
		t.Logf("%s: %d batches, %.1f requests for each", s.name, count[s.name],
			float64(s.kit.Log.Count(""))/float64(max(1, count[s.name])))
	}
	require.Zero(t, twice)
	require.Zero(t, lost)
	require.Less(t, largest, int64(100_000))
}
