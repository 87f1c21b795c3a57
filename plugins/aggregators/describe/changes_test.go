package describe_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// reader checks the rows of all runs of a test as a database with all of them: no final row has two versions at one revision,
// and no later row of a bucket has fewer values, unless its revision is older: after a crash, final rows leave again.
type reader struct {
	t      *testing.T
	final  map[string]string // texts of final rows by bucket and revision
	counts map[string]int64  // of the newest row of each bucket
	newest map[string]int64  // the newest revision of each bucket
	open   map[string]bool   // whether the newest row of a bucket is an open one
}

func (r *reader) read(rows []telegraf.Metric) {
	r.t.Helper()
	for _, m := range rows {
		bucket := fmt.Sprint(m.Name(), m.Tags()["field_name"], m.Tags()["host"], " ", m.Time().Truncate(time.Microsecond).UTC().Format(time.RFC3339))
		count := m.Fields()["count"].(int64)
		revision, _ := m.Fields()["revision"].(int64)
		if revision >= r.newest[bucket] {
			require.GreaterOrEqual(r.t, count, r.counts[bucket], "a row of %s has fewer values", bucket)
			r.counts[bucket], r.newest[bucket], r.open[bucket] = count, revision, m.Tags()["bucket_state"] != "final"
		}
		if m.Tags()["bucket_state"] != "final" {
			continue
		}
		version, text := fmt.Sprint(bucket, " r", revision), texts([]telegraf.Metric{m})[0]
		if before, ok := r.final[version]; ok {
			require.Equal(r.t, before, text, "two versions of a revision")
		}
		r.final[version] = text
	}
}

// history is a sequence of runs with one folder of state.
type history struct {
	reader
	folder string
	at     time.Time
	blocks []open
	crash  bool                       // whether runs end by a crash
	sent   map[string]int64           // the number of values of each bucket, without the late ones
	beside []func(*describe.Describe) // blocks of the runs of removeBlock, beside the others
	edit   func(*describe.Describe)   // of all blocks, or nil
	owner  string                     // of the random test, in this run
}

func newHistory(t *testing.T, crash bool) *history {
	return &history{
		reader: reader{t: t, final: map[string]string{}, counts: map[string]int64{}, newest: map[string]int64{}, open: map[string]bool{}},
		folder: t.TempDir(), at: time.Now().Truncate(time.Second), crash: crash, sent: map[string]int64{},
	}
}

// end ends the run.
func (h *history) end() {
	h.t.Helper()
	for _, o := range h.blocks {
		if h.crash {
			o.Abandon()
			continue
		}
		require.NoError(h.t, o.Close())
	}
	h.blocks = nil
}

// run ends the run and starts another one with these blocks, a second later.
func (h *history) run(blocks ...func(*describe.Describe)) {
	h.t.Helper()
	h.end()
	h.at = h.at.Add(time.Second)
	for _, edit := range blocks {
		h.blocks = append(h.blocks, stated(h.t, h.folder, h.at, func(d *describe.Describe) {
			d.SetOwner("me")
			if h.edit != nil {
				h.edit(d)
			}
			edit(d)
		}))
	}
}

// add adds n values to the bucket of the block that begins at start.
func (h *history) add(block int, start time.Time, n int) {
	for range n {
		h.blocks[block].values(start.Add(time.Minute), float64(len(h.sent)+n))
	}
	h.sent[fmt.Sprint(h.blocks[block].Prefix, "cpuv ", start.Format(time.RFC3339))] += int64(n)
}

// finalAndOpen adds values to two buckets of the first block: that of x becomes final, and that of y stays open.
func (h *history) finalAndOpen() {
	h.t.Helper()
	h.add(0, x, 3)
	h.linger()
	h.add(0, y, 4)
	h.push()
}

// push pushes all blocks.
func (h *history) push() {
	h.t.Helper()
	h.pushOthers(-1)
}

// pushOthers pushes all blocks but one.
func (h *history) pushOthers(block int) {
	h.t.Helper()
	for i, o := range h.blocks {
		if o.clock.set(h.at); i != block {
			h.read(o.push())
		}
	}
}

// linger lets the open buckets become final.
func (h *history) linger() {
	h.t.Helper()
	h.push()
	h.at = h.at.Add(10 * time.Minute)
	h.push()
}

// check checks that the newest row of each bucket is final and has all values, but for a number of late ones.
func (h *history) check(late int64) {
	h.t.Helper()
	h.linger()
	missing := int64(0)
	var wrong []string
	for bucket, n := range h.sent {
		if missing += n - h.counts[bucket]; n != h.counts[bucket] {
			wrong = append(wrong, fmt.Sprintf("%s has %d of %d values", bucket, h.counts[bucket], n))
		}
		require.False(h.t, h.open[bucket], "the newest row of %s is not final", bucket)
	}
	for _, o := range h.blocks {
		require.Zero(h.t, o.stat("state_errors"))
	}
	require.Equal(h.t, late, missing, "%v", wrong)
}

func block(alias string) func(*describe.Describe) {
	return func(d *describe.Describe) { d.Alias = alias }
}

func withBucket(width string) func(*describe.Describe) {
	return func(d *describe.Describe) { d.Bucket = width }
}

func withPrefix(prefix string) func(*describe.Describe) {
	return func(d *describe.Describe) { d.Prefix = prefix }
}

// The hours x and y are those of the buckets that are final and open when options change.
var x, y = bucketStart.Add(time.Hour), bucketStart.Add(2 * time.Hour)

