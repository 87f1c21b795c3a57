package cache_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestAReaderWarnsOfEviction(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	r := cache.NewReader(dial(t, cache.DialOptions{Servers: []string{"redis://" + s.Addr()}}))
	for policy, want := range map[string][]string{
		"noeviction": nil,
		"allkeys-lru": {
			"maxmemory-policy of Redis is allkeys-lru, want noeviction: records are removed when the memory of Redis is full",
		},
	} {
		require.NoError(t, redistest.Client(t, s).ConfigSet(t.Context(), "maxmemory-policy", policy).Err())
		got, err := r.Warnings(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.NoError(t, s.Stop())
	_, err := r.Warnings(t.Context())
	require.ErrorContains(t, err, "connection refused")
}

func TestAServerThatDoesNotNameItsPolicyHasNoWarning(t *testing.T) {
	t.Parallel()
	memory, _ := inProcess(t)
	got, err := cache.NewReader(memory).Warnings(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
	got, err = cache.NewReader(user(t, writerACL)).Warnings(t.Context())
	require.NoError(t, err)
	require.Empty(t, got)
}

// The warnings have the address of each node, also if only one of them was given.
func TestEachPrimaryOfAClusterHasItsWarning(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	require.NoError(t, redistest.Open(t, addrs[2]).ConfigSet(t.Context(), "maxmemory-policy", "volatile-ttl").Err())
	got, err := cache.NewReader(dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[0]}})).Warnings(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"maxmemory-policy of Redis at " + addrs[2] + " is volatile-ttl, want noeviction: records are removed when the memory of Redis is full"}, got)
}
