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

	opDeleteClient         = rest.Op{Name: "DeleteClient", Method: http.MethodPost, Path: "/client/{id}/delete.json", Safety: rest.Once}
	opSetPayment           = rest.Op{Name: "SetPayment", Method: http.MethodPost, Path: "/client/{id}/set_payment.json", Safety: rest.Once} // decides which account is debited
	opGetPaymentDetails    = rest.Op{Name: "GetPaymentDetails", Method: http.MethodPost, Path: "/payment_details/{id}/get.json", Safety: rest.Repeatable}
	opListPaymentDetails   = rest.Op{Name: "ListPaymentDetails", Method: http.MethodPost, Path: "/payment_details/list.json", Safety: rest.Repeatable}
	opUpdatePaymentDetails = rest.Op{Name: "UpdatePaymentDetails", Method: http.MethodPost, Path: "/payment_details/{id}/update.json", Safety: rest.Once}

	opAddRecurringInvoice   = rest.Op{Name: "AddRecurringInvoice", Method: http.MethodPost, Path: "/client/{id}/add_recurring_invoice.json", Safety: rest.Once} // decides what is debited later
	opListRecurringInvoices = rest.Op{Name: "ListRecurringInvoices", Method: http.MethodPost, Path: "/recurring_invoice/list.json", Safety: rest.Repeatable}
	opAddService            = rest.Op{Name: "AddService", Method: http.MethodPost, Path: "/client/{id}/add_service.json", Safety: rest.Once} // decides what is debited later
	opRemoveService         = rest.Op{Name: "RemoveService", Method: http.MethodPost, Path: "/service/{id}/remove.json", Safety: rest.Once}
	opListServices          = rest.Op{Name: "ListServices", Method: http.MethodPost, Path: "/service/list.json", Safety: rest.Repeatable}
	opGetServiceType        = rest.Op{Name: "GetServiceType", Method: http.MethodPost, Path: "/service_type/{id}/get.json", Safety: rest.Repeatable}
	opListServiceTypes      = rest.Op{Name: "ListServiceTypes", Method: http.MethodPost, Path: "/service_type/list.json", Safety: rest.Repeatable}
	opGetPackage            = rest.Op{Name: "GetPackage", Method: http.MethodPost, Path: "/package/{id}/get.json", Safety: rest.Repeatable}
	opListPackages          = rest.Op{Name: "ListPackages", Method: http.MethodPost, Path: "/package/list.json", Safety: rest.Repeatable}

	opAddUser          = rest.Op{Name: "AddUser", Method: http.MethodPost, Path: "/client/{id}/add_user.json", Safety: rest.Once}
	opListUsers        = rest.Op{Name: "ListUsers", Method: http.MethodPost, Path: "/user/list.json", Safety: rest.Repeatable}
	opAddSession       = rest.Op{Name: "AddSession", Method: http.MethodPost, Path: "/user/{id}/add_session.json", Safety: rest.Once}
	opSendLostPassword = rest.Op{Name: "SendLostPassword", Method: http.MethodPost, Path: "/client/{id}/lost_password.json", Safety: rest.Once}
	opListEmails       = rest.Op{Name: "ListEmails", Method: http.MethodPost, Path: "/email/list.json", Safety: rest.Repeatable}

	opInvoicePDF    = rest.Op{Name: "InvoicePDF", Method: http.MethodPost, Path: "/invoice/{id}/pdf", Safety: rest.Repeatable}
	opGetCountry    = rest.Op{Name: "GetCountry", Method: http.MethodPost, Path: "/country/{code}/get.json", Safety: rest.Repeatable}
	opListCountries = rest.Op{Name: "ListCountries", Method: http.MethodPost, Path: "/country/list.json", Safety: rest.Repeatable}
	opListAccounts  = rest.Op{Name: "ListAccounts", Method: http.MethodPost, Path: "/account/list.json", Safety: rest.Repeatable}

	opIndex       = rest.Op{Name: "Index", Method: http.MethodGet, Path: "/{class}.json", Safety: rest.Repeatable}
	opObjectIndex = rest.Op{Name: "ObjectIndex", Method: http.MethodGet, Path: "/{class}/{id}.json", Safety: rest.Repeatable}
	opForm        = rest.Op{Name: "Form", Method: http.MethodGet, Path: "/{class}/{command}.json", Safety: rest.Repeatable}
	opObjectForm  = rest.Op{Name: "ObjectForm", Method: http.MethodGet, Path: "/{class}/{id}/{command}.json", Safety: rest.Repeatable}

	// Unknown commands, for Client.Send: Once, unless the caller says that one only reads.
	opCommand       = rest.Op{Name: "Command", Method: http.MethodPost, Path: "/{class}/{command}.json", Safety: rest.Once}
	opObjectCommand = rest.Op{Name: "ObjectCommand", Method: http.MethodPost, Path: "/{class}/{id}/{command}.json", Safety: rest.Once}
)

// operations is the whole table.
var operations = []rest.Op{
	opGetBatch, opListBatches, opAddBatch, opUpdateBatch, opSetBatchState, opGetPayment, opListPayments,
	opGetClient, opListClients, opAddClient, opUpdateClient, opAddInvoice, opGenerateInvoice, opGetInvoice,
	opListInvoices, opGetPaymentMethod, opListPaymentMethods, opGetCurrency, opListCurrencies, opCurrentAccount,
	opGetAction, opListActions, opDeleteClient, opSetPayment, opGetPaymentDetails, opListPaymentDetails,
	opUpdatePaymentDetails, opAddRecurringInvoice, opListRecurringInvoices, opAddService, opRemoveService,
	opListServices, opGetServiceType, opListServiceTypes, opGetPackage, opListPackages, opAddUser, opListUsers,
	opAddSession, opSendLostPassword, opListEmails, opInvoicePDF, opGetCountry, opListCountries,
	opListAccounts, opIndex, opObjectIndex, opForm, opObjectForm, opCommand, opObjectCommand,
}
