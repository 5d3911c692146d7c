package citypay

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

// ProcessBatchRequest is a batch to process.
type ProcessBatchRequest struct {
	BatchDate       string             `json:"batch_date"`                  // when it was created: "2020-01-02"
	BatchID         int64              `json:"batch_id"`                    // yours, 1 to 99,999,999, never used before
	ClientAccountID string             `json:"client_account_id,omitempty"` // batch account, 3 to 20 characters; empty means your client id
	Transactions    []BatchTransaction `json:"transactions"`                // 1 to 10,000, in the sandbox 100
}

// BatchTransaction charges one card-holder account.
type BatchTransaction struct {
	AccountID  string `json:"account_id"`           // 5 to 50 of [a-zA-Z0-9-_.~]
	Amount     int64  `json:"amount"`               // minor units of the merchant's currency, 1 to 999,999,999
	Identifier string `json:"identifier,omitempty"` // your reference, 5 to 50 printable ASCII
	MerchantID int64  `json:"merchantid,omitempty"` // CityPay merchant id
}

// ProcessBatchResponse says that a batch was accepted.
type ProcessBatchResponse struct {
	Valid   bool   `json:"valid"`
	Message string `json:"message,omitempty"`
}

// CheckBatchStatus asks for the status of batches.
type CheckBatchStatus struct {
	BatchIDs        []int64 `json:"batch_id"`
	ClientAccountID string  `json:"client_account_id,omitempty"` // empty means your client id
}

// CheckBatchStatusResponse holds a row for each batch, in any order.
type CheckBatchStatusResponse struct {
	Batches []BatchStatus `json:"batches,omitempty"`
}

// BatchStatus is the status of one batch.
type BatchStatus struct {
	BatchDate   string `json:"batch_date"`         // "2020-01-02"; may be empty for a batch that CityPay does not know
	BatchID     int64  `json:"batch_id,omitempty"` // formally optional
	BatchStatus Status `json:"batch_status"`
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

// BatchReport is the report of one batch.
type BatchReport struct {
	Amount          int64               `json:"amount"` // total in minor units; of what is not documented
	BatchDate       string              `json:"batch_date"`
	BatchID         int64               `json:"batch_id"`
	BatchStatus     Status              `json:"batch_status"`
	ClientAccountID string              `json:"client_account_id"`
	Transactions    []TransactionResult `json:"transactions"`
}

// TransactionResult is the outcome of one transaction.
type TransactionResult struct {
	AccountID  string `json:"account_id"`
	Amount     int64  `json:"amount,omitempty"` // minor units; 0 if CityPay does not say
	AuthCode   string `json:"authcode,omitempty"`
	DateTime   string `json:"datetime,omitempty"` // when it was processed, ISO 8601 in UTC
	Identifier string `json:"identifier"`
	MaskedPAN  string `json:"maskedpan,omitempty"`
	MerchantID int64  `json:"merchantid"`
	Message    string `json:"message"`
	Result     Result `json:"result"`
	ResultCode string `json:"result_code"` // three or four characters; zeros in front count
	Scheme     string `json:"scheme,omitempty"`
	SchemeID   string `json:"scheme_id,omitempty"`
	SchemeLogo string `json:"scheme_logo,omitempty"`
	TransNo    int64  `json:"transno,omitempty"` // below 1 if none was issued
}

// Result is CityPay's class of an outcome. The list is open.
type Result int

// The documented results that a caller acts on; 0 to 23 are documented, and
// all but ResultAccepted mean that the card was not charged, or that nobody
// knows.
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
	var n rest.Int
	if err := n.UnmarshalJSON(text); err != nil {
		return err
	}
	*r = Result(n)
	return nil
}

// Acknowledgement answers several operations.
type Acknowledgement struct {
	Code       string `json:"code,omitempty"` // "044" for a ping
	Context    string `json:"context,omitempty"`
	Identifier string `json:"identifier,omitempty"`
	Message    string `json:"message,omitempty"`
}

type pingRequest struct {
	Identifier string `json:"identifier,omitempty"`
}

type aclRequest struct {
	IP string `json:"ip"`
}

