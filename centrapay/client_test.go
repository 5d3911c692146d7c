package centrapay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
	"gopkg.in/h2non/gock.v1"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// A sample is one file of testdata.
type sample struct {
	Operation  string            `json:"operation"`
	Provenance string            `json:"provenance"`
	Status     int               `json:"status"`
	Method     string            `json:"method"`
	Path       string            `json:"path"`
	Headers    map[string]string `json:"headers"`
	Query      map[string]string `json:"query"`
	Body       json.RawMessage   `json:"body"`
}

func readSample(t testing.TB, file string) sample {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	var s sample
	require.NoError(t, json.Unmarshal(text, &s))
	require.NotEmpty(t, s.Provenance, "a sample without provenance proves nothing")
	return s
}

const testHost = "https://centrapay.test"

func newClient(t testing.TB, c Config) *Client {
	t.Helper()
	if c.APIKey == "" {
		c.APIKey = "canary-key-5f1c"
	}
	if c.BaseURL == "" {
		c.BaseURL = testHost
	}
	client, err := New(c)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// answers is a service that always says the same.
type answers struct {
	status   int
	kind     string // the content type, if it is not JSON
	header   http.Header
	body     string
	requests []*http.Request
	bodies   []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	body := ""
	if r.Body != nil {
		text, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		body = string(text)
	}
	a.requests, a.bodies = append(a.requests, r), append(a.bodies, body)
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if header.Set("Content-Type", "application/json"); a.kind != "" {
		header.Set("Content-Type", a.kind)
	}
	return &http.Response{StatusCode: a.status, Header: header, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(a.body)), ContentLength: int64(len(a.body))}, nil
}

// only is a middleware that answers by itself.
func only(t http.RoundTripper) func(http.RoundTripper) http.RoundTripper {
	return func(http.RoundTripper) http.RoundTripper { return t }
}

func (a *answers) client(t testing.TB) *Client {
	return newClient(t, Config{Middleware: only(a)})
}

var request = BatchRequest{Type: TypeFarmlandsExternalAsset, URL: "https://azurebuckets.com/1234",
	AccountID: "C4QnjXvj8At6SMsEN4LRi9"}

func TestOperations(t *testing.T) {
	var once []string
	for _, op := range Operations {
		if op.Safety == batchhttp.Once {
			once = append(once, op.Name)
		}
	}
	if diff := cmp.Diff([]string{"CreateBatch", "OnboardBusiness", "UploadMedia"}, once); diff != "" {
		t.Errorf("exactly the calls that change something must be sent once (-want +got):\n%s", diff)
	}
}

// native sets gock up for one client, and makes sure that nothing else happens.
func native(t *testing.T) *Client {
	t.Setenv("GOCK", "sequential") // Makes t.Parallel panic: gock is global.
	gock.DisableNetworking()
	t.Cleanup(func() {
		if !gock.IsDone() || gock.HasUnmatchedRequest() {
			t.Errorf("%d calls were expected and not made, %d made and not expected", len(gock.Pending()),
				len(gock.GetUnmatchedRequests()))
		}
		gock.OffAll()
	})
	return newClient(t, Config{Middleware: only(gock.NewTransport())})
}

func TestCreateBatchShape(t *testing.T) {
	want, reply := readSample(t, "batches_create.request.json"), readSample(t, "batches_create.response.json")
	client := native(t)
	var sent []byte
	gock.New(testHost).Post("^/api/batches$").
		MatchHeader("X-Api-Key", "^canary-key-5f1c$").MatchHeader("Content-Type", "^application/json$").
		AddMatcher(func(r *http.Request, _ *gock.Request) (bool, error) {
			var err error
			sent, err = io.ReadAll(r.Body)
			return true, err
		}).
		Reply(reply.Status).SetHeader("Content-Type", "application/json").BodyString(string(reply.Body))
	got, err := client.CreateBatch(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, want.Method+" "+want.Path, opCreateBatch.Method+" "+opCreateBatch.Path)
	sameJSON(t, "the request", want.Body, sent)
	test := true
	if diff := cmp.Diff(&Batch{ID: "AVH5uG4gRLYK6YR8JyrViN", AccountID: "1mdj7bj95gjo92r0ux6wfy69gj3h77",
		Status: StatusCreated,
		Type:   TypeFarmlandsExternalAsset, URL: "https://azurebuckets.com/1234", Test: &test, Count: "0",
		ErrorCount: "0", Errors: []RecordError{}}, got); diff != "" {
		t.Errorf("the documented reply is read otherwise (-want +got):\n%s", diff)
	}
}

