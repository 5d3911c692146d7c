package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// A service is a simulator in this process, and a provider in every worker.
type service struct {
	name     string
	kit      *batchsim.Kit
	breaks   func(batchsim.Scenario) // the next request that can move money
	accepted func() map[string]int
	batches  func() []batchsim.Batch
	prepare  func(d batch.Draft) // before a batch is ordered; nil if there is nothing to do
	item     func(reference string, n int) batch.Item
	created  bool // a batch that the service has is one that was submitted
	// alone says that one batch is under way at a time: SnapBill's takes every
	// invoice that is due.
	alone bool
}

// serve starts the services. Environ tells the workers where they are.
func serve(t *testing.T, environ map[string]string) []*service {
	t.Helper()
	city := citypaytest.New(&citypaytest.Options{Autoplay: 2, Duplicate: citypaytest.DuplicateCharged})
	t.Cleanup(city.Close)
	environ["E2E_CITYPAY"] = city.URL

	files := filepath.Join(t.TempDir(), "files")
	must(0, os.Mkdir(files, 0o700))
	centra := centrapaytest.New(&centrapaytest.Options{Autoplay: 2})
	t.Cleanup(centra.Close)
	centra.Host(must(centrapay.NewFileGate(files, centra.GateURL())))
	environ["E2E_CENTRAPAY"], environ["E2E_FILES"], environ["E2E_GATE"] = centra.URL, files, centra.GateURL()
	environ["E2E_CENTRAPAY_KEY"], environ["E2E_CENTRAPAY_ACCOUNT"] = centra.Config().APIKey,
		centra.ProviderConfig().AccountID

	// One live token for a key: a worker that fetches one ends those of the others.
	six := sixdotfiftytest.New(&sixdotfiftytest.Options{Autoplay: 2, OneToken: true})
	t.Cleanup(six.Close)
	environ["E2E_SIX"], environ["E2E_SIX_KEY"], environ["E2E_SIX_SECRET"] = six.URL, six.Config().Key,
		six.Config().Secret

	snap := snapbilltest.New(&snapbilltest.Options{Autoplay: 2})
	t.Cleanup(snap.Close)
	environ["E2E_SNAP"], environ["E2E_SNAP_USER"], environ["E2E_SNAP_PASSWORD"] = snap.URL, snap.Config().Username,
		snap.Config().Password

	item := func(account, currency string) func(string, int) batch.Item {
		return func(reference string, n int) batch.Item {
			i := batch.Item{Reference: fmt.Sprintf("%s-%d", reference, n), Account: account,
				Amount: batch.Money{Minor: int64(100 + n), Currency: currency}}
			if account == "" {
				i.Account = i.Reference
			}
			return i
		}
	}
	return []*service{
		{name: "citypay", kit: &city.Kit, breaks: city.Break, accepted: city.Accepted, batches: city.Batches,
			item: item("account-1", "GBP")},
		{name: "centrapay", kit: &centra.Kit, breaks: centra.Break, accepted: centra.Accepted, batches: centra.Batches,
			created: true, item: item("012345678", "NZD")},
		{name: "sixdotfifty", kit: &six.Kit, breaks: six.Break, accepted: six.Accepted, batches: six.Batches,
			item: item("27820000000", "DZAR")},
		{name: "snapbill", kit: &snap.Kit, breaks: snap.Break, accepted: snap.Accepted, batches: snap.Batches,
			item: item("", "ZAR"), alone: true,
			prepare: func(d batch.Draft) {
				for _, i := range d.Items {
					snap.Bill(i.Account, snapbill.DateOf(d.Date), i.Amount.Minor)
				}
			}},
	}
}

// draft is the nth batch of a service.
func (s *service) draft(n, rows int, direction batch.Direction) batch.Draft {
	d := batch.Draft{Reference: fmt.Sprint(n + 1), Direction: direction}
	for i := range rows {
		d.Items = append(d.Items, s.item(s.name+"-"+d.Reference, i))
	}
	if s.alone {
		d.Date = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -n)
	}
	return d
}

// open makes the providers of a worker.
func open() []batch.Provider {
	city := must(citypay.New(citypay.Config{ClientID: "PC600001", LicenceKey: "EXAMPLEKEY0000AB",
		BaseURL: os.Getenv("E2E_CITYPAY")}))
	centra := must(centrapay.New(centrapay.Config{APIKey: os.Getenv("E2E_CENTRAPAY_KEY"),
		BaseURL: os.Getenv("E2E_CENTRAPAY"), RequestsPerMinute: 1_000_000}))
	six := must(sixdotfifty.New(sixdotfifty.Config{Key: os.Getenv("E2E_SIX_KEY"), Secret: os.Getenv("E2E_SIX_SECRET"),
		BaseURL: os.Getenv("E2E_SIX")}))
	snap := must(snapbill.New(snapbill.Config{Username: os.Getenv("E2E_SNAP_USER"),
		Password: os.Getenv("E2E_SNAP_PASSWORD"), BaseURL: os.Getenv("E2E_SNAP")}))
	return []batch.Provider{
		near{must(citypay.NewProvider(city, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"}))},
		near{must(centrapay.NewProvider(centra, centrapay.ProviderConfig{AccountID: os.Getenv("E2E_CENTRAPAY_ACCOUNT"),
			Currency: "NZD",
			Gate:     must(centrapay.NewFileGate(os.Getenv("E2E_FILES"), os.Getenv("E2E_GATE")))}))},
		near{must(sixdotfifty.NewProvider(six, sixdotfifty.ProviderConfig{}))},
		near{must(snapbill.NewProvider(snap, snapbill.ProviderConfig{PaymentMethod: "netcash"}))},
	}
}

// near is a provider whose service is so near that a request arrives within two
// seconds, or never.
type near struct{ batch.Provider }

func (n near) Info() batch.Info {
	info := n.Provider.Info()
	info.InFlight = 2 * time.Second
	return info
}

func (n near) Unwrap() batch.Provider { return n.Provider }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
