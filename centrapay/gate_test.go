package centrapay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

const gateHost = "https://files.test/gate"

func newTestGate(t *testing.T) (*FileGate, string) {
	t.Helper()
	dir := t.TempDir()
	gate, err := NewFileGate(dir, gateHost+"/")
	require.NoError(t, err)
	return gate, dir
}

// fetch asks a gate for a URL, as the service does.
func fetch(t *testing.T, gate *FileGate, method, fileURL string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, fileURL, nil)
	http.StripPrefix("/gate", gate).ServeHTTP(w, r)
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	return w.Code, w.Body.String()
}

func store(t *testing.T, gate *FileGate, content string) string {
	t.Helper()
	handle, err := gate.Store(t.Context(), "gold-7.jsonl", strings.NewReader(content))
	require.NoError(t, err)
	return handle
}

func open(t *testing.T, gate *FileGate, handle string) string {
	t.Helper()
	u, err := gate.Open(t.Context(), handle)
	require.NoError(t, err)
	require.Empty(t, urlFault(u))
	return u
}

func TestGateServedFirst(t *testing.T) {
	gate, dir := newTestGate(t)
	handle := store(t, gate, "content")
	u := open(t, gate, handle)
	status, _ := fetch(t, gate, http.MethodHead, u)
	require.Equal(t, 200, status)
	for range 3 { // Once served, it may be fetched again.
		status, body := fetch(t, gate, http.MethodGet, u)
		require.Equal(t, 200, status)
		require.Equal(t, "content", body)
	}
	// Another process on the same directory knows it as well.
	again, err := NewFileGate(dir, gateHost)
	require.NoError(t, err)
	for _, g := range []*FileGate{gate, again} {
		revoked, err := g.Revoke(t.Context(), u)
		require.NoError(t, err)
		require.False(t, revoked, "the file was served")
		_, err = g.Open(t.Context(), handle)
		require.ErrorIs(t, err, batch.ErrConflict)
		require.Equal(t, handle, store(t, g, "content"), "storing the same again does not forget that it was served")
		_, err = g.Open(t.Context(), handle)
		require.ErrorIs(t, err, batch.ErrConflict)
	}
}

func TestGateRevokedFirst(t *testing.T) {
	gate, _ := newTestGate(t)
	handle := store(t, gate, "content")
	u := open(t, gate, handle)
	status, _ := fetch(t, gate, http.MethodHead, u)
	require.Equal(t, 200, status, "HEAD decides nothing")
	for range 2 {
		revoked, err := gate.Revoke(t.Context(), u)
		require.NoError(t, err)
		require.True(t, revoked)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		status, body := fetch(t, gate, method, u)
		require.Equal(t, 410, status)
		require.NotContains(t, body, "content")
	}
	next := open(t, gate, handle)
	require.NotEqual(t, u, next)
	status, body := fetch(t, gate, http.MethodGet, next)
	require.Equal(t, 200, status)
	require.Equal(t, "content", body)
	revoked, err := gate.Revoke(t.Context(), u)
	require.NoError(t, err)
	require.True(t, revoked, "the first URL stays revoked")
}

func TestGateOpenRevokesEarlierURLs(t *testing.T) {
	gate, _ := newTestGate(t)
	handle := store(t, gate, "content")
	first, second := open(t, gate, handle), open(t, gate, handle)
	status, _ := fetch(t, gate, http.MethodGet, first)
	require.Equal(t, 410, status)
	status, _ = fetch(t, gate, http.MethodGet, second)
	require.Equal(t, 200, status)
}

func TestGateHandles(t *testing.T) {
	gate, _ := newTestGate(t)
	require.Equal(t, store(t, gate, "a"), store(t, gate, "a"))
	require.NotEqual(t, store(t, gate, "a"), store(t, gate, "b"))
	handle := store(t, gate, "a")
	u := open(t, gate, handle)
	token := strings.TrimPrefix(u, gateHost+"/"+handle+"/")
	for _, path := range []string{"", handle, handle + "/", handle + "/content", handle + "/revoked", handle + "/" +
		token + ".pending",
		"../" + handle + "/" + token, handle + "/../" + handle + "/" + token, "x" + handle + "/" + token,
		strings.ToLower(token), handle + "/" + token[1:] + "A" + "\x00"} {
		r := httptest.NewRequest(http.MethodGet, gateHost, nil)
		r.URL.Path = "/" + path
		w := httptest.NewRecorder()
		gate.ServeHTTP(w, r)
		require.Equal(t, 404, w.Code, "%q", path)
	}
	other := u[:len(u)-1] + "2"
	if other == u {
		other = u[:len(u)-1] + "3"
	}
	status, _ := fetch(t, gate, http.MethodGet, other)
	require.Contains(t, []int{200, 410}, status)
	status, _ = fetch(t, gate, http.MethodPost, u)
	require.Equal(t, 405, status)
	revoked, err := gate.Revoke(t.Context(), u)
	require.NoError(t, err)
	require.True(t, revoked, "none of this has served the file")
}

