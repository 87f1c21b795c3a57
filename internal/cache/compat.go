package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// compatEvery is how often the compatibility value of a table is rebuilt at most.
	compatEvery = time.Second
	// compatShare is how many times as long as it takes to rebuild a value it is left alone: a bucket of very
	// many records is read as a whole.
	compatShare = 20
	// compatTimeout bounds one rebuilding.
	compatTimeout = 10 * time.Second
	// settleTries is how often a value is rebuilt at the end.
	settleTries = 10
	// compatSpan is how far back the first look for buckets goes, in seconds.
	compatSpan = 3600
	// recentWrites is how far back the check for the writes of others looks.
	recentWrites = 10 * time.Second
)

// compatWorker rebuilds the compatibility values of tables that were written.
type compatWorker struct {
	store *Store
	wake  chan struct{} // holds one when a table was marked
	quit  chan struct{} // closed to end run
	ended chan struct{} // closed by run

	mu    sync.Mutex
	dirty map[record.Table]bool      // written since the last rebuilding, guarded by mu
	next  map[record.Table]time.Time // when a table may be rebuilt again, guarded by mu
}

// worker returns the worker, which it starts when there is none.
func (s *Store) worker() *compatWorker {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.compat == nil {
		s.compat = &compatWorker{
			store: s, wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
			dirty: make(map[record.Table]bool), next: make(map[record.Table]time.Time),
		}
		go s.compat.run()
	}
	return s.compat
}

