package citypay_test

import (
	"net/http"
	"testing"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/citypay"
)

// FuzzRefusal: only a 422 in JSON is CityPay's own refusal, and it has a kind and
// a code.
func FuzzRefusal(f *testing.F) {
	const kind = "application/json"
	for _, body := range []string{`{"code":"P045","message":"x","context":"y"}`, `{"code":"000"}`, `{"code":null}`, `{"code":"P045","code":"000"}`,
		`{"code":1,"Code":"P045"}`, `{"code":"P045","message":{"a":[1]}}`, "{\"code\":\"P045\",\"message\":\"\xff\"}", `{"code":"P045"} x`, ``} {
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
