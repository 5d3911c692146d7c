// Package batchsim is what a simulated payment service is made of: a [Kit] with a
// clock, a ledger, a log of the requests, and faults that can strike any
// operation. It knows no service. The simulators citypaytest, centrapaytest,
// sixdotfiftytest and snapbilltest embed a Kit, and so can your own.
//
// The service is a list of operations, each a function from a request to a
// reply. The Kit serves them, and plays the faults around them: a reply that is
// lost after the money has moved, a connection that breaks before, a page of a
// proxy. The ledger says what really happened, which a client cannot know.
package batchsim

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Kit is the part of a simulator that does not know which service it plays.
// Simulators embed it. The zero value is ready. All of it is safe for concurrent
// use, once Handler was called.
type Kit struct {
	Clock  Clock  // the simulator's time
	Ledger Ledger // what really happened
	Log    Log    // what arrived
	// HonoursKeys says that the service documents an Idempotency-Key. Without it a
	// request that has one is refused with 400 and logged as "idempotency-key":
	// net/http would send such a request twice by itself.
	HonoursKeys bool
	// Around, if set, is called for each request that is applied. It must call
	// apply once, and not for two requests at the same time; then all that is
	// applied can be repeated with Replay. Set it before the first request.
	Around func(apply func() Applied)
	// Random is what Text is made of; nil means crypto/rand.
	Random io.Reader

	random sync.Mutex
	faults faults
	mux    *http.ServeMux
	names  map[string]string // of operations, by pattern
}

// An Operation is one call of the simulated service. Serve is called with the
// whole request read; it changes the simulator's state and returns the reply.
// The kit plays the faults around it.
type Operation struct {
	Name, Method, Path string // Path as for http.ServeMux: /batches/{id}/submit
	Serve              func(Request) Reply
}

// A Request is one request, wholly read.
type Request struct {
	*http.Request        // its Body is already read
	Op            string // the operation's name
	Body          []byte
	At            time.Time // when it arrived, which may be long before it is served
}

// A Reply is what the service answers.
type Reply struct {
	Status int
	Header http.Header // may be nil
	Body   []byte
}

// JSON returns a reply with a JSON body.
func JSON(status int, body string) Reply {
	return Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

// maxRequest bounds what a client can make a simulator keep in memory.
const maxRequest = 256 << 20

// Handler serves the operations and plays the faults. A request that matches no
// operation goes to otherwise. Serve is called for many requests at once: it
// locks what it shares.
func (k *Kit) Handler(ops []Operation, otherwise func(Request) Reply) http.Handler {
	k.mux, k.names = http.NewServeMux(), make(map[string]string)
	for _, op := range ops {
		k.names[op.Method+" "+op.Path] = op.Name
		k.mux.Handle(op.Method+" "+op.Path, k.handle(op.Name, op.Serve))
	}
	k.mux.Handle("/", k.handle("", otherwise))
	return k.mux
}

// Op names the operation that would serve a request; empty if none would.
func (k *Kit) Op(r *http.Request) string {
	_, pattern := k.mux.Handler(r)
	return k.names[pattern]
}

func (k *Kit) handle(op string, serve func(Request) Reply) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var fault *Fault
		again := replayOf(r)
		if again == nil {
			if k.Around == nil {
				k.Clock.tick() // Else apply does this, in order with all that it records.
			}
			fault = k.faults.next(op)
		}
		if fault.strikes(BeforeRead) {
			k.Log.add(op, r, nil, k.Clock.Now())
			_, _ = io.CopyN(io.Discard, r.Body, int64(fault.After))
			fault.play(w, r, Reply{})
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
		if err != nil {
			return // The client has gone.
		}
		for name := range r.Header {
			if !k.HonoursKeys && (name == "Idempotency-Key" || name == "X-Idempotency-Key") {
				k.Log.add("idempotency-key", r, body, k.Clock.Now())
				send(w, JSON(http.StatusBadRequest, `{"message":"an idempotency key was sent"}`))
				return
			}
		}
		now := k.Clock.Now()
		var late time.Duration
		if again != nil {
			now, late = again.At, again.Late
		}
		k.Log.add(op, r, body, now)
		r.Body = io.NopCloser(bytes.NewReader(body))
		request := Request{Request: r, Op: op, Body: body, At: now}
		if fault.strikes(BeforeApply) {
			if fault.Act == Twice {
				k.apply(request, 0, serve)
				send(w, k.apply(request, 0, serve))
				return
			}
			if fault.Act == Late {
				k.apply(request, fault.Delay, serve)
			}
			fault.play(w, r, Reply{})
			return
		}
		reply := k.apply(request, late, serve)
		k.faults.remember(request, reply)
		if fault.strikes(AfterApply) {
			if fault.Act == Stale {
				reply = k.faults.stale(request, reply)
			}
			fault.play(w, r, reply)
			return
		}
		send(w, reply)
	})
}

func send(w http.ResponseWriter, reply Reply) {
	for name, values := range reply.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(reply.Status)
	_, _ = w.Write(reply.Body)
}

// echo is a page that repeats the request: what a careless proxy does.
func echo(r *http.Request) Reply {
	var page strings.Builder
	page.WriteString("<html><body><h1>500</h1><pre>")
	_ = r.Header.Write(&page)
	if body, err := io.ReadAll(r.Body); err == nil {
		page.Write(body)
	}
	page.WriteString("</pre></body></html>")
	return Reply{Status: http.StatusInternalServerError, Header: http.Header{"Content-Type": {"text/html"}},
		Body: []byte(page.String())}
}
