package batch

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what an Error promises. Each Kind is itself an error, so
// errors.Is(err, batch.ErrFunds) asks for it.
//
// Every Kind but ErrAmbiguous promises that the call of the Provider that
// failed moved no money and will not; a failed Create may leave a draft. Run,
// Resume and Resolve make several calls: see there.
type Kind string

// The kinds of errors, and what each promises.
const (
	ErrInvalid     Kind = "invalid"     // the request is wrong; fix it
	ErrAuth        Kind = "auth"        // credentials missing, wrong or not allowed
	ErrNotFound    Kind = "not found"   // no such batch, as far as the service says
	ErrConflict    Kind = "conflict"    // wrong state, the reference is taken, or totals do not match
	ErrFunds       Kind = "funds"       // refused for lack of money; the draft is intact
	ErrThrottled   Kind = "throttled"   // see Error.RetryAfter
	ErrUnavailable Kind = "unavailable" // the request never arrived, or a read failed
	ErrProtocol    Kind = "protocol"    // a read gave an answer that makes no sense
	ErrUnsupported Kind = "unsupported" // also matches errors.ErrUnsupported
	ErrAmbiguous   Kind = "ambiguous"   // it may have happened, or may still. Do not resend. Reconcile.
)

// Error returns the word of the kind.
func (k Kind) Error() string { return string(k) }

// Is lets ErrUnsupported match errors.ErrUnsupported.
func (k Kind) Is(target error) bool {
	return k == ErrUnsupported && target == errors.ErrUnsupported
}

// Error is the one error type of this module. No field holds a credential.
type Error struct {
	Kind       Kind
	Provider   string        // "citypay"
	Op         string        // "ProcessBatch": the name in the provider's ops.go
	Status     int           // HTTP status, 0 if there was no reply
	Code       string        // the service's own code
	Message    string        // the service's own words, trimmed, secrets removed
	RequestID  string        // the service's own id of this exchange, for its support
	RetryAfter time.Duration // how long the service asked us to wait; 0 if it did not
	Fields     []FieldError  // which item and field, for ErrInvalid and for reports that do not match
	Err        error         // the cause
}

// A FieldError names one fault of one item, or of the draft itself.
type FieldError struct {
	Item      int    `json:"item"`                // index in Draft.Items; -1 for the draft itself
	Reference string `json:"reference,omitempty"` // the item's reference, if it has one
	Field     string `json:"field,omitempty"`     // "amount"
	Message   string `json:"message"`             // "must be more than zero"
}

// Error names the place and the fault: `item 3 ("inv-7"): amount: must be more than zero`.
func (f FieldError) Error() string {
	switch {
	case f.Item < 0 && f.Field == "":
		return f.Message
	case f.Item < 0:
		return fmt.Sprintf("%s: %s", f.Field, f.Message)
	case f.Reference == "":
		return fmt.Sprintf("item %d: %s: %s", f.Item, f.Field, f.Message)
	default:
		return fmt.Sprintf("item %d (%q): %s: %s", f.Item, f.Reference, f.Field, f.Message)
	}
}

// fieldsShown bounds how many faults Error prints; Fields holds all of them.
const fieldsShown = 10

// Error is one line: provider, operation, kind, then what is known.
func (e *Error) Error() string {
	var s strings.Builder
	for _, part := range []string{e.Provider, e.Op} {
		if part != "" {
			s.WriteString(part + ": ")
		}
	}
	s.WriteString(string(e.Kind))
	if e.Status != 0 {
		fmt.Fprintf(&s, " (HTTP %d)", e.Status)
	}
	if e.Code != "" {
		s.WriteString(" " + e.Code)
	}
	if e.Message != "" {
		s.WriteString(": " + e.Message)
	}
	if faults := e.faults(); faults != "" {
		s.WriteString(": " + faults)
	}
	if e.Err != nil {
		s.WriteString(": " + e.Err.Error())
	}
	return strings.ReplaceAll(s.String(), "\n", "; ") // errors.Join puts one error on a line.
}

// faults are the first of Fields, and how many more there are.
func (e *Error) faults() string {
	var shown []string
	for i, f := range e.Fields {
		if i == fieldsShown {
			shown = append(shown, fmt.Sprintf("and %d more", len(e.Fields)-i))
			break
		}
		shown = append(shown, f.Error())
	}
	return strings.Join(shown, "; ")
}

// Unwrap gives the Kind and the cause. A Kind deeper in the cause stays
// hidden: an error makes one promise, that of its outermost Error.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, cause{e.Err}}
}

// cause answers errors.Is and errors.As for everything but this package's own
// kinds and errors, so that "ambiguous, because the read was unavailable" is
// never taken for "unavailable: trying again is safe".
type cause struct{ err error }

func (c cause) Error() string { return c.err.Error() }

func (c cause) Is(target error) bool {
	_, isKind := target.(Kind)
	return !isKind && errors.Is(c.err, target)
}

func (c cause) As(target any) bool {
	switch target.(type) {
	case **Error, *Kind:
		return false
	}
	return errors.As(c.err, target)
}

// KindOf returns the kind of err's outermost Error; ErrAmbiguous, the careful
// answer, for any other error, and "" for nil.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	default:
		return ErrAmbiguous
	}
}

// Invalid returns an ErrInvalid that lists every fault, or nil if there is none.
func Invalid(provider, op string, faults []FieldError) error {
	if len(faults) == 0 {
		return nil
	}
	return &Error{Kind: ErrInvalid, Provider: provider, Op: op, Fields: faults}
}
