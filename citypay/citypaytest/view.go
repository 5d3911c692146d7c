package citypaytest

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// Batches returns every batch and what became of its rows, by number.
func (s *Server) Batches() []batchsim.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var runs []*run
	for _, accounts := range s.batches {
		for _, b := range accounts {
			runs = append(runs, b)
		}
	}
	slices.SortFunc(runs, func(a, b *run) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.account, b.account))
	})
	var all []batchsim.Batch
	for _, b := range runs {
		view := batchsim.Batch{ID: strconv.FormatInt(b.id, 10), State: b.status}
		for n, row := range b.rows {
			item := batchsim.BatchItem{Reference: row.Identifier, Account: row.Account, Minor: row.Amount}
			if n < len(b.results) {
				item.State = b.results[n].Code + " " + b.results[n].Message
			}
			view.Items = append(view.Items, item)
		}
		all = append(all, view)
	}
	return all
}