// ACLCheck is the answer to CheckACL.
type ACLCheck struct {
	ACL      string `json:"acl,omitempty"`
	Cache    bool   `json:"cache,omitempty"`
	IP       string `json:"ip,omitempty"`
	Provider string `json:"provider,omitempty"`
}

type reader = io.Reader

func errMissing(field string) error { return fmt.Errorf("the reply has no %s", field) }

// decode reads a report as it arrives: it may be of many megabytes.
func (b *BatchReport) decode(body io.Reader) error {
	var wire struct {
		Amount          int64   `json:"amount"`
		BatchDate       string  `json:"batch_date"`
		BatchID         *int64  `json:"batch_id"`
		BatchStatus     *Status `json:"batch_status"`
		ClientAccountID string  `json:"client_account_id"`
		Transactions    *rows   `json:"transactions"`
	}
	if err := rest.Read(body, &wire); err != nil {
		return err
	}
	switch {
	case wire.BatchID == nil:
		return errMissing("batch_id")
	case wire.BatchStatus == nil:
		return errMissing("batch_status")
	case wire.Transactions == nil:
		return errMissing("transactions")
	}
	*b = BatchReport{wire.Amount, wire.BatchDate, *wire.BatchID, *wire.BatchStatus, wire.ClientAccountID, *wire.Transactions}
	return nil
}

// unset is what Result holds before a row has said anything.
const unset Result = -1

// rows are read one by one: what a row does not say must not be taken for zero.
type rows []TransactionResult

func (r *rows) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*r = rows{}
	if token, err := d.ReadToken(); err != nil || token.Kind() != '[' {
		return errors.Join(err, errMissing("list of transactions"))
	}
	for d.PeekKind() != ']' {
		*r = append(*r, TransactionResult{Result: unset})
		row := &(*r)[len(*r)-1]
		wire := struct {
			*TransactionResult
			Amount stated `json:"amount"`
		}{TransactionResult: row}
		if err := json.UnmarshalDecode(d, &wire); err != nil {
			return err
		}
		if row.Identifier == "" {
			return fmt.Errorf("row %d: %w", len(*r)-1, errMissing("identifier"))
		}
		if row.Result == unset {
			return fmt.Errorf("row %d: %w", len(*r)-1, errMissing("result"))
		}
		row.Amount = int64(wire.Amount)
	}
	_, err := d.ReadToken()
	return err
}

// stated is an integer that may be absent, but not null: what is not said is
// not zero.
type stated int64

func (s *stated) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() == jsontext.KindNull {
		return errMissing("amount: it is null")
	}
	return json.UnmarshalDecode(d, (*int64)(s))
}

// refusal reads CityPay's own error replies. 422 has a body; for 400, 401 and
// 403 none is documented, and samples show an empty text/plain.
func refusal(status int, header http.Header, body []byte) *batch.Error {
	var e struct {
		Code       string `json:"code"`
		Context    string `json:"context"`
		Identifier string `json:"identifier"`
		Message    string `json:"message"`
	}
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	text := strings.TrimSpace(string(body))
	switch {
	case kind == "application/json" && strings.HasPrefix(text, "{") && rest.JSON(&e)(strings.NewReader(text)) == nil:
		return &batch.Error{Kind: kindOf(e.Code), Code: e.Code, Message: e.Message, RequestID: e.Context}
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return &batch.Error{Kind: batch.ErrAuth, Message: "the key, the clock or the source address is wrong" + skew(header)}
	case status == http.StatusBadRequest && (text == "" || kind == "text/plain" && !strings.HasPrefix(text, "<")):
		return &batch.Error{Kind: batch.ErrInvalid, Message: text}
	}
	return nil
}

// kindOf says what a code means for a call as a whole. The list is open.
func kindOf(code string) batch.Kind {
	switch {
	case code == "B001":
		return batch.ErrUnavailable // batch processing is unavailable
	case code == "B002", code == "D101":
		return batch.ErrNotFound
	case code == "B008":
		return batch.ErrConflict // failed duplication checks
	case code == "F006", code == "081", code == "083", code == "084":
		return batch.ErrAmbiguous // CityPay itself has had no answer
	case code == "P007", strings.HasPrefix(code, "S"), strings.HasPrefix(code, "Z"):
		return batch.ErrAuth
	}
	return batch.ErrInvalid
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
