package sixdotfifty_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/sixdotfifty"
)

// meaning is JSON without what says nothing, and with all scalars as text.
func meaning(t *testing.T, text []byte) any {
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
				if v[key] = strip(inner); inner == "" || inner == nil {
					delete(v, key)
				}
			}
		case []any:
			for n := range v {
				v[n] = strip(v[n])
			}
		case json.Number, bool:
			return fmt.Sprint(v) // What decides nothing is kept as text.
		}
		return v
	}
	return strip(v)
}

// Every sample decodes, and encodes to what it was.
func TestSamples(t *testing.T) {
	all := samples(t)
	types := map[string]func() any{
		"pay_add_batch_payments.request":             func() any { return new(sixdotfifty.AddPaymentsRequest) },
		"pay_batch_status_codes.response":            func() any { return new([]sixdotfifty.StatusCode) },
		"pay_payment_status_codes.response":          func() any { return new([]sixdotfifty.StatusCode) },
		"pay_create_batch.request":                   func() any { return new(sixdotfifty.BatchRequest) },
		"pay_update_batch.request":                   func() any { return new(sixdotfifty.BatchRequest) },
		"pay_create_batch.response":                  func() any { return new(sixdotfifty.Batch) },
		"pay_update_batch.response":                  func() any { return new(sixdotfifty.Batch) },
		"pay_get_batch.response":                     func() any { return new(sixdotfifty.Batch) },
		"pay_cancel_batch.response":                  func() any { return new(sixdotfifty.Batch) },
		"pay_submit_batch.response":                  func() any { return new(sixdotfifty.Batch) },
		"pay_submit_batch.response_closed":           func() any { return new(sixdotfifty.Batch) },
		"pay_list_batches.response":                  func() any { return new([]sixdotfifty.Batch) },
		"pay_list_batches.response_empty":            func() any { return new([]sixdotfifty.Batch) },
		"pay_list_batch_payments.response":           func() any { return new([]sixdotfifty.Payment) },
		"pay_get_payment.response":                   func() any { return new(sixdotfifty.Payment) },
		"pay_delete_payment.response":                func() any { return new(sixdotfifty.Payment) },
		"pay_list_accounts.response":                 func() any { return new([]sixdotfifty.Account) },
		"pay_list_accounts.response_string_balances": func() any { return new([]sixdotfifty.Account) },
		"pay_error_400.response_redemptions_model":   func() any { return new(sixdotfifty.RedemptionsError) },
		"redemptions_list_accounts.response":         func() any { return new([]sixdotfifty.RedemptionsAccount) },
		"redemptions_initiate_payment.request":       func() any { return new(sixdotfifty.InitiatePaymentRequest) },
		"redemptions_list_payments.response":         func() any { return new([]sixdotfifty.RedemptionsPayment) },
		"redemptions_list_account_transactions.response": func() any {
			return new([]sixdotfifty.RedemptionsTransaction)
		},
	}
	bodies := 0
	for name, s := range all {
		switch {
		case s.Body == nil, strings.Contains(name, "get_token"), strings.HasSuffix(name, "json_string"):
			continue // Nothing to decode, or decoded by the client itself (TestGetToken).
		case strings.HasPrefix(name, "redemptions_error_"):
			types[name] = func() any { return new(sixdotfifty.RedemptionsError) }
		case strings.HasPrefix(name, "redemptions_get_payment.response"),
			name == "redemptions_initiate_payment.response":
			types[name] = func() any { return new(sixdotfifty.RedemptionsPayment) }
		}
		bodies++
		t.Run(name, func(t *testing.T) {
			require.Contains(t, types, name, "a sample that is not decoded")
			v := types[name]()
			d := json.NewDecoder(bytes.NewReader(s.Body))
			if !strings.Contains(name, "payment.response") && !strings.Contains(name, "payments.response") {
				d.DisallowUnknownFields() // A field that no type has would be lost.
			}
			require.NoError(t, d.Decode(v))
			again, err := json.Marshal(v)
			require.NoError(t, err)
			if diff := cmp.Diff(meaning(t, s.Body), meaning(t, again)); diff != "" {
				t.Errorf("the sample lost something on its way through (-want +got):\n%s", diff)
			}
		})
	}
	require.GreaterOrEqual(t, bodies, 30)
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]string{
		"2022-12-13T12:29:39.6332995Z": "2022-12-13T12:29:39.6332995Z",
		"2022-09-24T13:31:00.557Z":     "2022-09-24T13:31:00.557Z",
		"2022-06-14T06:26:43.473":      "2022-06-14T06:26:43.473Z", "2022-09-26T11:40:47.33": "2022-09-26T11:40:47.33Z",
		"2022-09-26T11:40:47":           "2022-09-26T11:40:47Z",
		"2022-09-26T11:40:47.123456789": "2022-09-26T11:40:47.123456789Z",
		"2022-09-26T13:40:47+02:00":     "2022-09-26T11:40:47Z",
	} {
		at, err := sixdotfifty.ParseTime(sixdotfifty.Text(text))
		require.NoError(t, err, text)
		require.Equal(t, want, at.Format(time.RFC3339Nano), text)
	}
	for _, text := range []sixdotfifty.Text{"", "2022-09-26", "26/09/2022", "1664192447", "0", "{}"} {
		_, err := sixdotfifty.ParseTime(text)
		require.Error(t, err, text)
	}
}

