package snapbill

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch"
)

const name = "snapbill"

// The abilities of the provider.
var (
	_ batch.Provider   = (*Provider)(nil)
	_ batch.Canceler   = (*Provider)(nil)
	_ batch.Lister     = (*Provider)(nil)
	_ batch.BulkPoller = (*Provider)(nil)
)

// ProviderConfig is what a Draft cannot say.
type ProviderConfig struct {
	PaymentMethod string // required: the code of a method that runs batches, such as "netcash"
	Currency      string // of the account; empty means ZAR
	BatchType     string // what a batch must have as its option "type", such as "two-day"; empty means any
	// SetState submits and cancels by set_state instead of update. Which of
	// the two an account honours is not documented: Client.Form tells whether
	// update has a control called state. The wrong one submits nothing, but
	// nobody can be sure of that: it ends in ErrAmbiguous.
	SetState bool
	// BuildFor is how long Create waits for a batch to be assembled; 0 means 10
	// minutes, after which SnapBill asks to be told.
	BuildFor time.Duration
}

// Provider is SnapBill as a batch.Provider. It keeps no state.
type Provider struct {
	client *Client
	config ProviderConfig
	info   batch.Info
}

// NewProvider checks the configuration. It does no I/O.
func NewProvider(c *Client, o ProviderConfig) (*Provider, error) {
	if o.Currency == "" {
		o.Currency = "ZAR"
	}
	if o.BuildFor <= 0 {
		o.BuildFor = 10 * time.Minute
	}
	var faults []batch.FieldError
	if o.PaymentMethod == "" {
		faults = append(faults, batch.FieldError{Item: -1, Field: "PaymentMethod", Message: "is required"})
	}
	if exponent, known := batch.Exponent(o.Currency); !known || exponent != 2 {
		faults = append(faults, batch.FieldError{Item: -1, Field: "Currency", Message: "must be an ISO 4217 code with two decimals"})
	}
	if err := batch.Invalid(name, "NewProvider", faults); err != nil {
		return nil, err
	}
	return &Provider{client: c, config: o, info: batch.Info{
		Name:          name,
		Account:       c.rest.Host() + "/" + c.username,
		Direction:     batch.Collect,
		Interval:      5 * time.Minute,
		Currency:      o.Currency,
		ItemsOptional: true,
		Extra:         []string{"batch_id"},
	}}, nil
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info { return p.info }

// faults lists what SnapBill could not accept.
func (p *Provider) faults(d batch.Draft) []batch.FieldError {
	faults := p.info.Faults(d)
	if d.Date.IsZero() {
		faults = append(faults, batch.FieldError{Item: -1, Field: "date", Message: "is required: the day when the debits run"})
	}
	if id, named := d.Extra["batch_id"]; named && !address.MatchString(id) {
		faults = append(faults, batch.FieldError{Item: -1, Field: "batch_id", Message: `must be a number, or an xid such as "Clw:Xc"`})
	}
	first := make(map[string]int, len(d.Items))
	for n, item := range d.Items {
		if earlier, twice := first[item.Account]; twice && item.Account != "" {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: "account",
				Message: fmt.Sprintf("is also that of item %d: a batch has one payment of each client", earlier)})
		} else {
			first[item.Account] = n
		}
	}
	return faults
}

// Create makes a batch of the service's own choice (everybody with an unpaid
// invoice that is due by the date), waits until it is assembled, and holds it
// against the items: a control list of client numbers and amounts. Nobody is
// debited. Without items, the batch returned has those that were found.
//
// With Extra "batch_id" no batch is made: the one of that id is taken, which
// somebody has made in the web interface.
//
// A batch that is not what the items say is ErrConflict, and lists what
// differs. It stays where it is: the batch returned has its ID. So is a date
// and payment method for which there is a batch already that is not submitted:
// it may be the one that an earlier Create has made.
func (p *Provider) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	const op = "Create"
	d = d.Clone()
	b := batch.Batch{Provider: name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	if err := batch.Invalid(name, op, p.faults(d)); err != nil {
		return b, err
	}
	b.ID = d.Extra["batch_id"]
	if b.ID == "" {
		made, err := p.add(ctx, op, d)
		if made != nil {
			b.ID = made.names().number
		}
		if err != nil {
			return b, err
		}
	}
	built, err := p.built(ctx, op, b.ID)
	if err != nil {
		return b, err
	}
	b.Native = string(built.State)
	payments, err := p.payments(ctx, built)
	if err != nil {
		return b, err
	}
	if len(d.Items) == 0 {
		for _, payment := range payments {
			b.Draft.Items = append(b.Draft.Items, batch.Item{Reference: payment.Client.Number, Account: payment.Client.Number, Amount: p.amount(payment)})
		}
		if faults := p.faults(b.Draft); len(payments) > 0 && len(faults) > 0 {
			return b, conflict(op, "what the service has assembled is no batch that can be submitted here", faults)
		}
		if len(payments) == 0 {
			return b, conflict(op, "the batch is empty: nobody has an invoice that is due", nil)
		}
	}
	return b, p.compare(op, b, built, payments)
}

