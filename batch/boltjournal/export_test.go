package boltjournal

import (
	"context"
	"os"

	"go.etcd.io/bbolt"

	"github.com/batchway/batchway-go/batch"
)

// OpenWith is Open with another way to sync a directory.
func OpenWith(path string, owner batch.Info, sync func(path string) error) (*Journal, error) {
	return open(path, owner, "", sync)
}

// MoveWith is Move with another way to sync a directory.
var MoveWith = move

// CopyWhole and ErrTorn are how Look copies a file that is written to.
var (
	CopyWhole = copyWhole
	ErrTorn   = errTorn
)

// DB is the database of j.
func DB(j *Journal) *bbolt.DB { return j.db }

// Count is the file that remembers how much j has written.
func Count(j *Journal) *os.File { return j.count }

// Together calls all of calls, whose writes wait until the last of them has
// come and then share one turn. Each must write once.
func Together(j *Journal, calls ...func()) {
	done := make(chan struct{})
	j.mu.Lock()
	for _, call := range calls {
		go func() { call(); done <- struct{}{} }()
	}
	for queued := 0; queued < len(calls); {
		j.queueing.Lock()
		queued = len(j.queue)
		j.queueing.Unlock()
	}
	j.mu.Unlock()
	for range calls {
		<-done
	}
}

// CheckPages checks the pages of a file beside its database.
var CheckPages = checkPages

// EraseEntries is Erase that stops before the pages.
func EraseEntries(ctx context.Context, j *Journal, match func(batch.Item) bool) error {
	_, err := j.eraseEntries(ctx, match)
	return err
}
