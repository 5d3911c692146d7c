package sixdotfifty

import (
	"cmp"
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
	"github.com/batchway/batchway-go/batch/batchhttp"
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
	// Account names the account in Info.Account, so that journals find its
	// batches after the URL or the key has changed: any name that is not a
	// secret. Empty means the base URL and a digest of the key.
	Account string
	// ChunkSize is how many payments are added with one call; 0 means 500. What
	// the service takes is not documented.
	ChunkSize int
	// GuardUnproven says that two submits of one draft might both be paid if
	// they arrive at the same time, although only a draft can be submitted
	// (documented). batch.Run then never sends an unclear submit again.
	GuardUnproven bool
	// Referrals lets Item.Extra hold "referralAmount" and "referralMsisdn": money
	// for another person, beside Item.Amount and in no total of a report. Set it
	// only if 6DOT50 has enabled referrals for your account: otherwise it ignores
	// them (documented), and Create refuses the batch.
	Referrals bool
	// FindItems has Find and List read the payments of each batch as well, so that
	// a batch that another process has made can be reported. It costs a request
	// for each batch.
	FindItems bool
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
	guard := batch.GuardRefuses // Only a draft can be submitted (documented).
	if o.GuardUnproven {
		guard = batch.GuardNone
	}
	if o.Account == "" {
		// A key belongs to one organisation, and no field names its account.
		sum := sha256.Sum256([]byte(c.tokens.key.Reveal()))
		o.Account = c.http.Environment(nil) + "/" + hex.EncodeToString(sum[:4])
	}
	if exponent, known := batch.Exponent(o.Currency); known && exponent != 2 {
		return nil, batch.Invalid(name, "NewProvider",
			[]batch.FieldError{{Item: -1, Field: "Currency", Message: "must have two decimals"}})
	}
	extra, terms := []string{"firstname", "lastname"}, map[string]string{"currency": o.Currency}
	if o.Referrals {
		extra, terms["referrals"] = append(extra, referralAmount, referralMSISDN), "true"
	}
	return &Provider{client: c, config: o, info: batch.Info{
		Name:      name,
		Account:   o.Account,
		Direction: batch.Pay,
		Interval:  time.Minute,
		Guard:     guard,
		Renews:    true, // Every token ends after 15 minutes.
		Currency:  o.Currency,
		Extra:     []string{"name"},
		ItemExtra: extra,
		Terms:     terms,
	}}, nil
}

// The keys of Item.Extra for a referral.
const (
	referralAmount = "referralAmount" // in decimals: "5.50"
	referralMSISDN = "referralMsisdn" // as Item.Account
)

// maxReferral keeps the sum of many far below what an Amount can hold.
const maxReferral = 1_000_000_000_000

// referral is what an item pays for a referral; 0 if nothing.
func referral(item batch.Item) Amount {
	amount, _ := batch.ParseDecimal(item.Extra[referralAmount], 2) // faults checks it.
	return Amount(amount)
}

// referralFault says what is wrong with the referral of an item; empty if nothing is.
func referralFault(item batch.Item) string {
	amount, given := item.Extra[referralAmount]
	to, named := item.Extra[referralMSISDN]
	if !given && !named {
		return ""
	}
	hundredths, err := batch.ParseDecimal(amount, 2)
	switch {
	case given != named:
		return "needs both referralAmount and referralMsisdn"
	case err != nil || hundredths <= 0 || hundredths > maxReferral:
		return "referralAmount must be a decimal above 0 with up to two places"
	case !msisdn.MatchString(to):
		return "referralMsisdn must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"
	}
	return ""
}

// referrals is the sum of what items pay for referrals.
func referrals(items []batch.Item) (sum Amount) {
	for _, item := range items {
		sum += referral(item)
	}
	return sum
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info { return p.info }

// faults lists what 6DOT50 could not accept.
func (p *Provider) faults(d batch.Draft) []batch.FieldError {
	faults := p.info.Faults(d)
	if !d.Date.IsZero() {
		faults = append(faults, batch.FieldError{Item: -1, Field: "date",
			Message: "must be zero: 6DOT50 pays when a batch is submitted"})
	}
	for n, item := range d.Items {
		if item.Account != "" && !msisdn.MatchString(item.Account) {
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: "account",
				Message: "must be a mobile number: 8 to 15 digits with the country code, no plus and no leading zero"})
		}
		if message := referralFault(item); message != "" && p.config.Referrals { // Else the keys are not known.
			faults = append(faults, batch.FieldError{Item: n, Reference: item.Reference, Field: "extra",
				Message: message})
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
				if b.ExternalID != "" && b.ExternalID != externalID(reference, n) { // The filter may match more.
					continue
				}
				if err != nil {
					yield(b, err)
					return
				}
				if b.ExternalID == "" {
					yield(b,
						p.protocol(op, fmt.Sprintf("batch %s does not show the external id by which it was looked up",
							b.ID), nil))
					return
				}
				if found = append(found, b); b.StatusCode != BatchCancelled { // Which may free its id.
					alive = append(alive, b)
				}
			}
			switch {
			case len(found) == 0:
				return
			case len(alive) > 1:
				yield(Batch{}, p.conflict(op, fmt.Sprintf("%d batches have the external id %q: it must be unique",
					len(alive), externalID(reference, n)), nil))
				return
			case len(alive) == 1:
				found = alive
			}
			if !yield(found[0], nil) {
				return
			}
		}
		yield(Batch{}, p.conflict(op,
			fmt.Sprintf("the reference has had %d drafts, and more are not looked for: use another", maxDrafts), nil))
	}
}

