package describe_test

import (
	"fmt"
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

	"github.com/telegraf-describe/telegraf-describe/internal/golden"
	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	"github.com/telegraf-describe/telegraf-describe/plugins/plugintest"
)

// stated returns an aggregator with its state in the folder and its clock at the given time.
func stated(t *testing.T, folder string, at time.Time, edit func(*describe.Describe)) open {
	t.Helper()
	c, emitted := newClock(at), new(func())
	o := describer(t, func(d *describe.Describe) {
		d.Bucket, d.Emit, d.State = "1h", "both", folder
		d.SetClock(c.now)
		d.SetHost(describe.Host{Bounded: true, Closes: true, Emitted: func(int) {
			if *emitted != nil {
				(*emitted)()
			}
		}})
		if edit != nil {
			edit(d)
		}
	})
	o.clock, o.emitted = c, emitted
	t.Cleanup(func() { _ = o.Close() })
	return o
}

// look adds a metric without numbers. The first metric makes a block look for the state of others.
func (o open) look() { o.Add(point(nil, map[string]any{"text": "x"}, time.Time{})) }

// killed is what a kill panics with.
type killed struct{}

// pushKilled pushes, and kills the process at a point of the order of commits, or else when the rows have left, before the Push has
// returned. It returns the rows, and whether the Push has come to the point. The blocks beside it may come to the point too, as each of them
// can be the one that takes over what the last run has left.
func (o open) pushKilled(t *testing.T, point string, beside ...open) (rows []telegraf.Metric, reached bool) {
	t.Helper()
	kill := func(at string) {
		if at == point {
			reached = true
			panic(killed{})
		}
	}
	o.SetAtCommit(kill)
	for _, b := range beside {
		b.SetAtCommit(kill)
	}
	*o.emitted = func() { panic(killed{}) }
	var acc plugintest.Accumulator
	require.PanicsWithValue(t, killed{}, func() { o.Push(&acc) })
	require.Zero(t, o.Store().Stats().Errors)
	return acc.Metrics(), reached
}

// texts returns rows as texts, without the nanoseconds of revisions.
func texts(ms []telegraf.Metric) (all []string) {
	for _, m := range ms {
		text := []string{m.Name(), fmt.Sprint(m.Tags()), strconv.FormatInt(m.Time().UnixNano(), 10)}
		for _, f := range m.FieldList() {
			text = append(text, fmt.Sprintf("%s=%v", f.Key, f.Value))
		}
		all = append(all, strings.Join(text, " "))
	}
	slices.Sort(all)
	return all
}

func TestOpenBucketsContinueAfterARestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash=", crash), func(t *testing.T) {
			folder := t.TempDir()
			a := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
			a.values(bucketStart, 1.0, 2.0)
			before := a.push()
			if crash {
				a.Abandon()
			} else {
				require.NoError(t, a.Close())
			}
			b := stated(t, folder, a.clock.now(), nil)
			again := b.push()
			if crash {
				require.Equal(t, texts(before), texts(again), "what may not have arrived leaves again")
			} else {
				require.Empty(t, again)
			}
			b.values(bucketStart.Add(time.Minute), 6.0)
			require.Equal(t, int64(3), fields(t, b.push())["count"])
			b.clock.set(b.clock.now().Add(10 * time.Minute))
			final := b.push()
			require.Equal(t, []string{"final"}, states(final))
			require.Equal(t, []any{int64(3), int64(0)}, []any{final[0].Fields()["count"], final[0].Fields()["revision"]})
		})
	}
}

