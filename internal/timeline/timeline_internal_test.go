package timeline

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

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
		require.Equal(t, want*time.Second, commonDistance(times), starts)
	}
}
