package sixdotfifty

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
)

const name = "sixdotfifty"

// The abilities of the provider.
var (
	_ batch.Provider   = (*Provider)(nil)
	_ batch.Finder     = (*Provider)(nil)
	_ batch.Canceler   = (*Provider)(nil)
	_ batch.Lister     = (*Provider)(nil)
	_ batch.Editor     = (*Provider)(nil)
	_ batch.BulkPoller = (*Provider)(nil)
)

// ProviderConfig is what a Draft cannot say.
type ProviderConfig struct {
	// Currency of the PAY account, 6DOT50's own or ISO 4217 with two decimals;
	// empty means DZAR. No payment names one.
	Currency string
	// Account tells journals whose batches these are: any name that is no
	// secret. Empty means a digest of the key, which changes with the key.
	Account string
	// ChunkSize is how many payments are added with one call; 0 means 500. What
	// the service takes is not documented.
	ChunkSize int
}

// Provider is 6DOT50's PAY as a batch.Provider. It keeps no state.
type Provider struct {
	client *Client
	config ProviderConfig
	info   batch.Info
}

// NewProvider checks the configuration. It does no I/O.
func NewProvider(c *Client, o ProviderConfig) (*Provider, error) {
	if o.Currency == "" {
		o.Currency = "DZAR"
	}
	if o.ChunkSize <= 0 {
		o.ChunkSize = 500
	}
	if o.Account == "" {
		sum := sha256.Sum256([]byte(c.tokens.key))
		o.Account = hex.EncodeToString(sum[:4])
	}
	if exponent, known := batch.Exponent(o.Currency); known && exponent != 2 {
		return nil, batch.Invalid(name, "NewProvider", []batch.FieldError{{Item: -1, Field: "Currency", Message: "must have two decimals"}})
	}
	return &Provider{client: c, config: o, info: batch.Info{
		Name:      name,
		Account:   c.rest.Host() + "/" + o.Account,
		Direction: batch.Pay,
		Interval:  time.Minute,
		Guard:     batch.GuardRefuses, // Only a draft can be submitted (documented).
		Currency:  o.Currency,
		Extra:     []string{"name"},
		ItemExtra: []string{"firstname", "lastname"},
	}}, nil
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info { return p.info }

// faults lists what 6DOT50 could not accept.
func (p *Provider) faults(d batch.Draft) []batch.FieldError {
	faults := p.info.Faults(d)
	if !d.Date.IsZero() {
		faults = append(faults, batch.FieldError{Item: -1, Field: "date", Message: "must be zero: 6DOT50 pays when a batch is submitted"})
	}
	for n, item := range d.Items {
		if item.Account != "" && !msisdn.MatchString(item.Account) {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: "account",
				Message: "must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"})
		}
	}
	return faults
}

// externalID is the external id of the nth draft of a reference, which cannot
// hold a point itself.
func externalID(reference string, n int) string {
	if n == 1 {
		return reference
	}
	return reference + "." + strconv.Itoa(n)
}

// reference is the reference of a draft of this external id.
func reference(external string) string {
	if base, n, ok := strings.Cut(external, "."); ok {
		if count, err := strconv.Atoi(n); err == nil && count <= maxDrafts && external == externalID(base, count) {
			return base
		}
	}
	return external
}

// maxDrafts is how many drafts of one reference there may be.
const maxDrafts = 100

// generations yields the drafts of a reference, oldest first.
func (p *Provider) generations(ctx context.Context, op, reference string) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for n := 1; n <= maxDrafts; n++ {
			var found, alive []Batch
			for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{ExternalID: externalID(reference, n)}) {
				if err != nil {
					yield(Batch{}, err)
					return
				}
				if b.ExternalID != externalID(reference, n) { // The filter may match more.
					continue
				}
				if found = append(found, b); b.StatusCode != BatchCancelled { // Which may free its id.
					alive = append(alive, b)
				}
			}
			switch {
			case len(found) == 0:
				return
			case len(alive) > 1:
				yield(Batch{}, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op,
					Message: fmt.Sprintf("%d batches have the external id %q: it must be unique", len(alive), externalID(reference, n))})
				return
			case len(alive) == 1:
				found = alive
			}
			if !yield(found[0], nil) {
				return
			}
		}
		yield(Batch{}, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op,
			Message: fmt.Sprintf("the reference has had %d drafts, and more are not looked for: use another", maxDrafts)})
	}
}

