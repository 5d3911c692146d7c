package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/batchway/batchway-go/batch"
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
	var suite testsuite.WorkflowTestSuite
	engine := suite.NewTestWorkflowEnvironment()
	activities := &Activities{Provider: provider}
	engine.RegisterWorkflow(Workflow)
	engine.RegisterActivity(activities)
	engine.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: "wages-november"})
	engine.SetTestTimeout(time.Minute)
	return engine, server, activities
}

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
		return batch.Batch{}, temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, nil)
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
		batch.Batch{}, temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, nil))
	engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(activities.Submit)
	engine.RegisterDelayedCallback(func() { server.Join("27821231236") }, 24*time.Hour)
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	require.NoError(t, engine.GetWorkflowError())
	require.Equal(t, 1, server.Log.Count("SubmitBatch"))
	require.Equal(t, once1, server.Accepted())
}

// Where the service does not refuse a second submit, nothing is sent again,
// and a person has to look.
func TestWithoutAGuardAPersonHasToLook(t *testing.T) {
	engine, server, activities := start(t)
	activities.Provider = unguarded{activities.Provider}
	engine.OnActivity(activities.Submit, mock.Anything, mock.Anything).Return(
		batch.Batch{}, temporal.NewTimeoutError(enums.TIMEOUT_TYPE_START_TO_CLOSE, nil))
	engine.ExecuteWorkflow(Workflow, wages, Schedule{})
	var said *temporal.ApplicationError
	require.ErrorAs(t, engine.GetWorkflowError(), &said)
	require.Equal(t, string(batch.ErrAmbiguous), said.Type())
	require.Zero(t, server.Log.Count("SubmitBatch"))
}

type unguarded struct{ batch.Provider }

func (u unguarded) Info() batch.Info {
	info := u.Provider.Info()
	info.Guard = batch.GuardNone
	return info
}

func TestABadDraftFailsAtOnce(t *testing.T) {
	engine, server, _ := start(t)
	bad := wages.Clone()
	bad.Items[0].Account = "0821231234"
	engine.ExecuteWorkflow(Workflow, bad, Schedule{})
	var said *temporal.ApplicationError
	require.ErrorAs(t, engine.GetWorkflowError(), &said)
	require.Equal(t, string(batch.ErrInvalid), said.Type())
	require.Zero(t, server.Log.Count(""))
}
