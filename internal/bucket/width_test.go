package bucket_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
)

func width(t testing.TB, s string) bucket.Width {
	t.Helper()
	w, err := bucket.ParseWidth(s)
	require.NoError(t, err)
	return w
}

func TestWidthIsWrittenInItsLargestUnits(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"30s": "30s", "60s": "1m", "90m": "1h30m", "1h30m": "1h30m", "3605s": "1h0m5s", "24h": "24h", "0h5s": "5s",
		"1d": "1d", "10d": "10d", "7d": "1w", "1w2d": "9d", "1w2d3h4m5s": "9d3h4m5s", "14d12h": "2w12h", "106751d": "106751d",
		"1mo": "1mo", "12mo": "1y", "1y6mo": "18mo", "2y": "2y", "292y": "292y", "0y3d": "3d", "1mo0s": "1mo",
	} {
		require.Equal(t, want, width(t, s).String(), s)
		require.Equal(t, width(t, want), width(t, s), s)
	}
	require.Equal(t, "90ms", bucket.Fixed(90*time.Millisecond).String())
	require.Equal(t, "0s", bucket.Width{}.String())
}

func TestWidthsAreEqualWhereTheirBucketsAre(t *testing.T) {
	t.Parallel()
	require.Equal(t, bucket.Fixed(90*time.Minute), width(t, "1h30m"))
	require.NotEqual(t, width(t, "24h"), width(t, "1d"), "a day may have 23 hours")
	require.NotEqual(t, width(t, "30d"), width(t, "1mo"))
	require.NotEqual(t, width(t, "1m"), width(t, "1mo"))
}

func TestParseWidthNamesWhatItFoundAndWants(t *testing.T) {
	t.Parallel()
	const rule = `want whole numbers with the units y, mo, w, d, h, m or s, the largest first`
	for s, want := range map[string]string{
		"": rule, "10": rule, "10x": rule, "-1d": rule, "d": rule, "1.5d": rule, "1h 30m": rule, "30m1h": rule, "1d1d": rule, "1d1w": rule,
		"1mo1y": rule, "1ms": rule, "1 d": rule, "+1d": rule, "١d": rule, "1d\x00": rule, "1M": rule, "1mon": rule, "1s1mo": rule, "1dd": rule,
		"0s": "is zero", "0d": "is zero", "0y0mo": "is zero",
		"106752d": "is too large", "99999999999999999999s": "is too large", "15000w2000d": "is too large", "106751d24h": "is too large",
		"292y1mo": "is too large", "293y": "is too large", "9223372036854775807mo": "is too large", "9223372036854775807y": "is too large",
		"1mo2d": `width "1mo2d" combines months with shorter units, want only y and mo`, "1y1h": "combines months", "1y1mo1w": "combines months",
	} {
		_, err := bucket.ParseWidth(s)
		require.ErrorContains(t, err, want, s)
	}
}

func FuzzParseWidth(f *testing.F) {
	for _, s := range []string{"1w2d3h4m5s", "1y6mo", "30s", "0h5s", "106751d23h", "292y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := bucket.ParseWidth(s)
		if err != nil {
			return
		}
		again, err := bucket.ParseWidth(w.String())
		require.NoError(t, err)
		require.Equal(t, w, again)
		_, err = bucket.NewGrid(w, time.Time{}, time.UTC)
		require.NoError(t, err)
	})
}
