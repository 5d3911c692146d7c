package snapbill

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Int is an integer as SnapBill writes it: 10 or "10". A fraction, an exponent
// and anything else is an error.
type Int int64

// UnmarshalJSON reads a number or a string that holds one.
func (n *Int) UnmarshalJSON(text []byte) error {
	digits := text
	if len(text) > 1 && text[0] == '"' {
		digits = text[1 : len(text)-1]
	}
	value, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil || digits[0] == '+' || len(digits) > 18 { // So that a few of them can be added.
		return fmt.Errorf("%.40q is not an integer", text)
	}
	*n = Int(value)
	return nil
}

// ID is the number of an object in its account. It is 0 if the service sent
// none, or anything but a whole number above zero.
type ID int64

// UnmarshalJSON reads a number or a string that holds one.
func (n *ID) UnmarshalJSON(text []byte) error {
	*n = 0
	var value Int
	if value.UnmarshalJSON(text) == nil && value > 0 {
		*n = ID(value)
	}
	return nil
}

func (n ID) String() string { return strconv.FormatInt(int64(n), 10) }

// Text is a field that decides nothing. It keeps a value of any type as text.
type Text = batchhttp.Text

// Maybe is a field that decides about its object. A value of another type
// leaves OK false, and fails nothing else.
type Maybe[T any] = batchhttp.Maybe[T]

// Map is an object by name. SnapBill writes an empty one as []; anything but an
// object is an empty one.
type Map[T any] map[string]T

// UnmarshalJSON reads an object.
func (m *Map[T]) UnmarshalJSON(text []byte) error {
	if batchhttp.Parse(text, (*map[string]T)(m)) != nil {
		*m = nil
	}
	return nil
}

// Date is a day of the account's calendar, "2014-08-21". SnapBill sends no
// zone, so it is never converted. It is empty if there is none; anything else is
// kept as it came, and is equal to no day.
type Date string

// DateOf is the day of t, in t's own location.
func DateOf(t time.Time) Date { return Date(t.Format(time.DateOnly)) }

// UnmarshalJSON keeps the value.
func (d *Date) UnmarshalJSON(text []byte) error { return (*Text)(d).UnmarshalJSON(text) }

// DateTime is a time of the account's clock, "2014-08-22 09:56:13". SnapBill
// sends no zone, so it is never converted. It decides nothing.
type DateTime = Text

// agree compares an amount in decimals with the same in cents. Only the cents
// are ever used. Text that is not a decimal says nothing.
func agree(field string, decimals Text, cents Maybe[Int]) error {
	millionths, err := batch.ParseDecimal(string(decimals), 6)
	if err == nil && cents.OK && (millionths%10_000 != 0 || millionths/10_000 != int64(cents.Value)) {
		return fmt.Errorf("the %s is %s in decimals, and %d cents: they do not agree", field, decimals,
			int64(cents.Value))
	}
	return nil
}

// identify compares an xid with the id beside it. Either of them alone names
// the object, so an id that is missing is that of the xid.
func identify(class string, id *ID, xid XID) error {
	_, object, err := xid.Decode()
	switch {
	case err == nil && *id == 0:
		*id = ID(object)
	case err == nil && *id != ID(object):
		return fmt.Errorf("the %s %s has the xid %.40q, which is that of %d", class, id, string(xid), object)
	}
	if *id == 0 {
		return fmt.Errorf("a %s has no id", class)
	}
	return nil
}

func coded(class string, code Text) error {
	if code == "" {
		return fmt.Errorf("a %s has no code", class)
	}
	return nil
}

// BatchState is SnapBill's word for where a batch stands. The list is open.
type BatchState string

