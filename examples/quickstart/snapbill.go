package main

import (
	_ "embed"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

//go:embed snapbill.csv
var snapBillSample []byte

// SnapBill collects debit orders. It has no sandbox, so this runs on the
// simulator only, where the clients of the file have invoices that are due,
// and the third of the sample has no money.
var snapBill = service{
	name:      "snapbill",
	direction: batch.Collect,
	sample:    snapBillSample,
	simulated: func(items []batch.Item) (opened, error) {
		due := time.Date(2099, 12, 1, 0, 0, 0, 0, time.UTC) // SnapBill refuses a day that has passed.
		server := snapbilltest.New(&snapbilltest.Options{Autoplay: 1, Bounces: []string{"003"}})
		for _, item := range items {
			server.Bill(item.Account, snapbill.DateOf(due), item.Amount.Minor)
		}
		client, err := snapbill.New(server.Config())
		if err != nil {
			return opened{}, err
		}
		p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
		if err != nil {
			return opened{}, err
		}
		return opened{provider: p, date: due, close: func() { client.CloseIdleConnections(); server.Close() }}, nil
	},
}
