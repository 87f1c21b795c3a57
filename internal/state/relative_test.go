package state_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/state"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// relatives returns options of a store whose relatives are those that the text of their identity says.
func relatives(t *testing.T) (state.Options, *clock) {
	o, c := clocked(t, time.Hour)
	o.Related = func(identity map[string]string) state.Relation {
		return map[string]state.Relation{"tables": state.SameTables, "buckets": state.SameBuckets}[identity["relation"]]
	}
	return o, c
}

// relative opens another store in the folder.
func relative(t *testing.T, o state.Options, relation, name string) *state.Store {
	t.Helper()
	o.Identity = map[string]string{"relation": relation, "name": name}
	return mustOpen(t, o)
}

// finalOf makes a bucket of an hour final, at a revision and with a count of each field.
func finalOf(t *testing.T, s *state.Store, c *clock, start, revision int64, counts map[string]int) {
	t.Helper()
	b := bucketOf("m", start)
	b.Revision, b.Touched = revision, c.now().UnixNano()
	h := s.OpenBucket(b)
	for _, field := range slices.Sorted(maps.Keys(counts)) {
		b.Fields, b.Summaries = append(b.Fields, field), append(b.Summaries, stats.Summary{})
		for range counts[field] {
			b.Summaries[len(b.Summaries)-1].Add(1)
		}
	}
	s.Final(h, b)
	stored(t, s)
}

// latest returns what Latest finds for a bucket of an hour and a value of the field "a", as text.
func latest(t *testing.T, s *state.Store, start int64) string {
	t.Helper()
	return latestOf(t, s, start, "a")
}

// latestOf is latest for values of other fields.
func latestOf(t *testing.T, s *state.Store, start int64, fields ...string) string {
	t.Helper()
	b, ok, err := s.Latest("m", start, start+hour, fields, 0)
	switch {
	case errors.Is(err, state.ErrOthersExpired):
		return "expired without the fields"
	case err != nil:
		require.ErrorIs(t, err, state.ErrExpired)
		return "expired"
	case !ok:
		return "none"
	}
	var text strings.Builder
	fmt.Fprint(&text, "r", b.Revision)
	for _, field := range []string{"a", "b", "c"} {
		for i := range b.Fields {
			if b.Fields[i] == field {
				fmt.Fprint(&text, " ", field, b.Summaries[i].Count())
			}
		}
	}
	return text.String()
}

func TestTheLatestVersionOfABucketHasEachFieldOfItsNewestRevision(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s := mustOpen(t, o)
	other := relative(t, o, "tables", "other")
	finalOf(t, s, c, 0, 1, map[string]int{"a": 1, "b": 2})
	finalOf(t, other, c, 0, 4, map[string]int{"a": 5, "c": 3})
	finalOf(t, s, c, hour, 1, map[string]int{"a": 1})
	finalOf(t, other, c, hour, 0, map[string]int{"a": 5, "b": 6})
	finalOf(t, other, c, 2*hour, 2, map[string]int{"b": 1})
	require.NoError(t, s.Relate(nil, []*state.Store{other}))
	for i := range 2 { // open, then retired
		require.Equal(t, "r4 a5 b2 c3", latest(t, s, 0))
		require.Equal(t, "r1 a1 b6", latest(t, s, hour))
		require.Equal(t, "r2 b1", latest(t, s, 2*hour))
		require.Equal(t, "none", latest(t, s, 3*hour))
		b, ok, err := s.Latest("m", 0, 2*hour, nil, 0)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, []string{"a", "b"}, b.Fields, "the bucket of the other store has another end")
		require.NoError(t, other.Retire())
		_, _, err = s.Latest("m", 5*hour, 6*hour, nil, 0)
		require.NoError(t, err, "a new bucket does not depend on it")
		if _, _, err = s.Latest("m", 0, hour, nil, 0); i == 0 {
			require.ErrorIs(t, err, state.ErrUnreadable)
		}
		require.NoError(t, s.Relate(nil, nil))
	}
	require.NoError(t, os.RemoveAll(other.Folder()))
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "none", latest(t, s, 2*hour))
}

