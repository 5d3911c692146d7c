package batch

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Provider runs batches at one payment service.
//
//  1. Only Submit moves money. Create may leave a draft behind, nothing more.
//  2. Submit sends at most one request that can move money, and never sends it
//     again. It refuses, without I/O, a batch that is not StateDraft.
//  3. Every error is an *Error. Any kind but ErrAmbiguous promises that the
//     call had no lasting effect, except that a failed Create may leave a
//     draft, whose ID it then returns.
//  4. A returned Batch is never poorer than the one passed in, even beside an
//     error.
//  5. Arguments are not modified. All methods may be called concurrently.
//  6. A context that ends during Submit gives an error matching both ctx.Err()
//     and ErrAmbiguous, unless it is certain that nothing was sent.
//  7. Final states stay final.
//  8. A status word the provider does not know is StateUnknown with Native
//     set, not an error.
//  9. Adapters keep no state: a Batch restored from JSON continues with a
//     fresh Provider.
//  10. A Report has one Result per item, with its reference, and totals that
//     add up.
//  11. No credential appears in an error or a log record.
//  12. A draft of the wrong Direction and a batch of another provider are
//     refused before I/O.
//  13. Poll, PollAll and Find compare what the service shows of a batch with
//     its draft. A contradiction is ErrConflict: the service's batch is another
//     one. In StateUnknown, where the answer proves that a Submit arrived, Poll
//     compares everything that the service shows.
//
// Package batchtest proves these laws of any implementation.
type Provider interface {
	// Info returns fixed facts, without I/O.
	Info() Info

	// Create checks the draft and prepares a batch in StateDraft. No money
	// can move. A draft that the service could not accept gives ErrInvalid,
	// before any request, with one FieldError for every fault.
	//
	// If Create fails after the service has made something, the Batch beside
	// the error carries its ID: no money moves without a Submit, but the
	// draft is there.
	Create(ctx context.Context, d Draft) (Batch, error)

	// Submit lets the money move. On success the batch is StatePending or
	// final. On ErrAmbiguous it is StateUnknown: the batch may be running, or
	// may start later. Do not submit again; call Reconcile, or use Run, which
	// does so by the rules. On any other error nothing has happened and
	// nothing will, and the batch is still StateDraft.
	Submit(ctx context.Context, b Batch) (Batch, error)

	// Poll reads where the batch stands. It changes nothing at the service.
	// A batch in a final state is returned as it is, without I/O.
	Poll(ctx context.Context, b Batch) (Batch, error)

	// Report reads the outcome of every item, as known now. It changes
	// nothing at the service. Before the batch is final, items are
	// OutcomePending unless the service says more.
	//
	// A reply that does not fit the draft (items missing, unknown, twice, or
	// with another amount) gives ErrProtocol beside the report, never instead
	// of it, with one FieldError for every difference.
	Report(ctx context.Context, b Batch) (Report, error)
}

// Info holds fixed facts, so that a caller can plan without I/O.
type Info struct {
	Name      string        // "citypay"
	Account   string        // the account at the service, in one form: "sandbox/PC600001"; never a secret
	Direction Direction     // the way money moves here
	MaxItems  int           // largest batch; 0 if the service states none
	Interval  time.Duration // a polite first poll interval; Watch backs off from here
	Guard     Guard         // does the service itself refuse a second submit of the same batch?
	InFlight  time.Duration // how long after a Submit began its request may still arrive; 0 means 15 minutes
	// a 401 renews the credential: Run makes a Submit again, once, that was refused with 401
	Renews         bool
	PollsWithoutID bool   // Poll answers for a batch in StateUnknown that has no ID
	NoRepeat       bool   // Run never makes a second Submit in one call, whatever the first one said
	Currency       string // the only currency it takes; empty if it takes any ISO 4217 one

	// Overwrites says that an item sets something, such as a balance, in place of
	// what an earlier item of the same Reference has set. Of two batches with such
	// an item, the one that arrives last stands. Run therefore refuses a batch
	// (CodePurposeTaken) until every earlier one of the same items is over.
	Overwrites bool

	ItemsOptional bool     // a Draft without Items is meaningful: the provider documents what it does
	Extra         []string // the keys of Draft.Extra that it understands
	ItemExtra     []string // the keys of Item.Extra that it understands
	ExtraBatch    string   // the key of Extra that names a batch of the service's making; empty if there is none
	SecretExtra   []string // those of Extra whose values are secrets: journals keep only a digest of them

	// Terms is what the provider's configuration decides about money, such as
	// {"merchant": "11223344"}. A journal keeps the terms of an intent, and Run
	// refuses to go on under other terms. No value is a secret.
	Terms map[string]string
}

