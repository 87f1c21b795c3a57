package plugintest

import (
	"maps"
	"slices"
	"testing"

	"github.com/influxdata/telegraf"
	"github.com/stretchr/testify/require"
)

// RequireSame checks that every way of reading two metrics has the same result. It calls functions of require only for what differs, because
// they take long.
func RequireSame(t testing.TB, want, got telegraf.Metric) {
	t.Helper()
	skipped := []string{"host", "mean"}
	template, ok := got.(telegraf.TemplateMetric)
	require.True(t, ok)
	read := func(m telegraf.Metric) [6]any {
		return [6]any{
			m.Name(), m.Type(), m.Time().UnixNano(), m.HashID(), m.HashIDWithFieldsFiltered(skipped, skipped),
			m.(telegraf.TemplateMetric).String(),
		}
	}
	if a, b := read(want), read(got); a != b {
		require.Equal(t, a, b)
	}
	if a, b := values(want.TagList()), values(got.TagList()); !slices.Equal(a, b) {
		require.Equal(t, a, b)
	}
	if a, b := values(want.FieldList()), values(got.FieldList()); !slices.Equal(a, b) {
		require.Equal(t, a, b)
	}
	if a, b := want.Tags(), got.Tags(); !maps.Equal(a, b) {
		require.Equal(t, a, b)
	}
	if a, b := want.Fields(), got.Fields(); !maps.Equal(a, b) {
		require.Equal(t, a, b)
	}
	for _, key := range []string{"cpu", "field_name", "host", "count", "mean", "zone", "a", ""} {
		tag, hasTag := want.GetTag(key)
		field, hasField := want.GetField(key)
		gotTag, gotHasTag := got.GetTag(key)
		gotField, gotHasField := got.GetField(key)
		a := [8]any{tag, hasTag, hasTag, tag, field, hasField, hasField, field}
		b := [8]any{gotTag, gotHasTag, got.HasTag(key), template.Tag(key), gotField, gotHasField, got.HasField(key), template.Field(key)}
		if a != b {
			require.Equal(t, a, b, key)
		}
	}
}

// values returns what the pointers point to.
func values[E any](pointers []*E) []E {
	all := make([]E, len(pointers))
	for i, p := range pointers {
		all[i] = *p
	}
	return all
}
