package sixdotfifty

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The hosts of Redemptions (documented). Production is asked for by name.
const (
	RedemptionsStaging    = "https://api.staging.6dot50.com/za/redemptions"
	RedemptionsProduction = "https://api.6dot50.com/za/redemptions"

	stagingPage    = "https://secure.staging.6dot50.com/payment"
	productionPage = "https://secure.6dot50.com/payment"
)

// RedemptionsConfig is what a RedemptionsClient needs. Its key and secret are
// not those of PAY. Printed in any way, it shows no secret.
type RedemptionsConfig struct {
	Key    string // of a merchant account
	Secret string // the secret that goes with it

	BaseURL string // empty means RedemptionsStaging
	// of the hosted payment page; empty means the one that goes with 6DOT50's own hosts
	PageURL string
	// optional: the proxy, dialer and certificates of its *http.Transport
	HTTPClient *http.Client
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	// optional: op, status, duration and attempt; never bodies or headers
	Logger *slog.Logger
}

// Format writes the configuration without the key and the secret.
func (c RedemptionsConfig) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sixdotfifty.RedemptionsConfig{Key: [redacted], Secret: [redacted], BaseURL: %q}", c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the key and the secret.
func (c RedemptionsConfig) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// MarshalBinary is for encoding/gob: the same.
func (c RedemptionsConfig) MarshalBinary() ([]byte, error) { return c.MarshalText() }

// RedemptionsClient calls the Redemptions API: a merchant starts a payment,
// the member confirms it on a hosted page, and the merchant asks for the
// result. It is safe for concurrent use.
type RedemptionsClient struct {
	http   *batchhttp.Client
	tokens *tokens
	page   string
}

// NewRedemptions checks the configuration. It does no I/O and reads no
// environment.
func NewRedemptions(c RedemptionsConfig) (*RedemptionsClient, error) {
	if c.BaseURL == "" {
		c.BaseURL = RedemptionsStaging
	}
	client, tokens, err := connect(Config{Key: c.Key, Secret: c.Secret, BaseURL: c.BaseURL, HTTPClient: c.HTTPClient,
		Middleware: c.Middleware, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	if c.PageURL == "" {
		switch strings.ToLower(client.Host()) {
		case "api.staging.6dot50.com":
			c.PageURL = stagingPage
		case "api.6dot50.com":
			c.PageURL = productionPage
		default:
			return nil, batch.Invalid(name, "NewRedemptions",
				[]batch.FieldError{{Item: -1, Field: "PageURL",
					Message: "is required with a BaseURL that is not 6DOT50's own"}})
		}
	}
	return &RedemptionsClient{client, tokens, c.PageURL}, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *RedemptionsClient) CloseIdleConnections() {
	c.http.CloseIdleConnections()
	c.tokens.http.CloseIdleConnections()
}

// GetToken is as for Client.
//
//	POST /authentication/getToken
func (c *RedemptionsClient) GetToken(ctx context.Context) (*Token, error) { return c.tokens.fetch(ctx) }

// Accounts reads the merchant accounts.
//
//	GET /accounts
func (c *RedemptionsClient) Accounts(ctx context.Context) ([]RedemptionsAccount, error) {
	return list[RedemptionsAccount](ctx, c.http, opRedemptionsListAccounts)
}

// Transactions reads the transactions of an account, page by page.
//
//	GET /accounts/{id}/transactions
func (c *RedemptionsClient) Transactions(ctx context.Context, accountID string,
	o TransactionsOptions) iter.Seq2[RedemptionsTransaction, error] {
	return each(c.http, opRedemptionsListTransactions,
		pages(opRedemptionsListTransactions, func(skip, take int) ([]row[RedemptionsTransaction], error) {
			query := url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}}
			setTime(query, "createdAtFrom", o.CreatedFrom)
			setTime(query, "createdAtTo", o.CreatedTo)
			return rows[RedemptionsTransaction](ctx, c.http, opRedemptionsListTransactions, []string{accountID}, query)
		}, func(t RedemptionsTransaction) string { return strconv.FormatInt(t.ID, 10) }))
}

