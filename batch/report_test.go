package batch_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

func TestNewReport(t *testing.T) {
	a := batch.Item{Reference: "a", Account: "acc-a", Amount: gbp(100)}
	b := batch.Item{Reference: "b", Account: "acc-b", Amount: gbp(250)}
	row := func(reference string, outcome batch.Outcome, change ...func(*batch.Result)) batch.Result {
		r := batch.Result{Item: batch.Item{Reference: reference}, Outcome: outcome}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	claims := func(account string, amount batch.Money) func(*batch.Result) {
		return func(r *batch.Result) { r.Item.Account, r.Item.Amount = account, amount }
	}
	total := func(n int, minor int64) batch.Total { return batch.Total{Count: n, Amount: gbp(minor)} }

	for name, c := range map[string]struct {
		state     batch.State
		rows      []batch.Result
		outcomes  []batch.Outcome // of a and b
		totals    map[batch.Outcome]batch.Total
		unmatched int
		faults    []string
	}{
		"complete, in any order": {batch.StateDone,
			[]batch.Result{row("b", batch.OutcomePaid, claims("acc-b", gbp(250))), row("a", batch.OutcomeFailed)},
			[]batch.Outcome{batch.OutcomeFailed, batch.OutcomePaid},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(1, 250), batch.OutcomeFailed: total(1, 100)}, 0,
			nil},
		"not finished": {batch.StatePending, []batch.Result{row("a", batch.OutcomePaid)},
			[]batch.Outcome{batch.OutcomePaid, batch.OutcomePending},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(1, 100), batch.OutcomePending: total(1, 250)}, 0,
			nil},
		"one is missing": {batch.StateDone, []batch.Result{row("a", batch.OutcomePaid)},
			[]batch.Outcome{batch.OutcomePaid, batch.OutcomeUnknown},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(1, 100), batch.OutcomeUnknown: total(1, 250)}, 0,
			[]string{`item 1 ("b"): result: is missing from the report`}},
		"one is pending in a batch that is over": {batch.StateCanceled, []batch.Result{row("a", batch.OutcomeSkipped),
			row("b", batch.OutcomePending)},
			[]batch.Outcome{batch.OutcomeSkipped, batch.OutcomeUnknown},
			map[batch.Outcome]batch.Total{batch.OutcomeSkipped: total(1, 100), batch.OutcomeUnknown: total(1, 250)}, 0,
			[]string{`item 1 ("b"): result: is pending in a batch that is over`}},
		"one is pending, and so is the batch": {batch.StatePending, []batch.Result{row("a", batch.OutcomePaid),
			row("b", batch.OutcomePending)},
			[]batch.Outcome{batch.OutcomePaid, batch.OutcomePending},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(1, 100), batch.OutcomePending: total(1, 250)}, 0,
			nil},
		"nothing came": {batch.StateFailed, nil,
			[]batch.Outcome{batch.OutcomeUnknown, batch.OutcomeUnknown},
			map[batch.Outcome]batch.Total{batch.OutcomeUnknown: total(2, 350)}, 0,
			[]string{`item 0 ("a"): result: is missing from the report`,
				`item 1 ("b"): result: is missing from the report`}},
		"a stranger": {batch.StateDone, []batch.Result{row("a", batch.OutcomePaid), row("b", batch.OutcomePaid),
			row("c", batch.OutcomePaid)},
			[]batch.Outcome{batch.OutcomePaid, batch.OutcomePaid},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(2, 350)}, 1,
			[]string{`result: the service reports an item "c" that is not in the batch`}},
		"twice": {batch.StateDone, []batch.Result{row("a", batch.OutcomePaid), row("b", batch.OutcomeFailed),
			row("b", batch.OutcomePaid)},
			[]batch.Outcome{batch.OutcomePaid, batch.OutcomeUnknown},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(1, 100), batch.OutcomeUnknown: total(1, 250)}, 1,
			[]string{`item 1 ("b"): result: is reported more than once: as failed and as paid`}},
		"another amount and account": {batch.StateDone,
			[]batch.Result{row("a", batch.OutcomePaid, claims("acc-x", gbp(101))), row("b", batch.OutcomePaid)},
			[]batch.Outcome{batch.OutcomeUnknown, batch.OutcomePaid},
			map[batch.Outcome]batch.Total{batch.OutcomePaid: total(1, 250), batch.OutcomeUnknown: total(1, 100)}, 0,
			[]string{`item 0 ("a"): amount: is reported as 1.01 GBP, but was sent as 1.00 GBP`,
				`item 0 ("a"): account: is reported as another account than was sent`}},
	} {
		t.Run(name, func(t *testing.T) {
			handle := batch.Batch{Provider: "test", Draft: draft(a, b), State: c.state}
			got, err := batch.NewReport(handle, c.rows)

			var outcomes []batch.Outcome
			for n, result := range got.Results {
				outcomes = append(outcomes, result.Outcome)
				require.Equal(t, handle.Draft.Items[n], result.Item, "a result holds the item as it was sent")
			}
			require.Equal(t, c.outcomes, outcomes)
			require.Empty(t, cmp.Diff(c.totals, got.Totals))
			require.Len(t, got.Unmatched, c.unmatched)

			var faults []string
			var e *batch.Error
			if errors.As(err, &e) {
				require.Equal(t, batch.ErrProtocol, e.Kind)
				for _, fault := range e.Fields {
					faults = append(faults, fault.Error())
				}
			} else {
				require.NoError(t, err)
			}
			require.Empty(t, cmp.Diff(c.faults, faults))
		})
	}
}

