package state

import (
	"fmt"
	"time"
)

// pendingFinals are the final buckets that are not in the database yet. Store.mu guards them.
//
//	Final ─▶ waiting ─ encodeFinals ─▶ order ─ writer ─▶ database
//	   └───────────────── newest, for Find ──────────────────┘
type pendingFinals struct {
	waiting []*final           // for Commit to encode them; ascending by commit as order
	order   []*final           // encoded; ascending by commit, except those that are in no commit
	newest  map[finalID]*final // of each bucket that waits or is in order, the version that became final last
	bytes   int64              // of the encoded ones
	// unstored is the first commit with a final bucket that was dropped from memory because the database could not
	// store it, or 0. The log keeps the bucket for the next run.
	unstored uint64
	dropped  int64 // how many
}

// finalID identifies a bucket. The end does not, because a store has one grid.
type finalID struct {
	series string // its key
	start  int64  // in nanoseconds since 1970
}

// String returns the bucket as errors have it.
func (id finalID) String() string {
	return fmt.Sprintf("series %q, start %s", id.series, time.Unix(0, id.start).UTC().Format(time.RFC3339Nano))
}

// note makes Find return the bucket, which is not encoded yet. A bucket may become final, open again for a late value and become final
// again before the first version is stored; before links the versions, so that fields which a later one lacks are kept. The caller holds
// mu.
func (p *pendingFinals) note(f *final) {
	if p.newest == nil {
		p.newest = make(map[finalID]*final)
	}
	id := finalID{f.series, f.start}
	f.before, p.newest[id] = p.newest[id], f
}

// encodeFinals encodes the final buckets that wait for it, and lets them wait for the writer. The caller has locked
// committing. It unlocks mu for each bucket, because encoding takes microseconds and values are added meanwhile.
func (s *Store) encodeFinals() {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.pending
	for len(p.waiting) > 0 && !s.closed { // a closed store writes nothing
		f := p.waiting[0]
		s.mu.Unlock()
		s.encode(f)
		s.mu.Lock()
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
		s.pend(f)
	}
	p.waiting = nil
}

// pend adds an encoded final bucket to those that wait for the writer. The caller holds mu, also for dropFinal and unpend.
func (s *Store) pend(f *final) {
	p := &s.pending
	if p.bytes+int64(len(f.value)) > int64(s.o.MaxPending) {
		s.dropFinal(f)
		return
	}
	p.order = append(p.order, f)
	p.bytes += int64(len(f.value))
}

// dropFinal drops the value of a final bucket from memory, because the database has failed for too long. Find then
// returns ErrUnreadable for the bucket. If the log contains it, the next run stores it.
func (s *Store) dropFinal(f *final) {
	f.value = nil
	p := &s.pending
	if s.stats.LostBuckets++; p.dropped == 0 {
		s.warn("more than %d bytes of final buckets could not be stored: late values of further ones are lost until the next start", s.o.MaxPending)
	}
	p.dropped++
	if f.commit > 0 && p.unstored == 0 {
		p.unstored = f.commit
	}
}

// unpend removes final buckets that are now in the database: the first ones that waited.
func (s *Store) unpend(done []*final) {
	p := &s.pending
	for _, f := range done {
		id := finalID{f.series, f.start}
		if p.newest[id] == f {
			delete(p.newest, id)
		}
		p.bytes -= int64(len(f.value))
		s.needed.remove(f.handle.first)
		s.finals.added(f.start, f.slot)
	}
	clear(p.order[:len(done)])
	p.order = p.order[len(done):]
	if len(p.order) == 0 {
		p.order = nil
	}
}

// Find returns the final bucket of a series with that start. ok is false if there is none. If the bucket exists but
// cannot be read, the error wraps ErrUnreadable and ok is true. For other errors, ErrExpired and errors of the
// database, ok is false.
func (s *Store) Find(series string, start int64) (b Bucket, ok bool, err error) {
	found, ok, err := s.find(series, start)
	return found.Bucket, ok, err
}

// find is Find with the age and the handle of the bucket, and with what there is about removed versions of it. It looks among the pending
// buckets first, then in the database.
func (s *Store) find(series string, start int64) (b storedFinal, ok bool, err error) {
	s.mu.Lock()
	pending := s.pending.newest[finalID{series, start}]
	slots := s.finals.starts[start]
	closed := s.closed
	s.mu.Unlock()
	isNew := pending == nil && len(slots) == 0 && start >= s.finals.expiredEnd.Load()
	switch {
	case isNew: // as most buckets; no lookup in the database is needed
		return b, false, nil
	case closed:
		return b, false, ErrClosed
	}
	removals, err := s.removals(series, start)
	if err != nil {
		return b, false, err
	}
	key := finalKey(series, start)
	var value []byte
	if pending != nil {
		if value = s.valueOf(pending); value == nil {
			return b, true, fmt.Errorf("state %q: %s: %w: there was no room for it", s.folder, finalID{series, start}, ErrUnreadable)
		}
	} else if value, err = s.finals.get(key, slots); err != nil {
		return b, false, fmt.Errorf("state %q: %w", s.finals.path, err)
	}
	if value == nil {
		if b.removals = removals; len(removals) > 0 {
			err = ErrExpired
		}
		return b, false, err
	}
	b, err = decodeFound(series, start, value, s.o.ExactLimit)
	if b.removals = removals; err == nil {
		return b, true, nil
	}
	s.mu.Lock()
	s.stats.LostBuckets++
	s.mu.Unlock()
	return b, true, fmt.Errorf("state %q: %s: %w: %w", s.finals.path, finalID{series, start}, ErrUnreadable, err)
}

// decodeFound decodes the value that was found for a bucket. It is an error if the value is of another one: the checksum has the key, in
// which a long series is only a hash, so the series itself is compared too.
func decodeFound(series string, start int64, value []byte, limit int) (storedFinal, error) {
	b, err := decodeFinal(finalKey(series, start), value, limit)
	if err == nil && (b.Series != series || b.Start != start) {
		err = fmt.Errorf("%w: it is of %s", errFormat, finalID{b.Series, b.Start})
	}
	return b, err
}

// valueOf returns the value of a pending final bucket, or nil if it was dropped. It encodes the bucket if nobody has. The caller must not
// hold mu.
func (s *Store) valueOf(f *final) []byte {
	s.encode(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.value
}
