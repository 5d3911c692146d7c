package citypaytest

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// wireAuth is a transaction as a look-up shows it.
type wireAuth struct {
	Amount     string `json:"amount"`
	Value      int64  `json:"amount_value"`
	ATRN       string `json:"atrn"`
	AuthCode   string `json:"authcode"`
	BatchNo    string `json:"batchno"`
	Currency   string `json:"currency"`
	DateTime   string `json:"datetime"`
	Identifier string `json:"identifier"`
	MaskedPAN  string `json:"maskedpan"`
	Merchant   int64  `json:"merchantid"`
	Result     string `json:"result"`
	ResultID   string `json:"result_id"`
	Status     string `json:"trans_status"`
	TransType  string `json:"trans_type"`
	TransNo    int64  `json:"transno"`
	Type       string `json:"type"`
	UTC        int64  `json:"utc"`
}

// An ending is what became of a transaction.
type ending struct {
	status, result, id, authCode string
	paid                         bool
}

var (
	taken    = ending{"O", "Accepted", "1", "A12345", true}
	declined = ending{"D", "Declined", "0", "", false}

	unanswered = map[Unanswered]ending{UnansweredPaid: taken, UnansweredDeclined: declined,
		UnansweredAwaiting: {"H", "Hold", "7", "", false}}
)

// record keeps a sale for look-ups, and returns its number.
func (s *Server) record(row wireRow, how ending, now time.Time) int64 {
	s.charged++
	s.auths = append(s.auths, wireAuth{Amount: fmt.Sprintf("%d.%02d", row.Amount/100, row.Amount%100),
		Value:    row.Amount,
		AuthCode: how.authCode, Currency: s.options.Currency, DateTime: now.Format(time.RFC3339),
		Identifier: row.Identifier,
		MaskedPAN:  "400000******0002", Merchant: row.Merchant, Result: how.result, ResultID: how.id,
		Status:    how.status,
		TransType: "M", TransNo: s.charged, Type: "sale", UTC: now.UnixMilli()})
	return s.charged
}

// retention is how long a look-up shows a transaction (documented).
const retention = 90 * 24 * time.Hour

func (s *Server) lookUp(r batchsim.Request) batchsim.Reply {
	var in struct {
		Identifier string `json:"identifier"`
		Merchant   int64  `json:"merchantid"`
		TransNo    int64  `json:"transno"`
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	switch {
	case in.Merchant < 1:
		return s.problem("P002", "Merchant ID missing")
	case in.Identifier == "" && in.TransNo == 0:
		return s.problem("P013", "Transaction number missing")
	case in.Identifier != "" && len(in.Identifier) < 4:
		return s.problem("P039", "Identifier is too short")
	case len(in.Identifier) > 50:
		return s.problem("P016", "Identifier is too long")
	}
	since := s.Clock.Now().Add(-retention).UnixMilli()
	auths := []wireAuth{}
	for _, auth := range slices.Backward(s.auths) {
		same := auth.TransNo == in.TransNo || in.Identifier != "" && auth.Identifier == in.Identifier
		if same && auth.Merchant == in.Merchant && auth.UTC >= since && len(auths) < 5 {
			auths = append(auths, auth)
		}
	}
	switch {
	case len(auths) > 0 || !s.options.LookUpRefuses:
		return encode(http.StatusOK, map[string]any{"auths": auths})
	case in.Identifier != "":
		return s.problem("D023", "Transaction not found for merchant with given identifier")
	}
	return s.problem("D022", "Transaction not found for merchant with given trasaction number")
}
