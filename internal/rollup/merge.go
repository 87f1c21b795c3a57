package rollup

import (
	"slices"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Merge returns the values that several agents have described of one series and field in one bucket. Of the replicas of one
// agent, the fullest counts. The result does not depend on the order of the parts, which Merge changes. exactLimit is the
// exact limit of the result.
//
// The error wraps [ErrNoSummary] if a part that counts has no summary, and [stats.ErrFormat] if the bytes of a part are not
// one.
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
