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
// header. Tests and live data share one host: batches are tests unless
// Config.Live is set, and the service refuses a batch whose test flag is not
// that of the account (LIVENESS_MISMATCH). A client keeps to 200 requests a
// minute (documented for each account): it waits before it is told to.
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
//   - Item.Amount is its availableBalance, in cents; 0 is an amount.
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
// it was fetched and can close the URL: what nobody has fetched can be sent
// again, and what somebody has was loaded once, but only Centrapay's support
// knows the id of that batch.
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
//   - The same 403 for what is missing and for what is not allowed: a read that
//     gets it is ErrNotFound.
//   - How records of one externalId in two files are ordered: do not load two
//     batches with the same ids at a time.
//   - Whether verifone-terminal-status, undocumented since May 2025, is still
//     accepted.
//
// The access token of a user, API keys, and media uploads are not covered.
package centrapay
