package describe

import "sync"

// Host contains facts about the run that a plugin of Telegraf cannot find out. A program that embeds the plugin sets
// it before Init. On any other Telegraf, it is zero.
type Host struct {
	// Background lets Push return before its rows were emitted, so that metrics can be added at the same time.
	// Telegraf closes the channel for rows after its last Push, so the program must call [Describe.Stop] before that.
	Background bool
	// Emitted is called at the end of each Push with the number of metrics that it has emitted, perhaps in another goroutine
	// than Push. It may be nil.
	Emitted func(rows int)
	// IsLast reports, during a Push, whether it is the last Push of the run. Nil means false.
	IsLast func() bool
	// Closes is set where the program calls [Describe.Close] when the run has ended.
	Closes bool
	// Number distinguishes blocks in Telegraf's state file whose other options there are equal; see [Describe.ID].
	Number int
	// KeepsState is true if Telegraf saves the state of its plugins when it stops.
	KeepsState bool
	// Bounded is true if the run ends by itself, so that there is nothing to restart.
	Bounded bool
	// Test is true if the run must not change anything: the state is neither read nor written.
	Test bool
}

// SetHost sets the facts about the run. It must be called before Init. The functions in it are called by other goroutines.
func (d *Describe) SetHost(h Host) { d.pusher.host = h }

// Stop makes every later Push wait until its rows were emitted. It may be called at any time after Init, from any
// goroutine. It does not wait itself: a Push in the background may still be running when it returns.
func (d *Describe) Stop() { d.pusher.stop() }

// Close waits for a Push in the background and closes the state, which keeps the open buckets. It emits nothing. The plugin must not
// be used after it. Without the option state, it only waits.
func (d *Describe) Close() error {
	d.pusher.wait()
	return d.closeState()
}

// Abandon waits for a Push in the background and ends the run as a crash would: the next run with the same state emits the rows of
// the last state_replay again. It is for a host that could not pass on all rows. The plugin must not be used after it.
func (d *Describe) Abandon() {
	d.pusher.wait()
	d.abandonState()
}

// pusher runs a Push, in the background if the host allows it. A Push of many series takes long, and Telegraf adds no metric to
// the plugin before Push has returned.
type pusher struct {
	host Host // set before Init, then only read

	mu      sync.Mutex
	stopped bool          // guarded by mu
	running chan struct{} // of the Push in the background, closed when it has ended; nil before the first; guarded by mu
}

// stop ends the work in the background: each later push runs while its caller waits.
func (p *pusher) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

// wait waits until no Push is running in the background.
func (p *pusher) wait() {
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running != nil {
		<-running
	}
}

// push calls run; last is true for the last Push. If the Push before is still running in the background, push does
// nothing, and the next Push emits the changes. Pushes do not queue, because they would become more and more if each took
// longer than a period. The last Push waits for the one before, since nobody would emit its changes later.
//
// A last Push is not last for the buckets if Telegraf saves them in its state file: they go on in the next run.
func (p *pusher) push(run func(last bool)) {
	last := p.host.IsLast != nil && p.host.IsLast() && !p.host.KeepsState
	p.mu.Lock()
	running := p.running
	if p.host.Background && !p.stopped && !last {
		defer p.mu.Unlock()
		if running != nil && !isClosed(running) {
			return
		}
		ended := make(chan struct{})
		p.running = ended
		go func() {
			defer close(ended)
			run(false)
		}()
		return
	}
	p.mu.Unlock()
	p.wait()
	run(last)
}

// isClosed reports whether a channel is closed, to which nobody sends.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
