package cache

import (
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// tableState is what a writer remembers of a table that it has written, to notice a loss. The records themselves are in
// recent. It is made by the first Put or Defer, and forgotten after the keys have expired.
type tableState struct {
	mu      sync.Mutex         // held while the table is written, audited or repaired; guards the fields below but buckets
	mark    mark               // of this writer, as its last write has left it
	expiry  time.Time          // until when the keys of the table exist at least; zero before the first write
	written time.Time          // the last write, by the local clock
	newest  time.Time          // the newest bucket
	names   map[string]float64 // the members of the table's names by their scores, see namesKey
	lost    loss               // what the next repair writes
	told    time.Time          // when other writers were last told of a loss, by the local clock
	twins   twins              // of this writer
	ended   passed             // marks of writers, see cleanWriters
	removed passed             // buckets that MaxBuckets has removed, see cleanExpired
	gone    bool               // whether the writer has forgotten the table, so that it has another state or none

	buckets map[string]*keptBucket // by their start as text, guarded by recent.mu
}

// loss lists what Redis has lost of a table. The zero loss is nothing. A repair takes the whole loss out of the state of the table, and puts
// it back with join if it fails, beside what was noticed meanwhile.
//
// With all or index, every kept bucket is written again, whatever buckets lists.
type loss struct {
	waiting bool            // nothing is lost, but records of these buckets could not be written yet
	all     bool            // the table is not as the writer left it, so that every record may be missing
	index   bool            // one of the index, the expiry times and the version
	names   bool            // the names of fields and tags
	compat  bool            // the compatibility value
	untold  bool            // other writers do not know of the loss
	buckets map[string]bool // these buckets, by their start as text
}

// isWritten reports whether records that were written are lost. If only records wait, their names and buckets are in the loss without
// having been written.
func (l *loss) isWritten() bool {
	return l.all || l.index || !l.waiting && (l.names || len(l.buckets) > 0)
}

// any reports whether there is something to repair. waiting alone is nothing: the buckets that wait are in buckets.
func (l *loss) any() bool {
	return l.all || l.index || l.names || l.compat || l.untold || len(l.buckets) > 0
}

// join adds what o lists.
func (l *loss) join(o loss) {
	l.waiting, l.all, l.index = l.waiting || o.waiting, l.all || o.all, l.index || o.index
	l.names, l.compat, l.untold = l.names || o.names, l.compat || o.compat, l.untold || o.untold
	for start := range o.buckets {
		l.add(start)
	}
}

// add notes that a bucket is lost.
func (l *loss) add(start string) {
	if l.buckets == nil {
		l.buckets = make(map[string]bool)
	}
	l.buckets[start] = true
}

// lock returns the state of a table, which the caller unlocks. A state may be forgotten between finding it and locking it; then
// lock takes the new one. The lock is held for whole writes and repairs, so lock may wait for several round trips to Redis.
func (w *Writer) lock(t record.Table) *tableState {
	for {
		s := w.table(t)
		s.mu.Lock()
		if !s.gone {
			return s
		}
		s.mu.Unlock()
	}
}

// table returns the state of a table, and makes it if there is none.
func (w *Writer) table(t record.Table) *tableState {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.tables[t]
	if s == nil {
		s = &tableState{names: make(map[string]float64), buckets: make(map[string]*keptBucket)}
		w.tables[t] = s
	}
	return s
}

// forget forgets a table whose keys have expired, so that tables that are not written any more cost no memory. If records of it
// are kept, the table stays, as one of which Redis has nothing. The caller holds the lock of the table.
func (w *Writer) forget(t record.Table, s *tableState) {
	s.forget()
	if w.recent.keeps(s) {
		return
	}
	s.gone = true
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tables, t)
	delete(w.cleaned, t)
	if w.compat != nil {
		w.compat.forget(t)
	}
}

// allTables returns the tables that were written. The map is a copy, so the caller may lock the tables one after another.
func (w *Writer) allTables() map[record.Table]*tableState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.tables)
}

// wrote notes that a batch was written. expiry is by the clock of Redis, and now by the local one. The caller holds the lock of the table.
func (s *tableState) wrote(b *batch, expiry, now time.Time) {
	s.expiry, s.written = later(s.expiry, expiry), now
	s.newest = later(s.newest, b.newest)
	for _, name := range b.names {
		s.name(name)
	}
}

// dropNames forgets the names that have expired, so that names that come and go cost no memory for ever. The caller holds the lock of the
// table.
func (s *tableState) dropNames(now time.Time) {
	expired := float64(now.UnixMicro())
	maps.DeleteFunc(s.names, func(_ string, expiry float64) bool { return expiry <= expired })
}

// name notes a member of the table's names.
func (s *tableState) name(z redis.Z) {
	if member, ok := z.Member.(string); ok {
		s.names[member] = max(s.names[member], z.Score)
	}
}

// forget forgets what Redis had of a table whose keys have expired. The caller holds the lock of the table.
func (s *tableState) forget() {
	s.mark, s.expiry, s.lost = mark{}, time.Time{}, loss{}
	clear(s.names)
}
