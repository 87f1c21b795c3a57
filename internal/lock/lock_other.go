//go:build !unix

package lock

import "os"

const noFollow = 0

// tryLock does nothing: see [Acquire].
func tryLock(*os.File) error { return nil }

// held returns true: see [Held].
func held(*os.File) (bool, error) { return true, nil }
