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

// An Account is an account of SnapBill. It has its own clients and batches, and
// numbers them like every other account. All its logins see the same.
type Account struct {
	s  *Server
	id int64

	clients  []*client
	invoices []*invoice
	batches  []*run
	actions  []map[string]any
	accepted map[string]int // by client number

	sets      int64 // payment details that there ever were
	services  []*service
	recurring []recurring
	users     []*user
	sessions  int
	emails    []recurring
}

// payer is what the ledger calls the account.
func (a *Account) payer() string { return fmt.Sprint("account ", a.id) }

// A run is one batch at the service.
type run struct {
	id             int64
	state, method  string
	action, submit string // days
	builds         int    // reads until it is built
	asked          int    // reads since the last step
	payments       []*payment
}

type payment struct {
	id       int64
	batch    *run
	client   *client
	details  *details
	cents    int64
	state    string
	invoices []*invoice
}

type client struct {
	id                                    int64
	number, name, email, company, surname string
	cell, method, state                   string
	details                               []*details
	charges                               []int64 // cents that are on no invoice yet
	credit                                int64   // cents
	credits                               int     // payments that a change of the credit has booked
}

type invoice struct {
	id     int64
	client *client
	due    string
	cents  int64
	state  string
	lines  []map[string]any
}

func (b *run) pending() int {
	n := 0
	for _, p := range b.payments {
		if p.state == "pending" {
			n++
		}
	}
	return n
}

func (a *Account) newBatch(method, action string, filled bool) *run {
	b := &run{id: int64(1500 + len(a.batches)), state: "ready", method: method, action: action,
		builds: a.s.options.BuildReads}
	a.batches = append(a.batches, b)
	if b.builds > 0 {
		b.state = "build"
	}
	if filled {
		for _, c := range a.clients {
			if a.debited(c) == nil || c.state == "dead" && !a.s.options.DebitsDead {
				continue
			}
			var cents int64
			var due []*invoice
			for _, i := range a.invoices {
				if i.client == c && i.state == "unpaid" && i.due <= action && c.method == method {
					cents += i.cents
					i.state = "pending"
					due = append(due, i)
				}
			}
			if cents > 0 {
				a.pay(b, c, cents, due...)
			}
		}
	}
	a.record("/batch/add", "batch", b.id, nil)
	if alone := a.s.options.SubmitsAlone; alone > 0 {
		a.s.Clock.After(alone, func() {
			a.s.mu.Lock()
			defer a.s.mu.Unlock()
			if b.state == "ready" {
				a.submit(b)
			}
		})
	}
	return b
}

// payments counts all payments there are, for their numbers.
func (a *Account) payments() int64 {
	n := int64(0)
	for _, b := range a.batches {
		n += int64(len(b.payments))
	}
	return n
}

func (a *Account) pay(b *run, c *client, cents int64, invoices ...*invoice) {
	account := a.debited(c)
	if account == nil {
		account = c.details[len(c.details)-1] // A person has put the client on the batch.
	}
	b.payments = append(b.payments, &payment{id: 932850 + a.payments(), batch: b, client: c, details: account,
		cents: cents, state: "pending",
		invoices: invoices})
}

// delete deletes a batch.
func (a *Account) delete(b *run) {
	b.state = "dead"
	for _, p := range b.payments {
		for _, i := range p.invoices {
			if !a.s.options.DeadKeepsInvoices {
				i.state = "unpaid"
			}
		}
	}
	a.record("/batch/update/state", "batch", b.id, map[string]any{"from": "ready", "to": "dead"})
}

// submit queues a batch for the bank, and reports whether it did.
func (a *Account) submit(b *run) bool {
	if b.state != "ready" && (b.state == "build" || b.state == "dead" || b.state == "error" ||
		a.s.options.Resubmit != ResubmitQueued) {
		return false
	}
	b.state = "submit"
	for _, p := range b.payments {
		p.state = "pending"
		a.accepted[p.client.number]++
	}
	a.record("/batch/update/state", "batch", b.id, map[string]any{"from": "ready", "to": "submit"})
	return true
}

