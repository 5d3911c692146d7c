package snapbill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

func start(t *testing.T, o snapbilltest.Options, c snapbill.ProviderConfig) (*snapbilltest.Server, *snapbill.Provider) {
	t.Helper()
	server := snapbilltest.New(&o)
	t.Cleanup(server.Close)
	return server, newProvider(t, server.Config(), c)
}

func create(t *testing.T, p *snapbill.Provider, d batch.Draft) batch.Batch {
	t.Helper()
	b, err := p.Create(t.Context(), d)
	require.NoError(t, err)
	return b
}

func number(t *testing.T, b batch.Batch) int64 {
	t.Helper()
	var id int64
	_, err := fmt.Sscan(b.ID, &id)
	require.NoError(t, err)
	return id
}

// What SnapBill could not accept is refused here, all at once, and nothing is
// sent.
func TestBadDrafts(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	good := batch.Item{Reference: "a", Account: "001", Amount: batch.Money{Minor: 100, Currency: "ZAR"}}
	for name, c := range map[string]struct {
		change func(*batch.Draft)
		want   []string
	}{
		"no date": {func(d *batch.Draft) {
			d.Date = time.Time{}
		}, []string{"date: is required: the day when the debits run"}},
		"a day that has passed": {func(d *batch.Draft) {
			d.Date = time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
		}, []string{"date: is 2026-01-31, and today is " + string(snapbill.DateOf(time.Now().UTC())) +
			": SnapBill documents no effect of a day that has passed; ProviderConfig.PastDates allows it"}},
		"one client twice": {func(d *batch.Draft) {
			again := good
			again.Reference = "b"
			d.Items = append(d.Items, again)
		}, []string{`item 1 ("b"): account: is also that of item 0: a batch has one payment of each client`}},
		"repeated reference": {func(d *batch.Draft) {
			again := good
			again.Account = "002"
			d.Items = append(d.Items, again)
		}, []string{`item 1 ("a"): reference: is also that of item 0`}},
		"amounts and currency": {func(d *batch.Draft) { d.Items[0].Amount = batch.Money{Minor: 0, Currency: "USD"} },
			[]string{`item 0 ("a"): amount: must be more than zero`,
				`item 0 ("a"): currency: is "USD", and snapbill takes only ZAR here`}},
		"a batch that cannot be": {func(d *batch.Draft) { d.Extra = map[string]string{"batch_id": "../1"} },
			[]string{`batch_id: must be a number, or an xid such as "Clw:Xc"`}},
		"an unknown key": {func(d *batch.Draft) { d.Extra = map[string]string{"type": "NAEDO"} },
			[]string{`extra: snapbill does not know the key "type"`}},
	} {
		t.Run(name, func(t *testing.T) {
			d := batch.Draft{Reference: "run", Direction: batch.Collect, Date: time.Now(), Items: []batch.Item{good}}
			c.change(&d)
			_, err := p.Create(t.Context(), d)
			require.ErrorIs(t, err, batch.ErrInvalid)
			if diff := cmp.Diff(c.want, faultsOf(t, err)); diff != "" {
				t.Errorf("the faults are not as wanted (-want +got):\n%s", diff)
			}
		})
	}
	require.Zero(t, server.Log.Count(""), "nothing is sent")
	_, err := snapbill.NewProvider(newClient(t, server.Config()), snapbill.ProviderConfig{Currency: "JPY"})
	require.Equal(t,
		[]string{"PaymentMethod: is required", `Currency: is "JPY", and must be an ISO 4217 code with two decimals`},
		faultsOf(t, err))
}

// A day ends where the draft says that it is. A batch that waited for longer than
// its day is not submitted.
func TestADayThatHasPassed(t *testing.T) {
	server, late := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{PastDates: true})
	p := newProvider(t, server.Config(), snapbill.ProviderConfig{})
	west := time.FixedZone("west", -23*60*60)
	for name, c := range map[string]struct {
		day  time.Time
		past bool
	}{
		"today":                       {time.Now(), false},
		"today, where yesterday ends": {time.Now().In(west), false},
		"yesterday":                   {time.Now().AddDate(0, 0, -1), true},
		"yesterday there":             {time.Now().In(west).AddDate(0, 0, -1), true},
	} {
		server.Bill(name, snapbill.DateOf(c.day), 5000)
		d := batch.Draft{Reference: "run", Direction: batch.Collect, Date: c.day,
			Extra: map[string]string{"batch_id": fmt.Sprint(server.NewBatch(snapbill.DateOf(c.day)))}}
		b := create(t, late, d)
		_, created := p.Create(t.Context(), d)
		before := server.Log.Count("UpdateBatch")
		_, submitted := p.Submit(t.Context(), b)
		if !c.past {
			require.NoError(t, created, name)
			require.NoError(t, submitted, name)
			continue
		}
		require.ErrorIs(t, created, batch.ErrInvalid, name)
		require.ErrorIs(t, submitted, batch.ErrInvalid, name)
		require.Equal(t, before, server.Log.Count("UpdateBatch"), "nothing is sent")
		_, err := late.Submit(t.Context(), b)
		require.NoError(t, err, name)
	}
}

// The whole way, with a batch of the service's own choice.
func TestFromEndToEnd(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := dueDraft(server, 3)
	b := create(t, p, d)
	require.Equal(t, "ready", b.Native)
	require.Equal(t, "action_date="+string(snapbill.DateOf(d.Date))+"&payment_method_code=netcash",
		string(server.Log.Requests("AddBatch")[0].Body))
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.StatePending, b.State)
	require.Equal(t, "submit", b.Native)
	server.FinishAll()
	b, err = p.Poll(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, b.State)
	report, err := p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.OutcomePaid, report.Results[2].Outcome)
	require.Equal(t, "Debit order payment (Batch #001)", report.Results[0].Message)
}

// Without items a batch is whatever is due, and says what that is.
func TestWithoutItems(t *testing.T) {
	server, p := start(t, snapbilltest.Options{Autoplay: 1}, snapbill.ProviderConfig{})
	d := dueDraft(server, 2)
	want := d.Items
	d.Items = nil
	b := create(t, p, d)
	require.Equal(t, want, b.Draft.Items)
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), Watch: batch.WatchOptions{Interval: time.Millisecond}}
	due := batch.Draft{Reference: "run", Direction: batch.Collect, Date: d.Date,
		Extra: map[string]string{"batch_id": b.ID}}
	_, err := batch.Run(t.Context(), p, due, o)
	require.ErrorContains(t, err, "the batch needs 1 more approvals", "a person must see what was selected")
	desk := batch.NewDesk(p, o.Journal)
	found, err := desk.Dossier(t.Context(), "run")
	require.NoError(t, err)
	require.Equal(t, 2, found.Items)
	require.NoError(t, desk.Approve(t.Context(), "run", batch.Approval{Operator: "ada", Digest: found.Digest}))
	report, err := batch.Run(t.Context(), p, due, o)
	require.NoError(t, err)
	require.Equal(t, report.Results[0].Native.(snapbill.Payment).ID.String(), report.Results[0].ID)
	require.Len(t, report.Results, 2)
	require.Equal(t, map[string]int{want[0].Account: 1, want[1].Account: 1}, server.Accepted())

	d.Date = d.Date.AddDate(0, 0, -1)
	_, err = p.Create(t.Context(), d)
	require.ErrorContains(t, err, "no client has an invoice that is due")
}

// The items are a control list: what is not exactly so is refused, and lists
// what differs.
func TestTheControlList(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*snapbilltest.Server, *batch.Draft)
		want   []string // with 0 and 1 for the clients
	}{
		"a client is not on the batch": {func(_ *snapbilltest.Server, d *batch.Draft) {
			d.Items = append(d.Items, batch.Item{Reference: "x", Account: "x", Amount: d.Items[0].Amount})
		}, []string{`item 2 ("x"): payment: client "x" is not in the batch at the service`}},
		"another client is": {func(_ *snapbilltest.Server, d *batch.Draft) { d.Items = d.Items[:1] },
			[]string{`payment: the service has client "1" with 50.01 ZAR, who is not in the draft`}},
		"an amount is one cent off": {func(_ *snapbilltest.Server, d *batch.Draft) { d.Items[1].Amount.Minor++ },
			[]string{`item 1 ("1"): amount: is 50.01 ZAR at the service, and 50.02 ZAR here`}},
		"an older invoice was due too": {func(s *snapbilltest.Server, d *batch.Draft) {
			s.Bill(d.Items[0].Account, "2001-01-01", 1000)
		},
			[]string{`item 0 ("0"): amount: is 60.00 ZAR at the service, and 50.00 ZAR here`}},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
			d := dueDraft(server, 2)
			accounts := []string{d.Items[0].Account, d.Items[1].Account}
			c.change(server, &d)
			b, err := p.Create(t.Context(), d)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.NotEmpty(t, b.ID, "it is there, and a person has to look at it")
			var got []string
			for _, fault := range faultsOf(t, err) {
				for n, account := range accounts {
					fault = strings.ReplaceAll(fault, account, fmt.Sprint(n))
				}
				got = append(got, fault)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the differences are not as wanted (-want +got):\n%s", diff)
			}
			_, err = p.Create(t.Context(), d)
			require.ErrorIs(t, err, batch.ErrConflict, "a second batch is not made beside it")
			require.ErrorContains(t, err, "let Resolve adopt it")
			require.Equal(t, 1, server.Log.Count("AddBatch"))
		})
	}
	t.Run("the type of the batch", func(t *testing.T) {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{BatchType: "NAEDO"})
		_, err := p.Create(t.Context(), dueDraft(server, 1))
		require.Equal(t, []string{`type: is "two-day" at the service, and "NAEDO" here`}, faultsOf(t, err))
	})
	t.Run("a batch that begins empty", func(t *testing.T) {
		server, p := start(t, snapbilltest.Options{AddsEmpty: true}, snapbill.ProviderConfig{})
		d := dueDraft(server, 1)
		_, err := p.Create(t.Context(), d)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "is not in the batch at the service")
	})
}

