package rediscache_test

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/influxdata/telegraf/plugins/parsers/influx"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

var update = flag.Bool("update", false, "write the expected output of the test cases anew")

// Each folder of testcases has a configuration, an input and the expected contents of the cache: the name of each table,
// followed by its records.
func TestCases(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testcases/*")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(filepath.Base(folder)+"/in process", func(t *testing.T) {
			t.Parallel()
			runCase(t, folder, miniredis.RunT(t).Addr())
		})
		t.Run(filepath.Base(folder)+"/redis-server", func(t *testing.T) {
			t.Parallel()
			runCase(t, folder, redistest.Database(t))
		})
	}
}

// runCase writes a case's input through Telegraf's own output.
func runCase(t *testing.T, folder, addr string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, "telegraf.conf"))
	require.NoError(t, err)
	ro := load(t, strings.NewReplacer("${REDIS_ADDRESS}", addr, "[[outputs.rediscache]]\n", "[[outputs.rediscache]]\n"+patient).Replace(string(text)))
	require.NoError(t, ro.Init())
	require.NoError(t, ro.Connect())
	input, err := os.ReadFile(filepath.Join(folder, "input.influx"))
	require.NoError(t, err)
	parser := &influx.Parser{}
	require.NoError(t, parser.Init())
	metrics, err := parser.Parse(input)
	require.NoError(t, err)
	for _, m := range metrics {
		ro.AddMetric(m)
	}
	require.NoError(t, ro.Write())
	ro.Close()

	expected, got := filepath.Join(folder, "expected.out"), cached(t, addr)
	if *update {
		require.NoError(t, os.WriteFile(expected, []byte(got), 0o600))
	}
	want, err := os.ReadFile(expected)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// cached returns the contents of the cache.
func cached(t *testing.T, addr string) string {
	t.Helper()
	reader := cache.NewReader(redistest.Open(t, addr))
	tables, err := reader.Tables(t.Context())
	require.NoError(t, err)
	slices.SortFunc(tables, func(a, b record.TableEntry) int { return cmp.Compare(a.String(), b.String()) })
	var b strings.Builder
	for _, e := range tables {
		b.WriteString(e.String() + "\n")
		starts, err := reader.Buckets(t.Context(), e.Table, record.Range{})
		require.NoError(t, err)
		require.NoError(t, reader.Records(t.Context(), e.Table, starts, 0, func(part record.Part) error {
			slices.Sort(part.Texts)
			b.WriteString(strings.Join(part.Texts, "\n") + "\n")
			return nil
		}))
	}
	return b.String()
}