// UnmarshalJSON keeps the word, whatever it is.
func (s *BatchState) UnmarshalJSON(text []byte) error { return (*Text)(s).UnmarshalJSON(text) }

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
	Depth         Text                 `json:"depth,omitempty"` // 0 is the fullest form
	ID            ID                   `json:"id"`              // unique in the account
	XID           XID                  `json:"xid,omitempty"`
	State         BatchState           `json:"state"`
	ActionDate    Date                 `json:"action_date"` // when the debits run, and the last due date that they take
	SubmitDate    Date                 `json:"submit_date,omitempty"`
	PaymentMethod Maybe[PaymentMethod] `json:"payment_method,omitzero"`
	Number        Text                 `json:"number,omitempty"`
	Options       Map[Text]            `json:"options,omitempty"` // "type": "two-day"
	Account       Maybe[Account]       `json:"account,omitzero"`
	Reseller      Maybe[Account]       `json:"reseller,omitzero"` // what Account was called until 2012
	Currency      Maybe[Currency]      `json:"currency,omitzero"`
	Totals        Totals               `json:"totals,omitempty"`  // numbers of payments
	Amounts       Map[Text]            `json:"amounts,omitempty"` // the same in decimals; use AmountsCents
	AmountsCents  Totals               `json:"amounts_cents,omitempty"`
}

// Totals are numbers of payments, or cents, by what became of them: "total",
// "pending" (no outcome yet), "paid", "bounce" (returned unpaid by the bank) and
// "refuted" (disputed by the holder of the account). A bucket that is missing
// was not sent, or was not a whole number from 0 up: it is not zero.
type Totals map[string]Int

// UnmarshalJSON reads the buckets.
func (t *Totals) UnmarshalJSON(text []byte) error {
	*t = nil
	var buckets Map[Maybe[Int]]
	_ = buckets.UnmarshalJSON(text)
	for bucket, n := range buckets {
		if n.OK && n.Value >= 0 {
			if *t == nil {
				*t = make(Totals, len(buckets))
			}
			(*t)[bucket] = n.Value
		}
	}
	return nil
}

// counted reports whether the totals say how many payments have no outcome yet.
func (b *Batch) counted() bool {
	_, pending := b.Totals["pending"]
	return pending && b.Totals["total"] > 0
}

// account is the number of the account that the batch belongs to; empty if it
// does not say.
func (b *Batch) account() string {
	for _, a := range []Maybe[Account]{b.Account, b.Reseller} {
		if a.OK && a.Value.identify() == nil {
			return a.Value.ID.String()
		}
	}
	return ""
}

func (b *Batch) names() names { return numbered(b.ID, b.XID) }

func (b *Batch) identify() error { return identify("batch", &b.ID, b.XID) }

func (b *Batch) check() error {
	if b.State == "" {
		return fmt.Errorf("batch %s has no state", b.ID)
	}
	return nil
}