func TestALateValueCorrectsAFinalBucketAsARevision(t *testing.T) {
	folder := t.TempDir()
	o := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
	o.values(bucketStart, 1.0, 2.0)
	o.push()
	for revision := range int64(4) {
		o.clock.set(o.clock.now().Add(10 * time.Minute))
		row := o.push()
		require.Len(t, row, 1)
		require.Equal(t, []any{"final", revision, 2 + revision}, []any{row[0].Tags()["bucket_state"], row[0].Fields()["revision"], row[0].Fields()["count"]})
		require.Equal(t, bucketStart.UnixNano()+revision, row[0].Time().UnixNano(), "each version is a point of its own")
		o.push()
		if revision%2 == 1 { // a restart in between changes nothing
			require.NoError(t, o.Close())
			o = stated(t, folder, o.clock.now(), nil)
		}
		o.values(bucketStart.Add(time.Minute), 10.0)
		open := o.push()
		require.Equal(t, []any{"open", 3 + revision}, []any{open[0].Tags()["bucket_state"], open[0].Fields()["count"]})
	}
	require.Positive(t, o.stat("buckets_revised"))
	require.Positive(t, o.stat("state_bytes"))
	require.Zero(t, o.stat("values_late"))
}

// A row of the late value alone would be a second point with the same time in InfluxDB 3, and replace the right one in Redis.
func TestAValueForAnExpiredBucketIsCountedAsLate(t *testing.T) {
	folder := t.TempDir()
	short := func(d *describe.Describe) { d.StateRetention = config.Duration(time.Hour) }
	o := stated(t, folder, time.Unix(1_800_000_000, 0), short)
	o.values(bucketStart, 1.0, 2.0)
	o.push()
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	require.Equal(t, []string{"final"}, states(o.push()))
	require.Eventually(t, func() bool { return o.Store().Stats().Pending == 0 }, 2*time.Minute, time.Millisecond)
	o.clock.set(o.clock.now().Add(2 * time.Hour))
	o.push()
	o.push() // the store removes the bucket in the background, as its rows have left before the Push before this one
	require.Eventually(t, func() bool { return o.Store().Stats().Expired == 1 }, 2*time.Minute, time.Millisecond)
	for _, restart := range []bool{false, true} {
		if restart {
			require.NoError(t, o.Close())
			o = stated(t, folder, o.clock.now(), short)
		}
		o.values(bucketStart.Add(time.Minute), 10.0, 11.0)
		require.Empty(t, o.push())
		require.Equal(t, int64(2), o.stat("values_late"))
		require.Zero(t, o.stat("state_errors"))
	}
	o.values(bucketStart.Add(-30*24*time.Hour), 5.0)
	require.Equal(t, []string{"open"}, states(o.push()), "history that was never there may come after newer buckets have expired")
}

func TestFinalRowsAreEmittedAgainAfterACrash(t *testing.T) {
	folder := t.TempDir()
	o := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
	o.values(bucketStart, 1.0, 0.1, 0.7)
	o.push()
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	final := o.push()
	o.Abandon()
	again := stated(t, folder, o.clock.now(), nil)
	require.Equal(t, texts(final), texts(again.push()), "equal to the last bit")
	require.Empty(t, again.push())
	require.NoError(t, again.Close())
	require.Empty(t, stated(t, folder, o.clock.now(), nil).push(), "the last end was clean")
}

func TestChangedOptionsMakeOpenBucketsFinal(t *testing.T) {
	folder := t.TempDir()
	o := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
	o.values(bucketStart, 1.0, 2.0)
	o.push()
	require.NoError(t, o.Close())

	changed := stated(t, folder, o.clock.now(), func(d *describe.Describe) { d.Prefix = "hourly_" })
	changed.values(bucketStart, 5.0)
	rows := changed.push()
	require.Equal(t, []string{"analytics_cpu final 2", "hourly_cpu open 1"}, func() (all []string) {
		for _, m := range rows {
			all = append(all, fmt.Sprint(m.Name(), " ", m.Tags()["bucket_state"], " ", m.Fields()["count"]))
		}
		return all
	}())
	require.Contains(t, strings.Join(changed.log.Warnings(), "\n"), "1 are final now, 0 continue")
	retired, err := filepath.Glob(filepath.Join(folder, "*retired*"))
	require.NoError(t, err)
	require.Len(t, retired, 1, "set aside, not deleted")
}

