// Package golden reads public data sets with statistics that an independent reference computed. Only tests import it.
//
// The data are not part of the project: they are in the folder shared/golden beside the folder of the project. Without them,
// every function skips the test. The data set docs_bitcoin, for example, has these files, among others. Each JSON
// is a [Table]:
//
//	docs_bitcoin.lp.gz                line protocol
//	docs_bitcoin.1d.json.gz           the statistics of each day, over all series
//	docs_bitcoin.1d.by_series.json.gz the statistics of each day and series
//	docs_bitcoin.all.json.gz          the statistics of all values
//
// The JSON also has members that are not read here, such as the definitions of the statistics.
package golden

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Table has the statistics of one data set for buckets of one width.
type Table struct {
	// Bucket is the width as the option bucket of describe spells it, or "all" for one bucket of all values, whose start is 0.
	Bucket  string   `json:"bucket"`
	Records []Record `json:"records"`
}

// Record has the statistics of a field in a bucket. Counts, Min, Max, Median, Mode and the percentiles by rank are exact. Mean, Sum and the
// other percentiles have a relative error of up to 1e-12, and StdDev of up to 1e-9.
type Record struct {
	Start     int64    `json:"bucket_start_ns"` // since 1970, in UTC
	Tags      string   `json:"tags"`            // key=value pairs sorted by key and separated by commas; empty if all series are one group
	Field     string   `json:"field"`
	Count     int64    `json:"count"`
	Min       float64  `json:"min"`
	Max       float64  `json:"max"`
	Sum       float64  `json:"sum"`
	Mean      float64  `json:"mean"`
	Median    float64  `json:"median"`
	Mode      float64  `json:"mode"` // the smallest of several
	ModeCount float64  `json:"mode_count"`
	ModeTies  int      `json:"mode_ties"`          // how many values occur ModeCount times
	P95Floor  float64  `json:"p95_original_index"` // by the method floor_rank of describe
	P95Rank   float64  `json:"p95_nearest_rank"`   // by nearest_rank, as P25Rank and P75Rank
	P95       float64  `json:"p95_r7"`             // with linear interpolation, as P25 and P75
	P25       float64  `json:"p25_r7"`
	P75       float64  `json:"p75_r7"`
	P25Rank   float64  `json:"p25_nearest_rank"`
	P75Rank   float64  `json:"p75_nearest_rank"`
	StdDev    *float64 `json:"stddev_samp"` // nil for one value
}

// Names returns the names of the data sets, with -short only one that takes little time with the race detector.
func Names(t testing.TB) (names []string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder(t), "*.lp.gz"))
	require.NoError(t, err)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".lp.gz")
		if !testing.Short() || strings.HasPrefix(name, "docs_bitcoin") {
			names = append(names, name)
		}
	}
	return names
}

// Lines returns the line protocol of a data set. Its times are in nanoseconds.
func Lines(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(LinesPath(t, name))
	require.NoError(t, err)
	return unzip(t, f)
}

// LinesPath returns the path of the compressed line protocol of a data set.
func LinesPath(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(folder(t), name+".lp.gz")
}

// Tables returns the tables of a data set by the rest of their names: the width, and ".by_series" if each series is a group. It reads and
// parses all of them, so a test that needs one calls [ReadTable].
func Tables(t testing.TB, name string) map[string]Table {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder(t), name+".*.json.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, paths, name)
	tables := make(map[string]Table, len(paths))
	for _, path := range paths {
		rest := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), name+"."), ".json.gz")
		tables[rest] = ReadTable(t, name, rest)
	}
	return tables
}

// ReadTable returns one table of a data set, such as "1d" or "1d.by_series".
func ReadTable(t testing.TB, name, rest string) (table Table) {
	t.Helper()
	f, err := os.Open(filepath.Join(folder(t), name+"."+rest+".json.gz"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(unzip(t, f), &table))
	require.NotEmpty(t, table.Records)
	return table
}

// File returns the content of another file of the folder, by its name there.
func File(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(folder(t), name))
	require.NoError(t, err)
	return b
}

// unzip returns the content of a compressed file, and closes it.
func unzip(t testing.TB, f *os.File) []byte {
	t.Helper()
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	b, err := io.ReadAll(z)
	require.NoError(t, err)
	return b
}

// folder returns the folder of the data sets, or skips the test. It looks beside the folder of the project, which is one of those above
// the test's package.
func folder(t testing.TB) string {
	t.Helper()
	top, err := os.Getwd()
	require.NoError(t, err)
	for !isProject(top) {
		above := filepath.Dir(top)
		require.NotEqual(t, top, above, "the tests do not run in the project")
		top = above
	}
	path := filepath.Join(filepath.Dir(top), "shared", "golden")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no golden data in %s", path)
	}
	return path
}

// isProject reports whether path is the top folder of the project. A go.mod does not show it: cmd/telegraf-describe has one too.
func isProject(path string) bool {
	info, err := os.Stat(filepath.Join(path, "internal", "golden"))
	return err == nil && info.IsDir()
}