// The field a has moved to another store, which may lose its bucket in a crash before it has saved it.
func TestAFinalBucketKeepsTheFieldsThatItsNextRevisionLacks(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{false, true} { // with the earlier revisions in the database, or in the log only
		t.Run(fmt.Sprint("frozen=", frozen), func(t *testing.T) {
			t.Parallel()
			o, c := relatives(t)
			o.Identity = map[string]string{"relation": "buckets", "name": "s"}
			other := o
			if frozen {
				o = state.Frozen(o)
			}
			s := mustOpen(t, o)
			final := func(revision int64, fields ...string) {
				b := bucketOf("m", 0)
				b.Revision = revision
				h := s.OpenBucket(b)
				for _, field := range fields {
					s.Rows(h, 0, []string{field}, []float64{1}, nil)
					b.Fields, b.Summaries = append(b.Fields, field), append(b.Summaries, stats.Summary{})
					b.Summaries[len(b.Fields)-1].Add(1)
				}
				s.Final(h, b)
				require.NoError(t, s.Commit())
			}
			final(0, "a", "b")
			if !frozen {
				stored(t, s)
			}
			final(1, "b")
			final(2, "b", "c")
			if !frozen {
				stored(t, s)
			}
			for range 2 { // before a crash and after it
				require.Equal(t, "r2 a1 b1 c1", latest(t, s, 0))
				b, ok, err := s.Find("m", 0)
				require.NoError(t, err)
				require.True(t, ok)
				require.Equal(t, []string{"b", "c"}, b.Fields, "the rows of the last revision")
				b, ok, err = s.Latest("m", 0, hour, []string{"a"}, 1)
				require.NoError(t, err)
				require.True(t, ok)
				require.NotContains(t, b.Fields, "a", "the version that is kept has the revision 0")
				s.Abandon()
				s = mustOpen(t, o)
				require.NoError(t, s.Replay(newModel(s)))
			}
			sibling := relative(t, other, "buckets", "sibling")
			require.NoError(t, sibling.Relate([]*state.Store{s}, nil))
			require.Equal(t, "r0 a1", latest(t, sibling, 0), "the field has the revision of its values")
			require.NoError(t, s.Relate([]*state.Store{sibling}, nil))
			finalOf(t, sibling, c, 0, 1, map[string]int{"a": 3})
			require.Equal(t, "r2 a3 b1 c1", latest(t, s, 0), "the other store has saved a newer one")
		})
	}
}

// The field a has moved to another store, and its later version there has expired. A third store may be there since before the bucket began.
func TestAFieldThatIsKeptDoesNotReplaceALaterVersionThatHasExpired(t *testing.T) {
	t.Parallel()
	for _, start := range []int64{0, epoch.UnixNano()} {
		o, c := relatives(t)
		o.Identity = map[string]string{"relation": "buckets", "name": "s"}
		s := mustOpen(t, o)
		sibling, third := relative(t, o, "buckets", "sibling"), relative(t, o, "buckets", "third")
		require.NoError(t, s.Relate([]*state.Store{sibling, third}, nil))
		require.NoError(t, sibling.Relate([]*state.Store{s, third}, nil))
		require.NoError(t, third.Relate([]*state.Store{s, sibling}, nil))
		finalOf(t, s, c, start, 0, map[string]int{"a": 1, "b": 1})
		finalOf(t, sibling, c, start, 1, map[string]int{"a": 2})
		c.advance(50 * time.Minute)
		finalOf(t, s, c, start, 1, map[string]int{"b": 2})
		c.advance(30 * time.Minute)
		removed(t, sibling, 1)
		for _, store := range []*state.Store{s, sibling, third} {
			require.Equal(t, "expired", latest(t, store, start))
		}
		require.Equal(t, "r1 b2", latestOf(t, s, start, "b"))
		require.Equal(t, "r1 b2", latestOf(t, third, start, "b"))
		require.Equal(t, "none", latestOf(t, third, start, "c"), "no store had it")
	}
}