// Create makes a draft at the service, adds the payments, and reads them back.
// Nothing is paid.
//
// If the staging fails, the draft is withdrawn as far as possible, and never
// used again: a call that is still under way can then do no harm. The batch
// returned beside the error tells which: StateCanceled, or still StateDraft. A
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
			return b, p.conflict(op,
				fmt.Sprintf("the service has a batch of this reference, %s, which is %s", earlier.ID,
					earlier.StatusCode), nil)
		}
	}
	made, err := p.make(ctx, d, externalID(d.Reference, taken+1))
	if made != nil {
		b.ID, b.Native = made.ID, p.clean(string(made.StatusCode))
	}
	if err != nil {
		return b, err
	}
	if err := p.fill(ctx, op, b); err != nil {
		return p.abandon(ctx, b, err)
	}
	return b, nil
}

// make makes an empty draft. There was none of this external id, so an empty
// one that is there after a lost or broken reply is ours. After a 4xx it may be
// the one because of which ours was refused. Beside an error the batch is what
// the reply has shown of ours.
func (p *Provider) make(ctx context.Context, d batch.Draft, external string) (*Batch, error) {
	title := cmp.Or(d.Extra["name"], d.Reference)
	made, err := p.client.CreateBatch(ctx, BatchRequest{Name: title, ExternalID: external})
	if err == nil && (made.ExternalID != external || made.StatusCode != BatchDraft || p.word(made.ID) != made.ID) {
		err = p.fault(batch.ErrAmbiguous, opCreateBatch.Name,
			fmt.Sprintf("the service made a batch, %s, that is %s, of another external id or status", made.ID,
				made.StatusCode), nil)
	}
	if err == nil {
		return made, nil
	}
	if made != nil && (made.ID == "" || p.word(made.ID) != made.ID || made.ExternalID != "" &&
		made.ExternalID != external) {
		made = nil
	}
	var e *batch.Error
	if !errors.As(err, &e) || e.Kind != batch.ErrAmbiguous && e.Kind != batch.ErrInvalid {
		return made, err
	}
	for b, failed := range p.client.ListBatches(ctx, ListBatchesOptions{ExternalID: external}) {
		switch {
		case failed != nil || b.ExternalID != external:
		case e.Kind == batch.ErrInvalid:
			return nil, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: opCreateBatch.Name, Err: err,
				Message: p.clean(fmt.Sprintf("another process has made a batch of the external id %q: %s, which is %s",
					external, b.ID, b.StatusCode))}
		case e.Status >= 400 && e.Status <= 499:
		case b.StatusCode == BatchDraft && b.Summary != nil && b.Summary.PaymentsCount == 0:
			return &b, nil
		}
	}
	return made, err
}

// fill adds the payments and reads them back. A chunk is never sent twice:
// after an unclear reply nothing more is added, and the read decides.
func (p *Provider) fill(ctx context.Context, op string, b batch.Batch) error {
	unclear := p.stage(ctx, b, false)
	if unclear != nil && !errors.Is(unclear, batch.ErrAmbiguous) {
		return unclear
	}
	_, err := p.seal(ctx, op, b)
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
			payments[n] = NewPayment{MSISDN: item.Account, Amount: Amount(item.Amount.Minor),
				ExternalID: item.Reference,
				FirstName:  item.Extra["firstname"], LastName: item.Extra["lastname"],
				ReferralAmount: referral(item), ReferralMSISDN: item.Extra[referralMSISDN]}
		}
		if _, err := p.client.AddPayments(ctx, b.ID, AddPaymentsRequest{ClearExisting: replace,
			Payments: payments}); err != nil {
			return err
		}
	}
	return nil
}

