package campaign

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/internal/simkit"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

// A service is one simulated service, and what the campaign has to know of it.
type service struct {
	kit      *simkit.Kit
	steps    []string                // operations that change something
	submits  []string                // those of them that can move money
	moves    func(simkit.Entry) bool // whether a request of them can move money; nil means that each can
	reads    []string
	report   string // the one that a report is read with
	amount   string // what an amount is called in it; empty if it has none
	refused  simkit.Reply
	limited  string // the body of a 429
	secrets  []string
	draft    func(n, items int) batch.Draft
	accepted func() map[string]int  // by item reference: how often money moved, or is bound to move
	provider func() batch.Provider  // a fresh one, as another process has
	finish   func()                 // everything that was submitted ends
	close    func()                 // also of the clients
	once     func(batch.Draft) bool // is it promised that the batch ends well once all is healed?
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
		Duplicate:   pick(r, citypaytest.DuplicateRefused, citypaytest.DuplicateInvalid, citypaytest.DuplicateCharged),
		Unseen:      pick(r, citypaytest.UnseenUnknown, citypaytest.UnseenMissing, citypaytest.UnseenError),
		EarlyReport: pick(r, citypaytest.EarlyEmpty, citypaytest.EarlyPartial, citypaytest.EarlyRefused)}
	server := citypaytest.New(&o)
	c := &closer{all: []func(){server.Close}}
	guarded := o.Duplicate != citypaytest.DuplicateCharged && maybe(r)
	base, words := int64(r.IntN(40_000_000)+1), maybe(r)
	return &service{
		kit: &server.Kit, steps: []string{"ProcessBatch"}, submits: []string{"ProcessBatch"}, reads: []string{"BatchStatus", "RetrieveBatch"}, report: "RetrieveBatch", amount: "amount",
		refused: simkit.JSON(http.StatusUnprocessableEntity, `{"code":"B006","context":"x","message":"Transaction invalid in batch"}`),
		secrets: []string{server.Config().LicenceKey},
		draft: func(n, items int) batch.Draft {
			d := batch.Draft{Reference: fmt.Sprint(base + int64(n)), Direction: batch.Collect}
			if words && n%2 == 0 {
				d.Reference = "fees-" + d.Reference // The journal finds a number for it.
			}
			for i := range items {
				d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: "account-1",
					Amount: batch.Money{Minor: pick(r, int64(100+i), 3333, 4444, 6666), Currency: "GBP"}})
			}
			return d
		},
		accepted: server.Accepted, finish: server.FinishAll, close: c.close,
		once: func(batch.Draft) bool { return guarded },
		provider: func() batch.Provider {
			client := must(citypay.New(server.Config()))
			c.add(client.CloseIdleConnections)
			return must(citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 1, Currency: "GBP", DuplicateIDRefused: guarded,
				AbsentMeansUnused: o.Unseen == citypaytest.UnseenMissing}))
		},
	}
}

func openCentrapay(r *rand.Rand) *service {
	server := startCentrapay(r, false)
	return centrapayService(r, server, server.ProviderConfig(), server.Close)
}

// openCentrapayGate has the files behind a gate.
func openCentrapayGate(r *rand.Rand) *service {
	server := startCentrapay(r, maybe(r))
	dir := must(os.MkdirTemp("", "gate"))
	gate := must(centrapay.NewFileGate(dir, server.GateURL()))
	server.Host(gate)
	o := server.ProviderConfig()
	o.Upload, o.Gate = nil, gate
	s := centrapayService(r, server, o, func() { server.Close(); _ = os.RemoveAll(dir) })
	s.once = func(d batch.Draft) bool { // What was fetched is loaded once, but its id may be lost.
		return s.provider().Info().PollsWithoutID && len(must(filepath.Glob(filepath.Join(dir, d.Reference+".*", "*.served")))) == 0
	}
	s.accepted = server.Accepted // Looking must not fetch: that would decide what is open.
	return s
}

func startCentrapay(r *rand.Rand, fetchTwice bool) *centrapaytest.Server {
	return centrapaytest.New(&centrapaytest.Options{InMemory: true, Autoplay: 1, FetchLate: maybe(r), FetchTwice: fetchTwice, OtherAccount: maybe(r),
		CountName: pick(r, centrapaytest.CountIsCount, centrapaytest.CountIsTotalCount, centrapaytest.CountIsBoth)})
}

func centrapayService(r *rand.Rand, server *centrapaytest.Server, o centrapay.ProviderConfig, end func()) *service {
	c := &closer{all: []func(){end}}
	return &service{
		kit: &server.Kit, steps: []string{"CreateBatch"}, submits: []string{"CreateBatch"}, reads: []string{"GetBatch", "GetAccount"}, report: "GetBatch",
		refused: simkit.JSON(http.StatusForbidden, `{"statusCode":403,"error":"Forbidden","message":"LIVENESS_MISMATCH"}`),
		limited: `{"statusCode":429,"error":"Too Many Requests","message":"RATE_LIMIT_EXCEEDED"}`,
		secrets: []string{server.Config().APIKey},
		draft: func(n, items int) batch.Draft {
			d := batch.Draft{Reference: fmt.Sprint("load-", n), Direction: batch.Load}
			for i := range items {
				d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: pick(r, fmt.Sprintf("%09d", i+1), "000000404"),
					Amount: batch.Money{Minor: int64(1000 + i), Currency: "NZD"}})
			}
			return d
		},
		accepted: func() map[string]int { server.FetchAll(); return server.Accepted() }, finish: server.FinishAll, close: c.close,
		once: func(batch.Draft) bool { return false },
		provider: func() batch.Provider {
			client := must(centrapay.New(server.Config()))
			c.add(client.CloseIdleConnections)
			return must(centrapay.NewProvider(client, o))
		},
	}
}

