package batchsim_test

import (
	"fmt"
	"net/http"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// A service of one operation, whose reply is lost: the client has an error, and
// the ledger has the truth.
func ExampleKit() {
	var service batchsim.Kit
	server := batchsim.Listen(service.Handler([]batchsim.Operation{
		{Name: "Pay", Method: http.MethodPost, Path: "/payments/{account}",
			Serve: func(r batchsim.Request) batchsim.Reply {
				service.Ledger.Move(batchsim.Effect{Item: r.PathValue("account"), Minor: 1250, Currency: "ZAR",
					At: service.Clock.Now()})
				return batchsim.JSON(http.StatusOK, `{"state":"paid"}`)
			}},
	}, func(batchsim.Request) batchsim.Reply { return batchsim.JSON(http.StatusNotFound, `{}`) }))
	defer server.Close()

	service.Inject(batchsim.Fault{Op: "Pay", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
	_, err := http.Post(server.URL+"/payments/ada", "application/json", nil)
	fmt.Println(err != nil, service.Log.Count("Pay"), service.Ledger.Moved())
	// Output: true 1 map[ada:1]
}