// A row of the late value alone would follow one with all values, although another field of the bucket has not expired.
func TestAFieldThatHasExpiredIsLateIfAnotherStoreHasOtherFieldsOfTheBucket(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	o.Identity = map[string]string{"relation": "buckets", "name": "s"}
	s := mustOpen(t, o)
	other := relative(t, o, "buckets", "other")
	finalOf(t, s, c, 0, 0, map[string]int{"a": 3})
	c.advance(2 * time.Hour)
	removed(t, s, 1)
	finalOf(t, other, c, 0, 0, map[string]int{"b": 3})
	for _, open := range [][]*state.Store{{other}, nil} {
		require.NoError(t, s.Relate(nil, open))
		require.Equal(t, "expired", latestOf(t, s, 0, "a"))
		require.Equal(t, "expired", latestOf(t, s, 0, "a", "b"))
		require.Equal(t, "r0 b3", latestOf(t, s, 0, "b"))
		require.NoError(t, other.Retire())
	}
}

// The stores do not remove a bucket at the same time: the ages of two stores differ after a kill, and the options of two blocks can differ.
func TestAnEarlierVersionDoesNotReplaceAVersionThatAnotherStoreHasRemoved(t *testing.T) {
	t.Parallel()
	for _, revision := range []int64{1, 3} {
		o, c := relatives(t)
		o.Identity = map[string]string{"relation": "buckets", "name": "s"}
		s := mustOpen(t, o)
		o.Retention /= 4
		sibling := relative(t, o, "buckets", "sibling")
		start := epoch.UnixNano() // after the stores were created
		finalOf(t, s, c, start, 0, map[string]int{"a": 1, "b": 1})
		finalOf(t, s, c, start+hour, 2, map[string]int{"a": 4})
		finalOf(t, sibling, c, start, revision, map[string]int{"a": 2})
		finalOf(t, sibling, c, start+hour, 1, map[string]int{"a": 3})
		c.advance(40 * time.Minute)
		removed(t, sibling, 2)
		require.NoError(t, s.Relate([]*state.Store{sibling}, nil))
		require.Equal(t, "expired", latest(t, s, start))
		require.Equal(t, "expired", latestOf(t, s, start, "a", "b"))
		require.Equal(t, "r0 b1", latestOf(t, s, start, "b"))
		newer := map[int64]string{1: "r2 a4", 3: "expired"}[revision] // a record has only the largest revision of its buckets
		require.Equal(t, newer, latest(t, s, start+hour))
	}
}

// A store knows which fields of a series another one has removed, also if it is older than the buckets. Fields that it does not know begin.
func TestAFieldIsLateIfAnotherStoreHasRemovedIt(t *testing.T) {
	t.Parallel()
	for _, start := range []int64{0, epoch.UnixNano()} {
		for _, kept := range []bool{false, true} {
			o, c := relatives(t)
			s := relative(t, o, "buckets", "s")
			other := relative(t, o, "buckets", "other")
			finalOf(t, other, c, start, 0, map[string]int{"a": 1, "b": 1})
			if kept {
				finalOf(t, other, c, start, 1, map[string]int{"b": 2})
			}
			c.advance(2 * time.Hour)
			removed(t, other, 1)
			require.NoError(t, s.Relate([]*state.Store{other}, nil))
			require.True(t, s.Elsewhere("m", start))
			require.False(t, s.Elsewhere("m", start+hour))
			check := func() {
				require.Equal(t, "expired", latest(t, s, start))
				require.Equal(t, "expired", latestOf(t, s, start, "a", "c"))
				require.Equal(t, "none", latestOf(t, s, start, "c"))
				require.Equal(t, "none", latest(t, s, start+hour))
			}
			check()
			require.Equal(t, "expired without the fields", latestOf(t, other, start, "c"))
			require.NoError(t, other.Retire())
			require.NoError(t, s.Relate(nil, nil))
			check()
		}
	}
}

