package centrapay

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/batchway/batchway-go/internal/rest"
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

// BigNumber is an integer or decimal of any size, which the service writes as
// a string. Empty means that the field was absent.
type BigNumber string

var bigNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,37})(\.[0-9]{1,38})?$`)

// UnmarshalJSON reads a string that holds a number or, though it is not
// documented, a bare number.
func (n *BigNumber) UnmarshalJSON(text []byte) error {
	s := string(text)
	if len(text) > 0 && text[0] == '"' {
		if err := rest.Parse(text, &s); err != nil {
			return err
		}
	}
	if !bigNumber.MatchString(s) {
		return errors.New("a BigNumber is no plain decimal number")
	}
	*n = BigNumber(s)
	return nil
}

// Int64 returns the number if it is an integer that fits.
func (n BigNumber) Int64() (int64, error) {
	value, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no integer of 64 bits", string(n[:min(len(n), 40)]))
	}
	return value, nil
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

// Batch is the service's model of a batch.
type Batch struct {
	ID        string  `json:"id"`
	AccountID string  `json:"accountId"`
	Status    Status  `json:"status"`
	Type      string  `json:"type"`
	URL       FileURL `json:"url"`
	Test      bool    `json:"test"`

	// Count is how many items were processed. The documentation calls it
	// totalCount in its table and count in its samples: both are read, and a
	// reply in which they disagree is refused.
	Count      BigNumber     `json:"count,omitempty"`
	ErrorCount BigNumber     `json:"errorCount,omitempty"` // total number of errors
	Errors     []RecordError `json:"errors"`               // whether the service caps this list is not documented
}

// RecordError is one error of one record.
type RecordError struct {
	ExternalID string    `json:"externalId,omitempty"` // the record's id in the file, if its type has one
	Index      BigNumber `json:"index,omitempty"`      // its offset in the file; whether the first is 0 or 1 is not documented
	Message    string    `json:"message"`              // such as INVALID_BARCODE_LENGTH; there is no list of them
}

// ErrorsCutShort reports whether the service counts more errors than it lists,
// so that some failed records have no name.
func (b *Batch) ErrorsCutShort() bool {
	n, err := b.ErrorCount.Int64()
	return err == nil && n > int64(len(b.Errors))
}

// LogValue logs what identifies the batch, without its URL and its records.
func (b Batch) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", b.ID), slog.String("type", b.Type), slog.String("status", string(b.Status)), slog.Bool("test", b.Test))
}

// LogValue logs the request without its URL.
func (r BatchRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("type", r.Type), slog.String("account", r.AccountID), slog.Any("url", r.URL))
}

var batchID = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)

// UnmarshalJSON reads a batch and refuses one that does not make sense.
func (b *Batch) UnmarshalJSON(text []byte) error {
	type plain Batch
	wire := struct {
		*plain
		Test       *bool     `json:"test"`
		TotalCount BigNumber `json:"totalCount"`
	}{plain: &plain{}}
	if err := rest.Parse(text, &wire); err != nil {
		return err
	}
	batch := (*Batch)(wire.plain)
	batch.Test = wire.Test != nil && *wire.Test
	switch {
	case !batchID.MatchString(batch.ID):
		return errors.New("the batch has no id, or one that is none")
	case batch.Status == "":
		return errors.New("the batch has no status")
	case wire.Test == nil:
		return errors.New("the batch does not say whether it is a test")
	case batch.Count != "" && wire.TotalCount != "" && batch.Count != wire.TotalCount:
		return errors.New("count and totalCount disagree")
	}
	if batch.Count == "" {
		batch.Count = wire.TotalCount
	}
	for _, n := range []BigNumber{batch.Count, batch.ErrorCount} {
		if n == "" && batch.Status != StatusComplete {
			continue // Only a finished batch must have counted.
		}
		if value, err := n.Int64(); err != nil || value < 0 {
			return errors.New("count or errorCount is missing, or no count")
		}
	}
	*b = *batch
	return nil
}

// Account is an account at the service, as far as a batch needs it.
type Account struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Type string `json:"type,omitempty"`
	Test bool   `json:"test"` // a batch must have the same flag
}

// Asset is an asset, such as the one that a farmlands record has made. Amounts
// are in cents.
type Asset struct {
	ID               string    `json:"id"`
	AccountID        string    `json:"accountId,omitempty"`
	Category         string    `json:"category,omitempty"`
	Type             string    `json:"type,omitempty"`
	Liveness         string    `json:"liveness,omitempty"`
	Description      string    `json:"description,omitempty"`
	CreatedAt        string    `json:"createdAt,omitempty"`
	Status           string    `json:"status,omitempty"`
	Currency         string    `json:"currency,omitempty"`
	Balance          BigNumber `json:"balance,omitempty"`
	InitialBalance   BigNumber `json:"initialBalance,omitempty"`
	AvailableBalance BigNumber `json:"availableBalance,omitempty"`
	ActiveFrom       string    `json:"activeFrom,omitempty"`
	ExpiresAt        string    `json:"expiresAt,omitempty"`
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
		return "is no URL with a host"
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
