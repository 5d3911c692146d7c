package citypay

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

type sampleFile map[string]struct {
	Status      int             `json:"status"`
	ContentType string          `json:"content_type"`
	Body        json.RawMessage `json:"body"`
}

func readSamples(t testing.TB) sampleFile {
	text, err := os.ReadFile("testdata/samples.json")
	require.NoError(t, err)
	var all sampleFile
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// content is JSON without the fields that say nothing. Numbers and booleans are
// text, as Text keeps them.
func content(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v))
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				if v[key] = strip(inner); v[key] == "" || v[key] == "false" || v[key] == "0" && key != "result" {
					delete(v, key)
				}
			}
		case []any:
			for n := range v {
				v[n] = strip(v[n])
			}
		case json.Number, bool:
			return fmt.Sprint(v)
		}
		return v
	}
	return strip(v)
}

// Every documented sample decodes, and encodes to what it was.
func TestDocumentedSamples(t *testing.T) {
	all := readSamples(t)
	through := func(v any) func([]byte) (any, error) {
		return func(text []byte) (any, error) {
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields() // A field that no type has would be lost.
			return v, d.Decode(v)
		}
	}
	report := func(text []byte) (any, error) {
		var r BatchReport
		return &r, r.decode(bytes.NewReader(text))
	}
	status := func(text []byte) (any, error) {
		var r CheckBatchStatusResponse
		return &r, r.decode(bytes.NewReader(text))
	}
	auths := func(text []byte) (any, error) {
		var r AuthReferences
		return &r, r.decode(bytes.NewReader(text))
	}
	for name, decode := range map[string]func([]byte) (any, error){
		"batch_process.request":                       through(new(ProcessBatchRequest)),
		"batch_process_multi.request":                 through(new(ProcessBatchRequest)),
		"batch_process_minimal.request":               through(new(ProcessBatchRequest)),
		"batch_process_date_time.request":             through(new(ProcessBatchRequest)),
		"batch_process.response":                      through(new(ProcessBatchResponse)),
		"batch_process_invalid.response":              through(new(ProcessBatchResponse)),
		"batch_status.request":                        through(new(CheckBatchStatus)),
		"batch_status.response":                       status,
		"batch_status_all_values.response":            status,
		"batch_status_unknown.response":               status,
		"batch_status_empty.response":                 status,
		"batch_retrieve.request":                      through(new(BatchReportRequest)),
		"batch_retrieve.response":                     report,
		"batch_retrieve_mixed_sandbox.response":       report,
		"batch_retrieve_queued.response":              report,
		"batch_retrieve_error_in_processing.response": report,
		"batch_retrieve_not_final.response":           report,
		"transaction_retrieve.request":                through(new(RetrieveRequest)),
		"transaction_retrieve_by_transno.request":     through(new(RetrieveRequest)),
		"transaction_retrieve.response":               auths,
		"transaction_retrieve_two_attempts.response":  auths,
		"transaction_retrieve_on_hold.response":       auths,
		"transaction_retrieve_declined.response":      auths,
		"transaction_retrieve_empty.response":         auths,
		"account_status.request":                      through(new(accountStatusRequest)),
		"account_status.response":                     through(new(Acknowledgement)),
		"account_status_invalid.response":             through(new(Acknowledgement)),
		"card_status.request":                         through(new(SetCardStatus)),
		"card_status.response":                        through(new(Acknowledgement)),
		"ping.request":                                through(new(pingRequest)),
		"ping.response":                               through(new(Acknowledgement)),
		"acl_check.request":                           through(new(aclRequest)),
		"acl_check.response":                          through(new(ACLCheck)),
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, all, name)
			text := all[name].Body
			v, err := decode(text)
			require.NoError(t, err)
			again, err := json.Marshal(v)
			require.NoError(t, err)
			want, got := content(t, text), content(t, again)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the sample lost something on its way through (-want +got):\n%s", diff)
			}
		})
	}
}

