package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

// poolMetrics are the metrics of the connections to Redis. They are read from the client at each scrape.
type poolMetrics struct {
	client redis.UniversalClient
	// The first two are gauges, the others counters. A counter of misses that grows as fast as that of hits means that connections are not used
	// again, for example as the pool is too small or the server closes them. Waits and timeouts mean that there are too few for the requests.
	open, idle, hits, misses, timeouts, waitings *prometheus.Desc
}

// newPoolMetrics returns the metrics of a client's connections. Their values are those of all its servers together.
func newPoolMetrics(client redis.UniversalClient) *poolMetrics {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("analytics_api_redis_"+name, help, nil, nil)
	}
	return &poolMetrics{
		client:   client,
		open:     desc("connections", "Open connections to Redis."),
		idle:     desc("idle_connections", "Open connections to Redis that no request uses."),
		hits:     desc("pool_hits_total", "Commands, or pipelines of them, that found an idle connection to Redis."),
		misses:   desc("pool_misses_total", "Commands, or pipelines of them, that found no idle connection to Redis."),
		timeouts: desc("pool_timeouts_total", "Commands, or pipelines of them, that waited in vain for a connection to Redis."),
		waitings: desc("pool_waits_total", "Commands, or pipelines of them, that waited for a connection to Redis."),
	}
}

// Describe sends the descriptions. It implements [prometheus.Collector].
func (p *poolMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{p.open, p.idle, p.hits, p.misses, p.timeouts, p.waitings} {
		ch <- d
	}
}

// Collect sends the values. It may be called concurrently.
func (p *poolMetrics) Collect(ch chan<- prometheus.Metric) {
	s := p.client.PoolStats()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value uint32) {
		ch <- prometheus.MustNewConstMetric(d, kind, float64(value))
	}
	send(p.open, prometheus.GaugeValue, s.TotalConns)
	send(p.idle, prometheus.GaugeValue, s.IdleConns)
	send(p.hits, prometheus.CounterValue, s.Hits)
	send(p.misses, prometheus.CounterValue, s.Misses)
	send(p.timeouts, prometheus.CounterValue, s.Timeouts)
	send(p.waitings, prometheus.CounterValue, s.WaitCount)
}
