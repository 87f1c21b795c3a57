package profile_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const everyStatistic = "count min max sum mean range stddev variance median mode mode_count mode_error p0 p25 p75 p95 p99.9 iqr first last max_error"

// run describes a text.
func run(t *testing.T, content string, o profile.Options, fo file.Options) (*profile.Result, error) {
	t.Helper()
	return runFile(t, write(t, content), o, fo)
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "input")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func runFile(t *testing.T, path string, o profile.Options, fo file.Options) (*profile.Result, error) {
	t.Helper()
	if o.Selection == nil {
		o.Selection = selection(t, everyStatistic, stats.Linear)
	}
	o.Workers = max(o.Workers, 1)
	if o.ExactLimit == 0 {
		o.ExactLimit, o.TextLimit = stats.Unlimited, math.MaxInt
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = 1 << 30
	}
	fo.NeedTime = o.Grid != nil
	fo.Group, fo.Select = o.Group, o.Select
	r, err := file.NewReader([]string{path}, nil, &fo)
	require.NoError(t, err)
	return profile.Run(context.Background(), r, o)
}

func selection(t *testing.T, names string, m stats.Method) *stats.Selection {
	t.Helper()
	s, err := stats.NewSelection(strings.Fields(names), m)
	require.NoError(t, err)
	return s
}

func grid(t *testing.T, width string) *bucket.Grid {
	t.Helper()
	w, err := bucket.ParseWidth(width)
	require.NoError(t, err)
	g, err := bucket.NewGrid(w, time.Time{}, time.UTC)
	require.NoError(t, err)
	return &g
}

// show writes a row with all bits of its statistics.
func show(rows []profile.Row) string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s %v %s %s count=%d missing=%d distinct=%d exact=%t,%t top=%q*%d %s %s", r.Table, r.Start, r.Tags, r.Column, r.Type,
			r.Count, r.Missing, r.Distinct, r.Exact, r.DistinctExact, r.Top, r.TopCount, r.Earliest, r.Latest)
		for _, v := range r.Stats {
			fmt.Fprintf(&b, " %x", math.Float64bits(v))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// table has rows with a number of every sort, texts, gaps and cells of a wrong type.
func table(rows int) string {
	r := rand.New(rand.NewPCG(11, 12))
	var b strings.Builder
	b.WriteString("time,room,steps,normal,counter,flag,sparse,note\n")
	for i := range rows {
		at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 7 * time.Second)
		sparse := ""
		if r.IntN(10) == 0 {
			sparse = strconv.Itoa(r.IntN(1000))
		}
		note := fmt.Sprintf("n%d", r.IntN(3000))
		if r.IntN(50) == 0 {
			note = `"a ""quoted"", note` + "\n" + `of two lines"`
		}
		fmt.Fprintf(&b, "%s,r%d,%.1f,%.6f,%d,%t,%s,%s\n", at.Format(time.RFC3339), r.IntN(4), float64(r.IntN(60))/2, r.NormFloat64(), i, r.IntN(2) == 0, sparse, note)
	}
	return b.String()
}

// The result depends neither on the number of goroutines nor, if it is exact, on where the file is cut.
func TestResultDoesNotDependOnTheNumberOfWorkers(t *testing.T) {
	t.Parallel()
	rows := 20_000
	if testing.Short() {
		rows = 4000
	}
	content := table(rows)
	for name, o := range map[string]profile.Options{
		"exact":         {},
		"exact by hour": {Grid: grid(t, "1h"), Group: func(name string, _ bool) bool { return name == "room" }},
		"auto":          {ExactLimit: stats.DefaultExactLimit, TextLimit: 100},
		"auto by hour":  {ExactLimit: 64, TextLimit: 100, Grid: grid(t, "1h"), Group: func(name string, _ bool) bool { return name == "room" }},
		"little memory": {MemoryLimit: 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := ""
			for _, workers := range []int{1, 2, 7} {
				o.Workers = workers
				result, err := run(t, content, o, file.Options{Size: 32 << 10})
				require.NoError(t, err)
				require.Zero(t, result.BadCount, result.Bad)
				require.Equal(t, rows, result.Points)
				got := show(result.Rows)
				if want == "" {
					want = got
				}
				require.Equal(t, want, got, "%d workers", workers)
			}
			if strings.HasPrefix(name, "exact") {
				for _, size := range []int{500, 7001, 1 << 20} {
					result, err := run(t, content, o, file.Options{Size: size})
					require.NoError(t, err)
					require.Equal(t, want, show(result.Rows), "chunks of %d bytes", size)
				}
			}
		})
	}
}

