package rediscache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/selfstat"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// patience is the longest time that a test waits for an event, and patient the option with which a plugin waits as long for an answer. No
// test passes because this time is over. A plugin that waits less sends a transaction again on a machine that stands still meanwhile.
const (
	patience = 2 * time.Minute
	patient  = "  timeout = \"2m\"\n"
)

// loading is held while Telegraf loads a configuration: it collects all secrets in a variable of its package.
var loading sync.Mutex

func tryLoad(text string) (*config.Config, error) {
	loading.Lock()
	defer loading.Unlock()
	cfg := config.NewConfig()
	return cfg, cfg.LoadConfigData([]byte(text), config.EmptySourcePath)
}

// load returns the running output of a configuration.
func load(t *testing.T, text string) *models.RunningOutput {
	t.Helper()
	cfg, err := tryLoad(text)
	require.NoError(t, err)
	require.Len(t, cfg.Outputs, 1)
	return cfg.Outputs[0]
}

// outputsMade counts the plugins. Statistics with the same tags are shared in the whole process, also by the runs of a test
// with -count.
var outputsMade atomic.Int64

// output returns the plugin of a configuration, with its log. It is patient, unless the options have another timeout.
func output(t *testing.T, addr, options string) (*rediscache.RedisCache, *plugintest.Log) {
	t.Helper()
	if !strings.Contains(options, "timeout = ") {
		options = patient + options
	}
	r, ok := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = \"db\"\n  agent = \"a1\"\n%s\n", addr, options)).Output.(*rediscache.RedisCache)
	require.True(t, ok)
	log := &plugintest.Log{}
	r.Log, r.Statistics = log, selfstat.NewCollector(map[string]string{"test": strconv.FormatInt(outputsMade.Add(1), 10)})
	require.NoError(t, r.Init())
	return r, log
}

// connected is output with a connection, which closes with the test.
func connected(t *testing.T, addr, options string) (*rediscache.RedisCache, *plugintest.Log) {
	t.Helper()
	r, log := output(t, addr, options)
	require.NoError(t, r.Connect())
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r, log
}

func row(tags map[string]string, fields map[string]any, seconds int64) telegraf.Metric {
	all := map[string]string{"field_name": "usage_idle"}
	for k, v := range tags {
		all[k] = v
	}
	return metric.New("analytics_cpu", all, fields, time.Unix(seconds, 0))
}

// sampleConfig returns the documented options.
func sampleConfig() string { return (&rediscache.RedisCache{}).SampleConfig() }

func mean(v float64) map[string]any { return map[string]any{"mean": v} }

// hostOf returns the host and port of an address, without the number of a database.
func hostOf(addr string) string {
	host, _, _ := strings.Cut(addr, "/")
	return host
}

var cpu = record.Table{Database: "db", Name: "analytics_cpu"}

// records reads every record of a table.
func records(t *testing.T, client redis.UniversalClient, table record.Table) []map[string]any {
	t.Helper()
	reader := cache.NewReader(client)
	starts, err := reader.Buckets(t.Context(), table, record.Range{})
	require.NoError(t, err)
	var all []map[string]any
	require.NoError(t, reader.Records(t.Context(), table, starts, 0, func(part record.Part) error {
		slices.Sort(part.Texts)
		for _, text := range part.Texts {
			var r map[string]any
			if err := json.Unmarshal([]byte(text), &r); err != nil {
				return err
			}
			all = append(all, r)
		}
		return nil
	}))
	return all
}

func TestRowsBecomeRecords(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	r, log := connected(t, addr, "")
	require.NoError(t, r.Write([]telegraf.Metric{
		row(map[string]string{"host": "h", "time_bucket": "2020-05-06T00:00:00Z"}, map[string]any{"count": int64(3), "95Percentile": 2.5, "summary": "AQE=", "note": "text"}, 7),
		row(map[string]string{"agent": "x", "mean": "y"}, map[string]any{"mean": 1.5, "ok": true}, 60),
	}))
	require.NoError(t, r.Close())
	client := redistest.Open(t, addr)
	want := []map[string]any{
		{"table_name": "analytics_cpu", "field_name": "usage_idle", "time_bucket": "1970-01-01T00:01:00Z", "time": 60000.0, "agent": "a1", "agent_tag": "x", "mean_tag": "y", "mean": 1.5, "ok": true},
		{"table_name": "analytics_cpu", "field_name": "usage_idle", "time_bucket": "2020-05-06T00:00:00Z", "time": 1588723200000.0, "agent": "a1", "host": "h", "count": 3.0, "95Percentile": 2.5},
	}
	require.Equal(t, want, records(t, client, cpu))
	var compat []map[string]any
	require.NoError(t, json.Unmarshal([]byte(client.Get(t.Context(), "db:analytics_cpu").Val()), &compat))
	require.Equal(t, want, compat)
	require.Equal(t, int64(1), client.HLen(t.Context(), "{db:analytics_cpu}:q:1588723200").Val())
	require.Equal(t, [5]int64{2, 0, 0, 1, 0}, r.Counts())
	require.Empty(t, log.Messages())
}

