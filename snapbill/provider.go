package snapbill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
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

	// Account is the SnapBill account that the login belongs to, as journals name
	// it. Empty means the only account at BaseURL: name each if a journal serves
	// several. The best name is its number, as Client.CurrentAccount shows it.
	// Then every batch that is read must belong to that account, so that with a
	// login of another account nothing is sent.
	Account string

	// SetState submits and cancels by set_state instead of update. Which of
	// the two an account honours is not documented: Client.Form tells whether
	// update has a control called state. The wrong one submits nothing, but
	// the reply does not prove that: it ends in ErrAmbiguous.
	SetState bool
	// PastDates allows a Draft.Date that has passed, which is ErrInvalid without
	// it: whether SnapBill then debits at once, or never, is not documented.
	PastDates bool

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
	o.Currency = cmp.Or(o.Currency, "ZAR")
	if o.BuildFor <= 0 {
		o.BuildFor = 10 * time.Minute
	}
	var faults []batch.FieldError
	if o.PaymentMethod == "" {
		faults = append(faults, fault("PaymentMethod", "is required"))
	}
	if exponent, known := batch.Exponent(o.Currency); !known || exponent != 2 {
		faults = append(faults, fault("Currency", "is %q, and must be an ISO 4217 code with two decimals", o.Currency))
	}
	if err := batch.Invalid(name, "NewProvider", faults); err != nil {
		return nil, err
	}
	return &Provider{client: c, config: o, info: batch.Info{
		Name:          name,
		Account:       cmp.Or(o.Account, environment(c)),
		Direction:     batch.Collect,
		Interval:      5 * time.Minute,
		Currency:      o.Currency,
		NoRepeat:      true, // Nothing says that SnapBill refuses the second of two.
		ItemsOptional: true,
		Extra:         []string{"batch_id"},
		ExtraBatch:    "batch_id",
		Terms: map[string]string{
			"payment_method": o.PaymentMethod,
			"currency":       o.Currency,
			"batch_type":     o.BatchType,
		},
	}}, nil
}