func TestCreateWaitsUntilTheBatchIsBuilt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := snapbilltest.New(&snapbilltest.Options{InMemory: true, BuildReads: 5})
		defer server.Close()
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
		require.NoError(t, err)
		before := time.Now()
		_, err = p.Create(t.Context(), dueDraft(server, 2))
		require.NoError(t, err)
		require.Greater(t, time.Since(before), 5*time.Second)
		require.Equal(t, 6, server.Log.Count("GetBatch"))

		impatient, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash",
			BuildFor: 2 * time.Second})
		require.NoError(t, err)
		b, err := impatient.Create(t.Context(), dueDraft(server, 2))
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorContains(t, err, "still being built")
		require.NotEmpty(t, b.ID)
	})
}

// Row 103: a batch that another person has submitted is not reported as ours.
func TestRow103SubmittedByAnother(t *testing.T) {
	for name, c := range map[string]struct {
		o      snapbilltest.Options
		submit func(*snapbilltest.Server, batch.Batch)
	}{
		"in the web interface": {snapbilltest.Options{}, func(s *snapbilltest.Server, b batch.Batch) {
			s.Submit(number(t, b))
		}},
		"by the system": {snapbilltest.Options{SubmitsAlone: time.Hour}, func(s *snapbilltest.Server, _ batch.Batch) {
			s.Clock.Advance(2 * time.Hour)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, c.o, snapbill.ProviderConfig{})
			d := dueDraft(server, 2)
			b := create(t, p, d)
			c.submit(server, b)
			after, err := p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, "the batch is submit at the service")
			require.Equal(t, batch.StatePending, after.State, "it is not a draft any more")
			require.Equal(t, "submit", after.Native)
			require.Zero(t, server.Log.Count("UpdateBatch"), "nothing is sent")
		})
	}
}

// A submit that is refused because the batch is not ready any more proves nothing:
// the same request may have arrived before, or another person may have submitted
// the batch. Only a batch that is still a draft was not submitted.
func TestRefusedBecauseItIsSubmitted(t *testing.T) {
	down := func(s *snapbilltest.Server) {
		s.Inject(batchsim.Fault{Op: "GetBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(404, `{"code":404,"type":"error","message":"x"}`)})
	}
	for name, c := range map[string]struct {
		o      snapbilltest.Options
		act    func(*snapbilltest.Server, int64) // between the check and the call
		kind   batch.Kind
		native string
		text   string
	}{
		"it is submitted": {act: func(s *snapbilltest.Server, id int64) { s.Submit(id) },
			kind: batch.ErrAmbiguous, native: "submit"},
		"it is submitted, refused in the body": {o: snapbilltest.Options{RefusesInBody: true},
			act: func(s *snapbilltest.Server, id int64) { s.Submit(id) }, kind: batch.ErrAmbiguous, native: "submit"},
		"it is at the bank": {act: func(s *snapbilltest.Server, id int64) {
			s.Submit(id)
			s.Advance(id)
		}, kind: batch.ErrAmbiguous, native: "submitted"},
		"it has failed": {act: func(s *snapbilltest.Server, id int64) { s.Fail(id) },
			kind: batch.ErrAmbiguous, native: "error"},
		"a word that is not known": {act: func(s *snapbilltest.Server, id int64) {
			s.Submit(id)
			s.SayState("queued")
		}, kind: batch.ErrAmbiguous, native: "queued"},
		"it cannot be read": {act: func(s *snapbilltest.Server, id int64) { s.Submit(id); down(s) },
			kind: batch.ErrAmbiguous, native: "ready"},
		"it is refused for another reason": {act: func(s *snapbilltest.Server, _ int64) {
			s.Break(batchsim.Refused)
		}, kind: batch.ErrInvalid, native: "ready", text: "Batch is still being built"},
		"the service ignores a second submit": {o: snapbilltest.Options{Resubmit: snapbilltest.ResubmitIgnored},
			act: func(s *snapbilltest.Server, id int64) { s.Submit(id) }, native: "submit"},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, c.o, snapbill.ProviderConfig{})
			d := dueDraft(server, 2)
			b := create(t, p, d)
			server.Inject(batchsim.Fault{Op: "GetBatch", Nth: 2, Phase: batchsim.AfterApply, Act: batchsim.Lie,
				Alter: func(r batchsim.Reply) batchsim.Reply {
					c.act(server, number(t, b))
					return r
				}})
			after, err := p.Submit(t.Context(), b)
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			require.Equal(t, map[batch.Kind]batch.State{"": batch.StatePending, batch.ErrAmbiguous: batch.StateUnknown,
				batch.ErrInvalid: batch.StateDraft}[c.kind], after.State)
			require.Equal(t, c.native, after.Native)
			require.Equal(t, 1, server.Log.Count("UpdateBatch"))
			if c.kind == batch.ErrAmbiguous {
				require.ErrorContains(t, err, "this call was refused, but the batch may have been submitted")
			} else if err != nil {
				require.ErrorContains(t, err, c.text)
			}
		})
	}
	t.Run("a run finds it", func(t *testing.T) {
		server, p := start(t, snapbilltest.Options{Autoplay: 1}, snapbill.ProviderConfig{})
		d := dueDraft(server, 2)
		server.Inject(batchsim.Fault{Op: "GetBatch", Nth: 3, Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(r batchsim.Reply) batchsim.Reply {
				server.Submit(1500) // As a request does that a proxy delivers twice.
				return r
			}})
		report, err := batch.Run(t.Context(), p, d, &batch.RunOptions{Journal: batch.NewMemoryJournal(),
			Watch: batch.WatchOptions{Interval: time.Millisecond}})
		require.NoError(t, err)
		require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
		require.Equal(t, 1, server.Log.Count("UpdateBatch"))
		require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())
	})
}

// Run sends one submit, whatever the service, or anything before it, answers.
func TestNoReplyToASubmitInvitesAnother(t *testing.T) {
	words := func(code int) string {
		return fmt.Sprintf(`{"code":%d,"type":"error","status":"error","message":"No"}`, code)
	}
	for _, status := range []int{200, 301, 307, 400, 401, 403, 404, 405, 408, 409, 413, 422, 423, 425, 429, 500, 501,
		502, 503, 504, 505} {
		for _, body := range []string{words(status), words(401), words(503), `<html>`, ``} {
			bubble(t, snapbilltest.Options{Resubmit: snapbilltest.ResubmitQueued},
				func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
					p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
					require.NoError(t, err)
					require.True(t, p.Info().NoRepeat)
					require.Equal(t, batch.GuardNone, p.Info().Guard)
					server.Inject(batchsim.Fault{Op: "UpdateBatch", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
						Reply: batchsim.Reply{Status: status, Header: http.Header{"Content-Type": {"application/json"},
							"Retry-After": {"1"}}, Body: []byte(body)}})
					_, err = batch.Run(t.Context(), p, dueDraft(server, 1), nil)
					require.Error(t, err)
					require.Equal(t, 1, server.Log.Count("UpdateBatch"), "%d %s: %v", status, body, err)
				})
		}
	}
}

// Row 84: what has changed since the draft is never submitted.
func TestRow84ChangedBeforeTheSubmit(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	b := create(t, p, dueDraft(server, 2))
	server.AddToBatch(number(t, b), "stranger", 9900)
	_, err := p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, []string{`payment: the service has client "stranger" with 99.00 ZAR, who is not in the draft`},
		faultsOf(t, err))

	// It is being built again while the payments are compared.
	b = create(t, p, dueDraft(server, 2))
	server.Inject(batchsim.Fault{Op: "GetBatch", Nth: 2, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200,
			`{"code":200,"type":"item","class":"batch","batch":{"id":`+b.ID+`,"state":"build"}}`)})
	_, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, "the batch has changed while it was compared, and is build")
	require.Zero(t, server.Log.Count("UpdateBatch"))
	require.Empty(t, server.Accepted())
}

// A client who is added after the comparison is debited too, and shown.
func TestAClientIsAddedInTheLastMoment(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	b := create(t, p, dueDraft(server, 2))
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	server.FinishAll()
	body := func(n int64) string {
		return fmt.Sprintf(
			`{"code":200,"type":"list","class":"payment","page":1,"numpages":1,"list":[{"id":%d,"state":"paid","amount_cents":1,"client":{"number":"stranger"},"batch":{"id":%s}}]}`, n, b.ID)
	}
	server.Inject(batchsim.Fault{Op: "ListPayments", Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, body(1))})
	report, err := p.Report(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Len(t, report.Unmatched, 1)
	require.Equal(t, "stranger", report.Unmatched[0].Item.Account)
}

// Only the read-back decides whether a submit has worked.
func TestWhichCallSubmits(t *testing.T) {
	for name, c := range map[string]struct {
		o     snapbilltest.Options
		c     snapbill.ProviderConfig
		want  batch.Kind
		moved int
	}{
		"update is honoured": {snapbilltest.Options{Honours: snapbilltest.HonoursUpdate},
			snapbill.ProviderConfig{}, "", 1},
		"set_state is honoured": {snapbilltest.Options{Honours: snapbilltest.HonoursSetState},
			snapbill.ProviderConfig{SetState: true}, "", 1},
		"update is ignored, and says so": {snapbilltest.Options{Honours: snapbilltest.HonoursSetState},
			snapbill.ProviderConfig{}, batch.ErrAmbiguous, 0},
		"update is ignored, and answers without object": {snapbilltest.Options{Honours: snapbilltest.HonoursSetState,
			WithoutObject: true}, snapbill.ProviderConfig{}, batch.ErrAmbiguous, 0},
		"set_state is ignored": {snapbilltest.Options{Honours: snapbilltest.HonoursUpdate},
			snapbill.ProviderConfig{SetState: true}, batch.ErrAmbiguous, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, c.o, c.c)
			d := dueDraft(server, 1)
			b, err := p.Submit(t.Context(), create(t, p, d))
			require.Equal(t, c.want, batch.KindOf(err))
			require.Equal(t, c.moved, server.Accepted()[d.Items[0].Account])
			require.Equal(t, 1, server.Log.Count("UpdateBatch")+server.Log.Count("SetBatchState"),
				"one call, and never the other after it")
			if c.want == batch.ErrAmbiguous {
				require.Equal(t, batch.StateUnknown, b.State)
				require.ErrorContains(t, err, "ProviderConfig.SetState")
			}
		})
	}
}

