package sixdotfifty_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/sixdotfifty"
)

// meaning is JSON without what says nothing, and with times in one form.
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
				if v[key] = strip(inner); inner == "" || inner == false || inner == json.Number("0") {
					delete(v, key)
				}
				if n, ok := inner.(json.Number); ok && strings.HasSuffix(strings.ToLower(key), "balance") {
					v[key] = n.String() // Documented as a string, and shown as a number.
				}
			}
		case []any:
			for n := range v {
				v[n] = strip(v[n])
			}
		case string:
			var at sixdotfifty.Time
			if json.Unmarshal([]byte(`"`+v+`"`), &at) == nil {
				return at.Format(time.RFC3339Nano)
			}
		}
		return v
	}
	return strip(v)
}

// Every sample decodes, and encodes to what it was.
func TestSamples(t *testing.T) {
	all := samples(t)
	types := map[string]func() any{
		"pay_add_batch_payments.request":                 func() any { return new(sixdotfifty.AddPaymentsRequest) },
		"pay_batch_status_codes.response":                func() any { return new([]sixdotfifty.StatusCode) },
		"pay_payment_status_codes.response":              func() any { return new([]sixdotfifty.StatusCode) },
		"pay_create_batch.request":                       func() any { return new(sixdotfifty.BatchRequest) },
		"pay_update_batch.request":                       func() any { return new(sixdotfifty.BatchRequest) },
		"pay_create_batch.response":                      func() any { return new(sixdotfifty.Batch) },
		"pay_update_batch.response":                      func() any { return new(sixdotfifty.Batch) },
		"pay_get_batch.response":                         func() any { return new(sixdotfifty.Batch) },
		"pay_cancel_batch.response":                      func() any { return new(sixdotfifty.Batch) },
		"pay_submit_batch.response":                      func() any { return new(sixdotfifty.Batch) },
		"pay_submit_batch.response_closed":               func() any { return new(sixdotfifty.Batch) },
		"pay_list_batches.response":                      func() any { return new([]sixdotfifty.Batch) },
		"pay_list_batches.response_empty":                func() any { return new([]sixdotfifty.Batch) },
		"pay_list_batch_payments.response":               func() any { return new([]sixdotfifty.Payment) },
		"pay_get_payment.response":                       func() any { return new(sixdotfifty.Payment) },
		"pay_delete_payment.response":                    func() any { return new(sixdotfifty.Payment) },
		"pay_list_accounts.response":                     func() any { return new([]sixdotfifty.Account) },
		"pay_list_accounts.response_string_balances":     func() any { return new([]sixdotfifty.Account) },
		"pay_error_400.response_redemptions_model":       func() any { return new(sixdotfifty.RedemptionsError) },
		"redemptions_list_accounts.response":             func() any { return new([]sixdotfifty.RedemptionsAccount) },
		"redemptions_initiate_payment.request":           func() any { return new(sixdotfifty.InitiatePaymentRequest) },
		"redemptions_list_payments.response":             func() any { return new([]sixdotfifty.RedemptionsPayment) },
		"redemptions_list_account_transactions.response": func() any { return new([]sixdotfifty.RedemptionsTransaction) },
	}
	bodies := 0
	for name, s := range all {
		switch {
		case s.Body == nil, strings.Contains(name, "get_token"), strings.HasSuffix(name, "json_string"):
			continue // Nothing to decode, or decoded by the client itself (TestGetToken).
		case strings.HasPrefix(name, "redemptions_error_"):
			types[name] = func() any { return new(sixdotfifty.RedemptionsError) }
		case strings.HasPrefix(name, "redemptions_get_payment.response"), name == "redemptions_initiate_payment.response":
			types[name] = func() any { return new(sixdotfifty.RedemptionsPayment) }
		}
		bodies++
		t.Run(name, func(t *testing.T) {
			require.Contains(t, types, name, "a sample that nobody decodes")
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
		"2022-12-13T12:29:39.6332995Z": "2022-12-13T12:29:39.6332995Z", "2022-09-24T13:31:00.557Z": "2022-09-24T13:31:00.557Z",
		"2022-06-14T06:26:43.473": "2022-06-14T06:26:43.473Z", "2022-09-26T11:40:47.33": "2022-09-26T11:40:47.33Z",
		"2022-09-26T11:40:47": "2022-09-26T11:40:47Z", "2022-09-26T11:40:47.123456789": "2022-09-26T11:40:47.123456789Z",
		"2022-09-26T13:40:47+02:00": "2022-09-26T11:40:47Z",
	} {
		var at sixdotfifty.Time
		require.NoError(t, json.Unmarshal([]byte(`"`+text+`"`), &at), text)
		require.Equal(t, want, at.Format(time.RFC3339Nano), text)
	}
	for _, text := range []string{`""`, `"2022-09-26"`, `"26/09/2022"`, `1664192447`, `"0"`, `{}`} {
		var at sixdotfifty.Time
		require.Error(t, json.Unmarshal([]byte(text), &at), text)
	}
}

// Rows 62 and 63: amounts are exact, and never rounded.
func TestAmounts(t *testing.T) {
	for text, want := range map[string]int64{"250": 25000, "100.75": 10075, "10.1": 1010, "10.10": 1010, "10.100": 1010, "0.01": 1, "0": 0,
		"1e2": 10000, "90071992547409.93": 9007199254740993} {
		var a sixdotfifty.Amount
		require.NoError(t, json.Unmarshal([]byte(text), &a), text)
		require.Equal(t, sixdotfifty.Amount(want), a, text)
	}
	for _, text := range []string{"10.005", `"250"`, "1e999999999", "99999999999999999999", "NaN", "null", "true", "", "0x10", "1_000"} {
		var a sixdotfifty.Amount
		require.Error(t, a.UnmarshalJSON([]byte(text)), "row 62: %s", text)
	}
	for amount, want := range map[sixdotfifty.Amount]string{25000: "250", 550: "5.5", 10075: "100.75", 1: "0.01", 0: "0", 100000: "1000"} {
		text, err := json.Marshal(amount)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}

// What is not said is not zero, not free of errors, and not in progress.
func TestWhatIsNotSaid(t *testing.T) {
	for name, c := range map[string]struct {
		of   any
		text string
		good bool
	}{
		"a payment":                        {new(sixdotfifty.Payment), `{"id":"1","statusCode":"SETTLED","amount":1,"referralAmount":null,"firstname":null,"settledAt":null}`, true},
		"a payment without an amount":      {new(sixdotfifty.Payment), `{"id":"1","statusCode":"SETTLED"}`, false},
		"a payment of null":                {new(sixdotfifty.Payment), `{"id":"1","statusCode":"SETTLED","amount":null}`, false},
		"a payment without a status":       {new(sixdotfifty.Payment), `{"id":"1","amount":1}`, false},
		"an account":                       {new(sixdotfifty.Account), `{"id":"1","balance":0,"availableBalance":"0"}`, true},
		"an account without a balance":     {new(sixdotfifty.Account), `{"id":"1","availableBalance":"0"}`, false},
		"a merchant's account":             {new(sixdotfifty.RedemptionsAccount), `{"id":"1","balance":"0","availableBalance":"0"}`, true},
		"a merchant's account of null":     {new(sixdotfifty.RedemptionsAccount), `{"id":"1","balance":null,"availableBalance":"0"}`, false},
		"a transaction":                    {new(sixdotfifty.RedemptionsTransaction), `{"id":1,"amountDebit":"0","amountCredit":"5"}`, true},
		"a transaction without an id":      {new(sixdotfifty.RedemptionsTransaction), `{"amountDebit":"0","amountCredit":"5"}`, false},
		"a transaction without an amount":  {new(sixdotfifty.RedemptionsTransaction), `{"id":1,"amountDebit":"0"}`, false},
		"a redemption":                     {new(sixdotfifty.RedemptionsPayment), `{"id":"1","reference":"r","amount":"1","statusCode":1,"errorCode":0}`, true},
		"a redemption without a status":    {new(sixdotfifty.RedemptionsPayment), `{"id":"1","reference":"r","amount":"1","errorCode":0}`, false},
		"a redemption without an error":    {new(sixdotfifty.RedemptionsPayment), `{"id":"1","reference":"r","amount":"1","statusCode":10}`, false},
		"a redemption without a reference": {new(sixdotfifty.RedemptionsPayment), `{"id":"1","reference":"","amount":"1","statusCode":1,"errorCode":0}`, false},
	} {
		if err := json.Unmarshal([]byte(c.text), c.of); c.good != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
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

func TestBalances(t *testing.T) {
	for text, want := range map[string]string{"155794": "155794", `"155794"`: "155794", `"1557.94"`: "1557.94", `"-3"`: "-3", "9007199254740993": "9007199254740993"} {
		var b sixdotfifty.Balance
		require.NoError(t, json.Unmarshal([]byte(text), &b), text)
		require.Equal(t, sixdotfifty.Balance(want), b)
	}
	for _, text := range []string{`"ten"`, `""`, `{}`, `true`} {
		var b sixdotfifty.Balance
		require.Error(t, json.Unmarshal([]byte(text), &b), text)
	}
}

func TestWhatIsPending(t *testing.T) {
	s := sixdotfifty.BatchSummary{PaymentsAmount: 1850000, CancelledAmount: 1850000}
	require.Zero(t, s.PendingAmount(), "the documented sample of a cancelled batch has nothing pending")
}

func TestErrorBodies(t *testing.T) {
	all := samples(t)
	model := func(name string) []byte { return all[name].Body }
	for name, c := range map[string]struct {
		kind string
		body []byte
		want *batch.Error
	}{
		"plain text":    {"text/plain", []byte("externalId must be unique\n"), &batch.Error{Message: "externalId must be unique"}},
		"a JSON string": {"application/json", model("pay_error_400.response_json_string"), &batch.Error{Message: "externalId must be unique"}},
		"the model of Redemptions": {"application/json", model("redemptions_error_400_validation.response"), &batch.Error{Code: "1", Message: "Validation error",
			Fields: []batch.FieldError{{Item: -1, Field: "amount", Message: "Required parameter missing"}}}},
		"nothing":          {"", nil, &batch.Error{}},
		"success:false":    {"application/json", []byte(`{"success":false}`), &batch.Error{Message: `{"success":false}`}}, // Of another call.
		"a proxy's page":   {"text/html", []byte("<html>"), nil},
		"a page in hiding": {"application/json", []byte("<!DOCTYPE html>"), nil},
		"XML":              {"application/xml", []byte("x"), nil},
	} {
		if diff := cmp.Diff(c.want, sixdotfifty.Refusal(400, c.kind, c.body)); diff != "" {
			t.Errorf("%s is not read as wanted (-want +got):\n%s", name, diff)
		}
	}
	for _, status := range []int{400, 401, 500} {
		require.Equal(t, batch.ErrAuth, sixdotfifty.TokenRefusal(status, model("pay_get_token.response_failed")).Kind)
	}
	require.Equal(t, batch.Kind(""), sixdotfifty.TokenRefusal(400, model("pay_error_400.response_json_string")).Kind)
	require.Empty(t, sixdotfifty.Refusal(500, "text/plain", []byte("NullReferenceException at Ada Lovelace")).Message, "the text of an exception is not repeated")
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
		_, _ = json.Unmarshal(text, &batches), json.Unmarshal(text, &redemptions)
		if json.Unmarshal(text, &payments) != nil {
			return
		}
		for _, p := range payments {
			if p.ID == "" || p.StatusCode == "" {
				panic("a payment without an id or a status")
			}
		}
	})
}
