package snapbill

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Production is SnapBill's only documented host. Real accounts are debited
// there: there is no known sandbox.
const Production = "https://api.snapbill.com/v1"

// Config is what a Client needs. Printed in any way, it shows no secret.
type Config struct {
	Username string // of a staff login
	Password string

	BaseURL string // required: Production, or a simulator
	// optional: the proxy, dialer and certificates of its *http.Transport
	HTTPClient *http.Client
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	// optional: op, status, duration and attempt; never bodies or headers
	Logger *slog.Logger
}

// Format writes the configuration without the password.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "snapbill.Config{Username: %q, Password: [redacted], BaseURL: %q}", c.Username, c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the password.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// MarshalBinary is for encoding/gob: the same.
func (c Config) MarshalBinary() ([]byte, error) { return c.MarshalText() }

// Client calls SnapBill's API. It is safe for concurrent use.
//
// An object is addressed by its number in the account, "1500", or by its xid,
// "Clw:Xc"; logins that see several accounts need the latter.
type Client struct {
	http *batchhttp.Client
}

// New checks the configuration. It does no I/O and reads no environment.
func New(c Config) (*Client, error) {
	var faults []batch.FieldError
	for _, f := range []struct{ field, value string }{{"Username", c.Username}, {"Password", c.Password}} {
		if f.value == "" || strings.IndexFunc(f.value, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
			faults = append(faults, fault(f.field, "is empty, or holds control characters"))
		}
	}
	if strings.Contains(c.Username, ":") {
		faults = append(faults, fault("Username", "must not hold a colon"))
	}
	if c.BaseURL == "" {
		faults = append(faults,
			fault("BaseURL", "is required: no sandbox is known, so name snapbill.Production or a simulator"))
	}
	if err := batch.Invalid(name, "New", faults); err != nil {
		return nil, err
	}
	password := batchhttp.NewSecret(c.Password)
	client, err := batchhttp.New(batchhttp.Config{
		Provider:   name,
		BaseURL:    c.BaseURL,
		HTTPClient: c.HTTPClient,
		Middleware: c.Middleware,
		Logger:     c.Logger,
		Authorize:  basic(c.Username, password),
		Refusal:    refusal,
		Secrets:    []batchhttp.Secret{password},
	})
	if err != nil {
		return nil, err
	}
	return &Client{client}, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// GetBatch reads a batch. If its amounts in decimals and in cents do not agree,
// it is returned beside an ErrProtocol: the decimals of the real service are known
// to be wrong in places.
//
//	POST /batch/{id}/get
func (c *Client) GetBatch(ctx context.Context, id string) (*Batch, error) {
	b, err := c.readBatch(ctx, id)
	return verified(c, opGetBatch, b, err)
}

func (c *Client) readBatch(ctx context.Context, id string) (*Batch, error) {
	return get[Batch](ctx, c, opGetBatch, "batch", id)
}

// ListBatches reads the batches of the account, page by page, in no documented
// order.
//
// A row that makes no sense is yielded beside an ErrProtocol, and the list goes
// on: as in all lists here. So is one that the filter excludes, because the
// service may have ignored the filter, and one that contradicts itself.
//
//	POST /batch/list
func (c *Client) ListBatches(ctx context.Context, o ListBatchesOptions) iter.Seq2[Batch, error] {
	return verifiedRows(c, opListBatches, c.listBatches(ctx, o))
}

func (c *Client) listBatches(ctx context.Context, o ListBatchesOptions) iter.Seq2[Batch, error] {
	form := url.Values{}
	set(form, "submit_date", string(o.SubmitDate))
	for _, state := range o.States {
		form.Add("state[]", string(state))
	}
	set(form, "payment_method", o.PaymentMethod)
	accounts := make([]string, len(o.Accounts))
	for n, account := range o.Accounts {
		accounts[n] = strconv.Itoa(account)
	}
	set(form, "account", strings.Join(accounts, ","))
	return list(ctx, c, opListBatches, "batch", form, func(b *Batch) error {
		switch {
		case len(o.States) > 0 && !slices.Contains(o.States, b.State):
			return ignored("state", string(b.State))
		case o.SubmitDate != "" && b.SubmitDate != o.SubmitDate:
			return ignored("submit_date", string(b.SubmitDate))
		case o.PaymentMethod != "" && string(b.PaymentMethod.Value.Code) != o.PaymentMethod:
			return ignored("payment_method", "another")
		case len(o.Accounts) > 0 && !slices.Contains(o.Accounts, int(b.Account.Value.ID)):
			return ignored("account", "another")
		}
		return nil
	})
}

// AddBatch makes a batch. It debits no client before it is submitted; but whether
// it begins empty or with every client who is due, and whether the account submits
// batches by itself, is not documented. It is sent at most once; after an
// ErrAmbiguous, list the batches.
//
// Beside an ErrProtocol the batch is returned: it is there, but not as asked. So
// is one that the reply names beside any other error.
//
//	POST /batch/add
func (c *Client) AddBatch(ctx context.Context, a AddBatch) (*Batch, error) {
	var faults []batch.FieldError
	if a.PaymentMethodCode == "" {
		faults = append(faults, fault("payment_method_code", "is empty"))
	}
	if _, err := time.Parse(time.DateOnly, string(a.ActionDate)); err != nil {
		faults = append(faults, fault("action_date", "%.40q is not a day like 2014-08-21", string(a.ActionDate)))
	}
	if err := batch.Invalid(name, opAddBatch.Name, faults); err != nil {
		return nil, err
	}
	form := url.Values{}
	set(form, "payment_method_code", a.PaymentMethodCode)
	set(form, "action_date", string(a.ActionDate))
	made, err := call[Batch](ctx, c, opAddBatch, "batch", nil, form, true)
	if err != nil {
		return made, err
	}
	var w wishes
	if made.ActionDate != "" {
		w.compare("action_date", string(a.ActionDate), string(made.ActionDate))
	}
	if code := made.PaymentMethod.Value.Code; code != "" {
		w.compare("payment_method_code", a.PaymentMethodCode, string(code))
	}
	return made, w.err(c, opAddBatch.Name)
}

// UpdateBatch changes a batch, by the call that is documented. Whether it
// honours a state is not known: on clients it does not. See SetBatchState.
//
// With State BatchSubmit, money moves: it is sent at most once. Success means
// that the service was seen to have the batch in state submit or beyond.
// Everything else that is not a refusal is ErrAmbiguous: read the batch, and do
// not submit it again. That includes a service that accepts the call and still
// has the batch ready: it may ignore the state, or apply it later.
//
// With State BatchDead, ErrUnsupported means that the service accepted the call,
// answered that the batch is where it was, and said so again when it was asked.
//
// A date alone that the service has ignored is ErrProtocol, beside the batch as
// it is now. Together with a state it is refused.
//
//	POST /batch/{id}/update
func (c *Client) UpdateBatch(ctx context.Context, id string, u UpdateBatch) (*Batch, error) {
	return c.changeBatch(ctx, opUpdateBatch, id, u)
}

// SetBatchState changes the state of a batch, by the call that SnapBill's own
// clients use and no documentation mentions. It is sent at most once. On
// ErrAmbiguous, read the batch; all else is as for UpdateBatch.
//
//	POST /batch/{id}/set_state
func (c *Client) SetBatchState(ctx context.Context, id string, state BatchState) (*Batch, error) {
	return c.changeBatch(ctx, opSetBatchState, id, UpdateBatch{State: state})
}

func (c *Client) changeBatch(ctx context.Context, op batchhttp.Op, id string, u UpdateBatch) (*Batch, error) {
	if u.State != "" && u.State != BatchSubmit && u.State != BatchDead {
		return nil, invalid(op, "state", "is %q, which only the system sets: it can be submit or dead", u.State)
	}
	if u.State != "" && u.ActionDate != "" {
		return nil, invalid(op, "action_date",
			"is changed together with the state: change it before, and read the batch")
	}
	if u.State == "" && u.ActionDate == "" {
		return nil, invalid(op, "state", "is empty: nothing would change")
	}
	form := url.Values{}
	set(form, "action_date", string(u.ActionDate))
	set(form, "state", string(u.State))
	replied, err := call[Batch](ctx, c, op, "batch", []string{id}, form, false)
	if err != nil {
		return nil, err
	}
	if replied != nil && !replied.names().has(id) {
		replied = nil // It is about another batch: as good as none.
	}
	// Accepted is not applied: only what is read afterwards counts.
	b, err := c.readBatch(ctx, id)
	if err != nil {
		return nil, unread(op, err)
	}
	var w wishes
	w.compare("action_date", string(u.ActionDate), string(b.ActionDate))
	switch {
	case u.State == "":
		return b, w.err(c, op.Name)
	case b.State == u.State || u.State == BatchSubmit && b.State.atTheBank():
		return b, nil
	case u.State == BatchDead && replied != nil && replied.State == b.State:
		return b, &batch.Error{Kind: batch.ErrUnsupported, Provider: name, Op: op.Name,
			Message: c.http.Clean(fmt.Sprintf(
				"the service accepted the call and ignored the state: the batch is still %s; another call can change it "+
					"(ProviderConfig.SetState)", b.State))}
	case b.State == BatchReady:
		return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op.Name,
			Message: "the call was accepted, and the batch is still ready: it may be submitted later, " +
				"or only by the other call (ProviderConfig.SetState)"}
	}
	return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op.Name,
		Message: c.http.Clean(fmt.Sprintf("the call was accepted, and the batch is %s", b.State))}
}

