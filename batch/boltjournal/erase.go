package boltjournal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"

	"go.etcd.io/bbolt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// Erase removes what identifies the people of the items that match from every
// history that is done: Item.Account becomes batch.Erased, Item.Extra is
// removed, and so are both from the words of services and of people that repeat
// them (if they have three bytes or more). What the journal needs so that no
// money moves twice stays, and with it the outcomes: references, amounts,
// labels, purposes and the service's own IDs. Do not put names into them.
// It returns the keys of the histories that it has changed.
//
// A history that is not done needs its accounts. ErrConflict names those with an
// item that matches: nothing was erased in them, and everything in the others.
//
// Afterwards the file holds no earlier copy: Erase writes zeros over all pages
// that it does not use. After an error or a crash, call it again. Copies and
// backups of the file, and what a file system or a disk keeps of what was written
// over, are beyond its reach.
func (j *Journal) Erase(ctx context.Context, match func(batch.Item) bool) (erased []batch.Key, err error) {
	erased, err = j.eraseEntries(ctx, match)
	if err != nil && !errors.Is(err, batch.ErrConflict) {
		return erased, err // What may be damaged is kept.
	}
	return erased, errors.Join(err, j.scrub())
}

func (j *Journal) eraseEntries(ctx context.Context, match func(batch.Item) bool) ([]batch.Key, error) {
	return record.EraseEach(j.list(ctx, j.owner.Provider, j.owner.Account, historiesBucket, nil), match,
		func(key batch.Key) (bool, error) { return j.eraseOne(ctx, key, match) })
}

// eraseOne erases from one history, unless it is not done. It holds the lock:
// another call would append accounts that it has read before.
func (j *Journal) eraseOne(ctx context.Context, key batch.Key, match func(batch.Item) bool) (erased bool, err error) {
	unlock, err := j.Lock(ctx, key)
	if err != nil {
		return false, err
	}
	defer unlock()
	err = j.write(func(tx *bbolt.Tx) error {
		if tx.Bucket(historiesBucket).Bucket(name(key)) == nil {
			return nil // Pruned since.
		}
		history, _, err := read(tx, name(key), make(record.Lists).Get)
		if err != nil || history[len(history)-1].Kind != batch.EntryDone {
			return err
		}
		erased = true
		history, _ = record.Erase(history, match)
		return rewrite(tx, key, history)
	})
	return erased, err
}

// rewrite writes a history anew, with as many entries.
func rewrite(tx *bbolt.Tx, key batch.Key, history []batch.Entry) error {
	if err := removeItems(tx, name(key)); err != nil {
		return err
	}
	bucket, last := tx.Bucket(historiesBucket).Bucket(name(key)), name(key)
	for _, e := range history {
		text, lists, err := record.Encode(key, e)
		if err != nil {
			return err
		}
		if err := putItems(tx, name(key), lists); err != nil {
			return err
		}
		last = seal(last, text)
		if err := bucket.Put(binary.BigEndian.AppendUint64(nil, uint64(e.Seq)),
			append(last[:len(last):len(last)], text...)); err != nil {
			return err
		}
	}
	return nil
}

// scrub writes zeros over what the file does not use. Nothing else reads or
// writes meanwhile: a reader may still see pages that are free by now.
func (j *Journal) scrub() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.readOnly(); err != nil {
		return err
	}
	j.reading.Lock()
	defer j.reading.Unlock()
	return j.transact(j.db.View, func(tx *bbolt.Tx) error {
		p, _, err := usedPages(j.db, tx, j.file)
		if err != nil {
			return err
		}
		file, err := j.file.Stat()
		if err != nil {
			return err
		}
		return scrubPages(j.file, p, file.Size())
	})
}

func scrubPages(file *os.File, p pages, size int64) error {
	have, zeros := make([]byte, p.size), make([]byte, p.size)
	for id := int64(2); (id+1)*int64(p.size) <= size; id++ {
		if id < int64(len(p.used)) && p.used[id] {
			continue
		}
		if _, err := file.ReadAt(have, id*int64(p.size)); err != nil {
			return err
		}
		if bytes.Equal(have, zeros) {
			continue
		}
		if _, err := file.WriteAt(zeros, id*int64(p.size)); err != nil {
			return err
		}
	}
	return file.Sync()
}
