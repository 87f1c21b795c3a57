package state

import (
	"iter"

	"github.com/telegraf-describe/telegraf-describe/internal/handles"
)

// chunkBuckets is how many buckets of an index are allocated at first; then it is more at a time.
const chunkBuckets = 16

// index finds the buckets of a log by handle. The records of each Push are usually in the same order. So find first
// tries the bucket that followed the previous one the last time, which saves most lookups in the map.
//
// A bucket that was removed has the handle 0 and may still be the next of another one; find does not return it.
type index struct {
	byHandle handles.Table[pastBucket] // all that were added and not removed
	previous *pastBucket               // the last result of find, or nil
	chunk    []pastBucket              // memory for more buckets
	size     int                       // of the last chunk
}

// find returns the bucket with that handle, or nil.
func (x *index) find(handle uint64) *pastBucket {
	if handle == 0 {
		return nil
	}
	previous := x.previous
	if previous != nil && previous.next != nil && previous.next.handle == handle {
		x.previous = previous.next
		return x.previous
	}
	b := x.byHandle.Find(handle)
	if b == nil {
		return nil
	}
	if previous != nil {
		previous.next = b
	}
	x.previous = b
	return b
}

// add adds an empty bucket and returns it. The handle is not 0, and the index does not have it.
func (x *index) add(handle uint64) *pastBucket {
	if len(x.chunk) == 0 {
		x.size = min(2*x.size+chunkBuckets, 64*chunkBuckets)
		x.chunk = make([]pastBucket, x.size)
	}
	b := &x.chunk[0]
	x.chunk = x.chunk[1:]
	b.handle = handle
	x.byHandle.Put(handle, b)
	return b
}

// remove removes a bucket.
func (x *index) remove(b *pastBucket) {
	x.byHandle.Remove(b.handle)
	b.handle = 0 // find must not find it after another one
}

// all yields all buckets, of which remove may remove the one that it yielded last.
func (x *index) all() iter.Seq[*pastBucket] {
	return func(yield func(*pastBucket) bool) {
		for _, b := range x.byHandle.All() {
			if !yield(b) {
				return
			}
		}
	}
}
