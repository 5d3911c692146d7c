package citypay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
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

	// Account names the account in Info.Account, so that journals find its
	// batches after the URL of the service has changed: any name that is not a
	// secret. Empty means "sandbox" or "production", and the client id.
	Account string

	// BatchID gives the number for a reference that is not a number. It must be
	// deterministic and must not map two references to one number.
	BatchID func(reference string) (int64, error)
	// FirstBatchID is the first number that batch.Run may allocate for a
	// reference that is not a number; 0 means 50,000,000. Set it above every
	// number that you have used before: a reference or "batch_id" that is a
	// number from here on is refused, so that no number is used for two batches.
	FirstBatchID int64

	// DuplicateIDRefused says that you have seen CityPay refuse a second batch
	// under the same number. It makes batch.Run send an unclear batch again.
	DuplicateIDRefused bool

	// AbsentMeansUnused says that you have seen the status of a number that was
	// never used come as an empty list, as a row without its number, or as an
	// error other than B002. CityPay documents a row UNKNOWN and B002. Without
	// it, Submit sends only after one of these two.
	AbsentMeansUnused bool

	// CheckAccounts makes Submit read the merchant and every account of the
	// batch first, one by one, and send nothing if one could not be charged: an
	// ErrInvalid names all accounts that are missing, not active or without an
	// active card, and a merchant that is unknown, not active or of another
	// currency. Which card CityPay charges is not documented, so an account with
	// one good card passes. It is one read for each account, within the time of
	// Submit: thousands of accounts need a longer RunOptions.SubmitTimeout.
	CheckAccounts bool

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
		if environment(c) == "sandbox" {
			o.MaxItems = 100
		}
	}
	if o.Account == "" {
		o.Account = environment(c) + "/" + c.config.ClientID
	}
	info := batch.Info{
		Name:      name,
		Account:   o.Account,
		Direction: batch.Collect,
		MaxItems:  o.MaxItems,
		Interval:  30 * time.Second,
		Currency:  o.Currency,
		Extra:     []string{extraBatchID},
		Terms: map[string]string{
			"merchant":       strconv.FormatInt(o.MerchantID, 10),
			"client_account": o.ClientAccountID, // Sent or not sent may be two accounts, even if it is the client id.
			"currency":       o.Currency,
		},
	}
	if o.DuplicateIDRefused {
		info.Guard = batch.GuardRefuses
	}
	return &Provider{client: c, config: o, info: info}, nil
}

// environment names what c speaks to: "sandbox", "production", or another host.
func environment(c *Client) string {
	return c.http.Environment(map[string]string{Sandbox: "sandbox", Production: "production"})
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info {
	info := p.info
	info.Terms = maps.Clone(info.Terms)
	return info
}

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
	if d.Date.IsZero() {
		// The date that is sent is fixed now, so that a resend is the same
		// request, whenever it happens.
		b.Draft.Date = time.Now().UTC().Truncate(24 * time.Hour)
	}
	id, faults := p.check(b.Draft)
	if err := batch.Invalid(name, "Create", faults); err != nil {
		return b, err
	}
	b.ID = strconv.FormatInt(id, 10)
	return b, nil
}

// check returns the batch's number, and everything that CityPay could not
// accept of a draft with its date.
func (p *Provider) check(d batch.Draft) (id int64, faults []batch.FieldError) {
	faults = p.info.Faults(d)
	var total int64
	for n, item := range d.Items {
		fault := func(field, message string) {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: field,
				Message: message})
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
	fault := func(field, message string) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: message})
	}
	id, err := p.batchID(d)
	if err != nil {
		fault("reference", err.Error())
	}
	// The day at CityPay: UTC is the only zone in its documentation, and never
	// ahead of the time in the United Kingdom.
	if day, today := d.Date.Format(time.DateOnly), time.Now().UTC().Format(time.DateOnly); day > today {
		fault("date",
			fmt.Sprintf("is %s, and at CityPay it is %s (UTC): CityPay documents no effect of a date in the future",
				day, today))
	}
	return id, faults
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
		return 0,
			errors.New(
				"is not a number from 1 to 99999999: name one in Extra[\"batch_id\"], set ProviderConfig.BatchID, or use batch.Run with a journal")
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
		return 0, errors.New("is not a number from 1 to 99999999")
	}
	return id, nil
}

