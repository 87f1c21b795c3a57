package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// pause is the shortest time between two looks of a Store at its file.
const pause = time.Second

// Store finds the grants of tokens. It reads its file again after a change. It is safe for concurrent use.
//
// [Store.Check] looks at the file if the last look was a second ago, so a deleted token is valid for about a second longer. No
// goroutine watches the file: the caller would have to stop it, and file systems differ in the events that they report.
type Store struct {
	path    string
	now     func() time.Time
	changed func(tokens int, err error)

	tokens atomic.Pointer[map[string]*Token] // by id; the map is replaced, never changed

	mu      sync.Mutex  // guards the fields below
	checked time.Time   // when the file was last looked at
	seen    fs.FileInfo // of the file that was last read; nil if it was missing
}

// Open reads a file of tokens and returns its store. The error for a missing file wraps [fs.ErrNotExist]. now is the clock.
//
// After the file has changed, the store reads it again and calls changed with the number of tokens. If the file is not valid
// then, it calls changed with the error, and the last tokens stay valid: a mistake in the file must not lock all clients
// out. If the file is gone, no token is valid. [Store.Check] makes these calls before it returns, one at a time. changed is
// not nil.
func Open(path string, now func() time.Time, changed func(tokens int, err error)) (*Store, error) {
	s := &Store{path: path, now: now, changed: changed, checked: now()}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	tokens, err := List(path)
	if err != nil {
		return nil, err
	}
	s.seen = info
	s.set(tokens)
	return s, nil
}

// Len returns the number of tokens.
func (s *Store) Len() int { return len(*s.tokens.Load()) }

// set makes these the tokens of the store.
func (s *Store) set(tokens []Token) {
	byID := make(map[string]*Token, len(tokens))
	for i := range tokens {
		byID[tokens[i].ID] = &tokens[i]
	}
	s.tokens.Store(&byID)
}

// nobody is used in place of a token whose id is unknown, so that such a request needs the same time as one with a wrong
// secret. No token has its hash.
var nobody = func() *Token {
	_, t := New("", nil, time.Time{}, time.Time{})
	t.Hash = sha256.Sum256([]byte(secret.New(secretLength)))
	return &t
}()

// Check returns the grant of a token. It returns the zero Grant and false for a text that is not a token of the file, and for
// a token that has expired. It needs the same time for an unknown id and for a wrong secret, so the time does not show which
// ids exist. The time does not show either how much of a secret is right, because hashes are compared.
func (s *Store) Check(text string) (Grant, bool) {
	s.refresh()
	if len(text) > textLength { // hashing a long text would need more time
		text = text[:textLength+1]
	}
	sum := sha256.Sum256([]byte(text))
	t, known := (*s.tokens.Load())[idOf(text)]
	if !known {
		t = nobody
	}
	same := subtle.ConstantTimeCompare(sum[:], t.Hash[:]) == 1
	if !same || t.expired(s.now()) || !known {
		return Grant{}, false
	}
	return Grant{id: t.ID, permissions: t.Permissions}, true
}

// refresh reads the file again if it has changed. One caller does that; the others do not wait and use the last tokens.
func (s *Store) refresh() {
	if !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	now := s.now()
	if passed := now.Sub(s.checked); passed >= 0 && passed < pause {
		return
	}
	s.checked = now
	info, err := os.Stat(s.path)
	if err != nil {
		info = nil
	}
	if same(info, s.seen) {
		return
	}
	s.seen = info // of before reading: a change since then is found the next time
	tokens, err := List(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		tokens = nil
	case err != nil:
		s.changed(0, err)
		return
	}
	s.set(tokens)
	s.changed(len(tokens), nil)
}

// same reports whether both describe the same content of a file, or are nil. secret.Write makes a new file each time, so two
// changes within the resolution of the file's time differ too.
func same(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