// A word that is not known, in the reply and in the read-back, does not mean
// that nothing was submitted.
func TestASubmitThatEndsInAnotherWord(t *testing.T) {
	for _, word := range []string{"queued", "submitting", "build", "error", "dead"} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		d := dueDraft(server, 1)
		b := create(t, p, d)
		server.Inject(batchsim.Fault{Op: "UpdateBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(r batchsim.Reply) batchsim.Reply {
				server.SayState(word)
				r.Body = bytes.Replace(r.Body, []byte(`"submit"`), []byte(`"`+word+`"`), 1)
				return r
			}})
		b, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAmbiguous, word)
		require.Equal(t, batch.StateUnknown, b.State)
		require.Equal(t, map[string]int{d.Items[0].Account: 1}, server.Accepted())
	}
}

// What a cancel may still do is not denied.
func TestACancelInDoubt(t *testing.T) {
	for name, f := range map[string]batchsim.Fault{
		"it is late": {Op: "UpdateBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Late,
			Delay: time.Minute},
		"reads are down": {Op: "GetBatch", Nth: 2, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.Reply{Status: 404}},
		"only its reply is": {Op: "UpdateBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset},
	} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		b := create(t, p, dueDraft(server, 1))
		server.Inject(f)
		cancelled, err := p.Cancel(t.Context(), b)
		if name == "it is late" {
			require.ErrorIs(t, err, batch.ErrAmbiguous, name)
			server.Clock.Advance(time.Hour)
		} else {
			require.NoError(t, err, name)
			require.Equal(t, batch.StateCanceled, cancelled.State)
		}
		b, err = p.Poll(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, batch.StateCanceled, b.State)
	}
}

// A cancel in doubt of a batch that was submitted meanwhile was not cancelled.
func TestACancelThatComesTooLate(t *testing.T) {
	for _, word := range []string{"submit", "submitted", "ok"} {
		server, p := start(t, snapbilltest.Options{KeepsBatches: true}, snapbill.ProviderConfig{})
		b := create(t, p, dueDraft(server, 1))
		server.Inject(batchsim.Fault{Op: "UpdateBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(batchsim.Reply) batchsim.Reply {
				server.SayState(word)
				return batchsim.JSON(200, `{"garbled`)
			}})
		after, err := p.Cancel(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrConflict, word)
		require.ErrorContains(t, err, "the batch is "+word+" at the service, and was not cancelled")
		require.Equal(t, batch.StatePending, after.State)
		require.Equal(t, word, after.Native)
	}
}

// What the service does not say is not what was asked for.
func TestTheSealFailsClosed(t *testing.T) {
	for field, want := range map[string]string{
		`"payment_method":{`: `payment method: is "" at the service`,
		`"currency":{`:       `currency: is "" at the service`,
		`"action_date":`:     `date: is "" at the service`,
	} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		b := create(t, p, dueDraft(server, 1))
		server.Inject(batchsim.Fault{Op: "GetBatch", Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: func(r batchsim.Reply) batchsim.Reply {
				r.Body = bytes.Replace(r.Body, []byte(field), []byte(`"not_`+field[1:]), 1)
				return r
			}})
		_, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrConflict, field)
		require.ErrorContains(t, err, want)
		require.Empty(t, server.Accepted())
	}
}

// What differs in one thing alone is not submitted: in the first read, in the
// second, or in the list between them.
func TestTheSealComparesEverything(t *testing.T) {
	type object = map[string]any
	of := func(field string, change func(object)) func(object) {
		return func(body object) { change(body[field].(object)) }
	}
	row := func(change func(object)) func(object) {
		return func(body object) { change(body["list"].([]any)[0].(object)) }
	}
	inBatch := func(change func(object)) func(object) { return of("batch", change) }
	fewer := inBatch(of("amounts_cents", func(cents object) { cents["total"] = 10000 }))
	agreeing := inBatch(of("amounts", func(amounts object) { amounts["total"] = "100.00" }))
	cents := func(body object) { fewer(body); agreeing(body) }
	const changed = "the batch has changed while it was compared, and is "
	for name, c := range map[string]struct {
		op     string
		nth    int // 0: every read
		change func(object)
		kind   batch.Kind
		want   string
	}{
		"nothing": {"GetBatch", 0, func(object) {}, "", ""},
		"the date": {"GetBatch", 0, inBatch(func(b object) { b["action_date"] = "2001-01-01" }),
			batch.ErrConflict, `date: is "2001-01-01" at the service`},
		"the payment method": {"GetBatch", 0,
			inBatch(of("payment_method", func(m object) { m["code"] = "other" })), batch.ErrConflict,
			`payment method: is "other" at the service, and "netcash" here`},
		"the currency": {"GetBatch", 0, inBatch(of("currency", func(c object) { c["code"] = "USD" })),
			batch.ErrConflict, `currency: is "USD" at the service, and "ZAR" here`},
		"the number of payments": {"GetBatch", 0, inBatch(of("totals", func(n object) { n["total"] = 3 })),
			batch.ErrProtocol, "has 3 payments of 10001 cents, and the list 2 of 10001"},
		"their sum": {"GetBatch", 0, cents, batch.ErrProtocol,
			"has 2 payments of 10000 cents, and the list 2 of 10001"},
		"no number of payments": {"GetBatch", 0, inBatch(func(b object) { delete(b, "totals") }),
			batch.ErrProtocol, "the batch has no totals"},
		"no sum": {"GetBatch", 0, inBatch(func(b object) { delete(b, "amounts_cents") }),
			batch.ErrProtocol, "the batch has no totals"},
		"a payment is of no client": {"ListPayments", 0, row(func(p object) { delete(p, "client") }),
			batch.ErrProtocol, "has no client with a number"},
		"a client has no number": {"ListPayments", 0, row(of("client", func(c object) { c["number"] = "" })),
			batch.ErrProtocol, "has no client with a number"},
		"a payment is not pending": {"ListPayments", 0, row(func(p object) { p["state"] = "paid" }),
			batch.ErrConflict, `state: is "paid" at the service before it was submitted`},
		"a payment's own currency": {"ListPayments", 0, row(of("currency", func(c object) { c["code"] = "USD" })),
			batch.ErrConflict, "amount: is 50.00 USD at the service, and 50.00 ZAR here"},
		"the state, meanwhile": {"GetBatch", 2, inBatch(func(b object) { b["state"] = "build" }),
			batch.ErrConflict, changed + "build"},
		"the number, meanwhile": {"GetBatch", 2, inBatch(of("totals", func(n object) { n["total"] = 3 })),
			batch.ErrConflict, changed + "ready"},
		"no number, meanwhile": {"GetBatch", 2, inBatch(func(b object) { delete(b, "totals") }),
			batch.ErrConflict, changed + "ready"},
		"the sum, meanwhile": {"GetBatch", 2, cents, batch.ErrConflict, changed + "ready"},
		"no sum, meanwhile": {"GetBatch", 2, inBatch(func(b object) { delete(b, "amounts_cents") }),
			batch.ErrConflict, changed + "ready"},
		"the date, meanwhile": {"GetBatch", 2, inBatch(func(b object) { b["action_date"] = "2001-01-01" }),
			batch.ErrConflict, `date: is "2001-01-01" at the service`},
		"the payment method, meanwhile": {"GetBatch", 2,
			inBatch(of("payment_method", func(m object) { m["code"] = "other" })), batch.ErrConflict,
			`payment method: is "other"`},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
			d := dueDraft(server, 2)
			b := create(t, p, d)
			alter(server, c.op, c.nth, c.change)
			after, err := p.Submit(t.Context(), b)
			if c.kind == "" {
				require.NoError(t, err)
				require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())
				return
			}
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, batch.StateDraft, after.State)
			require.Zero(t, server.Log.Count("UpdateBatch"), "nothing is sent")
			require.Empty(t, server.Accepted())
		})
	}
	t.Run("a client is there twice", func(t *testing.T) {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		d := dueDraft(server, 2)
		b := create(t, p, d)
		server.AddToBatch(number(t, b), d.Items[1].Account, d.Items[1].Amount.Minor)
		_, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.Equal(t, []string{fmt.Sprintf("payment: the service has client %q more than once", d.Items[1].Account)},
			faultsOf(t, err))
		require.Empty(t, server.Accepted())
	})
	t.Run("the draft itself", func(t *testing.T) {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		b := create(t, p, dueDraft(server, 2))
		b.Draft.Items[1].Account = b.Draft.Items[0].Account
		before := server.Log.Count("")
		_, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.Equal(t, []string{`item 1 ("` + b.Draft.Items[1].Reference +
			`"): account: is also that of item 0: a batch has one payment of each client`}, faultsOf(t, err))
		require.Equal(t, before, server.Log.Count(""), "nothing is sent")
	})
}

// alter makes the nth reply of op from now, or every one for 0, say something
// else than what has happened.
func alter(server *snapbilltest.Server, op string, nth int, change func(body map[string]any)) {
	server.Inject(batchsim.Fault{Op: op, Nth: nth, Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			var body map[string]any
			if json.Unmarshal(r.Body, &body) == nil {
				change(body)
			}
			r.Body, _ = json.Marshal(body)
			return r
		}})
}

// A batch of the same date is in the way if it could be ours: of the same
// method, ready or still being built.
func TestWhatIsInTheWayOfABatch(t *testing.T) {
	for name, c := range map[string]struct {
		o      snapbilltest.Options
		method string
		days   int
		want   string
	}{
		"one that is ready":        {snapbilltest.Options{}, "netcash", 0, "is ready already"},
		"one that is being built":  {snapbilltest.Options{BuildReads: 1}, "netcash", 0, "is build already"},
		"not of another method":    {snapbilltest.Options{}, "other", 0, ""},
		"not one of the day after": {snapbilltest.Options{AddsEmpty: true}, "netcash", 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.o, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
				p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
				require.NoError(t, err)
				d := dueDraft(server, 1)
				_, err = client.AddBatch(t.Context(), snapbill.AddBatch{PaymentMethodCode: c.method,
					ActionDate: snapbill.DateOf(d.Date.AddDate(0, 0, c.days))})
				require.NoError(t, err)
				_, err = p.Create(t.Context(), d)
				if c.want == "" {
					require.Equal(t, 2, server.Log.Count("AddBatch"))
					return
				}
				require.ErrorIs(t, err, batch.ErrConflict)
				require.ErrorContains(t, err, c.want)
				require.Equal(t, 1, server.Log.Count("AddBatch"), "a second one is not made beside it")
			})
		})
	}
}