// Rows 62 and 63: amounts are exact, and never rounded.
func TestAmounts(t *testing.T) {
	for text, want := range map[string]int64{"250": 25000, "100.75": 10075, "10.1": 1010, "10.10": 1010, "10.100": 1010,
		"0.01": 1, "0": 0,
		"1e2": 10000, "90071992547409.93": 9007199254740993} {
		var a sixdotfifty.Amount
		require.NoError(t, json.Unmarshal([]byte(text), &a), text)
		require.Equal(t, sixdotfifty.Amount(want), a, text)
	}
	for _, text := range []string{"10.005", `"250"`, "1e999999999", "99999999999999999999", "NaN", "null", "true", "",
		"0x10", "1_000"} {
		var a sixdotfifty.Amount
		require.Error(t, a.UnmarshalJSON([]byte(text)), "row 62: %s", text)
	}
	for amount, want := range map[sixdotfifty.Amount]string{25000: "250", 550: "5.5", 10075: "100.75", 1: "0.01",
		0: "0", 100000: "1000"} {
		text, err := json.Marshal(amount)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}

// A field that decides must be there, and be what it should: nothing is taken
// for zero, for paid or for in progress. Any other may be anything.
func TestFieldsThatDecide(t *testing.T) {
	all := samples(t)
	for name, c := range map[string]struct {
		of     func() any
		sample string
		decide []string
	}{
		"Account": {func() any { return new(sixdotfifty.Account) }, "pay_list_accounts.response", []string{"id"}},
		"Batch": {func() any { return new(sixdotfifty.Batch) }, "pay_get_batch.response",
			[]string{"id", "statusCode"}},
		"BatchSummary": {func() any { return new(sixdotfifty.BatchSummary) }, "pay_get_batch.response",
			[]string{"paymentsAmount", "paymentsCount"}},
		"Payment": {func() any { return new(sixdotfifty.Payment) }, "pay_get_payment.response",
			[]string{"amount", "id", "msisdn", "statusCode"}},
		"RedemptionsAccount": {func() any {
			return new(sixdotfifty.RedemptionsAccount)
		}, "redemptions_list_accounts.response",
			[]string{"availableBalance", "balance", "id"}},
		"RedemptionsTransaction": {func() any { return new(sixdotfifty.RedemptionsTransaction) },
			"redemptions_list_account_transactions.response",
			[]string{"amountCredit", "amountDebit", "id"}},
		"RedemptionsPayment": {func() any {
			return new(sixdotfifty.RedemptionsPayment)
		}, "redemptions_get_payment.response_failed",
			[]string{"amount", "id", "reference", "statusCode"}},
		"StatusCode": {func() any { return new(sixdotfifty.StatusCode) }, "pay_batch_status_codes.response", nil},
	} {
		t.Run(name, func(t *testing.T) {
			object := first(t, all[c.sample].Body)
			if name == "BatchSummary" {
				object = object["summary"].(map[string]any)
			}
			require.NoError(t, json.Unmarshal(encode(t, object), c.of()))
			matter := make(map[string]bool)
			for field := range object {
				for _, odd := range []any{nil, "odd", 12345.678, true, []any{1}, map[string]any{"a": 1}, dropped} {
					if json.Unmarshal(encode(t, with(object, field, odd)), c.of()) != nil {
						matter[field] = true
					}
				}
			}
			require.Equal(t, c.decide, slices.Sorted(maps.Keys(matter)))
		})
	}
}

// An ID of zeros is what a service sends that has none.
func TestAnIDOfZeros(t *testing.T) {
	var b sixdotfifty.Batch
	require.ErrorContains(t,
		json.Unmarshal([]byte(`{"id":"00000000-0000-0000-0000-000000000000","statusCode":"DRAFT"}`), &b),
		"id is missing")
	require.NoError(t, json.Unmarshal([]byte(`{"id":"00000000-0000-0000-0000-000000000001","statusCode":"DRAFT"}`), &b))
}

// dropped is a field that is not there.
var dropped = new(int)

// with returns a copy of an object in which a field has another value.
func with(object map[string]any, field string, value any) map[string]any {
	changed := maps.Clone(object)
	if changed[field] = value; value == any(dropped) {
		delete(changed, field)
	}
	return changed
}

// first is the object of a text, or the first one of its array.
func first(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var list []map[string]any
	if json.Unmarshal(text, &list) == nil {
		return list[0]
	}
	var object map[string]any
	require.NoError(t, json.Unmarshal(text, &object))
	return object
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}

func TestCentsAreStrings(t *testing.T) {
	var c sixdotfifty.Cents
	require.NoError(t, json.Unmarshal([]byte(`"10000"`), &c))
	require.Equal(t, sixdotfifty.Cents(10000), c)
	require.Equal(t, "100.00", c.String())
	for _, text := range []string{`10000`, `"100.00"`, `"1e4"`, `""`, `null`, `"+5"`, `"ten"`} {
		require.Error(t, json.Unmarshal([]byte(text), &c), text)
	}
	text, err := json.Marshal(sixdotfifty.Cents(10000))
	require.NoError(t, err)
	require.JSONEq(t, `"10000"`, string(text))
}

func TestWhatIsPending(t *testing.T) {
	var b sixdotfifty.Batch
	require.NoError(t, json.Unmarshal(samples(t)["pay_cancel_batch.response"].Body, &b))
	pending, err := b.Summary.PendingAmount()
	require.NoError(t, err)
	require.Zero(t, pending, "the documented sample of a cancelled batch has nothing pending")
	for _, s := range []sixdotfifty.BatchSummary{{SettledAmount: "ten", CancelledAmount: "0"}, {SettledAmount: "0"}} {
		_, err = s.PendingAmount()
		require.Error(t, err, "what is not said is not 0")
	}
}

// Only a documented status with the documented model is 6DOT50's refusal. The
// words of another 400 are shown, and decide nothing.
func TestErrorBodies(t *testing.T) {
	all := samples(t)
	general := all["redemptions_error_400_general.response"].Body
	const kind, plain = "application/json", "text/plain; charset=utf-8"
	words := func(text string) *batch.Error { return &batch.Error{Kind: batch.ErrAmbiguous, Message: text} }
	model := func(status int, code string) []byte {
		return fmt.Appendf(nil, `{"statusCode":%d,"errorCode":%s,"message":"no"}`, status, code)
	}
	for name, c := range map[string]struct {
		status int
		kind   string
		body   []byte
		want   *batch.Error
	}{
		"general": {400, kind, general, &batch.Error{Code: "0", Message: "A general error occurred"}},
		"with a character set": {400, "application/json; charset=utf-8", general,
			&batch.Error{Code: "0", Message: "A general error occurred"}},
		"validation": {400, kind, all["redemptions_error_400_validation.response"].Body,
			&batch.Error{Code: "1", Message: "Validation error",
				Fields: []batch.FieldError{{Item: -1, Field: "amount", Message: "Required parameter missing"}}}},
		"not parsed": {400, kind, all["redemptions_error_400_invalid_request.response"].Body,
			&batch.Error{Code: "2", Message: "Invalid request"}},
		"401":                 {401, kind, model(401, `"0"`), &batch.Error{Code: "0", Message: "no"}},
		"404":                 {404, kind, model(404, `"0"`), &batch.Error{Code: "0", Message: "no"}},
		"another status":      {400, kind, model(404, `"0"`), words(string(model(404, `"0"`)))},
		"another code":        {400, kind, model(400, `"3"`), words(string(model(400, `"3"`)))},
		"a code of a payment": {400, kind, model(400, `0`), words(string(model(400, `0`)))},
		"no message": {400, kind, []byte(`{"statusCode":400,"errorCode":"0"}`),
			words(`{"statusCode":400,"errorCode":"0"}`)},
		"the model as text": {400, plain, general, words(string(general))},
		"a JSON string": {400, kind, all["pay_error_400.response_json_string"].Body,
			words("externalId must be unique")},
		"plain text":        {400, plain, []byte("Insufficient funds"), words("Insufficient funds")},
		"empty":             {400, plain, nil, words("")},
		"empty, of no type": {400, "", nil, nil},
		"success:false":     {400, kind, []byte(`{"success":false}`), words(`{"success":false}`)},
		"a page":            {400, "text/html", []byte("<html>"), nil},
		"XML":               {400, "application/xml", []byte("x"), nil},
		"a plain 401":       {401, plain, []byte("Unauthorized"), nil},
		"an empty 404":      {404, "", nil, nil},
	} {
		if diff := cmp.Diff(c.want, sixdotfifty.Refusal(c.status, c.kind, c.body)); diff != "" {
			t.Errorf("%s is not read as wanted (-want +got):\n%s", name, diff)
		}
	}
	for status := 300; status < 600; status++ {
		if status == 400 || status == 401 || status == 404 {
			continue
		}
		for _, code := range []string{`"0"`, `"1"`, `"2"`} {
			require.Nil(t, sixdotfifty.Refusal(status, kind, model(status, code)), "%d is not documented", status)
		}
		require.Nil(t, sixdotfifty.Refusal(status, plain, []byte("NullReferenceException at Ada Lovelace")))
	}
	for _, status := range []int{400, 401, 500} {
		require.Equal(t, batch.ErrAuth, sixdotfifty.TokenRefusal(status, all["pay_get_token.response_failed"].Body).
			Kind)
	}
	require.Nil(t, sixdotfifty.TokenRefusal(401, []byte(`{"success":true}`)))
}

func FuzzAmount(f *testing.F) {
	for _, seed := range []string{"250", "100.75", "10.005", "1e2", "-0", "1e-2", "0.10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var a sixdotfifty.Amount
		if len(text) > 40 || a.UnmarshalJSON([]byte(text)) != nil {
			return
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok || want.Mul(want, big.NewRat(100, 1)).Cmp(big.NewRat(int64(a), 1)) != 0 {
			t.Fatalf("%q was read as %d hundredths", text, int64(a))
		}
		again, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		var b sixdotfifty.Amount
		if err := json.Unmarshal(again, &b); err != nil || a != b {
			t.Fatalf("%q became %s, and that %d: %v", text, again, b, err)
		}
	})
}

func FuzzPayments(f *testing.F) {
	for _, s := range samples(f) {
		f.Add([]byte(s.Body))
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		var payments []sixdotfifty.Payment
		var batches []sixdotfifty.Batch
		var redemptions []sixdotfifty.RedemptionsPayment
		_, _ = batchhttp.Parse(text, &batches), batchhttp.Parse(text, &redemptions)
		if batchhttp.Parse(text, &payments) != nil {
			return
		}
		for _, p := range payments {
			if p.ID == "" || p.StatusCode == "" || p.MSISDN == "" {
				panic("a payment without a field that decides")
			}
		}
	})
}
