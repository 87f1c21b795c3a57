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

// Acquire locks a file, which it creates with mode 0600 if it is missing, and waits at most that long for another process to
// release it. Then the error wraps [ErrHeld]. Closing the returned file, or the end of the process, releases the lock.
// A child that has inherited the file holds the lock too. The file stays, because removing it would let two processes
// lock two files of one name.
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

// Held reports whether a process holds the lock of a file. A missing file has no lock. On systems without locks, Held
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
