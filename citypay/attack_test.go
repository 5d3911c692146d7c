package citypay_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/citypay/citypaytest"
)

// submitted creates and submits a batch of n items.
func submitted(t *testing.T, p *citypay.Provider, n int) batch.Batch {
	t.Helper()
	b, err := p.Create(t.Context(), newDraft(n))
	require.NoError(t, err)
	b, err = p.Submit(t.Context(), b)
	require.NoError(t, err)
	return b
}

// The money goes to the merchant and the batch account of the configuration.
func TestMoneyHasThePayerOfTheConfiguration(t *testing.T) {
	for account, payer := range map[string]string{"": "merchant 11223344 of PC600001",
		"AC1": "merchant 11223344 of AC1"} {
		server := citypaytest.New(nil)
		t.Cleanup(server.Close)
		p := newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP",
			ClientAccountID: account})
		b := submitted(t, p, 2)
		server.FinishAll()
		effects := server.Ledger.Effects()
		require.Len(t, effects, 2)
		for n, e := range effects {
			require.Equal(t, payer, e.Payer)
			require.Equal(t, b.Draft.Items[n].Reference, e.Item)
			require.Equal(t, b.Draft.Items[n].Amount.Minor, e.Minor)
		}
		all, err := p.PollAll(t.Context(), []batch.Batch{b})
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, all[0].State)
		b, err = p.Poll(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, batch.StateDone, b.State)
		_, err = p.Report(t.Context(), b)
		require.NoError(t, err)
		b.State = batch.StateDraft
		_, err = p.Submit(t.Context(), b)
		require.ErrorContains(t, err, "is already used", "the read before a submit asks under the same account")
	}
}

// What was certainly not sent is not read back.
func TestNothingIsReadAfterNothingWasSent(t *testing.T) {
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	config := server.Config()
	transport, ok := config.HTTPClient.Transport.(*http.Transport)
	require.True(t, ok)
	transport = transport.Clone()
	dials := 0
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials > 1 {
			return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("no route")}
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	config.HTTPClient = &http.Client{Transport: transport}
	p := newProvider(t, config, citypay.ProviderConfig{})
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	b, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.Equal(t, batch.StateDraft, b.State)
	require.Equal(t, 1, server.Log.Count("BatchStatus"))
}

// One number under two batch accounts: each sees its own batch, or the second
// is refused.
func TestBatchAccountsDoNotSeeEachOther(t *testing.T) {
	for _, byAccount := range []bool{true, false} {
		server := citypaytest.New(&citypaytest.Options{NumbersByAccount: byAccount})
		t.Cleanup(server.Close)
		of := func(account string) *citypay.Provider {
			return newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
				ClientAccountID: account})
		}
		first, second := newDraft(1), newDraft(2)
		second.Reference = first.Reference
		b1, err := of("AC1").Create(t.Context(), first)
		require.NoError(t, err)
		b1, err = of("AC1").Submit(t.Context(), b1)
		require.NoError(t, err)
		b2, err := of("AC2").Create(t.Context(), second)
		require.NoError(t, err)
		b2, err = of("AC2").Submit(t.Context(), b2)
		if !byAccount {
			require.ErrorIs(t, err, batch.ErrConflict)
			require.ErrorContains(t, err, "B008")
			require.Equal(t, batch.StateDraft, b2.State)
			continue
		}
		require.NoError(t, err)
		server.FinishAll()
		for account, b := range map[string]batch.Batch{"AC1": b1, "AC2": b2} {
			b, err = of(account).Poll(t.Context(), b)
			require.NoError(t, err)
			report, err := of(account).Report(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, len(b.Draft.Items), report.Totals[batch.OutcomePaid].Count)
		}
	}
}

// A wrong credential fails in the read before, with the clear word.
func TestAWrongCredentialSendsNothing(t *testing.T) {
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	config := server.Config()
	config.LicenceKey = "another"
	p := newProvider(t, config, citypay.ProviderConfig{})
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	b, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAuth)
	require.ErrorContains(t, err, "the key, the clock or the source address may be wrong")
	require.Equal(t, batch.StateDraft, b.State)
	require.Zero(t, server.Log.Count("ProcessBatch"))
}