// Create makes a draft at the service, adds the payments, and reads them back.
// Nobody is paid.
//
// If the staging fails, the draft is withdrawn as far as possible, and never
// used again: a call that is still under way can then do no harm. The batch
// returned beside the error tells which: StateCancelled, or still StateDraft. A
// reference under which there is a batch that was not cancelled is ErrConflict.
// ErrAmbiguous means that an empty draft may have been left behind, or may yet
// appear: it is in the way of the next Create until it is cancelled, which Run
// does by itself.
func (p *Provider) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	const op = "Create"
	d = d.Clone()
	b := batch.Batch{Provider: name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	if err := batch.Invalid(name, op, p.faults(d)); err != nil {
		return b, err
	}
	taken := 0
	for earlier, err := range p.generations(ctx, op, d.Reference) {
		if err != nil {
			return b, err
		}
		if taken++; earlier.StatusCode != BatchCancelled {
			return b, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op,
				Message: fmt.Sprintf("the service has a batch of this reference, %s, which is %s", earlier.ID, earlier.StatusCode)}
		}
	}
	made, err := p.make(ctx, d, externalID(d.Reference, taken+1))
	if err != nil {
		return b, err
	}
	b.ID, b.Native = made.ID, string(made.StatusCode)
	if err := p.fill(ctx, op, b); err != nil {
		return p.abandon(ctx, b, err)
	}
	return b, nil
}

// make makes an empty draft. There was none of this external id, so after an
// unclear reply an empty one that is there is ours; after a refusal it is not.
func (p *Provider) make(ctx context.Context, d batch.Draft, external string) (*Batch, error) {
	title := d.Extra["name"]
	if title == "" {
		title = d.Reference
	}
	made, err := p.client.CreateBatch(ctx, BatchRequest{Name: title, ExternalID: external})
	if err == nil && (made.ExternalID != external || made.StatusCode != BatchDraft) {
		err = &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: opCreateBatch.Name,
			Message: fmt.Sprintf("the service made a batch that is %s, of another external id or status", made.StatusCode)}
	}
	var e *batch.Error
	if !errors.As(err, &e) || e.Kind != batch.ErrAmbiguous && e.Kind != batch.ErrInvalid {
		return made, err
	}
	unclear := e.Kind == batch.ErrAmbiguous && e.Status != http.StatusConflict
	for b, failed := range p.client.ListBatches(ctx, ListBatchesOptions{ExternalID: external}) {
		switch {
		case failed != nil || b.ExternalID != external:
		case unclear && b.StatusCode == BatchDraft && b.Summary != nil && b.Summary.PaymentsCount == 0:
			return &b, nil
		case !unclear:
			return nil, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: opCreateBatch.Name,
				Message: fmt.Sprintf("somebody else has made a batch of the external id %q: %s, which is %s", external, b.ID, b.StatusCode), Err: err}
		}
	}
	return nil, err
}

// fill adds the payments and reads them back. A chunk is never sent twice:
// after an unclear reply nothing more is added, and the read decides.
func (p *Provider) fill(ctx context.Context, op string, b batch.Batch) error {
	unclear := p.stage(ctx, b, false)
	if unclear != nil && !errors.Is(unclear, batch.ErrAmbiguous) {
		return unclear
	}
	err := p.seal(ctx, op, b)
	if err != nil && unclear != nil {
		return unclear
	}
	return err
}

// stage adds the payments: to an empty draft in chunks, and in place of others
// with one call, because a late one that clears would remove what came after.
func (p *Provider) stage(ctx context.Context, b batch.Batch, replace bool) error {
	size := p.config.ChunkSize
	if replace {
		size = len(b.Draft.Items)
	}
	for chunk := range slices.Chunk(b.Draft.Items, size) {
		payments := make([]NewPayment, len(chunk))
		for n, item := range chunk {
			payments[n] = NewPayment{MSISDN: item.Account, Amount: Amount(item.Amount.Minor), ExternalID: item.Reference,
				FirstName: item.Extra["firstname"], LastName: item.Extra["lastname"]}
		}
		if _, err := p.client.AddPayments(ctx, b.ID, AddPaymentsRequest{ClearExisting: replace, Payments: payments}); err != nil {
			return err
		}
	}
	return nil
}

// withdraw cancels a draft that holds nobody knows what, so that no call that
// is still under way can change what is paid. It reports whether that is done;
// if not, b is as it was.
func (p *Provider) withdraw(ctx context.Context, b batch.Batch) (batch.Batch, bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	at, err := p.client.CancelBatch(ctx, b.ID)
	if err != nil {
		at, err = p.client.GetBatch(ctx, b.ID)
	}
	if err != nil || at.StatusCode != BatchCancelled {
		return b, false
	}
	b.State, b.Native, b.UpdatedAt = batch.StateCancelled, string(BatchCancelled), time.Now()
	return b, true
}

