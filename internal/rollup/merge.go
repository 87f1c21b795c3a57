package rollup

import (
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Merge returns the values that several agents have described of one series and field in one bucket. Of the replicas of one
// agent, it takes the fullest, as [Rollup.Add] does. exactLimit is the exact limit of the result, 1 or more. Without parts
// the result is empty. Merge sorts parts in place, so the result does not depend on their order, and keeps none of them.
//
// The error wraps [ErrNoSummary] if a part that is not ignored has no summary, [stats.ErrFormat] if the bytes of a part are
// not a summary, and [stats.ErrOverflow] if there are too many values to count.
func Merge(parts []record.SummaryPart, exactLimit int) (*stats.Summary, error) {
	slices.SortFunc(parts, compare)
	var r Rollup
	ignored, _, err := r.replicas(parts)
	if err != nil {
		return nil, err
	}
	merged := stats.New(exactLimit)
	for i := range parts {
		if ignored != nil && ignored[i] {
			continue
		}
		if len(parts[i].Summary) == 0 {
			return nil, ErrNoSummary
		}
		if err := r.scratch.UnmarshalBinary(parts[i].Summary); err != nil {
			return nil, err
		}
		if err := merged.Merge(&r.scratch); err != nil {
			return nil, err
		}
	}
	return &merged, nil
}

// MaxError is the name of a statistic that every merged record has, because the error depends on the merged values.
const MaxError = "max_error"

// Selection returns the statistics of a record that is merged from stored records: [MaxError], and those that the stored records
// have. names are the names in these records. Repeated ones, and those that are not of statistics, are left out. Percentiles are
// [stats.Linear].
func Selection(names []string) *stats.Selection {
	selected := []string{MaxError}
	for _, name := range names {
		if s, ok := record.ParseStatName(name); ok && !slices.Contains(selected, s.String()) {
			selected = append(selected, s.String())
		}
	}
	selection, err := stats.NewSelection(selected, stats.Linear)
	if err != nil {
		panic(err) // every name is that of a statistic, and occurs once
	}
	return selection
}
