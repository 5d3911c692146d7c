package sixdotfifty

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
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
	n, err := batchhttp.Decimal(string(text), 2)
	if err != nil {
		return err
	}
	*a = Amount(n)
	return nil
}

// ParseTime reads a time of a reply. The service writes it with and without a
// zone, and with up to seven digits of a second; without a zone it is in UTC.
func ParseTime(t Text) (time.Time, error) {
	layout := time.RFC3339
	if len(t) < 20 || !strings.ContainsAny(string(t[19:]), "Z+-") {
		layout = "2006-01-02T15:04:05"
	}
	parsed, err := time.Parse(layout, string(t))
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is not a valid time", string(t))
	}
	return parsed.UTC(), nil
}

// Text is a field that decides nothing. It keeps what the service wrote, of
// any JSON type, as text, and never fails a reply; null is empty.
type Text = batchhttp.Text

// word is a field that decides. Anything but a JSON string counts as missing.
type word string

// UnmarshalJSONFrom keeps the next value if it is a string.
func (w *word) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	var t Text
	kind := d.PeekKind()
	if err := t.UnmarshalJSONFrom(d); err != nil {
		return err
	}
	if *w = ""; kind == '"' {
		*w = word(t)
	}
	return nil
}

// decides says which field of an object is missing, of those that decide.
func decides(field string, ok bool) error {
	if ok {
		return nil
	}
	return fmt.Errorf("%s is missing or not valid", field)
}

// Account is a PAY account. Its ID decides. The unit of the balances is not
// documented, nor whether they are numbers or strings: do not compare them with
// an Amount.
type Account struct {
	ID               string `json:"id"`
	Name             Text   `json:"name"`
	ShortName        Text   `json:"shortName"` // identifies deposits
	CreatedAt        Text   `json:"createdAt"`
	Active           Text   `json:"active"` // "true"; an inactive account cannot pay
	Balance          Text   `json:"balance"`
	AvailableBalance Text   `json:"availableBalance"`
	CurrencyCode     Text   `json:"currencyCode"` // DZAR
}

// UnmarshalJSON returns an error if a field that decides is missing.
func (a *Account) UnmarshalJSON(text []byte) error {
	type plain Account
	wire := struct {
		*plain
		ID word `json:"id"`
	}{plain: (*plain)(a)}
	err := batchhttp.Parse(text, &wire)
	a.ID = string(wire.ID)
	return cmp.Or(err, decides("id", a.ID != ""))
}

// BatchRequest names a batch. In an update, what is empty is not sent.
type BatchRequest struct {
	Name       string `json:"name,omitempty"`
	ExternalID string `json:"externalId,omitempty"` // yours, unique across all your batches
}

// notUTF8 is what is wrong with text that would be sent as another.
const notUTF8 = "must be UTF-8"

