// Package boltjournal keeps a batch.Journal in one file: the default for one
// machine. Every entry is on the disk before Append returns.
//
// The file belongs to one account at one provider, is readable only by its
// owner, and is open in one process at a time. It holds the accounts and
// amounts of the items of every batch, and no credential.
//
// # What an entry costs
//
// An entry is one transaction of bolt in one file. Appends that wait at the
// same time share a transaction. The items of a draft are written once for
// each history, whatever the number of its entries.
//
// # Looking at it, and moving it
//
// Look opens a copy of the file while the process that runs the batches has it
// open. Move takes the journal to another place, such as another machine, and
// leaves a file that refuses to be opened. A file that is copied by other means
// is a second journal of the same account. Neither of the two can detect that.
//
// Erase removes a person from the closed histories, and leaves no copy in the
// file.
//
// # Older copies
//
// A copy of the file that was made earlier does not know what was sent since.
// Beside the file, in one of the same name with .written, is the number of
// times that the file was written to. Open refuses a file that says less. The
// number is written after every transaction, and made durable when the journal
// is opened and closed. So an older copy is not noticed in two cases: if both
// files were restored together, and if the machine lost its power in the
// seconds before. After a restored backup, ask the service about every batch
// since.
package boltjournal

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
	"github.com/batchway/batchway-go/internal/private"
)

// format is the version of the file's layout.
const format = 2

// The layout.
var (
	metaBucket      = []byte("meta")      // facts about the file
	historiesBucket = []byte("histories") // a bucket for every history, with its entries
	itemsBucket     = []byte("items")     // the lists of items that the entries of a history name
	openBucket      = []byte("open")      // the keys of the histories that are not done
	prunedBucket    = []byte("pruned")    // what is left of the histories that were removed
	claimsBucket    = []byte("claims")    // the holder of every name that is claimed
	sequencesBucket = []byte("sequences") // the last number of every sequence
)

// A page is what one transaction reads of many histories.
const (
	pageKeys  = 1000
	pageBytes = 4 << 20
)

// Journal is a batch.Journal in a file.
type Journal struct {
	locks         batch.Locks
	owner         record.Owner
	db            *bbolt.DB
	file          *os.File     // of db
	size          atomic.Int64 // of file, as last seen
	faulted       atomic.Bool  // db has panicked
	counted       string       // the path of the file that remembers how much was written
	count         *os.File     // that file
	syncDirectory func(path string) error
	copied        string // the path of the copy that j is; empty if j is the journal itself

	queueing sync.Mutex
	queue    []*change // those that wait for mu

	reading sync.RWMutex // held to write while Erase writes over pages that a reader may still see

	mu       sync.Mutex
	written  int   // transactions that were written to the file
	entries  int   // entries that were written to the file
	poisoned error // the first failed write: nothing is written after it
	closed   bool
}

// Open opens the journal at path, or creates it, for the account of owner (as
// Provider.Info returns it). The directory must exist.
//
// It refuses, with an error that says what to do, a file that belongs to
// another provider, environment or account, that another process has open,
// that others can read or write or could replace, that is damaged or cut short, that is older
// than what was last written here, or that another version has written.
func Open(path string, owner batch.Info) (*Journal, error) {
	return open(path, owner, "", syncDirectory)
}

// open is Open, and also opens a journal that was moved to the path to.
func open(path string, owner batch.Info, to string, syncDirectory func(path string) error) (*Journal, error) {
	account, err := record.OwnerOf(owner)
	if err != nil {
		return nil, err
	}
	path = filepath.Clean(path) // What is opened is what was checked, also with .. after a link.
	j := &Journal{owner: account, counted: path + ".written", syncDirectory: syncDirectory}
	if err := private.Directory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	for _, file := range []string{path, j.counted} {
		if err := private.File(file); err != nil {
			return nil, fmt.Errorf("journal %s: %w", file, err)
		}
	}
	if err := guarded(func() error { return j.openFile(path) }); err != nil {
		_ = j.file.Close() // A panic has left it open, and locked.
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	err = j.check()
	if moved := j.moved(); err == nil && moved != "" && moved != to {
		err = fmt.Errorf("was moved to %s: open it there; if it did not arrive there, call Move again", moved)
	}
	if err == nil {
		err = j.watch() // And with it, that there is a journal.
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), j.closeFile())
	}
	return j, nil
}

