package centrapaytest_test

import (
	"context"
	"fmt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

// A firewall answers in place of the service: nothing was loaded, and the client
// must not take its page for a refusal.
func Example() {
	server := centrapaytest.New(nil)
	defer server.Close()
	client, err := centrapay.New(server.Config())
	if err != nil {
		panic(err)
	}
	server.Inject(batchsim.Fault{Op: "CreateBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.Reply{Status: 403, Body: []byte("<html>Blocked</html>")}})
	_, err = client.CreateBatch(context.Background(), centrapay.BatchRequest{Type: centrapay.TypeFarmlandsExternalAsset,
		URL: "https://files.example.com/balances.jsonl", AccountID: "C4QnjXvj8At6SMsEN4LRi9"})
	fmt.Println(batch.KindOf(err), server.Ledger.Moved())
	// Output: ambiguous map[]
}
