package citypay

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// Int is a count, or an amount in minor units. A reply in which it is not a
// whole number makes no sense as a whole.
type Int = batchhttp.Int

// Page asks for one page of a report. Ask for the next with the NextToken of the
// reply, and with everything else unchanged, until NextToken is empty.
type Page struct {
	MaxResults int    `json:"maxResults,omitempty"` // 5 to 250; 0 means CityPay's default
	NextToken  string `json:"nextToken,omitempty"`  // empty means the first page
}

// MerchantBatchReportRequest asks for settlement batches.
type MerchantBatchReportRequest struct {
	// "2024-01-24", at most three years back; no default is documented
	DateFrom    string  `json:"date_from,omitempty"`
	DateUntil   string  `json:"date_until,omitempty"`  // this day included
	MerchantIDs []int64 `json:"merchant_id,omitempty"` // 1 to 99,999,999 each; none means all
	// merchant_id, batch_no or net_amount; "-" before it is descending
	OrderBy string `json:"orderBy,omitempty"`
	Page
}

// MerchantBatchReport is a page of settlement batches.
type MerchantBatchReport struct {
	Batches    []MerchantBatch `json:"batches"`
	Count      Text            `json:"count,omitempty"`
	MaxResults Text            `json:"maxResults,omitempty"`
	NextToken  string          `json:"nextToken,omitempty"` // empty on the last page
}

// MerchantBatch is a settlement batch: what one merchant took and returned on a
// day. It is not a batch of ProcessBatch, and nothing links the two but the
// number and the identifier of each transaction.
type MerchantBatch struct {
	BatchClosed Text `json:"batch_closed,omitempty"`
	BatchNo     Text `json:"batch_no,omitempty"`
	BatchStatus Text `json:"batch_status,omitempty"` // words
	// O open, S settled, C cancelled, X managed elsewhere
	BatchStatusCode Text        `json:"batch_status_code,omitempty"`
	Currency        Text        `json:"currency,omitempty"`
	MerchantID      Int         `json:"merchantid,omitempty"`
	NetSummary      *NetSummary `json:"net_summary,omitempty"`
}

// NetSummary adds a settlement batch up. The amounts for people are not kept.
type NetSummary struct {
	CreditItemsCount Int `json:"credit_items_count,omitempty"` // refunds
	CreditItemsValue Int `json:"credit_items_value,omitempty"` // minor units
	DebitItemsCount  Int `json:"debit_items_count,omitempty"`  // charges
	DebitItemsValue  Int `json:"debit_items_value,omitempty"`  // minor units
	NetAmount        Int `json:"net_amount,omitempty"`         // without its sign: use Net
	TotalCount       Int `json:"total_count,omitempty"`
}

// Net is what was charged less what was refunded, in minor units: below zero if
// more was refunded.
func (n NetSummary) Net() int64 { return int64(n.DebitItemsValue - n.CreditItemsValue) }

// MerchantBatchTransactionsRequest asks for the transactions of a settlement
// batch.
type MerchantBatchTransactionsRequest struct {
	OrderBy string `json:"orderBy,omitempty"` // trans_no, date_when or amount; "-" before it is descending
	Page
}

// TransactionReport is a page of transactions.
type TransactionReport struct {
	Count      Text            `json:"count,omitempty"`
	Data       []AuthReference `json:"data"`
	MaxResults Text            `json:"maxResults,omitempty"`
	NextToken  string          `json:"nextToken,omitempty"` // empty on the last page
}

// TransactionReportRequest asks for the transactions of a merchant in a span of
// time. What CityPay shows if no switch is set is not documented, so at least
// one Include and one Type must be.
type TransactionReportRequest struct {
	MerchantID int64     `json:"merchantid"`
	From       time.Time `json:"from"`
	Until      time.Time `json:"until"`          // whether it is included is not documented
	Mode       string    `json:"mode,omitempty"` // "basic", the default, may leave fields out; "extended"

	IncludeAuthorised  bool `json:"include_authorised"`
	IncludeCancelled   bool `json:"include_cancelled"`
	IncludeDeclined    bool `json:"include_declined"`
	IncludeRejected    bool `json:"include_rejected"`
	IncludeUnfulfilled bool `json:"include_unfulfilled"`
	TypeSale           bool `json:"type_sale"`
	TypeRefund         bool `json:"type_refund"`
	TypeVerify         bool `json:"type_verify"`
	Page
}

