package batchtest_test

import (
	"context"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

// Memory stands for a service in the tests of what uses a provider. Here the
// reply to a submit is lost, and the money has moved all the same.
func ExampleMemory() {
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	provider.Break(batchtest.LostAfter)
	provider.SetOutcome("INV-2", batch.OutcomeFailed)

	report, err := batch.Run(context.Background(), provider,
		batch.Draft{Reference: "november", Direction: batch.Collect, Items: []batch.Item{
			{Reference: "INV-1", Account: "card-1", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
			{Reference: "INV-2", Account: "card-2", Amount: batch.Money{Minor: 990, Currency: "GBP"}},
		}}, nil)
	for _, result := range report.Results {
		fmt.Println(result.Item.Reference, result.Outcome)
	}
	fmt.Println(err, provider.Submits())
	// Output:
	// INV-1 paid
	// INV-2 failed
	// <nil> 1
}
