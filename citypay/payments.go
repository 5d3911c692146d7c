package citypay

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Secret is a card number, a CSC or a card's token. It is printed and encoded
// as [redacted], whatever prints it.
type Secret = batchhttp.Secret

// NewSecret hides s.
func NewSecret(s string) Secret { return batchhttp.NewSecret(s) }

// ChargeRequest charges a card of a card-holder account without the cardholder.
// CityPay's fields for 3-D Secure, tags and trans_type are not here.
type ChargeRequest struct {
	Amount     int64  `json:"amount"`     // minor units, 1 to 999,999,999
	Identifier string `json:"identifier"` // yours, 5 to 50 printable ASCII; use it for one charge only
	MerchantID int64  `json:"merchantid"`
	Token      Secret `json:"-"` // Card.Token: it lives for about 30 minutes

	CSC                 Secret `json:"-"`                              // optional: 3 or 4 digits
	Currency            string `json:"currency,omitempty"`             // empty means the merchant's
	Initiation          string `json:"initiation,omitempty"`           // "M" by the merchant, "C" by the cardholder
	CardholderAgreement string `json:"cardholder_agreement,omitempty"` // needed with "M": I, R, A, C, D, L, S, X or N
	AVSPostcodePolicy   Policy `json:"avs_postcode_policy,omitempty"`  // of the check of the postcode
	CSCPolicy           Policy `json:"csc_policy,omitempty"`           // of the check of the CSC
	MatchAVSA           Policy `json:"match_avsa,omitempty"`           // of the check of the address
	DuplicatePolicy     Policy `json:"duplicate_policy,omitempty"`     // PolicyEnforce: T001 to an equal charge of late
	PreAuth             Policy `json:"pre_auth,omitempty"`             // PolicyEnforce reserves the amount: see Capture
	TransInfo           string `json:"trans_info,omitempty"`           // for reports, at most 50 characters
}

// Policy says whether CityPay makes a check. Empty and PolicyDefault leave it to
// the account.
type Policy string

// The documented policies.
const (
	PolicyDefault Policy = "0"
	PolicyEnforce Policy = "1"
	PolicyBypass  Policy = "2"
	PolicyIgnore  Policy = "3"
)

// RefundRequest returns all or a part of a transaction to its card.
type RefundRequest struct {
	Amount     int64  `json:"amount"`     // minor units, 1 to the amount of the original
	Identifier string `json:"identifier"` // of the refund, not of the original; use it for one refund only
	MerchantID int64  `json:"merchantid"` // that of the original
	RefundRef  int64  `json:"refund_ref"` // the number of the original: AuthReference.TransNo
	TransInfo  string `json:"trans_info,omitempty"`
}

// VoidRequest cancels a transaction that is not settled. CityPay also takes an
// identifier, which can name several transactions.
type VoidRequest struct {
	MerchantID int64 `json:"merchantid"`
	TransNo    int64 `json:"transno"`
}

// CaptureRequest takes what a transaction has reserved.
type CaptureRequest struct {
	Amount     int64 `json:"amount,omitempty"` // minor units; 0 means the amount of the original
	MerchantID int64 `json:"merchantid"`
	TransNo    int64 `json:"transno"`
}

// Decision is CityPay's answer to a charge: one of the two.
type Decision struct {
	AuthResponse      *AuthResponse      `json:"AuthResponse,omitempty"`
	RequestChallenged *RequestChallenged `json:"RequestChallenged,omitempty"`
}

// RequestChallenged says that the cardholder must authenticate first. This
// client has no operation for that.
type RequestChallenged struct {
	ACSURL              Text `json:"acs_url,omitempty"`
	CReq                Text `json:"creq,omitempty"`
	MerchantID          Text `json:"merchantid,omitempty"`
	ThreeDServerTransID Text `json:"threedserver_trans_id,omitempty"`
	TransNo             Text `json:"transno,omitempty"`
}

