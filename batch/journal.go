package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"
)

// A Journal remembers, for every batch, what must survive a crash: Run writes
// down what it is about to do before the first byte leaves, and what came of
// it before its caller hears of it.
//
// A journal is a set of histories, one for each Key, to which entries are only
// ever appended. It keeps no rules about money: those are in Run. What an
// implementation promises is small and hard:
//
//  1. When Append returns nil, the entry survives a crash of the process and
//     of the machine.
//  2. When Append returns an error, the entry may or may not have been kept,
//     and the journal refuses every later Append until it is opened anew: a
//     disk that failed once is not to be believed.
//     Where it is certain that nothing was written, the journal goes on: after
//     ErrConflict, after ErrInvalid (an entry that cannot be kept), and where
//     the storage was never reached.
//  3. An entry is accepted only as the next of its history (Entry.Seq); of two
//     writers, one gets ErrConflict.
//  4. History returns what was appended, in order, complete, or an error.
//  5. A name that an entry claims (Entry.Claims) belongs to the key of that
//     entry until another entry of the same key releases it (Entry.Releases).
//     Append of an entry that claims a name of another key returns a
//     *ClaimedError, writes nothing, and the journal goes on. The names of an
//     entry are claimed and released together with it, all or none; releases
//     come first. All keys of one store share the names. Done releases nothing.
//  6. A journal that was opened for one account answers every question about a
//     key of another account with ErrInvalid.
//
// The entries of a history may share memory with each other and with what was
// appended: their drafts and items are to be read, not changed.
//
// A journal may be able to remove old histories (batchtest.Pruner). Then the
// key of a history that was removed stays used: History and Append return
// ErrConflict, so that a batch is not sent again under its reference. It may be
// able to erase people from closed histories (batchtest.Eraser): see Erased.
//
// It holds no credential. It does hold the accounts and amounts of the items.
// Package batchtest proves these promises of any implementation.
type Journal interface {
	// Lock waits for the sole right to act on key and returns the function
	// that gives it back. It gives up when ctx ends. A crash gives it back.
	Lock(ctx context.Context, key Key) (unlock func(), err error)

	// History returns the entries of key, oldest first; none if there are none.
	History(ctx context.Context, key Key) ([]Entry, error)

	// Append adds the next entry to the history of key.
	Append(ctx context.Context, key Key, e Entry) error

	// Open yields the history of every key of one account at one provider whose
	// last entry is not EntryDone, in no particular order and in bounded memory.
	// The caller may append between two of them: a history is as it was at some
	// time since Open was called, and is read again under its lock before it is
	// acted on.
	// An error beside a History with a Key says that this one cannot be read, and
	// the others follow; an error without a Key is the last.
	Open(ctx context.Context, provider, account string) iter.Seq2[History, error]

	// Closed yields the histories whose last entry is EntryDone and was made at
	// since or later. Otherwise it is as Open.
	Closed(ctx context.Context, provider, account string, since time.Time) iter.Seq2[History, error]

	// Next returns a number of a named sequence that it has never returned and
	// never will again: the first is first, each other is larger than all
	// before. It is durable before it is returned.
	Next(ctx context.Context, sequence string, first int64) (int64, error)
}

// Erased is what a journal holds in place of the account of an item that was
// erased, and in place of what was derived from it. What became of a batch with
// such an item is known from the journal alone: Run, Resume and Review do not
// read its report again. No draft can have it as an account.
const Erased = "(erased)"

// A Clock is a Journal that several machines share and that has a clock of its
// own. How long ago a Submit began is measured by it, and not by the clocks of
// the machines.
type Clock interface {
	Now(ctx context.Context) (time.Time, error)
}

// A Key names one intent. The same key is the same batch, whoever asks and
// however often; another draft under the same key is refused.
type Key struct {
	Provider  string `json:"provider"` // Info.Name
	Account   string `json:"account"`  // Info.Account
	Reference string `json:"reference"`
}

// A History is all entries of one key, oldest first.
type History struct {
	Key     Key
	Entries []Entry
}

// A ClaimedError says that a name belongs to another key. It matches
// ErrConflict.
type ClaimedError struct {
	Name   string
	Holder Key
}

// Error names the holder.
func (e *ClaimedError) Error() string {
	return fmt.Sprintf("%s belongs to the reference %q of %s at %s", e.Name, e.Holder.Reference, e.Holder.Account,
		e.Holder.Provider)
}

// Is reports whether target is ErrConflict.
func (e *ClaimedError) Is(target error) bool { return target == ErrConflict }

