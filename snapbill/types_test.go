package snapbill_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
	"github.com/batchway/batchway-go/snapbill"
)

func TestXIDs(t *testing.T) {
	for xid, want := range map[snapbill.XID][2]uint32{"Clw:Xc": {10608, 1500}, "Clw:Clw": {10608, 10608},
		"Clw:mz_":  {10608, 158975},
		"Clw:Djvy": {10608, 932850}, "Clw:EBqn": {10608, 1055399}, "Bad:B-": {5789, 126}, "Bad:D": {5789, 3},
		"CHu:_cq": {8686, 259882}, "B:BAAAA": {1, 16777216}} {
		account, object, err := xid.Decode()
		require.NoError(t, err)
		require.Equal(t, want, [2]uint32{account, object}, xid)
		require.Equal(t, xid, snapbill.NewXID(want[0], want[1]))
	}
	for _, xid := range []snapbill.XID{"", ":", "Clw", "Clw:", ":Xc", "Clw:X c", "Clw:X=", "Clw:________",
		"Clw:AAAAAAAAA", "Clw:Xc:D"} {
		_, _, err := xid.Decode()
		require.Error(t, err, xid)
	}
}

func TestXIDsGoThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		account, object := rapid.Uint32Min(1).Draw(t, "account"), rapid.Uint32Min(1).Draw(t, "object")
		xid := snapbill.NewXID(account, object)
		a, o, err := xid.Decode()
		if err != nil || a != account || o != object {
			t.Fatalf("%d and %d became %q, and that %d and %d: %v", account, object, xid, a, o, err)
		}
	})
}

// Every sample holds objects that decode, and encode to what they were.
func TestSamples(t *testing.T) {
	types := map[string]func() any{
		"batch": func() any { return new(snapbill.Batch) }, "payment": func() any { return new(snapbill.Payment) },
		"client": func() any { return new(snapbill.Customer) }, "invoice": func() any { return new(snapbill.Invoice) },
		"payment_method": func() any {
			return new(snapbill.PaymentMethod)
		}, "payment_details": func() any { return new(snapbill.PaymentDetails) },
		"currency": func() any {
			return new(snapbill.Currency)
		}, "account": func() any { return new(snapbill.Account) },
		"action": func() any { return new(snapbill.Action) },
		"recurring_invoice": func() any {
			return new(snapbill.RecurringInvoice)
		}, "service": func() any { return new(snapbill.Service) },
		"service_type": func() any {
			return new(snapbill.ServiceType)
		}, "package": func() any { return new(snapbill.Package) },
		"user": func() any { return new(snapbill.User) }, "session": func() any { return new(snapbill.Session) },
		"email": func() any { return new(snapbill.Email) }, "country": func() any { return new(snapbill.Country) },
	}
	read := 0
	for name, s := range samples(t) {
		if s.Body == nil || strings.HasPrefix(name, "error_") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			class, texts := objects(t, s)
			for _, text := range texts {
				read++
				v := types[class]()
				require.NoError(t, batchhttp.Parse(text, v))
				require.NoError(t, snapbill.Check(v), "it passes its own check")
				again, err := json.Marshal(v)
				require.NoError(t, err)
				if diff := cmp.Diff(meaning(t, text, class), meaning(t, again, class)); diff != "" {
					t.Errorf("the sample lost something on its way through (-want +got):\n%s", diff)
				}
			}
		})
	}
	require.Greater(t, read, 40)
}

