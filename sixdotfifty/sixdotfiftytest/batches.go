package sixdotfiftytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// A run is one batch at the service.
type run struct {
	of                 *organisation
	id, name, external string
	status             string
	created, submitted time.Time
	payments           []*payment
	asked              int // reads since a member joined
}

type payment struct {
	id, batch             string
	msisdn, first, last   string
	external              string
	amount                int64 // hundredths
	referral              int64 // and for the referrer
	referrer              string
	times                 int // how often it was submitted
	status                string
	member                bool
	created, settled, due time.Time
}

// The wire, written from 6DOT50's documentation and not from the client.

type wireBatch struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	ExternalID string        `json:"externalId,omitempty"`
	StatusCode string        `json:"statusCode"`
	CreatedAt  string        `json:"createdAt"`
	Summary    *wireSummary  `json:"summary,omitempty"`
	Payments   []wirePayment `json:"payments,omitempty"`
}

type wireSummary struct {
	PaymentsAmount  json.Number `json:"paymentsAmount"`
	PaymentsCount   int         `json:"paymentsCount"`
	ReferralsAmount json.Number `json:"referralsAmount"`
	SettledAmount   json.Number `json:"settledAmount"`
	SettledCount    int         `json:"settledCount"`
	CancelledAmount json.Number `json:"cancelledAmount"`
	CancelledCount  int         `json:"cancelledCount"`
}

type wirePayment struct {
	ID             string      `json:"id"`
	BatchID        string      `json:"batchId"`
	MSISDN         string      `json:"msisdn"`
	Amount         json.Number `json:"amount"`
	FirstName      string      `json:"firstname,omitempty"`
	LastName       string      `json:"lastname,omitempty"`
	ExternalID     string      `json:"externalId,omitempty"`
	StatusCode     string      `json:"statusCode"`
	SettledAt      string      `json:"settledAt,omitempty"`
	IsMember       bool        `json:"isMember"`
	ReferralAmount json.Number `json:"referralAmount,omitempty"`
	ReferralMSISDN string      `json:"referralMsisdn,omitempty"`
	CreatedAt      string      `json:"createdAt"`
}

// decimal writes hundredths as the service does: 250, 5.5, 100.75.
func decimal(hundredths int64) json.Number {
	text := fmt.Sprintf("%d.%02d", hundredths/100, hundredths%100)
	return json.Number(strings.TrimSuffix(strings.TrimRight(text, "0"), "."))
}

var decimals = regexp.MustCompile(`^([0-9]{1,13})(?:\.([0-9]{1,2}))?$`)

// hundredths reads a positive amount with at most two decimals.
func hundredths(n json.Number) (int64, bool) {
	parts := decimals.FindStringSubmatch(n.String())
	if parts == nil {
		return 0, false
	}
	value, err := strconv.ParseInt(parts[1]+(parts[2] + "00")[:2], 10, 64)
	return value, err == nil && value > 0
}

// moment writes a time as the service does when it reads one back.
func (s *Server) moment(t time.Time) string {
	if s.options.ZonedTimes {
		return t.UTC().Format("2006-01-02T15:04:05.9999999Z")
	}
	return t.UTC().Format("2006-01-02T15:04:05.999")
}

func (s *Server) wire(b *run, summary bool) wireBatch {
	w := wireBatch{ID: b.id, Name: b.name, ExternalID: b.external, StatusCode: b.status, CreatedAt: s.moment(b.created)}
	if s.word != "" {
		w.StatusCode = s.word
	}
	if !summary {
		// Create and update write more digits, and a zone (documented).
		w.CreatedAt = b.created.UTC().Format("2006-01-02T15:04:05.9999999Z")
		return w
	}
	var all, settled, cancelled, referred int64
	sum := &wireSummary{PaymentsCount: len(b.payments)}
	for _, p := range b.payments {
		all += p.amount
		referred += p.referral
		switch p.status {
		case "SETTLED":
			settled += p.amount
			sum.SettledCount++
		case "CANCELLED":
			cancelled += p.amount
			sum.CancelledCount++
		}
	}
	sum.ReferralsAmount = decimal(referred)
	if s.options.ReferralsInTotal {
		all += referred
	}
	sum.PaymentsAmount, sum.SettledAmount, sum.CancelledAmount = decimal(all), decimal(settled), decimal(cancelled)
	w.Summary = sum
	return w
}