// A version of this program that did not write the fields has left the record. Then only buckets from before this store expire in it.
func TestABucketThatAnotherStoreHasRemovedWithUnknownFields(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s, other := relative(t, o, "buckets", "s"), relative(t, o, "buckets", "other")
	later := epoch.UnixNano()
	for _, start := range []int64{0, later} {
		require.NoError(t, other.ExpireWithoutFields("m", start, start+hour))
	}
	require.NoError(t, s.Relate([]*state.Store{other}, nil))
	require.Equal(t, "expired", latest(t, s, 0))
	require.Equal(t, "none", latest(t, s, later))
	require.Equal(t, "expired", latest(t, other, later))
	finalOf(t, other, c, later+hour, 0, map[string]int{"a": 1})
	c.advance(2 * time.Hour)
	removed(t, other, 1)
	for _, field := range []string{"a", "b"} { // one record has all of them
		require.Equal(t, "expired", latestOf(t, s, 0, field))
		require.Equal(t, "none", latestOf(t, s, later, field))
	}
	require.Equal(t, "expired", latest(t, s, later+hour))
	require.Equal(t, "none", latestOf(t, s, later+hour, "b"))
}

func TestARecordHasTheFieldsOfAllVersionsOfARemovedBucket(t *testing.T) {
	t.Parallel()
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprint("f", i)
	}
	for _, test := range []struct {
		sets [][]string
		want []string
	}{
		{[][]string{nil}, nil}, // not known
		{[][]string{{"a"}}, []string{"a"}},
		{[][]string{nil, {"a"}}, []string{"a"}},
		{[][]string{{"a"}, {"b", "a"}, {"a"}}, []string{"a", "b"}},
		{[][]string{many[:250], {"a"}}, []string{"a", "f0"}},
		{[][]string{{"a"}, many[:250], many[250:]}, []string{"a", "b", "f0"}}, // too many, so it has every field
		{[][]string{many, {"a"}}, []string{"a", "b", "f0"}},
	} {
		var all []state.Removed
		for _, set := range test.sets {
			all = append(all, state.Removed{Start: 1, End: 2, Fields: set})
		}
		_, has, err := state.RemovedFields(all)
		require.NoError(t, err)
		require.Equal(t, test.want, has(1, "a", "b", "f0"))
	}
}

// A filter that changes moves a field to another store. The buckets from before then had the field, and those after then have not.
func TestARecordHasTheFieldsOfEachRemovedBucket(t *testing.T) {
	t.Parallel()
	many := make([]string, 250)
	for i := range many {
		many[i] = fmt.Sprint("f", i)
	}
	for name, sets := range map[string][][]string{
		"a field is removed":          {{"a", "b"}, {"a", "b"}, {"b"}, {"b"}},
		"a field is removed and back": {{"a", "b"}, {"b"}, {"b"}, {"a", "b"}},
		"no field in common":          {{"a"}, {"b"}, {"c"}, {"a"}},
		"a gap":                       {{"a", "b"}, {"b"}, {}, {}, {"b"}, {"a"}},
		"one is not known":            {{"a"}, nil, {"b"}},
		"many fields":                 {{"a"}, many, {"a", "b"}},
	} {
		for _, order := range []string{"ascending", "descending"} {
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				var all []state.Removed
				for i, set := range sets {
					if set == nil || len(set) > 0 {
						all = append(all, state.Removed{Start: int64(i) * hour, End: int64(i+1) * hour, Fields: set})
					}
				}
				if order == "descending" {
					slices.Reverse(all)
				}
				_, has, err := state.RemovedFields(all)
				require.NoError(t, err)
				for _, b := range all {
					require.ElementsMatch(t, intersection(b.Fields, "a", "b", "c", "f0"), has(b.Start, "a", "b", "c", "f0"))
				}
			})
		}
	}
}

