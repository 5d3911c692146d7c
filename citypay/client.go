package citypay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The hosts of CityPay (documented). Production is asked for by name.
const (
	Sandbox    = "https://sandbox.citypay.com" // all results are tests
	Production = "https://api.citypay.com"     // real money
)

// Config is what a Client needs. Printed in any way, it shows no secret.
type Config struct {
	ClientID   string // your client id: "PC12345"
	LicenceKey string // the secret that goes with it

	BaseURL string // empty means Sandbox
	// optional: the proxy, dialer and certificates of its *http.Transport
	HTTPClient *http.Client
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	// optional: op, status, duration and attempt; never bodies or headers
	Logger *slog.Logger
}

// Format writes the configuration without the licence key.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "citypay.Config{ClientID: %q, LicenceKey: [redacted], BaseURL: %q}", c.ClientID, c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the licence key.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// MarshalBinary is for encoding/gob: the same.
func (c Config) MarshalBinary() ([]byte, error) { return c.MarshalText() }

// Client calls CityPay. It is safe for concurrent use.
type Client struct {
	config Config // without the licence key
	key    batchhttp.Secret
	http   *batchhttp.Client
}

// New checks the configuration. It does no I/O and reads no environment.
func New(c Config) (*Client, error) {
	var faults []batch.FieldError
	for field, value := range map[string]string{"ClientID": c.ClientID, "LicenceKey": c.LicenceKey} {
		if value == "" || strings.IndexFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
			faults = append(faults, batch.FieldError{Item: -1, Field: field,
				Message: "must be printable ASCII without spaces"})
		}
	}
	if err := batch.Invalid(name, "New", faults); err != nil {
		return nil, err
	}
	if c.BaseURL == "" {
		c.BaseURL = Sandbox
	}
	client := &Client{config: c, key: batchhttp.NewSecret(c.LicenceKey)}
	client.config.LicenceKey = ""
	var err error
	client.http, err = batchhttp.New(batchhttp.Config{
		Provider:   name,
		BaseURL:    c.BaseURL,
		HTTPClient: c.HTTPClient,
		Middleware: c.Middleware,
		Logger:     c.Logger,
		Authorize:  client.authorize,
		Refusal:    refusal,
		Secrets:    []batchhttp.Secret{client.key},
	})
	if err != nil {
		return nil, err
	}
	return client, nil
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// ProcessBatch uploads a batch and starts it: money moves. It is sent at most
// once. Success means that CityPay has answered valid; the batch is then
// queued, and BatchStatus follows it.
//
// Only CityPay's own words are a refusal: valid:false, which is ErrInvalid, or a
// 422 with a code that the table in codes.go lists, such as B006 (ErrInvalid) or
// B008, "batch failed duplication checks" (ErrConflict). Everything else is
// ErrAmbiguous: ask BatchStatus, and do not send it again.
//
//	POST /v6/batch/process
func (c *Client) ProcessBatch(ctx context.Context, r ProcessBatchRequest) (*ProcessBatchResponse, error) {
	var reply struct {
		Valid   *bool `json:"valid"`
		Message Text  `json:"message"`
	}
	decode := batchhttp.JSON(&reply)
	err := c.call(ctx, opProcessBatch, r, 0, func(body reader) error {
		if err := decode(body); err != nil {
			return err
		}
		switch {
		case reply.Valid == nil:
			return errMissing("valid")
		case !*reply.Valid:
			return &batch.Error{Kind: batch.ErrInvalid, Message: string(reply.Message)}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &ProcessBatchResponse{Valid: true, Message: reply.Message}, nil
}

// BatchStatus reads the status of one or more batches. A number that CityPay
// has never seen comes as a row with StatusUnknown or as ErrNotFound (B002), or
// without a row, which is not documented. A reply without a list is ErrProtocol.
//
//	POST /v6/batch/status
func (c *Client) BatchStatus(ctx context.Context, r CheckBatchStatus) (*CheckBatchStatusResponse, error) {
	var reply CheckBatchStatusResponse
	if err := c.call(ctx, opBatchStatus, r, 0, reply.decode); err != nil {
		return nil, err
	}
	return &reply, nil
}

// RetrieveBatch reads the result of every transaction of a batch. What it says
// of a batch that is not COMPLETE is not documented.
//
//	POST /v6/batch/retrieve
func (c *Client) RetrieveBatch(ctx context.Context, r BatchReportRequest) (*BatchReport, error) {
	var reply BatchReport
	if err := c.call(ctx, opRetrieveBatch, r, maxReport, reply.decode); err != nil {
		return nil, err
	}
	return &reply, nil
}

// The limits allow for 10,000 rows of 3 KB and 30 values. Twice as many rows as
// a batch can have are read, to say which are too many.
const (
	maxReport = 32 << 20
	maxValues = 300_000
	maxRows   = 20_000
)

// Ping checks credentials, clock and source address. The identifier is
// optional, 4 to 50 characters, and echoed.
//
//	POST /v6/ping
func (c *Client) Ping(ctx context.Context, identifier string) (*Acknowledgement, error) {
	var reply Acknowledgement
	decode := batchhttp.JSON(&reply)
	err := c.call(ctx, opPing, pingRequest{identifier}, 0, func(body reader) error {
		if err := decode(body); err != nil {
			return err
		}
		if reply.Code != "044" {
			return fmt.Errorf("ping was answered with code %q, not 044", reply.Code)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// CheckACL checks an IPv4 address against your configured access lists.
//
//	POST /v6/acl/check
func (c *Client) CheckACL(ctx context.Context, ip string) (*ACLCheck, error) {
	var reply ACLCheck
	if err := c.call(ctx, opCheckACL, aclRequest{ip}, 0, batchhttp.JSON(&reply)); err != nil {
		return nil, err
	}
	return &reply, nil
}

func (c *Client) call(ctx context.Context, op batchhttp.Op, request any, maxReply int64,
	decode func(reader) error) error {
	call := batchhttp.Call{Op: op, MaxReply: maxReply, Decode: decode}
	if maxReply > 0 {
		call.MaxValues = maxValues
	}
	return c.send(ctx, call, request, nil)
}

// send makes a call with request as its JSON body, or without a body if request
// is nil. Nothing is sent if there are faults.
func (c *Client) send(ctx context.Context, call batchhttp.Call, request any, faults faults) error {
	if err := batch.Invalid(name, call.Op.Name, faults); err != nil {
		return err
	}
	if request != nil {
		body, err := json.Marshal(request)
		if err != nil {
			return &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: call.Op.Name, Err: err}
		}
		call.Body, call.ContentType = body, "application/json"
	}
	return c.do(ctx, call)
}

// do makes a call, and says what may be wrong if it is not authorised.
func (c *Client) do(ctx context.Context, call batchhttp.Call) error {
	var reply batchhttp.Reply
	call.Reply = &reply
	err := c.http.Do(ctx, call)
	var e *batch.Error
	if errors.As(err, &e) && e.Message == "" &&
		(e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden) {
		e.Message = "the key, the clock or the source address may be wrong" + skew(reply.Header)
	}
	return err
}
