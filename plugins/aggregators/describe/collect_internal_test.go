package describe

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// This test is inside of the package because only its functions can overlap restarts in a chosen order. It is not parallel, as the setting is
// that of the process.
func TestARestartGivesTheSettingOfTheCollectorBack(t *testing.T) {
	original := debug.SetGCPercent(100)
	defer debug.SetGCPercent(original)
	setting := func() int {
		percent := debug.SetGCPercent(never)
		debug.SetGCPercent(percent)
		return percent
	}
	for _, own := range []int{-1, 50, 100, 400, 800} {
		debug.SetGCPercent(own)
		first := garbage.collect(rarely)
		second := garbage.collect(rarely) // of another block at the same time
		third := garbage.collect(never)
		require.Equal(t, never, setting())
		first()
		require.Equal(t, never, setting())
		third()
		want := max(own, rarely)
		if own == never {
			want = never
		}
		require.Equal(t, want, setting())
		second()
		require.Equal(t, own, setting())
	}
}
