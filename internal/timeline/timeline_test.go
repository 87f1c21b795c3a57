package timeline_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/timeline"
)

// buckets are the starts of the buckets of a table, all of which have begun.
type buckets []time.Time

func (b buckets) Buckets(context.Context, record.Table, record.Range) ([]time.Time, error) {
	return b, nil
}

// widths returns the two estimates of the width of buckets with these starts.
func widths(t *testing.T, b buckets) (width, likely time.Duration) {
	t.Helper()
	line, err := timeline.Read(t.Context(), b, record.Table{}, time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	return line.Width, line.Likely
}

func TestCommonDistanceIsTheMedian(t *testing.T) {
	t.Parallel()
	for starts, want := range map[string]time.Duration{
		"": 0, "5": 0, "0 10": 10, "0 10 20 30 1000": 10, "0 1 3600 3601 7200": 3599, "0 60 120 7200 7260": 60, "0 28 59 89": 30,
	} {
		var times []time.Time
		for _, text := range strings.Fields(starts) {
			seconds, err := time.ParseDuration(text + "s")
			require.NoError(t, err)
			times = append(times, time.Unix(0, 0).Add(seconds))
		}
		upper, _ := widths(t, times)
		require.Equal(t, want*time.Second, upper, starts)
	}
}

// Two starts can be of buckets that are far apart. Their distance is a width only if buckets of that width begin there.
func TestOneDistanceIsAWidthOnlyWhereSuchBucketsBegin(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		start, err := time.Parse(time.RFC3339, text)
		require.NoError(t, err)
		return start
	}
	for starts, likely := range map[string]bool{
		"2026-11-26T10:00:00Z 2026-11-26T11:00:00Z":           true,
		"2026-11-26T10:00:00Z 2026-11-26T10:07:00Z":           false, // minutes: 10:07 is no multiple of 7 minutes
		"2026-11-24T10:03:00Z 2026-11-26T11:04:00Z":           false,
		"2026-11-22T00:00:00Z 2026-11-26T00:00:00Z":           false, // 26 November is no multiple of 4 days
		"2026-11-25T00:00:00Z 2026-11-26T00:00:00Z":           true,
		"2026-11-16T00:00:00Z 2026-11-23T00:00:00Z":           true, // Mondays
		"2026-11-17T00:00:00Z 2026-11-24T00:00:00Z":           false,
		"2026-11-25T00:00:00+01:00 2026-11-26T00:00:00+01:00": true,
		"2026-10-25T00:00:00+02:00 2026-10-26T00:00:00+01:00": true, // 25 hours
		"2026-10-01T00:00:00Z 2026-11-01T00:00:00Z":           true,
		"2026-10-01T00:00:00-07:00 2026-11-01T00:00:00-07:00": true,
		"2026-10-05T00:00:00Z 2026-11-05T00:00:00Z":           false,
		"2025-01-01T00:00:00Z 2026-01-01T00:00:00Z":           true,
		"2026-06-29T03:00:00Z 2026-11-26T11:00:00Z":           false,
		"2026-11-26T11:00:00Z 2026-11-26T11:00:00.25Z":        true,
	} {
		first, second, _ := strings.Cut(starts, " ")
		upper, lower := widths(t, buckets{at(first), at(second)})
		require.Equal(t, at(second).Sub(at(first)), upper, starts)
		want := upper
		if !likely {
			want = 0
		}
		require.Equal(t, want, lower, starts)
	}
	upper, lower := widths(t, buckets{at("2026-06-26T11:00:00Z"), at("2026-11-26T11:00:00Z"), at("2026-11-26T11:01:00Z")})
	require.Equal(t, []time.Duration{153 * 24 * time.Hour, time.Minute}, []time.Duration{upper, lower})
}
