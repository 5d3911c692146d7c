// Package boltjournal keeps a batch.Journal in one file: the default for one
// machine. Every entry is on the disk before Append returns.
//
// The file belongs to one account at one provider, is readable only by its
// owner, and is open in one process at a time. It holds the accounts and
// amounts of the items of every batch, and no credential.
package boltjournal

import (
	"bytes"
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
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/batchway/batchway-go/batch"
)

// format is the version of the file's layout.
const format = 1

// The layout: one bucket with facts about the file, one with a bucket for
// every history, one with the keys of the open ones, one with the sequences.
var (
	metaBucket      = []byte("meta")
	historiesBucket = []byte("histories")
	openBucket      = []byte("open")
	sequencesBucket = []byte("sequences")
)

// Journal is a batch.Journal in a file.
type Journal struct {
	batch.Locks
	db      *bbolt.DB
	witness string // the file beside it that remembers how much was written

	mu       sync.Mutex
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
	if err := checkFile(path); err != nil {
		return nil, err
	}
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{db: db, witness: path + ".written"}
	if err := j.check(owner); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), db.Close())
	}
	return j, nil
}

// Close closes the file. Locks that are held stay held.
func (j *Journal) Close() error { return j.db.Close() }

// checkFile refuses what somebody else could have written.
func checkFile(path string) error {
	directory, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("journal %s: %w", path, err)
	}
	if mode := directory.Mode(); mode.Perm()&0o022 != 0 && mode&fs.ModeSticky == 0 {
		return fmt.Errorf("journal %s: others can write to its directory: chmod go-w it, or choose another", path)
	}
	file, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("journal %s: %w", path, err)
	case !file.Mode().IsRegular():
		return fmt.Errorf("journal %s: is no regular file: name the file itself", path)
	case file.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("journal %s: others can read or write it: chmod 600 it once you trust its content", path)
	}
	return nil
}

// openFile opens the database. A damaged file can make it panic, or fault on
// memory that the file no longer backs: that is an error like any other.
func openFile(path string) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, p)
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("journal %s: another process has it open: stop that one, or share a journal on a database", path)
	case err != nil:
		return nil, damaged(path, err)
	}
	return db, nil
}

func damaged(path string, cause any) error {
	return fmt.Errorf("journal %s: is damaged or no journal (%v): keep it, restore a good copy, and ask the service about every batch since", path, cause)
}

