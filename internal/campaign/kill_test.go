package campaign

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

var kills = flag.Int("kills", 20, "batches whose process is killed with SIGKILL, for each of two providers")

// TestMain is also the process that is killed.
func TestMain(m *testing.M) {
	if name := os.Getenv("CAMPAIGN_VICTIM"); name != "" {
		os.Exit(victim(name, os.Getenv("CAMPAIGN_URL"), os.Getenv("CAMPAIGN_JOURNAL"), os.Getenv("CAMPAIGN_REFERENCE")))
	}
	os.Exit(m.Run())
}

// The exit codes of a victim that was not killed.
const (
	exitDone = iota
	exitFailed
	exitUnclear
)

// victim sees one batch through, as far as it comes.
func victim(name, url, path, reference string) int {
	var p batch.Provider
	d := batch.Draft{Reference: reference}
	currency, account := "GBP", "account-1"
	switch name {
	case "citypay":
		client := must(citypay.New(citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB", BaseURL: url}))
		p = must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"}))
	default:
		client := must(sixdotfifty.New(sixdotfifty.Config{Key: os.Getenv("CAMPAIGN_KEY"), Secret: os.Getenv("CAMPAIGN_SECRET"), BaseURL: url}))
		p = must(sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{}))
		currency, account = "DZAR", "27820000000"
	}
	d.Direction = p.Info().Direction
	for i := range 3 {
		d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%s-%d", reference, i), Account: account, Amount: batch.Money{Minor: int64(100 + i), Currency: currency}})
	}
	journal, err := boltjournal.Open(path, p.Info())
	if err != nil {
		fmt.Println(err)
		return exitFailed
	}
	patience := 10 * time.Millisecond
	if os.Getenv("CAMPAIGN_PATIENT") != "" {
		patience = time.Minute
	}
	report, err := batch.Run(context.Background(), p, d, &batch.RunOptions{Journal: journal, ReconcileFor: patience,
		Watch: batch.WatchOptions{Interval: time.Millisecond}})
	switch {
	case errors.Is(err, batch.ErrAmbiguous):
		return exitUnclear
	case err != nil || report.Batch.State != batch.StateDone:
		fmt.Println(err)
		return exitFailed
	}
	return exitDone
}

// TestKilledProcesses kills real processes with real files at any instant, and
// starts them again until they are done.
func TestKilledProcesses(t *testing.T) {
	for _, name := range []string{"citypay", "sixdotfifty"} {
		t.Run(name, func(t *testing.T) {
			var accepted func() map[string]int
			environment := append(os.Environ(), "CAMPAIGN_VICTIM="+name)
			if name == "citypay" {
				server := citypaytest.New(&citypaytest.Options{Autoplay: 1, Duplicate: citypaytest.DuplicateCharged})
				t.Cleanup(server.Close)
				accepted, environment = server.Accepted, append(environment, "CAMPAIGN_URL="+server.URL)
			} else {
				server := sixdotfiftytest.New(&sixdotfiftytest.Options{Autoplay: 1})
				t.Cleanup(server.Close)
				c := server.Config()
				accepted, environment = server.Accepted, append(environment, "CAMPAIGN_URL="+c.BaseURL, "CAMPAIGN_KEY="+c.Key, "CAMPAIGN_SECRET="+c.Secret)
			}
			self, err := os.Executable()
			require.NoError(t, err)
			// How long one takes that is left alone, so that kills fall into all of it.
			run := func(reference, path string, patience time.Duration) int {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				process := exec.CommandContext(ctx, self) // Its end kills the process with SIGKILL.
				process.Env = slices.Concat(environment, []string{"CAMPAIGN_REFERENCE=" + reference, "CAMPAIGN_JOURNAL=" + path})
				out, err := process.CombinedOutput()
				if code := process.ProcessState.ExitCode(); code >= 0 {
					if code == exitFailed {
						t.Logf("%s: %v: %s", reference, err, out)
					}
					return code
				}
				return -1
			}
			began := time.Now()
			require.Equal(t, exitDone, run("1", filepath.Join(t.TempDir(), "journal"), time.Minute))
			whole := time.Since(began)

			killed := 0
			unclear := map[string]string{} // journals by reference
			judge := func(reference string, code int) {
				t.Helper()
				times := 0
				for i := range 3 {
					n := accepted()[fmt.Sprintf("item-%s-%d", reference, i)]
					if times += n; n > 1 {
						t.Errorf("item %d of %s was accepted %d times", i, reference, n)
					}
				}
				if code == exitDone && times != 3 || code != exitDone && code != exitUnclear {
					t.Errorf("%s ended with code %d, and %d of 3 items were accepted", reference, code, times)
				}
			}
			for n := range *kills {
				reference, path := fmt.Sprint(n+2), filepath.Join(t.TempDir(), "journal")
				code := -1
				for tries := 0; code == -1; tries++ {
					patience := rand.N(whole)
					if tries > 10 {
						patience = time.Minute
					}
					if code = run(reference, path, patience); code == -1 {
						killed++
					}
				}
				if judge(reference, code); code == exitUnclear {
					unclear[reference] = path
				}
			}
			// Those that are unclear are asked about with patience, all at once.
			environment = append(environment, "CAMPAIGN_PATIENT=1")
			codes := make(map[string]int)
			var mu sync.Mutex
			var wg sync.WaitGroup
			if name != "citypay" { // Which would only wait: it has no guard here, and nothing landed.
				for reference, path := range unclear {
					wg.Go(func() {
						code := run(reference, path, 2*time.Minute)
						mu.Lock()
						defer mu.Unlock()
						codes[reference] = code
					})
				}
			}
			wg.Wait()
			for reference, code := range codes {
				judge(reference, code)
				if code == exitDone {
					delete(unclear, reference)
				}
			}
			if name != "citypay" && len(unclear) > 0 {
				t.Errorf("%d batches stay unclear, where the service refuses a second submit", len(unclear))
			}
			t.Logf("%d batches, %d processes killed, %d batches still unclear, nothing paid twice", *kills, killed, len(unclear))
		})
	}
}