// abandon withdraws a draft whose staging has failed.
func (p *Provider) abandon(ctx context.Context, b batch.Batch, cause error) (batch.Batch, error) {
	told := batch.Error{Kind: batch.ErrUnavailable}
	var known *batch.Error
	if errors.As(cause, &known) {
		if told = *known; known.Kind == batch.ErrAmbiguous {
			told.Kind = batch.ErrUnavailable
		}
	}
	told.Provider, told.Op, told.Err = name, "Create", cause
	told.Message = "the payments could not be added: the draft could not be withdrawn; do not submit it"
	b, withdrawn := p.withdraw(ctx, b)
	if withdrawn {
		told.Message = "the payments could not be added: the draft is withdrawn"
	}
	return b, &told
}

// seal reads the draft and holds it against the items: count, total and every
// payment. A difference is ErrConflict, and lists what differs.
func (p *Provider) seal(ctx context.Context, op string, b batch.Batch) error {
	conflict := func(message string, fields []batch.FieldError) error {
		return &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op, Message: message, Fields: fields}
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return err
	}
	if at.StatusCode != BatchDraft {
		return conflict(fmt.Sprintf("the batch is %s at the service, and only a draft can be submitted", at.StatusCode), nil)
	}
	if reference(at.ExternalID) != b.Draft.Reference {
		return conflict(fmt.Sprintf("the batch has the external id %q at the service", at.ExternalID), nil)
	}
	payments, err := p.client.ListPayments(ctx, b.ID)
	if err != nil {
		return err
	}
	var differences []batch.FieldError
	differs := func(n int, reference, field, format string, args ...any) {
		differences = append(differences, batch.FieldError{Item: n, Reference: reference, Field: field, Message: fmt.Sprintf(format, args...)})
	}
	there := make(map[string]Payment, len(payments))
	for _, payment := range payments {
		if _, twice := there[payment.ExternalID]; twice {
			differs(-1, payment.ExternalID, "payment", "the service has %q more than once", payment.ExternalID)
		}
		there[payment.ExternalID] = payment
	}
	var total Amount
	for n, item := range b.Draft.Items {
		total += Amount(item.Amount.Minor)
		payment, ok := there[item.Reference]
		delete(there, item.Reference)
		switch {
		case !ok:
			differs(n, item.Reference, "payment", "is not at the service")
		case payment.Amount != Amount(item.Amount.Minor):
			differs(n, item.Reference, "amount", "is %s at the service, and %s here", payment.Amount, Amount(item.Amount.Minor))
		case payment.MSISDN != item.Account:
			differs(n, item.Reference, "account", "is another mobile number at the service")
		case payment.StatusCode != PaymentDraft:
			differs(n, item.Reference, "status", "is %s at the service", payment.StatusCode)
		case payment.ReferralAmount != 0:
			differs(n, item.Reference, "referralAmount", "is %s at the service", payment.ReferralAmount)
		}
	}
	for _, reference := range slices.Sorted(maps.Keys(there)) {
		differs(-1, reference, "payment", "the service has %q, which is not in the batch", reference)
	}
	if s := at.Summary; s == nil {
		differs(-1, "", "summary", "is missing")
	} else if s.PaymentsCount != len(b.Draft.Items) || s.PaymentsAmount != total {
		differs(-1, "", "summary", "has %d payments of %s in all at the service, and the batch has %d of %s", s.PaymentsCount, s.PaymentsAmount, len(b.Draft.Items), total)
	}
	if len(differences) > 0 {
		return conflict("the draft at the service is not the batch", differences)
	}
	return nil
}

