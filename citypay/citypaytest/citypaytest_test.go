package citypaytest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/batchway/batchway-go/citypay/citypaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sign computes a key from the documentation, not from the client's code.
func sign(clientID, licenceKey string, at time.Time) string {
	nonce := []byte("jklmnopqrstuvwxy")
	stamp, _ := hex.DecodeString(at.UTC().Format("200601021504"))
	mac := hmac.New(sha256.New, []byte(licenceKey))
	mac.Write(append(append([]byte(clientID), nonce...), stamp...))
	return base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%s:%X:%s", clientID, nonce, mac.Sum(nil))))
}

func send(t *testing.T, s *citypaytest.Server, path, key, kind, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", kind)
	if key != "" {
		req.Header.Set("cp-api-key", key)
	}
	client := s.Config().HTTPClient
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(text)
}

func post(t *testing.T, s *citypaytest.Server, path, body string) (int, string) {
	t.Helper()
	return send(t, s, path, sign("PC600001", "EXAMPLEKEY0000AB", time.Now()), "application/json", body)
}

func start(t *testing.T, o *citypaytest.Options) *citypaytest.Server {
	s := citypaytest.New(o)
	t.Cleanup(s.Close)
	return s
}

const rows = `{"batch_date":"2020-01-02","batch_id":35,"transactions":[{"account_id":"account-1","amount":100,"identifier":"item-1","merchantid":1},{"account_id":"account-2","amount":3333,"identifier":"item-2","merchantid":1}]}`

// What CityPay documents is what this server understands and says.
func TestDocumentedSamples(t *testing.T) {
	text, err := os.ReadFile("../testdata/samples.json")
	require.NoError(t, err)
	var all map[string]struct {
		Path   string          `json:"path"`
		Status int             `json:"status"`
		Body   json.RawMessage `json:"body"`
	}
	require.NoError(t, json.Unmarshal(text, &all))
	compact := func(name string) string {
		var b bytes.Buffer
		require.NoError(t, json.Compact(&b, all[name].Body))
		return b.String()
	}

	s := start(t, nil)
	for _, name := range []string{"batch_process", "batch_status", "batch_retrieve", "ping", "acl_check"} {
		request, reply := all[name+".request"], all[name+".response"]
		if name == "batch_retrieve" {
			s.Finish(35)
		}
		status, body := post(t, s, request.Path, compact(name+".request"))
		require.Equal(t, reply.Status, status, "%s: %s", name, body)
		require.Equal(t, fields(t, compact(name+".response")), fields(t, body), "the fields of %s", name)
	}
	for _, name := range []string{"batch_process_multi", "batch_process_minimal"} {
		status, body := post(t, s, "/v6/batch/process", compact(name+".request"))
		require.Equal(t, 200, status, "%s: %s", name, body)
	}
	_, body := post(t, s, "/v6/batch/process", `{"batch_date":"2020-01-02","batch_id":1,"transactions":[]}`)
	require.Equal(t, fields(t, compact("error_422_B005_no_transactions.error")), fields(t, body),
		"the fields of an error")
}

// fields lists the paths of all fields of a JSON text.
func fields(t *testing.T, text string) []string {
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
		paths = append(paths, path)
	}
	sort.Strings(paths)
	return paths
}

