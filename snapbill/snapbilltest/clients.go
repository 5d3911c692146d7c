package snapbilltest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// clientOf finds a client by number, or makes one who pays by debit order.
func (a *Account) clientOf(number string) *client {
	for _, c := range a.clients {
		if c.number == number {
			return c
		}
	}
	c := &client{id: int64(158958 + len(a.clients)), number: number, name: "client " + number, method: "netcash",
		state: "active"}
	a.clients = append(a.clients, c)
	a.newDetails(c, "bank_account", "ABSA BANK", fmt.Sprintf("40%08d", c.id))
	return c
}

func (a *Account) bill(c *client, due string, cents int64) *invoice {
	i := &invoice{id: int64(1055387 + len(a.invoices)), client: c, due: due, cents: cents, state: "unpaid"}
	a.invoices = append(a.invoices, i)
	return i
}

func (c *client) wire(a *Account, depth int) map[string]any {
	w := map[string]any{"depth": depth, "id": c.id, "xid": a.xid(c.id), "state": c.state, "number": c.number,
		"name": c.name}
	if depth > 1 {
		return w
	}
	unpaid := int64(0)
	for _, i := range a.invoices {
		if i.client == c && i.state == "unpaid" {
			unpaid += i.cents
		}
	}
	for key, value := range map[string]any{"account": a.wireAccount(1), "cell": c.cell, "company": c.company,
		"country": southAfrica, "credit": decimal(c.credit), "credit_cents": c.credit,
		"currency": zar, "discount": "0.00", "email": c.email, "firstname": c.name, "payment": c.method,
		"payment_method": method(c.method, depth+1),
		"surname":        c.surname, "totals": map[string]any{"unpaid_invoices": decimal(unpaid),
			"unpaid_invoices_cents": unpaid, "paid_payments": "0.00", "paid_payments_cents": 0},
		"urls": map[string]any{"statement": "https://demo.snapbill.com/statement/" + a.xid(c.id) + "/=NTYxY2UyN2E5",
			"payment": "https://demo.snapbill.com/payment/client/" + a.xid(c.id) + "/=YjE5YTM0YWNm"},
		"data": map[string]any{"public_city": nil, "vat_number": nil}} {
		w[key] = value
	}
	if depth == 0 {
		services := map[string]any{}
		for _, service := range a.services {
			if service.client == c && !service.dead {
				services[strconv.FormatInt(service.id, 10)] = map[string]any{"id": service.id, "xid": a.xid(service.id),
					"name": pancakes["name"]}
			}
		}
		if w["services"] = services; len(services) == 0 {
			w["services"] = []any{}
		}
	}
	return w
}

func onClient(serve func(*Account, *client, call) batchsim.Reply) func(*Account, call) batchsim.Reply {
	return func(a *Account, c call) batchsim.Reply {
		for _, found := range a.clients {
			if a.named(c, found.id) {
				return serve(a, found, c)
			}
		}
		return a.s.problem(http.StatusNotFound, "Not found", nil)
	}
}

func (a *Account) listClients(c call) batchsim.Reply {
	var found []*client
	for _, one := range a.clients {
		if a.matches(c, "email", one.email) &&
			(c.form.Get("query") == "" || strings.Contains(one.name+" "+one.number, c.form.Get("query"))) {
			found = append(found, one)
		}
	}
	return pageOf(c, "client", found, func(c *client) any { return c.wire(a, 0) })
}

func (a *Account) addClient(c call) batchsim.Reply {
	name := c.form.Get("firstname")
	if name == "" && c.form.Get("company") == "" && c.form.Get("surname") == "" {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"firstname": "A name is required"})
	}
	number := c.form.Get("number")
	if number == "" {
		number = fmt.Sprintf("%03d", len(a.clients)+1)
	}
	if slices.ContainsFunc(a.clients, func(other *client) bool { return other.number == number }) {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"number": "Already in use"})
	}
	made := a.clientOf(number)
	made.name, made.email, made.cell, made.surname, made.company = name, c.form.Get("email"), c.form.Get("cell"),
		c.form.Get("surname"), c.form.Get("company")
	if code := c.form.Get("payment_method_code"); code != "" {
		made.method = code
	}
	return item("client", made.wire(a, 0))
}

