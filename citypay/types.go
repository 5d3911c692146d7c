package citypay

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// ProcessBatchRequest is a batch to process.
type ProcessBatchRequest struct {
	BatchDate string `json:"batch_date"` // when it was created: "2020-01-02"
	BatchID   int64  `json:"batch_id"`   // yours, 1 to 99,999,999, never used before
	// batch account, 3 to 20 characters; empty means your client id
	ClientAccountID string             `json:"client_account_id,omitempty"`
	Transactions    []BatchTransaction `json:"transactions"` // 1 to 10,000, in the sandbox 100
}

// BatchTransaction charges one card-holder account.
type BatchTransaction struct {
	AccountID  string `json:"account_id"`           // 5 to 50 of [a-zA-Z0-9-_.~]
	Amount     int64  `json:"amount"`               // minor units of the merchant's currency, 1 to 999,999,999
	Identifier string `json:"identifier,omitempty"` // your reference, 5 to 50 printable ASCII
	MerchantID int64  `json:"merchantid,omitempty"` // CityPay merchant id
}

// Text is a field that decides nothing: it keeps a JSON value of any type as text.
type Text = batchhttp.Text

// ProcessBatchResponse says that a batch was accepted.
type ProcessBatchResponse struct {
	Valid   bool `json:"valid"`
	Message Text `json:"message,omitempty"`
}

// CheckBatchStatus asks for the status of batches.
type CheckBatchStatus struct {
	BatchIDs        []int64 `json:"batch_id"`
	ClientAccountID string  `json:"client_account_id,omitempty"` // empty means your client id
}

// CheckBatchStatusResponse holds a row for each batch, in any order.
type CheckBatchStatusResponse struct {
	Batches []BatchStatus `json:"batches"`
}

// BatchStatus is the status of one batch. BatchID and BatchStatus decide.
type BatchStatus struct {
	BatchDate Text `json:"batch_date"` // "2020-01-02"; may be empty for a batch that CityPay does not know
	// 0 if CityPay does not say: it is formally optional; -1 if it is not a number
	BatchID     int64  `json:"batch_id,omitempty"`
	BatchStatus Status `json:"batch_status"` // empty if CityPay does not say it as a string
}

// Status is CityPay's word for where a batch stands. The list is open.
type Status string

// The documented words. Which of them are final is not: Complete, Cancelled
// and ErrorInProcessing, by their descriptions.
const (
	StatusInitialised       Status = "INITIALISED"         // set up
	StatusQueued            Status = "QUEUED"              // waiting
	StatusLocked            Status = "LOCKED"              // being processed
	StatusComplete          Status = "COMPLETE"            // processed; says nothing about single declines
	StatusCancelled         Status = "CANCELLED"           // by an administrator or a server process
	StatusErrorInProcessing Status = "ERROR_IN_PROCESSING" // cannot continue; rows may have been charged
	StatusUnknown           Status = "UNKNOWN"             // cannot be determined, or not received (yet)
)

// BatchReportRequest asks for the report of one batch.
type BatchReportRequest struct {
	BatchID         int64  `json:"batch_id"`
	ClientAccountID string `json:"client_account_id,omitempty"` // as it was submitted
}

// BatchReport is the report of one batch. BatchID and BatchStatus decide. The
// other fields that are compared are zero if CityPay sends another type.
type BatchReport struct {
	Amount          int64               `json:"amount,omitempty"` // total in minor units; of what is not documented
	BatchDate       Text                `json:"batch_date"`
	BatchID         int64               `json:"batch_id"`
	BatchStatus     Status              `json:"batch_status"`
	ClientAccountID string              `json:"client_account_id"`
	Transactions    []TransactionResult `json:"transactions"`
}

// TransactionResult is the outcome of one transaction. Identifier, Amount,
// Result and ResultCode decide. The other fields that are compared are zero if
// CityPay sends another type.
type TransactionResult struct {
	AccountID  string `json:"account_id"`
	Amount     int64  `json:"amount,omitempty"` // minor units; 0 if CityPay does not say
	AuthCode   Text   `json:"authcode,omitempty"`
	DateTime   Text   `json:"datetime,omitempty"` // when it was processed, ISO 8601 in UTC
	Identifier string `json:"identifier"`
	MaskedPAN  Text   `json:"maskedpan,omitempty"`
	MerchantID int64  `json:"merchantid"`
	Message    Text   `json:"message"`
	Result     Result `json:"result"`      // ResultUnknown if Faults has it
	ResultCode string `json:"result_code"` // three or four characters; zeros in front count
	Scheme     Text   `json:"scheme,omitempty"`
	SchemeID   Text   `json:"scheme_id,omitempty"`
	SchemeLogo Text   `json:"scheme_logo,omitempty"`
	TransNo    Text   `json:"transno,omitempty"` // a number; below 1 if none was issued

	// Faults lists the deciding fields that are missing or of another type. The
	// row says nothing then, and the rest of the report stands.
	Faults []batch.FieldError `json:"-"`
}