func TestNewReportRefusesATotalThatOverflows(t *testing.T) {
	items := []batch.Item{{Reference: "a", Amount: gbp(math.MaxInt64)}, {Reference: "b", Amount: gbp(1)}}
	_, err := batch.NewReport(batch.Batch{Draft: draft(items...)}, nil)
	require.ErrorContains(t, err, "overflows")
}

func TestOutcomesAreACopy(t *testing.T) {
	batch.Outcomes()[0] = "changed"
	require.Equal(t, batch.OutcomePaid, batch.Outcomes()[0])
}

func TestOnlyWhatFailedAgain(t *testing.T) {
	var items []batch.Item
	var rows []batch.Result
	for n, outcome := range batch.Outcomes() {
		item := batch.Item{Reference: string(outcome), Account: "acc", Amount: gbp(int64(n + 1)), Purpose: "INV-" +
			string(outcome),
			Labels: map[string]string{"site": []string{"north", "south"}[n%2]}, Extra: map[string]string{"name": "n"}}
		items, rows = append(items, item),
			append(rows, batch.Result{Item: batch.Item{Reference: item.Reference}, Outcome: outcome})
	}
	d := draft(items...)
	d.Author, d.Approvals, d.Extra, d.Date = "eve", 1, map[string]string{"batch_id": "7"},
		time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	r, err := batch.NewReport(batch.Batch{Draft: d, State: batch.StatePending}, rows)
	require.NoError(t, err)

	again, held := r.Again("run-2", func(i batch.Item) string { return i.Reference + "-2" })
	require.Equal(t, batch.Draft{Reference: "run-2", Direction: d.Direction, Author: "eve", Approvals: 1,
		Items: again.Items}, again)
	var references, purposes, still []string
	for _, item := range again.Items {
		references, purposes = append(references, item.Reference), append(purposes, item.Purpose)
	}
	for _, result := range held {
		still = append(still, result.Item.Reference)
	}
	require.Equal(t, []string{"failed-2", "returned-2", "skipped-2"}, references)
	require.Equal(t, []string{"INV-failed", "INV-returned", "INV-skipped"}, purposes)
	require.Equal(t, []string{"pending", "unknown"}, still)
	again.Items[0].Extra["name"], again.Items[0].Labels["site"] = "changed", "changed"
	require.Equal(t, items, r.Batch.Draft.Items, "the report is not changed")

	require.Equal(t, map[string]map[batch.Outcome]batch.Total{
		"north": {batch.OutcomePaid: {Count: 1, Amount: gbp(1)}, batch.OutcomePending: {Count: 1, Amount: gbp(3)},
			batch.OutcomeSkipped: {Count: 1, Amount: gbp(5)}},
		"south": {batch.OutcomeFailed: {Count: 1, Amount: gbp(2)}, batch.OutcomeReturned: {Count: 1, Amount: gbp(4)},
			batch.OutcomeUnknown: {Count: 1, Amount: gbp(6)}},
	}, r.By("site"))
	require.Equal(t, r.Totals, r.By("no such label")[""])
}

