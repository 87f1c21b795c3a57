package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// ErrClosed is returned by [Writer.Put] after [Writer.Close]. Compare it by errors.Is.
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
	// RecentBytes bounds the memory in bytes for the records that were written last. The writer writes them again if Redis
	// loses them: those of open buckets, and the others for ten minutes. If they need more, the records that were
	// written longest ago are not kept. 0 keeps none.
	RecentBytes int64
	// Restored is called after the writer has written again what Redis had lost, with the number of tables and of their
	// records. It may be called concurrently. The default does nothing.
	Restored func(tables, records int)
	// Identity identifies the process that writes. Without an Agent, the writer does not look for twins, see Twin.
	Identity Identity
	// Twin is called while a table is written, when another running process has the same Agent and Replica as Identity and writes
	// the same table, at most every five seconds for each table. It may be called concurrently. The default does nothing.
	Twin func(t record.Table, other Identity)
	// Report receives the errors of work that Put does not return: cleaning up, the compatibility value, the
	// catalogue and the search for twins. The writer tries such work again later. Report may be called concurrently. The default ignores the
	// errors.
	Report func(error)
	// Now is the local clock; the default is time.Now. The writer corrects it by the clock of Redis, except for the time
	// of a table's last write.
	Now func() time.Time
}

// Writer writes records. Its methods may be called concurrently.
//
// compat and repairer have a goroutine each, which starts with the first write. Close ends them. Locks are taken in this order:
// closing, the lock of a table, then mu or recent.mu; mu before that of compat. The locks of two tables are never held together.
type Writer struct {
	client    redis.UniversalClient
	o         Options
	compat    *compat // nil if CompatRecords is 0
	repairer  *repairer
	recent    recent       // the records that can be written again
	member    string       // identifies the writer among those of a table
	name      string       // the member that twins set too, or "": see twin.go
	outdated  atomic.Int64 // records, see Outdated
	restored  atomic.Int64 // records, see Restored
	late      atomic.Int64 // records that were written after they had waited
	clock     *serverClock // for every time in Redis; o.Now is for times that only this process uses, and for the last write
	old       atomic.Bool  // whether the server is older than Redis 7: see lifetime
	heads     headRules
	headState headState
	listed    atomic.Bool // whether the writer has entered a table into the catalogue

	closing sync.RWMutex // Put holds it for reading, Close for writing
	closed  bool         // guarded by closing

	mu      sync.Mutex                   // guards the fields below
	cleaned map[record.Table]time.Time   // when the index of a table was last cleaned
	tables  map[record.Table]*tableState // the tables that were written
}

// NewWriter returns a writer that uses the client. The caller closes the writer, then the client.
func NewWriter(client redis.UniversalClient, o Options) *Writer {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Restored == nil {
		o.Restored = func(int, int) {}
	}
	if o.Twin == nil {
		o.Twin = func(record.Table, Identity) {}
	}
	w := &Writer{
		client: client, o: o, heads: defaultHeads(), recent: recent{limit: o.RecentBytes}, clock: &serverClock{local: o.Now},
		member: memberOf(o.Identity), name: nameMember(o.Identity),
		cleaned: make(map[record.Table]time.Time), tables: make(map[record.Table]*tableState),
	}
	w.repairer = newRepairer(w)
	if o.CompatRecords > 0 {
		w.compat = newCompat(w)
	}
	return w
}

// Ping returns an error if Redis does not answer. One primary of a cluster is enough.
func (w *Writer) Ping(ctx context.Context) error { return ping(ctx, w.client) }

// Outdated returns how many records Put has skipped so far because Redis had a newer revision of them.
func (w *Writer) Outdated() int64 { return w.outdated.Load() }

// Restored returns how many records the writer has written again so far because Redis had lost them.
func (w *Writer) Restored() int64 { return w.restored.Load() }

