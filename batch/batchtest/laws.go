package batchtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
)

type law struct {
	name   string
	faults bool // needs a Sim
	check  func(t reporter, open func() Subject)
}

var laws = []law{
	{"Law01OnlySubmitMovesMoney", true, law01},
	{"Law02SubmitSendsAtMostOnce", true, law02},
	{"Law03ErrorsKeepTheirPromise", true, law03},
	{"Law04NothingIsLost", true, law04},
	{"Law05ArgumentsAndConcurrency", false, law05},
	{"Law06ContextEndsDuringSubmit", true, law06},
	{"Law07FinalStaysFinal", true, law07},
	{"Law08UnknownWordIsNoError", true, law08},
	{"Law09NoStateInTheAdapter", false, law09},
	{"Law10ReportsAreComplete", false, law10},
	{"Law11NoCredentialLeaks", true, law11},
	{"Law12WrongDirectionOrProvider", false, law12},
	{"Law13AnotherBatchIsNoWitness", true, law13},
	{"Guard", true, guard},
	{"Abilities", false, abilities},
}

// whole ends the test if s lacks what every law needs.
func whole(t reporter, s Subject) Subject {
	t.Helper()
	for field, missing := range map[string]bool{"Provider": s.Provider == nil, "Draft": s.Draft == nil,
		"Reopen": s.Reopen == nil} {
		if missing {
			t.Fatalf("Subject.%s is nil; set it", field)
		}
	}
	return s
}

// create makes a batch of some items, or ends the test.
func create(t reporter, s Subject, items int) batch.Batch {
	t.Helper()
	b, err := s.Provider.Create(t.Context(), s.Draft(items))
	if err != nil {
		t.Fatalf("Create refused a good draft: %v", err)
	}
	if b.State != batch.StateDraft {
		t.Fatalf("Create returned a batch in state %q; it must be a draft", b.State)
	}
	return b
}

func submit(t reporter, s Subject, items int) batch.Batch {
	t.Helper()
	b, err := s.Provider.Submit(t.Context(), create(t, s, items))
	if err != nil {
		t.Fatalf("Submit failed although nothing is wrong: %v", err)
	}
	if b.State != batch.StatePending && !b.State.Final() {
		t.Fatalf("Submit returned a batch in state %q; it must be pending or final", b.State)
	}
	return b
}

// moved counts how often the items of b moved: the least, and the most.
func moved(s Subject, b batch.Batch) (least, most int) {
	times := s.Sim.Moved()
	for n, item := range b.Draft.Items {
		if n == 0 {
			least = times[item.Reference]
		}
		least, most = min(least, times[item.Reference]), max(most, times[item.Reference])
	}
	return least, most
}

