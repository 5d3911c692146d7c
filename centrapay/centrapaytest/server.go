// Package centrapaytest is an in-process Centrapay: for tests, for examples,
// and for trying things out without an account. It fetches the file of every
// batch over HTTP, as Centrapay does, checks every record, and keeps a ledger
// of what was really loaded.
//
// What is assumed rather than documented, each with an option that plays the
// other answer:
//
//   - The file is fetched while the batch is created, and once
//     (Options.FetchLate, Options.FetchTwice).
//   - The number of records is called count, as in the documented samples
//     (Options.CountName), and counts those with errors too
//     (Options.CountExcludesErrors).
//   - The index of an error counts from 0 (Options.IndexFrom1), and the
//     record's external id is beside it (Options.NoExternalID).
//   - An error of a ticket has its barcode where others have an external id, and
//     one of a terminal its id (Options.NamesNoTicket).
//   - Assets belong to the account of their batch, and a list of them honours
//     its filter (Options.IgnoresFilters).
//   - All errors are listed (Options.MaxErrors).
//   - The batch belongs to the account that was asked for
//     (Options.OtherAccount).
//   - A file in which one line cannot be parsed ends in error as a whole, with
//     nothing loaded (Options.SkipBadLines makes it an error of the record).
//   - A batch always says whether it is a test, and an account only if it is
//     (Options.OmitFalseTest).
//   - Every key may read its account (Options.AccountUnreadable).
//   - An asset can be read under any word for its type.
//   - Batches move on when they are asked for, not by the minute
//     (Options.Autoplay).
//
// INVALID_BARCODE_LENGTH is the one documented word for a bad record; the
// others are made up. A farmlands record with the account number 000000000 or
// 000000404 fails with INVALID_ACCOUNT_NUMBER or ACCOUNT_NOT_FOUND, so that
// failures can be tried out.
package centrapaytest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay"
)

// Options is how the simulated Centrapay behaves. The zero value is the likely
// one.
type Options struct {
	APIKey    string // empty means one of its own
	AccountID string // empty means "C4QnjXvj8At6SMsEN4LRi9"
	Live      bool   // the account is a live one, and so must its batches be

	Autoplay int  // a batch moves one step with every so many reads; 0 means only by Advance and Finish
	InMemory bool // no socket: for a testing/synctest bubble, reached by Config().HTTPClient

	RequestsPerMinute int           // more are answered 429; 0 means any number
	MaxFile           int64         // bytes of the largest file; 0 means 64 MiB
	FetchTimeout      time.Duration // how long fetching a file may take; 0 means 10 seconds

	FetchLate           bool      // the file is fetched with the first step, not with the create
	FetchTwice          bool      // and once more
	CountName           CountName // what the number of records is called
	CountExcludesErrors bool      // and does not hold those with errors
	IndexFrom1          bool      // errors count records from 1
	NoExternalID        bool      // errors have only the index
	MaxErrors           int       // so many errors are listed at the most; 0 means all
	OtherAccount        bool      // replies name another account, as the documented samples do
	SkipBadLines        bool      // a line that cannot be parsed is an error of its record
	OmitFalseTest       bool      // a batch that is not a test does not say so, as with accounts
	AccountUnreadable   bool      // no key may read its account
	IgnoresFilters      bool      // a list of assets for one external id has all of them
	NamesNoTicket       bool      // errors of tickets and terminals have only the index
}

// CountName is what a reply calls the number of records.
type CountName int

// The names of the number of records.
const (
	CountIsCount      CountName = iota // as in the documented samples
	CountIsTotalCount                  // as in the documented table
	CountIsBoth
)

// Server is the simulated Centrapay. Its time, its ledger, the requests that
// arrived, and faults for any operation (Inject) are those of [batchsim.Kit]. The
// operations are named as in package centrapay.
type Server struct {
	batchsim.Kit
	http.Handler
	URL string // the base URL: "http://127.0.0.1:41234"

	options Options
	server  *batchsim.Server
	mux     *http.ServeMux
	files   files

	mu       sync.Mutex
	accounts map[string]*account // by API key
	batches  map[string]*run
	accepted map[string]int // by external id
	word     string         // what every batch says that its status is, if set

	media       map[string]string     // locations, by id
	onboarded   map[string]onboarding // by external id
	invitations int
	userToken   string

	recent []time.Time // of the requests of the last minute
}

// An account sees only its own batches and assets.
type account struct {
	id     string
	assets map[string]asset // by external id
}

