package execd

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// awaitReader waits until the reader of a pipe has read all that is in it. It returns an error if the reader has closed the pipe
// or cancel is closed. For other files it returns nil.
func awaitReader(f *os.File, cancel <-chan struct{}) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeNamedPipe == 0 {
		return nil
	}
	fd := int(f.Fd())
	// For both ends of a pipe, TIOCINQ is how many bytes are in it. The writing end has POLLERR once the reading end is closed: poll(2).
	for {
		unread, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
		if err != nil {
			return nil //nolint:nilerr // it cannot be known; this is no failed write
		}
		ends := []unix.PollFd{{Fd: int32(fd)}}
		if _, err := unix.Poll(ends, 0); err == nil && ends[0].Revents&unix.POLLERR != 0 {
			return unix.EPIPE
		}
		if unread == 0 {
			return nil
		}
		select {
		case <-cancel:
			return errStuck
		case <-time.After(time.Millisecond):
		}
	}
}