// environment names where c collects: "production", or another host.
func environment(c *Client) string {
	return c.http.Environment(map[string]string{Production: "production"})
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info {
	info := p.info
	info.Terms = maps.Clone(info.Terms)
	return info
}

// faults lists what SnapBill could not accept.
func (p *Provider) faults(d batch.Draft) []batch.FieldError {
	faults := p.info.Faults(d)
	if d.Date.IsZero() {
		faults = append(faults, fault("date", "is required: the day when the debits run"))
	}
	day, today := DateOf(d.Date), DateOf(time.Now().In(d.Date.Location()))
	if !d.Date.IsZero() && day < today && !p.config.PastDates {
		faults = append(faults, fault("date", "is %s, and today is %s: SnapBill documents no effect of a day that has "+
			"passed; ProviderConfig.PastDates allows it", day, today))
	}
	if id, named := d.Extra["batch_id"]; named && !address.MatchString(id) {
		faults = append(faults, fault("batch_id", "%s", notAnAddress))
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

// Create makes a batch of the service's own choice (every client with an unpaid
// invoice that is due by the date), waits until it is assembled, and compares it
// with the items: a control list of client numbers and amounts. No client is
// debited. Without items, the batch returned has those that were found.
//
// With Extra "batch_id" no batch is made: the one of that id is taken, which
// was made in the web interface. It belongs to this draft from then on, and
// Cancel deletes it. A Create that fails leaves it alone, and returns no ID.
//
// A batch that is not what the items say is ErrConflict, and lists what
// differs. One that Create has made stays where it is: the batch returned has its
// ID. ErrConflict is also a date and payment method for which there is a batch
// already that is not submitted: it may be the one that an earlier Create made.
func (p *Provider) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	const op = "Create"
	d = d.Clone()
	b := batch.Batch{Provider: name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	if err := batch.Invalid(name, op, p.faults(d)); err != nil {
		return b, err
	}
	id := d.Extra["batch_id"]
	if id == "" {
		made, err := p.add(ctx, op, d)
		if made != nil {
			b.ID = made.names().number
		}
		if err != nil {
			return b, err
		}
		id = b.ID
	} else {
		number, err := p.number(ctx, op, id)
		if err != nil {
			return b, err
		}
		id = number
	}
	built, err := p.built(ctx, op, id)
	if built != nil {
		b.Native = p.client.http.Clean(string(built.State))
		if b.ID != "" {
			b.State = state(built)
		}
	}
	if err != nil {
		return b, err
	}
	all, err := p.wholeList(ctx, op, built)
	if err != nil {
		return b, err
	}
	if len(d.Items) == 0 {
		if b.Draft.Items = all.items(); len(b.Draft.Items) == 0 {
			return b, p.client.conflict(op, "the batch is empty: no client has an invoice that is due", nil)
		}
		if faults := p.faults(b.Draft); len(faults) > 0 {
			return b, p.client.conflict(op, "the batch that the service has assembled cannot be submitted here", faults)
		}
	}
	if err := p.compare(op, b, built, all.rows); err != nil {
		return b, err
	}
	b.ID = id
	return b, nil
}

// add makes a batch, unless one of the same kind is there that could be ours.
func (p *Provider) add(ctx context.Context, op string, d batch.Draft) (*Batch, error) {
	date := DateOf(d.Date)
	for b, err := range p.client.listBatches(ctx, ListBatchesOptions{States: []BatchState{BatchBuild, BatchReady}}) {
		if err != nil {
			return nil, err // Any row that cannot be read could be ours.
		}
		if b.ActionDate == date && string(b.PaymentMethod.Value.Code) == p.config.PaymentMethod {
			return nil, p.client.conflict(op,
				fmt.Sprintf("batch %s of that date is %s already, and may be that of an earlier Create: "+
					"let Resolve adopt it, name it in Extra[\"batch_id\"] under a new reference, or delete it at SnapBill",
					b.ID, b.State), nil)
		}
	}
	return p.client.AddBatch(ctx, AddBatch{PaymentMethodCode: p.config.PaymentMethod, ActionDate: date})
}

// number returns the number of the batch that id addresses. A batch has one name
// here, or two drafts could have it.
func (p *Provider) number(ctx context.Context, op, id string) (string, error) {
	if !strings.Contains(id, ":") {
		return id, nil
	}
	at, err := p.client.readBatch(ctx, id)
	if err != nil {
		return "", err
	}
	same, err := p.client.readBatch(ctx, at.names().number)
	if err == nil && !same.names().has(id) {
		err = p.client.conflict(op, fmt.Sprintf("batch %s is %s for this login, and not %s: use a login of one account",
			at.ID, same.XID, id), nil)
	}
	return at.names().number, err
}

// built waits until the system has assembled a batch. It returns what it has
// read beside an error.
func (p *Provider) built(ctx context.Context, op, id string) (*Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.BuildFor)
	defer cancel()
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		b, err := p.client.readBatch(ctx, id)
		if err != nil {
			return nil, err
		}
		switch b.State {
		case BatchReady:
			return b, nil
		case BatchBuild:
		default:
			return b, p.notReady(op, b)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return b, &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: op,
				Message: fmt.Sprintf("batch %s is still being built", b.ID), Err: ctx.Err()}
		}
	}
}

func (p *Provider) notReady(op string, b *Batch) error {
	return p.client.conflict(op, fmt.Sprintf("the batch is %s at the service, and only a ready one can be submitted",
		b.State), nil)
}

// A paymentList is what the service says of the payments of a batch.
type paymentList struct {
	rows   []Payment
	broken []Payment          // rows that make no sense, as far as they could be read
	faults []batch.FieldError // why, for each of them
}

