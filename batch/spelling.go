package batch

import (
	"fmt"
	"strings"
	"unicode"
)

// spelled is s in the one spelling under which purposes and people are compared:
// in upper case, with simple spaces and dashes, and without invisible characters.
// Two spellings of one invoice would be two payments, and a second spelling of
// the author would be a second person.
func spelled(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r): // such as a zero width space
			return -1
		case unicode.Is(unicode.Pd, r), r == '\u2212': // dashes, and the minus sign
			return '-'
		case r >= '！' && r <= '～': // wide forms of ASCII
			return r - ('！' - '!')
		}
		return r
	}, s)
	return strings.ToUpper(folded(strings.Join(strings.Fields(s), " ")))
}

// spellingFault says why s cannot be compared with another spelling of the same,
// or "".
func spellingFault(s string) string {
	if fault := textFault(s); fault != "" {
		return fault
	}
	for _, r := range s {
		// A letter and its mark are one character in Unicode NFC. Scripts that
		// need marks of their own, such as Devanagari, have them elsewhere.
		if r >= 0x300 && r <= 0x36f || r == 0x3099 || r == 0x309a || r >= 0x1100 && r <= 0x11ff {
			return fmt.Sprintf("holds the combining character %U; it must be in Unicode normal form NFC", r)
		}
	}
	if s != "" && spelled(s) == "" {
		return "has no visible character"
	}
	return ""
}