func TestMetricsThatAreNotRecordsAreRejectedCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r, log := connected(t, m.Addr(), "")
	batch := []telegraf.Metric{
		metric.New("cpu", map[string]string{"host": "a"}, mean(1), time.Unix(0, 0)),
		row(nil, map[string]any{"text": "only"}, 0),
		row(map[string]string{"time_bucket": "noon"}, mean(1), 0),
		row(nil, map[string]any{"mean": 1.0, "summary": "%"}, 0),
		metric.New("analytics_\n", map[string]string{"field_name": "f"}, mean(1), time.Unix(0, 0)),
		row(nil, mean(2), 60),
	}
	for range 3 {
		require.NoError(t, r.Write(batch), "the rest of the batch is written")
	}
	require.Len(t, records(t, r.Client(), cpu), 1)
	require.Equal(t, [5]int64{3, 0, 15, 0, 0}, r.Counts())
	require.Len(t, log.Errors(), 5)
	for i, want := range []string{`"cpu" has no tag "field_name", want rows of the describe aggregator: set namepass = ["analytics_*"]`, "has no number", `time_bucket="noon"`, "not base64", "no control characters"} {
		require.Contains(t, log.Errors()[i], want)
	}
}

func TestAnOlderRevisionIsCountedAndNotWritten(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	r, log := connected(t, addr, "")
	final := func(revision int64, v float64) telegraf.Metric {
		m := row(map[string]string{"bucket_state": "final"}, map[string]any{"mean": v, "revision": revision}, 60)
		m.SetTime(m.Time().Add(time.Duration(revision)))
		return m
	}
	require.NoError(t, r.Write([]telegraf.Metric{final(0, 1), final(2, 3)}))
	require.NoError(t, r.Write([]telegraf.Metric{final(1, 2), final(0, 1)}), "as after a reconnect")
	require.Equal(t, [5]int64{2, 2, 0, 0, 0}, r.Counts())
	got := records(t, redistest.Open(t, addr), cpu)
	require.Len(t, got, 1)
	require.Equal(t, []any{3.0, 2.0, true, "1970-01-01T00:01:00Z"}, []any{got[0]["mean"], got[0]["revision"], got[0]["final"], got[0]["time_bucket"]})
	require.Empty(t, log.Messages())
}

// A row that the describe aggregator makes of a record is the same record in the cache.
func TestARecordBecomesAMetricAndTheSameRecord(t *testing.T) {
	t.Parallel()
	client := redistest.Open(t, redistest.Database(t))
	addr := client.Options().Addr + "/" + strconv.Itoa(client.Options().DB)
	for _, l := range []record.Layout{
		{StateTag: record.BucketState}, {StateTag: record.BucketState, BucketTag: record.TimeBucket, Timestamp: record.AtEnd},
		{StateTag: record.BucketState, BucketTag: record.TimeBucket, Timestamp: record.AtPush},
	} {
		for revision := range int64(2) {
			for _, state := range []record.State{record.Unmarked, record.Open, record.Final} {
				want := record.Record{
					Table: cpu.Name, Field: "usage idle", Agent: "a1", Tags: []series.Tag{{Key: "agent", Value: "x"}, {Key: "host", Value: "ü,="}},
					Start: time.Unix(60, 5).UTC(), State: state, HasRevision: true, Revision: revision, Summary: []byte("a\xff"),
					Stats: []record.Stat{{Name: "count", Value: int64(2)}, {Name: "mean", Value: 1.5}},
				}
				m := metric.New(want.Table, map[string]string{record.FieldName: want.Field}, nil, l.Time(&want, want.Start.Add(time.Minute), time.Unix(7, 0)))
				l.AddTags(m, &want)
				l.AddFields(m, &want)
				require.NoError(t, client.FlushDB(t.Context()).Err())
				r, _ := connected(t, addr, "")
				require.NoError(t, r.Write([]telegraf.Metric{m}))
				starts, err := cache.NewReader(client).Buckets(t.Context(), cpu, record.Range{})
				require.NoError(t, err)
				require.Equal(t, []time.Time{want.Start}, starts)
				key := "{db:analytics_cpu}:b:60.000000005"
				require.Equal(t, []string{string(want.AppendJSON(nil))}, client.HVals(t.Context(), key).Val())
				require.Equal(t, []string{"a\xff"}, client.HVals(t.Context(), strings.Replace(key, ":b:", ":q:", 1)).Val())
				require.NoError(t, r.Close())
			}
		}
	}
}

