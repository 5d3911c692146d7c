package citypay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

// AccountExists is the answer to the call of that name.
type AccountExists struct {
	Exists       bool `json:"exists"`
	Active       Text `json:"active,omitempty"`        // "true" or "false"
	LastModified Text `json:"last_modified,omitempty"` // only of an account that exists
}

// CardHolderAccount is a stored customer. AccountID, Status and Cards decide.
// The contact, which is personal data, is not kept.
type CardHolderAccount struct {
	AccountID     string        `json:"account_id"`
	Cards         []Card        `json:"cards,omitempty"` // active, inactive and expired ones
	DateCreated   Text          `json:"date_created,omitempty"`
	DefaultCardID Text          `json:"default_card_id,omitempty"`
	LastModified  Text          `json:"last_modified,omitempty"`
	Status        AccountStatus `json:"status,omitempty"`
}

// AccountStatus is CityPay's word for an account. The list is open.
type AccountStatus string

// The documented words.
const (
	AccountActive   AccountStatus = "ACTIVE"
	AccountDisabled AccountStatus = "DISABLED" // its rows in a batch fail
)

// Card is a card of an account. CardStatus, ExpMonth and ExpYear decide, and
// are zero if CityPay sends another type.
type Card struct {
	CardID      Text       `json:"card_id,omitempty"`
	CardStatus  CardStatus `json:"card_status,omitempty"`
	DateCreated Text       `json:"date_created,omitempty"`
	Default     Text       `json:"default,omitempty"` // "true" or "false"
	ExpMonth    int        `json:"expmonth,omitempty"`
	ExpYear     int        `json:"expyear,omitempty"`
	Label       Text       `json:"label,omitempty"` // "Visa/0002"
	Last4Digits Text       `json:"last4digits,omitempty"`
	Scheme      Text       `json:"scheme,omitempty"`
	Token       Secret     `json:"-"` // for Charge; another with each read, and good for about 30 minutes
}

// CardStatus is CityPay's word for a card. The list is open.
type CardStatus string

// The documented words.
const (
	CardActive   CardStatus = "ACTIVE"
	CardInactive CardStatus = "INACTIVE"
	CardExpired  CardStatus = "EXPIRED"
)

// Usable says that a card is active and, as far as CityPay says when it
// expires, has not expired at that time. A card is good to the end of its month.
func (c Card) Usable(at time.Time) bool {
	at = at.UTC()
	expired := c.ExpYear != 0 && (c.ExpYear < at.Year() || c.ExpYear == at.Year() && c.ExpMonth < int(at.Month()))
	return c.CardStatus == CardActive && !expired
}

// ListMerchantsResponse holds the merchants of a client.
type ListMerchantsResponse struct {
	ClientID   Text       `json:"clientid,omitempty"`
	ClientName Text       `json:"client_name,omitempty"`
	Merchants  []Merchant `json:"merchants"`
}

// Merchant is one merchant. MerchantID, Currency and Status decide, and are
// zero if CityPay sends another type.
type Merchant struct {
	Currency    string `json:"currency,omitempty"`
	MerchantID  int64  `json:"merchantid,omitempty"`
	Name        Text   `json:"name,omitempty"`
	Status      string `json:"status,omitempty"` // "A" is active; no other is documented
	StatusLabel Text   `json:"status_label,omitempty"`
}

// SetCardStatus changes a card. What is left out stays as it is.
type SetCardStatus struct {
	CardStatus CardStatus `json:"card_status,omitempty"` // CardActive or CardInactive
	Default    *bool      `json:"default,omitempty"`     // presumably the card that a batch charges
}

type accountStatusRequest struct {
	Status AccountStatus `json:"status"`
}

var anyClientID = regexp.MustCompile(`^[A-Za-z0-9._~-]{3,10}$`)

