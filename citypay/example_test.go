package citypay_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

func Example() {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1}) // or your own citypay.Config
	defer server.Close()
	client := must(citypay.New(server.Config()))
	provider := must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"}))

	// The journal belongs on a disk that stays: it is what makes a second call safe.
	directory := must(os.MkdirTemp("", "payments"))
	defer func() { _ = os.RemoveAll(directory) }()
	journal := must(boltjournal.Open(filepath.Join(directory, "payments.journal"), provider.Info()))
	defer func() { _ = journal.Close() }()

	report, err := batch.Run(context.Background(), provider, batch.Draft{
		Reference: "2026", Direction: batch.Collect,
		Items: []batch.Item{
			{Reference: "inv-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}},
			{Reference: "inv-2", Account: "customer-ben", Amount: batch.Money{Minor: 3333, Currency: "GBP"}},
		},
	}, &batch.RunOptions{Journal: journal, Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}})
	if err != nil {
		panic(err) // batch.ErrAmbiguous: do not send it again, see below
	}
	for _, result := range report.Results {
		fmt.Println(result.Item.Reference, result.Item.Amount, result.Outcome, result.Message)
	}
	// Output:
	// inv-1 78.01 GBP paid Accepted (TEST) A12345
	// inv-2 33.33 GBP failed Declined
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
