package sqljournal

import (
	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/internal/record"
)

// MigrateWith is Migrate as a later version does it, with more migrations.
var MigrateWith = migrate

// CheckSchema is how Open looks at the tables.
var CheckSchema = checkSchema

// Migrations are those of this version.
func Migrations() [][]string { return migrations }

// Decode reads the rows of one history, as Open's queries give them: text of an
// entry each, in format and of kind, and one list of items.
func Decode(format int, kind, digest, list string, texts ...string) ([]batch.Entry, error) {
	f := found{items: make(record.Lists), lists: map[string]string{digest: list}}
	for n, text := range texts {
		e, err := f.decode(n+1, batch.EntryKind(kind), format, text)
		if err != nil {
			return f.Entries, err
		}
		f.Entries = append(f.Entries, e)
	}
	f.entries, f.last = len(texts), batch.EntryKind(kind)
	f.check()
	return f.Entries, f.err
}
