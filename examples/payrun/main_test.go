package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
	"github.com/batchway/batchway-go/citypay/citypaytest"
	"github.com/batchway/batchway-go/internal/pgtest"
)

// TestMain is payrun itself if a test starts this program to kill it.
func TestMain(m *testing.M) {
	if os.Getenv("PAYRUN_IS_CHILD") == "1" {
		main()
	}
	os.Exit(m.Run())
}

// A desk is a directory of a finance desk, with a configuration and a file.
type desk struct {
	t         *testing.T
	directory string
	env       map[string]string
	width     int       // of the terminal
	stdout    io.Writer // nil keeps what is written
}

const sample = "reference,account,amount,currency\ninvoice-1,customer-ada,78.01,GBP\ninvoice-2,customer-ben,13.95,GBP\n"

func newDesk(t *testing.T, baseURL string) *desk {
	d := &desk{t: t, directory: t.TempDir(), env: map[string]string{}}
	d.file("run.csv", sample)
	d.configure(baseURL, "citypay.journal")
	return d
}

func (d *desk) file(name, text string) string {
	path := filepath.Join(d.directory, name)
	require.NoError(d.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (d *desk) configure(baseURL, journal string) {
	if journal != "postgres" {
		journal = filepath.Join(d.directory, journal)
	}
	text, err := json.Marshal(map[string]any{
		"provider": "citypay", "base_url": baseURL, "journal": journal, "interval": "10ms",
		"citypay": map[string]any{"merchant_id": 11223344, "currency": "GBP"},
	})
	require.NoError(d.t, err)
	d.file("payrun.json", string(text))
}

// at gives the desk the credentials of a simulator.
func (d *desk) at(server *citypaytest.Server) *desk {
	config := server.Config()
	d.env = map[string]string{"CITYPAY_CLIENT_ID": config.ClientID, "CITYPAY_LICENCE_KEY": config.LicenceKey,
		"BATCHWAY_LIVE": "1"}
	return d
}

// payrun runs a command. FILE stands for the file.
func (d *desk) payrun(ctx context.Context, line string, more ...string) (code int, stdout, stderr string) {
	d.t.Helper()
	var out, errs bytes.Buffer
	p := &program{getenv: func(name string) string { return d.env[name] }, stdout: &out, stderr: &errs,
		width: func() int { return d.width }}
	if d.stdout != nil {
		p.stdout = d.stdout
	}
	args := append(strings.Fields(strings.ReplaceAll(line, "FILE", filepath.Join(d.directory, "run.csv"))), more...)
	code = p.run(ctx, append(args, "--config", filepath.Join(d.directory, "payrun.json")))
	for _, secret := range []string{d.env["CITYPAY_LICENCE_KEY"], d.env["PAYRUN_POSTGRES"]} {
		if secret != "" {
			require.NotContains(d.t, out.String()+errs.String(), secret)
		}
	}
	return code, out.String(), errs.String()
}

// child is payrun as a process of its own.
func (d *desk) child(t *testing.T, args ...string) *exec.Cmd {
	child := exec.CommandContext(t.Context(), os.Args[0], append(args, "--config", filepath.Join(d.directory, "payrun.json"))...) //nolint:gosec // It is this program.
	child.Env = append(os.Environ(), "PAYRUN_IS_CHILD=1")
	for name, value := range d.env {
		child.Env = append(child.Env, name+"="+value)
	}
	return child
}

// wants runs a command and compares its exit code.
func (d *desk) wants(want int, line string, more ...string) (stdout, stderr string) {
	d.t.Helper()
	code, stdout, stderr := d.payrun(d.t.Context(), line, more...)
	require.Equal(d.t, want, code, "payrun %s\n%s%s", line, stdout, stderr)
	return stdout, stderr
}

func TestABatchFromFileToFile(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	d := newDesk(t, server.URL).at(server)
	stdout, _ := d.wants(exitDone, "check FILE --collect")
	require.Contains(t, stdout, "can be sent: collect, 2 items\n91.96 GBP\n")
	stdout, stderr := d.wants(exitDone, "run FILE --collect --reference november")
	require.Contains(t, stdout, "2 of 2 paid, 91.96 GBP")
	require.Regexp(t, `(?s)create +draft.*submit +pending.*wait +done.*report +done`, stderr)

	stdout, _ = d.wants(exitDone, "run FILE --collect --reference november --json")
	var report batch.Report
	require.NoError(t, json.Unmarshal([]byte(stdout), &report))
	require.Len(t, report.Results, 2)

	sheet, written := filepath.Join(d.directory, "r.csv"), filepath.Join(d.directory, "r.html")
	d.wants(exitDone, "report november", "--csv", sheet, "--html", written)
	text, err := os.ReadFile(sheet)
	require.NoError(t, err)
	require.Contains(t, string(text), "invoice-1,customer-ada,78.01,GBP,paid,")
	text, err = os.ReadFile(written)
	require.NoError(t, err)
	require.Contains(t, string(text),
		"<td>invoice-1</td><td>customer-ada</td><td class=\"amount\">78.01 GBP</td><td>paid</td>")

	stdout, _ = d.wants(exitDone, "pending")
	require.Equal(t, "no batch is open\n", stdout)
	stdout, _ = d.wants(exitDone, "pending --json")
	require.Equal(t, "[]\n", stdout)
	stdout, _ = d.wants(exitDone, "status november")
	require.Regexp(t, `standing +closed`, stdout)
	stdout, _ = d.wants(exitDone, "status november --json")
	require.NoError(t, json.Unmarshal([]byte(stdout), new(batch.Dossier)))
	_, stderr = d.wants(exitError, "report december")
	require.Contains(t, stderr, "not found")
	_, stderr = d.wants(exitError, "report november --as-of 2020-01-01")
	require.Contains(t, stderr, "not found")
}

func TestEachServiceRunsOnItsSimulator(t *testing.T) {
	for name, c := range map[string]struct {
		config, file, direction string
		code                    int
	}{
		"centrapay": {`"centrapay": {"account_id": "C4QnjXvj8At6SMsEN4LRi9", "currency": "NZD"}`,
			"asset-ada,012345678,10.00,NZD", "--load", exitDone},
		"sixdotfifty": {`"sixdotfifty": {}`, "wage-ada,27821231234,250.00,DZAR", "--pay", exitDone},
		"snapbill":    {`"snapbill": {"payment_method": "netcash"}`, "fee-ada,001,50.00,ZAR", "--collect", exitDone},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, simulator)
			d.file("run.csv", "reference,account,amount,currency\n"+c.file+"\n")
			d.file("payrun.json", fmt.Sprintf(`{"provider": %q, "base_url": "simulator", "journal": %q, %s}`, name,
				filepath.Join(d.directory, "j"), c.config))
			d.wants(exitDone, "check FILE "+c.direction)
			d.wants(c.code, "run FILE --reference 7 "+c.direction)
			d.wants(c.code, "report 7")
		})
	}
}

