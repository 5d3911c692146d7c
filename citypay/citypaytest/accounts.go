package citypaytest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch/batchsim"
)

type wireCard struct {
	ID      string `json:"card_id"`
	Status  string `json:"card_status"`
	Created string `json:"date_created"`
	Default bool   `json:"default"`
	Month   int    `json:"expmonth"`
	Year    int    `json:"expyear"`
	Label   string `json:"label"`
	Label2  string `json:"label2"`
	Last4   string `json:"last4digits"`
	Name    string `json:"name_on_card"`
	Scheme  string `json:"scheme"`
	Token   string `json:"token"`
}

// A token stands for the card of an account.
type token struct {
	account string
	issued  time.Time
}

// newToken is another with each read (documented).
func (s *Server) newToken(account string) string {
	text := fmt.Sprintf("ct%032d..Qzr", len(s.tokens))
	s.tokens[text] = token{account, s.Clock.Now().UTC()}
	return text
}

// An account is what was changed of one: at first every account exists, is
// active and has one good card, but for those that Options names.
type account struct {
	deleted bool
	status  string
	contact map[string]string
	cards   []wireCard
}

// holder is the account of this id as it is now; nil if there is none.
func (s *Server) holder(id string) *account {
	if a, ok := s.accounts[id]; ok {
		if a.deleted {
			return nil
		}
		return a
	}
	if slices.Contains(s.options.UnknownAccounts, id) {
		return nil
	}
	a := &account{status: "ACTIVE", contact: map[string]string{"firstname": "John", "lastname": "Smith"}}
	card := wireCard{ID: "c0ffee01", Status: "ACTIVE", Created: "2020-01-02T18:32:28Z", Default: true, Month: 9,
		Year: 2099, Label: "Visa/0002", Label2: "Visa/0002,Exp:9909", Last4: "0002",
		Name: "MR NE BODY", Scheme: "Visa"}
	if slices.Contains(s.options.ExpiredAccounts, id) {
		card.Year, card.Status = 2001, "EXPIRED"
	}
	if !slices.Contains(s.options.CardlessAccounts, id) {
		a.cards = []wireCard{card}
	}
	if slices.Contains(s.options.DisabledAccounts, id) {
		a.status = "DISABLED"
	}
	s.accounts[id] = a
	return a
}

// LastName is that of an account's contact; empty if there is none.
func (s *Server) LastName(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.holder(id); a != nil {
		return a.contact["lastname"]
	}
	return ""
}

// uncharged says why no row can charge an account, if so (by the labels). A row
// charges the default card, which is assumed.
func (s *Server) uncharged(id string) (refusal, bool) {
	a := s.holder(id)
	if a == nil {
		return refusal{2, "P043", "Account not found"}, true
	}
	if a.status != "ACTIVE" {
		return refusal{2, "P049", "Account not active"}, true
	}
	if !slices.ContainsFunc(a.cards, func(c wireCard) bool { return c.Default && c.Status == "ACTIVE" }) {
		return refusal{2, "P053", "No usable card"}, true
	}
	return refusal{}, false
}

func (s *Server) acknowledge(code string) batchsim.Reply {
	return encode(http.StatusOK, map[string]string{"code": code,
		"context": "aspiu352908ns47n343598bads", "message": "Test Transaction"})
}

func (s *Server) setAccountStatus(r batchsim.Request) batchsim.Reply {
	var in struct {
		Status string `json:"status"`
	}
	a := s.holder(r.PathValue("accountid"))
	switch {
	case !decode(r.Body, &in):
		return batchsim.Reply{Status: http.StatusBadRequest}
	case a == nil:
		return s.problem("P043", "Account not found")
	case in.Status != "ACTIVE" && in.Status != "DISABLED":
		return s.acknowledge("000")
	}
	a.status = in.Status
	return s.acknowledge("001")
}

