package batchhttp

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

// A service may write what it was sent in many ways. These were not written by
// the code that is tested.
const awkward = "S3cr/et+&\"ü~>>?421"

func TestEverySpellingOfASecretIsRemoved(t *testing.T) {
	spelt := map[string]string{
		"as it is":                         "S3cr/et+&\"ü~>>?421",
		"base64":                           "UzNjci9ldCsmIsO8fj4+PzQyMQ==",
		"base64, without padding":          "UzNjci9ldCsmIsO8fj4+PzQyMQ",
		"base64 for URLs":                  "UzNjci9ldCsmIsO8fj4-PzQyMQ==",
		"base64 for URLs, without padding": "UzNjci9ldCsmIsO8fj4-PzQyMQ",
		"hex":                              "533363722f65742b2622c3bc7e3e3e3f343231",
		"HEX":                              "533363722F65742B2622C3BC7E3E3E3F343231",
		"in a query":                       "S3cr%2Fet%2B%26%22%C3%BC~%3E%3E%3F421",
		"in a query, lower case":           "S3cr%2fet%2b%26%22%c3%bc~%3e%3e%3f421",
		"in a form of PHP":                 "S3cr%2Fet%2B%26%22%C3%BC%7E%3E%3E%3F421",
		"in a path":                        "S3cr%2Fet+&%22%C3%BC~%3E%3E%3F421",
		"in JSON":                          "S3cr/et+&\\\"ü~>>?421",
		"in JSON, in ASCII":                "S3cr/et+&\\\"\\u00fc~>>?421",
		"in JSON, in ASCII, upper case":    "S3cr/et+&\\\"\\u00FC~>>?421",
		"in JSON of Go":                    "S3cr/et+\\u0026\\\"ü~\\u003e\\u003e?421",
		"in JSON of PHP":                   "S3cr\\/et+&\\\"\\u00fc~>>?421",
		"in HTML":                          "S3cr/et+&amp;&#34;ü~&gt;&gt;?421",
		"in HTML, by name":                 "S3cr/et+&amp;&quot;ü~&gt;&gt;?421",
		"in HTML, all by number":           "&#83;&#51;&#99;&#114;&#47;&#101;&#116;&#43;&#38;&#34;&#252;&#126;&#62;&#62;&#63;&#52;&#50;&#49;",
		"in HTML, in hexadecimal":          "S3cr&#x2F;et&#x2b;&#x26;&#X22;&#xfc;~&#x3E;&#x3e;?421",
		"in HTML, with names for all":      "S3cr&sol;et&plus;&amp;&quot;&uuml;~&gt;&gt;&quest;421",
		"in HTML, with leading zeros":      "S3cr/et&#0043;&#0038;\"ü~>>?421",
		"in HTML, without semicolons":      "S3cr/et&#43&#38&#34ü~>>?421",
		"in a query, in part":              "S3cr/et%2B&\"%C3%BC~>%3E?421",
		"in a query, more than needed":     "%533cr%2Fet%2B%26%22%C3%BC%7E%3E%3E%3F42%31",
		"in JSON, more than needed":        "\\u00533cr/et\\u002b\\u0026\\u0022ü~>\\u003E?421",
		"in Go, more than needed":          "S3cr/et\\x2b&\\x22ü~>>?421",
		"in HTML and in a query":           "S3cr%2Fet+&amp;%22ü~&gt;%3e?421",
		"in HTML, in JSON, in a query":     "S3cr\\/et&#43;\\u0026%22ü~&gt;>%3F421",
		"in a query, twice":                "S3cr%252Fet%252B%2526%2522%25C3%25BC~%253E>%3F421",
		"in HTML, in JSON":                 "S3cr/et\\u0026#43;\\u0026amp;\\u0026#x22;ü~>>?421",
		"in HTML, twice":                   "S3cr/et+&amp;amp;&amp;quot;ü~&amp;gt;>?421",
		"in JSON, twice":                   "S3cr/et\\\\u002b&\\\\u0022ü~\\\\u003e>?421",
		"base64, in a query":               "UzNjci9ldCsmIsO8fj4%2BPzQyMQ%3D%3D",
		"base64, in HTML":                  "UzNjci9ldCsmIsO8fj4&#43;PzQyMQ&#61;&#61;",
	}
	midst := map[string]string{
		"in the midst of base64, at 3": "eHh4UzNjci9ldCsmIsO8fj4+PzQyMXl5eQ==",
		"in the midst of base64, at 4": "eHh4eFMzY3IvZXQrJiLDvH4+Pj80MjF5eXk=",
		"in the midst of base64, at 5": "eHh4eHhTM2NyL2V0KyYiw7x+Pj4/NDIxeXl5",
	}
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Secrets = []Secret{NewSecret("short"), NewSecret(awkward), NewSecret("abc"), {}}
	})
	for name, spelling := range spelt {
		require.Equal(t, "key [redacted]!", client.Clean("key "+spelling+"!"), name)
	}
	for name, whole := range midst {
		cleaned := client.Clean(whole)
		require.Contains(t, cleaned, "[redacted]", name)
		require.LessOrEqual(t, len(cleaned), len("[redacted]")+12, name)
	}
	require.Equal(t, "abc", client.Clean("abc"), "too short to be told from ordinary words")
}