func TestGetBatchShape(t *testing.T) {
	want, reply := readSample(t, "batches_get.request.json"), readSample(t, "batches_get.response.json")
	client := native(t)
	gock.New(testHost).Get("^"+want.Path+"$").MatchHeader("X-Api-Key", "^canary-key-5f1c$").
		Reply(reply.Status).SetHeader("Content-Type", "application/json").BodyString(string(reply.Body))
	got, err := client.GetBatch(t.Context(), "AVH5uG4gRLYK6YR8JyrViN")
	require.NoError(t, err)
	require.Equal(t, []RecordError{{ExternalID: "69d64d80-f9bd-4057-bc5b-1c55685d995b", Index: "1954",
		Message: "INVALID_BARCODE_LENGTH"}}, got.Errors)
	require.Equal(t, BigNumber("160000"), got.Count)
	require.False(t, got.ErrorsCutShort())
}

func TestOtherReadsShape(t *testing.T) {
	client := native(t)
	gock.New(testHost).Get("^/api/accounts/mc_1$").Reply(200).SetHeader("Content-Type", "application/json").
		BodyString(`{"id":"mc_1","name":"Cafe","test":true,"more":{"a":1}}`)
	account, err := client.GetAccount(t.Context(), "mc_1")
	require.NoError(t, err)
	require.Equal(t, &Account{ID: "mc_1", Name: "Cafe", Test: true}, account)

	gock.New(testHost).Get("^/api/assets/a.b/external-id/x y$").Reply(200).SetHeader("Content-Type",
		"application/json").
		BodyString(`{"id":"A1","availableBalance":"90071992547409930000","currency":"NZD"}`)
	asset, err := client.GetAssetByExternalID(t.Context(), "a.b", "x y")
	require.NoError(t, err)
	require.Equal(t, &Asset{ID: "A1", AvailableBalance: "90071992547409930000", Currency: "NZD"}, asset)
}

// TestAccountTestFlag: only true makes an account one for tests.
func TestAccountTestFlag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // Reads are repeated.
		for flag, want := range map[string]string{`"test":true,`: "true", `"test":false,`: "false",
			`"test":null,`: "false", ``: "false",
			`"test":"true",`: "error", `"test":1,`: "error", `"test":{},`: "error"} {
			service := &answers{status: 200, body: `{` + flag + `"id":"A1"}`}
			account, err := service.client(t).GetAccount(t.Context(), "A1")
			got := "error"
			if err == nil {
				got = strconv.FormatBool(account.Test)
			}
			require.Equal(t, want, got, "%s: %v", flag, err)
		}
	})
}

// sameJSON compares what JSON says, exactly: numbers by their digits.
func sameJSON(t testing.TB, what string, want, got []byte) {
	t.Helper()
	decode := func(text []byte) any {
		var v any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		require.NoError(t, d.Decode(&v), "%s: %s", what, text)
		return v
	}
	if diff := cmp.Diff(decode(want), decode(got)); diff != "" {
		t.Errorf("%s differs from the sample (-want +got):\n%s", what, diff)
	}
}

// TestSamples decodes every sample and encodes it again. What is not kept of one is
// named here.
func TestSamples(t *testing.T) {
	through := func(v any, unkept ...string) func(*testing.T, []byte) {
		return func(t *testing.T, text []byte) {
			require.NoError(t, batchhttp.Parse(text, v))
			again, err := marshal(v)
			require.NoError(t, err)
			sameJSON(t, "the object", without(t, text, unkept), again)
		}
	}
	type assets struct {
		Items       []Asset `json:"items"`
		NextPageKey string  `json:"nextPageKey,omitempty"`
	}
	type create struct {
		BatchRequest
		Test bool `json:"test"`
	}
	account := []string{"region", "createdBy", "createdAt", "modifiedAt", "modifiedBy", "version", "subscriptions"}
	kept := map[string]func(*testing.T, []byte){
		"accounts_get.response.json":                   through(new(Account), account...),
		"accounts_get_test.response.json":              through(new(Account), account...),
		"assets_get_external_id.response.json":         through(new(Asset), "settlement"),
		"assets_list_by_external_id.response.json":     through(new(assets), "settlement"),
		"assets_list_empty.response.json":              through(new(assets)),
		"assets_list_page1.response.json":              through(new(assets), "settlement"),
		"assets_list_page2.response.json":              through(new(assets), "value"),
		"batches_create.request.json":                  through(new(create)),
		"batches_create_business_onboard.request.json": through(new(create)),
		"batches_create_ticketek.request.json":         through(new(create)),
		"batches_create.response.json":                 through(new(Batch)),
		"batches_get.response.json":                    through(new(Batch)),
		"batches_get_chunked.response.json":            through(new(Batch)),
		"batches_get_copied.response.json":             through(new(Batch)),
		"batches_get_error.response.json":              through(new(Batch)),
		"batches_get_total_count.response.json":        through(new(Batch)),
		"businesses_onboard.request.json":              through(new(Onboarding)),
		"businesses_onboard_minimal.request.json":      through(new(Onboarding)),
		"businesses_onboard.response.json":             through(new(OnboardingRequest)),
		"media_uploads_create.response.json": func(t *testing.T, text []byte) {
			require.Contains(t, string(text), `"id"`)
		},
		"media_uploads_location.response.json": func(t *testing.T, text []byte) {
			require.Contains(t, string(text), `"url"`)
		},
	}
	files, err := filepath.Glob("testdata/*.json")
	require.NoError(t, err)
	tried := 0
	for _, file := range files {
		base := filepath.Base(file)
		s := readSample(t, base)
		if strings.HasPrefix(base, "error_") || len(s.Body) == 0 || string(s.Body) == "null" {
			continue // TestErrors, and requests without a body: TestRequestsWithoutABody.
		}
		tried++
		t.Run(base, func(t *testing.T) {
			require.NotNil(t, kept[base], "a sample that is not tried")
			kept[base](t, s.Body)
		})
	}
	require.Len(t, kept, tried)
}

