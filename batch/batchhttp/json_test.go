package batchhttp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestJSON(t *testing.T) {
	many := func(n int, format string) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf(format, i))
		}
		return strings.Join(s, ",")
	}
	for name, c := range map[string]struct{ text, fault string }{
		"an object":               {`{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}`, ""},
		"a value like a key":      {`{"a":"a","b":"a"}`, ""},
		"braces in a string":      {`{"a":"{\"a\":[","b":"\\"}`, ""},
		"a byte order mark":       {"\xef\xbb\xbf{\"a\":1}", ""},
		"literals":                {`[true,false,null,-1.5e+10]`, ""},
		"a hundred keys":          {`{` + many(100, `"key%d":1`) + `}`, ""},
		"depth 5,000":             {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), ""},
		"a long string":           {`"` + strings.Repeat("x", 60_000) + `"`, ""},
		"the same key":            {`{"valid":false,"valid":true}`, `duplicate object member name "valid"`},
		"with escapes":            {`{"valid":false,"v\u0061lid":true}`, `duplicate object member name`},
		"far behind":              {`{` + many(200, `"key%d":1`) + `,"key3":2}`, `duplicate object member name "key3"`},
		"in an inner object":      {`{"a":[{"x":1,"x":2}]}`, `duplicate object member name "x"`},
		"after an inner object":   {`{"a":1,"b":{"c":1},"a":2}`, `duplicate object member name "a"`},
		"depth 10,001":            {strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), "exceeded max depth"},
		"UTF-16":                  {"\xff\xfe{\x00}\x00", "UTF-16"},
		"UTF-16, big endian":      {"\xfe\xff\x00{\x00}", "UTF-16"},
		"UTF-16 without a mark":   {"{\x00}\x00", "UTF-16"},
		"trailing data":           {`{"a":1}{"a":2}`, "after top-level value"},
		"a trailing brace":        {`{"a":1}}`, ""}, // which error is encoding/json's affair
		"cut short":               {`{"a":1`, "unexpected EOF"},
		"cut in a string":         {`{"a":"b`, "unexpected EOF"},
		"nothing":                 {``, "unexpected EOF"},
		"only a mark":             {"\xef\xbb\xbf", "unexpected EOF"},
		"a closing bracket first": {`]`, ""},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
			"with the error": iotest.DataErrReader} {
			t.Run(name+", "+how, func(t *testing.T) {
				var v any
				err := JSON(&v)(reader(strings.NewReader(c.text)))
				if c.fault != "" {
					require.ErrorContains(t, err, c.fault)
					require.Nil(t, v, "nothing of a bad reply is kept")
					return
				}
				var plain any
				if want := json.Unmarshal([]byte(strings.TrimPrefix(c.text, "\xef\xbb\xbf")), &plain); want != nil {
					require.Error(t, err)
					return
				}
				require.NoError(t, err)
				require.Equal(t, plain, v)
			})
		}
	}
}

func TestJSONRejectsNamesThatDifferOnlyInCase(t *testing.T) {
	for _, text := range []string{`{"valid":false,"Valid":true}`, `{"VALID":true,"valid":true}`, `{"k":1,"\u212a":2}`,
		"{\"k\":1,\"\u212a\":2}"} {
		var v struct {
			Valid bool `json:"valid"`
			K     int  `json:"k"`
		}
		require.ErrorContains(t, JSON(&v)(strings.NewReader(text)), "duplicate object member name", text)
		require.Zero(t, v, text)
	}
}

func TestTextKeepsAnyValue(t *testing.T) {
	for value, want := range map[string]Text{
		`"plain"`: "plain", `"a\"b\u00e9"`: "a\"bé", `null`: "", `12.50`: "12.50", `true`: "true",
		`{"a":[1]}`: `{"a":[1]}`, `[]`: `[]`, `"\ud800"`: "\uFFFD", "\"\xff\"": "\uFFFD",
		"[\"\xff\"]": "[\"\uFFFD\"]", "\"\\n\xff\"": "\n\uFFFD",
	} {
		var v struct{ Before, Text, After Text }
		require.NoError(t, JSON(&v)(strings.NewReader(`{"Before":1,"Text":`+value+`,"After":"x"}`)), value)
		require.Equal(t, want, v.Text, value)
		require.Equal(t, Text("x"), v.After, value)
		var plain Text
		require.NoError(t, json.Unmarshal([]byte(value), &plain), value)
		require.Equal(t, want, plain, value)
	}
	var v struct{ Text Text }
	require.Error(t, JSON(&v)(strings.NewReader(`{"Text":{"a":1,"a":2}}`)),
		"a value that is not valid JSON fails the reply")
}

