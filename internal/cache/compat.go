package cache

import (
	"context"
	"errors"
	"fmt"
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
	// compatShare limits the work for buckets of very many records: after a rebuild, a value rests for this many times
	// as long as the rebuild took.
	compatShare = 20
	// compatTimeout bounds one rebuild.
	compatTimeout = 10 * time.Second
	// settleTries is how often close rebuilds a value while other agents write.
	settleTries = 10
	// compatSpan is how far back the first look for buckets goes. Each further look goes compatReach times as far.
	compatSpan  = time.Hour
	compatReach = 16
	// maxSpan is the farthest look before all buckets are read.
	maxSpan = 10 * 366 * 24 * time.Hour
	// compatPipeline is how many buckets are read at a time: often the newest few have enough records.
	compatPipeline = 20
)

// compat rebuilds the compatibility values of written tables in a goroutine: the newest records as a JSON array, ascending
// by bucket. It reads them from Redis, since a batch has only some of a table's records and other agents write too. So all
// agents build the same value, and the last one to write a table leaves a value with all records.
type compat struct {
	client    redis.UniversalClient
	records   int // the most records of a value
	retention time.Duration
	report    func(error)
	now       func() time.Time
	every     time.Duration // compatEvery, shorter in tests

	wake  chan struct{} // holds an element after a table was marked
	quit  chan struct{} // closed to end run
	ended chan struct{} // closed by run at its end

	mu      sync.Mutex // guards all below
	started bool       // whether run was started
	tables  map[record.Table]*compatTable
}

// bucketCache has the records of the buckets that were read for one value.
type bucketCache map[time.Time][]string

// compatTable is the state of one table.
type compatTable struct {
	dirty  bool      // whether it was written since the last rebuild began
	rested time.Time // when it may be rebuilt again
	newest time.Time // the newest bucket that this agent has written
	low    string    // the score from which the last value has buckets, "" before the first
}

func newCompat(client redis.UniversalClient, o Options) *compat {
	return &compat{
		client: client, records: o.CompatRecords, retention: o.Retention, report: o.Report, now: o.Now, every: compatEvery,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{}),
		tables: make(map[record.Table]*compatTable),
	}
}

// mark notes that the table was written, up to the bucket that begins at newest. The first mark starts run.
func (c *compat) mark(t record.Table, newest time.Time) {
	c.mu.Lock()
	table := c.tables[t]
	if table == nil {
		table = &compatTable{newest: newest}
		c.tables[t] = table
	}
	table.dirty = true
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

// close ends run and rebuilds the values that are due. No mark may come after it.
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

// settle rebuilds a value until it is current. An agent that writes meanwhile rebuilds it too, so a few tries are enough,
// and a value that is known to be outdated is not written: it could replace the last one of that agent.
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

// wait returns how long to wait for the next table that is due, and false if no table was written.
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

// refresh rebuilds a value. The table stays dirty if the value is not current after that.
func (c *compat) refresh(t record.Table) {
	c.setDirty(t, false)
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
	table.dirty = table.dirty || !current
	table.rested = start.Add(max(c.every, compatShare*time.Since(start)))
}

func (c *compat) setDirty(t record.Table, dirty bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables[t].dirty = dirty
}

// rebuild writes the value of a table. It returns false if the table was written meanwhile, perhaps by another agent that
// finished its own rebuild earlier: then the value may be outdated and is to be rebuilt again. A value that is known to be
// outdated before it is written is written only if outdated is true.
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
	if err := c.client.Set(ctx, compatKey(t), value, c.retention).Err(); err != nil {
		return false, err
	}
	after, err := c.version(ctx, t)
	return after == before, err
}

// version returns the table's version, which each write of any agent changes.
func (c *compat) version(ctx context.Context, t record.Table) (string, error) {
	version, err := c.client.Get(ctx, versionKey(t)).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return version, err
}

// newest returns the newest records, ascending by bucket. Buckets that begin in the future, of a device whose clock is
// ahead, come last: their records only take the places that the others leave.
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

// begun returns the newest records of the buckets that have begun. It looks for buckets from where the last value began,
// then further and further back: a writer's ACL has no command that counts from the end of the index.
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

// lookFrom returns the score from which to look for buckets first, and the newest bucket that has begun.
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

func (c *compat) remember(t record.Table, low string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tables[t].low = low
}

// index returns the starts of the buckets between two scores, ascending.
func (c *compat) index(ctx context.Context, t record.Table, low, high string) ([]time.Time, error) {
	members, err := c.client.ZRangeByScore(ctx, indexKey(t), &redis.ZRangeBy{Min: low, Max: high}).Result()
	return parseStarts(members), err
}

// collect returns the newest records of the buckets, at most n, ascending by bucket, and the start of the oldest bucket
// that it used. It adds the buckets that it reads to read.
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

// read reads those buckets that are not in read yet.
func (c *compat) read(ctx context.Context, t record.Table, starts []time.Time, read bucketCache) error {
	missing := slices.DeleteFunc(slices.Clone(starts), func(at time.Time) bool { _, ok := read[at]; return ok })
	if len(missing) == 0 {
		return nil
	}
	buckets, err := readBuckets(ctx, c.client, t, missing)
	if err != nil {
		return err
	}
	for i, at := range missing {
		read[at] = buckets[i]
	}
	return nil
}
