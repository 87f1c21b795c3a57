package tally_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/tally"
)

// The estimate is within four standard errors for counts of all sizes.
func TestDistinctIsWithinItsError(t *testing.T) {
	t.Parallel()
	numbers := []int{0, 1, 2, 10, 100, 1000, 5000, 20_000}
	if !testing.Short() {
		numbers = append(numbers, 300_000, 2_000_000)
	}
	for _, n := range numbers {
		var floats, texts tally.Distinct
		var text []byte
		for i := range n {
			floats.AddFloat(float64(i) / 4)
			floats.AddFloat(float64(i) / 4)
			text = strconv.AppendInt(append(text[:0], "host-"...), int64(i), 10)
			texts.AddText(text)
		}
		for name, got := range map[string]uint64{"floats": floats.Count(), "texts": texts.Count()} {
			require.InDelta(t, n, got, 4*tally.DistinctError*float64(n), "%s, n=%d", name, n)
		}
	}
}

// truth counts texts the simple way.
type truth map[string]uint64

func (c truth) top() (text string, count uint64) {
	for name, n := range c {
		if n > count || n == count && name < text {
			text, count = name, n
		}
	}
	return text, count
}

// stream has texts of which a few are frequent.
func stream(n, distinct int) []string {
	r := rand.New(rand.NewPCG(5, 6))
	all := make([]string, n)
	for i := range all {
		all[i] = "t" + strconv.Itoa(int(math.Pow(r.Float64(), 3)*float64(distinct)))
	}
	return all
}

func TestTextsAreExactUpToTheLimit(t *testing.T) {
	t.Parallel()
	for _, distinct := range []int{1, 2, 100, 2000} {
		texts, want := tally.NewTexts(distinct), truth{}
		for _, text := range stream(20_000, distinct) {
			texts.Add([]byte(text))
			want[text]++
		}
		require.True(t, texts.Exact())
		require.EqualValues(t, len(want), texts.Distinct())
		top, count := texts.Top()
		wantTop, wantCount := want.top()
		require.Equal(t, wantTop, top)
		require.Equal(t, wantCount, count)
	}
}

func TestTextsBeyondTheLimitAreBounded(t *testing.T) {
	t.Parallel()
	n := 200_000
	if testing.Short() {
		n = 40_000
	}
	all, want := stream(n, 50_000), truth{}
	for _, text := range all {
		want[text]++
	}
	_, most := want.top()
	for _, limit := range []int{1, 300, 5000} {
		texts := tally.NewTexts(limit)
		for _, text := range all {
			texts.Add([]byte(text))
		}
		require.False(t, texts.Exact())
		require.EqualValues(t, len(all), texts.Count())
		require.InEpsilon(t, len(want), texts.Distinct(), 4*tally.DistinctError)
		top, count := texts.Top()
		require.LessOrEqual(t, count, want[top])
		require.LessOrEqual(t, most, count+uint64(len(all)/256), "limit %d", limit)
		require.Less(t, texts.Bytes(), 100_000)
	}
}

func TestEmptyTexts(t *testing.T) {
	t.Parallel()
	texts := tally.NewTexts(10)
	require.Zero(t, texts.Distinct())
	text, count := texts.Top()
	require.Empty(t, text)
	require.Zero(t, count)
	texts.Demote()
	require.Zero(t, texts.Distinct())
	texts.Add(nil)
	require.EqualValues(t, 1, texts.Distinct(), "the empty text is a text")
}

func BenchmarkTexts(b *testing.B) {
	for _, distinct := range []int{100, 10_000} {
		all := stream(100_000, distinct)
		texts := tally.NewTexts(1 << 20)
		b.Run(fmt.Sprintf("distinct=%d", distinct), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				texts.Add([]byte(all[i%len(all)]))
			}
		})
	}
}
