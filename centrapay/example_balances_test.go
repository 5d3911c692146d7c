package centrapay_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

// A file sets balances. The file of Tuesday does not run before that of Monday is
// over, because Monday's would then set the balance of a day before. If Monday's
// was never sent, Tuesday's takes its place.
func Example_balances() {
	server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
	defer server.Close()
	client, err := centrapay.New(server.Config())
	if err != nil {
		panic(err)
	}
	provider, err := centrapay.NewProvider(client, centrapay.ProviderConfig{
		AccountID: "C4QnjXvj8At6SMsEN4LRi9", Currency: "NZD", Upload: server.Upload,
	})
	if err != nil {
		panic(err)
	}
	balances := func(day string, cents int64) batch.Draft {
		return batch.Draft{Reference: day, Direction: batch.Load, Items: []batch.Item{
			{Reference: "asset-1", Account: "012345678", Amount: batch.Money{Minor: cents, Currency: "NZD"}},
		}}
	}
	ctx := context.Background()
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(),
		Watch: batch.WatchOptions{Interval: 10 * time.Millisecond}}
	monday := balances("monday", 1000)
	monday.Author, monday.Approvals = "eve", 1
	_, err = batch.Run(ctx, provider, monday, o) // It waits for an approval.
	fmt.Println(batch.KindOf(err))

	tuesday := balances("tuesday", 2550)
	_, err = batch.Run(ctx, provider, tuesday, o)
	var held *batch.ClaimedError
	if errors.As(err, &held) {
		fmt.Println("nothing was sent: asset-1 waits for", held.Holder.Reference)
	}
	tuesday.Replaces = "monday"
	report, err := batch.Run(ctx, provider, tuesday, o)
	fmt.Println(report.Results[0].Item.Amount, report.Results[0].Outcome, err)
	// Output:
	// conflict
	// nothing was sent: asset-1 waits for monday
	// 25.50 NZD paid <nil>
}
