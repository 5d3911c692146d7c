package sixdotfifty

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
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

	BaseURL    string                                    // empty means RedemptionsStaging
	PageURL    string                                    // of the hosted payment page; empty means the one that goes with 6DOT50's own hosts
	HTTPClient *http.Client                              // optional: the proxy, dialer and certificates of its *http.Transport
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	Logger     *slog.Logger                              // optional: op, status, duration and attempt; never bodies or headers
}

// Format writes the configuration without the key and the secret.
func (c RedemptionsConfig) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sixdotfifty.RedemptionsConfig{Key: [redacted], Secret: [redacted], BaseURL: %q}", c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the key and the secret.
func (c RedemptionsConfig) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// RedemptionsClient calls the Redemptions API: a merchant starts a payment,
// the member confirms it on a hosted page, and the merchant asks for the
// result. It is safe for concurrent use.
type RedemptionsClient struct {
	rest   *rest.Client
	tokens *tokens
	page   string
}

// NewRedemptions checks the configuration. It does no I/O and reads no
// environment.
func NewRedemptions(c RedemptionsConfig) (*RedemptionsClient, error) {
	if c.BaseURL == "" {
		c.BaseURL = RedemptionsStaging
	}
	client, tokens, err := connect(Config{Key: c.Key, Secret: c.Secret, BaseURL: c.BaseURL, HTTPClient: c.HTTPClient, Middleware: c.Middleware, Logger: c.Logger})
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
			return nil, batch.Invalid(name, "NewRedemptions", []batch.FieldError{{Item: -1, Field: "PageURL", Message: "is required: nobody knows the page of this BaseURL"}})
		}
	}
	return &RedemptionsClient{client, tokens, c.PageURL}, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *RedemptionsClient) CloseIdleConnections() {
	c.rest.CloseIdleConnections()
	c.tokens.rest.CloseIdleConnections()
}

// GetToken is as for Client.
//
//	POST /authentication/getToken
func (c *RedemptionsClient) GetToken(ctx context.Context) (*Token, error) { return c.tokens.fetch(ctx) }

// Accounts reads the merchant accounts.
//
//	GET /accounts
func (c *RedemptionsClient) Accounts(ctx context.Context) ([]RedemptionsAccount, error) {
	return read[list[RedemptionsAccount]](ctx, c.rest, opRedemptionsListAccounts, nil, nil)
}

// Transactions reads the transactions of an account, page by page.
//
//	GET /accounts/{id}/transactions
func (c *RedemptionsClient) Transactions(ctx context.Context, accountID string, o TransactionsOptions) iter.Seq2[RedemptionsTransaction, error] {
	return pages(opRedemptionsListTransactions, func(skip, take int) ([]RedemptionsTransaction, error) {
		query := url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}}
		setTime(query, "createdAtFrom", o.CreatedFrom)
		setTime(query, "createdAtTo", o.CreatedTo)
		return read[list[RedemptionsTransaction]](ctx, c.rest, opRedemptionsListTransactions, []string{accountID}, query)
	}, func(t RedemptionsTransaction) string { return strconv.FormatInt(t.ID, 10) })
}

// InitiatePayment starts a payment. No money moves until the member confirms
// it on the hosted page. It is sent at most once; after an ErrAmbiguous, look
// for the reference with Payments.
//
//	POST /payments
func (c *RedemptionsClient) InitiatePayment(ctx context.Context, r InitiatePaymentRequest) (*RedemptionsPayment, error) {
	var faults []batch.FieldError
	for _, f := range []struct {
		field, message string
		bad            bool
	}{{"amount", "must be positive", r.Amount <= 0}, {"currencyCode", "is empty", r.CurrencyCode == ""}, {"accountId", "is empty", r.AccountID == ""},
		{"reference", "is empty", r.Reference == ""}, {"countryCode", "must have two letters", len(r.CountryCode) != 2}} {
		if f.bad {
			faults = append(faults, batch.FieldError{Item: -1, Field: f.field, Message: f.message})
		}
	}
	if err := batch.Invalid(name, opRedemptionsInitiatePayment.Name, faults); err != nil {
		return nil, err
	}
	return write(ctx, c.rest, opRedemptionsInitiatePayment, nil, r, func(p *RedemptionsPayment) error {
		if p.Reference != r.Reference || p.Amount != r.Amount || p.AccountID != r.AccountID || p.CurrencyCode != r.CurrencyCode {
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
	return read[*RedemptionsPayment](ctx, c.rest, opRedemptionsGetPayment, []string{id}, nil)
}

// Payments reads the payments, page by page.
//
//	GET /payments
func (c *RedemptionsClient) Payments(ctx context.Context, o PaymentsOptions) iter.Seq2[RedemptionsPayment, error] {
	return pages(opRedemptionsListPayments, func(skip, take int) ([]RedemptionsPayment, error) {
		query := url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}}
		if o.Reference != "" {
			query.Set("reference", o.Reference)
		}
		if o.StatusCode != nil {
			query.Set("statusCode", strconv.Itoa(int(*o.StatusCode)))
		}
		if o.ErrorCode != nil {
			query.Set("errorCode", strconv.Itoa(int(*o.ErrorCode)))
		}
		setTime(query, "createdAtFrom", o.CreatedFrom)
		setTime(query, "createdAtTo", o.CreatedTo)
		setTime(query, "completedAtFrom", o.CompletedFrom)
		setTime(query, "completedAtTo", o.CompletedTo)
		return read[list[RedemptionsPayment]](ctx, c.rest, opRedemptionsListPayments, nil, query)
	}, func(p RedemptionsPayment) string { return p.ID })
}

// PageURL is where to send the member's browser to confirm a payment.
func (c *RedemptionsClient) PageURL(paymentID string) string {
	return c.page + "?" + url.Values{"id": {paymentID}}.Encode()
}

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
	if err := rest.Parse(text, &s); err != nil || len(text) == 0 || text[0] != '"' {
		return errors.New("an amount is no string of cents")
	}
	n, err := batch.ParseDecimal(s, 0)
	if err != nil {
		return err
	}
	*c = Cents(n)
	return nil
}