// Centrapay fetches the file of the records from where payrun has put it.
func TestAFileIsPutWhereCentrapayCanFetchIt(t *testing.T) {
	server := centrapaytest.New(&centrapaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	refuses := false
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		at, err := server.Upload(r.Context(), r.URL.Path, r.Body)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = fmt.Fprintln(w, at)
	}))
	t.Cleanup(storage.Close)
	d := newDesk(t, "")
	d.env = map[string]string{"CENTRAPAY_API_KEY": server.Config().APIKey, "BATCHWAY_LIVE": "1"}
	d.file("run.csv", "reference,account,amount,currency\nasset-ada,012345678,10.00,NZD\n")
	d.file("payrun.json",
		fmt.Sprintf(
			`{"provider": "centrapay", "base_url": %q, "interval": "10ms", "journal": %q, "centrapay": {"account_id": %q, "currency": "NZD", "upload_to": %q}}`,
			server.URL, filepath.Join(d.directory, "j"), server.ProviderConfig().AccountID, storage.URL))
	d.wants(exitDone, "run FILE --load --reference 7")
	require.Len(t, server.Accepted(), 1)
	refuses = true
	_, stderr := d.wants(exitError, "run FILE --load --reference 8")
	require.Contains(t, stderr, "403")
	require.Len(t, server.Accepted(), 1)
}

