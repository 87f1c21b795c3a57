package api

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// ownLabels are the labels that a series has beside its tags. Only series of an agent with replicas have the last one.
var ownLabels = []string{"database", record.FieldName, record.Agent, record.Replica}

// labels returns the labels of a record, sorted by name. A tag with the name of an own label becomes <name>_tag. It
// returns false if two labels then have the same name.
func labels(t record.Table, r *record.Record) (names, values []string, ok bool) {
	all := make([]series.Tag, 0, len(ownLabels)+len(r.Tags))
	for i, value := range []string{t.Database, r.Field, r.Agent, r.Replica} {
		if value != "" || ownLabels[i] != record.Replica {
			all = append(all, series.Tag{Key: ownLabels[i], Value: value})
		}
	}
	for _, tag := range r.Tags {
		name := labelName(tag.Key)
		if slices.Contains(ownLabels, name) {
			name += series.ClashSuffix
		}
		all = append(all, series.Tag{Key: name, Value: strings.ToValidUTF8(tag.Value, "\uFFFD")})
	}
	slices.SortFunc(all, func(a, b series.Tag) int { return strings.Compare(a.Key, b.Key) })
	names, values, ok = make([]string, 0, len(all)), make([]string, 0, len(all)), true
	for i, label := range all {
		ok = ok && (i == 0 || label.Key != all[i-1].Key)
		names, values = append(names, label.Key), append(values, label.Value)
	}
	return names, values, ok
}

// number returns the value of a statistic as a float64; true is 1 and false is 0. It returns false if the value is
// neither a number nor a boolean.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// metricName returns s as a name that every version of Prometheus allows: other characters become "_".
func metricName(s string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return "_" + name
	}
	return name
}

// labelName returns s as the name of a label. Names that begin with "__" are reserved in Prometheus, so they get a
// prefix.
func labelName(s string) string {
	name := metricName(s)
	if strings.HasPrefix(name, "__") {
		return "tag" + name
	}
	return name
}
