package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

// A world is a service, the worker's activities, and the orders. The engine is
// that of Temporal's test suite, whose timers take no time.
type world struct {
	kit        *batchsim.Kit
	breaks     func(batchsim.Scenario) // the next submit
	moved      func() map[string]int
	activities *Activities
	draft      batch.Draft
}

func (w world) order() Order {
	for name := range w.activities.Accounts {
		return Order{Provider: name, Reference: w.draft.Reference}
	}
	return Order{}
}

func newWorld(p batch.Provider, d batch.Draft) world {
	w := world{draft: d}
	w.activities = &Activities{
		Accounts: map[string]Account{p.Info().Name: {Provider: p, Journal: batch.NewMemoryJournal()}},
		Draft:    func(context.Context, Order) (batch.Draft, error) { return w.draft.Clone(), nil },
		AskFor:   time.Nanosecond,
	}
	return w
}

var wages = batch.Draft{Reference: "wages-november", Direction: batch.Pay, Items: []batch.Item{
	{Reference: "ada", Account: "27821231234", Amount: batch.Money{Minor: 25000, Currency: "DZAR"}},
	{Reference: "cleo", Account: "27821231236", Amount: batch.Money{Minor: 9900, Currency: "DZAR"}},
}}

// paying is 6DOT50, which refuses the second of two submits.
func paying(t *testing.T) (world, *sixdotfiftytest.Server) {
	t.Helper()
	server := sixdotfiftytest.New(&sixdotfiftytest.Options{NonMembers: []string{"27821231236"}})
	t.Cleanup(server.Close)
	c, err := sixdotfifty.New(server.Config())
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	p, err := sixdotfifty.NewProvider(c, sixdotfifty.ProviderConfig{})
	require.NoError(t, err)
	w := newWorld(p, wages)
	w.kit, w.breaks, w.moved = &server.Kit, server.Break, server.Accepted
	return w, server
}

// collecting is CityPay, which charges the second of two submits again.
func collecting(t *testing.T) world {
	t.Helper()
	server := citypaytest.New(&citypaytest.Options{Autoplay: 2, Duplicate: citypaytest.DuplicateCharged})
	t.Cleanup(server.Close)
	c, err := citypay.New(server.Config())
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	p, err := citypay.NewProvider(c, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	require.NoError(t, err)
	w := newWorld(p, batch.Draft{Reference: "november", Direction: batch.Collect, Items: []batch.Item{
		{Reference: "invoice-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}},
		{Reference: "invoice-2", Account: "customer-ben", Amount: batch.Money{Minor: 120, Currency: "GBP"}},
	}})
	w.kit, w.breaks, w.moved = &server.Kit, server.Break, server.Accepted
	return w
}

// engine returns an engine that runs one workflow. Other workers settle every
// hour meanwhile.
func (w world) engine(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	engine := quiet().NewTestWorkflowEnvironment()
	engine.RegisterWorkflow(Run)
	engine.RegisterActivity(w.activities)
	engine.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: ID(w.order())})
	engine.SetTestTimeout(time.Minute)
	var settles func()
	settles = func() {
		w.settle(t)
		engine.RegisterDelayedCallback(settles, time.Hour)
	}
	engine.RegisterDelayedCallback(settles, time.Hour)
	return engine
}

// quiet is a test suite without a log.
func quiet() *testsuite.WorkflowTestSuite {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(log.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	return &suite
}

func (w world) settle(t *testing.T) {
	t.Helper()
	for _, account := range w.activities.Accounts {
		for range batch.Settle(t.Context(), account.Provider, &batch.RunOptions{Journal: account.Journal}) { //nolint:revive // What fails is open for the next.
		}
	}
}

// failed returns how the workflow has failed.
func failed(t *testing.T, engine *testsuite.TestWorkflowEnvironment) *temporal.ApplicationError {
	t.Helper()
	var said *temporal.ApplicationError
	require.ErrorAs(t, engine.GetWorkflowError(), &said)
	return said
}

// timeUp is all that the engine knows of a worker that died.
var timeUp = temporal.NewTimeoutError(enums.TIMEOUT_TYPE_HEARTBEAT, nil)

func TestABatchOfSixWeeks(t *testing.T) {
	w, server := paying(t)
	engine := w.engine(t)
	began := engine.Now()
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 6*7*24*time.Hour)
	engine.ExecuteWorkflow(Run, w.order(), Pace{})
	require.NoError(t, engine.GetWorkflowError())
	var result Result
	require.NoError(t, engine.GetWorkflowResult(&result))
	require.Equal(t, batch.StateDone, result.State)
	require.Equal(t, batch.Total{Count: 2, Amount: batch.Money{Minor: 34900, Currency: "DZAR"}},
		result.Totals[batch.OutcomePaid])
	require.GreaterOrEqual(t, engine.Now().Sub(began), 6*7*24*time.Hour, "it has waited by timers of the engine")
	batchtest.MovedOnce(t, w.moved(), wages.Items...)
}

