package citypaytest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// The wire, written from CityPay's documentation and not from the client.

type wireRow struct {
	Account    string `json:"account_id"`
	Amount     int64  `json:"amount"`
	Identifier string `json:"identifier"`
	Merchant   int64  `json:"merchantid"`
}

type wireResult struct {
	Account    string `json:"account_id"`
	Amount     int64  `json:"amount"`
	AuthCode   string `json:"authcode"`
	DateTime   string `json:"datetime"`
	Identifier string `json:"identifier"`
	MaskedPAN  string `json:"maskedpan"`
	Merchant   int64  `json:"merchantid"`
	Message    string `json:"message"`
	Result     int    `json:"result"`
	Code       string `json:"result_code"`
	Scheme     string `json:"scheme"`
	SchemeID   string `json:"scheme_id"`
	SchemeLogo string `json:"scheme_logo"`
	TransNo    int64  `json:"transno"`
}

// A run is one batch at the service.
type run struct {
	id      int64
	date    string
	account string
	status  string
	asked   int // status calls since the last step
	rows    []wireRow
	results []wireResult
}

var steps = []string{"INITIALISED", "QUEUED", "LOCKED", "COMPLETE"}

func (b *run) final() bool { return !slices.Contains(steps[:3], b.status) }

func (b *run) end(status string) {
	if !b.final() {
		b.status = status
	}
}

func (s *Server) advance(b *run) {
	if b.final() {
		return
	}
	next := steps[slices.Index(steps, b.status)+1]
	if next == "COMPLETE" {
		s.charge(b, len(b.rows))
	}
	b.status = next
}

func (s *Server) finish(b *run) {
	for !b.final() {
		s.advance(b)
	}
}

// charge decides and records the first n rows.
func (s *Server) charge(b *run, n int) {
	for _, row := range b.rows[:n] {
		b.results = append(b.results, s.chargeRow(b, row))
	}
}

func (s *Server) chargeRow(b *run, row wireRow) wireResult {
	now := s.Clock.Now().UTC()
	r := wireResult{Account: row.Account, Amount: row.Amount, DateTime: now.Format(time.RFC3339),
		Identifier: row.Identifier,
		Merchant:   row.Merchant, MaskedPAN: "400000******0002", Scheme: "Visa", SchemeID: "VI",
		SchemeLogo: "https://cdn.citypay.com/img/cs/visa-logo.svg", TransNo: -1}
	if no, ok := s.uncharged(row.Account); ok {
		r.Result, r.Code, r.Message, r.MaskedPAN = no.result, no.code, no.message, "N/A"
		return r
	}
	if no, ok := triggers[row.Amount]; ok {
		r.Result, r.Code, r.Message = no.result, no.code, no.message
		how, recorded := unanswered[s.options.Unanswered]
		if no.code != "F006" {
			how, recorded = declined, true
		}
		if !recorded {
			return r
		}
		r.TransNo = s.record(row, how, now)
		if !how.paid {
			return r
		}
	} else {
		r.TransNo = s.record(row, taken, now)
		r.Result, r.Code, r.AuthCode = 1, "001", "A12345"
		r.Message = "Accepted (TEST) A12345"
	}
	s.Ledger.Move(batchsim.Effect{Payer: fmt.Sprintf("merchant %d of %s", row.Merchant, b.account),
		Batch: strconv.FormatInt(b.id, 10),
		Item:  row.Identifier, Account: row.Account, Minor: row.Amount, At: now})
	return r
}

type refusal struct {
	result        int
	code, message string
}

// triggers are the sandbox's amounts (documented).
var triggers = map[int64]refusal{
	3333: {0, "090", "Declined"}, 333: {0, "090", "Declined"},
	3344: {0, "095", "Declined: AVS"}, 344: {0, "095", "Declined: AVS"},
	3355: {0, "096", "Declined: AVS"}, 355: {0, "096", "Declined: AVS"},
	3366: {0, "094", "Declined: CSC"}, 366: {0, "094", "Declined: CSC"},
	3377: {0, "091", "Declined: fraud"}, 377: {0, "091", "Declined: fraud"},
	4444: {4, "089", "Referred"}, 444: {4, "089", "Referred"},
	6666: {20, "F006", "Upstream communication error"}, 666: {20, "F006", "Upstream communication error"},
}