// The exit code of a mistake is 2, and nothing is sent.
func TestMistakes(t *testing.T) {
	server := citypaytest.New(nil)
	t.Cleanup(server.Close)
	for name, c := range map[string]struct {
		line, config, want string
	}{
		"no command":         {"", "", "expected one of"},
		"an unknown command": {"pay FILE", "", "unexpected argument pay"},
		"a second file":      {"run FILE more.csv --collect --reference x", "", "unexpected argument more.csv"},
		"no file":            {"run --collect --reference x", "", "<file>"},
		"no direction":       {"run FILE --reference x", "", "--collect or --pay or --load"},
		"two directions":     {"run FILE --collect --pay --reference x", "", "can't be used together"},
		"the other direction": {"run FILE --pay --reference x", "",
			"you asked to pay, but the direction of citypay is collect: nothing was sent"},
		"again the other way": {"again x y --pay", "",
			"you asked to pay, but the direction of citypay is collect: nothing was sent"},
		"no reference": {"run FILE --collect", "", "--reference"},
		"no such file": {"run none.csv --collect --reference x", "", "none.csv"},
		"an odd day": {"run FILE --collect --reference x --date 1/12/2026", "",
			`--date is "1/12/2026": a day such as 2026-12-01 would be right`},
		"an odd last day": {"run FILE --collect --reference x --not-after soon", "",
			`--not-after is "soon": a day such as 2026-12-01 would be right`},
		"an odd verdict":   {"resolve x --verdict maybe --by ada --reason why", "", "--verdict"},
		"no configuration": {"pending", "-", "the configuration"},
		"an unknown key": {"pending", `{"provider": "citypay", "licence_key": "x"}`,
			`unknown field "licence_key"`},
		"a key of another kind":  {"pending", `{"provider": 5}`, "provider is a JSON number and must be a string"},
		"a part of another kind": {"pending", `{"csv": "no"}`, "csv is a JSON string and must be a {...}"},
		"an empty configuration": {"pending", " \n", "is empty: payrun --help says what it holds"},
		"more behind it":         {"pending", `{"provider": "citypay"} {}`, "more follows its end"},
		"an odd interval": {"pending",
			`{"provider": "citypay", "base_url": "simulator", "interval": "often", "citypay": {"merchant_id": 1, "currency": "GBP"}}`, `interval is "often": a time such as "30s" would be right`},
		"an unknown provider": {"pending", `{"provider": "paypal"}`,
			`provider is "paypal": it must be citypay, centrapay, sixdotfifty or snapbill`},
		"no journal": {"pending",
			`{"provider": "citypay", "base_url": "simulator", "citypay": {"merchant_id": 1, "currency": "GBP"}}`,
			"journal is missing"},
		"no connection string": {"pending",
			`{"provider": "citypay", "base_url": "simulator", "journal": "postgres", "citypay": {"merchant_id": 1, "currency": "GBP"}}`, "PAYRUN_POSTGRES is not set"},
		"no merchant": {"pending", `{"provider": "citypay", "base_url": "simulator", "journal": "j"}`,
			"MerchantID"},
		"an odd decimal character": {"check FILE --collect",
			`{"provider": "citypay", "base_url": "simulator", "csv": {"decimal": ";"}, "citypay": {"merchant_id": 1, "currency": "GBP"}}`, `csv.decimal is ";": it must be a point or a comma`},
		"production": {"pending",
			`{"journal": "j", "provider": "citypay", "base_url": "https://api.citypay.com", "citypay": {"merchant_id": 1, "currency": "GBP"}}`, "may be production"},
		"production of SnapBill": {"pending",
			`{"journal": "j", "provider": "snapbill", "base_url": "https://api.snapbill.com", "snapbill": {"payment_method": "netcash"}}`, "may be production"},
		"production of 6DOT50": {"pending",
			`{"journal": "j", "provider": "sixdotfifty", "base_url": "https://api.6dot50.com"}`, "may be production"},
		"production of Centrapay": {"pending",
			`{"journal": "j", "provider": "centrapay", "base_url": "https://service.centrapay.com.example.test"}`,
			"may be production"},
		"storage elsewhere": {"pending",
			`{"journal": "j", "provider": "centrapay", "base_url": "http://127.0.0.1:1", "centrapay": {"upload_to": "https://storage.example.test"}}`, "centrapay.upload_to"},
		"no file of records": {"pending", `{"journal": "j", "provider": "centrapay", "base_url": "http://127.0.0.1:1"}`,
			"centrapay.file_url is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, server.URL).at(server)
			switch c.config {
			case "":
			case "-":
				require.NoError(t, os.Remove(filepath.Join(d.directory, "payrun.json")))
			default:
				d.file("payrun.json", c.config)
			}
			_, stderr := d.wants(exitUsage, c.line)
			require.Contains(t, stderr, c.want)
			require.Empty(t, server.Accepted())
		})
	}
	d := newDesk(t, server.URL).at(server)
	d.env["BATCHWAY_LIVE"] = ""
	_, stderr := d.wants(exitUsage, "run FILE --collect --reference x")
	require.Contains(t, stderr, "BATCHWAY_LIVE must be 1")
	require.Empty(t, server.Accepted())
}

