package batchsim

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter is a service with one operation, which counts.
type counter struct {
	Kit
	mu sync.Mutex
	n  int
}

func (c *counter) served() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func (c *counter) handler() http.Handler {
	return c.Handler([]Operation{{Name: "Add", Method: http.MethodPost, Path: "/add/{id}",
		Serve: func(r Request) Reply {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.n++
			return JSON(http.StatusOK, `{"id":"`+r.PathValue("id")+`","got":"`+string(r.Body)+`"}`)
		}}}, func(Request) Reply { return Reply{Status: http.StatusNotFound} })
}

func call(ctx context.Context, s *Server, header ...string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/add/7", strings.NewReader("body"))
	if err != nil {
		return 0, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := s.HTTPClient()
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	return r.StatusCode, string(text), err
}

// Each act in each phase: what the client sees, and whether it happened.
func TestFaults(t *testing.T) {
	const whole = `{"id":"7","got":"body"}`
	teapot := Reply{Status: http.StatusTeapot, Body: []byte("no")}
	for name, c := range map[string]struct {
		fault  Fault
		status int
		body   string
		fails  bool
		served int
	}{
		"none":                      {Fault{Op: "Other", Act: Reset}, 200, whole, false, 1},
		"the second call":           {Fault{Op: "Add", Nth: 2, Act: Reset}, 200, whole, false, 1},
		"reset before it is read":   {Fault{Op: "Add", Phase: BeforeRead, Act: Reset}, 0, "", true, 0},
		"reset before it happens":   {Fault{Op: "Add", Phase: BeforeApply, Act: Reset}, 0, "", true, 0},
		"reset after it happened":   {Fault{Op: "Add", Phase: AfterApply, Act: Reset}, 0, "", true, 1},
		"any operation":             {Fault{Phase: AfterApply, Act: Reset}, 0, "", true, 1},
		"silence before it is read": {Fault{Op: "Add", Phase: BeforeRead, Act: Hang}, 0, "", true, 0},
		"silence before it happens": {Fault{Op: "Add", Phase: BeforeApply, Act: Hang}, 0, "", true, 0},
		"silence after it happened": {Fault{Op: "Add", Phase: AfterApply, Act: Hang}, 0, "", true, 1},
		"another answer before": {Fault{Op: "Add", Phase: BeforeApply, Act: Answer, Reply: teapot}, 418,
			"no", false, 0},
		"another answer after": {Fault{Op: "Add", Phase: AfterApply, Act: Answer, Reply: teapot}, 418,
			"no", false, 1},
		"cut": {Fault{Op: "Add", Phase: AfterApply, Act: Truncate, After: 5}, 200,
			whole[:5], true, 1},
		"cut after nothing": {Fault{Op: "Add", Phase: AfterApply, Act: Truncate}, 200, "", true, 1},
		"stalled": {Fault{Op: "Add", Phase: AfterApply, Act: Stall, After: 5}, 200,
			whole[:5], true, 1},
		"drop by drop, for too long": {Fault{Op: "Add", Phase: AfterApply, Act: Drip, After: 5}, 200,
			whole[:5+5], true, 1},
		"bytes of another protocol": {Fault{Op: "Add", Phase: AfterApply, Act: Speak, Raw: []byte("\x00\x00\x00\x04")},
			0, "", true, 1},
		"repeated by a middlebox": {Fault{Op: "Add", Phase: BeforeApply, Act: Twice}, 200, whole, false, 2},
		"reset within the body":   {Fault{Op: "Add", Phase: BeforeRead, Act: Reset, After: 2}, 0, "", true, 0},
		"echo":                    {Fault{Op: "Add", Phase: AfterApply, Act: Echo}, 500, "canary", false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				service := new(counter)
				service.Inject(c.fault)
				server := ListenInMemory(service.handler())
				defer server.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
				defer cancel()
				status, body, err := call(ctx, server, "X-Secret", "canary")
				require.Equal(t, c.fails, err != nil, "%v", err)
				require.Equal(t, c.status, status)
				if c.fault.Act == Echo {
					require.Contains(t, body, c.body)
				} else {
					require.Equal(t, c.body, body)
				}
				require.Equal(t, c.served, service.served())
				require.Equal(t, 1, service.Log.Count("Add"))
			})
		})
	}
}

// A stale reply is the first one to the same request.
func TestStale(t *testing.T) {
	service := new(counter)
	service.Inject(Fault{Op: "Add", Nth: 2, Phase: AfterApply, Act: Stale})
	n := 0
	handler := service.Handler([]Operation{{Name: "Add", Method: http.MethodPost, Path: "/add/{id}",
		Serve: func(Request) Reply {
			n++
			return JSON(http.StatusOK, strconv.Itoa(n))
		}}}, nil)
	server := Listen(handler)
	defer server.Close()
	for _, want := range []string{"1", "1", "3"} {
		_, body, err := call(t.Context(), server)
		require.NoError(t, err)
		require.Equal(t, want, body)
	}
}