// Older versions of this program have written one set of fields in each record, or none.
func TestARecordOfAnOlderVersionIsRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		record string
		want   []string
	}{
		{"b7e032bb0e020080c0e285e36880c0e285e3688080c58bc6d101", nil},
		{"226511490e020080c0e285e36880c0e285e3688080c58bc6d10103023043d0c1c4b080d2", []string{"a", "b"}},
	} {
		record, err := hex.DecodeString(test.record)
		require.NoError(t, err)
		for start, want := range map[int64][]string{0: test.want, hour: nil, 3 * hour: test.want, 4 * hour: nil, 5 * hour: {"b"}} {
			has, err := state.FieldsWith(record, state.Removed{Start: 5 * hour, End: 6 * hour, Fields: []string{"b"}}, start, "a", "b")
			require.NoError(t, err)
			require.Equal(t, want, has, "the bucket of %d", start)
		}
	}
}

// intersection returns those of the fields that all has.
func intersection(all []string, fields ...string) (both []string) {
	for _, field := range fields {
		if slices.Contains(all, field) {
			both = append(both, field)
		}
	}
	return both
}

// A series whose fields differ from bucket to bucket has a record of bounded size, and no field of a bucket is missing in it.
func TestARecordOfChangingFieldsIsBounded(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	var same, changing []state.Removed
	for i := range int64(300) {
		at := state.Removed{Start: i * hour, End: (i + 1) * hour, Fields: names}
		same = append(same, at)
		at.Fields = []string{names[i%10], names[i%7]}
		changing = append(changing, at)
	}
	small, _, err := state.RemovedFields(same)
	require.NoError(t, err)
	size, hasAt, err := state.RemovedFields(changing)
	require.NoError(t, err)
	require.LessOrEqual(t, size, small+16*12)
	for i, b := range changing {
		has := hasAt(b.Start, names...)
		require.Subset(t, has, b.Fields)
		if i > len(changing)-16 {
			require.ElementsMatch(t, intersection(b.Fields, names...), has, "the newest ones")
		}
	}
}

// It is called for each bucket that is removed, in their order, so it must not look at the earlier ones each time.
func TestARemovedBucketIsAddedWithoutALookAtAllEarlierOnes(t *testing.T) {
	const n = 1000
	require.Equal(t, n, state.SpansOfChangingFields(n))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	state.SpansOfChangingFields(n)
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/n, uint64(1000), "its spans alone take 16 bytes each")
}

// Until the user deletes the folder of a store that was joined, that has the buckets. Then the record of the other store counts.
func TestARemovedFieldOfAJoinedStoreIsLateThoughThisOneHasAnEarlierVersion(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s, other := relative(t, o, "buckets", "s"), relative(t, o, "buckets", "other")
	finalOf(t, s, c, 0, 0, map[string]int{"a": 1, "b": 1})
	finalOf(t, other, c, 0, 1, map[string]int{"a": 2})
	require.NoError(t, s.Expire(other))
	require.NoError(t, other.Retire())
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "r1 a2 b1", latest(t, s, 0))
	require.NoError(t, os.RemoveAll(other.Folder()))
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "expired", latest(t, s, 0))
	require.Equal(t, "r0 b1", latestOf(t, s, 0, "b"))
}

func TestAStoreOfOtherTablesIsNoRelative(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s := mustOpen(t, o)
	other := relative(t, o, "none", "other")
	finalOf(t, other, c, 0, 4, map[string]int{"a": 5})
	require.NoError(t, other.Retire())
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "none", latest(t, s, 0))
}

// Two blocks can have different fields of the same series. Each gets those for which it gets values.
func TestAFinalBucketOfASiblingCountsForTheFieldsThatGetAValue(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	sibling := relative(t, o, "buckets", "sibling")
	s := mustOpen(t, o)
	finalOf(t, sibling, c, 0, 0, map[string]int{"a": 5, "b": 5})
	finalOf(t, sibling, c, hour, 0, map[string]int{"b": 5})
	finalOf(t, sibling, c, 2*hour, 3, map[string]int{"b": 5})
	finalOf(t, s, c, 2*hour, 2, map[string]int{"a": 1, "b": 1, "c": 1})
	require.NoError(t, s.Relate([]*state.Store{sibling}, nil))
	require.Equal(t, "r0 a5", latest(t, s, 0))
	require.Equal(t, "none", latest(t, s, hour))
	require.Equal(t, "r2 a1 c1", latest(t, s, 2*hour), "the sibling has a newer version of b")
	for start, want := range map[int64]bool{0: true, hour: true, 3 * hour: false} {
		require.Equal(t, want, s.Elsewhere("m", start))
	}
	require.NoError(t, sibling.Retire())
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "r0 a5 b5", latest(t, s, 0), "nobody else has b")
	require.True(t, s.Elsewhere("m", 0))
}