// A worker dies in Start, before or after the money has moved, and the engine
// gives the activity to another. Also where the service takes a batch twice.
func TestAWorkerDies(t *testing.T) {
	for _, after := range []bool{false, true} {
		for name, open := range map[string]func(t *testing.T) world{
			"a guard":  func(t *testing.T) world { w, server := paying(t); server.Join("27821231236"); return w },
			"no guard": collecting,
		} {
			t.Run(fmt.Sprintf("%s, after the submit %v", name, after), func(t *testing.T) {
				w := open(t)
				engine := w.engine(t)
				engine.OnActivity(w.activities.Start, mock.Anything, mock.Anything).Times(3).
					Return(func(ctx context.Context, o Order) error {
						if after {
							_ = w.activities.Start(ctx, o)
						}
						return timeUp
					})
				engine.OnActivity(w.activities.Start, mock.Anything, mock.Anything).Return(w.activities.Start)
				engine.ExecuteWorkflow(Run, w.order(), Pace{})
				require.NoError(t, engine.GetWorkflowError())
				batchtest.MovedOnce(t, w.moved(), w.draft.Items...)
			})
		}
	}
}

// A reply is lost, and the engine repeats Start: it asks, and does not send.
func TestALostReplyIsAskedAbout(t *testing.T) {
	w := collecting(t)
	w.breaks(batchsim.LostAfter)
	engine := w.engine(t)
	engine.ExecuteWorkflow(Run, w.order(), Pace{})
	require.NoError(t, engine.GetWorkflowError())
	batchtest.MovedOnce(t, w.moved(), w.draft.Items...)
}

// The workflow is started again after it ended, and reset: the journal knows.
func TestASecondWorkflowMovesNothing(t *testing.T) {
	w := collecting(t)
	for range 2 {
		engine := w.engine(t)
		engine.ExecuteWorkflow(Run, w.order(), Pace{})
		require.NoError(t, engine.GetWorkflowError())
	}
	batchtest.MovedOnce(t, w.moved(), w.draft.Items...)
}

// Where the service has no answer, a person has: the workflow waits for both.
func TestAPersonDecides(t *testing.T) {
	w := collecting(t)
	w.breaks(batchsim.LostBefore)
	engine := w.engine(t)
	account := w.activities.Accounts["citypay"]
	engine.RegisterDelayedCallback(func() {
		_, err := batch.NewDesk(account.Provider, account.Journal).Resolve(context.Background(), w.draft.Reference,
			batch.Decision{Verdict: batch.Abandon, Operator: "Ada", Reason: "case 7"})
		require.NoError(t, err)
	}, 20*time.Minute) // The test suite gives up after ten tries.
	engine.ExecuteWorkflow(Run, w.order(), Pace{})
	require.Equal(t, string(batch.ErrConflict), failed(t, engine).Type(), "Start finds that it was abandoned")
	require.Empty(t, w.moved())

	again := w.engine(t)
	again.OnActivity(w.activities.Start, mock.Anything, mock.Anything).Return(nil)
	again.ExecuteWorkflow(Run, w.order(), Pace{})
	require.Equal(t, "abandoned", failed(t, again).Type())
}

// People approve while the engine asks again and again.
func TestApprovalsAreWaitedFor(t *testing.T) {
	w := collecting(t)
	w.draft.Author, w.draft.Approvals = "Ada", 1
	w.activities.Draft = func(context.Context, Order) (batch.Draft, error) { return w.draft.Clone(), nil }
	account := w.activities.Accounts["citypay"]
	desk := batch.NewDesk(account.Provider, account.Journal)
	engine := w.engine(t)
	engine.RegisterDelayedCallback(func() {
		require.Empty(t, w.moved())
		dossier, err := desk.Dossier(context.Background(), w.draft.Reference)
		require.NoError(t, err)
		require.NoError(t, desk.Approve(context.Background(), w.draft.Reference,
			batch.Approval{Operator: "Ben", Digest: dossier.Digest}))
	}, 20*time.Minute)
	engine.ExecuteWorkflow(Run, w.order(), Pace{})
	require.NoError(t, engine.GetWorkflowError())
	batchtest.MovedOnce(t, w.moved(), w.draft.Items...)
}