// A row that cannot be read could be a batch that an earlier Create has made.
func TestARowThatCannotBeReadIsInTheWay(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := dueDraft(server, 1)
	for _, row := range []string{`{"id":1500}`, `{"state":"ready"}`, `null`, `"1500"`,
		`{"id":1500,"xid":"Clw:Xd","state":"ready"}`} {
		always(server, "ListBatches", `{"code":200,"type":"list","class":"batch","page":1,"numpages":1,"list":[`+row+
			`]}`)
		b, err := p.Create(t.Context(), d)
		require.ErrorIs(t, err, batch.ErrProtocol, row)
		require.Empty(t, b.ID)
	}
	require.Zero(t, server.Log.Count("AddBatch"))
}

// A stranger's payment does not take the place of an item whose reference is
// the stranger's number.
func TestAStrangerOfTheSameName(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := dueDraft(server, 1)
	d.Items[0].Reference = "stranger"
	b, err := p.Submit(t.Context(), create(t, p, d))
	require.NoError(t, err)
	row := func(id int, number, state string) string {
		return fmt.Sprintf(
			`{"id":%d,"state":%q,"amount_cents":5000,"client":{"id":%d,"number":%q},"batch":{"id":%s,"state":"ok"}}`,
			id, state, id, number, b.ID)
	}
	always(server, "ListPayments", `{"code":200,"type":"list","class":"payment","page":1,"numpages":1,"list":[`+
		row(1, "stranger", "paid")+`,`+row(2, d.Items[0].Account, "bounce")+`]}`)
	report, err := p.Report(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, batch.OutcomeReturned, report.Results[0].Outcome)
	require.Len(t, report.Unmatched, 1)
	require.Equal(t, "stranger", report.Unmatched[0].Item.Account)
}

// A payment that is pending in a batch that is over is not decided by a guess.
func TestPendingInABatchThatIsOver(t *testing.T) {
	for _, final := range []batch.State{batch.StateDone, batch.StateFailed} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		b, err := p.Submit(t.Context(), create(t, p, dueDraft(server, 1)))
		require.NoError(t, err)
		b.State = final
		report, err := p.Report(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, "is pending in a batch that is over")
		require.Equal(t, batch.OutcomeUnknown, report.Results[0].Outcome)
	}
}

// A payment that was collected contradicts a batch that is dead.
func TestAPaidPaymentInADeadBatchIsSaid(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	b := create(t, p, dueDraft(server, 1))
	b, err := p.Cancel(t.Context(), b)
	require.NoError(t, err)
	for state, says := range map[string]string{
		"dead":   "",
		"paid":   `state: is "paid" at the service, but the batch is dead, and was never to be debited`,
		"bounce": `state: is "bounce" at the service, but the batch is dead, and was never to be debited`,
	} {
		always(server, "ListPayments",
			fmt.Sprintf(`{"code":200,"type":"list","class":"payment","page":1,"numpages":1,"list":[`+
				`{"id":1,"state":%q,"amount_cents":%d,"client":{"id":1,"number":%q},"batch":{"id":%s,"state":"dead"}}]}`,
				state, b.Draft.Items[0].Amount.Minor, b.Draft.Items[0].Account, b.ID))
		_, err := p.Report(t.Context(), b)
		if says == "" {
			require.NotContains(t, fmt.Sprint(err), "is dead")
			continue
		}
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, says)
	}
}

// A batch that Create has made and found wanting can be given up.
func TestAbandonWhatCreateHasLeft(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := dueDraft(server, 2)
	d.Items[0].Amount.Minor++
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	_, err := batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrConflict)
	abandoned, err := batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
		batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "a wrong amount"})
	require.NoError(t, err)
	require.Equal(t, batch.StateCanceled, abandoned.State, "it is deleted at the service")

	d = dueDraft(server, 1)
	server.Inject(batchsim.Fault{Op: "AddBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Reset})
	_, err = batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	_, err = batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
		batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "there is none in the web interface"})
	require.ErrorIs(t, err, batch.ErrUnsupported,
		"the decision is recorded, and a draft that cannot be looked up may be left")
}

// A draft that Create has left is not forgotten by another Run: it is deleted first.
// Where the service keeps it, Run and Abandon say so.
func TestADraftOfOurOwnIsNotForgotten(t *testing.T) {
	abandon := batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "a wrong amount"}
	server, p := start(t, snapbilltest.Options{Autoplay: 1}, snapbill.ProviderConfig{})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), Watch: batch.WatchOptions{Interval: time.Millisecond}}
	d := dueDraft(server, 2)
	d.Items[1].Amount.Minor += 700
	_, err := batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrConflict)
	server.Bill(d.Items[1].Account, snapbill.DateOf(d.Date), 700) // What was missing.
	report, err := batch.Run(t.Context(), p, d, o)
	require.NoError(t, err)
	require.Equal(t, "1501", report.Batch.ID)
	require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())
	states := make(map[string]string)
	for _, id := range []string{"1500", "1501"} {
		b, err := newClient(t, server.Config()).GetBatch(t.Context(), id)
		require.NoError(t, err)
		states[id] = string(b.State)
	}
	require.Equal(t, map[string]string{"1500": "dead", "1501": "ok"}, states)

	server, p = start(t, snapbilltest.Options{KeepsBatches: true}, snapbill.ProviderConfig{})
	o.Journal = batch.NewMemoryJournal()
	d = dueDraft(server, 1)
	d.Items[0].Amount.Minor++
	_, err = batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrConflict)
	_, err = batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrUnsupported)
	require.ErrorContains(t, err, "an earlier call has left a draft: the draft 1500 was not canceled")
	_, err = batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference, abandon)
	require.ErrorContains(t, err, "the draft 1500 was not canceled")
	require.Equal(t, 1, server.Log.Count("AddBatch"))
}

// A batch that a colleague has made is not deleted because it is not what the
// items say: neither by another Run, nor by Abandon.
func TestABatchOfAColleagueIsLeftAlone(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	d := newDraft(server)(2)
	d.Items[0].Amount.Minor++
	for range 2 {
		_, err := batch.Run(t.Context(), p, d, o)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err, "the batch at the service is not the draft")
	}
	_, err := batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
		batch.Decision{Verdict: batch.Abandon, Operator: "ada", Reason: "a wrong amount"})
	require.NoError(t, err)
	require.Zero(t, server.Log.Count("UpdateBatch"))
	b, err := newClient(t, server.Config()).GetBatch(t.Context(), d.Extra["batch_id"])
	require.NoError(t, err)
	require.Equal(t, snapbill.BatchReady, b.State)
}

// Two references that name one batch: the journal gives it to one of them.
func TestTwoReferencesOfOneBatch(t *testing.T) {
	server, p := start(t, snapbilltest.Options{Autoplay: 1, Resubmit: snapbilltest.ResubmitQueued},
		snapbill.ProviderConfig{})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), Watch: batch.WatchOptions{Interval: time.Millisecond}}
	d := newDraft(server)(2)
	other := d.Clone()
	other.Reference, other.Extra["batch_id"] = "another", string(snapbill.NewXID(10608, 1500))
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for n, d := range []batch.Draft{d, other} {
		wg.Go(func() { _, errs[n] = batch.Run(t.Context(), p, d, o) })
	}
	wg.Wait()
	require.Equal(t, 1, server.Log.Count("UpdateBatch"))
	require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], batch.ErrConflict)
}

// A batch that the service has made outlives the draft that named it: a corrected
// draft takes it, under the same reference or under another.
func TestACorrectionLeavesTheBatchOfTheService(t *testing.T) {
	for _, reference := range []string{"same", "another"} {
		t.Run(reference, func(t *testing.T) {
			server, p := start(t, snapbilltest.Options{Autoplay: 1}, snapbill.ProviderConfig{})
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal(),
				Watch: batch.WatchOptions{Interval: time.Millisecond}}
			d := newDraft(server)(2)
			d.Reference, d.Author, d.Approvals = "same", "ada", 1
			_, err := batch.Run(t.Context(), p, d, o)
			require.ErrorIs(t, err, batch.ErrConflict, "it waits for an approval")

			right := d.Clone()
			right.Reference, right.Replaces, right.Approvals = reference, d.Reference, 0
			report, err := batch.Run(t.Context(), p, right, o)
			require.NoError(t, err)
			require.Equal(t, d.Extra["batch_id"], report.Batch.ID)
			require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())
			require.Equal(t, 1, server.Log.Count("UpdateBatch"))
		})
	}
}

// A wrong login fails where nothing is sent, in whichever words.
func TestAWrongLogin(t *testing.T) {
	for _, bare := range []bool{false, true} {
		server, p := start(t, snapbilltest.Options{BareUnauthorized: bare}, snapbill.ProviderConfig{})
		b := create(t, p, dueDraft(server, 1))
		server.Login("demo", "changed meanwhile")
		after, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAuth)
		require.Equal(t, batch.StateDraft, after.State)
		require.Zero(t, server.Log.Count("UpdateBatch"))
	}
}

// Row 82: ok is not the end.
func TestRow82OKWithPendingPayments(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := dueDraft(server, 3)
	b := create(t, p, d)
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	states := []string{}
	for range 6 {
		server.Advance(number(t, b))
		b, err = p.Poll(t.Context(), b)
		require.NoError(t, err)
		states = append(states, b.Native+" "+string(b.State))
	}
	require.Equal(t, []string{"submitted pending", "ok pending", "ok pending", "ok pending", "ok done", "ok done"},
		states)
	report, err := p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 3, report.Totals[batch.OutcomePaid].Count)
	server.Bounce(d.Items[1].Account)
	report, err = p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.OutcomeReturned, report.Results[1].Outcome, "later bounces change a later report")
	require.Equal(t, batch.StateDone, report.Batch.State)
}

