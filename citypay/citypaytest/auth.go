package citypaytest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// authorized returns the status with which a request is turned away, or 0. The
// key does not say when it was made: every minute of its lifetime is tried.
func (s *Server) authorized(r batchsim.Request) int {
	header := r.Header.Get("cp-api-key")
	if header == "" {
		return http.StatusUnauthorized
	}
	packet, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		return http.StatusForbidden
	}
	parts := bytes.SplitN(packet, []byte(":"), 3)
	if len(parts) != 3 || string(parts[0]) != s.options.ClientID || len(parts[1]) != 32 ||
		!bytes.Equal(parts[1], bytes.ToUpper(parts[1])) {
		return http.StatusForbidden
	}
	nonce, err := hex.DecodeString(string(parts[1]))
	if err != nil {
		return http.StatusForbidden
	}
	now := r.At.UTC()
	for age := time.Duration(0); age <= s.options.KeyLifetime; age += time.Minute {
		stamp, err := hex.DecodeString(now.Add(-age).Format("200601021504"))
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, []byte(*s.licence.Load()))
		mac.Write(parts[0])
		mac.Write(nonce)
		mac.Write(stamp)
		if hmac.Equal(mac.Sum(nil), parts[2]) {
			return 0
		}
	}
	return http.StatusForbidden
}
