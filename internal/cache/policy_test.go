package cache_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestAReaderWarnsOfEviction(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	r := cache.NewReader(dial(t, cache.DialOptions{Servers: []string{"redis://" + s.Addr()}}))
	for policy, want := range map[string]map[string][]string{
		"noeviction": {},
		"allkeys-lru": {
			"maxmemory-policy of Redis is allkeys-lru, want noeviction: records are removed when the memory of Redis is full": nil,
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

// The addresses are beside the warnings and not in them, because a client without a token gets the warnings. A node has its address also
// if only another one was given.
func TestTheWarningsOfAClusterHaveTheAddressesOfItsNodesBesideThem(t *testing.T) {
	t.Parallel()
	addrs := redistest.Cluster(t)
	for _, addr := range addrs[1:] {
		require.NoError(t, redistest.Open(t, addr).ConfigSet(t.Context(), "maxmemory-policy", "volatile-ttl").Err())
	}
	got, err := cache.NewReader(dial(t, cache.DialOptions{Servers: []string{"redis://" + addrs[0]}})).Warnings(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string][]string{
		"maxmemory-policy of Redis is volatile-ttl, want noeviction: records are removed when the memory of Redis is full": slices.Sorted(slices.Values(addrs[1:])),
	}, got)
}
