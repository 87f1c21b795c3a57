package api_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/api"
	"github.com/telegraf-describe/telegraf-describe/internal/apitest"
	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/conns"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
	"github.com/telegraf-describe/telegraf-describe/internal/token"
)

// rig is a service on a redis-server, and what it is compared with.
type rig struct {
	redis                     *redis.Client
	load                      loader
	hello, passthrough        string // addresses of a handler that writes one word, and of one that writes the value of a key
	cached, uncached, guarded string // addresses of the service: with its cache, without it, and with its cache and tokens
	bare, logged              string // as cached, but without metrics and log, and with a line in the log for each request
	auth                      string // the header with a token
}

// costs are those of requests: the time, and the processor time of the service and of the
// service, its client and Redis together, in nanoseconds. On a machine that does other work, ratios of the processor time are
// more reliable than those of time, and equal to these on a machine that does not.
type costs struct{ wall, service, all float64 }

// serveHTTP serves a handler with the settings of the command, and returns its address.
func serveHTTP(b *testing.B, h http.Handler) string {
	b.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	l := conns.Listen(inner, conns.Limits{Max: 1000, PerClient: 250}, "")
	server := &http.Server{
		Handler: h, ConnState: l.ConnState, ConnContext: l.ConnContext, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
	}
	go func() { _ = server.Serve(l) }()
	b.Cleanup(func() { _ = server.Close() })
	return l.Addr().String()
}

// collectAsCommand makes the garbage collector run as seldom as in the command.
func collectAsCommand(b *testing.B) {
	if os.Getenv("GOGC") == "" {
		before := debug.SetGCPercent(200)
		b.Cleanup(func() { debug.SetGCPercent(before) })
	}
}

// newRig starts a rig with a table of 200 buckets of 5 records. Its compatibility value has 35 records.
func newRig(b *testing.B) *rig {
	b.Helper()
	collectAsCommand(b)
	addr := redistest.Server(b).Addr()
	c, err := cache.Dial(cache.DialOptions{Servers: []string{"redis://" + addr}, Timeout: time.Minute})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	r := &rig{redis: redis.NewClient(&redis.Options{Addr: addr}), load: newLoader(b)}
	b.Cleanup(func() { _ = r.redis.Close() })
	service := func(edit func(*api.Options)) *service {
		return serve(b, c, func(o *api.Options) {
			asCommand(o)
			edit(o)
		})
	}
	s := service(func(*api.Options) {})
	var all []record.Record
	for m := range 200 {
		for field := range 5 {
			all = append(all, rec(m, fmt.Sprintf("field%d", field), "a", 1.5))
		}
	}
	s.put(b, all...)
	require.NoError(b, r.redis.Set(b.Context(), "value", s.get(b, "/analytics/cpu?database=db&last=7").Body.String(), 0).Err())
	require.NoError(b, r.redis.Set(b.Context(), "large", s.get(b, "/analytics/cpu?database=db").Body.String(), 0).Err())
	r.cached, r.uncached = serveHTTP(b, s), serveHTTP(b, service(func(o *api.Options) { o.CacheBytes = -1 }))
	o := options(s)
	asCommand(&o)
	r.bare, r.guarded = serveHTTP(b, api.NewBare(s.reader, o)), serveHTTP(b, service(func(o *api.Options) { o.Tokens, o.CheckHost = r.tokens(b), false }))
	r.logged = serveHTTP(b, service(func(o *api.Options) {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}))
	r.hello = serveHTTP(b, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	r.passthrough = serveHTTP(b, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		value, err := c.Get(req.Context(), "value").Bytes()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(value)))
		_, _ = w.Write(value)
	}))
	return r
}

// asCommand sets the options that the command sets by default, without tokens.
func asCommand(o *api.Options) {
	o.CheckHost, o.Hosts = true, []string{"example.com"} // the host of requests that tests make without a connection
	o.MaxRecords, o.MaxBuckets, o.MaxBytes, o.Now = api.DefaultMaxRecords, api.DefaultMaxBuckets, api.DefaultMaxBytes, time.Now
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil)) // its level is info
}

// tokens returns tokens one of which is that of the rig.
func (r *rig) tokens(b *testing.B) api.Tokens {
	b.Helper()
	permission, err := token.ParsePermission("db:db:read")
	require.NoError(b, err)
	text, made := token.New("", []token.Permission{permission}, time.Now(), time.Time{})
	file := filepath.Join(b.TempDir(), "tokens")
	require.NoError(b, token.Add(file, made))
	store, err := token.Open(file, time.Now, func(int, error) {})
	require.NoError(b, err)
	r.auth = "Authorization: Bearer " + text + "\r\n"
	return store
}

// redisTime returns the processor time that Redis has used.
func (r *rig) redisTime(b *testing.B) time.Duration {
	b.Helper()
	seconds := 0.0
	for line := range strings.Lines(r.redis.Info(b.Context(), "cpu").Val()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			n, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			seconds += n
		}
	}
	return time.Duration(seconds * 1e9)
}

// run makes n requests and returns their costs without those of this process and of Redis.
type run func(b *testing.B, n int) cost

// rounds is how often a sub-benchmark alternates with what it is compared with, because other work on the machine changes the
// speed.
const rounds = 20