// Redis answers EXEC with EXECABORT if it refused a command of the transaction before.
func TestTheErrorOfAWriteIsTheAnswerToTheRefusedCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	r, _ := connected(t, server.Addr(), "  compat_max_records = 0")
	admin := redistest.Client(t, server)
	require.NoError(t, admin.ConfigSet(t.Context(), "maxmemory", "1").Err())
	err := r.Write([]telegraf.Metric{row(nil, mean(1), 0)})
	require.ErrorContains(t, err, "table db:analytics_cpu: redis at "+server.Addr()+": OOM command not allowed")
	require.NotContains(t, err.Error(), "EXECABORT")
	require.NoError(t, admin.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	require.ErrorContains(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}), "READONLY")
	require.NoError(t, admin.Do(t.Context(), "ACL", "SETUSER", "default", "-hset").Err())
	require.ErrorContains(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}), "NOPERM")
	require.Equal(t, [5]int64{}, r.Counts(), "the records are tried again")
}

func TestTheDatabaseTagSelectsTheDatabase(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r, _ := connected(t, m.Addr(), "  database_tag = \"bucket\"")
	require.NoError(t, r.Write([]telegraf.Metric{row(map[string]string{"bucket": "other"}, mean(1), 0), row(nil, mean(2), 0)}))
	require.Equal(t, 2.0, records(t, r.Client(), cpu)[0]["mean"])
	other := records(t, r.Client(), record.Table{Database: "other", Name: "analytics_cpu"})
	require.Len(t, other, 1)
	require.NotContains(t, other[0], "bucket")
}

// Such names could make keys of another table, or could not be part of a URL of the API.
func TestMetricsWithInvalidNamesAreRejected(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	client := redistest.Open(t, addr)
	r, log := connected(t, addr, "  database_tag = \"tenant\"")
	of := func(table, tenant string) telegraf.Metric {
		return metric.New(table, map[string]string{"field_name": "f", "tenant": tenant}, mean(1), time.Unix(1700000000, 0))
	}
	batch := []telegraf.Metric{
		of("analytics_solar}:idx", "{db"), of("tables", "analytics"), of("analytics_a/b", "db"), of("analytics_{brace}:colon", "db"),
		of("analytics_m", "a/b"), of("analytics_m", "x{}"), of("analytics_m", "\xff"), of("analytics_solar", "db"),
	}
	for range 2 {
		require.NoError(t, r.Write(batch))
	}
	require.NoError(t, r.Close())
	require.Equal(t, [5]int64{2, 0, 14, 0, 0}, r.Counts())
	for i, want := range []string{
		`database name "{db": a name has none of { } /`, `table name "tables" in database "analytics": the key "analytics:tables" is the list of all tables`,
		`table name "analytics_a/b": a name has none of { } /`, `table name "analytics_{brace}:colon": a name has none of { } /`,
		`database name "a/b": a name has none of { } /`, `database name "x{}": a name has none of { } /`, `database name "\xff": a name is valid UTF-8`,
	} {
		require.Contains(t, log.Errors()[i], want)
	}
	require.Len(t, log.Errors(), 7, "each reason once")
	for key, want := range map[string]string{"{db:analytics_solar}:idx": "zset", "analytics:tables": "zset", "db:analytics_solar": "string"} {
		require.Equal(t, want, client.Type(t.Context(), key).Val())
	}
	tables, err := cache.NewReader(client).Tables(t.Context())
	require.NoError(t, err)
	require.Len(t, tables, 1)
}

