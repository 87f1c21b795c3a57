package rediscache_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/metric"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

func TestTheSentinelsFindThePrimary(t *testing.T) {
	t.Parallel()
	primary := redistest.Server(t)
	sentinel := redistest.Sentinel(t, primary.Addr(), "")
	r, _ := connected(t, sentinel.Addr(), "  master_name = \"main\"")
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	require.Len(t, records(t, redistest.Client(t, primary), cpu), 1)
}

func TestASentinelHasCredentialsOfItsOwn(t *testing.T) {
	t.Parallel()
	primary := redistest.Start(t, redisserver.Options{Password: "primary"})
	auth := "sentinel auth-pass main primary\n"
	byPassword := redistest.Sentinel(t, primary.Addr(), auth+"requirepass own\n")
	byUser := redistest.Sentinel(t, primary.Addr(), auth+"user asker on >own +@all\nuser default off\n")
	const main = "  master_name = \"main\"\n  password = \"primary\"\n"
	for addr, options := range map[string]string{
		byPassword.Addr(): "  sentinel_password = \"own\"\n",
		byUser.Addr():     "  sentinel_username = \"asker\"\n  sentinel_password = \"own\"\n",
	} {
		r, _ := connected(t, addr, main+options)
		require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
		for _, wrong := range []string{"", "  sentinel_password = \"wr0ng\"\n"} {
			r, _ := output(t, addr, main+wrong)
			err := r.Connect()
			require.ErrorContains(t, err, ": the Sentinels have credentials of their own; check 'sentinel_username', 'sentinel_password'")
			require.NotContains(t, err.Error(), "wr0ng")
		}
	}
	r, _ := output(t, byPassword.Addr(), "  master_name = \"main\"\n  password = \"wrong\"\n  sentinel_password = \"own\"\n")
	require.ErrorContains(t, r.Connect(), "; check 'username', 'password', 'password_file', 'servers'")
}

func TestErrorsOfTheTopologyNameTheOptionToChange(t *testing.T) {
	t.Parallel()
	single, other := redistest.Server(t), redistest.Server(t)
	sentinel := redistest.Sentinel(t, single.Addr(), "")
	second := redistest.Sentinel(t, single.Addr(), "")
	for _, test := range []struct{ servers, options, want string }{
		{sentinel.Addr(), "", ": the server is a Sentinel, which keeps no data, want the name of the primary that it watches; check 'master_name', 'servers'"},
		{sentinel.Addr(), "  master_name = \"mian\"", ": the Sentinels watch no primary of that name; check 'master_name'"},
		{single.Addr(), "  master_name = \"main\"", ": a server that is given together with the name of a primary must be a Sentinel; check 'master_name', 'servers'"},
		{
			single.Addr() + `", "redis://` + other.Addr(), "",
			": several servers must be nodes of a cluster, or Sentinels together with the name of a primary; check 'servers', 'master_name'",
		},
		{
			sentinel.Addr() + `", "redis://` + second.Addr(), "",
			": several servers must be nodes of a cluster, or Sentinels together with the name of a primary; check 'servers', 'master_name'",
		},
	} {
		r, _ := output(t, test.servers, test.options)
		require.ErrorContains(t, r.Connect(), test.want, test)
	}
}

func TestOneAddressOfAClusterIsEnough(t *testing.T) {
	t.Parallel()
	addrs := redistest.SharedCluster(t)
	r, log := connected(t, addrs[0], "  database_tag = \"database\"")
	var batch []telegraf.Metric
	for i := range 10 {
		batch = append(batch, metric.New(fmt.Sprint("analytics_one_", i), map[string]string{"field_name": "f", "database": "one"}, mean(1), time.Unix(0, 0)))
	}
	require.NoError(t, r.Write(batch))
	require.Empty(t, log.Messages())
	require.Equal(t, int64(10), r.Counts()[0])
}

