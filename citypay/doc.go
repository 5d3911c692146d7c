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
// from ProviderConfig.FirstBatchID on.
//
//   - Item.Reference is CityPay's identifier: 5 to 50 printable ASCII.
//   - Item.Account is the card-holder account id: 5 to 50 of [A-Za-z0-9-_.~].
//   - Item.Amount is 1 to 999,999,999 minor units of the merchant's currency.
//   - A batch has at most 10,000 items, 100 in the sandbox (documented), and
//     its total at most 999,999,999 minor units: the report cannot show more.
//   - Draft.Date becomes batch_date, "when the file was created". No effect of
//     a future date is documented, so one is refused.
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
//   - What status says of a number it has never seen: a row UNKNOWN, no row, or
//     error B002. All three are taken for "not seen", none for "never will be".
//   - Whether one bad row refuses the batch or only fails itself.
//   - What rows a report has before the batch is complete: until then every
//     item is pending.
package citypay