// Guard says whether the service itself refuses a second submit of the same
// batch. Run resends after an unclear outcome only behind a guard.
type Guard string

// The guards.
const (
	GuardNone    Guard = ""        // none is documented: an unclear submit is never sent again
	GuardRefuses Guard = "refuses" // whichever of two submits arrives second is refused
)

var reference = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Faults lists everything that keeps d from being acceptable to any service
// with these facts, in the order of the items. Providers add their own rules.
func (i Info) Faults(d Draft) []FieldError {
	var faults []FieldError
	draft := func(field, format string, args ...any) {
		faults = append(faults, FieldError{Item: -1, Field: field, Message: fmt.Sprintf(format, args...)})
	}

	if !reference.MatchString(d.Reference) {
		draft("reference", "must be 1 to 64 letters, digits, '_' or '-'")
	}
	if d.Direction != i.Direction {
		draft("direction", "is %q, but %s can only %s", d.Direction, i.Name, i.Direction)
	}
	if year := d.Date.Year(); year < 1 || year > 9999 {
		draft("date", "is of the year %d", year)
	}
	if d.Replaces != "" && !reference.MatchString(d.Replaces) {
		draft("replaces", "is %.80q; it must be the reference of a draft", d.Replaces)
	}
	if d.Approvals < 0 {
		draft("approvals", "is %d; it must be 0 or more", d.Approvals)
	}
	if text := spellingFault(d.Author); text != "" {
		draft("author", "%s", text)
	} else if d.Approvals > 0 && d.Author == "" {
		draft("author", "is empty; an author cannot approve, so it must be named")
	}
	if year := d.NotAfter.Year(); !d.NotAfter.IsZero() && (year < 1 || year > 9999) {
		draft("not_after", "is of the year %d", year)
	}
	for _, key := range unknownKeys(d.Extra, i.Extra) {
		draft("extra", "%s does not know the key %q", i.Name, key)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Extra)) {
		if fault := textFault(d.Extra[key]); fault != "" {
			draft("extra", "%q %s", key, fault)
		}
	}
	if len(d.Items) == 0 && !i.ItemsOptional {
		draft("items", "there are none")
	}
	if i.MaxItems > 0 && len(d.Items) > i.MaxItems {
		draft("items", "there are %d, and %s takes at most %d", len(d.Items), i.Name, i.MaxItems)
	}

	first := make(map[string]int, len(d.Items))
	purposes := make(map[string]int)
	var total Money
	overflow := false
	for n, item := range d.Items {
		fault := func(field, format string, args ...any) {
			faults = append(faults, FieldError{Item: n, Reference: item.Reference, Field: field,
				Message: fmt.Sprintf(format, args...)})
		}
		if item.Reference == "" {
			fault("reference", "is empty")
		} else if text := textFault(item.Reference); text != "" {
			fault("reference", "%s", text)
		} else if earlier, taken := first[folded(item.Reference)]; !taken {
			first[folded(item.Reference)] = n
		} else if other := d.Items[earlier].Reference; other == item.Reference {
			fault("reference", "is also that of item %d", earlier)
		} else {
			fault("reference",
				"differs from %q, that of item %d, only in case or in spaces around it: a service may take both for one", other, earlier)
		}
		if item.Account == "" {
			fault("account", "is empty")
		} else if text := textFault(item.Account); text != "" {
			fault("account", "%s", text)
		} else if item.Account == Erased {
			fault("account", "was erased from the journal; it must be the account")
		}
		for _, label := range slices.Sorted(maps.Keys(item.Labels)) {
			if text := cmp.Or(textFault(label), textFault(item.Labels[label])); text != "" {
				fault("labels", "%q %s", label, text)
			}
		}
		if item.Purpose != "" {
			name := spelled(item.Purpose)
			if text := spellingFault(item.Purpose); text != "" {
				fault("purpose", "%s", text)
			} else if earlier, taken := purposes[name]; taken {
				fault("purpose", "is also that of item %d", earlier)
			} else {
				purposes[name] = n
			}
		}
		switch {
		case item.Amount.Minor < 0:
			fault("amount", "is negative")
		case item.Amount.Minor == 0 && i.Direction != Load:
			fault("amount", "must be more than zero")
		}
		if fix := i.currencyFault(d, item); fix != "" {
			fault("currency", "%s", fix)
		} else if item.Amount.Minor > 0 && !overflow {
			sum, err := Money{total.Minor, item.Amount.Currency}.Add(item.Amount)
			if overflow = err != nil; overflow {
				fault("amount", "the total overflows here")
			}
			total = sum
		}
		for _, key := range unknownKeys(item.Extra, i.ItemExtra) {
			fault("extra", "%s does not know the key %q", i.Name, key)
		}
		if len(item.Extra) > 0 {
			for _, key := range slices.Sorted(maps.Keys(item.Extra)) {
				if text := textFault(item.Extra[key]); text != "" {
					fault("extra", "%q %s", key, text)
				}
			}
		}
	}
	return faults
}

