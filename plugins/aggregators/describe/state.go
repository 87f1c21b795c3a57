package describe

import (
	"cmp"
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
// texts are written to the folder of the store: another spelling would make an orphan of each store that exists. The identity of a
// block without options is, with its names in the order of JSON:
//
//	alias      ""                       group_by   ["*"]
//	booleans   "number"                 origin     "0001-01-01T00:00:00Z"
//	bucket     "30s", as the period     prefix     "analytics_"
//	                                    timezone   "UTC"
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

// openState makes the engine. If the option state is set, it opens the store and gives it to the engine. After an error nothing is open,
// and d must not be used. A test run has no store, so that it changes no file. Orphans are not looked for here, but before the first
// metric: before that, other blocks can still open their stores.
func (d *Describe) openState() error {
	if d.State == "" || d.pusher.host.Test {
		d.engine = engine.New(d.engineOptions())
		return nil
	}
	d.closeStopped()
	if d.owner == "" {
		d.owner = processOwner()
	}
	defer garbage.collect(rarely)()
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
	if s.Stats().LogBytes <= shortLog {
		defer garbage.collect(never)()
	}
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

// related returns the relation of the store to one with that identity. A store looks for final buckets in all stores that are related to
// it.
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
// that may not have left, or that an output may not have sent: see state.Store.Recent.
func (d *Describe) replayState() error {
	replay := d.engine.BeginReplay()
	replay.Expect(d.store.Series())
	if err := d.store.Replay(replayer{replay}); err != nil {
		return err
	}
	if d.store.Clean() {
		replay.End(d.now().Add(time.Hour)) // no bucket has a value that is so new, so no row is emitted again
		return nil
	}
	replay.End(d.store.Since())
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
func (s store) Find(series string, start, end int64, fields []string, from int64) (engine.Bucket, bool, error) {
	running.renaming.RLock()
	b, ok, err := s.Latest(series, start, end, fields, from)
	running.renaming.RUnlock()
	switch {
	case errors.Is(err, state.ErrExpired):
		err = engine.ErrExpired
	case errors.Is(err, state.ErrOthersExpired):
		err = engine.ErrOthersExpired
	}
	return engine.Bucket(b), ok, err
}

// Shared reports whether a sibling has the bucket open with fields of an earlier run, or a relative may have it as a final one.
func (s store) Shared(series string, start, end int64) bool {
	for _, from := range s.d.lenders() {
		if _, idle := from.engine.Holding(series, start, end); idle {
			return true
		}
	}
	return s.Elsewhere(series, start)
}

// Open also notes that the fields which were borrowed are in the log.
func (s store) Open(b engine.Bucket) uint64 {
	handle := s.OpenBucket(state.Bucket(b))
	s.d.borrowed.opened()
	return handle
}

// Snapshot also notes that the fields which were borrowed are in the log.
func (s store) Snapshot(handle uint64, b engine.Bucket) {
	s.Store.Snapshot(handle, state.Bucket(b))
	s.d.borrowed.opened()
}

// Commit also notes in the siblings that borrowed fields were saved, before their rows leave. If the process is killed in the middle
// of that, the next run does it: see settleLoans. The points that tests stop at, and what is on the disk there:
//
//	begin      the fields are in the log of the lender only
//	borrower   they are in both logs, and the loan is in that of this block
//	lender     the log of the lender has that they were lent
//	settled    the loan is settled; the next commit of this block writes that
func (s store) Commit() error {
	s.d.reached("begin")
	borrowed := s.d.borrowed.take()
	for i := range borrowed {
		s.d.checkLent(&borrowed[i])
	}
	if err := s.Store.Commit(); err != nil {
		s.d.borrowed.putBack(borrowed)
		return err
	}
	s.d.reached("borrower")
	s.d.saved(borrowed)
	s.d.reached("settled")
	return nil
}

// lenders returns the siblings, from which fields can be borrowed.
func (d *Describe) lenders() []*Describe {
	if siblings := d.siblings.Load(); siblings != nil {
		return *siblings
	}
	return nil
}

// Borrow borrows fields of an open bucket from siblings: other blocks got their values in the last run, and this one gets the next
// values. It returns false if no sibling has one of the fields without values in this run. The engine calls it while it holds its
// lock. It cannot wait for a sibling that waits for it, because Telegraf adds one metric at a time.
func (s store) Borrow(series string, start, end int64, fields []string) (b engine.Bucket, held []string, ok bool) {
	for _, from := range s.d.lenders() {
		part, handle, lent := from.engine.Lend(series, start, end, fields)
		if len(part.Fields) == 0 {
			continue
		}
		if len(lent) > 0 {
			number := s.Borrowed(state.Loan{Lender: from.store.ID(), Handle: handle, Series: part.Series, Start: start, Fields: lent})
			s.d.borrowed.next = append(s.d.borrowed.next, loan{from, number, part.Series, start, lent})
		}
		if !ok {
			b, ok = part, true
			continue
		}
		part.Revision = max(part.Revision, b.Revision)
		b = part.With(b)
	}
	return b, s.d.held(series, start, end), ok
}

// held returns the fields of a bucket that siblings have open.
func (d *Describe) held(series string, start, end int64) (fields []string) {
	for _, from := range d.lenders() {
		open, _ := from.engine.Holding(series, start, end)
		fields = append(fields, open...)
	}
	return fields
}

// GiveBack gives what Borrow has returned last back to the siblings.
func (s store) GiveBack() {
	for _, l := range s.d.borrowed.next {
		l.from.engine.TakeBack(l.series, l.start, l.fields)
		s.Settled(l.number)
	}
	s.d.borrowed.next = nil
}

// loan is fields that were borrowed from a sibling, and not yet saved. Until then the store of the sibling keeps them, so that a crash
// does not lose them.
type loan struct {
	from   *Describe // the sibling
	number uint64    // of the loan in the store of this block
	series string    // the key of the series
	start  int64     // of the bucket, nanoseconds since 1970
	fields []string
}

// loans are the loans since the last Commit.
type loans struct {
	next []loan // that are not in the log yet; guarded by the lock of the engine

	mu  sync.Mutex
	all []loan // guarded by mu
}

// opened adds the loans that are in the log now. The caller has the lock of the engine.
func (l *loans) opened() {
	if len(l.next) > 0 {
		l.putBack(l.next)
		l.next = nil
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

// checkLent leaves out of a loan the fields that the sibling has got values for since, and keeps.
func (d *Describe) checkLent(l *loan) {
	if l.fields = l.from.engine.Lent(l.series, l.start, l.fields); len(l.fields) == 0 {
		d.store.Settled(l.number)
	}
}

// saved notes that the borrowed fields were saved here, so that the siblings need them no longer. Each lender is committed once. A
// loan that the log lacks, because there was no room, waits.
func (d *Describe) saved(all []loan) {
	lenders := make(map[*state.Store][]loan)
	for _, l := range all {
		switch {
		case len(l.fields) == 0:
		case !d.store.HasLoan(l.number):
			d.borrowed.putBack([]loan{l})
		default:
			l.from.engine.LentSafely(l.series, l.start, l.fields)
			lenders[l.from.store] = append(lenders[l.from.store], l)
		}
	}
	for s, settled := range lenders {
		if err := s.Save(); err != nil {
			if !errors.Is(err, state.ErrClosed) {
				d.Log.Errorf("Saving the state in %q: %v", s.Folder(), err)
			}
			continue // the next run settles them
		}
		d.reached("lender")
		for _, l := range settled {
			d.store.Settled(l.number)
		}
	}
}

// settleLoans notes, in stores of the last run, the loans that other stores have from them: that run was killed before it had. It must be
// called before the first value and before one of the stores is drained. Loans from other stores than these wait, unless
// their lender has no folder any more.
func (d *Describe) settleLoans() {
	blocks := running.with(d.State)
	var drained []*state.Store
	all := make([]*state.Store, 0, len(blocks))
	for _, o := range blocks {
		drained = append(drained, o.drained...)
		all = append(all, o.store)
	}
	for _, s := range append(all, drained...) {
		loans := s.Loans()
		for _, l := range loans {
			lender := giveUp(l, blocks, drained)
			switch {
			case lender == nil && state.HasStore(d.State, l.Lender):
			case lender == nil || d.commit(lender):
				d.reached("noted")
				s.Settled(l.Number)
			}
		}
		if len(loans) > 0 {
			d.commit(s)
		}
	}
}

// giveUp notes a loan in the store of the lender, and returns that store, or nil if it is not there. A block does so by its engine, which
// drops the fields too; a drained store has no engine. The caller saves the store.
func giveUp(l state.Loan, blocks []*Describe, drained []*state.Store) *state.Store {
	for _, o := range blocks {
		if o.store.ID() == l.Lender {
			o.engine.GiveUp(l.Handle, l.Series, l.Start, l.Fields)
			return o.store
		}
	}
	for _, s := range drained {
		if s.ID() == l.Lender {
			s.GiveUp(l.Handle, l.Fields)
			return s
		}
	}
	return nil
}

// commit saves a store, and logs an error. It reports whether there was none.
func (d *Describe) commit(s *state.Store) bool {
	err := s.Save()
	if err != nil {
		d.Log.Errorf("Saving the state in %q: %v", s.Folder(), err)
	}
	return err == nil
}

// reached tells a test that a Push has reached a point of the commit order.
func (d *Describe) reached(point string) {
	if d.atCommit != nil {
		d.atCommit(point)
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
			"a row with all of them; set state = \"/var/lib/telegraf-describe\" to keep them", cmp.Or(d.Bucket, width.String()))
	}
}