// measure runs a sub-benchmark by turns with what it is compared with, by name. A ratio above 1 means that the sub-benchmark
// is faster.
func (r *rig) measure(b *testing.B, name string, what run, others map[string]run) {
	b.Run(name, func(b *testing.B) {
		mine, compared := costs{}, make(map[string]*costs)
		for i := range min(rounds, b.N) {
			n := (b.N + i) / rounds
			if b.N < rounds {
				n = 1
			}
			r.add(b, &mine, what, n)
			for other, run := range others {
				if compared[other] == nil {
					compared[other] = &costs{}
				}
				r.add(b, compared[other], run, n)
			}
		}
		n := float64(b.N)
		b.ReportMetric(mine.wall/n, "ns/op")
		b.ReportMetric(mine.all/n, "cpu-ns/op")
		b.ReportMetric(mine.service/n, "service-cpu-ns/op")
		for other, base := range compared {
			b.ReportMetric(base.all/mine.all, "cpu/"+other)
			b.ReportMetric(base.wall/mine.wall, "wall/"+other)
			b.ReportMetric(base.service/mine.service, "service-cpu/"+other)
		}
	})
}

// add adds the costs of n requests.
func (r *rig) add(b *testing.B, to *costs, run run, n int) {
	b.Helper()
	redis, service := r.redisTime(b), processorTime()
	c := run(b, n)
	used := float64(processorTime() - service)
	to.wall += float64(c.Wall)
	to.service += used
	to.all += used + float64(c.CPU+r.redisTime(b)-redis)
}

// requests returns a run of requests for a path. size is the size of the body, or -1 for that of the first answer.
func (r *rig) requests(address, path, headers, status string, conns int) run {
	size := -1
	return func(b *testing.B, n int) cost {
		b.Helper()
		request := "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\n" + headers + "\r\n"
		if size < 0 {
			size = sizeOf(b, address, request)
		}
		return r.load.send(b, load{Address: address, Request: request, Status: status, Size: size, Conns: min(conns, n), N: n})
	}
}

// sizeOf returns the size of the body that the answer to a request has.
func sizeOf(b *testing.B, address, request string) int {
	b.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(b, err)
	defer c.Close()
	_, err = io.WriteString(c, request)
	require.NoError(b, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(b, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b, err)
	return len(body)
}

// redisBenchmark returns a run of GET by redis-benchmark.
func (r *rig) redisBenchmark(key string, conns int) run {
	return func(b *testing.B, n int) cost {
		b.Helper()
		host, port, err := net.SplitHostPort(r.redis.Options().Addr)
		require.NoError(b, err)
		cmd := exec.Command("redis-benchmark", "-h", host, "-p", port, "-n", strconv.Itoa(n), "-c", strconv.Itoa(min(conns, n)), "-q", "GET", key)
		start := time.Now()
		out, err := cmd.CombinedOutput()
		require.NoError(b, err, string(out))
		return cost{Wall: time.Since(start), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	}
}

// etagOf returns the ETag of the answer to a request for a path.
func etagOf(b *testing.B, address, path string) string {
	b.Helper()
	resp, err := apitest.Client.Get("http://" + address + path)
	require.NoError(b, err)
	defer resp.Body.Close()
	require.Equal(b, http.StatusOK, resp.StatusCode)
	return resp.Header.Get("ETag")
}

// BenchmarkServed requests the records of a redis-server over 1, 16 and 64 connections, beside a handler that writes one word
// and redis-benchmark. Another process sends the requests. The figures to compare are the ratios, such as cpu/hello: the
// processor time of a request for the one word divided by that of this one.
func BenchmarkServed(b *testing.B) {
	r := newRig(b)
	const latest, some, all = "/analytics/cpu?database=db&last=1", "/analytics/cpu?database=db&last=7", "/analytics/cpu?database=db"
	known := "If-None-Match: " + etagOf(b, r.cached, some) + "\r\n"
	for _, conns := range []int{1, 16, 64} {
		of := func(address, path, headers, status string) run {
			return r.requests(address, path, headers, status, conns)
		}
		hello := map[string]run{"hello": of(r.hello, "/", "", "200")}
		measure := func(name string, what run, others map[string]run) {
			r.measure(b, fmt.Sprintf("conns=%d/%s", conns, name), what, others)
		}
		measure("not-modified", of(r.cached, some, known, "304"), hello)
		measure("cached-35", of(r.cached, some, "", "200"), hello)
		bare, kept := map[string]run{"bare": of(r.bare, some, "", "200")}, map[string]run{"cached": of(r.cached, some, "", "200")}
		measure("cached-35-metrics", of(r.cached, some, "", "200"), bare)
		measure("cached-35-token", of(r.guarded, some, r.auth, "200"), kept)
		measure("cached-35-metrics-token", of(r.guarded, some, r.auth, "200"), bare)
		measure("cached-35-debug-log", of(r.logged, some, "", "200"), kept)
		measure("uncached-latest", of(r.uncached, latest, "", "200"), hello)
		measure("uncached-35", of(r.uncached, some, "", "200"), hello)
		measure("uncached-1000", of(r.uncached, all, "", "200"), hello)
		measure("passthrough-35", of(r.passthrough, "/", "", "200"), hello)
		if _, err := exec.LookPath("redis-benchmark"); err == nil {
			measure("cached-1000", of(r.cached, all, "", "200"), map[string]run{"redis-benchmark": r.redisBenchmark("large", conns)})
			measure("redis-benchmark-35", r.redisBenchmark("value", conns), hello)
		}
	}
}

// discard is a writer of answers that forgets them.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// BenchmarkHandler measures the handler of a kept answer alone.
func BenchmarkHandler(b *testing.B) {
	s := inProcess(b, func(o *api.Options) { o.Now = time.Now })
	s.fill(b)
	const path = "/analytics/cpu?database=db"
	etag := s.get(b, path).Header().Get("ETag")
	for name, known := range map[string]string{"kept": "", "not-modified": etag} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
			if known != "" {
				r.Header.Set("If-None-Match", known)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.ServeHTTP(discard{make(http.Header)}, r)
			}
		})
	}
}
