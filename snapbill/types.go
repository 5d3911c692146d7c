package snapbill

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

// Int is an integer as SnapBill writes it: 10 or "10". Fractions, exponents,
// and a text that holds anything else, are errors.
type Int int64

// UnmarshalJSON reads a number or a string that holds one.
func (n *Int) UnmarshalJSON(text []byte) error {
	digits := text
	if len(text) > 1 && text[0] == '"' {
		digits = text[1 : len(text)-1]
	}
	value, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || digits[0] == '+' || len(digits) > 18 { // So that a few of them can be added.
		return fmt.Errorf("%.40q is no integer", text)
	}
	*n = Int(value)
	return nil
}

// Text is a value that SnapBill writes now as a string, and now as a number, a
// boolean or null: a string, which is empty for null and false.
type Text string

// UnmarshalJSON reads any scalar.
func (t *Text) UnmarshalJSON(text []byte) error {
	switch {
	case len(text) == 0 || text[0] == '{' || text[0] == '[':
		return fmt.Errorf("%.40q is no scalar", text)
	case text[0] == '"' && bytes.IndexByte(text, '\\') < 0 && utf8.Valid(text):
		*t = Text(text[1 : len(text)-1]) // What json.Unmarshal would make of it.
	case text[0] == '"':
		return rest.Parse(text, (*string)(t))
	case text[0] == 'n' || text[0] == 'f':
		*t = ""
	default:
		*t = Text(text)
	}
	return nil
}

// Map is an object by name. SnapBill writes an empty one as [].
type Map[T any] map[string]T

// UnmarshalJSON reads an object, an empty array or null.
func (m *Map[T]) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '[' {
		var list []json.RawMessage
		if err := rest.Parse(text, &list); err != nil || len(list) > 0 {
			return errors.New("an array stands for an object, and is not empty")
		}
		*m = nil
		return nil
	}
	return rest.Parse(text, (*map[string]T)(m))
}

// Date is a day of the account's calendar, "2014-08-21". SnapBill sends no
// zone, so it is never converted. Empty is no date.
type Date string

// DateOf is the day of t, in t's own location.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }

// UnmarshalJSON reads a day or null.
func (d *Date) UnmarshalJSON(text []byte) error {
	return readCivil(text, time.DateOnly, (*string)(d))
}

// DateTime is a time of the account's clock, "2014-08-22 09:56:13". SnapBill
// sends no zone, so it is never converted. Empty is none.
type DateTime string

// UnmarshalJSON reads a time or null.
func (d *DateTime) UnmarshalJSON(text []byte) error {
	return readCivil(text, time.DateTime, (*string)(d))
}

func readCivil(text []byte, layout string, out *string) error {
	var s Text
	if err := s.UnmarshalJSON(text); err != nil {
		return err
	}
	if _, err := time.Parse(layout, string(s)); s != "" && err != nil {
		return fmt.Errorf("%.40q is no date", string(s))
	}
	*out = string(s)
	return nil
}

// agree compares an amount in decimals with the same in cents. Only the cents
// are ever used.
func agree(field string, decimals Text, cents Int) error {
	if decimals == "" {
		return nil
	}
	if minor, err := batch.ParseDecimal(string(decimals), 2); err != nil || minor != int64(cents) {
		return fmt.Errorf("the %s is %.40q, and %d cents: they do not agree", field, string(decimals), int64(cents))
	}
	return nil
}

// same compares an xid with the id beside it.
func same(class string, id Int, xid XID) error {
	if id <= 0 {
		return fmt.Errorf("a %s has no id", class)
	}
	if xid == "" {
		return nil
	}
	if _, object, err := xid.Decode(); err != nil || Int(object) != id {
		return fmt.Errorf("the %s %d has the xid %.40q, which is another's", class, int64(id), string(xid))
	}
	return nil
}

func coded(class, code string) error {
	if code == "" {
		return fmt.Errorf("a %s has no code", class)
	}
	return nil
}

// BatchState is SnapBill's word for where a batch stands. The list is open.
type BatchState string

