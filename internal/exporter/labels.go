package exporter

import (
	"slices"
	"strings"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// ownLabels are the labels that a series can have beside its tags. Only a series of one agent has the last two.
var ownLabels = []string{"database", record.FieldName, record.Agent, record.Replica}

// partLabels distinguish the samples of a classic histogram or summary. promtool refuses them for gauges, and Telegraf's input
// prometheus makes tags of them.
var partLabels = []string{"le", "quantile"}

// labels are the labels of a sample, sorted by name. The names are valid names of labels.
type labels struct{ names, values []string }

// labelsOf returns the labels of a record. A tag with the name of one of ownLabels or partLabels becomes <name>_tag. It returns
// false if two labels then have the same name, as the tags "a-b" and "a.b" have: Prometheus would refuse the whole exposition. For
// example, of the series with the tags database=x and host=b:
//
//	{database="mydb",database_tag="x",field_name="usage_idle",host="b"}
func labelsOf(e Table, r *record.Record) (l labels, ok bool) {
	all := make([]series.Tag, 0, len(ownLabels)+len(r.Tags))
	all = append(all, series.Tag{Key: ownLabels[0], Value: e.Database}, series.Tag{Key: ownLabels[1], Value: r.Field})
	if e.EachAgent {
		all = append(all, series.Tag{Key: ownLabels[2], Value: r.Agent})
		if r.Replica != "" {
			all = append(all, series.Tag{Key: ownLabels[3], Value: r.Replica})
		}
	}
	for _, tag := range r.Tags {
		name := labelName(tag.Key)
		if slices.Contains(ownLabels, name) || slices.Contains(partLabels, name) {
			name += series.ClashSuffix
		}
		all = append(all, series.Tag{Key: name, Value: strings.ToValidUTF8(tag.Value, "\uFFFD")})
	}
	slices.SortFunc(all, func(a, b series.Tag) int { return strings.Compare(a.Key, b.Key) })
	l, ok = labels{make([]string, 0, len(all)), make([]string, 0, len(all))}, true
	for i, label := range all {
		ok = ok && (i == 0 || label.Key != all[i-1].Key)
		l.names, l.values = append(l.names, label.Key), append(l.values, label.Value)
	}
	return l, ok
}

// encode returns the labels as they are in an exposition: as text such as {field_name="usage",host="b"}, or as the fields of the
// message Metric. The results are equal if and only if the labels are.
func (l labels) encode(protobuf bool) string {
	if protobuf {
		return string(l.appendProto(nil))
	}
	b := []byte{'{'}
	for i, name := range l.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, name...), `="`...)
		b = append(append(b, escapeLabel.Replace(l.values[i])...), '"')
	}
	return string(append(b, '}'))
}

// escapeLabel escapes the value of a label in both text formats, and a help in that of OpenMetrics.
var escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

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

// statEnds are the ends of names that Prometheus keeps for the parts of a histogram and for counters, and what replaces each: promtool
// refuses such names of gauges, and some would be those of the classic histogram of the distribution.
var statEnds = []struct{ name, instead string }{
	{"count", "values"}, {"sum", "sum_of_values"}, {"bucket", "bucket_value"}, {"total", "total_value"},
}

// statName returns the end of the name of a statistic's gauge. For example, count becomes values, mode_count mode_values, and p99_9
// stays.
func statName(s string) string {
	name := metricName(s)
	for _, end := range statEnds {
		if rest, ok := strings.CutSuffix(name, end.name); ok && (rest == "" || strings.HasSuffix(rest, "_")) {
			return rest + end.instead
		}
	}
	return name
}

// metricName returns s as a name that every version of Prometheus allows: other characters become "_". For example, disk-io.read
// becomes disk_io_read, and 5min _5min.
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

// labelName returns s as the name of a label. Names that begin with "__" are reserved in Prometheus, so they get a prefix. For
// example, __x becomes tag__x.
func labelName(s string) string {
	name := metricName(s)
	if strings.HasPrefix(name, "__") {
		return "tag" + name
	}
	return name
}
