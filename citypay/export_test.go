package citypay

import "github.com/batchway/batchway-go/batch/batchhttp"

// Operations is the whole table, for the test that audits it.
var Operations = []batchhttp.Op{opProcessBatch, opBatchStatus, opRetrieveBatch, opRetrieveTransactions,
	opCharge, opRefund, opVoid, opCapture,
	opAccountExists, opRetrieveAccount, opCreateAccount, opUpdateContact, opDeleteAccount, opRegisterCard, opDeleteCard,
	opSetAccountStatus, opSetCardStatus, opListMerchants, opMerchantBatchReport, opMerchantBatch,
	opMerchantBatchTransactions,
	opRemittanceReport, opRemittance, opTransactionReport,
	opRegisterTempIP, opGenerateDomainKey, opCheckDomainKey, opCreateChannel, opDeleteChannel,
	opSubscribe, opUnsubscribe,
	opPing, opCheckACL}

// Refusal is how an error reply is read.
var Refusal = refusal