// What the read before Submit must say for the batch to be sent.
func TestOnlyADocumentedAnswerLetsABatchBeSent(t *testing.T) {
	unknown := func(id string) string { return `{"batches":[{"batch_date":"",` + id + `"batch_status":"UNKNOWN"}]}` }
	html := batchsim.Reply{Status: 404, Header: http.Header{"Content-Type": {"text/html"}},
		Body: []byte("<html>Not Found</html>")}
	for name, c := range map[string]struct {
		reply    batchsim.Reply
		sent     bool
		accepted bool // with AbsentMeansUnused
		kind     batch.Kind
	}{
		"a row UNKNOWN":                    {batchsim.JSON(200, unknown(`"batch_id":35,`)), true, true, ""},
		"B002":                             {batchsim.JSON(422, `{"code":"B002"}`), true, true, ""},
		"an empty list":                    {batchsim.JSON(200, `{"batches":[]}`), false, true, batch.ErrProtocol},
		"a row UNKNOWN without its number": {batchsim.JSON(200, unknown("")), false, true, batch.ErrProtocol},
		"D101":                             {batchsim.JSON(422, `{"code":"D101"}`), false, true, batch.ErrProtocol},
		"no list":                          {batchsim.JSON(200, `{}`), false, false, batch.ErrProtocol},
		"a list that is null":              {batchsim.JSON(200, `{"batches":null}`), false, false, batch.ErrProtocol},
		"a list in another object": {batchsim.JSON(200, `{"CheckBatchStatusResponse":`+
			unknown(`"batch_id":35,`)+`}`), false, false, batch.ErrProtocol},
		"a bare list": {batchsim.JSON(200, `[]`), false, false, batch.ErrProtocol},
		"null":        {batchsim.JSON(200, `null`), false, false, batch.ErrProtocol},
		"another number": {batchsim.JSON(200, unknown(`"batch_id":36,`)), false, false,
			batch.ErrProtocol},
		"a number that is a string": {batchsim.JSON(200, unknown(`"batch_id":"35",`)), false, false,
			batch.ErrProtocol},
		"no status": {batchsim.JSON(200, `{"batches":[{"batch_id":35}]}`), false, false,
			batch.ErrProtocol},
		"unknown in lower case": {batchsim.JSON(200, strings.ToLower(unknown(`"batch_id":35,`))), false,
			false, batch.ErrConflict},
		"both unknown and queued": {batchsim.JSON(200,
			`{"batches":[{"batch_id":35,"batch_status":"UNKNOWN"},{"batch_id":35,"batch_status":"QUEUED"}]}`), false,
			false, batch.ErrProtocol},
		"a firewall's 404": {html, false, false, batch.ErrProtocol},
		"B002 under 404":   {batchsim.JSON(404, `{"code":"B002"}`), false, false, batch.ErrProtocol},
		"B004":             {batchsim.JSON(422, `{"code":"B004"}`), false, false, batch.ErrInvalid},
		"F001": {batchsim.JSON(422, `{"code":"F001"}`), false, false,
			batch.ErrUnavailable},
		"403 without words": {batchsim.Reply{Status: 403}, false, false, batch.ErrAuth},
		"COMPLETE": {batchsim.JSON(200,
			`{"batches":[{"batch_id":35,"batch_status":"COMPLETE"}]}`), false, false, batch.ErrConflict},
		"a word that this version knows not": {batchsim.JSON(200,
			`{"batches":[{"batch_id":35,"batch_status":"PAUSED"}]}`), false, false, batch.ErrConflict},
	} {
		for _, accept := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, accepted %v", name, accept), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := citypaytest.New(&citypaytest.Options{InMemory: true})
					defer server.Close()
					server.Inject(batchsim.Fault{Op: "BatchStatus", Phase: batchsim.AfterApply, Act: batchsim.Answer,
						Reply: c.reply})
					p := newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
						AbsentMeansUnused: accept})
					b, err := p.Submit(t.Context(), twoItems("35", batch.StateDraft))
					if c.sent || c.accepted && accept {
						require.NoError(t, err)
						require.Equal(t, 1, server.Log.Count("ProcessBatch"))
						return
					}
					require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
					require.Equal(t, batch.StateDraft, b.State)
					require.Zero(t, server.Log.Count("ProcessBatch"))
				})
			})
		}
	}
}

// A refusal that arrives after the batch was taken on, as the answer to a
// second delivery or in another's words, is not believed: a read decides.
func TestARefusalIsCheckedByARead(t *testing.T) {
	broken := batchsim.Fault{Op: "BatchStatus", Nth: 2, Phase: batchsim.AfterApply, Act: batchsim.Answer,
		Reply: batchsim.Reply{Status: 403}}
	for _, refused := range []batchsim.Reply{
		batchsim.JSON(422, `{"code":"B008","message":"Batch failed duplication checks"}`),
		batchsim.JSON(422, `{"code":"B006","message":"Transaction invalid in batch"}`),
		batchsim.JSON(422, `{"code":"B001","message":"Batch Processing unavailable"}`),
		batchsim.JSON(200, `{"valid":false,"message":"Batch failed duplication checks"}`),
	} {
		body := string(refused.Body)
		t.Run(body, func(t *testing.T) {
			server, p := start(t, nil)
			submit := func() (batch.Batch, error) {
				b, err := p.Create(t.Context(), newDraft(1))
				require.NoError(t, err)
				return p.Submit(t.Context(), b)
			}
			answer := func(phase batchsim.Phase) {
				server.Inject(batchsim.Fault{Op: "ProcessBatch", Nth: 1, Phase: phase, Act: batchsim.Answer,
					Reply: refused})
			}

			answer(batchsim.AfterApply)
			b, err := submit()
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.ErrorContains(t, err, "it may have had the request twice")
			require.Equal(t, batch.StateUnknown, b.State)
			b, err = p.Poll(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, batch.StatePending, b.State)

			answer(batchsim.BeforeApply)
			b, err = submit()
			require.Error(t, err)
			require.NotErrorIs(t, err, batch.ErrAmbiguous)
			require.Equal(t, batch.StateDraft, b.State)

			// Another process was faster with the same number, and has finished.
			server.Inject(batchsim.Fault{Op: "ProcessBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Lie,
				Alter: func(batchsim.Reply) batchsim.Reply {
					server.FinishAll() // This batch, of which the report tells other amounts.
					return refused
				}})
			server.Inject(batchsim.Fault{Op: "RetrieveBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Lie,
				Alter: lie{"/transactions/0/amount", "7"}.tell})
			b, err = submit()
			require.Error(t, err)
			require.NotErrorIs(t, err, batch.ErrAmbiguous)
			require.Equal(t, batch.StateDraft, b.State)

			answer(batchsim.BeforeApply)
			server.Inject(broken)
			_, err = submit()
			require.Equal(t, strings.Contains(body, "B008"), batch.KindOf(err) == batch.ErrAmbiguous, "%v", err)
		})
	}
}