// InitiatePayment starts a payment. No money moves until the member confirms
// it on the hosted page. It is sent at most once. After an ErrAmbiguous, look
// for the reference with Payments; the payment beside it holds what the reply
// said, and is nil if that was nothing.
//
//	POST /payments
func (c *RedemptionsClient) InitiatePayment(ctx context.Context, r InitiatePaymentRequest) (*RedemptionsPayment,
	error) {
	var faults []batch.FieldError
	for _, f := range []struct {
		field, message string
		bad            bool
	}{{"amount", "must be positive", r.Amount <= 0}, {"currencyCode", "is empty", r.CurrencyCode == ""},
		{"accountId", "is empty", r.AccountID == ""},
		{"reference", "is empty", r.Reference == ""}, {"countryCode", "must be two capital letters",
			!countryCode.MatchString(r.CountryCode)},
		{"currencyCode", notUTF8, !utf8.ValidString(r.CurrencyCode)},
		{"accountId", notUTF8, !utf8.ValidString(r.AccountID)},
		{"reference", notUTF8, !utf8.ValidString(r.Reference)},
		{"returnUrl", notUTF8, !utf8.ValidString(r.ReturnURL)}} {
		if f.bad {
			faults = append(faults, batch.FieldError{Item: -1, Field: f.field, Message: f.message})
		}
	}
	if err := batch.Invalid(name, opRedemptionsInitiatePayment.Name, faults); err != nil {
		return nil, err
	}
	return write(ctx, c.http, opRedemptionsInitiatePayment, nil, r, func(p *RedemptionsPayment) error {
		if p.Reference != r.Reference || p.Amount != r.Amount || string(p.AccountID) != r.AccountID ||
			string(p.CurrencyCode) != r.CurrencyCode {
			return errors.New("the reply is about another payment than was asked for")
		}
		return nil
	})
}

// Payment reads a payment. Trust this, and never the member's return to your
// page.
//
//	GET /payments/{id}
func (c *RedemptionsClient) Payment(ctx context.Context, id string) (*RedemptionsPayment, error) {
	return read[RedemptionsPayment](ctx, c.http, opRedemptionsGetPayment, []string{id})
}

// Payments reads the payments, page by page.
//
//	GET /payments
func (c *RedemptionsClient) Payments(ctx context.Context, o PaymentsOptions) iter.Seq2[RedemptionsPayment, error] {
	return each(c.http, opRedemptionsListPayments,
		pages(opRedemptionsListPayments, func(skip, take int) ([]row[RedemptionsPayment], error) {
			query := url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}}
			if o.Reference != "" {
				query.Set("reference", o.Reference)
			}
			if o.StatusCode != nil {
				query.Set("statusCode", strconv.Itoa(int(*o.StatusCode)))
			}
			if o.ErrorCode != "" {
				query.Set("errorCode", string(o.ErrorCode))
			}
			setTime(query, "createdAtFrom", o.CreatedFrom)
			setTime(query, "createdAtTo", o.CreatedTo)
			setTime(query, "completedAtFrom", o.CompletedFrom)
			setTime(query, "completedAtTo", o.CompletedTo)
			return rows[RedemptionsPayment](ctx, c.http, opRedemptionsListPayments, nil, query)
		}, func(p RedemptionsPayment) string { return p.ID }))
}

// PageURL is where to send the member's browser to confirm a payment.
func (c *RedemptionsClient) PageURL(paymentID string) string {
	return c.page + "?" + url.Values{"id": {paymentID}}.Encode()
}

var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

func setTime(query url.Values, key string, t time.Time) {
	if !t.IsZero() {
		query.Set(key, t.UTC().Format(time.RFC3339Nano))
	}
}

// Cents is an amount of Redemptions, in cents. On the wire it is a string of
// digits: "10000" is 100.00. It is not Amount, the amount of PAY.
type Cents int64

// String writes the amount in major units: "100.00".
func (c Cents) String() string { return batch.FormatDecimal(int64(c), 2) }

// MarshalJSON writes a string of digits.
func (c Cents) MarshalJSON() ([]byte, error) {
	return []byte(`"` + strconv.FormatInt(int64(c), 10) + `"`), nil
}