// Rows of two buckets that begin at the same time are the same point for a database.
func TestABucketWithAnotherEndHasALaterRevision(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s := mustOpen(t, o)
	other := relative(t, o, "tables", "other")
	finalOf(t, other, c, 0, 4, map[string]int{"a": 5})
	finalOf(t, other, c, hour, 4, map[string]int{"a": 5})
	finalOf(t, other, c, 2*hour, 4, map[string]int{"b": 5})
	finalOf(t, s, c, hour, 1, map[string]int{"a": 1})
	require.NoError(t, s.Relate(nil, []*state.Store{other}))
	for start, want := range map[int64]Found{0: {true, 4, nil}, hour: {true, 4, []string{"a"}}, 2 * hour: {}} {
		b, ok, err := s.Latest("m", start, start+2*hour, []string{"a"}, 0)
		require.NoError(t, err)
		require.Equal(t, want, Found{ok, b.Revision, b.Fields})
	}
}

// Found is a result of Latest.
type Found struct {
	ok       bool
	revision int64
	fields   []string
}

// The time of the last value is that of its commit, and not of the replay in a later run.
func TestABucketThatEndsInALaterRunHasTheTimeOfItsLastValue(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s := mustOpen(t, o)
	b := bucketOf("m", 0)
	h := s.OpenBucket(b)
	s.Rows(h, 0, []string{"a"}, []float64{1}, nil)
	require.NoError(t, s.Close())
	last := c.now()
	c.advance(time.Minute)
	s = mustOpen(t, o)
	b.Touched = c.now().UnixNano()
	s.Final(h, b)
	require.NoError(t, s.Commit())
	found, ok, err := s.Find("m", 0)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, last.UnixNano(), found.Touched)
}

// A program that does not run may go on with its store. What it had before this store was created counts.
func TestTheFinalBucketsOfAnotherProgramCountIfTheyAreOlderThanTheStore(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	foreign := o
	foreign.Owner = "another"
	other := relative(t, foreign, "buckets", "other")
	finalOf(t, other, c, 0, 3, map[string]int{"a": 5})
	c.advance(time.Second)
	s := mustOpen(t, o)
	c.advance(time.Second)
	finalOf(t, other, c, hour, 3, map[string]int{"a": 5})
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "none", latest(t, s, 0), "it is running")
	require.NoError(t, other.Close())
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "r3 a5", latest(t, s, 0))
	require.Equal(t, "none", latest(t, s, hour))
	other = relative(t, foreign, "buckets", "other")
	_, _, err := s.Latest("m", 0, hour, []string{"a"}, 0)
	require.ErrorIs(t, err, state.ErrUnreadable, "it is running again, so the value is dropped and counted")
	require.Equal(t, "none", latest(t, s, 0), "and the next one begins the bucket")
	require.NoError(t, other.Close())
}

// Nobody removes the buckets of a store that is retired. It ages by the wall clock.
func TestABucketOfARetiredStoreExpires(t *testing.T) {
	t.Parallel()
	for _, relation := range []string{"buckets", "tables"} {
		o, c := relatives(t)
		other := relative(t, o, relation, "other")
		finalOf(t, other, c, 0, 0, map[string]int{"a": 5})
		c.advance(2 * o.Retention)
		removed(t, other, 1)
		finalOf(t, other, c, hour, 0, map[string]int{"a": 5})
		require.NoError(t, other.Retire())
		s := mustOpen(t, o)
		require.NoError(t, s.Relate(nil, nil))
		removedBefore := map[string]string{"buckets": "expired", "tables": "r0"}[relation] // the record has no ends of buckets
		require.Equal(t, removedBefore, latest(t, s, 0))
		require.Equal(t, "r0 a5", latest(t, s, hour))
		c.advance(o.Retention + time.Minute)
		require.Equal(t, "expired", latest(t, s, hour))
	}
}