// submitInto submits b into fault f. Where no answer comes, the context is
// cancelled once the request has arrived.
func submitInto(t reporter, s Subject, b batch.Batch, f Fault) (batch.Batch, error) {
	s.Sim.Break(f)
	if f != SilentBefore && f != SilentAfter {
		return s.Provider.Submit(t.Context(), b)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := s.Sim.Submits()
	done := make(chan struct{})
	var after batch.Batch
	var err error
	go func() {
		defer close(done)
		after, err = s.Provider.Submit(ctx, b)
	}()
	patience := time.Now().Add(submitPatience)
	for s.Sim.Submits() == before || f == SilentAfter && !hasMoved(s, b) {
		select {
		case <-done:
			return after, err
		default:
			runtime.Gosched()
		}
		if time.Now().After(patience) {
			cancel()
			<-done
			t.Fatalf(
				"when %s, no request that can move money has arrived; Sim.Submits and Sim.Moved must count it once it has", f)
		}
	}
	cancel()
	<-done
	return after, err
}

// submitPatience is how long a request of Submit may take to arrive.
var submitPatience = 30 * time.Second

func hasMoved(s Subject, b batch.Batch) bool {
	least, _ := moved(s, b)
	return least > 0
}

func law01(t reporter, open func() Subject) {
	s := open()
	b := create(t, s, 3)
	if _, err := s.Provider.Poll(t.Context(), b); err != nil && batch.KindOf(err) == batch.ErrAmbiguous {
		t.Errorf("law 1: Poll is a read, but its error is ambiguous: %v", err)
	}
	_, _ = s.Provider.Report(t.Context(), b) // A service may know no report of a draft.
	if _, most := moved(s, b); most > 0 {
		t.Errorf("law 1: money moved %d times before Submit; only Submit may move it", most)
	}
	if n := s.Sim.Submits(); n > 0 {
		t.Errorf("law 1: %d requests that can move money were sent before Submit", n)
	}
	requests := s.Sim.Requests()
	b, err := s.Provider.Submit(t.Context(), b)
	if err != nil {
		t.Fatalf("Submit failed although nothing is wrong: %v", err)
	}
	if arrived, submits := s.Sim.Requests()-requests, s.Sim.Submits(); arrived < 1 || submits != 1 {
		t.Errorf(
			"law 1: during Submit Sim.Requests counts %d requests, and Sim.Submits %d; they must count what has arrived, or other laws prove nothing", arrived, submits)
	}
	s.Sim.Finish()
	if _, err := s.Provider.Poll(t.Context(), b); err != nil {
		t.Errorf("Poll of a finished batch failed: %v", err)
	}
	_, _ = s.Provider.Report(t.Context(), b)
	s.Sim.Settle()
	if least, most := moved(s, b); least != 1 || most != 1 {
		t.Errorf("law 1: after Submit, Poll and Report money moved %d to %d times for an item; it must be once", least,
			most)
	}
}

func law02(t reporter, open func() Subject) {
	for _, f := range faults {
		s := open()
		b := create(t, s, 2)
		after, err := submitInto(t, s, b, f)
		if n := s.Sim.Submits(); n > 1 {
			t.Errorf("law 2: when %s, Submit sent %d requests that can move money; it must send at most one", f, n)
		}
		if err != nil && batch.KindOf(err) != batch.ErrAmbiguous {
			continue
		}
		requests := s.Sim.Requests()
		if _, err := s.Provider.Submit(t.Context(), after); err == nil {
			t.Errorf("law 2: when %s, a batch in state %q was submitted again; only a draft may be", f, after.State)
		}
		if n := s.Sim.Requests() - requests; n > 0 {
			t.Errorf("law 2: refusing a batch in state %q took %d requests; it must take none", after.State, n)
		}
	}
	s := open()
	b := submit(t, s, 2)
	requests := s.Sim.Requests()
	if _, err := s.Provider.Submit(t.Context(), b); !errors.Is(err, batch.ErrConflict) {
		t.Errorf("law 2: submitting a batch in state %q gave %v; it must be ErrConflict", b.State, err)
	}
	if n := s.Sim.Requests() - requests; n > 0 {
		t.Errorf("law 2: refusing a batch in state %q took %d requests; it must take none", b.State, n)
	}
	if n := s.Sim.Submits(); n != 1 {
		t.Errorf("law 2: two calls of Submit sent %d requests that can move money; it must be one", n)
	}
}

func law03(t reporter, open func() Subject) {
	for _, f := range faults {
		s := open()
		b := create(t, s, 3)
		after, err := submitInto(t, s, b, f)
		least, _ := moved(s, b)
		s.Sim.Settle()
		_, most := moved(s, b)
		kind := batch.KindOf(err)
		var e *batch.Error
		switch {
		case err != nil && !errors.As(err, &e):
			t.Errorf("law 3: when %s, the error is a %T; every error must be a *batch.Error", f, err)
		// With a guard, the provider may have prevented it.
		case f == LateAfter && most == 0 && s.Provider.Info().Guard == batch.GuardNone:
			t.Errorf(
				"law 3: when %s, the money has not moved after Sim.Settle either; Settle must let the late request arrive", f)
		case err == nil && (least != 1 || most != 1):
			t.Errorf("law 3: when %s, Submit succeeded, but money moved %d to %d times for an item; it must be once",
				f, least, most)
		case err == nil && f != Redirected && f != Unavailable:
			t.Errorf("law 3: when %s, Submit succeeded without a word of the service", f)
		case err != nil && kind != batch.ErrAmbiguous && most > 0:
			t.Errorf("law 3: when %s, Submit said %q, which promises no effect, but money moved", f, kind)
		case kind == batch.ErrAmbiguous && (f == Refused || f == Unauthorized):
			t.Errorf("law 3: when %s, Submit was ambiguous; the service has answered clearly", f)
		case kind == batch.ErrAmbiguous && after.State != batch.StateUnknown:
			t.Errorf("law 3: when %s, Submit was ambiguous and returned state %q; it must be unknown", f, after.State)
		case err != nil && kind != batch.ErrAmbiguous && after.State != batch.StateDraft:
			t.Errorf("law 3: when %s, Submit said %q and returned state %q; it must still be a draft", f,
				kind, after.State)
		}
	}
	for _, f := range []Fault{LostBefore, LateAfter} {
		s := open()
		b := create(t, s, 2)
		before, _ := s.Provider.Poll(t.Context(), b)
		claims(t, "a draft", before)
		unclear, _ := submitInto(t, s, b, f)
		read, _ := s.Provider.Poll(t.Context(), unclear)
		claims(t, "a batch whose submit has not arrived", read)
		read, _ = batch.Reconcile(t.Context(), s.Provider, unclear)
		claims(t, "a batch whose submit has not arrived, by Reconcile,", read)
	}
	s := open()
	bad := s.Draft(2)
	bad.Items[1].Reference = bad.Items[0].Reference
	bad.Items[0].Amount.Minor = -1
	b, err := s.Provider.Create(t.Context(), bad)
	var e *batch.Error
	if !errors.As(err, &e) || e.Kind != batch.ErrInvalid {
		t.Errorf("law 3: a draft with a repeated reference and a negative amount gave %v; it must be ErrInvalid", err)
	} else if len(e.Fields) < 2 {
		t.Errorf("law 3: a draft with two faults is refused with %d; all must be listed", len(e.Fields))
	}
	if !reflect.DeepEqual(b.Draft.Items, bad.Items) {
		t.Errorf("law 4: the batch beside the error of Create lost the items of the draft")
	}
}

// claims complains about a state that says that the service has the batch, or
// that it is over, although it was never submitted.
func claims(t reporter, what string, b batch.Batch) {
	t.Helper()
	if b.State == batch.StatePending || b.State.Final() {
		t.Errorf("law 3: Poll says that %s is %q; only the service's own word about this batch may say so", what,
			b.State)
	}
}

// poorer says what after lacks that before had; "" if nothing.
func poorer(before, after batch.Batch) string {
	switch {
	case after.Provider != before.Provider:
		return "its provider"
	case before.ID != "" && after.ID != before.ID:
		return "its id"
	case !reflect.DeepEqual(before.Draft, after.Draft):
		return "its draft"
	case before.State.Final() && after.State != before.State:
		return "its final state"
	}
	return ""
}

func law04(t reporter, open func() Subject) {
	for _, f := range faults {
		s := open()
		b := create(t, s, 2)
		after, err := submitInto(t, s, b, f)
		if lost := poorer(b, after); lost != "" {
			t.Errorf("law 4: when %s (%v), the batch that Submit returned has lost %s", f, err, lost)
		}
	}
	s := open()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	b := submit(t, s, 2)
	for _, ctx := range []context.Context{ended, t.Context()} {
		after, err := s.Provider.Poll(ctx, b)
		if lost := poorer(b, after); lost != "" {
			t.Errorf("law 4: the batch that Poll returned beside %v has lost %s", err, lost)
		}
		r, err := s.Provider.Report(ctx, b)
		if lost := poorer(b, r.Batch); lost != "" {
			t.Errorf("law 4: the batch that Report returned beside %v has lost %s", err, lost)
		}
	}
	after, err := s.Provider.Submit(t.Context(), b)
	if lost := poorer(b, after); lost != "" {
		t.Errorf("law 4: the batch that Submit returned beside %v has lost %s", err, lost)
	}
	if after.State != b.State {
		t.Errorf("law 4: refusing to submit a batch in state %q changed it to %q", b.State, after.State)
	}
}

func law05(t reporter, open func() Subject) {
	s := open()
	p := s.Provider
	same := func(method string, before, now any) {
		t.Helper()
		if !reflect.DeepEqual(before, now) {
			t.Errorf("law 5: %s has modified its argument", method)
		}
	}
	d := s.Draft(2)
	copied := d.Clone()
	b, err := p.Create(t.Context(), d)
	if err != nil {
		t.Fatalf("Create refused a good draft: %v", err)
	}
	same("Create", copied, d)
	if len(b.Draft.Items) > 0 && &b.Draft.Items[0] == &d.Items[0] {
		t.Errorf("law 5: the batch that Create returned shares the caller's items")
	}
	before := b.Clone()
	submitted, err := p.Submit(t.Context(), b)
	if err != nil {
		t.Fatalf("Submit failed although nothing is wrong: %v", err)
	}
	same("Submit", before, b)
	before = submitted.Clone()
	_, _ = p.Poll(t.Context(), submitted)
	same("Poll", before, submitted)
	_, _ = p.Report(t.Context(), submitted)
	same("Report", before, submitted)

	// What the race detector and the ledger have to say about many at once.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []batch.Batch
	drafts := make([]batch.Draft, 8)
	for n := range drafts {
		drafts[n] = s.Draft(2)
	}
	for _, d := range drafts {
		wg.Go(func() {
			b, err := p.Create(t.Context(), d)
			if err == nil {
				b, err = p.Submit(t.Context(), b)
			}
			if err == nil {
				b, err = p.Poll(t.Context(), b)
			}
			if err == nil {
				_, _ = p.Report(t.Context(), b)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("law 5: one of several batches at once failed: %v", err)
			}
			all = append(all, b)
		})
	}
	wg.Wait()
	if s.Sim == nil {
		return
	}
	for _, b := range all {
		if least, most := moved(s, b); least != 1 || most != 1 {
			t.Errorf("law 5: of several batches at once, one moved money %d to %d times for an item; it must be once",
				least, most)
		}
	}
}

func law06(t reporter, open func() Subject) {
	for _, f := range []Fault{SilentBefore, SilentAfter} {
		s := open()
		b := create(t, s, 2)
		after, err := submitInto(t, s, b, f)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, batch.ErrAmbiguous) {
			t.Errorf(
				"law 6: the context ended while the service was %s, and Submit gave %v; it must match context.Canceled and ErrAmbiguous", f, err)
		}
		if after.State != batch.StateUnknown {
			t.Errorf("law 6: the context ended while the service was %s, and the batch is %q; it must be unknown",
				f, after.State)
		}
	}
	s := open()
	b := create(t, s, 2)
	requests := s.Sim.Requests()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	after, err := s.Provider.Submit(ctx, b)
	if !errors.Is(err, context.Canceled) || errors.Is(err, batch.ErrAmbiguous) {
		t.Errorf(
			"law 6: the context had ended before Submit, which gave %v; it must match context.Canceled and not ErrAmbiguous", err)
	}
	if n := s.Sim.Requests() - requests; n > 0 {
		t.Errorf("law 6: the context had ended before Submit, and %d requests were sent all the same", n)
	}
	if after.State != batch.StateDraft {
		t.Errorf("law 6: nothing was sent, and the batch is %q; it must still be a draft", after.State)
	}
}