// meaning is JSON in which numbers are texts, and what says nothing is gone.
func meaning(t *testing.T, text []byte, class string) any {
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
				if v[key] = strip(inner); v[key] == nil {
					delete(v, key)
				}
			}
			if len(v) == 0 {
				return nil
			}
			return v
		case []any:
			for n := range v {
				v[n] = strip(v[n])
			}
			if len(v) == 0 {
				return nil
			}
			return v
		case json.Number:
			if v == "0" {
				return nil
			}
			return v.String()
		case string:
			if v == "" || v == "0" || v == "false" {
				return nil
			}
			return v
		case bool:
			if !v {
				return nil
			}
			return "true"
		}
		return nil
	}
	stripped := strip(v)
	all, ok := stripped.([]any)
	if !ok {
		all = []any{stripped}
	}
	for _, one := range all {
		if object, ok := one.(map[string]any); ok && class == "user" {
			delete(object, "password") // It is a secret: TestAddUser reads it.
		}
		if object, ok := one.(map[string]any); ok && class == "action" {
			for _, key := range []string{"service", "batch", "payment"} {
				delete(object, key) // It is in Action.Item.
			}
		}
	}
	return stripped
}

// Row 65: counts come as numbers and as texts, and as nothing else.
func TestRow65LooseIntegers(t *testing.T) {
	for text, want := range map[string]snapbill.Int{`10`: 10, `"10"`: 10, `"-3"`: -3, `0`: 0, `"0"`: 0,
		`999999999999999999`: 1e18 - 1, `"999999999999999999"`: 1e18 - 1} {
		var n snapbill.Int
		require.NoError(t, json.Unmarshal([]byte(text), &n))
		require.Equal(t, want, n, text)
	}
	for _, text := range []string{`""`, `"ten"`, `1.0`, `1e3`, `"1e3"`, `true`, `[]`, `99999999999999999999`,
		`1000000000000000000`, `"1000000000000000000"`, `" 1"`, `"+1"`} {
		var n snapbill.Int
		require.Error(t, json.Unmarshal([]byte(text), &n), text)
	}
}

func TestEmptyMaps(t *testing.T) {
	for text, want := range map[string]snapbill.Map[snapbill.Text]{`[]`: nil, `null`: nil, `{}`: {},
		`{"a":"b","c":null,"d":false,"e":5,"f":{"x":[1]}}`: {"a": "b", "c": "", "d": "false", "e": "5",
			"f": `{"x":[1]}`}} {
		var m snapbill.Map[snapbill.Text]
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		require.Equal(t, want, m, text)
	}
	for _, text := range []string{`["a"]`, `"a"`, `1`, `true`} {
		m := snapbill.Map[snapbill.Text]{"stale": "x"}
		require.NoError(t, json.Unmarshal([]byte(text), &m), text)
		require.Empty(t, m, "what is not an object is an empty one: %s", text)
	}
}

// A date is kept as it came: it is compared, and never converted.
func TestCivilDates(t *testing.T) {
	for text, want := range map[string]snapbill.Date{`"2014-08-21"`: "2014-08-21", `null`: "",
		`"21/08/2014"`: "21/08/2014", `"2014-08-21T00:00:00Z"`: "2014-08-21T00:00:00Z", `5`: "5", `{}`: "{}"} {
		d := snapbill.Date("stale")
		require.NoError(t, json.Unmarshal([]byte(text), &d), text)
		require.Equal(t, want, d, text)
	}
	for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -11*3600), time.FixedZone("", 14*3600)} {
		day := time.Date(2014, 8, 21, 23, 59, 0, 0, zone)
		require.Equal(t, snapbill.Date("2014-08-21"), snapbill.DateOf(day), "the day that the caller's calendar shows")
		stored, err := json.Marshal(day)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(stored, &day))
		require.Equal(t, snapbill.Date("2014-08-21"), snapbill.DateOf(day), "also after it was stored")
	}
}

// Totals hold the buckets that are whole numbers: a bucket that is missing is
// not zero.
func TestTotals(t *testing.T) {
	for text, want := range map[string]snapbill.Totals{
		`{"total":3,"pending":"1","paid":0}`:                              {"total": 3, "pending": 1, "paid": 0},
		`{"total":3,"pending":null,"paid":"x","bounce":-1,"refuted":1.5}`: {"total": 3},
		`{"pending":{}}`: nil, `{}`: nil, `[]`: nil, `null`: nil, `"3"`: nil,
	} {
		totals := snapbill.Totals{"stale": 1}
		require.NoError(t, json.Unmarshal([]byte(text), &totals), text)
		require.Equal(t, want, totals, text)
	}
}