// UnmarshalJSON reads a string of digits, and nothing else: a number could be
// meant in major units.
func (c *Cents) UnmarshalJSON(text []byte) error {
	var s string
	if err := batchhttp.Parse(text, &s); err != nil || len(text) == 0 || text[0] != '"' {
		return errors.New("the amount is not a string of cents")
	}
	n, err := batch.ParseDecimal(s, 0)
	if err != nil {
		return err
	}
	*c = Cents(n)
	return nil
}

// RedemptionsAccount is a merchant account. ID and the balances decide.
type RedemptionsAccount struct {
	ID                     string `json:"id"`
	Name                   Text   `json:"name"`
	ShortName              Text   `json:"shortName"`
	CreatedAt              Text   `json:"createdAt"`
	Balance                Cents  `json:"balance"`
	AvailableBalance       Cents  `json:"availableBalance"`
	CurrencyCode           Text   `json:"currencyCode"`           // of the account
	SettlementCurrencyCode Text   `json:"settlementCurrencyCode"` // of your bank
	SettlementFrequency    Text   `json:"settlementFrequency"`    // "0" daily, "1" on request
}

// UnmarshalJSON returns an error if a field that decides is missing.
func (a *RedemptionsAccount) UnmarshalJSON(text []byte) error {
	type plain RedemptionsAccount
	wire := struct {
		*plain
		ID               word                   `json:"id"`
		Balance          batchhttp.Maybe[Cents] `json:"balance"`
		AvailableBalance batchhttp.Maybe[Cents] `json:"availableBalance"`
	}{plain: (*plain)(a)}
	err := batchhttp.Parse(text, &wire)
	a.ID, a.Balance, a.AvailableBalance = string(wire.ID), wire.Balance.Value, wire.AvailableBalance.Value
	return cmp.Or(err, decides("id", a.ID != ""), decides("balance", wire.Balance.OK),
		decides("availableBalance", wire.AvailableBalance.OK))
}

// TransactionsOptions filters Transactions. Whether the bounds are inclusive
// is not documented.
type TransactionsOptions struct{ CreatedFrom, CreatedTo time.Time }

// RedemptionsTransaction is one movement on a merchant account. ID and the
// amounts decide.
type RedemptionsTransaction struct {
	ID           int64 `json:"id"`
	AmountDebit  Cents `json:"amountDebit"`
	AmountCredit Cents `json:"amountCredit"`
	CurrencyCode Text  `json:"currencyCode"`
	Description  Text  `json:"description"`
	CreatedAt    Text  `json:"createdAt"`
}

// UnmarshalJSON returns an error if a field that decides is missing.
func (t *RedemptionsTransaction) UnmarshalJSON(text []byte) error {
	type plain RedemptionsTransaction
	wire := struct {
		*plain
		ID           batchhttp.Maybe[int64] `json:"id"`
		AmountDebit  batchhttp.Maybe[Cents] `json:"amountDebit"`
		AmountCredit batchhttp.Maybe[Cents] `json:"amountCredit"`
	}{plain: (*plain)(t)}
	err := batchhttp.Parse(text, &wire)
	t.ID, t.AmountDebit, t.AmountCredit = wire.ID.Value, wire.AmountDebit.Value, wire.AmountCredit.Value
	return cmp.Or(err, decides("id", wire.ID.OK), decides("amountDebit", wire.AmountDebit.OK),
		decides("amountCredit", wire.AmountCredit.OK))
}

// InitiatePaymentRequest starts a payment. All but ReturnURL is required.
type InitiatePaymentRequest struct {
	Amount       Cents  `json:"amount"`
	CurrencyCode string `json:"currencyCode"`
	AccountID    string `json:"accountId"` // merchant account to credit
	Reference    string `json:"reference"` // yours, unique; shown to the member
	ReturnURL    string `json:"returnUrl,omitempty"`
	CountryCode  string `json:"countryCode"` // of the member: ISO 3166, two letters
}

// RedemptionsStatus is where a payment of Redemptions stands. The list is
// open.
type RedemptionsStatus int

// The documented statuses. Only RedemptionsPaid means that money was
// collected.
const (
	RedemptionsInProgress      RedemptionsStatus = 0
	RedemptionsPaid            RedemptionsStatus = 1
	RedemptionsCancelled       RedemptionsStatus = 2 // by the system: see the error code
	RedemptionsCancelledByUser RedemptionsStatus = 3
	RedemptionsRefunded        RedemptionsStatus = 4
	RedemptionsFailed          RedemptionsStatus = 10
)