// optionHistories are changes of options between the values of a bucket, and how many values may be late.
var optionHistories = map[string]func(h *history){
	"one block becomes two": func(h *history) {
		h.run(block("a"))
		h.finalAndOpen()
		h.run(block("a"), block("b"))
		h.add(1, y, 1)
		h.add(1, x, 1)
		h.push()
		h.add(1, y, 1)
	},
	"one block becomes two, and its bucket is final before the next value": func(h *history) {
		h.run(block("a"))
		h.add(0, y, 4)
		h.push()
		h.run(block("a"), block("b"))
		h.linger()
		h.add(1, y, 1)
		h.linger()
		h.add(1, y, 1)
	},
	"one block becomes two, and Telegraf starts again": func(h *history) {
		h.run(block("a"))
		h.finalAndOpen()
		h.run(block("a"), block("b"))
		h.push()
		h.run(block("b"), block("a"))
		h.add(0, y, 1)
		h.add(0, x, 1)
		h.push()
		h.run(block("a"), block("b"))
		h.add(1, y, 1)
	},
	"two blocks become one": func(h *history) {
		h.run(block("a"))
		h.add(0, x, 3)
		h.add(0, y, 1)
		h.linger()
		h.run(block("a"), block("b"))
		h.add(1, x, 1)
		h.linger()
		h.add(1, y, 1)
		h.push()
		h.run(block("a"))
		h.add(0, x, 1)
		h.add(0, y, 1)
	},
	"a removed block comes back": func(h *history) {
		h.run(block("a"), block("b"))
		h.add(1, x, 3)
		h.linger()
		h.add(0, x.Add(5*time.Hour), 1)
		h.add(1, y, 4)
		h.push()
		h.run(block("a"))
		h.push()
		h.run(block("a"), block("b"))
		h.add(1, x, 1)
		h.add(1, y, 1)
	},
	"a removed block comes back after a late value": func(h *history) {
		h.run(block("a"), block("b"))
		h.add(0, x.Add(5*time.Hour), 1)
		h.add(1, x, 3)
		h.linger()
		h.run(block("a"))
		h.add(0, x, 1)
		h.linger()
		h.run(block("a"), block("b"))
		h.add(1, x, 1)
	},
	"the prefix changes there and back": func(h *history) {
		h.run(withPrefix("analytics_"))
		h.finalAndOpen()
		h.run(withPrefix("other_"))
		h.add(0, x, 1)
		h.add(0, y, 1)
		h.linger()
		h.run(withPrefix("analytics_"))
		h.add(0, x, 1)
		h.add(0, y, 1)
		h.linger()
		h.run(withPrefix("other_"))
		h.add(0, x, 1)
	},
	"the bucket changes there and back": func(h *history) {
		h.run(withBucket("1h"))
		h.finalAndOpen()
		h.run(withBucket("10m"))
		h.add(0, x.Add(10*time.Minute), 1)
		h.push()
		h.run(withBucket("1h"))
		h.add(0, x, 1)
		h.add(0, y, 1)
	},
	"the bucket is written in another unit": func(h *history) {
		h.run(withBucket("24h"))
		h.add(0, bucketStart, 3)
		h.linger()
		h.add(0, bucketStart.Add(24*time.Hour), 4)
		h.push()
		h.run(withBucket("1d"))
		h.add(0, bucketStart, 1)
		h.add(0, bucketStart.Add(24*time.Hour), 1)
		h.push()
	},
	"the arguments change together with the alias": func(h *history) {
		h.run(block("a"))
		h.finalAndOpen()
		h.run(func(d *describe.Describe) { d.Alias = "b"; d.SetOwner("another") })
		h.add(0, x, 1)
		h.add(0, y, 1)
		h.linger()
		h.at = h.at.Add(25 * time.Hour)
		h.push()
		h.add(0, x, 1)
		h.add(0, y, 1)
	},
}

func TestABucketHasOneVersionOfARevisionWhateverOptionsChange(t *testing.T) {
	for name, changes := range optionHistories {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ",crash=", crash), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, crash)
				changes(h)
				h.check(0)
			})
		}
	}
}

// If the clock is set back in a run or between two, values of an earlier run seem to be of this one.
func TestABucketOfAnotherBlockIsCorrectedThoughTheClockWasSetBack(t *testing.T) {
	for _, test := range []struct {
		name              string
		final             bool          // whether the bucket becomes final in the first run
		during, beforeRun time.Duration // by how much the clock is set back
	}{
		{"final", true, 0, 30 * time.Minute},
		{"final, in the first run", true, 30 * time.Minute, 0},
		{"open", false, 0, 30 * time.Minute},
		{"open, in the first run", false, 30 * time.Minute, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			h.run(block("a"))
			h.add(0, x, 3)
			h.push()
			if test.final {
				h.linger()
			}
			h.at = h.at.Add(-test.during)
			h.push()
			h.at = h.at.Add(-test.beforeRun)
			h.run(block("a"), block("b"))
			if !test.final {
				h.linger()
			}
			h.add(1, x, 1)
			h.check(0)
		})
	}
}

// Some inputs give each field in a metric of its own.
func TestABucketIsLookedForWhenItGetsAnotherField(t *testing.T) {
	for _, final := range []bool{false, true} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint("final=", final, ",restart=", restart), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, false)
				add := func(block int, field string) {
					h.blocks[block].Add(point(nil, map[string]any{field: float64(len(h.sent))}, x))
					h.sent[fmt.Sprint(h.blocks[block].Prefix, "cpu", field, " ", x.Format(time.RFC3339))]++
				}
				h.run(block("a"), block("b"))
				add(0, "w")
				add(0, "w")
				h.push()
				if final {
					h.linger()
				}
				h.run(block("a"), block("b"))
				add(1, "v")
				h.push()
				if restart {
					h.run(block("a"), block("b"))
				}
				add(1, "w")
				h.check(0)
			})
		}
	}
}

func TestAFieldThatABorrowedBucketLacksIsLookedFor(t *testing.T) {
	t.Parallel()
	h := newHistory(t, false)
	add := func(block int, fields ...string) {
		values := map[string]any{}
		for _, field := range fields {
			values[field] = float64(len(h.sent))
			h.sent[fmt.Sprint(h.blocks[block].Prefix, "cpu", field, " ", x.Format(time.RFC3339))]++
		}
		h.blocks[block].Add(point(nil, values, x))
	}
	all := []func(*describe.Describe){block("a"), block("b"), block("c")}
	h.run(all...)
	add(0, "v")
	h.linger()
	h.run(all...)
	add(1, "w")
	h.push()
	h.run(all...)
	add(2, "v", "w")
	h.check(0)
}