// Close closes the file. Locks that are held stay held.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	if j.copied != "" {
		return errors.Join(j.closeFile(), j.forget())
	}
	return errors.Join(j.count.Sync(), j.count.Close(), j.closeFile())
}

func (j *Journal) closeFile() error {
	if j.faulted.Load() {
		return j.file.Close() // The database would wait for its own lock.
	}
	return j.db.Close()
}

// guarded runs f, which reads the file. A damaged file can make bolt panic, or
// fault on memory that the file no longer backs: that is an error like any
// other.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(p)
		}
	}()
	return f()
}

// transact runs a transaction of bolt: begin is View or Update of the database.
// If bolt itself panics, outside of f, it may keep its locks: nothing is asked
// of it again.
func (j *Journal) transact(begin func(func(*bbolt.Tx) error) error, f func(*bbolt.Tx) error) error {
	if j.faulted.Load() {
		return damaged("it has failed in the middle of a transaction: open the journal anew")
	}
	// What is cut off the file would fault, wherever bolt reads it.
	seen := j.size.Load()
	file, err := j.file.Stat()
	if err != nil {
		return cmp.Or(j.db.View(func(*bbolt.Tx) error { return nil }), err) // It is closed.
	}
	if file.Size() < seen {
		return damaged("it was cut short while it was open")
	}
	j.size.CompareAndSwap(seen, file.Size())
	returned := false
	err = guarded(func() error {
		err := begin(func(tx *bbolt.Tx) error { return guarded(func() error { return f(tx) }) })
		returned = true
		return err
	})
	if !returned {
		j.faulted.Store(true)
	}
	return err
}

// view reads the file.
func (j *Journal) view(read func(*bbolt.Tx) error) error {
	j.reading.RLock()
	defer j.reading.RUnlock()
	return j.transact(j.db.View, read)
}

// openFile opens the file to read it and checks its pages, before it opens the
// file to write.
func (j *Journal) openFile(path string) (err error) {
	if file, err := os.Stat(path); err == nil && file.Size() > 0 {
		if err := j.openToRead(path); err != nil {
			return err
		}
		if err := j.db.Close(); err != nil {
			return damaged(err)
		}
	}
	if err := j.openBolt(path, false); err != nil {
		return err
	}
	j.db.NoFreelistSync = false
	return nil
}

// openToRead opens the file to read it, and checks its pages.
func (j *Journal) openToRead(path string) error {
	if err := j.openBolt(path, true); err != nil {
		return err
	}
	if err := checkPages(j.db, j.file); err != nil {
		return damaged(errors.Join(err, j.db.Close()))
	}
	return nil
}

func (j *Journal) openBolt(path string, readOnly bool) (err error) {
	j.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		ReadOnly: readOnly,
		Timeout:  time.Second,
		// Without it bolt would already write to a file that another program
		// keeps without its free list.
		NoFreelistSync: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (file *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			j.file = file
			return file, err
		},
	})
	var refused syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return errors.New("another process has it open: stop that one, or share a journal on a database")
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run as the user who owns it", err)
	case errors.As(err, &refused):
		return fmt.Errorf("cannot be opened: %w", err)
	case err != nil:
		return damaged(err)
	}
	return nil
}

func damaged(cause any) error {
	return fmt.Errorf(
		"is damaged or no journal (%v): keep it, restore a good copy, and ask the service about every batch since",
		cause)
}

// check verifies every byte that an old file keeps, and makes a new one this
// owner's. A file that is refused stays as it was.
func (j *Journal) check() error {
	isNew, err := j.verify()
	if err != nil {
		return err
	}
	if err := j.checkCount(); err != nil {
		return err
	}
	if isNew {
		return j.transact(j.db.Update, func(tx *bbolt.Tx) error { return create(tx, j.owner) })
	}
	return nil
}

// verify verifies every byte that the file keeps. isNew says that it keeps none.
func (j *Journal) verify() (isNew bool, err error) {
	err = j.view(func(tx *bbolt.Tx) (err error) {
		if first, _ := tx.Cursor().First(); first == nil {
			isNew = true
			return nil
		}
		if j.entries, err = verify(tx, ownerText(j.owner)); err == nil {
			j.written, err = strconv.Atoi(string(tx.Bucket(metaBucket).Get([]byte("written"))))
		}
		return err
	})
	return isNew, err
}

