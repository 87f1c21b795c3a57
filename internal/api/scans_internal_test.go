package api

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// These tests are inside of the package because they run in virtual time, which connections do not have.

// bucketNames is a cache that has the names f0 to f9 of a bucket. It sends one every second.
type bucketNames struct {
	Reader
	scans, most, running atomic.Int64
	fault                func()
}

func (b *bucketNames) Names(ctx context.Context, _ record.Table, _ time.Time, yield func([]record.Name) error) (int, time.Duration, error) {
	b.scans.Add(1)
	b.most.Store(max(b.most.Load(), b.running.Add(1)))
	defer b.running.Add(-1)
	for i := range 10 {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return -1, 0, ctx.Err()
		}
		if b.fault != nil {
			b.fault()
		}
		field := fmt.Sprintf("%q", fmt.Sprint("f", i))
		if err := yield([]record.Name{{Text: field, Outline: record.Outline{Field: field, Agent: `"a"`}}}); err != nil {
			return -1, 0, err
		}
	}
	return 10, time.Minute, nil
}

func newScans(b *bucketNames) *scans {
	return &scans{reader: b, limits: newLimits(1 << 20), room: 1<<17 + 1000, scanned: 100, now: time.Now}
}

// wants returns a collector of the names of one field, which may have so many.
func wants(field string, most int) *collector {
	wanted := record.Wanted{}
	if field != "" {
		wanted.Fields = []string{field}
	}
	return &collector{filter: record.NewFilter("t", wanted), most: most, mostBytes: 1 << 16}
}

// collecting collects in a goroutine, and returns the error when that has ended.
func collecting(ctx context.Context, s *scans, c *collector) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := s.collect(ctx, c)
		done <- err
	}()
	return done
}

// Collectors that come while a bucket is read share the next reading of it.
func TestCollectorsShareTheNextReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bucketNames{}
		s, began := newScans(b), time.Now()
		var collectors []*collector
		var ended []<-chan error
		for i := range 10 {
			c := wants(fmt.Sprint("f", i), 5)
			collectors, ended = append(collectors, c), append(ended, collecting(t.Context(), s, c))
			if i == 0 {
				time.Sleep(time.Second / 2)
			}
		}
		for i, done := range ended {
			require.NoError(t, <-done)
			require.Len(t, collectors[i].names, 1)
			require.Equal(t, fmt.Sprintf("%q", fmt.Sprint("f", i)), collectors[i].names[0].name())
			require.Equal(t, 10, collectors[i].size)
			require.True(t, collectors[i].complete)
		}
		require.EqualValues(t, 2, b.scans.Load())
		require.EqualValues(t, 1, b.most.Load())
		require.Equal(t, 20*time.Second, time.Since(began))
		synctest.Wait()
		require.Empty(t, s.waiting)
	})
}

// A collector that nobody waits for leaves its round, before it has begun and while it runs. The reading ends with the last one.
func TestACollectorThatLeavesDoesNotEndTheReadingForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bucketNames{}
		s := newScans(b)
		ctx, cancel := context.WithCancel(t.Context())
		other, cancelOther := context.WithCancel(t.Context())
		first, second := collecting(ctx, s, wants("f1", 5)), collecting(other, s, wants("f2", 5))
		synctest.Wait()
		waits, alone := collecting(ctx, s, wants("f3", 5)), collecting(t.Context(), s, wants("f4", 5))
		time.Sleep(time.Second / 2)
		cancel()
		synctest.Wait()
		require.ErrorIs(t, <-waits, context.Canceled)
		time.Sleep(time.Second)
		require.ErrorIs(t, <-first, context.Canceled)
		cancelOther()
		require.ErrorIs(t, <-second, context.Canceled)
		require.NoError(t, <-alone)
		again := collecting(t.Context(), s, wants("f5", 5))
		require.NoError(t, <-again)
		synctest.Wait()
		require.Empty(t, s.limits.long)
		require.Empty(t, s.waiting)
	})
}

// The rounds of a bucket are so small that their collectors have room, and a fault of one ends no other.
func TestCollectorsOfARoundAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bucketNames{}
		s := newScans(b)
		first := collecting(t.Context(), s, wants("f1", 5))
		synctest.Wait()
		large := wants("", 1<<30)
		small := wants("", 0) // not even the first series fits
		var ended []<-chan error
		for range 3 {
			ended = append(ended, collecting(t.Context(), s, wants("", 1<<30)))
		}
		ended = append(ended, collecting(t.Context(), s, large))
		unclear := collecting(t.Context(), s, small)
		require.NoError(t, <-first)
		for _, done := range ended {
			require.NoError(t, <-done)
		}
		require.Len(t, large.names, 10)
		require.ErrorIs(t, <-unclear, record.ErrUnclear)
		require.EqualValues(t, 5, b.scans.Load(), "the first one, and one for each of the large ones")
	})
}

// A panic while names are read is that of each collector, and the bucket can be read again.
func TestAPanicInAReadingIsThatOfItsCollectors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bucketNames{fault: func() { panic("fault") }}
		s := newScans(b)
		require.PanicsWithValue(t, "fault", func() { _, _ = s.collect(t.Context(), wants("f1", 5)) })
		b.fault = nil
		require.NoError(t, <-collecting(t.Context(), s, wants("f1", 5)))
		synctest.Wait()
		require.Empty(t, s.limits.long)
	})
}