// withdraw cancels a draft whose contents are unknown, so that no call that is
// still under way can change what is paid. It reports whether that is done; if
// not, b is as it was.
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
	b.State, b.Native, b.UpdatedAt = batch.StateCanceled, string(BatchCancelled), time.Now()
	return b, true
}

// abandon withdraws a draft whose staging has failed.
func (p *Provider) abandon(ctx context.Context, b batch.Batch, cause error) (batch.Batch, error) {
	told := batch.Error{Kind: batch.ErrUnavailable}
	var known *batch.Error
	if errors.As(cause, &known) {
		switch told = *known; {
		case known.Kind == batch.ErrAmbiguous && known.Status == http.StatusBadRequest:
			told.Kind = batch.ErrInvalid // Validation, as documented: here a wrong word costs no money.
		case known.Kind == batch.ErrAmbiguous:
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

// fault is an error of this provider, fit to be printed whatever words of the
// service it repeats.
func (p *Provider) fault(kind batch.Kind, op, message string, fields []batch.FieldError) error {
	fields = slices.Clone(batchhttp.Faults(fields))
	for n := range fields {
		f := &fields[n]
		if f.Message = p.clean(f.Message); f.Item < 0 { // Else the reference is an item's.
			f.Reference = p.clean(f.Reference)
		}
	}
	return &batch.Error{Kind: kind, Provider: name, Op: op, Message: p.clean(message), Fields: fields}
}

// conflict is the error for a batch at the service that contradicts ours.
func (p *Provider) conflict(op, message string, fields []batch.FieldError) error {
	return p.fault(batch.ErrConflict, op, message, fields)
}

// protocol is the error for replies that cannot be believed.
func (p *Provider) protocol(op, message string, fields []batch.FieldError) error {
	return p.fault(batch.ErrProtocol, op, message, fields)
}

// clean makes words of the service fit for an error, a report or a Batch.
func (p *Provider) clean(words string) string { return p.client.http.Clean(words) }

// word is a reference of the service. One that does not fit is marked, so that
// it is never taken for one of ours.
func (p *Provider) word(s string) string {
	if cleaned := p.clean(s); cleaned != s {
		return cleaned + "\u2026"
	}
	return s
}

// read reads a batch, which must have the external id of b.
func (p *Provider) read(ctx context.Context, op string, b batch.Batch) (*Batch, error) {
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	return at, p.ours(op, b, *at)
}

// ours compares the external id of a batch at the service with the reference.
func (p *Provider) ours(op string, b batch.Batch, at Batch) error {
	switch {
	case reference(at.ExternalID) == b.Draft.Reference:
		return nil
	case at.ExternalID == "":
		return p.protocol(op, "the service does not show the external id of the batch", nil)
	}
	return p.conflict(op,
		fmt.Sprintf("the batch has the external id %q at the service, and not %q", at.ExternalID, b.Draft.Reference),
		nil)
}

// holds lists the payments of a batch that were not deleted. If some are
// missing or cannot be read, the error is ErrProtocol, beside the others.
func (p *Provider) holds(ctx context.Context, op string, at *Batch) ([]Payment, error) {
	all, faults, err := p.client.payments(ctx, at.ID)
	if err != nil {
		return nil, err
	}
	live := slices.DeleteFunc(all, deleted)
	switch {
	case len(faults) > 0:
		return live, p.protocol(op, "a part of the payments cannot be read", faults)
	case at.Summary != nil && len(live) < at.Summary.PaymentsCount:
		return live, p.protocol(op, fmt.Sprintf("the batch has %d payments, and the list has %d: it may be cut short",
			at.Summary.PaymentsCount, len(live)), nil)
	}
	return live, nil
}

func deleted(p Payment) bool { return p.StatusCode == PaymentDeleted }

// differences lists the items that are missing from the payments at the
// service, and what differs otherwise; in a draft also what a submit would pay
// beside the items.
func differences(items []batch.Item, payments []Payment, draft bool) (missing, others []batch.FieldError) {
	fault := func(n int, reference, field, format string, args ...any) batch.FieldError {
		return batch.FieldError{Item: n, Reference: reference, Field: field, Message: fmt.Sprintf(format, args...)}
	}
	differs := func(n int, reference, field, format string, args ...any) {
		others = append(others, fault(n, reference, field, format, args...))
	}
	there := make(map[string]Payment, len(payments))
	for _, payment := range payments {
		if _, twice := there[payment.ExternalID]; twice {
			differs(-1, payment.ExternalID, "payment", "the service has %q more than once", payment.ExternalID)
		}
		there[payment.ExternalID] = payment
	}
	for n, item := range items {
		payment, ok := there[item.Reference]
		delete(there, item.Reference)
		switch {
		case !ok:
			missing = append(missing, fault(n, item.Reference, "payment", "is not at the service"))
		case payment.Amount != Amount(item.Amount.Minor):
			differs(n, item.Reference, "amount", "is %s at the service, and %s here", payment.Amount,
				Amount(item.Amount.Minor))
		case number(payment.MSISDN) != item.Account:
			differs(n, item.Reference, "account", "is another mobile number at the service")
		case draft && payment.StatusCode != PaymentDraft:
			differs(n, item.Reference, "status", "is %s at the service", payment.StatusCode)
		case draft && !equals(payment.ReferralAmount, referral(item)):
			differs(n, item.Reference, "referralAmount", "is %.40s at the service, and must be %s",
				cmp.Or(payment.ReferralAmount, "absent"), plain(referral(item)))
		case draft && referral(item) != 0 && number(string(payment.ReferralMSISDN)) != item.Extra[referralMSISDN]:
			differs(n, item.Reference, "referralMsisdn", "is another mobile number at the service")
		}
	}
	for _, reference := range slices.Sorted(maps.Keys(there)) {
		differs(-1, reference, "payment", "the service has %q, which is not in the batch", reference)
	}
	return missing, others
}

// sums compares the count and the total of a batch with the items.
func sums(items []batch.Item, s BatchSummary) []batch.FieldError {
	var total Amount
	for _, item := range items {
		total += Amount(item.Amount.Minor)
	}
	// Whether the total counts referrals is not documented.
	if s.PaymentsCount == len(items) && (s.PaymentsAmount == total || s.PaymentsAmount == total+referrals(items)) {
		return nil
	}
	return []batch.FieldError{{Item: -1, Field: "summary",
		Message: fmt.Sprintf("has %d payments of %s in all at the service, and the batch has %d of %s",
			s.PaymentsCount, s.PaymentsAmount, len(items), total)}}
}

// equals reports whether an amount is want; one that is absent is 0.
func equals(amount Text, want Amount) bool {
	n, err := batchhttp.Decimal(string(amount), 2)
	return amount == "" && want == 0 || err == nil && Amount(n) == want
}

// plain is an amount for an error.
func plain(amount Amount) string {
	if amount == 0 {
		return "0"
	}
	return amount.String()
}

// number is a mobile number as an item has it: digits alone. The service could
// show the prefix of international dialling, or spaces.
func number(msisdn string) string {
	n := separators.Replace(msisdn)
	if international, ok := strings.CutPrefix(n, "+"); ok {
		return international
	}
	return strings.TrimPrefix(n, "00")
}

var separators = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "")

// seal reads the draft and compares it with the items: count, total and every
// payment. A difference is ErrConflict, and lists what differs. The batch is as
// it was read.
func (p *Provider) seal(ctx context.Context, op string, b batch.Batch) (batch.Batch, error) {
	at, err := p.read(ctx, op, b)
	if err != nil {
		return b, err
	}
	if at.StatusCode != BatchDraft {
		b, err = p.sighted(ctx, op, b, at)
		if err == nil {
			err = p.conflict(op,
				fmt.Sprintf("the batch is %s at the service, and only a draft can be submitted", at.StatusCode), nil)
		}
		return b, err
	}
	payments, err := p.holds(ctx, op, at)
	if err != nil {
		return b, err
	}
	missing, fields := differences(b.Draft.Items, payments, true)
	fields = append(missing, fields...)
	if at.Summary == nil {
		fields = append(fields, batch.FieldError{Item: -1, Field: "summary", Message: "has no count or no total"})
	} else {
		fields = append(fields, sums(b.Draft.Items, *at.Summary)...)
		if want := referrals(b.Draft.Items); !equals(at.Summary.ReferralsAmount, want) {
			fields = append(fields, batch.FieldError{Item: -1, Field: "referralsAmount",
				Message: fmt.Sprintf("is %.40s at the service, and must be %s",
					cmp.Or(at.Summary.ReferralsAmount, "absent"), plain(want))})
		}
	}
	if len(fields) > 0 {
		return b, p.conflict(op, "the draft at the service is not the batch", fields)
	}
	return b, nil
}

// sighted returns b as the service has it. Where that shows for the first time
// that b was submitted, everything that the service shows is compared with the
// draft; what cannot be read does not decide.
func (p *Provider) sighted(ctx context.Context, op string, b batch.Batch, at *Batch) (batch.Batch, error) {
	next := state(at.StatusCode)
	if b.State != batch.StatePending && (next == batch.StatePending || next == batch.StateDone) &&
		len(b.Draft.Items) > 0 {
		payments, err := p.holds(ctx, op, at)
		missing, fields := differences(b.Draft.Items, payments, false)
		if err == nil {
			fields = append(missing, fields...)
		}
		if at.Summary != nil {
			fields = append(fields, sums(b.Draft.Items, *at.Summary)...)
		}
		if len(fields) > 0 {
			return b, p.conflict(op, fmt.Sprintf("the batch at the service is %s, and is not ours", at.StatusCode),
				fields)
		}
	}
	b, err := p.seen(op, b, at.StatusCode)
	if err != nil {
		return b, err
	}
	return counted(b, at.Summary), nil
}

// counted is b with how far it is, if the service says so: what is neither
// settled nor canceled has no outcome yet.
func counted(b batch.Batch, s *BatchSummary) batch.Batch {
	if s == nil || b.State != batch.StatePending && b.State != batch.StateDone {
		return b
	}
	settled, err := strconv.Atoi(string(s.SettledCount))
	cancelled, err2 := strconv.Atoi(string(s.CancelledCount))
	if n := settled + cancelled; err == nil && err2 == nil && min(settled, cancelled) >= 0 && n <= s.PaymentsCount {
		b.Counts = batch.Counts{Final: n, Items: s.PaymentsCount}
	}
	return b
}

// Submit compares the draft at the service with the batch once more, and
// submits it: members are paid at once. A batch that is no longer a draft at
// the service is ErrConflict, and returned as it is there.
//
// ErrFunds means that the float does not cover all payments; nothing was paid,
// and the draft is intact. It is concluded from a documented general error
// after which the draft still is what the items say: lack of money is the only
// reason documented.
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
	submitted, err := p.client.SubmitBatch(ctx, b.ID)
	if err == nil && submitted.ExternalID != "" && p.ours(op, b, *submitted) != nil {
		err = p.fault(batch.ErrAmbiguous, op,
			fmt.Sprintf("the reply is about a batch of the external id %q", submitted.ExternalID), nil)
	}
	if err == nil {
		return p.seen(op, b, submitted.StatusCode)
	}
	if errors.Is(err, batch.ErrInvalid) {
		b, err = p.refused(ctx, op, b, err)
	}
	if errors.Is(err, batch.ErrAmbiguous) {
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// refused reads what a refused submit has left behind.
func (p *Provider) refused(ctx context.Context, op string, b batch.Batch, cause error) (batch.Batch, error) {
	var e *batch.Error
	errors.As(cause, &e)
	told := *e
	told.Op = op
	at, err := p.read(ctx, op, b)
	if err != nil {
		// The read would have told why: perhaps because an earlier submit of
		// this batch has landed.
		told.Kind, told.Err = batch.ErrAmbiguous, err
		told.Message = "the submit was refused, and the batch cannot be read: " + told.Message
		return b, &told
	}
	switch at.StatusCode {
	case BatchDraft:
		if _, err := p.seal(ctx, op, b); err == nil && e.Code == generalError {
			told.Kind = batch.ErrFunds
		}
		return b, &told
	case BatchCancelled:
		told.Kind = batch.ErrConflict
	default:
		// This submit was refused, but another has landed: perhaps an earlier
		// one of ours. Only reading on can tell.
		told.Kind = batch.ErrAmbiguous
	}
	told.Message = p.clean(fmt.Sprintf("the submit was refused, and the batch is %s: %s", at.StatusCode, told.Message))
	b.State, b.Native, b.UpdatedAt = state(at.StatusCode), p.clean(string(at.StatusCode)), time.Now()
	return b, &told
}

// Poll reads the status of the batch, and compares its external id with the
// reference. Where it shows for the first time that the batch was submitted,
// count, total and payments are compared with the draft as well.
func (p *Provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Poll"
	if err := p.info.Refuse(op, b); err != nil {
		return b, err
	}
	if b.State.Final() {
		return b, nil
	}
	at, err := p.read(ctx, op, b)
	if err != nil {
		return b, err
	}
	return p.sighted(ctx, op, b, at)
}

// seen returns b as 6DOT50 has it. A batch that was submitted does not become
// a draft again, and can no longer be cancelled: a reply that says so is stale,
// and not believed.
func (p *Provider) seen(op string, b batch.Batch, status BatchStatus) (batch.Batch, error) {
	next := state(status)
	if b.State == batch.StatePending && (next == batch.StateDraft || next == batch.StateCanceled) {
		return b, p.protocol(op,
			fmt.Sprintf("the batch was submitted, and the service now says that it is %s: a stale reply?", status), nil)
	}
	b.State, b.Native, b.UpdatedAt = next, p.clean(string(status)), time.Now()
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
		return batch.StateCanceled
	}
	return batch.StateUnknown
}

// Report reads every payment of the batch. Whatever is short, contradicts the
// batch or cannot be read is listed in an ErrProtocol beside the report: ask
// again.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	const op = "Report"
	if err := p.info.Refuse(op, b); err != nil {
		return batch.Report{Batch: b}, err
	}
	var faults []batch.FieldError
	// believe returns an error that ends the report, and lists any other.
	believe := func(field string, err error) error {
		if !errors.Is(err, batch.ErrProtocol) {
			return err
		}
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: err.Error()})
		return nil
	}
	at, err := p.read(ctx, op, b)
	if err = believe("batch", err); err != nil {
		return batch.Report{Batch: b}, err
	}
	payments, unreadable, err := p.client.payments(ctx, b.ID)
	if err = believe("payments", err); err != nil {
		return batch.Report{Batch: b}, err
	}
	if at != nil && !b.State.Final() {
		b, err = p.seen(op, b, at.StatusCode)
		_ = believe("batch", err)
	}
	report, err := batch.NewReport(b, p.results(b, payments, unreadable))
	var e *batch.Error
	if errors.As(err, &e) {
		faults = append(e.Fields, faults...)
	}
	if faults = append(faults, unreadable...); at != nil && at.Summary != nil {
		faults = append(faults, contradictions(*at.Summary, payments, b.State)...)
	}
	if len(faults) == 0 {
		return report, err
	}
	return report, p.protocol(op, "the report does not match the batch", faults)
}