func TestLabelsAreText(t *testing.T) {
	d := oneItem()
	d.Items[0].Labels = map[string]string{"site": "a\x00"}
	_, err := batch.Run(t.Context(), newTeller("ok"), d, nil)
	require.ErrorContains(t, err, `labels: "site"`)
}

// forgetful is a provider whose report leaves the last item out.
type forgetful struct{ *batchtest.Memory }

func (f forgetful) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	r, err := f.Memory.Report(ctx, b)
	r.Results = r.Results[:len(r.Results)-1]
	return r, err
}

// Run tells of every item, also of those that a provider has forgotten.
func TestRunCompletesAReport(t *testing.T) {
	p := forgetful{batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})}
	d := draft(batch.Item{Reference: "a", Account: "x", Amount: gbp(1)}, batch.Item{Reference: "b", Account: "x",
		Amount: gbp(2)})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	report, err := batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Len(t, report.Results, 2)
	require.Equal(t, batch.OutcomeUnknown, report.Results[1].Outcome)
}

// Another amount alone, and another account alone, leave the outcome unknown.
func TestOneContradictionIsEnough(t *testing.T) {
	item := batch.Item{Reference: "a", Account: "acc-a", Amount: gbp(100)}
	for name, claimed := range map[string]batch.Item{
		"another amount":   {Reference: "a", Account: "acc-a", Amount: gbp(101)},
		"another currency": {Reference: "a", Amount: batch.Money{Minor: 100, Currency: "EUR"}},
		"another account":  {Reference: "a", Account: "acc-x", Amount: gbp(100)},
	} {
		for _, outcome := range []batch.Outcome{batch.OutcomePaid, batch.OutcomeFailed} {
			report, err := batch.NewReport(batch.Batch{Draft: draft(item), State: batch.StateDone},
				[]batch.Result{{Item: claimed, Outcome: outcome}})
			require.ErrorIs(t, err, batch.ErrProtocol, name)
			require.Equal(t, batch.OutcomeUnknown, report.Results[0].Outcome, "%s, %s", name, outcome)
			require.Equal(t, map[batch.Outcome]batch.Total{batch.OutcomeUnknown: {Count: 1, Amount: gbp(100)}},
				report.Totals, name)
		}
	}
}

// A fault of the whole report belongs to no item.
func TestFaultsOfTheWholeReport(t *testing.T) {
	items := []batch.Item{{Reference: "a", Amount: gbp(100)},
		{Reference: "b", Amount: batch.Money{Minor: 50, Currency: "EUR"}}}
	rows := []batch.Result{{Item: batch.Item{Reference: "a"}, Outcome: batch.OutcomePaid},
		{Item: batch.Item{Reference: "b"}, Outcome: batch.OutcomePaid},
		{Item: batch.Item{Reference: "c"}, Outcome: batch.OutcomePaid}}
	_, err := batch.NewReport(batch.Batch{Draft: draft(items...), State: batch.StateDone}, rows)
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []batch.FieldError{
		{Item: -1, Reference: "c", Field: "result",
			Message: `the service reports an item "c" that is not in the batch`},
		{Item: -1, Field: "totals", Message: "they hold GBP and EUR: one batch has one currency"},
	}, e.Fields)
}

// The only item of a batch is reported even if the provider has forgotten it.
func TestRunCompletesTheReportOfOneItem(t *testing.T) {
	p := forgetful{batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})}
	report, err := batch.Run(t.Context(), p, oneItem(), &batch.RunOptions{Journal: batch.NewMemoryJournal()})
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Len(t, report.Results, 1)
	require.Equal(t, batch.OutcomeUnknown, report.Results[0].Outcome)
}
