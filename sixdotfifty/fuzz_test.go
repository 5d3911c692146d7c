package sixdotfifty_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/sixdotfifty"
)

type fixed func(*http.Request) (*http.Response, error)

func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzToken: a token that the client takes can be sent in a header, and has not
// expired by the service's own clock.
func FuzzToken(f *testing.F) {
	const date = "Tue, 13 Dec 2022 12:00:00 GMT"
	for _, body := range []string{`{"success":true,"token":"abcd"}`,
		`{"success":true,"token":"abcd","expiresAt":"2022-12-13T12:29:39"}`,
		`{"success":true,"token":"abcd","expiresAt":"2022-12-13T11:29:39.1234567Z"}`,
		`{"success":false,"token":"abcd"}`, `{"success":true,"token":""}`,
		`{"success":true,"success":false,"token":"abcd"}`, `{"success":true,"token":"a\r\nb"}`,
		`{"success":"true","token":"abcd"}`, `{"success":true,"token":1}`,
		`{"success":true,"token":"abcd","expiresAt":"9999-99-99"}`, `{"success":true,"token":"abcd","expiresAt":{}}`,
		"{\"success\":true,\"token\":\"\xff\"}", `null`} {
		f.Add(200, date, []byte(body))
		f.Add(400, "", []byte(body))
	}
	f.Fuzz(func(t *testing.T, status int, date string, body []byte) {
		client, err := sixdotfifty.New(sixdotfifty.Config{Key: "key-1234", Secret: "secret-1234",
			BaseURL: "https://service.test",
			Middleware: func(http.RoundTripper) http.RoundTripper {
				return fixed(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"},
						"Date": {date}},
						Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
				})
			}})
		if err != nil {
			t.Fatal(err)
		}
		// No time for the wait before a second attempt, so no attempt is waited for.
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		token, err := client.GetToken(ctx)
		if err != nil {
			if batch.KindOf(err) == "" || strings.Contains(err.Error(), "secret-1234") {
				t.Fatal(err)
			}
			return
		}
		if status < 200 || status > 299 || token.Token == "" ||
			strings.ContainsFunc(token.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("HTTP %d gave the token %q", status, token.Token)
		}
		if now, err := http.ParseTime(date); err == nil && !token.ExpiresAt.IsZero() && !token.ExpiresAt.After(now) {
			t.Fatalf("%s is not after %s", token.ExpiresAt, now)
		}
	})
}

// FuzzRefusal: a refusal is of a documented status, and says that nothing was done
// only in the documented error model.
func FuzzRefusal(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(400, "application/json", []byte(s.Body))
	}
	for _, body := range []string{`{"errorCode":"1","message":"x","validationErrors":[{"fieldName":"a","errorMessage":"b"}]}`, `{"statusCode":404,"errorCode":"0","message":"x"}`,
		`"words"`, `words`, `null`, `{}`, `{"success":false}`, `{"success":true}`, "\xff"} {
		for _, status := range []int{400, 401, 404, 409, 500} {
			f.Add(status, "application/json", []byte(body))
			f.Add(status, "text/plain", []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		e := sixdotfifty.Refusal(status, kind, body)
		if e != nil && status != 400 && status != 401 && status != 404 {
			t.Fatalf("HTTP %d is %+v", status, e)
		}
		if e != nil && kind != "application/json" && e.Kind != batch.ErrAmbiguous {
			t.Fatalf("%q is %+v", kind, e)
		}
		_ = sixdotfifty.TokenRefusal(status, body)
	})
}

// FuzzTime: a time that can be read is UTC, and is read again as the same.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2022-12-13T12:29:39", "2022-12-13T12:29:39Z", "2022-12-13T12:29:39.1234567",
		"2022-12-13T12:29:39+02:00", "2022-12-13", "",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2022-02-30T00:00:00Z", "2022-12-13T24:00:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := sixdotfifty.ParseTime(sixdotfifty.Text(s))
		if err != nil {
			return
		}
		text := at.UTC().Format(time.RFC3339Nano)
		again, err := sixdotfifty.ParseTime(sixdotfifty.Text(text))
		if year := at.UTC().Year(); year > 0 && year < 10_000 && (err != nil || !again.Equal(at)) {
			t.Fatalf("%q is %s, and that is %s (%v)", s, text, again, err)
		}
	})
}
