package api

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/telegraf-describe/telegraf-describe/internal/rendered"
)

// metrics are the metrics of the service itself, which it serves at /metrics. The exported tables are not among them: see
// package exporter. Counters begin at 0 with the process. It is safe for concurrent use.
type metrics struct {
	requests *prometheus.CounterVec   // by route and status
	seconds  *prometheus.HistogramVec // by route
	failures *prometheus.CounterVec   // by status
	refusals *prometheus.CounterVec   // by reason
	invalid  prometheus.Counter       // texts, not requests
	corrupt  prometheus.Counter       // requests
	tables   *prometheus.GaugeVec     // 0 or 1, by database and table
	hits     prometheus.Counter       // requests that were answered with the answer that was kept when they came
	misses   prometheus.Counter       // requests that could have been
	serve    handler                  // answers a request with all of them
}

// refusals are the reasons of analytics_api_refused_total. Each is a time series, so they are a few fixed words, which the README describes.
var refusals = []string{
	"no_token", "bad_token", "no_permission", "token_rate", "address_rate", "host", // before anything is read
	"quick", "long", "client_long", "merges", "client_merges", "bytes", "client_bytes", "scrapes", "streams", // see limits, budget and scrapes
	"stream_bytes", "stream_ended", "slow_client", // while the answer is sent
}

// newMetrics returns metrics in a new registry, so that several services can run in one process. bytes returns how many
// bytes the budget of answers uses, and is called for each scrape. more are metrics of others. A name that is there twice is a
// panic.
func newMetrics(version string, bytes func() int, more []prometheus.Collector) *metrics {
	// The buckets of the durations end at 0.1 ms, 0.4 ms, 1.6 ms and so on, up to 6.6 s.
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "analytics_api_requests_total", Help: "Requests by route and status.",
		}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "analytics_api_request_duration_seconds", Help: "Time to answer, by route.", Buckets: prometheus.ExponentialBuckets(.0001, 4, 9),
		}, []string{"route"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "analytics_api_failures_total", Help: "Requests that the service could not answer, by status: 503 if Redis does not answer.",
		}, []string{"status"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "analytics_api_refused_total",
			Help: "Requests that were refused, or ended because of a limit, and events of streams that lost their records, by reason.",
		}, []string{"reason"}),
		invalid: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "analytics_api_invalid_records_total", Help: "Texts in Redis that requests selected and that are not records.",
		}),
		tables: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "analytics_api_export_table_up",
			Help: "Whether a table of the settings [[export]] was in Redis, and could be read, at the last scrape of /metrics/analytics.",
		}, []string{"database", "table"}),
		corrupt: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "analytics_api_corrupt_summaries_total",
			Help: "Requests that failed because a summary in Redis is corrupt. The log and the problem name it.",
		}),
	}
	kept := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "analytics_api_cache_requests_total", Help: "Requests for records, by whether their answer was kept from an earlier request.",
	}, []string{"result"})
	m.hits, m.misses = kept.WithLabelValues("hit"), kept.WithLabelValues("miss")
	m.begin()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.seconds, m.failures, m.refusals, m.invalid, m.corrupt, m.tables, kept)
	registry.MustRegister(processMetrics(version, bytes)...)
	registry.MustRegister(more...)
	m.serve = scraped(registry)
	return m
}

// begin makes the counters of all reasons and statuses, so that they begin at 0, and a rate of them needs no special case.
func (m *metrics) begin() {
	for _, reason := range refusals {
		m.refusals.WithLabelValues(reason)
	}
	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable} {
		m.failures.WithLabelValues(strconv.Itoa(status))
	}
}

// processMetrics are the metrics of the process: its version, the memory of the answers in work, and those of Go.
func processMetrics(version string, bytes func() int) []prometheus.Collector {
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "analytics_api_answer_bytes", Help: "Memory of the answers that are read or written now.",
	}, func() float64 { return float64(bytes()) })
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "analytics_api_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	return []prometheus.Collector{
		inFlight, info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
}

// scraped returns the handler of a route that serves the metrics of a registry, in the format that the header Accept prefers. The
// answer is not compressed.
func scraped(registry *prometheus.Registry) handler {
	scrape := promhttp.HandlerFor(registry, promhttp.HandlerOpts{DisableCompression: true})
	return func(w http.ResponseWriter, r *http.Request, _ *params) error {
		scrape.ServeHTTP(w, r)
		return nil
	}
}

// cacheMetrics are the metrics of the kept answers, which a scrape reads from the cache.
func cacheMetrics(c *rendered.Cache[*kept]) []prometheus.Collector {
	gauge := func(name, help string, value func(rendered.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(c.Stats())) })
	}
	return []prometheus.Collector{
		gauge("analytics_api_cache_bytes", "Memory of the kept answers.", func(s rendered.Stats) int { return s.Bytes }),
		gauge("analytics_api_cache_answers", "Kept answers.", func(s rendered.Stats) int { return s.Entries }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "analytics_api_cache_evicted_total", Help: "Kept answers that were removed for others."},
			func() float64 { return float64(c.Stats().Evicted) }),
	}
}

// observer returns a function that counts a request of a route and its duration. It is called once for each route, and its result
// by any number of goroutines. It finds the metrics of the usual statuses once, which halves its time. It finds them when they are
// first needed: otherwise a scrape would have a 0 for each route that nobody uses.
func (m *metrics) observer(route string) func(status int, d time.Duration) {
	seconds := sync.OnceValue(func() prometheus.Observer { return m.seconds.WithLabelValues(route) })
	usual := make(map[int]func() prometheus.Counter)
	for _, status := range []int{http.StatusOK, http.StatusNotModified} {
		usual[status] = sync.OnceValue(func() prometheus.Counter { return m.requests.WithLabelValues(route, strconv.Itoa(status)) })
	}
	return func(status int, d time.Duration) {
		if counter, ok := usual[status]; ok {
			counter().Inc()
		} else {
			m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
		}
		seconds().Observe(d.Seconds())
	}
}

// failed counts a request that the service could not answer. The status is 500 or 503.
func (m *metrics) failed(status int) { m.failures.WithLabelValues(strconv.Itoa(status)).Inc() }

// asked counts a request by whether it was answered with the answer that was kept when it came.
func (m *metrics) asked(kept bool) {
	if kept {
		m.hits.Inc()
	} else {
		m.misses.Inc()
	}
}

// refused counts a request that was refused or ended because of a limit, or an event that lost its records. The reason is one of refusals.
func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }
