package citypay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
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

// CreateAccountRequest makes a card-holder account.
type CreateAccountRequest struct {
	AccountID string   `json:"account_id"` // yours, for ever: 5 to 50 of [a-zA-Z0-9-_.~]
	Contact   *Contact `json:"contact,omitempty"`
}

// Contact is where a cardholder is reached. All of it is optional.
type Contact struct {
	Address1    string `json:"address1,omitempty"` // this and the next four: at most 50 characters
	Address2    string `json:"address2,omitempty"`
	Address3    string `json:"address3,omitempty"`
	Area        string `json:"area,omitempty"`
	Company     string `json:"company,omitempty"`
	Country     string `json:"country,omitempty"` // two capital letters of ISO 3166: "GB"
	Email       string `json:"email,omitempty"`   // at most 254 characters
	FirstName   string `json:"firstname,omitempty"`
	LastName    string `json:"lastname,omitempty"`
	MobileNo    string `json:"mobile_no,omitempty"`    // at most 20 characters
	Postcode    string `json:"postcode,omitempty"`     // at most 16 characters
	TelephoneNo string `json:"telephone_no,omitempty"` // at most 20 characters
	Title       string `json:"title,omitempty"`
}

// RegisterCardRequest adds a card to an account.
type RegisterCardRequest struct {
	CardNumber Secret `json:"-"`                      // 12 to 19 digits; spaces are allowed, 22 characters in all
	Default    bool   `json:"default,omitempty"`      // presumably the card that a batch charges
	ExpMonth   int    `json:"expmonth"`               // 1 to 12
	ExpYear    int    `json:"expyear"`                // 2000 to 2100
	NameOnCard string `json:"name_on_card,omitempty"` // 2 to 45 characters
}

type accountStatusRequest struct {
	Status AccountStatus `json:"status"`
}

var anyClientID = regexp.MustCompile(`^[A-Za-z0-9._~-]{3,10}$`)

// anyCardID takes the characters of account ids: CityPay does not document the form.
var anyCardID = regexp.MustCompile(`^[A-Za-z0-9._~-]{1,100}$`)

