package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/citypay"
	"github.com/batchway/batchway-go/sixdotfifty"
	"github.com/batchway/batchway-go/snapbill"
)

// A visitor uses a sandbox as another program does: by what it prints.
type visitor struct {
	t    *testing.T
	page string
	env  map[string]string
	urls map[string]string // base URLs by provider, as in the lines for payrun.json
	stop func() error      // ends the sandbox, and says how it ended
}

func visit(t *testing.T) visitor {
	v, err := start(t, "-port", "0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.stop()) })
	return v
}

// start starts a sandbox, or returns why it ended at once.
func start(t *testing.T, args ...string) (visitor, error) {
	ctx, cancel := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, args, write)
		_ = write.Close()
	}()
	stop := func() error { cancel(); return <-ended }
	v := visitor{t, "", map[string]string{}, map[string]string{}, stop}
	lines := bufio.NewScanner(read)
	for len(v.urls) < 4 && lines.Scan() {
		line := lines.Text()
		if at, ok := strings.CutPrefix(line, "The page is at "); ok {
			v.page = at
		}
		if variable, ok := strings.CutPrefix(line, "export "); ok {
			name, value, _ := strings.Cut(variable, "=")
			v.env[name] = value
		}
		var config struct {
			Provider string `json:"provider"`
			BaseURL  string `json:"base_url"`
		}
		if json.Unmarshal([]byte(line), &config) == nil {
			v.urls[config.Provider] = config.BaseURL
		}
	}
	if len(v.urls) < 4 {
		return v, stop()
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	return v, nil
}

