package citypay

import "github.com/batchway/batchway-go/internal/rest"

// Operations is the whole table, for the test that audits it.
var Operations = []rest.Op{opProcessBatch, opBatchStatus, opRetrieveBatch, opRetrieveTransactions,
	opCharge, opRefund, opVoid, opCapture,
	opAccountExists, opRetrieveAccount, opCreateAccount, opUpdateContact, opDeleteAccount, opRegisterCard, opDeleteCard,
	opSetAccountStatus, opSetCardStatus, opListMerchants, opMerchantBatchReport, opMerchantBatch, opMerchantBatchTransactions,
	opRemittanceReport, opRemittance, opTransactionReport,
	opRegisterTempIP, opGenerateDomainKey, opCheckDomainKey, opCreateChannel, opDeleteChannel, opSubscribe, opUnsubscribe,
	opPing, opCheckACL}
