package campaign

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// A breakage is one thing that can go wrong with one call, whatever it does:
// in the service and on the way to it, or before there is a connection.
type breakage struct {
	name string
	kit  func(*service) batchsim.Fault
	net  netKind
}

// A fault is a breakage of the nth call of op from now.
type fault struct {
	op  string
	nth int
	breakage
}

func (f fault) inject(s *service) {
	if f.net != "" {
		s.net.inject(netFault{f.op, f.nth, f.net})
		return
	}
	k := f.kit(s)
	k.Op, k.Nth = f.op, f.nth
	s.kit.Inject(k)
}

// Breakages that plans name.
var (
	refused = breakage{name: "refused", kit: answers(batchsim.BeforeApply, func(s *service) batchsim.Reply {
		return s.refused
	})}
	lostAfter  = breakage{name: "lost after", kit: act(batchsim.AfterApply, batchsim.Reset)}
	lostBefore = breakage{name: "lost before", kit: act(batchsim.BeforeApply, batchsim.Reset)}
	lateHour   = breakage{name: "late by an hour", kit: late(time.Hour)}
	lateMinute = breakage{name: "late by a minute", kit: late(time.Minute)}
	waits      = breakage{name: "429 for three hours",
		kit: answers(batchsim.BeforeApply, func(s *service) batchsim.Reply {
			reply := batchsim.JSON(http.StatusTooManyRequests, s.limited)
			reply.Header.Set("Retry-After", "10800")
			return reply
		})}
	// Nothing that a client does can prevent or always notice it: counted apart.
	delivered = breakage{name: "delivered twice", kit: act(batchsim.BeforeApply, batchsim.Twice)}
)

// breakages are all others, too.
var breakages = slices.Concat([]breakage{
	refused, lostBefore, lostAfter, lateHour, lateMinute, waits,
	{name: "401", kit: answers(batchsim.BeforeApply, empty(401))},
	{name: "503", kit: answers(batchsim.BeforeApply, func(*service) batchsim.Reply {
		return batchsim.Reply{Status: 503, Header: http.Header{"Retry-After": {"1"}}}
	})},
	{name: "502 after", kit: answers(batchsim.AfterApply, empty(502))},
	{name: "408 after", kit: answers(batchsim.AfterApply, empty(408))},
	{name: "redirected to itself after", kit: answers(batchsim.AfterApply, func(*service) batchsim.Reply {
		return batchsim.Reply{Status: 307, Header: http.Header{"Location": {"?"}}}
	})},
	{name: "reset unread", kit: act(batchsim.BeforeRead, batchsim.Reset)},
	{name: "reset within the request", kit: func(*service) batchsim.Fault {
		return batchsim.Fault{Phase: batchsim.BeforeRead, Act: batchsim.Reset, After: 10}
	}},
	{name: "silent before", kit: act(batchsim.BeforeApply, batchsim.Hang)},
	{name: "silent after", kit: act(batchsim.AfterApply, batchsim.Hang)},
	{name: "garbled after", kit: answers(batchsim.AfterApply, func(*service) batchsim.Reply {
		return batchsim.JSON(200, `{"garbled`)
	})},
	{name: "null after", kit: answers(batchsim.AfterApply, func(*service) batchsim.Reply {
		return batchsim.JSON(200, `null`)
	})},
	{name: "an empty object after", kit: answers(batchsim.AfterApply, func(*service) batchsim.Reply {
		return batchsim.JSON(200, `{}`)
	})},
	{name: "cut within the reply", kit: cut(batchsim.Truncate)},
	{name: "stalled within the reply", kit: cut(batchsim.Stall)},
	{name: "dripping", kit: cut(batchsim.Drip)},
	{name: "echoed after", kit: act(batchsim.AfterApply, batchsim.Echo)},
	{name: "stale", kit: act(batchsim.AfterApply, batchsim.Stale)},
	{name: "late by a second", kit: late(time.Second)},
}, foreign(), otherProtocols(), outside())

