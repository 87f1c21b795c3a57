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
	"github.com/influxdata/telegraf/plugins/aggregators"
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
	places []uintptr
	after  func(n int) // called after each Push, with the number of Pushes
}

func (*pushed) SampleConfig() string { return "" }
func (*pushed) Add(telegraf.Metric)  {}
func (*pushed) Reset()               {}
func (p *pushed) Push(telegraf.Accumulator) {
	p.places = append(p.places, pushPlace())
	p.after(len(p.places))
}

// In the agent, the Pushes at the end of a period have one place, and the last Push has another.
func TestTheLastPushOfTheAgentHasAPlaceOfItsOwn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := &pushed{after: func(n int) {
		if n == 2 {
			cancel()
		}
	}}
	c := config.NewConfig()
	require.NoError(t, c.LoadConfigData([]byte("[agent]\n  flush_interval = \"10ms\"\n[[inputs.mem]]\n[[outputs.discard]]\n"), config.EmptySourcePath))
	c.Aggregators = append(c.Aggregators, models.NewRunningAggregator(p, &models.AggregatorConfig{Name: "pushed", Period: 20 * time.Millisecond}))
	require.NoError(t, agent.NewAgent(c).Run(ctx))
	n := len(p.places)
	require.GreaterOrEqual(t, n, 3)
	for _, place := range p.places[:n-1] {
		require.Equal(t, p.places[0], place)
	}
	require.NotZero(t, p.places[0])
	require.NotContains(t, []uintptr{0, p.places[0]}, p.places[n-1])
}

// The last Push may come in the instant in which a period ends. Its place shows that it is the last one.
func TestTheLastPushIsRecognizedByItsPlaceAtTheEndOfAPeriod(t *testing.T) {
	t.Parallel()
	const timer, last = 1, 2
	at := uintptr(timer)
	ra := models.NewRunningAggregator(aggregators.Aggregators["describe"](), &models.AggregatorConfig{Name: "describe", Period: time.Minute})
	w := &window{ra: ra, place: func() uintptr { return at }}
	ends := func() { ra.UpdateWindow(time.Now().Add(-time.Minute), time.Now()); w.observe() }
	ends()
	require.False(t, w.isLast(false))
	ends()
	w.wait() // returns at once
	require.False(t, w.isLast(true), "the timer fires while the run stops")
	ends()
	at = last
	require.True(t, w.isLast(true))
}

// Telegraf's timer may fire while the run stops. The Push after that is the last one, also if it comes when another period
// would have ended.
func TestTheLastPushIsRecognizedAtTheEndOfTheFirstPeriod(t *testing.T) {
	t.Parallel()
	const period = 20 * time.Millisecond
	newWindow := func() (*window, *models.RunningAggregator) {
		ra := models.NewRunningAggregator(aggregators.Aggregators["describe"](), &models.AggregatorConfig{Name: "describe", Period: period})
		w := &window{ra: ra, place: func() uintptr { return 0 }}
		ra.UpdateWindow(time.Now(), time.Now().Add(period))
		w.observe()
		return w, ra
	}
	push := func(w *window, ra *models.RunningAggregator, stopping bool) bool {
		ra.UpdateWindow(ra.EndPeriod(), ra.EndPeriod().Add(period)) // as Telegraf does
		return w.isLast(stopping)
	}
	w, ra := newWindow()
	require.False(t, push(w, ra, false), "it does not stop")
	require.True(t, push(w, ra, true), "it is early")

	w, ra = newWindow()
	time.Sleep(period)
	require.False(t, push(w, ra, true), "the timer fired")
	time.Sleep(3 * period)
	require.True(t, push(w, ra, true), "no timer fires any more")

	w, ra = newWindow()
	pushed := make(chan bool, 1)
	time.AfterFunc(period, func() { pushed <- push(w, ra, true) })
	w.wait()
	require.False(t, <-pushed, "the host has waited for the timer")
	require.True(t, push(w, ra, true))
}