func TestWebhooks(t *testing.T) {
	all := samples(t)
	w, err := snapbill.ParseWebhook([]byte(all["webhook_payment_update_state"].Form))
	require.NoError(t, err)
	require.Equal(t, "6f1d2c1e-0000-4000-8000-000000000001", w.UUID)
	require.Equal(t, snapbill.Change{From: "pending", To: "paid"}, w.Action.Details)
	payment, err := w.Action.Payment()
	require.NoError(t, err)
	require.Equal(t, snapbill.PaymentPaid, payment.State)
	require.Equal(t, snapbill.Int(5000), payment.AmountCents.Value)
	_, err = w.Action.Batch()
	require.ErrorIs(t, err, batch.ErrInvalid, "it is about no batch")

	w, err = snapbill.ParseWebhook([]byte(all["webhook_invoice_update_state_string_details"].Form))
	require.NoError(t, err)
	require.Equal(t, snapbill.Change{To: "paid"}, w.Action.Details)
	invoice, err := w.Action.Invoice()
	require.NoError(t, err)
	require.Equal(t, snapbill.Text("cancelled"), invoice.State,
		"the object is as it was at the delivery, and not what the event says")
	_, err = w.Action.Batch()
	require.ErrorIs(t, err, batch.ErrInvalid, "an invoice is no batch, whatever its fields")

	for class, text := range map[string]string{"client": `{"id":158975,"number":"018","state":"dead"}`,
		"service": `{"id":155685,"state":"active"}`} {
		w, err = snapbill.ParseWebhook([]byte(`{"uuid":"x","body":{"id":1,"path":"/` + class + `/update/state","` +
			class + `":` + text + `}}`))
		require.NoError(t, err)
		customer, noCustomer := w.Action.Customer()
		service, noService := w.Action.Service()
		require.Equal(t, class == "client", noCustomer == nil)
		require.Equal(t, class == "service", noService == nil)
		if class == "client" {
			require.Equal(t, snapbill.ID(158975), customer.ID)
		} else {
			require.Equal(t, snapbill.ID(155685), service.ID)
		}
	}

	const delivery = `{"uuid":"x","body":{"id":1}}`
	_, err = snapbill.ParseWebhook([]byte(delivery + strings.Repeat(" ", 1<<20-len(delivery))))
	require.NoError(t, err, "as large as may be")
	for _, body := range []string{``, `{}`, `[]`, `null`, `{"uuid":"x"}`, `{"body":{"id":1}}`, `{"uuid":"x","body":{}}`,
		`{"uuid":"x","body":{"id":0}}`,
		`{"uuid":"x","uuid":"y","body":{"id":1}}`, `{"uuid":"x","body":{"id":1}} trailing`, strings.Repeat("[", 1000),
		delivery + strings.Repeat(" ", 1<<20-len(delivery)+1)} {
		_, err := snapbill.ParseWebhook([]byte(body))
		require.ErrorIs(t, err, batch.ErrInvalid, "%.60s", body)
	}
}

// Anyone can send a webhook: its words reach an error short, on one line and
// without control characters.
func TestAnErrorOfAWebhookIsShort(t *testing.T) {
	long := strings.Repeat(`\u001b[2J`, 50_000)
	for name, body := range map[string]string{
		"a key twice":       `{"` + long + `":1,"` + long + `":2}`,
		"a key, then chaos": `{"uuid":"x","body":{"` + long + `":[}`,
		"a long uuid":       `{"uuid":["` + long + `"]}`,
		"a path":            `{"uuid":"x","body":{"id":1,"item_type":"invoice","path":"` + long + `","item":{}}}`,
		"the object's key": `{"uuid":"x","body":{"id":1,"item_type":"payment","item":{"` + long + `":1,"` +
			long + `":2}}}`,
		"the object": `{"uuid":"x","body":{"id":1,"item_type":"payment","item":{"id":"` + long + `"}}}`,
	} {
		w, err := snapbill.ParseWebhook([]byte(body))
		if err == nil {
			_, err = w.Action.Payment()
		}
		require.ErrorIs(t, err, batch.ErrInvalid, name)
		for ; err != nil; err = errors.Unwrap(err) {
			for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err)} {
				require.LessOrEqual(t, len(text), 1500, name)
				require.NotContains(t, text, "\x1b", name)
			}
		}
	}
}

