package citypay

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/batchway/batchway-go/batch"
)

const name = "citypay"

// The abilities of the provider.
var (
	_ batch.Provider   = (*Provider)(nil)
	_ batch.BulkPoller = (*Provider)(nil)
	_ batch.Numberer   = (*Provider)(nil)
)

// ProviderConfig is what a Draft cannot say.
type ProviderConfig struct {
	MerchantID int64  // CityPay merchant id that takes the money; required
	Currency   string // its currency, an ISO 4217 code; required: no row of a batch names one

	ClientAccountID string // batch account, 3 to 20 characters; empty means the client id

	// BatchID gives the number for a reference that is none. It must always
	// give the same for the same reference, and never one for two.
	BatchID func(reference string) (int64, error)
	// FirstBatchID is the first number that batch.Run may allocate for a
	// reference that is none; 0 means 50,000,000. Set it above every number that
	// you have used before: a reference or "batch_id" that is a number from here
	// on is refused, so that no number is used for two batches.
	FirstBatchID int64

	// DuplicateIDRefused says that you have seen CityPay refuse a second batch
	// under the same number. It makes batch.Run send an unclear batch again.
	DuplicateIDRefused bool

	MaxItems int // 0 means the documented maximum: 10,000, or 100 in the sandbox
}

// Provider is CityPay as a batch.Provider. It keeps no state.
type Provider struct {
	client *Client
	config ProviderConfig
	info   batch.Info
}

// NewProvider checks the configuration. It does no I/O.
func NewProvider(c *Client, o ProviderConfig) (*Provider, error) {
	var faults []batch.FieldError
	fault := func(field, message string) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: message})
	}
	if o.MerchantID < 1 {
		fault("MerchantID", "is required")
	}
	if _, known := batch.Exponent(o.Currency); !known {
		fault("Currency", "must be an ISO 4217 code")
	}
	if n := len(o.ClientAccountID); n != 0 && (n < 3 || n > 20) {
		fault("ClientAccountID", "must have 3 to 20 characters")
	}
	if o.FirstBatchID < 0 || o.FirstBatchID > maxBatchID {
		fault("FirstBatchID", "must be 1 to 99999999")
	}
	if err := batch.Invalid(name, "NewProvider", faults); err != nil {
		return nil, err
	}
	if o.FirstBatchID == 0 {
		o.FirstBatchID = 50_000_000
	}
	if o.MaxItems <= 0 {
		o.MaxItems = 10_000
		if c.config.BaseURL == Sandbox {
			o.MaxItems = 100
		}
	}
	account := o.ClientAccountID
	if account == "" {
		account = c.config.ClientID
	}
	info := batch.Info{
		Name:      name,
		Account:   c.rest.Host() + "/" + c.config.ClientID + "/" + account,
		Direction: batch.Collect,
		MaxItems:  o.MaxItems,
		Interval:  30 * time.Second,
		Currency:  o.Currency,
		Extra:     []string{extraBatchID},
	}
	if o.DuplicateIDRefused {
		info.Guard = batch.GuardRefuses
	}
	return &Provider{client: c, config: o, info: info}, nil
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info { return p.info }

// extraBatchID is the key of Draft.Extra that names the batch's number.
const extraBatchID = "batch_id"

// The limits that CityPay documents.
const (
	maxBatchID = 99_999_999
	maxAmount  = 999_999_999
)

var (
	accountID  = regexp.MustCompile(`^[A-Za-z0-9._~-]{5,50}$`)
	identifier = regexp.MustCompile(`^[ -~]{5,50}$`)
)

