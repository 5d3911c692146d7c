package batch_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/batchway/batchway-go/batch"
)

func gbp(minor int64) batch.Money { return batch.Money{Minor: minor, Currency: "GBP"} }

func draft(items ...batch.Item) batch.Draft {
	return batch.Draft{Reference: "run-1", Direction: batch.Collect, Items: items}
}

// A million items are refused where there may be ten thousand, without I/O, and
// are checked one by one, not each with all others.
func TestAMillionItems(t *testing.T) {
	items := make([]batch.Item, 1_000_000)
	for n := range items {
		items[n] = batch.Item{Reference: fmt.Sprint("item-", n), Account: "a", Amount: gbp(1)}
	}
	info := batch.Info{Name: "test", Direction: batch.Collect, MaxItems: 10_000}
	require.Equal(t,
		[]batch.FieldError{{Item: -1, Field: "items", Message: "there are 1000000, and test takes at most 10000"}},
		info.Faults(draft(items...)))

	info.MaxItems = 0
	require.Empty(t, info.Faults(draft(items...)), "what grows with the square would not end today")
}

func TestInfoFaults(t *testing.T) {
	info := batch.Info{Name: "test", Direction: batch.Collect, MaxItems: 3, Extra: []string{"note"},
		ItemExtra: []string{"memo"}}
	good := batch.Item{Reference: "a", Account: "acc", Amount: gbp(100)}
	with := func(change func(*batch.Item)) batch.Item {
		item := good
		item.Reference = "b"
		change(&item)
		return item
	}
	on := func(year int) batch.Draft {
		d := draft(good)
		d.Date = time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)
		return d
	}
	for name, c := range map[string]struct {
		draft batch.Draft
		want  []string
	}{
		"good":     {draft(good, with(func(*batch.Item) {})), nil},
		"no items": {draft(), []string{"items: there are none"}},
		"no reference": {batch.Draft{Direction: batch.Collect, Items: []batch.Item{good}},
			[]string{"reference: must be 1 to 64 letters, digits, '_' or '-'"}},
		"long reference": {batch.Draft{Reference: strings.Repeat("x", 65), Direction: batch.Collect,
			Items: []batch.Item{good}},
			[]string{"reference: must be 1 to 64 letters, digits, '_' or '-'"}},
		"newline in the reference": {batch.Draft{Reference: "run\n", Direction: batch.Collect,
			Items: []batch.Item{good}},
			[]string{"reference: must be 1 to 64 letters, digits, '_' or '-'"}},
		"wrong direction": {batch.Draft{Reference: "r", Direction: batch.Pay, Items: []batch.Item{good}},
			[]string{`direction: is "pay", but test can only collect`}},
		"unknown extra": {batch.Draft{Reference: "r", Direction: batch.Collect, Items: []batch.Item{good},
			Extra: map[string]string{"note": "", "z": "", "k": ""}},
			[]string{`extra: test does not know the key "k"`, `extra: test does not know the key "z"`}},
		"year 10000": {on(10000), []string{"date: is of the year 10000"}},
		"year 0":     {on(0), []string{"date: is of the year 0"}},
		"year -1":    {on(-1), []string{"date: is of the year -1"}},
		"year 9999":  {on(9999), nil},
		"too many":   {draft(good, good, good, good), nil},
		"repeated":   {draft(good, good), []string{`item 1 ("a"): reference: is also that of item 0`}},
		"empty item": {draft(batch.Item{Amount: gbp(1)}),
			[]string{"item 0: reference: is empty", "item 0: account: is empty"}},
		"zero amount": {draft(with(func(i *batch.Item) { i.Amount = gbp(0) })),
			[]string{`item 0 ("b"): amount: must be more than zero`}},
		"negative amount": {draft(with(func(i *batch.Item) { i.Amount = gbp(-1) })),
			[]string{`item 0 ("b"): amount: is negative`}},
		"mixed currencies": {draft(good, with(func(i *batch.Item) { i.Amount.Currency = "EUR" })),
			[]string{`item 1 ("b"): currency: is EUR, but the first item's is GBP: one batch has one currency`}},
		"unknown currency": {draft(with(func(i *batch.Item) { i.Amount.Currency = "GBX" })),
			[]string{`item 0 ("b"): currency: "GBX" is not a valid ISO 4217 currency code`}},
		"total overflows": {draft(with(func(i *batch.Item) { i.Amount = gbp(math.MaxInt64) }), good),
			[]string{`item 1 ("a"): amount: the total overflows here`}},
		"unknown itemextra": {draft(with(func(i *batch.Item) { i.Extra = map[string]string{"memo": "", "csc": "1"} })),
			[]string{`item 0 ("b"): extra: test does not know the key "csc"`}},
		"everything at once": {batch.Draft{Reference: "a b", Direction: batch.Load,
			Items: []batch.Item{{Reference: "x", Amount: gbp(-5)},
				{Reference: "x", Account: "y", Amount: batch.Money{Minor: 1}}}},
			[]string{
				"reference: must be 1 to 64 letters, digits, '_' or '-'",
				`direction: is "load", but test can only collect`,
				`item 0 ("x"): account: is empty`,
				`item 0 ("x"): amount: is negative`,
				`item 1 ("x"): reference: is also that of item 0`,
				`item 1 ("x"): currency: "" is not a valid ISO 4217 currency code`,
			}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "too many" {
				for i := range c.draft.Items {
					c.draft.Items[i].Reference = string(rune('a' + i))
				}
				c.want = []string{"items: there are 4, and test takes at most 3"}
			}
			var got []string
			for _, fault := range info.Faults(c.draft) {
				got = append(got, fault.Error())
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the faults are not as wanted (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInfoFaultsByProvider(t *testing.T) {
	own := batch.Info{Name: "six", Direction: batch.Collect, Currency: "DZAR"}
	item := batch.Item{Reference: "a", Account: "b", Amount: batch.Money{Minor: 1, Currency: "DZAR"}}
	require.Empty(t, own.Faults(draft(item)), "a service's own currency is good there")
	item.Amount.Currency = "ZAR"
	require.Len(t, own.Faults(draft(item)), 1)

	selects := batch.Info{Name: "snap", Direction: batch.Collect, ItemsOptional: true}
	require.Empty(t, selects.Faults(draft()), "a service that selects the items itself takes an empty draft")

	loads := batch.Info{Name: "load", Direction: batch.Load}
	d := draft(batch.Item{Reference: "a", Account: "b", Amount: gbp(0)})
	d.Direction = batch.Load
	require.Empty(t, loads.Faults(d), "a record may have a balance of zero")
}

func TestRefuse(t *testing.T) {
	info := batch.Info{Name: "mine", Direction: batch.Collect}
	b := batch.Batch{Provider: "mine", Draft: draft(), State: batch.StateDraft}
	require.NoError(t, info.Refuse("Poll", b))
	require.NoError(t, info.RefuseSubmit("Submit", b))

	b.State = batch.StatePending
	require.NoError(t, info.Refuse("Poll", b))
	require.ErrorIs(t, info.RefuseSubmit("Submit", b), batch.ErrConflict)

	b.State, b.Draft.Direction = batch.StateDraft, batch.Pay
	require.ErrorIs(t, info.Refuse("Poll", b), batch.ErrInvalid)

	b.Draft.Direction, b.Provider = batch.Collect, "theirs"
	require.ErrorIs(t, info.RefuseSubmit("Submit", b), batch.ErrInvalid)
}

func TestCloneSharesNothing(t *testing.T) {
	b := batch.Batch{Draft: draft(batch.Item{Reference: "a", Extra: map[string]string{"k": "v"}})}
	b.Draft.Extra = map[string]string{"k": "v"}
	c := b.Clone()
	require.Empty(t, cmp.Diff(b, c))
	c.Draft.Extra["k"], c.Draft.Items[0].Extra["k"], c.Draft.Items[0].Account = "w", "w", "w"
	require.Equal(t, "v", b.Draft.Extra["k"])
	require.Equal(t, "v", b.Draft.Items[0].Extra["k"])
	require.Empty(t, b.Draft.Items[0].Account)
}
