package citypaytest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch/batchsim"
)

type wireCharge struct {
	Amount     int64  `json:"amount"`
	AVSPolicy  string `json:"avs_postcode_policy"`
	Agreement  string `json:"cardholder_agreement"`
	CSC        string `json:"csc"`
	CSCPolicy  string `json:"csc_policy"`
	Currency   string `json:"currency"`
	Duplicate  string `json:"duplicate_policy"`
	Identifier string `json:"identifier"`
	Initiation string `json:"initiation"`
	MatchAVSA  string `json:"match_avsa"`
	Merchant   int64  `json:"merchantid"`
	PreAuth    string `json:"pre_auth"`
	Token      string `json:"token"`
	Info       string `json:"trans_info"`
}

type wireOutcome struct {
	Amount     int64  `json:"amount"`
	AuthCode   string `json:"authcode"`
	Authorised bool   `json:"authorised"`
	Context    string `json:"context"`
	Currency   string `json:"currency"`
	DateTime   string `json:"datetime"`
	Identifier string `json:"identifier"`
	Live       bool   `json:"live"`
	MaskedPAN  string `json:"maskedpan"`
	Merchant   int64  `json:"merchantid"`
	Result     int    `json:"result"`
	Code       string `json:"result_code"`
	Message    string `json:"result_message"`
	Scheme     string `json:"scheme"`
	SHA256     string `json:"sha256"`
	Status     string `json:"trans_status"`
	TransNo    int64  `json:"transno"`
}

// outcome is the reply about one payment, with the digest of CityPay.
func (s *Server) outcome(id string, merchant, amount, number int64, how ending, code, message string) wireOutcome {
	class, _ := strconv.Atoi(how.id) // An ending always has a number.
	o := wireOutcome{Amount: amount, AuthCode: how.authCode, Authorised: how.paid, Context: "20200812075906AAAGV4",
		Currency: s.options.Currency,
		DateTime: s.Clock.Now().UTC().Format(time.RFC3339), Identifier: id, MaskedPAN: "400000******0002",
		Merchant: merchant,
		Result:   class, Code: code, Message: message, Scheme: "Visa", Status: how.status, TransNo: number}
	sum := sha256.Sum256([]byte(o.AuthCode + fmt.Sprint(o.Amount) + o.Code + fmt.Sprint(o.Merchant) +
		fmt.Sprint(o.TransNo) + o.Identifier + *s.licence.Load()))
	o.SHA256 = base64.StdEncoding.EncodeToString(sum[:])
	return o
}

var (
	reserved = ending{"P", "Accepted", "1", "B12345", true}
	returned = ending{"O", "Accepted", "1", "R12345", true}
	rejected = ending{"R", "Rejected", "2", "", false}
)

// invalid says what is wrong with a payment, by the documented codes.
func (s *Server) invalid(amount, merchant int64, id, info string) (batchsim.Reply, bool) {
	switch {
	case merchant < 1:
		return s.problem("P002", "Merchant ID missing"), true
	case !slices.Contains(s.options.Merchants, merchant):
		return s.problem("S003", "Merchant is not of this client"), true
	case amount < 1 || amount > 999_999_999:
		return s.problem("P005", "Amount is invalid"), true
	case id == "":
		return s.problem("P026", "Identifier missing"), true
	case len(id) < 5:
		return s.problem("P039", "Identifier is too short"), true
	case len(id) > 50:
		return s.problem("P016", "Identifier is too long"), true
	case utf8.RuneCountInString(info) > 50:
		return s.problem("P045", "Field invalid: trans_info"), true
	}
	return batchsim.Reply{}, false
}

// tokenLife is how long the token of a card is good (documented).
const tokenLife = 30 * time.Minute

