// Package lock lets one process at a time use a resource, by a lock on a file.
package lock

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrHeld means that another process holds the lock.
var ErrHeld = errors.New("locked by another process")

// retry is the time between two attempts to get a lock.
const retry = 20 * time.Millisecond

// Acquire locks a file, which it creates with mode 0600 if it is missing. It waits at most that long for another holder of
// the lock; then the error wraps [ErrHeld]. A symbolic link is an error. Two calls in one process exclude each other too.
//
// The lock is held until the returned file is closed, or until the process ends. The caller must keep a reference to the
// file: the garbage collector closes a file without one. A child that has inherited the file holds the lock too. Acquire
// never removes the file, because two processes could then lock two files of one name.
//
// Only Unix has these locks. On other systems Acquire always succeeds.
func Acquire(path string, wait time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|noFollow, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(wait); ; time.Sleep(retry) {
		switch err := tryLock(f); {
		case err == nil:
			return f, nil
		case !errors.Is(err, ErrHeld) || !time.Now().Before(deadline):
			_ = f.Close()
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// Held reports whether a process, which may be this one, holds the lock of a file. A missing file has no lock. For a moment
// Held takes a free lock itself, so an Acquire at the same time may have to try again. On systems without locks, Held
// reports whether the file exists.
func Held(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	defer f.Close() // which releases the lock that was just acquired
	return held(f)
}
