package campaign

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
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

// A service is one simulated service, and what the campaign has to know of it.
type service struct {
	kit     *batchsim.Kit
	net     *network
	steps   []string // operations that change something
	submits []string // those of them that can move money
	// the batch that a request can move the money of, by ID or reference; empty if it cannot
	moves   func(batchsim.Entry) string
	reads   []string
	report  string // the one that a report is read with
	amount  string // what an amount is called in it; empty if it has none
	idle    string // a field of replies that decides nothing
	refused batchsim.Reply
	limited string        // the body of a 429
	atMost  time.Duration // how late a submit can be applied after it was sent; 0 means by hours
	secrets []string

	draft   func(n, items int) batch.Draft
	earlier func() batch.Draft                            // a batch of last month
	twin    func(batch.Draft) (twin batch.Draft, ok bool) // another reference for the same batch
	// by item reference: how often money moved, or is bound to move
	accepted func() map[string]int
	payer    func(terms map[string]string) string // whose money moves under these terms
	provider func() batch.Provider                // a fresh one, as another process has
	rotate   func()                               // gives the account another credential
	other    func() batch.Provider                // one of other terms; nil if there is none
	finish   func()                               // everything that was submitted ends
	bounce   func(account string)                 // what was paid by an account comes back; nil where nothing does
	close    func()                               // also of the clients
	once     func(batch.Draft) bool               // is it promised that the batch ends well once all is healed?
}

// world opens a service with answers to the open questions that r chooses.
type world struct {
	name string
	open func(r *rand.Rand) *service
}

var worlds = []world{{"citypay", openCityPay}, {"centrapay", openCentrapay}, {"centrapay-gate", openCentrapayGate},
	{"sixdotfifty", openSixDotFifty}, {"snapbill", openSnapBill}}

// pick chooses one of the answers that the options can have.
func pick[T any](r *rand.Rand, answers ...T) T { return answers[r.IntN(len(answers))] }

func maybe(r *rand.Rand) bool { return r.IntN(2) == 0 }

// closer collects what has to be closed when a run ends.
type closer struct {
	mu  sync.Mutex
	all []func()
}

func (c *closer) add(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, f)
}

func (c *closer) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := len(c.all) - 1; n >= 0; n-- {
		c.all[n]()
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func openCityPay(r *rand.Rand) *service {
	o := citypaytest.Options{InMemory: true, Autoplay: 1, RefuseAsInvalid: maybe(r), PaidTotal: maybe(r),
		NumbersByAccount: maybe(r),
		Duplicate: pick(r, citypaytest.DuplicateRefused, citypaytest.DuplicateInvalid,
			citypaytest.DuplicateCharged),
		Unseen:      pick(r, citypaytest.UnseenUnknown, citypaytest.UnseenMissing, citypaytest.UnseenError),
		EarlyReport: pick(r, citypaytest.EarlyEmpty, citypaytest.EarlyPartial, citypaytest.EarlyRefused)}
	server := citypaytest.New(&o)
	c := &closer{all: []func(){server.Close}}
	guarded := o.Duplicate != citypaytest.DuplicateCharged && maybe(r)
	base, words := int64(r.IntN(40_000_000)+1), maybe(r)
	merchant, account := int64(2+r.IntN(1_000_000)), pick(r, "", "site-1")
	net := &network{op: server.Op}
	provider := func(merchant int64) batch.Provider {
		config := server.Config()
		config.BaseURL, config.HTTPClient, config.Middleware = net.url(config.BaseURL), net.client(config.HTTPClient),
			net.middleware
		client := must(citypay.New(config))
		c.add(client.CloseIdleConnections)
		return must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: merchant, Currency: "GBP",
			ClientAccountID:    account,
			DuplicateIDRefused: guarded, AbsentMeansUnused: o.Unseen == citypaytest.UnseenMissing}))
	}
	items := func(prefix string, items int) (all []batch.Item) {
		for i := range items {
			all = append(all, batch.Item{Reference: fmt.Sprint(prefix, i), Account: "account-1",
				Amount: batch.Money{Minor: pick(r, int64(100+i), 3333, 4444, 6666), Currency: "GBP"}})
		}
		return all
	}
	return &service{
		kit: &server.Kit, net: net, steps: []string{"ProcessBatch"}, submits: []string{"ProcessBatch"},
		reads: []string{"BatchStatus", "RetrieveBatch"}, report: "RetrieveBatch", amount: "amount", idle: "batch_date",
		moves: func(e batchsim.Entry) string {
			var body struct {
				ID int64 `json:"batch_id"`
			}
			_ = json.Unmarshal(e.Body, &body)
			return fmt.Sprint(body.ID)
		},
		refused: batchsim.JSON(http.StatusUnprocessableEntity,
			`{"code":"B006","context":"x","message":"Transaction invalid in batch"}`),
		secrets: []string{server.Config().LicenceKey},
		draft: func(n, count int) batch.Draft {
			d := batch.Draft{Reference: fmt.Sprint(base + int64(n)), Direction: batch.Collect}
			if words && n%2 == 0 {
				d.Reference = "fees-" + d.Reference // The journal finds a number for it.
			}
			d.Items = items(fmt.Sprintf("item-%d-", n), count)
			return d
		},
		// Its number is the first that a new journal would give.
		earlier: func() batch.Draft {
			return batch.Draft{Reference: "fees-of-march", Direction: batch.Collect, Items: items("march-", 2)}
		},
		twin: func(d batch.Draft) (batch.Draft, bool) {
			if strings.HasPrefix(d.Reference, "fees-") {
				return d, false
			}
			return batch.Draft{Reference: "twin", Direction: batch.Collect, Items: items("twin-", len(d.Items)),
				Extra: map[string]string{"batch_id": d.Reference}}, true
		},
		accepted: server.Accepted, rotate: server.Rotate, finish: server.FinishAll, close: c.close,
		payer: func(terms map[string]string) string {
			return fmt.Sprintf("merchant %s of %s", terms["merchant"],
				cmp.Or(terms["client_account"], server.Config().ClientID))
		},
		once:     func(batch.Draft) bool { return guarded },
		provider: func() batch.Provider { return provider(merchant) },
		other:    func() batch.Provider { return provider(merchant - 1) },
	}
}