func TestAPasswordThatWantsEncodingIsExplained(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"s3c/ret", "s3c#ret", "s3c?ret", "s3c%ret", "s3c ret", "s3c[ret"} {
		ro := load(t, "[[outputs.rediscache]]\n  servers = [\"redis://user:"+password+"@127.0.0.1:6379\"]\n  database = \"db\"\n")
		err := ro.Init()
		require.ErrorContains(t, err, `invalid 'servers' setting: a server with credentials is not a URL, want one such as "redis://127.0.0.1:6379" with the special characters`)
		require.ErrorContains(t, err, "; or write it into 'password' as it is")
		require.NotContains(t, err.Error(), "s3c")
		require.NotContains(t, err.Error(), "ret")
	}
}

// Redis refuses writes for each reason in turn, and then accepts them.
func TestARefusedWriteNamesItsReasonAndTheOptionsAndTheRecoveryIsLogged(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	admin := redistest.Client(t, server)
	r, log := connected(t, server.Addr(), "  compat_max_records = 0")
	batch := []telegraf.Metric{row(nil, mean(1), 0)}
	for _, fault := range []struct {
		begin, end []any
		want       string
	}{
		{[]any{"CONFIG", "SET", "maxmemory", "1"}, []any{"CONFIG", "SET", "maxmemory", "0"}, "; check 'retention', 'max_buckets'"},
		{[]any{"REPLICAOF", "127.0.0.1", "1"}, []any{"REPLICAOF", "NO", "ONE"}, "want the primary, or Sentinels that know it; check 'servers', 'master_name'"},
		{[]any{"ACL", "SETUSER", "default", "-hset"}, []any{"ACL", "SETUSER", "default", "+hset"}, "'hset' command: the user lacks a rule of the documented ACL, add it by ACL SETUSER; check 'username', 'servers'"},
	} {
		require.NoError(t, admin.Do(t.Context(), fault.begin...).Err())
		for range 2 {
			err := r.Write(batch)
			require.ErrorContains(t, err, fault.want)
			require.NotContains(t, err.Error(), "EXECABORT")
		}
		require.NoError(t, admin.Do(t.Context(), fault.end...).Err())
		require.NoError(t, r.Write(batch))
		require.NoError(t, r.Write(batch), "the recovery is logged once")
	}
	messages := log.Messages()
	require.Len(t, messages, 3)
	for _, m := range messages {
		require.Regexp(t, "Recovered: redis at "+strings.ReplaceAll(server.Addr(), ".", `\.`)+` accepts writes again after .*s; attempts that failed: 2`, m)
	}
}

// Redis has closed the connections of the plugin, and turns new ones away.
func TestARedisWithoutRoomForClientsIsTheReasonOfEachAttempt(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	admin := redistest.Client(t, server)
	r, log := connected(t, server.Addr(), "  compat_max_records = 0\n  database_tag = \"database\"\n")
	other, _ := output(t, server.Addr(), "")
	var batch []telegraf.Metric
	for i := range 10 {
		batch = append(batch, metric.New(fmt.Sprint("analytics_", i), map[string]string{"field_name": "f", "database": "one"}, mean(1), time.Unix(0, 0)))
	}
	require.NoError(t, r.Write(batch))
	require.NoError(t, admin.ConfigSet(t.Context(), "maxclients", "1").Err())
	require.NoError(t, admin.ClientKillByFilter(t.Context(), "SKIPME", "yes").Err())
	const want = ": ERR max number of clients reached: raise maxclients in Redis, or close other connections"
	for range 3 {
		before := rejected(t, admin)
		require.ErrorContains(t, r.Write(batch), want)
		require.ErrorContains(t, other.Connect(), want)
		require.LessOrEqual(t, rejected(t, admin)-before, 6, "connections for ten tables and a new plugin")
	}
	require.NoError(t, admin.ConfigSet(t.Context(), "maxclients", "100").Err())
	require.NoError(t, r.Write(batch))
	require.Len(t, log.Messages(), 1)
	require.Contains(t, log.Messages()[0], "; attempts that failed: 3")
}

