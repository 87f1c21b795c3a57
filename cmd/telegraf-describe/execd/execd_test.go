package execd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/influxdata/telegraf/logger"
	"github.com/influxdata/telegraf/models"
	"github.com/influxdata/telegraf/plugins/aggregators"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/cmd/telegraf-describe/execd"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// newBlock returns a describe aggregator that takes values of all times and emits counts and largest values.
func newBlock(edit func(*describe.Describe, *models.AggregatorConfig)) *models.RunningAggregator {
	d := aggregators.Aggregators["describe"]().(*describe.Describe)
	const open = 100 * 8766 * time.Hour
	gate := config.Duration(open)
	d.Stats, d.Grace, d.Delay = []string{"count", "max"}, &gate, &gate
	c := &models.AggregatorConfig{Name: "describe", Period: 30 * time.Second, Grace: open, Delay: open}
	if edit != nil {
		edit(d, c)
	}
	if err := c.Filter.Compile(); err != nil {
		panic(err)
	}
	return models.NewRunningAggregator(d, c)
}

// child is a run in the bubble of a test. It reads from a pipe.
type child struct {
	t       *testing.T
	in      *io.PipeWriter
	out     *sink
	log     *sink
	signals chan os.Signal
	ended   chan error
}

// start starts a run with the options, of which it sets those that are nil.
func start(t *testing.T, o execd.Options) *child {
	t.Helper()
	r, w := io.Pipe()
	c := &child{t: t, in: w, out: &sink{}, log: &sink{}, signals: make(chan os.Signal, 8), ended: make(chan error, 1)}
	stop, err := execd.RedirectLog(c.log, telegraf.Info) // tests do not run in parallel
	require.NoError(t, err)
	t.Cleanup(stop)
	o.In, o.Signals, o.Log = r, c.signals, logger.New("execd", "", "")
	if o.Out == nil {
		o.Out = c.out
	}
	if o.Drained == nil {
		o.Drained = func(<-chan struct{}) error { return nil }
	}
	go func() { c.ended <- execd.Run(o) }()
	t.Cleanup(func() {
		w.Close()
		r.Close()
	})
	return c
}

// send writes to the input and waits until it was handled.
func (c *child) send(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.in, text)
	require.NoError(c.t, err)
	synctest.Wait()
}

// end closes the input and returns the result of the run.
func (c *child) end() error {
	c.t.Helper()
	require.NoError(c.t, c.in.Close())
	return c.result()
}

func (c *child) result() error { return <-c.ended }

// running reports whether the run has not ended.
func (c *child) running() bool {
	synctest.Wait()
	return len(c.ended) == 0
}

// sink is an output. It can fail.
type sink struct {
	mu  sync.Mutex // guards the fields below
	b   bytes.Buffer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.b.Write(p)
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// next returns what was written since the last call.
func (s *sink) next() string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.b.String()
	s.b.Reset()
	return text
}

func only(b ...*models.RunningAggregator) execd.Options { return execd.Options{Blocks: b} }

func TestOriginalsPassUnchangedAndRowsLeaveAtTheEndOfTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		originals := `cpu,cpu=cpu0,host=a\ b usage=1.50,n=3i,big=18446744073709551615u,up=true,note="a, b=c \" d" 946684800123456789` + "\n" +
			"log text=\"two\nlines, \\\\\" 946684800000000001\n" +
			"cpu,cpu=cpu0,host=a\\ b usage=2e0 946684801000000000\r\n"
		c := start(t, only(newBlock(nil)))
		c.send(originals)
		require.Equal(t, originals, c.out.next())
		require.NoError(t, c.end())
		require.ElementsMatch(t, []string{
			`analytics_cpu,bucket_state=final,cpu=cpu0,field_name=big,host=a\ b count=1i,max=18446744073709552000 946684800000000000`,
			`analytics_cpu,bucket_state=final,cpu=cpu0,field_name=n,host=a\ b count=1i,max=3 946684800000000000`,
			`analytics_cpu,bucket_state=final,cpu=cpu0,field_name=up,host=a\ b count=1i,max=1 946684800000000000`,
			`analytics_cpu,bucket_state=final,cpu=cpu0,field_name=usage,host=a\ b count=2i,max=2 946684800000000000`,
		}, strings.Split(strings.TrimSpace(c.out.next()), "\n"))
		require.NotContains(t, c.log.next(), "E! ")
	})
}