// ownerText is how the file names its owner.
func ownerText(o record.Owner) []byte {
	text, _ := json.Marshal([]string{o.Provider, o.Account}) // Strings always marshal.
	return text
}

// verify returns the number of entries that were written to a file, which is
// sound and of owner.
func verify(tx *bbolt.Tx, owner []byte) (entries int, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, errors.New("is of another program: name a new file")
	}
	if version := string(meta.Get([]byte("format"))); version != strconv.Itoa(format) {
		return 0, fmt.Errorf("has format %q, and this version reads %d: use the version that wrote it", version, format)
	}
	if have := meta.Get([]byte("owner")); !bytes.Equal(have, owner) {
		return 0, fmt.Errorf("belongs to %s, not to %s: open the journal of that account, or name a new file", have,
			owner)
	}
	claims, held := tx.Bucket(claimsBucket), 0
	holds := func(name []byte, names []string) error {
		held += len(names)
		for _, claimed := range names {
			if holder, err := holderOf(claims, claimed); err != nil || !bytes.Equal(holder, name) {
				return damaged(fmt.Sprintf("the name %q, which %s holds, is not in the list of names", claimed, name))
			}
		}
		return nil
	}
	if err := tx.Bucket(historiesBucket).ForEachBucket(func(name []byte) error {
		history, _, err := read(tx, name, func(digest string, text []byte) ([]batch.Item, error) {
			return nil, record.Check(digest, text) // What has its digest can be read.
		})
		if err != nil {
			return err
		}
		entries += len(history)
		done := history[len(history)-1].Kind == batch.EntryDone
		if listed := tx.Bucket(openBucket).Get(name) != nil; listed == done {
			return damaged("the list of open batches is wrong")
		}
		return holds(name, heldBy(history))
	}); err != nil {
		return 0, err
	}
	if err := tx.Bucket(prunedBucket).ForEach(func(name, _ []byte) error {
		rest, err := readPruned(tx, name)
		if err != nil {
			return err
		}
		entries += rest.Entries
		return holds(name, rest.Names)
	}); err != nil {
		return 0, err
	}
	if have := meta.Get([]byte("entries")); string(have) != strconv.Itoa(entries) {
		return 0, damaged(fmt.Sprintf("%s entries were written, and there are %d", have, entries))
	}
	if listed := claims.Stats().KeyN; listed != held {
		return 0, damaged(fmt.Sprintf("%d names are claimed, and %d are in the list of names", held, listed))
	}
	return entries, verifySequences(tx)
}

// heldBy returns the names that a history holds. No other history decides
// about them: only the holder can release a name.
func heldBy(history []batch.Entry) (names []string) {
	held := make(map[string]bool)
	for _, e := range history {
		for _, name := range e.Releases {
			delete(held, name)
		}
		for _, name := range e.Claims {
			held[name] = true
		}
	}
	return slices.Sorted(maps.Keys(held))
}

// create lays out a file that has nothing in it.
func create(tx *bbolt.Tx, owner record.Owner) error {
	for _, name := range [][]byte{metaBucket, historiesBucket, itemsBucket, openBucket, prunedBucket, claimsBucket,
		sequencesBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(
		meta.Put([]byte("format"), []byte(strconv.Itoa(format))),
		meta.Put([]byte("owner"), ownerText(owner)),
		meta.Put([]byte("entries"), []byte("0")),
		meta.Put([]byte("written"), []byte("0")))
}

// checkCount refuses a file that was written to less often than was once
// remembered here: an older copy does not know what has been sent since.
func (j *Journal) checkCount() error {
	text, err := os.ReadFile(j.counted)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	once, err := strconv.ParseUint(strings.TrimSuffix(string(text), "\n"), 10, 32)
	if err != nil {
		return fmt.Errorf("cannot be told from an older copy, as %s says %q: "+
			"restore that file, or remove it once the service was asked about every batch since", j.counted, text)
	}
	if int(once) > j.written {
		return fmt.Errorf(
			"was written to %d times, and must have been %d times: it is an older copy, which does not know what was sent since; "+
				"restore the newest, or remove %s once the service was asked about every batch since", j.written,
			once, j.counted)
	}
	return nil
}

// watch writes the number of transactions into a new file beside the journal, whole
// or not at all, and makes both files outlast a power cut.
func (j *Journal) watch() error {
	next := j.counted + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// O_EXCL writes to no file that a link points to.
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(j.number())
	if err := errors.Join(err, file.Sync(), file.Close(), os.Rename(next, j.counted)); err != nil {
		return err
	}
	if j.count, err = os.OpenFile(j.counted, os.O_WRONLY, 0); err != nil {
		return err
	}
	if err := j.syncDirectory(filepath.Dir(j.counted)); err != nil {
		return errors.Join(err, j.count.Close())
	}
	return nil
}

// remember writes the number of transactions over the last one. It is not synced:
// a power cut can leave the number behind, and never ahead.
func (j *Journal) remember() error {
	_, err := j.count.WriteAt(j.number(), 0)
	return err
}

// number has one length, so that it is always written over the last one whole.
func (j *Journal) number() []byte { return fmt.Appendf(nil, "%020d\n", j.written) }

// syncDirectory makes the names in a directory durable, where the system can.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	err = directory.Sync()
	if runtime.GOOS == "windows" || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	return errors.Join(err, directory.Close())
}