// payments reads all payments of a batch. Beside an error it returns those that
// came before it.
func (p *Provider) payments(ctx context.Context, at *Batch) (paymentList, error) {
	var all paymentList
	for payment, err := range p.client.ListPayments(ctx, ListPaymentsOptions{BatchID: at.ID}) {
		number, currency := &payment.Client.Value.Number, &payment.Currency.Value.Code
		if *currency == "" { // A batch has one currency.
			*currency = cmp.Or(at.Currency.Value.Code, Text(p.config.Currency))
		}
		for _, word := range []*Text{number, currency} { // Both are shown in reports.
			*word = Text(p.client.http.Clean(string(*word)))
		}
		switch {
		case err != nil && !ofOneRow(err):
			return all, err
		case err == nil && *number == "":
			err = fmt.Errorf("payment %s has no client with a number", payment.ID)
		}
		if err == nil {
			all.rows = append(all.rows, payment)
			continue
		}
		var row rowError
		if errors.As(err, &row) {
			err = row.error
		}
		all.broken = append(all.broken, payment)
		all.faults = append(all.faults, fault("payment", "a row of client %.60q cannot be used: %v",
			string(*number), err))
	}
	return all, nil
}

// wholeList reads all payments of a batch, and refuses a list that does not add up
// to the batch.
func (p *Provider) wholeList(ctx context.Context, op string, at *Batch) (paymentList, error) {
	all, err := p.payments(ctx, at)
	if err != nil {
		return all, err
	}
	if err := at.verify(); err != nil {
		all.faults = append(all.faults, fault("amounts", "%v", err))
	}
	if len(all.faults) > 0 {
		return all, p.client.nonsense(op, "the batch contradicts itself", all.faults)
	}
	total, counted := at.Totals["total"]
	cents, summed := at.AmountsCents["total"]
	if !counted || !summed {
		return all, p.client.nonsense(op, "the batch has no totals", nil)
	}
	if n, sum := Int(len(all.rows)), all.cents(); n != total || sum != cents {
		return all, p.client.nonsense(op, fmt.Sprintf("the batch has %d payments of %d cents, and the list %d of %d",
			int64(total), int64(cents), int64(n), int64(sum)), nil)
	}
	return all, nil
}

func (l *paymentList) cents() (sum Int) {
	for _, payment := range l.rows {
		sum += payment.AmountCents.Value
	}
	return sum
}

// items are those of a draft that asks for exactly these payments.
func (l *paymentList) items() []batch.Item {
	var items []batch.Item
	for _, payment := range l.rows {
		number := string(payment.Client.Value.Number)
		items = append(items, batch.Item{Reference: number, Account: number, Amount: amount(payment)})
	}
	return items
}

func amount(payment Payment) batch.Money {
	return batch.Money{Minor: int64(payment.AmountCents.Value), Currency: string(payment.Currency.Value.Code)}
}

func stranger(payment Payment) batch.FieldError {
	return fault("payment", "the service has client %q with %s, who is not in the draft",
		string(payment.Client.Value.Number), amount(payment))
}

// facts compares a batch at the service with what it must be: differ lists what
// is different, unsaid what the service does not say. A draft that has lost its
// date is compared without one.
func (p *Provider) facts(d batch.Draft, at *Batch) (differ, unsaid []batch.FieldError) {
	fact := func(field, here, there string) {
		difference := fault(field, "is %.60q at the service, and %q here", there, here)
		switch {
		case here == "" || here == there:
		case there == "":
			unsaid = append(unsaid, difference)
		default:
			differ = append(differ, difference)
		}
	}
	if !d.Date.IsZero() {
		fact("date", string(DateOf(d.Date)), string(at.ActionDate))
	}
	fact("payment method", p.config.PaymentMethod, string(at.PaymentMethod.Value.Code))
	fact("currency", p.config.Currency, string(at.Currency.Value.Code))
	fact("type", p.config.BatchType, string(at.Options["type"]))
	fact("account", p.accountNumber(), at.account())
	return differ, unsaid
}

// accountNumber is ProviderConfig.Account if that is a number.
func (p *Provider) accountNumber() string {
	if strings.Trim(p.config.Account, "0123456789") == "" {
		return p.config.Account
	}
	return ""
}

