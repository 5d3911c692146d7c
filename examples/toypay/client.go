// Package toypay is a client and a provider for Toypay, a service that does not
// exist. It shows how to write a provider of your own on package batchhttp, and
// how to prove it with packages batchsim and batchtest. README.md goes through
// it file by file.
package toypay

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

const name = "toypay"

// Config is what a Client needs. A batchhttp.Secret is printed by no verb and no
// encoder.
type Config struct {
	Key        batchhttp.Secret
	BaseURL    string
	HTTPClient *http.Client // optional: the proxy, dialer and certificates of its *http.Transport
}

// Client makes single calls to Toypay. Every error is a *batch.Error.
type Client struct{ http *batchhttp.Client }

// New checks the configuration. It does no I/O.
func New(c Config) (*Client, error) {
	plain, err := batchhttp.New(batchhttp.Config{
		Provider: name, BaseURL: c.BaseURL, HTTPClient: c.HTTPClient,
		Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "Key "+c.Key.Reveal())
			return nil
		},
		Refusal: refusal,
		Secrets: []batchhttp.Secret{c.Key},
	})
	if err != nil {
		return nil, err
	}
	return &Client{http: plain}, nil
}

// refusal reads the errors that Toypay documents: JSON with one of these codes.
// Everything else can be a proxy's, and proves nothing: it is nil.
func refusal(status int, header http.Header, body []byte) *batch.Error {
	var reply struct{ Code, Message string }
	if !strings.HasPrefix(header.Get("Content-Type"), "application/json") ||
		batchhttp.JSON(&reply)(bytes.NewReader(body)) != nil {
		return nil
	}
	kinds := map[string]batch.Kind{"BAD_KEY": batch.ErrAuth, "NOT_FOUND": batch.ErrNotFound,
		"INVALID":         batch.ErrInvalid,
		"REFERENCE_TAKEN": batch.ErrConflict, "NOT_OPEN": batch.ErrConflict, "NO_FUNDS": batch.ErrFunds}
	kind, documented := kinds[reply.Code]
	if !documented {
		return nil
	}
	return &batch.Error{Kind: kind, Code: reply.Code, Message: reply.Message}
}

// CreateBatch makes an open batch. No money moves. A reference is taken for ever
// unless its batch is withdrawn.
func (c *Client) CreateBatch(ctx context.Context, reference string, payments []Payment) (*Batch, error) {
	body, err := json.Marshal(batchRequest{reference, payments})
	if err != nil {
		return nil, batch.Invalid(name, opCreateBatch.Name,
			[]batch.FieldError{{Item: -1, Field: "payments", Message: "cannot be written as JSON"}})
	}
	return c.one(ctx, batchhttp.Call{Op: opCreateBatch, ContentType: "application/json", Body: body})
}

// FindBatches reads the batches of a reference, oldest first.
func (c *Client) FindBatches(ctx context.Context, reference string) ([]Batch, error) {
	var reply struct{ Batches []Batch }
	err := c.http.Do(ctx, batchhttp.Call{Op: opFindBatches, Query: url.Values{"reference": {reference}},
		Decode: batchhttp.JSON(&reply)})
	return reply.Batches, err
}

// GetBatch reads a batch.
func (c *Client) GetBatch(ctx context.Context, id string) (*Batch, error) {
	return c.one(ctx, batchhttp.Call{Op: opGetBatch, Params: []string{id}})
}

// SubmitBatch lets the money of an open batch move. Any other is NOT_OPEN.
func (c *Client) SubmitBatch(ctx context.Context, id string) (*Batch, error) {
	return c.one(ctx, batchhttp.Call{Op: opSubmitBatch, Params: []string{id}})
}

// CancelBatch withdraws an open batch. Any other is NOT_OPEN.
func (c *Client) CancelBatch(ctx context.Context, id string) (*Batch, error) {
	return c.one(ctx, batchhttp.Call{Op: opCancelBatch, Params: []string{id}})
}

// one makes a call whose reply is a batch: where the call names one, that one.
func (c *Client) one(ctx context.Context, call batchhttp.Call) (*Batch, error) {
	var b Batch
	call.Decode = func(body io.Reader) error {
		if err := batchhttp.JSON(&b)(body); err != nil {
			return err
		}
		return b.check(call.Params...)
	}
	if err := c.http.Do(ctx, call); err != nil {
		return nil, err
	}
	return &b, nil
}
