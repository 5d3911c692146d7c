package citypaytest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// A settlement is what one merchant took and returned until a time.
type settlement struct {
	merchant int64
	number   int64 // of this merchant, from 1
	at       time.Time
}

// Settle settles every transaction that is open for settlement, as CityPay does
// at midnight: one settlement batch for each merchant.
func (s *Server) Settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	numbers := make(map[int64]int64)
	for n := range s.auths {
		auth := &s.auths[n]
		if auth.Status != "O" {
			continue
		}
		if numbers[auth.Merchant] == 0 {
			numbers[auth.Merchant] = 1
			for _, earlier := range s.settled {
				if earlier.merchant == auth.Merchant {
					numbers[auth.Merchant]++
				}
			}
			s.settled = append(s.settled, settlement{auth.Merchant, numbers[auth.Merchant], s.Clock.Now().UTC()})
		}
		auth.Status, auth.BatchNo = "S", strconv.FormatInt(numbers[auth.Merchant], 10)
	}
}

// sums adds a settlement up: sales, refunds, and how many of each.
func (s *Server) sums(of settlement) (sales, refunds, bought, returned int64) {
	for _, auth := range s.auths {
		switch {
		case auth.Merchant != of.merchant || auth.BatchNo != strconv.FormatInt(of.number, 10):
		case auth.Type == "refund":
			refunds, returned = refunds+auth.Value, returned+1
		default:
			sales, bought = sales+auth.Value, bought+1
		}
	}
	return sales, refunds, bought, returned
}

func (s *Server) showBatch(of settlement) map[string]any {
	sales, refunds, bought, returned := s.sums(of)
	pounds := func(n int64) string { return fmt.Sprintf("\u00a3%d.%02d", n/100, n%100) }
	return map[string]any{"batch_closed": of.at.Format(time.RFC3339), "batch_no": strconv.FormatInt(of.number, 10),
		"batch_status": "Settled", "batch_status_code": "S", "currency": s.options.Currency, "merchantid": of.merchant,
		"net_summary": map[string]any{"credit_items_amount": pounds(refunds), "credit_items_count": returned,
			"credit_items_value": refunds, "debit_items_amount": pounds(sales), "debit_items_count": bought,
			"debit_items_value": sales, "net_amount": max(sales-refunds, refunds-sales),
			"total_count": bought + returned}}
}

// A wirePage is what every paged report is asked with.
type wirePage struct {
	MaxResults int    `json:"maxResults"`
	NextToken  string `json:"nextToken"`
	OrderBy    string `json:"orderBy"`
}

// page cuts a report. The token is where the next page begins.
func page[T any](s *Server, key string, rows []T, p wirePage) batchsim.Reply {
	if p.MaxResults == 0 {
		p.MaxResults = 20
	}
	start := 0
	if p.NextToken != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(p.NextToken, "page-"))
		if err != nil || n < 0 || n > len(rows) {
			return s.problem("P045", "Field invalid: nextToken")
		}
		start = n
	}
	if p.MaxResults < 5 || p.MaxResults > 250 {
		return s.problem("P045", "Field invalid: maxResults")
	}
	end, next := min(start+p.MaxResults, len(rows)), ""
	if end < len(rows) {
		next = fmt.Sprint("page-", end)
	}
	return encode(http.StatusOK, map[string]any{key: append([]T{}, rows[start:end]...), "count": len(rows),
		"maxResults": p.MaxResults, "nextToken": next})
}

type wireDays struct {
	From      string  `json:"date_from"`
	Until     string  `json:"date_until"`
	Merchants []int64 `json:"merchant_id"`
	wirePage
}

// between are the settlements of these days and merchants.
func (s *Server) between(in wireDays) ([]settlement, bool) {
	for _, day := range []string{in.From, in.Until} {
		if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil {
			return nil, false
		}
	}
	var found []settlement
	for _, one := range s.settled {
		day := one.at.Format(time.DateOnly)
		if (in.From == "" || day >= in.From) && (in.Until == "" || day <= in.Until) &&
			(len(in.Merchants) == 0 || slices.Contains(in.Merchants, one.merchant)) {
			found = append(found, one)
		}
	}
	return found, true
}

func (s *Server) merchantBatchReport(r batchsim.Request) batchsim.Reply {
	var in wireDays
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	found, good := s.between(in)
	if !good {
		return s.problem("P045", "Field invalid: date")
	}
	slices.SortFunc(found, func(a, b settlement) int {
		order := cmp.Or(cmp.Compare(a.merchant, b.merchant), cmp.Compare(a.number, b.number))
		if strings.TrimPrefix(in.OrderBy, "-") == "batch_no" {
			order = cmp.Or(cmp.Compare(a.number, b.number), order)
		}
		if strings.HasPrefix(in.OrderBy, "-") {
			return -order
		}
		return order
	})
	rows := []map[string]any{}
	for _, one := range found {
		rows = append(rows, s.showBatch(one))
	}
	return page(s, "batches", rows, in.wirePage)
}

// settlement finds the one of a path.
func (s *Server) settlement(r batchsim.Request) (settlement, bool) {
	for _, one := range s.settled {
		if fmt.Sprint(one.merchant) == r.PathValue("merchantid") && fmt.Sprint(one.number) == r.PathValue("batch_no") {
			return one, true
		}
	}
	return settlement{}, false
}