func TestKeys(t *testing.T) {
	s := start(t, nil)
	now := time.Now()
	good := sign("PC600001", "EXAMPLEKEY0000AB", now)
	raw, err := base64.StdEncoding.DecodeString(good)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		key    string
		status int
	}{
		"good":                 {good, 200},
		"20 minutes old":       {sign("PC600001", "EXAMPLEKEY0000AB", now.Add(-20*time.Minute)), 200},
		"22 minutes old":       {sign("PC600001", "EXAMPLEKEY0000AB", now.Add(-22*time.Minute)), 403},
		"from the future":      {sign("PC600001", "EXAMPLEKEY0000AB", now.Add(2*time.Minute)), 403},
		"missing":              {"", 401},
		"of another client":    {sign("PC600002", "EXAMPLEKEY0000AB", now), 403},
		"with another licence": {sign("PC600001", "EXAMPLEKEY0000AC", now), 403},
		"no base64":            {"***", 403},
		"with a lower-case nonce": {
			base64.StdEncoding.EncodeToString(append(append([]byte("PC600001:"), bytes.ToLower(raw[9:41])...),
				raw[41:]...)), 403},
		"cut short": {base64.StdEncoding.EncodeToString(raw[:20]), 403},
		"with a nonce of no hex": {
			base64.StdEncoding.EncodeToString([]byte("PC600001:" + strings.Repeat("Z", 32) + ":x")), 403},
	} {
		status, _ := send(t, s, "/v6/ping", c.key, "application/json", "{}")
		require.Equal(t, c.status, status, name)
	}
	short := start(t, &citypaytest.Options{KeyLifetime: 5 * time.Minute})
	short.Clock.Advance(7 * time.Minute)
	status, _ := post(t, short, "/v6/ping", "{}")
	require.Equal(t, 403, status, "in production a key lives five minutes")
}

func TestRefusals(t *testing.T) {
	s := start(t, &citypaytest.Options{MaxItems: 2})
	row := `{"account_id":"account-1","amount":100,"identifier":"item-1","merchantid":1}`
	batch := func(id, date, rows string) string {
		return fmt.Sprintf(`{"batch_date":%q,"batch_id":%s,"transactions":[%s]}`, date, id, rows)
	}
	for body, code := range map[string]string{
		batch("0", "2020-01-02", row):                                                                          "B004",
		batch("100000000", "2020-01-02", row):                                                                  "B004",
		batch("1", "2020-01-02", ""):                                                                           "B005",
		batch("1", "2020-01-02", strings.Replace(row, "100", "0", 1)):                                          "B006",
		batch("1", "2020-01-02", strings.Replace(row, "account-1", "a/b/c", 1)):                                "B006",
		batch("1", "2020-01-02", strings.Replace(row, "item-1", "abc", 1)):                                     "B006",
		batch("1", "02/01/2020", row):                                                                          "B007",
		batch("1", "2020-01-02", row+","+row+","+row):                                                          "B009",
		batch("1", "2020-01-02T10:31:07", row):                                                                 "B007",
		strings.Replace(batch("1", "2020-01-02", row), `"batch_id"`, `"client_account_id":"AC","batch_id"`, 1): "P045",
	} {
		status, text := post(t, s, "/v6/batch/process", body)
		require.Equal(t, 422, status, body)
		require.Contains(t, text, code, body)
	}
	for _, body := range []string{"", "[]", `{"batch_id":"x"}`, `{"batch_ids":[1]}`} {
		status, _ := post(t, s, "/v6/batch/process", body)
		require.Equal(t, 400, status, body)
	}
	status, _ := send(t, s, "/v6/ping", sign("PC600001", "EXAMPLEKEY0000AB", time.Now()), "text/plain", "{}")
	require.Equal(t, 400, status, "another content type")
	_, text := post(t, s, "/v6/batch/status", `{"batch_id":[]}`)
	require.Contains(t, text, "B003")
	_, text = post(t, s, "/v6/batch/retrieve", `{"batch_id":1}`)
	require.Contains(t, text, "B002")
	_, text = post(t, s, "/v6/acl/check", `{"ip":"::1"}`)
	require.Contains(t, text, "P045")
	status, _ = post(t, s, "/v6/nothing", "{}")
	require.Equal(t, 404, status)
	require.Empty(t, s.Accepted())
}

// CityPay's own Go client sends a batch_date with a time. Its Go and Python clients
// cannot read an empty date.
func TestDatesThatCityPaysClientsSendAndRead(t *testing.T) {
	s := start(t, &citypaytest.Options{EarlyReport: citypaytest.EarlyPartial})
	_, text := post(t, s, "/v6/batch/process", strings.Replace(rows, "2020-01-02", "2020-01-02T10:31:07+01:00", 1))
	require.Contains(t, text, `"valid":true`)
	_, text = post(t, s, "/v6/batch/status", `{"batch_id":[35,36]}`)
	require.Contains(t, text, `"batch_date":"2020-01-02","batch_id":35`)
	require.NotContains(t, text, `""`)
	_, text = post(t, s, "/v6/batch/retrieve", `{"batch_id":35}`)
	require.NotContains(t, text, `"datetime":""`)
}