// The rows that left shortly before a crash leave again, also if the options have changed since.
func TestFinalRowsOfChangedOptionsLeaveAgainAfterACrash(t *testing.T) {
	folder := t.TempDir()
	o := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
	o.values(bucketStart, 1.0, 2.0)
	o.push()
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	final := o.push()
	require.Equal(t, []string{"final"}, states(final))
	o.Abandon()
	changed := stated(t, folder, o.clock.now(), func(d *describe.Describe) { d.Prefix = "hourly_" })
	require.Equal(t, texts(final), texts(changed.push()))
	require.Empty(t, changed.push())
}

func TestTheStateOfAnotherTelegrafIsLeftAlone(t *testing.T) {
	folder, at := t.TempDir(), time.Now() // as files of the store have the time of the system
	other := stated(t, folder, at, func(d *describe.Describe) { d.Prefix = "other_"; d.SetOwner("another") })
	other.values(bucketStart, 1.0)
	other.push()
	require.NoError(t, other.Close()) // it is about to come back
	heldBy(t, other, "1\nhost\n2\n")
	mine := stated(t, folder, at, nil)
	require.Empty(t, mine.push())
	mine.clock.set(at.Add(2 * time.Hour))
	require.Empty(t, mine.push())
	mine.clock.set(at.Add(25 * time.Hour))
	require.Equal(t, []string{"final"}, states(mine.push()), "it does not come back")
}

// A Telegraf that is not telegraf-describe makes new instances at a reload and never closes the old ones.
func TestAReloadWithoutAHostTakesTheStateOver(t *testing.T) {
	folder, at := t.TempDir(), time.Unix(1_800_000_000, 0)
	unhosted := func(edit func(*describe.Describe)) open {
		return stated(t, folder, at, func(d *describe.Describe) {
			d.SetHost(describe.Host{Bounded: true})
			if edit != nil {
				edit(d)
			}
		})
	}
	days := func(d *describe.Describe) { d.Bucket, d.Prefix = "1d", "days_" }
	hours1, days1 := unhosted(nil), unhosted(days)
	for _, o := range []open{hours1, days1} {
		o.values(bucketStart, 1.0, 2.0)
		require.Len(t, o.push(), 1)
	}
	hours2, days2 := unhosted(nil), unhosted(days)
	for _, o := range []open{hours2, days2} {
		require.Empty(t, o.push(), "the old instance ended cleanly")
		o.values(bucketStart.Add(time.Minute), 6.0)
		require.Equal(t, int64(3), fields(t, o.push())["count"])
	}
	hours3 := unhosted(nil) // the block of days is gone
	rows := hours3.push()
	require.Len(t, rows, 1)
	require.Equal(t, []string{"days_cpu", "final"}, []string{rows[0].Name(), rows[0].Tags()["bucket_state"]})

	second := newDescribe()
	second.Bucket, second.State, second.Log = "1h", folder, hours3.log
	third := newDescribe()
	third.Bucket, third.State, third.Log = "1h", folder, hours3.log
	require.NoError(t, second.Init())
	require.ErrorContains(t, third.Init(), "another 'alias'", "two blocks of one configuration")
	require.NoError(t, second.Close())
}

func TestTelegrafsStateFileEndsTheRunOfTheState(t *testing.T) {
	folder := t.TempDir()
	o := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
	o.values(bucketStart, 1.0)
	o.push()
	o.GetState()
	require.Empty(t, stated(t, folder, o.clock.now(), nil).push(), "the end was clean")
}

func TestTwoBlocksShareAFolderAndTwoEqualOnesDoNot(t *testing.T) {
	folder, at := t.TempDir(), time.Unix(1_800_000_000, 0)
	hours := stated(t, folder, at, nil)
	days := stated(t, folder, at, func(d *describe.Describe) { d.Bucket, d.Prefix = "1d", "days_" })
	for _, o := range []open{hours, days} {
		o.values(bucketStart, 1.0)
		require.Len(t, o.push(), 1)
	}
	second := newDescribe()
	second.Bucket, second.State, second.Log = "1h", folder, hours.log
	require.ErrorContains(t, second.Init(), "another 'alias'")
	second.Alias = "second"
	require.NoError(t, second.Init())
	require.NoError(t, second.Close())
}

