package citypay

import (
	"fmt"
	"regexp"

	"github.com/batchway/batchway-go/batch"
)

// What CityPay's codes and results mean for money. CityPay documents a label
// for each and little more, so both tables list only those whose label leaves
// no doubt. Everything else, whatever it looks like, means that the outcome is
// unknown: an unknown batch is read again, and an unknown row is looked up. A
// row that is called failed is collected again.

// A meaning is what a range of codes stands for.
type meaning struct {
	first, last string
	call        batch.Kind    // of a 422 for a whole call; ErrAmbiguous if it leaves doubt
	row         batch.Outcome // of a row with this result_code, if its result agrees
	fact        string        // CityPay's label, or why the code is as it is here
}

// codes is the audit. A code that is not listed is ErrAmbiguous and unknown.
// These are left out on purpose:
//
//   - F001 to F007: faults inside CityPay (unknown, data, system and null
//     error, transaction type, upstream communication, terminal allocation).
//     No text says whether they arise before or after the acquirer.
//   - 012 (hold) and 050 (waiting authorisation) are not final.
//   - 032, 081 to 085: a server that is unavailable, time-outs, and a limit on
//     concurrency, which another delivery of the same request can cause.
//   - T001: an earlier transaction with this reference exists, and it may have
//     been paid. T009 and T011 (already cancelled, already completed) are alike.
//   - D004, D005, D012, D024, D025, D037 to D039, D041, D042, D047, D050 and
//     D101: internal errors and parts that are unavailable, some of them in the
//     middle of processing. (D101, "data is not found", answers reads.)
//   - 002, 003, 071, 072, 092, 093, R001 to R011, T002 to T004, T007, T008,
//     T010 and T012: of refunds, voids and captures, which payments.go judges.
//   - 011 and 014: the cardholder is still to sign, or to try a PIN again.
//   - 040, 041, 044, the L and W families: verification, ping, Paylink, wallets.
var codes = []meaning{
	{"000", "000", batch.ErrAmbiguous, batch.OutcomePaid, "accepted transaction; a refused call cannot have it"},
	{"001", "001", batch.ErrAmbiguous, batch.OutcomePaid, "test transaction: what the sandbox says of an accepted one"},
	{"013", "013", batch.ErrAmbiguous, batch.OutcomeFailed, "PIN invalid"},
	{"015", "015", batch.ErrAmbiguous, batch.OutcomeFailed, "PIN tries exceeded"},
	{"030", "031", batch.ErrAmbiguous, batch.OutcomeFailed, "cannot authorise: bad number, expired"},
	{"064", "065", batch.ErrAmbiguous, batch.OutcomeFailed, "mandated decline, soft decline"},
	{"080", "080", batch.ErrAmbiguous, batch.OutcomeSkipped, "transaction cancelled"},
	{"087", "091", batch.ErrAmbiguous, batch.OutcomeFailed, "order revoked, retain card, referred, declined"},
	{"094", "098", batch.ErrAmbiguous, batch.OutcomeFailed, "declined: CSC, AVS, authentication"},

	{"B001", "B001", batch.ErrUnavailable, batch.OutcomeUnknown, "batch processing unavailable"},
	{"B002", "B002", batch.ErrNotFound, batch.OutcomeUnknown, "batch does not exist"},
	{"B003", "B005", batch.ErrInvalid, batch.OutcomeUnknown, "no batch ids, invalid batch id, no transactions"},
	{"B006", "B006", batch.ErrInvalid, batch.OutcomeUnknown, "transaction invalid: one bad row prevents processing"},
	{"B007", "B007", batch.ErrInvalid, batch.OutcomeUnknown, "batch date is invalid"},
	{"B008", "B008", batch.ErrConflict, batch.OutcomeUnknown, "failed duplication checks; not processed"},
	{"B009", "B009", batch.ErrInvalid, batch.OutcomeUnknown, "too many transactions"},

	{"C001", "C028", batch.ErrInvalid, batch.OutcomeFailed,
		"card data is missing or invalid, or the card expired or was charged back"},

	{"D001", "D003", batch.ErrInvalid, batch.OutcomeFailed, "gateway or fraud module is not configured"},
	{"D006", "D011", batch.ErrInvalid, batch.OutcomeFailed, "terminal or user is unknown, inactive or not permitted"},
	{"D013", "D023", batch.ErrInvalid, batch.OutcomeFailed,
		"merchant, currency, transaction type or card is not accepted"},
	{"D026", "D036", batch.ErrInvalid, batch.OutcomeFailed,
		"a field is missing, or of the wrong characters or size; store or scheme is not found"},
	{"D040", "D040", batch.ErrInvalid, batch.OutcomeFailed, "acquirer dataset is not found"},
	{"D043", "D046", batch.ErrInvalid, batch.OutcomeFailed, "3-D Secure is not configured, or its fields are invalid"},
	{"D048", "D049", batch.ErrInvalid, batch.OutcomeFailed, "account id is invalid, or exists already"},
	{"D101", "D101", batch.ErrNotFound, batch.OutcomeUnknown,
		"data is not found; not in CityPay's list, but in its documentation"},

	{"P001", "P006", batch.ErrInvalid, batch.OutcomeFailed,
		"response type, merchant id or amount is missing or invalid"},
	{"P007", "P007", batch.ErrAuth, batch.OutcomeFailed, "the request is not from an accepted source"},
	{"P008", "P028", batch.ErrInvalid, batch.OutcomeFailed, "a field is missing or invalid, or a limit is exceeded"},
	{"P029", "P030", batch.ErrAuth, batch.OutcomeFailed, "authorisation key is missing or invalid"},
	{"P031", "P034", batch.ErrInvalid, batch.OutcomeFailed, "transaction type, scheme or currency is not available"},
	{"P035", "P037", batch.ErrAuth, batch.OutcomeFailed, "licence key is missing or invalid"},
	{"P038", "P053", batch.ErrInvalid, batch.OutcomeFailed,
		"floor limit, identifier, account (P043: not found), field, cart or token is invalid"},

	{"S001", "S010", batch.ErrAuth, batch.OutcomeFailed, "security: client, merchant, licence, limit of attempts"},

	{"T005", "T006", batch.ErrAmbiguous, batch.OutcomeFailed, "3-D Secure authentication failed or is required"},
	{"T013", "T013", batch.ErrAmbiguous, batch.OutcomeFailed, "transaction was not authorised"},

	{"Z001", "Z003", batch.ErrAuth, batch.OutcomeFailed,
		"the service is not available, active or permitted for this client"},
}

