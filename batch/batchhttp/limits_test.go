package batchhttp

import (
	"bytes"
	"math"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func TestAStringOrANumberOfAReplyHasALimit(t *testing.T) {
	fits := strings.Repeat("1", maxToken-1)
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"a string":                {`["` + fits + `"]`, nil},
		"a string, too long":      {`["` + fits + `11"]`, errLongToken},
		"escaped":                 {`["` + strings.Repeat(`\\`, maxToken/2-1) + `"]`, nil},
		"escaped, too long":       {`["` + strings.Repeat(`\"`, maxToken/2+1) + `"]`, errLongToken},
		"with commas, too long":   {`["` + strings.Repeat(`,`, maxToken+1) + `"]`, errLongToken},
		"a key, too long":         {`{"` + fits + `11":1}`, errLongToken},
		"a number":                {`[` + fits + `]`, nil},
		"a number, too long":      {`[` + fits + `11]`, errLongToken},
		"many strings":            {`["` + fits + `","` + fits + `"]`, nil},
		"a string, and white":     {`["1"` + strings.Repeat(" ", 2*maxToken) + `]`, nil},
		"a string without an end": {`"` + fits + `11`, errLongToken},
	} {
		t.Run(name, func(t *testing.T) {
			var v jsontext.Value
			require.ErrorIs(t, Read(strings.NewReader(c.text), &v), c.want)
		})
	}
}

func TestTextIsMendedWithinItsLimit(t *testing.T) {
	for text, want := range map[string]string{"": "", "a": "a", "\xff": "\uFFFD", "a\xff\xfeb\xffc": "a\uFFFDb\uFFFDc",
		"\uFFFD\xff": "\uFFFD\uFFFD"} {
		got, err := mended([]byte(text), int64(len(want)))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.Equal(t, strings.ToValidUTF8(text, "\uFFFD"), want)
		if !utf8.ValidString(text) {
			_, err = mended([]byte(text), int64(len(want)-1))
			require.ErrorIs(t, err, errTooLarge)
		}
	}
}

func TestElementsHaveALimit(t *testing.T) {
	for text, want := range map[string]string{`[1,2,3]`: "", `[]`: "", `[1,2,3,4]`: "more than 3 elements",
		`{}`: "not a list", `null`: "not a list",
		`[1,2`: "unexpected EOF", ``: "EOF", `[1 2]`: "invalid character"} {
		err := Elements(jsontext.NewDecoder(bytes.NewBufferString(text)), 3, func(d *jsontext.Decoder) error {
			return d.SkipValue()
		})
		if want == "" {
			require.NoError(t, err, text)
		} else {
			require.ErrorContains(t, err, want, text)
		}
	}
}

func TestAnErrorHoldsAThousandFaults(t *testing.T) {
	fields := make([]batch.FieldError, 1002)
	require.Len(t, Faults(fields[:1000]), 1000)
	require.Len(t, Faults(fields), 1001)
	require.Equal(t, "and 2 more", Faults(fields)[1000].Message)
	require.Empty(t, fields[1000].Message, "the argument is not changed")
}

// FuzzInt: a number that can be read is exactly what its digits say.
func FuzzInt(f *testing.F) {
	for _, s := range []string{"50000", `"50000"`, "3600.0", "3.6e3", "-0", "1e18", "1e19", "9223372036854775807",
		"9223372036854775808", "1e999999999", "null", `""`,
		`"0x10"`, "1.5", `"\u0031"`, "0e0", "-1E+02"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var n Int
		var digits string
		if Parse(text, &n) != nil {
			return
		}
		if Parse(text, &digits) != nil {
			digits = strings.TrimSpace(string(text))
		}
		exact, ok := new(big.Rat).SetString(digits)
		if !ok || !exact.IsInt() || !exact.Num().IsInt64() || exact.Num().Int64() != int64(n) {
			t.Fatalf("%q was read as %d", text, n)
		}
	})
}

// FuzzMended: what is mended is what the standard library makes of it.
func FuzzMended(f *testing.F) {
	for _, s := range []string{"", "a", "\xff", "a\xff\xfeb\xc3", "\xed\xa0\x80", "\uFFFD\xff\uFFFD", "\xf0\x9f\x92"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := mended(bytes.Clone(text), math.MaxInt64)
		if want := bytes.ToValidUTF8(text, []byte("\uFFFD")); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q became %q, and not %q (%v)", text, got, want, err)
		}
	})
}
