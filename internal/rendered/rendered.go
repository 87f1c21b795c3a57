// Package rendered keeps the bodies of answers in bounded memory, plain and compressed. It does not decide whether a body is
// still right: see package api.
//
//	request ─▶ Get ─ an entry that the caller finds right ─▶ Body, or Gzip ─▶ response
//	            └── none ─▶ the caller makes the body ─▶ Fits? ─▶ Put ─▶ response
//
// An entry that is not right any more is not removed: the answer that replaces it has the same key.
package rendered

import (
	"bytes"
	"container/list"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// share divides the memory of a cache: the largest body that it keeps is this part of it. So one answer cannot remove all
	// others.
	share = 8
	// overhead is about how many bytes an entry needs beside its key and its body: itself, its value, and its places in the map
	// and the list. Without it, many small answers would take much more memory than the limit.
	overhead = 1 << 10
	// minCompressed is the size of the smallest body that is worth compressing: a smaller one fits into one packet.
	minCompressed = 1400
)

// Key identifies a request as it was sent: its path, also as it was encoded if that is not the usual encoding, its query, and its header
// Accept. Parameters in another order are another key. That is rare, and a request is found without parsing it.
type Key struct{ Path, RawPath, Query, Accept string }

// Cache keeps a value with its body for each key, and removes the ones that were used longest ago. V is what the caller has to
// know of a body to judge it. It is safe for concurrent use.
type Cache[V any] struct {
	limit int // bytes, 0 or more

	mu      sync.Mutex            // guards the fields below, and the sizes of the entries
	entries map[Key]*list.Element // the elements of used by the keys of their entries
	used    *list.List            // of *Entry[V], the newest use first
	size    int                   // the sum of the sizes of the entries; at most limit when mu is free
	evicted int                   // entries removed by grow
}

// New returns a cache of at most limit bytes. It keeps nothing if limit is not above zero.
func New[V any](limit int) *Cache[V] {
	return &Cache[V]{limit: max(limit, 0), entries: make(map[Key]*list.Element), used: list.New()}
}

// Entry is a body and what is known of it. Nobody may change them, because all requests for the key share them. Only the
// compressed form is made later, when it is first wanted. An entry stays usable after the cache has removed it, so a request
// needs no lock while it writes the body.
type Entry[V any] struct {
	Value V
	Body  []byte

	cache *Cache[V]
	key   Key
	size  int // what the cache counts for it, guarded by cache.mu

	once sync.Once // makes gzip
	gzip []byte    // nil before that, and for a body that is not worth compressing
}

// Fits reports whether the cache keeps a body of so many bytes. A caller can ask before it collects the body.
func (c *Cache[V]) Fits(size int) bool { return size <= c.limit/share }

// Get returns the entry of a key, or nil. It counts as a use, also if the caller then finds that the entry is not right.
func (c *Cache[V]) Get(key Key) *Entry[V] {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.used.MoveToFront(e)
	return e.Value.(*Entry[V])
}

// Put replaces the entry of a key and returns the new one. The cache then owns the body, which must fit. The capacity of the body
// counts, not its length, because that is the memory it takes.
func (c *Cache[V]) Put(key Key, value V, body []byte) *Entry[V] {
	e := &Entry[V]{Value: value, Body: body, cache: c, key: key}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.entries[key]; ok {
		c.remove(old)
	}
	c.entries[key] = c.used.PushFront(e)
	c.grow(e, cap(body)+len(key.Path)+len(key.RawPath)+len(key.Query)+len(key.Accept)+overhead)
	return e
}

// grow counts n more bytes of an entry, and removes the entries that were used longest ago while there are too many bytes. The
// entry itself is removed too if it was. The caller holds mu.
func (c *Cache[V]) grow(e *Entry[V], n int) {
	e.size += n
	c.size += n
	for c.size > c.limit && c.used.Len() > 0 {
		c.remove(c.used.Back())
		c.evicted++
	}
}

// remove removes an entry. The caller holds mu.
func (c *Cache[V]) remove(element *list.Element) {
	e := c.used.Remove(element).(*Entry[V])
	delete(c.entries, e.key)
	c.size -= e.size
}

// Stats are numbers of a cache.
type Stats struct {
	Entries, Bytes int // now
	Evicted        int // entries that were removed for others, since the start
}

// Stats returns the numbers of the cache.
func (c *Cache[V]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Entries: len(c.entries), Bytes: c.size, Evicted: c.evicted}
}

// Gzip returns the body in the format of gzip, or nil if that is not smaller by a tenth. The body is compressed once, by the
// first caller, while others wait. It is not compressed by Put, because many clients want no compression. The caller must not
// change the result.
//
// The memory of the result counts too, unless the entry was removed or replaced meanwhile: then it is no part of the cache.
func (e *Entry[V]) Gzip() []byte {
	e.once.Do(func() {
		if e.gzip = compress(e.Body); e.gzip == nil {
			return
		}
		e.cache.mu.Lock()
		defer e.cache.mu.Unlock()
		if element, ok := e.cache.entries[e.key]; ok && element.Value == any(e) {
			e.cache.grow(e, cap(e.gzip))
		}
	})
	return e.gzip
}

// writers are compressors that are not in use, because a new one allocates a megabyte. Their level is the fastest one: the first
// request for an answer waits for it.
var writers = sync.Pool{New: func() any {
	w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is valid
	}
	return w
}}

// compress returns the body in the format of gzip, or nil if that is not worth it.
func compress(body []byte) []byte {
	if len(body) < minCompressed {
		return nil
	}
	var b bytes.Buffer
	w := writers.Get().(*gzip.Writer)
	defer writers.Put(w)
	w.Reset(&b)
	_, _ = w.Write(body) // a buffer returns no errors
	_ = w.Close()
	if b.Len() > len(body)-len(body)/10 {
		return nil
	}
	return bytes.Clone(b.Bytes()) // a buffer grows by doubling: half of its memory can be unused
}