func TestATestRunNeitherReadsNorWritesTheState(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "state")
	o := stated(t, folder, time.Unix(1_800_000_000, 0), func(d *describe.Describe) { d.SetHost(describe.Host{Test: true}) })
	o.values(bucketStart, 1.0)
	require.Len(t, o.push(), 1)
	require.NoFileExists(t, folder)
}

func TestAFolderThatCannotBeUsedIsAnErrorThatNamesTheOption(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	d := newDescribe()
	d.State, d.Log = file, describer(t, nil).log
	require.ErrorContains(t, d.Init(), fmt.Sprintf("invalid 'state' setting %q", file))
}

func TestWideBucketsWithoutAStateAreLoggedAsAWarning(t *testing.T) {
	warned := func(edit func(*describe.Describe)) bool {
		return strings.Contains(strings.Join(describer(t, edit).log.Warnings(), "\n"), "set state = ")
	}
	require.True(t, warned(func(d *describe.Describe) { d.Bucket = "1h"; d.SetHost(describe.Host{}) }))
	require.False(t, warned(func(d *describe.Describe) { d.Bucket = "1m"; d.SetHost(describe.Host{}) }))
	require.False(t, warned(func(d *describe.Describe) { d.Bucket = "1h"; d.SetHost(describe.Host{KeepsState: true}) }))
	require.False(t, warned(func(d *describe.Describe) { d.Bucket = "1h"; d.SetHost(describe.Host{Bounded: true}) }))
	require.False(t, warned(func(d *describe.Describe) { d.Bucket, d.State = "1h", t.TempDir(); d.SetHost(describe.Host{}) }))
}

// Values come in random order, with restarts in between. The newest row of each bucket is equal, to the last bit, to
// that of one run over sorted values.
func TestRestartsAndLateValuesChangeNothing(t *testing.T) {
	seeds := uint64(8)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 3))
		options := func(d *describe.Describe) {
			linger := config.Duration(time.Minute)
			d.Accuracy, d.Linger, d.Stats = "exact", &linger, []string{"count", "sum", "stddev", "mode", "median", "p95", "min", "max"}
		}
		var all []telegraf.Metric
		for i := range 600 {
			tags := map[string]string{"host": strconv.Itoa(r.IntN(3))}
			all = append(all, point(tags, map[string]any{"v": r.NormFloat64(), "w": float64(r.IntN(5))}, bucketStart.Add(time.Duration(i)*time.Minute)))
		}
		want := newest(nil, run(t, stated(t, t.TempDir(), time.Unix(1_800_000_000, 0), options), all))
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

		folder, got := t.TempDir(), make(map[string]string)
		o := stated(t, folder, time.Unix(1_800_000_000, 0), options)
		for len(all) > 0 {
			n := min(1+r.IntN(150), len(all))
			got = newest(got, run(t, o, all[:n]))
			all = all[n:]
			if r.IntN(2) == 0 {
				o.Abandon()
			} else {
				require.NoError(t, o.Close())
			}
			o = stated(t, folder, o.clock.now(), options)
		}
		got = newest(got, run(t, o, nil))
		require.Equal(t, want, got, "seed %d", seed)
	}
}

// run adds the metrics and returns all rows until the buckets are final.
func run(t *testing.T, o open, metrics []telegraf.Metric) (rows []telegraf.Metric) {
	t.Helper()
	for i, m := range metrics {
		o.Add(m)
		if i%(len(metrics)/5+1) == 0 {
			rows = append(rows, o.push()...)
		}
	}
	rows = append(rows, o.push()...)
	o.clock.set(o.clock.now().Add(2 * time.Minute))
	return append(rows, o.push()...)
}