// Number allocates a batch number if the reference is not itself a number.
func (p *Provider) Number(d batch.Draft, next func(int64) (int64, error)) (batch.Draft, error) {
	id, err := p.batchID(d)
	if p.config.BatchID != nil {
		return d, nil
	}
	if err == nil && id >= p.config.FirstBatchID {
		return d, batch.Invalid(name, "Number", []batch.FieldError{{Item: -1, Field: "reference",
			Message: fmt.Sprintf(
				"gives the number %d, and numbers from ProviderConfig.FirstBatchID (%d) on are allocated to references that are not numbers", id, p.config.FirstBatchID)}})
	}
	if err == nil || d.Extra[extraBatchID] != "" {
		return d, nil
	}
	id, err = next(p.config.FirstBatchID)
	if err != nil {
		return d, err
	}
	if id > maxBatchID {
		return d, &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: "Number",
			Message: "all batch numbers up to 99999999 are used"}
	}
	d = d.Clone()
	if d.Extra == nil {
		d.Extra = make(map[string]string)
	}
	d.Extra[extraBatchID] = strconv.FormatInt(id, 10)
	return d, nil
}

// codeSent is the Code of the ErrConflict of Submit if the number was used by a
// batch of these very items: another number would charge them again.
const codeSent = "already_sent"

// Submit sends the batch: money moves. Before, it reads that the number has
// never been used; if it has, nothing is sent, and the error is an ErrConflict
// with batch.CodeNumberTaken, or with the Code "already_sent" if CityPay shows
// that the batch there has the same items. A wrong credential fails in that read.
func (p *Provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Submit"
	if err := p.info.RefuseSubmit(op, b); err != nil {
		return b, err
	}
	id, err := p.recheck(op, b)
	if err != nil {
		return b, err
	}
	if p.config.CheckAccounts {
		if err := p.ready(ctx, b); err != nil {
			return b, err
		}
	}
	if err := p.unused(ctx, b, id); err != nil {
		return b, err // Nothing was sent that could move money.
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
	if refused := (*batch.Error)(nil); errors.As(err, &refused) && refused.Status != 0 &&
		refused.Kind != batch.ErrAmbiguous {
		err = p.confirm(ctx, b, id, refused)
	}
	switch {
	case err == nil:
		b.State, b.UpdatedAt = batch.StatePending, time.Now()
	case errors.Is(err, batch.ErrAmbiguous):
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// recheck checks again everything that Create has fixed: the handle may have
// been stored and edited since.
func (p *Provider) recheck(op string, b batch.Batch) (int64, error) {
	id, faults := p.check(b.Draft)
	fault := func(field, message string) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: message})
	}
	if b.Draft.Date.IsZero() {
		fault("date", "is missing: Create has set one")
	}
	if want := strconv.FormatInt(id, 10); id != 0 && b.ID != want {
		fault("id", fmt.Sprintf("is %q, and the draft's number is %s", b.ID, want))
	}
	return id, batch.Invalid(name, op, faults)
}

