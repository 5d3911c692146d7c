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
		d.Items = append(d.Items, batch.Item{Reference: number + " " + reference, Account: "card-" + number,
			Purpose: number,
			Amount:  batch.Money{Minor: 1250, Currency: "GBP"}})
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

// A job engine repeats a job as often as it likes: the journal decides what is
// sent.
func ExampleStart_job() {
	ctx := context.Background()
	provider, journal := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 9}), batch.NewMemoryJournal()
	provider.Break(batchtest.LostAfter)
	for range 3 {
		b, err := batch.Start(ctx, provider, invoices("november", "INV-1"),
			&batch.RunOptions{Journal: journal, ReconcileFor: 30 * time.Second})
		again := slices.Contains([]batch.Kind{batch.ErrAmbiguous, batch.ErrUnavailable, batch.ErrThrottled,
			batch.ErrProtocol}, batch.KindOf(err))
		fmt.Println(b.State, err, again)
	}
	fmt.Println(provider.Submits())
	// Output:
	// pending <nil> false
	// pending <nil> false
	// pending <nil> false
	// 1
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

// The service cannot tell what became of a batch. A person asks its support,
// writes down the case, and decides.
func ExampleDesk_Resolve() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{})
	provider.Break(batchtest.LostBefore) // The batch does not arrive, and nothing says so.
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: time.Nanosecond}
	_, err := batch.Run(ctx, provider, invoices("november", "INV-1"), o)
	fmt.Println(batch.KindOf(err))

	desk := batch.NewDesk(provider, o.Journal)
	for dossier, err := range desk.Pending(ctx) {
		if err != nil || dossier.Standing != batch.StandingUnclear {
			continue
		}
		sendToSupport(dossier.Ticket())
		err = desk.Note(ctx, dossier.Key.Reference, batch.Note{Operator: "ada", Text: "case 4711"})
		fmt.Println(dossier.Key.Reference, dossier.Standing, err)
	}
	// Days later the support answers: it has never seen the batch.
	_, err = desk.Resolve(ctx, "november", batch.Decision{Verdict: batch.Resend, Operator: "ada", Reason: "case 4711"})
	fmt.Println("decided:", err)
	b, err := batch.Start(ctx, provider, invoices("november", "INV-1"), o)
	fmt.Println(b.State, err)
	// Output:
	// ambiguous
	// november unclear <nil>
	// decided: <nil>
	// pending <nil>
}

func sendToSupport(string) {}

// The end of a batch never comes. The bank says what became of its item, a person
// writes that down, and the invoice can be billed again. The journal tells the
// whole story.
func ExampleDecision() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: -1}) // It never ends by itself.
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Start(ctx, provider, invoices("november", "INV-1"), o)
	fmt.Println(err)

	desk := batch.NewDesk(provider, o.Journal)
	_, err = desk.Resolve(ctx, "november", batch.Decision{
		Verdict: batch.Close, Operator: "ada", Reason: "bank statement of 30 November",
		Outcomes: map[string]batch.Outcome{"INV-1 november": batch.OutcomeFailed},
	})
	fmt.Println(err)
	_, err = batch.Start(ctx, provider, invoices("december", "INV-1"), o)
	fmt.Println(err)
	for change, err := range desk.Changes(ctx, "november") {
		fmt.Println(change.Result.Item.Reference, change.Before, "->", change.Result.Outcome, err)
	}
	// Output:
	// <nil>
	// <nil>
	// <nil>
	// INV-1 november  -> failed <nil>
}

// The wages of November are not paid in December because a server was down.
func ExampleDraft_notAfter() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{})
	draft := invoices("november", "INV-1")
	draft.NotAfter = time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	_, err := batch.Run(ctx, provider, draft, &batch.RunOptions{Journal: batch.NewMemoryJournal()})
	var late *batch.Error
	if errors.As(err, &late) && late.Code == batch.CodeExpired {
		fmt.Println("nothing was sent:", provider.Submits())
	}
	// Output: nothing was sent: 0
}

// Labels add up what belongs together in your books.
func ExampleReport_By() {
	ctx := context.Background()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	draft := invoices("november", "INV-1", "INV-2", "INV-3")
	for n, site := range []string{"Auckland", "Auckland", "Dunedin"} {
		draft.Items[n].Labels = map[string]string{"site": site}
	}
	report, err := batch.Run(ctx, provider, draft, &batch.RunOptions{Journal: batch.NewMemoryJournal()})
	for site, totals := range report.By("site") {
		if site == "Auckland" {
			fmt.Println(site, totals[batch.OutcomePaid].Count, totals[batch.OutcomePaid].Amount, err)
		}
	}
	// Output: Auckland 2 25.00 GBP <nil>
}
