// Package centrapay loads records in bulk at Centrapay (centrapay.com): asset
// accounts with their balances and cards, tickets, businesses, terminals. No
// money moves, but a balance is value that can be spent.
//
// [Client] is the native client: one method for each endpoint, in Centrapay's
// words. [Provider] is the same as a [batch.Provider] of direction Load.
// [Encode] writes the files, and [FileGate] can host them.
//
// # Authentication
//
// An API key, which belongs to one account and does not expire, is sent in a
// header; or the access token of a user, from Config.UserToken. Tests and live data share one host: batches are tests
// unless
// Config.Live is set, and the service refuses a batch whose test flag is not
// that of the account (LIVENESS_MISMATCH). A client keeps to 200 requests a
// minute (documented for each account): it waits before it is told to. A batch
// takes two requests, and one more for every poll and report.
//
// # Refusals
//
// Only these replies to the call that creates a batch are refusals, as JSON
// with the statusCode of the reply in it (documented):
//
//	400  any message
//	401  Missing authentication
//	403  Forbidden, LIVENESS_MISMATCH
//	404  Not Found
//	429  RATE_LIMIT_EXCEEDED
//
// After any other reply the outcome is unknown (ErrAmbiguous): other words, a
// page of a firewall or a proxy, a 5xx. The words for a key that is wrong rather
// than missing are not documented, so Submit reads the account with the same key
// before it sends anything: a 401 to that read is ErrAuth, whatever its words.
// A key with the role merchant-terminal may not read accounts (403): Submit then
// sends the create, and only the words above tell whether that was refused.
//
// # Replies
//
// These fields decide, and everything else is a [Text], which keeps what the
// service wrote and never fails a reply:
//
//   - of a create: the id; the type, the URL and the test flag must be those
//     that were sent, where the reply has them. An id is returned also beside an
//     error.
//   - of a batch: the id and the status; for a Report, the counts and the
//     externalId and index of each error. An error that makes no sense leaves
//     unknown what became of the items that it may be about.
//   - of an account: the id and the test flag; of an asset: the id.
//
// The account of a batch is not compared: it differs in the documented samples.
//
// # A batch
//
// The service fetches a file from a URL that you give it. Create writes the
// file and hands it to ProviderConfig.Upload or Gate; Submit makes the one call
// that creates the batch, which starts it. By default an item becomes the
// farmlands record of an account:
//
//   - Item.Reference is its externalId, by which it is created or updated.
//   - Item.Account is its accountNumber.
//   - Item.Amount is its availableBalance, in cents; 0 is an amount. It sets the
//     balance and does not add to it, so Run waits for the end of every earlier
//     batch with the same references (Info.Overwrites).
//   - Draft.Extra["url"] names a file that is already hosted. It is a secret.
//     With a Gate it is Extra["file"], a handle, which is none.
//   - Draft.Date must be zero: nothing can be scheduled.
//
// ProviderConfig.Record makes the records of other types. Centrapay itemises
// only errors: see Provider.Report for when an item counts as loaded.
//
// # If the reply is lost
//
// Centrapay has no key that makes a second create harmless, no list, and no
// way to find a batch but by its id. So a create whose reply is lost stays
// ErrAmbiguous, unless the file is hosted behind a [Gate], which knows whether
// it was fetched and can close the URL. A file that was not fetched can be sent
// again. A file that was fetched was loaded once: Poll then says when it was
// fetched, and only Centrapay's support knows the id of the batch.
//
// [Client.ListAssets] and [Client.GetAssetByExternalID] are a second witness of
// a farmlands batch, for a person. An asset that was not there, or was another,
// before the batch proves that a record of that id was loaded since. It does not
// prove that this batch did it, nor the rest of the file, and no asset proves
// nothing. So Reconcile and Poll do not use it.
//
// # Around a batch
//
// [Client.OnboardBusiness] asks for one business. The service knows a request by
// its external id: after an ErrAmbiguous, the very same request again shows what
// it has. [EncodeGuide] writes many in the format of the onboarding guide (NZBN,
// COMPANY_NAME...). Do not send that file as a business-onboard batch: they share no
// column. [Client.UploadMedia] stores CSV files and logos, and no JSONL. Whether its
// location may be the URL of a batch is not documented.
//
// # Accounts
//
// Info.Account is "sandbox" or "production" and the account's id. For another
// host than Centrapay's, that comes first. ProviderConfig.Account replaces it.
//
// # Operations
//
// Every operation around batches that is known of Centrapay, and the method for
// it. Payment requests, tokens and web hooks are not for batches.
//
//	POST /api/batches                                     CreateBatch          loads records
//	POST /api/businesses/onboard                          OnboardBusiness      decides where money is settled; idempotent by its external id
//	POST /api/media-uploads                               UploadMedia          experimental
//	GET  /api/batches/{batchId}                           GetBatch
//	GET  /api/accounts/{accountId}                        GetAccount
//	GET  /api/assets/{assetType}/external-id/{externalId} GetAssetByExternalID
//	GET  /api/accounts/{accountId}/assets                 ListAssets
//	GET  /api/media-uploads/{mediaUploadId}/location      MediaLocation        experimental
//	GET  /api/businesses/onboard/{id}                     GetOnboarding
//	POST /api/accounts/{accountId}/api-keys               -                    credentials: for a person
//	GET  /api/accounts/{accountId}/api-keys               -                    credentials: for a person
//	PUT  /api/accounts/{accountId}/api-keys/{name}        -                    credentials: for a person; it can lock the caller out
//
// # Open questions
//
// These are not documented. The code takes the careful side of each, and the
// simulator in centrapaytest plays both.
//
//   - When and how often the URL is fetched, for how long it must be valid, and
//     how large a file may be: 160,000 records are in a sample.
//   - Whether count or totalCount is the number of records: both are read, and
//     must agree. Whether it includes records with errors: it must, or the
//     items that are not in error are OutcomeUnknown.
//   - Whether the list of errors is capped, and whether its index counts from 0
//     or 1: see ProviderConfig.ErrorIndex.
//   - Whether status error means that nothing was loaded. It is documented to
//     prevent processing, so items are failed if the service has counted none.
//   - Whether a batch that is not a test has a test flag: without one it is taken
//     for the batch that was asked for.
//   - Which permission a batch needs.
//   - The same 403 for what is missing and for what is not allowed: a read that
//     gets it is ErrNotFound.
//   - How records of one externalId in two files are ordered: do not load two
//     batches with the same ids at a time.
//   - Whether verifone-terminal-status, undocumented since May 2025, is still
//     accepted.
//   - What an error of a ticket or a terminal has as its external id: the barcode
//     and the terminal id are tried, and any other leaves unknown what it is about.
package centrapay