func (s *Server) chargeCard(r batchsim.Request) batchsim.Reply {
	var in wireCharge
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if reply, bad := s.invalid(in.Amount, in.Merchant, in.Identifier, in.Info); bad {
		return reply
	}
	now := s.Clock.Now().UTC()
	card, known := s.tokens[in.Token]
	policies := []string{in.AVSPolicy, in.CSCPolicy, in.Duplicate, in.MatchAVSA, in.PreAuth}
	switch {
	case !known:
		return s.problem("P052", "Token is invalid")
	case now.Sub(card.issued) > tokenLife:
		return s.problem("P051", "Token has expired")
	case in.Currency != "" && in.Currency != s.options.Currency:
		return s.problem("P034", "Invalid Currency")
	case len(in.CSC) > 4:
		return s.problem("C013", "CSC is longer than 4 characters")
	case slices.ContainsFunc(policies, func(p string) bool { return len(p) > 1 || !strings.Contains("0123", p) }):
		return s.problem("P045", "Field invalid")
	}
	decide := func(number int64, how ending, code, message string) batchsim.Reply {
		auth := s.outcome(in.Identifier, in.Merchant, in.Amount, number, how, code, message)
		return encode(http.StatusOK, map[string]any{"AuthResponse": auth})
	}
	if no, ok := s.uncharged(card.account); ok {
		return decide(-1, rejected, no.code, no.message)
	}
	equal := func(a wireAuth) bool { return a.Identifier == in.Identifier && a.Value == in.Amount }
	if in.Duplicate == "1" && slices.ContainsFunc(s.auths, equal) {
		return decide(-1, rejected, "T001", "Transaction Error: Duplicate Transaction Error")
	}
	row := wireRow{Account: card.account, Amount: in.Amount, Identifier: in.Identifier, Merchant: in.Merchant}
	trigger := in.Amount
	if csc, err := strconv.ParseInt(in.CSC, 10, 64); err == nil && triggers[csc].code != "" {
		trigger = csc
	}
	how, code, message := taken, "001", "System: Test Transaction"
	if in.PreAuth == "1" {
		how = reserved
	}
	if no, ok := triggers[trigger]; ok {
		code, message = no.code, no.message
		how = ending{"D", "Declined", strconv.Itoa(no.result), "", false}
		if no.code == "F006" {
			open := ending{"", "Unknown", "20", "", false}
			kept, recorded := unanswered[s.options.Unanswered]
			if !recorded {
				return decide(-1, open, code, message)
			}
			number := s.record(row, kept, now)
			if kept.paid {
				s.move("", in.Identifier, card.account, in.Merchant, in.Amount)
			}
			return decide(number, open, code, message)
		}
	}
	number := s.record(row, how, now)
	if how == taken {
		s.move("", in.Identifier, card.account, in.Merchant, in.Amount)
	}
	return decide(number, how, code, message)
}

// move keeps what a payment outside a batch moved, and to where: a minus is back
// to the cardholder.
func (s *Server) move(what, id, account string, merchant, amount int64) {
	s.Ledger.Move(batchsim.Effect{Payer: fmt.Sprintf("merchant %d of %s", merchant, s.options.ClientID), Batch: what,
		Item: id, Account: account, Minor: amount, At: s.Clock.Now().UTC()})
}

// transaction finds one of this merchant; nil if there is none.
func (s *Server) transaction(merchant, number int64) *wireAuth {
	for n := range s.auths {
		if s.auths[n].TransNo == number && s.auths[n].Merchant == merchant {
			return &s.auths[n]
		}
	}
	return nil
}

