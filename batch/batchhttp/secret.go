package batchhttp

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html"
	"io"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

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
	shortestPiece  = 12  // bytes of a secret that tell something of it
	shortestSecret = 4   // Shorter ones would tear holes into ordinary words.
	lastPiece      = 128 // bytes of a secret before the last piece of it that is searched for
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
	needles *needles // of all of them; nil if they must be listed again
}

// learn adds what a request has carried.
func (r *redactor) learn(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, value := range values {
		if len(value) < shortestSecret || slices.ContainsFunc(r.recent, func(s Secret) bool {
			return s.Reveal() == value
		}) {
			continue
		}
		r.recent = append(r.recent[max(0, len(r.recent)-recentSecrets+1):], NewSecret(value))
		r.needles = nil
	}
}

func (r *redactor) redact(text string) string {
	r.mu.Lock()
	if len(text) < r.shortest() { // Every spelling is at least as long as its secret.
		r.mu.Unlock()
		return text
	}
	if r.needles == nil {
		r.needles = needlesOf(slices.Concat(r.fixed, r.recent))
		for _, secret := range r.fixed {
			r.needles.addPieces(secret.Reveal())
		}
	}
	needles := r.needles
	r.mu.Unlock()
	return needles.redact(text)
}

// shortest is the length of the shortest secret, or piece of one: many words of
// a service are shorter, and need no search.
func (r *redactor) shortest() int {
	shortest := math.MaxInt
	for _, secrets := range [][]Secret{r.fixed, r.recent} {
		for _, secret := range secrets {
			if n := len(secret.Reveal()); n >= shortestSecret {
				shortest = min(shortest, n, shortestPiece)
			}
		}
	}
	return shortest
}

// clean makes words fit: short, on one line, without control characters and
// without any spelling of any secret.
func (r *redactor) clean(text string) string { return plain(r.redact(strings.TrimSpace(text))) }

// Clean makes the words of the service fit for an error, a Result, a Batch or
// a journal: short, on one line, without control characters and without any
// spelling of any credential.
func (c *Client) Clean(text string) string { return c.words.clean(text) }

// needles are what is searched for, by the first byte.
type needles [256][]string

func needlesOf(secrets []Secret) *needles {
	n := new(needles)
	for _, secret := range secrets {
		s := secret.Reveal()
		if len(s) < shortestSecret {
			continue
		}
		n.add(spellings(s)...)
	}
	return n
}

// add makes spellings needles, whatever the case of their letters.
func (n *needles) add(spellings ...string) {
	for _, spelling := range spellings {
		spelling = lower(spelling)
		if first := spelling[0]; !slices.Contains(n[first], spelling) {
			n[first] = append(n[first], spelling)
		}
	}
}

// addPieces makes every piece a needle that is not the beginning of s. Of a secret
// that repeats itself, it leaves out what is there already.
func (n *needles) addPieces(s string) {
	seen := make(map[string]bool)
	for at := 0; at <= min(len(s)-shortestPiece, lastPiece); at++ {
		if begin := s[at : at+shortestPiece]; !seen[begin] {
			seen[begin] = true
			n.add(s[at:])
		}
	}
}

// lower is text with its ASCII letters in lower case. Other letters could change
// their length.
func lower(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r >= 'A' && r <= 'Z' }) < 0 {
		return text
	}
	letters := []byte(text)
	for n, c := range letters {
		if c >= 'A' && c <= 'Z' {
			letters[n] += 'a' - 'A'
		}
	}
	return string(letters)
}

