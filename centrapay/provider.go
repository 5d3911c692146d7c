package centrapay

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

const name = "centrapay"

// The abilities of the provider: the service can neither find, list nor cancel
// a batch.
var _ batch.Provider = (*Provider)(nil)

// ProviderConfig is what a Draft cannot say.
type ProviderConfig struct {
	AccountID string // the account that owns the batches; required
	Currency  string // of the balances, in cents: an ISO 4217 code with two decimals; required

	// Account names the account in Info.Account, so that journals find its
	// batches after the URL of the service has changed: any name that is not a
	// secret. Empty means "sandbox" or, with Config.Live, "production", and the
	// AccountID.
	Account string

	// Type is the type of the batches; empty means TypeFarmlandsExternalAsset.
	Type string
	// Record makes the record of an item. It must always make the same of the
	// same item. Nil means a FarmlandsAsset with ExternalID = Item.Reference,
	// AccountNumber = Item.Account, and AvailableBalance = Item.Amount; for
	// other types it is required.
	Record func(batch.Item) (Record, error)
	// ItemExtra lists the keys of Item.Extra that Record understands.
	ItemExtra []string

	// Upload stores a file where the service can fetch it, and returns the URL:
	// https, and best pre-signed. It must read the file to its end. Create
	// calls it, with a name such as "gold-7.jsonl", unless Draft.Extra["url"]
	// names a file that is already there.
	Upload func(ctx context.Context, name string, file io.Reader) (string, error)
	// Gate takes the place of Upload and makes every create decidable: see
	// Provider.Submit. Create stores the file there, unless Draft.Extra["file"]
	// names one that is already stored, by its handle.
	Gate Gate

	// ErrorIndex says how the service counts records in its errors, which is
	// not documented. Until you have seen it, an error is matched to its item
	// by the external id alone.
	ErrorIndex ErrorIndex
}

// ErrorIndex says which number an error gives to the first record of a file.
type ErrorIndex int

// The ways to count.
const (
	ErrorIndexUnknown ErrorIndex = iota // never trusted without an external id that agrees
	ErrorIndexFrom0
	ErrorIndexFrom1
)

// Provider is Centrapay as a batch.Provider. It keeps no state.
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
	if !batchID.MatchString(o.AccountID) {
		fault("AccountID", "must be letters and digits")
	}
	if exponent, known := batch.Exponent(o.Currency); !known || exponent != 2 {
		fault("Currency", "must be an ISO 4217 code with two decimals")
	}
	if o.Type == "" {
		o.Type = TypeFarmlandsExternalAsset
	}
	if o.Record == nil {
		o.Record = farmlandsRecord
		if o.Type != TypeFarmlandsExternalAsset {
			fault("Record", "is required for type "+o.Type)
		}
	}
	if o.Gate != nil && o.Upload != nil {
		fault("Gate", "takes the place of Upload: set one of them")
	}
	if o.ErrorIndex < ErrorIndexUnknown || o.ErrorIndex > ErrorIndexFrom1 {
		fault("ErrorIndex", "must be one of the constants")
	}
	if err := batch.Invalid(name, "NewProvider", faults); err != nil {
		return nil, err
	}
	if o.Account == "" {
		o.Account = c.environment() + "/" + o.AccountID
	}
	info := batch.Info{
		Name:        name,
		Account:     o.Account,
		Direction:   batch.Load,
		Interval:    5 * time.Second,
		Currency:    o.Currency,
		Extra:       []string{extraURL},
		SecretExtra: []string{extraURL},
		ItemExtra:   slices.Clone(o.ItemExtra),
		Overwrites:  o.Type == TypeFarmlandsExternalAsset, // A record sets the balance of its asset (documented).
		Terms: map[string]string{
			"account":  o.AccountID,
			"type":     o.Type,
			"live":     strconv.FormatBool(c.config.Live),
			"currency": o.Currency,
		},
	}
	if o.Gate != nil {
		// At most one URL of a file is ever served, so of two submits one has
		// an effect at the most.
		info.Extra, info.SecretExtra, info.Guard = []string{extraFile}, nil, batch.GuardRefuses
		info.PollsWithoutID = true
	}
	return &Provider{client: c, config: o, info: info}, nil
}

