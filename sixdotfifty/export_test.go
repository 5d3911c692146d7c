package sixdotfifty

import (
	"net/http"
	"strconv"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// PayOperations and RedemptionsOperations are the whole tables, for the test
// that audits them.
var (
	PayOperations = []batchhttp.Op{opGetToken, opListAccounts, opCreateBatch, opListBatches, opGetBatch, opUpdateBatch,
		opBatchStatusCodes,
		opAddPayments, opListPayments, opSubmitBatch, opCancelBatch, opGetPayment, opDeletePayment,
		opPaymentStatusCodes, opMemberExists}
	RedemptionsOperations = []batchhttp.Op{opRedemptionsListAccounts, opRedemptionsListTransactions,
		opRedemptionsInitiatePayment,
		opRedemptionsGetPayment, opRedemptionsListPayments}
)

// RedemptionsError is what an error reply of Redemptions is read into.
type RedemptionsError = redemptionsError

// Refusal is how an error reply is read.
func Refusal(status int, contentType string, body []byte) *batch.Error {
	return refusal(status, http.Header{"Content-Type": {contentType}}, body)
}

// TokenRefusal is how an error reply to getToken is read.
func TokenRefusal(status int, body []byte) *batch.Error {
	return tokenRefusal(status, http.Header{}, body)
}

// LongList reads pages of full rows of a size, without an end, to the error.
func LongList(size int) (rows int, last error) {
	for _, err := range pages(opListBatches, func(skip, _ int) ([]row[int], error) {
		page := make([]row[int], maxPage)
		for n := range page {
			page[n] = row[int]{value: skip + n, size: size}
		}
		return page, nil
	}, strconv.Itoa) {
		if last = err; err == nil {
			rows++
		}
	}
	return rows, last
}