func (s *Server) setCardStatus(r batchsim.Request) batchsim.Reply {
	var in struct {
		Status  string `json:"card_status"`
		Default *bool  `json:"default"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	a := s.holder(r.PathValue("accountid"))
	if a == nil {
		return s.problem("P043", "Account not found")
	}
	n := a.card(r.PathValue("cardId"))
	if n < 0 || in.Status != "" && in.Status != "ACTIVE" && in.Status != "INACTIVE" {
		return s.acknowledge("000")
	}
	if in.Status != "" {
		a.cards[n].Status = in.Status
	}
	if in.Default != nil {
		a.prefer(n, *in.Default)
	}
	return s.acknowledge("001")
}

// card is the place of a card; -1 if there is none.
func (a *account) card(id string) int {
	return slices.IndexFunc(a.cards, func(c wireCard) bool { return c.ID == id })
}

// prefer makes a card the default, or not.
func (a *account) prefer(n int, yes bool) {
	for other := range a.cards {
		if yes {
			a.cards[other].Default = false
		}
	}
	a.cards[n].Default = yes
}

func (s *Server) deleteAccount(r batchsim.Request) batchsim.Reply {
	a := s.holder(r.PathValue("accountid"))
	if a == nil {
		return s.problem("P043", "Account not found")
	}
	a.deleted = true
	return s.acknowledge("001")
}

func (s *Server) deleteCard(r batchsim.Request) batchsim.Reply {
	a := s.holder(r.PathValue("accountid"))
	force := r.URL.Query()["force"]
	switch {
	case len(force) > 1 || len(force) == 1 && force[0] != "true" && force[0] != "false":
		return batchsim.Reply{Status: http.StatusBadRequest}
	case a == nil:
		return s.problem("P043", "Account not found")
	}
	n := a.card(r.PathValue("cardId"))
	if n < 0 {
		return s.problem("P045", "Field invalid: cardId")
	}
	a.cards = slices.Delete(a.cards, n, n+1)
	return s.acknowledge("001")
}

type wireContact struct {
	Address1  string `json:"address1"`
	Address2  string `json:"address2"`
	Address3  string `json:"address3"`
	Area      string `json:"area"`
	Company   string `json:"company"`
	Country   string `json:"country"`
	Email     string `json:"email"`
	First     string `json:"firstname"`
	Last      string `json:"lastname"`
	Mobile    string `json:"mobile_no"`
	Postcode  string `json:"postcode"`
	Telephone string `json:"telephone_no"`
	Title     string `json:"title"`
}

// fields are those that were given, and whether they keep the limits.
func (c wireContact) fields() (given map[string]string, good bool) {
	all := map[string]string{"address1": c.Address1, "address2": c.Address2, "address3": c.Address3, "area": c.Area,
		"company": c.Company, "country": c.Country, "email": c.Email, "firstname": c.First, "lastname": c.Last,
		"mobile_no": c.Mobile, "postcode": c.Postcode, "telephone_no": c.Telephone, "title": c.Title}
	most := map[string]int{"address1": 50, "address2": 50, "address3": 50, "area": 50, "company": 50, "country": 2,
		"email": 254, "mobile_no": 20, "telephone_no": 20, "postcode": 16}
	good = true
	for field, value := range all {
		if limit, ok := most[field]; ok && utf8.RuneCountInString(value) > limit {
			good = false
		}
		if value == "" {
			delete(all, field)
		}
	}
	return all, good
}

func (s *Server) createAccount(r batchsim.Request) batchsim.Reply {
	var in struct {
		ID      string      `json:"account_id"`
		Contact wireContact `json:"contact"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	contact, good := in.Contact.fields()
	switch {
	case in.ID == "":
		return s.problem("P044", "Field missing: account_id")
	case !accountID.MatchString(in.ID):
		return s.problem("D048", "Account Id is Invalid")
	case !good:
		return s.problem("P045", "Field invalid: contact")
	case s.holder(in.ID) != nil:
		return s.problem("D049", "Account Already Exists")
	}
	s.accounts[in.ID] = &account{status: "ACTIVE", contact: contact}
	return s.show(in.ID)
}

func (s *Server) updateContact(r batchsim.Request) batchsim.Reply {
	var in wireContact
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	contact, good := in.fields()
	a := s.holder(r.PathValue("accountid"))
	switch {
	case a == nil:
		return s.problem("P043", "Account not found")
	case !good:
		return s.problem("P045", "Field invalid: contact")
	}
	a.contact = contact
	return s.show(r.PathValue("accountid"))
}

func (s *Server) registerCard(r batchsim.Request) batchsim.Reply {
	var in struct {
		Number  string `json:"cardnumber"`
		Default bool   `json:"default"`
		Month   int    `json:"expmonth"`
		Year    int    `json:"expyear"`
		Name    string `json:"name_on_card"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	now := s.Clock.Now().UTC()
	digits := strings.ReplaceAll(in.Number, " ", "")
	a := s.holder(r.PathValue("accountid"))
	switch {
	case a == nil:
		return s.problem("P043", "Account not found")
	case strings.Trim(digits, "0123456789") != "":
		return s.problem("C001", "Card number contains non-numeric character")
	case len(digits) < 12 || len(in.Number) > 22:
		return s.problem("C004", "Card number is an invalid length")
	case !checkDigit(digits):
		return s.problem("C002", "LUHN Check failure")
	case in.Month < 1 || in.Month > 12:
		return s.problem("C007", "Card expiry month is not a valid month")
	case in.Year < 2000 || in.Year > 2100:
		return s.problem("C008", "Card expiry year is not a valid year")
	case in.Year*12+in.Month < now.Year()*12+int(now.Month()):
		return s.problem("C027", "Card has expired")
	case in.Name != "" && (utf8.RuneCountInString(in.Name) < 2 || utf8.RuneCountInString(in.Name) > 45):
		return s.problem("P045", "Field invalid: name_on_card")
	}
	s.registered++
	last := digits[len(digits)-4:]
	a.cards = append(a.cards, wireCard{ID: fmt.Sprintf("c0ffee%02d", s.registered+1), Status: "ACTIVE",
		Created: now.Format(time.RFC3339), Month: in.Month, Year: in.Year, Label: "Visa/" + last,
		Label2: fmt.Sprintf("Visa/%s,Exp:%02d%02d", last, in.Year%100, in.Month), Last4: last, Name: in.Name,
		Scheme: "Visa"})
	if in.Default || len(a.cards) == 1 {
		a.prefer(len(a.cards)-1, true)
	}
	return s.show(r.PathValue("accountid"))
}

// checkDigit doubles every second digit from the right, and adds up (ISO 7812).
func checkDigit(digits string) bool {
	sum, double := 0, false
	for n := len(digits) - 1; n >= 0; n-- {
		d := int(digits[n] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum, double = sum+d, !double
	}
	return sum%10 == 0
}

func (s *Server) accountExists(r batchsim.Request) batchsim.Reply {
	a := s.holder(r.PathValue("accountid"))
	if a == nil {
		return encode(http.StatusOK, map[string]any{"exists": false})
	}
	return encode(http.StatusOK, map[string]any{"exists": true, "active": a.status == "ACTIVE",
		"last_modified": "2020-01-02T18:32:28Z"})
}

func (s *Server) readAccount(r batchsim.Request) batchsim.Reply {
	if s.holder(r.PathValue("accountid")) == nil {
		return s.problem("P043", "Account not found")
	}
	return s.show(r.PathValue("accountid"))
}

// show is the whole account, each card with a token of its own.
func (s *Server) show(id string) batchsim.Reply {
	a := s.holder(id)
	cards := append([]wireCard{}, a.cards...)
	for n := range cards {
		cards[n].Token = s.newToken(id)
	}
	return encode(http.StatusOK, map[string]any{"account_id": id, "cards": cards, "status": a.status,
		"contact":      a.contact,
		"date_created": "2020-01-02T18:32:28Z", "last_modified": "2020-01-02T18:32:28Z", "unique_id": "u-0001"})
}

func (s *Server) merchants(r batchsim.Request) batchsim.Reply {
	if client := r.PathValue("clientid"); client != "default" && client != s.options.ClientID {
		return batchsim.Reply{Status: http.StatusForbidden}
	}
	rows := []map[string]any{}
	for _, id := range s.options.Merchants {
		rows = append(rows, map[string]any{"currency": s.options.Currency, "merchantid": id, "name": "Merchant",
			"status": "A", "status_label": "Active"})
	}
	return encode(http.StatusOK, map[string]any{"client_name": "Acme Ltd", "clientid": s.options.ClientID,
		"merchants": rows})
}