// without is JSON without some fields, at any depth.
func without(t *testing.T, text []byte, fields []string) []byte {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(text, &v))
	var strip func(any)
	strip = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if strip(inner); slices.Contains(fields, key) {
					delete(v, key)
				}
			}
		case []any:
			for _, inner := range v {
				strip(inner)
			}
		}
	}
	strip(v)
	again, err := json.Marshal(v)
	require.NoError(t, err)
	return again
}

// TestRequestsWithoutABody sends each documented request without a body.
func TestRequestsWithoutABody(t *testing.T) {
	for file, call := range map[string]func(context.Context, *Client) error{
		"accounts_get.request.json": func(ctx context.Context, c *Client) error {
			return discard(c.GetAccount(ctx, "C4QnjXvj8At6SMsEN4LRi9"))
		},
		"assets_get_external_id.request.json": func(ctx context.Context, c *Client) error {
			return discard(c.GetAssetByExternalID(ctx, "farmlands.nzd.test", "b5fde0e0-357c-4fda-a90f-fd857f2be999"))
		},
		"assets_list_by_external_id.request.json": func(ctx context.Context, c *Client) error {
			for _, err := range c.ListAssets(ctx, "C4QnjXvj8At6SMsEN4LRi9", "b5fde0e0-357c-4fda-a90f-fd857f2be999") {
				return err
			}
			return nil
		},
		"batches_get.request.json": func(ctx context.Context, c *Client) error {
			return discard(c.GetBatch(ctx, "AVH5uG4gRLYK6YR8JyrViN"))
		},
		"businesses_onboard_get.request.json": func(ctx context.Context, c *Client) error {
			return discard(c.GetOnboarding(ctx, idIn(t, "businesses_onboard_get.request.json")))
		},
		"media_uploads_create.request.json": func(ctx context.Context, c *Client) error {
			return discard(c.UploadMedia(ctx, MediaUpload{Purpose: PurposeBusinessOnboarding, FileName: "a.csv",
				File: []byte("x")}))
		},
		"media_uploads_location.request.json": func(ctx context.Context, c *Client) error {
			return discard(c.MediaLocation(ctx, strings.TrimSuffix(idIn(t, "media_uploads_location.request.json"),
				"/location")))
		},
	} {
		t.Run(file, func(t *testing.T) {
			s := readSample(t, file)
			var sent *http.Request
			client, err := New(Config{APIKey: "key", Middleware: func(http.RoundTripper) http.RoundTripper {
				return roundTrip404(func(r *http.Request) { sent = r })
			}})
			require.NoError(t, err)
			require.ErrorIs(t, call(t.Context(), client), batch.ErrNotFound)
			require.Equal(t, s.Method+" "+s.Path, sent.Method+" "+sent.URL.EscapedPath())
			require.Equal(t, "key", sent.Header.Get("X-Api-Key"))
			for key, value := range s.Query {
				require.Equal(t, value, sent.URL.Query().Get(key))
			}
		})
	}
}

func discard[T any](_ T, err error) error { return err }

// idIn is what follows the fixed part of a sample's path.
func idIn(t *testing.T, file string) string {
	t.Helper()
	path := readSample(t, file).Path
	for _, prefix := range []string{"/api/businesses/onboard/", "/api/media-uploads/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return rest
		}
	}
	t.Fatal(path)
	return ""
}

// roundTrip404 shows a request to a test, and knows nothing.
type roundTrip404 func(*http.Request)

func (f roundTrip404) RoundTrip(r *http.Request) (*http.Response, error) {
	f(r)
	return &http.Response{StatusCode: 404, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(`{"statusCode":404,"message":"Not Found"}`))}, nil
}