// unused returns nil only if CityPay says, in a documented way, that it has
// never seen the number.
func (p *Provider) unused(ctx context.Context, b batch.Batch, id int64) error {
	const op = "Submit"
	row, err := p.status(ctx, id)
	var e *batch.Error
	switch errors.As(err, &e); {
	case err == nil && row.BatchStatus == StatusUnknown && row.BatchID == id:
		return nil
	case err == nil && row.BatchStatus == StatusUnknown, e != nil && e.Kind == batch.ErrNotFound:
		if p.config.AbsentMeansUnused || e != nil && e.Code == "B002" {
			return nil
		}
		return &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op, Err: err,
			Message: fmt.Sprintf("nothing was sent: "+
				"CityPay's answer does not say whether batch number %d was used (ProviderConfig.AbsentMeansUnused accepts it)", id)}
	case err != nil:
		return err
	}
	word := p.client.http.Clean(string(row.BatchStatus))
	taken := &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op, Code: batch.CodeNumberTaken,
		Message: fmt.Sprintf("nothing was sent: "+
			"batch number %d is already used, CityPay has it as %s; set ProviderConfig.FirstBatchID above all numbers that were used", id, word)}
	if reply, err := p.retrieve(ctx, id); err == nil && len(reply.Transactions) == len(b.Draft.Items) {
		if _, _, faults := p.compare(b, reply); len(faults) == 0 {
			taken.Code = codeSent
			taken.Message = fmt.Sprintf(
				"nothing was sent: batch number %d is already used, and CityPay has these items there, as %s", id, word)
		}
	}
	return taken
}

// confirm checks a refusal by a read. A proxy can deliver a request twice: the
// first is accepted then, and the answer to the second, "failed duplication
// checks", is what arrives. So a number that is used now leaves doubt, unless
// the report shows another batch there; and so does a duplicate if the read
// fails.
func (p *Provider) confirm(ctx context.Context, b batch.Batch, id int64, refused *batch.Error) error {
	row, err := p.status(ctx, id)
	switch {
	case err == nil && row.BatchStatus == StatusUnknown, errors.Is(err, batch.ErrNotFound):
		return refused
	case err != nil && refused.Kind != batch.ErrConflict:
		return refused
	case err == nil && errors.Is(p.verify(ctx, b, id, row.BatchStatus), batch.ErrConflict):
		return refused
	}
	unclear := *refused
	unclear.Kind, unclear.Err = batch.ErrAmbiguous, errors.Join(refused.Err, err)
	unclear.Message = fmt.Sprintf(
		"CityPay refused the batch (%s), and number %d, unused before, is used now: it may have had the request twice",
		refused.Message, id)
	if err != nil {
		unclear.Message = fmt.Sprintf(
			"CityPay calls the batch a duplicate (%s), and whether number %d is used now could not be read",
			refused.Message, id)
	}
	return &unclear
}

// id is the number of a batch that Create has made.
func (p *Provider) id(op string, b batch.Batch) (int64, error) {
	id, err := parseBatchID(b.ID)
	if err != nil {
		return 0, batch.Invalid(name, op, []batch.FieldError{{Item: -1, Field: "id", Message: err.Error()}})
	}
	return id, nil
}

// status reads the status of one batch. An empty list is ErrNotFound, like
// CityPay's own B002.
func (p *Provider) status(ctx context.Context, id int64) (BatchStatus, error) {
	reply, err := p.client.BatchStatus(ctx,
		CheckBatchStatus{BatchIDs: []int64{id}, ClientAccountID: p.config.ClientAccountID})
	if err != nil {
		return BatchStatus{}, err
	}
	if len(reply.Batches) == 1 && reply.Batches[0].BatchID == 0 && reply.Batches[0].BatchStatus != "" {
		return reply.Batches[0], nil // The one row for the one number that was asked for.
	}
	return p.pick(reply.Batches, id)
}

// pick finds the row of a number. A list without it, without its status, or
// with two different ones is ErrProtocol; an empty list is ErrNotFound.
func (p *Provider) pick(rows []BatchStatus, id int64) (BatchStatus, error) {
	fail := func(kind batch.Kind, format string, args ...any) (BatchStatus, error) {
		return BatchStatus{}, &batch.Error{Kind: kind, Provider: name, Op: opBatchStatus.Name,
			Message: p.client.http.Clean(fmt.Sprintf(format, args...))}
	}
	if len(rows) == 0 {
		return fail(batch.ErrNotFound, "the list of batches is empty")
	}
	var found *BatchStatus
	for n := range rows {
		switch row := &rows[n]; {
		case row.BatchID != id:
		case row.BatchStatus == "":
			return fail(batch.ErrProtocol, "batch %d has no status", id)
		case found != nil && found.BatchStatus != row.BatchStatus:
			return fail(batch.ErrProtocol, "batch %d is reported as %q and as %q", id, found.BatchStatus,
				row.BatchStatus)
		default:
			found = row
		}
	}
	if found == nil {
		return fail(batch.ErrProtocol, "the reply is not about batch %d", id)
	}
	return *found, nil
}