// compare holds a batch at the service against the draft. A difference is
// ErrConflict, and lists what differs. What the service does not say is different.
func (p *Provider) compare(op string, b batch.Batch, at *Batch, payments []Payment) error {
	differ, unsaid := p.facts(b.Draft, at)
	differ = append(differ, unsaid...)
	there := make(map[string]Payment, len(payments))
	for _, payment := range payments {
		number := string(payment.Client.Value.Number)
		if _, twice := there[number]; twice {
			differ = append(differ, fault("payment", "the service has client %q more than once", number))
		}
		there[number] = payment
	}
	differ = append(differ, missing(b.Draft, there)...)
	for n, item := range b.Draft.Items {
		if payment, ok := there[item.Account]; ok && payment.State != PaymentPending {
			differ = append(differ, batch.FieldError{Item: n, Reference: item.Reference, Field: "state",
				Message: fmt.Sprintf("is %.60q at the service before it was submitted", string(payment.State))})
		}
		delete(there, item.Account)
	}
	for _, number := range slices.Sorted(maps.Keys(there)) {
		differ = append(differ, stranger(there[number]))
	}
	if len(differ) > 0 {
		return p.client.conflict(op, "the batch at the service is not the draft", differ)
	}
	return nil
}

// missing lists the items that are not among the payments with their amount.
func missing(d batch.Draft, there map[string]Payment) []batch.FieldError {
	var differ []batch.FieldError
	for n, item := range d.Items {
		difference := batch.FieldError{Item: n, Reference: item.Reference}
		payment, ok := there[item.Account]
		switch {
		case !ok:
			difference.Field = "payment"
			difference.Message = fmt.Sprintf("client %q is not in the batch at the service", item.Account)
		case amount(payment) != item.Amount:
			difference.Field = "amount"
			difference.Message = fmt.Sprintf("is %s at the service, and %s here", amount(payment), item.Amount)
		default:
			continue
		}
		differ = append(differ, difference)
	}
	return differ
}