// RemittanceReportRequest asks for what was remitted on some days.
type RemittanceReportRequest struct {
	// "2024-01-24", at most three years back; no default is documented
	DateFrom    string  `json:"date_from,omitempty"`
	DateUntil   string  `json:"date_until,omitempty"`  // this day included
	MerchantIDs []int64 `json:"merchant_id,omitempty"` // 1 to 99,999,999 each; none means all
	Page
}

// RemittanceReport is a page of days.
type RemittanceReport struct {
	Count      Text                 `json:"count,omitempty"`
	Data       []RemittedClientData `json:"data"`
	MaxResults Text                 `json:"maxResults,omitempty"`
	NextToken  string               `json:"nextToken,omitempty"` // empty on the last page
}

// RemittedClientData is what was remitted to a client on a day. The acquirer
// still deducts from it.
type RemittedClientData struct {
	Batches     []MerchantBatch `json:"batches"`
	ClientID    Text            `json:"clientid,omitempty"`
	Date        Text            `json:"date,omitempty"`
	DateCreated Text            `json:"date_created,omitempty"`
	// cannot show more refunds than sales: use Net
	NetAmount                Int              `json:"net_amount,omitempty"`
	ProcessedAmount          Int              `json:"processed_amount,omitempty"`
	ProcessedCount           Int              `json:"processed_count,omitempty"`
	RefundAmount             Int              `json:"refund_amount,omitempty"`
	RefundCount              Int              `json:"refund_count,omitempty"`
	Remittances              []RemittanceData `json:"remittances"`
	SalesAmount              Int              `json:"sales_amount,omitempty"`
	SalesCount               Int              `json:"sales_count,omitempty"`
	SettlementImplementation Text             `json:"settlement_implementation,omitempty"`
	UUID                     Text             `json:"uuid,omitempty"`
}

// Net is the sales less the refunds, in minor units.
func (r RemittedClientData) Net() int64 { return int64(r.SalesAmount - r.RefundAmount) }

// RemittanceData is one remittance of a day, in minor units.
type RemittanceData struct {
	DateCreated  Text `json:"date_created,omitempty"`
	NetAmount    Int  `json:"net_amount,omitempty"`
	RefundAmount Int  `json:"refund_amount,omitempty"`
	RefundCount  Int  `json:"refund_count,omitempty"`
	SalesAmount  Int  `json:"sales_amount,omitempty"`
	SalesCount   Int  `json:"sales_count,omitempty"`
}

// MerchantBatchReport reads a page of settlement batches. It moves no money.
//
//	POST /v6/merchant-batch/report
func (c *Client) MerchantBatchReport(ctx context.Context, r MerchantBatchReportRequest) (*MerchantBatchReport, error) {
	var faults faults
	faults.span(r.DateFrom, r.DateUntil, r.MerchantIDs)
	faults.page(r.Page)
	faults.order(r.OrderBy, "merchant_id", "batch_no", "net_amount")
	call := batchhttp.Call{Op: opMerchantBatchReport}
	return read(ctx, c, call, r, faults, func(reply *MerchantBatchReport, body reader) error {
		if err := batchhttp.Read(body, reply); err != nil {
			return err
		}
		if reply.Batches == nil {
			return errMissing("batches")
		}
		return sound(reply.Batches)
	})
}

// MerchantBatch reads one settlement batch. It moves no money. One that CityPay
// does not find (D101) is ErrNotFound.
//
//	GET /v6/merchant-batch/{merchantid}/{batch_no}
func (c *Client) MerchantBatch(ctx context.Context, merchantID int64, batchNo string) (*MerchantBatch, error) {
	faults, params := batchParams(merchantID, batchNo)
	call := batchhttp.Call{Op: opMerchantBatch, Params: params}
	return read(ctx, c, call, nil, faults, func(reply *MerchantBatch, body reader) error {
		if err := batchhttp.Read(body, reply); err != nil {
			return err
		}
		if int64(reply.MerchantID) != merchantID || string(reply.BatchNo) != batchNo {
			return fmt.Errorf("the reply is about batch %q of merchant %d", reply.BatchNo, reply.MerchantID)
		}
		return sound([]MerchantBatch{*reply})
	})
}

