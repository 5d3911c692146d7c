package batch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

// invoices is the draft that the examples of the guide run.
func invoices(reference string, numbers ...string) batch.Draft {
	d := batch.Draft{Reference: reference, Direction: batch.Collect}
	for _, number := range numbers {
		d.Items = append(d.Items, batch.Item{Reference: number + " " + reference, Account: "card-" + number, Purpose: number,
			Amount: batch.Money{Minor: 1250, Currency: "GBP"}})
	}
	return d
}

// A lost reply leaves the outcome unknown. Run is not called under another
// reference: Resume asks the service what became of the batch.
func ExampleResume() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	provider.Break(batchtest.LostAfter) // The batch arrives, and its reply does not.
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Nanosecond}

	report, err := batch.Run(ctx, provider, invoices("november", "INV-1"), o)
	if errors.Is(err, batch.ErrAmbiguous) {
		report, err = batch.Resume(ctx, provider, "november", o)
	}
	fmt.Println(report.Batch.State, err, provider.Submits())
	// Output: done <nil> 1
}

// An invoice is in one batch at a time, whatever the reference of the batch.
func ExampleRun_purpose() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Run(ctx, provider, invoices("november", "INV-1"), o)
	fmt.Println(err)

	_, err = batch.Run(ctx, provider, invoices("december", "INV-1"), o)
	var held *batch.ClaimedError
	if errors.As(err, &held) {
		fmt.Println("nothing was sent: INV-1 belongs to the batch", held.Holder.Reference)
	}
	// Output:
	// <nil>
	// nothing was sent: INV-1 belongs to the batch november
}

// A draft that was not submitted so far is corrected under its own reference.
func ExampleDraft_replaces() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	wrong := invoices("november", "INV-1", "INV-2")
	wrong.Author, wrong.Approvals = "eve", 1
	_, err := batch.Run(ctx, provider, wrong, o) // It waits for an approval.
	fmt.Println(batch.KindOf(err))

	right := invoices("november", "INV-1")
	right.Replaces = "november"
	report, err := batch.Run(ctx, provider, right, o)
	fmt.Println(report.Batch.State, len(report.Results), err)
	// Output:
	// conflict
	// done 1 <nil>
}

// A payment comes back after its batch was closed. Review notices, and the
// report of the month stays that of the month.
func ExampleDesk_Review() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	journal := batch.NewMemoryJournal()
	_, err := batch.Run(ctx, provider, invoices("november", "INV-1", "INV-2"), &batch.RunOptions{Journal: journal})
	fmt.Println(err)
	monthEnd := time.Now()

	provider.SetOutcome("INV-2 november", batch.OutcomeReturned) // At the service.
	desk := batch.NewDesk(provider, journal)
	for change, err := range desk.Review(ctx, monthEnd.AddDate(0, -3, 0)) {
		fmt.Println(change.Result.Item.Reference, change.Before, "->", change.Result.Outcome, err)
	}
	then, _ := desk.AsOf(ctx, "november", monthEnd)
	now, _ := desk.AsOf(ctx, "november", time.Now())
	fmt.Println(then.Totals[batch.OutcomePaid].Amount, now.Totals[batch.OutcomePaid].Amount)
	// Output:
	// <nil>
	// INV-2 november paid -> returned <nil>
	// 25.00 GBP 12.50 GBP
}

// Only what is known not to be paid is sent again.
func ExampleReport_Again() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	provider.SetOutcome("INV-2 november", batch.OutcomeFailed)
	report, err := batch.Run(ctx, provider, invoices("november", "INV-1", "INV-2"), o)
	fmt.Println(err)

	again, held := report.Again("november-2", func(item batch.Item) string { return item.Reference + " again" })
	report, err = batch.Run(ctx, provider, again, o)
	fmt.Println(len(held), slices.Collect(maps.Keys(report.Totals)), report.Results[0].Item.Reference, err)
	// Output:
	// <nil>
	// 0 [paid] INV-2 november again <nil>
}
