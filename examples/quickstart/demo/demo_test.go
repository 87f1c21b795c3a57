package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMain runs one of the programs of the demo if the test binary has its name.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "analytics-api":
		serveNothing(os.Args[4])
	case "telegraf-describe":
		time.Sleep(time.Minute)
	default:
		os.Exit(m.Run())
	}
}

// serveNothing serves an API without tables. It is ready if DEMO_TEST_READY is 1.
func serveNothing(address string) {
	err := http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" || os.Getenv("DEMO_TEST_READY") != "1" {
			http.NotFound(w, r)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
}

// lockedBuffer is safe for concurrent use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// inFolder makes a folder in which the demo can run, and calls test there. The programs of the demo are links to the test binary. Another
// process can take one of their free ports before they do. If the error of test contains "in use", test is called again, up to ten times.
func inFolder(t *testing.T, test func() error) {
	t.Helper()
	var err error
	for range 10 {
		prepare(t)
		if err = test(); err == nil || !strings.Contains(err.Error(), "in use") {
			break
		}
		t.Log(err)
	}
	require.NoError(t, err)
}

// prepare makes the folder of inFolder, and sets the ports.
func prepare(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	require.NoError(t, os.MkdirAll("bin", 0o700))
	require.NoError(t, os.MkdirAll("testdata", 0o700))
	require.NoError(t, os.WriteFile(recording, []byte("m v=1 0\nm v=2 1000000000\n"), 0o600))
	for _, name := range []string{"analytics-api", "telegraf-describe"} {
		require.NoError(t, os.Symlink(self, filepath.Join("bin", name)))
	}
	for _, name := range []string{"DEMO_API_PORT", "DEMO_REDIS_PORT"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		require.NoError(t, err)
		t.Setenv(name, port)
	}
}

func TestAStopBeforeTheFirstRecordSucceeds(t *testing.T) {
	for ready, want := range map[string]string{"0": "", "1": "/?table=latency"} {
		inFolder(t, func() error {
			t.Setenv("DEMO_TEST_READY", ready)
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			out := &lockedBuffer{}
			err := stopped(t, out, func() bool {
				started, _ := filepath.Glob(filepath.Join(tmp, "*", "analytics-api.log"))
				return len(started) == 1 && strings.Contains(out.String(), want)
			})
			if err == nil {
				require.Contains(t, out.String(), "\nstopping\n")
				left, err := os.ReadDir(tmp)
				require.NoError(t, err)
				require.Empty(t, left, "the logs are removed unless the demo fails")
			}
			return err
		})
	}
}

// stopped runs the demo, stops it when the function returns true, and returns its error.
func stopped(t *testing.T, out io.Writer, when func() bool) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- run(ctx, out) }()
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(10 * time.Millisecond):
			if when() {
				cancel()
			}
		}
	}
}

func TestAStopBeforeTheTimeIsOverFailsWithoutRecords(t *testing.T) {
	inFolder(t, func() error {
		t.Setenv("DEMO_SECONDS", "60")
		t.Setenv("TMPDIR", t.TempDir())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := run(ctx, &bytes.Buffer{})
		require.Error(t, err)
		if errors.Is(err, errStopped) {
			err = nil
		}
		return err
	})
}

func TestTheErrorOfAPortInUseNamesItsVariable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	t.Setenv("DEMO_API_PORT", port)
	t.Setenv("DEMO_REDIS_PORT", port)
	err = run(t.Context(), &bytes.Buffer{})
	require.ErrorContains(t, err, "port "+port+" is in use: choose another one, such as make demo DEMO_API_PORT=")
	require.ErrorContains(t, err, "make demo DEMO_REDIS_PORT=")
}

// A default port that is in use is replaced. No test can free the default ports, so choosePort gets ports of its own.
func TestADefaultPortInUseIsReplacedByAFreeOne(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	usual := l.Addr().(*net.TCPAddr).Port
	var out bytes.Buffer
	port := 0
	require.NoError(t, choosePort(&out, "DEMO_API_PORT", "the API", usual, 0, &port))
	require.NotEqual(t, usual, port)
	require.NoError(t, canListen(port))
	require.Equal(t, fmt.Sprintf("Port %d is in use: the API gets port %d.\n", usual, port), out.String())

	require.NoError(t, l.Close())
	out.Reset()
	port = 0
	require.NoError(t, choosePort(&out, "DEMO_API_PORT", "the API", usual, 0, &port))
	require.Equal(t, usual, port)
	require.Empty(t, out.String())
	port = 0
	require.NoError(t, choosePort(&out, "DEMO_REDIS_PORT", "Redis", usual, usual, &port))
	require.NotEqual(t, usual, port, "it is the port of the other program")
}

func TestNumbersHaveAtMostSevenColumns(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 89: "89", 5.54412: "5.544", 0.007083: "0.00708", 0.0007083: "0.00071", 258799: "258.8k", 902756.4: "902.8k", 999.96: "1000", -123456789: "-123.5M",
		1.5e9: "1.5G", 2e15: "2000T", 1e-9: "1e-09", -0.0354321: "-0.0354", 1000: "1k",
	} {
		require.Equal(t, want, short(x))
		require.LessOrEqual(t, len(short(x)), 7)
	}
}

func TestTheTableHasAtMost79Columns(t *testing.T) {
	longest := `[{"table_name":"analytics_latency","service":"api","field_name":"used_percent","time":995000,"count":99999,` +
		`"min":-0.00123456,"median":123456.7,"mean":-123456.7,"p95":1234567.8,"max":-0.0123456}]`
	v, out := viewOn(t, http.StatusOK, longest)
	require.NoError(t, v.show(t.Context()))
	v.fresh = map[string]int{live: 99999, recorded: 99999}
	require.NoError(t, v.summary())
	v.explain()
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len(strings.TrimSuffix(line, "\n")), 79, line)
	}
}

