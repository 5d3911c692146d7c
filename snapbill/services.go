package snapbill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// RecurringInvoice makes invoices of a client again and again.
type RecurringInvoice struct {
	ID         ID                   `json:"id"`
	XID        XID                  `json:"xid,omitempty"`
	State      Text                 `json:"state,omitempty"`
	Created    DateTime             `json:"created,omitempty"`
	Total      Text                 `json:"total,omitempty"` // 100 times too large at the real service; use TotalCents
	TotalCents Maybe[Int]           `json:"total_cents"`
	Mode       Text                 `json:"mode,omitempty"`
	Weekday    Text                 `json:"weekday,omitempty"` // "0" also if it is not used
	Number     Text                 `json:"number,omitempty"`
	Interval   Text                 `json:"interval,omitempty"`
	First      DateTime             `json:"first,omitempty"`
	Last       DateTime             `json:"last,omitempty"`
	Next       DateTime             `json:"next,omitempty"`
	Lines      Maybe[[]InvoiceLine] `json:"lines,omitzero"`
	Client     Maybe[Customer]      `json:"client,omitzero"`
}

func (r *RecurringInvoice) names() names { return numbered(r.ID, r.XID) }

func (r *RecurringInvoice) identify() error {
	r.Client.OK = r.Client.OK && r.Client.Value.identify() == nil
	return identify("recurring invoice", &r.ID, r.XID)
}

func (r *RecurringInvoice) check() error { return nil }

// verify leaves Total out: it is known to be wrong.
func (r *RecurringInvoice) verify() error { return verifyLines(r.Lines.Value) }

// RecurringMode says when a recurring invoice is due.
type RecurringMode string

// The documented modes.
const (
	OnceOff      RecurringMode = "ONCEOFF"
	DayWeek      RecurringMode = "DAYWEEK"      // on Weekday
	DayMonth     RecurringMode = "DAYMONTH"     // on the day Number of the month; -1 is the last
	WeekdayMonth RecurringMode = "WEEKDAYMONTH" // on Weekday of the week Number of the month
)

// AddRecurringInvoice adds a recurring invoice to a client.
type AddRecurringInvoice struct {
	First    Date // what the service does with a day that has passed is not documented
	Last     Date // optional
	Mode     RecurringMode
	Weekday  *time.Weekday // for DayWeek and WeekdayMonth
	Number   int           // for DayMonth and WeekdayMonth; below 0 it counts from the end
	Interval int           // weeks or months between two invoices; 0 means 1
	Lines    []AddLine
}

// ServiceType is a kind of service that an account sells.
type ServiceType struct {
	ID   ID   `json:"id"`
	XID  XID  `json:"xid,omitempty"`
	Name Text `json:"name,omitempty"`
}

func (s *ServiceType) names() names    { return numbered(s.ID, s.XID) }
func (s *ServiceType) identify() error { return identify("service type", &s.ID, s.XID) }
func (s *ServiceType) check() error    { return nil }
func (s *ServiceType) verify() error   { return nil }

// Package is what a service costs.
type Package struct {
	Depth       Text                 `json:"depth,omitempty"`
	ID          ID                   `json:"id"`
	Name        Text                 `json:"name,omitempty"` // unique per service type and currency
	Setup       Text                 `json:"setup,omitempty"`
	SetupCents  Maybe[Int]           `json:"setup_cents,omitzero"`
	Terms       Maybe[[]PackageTerm] `json:"terms,omitzero"`
	Currency    Maybe[Currency]      `json:"currency,omitzero"`
	ServiceType Maybe[ServiceType]   `json:"service_type,omitzero"`
	Flags       Map[Text]            `json:"flags,omitempty"`
	State       Text                 `json:"state,omitempty"` // "active" or "dead"
	Available   Text                 `json:"available,omitempty"`
}

// PackageTerm is the price of a package for one length of time.
type PackageTerm struct {
	Type        Text       `json:"type,omitempty"` // "daymonth"
	Day         Text       `json:"day,omitempty"`
	Interval    Text       `json:"interval,omitempty"` // months
	Description Text       `json:"description,omitempty"`
	Fee         Text       `json:"fee,omitempty"` // in decimals; use FeeCents
	FeeCents    Maybe[Int] `json:"fee_cents,omitzero"`
}