// AuthResponse is the outcome of a charge or a refund. Amount, Authorised,
// Identifier, MerchantID, Result, ResultCode, SHA256, TransNo and TransStatus
// decide, and are zero if CityPay sends another type.
type AuthResponse struct {
	Amount         int64  `json:"amount,omitempty"` // minor units
	ATRN           Text   `json:"atrn,omitempty"`
	ATSD           Text   `json:"atsd,omitempty"`
	AuthCode       string `json:"authcode,omitempty"`
	AuthenResult   Text   `json:"authen_result,omitempty"`
	Authorised     bool   `json:"authorised,omitempty"`
	AVSResult      Text   `json:"avs_result,omitempty"`
	BINCommercial  Text   `json:"bin_commercial,omitempty"` // "true" or "false"
	BINDebit       Text   `json:"bin_debit,omitempty"`      // "true" or "false"
	BINDescription Text   `json:"bin_description,omitempty"`
	CAVV           Text   `json:"cavv,omitempty"`
	Context        Text   `json:"context,omitempty"` // for CityPay's support
	CSCResult      Text   `json:"csc_result,omitempty"`
	Currency       Text   `json:"currency,omitempty"`
	DateTime       Text   `json:"datetime,omitempty"` // ISO 8601 in UTC
	ECI            Text   `json:"eci,omitempty"`
	Identifier     string `json:"identifier,omitempty"`
	Live           Text   `json:"live,omitempty"` // "true" or "false"
	MaskedPAN      Text   `json:"maskedpan,omitempty"`
	MerchantID     int64  `json:"merchantid,omitempty"`
	Result         Result `json:"result"`
	ResultCode     string `json:"result_code"`
	ResultMessage  Text   `json:"result_message,omitempty"`
	Scheme         Text   `json:"scheme,omitempty"`
	// a digest with the licence key, by which the reply is checked
	SHA256      string      `json:"sha256,omitempty"`
	TransNo     int64       `json:"transno,omitempty"` // below 1 if none was issued
	TransStatus TransStatus `json:"trans_status,omitempty"`
}

var (
	threeDigits = regexp.MustCompile(`^[0-9]{3,4}$`)
	anyToken    = regexp.MustCompile(`^[!-~]+$`)
	isoCurrency = regexp.MustCompile(`^[A-Z]{3}$`)
)

// A payment is an operation outside a batch that moves money, and its codes.
// For all of them, a code that a second delivery of the same request would get,
// such as "already refunded", is ErrAmbiguous: the first may have come through.
type payment struct {
	op       batchhttp.Op
	accepted []string              // the codes of success
	refused  map[string]batch.Kind // beyond the table in codes.go, or instead of it
}

var (
	charge = payment{opCharge, []string{"000", "001"}, nil}
	// R002 to R005 and 072 say that the original has been refunded, or too much of it.
	refund = payment{opRefund, []string{"002", "001"}, map[string]batch.Kind{
		"R001": batch.ErrNotFound, "D022": batch.ErrNotFound, // the original is not found
		"R006": batch.ErrInvalid, "R007": batch.ErrInvalid, "R008": batch.ErrInvalid, "R009": batch.ErrInvalid,
		"R010": batch.ErrInvalid, "R011": batch.ErrInvalid, // not permitted, a bad number, not an accepted purchase
		"092": batch.ErrInvalid, // declined refund
	}}
	// P024, P025, T004 and T010 speak of the state of the original, which a void changes.
	void = payment{opVoid, []string{"003", "080"}, map[string]batch.Kind{
		"D022": batch.ErrNotFound, "P024": batch.ErrAmbiguous, "P025": batch.ErrAmbiguous,
		"093": batch.ErrInvalid, // declined void
	}}
	// T003, T011 and T012 speak of the state of the original, which a capture changes.
	capture = payment{opCapture, []string{"000", "001"}, map[string]batch.Kind{
		"D022": batch.ErrNotFound,
		"T007": batch.ErrInvalid, "T008": batch.ErrInvalid, // the scheme or the acquirer has no pre-authorisation
	}}
)

