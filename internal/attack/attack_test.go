// Package attack has no code, only tests that attack analytics-api beside a good client. make attack runs them.
package attack_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(buildFolder) // does nothing for ""
	os.Exit(code)
}

// counts returns how many answers have each status.
func counts(answers []answer) string {
	n := make(map[int]int)
	for _, a := range answers {
		n[a.status]++
	}
	var b strings.Builder
	for i, status := range slices.Sorted(maps.Keys(n)) {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d × %d", n[status], status)
	}
	return b.String()
}

// all calls request n times at the same time, and returns the answers.
func all(n int, request func(i int) answer) []answer {
	answers := make([]answer, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { answers[i] = request(i) })
	}
	wg.Wait()
	return answers
}

// statusLine reads the first line of an answer, and returns its status. It reads no more.
func statusLine(c net.Conn, timeout time.Duration) answer {
	_ = c.SetReadDeadline(time.Now().Add(timeout))
	line := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c, line); err != nil {
		return answer{}
	}
	var a answer
	_, _ = fmt.Sscanf(string(line), "HTTP/1.1 %d", &a.status)
	return a
}

// 150 clients request 32 MB each and read nothing.
func TestSlowReaders(t *testing.T) {
	s := start(t, "max_records = 100000\n", func(w *cache.Writer) { put(t, w, "large", bucketsOf(8, 1000, strings.Repeat("x", 3900))) })
	var answers []answer
	m := s.beside(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var mu sync.Mutex
		var open []net.Conn
		answers = append(answers, all(150, func(int) answer {
			c, err := s.dial(ctx, hostile)
			if err != nil {
				return answer{}
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			fmt.Fprintf(c, "GET /analytics/large?database=db HTTP/1.1\r\nHost: localhost\r\n\r\n")
			return statusLine(c, 20*time.Second)
		})...)
		time.Sleep(3 * time.Second)
		for _, c := range open {
			_ = c.Close()
		}
	})
	m.check(t, "150 slow readers at a time of 32 MB: "+counts(answers))
}

// Requests for buckets of 500,000 records, for one record of them, and with a filter that no record matches: ten at a time.
func TestLargeBuckets(t *testing.T) {
	const written, copied = 2000, 498_000 // of each of two buckets
	s := start(t, "", func(w *cache.Writer) { put(t, w, "huge", bucketsOf(2, written, "")) })
	s.multiply(t, "huge", copied)
	c := clientFrom(t, hostile)
	for what, query := range map[string]string{
		"2 buckets of 500,000 records": "", "one of a million records": "&limit=1",
		"tag=agent=zzz of a million records": "&tag=agent=zzz",
		"1,300 fields of a million records":  strings.Repeat("&field=f", 1300),
	} {
		var answers []answer
		m := s.beside(t, func() {
			answers = append(answers, all(10, func(int) answer { return s.get(c, "/analytics/huge?database=db"+query) })...)
		})
		longest := slices.MaxFunc(answers, func(a, b answer) int { return int(a.took - b.took) }).took
		m.check(t, fmt.Sprintf("10 requests at a time for %s: %s, longest %v", what, counts(answers), longest.Round(time.Millisecond)))
	}
	one := s.get(c, "/analytics/huge?database=db&limit=1")
	if limited() {
		require.Equal(t, http.StatusOK, one.status)
	}
	t.Logf("one request with limit=1: %v", one.took)
}

// Roll-ups, ten at a time, of a bucket whose exact summaries have 10,000 distinct values each.
func TestLargeSummaries(t *testing.T) {
	sum := stats.New(10_000)
	for i := range 10_000 {
		sum.Add(math.Sqrt(float64(i)))
	}
	encoded, err := sum.MarshalBinary()
	require.NoError(t, err)
	s := start(t, "", func(w *cache.Writer) {
		put(t, w, "exact", func(table string, yield func([]record.Record)) {
			bucketsOf(1, 1000, "")(table, func(records []record.Record) {
				for i := range records {
					records[i].Summary = encoded
				}
				yield(records)
			})
		})
	})
	c := clientFrom(t, hostile)
	var answers []answer
	m := s.beside(t, func() {
		answers = append(answers, all(10, func(i int) answer { return s.get(c, fmt.Sprintf("/analytics/exact?database=db&stats=p9%d", i)) })...)
	})
	m.check(t, fmt.Sprintf("10 roll-ups at a time of 1,000 summaries of %d kB: %s", len(encoded)>>10, counts(answers)))
}

const exportTable = "[[export]]\ndatabase = \"db\"\ntable = \"series\"\n"

// Scrapes are sent and dropped, then they are read, 20 at a time.
func TestScrapes(t *testing.T) {
	s := start(t, exportTable, func(w *cache.Writer) { put(t, w, "series", bucketsOf(5, 10_000, "")) })
	m := s.beside(t, func() {
		for range 20 {
			c, err := s.dial(t.Context(), hostile)
			require.NoError(t, err)
			fmt.Fprintf(c, "GET /metrics/analytics HTTP/1.1\r\nHost: localhost\r\n\r\n")
			time.Sleep(10 * time.Millisecond)
			_ = c.Close()
		}
		time.Sleep(2 * time.Second)
	})
	m.check(t, "20 scrapes at a time, sent and dropped")
	c := clientFrom(t, hostile)
	var answers []answer
	m = s.beside(t, func() {
		answers = append(answers, all(20, func(int) answer { return s.get(c, "/metrics/analytics") })...)
	})
	m.check(t, "20 scrapes at a time: "+counts(answers))
	if limited() {
		require.False(t, slices.ContainsFunc(answers, answer.failed), counts(answers))
	}
}

