// Package snapbill collects debit orders with SnapBill's API.
//
// [Client] is the native client: batches, and what is around them, in
// SnapBill's words. [Provider] is the same as a [batch.Provider]: it collects.
//
// # Authentication
//
// HTTP Basic with a staff login. No sandbox is known, so Config.BaseURL must
// be named: [Production], or the URL of a simulator.
//
// # A batch
//
// SnapBill chooses who is on a batch: everybody with an unpaid invoice that is
// due by its date. No call is documented that puts a client on one. So the
// items of a draft are a control list: Create makes a batch (or takes the one
// in Draft.Extra "batch_id", made in the web interface), waits until it is
// assembled, and refuses it unless it is exactly what the items say. Without
// items it is whatever is due, and the batch that Create returns lists it.
//
//   - Item.Account is the client's number; Item.Reference is yours alone.
//   - Draft.Date is the action date: the day when the debits run. Only its
//     calendar day counts, in its own location; nothing is converted.
//   - State ok means that the bank's reports have begun to arrive: the batch is
//     pending until no payment is. Payments can bounce later still, so read the
//     report again after some days.
//   - Bounced and refuted payments are OutcomeReturned. No reason is sent.
//
// # Units
//
// Amounts are cents of the account's currency. SnapBill writes each twice, in
// cents and in decimals; they must agree, and only the cents are used.
//
// # Open questions
//
// These are not documented. The code takes the careful side of each, and the
// simulator in snapbilltest plays both.
//
//   - Which call submits: update, as documented, or set_state, as SnapBill's
//     own clients do (ProviderConfig.SetState). Accepted is not applied: the
//     service is known to answer success and to ignore a field. Only what is
//     read back counts.
//   - Whether a second submit is refused, ignored, or debits twice: none is
//     ever sent.
//   - Whether a new batch begins empty or filled, and whether the account
//     submits ready batches by itself. A draft that was submitted by somebody
//     else is ErrConflict, and never reported as ours.
//   - How failures look. Both the HTTP status and the code in the body must be
//     good; where they contradict each other, nobody knows.
//   - Whether filters are honoured: every row is held against them.
//
// Client.Index and Client.Form let a person with a login look at what the
// account really offers.
package snapbill