func (s *Server) wirePayment(p *payment) wirePayment {
	w := wirePayment{ID: p.id, BatchID: p.batch, MSISDN: p.msisdn, Amount: decimal(p.amount), FirstName: p.first,
		LastName:   p.last,
		ExternalID: p.external, StatusCode: p.status, IsMember: p.member, CreatedAt: s.moment(p.created)}
	if p.status == "DRAFT" {
		w.IsMember = !s.outside[p.msisdn]
	}
	if p.referral > 0 {
		w.ReferralAmount, w.ReferralMSISDN = decimal(p.referral), p.referrer
	}
	if !p.settled.IsZero() {
		w.SettledAt = s.moment(p.settled)
	}
	return w
}

func (s *Server) wirePayments(b *run) []wirePayment {
	list := make([]wirePayment, len(b.payments))
	for n, p := range b.payments {
		list[n] = s.wirePayment(p)
	}
	return list
}

// settle pays the members, and closes the batch if nothing is pending.
func (s *Server) settle(b *run) {
	if b.status != "OPEN" {
		return
	}
	now := s.Clock.Now()
	pending := false
	for _, p := range b.payments {
		switch {
		case p.status != "PENDING":
		case !s.outside[p.msisdn]:
			p.status, p.settled, p.member = "SETTLED", now, true
			for range p.times {
				s.pays(b, p)
			}
		case !now.Before(p.due):
			p.status = "CANCELLED"
			b.of.float += p.amount * int64(p.times)
		default:
			pending = true
		}
	}
	if !pending {
		b.status = "CLOSED"
	}
}

// pays moves the money of a payment.
func (s *Server) pays(b *run, p *payment) {
	s.Ledger.Move(batchsim.Effect{Payer: "account " + b.of.name, Batch: b.id, Item: p.external, Account: p.msisdn,
		Minor: p.amount, Currency: "DZAR", At: s.Clock.Now()})
	if p.referral > 0 {
		s.Ledger.Move(batchsim.Effect{Payer: "account " + b.of.name, Batch: b.id, Item: p.external + "/referral",
			Account: p.referrer, Minor: p.referral, Currency: "DZAR", At: s.Clock.Now()})
	}
}

func (s *Server) settleAll() {
	for _, o := range s.organisations {
		for _, b := range o.batches {
			s.settle(b)
		}
	}
}

func (s *Server) pay() []batchsim.Operation {
	op := func(name, method, path string,
		serve func(*organisation, batchsim.Request) batchsim.Reply) batchsim.Operation {
		return s.operation("pay", name, method, path, serve)
	}
	return []batchsim.Operation{
		s.getToken("pay", "GetToken"),
		op("ListAccounts", http.MethodGet, "/accounts", s.accounts),
		op("CreateBatch", http.MethodPost, "/batches", s.create),
		op("ListBatches", http.MethodGet, "/batches", s.list),
		op("GetBatch", http.MethodGet, "/batches/{id}", s.with(s.get)),
		op("UpdateBatch", http.MethodPut, "/batches/{id}", s.with(s.update)),
		op("BatchStatusCodes", http.MethodGet, "/batches/statusCodes", codes(
			"CANCELLED", "Cancelled", "CLOSED", "Closed", "DRAFT", "In draft", "OPEN", "Open batch")),
		op("AddPayments", http.MethodPost, "/batches/{id}/payments", s.with(s.add)),
		op("ListPayments", http.MethodGet, "/batches/{id}/payments", s.with(s.listPayments)),
		op("SubmitBatch", http.MethodPost, "/batches/{id}/submit", s.with(s.submit)),
		op("CancelBatch", http.MethodPost, "/batches/{id}/cancel", s.with(s.cancel)),
		op("GetPayment", http.MethodGet, "/payments/{id}", s.getPayment),
		op("DeletePayment", http.MethodDelete, "/payments/{id}", s.deletePayment),
		op("PaymentStatusCodes", http.MethodGet, "/payments/statusCodes", codes(
			"DRAFT", "Payment in draft", "SETTLED", "Payment settled", "CANCELLED", "Payment cancelled", "PENDING",
			"Payment pending")),
		op("MemberExists", http.MethodGet, "/members/{msisdn}/exists", s.memberExists),
	}
}

