package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// The tests of TESTING.md. collectFees stands for the code under test.

func collectFees(ctx context.Context, p batch.Provider, j batch.Journal, fees batch.Draft) (batch.Report, error) {
	return batch.Run(ctx, p, fees, &batch.RunOptions{Journal: j})
}

func fees(currency string, accounts ...string) batch.Draft {
	d := batch.Draft{Reference: "2026", Direction: batch.Collect}
	for n, account := range accounts {
		d.Items = append(d.Items, batch.Item{Reference: "fee-" + account, Account: account,
			Amount: batch.Money{Minor: int64(5000 + n), Currency: currency}})
	}
	return d
}

func openCityPay(t *testing.T, config citypay.Config) *citypay.Provider {
	t.Helper()
	client, err := citypay.New(config)
	require.NoError(t, err)
	provider, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	require.NoError(t, err)
	return provider
}

func TestALostReplyChargesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{InMemory: true, Autoplay: 1})
		defer server.Close()
		provider := openCityPay(t, server.Config())
		server.Break(batchtest.LostAfter) // The cards are charged, and the reply is lost.

		draft := fees("GBP", "customer-ada", "customer-ben")
		report, err := collectFees(t.Context(), provider, batch.NewMemoryJournal(), draft)
		require.NoError(t, err)
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
		batchtest.MovedOnce(t, server.Ledger.Moved(), draft.Items...)
	})
}

func TestASlowServiceIsNotAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{InMemory: true, Autoplay: 1})
		defer server.Close()
		provider := openCityPay(t, server.Config())
		server.Inject(batchsim.Fault{Op: "ProcessBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Hang})

		draft := fees("GBP", "customer-ada")
		journal := batch.NewMemoryJournal()
		began := time.Now()
		_, err := collectFees(t.Context(), provider, journal, draft)
		require.NoError(t, err)
		require.Greater(t, time.Since(began), time.Minute, "minutes of the bubble, which take no time")
		require.Equal(t, 1, server.Log.Count("ProcessBatch"))
		batchtest.MovedOnce(t, server.Ledger.Moved(), draft.Items...)
	})
}

func TestAPaymentThatBounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := snapbilltest.New(&snapbilltest.Options{InMemory: true, Autoplay: 1})
		defer server.Close()
		server.Bill("001", "2000-01-01", 5000) // A bubble begins at midnight of that day.
		client, err := snapbill.New(server.Config())
		require.NoError(t, err)
		provider, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
		require.NoError(t, err)

		journal := batch.NewMemoryJournal()
		draft := fees("ZAR", "001")
		draft.Date = time.Now().AddDate(0, 0, 7)
		report, err := collectFees(t.Context(), provider, journal, draft)
		require.NoError(t, err)
		require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)

		server.Bounce("001") // A week later, at the bank.
		for change, err := range batch.NewDesk(provider, journal).Review(t.Context(), time.Time{}) {
			require.NoError(t, err)
			require.Equal(t, batch.OutcomeReturned, change.Result.Outcome)
		}
	})
}