// GetPayment reads a payment.
//
//	POST /payment/{id}/get
func (c *Client) GetPayment(ctx context.Context, id string) (*Payment, error) {
	p, err := get[Payment](ctx, c, opGetPayment, "payment", id)
	return verified(c, opGetPayment, p, err)
}

// ListPayments reads payments, page by page, in no documented order. A row
// that the filter excludes is ErrProtocol.
//
//	POST /payment/list
func (c *Client) ListPayments(ctx context.Context, o ListPaymentsOptions) iter.Seq2[Payment, error] {
	form := url.Values{}
	setNumber(form, "client_id", o.ClientID)
	setNumber(form, "batch_id", o.BatchID)
	set(form, "state", string(o.State))
	return verifiedRows(c, opListPayments, list(ctx, c, opListPayments, "payment", form, func(p *Payment) error {
		switch {
		case o.BatchID != 0 && (!p.Batch.OK || p.Batch.Value.ID != o.BatchID):
			return ignored("batch_id", "another")
		case o.ClientID != 0 && (!p.Client.OK || p.Client.Value.ID != o.ClientID):
			return ignored("client_id", "another")
		case o.State != "" && p.State != o.State:
			return ignored("state", string(p.State))
		}
		return nil
	}))
}

// GetClient reads a client.
//
//	POST /client/{id}/get
func (c *Client) GetClient(ctx context.Context, id string) (*Customer, error) {
	found, err := get[Customer](ctx, c, opGetClient, "client", id)
	return verified(c, opGetClient, found, err)
}

