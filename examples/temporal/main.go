package main

import (
	"fmt"
	"os"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/batchway/batchway-go/sixdotfifty"
)

const queue = "batchway"

// main is one worker. Start as many as there is work for; a batch is begun
// with:
//
//	temporal workflow start --type Workflow --task-queue batchway --workflow-id wages-november --input '{"direction":"pay","items":[...]}' --input '{}'
func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "temporal:", err)
		os.Exit(1)
	}
}

func run() error {
	paying, err := sixdotfifty.New(sixdotfifty.Config{Key: os.Getenv("SIXDOTFIFTY_KEY"), Secret: os.Getenv("SIXDOTFIFTY_SECRET"),
		BaseURL: os.Getenv("SIXDOTFIFTY_BASE_URL")})
	if err != nil {
		return err
	}
	provider, err := sixdotfifty.NewProvider(paying, sixdotfifty.ProviderConfig{})
	if err != nil {
		return err
	}
	engine, err := client.Dial(client.Options{HostPort: os.Getenv("TEMPORAL_ADDRESS")})
	if err != nil {
		return err
	}
	defer engine.Close()
	w := worker.New(engine, queue, worker.Options{})
	w.RegisterWorkflow(Workflow)
	w.RegisterActivity(&Activities{Provider: provider})
	return w.Run(worker.InterruptCh())
}
