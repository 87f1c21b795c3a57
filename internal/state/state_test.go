package state_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// id identifies a bucket.
type id struct {
	series string
	start  int64
}

// model is what an engine holds: the open buckets by handle, and what the final ones must be.
type model struct {
	store *state.Store
	open  map[uint64]*state.Bucket
	final map[id]string
	now   time.Time
}

func newModel(store *state.Store) *model {
	return &model{store: store, open: map[uint64]*state.Bucket{}, final: map[id]string{}, now: epoch}
}

var epoch = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func (m *model) Open(handle uint64, b state.Bucket) error {
	if m.open[handle] != nil {
		return fmt.Errorf("handle %d is open", handle)
	}
	m.open[handle] = &b
	return nil
}

func (m *model) Rows(handle uint64, fields []string, columns []float64, times []int64, blocks []int, _ int) {
	rows := make([]float64, len(columns))
	for i, v := range columns {
		n := len(columns) / len(fields)
		rows[i%n*len(fields)+i/n] = v
	}
	for _, n := range blocks {
		var at []int64
		if times != nil {
			at, times = times[:n], times[n:]
		}
		m.add(handle, fields, rows[:n*len(fields)], at)
		rows = rows[n*len(fields):]
	}
}

// add adds rows as one block.
func (m *model) add(handle uint64, fields []string, rows []float64, times []int64) {
	b := m.open[handle]
	for f, field := range fields {
		var column []float64
		for i := f; i < len(rows); i += len(fields) {
			column = append(column, rows[i])
		}
		m.summary(b, field).AddAll(column, times)
	}
}

func (m *model) summary(b *state.Bucket, field string) *stats.Summary {
	i := slices.Index(b.Fields, field)
	if i < 0 {
		i = len(b.Fields)
		b.Fields = append(b.Fields, field)
		b.Summaries = append(b.Summaries, stats.Summary{})
	}
	return &b.Summaries[i]
}

func (m *model) Demoted(handle uint64, field string) { m.summary(m.open[handle], field).Demote() }

func (m *model) Lent(uint64, []string) {}

func (m *model) Final(handle uint64) (state.Bucket, bool) {
	b, ok := m.open[handle]
	if !ok {
		return state.Bucket{}, false
	}
	m.final[id{b.Series, b.Start}] = text(*b)
	delete(m.open, handle)
	return *b, true
}

// text returns the contents of a bucket, to the last bit, but for the order of its fields and the time of its last
// value.
func text(b state.Bucket) string {
	fields := make([]int, 0, len(b.Summaries)) // with values, ascending by name
	for i := range b.Summaries {
		if b.Summaries[i].Count() > 0 {
			fields = append(fields, i)
		}
	}
	slices.SortFunc(fields, func(i, j int) int { return strings.Compare(b.Fields[i], b.Fields[j]) })
	s := fmt.Appendf(nil, "%s [%d, %d) revision %d", b.Series, b.Start, b.End, b.Revision)
	var encoded []byte
	for _, i := range fields {
		encoded, _ = b.Summaries[i].AppendBinary(encoded[:0])
		s = hex.AppendEncode(append(append(append(s, ' '), b.Fields[i]...), '='), encoded)
	}
	return string(s)
}

// snapshot returns the texts of the open buckets by handle.
func (m *model) snapshot() map[uint64]string {
	all := map[uint64]string{}
	for handle, b := range m.open {
		all[handle] = text(*b)
	}
	return all
}

func options(t testing.TB, dir string) state.Options {
	return state.Options{
		Dir: dir, Identity: map[string]string{"bucket": "1h"}, Replay: 10 * time.Minute,
		Log: func(format string, args ...any) { t.Logf(format, args...) },
		Now: func() time.Time { return epoch },
	}
}

// clocked returns options of a store in a new folder with a clock that the test sets. A retention of 0 is the default.
func clocked(t testing.TB, retention time.Duration) (state.Options, *clock) {
	o, c := options(t, t.TempDir()), newClock()
	o.Now, o.Owner, o.Retention = c.now, "me", retention
	return o, c
}

// withBucket returns a new store and its model with an open bucket of that series, and the handle of the bucket.
func withBucket(t testing.TB, o state.Options, series string) (*state.Store, *model, uint64) {
	t.Helper()
	s := mustOpen(t, o)
	m := newModel(s)
	b := bucketOf(series, 0)
	h := s.OpenBucket(b)
	require.NoError(t, m.Open(h, b))
	return s, m, h
}

