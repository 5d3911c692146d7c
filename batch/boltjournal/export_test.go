package boltjournal

import (
	"os"

	"go.etcd.io/bbolt"
)

// OpenWith is Open with another way to sync a directory.
var OpenWith = open

// DB is the database of j.
func DB(j *Journal) *bbolt.DB { return j.db }

// Count is the file that remembers how much j has written.
func Count(j *Journal) *os.File { return j.count }
