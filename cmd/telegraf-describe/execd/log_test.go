package execd_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/logger"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/execd"
)

// The test does not run in parallel, because Telegraf has one log.
func TestLogLinesBeginWithTheirLevel(t *testing.T) {
	var b bytes.Buffer
	stop, err := execd.RedirectLog(&b, telegraf.Info)
	require.NoError(t, err)
	log := logger.New("aggregators", "describe", "x")
	log.Error("one]  two")
	log.Warnf("first\nsecond\n")
	log.Info(strings.Repeat("x", 100_000))
	log.Debug("hidden")
	logger.New("", "", "").Error("no source")
	stop()
	log.Error("not any more")
	lines := strings.Split(b.String(), "\n")
	require.Len(t, lines, 6)
	require.Equal(t, []string{"E! [aggregators.describe::x] one]  two", "W! [aggregators.describe::x] first", "W! second"}, lines[:3])
	require.True(t, strings.HasPrefix(lines[3], "I! [aggregators.describe::x] xxx"))
	require.Less(t, len(lines[3]), 64<<10, "processors.execd stops reading at a longer line")
	require.Equal(t, []string{"E! no source", ""}, lines[4:])
}
