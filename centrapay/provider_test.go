package centrapay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchsim"
	"github.com/batchway/batchway-go/centrapay"
	"github.com/batchway/batchway-go/centrapay/centrapaytest"
)

// TestOperationsAtSimulator makes every native call once: the simulator must
// have seen the method and the path of the table, under the same name.
func TestOperationsAtSimulator(t *testing.T) {
	server := newServer(t, nil)
	client, err := centrapay.New(server.Config())
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	u, err := server.Upload(t.Context(), "a.jsonl",
		strings.NewReader(`{"externalId":"asset-1","availableBalance":"5"}`))
	require.NoError(t, err)
	account := server.ProviderConfig().AccountID
	b, err := client.CreateBatch(t.Context(), centrapay.BatchRequest{Type: centrapay.TypeFarmlandsExternalAsset,
		URL: centrapay.FileURL(u), AccountID: account})
	require.NoError(t, err)
	server.FinishAll()
	_, err = client.GetBatch(t.Context(), b.ID)
	require.NoError(t, err)
	a, err := client.GetAccount(t.Context(), account)
	require.NoError(t, err)
	require.True(t, a.Test)
	asset, err := client.GetAssetByExternalID(t.Context(), "farmlands", "asset-1")
	require.NoError(t, err)
	require.Equal(t, centrapay.BigNumber("5"), asset.AvailableBalance)
	for listed, err := range client.ListAssets(t.Context(), account, "asset-1") {
		require.NoError(t, err)
		require.Equal(t, asset.ID, listed.ID)
	}
	upload, err := client.UploadMedia(t.Context(), centrapay.MediaUpload{Purpose: centrapay.PurposeBusinessOnboarding,
		FileName: "a.csv", File: []byte("nzbn\n")})
	require.NoError(t, err)
	_, err = client.MediaLocation(t.Context(), upload)
	require.NoError(t, err)
	asked, err := client.OnboardBusiness(t.Context(), cafe())
	require.NoError(t, err)
	_, err = client.GetOnboarding(t.Context(), asked.ID)
	require.NoError(t, err)

	for _, op := range centrapay.Operations {
		seen := server.Log.Requests(op.Name)
		require.Len(t, seen, 1, op.Name)
		pattern := "^" + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(op.Path, "[^/]+") + "$"
		require.Regexp(t, pattern, seen[0].Path)
		require.Equal(t, op.Method, seen[0].Method)
	}
	require.Equal(t, len(centrapay.Operations), server.Log.Count(""))

	for _, missing := range []error{
		second(client.GetBatch(t.Context(), "none")), second(client.GetAccount(t.Context(), "none")),
		second(client.GetAssetByExternalID(t.Context(), "x", "none")),
		second(client.MediaLocation(t.Context(), "none")), second(client.GetOnboarding(t.Context(), "none")),
	} {
		require.ErrorIs(t, missing, batch.ErrNotFound)
	}
}

func second[T any](_ T, err error) error { return err }

// TestSimulatorSaysTheSamples plays the documented exchange: the replies must
// have the same fields with the same kinds of values as the samples.
func TestSimulatorSaysTheSamples(t *testing.T) {
	server := newServer(t, nil)
	u, err := server.Upload(t.Context(), "", strings.NewReader(
		`{"externalId":"a","contacts":[{"externalId":"c","cards":[{"externalId":"d","barcode":"1234"}]}]}`+"\n"))
	require.NoError(t, err)
	call := func(method, path, key, body string) (int, map[string]any) {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("X-Api-Key", key)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		server.ServeHTTP(w, r)
		var v map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &v))
		return w.Code, v
	}
	sample := func(file string) (int, map[string]any) {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		require.NoError(t, err)
		var s struct {
			Status int
			Body   map[string]any
		}
		require.NoError(t, json.Unmarshal(text, &s))
		return s.Status, s.Body
	}
	key, account := server.Config().APIKey, server.ProviderConfig().AccountID
	_, request := sample("batches_create.request.json")
	request["url"], request["accountId"] = u, account
	text, err := json.Marshal(request)
	require.NoError(t, err)
	same := func(file string, gotStatus int, got map[string]any) {
		t.Helper()
		status, want := sample(file)
		require.Equal(t, status, gotStatus, file)
		for _, field := range []string{"id", "accountId", "url", "count"} { // Differ from one batch to the next.
			if want[field] != nil && got[field] != nil {
				require.IsType(t, want[field], got[field], "%s: %s", file, field)
				want[field] = got[field]
			}
		}
		if list, ok := want["errors"].([]any); ok && len(list) == 1 {
			maps.Copy(list[0].(map[string]any), map[string]any{"externalId": "a", "index": "0"})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the simulator says something else (-sample +simulator):\n%s", file, diff)
		}
	}
	status, created := call("POST", "/api/batches", key, string(text))
	same("batches_create.response.json", status, created)
	path := "/api/batches/" + created["id"].(string)
	for _, file := range []string{"batches_get_copied.response.json", "batches_get_chunked.response.json",
		"batches_get.response.json"} {
		server.Advance(created["id"].(string))
		status, got := call("GET", path, key, "")
		same(file, status, got)
	}
	status, got := call("GET", path, "wrong", "")
	same("error_401.json", status, got)
	status, got = call("GET", "/api/batches/none", key, "")
	same("error_403_forbidden.json", status, got)
	status, got = call("GET", "/api/none", key, "")
	same("error_404_route.json", status, got)
	status, got = call("POST", "/api/batches", key, strings.Replace(string(text), `"test":true`, `"test":false`, 1))
	same("error_403_liveness_mismatch.json", status, got)
	request["url"] = server.URL + "/files/none"
	text, err = json.Marshal(request)
	require.NoError(t, err)
	_, broken := call("POST", "/api/batches", key, string(text))
	server.Advance(broken["id"].(string))
	status, got = call("GET", "/api/batches/"+broken["id"].(string), key, "")
	same("batches_get_error.response.json", status, got)

	total := newServer(t, &centrapaytest.Options{CountName: centrapaytest.CountIsTotalCount})
	p := newProvider(t, total.Config(), total.ProviderConfig())
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	_, err = p.Submit(t.Context(), b)
	require.NoError(t, err)
	require.Empty(t, total.Ledger.Moved(), "nothing is loaded before the batch is complete")
}

// TestDocumentedFiles uploads every documented record file: the simulator must
// take all of its records.
func TestDocumentedFiles(t *testing.T) {
	for file, want := range map[string]struct {
		batchType string
		n         int
	}{
		"farmlands-external-asset.jsonl": {centrapay.TypeFarmlandsExternalAsset, 3},
		"ticketek-ticket.jsonl":          {centrapay.TypeTicketekTicket, 2},
		"business-onboard.csv":           {centrapay.TypeBusinessOnboard, 1},
		"verifone-terminal-status.jsonl": {centrapay.TypeVerifoneTerminalStatus, 1},
	} {
		t.Run(file, func(t *testing.T) {
			server := newServer(t, nil)
			client, err := centrapay.New(server.Config())
			require.NoError(t, err)
			t.Cleanup(client.CloseIdleConnections)
			f, err := os.Open(filepath.Join("testdata", file))
			require.NoError(t, err)
			defer func() { _ = f.Close() }()
			u, err := server.Upload(t.Context(), file, f)
			require.NoError(t, err)
			b, err := client.CreateBatch(t.Context(), centrapay.BatchRequest{Type: want.batchType,
				URL: centrapay.FileURL(u), AccountID: server.ProviderConfig().AccountID})
			require.NoError(t, err)
			server.FinishAll()
			b, err = client.GetBatch(t.Context(), b.ID)
			require.NoError(t, err)
			require.Equal(t, []any{centrapay.StatusComplete, centrapay.BigNumber(fmt.Sprint(want.n)),
				centrapay.BigNumber("0")}, []any{b.Status, b.Count, b.ErrorCount})
			require.Len(t, server.Ledger.Effects(), want.n)
		})
	}
}

