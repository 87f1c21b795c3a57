package attack_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// The addresses of the hostile and of the good client.
const (
	hostile = "127.0.0.2"
	good    = "127.0.0.3"
)

// service is a running analytics-api and its Redis.
type service struct {
	redis   *redisserver.Server
	client  *redis.Client
	process *os.Process
	address string
}

var (
	build       sync.Once
	buildFolder string // TestMain removes it
	builtPath   string
	errBuild    error
)

// binary returns the path of analytics-api: that of the environment variable ATTACK_BINARY, or one that is built.
func binary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ATTACK_BINARY"); path != "" {
		return path
	}
	build.Do(func() {
		if buildFolder, errBuild = os.MkdirTemp("", "analytics-api"); errBuild == nil { //nolint:usetesting // other tests use it after this one
			builtPath, errBuild = apitest.Build("../..", buildFolder)
		}
	})
	require.NoError(t, errBuild)
	return builtPath
}

// start starts analytics-api with a configuration, on a redis-server that fill has filled.
func start(t *testing.T, config string, fill func(w *cache.Writer)) *service {
	t.Helper()
	if os.Getenv("ATTACK") == "" {
		t.Skip("make attack runs this test")
	}
	s := &service{redis: redistest.Server(t)}
	s.client = redistest.Client(t, s.redis)
	w := cache.NewWriter(s.client, cache.Options{Retention: time.Hour})
	put(t, w, "small", bucketsOf(20, 2, ""))
	if fill != nil {
		fill(w)
	}
	require.NoError(t, w.Close(waitFor))
	path := filepath.Join(t.TempDir(), "analytics-api.toml")
	if measures() && !strings.Contains(config, "redis_timeout") {
		config = "redis_timeout = \"1m\"\n" + config // however long the machine does other work
	}
	config = fmt.Sprintf("listen = \"127.0.0.1:0\"\nredis = [\"redis://%s\"]\n%s", s.redis.Addr(), config)
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	log := &lockedBuffer{}
	cmd := exec.Command(binary(t), "--config", path)
	cmd.Stderr = log
	require.NoError(t, cmd.Start())
	s.process = cmd.Process
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	serving := regexp.MustCompile(`msg=serving.* address=http://(\S+)`)
	require.Eventually(t, func() bool { return serving.MatchString(log.String()) }, waitFor, 10*time.Millisecond, "%s", log)
	s.address = serving.FindStringSubmatch(log.String())[1]
	return s
}

// lockedBuffer is a buffer that one goroutine may read while another one writes it.
type lockedBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b = append(b.b, p...)
	return len(p), nil
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.b)
}

// bucketsOf returns the records of buckets of a minute: one for each host, with a tag of that text.
func bucketsOf(buckets, hosts int, text string) func(table string, yield func([]record.Record)) {
	return func(table string, yield func([]record.Record)) {
		newest := time.Now().Truncate(time.Minute).Add(-2 * time.Minute)
		batch := make([]record.Record, 0, 5000)
		for b := range buckets {
			for h := range hosts {
				batch = append(batch, record.Record{
					Table: table, Field: "usage", Agent: "a1", Start: newest.Add(-time.Duration(b) * time.Minute),
					Tags:  []series.Tag{{Key: "host", Value: fmt.Sprint("host", h, text)}},
					Stats: []record.Stat{{Name: "count", Value: int64(6)}, {Name: "mean", Value: 1.5}, {Name: "median", Value: 1.25}, {Name: "max", Value: 3.75}},
				})
				if len(batch) == cap(batch) {
					yield(batch)
					batch = batch[:0]
				}
			}
		}
		yield(batch)
	}
}

// put writes the records of a table analytics_<name> of the database db.
func put(t *testing.T, w *cache.Writer, name string, records func(string, func([]record.Record))) {
	t.Helper()
	table := record.Table{Database: "db", Name: "analytics_" + name}
	records(table.Name, func(batch []record.Record) {
		require.NoError(t, w.Put(t.Context(), table, batch))
	})
}

// multiply adds n records to each bucket of a table of [put] by copying the record of host5 under other names, which are between the
// first and the last ones. Writing a million records as Telegraf does takes several times the processor time. Each bucket has less than
// 10,000 records, so that it has a complete head: its first and last names and a count, which is the member 32.
func (s *service) multiply(t *testing.T, name string, n int) {
	t.Helper()
	const name5, json5, perCommand = "host=host5|usage|a1", `"host5"`, 500
	key := "{db:analytics_" + name + "}:"
	starts := s.client.ZRange(t.Context(), key+"idx", 0, -1).Val()
	require.NotEmpty(t, starts)
	for _, start := range starts {
		bucket, head := key+"b:"+start, key+"h:"+start
		before := s.client.HLen(t.Context(), bucket).Val()
		require.InDelta(t, before, s.client.ZScore(t.Context(), head, "32").Val(), 0)
		text := s.client.HGet(t.Context(), bucket, name5).Val()
		require.Contains(t, text, json5)
		begin, end, _ := strings.Cut(text, json5)
		pairs := make([]any, 0, 2*perCommand)
		for i := range n {
			host := "host5x" + strconv.Itoa(i)
			pairs = append(pairs, "host="+host+"|usage|a1", begin+`"`+host+`"`+end)
			if len(pairs) == cap(pairs) || i == n-1 {
				require.NoError(t, s.client.HSet(t.Context(), bucket, pairs...).Err())
				pairs = pairs[:0]
			}
		}
		require.NoError(t, s.client.ZIncrBy(t.Context(), head, float64(n), "32").Err())
		require.Equal(t, before+int64(n), s.client.HLen(t.Context(), bucket).Val())
	}
}

