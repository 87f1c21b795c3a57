package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// ticking writes a record each 20 ms, in a bucket of its own, until the test ends. It returns the number of the newest record
// that was written.
func ticking(t *testing.T, o cache.DialOptions) *atomic.Int64 {
	t.Helper()
	o.Timeout = time.Second
	client, err := cache.Dial(o)
	require.NoError(t, err)
	w := cache.NewWriter(client, cache.Options{Retention: time.Hour})
	var newest atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		_ = client.Close()
	})
	wg.Go(func() {
		for tick := int64(1); ctx.Err() == nil; tick++ {
			r := record.Record{
				Table: "analytics_cpu", Field: "f", Agent: "a", Start: time.Unix(tick*60, 0), State: record.Open,
				Stats: []record.Stat{{Name: "count", Value: tick}},
			}
			for w.Put(ctx, record.Table{Database: "db", Name: "analytics_cpu"}, []record.Record{r}) != nil && ctx.Err() == nil {
				time.Sleep(20 * time.Millisecond)
			}
			newest.Store(tick)
			time.Sleep(20 * time.Millisecond)
		}
	})
	return &newest
}

// events counts the events of a stream until the test ends.
func (c *child) events(t *testing.T, path string) *atomic.Int64 {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url+path, http.NoBody)
	require.NoError(t, err)
	resp, err := apitest.Client.Do(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	var count atomic.Int64
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = resp.Body.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data:") {
				count.Add(1)
			}
		}
	})
	return &count
}

// The primary dies, or its host does not answer, while records are written and read. The Sentinels and the servers have
// passwords of their own.
func TestReadsGoOnAfterSentinelsHaveReplacedThePrimary(t *testing.T) {
	t.Parallel()
	ways := map[string]func(testing.TB, string) func(){"killed": redistest.Kill}
	if os.Getenv("FAULTS") == "1" {
		ways["paused"] = redistest.Pause
	}
	for name, stall := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			watched := redistest.Sentinels(t, "S3cretPW", "0therPW")
			o := cache.DialOptions{MasterName: "main", Password: "S3cretPW", SentinelPassword: "0therPW"}
			for _, addr := range watched.Sentinels {
				o.Servers = append(o.Servers, "redis://"+addr)
			}
			file := filepath.Join(t.TempDir(), "analytics-api.toml")
			require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "listen = \"127.0.0.1:0\"\nredis = [\"%s\"]\nredis_master_name = \"main\"\n"+
				"redis_password = \"S3cretPW\"\nredis_sentinel_password = \"0therPW\"\n", strings.Join(o.Servers, `", "`)), 0o600))
			written := ticking(t, o)
			c := start(t, []string{"ANALYTICS_API_REDIS_TIMEOUT=1s"}, "--config", file)
			read := func(after int64) func() bool {
				return func() bool {
					status, body := c.get(t, "/analytics/cpu?database=db&last=1")
					var tick int64
					_, rest, _ := strings.Cut(body, `"count":`)
					_, _ = fmt.Sscan(rest, &tick)
					return status == http.StatusOK && tick > after
				}
			}
			require.Eventually(t, read(10), patience, time.Millisecond)
			events := c.events(t, "/analytics/cpu/stream?database=db")
			require.Eventually(t, func() bool { return events.Load() > 5 }, patience, time.Millisecond)

			began := time.Now()
			stall(t, ":S3cretPW@"+watched.Primary)
			require.Eventually(t, func() bool { return watched.Replaced(t) }, patience, time.Millisecond, "no failover")
			failover, before := time.Since(began), events.Load()
			began = time.Now()
			require.Eventually(t, read(written.Load()), patience, 5*time.Millisecond)
			noticed := time.Since(began)
			require.Eventually(t, func() bool { return events.Load() > before+5 }, patience, 5*time.Millisecond)
			streamed := time.Since(began)
			t.Logf("primary %s: the Sentinels name the replica after %s; new records are read %s later, and streamed %s later",
				name, failover.Round(time.Millisecond), noticed.Round(time.Millisecond), streamed.Round(time.Millisecond))
			if os.Getenv("FAULTS") == "1" { // on a machine that does other work, the times mean nothing
				const noticedIn = 5 * time.Second
				require.Less(t, noticed, noticedIn)
				require.Less(t, streamed, noticedIn)
			}
			require.NotContains(t, c.stderr.String(), "PW", "no password is logged")
		})
	}
}