func farmlandsRecord(item batch.Item) (Record, error) {
	return FarmlandsAsset{ExternalID: item.Reference, AccountNumber: item.Account,
		AvailableBalance: &item.Amount.Minor}, nil
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info {
	info := p.info
	info.Terms = maps.Clone(info.Terms)
	return info
}

// The keys of Draft.Extra that name the file of the batch.
const (
	extraURL  = "url"  // without a Gate: where it is, a secret
	extraFile = "file" // with a Gate: its handle, no secret
)

// Create checks the draft, writes its file and hands it to Upload or to the
// Gate, unless Extra names one that is already there; then the items say what
// it holds. It makes no call to Centrapay, and nothing is loaded.
//
// Without a Gate, the returned Batch holds the URL of the file in
// Draft.Extra["url"], and is as secret as that. Journals of package batch keep
// a digest of it; whoever stores a Batch by other means must guard it.
func (p *Provider) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	const op = "Create"
	d = d.Clone()
	b := batch.Batch{Provider: name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	faults := p.faults(d)
	key, store := extraURL, p.config.Upload
	if p.config.Gate != nil {
		key, store = extraFile, p.config.Gate.Store
	}
	if _, there := d.Extra[key]; there {
		return b, batch.Invalid(name, op, faults)
	}
	if store == nil {
		faults = append(faults, batch.FieldError{Item: -1, Field: "extra",
			Message: "has no \"url\" of a file, and ProviderConfig has neither Upload nor Gate"})
	}
	if err := batch.Invalid(name, op, faults); err != nil {
		return b, err
	}
	file, err := p.upload(ctx, d, store)
	if err != nil {
		return b, err
	}
	if b.Draft.Extra == nil {
		b.Draft.Extra = make(map[string]string)
	}
	b.Draft.Extra[key] = file
	return b, nil
}

// faults lists what Centrapay could not accept.
func (p *Provider) faults(d batch.Draft) []batch.FieldError {
	faults := p.info.Faults(d)
	if !d.Date.IsZero() {
		faults = append(faults, batch.FieldError{Item: -1, Field: "date",
			Message: "must be zero: Centrapay starts a batch at once"})
	}
	if url, ok := d.Extra[extraURL]; ok {
		if message := urlFault(url); message != "" {
			faults = append(faults, batch.FieldError{Item: -1, Field: "url", Message: message})
		}
	}
	owner := make(map[string]int, len(d.Items))
	for n, item := range d.Items {
		fault := func(field, message string) {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: field,
				Message: message})
		}
		record, err := p.record(item)
		if err != nil {
			fault("record", err.Error())
			continue
		}
		if item.Reference == "" || item.Account == "" || item.Amount.Minor < 0 {
			continue // Already said in the words of an item.
		}
		record.faults(fault)
		if id := record.externalID(); id != "" {
			if earlier, taken := owner[id]; taken && item.Reference != d.Items[earlier].Reference {
				fault("externalId", fmt.Sprintf("is also that of item %d", earlier))
			}
			owner[id] = n
		}
	}
	return faults
}

// record makes the record of an item, and refuses one of another type.
func (p *Provider) record(item batch.Item) (Record, error) {
	record, err := p.config.Record(item)
	switch {
	case err != nil:
		return nil, err
	case record == nil:
		return nil, errors.New("ProviderConfig.Record made none")
	case record.BatchType() != p.config.Type:
		return nil, fmt.Errorf("is of type %s, but the batch is of type %s", record.BatchType(), p.config.Type)
	}
	return record, nil
}

