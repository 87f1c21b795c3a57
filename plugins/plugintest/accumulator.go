package plugintest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/influxdata/telegraf"
)

// Accumulator keeps the metrics that are added, in their order. The zero Accumulator is empty and ready to use. Its methods may run
// concurrently.
type Accumulator struct {
	telegraf.Accumulator // nil: a method that is missing below panics

	mu      sync.Mutex
	metrics []telegraf.Metric
}

func (a *Accumulator) AddMetric(m telegraf.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.metrics = append(a.metrics, m)
}

// SetPrecision does nothing: times stay as they are.
func (*Accumulator) SetPrecision(time.Duration) {}

// AddError panics: a test that wants an error has an accumulator of its own.
func (*Accumulator) AddError(err error) { panic(fmt.Sprintf("the plugin reports an error: %v", err)) }

// Metrics returns the metrics that were added so far. They are not copies.
func (a *Accumulator) Metrics() []telegraf.Metric {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.metrics)
}
