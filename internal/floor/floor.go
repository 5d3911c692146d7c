// Package floor is what stands beside a benchmark of a client: the same
// payload from the same loopback server, by net/http and encoding/json alone,
// as anybody would write it.
package floor

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Serve starts a server that reads what it gets and answers with what reply
// makes of it, and returns its URL.
func Serve(b *testing.B, reply func(r *http.Request, body []byte) []byte) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(reply(r, body))
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// Call makes one call and decodes the reply into out.
func Call(b *testing.B, client *http.Client, method, url, contentType string, body []byte, out any) {
	req, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	reply, err := client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	if err := json.NewDecoder(reply.Body).Decode(out); err != nil {
		b.Fatal(err)
	}
}

// Loop measures f, which must not fail.
func Loop(b *testing.B, f func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}

// JSON is v as anybody would write it.
func JSON(b *testing.B, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return text
}
