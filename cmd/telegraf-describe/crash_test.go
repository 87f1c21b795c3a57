package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

const (
	// crashBucket is the width of the buckets, and of what late values are late by.
	crashBucket = 2 * time.Second
	// unsaved is how long before a crash a value may have been accepted and not saved: a period of 200 ms, and what a
	// busy machine adds to it.
	unsaved = time.Second
)

// crashes returns how many times the command is killed. The variable CRASHES sets it.
func crashes(t *testing.T) int {
	text := os.Getenv("CRASHES")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// place is a series and a bucket.
type place struct {
	host  string
	start int64 // seconds since 1970
}

// sending is a value that was sent.
type sending struct {
	at       time.Time
	accepted bool // else it may or may not have arrived
}

// load sends values to a telegraf-describe and remembers them.
type load struct {
	url    string
	client http.Client
	random *rand.Rand
	sent   map[place][]sending
}

// send sends one value: of now, or sometimes one that is late by several buckets.
func (l *load) send(t *testing.T) {
	now := time.Now()
	event := now
	if l.random.IntN(10) == 0 {
		event = now.Add(-5 * crashBucket)
	}
	host := "h" + strconv.Itoa(l.random.IntN(3))
	line := fmt.Sprintf("m,host=%s v=%d %d\n", host, l.random.IntN(1000), event.UnixNano())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url, strings.NewReader(line))
	require.NoError(t, err)
	answer, err := l.client.Do(req)
	if err == nil {
		_ = answer.Body.Close()
	}
	p := place{host, event.Truncate(crashBucket).Unix()}
	l.sent[p] = append(l.sent[p], sending{now, err == nil && answer.StatusCode == http.StatusNoContent})
}

// sendFor sends values steadily for some time.
func (l *load) sendFor(t *testing.T, d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		l.send(t)
	}
}

// listens reports whether something accepts connections at the address.
func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// bounds returns how many values a bucket has at least and at most, after kills at these times.
func (l *load) bounds(p place, kills []time.Time) (least, most int) {
	for _, s := range l.sent[p] {
		most++
		mayBeLost := !s.accepted
		for _, kill := range kills {
			mayBeLost = mayBeLost || s.at.Before(kill) && s.at.After(kill.Add(-unsaved))
		}
		if !mayBeLost {
			least++
		}
	}
	return least, most
}

// cached are the counts in Redis. They must not fall.
type cached map[place]float64

// read reads the counts, and returns how many records are not final.
func (c cached) read(t *testing.T, apiURL string) (open int) {
	var records []map[string]any
	getJSON(t, apiURL+"/analytics/m?database=db", &records)
	for _, r := range records {
		start, err := time.Parse(time.RFC3339, r["time_bucket"].(string))
		require.NoError(t, err)
		p := place{r["host"].(string), start.Unix()}
		count := r["count"].(float64)
		require.GreaterOrEqual(t, count, c[p], "the count of %v in Redis falls", p)
		c[p] = count
		if r["final"] != true {
			open++
		}
	}
	return open
}

// Under steady load, killed at random moments, stopped and reloaded in between, the command loses at most the values that
// came since its last Push. No count in Redis ever falls, and the newest revision in InfluxDB 3 is the one in Redis.
func TestCrashesLoseAtMostTheValuesSinceTheLastPush(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	influxdb, redis := influxtest.New(t, influxtest.Options{Token: "secret"}), redistest.Database(t)
	apiURL := apiOn(t, redis)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	conf := writeFile(t, "telegraf.conf", strings.Replace(
		describedWith("", fmt.Sprintf("  period = \"200ms\"\n  bucket = \"2s\"\n  linger = \"1s\"\n  stats = [\"count\", \"sum\", \"p50\"]\n  state = %q\n", t.TempDir()),
			redisOutput(redis, "db")+influxOutput(influxdb.URL)),
		"[[inputs.file]]\n  files = [\"\"]\n  data_format = \"influx\"\n",
		fmt.Sprintf("[[inputs.influxdb_v2_listener]]\n  service_address = %q\n", address), 1))

	l := &load{url: "http://" + address + "/api/v2/write?bucket=b&org=o", random: random, sent: make(map[place][]sending)}
	counts := make(cached)
	var kills []time.Time
	for left := crashes(t); left >= 0; {
		p := startTelegraf(t, "--config", conf)
		p.waitFor("the listener", func() bool { return listens(address) })
		l.sendFor(t, time.Duration(1000+random.IntN(2000))*time.Millisecond)
		switch end := random.IntN(6); {
		case left == 0:
			p.waitFor("final rows", func() bool { return counts.read(t, apiURL) == 0 })
			p.stop()
			left--
		case end == 0:
			p.stop()
		case end == 1:
			p.signal(syscall.SIGHUP)
			p.waitForLog("Reloading the configuration")
			p.waitFor("the listener", func() bool { return listens(address) })
			l.sendFor(t, 500*time.Millisecond)
			p.stop() // no kill: what came before the reload must be there
		default:
			kills = append(kills, time.Now())
			p.signal(syscall.SIGKILL)
			p.wait()
			left--
		}
		counts.read(t, apiURL)
	}
	checkCrashes(t, l, kills, counts, influxdb)
}

func checkCrashes(t *testing.T, l *load, kills []time.Time, counts cached, influxdb *influxtest.Server) {
	t.Helper()
	lost, all := 0, 0
	for p, sent := range l.sent {
		least, most := l.bounds(p, kills)
		require.GreaterOrEqual(t, int(counts[p]), least, "%v lost values that were saved", p)
		require.LessOrEqual(t, int(counts[p]), most, "%v has values twice", p)
		lost, all = lost+len(sent)-int(counts[p]), all+len(sent)
	}
	t.Logf("%d crashes lost %d of %d values", len(kills), lost, all)
	newest, revisions := make(map[place]int64), make(map[place]int64)
	for _, r := range influxdb.Rows("db", "analytics_m") {
		revision := r.Fields["revision"].(int64)
		p := place{r.Tags["host"], time.Duration(r.Time-revision).Nanoseconds() / int64(time.Second)}
		if count := r.Fields["count"].(int64); revision >= revisions[p] {
			newest[p], revisions[p] = count, revision
		}
	}
	require.Empty(t, influxdb.Refused())
	for p, count := range counts {
		require.Equal(t, int64(count), newest[p], "%v in InfluxDB 3, revision %d", p, revisions[p])
	}
}
