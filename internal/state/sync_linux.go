package state

import (
	"os"
	"syscall"
)

// syncData makes the contents of the file durable, and the metadata that is needed to read them: fdatasync(2) leaves out the times of the
// file, which fsync would write too. A signal that interrupts the call is no error.
func syncData(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		for {
			if failed = syscall.Fdatasync(int(fd)); failed != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && failed != nil {
		err = &os.PathError{Op: "fdatasync", Path: f.Name(), Err: failed}
	}
	return err
}