// Submit checks again what Create has fixed: a stored handle can be edited.
func TestSubmitChecksAgainWhatCreateHasFixed(t *testing.T) {
	server, p := start(t, nil)
	numbered := newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP",
		BatchID: func(string) (int64, error) { return 78, nil }})
	for name, c := range map[string]struct {
		change func(*batch.Batch)
		says   string
	}{
		"a lost date": {func(b *batch.Batch) {
			b.Draft.Date = time.Time{}
		}, "date: is missing: Create has set one"},
		"a date to come": {func(b *batch.Batch) { b.Draft.Date = time.Now().Add(48 * time.Hour) },
			"in the future"},
		"a lost number":  {func(b *batch.Batch) { b.ID = "" }, `id: is "", and the draft's number is`},
		"another number": {func(b *batch.Batch) { b.ID = "77" }, `id: is "77", and the draft's number is`},
		"another Extra": {func(b *batch.Batch) { b.Draft.Extra = map[string]string{"batch_id": "77"} },
			"and the draft's number is 77"},
		"another reference":   {func(b *batch.Batch) { b.Draft.Reference = "76" }, "and the draft's number is 76"},
		"a reference as text": {func(b *batch.Batch) { b.Draft.Reference = "november" }, "reference: is not a number"},
		"lost items":          {func(b *batch.Batch) { b.Draft.Items = nil }, "items: there are none"},
		"a doubled item": {func(b *batch.Batch) { b.Draft.Items = append(b.Draft.Items, b.Draft.Items[0]) },
			"is also that of item 0"},
		"another currency": {func(b *batch.Batch) { b.Draft.Items[0].Amount.Currency = "EUR" }, "takes only GBP"},
	} {
		b, err := p.Create(t.Context(), newDraft(1))
		require.NoError(t, err)
		b = b.Clone()
		c.change(&b)
		after, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrInvalid, name)
		require.ErrorContains(t, err, c.says, name)
		require.NotContains(t, err.Error(), "the draft's number is 0", "a draft without a number is not compared")
		require.Equal(t, b, after)
	}
	d := newDraft(1)
	d.Reference = "november"
	b, err := numbered.Create(t.Context(), d)
	require.NoError(t, err)
	_, err = p.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrInvalid, "the function that has numbered it is gone")
	require.Zero(t, server.Log.Count(""))
	b, err = numbered.Submit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, "78", b.ID)
}

// A handle is JSON between Create and Submit. The day that is sent is that of
// the date's own location.
func TestTheDayThatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // 2000-01-01T00:00:00Z
		server := citypaytest.New(&citypaytest.Options{InMemory: true})
		defer server.Close()
		p := newProvider(t, server.Config(), citypay.ProviderConfig{})
		time.Sleep(12 * time.Hour)
		east, west := time.FixedZone("east", 14*3600), time.FixedZone("west", -12*3600)
		for name, c := range map[string]struct {
			date time.Time
			day  string // empty if it is refused
		}{
			"none":                             {time.Time{}, "2000-01-01"},
			"now, in UTC":                      {time.Now().UTC(), "2000-01-01"},
			"now, where it is tomorrow":        {time.Now().In(east), ""},
			"an hour ago, in the east":         {time.Now().Add(-3 * time.Hour).In(east), "2000-01-01"},
			"now, where it just became today":  {time.Now().In(west), "2000-01-01"},
			"yesterday, in the west":           {time.Now().Add(-time.Minute).In(west), "1999-12-31"},
			"tomorrow, in the west":            {time.Now().Add(24 * time.Hour).In(west), ""},
			"the last moment of today, in UTC": {time.Date(2000, 1, 1, 23, 59, 59, 0, time.UTC), "2000-01-01"},
			"tomorrow, in UTC":                 {time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC), ""},
		} {
			d := newDraft(1)
			d.Date = c.date
			b, err := p.Create(t.Context(), d)
			if c.day == "" {
				require.ErrorIs(t, err, batch.ErrInvalid, name)
				continue
			}
			require.NoError(t, err, name)
			text, err := json.Marshal(b)
			require.NoError(t, err)
			var stored batch.Batch
			require.NoError(t, json.Unmarshal(text, &stored))
			_, err = p.Submit(t.Context(), stored)
			require.NoError(t, err)
			sent := server.Log.Requests("ProcessBatch")
			require.Contains(t, string(sent[len(sent)-1].Body), `"batch_date":"`+c.day+`"`, name)
		}
	})
}

