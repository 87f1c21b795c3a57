package record

import "crypto/sha256"

// MaxPlace is how many bytes of the names of a record decide its place among the records of its bucket, so that a place is small.
const MaxPlace = 256

// Bounded returns a text that decides the place of a name: the name, or for one that is longer than MaxPlace its beginning and a hash. The
// result has at most MaxPlace+16 bytes. Two different names have different results, as far as SHA-256 can ensure it.
func Bounded(name string) string {
	if len(name) <= MaxPlace {
		return name
	}
	hash := sha256.Sum256([]byte(name))
	return name[:MaxPlace] + string(hash[:16])
}
