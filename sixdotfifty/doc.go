// Package sixdotfifty pays mobile numbers at 6DOT50 with its PAY API, and
// collects from members with its Redemptions API.
//
// [Client] is the native client of PAY: one method for each endpoint, in
// 6DOT50's words. [Provider] is the same as a [batch.Provider]: it pays, from
// a prefunded float account. [RedemptionsClient] is the native client of
// Redemptions, which has no batches.
//
// # Units
//
// The two APIs write money differently, and the same digits are a hundred
// times more in one than in the other. PAY has decimal numbers of major units
// ([Amount]); Redemptions has strings of cents ([Cents]). The types cannot be
// mixed up. Currencies are 6DOT50's own, such as DZAR, the Digital Rand. The
// unit of PAY's account balances is not documented.
//
// # Replies
//
// A few fields of a reply decide, and each type names them: an object in which
// one is missing fails, alone in its list, with an ErrProtocol beside the
// others. Every other field is a [Text], which keeps what the service wrote and
// never fails a reply.
//
// Only a documented status with the documented error model is a refusal. After
// any other reply to a call that changes something, the outcome is unknown
// (ErrAmbiguous), and reading the batch decides.
//
// # Authentication
//
// A key and a secret, different for each API and environment, give a token for
// 15 minutes. The clients fetch and renew it by themselves, once for all
// callers. The base URL of PAY is not public: ask 6DOT50.
//
// # A batch
//
// A batch is a draft at the service until it is submitted, and immutable
// after. Create makes it with the reference as its external id, adds the
// payments, and reads them back; Submit compares everything once more and
// submits. The service refuses a second submit, and a second batch of one
// external id, so with batch.Run and a journal a batch is paid exactly once.
// ProviderConfig.GuardUnproven is for operators who do not rely on the former.
//
//   - Item.Account is the mobile number: 8 to 15 digits with the country code,
//     no plus, no leading zero. The same number twice is paid twice.
//   - Item.Reference is the payment's external id. Make it unique for ever,
//     "november-ada" rather than "ada": see below.
//   - Item.Amount is in hundredths. batch.ParseMoney does not know 6DOT50's own
//     currencies; batch.ParseDecimal with two places reads their amounts.
//   - Item.Extra may hold "firstname" and "lastname"; Draft.Extra "name", the
//     batch's friendly name (its reference if absent). With
//     ProviderConfig.Referrals it may also hold "referralAmount" and
//     "referralMsisdn": more money, for another person, that no total of a report
//     counts. The service must show exactly that before anything is submitted.
//   - OPEN means that members are paid and that another receiver has yet to
//     join: up to 60 days. CLOSED means that nothing is open any more, not that
//     all are paid: payments that were not claimed are OutcomeReturned.
//
// A draft whose staging failed is withdrawn, and never used again. Its external
// id may stay taken, so the next Create under the same reference makes
// "reference.2", and so on; Find knows them all.
//
// Info.Account is the base URL and a digest of the key, because a key belongs to
// one organisation and nothing else names it. A new key is another account for a
// journal: set ProviderConfig.Account before the first batch, and it outlives
// keys and URLs.
//
// # Operations
//
// Every operation that is known of PAY, and the method of Client for it. None
// is left out. Not all pages of the documentation were seen.
//
//	POST   /authentication/getToken    GetToken
//	GET    /accounts                   ListAccounts
//	POST   /batches                    CreateBatch
//	GET    /batches                    ListBatches
//	GET    /batches/{id}               GetBatch
//	PUT    /batches/{id}               UpdateBatch
//	GET    /batches/statusCodes        BatchStatusCodes
//	POST   /batches/{id}/payments      AddPayments
//	GET    /batches/{id}/payments      ListPayments
//	POST   /batches/{id}/submit        SubmitBatch                 moves money
//	POST   /batches/{id}/cancel        CancelBatch
//	GET    /payments/{id}              GetPayment
//	DELETE /payments/{id}              DeletePayment
//	GET    /payments/statusCodes       PaymentStatusCodes
//	GET    /members/{msisdn}/exists    MemberExists
//
// The same of Redemptions, by the names in ops.go: RedemptionsClient has a method
// for each. Its getToken is that of PAY. A refund has no call: 6DOT50 makes one
// when the merchant asks for it.
//
//	GET    /accounts                   RedemptionsListAccounts
//	GET    /accounts/{id}/transactions RedemptionsListTransactions
//	POST   /payments                   RedemptionsInitiatePayment  takes no money until the member confirms
//	GET    /payments/{id}              RedemptionsGetPayment
//	GET    /payments                   RedemptionsListPayments
//
// # Open questions
//
// These are not documented. The code takes the careful side of each, and the
// simulator in sixdotfiftytest plays both.
//
//   - The body of PAY's errors. The model that Redemptions documents is taken
//     for 6DOT50's own, under 400, 401 and 404. The words of another 400 are
//     shown, and decide nothing. A submit that is refused with a general error
//     while a read shows the batch still in draft, with all its payments, is
//     ErrFunds: lack of money is the only reason documented. If PAY refuses in
//     other words, a lack of money is ErrAmbiguous: the draft stays as it is, and
//     a later Run submits it again.
//   - How large a page of a list may be: every list is read until nothing new
//     comes.
//   - Among what the external id of a payment is unique, and whether a payment
//     that was withdrawn frees it. If it does not, a reference of an item that
//     was used before is ErrInvalid, and nothing is paid.
//   - Whether the list of payments of a batch is cut at 1,000 and can be paged.
//     It is compared with the batch's own count: a batch that cannot be read in
//     full is never submitted.
//   - Whether a filter by external id matches exactly: results are compared.
//   - Whether a cancelled batch frees its external id: assumed not.
//   - Whether referrals count in the total of a batch (both are accepted) and in
//     the float that a submit needs, and how one that is not paid would show.
//   - What GET /members/{msisdn}/exists answers: see Client.MemberExists.
package sixdotfifty
