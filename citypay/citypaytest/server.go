// Package citypaytest is an in-process CityPay: for tests, for examples, and
// for trying things out without an account. It checks what CityPay checks,
// refuses what it refuses, and keeps a ledger of what money really moved.
//
// What is assumed rather than documented, each with an option that plays the
// other answer:
//
//   - A second batch under a number that was used is refused with B008 as 422
//     (Options.Duplicate).
//   - Status says UNKNOWN of a number that it has never seen (Options.Unseen).
//   - A batch is refused with 422, not with 200 and valid:false
//     (Options.RefuseAsInvalid).
//   - A row for an account that does not exist fails by itself
//     (Options.BadRowRefusesBatch).
//   - A report has no rows before the batch is complete (Options.EarlyReport).
//   - The amount of a report is that of all rows (Options.PaidTotal).
//   - A number is unique for a client id, over all its batch accounts, and a
//     batch is seen only under its own account (Options.NumbersByAccount).
//   - Nothing is recorded of a row that the acquirer has not answered
//     (Options.Unanswered).
//   - A look-up that finds nothing answers an empty list
//     (Options.LookUpRefuses).
//   - A refund, void or capture is refused with 200 and a code
//     (Options.RefuseByError).
//   - An accepted refund has the code 002 (Options.RefundIsTest).
//   - A day without a remittance is refused with D101
//     (Options.NoRemittanceEmpty).
//   - The deletion of a channel, a subscription's end and a registered address
//     are acknowledged with 001 (Options.AcceptedCode).
//   - Batches move on when they are asked for, not by the hour
//     (Options.Autoplay).
//
// Every card-holder account exists, is active and has one good card, but for
// those that Options names.
//
// The amounts of CityPay's sandbox decide what becomes of a row: 3333 is
// declined, 4444 referred, and so on (documented).
package citypaytest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
)

// Options is how the simulated CityPay behaves. The zero value is the likely
// one.
type Options struct {
	ClientID    string        // empty means "PC600001"
	LicenceKey  string        // empty means one of its own
	KeyLifetime time.Duration // 0 means 20 minutes, as in the sandbox
	MaxItems    int           // 0 means 10,000

	Autoplay int  // a batch moves one step with every so many status calls; 0 means only by Advance and Finish
	InMemory bool // no socket: for a testing/synctest bubble, reached by Config().HTTPClient

	Duplicate          Duplicate
	Unseen             Unseen
	EarlyReport        EarlyReport
	RefuseAsInvalid    bool     // refuse batches with 200 and valid:false
	UnknownAccounts    []string // card-holder accounts that do not exist
	BadRowRefusesBatch bool     // and a row for one refuses the whole batch
	PaidTotal          bool     // a report's amount is that of the paid rows
	NumbersByAccount   bool     // each batch account of the client has numbers of its own
	Currency           string   // of every merchant; empty means "GBP"
	Merchants          []int64  // of the client, for ListMerchants; nil means 1 and 11223344
	DisabledAccounts   []string // card-holder accounts that are disabled
	CardlessAccounts   []string // card-holder accounts without a card
	ExpiredAccounts    []string // card-holder accounts whose only card expired in 2001
	Unanswered         Unanswered
	LookUpRefuses      bool   // a look-up that finds nothing is refused, with D022 or D023
	RefuseByError      bool   // a refund, void or capture is refused with 422, not with 200 and a code
	RefundIsTest       bool   // an accepted refund has the code 001, not 002
	AcceptedCode       string // of RegisterTempIP, DeleteChannel and Unsubscribe; empty means "001"
	NoRemittanceEmpty  bool   // a day without a remittance is an empty object, not 422 with D101
}

// Unanswered is what became of a row that the acquirer has not answered.
type Unanswered int

// What may have become of it. All but the first have a transaction number.
const (
	UnansweredUnrecorded Unanswered = iota // no look-up shows it
	UnansweredPaid                         // it was charged
	UnansweredDeclined                     // it was declined
	UnansweredAwaiting                     // it is still awaiting authorisation
)

// Duplicate is what happens to a second batch under one number.
type Duplicate int

// The answers to a second batch under one number.
const (
	DuplicateRefused   Duplicate = iota // 422 with B008
	DuplicateInvalid                    // 200 with valid:false
	DuplicateCharged                    // accepted, and charged again
	DuplicateOverwrite                  // accepted instead of the first
)

// Unseen is what status says of a number that was never used.
type Unseen int

// The answers about a number that was never used.
const (
	UnseenUnknown Unseen = iota // a row with UNKNOWN
	UnseenMissing               // no row
	UnseenError                 // 422 with B002
)

// EarlyReport is what a report says before the batch is complete.
type EarlyReport int

// The answers to a report that is asked for too early.
const (
	EarlyEmpty   EarlyReport = iota // no rows
	EarlyPartial                    // half of the rows
	EarlyRefused                    // 422 with B002
)