// Submit compares the batch at the service with the draft once more, and
// queues it for the bank.
//
// There is no way to submit only if nothing has changed: a client that is added
// in the web interface between the comparison and the call is debited too, and
// the report shows that payment as unmatched. Nor does the service document that
// it refuses a second submit, so one call is sent, and never another.
//
// Beside an error, State and Native are what was read: a batch that a colleague
// has submitted is not a draft, although this call has sent nothing. One that was
// submitted between the comparison and the call is ErrAmbiguous.
func (p *Provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Submit"
	if err := p.info.RefuseSubmit(op, b); err != nil {
		return b, err
	}
	if err := batch.Invalid(name, op, p.faults(b.Draft)); err != nil {
		return b, err
	}
	b, err := p.seal(ctx, op, b)
	if err != nil {
		return b, err
	}
	at, err := p.setState(ctx, b.ID, BatchSubmit)
	if at != nil {
		b = p.as(b, at)
	}
	if kind := batch.KindOf(err); err != nil && kind != batch.ErrAmbiguous && kind != batch.ErrUnavailable {
		err = p.refused(ctx, op, &b, err)
	}
	if errors.Is(err, batch.ErrAmbiguous) {
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// refused reads what became of a batch whose submit was refused. Only a batch that
// is a draft still was not submitted: a proxy can deliver a request twice, and the
// refusal is then that of the second.
func (p *Provider) refused(ctx context.Context, op string, b *batch.Batch, refusal error) error {
	read, err := p.client.readBatch(ctx, b.ID)
	if err == nil {
		if *b = p.as(*b, read); b.State == batch.StateDraft {
			return refusal
		}
		err = p.client.conflict(op, fmt.Sprintf("the batch is %s at the service", read.State), nil)
	}
	return &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op, Err: errors.Join(refusal, err),
		Message: "this call was refused, but the batch may have been submitted: by a request that arrived twice, or by another person"}
}

// seal compares all of the batch, and reads its totals and its state last. It
// returns b as it was read.
func (p *Provider) seal(ctx context.Context, op string, b batch.Batch) (batch.Batch, error) {
	at, err := p.client.readBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	if b = p.as(b, at); at.State != BatchReady {
		return b, p.notReady(op, at)
	}
	all, err := p.wholeList(ctx, op, at)
	if err != nil {
		return b, err
	}
	if err := p.compare(op, b, at, all.rows); err != nil {
		return b, err
	}
	again, err := p.client.readBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	if b = p.as(b, again); again.State != BatchReady || !sameTotals(again, at) {
		return b, p.client.conflict(op, fmt.Sprintf("the batch has changed while it was compared, and is %s",
			again.State), nil)
	}
	return b, p.compare(op, b, again, all.rows)
}

func sameTotals(a, b *Batch) bool {
	return maps.Equal(a.Totals, b.Totals) && maps.Equal(a.AmountsCents, b.AmountsCents)
}

func (p *Provider) setState(ctx context.Context, id string, state BatchState) (*Batch, error) {
	if p.config.SetState {
		return p.client.SetBatchState(ctx, id, state)
	}
	return p.client.UpdateBatch(ctx, id, UpdateBatch{State: state})
}

// Poll reads the state of the batch. It is final in state ok once no payment
// is pending; payments can bounce after that, which a later Report shows.
//
// A batch of another date, payment method, currency or account than the draft is
// ErrConflict. In StateUnknown, where the answer proves that a Submit arrived,
// all of that must be said, and every item must be among the payments with its
// amount. Payments beside them do not contradict: a client can be added in the
// last moment. The report names them.
func (p *Provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Poll"
	if err := p.info.Refuse(op, b); err != nil {
		return b, err
	}
	if b.State.Final() {
		return b, nil
	}
	at, err := p.client.readBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	return p.seen(op, b, at, p.reader(ctx, at))
}

// A reader reads the payments of a batch when they are first asked for.
type reader func() (paymentList, error)

func (p *Provider) reader(ctx context.Context, at *Batch) reader {
	return sync.OnceValues(func() (paymentList, error) { return p.payments(ctx, at) })
}

// seen returns b as SnapBill has it, if that can be the batch of the draft.
//
// Whether a batch that was submitted can become ready again, or be deleted, is
// not documented: the bank may have it, so a reply that says so is not believed.
func (p *Provider) seen(op string, b batch.Batch, at *Batch, payments reader) (batch.Batch, error) {
	differ, unsaid := p.facts(b.Draft, at)
	if len(differ) > 0 {
		return b, p.client.conflict(op, "the batch at the service is another one", differ)
	}
	after := p.as(b, at)
	if b.State == batch.StatePending && (after.State == batch.StateDraft || after.State == batch.StateCanceled) {
		return b, p.client.nonsense(op, fmt.Sprintf("the batch was submitted, and the service now says that it is %s",
			at.State), nil)
	}
	if b.State == batch.StateUnknown {
		if b.Draft.Date.IsZero() {
			return b, batch.Invalid(name, op, []batch.FieldError{
				fault("date", "is required: it tells this batch from that of another month")})
		}
		if len(unsaid) > 0 {
			return b, p.client.nonsense(op, "the service does not say enough of the batch to prove that it is this one",
				unsaid)
		}
		if err := p.witness(op, &after, payments); err != nil {
			return b, err
		}
	}
	if at.State == BatchOK && !at.counted() {
		// Nothing else says whether this is the end.
		all, err := payments()
		switch {
		case err != nil:
			return after, err
		case len(all.rows) == 0:
			return after, p.client.nonsense(op, "the batch is ok, and neither its totals nor its payments can be read",
				all.faults)
		case !slices.ContainsFunc(all.rows, func(p Payment) bool { return p.State == PaymentPending }):
			after.State = batch.StateDone
		}
	}
	return after, nil
}

// witness compares the payments of a batch with the items of b. A draft without
// items takes those that are there, as in Create. A row that cannot be read
// decides nothing.
func (p *Provider) witness(op string, b *batch.Batch, payments reader) error {
	submitted := b.State == batch.StatePending || b.State == batch.StateDone || b.State == batch.StateFailed
	if !submitted && (b.State != batch.StateDraft || len(b.Draft.Items) > 0) {
		return nil
	}
	all, err := payments()
	if err != nil {
		return err
	}
	if len(b.Draft.Items) == 0 {
		if len(all.faults) > 0 {
			return p.client.nonsense(op, "the payments of the batch cannot be read", all.faults)
		}
		b.Draft.Items = all.items()
		return nil
	}
	there := make(map[string]Payment, len(all.rows))
	for _, payment := range all.rows {
		there[string(payment.Client.Value.Number)] = payment
	}
	differ := missing(b.Draft, there)
	if len(all.broken) > 0 {
		differ = slices.DeleteFunc(differ, func(f batch.FieldError) bool { return f.Field == "payment" })
	}
	if len(differ) > 0 {
		return p.client.conflict(op, "the batch at the service is another one", differ)
	}
	return nil
}

// as returns b with the name and the state that SnapBill has for it.
func (p *Provider) as(b batch.Batch, at *Batch) batch.Batch {
	b.ID, b.State, b.Native, b.UpdatedAt = at.names().number, state(at), p.client.http.Clean(string(at.State)),
		time.Now()
	total, pending := at.Totals["total"], at.Totals["pending"]
	if (b.State == batch.StatePending || b.State == batch.StateDone) && at.counted() && pending <= total {
		b.Counts = batch.Counts{Final: int(total - pending), Items: int(total)}
	}
	return b
}

// state maps SnapBill's words. Any other, however similar, is StateUnknown.
func state(b *Batch) batch.State {
	switch b.State {
	case BatchBuild, BatchReady:
		return batch.StateDraft
	case BatchSubmit, BatchSubmitted:
		return batch.StatePending
	case BatchOK:
		if b.counted() && b.Totals["pending"] == 0 {
			return batch.StateDone
		}
		return batch.StatePending // The reports have only begun to arrive.
	case BatchError:
		return batch.StateFailed
	case BatchDead:
		return batch.StateCanceled
	}
	return batch.StateUnknown
}

// Report reads every payment of the batch. A row that makes no sense leaves its
// item unknown, and the others stand. So does a contradiction: another total, a
// payment of a client who is not in the draft. All of it is listed in the
// ErrProtocol beside the report.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	const op = "Report"
	if err := p.info.Refuse(op, b); err != nil {
		return batch.Report{Batch: b}, err
	}
	at, err := p.client.readBatch(ctx, b.ID)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	read := p.reader(ctx, at)
	var stale error
	if b.State.Final() {
		if differ, _ := p.facts(b.Draft, at); len(differ) > 0 {
			stale = p.client.conflict(op, "the batch at the service is another one", differ)
		}
	} else {
		b, stale = p.seen(op, b, at, read)
	}
	if batch.KindOf(stale) == batch.ErrConflict {
		report, _ := batch.NewReport(b, nil)
		return report, stale
	}
	all, err := read()
	if err != nil && batch.KindOf(err) != batch.ErrProtocol {
		return batch.Report{Batch: b}, err
	}
	faults := all.faults
	if err != nil {
		faults = append(faults, fault("payments", "%v", err))
	} else if len(all.broken) == 0 {
		faults = append(faults, p.contradictions(ctx, at, &all)...)
	}
	rows, strangers, odd := p.results(b, at, &all)
	report, err := batch.NewReport(b, rows)
	report.Unmatched = append(report.Unmatched, strangers...)
	return report, cmp.Or(p.beside(err, append(faults, odd...)), stale)
}

