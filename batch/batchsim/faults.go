package batchsim

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A Fault is one thing that goes wrong, once or always: see [Kit.Inject]. The
// zero Act and Phase reset the connection before the request is read.
type Fault struct {
	Op    string // the operation it hits; empty for any
	Nth   int    // the nth call of it from now, counted from 1; 0 for every call
	Phase Phase
	Act   Act

	Reply Reply // for Answer and Endless
	// for Truncate, Stall and Drip: bytes of the reply that still arrive; for Reset before the body is read: bytes of
	// it that do
	After int
	Raw   []byte        // for Speak
	Delay time.Duration // for Late: when the request is applied after all, on the kit's clock

	Alter func(Reply) Reply // for Lie (AfterApply only): what is answered instead

	Scenario Scenario // the name by which Break arranged it, or empty
}

// Phase is where in an exchange a Fault strikes.
type Phase int

// The phases of an exchange.
const (
	BeforeRead  Phase = iota // the headers have arrived, the body is not read
	BeforeApply              // the request is read, nothing has happened
	AfterApply               // it has happened, nothing is answered
)

// Act is what a Fault does.
type Act int

// What can go wrong.
const (
	Reset    Act = iota // resets the connection
	Hang                // never answers, until the client or the server goes away
	Answer              // answers Fault.Reply instead
	Truncate            // announces the whole reply and closes after Fault.After bytes
	Stall               // falls silent after Fault.After bytes
	Drip                // one byte of the reply every ten seconds after Fault.After bytes
	Late                // resets now, and applies the request Fault.Delay later (BeforeApply only)
	Echo                // answers 500 with a page that repeats the request
	Lie                 // answers what Fault.Alter makes of the reply (AfterApply only)
	Endless             // answers Fault.Reply, and its body again and again, until the client goes
	Speak               // answers Fault.Raw, which need not be HTTP/1.1, and closes
	// applies the request twice, as if a middlebox had repeated it, and gives the second reply (BeforeApply only)
	Twice
	Stale // answers what the same request was answered the first time, if the fault was there by then (AfterApply only)
)

// A Scenario is a Fault by name, for suites that do not know the service: see
// [Kit.Break].
type Scenario string

// The scenarios.
const (
	Refused        Scenario = "refused"          // the service says no, in its own words, and does nothing
	Unauthorized   Scenario = "unauthorized"     // 401 in the service's own words
	LostBefore     Scenario = "lost before"      // the connection breaks before anything happens
	LostAfter      Scenario = "lost after"       // it happens and the connection breaks
	SilentBefore   Scenario = "silent before"    // nothing happens and no answer comes
	SilentAfter    Scenario = "silent after"     // it happens and no answer comes
	ErrorBefore    Scenario = "error 500 before" // 500, and nothing happened
	ErrorAfter     Scenario = "error 500 after"  // 500, and it happened
	GarbledAfter   Scenario = "garbled after"    // it happens and the answer makes no sense
	TruncatedAfter Scenario = "truncated after"  // it happens and the answer breaks off
	EchoedAfter    Scenario = "echoed after"     // it happens and a 500 page repeats every request header and body
	ForbiddenAfter Scenario = "403 after"        // it happens and a proxy answers 403 with a page of its own
	LateAfter      Scenario = "applied late"     // the connection breaks, and an hour later it happens
	Redirected     Scenario = "redirected"       // 307 to another host
	Unavailable    Scenario = "503 retry-after"  // 503 with Retry-After: 1, and nothing happened
)

// Break arranges that the next call of op meets s. refused is how this service
// says no, and unauthorized how it answers 401.
func (k *Kit) Break(op string, s Scenario, refused, unauthorized Reply) {
	f := Fault{Op: op, Nth: 1, Phase: BeforeApply, Scenario: s}
	switch s {
	case Refused:
		f.Act, f.Reply = Answer, refused
	case Unauthorized:
		f.Act, f.Reply = Answer, unauthorized
	case LostBefore:
		f.Act = Reset
	case LostAfter:
		f.Phase, f.Act = AfterApply, Reset
	case SilentBefore:
		f.Act = Hang
	case SilentAfter:
		f.Phase, f.Act = AfterApply, Hang
	case ErrorBefore:
		f.Act, f.Reply = Answer, Reply{Status: http.StatusInternalServerError}
	case ErrorAfter:
		f.Phase, f.Act, f.Reply = AfterApply, Answer, Reply{Status: http.StatusInternalServerError}
	case GarbledAfter:
		f.Phase, f.Act, f.Reply = AfterApply, Answer, JSON(http.StatusOK, `{"garbled`)
	case TruncatedAfter:
		f.Phase, f.Act, f.After = AfterApply, Truncate, 5
	case EchoedAfter:
		f.Phase, f.Act = AfterApply, Echo
	case ForbiddenAfter:
		f.Phase, f.Act, f.Reply = AfterApply, Answer, Reply{Status: http.StatusForbidden,
			Header: http.Header{"Content-Type": {"text/html"}},
			Body:   []byte("<html><h1>403</h1>Blocked by the firewall</html>")}
	case LateAfter:
		f.Act, f.Delay = Late, time.Hour
	case Redirected:
		f.Act, f.Reply = Answer, Reply{Status: http.StatusTemporaryRedirect,
			Header: http.Header{"Location": {"https://elsewhere.test/"}}}
	case Unavailable:
		f.Act, f.Reply = Answer, Reply{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"1"}}}
	default:
		panic("batchsim: no scenario is called " + string(s))
	}
	k.Inject(f)
}