func FuzzWebhook(f *testing.F) {
	for name, s := range samples(f) {
		if strings.HasPrefix(name, "webhook") {
			f.Add([]byte(s.Form))
		}
		f.Add([]byte(`{"uuid":"x","body":` + string(s.Body) + `}`))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w, err := snapbill.ParseWebhook(body)
		if err != nil {
			return
		}
		if w.UUID == "" || w.Action.ID <= 0 {
			t.Fatal("a delivery without a name")
		}
		if p, err := w.Action.Payment(); err == nil && (p.State == "" || !p.AmountCents.OK) {
			t.Fatal("a payment without a state or an amount")
		}
		for _, read := range []func() (any, error){
			func() (any, error) { return w.Action.Batch() },
			func() (any, error) { return w.Action.Invoice() },
			func() (any, error) { return w.Action.Customer() },
			func() (any, error) { return w.Action.Service() },
		} {
			if _, err := read(); err != nil && batch.KindOf(err) != batch.ErrInvalid {
				t.Fatalf("%v is not about what was sent", err)
			}
		}
	})
}

// objects are those that the samples hold, as they came.
func objects(t testing.TB, s sample) (class string, texts []json.RawMessage) {
	t.Helper()
	var reply map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(s.Body, &reply))
	_ = json.Unmarshal(reply["class"], &class)
	if class == "" {
		class, _, _ = strings.Cut(s.Operation, ".")
	}
	_ = json.Unmarshal(reply["list"], &texts)
	if reply[class] != nil {
		texts = append(texts, reply[class])
	}
	return class, texts
}

// Whatever an object holds: what passes its own check has a name and says what
// money needs, and no word but three is the end of a batch.
func FuzzObjects(f *testing.F) {
	for _, s := range samples(f) {
		if s.Body == nil {
			continue
		}
		_, texts := objects(f, s)
		for _, text := range texts {
			for _, word := range []string{"", "ok", "OK", "dead ", "error"} {
				f.Add([]byte(text), word)
			}
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, word string) {
		for _, v := range []any{new(snapbill.Batch), new(snapbill.Payment), new(snapbill.Customer),
			new(snapbill.Invoice), new(snapbill.Action)} {
			if batchhttp.Parse(body, v) != nil || snapbill.Check(v) != nil {
				continue
			}
			id := snapbill.ID(0)
			switch v := v.(type) {
			case *snapbill.Batch:
				id = v.ID
				if v.State == "" {
					t.Fatal("a batch without a state")
				}
				for _, state := range []snapbill.BatchState{v.State, snapbill.BatchState(word), v.State +
					snapbill.BatchState(word)} {
					v.State = state
					means := snapbill.StateOf(v)
					if means.Final() && state != "ok" && state != "error" && state != "dead" {
						t.Fatalf("%q was taken for %q", state, means)
					}
					if pending, counted := v.Totals["pending"]; means == batch.StateDone &&
						(!counted || pending != 0 || v.Totals["total"] <= 0) {
						t.Fatalf("%+v is the end", v.Totals)
					}
				}
			case *snapbill.Payment:
				id = v.ID
				if v.State == "" || !v.AmountCents.OK {
					t.Fatal("a payment without a state or an amount")
				}
			case *snapbill.Customer:
				id = v.ID
			case *snapbill.Invoice:
				id = v.ID
			case *snapbill.Action:
				id = v.ID
			}
			if id <= 0 {
				t.Fatalf("a %T without an id", v)
			}
		}
	})
}