// upload streams the file of a draft without faults to store.
func (p *Provider) upload(ctx context.Context, d batch.Draft, store func(context.Context, string, io.Reader) (string,
	error)) (string, error) {
	fail := func(message string, err error) error {
		return withoutURL(&batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: "Create",
			Message: message, Err: err}, "")
	}
	extension := ".jsonl"
	if p.config.Type == TypeBusinessOnboard {
		extension = ".csv"
	}
	file, w := io.Pipe()
	encoded := make(chan error, 1)
	go func() {
		_, err := Encode(w, p.records(d.Items))
		_ = w.CloseWithError(err) // Nil makes it an EOF.
		encoded <- err
	}()
	stored, err := store(ctx, d.Reference+extension, file)
	_ = file.Close()
	unread := <-encoded
	switch {
	case err != nil:
		return "", fail("the upload has failed", err)
	case unread != nil:
		return "", fail("the upload did not read the file to its end", nil)
	}
	if message := urlFault(stored); p.config.Gate == nil && message != "" {
		return "", fail("the URL that Upload has returned "+message, nil)
	}
	return stored, nil
}

func (p *Provider) records(items []batch.Item) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		for _, item := range items {
			if record, err := p.record(item); err != nil || !yield(record) {
				return
			}
		}
	}
}

// Submit creates the batch at Centrapay, which starts it: records are loaded.
// Before that it reads the account with the same key: a wrong key is ErrAuth,
// whatever the words, and nothing was sent. If the service cannot be reached or
// asks to wait, Submit returns the error of that read.
//
// Without a Gate, a create whose reply was lost stays ErrAmbiguous: Centrapay
// cannot be asked for a batch without its id. Find out at the host of the file
// whether it was fetched, or ask Centrapay's support, with the time, the account
// and the type in the error.
//
// With a Gate, Submit opens a new URL of the file, which revokes all earlier
// ones, and revokes it after an unclear create. If the file was not fetched,
// nothing was loaded and nothing will be: the error is ErrUnavailable, and the
// batch is still a draft. If it was, the error is ErrAmbiguous with Code
// "SERVED" and Batch.Native says when: see Poll. Submitting it again after all,
// in any process, is ErrConflict, and nothing is sent. A ctx that ends after the
// request was sent leaves the batch ErrAmbiguous and the URL open; batch.Run then
// tries again, which is safe.
//
// If the reply had an id, the batch beside an ErrAmbiguous has it. Poll believes
// it only if it leads to this batch.
func (p *Provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Submit"
	if err := p.info.RefuseSubmit(op, b); err != nil {
		return b, err
	}
	// The handle may have been stored and edited since Create.
	if err := batch.Invalid(name, op, p.faults(b.Draft)); err != nil {
		return b, err
	}
	url, err := p.open(ctx, op, b.Draft)
	if err != nil {
		return b, err
	}
	if err := p.checkKey(ctx); err != nil {
		return b, err
	}
	sent := time.Now()
	created, err := p.client.CreateBatch(ctx, BatchRequest{Type: p.config.Type, URL: FileURL(url),
		AccountID: p.config.AccountID})
	if err == nil {
		return seen(b, created), nil
	}
	if !errors.Is(err, batch.ErrAmbiguous) {
		return b, err
	}
	var cause *batch.Error
	errors.As(err, &cause)
	unclear := *cause
	if created != nil {
		unclear.Message = join(unclear.Message, "answered with the id "+p.client.http.Clean(created.ID))
	}
	native := ""
	if p.config.Gate != nil && ctx.Err() == nil {
		switch revoked, failed := p.config.Gate.Revoke(ctx, url); {
		case failed != nil:
			unclear.Message = join(unclear.Message, "the URL could not be revoked either")
			unclear.Err = batchhttp.Redacted(redact(errors.Join(unclear.Err, failed).Error(), url), unclear.Err)
		case revoked:
			unclear.Kind = batch.ErrUnavailable
			unclear.Message = join(unclear.Message,
				"the URL is revoked and was never fetched, so nothing was loaded and nothing will be")
			return b, &unclear
		default:
			native = "fetched"
			if file, err := p.config.Gate.State(ctx, b.Draft.Extra[extraFile]); err == nil && !file.Fetched.IsZero() {
				native = fetchedAt(file.Fetched)
			}
			unclear.Code = codeServed
			unclear.Message = join(unclear.Message, "the file was "+native+", so the batch was started")
		}
	}
	dossier := fmt.Sprintf("type %s, account %s, test:%t, %d items, sent at %s", p.config.Type, p.config.AccountID,
		!p.client.config.Live, len(b.Draft.Items), sent.UTC().Format(time.RFC3339))
	b.State, b.Native, b.UpdatedAt = batch.StateUnknown, native, time.Now()
	if created != nil && batchID.MatchString(created.ID) {
		b.ID = created.ID
	} else {
		dossier += "; only Centrapay's support can say its id"
	}
	unclear.Message = join(unclear.Message, dossier)
	return b, &unclear
}

