package api

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// awkward are records of different series of one table, with texts that look like other places of the JSON.
func awkward() []record.Record {
	tags := func(texts ...string) (tags []series.Tag) {
		for i := 0; i < len(texts); i += 2 {
			tags = append(tags, series.Tag{Key: texts[i], Value: texts[i+1]})
		}
		return tags
	}
	return []record.Record{
		{Field: "f"}, {Field: "f", Agent: "a"}, {Field: "f", Agent: `a","host":"b`}, {Field: "f", Agent: "a", Tags: tags("host", "b")},
		{Field: "f", Agent: "a", Tags: tags("host", "b", "x", "c")}, {Field: "f", Agent: "a", Tags: tags("host", `b","x":"c`)},
		{Field: "f", Agent: "a", Tags: tags("host", `b\`)}, {Field: "f", Agent: "a", Tags: tags("host", `b\"`)}, {Field: "f", Agent: "a", Tags: tags("host", "")},
		{Field: `f","time_bucket":"`, Agent: "a"}, {Field: `f","agent":"a`, Agent: ""}, {Field: "f", Agent: "a", Tags: tags("final", "true")},
		{Field: "f", Agent: "a", Tags: tags(`final":true,"x`, "")}, {Field: "ü", Agent: "é", Tags: tags("<&>", "\u2028"), Table: "t"},
	}
}

func TestSeriesOfIsTheSameForEveryRecordOfASeries(t *testing.T) {
	t.Parallel()
	names := make(map[seriesNames]int)
	for i, r := range awkward() {
		for minute := range 3 {
			r.Start = time.Unix(int64(minute)*60, 0)
			for _, stats := range [][]record.Stat{nil, {{Name: "mean", Value: float64(minute)}}, {{Name: "ok", Value: true}, {Name: "y", Value: nil}}} {
				text := string(r.AppendJSON(nil))
				r.Stats = stats
				require.Equal(t, record.Unmarked, stateOf(text))
				name, ok := seriesOf(text)
				require.True(t, ok, text)
				if other, known := names[name]; known {
					require.Equal(t, other, i, "%s has the name of another series", text)
				}
				names[name] = i
			}
		}
	}
	require.Len(t, names, len(awkward()))
}

// These members may stand before the tags, between them and the statistics, or at the end.
func TestSeriesOfDoesNotDependOnFinalAndRevision(t *testing.T) {
	t.Parallel()
	const head, tags = `{"table_name":"t","field_name":"f","time_bucket":"1970-01-01T00:00:00Z","time":0`, `"host":"b","x":"c"`
	want, ok := seriesOf(head + `,"agent":"a",` + tags + `,"count":1}`)
	require.True(t, ok)
	for text, state := range map[string]record.State{
		head + `,"final":true,"agent":"a",` + tags + `,"count":1}`:            record.Final,
		head + `,"agent":"a","final":false,` + tags + `,"count":1}`:           record.Open,
		head + `,"agent":"a",` + tags + `,"final":true,"count":1}`:            record.Final,
		head + `,"agent":"a",` + tags + `,"count":1,"final":false}`:           record.Open,
		head + `,"agent":"a",` + tags + `,"final":true}`:                      record.Final,
		head + `,"agent":"a","final":true,` + tags + `}`:                      record.Final,
		head + `,"agent":"a","final":true,"revision":12,` + tags + `,"n":1}`:  record.Final,
		head + `,"agent":"a","revision":12,` + tags + `,"count":1}`:           record.Unmarked,
		head + `,"agent":"a",` + tags + `,"final":null,"count":1}`:            record.Unmarked,
		head + `,"agent":"a",` + tags + `,"count":1,"text":"\"final\":true"}`: record.Unmarked,
	} {
		got, ok := seriesOf(text)
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
		require.Equal(t, state, stateOf(text), text)
	}
}

// A text that no record has is parsed instead, which rejects it.
func TestSeriesOfRejectsOtherTexts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}", "[]", `{"time_bucket":"","agent":"a"}`, `,"time_bucket":"","agent":`, `,"time_bucket":"","agent":1`, `,"time_bucket":"","agent":"a","b`} {
		_, ok := seriesOf(text)
		require.False(t, ok, text)
	}
}

func FuzzSeriesOf(f *testing.F) {
	for _, r := range awkward() {
		f.Add(string(r.AppendJSON(nil)))
	}
	f.Fuzz(func(t *testing.T, text string) {
		stateOf(text)
		if name, ok := seriesOf(text); ok {
			require.LessOrEqual(t, len(name.field)+len(name.agent)+len(name.replica)+len(name.tags), len(text))
		}
	})
}

func TestCommonDistanceIsTheMedian(t *testing.T) {
	t.Parallel()
	for starts, want := range map[string]time.Duration{
		"": 0, "5": 0, "0 10": 10, "0 10 20 30 1000": 10, "0 1 3600 3601 7200": 3599, "0 60 120 7200 7260": 60, "0 28 59 89": 30,
	} {
		var times []time.Time
		for _, text := range strings.Fields(starts) {
			seconds, err := time.ParseDuration(text + "s")
			require.NoError(t, err)
			times = append(times, time.Unix(0, 0).Add(seconds))
		}
		require.Equal(t, want*time.Second, commonDistance(times), starts)
	}
}
