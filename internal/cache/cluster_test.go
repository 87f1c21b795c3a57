package cache_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// A short ping of a cluster, one of whose servers does not answer, may begin with that server.
func TestAPingDoesNotWaitForAServerOfAClusterThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	for _, servers := range [][]string{addrs[:1], addrs} {
		var o cache.DialOptions
		for _, addr := range servers {
			o.Servers = append(o.Servers, "redis://"+addr)
		}
		reader := cache.NewReader(dial(t, o))
		require.NoError(t, reader.Ping(t.Context()))
		resume := redistest.Pause(t, addrs[2])
		for range 10 { // a ping that waits for the server ends with an error, as the client does not give up before
			ctx, cancel := context.WithTimeout(t.Context(), patience/2)
			require.NoError(t, reader.Ping(ctx))
			cancel()
		}
		resume()
	}
}
