package citypay_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// TestFromTheGeneratedClient holds the samples of FROM_GENERATED.md.
func TestFromTheGeneratedClient(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	defer server.Close()
	config := server.Config()
	clientID, licenceKey, baseURL, ctx, journal := config.ClientID, config.LicenceKey, server.URL, t.Context(), batch.NewMemoryJournal()

	client, err := citypay.New(citypay.Config{ClientID: clientID, LicenceKey: licenceKey, BaseURL: baseURL})
	require.NoError(t, err)

	server.Break(batchtest.LostAfter)
	_, err = client.ProcessBatch(ctx, citypay.ProcessBatchRequest{BatchDate: "2026-11-27", BatchID: 35,
		Transactions: []citypay.BatchTransaction{{AccountID: "aaabbb-cccddd-eee", Amount: 19995, Identifier: "invoice-1", MerchantID: 11223344}}})
	switch {
	case errors.Is(err, batch.ErrAmbiguous):
		// The cards may have been charged. Do not send it again: ask BatchStatus.
	case err != nil:
		// Nothing was charged, and nothing will be.
	}
	require.ErrorIs(t, err, batch.ErrAmbiguous)

	for {
		status, err := client.BatchStatus(ctx, citypay.CheckBatchStatus{BatchIDs: []int64{35}})
		require.NoError(t, err)
		word := status.Batches[0].BatchStatus
		if word == "COMPLETE" || word == "CANCELLED" || word == "ERROR_IN_PROCESSING" { // UNKNOWN proves nothing: it may still arrive.
			break
		}
	}
	report35, err := client.RetrieveBatch(ctx, citypay.BatchReportRequest{BatchID: 35})
	require.NoError(t, err)
	require.Len(t, report35.Transactions, 1)

	provider, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	require.NoError(t, err)
	options := &batch.RunOptions{Journal: journal, Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}}
	report, err := batch.Run(ctx, provider, batch.Draft{Reference: "36", Direction: batch.Collect, Items: []batch.Item{
		{Reference: "invoice-2", Account: "aaabbb-cccddd-eee", Amount: batch.Money{Minor: 19995, Currency: "GBP"}},
	}}, options)
	require.NoError(t, err)
	require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
}
