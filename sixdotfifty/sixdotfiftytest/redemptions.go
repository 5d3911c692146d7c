package sixdotfiftytest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// merchantAccount is the only account of the simulated merchant.
const merchantAccount = "00000000-0000-0000-0000-000000000000"

// A merchant is the state of Redemptions.
type merchant struct {
	payments     []*redemption // oldest first
	transactions []transaction // oldest first
	balance      int64         // cents
}

type redemption struct {
	id, reference, currency, country, returnURL string
	amount                                      int64 // cents
	status, code                                int
	created, completed                          time.Time
}

type transaction struct {
	debit, credit int64
	description   string
	created       time.Time
}

var statusMessages = map[int]string{0: "Payment is in progress", 1: "Payment completed successfully",
	2: "Payment cancelled",
	3: "Payment was cancelled by user", 4: "Payment has been refunded", 10: "Payment failed"}

var errorMessages = map[int]string{1: "Insufficient funds in account",
	2: "Payment has been declined due to authentication failure",
	3: "Payment has been declined", 4: "Payment marked as a duplicate transaction",
	5: "Payment has been marked as suspected fraud",
	6: "Payment has an Invalid Amount specified", 7: "Timeout occurred trying to process payment"}

// Confirm lets the member confirm a payment on the hosted page.
func (s *Server) Confirm(paymentID string) { s.complete(paymentID, 1, 0) }

// Decline lets the member cancel a payment on the hosted page.
func (s *Server) Decline(paymentID string) { s.complete(paymentID, 3, 0) }

// Fail ends a payment with one of the documented status and error codes.
func (s *Server) Fail(paymentID string, status, code int) { s.complete(paymentID, status, code) }

// Refund gives a collected payment back, as 6DOT50 does on request.
func (s *Server) Refund(paymentID string) { s.complete(paymentID, 4, 0) }

func (s *Server) complete(id string, status, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := slices.IndexFunc(s.merchant.payments, func(p *redemption) bool { return p.id == id })
	if n < 0 {
		panic("sixdotfiftytest: there is no payment " + id)
	}
	p := s.merchant.payments[n]
	refund := status == 4
	if p.status != 0 && (!refund || p.status != 1) {
		return // It is over.
	}
	p.status, p.code, p.completed = status, code, s.Clock.Now()
	switch {
	case status == 1:
		s.merchant.balance += p.amount
		s.merchant.transactions = append(s.merchant.transactions,
			transaction{credit: p.amount, description: "Payment received: " + p.reference, created: p.completed})
		s.Ledger.Move(batchsim.Effect{Payer: "merchant ACME1", Batch: p.id, Item: p.reference, Minor: p.amount,
			Currency: p.currency, At: p.completed})
	case refund:
		s.merchant.balance -= p.amount
		s.merchant.transactions = append(s.merchant.transactions,
			transaction{debit: p.amount, description: "Payment refunded: " + p.reference, created: p.completed})
	}
}

func (s *Server) redemptions() []batchsim.Operation {
	op := func(name, method, path string, serve func(batchsim.Request) batchsim.Reply) batchsim.Operation {
		return s.operation("redemptions", name, method, path, func(_ *organisation, r batchsim.Request) batchsim.Reply {
			return serve(r)
		})
	}
	return []batchsim.Operation{
		s.getToken("redemptions", "RedemptionsGetToken"),
		op("RedemptionsListAccounts", http.MethodGet, "/accounts", s.merchantAccounts),
		op("RedemptionsListTransactions", http.MethodGet, "/accounts/{id}/transactions", s.merchantTransactions),
		op("RedemptionsInitiatePayment", http.MethodPost, "/payments", s.initiate),
		op("RedemptionsGetPayment", http.MethodGet, "/payments/{id}", s.getRedemption),
		op("RedemptionsListPayments", http.MethodGet, "/payments", s.listRedemptions),
	}
}

func (s *Server) merchantAccounts(batchsim.Request) batchsim.Reply {
	balance := strconv.FormatInt(s.merchant.balance, 10)
	return encode(http.StatusOK, []map[string]any{{"id": merchantAccount, "name": "AcmeCorp", "shortName": "ACME1",
		"createdAt": "2022-09-16T09:47:58.157", "balance": balance, "availableBalance": balance,
		"currencyCode": "DZAR", "settlementCurrencyCode": "ZAR", "settlementFrequency": 1}})
}

// between reads a pair of query parameters; both bounds are inclusive here.
func between(r batchsim.Request, name string) (func(time.Time) bool, bool) {
	bounds := [2]time.Time{}
	for n, suffix := range []string{"From", "To"} {
		if text := r.URL.Query().Get(name + suffix); text != "" {
			t, err := time.Parse(time.RFC3339, text)
			if err != nil {
				return nil, false
			}
			bounds[n] = t
		}
	}
	return func(t time.Time) bool {
		return (bounds[0].IsZero() || !t.Before(bounds[0])) &&
			(bounds[1].IsZero() || !t.IsZero() && !t.After(bounds[1]))
	}, true
}