// With a limit on memory the columns that hold most become estimates, and others stay exact.
func TestMemoryLimitDemotesTheLargestColumns(t *testing.T) {
	t.Parallel()
	result, err := run(t, table(20_000), profile.Options{MemoryLimit: 200_000}, file.Options{Size: 32 << 10})
	require.NoError(t, err)
	require.Positive(t, result.Demoted)
	exact := make(map[string]bool)
	for _, r := range result.Rows {
		exact[r.Column] = r.Exact
		if r.Column == "counter" {
			require.EqualValues(t, 20_000, r.Count)
			require.InEpsilon(t, 20_000, r.Distinct, .07)
			require.InEpsilon(t, 9999.5, r.Stats[8], .022, "median")
		}
	}
	require.Equal(t, map[string]bool{
		"time": false, "room": true, "steps": true, "normal": false, "counter": false, "flag": true, "sparse": true, "note": false,
	}, exact)
}

// Every statistic of every group is that of the oracle.
func TestExactResultsAgreeWithTheOracle(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 9))
	var b strings.Builder
	want := make(map[string][]float64)
	b.WriteString("ts;room;a;b\n")
	for i := range 5000 {
		hour, room := r.IntN(3), r.IntN(3)
		values := []float64{math.Round(r.NormFloat64()*1e3) / 1e3, float64(r.IntN(5))}
		fmt.Fprintf(&b, "2026-01-01 %02d:%02d:00;room %d;%v;%v\n", hour, i%60, room, values[0], values[1])
		for k, name := range []string{"a", "b"} {
			key := fmt.Sprintf("%d room %d %s", hour, room, name)
			want[key] = append(want[key], values[k])
		}
	}
	byRoom := func(name string, _ bool) bool { return name == "room" }
	result, err := run(t, b.String(), profile.Options{Grid: grid(t, "1h"), Group: byRoom, Workers: 3}, file.Options{Size: 4096})
	require.NoError(t, err)
	seen := 0
	for _, row := range result.Rows {
		if row.Type == profile.TypeTime {
			continue
		}
		key := fmt.Sprintf("%d %s %s", row.Start.Hour(), row.Tags[0].Value, row.Column)
		v := oracle.Of(want[key])
		mode, modeCount := v.Mode()
		require.Equal(t, uint64(v.Count()), row.Count, key)
		require.Equal(t, uint64(v.Distinct()), row.Distinct, key)
		require.Equal(t, []float64{float64(v.Count()), v.Min(), v.Max()}, row.Stats[:3], key)
		require.Equal(t, []float64{mode, float64(modeCount), 0, v.Min()}, row.Stats[9:13], key)
		require.InDelta(t, oracle.Nearest(v.Mean()), row.Stats[4], 1e-15*v.MaxAbs(), key)
		require.InDelta(t, oracle.Nearest(v.StdDev()), row.Stats[6], 1e-12, key)
		require.InDelta(t, v.Linear(1, 2), row.Stats[8], 1e-15*v.MaxAbs(), key)
		require.InDelta(t, v.Linear(999, 1000), row.Stats[16], 1e-14*v.MaxAbs(), key)
		seen++
	}
	require.Equal(t, len(want), seen)
}

func TestStrictEndsAtTheFirstBadLine(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a,b\n")
	for i := range 5000 {
		fmt.Fprintf(&b, "%d,2\n", i)
		if i%1000 == 700 {
			b.WriteString("1,2,3\n")
		}
	}
	result, err := run(t, b.String(), profile.Options{Workers: 4}, file.Options{Size: 256})
	require.NoError(t, err)
	require.Equal(t, 5, result.BadCount)
	require.Equal(t, 5000, result.Points)
	require.Equal(t, 5006, result.Lines)
	require.Equal(t, 703, result.Bad[0].Line)
	require.Equal(t, 1704, result.Bad[1].Line)
	_, err = run(t, b.String(), profile.Options{Workers: 4, Strict: true}, file.Options{Size: 256})
	var bad profile.Bad
	require.ErrorAs(t, err, &bad)
	require.Equal(t, 703, bad.Line)
	require.Equal(t, "3 cells, want 2", bad.Reason)
}

// A run whose context ends returns its error, also while it waits for input.
func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	defer out.Close()
	_, err = out.WriteString("a,b\n1,2\n")
	require.NoError(t, err)
	r, err := file.NewReader([]string{file.Stdin}, in, &file.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = profile.Run(ctx, r, profile.Options{Selection: selection(t, "count", stats.Linear), Workers: 2, MemoryLimit: 1 << 20, ExactLimit: 64})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
