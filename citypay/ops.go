package citypay

import (
	"net/http"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The operations, and what may be done with each. CityPay uses POST for
// almost everything, so the method says nothing: this table is the whole audit. Once
// is sent at most once, whatever happens.
var (
	opProcessBatch              = batchhttp.Op{Name: "ProcessBatch", Method: http.MethodPost, Path: "/v6/batch/process", Safety: batchhttp.Once} // moves money
	opBatchStatus               = batchhttp.Op{Name: "BatchStatus", Method: http.MethodPost, Path: "/v6/batch/status", Safety: batchhttp.Repeatable}
	opRetrieveBatch             = batchhttp.Op{Name: "RetrieveBatch", Method: http.MethodPost, Path: "/v6/batch/retrieve", Safety: batchhttp.Repeatable}
	opRetrieveTransactions      = batchhttp.Op{Name: "RetrieveTransactions", Method: http.MethodPost, Path: "/v6/retrieve", Safety: batchhttp.Repeatable}
	opCharge                    = batchhttp.Op{Name: "Charge", Method: http.MethodPost, Path: "/v6/charge", Safety: batchhttp.Once}   // moves money
	opRefund                    = batchhttp.Op{Name: "Refund", Method: http.MethodPost, Path: "/v6/refund", Safety: batchhttp.Once}   // moves money
	opVoid                      = batchhttp.Op{Name: "Void", Method: http.MethodPost, Path: "/v6/void", Safety: batchhttp.Once}       // moves money
	opCapture                   = batchhttp.Op{Name: "Capture", Method: http.MethodPost, Path: "/v6/capture", Safety: batchhttp.Once} // moves money
	opAccountExists             = batchhttp.Op{Name: "AccountExists", Method: http.MethodGet, Path: "/v6/account-exists/{accountid}", Safety: batchhttp.Repeatable}
	opRetrieveAccount           = batchhttp.Op{Name: "RetrieveAccount", Method: http.MethodGet, Path: "/v6/account/{accountid}", Safety: batchhttp.Repeatable}
	opCreateAccount             = batchhttp.Op{Name: "CreateAccount", Method: http.MethodPost, Path: "/v6/account/create", Safety: batchhttp.Once}
	opUpdateContact             = batchhttp.Op{Name: "UpdateContact", Method: http.MethodPost, Path: "/v6/account/{accountid}/contact", Safety: batchhttp.Once}
	opDeleteAccount             = batchhttp.Op{Name: "DeleteAccount", Method: http.MethodDelete, Path: "/v6/account/{accountid}", Safety: batchhttp.Once}
	opRegisterCard              = batchhttp.Op{Name: "RegisterCard", Method: http.MethodPost, Path: "/v6/account/{accountid}/register", Safety: batchhttp.Once}
	opDeleteCard                = batchhttp.Op{Name: "DeleteCard", Method: http.MethodDelete, Path: "/v6/account/{accountid}/card/{cardId}", Safety: batchhttp.Once}
	opSetAccountStatus          = batchhttp.Op{Name: "SetAccountStatus", Method: http.MethodPost, Path: "/v6/account/{accountid}/status", Safety: batchhttp.Once}
	opSetCardStatus             = batchhttp.Op{Name: "SetCardStatus", Method: http.MethodPost, Path: "/v6/account/{accountid}/card/{cardId}/status", Safety: batchhttp.Once}
	opListMerchants             = batchhttp.Op{Name: "ListMerchants", Method: http.MethodGet, Path: "/v6/merchants/{clientid}", Safety: batchhttp.Repeatable}
	opMerchantBatchReport       = batchhttp.Op{Name: "MerchantBatchReport", Method: http.MethodPost, Path: "/v6/merchant-batch/report", Safety: batchhttp.Repeatable}
	opMerchantBatch             = batchhttp.Op{Name: "MerchantBatch", Method: http.MethodGet, Path: "/v6/merchant-batch/{merchantid}/{batch_no}", Safety: batchhttp.Repeatable}
	opMerchantBatchTransactions = batchhttp.Op{Name: "MerchantBatchTransactions", Method: http.MethodPost, Path: "/v6/merchant-batch/{merchantid}/{batch_no}/transactions", Safety: batchhttp.Repeatable}
	opRemittanceReport          = batchhttp.Op{Name: "RemittanceReport", Method: http.MethodPost, Path: "/v6/remittance/report/{clientid}", Safety: batchhttp.Repeatable}
	opRemittance                = batchhttp.Op{Name: "Remittance", Method: http.MethodGet, Path: "/v6/remittance/report/{clientid}/{date}", Safety: batchhttp.Repeatable}
	opTransactionReport         = batchhttp.Op{Name: "TransactionReport", Method: http.MethodPost, Path: "/v6/transactions", Safety: batchhttp.Repeatable}
	opRegisterTempIP            = batchhttp.Op{Name: "RegisterTempIP", Method: http.MethodPost, Path: "/v6/permissions/register-temp-ip", Safety: batchhttp.Once}
	opGenerateDomainKey         = batchhttp.Op{Name: "GenerateDomainKey", Method: http.MethodPost, Path: "/dk/gen", Safety: batchhttp.Once}
	opCheckDomainKey            = batchhttp.Op{Name: "CheckDomainKey", Method: http.MethodPost, Path: "/dk/check", Safety: batchhttp.Repeatable}
	opCreateChannel             = batchhttp.Op{Name: "CreateChannel", Method: http.MethodPost, Path: "/hooks/channel/create", Safety: batchhttp.Once}
	opDeleteChannel             = batchhttp.Op{Name: "DeleteChannel", Method: http.MethodPost, Path: "/hooks/channel/delete", Safety: batchhttp.Once}
	opSubscribe                 = batchhttp.Op{Name: "Subscribe", Method: http.MethodPost, Path: "/hooks/subscribe", Safety: batchhttp.Once}
	opUnsubscribe               = batchhttp.Op{Name: "Unsubscribe", Method: http.MethodPost, Path: "/hooks/unsubscribe", Safety: batchhttp.Once}
	opPing                      = batchhttp.Op{Name: "Ping", Method: http.MethodPost, Path: "/v6/ping", Safety: batchhttp.Repeatable}
	opCheckACL                  = batchhttp.Op{Name: "CheckACL", Method: http.MethodPost, Path: "/v6/acl/check", Safety: batchhttp.Repeatable}
)
