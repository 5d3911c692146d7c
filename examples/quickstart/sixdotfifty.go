package main

import (
	_ "embed"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/examples/internal/sandbox"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

//go:embed sixdotfifty.csv
var sixDotFiftySample []byte

// 6DOT50 pays mobile numbers. In the simulator, two of them have yet to join:
// their payments wait, and the batch stays OPEN.
var sixDotFifty = service{
	name:      "sixdotfifty",
	direction: batch.Pay,
	variables: []string{"SIXDOTFIFTY_KEY", "SIXDOTFIFTY_SECRET", "SIXDOTFIFTY_BASE_URL"},
	sample:    sixDotFiftySample,
	simulated: func([]batch.Item) (opened, error) {
		server := sixdotfiftytest.New(&sixdotfiftytest.Options{NonMembers: []string{"27821231235", "27821231237"},
			Autoplay: 1})
		return openSixDotFifty(server.Config(), server.Close)
	},
	sandbox: func(getenv func(string) string) (opened, error) {
		config := sixdotfifty.Config{Key: getenv("SIXDOTFIFTY_KEY"), Secret: getenv("SIXDOTFIFTY_SECRET"),
			BaseURL: getenv("SIXDOTFIFTY_BASE_URL")}
		// The URLs of PAY are not public: these are the hosts of the test environment that are.
		if err := sandbox.Check(getenv, config.BaseURL, "staging.6dot50.com"); err != nil {
			return opened{}, err
		}
		return openSixDotFifty(config, func() {})
	},
}

func openSixDotFifty(c sixdotfifty.Config, done func()) (opened, error) {
	client, err := sixdotfifty.New(c)
	if err != nil {
		return opened{}, err
	}
	p, err := sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{})
	if err != nil {
		return opened{}, err
	}
	return opened{provider: p, host: c.BaseURL, close: func() { client.CloseIdleConnections(); done() }}, nil
}