// results are the payments as rows of a report. A payment that was deleted is
// one only where nothing else has its reference.
func (p *Provider) results(b batch.Batch, payments []Payment, unreadable []batch.FieldError) []batch.Result {
	listed, live := make(map[string]bool), make(map[string]bool)
	for _, payment := range payments {
		listed[payment.ExternalID] = true
		live[payment.ExternalID] = live[payment.ExternalID] || !deleted(payment)
	}
	ours := make(map[string]bool, len(b.Draft.Items))
	var all []batch.Result
	for _, item := range b.Draft.Items {
		if ours[item.Reference] = true; listed[item.Reference] && !live[item.Reference] {
			all = append(all, batch.Result{Item: batch.Item{Reference: item.Reference}, Outcome: batch.OutcomeSkipped,
				Code: string(PaymentDeleted)})
		}
	}
	word := func(reference string) string {
		if ours[reference] {
			return reference
		}
		return p.word(reference)
	}
	for _, fault := range unreadable {
		if fault.Reference != "" {
			all = append(all, batch.Result{Item: batch.Item{Reference: word(fault.Reference)},
				Outcome: batch.OutcomeUnknown,
				Message: p.clean(fault.Message)})
		}
	}
	for _, payment := range payments {
		if deleted(payment) {
			continue
		}
		settled, _ := ParseTime(payment.SettledAt) // It decides nothing.
		all = append(all, batch.Result{
			Item: batch.Item{Reference: word(payment.ExternalID), Account: number(p.word(payment.MSISDN)),
				Amount: batch.Money{Minor: int64(payment.Amount), Currency: p.config.Currency}},
			Outcome: outcome(payment.StatusCode, b.State),
			Code:    p.clean(string(payment.StatusCode)),
			ID:      p.clean(payment.ID),
			At:      settled,
			Native:  payment,
		})
	}
	return all
}

