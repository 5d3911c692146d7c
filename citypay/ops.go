package citypay

import (
	"net/http"

	"github.com/batchway/batchway-go/internal/rest"
)

// The operations, and what may be done with each. CityPay uses POST for
// almost everything, so the method says nothing: this table is the whole audit. Once
// is sent at most once, whatever happens.
var (
	opProcessBatch              = rest.Op{Name: "ProcessBatch", Method: http.MethodPost, Path: "/v6/batch/process", Safety: rest.Once} // moves money
	opBatchStatus               = rest.Op{Name: "BatchStatus", Method: http.MethodPost, Path: "/v6/batch/status", Safety: rest.Repeatable}
	opRetrieveBatch             = rest.Op{Name: "RetrieveBatch", Method: http.MethodPost, Path: "/v6/batch/retrieve", Safety: rest.Repeatable}
	opRetrieveTransactions      = rest.Op{Name: "RetrieveTransactions", Method: http.MethodPost, Path: "/v6/retrieve", Safety: rest.Repeatable}
	opCharge                    = rest.Op{Name: "Charge", Method: http.MethodPost, Path: "/v6/charge", Safety: rest.Once}   // moves money
	opRefund                    = rest.Op{Name: "Refund", Method: http.MethodPost, Path: "/v6/refund", Safety: rest.Once}   // moves money
	opVoid                      = rest.Op{Name: "Void", Method: http.MethodPost, Path: "/v6/void", Safety: rest.Once}       // moves money
	opCapture                   = rest.Op{Name: "Capture", Method: http.MethodPost, Path: "/v6/capture", Safety: rest.Once} // moves money
	opAccountExists             = rest.Op{Name: "AccountExists", Method: http.MethodGet, Path: "/v6/account-exists/{accountid}", Safety: rest.Repeatable}
	opRetrieveAccount           = rest.Op{Name: "RetrieveAccount", Method: http.MethodGet, Path: "/v6/account/{accountid}", Safety: rest.Repeatable}
	opCreateAccount             = rest.Op{Name: "CreateAccount", Method: http.MethodPost, Path: "/v6/account/create", Safety: rest.Once}
	opUpdateContact             = rest.Op{Name: "UpdateContact", Method: http.MethodPost, Path: "/v6/account/{accountid}/contact", Safety: rest.Once}
	opDeleteAccount             = rest.Op{Name: "DeleteAccount", Method: http.MethodDelete, Path: "/v6/account/{accountid}", Safety: rest.Once}
	opRegisterCard              = rest.Op{Name: "RegisterCard", Method: http.MethodPost, Path: "/v6/account/{accountid}/register", Safety: rest.Once}
	opDeleteCard                = rest.Op{Name: "DeleteCard", Method: http.MethodDelete, Path: "/v6/account/{accountid}/card/{cardId}", Safety: rest.Once}
	opSetAccountStatus          = rest.Op{Name: "SetAccountStatus", Method: http.MethodPost, Path: "/v6/account/{accountid}/status", Safety: rest.Once}
	opSetCardStatus             = rest.Op{Name: "SetCardStatus", Method: http.MethodPost, Path: "/v6/account/{accountid}/card/{cardId}/status", Safety: rest.Once}
	opListMerchants             = rest.Op{Name: "ListMerchants", Method: http.MethodGet, Path: "/v6/merchants/{clientid}", Safety: rest.Repeatable}
	opMerchantBatchReport       = rest.Op{Name: "MerchantBatchReport", Method: http.MethodPost, Path: "/v6/merchant-batch/report", Safety: rest.Repeatable}
	opMerchantBatch             = rest.Op{Name: "MerchantBatch", Method: http.MethodGet, Path: "/v6/merchant-batch/{merchantid}/{batch_no}", Safety: rest.Repeatable}
	opMerchantBatchTransactions = rest.Op{Name: "MerchantBatchTransactions", Method: http.MethodPost, Path: "/v6/merchant-batch/{merchantid}/{batch_no}/transactions", Safety: rest.Repeatable}
	opRemittanceReport          = rest.Op{Name: "RemittanceReport", Method: http.MethodPost, Path: "/v6/remittance/report/{clientid}", Safety: rest.Repeatable}
	opRemittance                = rest.Op{Name: "Remittance", Method: http.MethodGet, Path: "/v6/remittance/report/{clientid}/{date}", Safety: rest.Repeatable}
	opTransactionReport         = rest.Op{Name: "TransactionReport", Method: http.MethodPost, Path: "/v6/transactions", Safety: rest.Repeatable}
	opRegisterTempIP            = rest.Op{Name: "RegisterTempIP", Method: http.MethodPost, Path: "/v6/permissions/register-temp-ip", Safety: rest.Once}
	opGenerateDomainKey         = rest.Op{Name: "GenerateDomainKey", Method: http.MethodPost, Path: "/dk/gen", Safety: rest.Once}
	opCheckDomainKey            = rest.Op{Name: "CheckDomainKey", Method: http.MethodPost, Path: "/dk/check", Safety: rest.Repeatable}
	opCreateChannel             = rest.Op{Name: "CreateChannel", Method: http.MethodPost, Path: "/hooks/channel/create", Safety: rest.Once}
	opDeleteChannel             = rest.Op{Name: "DeleteChannel", Method: http.MethodPost, Path: "/hooks/channel/delete", Safety: rest.Once}
	opSubscribe                 = rest.Op{Name: "Subscribe", Method: http.MethodPost, Path: "/hooks/subscribe", Safety: rest.Once}
	opUnsubscribe               = rest.Op{Name: "Unsubscribe", Method: http.MethodPost, Path: "/hooks/unsubscribe", Safety: rest.Once}
	opPing                      = rest.Op{Name: "Ping", Method: http.MethodPost, Path: "/v6/ping", Safety: rest.Repeatable}
	opCheckACL                  = rest.Op{Name: "CheckACL", Method: http.MethodPost, Path: "/v6/acl/check", Safety: rest.Repeatable}
)
