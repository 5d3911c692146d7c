// Package snapbilltest is an in-process SnapBill: for tests, for examples, and
// for trying things out without an account. It checks what SnapBill checks,
// ignores what the real one is known to ignore, and keeps a ledger of what was
// really collected.
//
// What is assumed rather than documented, each with an option that plays the
// other answer:
//
//   - Both update and set_state submit a batch (Options.Honours).
//   - A second submit is refused (Options.Resubmit).
//   - A new batch is filled with every client who is due (Options.AddsEmpty), and
//     ready at once (Options.BuildReads).
//   - Nothing submits a ready batch by itself (Options.SubmitsAlone).
//   - A refusal has the HTTP status of the code in its body
//     (Options.RefusesInBody).
//   - A change answers with the object (Options.WithoutObject).
//   - A batch can be deleted (Options.KeepsBatches), and its invoices go on
//     another one then (Options.DeadKeepsInvoices).
//   - Filters are honoured (Options.IgnoresFilters).
//   - Numbers that are not zero are strings (Options.PlainNumbers).
//   - A wrong login is refused in SnapBill's envelope (Options.BareUnauthorized).
//   - A client whose bank details are disabled (documented: after two failed debits
//     in a row, or one dispute) is put on no batch (Options.DebitsDisabled), and
//     neither is one who was deleted (Options.DebitsDead).
//   - The state of bank details is not shown (Options.ShowsDetailsState).
//   - New bank details replace the old ones (Options.KeepsOldDetails), and a batch
//     debits the newest. The names of their fields, bank and account_number, are
//     made up: see the form.
//
// Known of the real one, and so here: a client's state and the date of a new
// invoice are ignored.
//
// The laws of batch.Provider cannot hold under four of these, by nature, and
// other tests play them:
//
//   - AddsEmpty: no call puts a client on a batch, so no draft is ever accepted.
//   - SubmitsAlone: money moves without a Submit, also after one was refused.
//   - KeepsBatches: a Cancel that works is a part of the laws.
//   - IgnoresFilters: with two batches, every list has rows of the other one.
package snapbilltest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/snapbill"
)

// Options is how the simulated SnapBill behaves. The zero value is the likely
// one.
type Options struct {
	Username, Password string   // empty means some of its own
	Bounces            []string // numbers of clients whose payments bounce
	Refutes            []string // and of those who dispute them

	Autoplay int  // a batch moves one step with every so many reads; 0 means only by Advance and FinishAll
	InMemory bool // no socket: for a testing/synctest bubble, reached by Config().HTTPClient

	Honours       Honours
	Resubmit      Resubmit
	AddsEmpty     bool
	BuildReads    int           // a new batch is being built for so many reads
	SubmitsAlone  time.Duration // after which the system submits a ready batch; 0 means never
	RefusesInBody bool          // refusals are HTTP 200 with another code in the body
	WithoutObject bool
	KeepsBatches  bool // state dead is ignored
	// DeadKeepsInvoices leaves the invoices on a batch that is deleted.
	DeadKeepsInvoices bool
	IgnoresFilters    bool
	PlainNumbers      bool
	// BareUnauthorized answers a wrong login with 401 and no body, which could be
	// any proxy's.
	BareUnauthorized bool

	DebitsDisabled    bool
	DebitsDead        bool
	ShowsDetailsState bool
	KeepsOldDetails   bool // a second set of bank details leaves the first one active
	AddsCredit        bool // a credit is added, and is not the total
	// Commands are what the account offers beyond the documentation, by "class/command".
	// Each is given the id in the path, if any, and the form.
	Commands map[string]func(id string, form url.Values)
}

// Honours says which calls change the state of a batch; another is accepted
// and ignored.
type Honours int

// The calls that change the state of a batch.
const (
	HonoursBoth Honours = iota
	HonoursUpdate
	HonoursSetState
)

// Resubmit is what happens to a second submit.
type Resubmit int

// The answers to a second submit.
const (
	ResubmitRefused Resubmit = iota // 400
	ResubmitIgnored                 // success, and nothing happens
	ResubmitQueued                  // success, and every client is debited again
)

// Server is the simulated SnapBill. It has one account; NewAccount adds others.
// Its time, its ledger, the requests that arrived, and faults for any operation
// (Inject) are those of [batchsim.Kit]. The operations are named as in package
// snapbill.
type Server struct {
	*Account
	batchsim.Kit
	http.Handler
	URL string // the base URL: "http://127.0.0.1:41234/v1"

	options Options
	server  *batchsim.Server

	mu     sync.Mutex
	logins map[string]login // by user name
	word   string           // the state of every batch, if set
}

type reply = batchsim.Reply

type login struct {
	password string
	account  *Account
}

