package bucket

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const second = int64(time.Second)

func starts[T any](w *Window[T]) []int64 {
	var all []int64
	for _, b := range w.Buckets() {
		all = append(all, b.Start)
	}
	return all
}

// touch opens the bucket of 10 ns that holds at, as if a value had come at now.
func touch(w *Window[int], at int64, now time.Time) bool {
	b := w.Open(at/10*10, at/10*10+10)
	if b == nil {
		return false
	}
	b.Touched = now
	b.State++
	return true
}

func TestBucketsOpenInAnyOrder(t *testing.T) {
	var w Window[int]
	for _, at := range []int64{55, 5, 33, 51, 35, 0} {
		require.True(t, touch(&w, at, time.Unix(0, 0)))
	}
	require.Equal(t, []int64{0, 30, 50}, starts(&w))
	for _, b := range w.Buckets() {
		require.Equal(t, 2, b.State)
		require.Equal(t, b.Start+10, b.End)
	}
}

func TestABucketClosesAfterLingerAndNotBeforeItsEnd(t *testing.T) {
	base := time.Unix(1000, 0)
	var w Window[int]
	past := w.Open(0, second)
	past.Touched = base
	future := w.Open(1100*second, 1200*second)
	future.Touched = base

	w.Close(base.Add(9*time.Second), 10*time.Second, nil)
	require.Equal(t, []int64{0, 1100 * second}, starts(&w))
	past.Touched = base.Add(9 * time.Second)
	w.Close(base.Add(18*time.Second), 10*time.Second, nil)
	require.Len(t, w.Buckets(), 2, "a value keeps a bucket open")
	w.Close(base.Add(19*time.Second), 10*time.Second, nil)
	require.Equal(t, []int64{1100 * second}, starts(&w))
	w.Close(time.Unix(1200, -1), 10*time.Second, nil)
	require.Equal(t, []int64{1100 * second}, starts(&w), "its end has not come")
	w.Close(time.Unix(1200, 0), 10*time.Second, nil)
	require.Empty(t, w.Buckets())
}

func TestAClosedBucketStaysClosedAndOthersOpen(t *testing.T) {
	now := time.Unix(5000, 0)
	var w Window[int]
	require.True(t, touch(&w, 42, now))
	w.Close(now, 0, nil)
	require.False(t, touch(&w, 40, now))
	require.False(t, touch(&w, 49, now))
	require.True(t, touch(&w, 39, now), "the bucket before was never open")
	require.True(t, touch(&w, 50, now), "the bucket after was never open")
}

func TestClosedNeighboursAreOneSpan(t *testing.T) {
	now := time.Unix(5000, 0)
	var w Window[int]
	order := rand.New(rand.NewPCG(1, 1)).Perm(1000)
	for _, i := range order {
		require.True(t, touch(&w, int64(i)*10, now))
		w.Close(now, 0, nil)
	}
	require.Len(t, w.closed, 1)
	require.True(t, touch(&w, 10*1001, now))
	w.Close(now, 0, nil)
	require.Len(t, w.closed, 2)
	for i := range 1000 {
		require.False(t, touch(&w, int64(i)*10, now))
	}
	require.True(t, touch(&w, 10*1000, now))
}

func TestManyGapsAreBounded(t *testing.T) {
	now := time.Unix(5000, 0)
	var w Window[int]
	for i := range int64(3 * maxSpans) {
		require.True(t, touch(&w, i*20, now))
		w.Close(now, 0, nil)
	}
	require.Len(t, w.closed, maxSpans)
	require.False(t, touch(&w, 10, now), "the oldest gaps count as closed")
	require.True(t, touch(&w, 3*maxSpans*20-30, now), "the newest do not")
	for i := range int64(3 * maxSpans) {
		require.False(t, touch(&w, i*20, now))
	}
	require.GreaterOrEqual(t, w.Bytes(), maxSpans*spanSize)
}