// The end of a batch in state ok: no payment is pending. Where the totals do not
// say how many are, the payments do.
func TestTheEndOfABatch(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
		require.NoError(t, err)
		b := batch.Batch{Provider: "snapbill", ID: "5", State: batch.StatePending,
			Draft: batch.Draft{Direction: batch.Collect}}
		row := func(id int, state string) string {
			return fmt.Sprintf(
				`{"id":%d,"state":%q,"amount_cents":1,"currency":{"code":"ZAR"},"client":{"number":"%d"},"batch":{"id":5}}`, id, state, id)
		}
		settled, waiting := row(1, "paid")+","+row(2, "queued"), row(1, "paid")+","+row(2, "pending")
		for _, c := range []struct {
			totals, rows string
			want         batch.State
			kind         batch.Kind
		}{
			{`{"total":3,"paid":3,"pending":0}`, waiting, batch.StateDone, ""}, // The report says that they contradict.
			{`{"total":3,"paid":2,"pending":"1"}`, settled, batch.StatePending, ""},
			// One is in a state that the totals do not count.
			{`{"total":3,"paid":2,"pending":0,"bounce":0,"refuted":0}`, waiting, batch.StateDone, ""},
			{`{"total":3,"paid":"2","pending":0,"bounce":null,"refuted":{}}`, waiting, batch.StateDone, ""},
			{`null`, waiting, batch.StatePending, ""},
			{`null`, settled, batch.StateDone, ""},
			{`{"total":3,"paid":3}`, waiting, batch.StatePending, ""},
			{`{"total":3,"paid":3,"pending":null}`, settled, batch.StateDone, ""},
			{`{"total":0,"pending":0}`, settled, batch.StateDone, ""},
			{`{"total":3,"pending":-1}`, settled, batch.StateDone, ""},
			{`{}`, settled + `,{"id":3}`, batch.StateDone, ""}, // A row that is never readable does not last for ever.
			{`{}`, `{"id":3}`, batch.StatePending, batch.ErrProtocol},
			{`{}`, ``, batch.StatePending, batch.ErrProtocol},
		} {
			server.Heal()
			for op, body := range map[string]string{
				"GetBatch": `{"code":200,"type":"item","class":"batch","batch":{"id":5,"state":"ok","totals":` +
					c.totals + `}}`,
				"ListPayments": `{"code":200,"type":"list","class":"payment","page":1,"numpages":1,"list":[` + c.rows +
					`]}`,
			} {
				server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
					Reply: batchsim.JSON(200, body)})
			}
			got, err := p.Poll(t.Context(), b)
			require.Equal(t, c.kind, batch.KindOf(err), "%s: %v", c.totals, err)
			require.Equal(t, c.want, got.State, c.totals)
			require.Equal(t, "ok", got.Native)
		}
	})
}

// What was submitted is not ready again, and not deleted, because one reply
// says so, or two.
func TestAStaleRead(t *testing.T) {
	server, p := start(t, snapbilltest.Options{Resubmit: snapbilltest.ResubmitQueued}, snapbill.ProviderConfig{})
	d := dueDraft(server, 1)
	b, err := p.Submit(t.Context(), create(t, p, d))
	require.NoError(t, err)
	for _, word := range []string{"ready", "build", "dead"} {
		server.SayState(word)
		for range 2 {
			b, err = p.Poll(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrProtocol)
			require.Equal(t, batch.StatePending, b.State)
		}
		_, err = p.PollAll(t.Context(), []batch.Batch{b, b})
		require.ErrorIs(t, err, batch.ErrProtocol)
		_, err = p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrConflict)
	}
	require.Equal(t, map[string]int{d.Items[0].Account: 1}, server.Accepted())
}

func TestAFailedBatch(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	b := create(t, p, dueDraft(server, 2))
	b, err := p.Submit(t.Context(), b)
	require.NoError(t, err)
	server.Fail(number(t, b))
	b, err = p.Poll(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, batch.StateFailed, b.State)
	report, err := p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 2, report.Totals[batch.OutcomeFailed].Count)
}

func TestBouncesAndRefutes(t *testing.T) {
	o := snapbilltest.Options{Autoplay: 1}
	server := snapbilltest.New(&o)
	d := dueDraft(server, 3)
	server.Close()
	o.Bounces, o.Refutes = []string{d.Items[0].Account}, []string{d.Items[1].Account}
	server, p := start(t, o, snapbill.ProviderConfig{})
	for _, item := range d.Items {
		server.Bill(item.Account, snapbill.DateOf(d.Date), item.Amount.Minor)
	}
	report, err := batch.Run(t.Context(), p, d,
		&batch.RunOptions{Watch: batch.WatchOptions{Interval: time.Millisecond}})
	require.NoError(t, err)
	require.Equal(t, []batch.Outcome{batch.OutcomeReturned, batch.OutcomeReturned, batch.OutcomePaid},
		[]batch.Outcome{report.Results[0].Outcome, report.Results[1].Outcome, report.Results[2].Outcome})
	require.Equal(t, "refuted", report.Results[1].Code)
}

func TestCancel(t *testing.T) {
	for _, bySetState := range []bool{false, true} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{SetState: bySetState})
		b, err := p.Cancel(t.Context(), create(t, p, dueDraft(server, 1)))
		require.NoError(t, err)
		require.Equal(t, batch.StateCanceled, b.State)
		report, err := p.Report(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeSkipped, report.Results[0].Outcome)

		// Its reply is lost, and a read says what it has done.
		b = create(t, p, dueDraft(server, 1))
		server.Inject(batchsim.Fault{Op: map[bool]string{false: "UpdateBatch", true: "SetBatchState"}[bySetState],
			Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
		b, err = p.Cancel(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, batch.StateCanceled, b.State)

		b, err = p.Submit(t.Context(), create(t, p, dueDraft(server, 1)))
		require.NoError(t, err)
		before := server.Log.Count("UpdateBatch") + server.Log.Count("SetBatchState")
		_, err = p.Cancel(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.Equal(t, before, server.Log.Count("UpdateBatch")+server.Log.Count("SetBatchState"),
			"what is submitted is left alone")
	}
	server, p := start(t, snapbilltest.Options{KeepsBatches: true}, snapbill.ProviderConfig{})
	_, err := p.Cancel(t.Context(), create(t, p, dueDraft(server, 1)))
	require.ErrorIs(t, err, batch.ErrUnsupported, "a batch that is still ready was not cancelled")
}

func TestPollAll(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	var bs []batch.Batch
	for range 5 {
		b, err := p.Submit(t.Context(), create(t, p, dueDraft(server, 1)))
		require.NoError(t, err)
		bs = append(bs, b)
	}
	before := server.Log.Count("")
	polled, err := p.PollAll(t.Context(), bs)
	require.NoError(t, err)
	require.Len(t, polled, 5)
	require.Equal(t, 1, server.Log.Count("")-before)
	server.FinishAll()
	polled, err = p.PollAll(t.Context(), bs)
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, polled[4].State)
	days := make(map[string]string)
	for b, err := range p.List(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, b.State)
		days[b.ID] = b.Draft.Date.Format(time.DateOnly)
	}
	require.Len(t, days, 5)
	for _, b := range bs {
		require.Equal(t, b.Draft.Date.Format(time.DateOnly), days[b.ID])
	}
}

// What the bank has answered is in a second list.
func TestPollAllReadsAnsweredBatchesInOneList(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	var bs []batch.Batch
	for n := range 80 {
		b, err := p.Submit(t.Context(), create(t, p, dueDraft(server, 1)))
		require.NoError(t, err)
		if bs = append(bs, b); n == 39 {
			server.FinishAll()
		}
	}
	before := server.Log.Count("")
	polled, err := p.PollAll(t.Context(), bs)
	require.NoError(t, err)
	require.LessOrEqual(t, server.Log.Count("")-before, 40/20+1)
	for n, b := range polled {
		want := batch.StatePending
		if n < 40 {
			want = batch.StateDone
		}
		require.Equal(t, want, b.State)
	}
	before = server.Log.Count("ListBatches")
	_, err = p.PollAll(t.Context(), bs[:4])
	require.NoError(t, err)
	require.Equal(t, 1, server.Log.Count("ListBatches")-before, "a few are polled one by one")
}

// The totals of a poll say how many payments have an outcome, once the bank's
// reports arrive.
func TestPollCountsOutcomes(t *testing.T) {
	server, p := start(t, snapbilltest.Options{Autoplay: 1}, snapbill.ProviderConfig{})
	b, err := p.Submit(t.Context(), create(t, p, dueDraft(server, 3)))
	require.NoError(t, err)
	var counts []batch.Counts
	for b, err = range batch.Watch(t.Context(), p, b, &batch.WatchOptions{Interval: time.Millisecond}) {
		require.NoError(t, err)
		counts = append(counts, b.Counts)
	}
	require.Equal(t, batch.StateDone, b.State)
	require.Equal(t, []batch.Counts{{Final: 0, Items: 3}, {Final: 1, Items: 3}, {Final: 2, Items: 3},
		{Final: 3, Items: 3}}, slices.Compact(counts))
}

// A batch without an id is not the one that is listed without an xid.
func TestPollAllOfABatchWithoutAnID(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	always(server, "ListBatches",
		`{"code":200,"type":"list","class":"batch","page":1,"numpages":1,"list":[{"id":1500,"state":"submit","action_date":"2030-01-01"}]}`)
	unmade := batch.Batch{Provider: "snapbill", State: batch.StateUnknown, Draft: batch.Draft{Direction: batch.Collect}}
	polled, err := p.PollAll(t.Context(), []batch.Batch{unmade, unmade})
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Equal(t, batch.StateUnknown, polled[0].State)
}

// Run never sends a second submit: nothing says that the service refuses it.
func TestRunSubmitsOnce(t *testing.T) {
	bubble(t, snapbilltest.Options{Resubmit: snapbilltest.ResubmitQueued},
		func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
			p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
			require.NoError(t, err)
			d := dueDraft(server, 2)
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
			server.Break(batchsim.LateAfter)
			_, err = batch.Run(t.Context(), p, d, o)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.Equal(t, 1, server.Log.Count("UpdateBatch"))
			server.Clock.Advance(2 * time.Hour) // It lands after all.
			server.FinishAll()
			report, err := batch.Resume(t.Context(), p, d.Reference, o)
			require.NoError(t, err)
			require.Equal(t, batch.StateDone, report.Batch.State)
			require.Equal(t, 1, server.Log.Count("UpdateBatch"))
			require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())
		})
}

// Row 101: where a person lets it be sent again, and the first has landed, the
// refusal of the second is not the answer.
func TestRow101TheSecondIsRefusedBecauseTheFirstHasLanded(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		p, err := snapbill.NewProvider(client, snapbill.ProviderConfig{PaymentMethod: "netcash"})
		require.NoError(t, err)
		d := dueDraft(server, 1)
		o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		server.Break(batchsim.LateAfter)
		_, err = batch.Run(t.Context(), p, d, o)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		_, err = batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
			batch.Decision{Verdict: batch.Resend, Operator: "ada", Reason: "still ready after an hour"})
		require.NoError(t, err)
		server.Clock.Advance(2 * time.Hour) // It lands after all.
		server.FinishAll()
		report, err := batch.Resume(t.Context(), p, d.Reference, o)
		require.NoError(t, err, "the refusal is not the answer")
		require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
		require.Equal(t, map[string]int{d.Items[0].Account: 1}, server.Accepted())
	})
}