// spellings lists how a service may write what it was sent, beside the escapes
// that spelt undoes.
func spellings(s string) []string {
	all := []string{s, hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
	if !utf8.ValidString(s) { // JSON has no other way to write it.
		all = append(all, strings.Map(func(r rune) rune { return r }, s))
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		unpadded := encoding.WithPadding(base64.NoPadding)
		all = append(all, encoding.EncodeToString([]byte(s)), unpadded.EncodeToString([]byte(s)))
		// In the midst of something longer, such as a body, at any of three places.
		for before := range 3 {
			whole := unpadded.EncodeToString(append(make([]byte, before), s...))
			all = append(all, whole[(before*8+5)/6:(before+len(s))*8/6])
		}
	}
	return slices.DeleteFunc(all, func(spelling string) bool { return len(spelling) < shortestSecret })
}

// enough is as many bytes as plain can keep.
const enough = utf8.UTFMax * (longestWords + 1)

// redact removes every spelling of the secrets, the longest at each place. It
// ends where there is enough.
func (n *needles) redact(text string) string {
	var clean strings.Builder
	kept := 0
	for at := 0; at < len(text); at++ {
		if clean.Len()+at-kept >= enough {
			text = text[:at]
			break
		}
		if length := n.match(text[at:]); length > 0 {
			clean.WriteString(text[kept:at])
			clean.WriteString(redactedText)
			kept = at + length
			at = kept - 1
		}
	}
	clean.WriteString(text[kept:])
	return clean.String()
}

// match is the length of the longest spelling with which text begins, or 0.
func (n *needles) match(text string) (longest int) {
	look := func(first byte) {
		for _, needle := range n[first] {
			longest = max(longest, spelt(text, needle, 0, 0, make(map[way]bool)))
		}
	}
	for _, r := range meanings(text) {
		look(lower(r.char)[0])
	}
	if text[0] == '+' {
		look(' ')
	}
	return longest
}

// A way is a place in a text and how much of a needle came before it.
type way struct{ at, done int }

// spelt is where in text a spelling of needle ends that begins at a place, or 0
// if none does: of all of it, or of its first shortestPiece bytes and more, for
// words are cut. Any character may be escaped or not, in the way of URLs, HTML,
// JSON or Go, and in either case: a proxy may escape what another has left. So
// many bytes of the needle are done. Failed are ways that were tried.
func spelt(text, needle string, at, done int, failed map[way]bool) (end int) {
	for done < len(needle) {
		var next []meaning
		if at < len(text) {
			for _, m := range meanings(text[at:]) {
				switch {
				case strings.HasPrefix(needle[done:], lower(m.char)):
					next = append(next, m)
				case done > 0 && isBreak(m.char): // A line of base64 has at most 76 characters.
					next = append(next, meaning{"", m.length})
				case m.char == "+" && needle[done] == ' ': // In a query.
					next = append(next, meaning{" ", m.length})
				}
			}
		}
		switch {
		case len(next) == 0 && done >= shortestPiece:
			return max(end, at)
		case len(next) == 0 || len(next) > 1 && failed[way{at, done}]:
			return end
		}
		last := len(next) - 1
		for _, m := range next[:last] { // Such as "%25" for a secret that holds a percent sign.
			failed[way{at, done}] = true
			end = max(end, spelt(text, needle, at+m.length, done+len(m.char), failed))
		}
		at, done = at+next[last].length, done+len(next[last].char)
	}
	return max(end, at)
}

// isBreak reports whether a character can stand within a secret that a service
// has wrapped, without being seen.
func isBreak(char string) bool {
	return len(char) == 1 && (char[0] < ' ' || char[0] == 0x7f)
}

// A meaning is what so many bytes of a text can stand for.
type meaning struct {
	char   string
	length int
}

// meanings lists what the start of text can stand for: its first byte, the
// character of an escape, and that of an escape that is escaped itself.
func meanings(text string) []meaning {
	all := []meaning{{text[:1], 1}}
	if !strings.Contains(escapes, text[:1]) {
		return all
	}
	char, length := unescape(text)
	for char != "" && len(all) < mostMeanings {
		all = append(all, meaning{char, length})
		if !strings.Contains(escapes, char) || char == `\` && !strings.HasPrefix(text[length:], "u") {
			break
		}
		inner, n := unescape(char + text[length:min(len(text), length+longestEntity)])
		char, length = inner, length+n-len(char)
	}
	return all
}

const (
	escapes       = `%&\~` // an escape begins with one of these
	longestEntity = 40     // bytes; HTML has none that is longer
	mostMeanings  = 4
)

// unescape returns the character that the escape at the start of text stands
// for, and the length of the escape. Char is empty if there is no escape. No
// escape is shorter than its character.
func unescape(text string) (char string, length int) {
	if len(text) < 2 {
		return "", 0
	}
	number := func(from, digits, base int) (int64, bool) {
		if len(text) < from+digits {
			return 0, false
		}
		n, err := strconv.ParseUint(text[from:from+digits], base, 32)
		return int64(n), err == nil
	}
	switch text[0] {
	case '%':
		if n, ok := number(1, 2, 16); ok {
			return string([]byte{byte(n)}), 3
		}
	case '~': // The pointer of a JSON error.
		if n := strings.IndexByte("01", text[1]); n >= 0 {
			return "~/"[n : n+1], 2
		}
	case '&':
		text = text[:min(len(text), longestEntity)]
		end := strings.IndexByte(text, ';')
		if end < 0 { // HTML allows a number without one.
			end = len(text) - len(strings.TrimLeft(text[2:], "xX0123456789abcdefABCDEF")) - 1
		}
		escape := text[:end+1]
		if char := html.UnescapeString(escape); char != escape && len(char) <= len(escape) &&
			!strings.HasPrefix(char, "&#") {
			return char, len(escape)
		}
	case '\\':
		switch text[1] {
		case 'x':
			if n, ok := number(2, 2, 16); ok {
				return string([]byte{byte(n)}), 4
			}
		case 'u':
			n, ok := number(2, 4, 16)
			if low, paired := number(8, 4, 16); ok && paired && text[6:8] == `\u` && utf16.IsSurrogate(rune(n)) {
				return string(utf16.DecodeRune(rune(n), rune(low))), 12
			}
			if ok {
				return string(rune(n)), 6
			}
		case 'U':
			if n, ok := number(2, 8, 16); ok {
				return string(rune(n)), 10
			}
		default:
			if n := strings.IndexByte("abfnrtv", text[1]); n >= 0 {
				return "\a\b\f\n\r\t\v"[n : n+1], 2
			}
			return text[1:2], 2
		}
	}
	return "", 0
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
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	text := err.Error()
	cleaned := r.clean(text)
	// The fields of an error of JSON hold more of the reply than its words.
	if cleaned != text || errors.As(err, &syntax) || errors.As(err, &semantic) {
		return Redacted(cleaned, err)
	}
	return err
}

// redacted matches its cause, but does not repeat its words. The cause is in a
// closure: some verbs of fmt print what is in a field.
type redacted struct {
	text string
	is   func(error) bool
}

// Redacted is an error with text for words, cut and on one line without control
// characters, which matches what cause matches.
func Redacted(text string, cause error) error {
	return redacted{plain(text), func(target error) bool { return errors.Is(cause, target) }}
}

func (r redacted) Error() string        { return r.text }
func (r redacted) Is(target error) bool { return r.is(target) }

// Faults returns the first 1,000 of the faults that a reply has, and how many
// more there are: a hostile reply could have millions.
func Faults(fields []batch.FieldError) []batch.FieldError {
	const most = 1000
	if len(fields) <= most {
		return fields
	}
	return append(slices.Clone(fields[:most]),
		batch.FieldError{Item: -1, Message: fmt.Sprintf("and %d more", len(fields)-most)})
}

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
