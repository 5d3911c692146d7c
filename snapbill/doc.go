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
// A journal does not know an account by its login, because a login can be
// renewed. Without ProviderConfig.Account it knows the only account at BaseURL:
// name each account if there are several. If the name is the account's number,
// a login of another account submits nothing.
//
// # A batch
//
// SnapBill chooses who is on a batch: every client with an unpaid invoice that
// is due by its date. No call is documented that puts a client on one. So the
// items of a draft are a control list: Create makes a batch (or takes the one
// in Draft.Extra "batch_id", made in the web interface), waits until it is
// assembled, and refuses it unless it is exactly what the items say. Without
// items it is whatever is due, and the batch that Create returns lists it.
//
//   - Item.Account is the client's number; Item.Reference is yours alone.
//   - Draft.Date is the action date: the day when the debits run. Only its
//     calendar day counts, in its own location; nothing is converted. A day
//     that has passed is not refused here.
//   - State ok means that the bank's reports have begun to arrive: the batch is
//     pending until no payment is. Payments can bounce later still, so read the
//     report again after some days.
//   - Bounced and refuted payments are OutcomeReturned. No reason is sent.
//   - A payment in a state that is not known does not hold up the end of its
//     batch: it is OutcomeUnknown, with an ErrProtocol beside the report.
//
// # Units
//
// Amounts are cents of the account's currency. SnapBill writes each twice, in
// cents and in decimals, and only the cents are used. Decimals that do not agree
// are ErrProtocol; text that is not a decimal says nothing.
//
// # What decides
//
// Of a batch: its id or xid, state, totals, amounts in cents, action date,
// payment method and currency, and its account if that is named. Of a payment:
// its id or xid, state, amount in cents, client's number and batch, and its
// currency if it has one of its own. Every other field keeps what came, as
// [Text], and fails nothing. A row that cannot be used fails alone.
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
//   - Whether a second submit is refused, ignored, or debits twice: one is
//     never sent.
//   - Whether a new batch begins empty or filled, and whether the account
//     submits ready batches by itself. A draft that another person or the system
//     has submitted is ErrConflict, and is not reported as ours. If that
//     happens between the last read and our call, it cannot be told from ours.
//   - How failures look: none was ever published. A refusal is a JSON envelope
//     with a message and at least two of: the code, equal to the HTTP status;
//     the type "result" or "error"; the status "error". Every other reply to a
//     call that is sent once, whatever its HTTP status, leaves the outcome
//     unknown. A wrong login fails earlier, in a read.
//   - Whether filters are honored: every row is compared with them.
//   - Whether a deleted batch frees its invoices for another one.
//
// Client.Index and Client.Form let a person with a login look at what the
// account really offers.
package snapbill