// A make of a batch whose reply is lost is not repeated.
func TestACreateThatIsUnclear(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := dueDraft(server, 1)
	server.Inject(batchsim.Fault{Op: "AddBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Reset})
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), Watch: batch.WatchOptions{Interval: time.Millisecond}}
	_, err := batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	_, err = batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrConflict, "there is one that may be ours: a person decides")
	require.Equal(t, 1, server.Log.Count("AddBatch"))
	_, err = batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
		batch.Decision{Verdict: batch.Adopt, BatchID: "1500", Operator: "ada", Reason: "seen in the web interface"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Observe = func(e batch.Event) {
		if e.Phase == batch.PhaseSubmit {
			server.FinishAll()
		}
	}
	_, err = batch.Resume(ctx, p, d.Reference, o)
	require.NoError(t, err)
	require.Equal(t, map[string]int{d.Items[0].Account: 1}, server.Accepted())
}

// wire makes the service answer about a batch and its payments what a test says.
type wire struct {
	batch    map[string]any
	payments []map[string]any
}

func newWire(d batch.Draft, state string) *wire {
	w := &wire{batch: map[string]any{"id": 1500, "xid": "Clw:Xc", "state": state,
		"action_date": snapbill.DateOf(d.Date), "payment_method": map[string]any{"code": "netcash"},
		"currency": map[string]any{"code": "ZAR"}, "account": map[string]any{"id": 10608}}}
	for n, item := range d.Items {
		w.payments = append(w.payments, payment(n, item.Account, item.Amount.Minor, "paid"))
	}
	w.sum()
	return w
}

func payment(n int, number string, cents int64, state string) map[string]any {
	return map[string]any{"id": 932850 + n, "state": state, "amount_cents": cents,
		"client": map[string]any{"id": 158958 + n, "number": number},
		"batch":  map[string]any{"id": 1500}, "currency": map[string]any{"code": "ZAR"}}
}

// sum fills the totals from the payments.
func (w *wire) sum() {
	counts, cents := map[string]any{"total": len(w.payments), "pending": 0, "paid": 0},
		map[string]any{"total": int64(0), "pending": int64(0), "paid": int64(0)}
	for _, p := range w.payments {
		if state, ok := p["state"].(string); ok && counts[state] != nil {
			counts[state] = counts[state].(int) + 1
			cents[state] = cents[state].(int64) + p["amount_cents"].(int64)
		}
		cents["total"] = cents["total"].(int64) + p["amount_cents"].(int64)
	}
	w.batch["totals"], w.batch["amounts_cents"] = counts, cents
}

// play answers every read with what w is.
func (w *wire) play(t *testing.T, server *snapbilltest.Server) {
	t.Helper()
	server.Heal()
	list := w.payments
	if list == nil {
		list = []map[string]any{}
	}
	for op, reply := range map[string]any{
		"GetBatch": map[string]any{"code": 200, "type": "item", "class": "batch", "batch": w.batch},
		"ListBatches": map[string]any{"code": 200, "type": "list", "class": "batch", "page": 1, "numpages": 1,
			"list": []any{w.batch}},
		"ListPayments": map[string]any{"code": 200, "type": "list", "class": "payment", "page": 1,
			"numpages": 1, "list": list},
	} {
		body, err := json.Marshal(reply)
		require.NoError(t, err)
		server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, string(body))})
	}
}

// Law 13: a batch that the service shows with another date, payment method,
// currency, type or account than the draft is another batch. While it is not
// known whether it was submitted, it must show all of that, and our payments.
func TestABatchThatIsAnotherOne(t *testing.T) {
	numbered := numbered(1, 2)
	type change = func(*wire)
	in := func(object string, field string, value any) change {
		return func(w *wire) { w.batch[object].(map[string]any)[field] = value }
	}
	without := func(field string) change { return func(w *wire) { delete(w.batch, field) } }
	for name, c := range map[string]struct {
		change       change
		draft        func(*batch.Draft)
		known, doubt batch.Kind // of Poll of a batch that is pending, and in StateUnknown
		want         string
		submitted    string // the state in doubt, if it is not "submitted"
	}{
		"it is the one": {change: func(*wire) {}},
		"last month's": {change: func(w *wire) { w.batch["action_date"] = "2000-01-01" },
			known: batch.ErrConflict, doubt: batch.ErrConflict, want: `date: is "2000-01-01" at the service`},
		"another payment method": {change: in("payment_method", "code", "other"),
			known: batch.ErrConflict, doubt: batch.ErrConflict, want: `payment method: is "other" at the service`},
		"another currency": {change: in("currency", "code", "USD"), known: batch.ErrConflict,
			doubt: batch.ErrConflict, want: `currency: is "USD" at the service`},
		"another account": {change: in("account", "id", 999), known: batch.ErrConflict,
			doubt: batch.ErrConflict, want: `account: is "999" at the service, and "10608" here`},
		"a date that is not a day": {change: func(w *wire) {
			w.batch["action_date"] = "2100-01-01T00:00:00Z"
		}, known: batch.ErrConflict, doubt: batch.ErrConflict, want: `date: is "2100-01-01T00:00:00Z"`},
		"it shows no date": {change: without("action_date"), doubt: batch.ErrProtocol,
			want: `date: is "" at the service`},
		"it shows no method": {change: without("payment_method"), doubt: batch.ErrProtocol,
			want: `payment method: is "" at the service`},
		"it shows no currency": {change: without("currency"), doubt: batch.ErrProtocol,
			want: `currency: is "" at the service`},
		"it shows no account": {change: without("account"), doubt: batch.ErrProtocol,
			want: `account: is "" at the service`},
		"a client is missing": {change: func(w *wire) { w.payments = w.payments[1:] },
			doubt: batch.ErrConflict,
			want:  `item 0 ("0001/0"): payment: client "0001/0" is not in the batch at the service`},
		"another amount": {change: func(w *wire) { w.payments[1]["amount_cents"] = 1 },
			doubt: batch.ErrConflict,
			want:  `item 1 ("0001/1"): amount: is 0.01 ZAR at the service, and 50.01 ZAR here`},
		"a client is added": {change: func(w *wire) {
			w.payments = append(w.payments, payment(9, "stranger", 1, "pending"))
		}},
		"a row cannot be read":  {change: func(w *wire) { w.payments[1]["amount_cents"] = nil }},
		"a row is of no client": {change: func(w *wire) { delete(w.payments[1], "client") }},
		"another amount, and a row cannot be read": {change: func(w *wire) {
			w.payments[1]["amount_cents"] = 1
			w.payments[0]["state"] = nil
		}, doubt: batch.ErrConflict, want: "item 1"},
		"it has failed, and is last month's": {change: func(w *wire) { w.batch["action_date"] = "2000-01-01" },
			submitted: "error", known: batch.ErrConflict, doubt: batch.ErrConflict, want: "date"},
		"it has failed, without a client": {change: func(w *wire) { w.payments = w.payments[1:] }, submitted: "error",
			doubt: batch.ErrConflict, want: "item 0"},
		// Submit compares them.
		"it is ready, of other clients": {change: func(w *wire) { w.payments = nil }, submitted: "ready",
			known: batch.ErrProtocol},
		"the draft has lost its date": {change: func(*wire) {}, draft: func(d *batch.Draft) { d.Date = time.Time{} },
			doubt: batch.ErrInvalid, want: "date: is required"},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{Account: "10608"})
			w := newWire(numbered, "submitted")
			if c.submitted != "" {
				w.batch["state"] = c.submitted
			}
			c.change(w)
			w.play(t, server)
			d := numbered.Clone()
			if c.draft != nil {
				c.draft(&d)
			}
			for state, kind := range map[batch.State]batch.Kind{batch.StatePending: c.known,
				batch.StateUnknown: c.doubt} {
				b := batch.Batch{Provider: "snapbill", ID: "1500", Draft: d, State: state, Native: "before"}
				check := func(after batch.Batch, err error) {
					t.Helper()
					require.Equal(t, kind, batch.KindOf(err), "in state %q: %v", state, err)
					if kind == "" {
						require.NotEqual(t, batch.StateUnknown, after.State)
						return
					}
					require.Equal(t, state, after.State, "what is not ours says nothing about ours")
					require.Equal(t, "before", after.Native)
					if c.want != "" {
						require.ErrorContains(t, err, c.want)
					}
				}
				check(p.Poll(t.Context(), b))
				all, err := p.PollAll(t.Context(), []batch.Batch{b, b})
				require.Len(t, all, 2)
				check(all[0], err)
			}
			if c.known == batch.ErrConflict { // Not even in a batch that is over.
				report, err := p.Report(t.Context(), batch.Batch{Provider: "snapbill", ID: "1500", Draft: d,
					State: batch.StateDone})
				require.ErrorIs(t, err, batch.ErrConflict)
				require.ErrorContains(t, err, c.want)
				for _, result := range report.Results {
					require.NotEqual(t, batch.OutcomePaid, result.Outcome, "last month's payments are not this month's")
				}
			}
		})
	}
}

// Last month's batch is not adopted for this month's, which was never sent.
func TestAdoptOfLastMonthsBatch(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	last := dueDraft(server, 2)
	d := last.Clone() // The same clients and amounts every month.
	d.Reference, d.Date = "this-month", last.Date.AddDate(0, 1, 0)
	b, err := p.Submit(t.Context(), create(t, p, last))
	require.NoError(t, err)
	server.FinishAll()
	o := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
	server.Inject(batchsim.Fault{Op: "AddBatch", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Reset})
	_, err = batch.Run(t.Context(), p, d, o)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	_, err = batch.NewDesk(p, o.Journal).Resolve(t.Context(), d.Reference,
		batch.Decision{Verdict: batch.Adopt, BatchID: b.ID, Operator: "ada", Reason: "the newest in the web interface"})
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, fmt.Sprintf("date: is %q at the service, and %q here", snapbill.DateOf(last.Date),
		snapbill.DateOf(d.Date)))
}

