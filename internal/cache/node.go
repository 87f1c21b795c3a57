package cache

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// Node returns the address of the server that has the keys of a table in a cluster. It returns "" if there is no cluster,
// or if no server of it answers. All keys of a table are in one slot, so the server of the version has all of them.
func (w *Writer) Node(ctx context.Context, t record.Table) string {
	if node := nodeOf(ctx, w.client, versionKey(t)); node != nil {
		return node.Options().Addr
	}
	return ""
}

// serverOf returns the client of the node that has the table, or the writer's client without a cluster.
func (w *Writer) serverOf(ctx context.Context, t record.Table) redis.Cmdable {
	if node := nodeOf(ctx, w.client, versionKey(t)); node != nil {
		return node
	}
	return w.client
}

// nodeOf returns the client of the node of a cluster that has the key, or nil if there is no cluster or none that
// answers. For a single address it is also nil before the first command, which finds out whether there is a cluster.
func nodeOf(ctx context.Context, client redis.UniversalClient, key string) *redis.Client {
	var cluster *redis.ClusterClient
	switch c := client.(type) {
	case *redis.ClusterClient:
		cluster = c
	case *oneServer:
		cluster = c.topology.cluster.Load() // the first command finds it
	}
	if cluster == nil {
		return nil
	}
	node, err := cluster.MasterForKey(ctx, key)
	if err != nil {
		return nil
	}
	return node
}

// clusterOf returns the client of the cluster behind a client, or nil if there is none.
func clusterOf(ctx context.Context, client redis.UniversalClient) (*redis.ClusterClient, error) {
	switch c := client.(type) {
	case *redis.ClusterClient:
		return c, nil
	case *oneServer:
		return c.topology.find(ctx)
	}
	return nil, nil //nolint:nilnil // documented above
}

// eachPrimary calls do for each primary of a cluster, concurrently, or once for a client without a cluster. It waits for all calls, and
// returns one of their errors.
func eachPrimary(ctx context.Context, client redis.UniversalClient, do func(ctx context.Context, client redis.Cmdable) error) error {
	cluster, err := clusterOf(ctx, client)
	switch {
	case err != nil:
		return err
	case cluster == nil:
		return do(ctx, client)
	}
	return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return do(ctx, node) })
}
