package campaign

import (
	"bytes"
	"net/http"
	"runtime"
	"slices"
	"testing"

	"github.com/batchway/batchway-go/batch/batchsim"
)

// TestEndlessReplies: what a reply costs in memory has a limit, wherever it
// comes (I11).
func TestEndlessReplies(t *testing.T) {
	const most = 320 << 20 // Reports may have 64 MiB, in a buffer that has grown by doubling.
	for _, w := range worlds {
		steps, reads := operations(w)
		for n, op := range slices.Concat(steps, reads) {
			for _, body := range []struct {
				name   string
				status int
				text   string
			}{{"spaces", 200, " "}, {"arrays in arrays", 200, "["}, {"rows", 200, `[{"a":"b"},{"a":[{}]}],`},
				{"words", 500, "x"}} {
				t.Run(w.name+" "+op+" "+body.name, func(t *testing.T) {
					endless := breakage{name: "an endless reply", kit: func(*service) batchsim.Fault {
						return batchsim.Fault{Phase: batchsim.AfterApply, Act: batchsim.Endless,
							Reply: batchsim.Reply{Status: body.status,
								Header: http.Header{"Content-Type": {"application/json"}},
								Body:   bytes.Repeat([]byte(body.text), 64<<10)}}
					}}
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					got := play(t, w, uint64(n), func(s *service) plan {
						return single(fault{s.operation(n), 1, endless})
					})
					runtime.ReadMemStats(&after)
					if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
						t.Errorf("%d MiB were allocated because of a reply without end", allocated>>20)
					}
					for _, v := range got.violations {
						t.Error(v)
					}
				})
			}
		}
	}
}
