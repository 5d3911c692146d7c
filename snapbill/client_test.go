package snapbill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/h2non/gock.v1"
	"pgregory.net/rapid"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/batch/batchsim"
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
		defer gock.OffAll()
		defer gock.CleanUnmatchedRequest()
		require.True(t, gock.IsDone(), "a request that was expected did not come")
		require.Empty(t, gock.GetUnmatchedRequests())
	})
	return newClient(t, snapbill.Config{Username: "user", Password: "pass", BaseURL: host + "/v1",
		Middleware: func(http.RoundTripper) http.RoundTripper { return gock.NewTransport() }})
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

// rows are the first n of a list: a page of it, and no more.
func rows[T any](seq func(func(T, error) bool), n int) (all []T, err error) {
	for v, err := range seq {
		if err != nil {
			return all, err
		}
		if all = append(all, v); len(all) == n {
			break
		}
	}
	return all, nil
}

// readBack arranges that the batch of an update is read afterwards, as it is
// in the reply to another.
func readBack(t *testing.T, s, like sample) {
	t.Helper()
	var reply map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(like.Body, &reply))
	require.NotEmpty(t, reply["batch"])
	expect(t, sample{Method: "POST", Path: regexp.MustCompile(`/[a-z_]+\.json$`).ReplaceAllString(s.Path, "/get.json"),
		Status: 200,
		Body:   []byte(`{"code":200,"type":"item","class":"batch","batch":` + string(reply["batch"]) + `}`)})
}

// Every captured call goes out as it was sent then, and its reply is
// understood: what comes out is what it holds.
func TestShapes(t *testing.T) {
	type call = func(context.Context, *snapbill.Client) (any, error)
	const tries = 3 // of a read
	all := samples(t)
	getBatch := func(id string) call {
		return func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, id) }
	}
	update := func(id string, u snapbill.UpdateBatch) call {
		return func(ctx context.Context, c *snapbill.Client) (any, error) { return c.UpdateBatch(ctx, id, u) }
	}
	submit := update("1501", snapbill.UpdateBatch{State: snapbill.BatchSubmit})
	addClient := func(name string) call {
		return func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddClient(ctx, snapbill.CustomerFields{FirstName: name, Email: name + "@example.com"})
		}
	}
	listBatches := func(o snapbill.ListBatchesOptions, n int) call {
		return func(ctx context.Context, c *snapbill.Client) (any, error) { return rows(c.ListBatches(ctx, o), n) }
	}
	listPayments := func(o snapbill.ListPaymentsOptions, n int) call {
		return func(ctx context.Context, c *snapbill.Client) (any, error) { return rows(c.ListPayments(ctx, o), n) }
	}
	exchanges := map[string]struct {
		call  call
		like  string // for a change of a batch: the sample that says how it is read afterwards
		kind  batch.Kind
		text  string
		times int  // a reply that makes no sense is asked for again
		empty bool // nothing is returned
	}{
		"batch_get":                 {call: getBatch("1500")},
		"batch_get_by_xid":          {call: getBatch("Clw:Xc")},
		"batch_get_ok_mixed":        {call: getBatch("1500")},
		"batch_get_error":           {call: getBatch("1502")},
		"batch_get_v2012_reseller":  {call: getBatch("BcV:Bu")},
		"batch_get_v2012_submitted": {call: getBatch("Bad:D")},
		"batch_get_v2013_ready":     {call: getBatch("1232")},
		"batch_list":                {call: listBatches(snapbill.ListBatchesOptions{}, 0)},
		"batch_list_empty": {
			call: listBatches(snapbill.ListBatchesOptions{States: []snapbill.BatchState{"submit"}}, 0)},
		"batch_list_filtered": {call: listBatches(snapbill.ListBatchesOptions{States: []snapbill.BatchState{"ready"},
			PaymentMethod: "netcash", SubmitDate: "2014-08-19"}, 0),
			// Its row was never submitted.
			kind: batch.ErrProtocol, text: "the filter submit_date excludes", empty: true},
		"batch_add": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddBatch(ctx, snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: "2014-09-15"})
		}},
		"batch_update_action_date": {call: update("1501", snapbill.UpdateBatch{ActionDate: "2014-09-05"}),
			like: "batch_update_action_date"},
		"batch_update_v2012_no_object": {call: update("1501", snapbill.UpdateBatch{ActionDate: "2014-09-05"}),
			like: "batch_update_action_date"},
		"batch_update_state_submit": {call: submit, like: "batch_update_state_submit"},
		"batch_update_state_ignored": {call: submit, like: "batch_update_state_ignored", kind: batch.ErrAmbiguous,
			text: "the batch is still ready"},
		"batch_update_state_dead": {call: update("1501", snapbill.UpdateBatch{State: snapbill.BatchDead}),
			like: "batch_update_state_dead"},
		"batch_set_state": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.SetBatchState(ctx, "Clw:Xd", snapbill.BatchSubmit)
		}, like: "batch_update_state_submit"},
		"payment_list":          {call: listPayments(snapbill.ListPaymentsOptions{}, 2)},
		"payment_list_by_batch": {call: listPayments(snapbill.ListPaymentsOptions{BatchID: 1500}, 0)},
		"payment_list_filter_ignored": {call: listPayments(snapbill.ListPaymentsOptions{BatchID: 1501}, 0),
			kind: batch.ErrProtocol, text: "the filter batch_id excludes", empty: true},
		"payment_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetPayment(ctx, "932850")
		}},
		"payment_get_no_batch": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetPayment(ctx, "932860")
		}},
		"client_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetClient(ctx, "158975")
		}},
		"client_add":       {call: addClient("jane")},
		"client_add_v2012": {call: addClient("josh")},
		"client_update": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.UpdateClient(ctx, "158975", snapbill.CustomerFields{Company: "helkom", State: "suspended"})
		}, kind: batch.ErrProtocol, text: `state: is "active" at the service`},
		"client_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListClients(ctx, snapbill.ListClientsOptions{Query: "josh"}), 0)
		}},
		"client_add_invoice": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddInvoice(ctx, "158958", snapbill.AddInvoice{Date: "2013-01-07", Lines: []snapbill.AddLine{
				{Description: "rolls", UnitCost: "1.12", Quantity: "13"},
				{Description: "chips", UnitCost: "20", Quantity: "1"}}})
		}, kind: batch.ErrProtocol, text: `date: is "2014-08-22" at the service`},
		"client_generate_invoice": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GenerateInvoice(ctx, "158958")
		}},
		"client_generate_invoice_nothing_due": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GenerateInvoice(ctx, "158958")
		}},
		"invoice_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetInvoice(ctx, "1055387")
		}},
		"invoice_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListInvoices(ctx, 0), 2)
		}},
		"payment_method_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetPaymentMethod(ctx, "other")
		}},
		"payment_method_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListPaymentMethods(ctx), 0)
		}},
		"currency_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListCurrencies(ctx), 0)
		}},
		"account_current": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.CurrentAccount(ctx)
		}},
		"action_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetAction(ctx, "1062")
		}},
		"action_get_empty_details": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetAction(ctx, "10883476")
		}},
		"action_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListActions(ctx), 0)
		}},
		"discovery_index": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.Index(ctx, "client", "")
		}},
		"discovery_form": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.Form(ctx, "client", "", "add")
		}},

		"payment_details_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetPaymentDetails(ctx, "143475")
		}},
		"payment_details_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListPaymentDetails(ctx, 0), 2)
		}},
		"payment_details_update": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.UpdatePaymentDetails(ctx, "143476", "2025-06")
		}},
		"client_add_recurring_invoice": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddRecurringInvoice(ctx, "158958", snapbill.AddRecurringInvoice{First: "2013-06-01",
				Mode: snapbill.DayMonth, Number: 1,
				Lines: []snapbill.AddLine{{Description: "rolls", UnitCost: "5", Quantity: "12"},
					{Description: "cakes", UnitCost: "120", Quantity: "1"}}})
		}},
		"recurring_invoice_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListRecurringInvoices(ctx, 158958), 0)
		}},
		"client_add_service": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddService(ctx, "158958", snapbill.AddService{ServiceTypeID: 596, Package: "Delicious Pancakes",
				Term: 1})
		}},
		"service_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListServices(ctx, snapbill.ListServicesOptions{Name: "Pancake Delivery"}), 0)
		}},
		"service_type_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListServiceTypes(ctx, ""), 0)
		}},
		"package_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListPackages(ctx, 596), 0)
		}},
		"client_add_user": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddUser(ctx, "158958", snapbill.AddUser{Name: "George", Email: "george@example.com"})
		}},
		"user_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListUsers(ctx, snapbill.ListUsersOptions{Username: "george"}), 0)
		}},
		"user_add_session": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddSession(ctx, "2480")
		}},
		"client_lost_password": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.SendLostPassword(ctx, "158975")
		}},
		"country_get": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GetCountry(ctx, "ZA")
		}},
		"country_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListCountries(ctx, "ZA"), 0)
		}},
		"account_list": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return rows(c.ListAccounts(ctx), 0)
		}},

		"error_form_400": {call: update("1501", snapbill.UpdateBatch{ActionDate: "not-a-date"}),
			kind: batch.ErrInvalid, text: "action_date: Invalid date"},
		"error_form_general_key": {call: update("1500", snapbill.UpdateBatch{State: snapbill.BatchSubmit}),
			kind: batch.ErrInvalid, text: "Batch is still being built"},
		"error_errors_empty_array": {call: func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddBatch(ctx, snapbill.AddBatch{PaymentMethodCode: "nope", ActionDate: "2014-09-15"})
		}, kind: batch.ErrInvalid, text: "Unknown payment method"},
		"error_body_code_http_200": {call: getBatch("999999"), kind: batch.ErrNotFound, text: "Not found"},
		"error_non_json_502":       {call: getBatch("1500"), kind: batch.ErrUnavailable, times: tries},
		"error_not_found_404":      {call: getBatch("999999"), kind: batch.ErrNotFound, text: "Not found"},
		"error_internal_500":       {call: submit, kind: batch.ErrAmbiguous, text: "Internal error"},
		"error_unauthorized_401": {call: listBatches(snapbill.ListBatchesOptions{}, 0),
			kind: batch.ErrAuth},
		"error_legacy_status_error_http_200": {call: submit, kind: batch.ErrInvalid, text: "state: Invalid state"},
	}
	elsewhere := map[string]string{
		"payment_list_by_batch_page2":                 "TestASecondPage",
		"webhook_payment_update_state":                "TestWebhooks",
		"webhook_invoice_update_state_string_details": "TestWebhooks",
		"batch_add_form":                              "its reply is not known",
		"client_delete":                               "TestAroundSamples",
		"client_set_payment":                          "TestAroundSamples",
		"client_update_credit":                        "TestCredit",
		"service_remove":                              "TestAroundSamples",
	}
	for name := range all {
		require.True(t, elsewhere[name] != "" || exchanges[name].call != nil, "the sample %s is sent nowhere", name)
	}
	for name, x := range exchanges {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := mocked(t)
				require.Contains(t, all, name)
				s := all[name]
				for range max(x.times, 1) {
					expect(t, s)
				}
				if x.like != "" {
					readBack(t, s, all[x.like])
					s.Body = all[x.like].Body
				}
				got, err := x.call(t.Context(), client)
				require.Equal(t, x.kind, batch.KindOf(err), "%v", err)
				if err != nil {
					require.ErrorContains(t, err, x.text)
				}
				if strings.HasPrefix(name, "error_") || x.empty {
					require.Empty(t, got)
					return
				}
				text, err := json.Marshal(got)
				require.NoError(t, err)
				class, want := wanted(t, s)
				if diff := cmp.Diff(meaning(t, want, class), meaning(t, text, class)); diff != "" {
					t.Errorf("what came out is not what the sample holds (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// wanted is what a call makes of a sample: its object, its list, its index or
// its controls; null for none of them.
func wanted(t *testing.T, s sample) (string, json.RawMessage) {
	t.Helper()
	var reply map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(s.Body, &reply))
	class, _ := objects(t, s)
	for _, key := range []string{"list", class, "index", "controls"} {
		if reply[key] != nil {
			return class, reply[key]
		}
	}
	return class, json.RawMessage("null")
}

// The second page of a list is asked for once the first has been read, and its
// row comes after those of the first.
func TestASecondPage(t *testing.T) {
	all := samples(t)
	client := mocked(t)
	whole, second := all["payment_list_by_batch"], all["payment_list_by_batch_page2"]
	var reply map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(whole.Body, &reply))
	_, texts := objects(t, whole)
	require.Len(t, texts, 4)
	list, err := json.Marshal(texts[:3])
	require.NoError(t, err)
	reply["list"], reply["numpages"] = list, json.RawMessage("2")
	first := whole
	first.Body, err = json.Marshal(reply)
	require.NoError(t, err)
	expect(t, first)
	expect(t, second)
	payments, err := rows(client.ListPayments(t.Context(), snapbill.ListPaymentsOptions{BatchID: 1500}), 0)
	require.NoError(t, err)
	var states []snapbill.PaymentState
	for _, p := range payments {
		states = append(states, p.State)
	}
	require.Equal(t, []snapbill.PaymentState{"paid", "bounce", "refuted", "pending"}, states)
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
	server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
		Reply: batchsim.JSON(200, body)})
}

