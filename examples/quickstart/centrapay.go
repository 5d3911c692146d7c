package main

import (
	"context"
	_ "embed"
	"io"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
)

//go:embed centrapay.csv
var centrapaySample []byte

// Centrapay loads records. It has one host for tests and live data: what runs
// here is a test. CENTRAPAY_FILE_URL names the file of these records, hosted
// where Centrapay can fetch it: see examples/blobupload for storage of your
// own.
var centraPay = service{
	name:      "centrapay",
	direction: batch.Load,
	variables: []string{"CENTRAPAY_API_KEY", "CENTRAPAY_ACCOUNT_ID", "CENTRAPAY_FILE_URL"},
	sample:    centrapaySample,
	simulated: func([]batch.Item) (opened, error) {
		server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
		return openCentrapay(server.Config(), centrapay.ProviderConfig{AccountID: "C4QnjXvj8At6SMsEN4LRi9",
			Currency: "NZD", Upload: server.Upload}, server.Close)
	},
	sandbox: func(getenv func(string) string) (opened, error) {
		config := centrapay.Config{APIKey: getenv("CENTRAPAY_API_KEY"), BaseURL: centrapay.Service}
		// Config.Live is not set.
		if err := sandbox.Check(getenv, config.BaseURL, "service.centrapay.com"); err != nil {
			return opened{}, err
		}
		hosted := func(_ context.Context, _ string, file io.Reader) (string, error) {
			_, err := io.Copy(io.Discard, file) // It is already there.
			return getenv("CENTRAPAY_FILE_URL"), err
		}
		return openCentrapay(config, centrapay.ProviderConfig{AccountID: getenv("CENTRAPAY_ACCOUNT_ID"),
			Currency: "NZD", Upload: hosted}, func() {})
	},
}

func openCentrapay(c centrapay.Config, o centrapay.ProviderConfig, done func()) (opened, error) {
	client, err := centrapay.New(c)
	if err != nil {
		return opened{}, err
	}
	p, err := centrapay.NewProvider(client, o)
	if err != nil {
		return opened{}, err
	}
	return opened{provider: p, host: c.BaseURL, close: func() { client.CloseIdleConnections(); done() }}, nil
}
