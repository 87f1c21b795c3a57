package rediscache_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
)

// The rows of 30 series in 37 buckets. Each bucket is open in one write and final two writes later, and is not written
// after that. In the middle Redis loses everything: once by FLUSHALL, and once as it starts without its data.
func TestAfterALossTheRecordsThatWereWrittenLastComeBack(t *testing.T) {
	t.Parallel()
	const series, buckets = 30, 37
	for _, restart := range []bool{false, true} {
		for limit, want := range map[string]int{"64MiB": series * buckets, "0": 17 * series} {
			t.Run(fmt.Sprintf("restart=%t/limit=%s", restart, limit), func(t *testing.T) {
				t.Parallel()
				server := redistest.Server(t)
				r, log := output(t, server.Addr(), fmt.Sprintf("  restore_limit = %q\n  compat_max_records = 0\n", limit))
				require.NoError(t, r.Connect())
				for tick := range buckets + 2 {
					if tick == 22 {
						if restart {
							require.NoError(t, server.Stop())
							redistest.Start(t, redisserver.Options{Addr: server.Addr()})
						} else {
							require.NoError(t, redistest.Client(t, server).FlushAll(t.Context()).Err())
						}
					}
					var rows []telegraf.Metric
					for host := range series {
						for state, bucket := range map[string]int{"open": tick, "final": tick - 2} {
							if bucket >= 0 && bucket < buckets {
								rows = append(rows, row(map[string]string{"host": strconv.Itoa(host), "bucket_state": state}, mean(1), int64(bucket)*60))
							}
						}
					}
					require.NoError(t, r.Write(rows))
				}
				require.NoError(t, r.Close())
				got := records(t, redistest.Client(t, server), cpu)
				require.Equal(t, want, len(got)) //nolint:testifylint // not worth printing
				for _, record := range got {
					require.Equal(t, true, record["final"])
				}
				require.Len(t, log.Warnings(), 1)
				require.Regexp(t, `Redis at .* has lost data, .*\. The last records are written again \(tables: 1, records: \d+\)`, log.Warnings()[0])
				if limit == "0" {
					require.Zero(t, r.Restored())
				} else {
					require.GreaterOrEqual(t, r.Restored(), int64(20*series))
				}
			})
		}
	}
}

func TestLossesAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	add, take := rediscache.Losses()
	at := func(seconds int) (sums [3]int) {
		sums[0], sums[1], sums[2] = take(time.Unix(1e9, 0).Add(time.Duration(seconds) * time.Second))
		return sums
	}
	require.Zero(t, at(0), "nothing is lost")
	add(1, 10)
	require.Equal(t, [3]int{1, 1, 10}, at(0))
	add(1, 20)
	require.Zero(t, at(1))
	add(2, 30)
	require.Zero(t, at(59))
	require.Equal(t, [3]int{2, 3, 50}, at(60))
	require.Zero(t, at(200))
	add(1, 1)
	require.Equal(t, [3]int{1, 1, 1}, at(201))
}

// The second loss is less than a minute after the first one, so that its line would come later.
func TestLossesThatAreNotLoggedYetAreLoggedAtTheEnd(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	client := redistest.Client(t, server)
	r, log := output(t, server.Addr(), "  compat_max_records = 0\n")
	require.NoError(t, r.Connect())
	batch := []telegraf.Metric{row(nil, mean(1), 0), row(nil, mean(1), 60)}
	require.NoError(t, r.Write(batch))
	for i := range int64(2) {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		require.NoError(t, r.Write(batch[1:]))
		require.Eventually(t, func() bool { return r.Restored() == 2*(i+1) }, patience, time.Millisecond)
	}
	require.Len(t, log.Warnings(), 1)
	require.NoError(t, r.Close())
	require.Len(t, log.Warnings(), 2)
	require.Contains(t, log.Warnings()[1], "The last records are written again (tables: 1, records: 2)")
}

// A Redis that evicts a key after each write.
func TestConstantEvictionDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	client := redistest.Client(t, server)
	r, log := connected(t, server.Addr(), "  compat_max_records = 0\n")
	for i := range int64(5) {
		require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
		require.Eventually(t, func() bool { return r.Restored() == i }, patience, time.Millisecond)
		require.NoError(t, client.Del(t.Context(), "{db:analytics_cpu}:b:0").Err())
	}
	require.Len(t, log.Warnings(), 1)
}

func TestRecordsBeyondTheLimitAreCountedAndTheMemoryIsShown(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	r, _ := connected(t, server.Addr(), "  restore_limit = \"10kB\"\n")
	var rows []telegraf.Metric
	for host := range 100 {
		rows = append(rows, row(map[string]string{"host": strconv.Itoa(host)}, mean(1), 0))
	}
	require.NoError(t, r.Write(rows))
	notKept, kept := r.Kept()
	require.InDelta(t, 70, notKept, 15)
	require.InDelta(t, 9800, kept, 400)
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 60)}))
	again, _ := r.Kept()
	require.Equal(t, int64(100), again, "the older bucket leaves")
}
