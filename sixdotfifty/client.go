package sixdotfifty

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

// Config is what a Client needs. Printed in any way, it shows no secret.
type Config struct {
	Key    string // the API key
	Secret string // the secret that goes with it

	BaseURL    string                                    // required: the URL of PAY is not public
	HTTPClient *http.Client                              // optional: the proxy, dialer and certificates of its *http.Transport
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	Logger     *slog.Logger                              // optional: op, status, duration and attempt; never bodies or headers
}

// Format writes the configuration without the key and the secret.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sixdotfifty.Config{Key: [redacted], Secret: [redacted], BaseURL: %q}", c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the key and the secret.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// Client calls the PAY API. It is safe for concurrent use.
type Client struct {
	rest   *rest.Client
	tokens *tokens
}

// New checks the configuration. It does no I/O and reads no environment.
func New(c Config) (*Client, error) {
	client, tokens, err := connect(c)
	if err != nil {
		return nil, err
	}
	return &Client{client, tokens}, nil
}

// connect makes what the clients of both APIs consist of.
func connect(c Config) (*rest.Client, *tokens, error) {
	var faults []batch.FieldError
	for _, f := range []struct{ field, value string }{{"Key", c.Key}, {"Secret", c.Secret}} {
		if f.value == "" || strings.IndexFunc(f.value, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
			faults = append(faults, batch.FieldError{Item: -1, Field: f.field, Message: "is empty, or holds control characters"})
		}
	}
	if c.BaseURL == "" {
		faults = append(faults, batch.FieldError{Item: -1, Field: "BaseURL", Message: "is required"})
	}
	if err := batch.Invalid(name, "New", faults); err != nil {
		return nil, nil, err
	}
	config := rest.Config{
		Provider:   name,
		BaseURL:    c.BaseURL,
		HTTPClient: c.HTTPClient,
		Middleware: c.Middleware,
		Logger:     c.Logger,
		Refusal:    refusal,
		Secrets:    []string{c.Key, c.Secret},
	}
	authentication := config
	authentication.Refusal = tokenRefusal
	plain, err := rest.New(authentication)
	if err != nil {
		return nil, nil, err
	}
	tokens := &tokens{rest: plain, key: c.Key, secret: c.Secret}
	config.Authorize, config.Unauthorized = tokens.authorize, tokens.unauthorized
	authorized, err := rest.New(config)
	return authorized, tokens, err
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() {
	c.rest.CloseIdleConnections()
	c.tokens.rest.CloseIdleConnections()
}

// GetToken fetches a token, whether or not the client has one, and does not use
// it. The client fetches its own when it needs one. If a new token ends the old
// one, which is not documented, its next call has to fetch another.
//
//	POST /authentication/getToken
func (c *Client) GetToken(ctx context.Context) (*Token, error) { return c.tokens.fetch(ctx) }

// Accounts reads the accounts of the organisation.
//
//	GET /accounts
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	return read[list[Account]](ctx, c.rest, opListAccounts, nil, nil)
}

// CreateBatch makes a draft. It pays nobody. The external id is optional, and
// unique across all batches; one that is taken is ErrInvalid.
//
//	POST /batches
func (c *Client) CreateBatch(ctx context.Context, r BatchRequest) (*Batch, error) {
	return write[*Batch](ctx, c.rest, opCreateBatch, nil, r)
}

// ListBatches reads the batches, newest first, page by page.
//
//	GET /batches
func (c *Client) ListBatches(ctx context.Context, o ListBatchesOptions) iter.Seq2[Batch, error] {
	return pages(opListBatches, func(skip, take int) ([]Batch, error) {
		query := url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}}
		if o.StatusCode != "" {
			query.Set("statusCode", string(o.StatusCode))
		}
		if o.ExternalID != "" {
			query.Set("externalId", o.ExternalID)
		}
		return read[list[Batch]](ctx, c.rest, opListBatches, nil, query)
	}, func(b Batch) string { return b.ID })
}

// GetBatch reads a batch with its summary, without its payments.
//
//	GET /batches/{id}
func (c *Client) GetBatch(ctx context.Context, id string) (*Batch, error) {
	return read[*Batch](ctx, c.rest, opGetBatch, []string{id}, nil)
}

// UpdateBatch changes the name or the external id of a draft. It is sent at
// most once; after an ErrAmbiguous, read the batch.
//
//	PUT /batches/{id}
func (c *Client) UpdateBatch(ctx context.Context, id string, r BatchRequest) (*Batch, error) {
	return write[*Batch](ctx, c.rest, opUpdateBatch, []string{id}, r)
}

// BatchStatusCodes reads the status codes of batches, for reference.
//
//	GET /batches/statusCodes
func (c *Client) BatchStatusCodes(ctx context.Context) ([]StatusCode, error) {
	return read[list[StatusCode]](ctx, c.rest, opBatchStatusCodes, nil, nil)
}

