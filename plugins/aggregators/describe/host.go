package describe

import "sync"

// Host describes the run to the plugin. A program that embeds the plugin sets it before Init; another Telegraf leaves it
// zero.
type Host struct {
	// Background lets Push return before its rows have left, so that metrics are added meanwhile. Telegraf closes
	// the channel that rows go to after its last Push, so the program calls [Describe.Stop] before that.
	Background bool
	// Started is called once, before the first metric is added; nil is not called.
	Started func()
	// IsLast reports, during a Push, whether it is the last one of the run; nil is false.
	IsLast func() bool
	// Closes is set where the program calls [Describe.Close] when the run has ended.
	Closes bool
	// Number distinguishes blocks in Telegraf's state file whose other options there are equal; see [Describe.ID].
	Number int
	// KeepsState is set where Telegraf saves the state of its plugins when it stops.
	KeepsState bool
	// Bounded is set where the run ends by itself, so that there is nothing to restart.
	Bounded bool
	// Test is set where the run must leave no trace: the state is neither read nor written.
	Test bool
}

// SetHost sets the description of the run. It must be called before Init.
func (d *Describe) SetHost(h Host) { d.pusher.host = h }

// Stop makes every later Push wait until its rows have left. It may be called at any time after Init, from any
// goroutine.
func (d *Describe) Stop() { d.pusher.stop() }

// Close waits for a Push in the background and ends the run of the state. The plugin is not used after it.
func (d *Describe) Close() error {
	d.pusher.wait()
	return d.closeState()
}

// pusher runs a Push, in the background where the host allows it.
type pusher struct {
	host Host

	mu      sync.Mutex
	stopped bool          // guarded by mu
	running chan struct{} // of the Push in the background, closed when it has ended; nil before the first; guarded by mu
}

func (p *pusher) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

func (p *pusher) wait() {
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	if running != nil {
		<-running
	}
}

// push calls run, with whether this is the last Push. If the Push before is still running in the background, it does
// nothing: the next Push emits the changes.
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

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
