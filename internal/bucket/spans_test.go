package bucket_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/bucket"
)

const maxSpans = 1000 // as the doc comment of Spans promises

func TestSpansContainTheBucketsThatWereAdded(t *testing.T) {
	var s bucket.Spans
	require.False(t, s.Contains(40))
	s.Add(40, 50)
	require.True(t, s.Contains(40))
	require.False(t, s.Contains(30), "the bucket before")
	require.False(t, s.Contains(50), "the bucket after: the end is exclusive")
}

func TestNeighbouringBucketsTakeTheMemoryOfOneSpan(t *testing.T) {
	var s bucket.Spans
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(1000) {
		s.Add(int64(i)*10, int64(i)*10+10)
	}
	for i := range int64(1000) {
		require.True(t, s.Contains(i*10))
	}
	require.False(t, s.Contains(10*1000))
	require.False(t, s.Contains(-10))
	alone := s
	alone.Add(10*1001, 10*1002)
	require.False(t, alone.Contains(10*1000), "the gap between two spans")
}

func TestTheOldestOfTooManySpansAreJoined(t *testing.T) {
	var s bucket.Spans
	for i := range int64(3 * maxSpans) {
		s.Add(i*20, i*20+10)
	}
	require.LessOrEqual(t, s.Bytes(), 2*maxSpans*16)
	require.True(t, s.Contains(10), "the oldest gaps belong to the set")
	require.False(t, s.Contains(3*maxSpans*20-30), "the newest do not")
	for i := range int64(3 * maxSpans) {
		require.True(t, s.Contains(i*20))
	}
}

func TestOverlappingSpansAreJoined(t *testing.T) {
	var s bucket.Spans
	s.Add(0, 10)
	s.Add(20, 30)
	s.Add(5, 25)
	for start := int64(0); start < 30; start++ {
		require.True(t, s.Contains(start), start)
	}
	require.False(t, s.Contains(30))
}