// contradictions compares the sums of a batch with its payments: how many there
// are always, and what became of them once that cannot change any more.
func contradictions(s BatchSummary, payments []Payment, at batch.State) []batch.FieldError {
	var faults []batch.FieldError
	fault := func(field string, said any, listed any) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field,
			Message: fmt.Sprintf("is %v in the batch, and the payments have %v", said, listed)})
	}
	count, all := make(map[PaymentStatus]int64), make(map[PaymentStatus]int64)
	var total, referred Amount
	for _, p := range payments {
		if !deleted(p) {
			total += p.Amount
			if n, err := batchhttp.Decimal(string(p.ReferralAmount), 2); err == nil {
				referred += Amount(n)
			}
		}
		count[p.StatusCode]++
		all[p.StatusCode] += int64(p.Amount)
	}
	gone, goneAmount := int(count[PaymentDeleted]), Amount(all[PaymentDeleted])
	// Whether the sums count what was deleted is not documented.
	if live := len(payments) - gone; s.PaymentsCount != live && s.PaymentsCount != live+gone {
		fault("paymentsCount", s.PaymentsCount, live)
	}
	// Nor is it whether they count referrals.
	if s.PaymentsAmount != total && s.PaymentsAmount != total+goneAmount && s.PaymentsAmount != total+referred {
		fault("paymentsAmount", s.PaymentsAmount, total)
	}
	if !at.Final() {
		return faults
	}
	for _, c := range []struct {
		field  string
		said   Text
		places int
		listed int64
	}{{"settledCount", s.SettledCount, 0, count[PaymentSettled]},
		{"settledAmount", s.SettledAmount, 2, all[PaymentSettled]},
		{"cancelledCount", s.CancelledCount, 0, count[PaymentCancelled]}, {"cancelledAmount", s.CancelledAmount, 2,
			all[PaymentCancelled]}} {
		if said, err := batchhttp.Decimal(string(c.said), c.places); err == nil && said != c.listed {
			fault(c.field, c.said, batch.FormatDecimal(c.listed, c.places))
		}
	}
	return faults
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
		case batch.StateCanceled, batch.StateDraft:
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
// submitted, or else the newest that is not withdrawn. Its external id is
// compared. Its items are only read with ProviderConfig.FindItems; payments that
// cannot be items are ErrProtocol, beside the batch without items.
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
			return batch.Batch{}, p.conflict("Find",
				fmt.Sprintf("two batches of this reference were submitted, %s and %s", found.ID, b.ID), nil)
		case found.ID == "" || rank(b.StatusCode) >= rank(found.StatusCode):
			found = b
		}
	}
	if found.ID == "" {
		return batch.Batch{}, &batch.Error{Kind: batch.ErrNotFound, Provider: name, Op: "Find",
			Message: "no batch has this external id"}
	}
	return p.withItems(ctx, "Find", found)
}

