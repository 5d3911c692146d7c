package snapbill

import (
	"net/http"

	"github.com/batchway/batchway-go/batch/batchhttp"
)

// basic sends the login with every request, without being asked for it.
func basic(username string, password batchhttp.Secret) func(*http.Request) error {
	return func(r *http.Request) error {
		r.SetBasicAuth(username, password.Reveal())
		return nil
	}
}
