//go:build !unix

package private

import "io/fs"

func factsOf(fs.FileInfo) (f facts, known bool) { return facts{}, false }
