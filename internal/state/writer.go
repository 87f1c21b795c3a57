package state

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// writer moves final buckets into the database, in the background, removes those whose retention has passed, and commits
// when much was logged since the last Commit. A transaction of the database takes much longer than a commit of the log, so no Push waits
// for it, unless too many buckets wait (maxPendingFinals).
//
//	Save, bound ─ wake ─▶ run: save, store, expire ─▶ idle ─▶ wait, of Save
//	                       │      next ─▶ arrange ─▶ finals.put ─▶ unpend, or the same again after the next wake
//	Close, Abandon ─ stop ─┘      Close also does store and expire itself
//
// The order is safe at any crash: a bucket is stored after its commit is durable, and its log is released after the transaction. In
// between it is in both; finalBatch.stored is the commit up to which the next run does not need the log for final buckets.
type writer struct {
	s       *Store        // set by start
	wakeup  chan struct{} // has an element when there may be work
	quit    chan struct{} // closed by stop
	done    chan struct{} // closed when the goroutine has ended
	stopped sync.Once     // of stop
	removed int64         // age of the store until which buckets were removed last

	// mu guards failing and running for those that wait. Only the writer sets them, and reads them without mu.
	mu      sync.Mutex
	idle    *sync.Cond // on mu, signalled after each transaction
	failing bool       // the last transaction failed
	running bool       // the goroutine has not ended
}

// start starts the goroutine of the writer, unless the options freeze it.
func (w *writer) start(s *Store) {
	w.s = s
	w.wakeup, w.quit, w.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	w.idle = sync.NewCond(&w.mu)
	if s.o.frozen {
		close(w.done)
		return
	}
	w.running = true
	go w.run()
	w.wake()
}

// wake makes the goroutine look for work. It never blocks.
func (w *writer) wake() {
	select {
	case w.wakeup <- struct{}{}:
	default:
	}
}

// stop ends the writer, and waits for the end of its goroutine, which may be in a transaction. If drain is true, it then stores what
// waits and removes what has expired: the goroutine may have ended before it has looked, as in a run of a moment. A second call has no
// effect. It must not be called while committing or mu is held, as the goroutine locks both.
func (w *writer) stop(drain bool) {
	w.stopped.Do(func() {
		close(w.quit)
		<-w.done
		if drain && !w.s.o.frozen {
			w.store()
			w.expire()
		}
	})
}

// run commits the log and stores pending buckets whenever it is woken, until quit is closed. Each Save wakes it, so that a transaction
// that failed is tried again after the next Push.
func (w *writer) run() {
	defer close(w.done)
	defer w.state(false, false)
	for {
		select {
		case <-w.quit:
			return
		case <-w.wakeup:
		}
		w.save()
		w.store()
		w.expire()
	}
}

// save commits if much was logged since the last Commit. An error is counted, and the next Commit returns it if it lasts.
func (w *writer) save() {
	w.s.mu.Lock()
	much := len(w.s.records.buf) >= commitBytes
	w.s.mu.Unlock()
	if much {
		w.s.committing.Lock()
		defer w.s.committing.Unlock()
		_ = w.s.save()
	}
}

// state notes whether the last transaction failed and whether the writer runs, for those that wait, and wakes them.
func (w *writer) state(running, failing bool) {
	w.mu.Lock()
	w.running, w.failing = running, failing
	w.mu.Unlock()
	w.idle.Broadcast()
}

// wait returns when at most that many bytes wait, or when waiting does not help: the writer has ended, its last transaction failed, or what
// waits needs a commit that is not durable. A Push with many final buckets is slower then, but does not fill the memory.
func (w *writer) wait(most int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.running && !w.failing && w.s.ready() > most {
		w.idle.Wait()
	}
}

// ready returns how many bytes of final buckets could be stored now.
func (s *Store) ready() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending.order) == 0 || s.pending.order[0].commit > s.durable {
		return 0
	}
	return s.pending.bytes
}