// updateClient ignores state, as the real one does.
func (a *Account) updateClient(found *client, c call) batchsim.Reply {
	for field, value := range map[string]*string{"firstname": &found.name, "email": &found.email, "cell": &found.cell,
		"company": &found.company, "surname": &found.surname} {
		if c.form.Has(field) {
			*value = c.form.Get(field)
		}
	}
	if text := c.form.Get("credit"); text != "" {
		cents, ok := hundredths(text)
		if !ok {
			return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
				map[string]string{"credit": "Invalid amount"})
		}
		switch {
		case a.s.options.AddsCredit:
			found.credit += cents
			found.credits++
		case cents != found.credit:
			found.credit = cents
			found.credits++
		}
	}
	if a.s.options.WithoutObject {
		return done("", nil)
	}
	return done("client", found.wire(a, 0))
}

// addInvoice ignores date, as the real one does.
func (a *Account) addInvoice(found *client, c call) batchsim.Reply {
	lines, total, ok := formLines(c.form)
	if !ok {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"unit_cost": "Invalid amount"})
	}
	return a.invoiced(found, total, lines)
}

// generateInvoice answers without an object where nothing is due.
func (a *Account) generateInvoice(found *client, _ call) batchsim.Reply {
	if len(found.charges) == 0 {
		return done("", nil)
	}
	var lines []map[string]any
	var total int64
	for n, cents := range found.charges {
		total += cents
		lines = append(lines, lineWire(n, "Service", cents, 100, cents))
	}
	found.charges = nil
	return a.invoiced(found, total, lines)
}

// invoiced makes an invoice of today.
func (a *Account) invoiced(c *client, total int64, lines []map[string]any) batchsim.Reply {
	made := a.bill(c, a.s.Clock.Now().UTC().Format(time.DateOnly), total)
	made.lines = lines
	return item("invoice", a.wireInvoice(made))
}

// lineWire is the nth line of an invoice; quantity is in hundredths.
func lineWire(n int, description string, unit, quantity, cents int64) map[string]any {
	return map[string]any{"id": 1898286 + n, "xid": 1898286 + n, "item_name": "", "description": description,
		"unit_cost":       decimal(unit),
		"unit_cost_cents": unit, "quantity": decimal(quantity), "total": decimal(cents), "total_cents": cents,
		"taxed": true, "package": nil, "term": nil}
}

// hundredths reads a decimal with up to two places.
func hundredths(text string) (int64, bool) {
	whole, places, _ := strings.Cut(text, ".")
	if len(places) > 2 {
		return 0, false
	}
	n, err := strconv.ParseInt(whole+(places + "00")[:2], 10, 64)
	return n, err == nil && n >= 0
}

func (a *Account) wireInvoice(i *invoice) map[string]any {
	number := fmt.Sprintf("%s/%04d", i.client.number, i.id-1055386)
	lines := []any{}
	for _, line := range i.lines {
		lines = append(lines, line)
	}
	return map[string]any{"id": i.id, "xid": a.xid(i.id), "created": i.due + " 09:56:13", "type": "invoice",
		"state": i.state, "po_number": "", "date": i.due, "due_date": i.due,
		"name": "Invoice " + number, "number": number, "currency": zar, "subtotal": decimal(i.cents),
		"subtotal_cents": i.cents, "taxes": []any{}, "discount": "0.00",
		"total": decimal(i.cents), "total_cents": i.cents, "lines": lines, "client": i.client.wire(a, 1),
		"urls": map[string]any{"view": "https://demo.snapbill.com/invoice/" + a.xid(i.id) + "/=MzU2NWE1MTUy",
			"payment": "https://demo.snapbill.com/payment/invoice/" + a.xid(i.id) + "/=NDI1ODEzYzIw"}}
}

func (a *Account) getInvoice(c call) batchsim.Reply {
	for _, i := range a.invoices {
		if a.named(c, i.id) {
			return item("invoice", a.wireInvoice(i))
		}
	}
	return a.s.problem(http.StatusNotFound, "Not found", nil)
}

func (a *Account) listInvoices(c call) batchsim.Reply {
	var found []*invoice
	for _, i := range a.invoices {
		if a.matches(c, "client_id", strconv.FormatInt(i.client.id, 10)) {
			found = append(found, i)
		}
	}
	return pageOf(c, "invoice", found, func(i *invoice) any { return a.wireInvoice(i) })
}

func (a *Account) getPaymentMethod(c call) batchsim.Reply {
	code := c.PathValue("code")
	if code != "netcash" && code != "other" {
		return a.s.problem(http.StatusNotFound, "Not found", nil)
	}
	return item("payment_method", method(code, 0))
}
