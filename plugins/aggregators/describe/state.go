package describe

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// identity returns the options that make buckets comparable, each in one spelling, and the alias, which distinguishes
// blocks that agree in all of these. A store belongs to one identity.
//
// The options that are not in it can change without an effect on the values of a bucket, such as stats or layout. The map and its
// texts are written to the folder of the store: another spelling would make an orphan of each store that exists.
func (d *Describe) identity() map[string]string {
	width := bucket.Fixed(time.Duration(d.Period))
	if w, err := bucket.ParseWidth(d.Bucket); err == nil {
		width = w
	}
	origin := d.Origin
	if at, err := time.Parse(time.RFC3339Nano, d.Origin); err == nil {
		origin = at.Format(time.RFC3339Nano)
	}
	groupBy := slices.Clone(d.GroupBy)
	slices.Sort(groupBy)
	return map[string]string{
		"bucket": width.String(), "timezone": d.Timezone, "origin": origin, "group_by": fmt.Sprintf("%q", slices.Compact(groupBy)),
		"booleans": d.Booleans, "prefix": d.Prefix, "alias": d.Alias,
	}
}

// openState makes the engine. If the option state is set, it opens the store and gives it to the engine. A test run has no store,
// so that it changes no file. Orphans are not looked for here, but before the first metric: before that, other blocks can still open
// their stores.
func (d *Describe) openState() error {
	if d.State == "" || d.pusher.host.Test {
		d.engine = engine.New(d.engineOptions())
		return nil
	}
	d.closeStopped()
	if d.owner == "" {
		d.owner = processOwner()
	}
	s, err := state.Open(d.stateOptions())
	if errors.Is(err, state.ErrLocked) {
		return examples.Errorf("state", " %q: %w; want a folder that no other Telegraf uses, and another 'alias' for each describe block "+
			"with the same buckets", d.State, err)
	}
	if err != nil {
		return examples.Errorf("state", " %q: %w", d.State, err)
	}
	if err := d.useState(s); err != nil {
		return errors.Join(err, s.Close())
	}
	running.add(d)
	return nil
}

// useState makes an engine with the store and its open buckets. An engine and its store belong together, because the engine has
// the handles of the buckets. On an error, the caller closes the store.
func (d *Describe) useState(s *state.Store) error {
	o := d.engineOptions()
	o.Store = store{s, d}
	d.store, d.engine = s, engine.New(o)
	if err := d.replayState(); err != nil {
		return fmt.Errorf("reading the state in %q: %w", d.State, err)
	}
	return nil
}

// stateOptions returns the options of the store of this block. Those of orphans ignore what belongs to another identity.
func (d *Describe) stateOptions() state.Options {
	return state.Options{
		Dir: d.State, Identity: d.identity(), Owner: d.owner, Retention: time.Duration(d.StateRetention), Replay: time.Duration(d.StateReplay),
		ExactLimit: d.options.ExactLimit, Related: d.related, Log: d.Log.Warnf, Now: d.now,
	}
}

// related returns the relation of the store to one with that identity.
func (d *Describe) related(identity map[string]string) state.Relation {
	switch own := d.identity(); {
	case sameBuckets(own, identity):
		return state.SameBuckets
	case own["prefix"] == identity["prefix"]:
		return state.SameTables
	}
	return state.Unrelated
}

