package record

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/batchway/batchway-go/batch"
)

// Erase returns a copy of a history without what identifies the people of the
// items that match: their accounts and their Extra, and both wherever a text of
// the history repeats them. It reports whether an item matched. An item that was
// erased before does not match.
//
// The fingerprint of a draft and the digest of an approval go, too: with the rest
// of the draft in hand, an account could be found by trying all numbers.
func Erase(history []batch.Entry, match func(batch.Item) bool) (after []batch.Entry, erased bool) {
	var people []string
	clean := func(items []batch.Item) []batch.Item {
		var cleaned []batch.Item
		for n, item := range items {
			if item.Account == batch.Erased || !match(item) {
				continue
			}
			erased = true
			people = append(people, item.Account)
			for _, value := range item.Extra {
				people = append(people, value)
			}
			if cleaned == nil {
				cleaned = slices.Clone(items)
			}
			cleaned[n].Account, cleaned[n].Extra = batch.Erased, nil
		}
		if cleaned == nil {
			return items
		}
		return cleaned
	}
	after = slices.Clone(history)
	for n := range after {
		e := &after[n]
		if e.Draft != nil {
			d := *e.Draft
			d.Items, e.Draft = clean(d.Items), &d
		}
		if e.Batch != nil {
			b := *e.Batch
			b.Draft.Items, e.Batch = clean(b.Draft.Items), &b
		}
	}
	if !erased {
		return history, false
	}
	texts := replacer(people)
	for n := range after {
		e := &after[n]
		if e.Fingerprint != "" {
			e.Fingerprint = batch.Erased
		}
		if e.Batch != nil {
			e.Batch.Native = texts.Replace(e.Batch.Native)
		}
		if e.Failure != nil {
			f := *e.Failure
			f.Message, e.Failure = texts.Replace(f.Message), &f
		}
		if e.Decision != nil {
			d := *e.Decision
			d.Reason, e.Decision = texts.Replace(d.Reason), &d
		}
		if e.Note != nil {
			note := *e.Note
			note.Text, e.Note = texts.Replace(note.Text), &note
		}
		if e.Approval != nil {
			a := *e.Approval
			a.Digest, e.Approval = batch.Erased, &a
		}
	}
	return after, true
}

// replacer replaces each of people in a text, the longest first. One that is
// shorter than three bytes would also be a part of other words.
func replacer(people []string) *strings.Replacer {
	people = slices.DeleteFunc(people, func(s string) bool { return len(s) < 3 })
	slices.SortFunc(people, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, s := range slices.Compact(people) {
		pairs = append(pairs, s, batch.Erased)
	}
	return strings.NewReplacer(pairs...)
}

// EraseEach erases with one, which erases from a history unless it is not done,
// wherever an item matches. It returns the keys of the histories that changed,
// and ErrConflict for those that are not done.
func EraseEach(histories iter.Seq2[batch.History, error], match func(batch.Item) bool,
	one func(key batch.Key) (erased bool, err error)) (erased []batch.Key, err error) {
	var open []string
	for h, err := range histories {
		if err != nil {
			return erased, err
		}
		if _, matched := Erase(h.Entries, match); !matched {
			continue
		}
		switch changed, err := one(h.Key); {
		case err != nil:
			return erased, err
		case changed:
			erased = append(erased, h.Key)
		default:
			open = append(open, h.Key.Reference)
		}
	}
	if len(open) == 0 {
		return erased, nil
	}
	return erased, &batch.Error{Kind: batch.ErrConflict, Op: "Journal", Message: "the batches " +
		strings.Join(open, ", ") +
		" are open, and need the accounts of their items: nothing was erased in them; erase again once they are closed"}
}
