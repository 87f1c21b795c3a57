package describe_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// retained is a history in which final buckets expire and kills lose values. It counts what a kill may have lost and what was late.
type retained struct {
	*history
	r       *rand.Rand
	current bool               // whether the buckets are those of the last hours
	owners  owners             // of the run
	added   []map[string]int64 // by block and bucket: the values since the last Push
	lateOf  []int64            // by block: the values that were late when they were added
	late    map[string]int64   // by bucket
	lost    map[string]int64   // by bucket: the values that a kill may have lost
	refused int64              // the values of open buckets that were taken over after the bucket had expired
	steps   []step             // for the output if the test fails
}

// step is what log notes.
type step struct {
	at     time.Time
	format string
	args   []any
}

func newRetained(t *testing.T, r *rand.Rand) *retained {
	h := &retained{
		history: newHistory(t, false), r: r, current: r.IntN(3) > 0, late: map[string]int64{}, lost: map[string]int64{},
	}
	retention := config.Duration(30+r.IntN(151)) * config.Duration(time.Minute)
	h.edit = func(d *describe.Describe) { d.StateRetention = retention }
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, s := range h.steps {
			t.Logf("%s %s", s.at.Format("15:04:05"), fmt.Sprintf(s.format, s.args...))
		}
	})
	return h
}

// log notes a step. The arguments must not change any more: they become a text only if the test fails.
func (h *retained) log(format string, args ...any) {
	h.steps = append(h.steps, step{h.at, format, args})
}

// rowsText is the text of rows, by a function such as texts.
type rowsText struct {
	rows  []telegraf.Metric
	texts func([]telegraf.Metric) []string
}

func (r rowsText) String() string { return strings.Join(r.texts(r.rows), ", ") }

// start starts a run.
func (h *retained) start() {
	h.t.Helper()
	h.owners = h.randomRun(h.r)
	h.started()
}

// started prepares the counts of a run that has started.
func (h *retained) started() {
	h.t.Helper()
	h.added, h.lateOf = make([]map[string]int64, len(h.blocks)), make([]int64, len(h.blocks))
	for i, o := range h.blocks {
		h.added[i] = map[string]int64{}
		h.log("start of %s, owner %q", o.name(), h.owner)
	}
}

// name returns the options that distinguish the blocks of the random test.
func (o open) name() string { return o.Prefix + o.Alias }

// stop notes what the run may have lost, and ends it.
func (h *retained) stop(crash bool) {
	h.t.Helper()
	h.log("end, crash=%v", crash)
	for i, o := range h.blocks {
		if crash {
			for bucket, n := range h.added[i] {
				h.lost[bucket] += n
			}
		}
		refused := o.Late() - h.lateOf[i]
		if h.refused += refused; refused > 0 {
			h.log("%s has refused %d values of buckets that it took over", o.name(), refused)
		}
	}
	h.crash = crash
	h.end()
}

// kill ends the run at a point of the commits of the Push of a block, or after it.
func (h *retained) kill(block int, point string) {
	h.t.Helper()
	o := h.blocks[block]
	o.clock.set(h.at)
	rows, _ := o.pushKilled(h.t, point, h.blocks...)
	h.log("kill at %q of %s: %s", point, o.name(), rowsText{rows, counts})
	h.read(rows)
	h.stop(true)
}

// pushSome pushes the blocks for which some returns true.
func (h *retained) pushSome(some func(block int) bool) {
	h.t.Helper()
	for i, o := range h.blocks {
		if !some(i) {
			continue
		}
		o.clock.set(h.at)
		rows := o.push()
		h.log("Push of %s: %s", o.name(), rowsText{rows, texts})
		h.read(rows)
		clear(h.added[i])
	}
}

func (h *retained) pushAll() {
	h.t.Helper()
	h.pushSome(func(int) bool { return true })
}

// step adds values, pushes, or lets time pass.
func (h *retained) step() {
	h.t.Helper()
	switch h.r.IntN(6) {
	case 0:
		h.pushAll()
	case 1:
		one := h.r.IntN(len(h.blocks))
		h.pushSome(func(block int) bool { return block == one })
	case 2:
		h.at = h.at.Add(time.Duration(10+h.r.IntN(91)) * time.Minute)
		h.pushSome(func(int) bool { return h.r.IntN(4) > 0 })
	default:
		h.addSome()
	}
}

// addSome adds values of some fields to a bucket of a series.
func (h *retained) addSome() {
	series, start := h.r.IntN(len(h.owners)), bucketStart.Add(time.Duration(h.r.IntN(3))*time.Hour)
	if h.current {
		start = h.at.UTC().Truncate(time.Hour).Add(-time.Duration(h.r.IntN(6)) * time.Hour)
	}
	tag := strconv.Itoa(series)
	for block, o := range h.blocks {
		values := map[string]any{}
		var buckets []string
		for i, field := range randomFields {
			if h.owners[series][i] == block && h.r.IntN(2) == 0 {
				values[field] = float64(h.r.IntN(100))
				buckets = append(buckets, fmt.Sprint(o.Prefix, "cpu", field, tag, " ", start.Format(time.RFC3339)))
			}
		}
		if len(values) == 0 {
			continue
		}
		o.look() // before the count, as it can refuse values of another store
		before := o.Late()
		o.Add(point(map[string]string{"host": tag}, values, start.Add(time.Minute)))
		late := o.Late() - before
		h.log("values for %s: %q, %d late", o.name(), buckets, late)
		h.lateOf[block] += late
		for _, b := range buckets {
			h.sent[b]++
			if late > 0 {
				h.late[b]++
			} else {
				h.added[block][b]++
			}
		}
	}
}

