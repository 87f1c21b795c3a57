//go:build !linux

package state

import "os"

// syncData makes the contents of the file durable.
func syncData(f *os.File) error { return f.Sync() }
