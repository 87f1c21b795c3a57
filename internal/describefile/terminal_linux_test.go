package describefile_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: what a process writes to slave is read from master, and what is written to master is typed.
type terminal struct{ master, slave *os.File }

// newTerminal opens a terminal of so many columns. It skips the test where there are none.
func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	control, err := master.SyscallConn() // Fd would make reads block until the terminal is closed
	require.NoError(t, err)
	var number int
	require.NoError(t, control.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err == nil {
			number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}))
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	require.NoError(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	return &terminal{master, slave}
}

// start starts the command in the terminal. Its standard output is stdout, or the terminal if that is nil.
func (x *terminal) start(t *testing.T, stdout *bytes.Buffer, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), self, args...)
	c.Env = append(os.Environ(), childVariable+"=1", "TERM=xterm", "NO_COLOR=", "COLUMNS=")
	c.Stdin, c.Stdout, c.Stderr = x.slave, x.slave, x.slave
	if stdout != nil {
		c.Stdout = stdout
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, c.Start())
	require.NoError(t, x.slave.Close())
	return c
}

// readUntil reads what the process writes, until wanted matches it or, if wanted is nil, until the process ended.
func (x *terminal) readUntil(t *testing.T, wanted *regexp.Regexp) string {
	t.Helper()
	require.NoError(t, x.master.SetReadDeadline(time.Now().Add(time.Minute)))
	var all []byte
	buf := make([]byte, 4096)
	for {
		n, err := x.master.Read(buf)
		all = append(all, buf[:n]...)
		if wanted != nil && wanted.Match(all) {
			return string(all)
		}
		if err != nil {
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the terminal has %q", all)
			require.Nil(t, wanted, "the process ended, the terminal has %q", all)
			return string(all)
		}
	}
}

// longFile writes a small file that expands to gigabytes of CSV.
func longFile(t *testing.T) string {
	t.Helper()
	encoder, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	frame := encoder.EncodeAll([]byte(strings.Repeat("1.5,2.25,3\n", 1<<17)), nil)
	path := filepath.Join(t.TempDir(), "long.csv.zst")
	require.NoError(t, os.WriteFile(path, bytes.Repeat(frame, 8000), 0o600))
	return path
}

// On a terminal, long work shows a progress bar that fits, and Ctrl-C removes it and ends the command with the status 130 and
// without a result.
func TestCtrlCRemovesTheProgressBar(t *testing.T) {
	t.Parallel()
	for _, columns := range []uint16{80, 30} {
		t.Run(fmt.Sprintf("columns=%d", columns), func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t, columns)
			var stdout bytes.Buffer
			c := x.start(t, &stdout, "--no-header", longFile(t))
			bar := regexp.MustCompile(`\r(\[#* *\] +\d+ %[^\r\x1b]*)\x1b\[K`)
			shown := bar.FindStringSubmatch(x.readUntil(t, bar))[1]
			require.Less(t, len(shown), int(columns))
			if columns == 80 {
				require.Regexp(t, `^\[#* +\] +\d+ %  [0-9.]+ k?B of [0-9.]+ .B, [0-9.]+ k?B/s, ([0-9hms]+|\?) left$`, shown)
			}
			_, err := x.master.Write([]byte{3}) // Ctrl-C
			require.NoError(t, err)
			rest := x.readUntil(t, nil)
			require.True(t, strings.HasSuffix(rest, "\r\x1b[K"), "%q", rest)
			require.Error(t, c.Wait())
			require.Equal(t, 130, c.ProcessState.ExitCode())
			require.Empty(t, stdout.String())
		})
	}
}

// A note that comes while the progress is shown replaces it, and does not stand behind it. The first file is a pipe, which stays open until
// there is a bar; opening the second one makes the note.
func TestANoteReplacesTheProgressBar(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	slow, noted := filepath.Join(folder, "slow.csv"), filepath.Join(folder, "noted.csv")
	require.NoError(t, syscall.Mkfifo(slow, 0o600))
	require.NoError(t, os.WriteFile(noted, []byte("v\n1 %\n2 %\n"), 0o600))
	pipe, err := os.OpenFile(slow, os.O_RDWR, 0) // which waits for no reader
	require.NoError(t, err)
	x := newTerminal(t, 200)
	var stdout bytes.Buffer
	c := x.start(t, &stdout, slow, noted)
	_, err = pipe.WriteString("v\n1\n2\n")
	require.NoError(t, err)
	x.readUntil(t, regexp.MustCompile(`\r[^\r\x1b]+ read, [^\r\x1b]+/s\x1b\[K`))
	require.NoError(t, pipe.Close())
	rest := x.readUntil(t, nil)
	require.NoError(t, c.Wait())
	require.Regexp(t, `\r\x1b\[Kdescribe: \S+noted.csv: column "v": numbers are read without "%"`, rest)
}

// slow matches what the command writes to a terminal only if it takes more than a second, as on a machine that does other work: the progress,
// from its first drawing to its removal, and the note on how long it took.
var slow = regexp.MustCompile(`\r[^\n\x1b]*\x1b\[K|describe: \d+ rows?, [^\n]* in [0-9.]+ s\r\n`)

// On a terminal, the table has its width and a bold header; the notes name what did not fit.
func TestTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "small.csv")
	require.NoError(t, os.WriteFile(path, []byte(small), 0o600))
	var widest []int
	for _, columns := range []uint16{40, 80, 200} {
		x := newTerminal(t, columns)
		c := x.start(t, nil, path)
		text := slow.ReplaceAllString(x.readUntil(t, nil), "")
		require.NoError(t, c.Wait())
		require.True(t, strings.HasPrefix(text, "\x1b[1mCOLUMN"), "%q", text)
		most := 0
		for line := range strings.Lines(text) {
			line = strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(strings.TrimRight(line, "\r\n"))
			most = max(most, utf8.RuneCountInString(line))
		}
		require.LessOrEqual(t, most, int(columns), "%q", text)
		require.Equal(t, columns < 200, strings.Contains(text, "not shown:"), "%q", text)
		widest = append(widest, most)
	}
	require.IsIncreasing(t, widest)
}
