package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

const (
	// compatEvery is the shortest time between two rebuilds of a value.
	compatEvery = time.Second
	// compatShare limits the share of time that is spent on rebuilds: from the begin of a rebuild, a value is not
	// rebuilt again for this many times the duration of the rebuild.
	compatShare = 20
	// compatTimeout bounds one rebuild. It is long enough for the round trips of a slow network; the client bounds each of
	// them.
	compatTimeout = time.Minute
	// settleTries is how often close rebuilds a value if other agents write at the same time.
	settleTries = 10
	// compatSpan is how far back the first search for buckets reaches. Each further search reaches compatReach times
	// as far.
	compatSpan  = time.Hour
	compatReach = 16
	// maxSpan is the longest search. If it finds too few records, all buckets are read.
	maxSpan = 10 * 366 * 24 * time.Hour
	// compatPipeline is how many buckets are read at a time: often the newest few have enough records.
	compatPipeline = 20
)

// compat rebuilds the compatibility values of written tables in a goroutine. A value is a JSON array of the newest
// records, ascending by bucket. compat reads the records from Redis, because a batch has only some of a table's
// records and other agents write too. So all agents build the same value, and the last agent that writes a table also
// writes a value with all its records.
//
//	Put ─▶ mark: dirty ─▶ run: due? ─▶ refresh ─▶ rebuild: version, records, SET, version again
//	                        ▲                        │
//	                        └── still dirty, at the earliest at rested ◀── the versions differ, or an error
//
// There is one goroutine for all tables, so the values are built one after another.
//
// A table that is being rebuilt stays in tables: forget leaves it to refresh. So the methods of a rebuild find it there each time that they
// take mu, which none of them holds during a command.
type compat struct {
	client   redis.UniversalClient
	records  int              // the most records of a value
	lifetime func() lifetime  // of the writer, which may learn that the server is old
	report   func(error)      // Options.Report
	now      func() time.Time // the clock of Redis, which separates past and future buckets
	every    time.Duration    // compatEvery, shorter in tests

	wake  chan struct{} // holds an element after a table was marked
	quit  chan struct{} // closed to end run
	ended chan struct{} // closed by run at its end

	mu      sync.Mutex // guards the fields below
	started bool       // whether run was started
	tables  map[record.Table]*compatTable
}

// bucketCache holds the records of the buckets that were read for one value, by the start of the bucket: searches that reach further
// back find the same buckets again. The records of a bucket are sorted. Of one that was read in parts, they are at most the last
// Options.CompatRecords.
type bucketCache map[time.Time][]string

// compatTable is the state of one table.
type compatTable struct {
	dirty  bool      // whether the table was written since the last rebuild began
	busy   bool      // whether run rebuilds the value
	gone   bool      // whether the table is forgotten after that
	rested time.Time // from when on the value may be rebuilt again
	newest time.Time // the newest bucket that this agent has written
	low    string    // the score of the oldest bucket in the last value; "" before the first value
	sized  bool      // whether buckets were read, so that large is known
	large  bool      // whether one of them had more than maxRecords records
}

// newCompat returns the compat of a writer.
func newCompat(w *Writer) *compat {
	return &compat{
		client: w.client, records: w.o.CompatRecords, lifetime: w.lifetime, report: w.o.Report, now: w.clock.now, every: compatEvery,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
		tables: make(map[record.Table]*compatTable),
	}
}