// add makes a batch, unless one of the same kind is there that could be ours.
func (p *Provider) add(ctx context.Context, op string, d batch.Draft) (*Batch, error) {
	date := DateOf(d.Date)
	for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{States: []BatchState{BatchBuild, BatchReady}}) {
		if err != nil {
			return nil, err
		}
		if b.ActionDate == date && b.PaymentMethod != nil && b.PaymentMethod.Code == p.config.PaymentMethod {
			return nil, conflict(op, fmt.Sprintf("batch %d of that date is %s already: name it in Extra[\"batch_id\"], or delete it", int64(b.ID), b.State), nil)
		}
	}
	return p.client.AddBatch(ctx, AddBatch{PaymentMethodCode: p.config.PaymentMethod, ActionDate: date})
}

// built waits until the system has assembled a batch.
func (p *Provider) built(ctx context.Context, op, id string) (*Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.BuildFor)
	defer cancel()
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		b, err := p.client.GetBatch(ctx, id)
		if err != nil {
			return nil, err
		}
		switch b.State {
		case BatchReady:
			return b, nil
		case BatchBuild:
		default:
			return nil, conflict(op, fmt.Sprintf("the batch is %s at the service, and only a ready one can be submitted", b.State), nil)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: op,
				Message: fmt.Sprintf("batch %d is still being built", int64(b.ID)), Err: ctx.Err()}
		}
	}
}

// payments reads all payments of a batch, and refuses a list that does not add
// up to the batch.
func (p *Provider) payments(ctx context.Context, b *Batch) ([]Payment, error) {
	var all []Payment
	var cents Int
	for payment, err := range p.client.ListPayments(ctx, ListPaymentsOptions{BatchID: b.ID}) {
		if err == nil && (payment.Client == nil || payment.Client.Number == "") {
			err = &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opListPayments.Name, Message: fmt.Sprintf("payment %d is of no client", int64(payment.ID))}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, payment)
		cents += *payment.AmountCents
	}
	if b.Totals == nil || b.AmountsCents == nil {
		return nil, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opGetBatch.Name, Message: "the batch has no totals"}
	}
	if Int(len(all)) != b.Totals.Total || cents != b.AmountsCents.Total {
		return nil, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opListPayments.Name,
			Message: fmt.Sprintf("the batch has %d payments of %d cents, and the list %d of %d", int64(b.Totals.Total), int64(b.AmountsCents.Total), len(all), int64(cents))}
	}
	return all, nil
}

func (p *Provider) amount(payment Payment) batch.Money {
	currency := p.config.Currency
	if payment.Currency != nil {
		currency = payment.Currency.Code
	}
	return batch.Money{Minor: int64(*payment.AmountCents), Currency: currency}
}

// compare holds a batch at the service against the draft. A difference is
// ErrConflict, and lists what differs.
func (p *Provider) compare(op string, b batch.Batch, at *Batch, payments []Payment) error {
	var differences []batch.FieldError
	differs := func(n int, reference, field, format string, args ...any) {
		differences = append(differences, batch.FieldError{Item: n, Reference: reference, Field: field, Message: fmt.Sprintf(format, args...)})
	}
	fact := func(field, want, got string) {
		if want != "" && want != got {
			differs(-1, "", field, "is %q at the service, and %q here", got, want)
		}
	}
	var method, currency string // What is not said is another.
	if at.PaymentMethod != nil {
		method = at.PaymentMethod.Code
	}
	if at.Currency != nil {
		currency = at.Currency.Code
	}
	fact("date", string(DateOf(b.Draft.Date)), string(at.ActionDate))
	fact("payment method", p.config.PaymentMethod, method)
	fact("currency", p.config.Currency, currency)
	fact("type", p.config.BatchType, string(at.Options["type"]))
	there := make(map[string]Payment, len(payments))
	for _, payment := range payments {
		if _, twice := there[payment.Client.Number]; twice {
			differs(-1, "", "payment", "the service has client %q more than once", payment.Client.Number)
		}
		there[payment.Client.Number] = payment
	}
	for n, item := range b.Draft.Items {
		payment, ok := there[item.Account]
		delete(there, item.Account)
		switch {
		case !ok:
			differs(n, item.Reference, "payment", "client %q is not in the batch at the service", item.Account)
		case p.amount(payment) != item.Amount:
			differs(n, item.Reference, "amount", "is %s at the service, and %s here", p.amount(payment), item.Amount)
		case payment.State != PaymentPending:
			differs(n, item.Reference, "state", "is %q at the service before it was submitted", payment.State)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(there)) {
		differs(-1, "", "payment", "the service has client %q with %s, who is not in the draft", number, p.amount(there[number]))
	}
	if len(differences) > 0 {
		return conflict(op, "the batch at the service is not the draft", differences)
	}
	return nil
}

func conflict(op, message string, fields []batch.FieldError) error {
	return &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op, Message: message, Fields: fields}
}