// results joins the payments to the items of b by the client's number. A stranger
// is a payment of a client whom no item names.
func (p *Provider) results(b batch.Batch, at *Batch, all *paymentList) (rows, strangers []batch.Result,
	odd []batch.FieldError) {
	place := make(map[string]int, len(b.Draft.Items))
	for n, item := range b.Draft.Items {
		place[item.Account] = n
	}
	for _, payment := range all.rows {
		number := string(payment.Client.Value.Number)
		row := p.result(payment, outcome(payment.State, b.State))
		row.Item.Account, row.Item.Amount = number, amount(payment)
		n, ours := place[number]
		if !ours {
			strangers, odd = append(strangers, row), append(odd, stranger(payment))
			continue
		}
		row.Item.Reference = b.Draft.Items[n].Reference
		rows = append(rows, row)
		contradiction := func(format string, args ...any) {
			odd = append(odd, batch.FieldError{Item: n, Reference: row.Item.Reference, Field: "state",
				Message: fmt.Sprintf("is %.60q at the service, "+format, append([]any{row.Code}, args...)...)})
		}
		switch {
		case row.Outcome == batch.OutcomeUnknown && b.State.Final():
			contradiction("a word that this version does not know")
		case b.State == batch.StateCanceled &&
			(row.Outcome == batch.OutcomePaid || row.Outcome == batch.OutcomeReturned):
			contradiction("but the batch is %s, and was never to be debited", at.State)
		}
	}
	for _, payment := range all.broken {
		if n, ours := place[string(payment.Client.Value.Number)]; ours {
			row := p.result(payment, batch.OutcomeUnknown)
			row.Item.Reference = b.Draft.Items[n].Reference
			rows = append(rows, row)
		}
	}
	return rows, strangers, odd
}