// A sum over 32 bits, which CityPay's own clients cannot read, is refused.
func TestSumsFit32Bits(t *testing.T) {
	s := start(t, nil)
	var row []string
	for n := range 3 {
		row = append(row,
			fmt.Sprintf(`{"account_id":"account-1","amount":999999999,"identifier":"item-%d","merchantid":1}`, n))
	}
	status, text := post(t, s, "/v6/batch/process", `{"batch_date":"2020-01-02","batch_id":1,"transactions":[`+
		strings.Join(row, ",")+`]}`)
	require.Equal(t, 422, status)
	require.Contains(t, text, "D033")
	require.Empty(t, s.Accepted())
}

// A batch account that is too long is refused in every call that takes one.
func TestBatchAccountsAreBounded(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{"/v6/batch/status", "/v6/batch/retrieve"} {
		id := map[string]string{"/v6/batch/status": "[35]", "/v6/batch/retrieve": "35"}[path]
		_, text := post(t, s, path, `{"client_account_id":"`+strings.Repeat("x", 21)+`","batch_id":`+id+`}`)
		require.Contains(t, text, "P045")
	}
}

// What the client refuses before a request is refused here as well.
func TestRefusalsAroundTheBatch(t *testing.T) {
	s := start(t, &citypaytest.Options{UnknownAccounts: []string{"account-2"}})
	long := strings.Repeat("x", 51)
	refund := func(change ...string) string {
		return strings.NewReplacer(change...).
			Replace(`{"amount":1,"identifier":"refund-1","merchantid":1,"refund_ref":1,"trans_info":"info"}`)
	}
	card := func(change ...string) string {
		return strings.NewReplacer(change...).
			Replace(`{"cardnumber":"4000 0000 0000 0002","expmonth":9,"expyear":2099,"name_on_card":"MR NE BODY"}`)
	}
	for _, c := range [][]string{
		{"/v6/refund", refund(), "R001"},
		{"/v6/refund", refund(`"amount":1`, `"amount":0`), "P005"},
		{"/v6/refund", refund(`"amount":1`, `"amount":1000000000`), "P005"},
		{"/v6/refund", refund("refund-1", ""), "P026"},
		{"/v6/refund", refund("refund-1", "abcd"), "P039"},
		{"/v6/refund", refund("refund-1", long), "P016"},
		{"/v6/refund", refund(`"merchantid":1`, `"merchantid":0`), "P002"},
		{"/v6/refund", refund(`"merchantid":1`, `"merchantid":2`), "S003"},
		{"/v6/refund", refund(`"info"`, `"`+long+`"`), "P045"},
		{"/v6/charge", `{"amount":1,"identifier":"charge-1","merchantid":1,"token":"ct"}`, "P052"},
		{"/v6/void", `{"merchantid":1}`, "P013"},
		{"/v6/capture", `{"merchantid":1,"transno":7}`, "D022"},
		{"/v6/account/create", `{}`, "P044"},
		{"/v6/account/create", `{"account_id":"a/b/c"}`, "D048"},
		{"/v6/account/create", `{"account_id":"account-1"}`, "D049"},
		{"/v6/account/create", `{"account_id":"account-2","contact":{"country":"GBR"}}`, "P045"},
		{"/v6/account/account-2/contact", `{}`, "P043"},
		{"/v6/account/account-2/register", card(), "P043"},
		{"/v6/account/account-1/register", card("0000 0002", "0000 000x"), "C001"},
		{"/v6/account/account-1/register", card(" 0000 0002", ""), "C004"},
		{"/v6/account/account-1/register", card("0002", "0003"), "C002"},
		{"/v6/account/account-1/register", card(":9,", ":13,"), "C007"},
		{"/v6/account/account-1/register", card("2099", "1999"), "C008"},
		{"/v6/account/account-1/register", card("2099", "2001"), "C027"},
		{"/v6/account/account-1/register", card("MR NE BODY", "x"), "P045"},
		{"/v6/merchant-batch/report", `{"maxResults":4}`, "P045"},
		{"/v6/merchant-batch/report", `{"date_from":"24/01/2024"}`, "P045"},
		{"/v6/merchant-batch/report", `{"nextToken":"x"}`, "P045"},
		{"/v6/transactions", `{"merchantid":1}`, "P044"},
		{"/v6/permissions/register-temp-ip", `{"exp":1}`, "P045"},
		{"/dk/check", `{"domain_key":"short"}`, "P045"},
		{"/hooks/channel/create", `{"channel_name":"x"}`, "P044"},
		{"/hooks/subscribe", `{"clientid":"PC1","channels":["wc_0001"]}`, "D101"},
	} {
		status, text := post(t, s, c[0], c[1])
		require.Equal(t, map[bool]int{true: 200, false: 422}[c[2] == "R001"], status, "%v", c)
		require.Contains(t, text, `"`+c[2]+`"`, "%v", c)
	}
	require.Empty(t, s.Ledger.Effects())
	require.Zero(t, s.Made())
}