// New starts a server. Close it.
func New(o *Options) *Server {
	s := &Server{logins: make(map[string]login)}
	if o != nil {
		s.options = *o
	}
	s.options.Username = cmp.Or(s.options.Username, "demo")
	s.options.Password = cmp.Or(s.options.Password, "a-password-of-the-simulator")
	s.Account = s.NewAccount(10608)
	s.Login(s.options.Username, s.options.Password)
	s.Handler = s.Kit.Handler(s.operations(), func(batchsim.Request) batchsim.Reply {
		return s.problem(http.StatusNotFound, "Command not found", nil)
	})
	if s.options.InMemory {
		s.server = batchsim.ListenInMemory(s.Handler)
	} else {
		s.server = batchsim.Listen(s.Handler)
	}
	s.URL = s.server.URL + "/v1"
	return s
}

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// Config is the configuration of a client of this server.
func (s *Server) Config() snapbill.Config {
	return snapbill.Config{Username: s.options.Username, Password: s.options.Password, BaseURL: s.URL,
		HTTPClient: s.server.HTTPClient()}
}

// Rotate gives the login of Config another password, which Config returns from
// then on. What has the old one is refused. It is not safe beside Config.
func (s *Server) Rotate() {
	s.options.Password = "password-" + rand.Text()
	s.Login(s.options.Username, s.options.Password)
}

// NewAccount adds an account of that number. It has no login yet.
func (s *Server) NewAccount(id int64) *Account {
	return &Account{s: s, id: id, accepted: make(map[string]int)}
}

// Login adds a staff login to the account.
func (a *Account) Login(username, password string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.logins[username] = login{password, a}
}

// Accepted counts, by client number, how often a payment was queued for the
// bank.
func (a *Account) Accepted() map[string]int {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	accepted := make(map[string]int, len(a.accepted))
	for number, times := range a.accepted {
		accepted[number] = times
	}
	return accepted
}

// Bill gives a client, new or known, an unpaid invoice. A batch with an action
// date of that day or later takes it.
func (a *Account) Bill(number string, due snapbill.Date, cents int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.bill(a.clientOf(number), string(due), cents)
}

// Charge lets a client, new or known, owe what is on no invoice yet, as a
// service that has come up for renewal does. GenerateInvoice makes it one.
func (a *Account) Charge(number string, cents int64) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	c := a.clientOf(number)
	c.charges = append(c.charges, cents)
}

// NewBatch makes a batch as a person does in the web interface, with every client
// who is due, and returns its number.
func (a *Account) NewBatch(action snapbill.Date) int64 {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	return a.newBatch("netcash", string(action), true).id
}

// AddToBatch adds a client to a batch as a person does in the web interface.
func (a *Account) AddToBatch(batchID int64, number string, cents int64) {
	a.with(batchID, func(b *run) {
		if b.state == "ready" {
			a.pay(b, a.clientOf(number), cents)
		}
	})
}

// Submit submits a batch as a person does in the web interface.
func (a *Account) Submit(batchID int64) { a.with(batchID, func(b *run) { a.submit(b) }) }

// Advance moves a batch one step on: submit, submitted, ok, and then one
// outcome after the other, or seven of eight if there are many.
func (a *Account) Advance(batchID int64) { a.with(batchID, a.advance) }

// Fail ends a batch in error, as the system does.
func (a *Account) Fail(batchID int64) {
	a.with(batchID, func(b *run) {
		b.state = "error"
		for _, p := range b.payments {
			p.state = "error"
		}
	})
}

// Bounce returns a payment that was paid.
func (a *Account) Bounce(number string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, b := range a.batches {
		for _, p := range b.payments {
			if p.client.number == number && p.state == "paid" {
				p.state = "bounce"
				p.details.fail(false)
			}
		}
	}
}

// FinishAll brings every submitted batch to its end.
func (a *Account) FinishAll() {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, b := range a.batches {
		for a.advance(b); b.state == "submitted" || b.state == "ok" && b.pending() > 0; {
			a.advance(b)
		}
	}
}

// Mark gives the payments of a client another state, whatever the word. Only
// pending, paid, bounce and refuted have a bucket in the totals.
func (a *Account) Mark(number, state string) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, b := range a.batches {
		for _, p := range b.payments {
			if p.client.number == number {
				p.state = state
			}
		}
	}
}

// SayState makes every later reply about a batch use this word; "" ends it.
func (s *Server) SayState(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

// Break makes the next request that can move money meet the scenario.
func (s *Server) Break(scenario batchsim.Scenario) {
	for _, op := range []string{"UpdateBatch", "SetBatchState"} {
		s.Kit.Break(op, scenario, s.problem(http.StatusBadRequest, "Could not update batch",
			map[string]string{"": "Batch is still being built"}),
			s.problem(http.StatusUnauthorized, "No login", nil))
	}
}

func (a *Account) with(batchID int64, do func(*run)) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	for _, b := range a.batches {
		if b.id == batchID {
			do(b)
			return
		}
	}
	panic(fmt.Sprintf("snapbilltest: there is no batch %d", batchID))
}

