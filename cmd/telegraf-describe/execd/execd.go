// Package execd runs describe aggregators as a filter of line protocol, which is what processors.execd of a Telegraf without
// these aggregators starts: metrics come from the input, and the originals and the rows go to the output.
//
// It has what plugins/common/shim of Telegraf lacks for an aggregator: periods, a flush when the input ends, and signals.
//
//	stdin ─▶ reader ─▶ splitter ─▶ parser ─┬─▶ blocks ─▶ Push at the end of a period ─▶ output ─▶ stdout
//	                                       └─▶ originals, as they came, unless dropped ─┘
//	signals ─▶ watch ─▶ the end of the run
//
// There are four goroutines: the reader, since a read cannot be interrupted; the output, since a write cannot either; watch; and the
// loop, which has all state and does the rest. A slow reader of stdout stops the loop, and so Telegraf: nothing is dropped, and memory
// stays bounded.
//
// At the end there is first no more input, then a last Push, then all output is written and read, and only then the state is closed as
// after a clean end: rows that Telegraf may not have read leave again in the next run.
package execd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/models"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// Options are the arguments of [Run]. All of them are required.
type Options struct {
	// Blocks are the aggregators. Each is a *describe.Describe that was not initialized.
	Blocks []*models.RunningAggregator
	// RoundInterval aligns the ends of periods with the clock, as the agent's option round_interval does.
	RoundInterval bool
	// In is the source of line protocol.
	In io.Reader
	// Out gets originals and rows. One goroutine writes to it.
	Out io.Writer
	// Drained is called when everything was written to Out. It returns when the reader of Out has read it, and an error if that
	// cannot happen any more or cancel is closed.
	Drained func(cancel <-chan struct{}) error
	// Signals request the end of the run: see [Run].
	Signals <-chan os.Signal
	// Log gets the messages of the run. Those of a block leave by the block's own logger.
	Log telegraf.Logger
}

// Run passes metrics on and describes them until the input ends. Then it pushes a last time, writes everything and closes the
// blocks. It returns an error if a block cannot be initialized, or if the input or the output failed.
//
// A signal does not end the run at once, because the end of the input usually follows it: service managers and terminals send
// signals to Telegraf and its children at the same time, and Telegraf still sends metrics while it stops. If the input does not
// end within five seconds, or another signal comes, the run ends as if the input had ended. After a signal, Run returns an error
// if the output was not read nine seconds after the end of the input: Telegraf kills its child after ten. SIGHUP has no effect.
//
// After a failed output the state is left as after a crash, so that the next run emits the rows again that may not have
// arrived.
func Run(o Options) error {
	l := &loop{
		log: o.Log, in: newReader(o.In), out: newOutput(o.Out), parser: newParser(), drained: o.Drained,
		stop: make(chan struct{}), ended: make(chan struct{}), done: make(chan struct{}),
	}
	defer close(l.done)
	if err := l.start(o.Blocks, o.RoundInterval); err != nil {
		return err
	}
	go l.in.run(l.done)
	go l.out.run()
	go l.watch(o.Signals)
	return errors.Join(l.run(), l.finish())
}

// loop is a run. Its methods are for one goroutine, except watch.
//
// It has no lock. The loop owns the blocks, the splitter and the parser, and meets the other goroutines at the output, which has a lock,
// and at channels. stop, ended and done are closed once, and nothing is sent on them: watch closes stop for the loop, the loop closes
// ended for watch, and Run closes done for watch and the reader.
//
// A Push returns before its rows are written, because the blocks have the host option Background: a goroutine of the block writes them
// to the output, beside the originals of the loop. A Push after plugin.Stop, such as the last one, returns when its rows are written.
type loop struct {
	log     telegraf.Logger
	blocks  []*block // the initialized ones, in the order of Options.Blocks; start changes them, and nothing after it
	in      *reader
	lines   splitter
	parser  parser
	passed  []byte // originals that were not written yet, of one call of takeLines; its memory is used again
	bad     badLines
	out     *output
	drained func(cancel <-chan struct{}) error // Options.Drained

	last  atomic.Bool   // whether the Push under way is the last one; read by the blocks
	stop  chan struct{} // closed when the input should not be read any more
	ended chan struct{} // closed when it is not read any more
	done  chan struct{} // closed when Run returns
}

