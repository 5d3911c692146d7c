package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// keeping starts a sandbox with a file of state, on ports that are free.
func keeping(t *testing.T, path string) (v visitor, port string) {
	t.Helper()
	for range 50 {
		port = fmt.Sprint(20_000 + 5*rand.IntN(2000))
		v, err := start(t, "-port", port, "-state", path)
		if err == nil {
			return v, port
		}
		require.ErrorContains(t, err, "choose another -port")
		require.NoError(t, os.RemoveAll(path)) // It may not be there.
	}
	require.Fail(t, "no ports are free")
	return v, ""
}

// have is what a person sees of the services, but for their time and requests
// that were not applied.
func (v visitor) have() (all []serviceState) {
	for _, name := range []string{"citypay", "centrapay", "sixdotfifty", "snapbill"} {
		state := v.state(name)
		state.Now, state.Requests = time.Time{}, nil
		all = append(all, state)
	}
	return all
}

func TestTheStateIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	v, port := keeping(t, path)
	v.post("/api/snapbill/bill", "client=005&due=2026-12-01&cents=4242")
	v.runAll("1")
	v.post("/api/citypay/options", "PaidTotal=true")
	for n, fault := range []string{
		"lost after", "lost before", "applied late", "error 500 after", "garbled after", "403 after",
	} {
		v.post("/api/citypay/fault", "fault="+fault)
		d := draft(batch.Collect, "customer-ada", 1250, "GBP")
		d.Reference = fmt.Sprint(10 + n)
		b, err := v.cityPay().Create(t.Context(), d)
		require.NoError(t, err)
		_, err = v.cityPay().Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAmbiguous)
	}
	v.post("/api/citypay/finish", "")
	v.post("/api/sixdotfifty/advance", "by=48h")
	v.runAll("2")
	before := v.have()
	_, text := v.do(http.MethodGet, "/", "")
	require.Contains(t, text, "What the services have is kept in "+path)
	for _, state := range before {
		require.NotEmpty(t, state.Batches, state.Name)
		require.NotEmpty(t, state.Ledger, state.Name)
	}
	require.NoError(t, v.stop())

	// A kill in the middle of a write leaves half a line.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString(`{"service":"citypay","click":{"what":"fini` + strings.Repeat("s", 100))
	require.NoError(t, err)
	require.NoError(t, f.Close())

	v, err = start(t, "-port", port, "-state", path)
	require.NoError(t, err)
	require.Equal(t, before, v.have())
	require.WithinDuration(t, time.Now().Add(48*time.Hour), v.state("sixdotfifty").Now, time.Minute)
	require.WithinDuration(t, time.Now(), v.state("citypay").Now, time.Minute)
	require.NotEmpty(t, v.state("citypay").Requests)

	v.runAll("3")

	// What a fault has delayed by an hour comes after the restart, too.
	moved := len(v.state("citypay").Ledger)
	v.post("/api/citypay/advance", "by=1h")
	v.post("/api/citypay/finish", "")
	require.Len(t, v.state("citypay").Ledger, moved+1)
	before = v.have()
	require.NoError(t, v.stop())

	v, err = start(t, "-port", port, "-state", path)
	require.NoError(t, err)
	require.Equal(t, before, v.have())
	require.NoError(t, v.stop())

	_, err = start(t, "-port", "0", "-state", path)
	require.ErrorContains(t, err, "choose the same -port")
}

// runAll runs a batch at each service.
func (v visitor) runAll(reference string) {
	v.t.Helper()
	for _, j := range v.jobs() {
		j.draft.Reference = reference
		j.draft.Items[0].Reference += "-" + reference
		_, err := batch.Run(v.t.Context(), j.provider, j.draft, quick())
		require.NoError(v.t, err, j.provider.Info().Name)
	}
}

func TestAStateThatCannotBeRestored(t *testing.T) {
	const began = `{"began":{"page":"http://127.0.0.1:1","seed":"s"}}` + "\n"
	for _, c := range []struct{ text, want string }{
		{"reference,account,amount\n", "line 1: "},
		{"{}\n", "line 1: this is not a file of -state"},
		{`{"service":"citypay","click":{"what":"finish"}}` + "\n", "line 1: this is not a file of -state"},
		{began, "line 1: the page was at http://127.0.0.1:1"},
	} {
		path := filepath.Join(t.TempDir(), "state")
		require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
		_, err := start(t, "-port", "0", "-state", path)
		require.ErrorContains(t, err, c.want)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, c.text, string(text), "the file is as it was")
	}
	s := newSandbox()
	t.Cleanup(s.close)
	_, err := s.replay(strings.NewReader(`{"began":{"page":"","seed":"s"}}` + "\n" + `{"service":"paypal"}` + "\n"))
	require.ErrorContains(t, err, `line 2: the service "paypal" is not known`)
	const surprise = `{"service":"citypay","click":{"what":"finish"},"surprise":1}` + "\n"
	_, err = s.replay(strings.NewReader(`{"began":{"page":"","seed":"s"}}` + "\n" + surprise))
	require.ErrorContains(t, err, "line 2: ")
	_, err = start(t, "-port", "0", "-state", t.TempDir())
	require.ErrorContains(t, err, "is a directory")
}

// A write that fails ends the sandbox: what it has answered would be forgotten.
func TestAStateThatCannotBeKept(t *testing.T) {
	s := newSandbox()
	t.Cleanup(s.close)
	f, err := os.Open(os.DevNull) // For reading.
	require.NoError(t, err)
	s.store.file = f
	require.NoError(t, s.service("citypay").click(click{What: "finish"}))
	require.ErrorContains(t, <-s.store.failed, "the state cannot be kept")
	require.NoError(t, s.service("citypay").click(click{What: "finish"}), "the sandbox is about to end")
}

// A request that meets a service while it is started anew belongs to neither.
func TestARequestOfBeforeIsNotKept(t *testing.T) {
	s := newSandbox()
	t.Cleanup(s.close)
	require.NoError(t, s.restore(filepath.Join(t.TempDir(), "state")))
	service := s.service("citypay")
	size := func() int64 {
		info, err := s.store.file.Stat()
		require.NoError(t, err)
		return info.Size()
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v6/ping", nil)
	before := size()
	sim, _ := service.now()
	sim.ServeHTTP(httptest.NewRecorder(), request)
	require.Greater(t, size(), before)
	require.NoError(t, service.click(click{What: "options", Form: url.Values{"PaidTotal": {"true"}}}))
	before = size()
	sim.ServeHTTP(httptest.NewRecorder(), request)
	require.Equal(t, before, size())
}

// Until the state is restored, only files are served: Centrapay fetches them.
func TestThePageWaitsForTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sandbox{store: &store{}, restored: make(chan struct{}), files: map[string][]byte{"a": []byte("text")}}
		call := func(method, path string) *httptest.ResponseRecorder {
			answer := httptest.NewRecorder()
			answer.Code = 0
			request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			request.Host = "localhost"
			go s.handler().ServeHTTP(answer, request)
			synctest.Wait()
			return answer
		}
		require.Equal(t, http.StatusOK, call(http.MethodGet, "/files/a").Code)
		page, put := call(http.MethodGet, "/api/state"), call(http.MethodPut, "/files/b")
		require.Zero(t, page.Code)
		require.Zero(t, put.Code)
		close(s.restored)
		synctest.Wait()
		require.Equal(t, http.StatusOK, page.Code)
		require.Equal(t, http.StatusCreated, put.Code)
	})
}
