package state_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func TestMuchLogBetweenTwoCommitsIsWrittenEarlier(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s, m, h := withBucket(t, o, "m")
	rows, times := make([]float64, 100_000), make([]int64, 100_000)
	for i := range rows {
		rows[i], times[i] = rand.Float64(), rand.Int64()
	}
	for range 6 { // the log is written at 8 MiB, and these are 16 bytes each
		s.Rows(h, 1, []string{"a"}, rows, times)
		m.add(h, []string{"a"}, rows, times)
	}
	require.Eventually(t, func() bool { return s.Stats().Saved > 0 }, waitFor, tick)
	require.NoError(t, s.Close())
	_, again, _ := reopen(t, o.Dir)
	require.Equal(t, m.snapshot(), again.snapshot())
}

func TestABlockOfMoreValuesThanARecordHasIsReplayed(t *testing.T) {
	if testing.Short() {
		t.Skip("two million values take seconds with the race detector")
	}
	t.Parallel()
	o := options(t, t.TempDir())
	s, m, h := withBucket(t, o, "m")
	fields := []string{"a", "b", "c"}
	rows := make([]float64, 3*700_000) // a record has at most 1<<21
	times := make([]int64, len(rows)/3)
	for i := range rows {
		rows[i] = float64(i % 97)
		times[i/3] = int64(i * i)
	}
	s.Rows(h, 1, fields, rows, times)
	m.add(h, fields, rows, times)
	require.NoError(t, s.Close())
	_, again, _ := reopen(t, o.Dir)
	require.Equal(t, m.snapshot(), again.snapshot())
}

// A value may be late for a bucket that became final in the same moment.
func TestAFinalBucketIsFoundBeforeAndWhileItIsEncoded(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, options(t, t.TempDir()))
	const n = 300
	for i := range int64(n) {
		b := bucketOf("m", i*hour)
		h := s.OpenBucket(b)
		b.Fields, b.Summaries = []string{"a"}, []stats.Summary{stats.New(stats.DefaultExactLimit)}
		for v := range 500 {
			b.Summaries[0].Add(float64((v*7919+int(i))%1009) / 3)
		}
		s.Final(h, b)
	}
	check := func(i int64) {
		b, ok, err := s.Find("m", i*hour)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, uint64(500), b.Summaries[0].Count())
	}
	check(0)
	committed := make(chan error)
	go func() { committed <- s.Commit() }()
	for i := range int64(n) {
		check(n - 1 - i)
	}
	require.NoError(t, <-committed)
	stored(t, s)
	check(n / 2)
}

func TestUnknownHandlesAndEmptyBlocksHaveNoEffect(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, options(t, t.TempDir()))
	s.Rows(77, 1, []string{"a"}, []float64{1}, nil)
	s.Demoted(77, "a")
	s.Snapshot(77, bucketOf("m", 0))
	s.Final(77, bucketOf("m", 0))
	require.False(t, s.Old(77))
	h := s.OpenBucket(bucketOf("m", 0))
	before := s.Stats().PendingBytes
	s.Rows(h, 1, nil, nil, nil)
	s.Rows(h, 1, []string{"a"}, nil, nil)
	require.Equal(t, before, s.Stats().PendingBytes)
}

// A file of the log is read in parts. Frames and damage at the end of a part are read as those within it.
func TestPartsOfAFileHideNoFrame(t *testing.T) {
	t.Parallel()
	const junk = "\xf5TD" // the beginning of a frame, but not the whole mark of one
	first, second := bytes.Repeat([]byte("a"), 1000), bytes.Repeat([]byte("b"), 2000)
	b := state.AppendLog(make([]byte, 0, state.ReadBytes+4000), 1, first)
	start := len(b)
	step := 1
	if testing.Short() {
		step = 7
	}
	for at := state.ReadBytes - 60; at < state.ReadBytes+10; at += step {
		damaged := at - start
		b = append(b[:start], bytes.Repeat([]byte(junk), damaged/len(junk)+1)[:damaged]...)
		b = state.AppendLog(b, 2, second)
		payloads, before, after, err := state.ReadLog(bytes.NewReader(append(b, junk...)), len(b)+len(junk))
		require.NoError(t, err)
		require.Len(t, payloads, 2, at)
		require.True(t, bytes.Equal(first, payloads[0]) && bytes.Equal(second, payloads[1]), at)
		require.Equal(t, damaged, before, at)
		require.Equal(t, len(junk), after, at)
	}
}

func TestAFileOfTheLogThatChangesItsSizeIsReadWhole(t *testing.T) {
	t.Parallel()
	payloads := [][]byte{bytes.Repeat([]byte("a"), 10), bytes.Repeat([]byte("b"), 40_000), bytes.Repeat([]byte("c"), 1500)}
	var b []byte
	for i, payload := range payloads {
		b = state.AppendLog(b, uint64(i+1), payload)
	}
	for _, size := range []int{0, 1, 7, 100, len(b) / 2, len(b) - 1, len(b), len(b) + 1, 100 * len(b)} {
		got, damaged, torn, err := state.ReadLog(iotest.OneByteReader(bytes.NewReader(b)), size)
		require.NoError(t, err)
		require.Equal(t, payloads, got, size)
		require.Zero(t, damaged+torn, size)
	}
}

func TestAnErrorOfAFileOfTheLogIsReturned(t *testing.T) {
	t.Parallel()
	b := state.AppendLog(nil, 1, []byte("a"))
	payloads, _, _, err := state.ReadLog(io.MultiReader(bytes.NewReader(b), iotest.ErrReader(io.ErrNoProgress)), len(b))
	require.ErrorIs(t, err, io.ErrNoProgress)
	require.Empty(t, payloads, "a part of a file that cannot be read is not used")
}
