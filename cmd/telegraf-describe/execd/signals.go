package execd

import (
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// inputTime is how long the input may go on after a signal. Telegraf, which usually got the same signal, flushes meanwhile.
	inputTime = 5 * time.Second
	// outputTime is how long the output may take after the input, once there was a signal. Telegraf sends its child a signal
	// five seconds after it has closed the input, and kills it after ten.
	outputTime = 9 * time.Second
)

// watch ends the run after signals, as [Run] explains. It returns when the run has ended.
//
//	signal ─ inputTime, or another signal ─▶ stop ─ outputTime ─▶ the output fails, if it was not read by then
//	the input ends ────────────────────────▶ stop
//
// The output fails only if there was a signal: after outputTime, or at the signal if that comes later. Without a signal, it may take any
// time.
func (l *loop) watch(signals <-chan os.Signal) {
	var (
		signaled, late bool
		quit, stuck    <-chan time.Time
		ended          = l.ended
		stop           = sync.OnceFunc(func() { close(l.stop); stuck = time.After(outputTime) })
	)
	// A nil channel is never ready: quit and stuck are once their time runs, and ended is no more once it was seen.
	for {
		select {
		case s := <-signals:
			switch {
			case s == syscall.SIGHUP: // Telegraf reloads, and closes the input for that
				continue
			case signaled:
				stop()
			default:
				signaled, quit = true, time.After(inputTime)
				l.log.Infof("Got the signal %q: describe ends with its input, or in %s", s, inputTime)
			}
		case <-quit:
			stop()
		case <-ended:
			ended = nil
			stop()
		case <-stuck:
			late = true
		case <-l.done:
			return
		}
		if signaled && late {
			l.out.fail(errStuck)
		}
	}
}
