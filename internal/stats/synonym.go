package stats

import (
	"regexp"
	"slices"
	"strings"
)

// synonyms are names of our statistics in SQL, pandas, Telegraf's basicstats and other programs, without underscores and in lower
// case.
var synonyms = map[string]string{
	"average": "mean", "avg": "mean", "maximum": "max", "minimum": "min", "n": "count", "s2": "variance", "sd": "stddev",
	"standarddeviation": "stddev", "std": "stddev", "stdev": "stddev", "total": "sum", "var": "variance",
}

// percentileName matches names of a percentile in other programs, in lower case: "95", "p95", "q95", "95%", "95th_percentile",
// "95percentile", "percentile_99_9".
var percentileName = regexp.MustCompile(`^(?:p|pct|percentile|q|quantile)?[ _]?([0-9]+(?:[._][0-9]+)?)(?:%|st|nd|rd|th)?[ _]?(?:percentile)?$`)

// synonym returns our name of the statistic that other programs call name, or "" if there is none. Case does not count.
func synonym(name string) string {
	name = strings.ToLower(name)
	if m := percentileName.FindStringSubmatch(name); m != nil {
		rank := strings.Replace(m[1], "_", ".", 1)
		if _, err := ParsePercentile(rank); err == nil {
			return "p" + rank
		}
		return ""
	}
	if i := slices.Index(Names(), name); i >= 0 && Kind(i) != Quantile {
		return name
	}
	return synonyms[strings.NewReplacer("_", "", " ", "").Replace(name)]
}
