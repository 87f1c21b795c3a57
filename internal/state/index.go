package state

import "iter"

const (
	// pageBuckets is the number of handles of a page of an index, a power of 2. Handles ascend, so most of those in a log are
	// close to each other.
	pageBuckets = 64
	// chunkBuckets is how many buckets of an index are allocated at a time. It is as many at first and then more.
	chunkBuckets = 16
)

// index finds the buckets of a log by handle. The records of each Push are usually in the same order. So find first
// tries the bucket that followed the previous one the last time, which saves most lookups in the map.
//
// The map has pages of buckets, because a map of buckets took twice the time to fill: BenchmarkRestart. A bucket that was removed
// has the handle 0 and may still be the next of another one; find does not return it.
type index struct {
	pages    map[uint64]*[pageBuckets]*pastBucket // by handle divided by pageBuckets
	previous *pastBucket                          // the last result of find, or nil
	chunk    []pastBucket                         // memory for more buckets
	size     int                                  // of the last chunk
}

func newIndex() index { return index{pages: make(map[uint64]*[pageBuckets]*pastBucket)} }

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
	page := x.pages[handle/pageBuckets]
	if page == nil {
		return nil
	}
	b := page[handle%pageBuckets]
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
	page := x.pages[handle/pageBuckets]
	if page == nil {
		page = new([pageBuckets]*pastBucket)
		x.pages[handle/pageBuckets] = page
	}
	page[handle%pageBuckets] = b
	return b
}

// remove removes a bucket.
func (x *index) remove(b *pastBucket) {
	x.pages[b.handle/pageBuckets][b.handle%pageBuckets] = nil
	b.handle = 0 // find must not find it after another one
}

// all yields all buckets, of which remove may remove the one that it yielded last.
func (x *index) all() iter.Seq[*pastBucket] {
	return func(yield func(*pastBucket) bool) {
		for _, page := range x.pages {
			for _, b := range page {
				if b != nil && !yield(b) {
					return
				}
			}
		}
	}
}