func TestAChangedBlockDoesNotStartWhileTheOldTelegrafRuns(t *testing.T) {
	folder, at := t.TempDir(), time.Now()
	old := stated(t, folder, at, block("a"))
	host, err := os.Hostname()
	require.NoError(t, err)
	start := func(alias, prefix string) error {
		d := newDescribe()
		d.Log, d.Alias, d.Prefix, d.State, d.Bucket = &plugintest.Log{}, alias, prefix, folder, "1h"
		err := d.Init()
		if err == nil {
			require.NoError(t, d.Close())
		}
		return err
	}
	require.NoError(t, start("a second block", "analytics_"))
	lock := filepath.Join(old.Store().Folder(), "lock")
	require.NoError(t, os.WriteFile(lock, []byte("1\n"+host+"\n2\n"), 0o600)) // as if it were another process
	require.ErrorIs(t, start("b", "analytics_"), state.ErrLocked)
	require.ErrorContains(t, start("b", "analytics_"), "process 1 of the same command")
	require.NoError(t, start("a second block", "analytics_"), "a store that was there before")
	require.NoError(t, start("b", "other_"))
	require.NoError(t, old.Close())
	require.NoError(t, start("b", "analytics_"))
}

// Rows of buckets that begin at the same time are the same point for a database, whatever their widths are.
func TestBucketsThatBeginAtTheSameTimeHaveDifferentRevisions(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash=", crash), func(t *testing.T) {
			t.Parallel()
			folder, at := t.TempDir(), time.Unix(1_800_000_000, 0)
			var o open
			var all []string
			seen := map[string]string{}
			rows := func(rows []telegraf.Metric) {
				for i, m := range rows {
					if m.Tags()["bucket_state"] == "final" {
						text := texts(rows[i : i+1])[0]
						key := fmt.Sprint(m.Time().Truncate(time.Microsecond), m.Fields()["revision"])
						if before, ok := seen[key]; ok {
							require.Equal(t, before, text)
							continue // after a crash, it leaves again
						}
						seen[key] = text
						all = append(all, fmt.Sprint(m.Time().Truncate(time.Microsecond).UTC().Format("15:04 "), counts(rows[i : i+1])[0]))
					}
				}
			}
			run := func(width string) {
				switch {
				case o.Describe == nil:
				case crash:
					o.Abandon()
				default:
					require.NoError(t, o.Close())
				}
				at = at.Add(time.Second)
				o = stated(t, folder, at, withBucket(width))
			}
			linger := func() {
				rows(o.push())
				at = at.Add(10 * time.Minute)
				o.clock.set(at)
				rows(o.push())
			}
			run("1h")
			o.values(x, 1.0, 2.0, 3.0)
			linger()
			o.values(y, 1.0, 2.0)
			rows(o.push())
			run("10m")
			o.values(x, 4.0)
			o.values(y, 4.0)
			o.values(y.Add(10*time.Minute), 4.0)
			rows(o.push())
			run("10m")
			linger()
			run("1h")
			o.values(x, 5.0)
			o.values(y, 5.0, 6.0)
			linger()
			require.ElementsMatch(t, []string{
				"01:00 final r0 n3", "02:00 final r0 n2", // of an hour
				"01:00 final r1 n1", "02:00 final r1 n1", "02:10 final r0 n1", // of ten minutes
				"01:00 final r2 n4", "02:00 final r2 n4", // of an hour
			}, all)
		})
	}
}

// Two blocks that get the same values emit the same final rows, also for a bucket that one of them had before the other was added.
func TestANewBlockBesideOneWithTheSameFieldsHasTheSameFinalRows(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
			for _, restart := range []bool{false, true} {
				t.Run(fmt.Sprint("crash=", crash, ",order=", order, ",restart=", restart), func(t *testing.T) {
					t.Parallel()
					h := newHistory(t, crash)
					h.run(block("a"))
					h.add(0, x, 3)
					h.linger()
					h.add(0, y, 4)
					h.addField(0, "w", y)
					h.push()
					both := []func(*describe.Describe){block(order[0]), block(order[1])}
					h.run(both...)
					add := func(start time.Time, field string) {
						for block := range 2 {
							h.addField(block, field, start)
						}
						h.sent[fmt.Sprint("analytics_cpu", field, " ", start.Format(time.RFC3339))]--
					}
					for _, start := range []time.Time{x, y, y.Add(time.Hour)} {
						add(start, "v")
						add(start, "v")
					}
					if restart {
						h.push()
						h.run(both...)
						h.push()
					}
					add(y, "w")
					add(x, "v")
					h.linger()
					add(x, "v")
					add(y, "v")
					h.check(0)
				})
			}
		}
	}
}

// crashInJoin ends the run after the block has taken over the buckets of another one, before the state of that is set aside.
func (h *history) crashInJoin(block int) {
	h.t.Helper()
	h.crashInPush(block)
	retired, err := filepath.Glob(filepath.Join(h.folder, "*retired*"))
	require.NoError(h.t, err)
	require.Empty(h.t, retired)
}

// crashInPush ends the run when the rows of a block have left, before its Push has returned.
func (h *history) crashInPush(block int) {
	h.t.Helper()
	h.kill(block, "")
}

func TestABucketThatWasLentHasOneVersionAfterACrashWhileItsRowsLeave(t *testing.T) {
	for name, next := range map[string][]func(*describe.Describe){
		"both blocks":  {block("a"), block("b")},
		"the lender":   {block("a")},
		"the borrower": {block("b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			h.run(block("a"))
			h.add(0, x.Add(5*time.Hour), 1)
			h.add(0, y, 4)
			h.push()
			h.run(block("a"), block("b"))
			h.add(1, y, 1)
			h.crashInPush(1)
			h.run(next...)
			h.check(0)
		})
	}
}

// kill ends the run at a point of the commits of a block's Push, or when the rows have left. It reports whether the Push has come to the
// point.
func (h *history) kill(block int, point string) (reached bool) {
	h.t.Helper()
	rows, reached := h.blocks[block].pushKilled(h.t, point, h.blocks...)
	h.read(rows)
	h.crash = true
	h.end()
	return reached
}

