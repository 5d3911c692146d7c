package sixdotfiftytest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/batchway/batchway-go/sixdotfifty/sixdotfiftytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A caller speaks HTTP to the simulator, without the client.
type caller struct {
	t      *testing.T
	server *sixdotfiftytest.Server
	token  string
}

func start(t *testing.T, o *sixdotfiftytest.Options) *caller {
	s := sixdotfiftytest.New(o)
	t.Cleanup(s.Close)
	return &caller{t: t, server: s}
}

func (c *caller) send(method, path, body string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, strings.TrimSuffix(c.server.URL, "/pay")+path,
		strings.NewReader(body))
	require.NoError(c.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	client := c.server.Config().HTTPClient
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	require.NoError(c.t, err)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	require.NoError(c.t, err)
	return r.StatusCode, string(text)
}

// login fetches a token of one API.
func (c *caller) login(api string) {
	c.t.Helper()
	config := c.server.Config()
	status, body := c.send("POST", "/"+api+"/authentication/getToken", fmt.Sprintf(`{"key":%q,"secret":%q}`, config.Key,
		config.Secret))
	require.Equal(c.t, 200, status, body)
	var out struct{ Token string }
	require.NoError(c.t, json.Unmarshal([]byte(body), &out))
	c.token = out.Token
}

// make makes a draft with payments and returns its id.
func (c *caller) make(external, payments string) string {
	c.t.Helper()
	status, body := c.send("POST", "/pay/batches", fmt.Sprintf(`{"name":"x","externalId":%q}`, external))
	require.Equal(c.t, 200, status, body)
	var out struct{ ID string }
	require.NoError(c.t, json.Unmarshal([]byte(body), &out))
	status, body = c.send("POST", "/pay/batches/"+out.ID+"/payments", `{"clearExisting":true,"payments":[`+payments+
		`]}`)
	require.Equal(c.t, 200, status, body)
	return out.ID
}

const two = `{"msisdn":"27821231234","amount":250,"firstname":"Test","lastname":"User 1","externalId":"pay-0001"},{"msisdn":"27821231235","amount":100.75,"externalId":"pay-0002"}`

// fields lists the paths of all fields of a JSON text, with their types.
func fields(t *testing.T, text string) []string {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	seen := map[string]bool{}
	var walk func(string, any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				walk(path+"."+key, inner)
			}
		case []any:
			for _, inner := range v {
				walk(path+"[]", inner)
			}
		default:
			seen[fmt.Sprintf("%s %T", path, v)] = true
		}
	}
	walk("", v)
	var paths []string
	for path := range seen {
		// Referrals are not enabled for the simulated account.
		if !strings.Contains(path, "referralAmount") && !strings.Contains(path, "referralMsisdn") {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// What 6DOT50 documents is what this server understands and says.
func TestDocumentedSamples(t *testing.T) {
	text, err := os.ReadFile("../testdata/samples.json")
	require.NoError(t, err)
	var all map[string]struct {
		Method, Path string
		Status       int
		Body         json.RawMessage
	}
	require.NoError(t, json.Unmarshal(text, &all))
	compact := func(name string) string {
		var b bytes.Buffer
		if body := all[name].Body; body != nil {
			require.NoError(t, json.Compact(&b, body))
		}
		return b.String()
	}
	// The ids of the samples, in the order in which the server makes its own.
	for _, api := range []string{"pay", "redemptions"} {
		c := start(t, &sixdotfiftytest.Options{Key: "00000000-0000-0000-0000-000000000000",
			Secret: "supersecretpassword", NonMembers: []string{"27821231235"}})
		exchange := func(name, path string) string {
			t.Helper()
			request, reply := all[api+"_"+name+".request"], all[api+"_"+name+".response"]
			if path == "" {
				path = request.Path
			}
			status, body := c.send(request.Method, "/"+api+path, compact(api+"_"+name+".request"))
			require.Equal(t, reply.Status, status, "%s: %s", name, body)
			require.Equal(t, fields(t, compact(api+"_"+name+".response")), fields(t, body), "the fields of %s", name)
			return body
		}
		token := exchange("get_token", "")
		require.NoError(t, json.Unmarshal([]byte(token), &struct{ Token *string }{&c.token}))
		exchange("list_accounts", "")
		if api == "redemptions" {
			var p struct{ ID string }
			require.NoError(t, json.Unmarshal([]byte(exchange("initiate_payment", "")), &p))
			exchange("get_payment", "/payments/"+p.ID)
			c.server.Confirm(p.ID)
			exchange("list_payments", "/payments")
			exchange("list_account_transactions", "")
			continue
		}
		exchange("batch_status_codes", "")
		exchange("payment_status_codes", "")
		var b struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(exchange("create_batch", "")), &b))
		exchange("update_batch", "/batches/"+b.ID)
		status, body := c.send("POST", "/pay/batches/"+b.ID+"/payments", compact("pay_add_batch_payments.request"))
		require.Equal(t, 200, status, body)
		exchange("submit_batch", "/batches/"+b.ID+"/submit")
		exchange("get_batch", "/batches/"+b.ID)
		var payments []struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(exchange("list_batch_payments", "/batches/"+b.ID+"/payments")),
			&payments))
		exchange("get_payment", "/payments/"+payments[0].ID)
		exchange("list_batches", "/batches?skip=0&take=100")
		cancelled := c.make("", two)
		exchange("cancel_batch", "/batches/"+cancelled+"/cancel")
	}
}

