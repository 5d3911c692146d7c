package main

import (
	"errors"
	"strconv"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/snapbill"
)

// A service is used if its first variable is set.
type service struct {
	variable string
	open     func(getenv func(string) string) (batch.Provider, error)
}

var services = []service{
	{"CITYPAY_CLIENT_ID", openCityPay},
	{"CENTRAPAY_API_KEY", openCentrapay},
	{"SIXDOTFIFTY_KEY", openSixDotFifty},
	{"SNAPBILL_USERNAME", openSnapBill},
}

// open returns the providers whose environment is set. Each is a sandbox or on
// this machine.
func open(getenv func(string) string) (providers []batch.Provider, err error) {
	for _, s := range services {
		if getenv(s.variable) == "" {
			continue
		}
		p, err := s.open(getenv)
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	if len(providers) == 0 {
		return nil, errors.New("no service is configured: set the variables of one, which examples/README.md lists")
	}
	return providers, nil
}

func openCityPay(getenv func(string) string) (batch.Provider, error) {
	config := citypay.Config{ClientID: getenv("CITYPAY_CLIENT_ID"), LicenceKey: getenv("CITYPAY_LICENCE_KEY"),
		BaseURL: getenv("CITYPAY_BASE_URL")}
	if config.BaseURL == "" {
		config.BaseURL = citypay.Sandbox
	}
	if err := sandbox.Check(getenv, config.BaseURL, "sandbox.citypay.com"); err != nil {
		return nil, err
	}
	merchant, err := strconv.ParseInt(getenv("CITYPAY_MERCHANT_ID"), 10, 64)
	if err != nil {
		return nil, errors.New("CITYPAY_MERCHANT_ID must be a number")
	}
	c, err := citypay.New(config)
	if err != nil {
		return nil, err
	}
	return provider(citypay.NewProvider(c, citypay.ProviderConfig{MerchantID: merchant, Currency: "GBP"}))
}

// openCentrapay loads tests. A draft names its file by Extra["url"].
func openCentrapay(getenv func(string) string) (batch.Provider, error) {
	config := centrapay.Config{APIKey: getenv("CENTRAPAY_API_KEY"), BaseURL: centrapay.Service}
	if err := sandbox.Check(getenv, config.BaseURL, "service.centrapay.com"); err != nil { // Config.Live is not set.
		return nil, err
	}
	c, err := centrapay.New(config)
	if err != nil {
		return nil, err
	}
	return provider(centrapay.NewProvider(c, centrapay.ProviderConfig{AccountID: getenv("CENTRAPAY_ACCOUNT_ID"),
		Currency: "NZD"}))
}

func openSixDotFifty(getenv func(string) string) (batch.Provider, error) {
	config := sixdotfifty.Config{Key: getenv("SIXDOTFIFTY_KEY"), Secret: getenv("SIXDOTFIFTY_SECRET"),
		BaseURL: getenv("SIXDOTFIFTY_BASE_URL")}
	if err := sandbox.Check(getenv, config.BaseURL, "staging.6dot50.com"); err != nil {
		return nil, err
	}
	c, err := sixdotfifty.New(config)
	if err != nil {
		return nil, err
	}
	return provider(sixdotfifty.NewProvider(c, sixdotfifty.ProviderConfig{}))
}

// openSnapBill reaches a simulator: no sandbox of SnapBill is known.
func openSnapBill(getenv func(string) string) (batch.Provider, error) {
	config := snapbill.Config{Username: getenv("SNAPBILL_USERNAME"), Password: getenv("SNAPBILL_PASSWORD"),
		BaseURL: getenv("SNAPBILL_BASE_URL")}
	if err := sandbox.Check(getenv, config.BaseURL); err != nil {
		return nil, err
	}
	c, err := snapbill.New(config)
	if err != nil {
		return nil, err
	}
	return provider(snapbill.NewProvider(c, snapbill.ProviderConfig{PaymentMethod: "netcash"}))
}

// provider is p, and never a nil pointer in an interface.
func provider[P batch.Provider](p P, err error) (batch.Provider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
