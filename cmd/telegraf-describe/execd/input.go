package execd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/plugins/parsers/influx"

	"github.com/telegraf-describe/telegraf-describe/internal/show"
)

const (
	// chunkSize is as much as a pipe of Linux holds.
	chunkSize = 64 << 10
	// arrivalTime is how long the run waits for lines that were written before it ended by a signal.
	arrivalTime = 50 * time.Millisecond
	// maxArrival bounds the time that these lines may take altogether.
	maxArrival = time.Second
)

// reader reads the input in a goroutine of its own, because a read cannot be interrupted.
//
//	free ─▶ run: read ─▶ full ─▶ loop: copy into the splitter ─▶ free
//
// The two buffers go round in this circle. full has no room, so run waits with a full buffer until the loop takes it: a loop that waits
// for the output stops the reading, and so whoever writes to the input.
type reader struct {
	in   io.Reader
	full chan []byte // what was read, at least one byte; closed by run at the end of the input
	free chan []byte // buffers of chunkSize that may be written to; has room for all of them, so a send never waits, and is never closed
	err  error       // why the input ended; read after full is closed
}

// newReader returns a reader with two buffers: one is read into while the loop handles the other.
func newReader(in io.Reader) *reader {
	r := &reader{in: in, full: make(chan []byte), free: make(chan []byte, 2)}
	for range cap(r.free) {
		r.free <- make([]byte, chunkSize)
	}
	return r
}

// run reads until the input ends or done is closed. It may be left waiting in a read when the process ends.
func (r *reader) run(done <-chan struct{}) {
	defer close(r.full)
	for {
		buf := <-r.free
		n, err := r.in.Read(buf)
		if n > 0 {
			select {
			case r.full <- buf[:n]:
			case <-done:
				return
			}
		} else {
			r.free <- buf
		}
		if err != nil {
			r.err = err
			return
		}
	}
}

// failure returns the error that ended the input, or nil if it just ended.
func (r *reader) failure() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return fmt.Errorf("reading stdin: %w", r.err)
}

// take handles the whole lines of a chunk and keeps the rest.
func (l *loop) take(chunk []byte) {
	l.lines.add(chunk)
	l.in.free <- chunk[:cap(chunk)]
	l.takeLines()
}

// takeLines handles the lines that are complete. Their originals are written together: one by one, each would wake the goroutine of the
// output.
func (l *loop) takeLines() {
	for {
		line, err := l.lines.next()
		switch {
		case line == nil:
			l.out.write(l.passed)
			l.passed = l.passed[:0]
			return
		case err != nil:
			l.bad.add(line, err)
		default:
			l.takeLine(line)
		}
	}
}

// takeLine adds a line to the blocks and passes it on unchanged, unless a block drops it or it is not a metric.
func (l *loop) takeLine(line []byte) {
	m, err := l.parser.parse(line)
	if err != nil {
		l.bad.add(l.lines.reject(), err)
		return
	}
	if m == nil {
		return
	}
	drop := false
	for _, b := range l.blocks {
		if b.Add(m) {
			drop = true
		}
	}
	if !drop {
		l.passed = append(l.passed, line...)
	}
}

// takeArrived handles what was written to the input already, and does not wait for more. A pipe does not show whether there is more: the
// input counts as empty once nothing came for arrivalTime.
func (l *loop) takeArrived() {
	for end := time.Now().Add(maxArrival); time.Now().Before(end); {
		select {
		case chunk, ok := <-l.in.full:
			if !ok {
				l.endInput()
				return
			}
			l.take(chunk)
		case <-time.After(arrivalTime):
			return
		}
	}
}

// endInput handles a last line without a newline.
func (l *loop) endInput() {
	l.lines.end()
	l.takeLines()
}

// parser parses single lines with Telegraf's own parser, so that metrics are the same as within Telegraf.
type parser struct {
	handler *influx.MetricHandler // gets the parts of a line from machine, and makes a metric of them
	machine interface {           // Telegraf's type for it is not exported
		SetData(data []byte)
		Next() error
	}
}

// newParser returns a parser for one goroutine.
func newParser() parser {
	h := influx.NewMetricHandler()
	return parser{handler: h, machine: influx.NewMachine(h)}
}

// parse returns the metric of a line, or nil for an empty line and a comment. The metric keeps nothing of the line. A line without
// a timestamp has the present time.
func (p parser) parse(line []byte) (telegraf.Metric, error) {
	p.machine.SetData(line)
	switch err := p.machine.Next(); {
	case errors.Is(err, influx.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return p.handler.Metric(), nil
}

// badLines counts lines that cannot be parsed.
type badLines struct {
	count int    // since the last report
	first string // the error of the first of them, and the start of the line; of an earlier report if count is 0
}

// add counts a line. It keeps the start of the first one since the last report.
func (b *badLines) add(line []byte, err error) {
	if b.count == 0 {
		const most = 200
		line = bytes.TrimRight(line, "\r\n")
		b.first = fmt.Sprintf("%s in %q", err, line[:min(len(line), most)])
		if len(line) > most {
			b.first += " …"
		}
	}
	b.count++
}

// report logs the lines since the last report.
func (b *badLines) report(log telegraf.Logger) {
	if b.count > 0 {
		log.Warnf("Dropped %s that cannot be read as line protocol, the first: %s", show.Counted(b.count, "line"), b.first)
	}
	b.count = 0
}