// codes answers with pairs of a code and its description.
func codes(pairs ...string) func(*organisation, batchsim.Request) batchsim.Reply {
	var list []map[string]string
	for pair := range slices.Chunk(pairs, 2) {
		list = append(list, map[string]string{"code": pair[0], "description": pair[1]})
	}
	return func(*organisation, batchsim.Request) batchsim.Reply { return encode(http.StatusOK, list) }
}

// with finds the batch that the path names.
func (s *Server) with(serve func(*run, batchsim.Request) batchsim.Reply) func(*organisation,
	batchsim.Request) batchsim.Reply {
	return func(o *organisation, r batchsim.Request) batchsim.Reply {
		for _, b := range o.batches {
			if b.id == r.PathValue("id") {
				s.settle(b)
				return serve(b, r)
			}
		}
		return s.problem(http.StatusNotFound, "Batch not found")
	}
}

func (s *Server) accounts(o *organisation, _ batchsim.Request) batchsim.Reply {
	var balance any = decimal(o.float)
	if s.options.StringBalances {
		balance = decimal(o.float).String()
	}
	return encode(http.StatusOK, []map[string]any{{"id": "00000000-002c-ec11-ae72-281870000000", "name": "AcmeCorp",
		"shortName": o.name,
		"createdAt": "2021-10-13T08:38:16.127", "active": true, "balance": balance, "availableBalance": balance,
		"currencyCode": "DZAR"}})
}

// unique reports whether no other batch of the organisation has this external id.
func (s *Server) unique(o *organisation, external string, self *run) bool {
	return external == "" || !slices.ContainsFunc(o.batches, func(b *run) bool {
		return b != self && b.external == external && (b.status != "CANCELLED" || !s.options.CancelFreesID)
	})
}

func (s *Server) create(o *organisation, r batchsim.Request) batchsim.Reply {
	var in struct {
		Name       string `json:"name"`
		ExternalID string `json:"externalId"`
	}
	if !decode(r.Body, &in) || in.Name == "" {
		return s.problem(http.StatusBadRequest, "name is required")
	}
	if !s.unique(o, in.ExternalID, nil) {
		return s.problem(http.StatusBadRequest, "externalId must be unique")
	}
	s.made++
	b := &run{of: o, id: fmt.Sprintf("b7ccbefd-51e1-4720-81fb-%012d", s.made), name: in.Name, external: in.ExternalID,
		status: "DRAFT", created: s.Clock.Now()}
	o.batches = append(o.batches, b)
	return encode(http.StatusOK, s.wire(b, false))
}

func (s *Server) get(b *run, _ batchsim.Request) batchsim.Reply {
	if b.asked++; s.options.Autoplay > 0 && b.asked >= s.options.Autoplay && b.status == "OPEN" {
		b.asked = 0
		for _, p := range b.payments {
			if p.status == "PENDING" {
				delete(s.outside, p.msisdn)
				break
			}
		}
		s.settle(b)
	}
	return encode(http.StatusOK, s.wire(b, true))
}

func (s *Server) update(b *run, r batchsim.Request) batchsim.Reply {
	var in struct {
		Name       *string `json:"name"`
		ExternalID *string `json:"externalId"`
	}
	switch {
	case b.status != "DRAFT":
		return s.problem(http.StatusBadRequest, "The batch is not in draft")
	case !decode(r.Body, &in) || in.Name != nil && *in.Name == "":
		return s.problem(http.StatusBadRequest, "Invalid request")
	case in.ExternalID != nil && !s.unique(b.of, *in.ExternalID, b):
		return s.problem(http.StatusBadRequest, "externalId must be unique")
	}
	if in.Name != nil {
		b.name = *in.Name
	}
	if in.ExternalID != nil {
		b.external = *in.ExternalID
	}
	return encode(http.StatusOK, s.wire(b, false))
}