// Result is CityPay's class of an outcome. The list is open.
type Result int

// The documented results that a caller acts on; 0 to 23 are documented. All but
// ResultAccepted mean that the card was not charged, or leave it open: see the
// tables in codes.go.
const (
	ResultDeclined     Result = 0
	ResultAccepted     Result = 1
	ResultRejected     Result = 2
	ResultNotAttempted Result = 3
	ResultReferred     Result = 4
	ResultVerified     Result = 18
	ResultCancelled    Result = 19
	ResultUnknown      Result = 20
	ResultChallenged   Result = 21
	ResultDecoupled    Result = 22
	ResultDenied       Result = 23
)

// UnmarshalJSON reads 1 and "1"; null is an error.
func (r *Result) UnmarshalJSON(text []byte) error {
	if len(text) == 1 && '0' <= text[0] && text[0] <= '9' {
		*r = Result(text[0] - '0')
		return nil
	}
	var n batchhttp.Int
	if err := n.UnmarshalJSON(text); err != nil {
		return err
	}
	if n < 0 || n > math.MaxInt32 {
		return fmt.Errorf("%d is not a valid result", n)
	}
	*r = Result(n)
	return nil
}

// Acknowledgement answers several operations. Code decides.
type Acknowledgement struct {
	Code       string `json:"code,omitempty"` // "044" for a ping
	Context    Text   `json:"context,omitempty"`
	Identifier Text   `json:"identifier,omitempty"`
	Message    Text   `json:"message,omitempty"`
}

type pingRequest struct {
	Identifier string `json:"identifier,omitempty"`
}

type aclRequest struct {
	IP string `json:"ip"`
}

// ACLCheck is the answer to CheckACL. None of its fields is required.
type ACLCheck struct {
	ACL      Text `json:"acl,omitempty"`
	Cache    Text `json:"cache,omitempty"` // "true" or "false"
	IP       Text `json:"ip,omitempty"`
	Provider Text `json:"provider,omitempty"`
}

type reader = io.Reader

func errMissing(field string) error { return fmt.Errorf("the reply has no %s", field) }

// decode reads a list of statuses. The list itself must be there: a reply of
// another shape does not say that a batch was never seen.
func (c *CheckBatchStatusResponse) decode(body io.Reader) error {
	type row struct {
		BatchDate   Text                    `json:"batch_date"`
		BatchID     batchhttp.Maybe[int64]  `json:"batch_id"`
		BatchStatus batchhttp.Maybe[string] `json:"batch_status"`
	}
	var wire struct {
		Batches list[row] `json:"batches"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
		return err
	}
	if wire.Batches == nil {
		return errMissing("batches")
	}
	c.Batches = make([]BatchStatus, len(wire.Batches))
	for n, came := range wire.Batches {
		r := came.Value
		c.Batches[n] = BatchStatus{r.BatchDate, r.BatchID.Value, Status(r.BatchStatus.Value)}
		if r.BatchID.Text != "" || r.BatchID.OK && r.BatchID.Value < 1 {
			c.Batches[n].BatchID = -1
		}
	}
	return nil
}

// decode reads a report.
func (b *BatchReport) decode(body io.Reader) error {
	var wire struct {
		Amount          batchhttp.Maybe[batchhttp.Int] `json:"amount"`
		BatchDate       Text                           `json:"batch_date"`
		BatchID         *int64                         `json:"batch_id"`
		BatchStatus     *Status                        `json:"batch_status"`
		ClientAccountID batchhttp.Maybe[string]        `json:"client_account_id"`
		Transactions    *rows                          `json:"transactions"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
		return err
	}
	switch {
	case wire.BatchID == nil:
		return errMissing("batch_id")
	case wire.BatchStatus == nil || *wire.BatchStatus == "":
		return errMissing("batch_status")
	case wire.Transactions == nil:
		return errMissing("transactions")
	}
	*b = BatchReport{int64(wire.Amount.Value), wire.BatchDate, *wire.BatchID, *wire.BatchStatus,
		wire.ClientAccountID.Value, *wire.Transactions}
	return nil
}