// Server is the simulated CityPay. Its time, its ledger, the requests that
// arrived, and faults for any operation (Inject) are those of [batchsim.Kit]. The
// operations are named as in package citypay.
type Server struct {
	batchsim.Kit
	http.Handler
	URL string // the base URL: "http://127.0.0.1:41234"

	options Options
	server  *batchsim.Server
	licence atomic.Pointer[string]

	mu              sync.Mutex
	batches         map[int64]map[string]*run // by number and batch account
	charged         int64
	auths           []wireAuth                // the oldest first
	accounts        map[string]*account       // those that were asked for
	settled         []settlement              // the oldest first
	registered      int                       // cards
	accepted        map[string]int            // by identifier
	tokens          map[string]token          // of cards
	refunded        map[int64]int64           // by number of the original
	keys            map[string]map[string]any // of browsers
	addresses       map[string]bool           // that may call
	channels, hooks map[string]bool           // by id
	made            int                       // keys, channels and hooks
	word            string                    // what status says of every batch, if set
}

// New starts a server. Close it.
func New(o *Options) *Server {
	s := &Server{batches: make(map[int64]map[string]*run), accepted: make(map[string]int),
		accounts: make(map[string]*account), keys: make(map[string]map[string]any), addresses: make(map[string]bool),
		channels: make(map[string]bool), hooks: make(map[string]bool),
		tokens: make(map[string]token), refunded: make(map[int64]int64)}
	if o != nil {
		s.options = *o
	}
	if s.options.ClientID == "" {
		s.options.ClientID = "PC600001"
	}
	if s.options.LicenceKey == "" {
		s.options.LicenceKey = "EXAMPLEKEY0000AB"
	}
	s.licence.Store(&s.options.LicenceKey)
	if s.options.KeyLifetime == 0 {
		s.options.KeyLifetime = 20 * time.Minute
	}
	if s.options.Merchants == nil {
		s.options.Merchants = []int64{1, 11223344}
	}
	if s.options.Currency == "" {
		s.options.Currency = "GBP"
	}
	if s.options.MaxItems == 0 {
		s.options.MaxItems = 10_000
	}
	s.Handler = s.Kit.Handler(s.operations(), func(batchsim.Request) batchsim.Reply {
		return batchsim.Reply{Status: http.StatusNotFound}
	})
	if s.options.InMemory {
		s.server = batchsim.ListenInMemory(s.Handler)
	} else {
		s.server = batchsim.Listen(s.Handler)
	}
	s.URL = s.server.URL
	return s
}

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// Config is the configuration of a client of this server.
func (s *Server) Config() citypay.Config {
	return citypay.Config{ClientID: s.options.ClientID, LicenceKey: *s.licence.Load(), BaseURL: s.URL,
		HTTPClient: s.server.HTTPClient()}
}

// Rotate gives the client id another licence key, which Config returns from then
// on. What has the old one is refused.
func (s *Server) Rotate() {
	key := "EXAMPLEKEY" + rand.Text()[:6]
	s.licence.Store(&key)
}

// Accepted counts, by identifier, how often a row was taken on: how often its
// account is charged, or will be.
func (s *Server) Accepted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	accepted := make(map[string]int, len(s.accepted))
	for item, times := range s.accepted {
		accepted[item] = times
	}
	return accepted
}

// Advance moves a batch one step on: INITIALISED, QUEUED, LOCKED, COMPLETE.
func (s *Server) Advance(batchID int64) { s.with(batchID, s.advance) }

// Finish completes a batch, and charges its rows.
func (s *Server) Finish(batchID int64) { s.with(batchID, s.finish) }

// FinishAll completes every batch.
func (s *Server) FinishAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, number := range slices.Sorted(maps.Keys(s.batches)) { // In an order that batchsim.Kit.Replay repeats.
		for _, account := range slices.Sorted(maps.Keys(s.batches[number])) {
			s.finish(s.batches[number][account])
		}
	}
}

// Cancel ends a batch as an administrator does, before any row is charged.
func (s *Server) Cancel(batchID int64) {
	s.with(batchID, func(b *run) { b.end("CANCELLED") })
}

// Fail ends a batch in ERROR_IN_PROCESSING, with the first half of its rows
// charged.
func (s *Server) Fail(batchID int64) {
	s.with(batchID, func(b *run) {
		if !b.final() {
			s.charge(b, len(b.rows)/2)
			b.end("ERROR_IN_PROCESSING")
		}
	})
}

// SayStatus makes every later status reply use this word; "" ends it.
func (s *Server) SayStatus(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

// Break makes the next ProcessBatch meet the scenario.
func (s *Server) Break(scenario batchsim.Scenario) {
	// CityPay's own words about a credential are those of a 422: its 401 and 403 have no body.
	s.Kit.Break("ProcessBatch", scenario, s.refuse("B006", "Transaction invalid in batch"),
		s.problem("S008", "Invalid Licence Key"))
}

// with changes the batch of this number, under every account that has one.
func (s *Server) with(batchID int64, do func(*run)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.batches[batchID]) == 0 {
		panic(fmt.Sprintf("citypaytest: there is no batch %d", batchID))
	}
	for _, b := range s.batches[batchID] {
		do(b)
	}
}
