package centrapaytest

import (
	"maps"
	"slices"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// Batches returns every batch and its records, as far as its file was fetched.
func (s *Server) Batches() []batchsim.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []batchsim.Batch
	for _, id := range slices.Sorted(maps.Keys(s.batches)) {
		b := s.batches[id]
		view := batchsim.Batch{ID: b.id, State: b.status}
		for n, r := range b.records {
			item := batchsim.BatchItem{Reference: r.id, Account: r.account, Minor: r.cents, State: r.fault}
			if r.fault == "" && n < b.loaded {
				item.State = "loaded"
			}
			view.Items = append(view.Items, item)
		}
		all = append(all, view)
	}
	return all
}