func (p *Package) names() names    { return numbered(p.ID, "") }
func (p *Package) identify() error { return identify("package", &p.ID, "") }
func (p *Package) check() error    { return nil }

func (p *Package) verify() error {
	faults := []error{agree("setup", p.Setup, p.SetupCents)}
	for _, term := range p.Terms.Value {
		faults = append(faults, agree("fee", term.Fee, term.FeeCents))
	}
	return errors.Join(faults...)
}

// Service is what a client has subscribed to.
type Service struct {
	ID          ID                 `json:"id"`
	XID         XID                `json:"xid,omitempty"`
	State       Text               `json:"state,omitempty"`
	Name        Text               `json:"name,omitempty"`
	Username    Text               `json:"username,omitempty"`
	Created     DateTime           `json:"created,omitempty"`
	Renewal     DateTime           `json:"renewal,omitempty"`
	Package     Maybe[Package]     `json:"package,omitzero"`
	Term        Text               `json:"term,omitempty"`
	ServiceType Maybe[ServiceType] `json:"service_type,omitzero"`
	Client      Maybe[Customer]    `json:"client,omitzero"`
	Variables   json.RawMessage    `json:"variables,omitempty"`
	Data        Map[Text]          `json:"data,omitempty"`
}

func (s *Service) names() names { return numbered(s.ID, s.XID) }

func (s *Service) identify() error {
	s.Client.OK = s.Client.OK && s.Client.Value.identify() == nil
	return identify("service", &s.ID, s.XID)
}

func (s *Service) check() error { return nil }

func (s *Service) verify() error { return s.Package.Value.verify() }

// AddService subscribes a client to a service.
type AddService struct {
	ServiceTypeID ID
	Package       string            // its name
	Term          int               // one of the package's intervals, in months
	Data          map[string]string // optional: custom fields, by name
}

// ListServicesOptions filters ListServices. It cannot filter by client:
// compare Service.Client.
type ListServicesOptions struct {
	ServiceType, Name string
}

// AddRecurringInvoice lets the service make invoices of a client from now on,
// which later batches collect. It is sent at most once. On ErrAmbiguous, look at
// ListRecurringInvoices: no call is documented that takes one back.
//
// Beside an ErrProtocol the recurring invoice is returned: it is there, but not
// as asked.
//
//	POST /client/{id}/add_recurring_invoice
func (c *Client) AddRecurringInvoice(ctx context.Context, clientID string, a AddRecurringInvoice) (*RecurringInvoice,
	error) {
	op := opAddRecurringInvoice
	form := url.Values{}
	faults := a.form(form)
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	made, err := call[RecurringInvoice](ctx, c, op, "recurring_invoice", []string{clientID}, form, true)
	if err != nil {
		return made, err
	}
	var w wishes
	w.compare("mode", string(a.Mode), string(made.Mode))
	w.compare("first", string(a.First), firstOf(made.First))
	w.compare("last", string(a.Last), firstOf(made.Last))
	for _, field := range []struct {
		name, got string
	}{{"weekday", string(made.Weekday)}, {"number", string(made.Number)},
		{"interval", string(made.Interval)}} {
		w.compare(field.name, form.Get(field.name), field.got)
	}
	w.client(clientID, made.Client)
	w.lines(a.Lines, made.Lines.Value)
	return made, w.err(c, op.Name)
}