// Charge charges a card: money moves. It is sent at most once. Success means
// that CityPay has accepted the charge, or that it has reserved the amount, if
// TransStatus is TransPreAuthorised.
//
// A decline, and a refusal in CityPay's own words with a code that codes.go
// lists, are ErrInvalid or ErrAuth: the card was not charged. Everything else is
// ErrAmbiguous, also T001, "an equal transaction exists", and a challenge of the
// cardholder. Then look the charge up by its identifier with
// RetrieveTransactions, and do not charge again under another identifier. If
// CityPay has sent a Decision, it is returned beside the error.
//
//	POST /v6/charge
func (c *Client) Charge(ctx context.Context, r ChargeRequest) (*Decision, error) {
	var faults faults
	faults.payment(r.Amount, r.Identifier, r.MerchantID, r.TransInfo)
	faults.match("token", r.Token.Reveal(), anyToken, "must be the token of a card: printable ASCII without spaces")
	csc := r.CSC.Reveal()
	if csc != "" {
		faults.match("csc", csc, threeDigits, "must be 3 or 4 digits")
	}
	if r.Currency != "" {
		faults.match("currency", r.Currency, isoCurrency, "must be 3 capital letters")
	}
	if !slices.Contains([]string{"", "M", "C"}, r.Initiation) {
		faults.add("initiation", "must be M or C")
	}
	switch {
	case r.CardholderAgreement == "" && r.Initiation == "M":
		faults.add("cardholder_agreement", "is needed with initiation M")
	case len(r.CardholderAgreement) > 1 || !strings.Contains("IRACDLSXN", r.CardholderAgreement):
		faults.add("cardholder_agreement", "must be one of I R A C D L S X N")
	}
	for _, p := range []struct {
		field string
		value Policy
	}{{"avs_postcode_policy", r.AVSPostcodePolicy}, {"csc_policy", r.CSCPolicy},
		{"duplicate_policy", r.DuplicatePolicy},
		{"match_avsa", r.MatchAVSA}, {"pre_auth", r.PreAuth}} {
		if len(p.value) > 1 || !strings.Contains("0123", string(p.value)) {
			faults.add(p.field, "must be 0, 1, 2 or 3")
		}
	}
	wire := struct {
		ChargeRequest
		Token string `json:"token"`
		CSC   string `json:"csc,omitempty"`
	}{r, r.Token.Reveal(), csc}
	var decision Decision
	err := c.pay(ctx, charge, wire, []Secret{r.Token, r.CSC}, faults, func(body reader) error {
		decision = Decision{}
		var wire struct {
			AuthResponse      batchhttp.Maybe[authResponse]      `json:"AuthResponse"`
			RequestChallenged batchhttp.Maybe[RequestChallenged] `json:"RequestChallenged"`
		}
		if err := batchhttp.Read(body, &wire); err != nil {
			return err
		}
		auth, challenge := wire.AuthResponse, wire.RequestChallenged
		if challenge.OK {
			decision.RequestChallenged = &challenge.Value
		}
		if !auth.OK && !challenge.OK {
			return errMissing("AuthResponse or RequestChallenged that makes sense")
		}
		if challenge.OK {
			text := fmt.Sprintf("the cardholder must authenticate: transaction %s is not finished",
				challenge.Value.TransNo)
			return errors.New(text)
		}
		var err error
		decision.AuthResponse, err = c.judge(charge, auth.Value, r.Identifier, r.MerchantID, r.Amount)
		return err
	})
	if err == nil || decision != (Decision{}) {
		return &decision, err
	}
	return nil, err
}

// Refund returns money to the card of an accepted transaction. It is sent at
// most once. Success means that CityPay has accepted the refund.
//
// A refund that is declined, or refused in CityPay's own words with a code that
// leaves no doubt, is ErrInvalid, ErrNotFound or ErrAuth, and nothing moved. All
// else is ErrAmbiguous, also R002 to R005 and 072, "already refunded": an
// earlier delivery of this request can be the reason. Then look the refund up by
// its own identifier with RetrieveTransactions, and do not send it again under
// another one. If CityPay has sent an AuthResponse, it is returned beside the
// error.
//
//	POST /v6/refund
func (c *Client) Refund(ctx context.Context, r RefundRequest) (*AuthResponse, error) {
	var faults faults
	faults.payment(r.Amount, r.Identifier, r.MerchantID, r.TransInfo)
	faults.id("refund_ref", r.RefundRef)
	var reply *AuthResponse
	err := c.pay(ctx, refund, r, nil, faults, func(body reader) error {
		reply = nil
		var wire authResponse
		err := batchhttp.Read(body, &wire)
		if err == nil {
			reply, err = c.judge(refund, wire, r.Identifier, r.MerchantID, r.Amount)
		}
		return err
	})
	return reply, err
}

// Void cancels a transaction before it is settled: what it took or reserved is
// released. It is sent at most once. CityPay does so within days of a
// pre-authorisation, and else only on the same day.
//
// A refusal in CityPay's own words that leaves no doubt is ErrInvalid,
// ErrNotFound or ErrAuth. All else is ErrAmbiguous, also 071 and T009, "already
// voided". Then look the transaction up by its number with
// RetrieveTransactions: it is voided if its status is TransCancelled.
//
//	POST /v6/void
func (c *Client) Void(ctx context.Context, r VoidRequest) (*Acknowledgement, error) {
	var faults faults
	faults.id("merchantid", r.MerchantID)
	faults.id("transno", r.TransNo)
	return c.settled(ctx, void, r, faults)
}

