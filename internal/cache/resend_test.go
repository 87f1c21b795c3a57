package cache_test

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// A client whose timeout is over before the answer to a transaction sends it again. Redis then runs it twice.
func TestATransactionThatIsSentTwiceIsNoLoss(t *testing.T) {
	t.Parallel()
	eachVersion(t, func(t *testing.T, client redis.UniversalClient) {
		client.AddHook(pipelines(func(commands []redis.Cmder, next func() error) error {
			err := next()
			if named(commands, "hset") > 0 && named(commands, "multi") > 0 {
				err = next()
			}
			return err
		}))
		table := newTable()
		w := keeping(t, client, func(o *cache.Options) {
			o.CompatRecords = 0
			o.Restored = func(tables, records int) {
				t.Errorf("nothing is lost, but %d records of %d tables are written again", records, tables)
			}
		})
		for i := range 5 {
			put(t, w, table, of(record.Open, 60, "f", float64(i)), finalAt(0, "f", int64(i), float64(i)))
		}
		require.NoError(t, w.Audit(t.Context()))
		require.NoError(t, w.Close(patience))
	})
}