func TestAuthorization(t *testing.T) {
	c := start(t, nil)
	status, _ := c.send("GET", "/pay/accounts", "")
	require.Equal(t, 401, status, "no token")
	c.token = "invented"
	status, _ = c.send("GET", "/pay/accounts", "")
	require.Equal(t, 401, status, "another token")
	c.login("redemptions")
	status, _ = c.send("GET", "/pay/accounts", "")
	require.Equal(t, 401, status, "a token of the other API")
	c.login("pay")
	status, _ = c.send("GET", "/pay/accounts", "")
	require.Equal(t, 200, status)
	c.server.Clock.Advance(15 * time.Minute)
	status, _ = c.send("GET", "/pay/accounts", "")
	require.Equal(t, 401, status, "an expired token")

	status, body := c.send("POST", "/pay/authentication/getToken", `{"key":"x","secret":"y"}`)
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"success":false}`, body)
	other := start(t, &sixdotfiftytest.Options{TokenRefusal: 401, OneToken: true})
	status, _ = other.send("POST", "/pay/authentication/getToken", `{"key":"x","secret":"y"}`)
	require.Equal(t, 401, status)
	other.login("pay")
	first := other.token
	other.login("pay")
	other.token = first
	status, _ = other.send("GET", "/pay/accounts", "")
	require.Equal(t, 401, status, "a new token ends the older one")
}

func TestWhatIsRefused(t *testing.T) {
	c := start(t, &sixdotfiftytest.Options{Float: 20000})
	c.login("pay")
	id := c.make("run", two)
	refused := func(status int, method, path, body string) {
		t.Helper()
		got, text := c.send(method, "/pay"+path, body)
		require.Equal(t, status, got, "%s %s %s: %s", method, path, body, text)
	}
	add := func(payments string) string { return `{"clearExisting":false,"payments":[` + payments + `]}` }
	refused(400, "POST", "/batches", `{"externalId":"x"}`)
	refused(400, "POST", "/batches", `{"name":"x","externalId":"run"}`)
	refused(400, "POST", "/batches", `{"name":"x","externalid_":"run"}`)
	refused(400, "POST", "/batches/"+id+"/payments", `{"payments":[]}`)
	refused(400, "POST", "/batches/"+id+"/payments", add(`{"msisdn":"27821231234","amount":10.005}`))
	refused(400, "POST", "/batches/"+id+"/payments", add(`{"msisdn":"27821231234","amount":0}`))
	refused(400, "POST", "/batches/"+id+"/payments", add(`{"msisdn":"27821231234","amount":-1}`))
	refused(400, "POST", "/batches/"+id+"/payments", add(`{"msisdn":"+27821231234","amount":1}`))
	refused(400, "POST", "/batches/"+id+"/payments",
		add(`{"msisdn":"27821231234","amount":1},{"msisdn":"27821231234","amount":1,"externalId":"pay-0001"}`))
	refused(400, "PUT", "/batches/"+id, `{"name":""}`)
	refused(404, "GET", "/batches/unknown", "")
	refused(404, "GET", "/payments/unknown", "")
	refused(404, "DELETE", "/payments/unknown", "")
	refused(404, "GET", "/nothing", "")
	refused(400, "GET", "/batches?take=x", "")
	refused(400, "POST", "/batches/"+id+"/submit", "") // More than the float.
	_, body := c.send("GET", "/pay/batches/"+id, "")
	require.Contains(t, body, `"paymentsCount":2`, "all or none were added")
	require.Contains(t, body, `"statusCode":"DRAFT"`)
	c.server.TopUp(20000)
	refused(200, "POST", "/batches/"+id+"/submit", "")
	refused(400, "POST", "/batches/"+id+"/submit", "")
	refused(400, "POST", "/batches/"+id+"/cancel", "")
	refused(400, "PUT", "/batches/"+id, `{"name":"y"}`)
	refused(400, "POST", "/batches/"+id+"/payments", add(two))
	require.Equal(t, map[string]int{"pay-0001": 1, "pay-0002": 1}, c.server.Ledger.Moved())
}

func TestDeletedPayments(t *testing.T) {
	c := start(t, nil)
	c.login("pay")
	id := c.make("run", two)
	var payments []struct{ ID string }
	_, body := c.send("GET", "/pay/batches/"+id+"/payments", "")
	require.NoError(t, json.Unmarshal([]byte(body), &payments))
	status, body := c.send("DELETE", "/pay/payments/"+payments[0].ID, "")
	require.Equal(t, 200, status)
	require.Contains(t, body, `"statusCode":"DELETED"`)
	status, _ = c.send("GET", "/pay/payments/"+payments[0].ID, "")
	require.Equal(t, 404, status)
	c.send("POST", "/pay/batches/"+id+"/submit", "")
	status, _ = c.send("DELETE", "/pay/payments/"+payments[1].ID, "")
	require.Equal(t, 400, status)
}

func TestUnclaimedPaymentsComeBack(t *testing.T) {
	c := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27821231235"}, Float: 35075})
	balance := func() string {
		t.Helper()
		c.login("pay")
		_, body := c.send("GET", "/pay/accounts", "")
		return body
	}
	c.login("pay")
	id := c.make("run", two)
	c.send("POST", "/pay/batches/"+id+"/submit", "")
	require.Contains(t, balance(), `"balance":0,`)
	c.server.Clock.Advance(60 * 24 * time.Hour)
	require.Contains(t, balance(), `"balance":100.75,`)
	_, body := c.send("GET", "/pay/batches/"+id, "")
	require.Contains(t, body, `"statusCode":"CLOSED"`)
	require.Contains(t, body, `"settledCount":1,"cancelledAmount":100.75,"cancelledCount":1`)
	c.server.Join("27821231235")
	require.Equal(t, map[string]int{"pay-0001": 1}, c.server.Ledger.Moved(), "too late")
}

func TestMembers(t *testing.T) {
	for missing, want := range map[bool]string{false: "200 false", true: "404 Member not found"} {
		c := start(t, &sixdotfiftytest.Options{NonMembers: []string{"27821231235"}, MissingMembers: missing,
			StringBalances: true, Errors: sixdotfiftytest.ErrorsText})
		c.login("pay")
		status, body := c.send("GET", "/pay/members/27821231235/exists", "")
		require.Equal(t, want, fmt.Sprint(status, " ", body))
		status, body = c.send("GET", "/pay/members/27821231234/exists", "")
		require.Equal(t, "200 true", fmt.Sprint(status, " ", body))
		_, body = c.send("GET", "/pay/accounts", "")
		require.Contains(t, body, `"balance":"1000000"`)
	}
}

func TestListsAreNewestFirstAndPaged(t *testing.T) {
	c := start(t, nil)
	c.login("pay")
	for n := range 1003 {
		status, _ := c.send("POST", "/pay/batches", fmt.Sprintf(`{"name":"n%d"}`, n))
		require.Equal(t, 200, status)
	}
	names := func(query string) []string {
		var list []struct{ Name string }
		_, body := c.send("GET", "/pay/batches"+query, "")
		require.NoError(t, json.Unmarshal([]byte(body), &list))
		var names []string
		for _, b := range list {
			names = append(names, b.Name)
		}
		return names
	}
	require.Len(t, names(""), 1000, "without paging a list is cut")
	require.Equal(t, []string{"n1000", "n999"}, names("?skip=2&take=2"))
	require.Empty(t, names("?statusCode=OPEN"))
	require.Empty(t, names("?skip=1003"))
}
