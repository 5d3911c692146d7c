package snapbilltest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// details are a bank account or a card. No two clients of an account share one.
type details struct {
	id                                       int64
	client                                   *client
	kind, bank, number, expiry, state, added string
	failed                                   int // debits in a row
}

// newDetails gives a client another bank account.
func (a *Account) newDetails(c *client, kind, bank, number string) *details {
	d := &details{id: 143475 + a.sets, client: c, kind: kind, bank: bank, number: number, state: "active",
		added: a.s.Clock.Now().UTC().Format(time.DateTime)}
	a.sets++
	if !a.s.options.KeepsOldDetails {
		for _, old := range c.details {
			old.state = "dead"
		}
	}
	c.details = append(c.details, d)
	return d
}

// debited are the details that a batch takes: the newest that are active; nil
// if there are none.
func (a *Account) debited(c *client) *details {
	for _, d := range slices.Backward(c.details) {
		if d.state == "active" || a.s.options.DebitsDisabled && d.state == "disabled" {
			return d
		}
	}
	return nil
}

// fail counts a debit that has come back: the second in a row, and each
// dispute, disables the account.
func (d *details) fail(disputed bool) {
	if d.failed++; (disputed || d.failed == 2) && d.state == "active" {
		d.state = "disabled"
	}
}

func (d *details) wire(a *Account) map[string]any {
	last4 := d.number[max(0, len(d.number)-4):]
	w := map[string]any{"id": d.id, "xid": a.xid(d.id), "type": d.kind, "bank": d.bank,
		"number": strings.Repeat("*", 12) + last4, "last4": last4,
		"expiry": nil, "created": d.added, "tokens": []any{}, "client": d.client.wire(a, 1)}
	if d.expiry != "" {
		w["expiry"] = d.expiry
	}
	if a.s.options.ShowsDetailsState {
		w["state"] = d.state
	}
	return w
}

// Disable disables the bank account of a client, as the system does after two
// failed debits or one dispute.
func (a *Account) Disable(number string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, d := range a.clientOf(number).details {
		d.state = "disabled"
	}
}

// DetailsOf counts the sets of payment details that a client has been given.
func (a *Account) DetailsOf(number string) int {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return len(a.clientOf(number).details)
}

// CreditsOf counts the credit payments that were booked for a client.
func (a *Account) CreditsOf(number string) int {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.clientOf(number).credits
}

func (a *Account) allDetails() (all []*details) {
	for _, c := range a.clients {
		all = append(all, c.details...)
	}
	return all
}

func onDetails(serve func(*Account, *details, call) reply) func(*Account, call) reply {
	return func(a *Account, c call) reply {
		for _, d := range a.allDetails() {
			if a.named(c, d.id) {
				return serve(a, d, c)
			}
		}
		return a.s.problem(http.StatusNotFound, "Not found", nil)
	}
}

func (a *Account) listDetails(c call) reply {
	var found []any
	for _, d := range a.allDetails() {
		if a.matches(c, "client_id", strconv.FormatInt(d.client.id, 10)) {
			found = append(found, d.wire(a))
		}
	}
	return a.page(c, "payment_details", found)
}

// updateDetails answers with an item, where an update of a client answers with
// a result.
func (a *Account) updateDetails(d *details, c call) reply {
	expiry := c.form.Get("expiry")
	if _, err := time.Parse("2006-01", expiry); err != nil {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"expiry": "Invalid date"})
	}
	d.expiry = expiry
	return item("payment_details", d.wire(a))
}

// setPayment answers with a bare result. The names of the fields of a bank
// account are made up: nobody has published them.
func (a *Account) setPayment(found *client, c call) reply {
	problems := map[string]string{}
	code := c.form.Get("payment_method_code")
	if code != "netcash" && code != "other" {
		problems["payment_method_code"] = "Unknown payment method"
	}
	number := c.form.Get("account_number")
	if c.form.Has("account_number") && (len(number) < 6 || strings.Trim(number, "0123456789") != "") {
		problems["account_number"] = "Invalid account number" // The service checks them, in a way of its own.
	}
	if len(problems) > 0 {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below", problems)
	}
	found.method = code
	if number != "" {
		a.newDetails(found, "bank_account", c.form.Get("bank"), number)
	}
	return done("", nil)
}

func (a *Account) deleteClient(found *client, _ call) reply {
	a.record("/client/delete", "client", found.id, nil)
	found.state = "dead"
	return done("", nil)
}

// invoicePDF is an invoice as a file.
func (a *Account) invoicePDF(c call) reply {
	for _, i := range a.invoices {
		if a.named(c, i.id) {
			return reply{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/pdf"}},
				Body: fmt.Appendf(nil, "%%PDF-1.4 invoice %s", a.wireInvoice(i)["number"])}
		}
	}
	return a.s.problem(http.StatusNotFound, "Not found", nil)
}
