package redisserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/lock"
)

// lockWait is how long a server waits for the end of an earlier one in its folder, whose parent was killed.
const lockWait = 5 * time.Second

// aofFolder is the folder in which redis-server keeps its append-only files, since version 7. Earlier versions keep one
// file beside it.
const aofFolder = "appendonlydir"

// folder is the working folder of a server. redis-server trusts its folder: it loads what is there at start.
//
//	redis-server.lock    locked while a server uses the folder, also by the server itself; never removed
//	appendonlydir/       the data, with the mode 0700, since version 7 of Redis
//	appendonly.aof       the data, with the mode 0600, of earlier versions
//
// A server without data has a temporary folder with a new name, so without a lock.
type folder struct {
	path      string
	temporary bool     // whether close removes it, with all that is in it
	lock      *os.File // nil for a temporary folder
}

// openFolder prepares a folder for one server, and makes it if it is missing. Without a path it makes a temporary one. It refuses a folder
// in which every user can write, as redis-server would load what another user has put there. The files are looked at only after the
// folder is locked: before that, an earlier server may still write them.
func openFolder(path string) (*folder, error) {
	if path == "" {
		dir, err := os.MkdirTemp("", "redis-server-") // with mode 0700
		return &folder{path: dir, temporary: true}, err
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	if err := CheckFolder(path); err != nil {
		return nil, err
	}
	held, err := lock.Acquire(filepath.Join(path, "redis-server.lock"), lockWait)
	if errors.Is(err, lock.ErrHeld) {
		return nil, fmt.Errorf("the folder %s is in use by another redis-server of analytics-api, want another folder: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	if err := protect(path); err != nil {
		_ = held.Close()
		return nil, err
	}
	return &folder{path: path, lock: held}, nil
}

// CheckFolder returns an error for a folder that Start would refuse, as far as that is known without making or locking it. A missing
// folder is valid if it can be made. The path is not empty.
func CheckFolder(path string) error {
	info, err := os.Stat(path)
	for errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path) {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is a symbolic link to a folder that does not exist", path)
		}
		path = filepath.Dir(path)
		if info, err = os.Stat(path); err == nil {
			return canWrite(path)
		}
	}
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case info.Mode().Perm()&othersWrite != 0:
		return fmt.Errorf("every user can write in the folder %s (mode %04o), want one for redis-server alone, with mode 0700", path, info.Mode().Perm())
	}
	return canWrite(path)
}

// close releases the folder. It is called once, after the end of the server.
func (f *folder) close() {
	if f.temporary {
		_ = os.RemoveAll(f.path)
		return
	}
	_ = f.lock.Close()
}

// protect makes the files of a server in a folder, old and future ones, readable for their owner only. The folder may
// have other files, which stay as they are. redis-server creates its files with the mode 0644, so their own folder
// protects them.
func protect(path string) error {
	dir := filepath.Join(path, aofFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a folder
		return err
	}
	entries, err := os.ReadDir(dir) // not Glob, for which the path could be a pattern
	if err != nil {
		return err
	}
	files := []string{filepath.Join(path, "appendonly.aof")}
	for _, entry := range entries {
		files = append(files, filepath.Join(dir, entry.Name()))
	}
	for _, name := range files {
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file, want the data of redis-server only", name)
		}
		if err := os.Chmod(name, 0o600); err != nil {
			return err
		}
	}
	return nil
}