// Lock waits until key is free or ctx ends.
func (j *Journal) Lock(ctx context.Context, key batch.Key) (unlock func(), err error) {
	if err := j.owner.Refuse(key); err != nil {
		return nil, err
	}
	return j.locks.Lock(ctx, key)
}

// History returns the entries of key, oldest first. Entries may share their
// items. The history of a key that was pruned is ErrConflict.
func (j *Journal) History(_ context.Context, key batch.Key) (history []batch.Entry, err error) {
	if err := j.owner.Refuse(key); err != nil {
		return nil, err
	}
	err = j.view(func(tx *bbolt.Tx) error {
		if tx.Bucket(historiesBucket).Bucket(name(key)) == nil {
			return unpruned(tx, key)
		}
		history, _, err = read(tx, name(key), make(record.Lists).Get)
		return err
	})
	return history, err
}

// Append adds the next entry to the history of key, on the disk. An entry that
// has no JSON is ErrInvalid: nothing was written, and the journal goes on.
func (j *Journal) Append(_ context.Context, key batch.Key, e batch.Entry) error {
	if err := j.owner.Refuse(key); err != nil {
		return err
	}
	claims, releases, err := record.Names(e)
	if err != nil {
		return err
	}
	text, lists, err := record.Encode(key, e)
	if err != nil {
		return err
	}
	return j.write(func(tx *bbolt.Tx) error {
		seq, last := 1, name(key)
		if bucket := tx.Bucket(historiesBucket).Bucket(name(key)); bucket != nil {
			k, v := bucket.Cursor().Last()
			seq, last = int(binary.BigEndian.Uint64(k))+1, v[:sha256.Size]
		} else if err := unpruned(tx, key); err != nil {
			return err
		}
		if e.Seq != seq {
			return &batch.Error{Kind: batch.ErrConflict, Op: "Journal",
				Message: fmt.Sprintf("entry %d of %q is not the next, %d is", e.Seq, key.Reference, seq)}
		}
		if err := claim(tx.Bucket(claimsBucket), name(key), claims, releases); err != nil {
			return err
		}
		if err := putItems(tx, name(key), lists); err != nil {
			return err
		}
		bucket, err := tx.Bucket(historiesBucket).CreateBucketIfNotExists(name(key))
		if err != nil {
			return err
		}
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(seq)),
			append(seal(last, text), text...)); err != nil {
			return err
		}
		j.entries++
		if err := tx.Bucket(metaBucket).Put([]byte("entries"), []byte(strconv.Itoa(j.entries))); err != nil {
			return err
		}
		if e.Kind == batch.EntryDone {
			return tx.Bucket(openBucket).Delete(name(key))
		}
		return tx.Bucket(openBucket).Put(name(key), []byte{})
	})
}

// claim changes who holds names, all of them or none.
func claim(names *bbolt.Bucket, holder []byte, claims, releases []string) error {
	for _, name := range claims {
		other, err := holderOf(names, name)
		if err != nil {
			return err
		}
		if other != nil && !bytes.Equal(other, holder) {
			claimed := &batch.ClaimedError{Name: name}
			return cmp.Or(json.Unmarshal(other, &claimed.Holder), error(claimed))
		}
	}
	for _, name := range releases {
		other, err := holderOf(names, name)
		if err != nil {
			return err
		}
		if bytes.Equal(other, holder) {
			if err := names.Delete([]byte(name)); err != nil {
				return err
			}
		}
	}
	for _, name := range claims {
		if err := names.Put([]byte(name), append(seal([]byte(name), holder), holder...)); err != nil {
			return err
		}
	}
	return nil
}

