// Package citypay charges stored cards in batches at CityPay (citypay.com).
//
// [Client] is the native client: one method for each endpoint, in CityPay's
// words. [Provider] is the same as a [batch.Provider]: it collects from
// card-holder accounts, in the currency of one merchant.
//
// # Authentication
//
// You are issued a client id and a licence key. Every request is signed with a
// key of its own, made from them, a random nonce and the minute in UTC, so the
// clock must be right: a key lives 5 minutes in production and 20 in the
// sandbox (documented). CityPay also accepts calls only from registered source
// addresses. [Client.Ping] checks all of it.
//
// # A batch
//
// CityPay has one call that creates and starts a batch, so Create is local and
// free of I/O, and Submit sends everything. The batch runs under a number of
// your choosing, 1 to 99,999,999, never used before: a reference that is such
// a number is used as it is; for any other there is ProviderConfig.BatchID, the
// Extra key "batch_id", or a journal, from which batch.Run allocates the next,
// from ProviderConfig.FirstBatchID on. Numbers are per client id (documented),
// so Info.Account names the client id, and the merchant, the batch account and
// the currency are Info.Terms.
//
//   - Item.Reference is CityPay's identifier: 5 to 50 printable ASCII.
//   - Item.Account is the card-holder account id: 5 to 50 of [A-Za-z0-9-_.~].
//   - Item.Amount is 1 to 999,999,999 minor units of the merchant's currency.
//   - A batch has at most 10,000 items, 100 in the sandbox (documented), and
//     its total at most 999,999,999 minor units: the report cannot show more.
//   - Draft.Date becomes batch_date, "when the file was created". No effect of
//     a future date is documented, so a day later than today in UTC is refused.
//
// # What is believed
//
// The tables in codes.go say what each documented code and result means. What
// they do not list leaves doubt.
//
//   - A batch is refused only by valid:false, or by a 422 with a JSON object and
//     a listed code. An empty 401 or 403, a plain 400, a page of HTML and a fault
//     inside CityPay (F001 to F007, 050...) are ErrAmbiguous. After a refusal,
//     Submit reads whether the number is used now: a proxy can deliver a request
//     twice, and the answer to the second is a refusal.
//   - A wrong credential is ErrAuth, because Submit reads the status first. One
//     that may read and not process stays unclear: CityPay documents no words
//     for that.
//   - An item is paid or failed only if result and result_code both say so. A
//     hold, a time-out and T001 (an earlier transaction with this reference
//     exists) are unknown: look the item up before you collect it again.
//   - These fields decide: valid; batches, batch_id, batch_status; identifier,
//     amount, result, result_code. Accounts, merchant, batch account and the
//     total are compared if they are there. Every other field is kept as text.
//   - A row that is wrong, or that contradicts the draft, is unknown, with
//     ErrProtocol beside the report; the other rows stand.
//
// # Before a batch
//
// With ProviderConfig.CheckAccounts, Submit first reads the merchant and every
// account of the batch. [Client.RetrieveAccount] reads one, and
// [Client.ListMerchants] the merchants. [Client.CreateAccount] and
// [Client.RegisterCard] make what is missing, [Client.SetAccountStatus] and
// [Client.SetCardStatus] mend what can be mended. A card's number and its CSC are
// a [Secret], which nothing prints. Whether you may handle them at all is a
// matter of PCI DSS.
//
// # After a batch
//
// [Client.RetrieveTransactions] looks one transaction up. [Provider.Report] of a
// batch that is over does so for up to 100 items that are unknown. It settles
// what CityPay's answer proves, and says in Result.Message what it found:
//
//   - Paid needs one sale of the identifier, merchant, amount and currency, that
//     is open, assigned or settled, and not older than Draft.Date.
//   - Failed or skipped also needs the transaction number of the report's row.
//     Without it, the transaction may be of an earlier batch that used the same
//     identifier, and collecting again could charge twice.
//   - Several transactions, none, any contradiction and a look-up that fails
//     leave the item unknown.
//
// # Money outside a batch
//
// [Client.Charge], [Client.Refund], [Client.Void] and [Client.Capture] have the
// care of Submit: each is sent at most once, and only CityPay's own words are a
// refusal. An unclear one is ErrAmbiguous. [Client.RetrieveTransactions] finds
// out what became of it; it shows nothing until CityPay has recorded it.
//
//	Charge   by its identifier    a sale of the amount that is O, A or S: charged; P: reserved
//	Refund   by its identifier    a refund of the amount that is O, A or S: returned
//	Void     by the number        C: voided
//	Capture  by the number        O, A or S, with the amount: captured; P: not yet
//
// CityPay does not refuse a second charge or refund with another identifier, nor
// documents how long a charge with PolicyEnforce is compared with earlier ones.
// Never repeat an unclear one before a look-up has decided it.
//
// A code that CityPay would also answer to a second delivery of the same request
// ("already refunded", "already voided") is ErrAmbiguous, not a refusal. A reply
// whose sha256 is not that of its fields and the licence key is, too.
//
// [Client.TransactionReport] shows what a look-up cuts off, and
// [Client.MerchantBatchReport] and [Client.RemittanceReport] what is settled and
// remitted. Their sums have no sign: use Net.
//
// # Web hooks
//
// [Client.CreateChannel] and [Client.Subscribe] ask for events. The body of an
// event, its signature, the names of the triggers and whether CityPay sends one
// again are not documented, so this package decodes none and can verify none.
// Anyone who can reach your endpoint can write one: take it as a hint, and ask
// [Client.RetrieveTransactions] or Provider.Poll. Nothing documents an event of a
// batch.
//
// # Operations
//
// Every operation that is known of CityPay, and the method for it.
//
//	POST   /v6/batch/process                                       ProcessBatch         moves money
//	POST   /v6/batch/status                                        BatchStatus
//	POST   /v6/batch/retrieve                                      RetrieveBatch
//	POST   /v6/retrieve                                            RetrieveTransactions
//	GET    /v6/account-exists/{accountid}                          AccountExists
//	GET    /v6/account/{accountid}                                 RetrieveAccount
//	POST   /v6/account/create                                      CreateAccount
//	POST   /v6/account/{accountid}/status                          SetAccountStatus
//	POST   /v6/account/{accountid}/contact                         UpdateContact
//	DELETE /v6/account/{accountid}                                 DeleteAccount
//	POST   /v6/account/{accountid}/register                        RegisterCard
//	POST   /v6/account/{accountid}/card/{cardId}/status            SetCardStatus
//	DELETE /v6/account/{accountid}/card/{cardId}                   DeleteCard
//	POST   /v6/charge                                              Charge               moves money
//	POST   /v6/refund                                              Refund               moves money
//	POST   /v6/void                                                Void                 moves money
//	POST   /v6/capture                                             Capture              moves money
//	GET    /v6/merchants/{clientid}                                ListMerchants
//	POST   /v6/merchant-batch/report                               MerchantBatchReport
//	GET    /v6/merchant-batch/{merchantid}/{batch_no}              MerchantBatch
//	POST   /v6/merchant-batch/{merchantid}/{batch_no}/transactions MerchantBatchTransactions
//	POST   /v6/remittance/report/{clientid}                        RemittanceReport
//	GET    /v6/remittance/report/{clientid}/{date}                 Remittance
//	POST   /v6/transactions                                        TransactionReport
//	POST   /v6/permissions/register-temp-ip                        RegisterTempIP
//	POST   /dk/gen                                                 GenerateDomainKey
//	POST   /dk/check                                               CheckDomainKey
//	POST   /hooks/channel/create                                   CreateChannel
//	POST   /hooks/channel/delete                                   DeleteChannel
//	POST   /hooks/subscribe                                        Subscribe
//	POST   /hooks/unsubscribe                                      Unsubscribe
//	POST   /v6/ping                                                Ping
//	POST   /v6/acl/check                                           CheckACL
//	POST   /v6/authenticate                                        -                    sends the licence key itself
//	POST   /v6/authorise                                           -                    online payments
//	POST   /v6/bin                                                 -                    not for batches
//	POST   /v6/cres                                                -                    online payments
//	POST   /v6/pares                                               -                    removed by CityPay
//	POST   /v6/verify                                              -                    online payments
//	POST   /v6/tokenise                                            -                    online payments
//	POST   /v6/intent/create                                       -                    online payments
//	POST   /v6/intent/retrieve                                     -                    online payments
//	POST   /direct/*                                               -                    Direct Post: for browsers
//	any    /paylink/*                                              -                    payment pages
//
// # Open questions
//
// These are not documented. The code takes the careful side of each, and the
// simulator in citypaytest plays both.
//
//   - Whether a second batch under the same number is refused. There is a code
//     for it (B008), but not what it compares. So an unclear Submit is never
//     sent again, unless ProviderConfig.DuplicateIDRefused says that you have
//     seen the refusal in the sandbox.
//   - What status says of a number it has never seen. A row UNKNOWN and B002 are
//     documented, and let Submit send. An empty list is not, unless
//     ProviderConfig.AbsentMeansUnused says that you have seen it. None of them
//     proves that an unclear batch will never arrive.
//   - Whether each batch account has numbers of its own. The documentation names
//     the client id, so use one sequence for all of them.
//   - Whether one bad row refuses the batch or only fails itself.
//   - What rows a report has before the batch is complete: until then every
//     item is pending.
package citypay