// RedemptionsErrorCode says why a payment was not collected. It decides
// nothing: it is empty if the service does not say. The list is open.
type RedemptionsErrorCode = Text

// The documented error codes.
const (
	RedemptionsNoError              RedemptionsErrorCode = "0"
	RedemptionsInsufficientFunds    RedemptionsErrorCode = "1"
	RedemptionsAuthenticationFailed RedemptionsErrorCode = "2"
	RedemptionsDeclined             RedemptionsErrorCode = "3"
	RedemptionsDuplicate            RedemptionsErrorCode = "4"
	RedemptionsSuspectedFraud       RedemptionsErrorCode = "5"
	RedemptionsInvalidAmount        RedemptionsErrorCode = "6"
	RedemptionsTimeout              RedemptionsErrorCode = "7"
)

// RedemptionsPayment is a payment of a member to a merchant. ID, Reference,
// Amount and StatusCode decide, and in the reply to InitiatePayment also
// AccountID and CurrencyCode.
type RedemptionsPayment struct {
	ID            string               `json:"id"`
	Reference     string               `json:"reference"`
	Amount        Cents                `json:"amount"`
	AccountID     Text                 `json:"accountId"`
	CurrencyCode  Text                 `json:"currencyCode"`
	StatusCode    RedemptionsStatus    `json:"statusCode"`
	StatusMessage Text                 `json:"statusMessage"`
	ErrorCode     RedemptionsErrorCode `json:"errorCode"`
	ErrorMessage  Text                 `json:"errorMessage,omitempty"`
	CreatedAt     Text                 `json:"createdAt"`
	CompletedAt   Text                 `json:"completedAt,omitempty"`
	CountryCode   Text                 `json:"countryCode,omitempty"`
	ReturnURL     Text                 `json:"returnUrl,omitempty"`
}

// UnmarshalJSON returns an error if a field that decides is missing: a payment
// without a status is not one in progress. The others are set even then.
func (p *RedemptionsPayment) UnmarshalJSON(text []byte) error {
	type plain RedemptionsPayment
	wire := struct {
		*plain
		ID         word                               `json:"id"`
		Reference  word                               `json:"reference"`
		Amount     batchhttp.Maybe[Cents]             `json:"amount"`
		StatusCode batchhttp.Maybe[RedemptionsStatus] `json:"statusCode"`
	}{plain: (*plain)(p)}
	err := batchhttp.Parse(text, &wire)
	p.ID, p.Reference, p.Amount, p.StatusCode = string(wire.ID), string(wire.Reference), wire.Amount.Value,
		wire.StatusCode.Value
	return cmp.Or(err, decides("id", p.ID != ""), decides("reference", p.Reference != ""),
		decides("amount", wire.Amount.OK),
		decides("statusCode", wire.StatusCode.OK))
}

func (p *RedemptionsPayment) check(id string) error { return same(p.ID, id) }

// PaymentsOptions filters Payments.
type PaymentsOptions struct {
	Reference                  string
	StatusCode                 *RedemptionsStatus
	ErrorCode                  RedemptionsErrorCode // empty means any
	CreatedFrom, CreatedTo     time.Time
	CompletedFrom, CompletedTo time.Time
}

// redemptionsError is the documented body of a 400. Its status code is the HTTP
// status.
type redemptionsError struct {
	StatusCode       int               `json:"statusCode"`
	ErrorCode        string            `json:"errorCode"` // "0" general, "1" validation, "2" cannot be parsed
	Message          string            `json:"message"`
	ValidationErrors []validationError `json:"validationErrors,omitempty"`
}

// valid reports whether this is the whole model, under this HTTP status.
func (e redemptionsError) valid(status int) bool {
	return e.StatusCode == status && e.Message != "" && (e.ErrorCode == generalError || e.ErrorCode == "1" ||
		e.ErrorCode == "2")
}

type validationError struct {
	Index        Text `json:"index,omitempty"`
	ErrorCode    Text `json:"errorCode"` // "100" missing, "106" invalid
	ErrorMessage Text `json:"errorMessage"`
	FieldName    Text `json:"fieldName"`
	FieldValue   Text `json:"fieldValue,omitempty"`
}