// TestOtherTypes loads items as records of the other types.
func TestOtherTypes(t *testing.T) {
	for batchType, record := range map[string]func(batch.Item) (centrapay.Record, error){
		centrapay.TypeTicketekTicket: func(i batch.Item) (centrapay.Record, error) {
			return centrapay.TicketekTicket{BarcodeClear: i.Reference, Quantity: 1, PriceTypeCode: "J",
				ProductID: i.Extra["product"], OrderID: "1,2", PriceTypeName: "x"}, nil
		},
		centrapay.TypeBusinessOnboard: func(i batch.Item) (centrapay.Record, error) {
			return &centrapay.Business{CompanyName: "Café, Ltd", ContactName: `"J"`, PrimaryContactEmail: "a@b",
				ExternalBusinessID: i.Reference, CategoryCode: "4121",
				SettlementAccountNumber: i.Account, AssetProgramID: "ap", MerchantName: "x", MerchantCountry: "NZ",
				MerchantType:       "e-commerce",
				ExternalMerchantID: "1", SalesChannelID: "sc", DeviceID: i.Extra["product"]}, nil
		},
		centrapay.TypeVerifoneTerminalStatus: func(i batch.Item) (centrapay.Record, error) {
			return centrapay.TerminalStatus{DeviceID: i.Reference, Status: "active", ConfigVersion: "20220214.1"}, nil
		},
	} {
		t.Run(batchType, func(t *testing.T) {
			server := newServer(t, nil)
			o := server.ProviderConfig()
			o.Type, o.Record, o.ItemExtra = batchType, record, []string{"product"}
			p := newProvider(t, server.Config(), o)
			d := newDraft(3)
			for n := range d.Items {
				d.Items[n].Extra = map[string]string{"product": "P1"}
			}
			b, err := p.Create(t.Context(), d)
			require.NoError(t, err)
			b, err = p.Submit(t.Context(), b)
			require.NoError(t, err)
			server.FinishAll()
			b, err = p.Poll(t.Context(), b)
			require.NoError(t, err)
			r, err := p.Report(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, 3, r.Totals[batch.OutcomePaid].Count)
			for _, item := range d.Items {
				require.Equal(t, 1, server.Ledger.Moved()[item.Reference])
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	server := newServer(t, nil)
	calls := 0
	good := server.ProviderConfig()
	upload := good.Upload
	good.Upload = func(ctx context.Context, name string, file io.Reader) (string, error) {
		calls++
		return upload(ctx, name, file)
	}
	none := good
	none.Upload = nil
	gated := none
	gated.Gate = newGate(t)
	ticket := good
	ticket.Type = centrapay.TypeTicketekTicket
	ticket.Record = func(i batch.Item) (centrapay.Record, error) {
		switch i.Reference[len(i.Reference)-1] {
		case '0':
			return nil, errors.New("cannot be made")
		case '1':
			return nil, nil
		case '2':
			return centrapay.FarmlandsAsset{}, nil
		}
		return centrapay.TicketekTicket{}, nil
	}
	twins := good
	twins.Record = func(batch.Item) (centrapay.Record, error) {
		return centrapay.FarmlandsAsset{ExternalID: "twin"}, nil
	}
	for name, c := range map[string]struct {
		config centrapay.ProviderConfig
		change func(*batch.Draft)
		want   []string
	}{
		"a date": {good, func(d *batch.Draft) { d.Date = time.Now() },
			[]string{"date: must be zero"}},
		"another currency": {good, func(d *batch.Draft) { d.Items[1].Amount.Currency = "AUD" },
			[]string{"item 1", "currency"}},
		"a reference that is not UTF-8": {good, func(d *batch.Draft) { d.Items[1].Reference = "\xff" },
			[]string{"item 1", "externalId: is not UTF-8"}},
		"an account that is not UTF-8": {good, func(d *batch.Draft) { d.Items[1].Account = "\xff" },
			[]string{"item 1", "accountNumber: is not UTF-8"}},
		"an unknown key of an item": {good, func(d *batch.Draft) {
			d.Items[1].Extra = map[string]string{"x": "y"}
		}, []string{"item 1", `"x"`}},
		"a URL that is not https": {good, func(d *batch.Draft) {
			d.Extra = map[string]string{"url": "http://canary.test/canary"}
		}, []string{"url: must be https"}},
		"a URL with a password": {good, func(d *batch.Draft) {
			d.Extra = map[string]string{"url": "https://a:canary@b.test/"}
		}, []string{"url: must not hold"}},
		"a handle without a gate": {good, func(d *batch.Draft) { d.Extra = map[string]string{"file": "x"} },
			[]string{`"file"`}},
		"a URL with a gate": {gated, func(d *batch.Draft) {
			d.Extra = map[string]string{"url": "https://b.test/canary"}
		}, []string{`"url"`}},
		"nowhere to upload": {none, func(*batch.Draft) {}, []string{"neither Upload nor Gate"}},
		"records that cannot be made": {ticket, func(*batch.Draft) {}, []string{"item 0", "cannot be made", "item 1",
			"made none", "item 2", "is of type farmlands-external-asset", "barcodeClear", "quantity"}},
		"two records of one external id": {twins, func(*batch.Draft) {},
			[]string{"item 1", "externalId: is also that of item 0"}},
		"everything at once": {none, func(d *batch.Draft) {
			d.Date, d.Reference, d.Items[0].Account = time.Now(), "", ""
		}, []string{"date", "reference", "account", "Upload"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, server.Config(), c.config)
			d := newDraft(4)
			c.change(&d)
			_, err := p.Create(t.Context(), d)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.NotContains(t, err.Error(), "canary")
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	require.Zero(t, calls, "nothing may be uploaded of a draft that is refused")
	require.Zero(t, server.Log.Count(""))
}

func TestNewProviderRefuses(t *testing.T) {
	client, err := centrapay.New(centrapay.Config{APIKey: "k"})
	require.NoError(t, err)
	var e *batch.Error
	_, err = centrapay.NewProvider(client, centrapay.ProviderConfig{Currency: "JPY", Type: "x", ErrorIndex: 7,
		Gate: newGate(t), Upload: func(context.Context, string, io.Reader) (string, error) { return "", nil }})
	require.ErrorAs(t, err, &e)
	require.Equal(t, batch.ErrInvalid, e.Kind)
	require.Len(t, e.Fields, 5, "all faults at once: %v", err)
}

func TestUploads(t *testing.T) {
	server := newServer(t, nil)
	create := func(upload func(context.Context, string, io.Reader) (string, error)) (batch.Batch, error) {
		o := server.ProviderConfig()
		o.Upload = upload
		return newProvider(t, server.Config(), o).Create(t.Context(), newDraft(20_000))
	}
	var name, content string
	b, err := create(func(_ context.Context, n string, file io.Reader) (string, error) {
		text, err := io.ReadAll(file)
		name, content = n, string(text)
		return "https://bucket.test/a?sig=1", err
	})
	require.NoError(t, err)
	require.Equal(t, b.Draft.Reference+".jsonl", name)
	require.Equal(t, 20_000, len(strings.Split(content, "\n")), "an empty line would be a record")
	first, _, _ := strings.Cut(content, "\n")
	require.Equal(t, fmt.Sprintf(`{"externalId":%q,"accountNumber":"000000001","availableBalance":"1000"}`,
		b.Draft.Items[0].Reference), first)
	require.Equal(t, "https://bucket.test/a?sig=1", b.Draft.Extra["url"])

	for name, upload := range map[string]func(context.Context, string, io.Reader) (string, error){
		"that reads nothing": func(context.Context, string, io.Reader) (string, error) {
			return "https://bucket.test/a", nil
		},
		"that reads half": func(_ context.Context, _ string, file io.Reader) (string, error) {
			_, err := io.CopyN(io.Discard, file, 100_000)
			return "https://bucket.test/a", err
		},
		"that returns a bad URL": func(_ context.Context, _ string, file io.Reader) (string, error) {
			_, err := io.Copy(io.Discard, file)
			return "http://bucket.test/canary", err
		},
		"that fails with the URL in its error": func(_ context.Context, _ string, file io.Reader) (string, error) {
			_, _ = io.Copy(io.Discard, file)
			return "", &url.Error{Op: "Put", URL: "https://bucket.test/a?sig=canary", Err: io.ErrUnexpectedEOF}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := create(upload)
			require.ErrorIs(t, err, batch.ErrUnavailable)
			require.NotContains(t, fmt.Sprintf("%v %+v", err, err), "canary")
			require.Empty(t, b.Draft.Extra)
			require.Equal(t, batch.StateDraft, b.State)
		})
	}
	require.Zero(t, server.Log.Count(""))
}

func TestHostedFile(t *testing.T) {
	server := newServer(t, nil)
	d := newDraft(1)
	u, err := server.Upload(t.Context(), "",
		strings.NewReader(fmt.Sprintf(`{"externalId":%q,"availableBalance":"1000"}`, d.Items[0].Reference)))
	require.NoError(t, err)
	d.Extra = map[string]string{"url": u}
	o := server.ProviderConfig()
	o.Upload = nil
	p := newProvider(t, server.Config(), o)
	r, err := batch.Run(t.Context(), p, d, &batch.RunOptions{Watch: batch.WatchOptions{Interval: time.Millisecond},
		Observe: func(batch.Event) { server.FinishAll() }})
	require.NoError(t, err)
	require.Equal(t, 1, r.Totals[batch.OutcomePaid].Count)
}

// says is a service that answers every call about a batch with one text.
func says(t *testing.T, reply string, o centrapay.ProviderConfig) *centrapay.Provider {
	t.Helper()
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		text := reply
		if strings.HasPrefix(r.URL.Path, "/api/accounts/") {
			text = `{"id":"A","test":true}`
		}
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}},
			Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	})
	o.AccountID, o.Currency = "A", "NZD"
	return newProvider(t, centrapay.Config{APIKey: "key", Middleware: func(http.RoundTripper) http.RoundTripper {
		return transport
	}}, o)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestReport(t *testing.T) {
	const paid, failed, unknown, pending = batch.OutcomePaid, batch.OutcomeFailed, batch.OutcomeUnknown,
		batch.OutcomePending
	of := func(outcomes ...batch.Outcome) []batch.Outcome { return outcomes }
	for name, c := range map[string]struct {
		status, count, errorCount, errors string
		list                              string // in place of the errors
		index                             centrapay.ErrorIndex
		before                            batch.State // pending if empty
		want                              []batch.Outcome
		fault                             string // "" for none
	}{
		"all good": {status: "complete", count: "3", errorCount: "0", want: of(paid, paid, paid)},
		"one failed, counted from 0": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","index":"1","message":"BAD_X"}`, want: of(paid, failed, paid)},
		"one failed, counted from 1": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","index":"2","message":"BAD_X"}`, want: of(paid, failed, paid)},
		"an id and no index": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","message":"BAD_X"}`, want: of(paid, failed, paid)},
		"two errors of one record": {status: "complete", count: "3", errorCount: "2",
			errors: `{"externalId":"b","message":"BAD_X"},{"externalId":"b","message":"BAD_Y"}`,
			want:   of(paid, failed, paid)},
		"a record is not counted": {status: "complete", count: "2", errorCount: "0",
			want: of(unknown, unknown, unknown), fault: "has counted 2 records"},
		"a record too many": {status: "complete", count: "4", errorCount: "0",
			want: of(unknown, unknown, unknown), fault: "has counted 4 records"},
		"the count excludes errors": {status: "complete", count: "2", errorCount: "1",
			errors: `{"externalId":"b","message":"BAD_X"}`, want: of(unknown, failed, unknown),
			fault: "has counted 2 records"},
		"row 67: errors not listed": {status: "complete", count: "3", errorCount: "2",
			errors: `{"externalId":"b","message":"BAD_X"}`, want: of(unknown, failed, unknown),
			fault: "counts 2 errors and lists 1"},
		"more errors than counted": {status: "complete", count: "3", errorCount: "0",
			errors: `{"externalId":"b","message":"BAD_X"}`, want: of(unknown, failed, unknown),
			fault: "counts 0 errors and lists 1"},
		"row 68: null in the list": {status: "complete", count: "3", errorCount: "1", errors: `null`,
			want: of(unknown, unknown, unknown), fault: "names no item"},
		"an error of nobody": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"z","index":"1","message":"BAD_X"}`, want: of(unknown, unknown, unknown),
			fault: `is about "z"`},
		"only an index": {status: "complete", count: "3", errorCount: "1",
			errors: `{"index":"1","message":"BAD_X"}`, want: of(unknown, unknown, unknown), fault: "names no item"},
		"only an index, seen from 0": {status: "complete", count: "3", errorCount: "1",
			errors: `{"index":"1","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom0, want: of(paid, failed, paid)},
		"only an index, seen from 1": {status: "complete", count: "3", errorCount: "1",
			errors: `{"index":"1","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom1, want: of(failed, paid, paid)},
		"index 0 but seen from 1": {status: "complete", count: "3", errorCount: "1",
			errors: `{"index":"0","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom1,
			want: of(unknown, unknown, unknown), fault: "outside the file"},
		"row 68: index -1": {status: "complete", count: "3", errorCount: "1",
			errors: `{"index":"-1","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom0,
			want: of(unknown, unknown, unknown), fault: "outside the file"},
		"row 68: index 1e9": {status: "complete", count: "3", errorCount: "1",
			errors: `{"index":"1000000000","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom0,
			want: of(unknown, unknown, unknown), fault: "outside the file"},
		"an index of a fraction": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","index":"1.5","message":"BAD_X"}`, want: of(paid, unknown, paid),
			fault: "not an integer"},
		"an element of text": {status: "complete", count: "3", errorCount: "1", errors: `"BAD_X"`,
			want: of(unknown, unknown, unknown), fault: "names no item"},
		"an id of a number": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":7,"index":"1","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom0,
			want: of(unknown, unknown, unknown), fault: `is about "7"`},
		"an index of null": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","index":null,"message":"BAD_X"}`, want: of(paid, failed, paid)},
		"an index of an object": {status: "complete", count: "3", errorCount: "2",
			errors: `{"externalId":"b","index":{},"message":"BAD_X"},{"externalId":"c","message":"BAD_X"}`,
			want:   of(paid, unknown, failed), fault: "not an integer"},
		"a null beside an error": {status: "complete", count: "3", errorCount: "2",
			errors: `null,{"externalId":"b","message":"BAD_X"}`, want: of(unknown, failed, unknown),
			fault: "names no item"},
		"a message of a list": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","message":["BAD_X"]}`, want: of(paid, failed, paid)},
		"a count of an exponent": {status: "complete", count: "3e0", errorCount: "0",
			want: of(unknown, unknown, unknown), fault: "count: \"3e0\" is not"},
		"row 69: errorCount is a word": {status: "complete", count: "3", errorCount: "none",
			want: of(unknown, unknown, unknown), fault: "errorCount: \"none\" is not"},
		"an index of another item": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"a","index":"2","message":"BAD_X"}`, want: of(unknown, unknown, unknown),
			fault: "names item 0 by its id, and index 2"},
		"an index of two other items": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"c","index":"1","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom1,
			want: of(unknown, unknown, unknown), fault: "names item 2 by its id, and index 1"},
		"errors that are not a list": {status: "complete", count: "3", errorCount: "0", list: `{"a":1}`,
			want: of(unknown, unknown, unknown), fault: "names no item"},
		"from 0 and from 1 in one": {status: "complete", count: "3", errorCount: "2",
			errors: `{"externalId":"a","index":"0","message":"BAD_X"},{"externalId":"b","index":"2","message":"BAD_X"}`,
			want:   of(failed, unknown, unknown), fault: "names item 1 by its id, and index 2"},
		"from 0, but seen from 1": {status: "complete", count: "3", errorCount: "1",
			errors: `{"externalId":"b","index":"1","message":"BAD_X"}`, index: centrapay.ErrorIndexFrom1,
			want: of(unknown, unknown, paid), fault: "and index 1"},
		"the file was not read": {status: "error", count: "0", errorCount: "0",
			want: of(failed, failed, failed)},
		"not read, without counts": {status: "error", want: of(failed, failed, failed)},
		"not read, but counted": {status: "error", count: "2", errorCount: "0",
			want: of(unknown, unknown, unknown), fault: `has counted "2" records`},
		"no counts": {status: "complete", want: of(unknown, unknown, unknown),
			fault: "count: the service does not say how many; errorCount: the service does not say"},
		"not read, an odd count": {status: "error", count: "none", errorCount: "0",
			want: of(unknown, unknown, unknown), fault: `has counted "none" records`},
		"still working": {status: "chunked", count: "1", errorCount: "0",
			want: of(pending, pending, pending)},
		"still working, with an error": {status: "chunked", count: "1", errorCount: "1",
			errors: `{"externalId":"b","message":"BAD_X"}`, want: of(pending, failed, pending)},
		"done, and now chunked": {before: batch.StateDone, status: "chunked", count: "3", errorCount: "0",
			want: of(unknown, unknown, unknown), fault: `is "chunked" now`},
		"a word that nobody knows": {status: "Complete", count: "3", errorCount: "0",
			want: of(pending, pending, pending)},
	} {
		t.Run(name, func(t *testing.T) {
			counts := ""
			if c.count != "" {
				counts = fmt.Sprintf(`"count":%q,"errorCount":%q,`, c.count, c.errorCount)
			}
			list := "[" + c.errors + "]"
			if c.list != "" {
				list = c.list
			}
			p := says(t,
				fmt.Sprintf(
					`{"id":"B1","status":%q,"type":"farmlands-external-asset","url":"https://b.test/f","test":true,%s"errors":%s}`,
					c.status, counts, list), centrapay.ProviderConfig{ErrorIndex: c.index})
			b := batch.Batch{Provider: "centrapay", ID: "B1", State: batch.StatePending,
				Draft: batch.Draft{Reference: "r", Direction: batch.Load,
					Extra: map[string]string{"url": "https://b.test/f"}}}
			if c.before != "" {
				b.State = c.before
			}
			for _, reference := range []string{"a", "b", "c"} {
				b.Draft.Items = append(b.Draft.Items, batch.Item{Reference: reference, Account: "1",
					Amount: batch.Money{Minor: 1, Currency: "NZD"}})
			}
			r, err := p.Report(t.Context(), b)
			var got []batch.Outcome
			for _, result := range r.Results {
				got = append(got, result.Outcome)
				if result.Outcome == failed && c.status != "error" &&
					!strings.Contains(result.Code+result.Message, "BAD_X") {
					t.Errorf("item %q failed without the service's word: %q %q", result.Item.Reference, result.Code,
						result.Message)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the items have other outcomes (-want +got):\n%s", diff)
			}
			if c.fault == "" {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, batch.ErrProtocol)
				require.ErrorContains(t, err, c.fault)
			}
		})
	}
}

// TestReportAgainstSimulator: with one bad record, under every answer, no item
// is called loaded that was not.
func TestReportAgainstSimulator(t *testing.T) {
	for name, o := range map[string]centrapaytest.Options{
		"likely": {}, "capped": {MaxErrors: 1}, "counts without errors": {CountExcludesErrors: true},
		"from 1": {IndexFrom1: true},
		"no id":  {NoExternalID: true}, "total": {CountName: centrapaytest.CountIsTotalCount},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, &o)
			p := newProvider(t, server.Config(), server.ProviderConfig())
			d := newDraft(5)
			d.Items[1].Account, d.Items[3].Account = "000000000", "000000404"
			b, err := p.Create(t.Context(), d)
			require.NoError(t, err)
			b, err = p.Submit(t.Context(), b)
			require.NoError(t, err)
			server.FinishAll()
			b, err = p.Poll(t.Context(), b)
			require.NoError(t, err)
			r, err := p.Report(t.Context(), b)
			known := name == "likely" || name == "from 1" || name == "total"
			require.Equal(t, known, err == nil, "%v", err)
			loaded := server.Ledger.Moved()
			for _, result := range r.Results {
				n := loaded[result.Item.Reference]
				if result.Outcome == batch.OutcomePaid && n != 1 || result.Outcome == batch.OutcomeFailed && n != 0 ||
					known && result.Outcome == batch.OutcomeUnknown {
					t.Errorf("item %q is %s, and was loaded %d times", result.Item.Reference, result.Outcome, n)
				}
			}
		})
	}
}

// TestPollHoldsTheBatchAgainstTheDraft: an id that leads elsewhere is noticed.
func TestPollHoldsTheBatchAgainstTheDraft(t *testing.T) {
	const reply = `{"id":"B1","status":"complete","type":"farmlands-external-asset","url":"https://b.test/canary-path-of-file","test":true,"count":"1","errorCount":"0"}`
	b := batch.Batch{Provider: "centrapay", ID: "B1", State: batch.StatePending,
		Draft: batch.Draft{Direction: batch.Load,
			Items: []batch.Item{{Reference: "a"}},
			Extra: map[string]string{"url": "https://b.test/canary-path-of-file"}}}
	sum := sha256.Sum256([]byte(b.Draft.Extra["url"]))
	kept := b.Clone() // as a journal has it
	kept.Draft.Extra["url"] = "sha256:" + hex.EncodeToString(sum[:])
	change := func(from, to string) string {
		require.Contains(t, reply, from)
		return strings.Replace(reply, from, to, 1)
	}
	for name, c := range map[string]struct {
		reply          string
		known, unclear batch.Kind // in StatePending, and in StateUnknown, where the reply is the proof
	}{
		"the batch":              {reply, "", ""},
		"another type":           {change("farmlands", "f"), batch.ErrConflict, batch.ErrConflict},
		"another url":            {change("canary", "canary2"), batch.ErrConflict, batch.ErrConflict},
		"another test flag":      {change(`"test":true`, `"test":false`), batch.ErrConflict, batch.ErrConflict},
		"more records":           {change(`"count":"1"`, `"count":"2"`), "", batch.ErrConflict},
		"fewer records":          {change(`"count":"1"`, `"count":"0"`), "", batch.ErrConflict},
		"errors are not counted": {change(`"count":"1","errorCount":"0"`, `"count":"0","errorCount":"1"`), "", ""},
		"records so far": {strings.Replace(change(`"count":"1"`, `"count":"0"`), "complete", "chunked", 1),
			"", ""},
		"no url":                   {change(`"url":"https://b.test/canary-path-of-file",`, ""), "", batch.ErrProtocol},
		"a url of null":            {change(`"https://b.test/canary-path-of-file"`, "null"), "", batch.ErrProtocol},
		"no type":                  {change(`"type":"farmlands-external-asset",`, ""), "", batch.ErrProtocol},
		"no test flag":             {change(`"test":true,`, ""), "", ""},
		"no count":                 {change(`"count":"1",`, ""), "", ""},
		"another id":               {change("B1", "B2"), batch.ErrProtocol, batch.ErrProtocol},
		"a word that is not known": {change("complete", "paused"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // Reads are repeated.
				p := says(t, c.reply, centrapay.ProviderConfig{})
				for _, b := range []batch.Batch{b, kept} {
					for state, want := range map[batch.State]batch.Kind{batch.StatePending: c.known,
						batch.StateUnknown: c.unclear} {
						b.State = state
						read, err := p.Poll(t.Context(), b)
						require.Equal(t, want, batch.KindOf(err), "%q: %v", state, err)
						if err != nil {
							require.NotContains(t, err.Error(), "canary")
							require.Equal(t, b, read)
						}
					}
				}
			})
		})
	}
	p := says(t, reply, centrapay.ProviderConfig{})
	never := b.Clone() // Create never made its file: no batch can be this one, whatever an operator says.
	never.State, never.Draft.Extra = batch.StateUnknown, nil
	_, err := p.Poll(t.Context(), never)
	require.ErrorIs(t, err, batch.ErrConflict)
	b.ID, b.State = "", batch.StateUnknown
	_, err = p.Poll(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrUnsupported)
	_, err = p.Report(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrUnsupported)
	_, err = batch.Reconcile(t.Context(), p, b)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
}

// TestGateProvesTheBatch: behind a gate, a batch whose Submit was unclear is
// believed only if its URL is the one that the gate has opened.
func TestGateProvesTheBatch(t *testing.T) {
	server := newServer(t, nil)
	o := server.ProviderConfig()
	o.Upload, o.Gate = nil, newGate(t)
	p := newProvider(t, server.Config(), o)
	submit := func() batch.Batch {
		b, err := p.Create(t.Context(), newDraft(1))
		require.NoError(t, err)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
		return b
	}
	mine, other := submit(), submit()
	mine.State = batch.StateUnknown
	read, err := p.Poll(t.Context(), mine)
	require.NoError(t, err)
	require.Equal(t, batch.StatePending, read.State)
	mine.ID = other.ID
	read, err = p.Poll(t.Context(), mine)
	require.ErrorIs(t, err, batch.ErrConflict)
	require.Equal(t, mine, read)

	o.Gate = brokenGate{Gate: o.Gate, state: errors.New("disk: https://files.test/canary-in-the-path")}
	_, err = newProvider(t, server.Config(), o).Poll(t.Context(), mine)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.NotContains(t, err.Error(), "canary")
}

// TestGateAnswersForABatchWithoutID is the contract with batch.Reconcile: not
// fetched is a draft so far, and fetched is known for good.
func TestGateAnswersForABatchWithoutID(t *testing.T) {
	server := newServer(t, nil)
	o := server.ProviderConfig()
	gate := newGate(t)
	o.Upload, o.Gate = nil, gate
	p := newProvider(t, server.Config(), o)
	require.True(t, p.Info().PollsWithoutID)
	require.False(t, newProvider(t, server.Config(), server.ProviderConfig()).Info().PollsWithoutID)
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	b.State = batch.StateUnknown
	read, err := batch.Reconcile(t.Context(), p, b)
	require.NoError(t, err)
	require.Equal(t, batch.StateDraft, read.State)

	server.Break(batchsim.LostAfter)
	after, err := p.Submit(t.Context(), read)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
	require.Regexp(t, `^fetched at 2\d{3}-`, after.Native)
	require.ErrorContains(t, err, after.Native)
	crashed := after
	crashed.Native = ""
	for _, b := range []batch.Batch{after, crashed} {
		again, err := p.Poll(t.Context(), b)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{batch.ErrAmbiguous, "SERVED"}, []any{e.Kind, e.Code})
		require.ErrorContains(t, err, after.Native)
		require.Equal(t, []any{batch.StateUnknown, after.Native, ""}, []any{again.State, again.Native, again.ID})
	}
	submits := server.Log.Count("CreateBatch")
	_, err = p.Submit(t.Context(), b2draft(after))
	require.ErrorIs(t, err, batch.ErrConflict)
	require.ErrorContains(t, err, after.Native)
	require.Equal(t, submits, server.Log.Count("CreateBatch"))

	lost := after.Clone()
	lost.Draft.Extra["file"] = strings.Replace(lost.Draft.Extra["file"], "load-", "lost-", 1)
	_, err = p.Poll(t.Context(), lost)
	require.ErrorIs(t, err, batch.ErrNotFound, "a gate that has lost the file knows nothing")
	_, err = batch.Reconcile(t.Context(), p, lost)
	require.ErrorIs(t, err, batch.ErrAmbiguous)
}

func b2draft(b batch.Batch) batch.Batch {
	b.State = batch.StateDraft
	return b
}

// TestNoIDIsLost takes the id from every reply that has one, whatever else is
// wrong with it, and goes on with it.
func TestNoIDIsLost(t *testing.T) {
	drop := func(field string) func(string) string {
		return func(body string) string {
			return regexp.MustCompile(`"`+field+`":("[^"]*"|\[\]|true|false),?`).ReplaceAllString(body, "")
		}
	}
	set := func(field, value string) func(string) string {
		return func(body string) string {
			return regexp.MustCompile(`"`+field+`":("[^"]*"|\[\]|true|false)`).ReplaceAllString(body,
				`"`+field+`":`+value)
		}
	}
	for name, c := range map[string]struct {
		alter func(string) string
		want  batch.Kind
	}{
		"no test flag":        {drop("test"), ""},
		"a test flag of null": {set("test", "null"), ""},
		"no type":             {drop("type"), ""},
		"no url":              {drop("url"), ""},
		"a url of a number":   {set("url", "7"), ""},
		"no status":           {drop("status"), ""},
		"no counts":           {func(s string) string { return drop("count")(drop("errorCount")(s)) }, ""},
		"errors of null":      {set("errors", "null"), ""},
		"errors of an object": {set("errors", "{}"), ""},
		"another type":        {set("type", `"ticketek-ticket"`), batch.ErrAmbiguous},
		"another test flag":   {set("test", "false"), batch.ErrAmbiguous},
		"cut off":             {func(s string) string { return s[:len(s)-3] }, batch.ErrAmbiguous},
		"something behind":    {func(s string) string { return s + "x" }, batch.ErrAmbiguous},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, nil)
			p := newProvider(t, server.Config(), server.ProviderConfig())
			b, err := p.Create(t.Context(), newDraft(2))
			require.NoError(t, err)
			server.Inject(batchsim.Fault{Op: "CreateBatch", Nth: 1, Phase: batchsim.AfterApply, Act: batchsim.Lie,
				Alter: func(r batchsim.Reply) batchsim.Reply {
					r.Body = []byte(c.alter(string(r.Body)))
					return r
				}})
			after, err := p.Submit(t.Context(), b)
			require.Equal(t, c.want, batch.KindOf(err), "%v", err)
			require.NotEmpty(t, after.ID)
			state := batch.StatePending
			if err != nil {
				state = batch.StateUnknown
				require.ErrorContains(t, err, after.ID)
			}
			require.Equal(t, state, after.State)
			server.FinishAll()
			after, err = batch.Reconcile(t.Context(), p, after)
			require.NoError(t, err)
			r, err := p.Report(t.Context(), after)
			require.NoError(t, err)
			require.Equal(t, 2, r.Totals[batch.OutcomePaid].Count)
		})
	}
}

