package api_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// flaky is an API whose Redis can go away, with its log.
type flaky struct {
	http.Handler
	log    bytes.Buffer
	away   error // what Redis answers
	failed int   // requests with status 503
	panics bool  // whether reading panics
}

func newFlaky(t *testing.T) *flaky {
	t.Helper()
	f := &flaky{}
	reader := broken{tables: func() ([]record.TableEntry, error) {
		if f.panics {
			panic("broken")
		}
		return nil, f.away
	}}
	f.Handler = newAPI(t, reader, api.Options{
		MaxRecords: 1, MaxBuckets: 1, MaxBytes: 1, Timeout: time.Second, ExportMaxSeries: 1, ExportBuckets: 1,
		Redis: "redis:6379", Log: slog.New(slog.NewTextHandler(&f.log, nil)),
	})
	return f
}

// lines sends n requests, five in a second, and returns the new lines of the log. Every second one is a millisecond before a multiple of
// 400 ms, so that a line that is logged before its time shows.
func (f *flaky) lines(n int) []string {
	f.log.Reset()
	for i := range n {
		if with(f, http.MethodGet, "/databases").Code == http.StatusServiceUnavailable {
			f.failed++
		}
		time.Sleep([2]time.Duration{399, 1}[i%2] * time.Millisecond)
	}
	return strings.Split(strings.TrimSuffix(f.log.String(), "\n"), "\n")
}

func TestAnOutageOfRedisIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky(t)
		require.Equal(t, []string{""}, f.lines(10))
		time.Sleep(time.Second) // the list of tables is kept for so long, and then the first request fails
		f.away = errors.New("connection refused")
		first := f.lines(296)
		require.Len(t, first, 1)
		require.Contains(t, first[0], `level=ERROR msg="request failed" request=`)
		require.Contains(t, first[0], `path=/databases status=503 redis=redis:6379 error="connection refused"`)

		later := f.lines(600)
		require.Len(t, later, 2)
		require.Contains(t, later[0], `level=ERROR msg="Redis still cannot be read"`)
		require.Contains(t, later[0], `redis=redis:6379`)
		require.Contains(t, later[0], `since=1m0s failed=301 error="connection refused"`)
		require.Contains(t, later[1], `since=2m0s failed=601 `)
		require.Greater(t, f.failed, 850)

		f.away = nil
		over := f.lines(600)
		require.Len(t, over, 1)
		require.Contains(t, over[0], `level=INFO msg="Redis can be read again"`)
		require.Contains(t, over[0]+"\n", `redis=redis:6379 after=2m59s failed=`+strconv.Itoa(f.failed)+"\n")

		f.away = errors.New("connection refused")
		require.Contains(t, f.lines(6)[0], `msg="request failed"`, "the next outage")
	})
}

// Each other failure has a line, also while Redis does not answer.
func TestOtherFailuresAreLoggedEachDuringAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFlaky(t)
		f.away = errors.New("connection refused")
		f.lines(3)
		f.panics = true
		time.Sleep(time.Second) // the list of tables is kept for so long
		lines := strings.Join(f.lines(3), "\n")
		require.Equal(t, 3, strings.Count(lines, `msg="request failed"`), lines)
		require.Equal(t, 3, strings.Count(lines, "status=500"), lines)
	})
}
