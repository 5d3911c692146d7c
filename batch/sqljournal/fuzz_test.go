package sqljournal_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
	"github.com/batchway/batchway-go/batch/sqljournal"
)

// FuzzEntries: rows that another client of the database has changed are damaged,
// or are the entries that their columns name, one after the other.
func FuzzEntries(f *testing.F) {
	draft := batch.Draft{Reference: "run-1", Direction: batch.Collect,
		Items: []batch.Item{{Reference: "a", Account: "b", Amount: batch.Money{Minor: 1, Currency: "GBP"}}}}
	text, lists, err := record.Encode(batch.Key{Reference: "run-1"}, batch.Entry{Seq: 1, Kind: batch.EntryIntent,
		Draft: &draft})
	require.NoError(f, err)
	list := lists[0]
	f.Add(record.Format, string(batch.EntryIntent), list.Digest, string(list.Text), string(text), string(text))
	f.Add(record.Format, string(batch.EntryIntent), list.Digest, `[]`, string(text), ``)
	f.Add(record.Format+1, string(batch.EntryIntent), list.Digest, string(list.Text), string(text), ``)
	for _, text := range []string{`null`, `{}`, `{"seq":1}`, `{"seq":1,"seq":2}`,
		`{"seq":1,"kind":"intent","draft":null}`, `[`, "\xff"} {
		f.Add(record.Format, "intent", "", ``, text, `{"seq":2,"kind":"intent"}`)
	}
	f.Fuzz(func(t *testing.T, format int, kind, digest, list, first, second string) {
		for _, texts := range [][]string{{first}, {first, second}, {}} {
			entries, err := sqljournal.Decode(format, kind, digest, list, texts...)
			if err == nil && (len(entries) != len(texts) || len(texts) == 0 || format != record.Format) {
				t.Fatalf("%d rows of format %d are %d entries", len(texts), format, len(entries))
			}
			for n, e := range entries {
				if e.Seq != n+1 || string(e.Kind) != kind {
					t.Fatalf("row %d of kind %q is entry %d of kind %q", n+1, kind, e.Seq, e.Kind)
				}
			}
		}
	})
}