// TestWrongKey: a wrong key fails at a read, in whatever words, and nothing is
// sent; a key that may not read accounts loads records all the same.
func TestWrongKey(t *testing.T) {
	server := newServer(t, &centrapaytest.Options{})
	config := server.Config()
	config.APIKey = "another-key"
	p := newProvider(t, config, server.ProviderConfig())
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	for name, reply := range map[string]batchsim.Reply{
		"the service's words": {},
		"a page": {Status: 401, Header: http.Header{"Content-Type": {"text/html"}},
			Body: []byte("<html>")},
		"other words": batchsim.JSON(401, `{"statusCode":401,"message":"Invalid API key"}`),
		"a firewall":  {Status: 403, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte("<html>")},
	} {
		if reply.Status != 0 {
			server.Inject(batchsim.Fault{Op: "GetAccount", Nth: 1, Phase: batchsim.BeforeApply,
				Act: batchsim.Answer, Reply: reply})
		}
		after, err := p.Submit(t.Context(), b)
		require.ErrorIs(t, err, batch.ErrAuth, name)
		require.Equal(t, b, after)
	}
	require.Zero(t, server.Log.Count("CreateBatch"))

	server = newServer(t, &centrapaytest.Options{AccountUnreadable: true})
	p = newProvider(t, server.Config(), server.ProviderConfig())
	b, err = p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	_, err = p.Submit(t.Context(), b)
	require.NoError(t, err)
}

