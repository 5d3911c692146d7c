package snapbill

import (
	"cmp"

	"github.com/batchway/batchway-go/batch"
)

// Operations is the whole table, for the test that audits it.
var Operations = operations

// Check is what the client does with every object that it has read.
func Check(v any) error {
	o, ok := v.(interface {
		identify() error
		check() error
		verify() error
	})
	if !ok {
		return nil
	}
	return cmp.Or(o.identify(), o.check(), o.verify())
}

// FormOf is what is sent for a client.
func FormOf(f CustomerFields) string { return f.form().Encode() }

// StateOf is what a batch at the service means.
func StateOf(b *Batch) batch.State { return state(b) }

// Refusal is how an error reply is read.
var Refusal = refusal
