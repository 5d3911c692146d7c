package centrapay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/time/rate"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Service is the one host of Centrapay (documented), for tests and for live
// data: the credentials and Config.Live decide.
const Service = "https://service.centrapay.com"

// Config is what a Client needs. Printed in any way, it shows no secret.
type Config struct {
	// APIKey belongs to one account, and does not expire. This or UserToken is required.
	APIKey string
	// UserToken returns the access token of a user, from the OIDC service. It is
	// valid for an hour (documented), so it is asked for before every request and
	// must return one that is still valid. Safe for concurrent use.
	UserToken func(context.Context) (string, error)
	// UserAccount is the account for which the user acts: required with UserToken
	// for an org account. With an API key it is not documented, and refused.
	UserAccount string

	Live bool // batches are tests unless this is set

	RequestsPerMinute int // 0 means the documented default of 200 for each calling account

	BaseURL string // empty means Service
	// optional: the proxy, dialer and certificates of its *http.Transport
	HTTPClient *http.Client
	Middleware func(http.RoundTripper) http.RoundTripper // optional: wraps our transport, for tracing and mocks
	// optional: op, status, duration and attempt; never bodies or headers
	Logger *slog.Logger
}

// Format writes the configuration without the API key.
func (c Config) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "centrapay.Config{APIKey: [redacted], Live: %t, BaseURL: %q}", c.Live, c.BaseURL)
}

// MarshalText is for logs and encoders: the configuration without the API key.
func (c Config) MarshalText() ([]byte, error) { return fmt.Append(nil, c), nil }

// MarshalBinary is for encoding/gob: the same.
func (c Config) MarshalBinary() ([]byte, error) { return c.MarshalText() }

// Client calls Centrapay. It is safe for concurrent use, and all its calls
// share one limit of requests per minute: use one client for one account.
type Client struct {
	config  Config // without the API key
	key     batchhttp.Secret
	http    *batchhttp.Client
	limiter *rate.Limiter
}

// New checks the configuration. It does no I/O and reads no environment.
func New(c Config) (*Client, error) {
	var faults []batch.FieldError
	fault := func(field, message string) {
		faults = append(faults, batch.FieldError{Item: -1, Field: field, Message: message})
	}
	switch {
	case c.UserToken != nil && c.APIKey != "":
		fault("APIKey", "takes the place of UserToken: set one of them")
	case c.UserToken == nil && !printable(c.APIKey):
		fault("APIKey", "must be printable ASCII without spaces")
	}
	if c.UserAccount != "" && (c.UserToken == nil || !batchID.MatchString(c.UserAccount)) {
		fault("UserAccount", "must be letters and digits, and is for UserToken")
	}
	if c.RequestsPerMinute < 0 {
		fault("RequestsPerMinute", "is negative")
	}
	if err := batch.Invalid(name, "New", faults); err != nil {
		return nil, err
	}
	if c.BaseURL == "" {
		c.BaseURL = Service
	}
	if c.RequestsPerMinute == 0 {
		c.RequestsPerMinute = 200
	}
	client := &Client{config: c, key: batchhttp.NewSecret(c.APIKey), limiter: newLimiter(c.RequestsPerMinute)}
	client.config.APIKey = ""
	header := make(http.Header)
	if c.UserAccount != "" {
		header.Set(accountHeader, c.UserAccount)
	}
	var err error
	client.http, err = batchhttp.New(batchhttp.Config{
		Provider:        name,
		BaseURL:         c.BaseURL,
		HTTPClient:      c.HTTPClient,
		Middleware:      c.Middleware,
		Logger:          c.Logger,
		Header:          header,
		Authorize:       client.authorize,
		Refusal:         refusals{}.read,
		ThrottleRejects: true, // The service tells callers to wait and repeat (documented).
		Secrets:         []batchhttp.Secret{client.key},
	})
	if err != nil {
		return nil, err
	}
	return client, nil
}