// withItems is a batch of the service, with its payments as items if that is
// configured.
func (p *Provider) withItems(ctx context.Context, op string, found Batch) (batch.Batch, error) {
	b := p.handle(found)
	if !p.config.FindItems {
		return b, nil
	}
	payments, err := p.holds(ctx, op, &found)
	if err != nil {
		return b, err
	}
	items, seen := make([]batch.Item, len(payments)), make(map[string]bool, len(payments))
	var faults []batch.FieldError
	for n, payment := range payments {
		item := batch.Item{Reference: p.word(payment.ExternalID), Account: number(p.word(payment.MSISDN)),
			Amount: batch.Money{Minor: int64(payment.Amount), Currency: p.config.Currency}}
		extra := map[string]string{"firstname": string(payment.FirstName), "lastname": string(payment.LastName)}
		if p.config.Referrals && !equals(payment.ReferralAmount, 0) {
			extra[referralAmount], extra[referralMSISDN] = string(payment.ReferralAmount),
				number(string(payment.ReferralMSISDN))
		}
		for key, value := range extra {
			if value != "" && item.Extra == nil {
				item.Extra = make(map[string]string)
			}
			if value != "" {
				item.Extra[key] = p.clean(value)
			}
		}
		if payment.ExternalID == "" || seen[payment.ExternalID] {
			faults = append(faults, batch.FieldError{Item: -1, Reference: payment.ExternalID, Field: "payments",
				Message: fmt.Sprintf("payment %q has no external id of its own", payment.ID)})
		}
		seen[payment.ExternalID] = true
		items[n] = item
	}
	if len(faults) > 0 {
		return b, p.protocol(op, "the payments of the batch are not items", faults)
	}
	b.Draft.Items = items
	return b, nil
}

