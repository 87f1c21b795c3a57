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

// WaitForTables makes requests that name a table wait for the list of all tables as long as it takes. By default, a request that has waited
// for 200 ms looks for the keys of its table, which tests would count as readings.
func WaitForTables(o *Options) { o.resolveWait = time.Minute }

// NewWatched is New with a function that returns how many requests wait for pages of large buckets.
func NewWatched(reader Reader, o Options) (h http.Handler, waiting func() int) {
	s := newServer(reader, o)
	return s.handler(), func() (users int) {
		pages := &s.windows.making
		pages.mu.Lock()
		defer pages.mu.Unlock()
		for _, l := range pages.running {
			users += l.users
		}
		return users
	}
}