// textFault says why no service can keep s as it is, or "".
func textFault(s string) string {
	for n, r := range s {
		switch {
		case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
			return fmt.Sprintf("holds the control character %U", r)
		case r == utf8.RuneError && !strings.HasPrefix(s[n:], string(utf8.RuneError)):
			return "is not valid UTF-8"
		}
	}
	return ""
}

// folded is s as a service may compare it: without case and spaces around it.
func folded(s string) string {
	s = strings.TrimSpace(s)
	for n := range len(s) {
		if s[n] >= utf8.RuneSelf {
			s = strings.ToUpper(s) // Some letters have one upper case and two lower ones.
			break
		}
	}
	return strings.ToLower(s)
}

func (i Info) currencyFault(d Draft, item Item) string {
	currency := item.Amount.Currency
	if i.Currency != "" {
		if currency != i.Currency {
			return fmt.Sprintf("is %q, and %s takes only %s here", currency, i.Name, i.Currency)
		}
		return ""
	}
	if _, known := Exponent(currency); !known {
		return fmt.Sprintf("%q is not a valid ISO 4217 currency code", currency)
	}
	if want := d.Items[0].Amount.Currency; currency != want {
		return fmt.Sprintf("is %s, but the first item's is %s: one batch has one currency", currency, want)
	}
	return ""
}

func unknownKeys(have map[string]string, known []string) []string {
	var unknown []string
	for key := range have {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Refuse says why a provider with these facts must not touch b, or nil: b is
// another provider's (law 12). Every provider asks it first, before any I/O.
func (i Info) Refuse(op string, b Batch) error {
	if b.Provider != i.Name {
		return &Error{Kind: ErrInvalid, Provider: i.Name, Op: op,
			Message: fmt.Sprintf("this batch is of provider %q", b.Provider)}
	}
	if b.Draft.Direction != i.Direction {
		return &Error{Kind: ErrInvalid, Provider: i.Name, Op: op,
			Message: fmt.Sprintf("this batch is to %s, and %s can only %s", b.Draft.Direction, i.Name, i.Direction)}
	}
	return nil
}

// RefuseSubmit is Refuse for Submit, which takes only a draft (law 2).
func (i Info) RefuseSubmit(op string, b Batch) error {
	if err := i.Refuse(op, b); err != nil {
		return err
	}
	if b.State != StateDraft {
		return &Error{Kind: ErrConflict, Provider: i.Name, Op: op,
			Message: fmt.Sprintf("only a draft can be submitted, and this batch is %q", b.State)}
	}
	if b.Draft.expired(time.Now()) {
		return &Error{Kind: ErrConflict, Provider: i.Name, Op: op, Code: CodeExpired, Message: "nothing was sent: " +
			b.Draft.lateness()}
	}
	return nil
}

// CodeExpired is the Code of the ErrConflict for a draft whose NotAfter has
// passed. No Submit was begun.
const CodeExpired = "expired"

func (d Draft) expired(now time.Time) bool { return !d.NotAfter.IsZero() && now.After(d.NotAfter) }

func (d Draft) lateness() string {
	return "the draft was to be submitted by " + d.NotAfter.UTC().Format(time.RFC3339)
}

// RefuseCancel is Refuse for Cancel: while it is not known whether b was
// submitted, only Resolve may cancel it, which writes down what came of that.
func (i Info) RefuseCancel(op string, b Batch) error {
	if err := i.Refuse(op, b); err != nil {
		return err
	}
	if b.State == StateUnknown {
		return &Error{Kind: ErrConflict, Provider: i.Name, Op: op,
			Message: "a submit of this batch may be under way: Reconcile it, or let Resolve abandon it"}
	}
	return nil
}