// A number that was used is told apart: by another batch, or by these items.
func TestTheCodeOfANumberThatIsUsed(t *testing.T) {
	server, p := start(t, nil)
	first := submitted(t, p, 2)
	again, other := first, newDraft(2)
	again.State = batch.StateDraft
	other.Reference = first.Draft.Reference
	fresh, err := p.Create(t.Context(), other)
	require.NoError(t, err)
	code := func(b batch.Batch) string {
		after, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.Equal(t, batch.StateDraft, after.State)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Message, "nothing was sent: batch number "+b.ID+" is already used")
		if e.Code == batch.CodeNumberTaken {
			require.Contains(t, e.Message, "set ProviderConfig.FirstBatchID above")
		}
		return e.Code
	}
	require.Equal(t, batch.CodeNumberTaken, code(again), "the report has no rows yet")
	server.FinishAll()
	require.Equal(t, "already_sent", code(again))
	require.Equal(t, batch.CodeNumberTaken, code(fresh))
	fewer := again.Clone()
	fewer.Draft.Items = fewer.Draft.Items[:1]
	require.Equal(t, batch.CodeNumberTaken, code(fewer))
	require.Equal(t, 1, server.Log.Count("ProcessBatch"))
}

// A fresh journal at an account whose numbers were used takes the next number
// that is free, but does not charge again what CityPay has there already.
func TestAFreshJournalFindsAFreeNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{InMemory: true, Autoplay: 1})
		defer server.Close()
		p := newProvider(t, server.Config(), citypay.ProviderConfig{MerchantID: 1, Currency: "GBP", FirstBatchID: 500})
		drafts := []batch.Draft{newDraft(1), newDraft(2), newDraft(3)}
		for n := range drafts {
			drafts[n].Reference = fmt.Sprint("november-", n)
		}
		old := &batch.RunOptions{Journal: batch.NewMemoryJournal()}
		for _, d := range drafts[:2] {
			_, err := batch.Run(t.Context(), p, d, old)
			require.NoError(t, err)
		}
		report, err := batch.Run(t.Context(), p, drafts[2], &batch.RunOptions{Journal: batch.NewMemoryJournal()})
		require.NoError(t, err)
		require.Equal(t, "502", report.Batch.ID)
		report, err = batch.Run(t.Context(), p, drafts[1], &batch.RunOptions{Journal: batch.NewMemoryJournal()})
		require.ErrorIs(t, err, batch.ErrConflict)
		require.ErrorContains(t, err,
			"batch number 501 is already used, and CityPay has these items there, as COMPLETE")
		require.Equal(t, batch.StateDraft, report.Batch.State)
		for item, times := range server.Ledger.Moved() {
			require.Equal(t, 1, times, item)
		}
		require.Equal(t, 3, server.Log.Count("ProcessBatch"))
	})
}