func TestMaybeFailsOnlyItsField(t *testing.T) {
	for value, want := range map[string]Maybe[int64]{
		`7`: {Value: 7, OK: true}, `"7"`: {Text: "7"}, `7.5`: {Text: "7.5"}, `null`: {}, `{"a":1}`: {Text: `{"a":1}`},
		`99999999999999999999`: {Text: "99999999999999999999"},
	} {
		var v struct {
			N     Maybe[int64]
			After Text
		}
		require.NoError(t, JSON(&v)(strings.NewReader(`{"N":`+value+`,"After":"x"}`)), value)
		require.Equal(t, want, v.N, value)
		require.Equal(t, Text("x"), v.After, value)
	}
}

// FuzzJSON: what passes decodes as without it, and holds no key twice.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":1,"A":2}`, `{"a":{"a":1}}`, `[{"a":1},{"a":2}]`, `"\\\""`, `{"\u0061":1,"a":2}`,
		"\xef\xbb\xbf{}", `{"a":1}x`, `{"é":1,"É":2}`, "\"\xa2\x90\xb7\"", "{\"\xa2\x90\":1}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var strictly, plainly any
		err := JSON(&strictly)(bytes.NewReader(text))
		if err != nil {
			return
		}
		// A run of bytes that are not UTF-8 is one U+FFFD to us, and several to encoding/json.
		if err := json.Unmarshal(bytes.ToValidUTF8(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), []byte("\uFFFD")),
			&plainly); err != nil {
			t.Fatalf("%q passes, but is no JSON: %v", text, err)
		}
		if fmt.Sprint(strictly) != fmt.Sprint(plainly) {
			t.Fatalf("%q decodes as %v, and plainly as %v", text, strictly, plainly)
		}
		// An object with a key twice has fewer keys decoded than written.
		if n := countKeys(t, text); n != keysOf(strictly) {
			t.Fatalf("%q passes with %d keys, of which %d are left", text, n, keysOf(strictly))
		}
	})
}

func countKeys(t *testing.T, text []byte) int {
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))))
	n := 0
	var inObject []bool
	key := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		top := len(inObject) - 1
		if delim, ok := token.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				inObject = append(inObject, delim == '{')
				key = delim == '{'
			} else {
				inObject = inObject[:top]
				key = top > 0 && inObject[top-1]
			}
			continue
		}
		if key {
			n++
			key = false
		} else {
			key = top >= 0 && inObject[top]
		}
	}
}

func keysOf(v any) int {
	n := 0
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			n += 1 + keysOf(inner)
		}
	case []any:
		for _, inner := range v {
			n += keysOf(inner)
		}
	}
	return n
}

func TestInt(t *testing.T) {
	for text, want := range map[string]int64{
		`50000`: 50000, `"50000"`: 50000, `3600.0`: 3600, `"3600.00"`: 3600, `3.6e3`: 3600, `-1`: -1, `0`: 0, `-0`: 0,
		`9007199254740993`: 9007199254740993, `9223372036854775807`: 9223372036854775807, `1e18`: 1e18, `100e-2`: 1,
	} {
		var n Int
		require.NoError(t, json.Unmarshal([]byte(text), &n), text)
		require.Equal(t, Int(want), n, text)
	}
	for text, fault := range map[string]string{
		`36.5`: "not a whole number", `"ten"`: "is not a number", `""`: "is not a number", `null`: "missing",
		`"NaN"`:                "is not a number",
		`99999999999999999999`: "out of range", `1e999999999`: "out of range", `"1e-999999999"`: "out of range",
		`"0x10"`: "is not a number",
		`"1/2"`:  "is not a number", `"+5"`: "is not a number", `" 5"`: "is not a number", `true`: "is not a number",
		`"1_000"`: "is not a number", `[1]`: "is not a number",
		`"` + strings.Repeat("1", 100) + `"`: "is not a number", `"\ud800"`: "is not a number",
	} {
		n := Int(7)
		err := json.Unmarshal([]byte(text), &n)
		require.ErrorContains(t, err, fault, text)
		require.Equal(t, Int(7), n, "a bad number leaves nothing behind")
	}
}

// The report that a benchmark of streams reads: 100,000 rows of 12 fields.
func reportOf(rows int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch_id":35,"transactions":[`)
	for n := range rows {
		if n > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b,
			`{"account_id":"aaabbb-cccddd-%06d","amount":19995,"authcode":"001245A","datetime":"2020-01-02T18:32:28Z","identifier":"95b857a1-5955-4b86-963c-%012d","maskedpan":"4***********0002","merchantid":11223344,"message":"Approved 044332","result":1,"result_code":"000","scheme":"Visa","transno":%d}`, n, n, n)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func BenchmarkRead(b *testing.B) {
	text := reportOf(10_000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var v any
		if err := Read(bytes.NewReader(text), &v); err != nil {
			b.Fatal(err)
		}
	}
}