func TestErrors(t *testing.T) {
	for file, want := range map[string]struct {
		read, create batch.Kind
		code         string
		message      string
	}{
		"error_400.json":                   {batch.ErrInvalid, batch.ErrInvalid, "", "amount is required"},
		"error_401.json":                   {batch.ErrAuth, batch.ErrAuth, "", "Missing authentication"},
		"error_403_forbidden.json":         {batch.ErrNotFound, batch.ErrAuth, "", "Forbidden"},
		"error_403_liveness_mismatch.json": {batch.ErrNotFound, batch.ErrInvalid, "LIVENESS_MISMATCH", "Config.Live"},
		"error_403_reason.json": {batch.ErrNotFound, batch.ErrAmbiguous, "ERROR_MESSAGE",
			"A more detailed description of the reason for the error"},
		"error_404_route.json": {batch.ErrNotFound, batch.ErrNotFound, "", "Not Found"},
		"error_429.json":       {batch.ErrThrottled, batch.ErrThrottled, "RATE_LIMIT_EXCEEDED", ""},
	} {
		t.Run(file, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // A 429 is waited for.
				s := readSample(t, file)
				service := &answers{status: s.Status, body: string(s.Body), header: http.Header{}}
				for k, v := range s.Headers {
					service.header.Set(k, v)
				}
				check := func(err error, kind batch.Kind) {
					t.Helper()
					var e *batch.Error
					require.ErrorAs(t, err, &e)
					require.Equal(t, kind, e.Kind)
					require.Equal(t, s.Status, e.Status)
					require.Equal(t, want.code, e.Code)
					require.Contains(t, e.Message, want.message)
					if s.Status == 429 {
						require.Equal(t, 7*time.Second, e.RetryAfter)
					}
				}
				client := service.client(t)
				_, err := client.CreateBatch(t.Context(), request)
				check(err, want.create)
				require.Len(t, service.requests, 1, "a create is sent once, whatever the reply")
				_, err = client.GetBatch(t.Context(), "A1")
				check(err, want.read)
			})
		})
	}
}

// TestOnlyDocumentedWordsRefuse answers a create with every documented error
// reply under every status, and with replies that a proxy may have written: only
// the documented reply under its own status is a refusal.
func TestOnlyDocumentedWordsRefuse(t *testing.T) {
	type reply struct{ kind, body string }
	replies := map[string]reply{}
	files, err := filepath.Glob("testdata/error_*.json")
	require.NoError(t, err)
	documented := map[string]int{}
	for _, file := range files {
		s := readSample(t, filepath.Base(file))
		replies[filepath.Base(file)] = reply{"application/json; charset=utf-8", string(s.Body)}
		documented[filepath.Base(file)] = s.Status
	}
	delete(documented, "error_403_reason.json") // Its word is a placeholder.
	for _, word := range []string{"duplicate_external_id", "file_too_large", "file_type_invalid",
		"invalid_asset_program", "invalid_sales_channel"} {
		delete(documented, "error_403_"+word+".json") // The words of other calls.
	}
	for name, body := range map[string]string{
		"another word":        `{"statusCode":STATUS,"error":"x","message":"Access denied due to invalid subscription key"}`,
		"a word of a rule":    `{"statusCode":STATUS,"message":"ACCOUNT_NOT_FOUND"}`,
		"no status":           `{"message":"Forbidden"}`,
		"a status of text":    `{"statusCode":"STATUS","message":"Forbidden"}`,
		"a message of a list": `{"statusCode":STATUS,"message":["Forbidden"]}`,
		"no message":          `{"statusCode":STATUS}`,
		"two messages":        `{"statusCode":STATUS,"message":"Forbidden","message":"Missing authentication"}`,
		"cut off":             `{"statusCode":STATUS,"message":"Forbidden"`,
		"nothing":             ``,
		"null":                `null`,
		"a text":              `"Forbidden"`,
		"a page":              `<html><h1>Forbidden</h1></html>`,
	} {
		replies[name] = reply{"application/json", body}
	}
	for kind, file := range map[string]string{"text/html": "error_401.json", "text/plain": "error_403_forbidden.json",
		"application/problem+json": "error_429.json"} {
		replies["documented words as "+kind] = reply{kind, string(readSample(t, file).Body)}
	}
	for _, status := range []int{300, 301, 307, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 413, 414, 415,
		417, 421, 422, 423, 425, 426, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511, 520, 599} {
		for name, r := range replies {
			service := &answers{status: status, kind: r.kind, body: strings.ReplaceAll(r.body, "STATUS",
				strconv.Itoa(status))}
			_, err := service.client(t).CreateBatch(t.Context(), request)
			refused := documented[name] == status || status == http.StatusBadRequest &&
				(name == "another word" || name == "a word of a rule")
			if got := batch.KindOf(err) != batch.ErrAmbiguous; got != refused {
				t.Errorf("%d %s: %v", status, name, err)
			}
			require.Len(t, service.requests, 1)
		}
	}
}