// rejected returns how many connections a server has turned away.
func rejected(t *testing.T, client *redis.Client) (n int) {
	t.Helper()
	_, rest, _ := strings.Cut(redistest.Info(t, client, "stats"), "rejected_connections:")
	_, err := fmt.Sscan(rest, &n)
	require.NoError(t, err)
	return n
}

func TestTheRecoveryAfterAFailedConnectionIsLogged(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	addr := server.Addr()
	require.NoError(t, server.Stop())
	r, log := output(t, addr, "")
	require.ErrorContains(t, r.Connect(), "connection refused; check 'servers'")
	redistest.Start(t, redisserver.Options{Addr: addr})
	require.NoError(t, r.Connect())
	require.NoError(t, r.Write([]telegraf.Metric{row(nil, mean(1), 0)}))
	require.NoError(t, r.Close())
	require.Len(t, log.Messages(), 1)
	require.Contains(t, log.Messages()[0], "; attempts that failed: 1")
}

// Connecting and writing take several round trips, each of which is shorter than the timeout. On a busy machine, a round trip can be longer
// than that of the network. Then all times are doubled.
func TestASlowNetworkConnectsAndWrites(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	client := redistest.Client(t, server)
	var log *plugintest.Log
	for timeout := time.Second; ; timeout *= 2 {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		slow := redistest.Slow(t, server.Addr(), timeout*3/5)
		var r *rediscache.RedisCache
		r, log = output(t, slow, fmt.Sprintf("  timeout = %q\n  compat_max_records = 10\n", timeout))
		err := r.Connect()
		if err == nil {
			err = errors.Join(r.Write([]telegraf.Metric{row(nil, mean(1), 0)}), r.Close())
		}
		if err == nil && len(log.Messages()) == 0 || timeout > time.Minute {
			require.NoError(t, err)
			break
		}
	}
	require.Len(t, records(t, client, cpu), 1)
	require.Equal(t, int64(1), client.Exists(t.Context(), "db:analytics_cpu").Val())
	require.Empty(t, log.Messages())
}

// Telegraf logs only "not connected" for the second and later attempts.
func TestTheReasonOfAFailedAttemptIsLoggedWhenItChanges(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	addr := server.Addr()
	require.NoError(t, server.Stop())
	r, log := output(t, addr, "")
	for range 3 {
		require.ErrorContains(t, r.Connect(), "connection refused")
	}
	require.Empty(t, log.Messages(), "Telegraf logs the first reason")
	redistest.Start(t, redisserver.Options{Addr: addr, Password: "secret"})
	for range 3 {
		require.ErrorContains(t, r.Connect(), "NOAUTH")
	}
	require.Len(t, log.Warnings(), 1)
	require.Regexp(t, `Not connected after .*s: redis at .*: NOAUTH .*; check 'username', 'password', 'password_file', 'servers'`, log.Warnings()[0])
}

func TestAnErrorOfUpkeepIsLoggedOnceAMinuteAndItsEndOnce(t *testing.T) {
	t.Parallel()
	fail, end := rediscache.Upkeep()
	at := func(seconds int) time.Time { return time.Unix(1e9, 0).Add(time.Duration(seconds) * time.Second) }
	require.False(t, end(at(0)), "there was no error")
	for _, step := range []struct {
		seconds      int
		fails        bool
		logged, over bool
	}{
		{0, true, true, false},
		{59, true, false, false},
		{60, true, true, false},
		{179, false, false, false},
		{180, false, false, true},
		{181, false, false, false},
		{182, true, true, false},
	} {
		if step.fails {
			require.Equal(t, step.logged, fail(at(step.seconds)), step)
		}
		require.Equal(t, step.over, end(at(step.seconds)), step)
	}
}
