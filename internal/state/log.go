package state

import (
	"time"
)

// This file has the methods that an engine calls for its open buckets. Those that log only append records in memory; Commit writes
// them:
//
//	OpenBucket, Rows, … ─▶ records ─ take ─▶ queue ─ segments.write, fdatasync ─▶ file
//	                        (mu)             (committing)
//
// A commit that failed stays in the queue. If records and queue exceed MaxPending, both are dropped (full), and all open buckets are
// lost until a Snapshot logs them whole. The flags, and what ends each:
//
//	Store.full      new records are dropped           a commit that succeeds
//	Store.discard   the queue is to be dropped        the next take
//	handle.lost     the log lacks a part of a bucket  its next Snapshot, or Final
//
// The methods that log return no error: they write to memory only, and the next Commit returns an error of the files. A handle that is not
// open is ignored.

const (
	// rollAge is the age of the oldest log of an open bucket at which the bucket should be logged whole, so that the
	// older log can be deleted.
	rollAge = time.Hour
	// rollBytes is the size of the log up to which it may be larger than twice the part that open buckets need.
	rollBytes = 64 << 20
	// commitBytes is the number of logged bytes after which the store commits by itself.
	commitBytes = 8 << 20
	// maxBlock is the largest number of values in one record of rows.
	maxBlock = maxValues / 2
	// maxPendingFinals is the number of bytes of final buckets that may wait for the writer. If there are more,
	// Commit waits for the writer too.
	maxPendingFinals = 64 << 20
)

// OpenBucket logs that a bucket opened, with the summaries that it has at the start, and returns its handle, which is
// not 0. Of b, it keeps only b.Series.
func (s *Store) OpenBucket(b Bucket) (number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	h := &handle{
		number: s.next, series: b.Series, start: b.Start, end: b.End, revision: b.Revision, first: s.commit, since: s.clock.time(),
	}
	s.track(h)
	if s.full {
		h.lost = true
		return h.number
	}
	s.logOpen(h, b)
	s.bound()
	return h.number
}

// track adds an open bucket. The caller holds mu, or is Open.
func (s *Store) track(h *handle) {
	s.handles.Put(h.number, h)
	s.needed.add(h.first)
	s.roll.open++
}

// correct sets the time of the last value, if it came in an earlier run. The engine then has the time of its replay.
func (h *handle) correct(b *Bucket) {
	if h.touched != 0 {
		b.Touched = min(b.Touched, h.touched)
	}
}

// logOpen logs the bucket whole. The caller holds mu.
func (s *Store) logOpen(h *handle, b Bucket) {
	n := len(s.records.buf)
	s.records.open(h.number, b)
	h.bytes = int64(len(s.records.buf) - n)
	s.roll.live += h.bytes
	s.opened = append(s.opened, h)
	if len(s.loans) > 0 {
		s.logLoans(h)
	}
}

// Rows logs rows that were just added to an open bucket, as one block: row by row, len(fields) values each, NaN where
// a row has no value of the field. There is one time a row, unless times is nil. The same schema, if it is not 0,
// always means the same fields. Rows keeps no part of its arguments.
func (s *Store) Rows(handle, schema uint64, fields []string, rows []float64, times []int64) {
	if len(fields) == 0 || len(rows) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.handles.Find(handle)
	if h == nil {
		return
	}
	h.touched = 0
	if h.lost {
		s.stats.Unlogged += int64(len(rows))
		return
	}
	before := len(s.records.buf)
	for most := max(1, maxBlock/len(fields)) * len(fields); ; {
		n := min(len(rows), most)
		var at []int64
		if times != nil {
			at, times = times[:n/len(fields)], times[n/len(fields):]
		}
		s.records.rows(handle, schema, fields, rows[:n], at)
		if rows = rows[n:]; len(rows) == 0 {
			break
		}
	}
	n := int64(len(s.records.buf) - before)
	h.bytes += n
	s.roll.live += n
	s.bound()
}