// A store that is in use removes its buckets some at a time, so it can have an earlier version longer.
func TestAnEarlierVersionDoesNotReplaceAVersionOfARetiredStoreThatHasExpired(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	s := mustOpen(t, o)
	other := relative(t, o, "buckets", "other")
	finalOf(t, other, c, 0, 1, map[string]int{"a": 2})
	require.NoError(t, other.Retire())
	c.advance(10 * time.Minute)
	finalOf(t, s, c, 0, 0, map[string]int{"a": 1, "b": 1})
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "r1 a2 b1", latest(t, s, 0))
	c.advance(o.Retention - 5*time.Minute)
	require.Equal(t, "expired", latest(t, s, 0))
	require.Equal(t, "expired", latestOf(t, s, 0, "a", "b"))
	require.Equal(t, "r0 b1", latestOf(t, s, 0, "b"))
}

func TestADamagedRelativeIsReportedAndLeftAsItIs(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	other := relative(t, o, "buckets", "other")
	finalOf(t, other, c, 0, 0, map[string]int{"a": 5})
	require.NoError(t, other.Retire())
	path := filepath.Join(other.Folder(), state.FinalsFile)
	damaged := []byte("this is not a database")
	require.NoError(t, os.WriteFile(path, damaged, 0o600))
	s := mustOpen(t, o)
	require.ErrorContains(t, s.Relate(nil, nil), "its final buckets cannot be read")
	require.Equal(t, "none", latest(t, s, 0))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, damaged, text)
}

func TestALentFieldIsNotDrainedUnlessItGotValuesLater(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		lent    []string
		later   []float64 // a row of a and b
		dropped bool
		want    map[string]uint64
	}{
		{"all", []string{"a", "b"}, nil, false, nil},
		{"one", []string{"a"}, nil, false, map[string]uint64{"b": 1}},
		{"a log of an earlier version", nil, nil, false, nil},
		{"a value of another field", []string{"a"}, []float64{math.NaN(), 2}, false, map[string]uint64{"b": 2}},
		{"a value of the field", []string{"a"}, []float64{2, math.NaN()}, false, map[string]uint64{"a": 2, "b": 1}},
		{"dropped", []string{"a", "b"}, nil, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, t.TempDir())
			s := mustOpen(t, o)
			h := s.OpenBucket(bucketOf("m", 0))
			s.Rows(h, 0, []string{"a", "b"}, []float64{1, 1}, nil)
			s.Lent(h, test.lent)
			if test.later != nil {
				s.Rows(h, 0, []string{"a", "b"}, test.later, nil)
			}
			if test.dropped {
				s.Drop(h)
			}
			require.NoError(t, s.Close())
			require.Equal(t, test.want, drained(t, o))
		})
	}
}

func TestAFieldWithoutValuesIsNotDrained(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	h := s.OpenBucket(bucketOf("m", 0))
	s.Rows(h, 0, []string{"a", "b"}, []float64{math.NaN(), 1}, nil)
	require.NoError(t, s.Close())
	require.Equal(t, map[string]uint64{"b": 1}, drained(t, o))
}

// drained returns the counts of the fields of the only open bucket of a store.
func drained(t *testing.T, o state.Options) (counts map[string]uint64) {
	t.Helper()
	s := mustOpen(t, o)
	require.NoError(t, s.Drain(func(_ uint64, b state.Bucket) error {
		require.Nil(t, counts)
		counts = map[string]uint64{}
		for i, field := range b.Fields {
			counts[field] = b.Summaries[i].Count()
		}
		return nil
	}))
	require.NoError(t, s.Close())
	return counts
}
