package main

import (
	"context"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/agent"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/models"
	"github.com/stretchr/testify/require"
)

// An InfluxDB 3 output drops open rows and the tag of final ones; the original metrics pass.
func TestInfluxDB3GetsFinalRowsUnlessTheOutputNamesTheTag(t *testing.T) {
	t.Parallel()
	const output = "[[outputs.influxdb_v3]]\n  database = \"db\"\n"
	for name, test := range map[string]struct {
		describe, output string
		open, tagged     bool // whether open rows pass, and whether final ones keep the tag
	}{
		"default":              {"", output, false, false},
		"another state_tag":    {"  state_tag = \"s\"\n", output, false, false},
		"no state_tag":         {"  state_tag = \"\"\n", output, true, true},
		"emit final":           {"  emit = \"final\"\n", output, true, true},
		"filters with the tag": {"", output + "  taginclude = [\"bucket_state\"]\n", true, true},
		"filters of others":    {"", output + "  tagexclude = [\"host\"]\n", false, false},
		"another output":       {"", "[[outputs.file]]\n", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := config.NewConfig()
			text := "[[inputs.mem]]\n[[aggregators.describe]]\n  period = \"1m\"\n" + test.describe + test.output
			require.NoError(t, c.LoadConfigData([]byte(text), config.EmptySourcePath))
			require.NoError(t, dropOpenRows(c))
			filter := c.Outputs[0].Config.Filter
			tag := "bucket_state"
			if name == "another state_tag" {
				tag = "s"
			}
			passes := func(value string) (bool, bool) {
				m := metric.New("analytics_m", map[string]string{tag: value, "host": "a"}, map[string]any{"count": int64(1)}, time.Now())
				ok, err := filter.Select(m)
				require.NoError(t, err)
				filter.Modify(m)
				return ok, m.HasTag(tag)
			}
			open, _ := passes("open")
			final, tagged := passes("final")
			require.Equal(t, []bool{test.open, true, test.tagged}, []bool{open, final, tagged})
			original := metric.New("mem", map[string]string{"host": "a"}, map[string]any{"v": 1.0}, time.Now())
			ok, err := filter.Select(original)
			require.NoError(t, err)
			require.True(t, ok)
		})
	}
}

// A new user sees no row in InfluxDB 3 for ten minutes. The log explains when the first ones are written.
func TestTheLogHasTheTimeAfterWhichRowsAreWrittenToInfluxDB3(t *testing.T) {
	for block, want := range map[string]string{
		"":                     " and got no value for 10m (linger)",
		"  linger = \"90s\"\n": " and got no value for 1m30s (linger)",
		"[[aggregators.describe]]\n  period = \"1h\"\n": " and got no value for 10m to 2h (linger)",
	} {
		c := config.NewConfig()
		text := "[[inputs.mem]]\n[[aggregators.describe]]\n" + block + "[[outputs.influxdb_v3]]\n  database = \"db\"\n"
		require.NoError(t, c.LoadConfigData([]byte(text), config.EmptySourcePath))
		var logged strings.Builder
		log.SetOutput(&logged)
		require.NoError(t, dropOpenRows(c))
		log.SetOutput(os.Stderr)
		require.Contains(t, logged.String(), "Gets the rows of a bucket once, when it has ended"+want)
	}
}

func TestRowsThatAnOutputCannotHandleAreWarnedOf(t *testing.T) {
	for _, test := range []struct{ options, want string }{
		{"[[outputs.influxdb_v2]]\n", "write [outputs.influxdb_v2.tagdrop] with bucket_state = [\"open\"]"},
		{"[[outputs.influxdb_v2]]\n  tagexclude = [\"bucket_state\"]\n", ""},
		{"  emit = \"final\"\n[[outputs.influxdb_v2]]\n", ""},
		{"", ""},
		{"  emit = \"final\"\n", ""},
		{"  emit = \"update\"\n", "InfluxDB 3 may keep an earlier version"},
		{"  state_tag = \"\"\n", "InfluxDB 3 may keep an earlier version"},
		{"  state_tag = \"s\"\n", "rediscache recognizes open rows by the tag \"bucket_state\" only"},
	} {
		c := config.NewConfig()
		text := "[[aggregators.describe]]\n  period = \"1m\"\n" + test.options + "[[outputs.influxdb_v3]]\n  database = \"db\"\n[[outputs.rediscache]]\n  database = \"db\"\n"
		require.NoError(t, c.LoadConfigData([]byte(text), config.EmptySourcePath))
		var logged strings.Builder
		log.SetOutput(&logged)
		warnRewrites(c)
		log.SetOutput(os.Stderr)
		if test.want == "" {
			require.Empty(t, logged.String(), test.options)
		}
		require.Contains(t, logged.String(), test.want, test.options)
	}
}

// pushed is the plugin of a test that keeps the places of its Pushes.
type pushed struct {
	places []caller
	after  func(n int) // called after each Push, with the number of Pushes
}

func (*pushed) SampleConfig() string { return "" }
func (*pushed) Add(telegraf.Metric)  {}
func (*pushed) Reset()               {}
func (p *pushed) Push(telegraf.Accumulator) {
	p.places = append(p.places, pushPlace())
	p.after(len(p.places))
}

// A run that stops in its first period has only the last Push.
func TestTheLastPushOfTheAgentHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	for _, periods := range []int{0, 1, 2} {
		ctx, cancel := context.WithCancel(t.Context())
		p := &pushed{after: func(n int) {
			if n == periods {
				cancel()
			}
		}}
		period := 20 * time.Millisecond
		if periods == 0 {
			period = time.Hour
			time.AfterFunc(20*time.Millisecond, cancel)
		}
		c := config.NewConfig()
		require.NoError(t, c.LoadConfigData([]byte("[agent]\n  flush_interval = \"10ms\"\n[[inputs.mem]]\n[[outputs.discard]]\n"), config.EmptySourcePath))
		c.Aggregators = append(c.Aggregators, models.NewRunningAggregator(p, &models.AggregatorConfig{Name: "pushed", Period: period}))
		require.NoError(t, agent.NewAgent(c).Run(ctx))
		n := len(p.places)
		require.Greater(t, n, periods)
		for _, place := range p.places[:n-1] {
			require.Equal(t, periodEnd, place)
		}
		require.Equal(t, atStop, p.places[n-1])
	}
}

// The last Push may come in the instant in which a period ends, also the first one: only its place counts.
func TestTheLastPushIsRecognizedByItsPlace(t *testing.T) {
	t.Parallel()
	for _, stopping := range []bool{false, true} {
		require.True(t, isLast(atStop, stopping))
		require.False(t, isLast(periodEnd, stopping))
		require.Equal(t, stopping, isLast(unknown, stopping))
	}
	require.Equal(t, unknown, pushPlace())
}
