package rest

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"

	"github.com/batchway/batchway-go/batch"
)

// A Secret is a credential. No verb, encoder or dump shows it: it lives in a
// closure, into which reflection does not see.
type Secret struct{ reveal func() string }

// NewSecret hides s.
func NewSecret(s string) Secret { return Secret{func() string { return s }} }

// Reveal is the credential itself, for the one header or body that carries it.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

const redactedText = "[redacted]"

// Format writes no secret.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedText) }

// MarshalText is for logs and encoders.
func (Secret) MarshalText() ([]byte, error) { return []byte(redactedText), nil }

// MarshalBinary is for encoding/gob.
func (Secret) MarshalBinary() ([]byte, error) { return []byte(redactedText), nil }

const (
	shortestSecret = 4   // Shorter ones would tear holes into ordinary words.
	longestWords   = 256 // runes of a service's words that are kept
	recentSecrets  = 32  // what Authorize has set of late
	maxFaults      = 100 // that an error holds
)

// A redactor is the one door through which the words of a service, or of a
// cause, reach anything that a user keeps or prints.
type redactor struct {
	fixed []Secret

	mu      sync.Mutex
	recent  []Secret
	replace func(string) string // of all of them; nil if it must be made again
}

// learn adds what a request has carried.
func (r *redactor) learn(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, value := range values {
		if len(value) < shortestSecret || slices.ContainsFunc(r.recent, func(s Secret) bool { return s.Reveal() == value }) {
			continue
		}
		r.recent = append(r.recent[max(0, len(r.recent)-recentSecrets+1):], NewSecret(value))
		r.replace = nil
	}
}

func (r *redactor) redact(text string) string {
	r.mu.Lock()
	if len(text) < r.shortest() { // Every spelling is at least as long as its secret.
		r.mu.Unlock()
		return text
	}
	if r.replace == nil {
		r.replace = replacer(slices.Concat(r.fixed, r.recent))
	}
	replace := r.replace
	r.mu.Unlock()
	return replace(text)
}

// shortest is the length of the shortest secret. To list every spelling of the
// secrets costs more than a request, and most words of a service are short.
func (r *redactor) shortest() int {
	shortest := math.MaxInt
	for _, secrets := range [][]Secret{r.fixed, r.recent} {
		for _, secret := range secrets {
			if n := len(secret.Reveal()); n >= shortestSecret {
				shortest = min(shortest, n)
			}
		}
	}
	return shortest
}

// clean makes words fit: short, on one line, without control characters and
// without any spelling of any secret.
func (r *redactor) clean(text string) string { return plain(r.redact(text)) }

// Clean makes the words of the service fit for an error, a Result, a Batch or
// a journal: short, on one line, without control characters and without any
// spelling of any credential.
func (c *Client) Clean(text string) string { return c.words.clean(text) }

// replacer removes every spelling of the secrets, the longest first.
func replacer(secrets []Secret) func(string) string {
	var all []string
	for _, secret := range secrets {
		if s := secret.Reveal(); len(s) >= shortestSecret {
			all = append(all, spellings(s)...)
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, spelling := range slices.Compact(all) {
		if len(spelling) >= shortestSecret {
			pairs = append(pairs, spelling, redactedText)
		}
	}
	return strings.NewReplacer(pairs...).Replace // It compares in the order of its arguments.
}

// spellings lists how a service may write what it was sent.
func spellings(s string) []string {
	quoted := strconv.Quote(s)
	inJSON, _ := json.Marshal(s)
	all := []string{s, quoted[1 : len(quoted)-1], string(inJSON[1 : len(inJSON)-1])}
	for _, spelling := range all {
		all = append(all, inASCII(spelling))
	}
	all = append(all, html.EscapeString(s), named.Replace(html.EscapeString(s)), hex.EncodeToString([]byte(s)),
		url.QueryEscape(s), strings.ReplaceAll(url.QueryEscape(s), "~", "%7E"), url.PathEscape(s))
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		unpadded := encoding.WithPadding(base64.NoPadding)
		all = append(all, encoding.EncodeToString([]byte(s)), unpadded.EncodeToString([]byte(s)))
		// In the midst of something longer, such as a body, at any of three places.
		for before := range 3 {
			whole := unpadded.EncodeToString(append(make([]byte, before), s...))
			all = append(all, whole[(before*8+5)/6:(before+len(s))*8/6])
		}
	}
	for _, spelling := range all { // Escapes may have either case, and a slash its own.
		all = append(all, strings.ReplaceAll(spelling, "/", `\/`))
		if strings.ContainsAny(spelling, `%\`) {
			all = append(all, upperEscapes(spelling), lowerEscapes(spelling))
		}
	}
	return append(all, strings.ToUpper(hex.EncodeToString([]byte(s))))
}

// inASCII writes letters beyond ASCII as JSON may.
func inASCII(s string) string {
	var ascii strings.Builder
	for _, r := range s {
		if r < 0x80 {
			ascii.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&ascii, `\u%04x`, unit)
		}
	}
	return ascii.String()
}

var named = strings.NewReplacer("&#34;", "&quot;", "&#39;", "&apos;")

var escape = regexp.MustCompile(`%[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}`)

func upperEscapes(s string) string {
	if !strings.ContainsAny(s, `%\`) {
		return s // Most spellings hold none, and every attempt asks.
	}
	return escape.ReplaceAllStringFunc(s, func(e string) string {
		if e[0] == '%' {
			return strings.ToUpper(e)
		}
		return e[:2] + strings.ToUpper(e[2:])
	})
}

func lowerEscapes(s string) string {
	if !strings.ContainsAny(s, `%\`) {
		return s
	}
	return escape.ReplaceAllStringFunc(s, strings.ToLower)
}

// plain is text as one short line without control characters.
func plain(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "\uFFFD"))
	var s strings.Builder
	n := 0
	for _, r := range text {
		if n++; n > longestWords {
			s.WriteString("...")
			break
		}
		switch {
		case strconv.IsPrint(r):
			s.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&s, `\x%02x`, r)
		default:
			fmt.Fprintf(&s, `\u%04x`, r)
		}
	}
	return s.String()
}

// cleanCause returns err without what could leak: the URL that net/http puts
// around it, and any text that is not clean.
func (r *redactor) cleanCause(err error) error {
	if err == nil {
		return nil
	}
	var around *url.Error
	if errors.As(err, &around) {
		err = around.Err
	}
	text := err.Error()
	if cleaned := r.clean(text); cleaned != text {
		return redacted{cleaned, err}
	}
	return err
}

// redacted matches its cause, but does not repeat its words.
type redacted struct {
	text  string
	cause error
}

func (r redacted) Error() string        { return r.text }
func (r redacted) Is(target error) bool { return errors.Is(r.cause, target) }

// cleanFields keeps the first faults that a service names.
func (r *redactor) cleanFields(fields []batch.FieldError) []batch.FieldError {
	var clean []batch.FieldError
	for n, f := range fields {
		if n == maxFaults {
			message := fmt.Sprintf("and %d more", len(fields)-n)
			return append(clean, batch.FieldError{Item: -1, Message: message})
		}
		f.Reference, f.Field, f.Message = r.clean(f.Reference), r.clean(f.Field), r.clean(f.Message)
		clean = append(clean, f)
	}
	return clean
}