func openSixDotFifty(r *rand.Rand) *service {
	o := sixdotfiftytest.Options{InMemory: true, Autoplay: 1, FilterPrefix: maybe(r), CancelFreesID: maybe(r),
		SubmitWithoutPayments: maybe(r), ZonedTimes: maybe(r),
		MaxTake: pick(r, 0, 0, 2), RefusalStatus: pick(r, 0, 422),
		Errors:   pick(r, sixdotfiftytest.ErrorsText, sixdotfiftytest.ErrorsString, sixdotfiftytest.ErrorsModel),
		Payments: pick(r, sixdotfiftytest.PaymentsWhole, sixdotfiftytest.PaymentsCut, sixdotfiftytest.PaymentsPaged),
		Added:    pick(r, sixdotfiftytest.AddedSummary, sixdotfiftytest.AddedPayments, sixdotfiftytest.AddedNothing)}
	if maybe(r) {
		o.NonMembers = []string{"27820000000", "27820000002"}
	}
	server := sixdotfiftytest.New(&o)
	c := &closer{all: []func(){server.Close}}
	chunk := pick(r, 1, 2, 500)
	return &service{
		kit: &server.Kit, steps: []string{"CreateBatch", "AddPayments", "SubmitBatch", "CancelBatch"}, submits: []string{"SubmitBatch"},
		reads: []string{"ListBatches", "GetBatch", "ListPayments", "GetToken"}, report: "ListPayments", amount: "amount",
		refused: simkit.JSON(http.StatusBadRequest, `{"statusCode":400,"errorCode":"0","message":"Insufficient funds"}`),
		secrets: []string{server.Config().Secret, "token-of-the-simulator"},
		draft: func(n, items int) batch.Draft {
			d := batch.Draft{Reference: fmt.Sprint("wages-", n), Direction: batch.Pay}
			for i := range items {
				d.Items = append(d.Items, batch.Item{Reference: fmt.Sprintf("item-%d-%d", n, i), Account: fmt.Sprint(27820000000 + i%3),
					Amount: batch.Money{Minor: int64(1 + r.IntN(100_000)), Currency: "DZAR"}})
			}
			return d
		},
		accepted: server.Accepted, finish: server.FinishAll, close: c.close,
		once: func(batch.Draft) bool { return true },
		provider: func() batch.Provider {
			client := must(sixdotfifty.New(server.Config()))
			c.add(client.CloseIdleConnections)
			return must(sixdotfifty.NewProvider(client, sixdotfifty.ProviderConfig{ChunkSize: chunk}))
		},
	}
}

func openSnapBill(r *rand.Rand) *service {
	bySetState := maybe(r)
	o := snapbilltest.Options{InMemory: true, Autoplay: 1, WithoutObject: maybe(r), RefusesInBody: maybe(r), PlainNumbers: maybe(r),
		Resubmit: pick(r, snapbilltest.ResubmitRefused, snapbilltest.ResubmitIgnored, snapbilltest.ResubmitQueued)}
	if maybe(r) {
		o.Bounces = []string{"0/0", "1/1"}
	}
	server := snapbilltest.New(&o)
	c := &closer{all: []func(){server.Close}}
	submit := map[bool]string{false: "UpdateBatch", true: "SetBatchState"}[bySetState]
	refused := simkit.JSON(http.StatusBadRequest, `{"code":400,"type":"result","status":"error","message":"Could not update batch","errors":{"":"Batch is still being built"}}`)
	made := maybe(r) // In the web interface, before.
	return &service{
		kit: &server.Kit, steps: []string{"AddBatch", submit}, submits: []string{submit}, reads: []string{"ListBatches", "GetBatch", "ListPayments"}, report: "ListPayments", amount: "amount_cents",
		moves:   func(e simkit.Entry) bool { return strings.Contains(string(e.Body), "state=submit") }, // Not that which deletes it.
		refused: refused, secrets: []string{server.Config().Password},
		draft: func(n, items int) batch.Draft {
			// The later the draft, the earlier the day, so that no batch takes the invoices of another.
			day := time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, -n)
			d := batch.Draft{Reference: fmt.Sprint("fees-", n), Direction: batch.Collect, Date: day}
			for i := range items {
				number := fmt.Sprintf("%d/%d", n, i)
				server.Bill(number, snapbill.DateOf(day), int64(5000+i))
				d.Items = append(d.Items, batch.Item{Reference: number, Account: number, Amount: batch.Money{Minor: int64(5000 + i), Currency: "ZAR"}})
			}
			if made || n > 0 {
				d.Extra = map[string]string{"batch_id": fmt.Sprint(server.NewBatch(snapbill.DateOf(day)))}
			}
			return d
		},
		accepted: server.Accepted, finish: server.FinishAll, close: c.close,
		once: func(batch.Draft) bool { return false },
		provider: func() batch.Provider {
			client := must(snapbill.New(server.Config()))
			c.add(client.CloseIdleConnections)
			return must(snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash", SetState: bySetState}))
		},
	}
}

// nullAmount makes every amount of a reply null.
func nullAmount(name string) func(simkit.Reply) simkit.Reply {
	amount := regexp.MustCompile(`"` + name + `":"?[0-9.]+"?`)
	return func(reply simkit.Reply) simkit.Reply {
		reply.Body = amount.ReplaceAllLiteral(reply.Body, []byte(`"`+name+`":null`))
		return reply
	}
}