// Law 13: a status proves that there is a batch under this number. The report
// shows whether it is this one.
func TestPollComparesAnUnclearBatch(t *testing.T) {
	row := func(identifier, account string, merchant, amount int) string {
		return fmt.Sprintf(
			`{"account_id":%q,"identifier":%q,"merchantid":%d,"message":"m","result":1,"result_code":"000","amount":%d}`, account, identifier, merchant, amount)
	}
	report := func(rows ...string) batchsim.Reply {
		return batchsim.JSON(200,
			`{"amount":350,"batch_date":"2020-01-02","batch_id":35,"batch_status":"COMPLETE","client_account_id":"PC600001","transactions":[`+strings.Join(rows, ",")+`]}`)
	}
	a, b := row("item-a", "account-1", 11223344, 100), row("item-b", "account-1", 11223344, 250)
	of := func(client string) batchsim.Reply {
		r := report(a, b)
		r.Body = bytes.Replace(r.Body, []byte("PC600001"), []byte(client), 1)
		return r
	}
	for name, c := range map[string]struct {
		report batchsim.Reply
		kind   batch.Kind
		says   string
	}{
		"ours":                      {report(a, b), "", ""},
		"no rows yet":               {report(), "", ""},
		"some rows yet":             {report(b), "", ""},
		"a refusal":                 {batchsim.JSON(422, `{"code":"B002"}`), "", ""},
		"another refusal":           {batchsim.JSON(422, `{"code":"B004"}`), "", ""},
		"a row that makes no sense": {report(a, "null", `{"identifier":"item-b","result":[]}`), "", ""},
		"another item": {report(a, row("item-c", "account-1", 11223344, 250)), batch.ErrConflict,
			`an item "item-c" that is not in the batch`},
		"another amount": {report(a, row("item-b", "account-1", 11223344, 251)), batch.ErrConflict,
			`item 1 ("item-b"): amount: is reported as 2.51 GBP`},
		"another card-holder account": {report(a, row("item-b", "account-2", 11223344, 250)), batch.ErrConflict,
			`item 1 ("item-b"): account`},
		"another merchant": {report(a, row("item-b", "account-1", 1, 250)), batch.ErrConflict,
			`item 1 ("item-b"): merchantid: is 1`},
		"another client account": {of("AC1"), batch.ErrConflict, `client_account_id: is "AC1"`},
		"an item twice":          {report(a, a), batch.ErrConflict, "more than once"},
		"another batch": {batchsim.JSON(200, `{"batch_id":36,"batch_status":"COMPLETE","transactions":[]}`),
			batch.ErrProtocol, "asked for batch 35"},
		"nothing that can be read": {batchsim.JSON(200, `{}`), batch.ErrProtocol, "no batch_id"},
		"an error":                 {batchsim.Reply{Status: 500}, batch.ErrUnavailable, ""},
	} {
		for _, word := range []string{"QUEUED", "COMPLETE", "ERROR_IN_PROCESSING", "CANCELLED"} {
			c := c
			if strings.HasSuffix(name, "refusal") && word == "COMPLETE" {
				c.kind, c.says = batch.ErrProtocol, "batch 35 is COMPLETE at CityPay, which shows no report of it"
			}
			t.Run(name+", "+word, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := citypaytest.New(&citypaytest.Options{InMemory: true})
					defer server.Close()
					server.Inject(batchsim.Fault{Op: "BatchStatus", Phase: batchsim.AfterApply, Act: batchsim.Answer,
						Reply: batchsim.JSON(200, `{"batches":[{"batch_id":35,"batch_status":"`+word+`"}]}`)})
					server.Inject(batchsim.Fault{Op: "RetrieveBatch", Phase: batchsim.AfterApply, Act: batchsim.Answer,
						Reply: c.report})
					p := newProvider(t, server.Config(), citypay.ProviderConfig{})
					unclear := twoItems("35", batch.StateUnknown)
					all, err := p.PollAll(t.Context(), []batch.Batch{unclear})
					require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
					require.Equal(t, 1, server.Log.Count("BatchStatus"), "an unclear batch is left to Poll")
					got, err := p.Poll(t.Context(), unclear)
					require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
					require.Equal(t, all[0].State, got.State)
					_, reconciled := batch.Reconcile(t.Context(), p, unclear)
					require.Equal(t, err == nil, reconciled == nil, "%v", reconciled)
					if c.kind == "" {
						require.Equal(t, word, got.Native)
						require.NotEqual(t, batch.StateUnknown, got.State)
						return
					}
					require.Equal(t, unclear, got, "the batch is returned as it was")
					require.ErrorContains(t, err, c.says)
					if c.kind == batch.ErrConflict {
						require.ErrorContains(t, err, "CityPay has another batch under number 35")
					}
				})
			})
		}
	}
}

// What is not about our number is not asked for a report.
func TestPollOfAnUnclearBatchThatIsNotSeen(t *testing.T) {
	server, p := start(t, nil)
	unclear := twoItems("35", batch.StateUnknown)
	got, err := p.Poll(t.Context(), unclear)
	require.NoError(t, err)
	require.Equal(t, batch.StateUnknown, got.State)
	require.Equal(t, "UNKNOWN", got.Native)
	require.Zero(t, server.Log.Count("RetrieveBatch"))
	b := submitted(t, p, 1)
	_, err = p.Poll(t.Context(), b)
	require.NoError(t, err)
	require.Zero(t, server.Log.Count("RetrieveBatch"),
		"a batch that is known to be ours is not compared with each poll")
}

// Before a batch is final its report decides nothing, whatever its rows say.
func TestAReportThatComesEarly(t *testing.T) {
	for _, early := range []citypaytest.EarlyReport{citypaytest.EarlyEmpty, citypaytest.EarlyPartial} {
		server, p := start(t, &citypaytest.Options{EarlyReport: early})
		b := submitted(t, p, 4)
		server.Inject(batchsim.Fault{Op: "RetrieveBatch", Nth: 2, Phase: batchsim.AfterApply, Act: batchsim.Lie,
			Alter: lie{"/amount", "7"}.tell})
		for range 2 {
			report, err := p.Report(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, 4, report.Totals[batch.OutcomePending].Count)
			require.Equal(t, batch.StatePending, report.Batch.State)
		}
	}
}