// block is one describe aggregator.
type block struct {
	*models.RunningAggregator // filters, renames and knows the period, as in Telegraf

	plugin *describe.Describe   // its Aggregator
	acc    telegraf.Accumulator // writes the rows to the output
}

// start initializes the blocks and begins their first period. After an error no block is open.
func (l *loop) start(all []*models.RunningAggregator, round bool) error {
	for _, ra := range all {
		plugin, ok := ra.Aggregator.(*describe.Describe)
		if !ok {
			return errors.Join(fmt.Errorf("%s is no describe aggregator", ra.LogName()), l.closeBlocks())
		}
		plugin.SetHost(describe.Host{Background: true, IsLast: l.last.Load})
		if err := ra.Init(); err != nil {
			return errors.Join(&BlockError{Number: len(l.blocks), Err: err}, l.closeBlocks())
		}
		l.blocks = append(l.blocks, &block{RunningAggregator: ra, plugin: plugin, acc: newAccumulator(ra, l.out)})
	}
	now := time.Now()
	for _, b := range l.blocks {
		b.UpdateWindow(firstPeriod(now, b.Period(), round))
	}
	return nil
}

// BlockError is the error of a block that cannot be initialized. The caller knows the line of the block.
type BlockError struct {
	Number int // index in Options.Blocks
	Err    error
}

// Error returns the text of Err.
func (e *BlockError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *BlockError) Unwrap() error { return e.Err }

// firstPeriod returns the start and the end of the period under way. The end is later than now. For example, a period of 10 s at 12:00:07
// began at 12:00:00 if it is rounded, and else begins now.
func firstPeriod(now time.Time, period time.Duration, round bool) (start, end time.Time) {
	end = now.Add(period)
	if round {
		end = now.Truncate(period).Add(period)
	}
	return end.Add(-period), end
}

// run returns when the input has ended, the output has failed, or a signal has ended the run.
func (l *loop) run() error {
	defer close(l.ended)
	timer := time.NewTimer(time.Until(l.nextPush()))
	defer timer.Stop()
	for {
		select {
		case chunk, ok := <-l.in.full:
			if !ok {
				l.endInput()
				return l.in.failure()
			}
			l.take(chunk)
		case <-timer.C:
			l.push()
			timer.Reset(time.Until(l.nextPush()))
		case <-l.stop:
			l.takeArrived()
			return nil
		case <-l.out.failed:
			return nil // finish returns the error
		}
	}
}

// nextPush returns when the first period ends.
func (l *loop) nextPush() time.Time {
	next := l.blocks[0].EndPeriod()
	for _, b := range l.blocks[1:] {
		if end := b.EndPeriod(); end.Before(next) {
			next = end
		}
	}
	return next
}

// push pushes the blocks whose period has ended. A timer may fire before that by the clock, and then the block is pushed when
// the timer fires again: Telegraf does not begin the next period at a Push before the end of one.
func (l *loop) push() {
	for _, b := range l.blocks {
		if !time.Now().Before(b.EndPeriod()) {
			b.Push(b.acc)
		}
	}
	l.bad.report(l.log)
}

// finish pushes a last time, waits until the output was read, and closes the blocks. The order matters: closing a state records that all
// rows have left, so nothing may be lost after it. If the output failed, it abandons them: their state
// is left as after a crash, and the rows leave again in the next run.
func (l *loop) finish() error {
	for _, b := range l.blocks {
		b.plugin.Stop()
	}
	l.last.Store(true)
	for _, b := range l.blocks {
		b.Push(b.acc)
	}
	l.bad.report(l.log)
	err := l.out.close()
	if err == nil {
		err = l.drained(l.out.failed)
	}
	if err != nil {
		for _, b := range l.blocks {
			b.plugin.Abandon()
		}
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return l.closeBlocks()
}

// closeBlocks closes the blocks that were started, also after an error of one of them.
func (l *loop) closeBlocks() error {
	var errs []error
	for _, b := range l.blocks {
		if err := b.plugin.Close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: closing the state: %w", b.LogName(), err))
		}
	}
	return errors.Join(errs...)
}
