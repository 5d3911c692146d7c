package centrapay

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Status is the service's word for where a batch stands.
type Status string

// The documented words. Complete and error are final.
const (
	StatusCreated  Status = "created"  // accepted
	StatusCopied   Status = "copied"   // the file was transferred
	StatusChunked  Status = "chunked"  // broken up for processing
	StatusComplete Status = "complete" // processed; may include errors
	StatusError    Status = "error"    // the file could not be accessed or read, which prevents processing
)

// The documented types of batches, each with a record of its own.
const (
	TypeFarmlandsExternalAsset = "farmlands-external-asset" // JSONL of FarmlandsAsset
	TypeTicketekTicket         = "ticketek-ticket"          // JSONL of TicketekTicket
	TypeBusinessOnboard        = "business-onboard"         // CSV of Business
	TypeVerifoneTerminalStatus = "verifone-terminal-status" // JSONL of TerminalStatus; no longer documented
)

// Text is a field that decides nothing: it keeps whatever JSON value the
// service sends, as text.
type Text = batchhttp.Text

// BigNumber is an integer or decimal of any size, which the service writes as
// a string. It keeps whatever the service sends, as Text does: Int64 says
// whether that is a number. Empty means that the field was absent or null.
type BigNumber string

var integer = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

// UnmarshalJSON keeps any JSON value.
func (n *BigNumber) UnmarshalJSON(value []byte) error { return (*Text)(n).UnmarshalJSON(value) }

// Int64 returns the number if it is an integer that fits.
func (n BigNumber) Int64() (int64, error) {
	value, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || !integer.MatchString(string(n)) {
		return 0, fmt.Errorf("%q is not an integer of 64 bits", clip(string(n)))
	}
	return value, nil
}

// count returns the number if it counts something.
func (n BigNumber) count() (int64, error) {
	if n == "" {
		return 0, errors.New("the service does not say how many")
	}
	value, err := n.Int64()
	if err == nil && value < 0 {
		err = fmt.Errorf("%d is negative", value)
	}
	return value, err
}

// FileURL is where the service fetches a file. Whoever knows it can often read
// the file, so it is a secret: it is marshalled as it is, and printed without
// its path and query.
type FileURL string

// Format prints the scheme and the host alone.
func (u FileURL) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(u.public())) }

// LogValue logs the scheme and the host alone.
func (u FileURL) LogValue() slog.Value { return slog.StringValue(u.public()) }

func (u FileURL) public() string {
	if u == "" {
		return ""
	}
	if parsed, err := url.Parse(string(u)); err == nil && parsed.Host != "" {
		return parsed.Scheme + "://" + parsed.Host + "/[redacted]"
	}
	return "[redacted]"
}

// BatchRequest is the body of CreateBatch. Whether the batch is a test is not
// in it: Config.Live decides.
type BatchRequest struct {
	Type      string  `json:"type"`
	URL       FileURL `json:"url"` // https, without user name, password and fragment
	AccountID string  `json:"accountId"`
}

// Batch is the service's model of a batch. ID and Status decide where the
// batch stands, and GetBatch returns none without them. A field that the
// service left out, or sent as another type, has its zero value.
type Batch struct {
	ID        string  `json:"id"`
	AccountID Text    `json:"accountId,omitempty"` // may differ from the account that was asked for, as in the samples
	Status    Status  `json:"status,omitempty"`
	Type      string  `json:"type,omitempty"`
	URL       FileURL `json:"url,omitempty"`
	Test      *bool   `json:"test,omitempty"`

	// The number of records that were processed is totalCount in the documented
	// table and count in the samples: see Records.
	Count      BigNumber     `json:"count,omitempty"`
	TotalCount BigNumber     `json:"totalCount,omitempty"`
	ErrorCount BigNumber     `json:"errorCount,omitempty"` // total number of errors
	Errors     []RecordError `json:"errors"`               // whether the service caps this list is not documented
}

// RecordError is one error of one record. A list element that is not an object
// is kept as the Message of an error that names no record.
type RecordError struct {
	ExternalID Text `json:"externalId,omitempty"` // the record's id in the file, if its type has one
	// its offset in the file; whether the first is 0 or 1 is not documented
	Index   BigNumber `json:"index,omitempty"`
	Message Text      `json:"message"` // such as INVALID_BARCODE_LENGTH; there is no list of them
}

// Records returns how many records the service has counted, by whichever name.
// It returns an error if the service did not say, or gave two numbers.
func (b *Batch) Records() (int64, error) {
	count := b.Count
	switch {
	case count == "":
		count = b.TotalCount
	case b.TotalCount != "" && b.TotalCount != count:
		return 0, fmt.Errorf("count is %q, but totalCount is %q", clip(string(count)), clip(string(b.TotalCount)))
	}
	return count.count()
}

// ErrorsCutShort reports whether the service counts more errors than it lists,
// so that some failed records have no name.
func (b *Batch) ErrorsCutShort() bool {
	n, err := b.ErrorCount.Int64()
	return err == nil && n > int64(len(b.Errors))
}