// One batch that cannot be read does not hide the others.
func TestPollAllReadsWhatItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := citypaytest.New(&citypaytest.Options{InMemory: true})
		defer server.Close()
		server.Inject(batchsim.Fault{Op: "BatchStatus", Phase: batchsim.AfterApply, Act: batchsim.Answer,
			Reply: batchsim.JSON(200,
				`{"batches":[null,{"batch_id":35,"batch_status":7},{"batch_id":36,"batch_status":"LOCKED"}]}`)})
		p := newProvider(t, server.Config(), citypay.ProviderConfig{})
		got, err := p.PollAll(t.Context(), []batch.Batch{twoItems("35", batch.StatePending),
			twoItems("36", batch.StatePending)})
		require.ErrorIs(t, err, batch.ErrProtocol)
		require.ErrorContains(t, err, "batch 35 has no status")
		require.Equal(t, twoItems("35", batch.StatePending), got[0])
		require.Equal(t, "LOCKED", got[1].Native)
	})
}

// A field of a reply, by its path, and what is done to it.
type lie struct{ path, how string }

// paths lists every field and element of a JSON text.
func paths(t *testing.T, text []byte) (all []string) {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(text, &v))
	var walk func(string, any)
	walk = func(path string, v any) {
		if path != "" {
			all = append(all, path)
		}
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				walk(path+"/"+key, inner)
			}
		case []any:
			if len(v) > 0 {
				walk(path+"/0", v[0])
			}
		}
	}
	walk("", v)
	slices.Sort(all)
	return all
}

// tell changes one field of a reply.
func (l lie) tell(reply batchsim.Reply) batchsim.Reply {
	d := json.NewDecoder(bytes.NewReader(reply.Body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return reply
	}
	keys := strings.Split(l.path, "/")[1:]
	var change func(any, []string) any
	change = func(v any, keys []string) any {
		if len(keys) == 0 {
			return json.RawMessage(l.how)
		}
		switch v := v.(type) {
		case map[string]any:
			if inner, ok := v[keys[0]]; ok {
				if v[keys[0]] = change(inner, keys[1:]); l.how == "dropped" && len(keys) == 1 {
					delete(v, keys[0])
				}
			}
		case []any:
			if len(v) > 0 && l.how == "dropped" && len(keys) == 1 {
				return v[1:]
			} else if len(v) > 0 {
				v[0] = change(v[0], keys[1:])
			}
		}
		return v
	}
	text, err := json.Marshal(change(v, keys))
	if err != nil {
		panic(err)
	}
	reply.Body = text
	return reply
}

// Every field of every reply is null, dropped and of another type, one at a
// time. Only those that decide matter; and once all is well again, nothing is
// lost, and every item was charged once.
func TestOneFieldAtATime(t *testing.T) {
	decide := map[string]*regexp.Regexp{
		"ProcessBatch": regexp.MustCompile(`^/valid$`),
		"BatchStatus":  regexp.MustCompile(`^/batches(/0(/batch_id|/batch_status)?)?$`),
		"RetrieveBatch": regexp.MustCompile(
			`^/(batch_id|batch_status|transactions(/0(/identifier|/amount|/result|/result_code)?)?)$`),
	}
	// These are compared if they have the documented type.
	const text = `"\ud800x"`
	compared := map[string]string{"/amount": "7", "/client_account_id": text,
		"/transactions/0/merchantid": "7", "/transactions/0/account_id": text}
	replies := make(map[string][]byte)
	run := func(t *testing.T, op string, alter func(batchsim.Reply) batchsim.Reply, check func(error, batch.Report)) {
		synctest.Test(t, func(t *testing.T) {
			server := citypaytest.New(&citypaytest.Options{InMemory: true, Autoplay: 1})
			defer server.Close()
			server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie, Alter: alter})
			p := newProvider(t, server.Config(), citypay.ProviderConfig{})
			d := newDraft(3)
			o := &batch.RunOptions{Journal: batch.NewMemoryJournal(), ReconcileFor: 20 * time.Second,
				Watch: batch.WatchOptions{MaxFailures: 2}}
			report, err := batch.Run(t.Context(), p, d, o)
			check(err, report)
			server.Heal()
			report, err = batch.Run(t.Context(), p, d, o)
			require.NoError(t, err, "all is well again")
			require.Equal(t, 3, report.Totals[batch.OutcomePaid].Count)
			require.Equal(t, map[string]int{d.Items[0].Reference: 1, d.Items[1].Reference: 1, d.Items[2].Reference: 1},
				server.Ledger.Moved())
			require.Equal(t, 1, server.Log.Count("ProcessBatch"))
		})
	}
	for op := range decide {
		run(t, op, func(r batchsim.Reply) batchsim.Reply { replies[op] = r.Body; return r },
			func(err error, _ batch.Report) { require.NoError(t, err) })
	}
	for _, op := range slices.Sorted(maps.Keys(decide)) {
		for _, path := range paths(t, replies[op]) {
			for _, how := range []string{"null", "dropped", "7", "7.5", "true", text, `""`,
				`{"a":[null]}`, `[{"a":1}]`} {
				t.Run(op+path+" "+how, func(t *testing.T) {
					harmless := !decide[op].MatchString(path) && compared[path] != how
					run(t, op, lie{path, how}.tell, func(err error, report batch.Report) {
						if harmless {
							require.NoError(t, err)
							return
						}
						paid, unknown := report.Totals[batch.OutcomePaid].Count,
							report.Totals[batch.OutcomeUnknown].Count
						if err == nil {
							require.Equal(t, 3, paid+unknown, "what is believed is true")
						}
						if op == "RetrieveBatch" && strings.HasPrefix(path, "/transactions/0") {
							require.Equal(t, 3, paid+unknown, "a row that is wrong fails alone: %v", err)
							require.GreaterOrEqual(t, paid, 2)
							require.Equal(t, paid == 3, err == nil && strings.Contains(fmt.Sprint(report.Results),
								"look-up: "), "only a look-up settles it")
						}
					})
				})
			}
		}
	}
}