// An endless reply goes on until the client goes.
func TestEndless(t *testing.T) {
	service := new(counter)
	service.Inject(Fault{Op: "Add", Nth: 1, Phase: AfterApply, Act: Endless,
		Reply: JSON(http.StatusOK, strings.Repeat("x", 1<<10))})
	server := Listen(service.handler())
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/add/7", nil)
	require.NoError(t, err)
	client := server.HTTPClient()
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	n, err := io.CopyN(io.Discard, r.Body, 1<<20)
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, n)
}

// Arrived hears of a request before it is served.
func TestArrived(t *testing.T) {
	service := new(counter)
	var heard []string
	service.Log.Arrived = func(e Entry) {
		require.Zero(t, service.served())
		heard = append(heard, e.Op+" "+string(e.Body))
	}
	server := Listen(service.handler())
	defer server.Close()
	_, _, err := call(t.Context(), server)
	require.NoError(t, err)
	require.Equal(t, []string{"Add body"}, heard)
}

// On a socket a reset is a reset.
func TestResetOnASocket(t *testing.T) {
	service := new(counter)
	service.Inject(Fault{Op: "Add", Nth: 1, Phase: AfterApply, Act: Reset})
	server := Listen(service.handler())
	defer server.Close()
	_, _, err := call(t.Context(), server)
	require.ErrorContains(t, err, "reset")
	status, _, err := call(t.Context(), server)
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, 2, service.served())
}

func TestLateIsAppliedWhenItsTimeHasCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service := new(counter)
		service.Break("Add", LateAfter, Reply{}, Reply{})
		server := ListenInMemory(service.handler())
		defer server.Close()
		_, _, err := call(t.Context(), server)
		require.Error(t, err)
		require.Zero(t, service.served())
		service.Clock.Advance(59 * time.Minute)
		require.Zero(t, service.served())
		time.Sleep(2 * time.Minute) // of the bubble; the clock follows it
		_, _, err = call(t.Context(), server)
		require.NoError(t, err)
		require.Equal(t, 2, service.served())
	})
}

func TestScenarios(t *testing.T) {
	for scenario, want := range map[Scenario]struct{ status, served int }{
		Refused: {422, 0}, Unauthorized: {401, 0}, LostBefore: {0, 0}, LostAfter: {0, 1}, ErrorBefore: {500, 0},
		ErrorAfter:   {500, 1},
		GarbledAfter: {200, 1}, TruncatedAfter: {200, 1}, EchoedAfter: {500, 1}, LateAfter: {0, 0},
		Redirected: {307, 0}, Unavailable: {503, 0},
		SilentBefore: {0, 0}, SilentAfter: {0, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			service := new(counter)
			service.Break("Add", scenario, Reply{Status: 422}, Reply{Status: 401})
			server := ListenInMemory(service.handler())
			defer server.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			client := server.HTTPClient()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/add/7", nil)
			require.NoError(t, err)
			status := 0
			if r, err := client.Do(req); err == nil {
				status = r.StatusCode
				_ = r.Body.Close()
			}
			client.CloseIdleConnections()
			require.Equal(t, want.status, status, scenario)
			require.Equal(t, want.served, service.served(), scenario)
		})
	}
	require.Panics(t, func() { new(Kit).Break("Add", "nonsense", Reply{}, Reply{}) })
}

func TestHealForgets(t *testing.T) {
	service := new(counter)
	service.Inject(Fault{Act: Reset})
	service.Heal()
	server := Listen(service.handler())
	defer server.Close()
	_, _, err := call(t.Context(), server)
	require.NoError(t, err)
}

func TestIdempotencyKeysAreTurnedAway(t *testing.T) {
	service := new(counter)
	server := Listen(service.handler())
	defer server.Close()
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		status, _, err := call(t.Context(), server, name, "x")
		require.NoError(t, err)
		require.Equal(t, 400, status)
	}
	require.Zero(t, service.served())
	require.Equal(t, 2, service.Log.Count("idempotency-key"))
	service.HonoursKeys = true
	status, _, err := call(t.Context(), server, "Idempotency-Key", "x")
	require.NoError(t, err)
	require.Equal(t, 200, status)
	require.Equal(t, 1, service.served())
}

