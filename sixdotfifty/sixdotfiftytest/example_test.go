package sixdotfiftytest_test

import (
	"context"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

// One who is not a member has 60 days to join. The clock of the simulator lets
// them pass.
func Example() {
	ctx := context.Background()
	server := sixdotfiftytest.New(&sixdotfiftytest.Options{NonMembers: []string{"27821231236"}})
	defer server.Close()
	client, err := sixdotfifty.New(server.Config())
	if err != nil {
		panic(err)
	}
	made, err := client.CreateBatch(ctx, sixdotfifty.BatchRequest{Name: "wages", ExternalID: "wages"})
	if err != nil {
		panic(err)
	}
	payments := []sixdotfifty.NewPayment{
		{MSISDN: "27821231234", Amount: 25000, ExternalID: "ada"},
		{MSISDN: "27821231236", Amount: 9900, ExternalID: "cleo"},
	}
	if _, err = client.AddPayments(ctx, made.ID, sixdotfifty.AddPaymentsRequest{Payments: payments}); err != nil {
		panic(err)
	}
	if _, err = client.SubmitBatch(ctx, made.ID); err != nil {
		panic(err)
	}
	server.Clock.Advance(61 * 24 * time.Hour)
	at, err := client.GetBatch(ctx, made.ID)
	if err != nil {
		panic(err)
	}
	fmt.Println(at.StatusCode, server.Ledger.Moved())
	// Output: CLOSED map[ada:1]
}
