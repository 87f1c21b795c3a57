// Package api serves the records of the cache over HTTP.
//
// routes.go is the table of all routes, and errors.go the only place where an error becomes a status. A request takes
// these steps:
//
//	exchanged ─▶ checkHost, cors ─▶ keptFirst ─▶ mux ─▶ handle ─▶ admit ─▶ sendKept ─ a kept answer
//	id, headers  if they are set        └───────────────▶ metrics  token,     └─▶ the route's handler ─▶ Reader ─▶ answer ─▶ send
//	                                                      and log  rates
//
// Every limit of [Options] bounds the memory that one request uses, and MaxTotalBytes that of all requests. work.go limits
// how many requests read at the same time.
package api

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telegraf-describe/telegraf-describe/internal/exporter"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rendered"
	"github.com/telegraf-describe/telegraf-describe/internal/stream"
)

// Reader reads the stored records. Its methods are called concurrently. An error is a [record.Corrupt], one that the comment of the
// method names, or means that the store did not answer. A table that does not exist is not an error: it has no buckets, and its version
// is 0. The caller owns the slices of the results.
type Reader interface {
	// Ping returns an error if the store does not answer.
	Ping(ctx context.Context) error
	// Warnings returns sentences about settings with which the store can lose records. The value of each is the addresses of the servers
	// with that setting, for the log, or nil if there is only one server.
	Warnings(ctx context.Context) (map[string][]string, error)
	// Tables returns all tables in any order.
	Tables(ctx context.Context) ([]record.TableEntry, error)
	// Info describes a table.
	Info(ctx context.Context, t record.Table) (record.TableInfo, error)
	// Version returns the number of Index.
	Version(ctx context.Context, t record.Table) (int64, error)
	// Index returns a number to which each write of the table adds 1, and then the starts as Buckets does. If the store has lost the
	// table, the number begins again at the time of the next write, in microseconds.
	Index(ctx context.Context, t record.Table, r record.Range) (version int64, starts []time.Time, err error)
	// Buckets returns the starts of the table's buckets in the range, ascending. The records of some may have expired.
	Buckets(ctx context.Context, t record.Table, r record.Range) ([]time.Time, error)
	// Records calls yield for the parts of each bucket, in the order of starts. A bucket whose records have expired has
	// one part without records. yield may keep the part and change it. An error of yield ends the reading and is returned.
	// If want is above 0, about that many records are enough: a hint for how much to read at a time.
	Records(ctx context.Context, t record.Table, starts []time.Time, want int, yield func(record.Part) error) error
	// Names calls yield with the names of all records of a bucket, some at a time, in a slice that yield must not keep. A
	// name may come twice. Names returns the number of records, or -1 if that changed meanwhile. As long as a bucket has that
	// number and lives, it has the same names. lives is how long that is at least, from the call on; 0 if it is not known. The
	// error is [record.ErrUnclear] if names do not show the outlines of their records. An error of yield ends the reading and is
	// returned.
	Names(ctx context.Context, t record.Table, start time.Time, yield func([]record.Name) error) (size int, lives time.Duration, err error)
	// Head reads the first names of a bucket in the order of an answer, or the last ones in descending order. It has all names of a
	// series or none, and all names of the bucket if there are size of them or more. size is -1 if the store does not know the first names. A
	// name may be that of a record that the bucket does not have. lives and [record.ErrUnclear] are as for Names.
	Head(ctx context.Context, t record.Table, start time.Time, last bool) (names []record.Name, size int, lives time.Duration, err error)
	// Named reads records of a bucket by their names: those of the first names, at least one of them unless there are none. It
	// returns their JSON, "" for a name without a record, and the number of all records of the bucket.
	Named(ctx context.Context, t record.Table, start time.Time, names []string) (texts []string, size int, err error)
	// Summaries calls yield for each bucket, in the order of starts, with the summaries of its records, and several times for a
	// large bucket. yield may keep its argument. An error of yield ends the reading and is returned.
	Summaries(ctx context.Context, t record.Table, starts []time.Time, yield func(record.Summaries) error) error
}

