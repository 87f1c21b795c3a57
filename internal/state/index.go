package state

import "iter"

// index finds the buckets of a log by handle. The records of each Push are usually in the same order. So find first
// tries the bucket that followed the previous one the last time, which saves most lookups in the map.
//
// A bucket that was removed has the handle 0 and may still be the next of another one; find does not return it.
type index struct {
	byHandle map[uint64]*pastBucket
	previous *pastBucket // the last result of find, or nil
}

func newIndex() index { return index{byHandle: make(map[uint64]*pastBucket)} }

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
	b := x.byHandle[handle]
	if b == nil {
		return nil
	}
	if previous != nil {
		previous.next = b
	}
	x.previous = b
	return b
}

// put adds a bucket. Its handle is not 0, and the index does not have it.
func (x *index) put(b *pastBucket) { x.byHandle[b.handle] = b }

// remove removes a bucket.
func (x *index) remove(b *pastBucket) {
	delete(x.byHandle, b.handle)
	b.handle = 0 // find must not find it after another one
}

// all yields all buckets, of which remove may remove the one that it yielded last.
func (x *index) all() iter.Seq[*pastBucket] {
	return func(yield func(*pastBucket) bool) {
		for _, b := range x.byHandle {
			if !yield(b) {
				return
			}
		}
	}
}