func openCentrapay(r *rand.Rand) *service {
	server := startCentrapay(r, false)
	o := server.ProviderConfig()
	var mu sync.Mutex
	files := make(map[string]string) // references by URL
	upload := o.Upload
	o.Upload = func(ctx context.Context, name string, file io.Reader) (string, error) {
		url, err := upload(ctx, name, file)
		mu.Lock()
		defer mu.Unlock()
		files[url] = strings.TrimSuffix(name, ".jsonl")
		return url, err
	}
	return centrapayService(server, o, server.Close, func(url string) string {
		mu.Lock()
		defer mu.Unlock()
		return files[url]
	})
}

// openCentrapayGate has the files behind a gate.
func openCentrapayGate(r *rand.Rand) *service {
	server := startCentrapay(r, maybe(r))
	dir := must(os.MkdirTemp("", "gate"))
	gate := must(centrapay.NewFileGate(dir, server.GateURL()))
	server.Host(gate)
	o := server.ProviderConfig()
	o.Upload, o.Gate = nil, gate
	s := centrapayService(server, o, func() { server.Close(); _ = os.RemoveAll(dir) }, func(url string) string {
		handle, _, _ := strings.Cut(strings.TrimPrefix(url, server.GateURL()+"/"), ".")
		return handle
	})
	s.once = func(d batch.Draft) bool { // What was fetched is loaded once, but its id may be lost.
		return len(must(filepath.Glob(filepath.Join(dir, d.Reference+".*", "*.served")))) == 0
	}
	s.accepted = server.Accepted // Looking must not fetch: that would decide what is open.
	return s
}

func startCentrapay(r *rand.Rand, fetchTwice bool) *centrapaytest.Server {
	return centrapaytest.New(&centrapaytest.Options{InMemory: true, Autoplay: 1, FetchLate: maybe(r),
		FetchTwice: fetchTwice, OtherAccount: maybe(r),
		CountName: pick(r, centrapaytest.CountIsCount, centrapaytest.CountIsTotalCount, centrapaytest.CountIsBoth)})
}

