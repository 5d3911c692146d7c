package centrapay_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

// The reply to a create is lost. An operator reads the assets, which were not
// there before, and so knows that the file was loaded.
func ExampleClient_GetAssetByExternalID() {
	ctx := context.Background()
	server := centrapaytest.New(nil) // or your own centrapay.Config
	defer server.Close()
	client := must(centrapay.New(server.Config()))
	provider := must(centrapay.NewProvider(client, server.ProviderConfig()))
	item := batch.Item{Reference: "asset-1", Account: "012345678", Amount: batch.Money{Minor: 1000, Currency: "NZD"}}
	look := func() string {
		asset, err := client.GetAssetByExternalID(ctx, "farmlands.nzd.test", item.Reference)
		switch {
		case errors.Is(err, batch.ErrNotFound): // missing, or not allowed: it proves nothing by itself
			return "not there"
		case err != nil:
			panic(err)
		}
		return string(asset.AvailableBalance)
	}
	before := look()
	server.Break(batchsim.LostAfter)
	b := must(provider.Create(ctx, batch.Draft{Reference: "balances", Direction: batch.Load,
		Items: []batch.Item{item}}))
	_, err := provider.Submit(ctx, b)
	fmt.Println("unclear:", errors.Is(err, batch.ErrAmbiguous))
	server.FinishAll() // a while later
	fmt.Println("before:", before)
	fmt.Println("after:", look())
	// Output:
	// unclear: true
	// before: not there
	// after: 1000
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