// commitPoints are the points of a commit with borrowed fields: before it, after each of the three commits that it takes, and when the rows
// are about to leave.
var commitPoints = []string{"begin", "borrower", "lender", "settled"}

// killInLoan moves a field of an open bucket from the only block to a new one, and ends the run at a point of the commits of the new one. If
// another field stays, the bucket has it too.
func (h *history) killInLoan(point string, stays bool) {
	h.t.Helper()
	h.run(block("a"))
	h.add(0, x.Add(5*time.Hour), 1)
	h.add(0, y, 4)
	if stays {
		h.addField(0, "w", y)
	}
	h.push()
	h.run(block("a"), block("b"))
	h.add(1, y, 1)
	require.True(h.t, h.kill(1, point))
}

// sampled reports whether a test runs the combination with that number: all of them, or one in three with -short. The first part of a
// combination changes slowest, and the others have four or eight combinations, which are no multiples of three. So each value of each part
// is in the sample.
func sampled(number int) bool { return !testing.Short() || number%3 == 0 }

func TestAFieldThatMovesCountsOnceWhereverTheProcessIsKilled(t *testing.T) {
	nexts := map[string][]func(*describe.Describe){
		"both blocks":                  {block("a"), block("b")},
		"the lender":                   {block("a")},
		"the borrower":                 {block("b")},
		"another one":                  {block("c")},
		"another one and the lender":   {block("c"), block("a")},
		"another one and the borrower": {block("c"), block("b")},
	}
	number := -1
	for _, name := range slices.Sorted(maps.Keys(nexts)) {
		for _, point := range commitPoints {
			for _, stays := range []bool{false, true} {
				if number++; !sampled(number) {
					continue
				}
				t.Run(fmt.Sprint(name, ",killed=", point, ",another field stays=", stays), func(t *testing.T) {
					next := nexts[name]
					t.Parallel()
					h := newHistory(t, false)
					h.killInLoan(point, stays)
					if point == "begin" {
						h.sent["analytics_cpuv "+y.Format(time.RFC3339)]-- // it came after the last commit
					}
					h.run(next...)
					h.push()
					h.add(len(next)-1, y, 1)
					if stays {
						h.addField(0, "w", y)
					}
					h.check(0)
				})
			}
		}
	}
}

// The run that notes the loan in the lender can be killed too.
func TestAFieldThatMovesCountsOnceIfTheNextRunIsKilledToo(t *testing.T) {
	for name, next := range map[string][]func(*describe.Describe){
		"both blocks":  {block("a"), block("b")},
		"the lender":   {block("a")},
		"the borrower": {block("b")},
		"another one":  {block("c")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			h.killInLoan("borrower", true)
			for range 2 {
				h.run(next...)
				require.True(t, h.kill(0, "noted"))
			}
			h.run(next...)
			h.push()
			h.add(len(next)-1, y, 1)
			h.addField(0, "w", y)
			h.check(0)
		})
	}
}

// warnings returns what the blocks of the run have logged as warnings.
func (h *history) warnings() string {
	var all []string
	for _, o := range h.blocks {
		all = append(all, o.log.Warnings()...)
	}
	return strings.Join(all, "\n")
}

// damage flips a bit in each file of that name in the folders of states.
func (h *history) damage(name string) {
	h.t.Helper()
	all, err := filepath.Glob(filepath.Join(h.folder, "*", name))
	require.NoError(h.t, err)
	require.NotEmpty(h.t, all)
	for _, path := range all {
		text, err := os.ReadFile(path)
		require.NoError(h.t, err)
		text[len(text)-3] ^= 1
		require.NoError(h.t, os.WriteFile(path, text, 0o600))
	}
}

// The loan names the lender by its id.
func TestAFieldThatMovesCountsOnceThoughTheIDsAreDamagedAfterAKill(t *testing.T) {
	for name, next := range map[string][]func(*describe.Describe){
		"both blocks":              {block("a"), block("b")},
		"the lender":               {block("a")},
		"the borrower":             {block("b")},
		"another one and the last": {block("c"), block("b")},
	} {
		for _, point := range commitPoints[1:] {
			t.Run(fmt.Sprint(name, ",killed=", point), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, false)
				h.killInLoan(point, true)
				h.damage("id")
				h.run(next...)
				h.push()
				require.Contains(t, h.warnings(), `the file "id" is damaged`)
				h.add(len(next)-1, y, 1)
				h.addField(0, "w", y)
				h.check(0)
			})
		}
	}
}

func TestTheBucketsOfARemovedBlockCountOnceThoughItsHeirIsDamaged(t *testing.T) {
	for name, next := range map[string][]func(*describe.Describe){
		"the one that has taken over": {block("a")},
		"both":                        {block("a"), block("b")},
		"another one":                 {block("c")},
		"another one and the removed": {block("c"), block("b")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			h.removeBlock()
			h.damage("heir")
			h.run(next...)
			require.Contains(t, h.warnings(), `the file "heir" is damaged`)
			h.push()
			h.add(0, y, 1)
			h.add(0, x, 1)
			h.check(0)
			h.checkNoOrphans()
		})
	}
}

// addField adds a value of a field to the bucket of the block that begins at start.
func (h *history) addField(block int, field string, start time.Time) {
	h.blocks[block].Add(point(nil, map[string]any{field: 1.0}, start))
	h.sent[fmt.Sprint(h.blocks[block].Prefix, "cpu", field, " ", start.Format(time.RFC3339))]++
}

// A field can come back before the run ends that has noted the loan.
func TestAFieldThatMovesThereAndBackCountsOnce(t *testing.T) {
	for _, point := range commitPoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			both := []func(*describe.Describe){block("a"), block("b")}
			h.run(both...)
			h.add(0, y, 4)
			h.addField(0, "w", y)
			h.push()
			h.run(both...)
			h.add(1, y, 1)
			require.True(t, h.kill(1, point))
			if point == "begin" {
				h.sent["analytics_cpuv "+y.Format(time.RFC3339)]--
			}
			h.run(both...)
			h.add(0, y, 1)
			h.push()
			h.crash = true
			for i := range 3 {
				h.run(both...)
				h.add(i%2, y, 1)
				h.addField(1-i%2, "w", y)
				h.push()
			}
			h.check(0)
		})
	}
}