// A call is one request of a login, with its form.
type call struct {
	batchsim.Request
	form url.Values
}

// operations registers each command twice: with the suffix .json, and without.
func (s *Server) operations() []batchsim.Operation {
	var all []batchsim.Operation
	add := func(name, method, path string, serve func(*Account, call) batchsim.Reply) {
		for _, suffix := range []string{".json", ""} {
			if method == http.MethodGet && suffix != "" {
				continue // Its last segment is a parameter.
			}
			all = append(all, batchsim.Operation{Name: name, Method: method, Path: "/v1" + path + suffix,
				Serve: func(r batchsim.Request) batchsim.Reply {
					return s.serve(r, serve)
				}})
		}
	}
	post := func(name, path string, serve func(*Account, call) batchsim.Reply) {
		add(name, http.MethodPost, path, serve)
	}
	post("GetBatch", "/batch/{id}/get", onBatch((*Account).getBatch))
	post("ListBatches", "/batch/list", (*Account).listBatches)
	post("AddBatch", "/batch/add", (*Account).addBatch)
	post("UpdateBatch", "/batch/{id}/update", onBatch((*Account).updateBatch))
	post("SetBatchState", "/batch/{id}/set_state", onBatch((*Account).setBatchState))
	post("GetPayment", "/payment/{id}/get", (*Account).getPayment)
	post("ListPayments", "/payment/list", (*Account).listPayments)
	post("GetClient", "/client/{id}/get", onClient(func(a *Account, c *client, _ call) batchsim.Reply {
		return item("client", c.wire(a, 0))
	}))
	post("ListClients", "/client/list", (*Account).listClients)
	post("AddClient", "/client/add", (*Account).addClient)
	post("UpdateClient", "/client/{id}/update", onClient((*Account).updateClient))
	post("AddInvoice", "/client/{id}/add_invoice", onClient((*Account).addInvoice))
	post("GenerateInvoice", "/client/{id}/generate_invoice", onClient((*Account).generateInvoice))
	post("GetInvoice", "/invoice/{id}/get", (*Account).getInvoice)
	post("ListInvoices", "/invoice/list", (*Account).listInvoices)
	post("GetPaymentMethod", "/payment_method/{code}/get", (*Account).getPaymentMethod)
	post("ListPaymentMethods", "/payment_method/list", func(a *Account, c call) batchsim.Reply {
		return a.page(c, "payment_method", []any{method("netcash", 0), method("other", 0)})
	})
	post("GetCurrency", "/currency/{code}/get", func(a *Account, c call) batchsim.Reply {
		if c.PathValue("code") != "ZAR" {
			return s.problem(http.StatusNotFound, "Not found", nil)
		}
		return item("currency", zar)
	})
	post("ListCurrencies", "/currency/list", func(a *Account, c call) batchsim.Reply {
		return a.page(c, "currency", []any{zar})
	})
	post("CurrentAccount", "/account/current", func(a *Account, _ call) batchsim.Reply {
		account := a.wireAccount(0)
		account["settings"] = map[string]any{}
		return item("account", account)
	})
	post("GetAction", "/action/{id}/get", (*Account).getAction)
	post("ListActions", "/action/list", func(a *Account, c call) batchsim.Reply {
		var all []any
		for _, action := range a.actions {
			all = append(all, action)
		}
		return a.page(c, "action", all)
	})
	s.around(post)
	all = append(all, batchsim.Operation{Name: "InvoicePDF", Method: http.MethodPost, Path: "/v1/invoice/{id}/pdf",
		Serve: func(r batchsim.Request) batchsim.Reply { return s.serve(r, (*Account).invoicePDF) }})
	for name, path := range map[string]string{"Command": "/v1/{class}/{command}",
		"ObjectCommand": "/v1/{class}/{id}/{command}"} {
		all = append(all, batchsim.Operation{Name: name, Method: http.MethodPost, Path: path,
			Serve: func(r batchsim.Request) batchsim.Reply { return s.serve(r, (*Account).command) }})
	}
	add("Index", http.MethodGet, "/{class}", (*Account).index)
	add("Form", http.MethodGet, "/{class}/{command}", (*Account).form)
	add("ObjectForm", http.MethodGet, "/{class}/{id}/{command}", (*Account).form)
	return all
}