// Accepted is not applied: what was captured proves it, and is told.
func TestIgnoredFieldsAreTold(t *testing.T) {
	all := samples(t)
	client := mocked(t)
	expect(t, all["client_update"])
	updated, err := client.UpdateClient(t.Context(), "158975", snapbill.CustomerFields{Company: "helkom",
		State: "suspended"})
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, []string{`state: is "active" at the service, and "suspended" was asked for`}, faultsOf(t, err))
	require.Equal(t, "helkom", string(updated.Company), "the client is returned beside it")

	expect(t, all["client_add_invoice"])
	invoice, err := client.AddInvoice(t.Context(), "158958",
		snapbill.AddInvoice{Date: "2013-01-07", Lines: []snapbill.AddLine{
			{Description: "rolls", UnitCost: "1.12", Quantity: "13"},
			{Description: "chips", UnitCost: "20", Quantity: "1"}}})
	require.ErrorIs(t, err, batch.ErrProtocol)
	require.Equal(t, []string{`date: is "2014-08-22" at the service, and "2013-01-07" was asked for`}, faultsOf(t, err))
	require.Equal(t, snapbill.Int(3456), invoice.TotalCents.Value)
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
	const good = `"account":{"id":10608},"batch":{"id":1500,"state":"submit"}`
	for name, c := range map[string]struct {
		reply sample
		read  batch.Kind
		once  batch.Kind
		text  string
	}{
		"a form error": {all["error_form_400"], batch.ErrInvalid, batch.ErrInvalid,
			"action_date: Invalid date"},
		"an error of no field": {all["error_form_general_key"], batch.ErrInvalid, batch.ErrInvalid,
			"Batch is still being built"},
		"errors that are an empty array": {all["error_errors_empty_array"], batch.ErrInvalid, batch.ErrInvalid,
			"Unknown payment method"},
		"not found": {all["error_not_found_404"], batch.ErrNotFound,
			batch.ErrNotFound, "Not found"},
		"not found, in a 200": {all["error_body_code_http_200"], batch.ErrNotFound,
			batch.ErrNotFound, "Not found"},
		"a failure as it was until 2013": {all["error_legacy_status_error_http_200"], batch.ErrInvalid,
			batch.ErrInvalid, "Invalid state"},
		"a gateway's page": {all["error_non_json_502"], batch.ErrUnavailable, batch.ErrAmbiguous, ""},
		"an internal error": {all["error_internal_500"], batch.ErrUnavailable, batch.ErrAmbiguous,
			"Internal error"},
		"what it does not do": {fake(501, `{"code":501,"type":"error","message":"Not implemented"}`),
			batch.ErrUnavailable, batch.ErrAmbiguous, "Not implemented"},
		"no login": {all["error_unauthorized_401"], batch.ErrAuth, batch.ErrAmbiguous, ""},
		"row 80: HTTP 200, body 500": {fake(200, `{"code":500,"type":"error","message":"x"}`), batch.ErrProtocol,
			batch.ErrAmbiguous, "the body says 500"},
		"row 80: HTTP 500, body 200": {fake(500, `{"code":200,"type":"result","status":"ok"}`),
			batch.ErrUnavailable, batch.ErrAmbiguous, ""},
		"HTTP 400, body 200": {fake(400, `{"code":200,"type":"result","message":"x"}`),
			batch.ErrUnavailable, batch.ErrAmbiguous, "the body says 200"},
		"HTTP 200, body 199": {fake(200, `{"code":199,"type":"item",`+good+`}`), batch.ErrProtocol,
			batch.ErrAmbiguous, "the body says 199"},
		"HTTP 200, body 408": {fake(200, `{"code":408,"message":"x"}`), batch.ErrProtocol,
			batch.ErrAmbiguous, "the body says 408"},
		"HTTP 200, body 409": {fake(200, `{"code":409,"message":"x"}`), batch.ErrProtocol,
			batch.ErrAmbiguous, "the body says 409"},
		"HTTP 200, body 423": {fake(200, `{"code":423,"message":"x"}`), batch.ErrProtocol,
			batch.ErrAmbiguous, "the body says 423"},
		"HTTP 200, body 429": {fake(200, `{"code":429,"message":"x"}`), batch.ErrProtocol,
			batch.ErrAmbiguous, "the body says 429"},
		"HTTP 200, body 401": {fake(200, `{"code":401,"type":"error","message":"No login"}`),
			batch.ErrAuth, batch.ErrAuth, "No login"},
		"HTTP 200, body 403": {fake(200, `{"code":403,"type":"error","message":"No right"}`),
			batch.ErrAuth, batch.ErrAuth, "No right"},
		"HTTP 403": {fake(403, `{"code":403,"type":"error","message":"No right"}`),
			batch.ErrAuth, batch.ErrAuth, "No right"},
		"HTTP 401": {fake(401, `{"code":401,"type":"error","message":"No login"}`),
			batch.ErrAuth, batch.ErrAuth, "No login"},
		"HTTP 400, body 404": {fake(400, `{"code":404,"type":"error","message":"x"}`),
			batch.ErrUnavailable, batch.ErrAmbiguous, "the HTTP status is 400, and the body says 404"},
		"HTTP 200, status error, body 200": {fake(200, `{"code":200,"type":"result","status":"error",`+good+`}`),
			batch.ErrProtocol, batch.ErrAmbiguous, `the body says "error"`},
		"HTTP 200, another status": {fake(200, `{"type":"result","status":"queued",`+good+`}`),
			batch.ErrProtocol, batch.ErrAmbiguous, `the body says "queued"`},
		"HTTP 400 with a page": {fake(400, `<html>`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"row 81: a form": {fake(200, `{"code":200,"type":"form","controls":[]}`), batch.ErrProtocol,
			batch.ErrAmbiguous, `a "form" came back`},
		"a list": {fake(200, `{"code":200,"type":"list","class":"batch","list":[]}`),
			batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"another class": {fake(200, `{"code":200,"type":"item","class":"client",`+good+`}`),
			batch.ErrProtocol, batch.ErrAmbiguous, `a "client" came back`},
		"another type": {fake(200, `{"code":200,"type":"index",`+good+`}`), batch.ErrProtocol,
			batch.ErrAmbiguous, `a "index" came back`},
		"an array": {fake(200, `[]`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"null":     {fake(200, `null`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"nothing":  {fake(200, ``), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"several messages for a field": {
			fake(400, `{"code":400,"status":"error","message":"m","errors":{"a":["b","c"]}}`), batch.ErrInvalid,
			batch.ErrInvalid, "a: b; a: c"},
		"errors that are a list": {fake(400, `{"code":400,"status":"error","message":"m","errors":["b",5]}`),
			batch.ErrInvalid, batch.ErrInvalid, "b; "},
		"errors that are a list of lists": {
			fake(400, `{"code":400,"status":"error","message":"m","errors":[["b"],{"c":null}]}`), batch.ErrInvalid,
			batch.ErrInvalid, `["b"]; {"c":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
				answer := batchsim.Reply{Status: c.reply.Status, Body: c.reply.Body,
					Header: http.Header{"Content-Type": {"application/json"}}}
				if c.reply.Text != "" {
					answer.Header, answer.Body = http.Header{"Content-Type": {"text/html"}}, []byte(c.reply.Text)
				}
				for _, op := range []string{"CurrentAccount", "UpdateBatch"} {
					server.Inject(batchsim.Fault{Op: op, Phase: batchsim.BeforeApply, Act: batchsim.Answer,
						Reply: answer})
				}
				_, err := client.CurrentAccount(t.Context())
				require.ErrorIs(t, err, c.read)
				require.ErrorContains(t, err, c.text)
				require.Equal(t, int64(1500), server.NewBatch("2030-01-01"))
				_, err = client.UpdateBatch(t.Context(), "1500", snapbill.UpdateBatch{State: snapbill.BatchSubmit})
				require.ErrorIs(t, err, c.once)
				require.ErrorContains(t, err, c.text)
				require.Equal(t, 1, server.Log.Count("UpdateBatch"))
				require.Zero(t, server.Log.Count("GetBatch"), "nothing was accepted that a read could confirm")
			})
		})
	}
}

// Only SnapBill's own envelope is a refusal of what must not be sent twice. The
// same status with other words, or with none, leaves its outcome unknown.
func TestOnlySnapBillsOwnWordsAreARefusal(t *testing.T) {
	own := []string{
		`{"code":%d,"type":"result","status":"error","message":"No","errors":[]}`,
		`{"code":%d,"type":"error","message":"No"}`,
		`{"code":"%d","status":"error","message":"No","errors":{"state":"No"}}`,
		`{"type":"result","status":"error","message":"No","errors":{}}`,
	}
	foreign := []string{``, `<html><h1>Forbidden</h1></html>`, `No`, `"No"`, `null`, `[]`, `{}`,
		`{"error":"upstream timeout"}`, `{"message":"No"}`, `{"code":%d}`,
		`{"code":%d,"message":"No"}`, `{"status":"error","message":"No"}`, `{"type":"error","message":"No"}`,
		`{"status":%d,"error":"Forbidden","message":"No"}`,
		`{"code":%d,"type":"error"}`, `{"code":%d,"type":"error","message":""}`,
		`{"code":%d,"type":"error","message":null}`, `{"code":%d,"type":"error","message":{"text":"No"}}`,
		`{"code":%d,"type":"about:blank","status":"error","message":"No"}`,
		`{"code":%d,"type":"error","status":"ok","message":"No"}`,
		`{"code":"x","type":"error","status":"error","message":"No"}`,
		`{"code":399,"type":"error","status":"error","message":"No"}`, `{"code":200,"type":"result","status":"ok"}`,
		`{"code":%d,"type":"error","message":"No"`,
	}
	submit := func(status int, header http.Header, body string) error {
		server := snapbilltest.New(nil)
		defer server.Close()
		client, err := snapbill.New(server.Config())
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		id := fmt.Sprint(server.NewBatch("2030-01-01"))
		body = strings.ReplaceAll(body, "%d", fmt.Sprint(status))
		server.Inject(batchsim.Fault{Op: "UpdateBatch", Phase: batchsim.AfterApply, Act: batchsim.Answer,
			Reply: batchsim.Reply{Status: status, Header: header, Body: []byte(body)}})
		_, err = client.UpdateBatch(t.Context(), id, snapbill.UpdateBatch{State: snapbill.BatchSubmit})
		require.Error(t, err)
		require.Zero(t, server.Log.Count("GetBatch"))
		require.Equal(t, 1, server.Log.Count("UpdateBatch"))
		return err
	}
	asJSON, asHTML := http.Header{"Content-Type": {"application/json"}},
		http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	kinds := map[int]batch.Kind{401: batch.ErrAuth, 403: batch.ErrAuth, 404: batch.ErrNotFound,
		408: batch.ErrAmbiguous, 409: batch.ErrAmbiguous, 423: batch.ErrAmbiguous, 425: batch.ErrAmbiguous,
		429: batch.ErrAmbiguous}
	for _, status := range []int{400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 413, 415, 422, 423, 425, 429,
		451, 500, 501, 502, 503, 504, 505, 599} {
		want, known := kinds[status]
		if !known {
			want = map[bool]batch.Kind{true: batch.ErrInvalid,
				false: batch.ErrAmbiguous}[slices.Contains([]int{400, 405, 406, 411, 413, 415, 422}, status)]
		}
		for _, body := range own {
			err := submit(status, asJSON, body)
			require.Equal(t, want, batch.KindOf(err), "%d %s: %v", status, body, err)
			require.ErrorIs(t, submit(status, asHTML, body), batch.ErrAmbiguous, "%d %s, as HTML", status, body)
		}
		for _, body := range foreign {
			require.ErrorIs(t, submit(status, asJSON, body), batch.ErrAmbiguous, "%d %s", status, body)
		}
		require.ErrorIs(t, submit(status, nil, foreign[1]), batch.ErrAmbiguous)
	}
	// In a 200 the code of the body is the word.
	for code, want := range map[int]batch.Kind{400: batch.ErrInvalid, 401: batch.ErrAuth, 404: batch.ErrNotFound,
		409: batch.ErrAmbiguous, 500: batch.ErrAmbiguous} {
		require.Equal(t, want, batch.KindOf(submit(200, asJSON, strings.ReplaceAll(own[0], "%d", fmt.Sprint(code)))),
			code)
		require.ErrorIs(t, submit(200, asJSON, fmt.Sprintf(`{"code":%d,"message":"No"}`, code)),
			batch.ErrAmbiguous, code)
	}
}

// Row 64: cents and decimals must agree, where the decimals are decimals.
func TestRow64CentsAndDecimals(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		for amount, wrong := range map[string]bool{"500.01": false, "500.010": false, "500.00": true, "50001.00": true,
			"500.014": true, "five": false, "R500.00": false, "500,00": false, "": false} {
			always(server, "GetPayment",
				fmt.Sprintf(
					`{"code":200,"type":"item","class":"payment","payment":{"id":5,"state":"paid","amount":%q,"amount_cents":50001}}`, amount))
			p, err := client.GetPayment(t.Context(), "5")
			if !wrong {
				require.NoError(t, err)
				continue
			}
			require.ErrorIs(t, err, batch.ErrProtocol, amount)
			require.ErrorContains(t, err, "they do not agree")
			require.Equal(t, snapbill.Int(50001), p.AmountCents.Value, "the payment is returned beside it")
		}
		read := map[string]func() error{
			"batch":   func() error { _, err := client.GetBatch(t.Context(), "5"); return err },
			"invoice": func() error { _, err := client.GetInvoice(t.Context(), "5"); return err },
			"client":  func() error { _, err := client.GetClient(t.Context(), "5"); return err },
		}
		for _, c := range []struct{ class, object, wrong string }{
			{"batch", `"state":"ok","amounts":{"total":"1.00"},"amounts_cents":{"total":100}`, `"total":101`},
			{"batch", `"state":"ok","amounts":{"bounce":"1.00"},"amounts_cents":{"bounce":100}`, `"bounce":101`},
			{"batch", `"state":"ok","amounts":{"refuted":"1.00"},"amounts_cents":{"refuted":100}`, `"refuted":101`},
			{"batch", `"state":"ok","amounts":{"pending":"1.00"},"amounts_cents":{"pending":100}`, `"pending":101`},
			{"batch", `"state":"ok","amounts":{"paid":"1.00"},"amounts_cents":{"paid":100}`, `"paid":101`},
			{"invoice", `"total":"1.00","total_cents":100`, `"total_cents":101`},
			{"invoice", `"subtotal":"1.00","subtotal_cents":100`, `"subtotal_cents":101`},
			{"invoice", `"lines":[{"unit_cost":"1.00","unit_cost_cents":100}]`, `"unit_cost_cents":101`},
			{"invoice", `"lines":[{"total":"1.00","total_cents":100}]`, `"total_cents":101`},
			{"client", `"credit":"1.00","credit_cents":100`, `"credit_cents":101`},
		} {
			body := fmt.Sprintf(`{"code":200,"type":"item","class":%q,%q:{"id":5,%s}}`, c.class, c.class, c.object)
			always(server, "Get"+strings.ToUpper(c.class[:1])+c.class[1:], body)
			require.NoError(t, read[c.class](), body)
			field, _, _ := strings.Cut(c.wrong, ":")
			always(server, "Get"+strings.ToUpper(c.class[:1])+c.class[1:],
				strings.Replace(body, field+":100", c.wrong, 1))
			err := read[c.class]()
			require.ErrorIs(t, err, batch.ErrProtocol, body)
			require.ErrorContains(t, err, "they do not agree")
		}
		always(server, "GetBatch",
			`{"code":200,"type":"item","class":"batch","batch":{"id":5,"state":"ready","amounts":{"total":"1.00"}}}`)
		require.NoError(t, read["batch"](), "there are no cents to agree with")
	})
}

// Row 83: the reply must be about the object that was asked for.
func TestRow83AnotherObject(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		for _, body := range []string{`{"id":1501,"xid":"Clw:Xd","state":"ok"}`,
			`{"id":1500,"xid":"Clw:Xd","state":"ok"}`, `{"id":1501,"xid":"nonsense","state":"ok"}`,
			`{"xid":"Clw:Xd","state":"ok"}`, `{"state":"ok"}`, `{"id":1500}`, `null`, `"1500"`, `[]`} {
			always(server, "GetBatch", `{"code":200,"type":"item","class":"batch","batch":`+body+`}`)
			_, err := client.GetBatch(t.Context(), "1500")
			require.ErrorIs(t, err, batch.ErrProtocol, body)
		}
		for _, body := range []string{`{"id":1500,"state":"ok"}`, `{"id":"1500","xid":{},"state":"ok"}`,
			`{"xid":"Clw:Xc","state":"ok"}`, `{"id":null,"xid":"Clw:Xc","state":"ok"}`} {
			always(server, "GetBatch", `{"code":200,"type":"item","class":"batch","batch":`+body+`}`)
			for _, id := range []string{"1500", "Clw:Xc"} {
				b, err := client.GetBatch(t.Context(), id)
				require.NoError(t, err, "either name is enough: %s", body)
				require.Equal(t, snapbill.ID(1500), b.ID)
			}
			_, err := client.GetBatch(t.Context(), "Clw:Xd")
			require.ErrorIs(t, err, batch.ErrProtocol)
		}
		for class, get := range map[string]func() (any, error){
			"client":  func() (any, error) { return client.GetClient(t.Context(), "1500") },
			"invoice": func() (any, error) { return client.GetInvoice(t.Context(), "1500") },
			"payment": func() (any, error) { return client.GetPayment(t.Context(), "1500") },
			"action":  func() (any, error) { return client.GetAction(t.Context(), "1500") },
			"account": func() (any, error) { return client.CurrentAccount(t.Context()) },
		} {
			op := map[string]string{"account": "CurrentAccount"}[class]
			if op == "" {
				op = "Get" + strings.ToUpper(class[:1]) + class[1:]
			}
			for body, fits := range map[string]bool{`"id":1500,"xid":"Clw:Xc"`: true, `"id":1500`: true,
				`"id":1500,"xid":"Clw:Xd"`: false, `"id":0`: false, `"xid":"Clw:Xc"`: true,
				`"xid":"Clw:Xc","id":-1500`: true, `"id":"x"`: false} {
				always(server, op,
					fmt.Sprintf(`{"code":200,"type":"item","class":%q,%q:{%s,"state":"paid","amount_cents":1}}`,
						class, class, body))
				_, err := get()
				require.Equal(t, map[bool]batch.Kind{false: batch.ErrProtocol}[fits], batch.KindOf(err), "%s %s: %v",
					class, body, err)
			}
		}
		for body, want := range map[string]string{`"amount_cents":1`: "payment 1500 has no state",
			`"state":"","amount_cents":1`:         "payment 1500 has no state",
			`"state":"paid"`:                      "payment 1500 has no amount_cents",
			`"state":"paid","amount_cents":null`:  "payment 1500 has no amount_cents",
			`"state":"paid","amount_cents":"5.5"`: `payment 1500 has no amount_cents that is a whole number: "5.5"`} {
			always(server, "GetPayment", `{"code":200,"type":"item","class":"payment","payment":{"id":1500,`+body+`}}`)
			_, err := client.GetPayment(t.Context(), "1500")
			require.ErrorContains(t, err, want, body)
		}
	})
}

func TestAddresses(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	for _, id := range []string{"", "0", "-1", "1/2", "../client", "a:b:c", "1500.json", "Clw:", ":Xc",
		"12345678901", "1500?post"} {
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
	for p, err := range client.ListPayments(t.Context(), snapbill.ListPaymentsOptions{BatchID: snapbill.ID(id)}) {
		require.NoError(t, err)
		numbers = append(numbers, string(p.Client.Value.Number))
	}
	require.Len(t, numbers, 250)
	require.Equal(t, 3, server.Log.Count("ListPayments"))
}

func TestListsThatDoNotHold(t *testing.T) {
	bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
		collect := func(pages ...string) (ids []snapbill.ID, err error) {
			server.Heal()
			for n, rows := range pages {
				server.Inject(batchsim.Fault{Op: "ListActions", Nth: n + 1, Phase: batchsim.BeforeApply,
					Act: batchsim.Answer, Reply: batchsim.JSON(200, `{"code":200,"type":"list","class":"action",`+rows+
						`}`)})
			}
			for a, failed := range client.ListActions(t.Context()) {
				if failed != nil {
					return ids, failed
				}
				ids = append(ids, a.ID)
			}
			return ids, nil
		}
		ids, err := collect(`"page":1,"numpages":3,"list":[{"id":1},{"id":2}]`,
			`"page":2,"numpages":3,"list":[{"id":2},{"id":3}]`, `"page":3,"numpages":3,"list":[{"id":4}]`)
		require.NoError(t, err)
		require.Equal(t, []snapbill.ID{1, 2, 3, 4}, ids, "a list that has shifted shows a row again")
		for _, second := range []string{`[]`, `[{"id":1}]`} {
			ids, err = collect(`"page":1,"numpages":9,"list":[{"id":1}]`, `"page":2,"numpages":9,"list":`+second)
			require.ErrorIs(t, err, batch.ErrProtocol, "seven pages are missing")
			require.Equal(t, []snapbill.ID{1}, ids)
		}
		ids, err = collect(`"page":1,"numpages":0,"list":[]`)
		require.NoError(t, err)
		require.Empty(t, ids)
		for _, body := range []string{`"type":"list","class":"batch","page":1,"numpages":1,"list":[{"id":1}]`,
			`"type":"item","class":"action","page":1,"numpages":1,"list":[{"id":1}]`} {
			always(server, "ListActions", `{"code":200,`+body+`}`)
			_, err = last(client.ListActions(t.Context()))
			require.ErrorContains(t, err, "came back instead of a list of action")
		}
		always(server, "ListPaymentMethods",
			`{"code":200,"type":"list","class":"payment_method","page":1,"numpages":1,"list":[{"code":""}]}`)
		_, err = last(client.ListPaymentMethods(t.Context()))
		require.ErrorContains(t, err, "a payment method has no code")
		always(server, "ListCurrencies",
			`{"code":200,"type":"list","class":"currency","page":1,"numpages":1,"list":[{"name":"x"}]}`)
		_, err = last(client.ListCurrencies(t.Context()))
		require.ErrorContains(t, err, "a currency has no code")
		for _, page := range []string{`"page":1,"numpages":1`, `"page":1,"numpages":1,"list":null`,
			`"page":2,"numpages":3,"list":[{"id":1}]`, `"numpages":3,"list":[{"id":1}]`, `"page":1,"list":[]`,
			`"page":1,"numpages":1,"list":{}`, `"page":1,"numpages":1,"list":[{"id":0}]`} {
			ids, err = collect(page, page, page)
			require.ErrorIs(t, err, batch.ErrProtocol, page)
			require.Empty(t, ids, page)
		}
	})
}

func TestFiltersAreNotTrusted(t *testing.T) {
	bubble(t, snapbilltest.Options{IgnoresFilters: true}, func(t *testing.T, server *snapbilltest.Server,
		client *snapbill.Client) {
		server.Bill("001", "2030-01-01", 100)
		server.Bill("002", "2030-02-01", 200)
		one, two := server.NewBatch("2030-01-01"), server.NewBatch("2030-02-01")
		require.NotEqual(t, one, two)
		payments := func(o snapbill.ListPaymentsOptions) func() (any, error) {
			return func() (any, error) { return last(client.ListPayments(t.Context(), o)) }
		}
		batches := func(o snapbill.ListBatchesOptions) func() (any, error) {
			return func() (any, error) { return last(client.ListBatches(t.Context(), o)) }
		}
		invoices := func() (any, error) { return last(client.ListInvoices(t.Context(), 158958)) }
		for name, c := range map[string]struct {
			list   func() (any, error)
			op     string
			lacks  string // what no row says of itself
			filter string
		}{
			"a batch of payments": {payments(snapbill.ListPaymentsOptions{BatchID: snapbill.ID(one)}),
				"ListPayments", "", "batch_id"},
			"payments of no batch": {payments(snapbill.ListPaymentsOptions{BatchID: snapbill.ID(one)}),
				"ListPayments", "batch", "batch_id"},
			"a client's payments": {payments(snapbill.ListPaymentsOptions{ClientID: 158958}),
				"ListPayments", "", "client_id"},
			"payments of no client": {payments(snapbill.ListPaymentsOptions{ClientID: 158958}),
				"ListPayments", "client", "client_id"},
			"payments in a state": {payments(snapbill.ListPaymentsOptions{State: "paid"}),
				"ListPayments", "", "state"},
			"batches in a state": {
				batches(snapbill.ListBatchesOptions{States: []snapbill.BatchState{"ok"}}), "ListBatches", "", "state"},
			"batches submitted on a day": {batches(snapbill.ListBatchesOptions{SubmitDate: "2030-01-01"}),
				"ListBatches", "", "submit_date"},
			"batches of a payment method": {batches(snapbill.ListBatchesOptions{PaymentMethod: "other"}),
				"ListBatches", "", "payment_method"},
			"batches of no payment method": {batches(snapbill.ListBatchesOptions{PaymentMethod: "netcash"}),
				"ListBatches", "payment_method", "payment_method"},
			"batches of some other accounts": {batches(snapbill.ListBatchesOptions{Accounts: []int{1, 2}}),
				"ListBatches", "", "account"},
			"batches of an unknown account": {batches(snapbill.ListBatchesOptions{Accounts: []int{10608}}),
				"ListBatches", "account", "account"},
			"a client's invoices":           {invoices, "ListInvoices", "", "client_id"},
			"invoices of an unknown client": {invoices, "ListInvoices", "client", "client_id"},
			"batches as they are": {batches(snapbill.ListBatchesOptions{PaymentMethod: "netcash",
				Accounts: []int{1, 10608}, States: []snapbill.BatchState{"ready"}}), "ListBatches", "", ""},
			"payments that are pending still": {payments(snapbill.ListPaymentsOptions{State: "pending"}),
				"ListPayments", "", ""},
		} {
			server.Heal()
			alter(server, c.op, 0, func(body map[string]any) {
				for _, row := range body["list"].([]any) {
					delete(row.(map[string]any), c.lacks)
				}
			})
			_, err := c.list()
			if c.filter == "" {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorIs(t, err, batch.ErrProtocol, name)
			require.ErrorContains(t, err, "the filter "+c.filter+" excludes", name)
		}
	})
}

// Two who range over one list at once do not turn each other's pages.
func TestAListForSeveral(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	for n := range 250 {
		server.Bill(fmt.Sprintf("%03d", n), "2030-01-01", 100)
	}
	clients := client.ListClients(t.Context(), snapbill.ListClientsOptions{})
	var all [4][]string
	var wg sync.WaitGroup
	for n := range all {
		wg.Go(func() {
			for c, err := range clients {
				assert.NoError(t, err)
				all[n] = append(all[n], string(c.Number))
			}
		})
	}
	wg.Wait()
	for n := range all {
		require.Len(t, all[n], 250)
		require.Equal(t, all[0], all[n])
	}
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
		f := snapbill.CustomerFields{FirstName: text.Draw(rt, "firstname"), Email: text.Draw(rt, "email"),
			Data: map[string]string{"vat_number": text.Draw(rt, "vat")}}
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

// FuzzForm: a value of a form adds no field to it (S13), such as the state that
// submits a batch.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=1&state=submit", "a&state=submit", "%26state=submit", "a\x00", "\r\n",
		"é;state=submit", "[0]", ""} {
		f.Add(s, s, s)
	}
	f.Fuzz(func(t *testing.T, name, email, data string) {
		form,
			err := url.ParseQuery(snapbill.FormOf(snapbill.CustomerFields{FirstName: name, Email: email,
			Data: map[string]string{"vat_number": data}}))
		require.NoError(t, err)
		want := url.Values{"data-vat_number": {data}}
		for field, value := range map[string]string{"firstname": name, "email": email} {
			if value != "" {
				want.Set(field, value)
			}
		}
		require.Equal(t, want, form)
	})
}

// All that can be said is sent, under its documented name.
func TestWhatIsSent(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	server.Bill("001", "2030-01-01", 100)
	ctx := t.Context()
	everything := snapbill.CustomerFields{Number: "018", FirstName: "jane", Surname: "doe", Company: "helkom",
		Email: "jane@example.com", Cell: "082", CountryCode: "ZA",
		CurrencyCode: "ZAR", PaymentMethodCode: "netcash", Discount: "5", State: "active",
		Data: map[string]string{"vat_number": "4001"}}
	fields :=
		"number=018&firstname=jane&surname=doe&company=helkom&email=jane@example.com&cell=082&country_code=ZA&currency_code=ZAR&payment_method_code=netcash&discount=5&state=active&data-vat_number=4001"
	const page = "&page=1&perpage=100"
	for name, c := range map[string]struct {
		op   string
		call func() (any, error)
		want string
	}{
		"every batch": {"ListBatches", func() (any, error) {
			return last(client.ListBatches(ctx, snapbill.ListBatchesOptions{}))
		}, page},
		"some batches": {"ListBatches", func() (any, error) {
			return last(client.ListBatches(ctx, snapbill.ListBatchesOptions{SubmitDate: "2030-01-02",
				States: []snapbill.BatchState{"ready", "submit"}, PaymentMethod: "netcash", Accounts: []int{1, 2}}))
		}, "submit_date=2030-01-02&state[]=ready&state[]=submit&payment_method=netcash&account=1,2" + page},
		"some payments": {"ListPayments", func() (any, error) {
			return last(client.ListPayments(ctx, snapbill.ListPaymentsOptions{ClientID: 5, BatchID: 6, State: "paid"}))
		}, "client_id=5&batch_id=6&state=paid" + page},
		"some clients": {"ListClients", func() (any, error) {
			return last(client.ListClients(ctx, snapbill.ListClientsOptions{Email: "jane@example.com", Query: "jane"}))
		}, "email=jane@example.com&query=jane" + page},
		"some invoices": {"ListInvoices", func() (any, error) { return last(client.ListInvoices(ctx, 5)) },
			"client_id=5" + page},
		"a batch": {"AddBatch", func() (any, error) {
			return client.AddBatch(ctx, snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: "2030-01-02"})
		}, "payment_method_code=netcash&action_date=2030-01-02"},
		"a client": {"AddClient", func() (any, error) { return client.AddClient(ctx, everything) }, fields},
		"changes of a client": {"UpdateClient", func() (any, error) {
			return client.UpdateClient(ctx, "158958", everything)
		}, fields},
		"an invoice": {"AddInvoice", func() (any, error) {
			return client.AddInvoice(ctx, "158958", snapbill.AddInvoice{Date: "2030-01-02", Type: "quote",
				State: "draft", PONumber: "PO-1", Discount: "5",
				Lines: []snapbill.AddLine{{Description: "rolls", UnitCost: "1.12", Quantity: "13"},
					{Description: "chips", UnitCost: "20", Quantity: "1"}}})
		}, "date=2030-01-02&type=quote&state=draft&po_number=PO-1&discount=5&description[0]=rolls&unit_cost[0]=1.12&quantity[0]=13&description[1]=chips&unit_cost[1]=20&quantity[1]=1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _ = c.call() // Whatever the service makes of it.
			requests := server.Log.Requests(c.op)
			require.NotEmpty(t, requests)
			got, err := url.ParseQuery(string(requests[len(requests)-1].Body))
			require.NoError(t, err)
			want, err := url.ParseQuery(c.want)
			require.NoError(t, err)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the form is not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}

// Each part of a wish that the service has not granted is told, and nothing
// else is: what came back is beside the error.
func TestWishes(t *testing.T) {
	type object = map[string]any
	line := func(invoice object, n int) object { return invoice["lines"].([]any)[n].(object) }
	fields := snapbill.CustomerFields{Number: "018", FirstName: "jane", Surname: "doe", Company: "helkom",
		Email: "jane@example.com", Cell: "082", CountryCode: "ZA",
		CurrencyCode: "ZAR", PaymentMethodCode: "netcash", Discount: "5", State: "active",
		Data: map[string]string{"vat_number": "4001"}}
	calls := map[string]struct {
		class  string
		grant  func(object) // what the simulator does not do
		call   func(*testing.T, *snapbill.Client) (any, error)
		ignore map[string]func(object)
	}{
		"AddBatch": {"batch", func(object) {}, func(t *testing.T, c *snapbill.Client) (any, error) {
			return c.AddBatch(t.Context(), snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: "2030-01-02"})
		}, map[string]func(object){
			`action_date: is "2030-01-03" at the service, and "2030-01-02" was asked for`: func(b object) {
				b["action_date"] = "2030-01-03"
			},
			`payment_method_code: is "other" at the service, and "netcash" was asked for`: func(b object) {
				b["payment_method"] = object{"code": "other"}
			},
		}},
		"AddClient": {"client", func(c object) { c["discount"], c["data"] = "5.00", object{"vat_number": "4001"} },
			func(t *testing.T, c *snapbill.Client) (any, error) {
				return c.AddClient(t.Context(), fields)
			}, map[string]func(object){
				`number: is "x" at the service, and "018" was asked for`: func(c object) {
					c["number"] = "x"
				},
				`firstname: is "x" at the service, and "jane" was asked for`: func(c object) {
					c["firstname"] = "x"
				},
				`surname: is "x" at the service, and "doe" was asked for`: func(c object) {
					c["surname"] = "x"
				},
				`company: is "" at the service, and "helkom" was asked for`: func(c object) {
					delete(c, "company")
				},
				`email: is "x" at the service, and "jane@example.com" was asked for`: func(c object) {
					c["email"] = "x"
				},
				`cell: is "x" at the service, and "082" was asked for`: func(c object) {
					c["cell"] = "x"
				},
				`country_code: is "NA" at the service, and "ZA" was asked for`: func(c object) {
					c["country"] = object{"code": "NA"}
				},
				`currency_code: is "USD" at the service, and "ZAR" was asked for`: func(c object) {
					c["currency"] = object{"code": "USD"}
				},
				`payment_method_code: is "x" at the service, and "netcash" was asked for`: func(c object) {
					c["payment_method"] = object{"code": "x"}
				},
				`discount: is "0.00" at the service, and "5" was asked for`: func(c object) {
					c["discount"] = "0.00"
				},
				`state: is "new" at the service, and "active" was asked for`: func(c object) {
					c["state"] = "new"
				},
				`data-vat_number: is "" at the service, and "4001" was asked for`: func(c object) {
					c["data"] = object{"vat_number": nil}
				},
			}},
		"AddInvoice": {"invoice", func(i object) {
			i["po_number"], i["discount"], i["due_date"] = "PO-1", "5.00", "2030-01-02"
		}, func(t *testing.T, c *snapbill.Client) (any, error) {
			return c.AddInvoice(t.Context(), "158958", snapbill.AddInvoice{Date: "2030-01-02", Type: "invoice",
				State: "unpaid", PONumber: "PO-1", Discount: "5",
				Lines: []snapbill.AddLine{{UnitCost: "1.12", Quantity: "13"}, {UnitCost: "20", Quantity: "1"}}})
		}, map[string]func(object){
			`date: is "2030-01-03" at the service, and "2030-01-02" was asked for`: func(i object) {
				i["due_date"] = "2030-01-03"
			},
			`type: is "quote" at the service, and "invoice" was asked for`: func(i object) { i["type"] = "quote" },
			`state: is "draft" at the service, and "unpaid" was asked for`: func(i object) { i["state"] = "draft" },
			`po_number: is "" at the service, and "PO-1" was asked for`:    func(i object) { i["po_number"] = nil },
			`discount: is "0.00" at the service, and "5" was asked for`: func(i object) {
				i["discount"] = "0.00"
			},
			`client: is "158959" at the service, and "158958" was asked for`: func(i object) {
				i["client"] = object{"id": 158959}
			},
			`lines: is "1" at the service, and "2" was asked for`: func(i object) {
				i["lines"] = i["lines"].([]any)[:1]
			},
			`lines: is "3" at the service, and "2" was asked for`: func(i object) {
				i["lines"] = append(i["lines"].([]any), object{"id": 1})
			},
			`unit_cost[0]: is "1.13" at the service, and "1.12" was asked for`: func(i object) {
				line(i, 0)["unit_cost"], line(i, 0)["unit_cost_cents"] = "1.13", 113
			},
			`quantity[1]: is "2.00" at the service, and "1" was asked for`: func(i object) {
				line(i, 1)["quantity"] = "2.00"
			},
		}},
	}
	for op, c := range calls {
		for want, ignore := range c.ignore {
			t.Run(op+" "+want, func(t *testing.T) {
				for _, ignored := range []bool{false, true} {
					server := snapbilltest.New(nil)
					t.Cleanup(server.Close)
					server.Bill("001", "2030-01-01", 100)
					alter(server, op, 1, func(body map[string]any) {
						made := body[c.class].(object)
						c.grant(made)
						if ignored {
							ignore(made)
						}
					})
					made, err := c.call(t, newClient(t, server.Config()))
					require.NotNil(t, made)
					if !ignored {
						require.NoError(t, err)
						continue
					}
					require.ErrorIs(t, err, batch.ErrProtocol)
					require.Equal(t, []string{want}, faultsOf(t, err))
				}
			})
		}
	}
}

// What a change of a batch has done is what a read says, and nothing else.
func TestChangesAreReadBack(t *testing.T) {
	another := func(body map[string]any) {
		b := body["batch"].(map[string]any)
		b["id"], b["xid"] = 1499, string(snapbill.NewXID(10608, 1499))
	}
	submit, dead := snapbill.UpdateBatch{State: snapbill.BatchSubmit}, snapbill.UpdateBatch{State: snapbill.BatchDead}
	for name, c := range map[string]struct {
		o      snapbilltest.Options
		reply  func(body map[string]any) // to the change
		word   string                    // of the read
		day    string                    // of the read
		change snapbill.UpdateBatch
		kind   batch.Kind
	}{
		"submit":                        {change: submit},
		"submit, and it is at the bank": {word: "submitted", change: submit},
		"submit, and reports are there": {word: "ok", change: submit},
		"submit, and it has failed":     {word: "error", change: submit, kind: batch.ErrAmbiguous},
		"dead":                          {change: dead},
		"dead is ignored": {o: snapbilltest.Options{KeepsBatches: true}, change: dead,
			kind: batch.ErrUnsupported},
		"dead, in the reply of another": {o: snapbilltest.Options{KeepsBatches: true}, reply: another, change: dead,
			kind: batch.ErrAmbiguous},
		"dead, and it is at the bank": {word: "submitted", change: dead, kind: batch.ErrAmbiguous},
		"a day":                       {change: snapbill.UpdateBatch{ActionDate: "2030-01-05"}},
		"a day is ignored": {day: "2030-01-01", change: snapbill.UpdateBatch{ActionDate: "2030-01-05"},
			kind: batch.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			server := snapbilltest.New(&c.o)
			t.Cleanup(server.Close)
			client := newClient(t, server.Config())
			id := fmt.Sprint(server.NewBatch("2030-01-01"))
			if c.reply != nil {
				alter(server, "UpdateBatch", 1, c.reply)
			}
			alter(server, "GetBatch", 1, func(body map[string]any) {
				b := body["batch"].(map[string]any)
				if c.word != "" {
					b["state"] = c.word
				}
				if c.day != "" {
					b["action_date"] = c.day
				}
			})
			b, err := client.UpdateBatch(t.Context(), id, c.change)
			require.Equal(t, c.kind, batch.KindOf(err), "%v", err)
			require.Equal(t, id, fmt.Sprint(int64(b.ID)), "the batch is beside it")
			require.Equal(t, 1, server.Log.Count("GetBatch"))
			if c.day != "" {
				require.Equal(t,
					[]string{`action_date: is "2030-01-01" at the service, and "2030-01-05" was asked for`},
					faultsOf(t, err))
			}
		})
	}
	t.Run("nothing can be read", func(t *testing.T) {
		server := snapbilltest.New(nil)
		t.Cleanup(server.Close)
		client := newClient(t, server.Config())
		id := fmt.Sprint(server.NewBatch("2030-01-01"))
		always(server, "GetBatch", `{"code":404,"type":"error","message":"Not found"}`)
		_, err := client.UpdateBatch(t.Context(), id, submit)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
		require.ErrorContains(t, err, "what it did cannot be read")
	})
}

// A success that does not show what was made leaves open whether it was.
func TestASuccessWithoutAnObject(t *testing.T) {
	for op, c := range map[string]struct {
		call func(context.Context, *snapbill.Client) (any, error)
		kind batch.Kind
	}{
		"CurrentAccount": {func(ctx context.Context, c *snapbill.Client) (any, error) { return c.CurrentAccount(ctx) },
			batch.ErrProtocol},
		"GetBatch": {func(ctx context.Context, c *snapbill.Client) (any, error) { return c.GetBatch(ctx, "1500") },
			batch.ErrProtocol},
		"AddBatch": {func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddBatch(ctx, snapbill.AddBatch{PaymentMethodCode: "netcash", ActionDate: "2030-01-02"})
		}, batch.ErrAmbiguous},
		"AddClient": {func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddClient(ctx, snapbill.CustomerFields{FirstName: "jane"})
		}, batch.ErrAmbiguous},
		"AddInvoice": {func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.AddInvoice(ctx, "158958",
				snapbill.AddInvoice{Lines: []snapbill.AddLine{{UnitCost: "1", Quantity: "1"}}})
		}, batch.ErrAmbiguous},
		"GenerateInvoice": {func(ctx context.Context, c *snapbill.Client) (any, error) {
			return c.GenerateInvoice(ctx, "158958")
		}, ""},
	} {
		bubble(t, snapbilltest.Options{}, func(t *testing.T, server *snapbilltest.Server, client *snapbill.Client) {
			always(server, op, `{"code":200,"type":"result","status":"ok"}`)
			made, err := c.call(t.Context(), client)
			require.Equal(t, c.kind, batch.KindOf(err), "%s: %v", op, err)
			require.Empty(t, made, op)
		})
	}
}

// The reply to a change of a client that is about another is as good as none.
func TestAnUpdateOfAnotherClient(t *testing.T) {
	server := snapbilltest.New(nil)
	t.Cleanup(server.Close)
	client := newClient(t, server.Config())
	server.Bill("001", "2030-01-01", 100)
	another := func(body map[string]any) {
		c := body["client"].(map[string]any)
		c["id"], c["xid"], c["company"] = 158959, string(snapbill.NewXID(10608, 158959)), "another"
	}
	for _, id := range []string{"158958", string(snapbill.NewXID(10608, 158958))} {
		updated, err := client.UpdateClient(t.Context(), id, snapbill.CustomerFields{Company: "helkom"})
		require.NoError(t, err)
		require.Equal(t, "helkom", string(updated.Company))
		require.Zero(t, server.Log.Count("GetClient"), "the reply says enough")
	}
	alter(server, "UpdateClient", 0, another)
	updated, err := client.UpdateClient(t.Context(), "158958", snapbill.CustomerFields{Company: "helkom"})
	require.NoError(t, err)
	require.Equal(t, snapbill.ID(158958), updated.ID)
	require.Equal(t, "helkom", string(updated.Company))
	require.Equal(t, 1, server.Log.Count("GetClient"), "it is read anew")
	always(server, "GetClient", `{"code":404,"type":"error","message":"Not found"}`)
	alter(server, "UpdateClient", 0, another)
	_, err = client.UpdateClient(t.Context(), "158958", snapbill.CustomerFields{Company: "helkom"})
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.ErrorContains(t, err, "what it did cannot be read")
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
	_, err = client.AddInvoice(ctx, id,
		snapbill.AddInvoice{Lines: []snapbill.AddLine{{UnitCost: "1.125", Quantity: "x"}}})
	require.Len(t, faultsOf(t, err), 2)
	_, err = client.AddInvoice(ctx, id, snapbill.AddInvoice{})
	require.Equal(t, []string{"lines: there are none"}, faultsOf(t, err))
	invoice, err := client.AddInvoice(ctx, id,
		snapbill.AddInvoice{Lines: []snapbill.AddLine{{Description: "x", UnitCost: "1.12", Quantity: "13"}}})
	require.NoError(t, err)
	require.Equal(t, snapbill.Int(1456), invoice.TotalCents.Value)
	_, err = client.AddInvoice(ctx, string(jane.XID),
		snapbill.AddInvoice{Lines: []snapbill.AddLine{{Description: "x", UnitCost: "1.12", Quantity: "13"}}})
	require.NoError(t, err, "it is the same client by its xid")
	got, err := client.GetInvoice(ctx, fmt.Sprint(int64(invoice.ID)))
	require.NoError(t, err)
	require.Equal(t, invoice.Number, got.Number)
	_, err = last(client.ListInvoices(ctx, jane.ID))
	require.NoError(t, err)
	server.Charge("018", 5000)
	generated, err := client.GenerateInvoice(ctx, id)
	require.NoError(t, err)
	require.Equal(t, snapbill.Int(5000), generated.TotalCents.Value)
	generated, err = client.GenerateInvoice(ctx, id)
	require.NoError(t, err)
	require.Nil(t, generated, "nothing is due")
	currency, err := client.GetCurrency(ctx, "ZAR")
	require.NoError(t, err)
	require.Equal(t, snapbill.Text("ZAR"), currency.Code)
	_, err = client.GetCurrency(ctx, "XXX")
	require.ErrorIs(t, err, batch.ErrNotFound)

	b := fmt.Sprint(server.NewBatch("2030-01-01"))
	moved, err := client.UpdateBatch(ctx, b, snapbill.UpdateBatch{ActionDate: "2030-01-05"})
	require.NoError(t, err)
	require.Equal(t, snapbill.Date("2030-01-05"), moved.ActionDate)
	for _, id := range []string{b, string(moved.XID)} {
		index, err := client.Index(ctx, "batch", id)
		require.NoError(t, err)
		require.Contains(t, index, "update")
	}
	controls, err := client.Form(ctx, "batch", b, "update")
	require.NoError(t, err)
	require.Equal(t, snapbill.Text("state"), controls[1].Name)
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
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %q %x %d", c, c, c, c, c, c, c), fmt.Sprint(&c),
		log.String()} {
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
	command := map[string]string{http.MethodGet: "add", http.MethodPost: "add_to_batch"}
	for _, op := range snapbill.Operations {
		path := strings.NewReplacer("{id}", "1500", "{class}", "batch", "{command}", command[op.Method], "{code}",
			"other").Replace(op.Path)
		want := op.Name
		if named[want] != "" {
			want = named[want]
		}
		before := server.Log.Count(want)
		req, err := http.NewRequestWithContext(t.Context(), op.Method, server.URL+path, http.NoBody)
		require.NoError(t, err)
		reply, err := plain.Do(req)
		require.NoError(t, err)
		_ = reply.Body.Close()
		require.Equal(t, before+1, server.Log.Count(want), "%s %s is not what the service calls %s", op.Method,
			op.Path, op.Name)
	}
	source, err := os.ReadFile("ops.go")
	require.NoError(t, err)
	marked := regexp.MustCompile(`(?m)^\s*op(\w+) .*// moves money$`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, marked, 2, "operations that can move money")
	for _, op := range snapbill.Operations {
		read := op.Method == http.MethodGet || regexp.MustCompile(`^(Get|List|Current|Invoice)`).MatchString(op.Name)
		require.Equal(t, read, op.Safety == batchhttp.Repeatable, "%s may be repeated if and only if it reads", op.Name)
	}
}