// randomEnd ends the run cleanly, or by a kill.
func (h *retained) randomEnd() {
	h.t.Helper()
	switch h.r.IntN(4) {
	case 0:
		h.pushAll()
		h.stop(false)
	case 1:
		h.stop(true)
	default:
		h.pushSome(func(int) bool { return h.r.IntN(2) == 0 })
		h.kill(h.r.IntN(len(h.blocks)), commitPoints[h.r.IntN(len(commitPoints))])
	}
}

// check checks that the newest row of each bucket is final and has all values but those that were late or may be lost.
func (h *retained) check() {
	h.t.Helper()
	for range 9 { // the last bucket may not have ended yet
		h.pushAll()
		h.at = h.at.Add(10 * time.Minute)
	}
	for _, o := range h.blocks {
		require.Zero(h.t, o.stat("state_errors"))
	}
	h.stop(false)
	require.Zero(h.t, h.refused, "values of open buckets that were taken over")
	missing, lost := int64(0), int64(0)
	for bucket, sent := range h.sent {
		lacking := sent - h.late[bucket] - h.counts[bucket]
		require.GreaterOrEqual(h.t, lacking, int64(0), "%s has too many values", bucket)
		require.LessOrEqual(h.t, lacking, h.lost[bucket]+h.refused, "%s lacks values", bucket)
		missing, lost = missing+lacking, lost+h.lost[bucket]
		require.False(h.t, h.open[bucket] && h.refused == 0, "the newest row of %s is not final", bucket)
	}
	require.LessOrEqual(h.t, missing, lost+h.refused)
}

// In these histories, buckets expire after minutes, the clock jumps forward, and kills lose values, so that blocks remove the versions of a
// bucket at different times.
func TestRandomChangesOfOptionsWithAShortRetentionKeepOneVersionOfARevision(t *testing.T) {
	for seed := range randomSeeds(t) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			h := newRetained(t, rand.New(rand.NewPCG(seed, 2)))
			for range 6 {
				h.start()
				for range h.r.IntN(30) {
					h.step()
				}
				h.randomEnd()
			}
			h.start()
			h.check()
		})
	}
}

// startHeir starts a run with some of three blocks, of which the first one takes over the buckets of removed ones. Its filters have changed, so
// each field of a series is its own or comes to one of the others, if there are any.
func (h *retained) startHeir(aliases ...string) {
	h.t.Helper()
	var blocks []func(*describe.Describe)
	for _, alias := range aliases {
		blocks = append(blocks, func(d *describe.Describe) { d.Alias, d.Prefix = alias, "p_" })
	}
	h.run(blocks...)
	for series := range h.owners {
		for field := range h.owners[series] {
			h.owners[series][field] = h.r.IntN(len(blocks) + 1) // the last number is that of no block
		}
	}
	h.started()
}

// removeSome lets time pass in which only one block ends its periods. It removes its final buckets, and those of other blocks stay open.
func (h *retained) removeSome(block int) {
	h.t.Helper()
	o := h.blocks[block]
	for range 3 + h.r.IntN(4) {
		h.at = h.at.Add(time.Duration(20+h.r.IntN(41)) * time.Minute)
		h.pushSome(func(i int) bool { return i == block })
		require.Eventually(h.t, func() bool { return o.Store().Stats().Pending == 0 }, 2*time.Minute, time.Millisecond)
	}
}

// In these histories, fields come to other blocks and back, and the block that takes over open buckets has removed buckets of the same time, and
// had other fields in them than in other buckets of the series.
func TestRandomChangesOfOptionsLoseNoOpenBucketOfARemovedBlock(t *testing.T) {
	for seed := range randomSeeds(t) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			h := newRetained(t, rand.New(rand.NewPCG(seed, 3)))
			h.current = false
			h.edit = func(d *describe.Describe) { d.StateRetention = config.Duration(30 * time.Minute) }
			for range 4 {
				h.startHeir("0", "1", "2")
				for range 4 + h.r.IntN(12) {
					h.addSome()
				}
				h.pushAll()
				for range 1 + h.r.IntN(2) {
					h.removeSome(0)
					h.addSome()
				}
				h.randomEnd()
				h.startHeir([][]string{{"0"}, {"0", "1"}, {"0", "2"}}[h.r.IntN(3)]...)
				for range h.r.IntN(6) {
					h.step()
				}
				h.randomEnd()
			}
			h.startHeir("0")
			h.check()
		})
	}
}
