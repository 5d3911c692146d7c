package citypay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// keyHeader carries the key of one request.
const keyHeader = "Cp-Api-Key"

// authorize signs one attempt with a key of its own.
func (c *Client) authorize(r *http.Request) error {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("no random nonce: %w", err)
	}
	r.Header.Set(keyHeader, apiKey(c.config.ClientID, c.key.Reveal(), nonce, time.Now()))
	return nil
}

// apiKey computes a cp-api-key as documented: the client id, the nonce in
// upper-case hexadecimal, and an HMAC-SHA256 under the licence key over client
// id, raw nonce, and the minute in UTC as packed decimal; all in base64.
func apiKey(clientID, licenceKey string, nonce [16]byte, now time.Time) string {
	minute, err := hex.DecodeString(now.UTC().Format("200601021504"))
	if err != nil {
		minute = nil // Only a year beyond 9999 is no even number of digits.
	}
	mac := hmac.New(sha256.New, []byte(licenceKey))
	mac.Write([]byte(clientID))
	mac.Write(nonce[:])
	mac.Write(minute)
	packet := clientID + ":" + strings.ToUpper(hex.EncodeToString(nonce[:])) + ":" + string(mac.Sum(nil))
	return base64.StdEncoding.EncodeToString([]byte(packet))
}