// TestGateIgnoresOtherFiles puts files of other programs beside the state: they
// neither open a second URL nor forget the first.
func TestGateIgnoresOtherFiles(t *testing.T) {
	for _, name := range []string{".DS_Store", "Thumbs.db", ".AAAA", "zz", "revoked~", "content.bak",
		strings.Repeat("A", 26), strings.Repeat("A", 26) + ".pending~",
		strings.Repeat("a", 26) + ".served", strings.Repeat("Z", 27) + ".pending"} {
		t.Run(name, func(t *testing.T) {
			gate, dir := newTestGate(t)
			handle := store(t, gate, "content")
			require.NoError(t, os.WriteFile(filepath.Join(dir, handle, name), nil, 0o600))
			first := open(t, gate, handle)
			second := open(t, gate, handle)
			status, _ := fetch(t, gate, http.MethodGet, first)
			require.Equal(t, 410, status)
			status, _ = fetch(t, gate, http.MethodGet, second)
			require.Equal(t, 200, status)
			_, err := gate.Open(t.Context(), handle)
			require.ErrorIs(t, err, batch.ErrConflict)
			revoked, err := gate.Revoke(t.Context(), second)
			require.NoError(t, err)
			require.False(t, revoked)
			status, _ = fetch(t, gate, http.MethodGet, second)
			require.Equal(t, 200, status, "once served, always served")
		})
	}
}

// TestGateRefusesTwoStates: with two states it is not known which URL counts.
func TestGateRefusesTwoStates(t *testing.T) {
	const other = "BBBBBBBBBBBBBBBBBBBBBBBBBB"
	for _, c := range []struct{ first, second string }{
		{gatePending, other + gatePending}, {gatePending, other + gateServed}, {gatePending, gateRevoked},
		{gateServed, other + gatePending}, {gateServed, other + gateServed}, {gateServed, gateRevoked},
	} {
		t.Run(c.first+" and "+c.second, func(t *testing.T) {
			gate, dir := newTestGate(t)
			handle := store(t, gate, "content")
			u := open(t, gate, handle)
			if c.first == gateServed {
				status, _ := fetch(t, gate, http.MethodGet, u)
				require.Equal(t, 200, status)
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, handle, c.second), nil, 0o600))
			for _, url := range []string{u, u[:len(u)-26] + other} {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					status, body := fetch(t, gate, method, url)
					require.Equal(t, 503, status)
					require.NotContains(t, body, "content")
				}
				_, err := gate.Revoke(t.Context(), url)
				require.ErrorIs(t, err, batch.ErrConflict)
			}
			_, err := gate.Open(t.Context(), handle)
			require.ErrorIs(t, err, batch.ErrConflict)
			_, err = gate.State(t.Context(), handle)
			require.ErrorIs(t, err, batch.ErrConflict)
			require.NotContains(t, err.Error(), other)
		})
	}
}

