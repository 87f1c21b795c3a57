package state_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
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
	commits := 100
	if testing.Short() {
		commits = 30
	}
	for range commits {
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

// Each call of Rows has the number of rows that later calls will have, unless the rows of a bucket have several lists of fields.
func TestAReplayKnowsHowManyRowsWillCome(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	one, two := s.OpenBucket(bucketOf("m,host=1", 0)), s.OpenBucket(bucketOf("m,host=2", 0))
	s.Rows(one, 1, []string{"a"}, []float64{1, 2}, nil)
	s.Snapshot(one, bucketOf("m,host=1", 0)) // the replay begins here
	for i := range 3 {
		v := float64(i)
		s.Rows(one, 1, []string{"a"}, []float64{v, v + 0.5, v}, nil)
		s.Rows(one, 1, []string{"a"}, []float64{v}, nil)
		s.Rows(two, 0, []string{"a"}, []float64{v}, nil)
		s.Rows(two, 0, []string{"b"}, []float64{v}, nil)
		require.NoError(t, s.Commit())
	}
	s.Abandon()
	s = mustOpen(t, state.WithWindow(o, 128)) // each commit is a window
	m := counting{model: newModel(s), calls: map[uint64][]string{}}
	require.NoError(t, s.Replay(&m))
	require.Equal(t, []string{"4 and 8", "4 and 4", "4 and 0"}, m.calls[one])
	require.Equal(t, []string{"1 and 0", "1 and 0", "1 and 0", "1 and 0", "1 and 0", "1 and 0"}, m.calls[two])
}

// With many open buckets, a replay collects more of a long log, so that it visits each bucket less often. The memory for that is bounded.
func TestManyOpenBucketsHaveALargerWindow(t *testing.T) {
	t.Parallel()
	const mega, giga = 1 << 20, 1 << 30
	for _, c := range []struct{ buckets, log, want int }{
		{0, 0, 48 * mega},
		{100_000, 48 * mega, 48 * mega},
		{1000, 49 * mega, 32 * mega},
		{1000, 10 * giga, 32 * mega},
		{100_000, 100 * mega, 32 * mega},
		{100_000, 200 * mega, 50 * mega},
		{100_000, 10 * giga, 102_400_000},
		{10_000_000, 10 * giga, 512 * mega},
	} {
		require.Equal(t, c.want, state.WindowOf(c.buckets, int64(c.log)), "%+v", c)
	}
	require.Equal(t, state.WindowOf(0, 0), mustOpen(t, options(t, t.TempDir())).Window())
}

// counting is a model that also notes the numbers of rows of each call of Rows, by handle.
type counting struct {
	*model
	mu    sync.Mutex // guards calls
	calls map[uint64][]string
}

func (c *counting) Rows(handle uint64, fields []string, columns []float64, times []int64, blocks []int, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[handle] = append(c.calls[handle], fmt.Sprintf("%d and %d", len(columns)/len(fields), more))
	c.model.Rows(handle, fields, columns, times, blocks, more)
}

// An hour of buckets of a minute is no more series than one of these buckets.
func TestTheNumberOfSeriesIsThatOfTheBucketsOfOneStart(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	require.Zero(t, s.Series())
	for i := range 12 {
		s.OpenBucket(bucketOf(fmt.Sprint("m,host=", i%3), int64(i/3)*hour))
	}
	require.NoError(t, s.Commit())
	s.Abandon()
	require.Equal(t, 3, mustOpen(t, o).Series())
}

// replayed opens the store and replays it.
func replayed(t *testing.T, o state.Options) (*state.Store, *model) {
	t.Helper()
	s := mustOpen(t, o)
	m := newModel(s)
	require.NoError(t, s.Replay(m))
	return s, m
}