// The documented words.
const (
	BatchBuild     BatchState = "build"     // being assembled by the system
	BatchReady     BatchState = "ready"     // assembled, and can be submitted
	BatchSubmit    BatchState = "submit"    // set by a user: queued for the bank
	BatchSubmitted BatchState = "submitted" // at the bank
	BatchOK        BatchState = "ok"        // the bank's reports have begun to arrive: not "all paid"
	BatchError     BatchState = "error"     // failed, and cancelled as a whole
	BatchDead      BatchState = "dead"      // deleted by a user
)

// atTheBank reports whether a batch was submitted, and has not failed.
func (s BatchState) atTheBank() bool {
	return s == BatchSubmit || s == BatchSubmitted || s == BatchOK
}

// Batch is a batch of payments. What it lacks was not sent: that depends on
// where it was found.
type Batch struct {
	Depth         Int            `json:"depth,omitempty"` // 0 is the fullest form
	ID            Int            `json:"id"`              // unique in the account
	XID           XID            `json:"xid,omitempty"`
	State         BatchState     `json:"state"`
	ActionDate    Date           `json:"action_date"` // when the debits run, and the last due date that they take
	SubmitDate    Date           `json:"submit_date,omitempty"`
	PaymentMethod *PaymentMethod `json:"payment_method,omitempty"`
	Number        string         `json:"number,omitempty"`
	Options       Map[Text]      `json:"options,omitempty"` // "type": "two-day"
	Account       *Account       `json:"account,omitempty"`
	Reseller      *Account       `json:"reseller,omitempty"` // what Account was called until 2012
	Currency      *Currency      `json:"currency,omitempty"`
	Totals        *Totals        `json:"totals,omitempty"`  // numbers of payments
	Amounts       *Amounts       `json:"amounts,omitempty"` // the same in decimals; use AmountsCents
	AmountsCents  *Totals        `json:"amounts_cents,omitempty"`
}

// Totals are numbers of payments, or cents, by what became of them.
type Totals struct {
	Total   Int `json:"total"`
	Bounce  Int `json:"bounce"`  // returned unpaid by the bank
	Refuted Int `json:"refuted"` // disputed by the holder of the account
	Pending Int `json:"pending"` // no outcome yet
	Paid    Int `json:"paid"`
}

// settled is how many have an outcome.
func (t *Totals) settled() Int { return t.Paid + t.Bounce + t.Refuted }

func (t *Totals) check() error {
	if t == nil {
		return nil
	}
	if min(t.Total, t.Bounce, t.Refuted, t.Pending, t.Paid) < 0 {
		return errors.New("a total is negative")
	}
	return nil
}

// Amounts are decimals by what became of them.
type Amounts struct {
	Total   Text `json:"total"`
	Bounce  Text `json:"bounce"`
	Refuted Text `json:"refuted"`
	Pending Text `json:"pending"`
	Paid    Text `json:"paid"`
}

func (b *Batch) names() names { return numbered(b.ID, b.XID) }

func (b *Batch) check() error {
	if err := same("batch", b.ID, b.XID); err != nil {
		return err
	}
	if b.State == "" {
		return errors.New("a batch has no state")
	}
	if err := errors.Join(b.Totals.check(), b.AmountsCents.check()); err != nil {
		return err
	}
	if d, c := b.Amounts, b.AmountsCents; d != nil && c != nil {
		return errors.Join(agree("total", d.Total, c.Total), agree("amount bounced", d.Bounce, c.Bounce), agree("amount refuted", d.Refuted, c.Refuted),
			agree("amount pending", d.Pending, c.Pending), agree("amount paid", d.Paid, c.Paid))
	}
	return nil
}

// AddBatch makes a batch.
type AddBatch struct {
	PaymentMethodCode string // "netcash"
	ActionDate        Date
}

// UpdateBatch changes a batch; what is empty is not sent.
type UpdateBatch struct {
	ActionDate Date
	State      BatchState // BatchSubmit or BatchDead, and nothing else
}

// ListBatchesOptions filters ListBatches.
type ListBatchesOptions struct {
	SubmitDate    Date
	States        []BatchState
	PaymentMethod string // its code, presumably
	Accounts      []int  // for logins that see several
}

// PaymentState is SnapBill's word for what became of a payment. There is no
// list of them in the documentation.
type PaymentState string

