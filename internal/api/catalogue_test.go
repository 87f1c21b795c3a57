package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestTablesAndDatabasesAreListed(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	require.JSONEq(t, "[]", s.get(t, "/databases").Body.String())
	s.fill(t)
	var tables []map[string]any
	require.NoError(t, json.Unmarshal(s.get(t, "/analytics?database=db").Body.Bytes(), &tables))
	require.Len(t, tables, 1)
	require.NotEmpty(t, tables[0]["last_write"])
	require.Positive(t, tables[0]["version"])
	delete(tables[0], "last_write")
	delete(tables[0], "version")
	require.Equal(t, map[string]any{
		"table": "analytics_cpu", "database": "db", "fields": []any{"f", "g"}, "tag_keys": []any{"cpu", "host"},
		"first_bucket": "2026-01-02T02:55:00Z", "last_bucket": "2026-01-02T03:04:00Z",
	}, tables[0])
	var databases []map[string]any
	require.NoError(t, json.Unmarshal(s.get(t, "/databases").Body.Bytes(), &databases))
	require.Len(t, databases, 1)
	require.Equal(t, []any{"db", 1.0}, []any{databases[0]["database"], databases[0]["tables"]})
	require.Equal(t, http.StatusOK, s.get(t, "/").Code)
}

// broken is a cache whose catalogue is read by a function of the test.
type broken struct {
	*cache.Reader
	tables func() ([]record.TableEntry, error)
}

func (b broken) Tables(context.Context) ([]record.TableEntry, error) { return b.tables() }

// Ping returns an error for a broken without a cache.
func (b broken) Ping(ctx context.Context) error {
	if b.Reader == nil {
		return errors.New("away")
	}
	return b.Reader.Ping(ctx)
}

// In a cluster, the list of all tables is on one server. The tables on the others have their own keys.
func TestANamedTableIsFoundWithoutTheListOfAllTables(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	want := len(s.fill(t))
	for name, tables := range map[string]func() ([]record.TableEntry, error){
		"fails":   func() ([]record.TableEntry, error) { return nil, errors.New("dial tcp 10.0.0.1: refused") },
		"hangs":   func() ([]record.TableEntry, error) { <-t.Context().Done(); return nil, t.Context().Err() },
		"lost":    func() ([]record.TableEntry, error) { return nil, nil },
		"corrupt": func() ([]record.TableEntry, error) { return nil, &record.Corrupt{What: "of another type"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := api.Options{MaxRecords: 1000, MaxBuckets: 500, MaxBytes: 1 << 20, Timeout: time.Minute, ExportMaxSeries: 1, ExportBuckets: 1}
			if name != "hangs" {
				api.WaitForTables(&o)
			}
			reader := broken{s.reader, tables}
			s := &service{Handler: newAPI(t, reader, o)}
			for range 3 {
				require.Len(t, array(t, s.get(t, "/analytics/cpu?database=db")), want)
				require.Len(t, array(t, s.get(t, "/analytics/analytics_cpu?database=db")), want)
			}
			problemOf(t, s.get(t, "/analytics/mem?database=db"), http.StatusNotFound)
			problemOf(t, s.get(t, "/analytics/cpu?database=db2"), http.StatusNotFound)
			if name == "hangs" { // these requests wait for the list until the timeout
				o.Timeout = 10 * time.Millisecond
				api.WaitForTables(&o)
				s.Handler = newAPI(t, reader, o)
			}
			for _, path := range []string{"/databases", "/analytics?database=db"} {
				switch w := s.get(t, path); name {
				case "fails", "hangs":
					require.Contains(t, problemOf(t, w, http.StatusServiceUnavailable).Detail, "the list of all tables cannot be read now")
				case "corrupt":
					require.Contains(t, problemOf(t, w, http.StatusInternalServerError).Type, "#corrupt-data")
				}
			}
		})
	}
}

// halfAway is a cache whose server of one table does not answer.
type halfAway struct{ *cache.Reader }

func (h halfAway) Info(ctx context.Context, t record.Table) (record.TableInfo, error) {
	if t.Name == "analytics_away" {
		return record.TableInfo{}, errors.New("dial tcp 10.0.0.1: refused")
	}
	return h.Reader.Info(ctx, t)
}

func TestAListOfTablesHasTheTablesWhoseServerDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	lost := record.Table{Database: "db", Name: "analytics_away"}
	require.NoError(t, s.writer.Put(t.Context(), lost, []record.Record{rec(0, "f", "a", 1)}))
	only := record.Table{Database: "db2", Name: "analytics_away"}
	require.NoError(t, s.writer.Put(t.Context(), only, []record.Record{rec(0, "f", "a", 1)}))
	half := &service{Handler: newAPI(t, halfAway{s.reader}, api.Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1 << 20, Timeout: time.Minute})}
	var tables []map[string]any
	require.NoError(t, json.Unmarshal(half.get(t, "/analytics?database=db").Body.Bytes(), &tables))
	require.Len(t, tables, 2)
	require.Equal(t, []any{"analytics_away", "the server of this table does not answer, try again"}, []any{tables[0]["table"], tables[0]["error"]})
	require.Equal(t, []any{"f", "g"}, tables[1]["fields"])
	require.NotContains(t, tables[1], "error")
	problemOf(t, half.get(t, "/analytics?database=db2"), http.StatusServiceUnavailable)
}

// If Redis does not answer, each request waits for one timeout, not for those of the requests before it.
func TestConcurrentRequestsShareOneReadOfTheCatalogue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const requests, slow = 8, 10 * time.Second
		reads := 0
		h := newAPI(t, broken{tables: func() ([]record.TableEntry, error) {
			reads++
			time.Sleep(slow)
			return nil, errors.New("i/o timeout")
		}}, api.Options{MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: 20 * time.Second})
		start := time.Now()
		get := func(ctx context.Context) (status int, after time.Duration) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/databases", http.NoBody))
			return w.Code, time.Since(start)
		}
		var wg sync.WaitGroup
		for range requests {
			wg.Go(func() {
				status, after := get(t.Context())
				assert.Equal(t, []any{http.StatusServiceUnavailable, slow}, []any{status, after})
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, after := get(ctx)
			assert.Equal(t, time.Second, after, "a request ends with its own context")
		})
		wg.Wait()
		require.Equal(t, 1, reads)
		status, _ := get(t.Context())
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, 2, reads, "a failed reading is not cached")
	})
}
