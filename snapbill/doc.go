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
//     that has passed is ErrInvalid before Create and before Submit, unless
//     ProviderConfig.PastDates allows it.
//   - State ok means that the bank's reports have begun to arrive: the batch is
//     pending until no payment is. Payments can bounce later still: call
//     Desk.Review of package batch every day.
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
// # Before and after a batch
//
// [Client.ListPaymentDetails] shows which accounts and cards clients have.
// [Client.SetPayment] gives a client another: read Client.Form of set_payment
// for the names of the fields, because SnapBill has published none. A [Secret]
// is printed nowhere. [Client.AddRecurringInvoice] and [Client.AddService] make
// invoices that later batches collect, so both are sent at most once. After an
// ErrAmbiguous, the list that belongs to the call tells what became of it.
//
// [Client.Send] sends a command that Client.Form shows for your account and that
// this package does not know, such as one that puts a client on a batch. It is
// sent at most once, unless you declare that it only reads.
//
// # Operations
//
// Every operation that is known of SnapBill, and the method for it.
//
//	POST /batch/{id}/get                    GetBatch
//	POST /batch/list                        ListBatches
//	POST /batch/add                         AddBatch              inferred: there is no sample
//	POST /batch/{id}/update                 UpdateBatch           moves money
//	POST /batch/{id}/set_state              SetBatchState         moves money; only in SnapBill's own clients
//	POST /payment/{id}/get                  GetPayment
//	POST /payment/list                      ListPayments
//	POST /client/{id}/get                   GetClient
//	POST /client/list                       ListClients
//	POST /client/add                        AddClient
//	POST /client/{id}/update                UpdateClient          a change of Credit books a payment
//	POST /client/{id}/add_invoice           AddInvoice
//	POST /client/{id}/generate_invoice      GenerateInvoice
//	POST /invoice/{id}/get                  GetInvoice
//	POST /invoice/list                      ListInvoices
//	POST /payment_method/{code}/get         GetPaymentMethod
//	POST /payment_method/list               ListPaymentMethods
//	POST /currency/{code}/get               GetCurrency
//	POST /currency/list                     ListCurrencies
//	POST /account/current                   CurrentAccount        the path is inferred
//	POST /action/{id}/get                   GetAction
//	POST /action/list                       ListActions
//	POST /client/{id}/delete                DeleteClient
//	POST /client/{id}/set_payment           SetPayment            decides which account is debited
//	POST /payment_details/{id}/get          GetPaymentDetails
//	POST /payment_details/list              ListPaymentDetails
//	POST /payment_details/{id}/update       UpdatePaymentDetails
//	POST /client/{id}/add_recurring_invoice AddRecurringInvoice   decides what is debited later
//	POST /recurring_invoice/list            ListRecurringInvoices
//	POST /client/{id}/add_service           AddService            decides what is debited later
//	POST /service/{id}/remove               RemoveService
//	POST /service/list                      ListServices
//	POST /service_type/{id}/get             GetServiceType
//	POST /service_type/list                 ListServiceTypes
//	POST /package/{id}/get                  GetPackage
//	POST /package/list                      ListPackages
//	POST /client/{id}/add_user              AddUser
//	POST /user/list                         ListUsers
//	POST /user/{id}/add_session             AddSession
//	POST /client/{id}/lost_password         SendLostPassword
//	POST /email/list                        ListEmails
//	POST /invoice/{id}/pdf                  InvoicePDF
//	POST /invoice/{id}/html                 -                     a page of HTML could be any proxy's
//	POST /country/{code}/get                GetCountry
//	POST /country/list                      ListCountries
//	POST /account/list                      ListAccounts          only in SnapBill's own client
//	GET  /{class}                           Index
//	GET  /{class}/{id}                      ObjectIndex
//	GET  /{class}/{command}                 Form
//	GET  /{class}/{id}/{command}            ObjectForm
//	POST /{class}/{command}                 Command               Client.Send: as the caller says
//	POST /{class}/{id}/{command}            ObjectCommand         Client.Send: as the caller says
//	POST /client/{id}/add_signup            -                     named without a description
//	POST /service/{id}/update               -                     named without a description
//	POST /charge/{id}/delete                -                     named without a description
//	POST /user/{id}/update                  -                     only in SnapBill's own client
//	POST /file/add                          -                     only in SnapBill's own client
//	POST /contact/{id}/get                  -                     not for batches
//	POST /contact/list                      -                     not for batches
//	POST /email/{id}/get                    -                     ListEmails has all of it
//	POST /sms/{id}/get                      -                     not for batches
//	POST /sms/list                          -                     not for batches
//	POST /batch/{id}/download               -                     removed by SnapBill
//	POST /batch/{id}/xml                    -                     removed by SnapBill
//	POST /payment/{id}/error                -                     removed by SnapBill
//	POST /batch_client/list                 -                     removed by SnapBill
//	POST /batch_client/{id}/error           -                     removed by SnapBill
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
//   - Whether a client with disabled bank details, or a deleted client, is put
//     on a batch; which account is debited if there are several; whether new
//     details replace the old ones.
//   - Whether a deleted batch frees its invoices for another one.
//
// Client.Index and Client.Form let a person with a login look at what the
// account really offers.
package snapbill