// Options configure the service. All limits are above zero, except where 0 has a meaning.
type Options struct {
	// DefaultDatabase is the database of requests without the parameter database. If it is empty, such requests are
	// refused.
	DefaultDatabase string
	// Limits of one request.
	MaxRecords, MaxBuckets, MaxBytes int
	// MaxScanned is the largest number of records and names that one request reads to find the records of its answer. 0
	// means DefaultMaxScanned.
	MaxScanned int
	// LargeBucket is the number of records from which on a bucket is large: a page then reads the names of its records, and not all
	// of the records. 0 means DefaultLargeBucket.
	LargeBucket int
	// MaxTotalBytes bounds the memory of all answers that are read or written at the same time, at least 2 × MaxBytes. One
	// client can use half of it. 0 means the larger of DefaultMaxTotalBytes and 4 × MaxBytes.
	MaxTotalBytes int
	// CacheBytes bounds the memory of rendered answers that are kept for the same requests. 0 means DefaultCacheBytes, and a
	// negative number that none are kept.
	CacheBytes int
	// Timeout bounds the time that one request may spend on reading.
	Timeout time.Duration
	// ReadyTimeout bounds the time of /ready. 0 means Timeout.
	ReadyTimeout time.Duration
	// resolveWait is how long a request that names a table waits for the catalogue: see [catalogue.soon]. 0 means the constant resolveWait;
	// tests that count the readings of a busy machine wait longer.
	resolveWait time.Duration
	// CheckHost refuses requests whose header Host is neither a loopback name or address nor one of Hosts. It is for a
	// service on a loopback address that does not authenticate requests.
	CheckHost bool
	Hosts     []string
	// Export has the tables of /metrics/analytics.
	Export []exporter.Table
	// ExportMaxSeries is the largest number of exported series, of all tables together.
	ExportMaxSeries int
	// ExportMaxAge limits the age of the newest final bucket of an exported series, counted from the start of the
	// bucket. 0 means the larger of 5 minutes and three widths of the table's buckets, and 10 minutes more for
	// records that are marked as final.
	ExportMaxAge time.Duration
	// ExportBuckets is the largest number of buckets of a table that one scrape reads.
	ExportBuckets int
	// Streams has the streams of changed buckets. Without it, there is no route for them.
	Streams *stream.Hub
	// Page has the files of the page at "/". Without it, "/" has only the index of routes.
	Page Page
	// Storage describes where records are kept, for /health.
	Storage string
	// Redis is the address of the Redis that the reader reads, for the log.
	Redis string
	// Version is the version of the program.
	Version string
	// Tokens finds what the token of a request allows. If it is nil, every request may read everything.
	Tokens Tokens
	// TokenRate and AddressRate are how many requests per second are answered for each token and for each address of a
	// client; 0 means no limit.
	TokenRate, AddressRate int
	// TrustedProxies are the networks of proxies whose header X-Forwarded-For has the address of the client. The header is
	// ignored in the requests of others.
	TrustedProxies []netip.Prefix
	// CORSOrigins are the origins of pages that may read the answers, such as "https://example.com", or "*" for all.
	CORSOrigins []string
	// Collectors have more metrics for /metrics.
	Collectors []prometheus.Collector
	// Log receives failures. The default discards them.
	Log *slog.Logger
	// Explain adds to an error of the reader what it means and which settings to check, for the log. The default changes nothing. It
	// may be called concurrently.
	Explain func(error) error
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Default limits, which [Options] describe. DefaultTimeout is less than the 30 s that the server has for writing, so that a request
// that waits for Redis until the timeout can still be answered with a problem.
const (
	DefaultMaxRecords      = 10_000
	DefaultMaxBuckets      = 10_000
	DefaultMaxBytes        = 32 << 20
	DefaultMaxScanned      = 1_000_000
	DefaultLargeBucket     = 2000
	DefaultMaxTotalBytes   = 128 << 20
	DefaultCacheBytes      = 32 << 20
	DefaultTimeout         = 20 * time.Second
	DefaultExportMaxSeries = 10_000
	DefaultExportBuckets   = 1000
)

// server holds the state of the service; its methods are the handlers of the routes. It is safe for concurrent use: what can change has a
// lock of its own, and all else is set before the first request. Everything in memory is bounded and can be lost: after a restart only
// the first requests are slower.
//
// What is kept, and what makes it wrong:
//
//	catalogue  the list of tables        a second, see catalogueAge
//	versions   the version of a table    20 ms, see versionAge; an event of a stream
//	starts     the starts of buckets     another version of the table, or keptAge
//	names      fields and tags           a minute, see nameAge
//	rendered   whole answers             another version of the table, or the time of kept.until
//	windows    names of large buckets    another number of records, or windowAge
type server struct {
	Options
	reader    Reader
	table     []route   // of [server.routes]
	documents documents // that describe it
	metrics   *metrics
	// observer is that of metrics; a benchmark leaves it out.
	observer func(route string) func(status int, took time.Duration)

	// What the requests of one client, and of all, may use.
	addresses *rates  // of Options.AddressRate
	tokens    *rates  // of Options.TokenRate
	limits    *limits // of work and memory
	streaming clients // how many streams each client has

	// What is kept, and what requests share while it is made.
	catalogue catalogue
	names     seenNames
	versions  versions
	starts    starts
	windows   *windows
	inMaking  answersInMaking        // shared by equal requests
	rendered  *rendered.Cache[*kept] // the answers that are kept
	scrapes   *scrapes
	probes    *probes

	// The log.
	ids      *ids     // of requests
	skips    skips    // bounds the lines about texts that are not records
	outage   outage   // bounds those about a Redis that does not answer
	repeats  repeats  // bounds those about corrupt tables
	exported presence // bounds those about tables of the export
	warned   warned   // bounds those about settings of Redis
}

// New returns the handler of all routes. It is safe for concurrent use. The server's timeout for writing must be 30 s: the handler
// moves it only for answers of more than 64 KiB.
func New(reader Reader, o Options) http.Handler { return newServer(reader, o).handler() }

// newServer returns a server with its routes. It sets the defaults of [Options]; MaxRecords, MaxBuckets, MaxBytes and Timeout have none.
// The metrics come before the routes, one of which serves them.
func newServer(reader Reader, o Options) *server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Explain == nil {
		o.Explain = func(err error) error { return err }
	}
	o.MaxScanned = cmp.Or(o.MaxScanned, DefaultMaxScanned)
	o.LargeBucket = cmp.Or(o.LargeBucket, DefaultLargeBucket)
	o.MaxTotalBytes = cmp.Or(o.MaxTotalBytes, max(DefaultMaxTotalBytes, 4*o.MaxBytes))
	o.ReadyTimeout = cmp.Or(o.ReadyTimeout, o.Timeout)
	o.resolveWait = cmp.Or(o.resolveWait, resolveWait)
	s := &server{Options: o, reader: reader, limits: newLimits(o.MaxTotalBytes), rendered: rendered.New[*kept](cmp.Or(o.CacheBytes, DefaultCacheBytes))}
	s.metrics = newMetrics(o.Version, s.limits.budget.bytes, append(cacheMetrics(s.rendered), o.Collectors...))
	if o.Streams != nil {
		o.Streams.UseBudget(s.streamBudget())
	}
	s.outage.now, s.ids = o.Now, newIDs()
	s.versions = versions{read: s.readVersion, now: o.Now, timeout: o.Timeout}
	s.windows = newWindows(reader, s.limits, &s.Options)
	s.addresses, s.tokens = newRates("address", o.AddressRate, o.Now), newRates("token", o.TokenRate, o.Now)
	s.scrapes, s.probes = newScrapes(o.Timeout, &s.limits.budget), newProbes(o.ReadyTimeout)
	s.catalogue = catalogue{read: s.readTables, exists: s.exists, now: o.Now, timeout: o.Timeout, patience: o.resolveWait}
	s.table = s.routes()
	s.documents = newDocuments(s)
	s.observer = s.metrics.observer
	return s
}

// readVersion reads the version of a table, as nearly every request for a table does. An answer ends an outage in the log: see
// [server.logAnswer].
func (s *server) readVersion(ctx context.Context, t record.Table) (int64, error) {
	version, err := s.reader.Version(ctx, t)
	s.logAnswer(err)
	return version, err
}

// readTables reads the list of all tables.
func (s *server) readTables(ctx context.Context) ([]record.TableEntry, error) {
	entries, err := s.reader.Tables(ctx)
	s.logAnswer(err)
	return entries, err
}

// handler returns the handler of all routes. The one that is added last gets a request first: see the package comment.
func (s *server) handler() http.Handler {
	mux, keeping := s.newMux()
	handler := s.cors(s.keptFirst(keeping, s.clean(mux)))
	if s.CheckHost {
		handler = s.checkHost(handler)
	}
	return s.exchanged(handler)
}