// ListClients reads the clients of the account, page by page. How the filters
// match is not documented: compare what comes.
//
//	POST /client/list
func (c *Client) ListClients(ctx context.Context, o ListClientsOptions) iter.Seq2[Customer, error] {
	form := url.Values{}
	set(form, "email", o.Email)
	set(form, "query", o.Query)
	return verifiedRows(c, opListClients, list(ctx, c, opListClients, "client", form, anything[Customer]))
}

// AddClient adds a client. It is sent at most once. Choose a Number: on
// ErrAmbiguous, ListClients finds the client by it.
//
// Beside an ErrProtocol the client is returned: it is there, but not as asked.
//
//	POST /client/add
func (c *Client) AddClient(ctx context.Context, f CustomerFields) (*Customer, error) {
	faults := f.faults()
	if f.FirstName == "" && f.Surname == "" && f.Company == "" {
		faults = append(faults, fault("firstname", "or surname or company is required"))
	}
	if f.Credit != "" {
		faults = append(faults, fault("credit", "is for UpdateClient"))
	}
	if err := batch.Invalid(name, opAddClient.Name, faults); err != nil {
		return nil, err
	}
	made, err := call[Customer](ctx, c, opAddClient, "client", nil, f.form(), true)
	if err != nil {
		return made, err
	}
	return made, f.compare(c, opAddClient.Name, made)
}