// Faults are told by line, whether the file or the service's rules are broken.
func TestBadFiles(t *testing.T) {
	d := newDesk(t, simulator)
	d.file("run.csv", "sep=;\nInvoice;account;amount;currency\ninvoice-1;customer-ada;1 234,5;GBP\n\ninvoice-2;"+
		strings.Repeat("\u00e9", 51)+";0;GBP\n")
	_, stderr := d.wants(exitError, "check FILE --collect")
	require.Contains(t, stderr, "line 2, column Invoice: is not known")
	require.Contains(t, stderr, "\nThe key \"csv\" of the configuration says what your columns are called")
	config, err := os.ReadFile(filepath.Join(d.directory, "payrun.json"))
	require.NoError(t, err)
	d.file("payrun.json",
		strings.Replace(string(config), "{", `{"csv": {"decimal": ",", "rename": {"invoice": "reference"}}, `, 1))
	for _, line := range []string{"check FILE --collect", "run FILE --collect --reference x"} {
		_, stderr = d.wants(exitError, line)
		require.Contains(t, stderr,
			"run.csv cannot be sent:\nline 5, column amount: \"0.00 GBP\" must be more than zero\n")
		require.NotContains(t, stderr, "line 3")
	}
	d.file("run.csv", "Invoice;account;amount;currency\ninvoice-1;customer-ada;1 234,5;GBP\n\ninvoice-2;"+
		strings.Repeat("x", 51)+";1;GBP\n")
	for _, line := range []string{"check FILE --collect", "run FILE --collect --reference x"} {
		_, stderr = d.wants(exitError, line)
		require.Contains(t, stderr, "run.csv cannot be sent:\nline 4, column account: must be 5 to 50 ")
	}
}

// A second person approves before money moves.
func TestTwoPeople(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	d := newDesk(t, server.URL).at(server)
	_, stderr := d.wants(exitWaits, "run FILE --collect --reference wages --author ada --approvals 1")
	require.Regexp(t, "wages is prepared and waits for approvals: "+
		"payrun status wages --config .+ shows what another person approves, and how", stderr)
	d.wants(exitWaits, "resume wages")
	require.Empty(t, server.Accepted())

	stdout, _ := d.wants(exitDone, "status wages")
	require.Regexp(t, `approvals +0 of 1`, stdout)
	digest := regexp.MustCompile(`sha256:[0-9a-f]+`).FindString(stdout)
	require.Regexp(t, "command +payrun items wages --config .+\ncommand +payrun approve wages --by NAME --digest "+
		digest+
		" --config .+\ncommand +payrun resume wages --config .+\n", stdout)
	require.Contains(t, stdout,
		"wait for 1 more approval of its digest, and then call payrun resume; or call payrun resolve to abandon it\n")
	stdout, _ = d.wants(exitDone, "items wages")
	require.Equal(t, "REFERENCE  ACCOUNT       AMOUNT\ninvoice-1  customer-ada  78.01 GBP\n"+
		"invoice-2  customer-ben  13.95 GBP\n", stdout)
	stdout, _ = d.wants(exitDone, "items wages --json")
	var shown batch.Draft
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Len(t, shown.Items, 2)
	d.wants(exitError, "items nothing")
	_, stderr = d.wants(exitError, "approve wages --by ada --digest "+digest)
	require.Contains(t, stderr, "conflict")
	d.wants(exitError, "approve wages --by ben --digest sha256:0")
	d.wants(exitWaits, "pending")
	stdout, _ = d.wants(exitDone, "approve wages --by ben --digest "+digest)
	require.Regexp(t, `approvals +1 of 1`, stdout)
	require.NotContains(t, stdout, "payrun approve")
	stdout, _ = d.wants(exitDone, "note wages --by ada --due 2026-12-24 --text", "the bank called")
	require.Contains(t, stdout, "by ada: the bank called")
	stdout, _ = d.wants(exitDone, "status wages")
	require.Regexp(t, `approvals +1 of 1`, stdout)
	require.Regexp(t, `approved +.* by ben`, stdout)
	require.Regexp(t, `note +.* by ada: the bank called`, stdout)
	d.wants(exitDone, "resume wages")
	require.Len(t, server.Accepted(), 2)
}