// TestTwoAccounts: an account sees only its own batches, and the ledger tells
// whose records were loaded.
func TestTwoAccounts(t *testing.T) {
	server := newServer(t, nil)
	config := server.NewAccount("other")
	o := server.ProviderConfig()
	o.AccountID = "other"
	p, other := newProvider(t, server.Config(), server.ProviderConfig()), newProvider(t, config, o)
	require.NotEqual(t, p.Info().Account, other.Info().Account)
	load := func(p *centrapay.Provider) batch.Batch {
		b, err := p.Create(t.Context(), newDraft(1))
		require.NoError(t, err)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
		return b
	}
	mine := load(p)
	load(other)
	_, err := other.Poll(t.Context(), mine)
	require.ErrorIs(t, err, batch.ErrNotFound)
	server.FinishAll()
	payers := map[string]int{}
	for _, e := range server.Ledger.Effects() {
		payers[e.Payer]++
	}
	require.Equal(t, map[string]int{"account C4QnjXvj8At6SMsEN4LRi9": 1, "account other": 1}, payers)

	foreign := newProvider(t, server.Config(), o) // Another account than the key's.
	b, err := foreign.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	after, err := foreign.Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAuth)
	require.Equal(t, batch.StateDraft, after.State)
}

// Whatever a configuration decides about money is in Info, and a journal keeps
// it: every field is in the account, in the terms, or here with the reason why
// it is harmless.
func TestWhatTheConfigurationDecides(t *testing.T) {
	harmless := map[string]string{
		"APIKey":            "belongs to the account that is named beside it",
		"RequestsPerMinute": "how fast requests travel",
		"HTTPClient":        "how requests travel",
		"Middleware":        "how requests travel",
		"Logger":            "what is logged",
		"UserToken":         "a credential can be renewed",
		"UserAccount":       "for whom the user acts; the batch names AccountID",
		"Record":            "the file that it wrote is named in the batch",
		"ItemExtra":         "what Record reads of an item: as Record",
		"Upload":            "where the file is: its URL is in the batch",
		"Gate":              "where the file is: its handle is in the batch",
		"ErrorIndex":        "how errors are matched to items, not what is loaded",
	}
	values := map[string]any{
		"UserToken": func(context.Context) (string, error) { return "token", nil }, "UserAccount": "B",
		"APIKey": "other", "Live": true, "RequestsPerMinute": 7, "BaseURL": "https://other.test",
		"HTTPClient": &http.Client{},
		"Middleware": func(next http.RoundTripper) http.RoundTripper { return next }, "Logger": slog.Default(),
		"AccountID": "B", "Currency": "AUD", "Account": "other", "Type": centrapay.TypeTicketekTicket,
		"Record":    func(batch.Item) (centrapay.Record, error) { return centrapay.TicketekTicket{}, nil },
		"ItemExtra": []string{"product"}, "Upload": func(context.Context, string, io.Reader) (string, error) {
			return "", nil
		},
		"Gate": newGate(t), "ErrorIndex": centrapay.ErrorIndexFrom1,
	}
	info := func(field string) batch.Info {
		c, o := centrapay.Config{APIKey: "key"}, centrapay.ProviderConfig{AccountID: "A", Currency: "NZD"}
		if field == "Type" {
			o.Record = values["Record"].(func(batch.Item) (centrapay.Record, error))
		}
		if strings.HasPrefix(field, "User") {
			c.APIKey, c.UserToken = "", values["UserToken"].(func(context.Context) (string, error))
		}
		for _, v := range []reflect.Value{reflect.ValueOf(&c).Elem(), reflect.ValueOf(&o).Elem()} {
			if f := v.FieldByName(field); f.IsValid() {
				f.Set(reflect.ValueOf(values[field]))
			}
		}
		return newProvider(t, c, o).Info()
	}
	plain := info("")
	require.Equal(t, "sandbox/A", plain.Account)
	require.Equal(t, map[string]string{"account": "A", "type": "farmlands-external-asset", "live": "false",
		"currency": "NZD"}, plain.Terms)
	for _, field := range []string{"Live", "AccountID", "Type", "Currency"} {
		require.NotEqual(t, plain.Terms, info(field).Terms, "%s: also where the account has a name of its own", field)
	}
	for _, v := range []any{centrapay.Config{}, centrapay.ProviderConfig{}} {
		for n := range reflect.TypeOf(v).NumField() {
			field := reflect.TypeOf(v).Field(n).Name
			require.Contains(t, values, field, "a new field: say here what it decides")
			changed := info(field)
			kept := changed.Account != plain.Account || !maps.Equal(changed.Terms, plain.Terms)
			require.NotEqual(t, kept, harmless[field] != "", field)
		}
	}
}