func TestTheOtherAnswers(t *testing.T) {
	t.Run("a duplicate is not valid", func(t *testing.T) {
		s := start(t, &citypaytest.Options{Duplicate: citypaytest.DuplicateInvalid})
		post(t, s, "/v6/batch/process", rows)
		status, text := post(t, s, "/v6/batch/process", rows)
		require.Equal(t, 200, status)
		require.Contains(t, text, `"valid":false`)
		require.Equal(t, 1, s.Accepted()["item-1"])
	})
	t.Run("a duplicate is charged again", func(t *testing.T) {
		s := start(t, &citypaytest.Options{Duplicate: citypaytest.DuplicateCharged})
		post(t, s, "/v6/batch/process", rows)
		post(t, s, "/v6/batch/process", rows)
		require.Equal(t, 2, s.Accepted()["item-1"])
		s.FinishAll()
		require.Equal(t, map[string]int{"item-1": 2}, s.Ledger.Moved(), "item-2 is declined by its amount")
	})
	t.Run("a duplicate replaces the first", func(t *testing.T) {
		s := start(t, &citypaytest.Options{Duplicate: citypaytest.DuplicateOverwrite})
		post(t, s, "/v6/batch/process", rows)
		post(t, s, "/v6/batch/process", rows)
		require.Equal(t, 1, s.Accepted()["item-1"])
		s.FinishAll()
		require.Equal(t, map[string]int{"item-1": 1}, s.Ledger.Moved())
	})
	t.Run("a duplicate is refused", func(t *testing.T) {
		s := start(t, nil)
		post(t, s, "/v6/batch/process", rows)
		status, text := post(t, s, "/v6/batch/process", rows)
		require.Equal(t, 422, status)
		require.Contains(t, text, "B008")
	})
	t.Run("refusals come as 200", func(t *testing.T) {
		s := start(t, &citypaytest.Options{RefuseAsInvalid: true})
		status, text := post(t, s, "/v6/batch/process", `{"batch_date":"2020-01-02","batch_id":1,"transactions":[]}`)
		require.Equal(t, 200, status)
		require.Contains(t, text, `"valid":false`)
	})
	t.Run("one bad row refuses the batch", func(t *testing.T) {
		s := start(t, &citypaytest.Options{UnknownAccounts: []string{"account-2"}, BadRowRefusesBatch: true})
		_, text := post(t, s, "/v6/batch/process", rows)
		require.Contains(t, text, "B006")
	})
	t.Run("unseen", func(t *testing.T) {
		for unseen, want := range map[citypaytest.Unseen]string{citypaytest.UnseenUnknown: "UNKNOWN",
			citypaytest.UnseenMissing: `"batches":[]`, citypaytest.UnseenError: "B002"} {
			_, text := post(t, start(t, &citypaytest.Options{Unseen: unseen}), "/v6/batch/status", `{"batch_id":[35]}`)
			require.Contains(t, text, want)
		}
	})
	t.Run("an early report", func(t *testing.T) {
		for early, want := range map[citypaytest.EarlyReport]string{citypaytest.EarlyEmpty: `"transactions":[]`,
			citypaytest.EarlyPartial: `"identifier":"item-1"`, citypaytest.EarlyRefused: "B002"} {
			s := start(t, &citypaytest.Options{EarlyReport: early})
			post(t, s, "/v6/batch/process", rows)
			_, text := post(t, s, "/v6/batch/retrieve", `{"batch_id":35}`)
			require.Contains(t, text, want)
			require.NotContains(t, text, "item-2")
		}
	})
	t.Run("the amount of what was paid", func(t *testing.T) {
		for paid, want := range map[bool]string{false: `"amount":3433,`, true: `"amount":100,`} {
			s := start(t, &citypaytest.Options{PaidTotal: paid})
			post(t, s, "/v6/batch/process", rows)
			s.FinishAll()
			_, text := post(t, s, "/v6/batch/retrieve", `{"batch_id":35}`)
			require.Contains(t, text, want)
		}
	})
}