// UpdateClient changes a client. It is sent at most once. On ErrAmbiguous,
// GetClient tells. A field that the service has ignored is ErrProtocol, beside the
// client as it is now.
//
// A change of Credit books a credit payment on the client's statement: money moves
// in the books. The documentation calls Credit the total, so it is presumably what
// the client has afterwards, and not what is added: read Customer.CreditCents before
// and after. A total that came back other than asked is ErrProtocol.
//
//	POST /client/{id}/update
func (c *Client) UpdateClient(ctx context.Context, id string, f CustomerFields) (*Customer, error) {
	faults := f.faults()
	if len(f.form()) == 0 {
		faults = append(faults, fault("fields", "are all empty: nothing would change"))
	}
	if err := batch.Invalid(name, opUpdateClient.Name, faults); err != nil {
		return nil, err
	}
	updated, err := call[Customer](ctx, c, opUpdateClient, "client", []string{id}, f.form(), false)
	if err != nil {
		return nil, err
	}
	if updated == nil || !updated.names().has(id) {
		if updated, err = after[Customer](ctx, c, opUpdateClient, opGetClient, "client", id); err != nil {
			return nil, err
		}
	}
	return updated, f.compare(c, opUpdateClient.Name, updated)
}

func (f CustomerFields) form() url.Values {
	form := url.Values{}
	for field, value := range map[string]string{"number": f.Number, "firstname": f.FirstName, "surname": f.Surname,
		"company": f.Company, "email": f.Email, "cell": f.Cell, "country_code": f.CountryCode,
		"currency_code":       f.CurrencyCode,
		"payment_method_code": f.PaymentMethodCode, "discount": f.Discount, "credit": f.Credit, "state": f.State} {
		set(form, field, value)
	}
	for field, value := range f.Data {
		form.Set("data-"+field, value)
	}
	return form
}

var (
	countryCode  = regexp.MustCompile(`^[A-Z]{2}$`)
	currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
)

// faults lists what breaks a documented form.
func (f CustomerFields) faults() []batch.FieldError {
	var faults []batch.FieldError
	if f.CountryCode != "" && !countryCode.MatchString(f.CountryCode) {
		faults = append(faults, fault("country_code", "%.40q is not a code of ISO 3166 like ZA", f.CountryCode))
	}
	if f.CurrencyCode != "" && !currencyCode.MatchString(f.CurrencyCode) {
		faults = append(faults, fault("currency_code", "%.40q is not a code of ISO 4217 like ZAR", f.CurrencyCode))
	}
	for _, field := range []struct{ name, value string }{{"discount", f.Discount}, {"credit", f.Credit}} {
		if n, err := batch.ParseDecimal(field.value, 2); field.value != "" && (err != nil || n < 0) {
			faults = append(faults, fault(field.name, "%.40q is not a decimal from 0 with up to two places",
				field.value))
		}
	}
	return faults
}

func (f CustomerFields) compare(client *Client, op string, c *Customer) error {
	var w wishes
	w.compare("number", f.Number, string(c.Number))
	w.compare("firstname", f.FirstName, string(c.FirstName))
	w.compare("surname", f.Surname, string(c.Surname))
	w.compare("company", f.Company, string(c.Company))
	w.compare("email", f.Email, string(c.Email))
	w.compare("cell", f.Cell, string(c.Cell))
	if c.Country.OK {
		w.compare("country_code", f.CountryCode, string(c.Country.Value.Code))
	}
	if c.Currency.OK {
		w.compare("currency_code", f.CurrencyCode, string(c.Currency.Value.Code))
	}
	if c.PaymentMethod.OK {
		w.compare("payment_method_code", f.PaymentMethodCode, string(c.PaymentMethod.Value.Code))
	}
	w.compareDecimal("discount", f.Discount, string(c.Discount))
	w.compareDecimal("credit", f.Credit, string(c.Credit))
	w.compare("state", f.State, string(c.State))
	for field, value := range f.Data {
		w.compare("data-"+field, value, string(c.Data[field]))
	}
	return w.err(client, op)
}

