package cache

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// Each node of the cluster has a certificate for its own address only.
func TestEachConnectionIsVerifiedAgainstTheHostThatItDials(t *testing.T) {
	addrs, authorities := redistest.TLSCluster(t)
	pem, err := os.ReadFile(authorities)
	require.NoError(t, err)
	for first := range addrs {
		o := DialOptions{Timeout: 5 * time.Second}
		for i := range addrs {
			o.Servers = append(o.Servers, "rediss://"+addrs[(first+i)%len(addrs)])
		}
		u, err := o.universal()
		require.NoError(t, err)
		u.TLSConfig.RootCAs = x509.NewCertPool() // in place of the system's
		require.True(t, u.TLSConfig.RootCAs.AppendCertsFromPEM(pem))
		client := redis.NewUniversalClient(u)
		s := storeOf(t, client, nil)
		for i := range 10 { // on all nodes
			require.NoError(t, s.Put(t.Context(), record.Table{Database: "db", Name: fmt.Sprint("analytics_", i)}, []record.Record{rec(60, "f", "h", 1)}))
		}
		require.NoError(t, s.Close(10*time.Second))
		require.NoError(t, client.Close())
	}
}

func TestNoHostIsPinnedForTheConnectionsOfSentinel(t *testing.T) {
	u, err := DialOptions{Servers: []string{"rediss://sentinel"}, MasterName: "main"}.universal()
	require.NoError(t, err)
	require.Empty(t, u.TLSConfig.ServerName, "the primary has another host")
}

func TestPartsOfAURLThatWouldNotCountAreRefused(t *testing.T) {
	const likeURL = `, want a URL such as "redis://127.0.0.1:6379"`
	for servers, want := range map[string]string{
		"redis://h?read_timeout=9s":            `server "redis://h": a URL cannot have the option "read_timeout", only "db"` + likeURL,
		"redis://u:secret@h/1?password=secret": `server "redis://u:xxxxx@h/1": a URL cannot have the option "password", only "db"` + likeURL,
		"rediss://h?skip_verify=true":          `server "rediss://h": a URL cannot have the option "skip_verify", only "db"` + likeURL,
		"redis://h?%zz":                        `server "redis://h": what follows the "?" is no option` + likeURL,
		"redis://h/1?db=2":                     `server "redis://h/1": it has more than one database` + likeURL,
		"redis://h?db=1&db=2":                  `server "redis://h": it has more than one database` + likeURL,
		"redis://h/-1":                         `server "redis://h/-1": database -1, want 0 or more` + likeURL,
		"redis://h#secret":                     `server "redis://h": a URL cannot have a "#"` + likeURL,
		"redis://u:12?secret@h":                `a server's URL has an "@" behind its host, want what is special in a password percent-encoded, such as %2F for "/"`,
		"redis://u:12#secret@h":                `a server's URL has an "@" behind its host, want what is special in a password percent-encoded, such as %2F for "/"`,
		"redis://u:12/secret@h":                `a server's URL has an "@" behind its host, want what is special in a password percent-encoded, such as %2F for "/"`,
		"unix://run/r.sock":                    `server "unix://run/r.sock": a socket has no host, found "run" and want three slashes, as in "unix:///run/redis.sock"` + likeURL,
		"redis://a unix:///run/r.sock":         `server "unix:///run/r.sock": a socket is that of a single server, want it alone, without a cluster or Sentinels`,
		"unix:///run/r.sock redis://a":         `server "unix:///run/r.sock": a socket is that of a single server, want it alone, without a cluster or Sentinels`,
		"redis://a rediss://b":                 `server "rediss://b": it is another kind than the first, "redis://a", want all servers to be "redis://" or all "rediss://"`,
		"rediss://a redis://b":                 `server "redis://b": it is another kind than the first, "rediss://a", want all servers to be "redis://" or all "rediss://"`,
		"redis://u:secret@a redis://u:other@b": `server "redis://u:xxxxx@b": it has other credentials than the first, "redis://u:xxxxx@a", which count for all servers, want the same or none`,
		"redis://a redis://b redis://:x@c":     `server "redis://:xxxxx@c": it has other credentials than the first, "redis://a", which count for all servers, want the same or none`,
		"redis://a redis://b/1":                `server "redis://b/1": it has database 1 and the first, "redis://a", has 0, which counts for all servers, want the same or none`,
	} {
		require.EqualError(t, DialOptions{Servers: strings.Fields(servers)}.Check(), want, servers)
	}
	for servers, want := range map[string]string{
		"unix:///run/r.sock":      "a socket is that of a single server",
		"redis://a/3 redis://b/0": "it has database 0 and the first, \"redis://a/3\", has 3",
	} {
		require.ErrorContains(t, DialOptions{Servers: strings.Fields(servers), MasterName: "main"}.Check(), want, servers)
	}
	for _, servers := range []string{
		"redis://u:p@a/ redis://b", "redis://u:p@a/0 redis://u:p@b", "rediss://a rediss://b/0", "redis://u:p%40%2F@a?db=3", "unix:///run/r@1.sock?db=2",
	} {
		require.NoError(t, DialOptions{Servers: strings.Fields(servers)}.Check(), servers)
	}
	require.NoError(t, DialOptions{Servers: []string{"redis://a/3", "redis://b/3", "redis://c"}, MasterName: "main"}.Check())
}

func TestTheSocketOfAServer(t *testing.T) {
	dir, err := os.MkdirTemp("", "") //nolint:usetesting // the path of a socket is short
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "redis.sock")
	server := redistest.Start(t, redisserver.Options{Password: "secret", Args: []string{"--unixsocket", socket}})
	o := DialOptions{Servers: []string{"unix://:secret@" + socket + "?db=2"}, Timeout: 5 * time.Second}
	client, err := Dial(o)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Set(t.Context(), "key", "value", 0).Err())
	other := redis.NewClient(&redis.Options{Addr: server.Addr(), Password: "secret", DB: 2})
	defer other.Close()
	require.Equal(t, "value", other.Get(t.Context(), "key").Val())
	require.Equal(t, []string{socket}, o.Addrs())
}
