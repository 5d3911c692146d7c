package citypay_test

import (
	"context"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// An item is unclear. An operator looks it up until it is decided, and refunds
// it, because the customer has paid in another way meanwhile.
func ExampleClient_Refund() {
	ctx := context.Background()
	o := citypaytest.Options{Autoplay: 1, Unanswered: citypaytest.UnansweredAwaiting}
	server := citypaytest.New(&o) // or your own citypay.Config
	defer server.Close()
	client := must(citypay.New(server.Config()))
	provider := must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"}))
	item := batch.Item{Reference: "inv-2", Account: "customer-ben", Amount: batch.Money{Minor: 6666, Currency: "GBP"}}
	report := must(batch.Run(ctx, provider,
		batch.Draft{Reference: "2028", Direction: batch.Collect, Items: []batch.Item{item}},
		&batch.RunOptions{Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}})) // the acquirer does not answer
	fmt.Println(item.Reference, report.Results[0].Outcome)

	server.AnswerAll(true) // an hour later
	found := must(client.RetrieveTransactions(ctx,
		citypay.RetrieveRequest{MerchantID: 11223344, Identifier: item.Reference})).Auths
	if len(found) != 1 || found[0].TransStatus != citypay.TransOpen || found[0].AmountValue != item.Amount.Minor {
		panic("it is still unclear")
	}
	refund, err := client.Refund(ctx, citypay.RefundRequest{Amount: item.Amount.Minor,
		Identifier: "refund-" + item.Reference, MerchantID: 11223344, RefundRef: found[0].TransNo})
	if err != nil {
		panic(err) // on batch.ErrAmbiguous, look "refund-inv-2" up, and do not send it again
	}
	fmt.Println("refunded", refund.Amount, refund.ResultMessage)
	// Output:
	// inv-2 unknown
	// refunded 6666 System: Accepted Refund
}