// codeServed is the Code of an error about a batch that was started, but whose
// id is not known.
const codeServed = "SERVED"

func fetchedAt(t time.Time) string { return "fetched at " + t.UTC().Format(time.RFC3339) }

// checkKey reads the account with the key that the create uses, so that a wrong
// key fails where nothing is sent. Any other answer does not stop the create: a
// key may load records and not be allowed to read accounts.
func (p *Provider) checkKey(ctx context.Context) error {
	_, err := p.client.GetAccount(ctx, p.config.AccountID)
	switch batch.KindOf(err) {
	case batch.ErrAuth, batch.ErrThrottled, batch.ErrUnavailable:
		return err
	}
	return nil
}

// open returns the URL under which the service is to fetch the file.
func (p *Provider) open(ctx context.Context, op string, d batch.Draft) (string, error) {
	missing := func(field string) error {
		return batch.Invalid(name, op,
			[]batch.FieldError{{Item: -1, Field: field, Message: "is missing: Create sets it"}})
	}
	if p.config.Gate == nil {
		url, ok := d.Extra[extraURL]
		if !ok {
			return "", missing(extraURL)
		}
		return url, nil
	}
	handle, ok := d.Extra[extraFile]
	if !ok {
		return "", missing(extraFile)
	}
	url, err := p.config.Gate.Open(ctx, handle)
	if err != nil {
		return "", gateFailed(op, err)
	}
	return url, nil
}

func join(message, more string) string {
	if message == "" || more == "" {
		return message + more
	}
	return message + "; " + more
}

// Poll reads the status of the batch. A draft is only here, and is returned as
// it is.
//
// A batch in StateUnknown without an id cannot be asked for at Centrapay: Poll
// asks the Gate. If the file was not fetched so far, the batch is StateDraft. If
// it was, the service has the batch, but only its support can say under which
// id: Poll returns ErrAmbiguous with Code "SERVED", and Batch.Native says when
// it was fetched. Without a Gate it is ErrUnsupported.
//
// In StateUnknown with an id, the reply must show the URL of this batch, its type
// and, once it is complete, its number of records.
func (p *Provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Poll"
	if err := p.info.Refuse(op, b); err != nil {
		return b, err
	}
	if b.State.Final() || b.ID == "" && b.State == batch.StateDraft {
		return b, nil
	}
	if b.ID == "" && b.State == batch.StateUnknown && b.Draft.Extra[extraFile] != "" && p.config.Gate != nil {
		return p.pollFile(ctx, op, b)
	}
	reply, err := p.get(ctx, op, b)
	if errors.Is(err, batch.ErrNotFound) && b.State == batch.StateUnknown && b.Draft.Extra[extraFile] != "" &&
		p.config.Gate != nil {
		// The id may be from an unclear reply; the gate knows whether the file was fetched.
		return p.pollFile(ctx, op, b)
	}
	if err == nil && b.State == batch.StateUnknown {
		err = p.prove(ctx, op, b, reply)
	}
	if err != nil {
		return b, err
	}
	return seen(b, reply), nil
}