func TestErrorsNameBadSettings(t *testing.T) {
	t.Setenv("DEMO_SECONDS", "long")
	t.Setenv("DEMO_API_PORT", "70000")
	err := run(t.Context(), &bytes.Buffer{})
	require.ErrorContains(t, err, `DEMO_SECONDS="long", want a number`)
	require.ErrorContains(t, err, `DEMO_API_PORT="70000", want a number`)
}

func TestAPIAndRedisCannotShareAPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Setenv("DEMO_API_PORT", port)
	t.Setenv("DEMO_REDIS_PORT", port)
	require.ErrorContains(t, run(t.Context(), &bytes.Buffer{}), "port "+port+" cannot be the port of both the API and Redis: choose another one")
	t.Setenv("DEMO_API_PORT", "0")
	require.ErrorContains(t, run(t.Context(), &bytes.Buffer{}), `DEMO_API_PORT="0", want a number from 1 to 65535`)
}

func TestATableReplacesTheLastOneOnlyOnATerminal(t *testing.T) {
	const body = `[{"table_name":"analytics_cpu","field_name":"f","time":995000,"count":3,"mean":1.5}]`
	v, out := viewOn(t, http.StatusOK, body)
	for range 2 {
		require.NoError(t, v.show(t.Context()))
	}
	require.NotContains(t, out.String(), "\x1b")
	v, out = viewOn(t, http.StatusOK, body)
	v.terminal = true
	require.NoError(t, v.show(t.Context()))
	first := out.String()
	require.NotContains(t, first, "\x1b[J")
	require.NoError(t, v.show(t.Context()))
	up := "\x1b[" + strconv.Itoa(strings.Count(first, "\n")) + "A\x1b[J"
	require.Equal(t, first+up+first, out.String(), "the cursor moves up by the lines of the last table")
}

func TestARecordingIsPlayedAsIfItHappenedNow(t *testing.T) {
	from := filepath.Join(t.TempDir(), "from.lp")
	require.NoError(t, os.WriteFile(from, []byte("m v=1 1000000000\nm v=2 1500000000\nm v=3 2000000000\n"), 0o600))
	to := filepath.Join(t.TempDir(), "to.lp")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := time.Now().UnixNano()
	require.NoError(t, play(ctx, from, to))
	var lines []string
	require.Eventually(t, func() bool {
		b, err := os.ReadFile(to)
		require.NoError(t, err)
		lines = strings.Split(strings.TrimSpace(string(b)), "\n")
		return len(lines) > 6
	}, 2*time.Minute, 10*time.Millisecond, "the recording begins again after its last line")
	var times []int64
	for i, l := range lines[:3] {
		require.True(t, strings.HasPrefix(l, "m v="+strconv.Itoa(i+1)+" "), l)
		at, err := strconv.ParseInt(strings.Fields(l)[2], 10, 64)
		require.NoError(t, err)
		require.GreaterOrEqual(t, at, before)
		times = append(times, at)
	}
	require.Equal(t, int64(100*time.Millisecond), times[1]-times[0], "five times as fast")

	for _, bad := range []string{"", "m v=1\n"} {
		require.NoError(t, os.WriteFile(from, []byte(bad), 0o600))
		require.Error(t, play(ctx, from, to))
	}
	require.Error(t, play(ctx, filepath.Join(t.TempDir(), "none"), to))
}

// viewOn returns a view of an API that answers every request with the status and the body, and the output of the view.
func viewOn(t *testing.T, status int, body string) (*view, *bytes.Buffer) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	out := &bytes.Buffer{}
	return &view{demo: &demo{settings: settings{apiPort: n}, out: out, started: time.Unix(1000, 0)}}, out
}

// A slow machine has no records when the time is over.
func TestTheDemoWaitsForTheFirstFreshRecords(t *testing.T) {
	v, out := viewOn(t, http.StatusOK, `[{"table_name":"analytics_cpu","field_name":"f","time":995000,"count":3,"mean":1.5}]`)
	v.seconds = 1 // less than showEvery
	require.NoError(t, v.watch(t.Context()))
	require.Contains(t, out.String(), "The API served 3 fresh records of live metrics and 2 of recorded ones.")
}

func TestTheVerdictNeedsFreshRecords(t *testing.T) {
	v, out := viewOn(t, http.StatusOK, `[{"table_name":"analytics_cpu","field_name":"f","time":995000,"count":3,"mean":1.5}]`)
	require.NoError(t, v.show(t.Context()))
	require.Contains(t, out.String(), "1.5")
	require.NoError(t, v.verdict())

	old, _ := viewOn(t, http.StatusOK, `[{"table_name":"analytics_cpu","field_name":"f","time":990000,"count":3}]`)
	require.NoError(t, old.show(t.Context()))
	require.EqualError(t, old.verdict(), "the API served no fresh record of the live and the recorded metrics")

	none, out := viewOn(t, http.StatusNotFound, "")
	require.NoError(t, none.show(t.Context()))
	require.Contains(t, out.String(), "waiting")
	require.Error(t, none.verdict())

	broken, _ := viewOn(t, http.StatusInternalServerError, "")
	require.ErrorContains(t, broken.show(t.Context()), "the API answered 500")
	garbled, _ := viewOn(t, http.StatusOK, "{")
	require.ErrorContains(t, garbled.show(t.Context()), "did not answer with an array of records")
}