// rows are read one by one: a row that makes no sense fails alone.
type rows []TransactionResult

func (r *rows) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*r = rows{}
	return batchhttp.Elements(d, maxRows, func(d *jsontext.Decoder) error {
		*r = append(*r, TransactionResult{})
		return (*r)[len(*r)-1].read(d)
	})
}

// list is rows of which each may be anything.
type list[T any] []batchhttp.Maybe[T]

func (l *list[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*l = nil
	if d.PeekKind() == 'n' {
		return d.SkipValue()
	}
	*l = list[T]{}
	return batchhttp.Elements(d, maxRows, func(d *jsontext.Decoder) error {
		*l = append(*l, batchhttp.Maybe[T]{})
		return (*l)[len(*l)-1].UnmarshalJSONFrom(d)
	})
}

// read reads one row. Its error is that of the whole reply.
func (t *TransactionResult) read(d *jsontext.Decoder) error {
	wire := struct {
		*TransactionResult
		AccountID  batchhttp.Maybe[string]        `json:"account_id"`
		Amount     batchhttp.Maybe[batchhttp.Int] `json:"amount"`
		Identifier batchhttp.Maybe[string]        `json:"identifier"`
		MerchantID batchhttp.Maybe[batchhttp.Int] `json:"merchantid"`
		Result     batchhttp.Maybe[Result]        `json:"result"`
		ResultCode batchhttp.Maybe[string]        `json:"result_code"`
	}{TransactionResult: t}
	var err error
	if d.PeekKind() == '{' {
		err = json.UnmarshalDecode(d, &wire)
	} else {
		err = d.SkipValue() // Not a row at all: it has none of the fields.
	}
	if err != nil {
		return err
	}
	t.AccountID, t.Amount, t.Identifier = wire.AccountID.Value, int64(wire.Amount.Value), wire.Identifier.Value
	t.MerchantID, t.Result, t.ResultCode = int64(wire.MerchantID.Value), wire.Result.Value, wire.ResultCode.Value
	fault := func(field string, came Text, want string) {
		message := "must be " + want + ", and is missing"
		if came != "" {
			message = fmt.Sprintf("must be %s, and is %q", want, came)
		}
		t.Faults = append(t.Faults, batch.FieldError{Item: -1, Reference: t.Identifier, Field: field, Message: message})
	}
	if t.Identifier == "" {
		fault("identifier", wire.Identifier.Text, "a string")
	}
	if !wire.Result.OK {
		t.Result = ResultUnknown
		fault("result", wire.Result.Text, "a number")
	}
	if t.ResultCode == "" {
		fault("result_code", wire.ResultCode.Text, "a string")
	}
	if t.Amount < 0 {
		wire.Amount.Text = Text(fmt.Sprint(t.Amount))
	}
	if wire.Amount.Text != "" {
		fault("amount", wire.Amount.Text, "a whole number that is not negative")
	}
	return nil
}

// refusal reads CityPay's own words: a 422 with an Error object in JSON whose
// code is of the documented form. Nothing else is documented to have a body,
// so no other reply proves that CityPay wrote it: not an empty 401 or 403, and
// not a plain 400.
func refusal(status int, header http.Header, body []byte) *batch.Error {
	var e struct {
		Code    batchhttp.Maybe[string] `json:"code"`
		Context Text                    `json:"context"`
		Message Text                    `json:"message"`
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	if status != http.StatusUnprocessableEntity || kind != "application/json" ||
		batchhttp.Read(bytes.NewReader(body), &e) != nil || !codeForm.MatchString(e.Code.Value) {
		return nil
	}
	return &batch.Error{Kind: meaningOf(e.Code.Value).call, Code: e.Code.Value, Message: string(e.Message),
		RequestID: string(e.Context)}
}

// skew warns of a clock that is off by more than a minute.
func skew(header http.Header) string {
	theirs, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return ""
	}
	if off := time.Since(theirs).Round(time.Second); off.Abs() > time.Minute {
		return fmt.Sprintf("; this clock is off by %s from CityPay's", off)
	}
	return ""
}
