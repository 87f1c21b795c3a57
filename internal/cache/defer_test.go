package cache_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestDeferredRecordsAreWrittenWhenTheServerAnswersAgain(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	client := redistest.Client(t, s)
	w := keeping(t, client, whileAway(t))
	put(t, w, table, revised(1, 1), of(record.Open, 120, "f", 1))
	other := record.Table{Database: "db", Name: "analytics_new"}
	require.NoError(t, s.Stop())
	require.True(t, w.Defer(table, []record.Record{revised(3, 3), of(record.Open, 180, "f", 2)}))
	require.True(t, w.Defer(table, []record.Record{revised(2, 2), of(record.Open, 180, "f", 3)}))
	require.True(t, w.Defer(other, []record.Record{rec(60, "f", "h", 4)}))
	waiting, written, lost := w.Waiting()
	require.Equal(t, []int64{3, 0, 0}, []int64{waiting, written, lost})

	redistest.Start(t, redisserver.Options{Addr: s.Addr()})
	// The mark shows that the server has lost the bucket that does not wait.
	eventually(t, client, table, revised(3, 3), of(record.Open, 120, "f", 1), of(record.Open, 180, "f", 3))
	eventually(t, client, other, rec(60, "f", "h", 4))
	require.Eventually(t, func() bool { return len(tablesOf(t, client)) == 2 }, patience, 10*time.Millisecond)
	require.Equal(t, []string{"f"}, fieldsOf(t, client, other))
	require.Eventually(t, func() bool { waiting, written, _ := w.Waiting(); return waiting == 0 && written >= 1 }, patience, 10*time.Millisecond)
	require.NoError(t, w.Close(patience)) // before the server ends
}

func TestARecordOfALaterPutIsNotReplacedByADeferredOne(t *testing.T) {
	t.Parallel()
	for range 10 {
		client := server(t)
		w := keeping(t, client, withoutCompat)
		require.True(t, w.Defer(table, []record.Record{of(record.Open, 60, "f", 1), of(record.Open, 60, "g", 1)}))
		put(t, w, table, of(record.Open, 60, "f", 2))
		eventually(t, client, table, of(record.Open, 60, "f", 2), of(record.Open, 60, "g", 1))
		require.NoError(t, w.Close(patience))
		require.Equal(t, jsonOf(of(record.Open, 60, "f", 2), of(record.Open, 60, "g", 1)), all(t, client, table, record.Range{}))
	}
}

// Records that were written make room for those that wait, and of those the oldest are lost.
func TestDeferredRecordsAreBoundedAndTheLossIsCounted(t *testing.T) {
	t.Parallel()
	s := redistest.Server(t)
	w := cache.NewWriter(redistest.Client(t, s), cache.Options{Retention: time.Hour, RecentBytes: 60_000})
	bucket := func(start int64) (records []record.Record) {
		for i := range 60 {
			records = append(records, of(record.Open, start, fmt.Sprint("f", i), 1))
		}
		return records
	}
	put(t, w, table, bucket(0)...)
	require.NoError(t, s.Stop())
	for start := range int64(5) {
		require.True(t, w.Defer(table, bucket(60+start)))
	}
	waiting, _, lost := w.Waiting()
	_, size, dropped := w.Recent()
	require.Equal(t, []int64{120, 180, 60}, []int64{waiting, lost, dropped})
	require.LessOrEqual(t, size, int64(60_000))
	require.ErrorContains(t, w.Close(time.Second), "120 records could not be written: their servers do not answer")
	require.False(t, w.Defer(table, bucket(0)), "the writer is closed")
	require.False(t, cache.NewWriter(redistest.Client(t, s), cache.Options{Retention: time.Hour}).Defer(table, bucket(0)), "it keeps nothing")
}
