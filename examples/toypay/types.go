package toypay

import (
	"errors"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// A Batch is a batch as Toypay has it. ID, Reference, Status and the payments
// decide. Text keeps what does not, whatever the service writes there.
type Batch struct {
	ID        string         `json:"id"`
	Reference string         `json:"reference"`
	Status    string         `json:"status"`
	Payments  []Payment      `json:"payments"`
	CreatedAt batchhttp.Text `json:"createdAt,omitempty"`
}

// A Payment is one payment of a Batch. Cents is the amount in the minor unit.
type Payment struct {
	Reference string         `json:"reference"`
	Account   string         `json:"account"`
	Cents     int64          `json:"cents"`
	Status    string         `json:"status,omitempty"`
	Reason    batchhttp.Text `json:"reason,omitempty"`
}

// A batchRequest is a batch as it is asked for.
type batchRequest struct {
	Reference string    `json:"reference"`
	Payments  []Payment `json:"payments"`
}

// check says what is wrong with the fields that decide. A reply to a call for a
// batch must be about that batch.
func (b *Batch) check(asked ...string) error {
	switch {
	case b.ID == "" || b.Reference == "" || b.Status == "":
		return errors.New("the batch has no id, no reference or no status")
	case len(asked) > 0 && b.ID != asked[0]:
		return errors.New("the reply is about another batch")
	}
	return nil
}

// state is what a status word of a batch means. A word that is not documented
// is StateUnknown, and never an error.
func state(word string) batch.State {
	switch word {
	case "open":
		return batch.StateDraft
	case "sending":
		return batch.StatePending
	case "sent":
		return batch.StateDone
	case "withdrawn":
		return batch.StateCanceled
	}
	return batch.StateUnknown
}

// outcome is what a status word of a payment means.
func outcome(word string) batch.Outcome {
	switch word {
	case "", "waiting":
		return batch.OutcomePending
	case "paid":
		return batch.OutcomePaid
	case "refused":
		return batch.OutcomeFailed
	}
	return batch.OutcomeUnknown
}
