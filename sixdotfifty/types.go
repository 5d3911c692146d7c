package sixdotfifty

import (
	"bytes"
	json1 "encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

// Amount is an amount of PAY, in hundredths of the major unit: 10050 is
// 100.50. On the wire it is a JSON number of major units with up to two
// decimals. It is not Cents, the amount of Redemptions.
type Amount int64

// String writes the amount in major units: "100.50".
func (a Amount) String() string { return batch.FormatDecimal(int64(a), 2) }

// MarshalJSON writes exact digits, as few as it takes: 250, 5.5, 100.75.
func (a Amount) MarshalJSON() ([]byte, error) {
	return []byte(strings.TrimSuffix(strings.TrimRight(a.String(), "0"), ".")), nil
}

// UnmarshalJSON reads a number exactly. More than two decimals are an error.
func (a *Amount) UnmarshalJSON(text []byte) error {
	n, err := rest.Decimal(string(text), 2)
	if err != nil {
		return err
	}
	*a = Amount(n)
	return nil
}

// Balance is the balance of a PAY account, as the service writes it. Its unit
// is not documented: do not compare it with an Amount.
type Balance string

var balance = regexp.MustCompile(`^-?[0-9]{1,18}(\.[0-9]{1,6})?$`)

// UnmarshalJSON reads a number or a string: the documentation has both.
func (b *Balance) UnmarshalJSON(text []byte) error {
	digits := string(text)
	if len(text) > 0 && text[0] == '"' {
		if err := rest.Parse(text, &digits); err != nil {
			return err
		}
	}
	if !balance.MatchString(digits) {
		return fmt.Errorf("%.40q is no balance", digits)
	}
	*b = Balance(digits)
	return nil
}

// Time is a time in UTC. The service writes it with and without a zone, and
// with up to seven digits of a second.
type Time struct{ time.Time }

// UnmarshalJSON reads a time; one without a zone is in UTC.
func (t *Time) UnmarshalJSON(text []byte) error {
	var space [40]byte
	plain, err := jsontext.AppendUnquote(space[:0], text)
	if err != nil {
		return err
	}
	layout := time.RFC3339
	if len(plain) < 20 || !bytes.ContainsAny(plain[19:], "Z+-") {
		layout = "2006-01-02T15:04:05"
	}
	parsed, err := time.Parse(layout, string(plain))
	if err != nil {
		return fmt.Errorf("%.40q is no time", plain)
	}
	t.Time = parsed.UTC()
	return nil
}

// stated decodes an object in which these fields are neither absent nor null:
// what is not said must not be taken for zero.
func stated(text []byte, v any, fields ...string) error {
	var all map[string]json1.RawMessage
	if err := rest.Parse(text, &all); err != nil {
		return err
	}
	for _, field := range fields {
		if value := string(all[field]); value == "" || value == "null" || value == `""` {
			return fmt.Errorf("the reply has an object without %s", field)
		}
	}
	return rest.Parse(text, v)
}

// Account is a PAY account.
type Account struct {
	ID               string  `json:"id"`
	Name             string  `json:"name"`
	ShortName        string  `json:"shortName"` // identifies deposits
	CreatedAt        Time    `json:"createdAt"`
	Active           bool    `json:"active"` // an inactive account cannot pay
	Balance          Balance `json:"balance"`
	AvailableBalance Balance `json:"availableBalance"`
	CurrencyCode     string  `json:"currencyCode"` // DZAR
}

// UnmarshalJSON refuses an account without what makes it one.
func (a *Account) UnmarshalJSON(text []byte) error {
	type plain Account
	return stated(text, (*plain)(a), "id", "balance", "availableBalance")
}

// BatchRequest names a batch. In an update, what is empty is not sent.
type BatchRequest struct {
	Name       string `json:"name,omitempty"`
	ExternalID string `json:"externalId,omitempty"` // yours, unique across all your batches
}

// BatchStatus is 6DOT50's word for where a batch stands. The list is open.
type BatchStatus string

// The documented words.
const (
	BatchDraft     BatchStatus = "DRAFT"     // nothing is paid
	BatchOpen      BatchStatus = "OPEN"      // members are paid; at least one payment waits for a non-member
	BatchClosed    BatchStatus = "CLOSED"    // every payment is settled or was reversed; final
	BatchCancelled BatchStatus = "CANCELLED" // withdrawn while it was a draft; final
)

// Batch is a batch of payments.
type Batch struct {
	ID         string           `json:"id"`
	Name       string           `json:"name"`
	ExternalID string           `json:"externalId,omitempty"`
	StatusCode BatchStatus      `json:"statusCode"`
	CreatedAt  Time             `json:"createdAt"`
	Summary    *BatchSummary    `json:"summary,omitempty"`  // absent after create and update
	Payments   json1.RawMessage `json:"payments,omitempty"` // after a submit, as they came: use ListPayments
}

func (b *Batch) check(id string) error {
	if strings.Trim(b.ID, "0-") == "" || b.StatusCode == "" { // An id of zeros is none.
		return errors.New("the batch has no id or no status")
	}
	return same(b.ID, id)
}

// same compares two ids, which are GUIDs and have no case.
func same(got, asked string) error {
	if asked != "" && !strings.EqualFold(got, asked) {
		return errors.New("the reply is about another object")
	}
	return nil
}

// BatchSummary adds up the payments of a batch.
type BatchSummary struct {
	PaymentsAmount  Amount `json:"paymentsAmount"`
	PaymentsCount   int    `json:"paymentsCount"`
	ReferralsAmount Amount `json:"referralsAmount"`
	SettledAmount   Amount `json:"settledAmount"`
	SettledCount    int    `json:"settledCount"`
	CancelledAmount Amount `json:"cancelledAmount"`
	CancelledCount  int    `json:"cancelledCount"`
}

// PendingAmount is what is neither settled nor cancelled. (The service's own
// formula forgets what was cancelled.)
func (s BatchSummary) PendingAmount() Amount {
	return s.PaymentsAmount - s.SettledAmount - s.CancelledAmount
}

// ListBatchesOptions filters ListBatches.
type ListBatchesOptions struct {
	StatusCode BatchStatus
	ExternalID string // whether it must match exactly is not documented: compare
}

// AddPaymentsRequest adds payments to a draft.
type AddPaymentsRequest struct {
	ClearExisting bool         `json:"clearExisting"` // remove all payments of the batch first
	Payments      []NewPayment `json:"payments"`
}

// NewPayment is a payment to add.
type NewPayment struct {
	MSISDN         string `json:"msisdn"` // country code and number, digits only: "27821231234"
	Amount         Amount `json:"amount"`
	FirstName      string `json:"firstname,omitempty"`
	LastName       string `json:"lastname,omitempty"`
	ExternalID     string `json:"externalId,omitempty"`     // yours; unique among what is not documented
	ReferralAmount Amount `json:"referralAmount,omitempty"` // ignored unless enabled for the account
	ReferralMSISDN string `json:"referralMsisdn,omitempty"`
}

// PaymentStatus is 6DOT50's word for where a payment stands. The list is open.
type PaymentStatus string

// The documented words. There is none for a payment that failed.
const (
	PaymentDraft     PaymentStatus = "DRAFT"     // its batch is not submitted
	PaymentPending   PaymentStatus = "PENDING"   // waits for a non-member
	PaymentSettled   PaymentStatus = "SETTLED"   // paid
	PaymentCancelled PaymentStatus = "CANCELLED" // its batch was cancelled, or nobody claimed it
	PaymentDeleted   PaymentStatus = "DELETED"   // removed from a draft
)

// Payment is one payment of a batch.
type Payment struct {
	ID             string        `json:"id"`
	BatchID        string        `json:"batchId"`
	MSISDN         string        `json:"msisdn"`
	Amount         Amount        `json:"amount"`
	FirstName      string        `json:"firstname,omitempty"`
	LastName       string        `json:"lastname,omitempty"`
	ExternalID     string        `json:"externalId,omitempty"`
	StatusCode     PaymentStatus `json:"statusCode"`
	SettledAt      *Time         `json:"settledAt,omitempty"`
	IsMember       bool          `json:"isMember"`
	ReferralAmount Amount        `json:"referralAmount,omitempty"`
	ReferralMSISDN string        `json:"referralMsisdn,omitempty"`
	CreatedAt      Time          `json:"createdAt"`
}

// UnmarshalJSON refuses a payment without what makes it one: nothing of it may
// be taken for zero.
func (p *Payment) UnmarshalJSON(text []byte) error { return rest.Parse(text, p) }

// UnmarshalJSONFrom is UnmarshalJSON for encoding/json/v2.
func (p *Payment) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	type plain Payment
	wire := struct {
		*plain
		Amount         *Amount `json:"amount"`
		ReferralAmount *Amount `json:"referralAmount"` // null where there is none
	}{plain: (*plain)(p)}
	if err := json.UnmarshalDecode(d, &wire); err != nil {
		return err
	}
	if p.ID == "" || p.StatusCode == "" || wire.Amount == nil {
		return errors.New("a payment has no id, no status or no amount")
	}
	p.Amount = *wire.Amount
	if wire.ReferralAmount != nil {
		p.ReferralAmount = *wire.ReferralAmount
	}
	return nil
}

func (p *Payment) check(id string) error { return same(p.ID, id) }

// StatusCode explains one status.
type StatusCode struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

// UndocumentedReply is a reply of which nothing is documented, as it came.
type UndocumentedReply struct {
	Status int
	Body   []byte
}

// msisdn is a mobile number as the service takes it.
var msisdn = regexp.MustCompile(`^[1-9][0-9]{7,14}$`)
