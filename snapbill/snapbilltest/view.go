package snapbilltest

import (
	"strconv"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// Batches returns every batch of the account that New has made, and its
// payments, the oldest first.
func (s *Server) Batches() []batchsim.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []batchsim.Batch
	for _, b := range s.batches {
		view := batchsim.Batch{ID: strconv.FormatInt(b.id, 10), State: b.state}
		for _, p := range b.payments {
			view.Items = append(view.Items, batchsim.BatchItem{Reference: strconv.FormatInt(p.id, 10),
				Account: p.client.number, Minor: p.cents, State: p.state})
		}
		all = append(all, view)
	}
	return all
}