// Demoted logs that the summary of a field of an open bucket became a histogram without a value being added.
func (s *Store) Demoted(handle uint64, field string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.handles.Find(handle); h != nil && !h.lost {
		s.records.demoted(handle, field)
		s.bound()
	}
}

// Lent logs that another store has copies of fields of an open bucket, and will make them final. A field that gets values later is
// not lent any more.
func (s *Store) Lent(handle uint64, fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.handles.Find(handle); h != nil && !h.lost {
		s.records.lent(handle, fields)
		s.bound()
	}
}

// Drop logs that an open bucket that was lent is not needed any more.
func (s *Store) Drop(handle uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.handles.Find(handle)
	if h == nil {
		return
	}
	if !h.lost { // else the log has nothing of it, or only until a record of a lost commit
		s.records.mark(recordDropped, handle)
		s.bound()
	}
	s.finish(h)
	s.needed.remove(h.first)
}

// Old reports whether the open bucket should be logged whole with Snapshot. It should if its log is older than an
// hour, if the log is more than twice as large as open buckets need, or if rows were dropped for lack of room and
// there is room again. Old returns true for a small share of the buckets at a time, so that one Push does not log
// them all.
func (s *Store) Old(handle uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.handles.Find(handle)
	switch {
	case h == nil || s.full:
		return false
	case h.lost:
		return true
	}
	now := s.clock.time()
	old := now-h.since >= int64(rollAge)
	if !old {
		old = s.stats.LogBytes > max(rollBytes, 2*s.roll.live) && h.first <= s.needed.min(s.commit)
	}
	return old && s.roll.take(now)
}

// Snapshot logs an open bucket whole. Earlier records of the bucket are then no longer needed.
func (s *Store) Snapshot(handle uint64, b Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.handles.Find(handle)
	if h == nil || s.full {
		return
	}
	h.correct(&b)
	s.roll.live -= h.bytes
	s.needed.remove(h.first)
	h.first, h.since, h.lost, h.revision = s.commit, s.clock.time(), false, b.Revision
	s.needed.add(h.first)
	s.logOpen(h, b)
	s.bound()
}

// Final logs that an open bucket became final. Find returns it from then on. Its final rows are emitted after the
// next Commit. The store keeps the fields and summaries of b until that has returned, and the caller must not use them
// before: Commit encodes them, which takes much longer than the other methods.
func (s *Store) Final(handle uint64, b Bucket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.handles.Find(handle)
	if h == nil {
		return
	}
	at := s.clock.time()
	f := s.newFinal(h, b, s.commit, at)
	switch {
	case s.full:
		f.commit = 0
	case h.lost:
		s.logOpen(h, b) // the log has only a part of the bucket
		fallthrough
	default:
		s.records.final(handle, b, at)
	}
	s.finish(h)
	s.pending.note(f)
	s.pending.waiting = append(s.pending.waiting, f)
	s.bound()
}

// again logs that the rows of a final bucket of the last run are emitted again.
func (s *Store) again(series string, start int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return
	}
	s.records.again(series, start, s.clock.time())
	s.bound()
}

// finish removes a bucket from the open ones. Its log is needed until the bucket is in the database: needed still counts it, and the caller
// removes it there if nothing is to be stored. The caller holds mu.
func (s *Store) finish(h *handle) {
	h.final = true
	s.handles.Remove(h.number)
	s.roll.live -= h.bytes
	s.roll.open--
}

// bound wakes the writer for a commit if much was logged. If the waiting records take too much memory, it drops them. It cannot drop
// the queue, which Commit may be writing; discard lets the next Commit do it. The caller holds mu.
func (s *Store) bound() {
	if len(s.records.buf) >= commitBytes {
		s.writer.wake()
	}
	if s.full || s.queued+len(s.records.buf) <= s.o.MaxPending {
		return
	}
	s.warn("more than %d bytes could not be written; the open buckets are saved whole when there is room again", s.o.MaxPending)
	s.full, s.discard = true, true
	s.records.reset(nil)
	s.commit++ // a reader sees by the missing number that records are missing
	s.opened = nil
	s.dropLoans()
	for _, h := range s.handles.All() {
		h.lost = true
	}
	for _, all := range [][]*final{s.pending.order, s.pending.waiting} {
		for _, f := range all {
			if f.commit > s.durable {
				f.commit = 0 // the log will not contain it, so it is stored in the database as soon as possible
			}
		}
	}
}

