package snapbill

import (
	"net/http"

	"github.com/batchway/batchway-go/internal/rest"
)

// basic sends the login with every request, without being asked for it.
func basic(username string, password rest.Secret) func(*http.Request) error {
	return func(r *http.Request) error {
		r.SetBasicAuth(username, password.Reveal())
		return nil
	}
}