// verify compares its amounts, which are there twice.
func (b *Batch) verify() error {
	var faults []error
	for _, bucket := range slices.Sorted(maps.Keys(b.Amounts)) {
		cents, sent := b.AmountsCents[bucket]
		faults = append(faults, agree("amount "+strconv.Quote(bucket), b.Amounts[bucket],
			Maybe[Int]{Value: cents, OK: sent}))
	}
	return errors.Join(faults...)
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

// UnmarshalJSON keeps the word, whatever it is.
func (s *PaymentState) UnmarshalJSON(text []byte) error { return (*Text)(s).UnmarshalJSON(text) }

// Payment is one client's line in a batch.
type Payment struct {
	ID             ID                    `json:"id"`
	XID            XID                   `json:"xid,omitempty"`
	Client         Maybe[Customer]       `json:"client,omitzero"`
	Batch          Maybe[Batch]          `json:"batch,omitzero"` // not OK for one that is on no batch
	Currency       Maybe[Currency]       `json:"currency,omitzero"`
	Amount         Text                  `json:"amount,omitempty"` // in decimals; use AmountCents
	AmountCents    Maybe[Int]            `json:"amount_cents"`
	Reference      Text                  `json:"reference,omitempty"`
	PaymentMethod  Maybe[PaymentMethod]  `json:"payment_method,omitzero"`
	PaymentDetails Maybe[PaymentDetails] `json:"payment_details,omitzero"`
	State          PaymentState          `json:"state"`
}

func (p *Payment) names() names { return numbered(p.ID, p.XID) }

func (p *Payment) identify() error {
	p.Batch.OK = p.Batch.OK && p.Batch.Value.identify() == nil
	_ = p.Client.Value.identify() // Its number decides.
	return identify("payment", &p.ID, p.XID)
}

func (p *Payment) check() error {
	switch {
	case p.State == "":
		return fmt.Errorf("payment %s has no state", p.ID)
	case !p.AmountCents.OK:
		return fmt.Errorf("payment %s has no amount_cents that is a whole number: %.40q", p.ID,
			string(p.AmountCents.Text))
	}
	return nil
}

func (p *Payment) verify() error { return agree("amount", p.Amount, p.AmountCents) }

// ListPaymentsOptions filters ListPayments.
type ListPaymentsOptions struct {
	ClientID, BatchID ID
	State             PaymentState
}

// Customer is a client in SnapBill's words: who is billed and debited.
type Customer struct {
	Depth         Text                 `json:"depth,omitempty"`
	ID            ID                   `json:"id"`
	XID           XID                  `json:"xid,omitempty"`
	State         Text                 `json:"state"`
	Number        Text                 `json:"number"` // unique in the account, and may be chosen
	Name          Text                 `json:"name,omitempty"`
	Account       Maybe[Account]       `json:"account,omitzero"`
	Cell          Text                 `json:"cell,omitempty"`
	Company       Text                 `json:"company,omitempty"`
	Country       Maybe[Country]       `json:"country,omitzero"`
	Credit        Text                 `json:"credit,omitempty"` // in decimals; use CreditCents
	CreditCents   Maybe[Int]           `json:"credit_cents,omitzero"`
	Currency      Maybe[Currency]      `json:"currency,omitzero"`
	Discount      Text                 `json:"discount,omitempty"`
	Email         Text                 `json:"email,omitempty"`
	FirstName     Text                 `json:"firstname,omitempty"`
	Surname       Text                 `json:"surname,omitempty"`
	Payment       Text                 `json:"payment,omitempty"` // deprecated: the code of PaymentMethod
	PaymentMethod Maybe[PaymentMethod] `json:"payment_method,omitzero"`
	Totals        json.RawMessage      `json:"totals,omitempty"`
	URLs          Map[Link]            `json:"urls,omitempty"`
	Data          Map[Text]            `json:"data,omitempty"`     // custom fields
	Services      json.RawMessage      `json:"services,omitempty"` // an object by id, or []
}

func (c *Customer) names() names { return numbered(c.ID, c.XID) }

func (c *Customer) identify() error { return identify("client", &c.ID, c.XID) }

func (c *Customer) check() error { return nil }

func (c *Customer) verify() error { return agree("credit", c.Credit, c.CreditCents) }

// Link is a URL that logs in every reader who opens it. Printed, it is redacted.
type Link string

// UnmarshalJSON keeps the value.
func (l *Link) UnmarshalJSON(text []byte) error { return (*Text)(l).UnmarshalJSON(text) }

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
	Discount          string // percent
	// for UpdateClient alone, in decimals: "25.00"; books a credit payment, see there
	Credit string
	State  string            // documented, and ignored by the real service whenever it was tried
	Data   map[string]string // custom fields, by name
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
	ID            ID                   `json:"id"`
	XID           XID                  `json:"xid,omitempty"`
	Created       DateTime             `json:"created,omitempty"`
	Type          Text                 `json:"type,omitempty"`
	State         Text                 `json:"state"`
	PONumber      Text                 `json:"po_number,omitempty"`
	Date          Date                 `json:"date,omitempty"`
	DueDate       Date                 `json:"due_date,omitempty"`
	Name          Text                 `json:"name,omitempty"`
	Number        Text                 `json:"number,omitempty"`
	Currency      Maybe[Currency]      `json:"currency,omitzero"`
	Subtotal      Text                 `json:"subtotal,omitempty"`
	SubtotalCents Maybe[Int]           `json:"subtotal_cents,omitzero"`
	Taxes         json.RawMessage      `json:"taxes,omitempty"`
	Discount      Text                 `json:"discount,omitempty"`
	Total         Text                 `json:"total,omitempty"` // in decimals; use TotalCents
	TotalCents    Maybe[Int]           `json:"total_cents"`
	Lines         Maybe[[]InvoiceLine] `json:"lines,omitzero"`
	Client        Maybe[Customer]      `json:"client,omitzero"`
	URLs          Map[Link]            `json:"urls,omitempty"`
}

