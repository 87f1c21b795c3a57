package main

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/influxtest"
	"github.com/telegraf-describe/telegraf-describe/internal/redisserver/redistest"
)

// crashBucket is the width of the buckets, and of what late values are late by.
const crashBucket = 2 * time.Second

// kill is a kill of the command. Rows leave after their values are saved, so the values that were sent before saved were so: a look at Redis
// had found all of them.
type kill struct{ saved, at time.Time }

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

// bitsPerField is how many values of a place have one field: the sums of different powers of two below 2^53 are exact.
const bitsPerField = 50

// sending is the value with that index that was sent for a place.
type sending struct {
	at       time.Time
	accepted bool // else it may or may not have arrived
	block    int  // that got its field: their numbers ascend over all configurations
}

// unsavedAt reports whether the value may not have been saved when the command was killed.
func (s sending) unsavedAt(k kill) bool {
	return s.at.Before(k.at) && !s.at.Before(k.saved)
}

// mark returns the field and the value that no other value of the place has, so that the sum of the field shows whether the
// value is in it.
func mark(index int) (field string, bit uint64) {
	return "b" + strconv.Itoa(index/bitsPerField), 1 << (index % bitsPerField)
}

// load sends values to a telegraf-describe and remembers them.
type load struct {
	url        string
	client     http.Client
	random     *rand.Rand
	sent       map[place][]sending
	blocks     map[string]int // by field, of the current configuration
	configured int            // how many configurations there were
	began      time.Time      // when the running command was started
}

// send sends one value: of now, or sometimes one that is late by several buckets.
func (l *load) send(t *testing.T) {
	now := time.Now()
	event := now
	if l.random.IntN(10) == 0 {
		event = now.Add(-5 * crashBucket)
	}
	host := "h" + strconv.Itoa(l.random.IntN(3))
	p := place{host, event.Truncate(crashBucket).Unix()}
	field, bit := mark(len(l.sent[p]))
	line := fmt.Sprintf("m,host=%s v=%d,%s=%d %d\n", host, l.random.IntN(1000), field, bit, event.UnixNano())
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.url, strings.NewReader(line))
	require.NoError(t, err)
	answer, err := l.client.Do(req)
	if err == nil {
		_ = answer.Body.Close()
	}
	l.sent[p] = append(l.sent[p], sending{now, err == nil && answer.StatusCode == http.StatusNoContent, l.blocks[field]})
}

// sendFor sends values steadily for some time. In between it reads the records, and returns up to when the values are known to be saved: those
// that were sent to the running command before that.
func (l *load) sendFor(t *testing.T, d time.Duration, records cached, apiURL string) (saved time.Time) {
	saved = l.began
	sent := 0
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		l.send(t)
		if sent++; sent%20 == 0 {
			looked := time.Now()
			records.read(t, apiURL)
			saved = l.firstMissing(records, looked)
		}
	}
	return saved
}

// firstMissing returns when the first accepted value was sent to the running command that is not in the sums, or until if none was.
func (l *load) firstMissing(in cached, until time.Time) time.Time {
	for p, sent := range l.sent {
		for i, s := range sent {
			field, bit := mark(i)
			if s.accepted && !s.at.Before(l.began) && s.at.Before(until) && uint64(in.sums[p][field])&bit == 0 {
				until = s.at
			}
		}
	}
	return until
}

