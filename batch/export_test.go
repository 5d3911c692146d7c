package batch

import "fmt"

// ProgressKey tells apart histories that the table treats differently.
func ProgressKey(history []Entry) string {
	p := replay(history)
	known := func(b *Batch) string {
		if b == nil {
			return "-"
		}
		return b.ID + string(b.State)
	}
	return fmt.Sprint(p.intent != nil, known(p.batch), p.creating, p.left, p.open, p.last != nil, p.resend,
		p.submitted, p.adopted,
		known(p.unadopted), p.touched, p.closed, p.abandoned != nil, p.explained != nil, p.lacking())
}