func (p *Provider) result(payment Payment, o batch.Outcome) batch.Result {
	clean := p.client.http.Clean
	return batch.Result{Outcome: o, Code: clean(string(payment.State)), Message: clean(string(payment.Reference)),
		ID: payment.ID.String(), Native: payment}
}

// contradictions lists where the totals of a batch differ from its payments, and
// from themselves. Payments can get their outcome between the two reads, so the
// totals must still be the same afterwards.
func (p *Provider) contradictions(ctx context.Context, at *Batch, all *paymentList) []batch.FieldError {
	var faults []batch.FieldError
	counts, cents := make(Totals), make(Totals)
	for _, payment := range all.rows {
		counts[string(payment.State)]++
		cents[string(payment.State)] += payment.AmountCents.Value
	}
	for _, of := range []struct {
		field       string
		said, found Totals
		all         Int
	}{{"totals", at.Totals, counts, Int(len(all.rows))}, {"amounts_cents", at.AmountsCents, cents, all.cents()}} {
		var bucketed Int
		for _, bucket := range []string{"pending", "paid", "bounce", "refuted"} {
			bucketed += of.found[bucket]
			if said, sent := of.said[bucket]; sent && said != of.found[bucket] {
				faults = append(faults, fault(of.field, "the batch says %d %s, and its payments %d",
					int64(said), bucket, int64(of.found[bucket])))
			}
		}
		// Whether the total counts payments in other states is not documented.
		if said, sent := of.said["total"]; sent && said != of.all && said != bucketed {
			faults = append(faults, fault(of.field, "the batch says %d in total, and its payments %d", int64(said),
				int64(of.all)))
		}
	}
	if len(faults) > 0 {
		again, err := p.client.readBatch(ctx, at.names().number)
		if err != nil || !sameTotals(again, at) {
			faults = nil
		}
	}
	if err := at.verify(); err != nil {
		faults = append(faults, fault("amounts", "%v", err))
	}
	return faults
}

// beside adds faults to the error of a report.
func (p *Provider) beside(err error, faults []batch.FieldError) error {
	if len(faults) == 0 {
		return err
	}
	e := batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: "Report",
		Message: "the report does not match the batch"}
	var known *batch.Error
	if errors.As(err, &known) {
		e = *known
	}
	e.Fields = batchhttp.Faults(append(p.client.clean(faults), e.Fields...))
	return &e
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
		if of == batch.StateCanceled {
			return batch.OutcomeSkipped
		}
		return batch.OutcomePending // Of a batch that failed too: such a payment should be in error.
	}
	return batch.OutcomeUnknown
}

