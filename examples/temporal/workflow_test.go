package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/mocks"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

// The workflow, its activities, the provider and its client are the true ones;
// the service and the engine are simulated.
func start(t *testing.T) (*testsuite.TestWorkflowEnvironment, *sixdotfiftytest.Server, *Activities) {
	t.Helper()
	server := sixdotfiftytest.New(&sixdotfiftytest.Options{NonMembers: []string{"27821231236"}})
	t.Cleanup(server.Close)
	paying, err := sixdotfifty.New(server.Config())
	require.NoError(t, err)
	t.Cleanup(paying.CloseIdleConnections)
	provider, err := sixdotfifty.NewProvider(paying, sixdotfifty.ProviderConfig{})
	require.NoError(t, err)
	activities := &Activities{Provider: provider}
	return simulate(t, activities), server, activities
}

// simulate returns an engine that runs one workflow.
func simulate(t *testing.T, activities *Activities) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	engine := suite.NewTestWorkflowEnvironment()
	engine.RegisterWorkflow(Workflow)
	engine.RegisterActivity(activities)
	engine.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "wages-november"})
	engine.SetTestTimeout(time.Minute)
	return engine
}

// failed returns how the workflow has failed.
func failed(t *testing.T, engine *testsuite.TestWorkflowEnvironment) *temporal.ApplicationError {
	t.Helper()
	var said *temporal.ApplicationError
	require.ErrorAs(t, engine.GetWorkflowError(), &said)
	return said
}

// timeUp is all that the engine knows of a worker that died.
var timeUp = temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, nil)

var wages = batch.Draft{Direction: batch.Pay, Items: []batch.Item{
	{Reference: "ada", Account: "27821231234", Amount: batch.Money{Minor: 25000, Currency: "DZAR"}},
	{Reference: "cleo", Account: "27821231236", Amount: batch.Money{Minor: 9900, Currency: "DZAR"}},
}}

var once1 = map[string]int{"ada": 1, "cleo": 1}

func TestABatchOfSixWeeks(t *testing.T) {
	engine, server, _ := start(t)
	began := engine.Now()
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 6*7*24*time.Hour)
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	require.NoError(t, engine.GetWorkflowError())
	var report batch.Report
	require.NoError(t, engine.GetWorkflowResult(&report))
	require.Equal(t, batch.StateDone, report.Batch.State)
	require.Equal(t, "wages-november", report.Batch.Draft.Reference)
	require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
	require.GreaterOrEqual(t, engine.Now().Sub(began), 6*7*24*time.Hour, "it has waited by timers of the engine")
	require.Equal(t, 1, server.Log.Count("SubmitBatch"))
	require.Equal(t, once1, server.Accepted())
}

// The worker dies after the request has arrived, and before the engine hears
// of it: all that the engine knows is that time is up.
func TestAWorkerDiesBetweenSentAndRecorded(t *testing.T) {
	engine, server, activities := start(t)
	engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Once().Return(func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
		_, err := activities.Provider.Submit(ctx, b)
		require.NoError(t, err)
		return batch.Batch{}, timeUp
	})
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 24*time.Hour)
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	require.NoError(t, engine.GetWorkflowError())
	require.Equal(t, 1, server.Log.Count("SubmitBatch"), "it was asked about, and not sent again")
	require.Equal(t, once1, server.Accepted())
}

// The worker dies before it has sent anything. The service refuses the second
// of two, so another may be sent.
func TestAWorkerDiesBeforeItHasSent(t *testing.T) {
	engine, server, activities := start(t)
	engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Once().Return(
		batch.Batch{}, timeUp)
	engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(activities.Submit)
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 24*time.Hour)
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	require.NoError(t, engine.GetWorkflowError())
	require.Equal(t, 1, server.Log.Count("SubmitBatch"))
	require.Equal(t, once1, server.Accepted())
}

// Two runs of one id pay twice where the service lets them.
func TestAProviderWithoutAGuardIsRefused(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Duplicate: citypaytest.DuplicateCharged})
	t.Cleanup(server.Close)
	charging, err := citypay.New(server.Config())
	require.NoError(t, err)
	provider, err := citypay.NewProvider(charging, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	require.NoError(t, err)
	require.ErrorIs(t, guarded(provider), batch.ErrUnsupported, "no worker starts")

	engine, _, activities := start(t)
	activities.Provider = provider
	engine.ExecuteWorkflow(Workflow, batch.Draft{Direction: batch.Collect, Items: []batch.Item{
		{Reference: "invoice-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}},
	}}, Schedule{})
	require.Equal(t, string(batch.ErrUnsupported), failed(t, engine).Type(), "nor does a workflow on one that was started otherwise")
	require.Zero(t, server.Log.Count(""))
}

func TestAnIDStartsOneWorkflow(t *testing.T) {
	engine := mocks.NewClient(t)
	var options client.StartWorkflowOptions
	engine.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, wages, Schedule{}).Return(nil, nil).Run(func(args mock.Arguments) {
		options = args.Get(1).(client.StartWorkflowOptions)
	})
	require.NoError(t, begin(t.Context(), engine, "wages-november", wages))
	require.Equal(t, enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE, options.WorkflowIDReusePolicy, "not after it has ended either")
	require.True(t, options.WorkflowExecutionErrorWhenAlreadyStarted)
	require.Nil(t, options.RetryPolicy)
}

