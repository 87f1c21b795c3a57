package describe_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// optionChanges are changes of options that leave the bounds, the tables and the keys of buckets as they are.
var optionChanges = map[string]func(*describe.Describe){
	"alias":    func(d *describe.Describe) { d.Alias = "renamed" },
	"booleans": func(d *describe.Describe) { d.Booleans = "ignore" },
	"group_by": func(d *describe.Describe) { d.GroupBy = []string{"?*"} },
	"timezone": func(d *describe.Describe) { d.Timezone = "Asia/Kolkata" }, // hours are the same in all zones
}

// afterChanges runs a test with and without a crash before each change.
func afterChanges(t *testing.T, test func(t *testing.T, end func(open), change func(*describe.Describe))) {
	for name, change := range optionChanges {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ",crash=", crash), func(t *testing.T) {
				test(t, func(o open) {
					if crash {
						o.Abandon()
						return
					}
					require.NoError(t, o.Close())
				}, change)
			})
		}
	}
}

// counts returns the state, the revision and the count of each row.
func counts(rows []telegraf.Metric) (all []string) {
	for _, m := range rows {
		f := m.Fields()
		revision, _ := f["revision"].(int64) // an open row of a bucket that was not final before has none
		all = append(all, fmt.Sprint(m.Tags()["bucket_state"], " r", revision, " n", f["count"]))
	}
	return all
}

func TestAnOpenBucketContinuesWithChangedOptionsThatKeepIt(t *testing.T) {
	afterChanges(t, func(t *testing.T, end func(open), change func(*describe.Describe)) {
		folder := t.TempDir()
		before := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
		before.values(bucketStart, 1.0, 2.0)
		require.Equal(t, []string{"open r0 n2"}, counts(before.push()))
		end(before)
		after := stated(t, folder, before.clock.now(), change)
		after.values(bucketStart, 6.0)
		require.Equal(t, []string{"open r0 n3"}, counts(after.push()))
		after.clock.set(after.clock.now().Add(10 * time.Minute))
		require.Equal(t, []string{"final r0 n3"}, counts(after.push()))
		require.Contains(t, strings.Join(after.log.Warnings(), "\n"), "1 open buckets and its final ones continue")
	})
}

// A row of the late value alone would replace the right one in Redis, and be a second version of it in InfluxDB 3.
func TestALateValueCorrectsABucketThatWasFinalBeforeOptionsChanged(t *testing.T) {
	afterChanges(t, func(t *testing.T, end func(open), change func(*describe.Describe)) {
		for _, pushes := range []int{0, 1} {
			folder := t.TempDir()
			before := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
			before.values(bucketStart, 1.0, 2.0)
			before.push()
			before.clock.set(before.clock.now().Add(10 * time.Minute))
			final := before.push()
			require.Equal(t, []string{"final r0 n2"}, counts(final))
			end(before)
			after := stated(t, folder, before.clock.now(), change)
			var rows []telegraf.Metric
			for range pushes {
				rows = after.push()
			}
			after.values(bucketStart, 6.0)
			rows = append(rows, after.push()...)
			after.clock.set(after.clock.now().Add(10 * time.Minute))
			rows = append(rows, after.push()...)
			if rows[0].Tags()["bucket_state"] == "final" { // after a crash, the row leaves again
				require.Equal(t, texts(final), texts(rows[:1]))
				rows = rows[1:]
			}
			require.Equal(t, []string{"open r1 n3", "final r1 n3"}, counts(rows))
		}
	})
}

func TestEachOfTwoBlocksContinuesItsOwnStateWhenTheOptionsOfBothChange(t *testing.T) {
	folder, at := t.TempDir(), time.Unix(1_800_000_000, 0)
	block := func(alias, booleans string) open {
		return stated(t, folder, at, func(d *describe.Describe) { d.Alias, d.Booleans = alias, booleans })
	}
	a, b := block("a", "number"), block("b", "number")
	a.values(bucketStart, 1.0)
	b.values(bucketStart, 1.0, 2.0)
	a.push()
	b.push()
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	a, b = block("a", "ignore"), block("b", "ignore")
	require.Empty(t, b.push())
	require.Empty(t, a.push())
	a.values(bucketStart, 9.0)
	b.values(bucketStart, 9.0)
	require.Equal(t, []string{"open r0 n2"}, counts(a.push()))
	require.Equal(t, []string{"open r0 n3"}, counts(b.push()))
}

