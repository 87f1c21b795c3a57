// Command demo runs the quickstart: analytics-api with a Redis of its own, and telegraf-describe. It plays a recording
// as if it happened now and prints the newest records of the API. If DEMO_SECONDS is set, the exit status is 0 only if
// the API served fresh records.
//
//	testdata/latency.lp ─▶ play ─▶ replay.lp ─▶ telegraf-describe ─▶ Redis ─▶ analytics-api ─▶ view ─▶ the terminal
//	                       demo                 bin/                 a child of bin/           demo
//
// It shows the programs as a user starts them, with their configurations from examples/quickstart. Only ports, the password and the
// replayed file are given by arguments and the environment.
//
// Run it in the top folder of the project, with the two programs in bin. With the flag -check it only checks its settings
// and ports: make demo does so before it builds the programs, which can take minutes.
//
// Times of a run: the recording of an hour is played in 12 minutes, telegraf-describe emits the rows of its buckets of 10 s every 2 s, and
// a new table is printed every 2 s.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/secret"
)

// What the demo runs with, from the top folder of the project.
const (
	apiConfig      = "examples/quickstart/analytics-api.toml"
	telegrafConfig = "examples/quickstart/telegraf.conf"
	recording      = "testdata/latency.lp"
	database       = "demo"

	startTimeout = time.Minute      // until the API is ready
	patience     = time.Minute      // after DEMO_SECONDS, for the first fresh records of a slow machine
	stopTimeout  = 15 * time.Second // of one child; more than analytics-api gives its Redis
	showEvery    = 2 * time.Second
)

func main() {
	// The demo stops its children before it ends, also if its terminal is closed (SIGHUP) or nothing reads its output (SIGPIPE).
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	check := len(os.Args) > 1 && os.Args[1] == "-check"
	var err error
	if check {
		_, err = choose(io.Discard)
	} else {
		err = run(ctx, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run runs the demo and prints its output to out. It returns when ctx ends or DEMO_SECONDS are over, and after its children have ended. If the
// demo fails, the logs of the children stay, and the error names their folder.
func run(ctx context.Context, out io.Writer) error {
	s, err := choose(out)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "telegraf-describe-demo-")
	if err != nil {
		return err
	}
	d := &demo{settings: s, folder: folder, out: out, started: time.Now(), ended: make(chan string, 2)}
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("%w\nthe logs are in %s", err, folder)
	}
	return os.RemoveAll(folder)
}

// demo is one run of the quickstart.
type demo struct {
	settings
	folder  string      // has the logs and the played recording
	out     io.Writer   // for the user
	started time.Time   // records of buckets that ended before are of an earlier run
	ended   chan string // receives the name of each child that ends; it has room for both
}

// api returns the address of the API. The children listen on the loopback interface only.
func (d *demo) api() string { return fmt.Sprintf("http://127.0.0.1:%d", d.apiPort) }

// run starts the API first: it has the Redis that telegraf-describe writes to. The children are stopped in the reverse order, so that the
// last rows still reach Redis. Redis has a password that only this run knows. The steps:
//
//	analytics-api ─▶ /ready answers ─▶ the recording plays ─▶ telegraf-describe ─▶ explain ─▶ watch, until the end
func (d *demo) run(ctx context.Context) error {
	redis := fmt.Sprintf("127.0.0.1:%d", d.redisPort)
	password := secret.New(32)
	api, err := d.start("analytics-api", []string{"ANALYTICS_API_EMBEDDED_PASSWORD=" + password},
		"--config", apiConfig, "--listen", strings.TrimPrefix(d.api(), "http://"), "--embedded", "auto", "--embedded-listen", redis)
	if err != nil {
		return err
	}
	defer api.stop()
	switch err := d.waitReady(ctx); {
	case errors.Is(err, errStopped) && d.seconds == 0:
		fmt.Fprintln(d.out, "\nstopping")
		return nil
	case err != nil:
		return err
	}
	replay := filepath.Join(d.folder, "replay.lp")
	playing, stopPlaying := context.WithCancel(ctx)
	defer stopPlaying()
	if err := play(playing, recording, replay); err != nil {
		return err
	}
	telegraf, err := d.start("telegraf-describe", []string{"REDIS_URL=redis://:" + password + "@" + redis, "REPLAY_FILE=" + replay}, "--config", telegrafConfig)
	if err != nil {
		return err
	}
	defer telegraf.stop()
	d.explain()
	return d.watch(ctx)
}

// explain prints the address of the page, and requests of the API for a second terminal. They have the ports of this run, so that they can
// be copied.
func (d *demo) explain() {
	fmt.Fprintf(d.out, `
Open the page in a browser:

  %[1]s/?table=latency&field=seconds

Or ask the API in another terminal:

  curl '%[1]s/analytics/cpu?database=%[2]s&last=1'
  curl '%[1]s/analytics/latency?database=%[2]s&last=3'
  curl '%[1]s/analytics?database=%[2]s'
  curl '%[1]s/metrics/analytics'

`, d.api(), database)
}

// child is a program that the demo started. It belongs to demo.run, which stops it. A child that ends by itself is reported on demo.ended
// too, and ends the demo.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended
}

