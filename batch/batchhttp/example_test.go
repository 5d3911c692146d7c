package batchhttp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchhttp"
)

// A transfer moves money, so its operation is Once. Only the service's own words
// are a refusal: the page of a firewall with the same status is not.
func ExampleClient_Do() {
	answers := []http.HandlerFunc{
		func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"id":"T1","state":"done"}`) },
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"code":"ACCOUNT_CLOSED"}`)
		},
		func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<html>Blocked by the firewall</html>")
		},
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[0](w, r)
		answers = answers[1:]
	}))
	defer service.Close()

	key := batchhttp.NewSecret("the key")
	client, err := batchhttp.New(batchhttp.Config{
		Provider: "mybank", BaseURL: service.URL, Secrets: []batchhttp.Secret{key},
		Authorize: func(r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+key.Reveal())
			return nil
		},
		Refusal: func(_ int, header http.Header, body []byte) *batch.Error {
			var reply struct{ Code string }
			if !strings.HasPrefix(header.Get("Content-Type"), "application/json") ||
				batchhttp.JSON(&reply)(bytes.NewReader(body)) != nil || reply.Code == "" {
				return nil
			}
			return &batch.Error{Code: reply.Code} // Of the kind that belongs to the status.
		},
	})
	if err != nil {
		panic(err)
	}

	transfer := batchhttp.Op{Name: "Transfer", Method: http.MethodPost, Path: "/accounts/{account}/transfers",
		Safety: batchhttp.Once}
	for range 3 {
		var reply struct{ ID, State string }
		err := client.Do(context.Background(), batchhttp.Call{Op: transfer, Params: []string{"62000000"},
			ContentType: "application/json", Body: []byte(`{"cents":1250}`), Decode: batchhttp.JSON(&reply)})
		fmt.Printf("%q %q\n", reply.State, batch.KindOf(err))
	}
	fmt.Println(key)
	// Output:
	// "done" ""
	// "" "auth"
	// "" "ambiguous"
	// [redacted]
}