// pollFile says what the gate knows of a batch without an id.
func (p *Provider) pollFile(ctx context.Context, op string, b batch.Batch) (batch.Batch, error) {
	file, err := p.config.Gate.State(ctx, b.Draft.Extra[extraFile])
	if err != nil {
		return b, gateFailed(op, err)
	}
	b.UpdatedAt = time.Now()
	if file.Fetched.IsZero() {
		b.State, b.Native = batch.StateDraft, ""
		return b, nil
	}
	b.Native = fetchedAt(file.Fetched)
	return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op, Code: codeServed,
		Message: "the file was " + b.Native +
			", so the service has the batch: do not send it again; only Centrapay's support can say its id"}
}

// get reads the batch at the service and makes sure that it is not another.
func (p *Provider) get(ctx context.Context, op string, b batch.Batch) (*Batch, error) {
	if b.ID == "" {
		return nil, &batch.Error{Kind: batch.ErrUnsupported, Provider: name, Op: op,
			Message: "the batch has no id, and Centrapay can look for a batch in no other way"}
	}
	url := b.Draft.Extra[extraURL]
	reply, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return nil, withoutURL(err, url)
	}
	if url == digest(string(reply.URL)) {
		url = string(reply.URL) // A journal keeps the digest.
	}
	if err := p.client.contradiction(reply, p.config.Type, url); err != nil {
		return nil, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op,
			Message: "the batch with this id is another", Err: err}
	}
	return reply, nil
}

// prove holds everything that reply shows against b, whose Submit was unclear:
// an id that came in an unclear reply, or from an operator, may be of another
// batch.
func (p *Provider) prove(ctx context.Context, op string, b batch.Batch, reply *Batch) error {
	fail := func(kind batch.Kind, message string) error {
		return &batch.Error{Kind: kind, Provider: name, Op: op, Message: message}
	}
	if p.config.Gate != nil {
		file, err := p.config.Gate.State(ctx, b.Draft.Extra[extraFile])
		if err != nil {
			return gateFailed(op, err)
		}
		if reply.URL != "" && reply.URL != file.URL {
			return fail(batch.ErrConflict,
				"the batch with this id is another: its file is not the one that the gate has opened")
		}
	}
	if _, created := b.Draft.Extra[extraURL]; !created && p.config.Gate == nil {
		return fail(batch.ErrConflict, "the batch was never created: it has no file that the one with this id can have")
	}
	if reply.Type == "" || reply.URL == "" {
		return fail(batch.ErrProtocol, "the reply does not show the type and the URL of the batch: it may be another")
	}
	count, err := reply.Records()
	if failed, odd := reply.ErrorCount.count(); err == nil && reply.Status == StatusComplete {
		// Whether the count includes records with errors is not documented.
		if n := int64(len(b.Draft.Items)); count != n && (odd != nil || count+failed != n) {
			return fail(batch.ErrConflict,
				fmt.Sprintf("the batch with this id is another: it has %d records, and this one has %d", count, n))
		}
	}
	return nil
}

// gateFailed returns the error of a gate that has decided nothing.
func gateFailed(op string, err error) error {
	var known *batch.Error
	if !errors.As(err, &known) || known.Kind == batch.ErrAmbiguous {
		err = &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: op, Message: "the gate has failed", Err: err}
	}
	return withoutURL(err, "")
}

// digest is what a journal of package batch keeps of a secret.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// seen returns b as Centrapay has it.
func seen(b batch.Batch, reply *Batch) batch.Batch {
	b.ID = reply.ID
	b.State, b.Native, b.UpdatedAt = state(reply.Status), string(reply.Status), time.Now()
	return b
}

