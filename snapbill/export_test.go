package snapbill

import (
	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
)

// Operations is the whole table, for the test that audits it.
var Operations = []rest.Op{opGetBatch, opListBatches, opAddBatch, opUpdateBatch, opSetBatchState, opGetPayment, opListPayments,
	opGetClient, opListClients, opAddClient, opUpdateClient, opAddInvoice, opGenerateInvoice, opGetInvoice, opListInvoices,
	opGetPaymentMethod, opListPaymentMethods, opGetCurrency, opListCurrencies, opCurrentAccount, opGetAction, opListActions,
	opIndex, opObjectIndex, opForm, opObjectForm}

// Check is what the client does with every object that it has read.
func Check(v any) error {
	if o, ok := v.(interface{ check() error }); ok {
		return o.check()
	}
	return nil
}

// StateOf is what a batch at the service means.
func StateOf(b *Batch) batch.State { return state(b) }
