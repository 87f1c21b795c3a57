package describe

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// Not parallel, as the setting is that of the process.
func TestARestartGivesTheSettingOfTheCollectorBack(t *testing.T) {
	original := debug.SetGCPercent(100)
	defer debug.SetGCPercent(original)
	for _, own := range []int{-1, 50, 100, 400, 800} {
		debug.SetGCPercent(own)
		first := collectLess()
		second := collectLess() // of another block at the same time
		first()
		second()
		require.Equal(t, own, debug.SetGCPercent(own))
	}
}