func law07(t reporter, open func() Subject) {
	s := open()
	b := submit(t, s, 2)
	s.Sim.Finish()
	final, err := s.Provider.Poll(t.Context(), b)
	if err != nil || !final.State.Final() {
		t.Fatalf("Poll of a finished batch gave state %q, %v; it must be final", final.State, err)
	}
	s.Sim.Say("NEVER_HEARD_OF_IT")
	for range 2 {
		again, err := s.Provider.Poll(t.Context(), final)
		if err != nil || again.State != final.State {
			t.Errorf("law 7: a batch in state %q was polled again and is %q, %v; final states stay final", final.State,
				again.State, err)
		}
		r, err := s.Provider.Report(t.Context(), again)
		if err == nil && r.Batch.State != final.State {
			t.Errorf("law 7: a batch in state %q was reported as %q; final states stay final",
				final.State, r.Batch.State)
		}
	}
	s.Sim.Settle()
	if again, err := s.Provider.Poll(t.Context(), final); err != nil || again.State != final.State {
		t.Errorf("law 7: a batch in state %q was polled much later and is %q, %v; final states stay final", final.State,
			again.State, err)
	}
}

func law08(t reporter, open func() Subject) {
	s := open()
	b := submit(t, s, 2)
	if b.State.Final() { // A service may finish at once: ask as somebody who has not heard.
		b.State = batch.StateUnknown
	}
	for _, word := range []string{"NEVER_HEARD_OF_IT", "done", "x"} {
		if slices.Contains(s.Words, word) {
			continue
		}
		s.Sim.Say(word)
		got, err := s.Provider.Poll(t.Context(), b)
		switch {
		case err != nil:
			t.Errorf("law 8: the status word %q gave an error: %v", word, err)
		case got.State != batch.StateUnknown:
			t.Errorf("law 8: the status word %q was taken for %q; it must be unknown", word, got.State)
		case got.Native != word:
			t.Errorf("law 8: the status word %q came back as %q", word, got.Native)
		}
	}
}