// centrapayService has the file of a reference under a URL.
func centrapayService(server *centrapaytest.Server, o centrapay.ProviderConfig, end func(),
	reference func(url string) string) *service {
	c := &closer{all: []func(){end}}
	net := &network{op: server.Op}
	items := func(prefix string, n int) (all []batch.Item) {
		for i := range n {
			account := fmt.Sprintf("%09d", i+1)
			if i%4 == 3 {
				account = "000000404" // Which is refused by itself.
			}
			all = append(all, batch.Item{Reference: fmt.Sprint(prefix, i), Account: account,
				Amount: batch.Money{Minor: int64(1000 + i), Currency: "NZD"}})
		}
		return all
	}
	return &service{
		kit: &server.Kit, net: net, steps: []string{"CreateBatch"}, submits: []string{"CreateBatch"},
		reads: []string{"GetBatch", "GetAccount"}, report: "GetBatch", idle: "accountId",
		moves: func(e batchsim.Entry) string {
			var body struct {
				URL string `json:"url"`
			}
			_ = json.Unmarshal(e.Body, &body)
			return cmp.Or(reference(body.URL), "an unknown file")
		},
		refused: batchsim.JSON(http.StatusForbidden,
			`{"statusCode":403,"error":"Forbidden","message":"LIVENESS_MISMATCH"}`),
		limited: `{"statusCode":429,"error":"Too Many Requests","message":"RATE_LIMIT_EXCEEDED"}`,
		secrets: []string{server.Config().APIKey},
		draft: func(n, count int) batch.Draft {
			return batch.Draft{Reference: fmt.Sprint("load-", n), Direction: batch.Load,
				Items: items(fmt.Sprintf("item-%d-", n), count)}
		},
		earlier: func() batch.Draft {
			return batch.Draft{Reference: "load-of-march", Direction: batch.Load, Items: items("march-", 2)}
		},
		accepted: func() map[string]int { server.FetchAll(); return server.Accepted() }, rotate: server.Rotate,
		finish: server.FinishAll, close: c.close,
		payer: func(terms map[string]string) string { return "account " + terms["account"] },
		once:  func(batch.Draft) bool { return false },
		provider: func() batch.Provider {
			config := server.Config()
			config.BaseURL, config.HTTPClient, config.Middleware = net.url(config.BaseURL),
				net.client(config.HTTPClient), net.middleware
			client := must(centrapay.New(config))
			c.add(client.CloseIdleConnections)
			return must(centrapay.NewProvider(client, o))
		},
	}
}

func openSixDotFifty(r *rand.Rand) *service {
	o := sixdotfiftytest.Options{InMemory: true, Autoplay: 1, FilterPrefix: maybe(r), CancelFreesID: maybe(r),
		SubmitWithoutPayments: maybe(r), ZonedTimes: maybe(r), NoLock: r.IntN(4) == 0,
		MaxTake: pick(r, 0, 0, 2), RefusalStatus: pick(r, 0, 422),
		Errors:   pick(r, sixdotfiftytest.ErrorsText, sixdotfiftytest.ErrorsString, sixdotfiftytest.ErrorsModel),
		Payments: pick(r, sixdotfiftytest.PaymentsWhole, sixdotfiftytest.PaymentsCut, sixdotfiftytest.PaymentsPaged),
		Added:    pick(r, sixdotfiftytest.AddedSummary, sixdotfiftytest.AddedPayments, sixdotfiftytest.AddedNothing)}
	if maybe(r) {
		o.NonMembers = []string{"27820000000", "27820000002"}
	}
	// Without a lock the guard holds only if no submit is applied later than any
	// exchange can last.
	atMost, unproven := time.Duration(0), false
	if o.NoLock {
		if unproven = maybe(r); !unproven {
			atMost = time.Minute
		}
	}
	server := sixdotfiftytest.New(&o)
	c := &closer{all: []func(){server.Close}}
	net := &network{op: server.Op}
	chunk := pick(r, 1, 2, 500)
	items := func(prefix string, n int) (all []batch.Item) {
		for i := range n {
			all = append(all, batch.Item{Reference: fmt.Sprint(prefix, i),
				Account: fmt.Sprint(27820000000 + int64(i%3)),
				Amount:  batch.Money{Minor: int64(1 + r.IntN(100_000)), Currency: "DZAR"}})
		}
		return all
	}
	return &service{
		kit: &server.Kit, net: net, steps: []string{"CreateBatch", "AddPayments", "SubmitBatch", "CancelBatch"},
		submits: []string{"SubmitBatch"},
		reads:   []string{"ListBatches", "GetBatch", "ListPayments", "GetToken"}, report: "ListPayments",
		amount: "amount", idle: "createdAt",
		moves: func(e batchsim.Entry) string { return path.Base(path.Dir(e.Path)) },
		refused: batchsim.JSON(http.StatusBadRequest,
			`{"statusCode":400,"errorCode":"0","message":"Insufficient funds"}`),
		atMost:  atMost,
		secrets: []string{server.Config().Secret, "token-of-the-simulator"},
		draft: func(n, count int) batch.Draft {
			return batch.Draft{Reference: fmt.Sprint("wages-", n), Direction: batch.Pay,
				Items: items(fmt.Sprintf("item-%d-", n), count)}
		},
		earlier: func() batch.Draft {
			return batch.Draft{Reference: "wages-of-march", Direction: batch.Pay, Items: items("march-", 2)}
		},
		accepted: server.Accepted, rotate: server.Rotate, finish: server.FinishAll, close: c.close,
		payer: func(map[string]string) string { return "" },
		once:  func(batch.Draft) bool { return !unproven },
		provider: func() batch.Provider {
			config := server.Config()
			config.BaseURL, config.HTTPClient, config.Middleware = net.url(config.BaseURL),
				net.client(config.HTTPClient), net.middleware
			client := must(sixdotfifty.New(config))
			c.add(client.CloseIdleConnections)
			return must(sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{Account: "wages", ChunkSize: chunk,
				GuardUnproven: unproven}))
		},
	}
}