func TestAccountHasOneName(t *testing.T) {
	account := func(baseURL, name string, live bool) string {
		return newProvider(t, centrapay.Config{APIKey: "k", BaseURL: baseURL, Live: live},
			centrapay.ProviderConfig{AccountID: "A", Currency: "NZD", Account: name}).Info().Account
	}
	for _, url := range []string{"", centrapay.Service, "https://service.centrapay.com:443",
		"HTTPS://Service.Centrapay.Com/", "https://service.centrapay.com./"} {
		require.Equal(t, "sandbox/A", account(url, "", false), url)
		require.Equal(t, "production/A", account(url, "", true), url)
	}
	for _, url := range []string{"https://pay.test/x", "https://PAY.test:443/x/", "https://pay.test./x"} {
		require.Equal(t, "pay.test/x/sandbox/A", account(url, "", false), url)
	}
	require.Equal(t, "loyalty", account("", "loyalty", false))
	require.Equal(t, "loyalty", account("https://pay.test", "loyalty", true))
}

// TestAmbiguousCreate: without a gate, the error holds all that a person needs
// to find out, and no secret.
func TestAmbiguousCreate(t *testing.T) {
	server := newServer(t, nil)
	p := newProvider(t, server.Config(), server.ProviderConfig())
	b, err := p.Create(t.Context(), newDraft(2))
	require.NoError(t, err)
	server.Break(batchsim.LostAfter)
	after, err := p.Submit(t.Context(), b)
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, batch.ErrAmbiguous, e.Kind)
	require.Equal(t, batch.StateUnknown, after.State)
	for _, part := range []string{"type farmlands-external-asset", "account C4QnjXvj8At6SMsEN4LRi9", "test:true",
		"2 items", "sent at 2", "support"} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "signature")
}