// Submit compares the draft at the service with the batch once more, and
// submits it: members are paid at once.
//
// ErrFunds means that the float does not cover all payments; nothing was paid,
// and the draft is intact. It is concluded from a refusal (400 or 422) after
// which the draft still is what the items say: lack of money is the only
// reason documented.
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
	submitted, err := p.client.SubmitBatch(ctx, b.ID)
	if err == nil {
		return seen(op, b, submitted.StatusCode)
	}
	if errors.Is(err, batch.ErrInvalid) {
		err = p.refused(ctx, op, b, err)
	}
	if errors.Is(err, batch.ErrAmbiguous) {
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// refused reads what a refused submit has left behind.
func (p *Provider) refused(ctx context.Context, op string, b batch.Batch, cause error) error {
	var e *batch.Error
	errors.As(cause, &e)
	told := *e
	told.Op = op
	at, err := p.client.GetBatch(ctx, b.ID)
	switch {
	case err != nil:
		// Why it was refused is what this read would have told: perhaps
		// because an earlier one of ours has landed.
		told.Kind, told.Err = batch.ErrAmbiguous, errors.Join(told.Err, err)
		told.Message = "the submit was refused, and the batch cannot be read: " + told.Message
	case at.StatusCode == BatchDraft:
		lack := e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity
		if lack && p.seal(ctx, op, b) == nil {
			told.Kind = batch.ErrFunds
		}
	case at.StatusCode == BatchCancelled:
		told.Kind = batch.ErrConflict
	default:
		// This request was refused, but another has landed: perhaps an
		// earlier one of ours. Only reading on can tell.
		told.Kind = batch.ErrAmbiguous
		told.Message = fmt.Sprintf("the submit was refused, and the batch is %s: another submit has landed", at.StatusCode)
	}
	return &told
}

// Poll reads the status of the batch.
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
	return seen(op, b, at.StatusCode)
}

// seen returns b as 6DOT50 has it. A batch that was submitted does not become
// a draft again, and can no longer be cancelled: a reply that says so is stale,
// and not believed.
func seen(op string, b batch.Batch, status BatchStatus) (batch.Batch, error) {
	next := state(status)
	if b.State == batch.StatePending && (next == batch.StateDraft || next == batch.StateCancelled) {
		return b, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op,
			Message: fmt.Sprintf("the batch was submitted, and the service now says that it is %s: a stale reply?", status)}
	}
	b.State, b.Native, b.UpdatedAt = next, string(status), time.Now()
	return b, nil
}

// state maps 6DOT50's words. Any other, however similar, is StateUnknown.
func state(status BatchStatus) batch.State {
	switch status {
	case BatchDraft:
		return batch.StateDraft
	case BatchOpen:
		return batch.StatePending
	case BatchClosed:
		return batch.StateDone
	case BatchCancelled:
		return batch.StateCancelled
	}
	return batch.StateUnknown
}

// Report reads every payment of the batch. A list that is short of payments,
// or that contradicts the batch, is ErrProtocol beside the report: ask again.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	const op = "Report"
	if err := p.info.Refuse(op, b); err != nil {
		return batch.Report{Batch: b}, err
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	payments, err := p.client.ListPayments(ctx, b.ID)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	var stale error
	if !b.State.Final() {
		b, stale = seen(op, b, at.StatusCode)
	}
	rows := make([]batch.Result, len(payments))
	deleted := 0
	for n, payment := range payments {
		if payment.StatusCode == PaymentDeleted {
			deleted++
		}
		rows[n] = batch.Result{
			Item: batch.Item{Reference: payment.ExternalID, Account: payment.MSISDN,
				Amount: batch.Money{Minor: int64(payment.Amount), Currency: p.config.Currency}},
			Outcome: outcome(payment.StatusCode, b.State),
			Code:    string(payment.StatusCode),
			Native:  payment,
		}
	}
	report, err := batch.NewReport(b, rows)
	if err == nil {
		err = stale
	}
	if s := at.Summary; err == nil && s != nil && s.PaymentsCount != len(payments) && s.PaymentsCount != len(payments)-deleted {
		err = &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op,
			Message: fmt.Sprintf("the batch has %d payments, and the list has %d", s.PaymentsCount, len(payments))}
	}
	return report, err
}

// outcome maps the status of a payment. The same word means that nothing was
// sent, if the batch was cancelled, and that it came back, if it was not.
func outcome(status PaymentStatus, s batch.State) batch.Outcome {
	switch status {
	case PaymentSettled:
		return batch.OutcomePaid
	case PaymentDraft, PaymentPending:
		return batch.OutcomePending
	case PaymentCancelled:
		switch s {
		case batch.StateCancelled, batch.StateDraft:
			return batch.OutcomeSkipped
		case batch.StatePending, batch.StateDone:
			return batch.OutcomeReturned
		}
		return batch.OutcomeUnknown
	case PaymentDeleted:
		return batch.OutcomeSkipped
	}
	return batch.OutcomeUnknown
}

