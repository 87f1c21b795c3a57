package api

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// This test is inside of the package because it chooses the times at which tables are found corrupt.

func TestLinesAboutCorruptTablesAreBounded(t *testing.T) {
	t.Parallel()
	var r repeats
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	lines := func(now time.Time) (n int) {
		for i := range 1000 {
			if log, _ := r.fail(record.Corrupt{What: strconv.Itoa(i)}, now); log {
				n++
			}
		}
		return n
	}
	require.Equal(t, 101, lines(at))
	require.Zero(t, lines(at.Add(59*time.Second)))
	require.Equal(t, 101, lines(at.Add(time.Minute)))
	log, failed := r.fail(record.Corrupt{What: "another"}, at.Add(2*time.Minute))
	require.True(t, log)
	require.Equal(t, 1, failed, "others have not failed for a minute")
}