// codeForm is the form of a code: three digits, or a letter before them.
var codeForm = regexp.MustCompile(`^[A-Z]?[0-9]{3}$`)

// meaningOf looks a code up.
func meaningOf(code string) meaning {
	if codeForm.MatchString(code) {
		for _, m := range codes {
			if len(code) == len(m.first) && m.first <= code && code <= m.last {
				return m
			}
		}
	}
	return meaning{call: batch.ErrAmbiguous, row: batch.OutcomeUnknown}
}

// results is the audit of Result. One that is not listed is unknown. These are
// left out on purpose: 5 (PIN retry) and 6 (force signature verification) are
// not finished; nothing explains 7 (hold); 18 is a verification; 20 says
// unknown; 21 (challenged) and 22 (decoupled) wait for the cardholder.
var results = map[Result]struct {
	outcome batch.Outcome
	label   string
}{
	ResultDeclined:     {batch.OutcomeFailed, "declined"},
	ResultAccepted:     {batch.OutcomePaid, "accepted"},
	ResultRejected:     {batch.OutcomeFailed, "rejected"},
	ResultNotAttempted: {batch.OutcomeSkipped, "not attempted"},
	ResultReferred:     {batch.OutcomeFailed, "referred: the issuer wants a call, and has not authorised"},
	8:                  {batch.OutcomeFailed, "security error"},
	9:                  {batch.OutcomeFailed, "call acquirer"},
	10:                 {batch.OutcomeFailed, "do not honour"},
	11:                 {batch.OutcomeFailed, "retain card"},
	12:                 {batch.OutcomeFailed, "expired card"},
	13:                 {batch.OutcomeFailed, "invalid card number"},
	14:                 {batch.OutcomeFailed, "PIN tries exceeded"},
	15:                 {batch.OutcomeFailed, "PIN invalid"},
	16:                 {batch.OutcomeFailed, "authentication required"},
	17:                 {batch.OutcomeFailed, "authentication failed"},
	ResultCancelled:    {batch.OutcomeSkipped, "cancelled"},
	ResultDenied:       {batch.OutcomeFailed, "permission denied"},
}

// outcome says what became of a row. Both its result and its code must say so:
// one that leaves doubt makes the row unknown. If one says paid and the other
// not, the error says that they disagree.
func outcome(r Result, code string) (batch.Outcome, error) {
	byResult, byCode := results[r].outcome, meaningOf(code).row
	switch {
	case byResult == "" || byCode == batch.OutcomeUnknown:
		return batch.OutcomeUnknown, nil
	case (byResult == batch.OutcomePaid) != (byCode == batch.OutcomePaid):
		return batch.OutcomeUnknown, fmt.Errorf("is %d (%s), and the result_code %s (%s) contradicts it", r,
			results[r].label, code, meaningOf(code).fact)
	}
	return byResult, nil
}