// TestReadsByStatus: what a read means is told by its status, also where a proxy
// has answered.
func TestReadsByStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			status int
			kind   string
			body   string
			want   batch.Kind
		}{
			{401, "text/html", "<html>", batch.ErrAuth},
			{401, "application/json", `{"statusCode":401,"message":"Invalid key"}`, batch.ErrAuth},
			{403, "text/html", "<html>", batch.ErrAuth},
			{403, "application/json", `{"statusCode":403,"message":"Forbidden"}`, batch.ErrNotFound},
			{403, "application/json", `{"statusCode":403,"message":"NO_SUCH_THING"}`, batch.ErrNotFound},
			{500, "application/json", `{"statusCode":500,"message":"Internal"}`, batch.ErrUnavailable},
		} {
			service := &answers{status: c.status, kind: c.kind, body: c.body}
			_, err := service.client(t).GetBatch(t.Context(), "A1")
			require.Equal(t, c.want, batch.KindOf(err), "%d %s: %v", c.status, c.body, err)
		}
	})
}

const good = `{"id":"A1","accountId":"x","status":"complete","type":"farmlands-external-asset","url":"https://azurebuckets.com/1234",` +
	`"test":true,"count":"2","errorCount":"0","errors":[]}`

// TestReplies holds a create and a read against replies: what decides is strict,
// and an id that a reply has is never lost.
func TestReplies(t *testing.T) {
	change := func(from, to string) string {
		require.Contains(t, good, from)
		return strings.Replace(good, from, to, 1)
	}
	for name, c := range map[string]struct {
		body         string
		read, create batch.Kind
		id           string // beside the error of the create
	}{
		"good":                      {good, "", "", "A1"},
		"unknown fields":            {change(`"count"`, `"more":{"a":[null]},"count"`), "", "", "A1"},
		"row 66: counts disagree":   {change(`"count":"2"`, `"count":"160000","totalCount":"16"`), "", "", "A1"},
		"row 70: another type":      {change(`farmlands`, `farmland`), "", batch.ErrAmbiguous, "A1"},
		"row 70: another url":       {change(`1234`, `1235`), "", batch.ErrAmbiguous, "A1"},
		"row 70: another test flag": {change(`"test":true`, `"test":false`), "", batch.ErrAmbiguous, "A1"},
		"row 70: another account":   {change(`"accountId":"x"`, `"accountId":"y"`), "", "", "A1"},
		"no status":                 {change(`"status":"complete",`, ``), batch.ErrProtocol, "", "A1"},
		"a status of a number":      {change(`"complete"`, `7`), batch.ErrProtocol, "", "A1"},
		"another id":                {change(`"A1"`, `"A2"`), batch.ErrProtocol, "", "A2"},
		"an id of a number":         {change(`"A1"`, `17`), batch.ErrProtocol, "", "17"},
		"a UUID": {change(`"A1"`, `"0b0e7b2a-6f0e-4a52-9f4c-5f3e0f0f1c1d"`), batch.ErrProtocol, "",
			"0b0e7b2a-6f0e-4a52-9f4c-5f3e0f0f1c1d"},
		"no id":                {change(`"id":"A1",`, ``), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"an id of null":        {change(`"A1"`, `null`), batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"an id that is a path": {change(`"A1"`, `"../A1"`), batch.ErrProtocol, batch.ErrAmbiguous, "../A1"},
		"a key twice": {change(`"status":"complete"`, `"status":"complete","status":"error"`),
			batch.ErrProtocol, batch.ErrAmbiguous, "A1"},
		"two ids": {change(`"id":"A1"`, `"id":"A1","id":"A2"`), batch.ErrProtocol,
			batch.ErrAmbiguous, ""},
		"null":                  {`null`, batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"a list":                {`[]`, batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"an empty object":       {`{}`, batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"nothing":               {``, batch.ErrProtocol, batch.ErrAmbiguous, ""},
		"two objects of one id": {good + "x", batch.ErrProtocol, batch.ErrAmbiguous, "A1"},
		"cut short":             {good[:len(good)-1], batch.ErrProtocol, batch.ErrAmbiguous, "A1"},
		"cut short in the id":   {good[:8], batch.ErrProtocol, batch.ErrAmbiguous, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // Reads are repeated.
				service := &answers{status: 200, body: c.body}
				client := service.client(t)
				created, err := client.CreateBatch(t.Context(), request)
				require.Equal(t, c.create, batch.KindOf(err), "create: %v", err)
				if created == nil {
					created = &Batch{}
				}
				require.Equal(t, c.id, created.ID)
				require.Len(t, service.requests, 1)
				got, err := client.GetBatch(t.Context(), "A1")
				require.Equal(t, c.read, batch.KindOf(err), "read: %v", err)
				require.Equal(t, err != nil, got == nil)
			})
		})
	}
}

// TestOtherFieldsDecideNothing takes each field of a reply away, makes it null,
// and makes it each other type of JSON: only those that decide may matter.
func TestOtherFieldsDecideNothing(t *testing.T) {
	kinds := []string{`null`, `true`, `7`, `1e999`, `"x"`, `""`, `[]`, `[null]`, `{}`, `{"a":[1]}`}
	for _, c := range []struct {
		reply   string
		decides []string
		call    func(*Client) error
	}{
		{good, []string{"id", "type", "url", "test"}, func(c *Client) error {
			return second(c.CreateBatch(t.Context(), request))
		}},
		{good, []string{"id", "status"}, func(c *Client) error { return second(c.GetBatch(t.Context(), "A1")) }},
		{`{"id":"A1","name":"n","type":"org","region":"NZ","test":true,"createdAt":"x","version":"1","subscriptions":[]}`,
			[]string{"id", "test"}, func(c *Client) error { return second(c.GetAccount(t.Context(), "A1")) }},
		{`{"id":"A1","accountId":"x","category":"money","type":"t","liveness":"main","description":"d","createdAt":"x","status":"active",` +
			`"currency":"NZD","balance":"1","initialBalance":"1","availableBalance":"1","activeFrom":"x","expiresAt":"x","value":[]}`,
			[]string{"id"}, func(c *Client) error { return second(c.GetAssetByExternalID(t.Context(), "a", "b")) }},
	} {
		var fields map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(c.reply), &fields))
		for field, old := range fields {
			if slices.Contains(c.decides, field) {
				continue
			}
			for _, kind := range append([]string{""}, kinds...) {
				if fields[field] = json.RawMessage(kind); kind == "" {
					delete(fields, field)
				}
				text, err := marshal(fields)
				require.NoError(t, err)
				if err := c.call((&answers{status: 200, body: string(text)}).client(t)); err != nil {
					t.Errorf("%s", text)
					t.Errorf("%q as %s: %v", field, kind, err)
				}
			}
			fields[field] = old
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestBadArguments(t *testing.T) {
	service := &answers{status: 200}
	client := service.client(t)
	_, err := client.CreateBatch(t.Context(), BatchRequest{URL: "ftp://canary.test/x"})
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, batch.ErrInvalid, e.Kind)
	require.Len(t, e.Fields, 3, "all faults are named at once: %v", err)
	for _, id := range []string{"", "..", "../x", "%2e%2e", "a?b", "a#b", "a\x00", "a\r\nX-Evil: 1",
		strings.Repeat("a", 10<<10)} {
		_, err := client.GetBatch(t.Context(), id)
		require.ErrorIs(t, err, batch.ErrInvalid, "%.20q", id)
		if id != "a\x00" && len(id) > 0 && !strings.ContainsAny(id, "/?#%.\r") && len(id) < 100 {
			continue
		}
		_, err = client.GetAccount(t.Context(), id)
		require.ErrorIs(t, err, batch.ErrInvalid, "%.20q", id)
		_, err = client.GetAssetByExternalID(t.Context(), "farmlands", id)
		require.ErrorIs(t, err, batch.ErrInvalid, "%.20q", id)
	}
	require.Empty(t, service.requests, "bad input must be refused before any request")
}

func TestURLs(t *testing.T) {
	for u, ok := range map[string]bool{
		"https://bucket.test/a?sig=1&x=%20":                true,
		"http://127.0.0.1:8080/a":                          true,
		"http://[::1]/a":                                   true,
		"http://localhost/a":                               true,
		"HTTPS://bucket.test/a":                            true,
		"":                                                 false,
		"http://bucket.test/a":                             false,
		"http://127.0.0.1.evil.test/a":                     false,
		"https://user:pass@bucket.test/a":                  false,
		"https://user@bucket.test/a":                       false,
		"https://bucket.test/a#b":                          false,
		"https://bucket.test/a#":                           false,
		"https://bucket.test/a b":                          false,
		"https://bucket.test/a\n":                          false,
		"https://bucket.test/\x7f":                         false,
		"https://bücket.test/a":                            false,
		"https:///a":                                       false,
		"https://:443/a":                                   false,
		"//bucket.test/a":                                  false,
		"file:///etc/passwd":                               false,
		"data:,x":                                          false,
		"https://b.test/" + strings.Repeat("a", maxURL):    false,
		"https://b.test/" + strings.Repeat("a", maxURL-15): true,
	} {
		if fault := urlFault(u); (fault == "") != ok {
			t.Errorf("the URL %.60q is judged %q", u, fault)
		}
	}
}

// TestURLIsSecret has services repeat the URL in every way that they might.
func TestURLIsSecret(t *testing.T) {
	const path = "canary-path-9c1e7"
	const query = "sig=canary%2Fquery&se=2026-11-21T00%3A00%3A00Z"
	secret := FileURL("https://bucket.test/" + path + "?" + query)
	r := request
	r.URL = secret
	log := new(bytes.Buffer)
	for name, words := range map[string]string{
		"the URL":        "cannot fetch " + string(secret),
		"its path":       "cannot fetch /" + path,
		"its query":      "no such file: " + query,
		"a piece":        "signature " + query[:16] + "...",
		"in JSON":        `cannot fetch https:\/\/bucket.test\/` + path,
		"a nested error": `{"url":"` + string(secret) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, status := range []int{400, 403, 500, 200} {
				text, err := json.Marshal(map[string]any{"statusCode": status, "message": words, "reason": words})
				require.NoError(t, err)
				client := newClient(t, Config{Middleware: only(&answers{status: status, body: string(text)}),
					Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
				_, err = client.CreateBatch(t.Context(), r)
				require.Error(t, err)
				all := fmt.Sprintf("%v %+v %#v %s %v", err, err, err, log, errors.Unwrap(err))
				for _, canary := range []string{path, "canary%2Fquery", "sig=canary"} {
					require.NotContains(t, all, canary)
				}
			}
		})
	}
	b := Batch{ID: "A1", URL: secret, Errors: []RecordError{}}
	slog.New(slog.NewJSONHandler(log, nil)).Info("x", "batch", b, "request", r, "url", secret)
	all := fmt.Sprintf("%v %+v %#v %s %q %v %+v %#v %s", b, b, b, secret, secret, r, &r, r, log)
	require.NotContains(t, all, "canary")
	text, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(text), path, "on the wire it must be whole")
}

func TestConfigIsRedacted(t *testing.T) {
	c := Config{APIKey: "canary-key-5f1c", BaseURL: testHost}
	client := newClient(t, c)
	log := new(bytes.Buffer)
	slog.New(slog.NewTextHandler(log, nil)).Info("x", "config", c, "pointer", &c)
	slog.New(slog.NewJSONHandler(log, nil)).Info("x", "config", c, "pointer", &c)
	all := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v %#v %s", c, c, c, c, c, c, c, &c, &c, &c, log)
	require.NotContains(t, all, "canary")
	require.NotContains(t, all, fmt.Sprintf("%x", "canary"))
	require.Contains(t, all, testHost)
	_ = client
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no key":            {},
		"a key with CRLF":   {APIKey: "canary\r\nX: y"},
		"a key with spaces": {APIKey: "canary key"},
		"plain http":        {APIKey: "canary", BaseURL: "http://centrapay.test"},
		"userinfo":          {APIKey: "canary", BaseURL: "https://u:canary@centrapay.test"},
		"two credentials": {APIKey: "canary", UserToken: func(context.Context) (string, error) {
			return "canary", nil
		}},
		"a key and a user": {APIKey: "canary", UserAccount: "mc_1"},
		"a negative limit": {APIKey: "canary", RequestsPerMinute: -1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.NotContains(t, err.Error(), "canary")
		})
	}
}

