package record

import "crypto/sha256"

// MaxPlace is how many bytes of the names of a record decide its place among the records of its bucket, so that a place is small.
const MaxPlace = 256

// Bounded returns a text that decides the place of a name: the name, or for one that is longer than MaxPlace its beginning and a hash. The
// result has at most MaxPlace+16 bytes. Different names have different results, except for a collision of the first 128 bits of SHA-256.
func Bounded(name string) string {
	if len(name) <= MaxPlace {
		return name
	}
	hash := sha256.Sum256([]byte(name))
	return name[:MaxPlace] + string(hash[:16])
}
