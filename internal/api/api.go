// Package api serves the records of the cache over HTTP.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Reader is what the API reads records from. Its methods are called concurrently.
type Reader interface {
	Ping(ctx context.Context) error
	Tables(ctx context.Context) ([]cache.Entry, error)
	Info(ctx context.Context, t record.Table) (cache.Info, error)
	Version(ctx context.Context, t record.Table) (int64, error)
	Buckets(ctx context.Context, t record.Table, r cache.Range) ([]time.Time, error)
	Records(ctx context.Context, t record.Table, starts []time.Time, yield func(start time.Time, records []string) error) error
}

// Options say what the API serves. All limits are above zero.
type Options struct {
	// DefaultDatabase is the database of requests that name none; without it they are refused.
	DefaultDatabase string
	// Limits of one request.
	MaxRecords, MaxBuckets, MaxBytes int
	// Timeout bounds the reading for one request.
	Timeout time.Duration
	// Export names the tables of /metrics/analytics, ExportMaxSeries how many series they may have together,
	// and ExportBuckets how many buckets back a series' newest record may be.
	Export                         []record.Table
	ExportMaxSeries, ExportBuckets int
	// Storage says in words where records are kept, for /health.
	Storage string
	// Redis is the address of the Redis that the reader reads, for the log.
	Redis string
	// Version is that of the program.
	Version string
	Log     *slog.Logger
	// Now is the clock; the default is time.Now.
	Now func() time.Time
}

// Default limits.
const (
	DefaultMaxRecords      = 10_000
	DefaultMaxBuckets      = 10_000
	DefaultMaxBytes        = 32 << 20
	DefaultTimeout         = 20 * time.Second
	DefaultExportMaxSeries = 10_000
	DefaultExportBuckets   = 3
)

type server struct {
	Options
	reader    Reader
	catalogue catalogue
	metrics   *metrics
}

// New returns the handler of all routes. It is safe for concurrent use.
func New(reader Reader, o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{Options: o, reader: reader, metrics: newMetrics(o.Version)}
	s.catalogue = catalogue{read: reader.Tables, now: o.Now, timeout: o.Timeout}
	exported := prometheus.NewRegistry()
	exported.MustRegister(&exporter{server: s})

	mux := http.NewServeMux()
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.Handle("GET "+pattern, s.route(pattern, h))
	}
	handle("/analytics/{table}", s.records)
	handle("/analytics", s.tables)
	handle("/databases", s.databases)
	handle("/health", s.health)
	handle("/ready", s.ready)
	handle("/metrics", s.metrics.serve)
	handle("/metrics/analytics", serveMetrics(exported))
	handle("/{$}", s.index)
	for _, pattern := range []string{"/analytics/{table}", "/analytics", "/databases", "/health", "/ready", "/metrics", "/metrics/analytics", "/{$}"} {
		mux.Handle(pattern, s.route(pattern, methodNotAllowed))
	}
	mux.Handle("/", s.route("other", noRoute))
	return secure(mux)
}

// index says what there is.
func (s *server) index(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, map[string]any{
		"name":    "analytics-api",
		"version": s.Version,
		"routes": []string{
			"/databases", "/analytics?database={database}", "/analytics/{table}?database={database}",
			"/health", "/ready", "/metrics", "/metrics/analytics",
		},
	})
}

// secure sets the headers that every answer has.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// route turns a handler that returns an error into one that answers with a problem, counts requests and
// survives a panic.
func (s *server) route(name string, h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				s.Log.Error("a handler panicked", "route", name, "panic", p)
				s.problem(sw, r, errPanic)
			}
			s.metrics.observe(name, sw.status(), time.Since(start))
		}()
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		switch err := h(sw, r.WithContext(ctx)); {
		case err == nil:
		case r.Context().Err() != nil: // the client is gone, which is no failure of Redis
			sw.code = statusGone
		default:
			s.problem(sw, r, err)
		}
	})
}

// statusGone counts requests whose client did not wait for the answer, by the number that nginx gives them.
const statusGone = 499

// statusWriter remembers the status of the answer.
type statusWriter struct {
	http.ResponseWriter
	code int
}

func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

func (w *statusWriter) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// Unwrap lets http.ResponseController reach the writer.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
