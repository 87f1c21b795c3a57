package cache_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// Each node of the cluster has a certificate for its own address only.
func TestEachConnectionIsVerifiedAgainstTheHostThatItDials(t *testing.T) {
	t.Parallel()
	addrs, authorities := redistest.TLSCluster(t)
	pem, err := os.ReadFile(authorities)
	require.NoError(t, err)
	for first := range addrs {
		o := cache.DialOptions{Timeout: patience}
		for i := range addrs {
			o.Servers = append(o.Servers, "rediss://"+addrs[(first+i)%len(addrs)])
		}
		u, err := o.Universal()
		require.NoError(t, err)
		u.TLSConfig.RootCAs = x509.NewCertPool() // in place of the system's
		require.True(t, u.TLSConfig.RootCAs.AppendCertsFromPEM(pem))
		client := redis.NewUniversalClient(u)
		w := writerOf(t, client, nil)
		for i := range 10 { // on all nodes
			put(t, w, record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}, rec(60, "f", "h", 1))
		}
		require.NoError(t, w.Close(patience))
		require.NoError(t, client.Close())
	}
}

func TestTheNameOfASentinelIsNotThatOfThePrimary(t *testing.T) {
	t.Parallel()
	u, err := cache.DialOptions{Servers: []string{"rediss://sentinel"}, MasterName: "main"}.Universal()
	require.NoError(t, err)
	require.Empty(t, u.TLSConfig.ServerName, "the primary has another host")
}

func TestPartsOfAURLWithoutEffectAreRefused(t *testing.T) {
	t.Parallel()
	const likeURL = `, want a URL such as "redis://127.0.0.1:6379"`
	for servers, want := range map[string]string{
		"redis://h?read_timeout=9s":            `server "redis://h": the only option of a URL is "db"` + likeURL,
		"redis://u:secret@h/1?password=secret": `server "redis://h": the only option of a URL is "db"` + likeURL,
		"rediss://h?skip_verify=true":          `server "rediss://h": the only option of a URL is "db"` + likeURL,
		"redis://h?%zz":                        `server "redis://h": the text after "?" is not a list of options` + likeURL,
		"redis://h/1?db=2":                     `server "redis://h": it has more than one database` + likeURL,
		"redis://h?db=1&db=2":                  `server "redis://h": it has more than one database` + likeURL,
		"redis://h/-1":                         `server "redis://h": the database is not a number, want 0 or more` + likeURL,
		"redis://h:99999":                      `server "redis://h:99999": the port is not a number from 1 to 65535` + likeURL,
		"redis://u:secret@h:0":                 `server "redis://h:0": the port is not a number from 1 to 65535` + likeURL,
		"redis://h#secret":                     `server "redis://h": a URL cannot have a "#"` + likeURL,
		"redis://u:12?secret@h":                cache.ErrEncoding.Error(),
		"redis://u:12#secret@h":                cache.ErrEncoding.Error(),
		"redis://u:12/secret@h":                cache.ErrEncoding.Error(),
		"unix://run/r.sock":                    `server "unix://run/r.sock": a socket has no host, found "run" and want three slashes, as in "unix:///run/redis.sock"` + likeURL,
		"redis://a unix:///run/r.sock":         `server "unix:///run/r.sock": a socket belongs to a single server, want no other servers and no Sentinels`,
		"unix:///run/r.sock redis://a":         `server "unix:///run/r.sock": a socket belongs to a single server, want no other servers and no Sentinels`,
		"redis://a rediss://b":                 `server "rediss://b": its scheme differs from that of the first server, "redis://a", want "redis://" for all servers or "rediss://" for all`,
		"rediss://a redis://b":                 `server "redis://b": its scheme differs from that of the first server, "rediss://a", want "redis://" for all servers or "rediss://" for all`,
		"redis://u:secret@a redis://u:other@b": `server "redis://b": its credentials differ from those of the first server, "redis://a", which apply to all servers, want the same or none`,
		"redis://a redis://b redis://:x@c":     `server "redis://c": its credentials differ from those of the first server, "redis://a", which apply to all servers, want the same or none`,
		"redis://a redis://b/1":                `server "redis://b": database 1 differs from database 0 of the first server, "redis://a", which applies to all servers, want the same or none`,
	} {
		require.EqualError(t, cache.DialOptions{Servers: strings.Fields(servers)}.Check(), want, servers)
	}
	for servers, want := range map[string]string{
		"unix:///run/r.sock":      "a socket belongs to a single server",
		"redis://a/3 redis://b/0": "database 0 differs from database 3 of the first server, \"redis://a\"",
	} {
		require.ErrorContains(t, cache.DialOptions{Servers: strings.Fields(servers), MasterName: "main"}.Check(), want, servers)
	}
	for _, servers := range []string{
		"redis://u:p@a/ redis://b", "redis://u:p@a/0 redis://u:p@b", "rediss://a rediss://b/0", "redis://u:p%40%2F@a?db=3", "unix:///run/r@1.sock?db=2",
	} {
		require.NoError(t, cache.DialOptions{Servers: strings.Fields(servers)}.Check(), servers)
	}
	require.NoError(t, cache.DialOptions{Servers: []string{"redis://a/3", "redis://b/3", "redis://c"}, MasterName: "main"}.Check())
}

func TestDialConnectsToASocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // the path of a socket is short
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "redis.sock")
	server := redistest.Start(t, redisserver.Options{Password: "secret", Args: []string{"--unixsocket", socket}})
	o := cache.DialOptions{Servers: []string{"unix://:secret@" + socket + "?db=2"}, Timeout: patience}
	client, err := cache.Dial(o)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Set(t.Context(), "key", "value", 0).Err())
	other := redistest.Open(t, ":secret@"+server.Addr()+"/2")
	require.Equal(t, "value", other.Get(t.Context(), "key").Val())
	require.Equal(t, []string{socket}, o.Addrs())
}

func TestDialErrorsNeverShowThePassword(t *testing.T) {
	t.Parallel()
	for _, server := range []string{
		"redis://user:S3cretPW@host:port", "http://user:S3cretPW@host", "redis://user:S3cretPW@host/db", "redis://user:S3cretPW@host?x=y", "::",
		"u:S3cretPW@127.0.0.1:1", "redis:u:S3cretPW@127.0.0.1", "redis:S3cretPW", "redis:/u:S3cretPW@host", "redis:///S3cretPW", "redis//u:S3cretPW@host",
		"redis://host/S3cretPW", "redis://host/S3cretPW/1", "redis://host?S3cretPW=1", "redis://host?db=S3cretPW", "redis://host?S3cretPW", "redis://host#S3cretPW",
		"redis://host?x=%zzS3cretPW", "S3cretPW@host", "S3cretPW", "S3cretPW:6379", "S3cretPW@", ":S3cretPW@host:6379", "redis://u:S3cretPW/x@host",
		"redis://u:S3cretPW#x@host", "redis://u:S3cretPW?x@host", "redis://u:S3cretPW host", "redis://u:%zzS3cretPW@host", "redis://S3cretPW@host/x",
		"unix://u:S3cretPW@/run/redis.sock?x=1", "unix://:S3cretPW@host", "redis://u:S3cretPW@host:99999999/x", "redis://u:S3cretPW\n@host", "//u:S3cretPW@host",
	} {
		_, err := cache.Dial(cache.DialOptions{Servers: []string{server}})
		require.ErrorContains(t, err, "redis://127.0.0.1:6379", server)
		require.NotContains(t, err.Error(), "S3cretPW")
		require.Empty(t, cache.DialOptions{Servers: []string{server}}.Addrs(), "%s is taken for another server", server)
	}
	_, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://u:S3cretPW@a/1", "redis://S3cretPW:p@b/2"}, MasterName: "m"})
	require.NotContains(t, err.Error(), "S3cretPW")
	_, err = cache.Dial(cache.DialOptions{})
	require.EqualError(t, err, `no server, want a URL such as "redis://127.0.0.1:6379"`)
	_, err = cache.Dial(cache.DialOptions{Servers: []string{"redis://a", "redis://b"}, DB: 2})
	require.EqualError(t, err, "database 2 of Redis, but a cluster has only database 0")
}

func TestOptionsOverrideTheCredentialsOfTheURL(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redisserver.Options{Password: "secret"})
	for _, o := range []cache.DialOptions{
		{Servers: []string{"redis://:secret@" + server.Addr() + "/3"}},
		{Servers: []string{"redis://" + server.Addr()}, Password: "secret"},
		{Servers: []string{"redis://:wrong@" + server.Addr()}, Password: "secret", DB: 1},
	} {
		o.Timeout = patience
		c, err := cache.Dial(o)
		require.NoError(t, err)
		require.NoError(t, c.Ping(t.Context()).Err())
		require.NoError(t, c.Close())
	}
	o := cache.DialOptions{Servers: []string{"redis://:wrong@" + server.Addr()}, Timeout: patience}
	c, err := cache.Dial(o)
	require.NoError(t, err)
	defer c.Close()
	err = c.Ping(t.Context()).Err()
	require.ErrorContains(t, err, "WRONGPASS")
	require.True(t, cache.IsPermanent(err))
	explained := o.Explain(err, cache.Names{Servers: "servers", Username: "username", Password: "password"})
	require.ErrorContains(t, explained, "redis at "+server.Addr()+": WRONGPASS")
	require.ErrorContains(t, explained, "; check 'username', 'password', 'servers'")
	require.Equal(t, []string{server.Addr()}, o.Addrs())
}