// Words that are shorter than every secret are not searched, so no spelling may
// be shorter than its secret.
func TestNoSpellingIsShorterThanItsSecret(t *testing.T) {
	for _, secret := range []string{"abcd", "\x00\x01\x02\x03", "////", "+&<>", "\"\"\"\"", "éé", "a~b/",
		"abcde", awkward} {
		for _, spelling := range spellings(secret) {
			require.GreaterOrEqual(t, len(spelling), len(secret), "%q as %q", secret, spelling)
		}
		client := newClient(t, "https://service.test", func(c *Config) { c.Secrets = []Secret{NewSecret(secret)} })
		require.Equal(t, redactedText, client.Clean(secret))
	}
}

func TestWordsShorterThanEverySecretAreNotSearched(t *testing.T) {
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Secrets = []Secret{NewSecret("0123456789"), NewSecret("abc")}
	})
	require.Equal(t, "012345678", client.Clean("012345678"))
	require.Nil(t, client.words.needles, "the spellings were listed for nothing")
}

// Secrets of odd characters, and words that only look like escapes.
func TestEscapesAreReadBothWays(t *testing.T) {
	for secret, words := range map[string][]string{
		"50%25off":  {"50%25off", "50%2525off", "50%25%32%35off", "&#53;0%25off"},
		"a&amp;b":   {"a&amp;b", "a&amp;amp;b", "a%26amp;b"},
		`a\\nb`:     {`a\\nb`, `a\\\\nb`},
		"two words": {"two words", "two+words", "two%20words", `two\u0020words`},
		" leads":    {" leads", "+leads", "%20leads"},
		"😀smile": {"😀smile", `\ud83d\ude00smile`, `\uD83D\uDE00smile`, "%F0%9F%98%80smile", "&#128512;smile",
			`\U0001f600smile`},
		"bin\xffary":  {"bin\xffary", "bin%FFary", `bin\xffary`, "bin\uFFFDary", `bin\ufffdary`},
		"a/short~one": {"a/short~one", "a~1short~0one"},
		"tab\there":   {"tab\there", `tab\there`, "tab%09here", "tab&Tab;here", "tab&#9;here"},
	} {
		client := newClient(t, "https://service.test", func(c *Config) { c.Secrets = []Secret{NewSecret(secret)} })
		for _, text := range words {
			require.Equal(t, "x "+redactedText+" y", client.Clean("x "+text+" y"), "%q as %q", secret, text)
		}
		for _, text := range []string{"%", "&", `\\`, "%2", "&#", "&#;", "&;", `\u`, `\u12`, `\x`, "50%",
			"&#99999999999;", "%zz", "two words"[:8]} {
			require.NotContains(t, client.Clean(text), redactedText, "%q", text)
		}
	}
}

// What a service says costs little to search, even where it is all escapes, or
// almost the secret.
func TestCleaningIsCheap(t *testing.T) {
	secrets := []Secret{NewSecret(strings.Repeat(`\\`, 20) + "x"), NewSecret(strings.Repeat("%25", 60) + "x"),
		NewSecret(strings.Repeat("a", 60) + "x")}
	r := redactor{fixed: secrets}
	for _, unit := range []string{`\\`, "%25", "a", "&#97", "&", "&amp;", `\u005c`, "+"} {
		text := strings.Repeat(unit, maxErrorReply/len(unit))
		start := time.Now()
		require.NotEmpty(t, r.redact(text))
		require.Less(t, time.Since(start), time.Second, unit)
	}
}

