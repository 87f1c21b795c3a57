package api

import (
	"log/slog"
	"net/http"
	"time"
)

// NewBare is New without the metrics of requests and without a log, to measure what these cost.
func NewBare(reader Reader, o Options) http.Handler {
	o.Log = slog.New(slog.DiscardHandler)
	s := newServer(reader, o)
	s.observer = func(string) func(int, time.Duration) { return func(int, time.Duration) {} }
	return s.handler()
}
