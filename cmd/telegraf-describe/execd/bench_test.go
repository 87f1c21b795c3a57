package execd_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/logger"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/parsers/influx"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/execd"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// nowhere drops the metrics that it gets.
type nowhere struct{ telegraf.Accumulator }

func (nowhere) AddMetric(telegraf.Metric) {}

func (nowhere) SetPrecision(time.Duration) {}

const (
	benchSeries = 100
	benchFields = 10
	benchTimes  = 200
)

// usage returns lines of cpu: of 100 series, every 10 seconds, with 10 fields each.
func usage() []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for at := range benchTimes {
		for cpu := range benchSeries {
			fmt.Fprintf(&b, "cpu,cpu=cpu%d,host=server ", cpu)
			for field := range benchFields {
				fmt.Fprintf(&b, "usage_%d=%.2f,", field, 100*r.Float64())
			}
			b.Truncate(b.Len() - 1)
			fmt.Fprintf(&b, " %d\n", time.Date(2026, 11, 1, 0, 0, 10*at, 0, time.UTC).UnixNano())
		}
	}
	return b.Bytes()
}

// BenchmarkThroughput measures how many values a second are described: through the whole of execd, which also parses the
// lines and passes the originals on; and through Add and Push in this process, of metrics that were parsed before.
func BenchmarkThroughput(b *testing.B) {
	stop, err := execd.RedirectLog(io.Discard, telegraf.Error) // each run would warn that there is no state
	require.NoError(b, err)
	defer stop()
	lines := usage()
	defaults := func(d *describe.Describe, _ *models.AggregatorConfig) { d.Stats, d.Emit, d.Bucket = nil, "final", "1h" }
	const rows = benchSeries * benchFields // all times are within one hour
	report := func(b *testing.B) {
		const values = benchSeries * benchFields * benchTimes
		b.ReportMetric(values*float64(b.N)/b.Elapsed().Seconds(), "values/s")
	}
	b.Run("through=execd", func(b *testing.B) {
		run := func(out io.Writer) {
			err := execd.Run(execd.Options{
				Blocks: []*models.RunningAggregator{newBlock(defaults)}, In: bytes.NewReader(lines), Out: out,
				Drained: func(<-chan struct{}) error { return nil }, Signals: make(chan os.Signal), Log: logger.New("execd", "", ""),
			})
			require.NoError(b, err)
		}
		var out strings.Builder
		run(&out)
		require.Equal(b, rows, strings.Count(out.String(), "analytics_cpu"))
		for b.Loop() {
			run(io.Discard)
		}
		report(b)
	})
	b.Run("through=push", func(b *testing.B) {
		parser := &influx.Parser{}
		require.NoError(b, parser.Init())
		metrics, err := parser.Parse(lines)
		require.NoError(b, err)
		run := func() {
			block := newBlock(defaults)
			require.NoError(b, block.Init())
			block.UpdateWindow(time.Now(), time.Now().Add(time.Hour))
			for _, m := range metrics {
				block.Add(m)
			}
			block.Push(nowhere{})
			require.NoError(b, block.Aggregator.(*describe.Describe).Close())
		}
		for b.Loop() {
			run()
		}
		report(b)
	})
}
