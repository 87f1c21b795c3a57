package cache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// Parts of the package that tests outside of it use.
const (
	CatalogueKey = catalogueKey
	SettleTries  = settleTries
)

var (
	BucketKey, SummaryKey, RevisionKey                     = bucketKey, summaryKey, revisionKey
	IndexKey, ExpiryKey, NamesKey, VersionKey, ChannelName = indexKey, expiryKey, namesKey, versionKey, channel
	Member, ParseMember                                    = member, parseMember
	NameMember                                             = nameMember
	StartText, ParseStart                                  = startText, parseStart
	HeadKey, AppendHeadMember, NameOfMember                = headKey, appendHeadMember, nameOfMember
)

// HashField returns the field of a record in the hash of its bucket.
func HashField(r record.Record) string {
	return string(appendHashField(series.AppendTags(nil, r.Tags), &r))
}

// WatchQuiet is Watch with another time without messages.
func (r *Reader) WatchQuiet(ctx context.Context, t record.Table, quiet time.Duration, ready func()) error {
	return r.watch(ctx, t, quiet, ready, func([]time.Time) {})
}

// Hasten makes the writer rebuild compatibility values at once.
func (w *Writer) Hasten() { w.compat.every = time.Nanosecond }

// MarkTable makes the writer rebuild the compatibility value of a table that it has not written.
func (w *Writer) MarkTable(t record.Table) { w.compat.mark(t, time.Unix(0, 0)) }

// Settle rebuilds the compatibility value of a table until it is current, as Close does.
func (w *Writer) Settle(t record.Table, timeout time.Duration) error {
	w.compat.mu.Lock()
	w.compat.tables[t] = &compatTable{}
	w.compat.mu.Unlock()
	return w.compat.settle(t, timeout)
}

// Restore adds buckets to the index again, as a cleaning does for buckets that another agent wrote at the same time.
func (w *Writer) Restore(ctx context.Context, t record.Table, starts []string) error {
	return w.restore(ctx, t, starts)
}

// Universal returns the options of the client that Dial makes.
func (o DialOptions) Universal() (*redis.UniversalOptions, error) { return o.universal() }

// Audit looks for what Redis has lost and writes it again, as the writer does every minute.
func (w *Writer) Audit(ctx context.Context) error {
	err := w.repairer.auditAll(ctx)
	_, failed := w.repairer.repairAll(ctx)
	return errors.Join(err, failed)
}

// Key returns the name of a derived key of a table.
func Key(t record.Table, rest string) string { return derived(t, rest) }

// NewKeeper returns a function that prepares to keep records of a table, as a writer does after it has written them, and a
// function that returns how many records are kept, their size in bytes and how many were not kept.
func NewKeeper(limit int64) (add func([]record.Record) func(), stats func() (kept, size, dropped int64)) {
	r := &recent{limit: limit}
	s := &tableState{buckets: make(map[string]*keptBucket)}
	return func(records []record.Record) func() {
		b := newBatch(records)
		return func() { r.add(s, b, time.Unix(0, 0), time.Unix(0, 0), time.Unix(0, 0), false) }
	}, r.stats
}

// Remembered returns the number of tables that the writer remembers, in any of its maps, and of the names of one of them.
func (w *Writer) Remembered(t record.Table) (tables, names int) {
	s := w.lock(t)
	names = len(s.names)
	s.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.compat.mu.Lock()
	defer w.compat.mu.Unlock()
	return max(len(w.tables), len(w.cleaned)-1, len(w.compat.tables)), names // one more is cleaned, the list of all tables
}

// SetClock replaces the clock of a reader.
func (r *Reader) SetClock(now func() time.Time) { r.known.now = now }

// SetHeads replaces the limits of heads: see headRules.
func (w *Writer) SetHeads(end, least, most int) { w.heads = headRules{end, least, most} }

// SetHeads replaces the end of heads.
func (r *Reader) SetHeads(end int) { r.heads.end = end }

// RefuseHeads makes the writer keep no heads, as an earlier version.
func (w *Writer) RefuseHeads() { w.headState.refused.Store(true) }