// Commit is Save in a Push, before its rows leave. Recent counts the time from the last one.
func (s *Store) Commit() error {
	s.mu.Lock()
	s.pushes = pushes{s.clock.time(), s.pushes.last}
	s.mu.Unlock()
	return s.Save()
}

// Save makes everything that was logged so far durable. If it returns an error, the log is not durable, and the next Save or
// Commit tries again. The store also saves by itself when much was logged since the last time.
func (s *Store) Save() error {
	s.committing.Lock()
	s.encodeFinals()
	err := s.save()
	s.committing.Unlock()
	s.writer.wake()
	s.writer.wait(maxPendingFinals)
	return err
}

// save is Save without the final buckets. The caller has locked committing.
func (s *Store) save() error {
	began := time.Now()
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	needed, ok := s.take()
	since := s.pushes.since(s.o.Replay)
	s.mu.Unlock()
	err := error(nil)
	if ok {
		err = s.log.write(s.queue)
	}
	if err == nil {
		err = s.log.remove(needed, since, s.o.Now())
	}
	s.mu.Lock()
	s.committed(err, ok)
	s.stats.SaveTime += time.Since(began)
	s.mu.Unlock()
	return err
}

// take moves the records into the queue. It returns the first commit whose log will still be needed when the queue is
// durable, and whether there is anything to write.
func (s *Store) take() (needed uint64, ok bool) {
	if s.discard {
		s.queue, s.queued, s.discard = nil, 0, false
	}
	if len(s.records.buf) > 0 || s.full {
		now := s.clock.time()
		s.records.time(s.o.Now().UnixNano(), now, s.pushes)
		s.queue = append(s.queue, batch{commit: s.commit, payload: s.records.buf, time: now})
		s.queued += len(s.records.buf)
		s.records.reset(s.spare)
		s.spare = nil
		s.commit++
		for _, h := range s.opened {
			if !h.final {
				s.records.name(h)
			}
		}
		s.opened = s.opened[:0]
	}
	return s.needed.min(s.commit), len(s.queue) > 0
}

// committed updates the counters and the state after a commit. wrote is whether there was something to write. After an error the queue
// stays as it is, and the next commit writes it again, with the same numbers. The caller holds committing and mu.
func (s *Store) committed(err error, wrote bool) {
	s.stats.LogBytes = s.log.size()
	if err != nil {
		s.stats.Errors++
		return
	}
	if !wrote {
		return
	}
	s.stats.Saved++
	s.durable = s.queue[len(s.queue)-1].commit
	if buf := s.queue[0].payload; cap(buf) <= 8<<20 {
		s.spare = buf
	}
	clear(s.queue)
	s.queue, s.queued = s.queue[:0], 0
	if !s.discard {
		s.full = false
	}
}

// rollBudget bounds how many buckets are logged whole: in an hour, at most 1.1 times the number of open buckets. It is a bucket of
// tokens: each bucket that is logged takes one. At most a 120th of the open buckets, and one, can be logged at once, so no Push is much
// slower than others.
type rollBudget struct {
	open   int     // buckets
	live   int64   // the bytes of the log that open buckets need
	tokens float64 // how many buckets may be logged now
	last   int64   // the age of the store at which tokens was updated
}

// take reports whether another bucket may be logged whole at that age of the store.
func (r *rollBudget) take(now int64) bool {
	if elapsed := now - r.last; elapsed > 0 {
		r.tokens += 1.1 * float64(r.open) * min(1, float64(elapsed)/float64(rollAge))
		r.tokens = min(r.tokens, float64(r.open)/120+1)
		r.last = now
	}
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}
