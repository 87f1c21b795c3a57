package describefile

import (
	"fmt"
	"sync"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/file"
)

// The progress is the last line of a terminal, without a line end. When another line has to be written, say removes the progress first, and
// the next tick draws it again below. command.mu makes each of these steps whole, and command.drawn is whether there is something to
// remove.

const (
	// quietFor is how long a run takes before its progress is shown.
	quietFor = time.Second
	// redrawEvery is how often the progress is written again.
	redrawEvery = 200 * time.Millisecond
)

// startProgress shows the progress of reading on stderr, if that is a terminal. stop ends it, waits for that and removes the line:
// what is written afterwards begins on an empty one. It must be called once, also after an error.
func (c *command) startProgress(r *file.Reader) (stop func()) {
	if c.flags.quiet || !isTerminal(c.stderr) {
		return func() {}
	}
	done := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() { c.showProgress(r, done) })
	return func() {
		close(done)
		drawing.Wait()
	}
}

// showProgress draws the progress until done is closed, and removes it then. The terminal may change its width between two times.
func (c *command) showProgress(r *file.Reader, done <-chan struct{}) {
	start := time.Now()
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			c.draw("")
			return
		case <-tick.C:
			if took := time.Since(start); took >= quietFor {
				c.draw(cut(progress(r.Read(), r.Size(), took), terminalWidth(c.stderr)-1))
			}
		}
	}
}

// draw writes a line without its end over the one that it has written before, from the left edge (\r) to the end (ESC [ K). An empty line
// only removes that.
func (c *command) draw(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if line != "" || c.drawn {
		fmt.Fprint(c.stderr, "\r"+line+"\x1b[K")
	}
	c.drawn = line != ""
}

// cut returns the start of a line of ASCII, of at most n bytes: a line that the terminal wraps could not be removed.
func cut(line string, n int) string { return line[:min(len(line), max(n, 0))] }

// progress returns the line for a number of bytes read of size, which is negative if it is unknown. What was read once size is reached
// may go on growing with a file that is being written. took is more than 0. The lines for a known size, for the time after reading, and for
// standard input:
//
//	[#####               ]  25 %  250 MB of 1 GB, 125 MB/s, 6s left
//	1 GB read, computing
//	5 kB read, 2.5 kB/s
func progress(read, size int64, took time.Duration) string {
	rate := float64(read) / took.Seconds()
	if size <= 0 || read >= size {
		if size > 0 && read >= size {
			return byteSize(float64(read)) + " read, computing"
		}
		return fmt.Sprintf("%s read, %s/s", byteSize(float64(read)), byteSize(rate))
	}
	const cells = 20
	share := float64(read) / float64(size)
	bar := make([]byte, cells)
	for i := range bar {
		bar[i] = ' '
		if float64(i) < share*cells {
			bar[i] = '#'
		}
	}
	left := "?"
	if rate > 0 {
		left = (time.Duration(float64(size-read) / rate * float64(time.Second))).Round(time.Second).String()
	}
	return fmt.Sprintf("[%s] %3.0f %%  %s of %s, %s/s, %s left", bar, 100*share, byteSize(float64(read)), byteSize(float64(size)), byteSize(rate), left)
}

// byteSize returns a number of bytes for people, in units of powers of 1000: three digits are enough. 1234 is "1.23 kB", and 999,600 is "1
// MB" and not "1e+03 kB". n is not negative.
func byteSize(n float64) string {
	const limit = 999.5 // from there on, three digits are those of 1000
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if n < limit {
			if unit == "B" {
				return fmt.Sprintf("%.0f B", n)
			}
			return fmt.Sprintf("%.3g %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.3g TB", n)
}
