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
