package stats

import (
	"regexp"
	"slices"
	"strings"
)

// synonyms are names that other programs, such as SQL, pandas and Telegraf's basicstats, have for our statistics. Underscores are left out.
var synonyms = map[string]string{
	"average": "mean", "avg": "mean", "maximum": "max", "minimum": "min", "n": "count", "s2": "variance", "sd": "stddev",
	"standarddeviation": "stddev", "std": "stddev", "stdev": "stddev", "total": "sum", "var": "variance",
}

// percentileName matches names that other programs have for a percentile: "95", "P95", "q95", "95%", "95th_percentile", "95Percentile",
// "percentile_99_9".
var percentileName = regexp.MustCompile(`^(?:p|pct|percentile|q|quantile)?[ _]?([0-9]+(?:[._][0-9]+)?)(?:%|st|nd|rd|th)?[ _]?(?:percentile)?$`)

// synonym returns our name of the statistic that another program calls name, or "". Upper and lower case are the same.
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