// handle is a batch of the service without its items.
func (p *Provider) handle(b Batch) batch.Batch {
	return batch.Batch{Provider: name, ID: p.word(b.ID), State: state(b.StatusCode),
		Native: p.clean(string(b.StatusCode)), UpdatedAt: time.Now(),
		Draft: batch.Draft{Reference: p.word(reference(b.ExternalID)), Direction: batch.Pay}}
}

// Cancel withdraws a draft, for good. A draft at the service that has another
// external id, or a payment that is not one of b's items, is ErrConflict, and
// left alone; a b without items, as Find and List return it, is compared by its
// external id only. A batch that is no longer a draft is returned as it is
// there. ErrAmbiguous means that the batch is still a draft, and that the call
// may yet arrive.
func (p *Provider) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	const op = "Cancel"
	if err := p.info.RefuseCancel(op, b); err != nil {
		return b, err
	}
	at, err := p.read(ctx, op, b)
	if err != nil {
		return b, err
	}
	if at.StatusCode == BatchDraft && b.State != batch.StatePending {
		if err := p.foreign(ctx, op, b, at); err != nil {
			return b, err
		}
		var after *Batch
		if after, err = p.client.CancelBatch(ctx, b.ID); err != nil || after.StatusCode != BatchCancelled {
			// What the batch is now decides, whatever the reply was.
			var failed error
			if after, failed = p.read(ctx, op, b); failed != nil {
				return b, cmp.Or(err, failed)
			}
		}
		at = after
	}
	b, stale := p.sighted(ctx, op, b, at)
	switch {
	case stale != nil:
		return b, stale
	case at.StatusCode == BatchCancelled:
		return b, nil
	case at.StatusCode == BatchDraft && err != nil && !errors.Is(err, batch.ErrInvalid):
		return b, err
	}
	return b, &batch.Error{Kind: batch.ErrConflict, Provider: name, Op: op, Err: err,
		Message: p.clean(fmt.Sprintf("the batch is %s at the service, and was not cancelled", at.StatusCode))}
}

