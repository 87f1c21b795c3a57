package rediscache_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// withFaults reports whether the environment variable FAULTS is 1: all ways to fail are tested, under a load four times as high.
var withFaults = os.Getenv("FAULTS") == "1"

// loadTables is the number of tables that get rows, and loadEvery is the time between two rows of a host.
var loadTables, loadEvery = func() (int, time.Duration) {
	if withFaults {
		return 12, 25 * time.Millisecond
	}
	return 6, 50 * time.Millisecond
}()

const (
	loadHosts = 5
	// pollEvery is the time between two looks at the servers. What the tests measure is that much too long.
	pollEvery = 20 * time.Millisecond
)

// requireSoon requires that a failover was noticed soon. Without FAULTS=1, the machine may do other work, and the time means nothing.
func requireSoon(t *testing.T, noticed time.Duration) {
	t.Helper()
	if withFaults {
		require.Less(t, noticed, 5*time.Second)
	}
}

// traffic generates rows and writes them as Telegraf does, and knows all rows that must be in Redis. In each tick, each table
// gets a row of each host, in a bucket of the tick.
type traffic struct {
	t       *testing.T
	ro      *models.RunningOutput
	plugin  *rediscache.RedisCache
	log     *plugintest.Log
	reader  *cache.Reader // as analytics-api reads
	ticks   atomic.Int64  // that were generated
	stop    chan struct{}
	stopped sync.WaitGroup
}

// tableOf returns one of the tables of the load.
func tableOf(i int) record.Table {
	return record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}
}

// startTraffic connects the plugin and a reader to the servers and starts the load.
func startTraffic(t *testing.T, o cache.DialOptions) *traffic {
	t.Helper()
	o.Timeout = patience // a server that was killed refuses connections at once
	if withFaults {
		o.Timeout = time.Second
	}
	ro := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"%s\"]\n  master_name = %q\n  database = \"db\"\n  timeout = %q\n  metric_buffer_limit = 1000000\n",
		strings.Join(o.Servers, `", "`), o.MasterName, o.Timeout))
	plugin, ok := ro.Output.(*rediscache.RedisCache)
	require.True(t, ok)
	l := &traffic{t: t, ro: ro, plugin: plugin, log: &plugintest.Log{}, stop: make(chan struct{})}
	plugin.Log = l.log
	require.NoError(t, ro.Init())
	require.NoError(t, ro.Connect())
	client, err := cache.Dial(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	l.reader = cache.NewReader(client)
	l.stopped.Go(l.generate)
	l.stopped.Go(l.write)
	return l
}

func (l *traffic) generate() {
	ticker := time.NewTicker(loadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		tick := l.ticks.Load()
		for i := range loadTables {
			for host := range loadHosts {
				tags := map[string]string{"field_name": "f", "host": strconv.Itoa(host), "bucket_state": "final"}
				l.ro.AddMetric(metric.New(tableOf(i).Name, tags, mean(1), time.Unix(tick*60, 0)))
			}
		}
		l.ticks.Add(1)
	}
}

func (l *traffic) write() {
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(loadEvery):
			_ = l.ro.WriteBatch() // Telegraf logs the error and keeps the metrics
		}
	}
}

// latest returns the last tick of the table that the reader finds, or an error.
func (l *traffic) latest(table record.Table) (int64, error) {
	starts, err := l.reader.Buckets(l.t.Context(), table, record.Range{Last: 1})
	if err != nil || len(starts) == 0 {
		return -1, err
	}
	return starts[0].Unix() / 60, nil
}

// awaitFailover waits until a failover has happened, and then until rows are written and read that were generated after it.
// It returns how long each took.
func (l *traffic) awaitFailover(table record.Table, happened func() bool) (failover, noticed time.Duration) {
	l.t.Helper()
	began := time.Now()
	require.Eventually(l.t, happened, patience, pollEvery, "no failover")
	failover, began = time.Since(began), time.Now()
	after := l.ticks.Load()
	require.Eventually(l.t, func() bool { tick, err := l.latest(table); return err == nil && tick >= after }, patience, pollEvery)
	return failover, time.Since(began)
}

// finish stops the load, and writes the rest as long as it gets less.
func (l *traffic) finish() {
	l.t.Helper()
	close(l.stop)
	l.stopped.Wait()
	for before := -1; before != l.ro.BufferLength(); {
		before = l.ro.BufferLength()
		_ = l.ro.Write()
	}
}