// A reset begins the workflow again, and its first submit is still under way.
func TestAResetMovesMoneyOnce(t *testing.T) {
	for _, when := range []string{"before the second run", "after the second run"} {
		t.Run(when, func(t *testing.T) {
			engine, server, activities := start(t)
			var late batch.Batch
			engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(func(_ context.Context, b batch.Batch) (batch.Batch, error) {
				late = b
				return b, timeUp
			})
			engine.ExecuteWorkflow(Workflow, wages, Schedule{})
			require.Equal(t, ambiguous, failed(t, engine).Type())
			arrive := func() {
				paying, err := sixdotfifty.New(server.Config())
				require.NoError(t, err)
				t.Cleanup(paying.CloseIdleConnections)
				_, _ = paying.SubmitBatch(context.Background(), late.ID)
			}

			if when == "before the second run" {
				arrive()
			}
			again := simulate(t, activities)
			again.RegisterDelayedCallback(func() { server.Join("27821231236") }, 24*time.Hour)
			again.ExecuteWorkflow(Workflow, wages, Schedule{})
			if when == "before the second run" {
				require.Equal(t, string(batch.ErrConflict), failed(t, again).Type())
			} else {
				require.NoError(t, again.GetWorkflowError())
				arrive()
			}
			require.Equal(t, once1, server.Accepted())
		})
	}
}

// A draft that a dead worker has left is withdrawn, and another is made.
func TestAWorkerDiesInCreate(t *testing.T) {
	engine, server, activities := start(t)
	engine.OnActivity(activities.Create, mock.Anything, mock.Anything).Once().Return(func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
		_, err := activities.Provider.Create(ctx, d)
		require.NoError(t, err)
		return batch.Batch{}, timeUp
	})
	engine.OnActivity(activities.Create, mock.Anything, mock.Anything).Return(activities.Create)
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 24*time.Hour)
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	require.NoError(t, engine.GetWorkflowError())
	require.Equal(t, 2, server.Log.Count("CreateBatch"))
	require.Equal(t, 1, server.Log.Count("CancelBatch"))
	require.Equal(t, once1, server.Accepted())
}

// What is no error of this module promises nothing, even if it is an answer.
func TestAnErrorThatPromisesNothingIsAskedAbout(t *testing.T) {
	engine, server, activities := start(t)
	engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
		_, err := activities.Provider.Submit(ctx, b)
		require.NoError(t, err)
		return b, errors.New("the answer was lost")
	})
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 24*time.Hour)
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	require.NoError(t, engine.GetWorkflowError())
	require.Equal(t, 1, server.Log.Count("SubmitBatch"))
}

// Whatever keeps the question from being answered, a person has to look.
func TestWhatNobodyKnowsIsAmbiguous(t *testing.T) {
	for _, kind := range []batch.Kind{batch.ErrAuth, batch.ErrConflict, batch.ErrUnavailable, batch.ErrAmbiguous} {
		t.Run(string(kind), func(t *testing.T) {
			engine, server, activities := start(t)
			engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(batch.Batch{}, timeUp)
			engine.OnActivity(activities.Reconcile, mock.Anything, mock.Anything).Return(batch.Batch{}, said(&batch.Error{Kind: kind}))
			began := engine.Now()
			engine.ExecuteWorkflow(Workflow, wages, Schedule{Reconcile: time.Minute, AskFor: 10 * time.Minute})
			require.Equal(t, ambiguous, failed(t, engine).Type())
			require.True(t, failed(t, engine).NonRetryable())
			require.LessOrEqual(t, engine.Now().Sub(began), 11*time.Minute)
			require.Zero(t, server.Log.Count("SubmitBatch"))
		})
	}
}

func TestFailingPollsDoNotOutlastTheWait(t *testing.T) {
	engine, server, activities := start(t)
	engine.OnActivity(activities.Poll, mock.Anything, mock.Anything).Return(batch.Batch{}, said(&batch.Error{Kind: batch.ErrUnavailable}))
	began := engine.Now()
	engine.ExecuteWorkflow(Workflow, wages, Schedule{Poll: time.Minute, WaitFor: 10 * time.Minute})
	require.Equal(t, submitted, failed(t, engine).Type())
	require.LessOrEqual(t, engine.Now().Sub(began), 11*time.Minute)
	require.Equal(t, once1, server.Accepted())
}

// A cancellation before the submit prevents it, and one that comes later ends
// nothing but the waiting.
func TestACancellation(t *testing.T) {
	t.Run("before the submit", func(t *testing.T) {
		engine, server, activities := start(t)
		engine.OnActivity(activities.Create, mock.Anything, mock.Anything).Return(func(ctx context.Context, d batch.Draft) (batch.Batch, error) {
			engine.CancelWorkflow()
			return activities.Create(ctx, d)
		})
		engine.ExecuteWorkflow(Workflow, wages, Schedule{})
		require.True(t, temporal.IsCanceledError(engine.GetWorkflowError()))
		require.Empty(t, server.Accepted())
	})
	t.Run("during the submit", func(t *testing.T) {
		engine, server, activities := start(t)
		engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			engine.CancelWorkflow()
			_, err := activities.Provider.Submit(ctx, b)
			require.NoError(t, err)
			return b, timeUp
		})
		asked := false
		engine.SetOnActivityCompletedListener(func(info *activity.Info, _ converter.EncodedValue, _ error) {
			asked = asked || info.ActivityType.Name == "Reconcile"
		})
		engine.ExecuteWorkflow(Workflow, wages, Schedule{})
		require.Equal(t, submitted, failed(t, engine).Type())
		require.False(t, temporal.IsCanceledError(engine.GetWorkflowError()), "nobody takes it for one that moved no money")
		require.True(t, asked)
		require.Equal(t, once1, server.Accepted())
	})
}

func TestABadDraftFailsAtOnce(t *testing.T) {
	engine, server, _ := start(t)
	bad := wages.Clone()
	bad.Items[0].Account = "0821231234"
	engine.ExecuteWorkflow(Workflow, bad, Schedule{})
	require.Equal(t, string(batch.ErrInvalid), failed(t, engine).Type())
	require.Zero(t, server.Log.Count(""))
}