// page cuts a list by skip and take; without take it ends at 1,000.
func page[T any](s *Server, list []T, r batchsim.Request) ([]T, bool) {
	skip, take := 0, 1000
	for name, value := range map[string]*int{"skip": &skip, "take": &take} {
		if text := r.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return nil, false
			}
			*value = n
		}
	}
	if s.options.MaxTake > 0 {
		take = min(take, s.options.MaxTake)
	}
	list = list[min(skip, len(list)):]
	return list[:min(take, len(list))], true
}

func (s *Server) list(o *organisation, r batchsim.Request) batchsim.Reply {
	status, external := r.URL.Query().Get("statusCode"), r.URL.Query().Get("externalId")
	found := []wireBatch{}
	for _, b := range slices.Backward(o.batches) {
		s.settle(b)
		matches := external == "" || b.external == external || s.options.FilterPrefix &&
			strings.HasPrefix(b.external, external)
		if matches && (status == "" || b.status == status) {
			found = append(found, s.wire(b, true))
		}
	}
	found, ok := page(s, found, r)
	if !ok {
		return s.problem(http.StatusBadRequest, "skip and take must be numbers")
	}
	return encode(http.StatusOK, found)
}

var digits = regexp.MustCompile(`^[1-9][0-9]{7,14}$`)

func (s *Server) add(b *run, r batchsim.Request) batchsim.Reply {
	var in struct {
		ClearExisting *bool `json:"clearExisting"`
		Payments      []struct {
			MSISDN         string      `json:"msisdn"`
			Amount         json.Number `json:"amount"`
			FirstName      string      `json:"firstname"`
			LastName       string      `json:"lastname"`
			ExternalID     string      `json:"externalId"`
			ReferralAmount json.Number `json:"referralAmount"` // ignored unless enabled
			ReferralMSISDN string      `json:"referralMsisdn"`
		} `json:"payments"`
	}
	switch {
	case b.status != "DRAFT":
		return s.problem(http.StatusBadRequest, "The batch is not in draft")
	case !decode(r.Body, &in) || in.ClearExisting == nil || in.Payments == nil:
		return s.problem(http.StatusBadRequest, "Invalid request")
	}
	taken := make(map[string]bool)
	if !*in.ClearExisting {
		for _, p := range b.payments {
			taken[p.external] = true
		}
	}
	var added []*payment
	for n, p := range in.Payments {
		amount, ok := hundredths(p.Amount)
		switch {
		case !ok:
			return s.problem(http.StatusBadRequest, fmt.Sprintf("payment %d: amount is not valid", n))
		case !digits.MatchString(p.MSISDN):
			return s.problem(http.StatusBadRequest, fmt.Sprintf("payment %d: msisdn is not valid", n))
		case p.ExternalID != "" && (taken[p.ExternalID] || s.options.PaymentIDsStay && b.of.taken[p.ExternalID]):
			return s.problem(http.StatusBadRequest, fmt.Sprintf("payment %d: externalId must be unique", n))
		}
		taken[p.ExternalID] = true
		made := &payment{batch: b.id, msisdn: p.MSISDN, first: p.FirstName, last: p.LastName,
			external: p.ExternalID, amount: amount, status: "DRAFT", created: s.Clock.Now()}
		if s.options.Referrals && p.ReferralAmount != "" {
			if made.referral, ok = hundredths(p.ReferralAmount); !ok || !digits.MatchString(p.ReferralMSISDN) {
				return s.problem(http.StatusBadRequest, fmt.Sprintf("payment %d: referral is not valid", n))
			}
			made.referrer = p.ReferralMSISDN
		}
		added = append(added, made)
	}
	if *in.ClearExisting {
		b.payments = nil
	}
	for _, p := range added {
		s.issued++
		p.id = fmt.Sprintf("d07295e6-98ef-46b1-9911-%012d", s.issued)
		b.of.taken[p.external] = true
		b.payments = append(b.payments, p)
	}
	switch s.options.Added {
	case AddedPayments:
		return encode(http.StatusOK, s.wirePayments(&run{payments: added}))
	case AddedNothing:
		return batchsim.Reply{Status: http.StatusOK}
	}
	return encode(http.StatusOK, s.wire(b, true).Summary)
}