// The words that occur.
const (
	PaymentPending PaymentState = "pending" // seen
	PaymentPaid    PaymentState = "paid"    // documented
	PaymentError   PaymentState = "error"   // documented: its batch failed
	PaymentBounce  PaymentState = "bounce"  // inferred: returned unpaid
	PaymentRefuted PaymentState = "refuted" // inferred: disputed
	PaymentDead    PaymentState = "dead"    // inferred: removed
)

// Payment is one client's line in a batch.
type Payment struct {
	ID             Int             `json:"id"`
	XID            XID             `json:"xid,omitempty"`
	Client         *Customer       `json:"client,omitempty"`
	Batch          *Batch          `json:"batch,omitempty"` // nil for one that is on no batch
	Currency       *Currency       `json:"currency,omitempty"`
	Amount         Text            `json:"amount,omitempty"` // in decimals; use AmountCents
	AmountCents    *Int            `json:"amount_cents"`
	Reference      string          `json:"reference,omitempty"`
	PaymentMethod  *PaymentMethod  `json:"payment_method,omitempty"`
	PaymentDetails *PaymentDetails `json:"payment_details,omitempty"`
	State          PaymentState    `json:"state"`
}

func (p *Payment) names() names { return numbered(p.ID, p.XID) }

func (p *Payment) check() error {
	if err := same("payment", p.ID, p.XID); err != nil {
		return err
	}
	if p.State == "" || p.AmountCents == nil {
		return errors.New("a payment has no state or no amount")
	}
	return agree("amount", p.Amount, *p.AmountCents)
}

// ListPaymentsOptions filters ListPayments.
type ListPaymentsOptions struct {
	ClientID, BatchID Int
	State             PaymentState
}

// Customer is a client in SnapBill's words: who is billed and debited.
type Customer struct {
	Depth         Int             `json:"depth,omitempty"`
	ID            Int             `json:"id"`
	XID           XID             `json:"xid,omitempty"`
	State         string          `json:"state"`
	Number        string          `json:"number"` // unique in the account, and may be chosen
	Name          string          `json:"name,omitempty"`
	Account       *Account        `json:"account,omitempty"`
	Cell          Text            `json:"cell,omitempty"`
	Company       Text            `json:"company,omitempty"`
	Country       *Country        `json:"country,omitempty"`
	Credit        Text            `json:"credit,omitempty"` // in decimals; use CreditCents
	CreditCents   Int             `json:"credit_cents,omitempty"`
	Currency      *Currency       `json:"currency,omitempty"`
	Discount      Text            `json:"discount,omitempty"`
	Email         Text            `json:"email,omitempty"`
	FirstName     Text            `json:"firstname,omitempty"`
	Surname       Text            `json:"surname,omitempty"`
	Payment       Text            `json:"payment,omitempty"` // deprecated: the code of PaymentMethod
	PaymentMethod *PaymentMethod  `json:"payment_method,omitempty"`
	Totals        json.RawMessage `json:"totals,omitempty"`
	URLs          Map[Link]       `json:"urls,omitempty"`
	Data          Map[Text]       `json:"data,omitempty"`     // custom fields
	Services      json.RawMessage `json:"services,omitempty"` // an object by id, or []
}

func (c *Customer) names() names { return numbered(c.ID, c.XID) }

func (c *Customer) check() error {
	return errors.Join(same("client", c.ID, c.XID), agree("credit", c.Credit, c.CreditCents))
}

// Link is a URL that logs in whoever opens it. Printed, it is redacted.
type Link string

// Format writes nothing of the link.
func (l Link) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// CustomerFields are what AddClient and UpdateClient send; what is empty is
// not sent.
type CustomerFields struct {
	Number            string
	FirstName         string
	Surname           string
	Company           string
	Email             string
	Cell              string
	CountryCode       string
	CurrencyCode      string
	PaymentMethodCode string
	Discount          string            // percent
	State             string            // documented, and ignored by the real service whenever it was tried
	Data              map[string]string // custom fields, by name
}

// ListClientsOptions filters ListClients.
type ListClientsOptions struct {
	Email string
	Query string // as in the search of the web interface
}

// AddInvoice adds an invoice to a client.
type AddInvoice struct {
	Date     Date   // said to be the due date, and ignored by the real service whenever it was tried
	Type     string // empty means "invoice"
	State    string // empty means "unpaid"
	PONumber string
	Discount string // percent
	Lines    []AddLine
}