// state maps Centrapay's words. Any other, however similar, is StateUnknown.
func state(status Status) batch.State {
	switch status {
	case "", StatusCreated, StatusCopied, StatusChunked: // Only a create is answered without a status.
		return batch.StatePending
	case StatusComplete:
		return batch.StateDone
	case StatusError:
		return batch.StateFailed
	}
	return batch.StateUnknown
}

// Report reads the errors of the batch. Centrapay itemises nothing else, so
// an item counts as loaded only if the batch is complete, the service has
// counted as many records as the batch has items, and every error that it
// counts is listed and belongs to an item. If anything is short, those of
// which it says nothing are OutcomeUnknown, and an ErrProtocol beside the
// report says what is short.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if err := p.info.Refuse("Report", b); err != nil {
		return batch.Report{Batch: b}, err
	}
	if b.ID == "" && b.State == batch.StateDraft {
		return batch.NewReport(b, nil)
	}
	reply, err := p.get(ctx, "Report", b)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	if !b.State.Final() {
		b = seen(b, reply)
	}
	rows, faults := p.rows(b, reply)
	report, err := batch.NewReport(b, rows)
	if len(faults) == 0 {
		return report, err
	}
	e := &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: "Report",
		Message: "the report does not match the batch"}
	var mismatch *batch.Error
	if errors.As(err, &mismatch) {
		faults = append(faults, mismatch.Fields...)
	}
	e.Fields = batchhttp.Faults(faults)
	return report, e
}

// rows translates the reply into a row for every item, and lists what does not
// add up.
func (p *Provider) rows(b batch.Batch, reply *Batch) ([]batch.Result, []batch.FieldError) {
	items := b.Draft.Items
	f := p.match(items, reply.Errors)
	rest := batch.OutcomePending
	switch {
	case !b.State.Final(): // A list that is still growing proves nothing either way.
		f.faults, f.unclear = nil, nil
	case state(reply.Status) != b.State:
		rest = f.all("status", "is %q now, but the batch was %q before", clip(string(reply.Status)), b.State)
	case b.State == batch.StateFailed:
		// The file could not be read, which prevents processing (documented).
		rest = batch.OutcomeFailed
		if count, err := reply.Records(); reply.Count+reply.TotalCount != "" && (err != nil || count != 0) {
			rest = f.all("count", "the service says that the file could not be read, and has counted %q records",
				clip(string(reply.Count+reply.TotalCount)))
		}
	default:
		rest = batch.OutcomePaid
		if count, err := reply.Records(); err != nil {
			rest = f.all("count", "%v", err)
		} else if count != int64(len(items)) {
			rest = f.all("count", "the service has counted %d records, and the batch has %d", count, len(items))
		}
		if count, err := reply.ErrorCount.count(); err != nil {
			rest = f.all("errorCount", "%v", err)
		} else if count != int64(len(reply.Errors)) {
			rest = f.all("errorCount", "the service counts %d errors and lists %d", count, len(reply.Errors))
		}
		if f.stray {
			rest = batch.OutcomeUnknown
		}
	}

	rows := make([]batch.Result, 0, len(items))
	for n, item := range items {
		row := batch.Result{Item: batch.Item{Reference: item.Reference}, Outcome: rest}
		switch errs := f.failed[n]; {
		case len(errs) > 0:
			row.Outcome, row.Native = batch.OutcomeFailed, errs
			if words := messages(errs); word.MatchString(words) {
				row.Code = words
			} else {
				row.Message = words
			}
		case f.unclear[n]:
			row.Outcome = batch.OutcomeUnknown
		case rest == batch.OutcomeFailed:
			row.Code = string(reply.Status)
		}
		rows = append(rows, row)
	}
	return rows, f.faults
}

func messages(errs []RecordError) string {
	words := make([]string, len(errs))
	for i, e := range errs {
		words[i] = clip(redact(string(e.Message), ""))
	}
	return strings.Join(words, "; ")
}