// stored is b as another process gets it.
func stored(t reporter, b batch.Batch) batch.Batch {
	t.Helper()
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatalf("law 9: the batch cannot be stored: %v", err)
	}
	var again batch.Batch
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatalf("law 9: the stored batch cannot be read: %v", err)
	}
	return again
}

func law09(t reporter, open func() Subject) {
	s := open()
	b := stored(t, create(t, s, 3))
	b, err := s.Reopen().Submit(t.Context(), b)
	if err != nil {
		t.Fatalf("law 9: a stored draft cannot be submitted by another process: %v", err)
	}
	b, err = s.Reopen().Poll(t.Context(), stored(t, b))
	if err != nil {
		t.Fatalf("law 9: a stored batch cannot be polled by another process: %v", err)
	}
	if s.Sim != nil {
		s.Sim.Finish()
		if b, err = s.Reopen().Poll(t.Context(), stored(t, b)); err != nil || !b.State.Final() {
			t.Fatalf("law 9: a stored batch that is finished was polled by another process as %q, %v", b.State, err)
		}
	}
	r, err := s.Reopen().Report(t.Context(), stored(t, b))
	if err != nil {
		t.Fatalf("law 9: a stored batch cannot be reported by another process: %v", err)
	}
	if len(r.Results) != 3 {
		t.Errorf("law 9: the report by another process has %d results of 3", len(r.Results))
	}
}

