package batch_test

import (
	"testing"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
)

func TestMemoryJournal(t *testing.T) {
	batchtest.RunJournal(t, func(*testing.T) batchtest.JournalSubject {
		return batchtest.JournalSubject{Journal: batch.NewMemoryJournal(), Owner: batch.Info{Name: "test", Account: "sandbox.test/1"}}
	})
}
