package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// ErrClosed is returned by [Writer.Put] after [Writer.Close].
var ErrClosed = errors.New("the writer of the cache is closed")

// Options of a [Writer].
type Options struct {
	// Retention is how long a bucket is kept after its last write, at least a second. Agents that share a database
	// should have the same.
	Retention time.Duration
	// MaxBuckets is how many buckets a table keeps, the newest by event time; 0 keeps all. Buckets that begin in the
	// future are counted separately, so that a device whose clock is ahead does not remove the buckets of the others.
	MaxBuckets int
	// CompatRecords is the most records that a table's compatibility value holds; 0 writes none.
	CompatRecords int
	// Report receives the errors of work that no Put waits for: cleaning up, the compatibility value and the catalogue.
	// It may be called concurrently. The writer tries such work again. The default drops the errors.
	Report func(error)
	// Now is the clock; the default is time.Now.
	Now func() time.Time
}

// Writer writes records. Its methods may be called concurrently.
type Writer struct {
	client   redis.UniversalClient
	o        Options
	compat   *compat // nil if CompatRecords is 0
	outdated atomic.Int64

	closing sync.RWMutex // Put holds it for reading, Close for writing
	closed  bool         // guarded by closing

	mu      sync.Mutex
	cleaned map[record.Table]time.Time // when the index of a table was cleaned, guarded by mu
}

// NewWriter returns a writer that uses the client. The caller closes the writer, then the client.
func NewWriter(client redis.UniversalClient, o Options) *Writer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	w := &Writer{client: client, o: o, cleaned: make(map[record.Table]time.Time)}
	if o.CompatRecords > 0 {
		w.compat = newCompat(client, o)
	}
	return w
}

// Ping returns an error if Redis does not answer.
func (w *Writer) Ping(ctx context.Context) error { return w.client.Ping(ctx).Err() }

// Outdated returns how many records Put has skipped so far because Redis had a newer revision of them.
func (w *Writer) Outdated() int64 { return w.outdated.Load() }

// Put writes records of one table in one transaction. Writing a record again replaces it, unless Redis has a newer
// revision: see [record.Record]. Put does not keep the records.
//
// After an error none of the records was written, or it is not known whether they were, with one exception: if a key of
// the table holds another type (WRONGTYPE), some may have been written. An error in the catalogue of this kind is passed
// to Options.Report instead, as the records themselves are written.
func (w *Writer) Put(ctx context.Context, t record.Table, records []record.Record) error {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if err := w.check(t); err != nil || len(records) == 0 {
		return err
	}
	current, err := w.dropOutdated(ctx, t, records)
	if err != nil {
		return err
	}
	if len(current) > 0 {
		if err := w.put(ctx, t, newBatch(current)); err != nil {
			return err
		}
	}
	w.outdated.Add(int64(len(records) - len(current)))
	return nil
}

func (w *Writer) check(t record.Table) error {
	switch {
	case w.closed:
		return ErrClosed
	case w.o.Retention < time.Second:
		return fmt.Errorf("retention %s, want 1s or more", w.o.Retention)
	}
	return CheckTable(t)
}

func (w *Writer) put(ctx context.Context, t record.Table, b *batch) error {
	now := w.o.Now()
	if err := transact(ctx, w.client, func(pipe redis.Pipeliner) { b.queue(ctx, pipe, t, now, w.o.Retention) }); err != nil {
		return err
	}
	err := w.enter(ctx, t, now)
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"): // the records are written, and a second Put would fail too
		w.o.Report(err)
	case err != nil:
		return err
	}
	w.cleanIfDue(ctx, t, now)
	if w.compat != nil {
		w.compat.mark(t, b.newest)
	}
	return nil
}

// transact runs the commands that queue adds in one transaction. The error is that of the first command that failed:
// Redis reports a command that it cannot queue (READONLY, OOM, NOPERM) in the answer to that command, and the transaction
// only as EXECABORT.
func transact(ctx context.Context, client redis.UniversalClient, queue func(redis.Pipeliner)) error {
	cmds, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		queue(pipe)
		return nil
	})
	if !redis.IsExecAbortError(err) {
		return err
	}
	for _, cmd := range cmds {
		if cause := cmd.Err(); cause != nil && !redis.IsExecAbortError(cause) {
			return cause
		}
	}
	return err
}

// enter adds the table to the catalogue, which has a cluster slot of its own, and removes the tables from it that were
// not written for the retention.
func (w *Writer) enter(ctx context.Context, t record.Table, now time.Time) error {
	pipe := w.client.Pipeline()
	pipe.ZAdd(ctx, catalogueKey, redis.Z{Score: float64(now.UnixMilli()), Member: member(t)})
	pipe.ZRemRangeByScore(ctx, catalogueKey, "-inf", millis(now.Add(-w.o.Retention)))
	pipe.Expire(ctx, catalogueKey, w.o.Retention)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("entering %s into the list of all tables, %q: %w", t, catalogueKey, err)
	}
	return nil
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// Close waits until each running Put has returned, and brings the compatibility values of written tables up to date, each
// within the timeout. If Redis does not answer, it skips the others. A Put after Close returns [ErrClosed]; a second Close
// does nothing. The client stays open.
func (w *Writer) Close(timeout time.Duration) error {
	w.closing.Lock()
	defer w.closing.Unlock()
	if w.closed || w.compat == nil {
		w.closed = true
		return nil
	}
	w.closed = true
	return w.compat.close(timeout)
}
