package main

import (
	_ "embed"
	"errors"
	"strconv"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
)

//go:embed citypay.csv
var cityPaySample []byte

// CityPay charges stored cards. CITYPAY_BASE_URL may name a port of this
// machine instead of the sandbox.
var cityPay = service{
	name:      "citypay",
	direction: batch.Collect,
	variables: []string{"CITYPAY_CLIENT_ID", "CITYPAY_LICENCE_KEY", "CITYPAY_MERCHANT_ID"},
	sample:    cityPaySample,
	simulated: func([]batch.Item) (opened, error) {
		server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
		return openCityPay(server.Config(), 11223344, server.Close)
	},
	sandbox: func(getenv func(string) string) (opened, error) {
		config := citypay.Config{ClientID: getenv("CITYPAY_CLIENT_ID"), LicenceKey: getenv("CITYPAY_LICENCE_KEY"),
			BaseURL: getenv("CITYPAY_BASE_URL")}
		if config.BaseURL == "" {
			config.BaseURL = citypay.Sandbox
		}
		if err := sandbox.Check(getenv, config.BaseURL, "sandbox.citypay.com"); err != nil {
			return opened{}, err
		}
		merchant, err := strconv.ParseInt(getenv("CITYPAY_MERCHANT_ID"), 10, 64)
		if err != nil {
			return opened{}, errors.New("CITYPAY_MERCHANT_ID must be a number")
		}
		return openCityPay(config, merchant, func() {})
	},
}

func openCityPay(c citypay.Config, merchant int64, done func()) (opened, error) {
	client, err := citypay.New(c)
	if err != nil {
		return opened{}, err
	}
	p, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: merchant, Currency: "GBP"})
	if err != nil {
		return opened{}, err
	}
	return opened{provider: p, host: c.BaseURL, close: func() { client.CloseIdleConnections(); done() }}, nil
}