// MerchantBatchTransactions reads a page of the transactions of a settlement
// batch. It moves no money.
//
//	POST /v6/merchant-batch/{merchantid}/{batch_no}/transactions
func (c *Client) MerchantBatchTransactions(ctx context.Context, merchantID int64, batchNo string,
	r MerchantBatchTransactionsRequest,
) (*TransactionReport, error) {
	faults, params := batchParams(merchantID, batchNo)
	faults.page(r.Page)
	faults.order(r.OrderBy, "trans_no", "date_when", "amount")
	call := batchhttp.Call{Op: opMerchantBatchTransactions, Params: params}
	return read(ctx, c, call, r, faults, (*TransactionReport).decode)
}

// TransactionReport reads a page of the transactions of a merchant. It moves no
// money. It also shows what RetrieveTransactions does not: more than five of one
// identifier, and those of more than 90 days ago. Select by Identifier yourself.
//
//	POST /v6/transactions
func (c *Client) TransactionReport(ctx context.Context, r TransactionReportRequest) (*TransactionReport, error) {
	var faults faults
	faults.id("merchantid", r.MerchantID)
	switch {
	case r.From.IsZero():
		faults.add("from", "is missing")
	case !r.From.Before(r.Until):
		faults.add("until", "must be after from")
	}
	if !slices.Contains([]string{"", "basic", "extended"}, r.Mode) {
		faults.add("mode", "must be basic or extended")
	}
	if !r.IncludeAuthorised && !r.IncludeCancelled && !r.IncludeDeclined && !r.IncludeRejected &&
		!r.IncludeUnfulfilled {
		faults.add("include_authorised", "at least one include_ must be set")
	}
	if !r.TypeSale && !r.TypeRefund && !r.TypeVerify {
		faults.add("type_sale", "at least one type_ must be set")
	}
	faults.page(r.Page)
	r.From, r.Until = r.From.UTC(), r.Until.UTC()
	return read(ctx, c, batchhttp.Call{Op: opTransactionReport}, r, faults, (*TransactionReport).decode)
}

