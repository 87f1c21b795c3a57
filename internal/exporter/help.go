package exporter

import (
	"fmt"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

// Units of statistics, as the end of a help text.
const (
	unitOfField = ", in the unit of the field"
	squaredUnit = ", in the square of the unit of the field"
)

// helps describes every kind of statistic: what it is, and its unit. A percentile has a text of its own.
var helps = map[stats.Kind]struct{ what, unit string }{
	stats.Count:     {"Number of the values", ""},
	stats.Min:       {"Smallest value", unitOfField},
	stats.Max:       {"Largest value", unitOfField},
	stats.Sum:       {"Sum of the values", unitOfField},
	stats.Mean:      {"Mean of the values", unitOfField},
	stats.Range:     {"Difference between the largest and the smallest value", unitOfField},
	stats.StdDev:    {"Sample standard deviation of the values", unitOfField},
	stats.Variance:  {"Sample variance of the values", squaredUnit},
	stats.Median:    {"Median of the values", unitOfField},
	stats.Mode:      {"Most frequent value", unitOfField},
	stats.ModeCount: {"How often the most frequent value occurs", ""},
	stats.ModeError: {"How much more often than the mode another value may occur", ""},
	stats.IQR:       {"Difference between the percentiles 75 and 25 of the values", unitOfField},
	stats.First:     {"First value by time", unitOfField},
	stats.Last:      {"Last value by time", unitOfField},
	stats.MaxError:  {"Largest relative error of the percentiles, 0 if they are exact,", ""},
}

// helpOfStat returns the help of the gauges of a statistic.
func helpOfStat(t record.Table, name string) string {
	s, ok := record.ParseStatName(name)
	if !ok {
		return helpOf(t, "Statistic "+name, "")
	}
	// Without the p: the help of p99.9 has "Percentile 99.9".
	if s.Kind() == stats.Quantile {
		return helpOf(t, "Percentile "+s.String()[1:]+" of the values", unitOfField)
	}
	return helpOf(t, helps[s.Kind()].what, helps[s.Kind()].unit)
}

// helpOfStart returns the help of the gauge of the starts of buckets.
func helpOfStart(t record.Table) string {
	return fmt.Sprintf("Start of the newest final bucket of each series of the table %s, in seconds since 1970.", t.Name)
}

// helpOfDistribution returns the help of the histograms.
func helpOfDistribution(t record.Table) string {
	return helpOf(t, "Distribution of the values", unitOfField)
}

// helpOf returns a help in the words that all share. unit is empty or begins with a comma.
func helpOf(t record.Table, what, unit string) string {
	return fmt.Sprintf("%s in the newest final bucket of each series of the table %s%s.", what, t.Name, unit)
}
