package describe_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/telegraf/config"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// BenchmarkRestartOfManyBlocks starts blocks with a bucket each, which share a folder of state, up to the first metric.
func BenchmarkRestartOfManyBlocks(b *testing.B) {
	for _, blocks := range []int{10, 50} {
		b.Run(fmt.Sprint("blocks=", blocks), func(b *testing.B) {
			folder, gate := b.TempDir(), config.Duration(openGate)
			run := func() {
				all := make([]*describe.Describe, blocks)
				for i := range all {
					d := newDescribe()
					d.Log, d.Alias, d.Bucket, d.State = &plugintest.Log{}, strconv.Itoa(i), "1h", folder
					d.Grace, d.Delay = &gate, &gate
					d.SetHost(describe.Host{Bounded: true, Closes: true})
					if err := d.Init(); err != nil {
						b.Fatal(err)
					}
					all[i] = d
				}
				for i, d := range all {
					d.Add(point(map[string]string{"block": strconv.Itoa(i)}, map[string]any{"v": 1.0}, time.Now()))
				}
				b.StopTimer()
				for _, d := range all {
					if err := d.Close(); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
			}
			run()
			for b.Loop() {
				run()
			}
		})
	}
}