// check makes a new file this owner's, and verifies every byte of an old one.
func (j *Journal) check(owner batch.Info) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("is damaged (%v): keep it, and restore a good copy", p)
		}
	}()
	whose, err := json.Marshal([]string{owner.Name, owner.Account})
	if err != nil {
		return err
	}
	if err := j.db.Update(func(tx *bbolt.Tx) error { return create(tx, whose) }); err != nil {
		return err
	}
	written := 0
	err = j.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if version := string(meta.Get([]byte("format"))); version != strconv.Itoa(format) {
			return fmt.Errorf("has format %q, and this version reads %d: use the version that wrote it", version, format)
		}
		if have := meta.Get([]byte("owner")); !bytes.Equal(have, whose) {
			return fmt.Errorf("belongs to %s, not to %s: open the journal of that account, or name a new file", have, whose)
		}
		histories := tx.Bucket(historiesBucket)
		return histories.ForEachBucket(func(name []byte) error {
			history, err := read(histories.Bucket(name))
			if err != nil {
				return err
			}
			written += len(history)
			done := history[len(history)-1].Kind == batch.EntryDone
			if listed := tx.Bucket(openBucket).Get(name) != nil; listed == done {
				return errors.New("is damaged (the list of open batches is wrong): keep it, and restore a good copy")
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	return j.checkWitness(written)
}

// create lays out a file that has nothing in it.
func create(tx *bbolt.Tx, whose []byte) error {
	if tx.Bucket(metaBucket) != nil {
		return nil
	}
	for _, name := range [][]byte{metaBucket, historiesBucket, openBucket, sequencesBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	return errors.Join(
		meta.Put([]byte("format"), []byte(strconv.Itoa(format))),
		meta.Put([]byte("owner"), whose))
}

// checkWitness refuses a file that holds less than was once written here: an
// old copy does not know what has been sent since.
func (j *Journal) checkWitness(written int) error {
	text, err := os.ReadFile(j.witness)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if once, err := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil && once > written {
		return fmt.Errorf("holds %d entries, but %d were written: it is an older copy, which does not know what was sent since; "+
			"restore the newest, or remove %s once the service was asked about every batch since", written, once, j.witness)
	}
	return nil
}

// History returns the entries of key, oldest first.
func (j *Journal) History(_ context.Context, key batch.Key) (history []batch.Entry, err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(historiesBucket).Bucket(name(key))
		if bucket == nil {
			return nil
		}
		history, err = read(bucket)
		return err
	})
	return history, err
}

// Append adds the next entry to the history of key, on the disk.
func (j *Journal) Append(_ context.Context, key batch.Key, e batch.Entry) error {
	return j.write(func(tx *bbolt.Tx) error {
		bucket, err := tx.Bucket(historiesBucket).CreateBucketIfNotExists(name(key))
		if err != nil {
			return err
		}
		seq, last := 1, []byte(nil)
		if k, v := bucket.Cursor().Last(); k != nil {
			seq, last = int(binary.BigEndian.Uint64(k))+1, v[:sha256.Size]
		}
		if e.Seq != seq {
			return &batch.Error{Kind: batch.ErrConflict, Op: "Journal",
				Message: fmt.Sprintf("entry %d of %q is not the next, %d is", e.Seq, key.Reference, seq)}
		}
		text, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(seq)), append(seal(last, text), text...)); err != nil {
			return err
		}
		if err := count(tx, j); err != nil {
			return err
		}
		if e.Kind == batch.EntryDone {
			return tx.Bucket(openBucket).Delete(name(key))
		}
		return tx.Bucket(openBucket).Put(name(key), []byte{})
	})
}

// Open yields the keys of the histories that are not done. A journal has one
// owner: for any other there are none.
func (j *Journal) Open(_ context.Context, provider, account string) iter.Seq2[batch.Key, error] {
	return func(yield func(batch.Key, error) bool) {
		var open []batch.Key
		err := j.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(openBucket).ForEach(func(k, _ []byte) error {
				var key batch.Key
				if err := json.Unmarshal(k, &key); err != nil {
					return err
				}
				if key.Provider == provider && key.Account == account {
					open = append(open, key)
				}
				return nil
			})
		})
		// The transaction is over before anything else can want to write.
		for _, key := range open {
			if !yield(key, nil) {
				return
			}
		}
		if err != nil {
			yield(batch.Key{}, err)
		}
	}
}

// Next returns the next number of a sequence.
func (j *Journal) Next(_ context.Context, sequence string, first int64) (next int64, err error) {
	err = j.write(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(sequencesBucket)
		next = first
		if last := bucket.Get([]byte(sequence)); last != nil {
			next = max(first, int64(binary.BigEndian.Uint64(last))+1)
		}
		return bucket.Put([]byte(sequence), binary.BigEndian.AppendUint64(nil, uint64(next)))
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
	err := j.db.Update(change)
	if err != nil && !errors.Is(err, batch.ErrConflict) {
		j.poisoned = err
	}
	return err
}

// count remembers beside the file how many entries it holds. A crash can leave
// it behind by the newest entry; it is never ahead.
func count(tx *bbolt.Tx, j *Journal) error {
	meta := tx.Bucket(metaBucket)
	n, _ := strconv.Atoi(string(meta.Get([]byte("entries"))))
	n++
	text := []byte(strconv.Itoa(n))
	tx.OnCommit(func() { _ = os.WriteFile(j.witness, text, 0o600) })
	return meta.Put([]byte("entries"), text)
}

// read returns a history, each entry verified against the chain of seals.
func read(bucket *bbolt.Bucket) ([]batch.Entry, error) {
	var history []batch.Entry
	var last []byte
	err := bucket.ForEach(func(k, v []byte) error {
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

// seal binds an entry to all entries before it.
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
