package record

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func sample() Record {
	return Record{
		Table: "analytics_cpu", Field: "usage_idle", Agent: "a1",
		Tags:  []series.Tag{{Key: "host", Value: "h 1"}, {Key: "cpu", Value: "cpu0"}},
		Start: time.Date(2026, 1, 2, 3, 4, 0, 0, time.FixedZone("", 3600)),
		Stats: []Stat{{"count", int64(12)}, {"min", 1.5}, {"max", 1e300}, {"mean", 1.23e-11}, {"total", uint64(math.MaxUint64)}, {"ok", true}},
	}
}

func TestJSONHasItsMembersInOrder(t *testing.T) {
	r := sample()
	want := `{"table_name":"analytics_cpu","field_name":"usage_idle","time_bucket":"2026-01-02T02:04:00Z","time":1767319440000,` +
		`"agent":"a1","cpu":"cpu0","host":"h 1","count":12,"min":1.5,"max":1e+300,"mean":1.23e-11,"total":18446744073709551615,"ok":true}`
	require.Equal(t, []byte(want), r.AppendJSON(nil))
	require.Equal(t, "host", r.Tags[0].Key, "the record itself is not sorted")
}

func TestJSONReadsBack(t *testing.T) {
	r := sample()
	got, err := Parse(r.AppendJSON(nil))
	require.NoError(t, err)
	want := sample()
	want.Tags = []series.Tag{{Key: "cpu", Value: "cpu0"}, {Key: "host", Value: "h 1"}}
	want.Start = want.Start.UTC()
	require.Equal(t, want, got)
}

func TestJSONIsValidForAnyText(t *testing.T) {
	for _, text := range []string{"", "\x00\x1f\x7f", "\"\\/<>&", "\xff\xfe", "\u2028é😀", "a\nb"} {
		r := sample()
		r.Table, r.Field, r.Agent, r.Tags[0] = text, text, text, series.Tag{Key: text, Value: text}
		r.Stats[0].Name = "s" + text
		b := r.AppendJSON(nil)
		require.True(t, json.Valid(b), "%q: %s", text, b)
	}
}

func TestNoNumberIsNull(t *testing.T) {
	for _, v := range []any{math.NaN(), math.Inf(1), math.Inf(-1), "text", nil} {
		r := Record{Stats: []Stat{{"x", v}}}
		require.Contains(t, string(r.AppendJSON(nil)), `"x":null}`)
	}
}

func TestNumbersAreThoseOfEncodingJSON(t *testing.T) {
	for _, v := range []float64{0, 1, -1, 0.1, 1e-6, 9.99e-7, 1e20, 1e21, 123456789.125, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		var got float64
		require.NoError(t, json.Unmarshal(appendFloat(nil, v), &got))
		require.Equal(t, v, got)
	}
}

func TestClashingTagsAreRenamedInJSON(t *testing.T) {
	r := sample()
	r.Tags = []series.Tag{{Key: "agent", Value: "x"}, {Key: "min", Value: "y"}, {Key: "min_tag", Value: "z"}, {Key: "ok", Value: "w"}, {Key: "time", Value: "v"}}
	got, err := Parse(r.AppendJSON(nil))
	require.NoError(t, err)
	require.Equal(t, []series.Tag{{Key: "agent_tag", Value: "x"}, {Key: "min_tag", Value: "z"}, {Key: "min_tag_tag", Value: "y"}, {Key: "ok_tag", Value: "w"}, {Key: "time_tag", Value: "v"}}, got.Tags)
	require.Equal(t, "a1", got.Agent)
}

func TestParseNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		``: "EOF", `[]`: "found [, want {", `{`: "EOF", `{}`: `no member "table_name"`,
		`{"table_name":"t","field_name":"f","time_bucket":"2026-01-02T02:04:00Z"} 1`: "more after its end",
		`{"table_name":"t","table_name":"t"}`:                                        `member "table_name" stands twice`,
		`{"time_bucket":"yesterday"}`:                                                "time_bucket",
		`{"x":{}}`:                                                                   `member "x" is {`,
		`{"table_name":"t","field_name":true}`:                                       `member "field_name" is true, want a string`,
		`{"x":1e999}`:                                                                `member "x"`,
	} {
		_, err := Parse([]byte(text))
		require.ErrorIs(t, err, ErrFormat, text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParse(f *testing.F) {
	r := sample()
	f.Add(r.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err != nil {
			return
		}
		again, err := Parse(r.AppendJSON(nil))
		require.NoError(t, err)
		require.Equal(t, string(r.AppendJSON(nil)), string(again.AppendJSON(nil)))
	})
}

func TestStatNamesAreFieldNames(t *testing.T) {
	names := make(map[string]string)
	for _, name := range []string{"count", "mean", "mode_count", "p9", "p99", "p99.9", "p9.99", "p0.999", "p99.99", "max_error"} {
		s, err := stats.ParseStatistic(name)
		require.NoError(t, err)
		field := StatName(s)
		require.Empty(t, names[field], "%s and %s have one name", names[field], name)
		names[field] = name
		require.True(t, IsStatName(field), field)
		require.True(t, Reserved(field), field)
	}
	require.Equal(t, "p99.9", names["p99_9"])
	for _, name := range []string{"host", "p", "p99.9", "p99_90", "p095", "Count", "p101", "mode.count", ""} {
		require.False(t, IsStatName(name), name)
	}
}

func TestRenameTagsKeepsFreeTags(t *testing.T) {
	tags := []series.Tag{{Key: "host", Value: "a"}, {Key: "count", Value: "b"}, {Key: "time_bucket", Value: "c"}, {Key: "p99_9", Value: "d"}, {Key: "level", Value: "e"}}
	renamed := RenameTags(tags, func(name string) bool { return name == "level" })
	require.Equal(t, []string{"count", "time_bucket", "p99_9", "level"}, renamed)
	require.Equal(t, []series.Tag{{Key: "host", Value: "a"}, {Key: "count_tag", Value: "b"}, {Key: "time_bucket_tag", Value: "c"}, {Key: "p99_9_tag", Value: "d"}, {Key: "level_tag", Value: "e"}}, tags)
}

func TestRenameTagsTakesBackslashesOffTheEnd(t *testing.T) {
	tags := []series.Tag{{Key: "a", Value: "1"}, {Key: `a\`, Value: "2"}, {Key: `b\\`, Value: "3"}, {Key: `\`, Value: "4"}, {Key: `mean\`, Value: "5"}, {Key: `c\d`, Value: "6"}}
	renamed := RenameTags(tags, nil)
	require.Equal(t, []string{`a\`, `b\\`, `\`, `mean\`}, renamed)
	require.Equal(t, []series.Tag{{Key: "a", Value: "1"}, {Key: "a_tag", Value: "2"}, {Key: "b", Value: "3"}, {Key: "_tag", Value: "4"}, {Key: "mean_tag", Value: "5"}, {Key: `c\d`, Value: "6"}}, tags)
}

func TestTextsThatArriveAlikeAreMadeAlike(t *testing.T) {
	tags := []series.Tag{{Key: "t\n", Value: "1"}, {Key: `t\n`, Value: "2"}, {Key: "a\xff", Value: "3"}, {Key: "a\xfe", Value: "4"}}
	RenameTags(tags, nil)
	require.Equal(t, []series.Tag{{Key: `t\n_tag`, Value: "1"}, {Key: `t\n`, Value: "2"}, {Key: "a\ufffd", Value: "3"}, {Key: "a\ufffd_tag", Value: "4"}}, tags)
}