// Find finds the batch of a reference: of several drafts the one that was
// submitted, or else the newest that is not withdrawn. The items are not looked
// up.
func (p *Provider) Find(ctx context.Context, reference string) (batch.Batch, error) {
	rank := func(s BatchStatus) int {
		switch s {
		case BatchCancelled:
			return 1
		case BatchDraft:
			return 2
		}
		return 3
	}
	var found Batch
	for b, err := range p.generations(ctx, "Find", reference) {
		switch {
		case err != nil:
			return batch.Batch{}, err
		case found.ID != "" && rank(b.StatusCode) == 3 && rank(found.StatusCode) == 3:
			return batch.Batch{}, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: "Find",
				Message: fmt.Sprintf("two batches of this reference were submitted, %s and %s", found.ID, b.ID)}
		case found.ID == "" || rank(b.StatusCode) >= rank(found.StatusCode):
			found = b
		}
	}
	if found.ID == "" {
		return batch.Batch{}, &batch.Error{Kind: batch.ErrNotFound, Provider: name, Op: "Find", Message: "no batch has this external id"}
	}
	return handle(found), nil
}

// handle is a batch of the service without its items.
func handle(b Batch) batch.Batch {
	return batch.Batch{Provider: name, ID: b.ID, State: state(b.StatusCode), Native: string(b.StatusCode), UpdatedAt: time.Now(),
		Draft: batch.Draft{Reference: reference(b.ExternalID), Direction: batch.Pay}}
}

// Cancel withdraws a draft, for good. ErrAmbiguous means that the batch is
// still a draft, and that the call may yet arrive.
func (p *Provider) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Cancel"
	if err := p.info.RefuseCancel(op, b); err != nil {
		return b, err
	}
	at, err := p.client.CancelBatch(ctx, b.ID)
	if err == nil && at.StatusCode == BatchCancelled {
		return seen(op, b, at.StatusCode)
	}
	// What the batch is now decides, whatever the reply was.
	at, failed := p.client.GetBatch(ctx, b.ID)
	switch {
	case failed != nil && err != nil:
		return b, err
	case failed != nil:
		return b, failed
	case at.StatusCode == BatchCancelled:
		return seen(op, b, at.StatusCode)
	case at.StatusCode == BatchDraft && err != nil && !errors.Is(err, batch.ErrInvalid):
		return b, err
	}
	return b, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op, Err: err,
		Message: fmt.Sprintf("the batch is %s at the service, and was not cancelled", at.StatusCode)}
}

// List lists the batches of the account, newest first, without their items.
func (p *Provider) List(ctx context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) {
		for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{}) {
			if err != nil {
				yield(batch.Batch{}, err)
				return
			}
			if !yield(handle(b), nil) {
				return
			}
		}
	}
}

// SetItems replaces all payments of a draft, and reads them back. If that
// leaves in doubt what the draft holds, or will hold once a call that is under
// way has arrived, the draft is withdrawn: the batch returned is cancelled, and
// another must be created. If it cannot be withdrawn either, the error is
// ErrAmbiguous, and the batch returned cannot be submitted. Nobody is paid.
func (p *Provider) SetItems(ctx context.Context, b batch.Batch, items []batch.Item) (batch.Batch, error) {
	const op = "SetItems"
	if err := p.info.RefuseSubmit(op, b); err != nil {
		return b, err
	}
	edited := b
	edited.Draft.Items = items
	edited = edited.Clone()
	if err := batch.Invalid(name, op, p.faults(edited.Draft)); err != nil {
		return b, err
	}
	err := p.stage(ctx, edited, true)
	if err != nil && !errors.Is(err, batch.ErrAmbiguous) {
		return b, err
	}
	sealed := p.seal(ctx, op, edited)
	if sealed == nil {
		return edited, nil
	}
	err = errors.Join(err, sealed)
	b, withdrawn := p.withdraw(ctx, b)
	if withdrawn {
		return b, &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: op, Err: err,
			Message: "what the draft held was not known: it is withdrawn; create another"}
	}
	b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op, Err: err,
		Message: "what the draft holds is not known, and it could not be withdrawn; nobody was paid, do not submit it"}
}

// PollAll reads the batches that are open in one list, and the others one by
// one.
func (p *Provider) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	out := slices.Clone(bs)
	open := make(map[string]bool)
	for _, b := range bs {
		if err := p.info.Refuse("PollAll", b); err != nil {
			return out, err
		}
	}
	if len(bs) > 1 {
		for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{StatusCode: BatchOpen}) {
			if err != nil {
				return out, err
			}
			open[b.ID] = b.StatusCode == BatchOpen
		}
	}
	for n, b := range bs {
		if b.State.Final() {
			continue
		}
		var err error
		if open[b.ID] {
			out[n], err = seen("PollAll", b, BatchOpen)
		} else {
			out[n], err = p.Poll(ctx, b)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}
