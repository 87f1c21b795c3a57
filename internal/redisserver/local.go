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

// Publication is the password of a running server, in a file that only programs of the same user can read. So a Telegraf beside
// analytics-api reaches the Redis of that without a password in its configuration.
//
// Three checks make a found password one of this user and of now: the folder belongs to the user alone, the file is no symbolic
// link, and its lock is held, which ends with the process even if that is killed.
type Publication struct {
	Path string   // of the file
	file *os.File // locked while the server runs, so that the file of a killed process is recognized
}

// Publish stores the password of the server at an address, for [LocalPassword], until the Publication is closed. Only the port of the
// address counts: the server of a port is the same for all addresses of this machine.
func Publish(addr, password string) (*Publication, error) {
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
	f, err := acquire(path)
	if err != nil {
		return nil, err
	}
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

// acquire locks the file at a path, see [lock.Acquire]. A program that ends removes its file, as Close does, while another one may
// wait for the lock of it. That one would write into a file without a name, and so begins again.
func acquire(path string) (*os.File, error) {
	for {
		f, err := lock.Acquire(path, localWait)
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

// Close removes the file. A nil Publication has none.
func (p *Publication) Close() error {
	if p == nil {
		return nil
	}
	return errors.Join(os.Remove(p.Path), p.file.Close())
}

// LocalPassword returns the password of the server at an address, if that runs as a child of a program of the same user
// on this machine, which has published the password. It returns "" if there is none.
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
	if errors.Is(err, fs.ErrNotExist) {
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
