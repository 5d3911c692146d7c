package snapbill

import "github.com/batchway/batchway-go/internal/rest"

// Operations is the whole table, for the test that audits it.
var Operations = []rest.Op{opGetBatch, opListBatches, opAddBatch, opUpdateBatch, opSetBatchState, opGetPayment, opListPayments,
	opGetClient, opListClients, opAddClient, opUpdateClient, opAddInvoice, opGenerateInvoice, opGetInvoice, opListInvoices,
	opGetPaymentMethod, opListPaymentMethods, opGetCurrency, opListCurrencies, opCurrentAccount, opGetAction, opListActions,
	opIndex, opObjectIndex, opForm, opObjectForm}
