package batchsim

import (
	"maps"
	"slices"
)

// A Batch is what a simulated service has of a batch, for people to look at.
type Batch struct {
	ID        string      `json:"id"`
	Reference string      `json:"reference,omitempty"` // the caller's, if the service keeps one
	State     string      `json:"state"`               // the service's word
	Items     []BatchItem `json:"items"`
}

// A BatchItem is one payment or record of a Batch.
type BatchItem struct {
	Reference string `json:"reference"`
	Account   string `json:"account"`
	Minor     int64  `json:"minor"`           // the amount in the minor unit
	State     string `json:"state,omitempty"` // the service's word, once there is one
}

// Operations returns the names of the operations that the simulator serves.
func (k *Kit) Operations() []string { return slices.Sorted(maps.Values(k.names)) }
