package boltjournal

import (
	"bytes"
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
	"github.com/batchway/batchway-go/internal/private"
)

// Look opens a copy of the journal at path, as it is now, while another process
// has the journal open: to see with a batch.Desk what is pending, or what became
// of a batch. Whatever writes to it is ErrUnsupported. The copy is a temporary
// file that only its owner can read. Close removes it.
func Look(path string, owner batch.Info) (*Journal, error) {
	j, err := lookAt(path, owner)
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	return j, nil
}

func lookAt(path string, owner batch.Info) (*Journal, error) {
	account, err := record.OwnerOf(owner)
	if err != nil {
		return nil, err
	}
	if err := private.File(path); err != nil {
		return nil, err
	}
	for range looks {
		if j, err := look(path, account); !errors.Is(err, errTorn) {
			return j, err
		}
	}
	return nil, errors.New("is written to faster than it can be copied: try again later")
}

// looks is how often Look copies a file that is written to meanwhile.
const looks = 20

// errTorn says that the file was written to while it was copied.
var errTorn = errors.New("was written to while it was copied")

func look(path string, owner record.Owner) (*Journal, error) {
	copied, err := copyFile(path)
	j := &Journal{owner: owner, copied: copied}
	if err != nil {
		return nil, errors.Join(err, j.forget())
	}
	if err := guarded(func() error { return j.openToRead(copied) }); err != nil {
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
func metaPages(file io.ReaderAt) ([]byte, error) {
	pages := make([]byte, 2*os.Getpagesize())
	_, err := file.ReadAt(pages, 0)
	if errors.Is(err, io.EOF) {
		return nil, damaged("it is too short")
	}
	return pages, err
}

// copyFile copies the file of a journal into a temporary one, whose name it
// returns.
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
	return to.Name(), errors.Join(copyWhole(to, from), to.Close())
}

// copyWhole copies the file of a journal. It returns errTorn if the file was
// written to meanwhile.
func copyWhole(to io.Writer, from *os.File) error {
	before, err := metaPages(from)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	after, err := metaPages(from)
	if err == nil && !bytes.Equal(before, after) {
		err = errTorn
	}
	return err
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
	from, to = filepath.Clean(from), filepath.Clean(to)
	refuse := func(err error) error { return fmt.Errorf("journal %s: %w", to, err) }
	if err := private.Directory(filepath.Dir(to)); err != nil {
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
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	switch {
	case there && j.moved() == to:
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
