package api

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// windowsShare divides the budget of bytes: the windows that are kept use at most this part of it. One window uses at most half
	// of that, and twice as much while it is made.
	windowsShare = 8
	// windowsClient is the client that the memory of windows is counted for, because all clients share them.
	windowsClient = "windows"
	// minWindow is how many names the window of a first page has at least. It has pagesAhead times the names of the page, so that a few
	// more pages need no other window. Most clients want no more, and a small window takes half the time of a large one.
	minWindow  = 1000
	pagesAhead = 4
	// windowAge is how long a window is used, if its table is written. Records that are added to its bucket are noticed by their
	// number. A bucket that was lost and written anew can have as many other records: see [keptWindow.isOf].
	windowAge = 10 * time.Minute
	// maxWrites is more than the writes of a table in a second, and writesGrace the time that is allowed for beside that between two
	// readings of its version.
	maxWrites   = 10_000
	writesGrace = time.Second
	// windowCost is about how many bytes a window needs beside its names.
	windowCost = 1 << 10
)

// windows makes windows and keeps those that were used last. Requests that need the same window at the same time share its making, and
// those that need other windows of the same bucket share the reading of its names: see scans.
// It is safe for concurrent use.
//
//	page ─▶ find ─ a window that covers the place ─▶ the names of the page ─▶ their records
//	          ├── none ─▶ head, for a first page: the first names of the bucket, if the cache has them ─▶ put
//	          └── none ─▶ make: all names of the bucket ─▶ the first ones after the place ─▶ put
type windows struct {
	reader Reader
	limits *limits // of the server: the budget counts the bytes of windows
	limit  int     // bytes of the windows that are kept
	scans  scans   // the readings of names
	now    func() time.Time
	making flights[making, *window]

	mu   sync.Mutex                   // guards the fields below
	of   map[windowOf][]*list.Element // the elements of used; no list is empty
	used *list.List                   // of *keptWindow, the newest use first
	size int                          // the sum of their bytes
}

// keptWindow is a window, when its making began, and the version that its table had at that time or before.
type keptWindow struct {
	*window
	at      time.Time // before the names were read
	version int64     // that of the table, as it was known before that
}

// isOf reports whether a table that has that version now still has the bucket of the window, which can have more records since. It is
// false if the bucket may have expired, and if the version has gone back, or forward by more than writes can explain: then the whole
// table was lost. So only a bucket that was removed alone, as by the eviction of single keys, can be taken for the one before, if
// it has as many records again and those of the page are among them.
func (w *keptWindow) isOf(version int64, now time.Time) bool {
	written, age := version-w.version, now.Sub(w.at).Abs()
	most := int64(maxWrites * (age + writesGrace).Seconds())
	return written == 0 || age < min(windowAge, w.lives) && written > 0 && written <= most
}

// making identifies the making of a window.
type making struct {
	of    windowOf // the query
	from  bound    // the zero bound for the beginning of the bucket
	names int      // the most names of the window
}

// newWindows returns windows that keep none yet.
func newWindows(reader Reader, l *limits, o *Options) *windows {
	return &windows{
		reader: reader, limits: l, limit: o.MaxTotalBytes / windowsShare, now: o.Now,
		scans:  scans{reader: reader, limits: l, room: maxLong * o.MaxTotalBytes / windowsShare, scanned: o.MaxScanned, now: o.Now},
		making: flights[making, *window]{timeout: o.Timeout}, of: make(map[windowOf][]*list.Element), used: list.New(),
	}
}

// known reports whether there is a window of a bucket, so that it is known to be large.
func (s *windows) known(of windowOf) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.of[of]) > 0
}

// find returns a window that is kept, covers the place after a bound, is right for a table of that version, and has enough names, or nil.
func (s *windows) find(of windowOf, after *bound, version int64, enough func(*window) bool) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.of[of] {
		w := e.Value.(*keptWindow)
		if w.covers(after) && w.isOf(version, s.now()) && enough(w.window) {
			s.used.MoveToFront(e)
			return w.window
		}
	}
	return nil
}

// put keeps a window, whose bytes the budget has already, in place of those that were used longest ago.
func (s *windows) put(w *keptWindow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[w.of] = append(s.of[w.of], s.used.PushFront(w))
	for s.size += w.bytes; s.size > s.limit; {
		s.remove(s.used.Back())
	}
}

// drop removes a window whose bucket has other names now, and those of the same query that do not have its number of records.
func (s *windows) drop(w *window, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Clone(s.of[w.of]) {
		if other := e.Value.(*keptWindow).window; other == w || other.size != size {
			s.remove(e)
		}
	}
}

// remove removes an element of s.used. The caller holds mu.
func (s *windows) remove(e *list.Element) {
	w := s.used.Remove(e).(*keptWindow)
	s.size -= w.bytes
	s.limits.budget.give(windowsClient, w.bytes)
	others := slices.DeleteFunc(s.of[w.of], func(other *list.Element) bool { return other == e })
	if s.of[w.of] = others; len(others) == 0 {
		delete(s.of, w.of)
	}
}

// make makes a window of at most so many names that begins after a bound, or waits for a request that does so. own reports whether
// this call has made it, so that it has all records that were there before the call. The table had that version before.
func (s *windows) make(ctx context.Context, of windowOf, filter record.Filter, from *bound, names int, version int64) (w *window, own bool, err error) {
	key := making{of: of, names: names}
	if from != nil {
		key.from = *from
	}
	return s.making.do(ctx, key, func(ctx context.Context) (*window, error) {
		c := &collector{window: window{of: of, from: from}, filter: filter, most: names, mostBytes: s.limit / 2}
		at, err := s.scans.collect(ctx, c)
		if err != nil {
			s.limits.budget.give(windowsClient, c.counted)
			return nil, err
		}
		s.put(&keptWindow{&c.window, at, version})
		return &c.window, nil
	})
}

// head makes a window of the first names of a bucket. It returns nil if the cache does not have enough of them. The table had that version
// before.
func (s *windows) head(ctx context.Context, of windowOf, filter record.Filter, version int64, enough func(*window) bool) (*window, error) {
	at := s.now()
	names, size, lives, err := s.reader.Head(ctx, of.table, of.start, of.descending)
	if errors.Is(err, record.ErrUnclear) || err == nil && size < 0 {
		return nil, nil //nolint:nilnil // no window
	}
	if err != nil {
		return nil, err
	}
	c := &collector{
		window: window{of: of, size: size, lives: lives, read: len(names), complete: len(names) >= size, isHead: true},
		filter: filter, most: len(names), mostBytes: s.limit / 2,
	}
	for i := range names {
		c.add(&names[i])
	}
	if !c.cut() || c.until != nil || !enough(&c.window) { // until is set if there are too many bytes
		return nil, nil //nolint:nilnil // no window
	}
	c.bytes += windowCost
	if err := s.limits.count(c); err != nil {
		return nil, err
	}
	s.put(&keptWindow{&c.window, at, version})
	return &c.window, nil
}