func law10(t reporter, open func() Subject) {
	many := 120 // More than a page of most services.
	if most := open().Provider.Info().MaxItems; most > 0 {
		many = min(many, most)
	}
	for _, items := range []int{5, many} {
		s := open()
		b := submit(t, s, items)
		checkReport(t, s, b)
		if s.Sim == nil {
			return // A real service is not asked for more than is needed.
		}
		s.Sim.Finish()
		final, err := s.Provider.Poll(t.Context(), b)
		if err != nil {
			t.Fatalf("Poll of a finished batch failed: %v", err)
		}
		checkReport(t, s, final)
	}
}

func checkReport(t reporter, s Subject, b batch.Batch) {
	t.Helper()
	r, err := s.Provider.Report(t.Context(), b)
	if err != nil {
		t.Errorf("law 10: Report of a batch in state %q failed: %v", b.State, err)
		return
	}
	if len(r.Results) != len(b.Draft.Items) {
		t.Errorf("law 10: the report has %d results for %d items", len(r.Results), len(b.Draft.Items))
		return
	}
	want := make(map[batch.Outcome]batch.Total)
	for n, result := range r.Results {
		if !reflect.DeepEqual(result.Item, b.Draft.Items[n]) {
			t.Errorf("law 10: result %d is about item %q; it must be about %q", n, result.Item.Reference,
				b.Draft.Items[n].Reference)
		}
		if result.Outcome == "" {
			t.Errorf("law 10: result %d has no outcome", n)
		}
		total := want[result.Outcome]
		total.Count++
		total.Amount = batch.Money{Minor: total.Amount.Minor + result.Item.Amount.Minor,
			Currency: result.Item.Amount.Currency}
		want[result.Outcome] = total
	}
	if !reflect.DeepEqual(r.Totals, want) {
		t.Errorf("law 10: the totals are %v, but the results add up to %v", r.Totals, want)
	}
}