// Poll reads the status of the batch. A number that CityPay has not seen is
// StateUnknown: the batch may still arrive. With DuplicateIDRefused it is
// StateDraft, which lets Run send an unclear batch again.
//
// In StateUnknown, a status proves that a batch has this number, and not that
// it is this batch. So Poll reads the report too, and compares what that shows:
// identifiers, accounts, amounts, merchant and batch account. A contradiction
// is ErrConflict. What the report does not show yet decides nothing. A batch
// that is COMPLETE without a report is ErrProtocol.
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
	row, err := p.status(ctx, id)
	if errors.Is(err, batch.ErrNotFound) {
		row, err = BatchStatus{BatchStatus: StatusUnknown}, nil
	}
	if err == nil && b.State == batch.StateUnknown && state(row.BatchStatus) != batch.StateUnknown {
		err = p.verify(ctx, b, id, row.BatchStatus)
	}
	if err != nil {
		return b, err
	}
	unclear := b.State == batch.StateUnknown
	b = p.seen(b, row.BatchStatus)
	if unclear && row.BatchStatus == StatusUnknown && p.config.DuplicateIDRefused {
		b.State = batch.StateDraft // CityPay has not received it so far, and refuses the second of two.
	}
	return b, nil
}

// verify compares the report with an unclear batch.
func (p *Provider) verify(ctx context.Context, b batch.Batch, id int64, status Status) error {
	reply, err := p.retrieve(ctx, id)
	switch refused := errors.Is(err, batch.ErrNotFound) || errors.Is(err, batch.ErrInvalid); {
	case refused && status == StatusComplete: // A number alone proves nothing, and nothing more will be processed.
		return &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: "Poll", Err: err,
			Message: fmt.Sprintf(
				"batch %d is COMPLETE at CityPay, which shows no report of it: whether it is this batch is not known",
				id)}
	case refused:
		return nil // CityPay shows no report yet.
	case err != nil:
		return err
	}
	_, _, faults := p.compare(b, reply)
	if len(faults) == 0 {
		return nil
	}
	return &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: "Poll", Fields: batchhttp.Faults(faults),
		Message: fmt.Sprintf("CityPay has another batch under number %d", id)}
}

// PollAll reads the status of many batches, a hundred with each request. It
// reads no reports: a batch in StateUnknown, which must be compared with its
// report, is polled by itself.
func (p *Provider) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	const op, chunk = "PollAll", 100
	out, failed := slices.Clone(bs), make(batch.PollErrors)
	var known, alone []int // places in bs
	for n, b := range bs {
		_, err := p.id(op, b)
		switch err = cmp.Or(p.info.Refuse(op, b), err); {
		case err != nil:
			failed[n] = err
		case b.State == batch.StateUnknown:
			alone = append(alone, n)
		case !b.State.Final():
			known = append(known, n)
		}
	}
	for places := range slices.Chunk(known, chunk) {
		if err := p.statuses(ctx, out, places, failed); err != nil { // The service answers no more.
			for _, n := range slices.Concat(known, alone) {
				if _, asked := failed[n]; !asked {
					failed[n] = err
				}
			}
			break
		}
	}
	for n, err := range failed {
		if err == nil {
			delete(failed, n) // It was read.
		}
	}
	failed.PollEach(ctx, p, out, slices.DeleteFunc(alone, func(n int) bool { return failed[n] != nil }))
	return out, failed.Err()
}

