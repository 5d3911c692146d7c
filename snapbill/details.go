package snapbill

import (
	"context"
	"errors"
	"iter"
	"net/url"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Secret is a bank account, a card number or a password. It is printed and
// encoded as "[redacted]".
type Secret = batchhttp.Secret

// NewSecret hides s.
func NewSecret(s string) Secret { return batchhttp.NewSecret(s) }

// SetPayment is how a client pays from now on.
type SetPayment struct {
	PaymentMethodCode string // "netcash", "other"
	// Fields are those of a bank account or a card, under the names that Form shows
	// for set_payment of this client. SnapBill has published none of the names.
	Fields map[string]Secret
}

// GetPaymentDetails reads a bank account or a card of a client.
//
//	POST /payment_details/{id}/get
func (c *Client) GetPaymentDetails(ctx context.Context, id string) (*PaymentDetails, error) {
	return get[PaymentDetails](ctx, c, opGetPaymentDetails, "payment_details", id)
}

// ListPaymentDetails reads the bank accounts and cards of a client, or of all
// of them for 0. Their state is documented and in no reply that was published:
// an empty one says nothing.
//
//	POST /payment_details/list
func (c *Client) ListPaymentDetails(ctx context.Context, clientID ID) iter.Seq2[PaymentDetails, error] {
	form := url.Values{}
	setNumber(form, "client_id", clientID)
	return list(ctx, c, opListPaymentDetails, "payment_details", form, func(d *PaymentDetails) error {
		return ofClient(clientID, d.Client)
	})
}

// UpdatePaymentDetails gives a card another expiry, "2027-06": nothing else can
// be changed. It moves no money, but later batches debit the card again. It is
// sent at most once. An expiry that the service has ignored is ErrProtocol,
// beside the details as they are now. On ErrAmbiguous, read the details.
//
//	POST /payment_details/{id}/update
func (c *Client) UpdatePaymentDetails(ctx context.Context, id, expiry string) (*PaymentDetails, error) {
	op := opUpdatePaymentDetails
	if _, err := time.Parse("2006-01", expiry); err != nil {
		return nil, invalid(op, "expiry", "%.40q is not a month like 2027-06", expiry)
	}
	updated, err := call[PaymentDetails](ctx, c, op, "payment_details", []string{id}, url.Values{"expiry": {expiry}},
		false)
	if err != nil {
		return nil, err
	}
	if updated == nil || !updated.names().has(id) {
		if updated, err = after[PaymentDetails](ctx, c, op, opGetPaymentDetails, "payment_details", id); err != nil {
			return nil, err
		}
	}
	var w wishes
	w.compare("expiry", expiry, string(updated.Expiry))
	return updated, w.err(c, op.Name)
}

// SetPayment changes how a client pays, and from which account. Later batches
// debit that account. Nothing of Fields is in an error or a log. It is sent at
// most once, because a second request may add a second bank account.
//
// The client is returned as it is read afterwards. A payment method that the
// service has ignored is ErrProtocol. The reply does not say which details are
// new: see ListPaymentDetails, also on ErrAmbiguous.
//
//	POST /client/{id}/set_payment
func (c *Client) SetPayment(ctx context.Context, clientID string, s SetPayment) (*Customer, error) {
	op := opSetPayment
	var faults []batch.FieldError
	if s.PaymentMethodCode == "" {
		faults = append(faults, fault("payment_method_code", "is empty"))
	}
	form, secrets := url.Values{}, []Secret{}
	set(form, "payment_method_code", s.PaymentMethodCode)
	for field, value := range s.Fields {
		switch {
		case !fieldName.MatchString(field) || field == "payment_method_code":
			faults = append(faults, fault("fields", "%.40q is not the name of a field", field))
		case value.Reveal() == "":
			faults = append(faults, fault(field, "is empty"))
		}
		form.Set(field, value.Reveal())
		secrets = append(secrets, value)
	}
	slices.SortFunc(faults, compareFaults)
	if err := batch.Invalid(name, op.Name, faults); err != nil {
		return nil, err
	}
	err := c.send(ctx, batchhttp.Call{Op: op, Params: []string{clientID}, Secrets: secrets, Decode: bare}, form)
	if err != nil {
		return nil, err
	}
	now, err := after[Customer](ctx, c, op, opGetClient, "client", clientID)
	if err != nil {
		return nil, err
	}
	var w wishes
	w.compare("payment_method_code", s.PaymentMethodCode, string(now.PaymentMethod.Value.Code))
	return now, w.err(c, op.Name)
}

// DeleteClient deletes a client, for ever: its state becomes dead. What becomes
// of its open invoices is not documented. It is sent at most once.
//
// The client is returned as it is read afterwards. One that is not dead is
// ErrProtocol. On ErrAmbiguous, read the client.
//
//	POST /client/{id}/delete
func (c *Client) DeleteClient(ctx context.Context, clientID string) (*Customer, error) {
	op := opDeleteClient
	err := c.send(ctx, batchhttp.Call{Op: op, Params: []string{clientID}, Decode: bare}, url.Values{})
	if err != nil {
		return nil, err
	}
	now, err := after[Customer](ctx, c, op, opGetClient, "client", clientID)
	if err != nil {
		return nil, err
	}
	var w wishes
	w.compare("state", "dead", string(now.State))
	return now, w.err(c, op.Name)
}

// bare reads the success of a change whose reply need not hold an object.
var bare = successful(func(e *envelope) error {
	if e.Type != "result" && e.Type != "item" {
		return errors.New("a form, a list or an index came back instead of a result")
	}
	return nil
})

// after reads an object that op has changed.
func after[T any, P object[T]](ctx context.Context, c *Client, op, read batchhttp.Op, class, id string) (*T, error) {
	now, err := get[T, P](ctx, c, read, class, id)
	if err != nil {
		return nil, unread(op, err)
	}
	return now, nil
}

// unread says that a call was accepted, and that err keeps us from seeing what it did.
func unread(op batchhttp.Op, err error) error {
	return &batch.Error{Kind: batch.ErrAmbiguous, Provider: name, Op: op.Name,
		Message: "the call was accepted, but what it did cannot be read", Err: err}
}

// ofClient refuses a row of another client.
func ofClient(clientID ID, of Maybe[Customer]) error {
	if clientID != 0 && (!of.OK || of.Value.ID != clientID) {
		return ignored("client_id", "another")
	}
	return nil
}
