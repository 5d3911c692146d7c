package sixdotfifty_test

import (
	"context"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

func Example() {
	ctx := context.Background()
	server := sixdotfiftytest.New(&sixdotfiftytest.Options{NonMembers: []string{"27821231236"}})
	defer server.Close()
	client, _ := sixdotfifty.New(server.Config()) // or your own sixdotfifty.Config
	provider, _ := sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{})

	wages := batch.Draft{Reference: "wages-november", Direction: batch.Pay, Items: []batch.Item{
		{Reference: "november-ada", Account: "27821231234", Amount: batch.Money{Minor: 25000, Currency: "DZAR"}},
		{Reference: "november-ben", Account: "27821231235", Amount: batch.Money{Minor: 10075, Currency: "DZAR"}},
		{Reference: "november-cleo", Account: "27821231236", Amount: batch.Money{Minor: 9900, Currency: "DZAR"}},
	}}
	draft, err := provider.Create(ctx, wages) // nothing is paid
	if err != nil {
		panic(err)
	}
	paid, err := provider.Submit(ctx, draft) // members are paid
	if err != nil {
		panic(err) // batch.ErrAmbiguous: do not submit it again, see batch.Run
	}
	fmt.Println(paid.Native, paid.State)
	server.Join("27821231236")
	paid, _ = provider.Poll(ctx, paid)
	fmt.Println(paid.Native, paid.State)
	report, _ := provider.Report(ctx, paid)
	for _, result := range report.Results {
		fmt.Println(result.Item.Reference, result.Item.Amount, result.Outcome)
	}
	// Output:
	// OPEN pending
	// CLOSED done
	// november-ada 250.00 DZAR paid
	// november-ben 100.75 DZAR paid
	// november-cleo 99.00 DZAR paid
}