const (
	accountForm = "must be 5 to 50 of letters, digits and - _ . ~"
	clientForm  = "must be 3 to 10 of letters, digits and - _ . ~"
	cardForm    = "must be letters, digits and - _ . ~"
)

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
	decode := batchhttp.JSON(&wire)
	if err := c.do(ctx, batchhttp.Call{Op: op, Params: []string{account}, Decode: func(body reader) error {
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
	err := c.do(ctx, batchhttp.Call{Op: op, Params: []string{account}, Decode: reply.of(account)})
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

// CreateAccount makes a card-holder account without a card. It moves no money.
// It is sent at most once. An account that exists already (D049) is ErrConflict.
// On ErrAmbiguous, AccountExists tells whether it was made; UpdateContact then
// makes sure of the contact. Do not create it again before: CityPay speaks of
// several accounts with one id.
//
//	POST /v6/account/create
func (c *Client) CreateAccount(ctx context.Context, r CreateAccountRequest) (*CardHolderAccount, error) {
	var faults faults
	faults.match("account_id", r.AccountID, accountID, accountForm)
	if r.Contact != nil {
		faults.contact("contact.", *r.Contact)
	}
	return c.account(ctx, opCreateAccount, r.AccountID, nil, r, nil, faults)
}

// UpdateContact changes the contact of an account. Send all of it: whether
// CityPay keeps or clears what is left out is not documented. It moves no money.
// It is sent at most once. On ErrAmbiguous, send the same contact again.
//
//	POST /v6/account/{accountid}/contact
func (c *Client) UpdateContact(ctx context.Context, account string, r Contact) (*CardHolderAccount, error) {
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	if r == (Contact{}) {
		faults.add("contact", "give at least one field")
	}
	faults.contact("", r)
	return c.account(ctx, opUpdateContact, account, []string{account}, r, nil, faults)
}

// RegisterCard adds a card to an account. It moves no money, and can change
// which card a batch charges. The number is in no error and no log. It is sent
// at most once, because a second request may add a second card. On
// ErrAmbiguous, RetrieveAccount shows whether there is a card with these last
// four digits and this expiry that was created after the call.
//
//	POST /v6/account/{accountid}/register
func (c *Client) RegisterCard(ctx context.Context, account string, r RegisterCardRequest) (*CardHolderAccount, error) {
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	number := r.CardNumber.Reveal()
	digits := strings.ReplaceAll(number, " ", "")
	switch {
	case len(number) > 22 || !cardNumber.MatchString(digits):
		faults.add("cardnumber", "must be 12 to 19 digits, with spaces at most 22 characters")
	case !luhn(digits):
		faults.add("cardnumber", "has a wrong check digit")
	}
	if r.ExpMonth < 1 || r.ExpMonth > 12 {
		faults.add("expmonth", "must be 1 to 12")
	}
	if r.ExpYear < 2000 || r.ExpYear > 2100 {
		faults.add("expyear", "must be 2000 to 2100")
	}
	expiry := Card{CardStatus: CardActive, ExpMonth: r.ExpMonth, ExpYear: r.ExpYear}
	if now := time.Now(); r.ExpYear >= 2000 && !expiry.Usable(now) {
		faults.add("expyear", "the card has expired")
	}
	if n := utf8.RuneCountInString(r.NameOnCard); r.NameOnCard != "" &&
		(n < 2 || n > 45 || !utf8.ValidString(r.NameOnCard)) {
		faults.add("name_on_card", "must have 2 to 45 characters")
	}
	wire := struct {
		RegisterCardRequest
		CardNumber string `json:"cardnumber"`
	}{r, number}
	var groups []string // as they are printed on a card
	for group := range slices.Chunk([]byte(digits), 4) {
		groups = append(groups, string(group))
	}
	secrets := []Secret{r.CardNumber, NewSecret(digits), NewSecret(strings.Join(groups, " ")),
		NewSecret(strings.Join(groups, "-"))}
	return c.account(ctx, opRegisterCard, account, []string{account}, wire, secrets, faults)
}

// luhn checks the check digit of a card number.
func luhn(digits string) bool {
	sum := 0
	for n := range len(digits) {
		digit := int(digits[len(digits)-1-n] - '0')
		if n%2 == 1 {
			digit = digit*2/10 + digit*2%10
		}
		sum += digit
	}
	return sum%10 == 0
}

var (
	cardNumber  = regexp.MustCompile(`^[0-9]{12,19}$`)
	countryCode = regexp.MustCompile(`^[A-Z]{2}$`)
)

// contact checks the documented limits. It never shows what is in a field.
func (f *faults) contact(in string, r Contact) {
	for _, c := range []struct {
		field, value string
		most         int
	}{{"address1", r.Address1, 50}, {"address2", r.Address2, 50}, {"address3", r.Address3, 50}, {"area", r.Area, 50},
		{"company", r.Company, 50}, {"email", r.Email, 254}, {"mobile_no", r.MobileNo, 20},
		{"postcode", r.Postcode, 16},
		{"telephone_no", r.TelephoneNo, 20}, {"firstname", r.FirstName, 0}, {"lastname", r.LastName, 0},
		{"title", r.Title, 0}} {
		f.length(in+c.field, c.value, c.most)
	}
	if r.Country != "" {
		f.match(in+"country", r.Country, countryCode, "must be two capital letters")
	}
}

// account makes a change that CityPay answers with the whole account.
func (c *Client) account(ctx context.Context, op batchhttp.Op, account string, params []string, request any,
	secrets []Secret, faults faults,
) (*CardHolderAccount, error) {
	var reply CardHolderAccount
	err := c.send(ctx, batchhttp.Call{Op: op, Params: params, Secrets: secrets,
		Refusal: func(status int, header http.Header, body []byte) *batch.Error {
			e := refusal(status, header, body)
			if e != nil && e.Code == "D049" {
				e.Kind = batch.ErrConflict
			}
			return e
		}, Decode: reply.of(account)}, request, faults)
	if err != nil {
		return nil, hide(err, secrets)
	}
	return &reply, nil
}

// of reads an account, which must be this one.
func (a *CardHolderAccount) of(account string) func(reader) error {
	return func(body reader) error {
		if err := a.decode(body); err != nil {
			return err
		}
		if a.AccountID != account {
			return errors.New("the reply is about another account")
		}
		return nil
	}
}

func (a *CardHolderAccount) decode(body io.Reader) error {
	type card struct {
		Card
		CardStatus batchhttp.Maybe[CardStatus]    `json:"card_status"`
		ExpMonth   batchhttp.Maybe[batchhttp.Int] `json:"expmonth"`
		ExpYear    batchhttp.Maybe[batchhttp.Int] `json:"expyear"`
		Token      batchhttp.Maybe[string]        `json:"token"`
	}
	var wire struct {
		CardHolderAccount
		AccountID batchhttp.Maybe[string]        `json:"account_id"`
		Cards     list[card]                     `json:"cards"`
		Status    batchhttp.Maybe[AccountStatus] `json:"status"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
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
	call := batchhttp.Call{Op: opSetAccountStatus, Params: []string{account}}
	return c.acknowledged(ctx, call, accountStatusRequest{status}, faults, "001")
}

// DeleteAccount marks an account for deletion, for good: from then on nothing
// can charge it. It moves no money. It is sent at most once. On ErrAmbiguous,
// AccountExists may tell; what it says of a deleted account is not documented.
// A refusal is ErrInvalid or ErrAuth, and nothing has changed.
//
//	DELETE /v6/account/{accountid}
func (c *Client) DeleteAccount(ctx context.Context, account string) (*Acknowledgement, error) {
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	return c.acknowledged(ctx, batchhttp.Call{Op: opDeleteAccount, Params: []string{account}}, nil, faults, "001")
}

// DeleteCard marks a card for deletion, or with force deletes it at once, for
// good. It moves no money. Which card becomes the default is not documented. It
// is sent at most once. On ErrAmbiguous, RetrieveAccount shows the cards. A
// refusal is ErrInvalid or ErrAuth, and nothing has changed.
//
//	DELETE /v6/account/{accountid}/card/{cardId}
func (c *Client) DeleteCard(ctx context.Context, account, cardID string, force bool) (*Acknowledgement, error) {
	var faults faults
	faults.match("accountid", account, accountID, accountForm)
	faults.match("cardId", cardID, anyCardID, cardForm)
	call := batchhttp.Call{Op: opDeleteCard, Params: []string{account, cardID},
		Query: url.Values{"force": {strconv.FormatBool(force)}}}
	return c.acknowledged(ctx, call, nil, faults, "001")
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
	faults.match("cardId", cardID, anyCardID, cardForm)
	switch {
	case r.CardStatus == "" && r.Default == nil:
		faults.add("card_status", "give a card_status, default, or both")
	case r.CardStatus != "" && r.CardStatus != CardActive && r.CardStatus != CardInactive:
		faults.add("card_status", "must be ACTIVE or INACTIVE")
	}
	return c.acknowledged(ctx, batchhttp.Call{Op: opSetCardStatus, Params: []string{account, cardID}}, r, faults, "001")
}

// acknowledged makes a call that an Acknowledgement answers, and whose codes of
// success are done. On accounts, 001 is done, and 000 is a refusal: on a
// transaction, they mean other things (documented).
func (c *Client) acknowledged(ctx context.Context, call batchhttp.Call, request any, faults faults, done ...string,
) (*Acknowledgement, error) {
	var reply Acknowledgement
	decode := batchhttp.JSON(&reply)
	call.Decode = func(body reader) error {
		if err := decode(body); err != nil {
			return err
		}
		switch kind := meaningOf(reply.Code).call; {
		case slices.Contains(done, reply.Code):
			return nil
		case reply.Code == "000":
			return &batch.Error{Kind: batch.ErrInvalid, Code: reply.Code, Message: "CityPay calls the change invalid"}
		case kind == batch.ErrInvalid || kind == batch.ErrAuth:
			return &batch.Error{Kind: kind, Code: reply.Code, Message: string(reply.Message)}
		}
		return fmt.Errorf("the answer has the code %q, which leaves open whether it was done", reply.Code)
	}
	if err := c.send(ctx, call, request, faults); err != nil {
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
	faults.match("clientid", clientID, anyClientID, clientForm)
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	var reply ListMerchantsResponse
	if err := c.do(ctx, batchhttp.Call{Op: op, Params: []string{clientID}, Decode: reply.decode}); err != nil {
		return nil, err
	}
	return &reply, nil
}

func (l *ListMerchantsResponse) decode(body io.Reader) error {
	type merchant struct {
		Merchant
		Currency   batchhttp.Maybe[string]        `json:"currency"`
		MerchantID batchhttp.Maybe[batchhttp.Int] `json:"merchantid"`
		Status     batchhttp.Maybe[string]        `json:"status"`
	}
	var wire struct {
		ListMerchantsResponse
		Merchants list[merchant] `json:"merchants"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
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
	clean := p.client.http.Clean
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
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: "account",
				Message: message})
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
		return p.client.http.Clean(fmt.Sprintf("has the status %q at CityPay, not ACTIVE", got.Status)), nil
	}
	for _, card := range got.Cards {
		if card.Usable(time.Now()) {
			return "", nil
		}
	}
	return "has no active card at CityPay that has not expired", nil
}
