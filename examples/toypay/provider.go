package toypay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/batchway/batchway-go/batch"
)

// The abilities of the provider.
var (
	_ batch.Provider = (*Provider)(nil)
	_ batch.Finder   = (*Provider)(nil)
	_ batch.Canceler = (*Provider)(nil)
)

// Provider is Toypay as a batch.Provider. It keeps no state.
type Provider struct {
	client *Client
	info   batch.Info
}

// NewProvider returns a provider. It does no I/O.
func NewProvider(c *Client) *Provider {
	return &Provider{client: c, info: batch.Info{
		Name:      name,
		Account:   c.http.Environment(nil),
		Direction: batch.Pay,
		Currency:  "ZAR",
		MaxItems:  1000,
		Interval:  time.Minute,
		Guard:     batch.GuardRefuses, // Only an open batch can be submitted (documented).
	}}
}

// Info returns the facts about this provider.
func (p *Provider) Info() batch.Info { return p.info }

// Create makes an open batch. No money moves.
func (p *Provider) Create(ctx context.Context, d batch.Draft) (batch.Batch, error) {
	d = d.Clone()
	b := batch.Batch{Provider: name, Draft: d, State: batch.StateDraft, UpdatedAt: time.Now()}
	if err := batch.Invalid(name, "Create", p.info.Faults(d)); err != nil {
		return b, err
	}
	payments := make([]Payment, len(d.Items))
	for n, item := range d.Items {
		payments[n] = Payment{Reference: item.Reference, Account: item.Account, Cents: item.Amount.Minor}
	}
	at, err := p.client.CreateBatch(ctx, d.Reference, payments)
	if err != nil {
		return b, err
	}
	b.ID = at.ID // An id is never thrown away, whatever is wrong otherwise.
	return p.seen("Create", b, at)
}

// Submit compares the open batch with b and submits it.
func (p *Provider) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if err := p.info.RefuseSubmit("Submit", b); err != nil {
		return b, err
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	b, err = p.seen("Submit", b, at)
	if err == nil && b.State != batch.StateDraft {
		err = p.fault(batch.ErrConflict, "Submit",
			"the batch is %q at the service, and only an open one can be submitted", b.Native)
	}
	if err != nil {
		return b, err
	}
	at, err = p.client.SubmitBatch(ctx, b.ID)
	if err == nil {
		if after, wrong := p.seen("Submit", b, at); wrong == nil && after.State != batch.StateDraft {
			return after, nil
		}
		// The money may have moved, whatever else the reply says.
		err = p.fault(batch.ErrAmbiguous, "Submit",
			"the reply to the submit shows a batch that is %q, or is not this one", at.Status)
	}
	if batch.KindOf(err) == batch.ErrAmbiguous {
		b.State, b.UpdatedAt = batch.StateUnknown, time.Now()
	}
	return b, err
}

// Poll reads where a batch stands.
func (p *Provider) Poll(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if err := p.info.Refuse("Poll", b); err != nil || b.State.Final() {
		return b, err
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	return p.seen("Poll", b, at)
}

// Report reads what became of every item.
func (p *Provider) Report(ctx context.Context, b batch.Batch) (batch.Report, error) {
	if err := p.info.Refuse("Report", b); err != nil {
		return batch.Report{Batch: b}, err
	}
	at, err := p.client.GetBatch(ctx, b.ID)
	if err != nil {
		return batch.Report{Batch: b}, err
	}
	if !b.State.Final() {
		if b, err = p.seen("Report", b, at); err != nil {
			return batch.Report{Batch: b}, err
		}
	}
	rows := make([]batch.Result, len(at.Payments))
	for n, payment := range at.Payments {
		row := batch.Result{Item: batch.Item{Reference: payment.Reference, Account: payment.Account,
			Amount: batch.Money{Minor: payment.Cents, Currency: p.info.Currency}},
			Outcome: outcome(payment.Status), Message: p.client.http.Clean(string(payment.Reason))}
		if b.State == batch.StateCanceled {
			row.Outcome = batch.OutcomeSkipped
		}
		rows[n] = row
	}
	return batch.NewReport(b, rows)
}

// Find finds the batch of a reference, also one whose Create was never answered.
func (p *Provider) Find(ctx context.Context, reference string) (batch.Batch, error) {
	found, err := p.client.FindBatches(ctx, reference)
	if err != nil {
		return batch.Batch{}, err
	}
	if len(found) == 0 {
		return batch.Batch{}, p.fault(batch.ErrNotFound, "Find", "the service has no batch of this reference")
	}
	newest := found[len(found)-1]
	b := batch.Batch{Provider: name, ID: newest.ID, Draft: batch.Draft{Reference: newest.Reference,
		Direction: batch.Pay}}
	for _, payment := range newest.Payments {
		b.Draft.Items = append(b.Draft.Items, batch.Item{Reference: payment.Reference, Account: payment.Account,
			Amount: batch.Money{Minor: payment.Cents, Currency: p.info.Currency}})
	}
	return p.seen("Find", b, &newest)
}

// Cancel withdraws a batch before any money moves.
func (p *Provider) Cancel(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	if err := p.info.RefuseCancel("Cancel", b); err != nil {
		return b, err
	}
	at, err := p.client.CancelBatch(ctx, b.ID)
	if err != nil {
		return b, err
	}
	return p.seen("Cancel", b, at)
}

// seen returns b as the service has it. What the service has must be b, item by
// item: a batch of other payments is never taken for it.
func (p *Provider) seen(op string, b batch.Batch, at *Batch) (batch.Batch, error) {
	same := at.Reference == b.Draft.Reference && len(at.Payments) == len(b.Draft.Items)
	for n := 0; same && n < len(at.Payments); n++ {
		item, payment := b.Draft.Items[n], at.Payments[n]
		same = payment.Reference == item.Reference && payment.Account == item.Account &&
			payment.Cents == item.Amount.Minor
	}
	if !same {
		return b, p.fault(batch.ErrConflict, op, "batch %q at the service has another reference or other payments",
			at.ID)
	}
	b.State, b.Native, b.UpdatedAt = state(at.Status), p.client.http.Clean(at.Status), time.Now()
	return b, nil
}

func (p *Provider) fault(kind batch.Kind, op, format string, words ...any) error {
	return &batch.Error{Kind: kind, Provider: name, Op: op,
		Err: errors.New(p.client.http.Clean(fmt.Sprintf(format, words...)))}
}
