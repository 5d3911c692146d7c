package toypay

import (
	"net/http"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// The operations of Toypay, and what may be done with each. Once is sent at most
// once, whatever happens. This table is the whole audit.
var (
	opCreateBatch = batchhttp.Op{Name: "CreateBatch", Method: http.MethodPost, Path: "/batches", Safety: batchhttp.Once}
	opFindBatches = batchhttp.Op{Name: "FindBatches", Method: http.MethodGet, Path: "/batches", Safety: batchhttp.Repeatable}
	opGetBatch    = batchhttp.Op{Name: "GetBatch", Method: http.MethodGet, Path: "/batches/{id}", Safety: batchhttp.Repeatable}
	opSubmitBatch = batchhttp.Op{Name: "SubmitBatch", Method: http.MethodPost, Path: "/batches/{id}/submit", Safety: batchhttp.Once} // moves money
	opCancelBatch = batchhttp.Op{Name: "CancelBatch", Method: http.MethodPost, Path: "/batches/{id}/cancel", Safety: batchhttp.Once}
)