// Create checks the draft and chooses the batch's number and date. It does no
// I/O: CityPay has no drafts.
func (p *Provider) Create(_ context.Context, d batch.Draft) (batch.Batch, error) {
	d = d.Clone()
	b := batch.Batch{Provider: name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	faults := p.faults(d)
	id, err := p.batchID(d)
	if err != nil {
		faults = append(faults, batch.FieldError{Item: -1, Field: "reference", Message: err.Error()})
	}
	if d.Date.IsZero() {
		// The date that is sent is fixed now, so that a resend is the same
		// request, whenever it happens.
		b.Draft.Date = time.Now().UTC().Truncate(24 * time.Hour)
	} else if d.Date.Format(time.DateOnly) > time.Now().In(d.Date.Location()).Format(time.DateOnly) {
		faults = append(faults, batch.FieldError{Item: -1, Field: "date", Message: "is in the future, and CityPay documents no effect of that"})
	}
	if err := batch.Invalid(name, "Create", faults); err != nil {
		return b, err
	}
	b.ID = strconv.FormatInt(id, 10)
	return b, nil
}

// faults lists what CityPay could not accept.
func (p *Provider) faults(d batch.Draft) []batch.FieldError {
	faults := p.info.Faults(d)
	var total int64
	for n, item := range d.Items {
		fault := func(field, message string) {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: field, Message: message})
		}
		if item.Reference != "" && !identifier.MatchString(item.Reference) {
			fault("reference", "must be 5 to 50 printable ASCII characters")
		}
		if item.Account != "" && !accountID.MatchString(item.Account) {
			fault("account", "must be 5 to 50 of letters, digits and - _ . ~")
		}
		if item.Amount.Minor > maxAmount {
			fault("amount", "must be at most 999999999 minor units")
		} else if item.Amount.Minor > 0 && total <= maxAmount {
			if total += item.Amount.Minor; total > maxAmount {
				fault("amount", "the total exceeds 999999999 minor units here, which the report could not show")
			}
		}
	}
	return faults
}

// batchID returns the number under which the batch runs.
func (p *Provider) batchID(d batch.Draft) (int64, error) {
	if text, ok := d.Extra[extraBatchID]; ok {
		return parseBatchID(text)
	}
	if id, err := parseBatchID(d.Reference); err == nil {
		return id, nil
	}
	if p.config.BatchID == nil {
		return 0, errors.New("is no number from 1 to 99999999: name one in Extra[\"batch_id\"], set ProviderConfig.BatchID, or use batch.Run with a journal")
	}
	id, err := p.config.BatchID(d.Reference)
	if err == nil && (id < 1 || id > maxBatchID) {
		err = fmt.Errorf("ProviderConfig.BatchID gave %d, which is not 1 to 99999999", id)
	}
	return id, err
}

func parseBatchID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 || id > maxBatchID || strconv.FormatInt(id, 10) != text {
		return 0, errors.New("is no number from 1 to 99999999")
	}
	return id, nil
}

// Number names a batch number for a reference that is none.
func (p *Provider) Number(d batch.Draft, next func(int64) (int64, error)) (batch.Draft, error) {
	id, err := p.batchID(d)
	if p.config.BatchID != nil {
		return d, nil
	}
	if err == nil && id >= p.config.FirstBatchID {
		return d, batch.Invalid(name, "Number", []batch.FieldError{{Item: -1, Field: "reference",
			Message: fmt.Sprintf("gives the number %d, and numbers from ProviderConfig.FirstBatchID (%d) on are allocated to references that are none", id, p.config.FirstBatchID)}})
	}
	if err == nil || d.Extra[extraBatchID] != "" {
		return d, nil
	}
	id, err = next(p.config.FirstBatchID)
	if err != nil {
		return d, err
	}
	if id > maxBatchID {
		return d, &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: "Number", Message: "all batch numbers up to 99999999 are used"}
	}
	d = d.Clone()
	if d.Extra == nil {
		d.Extra = make(map[string]string)
	}
	d.Extra[extraBatchID] = strconv.FormatInt(id, 10)
	return d, nil
}

