package describe_test

import (
	"encoding/base64"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// A day of four sensors in one series is 960 temperatures, of which 97 are distinct.
func TestADayOfASensorIsExact(t *testing.T) {
	input, err := os.ReadFile(filepath.Join("..", "..", "..", "testdata", "sensors.lp"))
	require.NoError(t, err)
	ra := loaded(t, "[[aggregators.describe]]\n  bucket = \"1d\"\n  group_by = []\n")
	for _, m := range through(t, ra, parse(t, input)) {
		if field, _ := m.GetTag("field_name"); field == "temperature" {
			got := m.Fields()
			require.Equal(t, []any{int64(960), 21.6, 22.6}, []any{got["count"], got["median"], got["mode"]})
			require.NotContains(t, got, "max_error")
			require.NotContains(t, got, "mode_error")
			return
		}
	}
	t.Fatal("no row of temperature")
}

func TestRowsHaveTheErrorsOnceTheyAreEstimates(t *testing.T) {
	o := describer(t, func(d *describe.Describe) { d.ExactLimit = 4 })
	at := time.Unix(0, 0)
	o.values(at, 1.0, 2.0, 3.0, 4.0)
	require.NotContains(t, fields(t, o.push()), "max_error")
	o.values(at, 5.0)
	for range 2 {
		got := fields(t, o.push())
		require.InDelta(t, 0.0054, got["max_error"], 0.0001)
		require.Equal(t, 0.0, got["mode_error"])
		o.values(at, 1.0)
	}
}

func TestAListOfStatisticsIsEmittedAsItIsWritten(t *testing.T) {
	o := describer(t, func(d *describe.Describe) {
		d.ExactLimit = 4
		d.Stats = []string{"count", "median"}
	})
	o.values(time.Unix(0, 0), 1.0, 2.0, 3.0, 4.0, 5.0)
	require.Equal(t, map[string]any{"count": int64(5), "median": 3.0}, roundedMedian(fields(t, o.push())))

	o = describer(t, func(d *describe.Describe) { d.Stats = []string{"median", "max_error"} })
	o.values(time.Unix(0, 0), 1.0, 2.0)
	require.Equal(t, map[string]any{"median": 1.5, "max_error": 0.0}, fields(t, o.push()))
}

// roundedMedian rounds the median, which a histogram estimates, to a whole number.
func roundedMedian(fields map[string]any) map[string]any {
	fields["median"] = math.Round(fields["median"].(float64))
	return fields
}

// A compact summary is exact up to 64 values or 32 distinct ones.
func TestCompactSummariesAreExactUpTo64Values(t *testing.T) {
	for _, c := range []struct {
		n, distinct int
		want        bool
	}{{64, 64, true}, {65, 65, false}, {65, 33, false}, {500, 32, true}} {
		o := describer(t, func(d *describe.Describe) { d.EmitSummary = "compact" })
		for i := range c.n {
			o.values(time.Unix(0, 0), float64(i%c.distinct)/7)
		}
		text, ok := fields(t, o.push())["summary"].(string)
		require.True(t, ok)
		b, err := base64.StdEncoding.DecodeString(text)
		require.NoError(t, err)
		var s stats.Summary
		require.NoError(t, s.UnmarshalBinary(b))
		require.Equal(t, c.want, s.Exact(), "%d values, %d distinct", c.n, c.distinct)
	}
}