// missing returns how many rows of the first ticks of a table are not in Redis, and how many are there twice.
func (l *traffic) missing(table record.Table, ticks int64) (lost, twice int, err error) {
	starts, err := l.reader.Buckets(l.t.Context(), table, record.Range{})
	if err != nil {
		return 0, 0, err
	}
	found := make(map[string]int)
	if err := l.reader.Records(l.t.Context(), table, starts, 0, func(part record.Part) error { // a bucket is one part
		for _, text := range part.Texts {
			_, host, _ := strings.Cut(text, `"host":"`)
			found[fmt.Sprint(part.Start.Unix()/60, "/", host[:1])]++
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	for tick := range ticks {
		for host := range loadHosts {
			n := found[fmt.Sprint(tick, "/", host)]
			if n == 0 {
				lost++
			}
			twice += max(0, n-1)
		}
	}
	return lost, twice, nil
}

// requireAll waits until all rows of the tables that were generated until now are in Redis, and requires that none is there
// twice.
func (l *traffic) requireAll(tables []record.Table) {
	l.t.Helper()
	ticks := l.ticks.Load()
	lost, twice := 0, 0
	var failed error
	for began := time.Now(); time.Since(began) < patience; time.Sleep(200 * time.Millisecond) {
		lost, twice, failed = 0, 0, nil
		for _, table := range tables {
			n, m, err := l.missing(table, ticks)
			lost, twice, failed = lost+n, twice+m, errors.Join(failed, err)
		}
		if lost == 0 && failed == nil {
			break
		}
	}
	require.NoError(l.t, failed)
	l.t.Logf("%d rows of %d tables: lost %d, twice %d; written again by the plugin %d", ticks*loadHosts*int64(len(tables)), len(tables), lost, twice, l.plugin.Restored())
	require.Equal(l.t, []int{0, 0}, []int{lost, twice})
}

func allTables() (tables []record.Table) {
	for i := range loadTables {
		tables = append(tables, tableOf(i))
	}
	return tables
}

// primaryOf returns the address of the server that has the key, as one of the servers reports.
func primaryOf(t *testing.T, client *redis.Client, key string) string {
	t.Helper()
	slot := int(client.ClusterKeySlot(t.Context(), key).Val())
	for _, s := range client.ClusterSlots(t.Context()).Val() { //nolint:staticcheck // the client of a cluster reads this map too
		if s.Start <= slot && slot <= s.End {
			return s.Nodes[0].Addr
		}
	}
	return ""
}

// stall ends or stops a server.
type stall struct {
	name string
	do   func(testing.TB, string) (resume func())
}

// stalls returns the ways in which servers fail: only one of them, unless the environment variable FAULTS is 1.
func stalls() []stall {
	all := []stall{{"killed", redistest.Kill}, {"paused", redistest.Pause}}
	if !withFaults {
		return all[:1]
	}
	return all
}

// A cluster of six servers loses the primary of a shard, and then its replica too. Then both come back, with their data or without. The
// shard is the one with the list of all tables.
func TestAClusterLosesAPrimaryAndThenAShard(t *testing.T) {
	t.Parallel()
	for _, stall := range stalls() {
		t.Run(stall.name, func(t *testing.T) {
			t.Parallel()
			addrs := redistest.ReplicatedCluster(t)
			var o cache.DialOptions
			for _, addr := range addrs {
				o.Servers = append(o.Servers, "redis://"+addr)
			}
			const catalogue = "analytics:tables"
			admin := redistest.Open(t, addrs[0])
			victim := primaryOf(t, admin, catalogue)
			living := addrs[(slices.Index(addrs, victim)+1)%3]
			admin = redistest.Open(t, living)
			var lost, kept []record.Table
			for _, table := range allTables() {
				if primaryOf(t, admin, table.String()) == victim {
					lost = append(lost, table)
				} else {
					kept = append(kept, table)
				}
			}
			require.NotEmpty(t, lost)
			require.NotEmpty(t, kept)

			l := startTraffic(t, o)
			require.Eventually(t, func() bool { return l.ticks.Load() > 20 }, patience, pollEvery)
			again := redistest.Anew(t, victim)
			began := time.Now()
			stall.do(t, victim)
			steady := redistest.Hasten(t, slices.DeleteFunc(slices.Clone(addrs), func(addr string) bool { return addr == victim })...)
			failover, noticed := l.awaitFailover(lost[0], func() bool { return primaryOf(t, admin, catalogue) != victim })
			t.Logf("primary %s: the replica took over after %s, and rows are written and read %s later", stall.name, failover.Round(time.Millisecond), noticed.Round(time.Millisecond))
			requireSoon(t, noticed)
			steady()
			l.requireAll(lost)

			last := primaryOf(t, admin, catalogue)
			anew := redistest.Anew(t, last)
			resume := stall.do(t, last)
			after := l.ticks.Load()
			gap := l.longestGap(kept[0], 4*time.Second)
			t.Logf("shard %s: %d tables go on, at most %s apart; %d tables wait", stall.name, len(kept), gap.Round(time.Millisecond), len(lost))
			requireSoon(t, gap)
			require.Eventually(t, func() bool { tick, err := l.latest(kept[0]); return err == nil && tick > after+10 }, patience, pollEvery)
			l.requireNamedTables(kept)
			l.finish()
			l.requireAll(kept)
			require.Zero(t, l.ro.BufferLength(), "the rows of the shard do not fill the buffer")
			require.Positive(t, l.plugin.Waiting())
			require.Contains(t, strings.Join(l.log.Errors(), "\n"), "A server of the cluster does not answer; tables on the others are written. ")
			require.LessOrEqual(t, len(l.log.Errors()), 2+int(time.Since(began)/time.Minute), "once a minute: %q", l.log.Errors())
			if stall.name == "paused" {
				resume()
			} else { // the servers come back without their data
				anew()
				again()
			}
			l.requireAll(allTables())
			// The plugin counts records after it has written those of all tables.
			require.Eventually(t, func() bool { return l.plugin.Waiting() == 0 && (stall.name != "killed" || l.plugin.Restored() > 0) },
				patience, pollEvery)
			require.Equal(t, stall.name == "killed", l.plugin.Restored() > 0)
			l.ro.AddMetric(metric.New(tableOf(0).Name, map[string]string{"field_name": "f", "host": "last"}, mean(1), time.Unix(0, 0)))
			require.NoError(t, l.ro.Write())
			require.Contains(t, strings.Join(l.log.Messages(), "\n"), "Recovered: redis at ")
			require.NoError(t, l.ro.Output.Close())
		})
	}
}

// requireNamedTables requires that analytics-api finds tables by their names although the list of all tables is gone.
func (l *traffic) requireNamedTables(tables []record.Table) {
	l.t.Helper()
	h := api.New(l.reader, api.Options{MaxRecords: 100, MaxBuckets: 100, MaxBytes: 1 << 20, Timeout: patience})
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, http.NoBody))
		return w
	}
	began := time.Now()
	for _, table := range tables {
		w := get("/analytics/" + table.Name + "?database=db&last=1")
		require.Equal(l.t, http.StatusOK, w.Code, w.Body)
		require.Contains(l.t, w.Body.String(), `"field_name":"f"`)
	}
	l.t.Logf("analytics-api finds %d tables by their names in %s", len(tables), time.Since(began).Round(time.Millisecond))
	for _, path := range []string{"/databases", "/analytics?database=db"} {
		w := get(path)
		require.Equal(l.t, http.StatusServiceUnavailable, w.Code, w.Body)
		require.Contains(l.t, w.Body.String(), "the list of all tables cannot be read now")
	}
}