// RedemptionsAccount is a merchant account.
type RedemptionsAccount struct {
	ID                     string `json:"id"`
	Name                   string `json:"name"`
	ShortName              string `json:"shortName"`
	CreatedAt              Time   `json:"createdAt"`
	Balance                Cents  `json:"balance"`
	AvailableBalance       Cents  `json:"availableBalance"`
	CurrencyCode           string `json:"currencyCode"`           // of the account
	SettlementCurrencyCode string `json:"settlementCurrencyCode"` // of your bank
	SettlementFrequency    int    `json:"settlementFrequency"`    // 0 daily, 1 on request
}

// UnmarshalJSON refuses an account without what makes it one.
func (a *RedemptionsAccount) UnmarshalJSON(text []byte) error {
	type plain RedemptionsAccount
	return stated(text, (*plain)(a), "id", "balance", "availableBalance")
}

// TransactionsOptions filters Transactions. Whether the bounds are inclusive
// is not documented.
type TransactionsOptions struct{ CreatedFrom, CreatedTo time.Time }

// RedemptionsTransaction is one movement on a merchant account.
type RedemptionsTransaction struct {
	ID           int64  `json:"id"`
	AmountDebit  Cents  `json:"amountDebit"`
	AmountCredit Cents  `json:"amountCredit"`
	CurrencyCode string `json:"currencyCode"`
	Description  string `json:"description"`
	CreatedAt    Time   `json:"createdAt"`
}

// UnmarshalJSON refuses a transaction without what makes it one.
func (t *RedemptionsTransaction) UnmarshalJSON(text []byte) error {
	type plain RedemptionsTransaction
	return stated(text, (*plain)(t), "id", "amountDebit", "amountCredit")
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

// RedemptionsErrorCode says why a payment was not collected. The list is open.
type RedemptionsErrorCode int

// The documented error codes.
const (
	RedemptionsNoError              RedemptionsErrorCode = 0
	RedemptionsInsufficientFunds    RedemptionsErrorCode = 1
	RedemptionsAuthenticationFailed RedemptionsErrorCode = 2
	RedemptionsDeclined             RedemptionsErrorCode = 3
	RedemptionsDuplicate            RedemptionsErrorCode = 4
	RedemptionsSuspectedFraud       RedemptionsErrorCode = 5
	RedemptionsInvalidAmount        RedemptionsErrorCode = 6
	RedemptionsTimeout              RedemptionsErrorCode = 7
)

// RedemptionsPayment is a payment of a member to a merchant.
type RedemptionsPayment struct {
	ID            string               `json:"id"`
	Reference     string               `json:"reference"`
	Amount        Cents                `json:"amount"`
	AccountID     string               `json:"accountId"`
	CurrencyCode  string               `json:"currencyCode"`
	StatusCode    RedemptionsStatus    `json:"statusCode"`
	StatusMessage string               `json:"statusMessage"`
	ErrorCode     RedemptionsErrorCode `json:"errorCode"`
	ErrorMessage  string               `json:"errorMessage,omitempty"`
	CreatedAt     Time                 `json:"createdAt"`
	CompletedAt   *Time                `json:"completedAt,omitempty"`
	CountryCode   string               `json:"countryCode,omitempty"`
	ReturnURL     string               `json:"returnUrl,omitempty"`
}

// UnmarshalJSON refuses a payment without a status, among others: its zero
// value would be taken for one in progress.
func (p *RedemptionsPayment) UnmarshalJSON(text []byte) error {
	type plain RedemptionsPayment
	return stated(text, (*plain)(p), "id", "reference", "amount", "statusCode", "errorCode")
}

func (p *RedemptionsPayment) check(id string) error { return same(p.ID, id) }

// PaymentsOptions filters Payments.
type PaymentsOptions struct {
	Reference                  string
	StatusCode                 *RedemptionsStatus
	ErrorCode                  *RedemptionsErrorCode
	CreatedFrom, CreatedTo     time.Time
	CompletedFrom, CompletedTo time.Time
}

// redemptionsError is the body of a 400. Its status code is the HTTP status.
type redemptionsError struct {
	StatusCode       int               `json:"statusCode"`
	ErrorCode        string            `json:"errorCode"` // "0" general, "1" validation, "2" cannot be parsed
	Message          string            `json:"message"`
	ValidationErrors []validationError `json:"validationErrors,omitempty"`
}

type validationError struct {
	Index        string `json:"index,omitempty"`
	ErrorCode    string `json:"errorCode"` // "100" missing, "106" invalid
	ErrorMessage string `json:"errorMessage"`
	FieldName    string `json:"fieldName"`
	FieldValue   string `json:"fieldValue,omitempty"`
}