// holderOf returns the name of the history that holds name, nil if none does.
func holderOf(names *bbolt.Bucket, name string) ([]byte, error) {
	text := names.Get([]byte(name))
	if text == nil {
		return nil, nil
	}
	if len(text) < sha256.Size || !bytes.Equal(seal([]byte(name), text[sha256.Size:]), text[:sha256.Size]) {
		return nil, damaged(fmt.Sprintf("the name %q has a broken seal", name))
	}
	return text[sha256.Size:], nil
}

// Open yields the histories that are not done, each as it was when its page
// was read. A journal has one owner: asking for another is ErrInvalid.
func (j *Journal) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	return j.list(ctx, provider, account, openBucket, nil)
}

// Closed yields the histories that are done, and whose last entry was made at
// since or later. Otherwise it is as Open; it reads every history of the file.
func (j *Journal) Closed(ctx context.Context, provider, account string, since time.Time) iter.Seq2[batch.History,
	error] {
	return j.list(ctx, provider, account, historiesBucket, func(entries []batch.Entry) bool {
		last := entries[len(entries)-1]
		return last.Kind == batch.EntryDone && !last.At.Before(since)
	})
}

// list yields the histories that a bucket names and that are wanted.
func (j *Journal) list(ctx context.Context, provider, account string, names []byte,
	wanted func([]batch.Entry) bool) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) {
		if err := j.owner.RefuseAccount(provider, account); err != nil {
			yield(batch.History{}, err)
			return
		}
		for after, more := []byte{}, true; more; {
			err := ctx.Err()
			var page []found
			if err == nil {
				page, after, more, err = j.page(names, after, wanted)
			}
			// The transaction is over before anything else can want to write.
			for _, f := range page {
				if !yield(f.History, f.err) {
					return
				}
			}
			if err != nil {
				yield(batch.History{}, err)
				return
			}
		}
	}
}

// found is a history, or why it cannot be read.
type found struct {
	batch.History
	err error
}

// page reads the next histories that a bucket names, after the given name.
// Where wanted is set, only those that it wants. It returns the last name, and
// whether more may follow.
func (j *Journal) page(names, after []byte, wanted func([]batch.Entry) bool) (page []found, last []byte,
	more bool, err error) {
	err = j.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(names).Cursor()
		at, _ := cursor.Seek(after)
		if at != nil && bytes.Equal(at, after) {
			at, _ = cursor.Next()
		}
		for keys, size := 0, 0; at != nil; at, _ = cursor.Next() {
			if keys == pageKeys || size >= pageBytes {
				more = true
				return nil
			}
			last = bytes.Clone(at)
			f := found{}
			if err := json.Unmarshal(at, &f.Key); err != nil {
				return damaged(err)
			}
			f.err = guarded(func() (err error) { // One that is damaged hides no other.
				var bytes int
				f.Entries, bytes, err = read(tx, at, make(record.Lists).Get)
				size += bytes
				return err
			})
			if f.err != nil || wanted == nil || wanted(f.Entries) {
				page = append(page, f)
			}
			keys++
		}
		return nil
	})
	return page, last, more, err
}

// Prune removes the histories that are done and whose last entry was made
// before a time. Each is first given to archive, which must have made it
// durable when it returns nil; with an error Prune ends. A crash in between
// gives a history to archive again. It returns how many it has removed.
//
// A key whose history was removed stays used: History and Append return
// ErrConflict, so that no batch is ever sent again under its reference. The
// names that it holds stay claimed. The file does not become smaller: new
// entries use the space.
func (j *Journal) Prune(ctx context.Context, before time.Time, archive func(batch.History) error) (pruned int,
	err error) {
	old := func(entries []batch.Entry) bool {
		last := entries[len(entries)-1]
		return last.Kind == batch.EntryDone && last.At.Before(before)
	}
	for after, more := []byte{}, true; more && err == nil; {
		var page []found
		if page, after, more, err = j.page(historiesBucket, after, old); err != nil {
			return pruned, err
		}
		archived := 0
		for _, f := range page {
			if err = cmp.Or(ctx.Err(), f.err); err == nil {
				err = archive(f.History)
			}
			if err != nil {
				break
			}
			archived++
		}
		if archived == 0 {
			continue
		}
		removed := 0
		if failed := j.write(func(tx *bbolt.Tx) error {
			for _, f := range page[:archived] {
				gone, err := remove(tx, f.History)
				if err != nil {
					return err
				}
				if gone {
					removed++
				}
			}
			return nil
		}); failed != nil {
			return pruned, errors.Join(err, failed)
		}
		pruned += removed
	}
	return pruned, err
}