func (a AddRecurringInvoice) form(form url.Values) []batch.FieldError {
	var faults []batch.FieldError
	onWeekday := a.Mode == DayWeek || a.Mode == WeekdayMonth
	numbered := a.Mode == DayMonth || a.Mode == WeekdayMonth
	most := 31 // days of a month
	if a.Mode == WeekdayMonth {
		most = 5 // of one weekday
	}
	if !onWeekday && !numbered && a.Mode != OnceOff {
		faults = append(faults, fault("mode", "%.40q is not ONCEOFF, DAYWEEK, DAYMONTH or WEEKDAYMONTH",
			string(a.Mode)))
	}
	if _, err := time.Parse(time.DateOnly, string(a.First)); err != nil {
		faults = append(faults, fault("first", "%.40q is not a day like 2014-08-21", string(a.First)))
	}
	if _, err := time.Parse(time.DateOnly, string(a.Last)); a.Last != "" && (err != nil || a.Last < a.First) {
		faults = append(faults, fault("last", "%.40q is not a day after the first", string(a.Last)))
	}
	switch {
	case onWeekday && (a.Weekday == nil || *a.Weekday < time.Sunday || *a.Weekday > time.Saturday):
		faults = append(faults, fault("weekday", "is required: Sunday (0) to Saturday (6)"))
	case onWeekday:
		form.Set("weekday", strconv.Itoa(int(*a.Weekday)))
	case a.Weekday != nil:
		faults = append(faults, fault("weekday", "is not used by this mode"))
	}
	switch {
	case numbered && a.Number == 0:
		faults = append(faults, fault("number", "is required: the day or the week of the month"))
	case numbered && max(a.Number, -a.Number) > most:
		faults = append(faults, fault("number", "is %d; it must be 1 to %d, or -1 to -%d from the end of the month",
			a.Number, most, most))
	case numbered:
		form.Set("number", strconv.Itoa(a.Number))
	case a.Number != 0:
		faults = append(faults, fault("number", "is not used by this mode"))
	}
	if a.Interval < 0 {
		faults = append(faults, fault("interval", "must be 1 or more, or 0 for 1"))
	}
	if a.Interval > 0 {
		form.Set("interval", strconv.Itoa(a.Interval))
	}
	set(form, "mode", string(a.Mode))
	set(form, "first", string(a.First))
	set(form, "last", string(a.Last))
	return append(faults, addLines(form, a.Lines)...)
}

// firstOf is the day of a time such as "2013-06-01 00:00:00".
func firstOf(t DateTime) string { return string(t)[:min(len(t), len(time.DateOnly))] }

// ListRecurringInvoices reads the recurring invoices of a client, or of all of
// them for 0.
//
//	POST /recurring_invoice/list
func (c *Client) ListRecurringInvoices(ctx context.Context, clientID ID) iter.Seq2[RecurringInvoice, error] {
	form := url.Values{}
	setNumber(form, "client_id", clientID)
	return verifiedRows(c, opListRecurringInvoices, list(ctx, c, opListRecurringInvoices, "recurring_invoice", form,
		func(r *RecurringInvoice) error { return ofClient(clientID, r.Client) }))
}

// AddService subscribes a client to a service: it owes the set-up fee and the
// recurring charge from then on, which later batches collect. It is sent at most
// once. On ErrAmbiguous, look at Customer.Services and at ListServices.
//
// Beside an ErrProtocol the service is returned: it is there, but not as asked.
//
//	POST /client/{id}/add_service
func (c *Client) AddService(ctx context.Context, clientID string, a AddService) (*Service, error) {
	op := opAddService
	var faults []batch.FieldError
	for _, field := range []struct {
		name    string
		missing bool
	}{{"service_type_id", a.ServiceTypeID <= 0}, {"package", a.Package == ""}, {"term", a.Term <= 0}} {
		if field.missing {
			faults = append(faults, fault(field.name, "is required"))
		}
	}
	form := url.Values{"service_type_id": {a.ServiceTypeID.String()}, "package": {a.Package},
		"term": {strconv.Itoa(a.Term)}}
	for field, value := range a.Data {
		form.Set("data-"+field, value)
	}
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	made, err := call[Service](ctx, c, op, "service", []string{clientID}, form, true)
	if err != nil {
		return made, err
	}
	var w wishes
	if made.ServiceType.OK {
		w.compare("service_type_id", a.ServiceTypeID.String(), made.ServiceType.Value.ID.String())
	}
	if made.Package.OK { // It was a string until 2012.
		w.compare("package", a.Package, string(made.Package.Value.Name))
	}
	w.compare("term", strconv.Itoa(a.Term), string(made.Term))
	w.client(clientID, made.Client)
	return made, w.err(c, op.Name)
}

