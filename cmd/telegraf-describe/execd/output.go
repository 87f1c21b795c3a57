package execd

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/serializers/influx"
)

// outputLimit is how many bytes wait for the reader of the output before whoever adds more has to wait too. So a slow reader
// makes Telegraf wait when it writes to the input, and memory stays bounded.
const outputLimit = 256 << 10

// errStuck is the error of an output that is not read when the run has to end.
var errStuck = errors.New("it is not read")

// output writes to w in a goroutine of its own, as much at a time as there is. Its methods may be called concurrently, except run.
//
// It ends in one of three ways. After close, run writes what there is and returns. After a failed write, run returns at once, and what it
// did not write is lost. When watch calls fail, a write may hang: run stays in it until the process ends, and close does not wait for it.
type output struct {
	w      io.Writer     // used by run only
	failed chan struct{} // closed after the first error
	ended  chan struct{} // closed when run returns

	mu      sync.Mutex // guards the fields below
	changed *sync.Cond // signaled after each change of them: run waits for bytes or the end, write for room or an error
	buf     []byte     // not written yet: fewer than outputLimit bytes and one write more
	err     error      // the first error; nothing is written after it
	closed  bool       // whether nothing more will be written
}

// newOutput returns an output, of which run must be called.
func newOutput(w io.Writer) *output {
	o := &output{w: w, failed: make(chan struct{}), ended: make(chan struct{})}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// run writes until the output is closed and everything was written, or until a write fails.
func (o *output) run() {
	defer close(o.ended)
	var writing []byte
	for {
		if writing = o.take(writing); len(writing) == 0 {
			return
		}
		if _, err := o.w.Write(writing); err != nil {
			o.fail(err)
			return
		}
	}
}

// take returns what is to be written. It waits until there is something; the result is empty if nothing will come. The bytes of
// spare are used again.
//
// The two buffers are exchanged, so that a write to w copies nothing and the lock is free meanwhile.
func (o *output) take(spare []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) == 0 && !o.closed && o.err == nil {
		o.changed.Wait()
	}
	if o.err != nil {
		return nil
	}
	full := o.buf
	o.buf = spare[:0]
	o.changed.Broadcast()
	return full
}

// write adds a copy of whole lines, which stay together in the output although the loop and the blocks write at once. It waits while too
// many bytes are not written. After an error it does nothing.
func (o *output) write(lines []byte) {
	if len(lines) == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) >= outputLimit && o.err == nil {
		o.changed.Wait()
	}
	if o.err == nil {
		o.buf = append(o.buf, lines...)
		o.changed.Broadcast()
	}
}

// fail makes err the error of the output, unless it has one. Nothing waits any more.
func (o *output) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		close(o.failed)
		o.changed.Broadcast()
	}
}

// close waits until everything was written, and returns the first error. Nothing may be written after it.
func (o *output) close() error {
	o.mu.Lock()
	o.closed = true
	o.changed.Broadcast()
	o.mu.Unlock()
	select {
	case <-o.ended:
	case <-o.failed: // a write may hang for ever
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// accumulator writes the rows of a block. The embedded interface is nil: describe calls only the methods that are implemented
// here. Telegraf's own accumulator sends metrics to a channel, which would need another goroutine and a limit of its own.
//
// It is for one goroutine at a time, as a block runs one Push at a time; the serializer has a buffer.
type accumulator struct {
	telegraf.Accumulator
	running    *models.RunningAggregator // the block, for its options and its log
	serializer influx.Serializer         // of Telegraf, so that rows look as if an output had written them
	out        *output
}

// newAccumulator returns an accumulator for the goroutine that pushes.
func newAccumulator(running *models.RunningAggregator, out *output) *accumulator {
	a := &accumulator{running: running, out: out}
	_ = a.serializer.Init() // never an error
	return a
}

// AddMetric writes a row, with the names and tags that the options of the block give it.
func (a *accumulator) AddMetric(m telegraf.Metric) {
	if m = a.running.MakeMetric(m); m == nil {
		return
	}
	line, err := a.serializer.Serialize(m)
	if err != nil {
		a.AddError(err)
		return
	}
	a.out.write(line)
}

// AddError logs the error.
func (a *accumulator) AddError(err error) {
	if err != nil {
		a.running.Log().Errorf("Error in plugin: %v", err)
	}
}

// SetPrecision does nothing: times are not rounded.
func (*accumulator) SetPrecision(time.Duration) {}
