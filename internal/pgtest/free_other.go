//go:build unix && !linux

package pgtest

import "errors"

func free(string) (uint64, error) { return 0, errors.ErrUnsupported }