// Submit compares the batch at the service with the draft once more, and
// queues it for the bank.
//
// There is no way to submit only if nothing has changed: a client that somebody
// adds between the comparison and the call is debited too, and the report shows
// them as unmatched. Nor does the service document that it refuses a second
// submit, so nothing here ever sends one.
func (p *Provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Submit"
	if err := p.info.RefuseSubmit(op, b); err != nil {
		return b, err
	}
	if err := batch.Invalid(name, op, p.faults(b.Draft)); err != nil {
		return b, err
	}
	if err := p.seal(ctx, op, b); err != nil {
		return b, err
	}
	at, err := p.setState(ctx, b.ID, BatchSubmit)
	if err == nil {
		return seen(op, b, at)
	}
	if errors.Is(err, batch.ErrAmbiguous) {
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// seal compares all of the batch, and reads its totals and its state last.
func (p *Provider) seal(ctx context.Context, op string, b batch.Batch) error {
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return err
	}
	if at.State != BatchReady {
		return conflict(op, fmt.Sprintf("the batch is %s at the service, and only a ready one can be submitted", at.State), nil)
	}
	payments, err := p.payments(ctx, at)
	if err != nil {
		return err
	}
	if err := p.compare(op, b, at, payments); err != nil {
		return err
	}
	again, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return err
	}
	if again.State != BatchReady || again.Totals == nil || *again.Totals != *at.Totals || again.AmountsCents == nil || *again.AmountsCents != *at.AmountsCents {
		return conflict(op, fmt.Sprintf("the batch has changed while it was compared, and is %s", again.State), nil)
	}
	return p.compare(op, b, again, payments)
}

func (p *Provider) setState(ctx context.Context, id string, state BatchState) (*Batch, error) {
	if p.config.SetState {
		return p.client.SetBatchState(ctx, id, state)
	}
	return p.client.UpdateBatch(ctx, id, UpdateBatch{State: state})
}

// Poll reads the state of the batch. It is final in state ok once no payment
// is pending; payments can bounce after that, which a later Report shows.
func (p *Provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Poll"
	if err := p.info.Refuse(op, b); err != nil {
		return b, err
	}
	if b.State.Final() {
		return b, nil
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	return seen(op, b, at)
}

// seen returns b as SnapBill has it. Whether a batch that was submitted can
// become ready again, or be deleted, is not documented: the bank may have it,
// so a reply that says so is not believed. Nor are totals that do not add up.
func seen(op string, b batch.Batch, at *Batch) (batch.Batch, error) {
	next := state(at)
	disbelieve := func(message string) (batch.Batch, error) {
		return b, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op, Message: message}
	}
	if b.State == batch.StatePending && (next == batch.StateDraft || next == batch.StateCancelled) {
		return disbelieve(fmt.Sprintf("the batch was submitted, and the service now says that it is %s", at.State))
	}
	b.State, b.Native, b.UpdatedAt = next, string(at.State), time.Now()
	if t := at.Totals; at.State == BatchOK && t != nil && t.Pending == 0 && next == batch.StatePending {
		return disbelieve(fmt.Sprintf("nothing is pending, and yet %d of %d payments have an outcome", int64(t.settled()), int64(t.Total)))
	}
	return b, nil
}

// state maps SnapBill's words. Any other, however similar, is StateUnknown.
func state(b *Batch) batch.State {
	switch b.State {
	case BatchBuild, BatchReady:
		return batch.StateDraft
	case BatchSubmit, BatchSubmitted:
		return batch.StatePending
	case BatchOK:
		t := b.Totals
		if t == nil || t.Total == 0 || t.Pending > 0 || t.settled() != t.Total {
			return batch.StatePending // The reports have only begun to arrive.
		}
		return batch.StateDone
	case BatchError:
		return batch.StateFailed
	case BatchDead:
		return batch.StateCancelled
	}
	return batch.StateUnknown
}