// Submit sends the batch: money moves. Before, it reads that the number has
// never been used; if it has, the error is ErrConflict and nothing is sent.
func (p *Provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Submit"
	if err := p.info.RefuseSubmit(op, b); err != nil {
		return b, err
	}
	// The handle may have been stored and edited since Create.
	if err := batch.Invalid(name, op, p.faults(b.Draft)); err != nil {
		return b, err
	}
	id, err := p.id(op, b)
	if err != nil {
		return b, err
	}
	switch status, err := p.status(ctx, id); {
	case errors.Is(err, batch.ErrNotFound):
	case err != nil:
		return b, err // Nothing was sent that could move money.
	case status != StatusUnknown:
		return b, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op,
			Message: fmt.Sprintf("batch number %d is already used: CityPay has it as %s", id, status)}
	}

	request := ProcessBatchRequest{
		BatchDate:       b.Draft.Date.Format(time.DateOnly),
		BatchID:         id,
		ClientAccountID: p.config.ClientAccountID,
		Transactions:    make([]BatchTransaction, len(b.Draft.Items)),
	}
	for n, item := range b.Draft.Items {
		request.Transactions[n] = BatchTransaction{AccountID: item.Account, Amount: item.Amount.Minor,
			Identifier: item.Reference, MerchantID: p.config.MerchantID}
	}
	_, err = p.client.ProcessBatch(ctx, request)
	switch {
	case err == nil:
		b.State, b.UpdatedAt = batch.StatePending, time.Now()
	case errors.Is(err, batch.ErrAmbiguous):
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// id is the number of a batch that Create has made.
func (p *Provider) id(op string, b batch.Batch) (int64, error) {
	id, err := parseBatchID(b.ID)
	if err != nil {
		return 0, batch.Invalid(name, op, []batch.FieldError{{Item: -1, Field: "id", Message: err.Error()}})
	}
	return id, nil
}

// status reads the status of one batch. A list without any row is
// ErrNotFound, like CityPay's own B002.
func (p *Provider) status(ctx context.Context, id int64) (Status, error) {
	reply, err := p.client.BatchStatus(ctx, CheckBatchStatus{BatchIDs: []int64{id}, ClientAccountID: p.config.ClientAccountID})
	if err != nil {
		return "", err
	}
	if len(reply.Batches) == 1 && reply.Batches[0].BatchID == 0 {
		reply.Batches[0].BatchID = id // The one row for the one number that was asked for.
	}
	statuses, err := pick(reply.Batches, []int64{id})
	return statuses[id], err
}

// pick finds the status of each number. A number that is missing, or has two
// statuses, is ErrProtocol; if there is no row at all, ErrNotFound.
func pick(rows []BatchStatus, ids []int64) (map[int64]Status, error) {
	fail := func(kind batch.Kind, format string, args ...any) error {
		return &batch.Error{Kind: kind, Provider: name, Op: opBatchStatus.Name, Message: fmt.Sprintf(format, args...)}
	}
	if len(rows) == 0 {
		return nil, fail(batch.ErrNotFound, "the reply has no batches")
	}
	found := make(map[int64]Status, len(rows))
	for _, row := range rows {
		if earlier, twice := found[row.BatchID]; twice && earlier != row.BatchStatus {
			return nil, fail(batch.ErrProtocol, "batch %d is reported as %q and as %q", row.BatchID, earlier, row.BatchStatus)
		}
		if row.BatchStatus == "" {
			return nil, fail(batch.ErrProtocol, "batch %d has no status", row.BatchID)
		}
		found[row.BatchID] = row.BatchStatus
	}
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			return nil, fail(batch.ErrProtocol, "the reply is not about batch %d", id)
		}
	}
	return found, nil
}

// Poll reads the status of the batch. A number that CityPay has not seen is
// StateUnknown: the batch may still arrive.
func (p *Provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Poll"
	if err := p.info.Refuse(op, b); err != nil {
		return b, err
	}
	if b.State.Final() {
		return b, nil
	}
	id, err := p.id(op, b)
	if err != nil {
		return b, err
	}
	status, err := p.status(ctx, id)
	if errors.Is(err, batch.ErrNotFound) {
		status, err = StatusUnknown, nil
	}
	if err != nil {
		return b, err
	}
	return seen(b, status), nil
}

