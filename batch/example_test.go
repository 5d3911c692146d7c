package batch_test

import (
	"context"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

// Run takes a batch from its draft to its report. With a journal it can be called
// again after a crash, under the same reference: money moves once.
func ExampleRun() {
	var provider batch.Provider = batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1}) // In place of a service.
	report, err := batch.Run(context.Background(), provider, batch.Draft{
		Reference: "november", Direction: batch.Collect, Items: []batch.Item{
			{Reference: "INV-1", Account: "card-1", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
			{Reference: "INV-2", Account: "card-2", Amount: batch.Money{Minor: 990, Currency: "GBP"}},
		},
	}, &batch.RunOptions{Journal: batch.NewMemoryJournal()}) // See packages boltjournal and sqljournal.
	fmt.Println(report.Batch.State, report.Totals[batch.OutcomePaid].Amount, err)
	// Output: done 22.40 GBP <nil>
}

// Start returns once the service has the batch. The report comes later, from
// Settle.
func ExampleStart() {
	var provider batch.Provider = batchtest.NewMemory(batchtest.MemoryOptions{})
	b, err := batch.Start(context.Background(), provider, batch.Draft{
		Reference: "november", Direction: batch.Collect, Items: []batch.Item{
			{Reference: "INV-1", Account: "card-1", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
		},
	}, &batch.RunOptions{Journal: batch.NewMemoryJournal()})
	fmt.Println(b.ID, b.State, err)
	// Output: 1 pending <nil>
}

// A program that does not want to wait starts its batches, and settles all that
// are open now and then, for example every minute.
func ExampleSettle() {
	ctx := context.Background()
	var provider batch.Provider = batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()} // In a file or in PostgreSQL, it survives a crash.

	for _, reference := range []string{"november", "december"} {
		b, err := batch.Start(ctx, provider, batch.Draft{Reference: reference, Direction: batch.Collect,
			Items: []batch.Item{
				{Reference: "INV-1 " + reference, Account: "card-1", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
			}}, o)
		fmt.Println(reference, b.State, err)
	}
	paid := 0
	for report, err := range batch.Settle(ctx, provider, o) {
		if err != nil {
			fmt.Println(report.Batch.Draft.Reference, err)
		}
		paid += report.Totals[batch.OutcomePaid].Count
	}
	fmt.Println("paid:", paid)
	// Output:
	// november pending <nil>
	// december pending <nil>
	// paid: 2
}

// A person looks after what a program was not able to end.
func ExampleDesk() {
	ctx := context.Background()
	var provider batch.Provider = batchtest.NewMemory(batchtest.MemoryOptions{})
	journal := batch.NewMemoryJournal()
	draft := batch.Draft{Reference: "november", Direction: batch.Collect, Author: "eve", Approvals: 1,
		Items: []batch.Item{
			{Reference: "INV-1", Account: "card-1", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
		}}
	_, err := batch.Run(ctx, provider, draft, &batch.RunOptions{Journal: journal})
	fmt.Println(batch.KindOf(err))

	desk := batch.NewDesk(provider, journal)
	for dossier, err := range desk.Pending(ctx) {
		fmt.Println(dossier.Key.Reference, dossier.Standing, dossier.Items, dossier.Total, err)
		err = desk.Approve(ctx, dossier.Key.Reference, batch.Approval{Operator: "ada", Digest: dossier.Digest})
		fmt.Println("approved:", err)
	}
	b, err := batch.Start(ctx, provider, draft, &batch.RunOptions{Journal: journal})
	fmt.Println(b.State, err)
	// Output:
	// conflict
	// november draft 1 12.50 GBP <nil>
	// approved: <nil>
	// pending <nil>
}