// TestGateServesOnlyWithAByte: a reply without a byte of the file leaves the URL
// pending, so that it can still be revoked.
func TestGateServesOnlyWithAByte(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx    context.Context
		method string
		header http.Header
		status int
	}{
		"HEAD":                          {t.Context(), http.MethodHead, nil, 200},
		"HEAD of a range":               {t.Context(), http.MethodHead, http.Header{"Range": {"bytes=0-2"}}, 206},
		"a range outside the file":      {t.Context(), http.MethodGet, http.Header{"Range": {"bytes=1000-"}}, 416},
		"a range that cannot be read":   {t.Context(), http.MethodGet, http.Header{"Range": {"bytes=9-1"}}, 416},
		"nothing but an unmodified one": {t.Context(), http.MethodGet, http.Header{"If-None-Match": {"*"}}, 304},
		"one that it has not":           {t.Context(), http.MethodGet, http.Header{"If-Match": {`"x"`}}, 412},
		"POST":                          {t.Context(), http.MethodPost, nil, 405},
		"a client that has gone":        {ended, http.MethodGet, nil, 503},
	} {
		t.Run(name, func(t *testing.T) {
			gate, _ := newTestGate(t)
			handle := store(t, gate, "content")
			u := open(t, gate, handle)
			r := httptest.NewRequestWithContext(c.ctx, c.method, u, nil)
			r.Header = c.header
			w := httptest.NewRecorder()
			http.StripPrefix("/gate", gate).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code)
			require.NotContains(t, w.Body.String(), "con")
			file, err := gate.State(t.Context(), handle)
			require.NoError(t, err)
			require.Equal(t, FileState{URL: FileURL(u)}, file)
			revoked, err := gate.Revoke(t.Context(), u)
			require.NoError(t, err)
			require.True(t, revoked)
		})
	}
	for name, c := range map[string]struct {
		header string
		status int
		body   string
	}{"all": {"", 200, "content"}, "a range": {"bytes=3-4", 206, "te"}, "the last byte": {"bytes=-1", 206, "t"},
		"two ranges": {"bytes=0-0,2-2", 206, "n"}} {
		t.Run(name, func(t *testing.T) {
			gate, _ := newTestGate(t)
			handle := store(t, gate, "content")
			u := open(t, gate, handle)
			r := httptest.NewRequest(http.MethodGet, u, nil)
			r.Header.Set("Range", c.header)
			w := httptest.NewRecorder()
			http.StripPrefix("/gate", gate).ServeHTTP(w, r)
			require.Equal(t, c.status, w.Code)
			require.Contains(t, w.Body.String(), c.body)
			revoked, err := gate.Revoke(t.Context(), u)
			require.NoError(t, err)
			require.False(t, revoked, "a part of the file is enough")
		})
	}
}

// slowGone revokes a URL while the headers of its reply are set, before its bytes.
type slowGone struct {
	*httptest.ResponseRecorder
	revoke func()
}

func (w *slowGone) Header() http.Header {
	if w.ResponseRecorder.Header().Get("Content-Type") != "" && w.revoke != nil {
		revoke := w.revoke
		w.revoke = nil
		revoke()
	}
	return w.ResponseRecorder.Header()
}

// TestGateRevokedBeforeTheFirstByte: a Revoke that says true while a reply is
// being prepared is kept, and the reply has no byte of the file.
func TestGateRevokedBeforeTheFirstByte(t *testing.T) {
	gate, _ := newTestGate(t)
	handle := store(t, gate, "content")
	u := open(t, gate, handle)
	w := &slowGone{httptest.NewRecorder(), func() {
		revoked, err := gate.Revoke(t.Context(), u)
		require.NoError(t, err)
		require.True(t, revoked)
	}}
	http.StripPrefix("/gate", gate).ServeHTTP(w, httptest.NewRequest(http.MethodGet, u, nil))
	require.Nil(t, w.revoke)
	require.Equal(t, 410, w.Code)
	require.NotContains(t, w.Body.String(), "content")
	require.NotEqual(t, "7", w.ResponseRecorder.Header().Get("Content-Length"))
}

// TestGateState: the gate says when the file was fetched first, also later and
// in another process.
func TestGateState(t *testing.T) {
	gate, dir := newTestGate(t)
	handle := store(t, gate, "content")
	state := func() FileState {
		other, err := NewFileGate(dir, gateHost)
		require.NoError(t, err)
		file, err := other.State(t.Context(), handle)
		require.NoError(t, err)
		return file
	}
	require.Equal(t, FileState{}, state())
	u := open(t, gate, handle)
	require.Equal(t, FileState{URL: FileURL(u)}, state())
	past := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, handle, u[len(u)-26:]+gatePending), past, past))
	began := time.Now().Add(-time.Second) // A file system may keep less than nanoseconds.
	status, _ := fetch(t, gate, http.MethodGet, u)
	require.Equal(t, 200, status)
	fetched := state()
	require.Equal(t, FileURL(u), fetched.URL)
	require.WithinRange(t, fetched.Fetched, began, time.Now().Add(time.Second))
	_, _ = fetch(t, gate, http.MethodGet, u)
	_, err := gate.Revoke(t.Context(), u)
	require.NoError(t, err)
	require.Equal(t, fetched, state(), "only the first byte counts")
	_, err = gate.Open(t.Context(), handle)
	require.ErrorContains(t, err, "was fetched at "+fetched.Fetched.UTC().Format(time.RFC3339))
	for _, h := range []string{"", "x", "../x", strings.Replace(handle, "gold", "cold", 1)} {
		_, err := gate.State(t.Context(), h)
		require.ErrorIs(t, err, batch.ErrNotFound, "%q", h)
	}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", fetched, fetched, fetched), u[len(u)-26:])
}