// A late value of a field comes to another block, and one of another field to the block that has the final bucket. A kill loses the bucket
// of the other block, while the first one saves its bucket without the field that has moved.
func TestAFieldOfAFinalBucketThatMovesCountsOnceIfTheProcessIsKilled(t *testing.T) {
	nexts := map[string][]func(*describe.Describe){
		"both blocks":                     {block("a"), block("b")},
		"both blocks, in the other order": {block("b"), block("a")},
		"the former block":                {block("a")},
		"the other block":                 {block("b")},
		"another block":                   {block("c")},
	}
	for name, next := range nexts {
		for _, saved := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ",saved=", saved), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, false)
				both := []func(*describe.Describe){block("a"), block("b")}
				h.run(both...)
				h.addField(1, "v", x.Add(5*time.Hour))
				h.addField(0, "v", x)
				h.addField(0, "u", x)
				h.linger()
				h.run(both...)
				h.addField(1, "u", x)
				h.addField(0, "w", x)
				if h.pushOthers(1); saved {
					h.push()
				} else {
					h.sent["analytics_cpuu "+x.Format(time.RFC3339)]-- // it came after the last commit of its block
				}
				h.crash = true
				for i := range 3 {
					h.run(next...)
					h.linger()
					h.addField(i%len(next), "u", x)
					h.addField((i+1)%len(next), "v", x)
					h.push()
				}
				h.check(0)
			})
		}
	}
}

// The block that has the final bucket has opened it for another field. Then a kill loses the field that had moved, and it comes back.
func TestAFieldOfAnOpenRevisionThatMovedAndWasLostIsLookedForWhenItComesBack(t *testing.T) {
	t.Parallel()
	h := newHistory(t, false)
	both := []func(*describe.Describe){block("a"), block("b")}
	h.run(both...)
	h.addField(0, "u", x)
	h.linger()
	h.run(both...)
	h.addField(1, "u", x)
	h.addField(0, "v", x)
	h.pushOthers(1)
	h.sent["analytics_cpuu "+x.Format(time.RFC3339)]-- // it came after the last commit of its block
	h.crash = true
	h.run(both...)
	h.addField(0, "u", x.Add(time.Hour)) // the series has both fields
	h.addField(0, "v", x)
	h.addField(0, "u", x)
	h.check(0)
}

// The state of a removed block may still be there when the next run begins, and the values of its open buckets are in the
// state of the other block too.
func TestTheBucketsOfARemovedBlockCountOnceWhateverBlocksTheNextRunHas(t *testing.T) {
	nexts := map[string][]func(*describe.Describe){
		"the one that has taken over": {block("a")},
		"the removed one":             {block("b")},
		"both":                        {block("a"), block("b")},
		"both, the removed one first": {block("b"), block("a")},
		"another one":                 {block("c")},
		"another one and the removed": {block("c"), block("b")},
	}
	number := -1
	for _, name := range slices.Sorted(maps.Keys(nexts)) {
		for _, third := range []bool{false, true} {
			for _, crashAgain := range []bool{false, true} {
				if number++; !sampled(number) {
					continue
				}
				t.Run(fmt.Sprint(name, ",third=", third, ",again=", crashAgain), func(t *testing.T) {
					t.Parallel()
					next := nexts[name]
					h := newHistory(t, false)
					if third { // the other block has a state of its own
						h.run(block("c"))
						h.add(0, x.Add(6*time.Hour), 1)
						h.linger()
						h.beside = []func(*describe.Describe){block("c")}
					}
					h.removeBlock()
					h.run(next...)
					if crashAgain {
						h.crashInJoin(0)
						h.run(next...)
					}
					h.push()
					h.add(0, y, 1)
					h.add(0, x, 1)
					h.check(0)
					h.checkNoOrphans()
				})
			}
		}
	}
}

// Each run is killed after its blocks have taken over the buckets of the run before. A block that comes back begins with an empty state, and
// must not be taken for the one that had taken over buckets before.
func TestTheBucketsOfARemovedBlockCountOnceThoughItsHeirIsRemovedAndComesBack(t *testing.T) {
	for _, last := range []string{"a", "b"} {
		for _, crashAgain := range []bool{false, true} {
			t.Run(fmt.Sprint("last=", last, ",again=", crashAgain), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, false)
				h.run(block("c")) // has a state of its own
				h.add(0, x.Add(6*time.Hour), 1)
				h.linger()
				h.beside = []func(*describe.Describe){block("c")}
				h.removeBlock() // its heir is a
				h.run(block("c"))
				h.crashInJoin(0)
				h.run(block(last))
				if crashAgain {
					h.crashInJoin(0)
					h.run(block(last))
				}
				h.push()
				h.add(0, y, 1)
				h.add(0, x, 1)
				h.check(0)
				h.checkNoOrphans()
			})
		}
	}
}

// Two blocks of the next run take over one state each. The second state is more like the first one than like its heir.
func TestEachRemovedBlockHasAnHeirAlthoughItIsMoreLikeAnotherRemovedBlock(t *testing.T) {
	with := func(alias, booleans, timezone, origin string) func(*describe.Describe) {
		return func(d *describe.Describe) {
			d.Alias, d.Booleans, d.Timezone, d.Origin = alias, booleans, timezone, origin
		}
	}
	const former, now = "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z"
	for _, zones := range [][]string{{"UTC", "Europe/Berlin"}, {"Europe/Berlin", "UTC"}} { // in one case, the first block looks first
		t.Run(zones[0], func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			kept := []func(*describe.Describe){with("a", "number", zones[0], now), with("b", "number", zones[1], now)}
			h.run(append(kept, with("c", "ignore", zones[0], former), with("d", "ignore", zones[1], former))...)
			for i := range h.blocks {
				h.addField(i, fmt.Sprint("f", i), x)
			}
			h.linger()
			h.run(kept...)
			h.addField(0, "f3", x)
			h.addField(1, "f2", x)
			h.check(0)
			h.checkNoOrphans()
		})
	}
}

