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

// Warnings returns a sentence for each primary whose maxmemory-policy is not noeviction, sorted. Such a server removes
// records when its memory is full. A server that does not allow INFO, or does not name its policy, has no warning. An
// error means that a server did not answer.
func (r *Reader) Warnings(ctx context.Context) ([]string, error) {
	var mu sync.Mutex // eachPrimary calls concurrently
	var warnings []string
	err := eachPrimary(ctx, r.client, func(ctx context.Context, client redis.Cmdable) error {
		info, err := client.Info(ctx, "memory").Result()
		if err != nil && !IsAnswer(err) {
			return err
		}
		if policy := infoField(info, "maxmemory_policy"); policy != "" && policy != wantPolicy {
			mu.Lock()
			defer mu.Unlock()
			warnings = append(warnings, fmt.Sprintf("maxmemory-policy of Redis%s is %s, want %s: records are removed when the memory of Redis is full",
				addressOf(client), policy, wantPolicy))
		}
		return nil
	})
	slices.Sort(warnings)
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

// addressOf returns " at " and the address of a node of a cluster, or "" for another client.
func addressOf(client redis.Cmdable) string {
	if node, ok := client.(*redis.Client); ok {
		return " at " + node.Options().Addr
	}
	return ""
}
