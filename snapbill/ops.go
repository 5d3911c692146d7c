package snapbill

import (
	"net/http"

	"github.com/batchway/batchway-go/internal/rest"
)

// The operations of SnapBill, and what may be done with each. All but the
// discovery is POST, reads too. Once is sent at most once, whatever happens:
// nothing here can be repeated without effect. This table is the whole audit.
var (
	opGetBatch      = rest.Op{Name: "GetBatch", Method: http.MethodPost, Path: "/batch/{id}/get.json", Safety: rest.Repeatable}
	opListBatches   = rest.Op{Name: "ListBatches", Method: http.MethodPost, Path: "/batch/list.json", Safety: rest.Repeatable}
	opAddBatch      = rest.Op{Name: "AddBatch", Method: http.MethodPost, Path: "/batch/add.json", Safety: rest.Once}
	opUpdateBatch   = rest.Op{Name: "UpdateBatch", Method: http.MethodPost, Path: "/batch/{id}/update.json", Safety: rest.Once}      // moves money
	opSetBatchState = rest.Op{Name: "SetBatchState", Method: http.MethodPost, Path: "/batch/{id}/set_state.json", Safety: rest.Once} // moves money

	opGetPayment   = rest.Op{Name: "GetPayment", Method: http.MethodPost, Path: "/payment/{id}/get.json", Safety: rest.Repeatable}
	opListPayments = rest.Op{Name: "ListPayments", Method: http.MethodPost, Path: "/payment/list.json", Safety: rest.Repeatable}

	opGetClient       = rest.Op{Name: "GetClient", Method: http.MethodPost, Path: "/client/{id}/get.json", Safety: rest.Repeatable}
	opListClients     = rest.Op{Name: "ListClients", Method: http.MethodPost, Path: "/client/list.json", Safety: rest.Repeatable}
	opAddClient       = rest.Op{Name: "AddClient", Method: http.MethodPost, Path: "/client/add.json", Safety: rest.Once}
	opUpdateClient    = rest.Op{Name: "UpdateClient", Method: http.MethodPost, Path: "/client/{id}/update.json", Safety: rest.Once}
	opAddInvoice      = rest.Op{Name: "AddInvoice", Method: http.MethodPost, Path: "/client/{id}/add_invoice.json", Safety: rest.Once}
	opGenerateInvoice = rest.Op{Name: "GenerateInvoice", Method: http.MethodPost, Path: "/client/{id}/generate_invoice.json", Safety: rest.Once}

	opGetInvoice         = rest.Op{Name: "GetInvoice", Method: http.MethodPost, Path: "/invoice/{id}/get.json", Safety: rest.Repeatable}
	opListInvoices       = rest.Op{Name: "ListInvoices", Method: http.MethodPost, Path: "/invoice/list.json", Safety: rest.Repeatable}
	opGetPaymentMethod   = rest.Op{Name: "GetPaymentMethod", Method: http.MethodPost, Path: "/payment_method/{code}/get.json", Safety: rest.Repeatable}
	opListPaymentMethods = rest.Op{Name: "ListPaymentMethods", Method: http.MethodPost, Path: "/payment_method/list.json", Safety: rest.Repeatable}
	opGetCurrency        = rest.Op{Name: "GetCurrency", Method: http.MethodPost, Path: "/currency/{code}/get.json", Safety: rest.Repeatable}
	opListCurrencies     = rest.Op{Name: "ListCurrencies", Method: http.MethodPost, Path: "/currency/list.json", Safety: rest.Repeatable}
	opCurrentAccount     = rest.Op{Name: "CurrentAccount", Method: http.MethodPost, Path: "/account/current.json", Safety: rest.Repeatable}
	opGetAction          = rest.Op{Name: "GetAction", Method: http.MethodPost, Path: "/action/{id}/get.json", Safety: rest.Repeatable}
	opListActions        = rest.Op{Name: "ListActions", Method: http.MethodPost, Path: "/action/list.json", Safety: rest.Repeatable}

	opIndex       = rest.Op{Name: "Index", Method: http.MethodGet, Path: "/{class}.json", Safety: rest.Repeatable}
	opObjectIndex = rest.Op{Name: "ObjectIndex", Method: http.MethodGet, Path: "/{class}/{id}.json", Safety: rest.Repeatable}
	opForm        = rest.Op{Name: "Form", Method: http.MethodGet, Path: "/{class}/{command}.json", Safety: rest.Repeatable}
	opObjectForm  = rest.Op{Name: "ObjectForm", Method: http.MethodGet, Path: "/{class}/{id}/{command}.json", Safety: rest.Repeatable}
)