// The records are where readers look for them.
func TestACatalogueOfAnotherTypeDoesNotRejectRecords(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	client := redistest.Open(t, addr)
	require.NoError(t, client.Set(t.Context(), "analytics:tables", "no sorted set", 0).Err())
	r, log := connected(t, addr, "")
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	require.Len(t, records(t, client, cpu), 1)
	require.Equal(t, [5]int64{1, 0, 0, 0, 1}, r.Counts())
	require.Len(t, log.Warnings(), 1)
	require.Contains(t, log.Warnings()[0], "redis at "+hostOf(addr)+": adding db:analytics_cpu to the list of all tables, \"analytics:tables\": WRONGTYPE")
}

func TestWritingAgainLeavesOneRecordOfEachAgent(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	a1, _ := connected(t, addr, "")
	a2, _ := connected(t, addr, "")
	a2.Agent = "a2"
	for range 3 {
		require.NoError(t, a1.Write([]telegraf.Metric{row(nil, mean(1), 0), row(nil, mean(2), 0)}))
		require.NoError(t, a2.Write([]telegraf.Metric{row(nil, mean(3), 0)}))
	}
	got := records(t, redistest.Open(t, addr), cpu)
	require.Len(t, got, 2)
	require.Equal(t, []any{"a1", 2.0, "a2", 3.0}, []any{got[0]["agent"], got[0]["mean"], got[1]["agent"], got[1]["mean"]})
}

func TestReplicasOfAnAgentKeepTheirRecords(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	a, _ := connected(t, addr, "")
	b, _ := connected(t, addr, "")
	a.Replica, b.Replica = "a", "b"
	require.NoError(t, a.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	require.NoError(t, b.Write([]telegraf.Metric{row(map[string]string{"replica": "x"}, mean(2), 0), row(nil, mean(3), 0)}))
	var got []any
	for _, r := range records(t, redistest.Open(t, addr), cpu) {
		got = append(got, r["agent"], r["replica"], r["replica_tag"], r["mean"])
	}
	require.Equal(t, []any{"a1", "a", nil, 1.0, "a1", "b", nil, 3.0, "a1", "b", "x", 2.0}, got)
}

func TestMetricsAreNotModified(t *testing.T) {
	t.Parallel()
	m := miniredis.RunT(t)
	r, _ := connected(t, m.Addr(), "")
	batch := []telegraf.Metric{row(map[string]string{"zone": "z", "count": "c", "host": "h"}, mean(1), 0)}
	want := batch[0].Copy()
	require.NoError(t, r.Write(batch))
	require.Equal(t, want, batch[0])
}

func TestATableThatRedisRefusesDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	addr := redistest.Database(t)
	client := redistest.Open(t, addr)
	require.NoError(t, client.Set(t.Context(), "{db:analytics_cpu}:idx", "no sorted set", 0).Err())
	ro := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = \"db\"\n"+patient, addr))
	require.NoError(t, ro.Init())
	require.NoError(t, ro.Connect())
	defer ro.Close()
	var rejected, accepted int
	notify := func(d telegraf.DeliveryInfo) {
		if d.Delivered() {
			accepted++
		} else {
			rejected++
		}
	}
	for _, m := range []telegraf.Metric{row(nil, mean(1), 0), metric.New("analytics_mem", map[string]string{"field_name": "used"}, mean(1), time.Unix(0, 0))} {
		tracked, _ := metric.WithTracking(m, notify)
		ro.AddMetricNoCopy(tracked)
	}
	require.ErrorContains(t, ro.Write(), "table db:analytics_cpu: redis at "+hostOf(addr)+": WRONGTYPE")
	require.Equal(t, []int{1, 1}, []int{accepted, rejected})
	require.Zero(t, ro.BufferLength(), "nothing is left to be written again")
	require.Len(t, records(t, client, record.Table{Database: "db", Name: "analytics_mem"}), 1)
}