// Two states that each note the other one as the store that joins them are damaged, as by a copy of one folder. A block must still start.
func TestStatesThatJoinEachOtherDoNotStopABlock(t *testing.T) {
	t.Parallel()
	h := newHistory(t, false)
	h.run(block("a"), block("b"))
	h.add(0, y, 1)
	h.add(1, y.Add(time.Hour), 1)
	h.push()
	folders := []string{h.blocks[0].Store().Folder(), h.blocks[1].Store().Folder()}
	h.end()
	for i, folder := range folders {
		heir := fmt.Sprint(filepath.Base(folders[1-i]), "\n", filepath.Base(folder), "@", i, "\n")
		require.NoError(t, os.WriteFile(filepath.Join(folder, "heir"), []byte(heir), 0o600))
	}
	h.run(block("c"))
	h.check(0)
	h.checkNoOrphans()
}

// A final bucket of a removed block has one field. Then the block comes back, and the first value of another field comes to the block that
// has taken over.
func TestAFieldIsNotLateBecauseABlockWithAnotherFieldWasRemoved(t *testing.T) {
	for _, crash := range []bool{false, true} { // before the state of the removed block is set aside
		for _, corrected := range []bool{false, true} {
			t.Run(fmt.Sprint("crash=", crash, ",corrected=", corrected), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, false)
				both := []func(*describe.Describe){block("a"), block("b")}
				h.run(both...)
				h.add(0, x, 3)
				h.add(1, x.Add(5*time.Hour), 1)
				h.linger()
				if h.run(block("b")); crash {
					h.crashInJoin(0)
				} else {
					h.push()
				}
				if h.run(both...); corrected {
					h.add(0, x, 1)
					h.linger()
				}
				h.addField(1, "u", x)
				h.check(0)
			})
		}
	}
}

// The first Push can come later after the start than state_replay, and the process can be killed in it.
func TestTheRowsOfARemovedBlockLeaveAlthoughTheProcessIsKilledInTheFirstPush(t *testing.T) {
	short := func(alias string) func(*describe.Describe) {
		return func(d *describe.Describe) { d.Alias, d.StateReplay = alias, config.Duration(time.Minute) }
	}
	for name, next := range map[string][]func(*describe.Describe){
		"the one that has taken over": {short("a")},
		"both":                        {short("a"), short("b")},
		"another one":                 {short("c")},
	} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ",crash=", crash), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, crash)
				h.run(short("a"), short("b"))
				h.add(0, x.Add(5*time.Hour), 1)
				h.add(1, y, 4)
				h.push()
				h.run(short("a"))
				for range 2 {
					h.blocks[0].look()
					h.at = h.at.Add(20 * time.Minute)
					h.blocks[0].clock.set(h.at)
					require.True(t, h.kill(0, "borrower"))
					h.run(next...)
				}
				h.check(0)
			})
		}
	}
}

// With emit = "update", an open bucket has no final row, and perhaps gets no other value.
func TestAnUpdatedRowLeavesAlthoughTheProcessIsKilledInTheFirstPushAfterBucketsWereJoined(t *testing.T) {
	t.Parallel()
	update := func(alias string) func(*describe.Describe) {
		return func(d *describe.Describe) {
			d.Alias, d.Emit, d.StateReplay = alias, "update", config.Duration(time.Minute)
		}
	}
	h := newHistory(t, false)
	h.run(update("a"), update("b"))
	h.addField(0, "w", y)
	h.add(1, y, 4)
	h.pushOthers(1)
	require.True(t, h.kill(1, "settled"))
	h.run(update("a"))
	h.blocks[0].look()
	h.at = h.at.Add(20 * time.Minute)
	h.blocks[0].clock.set(h.at)
	require.True(t, h.kill(0, "borrower"))
	h.run(update("a"))
	h.push()
	require.Equal(t, int64(4), h.counts["analytics_cpuv "+y.Format(time.RFC3339)])
}

// The buckets of the removed block are in the state of the other one already, which has another grid now. The former grid comes back, so that
// late values come for them.
func TestTheBucketsOfARemovedBlockCountOnceIfTheGridChangesAfterACrash(t *testing.T) {
	tenMinutes := func(d *describe.Describe) { d.Alias, d.Bucket = "a", "10m" }
	for _, crashAgain := range []bool{false, true} {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprint("again=", crashAgain, ",back=", back), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, false)
				h.removeBlock()
				h.run(tenMinutes)
				if crashAgain {
					h.crashInJoin(0)
					h.run(tenMinutes)
				}
				h.push()
				h.add(0, x.Add(10*time.Minute), 1)
				h.linger()
				if back {
					h.run(block("a"))
					h.add(0, y, 1)
					h.add(0, x, 1)
				}
				h.check(0)
				h.checkNoOrphans()
			})
		}
	}
}

// removeBlock removes the block "b", and ends the run when its buckets have been taken over.
func (h *history) removeBlock() {
	h.t.Helper()
	h.run(append([]func(*describe.Describe){block("a"), block("b")}, h.beside...)...)
	h.add(0, x.Add(5*time.Hour), 1)
	h.add(1, x, 3)
	h.linger()
	h.add(0, y.Add(time.Hour), 2)
	h.add(1, y.Add(time.Hour), 4)
	h.add(1, y, 4)
	for _, o := range h.blocks {
		o.push() // not read, because each block has a part of the last bucket
	}
	h.run(append([]func(*describe.Describe){block("a")}, h.beside...)...)
	h.crashInJoin(0)
}