func (s *Server) refund(r batchsim.Request) batchsim.Reply {
	var in struct {
		Amount     int64  `json:"amount"`
		Identifier string `json:"identifier"`
		Merchant   int64  `json:"merchantid"`
		Original   int64  `json:"refund_ref"`
		Info       string `json:"trans_info"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if reply, bad := s.invalid(in.Amount, in.Merchant, in.Identifier, in.Info); bad {
		return reply
	}
	no := func(code, message string) batchsim.Reply {
		if s.options.RefuseByError {
			return s.problem(code, message)
		}
		return encode(http.StatusOK, s.outcome(in.Identifier, in.Merchant, in.Amount, -1, rejected, code, message))
	}
	original := s.transaction(in.Merchant, in.Original)
	switch {
	case original == nil:
		return no("R001", "Could not identify the original transaction")
	case original.Type != "sale":
		return no("R010", "Original transaction is not a valid purchase")
	case !slices.Contains([]string{"O", "A", "S"}, original.Status):
		return no("R011", "Original transaction was not accepted")
	case s.refunded[in.Original] == original.Value:
		return no("R003", "Transaction has already been refunded")
	case s.refunded[in.Original]+in.Amount > original.Value:
		return no("R005", "The amount to refund exceeds the amount available to refund")
	}
	s.refunded[in.Original] += in.Amount
	row := wireRow{Amount: in.Amount, Identifier: in.Identifier, Merchant: in.Merchant}
	number := s.record(row, returned, s.Clock.Now().UTC())
	s.auths[len(s.auths)-1].Type = "refund"
	s.move(fmt.Sprint("refund of ", in.Original), in.Identifier, "", in.Merchant, -in.Amount)
	code := "002"
	if s.options.RefundIsTest {
		code = "001"
	}
	done := s.outcome(in.Identifier, in.Merchant, in.Amount, number, returned, code, "System: Accepted Refund")
	return encode(http.StatusOK, done)
}

// answered is an Acknowledgement, or a refusal in the form of an error.
func (s *Server) answered(code, id, message string, done bool) batchsim.Reply {
	if !done && s.options.RefuseByError {
		return s.problem(code, message)
	}
	return encode(http.StatusOK, map[string]string{"code": code, "context": "aspiu352908ns47n343598bads",
		"identifier": id, "message": message})
}

// wireOriginal names the transaction that a void or a capture is about.
type wireOriginal struct {
	Merchant   int64  `json:"merchantid"`
	Identifier string `json:"identifier"`
	TransNo    int64  `json:"transno"`
}

// original finds that transaction; nil if the reply says that there is none.
func (s *Server) original(in wireOriginal) (auth *wireAuth, missing batchsim.Reply) {
	if in.TransNo == 0 {
		return nil, s.problem("P013", "Transaction Id or Identifier not Present")
	}
	if auth = s.transaction(in.Merchant, in.TransNo); auth == nil {
		missing = s.problem("D022", "Transaction not found for merchant with given trasaction number")
	}
	return auth, missing
}

func (s *Server) void(r batchsim.Request) batchsim.Reply {
	var in wireOriginal
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	auth, missing := s.original(in)
	switch {
	case auth == nil:
		return missing
	case auth.Status == "C":
		return s.answered("071", auth.Identifier, "Transaction already voided", false)
	case auth.Status != "O" && auth.Status != "P":
		return s.answered("P024", auth.Identifier, "Void Transaction failed", false)
	}
	if auth.Status == "O" {
		s.move(fmt.Sprint("void of ", in.TransNo), fmt.Sprint("void of ", in.TransNo), "", in.Merchant, -auth.Value)
	}
	auth.Status = "C"
	return s.answered("003", auth.Identifier, "Accepted Void Transaction", true)
}

func (s *Server) capture(r batchsim.Request) batchsim.Reply {
	var in struct {
		Amount int64 `json:"amount"`
		wireOriginal
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	auth, missing := s.original(in.wireOriginal)
	switch {
	case auth == nil:
		return missing
	case auth.Status == "O":
		return s.answered("T011", auth.Identifier, "Transaction already completed", false)
	case auth.Status != "P":
		return s.answered("T003", auth.Identifier, "Transaction is not a valid capture", false)
	}
	if in.Amount != 0 {
		auth.Value, auth.Amount = in.Amount, fmt.Sprintf("%d.%02d", in.Amount/100, in.Amount%100)
	}
	auth.Status, auth.AuthCode = "O", "C12345"
	s.move(fmt.Sprint("capture of ", in.TransNo), fmt.Sprint("capture of ", in.TransNo), "", in.Merchant, auth.Value)
	return s.answered("001", auth.Identifier, "Test Transaction", true)
}

// AnswerAll lets the acquirer answer every transaction that awaits it: it was
// charged, or declined.
func (s *Server) AnswerAll(charged bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range s.auths {
		auth := &s.auths[n]
		if auth.Status != "H" {
			continue
		}
		how := declined
		if charged {
			how = taken
			s.move("", auth.Identifier, "", auth.Merchant, auth.Value)
		}
		auth.Status, auth.Result, auth.ResultID, auth.AuthCode = how.status, how.result, how.id, how.authCode
	}
}
