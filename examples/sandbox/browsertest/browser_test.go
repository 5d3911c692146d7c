package browsertest

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
)

// browser skips t where no Chromium is installed, or fails it where there must
// be one.
func browser(t *testing.T) context.Context {
	_, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("BATCHWAY_REQUIRE_CHROMIUM") != "1" {
		t.Skipf("this test needs Chromium: %v", err)
	}
	require.NoError(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox,
		chromedp.WindowSize(1400, 1000))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	ctx, stop = context.WithTimeout(ctx, time.Minute)
	t.Cleanup(stop)
	return ctx
}

// startSandbox starts the sandbox as a process and returns what it prints: the
// URL of the page, and the environment.
func startSandbox(t *testing.T) (page string, env map[string]string) {
	program := filepath.Join(t.TempDir(), "sandbox")
	built, err := exec.CommandContext(t.Context(), "go", "build", "-o", program,
		"github.com/batchway/batchway-go/examples/sandbox").CombinedOutput()
	require.NoError(t, err, string(built))
	process := exec.CommandContext(t.Context(), program, "-port", "0")
	output, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	env = make(map[string]string)
	for lines := bufio.NewScanner(output); lines.Scan() && !strings.HasPrefix(lines.Text(), "For payrun.json"); {
		if at, ok := strings.CutPrefix(lines.Text(), "The page is at "); ok {
			page = at
		}
		name, value, _ := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		env[name] = value
	}
	require.NotEmpty(t, page)
	return page, env
}

// do does one thing in the browser.
func do[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	result, err := chromedp.Run(ctx, action)
	require.NoError(t, err)
	return result
}

// shows waits until the browser shows a text. While it goes to another page, it
// shows nothing.
func shows(ctx context.Context, t *testing.T, action chromedp.Action[string], want string) {
	t.Helper()
	require.Eventually(t, func() bool {
		text, err := chromedp.Run(ctx, action)
		return err == nil && strings.Contains(text, want)
	}, 20*time.Second, 50*time.Millisecond, want)
}

// A person looks at the page, breaks the next submit by click, sees in the
// ledger that money moved once, and lets a day pass.
func TestThePageInABrowser(t *testing.T) {
	ctx := browser(t)
	page, env := startSandbox(t)
	do(ctx, t, chromedp.Navigate(page))
	ledger := do(ctx, t, chromedp.Text("#live-citypay"))
	do(ctx, t, chromedp.SetValue(`#citypay select[name="fault"]`, "lost after"))
	do(ctx, t, chromedp.Click(`#citypay form[action="/api/citypay/fault"] button`))
	shows(ctx, t, chromedp.Location(), "#citypay")
	shows(ctx, t, chromedp.Text("#live-citypay"), "This goes wrong next: ProcessBatch: lost after")
	require.Contains(t, ledger, "nothing so far")

	client, err := citypay.New(citypay.Config{ClientID: env["CITYPAY_CLIENT_ID"],
		LicenceKey: env["CITYPAY_LICENCE_KEY"], BaseURL: env["CITYPAY_BASE_URL"]})
	require.NoError(t, err)
	provider, err := citypay.NewProvider(client, citypay.ProviderConfig{MerchantID: 11223344, Currency: "GBP"})
	require.NoError(t, err)
	draft := batch.Draft{Reference: "7", Direction: batch.Collect,
		Items: []batch.Item{{Reference: "invoice-1", Account: "customer-ada",
			Amount: batch.Money{Minor: 1250, Currency: "GBP"}}}}
	unclear := false
	report, err := batch.Run(t.Context(), provider, draft, &batch.RunOptions{
		Journal: batch.NewMemoryJournal(), Watch: batch.WatchOptions{Interval: 10 * time.Millisecond},
		Observe: func(e batch.Event) { unclear = unclear || batch.KindOf(e.Err) == batch.ErrAmbiguous },
	})
	require.NoError(t, err)
	require.True(t, unclear, "the fault struck")
	require.Equal(t, batch.StateDone, report.Batch.State)

	const moved = "#live-citypay .columns > div:nth-child(2)"
	// The page shows what is new by itself.
	shows(ctx, t, chromedp.Text(moved), "customer-ada")
	ledger = do(ctx, t, chromedp.Text(moved))
	do(ctx, t, chromedp.Click(`#citypay button[value="24h"]`))
	shows(ctx, t, chromedp.Text("#live-citypay h2"), time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly))
	require.Equal(t, 1, strings.Count(ledger, "invoice-1"), "money moved once: %s", ledger)
}