// FuzzClean: however a secret is escaped, character by character, it is found.
func FuzzClean(f *testing.F) {
	f.Add("secret%25&amp;", []byte{0, 1, 2, 3, 4, 5, 6, 7}, "before", "after")
	f.Add("\xff\\u0041", []byte{1, 3, 4}, "%", ";")
	f.Add("aaaa", []byte{}, "a", "aa")
	f.Fuzz(func(t *testing.T, secret string, how []byte, before, after string) {
		if len(secret) < shortestSecret || len(secret) > 200 || len(before) > enough/2 {
			return
		}
		var escaped strings.Builder
		for n := range len(secret) {
			c := secret[n]
			way := byte(0)
			if len(how) > 0 {
				way = how[n%len(how)] % 6
			}
			switch {
			case way == 1:
				fmt.Fprintf(&escaped, "%%%02x", c)
			case way == 2 && c > 0 && c < 0x80 && c != '\r':
				fmt.Fprintf(&escaped, "&#%d;", c)
			case way == 3 && c > 0 && c < 0x80 && c != '\r':
				fmt.Fprintf(&escaped, "&#x%02X;", c)
			case way == 4 && c < 0x80:
				fmt.Fprintf(&escaped, `\u%04x`, c)
			case way == 5:
				fmt.Fprintf(&escaped, `\x%02x`, c)
			default:
				escaped.WriteByte(c)
			}
		}
		r := redactor{fixed: []Secret{NewSecret(secret)}}
		if got := r.redact(before + escaped.String() + after); !strings.Contains(got, redactedText) {
			t.Fatalf("%q as %q stays in %q", secret, escaped.String(), got)
		}
		require.Equal(t, redactedText, r.redact(secret))
	})
}

// Words are cut before they come here, in the midst of a secret, too.
func TestAPieceOfASecretIsRemoved(t *testing.T) {
	const secret = "abcdefghijklmnopqrstuvwxyz"
	client := newClient(t, "https://service.test", func(c *Config) { c.Secrets = []Secret{NewSecret(secret)} })
	for text, want := range map[string]string{
		`key "abcdefghijklmnopq"...`:       `key "[redacted]"...`,
		`key "abcdefghijkl"`:               `key "[redacted]"`,
		`key "abcdefghijk", of eleven too`: `key "abcdefghijk", of eleven too`,
		`key "abcdef&#103;hi%6akl&#1`:      `key "[redacted]&#1`,
		`key "...opqrstuvwxyz"`:            `key "...[redacted]"`,
		`key "bcdefghijklmnop..."`:         `key "[redacted]..."`,
		`key "...pqrstuvwxyz", of eleven`:  `key "...pqrstuvwxyz", of eleven`,
		`key "ABCDEFGHIJKLMNOPQRSTUVWXYZ"`: `key "[redacted]"`,
		`key "AbCdEf%47hijklm"`:            `key "[redacted]"`,
		"key \"abcdefgh\r\nijklm\x00nop\"": `key "[redacted]"`,
		`key "abcdefgh\nijklm\u0000nop"`:   `key "[redacted]"`,
	} {
		require.Equal(t, want, client.Clean(text))
	}
	err := client.words.cleanCause(errors.New("x " + secret))
	require.NotContains(t, Prints(err)+Prints(struct{ Err error }{err}), secret)
}

// An error of JSON names a place by a pointer, which has escapes of its own, and
// has fields that hold more than its words.
func TestAnErrorOfJSONShowsNoSecret(t *testing.T) {
	const secret = "Kq7/x+Zw~9Vb&t<Mh2Jd=Lr8Ns5Pf3"
	client := newClient(t, "https://service.test", func(c *Config) { c.Secrets = []Secret{NewSecret(secret)} })
	deep := strings.Repeat(`{"a-name-that-is-cut":`, 9)
	for name, body := range map[string]string{
		"a key":             `{"` + secret + `":[}`,
		"a key, in a piece": `{"` + secret[5:] + `":[}`,
		"a key, deep":       deep + `{"` + secret + `":{"` + strings.Repeat("z", 200) + `":[}`,
		"a value":           `{"n":"` + secret + `"}`,
	} {
		var v struct{ N int64 }
		err := client.words.cleanCause(Read(strings.NewReader(body), &v))
		require.Error(t, err, name)
		shown := Prints(err)
		for ; err != nil; err = errors.Unwrap(err) {
			shown += err.Error() + fmt.Sprintf("%+v %#v", err, err)
		}
		require.NotContains(t, shown, secret[10:20], name)
	}
}

func TestTheLongestSecretIsRemovedFirst(t *testing.T) {
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Secrets = []Secret{NewSecret("pass"), NewSecret("pass-and-more")}
	})
	require.Equal(t, "[redacted]", client.Clean("pass-and-more"))
}

