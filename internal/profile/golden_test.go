package profile_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
	"github.com/telegraf-describe/telegraf-describe/internal/profile"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// goldenDir has public data sets with statistics that an independent reference computed. See the tests of
// plugins/aggregators/describe, which use them too.
const goldenDir = "../../../../shared/golden"

type goldenFile struct {
	Bucket  string         `json:"bucket"`
	Records []goldenRecord `json:"records"`
}

type goldenRecord struct {
	Start  int64    `json:"bucket_start_ns"`
	Tags   string   `json:"tags"`
	Field  string   `json:"field"`
	Count  uint64   `json:"count"`
	Min    float64  `json:"min"`
	Max    float64  `json:"max"`
	Mean   float64  `json:"mean"`
	Median float64  `json:"median"`
	Mode   float64  `json:"mode"`
	P95    float64  `json:"p95_r7"`
	P25    float64  `json:"p25_r7"`
	StdDev *float64 `json:"stddev_samp"`
}

func TestGoldenData(t *testing.T) {
	t.Parallel()
	tables, err := filepath.Glob(filepath.Join(goldenDir, "*.*.json.gz"))
	require.NoError(t, err)
	if len(tables) == 0 {
		t.Skipf("no golden data in %s", goldenDir)
	}
	for _, path := range tables {
		name := strings.TrimSuffix(filepath.Base(path), ".json.gz")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want goldenFile
			require.NoError(t, json.Unmarshal(gunzip(t, path), &want))
			o := profile.Options{Selection: selection(t, "count min max mean median mode p95 p25 stddev", stats.Linear), Workers: 2}
			if want.Bucket != "all" {
				o.Grid = grid(t, want.Bucket)
			}
			if strings.Contains(name, "by_series") {
				o.Group = func(_ string, tag bool) bool { return tag }
			}
			source, _, _ := strings.Cut(name, ".")
			result, err := runFile(t, filepath.Join(goldenDir, source+".lp.gz"), o, file.Options{Size: 50_000})
			require.NoError(t, err)
			compare(t, result, &want)
		})
	}
}

func gunzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}

func joined(tags []series.Tag) string {
	parts := make([]string, len(tags))
	for i, tag := range tags {
		parts[i] = tag.Key + "=" + tag.Value
	}
	return strings.Join(parts, ",")
}

func compare(t *testing.T, result *profile.Result, want *goldenFile) {
	t.Helper()
	got := make(map[string]*profile.Row)
	for i := range result.Rows {
		r := &result.Rows[i]
		if len(r.Stats) == 0 || r.Count == 0 {
			continue
		}
		start := int64(0)
		if want.Bucket != "all" {
			start = r.Start.UnixNano()
		}
		got[fmt.Sprint(start, " ", joined(r.Tags), " ", r.Column)] = r
	}
	require.Len(t, got, len(want.Records))
	for _, w := range want.Records {
		key := fmt.Sprint(w.Start, " ", w.Tags, " ", w.Field)
		r := got[key]
		require.NotNil(t, r, key)
		require.Equal(t, w.Count, r.Count, key)
		// In order of output: count min max mean stddev median mode p25 p95.
		require.Equal(t, []float64{float64(w.Count), w.Min, w.Max}, r.Stats[:3], key)
		require.InDelta(t, w.Mean, r.Stats[3], 1e-12*math.Abs(w.Mean), key)
		require.Equal(t, []float64{w.Median, w.Mode}, r.Stats[5:7], key)
		require.InDelta(t, w.P25, r.Stats[7], 1e-12*math.Abs(w.P25), key)
		require.InDelta(t, w.P95, r.Stats[8], 1e-12*math.Abs(w.P95), key)
		if w.StdDev == nil {
			require.True(t, math.IsNaN(r.Stats[4]), key)
		} else {
			require.InDelta(t, *w.StdDev, r.Stats[4], 1e-9*math.Max(*w.StdDev, math.Abs(w.Max)), key)
		}
	}
}
