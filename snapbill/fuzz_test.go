package snapbill_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/snapbill"
)

// FuzzRefusal: a refusal has SnapBill's words, and says that nothing was done only
// if its body and HTTP agree on a status that means so.
func FuzzRefusal(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(400, "application/json", []byte(s.Body))
	}
	for _, body := range []string{`{"code":400,"type":"error","status":"error","message":"x","errors":{"a":["b",1],"c":"d"}}`,
		`{"code":"404","type":"error","message":"x","errors":["a"]}`, `{"code":409,"type":"error","message":"x"}`,
		`{"code":200,"type":"result","status":"error","message":"x"}`,
		`{"type":"error","status":"error","message":"x","errors":{"":[[]]}}`,
		`{"code":400,"code":401,"type":"error","message":"x"}`, `null`, `[]`} {
		for _, status := range []int{400, 401, 404, 409, 500} {
			f.Add(status, "application/json", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		e := snapbill.Refusal(status, http.Header{"Content-Type": {kind}}, body)
		switch {
		case e == nil:
		case e.Message == "":
			t.Fatalf("HTTP %d is a refusal without a word", status)
		case (status < 400 || status > 499 || status == 409 || status == 429) && e.Kind != batch.ErrAmbiguous:
			t.Fatalf("HTTP %d is %s", status, e.Kind)
		}
	})
}

// FuzzXID: an xid that can be read is written as it was, but for zeros in front.
func FuzzXID(f *testing.F) {
	for _, s := range []string{"Clw:Xc", "A:A", "BAAAAA:_____w", "D_____:D_____", "AAAAAAAA:AAAAAAAB", ":", "Clw",
		"Clw:Xc:", "=:=", "Cl w:Xc", "\xff:A", "\n:Xc", "Clw:\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		account, object, err := snapbill.XID(s).Decode()
		if err != nil {
			return
		}
		again := snapbill.NewXID(account, object)
		left, right, _ := strings.Cut(s, ":")
		if string(again) != strings.TrimLeft(left, "A")+":"+strings.TrimLeft(right, "A") {
			t.Fatalf("%q is %d:%d, and that is %q", s, account, object, again)
		}
	})
}