func (s *Server) merchantBatch(r batchsim.Request) batchsim.Reply {
	one, ok := s.settlement(r)
	if !ok {
		return s.problem("D101", "Data is not found")
	}
	return encode(http.StatusOK, s.showBatch(one))
}

func (s *Server) merchantBatchTransactions(r batchsim.Request) batchsim.Reply {
	var in wirePage
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	one, ok := s.settlement(r)
	if !ok {
		return s.problem("D101", "Data is not found")
	}
	var rows []wireAuth
	for _, auth := range s.auths {
		if auth.Merchant == one.merchant && auth.BatchNo == fmt.Sprint(one.number) {
			rows = append(rows, auth)
		}
	}
	if strings.HasPrefix(in.OrderBy, "-") {
		slices.Reverse(rows)
	}
	return page(s, "data", rows, in)
}

// days shows the settlements of each day, the oldest first.
func (s *Server) days(found []settlement) []map[string]any {
	rows := []map[string]any{}
	for len(found) > 0 {
		day := found[0].at.Format(time.DateOnly)
		batches := []map[string]any{}
		var sales, refunds, bought, returned int64
		for len(found) > 0 && found[0].at.Format(time.DateOnly) == day {
			a, b, c, d := s.sums(found[0])
			sales, refunds, bought, returned = sales+a, refunds+b, bought+c, returned+d
			batches, found = append(batches, s.showBatch(found[0])), found[1:]
		}
		rows = append(rows, map[string]any{"batches": batches, "clientid": s.options.ClientID, "date": day,
			"date_created": day + "T00:00:00Z", "net_amount": max(sales-refunds, 0),
			"processed_amount": sales + refunds,
			"processed_count":  bought + returned, "refund_amount": refunds, "refund_count": returned,
			"sales_amount": sales, "sales_count": bought, "settlement_implementation": "",
			"uuid": "123e4567-e89b-12d3-a456-426614174000",
			"remittances": []map[string]any{{"date_created": day + "T00:00:00Z", "net_amount": max(sales-refunds, 0),
				"refund_amount": refunds, "refund_count": returned, "sales_amount": sales, "sales_count": bought}}})
	}
	return rows
}

func (s *Server) remittanceReport(r batchsim.Request) batchsim.Reply {
	var in wireDays
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	if r.PathValue("clientid") != s.options.ClientID {
		return batchsim.Reply{Status: http.StatusForbidden}
	}
	found, good := s.between(in)
	if !good {
		return s.problem("P045", "Field invalid: date")
	}
	return page(s, "data", s.days(found), in.wirePage)
}

func (s *Server) remittance(r batchsim.Request) batchsim.Reply {
	if r.PathValue("clientid") != s.options.ClientID {
		return batchsim.Reply{Status: http.StatusForbidden}
	}
	all := s.days(s.settled)
	day := r.PathValue("date")
	switch {
	case day == "latest" && len(all) > 0:
		return encode(http.StatusOK, all[len(all)-1])
	case day == "today":
		day = s.Clock.Now().UTC().Format(time.DateOnly)
	}
	for _, one := range all {
		if one["date"] == day {
			return encode(http.StatusOK, one)
		}
	}
	if s.options.NoRemittanceEmpty {
		return encode(http.StatusOK, map[string]any{})
	}
	return s.problem("D101", "Data is not found")
}

func (s *Server) transactionReport(r batchsim.Request) batchsim.Reply {
	var in struct {
		Merchant    int64     `json:"merchantid"`
		From        time.Time `json:"from"`
		Until       time.Time `json:"until"`
		Mode        string    `json:"mode"`
		Authorised  bool      `json:"include_authorised"`
		Cancelled   bool      `json:"include_cancelled"`
		Declined    bool      `json:"include_declined"`
		Rejected    bool      `json:"include_rejected"`
		Unfulfilled bool      `json:"include_unfulfilled"`
		Sale        bool      `json:"type_sale"`
		Refund      bool      `json:"type_refund"`
		Verify      bool      `json:"type_verify"`
		wirePage
	}
	if !decode(r.Body, &in) {
		return batchsim.Reply{Status: http.StatusBadRequest}
	}
	switch {
	case in.Merchant < 1:
		return s.problem("P002", "Merchant ID missing")
	case in.From.IsZero() || in.Until.IsZero():
		return s.problem("P044", "Field missing: from, until")
	}
	var rows []wireAuth
	for _, auth := range s.auths {
		at := time.UnixMilli(auth.UTC)
		status := map[string]bool{"O": in.Authorised, "A": in.Authorised, "S": in.Authorised, "P": in.Authorised,
			"C": in.Cancelled, "D": in.Declined, "R": in.Rejected}
		wanted, known := status[auth.Status]
		if !known {
			wanted = in.Unfulfilled
		}
		kind := map[string]bool{"sale": in.Sale, "refund": in.Refund, "verification": in.Verify}[auth.Type]
		within := !at.Before(in.From) && !at.After(in.Until)
		if auth.Merchant == in.Merchant && wanted && kind && within {
			rows = append(rows, auth)
		}
	}
	return page(s, "data", rows, in.wirePage)
}