// advance moves a batch one step on. The outcomes of a small batch come one
// at a time; of a large one, seven of eight that are missing.
func (a *Account) advance(b *run) {
	switch b.state {
	case "submit":
		b.state, b.submit = "submitted", a.s.Clock.Now().UTC().Format(time.DateOnly)
		for _, p := range b.payments {
			a.s.Ledger.Move(batchsim.Effect{Payer: a.payer(), Batch: strconv.FormatInt(b.id, 10), Item: p.client.number,
				Account: p.client.number, Minor: p.cents, Currency: "ZAR", At: a.s.Clock.Now()})
		}
	case "submitted":
		b.state = "ok"
	case "ok":
		hear := 1 + b.pending()/8*7
		for _, p := range b.payments {
			if p.state != "pending" {
				continue
			}
			switch {
			case slices.Contains(a.s.options.Bounces, p.client.number):
				p.state = "bounce"
				p.details.fail(false)
			case slices.Contains(a.s.options.Refutes, p.client.number):
				p.state = "refuted"
				p.details.fail(true)
			default:
				p.state, p.details.failed = "paid", 0
			}
			if hear--; hear == 0 {
				return
			}
		}
	}
}

// record writes an action, as the service does of every change.
func (a *Account) record(path, kind string, id int64, details map[string]any) {
	action := map[string]any{"depth": 0, "id": 1062 + len(a.actions), "xid": a.xid(1062 + int64(len(a.actions))),
		"url": path, "path": path,
		"link": "/" + kind + "/" + a.xid(id), "item_type": kind, "description": path, "details": details,
		"date": a.s.Clock.Now().UTC().Format(time.DateTime), kind: map[string]any{"depth": 2, "id": id,
			"xid": a.xid(id), "state": "ready"}}
	if details == nil {
		action["details"] = []any{}
	}
	a.actions = append(a.actions, action)
}

// xid is written from the documentation, not with the client's code: six bits a
// character, four of them for each three bytes.
func (a *Account) xid(object int64) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	half := func(n int64) (text string) {
		for ; n > 0; n >>= 6 {
			text = digits[n&63:n&63+1] + text
		}
		return text
	}
	return half(a.id) + ":" + half(object)
}

var zar = map[string]any{"code": "ZAR", "format": "R%.2f", "enabled": true}

func (a *Account) wireAccount(depth int) map[string]any {
	return map[string]any{"depth": depth, "id": a.id, "xid": a.xid(a.id), "username": "demo"}
}

func method(code string, depth int) map[string]any {
	name := map[string]string{"netcash": "Netcash Collect", "other": "Other"}[code]
	m := map[string]any{"depth": depth, "code": code, "name": name, "enabled": true}
	if depth == 0 && code == "netcash" {
		m["currencies"] = []any{zar}
	}
	return m
}

