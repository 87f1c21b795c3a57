package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// These tests are inside of the package because they choose the current time of a query.

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestParseTimeReadsEveryForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05Z": now, "2026-01-02T04:04:05.5+01:00": now.Add(500 * time.Millisecond), "1767323045": now, "1767323045000": now,
		"1767323045000000": now, "1767323045000000000": now, "0": time.Unix(0, 0), "-1": time.Unix(-1, 0), "now": now,
		"-6h": now.Add(-6 * time.Hour), "-10d": now.AddDate(0, 0, -10), "-2w": now.AddDate(0, 0, -14), "-90s": now.Add(-90 * time.Second), "-0m": now, "2026-01-02": now.Truncate(24 * time.Hour),
	} {
		got, ok := parseTime(text, now)
		require.True(t, ok, text)
		require.True(t, want.Equal(got), "%s is %s", text, got)
	}
	for _, text := range []string{"", "-", "-h", "6h", "-6x", "--6h", "-6.5h", "-99999999999w", "2026-01-32", "2026-1-2", "tomorrow", "1e9", "0x10", " 1", "-6h "} {
		_, ok := parseTime(text, now)
		require.False(t, ok, text)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"now", "-6h", "1767323045", "2026-01-02T03:04:05Z", "-9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, s string) { parseTime(s, now) })
}