func (s *Server) merchantTransactions(r batchsim.Request) batchsim.Reply {
	created, ok := between(r, "createdAt")
	if !ok || r.PathValue("id") != merchantAccount {
		return s.invalid("106", "Invalid value supplied", "id")
	}
	found := []map[string]any{}
	for n, t := range slices.Backward(s.merchant.transactions) {
		if created(t.created) {
			found = append(found, map[string]any{"id": 1917 + n, "amountDebit": strconv.FormatInt(t.debit, 10),
				"amountCredit": strconv.FormatInt(t.credit, 10),
				"currencyCode": "DZAR", "description": t.description, "createdAt": s.moment(t.created)})
		}
	}
	found, ok = page(s, found, r)
	if !ok {
		return s.invalid("106", "Invalid value supplied", "skip")
	}
	return encode(http.StatusOK, found)
}

// invalid is the documented error of Redemptions for a field.
func (s *Server) invalid(code, message, field string) batchsim.Reply {
	return encode(http.StatusBadRequest, map[string]any{"statusCode": 400, "errorCode": "1",
		"message": "Validation error",
		"validationErrors": []map[string]string{{"index": "0", "errorCode": code, "errorMessage": message,
			"fieldName": field, "fieldValue": ""}}})
}

func (s *Server) initiate(r batchsim.Request) batchsim.Reply {
	var in struct {
		Amount       string `json:"amount"`
		CurrencyCode string `json:"currencyCode"`
		AccountID    string `json:"accountId"`
		Reference    string `json:"reference"`
		ReturnURL    string `json:"returnUrl"`
		CountryCode  string `json:"countryCode"`
	}
	if !decode(r.Body, &in) {
		return encode(http.StatusBadRequest, map[string]any{"statusCode": 400, "errorCode": "2",
			"message": "Invalid request"})
	}
	amount, err := strconv.ParseInt(in.Amount, 10, 64)
	switch {
	case err != nil || amount <= 0:
		return s.invalid("106", "Invalid value supplied", "amount")
	case in.AccountID != merchantAccount:
		return s.invalid("106", "Invalid value supplied", "accountId")
	case in.Reference == "" || in.CurrencyCode == "" || in.CountryCode == "":
		return s.invalid("100", "Required parameter missing", "reference")
	case s.options.UniqueReferences && slices.ContainsFunc(s.merchant.payments, func(p *redemption) bool {
		return p.reference == in.Reference
	}):
		return s.invalid("106", "Invalid value supplied", "reference")
	}
	p := &redemption{id: fmt.Sprintf("009c3481-a65c-4afa-a950-%012d", len(s.merchant.payments)+1),
		reference: in.Reference, currency: in.CurrencyCode,
		country: in.CountryCode, returnURL: in.ReturnURL, amount: amount, created: s.Clock.Now()}
	s.merchant.payments = append(s.merchant.payments, p)
	w := s.wireRedemption(p)
	delete(w, "countryCode")
	delete(w, "returnUrl")
	return encode(http.StatusOK, w)
}

func (s *Server) wireRedemption(p *redemption) map[string]any {
	w := map[string]any{"id": p.id, "reference": p.reference, "amount": strconv.FormatInt(p.amount, 10),
		"accountId":    merchantAccount,
		"currencyCode": p.currency, "statusCode": p.status, "statusMessage": statusMessages[p.status],
		"errorCode": p.code,
		"createdAt": s.moment(p.created), "countryCode": p.country}
	if p.code != 0 {
		w["errorMessage"] = errorMessages[p.code]
	}
	if !p.completed.IsZero() {
		w["completedAt"] = s.moment(p.completed)
	}
	if p.returnURL != "" {
		w["returnUrl"] = p.returnURL
	}
	return w
}

func (s *Server) getRedemption(r batchsim.Request) batchsim.Reply {
	for _, p := range s.merchant.payments {
		if p.id == r.PathValue("id") {
			return encode(http.StatusOK, s.wireRedemption(p))
		}
	}
	return s.problem(http.StatusNotFound, "Payment not found")
}

func (s *Server) listRedemptions(r batchsim.Request) batchsim.Reply {
	created, ok1 := between(r, "createdAt")
	completed, ok2 := between(r, "completedAt")
	if !ok1 || !ok2 {
		return s.invalid("106", "Invalid value supplied", "createdAtFrom")
	}
	q := r.URL.Query()
	is := func(name string, value int) bool { return q.Get(name) == "" || q.Get(name) == strconv.Itoa(value) }
	found := []map[string]any{}
	for _, p := range slices.Backward(s.merchant.payments) {
		if (q.Get("reference") == "" || q.Get("reference") == p.reference) && is("statusCode", p.status) &&
			is("errorCode", p.code) &&
			created(p.created) && completed(p.completed) {
			found = append(found, s.wireRedemption(p))
		}
	}
	found, ok := page(s, found, r)
	if !ok {
		return s.invalid("106", "Invalid value supplied", "skip")
	}
	return encode(http.StatusOK, found)
}