// Report reads every payment of the batch, each checked to be of it.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	const op = "Report"
	if err := p.info.Refuse(op, b); err != nil {
		return batch.Report{Batch: b}, err
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	var rows []batch.Result
	references := make(map[string]string, len(b.Draft.Items))
	for _, item := range b.Draft.Items {
		references[item.Account] = item.Reference
	}
	var stale error
	if !b.State.Final() {
		b, stale = seen(op, b, at)
	}
	for payment, err := range p.client.ListPayments(ctx, ListPaymentsOptions{BatchID: at.ID}) {
		if err != nil {
			return batch.Report{Batch: b}, err
		}
		row := batch.Result{Item: batch.Item{Amount: p.amount(payment)}, Outcome: outcome(payment.State, b.State), Code: string(payment.State),
			Message: payment.Reference, Native: payment}
		if payment.Client != nil {
			row.Item.Account = payment.Client.Number
		}
		row.Item.Reference = references[row.Item.Account] // None, if nobody asked for it: the report says so.
		rows = append(rows, row)
	}
	report, err := batch.NewReport(b, rows)
	if err == nil {
		err = stale
	}
	return report, err
}

// outcome maps the state of a payment. Any word that is not known is
// OutcomeUnknown: there is no list of them.
func outcome(s PaymentState, of batch.State) batch.Outcome {
	switch s {
	case PaymentPaid:
		return batch.OutcomePaid
	case PaymentBounce, PaymentRefuted:
		return batch.OutcomeReturned
	case PaymentError:
		return batch.OutcomeFailed
	case PaymentDead:
		return batch.OutcomeSkipped
	case PaymentPending:
		if of == batch.StateCancelled {
			return batch.OutcomeSkipped
		}
		return batch.OutcomePending // Of a batch that failed too: such a payment should be in error.
	}
	return batch.OutcomeUnknown
}

// Cancel deletes a batch that is not submitted: it becomes dead. Whether the
// service honours that is not documented, so only a read-back counts.
// ErrAmbiguous means that the call may yet arrive; ErrUnsupported, that the
// service accepted it and did nothing.
func (p *Provider) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Cancel"
	if err := p.info.RefuseCancel(op, b); err != nil {
		return b, err
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err == nil && (at.State == BatchReady || at.State == BatchBuild) {
		at, err = p.setState(ctx, b.ID, BatchDead)
		if errors.Is(err, batch.ErrAmbiguous) {
			if read, failed := p.client.GetBatch(ctx, b.ID); failed == nil && (read.State == BatchDead || read.State.atTheBank()) {
				at, err = read, nil
			}
		}
	}
	if err != nil {
		return b, err
	}
	if at.State != BatchDead {
		return b, conflict(op, fmt.Sprintf("the batch is %s at the service, and was not cancelled", at.State), nil)
	}
	return seen(op, b, at)
}

// handle is a batch of the service without its items. SnapBill keeps no
// reference of ours.
func handle(b *Batch) batch.Batch {
	date, _ := time.Parse(time.DateOnly, string(b.ActionDate)) // Zero where none is said.
	return batch.Batch{Provider: name, ID: b.names().number, State: state(b), Native: string(b.State), UpdatedAt: time.Now(),
		Draft: batch.Draft{Direction: batch.Collect, Date: date}}
}

// List lists the batches of the account, in no particular order, without their
// items and references.
func (p *Provider) List(ctx context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) {
		for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{}) {
			if err != nil {
				yield(batch.Batch{}, err)
				return
			}
			if !yield(handle(&b), nil) {
				return
			}
		}
	}
}

// PollAll reads the batches that are under way in one list, and the others one
// by one.
func (p *Provider) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	out := slices.Clone(bs)
	for _, b := range bs {
		if err := p.info.Refuse("PollAll", b); err != nil {
			return out, err
		}
	}
	listed := make(map[string]*Batch) // by number and by xid
	if len(bs) > 1 {
		for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{States: []BatchState{BatchSubmit, BatchSubmitted}}) {
			if err != nil {
				return out, err
			}
			listed[b.names().number], listed[string(b.XID)] = &b, &b
		}
		delete(listed, "") // A batch without an xid is not one without an id.
	}
	for n, b := range bs {
		if b.State.Final() {
			continue
		}
		var err error
		if at := listed[b.ID]; at != nil {
			out[n], err = seen("PollAll", b, at)
		} else {
			out[n], err = p.Poll(ctx, b)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}