func TestALineIsPassedOnWhenItIsWholeWhereverTheInputIsCut(t *testing.T) {
	text := "m,a=b f=1 1\nm g=\"x\ny\" 2\n\n# \"comment\nm f=2 3"
	want := "m,a=b f=1 1\nm g=\"x\ny\" 2\nm f=2 3\n"
	for cut := range len(text) {
		synctest.Test(t, func(t *testing.T) {
			c := start(t, only(newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.Emit = "final" })))
			c.send(text[:cut])
			c.send(text[cut:])
			require.NoError(t, c.end())
			got := c.out.next()
			require.True(t, strings.HasPrefix(got, want), "cut at %d: %q", cut, got)
			require.Contains(t, got, "analytics_m,field_name=f count=1i,max=2 0\n")
			require.Contains(t, got, "analytics_m,a=b,field_name=f count=1i,max=1 0\n")
		})
	}
}

func TestDropOriginalDropsTheMetricsThatTheBlockTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(func(_ *describe.Describe, a *models.AggregatorConfig) {
			a.DropOriginal = true
			a.Filter.NamePass = []string{"cpu"}
		})))
		c.send("cpu f=1 1\nmem f=2 2\ncpu f=3 3\n")
		require.Equal(t, "mem f=2 2\n", c.out.next())
		require.NoError(t, c.end())
		require.Equal(t, "analytics_cpu,bucket_state=final,field_name=f count=2i,max=3 0\n", c.out.next())
	})
}

func TestPeriodsEndAlignedWithTheClockUnlessTheyShouldNot(t *testing.T) {
	for _, round := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(10 * time.Second) // the clock of a bubble begins at midnight
			c := start(t, execd.Options{RoundInterval: round, Blocks: []*models.RunningAggregator{newBlock(nil)}})
			first := 20 * time.Second
			if !round {
				first = 30 * time.Second
			}
			for i, wait := range []time.Duration{first, 30 * time.Second, 30 * time.Second} {
				line := fmt.Sprintf("m f=%d %d\n", i, time.Now().UnixNano())
				c.send(line)
				require.Equal(t, line, c.out.next())
				time.Sleep(wait - time.Nanosecond)
				require.Empty(t, c.out.next(), "round %t, period %d", round, i)
				time.Sleep(time.Nanosecond)
				require.Contains(t, c.out.next(), "analytics_m,bucket_state=open,field_name=f ", "round %t, period %d", round, i)
			}
			require.NoError(t, c.end())
		})
	}
}

func TestBlocksHaveTheirOwnPeriodsAndNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fast := newBlock(func(d *describe.Describe, a *models.AggregatorConfig) {
			d.Prefix, d.Bucket, a.Period, a.Tags = "fast_", "1h", 10*time.Second, map[string]string{"from": "execd"}
		})
		slow := newBlock(func(d *describe.Describe, a *models.AggregatorConfig) {
			d.Prefix, d.Bucket, a.Period, a.MeasurementSuffix = "slow_", "1d", time.Minute, "_x"
		})
		c := start(t, execd.Options{RoundInterval: true, Blocks: []*models.RunningAggregator{slow, fast}})
		c.send("m f=1 1\n")
		c.out.next()
		time.Sleep(10 * time.Second)
		require.Equal(t, "fast_m,bucket_state=open,field_name=f,from=execd count=1i,max=1 0\n", c.out.next())
		time.Sleep(50 * time.Second)
		require.Equal(t, "slow_m_x,bucket_state=open,field_name=f count=1i,max=1 0\n", c.out.next())
		require.NoError(t, c.end())
	})
}

func TestABucketBecomesFinalAfterLingerWithoutNewLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		c.send("m f=1 1\n")
		time.Sleep(11 * time.Minute)
		require.Equal(t, "m f=1 1\n"+
			"analytics_m,bucket_state=open,field_name=f count=1i,max=1 0\n"+
			"analytics_m,bucket_state=final,field_name=f count=1i,max=1 0\n", c.out.next())
		require.NoError(t, c.end())
		require.Empty(t, c.out.next())
	})
}

func TestBadLinesAreCountedAndTheFirstIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		good := "m f=1 1\n"
		c.send(good + "garbage\n" + good + "m f=\n" + good + "m f=\"no end 4\n" + good + good)
		require.Equal(t, strings.Repeat(good, 3), c.out.next(), "the text may go on after these lines")
		c.send("m g=\"x\" 5\n")
		require.Equal(t, good+good+"m g=\"x\" 5\n", c.out.next())
		c.send("m f=1 nonsense\n")
		time.Sleep(30 * time.Second)
		require.NoError(t, c.end())
		require.Contains(t, c.out.next(), "count=5i,max=1 ")
		require.Contains(t, c.log.next(), "W! [execd] Dropped 4 lines that cannot be read as line protocol, the first: expected tag in \"garbage\"\n")
	})
}

func TestATextWithoutEndTakesNoMoreThanTheLongestLineAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		c.send("m f=\"no end\n")
		line := "m f=1 1\n"
		for range 3 {
			c.send(strings.Repeat(line, 1<<20/len(line)/2))
		}
		require.GreaterOrEqual(t, len(c.out.next()), 1<<20)
		require.NoError(t, c.end())
	})
}

// The start of a line that is too long may be a line too, with another value: neither it nor the rest is one.
func TestALineThatIsTooLongIsDroppedToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		const units = 200_000
		long := "mmmmmm " + strings.Repeat("f=123,", units) + "f=4 5\n"
		require.Equal(t, "f=1", long[1<<20-3:1<<20])
		c.send(long + "m f=1 1\n")
		require.Equal(t, "m f=1 1\n", c.out.next())
		c.send("m f=2 2\n" + long[:len(long)-1])
		require.Equal(t, "m f=2 2\n", c.out.next())
		require.NoError(t, c.end())
		require.NotContains(t, c.out.next(), "mmmmmm")
		require.Contains(t, c.log.next(), "W! [execd] Dropped 2 lines that cannot be read as line protocol, the first: a line of more than 1 MiB in \"mmmmmm f=123,")
	})
}

func TestASlowReaderMakesTheInputWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		c := start(t, execd.Options{Blocks: []*models.RunningAggregator{newBlock(nil)}, Out: w})
		line := strings.Repeat("m,tag=value field=1 1\n", 500)
		sent := 0
		written := make(chan int)
		go func() {
			for range 100 {
				n, _ := io.WriteString(c.in, line)
				written <- n
			}
			close(written)
		}()
		for waiting := false; !waiting; {
			select {
			case n := <-written:
				sent += n
			case <-time.After(time.Minute): // nothing moves any more
				waiting = true
			}
		}
		require.Less(t, sent, 700_000, "bytes that the run took although nobody reads its output")
		got := make(chan int)
		go func() {
			n, _ := io.Copy(io.Discard, r)
			got <- int(n)
		}()
		for n := range written {
			sent += n
		}
		require.NoError(t, c.end())
		require.NoError(t, w.Close())
		require.Greater(t, <-got, sent, "the originals and rows")
	})
}

func TestAGoneReaderEndsTheRunAndItsRowsLeaveAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		stated := func() *models.RunningAggregator {
			return newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.State = folder })
		}
		c := start(t, only(stated()))
		c.send("m f=1 1\n")
		c.out.fail(syscall.EPIPE)
		time.Sleep(30 * time.Second) // the rows of the period cannot be written
		err := c.result()
		require.ErrorIs(t, err, syscall.EPIPE)
		require.EqualError(t, err, "writing to stdout: broken pipe")

		c = start(t, only(stated()))
		time.Sleep(30 * time.Second)
		require.Equal(t, "analytics_m,bucket_state=open,field_name=f count=1i,max=1 0\n", c.out.next())
		require.NoError(t, c.end())
	})
}

func TestRowsThatWereNotReadLeaveAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		stated := newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.State = folder })
		gone := func(<-chan struct{}) error { return syscall.EPIPE }
		c := start(t, execd.Options{Blocks: []*models.RunningAggregator{stated}, Drained: gone})
		c.send("m f=1 1\n")
		require.ErrorIs(t, c.end(), syscall.EPIPE)
		c = start(t, only(newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.State = folder })))
		require.NoError(t, c.end())
		require.Equal(t, "analytics_m,bucket_state=open,field_name=f count=1i,max=1 0\n", c.out.next())
	})
}

