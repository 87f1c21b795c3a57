package cache

import (
	"crypto/x509"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
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
			require.NoError(t, s.Put(t.Context(), Table{"db", fmt.Sprint("analytics_", i)}, []record.Record{rec(60, "f", "h", 1)}))
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
