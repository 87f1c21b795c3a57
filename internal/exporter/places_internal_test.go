package exporter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// This test is inside of the package because it looks at every place of a set, and a scrape looks at a few.

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
