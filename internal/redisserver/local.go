package redisserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/lock"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// localWait is how long Publish waits for a program that is reading the file, or that ends.
const localWait = 5 * time.Second

// Publication is the password of a running server, in a file that only programs of the same user can read. So a Telegraf on the
// same machine connects to the Redis of analytics-api without a password in its configuration.
//
//	/tmp/analytics-api-1000/redis-6379.password    of the user 1000, for port 6379: one line, with the mode 0600
//
// [LocalPassword] makes three checks, so that it returns only passwords that this user has published and that are still valid:
// the folder belongs to the user alone, the file is not a symbolic link, and its lock is held. The lock ends with the process,
// even if that is killed.
type Publication struct {
	Path string   // of the file
	file *os.File // locked while the server runs, so that the file of a killed process is recognized
}

// Publish stores the password of the server at an address, host:port, for [LocalPassword], until the Publication is closed. Only
// the port of the address is used: LocalPassword finds the password under every address of this machine. If another process
// has published a password for the port, the error wraps [lock.ErrHeld] after 5 s.
func Publish(addr, password string) (*Publication, error) { return publish(addr, password, localWait) }

// publish is Publish with another time to wait.
func publish(addr, password string, wait time.Duration) (*Publication, error) {
	path, err := localPath(addr)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err := checkOwner(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := acquire(path, wait)
	if err != nil {
		return nil, err
	}
	// A process that was killed has left its file, which is used again. The mode is right before the password is in the file.
	err = errors.Join(f.Chmod(0o600), f.Truncate(0))
	if err == nil {
		_, err = f.WriteString(password + "\n")
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Publication{Path: path, file: f}, nil
}

// acquire locks the file at a path: see [lock.Acquire]. While it waits, the program that holds the lock may end and remove the
// file, as Close does. Then the locked file has no name any more, and acquire begins again.
func acquire(path string, wait time.Duration) (*os.File, error) {
	for {
		f, err := lock.Acquire(path, wait)
		if err != nil {
			return nil, err
		}
		locked, err := f.Stat()
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		if named, err := os.Lstat(path); err == nil && os.SameFile(locked, named) {
			return f, nil
		}
		_ = f.Close()
	}
}

// Close removes the file. It does nothing for a nil Publication. It is called once. The file is removed while it is locked: nobody else
// can have locked it and written another password in between.
func (p *Publication) Close() error {
	if p == nil {
		return nil
	}
	return errors.Join(os.Remove(p.Path), p.file.Close())
}

// LocalPassword returns the password that a program of the same user on this machine has published for the port of an address,
// host:port. It returns "" if there is none. The caller makes sure that the host of the address is this machine.
func LocalPassword(addr string) (string, error) {
	path, err := localPath(addr)
	if err != nil {
		return "", err
	}
	if err := checkOwner(filepath.Dir(path)); err != nil {
		return "", nil //nolint:nilerr // nothing in this folder is of this user
	}
	held, err := lock.Held(path)
	if err != nil || !held {
		return "", err
	}
	password, err := secret.Read(path)
	if errors.Is(err, fs.ErrNotExist) { // the server has ended since then
		return "", nil
	}
	return password, err
}

// localPath returns the path of the file for the port of an address. It is in a folder of the user below that for temporary
// files, because a service may have no home.
func localPath(addr string) (string, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("analytics-api-%d", os.Getuid()), "redis-"+port+".password"), nil
}