// PollAll reads the status of many batches, a hundred with each request.
func (p *Provider) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	const op, chunk = "PollAll", 100
	out := make([]batch.Batch, len(bs))
	copy(out, bs)
	var ids []int64
	var places []int
	for n, b := range bs {
		if err := p.info.Refuse(op, b); err != nil {
			return out, err
		}
		if b.State.Final() {
			continue
		}
		id, err := p.id(op, b)
		if err != nil {
			return out, err
		}
		ids, places = append(ids, id), append(places, n)
	}
	for len(ids) > 0 {
		n := min(chunk, len(ids))
		reply, err := p.client.BatchStatus(ctx, CheckBatchStatus{BatchIDs: ids[:n], ClientAccountID: p.config.ClientAccountID})
		if err != nil {
			return out, err
		}
		statuses, err := pick(reply.Batches, ids[:n])
		if err != nil {
			return out, err
		}
		for i, id := range ids[:n] {
			out[places[i]] = seen(out[places[i]], statuses[id])
		}
		ids, places = ids[n:], places[n:]
	}
	return out, nil
}

// seen returns b as CityPay has it.
func seen(b batch.Batch, status Status) batch.Batch {
	b.State, b.Native, b.UpdatedAt = state(status), string(status), time.Now()
	return b
}

// state maps CityPay's words. Any other, however similar, is StateUnknown.
func state(status Status) batch.State {
	switch status {
	case StatusInitialised, StatusQueued, StatusLocked:
		return batch.StatePending
	case StatusComplete:
		return batch.StateDone
	case StatusErrorInProcessing:
		return batch.StateFailed
	case StatusCancelled:
		return batch.StateCancelled
	}
	return batch.StateUnknown
}

// Report reads the result of every item. A batch that failed or was cancelled
// has a report too: rows may have been charged before.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	const op = "Report"
	if err := p.info.Refuse(op, b); err != nil {
		return batch.Report{Batch: b}, err
	}
	id, err := p.id(op, b)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	reply, err := p.client.RetrieveBatch(ctx, BatchReportRequest{BatchID: id, ClientAccountID: p.config.ClientAccountID})
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	if reply.BatchID != id {
		return batch.Report{Batch: b}, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op,
			Message: fmt.Sprintf("asked for batch %d, CityPay reports batch %d", id, reply.BatchID)}
	}
	if !b.State.Final() {
		b = seen(b, reply.BatchStatus)
	}
	rows := make([]batch.Result, len(reply.Transactions))
	for n := range reply.Transactions {
		rows[n] = p.result(&reply.Transactions[n], b.State)
	}
	report, err := batch.NewReport(b, rows)
	if b.State == batch.StateDone && err == nil {
		err = p.checkTotal(report, reply.Amount)
	}
	return report, err
}

// result translates one row.
func (p *Provider) result(row *TransactionResult, s batch.State) batch.Result {
	r := batch.Result{
		Item:    batch.Item{Reference: row.Identifier, Account: row.AccountID},
		Outcome: outcome(row.Result, row.ResultCode),
		Code:    row.ResultCode,
		Message: row.Message,
		Native:  *row,
	}
	if row.Amount != 0 {
		r.Item.Amount = batch.Money{Minor: row.Amount, Currency: p.config.Currency}
	}
	if !s.Final() {
		r.Outcome = batch.OutcomePending
	}
	return r
}

// outcome maps a result. Only 1 means that the card was charged; what leaves
// doubt, in words or because this version does not know it, is unknown.
func outcome(r Result, code string) batch.Outcome {
	switch code {
	case "081", "083", "084", "F006":
		return batch.OutcomeUnknown // CityPay has had no answer from the acquirer.
	}
	switch {
	case r == ResultAccepted:
		return batch.OutcomePaid
	case r == ResultNotAttempted, r == ResultCancelled:
		return batch.OutcomeSkipped
	case r >= ResultDeclined && r <= 17, r == ResultDenied:
		return batch.OutcomeFailed
	}
	return batch.OutcomeUnknown
}

// checkTotal holds the report's amount against what it can be. Whether it adds
// up all rows or only the paid ones is not documented.
func (p *Provider) checkTotal(r batch.Report, amount int64) error {
	var all int64
	for _, result := range r.Results {
		all += result.Item.Amount.Minor
	}
	if paid := r.Totals[batch.OutcomePaid].Amount.Minor; amount == all || amount == paid {
		return nil
	}
	return &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: "Report",
		Message: fmt.Sprintf("the report's amount of %d is neither the sum of all items nor of those paid", amount)}
}
