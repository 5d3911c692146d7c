package batchhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Replies are read by encoding/json/v2: on Go 1.26 by the module that it grew
// from, which is an alias of the standard library from Go 1.27 on. It is exact
// where encoding/json guesses: a key that occurs twice, anything after the
// value, and nesting without end are errors. Requests stay on encoding/json.

// JSON returns a Decode function for a reply that is exactly one JSON value.
// v is set only if the whole reply is valid.
func JSON[T any](v *T) func(io.Reader) error {
	return func(body io.Reader) error {
		var fresh T
		if err := Read(body, &fresh); err != nil {
			return err
		}
		*v = fresh
		return nil
	}
}

// reading holds the rules for replies. Two keys that differ only in case are
// an error: one parser would believe the first, another the second. Invalid
// UTF-8 is read as U+FFFD.
var reading = json.JoinOptions(json.MatchCaseInsensitiveNames(true), jsontext.AllowInvalidUTF8(true))

var errUTF16 = errors.New("the reply is UTF-16, not UTF-8")

// Read reads a reply that is exactly one JSON value. Its rules are those of
// encoding/json/v2, a key that differs only in case is a duplicate, and a byte
// order mark is dropped. If it fails, v may be partly filled and must not be used.
//
// The reply is read whole first: a decoder that reads as it arrives doubles its
// buffer for a long value, and takes more memory than the reply has bytes.
func Read(body io.Reader, v any) error {
	var text []byte
	var err error
	most := int64(math.MaxInt64)
	if b, limited := body.(*bodyReader); limited {
		most = b.limit
		text, err = b.whole()
	} else {
		text, err = io.ReadAll(body)
	}
	if err != nil {
		return err
	}
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		text = text[3:]
	} else if len(text) >= 2 && (text[0] >= 0xfe && text[1] >= 0xfe || text[0] == 0 || text[1] == 0) {
		return errUTF16
	}
	if text, err = mended(text, most); err != nil {
		return err
	}
	if hasLongToken(text) {
		return errLongToken
	}
	return Parse(text, v)
}

// mended is text with U+FFFD for each run of bytes that are not UTF-8. It fails
// if that is longer than most: one byte becomes three.
func mended(text []byte, most int64) ([]byte, error) {
	if utf8.Valid(text) {
		return text, nil
	}
	for size := int64(0); ; { // Twice: to count, and to write into a buffer that need not grow.
		var whole []byte
		if size > 0 {
			whole = make([]byte, 0, size)
		}
		run, count := false, int64(0)
		for rest := text; len(rest) > 0; {
			r, n := utf8.DecodeRune(rest)
			bad := r == utf8.RuneError && n == 1
			part := rest[:n]
			if bad {
				part = []byte("\uFFFD")
			}
			if !bad || !run {
				count += int64(len(part))
				if size > 0 {
					whole = append(whole, part...)
				}
			}
			run, rest = bad, rest[n:]
		}
		if size > 0 {
			return whole, nil
		}
		if size = count; size > most {
			return nil, errTooLarge
		}
	}
}

// maxToken is how long one string or number of a reply may be: it is copied
// several times.
const maxToken = 4 << 20

var errLongToken = errors.New("the reply holds a string or number of more than 4 MiB")

// hasLongToken reports whether a string or number of a JSON text is longer than
// maxToken.
func hasLongToken(text []byte) bool {
	quoted, began := false, 0 // where the token begins that text[n] is in
	for n := 0; n < len(text); n++ {
		switch c := text[n]; {
		case quoted && c == '\\':
			n++
		case c == '"':
			quoted = !quoted
			began = n
		case !quoted && bytes.IndexByte([]byte(" \t\r\n,:[]{}"), c) >= 0:
			began = n
		}
		if n-began > maxToken {
			return true
		}
	}
	return false
}

// Elements reads the elements of the array that comes next, one by one. It fails
// if there are more than most: in memory, an element can be a thousand times
// longer than in the reply.
func Elements(d *jsontext.Decoder, most int, read func(*jsontext.Decoder) error) error {
	if token, err := d.ReadToken(); err != nil || token.Kind() != '[' {
		return errors.Join(err, errors.New("it is not a list"))
	}
	for n := 0; d.PeekKind() != ']'; n++ {
		if n == most {
			return fmt.Errorf("the list has more than %d elements", most)
		}
		if err := read(d); err != nil {
			return err
		}
	}
	_, err := d.ReadToken()
	return err
}

// Parse is Read for a part of a reply.
func Parse(text []byte, v any) error { return json.Unmarshal(text, v, reading) }

// Text is a field that decides nothing. It keeps a JSON value of any type and
// never fails a reply: a string without its quotes, null as the empty string,
// and everything else as the service wrote it.
type Text string

// UnmarshalJSONFrom keeps the next value.
func (t *Text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	return t.UnmarshalJSON(value)
}

// UnmarshalJSON keeps a value.
func (t *Text) UnmarshalJSON(value []byte) error {
	switch {
	case string(value) == "null":
		*t = ""
	case len(value) >= 2 && value[0] == '"':
		inner := value[1 : len(value)-1]
		if bytes.IndexByte(inner, '\\') >= 0 {
			inner, _ = jsontext.AppendUnquote(nil, value) // Its error is about UTF-8, which valid mends.
		}
		*t = valid(inner)
	default:
		*t = valid(value)
	}
	return nil
}

// valid is text in UTF-8, with U+FFFD for what is not.
func valid(text []byte) Text { return Text(strings.ToValidUTF8(string(text), "\uFFFD")) }

// Maybe is a field that decides about its row. A value of another type does
// not fail the reply: OK is false then, and Text holds what came instead.
type Maybe[T any] struct {
	Value T
	Text  Text // what came if it is not a T; empty if the field is absent or null
	OK    bool // whether the field was there, not null, and a T
}

// UnmarshalJSONFrom reads the next value.
func (m *Maybe[T]) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	return m.UnmarshalJSON(value)
}

// UnmarshalJSON reads a value.
func (m *Maybe[T]) UnmarshalJSON(value []byte) error {
	*m = Maybe[T]{}
	if string(value) == "null" {
		return nil
	}
	if err := Parse(value, &m.Value); err != nil {
		var none T
		m.Value = none
		return m.Text.UnmarshalJSON(value)
	}
	m.OK = true
	return nil
}

// MarshalJSON writes what came, and null for nothing.
func (m Maybe[T]) MarshalJSON() ([]byte, error) {
	switch {
	case m.OK:
		return json.Marshal(m.Value, json.Deterministic(true))
	case m.Text != "":
		return json.Marshal(m.Text)
	}
	return []byte("null"), nil
}

// Time is when a reply says that something happened, which decides nothing: the
// zero time where that is not a time of RFC 3339.
func Time(t Text) time.Time {
	at, err := time.Parse(time.RFC3339, string(t))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
