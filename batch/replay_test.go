package batch

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// historyOf reads a history in a line, one word for each entry:
//
//	intent  create#1  create#1=ok  create#2=invalid  create#2=unavailable:7 (draft 7 is left)
//	create#1=adopted:9 (an operator has named the draft 9)  adopted:9 (which was submitted)
//	submit#1  submit#1=ok  submit#1=ambiguous  withdrawn:7  observed  reconciled  resend  done  abandoned
//	intent/2 (two people must approve; eve is the author)  approved:ada  closed (by a person)
func historyOf(t *testing.T, line string) []Entry {
	t.Helper()
	form := regexp.MustCompile(`^(create|submit)#([0-9]+)(=([a-z]+))?(:([0-9]+))?$`)
	made := Batch{Provider: "p", ID: "1", State: StateDraft, Draft: Draft{Reference: "r"}}
	var history []Entry
	for n, word := range strings.Fields(line) {
		e := Entry{Seq: n + 1, At: time.Date(2026, 1, 1, 0, n, 0, 0, time.UTC)}
		b := made
		if m := form.FindStringSubmatch(word); m != nil {
			e.Kind, e.Step = EntryAttempt, Step(m[1])
			_, _ = fmt.Sscan(m[2], &e.Attempt)
			if m[3] != "" {
				e.Kind, e.Batch = EntryResult, &b
				switch {
				case m[4] == "adopted":
					e.Decision = &Decision{Verdict: Adopt}
				case m[4] != "ok":
					e.Failure = &Failure{Kind: Kind(m[4])}
				case e.Step == StepSubmit:
					b.State = StatePending
				}
				if m[6] != "" || e.Step == StepCreate && e.Failure != nil {
					b.ID = m[6]
				}
			}
			history = append(history, e)
			continue
		}
		kind, id, _ := strings.Cut(word, ":")
		switch kind {
		case "intent", "intent/1", "intent/2":
			e.Kind, e.Draft = EntryIntent, &Draft{Reference: "r", Author: "eve"}
			_, needed, _ := strings.Cut(kind, "/")
			_, _ = fmt.Sscan(needed, &e.Approvals)
		case "approved":
			e.Kind, e.Approval = EntryApproval, &Approval{Operator: id, Digest: replay(history).digest()}
		case "withdrawn":
			b.ID, b.State = id, StateCanceled
			e.Kind, e.Batch = EntryWithdrawn, &b
		case "observed":
			e.Kind, e.Batch, e.Failure = EntryObserved, &b, &Failure{Kind: ErrAmbiguous}
		case "reconciled", "adopted":
			b.State, b.ID = StatePending, cmp.Or(id, b.ID)
			e.Kind, e.Batch = EntryReconciled, &b
			if kind == "adopted" {
				e.Decision = &Decision{Verdict: Adopt}
			}
		case "resend":
			e.Kind, e.Decision = EntryDecision, &Decision{Verdict: Resend}
		case "done", "abandoned", "closed":
			e.Kind, e.Batch = EntryDone, &b
			if kind == "closed" {
				e.Decision = &Decision{Verdict: Close}
			}
			if kind == "abandoned" {
				e.Decision = &Decision{Verdict: Abandon}
			}
		default:
			t.Fatalf("%q is not a word for an entry", word)
		}
		history = append(history, e)
	}
	require.NoError(t, known(history))
	return history
}

