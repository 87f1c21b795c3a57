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
	// Retention is how long a bucket is kept after its last write, a second or more. Records that agents with different
	// retentions write to the same bucket are all kept for the longest one. On a server before Redis 7, a key has the
	// retention of its last writer.
	Retention time.Duration
	// MaxBuckets is the largest number of buckets of a table; 0 means no limit. The newest buckets by event time are
	// kept. Buckets that begin in the future are counted separately, so that a device whose clock is ahead does not
	// displace the buckets of the others.
	MaxBuckets int
	// CompatRecords is the largest number of records in a table's compatibility value; 0 means that there is no such
	// value.
	CompatRecords int
	// Report receives the errors of work that Put does not return: cleaning up, the compatibility value and the
	// catalogue. The writer tries such work again later. Report may be called concurrently. The default ignores the
	// errors.
	Report func(error)
	// Now is the local clock; the default is time.Now. The writer corrects it by the clock of Redis, except for the time
	// of a table's last write.
	Now func() time.Time
}

// Writer writes records. Its methods may be called concurrently.
type Writer struct {
	client   redis.UniversalClient
	o        Options
	compat   *compat // nil if CompatRecords is 0
	outdated atomic.Int64
	clock    *serverClock
	old      atomic.Bool // whether the server is older than Redis 7: see lifetime

	closing sync.RWMutex // Put holds it for reading, Close for writing
	closed  bool         // guarded by closing

	mu      sync.Mutex
	cleaned map[record.Table]time.Time // when the index of a table was last cleaned, guarded by mu
}

// NewWriter returns a writer that uses the client. The caller closes the writer, then the client.
func NewWriter(client redis.UniversalClient, o Options) *Writer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	w := &Writer{client: client, o: o, clock: &serverClock{local: o.Now}, cleaned: make(map[record.Table]time.Time)}
	if o.CompatRecords > 0 {
		w.compat = newCompat(w)
	}
	return w
}

// Ping returns an error if Redis does not answer.
func (w *Writer) Ping(ctx context.Context) error { return w.client.Ping(ctx).Err() }

// Outdated returns how many records Put has skipped so far because Redis had a newer revision of them.
func (w *Writer) Outdated() int64 { return w.outdated.Load() }

// Put writes records of one table in one transaction. A record replaces the stored one, unless that has a higher
// revision: see [record.Record]. Put does not keep the records.
//
// After an error, either no record was written, or it is unknown whether all were written. There is one exception: if
// a key of the table holds another type (WRONGTYPE), a part of the records may have been written. If the catalogue
// holds another type, the records are written, and Put passes the error to Options.Report instead of returning it.
func (w *Writer) Put(ctx context.Context, t record.Table, records []record.Record) error {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if err := w.check(t); err != nil || len(records) == 0 {
		return err
	}
	if err := w.clock.compare(ctx, w.client); err != nil {
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

// check returns an error if Put cannot write the table. The caller holds closing.
func (w *Writer) check(t record.Table) error {
	switch {
	case w.closed:
		return ErrClosed
	case w.o.Retention < time.Second:
		return fmt.Errorf("retention %s, want 1s or more", w.o.Retention)
	}
	return CheckTable(t)
}

// put writes a batch, and then the entry in the catalogue.
func (w *Writer) put(ctx context.Context, t record.Table, b *batch) error {
	now := w.clock.now()
	if err := w.transact(ctx, func(pipe redis.Pipeliner) { b.queue(ctx, pipe, t, now.Add(w.o.Retention), w.lifetime()) }); err != nil {
		return err
	}
	err := w.enter(ctx, t, now.Add(w.o.Retention))
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"): // the records are written, and a second Put would fail too
		w.o.Report(err)
	case err != nil:
		return err
	}
	w.cleanIfDue(ctx, t)
	if w.compat != nil {
		w.compat.mark(t, b.newest)
	}
	return nil
}

// transact runs the commands that queue adds in one transaction. It returns the error of the first command that
// failed. If Redis cannot queue a command, only the answer to that command has the reason (READONLY, OOM, NOPERM);
// the answer to the transaction is EXECABORT.
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

// transact is the function transact. If the server turns out to be older than Redis 7, it runs the transaction again
// without the commands that such a server lacks. It had refused the first transaction as a whole.
func (w *Writer) transact(ctx context.Context, queue func(redis.Pipeliner)) error {
	err := transact(ctx, w.client, queue)
	if !isOldServer(err) || w.old.Swap(true) {
		return err
	}
	return transact(ctx, w.client, queue)
}

// lifetime returns how the writer extends the lives of keys.
func (w *Writer) lifetime() lifetime { return lifetime{retention: w.o.Retention, old: w.old.Load()} }

// enter adds the table to the catalogue, and cleans the catalogue if that is due. The catalogue has a cluster slot of its own, so it cannot be part of the
// transaction of the table.
func (w *Writer) enter(ctx context.Context, t record.Table, expiry time.Time) error {
	pipe, life := w.client.Pipeline(), w.lifetime()
	life.extend(ctx, pipe, catalogueKey, redis.Z{Score: float64(expiry.UnixMilli()), Member: member(t)})
	pipe.ZAdd(ctx, catalogueKey, redis.Z{Score: -float64(w.o.Now().UnixMilli()), Member: writtenPrefix + member(t)})
	life.expire(ctx, pipe, catalogueKey)
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("adding %s to the list of all tables, %q: %w", t, catalogueKey, err)
	}
	w.cleanCatalogueIfDue(ctx)
	return nil
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// Close waits until all running calls of Put have returned. Then it rebuilds the compatibility values that are
// outdated, each within the timeout; if Redis does not answer, it skips the remaining ones. After Close, Put returns
// [ErrClosed]. A second Close does nothing. The client stays open.
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
