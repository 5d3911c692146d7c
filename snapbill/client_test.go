package snapbill_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"gopkg.in/h2non/gock.v1"
	"pgregory.net/rapid"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/internal/rest"
	"github.com/batchway/batchway-go/internal/simkit"
	"github.com/batchway/batchway-go/snapbill"
	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

const host = "https://snapbill.test"

// mocked returns a client whose requests go to gock, and nowhere else. Gock is
// global, so these tests never run in parallel.
func mocked(t *testing.T) *snapbill.Client {
	t.Helper()
	t.Setenv("SEQUENTIAL", "yes") // makes t.Parallel panic
	gock.DisableNetworking()
	t.Cleanup(func() {
		require.True(t, gock.IsDone(), "a request that was expected did not come")
		require.Empty(t, gock.GetUnmatchedRequests())
		gock.OffAll()
	})
	return newClient(t, snapbill.Config{Username: "user", Password: "pass", BaseURL: host + "/v1", HTTPClient: &http.Client{Transport: gock.NewTransport()}})
}

// expect arranges the exchange of a sample: the request must be as it is.
func expect(t *testing.T, s sample) {
	t.Helper()
	exchange := gock.New(host)
	path := "^/v1" + regexp.QuoteMeta(s.Path) + "$"
	if s.Method == "GET" {
		exchange.Get(path)
	} else {
		exchange.Post(path).MatchHeader("Content-Type", "^application/x-www-form-urlencoded$")
	}
	exchange.MatchHeader("Accept", "^application/json$").
		MatchHeader("Authorization", "^Basic dXNlcjpwYXNz$").
		AddMatcher(func(r *http.Request, _ *gock.Request) (bool, error) {
			var body []byte
			if r.Body != nil {
				var err error
				if body, err = io.ReadAll(r.Body); err != nil {
					return false, err
				}
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
			want, err := url.ParseQuery(s.Form)
			require.NoError(t, err)
			got, err := url.ParseQuery(string(body))
			require.NoError(t, err)
			for _, page := range []string{"page", "perpage"} {
				want.Del(page)
				got.Del(page)
			}
			require.Equal(t, want, got, "the form of %s", s.Path)
			return true, nil
		})
	reply := exchange.Reply(s.Status)
	if s.Text != "" {
		reply.SetHeader("Content-Type", "text/html").BodyString(s.Text)
	} else {
		reply.SetHeader("Content-Type", "application/json").BodyString(string(s.Body))
	}
}

func first[T any](seq func(func(T, error) bool)) (any, error) {
	for v, err := range seq {
		return v, err
	}
	return nil, nil
}

// Every captured call goes out as it was sent then, and its reply is
// understood.
func TestShapes(t *testing.T) {
	all := samples(t)
	for name, call := range map[string]func(context.Context, *snapbill.Client) (any, error){
		"batch_get":                 func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "1500") },
		"batch_get_by_xid":          func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "Clw:Xc") },
		"batch_get_ok_mixed":        func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "1500") },
		"batch_get_error":           func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "1502") },
		"batch_get_v2012_reseller":  func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "BcV:Bu") },
		"batch_get_v2012_submitted": func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "Bad:D") },
		"batch_get_v2013_ready":     func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "1232") },
		"batch_list": func(ctx context.Context, c *snapbill.Client) (any, error) {
			return first(c.ListBatches(ctx, snapbill.ListBatchesOptions{}))
		},
		"batch_add": func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddBatch(ctx, snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: "2014-09-15"})
		},
		"payment_list": func(ctx context.Context, c *snapbill.Client) (any, error) {
			return first(c.ListPayments(ctx, snapbill.ListPaymentsOptions{}))
		},
		"payment_get":          func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetPayment(ctx, "932850") },
		"payment_get_no_batch": func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetPayment(ctx, "932860") },
		"client_get":           func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetClient(ctx, "158975") },
		"client_add": func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddClient(ctx, snapbill.CustomerFields{FirstName: "jane", Email: "jane@example.com"})
		},
		"client_list": func(ctx context.Context, c *snapbill.Client) (any, error) {
			return first(c.ListClients(ctx, snapbill.ListClientsOptions{Query: "josh"}))
		},
		"client_generate_invoice":             func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GenerateInvoice(ctx, "158958") },
		"client_generate_invoice_nothing_due": func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GenerateInvoice(ctx, "158958") },
		"invoice_get":                         func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetInvoice(ctx, "1055387") },
		"payment_method_get":                  func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetPaymentMethod(ctx, "other") },
		"payment_method_list":                 func(ctx context.Context, c *snapbill.Client) (any, error) { return first(c.ListPaymentMethods(ctx)) },
		"currency_list":                       func(ctx context.Context, c *snapbill.Client) (any, error) { return first(c.ListCurrencies(ctx)) },
		"account_current":                     func(ctx context.Context, c *snapbill.Client) (any, error) { return c.CurrentAccount(ctx) },
		"action_get":                          func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetAction(ctx, "1062") },
		"action_get_empty_details":            func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetAction(ctx, "10883476") },
		"action_list":                         func(ctx context.Context, c *snapbill.Client) (any, error) { return first(c.ListActions(ctx)) },
		"discovery_index":                     func(ctx context.Context, c *snapbill.Client) (any, error) { return c.Index(ctx, "client", "") },
		"discovery_form":                      func(ctx context.Context, c *snapbill.Client) (any, error) { return c.Form(ctx, "client", "", "add") },
	} {
		t.Run(name, func(t *testing.T) {
			client := mocked(t)
			require.Contains(t, all, name)
			expect(t, all[name])
			got, err := call(t.Context(), client)
			require.NoError(t, err)
			if name == "client_generate_invoice_nothing_due" {
				require.Nil(t, got, "nothing is due: no invoice")
				return
			}
			require.NotNil(t, got)
		})
	}
}

