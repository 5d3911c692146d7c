package batch

import (
	"slices"
	"strconv"
	"strings"
)

// CodePurposeTaken is the Code of the ErrConflict of Run for a draft with a
// purpose, or an item that overwrites (Info.Overwrites), that another batch
// holds. Nothing was sent, and nothing was written: Run with the same draft may be
// called again later. The error wraps a *ClaimedError, which names the holder.
const CodePurposeTaken = "purpose_taken"

// purposeName is the name under which a journal knows a purpose.
func purposeName(purpose string) string { return purposePrefix + strconv.Quote(spelled(purpose)) }

const purposePrefix = "purpose "

// placeName is the name under which a journal knows the place of a draft that
// another one takes (Draft.Replaces). It is never released: a draft that is given
// up may be replaced itself.
func (e *engine) placeName(reference string) string {
	return placePrefix + strconv.Quote(reference) + " of " + e.key.Account + " at " + e.key.Provider
}

const placePrefix = "the place of "

// names are what an item claims: its purpose, and the record that it overwrites.
func (e *engine) names(item Item) (names []string) {
	if item.Purpose != "" {
		names = append(names, purposeName(item.Purpose))
	}
	if e.info.Overwrites {
		names = append(names, e.recordName(item))
	}
	return names
}

// recordName is the name under which a journal knows the record that an item
// overwrites.
func (e *engine) recordName(item Item) string {
	return "record " + strconv.Quote(item.Reference) + " of " + e.key.Account + " at " + e.key.Provider
}

// purposes are the names of items that this key must claim, and those of an
// earlier draft that it no longer needs.
func (e *engine) purposes(items []Item) (claims, releases []string) {
	needed := make(map[string]bool, len(items))
	for _, item := range items {
		for _, name := range e.names(item) {
			if needed[name] = true; !e.claimed[name] {
				claims = append(claims, name)
			}
		}
	}
	for _, entry := range e.history {
		if entry.Kind != EntryIntent {
			continue
		}
		for _, name := range e.heldPurposes(entry.Draft.Items) {
			if !needed[name] {
				releases = append(releases, name)
			}
		}
	}
	slices.Sort(releases)
	return claims, slices.Compact(releases)
}

// heldPurposes are the names of items that this key holds.
func (e *engine) heldPurposes(items []Item) (held []string) {
	for _, item := range items {
		for _, name := range e.names(item) {
			if e.claimed[name] {
				held = append(held, name)
			}
		}
	}
	return held
}

// moved says which outcomes may have moved money that did not come back.
var moved = map[Outcome]bool{
	OutcomePaid:     true,
	OutcomePending:  true,
	OutcomeUnknown:  true,
	OutcomeFailed:   false,
	OutcomeSkipped:  false,
	OutcomeReturned: false,
}

// settled are the purposes that r, a final report, may have paid although this
// key has freed them, and the names that this key holds and that r has freed: the
// purposes that it did not pay, and every record, because what is over overwrites
// nothing any more.
func (e *engine) settled(r Report) (claims, releases []string) {
	free := make([]Item, len(r.Results))
	for n, result := range r.Results {
		free[n] = result.Item
		if may, known := moved[result.Outcome]; known && !may {
			continue
		}
		if name := purposeName(result.Item.Purpose); result.Item.Purpose != "" && !e.claimed[name] {
			claims = append(claims, name)
		}
		free[n].Purpose = "" // It is not free.
	}
	return claims, e.heldPurposes(free)
}

// givenUp are the purposes that a batch frees which is abandoned as b: all of
// them if no Submit had an effect, as the service or an operator (Resend) has
// said, and none otherwise.
func (e *engine) givenUp(p progress, b Batch) []string {
	if p.open > 0 && !p.resend && b.State != StateCanceled {
		return nil
	}
	return e.heldPurposes(p.intent.Draft.Items)
}

// reasonOf says why a draft must wait for the holder of a name.
func reasonOf(held *ClaimedError) string {
	if strings.HasPrefix(held.Name, purposePrefix) {
		return "another batch may have paid for the same"
	}
	return "an older batch sets the same, and is not over: end it, or give it up with Draft.Replaces"
}
