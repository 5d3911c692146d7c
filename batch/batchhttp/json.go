package batchhttp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"time"

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

// Read reads a reply that is exactly one JSON value, as it arrives. Its rules
// are those of encoding/json/v2, a key that differs only in case is a
// duplicate, and a byte order mark is dropped. If it fails, v may be partly
// filled and must not be used.
func Read(body io.Reader, v any) error {
	b := bufio.NewReader(body)
	head, err := b.Peek(3)
	if err != nil && err != io.EOF { //nolint:errorlint // Peek returns it bare.
		return err
	}
	switch {
	case string(head) == "\xef\xbb\xbf":
		_, _ = b.Discard(3)
	case len(head) >= 2 && (head[0] >= 0xfe && head[1] >= 0xfe || head[0] == 0 || head[1] == 0):
		return errUTF16
	}
	return json.UnmarshalRead(b, v, reading)
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
func valid(text []byte) Text { return Text(bytes.ToValidUTF8(text, []byte("\uFFFD"))) }

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
