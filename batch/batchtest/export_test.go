package batchtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Check runs one law and returns what it complains about.
func Check(ctx context.Context, name string, open func() Subject) []string {
	for _, l := range laws {
		if strings.HasPrefix(l.name, name) {
			r := &recorder{ctx: ctx}
			func() {
				defer func() {
					if p := recover(); p != nil && p != fatal {
						panic(p)
					}
				}()
				l.check(r, open)
			}()
			return r.faults
		}
	}
	panic("there is no law " + name)
}

// fatal ends a law early.
const fatal = "fatal"

type recorder struct {
	ctx    context.Context //nolint:containedctx // As in testing.T.
	mu     sync.Mutex
	faults []string
}

func (r *recorder) Helper()                  {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(fatal)
}
