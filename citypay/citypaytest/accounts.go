package citypaytest

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/batchway/batchway-go/internal/simkit"
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

// cards are those of an account. A card is good to the end of its month.
func (s *Server) cards(account string, now time.Time) []wireCard {
	card := wireCard{ID: "c0ffee01", Status: "ACTIVE", Created: "2020-01-02T18:32:28Z", Default: true,
		Month: 9, Year: now.Year() + 2, Label: "Visa/0002", Label2: "Visa/0002,Exp:2709", Last4: "0002", Name: "MR NE BODY", Scheme: "Visa"}
	switch {
	case slices.Contains(s.options.CardlessAccounts, account):
		return []wireCard{}
	case slices.Contains(s.options.ExpiredAccounts, account):
		card.Year, card.Status = 2001, "EXPIRED"
	case s.inactive[account]:
		card.Status = "INACTIVE"
	}
	return []wireCard{card}
}

// uncharged says why no row can charge an account, if so (by the labels).
func (s *Server) uncharged(account string, now time.Time) (refusal, bool) {
	if s.accountStatus(account) != "ACTIVE" {
		return refusal{2, "P049", "Account not active"}, true
	}
	if cards := s.cards(account, now); len(cards) == 0 || cards[0].Status != "ACTIVE" {
		return refusal{2, "P053", "No usable card"}, true
	}
	return refusal{}, false
}

func (s *Server) accountStatus(account string) string {
	if status := s.statuses[account]; status != "" {
		return status
	}
	if slices.Contains(s.options.DisabledAccounts, account) {
		return "DISABLED"
	}
	return "ACTIVE"
}

func (s *Server) acknowledge(code string) simkit.Reply {
	return encode(http.StatusOK, map[string]string{"code": code,
		"context": "aspiu352908ns47n343598bads", "message": "Test Transaction"})
}

func (s *Server) setAccountStatus(r simkit.Request) simkit.Reply {
	var in struct {
		Status string `json:"status"`
	}
	account := r.PathValue("accountid")
	switch {
	case !decode(r.Body, &in):
		return simkit.Reply{Status: http.StatusBadRequest}
	case slices.Contains(s.options.UnknownAccounts, account):
		return s.problem("P043", "Account not found")
	case in.Status != "ACTIVE" && in.Status != "DISABLED":
		return s.acknowledge("000")
	}
	s.statuses[account] = in.Status
	return s.acknowledge("001")
}

func (s *Server) setCardStatus(r simkit.Request) simkit.Reply {
	var in struct {
		Status  string `json:"card_status"`
		Default *bool  `json:"default"`
	}
	account := r.PathValue("accountid")
	if !decode(r.Body, &in) {
		return simkit.Reply{Status: http.StatusBadRequest}
	}
	if slices.Contains(s.options.UnknownAccounts, account) {
		return s.problem("P043", "Account not found")
	}
	if r.PathValue("cardId") != "c0ffee01" || in.Status != "" && in.Status != "ACTIVE" && in.Status != "INACTIVE" {
		return s.acknowledge("000")
	}
	if in.Status != "" {
		s.inactive[account] = in.Status == "INACTIVE"
	}
	return s.acknowledge("001")
}

func (s *Server) accountExists(r simkit.Request) simkit.Reply {
	account := r.PathValue("accountid")
	if slices.Contains(s.options.UnknownAccounts, account) {
		return encode(http.StatusOK, map[string]any{"exists": false})
	}
	return encode(http.StatusOK, map[string]any{"exists": true, "active": s.accountStatus(account) == "ACTIVE",
		"last_modified": "2020-01-02T18:32:28Z"})
}

func (s *Server) readAccount(r simkit.Request) simkit.Reply {
	account := r.PathValue("accountid")
	if slices.Contains(s.options.UnknownAccounts, account) {
		return s.problem("P043", "Account not found")
	}
	cards := s.cards(account, s.Clock.Now().UTC())
	for n := range cards {
		cards[n].Token = s.newToken(account)
	}
	return encode(http.StatusOK, map[string]any{"account_id": account, "cards": cards,
		"status": s.accountStatus(account), "contact": map[string]string{"firstname": "John", "lastname": "Smith"}, "date_created": "2020-01-02T18:32:28Z",
		"last_modified": "2020-01-02T18:32:28Z", "unique_id": "u-0001"})
}

func (s *Server) merchants(r simkit.Request) simkit.Reply {
	if client := r.PathValue("clientid"); client != "default" && client != s.options.ClientID {
		return simkit.Reply{Status: http.StatusForbidden}
	}
	rows := []map[string]any{}
	for _, id := range s.options.Merchants {
		rows = append(rows, map[string]any{"currency": s.options.Currency, "merchantid": id, "name": "Merchant",
			"status": "A", "status_label": "Active"})
	}
	return encode(http.StatusOK, map[string]any{"client_name": "Acme Ltd", "clientid": s.options.ClientID, "merchants": rows})
}