// bubble runs a test in virtual time: reads that fail are repeated after a
// while.
func bubble(t *testing.T, o snapbilltest.Options, f func(*testing.T, *snapbilltest.Server, *snapbill.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.InMemory = true
		server := snapbilltest.New(&o)
		defer server.Close()
		client := newClient(t, server.Config())
		defer client.CloseIdleConnections()
		f(t, server, client)
	})
}

// always makes every call of op answer with a body.
func always(server *snapbilltest.Server, op, body string) {
	server.Heal()
	server.Inject(simkit.Fault{Op: op, Phase: simkit.BeforeApply, Act: simkit.Answer, Reply: simkit.JSON(200, body)})
}

// Accepted is not applied: what was captured proves it, and is told.
func TestIgnoredFieldsAreTold(t *testing.T) {
	all := samples(t)
	client := mocked(t)
	expect(t, all["client_update"])
	updated, err := client.UpdateClient(t.Context(), "158975", snapbill.CustomerFields{Company: "helkom", State: "suspended"})
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, []string{`state: is "active" at the service, and "suspended" was asked for`}, faultsOf(t, err))
	require.Equal(t, "helkom", string(updated.Company), "the client is returned beside it")

	expect(t, all["client_add_invoice"])
	invoice, err := client.AddInvoice(t.Context(), "158958", snapbill.AddInvoice{Date: "2013-01-07", Lines: []snapbill.AddLine{
		{Description: "rolls", UnitCost: "1.12", Quantity: "13"}, {Description: "chips", UnitCost: "20", Quantity: "1"}}})
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, []string{`date: is "2014-08-22" at the service, and "2013-01-07" was asked for`}, faultsOf(t, err))
	require.Equal(t, snapbill.Int(3456), invoice.TotalCents)
}

func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	var faults []string
	for _, fault := range e.Fields {
		faults = append(faults, fault.Error())
	}
	return faults
}

