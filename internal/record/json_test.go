package record_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func sample() record.Record {
	return record.Record{
		Table: "analytics_cpu", Field: "usage_idle", Agent: "a1",
		Tags:  []series.Tag{{Key: "cpu", Value: "cpu0"}, {Key: "host", Value: "h 1"}},
		Start: time.Date(2026, 1, 2, 3, 4, 0, 0, time.FixedZone("", 3600)),
		Stats: []record.Stat{
			{Name: "count", Value: int64(12)}, {Name: "min", Value: 1.5}, {Name: "max", Value: 1e300}, {Name: "mean", Value: 1.23e-11},
			{Name: "total", Value: uint64(math.MaxUint64)}, {Name: "ok", Value: true},
		},
	}
}

func TestJSONHasItsMembersInOrder(t *testing.T) {
	t.Parallel()
	const head = `{"table_name":"analytics_cpu","field_name":"usage_idle","time_bucket":"2026-01-02T02:04:00Z","time":1767319440000,"agent":"a1"`
	const rest = `,"cpu":"cpu0","host":"h 1","count":12,"min":1.5,"max":1e+300,"mean":1.23e-11,"total":18446744073709551615,"ok":true}`
	for want, edit := range map[string]func(r *record.Record){
		head + rest:                                func(*record.Record) {},
		head + `,"final":false` + rest:             func(r *record.Record) { r.State = record.Open },
		head + `,"final":true` + rest:              func(r *record.Record) { r.State, r.HasRevision = record.Final, true },
		head + `,"replica":"b"` + rest:             func(r *record.Record) { r.Replica = "b" },
		head + `,"final":true,"revision":3` + rest: func(r *record.Record) { r.State, r.HasRevision, r.Revision = record.Final, true, 3 },
	} {
		r := sample()
		edit(&r)
		require.Equal(t, want, string(r.AppendJSON(nil)))
	}
}

func TestJSONReadsBack(t *testing.T) {
	t.Parallel()
	for _, state := range []record.State{record.Unmarked, record.Open, record.Final} {
		for revision := range int64(3) {
			want := sample()
			want.State, want.HasRevision, want.Revision, want.Replica = state, revision > 0, revision, []string{"", "b", `","final":true`}[revision]
			got, err := record.Parse(want.AppendJSON(nil))
			require.NoError(t, err)
			want.Start = want.Start.UTC()
			require.Equal(t, want, got)
		}
	}
}

func TestJSONIsValidForAnyText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "\x00\x1f\x7f", "\"\\/<>&", "\xff\xfe", "\u2028é😀", "a\nb"} {
		r := sample()
		r.Table, r.Field, r.Agent, r.Tags[0] = text, text, text, series.Tag{Key: text, Value: text}
		r.Stats[0].Name = "s" + text
		b := r.AppendJSON(nil)
		require.True(t, json.Valid(b), "%q: %s", text, b)
	}
}

func TestValuesThatAreNotNumbersAreNull(t *testing.T) {
	t.Parallel()
	for _, v := range []any{math.NaN(), math.Inf(1), math.Inf(-1), "text", nil} {
		r := record.Record{Stats: []record.Stat{{Name: "x", Value: v}}}
		require.Contains(t, string(r.AppendJSON(nil)), `"x":null}`)
	}
}

// Floats have an exponent where those of encoding/json have one, and read back.
func TestFloatsAreWrittenAsEncodingJSONWritesThem(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{0, 1, -1, 0.1, 1e-6, 9.99e-7, 1e20, math.Nextafter(1e21, 0), 1e21, 123456789.125, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		r := record.Record{Stats: []record.Stat{{Name: "x", Value: v}}}
		var got struct{ X float64 }
		require.NoError(t, json.Unmarshal(r.AppendJSON(nil), &got))
		require.Equal(t, v, got.X)
		want, err := json.Marshal(v)
		require.NoError(t, err)
		text := string(record.AppendFloat(nil, v))
		require.Equal(t, strings.Contains(string(want), "e"), strings.Contains(text, "e"), text)
	}
}

func TestClashingTagsAreRenamedInJSON(t *testing.T) {
	t.Parallel()
	r := sample()
	r.State = record.Final
	r.Tags = []series.Tag{
		{Key: "agent", Value: "x"}, {Key: "final", Value: "u"}, {Key: "min", Value: "y"}, {Key: "min_tag", Value: "z"}, {Key: "ok", Value: "w"},
		{Key: "replica", Value: "s"}, {Key: "revision", Value: "t"}, {Key: "time", Value: "v"},
	}
	got, err := record.Parse(r.AppendJSON(nil))
	require.NoError(t, err)
	want := []series.Tag{
		{Key: "agent_tag", Value: "x"}, {Key: "final_tag", Value: "u"}, {Key: "min_tag", Value: "z"}, {Key: "min_tag_tag", Value: "y"},
		{Key: "ok_tag", Value: "w"}, {Key: "replica_tag", Value: "s"}, {Key: "revision_tag", Value: "t"}, {Key: "time_tag", Value: "v"},
	}
	require.Equal(t, want, got.Tags)
	require.Equal(t, want, r.JSONTags())
	require.Equal(t, "agent", r.Tags[0].Key, "the record itself is not changed")
	require.Equal(t, "a1", got.Agent)
	require.Equal(t, record.Final, got.State)
}

func TestTagsWithoutAClashAreNotCopied(t *testing.T) { //nolint:paralleltest // counts allocations
	r := sample()
	require.Same(t, &r.Tags[0], &r.JSONTags()[0])
	buf := r.AppendJSON(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = r.AppendJSON(buf[:0]) }))
}

func TestParseErrorsNameTheFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``: "EOF", `[]`: "found [, want {", `{`: "EOF", `{}`: `no member "table_name"`,
		`{"table_name":"t","field_name":"f","time_bucket":"2026-01-02T02:04:00Z"} 1`:              "more text after the object",
		`{"table_name":"t","field_name":"f","time_bucket":"2026-01-02T02:04:00Z"}}`:               "more text after the object",
		`{"table_name":"t","field_name":"f","time_bucket":"2026-01-02T02:04:00Z"}]`:               "more text after the object",
		`{"table_name":"t","table_name":"t"}`:                                                     `member "table_name" occurs twice`,
		`{"table_name":"t","field_name":"f","time_bucket":"2026-01-02T02:04:00Z","time":{"x":1}}`: `member "time" is {, want a number`,
		`{"time":"noon"}`:                      `member "time" is noon, want a number`,
		`{"time_bucket":"yesterday"}`:          "time_bucket",
		`{"x":{}}`:                             `member "x" is {`,
		`{"table_name":"t","field_name":true}`: `member "field_name" is true, want a string`,
		`{"final":"yes"}`:                      `member "final" is yes, want a boolean`,
		`{"revision":-1}`:                      `member "revision" is -1, want an integer of 0 or more`,
		`{"revision":"1"}`:                     `member "revision" is 1, want an integer of 0 or more`,
		`{"x":1e999}`:                          `member "x"`,
	} {
		_, err := record.Parse([]byte(text))
		require.ErrorIs(t, err, record.ErrFormat, text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParse(f *testing.F) {
	r := sample()
	f.Add(r.AppendJSON(nil))
	r.State, r.HasRevision, r.Revision = record.Final, true, 2
	f.Add(r.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := record.Parse(b)
		if err != nil {
			return
		}
		again, err := record.Parse(r.AppendJSON(nil))
		require.NoError(t, err)
		require.Equal(t, string(r.AppendJSON(nil)), string(again.AppendJSON(nil)))
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	r := sample()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendJSON(buf[:0])
	}
}