// TestLimit counts, for every minute, how many requests have gone out in it.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var times []time.Time
		transport := roundTripper(func(r *http.Request) (*http.Response, error) {
			times = append(times, time.Now())
			return (&answers{status: 200, body: `{"id":"A1","test":true}`}).RoundTrip(r)
		})
		client := newClient(t, Config{Middleware: only(transport)})
		start := time.Now()
		for range 500 {
			_, err := client.GetAccount(t.Context(), "A1")
			require.NoError(t, err)
		}
		for n := range times {
			in := 0
			for _, later := range times[n:] {
				if later.Sub(times[n]) < time.Minute {
					in++
				}
			}
			require.LessOrEqual(t, in, 200, "requests in the minute after request %d", n)
		}
		require.Less(t, time.Since(start), 3*time.Minute, "the limit must not waste what is allowed")

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		sent := len(times)
		_, err := client.CreateBatch(ctx, request)
		require.ErrorIs(t, err, batch.ErrThrottled)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		ended, end := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, end)
		_, err = client.CreateBatch(ended, request)
		require.ErrorIs(t, err, batch.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		require.Len(t, times, sent, "nothing may be sent without its turn")
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestRetryAfter is rows 35 and 36: a create that is throttled has had no
// effect, and it is for the caller to wait.
func TestRetryAfter(t *testing.T) {
	body := string(readSample(t, "error_429.json").Body)
	for value, want := range map[string]time.Duration{"5": 5 * time.Second, "-1": 0, "abc": 0, "": 0} {
		service := &answers{status: 429, body: body, header: http.Header{"Retry-After": {value}}}
		_, err := service.client(t).CreateBatch(t.Context(), request)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, batch.ErrThrottled, e.Kind)
		require.Equal(t, want, e.RetryAfter, "Retry-After: %q", value)
		require.Len(t, service.requests, 1)
	}
	synctest.Test(t, func(t *testing.T) {
		service := &answers{status: 429, body: body, header: http.Header{"Retry-After": {"99999999999"}}}
		start := time.Now()
		_, err := service.client(t).GetBatch(t.Context(), "A1")
		require.ErrorIs(t, err, batch.ErrThrottled)
		require.Zero(t, time.Since(start), "nobody waits three thousand years")
		_, err = service.client(t).CreateBatch(t.Context(), request)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Positive(t, e.RetryAfter, "no overflow")
	})
}

