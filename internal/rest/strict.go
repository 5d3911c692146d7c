package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode"
	"unicode/utf8"
)

// JSON returns a Decode function for a reply that is exactly one JSON value.
// v is set only if all of it makes sense.
func JSON[T any](v *T) func(io.Reader) error {
	return func(body io.Reader) error {
		var fresh T
		d := json.NewDecoder(Strict(body))
		if err := d.Decode(&fresh); err != nil {
			return whole(err)
		}
		if err := End(d); err != nil {
			return err
		}
		*v = fresh
		return nil
	}
}

// End reports whether d has come to the end of its input.
func End(d *json.Decoder) error {
	_, err := d.Token()
	if err == io.EOF { //nolint:errorlint // Token returns it bare.
		return nil
	}
	if err == nil {
		err = errors.New("there is more after the JSON value")
	}
	return err
}

// whole replaces the error of an empty reply by that of a reply cut short.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// The limits of what Strict lets pass.
const (
	maxDepth  = 64
	maxString = 64 << 10
	maxNumber = 40
	maxKeys   = 10_000 // of one object
)

// Strict passes JSON through and refuses what encoding/json would wave on, or
// let an attacker choose: an object that has a key twice, or in two cases
// ("valid" and "Valid" are the same field to encoding/json), nesting deeper
// than 64, strings over 64 KiB, numbers over 40 digits, and UTF-16. It drops a
// byte order mark. Whether the rest is JSON is for the decoder to say.
func Strict(r io.Reader) io.Reader { return &strict{r: r} }

type strict struct {
	r       io.Reader
	err     error
	started bool

	inString, escaped bool
	token             int // length of the string or number so far

	levels []level
	key    []byte // the key that is being read; nil in any other string
	isKey  bool
	plain  bool // the key has no escapes, and only ASCII
}

// A level is an open object or array.
type level struct {
	object  bool
	wantKey bool
	keys    []uint64            // hashes of the folded keys so far
	many    map[uint64]struct{} // the same, once they are many
}

func (s *strict) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if !s.started {
		return s.start(p)
	}
	n, err := s.r.Read(p)
	if fault := s.scan(p[:n]); fault != nil {
		s.err = fault
		return 0, fault
	}
	return n, err
}

// start reads the first three bytes and drops a byte order mark.
func (s *strict) start(p []byte) (int, error) {
	if len(p) < 3 {
		return 0, io.ErrShortBuffer
	}
	n, err := io.ReadFull(s.r, p[:3])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	s.started = true
	head := p[:n]
	switch {
	case n == 3 && string(head) == "\xef\xbb\xbf":
		return 0, nil
	case n >= 2 && (head[0] == 0xfe && head[1] == 0xff || head[0] == 0xff && head[1] == 0xfe || head[0] == 0 || head[1] == 0):
		s.err = errors.New("the reply is UTF-16, not UTF-8")
		return 0, s.err
	}
	if fault := s.scan(head); fault != nil {
		s.err = fault
		return 0, fault
	}
	return n, err
}

func (s *strict) scan(p []byte) error {
	for i := 0; i < len(p); i++ {
		if s.inString {
			n, err := s.scanString(p[i:])
			if err != nil {
				return err
			}
			if i += n; i == len(p) {
				return nil
			}
		}
		switch c := p[i]; class[c] {
		case quote:
			if s.inString { // the closing one
				s.inString, s.token = false, 0
				if s.isKey {
					if err := s.endKey(); err != nil {
						return err
					}
				}
				continue
			}
			s.inString, s.token = true, 0
			s.isKey = len(s.levels) > 0 && s.levels[len(s.levels)-1].wantKey
			s.key, s.plain = s.key[:0], true
		case begin:
			if len(s.levels) == maxDepth {
				return fmt.Errorf("the reply is nested deeper than %d", maxDepth)
			}
			s.open(c == '{')
		case end:
			if len(s.levels) > 0 {
				s.levels = s.levels[:len(s.levels)-1]
			}
			s.token = 0
		case comma:
			if n := len(s.levels); n > 0 {
				s.levels[n-1].wantKey = s.levels[n-1].object
			}
			s.token = 0
		case space:
			s.token = 0
		default:
			if s.token++; s.token > maxNumber {
				return fmt.Errorf("the reply holds a number of more than %d characters", maxNumber)
			}
		}
	}
	return nil
}

// scanString passes over what is inside a string, up to its closing quote or
// the end of p, and returns how far that is.
func (s *strict) scanString(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if s.escaped {
			s.escaped = false
			n++
			continue
		}
		// Most strings have neither an escape nor their end in another buffer.
		length := bytes.IndexByte(p[n:], '"')
		if length < 0 {
			length = len(p) - n
		}
		if escape := bytes.IndexByte(p[n:n+length], '\\'); escape >= 0 {
			s.escaped, s.plain = true, false
			n += escape + 1
			continue
		}
		n += length
		break
	}
	if s.isKey {
		s.key = append(s.key, p[:n]...)
	}
	if s.token += n; s.token > maxString {
		return n, fmt.Errorf("the reply holds a string of more than %d bytes", maxString)
	}
	return n, nil
}

// What a byte outside of a string is.
const (
	other = iota // of a number or a literal
	space        // or a colon
	quote
	begin
	end
	comma
)

var class = [256]uint8{' ': space, '\t': space, '\r': space, '\n': space, ':': space,
	'"': quote, '{': begin, '[': begin, '}': end, ']': end, ',': comma}

// open begins an object or array, reusing what an earlier one of this depth
// has allocated.
func (s *strict) open(object bool) {
	n := len(s.levels)
	if n < cap(s.levels) {
		s.levels = s.levels[:n+1]
	} else {
		s.levels = append(s.levels, level{})
	}
	l := &s.levels[n]
	l.object, l.wantKey, l.keys, l.many = object, object, l.keys[:0], nil
	s.token = 0
}

// endKey refuses a key that the object already has.
func (s *strict) endKey() error {
	l := &s.levels[len(s.levels)-1]
	l.wantKey, s.isKey = false, false
	hash := s.foldedHash()
	twice := false
	if l.many != nil {
		_, twice = l.many[hash]
	} else {
		for _, h := range l.keys {
			twice = twice || h == hash
		}
	}
	if twice {
		return fmt.Errorf("the reply has the key %q twice in one object", clean(string(s.key), nil))
	}
	switch {
	case l.many != nil:
		l.many[hash] = struct{}{}
	case len(l.keys) == 64:
		l.many = map[uint64]struct{}{hash: {}}
		for _, h := range l.keys {
			l.many[h] = struct{}{}
		}
	default:
		l.keys = append(l.keys, hash)
	}
	if len(l.many) > maxKeys {
		return fmt.Errorf("the reply has an object of more than %d keys", maxKeys)
	}
	return nil
}

// foldedHash hashes the key as encoding/json compares it: without escapes and
// regardless of case. Two keys with one hash by chance are refused: that is
// the safe side, and will not happen.
func (s *strict) foldedHash() uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := uint64(offset)
	for _, c := range s.key {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		s.plain = s.plain && c < utf8.RuneSelf
		hash = (hash ^ uint64(c)) * prime
	}
	if s.plain {
		return hash
	}
	hash = offset
	text := string(s.key)
	if unquoted := ""; json.Unmarshal([]byte(`"`+text+`"`), &unquoted) == nil {
		text = unquoted
	}
	for _, r := range text {
		for _, c := range utf8.AppendRune(nil, foldRune(r)) {
			hash = (hash ^ uint64(c)) * prime
		}
	}
	return hash
}

// foldRune returns the smallest rune that is equal to r but for case.
func foldRune(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}