// AddInvoice adds an invoice to a client, which a later batch collects. It is sent
// at most once. On ErrAmbiguous, ListInvoices of the client shows whether there is
// one more; a PONumber of its own tells it apart.
//
// Beside an ErrProtocol the invoice is returned: it is there, but not as
// asked. The real service ignores Date: a due date decides on which batch an
// invoice goes, so read it.
//
//	POST /client/{id}/add_invoice
func (c *Client) AddInvoice(ctx context.Context, clientID string, a AddInvoice) (*Invoice, error) {
	form := url.Values{}
	set(form, "date", string(a.Date))
	set(form, "type", a.Type)
	set(form, "state", a.State)
	set(form, "po_number", a.PONumber)
	set(form, "discount", a.Discount)
	faults := append(a.faults(), addLines(form, a.Lines)...)
	if err := batch.Invalid(name, opAddInvoice.Name, faults); err != nil {
		return nil, err
	}
	made, err := call[Invoice](ctx, c, opAddInvoice, "invoice", []string{clientID}, form, true)
	if err != nil {
		return made, err
	}
	var w wishes
	w.compare("date", string(a.Date), string(made.DueDate))
	w.compare("type", a.Type, string(made.Type))
	w.compare("state", a.State, string(made.State))
	w.compare("po_number", a.PONumber, string(made.PONumber))
	w.compareDecimal("discount", a.Discount, string(made.Discount))
	w.client(clientID, made.Client)
	w.lines(a.Lines, made.Lines.Value)
	return made, w.err(c, opAddInvoice.Name)
}

// faults lists what breaks a documented form.
func (a AddInvoice) faults() []batch.FieldError {
	var faults []batch.FieldError
	if _, err := time.Parse(time.DateOnly, string(a.Date)); a.Date != "" && err != nil {
		faults = append(faults, fault("date", "%.40q is not a day like 2014-08-21", string(a.Date)))
	}
	if a.Type != "" && !slices.Contains([]string{"invoice", "quote", "credit"}, a.Type) {
		faults = append(faults, fault("type", "%.40q is not invoice, quote or credit", a.Type))
	}
	if a.State != "" && !slices.Contains([]string{"unpaid", "draft", "quote", "credit"}, a.State) {
		faults = append(faults, fault("state", "%.40q is not unpaid, draft, quote or credit", a.State))
	}
	if n, err := batch.ParseDecimal(a.Discount, 2); a.Discount != "" && (err != nil || n < 0) {
		faults = append(faults, fault("discount", "%.40q is not a decimal from 0 with up to two places", a.Discount))
	}
	return faults
}

// GenerateInvoice makes the invoice of what is due for a client, and returns
// nil where the reply holds none: nothing was due, apparently. It is sent at
// most once. On ErrAmbiguous, ListInvoices of the client shows whether there is
// one more than before.
//
//	POST /client/{id}/generate_invoice
func (c *Client) GenerateInvoice(ctx context.Context, clientID string) (*Invoice, error) {
	return call[Invoice](ctx, c, opGenerateInvoice, "invoice", []string{clientID}, url.Values{}, false)
}

// GetInvoice reads an invoice.
//
//	POST /invoice/{id}/get
func (c *Client) GetInvoice(ctx context.Context, id string) (*Invoice, error) {
	i, err := get[Invoice](ctx, c, opGetInvoice, "invoice", id)
	return verified(c, opGetInvoice, i, err)
}

// ListInvoices reads the invoices of a client, or of all of them for 0.
//
//	POST /invoice/list
func (c *Client) ListInvoices(ctx context.Context, clientID ID) iter.Seq2[Invoice, error] {
	form := url.Values{}
	setNumber(form, "client_id", clientID)
	return verifiedRows(c, opListInvoices, list(ctx, c, opListInvoices, "invoice", form, func(i *Invoice) error {
		return ofClient(clientID, i.Client)
	}))
}

// GetPaymentMethod reads a way to be paid, by its code.
//
//	POST /payment_method/{code}/get
func (c *Client) GetPaymentMethod(ctx context.Context, code string) (*PaymentMethod, error) {
	return get[PaymentMethod](ctx, c, opGetPaymentMethod, "payment_method", code)
}

// ListPaymentMethods reads the ways to be paid that are enabled.
//
//	POST /payment_method/list
func (c *Client) ListPaymentMethods(ctx context.Context) iter.Seq2[PaymentMethod, error] {
	return list(ctx, c, opListPaymentMethods, "payment_method", url.Values{}, anything[PaymentMethod])
}

// GetCurrency reads a currency, by its code.
//
//	POST /currency/{code}/get
func (c *Client) GetCurrency(ctx context.Context, code string) (*Currency, error) {
	return get[Currency](ctx, c, opGetCurrency, "currency", code)
}