// Clean also removes what requests have carried: the words of a Result are
// cleaned after the reply was read.
func TestCleanKnowsWhatRequestsHaveCarried(t *testing.T) {
	n := 0
	client := newClient(t, "https://service.test", func(c *Config) {
		c.Authorize = func(r *http.Request) error {
			n++
			r.Header.Set("Authorization", fmt.Sprintf("Bearer token-%04d", n))
			return nil
		}
		c.Middleware = only(func(r *http.Request) (*http.Response, error) { return answer(r, 200), nil })
	})
	for range 100 {
		require.NoError(t, client.Do(t.Context(), Call{Op: opRead, Decode: decodeOK}))
		require.Equal(t, "[redacted]", client.Clean(fmt.Sprintf("token-%04d", n)))
	}
	require.Equal(t, "[redacted] [redacted]", client.Clean("Bearer token-0100 token-0099"))
	require.Len(t, client.words.recent, recentSecrets, "the list does not grow for ever")
}

func TestWordsOfAServiceAreMadeFit(t *testing.T) {
	client := newClient(t, "https://service.test")
	for words, want := range map[string]string{
		"a\nb\x1b[31m":                `a\x0ab\x1b[31m`,
		" a\u2028b\u202ec\u200bd\x00": `a\u2028b\u202ec\u200bd\x00`,
		"x\xffy":                      "x\uFFFDy",
		strings.Repeat("é", 300):      strings.Repeat("é", 256) + "...",
		"a\u00a0b\u0085c":             `a\xa0b\x85c`,
	} {
		require.Equal(t, want, client.Clean(words))
	}
	require.Equal(t, strings.Repeat("x", 250)+" [reda...", client.Clean(strings.Repeat("x", 250)+" "+canary),
		"the text is cut after it was redacted")
}

// Every part of an error is cleaned, and the number of its faults is limited.
func TestAllWordsOfAnErrorAreClean(t *testing.T) {
	dirty := canary + "\n\x1b[2J" + strings.Repeat("x", 60_000)
	var fields []batch.FieldError
	for range 1000 {
		fields = append(fields, batch.FieldError{Item: -1, Reference: dirty, Field: dirty, Message: dirty})
	}
	refusal := &batch.Error{Kind: batch.ErrInvalid, Code: dirty, Message: dirty, RequestID: dirty, Fields: fields,
		Err: errors.New(dirty)}
	for name, change := range map[string]func(*Config){
		"under a status": func(c *Config) {
			c.Refusal = func(int, http.Header, []byte) *batch.Error { return refusal }
			c.Middleware = only(func(r *http.Request) (*http.Response, error) {
				return answer(r, 422, "X-Request-Id", dirty), nil
			})
		},
		"in a 200": func(c *Config) {
			c.Middleware = only(func(r *http.Request) (*http.Response, error) { return answer(r, 200), nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := newClient(t, "https://service.test", change).
				Do(t.Context(), Call{Op: opPay, Decode: func(io.Reader) error { return refusal }})
			var e *batch.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, batch.ErrInvalid, e.Kind)
			require.Len(t, e.Fields, maxFaults+1)
			require.Equal(t, "and 900 more", e.Fields[maxFaults].Message)
			texts := []string{e.Code, e.Message, e.RequestID, e.Err.Error()}
			for _, f := range e.Fields {
				texts = append(texts, f.Reference, f.Field, f.Message)
			}
			for _, text := range texts {
				require.NotContains(t, text, canary)
				require.NotContains(t, text, "\n")
				require.NotContains(t, text, "\x1b")
				require.LessOrEqual(t, len(text), 2*longestWords)
			}
		})
	}
}

// Shown lists every string that reflection reaches, through pointers and
// unexported fields: what the dump of a debugger shows.
func Shown(v any) (all []string) {
	type place struct {
		at uintptr
		of reflect.Type
	}
	seen := make(map[place]bool)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			all = append(all, v.String())
		case reflect.Pointer:
			if at := (place{v.Pointer(), v.Type()}); !v.IsNil() && !seen[at] {
				seen[at] = true
				walk(v.Elem())
			}
		case reflect.Interface:
			if !v.IsNil() {
				walk(v.Elem())
			}
		case reflect.Struct:
			for n := range v.NumField() {
				walk(v.Field(n))
			}
		case reflect.Slice, reflect.Array:
			if v.Type().Elem().Kind() == reflect.Uint8 && v.Kind() == reflect.Slice {
				all = append(all, string(v.Bytes()))
				return
			}
			for n := range v.Len() {
				walk(v.Index(n))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(key)
				walk(v.MapIndex(key))
			}
		}
	}
	walk(reflect.ValueOf(v))
	return all
}