// rest is what is left of a history that was removed.
type rest struct {
	Entries int       `json:"entries"`         // how many it had
	Names   []string  `json:"names,omitempty"` // what it holds
	At      time.Time `json:"at"`              // of its last entry
}

// remove removes a history, unless it went on since it was read.
func remove(tx *bbolt.Tx, h batch.History) (gone bool, err error) {
	name := name(h.Key)
	history := tx.Bucket(historiesBucket).Bucket(name)
	if history == nil {
		return false, nil
	}
	if last, _ := history.Cursor().Last(); int(binary.BigEndian.Uint64(last)) != len(h.Entries) {
		return false, nil
	}
	text, err := json.Marshal(rest{len(h.Entries), heldBy(h.Entries), h.Entries[len(h.Entries)-1].At})
	if err != nil {
		return false, err
	}
	return true, errors.Join(removeItems(tx, name),
		tx.Bucket(historiesBucket).DeleteBucket(name),
		tx.Bucket(prunedBucket).Put(name, append(seal(name, text), text...)))
}

// removeItems removes the lists of items of a history.
func removeItems(tx *bbolt.Tx, history []byte) (err error) {
	var lists [][]byte
	cursor, prefix := tx.Bucket(itemsBucket).Cursor(), itemsName(history, "")
	for at, _ := cursor.Seek(prefix); bytes.HasPrefix(at, prefix); at, _ = cursor.Next() {
		lists = append(lists, bytes.Clone(at))
	}
	for _, list := range lists {
		err = errors.Join(err, tx.Bucket(itemsBucket).Delete(list))
	}
	return err
}

// putItems writes the lists of items of a history that are not there.
func putItems(tx *bbolt.Tx, history []byte, lists []record.List) error {
	items := tx.Bucket(itemsBucket)
	for _, list := range lists {
		if at := itemsName(history, list.Digest); items.Get(at) == nil {
			if err := items.Put(at, list.Text); err != nil {
				return err
			}
		}
	}
	return nil
}

// unpruned returns ErrConflict if the history of key was removed.
func unpruned(tx *bbolt.Tx, key batch.Key) error {
	if tx.Bucket(prunedBucket).Get(name(key)) != nil {
		return record.Pruned(key)
	}
	return nil
}

func readPruned(tx *bbolt.Tx, name []byte) (r rest, err error) {
	text := tx.Bucket(prunedBucket).Get(name)
	if len(text) < sha256.Size || !bytes.Equal(seal(name, text[sha256.Size:]), text[:sha256.Size]) {
		return r, damaged("what is left of a pruned history has a broken seal")
	}
	return r, json.Unmarshal(text[sha256.Size:], &r)
}

// Next returns the next number of a sequence.
func (j *Journal) Next(_ context.Context, sequence string, first int64) (next int64, err error) {
	err = j.write(func(tx *bbolt.Tx) error {
		if err := verifySequences(tx); err != nil {
			return err
		}
		bucket := tx.Bucket(sequencesBucket)
		next = first
		if last := bucket.Get([]byte(sequence)); last != nil {
			next = max(first, int64(binary.BigEndian.Uint64(last))+1)
		}
		if err := bucket.Put([]byte(sequence), binary.BigEndian.AppendUint64(nil, uint64(next))); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put([]byte("sequences"), sealSequences(bucket))
	})
	if err != nil {
		return 0, err
	}
	return next, nil
}

// A change waits for its turn, and then goes onto the disk together with all
// that wait beside it.
type change struct {
	do   func(*bbolt.Tx) error
	done bool
	err  error
}

// errUnchanged ends a transaction in which every change was refused.
var errUnchanged = errors.New("unchanged")

