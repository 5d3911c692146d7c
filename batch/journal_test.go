package batch_test

import (
	"testing"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

func TestMemoryJournal(t *testing.T) {
	batchtest.RunJournal(t, func(*testing.T) batchtest.JournalSubject {
		j := batch.NewMemoryJournal()
		return batchtest.JournalSubject{Journal: j, Owner: batch.Info{Name: "test", Account: "sandbox.test/1"},
			AnyAccount: true,
			Beside:     func(*testing.T, batch.Info) batch.Journal { return j }}
	})
}
