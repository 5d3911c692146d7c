package citypay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// RetrieveRequest asks for one transaction, by Identifier or by TransNo.
type RetrieveRequest struct {
	MerchantID int64  `json:"merchantid"`           // CityPay merchant id
	Identifier string `json:"identifier,omitempty"` // your reference, 4 to 50 printable ASCII
	TransNo    int64  `json:"transno,omitempty"`    // CityPay's number of the transaction
}

// AuthReferences holds the transactions that a look-up found, the newest first.
type AuthReferences struct {
	Auths []AuthReference `json:"auths"`
}

// AuthReference is one transaction. Identifier, MerchantID, TransNo,
// AmountValue, Currency, TransStatus, Type and ResultID decide, and are zero if
// CityPay sends another type. It has no BIS batch number and no card-holder
// account. The cardholder's name and addresses are not kept.
type AuthReference struct {
	Amount              Text        `json:"amount,omitempty"`       // a decimal for people: use AmountValue
	AmountValue         int64       `json:"amount_value,omitempty"` // minor units
	ATRN                Text        `json:"atrn,omitempty"`
	AuthCode            Text        `json:"authcode,omitempty"`
	BatchNo             Text        `json:"batchno,omitempty"` // of the settlement batch, not of yours
	CardholderAgreement Text        `json:"cardholder_agreement,omitempty"`
	Currency            string      `json:"currency,omitempty"`
	DateTime            Text        `json:"datetime,omitempty"` // ISO 8601 in UTC
	Identifier          string      `json:"identifier,omitempty"`
	Initiation          Text        `json:"initiation,omitempty"` // "M" by the merchant, "C" by the cardholder
	MaskedPAN           Text        `json:"maskedpan,omitempty"`
	MerchantID          int64       `json:"merchantid,omitempty"`
	Result              Text        `json:"result,omitempty"`    // a word or a number: not documented
	ResultID            string      `json:"result_id,omitempty"` // presumably the number of a Result
	Scheme              Text        `json:"scheme,omitempty"`
	SchemeLogo          Text        `json:"scheme_logo,omitempty"`
	TransNo             int64       `json:"transno,omitempty"` // below 1 if none was issued
	TransStatus         TransStatus `json:"trans_status,omitempty"`
	TransType           Text        `json:"trans_type,omitempty"` // its values are not documented
	Type                string      `json:"type,omitempty"`       // "sale", "refund" or "verification"
	UTC                 Text        `json:"utc,omitempty"`        // DateTime in milliseconds
}

// TransStatus is the letter for where a transaction stands. The list is open.
type TransStatus string

// The documented letters.
const (
	TransOpen          TransStatus = "O" // open for settlement
	TransAssigned      TransStatus = "A" // assigned to settlement; cannot be voided
	TransSettled       TransStatus = "S"
	TransDeclined      TransStatus = "D"
	TransRejected      TransStatus = "R"
	TransPreAuthorised TransStatus = "P" // reserved, and waits for a capture
	TransCancelled     TransStatus = "C"
	TransExpired       TransStatus = "E"
	TransInitialised   TransStatus = "I" // no action is possible
	TransAwaiting      TransStatus = "H" // awaiting authorisation
	TransOnHold        TransStatus = "."
	TransVerified      TransStatus = "V"
)

// MaxAuths is how many transactions a look-up shows at the most (documented).
// If it shows so many, older ones may be missing.
const MaxAuths = 5

var anyIdentifier = regexp.MustCompile(`^[ -~]{4,50}$`)

// RetrieveTransactions looks a transaction up, by its identifier or its number.
// It moves no money. CityPay shows the newest five of the last 90 days. An
// identifier may have several: CityPay does not refuse its second use.
//
// No transaction is an empty list, also where CityPay answers D022, D023 or
// D101. It does not prove that nothing was charged: a transaction of another
// merchant, an old one and one that is not recorded yet look the same.
//
//	POST /v6/retrieve
func (c *Client) RetrieveTransactions(ctx context.Context, r RetrieveRequest) (*AuthReferences, error) {
	op := opRetrieveTransactions
	var faults faults
	faults.id("merchantid", r.MerchantID)
	switch {
	case (r.Identifier == "") == (r.TransNo == 0):
		faults.add("identifier", "give either an identifier or a transno")
	case r.TransNo != 0:
		faults.id("transno", r.TransNo)
	default:
		faults.match("identifier", r.Identifier, anyIdentifier, "must be 4 to 50 printable ASCII characters")
	}
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	var reply AuthReferences
	err := c.call(ctx, op, r, 0, reply.decode)
	if e := (*batch.Error)(nil); errors.As(err, &e) && (e.Code == "D022" || e.Code == "D023" || e.Code == "D101") {
		return &AuthReferences{Auths: []AuthReference{}}, nil
	}
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// decode reads the list. CityPay does not require it to be there.
func (a *AuthReferences) decode(body io.Reader) error {
	var wire struct {
		Auths list[authReference] `json:"auths"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
		return err
	}
	a.Auths = authReferences(wire.Auths)
	return nil
}

// authReference is an AuthReference as it arrives.
type authReference struct {
	AuthReference
	AmountValue batchhttp.Maybe[batchhttp.Int] `json:"amount_value"`
	Currency    batchhttp.Maybe[string]        `json:"currency"`
	Identifier  batchhttp.Maybe[string]        `json:"identifier"`
	MerchantID  batchhttp.Maybe[batchhttp.Int] `json:"merchantid"`
	ResultID    Text                           `json:"result_id"`
	TransNo     batchhttp.Maybe[batchhttp.Int] `json:"transno"`
	TransStatus batchhttp.Maybe[TransStatus]   `json:"trans_status"`
	Type        batchhttp.Maybe[string]        `json:"type"`
}

func authReferences(rows []batchhttp.Maybe[authReference]) []AuthReference {
	auths := make([]AuthReference, len(rows))
	for n, came := range rows {
		r := came.Value
		auths[n] = r.AuthReference
		auths[n].AmountValue, auths[n].Currency = int64(r.AmountValue.Value), r.Currency.Value
		auths[n].Identifier, auths[n].MerchantID = r.Identifier.Value, int64(r.MerchantID.Value)
		auths[n].ResultID, auths[n].TransNo = string(r.ResultID), int64(r.TransNo.Value)
		auths[n].TransStatus, auths[n].Type = r.TransStatus.Value, r.Type.Value
	}
	return auths
}

// faults are those of one request.
type faults []batch.FieldError

func (f *faults) add(field, message string) {
	*f = append(*f, batch.FieldError{Item: -1, Field: field, Message: message})
}

// id checks one of CityPay's own numbers, which fit 32 bits (documented).
func (f *faults) id(field string, n int64) {
	if n < 1 || n > math.MaxInt32 {
		f.add(field, "must be 1 to 2147483647")
	}
}

// length checks a text of at most so many characters; 0 means that no limit is
// documented. Text that is not UTF-8 would be sent as another.
func (f *faults) length(field, value string, most int) {
	if most > 0 && utf8.RuneCountInString(value) > most {
		f.add(field, fmt.Sprintf("must have at most %d characters", most))
	}
	if !utf8.ValidString(value) {
		f.add(field, "must be UTF-8")
	}
}

// match checks a string. It never shows the string: some are secrets.
func (f *faults) match(field, value string, form *regexp.Regexp, message string) {
	if !form.MatchString(value) {
		f.add(field, message)
	}
}