func (s *Server) operations() []batchsim.Operation {
	method := func(method, name, path string, serve func(batchsim.Request) batchsim.Reply) batchsim.Operation {
		return batchsim.Operation{Name: name, Method: method, Path: path,
			Serve: func(r batchsim.Request) batchsim.Reply {
				if status := s.authorized(r); status != 0 {
					return batchsim.Reply{Status: status}
				}
				if method != http.MethodPost {
					s.mu.Lock()
					defer s.mu.Unlock()
					return serve(r)
				}
				if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
					kind != "application/json" {
					return batchsim.Reply{Status: http.StatusBadRequest}
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				return serve(r)
			}}
	}
	op := func(name, path string, serve func(batchsim.Request) batchsim.Reply) batchsim.Operation {
		return method(http.MethodPost, name, path, serve)
	}
	return []batchsim.Operation{
		method(http.MethodGet, "AccountExists", "/v6/account-exists/{accountid}", s.accountExists),
		method(http.MethodGet, "RetrieveAccount", "/v6/account/{accountid}", s.readAccount),
		method(http.MethodGet, "ListMerchants", "/v6/merchants/{clientid}", s.merchants),
		op("CreateAccount", "/v6/account/create", s.createAccount),
		op("UpdateContact", "/v6/account/{accountid}/contact", s.updateContact),
		method(http.MethodDelete, "DeleteAccount", "/v6/account/{accountid}", s.deleteAccount),
		op("RegisterCard", "/v6/account/{accountid}/register", s.registerCard),
		method(http.MethodDelete, "DeleteCard", "/v6/account/{accountid}/card/{cardId}", s.deleteCard),
		op("SetAccountStatus", "/v6/account/{accountid}/status", s.setAccountStatus),
		op("SetCardStatus", "/v6/account/{accountid}/card/{cardId}/status", s.setCardStatus),
		op("ProcessBatch", "/v6/batch/process", s.process),
		op("BatchStatus", "/v6/batch/status", s.status),
		op("RetrieveBatch", "/v6/batch/retrieve", s.retrieve),
		op("RetrieveTransactions", "/v6/retrieve", s.lookUp),
		op("Charge", "/v6/charge", s.chargeCard),
		op("Refund", "/v6/refund", s.refund),
		op("Void", "/v6/void", s.void),
		op("Capture", "/v6/capture", s.capture),
		op("MerchantBatchReport", "/v6/merchant-batch/report", s.merchantBatchReport),
		method(http.MethodGet, "MerchantBatch", "/v6/merchant-batch/{merchantid}/{batch_no}", s.merchantBatch),
		op("MerchantBatchTransactions", "/v6/merchant-batch/{merchantid}/{batch_no}/transactions",
			s.merchantBatchTransactions),
		op("RemittanceReport", "/v6/remittance/report/{clientid}", s.remittanceReport),
		method(http.MethodGet, "Remittance", "/v6/remittance/report/{clientid}/{date}", s.remittance),
		op("TransactionReport", "/v6/transactions", s.transactionReport),
		op("RegisterTempIP", "/v6/permissions/register-temp-ip", s.registerIP),
		op("GenerateDomainKey", "/dk/gen", s.generateKey),
		op("CheckDomainKey", "/dk/check", s.checkKey),
		op("CreateChannel", "/hooks/channel/create", s.createChannel),
		op("DeleteChannel", "/hooks/channel/delete", s.deleteChannel),
		op("Subscribe", "/hooks/subscribe", s.subscribe),
		op("Unsubscribe", "/hooks/unsubscribe", s.unsubscribe),
		op("Ping", "/v6/ping", s.ping),
		op("CheckACL", "/v6/acl/check", s.checkACL),
	}
}

// decode is strict: a misspelt field would otherwise be dropped in silence.
func decode(body []byte, v any) bool {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v) == nil
}

