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
	s := inProcess(t, nil)
	require.JSONEq(t, "[]", s.get(t, "/databases").Body.String())
	s.fill(t)
	var tables []map[string]any
	require.NoError(t, json.Unmarshal(s.get(t, "/analytics?database=db").Body.Bytes(), &tables))
	require.Len(t, tables, 1)
	require.NotEmpty(t, tables[0]["last_write"])
	delete(tables[0], "last_write")
	require.Equal(t, map[string]any{
		"table": "analytics_cpu", "database": "db", "fields": []any{"f", "g"}, "tag_keys": []any{"cpu", "host"},
		"first_bucket": "2026-01-02T02:55:00Z", "last_bucket": "2026-01-02T03:04:00Z", "version": 1.0,
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

// If Redis does not answer, each request waits for one timeout, not for those of the requests before it.
func TestConcurrentRequestsShareOneReadOfTheCatalogue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const requests, slow = 16, 10 * time.Second
		reads := 0
		h := api.New(broken{tables: func() ([]record.TableEntry, error) {
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