// findings is what the errors of a batch say about its items.
type findings struct {
	failed  map[int][]RecordError // the errors of each item
	unclear map[int]bool          // an error may be about this item
	stray   bool                  // an error may be about any item
	faults  []batch.FieldError    // what does not add up
}

func (f *findings) fault(field, format string, args ...any) {
	f.faults = append(f.faults, batch.FieldError{Item: -1, Field: field, Message: fmt.Sprintf(format, args...)})
}

// all reports a fault that leaves unknown what became of the items of which no
// error speaks.
func (f *findings) all(field, format string, args ...any) batch.Outcome {
	f.fault(field, format, args...)
	return batch.OutcomeUnknown
}

// match finds the item of every error: by its external id (of a ticket the
// barcode, of a terminal its id), with which the index must agree, counted from
// 0 or from 1 but in the same way for all. The index alone is trusted only if
// ErrorIndex says how it counts, and so is it between two items that share an id.
// An error that names no item may be about any; one that contradicts itself,
// about each item that it may mean.
func (p *Provider) match(items []batch.Item, errs []RecordError) *findings {
	f := &findings{failed: make(map[int][]RecordError), unclear: make(map[int]bool)}
	if len(errs) == 0 {
		return f
	}
	place := make(map[Text]int, len(items))
	shared := make(map[Text][]int) // Ids of several records: a ticket and its cancellation.
	for n, item := range items {
		record, err := p.record(item)
		if err != nil || record.errorID() == "" {
			continue
		}
		id := Text(record.errorID())
		if earlier, taken := place[id]; taken && shared[id] == nil {
			shared[id] = []int{earlier}
		}
		if place[id] = n; shared[id] != nil {
			shared[id] = append(shared[id], n)
		}
	}
	from := []int64{0, 1} // what the first record's index can still be
	switch p.config.ErrorIndex {
	case ErrorIndexFrom0:
		from = []int64{0}
	case ErrorIndexFrom1:
		from = []int64{1}
	}
	for i, e := range errs {
		field := fmt.Sprintf("errors[%d]", i)
		n, known := place[e.ExternalID]
		index, err := e.Index.Int64()
		if several := shared[e.ExternalID]; several != nil {
			n = int(index - from[0])
			if err != nil || len(from) > 1 || !slices.Contains(several, n) {
				for _, n := range several {
					f.unclear[n] = true
				}
				f.fault(field, "is about %q, which is the id of %d items", clip(string(e.ExternalID)), len(several))
				continue
			}
		}
		switch {
		case e.ExternalID != "" && !known:
			f.stray = true
			f.fault(field, "is about %q, which is not an item of the batch", clip(string(e.ExternalID)))
		case known && e.Index == "":
			f.failed[n] = append(f.failed[n], e)
		case known && err != nil:
			f.unclear[n] = true
			f.fault(field, "names item %d by its id, but its index is not an integer", n)
		case known:
			agree := slices.DeleteFunc(slices.Clone(from), func(first int64) bool { return index != int64(n)+first })
			if len(agree) > 0 {
				from = agree
				f.failed[n] = append(f.failed[n], e)
				continue
			}
			f.unclear[n] = true
			for _, first := range []int64{0, 1} {
				f.unclear[int(index-first)] = true
			}
			f.fault(field, "names item %d by its id, and index %d", n, index)
		case e.Index == "" || err != nil || p.config.ErrorIndex == ErrorIndexUnknown:
			f.stray = true
			f.fault(field, "names no item")
		case index < from[0] || index-from[0] >= int64(len(items)):
			f.stray = true
			f.fault(field, "has an index outside the file")
		default:
			n = int(index - from[0])
			f.failed[n] = append(f.failed[n], e)
		}
	}
	return f
}

func clip(s string) string {
	if len(s) > 256 {
		return s[:256] + "..."
	}
	return s
}
