package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

func TestFailuresOfStreamsAreLoggedOnceAMinuteForAllTables(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	at := time.Unix(1e9, 0)
	w := watchLog{log: slog.New(slog.NewTextHandler(&log, nil)), explain: func(err error) error { return err }, now: func() time.Time { return at }}
	tables := []record.Table{{Database: "db", Name: "analytics_a"}, {Database: "db", Name: "analytics_b"}}
	for range 150 {
		for _, table := range tables {
			w.fail(table, errors.New("connection refused"))
		}
		at = at.Add(time.Second)
	}
	w.end(tables[0])
	w.end(tables[1])
	w.fail(tables[0], errors.New("again, within the minute"))
	w.end(tables[0])
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 4)
	require.Contains(t, lines[0], `level=WARN msg="a table cannot be watched, or a changed bucket cannot be read; it is tried again" table=db:analytics_a `+
		`tables=1 failed=1 error="connection refused"`)
	require.Contains(t, lines[1], "table=db:analytics_a tables=2 failed=121 ")
	require.Contains(t, lines[2], "table=db:analytics_a tables=2 failed=241 ")
	require.Contains(t, lines[3], `level=INFO msg="all streams are up to date again" after=2m30s failed=300`)
}

func TestTheEndOfAnOutageOfStreamsIsLogged(t *testing.T) {
	t.Parallel()
	server := redistest.Server(t)
	c := start(t, nil, "--listen", "127.0.0.1:0", "--redis", "redis://"+server.Addr())
	written := ticking(t, cache.DialOptions{Servers: []string{"redis://" + server.Addr()}})
	require.Eventually(t, func() bool { return written.Load() > 1 }, patience, time.Millisecond)
	events := c.events(t, "/analytics/cpu/stream?database=db")
	require.Eventually(t, func() bool { return events.Load() > 2 }, patience, time.Millisecond)
	require.NoError(t, server.Stop())
	c.stderr.wait(t, "a table cannot be watched, or a changed bucket cannot be read; it is tried again")
	redistest.Start(t, redisserver.Options{Addr: server.Addr()})
	c.stderr.wait(t, "all streams are up to date again")
	require.Equal(t, 1, strings.Count(c.stderr.String(), "cannot be watched"))
}
