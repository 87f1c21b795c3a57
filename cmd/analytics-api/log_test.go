package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
)

// Texts of clients are in the log, which people read on terminals and programs parse line by line.
func TestNoRequestForgesALineOfTheLog(t *testing.T) {
	t.Parallel()
	requests := []string{"OPTIONS * HTTP/1.1\r\n", "CONNECT a:1 HTTP/1.1\r\n", "G!#$%&'*+-.^_`|~T /health HTTP/1.1\r\n", "GET /health?\x1b[2J\u009b2J HTTP/1.1\r\n"}
	for _, path := range []string{
		"%0alevel=ERROR%20msg=forged", "%0d%0a{%22level%22:%22ERROR%22}", "%1b[31mred%1b[2J", "%c2%9b31m", "\u009b31m", "%e2%80%ae", "\u202e\u2066", "%ff%fe", "\xff", "%00", "%22,%22a%22:%22b",
		"a%20b=c", "%5cn", "%e2%80%a8", "%7f", strings.Repeat("x", 10_000), strings.Repeat("%1b", 3_000), "..%2f..%2fetc", "ü",
	} {
		requests = append(requests, "GET /"+path+" HTTP/1.1\r\n", "GET /analytics/"+path+"?database=db HTTP/1.1\r\n", "GET //"+path+" HTTP/1.1\r\n")
	}
	for _, id := range []string{"a b", "a\"b", "a=b", "\x1b[31m", "\u009b31m", "\u202e", "\xff", "{}", "a\tlevel=ERROR", strings.Repeat("a", 65), strings.Repeat("a", 10_000), strings.Repeat("a", 1<<20)} {
		requests = append(requests, "GET /health HTTP/1.1\r\nX-Request-Id: "+id+"\r\n", "GET /nothing HTTP/1.1\r\nX-Forwarded-For: "+id+"\r\nOrigin: "+id+"\r\nAuthorization: "+id+"\r\n")
	}
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			c := start(t, []string{"ANALYTICS_API_LOG_LEVEL=debug", "ANALYTICS_API_TRUSTED_PROXIES=127.0.0.1"}, embeddedArgs("memory")...)
			if format == "json" {
				c = startJSON(t)
			}
			for _, request := range requests {
				conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
				require.NoError(t, err)
				require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
				_, _ = conn.Write([]byte(request + "Host: localhost\r\nConnection: close\r\n\r\n")) // the service may close it before
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err == nil {
					require.NoError(t, resp.Body.Close())
					got := resp.Header.Get("X-Request-Id")
					require.True(t, got == "" || validPlain(got), "%q", got)
				}
				require.NoError(t, conn.Close())
			}
			status, _ := c.get(t, "/the-last")
			require.Equal(t, http.StatusNotFound, status)
			require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, c.wait(t)) // after that the log has all lines, and the last one is whole
			require.Contains(t, c.stderr.String(), "/the-last")
			checkLines(t, format, c.stderr.String())
		})
	}
}

// startJSON starts a service with a log in JSON.
func startJSON(t *testing.T) *child {
	t.Helper()
	c := launch(t, []string{"ANALYTICS_API_LOG_LEVEL=debug", "ANALYTICS_API_LOG_FORMAT=json", "ANALYTICS_API_TRUSTED_PROXIES=127.0.0.1"}, embeddedArgs("memory")...)
	c.stderr.wait(t, `"msg":"serving"`)
	c.url = regexp.MustCompile(`"address":"(http://[^"]+)"`).FindStringSubmatch(c.stderr.String())[1]
	return c
}

func validPlain(id string) bool {
	return len(id) <= 64 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == ""
}

// checkLines checks that each line of a log has its form and no character that a terminal would act on.
func checkLines(t *testing.T, format, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		line = strings.TrimSuffix(line, "\n")
		require.Equal(t, strings.ToValidUTF8(line, ""), line)
		for _, c := range line {
			require.True(t, unicode.IsPrint(c), "%q in %.300q", c, line)
		}
		if format == "text" {
			require.Regexp(t, `^time=\S+ level=(DEBUG|INFO|WARN|ERROR) msg=`, line)
			continue
		}
		var members map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &members), "%.300q", line)
		for _, name := range []string{"time", "level", "msg"} {
			require.Contains(t, members, name, line)
		}
		require.Equal(t, 1, strings.Count(line, `"level":"`), "%.300q", line)
	}
}

// A port scanner can cause thousands of these lines a second.
func TestFaultsOfConnectionsAreLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	var out buffer
	now := time.Unix(0, 0)
	faults := &connectionLog{log: slog.New(slog.NewTextHandler(&out, nil)), now: func() time.Time { return now }}
	for range 3 {
		_, err := faults.Write([]byte("http: TLS handshake error\n"))
		require.NoError(t, err)
	}
	require.Equal(t, 1, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), `level=WARN msg="a connection failed" error="http: TLS handshake error"`+"\n")
	now = now.Add(time.Minute)
	_, err := faults.Write([]byte("http: another\n"))
	require.NoError(t, err)
	require.Contains(t, out.String(), `level=WARN msg="a connection failed" error="http: another" others=2`+"\n")
	now = now.Add(time.Minute)
	_, err = faults.Write([]byte("http: a third\n"))
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(out.String(), `error="http: a third"`+"\n"))
}

func TestManyBadHandshakesMakeOneLine(t *testing.T) {
	t.Parallel()
	p := writePair(t, t.TempDir(), "service")
	c := start(t, nil, "--listen", "127.0.0.1:0", "--tls-cert", p.cert, "--tls-key", p.key)
	for range 20 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "https://"))
		require.NoError(t, err)
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, conn)
		require.NoError(t, conn.Close())
	}
	c.stderr.wait(t, "TLS handshake error") // net/http closes a connection before it logs that
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.wait(t))
	require.Equal(t, 1, strings.Count(c.stderr.String(), "TLS handshake error"), c.stderr.String())
}