func TestOpenBucketsGoOnAfterTheEndOfTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		for i := range 3 {
			c := start(t, only(newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.State = folder })))
			c.send("m f=1 1\n")
			c.out.next()
			require.NoError(t, c.end())
			require.Equal(t, fmt.Sprintf("analytics_m,bucket_state=open,field_name=f count=%di,max=1 0\n", i+1), c.out.next())
		}
	})
}

func TestAfterASignalTheInputIsReadToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		c.signals <- syscall.SIGTERM
		synctest.Wait()
		c.send("m f=1 1\n")
		time.Sleep(4 * time.Second)
		require.True(t, c.running())
		c.send("m f=2 2\n")
		require.NoError(t, c.end())
		require.Equal(t, "m f=1 1\nm f=2 2\nanalytics_m,bucket_state=final,field_name=f count=2i,max=2 0\n", c.out.next())
	})
}

func TestASignalEndsARunWhoseInputGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		c.send("m f=1 1\n")
		c.signals <- syscall.SIGTERM
		time.Sleep(5*time.Second - time.Nanosecond)
		require.True(t, c.running())
		time.Sleep(time.Second)
		require.False(t, c.running())
		require.NoError(t, c.result())
		require.Equal(t, "m f=1 1\nanalytics_m,bucket_state=final,field_name=f count=1i,max=1 0\n", c.out.next())
	})
}

func TestASecondSignalEndsTheRunAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		c.signals <- syscall.SIGHUP // has no effect
		c.signals <- os.Interrupt
		time.Sleep(time.Second)
		require.True(t, c.running())
		c.signals <- os.Interrupt
		time.Sleep(50 * time.Millisecond) // for lines that have arrived
		require.False(t, c.running())
		require.NoError(t, c.result())
	})
}

func TestAnOutputThatIsNotReadEndsTheRunAfterASignal(t *testing.T) {
	for _, block := range []string{"write", "pipe"} {
		synctest.Test(t, func(t *testing.T) {
			o := only(newBlock(nil))
			if block == "write" {
				r, w := io.Pipe()
				defer r.Close()
				o.Out = w
			} else {
				o.Drained = func(cancel <-chan struct{}) error {
					<-cancel
					return errors.New("canceled")
				}
			}
			c := start(t, o)
			c.send("m f=1 1\n")
			require.NoError(t, c.in.Close())
			time.Sleep(5 * time.Second)
			require.True(t, c.running())
			c.signals <- syscall.SIGTERM // as Telegraf does
			time.Sleep(4*time.Second - time.Nanosecond)
			require.True(t, c.running())
			time.Sleep(time.Nanosecond)
			require.False(t, c.running())
			require.ErrorContains(t, c.result(), "writing to stdout: ")
		})
	}
}

func TestAnErrorOfTheInputIsReturnedAfterEverythingWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, only(newBlock(nil)))
		c.send("m f=1 1\n")
		require.NoError(t, c.in.CloseWithError(errors.New("broken")))
		require.EqualError(t, c.result(), "reading stdin: broken")
		require.Contains(t, c.out.next(), "count=1i,max=1 0\n")
	})
}

func TestAnInvalidBlockEndsTheRunAndFreesTheStateOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		valid := func() *models.RunningAggregator {
			return newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.State = folder })
		}
		err := start(t, only(valid(), newBlock(func(d *describe.Describe, _ *models.AggregatorConfig) { d.Bucket = "1 month" }))).result()
		var faulty *execd.BlockError
		require.ErrorAs(t, err, &faulty)
		require.Equal(t, 1, faulty.Number)
		require.ErrorContains(t, err, "invalid 'bucket' setting")
		require.NoError(t, start(t, only(valid())).end())

		other := models.NewRunningAggregator(struct{ telegraf.Aggregator }{}, &models.AggregatorConfig{Name: "other"})
		require.EqualError(t, start(t, only(valid(), other)).result(), "aggregators.other is no describe aggregator")
		require.NoError(t, start(t, only(valid())).end())
	})
}