// Only a 422 is documented to have a body. An empty 400, 401, 403 or 500 is not
// CityPay's word: a proxy can answer it after the batch was taken on.
func TestDocumentedErrors(t *testing.T) {
	kinds := map[string]batch.Kind{"B001": batch.ErrUnavailable, "B002": batch.ErrNotFound, "B003": batch.ErrInvalid,
		"B004": batch.ErrInvalid,
		"B005": batch.ErrInvalid, "B006": batch.ErrInvalid, "B007": batch.ErrInvalid, "B008": batch.ErrConflict,
		"B009": batch.ErrInvalid,
		"D022": batch.ErrInvalid, "D023": batch.ErrInvalid, "D049": batch.ErrInvalid, "D101": batch.ErrNotFound,
		"F006": batch.ErrAmbiguous, "P007": batch.ErrAuth, "P043": batch.ErrInvalid,
		"S008": batch.ErrAuth, "T001": batch.ErrAmbiguous}
	for name, s := range readSamples(t) {
		if !strings.HasPrefix(name, "error_") {
			continue
		}
		body := []byte(s.Body)
		if string(body) == "null" {
			body = nil
		}
		got := refusal(s.Status, http.Header{"Content-Type": {s.ContentType}}, body)
		if s.Status != 422 {
			require.Nil(t, got, name)
			continue
		}
		require.NotNil(t, got, name)
		want, known := kinds[got.Code]
		require.True(t, known, got.Code)
		require.Equal(t, want, got.Kind, name)
		require.NotEmpty(t, got.Message)
		require.Equal(t, "4DLbFC1VnnW", got.RequestID)
	}
}

func TestRefusalsThatCityPayDidNotWrite(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		kind, body string
	}{
		"a firewall's page": {400, "text/html", "<html>"},
		"a plain 400":       {400, "text/plain", "Bad request"},
		"an empty 400":      {400, "", ""},
		"an empty 401":      {401, "", ""},
		"a firewall's 403":  {403, "text/html", "<html>"},
		"a 403 in CityPay's words": {403, "application/json",
			`{"code":"S008","message":"Invalid Licence Key"}`},
		"a 400 in CityPay's words":           {400, "application/json", `{"code":"B006"}`},
		"a 500 in CityPay's words":           {500, "application/json", `{"code":"B006"}`},
		"a 404":                              {404, "text/html", "Not found"},
		"a 422 of a proxy":                   {422, "text/plain", "Unprocessable"},
		"a 422 in another content type":      {422, "text/plain", `{"code":"B006"}`},
		"a 422 without a content type":       {422, "", `{"code":"B006"}`},
		"a 422 cut short":                    {422, "application/json", `{"code":"B006"`},
		"a 422 with a key twice":             {422, "application/json", `{"code":"B006","Code":"B008"}`},
		"a 422 with something after it":      {422, "application/json", `{"code":"B006"}{}`},
		"a 422 with a list":                  {422, "application/json", `[{"code":"B006"}]`},
		"a 422 wrapped":                      {422, "application/json", `{"Error":{"code":"B006"}}`},
		"a 422 without a code":               {422, "application/json", `{"error":"upstream timeout"}`},
		"a 422 of nothing":                   {422, "application/json", `{}`},
		"a 422 whose code is null":           {422, "application/json", `{"code":null}`},
		"a 422 whose code is a number":       {422, "application/json", `{"code":422}`},
		"a 422 whose code is no such thing":  {422, "application/json", `{"code":"invalid"}`},
		"a 422 whose code is in lower case":  {422, "application/json", `{"code":"b006"}`},
		"a 422 whose code is longer than it": {422, "application/json", `{"code":"B0061"}`},
	} {
		require.Nil(t, refusal(c.status, http.Header{"Content-Type": {c.kind}}, []byte(c.body)), name)
	}
}

