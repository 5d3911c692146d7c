package snapbilltest_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/batchway/batchway-go/snapbill/snapbilltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o snapbilltest.Options) *snapbilltest.Server {
	t.Helper()
	o.Username, o.Password = "user", "pass"
	s := snapbilltest.New(&o)
	t.Cleanup(s.Close)
	return s
}

// raw sends bytes over a socket, and nothing else, and reads the reply.
func raw(t *testing.T, s *snapbilltest.Server, request string) (int, map[string]any) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp",
		strings.TrimSuffix(strings.TrimPrefix(s.URL, "http://"), "/v1"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	reply, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	var body map[string]any
	if len(text) > 0 {
		require.NoError(t, json.Unmarshal(text, &body), "%s", text)
	}
	return reply.StatusCode, body
}

// python writes a request as SnapBill's Python client does: no suffix, an
// Accept header, and a form even if it is empty.
func python(path, form string) string {
	return fmt.Sprintf(
		"POST /v1/%s HTTP/1.1\r\nHost: api.snapbill.com\r\nAuthorization: Basic dXNlcjpwYXNz\r\nAccept: application/json\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		path, len(form), form)
}

// What SnapBill's own Python client sends, byte for byte, gets the documented
// envelopes.
func TestTheOfficialPythonClient(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	for n := range 10 {
		s.Bill(fmt.Sprintf("%03d", n+1), "2014-08-21", 5000)
	}
	id := s.NewBatch("2014-08-21")
	require.Equal(t, int64(1500), id)
	call := func(path, form string) map[string]any {
		t.Helper()
		status, body := raw(t, s, python(path, form))
		require.Equal(t, 200, status)
		require.InEpsilon(t, 200.0, body["code"], 0)
		return body
	}
	got := call("batch/Clw:Xc/get", "")
	require.Equal(t, "item", got["type"])
	b := got["batch"].(map[string]any)
	require.Equal(t, "Clw:Xc", b["xid"])
	require.Equal(t, "10", b["totals"].(map[string]any)["pending"], "a number that is a string")
	require.Equal(t, 10.0, b["totals"].(map[string]any)["total"], "beside one that is none") //nolint:testifylint // It is exact.
	require.Equal(t, "50000", b["amounts_cents"].(map[string]any)["pending"])

	got = call("batch/list", "state%5B%5D=ready")
	require.Equal(t, "list", got["type"])
	require.Len(t, got["list"], 1)
	require.Empty(t, call("batch/list", "state%5B%5D=submit")["list"])

	got = call("payment/list", "batch_id=1500")
	require.Equal(t, "payment", got["class"])
	require.Len(t, got["list"], 10)

	got = call("batch/Clw:Xc/update", "action_date=2014-09-05")
	require.Equal(t, "result", got["type"])
	require.Equal(t, "ok", got["status"])
	require.Equal(t, "2014-09-05", got["batch"].(map[string]any)["action_date"])

	got = call("batch/Clw:Xc/set_state", "state=submit")
	require.Equal(t, map[string]any{"code": 200.0, "type": "result", "status": "ok"}, got)
	require.Equal(t, "submit", call("batch/Clw:Xc/get", "")["batch"].(map[string]any)["state"])

	client := call("client/Clw:mzu/get", "")["client"].(map[string]any)
	require.Equal(t, "001", client["number"])
	status, body := raw(t, s, python("batch/Clw:Zz/get", ""))
	require.Equal(t, 404, status)
	require.Equal(t, "Not found", body["message"])
	status, _ = raw(t, s, python("batch/Clw:Xc/explode", ""))
	require.Equal(t, 404, status)
	status, _ = raw(t, s, strings.Replace(python("batch/list", ""), "dXNlcjpwYXNz", "eDp5", 1))
	require.Equal(t, 401, status)
}

// What SnapBill's PHP client sends: the suffix, and brackets as they are.
func TestTheOfficialPHPClient(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	s.NewBatch("2014-08-21")
	form := "state[]=ready&page=1"
	_, body := raw(t, s, fmt.Sprintf("POST /v1/batch/list.json HTTP/1.1\r\nHost: api.snapbill.com\r\nAuthorization: Basic dXNlcjpwYXNz\r\n"+
		"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		len(form), form))
	require.Len(t, body["list"], 1)
}

// A GET changes nothing: it answers with what the command takes.
func TestAGetIsADiscovery(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	s.Bill("001", "2014-08-21", 5000)
	s.NewBatch("2014-08-21")
	get := func(path string) map[string]any {
		t.Helper()
		_, body := raw(t, s, "GET /v1/"+path+
			" HTTP/1.1\r\nHost: x\r\nAuthorization: Basic dXNlcjpwYXNz\r\nAccept: application/json\r\nConnection: close\r\n\r\n")
		return body
	}
	require.Equal(t, "index", get("batch.json")["type"])
	for _, id := range []string{"1500", "Clw:Xc"} {
		index := get("batch/" + id + ".json")
		require.Equal(t, "index", index["type"])
		require.Equal(t, "/v1/batch/"+id+"/update", index["index"].(map[string]any)["update"])
	}
	require.Equal(t, "form", get("batch/add.json")["type"])
	require.Equal(t, "form", get("batch/1500/get.json")["type"], "not the batch")
	require.Equal(t, "form", get("batch/1500/set_state.json?state=submit")["type"])
	require.Empty(t, s.Accepted())
}

// The fields of what it says are those that were captured from the real one.
func TestCapturedFields(t *testing.T) {
	text, err := os.ReadFile("../testdata/samples.json")
	require.NoError(t, err)
	var all map[string]struct{ Body map[string]json.RawMessage }
	require.NoError(t, json.Unmarshal(text, &all))
	s := start(t, snapbilltest.Options{})
	s.Bill("001", "2014-08-21", 5000)
	s.NewBatch("2014-08-21")
	keys := func(v any) []string {
		var names []string
		for name := range v.(map[string]any) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	for sample, path := range map[string]string{"batch_get": "batch/1500/get", "client_get": "client/158958/get",
		"payment_method_get": "payment_method/other/get",
		"invoice_get":        "invoice/1055387/get"} {
		class, _, _ := strings.Cut(path, "/")
		_, body := raw(t, s, python(path, ""))
		var want any
		require.NoError(t, json.Unmarshal(all[sample].Body[class], &want))
		require.Equal(t, keys(want), keys(body[class]), sample)
	}
	var captured []any
	require.NoError(t, json.Unmarshal(all["payment_list"].Body["list"], &captured))
	_, body := raw(t, s, python("payment/list", "perpage=2"))
	payment := body["list"].([]any)[0].(map[string]any)
	require.Equal(t, keys(captured[0]), keys(payment))
	require.Equal(t, keys(captured[0].(map[string]any)["client"]), keys(payment["client"]))
	require.Equal(t, keys(captured[0].(map[string]any)["batch"]), keys(payment["batch"]))
}

func TestASecondSubmit(t *testing.T) {
	for resubmit, want := range map[snapbilltest.Resubmit]struct{ status, times int }{
		snapbilltest.ResubmitRefused: {400, 1}, snapbilltest.ResubmitIgnored: {200, 1},
		snapbilltest.ResubmitQueued: {200, 2}} {
		s := start(t, snapbilltest.Options{Resubmit: resubmit})
		s.Bill("001", "2014-08-21", 5000)
		s.NewBatch("2014-08-21")
		raw(t, s, python("batch/1500/update", "state=submit"))
		s.FinishAll()
		status, _ := raw(t, s, python("batch/1500/update", "state=submit"))
		require.Equal(t, want.status, status)
		require.Equal(t, want.times, s.Accepted()["001"])
	}
}

func TestTheSystemSubmitsAlone(t *testing.T) {
	s := start(t, snapbilltest.Options{SubmitsAlone: time.Hour})
	s.Bill("001", "2014-08-21", 5000)
	s.NewBatch("2014-08-21")
	require.Empty(t, s.Accepted())
	s.Clock.Advance(time.Hour)
	require.Equal(t, 1, s.Accepted()["001"])
}

func TestAnInvoiceIsOnOneBatch(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	s.Bill("001", "2014-08-21", 5000)
	s.Bill("001", "2014-08-22", 100)
	s.NewBatch("2014-08-21")
	s.NewBatch("2014-08-31")
	_, body := raw(t, s, python("payment/list", ""))
	var amounts []any
	for _, p := range body["list"].([]any) {
		amounts = append(amounts, p.(map[string]any)["amount"])
	}
	require.Equal(t, []any{"50.00", "1.00"}, amounts)
}

// What is on no invoice yet is made one, once.
func TestAnInvoiceOfWhatIsDue(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	s.Charge("001", 5000)
	s.Charge("001", 6968)
	_, body := raw(t, s, python("client/158958/generate_invoice", ""))
	require.Equal(t, "item", body["type"])
	invoice := body["invoice"].(map[string]any)
	require.Equal(t, "119.68", invoice["total"])
	require.Len(t, invoice["lines"], 2)
	_, body = raw(t, s, python("client/158958/generate_invoice", ""))
	require.Equal(t, map[string]any{"code": 200.0, "type": "result", "status": "ok"}, body)
	_, body = raw(t, s, python("invoice/list", "client_id=158958"))
	require.Len(t, body["list"], 1)
	s.NewBatch("2100-01-01")
	_, body = raw(t, s, python("payment/list", ""))
	require.Equal(t, "119.68", body["list"].([]any)[0].(map[string]any)["amount"])
}

func TestPages(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	for n := range 130 {
		s.Bill(fmt.Sprintf("%03d", n), "2014-08-21", 100)
	}
	for form, want := range map[string][2]float64{"": {25, 6}, "perpage=100": {100, 2}, "perpage=1000": {100, 2},
		"page=2&perpage=100": {30, 2}, "page=9": {0, 6}, "query=nobody": {0, 0}} {
		_, body := raw(t, s, python("client/list", form))
		require.Equal(t, want, [2]float64{float64(len(body["list"].([]any))), body["numpages"].(float64)}, form)
	}
}

// Each account has its own clients and batches, under the same numbers; all its
// logins see the same, and no other login sees any of it.
func TestAccounts(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	other := s.NewAccount(999)
	other.Login("other", "pass")
	s.Login("renewed", "pass")
	s.Bill("001", "2014-08-21", 5000)
	other.Bill("001", "2014-08-21", 700)
	require.Equal(t, s.NewBatch("2014-08-21"), other.NewBatch("2014-08-21"))
	as := func(login, path, form string) map[string]any {
		t.Helper()
		_, body := raw(t, s, strings.Replace(python(path, form), "dXNlcjpwYXNz",
			base64.StdEncoding.EncodeToString([]byte(login+":pass")), 1))
		return body
	}
	account := func(body map[string]any) any {
		return body["batch"].(map[string]any)["account"].(map[string]any)["xid"]
	}
	for login, want := range map[string]any{"user": "Clw:Clw", "renewed": "Clw:Clw", "other": "Pn:Pn"} {
		require.Equal(t, want, account(as(login, "batch/1500/get", "")), login)
	}
	require.Equal(t, "Not found", as("other", "batch/Clw:Xc/get", "")["message"])
	require.Equal(t, "ok", as("other", "batch/1500/update", "state=submit")["status"])
	require.Empty(t, s.Accepted())
	require.Equal(t, map[string]int{"001": 1}, other.Accepted())
	s.Submit(1500)
	s.FinishAll()
	other.FinishAll()
	paid := make(map[string]int64)
	for _, e := range s.Ledger.Effects() {
		paid[e.Payer] += e.Minor
	}
	require.Equal(t, map[string]int64{"account 10608": 5000, "account 999": 700}, paid)
}

// A set of payment details belongs to one client.
func TestPaymentDetailsBelongToOneClient(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	for n := range 5 {
		s.Bill(fmt.Sprintf("%03d", n), "2014-08-21", 5000)
		s.Bill(fmt.Sprintf("%03d", n), "2014-09-21", 5000)
	}
	s.NewBatch("2014-08-21")
	s.NewBatch("2014-09-21")
	owner := make(map[any]any)
	_, body := raw(t, s, python("payment/list", ""))
	require.Len(t, body["list"], 10)
	for _, row := range body["list"].([]any) {
		details := row.(map[string]any)["payment_details"].(map[string]any)
		client := details["client"].(map[string]any)["id"]
		require.Equal(t, client, row.(map[string]any)["client"].(map[string]any)["id"])
		if known, seen := owner[details["id"]]; seen {
			require.Equal(t, known, client)
		}
		owner[details["id"]] = client
	}
	require.Len(t, owner, 5)
}

// A day is written as 2014-08-21, and in no other way.
func TestDays(t *testing.T) {
	s := start(t, snapbilltest.Options{})
	for _, day := range []string{"", "21/08/2014", "2014-8-21", "2014-08-21T00:00:00Z", "2014-08-21 00:00:00",
		"2014-02-30", "tomorrow"} {
		status,
			body := raw(t, s,
			python("batch/add", url.Values{"payment_method_code": {"netcash"}, "action_date": {day}}.Encode()))
		require.Equal(t, 400, status, day)
		require.Equal(t, map[string]any{"action_date": "Invalid date"}, body["errors"])
	}
}

// What becomes of the invoices of a batch that is deleted is not documented.
func TestInvoicesOfADeletedBatch(t *testing.T) {
	for keeps, want := range map[bool]int{false: 2, true: 1} {
		s := start(t, snapbilltest.Options{DeadKeepsInvoices: keeps})
		s.Bill("001", "2014-08-21", 5000)
		s.NewBatch("2014-08-21")
		raw(t, s, python("batch/1500/update", "state=dead"))
		s.NewBatch("2014-08-21")
		_, body := raw(t, s, python("payment/list", ""))
		require.Len(t, body["list"], want)
	}
}

// A wrong login is refused in SnapBill's envelope, or with no word at all.
func TestAWrongLogin(t *testing.T) {
	for bare, want := range map[bool]any{false: "Login failed", true: nil} {
		s := start(t, snapbilltest.Options{BareUnauthorized: bare})
		status, body := raw(t, s, strings.Replace(python("batch/list", ""), "dXNlcjpwYXNz", "eDp5", 1))
		require.Equal(t, 401, status)
		require.Equal(t, want, body["message"])
	}
}
