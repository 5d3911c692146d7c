package record_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// FuzzDecode: no text of an entry panics, and what is read is written down as
// the same entry again.
func FuzzDecode(f *testing.F) {
	item := batch.Item{Reference: "a", Account: "b", Amount: batch.Money{Minor: 1, Currency: "GBP"}}
	draft := batch.Draft{Reference: "run-1", Direction: batch.Collect, Items: []batch.Item{item}}
	b := batch.Batch{Provider: "test", ID: "1", Draft: draft, State: batch.StatePending}
	for _, e := range []batch.Entry{{Seq: 1, Kind: batch.EntryIntent, Draft: &draft},
		{Seq: 2, Kind: batch.EntryAttempt, Batch: &b, At: time.Unix(1, 0)}} {
		text, lists, err := record.Encode(batch.Key{}, e)
		require.NoError(f, err)
		f.Add(text, lists[0].Text)
	}
	for _, text := range []string{"null", "{}", `{"draft_items":"x"}`, `{"draft":null,"draft_items":"x"}`,
		`{"draft":{},"draft_items":"x","batch":{},"batch_items":"y"}`, `{"seq":"1"}`} {
		f.Add([]byte(text), []byte("[]"))
	}
	f.Fuzz(func(t *testing.T, text, list []byte) {
		lists := make(record.Lists)
		e, err := record.Decode(text, func(digest string) ([]batch.Item, error) {
			if items, err := lists.Get(digest, list); err == nil {
				return items, nil
			}
			return nil, errors.New("no such list")
		})
		if err != nil {
			return
		}
		again, written, err := record.Encode(batch.Key{Reference: "run-1"}, e)
		require.NoError(t, err)
		texts := make(map[string][]byte)
		for _, l := range written {
			texts[l.Digest] = l.Text
		}
		same, err := record.Decode(again, func(digest string) ([]batch.Item, error) {
			return make(record.Lists).Get(digest, texts[digest])
		})
		require.NoError(t, err)
		if diff := cmp.Diff(e, same, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("read, written and read again (-first +second):\n%s", diff)
		}
	})
}