func TestGateRefuses(t *testing.T) {
	gate, dir := newTestGate(t)
	handle := store(t, gate, "a")
	for _, name := range []string{"", "x", "a/b.jsonl", "../a.jsonl", ".jsonl", "a.b.jsonl", "a.jsonl/",
		strings.Repeat("a", 65) + ".csv"} {
		_, err := gate.Store(t.Context(), name, strings.NewReader("x"))
		require.ErrorIs(t, err, batch.ErrInvalid, "%q", name)
	}
	for _, h := range []string{"", "x", "../x", strings.Replace(handle, "gold", "cold", 1), handle + "/x"} {
		_, err := gate.Open(t.Context(), h)
		require.ErrorIs(t, err, batch.ErrInvalid, "%q", h)
	}
	for _, u := range []string{"", "https://evil.test/x", gateHost + "/../x", gateHost + "/" + handle} {
		_, err := gate.Revoke(t.Context(), u)
		require.ErrorIs(t, err, batch.ErrInvalid, "%q", u)
	}
	broken := io.MultiReader(strings.NewReader("half"),
		readerFunc(func([]byte) (int, error) { return 0, errors.New("cut off") }))
	_, err := gate.Store(t.Context(), "a.csv", broken)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = gate.Store(ended, "a.csv", strings.NewReader("x"))
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1, "half a file is left behind")

	require.NoError(t, os.Chmod(dir, 0o770))
	require.NoError(t, os.Symlink(dir, dir+"-link"))
	for _, d := range []string{dir, dir + "-link", filepath.Join(dir, "none"),
		filepath.Join(dir, handle, gateContent)} {
		_, err := NewFileGate(d, gateHost)
		require.ErrorIs(t, err, batch.ErrInvalid, d)
	}
	for _, u := range []string{"", "http://files.test", "https://u:p@files.test", gateHost + "?a"} {
		_, err := NewFileGate(t.TempDir(), u)
		require.ErrorIs(t, err, batch.ErrInvalid, u)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestGateErrorsHideTokens breaks the directory under a gate.
func TestGateErrorsHideTokens(t *testing.T) {
	gate, dir := newTestGate(t)
	handle := store(t, gate, "a")
	u := open(t, gate, handle)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, handle)))
	require.NoError(t, os.WriteFile(filepath.Join(dir, handle), nil, 0o600))
	_, openErr := gate.Open(t.Context(), handle)
	_, revokeErr := gate.Revoke(t.Context(), u)
	for _, err := range []error{openErr, revokeErr} {
		require.Error(t, err)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), u[len(u)-26:])
	}
}

// TestGateRace lets many fetch, revoke and open at once: whatever happens, at
// most one URL is served, and none for which Revoke has said true.
func TestGateRace(t *testing.T) {
	for round := range 100 {
		gate, dir := newTestGate(t)
		other, err := NewFileGate(dir, gateHost) // as another process has it
		require.NoError(t, err)
		handle := store(t, gate, "content")
		u := open(t, gate, handle)
		var served, revoked atomic.Int64
		var mu sync.Mutex
		urls := map[string]bool{}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for n := range 8 {
			g := gate
			if n%2 == 0 {
				g = other
			}
			wg.Go(func() {
				<-start
				switch n / 2 {
				case 0:
					if status, _ := fetch(t, g, http.MethodGet, u); status == 200 {
						served.Add(1)
						mu.Lock()
						urls[u] = true
						mu.Unlock()
					}
				case 1:
					ok, err := g.Revoke(t.Context(), u)
					if err != nil {
						t.Error(err)
					}
					if ok {
						revoked.Add(1)
					}
				default:
					next, err := g.Open(t.Context(), handle)
					if err != nil {
						if !errors.Is(err, batch.ErrConflict) {
							t.Error(err)
						}
						return
					}
					if status, _ := fetch(t, g, http.MethodGet, next); status == 200 {
						mu.Lock()
						urls[next] = true
						mu.Unlock()
					}
				}
			})
		}
		close(start)
		wg.Wait()
		if served.Load() > 0 && revoked.Load() > 0 {
			t.Fatalf("round %d: a URL was served %d times and revoked %d times", round, served.Load(), revoked.Load())
		}
		if len(urls) > 1 {
			t.Fatalf("round %d: %d URLs of one file were served", round, len(urls))
		}
	}
}