// listens reports whether something accepts connections at the address.
func listens(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

// losses are the values that are in no bucket, by what happened to them.
type losses struct {
	beforeKill, unacknowledged, other int
}

// lost returns the values of the places that are not in the sums.
func (l *load) lost(in cached, kills []kill) (all losses) {
	for p, sent := range l.sent {
		for i, s := range sent {
			field, bit := mark(i)
			switch {
			case uint64(in.sums[p][field])&bit != 0:
			case !s.accepted:
				all.unacknowledged++
			case slices.ContainsFunc(kills, s.unsavedAt):
				all.beforeKill++
			default:
				all.other++
			}
		}
	}
	return all
}

// checkOrder checks that a kill loses the newest values of a series only: a Push saves all that a block got before it. It returns how long
// before the next kill the first one was sent.
func (l *load) checkOrder(t *testing.T, in cached, kills []kill) (longest time.Duration) {
	t.Helper()
	type series struct {
		host  string
		block int
	}
	lost, kept := make(map[series]time.Time), make(map[series]time.Time) // the first lost one and the last other one
	for p, sent := range l.sent {
		for i, s := range sent {
			field, bit := mark(i)
			of := series{p.host, s.block}
			switch there := uint64(in.sums[p][field])&bit != 0; {
			case there && s.at.After(kept[of]):
				kept[of] = s.at
			case !there && s.accepted && (lost[of].IsZero() || s.at.Before(lost[of])):
				lost[of] = s.at
			}
		}
	}
	for of, first := range lost {
		require.True(t, first.After(kept[of]), "%v lost a value that was sent before one that it has", of)
		i, _ := slices.BinarySearchFunc(kills, first, func(k kill, at time.Time) int { return k.at.Compare(at) })
		require.Less(t, i, len(kills), "no kill followed")
		longest = max(longest, kills[i].at.Sub(first))
	}
	return longest
}

// unsafe returns how many values of a place may be lost: those that were sent shortly before a kill, and those that were not acknowledged.
func (l *load) unsafe(p place, kills []kill) (n int) {
	for _, s := range l.sent[p] {
		if !s.accepted || slices.ContainsFunc(kills, s.unsavedAt) {
			n++
		}
	}
	return n
}

// cached are the records in Redis.
type cached struct {
	counts map[place]float64            // of the field that all values have; they must not fall
	sums   map[place]map[string]float64 // of the fields of mark
}

// read reads the records, and returns how many are not final. Before there are any, it returns 1.
func (c cached) read(t *testing.T, apiURL string) (open int) {
	records := served(apiURL)
	if records == nil {
		require.Empty(t, c.counts, "records are gone")
		return 1
	}
	for _, r := range records {
		start, err := time.Parse(time.RFC3339, r["time_bucket"].(string))
		require.NoError(t, err)
		p := place{r["host"].(string), start.Unix()}
		if r["final"] != true {
			open++
		}
		if field := r["field_name"].(string); field != "v" {
			if c.sums[p] == nil {
				c.sums[p] = make(map[string]float64)
			}
			c.sums[p][field] = r["sum"].(float64)
			require.InDelta(t, bits.OnesCount64(uint64(c.sums[p][field])), r["count"], 0, "%s of %v has values twice", field, p)
			continue
		}
		count := r["count"].(float64)
		require.GreaterOrEqual(t, count, c.counts[p], "the count of %v in Redis falls", p)
		c.counts[p] = count
	}
	return open
}

// Under steady load, killed at random moments, stopped and reloaded in between, the command loses at most the values that
// came since its last Push, and those that the listener did not acknowledge. No count in Redis ever falls, and the newest revision in InfluxDB 3 is the one in Redis.
func TestCrashesLoseAtMostTheValuesSinceTheLastPush(t *testing.T) {
	t.Parallel()
	crash(t, false)
}

// Before each start and each reload, the filters of two blocks change, so that each field comes to one of them at random. Each block ends its
// periods at times of its own.
func TestCrashesLoseAtMostTheValuesSinceTheLastPushThoughFieldsMove(t *testing.T) {
	t.Parallel()
	crash(t, true)
}

// configure returns the options of one describe block, or of two that divide the fields, and notes which of them gets which field.
func (l *load) configure(state string, moving bool) string {
	options := fmt.Sprintf("  period = \"200ms\"\n  bucket = \"2s\"\n  linger = \"1s\"\n  stats = [\"count\", \"sum\"]\n  state = %q\n", state)
	l.configured++
	included := [2][]string{{"\"none\""}, {"\"none\""}} // an empty list would include every field
	for i := range 21 {
		field, block := "v", 0
		if i > 0 {
			field, _ = mark((i - 1) * bitsPerField)
		}
		if moving {
			block = l.random.IntN(2)
		}
		included[block] = append(included[block], strconv.Quote(field))
		l.blocks[field] = 2*l.configured + block
	}
	if !moving {
		return options
	}
	block := func(i int) string {
		return fmt.Sprintf("%s  alias = \"block %d\"\n  fieldinclude = [%s]\n", options, i, strings.Join(included[i], ", "))
	}
	return block(0) + "[[aggregators.describe]]\n  drop_original = true\n" + block(1)
}

func crash(t *testing.T, moving bool) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	influxdb, redis := influxtest.New(t, influxtest.Options{Token: "secret"}), redistest.Database(t)
	apiURL := apiOn(t, redis)
	address := redistest.Free(t)
	l := &load{
		url: "http://" + address + "/api/v2/write?bucket=b&org=o", client: http.Client{Transport: &http.Transport{}}, random: random, sent: make(map[place][]sending), blocks: make(map[string]int),
	}
	conf, state := writeFile(t, "telegraf.conf", ""), t.TempDir()
	configure := func() {
		text := strings.Replace(
			describedWith("", l.configure(state, moving), redisOutput(redis, "db")+influxOutput(influxdb.URL)),
			"[[inputs.file]]\n  files = [\"\"]\n  data_format = \"influx\"\n",
			fmt.Sprintf("[[inputs.influxdb_v2_listener]]\n  service_address = %q\n", address), 1)
		require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
	}
	records := cached{make(map[place]float64), make(map[place]map[string]float64)}
	var kills []kill
	var ends []int // of the next lives: each six of them have one stop and one reload
	stops, reloads := 0, 0
	for left := crashes(t); left >= 0; {
		if len(ends) == 0 {
			ends = random.Perm(6)
		}
		configure()
		l.began = time.Now()
		p := startTelegraf(t, "--config", conf)
		p.waitFor("the listener", func() bool { return listens(address) })
		saved := l.sendFor(t, time.Duration(1000+random.IntN(2000))*time.Millisecond, records, apiURL)
		end := ends[0]
		ends = ends[1:]
		switch {
		case left == 0:
			p.waitFor("final rows", func() bool { return records.read(t, apiURL) == 0 })
			p.stop()
			left--
		case end == 0:
			p.stop()
			stops++
		case end == 1:
			configure()
			p.signal(syscall.SIGHUP)
			p.waitForLog("Reloading the configuration")
			p.waitFor("the listener", func() bool { return listens(address) })
			l.sendFor(t, 500*time.Millisecond, records, apiURL)
			p.stop() // no kill: what came before the reload must be there
			reloads++
		default:
			kills = append(kills, kill{saved, time.Now()})
			p.signal(syscall.SIGKILL)
			p.wait()
			left--
		}
		records.read(t, apiURL)
	}
	t.Logf("%d kills, %d clean stops, %d reloads", len(kills), stops, reloads)
	if len(kills) >= 20 {
		require.Positive(t, reloads)
	}
	checkCrashes(t, l, kills, records, influxdb, moving)
}