func mustOpen(t testing.TB, o state.Options) *state.Store {
	t.Helper()
	s, err := state.Open(o)
	require.NoError(t, err)
	t.Cleanup(s.Abandon)
	return s
}

const hour = int64(time.Hour)

func bucketOf(series string, start int64) state.Bucket {
	return state.Bucket{Series: series, Start: start, End: start + hour, Touched: epoch.UnixNano()}
}

func TestOpenBucketsAreReplayedToTheLastBit(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s, m, h := withBucket(t, o, "cpu,host=a")
	fields := []string{"usage", "steal", "whole"}
	rows := []float64{0.1, 0, 3, 1e300, 0, math.NaN(), 0, 0, -7, math.Copysign(0, -1), 0, 1 << 50}
	times := []int64{1, -5, math.MaxInt64, math.MinInt64}
	s.Rows(h, 7, fields, rows, times)
	m.add(h, fields, rows, times)
	s.Rows(h, 0, []string{"late"}, []float64{42}, []int64{3})
	m.add(h, []string{"late"}, []float64{42}, []int64{3})
	s.Demoted(h, "usage")
	m.Demoted(h, "usage")
	require.NoError(t, s.Commit())
	s.Rows(h, 7, fields, rows[:3], times[:1])
	m.add(h, fields, rows[:3], times[:1])
	require.NoError(t, s.Close())

	s = mustOpen(t, o)
	require.True(t, s.Clean())
	again := newModel(s)
	require.NoError(t, s.Replay(again))
	require.Equal(t, m.snapshot(), again.snapshot())
}

func TestFinalBucketsAreFoundBeforeAndAfterTheWriterAndARestart(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{true, false} {
		o := options(t, t.TempDir())
		if frozen {
			o = state.Frozen(o)
		}
		s := mustOpen(t, o)
		b := bucketOf("cpu", 5*hour)
		b.Revision = 3
		h := s.OpenBucket(b)
		b.Fields, b.Summaries = []string{"empty", "a"}, make([]stats.Summary, 2)
		b.Summaries[1].AddAll([]float64{1, 2, 3.5}, nil)
		s.Rows(h, 1, []string{"a"}, []float64{1, 2, 3.5}, nil)
		s.Final(h, b)
		check := func() {
			got, ok, err := s.Find("cpu", 5*hour)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, text(b), text(got))
			require.Equal(t, b.Touched, got.Touched)
			require.Equal(t, []string{"a"}, got.Fields)
			for _, other := range []id{{"cpu", 4 * hour}, {"cp", 5 * hour}, {"cpu,host=a", 5 * hour}} {
				_, ok, err = s.Find(other.series, other.start)
				require.NoError(t, err)
				require.False(t, ok)
			}
		}
		check()
		require.NoError(t, s.Commit())
		require.NoError(t, s.Close())
		s = mustOpen(t, o)
		require.Equal(t, frozen, s.Stats().Open == 1, "only a frozen writer leaves it to the log")
		require.NoError(t, s.Replay(newModel(s)))
		check()
	}
}

func TestLongSeriesKeysAreStored(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	long := strings.Repeat("a", 70_000)
	for _, series := range []string{long, long + "b"} {
		b := bucketOf(series, 0)
		h := s.OpenBucket(b)
		b.Fields, b.Summaries = []string{"f"}, make([]stats.Summary, 1)
		b.Summaries[0].Add(float64(len(series)))
		s.Final(h, b)
	}
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	for _, series := range []string{long, long + "b"} {
		b, ok, err := s.Find(series, 0)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, float64(len(series)), b.Summaries[0].Max())
	}
}

// copyFolder copies the files of a store as a crash would leave them.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(to, 0o700))
	entries, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, e.Name()), b, 0o600))
	}
}

// cut shortens the newest file of the log by up to most bytes.
func cut(t testing.TB, folder string, r *rand.Rand, most int64) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(folder, "log-*"))
	require.NoError(t, err)
	if len(logs) == 0 || most <= 0 {
		return
	}
	path := logs[len(logs)-1]
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(path, max(0, info.Size()-r.Int64N(most+1))))
}