func TestBigNumber(t *testing.T) {
	for text, want := range map[string]string{
		`"0"`: "0", `"160000"`: "160000", `160000`: "160000", `"-1.50"`: "-1.50",
		`"90071992547409930000.01"`: "90071992547409930000.01",
		`true`:                      "true", `{}`: "{}", `1e9`: "1e9", `null`: "", `["1"]`: `["1"]`,
	} {
		var n BigNumber
		require.NoError(t, batchhttp.Parse([]byte(text), &n))
		require.Equal(t, want, string(n))
	}
	for _, n := range []BigNumber{"", "1e9", "2e0", "01", "+1", "-", "1.5", "NaN", "true", "{}", " 1", "1 ", "\u0663",
		BigNumber(strings.Repeat("9", 100))} {
		value, err := n.Int64()
		require.Error(t, err, "%q was read as %d", string(n), value)
	}
	value, err := BigNumber("-160000").Int64()
	require.NoError(t, err)
	require.Equal(t, int64(-160000), value)
	_, err = BigNumber("-1").count()
	require.Error(t, err)
}

func TestRecords(t *testing.T) {
	for _, c := range []struct {
		count, total BigNumber
		want         int64 // -1 is an error
	}{{"2", "", 2}, {"", "2", 2}, {"2", "2", 2}, {"160000", "16", -1}, {"", "", -1}, {"-2", "", -1}, {"2.5", "", -1},
		{"2", "{}", -1}, {"{}", "2", -1}} {
		n, err := (&Batch{Count: c.count, TotalCount: c.total}).Records()
		if (err != nil) != (c.want < 0) || err == nil && n != c.want {
			t.Errorf("count %q and totalCount %q are %d, %v", c.count, c.total, n, err)
		}
	}
}

