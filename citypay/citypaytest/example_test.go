package citypaytest_test

import (
	"context"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// The reply to ProcessBatch is lost. The client cannot know what has happened,
// the ledger does.
func Example() {
	server := citypaytest.New(nil)
	defer server.Close()
	client, err := citypay.New(server.Config())
	if err != nil {
		panic(err)
	}
	server.Inject(batchsim.Fault{Op: "ProcessBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
	_, err = client.ProcessBatch(context.Background(), citypay.ProcessBatchRequest{BatchID: 1, BatchDate: "2026-11-27",
		Transactions: []citypay.BatchTransaction{{AccountID: "customer-ada", Amount: 7801, Identifier: "inv-1",
			MerchantID: 11223344}}})
	server.FinishAll()
	fmt.Println(batch.KindOf(err), server.Log.Count("ProcessBatch"), server.Ledger.Moved())
	// Output: ambiguous 1 map[inv-1:1]
}