// What failed is sent again with the same purpose; what is unknown is not.
func TestWhatFailedIsSentAgain(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	d := newDesk(t, server.URL).at(server)
	d.file("run.csv", sample+"invoice-3,customer-cyd,33.33,GBP\ninvoice-4,customer-fay,66.66,GBP\n")
	d.wants(exitUnknown, "run FILE --collect --reference one") // 66.66 is an error upstream.
	d.wants(exitUnknown, "report one")
	stdout, stderr := d.wants(exitSome, "again one two --collect")
	require.Contains(t, stderr, "invoice-4 is not sent again: it is unknown")
	require.Contains(t, stdout, "two-1")
	require.NotContains(t, stdout, "two-2")
	stdout, _ = d.wants(exitDone, "review --since 2020-01-01")
	require.Equal(t, "nothing has changed\n", stdout)
	stdout, _ = d.wants(exitDone, "review --since 2020-01-01 --json")
	require.Equal(t, "[]\n", stdout)
	d.file("run.csv", sample)
	d.wants(exitDone, "run FILE --collect --reference three")
	_, stderr = d.wants(exitError, "again three four --collect")
	require.Contains(t, stderr, "no item of three failed: nothing is sent again")
}

// between forwards to a service and calls after once a request for a path has
// been answered, before the answer goes on.
func between(t *testing.T, service, path string, after func(http.ResponseWriter)) string {
	target, err := url.Parse(service)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, path) {
			proxy.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		proxy.ServeHTTP(answer, r)
		after(w)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The process is killed after the service has taken the batch, and before it
// knows. The next one says so, and finishes the batch, and money moves once.
func TestAKilledProcess(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1, Duplicate: citypaytest.DuplicateCharged})
	t.Cleanup(server.Close)
	var child *exec.Cmd
	url := between(t, server.URL, "/batch/process", func(http.ResponseWriter) { _ = child.Process.Kill() })
	d := newDesk(t, url).at(server)
	child = d.child(t, "run", filepath.Join(d.directory, "run.csv"), "--collect", "--reference", "wages")
	require.Error(t, child.Run())
	require.Len(t, server.Accepted(), 2)

	stdout, _ := d.wants(exitUnknown, "pending")
	require.Regexp(t, `wages .* unclear`, stdout)
	stdout, _ = d.wants(exitDone, "status wages")
	require.Regexp(t, `submit 1 .* no answer is known`, stdout)
	_, stderr := d.wants(exitError, "resolve wages --verdict abandon --by ada --reason", "it was never sent, I think")
	require.Contains(t, stderr, "conflict", "the service has it")
	stdout, _ = d.wants(exitWaits, "settle")
	require.Contains(t, stdout, "wages  pending")
	d.wants(exitDone, "run FILE --collect --reference wages")
	for item, times := range server.Accepted() {
		require.Equal(t, 1, times, item)
	}
	stdout, _ = d.wants(exitDone, "settle")
	require.Empty(t, stdout)
}

// Ctrl-C while the service works: it has the batch, and the next call goes on.
func TestAnInterruptWhileItIsUnderWay(t *testing.T) {
	server := citypaytest.New(nil) // Nothing moves on by itself.
	t.Cleanup(server.Close)
	ctx, interrupt := context.WithCancel(t.Context())
	url := between(t, server.URL, "/batch/status", func(http.ResponseWriter) { interrupt() })
	d := newDesk(t, server.URL).at(server)
	d.configure(url, "citypay.journal")
	code, _, stderr := d.payrun(ctx, "run FILE --collect --reference wages")
	require.Equal(t, exitError, code, "the first status is read before the Submit: nothing was sent: %s", stderr)
	require.Empty(t, server.Accepted())

	d = newDesk(t, server.URL).at(server)
	ctx, interrupt = context.WithCancel(t.Context())
	d.configure(between(t, server.URL, "/batch/process", func(w http.ResponseWriter) { interrupt() }),
		"citypay.journal")
	code, _, stderr = d.payrun(ctx, "run FILE --collect --reference wages")
	require.Contains(t, []int{exitWaits, exitUnknown}, code, stderr)
	require.Contains(t, stderr, "wages")
	require.Len(t, server.Accepted(), 2)
}