// AddLine is a line of an invoice. Amounts and quantities are decimals.
type AddLine struct {
	Description string
	UnitCost    string // "1.12"
	Quantity    string // "13"
}

// Invoice is an invoice of a client.
type Invoice struct {
	ID            Int             `json:"id"`
	XID           XID             `json:"xid,omitempty"`
	Created       DateTime        `json:"created,omitempty"`
	Type          string          `json:"type,omitempty"`
	State         string          `json:"state"`
	PONumber      Text            `json:"po_number,omitempty"`
	Date          Date            `json:"date,omitempty"`
	DueDate       Date            `json:"due_date,omitempty"`
	Name          string          `json:"name,omitempty"`
	Number        string          `json:"number,omitempty"`
	Currency      *Currency       `json:"currency,omitempty"`
	Subtotal      Text            `json:"subtotal,omitempty"`
	SubtotalCents Int             `json:"subtotal_cents,omitempty"`
	Taxes         json.RawMessage `json:"taxes,omitempty"`
	Discount      Text            `json:"discount,omitempty"`
	Total         Text            `json:"total,omitempty"` // in decimals; use TotalCents
	TotalCents    Int             `json:"total_cents"`
	Lines         []InvoiceLine   `json:"lines,omitempty"`
	Client        *Customer       `json:"client,omitempty"`
	URLs          Map[Link]       `json:"urls,omitempty"`
}

func (i *Invoice) names() names { return numbered(i.ID, i.XID) }

func (i *Invoice) check() error {
	faults := []error{same("invoice", i.ID, i.XID), agree("total", i.Total, i.TotalCents), agree("subtotal", i.Subtotal, i.SubtotalCents)}
	for _, line := range i.Lines {
		faults = append(faults, agree("unit cost", line.UnitCost, line.UnitCostCents), agree("total of a line", line.Total, line.TotalCents))
	}
	return errors.Join(faults...)
}

// InvoiceLine is a line of an invoice. Where it stems from an agreement, that
// is in one of the raw fields.
type InvoiceLine struct {
	ID               Int             `json:"id"`
	XID              Text            `json:"xid,omitempty"` // here the bare id
	ItemName         Text            `json:"item_name,omitempty"`
	Description      Text            `json:"description,omitempty"`
	UnitCost         Text            `json:"unit_cost,omitempty"`
	UnitCostCents    Int             `json:"unit_cost_cents,omitempty"`
	Quantity         Text            `json:"quantity,omitempty"`
	Total            Text            `json:"total,omitempty"`
	TotalCents       Int             `json:"total_cents"`
	Taxed            bool            `json:"taxed,omitempty"`
	Package          json.RawMessage `json:"package,omitempty"`
	Term             Text            `json:"term,omitempty"`
	Service          json.RawMessage `json:"service,omitempty"`
	Charge           json.RawMessage `json:"charge,omitempty"`
	RecurringInvoice json.RawMessage `json:"recurring_invoice,omitempty"` // its decimals are wrong by a factor of 100; its cents are right
}

// PaymentMethod is a way to be paid.
type PaymentMethod struct {
	Depth      Int        `json:"depth,omitempty"`
	Code       string     `json:"code"`
	Name       string     `json:"name,omitempty"`
	Enabled    *bool      `json:"enabled,omitempty"`
	Currencies []Currency `json:"currencies,omitempty"` // none means any
}

func (m *PaymentMethod) names() names { return names{number: m.Code} }

func (m *PaymentMethod) check() error { return coded("payment method", m.Code) }

// PaymentDetails is a client's bank account or card.
type PaymentDetails struct {
	ID      Int             `json:"id"`
	XID     XID             `json:"xid,omitempty"`
	Type    string          `json:"type,omitempty"` // "bank_account" or "credit_card"
	Bank    string          `json:"bank,omitempty"`
	Number  Text            `json:"number,omitempty"` // masked
	Last4   Text            `json:"last4,omitempty"`
	Expiry  Text            `json:"expiry,omitempty"` // "2015-04"
	State   string          `json:"state,omitempty"`
	Created DateTime        `json:"created,omitempty"`
	Tokens  json.RawMessage `json:"tokens,omitempty"`
	Client  *Customer       `json:"client,omitempty"`
}

