package rollup_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/rollup"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// summaryPart returns what an agent has stored of one series and field.
func summaryPart(t *testing.T, agent, replica string, values ...float64) record.SummaryPart {
	t.Helper()
	s := stats.New(stats.DefaultExactLimit)
	s.AddAll(values, nil)
	b, err := s.MarshalBinary()
	require.NoError(t, err)
	return record.SummaryPart{Agent: agent, Replica: replica, Summary: b}
}

func TestMergeAddsAgentsAndTakesTheFullestReplica(t *testing.T) {
	t.Parallel()
	parts := func() []record.SummaryPart {
		return []record.SummaryPart{
			summaryPart(t, "a", "x", 1, 2), summaryPart(t, "b", "", 0.1, 0.2, 0.3), summaryPart(t, "a", "y", 1, 2, 4), summaryPart(t, "c", "", 8),
		}
	}
	want, err := rollup.Merge(parts(), 100)
	require.NoError(t, err)
	require.Equal(t, uint64(7), want.Count())
	require.Equal(t, 8.0, want.Max())
	require.InDelta(t, 15.6, want.Sum(), 1e-12)
	for _, order := range [][]int{{3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}} {
		var shuffled []record.SummaryPart
		for _, i := range order {
			shuffled = append(shuffled, parts()[i])
		}
		got, err := rollup.Merge(shuffled, 100)
		require.NoError(t, err)
		require.Equal(t, want.Sum(), got.Sum(), "to the last bit")
	}
}

func TestMergeNeedsTheSummaryOfEachAgent(t *testing.T) {
	t.Parallel()
	_, err := rollup.Merge([]record.SummaryPart{summaryPart(t, "a", "", 1), {Agent: "b"}}, 100)
	require.ErrorIs(t, err, rollup.ErrNoSummary)
	got, err := rollup.Merge([]record.SummaryPart{summaryPart(t, "a", "x", 1), {Agent: "a", Replica: "y"}}, 100)
	require.NoError(t, err, "the other replica has one")
	require.Equal(t, uint64(1), got.Count())
	_, err = rollup.Merge([]record.SummaryPart{{Agent: "a", Summary: []byte("xx")}}, 100)
	require.ErrorIs(t, err, stats.ErrFormat)
}
