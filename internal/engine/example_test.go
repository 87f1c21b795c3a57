package engine_test

import (
	"fmt"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
	"github.com/telegraf-describe/telegraf-describe/internal/engine"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Points of a sensor are added, and Push returns a row for each hour. The last value arrives after the row of its
// hour was emitted, so the next Push emits that row again, with the value.
func Example() {
	hourly, err := bucket.NewGrid(bucket.Fixed(time.Hour), time.Time{}, time.UTC)
	if err != nil {
		panic(err)
	}
	selection, err := stats.NewSelection([]string{"count", "mean", "p95"}, stats.Linear)
	if err != nil {
		panic(err)
	}
	e := engine.New(engine.Options{
		Grid: hourly, Selection: selection, Prefix: "analytics_", Emit: engine.EmitBoth,
		ExactLimit: stats.DefaultExactLimit, MemoryLimit: 64 << 20, Linger: 10 * time.Minute,
	})
	midnight := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	add := func(after time.Duration, celsius float64) {
		e.Add(&engine.Point{
			Measurement: "room",
			Tags:        []engine.Tag{{Key: "floor", Value: "2"}},
			Fields:      []engine.Field{{Name: "celsius", Value: celsius}},
			Time:        midnight.Add(after).UnixNano(),
		})
	}
	show := func(r *engine.Row) {
		fmt.Print(r.Table, " ", r.Tags, " ", r.Field, " ", r.Start.Format(time.TimeOnly), " ", r.State)
		for _, s := range r.Stats {
			fmt.Printf(" %s=%v", s.Name, s.Value)
		}
		fmt.Println()
	}

	for i := range 8 {
		add(time.Duration(i)*15*time.Minute, 20+float64(i))
	}
	if err := e.Push(show); err != nil {
		panic(err)
	}
	add(59*time.Minute, 25)
	if err := e.Finish(show); err != nil {
		panic(err)
	}
	// Output:
	// analytics_room [{floor 2}] celsius 00:00:00 open count=4 mean=21.5 p95=22.85
	// analytics_room [{floor 2}] celsius 01:00:00 open count=4 mean=25.5 p95=26.85
	// analytics_room [{floor 2}] celsius 00:00:00 final count=5 mean=22.2 p95=24.6
	// analytics_room [{floor 2}] celsius 01:00:00 final count=4 mean=25.5 p95=26.85
}