// TestSubmitRefuses: a handle that was edited since Create, or that comes from
// a journal without its secret, is refused before anything is sent.
func TestSubmitRefuses(t *testing.T) {
	server := newServer(t, nil)
	p := newProvider(t, server.Config(), server.ProviderConfig())
	o := server.ProviderConfig()
	o.Upload, o.Gate = nil, newGate(t)
	gated := newProvider(t, server.Config(), o)
	for name, c := range map[string]struct {
		p      *centrapay.Provider
		change func(*batch.Batch)
		want   string
	}{
		"a negative amount": {p, func(b *batch.Batch) { b.Draft.Items[0].Amount.Minor = -1 },
			"amount: is negative"},
		"no URL": {p, func(b *batch.Batch) { b.Draft.Extra = nil }, "url: is missing"},
		"the digest of a URL": {p, func(b *batch.Batch) { b.Draft.Extra["url"] = "sha256:00" },
			"url: is not a valid URL"},
		"plain http": {p, func(b *batch.Batch) { b.Draft.Extra["url"] = "http://b.test/canary" },
			"url: must be https"},
		"no handle": {gated, func(b *batch.Batch) { b.Draft.Extra = nil }, "file: is missing"},
		"a handle of no file": {gated, func(b *batch.Batch) { b.Draft.Extra["file"] = "../../etc/passwd" },
			"there is no such file"},
		"a URL in place of that": {gated, func(b *batch.Batch) {
			b.Draft.Extra = map[string]string{"url": "https://b.test/canary"}
		}, `"url"`},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.p.Create(t.Context(), newDraft(1))
			require.NoError(t, err)
			c.change(&b)
			after, err := c.p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrInvalid)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, b, after)
		})
	}
	require.Zero(t, server.Log.Count(""))
}

// TestForeignReply: the id in a reply that does not fit the request is named in
// the error, and not taken for that of the batch.
func TestForeignReply(t *testing.T) {
	const reply = `{"id":"B1","status":"created","type":"farmlands-external-asset","url":"https://b.test/f","test":true,"count":"0","errorCount":"0"}`
	for name, other := range map[string]string{
		"it is of another file": strings.Replace(reply, "/f", "/g", 1),
		"it is of another type": strings.Replace(reply, "farm", "f", 1),
		"it is live":            strings.Replace(reply, "true", "false", 1),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDraft(1)
			d.Extra = map[string]string{"url": "https://b.test/f"}
			p := says(t, other, centrapay.ProviderConfig{})
			b, err := p.Create(t.Context(), d)
			require.NoError(t, err)
			after, err := p.Submit(t.Context(), b)
			require.ErrorIs(t, err, batch.ErrAmbiguous)
			require.ErrorContains(t, err, "answered with the id B1")
			require.Equal(t, []any{batch.StateUnknown, "B1"}, []any{after.State, after.ID})
		})
	}
}

