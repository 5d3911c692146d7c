package boltjournal

import "go.etcd.io/bbolt"

// OpenWith is Open with another way to sync a directory.
var OpenWith = open

// DB is the database of j.
func DB(j *Journal) *bbolt.DB { return j.db }