// printable reports whether a credential can be in a header.
func printable(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

// environment names where the batches of the client go: the service has one
// host, so "sandbox" is its test batches. Another host comes first.
func (c *Client) environment() string {
	words := "sandbox"
	if c.config.Live {
		words = "production"
	}
	if c.http.BaseURL() != Service {
		words = c.http.Environment(nil) + "/" + words
	}
	return words
}

// CloseIdleConnections closes the connections that no call is using.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// CreateBatch has the service fetch a file and load its records: it creates
// the batch and starts it. It is sent at most once.
//
// Only the documented refusals are refusals: see the package comment.
// LIVENESS_MISMATCH, the account being a test account and the batch not or the
// reverse, is ErrInvalid. Everything that leaves doubt is ErrAmbiguous, also a
// reply that names another type, URL or test flag than was sent. The batch
// beside an ErrAmbiguous holds what the reply says, if it has an id: there is no
// way to look for a batch without it.
//
//	POST /api/batches
func (c *Client) CreateBatch(ctx context.Context, r BatchRequest) (*Batch, error) {
	var faults []batch.FieldError
	for _, f := range []batch.FieldError{
		{Field: "type", Message: emptyFault(r.Type)},
		{Field: "url", Message: urlFault(string(r.URL))},
		{Field: "accountId", Message: emptyFault(r.AccountID)},
	} {
		if f.Item = -1; f.Message != "" {
			faults = append(faults, f)
		}
	}
	if err := batch.Invalid(name, opCreateBatch.Name, faults); err != nil {
		return nil, err
	}
	body, err := marshal(struct {
		BatchRequest
		Test bool `json:"test"` // always sent, though optional: a default could change
	}{r, !c.config.Live})
	if err != nil {
		return nil, &batch.Error{Kind: batch.ErrInvalid, Provider: name, Op: opCreateBatch.Name, Err: err}
	}

	var created *Batch
	err = c.http.Do(ctx, batchhttp.Call{Op: opCreateBatch, ContentType: "application/json", Body: body,
		Decode: func(body io.Reader) error {
			var text bytes.Buffer
			var b Batch
			if err := batchhttp.Read(io.TeeReader(body, &text), &b); err != nil {
				created = idAlone(text.Bytes())
				return err
			}
			if b.ID == "" {
				return errors.New("the reply has no id of a batch")
			}
			created = &b
			if !batchID.MatchString(b.ID) {
				return fmt.Errorf("%q is not a valid id of a batch", clip(b.ID))
			}
			if b.Type == "" && b.URL == "" {
				return errors.New("the reply shows neither the type nor the URL of the batch")
			}
			return c.contradiction(&b, r.Type, string(r.URL))
		}})
	return created, withoutURL(err, string(r.URL))
}

var idField = regexp.MustCompile(`"id"\s*:\s*"([A-Za-z0-9_-]{1,128})"`)

// idAlone returns the id in a reply that cannot be read to its end, or nil if it
// has none or more than one. GetBatch shows whether it is the right one.
func idAlone(text []byte) *Batch {
	if found := idField.FindAllSubmatch(text, 2); len(found) == 1 {
		return &Batch{ID: string(found[0][1])}
	}
	return nil
}

// GetBatch reads a batch. An id that the service does not know, or that
// belongs to another account, is ErrNotFound: it answers 403 to both. A reply
// about another batch, or without a status, is ErrProtocol.
//
//	GET /api/batches/{batchId}
func (c *Client) GetBatch(ctx context.Context, id string) (*Batch, error) {
	if !batchID.MatchString(id) {
		return nil, batch.Invalid(name, opGetBatch.Name, []batch.FieldError{{Item: -1, Field: "batchId",
			Message: "must be 1 to 128 letters, digits, '_' or '-'"}})
	}
	var reply Batch
	err := c.get(ctx, opGetBatch, []string{id}, maxBatch, func(body io.Reader) error {
		if err := batchhttp.JSON(&reply)(body); err != nil {
			return err
		}
		switch {
		case reply.ID != id:
			return errors.New("the reply is about another batch")
		case reply.Status == "":
			return errors.New("the reply has no status of the batch")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &reply, nil
}

// The limits allow for a batch of 160,000 records, all of which are wrong.
const (
	maxBatch  = 64 << 20
	maxValues = 700_000
	maxErrors = 200_000
)

// GetAccount reads an account: among other things whether it is a test
// account, which its batches must be, too. A key that may not read accounts
// gets ErrNotFound.
//
//	GET /api/accounts/{accountId}
func (c *Client) GetAccount(ctx context.Context, id string) (*Account, error) {
	var reply struct {
		Account
		ID   Text                  `json:"id"`
		Test batchhttp.Maybe[bool] `json:"test"`
	}
	err := c.get(ctx, opGetAccount, []string{id}, 0, func(body io.Reader) error {
		if err := batchhttp.JSON(&reply)(body); err != nil {
			return err
		}
		switch {
		case string(reply.ID) != id:
			return errors.New("the reply is about another account")
		case reply.Test.Text != "":
			return fmt.Errorf("test is %q, but must be true or false", clip(string(reply.Test.Text)))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reply.Account.ID, reply.Account.Test = id, reply.Test.Value
	return &reply.Account, nil
}

// GetAssetByExternalID reads one asset by the id that it had in a file: a
// witness that a record has arrived. The type of a farmlands asset is
// "farmlands.nzd.main", or "farmlands.nzd.test" in a test account.
//
//	GET /api/assets/{assetType}/external-id/{externalId}
func (c *Client) GetAssetByExternalID(ctx context.Context, assetType, externalID string) (*Asset, error) {
	var reply struct {
		Asset
		ID Text `json:"id"`
	}
	err := c.get(ctx, opGetAsset, []string{assetType, externalID}, 0, func(body io.Reader) error {
		if err := batchhttp.JSON(&reply)(body); err != nil {
			return err
		}
		if reply.ID == "" {
			return errors.New("the asset has no id")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	reply.Asset.ID = string(reply.ID)
	return &reply.Asset, nil
}

// get makes a read. To reads, the service's own 403 means that there is no such
// thing here: a missing or wrong key is 401.
func (c *Client) get(ctx context.Context, op batchhttp.Op, params []string, maxReply int64,
	decode func(io.Reader) error) error {
	return c.read(ctx, batchhttp.Call{Op: op, Params: params, MaxReply: maxReply, MaxValues: maxValues, Decode: decode})
}

func (c *Client) read(ctx context.Context, call batchhttp.Call) error {
	err := c.http.Do(ctx, call)
	var e *batch.Error
	switch {
	case !errors.As(err, &e):
	case e.Status == http.StatusUnauthorized:
		e.Kind = batch.ErrAuth
	case e.Status == http.StatusForbidden && e.Code+e.Message != "":
		e.Kind = batch.ErrNotFound
		e.Message = join(e.Message, "the service answers the same whether it is missing or not allowed")
	}
	return withoutURL(err, "")
}

// contradiction says how the service's batch differs from what was asked for,
// as far as it shows it. An empty fileURL is not compared, nor is the account:
// that differs in the documented samples.
func (c *Client) contradiction(b *Batch, batchType, fileURL string) error {
	switch {
	case b.Type != "" && b.Type != batchType:
		return fmt.Errorf("the batch is of type %q, but %q was asked for", clip(b.Type), batchType)
	case b.URL != "" && fileURL != "" && string(b.URL) != fileURL:
		return errors.New("the batch is of another file than was asked for")
	case b.Test != nil && *b.Test == c.config.Live:
		return fmt.Errorf("the batch has test:%t, but test:%t was asked for", *b.Test, !c.config.Live)
	}
	return nil
}

func emptyFault(s string) string {
	if s == "" {
		return "is empty"
	}
	return ""
}

// marshal leaves the & of a URL as it is.
func marshal(v any) ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

var word = regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)

// refusals are messages with which the service refuses a call.
type refusals []struct {
	status  int
	message string
	kind    batch.Kind
}

// common are the documented messages with which the service refuses any call.
// Any other reply to CreateBatch, whatever its status, leaves unknown whether
// the batch was created: a proxy may have written it.
var common = refusals{
	{http.StatusBadRequest, "", batch.ErrInvalid}, // prose, such as "amount is required"
	{http.StatusUnauthorized, "Missing authentication", batch.ErrAuth},
	{http.StatusForbidden, "Forbidden", batch.ErrAuth},
	{http.StatusForbidden, livenessMismatch, batch.ErrInvalid},
	{http.StatusNotFound, "Not Found", batch.ErrNotFound}, // no such route
	{http.StatusTooManyRequests, "RATE_LIMIT_EXCEEDED", batch.ErrThrottled},
}

const livenessMismatch = "LIVENESS_MISMATCH" // the account is for tests and the batch is not, or the reverse

// read reads an error reply of the documented shape, or returns nil if it has
// another. A message that is neither in more nor in common is ErrAmbiguous.
func (more refusals) read(status int, header http.Header, body []byte) *batch.Error {
	var reply struct {
		StatusCode batchhttp.Maybe[int]    `json:"statusCode"`
		Message    batchhttp.Maybe[string] `json:"message"` // a word for a broken rule, prose for a wrong request
		Reason     Text                    `json:"reason"`  // for people
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if kind != "application/json" || batchhttp.JSON(&reply)(bytes.NewReader(body)) != nil ||
		reply.StatusCode.Value != status || reply.Message.Value == "" {
		return nil
	}
	e := &batch.Error{Kind: batch.ErrAmbiguous, Message: reply.Message.Value}
	for _, r := range slices.Concat(common, more) {
		if r.status == status && (r.message == "" || r.message == e.Message) {
			e.Kind = r.kind
		}
	}
	reason := string(reply.Reason)
	if word.MatchString(e.Message) {
		e.Code, e.Message = e.Message, ""
	}
	if e.Code == livenessMismatch {
		reason = join(reason, "either the account or the batch is for tests: see Config.Live")
	}
	e.Message = join(e.Message, reason)
	return e
}

var anyURL = regexp.MustCompile(`(?i)([a-z][a-z0-9+.-]*://)(?:[^\s"'<>/?#@]*@)?([^\s"'<>/?#@]*)[/?#][^\s"'<>]*`)

// withoutURL leaves nothing but the host of any URL in the words of an error,
// and drops all words of a text that repeats a piece of the secret URL.
func withoutURL(err error, secret string) error {
	var e *batch.Error
	if !errors.As(err, &e) {
		return err
	}
	clean := *e
	clean.Code, clean.Message = redact(e.Code, secret), redact(e.Message, secret)
	if e.Err != nil {
		if text := redact(e.Err.Error(), secret); text != e.Err.Error() {
			clean.Err = batchhttp.Redacted(text, e.Err)
		}
	}
	return &clean
}

func redact(text, secret string) string {
	text = anyURL.ReplaceAllString(text, "$1$2/[redacted]")
	_, secret, _ = strings.Cut(secret, "://")
	_, secret, _ = strings.Cut(secret, "/") // The host is no secret.
	const piece = 12                        // bytes that nobody writes by chance
	for _, form := range []string{secret, url.QueryEscape(secret), strings.ReplaceAll(secret, "&", `\u0026`)} {
		for i := 0; i+piece <= len(form); i++ {
			if strings.Contains(text, form[i:i+piece]) {
				return "[redacted: the words repeat the URL of the file]"
			}
		}
	}
	return text
}