// FuzzBatch: what a reply holds never panics, and what is taken for a finished
// batch says so exactly, with its counts.
func FuzzBatch(f *testing.F) {
	files, _ := filepath.Glob("testdata/batches_*.response.json")
	for _, file := range files {
		f.Add([]byte(readSample(f, filepath.Base(file)).Body))
	}
	f.Add([]byte(`{"id":"A","status":"complete","test":true,"count":"1","errorCount":1,"errors":[null,{"index":-1}]}`))
	f.Add([]byte("{\"id\":[\"\xb1\"]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var b Batch
		if batchhttp.JSON(&b)(bytes.NewReader(text)) != nil {
			return
		}
		if s := state(b.Status); s == batch.StateDone && b.Status != "complete" {
			t.Errorf("%q was taken for finished", b.Status)
		}
		again, err := marshal(b)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		var c Batch
		if err := batchhttp.JSON(&c)(bytes.NewReader(again)); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, again)
		}
		if diff := cmp.Diff(b, c, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("reading what was written changes it (-first +second):\n%s", diff)
		}
	})
}

// FuzzRefusal: no reply makes the client believe in a success, or panic.
func FuzzRefusal(f *testing.F) {
	files, _ := filepath.Glob("testdata/error_*.json")
	for _, file := range files {
		s := readSample(f, filepath.Base(file))
		f.Add(s.Status, []byte(s.Body))
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		e := refusals{}.read(status, http.Header{"Content-Type": {"application/json"}}, body)
		if e != nil && e.Message == "" && e.Code == "" {
			t.Errorf("a refusal without a word was recognised in %q", body)
		}
		if e != nil && e.Kind != batch.ErrAmbiguous && !slices.Contains([]int{400, 401, 403, 404, 429}, status) {
			t.Errorf("%d was taken for a refusal", status)
		}
	})
}
