package citypay_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
)

// FuzzRefusal: only a 422 in JSON is CityPay's own refusal, and it has a kind and
// a code.
func FuzzRefusal(f *testing.F) {
	const kind = "application/json"
	for _, body := range []string{`{"code":"P045","message":"x","context":"y"}`, `{"code":"000"}`, `{"code":null}`,
		`{"code":"P045","code":"000"}`,
		`{"code":1,"Code":"P045"}`, `{"code":"P045","message":{"a":[1]}}`, "{\"code\":\"P045\",\"message\":\"\xff\"}",
		`{"code":"P045"} x`, ``} {
		f.Add(422, kind, []byte(body))
		f.Add(400, kind, []byte(body))
		f.Add(422, "text/html", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		e := citypay.Refusal(status, http.Header{"Content-Type": {kind}}, body)
		if e == nil {
			return
		}
		if status != http.StatusUnprocessableEntity || e.Code == "" || e.Kind == "" || e.Kind == batch.ErrUnavailable {
			t.Fatalf("HTTP %d is %+v", status, e)
		}
	})
}

type answering func(*http.Request) (*http.Response, error)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// FuzzAccess: no reply about a key, an address or a hook panics. Only a 2xx is a
// success, only CityPay's own 422 refuses a Once call, and an error repeats
// neither the licence key nor a control character.
func FuzzAccess(f *testing.F) {
	all := samples(f)
	ops := slices.Sorted(maps.Keys(access))
	for n, op := range ops {
		for _, body := range []string{string(all[access[op].sample+".response"].Body),
			`{"code":"000","message":"\u001b[2Jlicence-\u006bey-1234"}`,
			`{"web_channel_id":"","web_hook_id":""}`, `{"code":{},"web_channel_id":[]}`,
			`{"code":"P045","context":"a","code":"000"}`, `null`, "\xff"} {
			for _, status := range []int{200, 204, 301, 422} {
				f.Add(n, status, []byte(body))
			}
		}
	}
	f.Fuzz(func(t *testing.T, n, status int, body []byte) {
		if n < 0 || status < 200 || status > 599 || status == 429 || status >= 500 {
			return // Statuses on which a read waits and is repeated.
		}
		client, err := citypay.New(citypay.Config{ClientID: "PC12345", LicenceKey: "licence-key-1234",
			BaseURL: "https://service.test",
			Middleware: func(http.RoundTripper) http.RoundTripper {
				return answering(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}},
						Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
				})
			}})
		if err != nil {
			t.Fatal(err)
		}
		// No time for the wait before a second attempt, so no attempt is waited for.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		op := ops[n%len(ops)]
		if op == "RegisterTempIP" { // The time of the sample is over.
			_, err = client.RegisterTempIP(ctx, "8.8.8.8", time.Now().Add(time.Hour))
		} else {
			_, err = access[op].call(ctx, client)
		}
		var known *batch.Error
		switch {
		case err == nil && status > 299:
			t.Fatalf("%s: HTTP %d is a success", op, status)
		case err == nil:
		case !errors.As(err, &known) || known.Kind == "":
			t.Fatalf("%s: %v has no kind", op, err)
		case op != "CheckDomainKey" && known.Kind != batch.ErrAmbiguous && status != http.StatusUnprocessableEntity:
			t.Fatalf("%s: HTTP %d is a refusal: %v", op, status, err)
		case strings.Contains(err.Error(), "licence-key-1234") || strings.ContainsFunc(err.Error(), unicode.IsControl):
			t.Fatalf("%s: %q", op, err)
		}
	})
}
