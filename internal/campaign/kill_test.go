package campaign

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/boltjournal"
	"github.com/batchway/batchway-go/batch/sqljournal"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

var kills = flag.Int("kills", 2,
	"batches whose process is killed with SIGKILL, for each provider and each kind of journal")

// TestMain is also the process that is killed.
func TestMain(m *testing.M) {
	if name := os.Getenv("CAMPAIGN_VICTIM"); name != "" {
		os.Exit(victim(name, os.Getenv("CAMPAIGN_JOURNAL"), os.Getenv("CAMPAIGN_REFERENCE")))
	}
	debug.SetGCPercent(400) // A world is small, and there are many: to collect each costs a fifth of the time.
	os.Exit(m.Run())
}

// The exit codes of a victim that was not killed.
const (
	exitDone = iota
	exitFailed
	exitUnclear
)

// A target is a service whose processes are killed.
type target struct {
	name string
	// serve starts the service. The environment tells the victims where it is.
	serve func(t *testing.T, environ map[string]string) served
	// open is the provider of a victim.
	open func() batch.Provider
	// account and currency are those of the items.
	account, currency string
	// ends says that a batch that is unclear always ends once it is asked about
	// with patience.
	ends bool
	// person says that a batch may need a person although nothing was accepted.
	person bool
}

// A served is a service that runs.
type served struct {
	accepted func() map[string]int
	prepare  func(reference string) // before the first process of a reference; nil if there is nothing to do
}

var targets = []target{
	{name: "citypay", account: "account-1", currency: "GBP",
		serve: func(t *testing.T, environ map[string]string) served {
			server := citypaytest.New(&citypaytest.Options{Autoplay: 1, Duplicate: citypaytest.DuplicateCharged})
			t.Cleanup(server.Close)
			environ["CAMPAIGN_URL"] = server.URL
			return served{accepted: server.Accepted}
		},
		open: func() batch.Provider {
			client := must(citypay.New(citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB",
				BaseURL: os.Getenv("CAMPAIGN_URL")}))
			return must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"}))
		}},
	{name: "centrapay", account: "012345678", currency: "NZD",
		serve: func(t *testing.T, environ map[string]string) served {
			server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
			t.Cleanup(server.Close)
			files := httptest.NewServer(http.FileServer(http.Dir(environ["CAMPAIGN_DIR"])))
			t.Cleanup(files.Close)
			environ["CAMPAIGN_FILES"] = files.URL
			return serveCentrapay(server, environ)
		},
		open: func() batch.Provider {
			return openCentrapayVictim(centrapay.ProviderConfig{Upload: func(_ context.Context, _ string,
				file io.Reader) (string, error) {
				name := rand.Text()
				return os.Getenv("CAMPAIGN_FILES") + "/" + name,
					os.WriteFile(filepath.Join(os.Getenv("CAMPAIGN_DIR"), name), must(io.ReadAll(file)), 0o600)
			}})
		}},
	{name: "centrapay-gate", account: "012345678", currency: "NZD",
		serve: func(t *testing.T, environ map[string]string) served {
			server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
			t.Cleanup(server.Close)
			server.Host(must(centrapay.NewFileGate(environ["CAMPAIGN_DIR"], server.GateURL())))
			environ["CAMPAIGN_FILES"] = server.GateURL()
			return serveCentrapay(server, environ)
		},
		open: func() batch.Provider {
			return openCentrapayVictim(
				centrapay.ProviderConfig{Gate: must(centrapay.NewFileGate(os.Getenv("CAMPAIGN_DIR"),
					os.Getenv("CAMPAIGN_FILES")))})
		}},
	{name: "sixdotfifty", account: "27820000000", currency: "DZAR", ends: true,
		serve: func(t *testing.T, environ map[string]string) served {
			server := sixdotfiftytest.New(&sixdotfiftytest.Options{Autoplay: 1})
			t.Cleanup(server.Close)
			c := server.Config()
			environ["CAMPAIGN_URL"], environ["CAMPAIGN_KEY"], environ["CAMPAIGN_SECRET"] = c.BaseURL, c.Key, c.Secret
			return served{accepted: server.Accepted}
		},
		open: func() batch.Provider {
			client := must(sixdotfifty.New(sixdotfifty.Config{Key: os.Getenv("CAMPAIGN_KEY"),
				Secret: os.Getenv("CAMPAIGN_SECRET"), BaseURL: os.Getenv("CAMPAIGN_URL")}))
			return must(sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{}))
		}},
	{name: "snapbill", currency: "ZAR", person: true,
		serve: func(t *testing.T, environ map[string]string) served {
			server := snapbilltest.New(&snapbilltest.Options{Autoplay: 1})
			t.Cleanup(server.Close)
			c := server.Config()
			environ["CAMPAIGN_URL"], environ["CAMPAIGN_KEY"], environ["CAMPAIGN_SECRET"] = c.BaseURL,
				c.Username, c.Password
			return served{server.Accepted, func(reference string) {
				for _, item := range items(reference, "", "ZAR") {
					server.Bill(item.Account, snapbill.DateOf(day(reference)), item.Amount.Minor)
				}
			}}
		},
		open: func() batch.Provider {
			client := must(snapbill.New(snapbill.Config{Username: os.Getenv("CAMPAIGN_KEY"),
				Password: os.Getenv("CAMPAIGN_SECRET"), BaseURL: os.Getenv("CAMPAIGN_URL")}))
			return must(snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"}))
		}},
}

