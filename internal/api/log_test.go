package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestRequestsAreLoggedWithTheIDOfTheAnswer(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	g := guard(t, func(o *api.Options) {
		o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	auth := g.token(t, "db:db:read")
	w := with(g, http.MethodGet, "/analytics/none?database=db&field=private", "Authorization", "Bearer "+auth)
	var line map[string]any
	require.NoError(t, json.Unmarshal(log.Bytes(), &line))
	delete(line, "time")
	require.IsType(t, float64(0), line["took"])
	delete(line, "took")
	require.Equal(t, map[string]any{
		"level": "DEBUG", "msg": "request", "request": w.Header().Get("X-Request-Id"), "method": "GET", "path": "/analytics/none", "route": "/analytics/{table}",
		"status": 404.0, "client": "192.0.2.1", "token": auth[5:13],
	}, line)
	require.NotContains(t, log.String(), auth)
	other := with(g, http.MethodGet, "/nothing")
	require.NotEqual(t, w.Header().Get("X-Request-Id"), other.Header().Get("X-Request-Id"))
}

// Requests for another host and the questions of browsers reach no route.
func TestRequestsWithoutARouteAreLoggedAndCounted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := withRedis(t, func(o *api.Options) {
		o.CheckHost, o.CORSOrigins = true, []string{"https://example.com"}
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	get := func(method, path string, headers ...string) *httptest.ResponseRecorder {
		return with(s, method, "http://localhost"+path, headers...)
	}
	connected, connect := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/health", http.NoBody)
	connect.Method = http.MethodConnect
	s.ServeHTTP(connected, connect)
	for status, w := range map[int]*httptest.ResponseRecorder{
		421: with(s, http.MethodGet, "http://evil.example/health"),
		204: get(http.MethodOptions, "/health", "Origin", "https://example.com", "Access-Control-Request-Method", "GET"),
		307: get(http.MethodGet, "/docs/../health"),
		405: connected,
		404: get(http.MethodGet, "/nothing"),
	} {
		require.Equal(t, status, w.Code)
		if status >= 400 {
			problemOf(t, w, status)
		}
		require.Contains(t, log.String(), fmt.Sprintf("route=other status=%d ", status))
		require.Contains(t, get(http.MethodGet, "/metrics").Body.String(), fmt.Sprintf("\nanalytics_api_requests_total{route=\"other\",status=\"%d\"} 1\n", status))
	}
	require.Contains(t, get(http.MethodGet, "/metrics").Body.String(), `analytics_api_refused_total{reason="host"} 1`)
}

func TestAnIDOfTheClientIsKeptIfItIsPlain(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	for id, kept := range map[string]bool{
		"a-B_9.z": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "": false, "a b": false, "a\"b": false, "ä": false, "a=b": false,
	} {
		got := with(s, http.MethodGet, "/nothing", "X-Request-Id", id).Header().Get("X-Request-Id")
		require.NotEmpty(t, got)
		require.Equal(t, kept, got == id, "%q became %q", id, got)
	}
}

func TestErrorsHaveAnID(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	require.NotContains(t, with(s, http.MethodGet, "/health").Header(), "X-Request-Id")
	require.Equal(t, []string{"mine"}, with(s, http.MethodGet, "/health", "X-Request-Id", "mine").Header()["X-Request-Id"])
	require.Len(t, with(s, http.MethodGet, "/nothing").Header()["X-Request-Id"], 1)
}

// A client that has the answer also has its headers.
func TestNotModifiedHasOnlyTheHeadersThatItNeeds(t *testing.T) {
	t.Parallel()
	s := withRedis(t, nil)
	s.fill(t)
	const path = "/analytics/cpu?database=db"
	etag := s.get(t, path).Header().Get("ETag")
	w := with(s, http.MethodGet, path, "If-None-Match", etag)
	require.Equal(t, http.StatusNotModified, w.Code)
	require.Equal(t, http.Header{"Etag": {etag}, "Cache-Control": {"no-cache"}, "Vary": {"Accept, Accept-Encoding"}}, w.Header())
	require.Equal(t, "mine", with(s, http.MethodGet, path, "If-None-Match", etag, "X-Request-Id", "mine").Header().Get("X-Request-Id"))
}

func TestAFailureIsLoggedWithTheIDOfTheRequest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reader := broken{tables: func() ([]record.TableEntry, error) { return nil, errors.New("away") }}
	s := newAPI(t, reader, api.Options{
		MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Minute, ExportMaxSeries: 1, ExportBuckets: 1, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	w := with(s, http.MethodGet, "/databases")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, log.String(), `msg="request failed" request=`+w.Header().Get("X-Request-Id")+` path=/databases status=503`)
}

// A corrupt table fails each request that reads it, and a client can send many.
func TestACorruptTableIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := withRedis(t, func(o *api.Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	lines := func(path string) []string {
		log.Reset()
		for range 5 {
			problemOf(t, s.get(t, path), http.StatusInternalServerError)
		}
		return strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
	}
	ctx := t.Context()
	s.put(t, rec(0, "f", "h", 1))
	require.NoError(t, s.client.Set(ctx, "{db:analytics_cpu}:ver", "abc", 0).Err())
	require.NoError(t, s.client.Set(ctx, "{db:analytics_mem}:ver", "abc", 0).Err())
	first := lines(cpuPath)
	require.Len(t, first, 1)
	require.Contains(t, first[0], `level=ERROR msg="request failed" request=`)
	require.Contains(t, first[0], `path=/analytics/cpu status=500 error="table \"analytics_cpu\" of database \"db\" is corrupt: its version in Redis is not an integer"`)
	require.Equal(t, []string{""}, lines(cpuPath+"&last=1"), "the same fault")
	require.Len(t, lines("/analytics/mem?database=db"), 1, "another table")
	s.clock.Add(60)
	require.Contains(t, lines(cpuPath)[0], "status=500 failed=10 error=")
}
