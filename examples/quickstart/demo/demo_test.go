package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAPortInUseIsNamedWithTheVariableThatChangesIt(t *testing.T) {
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

func TestBadSettingsAreNamed(t *testing.T) {
	t.Setenv("DEMO_SECONDS", "long")
	t.Setenv("DEMO_API_PORT", "70000")
	err := run(t.Context(), &bytes.Buffer{})
	require.ErrorContains(t, err, `DEMO_SECONDS="long", want a number`)
	require.ErrorContains(t, err, `DEMO_API_PORT="70000", want a number`)
}

func TestOnePortIsNotEnough(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	t.Setenv("DEMO_API_PORT", port)
	t.Setenv("DEMO_REDIS_PORT", port)
	require.ErrorContains(t, run(t.Context(), &bytes.Buffer{}), "port "+port+" is that of the API and of the Redis: choose another one")
	t.Setenv("DEMO_API_PORT", "0")
	require.ErrorContains(t, run(t.Context(), &bytes.Buffer{}), `DEMO_API_PORT="0", want a number from 1 to 65535`)
}

func TestATableIsDrawnOverTheLastOneOnATerminalOnly(t *testing.T) {
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
	require.Equal(t, first+up+first, out.String(), "up as many lines as were drawn")
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
	}, 20*time.Second, 10*time.Millisecond, "it begins again at its end")
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

// viewOn is a view of an API that answers every request with a body.
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

func TestTheVerdictIsGoodOnlyForFreshRecords(t *testing.T) {
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
	require.ErrorContains(t, garbled.show(t.Context()), "no array of records")
}
