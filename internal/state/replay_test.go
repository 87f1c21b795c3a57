package state_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
)

// Blocks of many series come one after another in the log, and a replay collects those of a bucket.
func TestTheBlocksOfABucketAreReplayedInOrderHoweverManyAreCollected(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	m := newModel(s)
	handles := make([]uint64, 50)
	for i := range handles {
		b := bucketOf(fmt.Sprint("m,host=", i%40), int64(i/40)*hour) // some series have two buckets
		handles[i] = s.OpenBucket(b)
		require.NoError(t, m.Open(handles[i], b))
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		for _, h := range handles {
			fields := schemas[1+r.IntN(len(schemas)-1)]
			rows := make([]float64, (1+r.IntN(20))*len(fields))
			for i := range rows {
				rows[i] = r.NormFloat64()
			}
			var times []int64
			if r.IntN(2) == 0 {
				times = make([]int64, len(rows)/len(fields))
				for i := range times {
					times[i] = r.Int64N(1000)
				}
			}
			number := uint64(len(fields)) // different for the lists above, but for two of one field
			if len(fields) == 1 {
				number = 0
			}
			s.Rows(h, number, fields, rows, times)
			m.add(h, fields, rows, times)
			if r.IntN(50) == 0 {
				s.Demoted(h, fields[0])
				m.Demoted(h, fields[0])
			}
		}
		require.NoError(t, s.Commit())
	}
	s.Abandon()
	for _, window := range []int{0, 1, 1000, 100_000} {
		s, again := replayed(t, state.WithWindow(o, window))
		require.Equal(t, m.snapshot(), again.snapshot(), "window %d", window)
		s.Abandon()
	}
}

// replayed opens the store and replays it.
func replayed(t *testing.T, o state.Options) (*state.Store, *model) {
	t.Helper()
	s, err := state.Open(o)
	require.NoError(t, err)
	m := newModel(s)
	require.NoError(t, s.Replay(m))
	return s, m
}