// checkNoOrphans ends the run and checks that it has left no state that waits for a block.
func (h *history) checkNoOrphans() {
	h.t.Helper()
	orphans, _, err := state.Orphans(h.folder, "me", func(map[string]string) state.Relation { return state.SameBuckets }, h.at)
	require.NoError(h.t, err)
	require.Empty(h.t, orphans)
	h.end()
	markers, err := filepath.Glob(filepath.Join(h.folder, "describe-"+strings.Repeat("?", 16), "heir"))
	require.NoError(h.t, err)
	require.Empty(h.t, markers)
}

// heldBy makes a store seem to be of another process.
func heldBy(t *testing.T, o open, process string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(o.Store().Folder(), "lock"), []byte(process), 0o600))
	o.Leave()
}

// The open buckets of a Telegraf that runs, or may run again, are its own. Until they join, the rows of the new one lack their
// values.
func TestTheOpenBucketsOfAnotherTelegrafJoinWhenItHasEnded(t *testing.T) {
	const first, second = "1\nanother host\n2\n", "2\nanother host\n3\n"
	for _, test := range []struct {
		name, owner string
		runs        bool   // whether the new one starts before the old one has ended
		beside      string // the process of a third one with the same folder
		wait        time.Duration
	}{
		{"another container with the same arguments", "me", true, "", time.Hour},
		{"other arguments", "another", false, second, 25 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder, at := t.TempDir(), time.Now()
			start := func(alias, owner string) open {
				return stated(t, folder, at, func(d *describe.Describe) { d.Alias = alias; d.SetOwner(owner) })
			}
			old := start("a", "me")
			old.values(y, 1.0, 2.0, 3.0)
			old.push()
			if !test.runs {
				require.NoError(t, old.Close())
			}
			heldBy(t, old, first)
			if test.beside != "" {
				third := start("c", "a third one")
				require.NoError(t, third.Close())
				heldBy(t, third, test.beside)
			}
			o := start("b", test.owner)
			o.values(y, 4.0)
			require.Equal(t, []string{"open r0 n1"}, counts(o.push()))
			o.clock.set(at.Add(10 * time.Minute))
			require.Equal(t, []string{"final r0 n1"}, counts(o.push()))
			require.NoError(t, old.Close())
			o.clock.set(at.Add(test.wait))
			require.Equal(t, []string{"open r1 n4"}, counts(o.push()))
		})
	}
}

// A service whose file has other arguments and whose block has another alias is the same Telegraf.
func TestTheOpenBucketsOfAnEarlierRunWithOtherArgumentsContinue(t *testing.T) {
	const before, another = "1\nhost\n2\n", "2\nhost\n3\n"
	for _, test := range []struct {
		name   string
		kept   bool   // whether another block keeps its alias
		beside string // the process that had a third store last
		want   []string
	}{
		{"all blocks", false, "", []string{"open r0 n4"}},
		{"one of two blocks", true, "", []string{"open r0 n4"}},
		{"one of two blocks, beside another Telegraf", true, another, []string{"open r0 n4"}},
		{"all blocks, beside another Telegraf", false, another, []string{"open r0 n1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder, at := t.TempDir(), time.Now()
			start := func(alias, owner string) open {
				return stated(t, folder, at, func(d *describe.Describe) { d.Alias = alias; d.SetOwner(owner) })
			}
			stop := func(o open, process string) {
				require.NoError(t, o.Close())
				heldBy(t, o, process)
			}
			old := start("a", "me")
			old.values(y, 1.0, 2.0, 3.0)
			old.push()
			if test.kept {
				stop(start("k", "me"), before)
			}
			if test.beside != "" {
				stop(start("c", "a third one"), test.beside)
			}
			stop(old, before)
			if test.kept {
				start("k", "changed")
			}
			o := start("b", "changed")
			o.values(y, 4.0)
			require.Equal(t, test.want, counts(o.push()))
		})
	}
}

// Each field of a series belongs to one block at a time, and everything else is random: blocks, options, fields, filters, arguments,
// crashes and times.
func TestRandomChangesOfOptionsKeepOneVersionOfARevision(t *testing.T) {
	for seed := range randomSeeds(t) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			h := newHistory(t, false)
			for range 6 {
				h.crash = r.IntN(2) == 0
				owners, end := h.randomRun(r), r.IntN(8)
				if end > 5 {
					h.push() // the rows of the last run, so that the last Push has one commit
				}
				for range r.IntN(18) {
					h.randomStep(r, owners)
				}
				switch end {
				case 0, 1:
					h.crashEverywhere()
				case 6, 7: // values are lost before the first commit only
					last := r.IntN(len(h.blocks))
					h.pushOthers(last)
					h.kill(last, commitPoints[1+r.IntN(len(commitPoints)-1)])
				default:
					h.push()
				}
			}
			h.randomRun(r)
			h.check(0)
		})
	}
}

// randomSeeds returns how many histories a random test has. The variable SEEDS sets the number.
func randomSeeds(t *testing.T) uint64 {
	t.Helper()
	if n, err := strconv.ParseUint(os.Getenv("SEEDS"), 10, 64); err == nil {
		return n
	}
	if testing.Short() {
		return 2
	}
	return 24
}

// randomFields are the fields of the series in the random test.
var randomFields = []string{"v", "w", "x"}

// owners are the blocks of the fields of each series, in the order of randomFields.
type owners [4][3]int

// randomRun starts a run with some blocks, and returns the block of each field of each series.
func (h *history) randomRun(r *rand.Rand) (of owners) {
	h.t.Helper()
	prefix, owner := []string{"p_", "p_", "q_"}[r.IntN(3)], []string{"me", "me", "me", "other arguments"}[r.IntN(4)]
	h.owner = owner
	var blocks []func(*describe.Describe)
	for _, alias := range r.Perm(3)[:1+r.IntN(3)] {
		blocks = append(blocks, func(d *describe.Describe) { d.Alias, d.Prefix = strconv.Itoa(alias), prefix; d.SetOwner(owner) })
	}
	h.run(blocks...)
	for series := range of {
		whole, all := r.IntN(2) == 0, r.IntN(len(blocks))
		for field := range of[series] {
			if of[series][field] = all; !whole {
				of[series][field] = r.IntN(len(blocks))
			}
		}
	}
	return of
}