// LogValue logs what identifies the batch, without its URL and its records.
func (b Batch) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", b.ID), slog.String("type", b.Type),
		slog.String("status", string(b.Status)))
}

// LogValue logs the request without its URL.
func (r BatchRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", r.Type), slog.String("account", r.AccountID), slog.Any("url", r.URL))
}

// ids are opaque. Those of accounts and batches are letters and digits in the
// samples; a batch is never lost because its id is of another kind.
var batchID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// UnmarshalJSON reads a batch. Only a reply that is not an object fails:
// CreateBatch, GetBatch and Provider check what decides for them.
func (b *Batch) UnmarshalJSON(text []byte) error {
	type plain Batch // without this method
	var wire struct {
		*plain
		ID     Text                          `json:"id"`
		Status batchhttp.Maybe[Status]       `json:"status"`
		Type   batchhttp.Maybe[string]       `json:"type"`
		URL    batchhttp.Maybe[FileURL]      `json:"url"`
		Test   batchhttp.Maybe[bool]         `json:"test"`
		Errors batchhttp.Maybe[recordErrors] `json:"errors"`
	}
	wire.plain = &plain{}
	if len(text) == 0 || text[0] != '{' {
		return errors.New("the batch is not a JSON object")
	}
	if err := batchhttp.Parse(text, &wire); err != nil {
		return err
	}
	if len(wire.Errors.Value) > maxErrors {
		return fmt.Errorf("the batch lists more than %d errors", maxErrors)
	}
	*b = Batch(*wire.plain)
	b.ID, b.Status, b.Type, b.URL = string(wire.ID), wire.Status.Value, wire.Type.Value, wire.URL.Value
	if wire.Test.OK {
		b.Test = &wire.Test.Value
	}
	if b.Errors = wire.Errors.Value; wire.Errors.Text != "" {
		b.Errors = []RecordError{{Message: wire.Errors.Text}} // Errors that are not a list name no record.
	}
	return nil
}

// recordErrors is a list of which one more than maxErrors is read at the most.
type recordErrors []RecordError

func (r *recordErrors) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*r = recordErrors{}
	return batchhttp.Elements(d, math.MaxInt, func(d *jsontext.Decoder) error {
		value, err := d.ReadValue()
		if err != nil || len(*r) > maxErrors {
			return err
		}
		*r = append(*r, RecordError{})
		return (*r)[len(*r)-1].UnmarshalJSON(value)
	})
}

// UnmarshalJSON reads one error, and keeps whatever else is in its place.
func (e *RecordError) UnmarshalJSON(text []byte) error {
	type plain RecordError // without this method
	*e = RecordError{}
	if len(text) > 0 && text[0] == '{' {
		return batchhttp.Parse(text, (*plain)(e))
	}
	return e.Message.UnmarshalJSON(text)
}

// Account is an account at the service, as far as a batch needs it.
type Account struct {
	ID   string `json:"id"`
	Name Text   `json:"name,omitempty"`
	Type Text   `json:"type,omitempty"`

	// Test says whether the account is for tests: its batches must have the
	// same flag. The service sends it only if it is true (documented).
	Test bool `json:"test,omitempty"`
}

// Asset is an asset, such as the one that a farmlands record has made. Amounts
// are in cents.
type Asset struct {
	ID               string    `json:"id"`
	AccountID        Text      `json:"accountId,omitempty"`
	Category         Text      `json:"category,omitempty"`
	Type             Text      `json:"type,omitempty"`
	Liveness         Text      `json:"liveness,omitempty"`
	Description      Text      `json:"description,omitempty"`
	CreatedAt        Text      `json:"createdAt,omitempty"`
	Status           Text      `json:"status,omitempty"`
	Currency         Text      `json:"currency,omitempty"`
	Balance          BigNumber `json:"balance,omitempty"`
	InitialBalance   BigNumber `json:"initialBalance,omitempty"`
	AvailableBalance BigNumber `json:"availableBalance,omitempty"`
	ActiveFrom       Text      `json:"activeFrom,omitempty"`
	ExpiresAt        Text      `json:"expiresAt,omitempty"`
	// documented for tokens; whether a farmlands asset repeats it is not
	ExternalID Text `json:"externalId,omitempty"`
}

// maxURL is a length that every server takes.
const maxURL = 2048

// urlFault says why the service must not be given u, or "". It never repeats u.
func urlFault(u string) string {
	if u == "" {
		return "is empty"
	}
	if len(u) > maxURL {
		return fmt.Sprintf("is longer than %d bytes", maxURL)
	}
	if strings.ContainsFunc(u, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "holds a space, a control character, or one outside ASCII"
	}
	parsed, err := url.Parse(u)
	switch {
	case err != nil || parsed.Hostname() == "":
		return "is not a valid URL with a host"
	case parsed.User != nil:
		return "must not hold a user name or password"
	case parsed.Fragment != "" || strings.Contains(u, "#"):
		return "must not hold a fragment"
	case parsed.Scheme == "https":
		return ""
	case parsed.Scheme == "http" && loopback(parsed.Hostname()):
		return ""
	}
	return "must be https (http is for loopback hosts)"
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