// around registers what is around a batch.
func (s *Server) around(post func(name, path string, serve func(*Account, call) reply)) {
	post("DeleteClient", "/client/{id}/delete", onClient((*Account).deleteClient))
	post("SetPayment", "/client/{id}/set_payment", onClient((*Account).setPayment))
	post("GetPaymentDetails", "/payment_details/{id}/get",
		onDetails(func(a *Account, d *details, _ call) reply { return item("payment_details", d.wire(a)) }))
	post("ListPaymentDetails", "/payment_details/list", (*Account).listDetails)
	post("UpdatePaymentDetails", "/payment_details/{id}/update", onDetails((*Account).updateDetails))
	post("AddRecurringInvoice", "/client/{id}/add_recurring_invoice", onClient((*Account).addRecurringInvoice))
	post("ListRecurringInvoices", "/recurring_invoice/list", (*Account).listRecurringInvoices)
	post("AddService", "/client/{id}/add_service", onClient((*Account).addService))
	post("RemoveService", "/service/{id}/remove", (*Account).removeService)
	post("ListServices", "/service/list", (*Account).listServices)
	post("GetServiceType", "/service_type/{id}/get", func(a *Account, c call) reply {
		return a.only(c, 596, "service_type", a.serviceType())
	})
	post("ListServiceTypes", "/service_type/list", (*Account).listServiceTypes)
	post("GetPackage", "/package/{id}/get", func(a *Account, c call) reply {
		return a.only(c, packageID, "package", a.wirePackage(0))
	})
	post("ListPackages", "/package/list", (*Account).listPackages)
	post("AddUser", "/client/{id}/add_user", onClient((*Account).addUser))
	post("ListUsers", "/user/list", (*Account).listUsers)
	post("AddSession", "/user/{id}/add_session", (*Account).addSession)
	post("SendLostPassword", "/client/{id}/lost_password", onClient((*Account).lostPassword))
	post("ListEmails", "/email/list", (*Account).listEmails)
	post("GetCountry", "/country/{code}/get", func(a *Account, c call) reply {
		if c.PathValue("code") != "ZA" {
			return s.problem(http.StatusNotFound, "Not found", nil)
		}
		return item("country", southAfrica)
	})
	post("ListCountries", "/country/list", func(a *Account, c call) reply {
		var found []any
		if a.matches(c, "iso2", "ZA") {
			found = append(found, southAfrica)
		}
		return a.page(c, "country", found)
	})
	post("ListAccounts", "/account/list", func(a *Account, c call) reply {
		return a.page(c, "account", []any{a.wireAccount(1)})
	})
}

// serve checks what every call has in common. The real service may answer with
// a page for people unless JSON is asked for.
func (s *Server) serve(r batchsim.Request, serve func(*Account, call) batchsim.Reply) batchsim.Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	username, password, _ := r.BasicAuth()
	known, ok := s.logins[username]
	if !ok || known.password != password {
		reply := s.problem(http.StatusUnauthorized, "Login failed", nil)
		if s.options.BareUnauthorized {
			reply = batchsim.Reply{Status: http.StatusUnauthorized, Header: http.Header{}}
		}
		reply.Header.Set("WWW-Authenticate", `Basic realm="SnapBill API"`)
		return reply
	}
	if !strings.HasSuffix(r.URL.Path, ".json") && r.Op != "InvoicePDF" && r.Header.Get("Accept") != "application/json" {
		return batchsim.Reply{Status: http.StatusOK, Header: http.Header{"Content-Type": {"text/html"}},
			Body: []byte("<html><body>SnapBill API</body></html>")}
	}
	c := call{Request: r, form: url.Values{}}
	if r.Method == http.MethodPost {
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err == nil && kind == "application/x-www-form-urlencoded" {
			if form, err := url.ParseQuery(string(r.Body)); err == nil {
				c.form = form
			}
		}
	}
	return serve(known.account, c)
}

func encode(status int, v any) batchsim.Reply {
	// What is encoded here can always be.
	text, _ := json.Marshal(v)
	return batchsim.JSON(status, string(text))
}

// item is the reply with one object.
func item(class string, object any) batchsim.Reply {
	return encode(http.StatusOK, map[string]any{"code": 200, "type": "item", "class": class, class: object})
}

// done is the reply to a change.
func done(class string, object any) batchsim.Reply {
	reply := map[string]any{"code": 200, "type": "result", "status": "ok"}
	if object != nil {
		reply["class"], reply[class] = class, object
	}
	return encode(http.StatusOK, reply)
}

// problem is a failure, as it is thought to look.
func (s *Server) problem(status int, message string, errors map[string]string) batchsim.Reply {
	body := map[string]any{"code": status, "type": "result", "status": "error", "message": message, "errors": errors}
	if len(errors) == 0 {
		body["errors"] = []any{} // PHP's empty map.
	}
	if s.options.RefusesInBody {
		return encode(http.StatusOK, body)
	}
	return encode(status, body)
}
