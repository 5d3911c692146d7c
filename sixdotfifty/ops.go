package sixdotfifty

import (
	"net/http"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The operations of PAY, and what may be done with each. Once is sent at most
// once, whatever happens: also what makes or changes a draft, because a late
// repeat could change it under a submit. This table is the whole audit.
var (
	opGetToken           = batchhttp.Op{Name: "GetToken", Method: http.MethodPost, Path: "/authentication/getToken", Safety: batchhttp.Repeatable}
	opListAccounts       = batchhttp.Op{Name: "ListAccounts", Method: http.MethodGet, Path: "/accounts", Safety: batchhttp.Repeatable}
	opCreateBatch        = batchhttp.Op{Name: "CreateBatch", Method: http.MethodPost, Path: "/batches", Safety: batchhttp.Once}
	opListBatches        = batchhttp.Op{Name: "ListBatches", Method: http.MethodGet, Path: "/batches", Safety: batchhttp.Repeatable}
	opGetBatch           = batchhttp.Op{Name: "GetBatch", Method: http.MethodGet, Path: "/batches/{id}", Safety: batchhttp.Repeatable}
	opUpdateBatch        = batchhttp.Op{Name: "UpdateBatch", Method: http.MethodPut, Path: "/batches/{id}", Safety: batchhttp.Once}
	opBatchStatusCodes   = batchhttp.Op{Name: "BatchStatusCodes", Method: http.MethodGet, Path: "/batches/statusCodes", Safety: batchhttp.Repeatable}
	opAddPayments        = batchhttp.Op{Name: "AddPayments", Method: http.MethodPost, Path: "/batches/{id}/payments", Safety: batchhttp.Once}
	opListPayments       = batchhttp.Op{Name: "ListPayments", Method: http.MethodGet, Path: "/batches/{id}/payments", Safety: batchhttp.Repeatable}
	opSubmitBatch        = batchhttp.Op{Name: "SubmitBatch", Method: http.MethodPost, Path: "/batches/{id}/submit", Safety: batchhttp.Once} // moves money
	opCancelBatch        = batchhttp.Op{Name: "CancelBatch", Method: http.MethodPost, Path: "/batches/{id}/cancel", Safety: batchhttp.Once}
	opGetPayment         = batchhttp.Op{Name: "GetPayment", Method: http.MethodGet, Path: "/payments/{id}", Safety: batchhttp.Repeatable}
	opDeletePayment      = batchhttp.Op{Name: "DeletePayment", Method: http.MethodDelete, Path: "/payments/{id}", Safety: batchhttp.Once}
	opPaymentStatusCodes = batchhttp.Op{Name: "PaymentStatusCodes", Method: http.MethodGet, Path: "/payments/statusCodes", Safety: batchhttp.Repeatable}
	opMemberExists       = batchhttp.Op{Name: "MemberExists", Method: http.MethodGet, Path: "/members/{msisdn}/exists", Safety: batchhttp.Repeatable}
)

// The operations of Redemptions. An initiated payment takes no money until the
// member confirms it.
var (
	opRedemptionsListAccounts     = batchhttp.Op{Name: "RedemptionsListAccounts", Method: http.MethodGet, Path: "/accounts", Safety: batchhttp.Repeatable}
	opRedemptionsListTransactions = batchhttp.Op{Name: "RedemptionsListTransactions", Method: http.MethodGet, Path: "/accounts/{id}/transactions", Safety: batchhttp.Repeatable}
	opRedemptionsInitiatePayment  = batchhttp.Op{Name: "RedemptionsInitiatePayment", Method: http.MethodPost, Path: "/payments", Safety: batchhttp.Once}
	opRedemptionsGetPayment       = batchhttp.Op{Name: "RedemptionsGetPayment", Method: http.MethodGet, Path: "/payments/{id}", Safety: batchhttp.Repeatable}
	opRedemptionsListPayments     = batchhttp.Op{Name: "RedemptionsListPayments", Method: http.MethodGet, Path: "/payments", Safety: batchhttp.Repeatable}
)
