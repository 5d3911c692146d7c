package batchsim

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

// Leak returns how one of the secrets appears in the texts, in whatever case:
// raw, in base64 at any place of something longer, in hexadecimal, or escaped
// for a URL, JSON or HTML; "" if none does. It shares no code with the
// redaction of the clients.
func Leak(secrets []string, texts ...string) string {
	all := strings.ToLower(strings.Join(texts, "\n"))
	for n, secret := range secrets {
		if secret == "" {
			continue
		}
		inJSON, _ := json.Marshal(secret) // A string always marshals.
		forms := []string{"raw", secret, "hex", hex.EncodeToString([]byte(secret)), "escaped for a query",
			url.QueryEscape(secret),
			"escaped for a path", url.PathEscape(secret), "JSON", string(inJSON[1 : len(inJSON)-1]), "HTML",
			html.EscapeString(secret)}
		for before := range 3 {
			whole := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), secret...))
			inner := whole[(before*8+5)/6 : (before+len(secret))*8/6]
			forms = append(forms, "base64", inner, "base64 for URLs",
				strings.NewReplacer("+", "-", "/", "_").Replace(inner))
		}
		for form := range slices.Chunk(forms, 2) {
			if strings.Contains(all, strings.ToLower(form[1])) {
				return fmt.Sprintf("number %d, %s", n, form[0])
			}
		}
	}
	return ""
}

// Prints writes v with every verb of fmt, and with the encoders and the log of
// the standard library.
func Prints(v any) string {
	var all bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		_, _ = fmt.Fprintf(&all, verb+"\n", v)
	}
	for _, encode := range []func(any) error{json.NewEncoder(&all).Encode, xml.NewEncoder(&all).Encode,
		gob.NewEncoder(&all).Encode} {
		_ = encode(v) // An encoder that refuses shows nothing.
	}
	slog.New(slog.NewTextHandler(&all, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "v", v)
	return all.String()
}
