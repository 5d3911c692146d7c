package snapbilltest_test

import (
	"context"
	"fmt"
	"strconv"

	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// A read that fails once is repeated by the client. The log of the simulator
// shows both requests.
func Example() {
	server := snapbilltest.New(nil)
	defer server.Close()
	client, err := snapbill.New(server.Config())
	if err != nil {
		panic(err)
	}
	id := server.NewBatch("2026-11-30") // By hand, on the web page of SnapBill.
	server.AddToBatch(id, "001", 5000)
	server.Inject(batchsim.Fault{Op: "GetBatch", Nth: 1, Act: batchsim.Reset})
	at, err := client.GetBatch(context.Background(), strconv.FormatInt(id, 10))
	if err != nil {
		panic(err)
	}
	fmt.Println(at.State, server.Log.Count("GetBatch"))
	// Output: ready 2
}