// processOwner returns a text that this Telegraf has after a restart too, and that another one with which it shares the
// folder does not have. It does not depend on the name of the host: a new container has another one. It is a hash, as
// arguments can have passwords.
func processOwner() string {
	folder, _ := os.Getwd()
	text := fmt.Sprintf("%q", append([]string{folder}, os.Args...))
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

// replayState opens the buckets of the last run. If that run did not end cleanly, the first Push emits the rows again
// that an output may not have sent: those of open buckets whose last value came within state_replay before now, and the final ones
// that left within state_replay before the end of that run.
func (d *Describe) replayState() error {
	replay := d.engine.BeginReplay()
	if err := d.store.Replay(replayer{replay}); err != nil {
		return err
	}
	if d.store.Clean() {
		replay.End(d.now().Add(time.Hour)) // no bucket has a value that is so new, so no row is emitted again
		return nil
	}
	replay.End(d.now().Add(-time.Duration(d.StateReplay)))
	var again []engine.Bucket
	err := d.store.Recent(func(b state.Bucket) error {
		again = append(again, engine.Bucket(b))
		return nil
	})
	d.engine.Again(d.Prefix, again)
	return err
}

// closeState closes the store. It does nothing without one.
func (d *Describe) closeState() error {
	if d.store == nil {
		return nil
	}
	running.remove(d)
	if len(d.drained) > 0 { // some of their rows have not left, so the next run must emit them
		d.abandonState()
		return nil
	}
	return d.store.Close()
}

// abandonState ends the run of the store, and those of drained stores, as a crash does. What was committed stays.
func (d *Describe) abandonState() {
	running.remove(d)
	for _, s := range d.drained {
		s.Abandon()
	}
	d.drained = nil
	if d.store != nil {
		d.store.Abandon()
	}
}

// stateStats returns the counts of the store, or zeros.
func (d *Describe) stateStats() state.Stats {
	if d.store == nil {
		return state.Stats{}
	}
	return d.store.Stats()
}

// store adapts a [state.Store] to [engine.Store]. The two have the same bucket as types of their own, because neither package imports
// the other. A conversion between these copies a small struct, not the summaries.
type store struct {
	*state.Store
	d *Describe
}

func (s store) Final(handle uint64, b engine.Bucket) { s.Store.Final(handle, state.Bucket(b)) }

// Find returns the final bucket that a late value corrects, in this store or a relative.
func (s store) Find(series string, start, end int64, fields []string) (engine.Bucket, bool, error) {
	b, ok, err := s.Latest(series, start, end, fields)
	if errors.Is(err, state.ErrExpired) {
		err = engine.ErrExpired
	}
	return engine.Bucket(b), ok, err
}

// Open also notes that a bucket which was borrowed is in the log.
func (s store) Open(b engine.Bucket) uint64 {
	handle := s.OpenBucket(state.Bucket(b))
	s.d.borrowed.opened()
	return handle
}

// Snapshot also notes that a bucket which was borrowed is in the log.
func (s store) Snapshot(handle uint64, b engine.Bucket) {
	s.Store.Snapshot(handle, state.Bucket(b))
	s.d.borrowed.opened()
}

// Commit also notes that borrowed buckets were saved, before their rows leave. After a crash in the middle of that, which may take
// seconds, two stores would have the bucket.
func (s store) Commit() error {
	borrowed := s.d.borrowed.take()
	if err := s.Store.Commit(); err != nil {
		s.d.borrowed.putBack(borrowed)
		return err
	}
	s.d.saved(borrowed)
	return nil
}

// Borrow borrows the open bucket from a sibling: another block got its values in the last run, and this one gets the next value. It
// returns false if no sibling has such a bucket without values in this run. The engine calls it while it holds its lock. It cannot
// wait for a sibling that waits for it, because Telegraf adds one metric at a time.
func (s store) Borrow(series string, start, end int64, fields []string) (engine.Bucket, bool) {
	siblings := s.d.siblings.Load()
	if siblings == nil {
		return engine.Bucket{}, false
	}
	for _, from := range *siblings {
		handle, ok := from.store.Idle(series, start)
		if !ok {
			continue
		}
		if b, ok := from.engine.Lend(handle, series, start, end, fields); ok {
			s.d.borrowed.next = loan{from, series, start}
			return b, true
		}
	}
	return engine.Bucket{}, false
}

// loan is a bucket that was borrowed from a sibling, and not yet saved. Until then the store of the sibling keeps it, so that a crash
// does not lose it.
type loan struct {
	from   *Describe // the sibling
	series string    // the key of the series
	start  int64     // of the bucket, nanoseconds since 1970
}

// loans are the loans since the last Commit.
type loans struct {
	next loan // that is not in the log yet, or with from == nil; guarded by the lock of the engine

	mu  sync.Mutex
	all []loan // guarded by mu
}

// opened adds the loan that is in the log now. The caller has the lock of the engine.
func (l *loans) opened() {
	if l.next.from != nil {
		l.putBack([]loan{l.next})
		l.next = loan{}
	}
}

// putBack adds loans that take has returned, or new ones.
func (l *loans) putBack(all []loan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, all...)
}

// take returns the loans and forgets them. If they cannot be saved, the caller puts them back.
func (l *loans) take() []loan {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// saved notes that the borrowed buckets were saved here, so that the siblings need them no longer. Each lender is committed once.
func (d *Describe) saved(all []loan) {
	lenders := make(map[*state.Store]struct{})
	for _, l := range all {
		l.from.engine.LentSafely(l.series, l.start)
		lenders[l.from.store] = struct{}{}
	}
	for s := range lenders {
		if err := s.Commit(); err != nil && !errors.Is(err, state.ErrClosed) {
			d.Log.Errorf("Saving the state in %q: %v", s.Folder(), err)
		}
	}
}

// replayer adapts an [engine.Replay] to [state.Replayer].
type replayer struct{ *engine.Replay }

// Open implements [state.Replayer], with a bucket of the engine.
func (r replayer) Open(handle uint64, b state.Bucket) error {
	return r.Replay.Open(handle, engine.Bucket(b))
}

// Final implements [state.Replayer], with a bucket of the store.
func (r replayer) Final(handle uint64) (state.Bucket, bool) {
	b, ok := r.Replay.Final(handle)
	return state.Bucket(b), ok
}

// warnVolatile logs a warning if a restart would lose the open buckets. It logs none for buckets of a minute or less, which are
// small losses.
func (d *Describe) warnVolatile() {
	if h := d.pusher.host; d.State != "" || h.KeepsState || h.Bounded {
		return
	}
	start, _ := d.options.Grid.Start(0)
	width := time.Duration(d.options.Grid.End(start) - start)
	if width > time.Minute {
		d.Log.Warnf("A restart loses the open buckets, which are %s wide: the next row of a bucket has only the values that came after it and may replace "+
			"a row with all of them; set state = \"/var/lib/telegraf-describe\" to keep them", width)
	}
}