// TestGate is what a gate is for: a create whose reply is lost is decided.
func TestGate(t *testing.T) {
	for name, c := range map[string]struct {
		options centrapaytest.Options
		fault   batchsim.Scenario
		want    batch.Kind
	}{
		"lost before":          {centrapaytest.Options{}, batchsim.LostBefore, batch.ErrUnavailable},
		"lost after the fetch": {centrapaytest.Options{}, batchsim.LostAfter, batch.ErrAmbiguous},
		"lost before the fetch": {centrapaytest.Options{FetchLate: true}, batchsim.LostAfter,
			batch.ErrUnavailable},
		"500 after the fetch": {centrapaytest.Options{}, batchsim.ErrorAfter, batch.ErrAmbiguous},
		"500 before":          {centrapaytest.Options{}, batchsim.ErrorBefore, batch.ErrUnavailable},
		"garbled, fetched":    {centrapaytest.Options{}, batchsim.GarbledAfter, batch.ErrAmbiguous},
		"garbled, not fetched": {centrapaytest.Options{FetchLate: true}, batchsim.GarbledAfter,
			batch.ErrUnavailable},
		"created an hour later":      {centrapaytest.Options{}, batchsim.LateAfter, batch.ErrUnavailable},
		"refused, and said so":       {centrapaytest.Options{}, batchsim.Refused, batch.ErrInvalid},
		"redirected to another host": {centrapaytest.Options{}, batchsim.Redirected, batch.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, &c.options)
			o := server.ProviderConfig()
			o.Upload, o.Gate = nil, newGate(t)
			p := newProvider(t, server.Config(), o)
			b, err := p.Create(t.Context(), newDraft(2))
			require.NoError(t, err)
			server.Break(c.fault)
			after, err := p.Submit(t.Context(), b)
			var e *batch.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.want, e.Kind, "%v", err)
			// The stale handle is tried again, as careless code does.
			again, second := p.Submit(t.Context(), b)
			server.Clock.Advance(24 * time.Hour)
			server.FinishAll()
			if c.want == batch.ErrAmbiguous {
				require.Equal(t, "SERVED", e.Code)
				require.ErrorContains(t, err, "support")
				require.Equal(t, batch.StateUnknown, after.State)
				require.ErrorIs(t, second, batch.ErrConflict)
			} else {
				require.Equal(t, batch.StateDraft, after.State)
				require.NoError(t, second)
				again, err = p.Poll(t.Context(), again)
				require.NoError(t, err)
				require.Equal(t, batch.StateDone, again.State)
			}
			for _, item := range b.Draft.Items {
				require.Equal(t, 1, server.Ledger.Moved()[item.Reference], "loaded exactly once, whatever was lost")
			}
		})
	}
}

// brokenGate fails where it is told to.
type brokenGate struct {
	centrapay.Gate
	open, revoke, state error
}

func (g brokenGate) State(ctx context.Context, handle string) (centrapay.FileState, error) {
	if g.state != nil {
		return centrapay.FileState{}, g.state
	}
	return g.Gate.State(ctx, handle)
}

func (g brokenGate) Open(ctx context.Context, handle string) (string, error) {
	if g.open != nil {
		return "", g.open
	}
	return g.Gate.Open(ctx, handle)
}

func (g brokenGate) Revoke(context.Context, string) (bool, error) { return false, g.revoke }

func TestBrokenGate(t *testing.T) {
	server := newServer(t, nil)
	o := server.ProviderConfig()
	o.Upload, o.Gate = nil, newGate(t)
	b, err := newProvider(t, server.Config(), o).Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	disk := errors.New("disk: https://files.test/canary-in-the-path")

	o.Gate = brokenGate{Gate: o.Gate, open: disk}
	after, err := newProvider(t, server.Config(), o).Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrUnavailable)
	require.ErrorIs(t, err, disk)
	require.NotContains(t, err.Error(), "canary")
	require.Equal(t, batch.StateDraft, after.State)
	require.Zero(t, server.Log.Count("CreateBatch"))

	o.Gate = brokenGate{Gate: o.Gate.(brokenGate).Gate, revoke: disk}
	server.Break(batchsim.LostBefore)
	after, err = newProvider(t, server.Config(), o).Submit(t.Context(), b)
	require.ErrorIs(t, err, batch.ErrAmbiguous, "what cannot be revoked stays in doubt")
	require.ErrorContains(t, err, "could not be revoked")
	require.NotContains(t, err.Error(), "canary")
	require.Equal(t, batch.StateUnknown, after.State)
}

// impatient gives up on a Submit once its request has arrived.
type impatient struct {
	*centrapay.Provider
	arrived func() bool
}

func (p impatient) Submit(ctx context.Context, b batch.Batch) (batch.Batch, error) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		for !p.arrived() {
			runtime.Gosched()
		}
		cancel()
	}()
	return p.Provider.Submit(ctx, b)
}

// memoryGate returns a gate that is served by an in-memory simulator.
func memoryGate(t testing.TB, server *centrapaytest.Server) *centrapay.FileGate {
	t.Helper()
	gate, err := centrapay.NewFileGate(t.TempDir(), server.GateURL())
	require.NoError(t, err)
	server.Host(gate)
	return gate
}

// TestRunSurvivesCrash kills Run between the create and its result, and runs
// again with the same journal: with a gate, everything is loaded exactly once.
func TestRunSurvivesCrash(t *testing.T) {
	for name, c := range map[string]struct {
		fault  batchsim.Scenario
		loaded int
		ends   bool
	}{
		"the create never arrived":       {batchsim.SilentBefore, 1, true},
		"the create arrived and fetched": {batchsim.SilentAfter, 1, false}, // The id is lost for good.
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := centrapaytest.New(&centrapaytest.Options{InMemory: true})
				defer server.Close()
				client, err := centrapay.New(server.Config())
				require.NoError(t, err)
				defer client.CloseIdleConnections()
				o := server.ProviderConfig()
				o.Upload, o.Gate = nil, memoryGate(t, server)
				p, err := centrapay.NewProvider(client, o)
				require.NoError(t, err)
				journal, d := batch.NewMemoryJournal(), newDraft(2)
				server.Break(c.fault)
				dying := impatient{p, func() bool {
					return server.Log.Count("CreateBatch") > 0 &&
						(c.fault == batchsim.SilentBefore || len(server.Accepted()) > 0)
				}}
				_, err = batch.Run(t.Context(), dying, d,
					&batch.RunOptions{Journal: journal, ReconcileFor: time.Nanosecond})
				require.ErrorIs(t, err, batch.ErrAmbiguous)

				for open, err := range journal.Open(t.Context(), "centrapay", p.Info().Account) {
					require.NoError(t, err)
					text, err := json.Marshal(open.Entries)
					require.NoError(t, err)
					require.NotContains(t, string(text), "http:", "a URL is in the journal")
				}
				options := &batch.RunOptions{Journal: journal, Watch: batch.WatchOptions{Interval: time.Second},
					Observe: func(e batch.Event) {
						if e.Phase == batch.PhaseSubmit {
							server.FinishAll()
						}
					}}
				time.Sleep(time.Hour) // Nothing is under way any more.
				r, err := batch.Resume(t.Context(), p, d.Reference, options)
				if c.ends {
					require.NoError(t, err)
					require.Equal(t, 2, r.Totals[batch.OutcomePaid].Count)
				} else {
					require.ErrorIs(t, err, batch.ErrAmbiguous)
				}
				server.FinishAll()
				for _, item := range d.Items {
					require.Equal(t, c.loaded, server.Ledger.Moved()[item.Reference])
				}
			})
		})
	}
}