// A batch that is adopted for a draft without items has those that it holds.
func TestAdoptWithoutItems(t *testing.T) {
	for _, state := range []string{"ready", "submitted"} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		d := numbered(1, 2)
		w := newWire(d, state)
		w.play(t, server)
		want := d.Items
		d.Items = nil
		b := batch.Batch{Provider: "snapbill", ID: "Clw:Xc", Draft: d, State: batch.StateUnknown}
		after, err := p.Poll(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, want, after.Draft.Items)
		require.Equal(t, "1500", after.ID, "one name for a batch, or two references could have it")
		require.Empty(t, b.Draft.Items, "the argument is not modified")
		w.payments[0]["amount_cents"] = nil
		w.play(t, server)
		_, err = p.Poll(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrProtocol, "what cannot be read cannot be an item")
	}
}

// A row that makes no sense leaves its item unknown, and a contradiction is said;
// all the rest of a report stands.
func TestReportsThatContradict(t *testing.T) {
	d := numbered(1, 3)
	paid := []batch.Outcome{batch.OutcomePaid, batch.OutcomePaid, batch.OutcomePaid}
	first := func(o batch.Outcome) []batch.Outcome { return []batch.Outcome{o, batch.OutcomePaid, batch.OutcomePaid} }
	set := func(field string, value any) func(*wire) { return func(w *wire) { w.payments[0][field] = value } }
	add := func(p map[string]any) func(*wire) { return func(w *wire) { w.payments = append(w.payments, p) } }
	total := func(of, bucket string, value any) func(*wire) {
		return func(w *wire) { w.batch[of].(map[string]any)[bucket] = value }
	}
	for name, c := range map[string]struct {
		change    func(*wire)
		sum       bool // the totals agree with the change
		want      []string
		outcomes  []batch.Outcome
		unmatched int
	}{
		"nothing":                     {change: func(*wire) {}, outcomes: paid},
		"a text beside correct cents": {change: set("amount", "fifty"), outcomes: paid},
		"no depth, no reference": {change: func(w *wire) {
			w.batch["depth"] = nil
			w.payments[0]["reference"] = map[string]any{"a": 1}
		}, outcomes: paid},
		"no currency of its own": {change: set("currency", nil), outcomes: paid},
		"an amount that is null": {change: set("amount_cents", nil), outcomes: first(batch.OutcomeUnknown),
			want: []string{
				`payment: a row of client "0001/0" cannot be used: payment 932850 has no amount_cents that is a whole number: ""`}},
		"a state that is null": {change: set("state", nil), outcomes: first(batch.OutcomeUnknown),
			want: []string{`payment: a row of client "0001/0" cannot be used: payment 932850 has no state`}},
		"another batch": {change: set("batch", map[string]any{"id": 7}),
			outcomes: first(batch.OutcomeUnknown),
			want: []string{
				`payment: a row of client "0001/0" cannot be used: a row came back that the filter batch_id excludes`}},
		"no client": {change: set("client", nil), outcomes: first(batch.OutcomeUnknown),
			want: []string{`payment: a row of client "" cannot be used: payment 932850 has no client with a number`,
				`item 0 ("0001/0"): result: is missing`}},
		"not an object": {change: func(w *wire) {
			clear(w.payments[0])
		}, outcomes: first(batch.OutcomeUnknown),
			want: []string{`payment: a row of client "" cannot be used: a payment has no id`, `item 0`}},
		"decimals that do not agree": {change: set("amount", "50.01"), outcomes: first(batch.OutcomeUnknown),
			want: []string{
				`payment: a row of client "0001/0" cannot be used: the amount is 50.01 in decimals, and 5000 cents`}},
		"another amount": {change: set("amount_cents", int64(5002)), sum: true, outcomes: nil,
			want: []string{`item 0 ("0001/0"): amount: is reported as 50.02 ZAR, but was sent as 50.00 ZAR`}},
		"another currency": {change: set("currency", map[string]any{"code": "USD"}), outcomes: nil,
			want: []string{`item 0 ("0001/0"): amount: is reported as 50.00 USD`}},
		"a word that is not known": {change: set("state", "queued"), sum: true,
			outcomes: first(batch.OutcomeUnknown),
			want: []string{
				`item 0 ("0001/0"): state: is "queued" at the service, a word that this version does not know`}},
		"pending in a batch that ends": {change: set("state", "pending"), outcomes: first(batch.OutcomeUnknown),
			want: []string{"totals: the batch says 0 pending, and its payments 1",
				"totals: the batch says 3 paid, and its payments 2",
				"amounts_cents: the batch says 0 pending, and its payments 5000",
				"amounts_cents: the batch says 15003 paid, and its payments 10003", "item 0"}},
		"a stranger": {change: add(payment(9, "stranger", 9900, "paid")), sum: true, outcomes: paid,
			unmatched: 1,
			want:      []string{`payment: the service has client "stranger" with 99.00 ZAR, who is not in the draft`}},
		"a client twice": {change: add(payment(9, "0001/0", 5000, "bounce")), sum: true, outcomes: nil,
			unmatched: 1, want: []string{`item 0 ("0001/0"): result: is reported more than once`}},
		"a client is missing": {change: func(w *wire) { w.payments = w.payments[1:] }, sum: true,
			outcomes: first(batch.OutcomeUnknown), want: []string{`item 0 ("0001/0"): result: is missing`}},
		"another number": {change: total("totals", "total", 4), outcomes: paid,
			want: []string{"totals: the batch says 4 in total, and its payments 3"}},
		"another sum": {change: total("amounts_cents", "total", "7"), outcomes: paid,
			want: []string{"amounts_cents: the batch says 7 in total, and its payments 15003"}},
		"another number paid": {change: total("totals", "paid", 2), outcomes: paid,
			want: []string{"totals: the batch says 2 paid, and its payments 3"}},
		"totals that are not numbers": {change: func(w *wire) {
			total("totals", "total", "x")(w)
			total("amounts_cents", "paid", nil)(w)
		}, outcomes: paid},
		"amounts that do not agree": {change: func(w *wire) {
			w.batch["amounts"] = map[string]any{"paid": "1.00", "total": "all"}
		}, outcomes: paid,
			want: []string{`amounts: the amount "paid" is 1.00 in decimals, and 15003 cents: they do not agree`}},
	} {
		t.Run(name, func(t *testing.T) {
			server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
			w := newWire(d, "ok")
			c.change(w)
			if c.sum {
				w.sum()
			}
			w.play(t, server)
			b := batch.Batch{Provider: "snapbill", ID: "1500", Draft: d, State: batch.StatePending}
			report, err := p.Report(t.Context(), b)
			require.Equal(t, batch.StateDone, report.Batch.State)
			var outcomes []batch.Outcome
			for _, result := range report.Results {
				outcomes = append(outcomes, result.Outcome)
			}
			if c.outcomes != nil {
				require.Equal(t, c.outcomes, outcomes)
			}
			require.Equal(t, paid[1:], outcomes[1:], "the rest stands")
			require.Len(t, report.Unmatched, c.unmatched)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, batch.ErrProtocol)
			got := faultsOf(t, err)
			require.Len(t, got, len(c.want), "%q", got)
			for n, want := range c.want {
				require.Contains(t, got[n], want)
			}
		})
	}
}

// Payments that get their outcome while the report is read do not contradict the
// totals.
func TestTotalsThatMove(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	b, err := p.Submit(t.Context(), create(t, p, dueDraft(server, 3)))
	require.NoError(t, err)
	for range 2 {
		server.Advance(number(t, b))
	}
	server.Inject(batchsim.Fault{Op: "GetBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			server.Advance(number(t, b))
			return r
		}})
	report, err := p.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 1, report.Totals[batch.OutcomePaid].Count)
}

// A list that breaks off leaves what it has said.
func TestAListThatBreaksOff(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := numbered(1, 2)
	w := newWire(d, "ok")
	w.play(t, server)
	body, err := json.Marshal(map[string]any{"code": 200, "type": "list", "class": "payment", "page": 1, "numpages": 3,
		"list": w.payments[:1]})
	require.NoError(t, err)
	server.Inject(batchsim.Fault{Op: "ListPayments", Nth: 1, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, string(body))})
	server.Inject(batchsim.Fault{Op: "ListPayments", Nth: 2, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, `{"code":200,"type":"list","class":"payment","page":2,"numpages":3,"list":[]}`)})
	report, err := p.Report(t.Context(), batch.Batch{Provider: "snapbill", ID: "1500", Draft: d,
		State: batch.StateDone})
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.ErrorContains(t, err, "holds nothing new")
	require.Equal(t, batch.OutcomePaid, report.Results[0].Outcome)
	require.Equal(t, batch.OutcomeUnknown, report.Results[1].Outcome)
}

// Without a journal, too, a batch that is named twice is submitted once, whether
// it is named by its number or by its xid; and a Create that fails leaves a batch
// that it has not made alone.
func TestABatchThatIsNamedTwice(t *testing.T) {
	server, p := start(t, snapbilltest.Options{Resubmit: snapbilltest.ResubmitQueued}, snapbill.ProviderConfig{})
	d := newDraft(server)(2)
	other := d.Clone()
	other.Reference = "another"
	id := d.Extra["batch_id"]
	other.Extra["batch_id"] = string(snapbill.NewXID(10608, 1500))
	first, second := create(t, p, d), create(t, p, other)
	require.Equal(t, id, first.ID)
	require.Equal(t, id, second.ID, "the same name, which a journal gives to one reference")
	_, err := p.Submit(t.Context(), first)
	require.NoError(t, err)
	after, err := p.Submit(t.Context(), second)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, batch.StatePending, after.State)
	require.Equal(t, "submit", after.Native)
	after, err = p.Create(t.Context(), other)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, "the batch is submit at the service")
	require.Empty(t, after.ID, "Create has not made it")
	require.Equal(t, map[string]int{d.Items[0].Account: 1, d.Items[1].Account: 1}, server.Accepted())

	d = newDraft(server)(1)
	d.Items[0].Amount.Minor++
	after, err = p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Empty(t, after.ID, "what a colleague has made is not for us to delete")
}