// Redis is stopped for a while under load. Telegraf keeps the metrics that it could not write.
func TestNothingIsLostWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := redistest.Start(t, redisserver.Options{Dir: dir})
	ro := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = \"db\"\n  metric_batch_size = 100\n"+patient, server.Addr()))
	require.NoError(t, ro.Init())
	require.NoError(t, ro.Connect())
	const perTick, ticks = 30, 150 // the rows that wait need 30 batches
	failed := 0
	for tick := range ticks {
		for i := range perTick {
			ro.AddMetric(row(map[string]string{"host": strconv.Itoa(i)}, mean(1), int64(tick)*60))
		}
		if ro.Write() != nil {
			failed++
		}
		switch tick {
		case 20:
			require.NoError(t, server.Stop())
		case 120:
			server = redistest.Start(t, redisserver.Options{Dir: dir, Addr: server.Addr()})
		}
	}
	require.GreaterOrEqual(t, failed, 100, "Redis was away for 100 writes")
	require.Eventually(t, func() bool { return ro.Write() == nil && ro.BufferLength() == 0 }, patience, 100*time.Millisecond)
	got := records(t, redistest.Client(t, server), cpu)
	require.Equal(t, perTick*ticks, len(got), "every record, none twice") //nolint:testifylint // not worth printing
	ro.Close()
}

func TestStartupErrorBehaviorApplies(t *testing.T) {
	t.Parallel()
	addr := redistest.Free(t)
	for behavior, want := range map[string]string{"error": "connection refused", "retry": "", "ignore": "connection refused"} {
		t.Run(behavior, func(t *testing.T) {
			ro := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = \"db\"\n  startup_error_behavior = %q\n"+patient, addr, behavior))
			require.NoError(t, ro.Init())
			err := ro.Connect()
			if want == "" {
				require.NoError(t, err)
				ro.AddMetric(row(nil, mean(1), 0))
				require.Error(t, ro.Write())
				require.Equal(t, 1, ro.BufferLength(), "kept until Redis is there")
				server := redistest.Start(t, redisserver.Options{Addr: addr})
				require.NoError(t, ro.Write())
				require.Len(t, records(t, redistest.Client(t, server), cpu), 1)
				ro.Close()
				return
			}
			require.ErrorContains(t, err, "redis at "+addr)
			require.ErrorContains(t, err, want+"; check 'servers'")
		})
	}
}

func TestAWrongPasswordIsNeitherTriedAgainNorShown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Password: "right"})
	ro := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  password = \"wrong\"\n  database = \"db\"\n  startup_error_behavior = \"retry\"\n"+patient, server.Addr()))
	require.NoError(t, ro.Init())
	err := ro.Connect()
	require.ErrorContains(t, err, "redis at "+server.Addr()+": WRONGPASS")
	require.ErrorContains(t, err, "; check 'username', 'password', 'password_file', 'servers'")
	for _, options := range []string{"", "  password = \"s3cret\"", "  username = \"nobody\"\n  password = \"s3cret\""} {
		r, _ := output(t, server.Addr(), options)
		err := r.Connect()
		require.ErrorContains(t, err, "; check 'username', 'password', 'password_file', 'servers'")
		require.NotContains(t, err.Error(), "s3cret")
	}
	r, _ := output(t, "user:s3cret@"+server.Addr(), "")
	err = r.Connect()
	require.ErrorContains(t, err, "redis at "+server.Addr()+": WRONGPASS")
	require.NotContains(t, err.Error(), "s3cret")
	r, _ = output(t, server.Addr(), "  password = \"right\"\n  db = 99")
	require.ErrorContains(t, r.Connect(), "; check 'db', 'servers'")

	r, _ = connected(t, server.Addr(), "  password = \"right\"")
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
}

func TestCloseWorksWithoutAConnection(t *testing.T) {
	t.Parallel()
	r, _ := output(t, "127.0.0.1:1", "")
	require.NoError(t, r.Close())
	require.Error(t, r.Connect())
	require.NoError(t, r.Close())
}

func TestRecordsAreSpreadOverACluster(t *testing.T) {
	t.Parallel()
	addrs := redistest.SharedCluster(t)
	ro := load(t, fmt.Sprintf("[[outputs.rediscache]]\n  servers = [\"redis://%s\"]\n  database = \"db\"\n"+patient, strings.Join(addrs, `", "redis://`)))
	require.NoError(t, ro.Init())
	require.NoError(t, ro.Connect())
	for i := range 20 {
		ro.AddMetric(metric.New(fmt.Sprint("analytics_", i), map[string]string{"field_name": "f"}, mean(1), time.Unix(0, 0)))
	}
	require.NoError(t, ro.Write())
	ro.Close()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience})
	defer client.Close()
	slots := make(map[int64]bool)
	for i := range 20 {
		name := fmt.Sprint("analytics_", i)
		require.Len(t, records(t, client, record.Table{Database: "db", Name: name}), 1)
		require.NotEmpty(t, client.Get(t.Context(), "db:"+name).Val())
		slots[client.ClusterKeySlot(t.Context(), "db:"+name).Val()/5461] = true
	}
	require.Greater(t, len(slots), 1, "tables are spread over the nodes")
}

