package batch

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Outcome is what became of one item.
type Outcome string

// The outcomes.
const (
	OutcomePaid     Outcome = "paid"     // the money moved, or the record was loaded
	OutcomeFailed   Outcome = "failed"   // the service tried and the money did not move
	OutcomePending  Outcome = "pending"  // not decided yet
	OutcomeReturned Outcome = "returned" // it moved and came back: bounced, refuted, unclaimed
	OutcomeSkipped  Outcome = "skipped"  // the service did not try
	OutcomeUnknown  Outcome = "unknown"  // the service does not say, or not in words this version knows
)

var outcomes = []Outcome{OutcomePaid, OutcomeFailed, OutcomePending, OutcomeReturned, OutcomeSkipped, OutcomeUnknown}

// Outcomes returns every Outcome, in the order in which reports show them.
func Outcomes() []Outcome { return slices.Clone(outcomes) }

// A Report is the outcome per item, as known now; later bounces change a later
// Report.
type Report struct {
	Batch   Batch             `json:"batch"`   // as read together with the results
	Results []Result          `json:"results"` // one per item of Batch.Draft, in its order
	Totals  map[Outcome]Total `json:"totals"`  // only the outcomes that occur

	// Unmatched holds rows that the service reported and nobody asked for, or
	// reported twice. There is always an error beside it.
	Unmatched []Result `json:"unmatched,omitempty"`
}

// A Result is the outcome of one item.
type Result struct {
	Item    Item      `json:"item"`
	Outcome Outcome   `json:"outcome"`
	Code    string    `json:"code,omitempty"` // the service's code and words, verbatim
	Message string    `json:"message,omitempty"`
	ID      string    `json:"id,omitempty"` // the service's own ID of the payment, if it has one
	At      time.Time `json:"at,omitzero"`  // when the service says that this outcome was reached
	Native  any       `json:"-"`            // e.g. citypay.TransactionResult
}

// A Total counts the results with one Outcome and adds up their amounts.
type Total struct {
	Count  int   `json:"count"`
	Amount Money `json:"amount"`
}

// NewReport joins the service's rows to the items of b by Item.Reference. The
// Item of a row says what the service claims: a Reference, and where it names
// them an Account and an Amount (its zero value where it does not).
//
// The report is always complete: an item without a row is OutcomePending while
// b is not final, and OutcomeUnknown after. A contradiction (an item missing
// from a final report or pending in it, a row for no item, a second row, another
// amount or account) is listed in the error, an ErrProtocol, beside the report.
// An item with a contradiction is OutcomeUnknown.
func NewReport(b Batch, rows []Result) (Report, error) {
	r := Report{Batch: b, Results: make([]Result, len(b.Draft.Items))}
	var faults []FieldError
	fault := func(n int, reference, field, format string, args ...any) {
		faults = append(faults, FieldError{Item: n, Reference: reference, Field: field,
			Message: fmt.Sprintf(format, args...)})
	}

	place := make(map[string]int, len(b.Draft.Items))
	for n, item := range b.Draft.Items {
		place[item.Reference] = n
		r.Results[n].Item = item
	}
	for _, row := range rows {
		reference := row.Item.Reference
		n, known := place[reference]
		if !known {
			fault(-1, reference, "result", "the service reports an item %q that is not in the batch", reference)
			r.Unmatched = append(r.Unmatched, row)
			continue
		}
		result := &r.Results[n]
		if result.Outcome != "" {
			fault(n, reference, "result", "is reported more than once: as %s and as %s", result.Outcome, row.Outcome)
			result.Outcome = OutcomeUnknown
			r.Unmatched = append(r.Unmatched, row)
			continue
		}
		item := result.Item
		if row.Item.Amount != (Money{}) && row.Item.Amount != item.Amount {
			fault(n, reference, "amount", "is reported as %s, but was sent as %s", row.Item.Amount, item.Amount)
			row.Outcome = OutcomeUnknown
		}
		if row.Item.Account != "" && row.Item.Account != item.Account {
			fault(n, reference, "account", "is reported as another account than was sent")
			row.Outcome = OutcomeUnknown
		}
		if row.Outcome == OutcomePending && b.State.Final() {
			row.Outcome = OutcomeUnknown
			fault(n, reference, "result", "is pending in a batch that is over")
		}
		row.Item = item
		*result = row
	}
	for n := range r.Results {
		result := &r.Results[n]
		if result.Outcome != "" {
			continue
		}
		result.Outcome = OutcomePending
		if b.State.Final() {
			result.Outcome = OutcomeUnknown
			fault(n, result.Item.Reference, "result", "is missing from the report")
		}
	}

	var wrong error
	if r.Totals, wrong = totals(r.Results); wrong != nil {
		fault(-1, "", "totals", "%v", wrong)
	}
	if len(faults) > 0 {
		return r, &Error{Kind: ErrProtocol, Provider: b.Provider, Op: "Report",
			Message: "the report does not match the batch", Fields: faults}
	}
	return r, nil
}

// By adds up the results by the value of a label, which is empty for items
// without it. Every item of a batch has the same currency.
func (r Report) By(label string) map[string]map[Outcome]Total {
	apart := make(map[string][]Result)
	for _, result := range r.Results {
		value := result.Item.Labels[label]
		apart[value] = append(apart[value], result)
	}
	all := make(map[string]map[Outcome]Total, len(apart))
	for value, results := range apart {
		all[value], _ = totals(results) // A part of what NewReport has added up.
	}
	return all
}

// Again returns the draft of the items that are known not to be paid: those that
// failed, were skipped or have been returned. They keep their purpose, and have
// the references that fresh gives them. The draft has no Date, NotAfter and
// Extra, which belong to the batch that is over. Held are the items that may
// still be paid, pending or unknown: they are not in the draft.
func (r Report) Again(reference string, fresh func(Item) string) (again Draft, held []Result) {
	old := r.Batch.Draft
	again = Draft{Reference: reference, Direction: old.Direction, Author: old.Author, Approvals: old.Approvals}
	for _, result := range r.Results {
		switch may, known := moved[result.Outcome]; {
		case known && !may:
			again.Items = append(again.Items, result.Item)
		case result.Outcome != OutcomePaid:
			held = append(held, result)
		}
	}
	again = again.Clone()
	for n := range again.Items {
		again.Items[n].Reference = fresh(again.Items[n])
	}
	return again, held
}

// totals counts results and adds them up. Beside an error they are incomplete.
func totals(results []Result) (map[Outcome]Total, error) {
	all := make(map[Outcome]Total)
	var wrong error
	for _, result := range results {
		total := all[result.Outcome]
		if have, want := result.Item.Amount.Currency, results[0].Item.Amount.Currency; have != want {
			wrong = fmt.Errorf("they hold %s and %s: one batch has one currency", want, have)
		}
		sum, err := Money{total.Amount.Minor, result.Item.Amount.Currency}.Add(result.Item.Amount)
		if err != nil {
			wrong = fmt.Errorf("the total of %s overflows", result.Outcome)
		}
		all[result.Outcome] = Total{Count: total.Count + 1, Amount: sum}
	}
	return all, wrong
}

// reportOf is what p reports of b, completed where p has left items out.
func reportOf(ctx context.Context, p Provider, b Batch) (Report, error) {
	r, err := p.Report(ctx, b)
	if items := len(r.Batch.Draft.Items); err == nil && items > 0 && len(r.Results) != items {
		return NewReport(r.Batch, r.Results)
	}
	return r, err
}