// keep opens connections of one client that stay open, and sends a text on each. It returns how many are open after that.
func (s *service) keep(t *testing.T, n int, from func(i int) string, text string, wait time.Duration) (open int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var conns []net.Conn
	for i := range n {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from(i))}, Timeout: time.Second}
		c, err := d.DialContext(ctx, "tcp", s.address)
		if err != nil {
			continue
		}
		conns = append(conns, c)
		_, _ = io.WriteString(c, text)
	}
	time.Sleep(wait)
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		r := bufio.NewReader(c)
		for {
			if _, err := r.ReadByte(); err != nil {
				if os.IsTimeout(err) {
					open++
				}
				break
			}
		}
		_ = c.Close()
	}
	return open
}

// mostConns returns 10,000, or fewer if this process can open fewer files.
func mostConns(t *testing.T) int {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	const own = 200 // files of the good client and of the test
	most := int(min(limit.Cur, 10_000+own)) - own
	require.Positive(t, most, "ulimit -n is %d", limit.Cur)
	return most
}

func TestConnections(t *testing.T) {
	one := func(int) string { return hostile }
	many := func(i int) string { return fmt.Sprintf("127.0.%d.%d", 1+i/50, 10+i%50) }
	most := mostConns(t)
	const kept, partial = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /health HTTP/1.1\r\nHost: local"
	for _, a := range []struct {
		what, text string
		n          int
		from       func(int) string
	}{
		{"1,000 keep-alive connections of one client", kept, 1000, one},
		{"1,000 connections of one client that send nothing", "", 1000, one},
		{"1,000 connections of one client with half of a header", partial, 1000, one},
		{fmt.Sprintf("%d keep-alive connections of %d clients", most, (most+49)/50), kept, most, many},
	} {
		t.Run(a.what, func(t *testing.T) {
			s := start(t, "", nil)
			var open, served, probed int
			var longest time.Duration // until a request on a new connection was answered
			c := clientFrom(t, good)
			m := s.beside(t, func() {
				var wg sync.WaitGroup
				ended := make(chan struct{})
				wg.Go(func() { // new connections of a good client, for requests and as a probe of health
					for {
						select {
						case <-ended:
							return
						case <-time.After(pause(20 * time.Millisecond)):
						}
						for _, path := range []string{goodPath, "/health"} {
							c.CloseIdleConnections()
							a := s.get(c, path)
							if !a.failed() {
								served++
							}
							probed++
							longest = max(longest, a.took)
						}
					}
				})
				open = s.keep(t, a.n, a.from, a.text, 2*time.Second)
				close(ended)
				wg.Wait()
			})
			m.check(t, fmt.Sprintf("%s: %d open after 2 s; new connections of the good client: %d of %d served, longest %v",
				a.what, open, served, probed, longest.Round(time.Millisecond)))
			if limited() {
				require.Equal(t, probed, served)
			}
			if timed() {
				require.Less(t, longest, time.Second)
			}
		})
	}
}

// Redis is stopped, and does not answer.
func TestReadyWithoutRedis(t *testing.T) {
	s := start(t, "redis_timeout = \"1s\"\n", nil)
	c := clientFrom(t, good)
	require.Eventually(t, func() bool { return s.get(c, "/ready").status == http.StatusOK }, waitFor, 10*time.Millisecond)
	pid := s.client.Info(t.Context(), "server").Val()
	var process int
	for line := range strings.Lines(pid) {
		_, _ = fmt.Sscanf(line, "process_id:%d", &process)
	}
	require.NoError(t, syscall.Kill(process, syscall.SIGSTOP))
	defer func() { require.NoError(t, syscall.Kill(process, syscall.SIGCONT)) }()
	answers := all(20, func(int) answer { return s.get(c, "/ready") })
	longest := slices.MaxFunc(answers, func(a, b answer) int { return int(a.took - b.took) }).took
	t.Logf("20 requests for /ready with redis_timeout = 1s while Redis is stopped: %s, longest %v", counts(answers), longest.Round(time.Millisecond))
	if limited() {
		require.Equal(t, "20 × 503", counts(answers))
	}
	if timed() {
		require.Less(t, longest, 1500*time.Millisecond)
	}
}

// Requests that are wrong or odd get small answers.
func TestOddRequests(t *testing.T) {
	s := start(t, "", nil)
	require.NoError(t, s.client.Set(t.Context(), "{db:analytics_small}:ver", "abc", 0).Err())
	c := clientFrom(t, hostile)
	var unknown strings.Builder
	for i := range 1500 {
		fmt.Fprintf(&unknown, "&p%d=1", i)
	}
	for what, path := range map[string]string{
		"1,500 unknown parameters": "/analytics/small?database=db" + unknown.String(),
		"a version that is abc":    "/analytics/small?database=db",
		"end in the year 1":        "/analytics/small?database=db&start=x&end=0001-01-01T00:00:00Z",
	} {
		a := s.get(c, path)
		t.Logf("%s: %d, %d bytes: %s", what, a.status, a.size, a.body)
		if limited() {
			require.Less(t, a.size, 16<<10)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+goodPath, http.NoBody)
	require.NoError(t, err)
	r.Host = "evil.example"
	resp, err := c.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	t.Logf("Host: evil.example: %d", resp.StatusCode)
	if limited() {
		require.Equal(t, http.StatusMisdirectedRequest, resp.StatusCode)
	}
}