func TestRecordsAreSentOverTLS(t *testing.T) {
	t.Parallel()
	addr, cert, key := redistest.TLS(t)
	options := fmt.Sprintf("  tls_ca = %q\n  tls_cert = %q\n  tls_key = %q\n", cert, cert, key)
	r, _ := connected(t, addr, options)
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	require.Len(t, records(t, r.Client(), cpu), 1)

	const look = "; check 'tls_ca', 'tls_cert', 'tls_key', 'tls_server_name', 'servers'"
	for options, want := range map[string]string{
		"  tls_enable = true":                                   "unknown authority",
		fmt.Sprintf("  tls_ca = %q", cert):                      "certificate required",
		options + "  tls_server_name = \"redis.example.com\"\n": "redis.example.com",
	} {
		r, _ := output(t, addr, options)
		err := r.Connect()
		require.ErrorContains(t, err, "redis at "+addr)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, look)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			_, _ = c.Write([]byte("no TLS\r\n"))
		}
	}()
	r, _ = output(t, l.Addr().String(), options)
	require.ErrorContains(t, r.Connect(), look, "a server without TLS")
}

func TestBadOptionsNameTheOptionTheValueAndTheRule(t *testing.T) {
	t.Parallel()
	for option, want := range map[string]string{
		`database = ""`:                `invalid 'database' setting "", want the name of a database, or a 'database_tag'`,
		`database_tag = "field_name"`:  `invalid 'database_tag' setting "field_name", want the name of a tag without another meaning`,
		`database = "a\nb"`:            `invalid 'database' setting "a\nb": a name has no control characters`,
		`database = "a/b"`:             `invalid 'database' setting "a/b": a name has none of { } /`,
		`database = "a{}b"`:            `invalid 'database' setting "a{}b": a name has none of { } /`,
		"database = \"a\xffb\"":        `invalid 'database' setting "a�b": a name is valid UTF-8`,
		`servers = []`:                 "invalid 'servers' setting: no server, want a URL",
		`servers = ["localhost:6379"]`: `invalid 'servers' setting: a server is not a URL`,
		`servers = ["redis://a", "redis://b/1"]` + "\n  db = 1":    "invalid 'servers' setting: database 1 of Redis, but a cluster has only database 0",
		`servers = ["redis://a", "rediss://b"]`:                    "invalid 'servers' setting: server \"rediss://b\": its scheme differs from that of the first",
		`servers = ["redis://u:p@a?read_timeout=9s"]`:              `invalid 'servers' setting: server "redis://a": the only option of a URL is "db"`,
		`servers = ["unix:///r.sock"]` + "\n  master_name = \"m\"": "invalid 'servers' setting: server \"unix:///r.sock\": a socket belongs to a single server",
		`sentinel_password = "p"`:                                  `invalid 'master_name' setting "" with credentials of Sentinels, want the name of the primary that they watch`,
		`db = -1`:                                                  "invalid 'db' setting -1, want 0 or more",
		`retention = "0s"`:                                         `invalid 'retention' setting "0s", want 1s or more`,
		`retention = "-1d"`:                                        `invalid 'retention' setting "-24h0m0s", want 1s or more`,
		`timeout = "0s"`:                                           `invalid 'timeout' setting "0s", want more than 0s`,
		`max_buckets = -1`:                                         "invalid 'max_buckets' setting -1, want 0 (all) or more",
		`restore_limit = -1`:                                       "invalid 'restore_limit' setting -1, want 0",
		`compat_max_records = -1`:                                  "invalid 'compat_max_records' setting -1, want 0",
	} {
		database := "  database = \"db\"\n"
		if strings.HasPrefix(option, "database") {
			database = ""
		}
		ro := load(t, "[[outputs.rediscache]]\n"+database+"  "+option+"\n")
		require.ErrorContains(t, ro.Init(), want, option)
	}
	for option, want := range map[string]string{`retentoin = "1d"`: "retentoin", `max_buckets = "many"`: "MaxBuckets", `retention = "long"`: "Retention", `tls_ca = "/no/such/file"`: `"/no/such/file"`} {
		_, err := tryLoad("[[outputs.rediscache]]\n  " + option + "\n")
		require.ErrorContains(t, err, want, option)
	}
}