func encode(status int, v any) batchsim.Reply {
	// The wire structs hold nothing that cannot be marshalled.
	text, _ := json.Marshal(v)
	return batchsim.JSON(status, string(text))
}

func (s *Server) problem(code, message string) batchsim.Reply {
	return encode(http.StatusUnprocessableEntity, map[string]string{"code": code, "context": "4DLbFC1VnnW",
		"message":     message,
		"response_dt": s.Clock.Now().UTC().Format(time.RFC3339Nano)})
}

// refuse turns a batch away.
func (s *Server) refuse(code, message string) batchsim.Reply {
	if s.options.RefuseAsInvalid {
		return encode(http.StatusOK, map[string]any{"valid": false, "message": message})
	}
	return s.problem(code, message)
}

var (
	accountID  = regexp.MustCompile(`^[a-zA-Z0-9._~-]{5,50}$`)
	identifier = regexp.MustCompile(`^[ -~]{5,50}$`)
)

func (s *Server) process(r batchsim.Request) batchsim.Reply {
	var in struct {
		Date    string    `json:"batch_date"`
		ID      int64     `json:"batch_id"`
		Account string    `json:"client_account_id"`
		Rows    []wireRow `json:"transactions"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if in.ID < 1 || in.ID > 99_999_999 {
		return s.refuse("B004", "Invalid Batch Id")
	}
	date, ok := day(in.Date)
	if !ok {
		return s.refuse("B007", "Batch date is invalid")
	}
	if !good(in.Account) {
		return s.refuse("P045", "Field invalid: client_account_id")
	}
	if len(in.Rows) == 0 {
		return s.refuse("B005", "No transactions on batch")
	}
	if len(in.Rows) > s.options.MaxItems {
		return s.refuse("B009", "Batch maximum number of transactions reached")
	}
	var total int64
	for n, row := range in.Rows {
		total += row.Amount
		bad := row.Amount < 1 || row.Amount > 999_999_999 || !accountID.MatchString(row.Account) ||
			row.Identifier != "" && !identifier.MatchString(row.Identifier) ||
			s.options.BadRowRefusesBatch && s.holder(row.Account) == nil
		if bad {
			return s.refuse("B006", fmt.Sprintf("Transaction invalid in batch: row %d", n))
		}
	}
	if total > math.MaxInt32 {
		return s.refuse("D033", "Not a valid signed integer") // A report could not say the total.
	}
	account := s.account(in.Account)
	fresh := &run{id: in.ID, date: date, account: account, status: steps[0], rows: in.Rows}
	if old := s.sameNumber(account, in.ID); old != nil {
		switch s.options.Duplicate {
		case DuplicateRefused:
			return s.problem("B008", "Batch failed duplication checks")
		case DuplicateInvalid:
			return encode(http.StatusOK, map[string]any{"valid": false, "message": "Batch failed duplication checks"})
		case DuplicateCharged:
			if old.account == account {
				fresh.rows = append(slices.Clone(old.rows), in.Rows...)
			}
		case DuplicateOverwrite:
			for _, row := range old.rows {
				s.accepted[row.Identifier]--
			}
			delete(s.batches[in.ID], old.account)
		}
	}
	for _, row := range in.Rows {
		s.accepted[row.Identifier]++
	}
	if s.batches[in.ID] == nil {
		s.batches[in.ID] = make(map[string]*run)
	}
	s.batches[in.ID][account] = fresh
	return encode(http.StatusOK, map[string]any{"valid": true, "message": "Batch accepted"})
}

// day is the day of a batch_date, which may be a date or a date and time: CityPay
// documents the first, and its own Go client sends the second.
func day(text string) (string, bool) {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			return at.Format(time.DateOnly), true
		}
	}
	return "", false
}

// good says that a batch account has a documented length.
func good(account string) bool { return account == "" || len(account) >= 3 && len(account) <= 20 }

// account is the batch account of a request: it defaults to the client id (documented).
func (s *Server) account(named string) string { return cmp.Or(named, s.options.ClientID) }

// sameNumber returns the batch that a new one of this number duplicates, or nil.
func (s *Server) sameNumber(account string, id int64) *run {
	if old := s.batches[id][account]; old != nil || s.options.NumbersByAccount {
		return old
	}
	for _, old := range s.batches[id] {
		return old
	}
	return nil
}

func (s *Server) status(r batchsim.Request) batchsim.Reply {
	var in struct {
		IDs     []int64 `json:"batch_id"`
		Account string  `json:"client_account_id"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if len(in.IDs) == 0 {
		return s.problem("B003", "No batch ids provided")
	}
	if !good(in.Account) {
		return s.problem("P045", "Field invalid: client_account_id")
	}
	type row struct {
		Date   string `json:"batch_date"`
		ID     int64  `json:"batch_id"`
		Status string `json:"batch_status"`
	}
	rows := []row{}
	for _, id := range in.IDs {
		b, ok := s.batches[id][s.account(in.Account)]
		switch {
		case ok:
			if b.asked++; s.options.Autoplay > 0 && b.asked >= s.options.Autoplay {
				b.asked = 0
				s.advance(b)
			}
			rows = append(rows, row{b.date, id, b.status})
		case s.options.Unseen == UnseenUnknown:
			rows = append(rows, row{s.Clock.Now().UTC().Format(time.DateOnly), id, "UNKNOWN"})
		case s.options.Unseen == UnseenError:
			return s.problem("B002", "Batch does not exist")
		}
	}
	if s.word != "" {
		for n := range rows {
			rows[n].Status = s.word
		}
	}
	return encode(http.StatusOK, map[string]any{"batches": rows})
}

func (s *Server) retrieve(r batchsim.Request) batchsim.Reply {
	var in struct {
		ID      int64  `json:"batch_id"`
		Account string `json:"client_account_id"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if !good(in.Account) {
		return s.problem("P045", "Field invalid: client_account_id")
	}
	b, ok := s.batches[in.ID][s.account(in.Account)]
	if !ok {
		return s.problem("B002", "Batch does not exist")
	}
	results := b.results
	if !b.final() {
		switch s.options.EarlyReport {
		case EarlyRefused:
			return s.problem("B002", "Batch does not exist")
		case EarlyPartial:
			for _, row := range b.rows[:len(b.rows)/2] {
				results = append(results, wireResult{Account: row.Account, Amount: row.Amount,
					Identifier: row.Identifier,
					Merchant:   row.Merchant, Message: "Not attempted", Result: 3, Code: "", TransNo: -1,
					DateTime: s.Clock.Now().UTC().Format(time.RFC3339)})
			}
		}
	}
	var total int64
	if s.options.PaidTotal {
		for _, result := range results {
			if result.Result == 1 {
				total += result.Amount
			}
		}
	} else {
		for _, row := range b.rows {
			total += row.Amount
		}
	}
	if results == nil {
		results = []wireResult{}
	}
	return encode(http.StatusOK, map[string]any{"amount": total, "batch_date": b.date, "batch_id": b.id,
		"batch_status":      b.status,
		"client_account_id": b.account, "transactions": results})
}

func (s *Server) ping(r batchsim.Request) batchsim.Reply {
	var in struct {
		Identifier string `json:"identifier"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	out := map[string]string{"code": "044", "context": "aspiu352908ns47n343598bads", "message": "Ping OK"}
	if in.Identifier != "" {
		out["identifier"] = in.Identifier
	}
	return encode(http.StatusOK, out)
}

func (s *Server) checkACL(r batchsim.Request) batchsim.Reply {
	var in struct {
		IP string `json:"ip"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if ip := net.ParseIP(in.IP); ip == nil || ip.To4() == nil {
		return s.problem("P045", "Field invalid: ip")
	}
	return encode(http.StatusOK, map[string]any{"acl": "0.0.0.0/0", "cache": true, "ip": in.IP, "provider": "Cloud"})
}