// One account has one name, however its host is spelt, and the limit of the
// sandbox goes by it.
func TestOneNameForAnAccount(t *testing.T) {
	info := func(url, account string) batch.Info {
		return newProvider(t, citypay.Config{ClientID: "PC1", LicenceKey: "canary-1", BaseURL: url},
			citypay.ProviderConfig{MerchantID: 1, Currency: "GBP", Account: account}).Info()
	}
	for account, urls := range map[string][]string{
		"sandbox/PC1": {"", citypay.Sandbox, "https://sandbox.citypay.com/", "https://SANDBOX.CityPay.com",
			"https://sandbox.citypay.com:443",
			"https://sandbox.citypay.com.", "HTTPS://sandbox.citypay.com.:443/"},
		"production/PC1":           {citypay.Production, "https://api.citypay.com/", "https://API.citypay.com.:443"},
		"citypay.test:8443/up/PC1": {"https://citypay.test:8443/up", "https://CityPay.test.:8443/up/"},
	} {
		for _, url := range urls {
			got := info(url, "")
			require.Equal(t, account, got.Account, url)
			require.Equal(t, map[bool]int{true: 100, false: 10_000}[account == "sandbox/PC1"], got.MaxItems, url)
		}
	}
	require.Equal(t, "fees", info(citypay.Production, "fees").Account)
	require.Equal(t, info(citypay.Sandbox, "fees").Account, info("https://elsewhere.test", "fees").Account)
}

// Whatever a configuration decides about money is in Info, and a journal keeps
// it: every field is in the account, in the terms, or here with the reason why
// it is harmless.
func TestWhatTheConfigurationDecides(t *testing.T) {
	harmless := map[string]string{
		"LicenceKey":         "goes with the client id",
		"HTTPClient":         "how requests travel",
		"Middleware":         "how requests travel",
		"Logger":             "what is logged",
		"BatchID":            "the number is in the handle, and Submit holds the function against it",
		"FirstBatchID":       "the number is in the draft that the journal keeps",
		"DuplicateIDRefused": "what Run may send again, not what is charged",
		"AbsentMeansUnused":  "which answer means that a number was never used",
		"CheckAccounts":      "which batches are refused before anything is sent",
		"MaxItems":           "which drafts are refused",
	}
	values := map[string]any{"ClientID": "PC2", "LicenceKey": "other", "BaseURL": "https://other.test",
		"HTTPClient": &http.Client{},
		"Middleware": func(next http.RoundTripper) http.RoundTripper { return next }, "Logger": slog.Default(),
		"MerchantID": int64(2), "Currency": "EUR", "ClientAccountID": "AC1", "Account": "other",
		"BatchID": func(string) (int64, error) { return 1, nil }, "FirstBatchID": int64(7), "DuplicateIDRefused": true,
		"AbsentMeansUnused": true, "CheckAccounts": true, "MaxItems": 7}
	info := func(field string) batch.Info {
		c, o := citypay.Config{ClientID: "PC1", LicenceKey: "key"},
			citypay.ProviderConfig{MerchantID: 1, Currency: "GBP"}
		for _, v := range []reflect.Value{reflect.ValueOf(&c).Elem(), reflect.ValueOf(&o).Elem()} {
			if f := v.FieldByName(field); f.IsValid() {
				f.Set(reflect.ValueOf(values[field]))
			}
		}
		return newProvider(t, c, o).Info()
	}
	plain := info("")
	for _, v := range []any{citypay.Config{}, citypay.ProviderConfig{}} {
		for n := range reflect.TypeOf(v).NumField() {
			field := reflect.TypeOf(v).Field(n).Name
			require.Contains(t, values, field, "a new field: say here what it decides")
			changed := info(field)
			kept := changed.Account != plain.Account || !maps.Equal(changed.Terms, plain.Terms)
			require.NotEqual(t, kept, harmless[field] != "", field)
		}
	}
	require.Equal(t, map[string]string{"merchant": "1", "client_account": "", "currency": "GBP"}, plain.Terms)
	plain.Terms["merchant"] = "2"
	require.Equal(t, "1", info("").Terms["merchant"])
}

