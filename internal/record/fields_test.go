package record_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func TestEveryStatisticHasAFieldNameOfItsOwn(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, name := range append(stats.Names(), "p9", "p99", "p99.9", "p9.99", "p0.999", "p99.99", "p0", "p100") {
		s, err := stats.ParseStatistic(name)
		if name == "p<q>" {
			continue
		}
		require.NoError(t, err)
		field := record.StatName(s)
		require.Empty(t, seen[field], "%s and %s have the same field", seen[field], name)
		seen[field] = name
		require.True(t, record.Reserved(field), field)
		parsed, ok := record.ParseStatName(field)
		require.True(t, ok, field)
		require.Equal(t, s, parsed)
	}
	require.Equal(t, "p99.9", seen["p99_9"])
	for _, name := range []string{"host", "p", "p99.9", "p99_90", "p095", "Count", "p101", "mode.count", "p<q>", "p_9", "pressure", ""} {
		require.False(t, record.Reserved(name), name)
	}
}

// Of the statistics of a record, only the count is an integer, and those that the values do not have are left out.
func TestARecordHasTheStatisticsOfItsSummary(t *testing.T) {
	sel, err := stats.NewSelection([]string{"mode_count", "count", "p99.9", "stddev", "first", "p0"}, stats.Linear)
	require.NoError(t, err)
	var one stats.Summary
	one.Add(2)
	got := record.ShapeOf(sel).Append([]record.Stat{{Name: "before", Value: true}}, sel.Append(nil, &one))
	require.Equal(t, []record.Stat{
		{Name: "before", Value: true}, {Name: "count", Value: int64(1)}, {Name: "mode_count", Value: 1.0}, {Name: "p0", Value: 2.0}, {Name: "p99_9", Value: 2.0},
	}, got)
}

func TestNamesOfARowAreReserved(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"table_name", "field_name", "time_bucket", "time", "summary", "bucket_state", "revision", "p99_9", "mode"} {
		require.True(t, record.Reserved(name), name)
	}
	for _, name := range []string{"agent", "final", "host", ""} {
		require.False(t, record.Reserved(name), name)
	}
}

func TestRenameTagsKeepsFreeTags(t *testing.T) {
	t.Parallel()
	tags := []series.Tag{{Key: "host", Value: "a"}, {Key: "count", Value: "b"}, {Key: "time_bucket", Value: "c"}, {Key: "p99_9", Value: "d"}, {Key: "level", Value: "e"}}
	renamed := record.RenameTags(tags, func(name string) bool { return name == "level" })
	require.Equal(t, []string{"count", "time_bucket", "p99_9", "level"}, renamed)
	require.Equal(t, []series.Tag{
		{Key: "host", Value: "a"}, {Key: "count_tag", Value: "b"}, {Key: "time_bucket_tag", Value: "c"}, {Key: "p99_9_tag", Value: "d"}, {Key: "level_tag", Value: "e"},
	}, tags)
}

func TestRenameTagsRemovesBackslashesFromTheEndOfKeys(t *testing.T) {
	t.Parallel()
	tags := []series.Tag{{Key: "a", Value: "1"}, {Key: `a\`, Value: "2"}, {Key: `b\\`, Value: "3"}, {Key: `\`, Value: "4"}, {Key: `mean\`, Value: "5"}, {Key: `c\d`, Value: "6"}}
	renamed := record.RenameTags(tags, nil)
	require.Equal(t, []string{`a\`, `b\\`, `\`, `mean\`}, renamed)
	require.Equal(t, []series.Tag{
		{Key: "a", Value: "1"}, {Key: "a_tag", Value: "2"}, {Key: "b", Value: "3"}, {Key: "_tag", Value: "4"}, {Key: "mean_tag", Value: "5"}, {Key: `c\d`, Value: "6"},
	}, tags)
}

func TestRenameTagsSeparatesKeysThatALineWouldMakeEqual(t *testing.T) {
	t.Parallel()
	tags := []series.Tag{{Key: "t\n", Value: "1"}, {Key: `t\n`, Value: "2"}, {Key: "a\xff", Value: "3"}, {Key: "a\xfe", Value: "4"}}
	record.RenameTags(tags, nil)
	require.Equal(t, []series.Tag{{Key: `t\n_tag`, Value: "1"}, {Key: `t\n`, Value: "2"}, {Key: "a\ufffd", Value: "3"}, {Key: "a\ufffd_tag", Value: "4"}}, tags)
}
