package describe_test

import (
	"math"
	"testing"
	"time"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

func TestEveryDroppedValueIsCountedAndLoggedOncePerPeriod(t *testing.T) {
	o := describer(t, func(d *describe.Describe) {
		d.Bucket, d.MaxSeries, d.MaxFuture, d.Linger = "1h", 1, config.Duration(time.Hour), new(config.Duration)
	})
	o.values(bucketStart, 1.0, math.NaN(), math.Inf(1), "text", true)
	o.push()
	o.log.Clear()
	o.values(bucketStart, 1.0, 2.0)                                                       // final
	o.values(o.clock.now().Add(2*time.Hour), 1.0)                                         // future
	o.values(time.Time{}, 1.0)                                                            // out of range
	o.Add(point(map[string]string{"host": "b"}, map[string]any{"v": 1.0}, o.clock.now())) // a second series
	o.Add(point(map[string]string{"host": "c"}, map[string]any{"v": 1.0, "w": 2.0}, o.clock.now()))
	o.push()
	require.Equal(t, []string{"W! Values that were not described in the last period: 2 late, for a bucket that is final; " +
		"1 further ahead of the clock than max_future; 1 at a time that int64 nanoseconds cannot hold; 3 of series beyond max_series"}, o.log.Warnings())
	o.push()
	require.Len(t, o.log.Warnings(), 1, "nothing more was dropped")
	for name, want := range map[string]int64{
		"values_late": 2, "values_nan": 2, "values_future": 1, "values_out_of_range": 1, "values_ignored": 1, "values_series_dropped": 3,
	} {
		require.Equal(t, want, o.stat(name), name)
	}
}

func TestABlockThatDescribesNothingIsNotedOnce(t *testing.T) {
	for name, test := range map[string]struct {
		add  func(o open)
		want string
	}{
		"no metric":   {func(open) {}, "No metric has come to this block so far: check its filters"},
		"only texts":  {func(o open) { o.values(bucketStart, "on") }, "The metrics so far have no numbers to describe, only texts"},
		"some values": {func(o open) { o.values(bucketStart, "on", 1.0) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := describer(t, func(*describe.Describe) {})
			o.log.Clear()
			for range 5 {
				test.add(o)
				o.push()
			}
			if test.want == "" {
				require.Empty(t, o.log.Infos())
				return
			}
			require.Len(t, o.log.Infos(), 1)
			require.Contains(t, o.log.Infos()[0], test.want)
			require.Empty(t, o.log.Warnings())
		})
	}
}

// Such a tag is normal: inputs.disk has the tag mode, and mode is a statistic.
func TestARenamedTagIsLoggedButIsNoWarning(t *testing.T) {
	o := describer(t, func(*describe.Describe) {})
	o.log.Clear()
	o.Add(point(map[string]string{"mode": "rw"}, map[string]any{"v": 1.0}, o.clock.now()))
	o.push()
	require.Empty(t, o.log.Warnings())
	require.Len(t, o.log.Infos(), 1)
	require.Contains(t, o.log.Infos()[0], `The tag "mode" gets the end "_tag" in analytics_*`)
}
