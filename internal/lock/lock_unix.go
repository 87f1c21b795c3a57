//go:build unix

package lock

import (
	"errors"
	"os"
	"syscall"
)

// noFollow refuses a symbolic link, which could name a file of another user.
const noFollow = syscall.O_NOFOLLOW

// tryLock locks a file, or returns ErrHeld.
func tryLock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrHeld
	}
	return err
}

// held reports whether another process, or another opening of the file, holds the lock.
func held(f *os.File) (bool, error) {
	err := tryLock(f)
	if errors.Is(err, ErrHeld) {
		return true, nil
	}
	return false, err
}