// Recent returns how many records the writer keeps to write them again, their size in bytes, and how many it has not
// kept so far because of Options.RecentBytes.
func (w *Writer) Recent() (records, size, dropped int64) { return w.recent.stats() }

// Defer keeps records that Put could not write, to write them when Redis answers again, after other records of the same
// buckets or before. It does not keep the slice. It returns false if Options.RecentBytes is 0. If the memory is used up by
// records that wait, the oldest of them are lost: see [Writer.Waiting]. Records that wait are lost if the program ends.
func (w *Writer) Defer(t record.Table, records []record.Record) bool {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if w.o.RecentBytes <= 0 || len(records) == 0 || w.check(t) != nil {
		return false
	}
	s := w.lock(t)
	defer s.mu.Unlock()
	b, now := newBatch(records), w.clock.now()
	expiry := now.Add(w.o.Retention)
	w.recent.add(s, b, expiry, w.o.Now(), now, true)
	s.newest = later(s.newest, b.newest)
	for _, name := range b.namesUntil(float64(expiry.UnixMicro())) {
		s.name(name)
	}
	s.lost.waiting, s.lost.names = true, true
	for _, part := range b.buckets {
		s.lost.add(part.text)
	}
	w.repairer.begin()
	w.repairer.request(false)
	return true
}

// Waiting returns at most how many records wait because of [Writer.Defer], how many have been written after they waited, and
// how many were lost because of Options.RecentBytes. The first number also counts written records of the buckets that wait.
func (w *Writer) Waiting() (now, written, lost int64) {
	now, lost = w.recent.backlog()
	return now, w.late.Load(), lost
}

// maxPut is the largest number of records that one transaction writes. Redis answers no other client during a transaction, for
// about 1.3 µs a record.
const maxPut = 10_000

// Put writes records of one table, at most 10,000 in one transaction. Puts of one table run one after another. A record
// replaces the stored one, unless that has a higher revision: see [record.Record]. Put does not keep the records. Without
// records it does nothing.
//
// After an error, it is unknown which records were written. If the catalogue holds another type, the records are written, and
// Put passes the error to Options.Report instead of returning it.
//
// Its round trips, for up to 10,000 records:
//
//	TIME                     once a minute for all tables (serverClock)
//	revisions of buckets     if a record has a revision (dropOutdated)
//	records of buckets       if their revisions are in doubt (resolve)
//	the transaction          send; another one if the version is low (advance)
//	the catalogue            enter
//	cleaning                 once a minute for each table (clean)
//	the marks of all writers if another one has the same name (findTwins)
func (w *Writer) Put(ctx context.Context, t record.Table, records []record.Record) error {
	w.closing.RLock()
	defer w.closing.RUnlock()
	if err := w.check(t); err != nil || len(records) == 0 {
		return err
	}
	s := w.lock(t)
	defer s.mu.Unlock()
	if err := w.clock.compare(ctx, w.serverOf(ctx, t)); err != nil {
		return err
	}
	for part := range slices.Chunk(records, maxPut) {
		b := newBatch(part)
		outdated, err := w.dropOutdated(ctx, t, s, b)
		if err != nil {
			return err
		}
		if len(b.buckets) > 0 {
			if err := w.put(ctx, t, s, b); err != nil {
				return err
			}
		}
		w.outdated.Add(int64(outdated))
	}
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

// put writes a batch, and then the entry in the catalogue. Only these two can fail it: what follows from the write is tried
// again later by itself. The caller holds the lock of the table.
func (w *Writer) put(ctx context.Context, t record.Table, s *tableState, b *batch) error {
	now := w.clock.now()
	expiry := now.Add(w.o.Retention)
	// find comes before the write, because the commands depend on which buckets are in recent. add needs the answers to the write, and
	// noticeEvicted needs what add notes in the batch.
	w.recent.find(s, b)
	lives := s.expiry.After(now.Add(w.margin()))
	if err := w.send(ctx, t, s, b, expiry); err != nil {
		return err
	}
	w.recent.add(s, b, expiry, w.o.Now(), now.Add(w.margin()), false)
	w.noticeEvicted(s, b, lives)
	w.repairer.begin()
	err := w.enter(ctx, t, expiry)
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"): // the records are written, and a second Put would fail too
		w.o.Report(err)
	case err != nil:
		return err
	}
	w.cleanIfDue(ctx, t, s)
	w.findTwins(ctx, t, s)
	if w.compat != nil {
		w.compat.mark(t, b.newest)
	}
	return nil
}

