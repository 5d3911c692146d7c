package centrapay_test

import (
	"context"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

func Example() {
	server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1}) // or your own centrapay.Config
	defer server.Close()
	client, err := centrapay.New(server.Config())
	if err != nil {
		panic(err)
	}
	provider, err := centrapay.NewProvider(client, centrapay.ProviderConfig{
		AccountID: "C4QnjXvj8At6SMsEN4LRi9", Currency: "NZD",
		Upload: server.Upload, // or your own storage, or a centrapay.FileGate
	})
	if err != nil {
		panic(err)
	}
	report, err := batch.Run(context.Background(), provider, batch.Draft{
		Reference: "balances-2026-11-21", Direction: batch.Load,
		Items: []batch.Item{
			{Reference: "asset-1", Account: "012345678", Amount: batch.Money{Minor: 1000, Currency: "NZD"}},
			{Reference: "asset-2", Account: "000000404", Amount: batch.Money{Minor: 2550, Currency: "NZD"}},
		},
	}, &batch.RunOptions{Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}})
	if err != nil {
		panic(err) // batch.ErrAmbiguous: do not send it again, see the package comment
	}
	for _, result := range report.Results {
		fmt.Printf("%s %s %s %q\n", result.Item.Reference, result.Item.Amount, result.Outcome, result.Code)
	}
	// Output:
	// asset-1 10.00 NZD paid ""
	// asset-2 25.50 NZD failed "ACCOUNT_NOT_FOUND"
}