func (i *Invoice) names() names { return numbered(i.ID, i.XID) }

func (i *Invoice) identify() error {
	i.Client.OK = i.Client.OK && i.Client.Value.identify() == nil
	return identify("invoice", &i.ID, i.XID)
}

func (i *Invoice) check() error { return nil }

func (i *Invoice) verify() error {
	return errors.Join(agree("total", i.Total, i.TotalCents), agree("subtotal", i.Subtotal, i.SubtotalCents),
		verifyLines(i.Lines.Value))
}

// InvoiceLine is a line of an invoice. Where it stems from an agreement, that
// is in one of the raw fields.
type InvoiceLine struct {
	ID               ID              `json:"id"`
	XID              Text            `json:"xid,omitempty"` // here the bare id
	ItemName         Text            `json:"item_name,omitempty"`
	Description      Text            `json:"description,omitempty"`
	UnitCost         Text            `json:"unit_cost,omitempty"`
	UnitCostCents    Maybe[Int]      `json:"unit_cost_cents,omitzero"`
	Quantity         Text            `json:"quantity,omitempty"`
	Total            Text            `json:"total,omitempty"`
	TotalCents       Maybe[Int]      `json:"total_cents"`
	Taxed            Text            `json:"taxed,omitempty"`
	Package          json.RawMessage `json:"package,omitempty"`
	Term             Text            `json:"term,omitempty"`
	Service          json.RawMessage `json:"service,omitempty"`
	Charge           json.RawMessage `json:"charge,omitempty"`
	RecurringInvoice json.RawMessage `json:"recurring_invoice,omitempty"` // its decimals are 100 times too large
}

// PaymentMethod is a way to be paid.
type PaymentMethod struct {
	Depth      Text              `json:"depth,omitempty"`
	Code       Text              `json:"code"`
	Name       Text              `json:"name,omitempty"`
	Enabled    Text              `json:"enabled,omitempty"`
	Currencies Maybe[[]Currency] `json:"currencies,omitzero"` // none means any
}

func (m *PaymentMethod) names() names { return names{number: string(m.Code)} }

func (m *PaymentMethod) identify() error { return coded("payment method", m.Code) }

func (m *PaymentMethod) check() error { return nil }

func (m *PaymentMethod) verify() error { return nil }

// PaymentDetails is a client's bank account or card.
type PaymentDetails struct {
	ID     ID   `json:"id"`
	XID    XID  `json:"xid,omitempty"`
	Type   Text `json:"type,omitempty"` // "bank_account" or "credit_card"
	Bank   Text `json:"bank,omitempty"`
	Number Text `json:"number,omitempty"` // masked
	Last4  Text `json:"last4,omitempty"`
	Expiry Text `json:"expiry,omitempty"` // "2015-04"
	// documented: "active", "disabled", "expired", "dead"; in no published reply
	State   Text            `json:"state,omitempty"`
	Created DateTime        `json:"created,omitempty"`
	Tokens  json.RawMessage `json:"tokens,omitempty"`
	Client  Maybe[Customer] `json:"client,omitzero"`
}

func (d *PaymentDetails) names() names { return numbered(d.ID, d.XID) }

func (d *PaymentDetails) identify() error {
	d.Client.OK = d.Client.OK && d.Client.Value.identify() == nil
	return identify("set of payment details", &d.ID, d.XID)
}

func (d *PaymentDetails) check() error { return nil }

func (d *PaymentDetails) verify() error { return nil }

// Currency is a currency of an account.
type Currency struct {
	Code    Text `json:"code"`             // ISO 4217
	Format  Text `json:"format,omitempty"` // "R%.2f"
	Enabled Text `json:"enabled,omitempty"`
	State   Text `json:"state,omitempty"` // what Enabled was until 2012
}

func (c *Currency) names() names { return names{number: string(c.Code)} }

func (c *Currency) identify() error { return coded("currency", c.Code) }