// checkCrashes checks that each value is in one bucket, unless a kill may have lost it. If fields move, a kill can lose those of one block only.
func checkCrashes(t *testing.T, l *load, kills []kill, records cached, influxdb *influxtest.Server, moving bool) {
	t.Helper()
	sent, described := 0, 0
	for p := range l.sent {
		n := 0
		for _, sum := range records.sums[p] {
			n += bits.OnesCount64(uint64(sum))
		}
		if !moving {
			require.Equal(t, n, int(records.counts[p]), "%v has values twice", p)
		}
		require.LessOrEqual(t, int(records.counts[p]), len(l.sent[p]), "%v has values twice", p)
		require.LessOrEqual(t, len(l.sent[p])-int(records.counts[p]), l.unsafe(p, kills), "%v lacks saved values", p)
		sent, described = sent+len(l.sent[p]), described+n
	}
	lost := l.lost(records, kills)
	t.Logf("of %d values, %d are in no bucket: %d sent shortly before a kill, %d not acknowledged by the listener, %d others",
		sent, sent-described, lost.beforeKill, lost.unacknowledged, lost.other)
	require.Equal(t, sent-described, lost.beforeKill+lost.unacknowledged+lost.other)
	require.Zero(t, lost.other, "saved values are lost")
	t.Logf("the first lost values were sent up to %s before a kill", l.checkOrder(t, records, kills))
	newest, revisions := make(map[place]int64), make(map[place]int64)
	for _, r := range influxdb.Rows("db", "analytics_m") {
		if r.Tags["field_name"] != "v" {
			continue
		}
		revision := r.Fields["revision"].(int64)
		p := place{r.Tags["host"], time.Duration(r.Time-revision).Nanoseconds() / int64(time.Second)}
		if count := r.Fields["count"].(int64); revision >= revisions[p] {
			newest[p], revisions[p] = count, revision
		}
	}
	require.Empty(t, influxdb.Refused())
	for p, count := range records.counts {
		require.Equal(t, int64(count), newest[p], "%v in InfluxDB 3, revision %d", p, revisions[p])
	}
}
