package api

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

func TestPlacesAreFoundInOrder(t *testing.T) {
	t.Parallel()
	var p places
	require.Equal(t, -1, p.from(0))
	all := []int{0, 5, 63, 64, 65, 127, 128, 300}
	for _, place := range all {
		p.add(place)
		p.add(place)
	}
	for at := range 310 {
		want := -1
		for _, place := range all {
			if place >= at {
				want = place
				break
			}
		}
		require.Equal(t, want, p.from(at), at)
		require.Equal(t, want == at, p.has(at), at)
	}
}