// Currency is a currency of an account.
type Currency struct {
	Code    string `json:"code"`             // ISO 4217
	Format  string `json:"format,omitempty"` // "R%.2f"
	Enabled *bool  `json:"enabled,omitempty"`
	State   string `json:"state,omitempty"` // what Enabled was until 2012
}

func (c *Currency) names() names { return names{number: c.Code} }

func (c *Currency) check() error { return coded("currency", c.Code) }

// Country is a country.
type Country struct {
	Code string `json:"code"`
	ISO2 string `json:"iso2,omitempty"`
	ISO3 string `json:"iso3,omitempty"`
	Name string `json:"name,omitempty"`
}

// Account is an account of SnapBill: whose clients are billed.
type Account struct {
	Depth    Int             `json:"depth,omitempty"`
	ID       Int             `json:"id"`
	XID      XID             `json:"xid,omitempty"`
	Username string          `json:"username,omitempty"`
	Settings json.RawMessage `json:"settings,omitempty"`
}

func (a *Account) names() names { return numbered(a.ID, a.XID) }

func (a *Account) check() error { return same("account", a.ID, a.XID) }

// User is a login.
type User struct {
	Depth    Int    `json:"depth,omitempty"`
	ID       Int    `json:"id"`
	XID      XID    `json:"xid,omitempty"`
	Username string `json:"username,omitempty"`
}

// Action is a change that SnapBill has recorded: the best evidence of who did
// what.
type Action struct {
	Depth       Int             `json:"depth,omitempty"`
	ID          Int             `json:"id"`
	XID         XID             `json:"xid,omitempty"`
	Path        string          `json:"path"`          // "/payment/update/state"
	URL         string          `json:"url,omitempty"` // deprecated: the same
	Link        string          `json:"link,omitempty"`
	ItemType    string          `json:"item_type,omitempty"`
	Description string          `json:"description,omitempty"`
	Details     Change          `json:"details,omitzero"`
	Date        DateTime        `json:"date,omitempty"`
	Client      *Customer       `json:"client,omitempty"`
	User        *User           `json:"user,omitempty"` // nil: the system
	Item        json.RawMessage `json:"-"`              // the object under the key that ItemType names
}

func (a *Action) names() names { return numbered(a.ID, a.XID) }

func (a *Action) check() error { return same("action", a.ID, a.XID) }

// Change is what an action has changed.
type Change struct {
	From Text `json:"from,omitempty"`
	To   Text `json:"to,omitempty"`
}

// UnmarshalJSON reads {"from","to"}, the new value alone, or an empty array.
func (c *Change) UnmarshalJSON(text []byte) error {
	*c = Change{}
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] != '{' && text[0] != '[' {
		return c.To.UnmarshalJSON(text)
	}
	var both Map[json.RawMessage]
	if err := rest.Parse(text, &both); err != nil {
		return err
	}
	for key, value := range map[string]*Text{"from": &c.From, "to": &c.To} {
		if raw := both[key]; raw != nil && raw[0] != '{' && raw[0] != '[' {
			if err := rest.Parse(raw, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// UnmarshalJSON reads an action and the object that it is about.
func (a *Action) UnmarshalJSON(text []byte) error {
	type plain Action
	if err := rest.Parse(text, (*plain)(a)); err != nil {
		return err
	}
	if a.ItemType == "" { // An old form: the first part of the path names it.
		if parts := strings.Split(a.Path, "/"); len(parts) > 2 {
			a.ItemType = parts[1]
		}
	}
	var all map[string]json.RawMessage
	if err := rest.Parse(text, &all); err != nil {
		return err
	}
	a.Item = all[a.ItemType]
	return nil
}

// Control is a field of a form: what a command takes.
type Control struct {
	Type     string   `json:"type"` // "textbox", "select", "hidden"...
	Name     string   `json:"name"` // the field to send
	Caption  string   `json:"caption,omitempty"`
	Tip      string   `json:"tip,omitempty"`
	Required bool     `json:"required,omitempty"` // not always true to its name
	Default  Text     `json:"default,omitempty"`
	Value    Text     `json:"value,omitempty"`
	Options  []Option `json:"options,omitempty"`
	Multiple bool     `json:"multiple,omitempty"`
	Case     bool     `json:"case,omitempty"`
}

// Option is a choice of a Control.
type Option struct {
	Caption string `json:"caption"`
	Key     Text   `json:"key"`
}