func (c *Currency) check() error { return nil }

func (c *Currency) verify() error { return nil }

// Country is a country.
type Country struct {
	Code Text `json:"code"`
	ISO2 Text `json:"iso2,omitempty"`
	ISO3 Text `json:"iso3,omitempty"`
	Name Text `json:"name,omitempty"`
}

func (c *Country) names() names { return names{number: string(c.Code)} }

func (c *Country) identify() error { return coded("country", c.Code) }

func (c *Country) check() error { return nil }

func (c *Country) verify() error { return nil }

// Account is an account of SnapBill: whose clients are billed.
type Account struct {
	Depth    Text            `json:"depth,omitempty"`
	ID       ID              `json:"id"`
	XID      XID             `json:"xid,omitempty"`
	Username Text            `json:"username,omitempty"`
	Settings json.RawMessage `json:"settings,omitempty"`
}

func (a *Account) names() names { return numbered(a.ID, a.XID) }

func (a *Account) identify() error { return identify("account", &a.ID, a.XID) }

func (a *Account) check() error { return nil }

func (a *Account) verify() error { return nil }

// Action is a change that SnapBill has recorded: the best evidence of who did
// what.
type Action struct {
	Depth       Text            `json:"depth,omitempty"`
	ID          ID              `json:"id"`
	XID         XID             `json:"xid,omitempty"`
	Path        Text            `json:"path"`          // "/payment/update/state"
	URL         Text            `json:"url,omitempty"` // deprecated: the same
	Link        Text            `json:"link,omitempty"`
	ItemType    Text            `json:"item_type,omitempty"`
	Description Text            `json:"description,omitempty"`
	Details     Change          `json:"details,omitzero"`
	Date        DateTime        `json:"date,omitempty"`
	Client      Maybe[Customer] `json:"client,omitzero"`
	User        Maybe[User]     `json:"user,omitzero"` // not OK: the system
	Item        json.RawMessage `json:"-"`             // the object under the key that ItemType names
}

func (a *Action) names() names { return numbered(a.ID, a.XID) }

func (a *Action) identify() error { return identify("action", &a.ID, a.XID) }

func (a *Action) check() error { return nil }

func (a *Action) verify() error { return nil }

// Change is what an action has changed.
type Change struct {
	From Text `json:"from,omitempty"`
	To   Text `json:"to,omitempty"`
}

// UnmarshalJSON reads {"from","to"}, the new value alone, or an empty array.
func (c *Change) UnmarshalJSON(text []byte) error {
	*c = Change{}
	if text[0] != '{' && text[0] != '[' {
		return c.To.UnmarshalJSON(text)
	}
	var both Map[Text]
	err := both.UnmarshalJSON(text)
	c.From, c.To = both["from"], both["to"]
	return err
}

// UnmarshalJSON reads an action and the object that it is about.
func (a *Action) UnmarshalJSON(text []byte) error {
	type plain Action
	if err := batchhttp.Parse(text, (*plain)(a)); err != nil {
		return err
	}
	if a.ItemType == "" { // An old form: the first part of the path names it.
		if parts := strings.Split(string(a.Path), "/"); len(parts) > 2 {
			a.ItemType = Text(parts[1])
		}
	}
	var all Map[json.RawMessage]
	err := all.UnmarshalJSON(text)
	a.Item = all[string(a.ItemType)]
	return err
}

// Control is a field of a form: what a command takes.
type Control struct {
	Type     Text            `json:"type"` // "textbox", "select", "hidden"...
	Name     Text            `json:"name"` // the field to send
	Caption  Text            `json:"caption,omitempty"`
	Tip      Text            `json:"tip,omitempty"`
	Required Text            `json:"required,omitempty"` // not always true to its name
	Default  Text            `json:"default,omitempty"`
	Value    Text            `json:"value,omitempty"`
	Options  Maybe[[]Option] `json:"options,omitzero"`
	Multiple Text            `json:"multiple,omitempty"`
	Case     Text            `json:"case,omitempty"`
}

// Option is a choice of a Control.
type Option struct {
	Caption Text `json:"caption"`
	Key     Text `json:"key"`
}