// What is known about money decides the exit code, whatever kind of error comes
// with it.
func TestTheExitCodeGoesByTheState(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	d := newDesk(t, server.URL).at(server)
	failing := true
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failing && strings.HasSuffix(r.URL.Path, "/batch/retrieve") {
			w.WriteHeader(http.StatusNotImplemented)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	d.configure(front.URL, "citypay.journal")
	_, stderr := d.wants(exitWaits, "run FILE --collect --reference wages") // Charged, and the report cannot be read.
	require.Contains(t, stderr, "says that it is done: go on with payrun resume wages")
	require.Len(t, server.Accepted(), 2)
	failing = false
	d.wants(exitDone, "resume wages")

	p := &program{width: func() int { return 0 }}
	for name, c := range map[string]struct {
		report batch.Report
		err    error
		want   int
	}{
		"refused before anything": {batch.Report{}, &batch.Error{Kind: batch.ErrConflict}, exitError},
		"a draft": {batch.Report{Batch: batch.Batch{State: batch.StateDraft,
			Draft: batch.Draft{Reference: "wages"}}}, &batch.Error{Kind: batch.ErrUnavailable}, exitError},
		"unavailable, and unclear before": {batch.Report{Batch: batch.Batch{Draft: batch.Draft{Reference: "wages"}}},
			&batch.Error{Kind: batch.ErrUnavailable}, exitUnknown},
		"a bad file, before the journal is asked": {
			batch.Report{Batch: batch.Batch{Draft: batch.Draft{Reference: "wages"}}},
			&batch.Error{Kind: batch.ErrInvalid}, exitError},
		"a report that does not match": {batch.Report{Batch: batch.Batch{State: batch.StateDone,
			Draft: batch.Draft{Reference: "wages"}},
			Totals: map[batch.Outcome]batch.Total{batch.OutcomeUnknown: {Count: 1}}},
			&batch.Error{Kind: batch.ErrProtocol}, exitUnknown},
	} {
		var errs bytes.Buffer
		p.stderr = &errs
		require.Equal(t, c.want, p.fail(p.stands("wages", c.report, c.err)), name)
	}
}

// The reader of the output goes away while the batch is under way: it is not
// killed by that, and is finished.
func TestABrokenPipeDoesNotStopABatch(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	d := newDesk(t, server.URL).at(server)
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, reader.Close())
	child := d.child(t, "run", filepath.Join(d.directory, "run.csv"), "--collect", "--reference", "wages")
	child.Stdout, child.Stderr = writer, writer
	err = child.Run()
	require.NoError(t, writer.Close())
	var ended *exec.ExitError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, exitWaits, ended.ExitCode(), "the report could not be written")
	require.Len(t, server.Accepted(), 2)
	stdout, _ := d.wants(exitDone, "report wages")
	require.Contains(t, stdout, "2 of 2 paid, 91.96 GBP")
}

// full is a disk.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestAReportThatCannotBeWrittenIsNotDone(t *testing.T) {
	d := newDesk(t, simulator)
	d.stdout = full{}
	_, stderr := d.wants(exitWaits, "run FILE --collect --reference november")
	require.Contains(t, stderr,
		"the report could not be written: no space left on device\nThe batch is done: 2 of 2 paid, 91.96 GBP. See payrun report november")
	_, stderr = d.wants(exitError, "check FILE --collect")
	require.Contains(t, stderr, "no space left on device")
	d.wants(exitError, "pending")
	d.wants(exitError, "status november")
	d.file("run.csv", sample+"invoice-4,customer-fay,66.66,GBP\n")
	_, stderr = d.wants(exitUnknown, "run FILE --collect --reference december") // 66.66 is an error upstream.
	require.Contains(t, stderr, "no space left on device")
}

// A report never replaces a file, which could be the journal.
func TestAReportIsANewFile(t *testing.T) {
	d := newDesk(t, simulator)
	d.wants(exitDone, "run FILE --collect --reference november")
	for _, flag := range []string{"--csv", "--html"} {
		_, stderr := d.wants(exitUsage, "report november", flag, filepath.Join(d.directory, "citypay.journal"))
		require.Contains(t, stderr, "citypay.journal exists already: name a new file")
	}
	d.wants(exitDone, "report november")
}

