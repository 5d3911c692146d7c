package snapbill

import (
	"net/http"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The operations of SnapBill, and what may be done with each. All but the
// discovery is POST, reads too. Once is sent at most once, whatever happens:
// nothing here can be repeated without effect. This table is the whole audit.
var (
	opGetBatch      = batchhttp.Op{Name: "GetBatch", Method: http.MethodPost, Path: "/batch/{id}/get.json", Safety: batchhttp.Repeatable}
	opListBatches   = batchhttp.Op{Name: "ListBatches", Method: http.MethodPost, Path: "/batch/list.json", Safety: batchhttp.Repeatable}
	opAddBatch      = batchhttp.Op{Name: "AddBatch", Method: http.MethodPost, Path: "/batch/add.json", Safety: batchhttp.Once}
	opUpdateBatch   = batchhttp.Op{Name: "UpdateBatch", Method: http.MethodPost, Path: "/batch/{id}/update.json", Safety: batchhttp.Once}      // moves money
	opSetBatchState = batchhttp.Op{Name: "SetBatchState", Method: http.MethodPost, Path: "/batch/{id}/set_state.json", Safety: batchhttp.Once} // moves money

	opGetPayment   = batchhttp.Op{Name: "GetPayment", Method: http.MethodPost, Path: "/payment/{id}/get.json", Safety: batchhttp.Repeatable}
	opListPayments = batchhttp.Op{Name: "ListPayments", Method: http.MethodPost, Path: "/payment/list.json", Safety: batchhttp.Repeatable}

	opGetClient       = batchhttp.Op{Name: "GetClient", Method: http.MethodPost, Path: "/client/{id}/get.json", Safety: batchhttp.Repeatable}
	opListClients     = batchhttp.Op{Name: "ListClients", Method: http.MethodPost, Path: "/client/list.json", Safety: batchhttp.Repeatable}
	opAddClient       = batchhttp.Op{Name: "AddClient", Method: http.MethodPost, Path: "/client/add.json", Safety: batchhttp.Once}
	opUpdateClient    = batchhttp.Op{Name: "UpdateClient", Method: http.MethodPost, Path: "/client/{id}/update.json", Safety: batchhttp.Once} // a change of credit books a payment
	opAddInvoice      = batchhttp.Op{Name: "AddInvoice", Method: http.MethodPost, Path: "/client/{id}/add_invoice.json", Safety: batchhttp.Once}
	opGenerateInvoice = batchhttp.Op{Name: "GenerateInvoice", Method: http.MethodPost, Path: "/client/{id}/generate_invoice.json", Safety: batchhttp.Once}

	opGetInvoice         = batchhttp.Op{Name: "GetInvoice", Method: http.MethodPost, Path: "/invoice/{id}/get.json", Safety: batchhttp.Repeatable}
	opListInvoices       = batchhttp.Op{Name: "ListInvoices", Method: http.MethodPost, Path: "/invoice/list.json", Safety: batchhttp.Repeatable}
	opGetPaymentMethod   = batchhttp.Op{Name: "GetPaymentMethod", Method: http.MethodPost, Path: "/payment_method/{code}/get.json", Safety: batchhttp.Repeatable}
	opListPaymentMethods = batchhttp.Op{Name: "ListPaymentMethods", Method: http.MethodPost, Path: "/payment_method/list.json", Safety: batchhttp.Repeatable}
	opGetCurrency        = batchhttp.Op{Name: "GetCurrency", Method: http.MethodPost, Path: "/currency/{code}/get.json", Safety: batchhttp.Repeatable}
	opListCurrencies     = batchhttp.Op{Name: "ListCurrencies", Method: http.MethodPost, Path: "/currency/list.json", Safety: batchhttp.Repeatable}
	opCurrentAccount     = batchhttp.Op{Name: "CurrentAccount", Method: http.MethodPost, Path: "/account/current.json", Safety: batchhttp.Repeatable}
	opGetAction          = batchhttp.Op{Name: "GetAction", Method: http.MethodPost, Path: "/action/{id}/get.json", Safety: batchhttp.Repeatable}
	opListActions        = batchhttp.Op{Name: "ListActions", Method: http.MethodPost, Path: "/action/list.json", Safety: batchhttp.Repeatable}

	opDeleteClient         = batchhttp.Op{Name: "DeleteClient", Method: http.MethodPost, Path: "/client/{id}/delete.json", Safety: batchhttp.Once}
	opSetPayment           = batchhttp.Op{Name: "SetPayment", Method: http.MethodPost, Path: "/client/{id}/set_payment.json", Safety: batchhttp.Once} // decides which account is debited
	opGetPaymentDetails    = batchhttp.Op{Name: "GetPaymentDetails", Method: http.MethodPost, Path: "/payment_details/{id}/get.json", Safety: batchhttp.Repeatable}
	opListPaymentDetails   = batchhttp.Op{Name: "ListPaymentDetails", Method: http.MethodPost, Path: "/payment_details/list.json", Safety: batchhttp.Repeatable}
	opUpdatePaymentDetails = batchhttp.Op{Name: "UpdatePaymentDetails", Method: http.MethodPost, Path: "/payment_details/{id}/update.json", Safety: batchhttp.Once}

	opAddRecurringInvoice   = batchhttp.Op{Name: "AddRecurringInvoice", Method: http.MethodPost, Path: "/client/{id}/add_recurring_invoice.json", Safety: batchhttp.Once} // decides what is debited later
	opListRecurringInvoices = batchhttp.Op{Name: "ListRecurringInvoices", Method: http.MethodPost, Path: "/recurring_invoice/list.json", Safety: batchhttp.Repeatable}
	opAddService            = batchhttp.Op{Name: "AddService", Method: http.MethodPost, Path: "/client/{id}/add_service.json", Safety: batchhttp.Once} // decides what is debited later
	opRemoveService         = batchhttp.Op{Name: "RemoveService", Method: http.MethodPost, Path: "/service/{id}/remove.json", Safety: batchhttp.Once}
	opListServices          = batchhttp.Op{Name: "ListServices", Method: http.MethodPost, Path: "/service/list.json", Safety: batchhttp.Repeatable}
	opGetServiceType        = batchhttp.Op{Name: "GetServiceType", Method: http.MethodPost, Path: "/service_type/{id}/get.json", Safety: batchhttp.Repeatable}
	opListServiceTypes      = batchhttp.Op{Name: "ListServiceTypes", Method: http.MethodPost, Path: "/service_type/list.json", Safety: batchhttp.Repeatable}
	opGetPackage            = batchhttp.Op{Name: "GetPackage", Method: http.MethodPost, Path: "/package/{id}/get.json", Safety: batchhttp.Repeatable}
	opListPackages          = batchhttp.Op{Name: "ListPackages", Method: http.MethodPost, Path: "/package/list.json", Safety: batchhttp.Repeatable}

	opAddUser          = batchhttp.Op{Name: "AddUser", Method: http.MethodPost, Path: "/client/{id}/add_user.json", Safety: batchhttp.Once}
	opListUsers        = batchhttp.Op{Name: "ListUsers", Method: http.MethodPost, Path: "/user/list.json", Safety: batchhttp.Repeatable}
	opAddSession       = batchhttp.Op{Name: "AddSession", Method: http.MethodPost, Path: "/user/{id}/add_session.json", Safety: batchhttp.Once}
	opSendLostPassword = batchhttp.Op{Name: "SendLostPassword", Method: http.MethodPost, Path: "/client/{id}/lost_password.json", Safety: batchhttp.Once}
	opListEmails       = batchhttp.Op{Name: "ListEmails", Method: http.MethodPost, Path: "/email/list.json", Safety: batchhttp.Repeatable}

	opInvoicePDF    = batchhttp.Op{Name: "InvoicePDF", Method: http.MethodPost, Path: "/invoice/{id}/pdf", Safety: batchhttp.Repeatable}
	opGetCountry    = batchhttp.Op{Name: "GetCountry", Method: http.MethodPost, Path: "/country/{code}/get.json", Safety: batchhttp.Repeatable}
	opListCountries = batchhttp.Op{Name: "ListCountries", Method: http.MethodPost, Path: "/country/list.json", Safety: batchhttp.Repeatable}
	opListAccounts  = batchhttp.Op{Name: "ListAccounts", Method: http.MethodPost, Path: "/account/list.json", Safety: batchhttp.Repeatable}

	opIndex       = batchhttp.Op{Name: "Index", Method: http.MethodGet, Path: "/{class}.json", Safety: batchhttp.Repeatable}
	opObjectIndex = batchhttp.Op{Name: "ObjectIndex", Method: http.MethodGet, Path: "/{class}/{id}.json", Safety: batchhttp.Repeatable}
	opForm        = batchhttp.Op{Name: "Form", Method: http.MethodGet, Path: "/{class}/{command}.json", Safety: batchhttp.Repeatable}
	opObjectForm  = batchhttp.Op{Name: "ObjectForm", Method: http.MethodGet, Path: "/{class}/{id}/{command}.json", Safety: batchhttp.Repeatable}

	// Unknown commands, for Client.Send: Once, unless the caller says that one only reads.
	opCommand       = batchhttp.Op{Name: "Command", Method: http.MethodPost, Path: "/{class}/{command}.json", Safety: batchhttp.Once}
	opObjectCommand = batchhttp.Op{Name: "ObjectCommand", Method: http.MethodPost, Path: "/{class}/{id}/{command}.json", Safety: batchhttp.Once}
)

// operations is the whole table.
var operations = []batchhttp.Op{
	opGetBatch, opListBatches, opAddBatch, opUpdateBatch, opSetBatchState, opGetPayment, opListPayments,
	opGetClient, opListClients, opAddClient, opUpdateClient, opAddInvoice, opGenerateInvoice, opGetInvoice,
	opListInvoices, opGetPaymentMethod, opListPaymentMethods, opGetCurrency, opListCurrencies, opCurrentAccount,
	opGetAction, opListActions, opDeleteClient, opSetPayment, opGetPaymentDetails, opListPaymentDetails,
	opUpdatePaymentDetails, opAddRecurringInvoice, opListRecurringInvoices, opAddService, opRemoveService,
	opListServices, opGetServiceType, opListServiceTypes, opGetPackage, opListPackages, opAddUser, opListUsers,
	opAddSession, opSendLostPassword, opListEmails, opInvoicePDF, opGetCountry, opListCountries,
	opListAccounts, opIndex, opObjectIndex, opForm, opObjectForm, opCommand, opObjectCommand,
}