// randomStep adds values, pushes, or lets time pass.
func (h *history) randomStep(r *rand.Rand, of owners) {
	h.t.Helper()
	switch r.IntN(4) {
	case 0:
		h.push()
	case 1:
		h.at = h.at.Add(time.Duration(r.IntN(14)-3) * time.Minute) // the clock may be set back
		h.push()
	default:
		series, start := r.IntN(len(of)), bucketStart.Add(time.Duration(r.IntN(3))*time.Hour)
		tag := strconv.Itoa(series)
		for block, o := range h.blocks {
			values := map[string]any{}
			for i, field := range randomFields {
				if of[series][i] == block && r.IntN(2) == 0 {
					values[field] = float64(r.IntN(100))
					h.sent[fmt.Sprint(o.Prefix, "cpu", field, tag, " ", start.Format(time.RFC3339))]++
				}
			}
			if len(values) > 0 {
				o.Add(point(map[string]string{"host": tag}, values, start.Add(time.Minute)))
			}
		}
	}
}

// crashEverywhere ends the run after the first rows of all blocks have left, before any state is set aside.
func (h *history) crashEverywhere() {
	h.t.Helper()
	for _, o := range h.blocks {
		rows, _ := o.pushKilled(h.t, "")
		h.read(rows)
	}
	h.crash = true
	h.end()
}

// One goroutine adds the metrics of all blocks, as in Telegraf, while each block pushes in the background.
func TestBucketsAreLentWhileBothBlocksPush(t *testing.T) {
	const hosts = 300
	h := newHistory(t, false)
	addAll := func(o open) {
		for host := range hosts {
			o.Add(point(map[string]string{"host": strconv.Itoa(host)}, map[string]any{"v": 1.0}, y))
		}
	}
	h.run(block("a"))
	addAll(h.blocks[0])
	h.push()
	beside := func(d *describe.Describe) { d.SetHost(describe.Host{Background: true, Closes: true}) }
	h.run(func(d *describe.Describe) { d.Alias = "a"; beside(d) }, func(d *describe.Describe) { d.Alias = "b"; beside(d) })
	for range 5 {
		for _, o := range h.blocks {
			o.Push(&plugintest.Accumulator{})
		}
		addAll(h.blocks[1])
	}
	for _, o := range h.blocks {
		o.Stop()
	}
	h.blocks[0].push()
	rows := h.blocks[1].push()
	h.read(rows)
	for _, row := range rows { // those that have not left in the background
		require.Equal(t, int64(6), row.Fields()["count"])
	}
	h.linger()
	for bucket, n := range h.counts {
		require.Equal(t, int64(6), n, bucket)
	}
	require.Len(t, h.final, hosts)
}

// Filters change, so a field comes to another block. Later that block is removed while it has a bucket open. The block that takes it over
// had the field in other buckets of the series, and has removed all its buckets since.
func TestAnOpenBucketOfARemovedBlockBecomesFinalThoughItsHeirHadTheFieldInOtherBuckets(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for _, removed := range []time.Time{y, y.Add(time.Hour)} { // the bucket with the field is before the open one, or after it
			t.Run(fmt.Sprint("crash=", crash, ",removed=", removed.Hour()), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, crash)
				h.edit = func(d *describe.Describe) { d.StateRetention = config.Duration(time.Hour) }
				both := []func(*describe.Describe){block("a"), block("b")}
				h.run(both...)
				h.addField(0, "u", removed)
				h.addField(0, "v", removed)
				h.addField(1, "v", y.Add(5*time.Hour)) // the other block has a state of its own
				h.linger()
				h.run(both...)
				for _, start := range []time.Time{y, y.Add(time.Hour)} {
					if start != removed {
						h.addField(0, "u", start)
						h.add(1, start, 3)
					}
				}
				h.push()
				h.expire(0, 2)
				h.run(block("a"))
				h.check(0)
				require.Contains(t, strings.Join(h.blocks[0].log.Warnings(), "\n"), "1 are final now, 0 continue in this block, and 0 were expired")
			})
		}
	}
}

// expire lets the time pass until a block has removed n final buckets. It pushes only that block.
func (h *history) expire(block, n int) {
	h.t.Helper()
	o := h.blocks[block]
	for range 12 {
		h.at = h.at.Add(10 * time.Minute)
		o.clock.set(h.at)
		h.read(o.push())
	}
	require.Eventually(h.t, func() bool { return o.Store().Stats().Expired == int64(n) }, 2*time.Minute, time.Millisecond)
}

// A bucket is open for a correction that takes longer than its earlier revision is kept. A metric then has a field that no block had, and one of
// which another block has the values.
func TestAFieldOfAnotherBlockContinuesThoughTheBucketWasRemovedMeanwhile(t *testing.T) {
	for _, test := range []struct {
		final, restart bool // whether the bucket of the other block is final, and whether Telegraf starts again before the metric
	}{{true, false}, {true, true}, {false, true}} {
		t.Run(fmt.Sprintf("%+v", test), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, false)
			h.edit = func(d *describe.Describe) { d.StateRetention = config.Duration(time.Hour) }
			both := []func(*describe.Describe){block("a"), block("b")}
			h.run(both...)
			h.addField(0, "u", y)
			h.linger()
			h.addField(1, "w", y)
			if h.push(); test.final {
				h.linger()
			}
			o := h.blocks[0]
			for range 20 {
				h.at = h.at.Add(9 * time.Minute)
				h.addField(0, "u", y)
				o.clock.set(h.at)
				h.read(o.push())
			}
			require.Eventually(t, func() bool { return o.Store().Stats().Expired == 1 }, 2*time.Minute, time.Millisecond)
			if test.restart {
				h.run(both...)
			}
			h.blocks[0].Add(point(nil, map[string]any{"v": 1.0, "w": 1.0}, y))
			for _, field := range []string{"v", "w"} {
				h.sent[fmt.Sprint("analytics_cpu", field, " ", y.Format(time.RFC3339))]++
			}
			h.check(0)
		})
	}
}
