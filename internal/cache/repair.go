package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// auditEvery is the time between two audits of all tables.
	auditEvery = time.Minute
	// retryEvery is the time until a repair is tried again after an error.
	retryEvery = time.Second
	// maxRepaired is about how many records one transaction of a repair writes; it is always less than two times as many.
	maxRepaired = 1000
)

// repairer writes again what Redis has lost, in a goroutine. So a Put that notices a loss does not wait.
//
//	request, auditEvery ─▶ auditAll (if others may have lost something) ─▶ repairAll ─▶ repair of each table with a loss
//	                                                                         │
//	                             again after retryEvery ◀── an error, or records wait for a server
//
// One goroutine for all tables bounds how much of Redis a repair takes from the writes.
type repairer struct {
	w     *Writer       // that the repairer is of
	every time.Duration // auditEvery, shorter in tests

	start  sync.Once          // of run, by the first write
	wake   chan struct{}      // holds an element after request
	ctx    context.Context    // of all work of run
	cancel context.CancelFunc // ends run
	ended  chan struct{}      // closed by run at its end; nil before start

	auditing atomic.Bool // whether all tables are to be audited at once
	unlisted atomic.Bool // whether the catalogue may lack tables
}

// newRepairer returns the repairer of a writer. Its goroutine starts with begin.
func newRepairer(w *Writer) *repairer {
	r := &repairer{w: w, every: auditEvery, wake: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// begin starts run. The caller holds closing of the writer, so that close comes before or after it.
func (r *repairer) begin() {
	r.start.Do(func() {
		r.ended = make(chan struct{})
		go r.run()
	})
}

// request asks for a repair of what is lost. If audit is true, all tables are audited before, because others may have lost
// something too. It does not wait.
func (r *repairer) request(audit bool) {
	if audit {
		r.auditing.Store(true)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// list asks for an entry of all tables into the catalogue.
func (r *repairer) list() {
	r.unlisted.Store(true)
	r.request(false)
}

// run audits and repairs until ctx is canceled. It repairs each time that it wakes up, but audits only if that is due or was asked for:
// an audit reads keys of every table.
func (r *repairer) run() {
	defer close(r.ended)
	due := time.Now().Add(r.every)
	wait := r.every
	for {
		timer := time.NewTimer(wait)
		select {
		case <-r.ctx.Done():
			timer.Stop()
			return
		case <-r.wake:
			timer.Stop()
		case <-timer.C:
		}
		if r.auditing.Swap(false) || !time.Now().Before(due) {
			r.report(r.auditAll(r.ctx))
			due = time.Now().Add(r.every)
		}
		again, err := r.repairAll(r.ctx)
		r.report(err)
		if wait = time.Until(due); again || err != nil {
			wait = min(wait, retryEvery)
		}
	}
}

// report passes an error on, unless run was told to end.
func (r *repairer) report(err error) {
	if err != nil && r.ctx.Err() == nil {
		r.w.o.Report(err)
	}
}

// close ends run, and then tries once to repair what is known to be lost. Canceling ctx ends a repair that runs; what it had not written
// is in the loss of its table again. The caller holds closing of the writer, so that no write makes a loss meanwhile.
func (r *repairer) close(timeout time.Duration) error {
	r.cancel()
	if r.ended == nil {
		return nil
	}
	<-r.ended
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	again, err := r.repairAll(ctx)
	if again {
		now, _, _ := r.w.Waiting()
		err = errors.Join(fmt.Errorf("%d records could not be written: %w", now, errUnavailable), err)
	}
	return err
}

// errUnavailable is the reason of an error about records that wait.
var errUnavailable = errors.New("their servers do not answer")

// auditAll audits all tables and the catalogue.
func (r *repairer) auditAll(ctx context.Context) error {
	err := r.each(ctx, r.w.audit)
	listed, catalogueErr := existence(r.w.client.Get(ctx, catalogueKey).Err())
	if catalogueErr == nil && !listed {
		r.unlisted.Store(true)
	}
	return err
}

// each calls do for all tables, one after another, except for those of a server that has not answered for another table. It goes on
// after an error, and returns all errors. Without a cluster, all tables are of one server.
func (r *repairer) each(ctx context.Context, do func(ctx context.Context, t record.Table, s *tableState) error) error {
	var errs []error
	silent := make(map[string]bool)
	for t, s := range r.w.allTables() {
		node := r.w.Node(ctx, t)
		if silent[node] {
			continue
		}
		if err := do(ctx, t, s); err != nil {
			errs = append(errs, fmt.Errorf("looking for lost records of %s: %w", t, err))
			silent[node] = IsUnavailable(err)
		}
	}
	return errors.Join(errs...)
}

// repairAll writes what is lost and what waits, and counts it. It returns whether records still wait. Records that wait for a
// server that still does not answer are no error.
func (r *repairer) repairAll(ctx context.Context) (again bool, err error) {
	tables, restored := 0, 0
	var errs []error
	_ = r.each(ctx, func(ctx context.Context, t record.Table, s *tableState) error { // errs has the errors, without those of waiting records
		lost, n, err := r.w.repair(ctx, t, s)
		switch {
		case err != nil && lost.waiting && IsUnavailable(err):
			again = true
		case err != nil:
			errs = append(errs, fmt.Errorf("writing lost records of %s again: %w", t, err))
		case lost.isWritten():
			tables, restored = tables+1, restored+n
		default:
			r.w.late.Add(int64(n))
		}
		return err
	})
	if tables > 0 {
		r.w.restored.Add(int64(restored))
		r.w.o.Restored(tables, restored)
	}
	if r.unlisted.Load() {
		errs = append(errs, r.w.enterAll(ctx))
	}
	return again, errors.Join(errs...)
}

// repair writes what is lost of a table, and the records that wait. It returns what was lost, and how many records it wrote.
// After an error, s.lost has all of it again, also what was written: writing it once more does no harm. It holds the lock of the table all the
// time, so writes of the table wait for it.
func (w *Writer) repair(ctx context.Context, t record.Table, s *tableState) (lost loss, records int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.lost.any() {
		return loss{}, 0, nil
	}
	now := w.clock.now()
	lost, s.lost = s.lost, loss{} // a write may notice that more is lost
	if lost.all {
		s.mark = mark{} // the writes need not notice this again
	}
	defer func() {
		if err != nil {
			s.lost.join(lost)
		}
	}()
	if err := w.dropOldest(ctx, t, s, &lost, now); err != nil {
		return lost, 0, err
	}
	if !lost.any() {
		return loss{}, 0, nil
	}
	if records, err = w.mend(ctx, t, s, lost, now); err != nil {
		return lost, records, err
	}
	if w.compat != nil && (lost.compat || lost.isWritten() || lost.waiting) {
		w.compat.mark(t, s.newest)
	}
	if lost.all || lost.index || lost.waiting { // without the version an agent may have removed the table from the catalogue
		w.repairer.unlisted.Store(true)
	}
	return lost, records, nil
}

// mend writes what a loss lists: the index, the records of this writer and the names. At last it lets the other writers know.
// It returns how many records it wrote, also with an error. The caller holds the lock of the table.
func (w *Writer) mend(ctx context.Context, t record.Table, s *tableState, lost loss, now time.Time) (records int, err error) {
	if lost.all || lost.index {
		if err := w.mendIndex(ctx, t, now); err != nil {
			return 0, err
		}
	}
	if records, err = w.rewrite(ctx, t, s, lost, now); err != nil {
		return records, err
	}
	if lost.all || lost.names {
		if err := w.rename(ctx, t, s, now); err != nil {
			return records, err
		}
	}
	if lost.untold {
		err := w.tell(ctx, t, s, now)
		if !IsAnswer(err) {
			return records, err
		}
		// Redis refuses that, as without a rule of the ACL. The records are written, and need not be written each time that it refuses.
		s.lost.untold = true
		w.repairer.report(fmt.Errorf("letting other writers of %s know of lost records: %w", t, err))
	}
	return records, nil
}

// mendIndex adds the buckets that are only in the index or only in the expiry times to both. One of these sets is often left
// if the other is evicted. It also writes the version, so that the table exists and its readers notice the change.
//
// So the buckets of other writers come back at once. A bucket that expires before the new expiry time is left in the index until that
// has passed: readers find no records in it. The caller holds the lock of the table.
func (w *Writer) mendIndex(ctx context.Context, t record.Table, now time.Time) error {
	pipe := w.client.Pipeline()
	whole := &redis.ZRangeBy{Min: "-inf", Max: "+inf"}
	indexed, living := pipe.ZRangeByScore(ctx, indexKey(t), whole), pipe.ZRangeByScore(ctx, expiryKey(t), &redis.ZRangeBy{Min: millis(now), Max: "+inf"})
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	in := make(map[string]int) // in how many of the sets a start is
	for _, start := range slices.Concat(indexed.Val(), living.Val()) {
		in[start]++
	}
	var index, expiries []redis.Z
	expiry := now.Add(w.o.Retention)
	for start, sets := range in {
		if at, err := parseStart(start); err == nil && sets == 1 {
			index = append(index, redis.Z{Score: score(at), Member: start})
			expiries = append(expiries, redis.Z{Score: float64(expiry.UnixMilli()), Member: start})
		}
	}
	return w.transact(ctx, func(pipe redis.Pipeliner) {
		life := w.lifetime()
		if len(index) > 0 {
			pipe.ZAdd(ctx, indexKey(t), index...)
			life.extend(ctx, pipe, expiryKey(t), expiries...)
		}
		pipe.Incr(ctx, versionKey(t))
		for _, key := range []string{indexKey(t), expiryKey(t), versionKey(t)} {
			life.expire(ctx, pipe, key)
		}
	})
}

// dropOldest removes the buckets beyond MaxBuckets from a loss, and those that were removed already because of the MaxBuckets of any
// agent, and forgets them. Such a bucket may have been made again by a late record, of any agent.
//
// It does nothing for records that wait, which were never written, and if the whole table or its index is lost: which buckets were
// removed is not certain then.
func (w *Writer) dropOldest(ctx context.Context, t record.Table, s *tableState, lost *loss, now time.Time) error {
	if len(lost.buckets) == 0 || lost.waiting || lost.all || lost.index {
		return nil
	}
	removed, err := w.removed(ctx, t)
	if err != nil {
		return err
	}
	var newest []string
	if w.o.MaxBuckets > 0 {
		if _, newest, err = w.divide(ctx, t, now, slices.Collect(maps.Keys(lost.buckets))); err != nil {
			return err
		}
	}
	for start := range lost.buckets {
		if removed[start] || w.o.MaxBuckets > 0 && !slices.Contains(newest, start) {
			delete(lost.buckets, start)
			w.recent.forget(s, start)
		}
	}
	lost.untold = lost.untold && (lost.names || len(lost.buckets) > 0)
	return nil
}

// tell removes the marks of the other writers of a table. A writer whose mark is gone looks for what it has lost. tell does nothing if
// the last removal was less than auditEvery ago: the loss then stays untold until a later repair.
//
// It sets the mark of this writer, so it first looks for that, as send does: another writer may have removed it meanwhile.
func (w *Writer) tell(ctx context.Context, t record.Table, s *tableState, now time.Time) error {
	if local := w.o.Now(); local.Sub(s.told) < auditEvery {
		s.lost.untold = true
		return nil
	}
	next := s.mark.score(now.Add(w.o.Retention))
	s.mark.try(next)
	var found *redis.ZSliceCmd
	if err := w.transact(ctx, func(pipe redis.Pipeliner) {
		found = s.mark.queue(ctx, pipe, t)
		pipe.ZRemRangeByScore(ctx, writersKey(t), "-inf", "+inf")
		w.setMark(ctx, pipe, t, next)
		w.lifetime().expire(ctx, pipe, writersKey(t))
	}); err != nil {
		return err
	}
	w.notice(s, found, now)
	s.mark.set(next)
	s.told = w.o.Now()
	return nil
}

// rewrite writes the kept records of the lost buckets, or of all buckets of the table, some buckets at a time. It returns how
// many it wrote, also with an error. The caller holds the lock of the table.
func (w *Writer) rewrite(ctx context.Context, t record.Table, s *tableState, lost loss, now time.Time) (records int, err error) {
	kept := w.recent.buckets(s, now.Add(w.margin()))
	if !lost.all && !lost.index {
		kept = slices.DeleteFunc(kept, func(k *keptBucket) bool { return !lost.buckets[k.text] })
	}
	for len(kept) > 0 {
		n, size := 0, 0
		for n < len(kept) && n < compatPipeline && size < maxRepaired {
			size += len(kept[n].records)
			n++
		}
		written, err := w.rewriteSome(ctx, t, s, kept[:n], now)
		records += written
		if err != nil {
			return records, err
		}
		kept = kept[n:]
	}
	return records, nil
}

// place identifies a record within its table: the start of its bucket, as text, and its field in the hash.
type place struct{ start, field string }

// compare reads what Redis has of kept buckets, by their starts as text, and the places of the records in Redis that are newer
// than the kept ones. It completes the sets of revisions from the records. Only this agent writes these places, but another process of it
// may do so: the one before, which was restarted, or a twin.
func (w *Writer) compare(ctx context.Context, t record.Table, kept []*keptBucket) (found map[string]*held, newer map[place]bool, err error) {
	starts, byStart := make([]string, 0, len(kept)), make(map[string]*keptBucket, len(kept))
	for _, k := range kept {
		starts, byStart[k.text] = append(starts, k.text), k
	}
	if found, err = w.hold(ctx, t, starts); err != nil {
		return nil, nil, err
	}
	newer = make(map[place]bool)
	if err := w.eachRecord(ctx, t, starts, func(start, field, text string) {
		found[start].learn(field, text)
		if record := byStart[start].records[field]; record != nil && record.isOlder(text) {
			newer[place{start, field}] = true
		}
	}); err != nil {
		return nil, nil, err
	}
	_, err = w.mendRevisions(ctx, t, found)
	return found, newer, err
}

// rewriteSome writes the records of kept buckets, except for those of which Redis has newer ones. One transaction writes about
// maxRepaired records, so that other clients of Redis wait only briefly. After an error, what was written stays written.
func (w *Writer) rewriteSome(ctx context.Context, t record.Table, s *tableState, kept []*keptBucket, now time.Time) (records int, err error) {
	found, newer, err := w.compare(ctx, t, kept)
	if err != nil {
		return 0, err
	}
	b := &batch{newest: s.newest}
	size := 0
	flush := func() error {
		if size == 0 {
			return nil
		}
		err := w.send(ctx, t, s, b, now.Add(w.o.Retention))
		records, size, b = records+size, 0, &batch{newest: s.newest}
		return err
	}
	for _, k := range kept {
		for part := range k.parts(found[k.text], newer, maxRepaired) {
			b.buckets, size = append(b.buckets, part), size+len(part.records)/2
			if size >= maxRepaired {
				if err := flush(); err != nil {
					return records, err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return records, err
	}
	w.recent.settle(kept)
	return records, nil
}

// isOlder reports whether a stored record has a higher revision, or is final while the kept one is open, or has more values,
// so that it was written later, by another process of the same agent. stored is the JSON of a record in the same place.
//
//	kept                    stored                  isOlder
//	revision 1, final       revision 2, open        true: the revision is compared first
//	open, 80 values         final, 75 values        true: then the state
//	final, 80 values        final, 75 values        false: then the number of values
func (k *keptRecord) isOlder(stored string) bool {
	if revision := record.RevisionOf(stored); revision != max(k.revision, 0) {
		return revision > k.revision
	}
	own := string(k.text[:k.json])
	if state, kept := record.StateOf(stored), record.StateOf(own); state != kept {
		return state == record.Final
	}
	return record.CountOf(stored) > record.CountOf(own)
}

// parts yields the kept records of a bucket in parts of at most n records, without those of which Redis has newer ones. A bucket without
// records to write has no parts. The parts have the texts of the kept records, not copies.
func (k *keptBucket) parts(h *held, newer map[place]bool, n int) func(yield func(*bucket) bool) {
	return func(yield func(*bucket) bool) {
		part := &bucket{start: k.start, text: k.text, held: h}
		for field, kept := range k.records {
			if newer[place{k.text, field}] || kept.revision >= 0 && kept.revision < h.revisions[field] {
				continue
			}
			part.addText(field, kept.text[:kept.json:kept.json], kept.text[kept.json:], kept.revision)
			if len(part.records) >= 2*n {
				if !yield(part) {
					return
				}
				part = &bucket{start: k.start, text: k.text, held: h}
			}
		}
		if len(part.records) > 0 {
			yield(part)
		}
	}
}

// rename adds the names of the table again, as far as they have not expired, each with the expiry time that it had. It increases the
// version, as readers see the names. The caller holds the lock of the table.
func (w *Writer) rename(ctx context.Context, t record.Table, s *tableState, now time.Time) error {
	var names []redis.Z
	for member, expiry := range s.names {
		if expiry > float64(now.UnixMicro()) {
			names = append(names, redis.Z{Score: expiry, Member: member})
		}
	}
	if len(names) == 0 {
		return nil
	}
	return w.transact(ctx, func(pipe redis.Pipeliner) {
		life := w.lifetime()
		life.extend(ctx, pipe, namesKey(t), names...)
		life.expire(ctx, pipe, namesKey(t))
		pipe.Incr(ctx, versionKey(t))
	})
}

// enterAll enters all tables into the catalogue that have not expired, in one pipeline. It takes the locks of the tables one after another,
// and holds none of them during the round trip.
func (w *Writer) enterAll(ctx context.Context) error {
	pipe, life, now := w.client.Pipeline(), w.lifetime(), w.clock.now()
	tables := 0
	for t, s := range w.allTables() {
		s.mu.Lock()
		if s.expiry.After(now) {
			queueEntry(ctx, pipe, life, t, s.expiry, s.written)
			tables++
		}
		s.mu.Unlock()
	}
	w.repairer.unlisted.Store(false) // before the commands: a table that is written meanwhile may set it again
	if tables == 0 {
		return nil
	}
	life.expire(ctx, pipe, catalogueKey)
	if _, err := pipe.Exec(ctx); err != nil {
		w.repairer.unlisted.Store(!redis.HasErrorPrefix(err, "WRONGTYPE")) // it would fail again
		return fmt.Errorf("adding tables to the list of all tables, %q: %w", catalogueKey, err)
	}
	return nil
}