// What only reads works while another process runs a batch.
func TestOthersLookWhileABatchRuns(t *testing.T) {
	server := citypaytest.New(&citypaytest.Options{Autoplay: 1})
	t.Cleanup(server.Close)
	d := newDesk(t, "").at(server)
	looked := false
	d.configure(between(t, server.URL, "/batch/process", func(http.ResponseWriter) {
		stdout, _ := d.wants(exitUnknown, "pending")
		looked = strings.Contains(stdout, "wages")
		d.wants(exitDone, "status wages")
		_, stderr := d.wants(exitError, "report wages")
		looked = looked && strings.Contains(stderr, "nothing was reported")
		_, stderr = d.wants(exitError, "resume wages")
		looked = looked && strings.Contains(stderr, "another process has it open")
	}), "citypay.journal")
	d.wants(exitDone, "run FILE --collect --reference wages")
	require.True(t, looked)
}

// Notepad writes a mark before the text.
func TestAConfigurationOfNotepad(t *testing.T) {
	d := newDesk(t, simulator)
	config, err := os.ReadFile(filepath.Join(d.directory, "payrun.json"))
	require.NoError(t, err)
	d.file("payrun.json", "\ufeff"+string(config))
	d.wants(exitDone, "check FILE --collect")
}

func TestProgressFitsTheTerminal(t *testing.T) {
	d := newDesk(t, simulator)
	const narrow = 20
	d.width = narrow
	_, stderr := d.wants(exitDone, "run FILE --collect --reference november")
	for _, line := range strings.Split(stderr, "\r\x1b[K") {
		require.Less(t, len(line), narrow, line)
	}
}

// A log has one line for each change, and not one for each poll.
func TestProgressInAFileIsALineForEachChange(t *testing.T) {
	var errs bytes.Buffer
	p := &program{stderr: &errs, width: func() int { return 0 }}
	for range 3 {
		p.progress(batch.Event{Phase: batch.PhaseWait, Batch: batch.Batch{State: batch.StatePending, Native: "LOCKED"}})
	}
	p.progress(batch.Event{Phase: batch.PhaseWait, Batch: batch.Batch{State: batch.StateDone}})
	require.Equal(t, "wait       pending (LOCKED)\nwait       done\n", errs.String())
}

// A person who waits for an unclear batch is told, once, that waiting is optional.
func TestProgressSaysThatItAsksAgain(t *testing.T) {
	var errs bytes.Buffer
	p := &program{stderr: &errs, width: func() int { return 0 }}
	known := batch.Event{Phase: batch.PhaseReconcile, Batch: batch.Batch{State: batch.StatePending}}
	p.progress(known)
	require.NotContains(t, errs.String(), "Ctrl-C")
	unknown := batch.Event{Phase: batch.PhaseReconcile}
	p.progress(unknown)
	p.progress(unknown)
	require.Equal(t, "reconcile  pending\n"+
		"payrun asks the service again and again what became of the batch. Ctrl-C ends the wait, and changes nothing.\n"+
		"reconcile  unknown\n", errs.String())
}

// The commands that payrun shows name the configuration, if it is not the usual one.
func TestCommandsNameTheConfiguration(t *testing.T) {
	p := &program{}
	p.Config = "payrun.json"
	require.Equal(t, "payrun resume november", p.call("resume november"))
	p.Config = "snapbill.json"
	require.Equal(t, "payrun resume november --config snapbill.json", p.call("resume november"))
}

