//go:build unix && !solaris && !aix

package state

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks the file for this process, or returns errBusy.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errBusy
	}
	return nil, &os.PathError{Op: "flock", Path: path, Err: err}
}

// unlock unlocks the file. Closing it alone is not enough: a process that is being started by another goroutine has the file, and with it
// the lock, until it executes its program.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}