// dial opens a connection from an address, whose receive buffer is small.
func (s *service) dial(ctx context.Context, from string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(ctx, "tcp", s.address)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	return c, err
}

// clientFrom returns an HTTP client with that address.
func clientFrom(t *testing.T, from string) *http.Client {
	t.Helper()
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{DialContext: d.DialContext, MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: waitFor}
}

// answer is the answer to a request. Its status is 0 if there was none.
type answer struct {
	status, size int
	body         string // its first bytes
	took         time.Duration
}

// standstill is how long a request takes after which an error shows that the machine stood still: the service answers with one what takes
// it seconds.
const standstill = 5 * time.Second

// failed reports whether a request had no answer of status 200. With ATTACK=measure, an error after a standstill does not count.
func (a answer) failed() bool {
	return a.status != http.StatusOK && (!measures() || a.took <= standstill)
}

// get requests a path.
func (s *service) get(c *http.Client, path string) answer {
	start := time.Now()
	resp, err := c.Get("http://" + s.address + path)
	if err != nil {
		return answer{body: err.Error(), took: time.Since(start)}
	}
	defer resp.Body.Close()
	head := make([]byte, 500)
	n, _ := io.ReadFull(resp.Body, head)
	rest, err := io.Copy(io.Discard, resp.Body)
	if err != nil {
		return answer{body: err.Error(), took: time.Since(start)}
	}
	return answer{status: resp.StatusCode, size: n + int(rest), body: string(head[:n]), took: time.Since(start)}
}

// goodPath is the request of the good client.
const goodPath = "/analytics/small?database=db&last=1"

// measured is what a good client and the service experience during an attack.
type measured struct {
	requests, failed int
	p99              time.Duration
	rss              int           // the largest, in MB
	cpu              time.Duration // of the service
}

// beside calls attack while a good client sends a request every few milliseconds. It calls attack again until the good client has sent the
// fewest requests: ten answers of the service can take less time than one pause of the good client.
func (s *service) beside(t *testing.T, attack func()) measured {
	t.Helper()
	c := clientFrom(t, good)
	require.Equal(t, http.StatusOK, s.get(c, goodPath).status)
	ended := make(chan struct{})
	var times []time.Duration
	var sent atomic.Int64
	m := measured{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(pause(3 * time.Millisecond)):
			}
			a := s.get(c, goodPath)
			sent.Add(1)
			if a.failed() {
				m.failed++
			}
			times = append(times, a.took)
		}
	})
	before, begin := s.cpu(t), time.Now()
	for again := true; again; again = sent.Load() < int64(fewest()) && time.Since(begin) < longest() {
		attack()
	}
	m.cpu = s.cpu(t) - before
	close(ended)
	wg.Wait()
	m.requests = int(sent.Load())
	slices.Sort(times)
	if len(times) > 0 {
		m.p99 = times[(len(times)-1)*99/100]
	}
	m.rss = s.rss(t)
	return m
}

// rss returns the largest resident memory of the service so far, in MB.
func (s *service) rss(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid))
	require.NoError(t, err)
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(string(b))
	require.NotNil(t, m)
	kb, err := strconv.Atoi(m[1])
	require.NoError(t, err)
	return kb >> 10
}

// cpu returns the processor time of the service.
func (s *service) cpu(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.process.Pid))
	require.NoError(t, err)
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	ticks := 0
	for _, field := range fields[11:13] { // utime and stime, in ticks of 10 ms
		n, err := strconv.Atoi(field)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// Limits that hold during every attack.
const (
	maxP99 = 100 * time.Millisecond
	maxRSS = 512 // MB, by the default settings
)

// waitFor is how long the tests wait for an answer, and for what must happen at some time.
const waitFor = time.Minute

// longest is the time after which an attack is not called again. A good client that has sent too few requests by then had to wait for
// the service, unless the machine does other work: with ATTACK=measure, the time is not limited.
func longest() time.Duration {
	if measures() {
		return math.MaxInt64
	}
	return 10 * time.Second
}

// limited reports whether the limits hold for the service. They do not for another build, such as an older one.
func limited() bool { return os.Getenv("ATTACK_BINARY") == "" }

// measures reports whether no time is limited, as on a machine that does other work.
func measures() bool { return os.Getenv("ATTACK") == "measure" }

// timed reports whether the limits of time hold too.
func timed() bool { return limited() && !measures() }

// pause returns the time between two requests of the good client: d, or three times that with ATTACK=measure. With d, its requests take as
// much processor time as the attacks.
func pause(d time.Duration) time.Duration {
	if measures() {
		return 3 * d
	}
	return d
}

// fewest returns how many requests the good client sends beside each attack, at least: as many as p99 needs, or 20 with ATTACK=measure.
func fewest() int {
	if measures() {
		return 20
	}
	return 100
}

// check prints what was measured. It fails the test if the good client or the memory of the service was beyond the limits.
func (m measured) check(t *testing.T, what string) {
	t.Helper()
	t.Logf("%s; good client: %d requests, %d failed, p99 %v; service: RSS %d MB, CPU %v", what, m.requests, m.failed, m.p99.Round(time.Millisecond/10), m.rss, m.cpu)
	if timed() {
		require.LessOrEqual(t, m.p99, maxP99)
	}
	if limited() {
		require.Zero(t, m.failed)
		require.GreaterOrEqual(t, m.requests, fewest())
		require.LessOrEqual(t, m.rss, maxRSS)
	}
}
