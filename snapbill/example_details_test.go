package snapbill_test

import (
	"context"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// A client's bank details are disabled, so SnapBill leaves the client out. An
// operator gives it another account, and runs the batch again.
func ExampleClient_SetPayment() {
	ctx := context.Background()
	server := snapbilltest.New(&snapbilltest.Options{Autoplay: 1}) // or your own snapbill.Config
	defer server.Close()
	server.Bill("001", "2099-11-01", 5000)
	server.Bill("002", "2099-11-01", 12050)
	server.Disable("002")
	client := must(snapbill.New(server.Config()))
	provider := must(snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"}))
	draft := batch.Draft{Reference: "fees", Direction: batch.Collect,
		Date: time.Date(2099, 11, 3, 0, 0, 0, 0, time.UTC),
		Items: []batch.Item{{Reference: "ada", Account: "001", Amount: batch.Money{Minor: 5000, Currency: "ZAR"}},
			{Reference: "ben", Account: "002", Amount: batch.Money{Minor: 12050, Currency: "ZAR"}}}}
	refused, err := provider.Create(ctx, draft)
	fmt.Println(err)
	_ = must(batch.Cancel(ctx, provider, refused)) // its invoices are free for another batch

	for ben, err := range client.ListClients(ctx, snapbill.ListClientsOptions{Query: "002"}) {
		id := must(ben, err).ID.String()
		_ = must(client.Form(ctx, "client", id, "set_payment")) // the names of the fields
		_ = must(client.SetPayment(ctx, id, snapbill.SetPayment{PaymentMethodCode: "netcash",
			Fields: map[string]snapbill.Secret{"account_number": snapbill.NewSecret("6200558812")}}))
	}
	report := must(batch.Run(ctx, provider, draft,
		&batch.RunOptions{Watch: batch.WatchOptions{Interval: time.Millisecond}}))
	fmt.Println(report.Totals[batch.OutcomePaid].Count, "paid")
	// Output:
	// snapbill: Create: conflict: the batch at the service is not the draft: item 1 ("ben"): payment: client "002" is not in the batch at the service
	// 2 paid
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
