package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/conns"
)

// refusal is the answer on a connection beyond the limits. It is written without reading a request, so it cannot depend
// on one.
//
// For a listener with TLS there is none: see limitConns.
const refusal = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\n" +
	"Content-Type: text/plain\r\nContent-Length: 21\r\n\r\ntoo many connections\n"

// Limits of the connections of the listener for health. They do not count towards the limits of the service, so clients that
// use these up do not make a service manager think that the service is down.
const (
	maxProbes          = 64
	maxProbesPerClient = 16
)

// limitConns limits the connections of a listener. TLS is above the result, so a connection counts before its handshake. The
// connections of one client are at most max_connections_per_address of max_connections, so that one client cannot use all.
func (c config) limitConns(listener net.Listener) *conns.Listener {
	text := refusal
	if c.TLSCert != "" {
		text = "" // a client that begins a TLS handshake could not read it
	}
	return conns.Listen(listener, conns.Limits{Max: c.MaxConnections, PerClient: c.MaxPerAddress}, text)
}

// connMetrics are the metrics of the connections of a listener. They are read from it at each scrape. Those of the listener for
// probes are not counted.
func connMetrics(l *conns.Listener) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "analytics_api_connections", Help: "Open connections of clients."},
			func() float64 { return float64(l.Counts().Open) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "analytics_api_connections_refused_total", Help: "Connections beyond a limit."},
			func() float64 { return float64(l.Counts().Refused) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "analytics_api_connections_closed_total", Help: "Idle connections that were closed for others."},
			func() float64 { return float64(l.Counts().Closed) }),
	}
}

// serveHealth serves the probes of a handler on the address of health_listen, without TLS and tokens, until stop is called.
// It does nothing if the setting is empty. stop closes all connections, also those with a running probe, and waits until
// the listener has ended. Without an error, stop is never nil.
func (c config) serveHealth(handler http.Handler, log *slog.Logger) (stop func(), err error) {
	if c.HealthListen == "" {
		return func() {}, nil
	}
	inner, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", c.HealthListen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; set another address with ANALYTICS_API_HEALTH_LISTEN or health_listen in the configuration",
			c.HealthListen, err)
	}
	listener := conns.Listen(inner, conns.Limits{Max: maxProbes, PerClient: maxProbesPerClient}, refusal)
	server := newServer(api.Probes(handler), log)
	server.ConnState = listener.ConnState
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the listener for health has ended", "error", err)
		}
	}()
	log.Info("serving health", "at", "http://"+listener.Addr().String())
	return func() {
		_ = server.Close()
		<-ended
	}, nil
}