// RemoveService ends a service and its charge. What becomes of invoices and
// refunds is not documented, nor how a removed service is shown. It is sent at
// most once. Look at Customer.Services afterwards, also on ErrAmbiguous.
//
//	POST /service/{id}/remove
func (c *Client) RemoveService(ctx context.Context, id string) error {
	return c.send(ctx, batchhttp.Call{Op: opRemoveService, Params: []string{id}, Decode: bare}, url.Values{})
}

// ListServices reads the services of all clients.
//
//	POST /service/list
func (c *Client) ListServices(ctx context.Context, o ListServicesOptions) iter.Seq2[Service, error] {
	form := url.Values{}
	set(form, "service_type", o.ServiceType)
	set(form, "name", o.Name)
	return verifiedRows(c, opListServices, list(ctx, c, opListServices, "service", form, anything[Service]))
}

// GetServiceType reads a service type.
//
//	POST /service_type/{id}/get
func (c *Client) GetServiceType(ctx context.Context, id string) (*ServiceType, error) {
	return get[ServiceType](ctx, c, opGetServiceType, "service_type", id)
}

// ListServiceTypes reads the service types of the account, or those of a name.
//
//	POST /service_type/list
func (c *Client) ListServiceTypes(ctx context.Context, called string) iter.Seq2[ServiceType, error] {
	form := url.Values{}
	set(form, "name", called)
	return list(ctx, c, opListServiceTypes, "service_type", form, anything[ServiceType])
}

// GetPackage reads a package.
//
//	POST /package/{id}/get
func (c *Client) GetPackage(ctx context.Context, id string) (*Package, error) {
	p, err := get[Package](ctx, c, opGetPackage, "package", id)
	return verified(c, opGetPackage, p, err)
}

// ListPackages reads the packages of a service type, or all of them for 0.
//
//	POST /package/list
func (c *Client) ListPackages(ctx context.Context, serviceTypeID ID) iter.Seq2[Package, error] {
	form := url.Values{}
	setNumber(form, "service_type_id", serviceTypeID)
	return verifiedRows(c, opListPackages, list(ctx, c, opListPackages, "package", form, func(p *Package) error {
		if serviceTypeID != 0 && (!p.ServiceType.OK || p.ServiceType.Value.ID != serviceTypeID) {
			return ignored("service_type_id", "another")
		}
		return nil
	}))
}

// addLines adds the lines of an invoice to a form, and says what is wrong with them.
func addLines(form url.Values, lines []AddLine) []batch.FieldError {
	var faults []batch.FieldError
	for n, line := range lines {
		form.Set(fmt.Sprintf("description[%d]", n), line.Description)
		for _, field := range []struct {
			name, value string
		}{{"unit_cost", line.UnitCost}, {"quantity", line.Quantity}} {
			form.Set(fmt.Sprintf("%s[%d]", field.name, n), field.value)
			if _, err := batch.ParseDecimal(field.value, 2); err != nil {
				faults = append(faults, batch.FieldError{Item: n, Field: field.name,
					Message: fmt.Sprintf("%.40q is not a decimal with up to two places", field.value)})
			}
		}
	}
	if len(lines) == 0 {
		faults = append(faults, fault("lines", "there are none"))
	}
	return faults
}

// client compares the client that was asked for with the one that came back, if
// one did.
func (w *wishes) client(asked string, got Maybe[Customer]) {
	if got.OK && !got.Value.names().has(asked) {
		w.compare("client", asked, got.Value.names().number)
	}
}

// lines compares the lines that were asked for with those that came back.
func (w *wishes) lines(asked []AddLine, got []InvoiceLine) {
	w.compare("lines", strconv.Itoa(len(asked)), strconv.Itoa(len(got)))
	for n, line := range got {
		if n < len(asked) {
			w.compareDecimal(fmt.Sprintf("unit_cost[%d]", n), asked[n].UnitCost, string(line.UnitCost))
			w.compareDecimal(fmt.Sprintf("quantity[%d]", n), asked[n].Quantity, string(line.Quantity))
		}
	}
}

// verifyLines compares the amounts of lines, which are there twice.
func verifyLines(lines []InvoiceLine) error {
	var faults []error
	for _, line := range lines {
		faults = append(faults, agree("unit cost", line.UnitCost, line.UnitCostCents),
			agree("total of a line", line.Total, line.TotalCents))
	}
	return errors.Join(faults...)
}