// Cancel deletes a batch that is not submitted: it becomes dead. Whether the
// service honours that is not documented, so only a read-back counts.
// ErrAmbiguous means that the call may yet arrive; ErrUnsupported, that the
// service accepted it and did nothing. Beside ErrConflict, State and Native are
// what was read.
func (p *Provider) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Cancel"
	if err := p.info.RefuseCancel(op, b); err != nil {
		return b, err
	}
	at, err := p.client.readBatch(ctx, b.ID)
	if number := p.accountNumber(); err == nil && number != "" && at.account() != number {
		return b, p.client.conflict(op, fmt.Sprintf("the batch is of account %q, not %s", at.account(), number), nil)
	}
	if err == nil && (at.State == BatchReady || at.State == BatchBuild) {
		at, err = p.setState(ctx, b.ID, BatchDead)
		if errors.Is(err, batch.ErrAmbiguous) {
			read, failed := p.client.readBatch(ctx, b.ID)
			if failed == nil && (read.State == BatchDead || read.State.atTheBank()) {
				at, err = read, nil
			}
		}
	}
	if err != nil {
		return b, err
	}
	if b.State == batch.StatePending && at.State == BatchDead {
		return b, p.client.nonsense(op, "the batch was submitted, and the service now says that it is dead", nil)
	}
	if b = p.as(b, at); b.State != batch.StateCanceled {
		return b, p.client.conflict(op, fmt.Sprintf("the batch is %s at the service, and was not cancelled", at.State),
			nil)
	}
	return b, nil
}

// handle is a batch of the service without its items. SnapBill keeps no
// reference of ours.
func (p *Provider) handle(b *Batch) batch.Batch {
	date, _ := time.Parse(time.DateOnly, string(b.ActionDate)) // Zero where none is said.
	return p.as(batch.Batch{Provider: name, Draft: batch.Draft{Direction: batch.Collect, Date: date}}, b)
}

// List lists the batches of the account, in no particular order, without their
// items and references. A row that makes no sense is an error, and the list goes
// on.
func (p *Provider) List(ctx context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) {
		for b, err := range p.client.listBatches(ctx, ListBatchesOptions{}) {
			var found batch.Batch
			if err == nil {
				found = p.handle(&b)
			}
			if !yield(found, err) {
				return
			}
		}
	}
}

// PollAll reads the batches that are under way in one list. Those that the bank
// has answered it reads in a second list, as long as that takes a twentieth of
// the requests of single polls. It polls the others one by one, as Poll does.
func (p *Provider) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	const op = "PollAll"
	out, failed := slices.Clone(bs), make(batch.PollErrors)
	listed, err := p.listed(ctx, bs)
	if err != nil {
		return out, err
	}
	var alone []int // places in bs
	for n, b := range bs {
		at, err := listed[b.ID], p.info.Refuse(op, b)
		switch {
		case err != nil, b.State.Final():
		case at != nil:
			out[n], err = p.seen(op, b, at, p.reader(ctx, at))
		default:
			alone = append(alone, n)
		}
		if err != nil {
			failed[n] = err
		}
	}
	failed.PollEach(ctx, p, out, alone)
	return out, failed.Err()
}

// listed reads those of bs that are not final in lists. What is not in them is
// not returned.
func (p *Provider) listed(ctx context.Context, bs []batch.Batch) (map[string]*Batch, error) {
	if len(bs) == 1 {
		return nil, nil // One poll is as cheap as a list.
	}
	wanted, found := make(map[string]bool), make(map[string]*Batch) // by number or xid
	for _, b := range bs {
		if !b.State.Final() && b.ID != "" {
			wanted[b.ID] = true
		}
	}
	most := maxPages * perPage // rows that are read
	for _, states := range [][]BatchState{{BatchSubmit, BatchSubmitted}, {BatchOK, BatchError}} {
		if len(wanted) == 0 || most < perPage {
			break
		}
		for b, err := range p.client.listBatches(ctx, ListBatchesOptions{States: states}) {
			if err != nil && !ofOneRow(err) {
				return nil, err
			}
			for _, id := range []string{b.names().number, string(b.XID)} {
				if err == nil && wanted[id] {
					found[id] = &b
					delete(wanted, id)
				}
			}
			if most--; most == 0 || len(wanted) == 0 {
				break
			}
		}
		most = len(wanted) / 20 * perPage
	}
	return found, nil
}