// AddPayments adds payments to a draft, all or none. What it answers is not
// documented, and is returned as it came: read the batch to know what it
// holds.
//
//	POST /batches/{id}/payments
func (c *Client) AddPayments(ctx context.Context, id string, r AddPaymentsRequest) (json.RawMessage, error) {
	if r.Payments == nil {
		r.Payments = []NewPayment{}
	}
	var raw json.RawMessage
	err := send(ctx, c.rest, opAddPayments, []string{id}, r, func(body io.Reader) error {
		text, err := io.ReadAll(body)
		raw = text
		return err
	})
	return raw, err
}

// ListPayments reads the payments of a batch. No paging is documented for it,
// but sent all the same. A list of exactly 1,000 that cannot be paged is
// ErrProtocol: it may be cut short.
//
//	GET /batches/{id}/payments
func (c *Client) ListPayments(ctx context.Context, id string) ([]Payment, error) {
	var all []Payment
	var sizes []int
	for p, err := range pages(opListPayments, func(skip, take int) ([]Payment, error) {
		page, err := read[list[Payment]](ctx, c.rest, opListPayments, []string{id}, url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}})
		sizes = append(sizes, len(page))
		return page, err
	}, func(p Payment) string { return p.ID }) {
		if err == nil && p.BatchID != "" && !strings.EqualFold(p.BatchID, id) {
			err = &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opListPayments.Name, Message: fmt.Sprintf("payment %s is of another batch", p.ID)}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	if len(all) == listCap && slices.Equal(sizes, []int{listCap, listCap}) {
		return nil, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: opListPayments.Name,
			Message: fmt.Sprintf("there are exactly %d payments, and the service does not page: the list may be cut short", listCap)}
	}
	return all, nil
}

// SubmitBatch pays: members at once, others when they join. It is sent at most
// once. Only a draft can be submitted. Success means that the service has
// answered OPEN or CLOSED; everything that leaves doubt is ErrAmbiguous: read
// the batch, and do not submit it again while it may be under way.
//
//	POST /batches/{id}/submit
func (c *Client) SubmitBatch(ctx context.Context, id string) (*Batch, error) {
	return write(ctx, c.rest, opSubmitBatch, []string{id}, nil, func(b *Batch) error {
		if b.StatusCode != BatchOpen && b.StatusCode != BatchClosed {
			return fmt.Errorf("the batch is %q after it was submitted", b.StatusCode)
		}
		return nil
	})
}

// CancelBatch withdraws a draft, for good. A batch that was submitted cannot
// be cancelled.
//
//	POST /batches/{id}/cancel
func (c *Client) CancelBatch(ctx context.Context, id string) (*Batch, error) {
	return write[*Batch](ctx, c.rest, opCancelBatch, []string{id}, nil)
}

// GetPayment reads a payment.
//
//	GET /payments/{id}
func (c *Client) GetPayment(ctx context.Context, id string) (*Payment, error) {
	return read[*Payment](ctx, c.rest, opGetPayment, []string{id}, nil)
}

// DeletePayment removes a payment from a draft, for good. If an earlier call
// was ambiguous, ErrNotFound means that it has worked.
//
//	DELETE /payments/{id}
func (c *Client) DeletePayment(ctx context.Context, id string) (*Payment, error) {
	return write[*Payment](ctx, c.rest, opDeletePayment, []string{id}, nil)
}

// PaymentStatusCodes reads the status codes of payments, for reference.
//
//	GET /payments/statusCodes
func (c *Client) PaymentStatusCodes(ctx context.Context) ([]StatusCode, error) {
	return read[list[StatusCode]](ctx, c.rest, opPaymentStatusCodes, nil, nil)
}

// MemberExists asks whether a mobile number is a member's. What it answers is
// not documented, not even by which status: a 200, 404 or 204 is returned as it
// came, with its body. Do not build on it; Payment.IsMember of a draft says
// the same, and is documented.
//
//	GET /members/{msisdn}/exists
func (c *Client) MemberExists(ctx context.Context, msisdn string) (*UndocumentedReply, error) {
	var reply rest.Reply
	var out UndocumentedReply
	err := c.rest.Do(ctx, rest.Call{Op: opMemberExists, Params: []string{msisdn}, Reply: &reply,
		Welcome: func(status int) bool { return status == http.StatusNotFound },
		Decode: func(body io.Reader) error {
			text, err := io.ReadAll(body)
			out.Body = text
			return err
		}})
	if err != nil {
		return nil, err
	}
	out.Status = reply.Status
	return &out, nil
}