// Telegraf leaves the name of such a variable in the option.
func TestAnOptionWithAnUnsetVariableIsAnError(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"master_name", "username", "password", "password_file", "sentinel_username", "sentinel_password", "database", "database_tag", "agent", "replica",
	} {
		err := load(t, "[[outputs.rediscache]]\n  "+name+" = \"${NO_SUCH}\"\n").Init()
		require.ErrorContains(t, err, "invalid '"+name+"' setting: the environment variable NO_SUCH is not set")
	}
	err := load(t, "[[outputs.rediscache]]\n  database = \"$NO_DB\"\n  servers = [\"redis://:secret${NO_HOST}@127.0.0.1\"]\n").Init()
	require.EqualError(t, err, "invalid 'servers' setting: the environment variable NO_HOST is not set; for example servers = [\"redis://127.0.0.1:6379\"]\n"+
		"invalid 'database' setting: the environment variable NO_DB is not set; for example database = \"mydb\"")
	for _, password := range []string{"$NO_SUCH", "a${NO_SUCH}", "${NO_SUCH}${"} {
		require.NoError(t, load(t, "[[outputs.rediscache]]\n  database = \"d\"\n  password = \""+password+"\"\n").Init(), "a password may have these characters")
	}
}

func TestTheSampleConfigurationShowsTheDefaults(t *testing.T) {
	t.Parallel()
	before, _, _ := strings.Cut(sampleConfig(), "  ## Optional TLS")
	for name, text := range map[string]string{"as it is": sampleConfig(), "uncommented": strings.ReplaceAll(before, "  # ", "  ")} {
		t.Run(name, func(t *testing.T) {
			ro := load(t, text)
			require.Equal(t, []string{"analytics_*"}, ro.Config.Filter.NamePass, "without it, the log would have an error for each measurement")
			r, ok := ro.Output.(*rediscache.RedisCache)
			require.True(t, ok)
			require.NoError(t, r.Init())
			host, err := os.Hostname()
			require.NoError(t, err)
			require.Equal(t, []any{[]string{"redis://127.0.0.1:6379"}, "", 0, config.Duration(5 * time.Second), "mydb", "", host, config.Duration(720 * time.Hour), 0, 1000, config.Size(64 << 20)},
				[]any{r.Servers, r.MasterName, r.DB, r.Timeout, r.Database, r.DatabaseTag, r.Agent, r.Retention, r.MaxBuckets, r.CompatMaxRecords, r.RestoreLimit})
			require.True(t, r.Username.Empty())
			require.True(t, r.Password.Empty())
			require.True(t, r.SentinelUsername.Empty())
			require.True(t, r.SentinelPassword.Empty())
		})
	}
}

func TestErrorsFillOnlyTelegrafsTypes(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	for _, err := range rediscache.Errors(cause) {
		require.ErrorIs(t, err, cause)
		var other *net.OpError
		require.NotErrorAs(t, err, &other)
		var value context.Context
		require.NotErrorAs(t, err, &value)
	}
}

func TestTheREADMEShowsTheSampleConfiguration(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	require.Contains(t, string(readme), "```toml @sample.conf\n"+sampleConfig()+"```\n")
}

func BenchmarkWrite(b *testing.B) {
	const size = 1000
	client := redistest.Open(b, redistest.Database(b))
	r := &rediscache.RedisCache{
		Servers: []string{fmt.Sprintf("redis://%s/%d", client.Options().Addr, client.Options().DB)}, Database: "db", Agent: "a1",
		Timeout: config.Duration(time.Minute), Retention: config.Duration(time.Hour), Log: &plugintest.Log{},
	}
	require.NoError(b, r.Init())
	require.NoError(b, r.Connect())
	defer r.Close()
	batch := make([]telegraf.Metric, size)
	for i := range batch {
		tags := map[string]string{"host": strconv.Itoa(i / 10), "region": "eu", "bucket_state": "open", "field_name": "f" + strconv.Itoa(i%10)}
		fields := map[string]any{"count": int64(360), "min": 1.5, "max": 99.5, "mean": 50.25, "median": 50.5, "mode": 12.5, "p95": 95.125, "summary": "AQE="}
		batch[i] = metric.New("analytics_cpu", tags, fields, time.Unix(60, 0))
	}
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, r.Write(batch))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/record")
	require.Equal(b, int64(size), client.HLen(b.Context(), "{db:analytics_cpu}:b:60").Val())
}