// store moves the final buckets whose commits are durable into the database, one batch after another, until none is left, a transaction
// fails or the writer must end. A failure is logged once, until a transaction succeeds again, and counted each time.
func (w *writer) store() {
	for {
		batch := w.next()
		if len(batch.all) == 0 {
			return
		}
		w.arrange(&batch)
		err := w.s.finals.put(&batch)
		w.s.mu.Lock()
		if err == nil {
			w.s.unpend(batch.all)
		} else {
			w.s.stats.Errors++
		}
		w.s.mu.Unlock()
		failed := w.failing
		w.state(w.running, err != nil)
		if err != nil {
			if !failed {
				w.s.warn("final buckets cannot be stored, it will be tried again: %v", err)
			}
			return
		}
		select {
		case <-w.quit:
			if w.running {
				return // stop stores the rest if it must
			}
		default:
		}
	}
}

// finalBatch is what one transaction stores.
type finalBatch struct {
	all    []*final  // by slot, start and series
	older  [][]int64 // for each, the slots that may have an older revision of it
	stored uint64    // all that became final in this commit or before will be stored
	handle uint64    // none is larger
	age    int64     // of the store
	wall   int64     // wall time
	// expired are records of removed buckets, of a database that is copied.
	expired expired
	// careful keeps a bucket that is there already, if it opened later.
	careful bool
	put     int // how many were stored, if careful
}

// next returns the final buckets that the next transaction stores: the first ones that wait. A batch may end within a commit. Then stored
// is the commit before, so that after a crash the rest is taken from the log, and the part that is stored is recognized: see isStored.
// Buckets that were dropped or are not encoded yet bound stored in the same way.
func (w *writer) next() finalBatch {
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	b := finalBatch{stored: s.durable, handle: s.next, age: s.clock.time(), wall: s.o.Now().UnixNano()}
	size := 0
	for _, f := range s.pending.order {
		if f.commit > s.durable {
			break
		}
		if len(b.all) == maxBatch || size > batchBytes {
			b.stored = max(f.commit, 1) - 1
			break
		}
		b.all = append(b.all, f)
		size += len(f.value)
	}
	if s.pending.unstored > 0 {
		b.stored = min(b.stored, s.pending.unstored-1)
	}
	for _, f := range s.pending.waiting {
		if f.commit > 0 {
			b.stored = min(b.stored, f.commit-1)
			break
		}
	}
	return b
}

// arrange sorts the batch, and finds the older revisions of its buckets. Sorting takes milliseconds, so values can be
// added meanwhile.
func (w *writer) arrange(b *finalBatch) {
	slices.SortStableFunc(b.all, func(a, b *final) int {
		return cmp.Or(cmp.Compare(a.slot, b.slot), cmp.Compare(a.start, b.start), cmp.Compare(a.series, b.series))
	})
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	b.older = make([][]int64, len(b.all))
	for i, f := range b.all {
		b.older[i] = w.s.finals.starts[f.start]
	}
}

// expire removes the slots whose retention has passed, once a minute of the age of the store. It keeps the buckets whose rows may not have
// left yet: after a crash, they leave again, however long ago the last Push was. Slots ascend by their ends, so it stops at the first one that
// must stay. After an error it goes on a minute later.
func (w *writer) expire() {
	s := w.s
	age := s.clock.time()
	s.mu.Lock()
	until := min(age-int64(s.o.Retention), s.pushes.since(s.o.Replay))
	slots := slices.Clone(s.finals.slots)
	s.mu.Unlock()
	if until-w.removed < int64(time.Minute) {
		return
	}
	w.removed = until
	removed := false
	for _, slot := range slots {
		if slot > until {
			break
		}
		n, err := s.finals.removeSlot(slot, age)
		if err != nil {
			s.warn("final buckets whose retention has passed cannot be removed, it will be tried again: %v", err)
			return
		}
		removed = true
		s.mu.Lock()
		s.finals.removed(slot)
		s.stats.Expired += int64(n)
		s.mu.Unlock()
	}
	if removed {
		w.forget(age)
	}
}

// forget drops the oldest records of expired buckets: those that are old enough, and more if there are too many series. Only for the latter
// there is a warning.
func (w *writer) forget(age int64) {
	s := w.s
	early, err := s.finals.forgetExpired(age, s.o.maxExpired)
	if err != nil {
		s.warn("old records of expired buckets cannot be removed, it will be tried again: %v", err)
		return
	}
	if early == 0 {
		return
	}
	s.warn("more than %d series have expired buckets: those of the %d oldest series are forgotten, and a late value would begin such a bucket anew",
		s.o.maxExpired, early)
	s.mu.Lock()
	s.stats.Forgotten += int64(early)
	s.mu.Unlock()
}
