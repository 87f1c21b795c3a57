//go:build unix

package redisserver

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// othersWrite are the permissions of a folder in which every user can write. A folder in which only its group can is accepted.
const othersWrite = 0o002

// checkOwner returns an error for a folder that belongs to another user or that other users can read or change. Every user can
// make folders among the temporary files, so another one could have made it.
func checkOwner(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(stat.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a folder of this user alone (mode %s)", path, info.Mode())
	}
	return nil
}

// canWrite returns an error for a folder in which this process cannot make files.
func canWrite(path string) error {
	const write, search = 2, 1
	if err := syscall.Access(path, write|search); err != nil {
		return &fs.PathError{Op: "write in", Path: path, Err: err}
	}
	return nil
}
