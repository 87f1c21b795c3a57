package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// The tests run the whole command. The test binary starts itself as a child process, and the child is the command if this
// variable is set. So the command has the race detector if the tests have it.
const actAsCommand = "TELEGRAF_DESCRIBE_TEST_COMMAND"

// patience is the longest time that a test waits for an event. No test passes because this time is over.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(actAsCommand) != "" {
		main()
		os.Exit(0)
	}
	redistest.Main(m)
	_ = os.RemoveAll(builtAPI.folder) // does nothing for ""
}

// result is the output and the exit status of a command.
type result struct {
	code           int // the exit status, -1 when a signal killed the command
	stdout, stderr string
}

// runTelegraf runs telegraf-describe with the arguments until it ends.
func runTelegraf(t testing.TB, args ...string) result {
	t.Helper()
	return startTelegraf(t, args...).wait()
}

// telegrafProcess is a running telegraf-describe. Its methods are for the test's goroutine.
type telegrafProcess struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr *output
	ended          chan struct{} // closed when the process has ended
}

// startTelegraf starts telegraf-describe with the arguments. The process does not find the Telegraf configurations of this
// machine. It ends with the test, and if the test fails, its log is in the log of the test.
func startTelegraf(t testing.TB, args ...string) *telegrafProcess {
	t.Helper()
	return startTelegrafWith(t, nil, args...)
}

// startTelegrafWith is startTelegraf with more environment variables, each as key=value.
func startTelegrafWith(t testing.TB, env []string, args ...string) *telegrafProcess {
	t.Helper()
	p := &telegrafProcess{t: t, cmd: exec.Command(os.Args[0], args...), stdout: &output{}, stderr: &output{}, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "TELEGRAF_CONFIG_PATH=", "NOTIFY_SOCKET=", "GORACE=atexit_sleep_ms=0", actAsCommand+"=1")
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit status is read from ProcessState
	}()
	t.Cleanup(p.cleanUp)
	return p
}

func (p *telegrafProcess) cleanUp() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	// The race detector changes only an exit status of 0.
	assert.NotContains(p.t, p.stderr.String(), "WARNING: DATA RACE")
	if p.t.Failed() {
		p.t.Logf("%q ended with %s\n--- stdout\n%s\n--- stderr\n%s", p.cmd.Args[1:], p.cmd.ProcessState, p.stdout, p.stderr)
	}
}

// signal sends the signal to the process, which must be running.
func (p *telegrafProcess) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// wait waits until the process ends.
func (p *telegrafProcess) wait() result {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		require.FailNow(p.t, "telegraf-describe did not end", "arguments: %q", p.cmd.Args[1:])
	}
	return result{code: p.cmd.ProcessState.ExitCode(), stdout: p.stdout.String(), stderr: p.stderr.String()}
}

// stop ends the process with SIGTERM, as a service manager does, and requires exit status 0.
func (p *telegrafProcess) stop() result {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	r := p.wait()
	require.Zero(p.t, r.code, "exit status after SIGTERM")
	return r
}

// waitFor polls until the condition holds, less and less often, because a condition may be a request to another process. It fails the test
// if the condition does not hold within the time patience, or if the process ends before.
func (p *telegrafProcess) waitFor(what string, condition func() bool) {
	p.t.Helper()
	pause := 5 * time.Millisecond
	for deadline := time.Now().Add(patience); !condition(); time.Sleep(pause) {
		pause = min(pause*5/4, 200*time.Millisecond)
		select {
		case <-p.ended:
			if condition() {
				return
			}
			require.FailNow(p.t, "telegraf-describe ended early", "waited for %s", what)
		default:
		}
		require.True(p.t, time.Now().Before(deadline), "never: %s", what)
	}
}

// waitForLog waits until the log has the text.
func (p *telegrafProcess) waitForLog(text string) {
	p.t.Helper()
	p.waitFor(fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(p.stderr.String(), text) })
}

// waitForFile waits until the file has the text.
func (p *telegrafProcess) waitForFile(path, text string) {
	p.t.Helper()
	p.waitFor(fmt.Sprintf("%q in %s", text, filepath.Base(path)), func() bool { return strings.Contains(readFile(p.t, path), text) })
}

// output collects what a process writes.
type output struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// readFile returns the content of the file, or "" if it does not exist.
func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(b)
}

// writeFile writes a file with the name into a new folder and returns its path.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
