//go:build !unix

package lock

import "os"

const noFollow = 0

// tryLock does nothing: see [Acquire].
func tryLock(*os.File) error { return nil }