// longestGap returns the longest time in which no new row of a table arrived.
func (l *traffic) longestGap(table record.Table, during time.Duration) time.Duration {
	l.t.Helper()
	began := time.Now()
	last, latest, gap := began, int64(-1), time.Duration(0)
	for time.Since(began) < during {
		if tick, err := l.latest(table); err == nil && tick > latest {
			gap, last, latest = max(gap, time.Since(last)), time.Now(), tick
		}
		time.Sleep(pollEvery)
	}
	return max(gap, time.Since(last))
}

func TestSentinelsReplaceThePrimary(t *testing.T) {
	t.Parallel()
	for _, stall := range stalls() {
		t.Run(stall.name, func(t *testing.T) {
			t.Parallel()
			watched := redistest.Sentinels(t, "", "")
			o := cache.DialOptions{MasterName: "main"}
			for _, addr := range watched.Sentinels {
				o.Servers = append(o.Servers, "redis://"+addr)
			}
			l := startTraffic(t, o)
			require.Eventually(t, func() bool { return l.ticks.Load() > 20 }, patience, pollEvery)
			stall.do(t, watched.Primary)
			failover, noticed := l.awaitFailover(tableOf(0), func() bool { return watched.Replaced(t) })
			t.Logf("primary %s: the Sentinels name the replica after %s, and rows are written and read %s later", stall.name, failover.Round(time.Millisecond), noticed.Round(time.Millisecond))
			requireSoon(t, noticed)
			l.finish()
			l.requireAll(allTables())
			require.Zero(t, l.ro.BufferLength())
			_ = l.ro.Output.Close()
		})
	}
}