// send writes a batch in one transaction, and notices what Redis has lost of the table. The records expire at expiry or later.
// The caller holds the lock of the table.
//
// The transaction reads the mark of the last write before it sets the new one, so this costs no round trip.
func (w *Writer) send(ctx context.Context, t record.Table, s *tableState, b *batch, expiry time.Time) error {
	now, heads := w.clock.now(), w.keepsHeads(ctx, t)
	next := s.mark.score(expiry)
	s.mark.try(next) // before it is read: a client that gets no answer in time sends the transaction again, and Redis runs it twice
	var found *redis.ZSliceCmd
	queue := func(pipe redis.Pipeliner) {
		life := w.lifetime()
		found = s.mark.queue(ctx, pipe, t)
		if heads {
			b.beginHeads(ctx, pipe, t, w.heads, life)
		}
		b.queue(ctx, pipe, t, expiry, life)
		w.setMark(ctx, pipe, t, next)
		life.expire(ctx, pipe, writersKey(t))
		if heads {
			b.pendHeads(ctx, pipe, t, w.heads)
		}
	}
	err := w.transact(ctx, queue)
	if hasPrefix(err, "ERR value is not an integer", "ERR increment or decrement would overflow") {
		// The version is the only integer. What another program has made of it would refuse every write of the table. All other
		// commands of the transaction have had their effect, also that on the mark.
		if err = w.advance(ctx, t, 0); err == nil {
			err = w.transact(ctx, queue)
		}
	}
	if err != nil {
		return err
	}
	w.notice(s, found, now)
	s.mark.set(next)
	s.wrote(b, expiry, w.o.Now())
	w.keepHeads(ctx, t, b)
	return w.advance(ctx, t, b.version.Val())
}

// minVersion is the lowest version of a table whose versions begin with a time. A lower one was incremented from nothing.
const minVersion = 1e14

// advance raises the version of a table to the time in microseconds, if it is a low one. So a version that a reader has seen
// never comes again after Redis has lost it: nobody writes a table a million times in a second.
func (w *Writer) advance(ctx context.Context, t record.Table, version int64) error {
	if version >= minVersion {
		return nil
	}
	return w.transact(ctx, func(pipe redis.Pipeliner) {
		w.lifetime().set(ctx, pipe, versionKey(t), strconv.FormatInt(w.clock.now().UnixMicro(), 10))
	})
}

// transact runs the commands that queue adds in one transaction. It returns the error of the first command that failed.
//
// If Redis cannot queue a command, only the answer to that command has the reason (READONLY, OOM, NOPERM); the answer to the transaction
// is EXECABORT. The answer nil to a command is no error.
func transact(ctx context.Context, client redis.UniversalClient, queue func(redis.Pipeliner)) error {
	cmds, err := client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		queue(pipe)
		return nil
	})
	isNil := errors.Is(err, redis.Nil)
	if !isNil && !redis.IsExecAbortError(err) {
		return err
	}
	for _, cmd := range cmds {
		if cause := cmd.Err(); cause != nil && !redis.IsExecAbortError(cause) && !errors.Is(cause, redis.Nil) {
			return cause
		}
	}
	if isNil {
		return nil
	}
	if _, cause, ok := strings.Cut(err.Error(), "EXECABORT Transaction discarded because of: "); ok {
		return refusal(cause) // Redis 7 refused EXEC itself
	}
	return err
}

// refusal is the reason in an answer of Redis. It implements [redis.Error], as an answer of its own would.
type refusal string