// EntryKind says what an Entry records.
type EntryKind string

// The kinds of entries.
const (
	EntryIntent     EntryKind = "intent"     // what is wanted; nothing has been sent
	EntryAttempt    EntryKind = "attempt"    // a step is about to be sent
	EntryResult     EntryKind = "result"     // how that attempt ended
	EntryWithdrawn  EntryKind = "withdrawn"  // a draft that an earlier Create had left was canceled
	EntryObserved   EntryKind = "observed"   // a read gave evidence about an unclear Submit, but not the batch
	EntryReconciled EntryKind = "reconciled" // a read, or an operator, says that the service has the batch
	EntryDecision   EntryKind = "decision"   // an operator says that the unclear attempts had no effect
	EntryApproval   EntryKind = "approval"   // a person approves of what is intended
	EntryNote       EntryKind = "note"       // what a person has written down; it decides nothing
	EntryDone       EntryKind = "done"       // final and reported without a difference, or given up by a person
)

// Step is a call that changes something at the service.
type Step string

// The steps.
const (
	StepCreate Step = "create" // moves no money
	StepSubmit Step = "submit" // moves money
)

// An Entry is one record of a history: plain data, JSON-safe.
type Entry struct {
	Seq         int               `json:"seq"` // 1, 2, 3... within the history
	Kind        EntryKind         `json:"kind"`
	At          time.Time         `json:"at"`
	Fingerprint string            `json:"fingerprint,omitempty"` // of the draft, in an intent
	Draft       *Draft            `json:"draft,omitempty"`       // in an intent
	Terms       map[string]string `json:"terms,omitempty"`       // Info.Terms, in an intent
	Step        Step              `json:"step,omitempty"`        // in an attempt and its result
	Attempt     int               `json:"attempt,omitempty"`     // 1, 2, 3... within the step
	Batch       *Batch            `json:"batch,omitempty"`       // as it was known then
	Failure     *Failure          `json:"failure,omitempty"`     // in a result: nil means success
	Decision    *Decision         `json:"decision,omitempty"`    // the person's word that this entry rests on
	// in an intent: as many people must approve before a Submit
	Approvals int           `json:"approvals,omitempty"`
	Approval  *Approval     `json:"approval,omitempty"` // in an approval
	Note      *Note         `json:"note,omitempty"`     // in a note
	Outcomes  *ItemOutcomes `json:"outcomes,omitempty"` // in a done: what was reported of the items of Batch
	Claims    []string      `json:"claims,omitempty"`   // names that belong to this key from now on
	Releases  []string      `json:"releases,omitempty"` // names that no longer belong to it
}

