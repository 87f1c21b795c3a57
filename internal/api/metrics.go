package api

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// metrics are the metrics of the service itself.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	failures *prometheus.CounterVec
	refusals *prometheus.CounterVec
	serve    handler
}

// newMetrics returns metrics in a new registry, so that several services can run in one process. more are metrics of
// others.
func newMetrics(version string, more []prometheus.Collector) *metrics {
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
	}
	m.refusals = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "analytics_api_refused_total", Help: "Requests that were refused, by reason.",
	}, []string{"reason"})
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "analytics_api_build_info", Help: "Always 1; the version is a label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.requests, m.seconds, m.failures, m.refusals, info)
	registry.MustRegister(more...)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.serve = func(w http.ResponseWriter, r *http.Request, _ *params) error { return serveMetrics(w, r, registry) }
	return m
}

// observe counts a request and its duration.
func (m *metrics) observe(route string, status int, d time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(d.Seconds())
}

// failed counts a request that the service could not answer.
func (m *metrics) failed(status int) { m.failures.WithLabelValues(strconv.Itoa(status)).Inc() }

// refused counts a request that was refused.
func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

// serveMetrics answers with the metrics of g. The header Accept of the request selects the format.
func serveMetrics(w http.ResponseWriter, r *http.Request, g prometheus.Gatherer) error {
	families, err := g.Gather()
	if err != nil {
		return gathering(err)
	}
	gathered := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })
	promhttp.HandlerFor(gathered, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, r)
	return nil
}

// gathering returns the error of gathering metrics as an unavailable error if the reader failed, or else as an
// inconsistent error.
func gathering(err error) error {
	all := prometheus.MultiError{err}
	_ = errors.As(err, &all) // which has no Unwrap
	var away unavailable
	for _, err := range all {
		if errors.As(err, &away) {
			return away
		}
	}
	return inconsistent{all[0]}
}
