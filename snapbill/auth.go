package snapbill

import "net/http"

// basic sends the login with every request, without being asked for it.
func basic(username, password string) func(*http.Request) error {
	return func(r *http.Request) error {
		r.SetBasicAuth(username, password)
		return nil
	}
}