// Close ends the store's work beside the writes, and first rebuilds the compatibility values that are
// due, each within the timeout; where Redis does not answer, the rest is not tried. It leaves the client open. A
// closed store can be written to again.
func (s *Store) Close(timeout time.Duration) error {
	s.mu.Lock()
	w := s.compat
	s.compat = nil
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	close(w.quit)
	<-w.ended
	var errs []error
	for t := range w.dirty {
		if err := s.settle(t, timeout); err != nil {
			errs = append(errs, fmt.Errorf("compatibility value of %s: %w", t, err))
			if !IsAnswer(err) {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// settle rebuilds the compatibility value until it is current. Who writes meanwhile rebuilds it too: so a few times
// are enough, and a value that is behind is not written over the one of whom was last.
func (s *Store) settle(t record.Table, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for range settleTries {
		if current, err := s.rebuild(ctx, t, false); current || err != nil {
			return err
		}
	}
	return nil
}

func (w *compatWorker) mark(t record.Table) {
	w.mu.Lock()
	w.dirty[t] = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *compatWorker) run() {
	defer close(w.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.quit:
			return
		case <-w.wake:
		case <-timer.C:
		}
		if wait, more := w.rebuildDue(); more {
			timer.Reset(wait)
		}
	}
}

// rebuildDue rebuilds what is due and returns how long to wait for the next, if there is one.
func (w *compatWorker) rebuildDue() (wait time.Duration, more bool) {
	due := w.due()
	for i, t := range due {
		select {
		case <-w.quit:
			w.again(due[i:]...)
			return 0, false
		default:
		}
		ctx, cancel := context.WithTimeout(context.Background(), compatTimeout)
		start := time.Now()
		current, err := w.store.rebuild(ctx, t, true)
		cancel()
		w.rest(t, start)
		if !current {
			w.again(t)
		}
		if err != nil {
			w.store.Report(fmt.Errorf("compatibility value of %s: %w", t, err))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	wait = compatTimeout * compatShare
	for t := range w.dirty {
		wait, more = min(wait, time.Until(w.next[t])), true
	}
	return max(wait, time.Millisecond), more
}

// due takes the tables that may be rebuilt now.
func (w *compatWorker) due() []record.Table {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	var due []record.Table
	for t := range w.dirty {
		if !now.Before(w.next[t]) {
			due = append(due, t)
			delete(w.dirty, t)
		}
	}
	return due
}

// rest leaves a table alone for a while after a rebuilding that began at start.
func (w *compatWorker) rest(t record.Table, start time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next[t] = start.Add(max(compatEvery, compatShare*time.Since(start)))
}

func (w *compatWorker) again(tables ...record.Table) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range tables {
		w.dirty[t] = true
	}
}

// rebuild writes the compatibility value: the newest records as a JSON array, ascending by bucket. It
// returns false when the table was written meanwhile, by another agent perhaps that was faster: then the
// value may be behind and is to be rebuilt again. Where that is known before, it is only written if behind is true.
func (s *Store) rebuild(ctx context.Context, t record.Table, behind bool) (current bool, err error) {
	before, err := s.writes(ctx, t)
	if err != nil {
		return false, err
	}
	records, err := s.newest(ctx, t)
	if err != nil || len(records) == 0 {
		return err == nil, err
	}
	if !behind {
		if now, err := s.writes(ctx, t); err != nil || !maps.Equal(before, now) {
			return false, err
		}
	}
	value := "[" + strings.Join(records, ",") + "]"
	if err := s.client.Set(ctx, t.String(), value, s.Retention).Err(); err != nil {
		return false, err
	}
	after, err := s.writes(ctx, t)
	return maps.Equal(before, after), err
}

// writes returns the buckets that were written lately with the time at which they expire for it, which
// every write changes, see [expiryScore].
func (s *Store) writes(ctx context.Context, t record.Table) (map[string]float64, error) {
	since := s.Now().Add(s.Retention - recentWrites)
	members, err := s.client.ZRangeByScoreWithScores(ctx, expiryKey(t), &redis.ZRangeBy{Min: millis(since), Max: "+inf"}).Result()
	if err != nil {
		return nil, err
	}
	writes := make(map[string]float64, len(members))
	for _, m := range members {
		if start, ok := m.Member.(string); ok {
			writes[start] = m.Score
		}
	}
	return writes, nil
}

// newest returns the newest records, ascending by bucket. It looks for buckets from where the last
// value began, or further and further back: a writer's ACL has no command that counts from the end.
func (s *Store) newest(ctx context.Context, t record.Table) ([]string, error) {
	low, newest := s.lookFrom(t)
	read := make(map[time.Time][]string)
	for span := float64(compatSpan); ; span *= 16 {
		starts, err := s.indexFrom(ctx, t, low)
		if err != nil {
			return nil, err
		}
		records, oldest, err := s.collect(ctx, t, starts, read)
		if err != nil {
			return nil, err
		}
		if len(records) >= s.CompatRecords || low == "-inf" {
			s.rememberFrom(t, oldest)
			return records, nil
		}
		low = "-inf"
		if span < 1e10 {
			low = strconv.FormatFloat(newest-span, 'f', -1, 64)
		}
	}
}

func (s *Store) lookFrom(t record.Table) (low string, newest float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.tables[t]
	switch {
	case state == nil:
		return "-inf", 0
	case state.known:
		return strconv.FormatFloat(state.low, 'f', -1, 64), score(state.newest)
	}
	return strconv.FormatFloat(score(state.newest), 'f', -1, 64), score(state.newest)
}

func (s *Store) rememberFrom(t record.Table, oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state := s.tables[t]; state != nil && !oldest.IsZero() {
		state.low, state.known = score(oldest), true
	}
}

func (s *Store) indexFrom(ctx context.Context, t record.Table, low string) ([]time.Time, error) {
	members, err := s.client.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: low, Max: "+inf"}).Result()
	if err != nil {
		return nil, err
	}
	return parseStarts(members), nil
}

// collect returns the newest records of the buckets, and the start of the oldest one that it used. What
// it reads stays in read.
func (s *Store) collect(ctx context.Context, t record.Table, starts []time.Time, read map[time.Time][]string) (all []string, oldest time.Time, err error) {
	var buckets [][]string
	n := 0
	for len(starts) > 0 && n < s.CompatRecords {
		part := starts[max(0, len(starts)-compatPipeline):]
		if err := s.readInto(ctx, t, part, read); err != nil {
			return nil, oldest, err
		}
		for i := len(part) - 1; i >= 0 && n < s.CompatRecords; i-- {
			records := read[part[i]]
			records = records[max(0, len(records)-(s.CompatRecords-n)):]
			buckets, oldest = append(buckets, records), part[i]
			n += len(records)
		}
		starts = starts[:len(starts)-len(part)]
	}
	for _, records := range slices.Backward(buckets) {
		all = append(all, records...)
	}
	return all, oldest, nil
}

// compatPipeline is how many buckets are read at a time, as most are not needed.
const compatPipeline = 20

func (s *Store) readInto(ctx context.Context, t record.Table, starts []time.Time, read map[time.Time][]string) error {
	missing := slices.DeleteFunc(slices.Clone(starts), func(at time.Time) bool { _, ok := read[at]; return ok })
	if len(missing) == 0 {
		return nil
	}
	batch, err := s.hashes(ctx, t, missing)
	if err != nil {
		return err
	}
	for i, at := range missing {
		read[at] = batch[i]
	}
	return nil
}