func (r refusal) Error() string { return string(r) }

// RedisError does nothing.
func (refusal) RedisError() {}

// transact is the function transact. If the server turns out to be older than Redis 7, it runs the transaction again
// without the commands that such a server lacks. It had refused the first transaction as a whole. So queue may be called twice, of which
// the last call counts.
//
// Several transactions may be refused before the first of them has set old. Each of them is run again.
func (w *Writer) transact(ctx context.Context, queue func(redis.Pipeliner)) error {
	old := w.old.Load() // if another transaction sets it after this line, queue may leave these commands out, and Redis does not refuse them
	err := transact(ctx, w.client, queue)
	if old || !isOldServer(err) {
		return err
	}
	w.old.Store(true)
	return transact(ctx, w.client, queue)
}

// lifetime returns how the writer extends the lives of keys.
func (w *Writer) lifetime() lifetime { return lifetime{retention: w.o.Retention, old: w.old.Load()} }

// enter adds the table to the catalogue. In a cluster, the catalogue may be on another server than the table, which may be
// gone. Then the table is written all the same, and the repairer enters it later. As long as that has not succeeded, enter does not try
// again for such a table: each write would wait for the server that is gone.
func (w *Writer) enter(ctx context.Context, t record.Table, expiry time.Time) error {
	catalogue := nodeOf(ctx, w.client, catalogueKey)
	elsewhere := catalogue != nil && catalogue.Options().Addr != w.Node(ctx, t)
	if elsewhere && w.repairer.unlisted.Load() {
		return nil
	}
	err := w.enterNow(ctx, t, expiry)
	if elsewhere && err != nil && !redis.HasErrorPrefix(err, "WRONGTYPE") {
		w.o.Report(err)
		w.repairer.list()
		return nil
	}
	return err
}

// enterNow adds the table to the catalogue, and cleans the catalogue if that is due. The catalogue has a cluster slot of
// its own, so it cannot be part of the transaction of the table.
func (w *Writer) enterNow(ctx context.Context, t record.Table, expiry time.Time) error {
	pipe, life := w.client.Pipeline(), w.lifetime()
	found := life.write(ctx, pipe, catalogueKey, func() { queueEntry(ctx, pipe, life, t, expiry, w.o.Now()) })
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("adding %s to the list of all tables, %q: %w", t, catalogueKey, err)
	}
	if w.listed.Swap(true) && found.isNew() { // the catalogue that this writer has made or found before is lost, with all other tables
		w.repairer.list()
	}
	w.cleanCatalogueIfDue(ctx)
	return nil
}

// queueEntry adds the commands that enter a table into the catalogue.
func queueEntry(ctx context.Context, pipe redis.Pipeliner, life lifetime, t record.Table, expiry, written time.Time) {
	life.extend(ctx, pipe, catalogueKey, redis.Z{Score: float64(expiry.UnixMilli()), Member: member(t)})
	pipe.ZAdd(ctx, catalogueKey, redis.Z{Score: -float64(written.UnixMilli()), Member: writtenPrefix + member(t)})
}

// millis returns a time as an argument of a command, in milliseconds since 1970.
func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// Close waits until all running calls of Put have returned. Then it writes again what it knows Redis to have lost, within
// the timeout, and rebuilds the compatibility values that are outdated, each within the timeout; if Redis does not answer,
// it skips the remaining ones. If records still wait then (see [Writer.Defer]), they are lost, and the error has their number.
// After Close, Put returns [ErrClosed]. A second Close does nothing. The client stays open.
func (w *Writer) Close(timeout time.Duration) error {
	w.closing.Lock()
	defer w.closing.Unlock()
	if w.closed {
		return nil
	}
	w.closed = true
	// Repairs come first: the compatibility values are made of what is in Redis after them.
	err := w.repairer.close(timeout)
	if w.compat == nil {
		return err
	}
	return errors.Join(err, w.compat.close(timeout))
}
