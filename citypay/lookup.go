package citypay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// maxLookUps bounds the look-ups for one report. They are made one by one.
const maxLookUps = 100

// lookUp asks for every item that a final report leaves unknown, and adds what
// it found to the item's Message. It settles the outcome only of an item whose
// row says, without a contradiction, that the outcome is unknown. A look-up that
// fails changes nothing.
func (p *Provider) lookUp(ctx context.Context, r batch.Report, faults []batch.FieldError) batch.Report {
	results := slices.Clone(r.Results)
	settled := false
	for n, asked := 0, 0; n < len(results) && asked < maxLookUps && ctx.Err() == nil; n++ {
		result := &results[n]
		if result.Outcome != batch.OutcomeUnknown {
			continue
		}
		asked++
		reply, err := p.client.RetrieveTransactions(ctx,
			RetrieveRequest{MerchantID: p.config.MerchantID, Identifier: result.Item.Reference})
		if err != nil {
			result.Message = found(result.Message, "it failed")
			if kind := batch.KindOf(err); kind != batch.ErrProtocol && kind != batch.ErrInvalid {
				break // The next one would fail too.
			}
			continue
		}
		outcome, text := p.judge(r.Batch, *result, reply.Auths)
		result.Message = found(result.Message, p.client.http.Clean(text))
		row, _ := result.Native.(TransactionResult)
		if outcome == batch.OutcomeUnknown || contradicted(faults, n) || p.test(row) {
			continue
		}
		result.Outcome, result.At, settled = outcome, batchhttp.Time(reply.Auths[0].DateTime), true
	}
	r.Results = results
	if !settled {
		return r
	}
	// The results are rows now, to be added up again. Its error repeats the
	// faults of items that are still unknown.
	again, _ := batch.NewReport(r.Batch, results)
	r.Totals = again.Totals
	return r
}

func found(message, text string) string {
	if message != "" {
		message += "; "
	}
	return message + "look-up: " + text
}

// test says that a row is of a test transaction, and this is production.
func (p *Provider) test(row TransactionResult) bool {
	return row.ResultCode == "001" && environment(p.client) == "production"
}

// contradicted says that something is wrong with an item, or with the report.
func contradicted(faults []batch.FieldError, item int) bool {
	return slices.ContainsFunc(faults, func(f batch.FieldError) bool { return f.Item == item || f.Item == -1 })
}

// judge says what a look-up shows of one item. It needs exactly one transaction:
// a sale of this identifier, merchant, amount and currency, not older than the
// batch, and with the number that the report has given the item. Without that
// number it may be the transaction of another batch with the same identifier.
func (p *Provider) judge(b batch.Batch, r batch.Result, auths []AuthReference) (batch.Outcome, string) {
	switch len(auths) {
	case 0:
		return batch.OutcomeUnknown, "no transaction was found, and one may still come"
	case 1:
	default:
		text := fmt.Sprintf("there are %d transactions, which leaves it open:", len(auths))
		for _, auth := range auths[:min(len(auths), MaxAuths)] {
			text += fmt.Sprintf(" %d %q", auth.TransNo, auth.TransStatus)
		}
		return batch.OutcomeUnknown, text
	}
	auth := auths[0]
	text := fmt.Sprintf("transaction %d of type %q has status %q", auth.TransNo, auth.Type, auth.TransStatus)
	at, day := batchhttp.Time(auth.DateTime), b.Draft.Date.UTC().Truncate(24*time.Hour)
	number := ""
	if row, ok := r.Native.(TransactionResult); ok && r.ID != "" {
		number = string(row.TransNo)
	}
	switch {
	case auth.Identifier != r.Item.Reference:
		return batch.OutcomeUnknown, text + ", and another identifier"
	case auth.MerchantID != p.config.MerchantID:
		return batch.OutcomeUnknown, text + ", and another merchant"
	case auth.AmountValue != r.Item.Amount.Minor:
		return batch.OutcomeUnknown, text + fmt.Sprintf(", and the amount %d", auth.AmountValue)
	case auth.Currency != "" && auth.Currency != p.config.Currency:
		return batch.OutcomeUnknown, text + fmt.Sprintf(", and the currency %q", auth.Currency)
	case auth.Type != "sale":
		return batch.OutcomeUnknown, text + ", which is not said to be a sale"
	case auth.TransNo < 1:
		return batch.OutcomeUnknown, text + ", and no number"
	case number == "":
		return batch.OutcomeUnknown, text + ", and the report has no number that shows whether it is of this batch"
	case number != fmt.Sprint(auth.TransNo):
		return batch.OutcomeUnknown, text + fmt.Sprintf(", and the report has transaction %s", number)
	case at.IsZero() || b.Draft.Date.IsZero() || at.Before(day):
		return batch.OutcomeUnknown, text + fmt.Sprintf(", and its time %q is not after the batch was made",
			auth.DateTime)
	}
	outcome, accepted := batch.OutcomeUnknown, auth.ResultID == "1"
	switch auth.TransStatus {
	case TransOpen, TransAssigned, TransSettled:
		if accepted || auth.ResultID == "" {
			return batch.OutcomePaid, text
		}
	case TransDeclined, TransRejected:
		if !accepted {
			outcome = batch.OutcomeFailed
		}
	case TransExpired:
		outcome = batch.OutcomeFailed
	case TransCancelled:
		outcome = batch.OutcomeSkipped
	default:
		return batch.OutcomeUnknown, text + ", which is not final"
	}
	if outcome == batch.OutcomeUnknown {
		return outcome, text + fmt.Sprintf(", and result %q contradicts that", auth.ResultID)
	}
	return outcome, text
}