// foreign returns ErrConflict if a draft at the service holds a payment that is
// not one of the items of b, if b has any. It may hold fewer.
func (p *Provider) foreign(ctx context.Context, op string, b batch.Batch, at *Batch) error {
	if len(b.Draft.Items) == 0 {
		return nil
	}
	payments, unreadable, err := p.client.payments(ctx, at.ID)
	if err != nil {
		return err
	}
	_, fields := differences(b.Draft.Items, slices.DeleteFunc(payments, deleted), false)
	if fields = append(fields, unreadable...); len(fields) > 0 {
		return p.conflict(op,
			"the draft at the service holds payments that are not in the batch, and was not cancelled", fields)
	}
	return nil
}

// List lists the batches of the account, newest first; their items only with
// ProviderConfig.FindItems, as Find does. A batch that cannot be read comes with
// its error, and the others follow.
func (p *Provider) List(ctx context.Context) iter.Seq2[batch.Batch, error] {
	return func(yield func(batch.Batch, error) bool) {
		for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{}) {
			listed := p.handle(b)
			if err == nil {
				listed, err = p.withItems(ctx, "List", b)
			}
			if !yield(listed, err) {
				return
			}
		}
	}
}

// SetItems replaces all payments of a draft, and reads them back. If that
// leaves in doubt what the draft holds, or will hold once a call that is under
// way has arrived, the draft is withdrawn: the batch returned is cancelled, and
// another must be created. If it cannot be withdrawn either, the error is
// ErrAmbiguous, and the batch returned cannot be submitted. Nothing is paid.
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
	_, sealed := p.seal(ctx, op, edited)
	if sealed == nil {
		return edited, nil
	}
	err = errors.Join(err, sealed)
	b, withdrawn := p.withdraw(ctx, b)
	if withdrawn {
		return b, &batch.Error{Kind: batch.ErrUnavailable, Provider: name, Op: op, Err: err,
			Message: "the contents of the draft were not known: it is withdrawn; create another"}
	}
	b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	return b, &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op, Err: err,
		Message: "the contents of the draft are not known, and it could not be withdrawn: nothing was paid; do not submit it"}
}

// PollAll reads the batches that are open in one list. Of those that are closed
// it reads the newest in a second list, as long as that takes a twentieth of the
// requests of single polls. It polls the others one by one, as Poll does.
func (p *Provider) PollAll(ctx context.Context, bs []batch.Batch) ([]batch.Batch, error) {
	const op = "PollAll"
	out, failed := slices.Clone(bs), make(batch.PollErrors)
	listed, err := p.listed(ctx, bs)
	if err != nil {
		return out, err
	}
	var alone []int // places in bs
	for n, b := range bs {
		at, known := listed[b.ID]
		err := p.info.Refuse(op, b)
		switch {
		case err != nil, b.State.Final():
		case known && b.State == batch.StatePending:
			if err = p.ours(op, b, at); err == nil {
				if out[n], err = p.seen(op, b, at.StatusCode); err == nil {
					out[n] = counted(out[n], at.Summary)
				}
			}
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

// listed reads those of bs that are pending in lists. What is not in them is not
// returned.
func (p *Provider) listed(ctx context.Context, bs []batch.Batch) (map[string]Batch, error) {
	if len(bs) == 1 {
		return nil, nil // One poll is as cheap as a list.
	}
	wanted, found := make(map[string]bool), make(map[string]Batch)
	for _, b := range bs {
		if b.State == batch.StatePending {
			wanted[b.ID] = true
		}
	}
	most := maxPages * pageSize // rows that are read
	for _, status := range []BatchStatus{BatchOpen, BatchClosed} {
		if len(wanted) == 0 || most < pageSize {
			break
		}
		for b, err := range p.client.ListBatches(ctx, ListBatchesOptions{StatusCode: status}) {
			switch {
			case err != nil && !errors.Is(err, batch.ErrProtocol):
				return nil, err
			case err == nil && b.StatusCode == status && wanted[b.ID]:
				found[b.ID] = b
				delete(wanted, b.ID)
			}
			if most--; most == 0 || len(wanted) == 0 {
				break
			}
		}
		most = len(wanted) / 20 * pageSize
	}
	return found, nil
}
