// Package boltjournal keeps a batch.Journal in one file: the default for one
// machine. Every entry is on the disk before Append returns.
//
// The file belongs to one account at one provider, is readable only by its
// owner, and is open in one process at a time. It holds the accounts and
// amounts of the items of every batch, and no credential. Beside it, in a file
// of the same name with .written, is the number of entries that it must have.
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
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// format is the version of the file's layout.
const format = 2

// The layout: one bucket with facts about the file, one with a bucket for
// every history, one with the keys of the open ones, one with the names that
// are claimed, one with the sequences.
var (
	metaBucket      = []byte("meta")
	historiesBucket = []byte("histories")
	openBucket      = []byte("open")
	claimsBucket    = []byte("claims")
	sequencesBucket = []byte("sequences")
)

// Journal is a batch.Journal in a file.
type Journal struct {
	locks         batch.Locks
	db            *bbolt.DB
	owner         record.Owner
	witness       string // the file beside it that remembers how much was written
	syncDirectory func(path string) error

	mu       sync.Mutex
	written  int   // entries in the file
	poisoned error // the first failed write: nothing is written after it
}

// Open opens the journal at path, or creates it, for the account of owner (as
// Provider.Info returns it). The directory must exist.
//
// It refuses, with an error that says what to do, a file that belongs to
// another provider, environment or account, that another process has open,
// that others can read or write, that is damaged or cut short, that is older
// than what was last written here, or that a newer version has written.
func Open(path string, owner batch.Info) (*Journal, error) {
	return open(path, owner, syncDirectory)
}

func open(path string, owner batch.Info, syncDirectory func(path string) error) (*Journal, error) {
	account, err := record.OwnerOf(owner)
	if err != nil {
		return nil, err
	}
	j := &Journal{owner: account, witness: path + ".written", syncDirectory: syncDirectory}
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	for _, file := range []string{path, j.witness} {
		if err := checkFile(file); err != nil {
			return nil, fmt.Errorf("journal %s: %w", file, err)
		}
	}
	if j.db, err = openFile(path); err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	if err := j.check(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), j.db.Close())
	}
	return j, nil
}

// Close closes the file. Locks that are held stay held.
func (j *Journal) Close() error { return j.db.Close() }

// checkDirectory refuses one where somebody else could put a file.
func checkDirectory(path string) error {
	directory, err := os.Stat(path)
	if err != nil {
		return err
	}
	if directory.Mode().Perm()&0o022 != 0 {
		return errors.New("others can write to its directory: chmod go-w it, or choose another")
	}
	return nil
}

// checkFile refuses what somebody else could have written.
func checkFile(path string) error {
	file, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !file.Mode().IsRegular():
		return errors.New("is no regular file: name the file itself, and remove a link that is not yours")
	case file.Mode().Perm()&0o077 != 0:
		return errors.New("others can read or write it: chmod 600 it once you trust its content")
	}
	return nil
}

// openFile opens the database. A damaged file can make it panic, or fault on
// memory that the file no longer backs: that is an error like any other.
func openFile(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(p)
		}
	}()
	// Without NoFreelistSync it would already write to a file that another
	// program keeps without its free list.
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, NoFreelistSync: true})
	var refused syscall.Errno
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, errors.New("another process has it open: stop that one, or share a journal on a database")
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: run as the user who owns it", err)
	case errors.As(err, &refused):
		return nil, fmt.Errorf("cannot be opened: %w", err)
	case err != nil:
		return nil, damaged(err)
	}
	db.NoFreelistSync = false
	return db, nil
}

func damaged(cause any) error {
	return fmt.Errorf("is damaged or no journal (%v): keep it, restore a good copy, and ask the service about every batch since", cause)
}

// check verifies every byte that an old file keeps, and makes a new one this
// owner's. A file that is refused stays as it was.
func (j *Journal) check() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(p)
		}
	}()
	whose, err := json.Marshal([]string{j.owner.Provider, j.owner.Account})
	if err != nil {
		return err
	}
	isNew := false
	if err := j.db.View(func(tx *bbolt.Tx) (err error) {
		if first, _ := tx.Cursor().First(); first == nil {
			isNew = true
			return nil
		}
		j.written, err = verify(tx, whose)
		return err
	}); err != nil {
		return err
	}
	if err := j.checkWitness(); err != nil {
		return err
	}
	if isNew {
		if err := j.db.Update(func(tx *bbolt.Tx) error { return create(tx, whose) }); err != nil {
			return err
		}
	}
	return j.remember() // And with it, that there is a journal.
}

