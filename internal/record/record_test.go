package record

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

func sample() Record {
	return Record{
		Table: "analytics_cpu", Field: "usage_idle", Agent: "a1",
		Tags:  []Tag{{"host", "h 1"}, {"cpu", "cpu0"}},
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
	want.Tags = []Tag{{"cpu", "cpu0"}, {"host", "h 1"}}
	want.Start = want.Start.UTC()
	require.Equal(t, want, got)
}

func TestJSONIsValidForAnyText(t *testing.T) {
	for _, text := range []string{"", "\x00\x1f\x7f", "\"\\/<>&", "\xff\xfe", "\u2028é😀", "a\nb"} {
		r := sample()
		r.Table, r.Field, r.Agent, r.Tags[0] = text, text, text, Tag{text, text}
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
	r.Tags = []Tag{{"agent", "x"}, {"min", "y"}, {"min_tag", "z"}, {"ok", "w"}, {"time", "v"}}
	got, err := Parse(r.AppendJSON(nil))
	require.NoError(t, err)
	require.Equal(t, []Tag{{"agent_tag", "x"}, {"min_tag", "z"}, {"min_tag_tag", "y"}, {"ok_tag", "w"}, {"time_tag", "v"}}, got.Tags)
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

func TestTagNamesKeepsFreeTags(t *testing.T) {
	tags := []Tag{{"host", "a"}, {"count", "b"}, {"time_bucket", "c"}, {"p99_9", "d"}, {"level", "e"}}
	renamed := TagNames(tags, func(name string) bool { return name == "level" })
	require.Equal(t, []string{"count", "time_bucket", "p99_9", "level"}, renamed)
	require.Equal(t, []Tag{{"host", "a"}, {"count_tag", "b"}, {"time_bucket_tag", "c"}, {"p99_9_tag", "d"}, {"level_tag", "e"}}, tags)
}

func TestTagNamesTakesBackslashesOffTheEnd(t *testing.T) {
	tags := []Tag{{"a", "1"}, {`a\`, "2"}, {`b\\`, "3"}, {`\`, "4"}, {`mean\`, "5"}, {`c\d`, "6"}}
	renamed := TagNames(tags, nil)
	require.Equal(t, []string{`a\`, `b\\`, `\`, `mean\`}, renamed)
	require.Equal(t, []Tag{{"a", "1"}, {"a_tag", "2"}, {"b", "3"}, {"_tag", "4"}, {"mean_tag", "5"}, {`c\d`, "6"}}, tags)
}

func TestTextsThatArriveAlikeAreMadeAlike(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain ü 😀": "plain ü 😀", "a\nb": `a\nb`, "\t\f\r": `\t\f\r`, `a\\`: "a", `\`: "", "a\xffb": "a\ufffdb", `a\b`: `a\b`,
	} {
		require.Equal(t, want, Sendable(text))
		require.Equal(t, want, Sendable(want), "it stays so")
	}
	tags := []Tag{{"t\n", "1"}, {`t\n`, "2"}, {"a\xff", "3"}, {"a\xfe", "4"}}
	TagNames(tags, nil)
	require.Equal(t, []Tag{{`t\n_tag`, "1"}, {`t\n`, "2"}, {"a\ufffd", "3"}, {"a\ufffd_tag", "4"}}, tags)
}