func serveCentrapay(server *centrapaytest.Server, environ map[string]string) served {
	environ["CAMPAIGN_URL"], environ["CAMPAIGN_KEY"] = server.URL, server.Config().APIKey
	environ["CAMPAIGN_ACCOUNT"] = server.ProviderConfig().AccountID
	return served{accepted: server.Accepted}
}

func openCentrapayVictim(o centrapay.ProviderConfig) batch.Provider {
	client := must(centrapay.New(centrapay.Config{APIKey: os.Getenv("CAMPAIGN_KEY"), BaseURL: os.Getenv("CAMPAIGN_URL"),
		RequestsPerMinute: 1_000_000}))
	o.AccountID, o.Currency = os.Getenv("CAMPAIGN_ACCOUNT"), "NZD"
	return must(centrapay.NewProvider(client, o))
}

// items are those of one batch. Where there is no account, each has its own.
func items(reference, account, currency string) []batch.Item {
	var all []batch.Item
	for i := range 3 {
		item := batch.Item{Reference: fmt.Sprintf("item-%s-%d", reference, i), Account: account,
			Amount: batch.Money{Minor: int64(100 + i), Currency: currency}}
		if account == "" {
			item.Account = item.Reference
		}
		all = append(all, item)
	}
	return all
}

// day gives each reference a day of its own. The later the reference, the
// earlier the day, so that no batch of SnapBill takes the invoices of another.
func day(reference string) time.Time {
	return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -must(strconv.Atoi(reference)))
}

// near is a provider whose service is so near that a request arrives within a
// second, or never.
type near struct{ batch.Provider }

func (n near) Info() batch.Info {
	info := n.Provider.Info()
	info.InFlight = time.Second
	return info
}

func (n near) Unwrap() batch.Provider { return n.Provider }

// victim sees one batch through, as far as it comes.
func victim(name, where, reference string) int {
	t := targets[slices.IndexFunc(targets, func(t target) bool { return t.name == name })]
	p := near{t.open()}
	d := batch.Draft{Reference: reference, Direction: p.Info().Direction,
		Items: items(reference, t.account, t.currency)}
	if t.name == "snapbill" {
		d.Date = day(reference)
	}
	journal, err := openJournal(where, p.Info())
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
	fmt.Println(err)
	switch {
	case errors.Is(err, batch.ErrAmbiguous):
		return exitUnclear
	case err != nil || report.Batch.State != batch.StateDone:
		return exitFailed
	}
	return exitDone
}

// openJournal opens the journal in a file, or in PostgreSQL.
func openJournal(where string, owner batch.Info) (batch.Journal, error) {
	if !strings.HasPrefix(where, "host=") {
		return boltjournal.Open(where, owner)
	}
	db, err := sql.Open("postgres", where)
	if err != nil {
		return nil, err
	}
	return sqljournal.Open(context.Background(), db, owner)
}