// removed returns a block with a final and an open bucket beside one that was removed, which had other final and open ones.
// The first Push of the block takes over the buckets of the removed one.
func withRemovedBlock(t *testing.T, folder string) open {
	t.Helper()
	at := time.Unix(1_800_000_000, 0)
	kept := stated(t, folder, at, nil)
	removed := stated(t, folder, at, func(d *describe.Describe) { d.Alias = "removed" })
	kept.values(bucketStart, 1.0)
	removed.values(bucketStart.Add(2*time.Hour), 1.0, 2.0)
	kept.push()
	removed.push()
	for _, o := range []open{kept, removed} {
		o.clock.set(at.Add(10 * time.Minute))
		require.Equal(t, []string{"final"}, states(o.push()))
	}
	kept.values(bucketStart.Add(time.Hour), 3.0)
	removed.values(bucketStart.Add(time.Hour), 4.0, 5.0)
	removed.values(bucketStart.Add(3*time.Hour), 6.0)
	kept.push()
	removed.push()
	require.NoError(t, removed.Close())
	require.NoError(t, kept.Close())
	return stated(t, folder, kept.clock.now(), nil)
}

func TestTheBucketsOfARemovedBlockAreJoined(t *testing.T) {
	o := withRemovedBlock(t, t.TempDir())
	require.Equal(t, []string{"final r0 n1", "open r0 n3"}, counts(o.push()))
	require.Contains(t, strings.Join(o.log.Warnings(), "\n"), `(changed: alias = "removed" → ""): of their open buckets`)
	require.Contains(t, strings.Join(o.log.Warnings(), "\n"), "1 are final now, 1 continue in this block, and 0 were expired")
	o.values(bucketStart.Add(2*time.Hour), 7.0) // final in the removed block
	require.Equal(t, []string{"open r1 n3"}, counts(o.push()))
	o.values(bucketStart, 8.0)
	o.values(bucketStart.Add(3*time.Hour), 8.0)
	require.Equal(t, []string{"open r1 n2", "open r1 n2"}, counts(o.push()), "late values correct the buckets of both")
	o.clock.set(o.clock.now().Add(10 * time.Minute))
	require.ElementsMatch(t, []string{"final r0 n3", "final r1 n2", "final r1 n2", "final r1 n3"}, counts(o.push()))
}

// Metrics are added while a Push in the background sets the folder aside.
func TestALateValueWaitsWhileTheStateOfARemovedBlockIsSetAside(t *testing.T) {
	o := withRemovedBlock(t, t.TempDir())
	added := make(chan struct{})
	o.SetAtCommit(func(point string) {
		if point != "retired" {
			return
		}
		if !describe.Renaming() {
			t.Error("a value can look for a bucket while nobody knows the new name of the folder")
		}
		go func() {
			defer close(added)
			o.values(bucketStart.Add(2*time.Hour), 7.0) // final in the removed block
		}()
	})
	o.push()
	<-added
	require.Equal(t, []string{"open r1 n3"}, counts(o.push()))
	require.Zero(t, o.stat("state_errors"))
}

// A folder that was set aside may be deleted. What is known without it is which buckets have been final.
func TestAValueIsLateForABucketWhoseRetiredStateWasDeleted(t *testing.T) {
	folder := t.TempDir()
	o := withRemovedBlock(t, folder)
	o.push()
	require.NoError(t, o.Close())
	retired, err := filepath.Glob(filepath.Join(folder, "*retired*"))
	require.NoError(t, err)
	require.Len(t, retired, 1)
	require.NoError(t, os.RemoveAll(retired[0]))
	o = stated(t, folder, o.clock.now(), nil)
	o.values(bucketStart.Add(2*time.Hour), 7.0)
	require.Empty(t, o.push())
	require.Equal(t, int64(1), o.stat("values_late"))
}

func TestTheBucketsOfARemovedBlockCountOnceEvenAfterACrash(t *testing.T) {
	want := []string{"final r0 n1", "final r0 n1", "open r0 n3"}
	for _, pushes := range []int{0, 1} {
		t.Run(fmt.Sprint("pushes=", pushes), func(t *testing.T) {
			folder := t.TempDir()
			o := withRemovedBlock(t, folder)
			o.look()
			for range pushes {
				_, _ = o.pushKilled(t, "") // the rows leave
			}
			o.Abandon() // the state of the removed block is not retired yet
			retired, err := filepath.Glob(filepath.Join(folder, "*retired*"))
			require.NoError(t, err)
			require.Empty(t, retired)

			o = stated(t, folder, o.clock.now(), nil)
			require.ElementsMatch(t, want, counts(o.push()), "the rows of the last ten minutes leave again, each with its count")
			o.clock.set(o.clock.now().Add(10 * time.Minute))
			require.Equal(t, []string{"final r0 n3"}, counts(o.push()))
			retired, err = filepath.Glob(filepath.Join(folder, "*retired*"))
			require.NoError(t, err)
			require.Len(t, retired, 1)
		})
	}
}