// A field that decides nothing does not take the words from CityPay.
func TestRefusalKeepsOtherFieldsAsTheyCame(t *testing.T) {
	for _, other := range []string{`null`, `7`, `{"a":1}`, `[1]`, `true`, `"text"`} {
		body := `{"code":"B006","message":` + other + `,"context":` + other + `,"response_dt":` + other +
			`,"identifier":` + other + `,"new":` + other + `}`
		got := refusal(422, http.Header{"Content-Type": {"application/json; charset=utf-8"}}, []byte(body))
		require.NotNil(t, got, other)
		require.Equal(t, batch.ErrInvalid, got.Kind)
	}
}

func TestAPIKeyVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/auth_key_vectors.json")
	require.NoError(t, err)
	var file struct {
		Vectors []struct {
			ClientID   string `json:"client_id"`
			LicenceKey string `json:"licence_key"`
			Nonce      string `json:"nonce_hex"`
			Minute     string `json:"utc_minute"`
			Key        string `json:"cp_api_key"`
		} `json:"vectors"`
	}
	require.NoError(t, json.Unmarshal(text, &file))
	require.Len(t, file.Vectors, 6)
	for _, v := range file.Vectors {
		minute, err := time.Parse("200601021504", v.Minute)
		require.NoError(t, err)
		var nonce [16]byte
		_, err = hex.Decode(nonce[:], []byte(v.Nonce))
		require.NoError(t, err)
		elsewhere := time.FixedZone("elsewhere", 5*3600+30*60)
		require.Equal(t, v.Key, apiKey(v.ClientID, v.LicenceKey, nonce, minute.Add(59*time.Second).In(elsewhere)))
	}
}

func TestEveryKeyIsNew(t *testing.T) {
	client, err := New(Config{ClientID: "PC1", LicenceKey: "key"})
	require.NoError(t, err)
	seen := map[string]bool{}
	for range 10_000 {
		r := &http.Request{Header: http.Header{}}
		require.NoError(t, client.authorize(r))
		key := r.Header.Get("cp-api-key")
		require.False(t, seen[key])
		seen[key] = true
	}
}

// S10: a clock that is off by more than a minute is named, in both directions;
// a Date that cannot be read does not tell the time.
func TestAWrongClockIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for date, want := range map[string]string{
			time.Now().Add(10 * time.Minute).UTC().
				Format(http.TimeFormat): "; this clock is off by -10m0s from CityPay's",
			time.Now().Add(-10 * time.Minute).UTC().
				Format(http.TimeFormat): "; this clock is off by 10m0s from CityPay's",
			time.Now().Add(time.Minute).UTC().Format(http.TimeFormat): "",
			"":                              "",
			"yesterday":                     "",
			"Fri, 31 Dec 1999 23:59:60 GMT": "",
		} {
			require.Equal(t, want, skew(http.Header{"Date": {date}}), date)
		}
		require.Empty(t, skew(http.Header{}))
	})
}

// FuzzAPIKey: a key is what CityPay documents, whatever is in the licence key.
// The parts are taken apart here by other means than they were put together.
func FuzzAPIKey(f *testing.F) {
	f.Add("PC2", "7G79TG62BAJTK669", []byte("0123456789abcdef"), int64(1_600_000_000))
	f.Add("", "", []byte{}, int64(0))
	f.Add("a:b", "\xff\x00", []byte{0xff}, int64(-1))
	f.Fuzz(func(t *testing.T, clientID, licenceKey string, random []byte, unix int64) {
		at := time.Unix(unix, 0)
		if year := at.UTC().Year(); year < 1000 || year > 9999 {
			return
		}
		var nonce [16]byte
		copy(nonce[:], random)
		packet, err := base64.StdEncoding.Strict().DecodeString(apiKey(clientID, licenceKey, nonce, at))
		require.NoError(t, err)
		head, sum := packet[:len(packet)-sha256.Size], packet[len(packet)-sha256.Size:]
		require.Equal(t, fmt.Sprintf("%s:%X:", clientID, nonce), string(head))
		mac := hmac.New(sha256.New, []byte(licenceKey))
		mac.Write(append([]byte(clientID), nonce[:]...))
		u := at.UTC()
		for _, n := range []int{u.Year() / 100, u.Year() % 100, int(u.Month()), u.Day(), u.Hour(), u.Minute()} {
			mac.Write([]byte{byte(n/10<<4 | n%10)}) // packed decimal
		}
		require.Equal(t, mac.Sum(nil), sum)
		require.Equal(t, apiKey(clientID, licenceKey, nonce, at),
			apiKey(clientID, licenceKey, nonce, at.Truncate(time.Minute)), "it changes by the minute")
	})
}