func TestTheClockDoesThingsInOrder(t *testing.T) {
	var c Clock
	var done []string
	note := func(s string) func() { return func() { done = append(done, s) } }
	c.After(3*time.Hour, note("third"))
	c.After(time.Hour, note("first"))
	c.After(2*time.Hour, func() {
		note("second")()
		c.After(0, note("and what it asked for"))
	})
	before := c.Now()
	c.Advance(30 * time.Minute)
	require.Empty(t, done)
	c.Advance(2 * time.Hour)
	require.Equal(t, []string{"first", "second", "and what it asked for"}, done)
	c.Advance(time.Hour)
	require.Equal(t, "third", done[3])
	require.GreaterOrEqual(t, c.Now().Sub(before), 210*time.Minute)
}

func TestTheLedgerCounts(t *testing.T) {
	var l Ledger
	l.Move(Effect{Item: "a", Minor: 1})
	l.Move(Effect{Item: "b", Minor: 2})
	l.Move(Effect{Item: "a", Minor: 1})
	require.Equal(t, map[string]int{"a": 2, "b": 1}, l.Moved())
	require.Len(t, l.Effects(), 3)
}

func TestTheLogIsBounded(t *testing.T) {
	var l Log
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/x?y=1", nil)
	require.NoError(t, err)
	for range 2 * entriesKept {
		l.add("Op", r, make([]byte, 2), time.Now())
	}
	require.Equal(t, 2*entriesKept, l.Count("Op"))
	require.LessOrEqual(t, len(l.Requests("")), entriesKept)
	l.add("Big", r, make([]byte, 2*bodyKept), time.Now())
	require.Len(t, l.Requests("Big")[0].Body, bodyKept)
	require.Equal(t, "y=1", l.Requests("Big")[0].Query)
}

func TestCloseEndsWhatHangs(t *testing.T) {
	service := new(counter)
	service.Inject(Fault{Act: Hang, Phase: BeforeApply})
	server := Listen(service.handler())
	done := make(chan error)
	go func() {
		_, _, err := call(context.Background(), server)
		done <- err
	}()
	for service.Log.Count("Add") == 0 {
		continue
	}
	server.Close()
	require.Error(t, <-done)
}

func TestALie(t *testing.T) {
	c := &counter{}
	s := Listen(c.handler())
	defer s.Close()
	c.Inject(Fault{Op: "Add", Nth: 1, Phase: AfterApply, Act: Lie, Alter: func(r Reply) Reply {
		r.Body = bytes.Replace(r.Body, []byte("7"), []byte("8"), 1)
		return r
	}})
	_, text, err := call(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, `{"id":"8","got":"body"}`, text)
	require.Equal(t, 1, c.served(), "it has happened all the same")
}

// Every form of a secret is seen, and the helpers themselves show what they are given.
func TestLeakSeesEveryForm(t *testing.T) {
	const secret = `s3cret"&/+key`
	for _, text := range []string{secret, `S3CRET"&/+KEY`, "7333637265742226 no", `s3cret\"\u0026/+key`,
		"s3cret%22%26%2fkey no", "s3cret%22%26%2F%2Bkey",
		"s3cret&#34;&amp;/+key", hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte("x" + secret + "y")),
		base64.StdEncoding.EncodeToString([]byte("xy" + secret + "z"))} {
		require.Equal(t, strings.HasSuffix(text, " no"), Leak([]string{"another", secret}, "before", "<"+text+
			">") == "", text)
	}
	require.Empty(t, Leak([]string{""}, "anything"))
	require.NotEmpty(t, Leak([]string{"inside"}, Prints(struct{ a *string }{}), Prints(struct{ A string }{"inside"})))
}

func TestAFaultOfAnUnknownOperation(t *testing.T) {
	service := new(counter)
	service.Inject(Fault{Op: "Subtract"}) // Before there are operations.
	service.handler()
	service.Inject(Fault{Op: "Add"})
	require.PanicsWithValue(t, `batchsim: no operation is called "Subtract"; there are ["Add"]`,
		func() { service.Inject(Fault{Op: "Subtract"}) })
}

func TestAFaultThatCannotBePlayed(t *testing.T) {
	for want, f := range map[string]Fault{
		"Late and Twice are for the phase BeforeApply":                       {Act: Late},
		"Late and Twice are for the phase BeforeApply ":                      {Act: Twice, Phase: AfterApply},
		"Lie, Stale, Truncate, Stall and Drip are for the phase AfterApply":  {Act: Stale},
		"Lie, Stale, Truncate, Stall and Drip are for the phase AfterApply ": {Act: Drip, Phase: BeforeApply},
		"Lie needs Alter": {Act: Lie, Phase: AfterApply},
		"Answer and Endless need a Reply with a Status": {Act: Answer},
		"Speak needs Raw":      {Act: Speak},
		"its Act is not known": {Act: 99},
		"Nth is negative":      {Act: Reset, Nth: -1},
	} {
		require.PanicsWithValue(t, "batchsim: the fault cannot be played: "+strings.TrimSpace(want),
			func() { new(Kit).Inject(f) })
	}
}