// Where the service counts, progress says how many items of how many.
func TestProgressCounts(t *testing.T) {
	var errs bytes.Buffer
	width := 0
	p := &program{stderr: &errs, width: func() int { return width }}
	show := func(final, items int) string {
		errs.Reset()
		p.progress(batch.Event{Phase: batch.PhaseWait, Batch: batch.Batch{State: batch.StatePending, Native: "OPEN",
			Counts: batch.Counts{Final: final, Items: items}}})
		return errs.String()
	}
	require.Equal(t, "wait       pending (OPEN)  3 of 10\n", show(3, 10))
	require.Empty(t, show(3, 10))
	require.Equal(t, "wait       pending (OPEN)  4 of 10\n", show(4, 10))
	for width = 10; width < 200; width++ {
		for final := range 11 {
			line := strings.TrimPrefix(show(final, 10), "\r\x1b[K")
			require.Less(t, utf8.RuneCountInString(line), width, line)
			require.NotContains(t, line, "\n")
			if width >= 40 {
				require.Contains(t, line, fmt.Sprint(final, " of 10"), width)
				require.Contains(t, line, "wait       pending (OPEN)")
			}
		}
	}
	width = 80
	require.Equal(t, "\r\x1b[Kwait       pending (OPEN)  30% |#########                     | 3 of 10",
		strings.ReplaceAll(show(3, 10), "\u2588", "#"))
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	d := newDesk(t, simulator)
	d.width = 80
	_, stderr := d.wants(exitDone, "run FILE --collect --reference november")
	require.NotContains(t, stderr, "\n")
	require.Regexp(t, "(?s)\r\x1b\\[Kcreate.*\r\x1b\\[Kreport +done.*\r\x1b\\[K$", stderr)
}

func TestNothingSteersATerminal(t *testing.T) {
	require.Equal(t, "a?[2Jb\nc?d?e\u00e9", printable("a\x1b[2Jb\nc\u202ed\u009be\u00e9"))
}

func TestAPageRunsNothing(t *testing.T) {
	var out bytes.Buffer
	report := batch.Report{Results: []batch.Result{{Message: "<script>alert(1)</script>"}}}
	require.NoError(t, page.Execute(&out, pageOf(report, batch.Info{}, report.Batch.Draft.Date)))
	require.NotContains(t, out.String(), "<script")
}

func TestHelp(t *testing.T) {
	d := newDesk(t, simulator)
	stdout, _ := d.wants(exitDone, "--help")
	for _, name := range []string{"CITYPAY_LICENCE_KEY", "CENTRAPAY_API_KEY", "SIXDOTFIFTY_SECRET", "SNAPBILL_PASSWORD",
		"PAYRUN_POSTGRES", "BATCHWAY_LIVE", "resolve"} {
		require.Contains(t, stdout, name)
	}
}

// startPostgres skips t where no server can be had, or fails it where there must
// be one.
func startPostgres(t *testing.T) *pgtest.Server {
	postgres, err := pgtest.New()
	if err != nil && os.Getenv("BATCHWAY_REQUIRE_POSTGRES") != "1" {
		t.Skipf("this test needs PostgreSQL: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(postgres.Remove)
	return postgres
}

// Many machines share a journal in PostgreSQL.
func TestAJournalInPostgreSQL(t *testing.T) {
	postgres := startPostgres(t)
	d := newDesk(t, simulator)
	d.configure(simulator, "postgres")
	d.env["PAYRUN_POSTGRES"] = postgres.DSN("postgres")
	d.wants(exitDone, "run FILE --collect --reference november")
	stdout, _ := d.wants(exitDone, "report november")
	require.Contains(t, stdout, "2 of 2 paid, 91.96 GBP")
	d.env["PAYRUN_POSTGRES"] = "postgres://ada:canary-password@127.0.0.1:x/"
	_, stderr := d.wants(exitUsage, "pending")
	require.NotContains(t, stderr, "canary-password")
}

// For machines, an error is JSON, too, and says which exit code it is.
func TestErrorsAreJSON(t *testing.T) {
	d := newDesk(t, simulator)
	d.wants(exitDone, "run FILE --collect --reference november")
	for _, c := range []struct {
		args, kind string
		code       int
	}{
		{"status december --json", "not found", exitError},
		{"run FILE --collect --reference no;vember --json", "invalid", exitError},
		{"run FILE --pay --reference november --json", "", exitUsage},
		{"pending --json --bogus", "", exitUsage},
		{"pending --bogus --json", "", exitUsage},
		{"frobnicate --json", "", exitUsage},
		{"run --json", "", exitUsage},
		{"--json", "", exitUsage},
		{"status --json november december", "", exitUsage},
		{"check /nothing.csv --collect --json", "", exitUsage},
	} {
		_, stderr := d.wants(c.code, c.args)
		var said struct {
			Error string `json:"error"`
			Exit  int    `json:"exit"`
			Kind  string `json:"kind"`
		}
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if c.code == exitUsage {
			require.Len(t, lines, 1)
		}
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &said), stderr)
		require.NotEmpty(t, said.Error)
		require.Equal(t, c.code, said.Exit)
		require.Equal(t, c.kind, said.Kind)
	}
}