func TestABatchMovesOn(t *testing.T) {
	s := start(t, &citypaytest.Options{Autoplay: 2})
	post(t, s, "/v6/batch/process", rows)
	var words []string
	for range 8 {
		_, text := post(t, s, "/v6/batch/status", `{"batch_id":[35]}`)
		for _, word := range []string{"INITIALISED", "QUEUED", "LOCKED", "COMPLETE"} {
			if strings.Contains(text, word) {
				words = append(words, word)
			}
		}
		if len(words) < 6 {
			require.Empty(t, s.Ledger.Moved(), "nothing is charged before the batch is complete")
		}
	}
	require.Equal(t, []string{"INITIALISED", "QUEUED", "QUEUED", "LOCKED", "LOCKED", "COMPLETE", "COMPLETE",
		"COMPLETE"}, words)
	require.Equal(t, map[string]int{"item-1": 1}, s.Ledger.Moved())

	s.SayStatus("WORD")
	_, text := post(t, s, "/v6/batch/status", `{"batch_id":[35]}`)
	require.Contains(t, text, `"WORD"`)

	other := start(t, nil)
	post(t, other, "/v6/batch/process", rows)
	other.Advance(35)
	other.Cancel(35)
	other.Finish(35)
	require.Empty(t, other.Ledger.Moved(), "what is cancelled stays so")
	require.Panics(t, func() { other.Finish(36) })
}

// A batch is seen only under its own account, and money has the payer that the
// request named.
func TestAccountsAndPayers(t *testing.T) {
	under := func(account, text string) string {
		return strings.Replace(text, "{", fmt.Sprintf(`{"client_account_id":%q,`, account), 1)
	}
	for _, byAccount := range []bool{false, true} {
		s := start(t, &citypaytest.Options{NumbersByAccount: byAccount})
		post(t, s, "/v6/batch/process", under("AC1", rows))
		for account, seen := range map[string]bool{"AC1": true, "AC2": false, "PC600001": false} {
			_, text := post(t, s, "/v6/batch/status", under(account, `{"batch_id":[35]}`))
			require.Equal(t, seen, strings.Contains(text, "INITIALISED"), text)
			status, text := post(t, s, "/v6/batch/retrieve", under(account, `{"batch_id":35}`))
			require.Equal(t, seen, status == 200, text)
		}
		_, text := post(t, s, "/v6/batch/status", `{"batch_id":[35]}`)
		require.Contains(t, text, "UNKNOWN", "the client id is the account if none is named")

		status, text := post(t, s, "/v6/batch/process", strings.Replace(rows, `"merchantid":1`, `"merchantid":2`, 1))
		require.Equal(t, byAccount, status == 200, text)
		s.FinishAll()
		var payers []string
		for _, e := range s.Ledger.Effects() {
			payers = append(payers, e.Payer)
		}
		sort.Strings(payers)
		want := []string{"merchant 1 of AC1"}
		if byAccount {
			want = append(want, "merchant 2 of PC600001")
		}
		require.Equal(t, want, payers)
	}
}