func openSnapBill(r *rand.Rand) *service {
	bySetState := maybe(r)
	o := snapbilltest.Options{InMemory: true, Autoplay: 1, WithoutObject: maybe(r), RefusesInBody: maybe(r),
		PlainNumbers: maybe(r),
		Resubmit:     pick(r, snapbilltest.ResubmitRefused, snapbilltest.ResubmitIgnored, snapbilltest.ResubmitQueued)}
	if maybe(r) {
		o.Bounces = []string{"0/0", "1/1"}
	}
	server := snapbilltest.New(&o)
	c := &closer{all: []func(){server.Close}}
	net := &network{op: server.Op}
	submit := map[bool]string{false: "UpdateBatch", true: "SetBatchState"}[bySetState]
	refused := batchsim.JSON(http.StatusBadRequest,
		`{"code":400,"type":"result","status":"error","message":"Could not update batch","errors":{"":"Batch is still being built"}}`)
	made := maybe(r) // In the web interface, before.
	draft := func(reference string, n, items int, day time.Time) batch.Draft {
		d := batch.Draft{Reference: reference, Direction: batch.Collect, Date: day}
		for i := range items {
			number := fmt.Sprintf("%d/%d", n, i)
			server.Bill(number, snapbill.DateOf(day), int64(5000+i))
			d.Items = append(d.Items, batch.Item{Reference: number, Account: number,
				Amount: batch.Money{Minor: int64(5000 + i), Currency: "ZAR"}})
		}
		return d
	}
	provider := func(method string) batch.Provider {
		config := server.Config()
		config.BaseURL, config.HTTPClient, config.Middleware = net.url(config.BaseURL), net.client(config.HTTPClient),
			net.middleware
		client := must(snapbill.New(config))
		c.add(client.CloseIdleConnections)
		return must(snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: method, SetState: bySetState}))
	}
	return &service{
		kit: &server.Kit, net: net, steps: []string{"AddBatch", submit}, submits: []string{submit},
		reads: []string{"ListBatches", "GetBatch", "ListPayments"}, report: "ListPayments",
		amount: "amount_cents", idle: "depth",
		moves: func(e batchsim.Entry) string { // One that deletes a batch moves nothing.
			if form, _ := url.ParseQuery(string(e.Body)); form.Get("state") == "submit" {
				return path.Base(path.Dir(e.Path))
			}
			return ""
		},
		refused: refused, secrets: []string{server.Config().Password},
		draft: func(n, items int) batch.Draft {
			// The later the draft, the earlier the day, so that no batch takes the invoices of another.
			day := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -n)
			d := draft(fmt.Sprint("fees-", n), n, items, day)
			if made || n > 0 {
				d.Extra = map[string]string{"batch_id": fmt.Sprint(server.NewBatch(snapbill.DateOf(day)))}
			}
			return d
		},
		// Of the same clients, with the same amounts.
		earlier: func() batch.Draft {
			return draft("fees-of-march", 0, 2, time.Date(2099, 3, 1, 0, 0, 0, 0, time.UTC))
		},
		twin: func(d batch.Draft) (batch.Draft, bool) {
			d = d.Clone()
			d.Reference = "twin"
			return d, true
		},
		accepted: server.Accepted, rotate: server.Rotate, finish: server.FinishAll, bounce: server.Bounce,
		close:    c.close,
		payer:    func(map[string]string) string { return "account 10608" },
		once:     func(batch.Draft) bool { return false },
		provider: func() batch.Provider { return provider("netcash") },
		other:    func() batch.Provider { return provider("other") },
	}
}

// nulls makes every field of this name null.
func nulls(name string) func(batchsim.Reply) batchsim.Reply {
	field := regexp.MustCompile(`"` + name + `":("[^"]*"|[0-9.]+)`)
	return func(reply batchsim.Reply) batchsim.Reply {
		reply.Body = field.ReplaceAllLiteral(reply.Body, []byte(`"`+name+`":null`))
		return reply
	}
}