// ListCurrencies reads the currencies that are enabled.
//
//	POST /currency/list
func (c *Client) ListCurrencies(ctx context.Context) iter.Seq2[Currency, error] {
	return list(ctx, c, opListCurrencies, "currency", url.Values{}, anything[Currency])
}

// CurrentAccount reads the account that the login belongs to.
//
//	POST /account/current
func (c *Client) CurrentAccount(ctx context.Context) (*Account, error) {
	return call[Account](ctx, c, opCurrentAccount, "account", nil, url.Values{}, true)
}

// GetAction reads a change that SnapBill has recorded.
//
//	POST /action/{id}/get
func (c *Client) GetAction(ctx context.Context, id string) (*Action, error) {
	return get[Action](ctx, c, opGetAction, "action", id)
}

// ListActions reads the changes that SnapBill has recorded.
//
//	POST /action/list
func (c *Client) ListActions(ctx context.Context) iter.Seq2[Action, error] {
	return list(ctx, c, opListActions, "action", url.Values{}, anything[Action])
}

// Index discovers the commands of a class ("batch"), or of one object of it
// with an id, by name. With Form, a person with a login can settle what the
// documentation leaves open.
//
//	GET /{class}
//	GET /{class}/{id}
func (c *Client) Index(ctx context.Context, class, id string) (map[string]string, error) {
	discovery := batchhttp.Call{Op: opIndex, Params: []string{class}}
	if id != "" {
		discovery.Op, discovery.Params = opObjectIndex, []string{class, id}
	}
	index := make(map[string]string)
	discovery.Decode = successful(func(e *envelope) error {
		if e.Type != "index" {
			return fmt.Errorf("a %.40q came back instead of an index", string(e.Type))
		}
		var paths Map[Text]
		err := batchhttp.Parse(e.Content["index"], &paths)
		for command, path := range paths {
			index[command] = string(path)
		}
		return err
	})
	if err := c.http.Do(ctx, discovery); err != nil {
		return nil, err
	}
	return index, nil
}

// Form discovers what a command of a class ("batch", "", "add"), or of one
// object of it with an id, takes.
//
//	GET /{class}/{command}
//	GET /{class}/{id}/{command}
func (c *Client) Form(ctx context.Context, class, id, command string) ([]Control, error) {
	discovery := batchhttp.Call{Op: opForm, Params: []string{class, command}}
	if id != "" {
		discovery.Op, discovery.Params = opObjectForm, []string{class, id, command}
	}
	var controls []Control
	discovery.Decode = successful(func(e *envelope) error {
		if e.Type != "form" {
			return fmt.Errorf("a %.40q came back instead of a form", string(e.Type))
		}
		return batchhttp.Parse(e.Content["controls"], &controls)
	})
	if err := c.http.Do(ctx, discovery); err != nil {
		return nil, err
	}
	return controls, nil
}

// set adds a field that is not empty.
func set(form url.Values, field, value string) {
	if value != "" {
		form.Set(field, value)
	}
}

func setNumber(form url.Values, field string, value ID) {
	if value != 0 {
		form.Set(field, value.String())
	}
}

// wishes compares what was asked with what came back: the service answers
// success and drops what it does not honour.
type wishes []batch.FieldError

func (w *wishes) compare(field, asked, got string) {
	if asked != "" && asked != got {
		*w = append(*w, fault(field, "is %.60q at the service, and %.60q was asked for", got, asked))
	}
}

// compareDecimal takes "1.5" and "1.50" for the same.
func (w *wishes) compareDecimal(field, asked, got string) {
	a, failed := batch.ParseDecimal(asked, 2)
	if g, err := batch.ParseDecimal(got, 2); failed == nil && err == nil && a == g {
		return
	}
	w.compare(field, asked, got)
}

func (w wishes) err(c *Client, op string) error {
	if len(w) == 0 {
		return nil
	}
	return c.nonsense(op, "the service accepted the call and ignored a part of it", w)
}

func anything[T any](*T) error { return nil }

func ignored(field, value string) error {
	return fmt.Errorf("a row came back that the filter %s excludes (%.60s): the service may have ignored it", field,
		value)
}
