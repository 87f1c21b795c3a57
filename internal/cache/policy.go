package cache

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// wantPolicy is the maxmemory-policy with which Redis loses nothing when its memory is full: it refuses writes, and the
// writers keep the records.
const wantPolicy = "noeviction"

// Warnings returns a sentence for each maxmemory-policy of the primaries that is not noeviction, with the sorted addresses of the
// cluster's nodes that have it; without a cluster they are nil. Such a server removes records when its memory is full. A server that
// does not allow INFO, or does not name its policy, has no warning. An error means that a server did not answer; the warnings of the
// others are returned beside it.
//
// No sentence has an address: GET /ready answers with the sentences, and needs no token. The addresses are for the log.
func (r *Reader) Warnings(ctx context.Context) (map[string][]string, error) {
	var mu sync.Mutex // eachPrimary calls concurrently
	warnings := make(map[string][]string)
	err := eachPrimary(ctx, r.client, func(ctx context.Context, client redis.Cmdable) error {
		info, err := client.Info(ctx, "memory").Result()
		if err != nil && !IsAnswer(err) {
			return err
		}
		if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != wantPolicy {
			mu.Lock()
			defer mu.Unlock()
			text := fmt.Sprintf("maxmemory-policy of Redis is %s, want %s: records are removed when the memory of Redis is full", policy, wantPolicy)
			warnings[text] = append(warnings[text], addressOf(client)...)
		}
		return nil
	})
	for _, addresses := range warnings {
		slices.Sort(addresses)
	}
	return warnings, err
}

// infoField returns a field of the answer to INFO, or "". The answer has a line "name:value" for each, and lines such as "# Memory"
// between them.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// addressOf returns the address of a node of a cluster, or nil for another client.
func addressOf(client redis.Cmdable) []string {
	if node, ok := client.(*redis.Client); ok {
		return []string{node.Options().Addr}
	}
	return nil
}