func (s *Server) listPayments(b *run, r batchsim.Request) batchsim.Reply {
	list, ok := s.wirePayments(b), true
	switch s.options.Payments {
	case PaymentsCut:
		list = list[:min(1000, len(list))]
	case PaymentsPaged:
		list, ok = page(s, list, r)
	}
	if !ok {
		return s.problem(http.StatusBadRequest, "skip and take must be numbers")
	}
	return encode(http.StatusOK, list)
}

func (s *Server) submit(b *run, r batchsim.Request) batchsim.Reply {
	twin := s.options.NoLock && r.At.Before(b.submitted) // It was a draft when this submit looked.
	if b.status != "DRAFT" && !twin {
		return s.problem(http.StatusBadRequest, "The batch is not in draft")
	}
	if len(r.Body) > 0 || len(b.payments) == 0 {
		return s.problem(http.StatusBadRequest, "Invalid request")
	}
	var total int64
	for _, p := range b.payments {
		total += p.amount + p.referral
	}
	if total > b.of.float {
		return s.problem(http.StatusBadRequest, "Insufficient funds")
	}
	b.of.float -= total
	now := s.Clock.Now()
	for _, p := range b.payments {
		s.accepted[p.external]++
		if p.times++; p.status == "SETTLED" {
			s.pays(b, p)
		}
		if !twin {
			p.status, p.due = "PENDING", now.Add(s.options.ClaimWindow)
		}
	}
	if !twin {
		b.status, b.submitted = "OPEN", now
	}
	s.settle(b)
	if b.status == "OPEN" && !twin {
		s.Clock.After(s.options.ClaimWindow, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settle(b)
		})
	}
	w := s.wire(b, true)
	if !s.options.SubmitWithoutPayments {
		w.Payments = s.wirePayments(b)
	}
	return encode(http.StatusOK, w)
}

func (s *Server) cancel(b *run, _ batchsim.Request) batchsim.Reply {
	if b.status != "DRAFT" {
		return s.problem(http.StatusBadRequest, "The batch is not in draft")
	}
	b.status = "CANCELLED"
	for _, p := range b.payments {
		p.status = "CANCELLED"
	}
	return encode(http.StatusOK, s.wire(b, true))
}

func (s *Server) find(o *organisation, id string) (*run, int) {
	for _, b := range o.batches {
		for n, p := range b.payments {
			if p.id == id {
				s.settle(b)
				return b, n
			}
		}
	}
	return nil, 0
}

func (s *Server) getPayment(o *organisation, r batchsim.Request) batchsim.Reply {
	b, n := s.find(o, r.PathValue("id"))
	if b == nil {
		return s.problem(http.StatusNotFound, "Payment not found")
	}
	return encode(http.StatusOK, s.wirePayment(b.payments[n]))
}

func (s *Server) deletePayment(o *organisation, r batchsim.Request) batchsim.Reply {
	b, n := s.find(o, r.PathValue("id"))
	if b == nil {
		return s.problem(http.StatusNotFound, "Payment not found")
	}
	p := b.payments[n]
	if p.status != "DRAFT" {
		return s.problem(http.StatusBadRequest, "The payment is not in draft")
	}
	b.payments = slices.Delete(b.payments, n, n+1)
	w := s.wirePayment(p)
	w.StatusCode = "DELETED"
	return encode(http.StatusOK, w)
}

func (s *Server) memberExists(_ *organisation, r batchsim.Request) batchsim.Reply {
	member := !s.outside[r.PathValue("msisdn")]
	if s.options.MissingMembers && !member {
		return s.problem(http.StatusNotFound, "Member not found")
	}
	return encode(http.StatusOK, member)
}