// RemittanceReport reads a page of what was remitted to a client; an empty
// clientID is that of the configuration. It moves no money.
//
//	POST /v6/remittance/report/{clientid}
func (c *Client) RemittanceReport(ctx context.Context, clientID string, r RemittanceReportRequest,
) (*RemittanceReport, error) {
	var faults faults
	clientID = c.client(clientID, &faults)
	faults.span(r.DateFrom, r.DateUntil, r.MerchantIDs)
	faults.page(r.Page)
	call := batchhttp.Call{Op: opRemittanceReport, Params: []string{clientID}}
	return read(ctx, c, call, r, faults, func(reply *RemittanceReport, body reader) error {
		if err := batchhttp.Read(body, reply); err != nil {
			return err
		}
		if reply.Data == nil {
			return errMissing("data")
		}
		for _, day := range reply.Data {
			if err := day.of(clientID, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// Remittance reads what was remitted to a client on a day: "2020-01-02", "today"
// or "latest". An empty clientID is that of the configuration. It moves no
// money. A day without a remittance is ErrNotFound, whether CityPay answers D101
// or an empty object, which is not documented.
//
//	GET /v6/remittance/report/{clientid}/{date}
func (c *Client) Remittance(ctx context.Context, clientID, date string) (*RemittedClientData, error) {
	var faults faults
	clientID = c.client(clientID, &faults)
	day := date
	if date == "today" || date == "latest" {
		day = ""
	} else if _, err := time.Parse(time.DateOnly, date); err != nil {
		faults.add("date", "must be YYYY-MM-DD, today or latest")
	}
	call := batchhttp.Call{Op: opRemittance, Params: []string{clientID, date}}
	return read(ctx, c, call, nil, faults, func(reply *RemittedClientData, body reader) error {
		var text Text
		if err := batchhttp.Read(body, &text); err != nil {
			return err
		}
		if text == "{}" {
			return &batch.Error{Kind: batch.ErrNotFound, Message: "CityPay shows no remittance"}
		}
		if err := batchhttp.Parse([]byte(text), reply); err != nil {
			return err
		}
		return reply.of(clientID, day)
	})
}

// read makes a call that is answered with a T.
func read[T any](ctx context.Context, c *Client, call batchhttp.Call, request any, faults faults,
	decode func(*T, reader) error,
) (*T, error) {
	reply := new(T)
	call.Decode = func(body reader) error {
		*reply = *new(T)
		return decode(reply, body)
	}
	if err := c.send(ctx, call, request, faults); err != nil {
		return nil, err
	}
	return reply, nil
}

// batchParams are the path of a settlement batch.
func batchParams(merchantID int64, batchNo string) (faults, []string) {
	var faults faults
	faults.id("merchantid", merchantID)
	faults.match("batch_no", batchNo, anyCardID, cardForm)
	return faults, []string{fmt.Sprint(merchantID), batchNo}
}

// client is the client id of a path.
func (c *Client) client(id string, f *faults) string {
	if id == "" {
		id = c.config.ClientID
	}
	f.match("clientid", id, anyClientID, clientForm)
	return id
}

// span checks the days and the merchants of a report.
func (f *faults) span(from, until string, merchants []int64) {
	parse := func(field, day string) time.Time {
		at, err := time.Parse(time.DateOnly, day)
		if day != "" && err != nil {
			f.add(field, "must be YYYY-MM-DD")
		}
		return at
	}
	first, last := parse("date_from", from), parse("date_until", until)
	if !first.IsZero() && first.Before(time.Now().UTC().AddDate(-3, 0, -1)) {
		f.add("date_from", "must be at most three years back")
	}
	if !first.IsZero() && !last.IsZero() && last.Before(first) {
		f.add("date_until", "must not be before date_from")
	}
	f.merchants(merchants)
}

// merchants checks a list of merchant ids, which have at most 8 digits there.
func (f *faults) merchants(ids []int64) {
	for n, merchant := range ids {
		if merchant < 1 || merchant > 99_999_999 {
			f.add(fmt.Sprintf("merchant_id[%d]", n), "must be 1 to 99999999")
		}
	}
}

func (f *faults) page(p Page) {
	if p.MaxResults != 0 && (p.MaxResults < 5 || p.MaxResults > 250) {
		f.add("maxResults", "must be 5 to 250")
	}
}

func (f *faults) order(by string, fields ...string) {
	if by != "" && !slices.Contains(fields, strings.TrimPrefix(by, "-")) {
		f.add("orderBy", "must be "+strings.Join(fields, ", ")+", with or without - before it")
	}
}

// sound checks the sums of settlement batches.
func sound(batches []MerchantBatch) error {
	for _, b := range batches {
		if n := b.NetSummary; n != nil && min(n.CreditItemsCount, n.CreditItemsValue, n.DebitItemsCount,
			n.DebitItemsValue, n.NetAmount, n.TotalCount) < 0 {
			return fmt.Errorf("batch %q has a sum below zero", b.BatchNo)
		}
	}
	return nil
}

// of checks that a day is of this client, and of this date if it is not empty.
func (r *RemittedClientData) of(client, date string) error {
	switch {
	case r.Batches == nil:
		return errMissing("batches")
	case r.Remittances == nil:
		return errMissing("remittances")
	case r.ClientID != "" && string(r.ClientID) != client:
		return fmt.Errorf("the reply is about client %q", r.ClientID)
	case date != "" && r.Date != "" && string(r.Date) != date:
		return fmt.Errorf("the reply is about the day %q", r.Date)
	}
	return sound(r.Batches)
}

func (t *TransactionReport) decode(body io.Reader) error {
	var wire struct {
		TransactionReport
		Data list[authReference] `json:"data"`
	}
	if err := batchhttp.Read(body, &wire); err != nil {
		return err
	}
	if wire.Data == nil {
		return errMissing("data")
	}
	*t = wire.TransactionReport
	t.Data = authReferences(wire.Data)
	return nil
}
