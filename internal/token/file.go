package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/lock"
	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

const (
	// fileVersion is the version that is written, and the only one that is read.
	fileVersion = 1
	// maxFile is the largest size of a file of tokens: about 50,000 tokens.
	maxFile = 16 << 20
	// lockTime is how long a change of the file waits for another one.
	lockTime = 30 * time.Second
)

// file is the JSON of a file of tokens. It is indented because administrators read it. They may edit it: a Store reads it again.
type file struct {
	Version int     `json:"version"`
	Tokens  []Token `json:"tokens"`
}

// List returns the tokens of a file, in the order of the file. The error for a missing file wraps [fs.ErrNotExist]. A file that
// other users can change, that is larger than 16 MiB or that has an unknown member or an invalid token is an error too.
func List(path string) ([]Token, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tokens, err := decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tokens, nil
}

// decode reads a file of tokens. It refuses what a person who edits it may overlook: a mode that lets other users change it,
// unknown members, a second value after the first. It checks the mode of the open file, because another file could be put in
// its place between a check by name and the reading.
func decode(f *os.File) ([]Token, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&othersWrite != 0 {
		return nil, fmt.Errorf("everybody can change the file (mode %04o), want mode 0600", info.Mode().Perm())
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("the file has more than %d bytes", maxFile)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile)) // it may have grown
	if err != nil {
		return nil, err
	}
	var content file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // a misspelled "expires" would be a token that never expires
	if err := d.Decode(&content); err != nil {
		return nil, fmt.Errorf("not a file of tokens: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not a file of tokens: there is more after its end")
	}
	if content.Version != fileVersion {
		return nil, fmt.Errorf("version %d of a file of tokens, want %d", content.Version, fileVersion)
	}
	return content.Tokens, checkAll(content.Tokens)
}

// checkAll returns an error if a token is malformed or two tokens have the same id.
func checkAll(tokens []Token) error {
	seen := make(map[string]bool, len(tokens))
	for i := range tokens {
		if err := tokens[i].check(); err != nil {
			return err
		}
		if seen[tokens[i].ID] {
			return fmt.Errorf("two tokens have the id %q", tokens[i].ID)
		}
		seen[tokens[i].ID] = true
	}
	return nil
}

// Add adds a token to a file, which it creates with mode 0600 if it is missing. Several processes may change the file at the
// same time: Add waits up to 30 s for another one, and then the error wraps [lock.ErrHeld]. The file changes whole or not
// at all. A file that [List] refuses, and a token with an id that the file has, are errors.
func Add(path string, t Token) error {
	return change(path, func(tokens []Token) ([]Token, error) { return append(tokens, t), nil })
}

// ErrUnknown is the error of Delete if the file has no such token.
var ErrUnknown = errors.New("no token has this id")

// Delete removes a token from a file, in the same way as [Add] adds one. The error for an id that the file does not have wraps
// [ErrUnknown].
func Delete(path, id string) error {
	return change(path, func(tokens []Token) ([]Token, error) {
		left := slices.DeleteFunc(slices.Clone(tokens), func(t Token) bool { return t.ID == id })
		if len(left) == len(tokens) {
			return nil, fmt.Errorf("%q: %w", id, ErrUnknown)
		}
		return left, nil
	})
}

// change replaces the tokens of a file by the result of edit. The lock is on a file beside it, as the file itself is replaced as a
// whole: readers see the old tokens or the new ones, and need no lock.
func change(path string, edit func([]Token) ([]Token, error)) error {
	held, err := lock.Acquire(path+".lock", lockTime)
	if err != nil {
		return err
	}
	defer held.Close()
	tokens, err := List(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if tokens, err = edit(tokens); err != nil {
		return err
	}
	if err := checkAll(tokens); err != nil {
		return err
	}
	b, err := json.MarshalIndent(file{Version: fileVersion, Tokens: tokens}, "", "  ")
	if err != nil {
		return err
	}
	return secret.Write(path, append(b, '\n'))
}
