package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// patience is how long the tests wait for what must come. A machine that does other work can stand still for many seconds.
const patience = 2 * time.Minute

// service is an API, the cache that it reads, and its clock.
type service struct {
	http.Handler
	client redis.UniversalClient
	writer *cache.Writer
	reader *cache.Reader
	clock  atomic.Int64 // seconds since now
}

func serve(t testing.TB, client redis.UniversalClient, edit func(*api.Options)) *service {
	t.Helper()
	s := &service{client: client, writer: cache.NewWriter(client, cache.Options{Retention: time.Hour}), reader: cache.NewReader(client)}
	o := options(s)
	if edit != nil {
		edit(&o)
	}
	s.Handler = newAPI(t, s.reader, o)
	return s
}

// options are those of the service of a test.
func options(s *service) api.Options {
	o := api.Options{
		MaxRecords: 1000, MaxBuckets: 500, MaxBytes: 1 << 20, Timeout: time.Minute, ExportMaxSeries: 100, ExportBuckets: 1000, Storage: "a test", Version: "v1",
		Now: func() time.Time { return now.Add(time.Duration(s.clock.Load()) * time.Second) },
	}
	api.WaitForTables(&o)
	return o
}

// withRedis returns a service that reads an empty database of the redis-server that the tests share or, if none is installed, a Redis in this
// process. With the race detector, the one in this process took a third of the processor time of the tests.
func withRedis(t testing.TB, edit func(*api.Options)) *service {
	t.Helper()
	if _, err := redisserver.Find(); err != nil {
		return inProcess(t, edit)
	}
	return serve(t, redistest.Open(t, redistest.Database(t)), edit)
}

// inProcess returns a service that reads an empty Redis in this process, for benchmarks and for tests that subscribe: the databases of a
// server have the same channels.
func inProcess(t testing.TB, edit func(*api.Options)) *service {
	t.Helper()
	return serve(t, redistest.Open(t, miniredis.RunT(t).Addr()), edit)
}

// rec returns a record of the minute that began that many minutes and five seconds before now.
func rec(minutes int, field, host string, mean float64) record.Record {
	return record.Record{
		Table: "analytics_cpu", Field: field, Agent: "a1", Tags: []series.Tag{{Key: "cpu", Value: "cpu0"}, {Key: "host", Value: host}},
		Start: now.Truncate(time.Minute).Add(-time.Duration(minutes) * time.Minute),
		Stats: []record.Stat{{Name: "count", Value: int64(6)}, {Name: "mean", Value: mean}},
	}
}

// marked returns the record as that of a final or of an open bucket.
func marked(r record.Record, final bool) record.Record {
	r.State = record.Open
	if final {
		r.State, r.HasRevision, r.Revision = record.Final, true, 1
	}
	return r
}

// put writes records of the table analytics_cpu.
func (s *service) put(t testing.TB, records ...record.Record) {
	t.Helper()
	require.NoError(t, s.writer.Put(context.Background(), record.Table{Database: "db", Name: "analytics_cpu"}, records))
	s.clock.Add(10) // the service reads the catalogue again
}

// fill writes ten minutes of two fields of two hosts, and returns them in the order of an answer.
func (s *service) fill(t testing.TB) []record.Record {
	t.Helper()
	var all []record.Record
	for m := 9; m >= 0; m-- {
		for _, field := range []string{"f", "g"} {
			for _, host := range []string{"a", "b"} {
				all = append(all, rec(m, field, host, float64(m)))
			}
		}
	}
	s.put(t, all...)
	return all
}

func (s *service) get(t testing.TB, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
	return w
}

// array returns the records of an answer as JSON texts.
func array(t testing.TB, w *httptest.ResponseRecorder) []string {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	var raw []json.RawMessage
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &raw))
	texts := make([]string, 0, len(raw))
	for _, r := range raw {
		texts = append(texts, string(r))
	}
	return texts
}

func texts(records []record.Record, keep func(record.Record) bool) []string {
	all := []string{}
	for _, r := range records {
		if keep(r) {
			all = append(all, string(r.AppendJSON(nil)))
		}
	}
	return all
}
