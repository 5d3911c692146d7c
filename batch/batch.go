package batch

import (
	"maps"
	"time"
)

// Direction says which way money moves. A Draft names the one it expects, so
// that a collection run can never become a payout run by choosing another
// provider.
type Direction string

// The directions.
const (
	Collect Direction = "collect" // from the item's account to you
	Pay     Direction = "pay"     // from you to the item's account
	Load    Direction = "load"    // records only; no money moves
)

// A Draft is what you want done. It is plain data: nothing is checked until a
// provider's Create, which reports every fault at once (see Info.Faults).
type Draft struct {
	// Reference is yours: unique among your batches, 1 to 64 of
	// [A-Za-z0-9_-]. Every reconciliation hangs on it.
	Reference string `json:"reference"`
	// Direction is the way you expect money to move.
	Direction Direction `json:"direction"`
	// Date is the day on which to process; zero means as soon as possible. It
	// is the day that the calendar shows in Date's own location: the time of
	// day and the zone are never sent.
	Date time.Time `json:"date,omitzero"`
	// Items are the payments or records. A few providers can fill them in
	// (Info.ItemsOptional).
	Items []Item `json:"items,omitempty"`
	// NotAfter is the time after which no Submit of the draft begins, in any
	// process; zero means that there is none. A batch that is unclear by then is
	// only read. It is never sent.
	NotAfter time.Time `json:"not_after,omitzero"`
	// Replaces is the reference of an earlier draft that this one takes the place
	// of: Run abandons that one first, and refuses if it may have been submitted,
	// or if another draft has taken its place.
	// If it is the Reference of this draft, this one corrects the earlier one:
	// Run withdraws that from the service, if the service can cancel, and goes on
	// with this. A batch that the service has made (Info.ExtraBatch) is not
	// canceled. Replaces is kept in the journal and never sent.
	Replaces string `json:"replaces,omitempty"`
	// Author is the person who asks for the batch, and Approvals is how many
	// other people must approve it with Desk.Approve before Run submits it. A
	// draft without items, which takes what the service has selected, needs one
	// at least. They are kept in the journal and never sent. They bind Run and
	// Resume; Provider.Submit, called by itself, knows no approvals.
	Author    string `json:"author,omitempty"`
	Approvals int    `json:"approvals,omitempty"`
	// Extra is service-specific: Info.Extra lists the keys that are
	// understood. An unknown key is refused, never dropped.
	Extra map[string]string `json:"extra,omitempty"`
}

// An Item is one payment, or one record.
type Item struct {
	// Reference is yours, unique within the draft. Reports are joined by it.
	Reference string `json:"reference"`
	// Account is a card-holder account, mobile number, client number...: each
	// provider documents its form.
	Account string `json:"account"`
	// Amount is exact, in the minor unit of its currency.
	Amount Money `json:"amount"`
	// Purpose is what the money is for, such as an invoice number; empty means
	// none. A journal gives a purpose to one batch at a time: Run refuses another
	// batch with it until this one is known not to have paid it (see Run). All
	// providers and accounts that share the journal's store share the purposes.
	// Case, spaces, the kind of a dash and invisible characters make no other
	// purpose. It is never sent.
	Purpose string `json:"purpose,omitempty"`
	// Labels are yours, such as a site or a cost centre: Report.By adds up by
	// them. They are kept in the journal and never sent.
	Labels map[string]string `json:"labels,omitempty"`
	// Extra is service-specific: Info.ItemExtra lists the keys.
	Extra map[string]string `json:"extra,omitempty"`
}

// State is where a batch stands, in words that mean the same everywhere. Only
// the last three are final.
type State string

// The states.
const (
	StateUnknown  State = ""          // maybe submitted, or a word this version does not know
	StateDraft    State = "draft"     // no money can move until Submit
	StatePending  State = "pending"   // the service has it and is not finished
	StateDone     State = "done"      // finished; items may still have failed: see Report
	StateFailed   State = "failed"    // refused or aborted as a whole
	StateCanceled State = "cancelled" // withdrawn before processing; journals keep this spelling
)

// StateCancelled is the earlier name of StateCanceled.
//
// Deprecated: use StateCanceled.
const StateCancelled = StateCanceled

// Final reports whether the state can no longer change.
func (s State) Final() bool {
	return s == StateDone || s == StateFailed || s == StateCanceled
}

// Batch is a handle: plain data. Store it as JSON before Submit, load it in
// another process, and go on.
type Batch struct {
	Provider  string    `json:"provider"`            // Info.Name of its maker; other providers refuse it
	ID        string    `json:"id,omitempty"`        // the service's id; empty until it has one
	Draft     Draft     `json:"draft"`               // what was asked, with what Create filled in
	State     State     `json:"state"`               // where it stands
	Native    string    `json:"native,omitempty"`    // the service's own word for State, e.g. "LOCKED"
	UpdatedAt time.Time `json:"updated_at,omitzero"` // when State was last read or set
	Counts    Counts    `json:"counts,omitzero"`     // how far it is, where the service says so when it is polled
}

// Counts says how far a batch is, as the service counted at the last poll: for
// progress bars. It decides nothing: Report says what became of each item. The
// zero value means that the service does not say.
type Counts struct {
	Final int `json:"final"` // items that have an outcome, which may be that they failed
	Items int `json:"items"` // all items of the batch
}

// Clone returns a copy that shares no memory with b.
func (b Batch) Clone() Batch {
	b.Draft = b.Draft.Clone()
	return b
}

// Clone returns a copy that shares no memory with d.
func (d Draft) Clone() Draft {
	d.Extra = maps.Clone(d.Extra)
	if d.Items != nil {
		items := make([]Item, len(d.Items))
		for i, item := range d.Items {
			item.Labels, item.Extra = maps.Clone(item.Labels), maps.Clone(item.Extra)
			items[i] = item
		}
		d.Items = items
	}
	return d
}