// What a repetition does not mend fails at once.
func TestRefusals(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"a bad draft":           func(w *world) { w.draft.Items[0].Account = "" },
		"another's draft":       func(w *world) { w.draft.Reference = "december" },
		"a draft of the past":   func(w *world) { w.draft.NotAfter = time.Unix(1, 0) },
		"an unknown provider":   func(w *world) { w.activities.Accounts = map[string]Account{} },
		"a wrong way for money": func(w *world) { w.draft.Direction = batch.Pay },
	} {
		t.Run(name, func(t *testing.T) {
			w := collecting(t)
			o := w.order()
			w.draft = w.draft.Clone()
			spoil(&w)
			w.activities.Draft = func(context.Context, Order) (batch.Draft, error) { return w.draft, nil }
			engine := w.engine(t)
			engine.ExecuteWorkflow(Run, o, Pace{})
			require.Contains(t, refusals, failed(t, engine).Type())
			require.Empty(t, w.moved())
			require.Zero(t, w.kit.Log.Count("ProcessBatch"))
		})
	}
}

// A store of orders that fails is asked again.
func TestADraftThatCannotBeLoaded(t *testing.T) {
	w := collecting(t)
	load, tries := w.activities.Draft, 0
	w.activities.Draft = func(ctx context.Context, o Order) (batch.Draft, error) {
		if tries++; tries < 4 {
			return batch.Draft{}, errors.New("the database is down")
		}
		return load(ctx, o)
	}
	engine := w.engine(t)
	engine.ExecuteWorkflow(Run, w.order(), Pace{})
	require.NoError(t, engine.GetWorkflowError())
	require.Equal(t, 4, tries)
}

// A history that grows long is continued by a new one.
func TestALongHistoryIsContinued(t *testing.T) {
	w, _ := paying(t)
	engine := w.engine(t)
	engine.SetContinueAsNewSuggested(true)
	engine.ExecuteWorkflow(Run, w.order(), Pace{})
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, engine.GetWorkflowError(), &next)
	require.Equal(t, "Run", next.WorkflowType.Name)

	settler := w.engine(t)
	settler.RegisterWorkflow(SettleAll)
	rounds := 0
	settler.OnActivity(w.activities.Settle, mock.Anything, "sixdotfifty").
		Return(func(context.Context, string) (Settled, error) {
			if rounds++; rounds == 3 {
				settler.SetContinueAsNewSuggested(true)
			}
			return Settled{}, toEngine(&batch.Error{Kind: batch.ErrUnavailable})
		})
	settler.ExecuteWorkflow(SettleAll, "sixdotfifty", time.Hour, Pace{})
	require.ErrorAs(t, settler.GetWorkflowError(), &next)
	require.Equal(t, "SettleAll", next.WorkflowType.Name)
	require.Equal(t, 3, rounds, "a round that fails ends nothing")
}

// Settle closes what is over, and counts.
func TestSettle(t *testing.T) {
	w, server := paying(t)
	engine := quiet().NewTestActivityEnvironment()
	engine.RegisterActivity(w.activities)
	_, err := engine.ExecuteActivity(w.activities.Start, w.order())
	require.NoError(t, err)
	for _, want := range []Settled{{Open: 1}, {Closed: 1}, {}} {
		value, err := engine.ExecuteActivity(w.activities.Settle, "sixdotfifty")
		require.NoError(t, err)
		var settled Settled
		require.NoError(t, value.Get(&settled))
		require.Equal(t, want, settled)
		server.Join("27821231236")
	}
	value, err := engine.ExecuteActivity(w.activities.Look, w.order())
	require.NoError(t, err)
	var found Found
	require.NoError(t, value.Get(&found))
	require.True(t, found.Closed)
	_, err = engine.ExecuteActivity(w.activities.Settle, "snapbill")
	require.ErrorContains(t, err, "no account")
}
