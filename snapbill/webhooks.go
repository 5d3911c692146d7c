package snapbill

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Webhook is a delivery of SnapBill: an action that was recorded.
//
// It is a hint and nothing else. No signature is documented, so anyone can
// send one; the same may come twice, or late, and the object in it is as it
// was at the delivery, not at the event. Use it to decide what to read now,
// with GetBatch, GetPayment or Provider.Poll, and decide by what that says.
type Webhook struct {
	UUID   string `json:"uuid"` // the same in every delivery of one event
	Action Action `json:"body"`
}

// maxWebhook is far beyond any object that one could hold.
const maxWebhook = 1 << 20

// ParseWebhook reads the body of a delivery. ErrInvalid means that it
// is not a delivery.
func ParseWebhook(body []byte) (*Webhook, error) {
	invalid := func(err error) error {
		return &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: "ParseWebhook",
			Message: "this is not a delivery of SnapBill", Err: batchhttp.Redacted(err.Error(), err)}
	}
	if len(body) > maxWebhook {
		return nil, invalid(errors.New("it is too large"))
	}
	var w Webhook
	if err := batchhttp.JSON(&w)(bytes.NewReader(body)); err != nil {
		return nil, invalid(err)
	}
	if w.UUID == "" {
		return nil, invalid(errors.New("it has no uuid"))
	}
	if err := w.Action.identify(); err != nil {
		return nil, invalid(err)
	}
	return &w, nil
}

// Payment is the payment that the action is about, as it was at the delivery.
func (a *Action) Payment() (*Payment, error) { return about[Payment](a, "payment") }

// Batch is the batch that the action is about, as it was at the delivery.
func (a *Action) Batch() (*Batch, error) { return about[Batch](a, "batch") }

// Invoice is the invoice that the action is about, as it was at the delivery.
func (a *Action) Invoice() (*Invoice, error) { return about[Invoice](a, "invoice") }

// Customer is the client that the action is about, as it was at the delivery.
func (a *Action) Customer() (*Customer, error) { return about[Customer](a, "client") }

// Service is the service that the action is about, as it was at the delivery.
func (a *Action) Service() (*Service, error) { return about[Service](a, "service") }

func about[T any, P object[T]](a *Action, class string) (*T, error) {
	fail := func(err error) error {
		return &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: "Action",
			Err: batchhttp.Redacted(err.Error(), err)}
	}
	if a.Item == nil || string(a.ItemType) != class {
		return nil, fail(fmt.Errorf("the action %q is not about a %s", string(a.Path), class))
	}
	v := new(T)
	if err := batchhttp.Parse(a.Item, v); err != nil {
		return nil, fail(err)
	}
	if err := cmp.Or(P(v).identify(), P(v).check(), P(v).verify()); err != nil {
		return nil, fail(err)
	}
	return v, nil
}
