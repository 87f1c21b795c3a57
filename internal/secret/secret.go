// Package secret keeps secrets in files that only their owner can read.
package secret

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSize is the largest size of a file that Read accepts, in bytes.
const maxSize = 4096

// alphabet has no characters that look alike or that a URL or a shell treats specially.
var alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// New returns a random text of n characters a-z and 2-7, each with 5 bits: 32 characters have 160 bits. n is 0 or more.
func New(n int) string {
	b := make([]byte, (n*5+7)/8)
	_, _ = rand.Read(b) // it never fails
	return alphabet.EncodeToString(b)[:n]
}

// Read returns the only line of a file, without the end of the line. A file that is empty, has more than 4096 bytes, several
// lines, a NUL byte or a byte order mark is an error, which contains no part of the file: see also [HidePath]. Read does not check the mode of the file.
func Read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", HidePath(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return "", err
	}
	text := strings.TrimRight(string(b), "\r\n")
	switch {
	case len(b) > maxSize:
		return "", fmt.Errorf("%s has more than %d bytes, want one line", path, maxSize)
	case text == "":
		return "", fmt.Errorf("%s is empty, want one line", path)
	case strings.ContainsAny(text, "\r\n\x00"):
		return "", fmt.Errorf("%s has several lines or a NUL byte, want one line", path)
	case strings.HasPrefix(text, "\ufeff"): // some editors write it, and nobody sees it
		return "", fmt.Errorf("%s begins with a byte order mark, want the line alone", path)
	}
	return text, nil
}

// HidePath returns the error of a file that was not opened, without the path if that may not be a path: somebody may have set the secret
// itself where the path of its file belongs. A path is one that exists, or whose folder does, if it has a folder other than the root.
func HidePath(err error) error {
	var failed *fs.PathError
	if !errors.As(err, &failed) || isPath(failed.Path) {
		return err
	}
	return fmt.Errorf("the value is not shown, because it may be the secret itself, want the path of a file: %w", failed.Err)
}

// CheckNew returns an error for the path of a file that is to be made, unless its folder exists and is a part of the path: a secret in
// place of the path would become the name of a file. A path in the working folder begins with "./". Nothing is made. The error
// does not have the path.
func CheckNew(path string) error {
	folder := filepath.Dir(path)
	info, err := os.Stat(folder)
	if here := strings.HasPrefix(path, "./") || strings.HasPrefix(path, `.\`); err == nil && info.IsDir() && (here || isPath(path)) {
		return nil
	}
	return errors.New("there is no such file; the value is not shown, because it may be the secret itself, want the path of a file, " +
		"or of a new one in a folder that exists, such as \"./redis.password\"")
}

// isPath reports whether a text is the path of a file, or of a missing one in a folder that exists.
func isPath(text string) bool {
	if _, err := os.Lstat(text); err == nil {
		return true
	}
	folder := filepath.Dir(text)
	if folder == "." || folder == filepath.Dir(folder) {
		return false
	}
	info, err := os.Stat(folder)
	return err == nil && info.IsDir()
}

// Write replaces a file, or creates it, whole or not at all, and returns after it is on disk. Its mode is 0600. Only root can
// keep the owner of a file that exists; otherwise the file belongs to the user of the process. If path is a symbolic link,
// the link is replaced and its target stays as it is.
func Write(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // which fails after the file has its name
	_, err = f.Write(data)
	if err = errors.Join(err, keepOwner(f, path), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
