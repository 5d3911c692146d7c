package sixdotfiftytest

import "github.com/batchway/batchway-go/batch/batchsim"

// Batches returns every batch and its payments, the oldest first.
func (s *Server) Batches() []batchsim.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []batchsim.Batch
	for _, o := range s.organisations {
		for _, b := range o.batches {
			view := batchsim.Batch{ID: b.id, Reference: b.external, State: b.status}
			for _, p := range b.payments {
				view.Items = append(view.Items, batchsim.BatchItem{Reference: p.external, Account: p.msisdn,
					Minor: p.amount, State: p.status})
			}
			all = append(all, view)
		}
	}
	return all
}
