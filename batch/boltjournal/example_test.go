package boltjournal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/batchway/batchway-go/batch"
	"github.com/batchway/batchway-go/batch/batchtest"
	"github.com/batchway/batchway-go/batch/boltjournal"
)

// The journal of an account outlives the process: the second Run is that of
// another process, with the same file.
func Example() {
	directory, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(directory) }()
	path := filepath.Join(directory, "payments.journal")
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	draft := batch.Draft{Reference: "november", Direction: batch.Collect, Items: []batch.Item{
		{Reference: "INV-1", Account: "card-1", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
	}}
	for range 2 {
		journal, err := boltjournal.Open(path, provider.Info())
		if err != nil {
			fmt.Println(err)
			return
		}
		report, err := batch.Run(context.Background(), provider, draft, &batch.RunOptions{Journal: journal})
		fmt.Println(report.Batch.State, err, provider.Submits())
		_ = journal.Close()
	}
	// Output:
	// done <nil> 1
	// done <nil> 1
}

// A report of the night reads a copy while the runner has the journal open.
func ExampleLook() {
	directory, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(directory) }()
	path := filepath.Join(directory, "payments.journal")
	provider := batchtest.NewMemory(batchtest.MemoryOptions{})
	runner, err := boltjournal.Open(path, provider.Info())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = runner.Close() }()

	look, err := boltjournal.Look(path, provider.Info())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = look.Close() }()
	for dossier, err := range batch.NewDesk(provider, look).Pending(context.Background()) {
		fmt.Println(dossier.Key.Reference, dossier.Standing, err)
	}
	fmt.Println("nothing is open")
	// Output: nothing is open
}

// A person asks to be forgotten. What the journal needs so that nothing is paid
// twice stays, and so does what was reported.
func ExampleJournal_Erase() {
	directory, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(directory) }()
	provider := batchtest.NewMemory(batchtest.MemoryOptions{Polls: 1})
	journal, err := boltjournal.Open(filepath.Join(directory, "payments.journal"), provider.Info())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = journal.Close() }()
	draft := batch.Draft{Reference: "november", Direction: batch.Collect, Items: []batch.Item{
		{Reference: "INV-1", Account: "card-of-ann", Amount: batch.Money{Minor: 1250, Currency: "GBP"}},
		{Reference: "INV-2", Account: "card-of-ben", Amount: batch.Money{Minor: 990, Currency: "GBP"}},
	}}
	options := &batch.RunOptions{Journal: journal}
	if _, err := batch.Run(context.Background(), provider, draft, options); err != nil {
		fmt.Println(err)
		return
	}

	erased, err := journal.Erase(context.Background(), func(item batch.Item) bool {
		return item.Account == "card-of-ann"
	})
	fmt.Println(len(erased), "batch,", err)
	report, err := batch.Resume(context.Background(), provider, "november", options)
	for _, result := range report.Results {
		fmt.Println(result.Item.Reference, result.Item.Account, result.Item.Amount, result.Outcome)
	}
	fmt.Println(err)
	// Output:
	// 1 batch, <nil>
	// INV-1 (erased) 12.50 GBP paid
	// INV-2 card-of-ben 9.90 GBP paid
	// <nil>
}

// The journal goes to another machine. A job that was forgotten on the old one
// sends nothing.
func ExampleMove() {
	directory, err := os.MkdirTemp("", "journal")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(directory) }()
	here, there := filepath.Join(directory, "here"), filepath.Join(directory, "there")
	owner := batchtest.NewMemory(batchtest.MemoryOptions{}).Info()
	journal, err := boltjournal.Open(here, owner)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(journal.Close())

	fmt.Println(boltjournal.Move(here, there, owner))
	_, err = boltjournal.Open(here, owner)
	fmt.Println("the old one opens:", err == nil)
	journal, err = boltjournal.Open(there, owner)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(journal.Close())
	// Output:
	// <nil>
	// <nil>
	// the old one opens: false
	// <nil>
}