// Prints writes v with every verb, and with every encoder of the standard
// library.
func Prints(v any) string {
	var all bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		fmt.Fprintf(&all, verb+"\n", v)
	}
	for _, encode := range []func(any) error{json.NewEncoder(&all).Encode, xml.NewEncoder(&all).Encode,
		gob.NewEncoder(&all).Encode} {
		_ = encode(v) // An encoder that refuses shows nothing.
	}
	slog.New(slog.NewTextHandler(&all, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "v", v)
	return all.String()
}

// Leaks fails if v shows a secret in any way.
func Leaks(t *testing.T, v any, secret string) {
	t.Helper()
	for _, text := range append(Shown(v), Prints(v)) {
		for _, spelling := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
			require.NotContains(t, text, spelling, "%T", v)
		}
	}
}

func TestNoPrintShowsASecret(t *testing.T) {
	s := NewSecret(canary)
	require.Equal(t, canary, s.Reveal())
	require.Empty(t, Secret{}.Reveal())
	client := newClient(t, "https://service.test")
	client.words.learn(canary)
	client.Clean("x") // The replacer is made.
	type holder struct{ Exported, hidden Secret }
	for _, v := range []any{s, &s, []Secret{s}, map[string]Secret{"k": s}, holder{s, s}, &holder{s, s},
		struct{ p *holder }{&holder{s, s}}, client, client.config} {
		Leaks(t, v, canary)
	}
	require.Contains(t, Prints(holder{Exported: s}), "[redacted]")
	require.Contains(t, Shown(&struct{ a []any }{[]any{&struct{ b string }{canary}}}), canary, "this test can fail")
}

// A reply of tiny values costs memory, not bytes.
func TestTheValuesOfAReplyAreLimited(t *testing.T) {
	type row struct{ A, B, C, D, E, F, G, H string }
	for name, unit := range map[string]string{"numbers": "1,", "objects": "{},", "lists": "[],"} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, "https://service.test", func(c *Config) {
				c.Middleware = only(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200,
						Body: io.NopCloser(io.MultiReader(strings.NewReader("["), &endless{text: unit}))}, nil
				})
			})
			client.budget.Store(0)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var rows []Maybe[row]
			err := client.Do(t.Context(), Call{Op: opRead, MaxReply: 64 << 20, Decode: JSON(&rows)})
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, errTooMany)
			require.ErrorIs(t, err, batch.ErrProtocol)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2*64<<20),
				"all that was allocated, freed or not")
		})
	}
}

// endless repeats a text.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for n := range p {
		p[n] = e.text[e.at%len(e.text)]
		e.at++
	}
	return len(p), nil
}

// A Once call reads one megabyte at the most, whatever it allows.
func TestTheSizeOfAReplyIsLimited(t *testing.T) {
	for name, c := range map[string]struct {
		call   Call
		status int
		size   int
		fits   bool
	}{
		"a read, by default":               {Call{Op: opRead}, 200, 1 << 20, true},
		"a read, one byte too much":        {Call{Op: opRead}, 200, 1<<20 + 1, false},
		"a read that allows more":          {Call{Op: opRead, MaxReply: 3 << 20}, 200, 3 << 20, true},
		"a read that allows more, too big": {Call{Op: opRead, MaxReply: 3 << 20}, 200, 3<<20 + 1, false},
		"Once":                             {Call{Op: opPay, MaxReply: 3 << 20}, 200, 1 << 20, true},
		"Once, one byte too much":          {Call{Op: opPay, MaxReply: 3 << 20}, 200, 1<<20 + 1, false},
		"a refusal":                        {Call{Op: opPay}, 422, 64 << 10, true},
		"a refusal, one byte too much":     {Call{Op: opPay, MaxReply: 3 << 20}, 422, 64<<10 + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, "https://service.test", func(config *Config) {
				config.Middleware = only(func(r *http.Request) (*http.Response, error) {
					reply := answer(r, c.status, "Content-Type", "application/json")
					reply.Body = io.NopCloser(strings.NewReader(`{"ok":true}` +
						strings.Repeat(" ", c.size-len(`{"ok":true}`))))
					return reply, nil
				})
			})
			client.budget.Store(0)
			c.call.Decode = decodeOK
			err := client.Do(t.Context(), c.call)
			switch {
			case c.status == 422 && c.fits:
				require.ErrorIs(t, err, batch.ErrInvalid)
			case c.fits:
				require.NoError(t, err)
			case c.call.Op.Safety == Once:
				require.ErrorIs(t, err, batch.ErrAmbiguous)
			default:
				require.ErrorIs(t, err, errTooLarge)
			}
		})
	}
}
