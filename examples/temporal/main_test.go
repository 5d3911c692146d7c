package main

import (
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/examples/temporal/fleet"
	"github.com/batchway/batchway-go/internal/pgtest"
)

// startPostgres skips t where no server can be had, or fails it where there must
// be one.
func startPostgres(t *testing.T) *pgtest.Server {
	t.Helper()
	postgres, err := pgtest.New()
	if err != nil && os.Getenv("BATCHWAY_REQUIRE_POSTGRES") != "1" {
		t.Skipf("this test needs PostgreSQL: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(postgres.Remove)
	require.NoError(t, postgres.Start())
	return postgres
}

func TestOrders(t *testing.T) {
	postgres := startPostgres(t)
	db, err := sql.Open("postgres", postgres.DSN("postgres"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	kept := orders{db}
	require.NoError(t, kept.prepare(t.Context()))
	require.NoError(t, kept.prepare(t.Context()), "by every worker")

	d := batch.Draft{Reference: "november", Direction: batch.Collect, Items: []batch.Item{
		{Reference: "INV-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}}}}
	order, err := kept.put(t.Context(), "citypay", d)
	require.NoError(t, err)
	other := d.Clone()
	other.Items[0].Amount.Minor = 9999999
	_, err = kept.put(t.Context(), "citypay", other)
	require.ErrorContains(t, err, "another draft")
	_, err = kept.put(t.Context(), "citypay", d)
	require.NoError(t, err)
	again, err := kept.draft(t.Context(), order)
	require.NoError(t, err)
	require.Equal(t, d, again)
	_, err = kept.draft(t.Context(), fleet.Order{Provider: "citypay", Reference: "december"})
	require.ErrorContains(t, err, "december")
}

// The environment names sandboxes and simulators, and nothing else.
func TestServices(t *testing.T) {
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	good := map[string]string{"BATCHWAY_LIVE": "1", "CITYPAY_CLIENT_ID": server.Config().ClientID,
		"CITYPAY_LICENCE_KEY": server.Config().LicenceKey,
		"CITYPAY_MERCHANT_ID": "1", "CITYPAY_BASE_URL": server.URL, "SNAPBILL_USERNAME": "u", "SNAPBILL_PASSWORD": "p",
		"SNAPBILL_BASE_URL": server.URL,
		"SIXDOTFIFTY_KEY":   "k", "SIXDOTFIFTY_SECRET": "s", "SIXDOTFIFTY_BASE_URL": server.URL,
		"CENTRAPAY_API_KEY": "k", "CENTRAPAY_ACCOUNT_ID": "A1"}
	providers, err := open(func(name string) string { return good[name] })
	require.NoError(t, err)
	require.Len(t, providers, len(services))
	for name, value := range map[string]string{"BATCHWAY_LIVE": "", "CITYPAY_BASE_URL": "https://api.citypay.com",
		"CITYPAY_MERCHANT_ID": "x",
		"SNAPBILL_BASE_URL":   "https://api.snapbill.com/v1", "SIXDOTFIFTY_BASE_URL": "https://api.6dot50.com"} {
		_, err := open(func(other string) string {
			if other == name {
				return value
			}
			return good[other]
		})
		require.Error(t, err, "%s=%q", name, value)
	}
	_, err = open(func(string) string { return "" })
	require.ErrorContains(t, err, "no service is configured")
	require.Zero(t, server.Log.Count(""))
}

// A workflow of an order may be started by every caller, and again when it has
// ended: what was sent is known by the journal.
func TestAnOrderIsStartedAgain(t *testing.T) {
	engine := mocks.NewClient(t)
	var options client.StartWorkflowOptions
	order := fleet.Order{Provider: "citypay", Reference: "november"}
	engine.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, order, fleet.Pace{}).Return(nil, nil).
		Run(func(args mock.Arguments) {
			options = args.Get(1).(client.StartWorkflowOptions)
		})
	require.NoError(t, begin(t.Context(), engine, order))
	require.Equal(t, fleet.ID(order), options.ID)
	require.Equal(t, enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, options.WorkflowIDConflictPolicy)
	require.Equal(t, enums.WORKFLOW_ID_REUSE_POLICY_UNSPECIFIED, options.WorkflowIDReusePolicy)
}

func TestUnknownArgumentsAreRefused(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"november"}, func(string) string { return "" },
		strings.NewReader("")), "the arguments are")
}