func (v visitor) do(method, path, body string, header ...string) (status int, text string) {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.page+path, strings.NewReader(body))
	require.NoError(v.t, err)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for n := 0; n < len(header); n += 2 {
		if header[n] == "Host" {
			request.Host = header[n+1]
		}
		request.Header.Set(header[n], header[n+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	require.NoError(v.t, err)
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	require.NoError(v.t, err)
	return response.StatusCode, string(read)
}

func (v visitor) post(path, form string) {
	v.t.Helper()
	status, text := v.do(http.MethodPost, path, form)
	require.Equal(v.t, http.StatusSeeOther, status, text)
}

func (v visitor) state(name string) (state serviceState) {
	v.t.Helper()
	_, text := v.do(http.MethodGet, "/api/state", "")
	var all []serviceState
	require.NoError(v.t, json.Unmarshal([]byte(text), &all))
	for _, state := range all {
		if state.Name == name {
			return state
		}
	}
	require.Fail(v.t, "no state of "+name)
	return state
}

func (v visitor) cityPay() batch.Provider {
	client, err := citypay.New(citypay.Config{ClientID: v.env["CITYPAY_CLIENT_ID"],
		LicenceKey: v.env["CITYPAY_LICENCE_KEY"], BaseURL: v.urls["citypay"]})
	require.NoError(v.t, err)
	p, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	require.NoError(v.t, err)
	return p
}

func quick() *batch.RunOptions {
	return &batch.RunOptions{Journal: batch.NewMemoryJournal(), Watch: batch.WatchOptions{Interval: time.Millisecond,
		MaxInterval: 5 * time.Millisecond}}
}

func draft(direction batch.Direction, account string, minor int64, currency string) batch.Draft {
	return batch.Draft{Reference: "1", Direction: direction,
		Items: []batch.Item{{Reference: "item-1", Account: account,
			Amount: batch.Money{Minor: minor, Currency: currency}}}}
}

// A job is a draft that its provider can run.
type job struct {
	provider batch.Provider
	draft    batch.Draft
}

// jobs are one for each service.
func (v visitor) jobs() []job {
	records, err := centrapay.New(centrapay.Config{APIKey: v.env["CENTRAPAY_API_KEY"], BaseURL: v.urls["centrapay"]})
	require.NoError(v.t, err)
	load, err := centrapay.NewProvider(records, centrapay.ProviderConfig{
		AccountID: v.env["CENTRAPAY_ACCOUNT_ID"], Currency: "NZD",
		Upload: func(_ context.Context, name string, file io.Reader) (string, error) {
			text, err := io.ReadAll(file)
			require.NoError(v.t, err)
			status, answer := v.do(http.MethodPut, "/files/"+url.PathEscape(name), string(text))
			require.Equal(v.t, http.StatusCreated, status)
			return strings.TrimSpace(answer), err
		},
	})
	require.NoError(v.t, err)

	wages, err := sixdotfifty.New(sixdotfifty.Config{
		Key: v.env["SIXDOTFIFTY_KEY"], Secret: v.env["SIXDOTFIFTY_SECRET"], BaseURL: v.urls["sixdotfifty"]})
	require.NoError(v.t, err)
	pay, err := sixdotfifty.NewProvider(wages, sixdotfifty.ProviderConfig{})
	require.NoError(v.t, err)

	v.post("/api/snapbill/bill", "client=009&due=2026-11-01&cents=777")
	orders, err := snapbill.New(snapbill.Config{
		Username: v.env["SNAPBILL_USERNAME"], Password: v.env["SNAPBILL_PASSWORD"], BaseURL: v.urls["snapbill"]})
	require.NoError(v.t, err)
	debit, err := snapbill.NewProvider(orders, snapbill.ProviderConfig{PaymentMethod: "netcash", Account: "10608",
		PastDates: true}) // So that only the invoice below is due.
	require.NoError(v.t, err)
	due := draft(batch.Collect, "009", 777, "ZAR")
	due.Date = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

	return []job{
		{v.cityPay(), draft(batch.Collect, "customer-ada", 1250, "GBP")},
		{load, draft(batch.Load, "012345678", 1000, "NZD")},
		{pay, draft(batch.Pay, "27821231234", 25000, "DZAR")},
		{debit, due},
	}
}

func TestTheFourServices(t *testing.T) {
	v := visit(t)
	done := func(p batch.Provider, d batch.Draft) {
		report, err := batch.Run(t.Context(), p, d, quick())
		require.NoError(t, err)
		require.Equal(t, 1, report.Totals[batch.OutcomePaid].Count)
		state := v.state(p.Info().Name)
		require.Len(t, state.Batches, 1)
		require.Len(t, state.Batches[0].Items, 1)
		require.Equal(t, d.Items[0].Amount.Minor, state.Batches[0].Items[0].Minor)
		require.Len(t, state.Ledger, 1)
		require.NotEmpty(t, state.Requests)
		require.Contains(t, []string{"COMPLETE", "complete", "CLOSED", "ok"}, state.Batches[0].State)
	}
	for _, j := range v.jobs() {
		done(j.provider, j.draft)
	}

	status, text := v.do(http.MethodGet, "/", "")
	require.Equal(t, http.StatusOK, status)
	for _, word := range []string{"customer-ada", "012345678", "27821231234", "009", "ProcessBatch", "Duplicate",
		"lost after"} {
		require.Contains(t, text, word)
	}
	_, text = v.do(http.MethodGet, "/live", "")
	require.Contains(t, text, "customer-ada")
	require.NotContains(t, text, "<html")
}

// A fault by click: the reply of the submit is lost, and money moves once.
func TestAFaultByClick(t *testing.T) {
	v := visit(t)
	v.post("/api/citypay/fault", "fault=lost+after")
	v.post("/api/citypay/fault", "fault=503+retry-after&op=BatchStatus")
	require.Equal(t, []string{"ProcessBatch: lost after", "BatchStatus: 503 retry-after"}, v.state("citypay").Waiting)
	_, text := v.do(http.MethodGet, "/live", "")
	require.Contains(t, text, "This goes wrong next: ProcessBatch: lost after")
	report, err := batch.Run(t.Context(), v.cityPay(), draft(batch.Collect, "customer-ada", 1250, "GBP"), quick())
	require.NoError(t, err)
	require.Equal(t, batch.StateDone, report.Batch.State)
	require.Len(t, v.state("citypay").Ledger, 1)
	require.Empty(t, v.state("citypay").Waiting)

	v.post("/api/citypay/fault", "fault=lost+before")
	require.Len(t, v.state("citypay").Waiting, 1)
	v.post("/api/citypay/heal", "")
	require.Empty(t, v.state("citypay").Waiting)
	d := draft(batch.Collect, "customer-ben", 1250, "GBP")
	d.Reference = "2"
	_, err = batch.Start(t.Context(), v.cityPay(), d, quick())
	require.NoError(t, err)
	v.post("/api/citypay/finish", "")
	state := v.state("citypay")
	require.Equal(t, "COMPLETE", state.Batches[1].State)
	require.Len(t, state.Ledger, 2)
}

func TestTimePasses(t *testing.T) {
	v := visit(t)
	before := v.state("sixdotfifty").Now
	v.post("/api/sixdotfifty/advance", "by=48h")
	require.WithinDuration(t, before.Add(48*time.Hour), v.state("sixdotfifty").Now, time.Hour)
}

// Time that passes on the page does not pass for the clients: their keys stay
// valid.
func TestClientsStayWelcomeAfterTimeHasPassed(t *testing.T) {
	v := visit(t)
	for _, service := range []string{"citypay", "centrapay", "sixdotfifty", "snapbill"} {
		v.post("/api/"+service+"/advance", "by=720h")
	}
	v.runAll("late")
}

// What the documentation leaves open is changed, and the service starts anew.
func TestOptionsByClick(t *testing.T) {
	v := visit(t)
	value := func(name string) string {
		for _, o := range v.state("citypay").Options {
			if o.Name == name {
				return o.Value
			}
		}
		require.Fail(t, "no option "+name)
		return ""
	}
	v.post("/api/citypay/options",
		"Duplicate=1&PaidTotal=true&UnknownAccounts=customer-ada,+customer-ben&KeyLifetime=5m&Currency=EUR")
	require.Equal(t, []string{"1", "true", "customer-ada,customer-ben", "5m0s", "EUR", "1"},
		[]string{value("Duplicate"), value("PaidTotal"), value("UnknownAccounts"), value("KeyLifetime"),
			value("Currency"), value("Autoplay")})
	report, err := batch.Run(t.Context(), v.cityPay(), draft(batch.Collect, "customer-ada", 1250, "GBP"), quick())
	require.NoError(t, err)
	require.Equal(t, 1, report.Totals[batch.OutcomeFailed].Count, "the account does not exist")
	v.post("/api/citypay/options", "whole=yes&Duplicate=0")
	require.Equal(t, "false", value("PaidTotal"), "a box that is not checked is not in a form")
	require.Empty(t, v.state("citypay").Batches)
}

func TestWhatTheSandboxRefuses(t *testing.T) {
	v := visit(t)
	for _, c := range []struct {
		path, form string
		status     int
		want       string
	}{
		{"/api/paypal/finish", "", 404, "this service is not simulated"},
		{"/api/citypay/explode", "", 404, "not found"},
		{"/api/citypay/advance", "by=soon", 400, "soon"},
		{"/api/citypay/advance", "by=-1h", 400, "time does not go back"},
		{"/api/citypay/fault", "fault=none", 400, `"none" is not a fault`},
		{"/api/citypay/fault", "fault=lost+after&op=Nothing", 400, `no operation "Nothing"`},
		{"/api/citypay/fault", "fault=refused&op=BatchStatus", 400, "leave op empty"},
		{"/api/citypay/options", "Nonsense=1", 400, `no option "Nonsense"`},
		{"/api/citypay/options", "InMemory=true", 400, `no option "InMemory"`},
		{"/api/citypay/options", "Duplicate=many", 400, "Duplicate"},
		{"/api/citypay/options", "MaxItems=-1", 400, "out of range"},
		{"/api/citypay/options", "KeyLifetime=long", 400, "KeyLifetime"},
		{"/api/citypay/bill", "", 400, "only SnapBill has"},
		{"/api/snapbill/bill", "client=1&due=soon&cents=1", 400, "due"},
		{"/api/snapbill/bill", "client=1&due=2026-12-01&cents=-1", 400, "cents"},
	} {
		status, text := v.do(http.MethodPost, c.path, c.form)
		require.Equal(t, c.status, status, c.path+" "+c.form)
		require.Contains(t, text, c.want)
	}
	status, _ := v.do(http.MethodGet, "/files/none", "")
	require.Equal(t, http.StatusNotFound, status)
}

// A page of another site cannot use the sandbox through the browser.
func TestOtherSitesAreRefused(t *testing.T) {
	v := visit(t)
	status, _ := v.do(http.MethodPost, "/api/citypay/finish", "", "Origin", "https://evil.test",
		"Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status)
	for _, host := range []string{"evil.test", "evil.test:7300", "192.0.2.1"} {
		status, text := v.do(http.MethodGet, "/api/state", "", "Host", host)
		require.Equal(t, http.StatusForbidden, status)
		require.Contains(t, text, "for this machine")
	}
	for _, host := range []string{"localhost:7300", "127.0.0.1", "[::1]:7300"} {
		status, _ := v.do(http.MethodGet, "/api/state", "", "Host", host)
		require.Equal(t, http.StatusOK, status, host)
	}
}

func TestAMistakeInTheCommandLine(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), []string{"all"}, io.Discard), `"all" is not known`)
	require.ErrorContains(t, run(t.Context(), []string{"-port", "99999"}, io.Discard), "choose another -port")
	require.Error(t, run(t.Context(), []string{"-nothing"}, io.Discard))
}

func TestHelpHasTheAPI(t *testing.T) {
	var out strings.Builder
	require.ErrorIs(t, run(t.Context(), []string{"-help"}, &out), flag.ErrHelp)
	require.Contains(t, out.String(), "POST /api/{service}/advance   by=24h")
	require.Contains(t, out.String(), "-port")
}

func TestAnOperationIsOfferedOnce(t *testing.T) {
	s := newSandbox()
	t.Cleanup(s.close)
	for _, service := range s.state() {
		require.True(t, slices.IsSorted(service.Operations))
		require.Len(t, slices.Compact(slices.Clone(service.Operations)), len(service.Operations), service.Name)
	}
}