// Whatever a reply repeats, no credential reaches an error, a batch or a
// result, and no control character does.
func TestHostileWords(t *testing.T) {
	const canary = "CANARY-licence-77"
	hostile := "\x1b[2J " + canary + " " + base64.StdEncoding.EncodeToString([]byte(canary)) +
		strings.Repeat(" long", 10_000)
	quoted, err := json.Marshal(hostile)
	require.NoError(t, err)
	long := string(quoted)
	fits := func(t *testing.T, v any) {
		t.Helper()
		text := fmt.Sprint(v)
		require.NotContains(t, text, "CANARY")
		require.NotContains(t, text, base64.StdEncoding.EncodeToString([]byte(canary))[:12])
		require.NotContains(t, text, "\x1b")
		require.Less(t, len(text), 20_000)
	}
	row := `{"account_id":"account-1","identifier":"item-a","merchantid":11223344,"message":` + long +
		`,"result":1,"result_code":"000","amount":100}`
	report := func(status, rows string) batchsim.Reply {
		return batchsim.JSON(200, `{"batch_id":35,"batch_status":`+status+`,"client_account_id":`+long+
			`,"transactions":[`+rows+`]}`)
	}
	for name, reply := range map[string]batchsim.Reply{
		"a message":     report(`"COMPLETE"`, row),
		"a status":      report(long, row),
		"an identifier": report(`"COMPLETE"`, strings.Replace(row, `"item-a"`, long, 1)),
		"an account":    report(`"COMPLETE"`, strings.Replace(row, `"account-1"`, long, 1)),
		"a code":        report(`"COMPLETE"`, strings.Replace(row, `"000"`, long, 1)),
		"a result":      report(`"COMPLETE"`, strings.Replace(row, `"result":1`, `"result":`+long, 1)),
		"a refusal":     batchsim.JSON(422, `{"code":"B004","message":`+long+`,"context":`+long+`}`),
	} {
		t.Run(name, func(t *testing.T) {
			server := citypaytest.New(&citypaytest.Options{LicenceKey: canary})
			t.Cleanup(server.Close)
			server.Inject(batchsim.Fault{Op: "RetrieveBatch", Phase: batchsim.AfterApply,
				Act: batchsim.Answer, Reply: reply})
			p := newProvider(t, server.Config(), citypay.ProviderConfig{})
			for _, s := range []batch.State{batch.StateDone, batch.StatePending} {
				got, err := p.Report(t.Context(), twoItems("35", s))
				require.Error(t, err)
				fits(t, err)
				fits(t, got.Batch)
				for _, result := range append(got.Results, got.Unmatched...) {
					require.NotEqual(t, batch.OutcomePaid, result.Outcome)
					result.Native = nil // as it came
					fits(t, result)
				}
			}
			server.Inject(batchsim.Fault{Op: "BatchStatus", Phase: batchsim.AfterApply, Act: batchsim.Answer,
				Reply: batchsim.JSON(200, `{"batches":[{"batch_id":35,"batch_status":`+long+`}]}`)})
			polled, err := p.Poll(t.Context(), twoItems("35", batch.StatePending))
			require.NoError(t, err)
			fits(t, polled)
			_, err = p.Submit(t.Context(), twoItems("35", batch.StateDraft))
			require.ErrorIs(t, err, batch.ErrConflict)
			fits(t, err)
		})
	}
}

// A test transaction takes no money, so in production it is not paid.
func TestATestTransactionIsNotPaidInProduction(t *testing.T) {
	for url, want := range map[string]batch.Outcome{citypay.Sandbox: batch.OutcomePaid,
		"https://citypay.test":     batch.OutcomePaid,
		"https://API.citypay.com/": batch.OutcomeUnknown} {
		doubt := false
		p := newProvider(t, citypay.Config{ClientID: "PC1", LicenceKey: "key", BaseURL: url,
			Middleware: func(http.RoundTripper) http.RoundTripper {
				return roundTrip(func(r *http.Request) (*http.Response, error) {
					row :=
						`{"identifier":"item-%s","merchantid":11223344,"result":1,"result_code":"001","amount":%d,"transno":78416}`
					body := `{"batch_id":35,"batch_status":"COMPLETE","transactions":[` + fmt.Sprintf(row, "a", 100) +
						"," + fmt.Sprintf(row, "b", 250) + `]}`
					// The last report is in doubt, and this look-up would settle item-b.
					if r.URL.Path == "/v6/retrieve" {
						body = `{"auths":[` + clean + `]}`
					} else if doubt {
						body = strings.ReplaceAll(body, `"result":1`, `"result":20`)
					}
					return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
						Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
				})
			}}, citypay.ProviderConfig{})
		report, err := p.Report(t.Context(), twoItems("35", batch.StateDone))
		require.Equal(t, 2, report.Totals[want].Count, url)
		if want == batch.OutcomeUnknown {
			require.ErrorContains(t, err, "is that of a test, and this is production")
		}
		doubt = true
		report, err = p.Report(t.Context(), twoItems("35", batch.StateDone))
		require.NoError(t, err)
		require.Equal(t, want, report.Results[1].Outcome, url)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