// A Failure is an Error as a journal keeps it.
type Failure struct {
	Kind      Kind   `json:"kind"`
	Op        string `json:"op,omitempty"`
	Status    int    `json:"status,omitempty"`
	Code      string `json:"code,omitempty"`
	Message   string `json:"message,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// String is the failure in one line: "funds (HTTP 400) 0: Insufficient funds".
func (f *Failure) String() string {
	return (&Error{Kind: f.Kind, Status: f.Status, Code: f.Code, Message: f.Message}).Error()
}

func failure(err error) *Failure {
	if err == nil {
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return &Failure{Kind: ErrAmbiguous, Message: err.Error()}
	}
	message := e.Message
	switch faults := e.faults(); {
	case message != "" && faults != "":
		message += ": " + faults
	case faults != "":
		message = faults
	case message == "" && e.Err != nil:
		message = e.Err.Error()
	}
	return &Failure{Kind: e.Kind, Op: e.Op, Status: e.Status, Code: e.Code, Message: message, RequestID: e.RequestID}
}

func (f *Failure) error(provider string) error {
	return &Error{Kind: f.Kind, Provider: provider, Op: f.Op, Status: f.Status, Code: f.Code,
		Message: f.Message, RequestID: f.RequestID}
}

// fingerprint identifies a draft: two drafts have the same one if and only if
// they ask for the same.
func fingerprint(d Draft) string {
	if year, month, day := d.Date.Date(); !d.Date.IsZero() {
		d.Date = time.Date(year, month, day, 0, 0, 0, 0, time.UTC) // Only the day counts.
	}
	d.NotAfter = d.NotAfter.UTC()
	text, err := json.Marshal(d)
	if err != nil {
		// A Draft holds only strings, integers and a date; a year beyond
		// 9999 is all that cannot be marshalled.
		text = fmt.Appendf(nil, "%+v", d)
	}
	return digest(text)
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

var digested = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// withoutSecrets returns d as a journal may keep it. What a journal has kept
// before stays as it is.
func (i Info) withoutSecrets(d Draft) Draft {
	if len(i.SecretExtra) == 0 || d.Extra == nil {
		return d
	}
	d.Extra = maps.Clone(d.Extra)
	for _, key := range i.SecretExtra {
		if value, ok := d.Extra[key]; ok && !digested.MatchString(value) {
			d.Extra[key] = digest([]byte(value))
		}
	}
	return d
}

// restoreSecrets puts the secrets of supplied back into kept. It reports
// whether kept is whole again.
func (i Info) restoreSecrets(kept, supplied Draft) (Draft, bool) {
	whole := true
	for _, key := range i.SecretExtra {
		value, ok := kept.Extra[key]
		if !ok {
			continue
		}
		if secret, ok := supplied.Extra[key]; ok && digest([]byte(secret)) == value {
			kept.Extra = maps.Clone(kept.Extra)
			kept.Extra[key] = secret
		} else {
			whole = false
		}
	}
	return kept, whole
}

// NewMemoryJournal returns a Journal that forgets everything when the process
// ends: for tests, and for batches that one process sees through. Run uses one
// of its own where it is given none.
func NewMemoryJournal() Journal {
	return &memoryJournal{
		histories: make(map[Key][]Entry),
		claims:    make(map[string]Key),
		sequences: make(map[string]int64),
	}
}

type memoryJournal struct {
	Locks
	mu        sync.Mutex
	histories map[Key][]Entry
	claims    map[string]Key
	sequences map[string]int64
}

// Locks is the Lock method of a journal that only one process has open. The
// zero value is ready.
type Locks struct {
	mu    sync.Mutex
	locks map[Key]*keyLock
}

type keyLock struct {
	held chan struct{} // holds a token while somebody has the lock
	want int           // how many have it or wait for it
}

// Lock waits until key is free or ctx ends.
func (l *Locks) Lock(ctx context.Context, key Key) (unlock func(), err error) {
	l.mu.Lock()
	if l.locks == nil {
		l.locks = make(map[Key]*keyLock)
	}
	lock, ok := l.locks[key]
	if !ok {
		lock = &keyLock{held: make(chan struct{}, 1)}
		l.locks[key] = lock
	}
	lock.want++
	l.mu.Unlock()

	forget := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if lock.want--; lock.want == 0 {
			delete(l.locks, key)
		}
	}
	select {
	case lock.held <- struct{}{}:
		return func() { <-lock.held; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}

func (j *memoryJournal) History(_ context.Context, key Key) ([]Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.histories[key]), nil
}

func (j *memoryJournal) Append(_ context.Context, key Key, e Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if want := len(j.histories[key]) + 1; e.Seq != want {
		return &Error{Kind: ErrConflict, Op: "Journal",
			Message: fmt.Sprintf("entry %d of %q is not the next, %d is", e.Seq, key.Reference, want)}
	}
	for _, name := range e.Claims {
		if holder, taken := j.claims[name]; taken && holder != key {
			return &ClaimedError{Name: name, Holder: holder}
		}
	}
	for _, name := range e.Releases {
		if j.claims[name] == key {
			delete(j.claims, name)
		}
	}
	for _, name := range e.Claims {
		j.claims[name] = key
	}
	j.histories[key] = append(j.histories[key], e)
	return nil
}

func (j *memoryJournal) Open(_ context.Context, provider, account string) iter.Seq2[History, error] {
	return j.list(provider, account, func(last Entry) bool { return last.Kind != EntryDone })
}

func (j *memoryJournal) Closed(_ context.Context, provider, account string, since time.Time) iter.Seq2[History, error] {
	return j.list(provider, account, func(last Entry) bool { return last.Kind == EntryDone && !last.At.Before(since) })
}

// list yields the histories of an account whose last entry is wanted.
func (j *memoryJournal) list(provider, account string, wanted func(last Entry) bool) iter.Seq2[History, error] {
	return func(yield func(History, error) bool) {
		j.mu.Lock()
		var all []History
		for key, history := range j.histories {
			if key.Provider == provider && key.Account == account && wanted(history[len(history)-1]) {
				all = append(all, History{key, slices.Clone(history)})
			}
		}
		j.mu.Unlock()
		for _, history := range all {
			if !yield(history, nil) {
				return
			}
		}
	}
}

func (j *memoryJournal) Next(_ context.Context, sequence string, first int64) (int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	next := max(j.sequences[sequence]+1, first)
	j.sequences[sequence] = next
	return next, nil
}