// A login that sees several accounts can read another batch under the number of
// the one that was named.
func TestAnXIDOfAnotherAccount(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	d := numbered(1, 1)
	w := newWire(d, "ready")
	w.play(t, server)
	mine := snapbill.NewXID(10608, 1500)
	d.Extra = map[string]string{"batch_id": string(snapbill.NewXID(999, 1500))}
	w.batch["xid"] = d.Extra["batch_id"]
	w.play(t, server)
	alter(server, "GetBatch", 2, func(map[string]any) {})
	server.Inject(batchsim.Fault{Op: "GetBatch", Nth: 2, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, `{"code":200,"type":"item","class":"batch","batch":{"id":1500,"xid":"`+string(mine)+
			`","state":"ready"}}`)})
	_, err := p.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, "use a login of one account")
}

// Whatever else a reply says, the batch that it names was made.
func TestTheIDOfAReplyIsKept(t *testing.T) {
	for body, kind := range map[string]batch.Kind{
		// It is compared once it is read.
		`{"code":200,"type":"item","class":"batch","batch":{"id":1500,"xid":"Clw:Xc"}}`:                                batch.ErrConflict,
		`{"code":200,"type":"item","class":"batch","batch":{"id":"1500","state":null,"action_date":{},"totals":"x"}}`:  batch.ErrProtocol,
		`{"code":200,"type":"item","class":"batch","batch":{"xid":"Clw:Xc"}}`:                                          batch.ErrConflict,
		`{"code":200,"type":"item","class":"batch","batch":{"id":null,"xid":"Clw:Xc"}}`:                                batch.ErrConflict,
		`{"code":200,"type":"queued","class":"batch","batch":{"id":1500}}`:                                             batch.ErrAmbiguous,
		`{"code":200,"type":"item","class":"task","batch":{"id":1500}}`:                                                batch.ErrAmbiguous,
		`{"code":202.5,"type":"item","class":"batch","batch":{"id":1500}}`:                                             batch.ErrAmbiguous,
		`{"code":500,"type":"item","class":"batch","batch":{"id":1500}}`:                                               batch.ErrAmbiguous,
		`{"code":200,"type":"item","status":"queued","batch":{"id":1500}}`:                                             batch.ErrAmbiguous,
		`{"code":200,"type":"item","class":"batch","batch":{"id":1500,"xid":"Clw:Xc","action_date":"2001-01-01"}}`:     batch.ErrProtocol,
		`{"code":400,"type":"result","status":"error","message":"with a warning","class":"batch","batch":{"id":1500}}`: batch.ErrInvalid,
	} {
		server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
		d := dueDraft(server, 1)
		server.Inject(batchsim.Fault{Op: "AddBatch", Phase: batchsim.AfterApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200, body)})
		server.Bill(d.Items[0].Account, snapbill.DateOf(d.Date), 1) // So that it is not the draft.
		b, err := p.Create(t.Context(), d)
		require.Equal(t, kind, batch.KindOf(err), "%s: %v", body, err)
		require.Equal(t, "1500", b.ID, body)
	}
}

// An account has one name, however its URL is spelt and whichever login is used;
// an operator's name outlives both.
func TestAccounts(t *testing.T) {
	account := func(login, url, name string) string {
		return newProvider(t, snapbill.Config{Username: login, Password: "p", BaseURL: url},
			snapbill.ProviderConfig{Account: name}).Info().Account
	}
	for _, url := range []string{snapbill.Production, "https://api.snapbill.com:443/v1", "https://API.SnapBill.com/v1/",
		"HTTPS://api.snapbill.com./v1"} {
		require.Equal(t, "production", account("ada", url, ""))
		require.Equal(t, "production", account("ben", url, ""), "a login that is renewed is not another payer")
		require.Equal(t, "10608", account("ada", url, "10608"))
	}
	require.Equal(t, "snapbill.test/v1", account("ada", host+"/v1", ""))
	require.Equal(t, "snapbill.test/v2", account("ada", host+"/v2", ""))
	require.Equal(t, "localhost:8080/v1", account("ada", "http://127.0.0.1:8080/v1", ""))
}

// A login of another account than the one that was named submits nothing.
func TestALoginOfAnotherAccount(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	server.Login("renewed", "another-password")
	franchise := server.NewAccount(999)
	franchise.Login("franchise", "a-third-password")
	as := func(login, password, account string) *snapbill.Provider {
		c := server.Config()
		c.Username, c.Password = login, password
		return newProvider(t, c, snapbill.ProviderConfig{Account: account})
	}
	mine, renewed, theirs := as("demo", server.Config().Password, "10608"), as("renewed", "another-password", "10608"),
		as("franchise", "a-third-password", "10608")
	d := dueDraft(server, 2)
	for _, item := range d.Items { // Their clients have the same numbers, and owe the same.
		franchise.Bill(item.Account, snapbill.DateOf(d.Date), item.Amount.Minor)
	}
	b := create(t, mine, d)
	require.Equal(t, int64(1500), franchise.NewBatch(snapbill.DateOf(d.Date)), "their batch has the same number")
	_, err := theirs.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, `account: is "999" at the service, and "10608" here`)
	_, err = theirs.Create(t.Context(), d)
	require.ErrorIs(t, err, batch.ErrConflict)
	_, err = theirs.Cancel(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Zero(t, server.Log.Count("UpdateBatch"))
	require.Equal(t, mine.Info().Account, renewed.Info().Account)
	b, err = renewed.Submit(t.Context(), b)
	require.NoError(t, err)
	server.FinishAll()
	_, err = theirs.Poll(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrConflict)
	report, err := renewed.Report(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, 2, report.Totals[batch.OutcomePaid].Count)
	require.Empty(t, franchise.Accepted())
	for _, e := range server.Ledger.Effects() {
		require.Equal(t, "account 10608", e.Payer)
	}
}

// Whatever a configuration decides about money is in Info, and a journal keeps
// it: every field is in the account, in the terms, or here with the reason why
// it is harmless.
func TestWhatTheConfigurationDecides(t *testing.T) {
	harmless := map[string]string{
		"Username":   "a login of the account: a renewed one is not another payer",
		"Password":   "goes with the login",
		"HTTPClient": "how requests travel",
		"Middleware": "how requests travel",
		"Logger":     "what is logged",
		"SetState":   "which call submits, not what is submitted; it must be possible to correct it under the same reference",
		"BuildFor":   "how long Create waits",
		"PastDates":  "which days are refused, not which day is sent",
	}
	values := map[string]any{"Username": "other", "Password": "other", "BaseURL": "https://other.test",
		"HTTPClient": &http.Client{},
		"Middleware": func(next http.RoundTripper) http.RoundTripper { return next }, "Logger": slog.Default(),
		"PaymentMethod": "other", "Currency": "USD", "BatchType": "NAEDO", "Account": "other", "SetState": true,
		"BuildFor": time.Hour, "PastDates": true}
	info := func(field string) batch.Info {
		c, o := snapbill.Config{Username: "user", Password: "pass", BaseURL: host},
			snapbill.ProviderConfig{PaymentMethod: "netcash"}
		for _, v := range []reflect.Value{reflect.ValueOf(&c).Elem(), reflect.ValueOf(&o).Elem()} {
			if f := v.FieldByName(field); f.IsValid() {
				f.Set(reflect.ValueOf(values[field]))
			}
		}
		p, err := snapbill.NewProvider(newClient(t, c), o)
		require.NoError(t, err)
		return p.Info()
	}
	plain := info("")
	for _, v := range []any{snapbill.Config{}, snapbill.ProviderConfig{}} {
		for n := range reflect.TypeOf(v).NumField() {
			field := reflect.TypeOf(v).Field(n).Name
			require.Contains(t, values, field, "a new field: say here what it decides")
			changed := info(field)
			kept := changed.Account != plain.Account || !maps.Equal(changed.Terms, plain.Terms)
			require.NotEqual(t, kept, harmless[field] != "", field)
		}
	}
	require.Equal(t, map[string]string{"payment_method": "netcash", "currency": "ZAR", "batch_type": ""}, plain.Terms)
	p := newProvider(t, snapbill.Config{Username: "user", Password: "pass", BaseURL: host}, snapbill.ProviderConfig{})
	p.Info().Terms["currency"] = "USD"
	require.Equal(t, "ZAR", p.Info().Terms["currency"], "no caller changes the facts of another")
}

// Submit checks again what Create has fixed: a handle whose JSON has lost
// something is not sent.
func TestAHandleThatHasLostSomething(t *testing.T) {
	server, p := start(t, snapbilltest.Options{}, snapbill.ProviderConfig{})
	b := create(t, p, dueDraft(server, 2))
	before := server.Log.Count("")
	for name, c := range map[string]struct {
		lose func(*batch.Batch)
		kind batch.Kind
	}{
		"its date":       {func(b *batch.Batch) { b.Draft.Date = time.Time{} }, batch.ErrInvalid},
		"its ID":         {func(b *batch.Batch) { b.ID = "" }, batch.ErrInvalid},
		"its reference":  {func(b *batch.Batch) { b.Draft.Reference = "" }, batch.ErrInvalid},
		"its direction":  {func(b *batch.Batch) { b.Draft.Direction = "" }, batch.ErrInvalid},
		"an amount":      {func(b *batch.Batch) { b.Draft.Items[0].Amount = batch.Money{} }, batch.ErrInvalid},
		"an account":     {func(b *batch.Batch) { b.Draft.Items[0].Account = "" }, batch.ErrInvalid},
		"all its items":  {func(b *batch.Batch) { b.Draft.Items = nil }, batch.ErrConflict},
		"one of them":    {func(b *batch.Batch) { b.Draft.Items = b.Draft.Items[:1] }, batch.ErrConflict},
		"a day of it":    {func(b *batch.Batch) { b.Draft.Date = b.Draft.Date.Add(-time.Hour) }, batch.ErrConflict},
		"its time alone": {func(b *batch.Batch) { b.Draft.Date = b.Draft.Date.Add(23 * time.Hour) }, ""},
	} {
		lost := b.Clone()
		c.lose(&lost)
		if c.kind == "" {
			continue
		}
		_, err := p.Submit(t.Context(), lost)
		require.ErrorIs(t, err, c.kind, name)
		if c.kind == batch.ErrInvalid {
			require.Equal(t, before, server.Log.Count(""), "%s: nothing is sent", name)
		} else {
			before = server.Log.Count("")
		}
		require.Zero(t, server.Log.Count("UpdateBatch"), name)
	}
	b.Draft.Date = b.Draft.Date.Add(23 * time.Hour)
	_, err := p.Submit(t.Context(), b)
	require.NoError(t, err, "it is the same day")
}
