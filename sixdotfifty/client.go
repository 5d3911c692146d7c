package sixdotfifty

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Config is what a Client needs. Printed in any way, it shows no secret.
type Config struct {
	Key    string // the API key
	Secret string // the secret that goes with it

	BaseURL string // required: the URL of PAY is not public
	// optional: the proxy, dialer and certificates of its *http.Transport
	HTTPClient *http.Client
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	// optional: op, status, duration and attempt; never bodies or headers
	Logger *slog.Logger
}

// Format writes the configuration without the key and the secret.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "sixdotfifty.Config{Key: [redacted], Secret: [redacted], BaseURL: %q}", c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the key and the secret.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// MarshalBinary is for encoding/gob: the same.
func (c Config) MarshalBinary() ([]byte, error) { return c.MarshalText() }

// Client calls the PAY API. It is safe for concurrent use.
type Client struct {
	http   *batchhttp.Client
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
func connect(c Config) (*batchhttp.Client, *tokens, error) {
	var faults []batch.FieldError
	for _, f := range []struct{ field, value string }{{"Key", c.Key}, {"Secret", c.Secret}} {
		if f.value == "" || strings.IndexFunc(f.value, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
			faults = append(faults, batch.FieldError{Item: -1, Field: f.field,
				Message: "is empty, or holds control characters"})
		}
	}
	if c.BaseURL == "" {
		faults = append(faults, batch.FieldError{Item: -1, Field: "BaseURL", Message: "is required"})
	}
	if err := batch.Invalid(name, "New", faults); err != nil {
		return nil, nil, err
	}
	key, secret := batchhttp.NewSecret(c.Key), batchhttp.NewSecret(c.Secret)
	config := batchhttp.Config{
		Provider:   name,
		BaseURL:    c.BaseURL,
		HTTPClient: c.HTTPClient,
		Middleware: c.Middleware,
		Logger:     c.Logger,
		Refusal:    refusal,
		Secrets:    []batchhttp.Secret{key, secret},
	}
	authentication := config
	authentication.Refusal = tokenRefusal
	plain, err := batchhttp.New(authentication)
	if err != nil {
		return nil, nil, err
	}
	tokens := &tokens{http: plain, key: key, secret: secret}
	config.Authorize, config.Unauthorized = tokens.authorize, tokens.unauthorized
	authorized, err := batchhttp.New(config)
	return authorized, tokens, err
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() {
	c.http.CloseIdleConnections()
	c.tokens.http.CloseIdleConnections()
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
	return list[Account](ctx, c.http, opListAccounts)
}

// CreateBatch makes a draft, and pays nothing. The external id is optional, and
// unique across all batches. It is sent at most once. On ErrAmbiguous, ListBatches
// by the external id tells whether the draft was made; the batch beside the error
// holds what the reply said, and is nil if that was nothing.
//
//	POST /batches
func (c *Client) CreateBatch(ctx context.Context, r BatchRequest) (*Batch, error) {
	if r.Name == "" {
		return nil, batch.Invalid(name, opCreateBatch.Name,
			[]batch.FieldError{{Item: -1, Field: "name", Message: "is empty"}})
	}
	if err := batch.Invalid(name, opCreateBatch.Name, r.faults()); err != nil {
		return nil, err
	}
	return write[Batch](ctx, c.http, opCreateBatch, nil, r)
}

// ListBatches reads the batches, newest first, page by page. A batch in which a
// field that decides is missing comes with an ErrProtocol, and the others
// follow; any other error is the last.
//
//	GET /batches
func (c *Client) ListBatches(ctx context.Context, o ListBatchesOptions) iter.Seq2[Batch, error] {
	return each(c.http, opListBatches, pages(opListBatches, func(skip, take int) ([]row[Batch], error) {
		query := url.Values{"skip": {strconv.Itoa(skip)}, "take": {strconv.Itoa(take)}}
		if o.StatusCode != "" {
			query.Set("statusCode", string(o.StatusCode))
		}
		if o.ExternalID != "" {
			query.Set("externalId", o.ExternalID)
		}
		return rows[Batch](ctx, c.http, opListBatches, nil, query)
	}, func(b Batch) string { return b.ID }))
}

// GetBatch reads a batch with its summary, without its payments.
//
//	GET /batches/{id}
func (c *Client) GetBatch(ctx context.Context, id string) (*Batch, error) {
	return read[Batch](ctx, c.http, opGetBatch, []string{id})
}

// UpdateBatch changes the name or the external id of a draft. It is sent at
// most once; after an ErrAmbiguous, read the batch.
//
//	PUT /batches/{id}
func (c *Client) UpdateBatch(ctx context.Context, id string, r BatchRequest) (*Batch, error) {
	if r == (BatchRequest{}) {
		return nil, batch.Invalid(name, opUpdateBatch.Name,
			[]batch.FieldError{{Item: -1, Field: "name", Message: "or externalId is required"}})
	}
	if err := batch.Invalid(name, opUpdateBatch.Name, r.faults()); err != nil {
		return nil, err
	}
	return write[Batch](ctx, c.http, opUpdateBatch, []string{id}, r)
}

// BatchStatusCodes reads the status codes of batches, for reference.
//
//	GET /batches/statusCodes
func (c *Client) BatchStatusCodes(ctx context.Context) ([]StatusCode, error) {
	return list[StatusCode](ctx, c.http, opBatchStatusCodes)
}

// AddPayments adds payments to a draft, all or none, and pays nothing. It is sent
// at most once. What it answers is not documented, and is returned as it came.
// ListPayments tells what the batch holds, also on ErrAmbiguous.
//
//	POST /batches/{id}/payments
func (c *Client) AddPayments(ctx context.Context, id string, r AddPaymentsRequest) (json.RawMessage, error) {
	if err := batch.Invalid(name, opAddPayments.Name, r.faults()); err != nil {
		return nil, err
	}
	if r.Payments == nil {
		r.Payments = []NewPayment{}
	}
	var raw json.RawMessage
	err := send(ctx, c.http, opAddPayments, []string{id}, r, func(body io.Reader) error {
		text, err := io.ReadAll(body)
		raw = text
		return err
	})
	return raw, err
}

// ListPayments reads the payments of a batch. No paging is documented for it,
// but sent all the same. Payments in which a field that decides is missing are
// listed in an ErrProtocol beside the others. So is a list of exactly 1,000, at
// which it may be cut short, unless the batch says that it has so many.
//
//	GET /batches/{id}/payments
func (c *Client) ListPayments(ctx context.Context, id string) ([]Payment, error) {
	all, faults, err := c.payments(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(all) == listCap {
		b, err := c.GetBatch(ctx, id)
		if err != nil {
			return nil, err
		}
		if b.Summary == nil || b.Summary.PaymentsCount != listCap {
			faults = append(faults, batch.FieldError{Item: -1, Field: "payments", Message: fmt.Sprintf(
				"there are exactly %d, and the batch does not say that it has so many: the list may be cut short",
				listCap)})
		}
	}
	return all, malformed(c.http, opListPayments, faults)
}

// payments lists the payments of a batch, and what is wrong with others.
func (c *Client) payments(ctx context.Context, id string) (all []Payment, faults []batch.FieldError, err error) {
	for r, err := range pages(opListPayments, func(skip, take int) ([]row[Payment], error) {
		return rows[Payment](ctx, c.http, opListPayments, []string{id}, url.Values{"skip": {strconv.Itoa(skip)},
			"take": {strconv.Itoa(take)}})
	}, func(p Payment) string { return p.ID }) {
		if err != nil {
			return nil, nil, err
		}
		p := r.value
		if r.fault == nil && p.BatchID != "" && !strings.EqualFold(string(p.BatchID), id) {
			r.fault = errors.New("it is of another batch")
		}
		if r.fault != nil {
			if len(faults) < maxFaults {
				faults = append(faults, batch.FieldError{Item: -1, Reference: p.ExternalID, Field: "payments",
					Message: c.http.Clean(fmt.Sprintf("payment %.256q (%.256q): %v", p.ID, p.ExternalID, r.fault))})
			}
			continue
		}
		all = append(all, p)
	}
	return all, faults, nil
}

// malformed is the error for rows of a list that cannot be read; nil for none.
func malformed(c *batchhttp.Client, op batchhttp.Op, faults []batch.FieldError) error {
	if len(faults) == 0 {
		return nil
	}
	for n := range faults {
		faults[n].Reference = c.Clean(faults[n].Reference)
	}
	return &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name,
		Message: "a part of the list cannot be read", Fields: faults}
}

// SubmitBatch pays: members at once, others when they join. It is sent at most
// once. Only a draft can be submitted. Success means that the service has
// answered OPEN or CLOSED; everything that leaves doubt is ErrAmbiguous: read
// the batch, and do not submit it again while it may be under way.
//
//	POST /batches/{id}/submit
func (c *Client) SubmitBatch(ctx context.Context, id string) (*Batch, error) {
	return write(ctx, c.http, opSubmitBatch, []string{id}, nil, func(b *Batch) error {
		if b.StatusCode != BatchOpen && b.StatusCode != BatchClosed {
			return fmt.Errorf("the batch is %q after it was submitted", b.StatusCode)
		}
		return nil
	})
}

// CancelBatch withdraws a draft, for good. A batch that was submitted cannot
// be cancelled. It is sent at most once. On ErrAmbiguous, GetBatch tells.
//
//	POST /batches/{id}/cancel
func (c *Client) CancelBatch(ctx context.Context, id string) (*Batch, error) {
	return write[Batch](ctx, c.http, opCancelBatch, []string{id}, nil)
}

// GetPayment reads a payment.
//
//	GET /payments/{id}
func (c *Client) GetPayment(ctx context.Context, id string) (*Payment, error) {
	return read[Payment](ctx, c.http, opGetPayment, []string{id})
}

// DeletePayment removes a payment from a draft, for good. It is sent at most
// once. On ErrAmbiguous, GetPayment tells: ErrNotFound means that the payment was
// removed.
//
//	DELETE /payments/{id}
func (c *Client) DeletePayment(ctx context.Context, id string) (*Payment, error) {
	return write[Payment](ctx, c.http, opDeletePayment, []string{id}, nil)
}

// PaymentStatusCodes reads the status codes of payments, for reference.
//
//	GET /payments/statusCodes
func (c *Client) PaymentStatusCodes(ctx context.Context) ([]StatusCode, error) {
	return list[StatusCode](ctx, c.http, opPaymentStatusCodes)
}

// MemberExists asks whether a mobile number is a member's. What it answers is
// not documented, not even by which status: a 200, 404 or 204 is returned as it
// came, with its body. Do not build on it; Payment.IsMember of a draft says
// the same, and is documented.
//
//	GET /members/{msisdn}/exists
func (c *Client) MemberExists(ctx context.Context, msisdn string) (*UndocumentedReply, error) {
	var reply batchhttp.Reply
	var out UndocumentedReply
	err := c.http.Do(ctx, batchhttp.Call{Op: opMemberExists, Params: []string{msisdn}, Reply: &reply,
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

func send(ctx context.Context, c *batchhttp.Client, op batchhttp.Op, params []string, request any,
	decode func(io.Reader) error) error {
	call := batchhttp.Call{Op: op, Params: params, MaxReply: maxReply, Decode: decode}
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

// write makes a call with a body and reads the object of the reply, which must
// pass the checks of this call as well as its own. Beside an error the object
// holds what the reply said, and is nil if that was nothing: an id is never
// thrown away.
func write[T any](ctx context.Context, c *batchhttp.Client, op batchhttp.Op, params []string, request any,
	checks ...func(*T) error) (*T, error) {
	var out *T
	err := send(ctx, c, op, params, request, object(&out, params, checks...))
	return out, err
}

// read makes a call without a body and reads the object of the reply.
func read[T any](ctx context.Context, c *batchhttp.Client, op batchhttp.Op, params []string) (*T, error) {
	var out *T
	if err := c.Do(ctx, batchhttp.Call{Op: op, Params: params, MaxReply: maxReply,
		Decode: object(&out, params)}); err != nil {
		return nil, err
	}
	return out, nil
}

// rows makes a call without a body and reads the array of the reply.
func rows[T any](ctx context.Context, c *batchhttp.Client, op batchhttp.Op, params []string,
	query url.Values) ([]row[T], error) {
	var out page[T]
	err := c.Do(ctx, batchhttp.Call{Op: op, Params: params, Query: query, MaxReply: maxReply,
		Decode: func(body io.Reader) error {
			if err := batchhttp.JSON(&out)(body); err != nil {
				return err
			}
			if out == nil {
				return errors.New("the reply is null")
			}
			return nil
		}})
	return out, err
}

// list is rows of an array that is not paged. Those that cannot be read are
// listed in an ErrProtocol beside the others.
func list[T any](ctx context.Context, c *batchhttp.Client, op batchhttp.Op) ([]T, error) {
	found, err := rows[T](ctx, c, op, nil, nil)
	if err != nil {
		return nil, err
	}
	all := make([]T, 0, len(found))
	var faults []batch.FieldError
	for n, r := range found {
		switch {
		case r.fault == nil:
			all = append(all, r.value)
		case len(faults) < maxFaults:
			faults = append(faults, batch.FieldError{Item: -1, Field: fmt.Sprintf("row %d", n),
				Message: r.fault.Error()})
		}
	}
	return all, malformed(c, op, faults)
}

// A page is rows of a list, not more than a service would send at a time.
type page[T any] []row[T]

// UnmarshalJSONFrom reads the next value.
func (p *page[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*p = nil
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	*p = page[T]{}
	return batchhttp.Elements(d, maxPage, func(d *jsontext.Decoder) error {
		*p = append(*p, row[T]{})
		return (*p)[len(*p)-1].UnmarshalJSONFrom(d)
	})
}

// A row is one object of a reply. A field that is missing fails it alone, and
// nothing of what could be read is thrown away.
type row[T any] struct {
	value T
	fault error
	size  int    // bytes of it in the reply
	hash  string // of a row with a fault
	id    string // in a list with ids
}

// UnmarshalJSONFrom reads the next value, and fails only if it is not JSON.
func (r *row[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	text, err := d.ReadValue()
	if err != nil {
		return err
	}
	if v, ok := any(&r.value).(json.Unmarshaler); ok {
		r.fault = v.UnmarshalJSON(text)
	} else {
		r.fault = batchhttp.Parse(text, &r.value)
	}
	r.size = len(text)
	if r.fault != nil {
		sum := sha256.Sum256(text)
		r.hash = string(sum[:])
	}
	return nil
}

// object returns a Decode function for a reply that is one object. Where the
// call has named an object, the reply must be about it.
func object[T any](v **T, params []string, checks ...func(*T) error) func(io.Reader) error {
	return func(body io.Reader) error {
		*v = nil
		var r row[T]
		if err := batchhttp.JSON(&r)(body); err != nil {
			return err
		}
		*v = &r.value
		if r.fault != nil {
			return r.fault
		}
		if about, ok := any(*v).(interface{ check(id string) error }); ok {
			if err := about.check(strings.Join(params, "/")); err != nil {
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
	maxFaults = 1000 // rows with a fault that are listed: a hostile reply could have millions

	pageSize = 500    // what is asked for: how much is given is not documented
	listCap  = 1000   // what an unpaged list is cut at (documented)
	maxPage  = 10_000 // rows that are read of one page
	maxPages = 10_000
	maxRows  = 1_000_000 // of all pages of a list
	maxList  = 256 << 20 // bytes of these rows
)

// pages yields the rows of a list, page by page, each once. A list to which
// elements are added meanwhile shifts, and a service that does not page answers
// the same again: rows that came before are passed over. Reading stops at the
// first page without a new row; a short page is not the end, because it may be
// all that the service gives at a time.
func pages[T any](op batchhttp.Op, get func(skip, take int) ([]row[T], error), id func(T) string) iter.Seq2[row[T],
	error] {
	return func(yield func(row[T], error) bool) {
		seen := make(map[string]bool)
		skip, size := 0, 0
		for range maxPages {
			page, err := get(skip, pageSize)
			if err != nil {
				yield(row[T]{}, err)
				return
			}
			skip += len(page)
			fresh := false
			for _, r := range page {
				r.id = id(r.value)
				key := cmp.Or(r.hash, r.id)
				if seen[key] {
					continue
				}
				seen[key], fresh = true, true
				if size += r.size; len(seen) > maxRows || size > maxList {
					yield(row[T]{}, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name,
						Message: fmt.Sprintf("the list is longer than %d rows or %d MiB", maxRows, maxList>>20)})
					return
				}
				if !yield(r, nil) {
					return
				}
			}
			if !fresh {
				return
			}
		}
		yield(row[T]{}, &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name,
			Message: fmt.Sprintf("the list has no end after %d pages", maxPages)})
	}
}

// each yields the values of rows. A row with a fault is an ErrProtocol beside
// what could be read of it.
func each[T any](c *batchhttp.Client, op batchhttp.Op, all iter.Seq2[row[T], error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for r, err := range all {
			if r.fault != nil {
				err = &batch.Error{Kind: batch.ErrProtocol, Provider: name, Op: op.Name, Err: r.fault,
					Message: c.Clean(fmt.Sprintf("row %q of the list cannot be read", r.id))}
			}
			if !yield(r.value, err) {
				return
			}
		}
	}
}

// generalError is the code of the documented error model for what is neither a
// field that is not valid nor a request that cannot be parsed.
const generalError = "0"

// refusal reads the error replies of both APIs. A documented status (400, 401,
// 404) with the documented error model is 6DOT50's own refusal. PAY documents
// "an error message" for a 400, and not in which form: its words are shown, and
// decide nothing. Any other reply may be that of a proxy.
func refusal(status int, header http.Header, body []byte) *batch.Error {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound:
	default:
		return nil
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	var model redemptionsError
	if kind == "application/json" && batchhttp.Parse(body, &model) == nil && model.valid(status) {
		e := &batch.Error{Code: model.ErrorCode, Message: model.Message}
		for _, v := range model.ValidationErrors {
			e.Fields = append(e.Fields, batch.FieldError{Item: -1, Field: string(v.FieldName),
				Message: string(v.ErrorMessage)})
		}
		return e
	}
	if status != http.StatusBadRequest || kind != "application/json" && kind != "text/plain" {
		return nil
	}
	var words Text
	if batchhttp.Parse(body, &words) != nil {
		words = Text(body)
	}
	return &batch.Error{Kind: batch.ErrAmbiguous, Message: string(words)}
}

// tokenRefusal reads the error replies to getToken, of which one is documented,
// and not its status.
func tokenRefusal(status int, header http.Header, body []byte) *batch.Error {
	var wire struct {
		Success *bool `json:"success"`
	}
	if batchhttp.Parse(body, &wire) == nil && wire.Success != nil && !*wire.Success {
		return &batch.Error{Kind: batch.ErrAuth, Message: "the service does not accept the key and the secret"}
	}
	return refusal(status, header, body)
}