func send(ctx context.Context, c *rest.Client, op rest.Op, params []string, request any, decode func(io.Reader) error) error {
	call := rest.Call{Op: op, Params: params, MaxReply: maxReply, Decode: decode}
	if request != nil {
		body, err := json.Marshal(request)
		if err != nil {
			return &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: op.Name, Err: err}
		}
		call.ContentType, call.Body = "application/json", body
	}
	return c.Do(ctx, call)
}

// maxReply allows for thousands of payments.
const maxReply = 32 << 20

// write makes a call with a body and decodes the reply, which must pass the
// checks of this call as well as its own.
func write[T any](ctx context.Context, c *rest.Client, op rest.Op, params []string, request any, checks ...func(T) error) (T, error) {
	var out, none T
	if err := send(ctx, c, op, params, request, present(&out, params, checks...)); err != nil {
		return none, err
	}
	return out, nil
}

// read makes a call without a body and decodes the reply.
func read[T any](ctx context.Context, c *rest.Client, op rest.Op, params []string, query url.Values) (T, error) {
	var out, none T
	err := c.Do(ctx, rest.Call{Op: op, Params: params, Query: query, MaxReply: maxReply, Decode: present(&out, params)})
	if err != nil {
		return none, err
	}
	return out, nil
}

// checked is a reply that says what is wrong with it: something is missing, or
// it is not about the object of this id, where the call has named one.
type checked interface{ check(id string) error }

// list is a bare array, whose elements check themselves.
type list[T any] []T

func (l list[T]) check(string) error {
	for n := range l {
		if element, ok := any(&l[n]).(checked); ok {
			if err := element.check(""); err != nil {
				return err
			}
		}
	}
	return nil
}

// present is rest.JSON for a value that must not be null, and that may check
// itself.
func present[T any](v *T, params []string, checks ...func(T) error) func(io.Reader) error {
	return func(body io.Reader) error {
		var value *T
		if err := rest.JSON(&value)(body); err != nil {
			return err
		}
		if value == nil {
			return errors.New("the reply is null")
		}
		*v = *value
		if reply, ok := any(*v).(checked); ok {
			if err := reply.check(strings.Join(params, "/")); err != nil {
				return err
			}
		}
		for _, check := range checks {
			if err := check(*v); err != nil {
				return err
			}
		}
		return nil
	}
}

const (
	pageSize = 500  // what is asked for: how much is given is not documented
	listCap  = 1000 // what an unpaged list is cut at (documented)
	maxPages = 10_000
)

// pages yields what a list has, page by page, each element once. A list to
// which elements are added meanwhile shifts, and a service that does not page
// answers the same again: elements that came before are passed over. A page
// without a new one is the last, and no other: a short one may be all that the
// service gives at a time.
func pages[T any](op rest.Op, get func(skip, take int) ([]T, error), id func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seen := make(map[string]bool)
		skip := 0
		for range maxPages {
			list, err := get(skip, pageSize)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			skip += len(list)
			fresh := false
			for _, element := range list {
				if seen[id(element)] {
					continue
				}
				seen[id(element)], fresh = true, true
				if !yield(element, nil) {
					return
				}
			}
			if !fresh {
				return
			}
		}
		var none T
		yield(none, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name, Message: fmt.Sprintf("the list has no end after %d pages", maxPages)})
	}
}

// refusal reads the error replies of both APIs. PAY's are not documented:
// anything but a page of HTML is taken for its own.
func refusal(status int, header http.Header, body []byte) *batch.Error {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	text := strings.TrimSpace(string(body))
	if kind == "text/html" || strings.HasSuffix(kind, "xml") || strings.HasPrefix(text, "<") {
		return nil
	}
	e := &batch.Error{Message: text}
	var model redemptionsError
	var sentence string
	switch r := strings.NewReader(text); {
	case rest.JSON(&sentence)(r) == nil:
		e.Message = sentence
	case rest.JSON(&model)(strings.NewReader(text)) == nil && model.Message != "":
		e.Code, e.Message = model.ErrorCode, model.Message
		for _, v := range model.ValidationErrors {
			e.Fields = append(e.Fields, batch.FieldError{Item: -1, Field: v.FieldName, Message: v.ErrorMessage})
		}
	}
	if status >= 500 {
		e.Message = "" // The text of an exception may hold anything.
	}
	return e
}

// tokenRefusal reads the error replies to getToken, of which one is documented.
func tokenRefusal(status int, header http.Header, body []byte) *batch.Error {
	var wire struct {
		Success *bool `json:"success"`
	}
	if rest.JSON(&wire)(bytes.NewReader(body)) == nil && wire.Success != nil && !*wire.Success {
		return &batch.Error{Kind: batch.ErrAuth, Message: "the service does not accept the key and the secret"}
	}
	return refusal(status, header, body)
}