// verify returns the number of entries in a file that is sound and of owner.
func verify(tx *bbolt.Tx, owner []byte) (written int, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, errors.New("is of another program: name a new file")
	}
	if version := string(meta.Get([]byte("format"))); version != strconv.Itoa(format) {
		return 0, fmt.Errorf("has format %q, and this version reads %d: use the version that wrote it", version, format)
	}
	if have := meta.Get([]byte("owner")); !bytes.Equal(have, owner) {
		return 0, fmt.Errorf("belongs to %s, not to %s: open the journal of that account, or name a new file", have, owner)
	}
	histories, claims, count := tx.Bucket(historiesBucket), tx.Bucket(claimsBucket), 0
	if err := histories.ForEachBucket(func(name []byte) error {
		history, err := read(histories, name)
		if err != nil {
			return err
		}
		written += len(history)
		names := held(history)
		count += len(names)
		for claimed := range names {
			if holder, err := holderOf(claims, claimed); err != nil || !bytes.Equal(holder, name) {
				return damaged(fmt.Sprintf("the name %q, which %s holds, is not in the list of names", claimed, name))
			}
		}
		done := history[len(history)-1].Kind == batch.EntryDone
		if listed := tx.Bucket(openBucket).Get(name) != nil; listed == done {
			return damaged("the list of open batches is wrong")
		}
		return nil
	}); err != nil {
		return 0, err
	}
	if have := meta.Get([]byte("entries")); string(have) != strconv.Itoa(written) {
		return 0, damaged(fmt.Sprintf("%s entries were written, and there are %d", have, written))
	}
	if listed := claims.Stats().KeyN; listed != count {
		return 0, damaged(fmt.Sprintf("%d names are claimed, and %d are in the list of names", count, listed))
	}
	return written, verifySequences(tx)
}

// held returns the names that a history holds. No other history decides about
// them: only the holder can release a name.
func held(history []batch.Entry) map[string]bool {
	names := make(map[string]bool)
	for _, e := range history {
		for _, name := range e.Releases {
			delete(names, name)
		}
		for _, name := range e.Claims {
			names[name] = true
		}
	}
	return names
}

// create lays out a file that has nothing in it.
func create(tx *bbolt.Tx, owner []byte) error {
	for _, name := range [][]byte{metaBucket, historiesBucket, openBucket, claimsBucket, sequencesBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(
		meta.Put([]byte("format"), []byte(strconv.Itoa(format))),
		meta.Put([]byte("owner"), owner),
		meta.Put([]byte("entries"), []byte("0")))
}

// checkWitness refuses a file that holds less than was once written here: an
// old copy does not know what has been sent since.
func (j *Journal) checkWitness() error {
	text, err := os.ReadFile(j.witness)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	once, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return fmt.Errorf("cannot be told from an older copy, as %s says %q: "+
			"restore that file, or remove it once the service was asked about every batch since", j.witness, text)
	}
	if int(once) > j.written {
		return fmt.Errorf("holds %d entries, but %d were written: it is an older copy, which does not know what was sent since; "+
			"restore the newest, or remove %s once the service was asked about every batch since", j.written, once, j.witness)
	}
	return nil
}

// remember writes down beside the file how many entries it holds, whole or not
// at all, and makes both files outlast a power cut. A crash can leave the
// number behind by the newest entry; it is never ahead.
func (j *Journal) remember() error {
	next := j.witness + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// O_EXCL writes to no file that a link points to.
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(strconv.Itoa(j.written))
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, j.witness); err != nil {
		return err
	}
	return j.syncDirectory(filepath.Dir(j.witness))
}

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