// Capture takes what a charge with PreAuth has reserved: money moves. It is sent
// at most once. CityPay does so within days.
//
// A refusal in CityPay's own words that leaves no doubt is ErrInvalid,
// ErrNotFound or ErrAuth. All else is ErrAmbiguous, also T011, "already
// completed". Then look the transaction up by its number with
// RetrieveTransactions: it is captured if its status is TransOpen,
// TransAssigned or TransSettled, and not yet if it is TransPreAuthorised.
//
//	POST /v6/capture
func (c *Client) Capture(ctx context.Context, r CaptureRequest) (*Acknowledgement, error) {
	var faults faults
	faults.id("merchantid", r.MerchantID)
	faults.id("transno", r.TransNo)
	if r.Amount != 0 {
		faults.amount(r.Amount)
	}
	return c.settled(ctx, capture, r, faults)
}

func (f *faults) amount(n int64) {
	if n < 1 || n > maxAmount {
		f.add("amount", "must be 1 to 999999999")
	}
}

// payment checks what a charge and a refund have in common.
func (f *faults) payment(amount int64, id string, merchant int64, info string) {
	f.amount(amount)
	f.match("identifier", id, identifier, "must be 5 to 50 printable ASCII characters")
	f.id("merchantid", merchant)
	f.length("trans_info", info, 50)
}

// pay sends a request that moves money.
func (c *Client) pay(ctx context.Context, p payment, request any, secrets []Secret, faults faults,
	decode func(reader) error,
) error {
	err := c.send(ctx, batchhttp.Call{Op: p.op, Decode: decode, Secrets: secrets,
		Refusal: func(status int, header http.Header, body []byte) *batch.Error {
			e := refusal(status, header, body)
			if e != nil {
				e.Kind = p.kind(e.Code)
			}
			return e
		}}, request, faults)
	return hide(err, secrets)
}

// hide takes the secrets of a request out of its error, in the spelling in which
// they were sent. Package batchhttp leaves those of three digits, because it would
// tear holes into ordinary words.
func hide(err error, secrets []Secret) error {
	e := (*batch.Error)(nil)
	if !errors.As(err, &e) {
		return err
	}
	for _, secret := range secrets {
		s := secret.Reveal()
		if s == "" {
			continue
		}
		e.Message = strings.ReplaceAll(e.Message, s, "[redacted]")
		e.RequestID = strings.ReplaceAll(e.RequestID, s, "[redacted]")
		if e.Err != nil && strings.Contains(e.Err.Error(), s) {
			cause := e.Err
			is := func(target error) bool { return errors.Is(cause, target) }
			e.Err = hidden{strings.ReplaceAll(cause.Error(), s, "[redacted]"), is}
		}
	}
	return err
}

// hidden matches its cause, but does not repeat its words.
type hidden struct {
	text string
	is   func(error) bool
}

func (h hidden) Error() string        { return h.text }
func (h hidden) Is(target error) bool { return h.is(target) }

// kind says what a code means that does not say success. Of the table in
// codes.go, only what says that the request or the credential is wrong is a
// refusal here: the rest is about batches and reads.
func (p payment) kind(code string) batch.Kind {
	if kind, ok := p.refused[code]; ok {
		return kind
	}
	if kind := meaningOf(code).call; kind == batch.ErrInvalid || kind == batch.ErrAuth {
		return kind
	}
	return batch.ErrAmbiguous
}

// succeeds says that a code is one of success here. A test transaction is none
// in production.
func (c *Client) succeeds(p payment, code string) bool {
	return slices.Contains(p.accepted, code) && (code != "001" || environment(c) != "production")
}