// Inject arranges a fault. Several may wait at once. If two strike the same
// request, the one that was injected last is played. After Handler, it
// panics if Op is not one of [Kit.Operations], and at any time if the fault cannot
// be played, such as Late in another phase than BeforeApply: a test with such a
// fault would prove nothing.
func (k *Kit) Inject(f Fault) {
	if f.Op != "" && k.names != nil && !slices.Contains(k.Operations(), f.Op) {
		panic(fmt.Sprintf("batchsim: no operation is called %q; there are %q", f.Op, k.Operations()))
	}
	if wrong := f.impossible(); wrong != "" {
		panic("batchsim: the fault cannot be played: " + wrong)
	}
	k.faults.add(f)
}

// impossible says why a fault would never strike, or would be another one; empty
// if it can be played.
func (f *Fault) impossible() string {
	switch f.Act {
	case Late, Twice:
		if f.Phase != BeforeApply {
			return "Late and Twice are for the phase BeforeApply"
		}
	case Lie, Stale, Truncate, Stall, Drip:
		if f.Phase != AfterApply {
			return "Lie, Stale, Truncate, Stall and Drip are for the phase AfterApply"
		}
		if f.Act == Lie && f.Alter == nil {
			return "Lie needs Alter"
		}
	case Answer, Endless:
		if f.Reply.Status == 0 {
			return "Answer and Endless need a Reply with a Status"
		}
	case Speak:
		if len(f.Raw) == 0 {
			return "Speak needs Raw"
		}
	case Reset, Hang, Echo:
	default:
		return "its Act is not known"
	}
	if f.Nth < 0 {
		return "Nth is negative"
	}
	return ""
}

// Waiting returns the faults that have not struck, in the order of their Inject.
func (k *Kit) Waiting() []Fault {
	k.faults.mu.Lock()
	defer k.faults.mu.Unlock()
	var all []Fault
	for _, f := range k.faults.list {
		all = append(all, *f)
	}
	return all
}

// Heal forgets all faults that have not struck.
func (k *Kit) Heal() { k.faults.clear() }

type faults struct {
	mu    sync.Mutex
	list  []*Fault
	first map[string]Reply // by request
}

func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, &fault)
}

// remember keeps the first reply to each request of op, as long as a Stale
// fault waits for it.
func (f *faults) remember(r Request, reply Reply) {
	f.mu.Lock()
	defer f.mu.Unlock()
	waits := func(fault *Fault) bool { return fault.Act == Stale && (fault.Op == "" || fault.Op == r.Op) }
	if !slices.ContainsFunc(f.list, waits) {
		return
	}
	if f.first == nil {
		f.first = make(map[string]Reply)
	}
	if _, known := f.first[requestKey(r)]; !known {
		f.first[requestKey(r)] = reply
	}
}

// stale returns the first reply to a request, or reply.
func (f *faults) stale(r Request, reply Reply) Reply {
	f.mu.Lock()
	defer f.mu.Unlock()
	if first, known := f.first[requestKey(r)]; known {
		return first
	}
	return reply
}

func requestKey(r Request) string { return r.Op + " " + r.URL.String() + " " + string(r.Body) }

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = nil
}

// next counts a call of op and returns the fault that strikes it, or nil.
func (f *faults) next(op string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var strikes *Fault
	kept := f.list[:0]
	for _, fault := range f.list {
		if fault.Op == "" || fault.Op == op {
			if fault.Nth == 0 {
				strikes = fault
			} else if fault.Nth--; fault.Nth == 0 {
				strikes = fault
				continue
			}
		}
		kept = append(kept, fault)
	}
	f.list = kept
	return strikes
}

func (f *Fault) strikes(p Phase) bool { return f != nil && f.Phase == p }

// play does to the reply what the fault is for.
func (f *Fault) play(w http.ResponseWriter, r *http.Request, reply Reply) {
	switch f.Act {
	case Hang:
		// Net/http notices that the client has gone only once the body is read.
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			<-r.Context().Done()
		}
	case Answer:
		send(w, f.Reply)
	case Echo:
		send(w, echo(r))
	case Lie:
		send(w, f.Alter(reply))
	case Stale:
		send(w, reply)
	case Endless:
		send(w, f.Reply)
		for _, err := w.Write(f.Reply.Body); err == nil; {
			_, err = w.Write(f.Reply.Body)
		}
	case Speak:
		speak(w, f.Raw)
	case Truncate, Stall, Drip:
		f.cut(w, r, reply)
	default:
		reset(w)
	}
}

// cut announces the whole reply and sends the beginning of it.
func (f *Fault) cut(w http.ResponseWriter, r *http.Request, reply Reply) {
	if reply.Header == nil {
		reply.Header = http.Header{}
	}
	reply.Header.Set("Content-Length", strconv.Itoa(len(reply.Body)))
	whole := reply.Body
	rest := bytes.NewReader(whole[min(f.After, len(whole)):])
	reply.Body = whole[:min(f.After, len(whole))]
	send(w, reply)
	flush(w)
	switch f.Act {
	case Truncate:
		reset(w)
	case Stall:
		// Who has all of it uses the connection again, and net/http no longer notices that they go.
		if rest.Len() > 0 {
			<-r.Context().Done()
		}
	case Drip:
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for rest.Len() > 0 {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				_, _ = io.CopyN(w, rest, 1)
				flush(w)
			}
		}
	}
}

func flush(w http.ResponseWriter) {
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// reset breaks the connection: with a RST where there is one to send.
func reset(w http.ResponseWriter) {
	conn := hijack(w)
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// speak writes bytes in place of a reply.
func speak(w http.ResponseWriter, raw []byte) {
	conn := hijack(w)
	_, _ = conn.Write(raw)
	_ = conn.Close()
}

func hijack(w http.ResponseWriter) net.Conn {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}