// New starts a server. Close it.
func New(o *Options) *Server {
	s := &Server{accounts: make(map[string]*account), batches: make(map[string]*run),
		media: make(map[string]string), onboarded: make(map[string]onboarding), accepted: make(map[string]int)}
	if o != nil {
		s.options = *o
	}
	if s.options.APIKey == "" {
		s.options.APIKey = "example-key-kXeGHHiLEcJAJDxM"
	}
	if s.options.AccountID == "" {
		s.options.AccountID = "C4QnjXvj8At6SMsEN4LRi9"
	}
	if s.options.MaxFile == 0 {
		s.options.MaxFile = 64 << 20
	}
	if s.options.FetchTimeout == 0 {
		s.options.FetchTimeout = 10 * time.Second
	}
	s.accounts[s.options.APIKey] = &account{id: s.options.AccountID, assets: make(map[string]asset)}
	s.mux = http.NewServeMux()
	s.mux.Handle("/", s.Kit.Handler(s.operations(), func(r batchsim.Request) batchsim.Reply {
		return problem(http.StatusNotFound, "Not Found", "Not Found")
	}))
	s.mux.Handle("GET /files/{token}", &s.files) // Not the API, so not in the log.
	s.Handler = s.mux
	ready := make(chan struct{}) // A request can come from another process before s.server is set.
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-ready; s.mux.ServeHTTP(w, r) })
	if s.options.InMemory {
		s.server = batchsim.ListenInMemory(serve)
	} else {
		s.server = batchsim.Listen(serve)
	}
	close(ready)
	s.URL = s.server.URL
	return s
}

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// Config is the configuration of a client of this server. Its limit of
// requests is out of the way.
func (s *Server) Config() centrapay.Config {
	return centrapay.Config{APIKey: s.options.APIKey, Live: s.options.Live, RequestsPerMinute: 1_000_000,
		BaseURL: s.URL, HTTPClient: s.server.HTTPClient()}
}

// Rotate gives the account of Config another API key, which Config returns from
// then on. What has the old one is refused. It is not safe beside Config.
func (s *Server) Rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.options.APIKey
	s.options.APIKey = "example-key-" + rand.Text()
	s.accounts[s.options.APIKey] = s.accounts[old]
	delete(s.accounts, old)
}

// NewAccount is the configuration of a client of another account, which is live
// if that of Config is.
func (s *Server) NewAccount(id string) centrapay.Config {
	c := s.Config()
	c.APIKey = "example-key-" + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accounts[c.APIKey] = &account{id: id, assets: make(map[string]asset)}
	return c
}

// ProviderConfig is the configuration of a provider for this server: files are
// uploaded to it as well.
func (s *Server) ProviderConfig() centrapay.ProviderConfig {
	return centrapay.ProviderConfig{AccountID: s.options.AccountID, Currency: "NZD", Upload: s.Upload}
}

// Host serves the files of a gate as well, below GateURL: a simulator in memory
// can fetch them from nowhere else.
func (s *Server) Host(gate http.Handler) { s.mux.Handle("GET /gate/", http.StripPrefix("/gate", gate)) }

// GateURL is where the files of a gate that Host serves are.
func (s *Server) GateURL() string { return s.URL + "/gate" }

// Accepted counts, by external id, how often a record was taken from a file:
// how often it is loaded, or will be.
func (s *Server) Accepted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.accepted)
}

// FetchAll fetches the files of all batches that have not been fetched.
func (s *Server) FetchAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.batches)) {
		s.fetch(s.batches[id])
	}
}

// Advance moves a batch one step on: created, copied, chunked, complete; or
// from created to error if its file cannot be read.
func (s *Server) Advance(batchID string) { s.with(batchID, s.advance) }

// Finish completes a batch, and loads its records.
func (s *Server) Finish(batchID string) { s.with(batchID, s.finish) }

// FinishAll completes every batch.
func (s *Server) FinishAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(s.batches)) { // In an order that Replay repeats.
		s.finish(s.batches[id])
	}
}

// SayStatus makes every later reply about a batch use this word; "" ends it.
func (s *Server) SayStatus(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

// Break makes the next request that can load records meet the scenario.
func (s *Server) Break(scenario batchsim.Scenario) {
	s.Kit.Break("CreateBatch", scenario, problem(http.StatusForbidden, "Forbidden", "LIVENESS_MISMATCH"),
		problem(http.StatusUnauthorized, "Unauthorized", "Missing authentication"))
}

func (s *Server) with(batchID string, do func(*run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.batches[batchID]
	if !ok {
		panic(fmt.Sprintf("centrapaytest: there is no batch %q", batchID))
	}
	do(b)
}

func (s *Server) newID() string { return s.Text()[:22] }