// anyCardID takes the characters of account ids: CityPay does not document the form.
var anyCardID = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,100}$`)

const accountForm = "must be 5 to 50 of letters, digits and - _ . ~"

// AccountExists asks whether a card-holder account exists. It moves no money.
// What it says of a deleted account is not documented.
//
//	GET /v6/account-exists/{accountid}
func (c *Client) AccountExists(ctx context.Context, account string) (*AccountExists, error) {
	op := opAccountExists
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	var wire struct {
		AccountExists
		Exists *bool `json:"exists"`
	}
	decode := rest.JSON(&wire)
	if err := c.do(ctx, rest.Call{Op: op, Params: []string{account}, Decode: func(body reader) error {
		if err := decode(body); err != nil {
			return err
		}
		if wire.Exists == nil {
			return errMissing("exists")
		}
		return nil
	}}); err != nil {
		return nil, err
	}
	wire.AccountExists.Exists = *wire.Exists
	return &wire.AccountExists, nil
}

// RetrieveAccount reads a card-holder account and its cards. It moves no money.
// An account that CityPay does not find (P043, D101) is ErrNotFound.
//
//	GET /v6/account/{accountid}
func (c *Client) RetrieveAccount(ctx context.Context, account string) (*CardHolderAccount, error) {
	op := opRetrieveAccount
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	var reply CardHolderAccount
	err := c.do(ctx, rest.Call{Op: op, Params: []string{account}, Decode: func(body reader) error {
		if err := reply.decode(body); err != nil {
			return err
		}
		if reply.AccountID != account {
			return errors.New("the reply is about another account")
		}
		return nil
	}})
	if e := (*batch.Error)(nil); errors.As(err, &e) && e.Code == "P043" {
		missing := *e
		missing.Kind = batch.ErrNotFound
		return nil, &missing
	}
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

func (a *CardHolderAccount) decode(body io.Reader) error {
	type card struct {
		Card
		CardStatus rest.Maybe[CardStatus] `json:"card_status"`
		ExpMonth   rest.Maybe[rest.Int]   `json:"expmonth"`
		ExpYear    rest.Maybe[rest.Int]   `json:"expyear"`
		Token      rest.Maybe[string]     `json:"token"`
	}
	var wire struct {
		CardHolderAccount
		AccountID rest.Maybe[string]        `json:"account_id"`
		Cards     []rest.Maybe[card]        `json:"cards"`
		Status    rest.Maybe[AccountStatus] `json:"status"`
	}
	if err := rest.Read(body, &wire); err != nil {
		return err
	}
	if wire.AccountID.Value == "" {
		return errMissing("account_id")
	}
	got := wire.CardHolderAccount
	got.AccountID, got.Status, got.Cards = wire.AccountID.Value, wire.Status.Value, make([]Card, len(wire.Cards))
	for n, came := range wire.Cards {
		got.Cards[n] = came.Value.Card
		got.Cards[n].CardStatus, got.Cards[n].Token = came.Value.CardStatus.Value, NewSecret(came.Value.Token.Value)
		got.Cards[n].ExpMonth, got.Cards[n].ExpYear = int(came.Value.ExpMonth.Value), int(came.Value.ExpYear.Value)
	}
	*a = got
	return nil
}

// SetAccountStatus makes an account active or disabled. It moves no money, and
// decides whether rows of a batch can charge the account. It is sent at most
// once. On ErrAmbiguous, RetrieveAccount tells the status. A refusal is
// ErrInvalid or ErrAuth, and nothing has changed. It succeeds also if there was
// nothing to change.
//
//	POST /v6/account/{accountid}/status
func (c *Client) SetAccountStatus(ctx context.Context, account string, status AccountStatus) (*Acknowledgement, error) {
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	if status != AccountActive && status != AccountDisabled {
		faults.add("status", "must be ACTIVE or DISABLED")
	}
	return c.acknowledged(ctx, opSetAccountStatus, []string{account}, accountStatusRequest{status}, faults)
}

// SetCardStatus makes a card active or inactive, or the default card, or both.
// It moves no money, and can change which card a batch charges. It is sent at
// most once. On ErrAmbiguous, RetrieveAccount tells the status. A refusal is
// ErrInvalid or ErrAuth, and nothing has changed.
//
//	POST /v6/account/{accountid}/card/{cardId}/status
func (c *Client) SetCardStatus(ctx context.Context, account, cardID string, r SetCardStatus) (*Acknowledgement, error) {
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	faults.match("cardId", cardID, anyCardID, "must be letters, digits and - _ . ~")
	switch {
	case r.CardStatus == "" && r.Default == nil:
		faults.add("card_status", "give a card_status, default, or both")
	case r.CardStatus != "" && r.CardStatus != CardActive && r.CardStatus != CardInactive:
		faults.add("card_status", "must be ACTIVE or INACTIVE")
	}
	return c.acknowledged(ctx, opSetCardStatus, []string{account, cardID}, r, faults)
}

// acknowledged makes a call that maintains an account. Its 001 is done, and
// its 000 is a refusal: on a transaction, they mean other things (documented).
func (c *Client) acknowledged(ctx context.Context, op rest.Op, params []string, request any, faults faults,
) (*Acknowledgement, error) {
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: op.Name, Err: err}
	}
	var reply Acknowledgement
	decode := rest.JSON(&reply)
	check := func(body reader) error {
		if err := decode(body); err != nil {
			return err
		}
		switch kind := meaningOf(reply.Code).call; {
		case reply.Code == "001":
			return nil
		case reply.Code == "000":
			return &batch.Error{Kind: batch.ErrInvalid, Code: reply.Code, Message: "CityPay calls the change invalid"}
		case kind == batch.ErrInvalid || kind == batch.ErrAuth:
			return &batch.Error{Kind: kind, Code: reply.Code, Message: string(reply.Message)}
		}
		return fmt.Errorf("the answer has the code %q, which leaves open whether it was done", reply.Code)
	}
	err = c.do(ctx, rest.Call{Op: op, Params: params, ContentType: "application/json", Body: body, Decode: check})
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// ListMerchants reads the merchants of a client id, or of the client of the
// key if clientID is empty. It moves no money.
//
//	GET /v6/merchants/{clientid}
func (c *Client) ListMerchants(ctx context.Context, clientID string) (*ListMerchantsResponse, error) {
	op := opListMerchants
	if clientID == "" {
		clientID = "default"
	}
	var faults faults
	faults.match("clientid", clientID, anyClientID, "must be 3 to 10 of letters, digits and - _ . ~")
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	var reply ListMerchantsResponse
	if err := c.do(ctx, rest.Call{Op: op, Params: []string{clientID}, Decode: reply.decode}); err != nil {
		return nil, err
	}
	return &reply, nil
}

func (l *ListMerchantsResponse) decode(body io.Reader) error {
	type merchant struct {
		Merchant
		Currency   rest.Maybe[string]   `json:"currency"`
		MerchantID rest.Maybe[rest.Int] `json:"merchantid"`
		Status     rest.Maybe[string]   `json:"status"`
	}
	var wire struct {
		ListMerchantsResponse
		Merchants []rest.Maybe[merchant] `json:"merchants"`
	}
	if err := rest.Read(body, &wire); err != nil {
		return err
	}
	if wire.Merchants == nil {
		return errMissing("merchants")
	}
	got := wire.ListMerchantsResponse
	got.Merchants = make([]Merchant, len(wire.Merchants))
	for n, came := range wire.Merchants {
		got.Merchants[n] = came.Value.Merchant
		got.Merchants[n].Currency, got.Merchants[n].Status = came.Value.Currency.Value, came.Value.Status.Value
		got.Merchants[n].MerchantID = int64(came.Value.MerchantID.Value)
	}
	*l = got
	return nil
}

// ready reads the merchant and every account of a batch, and returns an
// ErrInvalid that names all that could not be charged. It sends nothing that
// could move money. A read that fails is returned as it is.
func (p *Provider) ready(ctx context.Context, b batch.Batch) error {
	var faults faults
	list, err := p.client.ListMerchants(ctx, p.client.config.ClientID)
	if err != nil {
		return err
	}
	clean := p.client.rest.Clean
	known := false
	for _, m := range list.Merchants {
		if m.MerchantID != p.config.MerchantID {
			continue
		}
		known = true
		if m.Status != "A" {
			message := fmt.Sprintf("%d has the status %q at CityPay, not A (active)", m.MerchantID, m.Status)
			faults.add("MerchantID", clean(message))
		}
		if m.Currency != p.config.Currency {
			message := fmt.Sprintf("is %q, and that of merchant %d is %q", p.config.Currency, m.MerchantID, m.Currency)
			faults.add("Currency", clean(message))
		}
	}
	if !known {
		faults.add("MerchantID", fmt.Sprintf("%d is not a merchant of client %s",
			p.config.MerchantID, p.client.config.ClientID))
	}
	seen := make(map[string]string)
	for n, item := range b.Draft.Items {
		message, asked := seen[item.Account]
		if !asked {
			if message, err = p.chargeable(ctx, item.Account); err != nil {
				return err
			}
			seen[item.Account] = message
		}
		if message != "" {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: "account", Message: message})
		}
	}
	return batch.Invalid(name, "Submit", faults)
}

// chargeable says what is wrong with an account; empty if nothing is.
func (p *Provider) chargeable(ctx context.Context, account string) (string, error) {
	got, err := p.client.RetrieveAccount(ctx, account)
	if e := (*batch.Error)(nil); errors.As(err, &e) && e.Code == "P049" {
		return "is not active at CityPay", nil
	}
	switch {
	case errors.Is(err, batch.ErrNotFound):
		return "does not exist at CityPay", nil
	case err != nil:
		return "", err
	case got.Status != AccountActive:
		return p.client.rest.Clean(fmt.Sprintf("has the status %q at CityPay, not ACTIVE", got.Status)), nil
	}
	for _, card := range got.Cards {
		if card.Usable(time.Now()) {
			return "", nil
		}
	}
	return "has no active card at CityPay that has not expired", nil
}