// unsent are those of which the service never hears.
var unsent = slices.DeleteFunc(outside(), func(b breakage) bool { return !b.net.unsent() })

// foreign are the words of somebody other than the service: a firewall, a
// proxy, a gateway. Under no status do they say what the service has done.
func foreign() []breakage {
	page := func(status int) batchsim.Reply {
		return batchsim.Reply{Status: status, Header: http.Header{"Content-Type": {"text/html"}},
			Body: []byte("<html>Request blocked</html>")}
	}
	words := []struct {
		name  string
		reply batchsim.Reply
	}{
		{"an empty 400", batchsim.Reply{Status: 400}},
		{"an empty 500", batchsim.Reply{Status: 500}},
		{"a plain 400", batchsim.Reply{Status: 400, Header: http.Header{"Content-Type": {"text/plain"}},
			Body: []byte("Bad Request")}},
	}
	for _, status := range []int{200, 400, 401, 403, 404, 500, 501} {
		words = append(words, struct {
			name  string
			reply batchsim.Reply
		}{fmt.Sprintf("an HTML %d", status), page(status)})
	}
	for _, status := range []int{400, 401, 403, 404, 409, 422, 500} {
		words = append(words, struct {
			name  string
			reply batchsim.Reply
		}{fmt.Sprintf("a %d in JSON of another shape", status), batchsim.JSON(status, `{"error":"upstream timeout"}`)})
	}
	var all []breakage
	for _, w := range words {
		say := func(*service) batchsim.Reply { return w.reply }
		all = append(all, breakage{name: w.name + " before", kit: answers(batchsim.BeforeApply, say)},
			breakage{name: w.name + " after", kit: answers(batchsim.AfterApply, say)})
	}
	return all
}

// otherProtocols are frames of HTTP/2 in place of a reply.
func otherProtocols() []breakage {
	const settings, stream = "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x01"
	var all []breakage
	for name, frame := range map[string]string{
		"a RST_STREAM": "\x00\x00\x04\x03\x00" + stream + "\x00\x00\x00\x07",
		"a GOAWAY":     "\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	} {
		for when, phase := range map[string]batchsim.Phase{" before": batchsim.BeforeApply,
			" after": batchsim.AfterApply} {
			all = append(all, breakage{name: name + when, kit: func(*service) batchsim.Fault {
				return batchsim.Fault{Phase: phase, Act: batchsim.Speak, Raw: []byte(settings + frame)}
			}})
		}
	}
	slices.SortFunc(all, func(a, b breakage) int { return cmp.Compare(a.name, b.name) }) // A seed chooses by number.
	return all
}

// outside are those that the service never hears of, and a bad middleware.
func outside() []breakage {
	var all []breakage
	for _, kind := range []netKind{dialRefused, dialHang, noHost, resolverFails, wrongName, unknownIssuer,
		handshakeAlert, handshakeEOF,
		handshakeHang, plainHTTP, sendsTwice, losesReply, panicsAfter} {
		all = append(all, breakage{name: string(kind), net: kind})
	}
	return all
}

func act(p batchsim.Phase, a batchsim.Act) func(*service) batchsim.Fault {
	return func(*service) batchsim.Fault { return batchsim.Fault{Phase: p, Act: a} }
}

func cut(a batchsim.Act) func(*service) batchsim.Fault {
	return func(*service) batchsim.Fault { return batchsim.Fault{Phase: batchsim.AfterApply, Act: a, After: 5} }
}

func answers(p batchsim.Phase, reply func(*service) batchsim.Reply) func(*service) batchsim.Fault {
	return func(s *service) batchsim.Fault {
		return batchsim.Fault{Phase: p, Act: batchsim.Answer, Reply: reply(s)}
	}
}

func empty(status int) func(*service) batchsim.Reply {
	return func(*service) batchsim.Reply { return batchsim.Reply{Status: status} }
}

func late(d time.Duration) func(*service) batchsim.Fault {
	return func(*service) batchsim.Fault {
		return batchsim.Fault{Phase: batchsim.BeforeApply, Act: batchsim.Late, Delay: d}
	}
}
