package snapbill_test

import (
	"context"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

func Example() {
	// or your own snapbill.Config
	server := snapbilltest.New(&snapbilltest.Options{Autoplay: 1, Bounces: []string{"002"}})
	defer server.Close()
	server.Bill("001", "2099-11-01", 5000) // invoices that are due
	server.Bill("002", "2099-11-01", 12050)
	client, _ := snapbill.New(server.Config())
	provider, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
	if err != nil {
		panic(err)
	}
	report, err := batch.Run(context.Background(), provider, batch.Draft{
		Reference: "fees-november", Direction: batch.Collect, Date: time.Date(2099, 11, 3, 0, 0, 0, 0, time.UTC),
		Items: []batch.Item{ // a control list: SnapBill chooses who is on the batch
			{Reference: "ada", Account: "001", Amount: batch.Money{Minor: 5000, Currency: "ZAR"}},
			{Reference: "ben", Account: "002", Amount: batch.Money{Minor: 12050, Currency: "ZAR"}},
		},
	}, &batch.RunOptions{Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}})
	if err != nil {
		panic(err) // batch.ErrAmbiguous: do not send it again
	}
	for _, result := range report.Results {
		fmt.Println(result.Item.Reference, result.Item.Amount, result.Outcome)
	}
	// Output:
	// ada 50.00 ZAR paid
	// ben 120.50 ZAR returned
}