// TestKilledProcesses kills real processes with real journals at any instant,
// and starts them again until they are done.
func TestKilledProcesses(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		for _, target := range targets {
			t.Run(target.name, func(t *testing.T) {
				kill(t, target, func() string { return filepath.Join(t.TempDir(), "journal") })
			})
		}
	})
	t.Run("postgres", func(t *testing.T) {
		dsn := startPostgres(t)
		for _, target := range targets {
			t.Run(target.name, func(t *testing.T) { kill(t, target, func() string { return dsn }) })
		}
	})
}

// kill kills the processes of one target. Every reference has the journal that
// newJournal names.
func kill(t *testing.T, target target, newJournal func() string) {
	environ := map[string]string{"CAMPAIGN_VICTIM": target.name, "CAMPAIGN_DIR": t.TempDir()}
	require.NoError(t, os.Chmod(environ["CAMPAIGN_DIR"], 0o700))
	service := target.serve(t, environ)
	prepare := func(reference string) {
		if service.prepare != nil {
			service.prepare(reference)
		}
	}
	environment := os.Environ()
	for name, value := range environ {
		environment = append(environment, name+"="+value)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	// run returns the exit code of a process, or -1 if it was killed, and what it printed.
	run := func(reference, journal string, patience time.Duration) (int, string) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		process := exec.CommandContext(ctx, self) // Its end kills the process with SIGKILL.
		process.Env = slices.Concat(environment, []string{"CAMPAIGN_REFERENCE=" + reference,
			"CAMPAIGN_JOURNAL=" + journal})
		out, _ := process.CombinedOutput()
		return process.ProcessState.ExitCode(), string(out)
	}
	// How long a process takes that is left alone, so that kills fall into all of it.
	prepare("1")
	began := time.Now()
	code, out := run("1", newJournal(), time.Minute)
	require.Equal(t, exitDone, code, out)
	whole := time.Since(began)

	killed, stuck := 0, 0
	unclear := make(map[string]string) // journals by reference
	judge := func(reference string, code int, out string) {
		t.Helper()
		times := 0
		for i := range 3 {
			n := service.accepted()[fmt.Sprintf("item-%s-%d", reference, i)]
			if times += n; n > 1 {
				t.Errorf("item %d of %s was accepted %d times", i, reference, n)
			}
		}
		switch {
		case code == exitDone && times == 3, code == exitUnclear:
		case code == exitFailed && target.person && times == 0:
			stuck++
		default:
			t.Errorf("%s ended with code %d, and %d of 3 items were accepted: %s", reference, code, times, out)
		}
	}
	for n := range *kills {
		reference, journal := fmt.Sprint(n+2), newJournal()
		prepare(reference)
		code, out := -1, ""
		// The last entry of a process that was killed may arrive after the history was read.
		for tries := 0; code == -1 || code == exitFailed && strings.Contains(out, "is not the next"); tries++ {
			patience := mathrand.N(whole)
			if tries > 10 {
				patience = time.Minute
			}
			began := time.Now()
			if code, out = run(reference, journal, patience); code == -1 {
				killed++
			} else if tries == 0 {
				whole = min(whole, time.Since(began))
			}
		}
		if judge(reference, code, out); code == exitUnclear {
			unclear[reference] = journal
		}
	}
	if target.ends { // Those that are unclear are asked about with patience, all at once.
		environment = append(environment, "CAMPAIGN_PATIENT=1")
		var mu sync.Mutex
		var wg sync.WaitGroup
		for reference, journal := range unclear {
			wg.Go(func() {
				code, out := run(reference, journal, 2*time.Minute)
				mu.Lock()
				defer mu.Unlock()
				if judge(reference, code, out); code != exitDone {
					t.Errorf("%s stays unclear, where the service refuses a second submit: %s", reference, out)
				}
			})
		}
		wg.Wait()
		clear(unclear)
	}
	t.Logf("%d batches, %d processes killed, %d batches still unclear, %d for a person, nothing paid twice", *kills,
		killed, len(unclear), stuck)
}