// mark notes that the table was written, up to the bucket that begins at newest. The first mark starts run. mark never waits
// for a rebuild.
func (c *compat) mark(t record.Table, newest time.Time) {
	c.mu.Lock()
	table := c.tables[t]
	if table == nil {
		table = &compatTable{newest: newest}
		c.tables[t] = table
	}
	table.dirty, table.gone = true, false
	if newest.After(table.newest) {
		table.newest = newest
	}
	if !c.started {
		c.started = true
		go c.run()
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// close ends run and rebuilds the values of tables that were written since their last rebuild, each within the timeout. If
// Redis does not answer for one, it skips the rest. mark must not be called after close.
func (c *compat) close(timeout time.Duration) error {
	c.mu.Lock()
	started := c.started
	c.mu.Unlock()
	if !started {
		return nil
	}
	close(c.quit)
	<-c.ended
	var errs []error
	for _, t := range c.dirty() {
		if err := c.settle(t, timeout); err != nil {
			errs = append(errs, fmt.Errorf("compatibility value of %s: %w", t, err))
			if !IsAnswer(err) {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// dirty returns the tables that were written since their last rebuild.
func (c *compat) dirty() (tables []record.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for t, table := range c.tables {
		if table.dirty {
			tables = append(tables, t)
		}
	}
	return tables
}

// settle rebuilds a value until it is current. Another agent that writes at the same time also rebuilds the value, so
// a few tries are enough. settle does not write a value that it knows to be outdated, because that could replace the
// last value of the other agent.
func (c *compat) settle(t record.Table, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for range settleTries {
		if current, err := c.rebuild(ctx, t, false); current || err != nil {
			return err
		}
	}
	return nil
}

// run rebuilds values until quit is closed. It wakes up after each mark, and when the next written table may be
// rebuilt. A rebuild that has begun goes on after quit is closed, at most for compatTimeout.
func (c *compat) run() {
	defer close(c.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-c.wake:
		case <-timer.C:
		}
		for _, t := range c.due() {
			select {
			case <-c.quit:
				return
			default:
			}
			c.refresh(t)
		}
		if wait, more := c.wait(); more {
			timer.Reset(wait)
		}
	}
}

// due returns the tables that were written and may be rebuilt now.
func (c *compat) due() (tables []record.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for t, table := range c.tables {
		if table.dirty && !now.Before(table.rested) {
			tables = append(tables, t)
		}
	}
	return tables
}

// wait returns how long to wait for the next table that is due, and false if no table was written. It is at least a millisecond: run
// must not loop without a pause.
func (c *compat) wait() (wait time.Duration, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, table := range c.tables {
		if d := time.Until(table.rested); table.dirty && (!more || d < wait) {
			wait, more = d, true
		}
	}
	return max(wait, time.Millisecond), more
}

// refresh rebuilds a value. The table stays dirty if the value is not current after that. An error is reported and tried again
// like any other rebuild: never before c.every has passed since the last one began.
func (c *compat) refresh(t record.Table) {
	c.begin(t)
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), compatTimeout)
	defer cancel()
	current, err := c.rebuild(ctx, t, true)
	if err != nil {
		c.report(fmt.Errorf("compatibility value of %s: %w", t, err))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	table := c.tables[t]
	table.dirty, table.busy = table.dirty || !current, false // a mark during the rebuild also made it dirty
	if table.gone && !table.dirty {
		delete(c.tables, t)
	}
	// A rebuild of 10 ms is followed by the next one after a second, and one of 200 ms after four.
	table.rested = start.Add(max(c.every, compatShare*time.Since(start)))
}

// forget forgets a table, after the next rebuild of its value if that is due.
func (c *compat) forget(t record.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	table := c.tables[t]
	switch {
	case table == nil:
	case table.dirty || table.busy:
		table.gone = true
	default:
		delete(c.tables, t)
	}
}

// begin notes that run rebuilds the value of a table. It clears dirty before anything is read, so that a mark during the rebuild is not
// forgotten.
func (c *compat) begin(t record.Table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables[t].dirty, c.tables[t].busy = false, true
}

// rebuild writes the value of a table. It returns false if an agent wrote the table during the rebuild: the value may
// then be outdated and must be rebuilt again. If rebuild finds this out before it writes the value, it writes the
// value only if outdated is true. Without records it writes nothing, and leaves the value to expire.
//
// An outdated value is better than an older one, so run writes it. But the last writer to close must not leave one, see settle.
func (c *compat) rebuild(ctx context.Context, t record.Table, outdated bool) (current bool, err error) {
	before, err := c.version(ctx, t)
	if err != nil {
		return false, err
	}
	records, err := c.newest(ctx, t)
	if err != nil || len(records) == 0 {
		return err == nil, err
	}
	if !outdated {
		if now, err := c.version(ctx, t); err != nil || now != before {
			return false, err
		}
	}
	value := "[" + strings.Join(records, ",") + "]"
	if err := transact(ctx, c.client, func(pipe redis.Pipeliner) { c.lifetime().set(ctx, pipe, compatKey(t), value) }); err != nil {
		return false, err
	}
	after, err := c.version(ctx, t)
	return after == before, err
}

// version returns the table's version, which each write of any agent changes, or "" if there is none. It is compared as text.
func (c *compat) version(ctx context.Context, t record.Table) (string, error) {
	version, err := c.client.Get(ctx, versionKey(t)).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return version, err
}

// newest returns the newest records, ascending by bucket. Buckets that have begun have priority: records of buckets
// that begin in the future, which come from devices whose clock is ahead, are added only if there is room.
func (c *compat) newest(ctx context.Context, t record.Table) ([]string, error) {
	now := c.now()
	records, err := c.begun(ctx, t, now)
	if err != nil || len(records) >= c.records {
		return records, err
	}
	starts, err := c.index(ctx, t, "("+scoreText(now), "+inf")
	if err != nil || len(starts) == 0 {
		return records, err
	}
	future, _, err := c.collect(ctx, t, starts, c.records-len(records), make(bucketCache))
	return append(records, future...), err
}

// begun returns the newest records of the buckets that have begun. It first searches from the oldest bucket of the
// last value on, then further and further back, because the ACL of a writer has no command that reads the index from
// its end.
//
// The searches end at now. After the first one they begin 1 h, 16 h, 10 days, 170 days and 7 years before the newest bucket of this agent;
// the last one has all buckets.
func (c *compat) begun(ctx context.Context, t record.Table, now time.Time) ([]string, error) {
	low, newest := c.lookFrom(t, now)
	read := make(bucketCache)
	for span := compatSpan; ; span *= compatReach {
		starts, err := c.index(ctx, t, low, scoreText(now))
		if err != nil {
			return nil, err
		}
		records, oldest, err := c.collect(ctx, t, starts, c.records, read)
		switch {
		case err != nil:
			return nil, err
		case len(records) >= c.records:
			c.remember(t, scoreText(oldest))
			return records, nil
		case low == "-inf":
			c.remember(t, low)
			return records, nil
		}
		low = "-inf"
		if span <= maxSpan {
			low = scoreText(newest.Add(-span))
		}
	}
}

// lookFrom returns the score at which the first search begins, and the newest bucket of this agent that has begun. If its newest bucket
// begins in the future, that is now.
func (c *compat) lookFrom(t record.Table, now time.Time) (low string, newest time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	table := c.tables[t]
	newest = table.newest
	if newest.After(now) {
		newest = now
	}
	if table.low != "" {
		return table.low, newest
	}
	return scoreText(newest), newest
}

// remember keeps the score at which the next search for the table's buckets begins.
func (c *compat) remember(t record.Table, low string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables[t].low = low
}

// index returns the starts of the buckets between two scores, ascending. The scores have the form of ZRANGEBYSCORE: "(" before
// one excludes it, and "-inf" and "+inf" have no limit.
func (c *compat) index(ctx context.Context, t record.Table, low, high string) ([]time.Time, error) {
	members, err := c.client.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: low, Max: high}).Result()
	return parseStarts(members), err
}

// collect returns the newest records of the buckets, at most n, ascending by bucket, and the start of the oldest
// bucket among these. It takes buckets from the cache read, and adds those that it has to read from Redis. It begins with the newest
// bucket, and reads no more than it needs, rounded up to compatPipeline buckets. Of the oldest bucket, the last records are taken.
func (c *compat) collect(ctx context.Context, t record.Table, starts []time.Time, n int, read bucketCache) (all []string, oldest time.Time, err error) {
	var buckets [][]string
	for len(starts) > 0 && n > 0 {
		part := starts[max(0, len(starts)-compatPipeline):]
		if err := c.read(ctx, t, part, read); err != nil {
			return nil, oldest, err
		}
		for _, start := range slices.Backward(part) {
			records := read[start]
			records = records[max(0, len(records)-n):]
			buckets, oldest = append(buckets, records), start
			if n -= len(records); n == 0 {
				break
			}
		}
		starts = starts[:len(starts)-len(part)]
	}
	for _, records := range slices.Backward(buckets) {
		all = append(all, records...)
	}
	return all, oldest, nil
}

// read reads the newest records of the buckets that are not in the cache yet. HVALS costs Redis a fifth of HSCAN, but it answers no
// other client meanwhile: for 0.9 s with 500,000 records. So it is sent only if the buckets before were small, or if the ACL of the
// user does not have HSCAN.
func (c *compat) read(ctx context.Context, t record.Table, starts []time.Time, read bucketCache) error {
	missing := slices.DeleteFunc(slices.Clone(starts), func(at time.Time) bool { _, ok := read[at]; return ok })
	if len(missing) == 0 {
		return nil
	}
	if !c.isSmall(t) {
		err := c.scan(ctx, t, missing, read)
		if !isRefused(err) {
			return err
		}
	}
	buckets, err := readBuckets(ctx, c.client, t, missing)
	if err != nil {
		return err
	}
	most := 0
	for i, at := range missing {
		read[at] = buckets[i]
		most = max(most, len(buckets[i]))
	}
	c.size(t, most)
	return nil
}

// scan reads the newest records of buckets in parts, the first part of all in one round trip. It keeps at most about twice as many
// records of a bucket as a value has, however large the bucket is.
func (c *compat) scan(ctx context.Context, t record.Table, starts []time.Time, read bucketCache) error {
	pipe := c.client.Pipeline()
	parts := make([]*redis.ScanCmd, len(starts))
	for i, start := range starts {
		parts[i] = pipe.HScan(ctx, bucketKey(t, startText(start)), 0, "", maxScan)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return err
	}
	most := 0
	for i, start := range starts {
		found := make(map[string]string) // by name, as HSCAN can return a record twice
		pairs, cursor := parts[i].Val()
		for records := 0; ; {
			records += len(pairs) / 2
			most = max(most, records)
			for i := 0; i+1 < len(pairs); i += 2 {
				found[pairs[i]] = pairs[i+1]
			}
			if len(found) > 2*c.records {
				keepLast(found, c.records)
			}
			if cursor == 0 {
				break
			}
			var err error
			if pairs, cursor, err = c.client.HScan(ctx, bucketKey(t, startText(start)), cursor, "", maxScan).Result(); err != nil {
				return err
			}
		}
		keepLast(found, c.records)
		read[start] = slices.Sorted(maps.Values(found))
	}
	c.size(t, most)
	return nil
}

// keepLast removes all but the n last texts in the order of bytes, in which readBuckets sorts them too.
func keepLast(found map[string]string, n int) {
	if len(found) <= n {
		return
	}
	sorted := slices.Sorted(maps.Values(found))
	first := sorted[len(sorted)-n]
	maps.DeleteFunc(found, func(_, text string) bool { return text < first })
}

// isSmall reports whether buckets of a table were read, and all of them were small.
func (c *compat) isSmall(t record.Table) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tables[t].sized && !c.tables[t].large
}

// size notes how many records the largest of some buckets has.
func (c *compat) size(t record.Table, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	table := c.tables[t]
	table.sized, table.large = true, table.large || most > maxRecords
}