// History returns the entries of key, oldest first.
func (j *Journal) History(_ context.Context, key batch.Key) (history []batch.Entry, err error) {
	if err := j.owner.Refuse(key); err != nil {
		return nil, err
	}
	err = j.db.View(func(tx *bbolt.Tx) error {
		histories := tx.Bucket(historiesBucket)
		if histories.Bucket(name(key)) == nil {
			return nil
		}
		history, err = read(histories, name(key))
		return err
	})
	return history, err
}

// Lock waits until key is free or ctx ends.
func (j *Journal) Lock(ctx context.Context, key batch.Key) (unlock func(), err error) {
	if err := j.owner.Refuse(key); err != nil {
		return nil, err
	}
	return j.locks.Lock(ctx, key)
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
	text, err := json.Marshal(e)
	if err != nil {
		return &batch.Error{Kind: batch.ErrInvalid, Op: "Journal",
			Message: fmt.Sprintf("entry %d of %q cannot be written down", e.Seq, key.Reference), Err: err}
	}
	return j.write(func(tx *bbolt.Tx) error {
		seq, last := 1, name(key)
		if bucket := tx.Bucket(historiesBucket).Bucket(name(key)); bucket != nil {
			k, v := bucket.Cursor().Last()
			seq, last = int(binary.BigEndian.Uint64(k))+1, v[:sha256.Size]
		}
		if e.Seq != seq {
			return &batch.Error{Kind: batch.ErrConflict, Op: "Journal",
				Message: fmt.Sprintf("entry %d of %q is not the next, %d is", e.Seq, key.Reference, seq)}
		}
		if err := claim(tx.Bucket(claimsBucket), name(key), claims, releases); err != nil {
			return err
		}
		bucket, err := tx.Bucket(historiesBucket).CreateBucketIfNotExists(name(key))
		if err != nil {
			return err
		}
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(seq)), append(seal(last, text), text...)); err != nil {
			return err
		}
		j.written++
		if err := tx.Bucket(metaBucket).Put([]byte("entries"), []byte(strconv.Itoa(j.written))); err != nil {
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

// Open yields the histories that are not done. A journal has one owner: asking
// for another is ErrInvalid.
func (j *Journal) Open(ctx context.Context, provider, account string) iter.Seq2[batch.History, error] {
	return func(yield func(batch.History, error) bool) {
		if err := j.owner.RefuseAccount(provider, account); err != nil {
			yield(batch.History{}, err)
			return
		}
		var open []batch.Key
		err := j.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(openBucket).ForEach(func(k, _ []byte) error {
				var key batch.Key
				if err := json.Unmarshal(k, &key); err != nil {
					return err
				}
				open = append(open, key)
				return nil
			})
		})
		// The transaction is over before anything else can want to write.
		for _, key := range open {
			entries, err := j.History(ctx, key)
			if !yield(batch.History{Key: key, Entries: entries}, err) {
				return
			}
		}
		if err != nil {
			yield(batch.History{}, err)
		}
	}
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

// write runs one durable transaction, unless one has failed before.
func (j *Journal) write(change func(*bbolt.Tx) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.poisoned != nil {
		return fmt.Errorf("the journal has failed before and must be opened anew: %w", j.poisoned)
	}
	written := j.written
	err := j.db.Update(change)
	if err == nil && j.written > written {
		err = j.remember()
	}
	if err != nil && !errors.Is(err, batch.ErrConflict) {
		j.poisoned = err
	}
	return err
}

// read returns a history, each entry verified against the chain of seals.
func read(histories *bbolt.Bucket, name []byte) ([]batch.Entry, error) {
	var history []batch.Entry
	last := name
	err := histories.Bucket(name).ForEach(func(k, v []byte) error {
		fault := func(what string) error {
			return fmt.Errorf("entry %d is damaged (%s): keep the file, and restore a good copy", len(history)+1, what)
		}
		if len(k) != 8 || binary.BigEndian.Uint64(k) != uint64(len(history)+1) {
			return fault("out of order")
		}
		if len(v) < sha256.Size || !bytes.Equal(seal(last, v[sha256.Size:]), v[:sha256.Size]) {
			return fault("broken seal")
		}
		last = v[:sha256.Size]
		var e batch.Entry
		if err := json.Unmarshal(v[sha256.Size:], &e); err != nil {
			return fault(err.Error())
		}
		history = append(history, e)
		return nil
	})
	return history, err
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
