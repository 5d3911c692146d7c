// Package toypaytest is an in-process Toypay, for tests. It shares no type with
// the client: what both have wrong would otherwise look right.
package toypaytest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"sync"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// Key is the credential that the simulator takes.
const Key = "key-of-the-simulator"

// Options is how the simulated Toypay behaves.
type Options struct {
	// SubmitsTwice pays a batch again that is submitted again: what a service
	// does that only says that it refuses.
	SubmitsTwice bool
}

// Server is the simulated Toypay. Its clock, its ledger, its log and its faults
// are those of batchsim.Kit.
type Server struct {
	batchsim.Kit
	URL string

	options Options
	server  *batchsim.Server

	mu       sync.Mutex
	batches  []*run
	accepted map[string]int // by reference of the payment
	word     string         // the status of every batch, if set
}

type run struct {
	ID        string     `json:"id"`
	Reference string     `json:"reference"`
	Status    string     `json:"status"`
	Payments  []*payment `json:"payments"`
	CreatedAt string     `json:"createdAt"`
}

type payment struct {
	Reference string `json:"reference"`
	Account   string `json:"account"`
	Cents     int64  `json:"cents"`
	Status    string `json:"status"`
	Reason    string `json:"reason,omitempty"`
}

// New starts a server. Close it at the end.
func New(o Options) *Server {
	s := &Server{options: o, accepted: make(map[string]int)}
	s.server = batchsim.Listen(s.Handler([]batchsim.Operation{
		{Name: "CreateBatch", Method: http.MethodPost, Path: "/batches", Serve: s.authorized(s.create)},
		{Name: "FindBatches", Method: http.MethodGet, Path: "/batches", Serve: s.authorized(s.find)},
		{Name: "GetBatch", Method: http.MethodGet, Path: "/batches/{id}", Serve: s.authorized(s.one(s.get))},
		{Name: "SubmitBatch", Method: http.MethodPost, Path: "/batches/{id}/submit",
			Serve: s.authorized(s.one(s.submit))},
		{Name: "CancelBatch", Method: http.MethodPost, Path: "/batches/{id}/cancel",
			Serve: s.authorized(s.one(s.cancel))},
	}, func(batchsim.Request) batchsim.Reply { return refuse(http.StatusNotFound, "NOT_FOUND") }))
	s.URL = s.server.URL
	return s
}

// Close stops the server.
func (s *Server) Close() { s.server.Close() }

// FinishAll pays everything that was submitted.
func (s *Server) FinishAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		if b.Status != "sending" {
			continue
		}
		b.Status = "sent"
		for _, p := range b.Payments {
			if p.Status = "paid"; p.Account == "closed" {
				p.Status, p.Reason = "refused", "the account is closed"
				continue
			}
			s.Ledger.Move(batchsim.Effect{Batch: b.ID, Item: p.Reference, Account: p.Account, Minor: p.Cents,
				Currency: "ZAR", At: s.Clock.Now()})
		}
	}
}

// Accepted counts, by reference of the payment, how often its money is bound to
// move.
func (s *Server) Accepted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.accepted)
}

// SayStatus makes word the status of every batch.
func (s *Server) SayStatus(word string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word = word
}

// BreakSubmit lets the next submit meet a scenario.
func (s *Server) BreakSubmit(scenario batchsim.Scenario) {
	s.Break("SubmitBatch", scenario, refuse(http.StatusUnprocessableEntity, "NO_FUNDS"),
		refuse(http.StatusUnauthorized, "BAD_KEY"))
}

func refuse(status int, code string) batchsim.Reply {
	return batchsim.JSON(status, `{"code":"`+code+`","message":"Toypay refuses this"}`)
}

// authorized serves those who have the key, one at a time.
func (s *Server) authorized(serve func(batchsim.Request) batchsim.Reply) func(batchsim.Request) batchsim.Reply {
	return func(r batchsim.Request) batchsim.Reply {
		if r.Header.Get("Authorization") != "Key "+Key {
			return refuse(http.StatusUnauthorized, "BAD_KEY")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return serve(r)
	}
}

// one serves a request about one batch.
func (s *Server) one(serve func(*run) batchsim.Reply) func(batchsim.Request) batchsim.Reply {
	return func(r batchsim.Request) batchsim.Reply {
		n, err := strconv.Atoi(r.PathValue("id"))
		if err != nil || n < 1 || n > len(s.batches) {
			return refuse(http.StatusNotFound, "NOT_FOUND")
		}
		return serve(s.batches[n-1])
	}
}

func (s *Server) create(r batchsim.Request) batchsim.Reply {
	b := &run{}
	if json.Unmarshal(r.Body, b) != nil || b.Reference == "" || len(b.Payments) == 0 {
		return refuse(http.StatusUnprocessableEntity, "INVALID")
	}
	for _, other := range s.batches {
		if other.Reference == b.Reference && other.Status != "withdrawn" {
			return refuse(http.StatusUnprocessableEntity, "REFERENCE_TAKEN")
		}
	}
	for _, p := range b.Payments {
		p.Status = "waiting"
	}
	b.ID, b.Status, b.CreatedAt = strconv.Itoa(len(s.batches)+1), "open", s.Clock.Now().Format("2006-01-02")
	s.batches = append(s.batches, b)
	return s.get(b)
}

func (s *Server) find(r batchsim.Request) batchsim.Reply {
	found := []*run{}
	for _, b := range s.batches {
		if b.Reference == r.URL.Query().Get("reference") {
			found = append(found, b)
		}
	}
	return reply(map[string]any{"batches": found})
}

func (s *Server) get(b *run) batchsim.Reply {
	shown := *b
	if s.word != "" {
		shown.Status = s.word
	}
	return reply(shown)
}

func (s *Server) submit(b *run) batchsim.Reply {
	if b.Status != "open" && !s.options.SubmitsTwice {
		return refuse(http.StatusUnprocessableEntity, "NOT_OPEN")
	}
	b.Status = "sending"
	for _, p := range b.Payments {
		s.accepted[p.Reference]++
	}
	return s.get(b)
}

func (s *Server) cancel(b *run) batchsim.Reply {
	if b.Status != "open" {
		return refuse(http.StatusUnprocessableEntity, "NOT_OPEN")
	}
	b.Status = "withdrawn"
	return s.get(b)
}

func reply(v any) batchsim.Reply {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // Only what the types above hold is written.
	}
	return batchsim.JSON(http.StatusOK, string(text))
}
