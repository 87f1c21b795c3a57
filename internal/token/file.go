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
	tokens, err := parse(b)
	if err == nil {
		return tokens, nil
	}
	if line := lineOf(b, err); line > 0 {
		return nil, fmt.Errorf("%w, at line %d", err, line)
	}
	return nil, err
}

// parse parses the content of a file of tokens.
func parse(b []byte) ([]Token, error) {
	var content file
	d := strictly(b)
	switch err := d.Decode(&content); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("not a file of tokens: it is empty")
	case err != nil:
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

// strictly returns a decoder that refuses unknown members: a misspelled "expires" would be a token that never expires.
func strictly(b []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d
}

// lineOf returns the line, from 1, of an error of parse. If the error is about a token, it is the line in which that token begins. It
// returns 0 for an error about the whole file.
func lineOf(b []byte, err error) int {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return lineAt(b, syntax.Offset)
	case errors.As(err, &kind):
		return lineAt(b, kind.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return lineAt(b, int64(len(b)))
	}
	d := strictly(b)
	for {
		switch name, err := d.Token(); {
		case err != nil:
			return 0
		case name == "tokens":
			return lineOfToken(b, d)
		}
	}
}

// lineOfToken returns the line of the first token that is wrong, or 0. The decoder has read the name of the list of tokens.
func lineOfToken(b []byte, d *json.Decoder) int {
	if start, err := d.Token(); err != nil || start != json.Delim('[') {
		return 0
	}
	seen := make(map[string]bool)
	for d.More() {
		before := d.InputOffset() // the end of the token before
		begin := before + int64(len(b[before:])-len(bytes.TrimLeft(b[before:], " \t\r\n,")))
		var t Token
		if err := d.Decode(&t); err != nil || t.check() != nil || seen[t.ID] {
			return lineAt(b, begin+1)
		}
		seen[t.ID] = true
	}
	return 0
}

// lineAt returns the line of the byte before an offset.
func lineAt(b []byte, offset int64) int {
	return 1 + bytes.Count(b[:max(0, min(offset-1, int64(len(b))))], []byte("\n"))
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
