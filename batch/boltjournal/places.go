package boltjournal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// Look opens a copy of the journal at path, as it is now, while another process
// has the journal open: to see with a batch.Desk what is pending, or what became
// of a batch. Whatever writes to it is ErrUnsupported. The copy is a temporary
// file that only its owner can read. Close removes it.
func Look(path string, owner batch.Info) (*Journal, error) {
	account, err := record.OwnerOf(owner)
	if err == nil {
		err = checkFile(path)
	}
	for range looks {
		if err != nil {
			break
		}
		var j *Journal
		if j, err = look(path, account); err == nil {
			return j, nil
		}
		if !errors.Is(err, errTorn) {
			break
		}
		err = nil
	}
	if err == nil {
		err = errors.New("is written to faster than it can be copied: try again later")
	}
	return nil, fmt.Errorf("journal %s: %w", path, err)
}

// looks is how often Look copies a file that is written to meanwhile.
const looks = 20

// errTorn says that the file was written to while it was copied.
var errTorn = errors.New("was written to while it was copied")

func look(path string, owner record.Owner) (*Journal, error) {
	before, err := metaPages(path)
	if err != nil {
		return nil, err
	}
	j := &Journal{owner: owner}
	if j.copied, err = copyFile(path); err != nil {
		return nil, errors.Join(err, j.forget())
	}
	after, err := metaPages(path)
	if err == nil && before != after {
		err = errTorn
	}
	if err != nil {
		return nil, errors.Join(err, j.forget())
	}
	if err := guarded(func() error {
		if err := j.openBolt(j.copied, true); err != nil {
			return err
		}
		if err := checkPages(j.db, j.file); err != nil {
			return damaged(err)
		}
		return nil
	}); err != nil {
		_ = j.file.Close() // A panic has left it open.
		return nil, errors.Join(err, j.forget())
	}
	isNew, err := j.verify()
	if isNew {
		err = errors.New("has nothing in it")
	}
	if err != nil {
		return nil, errors.Join(err, j.closeFile(), j.forget())
	}
	return j, nil
}

// forget removes the copy that j is.
func (j *Journal) forget() error {
	if err := os.Remove(j.copied); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// metaPages returns the facts that every transaction of bolt changes last. A file
// in which they are the same before and after has not changed in between.
func metaPages(path string) (pages string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text := make([]byte, 2*os.Getpagesize())
	n, err := io.ReadFull(file, text)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return "", damaged("it is too short")
	}
	return string(text[:n]), err
}

// copyFile copies a file into a temporary one.
func copyFile(path string) (name string, err error) {
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = from.Close() }()
	to, err := os.CreateTemp("", "batchway-journal-*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	return to.Name(), errors.Join(err, to.Close())
}

// Move moves the journal at path from to the path to, which must not exist, for
// example on the disk of another machine. No process may have it open. The old
// file stays as it is and says where the journal went: Open refuses it for ever,
// so that an old machine does not send again what the new one has sent. After a
// crash, the same Move completes what was begun.
func Move(from, to string, owner batch.Info) error {
	return move(from, to, owner, syncDirectory)
}

func move(from, to string, owner batch.Info, syncDirectory func(path string) error) error {
	refuse := func(err error) error { return fmt.Errorf("journal %s: %w", to, err) }
	if err := checkDirectory(filepath.Dir(to)); err != nil {
		return refuse(err)
	}
	_, err := os.Lstat(to)
	there := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refuse(err)
	}
	if _, err := os.Lstat(from); err != nil {
		return fmt.Errorf("journal %s: %w", from, err) // Open would make one.
	}
	j, err := open(from, owner, to, syncDirectory)
	begun := err == nil
	if !begun {
		if j, err = open(from, owner, "", syncDirectory); err != nil {
			return err
		}
	}
	defer func() { _ = j.Close() }()
	switch {
	case there && begun:
		return nil // An earlier call has moved it.
	case there:
		return refuse(errors.New("is there already: name a new file"))
	}
	// From here on the old file is not opened any more, whatever happens.
	if err := j.write(func(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(movedKey, []byte(to)) }); err != nil {
		return err
	}
	next := to + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refuse(err)
	}
	if err := j.view(func(tx *bbolt.Tx) error { return tx.CopyFile(next, 0o600) }); err != nil {
		return refuse(err)
	}
	arrived, err := bbolt.Open(next, 0o600, nil)
	if err != nil {
		return refuse(err)
	}
	err = arrived.Update(func(tx *bbolt.Tx) error {
		return errors.Join(
			tx.Bucket(metaBucket).Delete(movedKey),
			tx.Bucket(metaBucket).Put([]byte("written"), []byte(strconv.Itoa(j.written+1))))
	})
	if err := errors.Join(err, arrived.Close()); err != nil {
		return refuse(err)
	}
	if err := errors.Join(os.Rename(next, to), syncDirectory(filepath.Dir(to))); err != nil {
		return refuse(err)
	}
	return nil
}

// movedKey is the fact in a file that says where the journal is now.
var movedKey = []byte("moved")

// moved is where the journal is now; empty if it is here.
func (j *Journal) moved() (to string) {
	_ = j.view(func(tx *bbolt.Tx) error {
		if meta := tx.Bucket(metaBucket); meta != nil {
			to = string(meta.Get(movedKey))
		}
		return nil
	})
	return to
}
