//go:build unix

package secret

import (
	"os"
	"syscall"
)

// keepOwner gives f the owner of the file at path, if there is one and the process is root. So a service can still read
// its file after root has changed it.
func keepOwner(f *os.File, path string) error {
	info, err := os.Lstat(path)
	if err != nil || os.Geteuid() != 0 || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // a new file belongs to the process
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}

// syncFolder makes a new name in a folder survive a power failure.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
