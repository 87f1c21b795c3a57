package influxtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
)

// versions writes 200 points twice with other values of two fields and returns the rows.
func versions(t *testing.T, o influxtest.Options) []influxtest.Row {
	t.Helper()
	s := influxtest.New(t, o)
	for version := 1; version <= 2; version++ {
		var lines strings.Builder
		for i := range 200 {
			fmt.Fprintf(&lines, "m,s=%03d a=%d,b=%d,only%d=1 1700000000000000000\n", i, version, version, version)
		}
		status, body := post(t, s, "db=d", lines.String())
		require.Equal(t, http.StatusNoContent, status, body)
	}
	rows := s.Rows("d", "m")
	require.Len(t, rows, 200)
	return rows
}

func TestNewestKeepsTheVersionThatWasWrittenLast(t *testing.T) {
	t.Parallel()
	for _, row := range versions(t, influxtest.Options{Overwrite: influxtest.Newest}) {
		require.Equal(t, map[string]any{"a": 2.0, "b": 2.0, "only1": 1.0, "only2": 1.0}, row.Fields)
	}
}

func TestRandomKeepsEitherVersionWholeAndAllFields(t *testing.T) {
	t.Parallel()
	kept := make(map[any]int)
	for _, row := range versions(t, influxtest.Options{Overwrite: influxtest.Random, Seed: 1}) {
		require.Equal(t, row.Fields["a"], row.Fields["b"], "values of two versions are not mixed")
		require.Equal(t, 1.0, row.Fields["only1"])
		require.Equal(t, 1.0, row.Fields["only2"])
		require.Equal(t, 2, row.Writes)
		kept[row.Fields["a"]]++
	}
	require.Len(t, kept, 2)
	for version, n := range kept {
		require.InDelta(t, 100, n, 40, "rows with version %v", version)
	}
}

func TestTheSameSeedKeepsTheSameVersions(t *testing.T) {
	t.Parallel()
	first := versions(t, influxtest.Options{Overwrite: influxtest.Random, Seed: 7})
	require.Equal(t, first, versions(t, influxtest.Options{Overwrite: influxtest.Random, Seed: 7}))
	require.NotEqual(t, first, versions(t, influxtest.Options{Overwrite: influxtest.Random, Seed: 8}))
}

func TestTheSeedComesFromTheEnvironment(t *testing.T) {
	t.Setenv(influxtest.SeedVariable, "7")
	require.Equal(t, versions(t, influxtest.Options{Overwrite: influxtest.Random, Seed: 7}), versions(t, influxtest.Options{Overwrite: influxtest.Random}))
}

func TestEqualVersionsAreHarmlessUnderRandom(t *testing.T) {
	t.Parallel()
	s := influxtest.New(t, influxtest.Options{Overwrite: influxtest.Random})
	for range 20 {
		status, _ := post(t, s, "db=d", "m a=1 1700000000000000000\n")
		require.Equal(t, http.StatusNoContent, status)
	}
	status, _ := post(t, s, "db=d", "m b=2 1700000000000000000\n")
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, []influxtest.Row{{map[string]string{}, map[string]any{"a": 1.0, "b": 2.0}, 1700000000000000000, 21}}, s.Rows("d", "m"))
}