// settled makes a call that an Acknowledgement answers.
func (c *Client) settled(ctx context.Context, p payment, request any, faults faults) (*Acknowledgement, error) {
	var reply Acknowledgement
	decode := batchhttp.JSON(&reply)
	err := c.pay(ctx, p, request, nil, faults, func(body reader) error {
		if err := decode(body); err != nil {
			return err
		}
		if c.succeeds(p, reply.Code) {
			return nil
		}
		return &batch.Error{Kind: p.kind(reply.Code), Code: reply.Code,
			Message: string(reply.Message), RequestID: string(reply.Context)}
	})
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// authResponse is an AuthResponse as it arrives.
type authResponse struct {
	AuthResponse
	Amount      batchhttp.Maybe[batchhttp.Int] `json:"amount"`
	AuthCode    batchhttp.Maybe[string]        `json:"authcode"`
	Authorised  batchhttp.Maybe[bool]          `json:"authorised"`
	Identifier  batchhttp.Maybe[string]        `json:"identifier"`
	MerchantID  batchhttp.Maybe[batchhttp.Int] `json:"merchantid"`
	Result      batchhttp.Maybe[Result]        `json:"result"`
	ResultCode  batchhttp.Maybe[string]        `json:"result_code"`
	SHA256      batchhttp.Maybe[string]        `json:"sha256"`
	TransNo     batchhttp.Maybe[batchhttp.Int] `json:"transno"`
	TransStatus batchhttp.Maybe[TransStatus]   `json:"trans_status"`
}

// judge says whether a reply accepts the payment (nil), refuses it, or leaves
// it open. Its result and its code must agree; its number, amount, identifier,
// merchant, status and digest must not contradict them.
func (c *Client) judge(p payment, came authResponse, id string, merchant, amount int64) (*AuthResponse, error) {
	a := came.AuthResponse
	a.Amount, a.AuthCode, a.Authorised = int64(came.Amount.Value), came.AuthCode.Value, came.Authorised.Value
	a.Identifier, a.MerchantID, a.TransNo = came.Identifier.Value, int64(came.MerchantID.Value),
		int64(came.TransNo.Value)
	a.Result, a.ResultCode = came.Result.Value, came.ResultCode.Value
	a.SHA256, a.TransStatus = came.SHA256.Value, came.TransStatus.Value
	a.ResultMessage = Text(c.http.Clean(string(a.ResultMessage)))
	if !came.Result.OK {
		a.Result = ResultUnknown
		return &a, errMissing("result that is a number")
	}
	contradicts := func(what string) (*AuthResponse, error) {
		return &a, fmt.Errorf("the answer is %d with the code %s, and %s", a.Result, a.ResultCode, what)
	}
	accepted, of := a.Result == ResultAccepted && c.succeeds(p, a.ResultCode), meaningOf(a.ResultCode)
	kind, ours := p.refused[a.ResultCode]
	if !ours {
		switch kind = batch.ErrAmbiguous; {
		case of.row != batch.OutcomeFailed && of.row != batch.OutcomeSkipped:
		case of.call == batch.ErrAuth:
			kind = batch.ErrAuth
		default:
			kind = batch.ErrInvalid // also a decline
		}
	}
	says := results[a.Result].outcome
	if !accepted && (kind == batch.ErrAmbiguous || says == batch.OutcomePaid || says == "") {
		text := fmt.Sprintf("the answer is %d with the code %s, which leaves the outcome open", a.Result, a.ResultCode)
		return &a, &batch.Error{Kind: batch.ErrAmbiguous, Code: a.ResultCode, RequestID: string(a.Context),
			Message: text}
	}
	// A refusal may leave fields empty; what is there must be of this payment.
	same := func(came batchhttp.Maybe[batchhttp.Int], want int64) bool {
		return came.Text == "" && (!came.OK || int64(came.Value) == want || !accepted && came.Value == 0)
	}
	taken := slices.Contains([]TransStatus{TransOpen, TransAssigned, TransSettled, TransPreAuthorised}, a.TransStatus)
	switch {
	case came.Identifier.Text != "" || a.Identifier != id && a.Identifier != "":
		return contradicts("it has another identifier")
	case !same(came.MerchantID, merchant) || accepted && !came.MerchantID.OK:
		return contradicts("it has another merchant")
	case !same(came.Amount, amount):
		return contradicts("it has another amount")
	case !c.signed(a):
		return contradicts("its sha256 is not that of its fields")
	case accepted && !a.Authorised && (p.op == opCharge || came.Authorised.OK):
		return contradicts("it is not said to be authorised")
	case accepted && !taken && a.TransStatus != "":
		return contradicts(fmt.Sprintf("it has the status %q", a.TransStatus))
	case accepted && p.op == opRefund && a.TransStatus == TransPreAuthorised:
		return contradicts("a refund is not reserved")
	case accepted && (came.TransNo.Text != "" || came.TransNo.OK && a.TransNo < 1):
		return contradicts("it has no number")
	case !accepted && (a.Authorised || taken):
		return contradicts("it is said to be authorised")
	case !accepted:
		return &a, &batch.Error{Kind: kind, Code: a.ResultCode,
			Message: string(a.ResultMessage), RequestID: string(a.Context)}
	}
	return &a, nil
}

// signed checks the digest of a reply, if it has one.
func (c *Client) signed(a AuthResponse) bool {
	if a.SHA256 == "" {
		return true
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s%d%s%d%d%s%s", a.AuthCode, a.Amount, a.ResultCode, a.MerchantID, a.TransNo,
		a.Identifier, c.key.Reveal()))
	want := base64.StdEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(want), []byte(a.SHA256)) == 1
}