// start starts a program of the folder bin and writes its output to a log, such as analytics-api.log in the folder of the demo. env is
// added to the environment: it may have a password, which arguments would show to other users of the machine. The child does not get
// Ctrl-C of the terminal: see apart.
func (d *demo) start(name string, env []string, args ...string) (*child, error) {
	log, err := os.Create(filepath.Join(d.folder, name+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	c := &child{cmd: exec.Command(filepath.Join("bin", name), args...), done: make(chan struct{})} //nolint:gosec // our own programs
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.SysProcAttr = apart()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w: run make build first", name, err)
	}
	go func() {
		_ = c.cmd.Wait()
		close(c.done)
		d.ended <- name
	}()
	return c, nil
}

// stop interrupts the program and waits until it ends. It kills the program after stopTimeout. Of a program that has ended, it returns
// at once.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(os.Interrupt)
	select {
	case <-c.done:
	case <-time.After(stopTimeout):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// errStopped is the error of a demo that a signal ended early. It is no failure unless DEMO_SECONDS is set.
var errStopped = errors.New("stopped before the API was ready")

// waitReady waits until the API answers on /ready, which it does once it reaches its Redis. It returns early with an error if a child ends, and
// with errStopped if ctx ends.
func (d *demo) waitReady(ctx context.Context) error {
	deadline := time.After(startTimeout)
	for { // the API has no other sign that it is ready
		if _, err := get(ctx, d.api()+"/ready"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errStopped
		case name := <-d.ended:
			return d.hasEnded(name)
		case <-deadline:
			return fmt.Errorf("the API is not ready after %s", startTimeout)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// hasEnded returns the error for a child that ended by itself, with the last five lines of its log.
func (d *demo) hasEnded(name string) error {
	b, _ := os.ReadFile(filepath.Join(d.folder, name+".log"))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return fmt.Errorf("%s has ended:\n%s", name, strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// watch shows the newest records of the API until the time is over or ctx ends. If a time is set, it returns an error
// unless the API served fresh records, for which it waits longer on a slow machine. It ends early with an error if a child ends or the API
// does not answer. Without a time, as when a person looks at it, a stop is no failure.
func (d *demo) watch(ctx context.Context) error {
	var over, tooLate <-chan time.Time
	if d.seconds > 0 {
		length := time.Duration(d.seconds) * time.Second
		over, tooLate = time.After(length), time.After(length+patience)
	}
	isOver := false
	ticker := time.NewTicker(showEvery)
	defer ticker.Stop()
	v := view{demo: d, terminal: isTerminal(os.Stdout)}
	for {
		select {
		case <-ticker.C:
			if err := v.show(ctx); err != nil {
				return err
			}
		case name := <-d.ended:
			return d.hasEnded(name)
		case <-over:
			isOver = true
		case <-tooLate:
			return v.verdict()
		case <-ctx.Done():
			fmt.Fprintln(d.out, "\nstopping")
			if d.seconds == 0 {
				return v.summary()
			}
			return v.verdict()
		}
		if isOver && len(v.missing()) == 0 {
			return v.summary()
		}
	}
}

// isTerminal reports whether f is a character device, such as a terminal.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
