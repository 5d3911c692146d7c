// Resume shows what a journal is for. It pays three people on a simulated
// CityPay, and kills itself in the worst moment: after the request that charges
// has arrived, and before the reply has. Then it starts again, with the same
// file as journal, and the money has moved once.
//
//	go run ./examples/resume
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

func main() {
	var err error
	if len(os.Args) == 5 && os.Args[1] == "worker" {
		err = worker(os.Args[2], os.Args[3], os.Args[4] == "dies", os.Stdout)
	} else {
		err = supervise(os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "resume:", err)
		os.Exit(1)
	}
}

// supervise runs the service, and one worker after the other.
func supervise(stdout io.Writer) error {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 2, Duplicate: citypaytest.DuplicateCharged})
	defer server.Close()
	directory, err := os.MkdirTemp("", "resume")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for n, fate := range []string{"dies", "lives"} {
		fmt.Fprintf(stdout, "-- worker %d\n", n+1)
		process := exec.CommandContext(context.Background(), self, "worker", server.URL, filepath.Join(directory, "journal"), fate) //nolint:gosec // It is this program.
		process.Stdout, process.Stderr = stdout, stdout
		if err := process.Run(); err != nil {
			fmt.Fprintf(stdout, "-- worker %d: %v\n", n+1, err)
		}
	}
	var items []string
	charged := server.Accepted()
	for item := range charged {
		items = append(items, item)
	}
	slices.Sort(items)
	for _, item := range items {
		fmt.Fprintf(stdout, "the service has charged %s %d time(s)\n", item, charged[item])
		if charged[item] != 1 {
			return errors.New("the promise is broken")
		}
	}
	return nil
}

// worker runs the batch as far as it comes. It is the same program in the
// first process and in the second: all that differs is its fate.
func worker(url, path string, dies bool, stdout io.Writer) error {
	config := citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB", BaseURL: url}
	if dies {
		config.Middleware = func(next http.RoundTripper) http.RoundTripper { return killer{next} }
	}
	client, err := citypay.New(config)
	if err != nil {
		return err
	}
	provider, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	if err != nil {
		return err
	}
	journal, err := boltjournal.Open(path, provider.Info())
	if err != nil {
		return err
	}
	defer func() { _ = journal.Close() }()
	for open, err := range batch.NewDesk(provider, journal).Pending(context.Background()) {
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "the journal holds %s open: %s. %s\n", open.Key.Reference, open.Standing, open.Next)
	}
	report, err := batch.Run(context.Background(), provider, batch.Draft{
		Reference: "november", Direction: batch.Collect,
		Items: []batch.Item{
			{Reference: "invoice-1", Account: "customer-ada", Amount: batch.Money{Minor: 7801, Currency: "GBP"}},
			{Reference: "invoice-2", Account: "customer-ben", Amount: batch.Money{Minor: 1395, Currency: "GBP"}},
			{Reference: "invoice-3", Account: "customer-cyd", Amount: batch.Money{Minor: 12000, Currency: "GBP"}},
		},
	}, &batch.RunOptions{Journal: journal, Watch: batch.WatchOptions{Interval: 10 * time.Millisecond},
		Observe: func(e batch.Event) {
			fmt.Fprintln(stdout, strings.TrimSpace(fmt.Sprint(e.Phase, " ", e.Batch.State, " ", e.Batch.Native)))
		}})
	for _, result := range report.Results {
		fmt.Fprintln(stdout, result.Item.Reference, result.Item.Amount, result.Outcome)
	}
	return err
}

// killer ends the process when the service has taken the batch, and nobody
// here knows yet.
type killer struct{ next http.RoundTripper }

func (k killer) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := k.next.RoundTrip(r)
	if strings.HasSuffix(r.URL.Path, "/batch/process") {
		fmt.Println("the request has arrived; the process is killed")
		if self, err := os.FindProcess(os.Getpid()); err == nil {
			_ = self.Kill()
		}
		select {}
	}
	return reply, err
}