func law11(t reporter, open func() Subject) {
	for _, f := range faults {
		s := open()
		if len(s.Secrets) == 0 {
			t.Errorf("law 11: the subject names no secrets, so nothing was proved")
			return
		}
		b := create(t, s, 2)
		_, err := submitInto(t, s, b, f)
		if secret := batchsim.Leak(s.Secrets, spell(err)...); secret != "" {
			t.Errorf("law 11: when %s, a credential (%s) appears in the error", f, secret)
		}
		if s.Log != nil {
			if secret := batchsim.Leak(s.Secrets, s.Log()); secret != "" {
				t.Errorf("law 11: when %s, a credential (%s) appears in the log", f, secret)
			}
		}
		if secret := batchsim.Leak(s.Secrets, batchsim.Prints(s.Provider.Info())); secret != "" {
			t.Errorf("law 11: a credential (%s) appears in Info", secret)
		}
		if secret := batchsim.Leak(s.Secrets, batchsim.Prints(s.Provider)); secret != "" {
			t.Errorf(
				"law 11: a credential (%s) appears where the provider is printed; a batchhttp.Secret is never shown",
				secret)
		}
	}
}

// spell writes err and all that it wraps in every way that a caller might.
func spell(err error) []string {
	if err == nil {
		return nil
	}
	texts := []string{fmt.Sprintf("%v\n%+v\n%#v\n%q\n%s", err, err, err, err.Error(), err)}
	if text, failed := json.Marshal(err); failed == nil {
		texts = append(texts, string(text))
	}
	switch wrapper := err.(type) { //nolint:errorlint // Every layer is looked at, one after the other.
	case interface{ Unwrap() error }:
		texts = append(texts, spell(wrapper.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			texts = append(texts, spell(inner)...)
		}
	}
	return texts
}

func law12(t reporter, open func() Subject) {
	s := open()
	requests := func() int {
		if s.Sim == nil {
			return 0
		}
		return s.Sim.Requests()
	}
	before := requests()
	d := s.Draft(2)
	for _, other := range []batch.Direction{batch.Collect, batch.Pay, batch.Load, ""} {
		if other == d.Direction {
			continue
		}
		wrong := d.Clone()
		wrong.Direction = other
		if _, err := s.Provider.Create(t.Context(), wrong); !errors.Is(err, batch.ErrInvalid) {
			t.Errorf("law 12: a draft of direction %q gave %v; it must be ErrInvalid", other, err)
		}
	}
	extra := d.Clone()
	extra.Extra = map[string]string{"never-heard-of-it": "x"}
	if _, err := s.Provider.Create(t.Context(), extra); !errors.Is(err, batch.ErrInvalid) {
		t.Errorf("law 12: a draft with an unknown Extra key gave %v; it must be ErrInvalid", err)
	}
	if n := requests() - before; n > 0 {
		t.Errorf("law 12: refusing a draft took %d requests; it must take none", n)
	}
	b := create(t, s, 2)
	before = requests()
	for what, stranger := range map[string]batch.Batch{
		"a batch of another provider": {Provider: b.Provider + "x", ID: b.ID, Draft: b.Draft, State: b.State},
		"a batch of another direction": {Provider: b.Provider, ID: b.ID, State: b.State,
			Draft: batch.Draft{Reference: b.Draft.Reference, Direction: b.Draft.Direction + "x", Items: b.Draft.Items}},
	} {
		_, submitErr := s.Provider.Submit(t.Context(), stranger)
		_, pollErr := s.Provider.Poll(t.Context(), stranger)
		_, reportErr := s.Provider.Report(t.Context(), stranger)
		for method, err := range map[string]error{"Submit": submitErr, "Poll": pollErr, "Report": reportErr} {
			if !errors.Is(err, batch.ErrInvalid) {
				t.Errorf("law 12: %s of %s gave %v; it must be ErrInvalid", method, what, err)
			}
		}
	}
	if n := requests() - before; n > 0 {
		t.Errorf("law 12: refusing another's batch took %d requests; it must take none", n)
	}
}

func law13(t reporter, open func() Subject) {
	s := open()
	one, two := submit(t, s, 2), submit(t, s, 3)
	s.Sim.Finish()
	for name, read := range map[string]func(context.Context, batch.Batch) (batch.Batch, error){
		"Poll": s.Provider.Poll,
		"Reconcile": func(ctx context.Context, b batch.Batch) (batch.Batch, error) {
			return batch.Reconcile(ctx, s.Provider, b)
		},
	} {
		unclear := one
		unclear.State = batch.StateUnknown
		if b, err := read(t.Context(), unclear); err != nil || !b.State.Final() {
			t.Errorf("law 13: %s of a finished batch whose Submit was unclear gave state %q, %v; it must find it",
				name, b.State, err)
		}
		unclear.ID = two.ID // As an operator names it who is wrong.
		if b, err := read(t.Context(), unclear); err == nil {
			t.Errorf("law 13: %s took batch %q, which has other items, for %q (state %q); it must give ErrConflict",
				name, two.ID, one.ID, b.State)
		} else if name == "Poll" && !errors.Is(err, batch.ErrConflict) {
			t.Errorf("law 13: Poll of another batch gave %v; it must be ErrConflict", err)
		}
	}
}

// guard proves what Info.Guard claims: whichever of two submits arrives second
// is refused.
func guard(t reporter, open func() Subject) {
	if open().Provider.Info().Guard != batch.GuardRefuses {
		return
	}
	for _, first := range []Fault{LostBefore, LostAfter, ErrorAfter, GarbledAfter, LateAfter} {
		for _, second := range []Fault{"", LostAfter, LateAfter} {
			s := open()
			b := create(t, s, 2)
			unclear, err := submitInto(t, s, b, first)
			if err == nil {
				continue
			}
			again := unclear
			again.State = batch.StateDraft
			if second != "" {
				s.Sim.Break(second)
			}
			_, _ = s.Provider.Submit(t.Context(), again)
			s.Sim.Settle()
			s.Sim.Finish()
			if _, most := moved(s, b); most > 1 {
				t.Errorf(
					"guard: after two submits (%s, then %q) money moved %d times; Info.Guard says that the second is refused", first, second, most)
			}
		}
	}
}

// abilities proves what the provider can do beside the laws.
func abilities(t reporter, open func() Subject) {
	p := open().Provider
	if _, ok := batch.As[batch.Finder](p); ok {
		canFind(t, open())
	}
	if _, ok := batch.As[batch.Canceler](p); ok {
		canCancel(t, open())
	}
	if _, ok := batch.As[batch.Lister](p); ok {
		canList(t, open())
	}
	if _, ok := batch.As[batch.Editor](p); ok {
		canEdit(t, open())
	}
	if _, ok := batch.As[batch.BulkPoller](p); ok {
		canPollAll(t, open())
	}
}

func canFind(t reporter, s Subject) {
	b := submit(t, s, 2)
	found, err := batch.Find(t.Context(), s.Provider, b.Draft.Reference)
	if err != nil || found.ID != b.ID || found.Provider != b.Provider || found.Draft.Reference != b.Draft.Reference {
		t.Errorf("Find gave batch %q of %q, %v; it must be %q", found.ID, found.Provider, err, b.ID)
	}
	if _, err := batch.Find(t.Context(), s.Provider, s.Draft(1).Reference); !errors.Is(err, batch.ErrNotFound) {
		t.Errorf("Find of a reference that was never used gave %v; it must be ErrNotFound", err)
	}
}

func canCancel(t reporter, s Subject) {
	b, err := batch.Cancel(t.Context(), s.Provider, create(t, s, 2))
	if err != nil || b.State != batch.StateCanceled {
		t.Errorf("Cancel of a draft gave state %q, %v; it must be cancelled", b.State, err)
	}
	if _, err := s.Provider.Submit(t.Context(), b); !errors.Is(err, batch.ErrConflict) {
		t.Errorf("submitting a cancelled batch gave %v; it must be ErrConflict", err)
	}
	if s.Sim == nil {
		return
	}
	unclear := create(t, s, 2)
	unclear.State = batch.StateUnknown
	requests := s.Sim.Requests()
	if _, err := batch.Cancel(t.Context(), s.Provider, unclear); !errors.Is(err, batch.ErrConflict) {
		t.Errorf("Cancel of a batch that may be submitted gave %v; it must be ErrConflict", err)
	}
	if n := s.Sim.Requests() - requests; n > 0 {
		t.Errorf("Cancel of a batch that may be submitted took %d requests; it must take none", n)
	}
	b = submit(t, s, 2)
	if after, err := batch.Cancel(t.Context(), s.Provider, b); err == nil {
		s.Sim.Settle()
		if _, most := moved(s, b); most > 0 {
			t.Errorf("Cancel of a submitted batch gave state %q, but money moved", after.State)
		}
	}
}

func canList(t reporter, s Subject) {
	b := submit(t, s, 2)
	for listed, err := range batch.List(t.Context(), s.Provider) {
		if err != nil {
			t.Errorf("List failed: %v", err)
			return
		}
		if listed.ID == b.ID {
			if listed.Provider != b.Provider {
				t.Errorf("List gave a batch of provider %q", listed.Provider)
			}
			return
		}
	}
	t.Errorf("List does not have the batch that was just submitted")
}

func canEdit(t reporter, s Subject) {
	b := create(t, s, 3)
	fresh := s.Draft(2).Items
	edited, err := batch.SetItems(t.Context(), s.Provider, b, fresh)
	if err != nil || !reflect.DeepEqual(edited.Draft.Items, fresh) {
		t.Errorf("SetItems gave %d items, %v; it must give the %d new ones", len(edited.Draft.Items), err, len(fresh))
		return
	}
	after, err := s.Provider.Submit(t.Context(), edited)
	if err != nil {
		t.Errorf("a draft with new items cannot be submitted: %v", err)
		return
	}
	if s.Sim != nil {
		if least, most := moved(s, after); least != 1 || most != 1 {
			t.Errorf("after SetItems money moved %d to %d times for a new item; it must be once", least, most)
		}
		if _, most := moved(s, b); most > 0 {
			t.Errorf("after SetItems money moved for an item that was replaced")
		}
	}
	if _, err := batch.SetItems(t.Context(), s.Provider, after, fresh); err == nil {
		t.Errorf("SetItems changed a batch in state %q; only a draft may be changed", after.State)
	}
}

func canPollAll(t reporter, s Subject) {
	p, _ := batch.As[batch.BulkPoller](s.Provider)
	bs := []batch.Batch{submit(t, s, 1), submit(t, s, 2), submit(t, s, 1)}
	polled, err := p.PollAll(t.Context(), bs)
	if err != nil || len(polled) != len(bs) {
		t.Errorf("PollAll gave %d batches of %d, %v", len(polled), len(bs), err)
		return
	}
	for n, b := range polled {
		if lost := poorer(bs[n], b); lost != "" {
			t.Errorf("law 4: batch %d that PollAll returned has lost %s", n, lost)
		}
	}
	if s.Sim == nil {
		return
	}
	s.Sim.Finish()
	polled, err = p.PollAll(t.Context(), bs)
	if err != nil {
		t.Errorf("PollAll failed: %v", err)
		return
	}
	for n, b := range polled {
		one, err := s.Provider.Poll(t.Context(), bs[n])
		if err != nil || one.State != b.State || one.ID != b.ID {
			t.Errorf("PollAll says %q of batch %d, and Poll says %q, %v", b.State, n, one.State, err)
		}
	}
	stranger := bs[1]
	stranger.Provider = "another provider"
	polled, err = p.PollAll(t.Context(), []batch.Batch{bs[0], stranger, bs[2]})
	var each batch.PollErrors
	if !errors.As(err, &each) || len(each) != 1 || !errors.Is(each[1], batch.ErrInvalid) || len(polled) != 3 {
		t.Errorf(
			"PollAll with a batch of another provider gave %d batches, %v; it must read the others, and give PollErrors with ErrInvalid for this one", len(polled), err)
	} else if polled[0].State == batch.StateUnknown || polled[2].State == batch.StateUnknown {
		t.Errorf("PollAll did not read the batches beside one of another provider: %q, %q", polled[0].State,
			polled[2].State)
	}
	if none, err := p.PollAll(t.Context(), nil); err != nil || len(none) > 0 {
		t.Errorf("PollAll of nothing gave %d batches, %v", len(none), err)
	}
}