// FuzzDecodeReport: no reply panics, and none is believed without its parts.
func FuzzDecodeReport(f *testing.F) {
	for name, s := range readSamples(f) {
		if strings.HasPrefix(name, "batch_retrieve") && strings.HasSuffix(name, ".response") {
			f.Add([]byte(s.Body))
		}
	}
	f.Add([]byte(`{"batch_id":1,"batch_status":"COMPLETE","transactions":[null]}`))
	f.Add([]byte(`{"batch_id":1,"batch_status":"complete","transactions":[{"identifier":"x","result":"1"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var r BatchReport
		if err := r.decode(bytes.NewReader(text)); err != nil {
			require.Equal(t, BatchReport{}, r, "nothing of a bad report is kept")
			return
		}
		whole := true
		for _, row := range r.Transactions {
			whole = whole && len(row.Faults) == 0
			if len(row.Faults) == 0 && (row.Identifier == "" || row.ResultCode == "" || row.Result < 0 ||
				row.Amount < 0) {
				t.Fatalf("a row without its parts: %+v", row)
			}
		}
		if state(r.BatchStatus).Final() && r.BatchStatus != StatusComplete && r.BatchStatus != StatusCancelled &&
			r.BatchStatus != StatusErrorInProcessing {
			t.Fatalf("%q was taken for final", r.BatchStatus)
		}
		if !whole {
			return
		}
		again, err := json.Marshal(r)
		require.NoError(t, err)
		var second BatchReport
		require.NoError(t, second.decode(bytes.NewReader(again)))
		require.Equal(t, r, second)
	})
}

// FuzzDecodeStatus: only the exact words are final.
func FuzzDecodeStatus(f *testing.F) {
	for name, s := range readSamples(f) {
		if strings.HasPrefix(name, "batch_status") && strings.HasSuffix(name, ".response") {
			f.Add([]byte(s.Body), int64(35))
		}
	}
	client, err := New(Config{ClientID: "PC1", LicenceKey: "key"})
	require.NoError(f, err)
	provider := &Provider{client: client}
	f.Fuzz(func(t *testing.T, text []byte, id int64) {
		var r CheckBatchStatusResponse
		if r.decode(bytes.NewReader(text)) != nil {
			return
		}
		row, err := provider.pick(r.Batches, id)
		if err != nil {
			return
		}
		if s := state(row.BatchStatus); s.Final() && !bytes.Contains(text, []byte(row.BatchStatus)) &&
			!bytes.Contains(text, []byte(`\u`)) {
			t.Fatalf("%q was read out of %q", row.BatchStatus, text)
		}
	})
}

// A row whose deciding fields make no sense says so, and is not taken for
// declined.
func TestARowThatMakesNoSense(t *testing.T) {
	for _, row := range []string{`null`, `7`, `[]`, `"text"`, `{}`,
		`{"identifier":null,"result":null,"result_code":null}`, `{"identifier":"","result":"x","result_code":[]}`} {
		var r BatchReport
		require.NoError(t, r.decode(strings.NewReader(`{"batch_id":35,"batch_status":"COMPLETE","transactions":[`+
			row+`]}`)), row)
		require.Len(t, r.Transactions, 1)
		require.Equal(t, ResultUnknown, r.Transactions[0].Result, row)
		require.Len(t, r.Transactions[0].Faults, 3, row)
	}
}