// faults lists what 6DOT50 would read as another text.
func (r BatchRequest) faults() (faults []batch.FieldError) {
	for _, f := range []struct{ field, value string }{{"name", r.Name}, {"externalId", r.ExternalID}} {
		if !utf8.ValidString(f.value) {
			faults = append(faults, batch.FieldError{Item: -1, Field: f.field, Message: notUTF8})
		}
	}
	return faults
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

// Batch is a batch of payments. ID and StatusCode decide, and ExternalID where
// it is compared.
type Batch struct {
	ID         string      `json:"id"`
	Name       Text        `json:"name"`
	ExternalID string      `json:"externalId,omitempty"`
	StatusCode BatchStatus `json:"statusCode"`
	CreatedAt  Text        `json:"createdAt"`
	// nil without a count and a total; absent after create and update
	Summary  *BatchSummary   `json:"summary,omitempty"`
	Payments json.RawMessage `json:"payments,omitempty"` // after a submit, as they came: use ListPayments
}

// UnmarshalJSON returns an error if a field that decides is missing. The others
// are set even then.
func (b *Batch) UnmarshalJSON(text []byte) error {
	var wire struct {
		ID         word                          `json:"id"`
		Name       Text                          `json:"name"`
		ExternalID word                          `json:"externalId"`
		StatusCode word                          `json:"statusCode"`
		CreatedAt  Text                          `json:"createdAt"`
		Summary    batchhttp.Maybe[BatchSummary] `json:"summary"`
		Payments   json.RawMessage               `json:"payments"`
	}
	err := batchhttp.Parse(text, &wire)
	*b = Batch{ID: string(wire.ID), Name: wire.Name, ExternalID: string(wire.ExternalID),
		StatusCode: BatchStatus(wire.StatusCode),
		CreatedAt:  wire.CreatedAt, Payments: wire.Payments}
	if wire.Summary.OK {
		b.Summary = &wire.Summary.Value
	}
	// An ID of zeros is not an ID.
	return cmp.Or(err, decides("id", strings.Trim(b.ID, "0-") != ""), decides("statusCode", b.StatusCode != ""))
}

func (b *Batch) check(id string) error { return same(b.ID, id) }

// same compares two ids, which are GUIDs and have no case.
func same(got, asked string) error {
	if asked != "" && !strings.EqualFold(got, asked) {
		return errors.New("the reply is about another object")
	}
	return nil
}

// BatchSummary adds up the payments of a batch. PaymentsAmount and
// PaymentsCount decide.
type BatchSummary struct {
	PaymentsAmount  Amount `json:"paymentsAmount"`
	PaymentsCount   int    `json:"paymentsCount"`
	ReferralsAmount Text   `json:"referralsAmount"`
	SettledAmount   Text   `json:"settledAmount"`
	SettledCount    Text   `json:"settledCount"`
	CancelledAmount Text   `json:"cancelledAmount"`
	CancelledCount  Text   `json:"cancelledCount"`
}

// UnmarshalJSON returns an error if a field that decides is missing.
func (s *BatchSummary) UnmarshalJSON(text []byte) error {
	type plain BatchSummary
	wire := struct {
		*plain
		PaymentsAmount batchhttp.Maybe[Amount] `json:"paymentsAmount"`
		PaymentsCount  batchhttp.Maybe[int]    `json:"paymentsCount"`
	}{plain: (*plain)(s)}
	err := batchhttp.Parse(text, &wire)
	s.PaymentsAmount, s.PaymentsCount = wire.PaymentsAmount.Value, wire.PaymentsCount.Value
	return cmp.Or(err, decides("paymentsAmount", wire.PaymentsAmount.OK),
		decides("paymentsCount", wire.PaymentsCount.OK))
}

// PendingAmount is what is neither settled nor cancelled. The service's own
// formula leaves out what was cancelled.
func (s BatchSummary) PendingAmount() (Amount, error) {
	settled, err := batchhttp.Decimal(string(s.SettledAmount), 2)
	if err != nil {
		return 0, err
	}
	cancelled, err := batchhttp.Decimal(string(s.CancelledAmount), 2)
	return s.PaymentsAmount - Amount(settled) - Amount(cancelled), err
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

// faults lists what 6DOT50 could not accept.
func (r AddPaymentsRequest) faults() []batch.FieldError {
	const number = "must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"
	var faults []batch.FieldError
	seen := make(map[string]bool)
	for n, p := range r.Payments {
		for _, f := range []struct {
			field, message string
			bad            bool
		}{
			{"msisdn", number, !msisdn.MatchString(p.MSISDN)},
			{"amount", "must be positive", p.Amount <= 0},
			{"externalId", "must be unique", p.ExternalID != "" && seen[p.ExternalID]},
			{"externalId", notUTF8, !utf8.ValidString(p.ExternalID)},
			{"firstname", notUTF8, !utf8.ValidString(p.FirstName)},
			{"lastname", notUTF8, !utf8.ValidString(p.LastName)},
			{"referralAmount", "must be positive, and goes with referralMsisdn",
				p.ReferralAmount < 0 || p.ReferralAmount == 0 && p.ReferralMSISDN != ""},
			{"referralMsisdn", number, (p.ReferralAmount != 0 || p.ReferralMSISDN != "") &&
				!msisdn.MatchString(p.ReferralMSISDN)},
		} {
			if f.bad && len(faults) < maxFaults {
				faults = append(faults, batch.FieldError{Item: n, Reference: p.ExternalID, Field: f.field,
					Message: f.message})
			}
		}
		seen[p.ExternalID] = true
	}
	return faults
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

// The documented words. None is for a payment that failed.
const (
	PaymentDraft     PaymentStatus = "DRAFT"     // its batch is not submitted
	PaymentPending   PaymentStatus = "PENDING"   // waits for a non-member
	PaymentSettled   PaymentStatus = "SETTLED"   // paid
	PaymentCancelled PaymentStatus = "CANCELLED" // its batch was cancelled, or it was not claimed
	PaymentDeleted   PaymentStatus = "DELETED"   // removed from a draft
)

// Payment is one payment of a batch. ID, MSISDN, Amount and StatusCode decide,
// and ExternalID where it is compared.
type Payment struct {
	ID             string        `json:"id"`
	BatchID        Text          `json:"batchId"`
	MSISDN         string        `json:"msisdn"`
	Amount         Amount        `json:"amount"`
	FirstName      Text          `json:"firstname,omitempty"`
	LastName       Text          `json:"lastname,omitempty"`
	ExternalID     string        `json:"externalId,omitempty"`
	StatusCode     PaymentStatus `json:"statusCode"`
	SettledAt      Text          `json:"settledAt,omitempty"`
	IsMember       Text          `json:"isMember"` // "true" or "false"
	ReferralAmount Text          `json:"referralAmount,omitempty"`
	ReferralMSISDN Text          `json:"referralMsisdn,omitempty"`
	CreatedAt      Text          `json:"createdAt"`
}

// UnmarshalJSON returns an error if a field that decides is missing. The others
// are set even then.
func (p *Payment) UnmarshalJSON(text []byte) error {
	type plain Payment
	wire := struct {
		*plain
		ID         word                    `json:"id"`
		MSISDN     word                    `json:"msisdn"`
		Amount     batchhttp.Maybe[Amount] `json:"amount"`
		ExternalID word                    `json:"externalId"`
		StatusCode word                    `json:"statusCode"`
	}{plain: (*plain)(p)}
	err := batchhttp.Parse(text, &wire)
	p.ID, p.MSISDN, p.Amount = string(wire.ID), string(wire.MSISDN), wire.Amount.Value
	p.ExternalID, p.StatusCode = string(wire.ExternalID), PaymentStatus(wire.StatusCode)
	return cmp.Or(err, decides("id", p.ID != ""), decides("msisdn", p.MSISDN != ""), decides("amount", wire.Amount.OK),
		decides("statusCode", p.StatusCode != ""))
}

func (p *Payment) check(id string) error { return same(p.ID, id) }

// StatusCode explains one status.
type StatusCode struct {
	Code        Text `json:"code"`
	Description Text `json:"description"`
}

// UndocumentedReply is a reply of which nothing is documented, as it came.
type UndocumentedReply struct {
	Status int
	Body   []byte
}

// msisdn is a mobile number as the service takes it.
var msisdn = regexp.MustCompile(`^[1-9][0-9]{7,14}$`)