func decimal(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// loose writes a number as the service does: as a string, if it comes from the
// database, and as a number, if it is the default.
func (a *Account) loose(n int64) any {
	if n != 0 && !a.s.options.PlainNumbers {
		return strconv.FormatInt(n, 10)
	}
	return n
}

func (a *Account) wire(b *run, depth int) map[string]any {
	w := map[string]any{"depth": depth, "id": b.id, "xid": a.xid(b.id), "state": b.state, "action_date": b.action,
		"submit_date":    nil,
		"payment_method": method(b.method, 1), "number": fmt.Sprintf("%03d", b.id-1499),
		"options": map[string]any{"type": "two-day", "account": ""},
		"account": a.wireAccount(1), "currency": zar}
	if a.s.word != "" {
		w["state"] = a.s.word
	}
	if b.submit != "" {
		w["submit_date"] = b.submit
	}
	if depth > 0 {
		return w
	}
	counts, cents := map[string]int64{}, map[string]int64{}
	for _, p := range b.payments {
		for _, bucket := range []string{"total", p.state} {
			counts[bucket]++
			cents[bucket] += p.cents
		}
	}
	totals, amounts, inCents := map[string]any{"total": counts["total"]},
		map[string]any{"total": decimal(cents["total"])}, map[string]any{"total": cents["total"]}
	for _, bucket := range []string{"bounce", "refuted", "pending", "paid"} {
		totals[bucket], amounts[bucket], inCents[bucket] = a.loose(counts[bucket]), decimal(cents[bucket]),
			a.loose(cents[bucket])
	}
	w["totals"], w["amounts"], w["amounts_cents"] = totals, amounts, inCents
	return w
}

// named reports whether the path names this object, by number or by xid.
func (a *Account) named(c call, id int64) bool {
	return c.PathValue("id") == strconv.FormatInt(id, 10) || c.PathValue("id") == a.xid(id)
}

func onBatch(serve func(*Account, *run, call) batchsim.Reply) func(*Account, call) batchsim.Reply {
	return func(a *Account, c call) batchsim.Reply {
		for _, b := range a.batches {
			if a.named(c, b.id) {
				return serve(a, b, c)
			}
		}
		return a.s.problem(http.StatusNotFound, "Not found", nil)
	}
}

func (a *Account) getBatch(b *run, _ call) batchsim.Reply {
	if b.state == "build" {
		if b.builds--; b.builds < 0 {
			b.state = "ready"
		}
	}
	if b.asked++; a.s.options.Autoplay > 0 && b.asked >= a.s.options.Autoplay {
		b.asked = 0
		a.advance(b)
	}
	return item("batch", a.wire(b, 0))
}

// page is one page of a list.
func (a *Account) page(c call, class string, all []any) batchsim.Reply {
	return pageOf(c, class, all, func(row any) any { return row })
}

// pageOf is one page of a list. Only the rows of the page are made.
func pageOf[T any](c call, class string, all []T, wire func(T) any) batchsim.Reply {
	number := func(field string, otherwise int) int {
		if n, err := strconv.Atoi(c.form.Get(field)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	page, size := number("page", 1), min(number("perpage", 25), 100)
	pages := (len(all) + size - 1) / size
	found := all[min((page-1)*size, len(all)):]
	rows := []any{}
	for _, row := range found[:min(size, len(found))] {
		rows = append(rows, wire(row))
	}
	return encode(http.StatusOK, map[string]any{"code": 200, "type": "list", "page": page, "numpages": pages,
		"class": class, "list": rows})
}

// matches reports whether a value is what a filter asks for.
func (a *Account) matches(c call, field, value string) bool {
	return a.s.options.IgnoresFilters || c.form.Get(field) == "" || c.form.Get(field) == value
}

func (a *Account) listBatches(c call) batchsim.Reply {
	var found []*run
	states := c.form["state[]"]
	for _, b := range slices.Backward(a.batches) {
		if (len(states) == 0 && b.state != "dead" || slices.Contains(states, b.state) || a.s.options.IgnoresFilters) &&
			a.matches(c, "submit_date", b.submit) && a.matches(c, "payment_method", b.method) {
			found = append(found, b)
		}
	}
	return pageOf(c, "batch", found, func(b *run) any { return a.wire(b, 0) })
}

func (a *Account) addBatch(c call) batchsim.Reply {
	code, action := c.form.Get("payment_method_code"), c.form.Get("action_date")
	if code != "netcash" && code != "other" {
		return a.s.problem(http.StatusBadRequest, "Unknown payment method", nil)
	}
	if _, err := time.Parse(time.DateOnly, action); err != nil {
		return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
			map[string]string{"action_date": "Invalid date"})
	}
	return item("batch", a.wire(a.newBatch(code, action, !a.s.options.AddsEmpty), 0))
}

func (a *Account) changed(b *run) batchsim.Reply {
	if a.s.options.WithoutObject {
		return done("", nil)
	}
	return done("batch", a.wire(b, 0))
}

// setState changes the state of a batch as a user may; nil means that it did,
// or that it was ignored.
func (a *Account) setState(b *run, state string, honoured bool) *batchsim.Reply {
	refused := func(why string) *batchsim.Reply {
		reply := a.s.problem(http.StatusBadRequest, "Could not update batch", map[string]string{"state": why})
		return &reply
	}
	switch {
	case state == "" || !honoured:
	case state == "submit" && b.state != "ready" && a.s.options.Resubmit == ResubmitRefused:
		return refused("The batch is not ready")
	case state == "submit":
		a.submit(b)
	case state == "dead" && a.s.options.KeepsBatches:
	case state == "dead" && (b.state == "ready" || b.state == "build"):
		a.delete(b)
	default:
		return refused("Invalid state")
	}
	return nil
}

func (a *Account) updateBatch(b *run, c call) batchsim.Reply {
	if action := c.form.Get("action_date"); action != "" {
		if _, err := time.Parse(time.DateOnly, action); err != nil || b.state != "ready" {
			return a.s.problem(http.StatusBadRequest, "Please correct the errors below",
				map[string]string{"action_date": "Invalid date"})
		}
		b.action = action
	}
	if refused := a.setState(b, c.form.Get("state"), a.s.options.Honours != HonoursSetState); refused != nil {
		return *refused
	}
	return a.changed(b)
}

func (a *Account) setBatchState(b *run, c call) batchsim.Reply {
	if refused := a.setState(b, c.form.Get("state"), a.s.options.Honours != HonoursUpdate); refused != nil {
		return *refused
	}
	return done("", nil)
}

func (a *Account) wirePayment(p *payment) map[string]any {
	return map[string]any{"id": p.id, "xid": a.xid(p.id), "client": p.client.wire(a, 0), "batch": a.wire(p.batch, 1),
		"currency": zar,
		"amount":   decimal(p.cents), "amount_cents": p.cents,
		"reference":      fmt.Sprintf("Debit order payment (Batch #%03d)", p.batch.id-1499),
		"payment_method": method(p.batch.method, 1), "state": p.state,
		"payment_details": p.details.wire(a)}
}

func (a *Account) getPayment(c call) batchsim.Reply {
	for _, b := range a.batches {
		for _, p := range b.payments {
			if a.named(c, p.id) {
				return item("payment", a.wirePayment(p))
			}
		}
	}
	return a.s.problem(http.StatusNotFound, "Not found", nil)
}

func (a *Account) listPayments(c call) batchsim.Reply {
	var found []*payment
	for _, b := range a.batches {
		if !a.matches(c, "batch_id", strconv.FormatInt(b.id, 10)) {
			continue
		}
		for _, p := range b.payments {
			if a.matches(c, "client_id", strconv.FormatInt(p.client.id, 10)) && a.matches(c, "state", p.state) {
				found = append(found, p)
			}
		}
	}
	return pageOf(c, "payment", found, func(p *payment) any { return a.wirePayment(p) })
}

func (a *Account) getAction(c call) batchsim.Reply {
	for _, action := range a.actions {
		if a.named(c, int64(action["id"].(int))) {
			return item("action", action)
		}
	}
	return a.s.problem(http.StatusNotFound, "Not found", nil)
}

// index lists the commands of a class.
func (a *Account) index(c call) batchsim.Reply {
	class := "/v1/" + strings.TrimSuffix(c.PathValue("class"), ".json")
	return commands(map[string]string{"add": class + "/add", "list": class + "/list", "{id}": class + "/{id}"})
}

func commands(index map[string]string) batchsim.Reply {
	return encode(http.StatusOK, map[string]any{"code": 200, "type": "index", "index": index})
}

// addresses reports whether a part of a path names an object, by number or by
// xid, and no command.
func addresses(part string) bool {
	return strings.Contains(part, ":") || part != "" && strings.Trim(part, "0123456789") == ""
}

// form lists what a command takes. A GET changes nothing, whatever it names.
func (a *Account) form(c call) batchsim.Reply {
	command := strings.TrimSuffix(c.PathValue("command"), ".json")
	if object := "/v1/" + c.PathValue("class") + "/" + command; c.PathValue("id") == "" && addresses(command) {
		// One pattern serves both.
		return commands(map[string]string{"get": object + "/get", "update": object + "/update"})
	}
	control := func(kind, name, caption string) map[string]any {
		return map[string]any{"type": kind, "name": name, "caption": caption}
	}
	var controls []any
	switch c.PathValue("class") + "/" + command {
	case "batch/add":
		controls = []any{control("textbox", "action_date", "Action date"),
			map[string]any{"options": []any{map[string]any{"caption": "Netcash Collect", "key": "netcash"}},
				"multiple": false, "case": true, "type": "select", "name": "payment_method_code",
				"caption": "Payment method", "required": true}}
	case "batch/update":
		controls = []any{control("textbox", "action_date", "Action date")}
		if a.s.options.Honours != HonoursSetState {
			controls = append(controls, control("select", "state", "State"))
		}
	case "batch/set_state":
		controls = []any{control("select", "state", "State")}
	case "client/set_payment":
		controls = []any{control("select", "payment_method_code", "Payment method"), control("textbox", "bank", "Bank"),
			control("textbox", "account_number", "Account number")}
	case "client/add":
		controls = []any{control("textbox", "firstname", "First Name"), control("email", "email", "Email Address")}
	default:
		controls = []any{}
	}
	return encode(http.StatusOK, map[string]any{"code": 200, "type": "form", "controls": controls})
}