// statuses reads the status of the batches at places, and notes in asked what
// was wrong with each, nil if nothing was. A refusal may be of one number only,
// so the halves are asked for. It returns the error of a service that is not to
// be asked again now.
func (p *Provider) statuses(ctx context.Context, out []batch.Batch, places []int, asked batch.PollErrors) error {
	ids := make([]int64, len(places))
	for i, n := range places {
		ids[i], _ = p.id("PollAll", out[n])
	}
	reply, err := p.client.BatchStatus(ctx, CheckBatchStatus{BatchIDs: ids, ClientAccountID: p.config.ClientAccountID})
	kind := batch.KindOf(err)
	refused := kind == batch.ErrInvalid || kind == batch.ErrNotFound || kind == batch.ErrConflict
	switch {
	case err == nil:
		for i, n := range places {
			row, err := p.pick(reply.Batches, ids[i])
			if asked[n] = err; err == nil {
				out[n] = p.seen(out[n], row.BatchStatus)
			}
		}
	case refused && len(places) > 1:
		half := len(places) / 2
		if err := p.statuses(ctx, out, places[:half], asked); err != nil {
			return err
		}
		return p.statuses(ctx, out, places[half:], asked)
	case refused:
		asked[places[0]] = err
	default:
		return err
	}
	return nil
}

// seen returns b as CityPay has it.
func (p *Provider) seen(b batch.Batch, status Status) batch.Batch {
	b.State, b.Native, b.UpdatedAt = state(status), p.client.http.Clean(string(status)), time.Now()
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
		return batch.StateCanceled
	}
	return batch.StateUnknown
}

// Report reads the result of every item. A batch that failed or was cancelled
// has a report too: rows may have been charged before. Rows that make no sense
// are listed in the error beside the report, and their items are unknown.
//
// In a final report, Report looks up the first 100 items that are unknown, one
// by one, and adds to their Message what it found. An item of which the report
// says that the outcome is unknown gets the outcome of its transaction, if there
// is exactly one, which fits the item and has the number of the report's row. An
// item that the report does not have, or without a number, stays unknown: the
// transaction may be that of another batch with the same identifier. So does
// one whose look-up fails.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	const op = "Report"
	if err := p.info.Refuse(op, b); err != nil {
		return batch.Report{Batch: b}, err
	}
	id, err := p.id(op, b)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	reply, err := p.retrieve(ctx, id)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	if !b.State.Final() {
		b = p.seen(b, reply.BatchStatus)
	}
	report, unclear, faults := p.compare(b, reply)
	if b.State.Final() { // Until then nothing is decided, and rows may be incomplete.
		faults = append(faults, unclear...)
		fault := func(field, message string) {
			faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: p.client.http.Clean(message)})
		}
		if state(reply.BatchStatus) != b.State {
			fault("batch_status", fmt.Sprintf("is %q, and CityPay has said %q before", reply.BatchStatus, b.Native))
		}
		if message := checkTotal(report, reply.Amount); message != "" {
			fault("amount", message)
		}
	}
	if b.State.Final() {
		report = p.lookUp(ctx, report, faults)
	}
	if len(faults) > 0 {
		return report, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op,
			Message: "the report does not match the batch",
			Fields:  batchhttp.Faults(faults)}
	}
	return report, nil
}

// retrieve reads the report of one batch, and of no other.
func (p *Provider) retrieve(ctx context.Context, id int64) (*BatchReport, error) {
	reply, err := p.client.RetrieveBatch(ctx,
		BatchReportRequest{BatchID: id, ClientAccountID: p.config.ClientAccountID})
	if err == nil && reply.BatchID != id {
		return nil, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opRetrieveBatch.Name,
			Message: fmt.Sprintf("asked for batch %d, CityPay reports batch %d", id, reply.BatchID)}
	}
	return reply, err
}

