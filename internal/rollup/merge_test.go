package rollup_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

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

// A reader returns the parts of a bucket in any order, and sums of floats depend on it.
func TestRollUpsDoNotDependOnTheOrderOfParts(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	var parts []record.SummaryPart
	for i := range 40 {
		values := make([]float64, 1+random.IntN(200))
		for k := range values {
			values[k] = math.Round(100*random.NormFloat64()) / 10
		}
		p := summaryPart(t, strconv.Itoa(i%8/2), strings.Repeat("r", i%2), values...)
		p.Tags, p.Field = "host="+strconv.Itoa(i/8), "f"
		parts = append(parts, p)
	}
	selection, err := stats.NewSelection([]string{"mean", "variance", "mode", "mode_error", "p99"}, stats.Linear)
	require.NoError(t, err)
	plan := rollup.Plan{Grouped: true, Selection: selection, ExactLimit: 64, MaxGroups: 10}
	roll := func() (texts []string) {
		r := rollup.New(&plan, func(rec *record.Record) error {
			texts = append(texts, string(rec.AppendJSON(nil)))
			return nil
		})
		require.NoError(t, r.Add(time.Unix(0, 0), parts))
		require.NoError(t, r.Close())
		return texts
	}
	want := roll()
	require.Len(t, want, 1)
	for range 10 {
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		require.Equal(t, want, roll())
	}
}

func TestMergedRecordsHaveTheStatisticsOfTheStoredOnesAndTheirError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ names, want []string }{
		{nil, []string{"max_error"}},
		{[]string{"p99_9", "mean", "unknown", "mean", "max_error", "p_", "count"}, []string{"count", "mean", "p99.9", "max_error"}},
	} {
		var got []string
		for _, s := range rollup.Selection(test.names).Statistics() {
			got = append(got, s.String())
		}
		require.Equal(t, test.want, got)
	}
}
