package citypay_test

import (
	"context"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// Report has looked the unclear item up, and says why that leaves it open. An
// operator looks again later.
func ExampleClient_RetrieveTransactions() {
	ctx := context.Background()
	// or your own citypay.Config
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1, Unanswered: citypaytest.UnansweredAwaiting})
	defer server.Close()
	client := must(citypay.New(server.Config()))
	provider := must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"}))
	report := must(batch.Run(ctx, provider, batch.Draft{Reference: "2027", Direction: batch.Collect,
		Items: []batch.Item{
			{Reference: "inv-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}},
			// the acquirer does not answer
			{Reference: "inv-2", Account: "customer-ben", Amount: batch.Money{Minor: 6666, Currency: "GBP"}},
		}}, &batch.RunOptions{Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}}))
	for _, result := range report.Results {
		if result.Outcome != batch.OutcomeUnknown {
			continue
		}
		fmt.Println(result.Item.Reference, result.Message)
		found := must(client.RetrieveTransactions(ctx, citypay.RetrieveRequest{MerchantID: 11223344,
			Identifier: result.Item.Reference}))
		for _, auth := range found.Auths {
			fmt.Println(auth.TransNo, auth.Type, auth.AmountValue, auth.Currency,
				auth.TransStatus == citypay.TransAwaiting)
		}
	}
	// Output:
	// inv-2 Upstream communication error; look-up: transaction 2 of type "sale" has status "H", which is not final
	// 2 sale 6666 GBP true
}