// What Run does next, for histories that a reader can follow with the table in
// replay.go at hand.
func TestWhatRunDoesNext(t *testing.T) {
	plain := situation{secrets: true, cancels: true, finds: true}
	guarded, shown, unguarded := plain, plain, plain
	guarded.guard = GuardRefuses
	shown.guard, shown.read = GuardRefuses, StateDraft
	unguarded.read = StateDraft
	for _, c := range []struct {
		history string
		plain   step // at a service that documents no guard
		guarded step // at one that refuses the second of two submits
		shown   step // there, once the last Submit is not in flight and a read says draft
	}{
		{"intent", stepCreate, stepCreate, stepCreate},
		{"intent create#1", stepWithdraw, stepWithdraw, stepWithdraw},
		{"intent create#1 create#1=ambiguous", stepWithdraw, stepWithdraw, stepWithdraw},
		{"intent create#1 create#1=invalid", stepCreate, stepCreate, stepCreate},
		{"intent create#1 create#1=conflict:7", stepWithdraw, stepWithdraw, stepWithdraw},
		{"intent create#1 create#1=conflict:7 withdrawn:7", stepCreate, stepCreate, stepCreate},
		{"intent create#1 create#1=ambiguous withdrawn:7", stepCreate, stepCreate, stepCreate},
		{"intent create#1 create#1=ambiguous create#2 withdrawn:7", stepWithdraw, stepWithdraw, stepWithdraw},
		{"intent create#1 create#1=ambiguous create#2 withdrawn:7 create#3 create#3=conflict", stepWithdraw,
			stepWithdraw, stepWithdraw},
		{"intent create#1 create#1=ambiguous create#2 withdrawn:7 withdrawn:8", stepCreate, stepCreate, stepCreate},
		{"intent create#1 create#1=ok", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ok submit#1", stepReconcile, stepReconcile, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous", stepReconcile, stepReconcile, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=funds", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous submit#2 submit#2=funds", stepReconcile,
			stepReconcile, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous resend", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous resend submit#2 submit#2=invalid", stepReconcile,
			stepReconcile, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous observed", stepReconcile, stepReconcile, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous reconciled", stepWait, stepWait, stepWait},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous adopted", stepWait, stepWait, stepWait},
		{"intent create#1 create#1=ok submit#1 submit#1=ambiguous adopted resend", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ok submit#1 submit#1=ok", stepWait, stepWait, stepWait},
		{"intent create#1 create#1=ok submit#1 submit#1=ok done", stepStop, stepStop, stepStop},
		{"intent create#1 create#1=ok abandoned", stepStop, stepStop, stepStop},
		{"intent create#1 create#1=ok submit#1 submit#1=conflict intent", stepCreate, stepCreate, stepCreate},
		{"intent create#1 create#1=conflict:7 create#1=adopted:9", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ambiguous create#1=adopted:9", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ok submit#1 resend submit#1=funds", stepSubmit, stepSubmit, stepSubmit},
		{"intent create#1 create#1=ok submit#1 resend submit#1=conflict intent", stepCreate, stepCreate, stepCreate},
		{"intent create#1 create#1=ok submit#1 submit#1=ok closed", stepStop, stepStop, stepStop},
		{"intent/2", stepCreate, stepCreate, stepCreate},
		{"intent/2 create#1 create#1=ok", stepApprove, stepApprove, stepApprove},
		{"intent/2 create#1 create#1=ok approved:ada", stepApprove, stepApprove, stepApprove},
		{"intent/2 create#1 create#1=ok approved:ada approved:ADA", stepApprove, stepApprove, stepApprove},
		{"intent/2 create#1 create#1=ok approved:ada approved:Eve", stepApprove, stepApprove, stepApprove},
		{"intent/2 create#1 create#1=ok approved:ada approved:bob", stepSubmit, stepSubmit, stepSubmit},
		{"intent/1 create#1 create#1=ok approved:ada submit#1 submit#1=ambiguous", stepReconcile,
			stepReconcile, stepSubmit},
		{"intent/1 create#1 create#1=ok approved:ada submit#1 submit#1=ambiguous resend", stepSubmit,
			stepSubmit, stepSubmit},
		{"intent/1 create#1 create#1=ok submit#1 resend", stepApprove, stepApprove, stepApprove},
	} {
		p := replay(historyOf(t, c.history))
		require.Equal(t, c.plain, p.next(plain), c.history)
		require.Equal(t, c.guarded, p.next(guarded), "%s, guarded", c.history)
		require.Equal(t, c.shown, p.next(shown), "%s, guarded, and shown as a draft", c.history)
		require.Equal(t, c.plain, p.next(unguarded), "%s, shown as a draft by a service without a guard", c.history)
		for _, late := range []situation{plain, guarded, shown} {
			late.expired = true
			want := stepExpire
			if c.plain == stepStop || c.plain == stepWait {
				want = c.plain
			} else if p.open > 0 {
				want = stepReconcile
			}
			require.Equal(t, want, p.next(late), "%s, and too late", c.history)
		}
	}
}

// summary says what p holds, without what is zero.
func (p progress) summary() string {
	var s strings.Builder
	say := func(is bool, format string, args ...any) {
		if is {
			fmt.Fprintf(&s, " "+format, args...)
		}
	}
	batch := func(name string, b *Batch) {
		if b != nil {
			say(true, "%s=%s/%s", name, b.ID, b.State)
		}
	}
	attempt := func(name string, e *Entry) {
		if e != nil {
			say(true, "%s=#%d", name, e.Attempt)
		}
	}
	kind := func(name string, f *Failure) {
		if f != nil {
			say(true, "%s=%s", name, strings.TrimSuffix(string(f.Kind)+": "+f.Message, ": "))
		}
	}
	batch("batch", p.batch)
	batch("seen", p.seen)
	say(p.creates > 0, "creates=%d", p.creates)
	say(p.creating != 0, "creating=%d", p.creating)
	say(len(p.left) > 0, "left=%s", p.left)
	say(p.submits > 0, "submits=%d", p.submits)
	say(p.open != 0, "open=%d", p.open)
	attempt("last", p.last)
	attempt("running", p.running)
	attempt("silent", p.silent)
	kind("unclear", p.unclear)
	kind("refused", p.refused)
	kind("observed", p.observed)
	say(p.resend, "resend")
	say(p.submitted, "submitted")
	say(p.adopted, "adopted")
	batch("unadopted", p.unadopted)
	say(p.touched, "touched")
	say(p.closed, "closed")
	say(p.abandoned != nil, "abandoned")
	say(p.explained != nil, "explained")
	return strings.TrimPrefix(s.String(), " ")
}

func TestWhatAHistoryAmountsTo(t *testing.T) {
	for _, c := range []struct{ history, want string }{
		{"create#1",
			"creates=1 creating=1 touched"},
		{"create#1 create#1=invalid",
			"seen=/draft creates=1 refused=invalid"},
		{"create#1 create#1=conflict:7",
			"seen=7/draft creates=1 left=[7] refused=conflict touched"},
		{"create#1 create#1=conflict:7 withdrawn:7",
			"seen=7/cancelled creates=1 refused=conflict"},
		{"create#1 create#1=conflict:7 create#2 create#2=conflict:8 withdrawn:7",
			"seen=7/cancelled creates=2 left=[8] refused=conflict touched"},
		{"create#1 create#2 withdrawn:7",
			"seen=7/cancelled creates=2 creating=1 touched"},
		{"create#1 create#2 withdrawn:7 withdrawn:8",
			"seen=8/cancelled creates=2"},
		{"create#1 create#1=ambiguous create#2 create#2=ok",
			"batch=1/draft seen=1/draft creates=2 refused=ambiguous touched"},
		{"create#1 create#1=ok withdrawn:1",
			"seen=1/cancelled creates=1"},
		{"create#1 create#1=ok withdrawn:2",
			"batch=1/draft seen=2/cancelled creates=1"},
		{"create#1 create#1=ok submit#1",
			"batch=1/draft seen=1/draft creates=1 submits=1 open=1 last=#1 running=#1 touched"},
		{"create#1 create#1=ok submit#1 submit#2 submit#2=funds",
			"batch=1/draft seen=1/draft creates=1 submits=2 open=1 last=#2 silent=#1 refused=funds touched"},
		{"create#1 create#1=ok submit#1 submit#2 submit#2=funds submit#3",
			"batch=1/draft seen=1/draft creates=1 submits=3 open=2 last=#3 running=#3 silent=#1 touched"},
		{"create#1 create#1=ok submit#1 submit#1=funds intent",
			"seen=1/draft creates=1 submits=1 last=#1 refused=funds touched"},
		{"create#1 create#1=ok submit#1 submit#1=funds intent submit#1=ambiguous:9",
			"seen=9/draft creates=1 submits=1 last=#1 unclear=ambiguous refused=funds touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous:9",
			"batch=1/draft seen=9/draft creates=1 submits=1 open=1 last=#1 unclear=ambiguous touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous intent",
			"batch=1/draft seen=1/draft creates=1 submits=1 open=1 last=#1 unclear=ambiguous touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous observed",
			"batch=1/draft seen=1/draft creates=1 submits=1 open=1 last=#1 unclear=ambiguous observed=ambiguous touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous resend submit#2",
			"batch=1/draft seen=1/draft creates=1 submits=2 open=2 last=#2 running=#2 unclear=ambiguous touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous reconciled",
			"batch=1/pending seen=1/pending creates=1 submits=1 last=#1 unclear=ambiguous submitted touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous reconciled resend",
			"batch=1/draft seen=1/pending creates=1 submits=1 open=1 last=#1 unclear=ambiguous resend touched"},
		{"create#1 create#1=ok submit#1 submit#1=ok resend",
			"batch=1/draft seen=1/pending creates=1 submits=1 open=1 last=#1 " +
				"unclear=ambiguous: the service accepted batch 1 and does not know it now resend touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous reconciled adopted:9",
			"batch=9/pending seen=9/pending creates=1 submits=1 open=1 last=#1 " +
				"unclear=ambiguous submitted adopted unadopted=1/draft touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous adopted:9",
			"batch=9/pending seen=9/pending creates=1 submits=1 open=1 last=#1 " +
				"unclear=ambiguous submitted adopted unadopted=1/draft touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous adopted:9 adopted:10",
			"batch=10/pending seen=10/pending creates=1 submits=1 open=1 last=#1 " +
				"unclear=ambiguous submitted adopted unadopted=1/draft touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous adopted:9 resend",
			"batch=1/draft seen=9/pending creates=1 submits=1 open=1 last=#1 " +
				"unclear=ambiguous resend unadopted=1/draft touched"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous adopted:9 reconciled",
			"batch=1/pending seen=1/pending creates=1 submits=1 last=#1 " +
				"unclear=ambiguous submitted unadopted=1/draft touched"},
		{"create#1 create#1=ambiguous create#1=adopted:9",
			"batch=9/draft seen=9/draft creates=1 creating=1 refused=ambiguous adopted touched"},
		{"create#1 create#1=ambiguous create#1=adopted:9 create#1=adopted:10",
			"batch=10/draft seen=10/draft creates=1 creating=1 refused=ambiguous adopted touched"},
		{"create#1 create#1=ambiguous create#1=adopted:9 resend",
			"seen=9/draft creates=1 refused=ambiguous touched"},
		{"create#1 create#1=ambiguous create#1=adopted:9 submit#1 submit#1=ambiguous resend",
			"batch=9/draft seen=1/draft creates=1 submits=1 open=1 last=#1 unclear=ambiguous resend touched"},
		{"create#1 create#1=ok submit#1 submit#1=ok done",
			"batch=1/draft seen=1/draft creates=1 submits=1 last=#1 submitted touched closed"},
		{"create#1 create#1=ok submit#1 submit#1=ok closed",
			"batch=1/draft seen=1/draft creates=1 submits=1 last=#1 submitted touched closed explained"},
		{"create#1 create#1=ok submit#1 submit#1=ok closed done",
			"batch=1/draft seen=1/draft creates=1 submits=1 last=#1 submitted touched closed"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous abandoned",
			"batch=1/draft seen=1/draft creates=1 submits=1 open=1 last=#1 unclear=ambiguous touched closed abandoned"},
		{"create#1 create#1=ok submit#1 submit#1=ambiguous abandoned adopted:9",
			"batch=9/pending seen=9/pending creates=1 submits=1 open=1 last=#1 " +
				"unclear=ambiguous submitted adopted unadopted=1/draft touched"},
	} {
		require.Equal(t, c.want, replay(historyOf(t, "intent "+c.history)).summary(), c.history)
	}
	// A batch without an ID is named by an unclear reply, and by nothing else.
	for id, want := range map[string]Batch{"": {State: StateDraft},
		"9": {ID: "9", Native: "LOCKED", State: StateDraft}} {
		history := historyOf(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous")
		history[2].Batch.ID = ""
		*history[4].Batch = Batch{Provider: "p", ID: id, Native: "LOCKED", Draft: Draft{Reference: "r"}}
		want.Provider, want.Draft.Reference = "p", "r"
		require.Equal(t, want, *replay(history).batch)
	}
	history := historyOf(t, "intent create#1 create#1=ambiguous")
	history[2].Batch.State = StateCanceled
	require.Equal(t, 1, replay(history).creating, "a draft without an ID was not withdrawn")
	history = historyOf(t, "intent create#1 create#1=conflict:7")
	history[2].Batch.State = StateCanceled
	require.Equal(t, "seen=7/cancelled creates=1 refused=conflict", replay(history).summary(),
		"Create has withdrawn it")
	// A refused Submit may come with what the service says of the batch.
	for _, read := range []State{StateUnknown, StatePending, StateCanceled} {
		history = historyOf(t, "intent create#1 create#1=ok submit#1 submit#1=conflict")
		history[4].Batch.State, history[4].Batch.Native = read, "LOCKED"
		want := Batch{Provider: "p", ID: "1", State: read, Native: "LOCKED", Draft: Draft{Reference: "r"}}
		if read == StateUnknown {
			want.State, want.Native = StateDraft, ""
		}
		require.Equal(t, want, replay(history).handle("p"))
		require.Nil(t, replay(append(history, historyOf(t, "intent submit#1=conflict")...)).batch,
			"it was of an earlier draft")
	}
	p := replay(historyOf(t, "intent"))
	require.Equal(t, Batch{Provider: "p", Draft: *p.intent.Draft, State: StateDraft}, p.handle("p"),
		"the draft that was intended")
}

// StateDraft says that no Submit can have arrived.
func TestWhatMayBeSaidOfABatch(t *testing.T) {
	for history, want := range map[string]State{
		"":                                 StateDraft,
		"submit#1":                         StateUnknown,
		"submit#1 submit#1=funds":          StateDraft,
		"submit#1 submit#1=ambiguous":      StateUnknown,
		"submit#1 adopted":                 StatePending,
		"submit#1 submit#1=ok":             StatePending,
		"submit#1 submit#1=ambiguous done": StateDraft,
	} {
		p := replay(historyOf(t, "intent create#1 create#1=ok "+history))
		require.Equal(t, want, p.state(p.handle("p")).State, history)
		require.Equal(t, "1", p.state(p.handle("p")).ID)
	}
}

// What a person is told to do never sends what may have arrived.
func TestWhatAPersonIsToldToDo(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	const late = "submitted by 2026-05-31T00:00:00Z, and "
	ok := "create#1 create#1=ok "
	for _, c := range []struct {
		history  string
		standing Standing
		next     string   // a part of it
		late     Standing // the same, where Draft.NotAfter has passed
		then     string
	}{
		{"", StandingIntended, "call Run or Resume to go on", StandingIntended, late + "was not"},
		{"create#1 create#1=invalid", StandingIntended,
			"had no effect, and ended with invalid: once that is mended, call Resume", StandingIntended,
			late + "was not"},
		{"create#1", StandingDraft, "call Resume to go on, or Resolve", StandingDraft, late + "was not"},
		{"create#1 create#1=conflict:7", StandingDraft, "call Resume to go on, or Resolve", StandingDraft,
			late + "was not"},
		{ok, StandingDraft, "call Resume to go on, or Resolve", StandingDraft, late + "was not"},
		{ok + "submit#1", StandingUnclear, "do not send it again: call Resume to ask", StandingUnclear, late +
			"may have been"},
		{ok + "submit#1 observed", StandingUnclear, "a proof; when its support has named", StandingUnclear,
			"a proof; when its support has named"},
		{ok + "submit#1 resend", StandingUnclear, "it sends once more", StandingUnclear, late + "may have been"},
		{ok + "submit#1 submit#1=taken", StandingDraft, "it takes the next number", StandingDraft, late + "was not"},
		{ok + "submit#1 submit#1=funds", StandingDraft,
			"had no effect, and ended with funds: once that is mended, call Resume", StandingDraft, late + "was not"},
		{ok + "submit#1 observed submit#1=funds", StandingDraft,
			"had no effect, and ended with funds: once that is mended, call Resume", StandingDraft, late + "was not"},
		{ok + "submit#1 resend submit#1=funds", StandingDraft,
			"had no effect, and ended with funds: once that is mended, call Resume", StandingDraft, late + "was not"},
		{ok + "submit#1 submit#2 submit#2=taken", StandingUnclear, "do not send it again", StandingUnclear, late +
			"may have been"},
		{ok + "submit#1 submit#1=ok", StandingSubmitted, "waits for the end and reports", StandingSubmitted,
			"waits for the end and reports"},
		{ok + "submit#1 submit#1=ok done", StandingClosed, "nothing: it was reported", StandingClosed,
			"nothing: it was reported"},
		{ok + "submit#1 abandoned", StandingClosed, "nothing: it was abandoned", StandingClosed,
			"nothing: it was abandoned"},
	} {
		history := historyOf(t, "intent "+strings.Replace(c.history, "=taken", "=conflict", 1))
		if e := &history[len(history)-1]; strings.HasSuffix(c.history, "=taken") {
			e.Failure.Code = CodeNumberTaken
		} else if e.Kind == EntryObserved {
			e.Failure.Message = "a proof"
		}
		standing, next := replay(history).standing(Info{}, now)
		require.Equal(t, c.standing, standing, c.history)
		require.Contains(t, next, c.next, c.history)
		history[0].Draft.NotAfter = now.AddDate(0, 0, -1)
		standing, next = replay(history).standing(Info{}, now)
		require.Equal(t, c.late, standing, "%s, and too late", c.history)
		require.Contains(t, next, c.then, "%s, and too late", c.history)
	}
	for history, want := range map[string]string{ // the number of approvals that it waits for
		"intent/2 create#1":                                                         "",
		"intent/2 create#1 create#1=ok":                                             "draft 2",
		"intent/2 create#1 create#1=ok approved:ada":                                "draft 1",
		"intent/2 create#1 create#1=ok approved:ada approved:bob":                   "",
		"intent/2 create#1 create#1=ok submit#1 submit#1=ambiguous":                 "",
		"intent/2 create#1 create#1=ok submit#1 submit#1=ambiguous resend":          "unclear 2",
		"intent/1 create#1 create#1=ok submit#1 submit#2 submit#2=ambiguous resend": "unclear 1",
	} {
		standing, next := replay(historyOf(t, history)).standing(Info{}, now)
		number, waits := strings.CutPrefix(next, "wait for ")
		require.Equal(t, want != "", waits, history)
		if waits {
			require.Equal(t, want, string(standing)+" "+number[:1], history)
		}
	}
	_, next := replay(historyOf(t, "intent create#1 create#1=ok")).standing(Info{Guard: GuardRefuses}, now)
	require.Contains(t, next, "call Resume to go on")
	history := historyOf(t, "intent create#1 create#1=ok submit#1")
	_, next = replay(history).standing(Info{Guard: GuardRefuses, InFlight: time.Hour}, now)
	require.Contains(t, next, "from 2026-01-01T01:03:00Z on it sends again if the batch is still a draft")
	standing, _ := replay(nil).standing(Info{}, now)
	require.Equal(t, StandingIntended, standing, "an empty history")
}

func TestWhatADossierTakesFromAHistory(t *testing.T) {
	history := historyOf(t, "intent create#1 create#1=conflict:7 create#2 create#2=conflict:8 submit#1")
	history[4].Batch.Native = "LOCKED"
	history[0].Claims = []string{purposeName("INV-2"), "batch 1 of a at p", purposeName("INV-1")}
	history[0].Draft.Items = []Item{{Purpose: "INV-2"}, {Purpose: "inv-1"}, {Purpose: "INV-3"}, {}}
	d := dossier(Info{Guard: GuardRefuses}, Key{Provider: "p", Reference: "r"}, history)
	require.Equal(t, "8", d.BatchID)
	require.Equal(t, []string{"7", "8"}, d.Left)
	require.Equal(t, "LOCKED", d.Native)
	require.Equal(t, GuardRefuses, d.Guard)
	require.Equal(t, history[4].At, d.Read)
	require.Equal(t, []string{"INV-2", "inv-1"}, d.Purposes)
	require.Empty(t, dossier(Info{}, Key{}, nil).Attempts)

	items := []Item{{Reference: "a", Amount: Money{1, "GBP"}}, {Reference: "b", Amount: Money{2, "GBP"}}}
	history = historyOf(t, "intent create#1 create#1=ok")
	history[2].Batch.Draft.Items = items
	require.Equal(t, Money{3, "GBP"}, dossier(Info{}, Key{}, history).Total, "Create has found the items")
	history[0].Draft.Items = items[:1]
	require.Equal(t, Money{1, "GBP"}, dossier(Info{}, Key{}, history).Total, "people approve what the draft says")
}

func TestAPersonsWordFillsOneItem(t *testing.T) {
	results := []Result{{Item: Item{Reference: "a"}, Outcome: OutcomeUnknown},
		{Item: Item{Reference: "b"}, Outcome: OutcomeUnknown}}
	filled := fill(results, map[string]Outcome{"b": OutcomePaid})
	require.Equal(t, []Outcome{OutcomeUnknown, OutcomePaid}, []Outcome{filled[0].Outcome, filled[1].Outcome})
	require.Equal(t, OutcomeUnknown, results[1].Outcome, "the report itself is not changed")
}

func TestAnAccountOfThreeCharactersIsHidden(t *testing.T) {
	f := &Failure{Message: "123 and 12 are closed"}
	require.Equal(t, "[account] and 12 are closed",
		f.withoutAccounts([]Item{{Account: "123"}, {Account: "12"}}).Message)
}

func TestWhenASubmitHasLanded(t *testing.T) {
	p := replay(historyOf(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous submit#2"))
	began := time.Date(2026, 1, 1, 0, 5, 0, 0, time.UTC)
	require.Equal(t, began.Add(15*time.Minute), p.landsBy(Info{}))
	require.Equal(t, began.Add(time.Nanosecond), p.landsBy(Info{InFlight: 1}))
}

// What Run sends again at once was not processed.
func TestWhichRefusalsAreRepeated(t *testing.T) {
	const no = time.Duration(-1)
	for _, c := range []struct {
		info  Info
		err   Error
		waits [4]time.Duration // after the first try, the second...
	}{
		{Info{}, Error{Kind: ErrUnavailable}, [4]time.Duration{time.Second, 4 * time.Second, no, no}},
		{Info{}, Error{Kind: ErrThrottled}, [4]time.Duration{time.Second, 4 * time.Second, no, no}},
		{Info{}, Error{Kind: ErrThrottled, RetryAfter: 2 * time.Second},
			[4]time.Duration{2 * time.Second, 4 * time.Second, no, no}},
		{Info{}, Error{Kind: ErrThrottled, RetryAfter: time.Minute},
			[4]time.Duration{time.Minute, time.Minute, no, no}},
		{Info{}, Error{Kind: ErrThrottled, RetryAfter: time.Minute + 1}, [4]time.Duration{no, no, no, no}},
		{Info{NoRepeat: true}, Error{Kind: ErrUnavailable}, [4]time.Duration{no, no, no, no}},
		{Info{Renews: true}, Error{Kind: ErrAuth, Status: 401}, [4]time.Duration{0, no, no, no}},
		{Info{Renews: true}, Error{Kind: ErrAuth, Status: 403}, [4]time.Duration{no, no, no, no}},
		{Info{Renews: true}, Error{Kind: ErrInvalid, Status: 401}, [4]time.Duration{no, no, no, no}},
		{Info{}, Error{Kind: ErrAuth, Status: 401}, [4]time.Duration{no, no, no, no}},
		{Info{Renews: true}, Error{Kind: ErrAmbiguous}, [4]time.Duration{no, no, no, no}},
		{Info{Renews: true}, Error{Kind: ErrConflict}, [4]time.Duration{no, no, no, no}},
	} {
		for n, want := range c.waits {
			wait, again := c.info.repeats(&c.err, n+1)
			require.Equal(t, want != no, again, "%v after try %d", c, n+1)
			require.Equal(t, max(want, 0), wait, "%v after try %d", c, n+1)
		}
	}
}

// What Create finds at the service is a part of what people approve: a draft
// that is made anew with other items needs new approvals.
func TestOtherItemsNeedANewApproval(t *testing.T) {
	history := historyOf(t,
		"intent/1 create#1 create#1=ok approved:ada submit#1 submit#1=conflict intent/1 create#2 create#2=ok")
	s := situation{secrets: true}
	require.Equal(t, stepSubmit, replay(history).next(s), "the same was approved")
	made := history[len(history)-1].Batch
	made.Draft.Items = []Item{{Reference: "a", Amount: Money{1, "GBP"}}}
	require.Equal(t, stepApprove, replay(history).next(s))
}

func TestNextNeedsTheSecretsAndTheAbilities(t *testing.T) {
	p := replay(historyOf(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous resend"))
	require.Equal(t, stepCreate, p.next(situation{}),
		"a batch without its secrets is made anew before it is sent once more")
	p = replay(historyOf(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous"))
	require.Equal(t, stepReconcile, p.next(situation{guard: GuardRefuses, read: StateDraft}),
		"a batch without its secrets is not sent")
	p = replay(historyOf(t, "intent create#1 create#1=ok"))
	require.Equal(t, stepCreate, p.next(situation{}), "the draft is made anew with its secrets")
	p = replay(historyOf(t, "intent/1 create#1 create#1=ok"))
	require.Equal(t, stepCreate, p.next(situation{}), "people approve what has its secrets")
	p = replay(historyOf(t, "intent/1 create#1 create#1=ok submit#1"))
	require.Equal(t, stepReconcile, p.next(situation{secrets: true}),
		"what may have arrived is read, also if it is approved")
	p = replay(historyOf(t, "intent create#1 create#1=ok submit#1 submit#1=ambiguous resend"))
	require.Equal(t, stepSubmit, p.next(situation{secrets: true}), "the same batch is sent, not another draft")
	p = replay(historyOf(t,
		"intent create#1 create#1=ok submit#1 resend submit#1=conflict intent create#1 create#1=conflict:7"))
	require.Equal(t, stepWithdraw, p.next(situation{cancels: true}),
		"a resend that nothing is open for decides nothing")
	p = replay(historyOf(t, "intent create#1 create#1=conflict:7"))
	require.Equal(t, stepCreate, p.next(situation{secrets: true}), "a service that cannot cancel keeps the draft")
	require.Equal(t, []string{"7"}, p.left)
	p = replay(historyOf(t, "intent create#1"))
	require.Equal(t, stepCreate, p.next(situation{secrets: true, finds: true, searched: true}))
	require.Equal(t, stepCreate, p.next(situation{secrets: true, cancels: true}),
		"a service that cannot find is not searched")
	for _, read := range []State{StateUnknown, StatePending, StateDone} {
		p = replay(historyOf(t, "intent create#1 create#1=ok submit#1"))
		require.Equal(t, stepReconcile, p.next(situation{guard: GuardRefuses, read: read, secrets: true}),
			"a read that says %q", read)
	}
}

// The rules are tried in order, so each must be there for some history.
func TestEveryRuleDecidesSomething(t *testing.T) {
	used := make(map[string]bool)
	for _, history := range []string{"intent", "intent create#1", "intent create#1 create#1=conflict:7",
		"intent create#1 create#1=ok",
		"intent create#1 create#1=ok submit#1", "intent create#1 create#1=ok submit#1 resend",
		"intent create#1 create#1=ok submit#1 submit#1=ok",
		"intent create#1 create#1=ok submit#1 submit#1=ok done", "intent/1 create#1 create#1=ok"} {
		for _, s := range []situation{{}, {secrets: true}, {secrets: true, cancels: true, finds: true},
			{secrets: true, guard: GuardRefuses, read: StateDraft},
			{secrets: true, expired: true}} {
			for _, rule := range rules {
				if rule.applies(replay(historyOf(t, history)), s) {
					used[rule.reason] = true
					step, reason := replay(historyOf(t, history)).decide(s)
					require.Equal(t, rule.step, step)
					require.Equal(t, rule.reason, reason)
					break
				}
			}
		}
	}
	var steps []string // a debug log has these words
	for _, rule := range rules {
		require.True(t, used[rule.reason], rule.reason)
		steps = append(steps, string(rule.step))
	}
	require.Equal(t,
		"stop wait reconcile expire approve submit create submit reconcile withdraw withdraw create submit",
		strings.Join(steps, " "))
}

// What a journal keeps of results is what it tells of them: nothing more, and a
// letter or a word that this version does not know is unknown.
func TestWhatAJournalKeepsOfResults(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("NZDT", 13*60*60))
	items := []Item{{Reference: "a"}, {Reference: "b"}}
	for name, c := range map[string]struct {
		results []Result
		want    ItemOutcomes
	}{
		"outcomes alone":  {[]Result{{Outcome: OutcomePaid}, {Outcome: OutcomeReturned}}, ItemOutcomes{Letters: "pr"}},
		"a newer outcome": {[]Result{{Outcome: "frozen"}, {Outcome: OutcomeFailed}}, ItemOutcomes{Letters: "uf"}},
		"codes": {[]Result{{Outcome: OutcomePaid}, {Outcome: OutcomePending, Code: "?"}},
			ItemOutcomes{Letters: "pw", Codes: []string{"", "?"}}},
		"IDs": {[]Result{{Outcome: OutcomePaid, ID: "?"}, {Outcome: OutcomePaid, ID: "7"}},
			ItemOutcomes{Letters: "pp", IDs: []string{"?", "7"}}},
		"times": {[]Result{{Outcome: OutcomeSkipped, At: at}, {Outcome: OutcomePaid, At: at}},
			ItemOutcomes{Letters: "sp", Times: []time.Time{at.UTC(), at.UTC()}}},
	} {
		got := outcomesOf(c.results)
		require.Equal(t, c.want, *got, name)
		for n, result := range got.results(items) {
			want := c.results[n]
			want.Item, want.At = items[n], want.At.UTC()
			if want.Outcome == "frozen" {
				want.Outcome = OutcomeUnknown
			}
			require.Equal(t, want, result, name)
		}
	}
	for _, letters := range []string{"p?", "p"} {
		results := (&ItemOutcomes{Letters: letters}).results(items)
		require.Equal(t, []Result{{Item: items[0], Outcome: OutcomePaid}, {Item: items[1], Outcome: OutcomeUnknown}},
			results, letters)
	}
}

func TestWhichReportsAreNews(t *testing.T) {
	paid := &ItemOutcomes{Letters: "p", Codes: []string{"00"}, IDs: []string{"7"}}
	require.True(t, paid.same(&ItemOutcomes{Letters: "p", Codes: []string{"00"}}))
	require.False(t, paid.same(&ItemOutcomes{Letters: "r", Codes: []string{"00"}}), "another outcome")
	require.False(t, paid.same(&ItemOutcomes{Letters: "p", Codes: []string{"05"}}), "another code")
	require.False(t, paid.same(nil))
	require.False(t, (*ItemOutcomes)(nil).same(paid))
}