// Each way in which a call can fail, as a read and as a call that moves money.
func TestFailures(t *testing.T) {
	all := samples(t)
	fake := func(status int, body string) sample { return sample{Status: status, Body: []byte(body)} }
	for name, c := range map[string]struct {
		reply sample
		read  batch.Kind
		once  batch.Kind
		text  string
	}{
		"a form error":                     {all["error_form_400"], batch.ErrInvalid, batch.ErrInvalid, "action_date: Invalid date"},
		"an error of no field":             {all["error_form_general_key"], batch.ErrInvalid, batch.ErrInvalid, "Batch is still being built"},
		"errors that are an empty array":   {all["error_errors_empty_array"], batch.ErrInvalid, batch.ErrInvalid, "Unknown payment method"},
		"not found":                        {all["error_not_found_404"], batch.ErrNotFound, batch.ErrNotFound, "Not found"},
		"not found, in a 200":              {all["error_body_code_http_200"], batch.ErrNotFound, batch.ErrNotFound, "Not found"},
		"a failure as it was until 2013":   {all["error_legacy_status_error_http_200"], batch.ErrInvalid, batch.ErrInvalid, "Invalid state"},
		"a gateway's page":                 {all["error_non_json_502"], batch.ErrUnavailable, batch.ErrAmbiguous, ""},
		"an internal error":                {all["error_internal_500"], batch.ErrUnavailable, batch.ErrAmbiguous, "Internal error"},
		"no login":                         {all["error_unauthorized_401"], batch.ErrAuth, batch.ErrAuth, ""},
		"row 80: HTTP 200, body 500":       {fake(200, `{"code":500,"type":"error","message":"x"}`), batch.ErrProtocol, batch.ErrAmbiguous, "the body says 500"},
		"row 80: HTTP 500, body 200":       {fake(500, `{"code":200,"type":"result","status":"ok"}`), batch.ErrUnavailable, batch.ErrAmbiguous, ""},
		"HTTP 400, body 200":               {fake(400, `{"code":200,"type":"result","status":"ok"}`), batch.ErrUnavailable, batch.ErrAmbiguous, "the body says 200"},
		"HTTP 200, status error, body 200": {fake(200, `{"code":200,"type":"result","status":"error"}`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"HTTP 400 with a page":             {fake(400, `<html>`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"row 81: a form":                   {fake(200, `{"code":200,"type":"form","controls":[]}`), batch.ErrProtocol, batch.ErrAmbiguous, `a "form" came back`},
		"a list":                           {fake(200, `{"code":200,"type":"list","class":"batch","list":[]}`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"another class":                    {fake(200, `{"code":200,"type":"item","class":"client","client":{}}`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"an array":                         {fake(200, `[]`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"null":                             {fake(200, `null`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"nothing":                          {fake(200, ``), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"several messages for a field":     {fake(400, `{"code":400,"status":"error","message":"m","errors":{"a":["b","c"]}}`), batch.ErrInvalid, batch.ErrInvalid, "a: b; a: c"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
				answer := simkit.Reply{Status: c.reply.Status, Body: c.reply.Body, Header: http.Header{"Content-Type": {"application/json"}}}
				if c.reply.Text != "" {
					answer.Header, answer.Body = http.Header{"Content-Type": {"text/html"}}, []byte(c.reply.Text)
				}
				for _, op := range []string{"CurrentAccount", "UpdateBatch"} {
					server.Inject(simkit.Fault{Op: op, Phase: simkit.BeforeApply, Act: simkit.Answer, Reply: answer})
				}
				_, err := client.CurrentAccount(t.Context())
				require.ErrorIs(t, err, c.read)
				require.ErrorContains(t, err, c.text)
				_, err = client.UpdateBatch(t.Context(), "1501", snapbill.UpdateBatch{State: snapbill.BatchSubmit})
				require.ErrorIs(t, err, c.once)
				require.ErrorContains(t, err, c.text)
				require.Equal(t, 1, server.Log.Count("UpdateBatch"))
			})
		})
	}
}

// Row 64: cents and decimals must agree.
func TestRow64CentsAndDecimals(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		for amount, wrong := range map[string]bool{"500.01": false, "500.00": true, "50001.00": true, "five": true, "500.014": true} {
			always(server, "GetPayment", fmt.Sprintf(`{"code":200,"type":"item","class":"payment","payment":{"id":5,"state":"paid","amount":%q,"amount_cents":50001}}`, amount))
			_, err := client.GetPayment(t.Context(), "5")
			if !wrong {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, batch.ErrProtocol, amount)
			require.ErrorContains(t, err, "they do not agree")
		}
		always(server, "GetBatch", `{"code":200,"type":"item","class":"batch","batch":{"id":5,"state":"ok","totals":{"total":"-1"},"amounts_cents":{"total":1}}}`)
		_, err := client.GetBatch(t.Context(), "5")
		require.ErrorContains(t, err, "negative", "row 65: no count is below zero")
	})
}

// Row 83: the reply must be about the object that was asked for.
func TestRow83AnotherObject(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		for _, body := range []string{`{"id":1501,"xid":"Clw:Xd","state":"ok"}`, `{"id":1500,"xid":"Clw:Xd","state":"ok"}`, `{"id":1500,"xid":"nonsense","state":"ok"}`,
			`{"xid":"Clw:Xc","state":"ok"}`, `{"id":1500}`, `null`} {
			always(server, "GetBatch", `{"code":200,"type":"item","class":"batch","batch":`+body+`}`)
			_, err := client.GetBatch(t.Context(), "1500")
			require.ErrorIs(t, err, batch.ErrProtocol, body)
		}
	})
}

func TestAddresses(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	for _, id := range []string{"", "0", "-1", "1/2", "../client", "a:b:c", "1500.json", "Clw:", ":Xc", "12345678901", "1500?post"} {
		_, err := client.GetBatch(t.Context(), id)
		require.ErrorIs(t, err, batch.ErrInvalid, id)
	}
	require.Zero(t, server.Log.Count(""))
}

// Never a state that only the system sets.
func TestStatesThatOnlyTheSystemSets(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	for _, state := range []snapbill.BatchState{"", "submitted", "ok", "error", "build", "ready", "SUBMIT", "dead "} {
		_, err := client.UpdateBatch(t.Context(), "1500", snapbill.UpdateBatch{State: state})
		require.ErrorIs(t, err, batch.ErrInvalid, state)
		_, err = client.SetBatchState(t.Context(), "1500", state)
		require.ErrorIs(t, err, batch.ErrInvalid, state)
	}
	require.Zero(t, server.Log.Count(""))
}

func TestListsReadEveryPage(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	for n := range 250 {
		server.Bill(fmt.Sprintf("%03d", n), "2030-01-01", 100)
	}
	id := server.NewBatch("2030-01-01")
	var numbers []string
	for p, err := range client.ListPayments(t.Context(), snapbill.ListPaymentsOptions{BatchID: snapbill.Int(id)}) {
		require.NoError(t, err)
		numbers = append(numbers, p.Client.Number)
	}
	require.Len(t, numbers, 250)
	require.Equal(t, 3, server.Log.Count("ListPayments"))
}

func TestListsThatDoNotHold(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		collect := func(pages ...string) (ids []snapbill.Int, err error) {
			server.Heal()
			for n, rows := range pages {
				server.Inject(simkit.Fault{Op: "ListActions", Nth: n + 1, Phase: simkit.BeforeApply, Act: simkit.Answer, Reply: simkit.JSON(200, `{"code":200,"type":"list","class":"action",`+rows+`}`)})
			}
			for a, failed := range client.ListActions(t.Context()) {
				if failed != nil {
					return ids, failed
				}
				ids = append(ids, a.ID)
			}
			return ids, nil
		}
		ids, err := collect(`"page":1,"numpages":3,"list":[{"id":1},{"id":2}]`, `"page":2,"numpages":3,"list":[{"id":2},{"id":3}]`, `"page":3,"numpages":3,"list":[{"id":4}]`)
		require.NoError(t, err)
		require.Equal(t, []snapbill.Int{1, 2, 3, 4}, ids, "a list that has shifted shows a row again")
		for _, second := range []string{`[]`, `[{"id":1}]`} {
			ids, err = collect(`"page":1,"numpages":9,"list":[{"id":1}]`, `"page":2,"numpages":9,"list":`+second)
			require.ErrorIs(t, err, batch.ErrProtocol, "seven pages are missing")
			require.Equal(t, []snapbill.Int{1}, ids)
		}
		ids, err = collect(`"page":1,"numpages":0,"list":[]`)
		require.NoError(t, err)
		require.Empty(t, ids)
		for _, page := range []string{`"page":1,"numpages":1`, `"page":1,"numpages":1,"list":null`, `"page":2,"numpages":3,"list":[{"id":1}]`, `"numpages":3,"list":[{"id":1}]`, `"page":1,"list":[]`, `"page":1,"numpages":1,"list":{}`, `"page":1,"numpages":1,"list":[{"id":0}]`} {
			_, err = collect(page, page, page)
			require.ErrorIs(t, err, batch.ErrProtocol, page)
		}
	})
}

func TestFiltersAreNotTrusted(t *testing.T) {
	bubble(t, snapbilltest.Options{IgnoresFilters: true}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		server.Bill("001", "2030-01-01", 100)
		server.Bill("002", "2030-02-01", 200)
		one, two := server.NewBatch("2030-01-01"), server.NewBatch("2030-02-01")
		require.NotEqual(t, one, two)
		ctx := t.Context()
		for name, seq := range map[string]func() (any, error){
			"batch_id": func() (any, error) {
				return last(client.ListPayments(ctx, snapbill.ListPaymentsOptions{BatchID: snapbill.Int(one)}))
			},
			"client_id": func() (any, error) {
				return last(client.ListPayments(ctx, snapbill.ListPaymentsOptions{ClientID: 158958}))
			},
			"state": func() (any, error) {
				return last(client.ListBatches(ctx, snapbill.ListBatchesOptions{States: []snapbill.BatchState{"ok"}}))
			},
			"submit_date": func() (any, error) {
				return last(client.ListBatches(ctx, snapbill.ListBatchesOptions{SubmitDate: "2030-01-01"}))
			},
		} {
			_, err := seq()
			require.ErrorIs(t, err, batch.ErrProtocol, name)
			require.ErrorContains(t, err, "the filter "+name)
		}
	})
}

func last[T any](seq func(func(T, error) bool)) (v any, err error) {
	for v, err = range seq {
		if err != nil {
			return v, err
		}
	}
	return v, err
}

// A form comes out at the other end as it went in, whatever it holds.
func TestForms(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	var sent int
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ -~é&=+%\[\]]{1,20}`)
		f := snapbill.CustomerFields{FirstName: text.Draw(rt, "firstname"), Email: text.Draw(rt, "email"), Data: map[string]string{"vat_number": text.Draw(rt, "vat")}}
		_, _ = client.AddClient(context.Background(), f)
		sent++
		requests := server.Log.Requests("AddClient")
		form, err := url.ParseQuery(string(requests[len(requests)-1].Body))
		if err != nil {
			rt.Fatal(err)
		}
		want := url.Values{"firstname": {f.FirstName}, "email": {f.Email}, "data-vat_number": {f.Data["vat_number"]}}
		if form.Encode() != want.Encode() {
			rt.Fatalf("%v arrived as %v", want, form)
		}
	})
	require.Positive(t, sent)
}

func TestAroundABatch(t *testing.T) {
	server := snapbilltest.New(&snapbilltest.Options{WithoutObject: true})
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	ctx := t.Context()
	jane, err := client.AddClient(ctx, snapbill.CustomerFields{Number: "018", FirstName: "jane"})
	require.NoError(t, err)
	_, err = client.AddClient(ctx, snapbill.CustomerFields{Number: "018", FirstName: "jane"})
	require.ErrorIs(t, err, batch.ErrInvalid, "the number is taken")
	_, err = client.AddClient(ctx, snapbill.CustomerFields{Email: "x"})
	require.ErrorIs(t, err, batch.ErrInvalid)
	id := fmt.Sprint(int64(jane.ID))
	jane, err = client.UpdateClient(ctx, id, snapbill.CustomerFields{Company: "helkom"})
	require.NoError(t, err)
	require.Equal(t, "helkom", string(jane.Company), "read anew where the reply holds no object")
	_, err = client.UpdateClient(ctx, id, snapbill.CustomerFields{})
	require.ErrorIs(t, err, batch.ErrInvalid)
	_, err = client.AddInvoice(ctx, id, snapbill.AddInvoice{Lines: []snapbill.AddLine{{UnitCost: "1.125", Quantity: "x"}}})
	require.Len(t, faultsOf(t, err), 2)
	_, err = client.AddInvoice(ctx, id, snapbill.AddInvoice{})
	require.Equal(t, []string{"lines: there are none"}, faultsOf(t, err))
	invoice, err := client.AddInvoice(ctx, id, snapbill.AddInvoice{Lines: []snapbill.AddLine{{Description: "x", UnitCost: "1.12", Quantity: "13"}}})
	require.NoError(t, err)
	require.Equal(t, snapbill.Int(1456), invoice.TotalCents)
	got, err := client.GetInvoice(ctx, fmt.Sprint(int64(invoice.ID)))
	require.NoError(t, err)
	require.Equal(t, invoice.Number, got.Number)
	_, err = last(client.ListInvoices(ctx, jane.ID))
	require.NoError(t, err)
	currency, err := client.GetCurrency(ctx, "ZAR")
	require.NoError(t, err)
	require.Equal(t, "ZAR", currency.Code)
	_, err = client.GetCurrency(ctx, "XXX")
	require.ErrorIs(t, err, batch.ErrNotFound)

	b := fmt.Sprint(server.NewBatch("2030-01-01"))
	moved, err := client.UpdateBatch(ctx, b, snapbill.UpdateBatch{ActionDate: "2030-01-05"})
	require.NoError(t, err)
	require.Equal(t, snapbill.Date("2030-01-05"), moved.ActionDate)
	index, err := client.Index(ctx, "batch", b)
	require.NoError(t, err)
	require.Contains(t, index, "update")
	controls, err := client.Form(ctx, "batch", b, "update")
	require.NoError(t, err)
	require.Equal(t, "state", controls[1].Name)
	_, err = client.Form(ctx, "batch", "", "../client")
	require.ErrorIs(t, err, batch.ErrInvalid)
	require.Empty(t, server.Accepted(), "none of this debits anybody")
}

func TestNewChecksItsConfiguration(t *testing.T) {
	const secret = "canary\r\nX-Evil: 1"
	for field, c := range map[string]snapbill.Config{
		"Username: is empty":      {Password: "p", BaseURL: host},
		"Username: must not hold": {Username: "a:b", Password: "p", BaseURL: host},
		"Password":                {Username: "u", Password: secret, BaseURL: host},
		"BaseURL: is required":    {Username: "u", Password: "p"},
		"BaseURL: must be https":  {Username: "u", Password: "p", BaseURL: "http://api.snapbill.com/v1"},
	} {
		_, err := snapbill.New(c)
		require.ErrorIs(t, err, batch.ErrInvalid)
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestNothingShowsASecret(t *testing.T) {
	c := snapbill.Config{Username: "demo", Password: "canary-5512", BaseURL: host}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c)
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprint(&c), log.String()} {
		require.NotContains(t, text, "canary")
		require.NotContains(t, text, fmt.Sprintf("%x", "canary"))
		require.Contains(t, text, "demo")
	}
	customer := snapbill.Customer{URLs: snapbill.Map[snapbill.Link]{"statement": "https://canary"}}
	require.NotContains(t, fmt.Sprintf("%v %+v", customer, customer), "canary", "a link logs in whoever has it")
}

// The table of operations is the audit: each one is answered by the simulator
// under its method and path, and two of them can move money.
func TestOperations(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	plain := server.Config().HTTPClient
	defer plain.CloseIdleConnections()
	named := map[string]string{"ObjectIndex": "Form"} // One pattern serves both.
	for _, op := range snapbill.Operations {
		path := strings.NewReplacer("{id}", "1500", "{class}", "batch", "{command}", "add", "{code}", "other").Replace(op.Path)
		want := op.Name
		if named[want] != "" {
			want = named[want]
		}
		before := server.Log.Count(want)
		req, err := http.NewRequestWithContext(t.Context(), op.Method, server.URL+"/v1"+path, http.NoBody)
		require.NoError(t, err)
		reply, err := plain.Do(req)
		require.NoError(t, err)
		_ = reply.Body.Close()
		require.Equal(t, before+1, server.Log.Count(want), "%s %s is not what the service calls %s", op.Method, op.Path, op.Name)
	}
	source, err := os.ReadFile("ops.go")
	require.NoError(t, err)
	marked := regexp.MustCompile(`(?m)^\s*op(\w+) .*// moves money$`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, marked, 2, "operations that can move money")
	for _, op := range snapbill.Operations {
		read := op.Method == http.MethodGet || regexp.MustCompile(`^(Get|List|Current)`).MatchString(op.Name)
		require.Equal(t, read, op.Safety == rest.Repeatable, "%s may be repeated if and only if it reads", op.Name)
	}
}