// write runs do in a durable transaction, unless one has failed before. Where
// do returns a conflict it must have changed nothing: the changes beside it are
// written, and the journal goes on.
func (j *Journal) write(do func(*bbolt.Tx) error) error {
	c := &change{do: do}
	j.queueing.Lock()
	j.queue = append(j.queue, c)
	j.queueing.Unlock()

	j.mu.Lock()
	defer j.mu.Unlock()
	if c.done {
		return c.err // Another caller had its turn first, and took this change along.
	}
	j.queueing.Lock()
	together := j.queue
	j.queue = nil
	j.queueing.Unlock()
	err := j.commit(together)
	for _, c := range together {
		if c.done = true; err != nil {
			c.err = err
		}
	}
	return c.err
}

func (j *Journal) commit(together []*change) error {
	if err := j.readOnly(); err != nil {
		return err
	}
	written := j.written + 1
	err := j.transact(j.db.Update, func(tx *bbolt.Tx) error {
		result := errUnchanged
		for _, c := range together {
			if c.err = c.do(tx); c.err == nil {
				result = nil
			} else if !errors.Is(c.err, batch.ErrConflict) {
				return c.err
			}
		}
		if result == nil {
			// Not the ID of bolt's transaction: it would not tell a new page
			// of facts about the file from the old pages that it leads to.
			result = tx.Bucket(metaBucket).Put([]byte("written"), []byte(strconv.Itoa(written)))
		}
		return result
	})
	if err == errUnchanged { //nolint:errorlint // It is never wrapped.
		return nil
	}
	if err == nil {
		j.written = written
		err = j.remember()
	}
	j.poisoned = err
	return err
}

// readOnly is why nothing can be written.
func (j *Journal) readOnly() error {
	if j.copied != "" {
		return &batch.Error{Kind: batch.ErrUnsupported, Op: "Journal",
			Message: "this is a copy to look at: only the process that has the journal open can write"}
	}
	if j.poisoned != nil {
		return fmt.Errorf("the journal has failed before and must be opened anew: %w", j.poisoned)
	}
	return nil
}

// read returns a history, each entry verified against the chain of seals, and
// how many bytes it takes.
func read(tx *bbolt.Tx, name []byte, decode func(digest string, text []byte) ([]batch.Item, error)) (
	history []batch.Entry, size int, err error) {
	last, items := name, tx.Bucket(itemsBucket)
	counted := make(map[string]bool)
	list := func(digest string) ([]batch.Item, error) {
		text := items.Get(itemsName(name, digest))
		if !counted[digest] {
			counted[digest], size = true, size+len(text)
		}
		return decode(digest, text)
	}
	err = tx.Bucket(historiesBucket).Bucket(name).ForEach(func(k, v []byte) error {
		fault := func(what string) error {
			return fmt.Errorf("entry %d is damaged (%s): keep the file, and restore a good copy", len(history)+1, what)
		}
		if len(k) != 8 || binary.BigEndian.Uint64(k) != uint64(len(history)+1) {
			return fault("out of order")
		}
		if len(v) < sha256.Size || !bytes.Equal(seal(last, v[sha256.Size:]), v[:sha256.Size]) {
			return fault("broken seal")
		}
		last, size = v[:sha256.Size], size+len(v)
		e, err := record.Decode(v[sha256.Size:], list)
		if err != nil {
			return fault(err.Error())
		}
		history = append(history, e)
		return nil
	})
	return history, size, err
}

// verifySequences refuses numbers that are not those written last.
func verifySequences(tx *bbolt.Tx) error {
	if !bytes.Equal(tx.Bucket(metaBucket).Get([]byte("sequences")), sealSequences(tx.Bucket(sequencesBucket))) {
		return damaged("a sequence has a broken seal")
	}
	return nil
}

// sealSequences binds all names and numbers together.
func sealSequences(sequences *bbolt.Bucket) (last []byte) {
	_ = sequences.ForEach(func(k, v []byte) error {
		last = seal(last, slices.Concat(k, v))
		return nil
	})
	return last
}

// seal binds an entry to all before it, and the first to the name of its
// history.
func seal(last, text []byte) []byte {
	h := sha256.New()
	h.Write(last)
	h.Write(text)
	return h.Sum(nil)
}

func name(key batch.Key) []byte {
	// Three strings always marshal.
	text, _ := json.Marshal(key)
	return text
}

// itemsName is the name of a list of items of a history. No name of a history
// has a NUL.
func itemsName(history []byte, digest string) []byte {
	return slices.Concat(history, []byte{0}, []byte(digest))
}
