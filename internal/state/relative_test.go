package state_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
	b, ok, err := s.Latest("m", start, start+hour, []string{"a"})
	switch {
	case err != nil:
		require.ErrorIs(t, err, state.ErrExpired)
		require.False(t, ok)
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
		b, ok, err := s.Latest("m", 0, 2*hour, nil)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, []string{"a", "b"}, b.Fields, "the bucket of the other store has another end")
		require.NoError(t, other.Retire())
		_, _, err = s.Latest("m", 5*hour, 6*hour, nil)
		require.NoError(t, err, "a new bucket does not depend on it")
		if _, _, err = s.Latest("m", 0, hour, nil); i == 0 {
			require.ErrorIs(t, err, state.ErrUnreadable)
		}
		require.NoError(t, s.Relate(nil, nil))
	}
	require.NoError(t, os.RemoveAll(other.Folder()))
	require.NoError(t, s.Relate(nil, nil))
	require.Equal(t, "none", latest(t, s, 2*hour))
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

// Two blocks can have different fields of the same series. Each keeps its own buckets, but for those that it got before this
// run, when filters may have changed.
func TestAFinalBucketOfASiblingCountsIfItIsOfAnEarlierRunAndHasTheField(t *testing.T) {
	t.Parallel()
	o, c := relatives(t)
	sibling := relative(t, o, "buckets", "sibling")
	finalOf(t, sibling, c, 0, 0, map[string]int{"a": 5})
	finalOf(t, sibling, c, hour, 0, map[string]int{"b": 5})
	c.advance(time.Second)
	s := mustOpen(t, o)
	finalOf(t, sibling, c, 2*hour, 0, map[string]int{"a": 5})
	require.NoError(t, s.Relate([]*state.Store{sibling}, nil))
	require.Equal(t, "r0 a5", latest(t, s, 0))
	require.Equal(t, "none", latest(t, s, hour))
	require.Equal(t, "none", latest(t, s, 2*hour))
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
	handle, ok := s.Idle("m", 0)
	require.True(t, ok)
	require.Equal(t, h, handle)
	b.Touched = c.now().UnixNano()
	s.Final(h, b)
	require.NoError(t, s.Commit())
	found, ok, err := s.Find("m", 0)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, last.UnixNano(), found.Touched)
	_, ok = s.Idle("m", 0)
	require.False(t, ok)
}

func TestABucketWithRowsInThisRunIsNotIdle(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir())
	s := mustOpen(t, o)
	h := s.OpenBucket(bucketOf("m", 0))
	s.Rows(h, 0, []string{"a"}, []float64{1}, nil)
	_, ok := s.Idle("m", 0)
	require.False(t, ok)
	require.NoError(t, s.Close())
	s = mustOpen(t, o)
	_, ok = s.Idle("m", 0)
	require.True(t, ok)
	s.Rows(h, 0, []string{"a"}, []float64{1}, nil)
	_, ok = s.Idle("m", 0)
	require.False(t, ok)
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
	_, _, err := s.Latest("m", 0, hour, []string{"a"})
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
		removedBefore := map[string]string{"buckets": "expired", "tables": "none"}[relation] // the record has no ends of buckets
		require.Equal(t, removedBefore, latest(t, s, 0))
		require.Equal(t, "r0 a5", latest(t, s, hour))
		c.advance(o.Retention + time.Minute)
		require.Equal(t, "expired", latest(t, s, hour))
	}
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
	require.ErrorContains(t, s.Relate(nil, nil), "its final buckets are not known")
	require.Equal(t, "none", latest(t, s, 0))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, damaged, text)
}

func TestALentBucketIsNotDrainedUnlessItGotRowsLater(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1} {
		for _, dropped := range []bool{false, true} {
			o := options(t, t.TempDir())
			s := mustOpen(t, o)
			h := s.OpenBucket(bucketOf("m", 0))
			s.Rows(h, 0, []string{"a"}, []float64{1}, nil)
			s.Lent(h)
			for range rows {
				s.Rows(h, 0, []string{"a"}, []float64{1}, nil)
			}
			if dropped {
				s.Drop(h)
			}
			require.NoError(t, s.Close())
			s = mustOpen(t, o)
			want := rows
			if dropped {
				want = 0
				require.Zero(t, s.Stats().Open)
			}
			n := 0
			require.NoError(t, s.Drain(func(uint64, state.Bucket) error { n++; return nil }))
			require.Equal(t, want, n)
		}
	}
}
