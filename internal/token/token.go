// Package token keeps the tokens with which clients identify themselves, and what each token allows.
//
// A token is "aapi_", an id of 8 characters, "_" and a secret of 32 characters with 160 random bits. Only its SHA-256 is
// stored. The secret is random, so a fast hash is as good as a slow one: bcrypt would need 57 ms for each request.
//
//	token create ─▶ New ─▶ Add ─▶ the file (hashes, permissions) ─▶ Store ─▶ Check ─▶ Grant ─▶ Allows?
//	                 └▶ the text, once, for the user                          ▲
//	                                          Authorization of a request ─────┘
//
// The id is no secret: it finds the hash, and names the token in lists and logs. The prefix lets scanners of repositories find
// a token that was committed by mistake.
package token

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

const (
	prefix       = "aapi_"
	idLength     = 8  // characters, of 5 random bits each
	secretLength = 32 // the same
	// textLength is the length of every token.
	textLength = len(prefix) + idLength + 1 + secretLength
)

// Token describes a token without its secret. In the file of a [Store] it is an object of JSON. A Store shares its tokens between
// goroutines and never changes one.
type Token struct {
	ID          string       `json:"id"`
	Name        string       `json:"name,omitempty"` // for people
	Hash        hash         `json:"hash"`
	Permissions []Permission `json:"permissions"`
	Created     time.Time    `json:"created"`
	Expires     time.Time    `json:"expires,omitzero"` // the first moment at which the token is invalid; zero for never
}

// New returns a new token and its description. Only the text contains the secret. expires is zero for a token that does not
// expire. The times of the description are rounded down to whole seconds in UTC, as people read them in the file. The
// description keeps permissions.
func New(name string, permissions []Permission, created, expires time.Time) (text string, t Token) {
	t = Token{
		ID: secret.New(idLength), Name: name, Permissions: permissions,
		Created: created.UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second),
	}
	text = prefix + t.ID + "_" + secret.New(secretLength)
	t.Hash = sha256.Sum256([]byte(text))
	return text, t
}

// idOf returns the id in a text, or "" if the text does not have the form of a token. Only its hash shows whether it is one.
func idOf(text string) string {
	if len(text) != textLength || !strings.HasPrefix(text, prefix) {
		return ""
	}
	return text[len(prefix) : len(prefix)+idLength]
}

// expired reports whether the token is no longer valid.
func (t *Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// check returns an error for a token without what Check needs: an id and a hash. Permissions and times are checked as JSON is read.
func (t *Token) check() error {
	switch {
	case len(t.ID) != idLength:
		return fmt.Errorf("token %q: an id has %d characters", t.ID, idLength)
	case t.Hash == hash{}:
		return fmt.Errorf("token %q has no hash", t.ID)
	}
	return nil
}

// hash is the SHA-256 of a token. Its text is "sha256:" and 64 hexadecimal digits.
type hash [sha256.Size]byte

// hashPrefix names the algorithm, so that files can have hashes of another one later.
const hashPrefix = "sha256:"

// MarshalText returns the text of the hash.
func (h hash) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%s%x", hashPrefix, h[:]), nil }

// UnmarshalText parses the text of a hash.
func (h *hash) UnmarshalText(b []byte) error {
	digits, ok := strings.CutPrefix(string(b), hashPrefix)
	if !ok || len(digits) != 2*len(h) {
		return errors.New("a hash is sha256: and 64 hexadecimal digits")
	}
	for i := range h {
		n, err := strconv.ParseUint(digits[2*i:2*i+2], 16, 8)
		if err != nil {
			return errors.New("a hash is sha256: and 64 hexadecimal digits")
		}
		h[i] = byte(n)
	}
	return nil
}

// MarshalText returns the text of the permission.
func (p Permission) MarshalText() ([]byte, error) { return []byte(p.text), nil }

// UnmarshalText parses the text of a permission.
func (p *Permission) UnmarshalText(b []byte) (err error) {
	*p, err = ParsePermission(string(b))
	return err
}
