package record

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/batchway/batchway-go/batch"
)

// Format is the version of the text of an entry.
const Format = 2

// A List is items of a draft, which many entries of a history share. An entry
// names it by its digest, so a list is written down once.
type List struct {
	Digest string
	Text   []byte
}

// An entryText is an entry as it is written down: its drafts have no items.
type entryText struct {
	batch.Entry

	DraftItems string `json:"draft_items,omitempty"` // the digest of the items of Draft
	BatchItems string `json:"batch_items,omitempty"` // the digest of the items of Batch.Draft
}

// Encode returns the text of e and the lists that the text names. It returns
// ErrInvalid if e has no JSON.
func Encode(key batch.Key, e batch.Entry) (text []byte, lists []List, err error) {
	t := entryText{Entry: e}
	apart := func(d *batch.Draft) (digest string) {
		if len(d.Items) == 0 || err != nil {
			return ""
		}
		var items []byte
		items, err = json.Marshal(d.Items)
		d.Items = nil
		digest = digestOf(items)
		if len(lists) == 0 || lists[0].Digest != digest {
			lists = append(lists, List{digest, items})
		}
		return digest
	}
	if e.Draft != nil {
		d := *e.Draft
		t.Draft, t.DraftItems = &d, apart(&d)
	}
	if e.Batch != nil {
		b := *e.Batch
		t.Batch, t.BatchItems = &b, apart(&b.Draft)
	}
	if err == nil {
		text, err = json.Marshal(t)
	}
	if err != nil {
		return nil, nil, &batch.Error{Kind: batch.ErrInvalid, Op: "Journal",
			Message: fmt.Sprintf("entry %d of %q cannot be written down", e.Seq, key.Reference), Err: err}
	}
	return text, lists, nil
}

// Decode returns the entry that text describes, with the items that lists
// returns for a digest. Entries of one history may share their items.
func Decode(text []byte, lists func(digest string) ([]batch.Item, error)) (batch.Entry, error) {
	var t entryText
	if err := json.Unmarshal(text, &t); err != nil {
		return batch.Entry{}, err
	}
	if t.DraftItems != "" && t.Draft == nil || t.BatchItems != "" && t.Batch == nil {
		return batch.Entry{}, errors.New("it has items, but not the draft that they belong to")
	}
	var err error
	if t.DraftItems != "" {
		if t.Draft.Items, err = lists(t.DraftItems); err != nil {
			return batch.Entry{}, err
		}
	}
	if t.BatchItems != "" {
		if t.Batch.Draft.Items, err = lists(t.BatchItems); err != nil {
			return batch.Entry{}, err
		}
	}
	return t.Entry, nil
}

// Lists remembers the items of one history, each list decoded once.
type Lists map[string][]batch.Item

// Get returns the items of the list that has digest. Text must be that list.
func (l Lists) Get(digest string, text []byte) ([]batch.Item, error) {
	if items, ok := l[digest]; ok {
		return items, nil
	}
	if err := Check(digest, text); err != nil {
		return nil, err
	}
	var items []batch.Item
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, err
	}
	l[digest] = items[:len(items):len(items)]
	return l[digest], nil
}

// Check returns an error if text is not the list with this digest.
func Check(digest string, text []byte) error {
	if digestOf(text) != digest {
		return errors.New("its items are missing or altered")
	}
	return nil
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Pruned is the error of a key whose history was removed.
func Pruned(key batch.Key) error {
	return &batch.Error{Kind: batch.ErrConflict, Op: "Journal", Message: fmt.Sprintf(
		"the history of %q was archived and pruned: its batch is done, and its reference stays used; use another reference", key.Reference)}
}
