package sixdotfifty

import (
	"net/http"

	"github.com/batchway/batchway-go/internal/rest"
)

// The operations of PAY, and what may be done with each. Once is sent at most
// once, whatever happens: also what makes or changes a draft, because a late
// repeat could change it under a submit. This table is the whole audit.
var (
	opGetToken           = rest.Op{Name: "GetToken", Method: http.MethodPost, Path: "/authentication/getToken", Safety: rest.Repeatable}
	opListAccounts       = rest.Op{Name: "ListAccounts", Method: http.MethodGet, Path: "/accounts", Safety: rest.Repeatable}
	opCreateBatch        = rest.Op{Name: "CreateBatch", Method: http.MethodPost, Path: "/batches", Safety: rest.Once}
	opListBatches        = rest.Op{Name: "ListBatches", Method: http.MethodGet, Path: "/batches", Safety: rest.Repeatable}
	opGetBatch           = rest.Op{Name: "GetBatch", Method: http.MethodGet, Path: "/batches/{id}", Safety: rest.Repeatable}
	opUpdateBatch        = rest.Op{Name: "UpdateBatch", Method: http.MethodPut, Path: "/batches/{id}", Safety: rest.Once}
	opBatchStatusCodes   = rest.Op{Name: "BatchStatusCodes", Method: http.MethodGet, Path: "/batches/statusCodes", Safety: rest.Repeatable}
	opAddPayments        = rest.Op{Name: "AddPayments", Method: http.MethodPost, Path: "/batches/{id}/payments", Safety: rest.Once}
	opListPayments       = rest.Op{Name: "ListPayments", Method: http.MethodGet, Path: "/batches/{id}/payments", Safety: rest.Repeatable}
	opSubmitBatch        = rest.Op{Name: "SubmitBatch", Method: http.MethodPost, Path: "/batches/{id}/submit", Safety: rest.Once} // moves money
	opCancelBatch        = rest.Op{Name: "CancelBatch", Method: http.MethodPost, Path: "/batches/{id}/cancel", Safety: rest.Once}
	opGetPayment         = rest.Op{Name: "GetPayment", Method: http.MethodGet, Path: "/payments/{id}", Safety: rest.Repeatable}
	opDeletePayment      = rest.Op{Name: "DeletePayment", Method: http.MethodDelete, Path: "/payments/{id}", Safety: rest.Once}
	opPaymentStatusCodes = rest.Op{Name: "PaymentStatusCodes", Method: http.MethodGet, Path: "/payments/statusCodes", Safety: rest.Repeatable}
	opMemberExists       = rest.Op{Name: "MemberExists", Method: http.MethodGet, Path: "/members/{msisdn}/exists", Safety: rest.Repeatable}
)

// The operations of Redemptions. An initiated payment takes no money until the
// member confirms it.
var (
	opRedemptionsListAccounts     = rest.Op{Name: "RedemptionsListAccounts", Method: http.MethodGet, Path: "/accounts", Safety: rest.Repeatable}
	opRedemptionsListTransactions = rest.Op{Name: "RedemptionsListTransactions", Method: http.MethodGet, Path: "/accounts/{id}/transactions", Safety: rest.Repeatable}
	opRedemptionsInitiatePayment  = rest.Op{Name: "RedemptionsInitiatePayment", Method: http.MethodPost, Path: "/payments", Safety: rest.Once}
	opRedemptionsGetPayment       = rest.Op{Name: "RedemptionsGetPayment", Method: http.MethodGet, Path: "/payments/{id}", Safety: rest.Repeatable}
	opRedemptionsListPayments     = rest.Op{Name: "RedemptionsListPayments", Method: http.MethodGet, Path: "/payments", Safety: rest.Repeatable}
)