// compare joins a report to b. unclear lists what is missing or makes no
// sense; faults lists what contradicts the draft or the configuration.
func (p *Provider) compare(b batch.Batch, reply *BatchReport) (r batch.Report, unclear, faults []batch.FieldError) {
	clean := p.client.http.Clean
	account := cmp.Or(p.config.ClientAccountID, p.client.config.ClientID)
	foreign := reply.ClientAccountID != "" && reply.ClientAccountID != account
	if foreign {
		faults = append(faults, batch.FieldError{Item: -1, Field: "client_account_id",
			Message: clean(fmt.Sprintf("is %q, but the batch is of %q", reply.ClientAccountID, account))})
	}
	place := make(map[string]int, len(b.Draft.Items))
	for n, item := range b.Draft.Items {
		place[item.Reference] = n
	}
	var rows []batch.Result
	for n := range reply.Transactions {
		row := &reply.Transactions[n]
		reference, wrong := p.word(row.Identifier), foreign
		item, ours := place[reference]
		if !ours {
			item = -1
		}
		at := func(f batch.FieldError) batch.FieldError {
			f.Item, f.Reference, f.Message = item, reference, clean(f.Message)
			return f
		}
		result := batch.Result{
			Item:    batch.Item{Reference: reference, Account: p.word(row.AccountID)},
			Code:    clean(row.ResultCode),
			Message: clean(string(row.Message)),
			ID:      clean(string(row.TransNo)),
			At:      batchhttp.Time(row.DateTime),
			Native:  *row,
		}
		if strings.HasPrefix(result.ID, "-") || result.ID == "0" {
			result.ID = "" // None was issued.
		}
		if row.Amount > 0 {
			result.Item.Amount = batch.Money{Minor: row.Amount, Currency: p.config.Currency}
		}
		var err error
		if result.Outcome, err = p.outcome(row); err != nil {
			unclear = append(unclear, at(batch.FieldError{Field: "result", Message: err.Error()}))
		}
		for _, fault := range row.Faults {
			if row.Identifier == "" {
				fault.Message = fmt.Sprintf("of row %d ", n) + fault.Message
			}
			unclear = append(unclear, at(fault))
		}
		if row.MerchantID != 0 && row.MerchantID != p.config.MerchantID {
			faults = append(faults, at(batch.FieldError{Field: "merchantid",
				Message: fmt.Sprintf("is %d, but the batch is of merchant %d", row.MerchantID, p.config.MerchantID)}))
			wrong = true
		}
		if wrong {
			result.Outcome = batch.OutcomeUnknown // A row that contradicts what was sent says nothing.
		}
		if !b.State.Final() {
			result.Outcome = batch.OutcomePending
		}
		if row.Identifier != "" {
			rows = append(rows, result)
		}
	}
	report, err := batch.NewReport(b, rows)
	if e := (*batch.Error)(nil); errors.As(err, &e) {
		faults = append(faults, e.Fields...)
	}
	return report, unclear, faults
}

// word is a reference or an account as CityPay wrote it, fit for an error. What
// does not fit is marked, so that it is never one of ours: those are ASCII.
func (p *Provider) word(s string) string {
	if cleaned := p.client.http.Clean(s); cleaned != s {
		return cleaned + "\u2026"
	}
	return s
}

// outcome says what became of a row, and what contradicts that.
func (p *Provider) outcome(row *TransactionResult) (batch.Outcome, error) {
	if len(row.Faults) > 0 {
		return batch.OutcomeUnknown, nil // The faults are listed by themselves.
	}
	o, err := outcome(row.Result, row.ResultCode)
	switch {
	case o != batch.OutcomePaid:
	case row.Amount == 0:
		return batch.OutcomeUnknown, errors.New("is accepted, and the amount is 0 or missing")
	case p.test(*row):
		return batch.OutcomeUnknown, errors.New("is that of a test, and this is production")
	}
	return o, err
}

// checkTotal holds the report's amount, if it has one, against what it can be.
// Whether it adds up all rows or only those paid is not documented.
func checkTotal(r batch.Report, amount int64) string {
	var all int64
	for _, result := range r.Results {
		all += result.Item.Amount.Minor
	}
	paid := r.Totals[batch.OutcomePaid].Amount.Minor
	unknown := r.Totals[batch.OutcomeUnknown].Amount.Minor
	if amount == 0 || amount == all || amount >= paid && amount <= paid+unknown {
		return ""
	}
	return fmt.Sprintf("is %d, which is neither the sum of all items nor of those paid", amount)
}