// TestJournalKeepsNoURL runs without a gate: the URL is a secret, and what the
// journal keeps of it is enough to go on with.
func TestJournalKeepsNoURL(t *testing.T) {
	server := newServer(t, nil)
	journal, d := batch.NewMemoryJournal(), newDraft(1)
	p := newProvider(t, server.Config(), server.ProviderConfig())
	ended, cancel := context.WithCancel(t.Context())
	_, err := batch.Run(ended, p, d, &batch.RunOptions{Journal: journal, Observe: func(e batch.Event) {
		if e.Phase == batch.PhaseSubmit {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	history, err := journal.History(t.Context(), batch.Key{Provider: "centrapay", Account: p.Info().Account,
		Reference: d.Reference})
	require.NoError(t, err)
	text, err := json.Marshal(history)
	require.NoError(t, err)
	require.NotContains(t, string(text), "/files/")
	require.NotContains(t, string(text), "signature")
	server.FinishAll()
	r, err := batch.Resume(t.Context(), p, d.Reference,
		&batch.RunOptions{Journal: journal, Watch: batch.WatchOptions{Interval: time.Millisecond}})
	require.NoError(t, err)
	require.Equal(t, 1, r.Totals[batch.OutcomePaid].Count)
}

// TestLiveness: a test batch for a live account is refused, and not ambiguous.
func TestLiveness(t *testing.T) {
	server := newServer(t, &centrapaytest.Options{Live: true})
	config := server.Config()
	config.Live = false
	p := newProvider(t, config, server.ProviderConfig())
	require.Contains(t, p.Info().Account, "/sandbox/")
	b, err := p.Create(t.Context(), newDraft(1))
	require.NoError(t, err)
	after, err := p.Submit(t.Context(), b)
	var e *batch.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []any{batch.ErrInvalid, "LIVENESS_MISMATCH", 403}, []any{e.Kind, e.Code, e.Status})
	require.Equal(t, batch.StateDraft, after.State)
}

// TestThrottled: Run waits as long as it is told to, and tries again (row 35).
func TestThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := centrapaytest.New(&centrapaytest.Options{InMemory: true, Autoplay: 1})
		defer server.Close()
		client, err := centrapay.New(server.Config())
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		p, err := centrapay.NewProvider(client, server.ProviderConfig())
		require.NoError(t, err)
		throttle := func() {
			reply := batchsim.JSON(http.StatusTooManyRequests,
				`{"statusCode":429,"error":"Too Many Requests","message":"RATE_LIMIT_EXCEEDED"}`)
			reply.Header.Set("Retry-After", "5")
			server.Inject(batchsim.Fault{Op: "CreateBatch", Nth: 1, Phase: batchsim.BeforeApply,
				Act: batchsim.Answer, Reply: reply})
		}
		throttle()
		b, err := p.Create(t.Context(), newDraft(1))
		require.NoError(t, err)
		after, err := p.Submit(t.Context(), b)
		var e *batch.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{batch.ErrThrottled, 5 * time.Second, batch.StateDraft},
			[]any{e.Kind, e.RetryAfter, after.State})
		throttle()
		start := time.Now()
		d := newDraft(1)
		_, err = batch.Run(t.Context(), p, d, &batch.RunOptions{Observe: func(e batch.Event) {
			if e.Phase == batch.PhaseSubmit && e.Err == nil {
				require.Equal(t, 5*time.Second, time.Since(start))
			}
		}})
		require.NoError(t, err)
		require.Equal(t, 1, server.Accepted()[d.Items[0].Reference])
	})
}

// TestFilesAreBounded: the simulator ends a batch whose file it cannot take.
func TestFilesAreBounded(t *testing.T) {
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(slices.Repeat([]byte("x"), 1<<16)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	server := newServer(t, &centrapaytest.Options{MaxFile: 1 << 20, FetchTimeout: 50 * time.Millisecond})
	p := newProvider(t, server.Config(), server.ProviderConfig())
	for _, u := range []string{endless.URL, silent.URL, "http://127.0.0.1:1/refused", server.URL + "/files/none"} {
		d := newDraft(1)
		d.Extra = map[string]string{"url": u}
		b, err := p.Create(t.Context(), d)
		require.NoError(t, err)
		b, err = p.Submit(t.Context(), b)
		require.NoError(t, err)
		server.FinishAll()
		b, err = p.Poll(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, batch.StateFailed, b.State)
		r, err := p.Report(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, batch.OutcomeFailed, r.Results[0].Outcome)
	}
}

// TestLyingReplies makes every field of every reply every other type of JSON,
// one at a time, until the service is healed. While it lies nothing is reported
// that is not so, and afterwards every batch ends whose id was not lost.
func TestLyingReplies(t *testing.T) {
	kinds := []string{"", `null`, `true`, `false`, `7`, `-1`, `1e999`, `"x"`, `""`, `"0"`, `"1"`, `[]`, `[null]`,
		`[{}]`, `{}`, `{"a":[1]}`}
	for _, op := range []string{"CreateBatch", "GetBatch", "GetAccount"} {
		for _, field := range []string{"id", "accountId", "status", "type", "url", "test", "count", "totalCount",
			"errorCount", "errors", "name"} {
			for _, kind := range kinds {
				for _, gated := range []bool{false, true} {
					name := fmt.Sprintf("%s, %s as %s, behind a gate: %t", op, field, kind, gated)
					synctest.Test(t, func(t *testing.T) { lie(t, name, op, field, kind, gated) })
				}
			}
		}
	}
}

func lie(t *testing.T, name, op, field, kind string, gated bool) {
	server := centrapaytest.New(&centrapaytest.Options{InMemory: true, Autoplay: 1})
	defer server.Close()
	client, err := centrapay.New(server.Config())
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	o := server.ProviderConfig()
	if gated {
		o.Upload, o.Gate = nil, memoryGate(t, server)
	}
	p, err := centrapay.NewProvider(client, o)
	require.NoError(t, err)
	server.Inject(batchsim.Fault{Op: op, Phase: batchsim.AfterApply, Act: batchsim.Lie,
		Alter: func(r batchsim.Reply) batchsim.Reply {
			var fields map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(r.Body, &fields))
			if fields[field] = json.RawMessage(kind); kind == "" {
				delete(fields, field)
			}
			if kind == `1e999` { // json.Marshal refuses it.
				fields[field] = json.RawMessage(`"LARGE"`)
			}
			r.Body, err = json.Marshal(fields)
			require.NoError(t, err)
			if kind == `1e999` {
				r.Body = bytes.Replace(r.Body, []byte(`"LARGE"`), []byte(kind), 1)
			}
			return r
		}})
	d := newDraft(2)
	d.Items[1].Account = "000000404" // is not loaded
	check := func(b batch.Batch) error {
		r, err := p.Report(t.Context(), b)
		for _, result := range r.Results {
			loaded := server.Accepted()[result.Item.Reference]
			if result.Outcome == batch.OutcomePaid && loaded != 1 || result.Outcome == batch.OutcomeFailed &&
				loaded != 0 {
				t.Errorf("%s: %s is %s and was loaded %d times", name, result.Item.Reference, result.Outcome, loaded)
			}
		}
		return err
	}
	b, err := p.Create(t.Context(), d)
	require.NoError(t, err)
	b, err = p.Submit(t.Context(), b)
	if err != nil && batch.KindOf(err) != batch.ErrAmbiguous {
		t.Errorf("%s: the batch was taken: %v", name, err)
	}
	for range 6 { // Created, copied, chunked, complete.
		read, err := p.Poll(t.Context(), b)
		if read.ID != b.ID || err != nil && read.State != b.State {
			t.Errorf("%s: %q %q became %q %q beside %v", name, b.ID, b.State, read.ID, read.State, err)
		}
		if b = read; b.ID != "" {
			_ = check(b)
		}
	}
	server.Heal()
	if !b.State.Final() {
		if b, err = batch.Reconcile(t.Context(), p, b); err == nil {
			b, err = batch.Wait(t.Context(), p, b, nil)
		}
	} else {
		err = check(b)
	}
	if (err != nil) != (op == "CreateBatch" && field == "id") {
		t.Errorf("%s: in the end the batch is %q: %v", name, b.State, err)
	}
	if n := server.Accepted()[d.Items[0].Reference]; n != 1 {
		t.Errorf("%s: loaded %d times", name, n)
	}
}