// newest adds final rows to a map by bucket. A row replaces that of an older revision.
func newest(before map[string]string, rows []telegraf.Metric) map[string]string {
	if before == nil {
		before = make(map[string]string)
	}
	var key, content []byte
	for _, m := range rows {
		if state, _ := m.GetTag("bucket_state"); state != "final" {
			continue
		}
		key, content = append(key[:0], m.Name()...), content[:0]
		for _, tag := range m.TagList() {
			key = append(append(append(append(key, ' '), tag.Key...), '='), tag.Value...)
		}
		revision, _ := m.GetField("revision")
		for _, f := range m.FieldList() {
			if f.Key == "revision" {
				continue
			}
			switch v := f.Value.(type) {
			case int64:
				content = strconv.AppendInt(append(append(content, f.Key...), '='), v, 10)
			case float64: // the shortest text that only this number has
				content = strconv.AppendFloat(append(append(content, f.Key...), '='), v, 'g', -1, 64)
			default:
				content = fmt.Appendf(content, "%s=%v", f.Key, v)
			}
			content = append(content, ' ')
		}
		key = strconv.AppendInt(append(key, ' '), m.Time().UnixNano()-revision.(int64), 10)
		before[string(key)] = string(content)
	}
	return before
}

// The same holds for every public data set, in reverse and in random order, with a restart after each of several
// parts.
func TestGoldenDataInAnyOrderWithRestarts(t *testing.T) {
	options := func(d *describe.Describe) {
		linger := config.Duration(time.Minute)
		d.Bucket, d.Accuracy, d.Linger = "1d", "exact", &linger
	}
	for _, name := range golden.Names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sorted := parse(t, golden.Lines(t, name))
			slices.SortStableFunc(sorted, func(a, b telegraf.Metric) int { return a.Time().Compare(b.Time()) })
			want := newest(nil, run(t, stated(t, t.TempDir(), time.Unix(1_800_000_000, 0), options), sorted))
			require.NotEmpty(t, want)
			r := rand.New(rand.NewPCG(1, 1))
			for name, reorder := range map[string]func([]telegraf.Metric){
				"reverse": slices.Reverse[[]telegraf.Metric],
				"random":  func(ms []telegraf.Metric) { r.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] }) },
			} {
				all, folder, got := slices.Clone(sorted), t.TempDir(), make(map[string]string)
				reorder(all)
				at := time.Unix(1_800_000_000, 0)
				for i, part := range slices.Collect(slices.Chunk(all, len(all)/4+1)) {
					o := stated(t, folder, at, options)
					got = newest(got, run(t, o, part))
					if at = o.clock.now(); i%2 == 0 {
						o.Abandon()
					} else {
						require.NoError(t, o.Close())
					}
				}
				require.Equal(t, want, newest(got, run(t, stated(t, folder, at, options), nil)), name)
			}
		})
	}
}

func TestAnotherSpellingOfAnOptionIsNotAChange(t *testing.T) {
	spelled := func(edit func(*describe.Describe)) string {
		d := newDescribe()
		edit(d)
		return d.GetState().(describe.FileState).Identity
	}
	for _, same := range [][2]func(*describe.Describe){
		{func(d *describe.Describe) { d.Bucket = "60m" }, func(d *describe.Describe) { d.Bucket = "1h" }},
		{func(d *describe.Describe) { d.Bucket = "7d" }, func(d *describe.Describe) { d.Bucket = "1w" }},
		{func(d *describe.Describe) { d.Period = config.Duration(time.Minute) }, func(d *describe.Describe) { d.Bucket = "1m" }},
		{func(d *describe.Describe) { d.GroupBy = []string{"a", "b"} }, func(d *describe.Describe) { d.GroupBy = []string{"b", "a", "b"} }},
		{func(d *describe.Describe) { d.Origin = "2020-01-01T00:00:00Z" }, func(d *describe.Describe) { d.Origin = "2020-01-01T00:00:00.000Z" }},
	} {
		require.Equal(t, spelled(same[0]), spelled(same[1]))
	}
	require.NotEqual(t, spelled(func(d *describe.Describe) { d.Bucket = "1d" }), spelled(func(d *describe.Describe) { d.Bucket = "24h" }), "a day has 23 hours at times")
}
