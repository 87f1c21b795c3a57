package record_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

var formStart = time.Unix(1_700_000_000, 500_000_000).UTC()

func formed(edit func(*record.Record)) record.Record {
	r := record.Record{
		Table: `analytics_"t`, Field: "f", Agent: "a", Start: formStart, Tags: tagsOf("host", "h"),
		Stats: []record.Stat{{Name: "count", Value: int64(-6)}, {Name: "mean", Value: 1.5e-9}, {Name: "ok", Value: true}, {Name: "none", Value: nil}},
	}
	if edit != nil {
		edit(&r)
	}
	return r
}

func TestFormMatchesEveryRecordOfItsBucket(t *testing.T) {
	t.Parallel()
	form := record.NewForm(`analytics_"t`, formStart)
	texts := []string{"", "a", `"`, `\`, "\x01\n", "ü\u2028<&>", `","time_bucket":"`, `,"final":true`, "\xff"}
	for _, text := range texts {
		for _, state := range []record.State{record.Unmarked, record.Open, record.Final} {
			r := formed(func(r *record.Record) {
				r.Field, r.Agent, r.Replica, r.State, r.Revision = text, text, text, state, int64(state)
				r.Tags = tagsOf("agent", text, "final", text, "k"+text, text)
			})
			require.True(t, form.Matches(string(r.AppendJSON(nil))), "%s", r.AppendJSON(nil))
			requireOutlined(t, form, string(r.AppendJSON(nil)))
		}
	}
	bare := formed(func(r *record.Record) { r.Tags, r.Stats = nil, nil })
	require.True(t, form.Matches(string(bare.AppendJSON(nil))))
}

func TestFormMatchesNothingElse(t *testing.T) {
	t.Parallel()
	form := record.NewForm(`analytics_"t`, formStart)
	good := formed(nil)
	text := string(good.AppendJSON(nil))
	for what, edit := range map[string]func(*record.Record){
		"another table": func(r *record.Record) { r.Table = "analytics_t" },
		"another start": func(r *record.Record) { r.Start = r.Start.Add(time.Second) },
	} {
		r := formed(edit)
		require.False(t, form.Matches(string(r.AppendJSON(nil))), what)
	}
	for _, other := range []string{"", "garbage", "{}", "[]", "null", text + text, text + " ", " " + text, "[" + text + "]"} {
		require.False(t, form.Matches(other), other)
	}
	for i := range len(text) {
		require.False(t, form.Matches(text[:i]), text[:i])
	}
	member := func(json string) string { return strings.TrimSuffix(text, "}") + "," + json + "}" }
	require.True(t, form.Matches(member(`"x":1`)))
	requireOutlined(t, form, member(`"tag":"after the statistics"`))
	for _, json := range []string{
		`"x":NaN`, `"x":nan`, `"x":01`, `"x":1.`, `"x":.5`, `"x":1e`, `"x":1e+`, `"x":-`, `"x":+1`, `"x":truefalse`, `"x":tru`, `"x":[1]`, `"x":{}`, `"x":`, `"x"`, `x:1`, "",
		"\"x\":\"\xff\"", "\"x\":\"\n\"", `"x":"\x"`, `"x":"\u12g4"`, `"x":"\u12`, `"x":"`, `"x" :1`, `"x": 1`, `"x":1 `,
		`"replica":1`, `"final":"yes"`, `"final":null`, `"final":1`, `"revision":-1`, `"revision":1.5`, `"revision":"1"`, `"agent":"b"`, `"time":1`, `"table_name":"t"`, `"time_bucket":"2000"`, `"field_name":1`,
		`"final":true`, `"revision":2`, `"replica":"after the tags"`,
	} {
		require.False(t, form.Matches(member(json)), json)
	}
}

// FuzzForm checks that each matching text is JSON that Parse reads, except where a tag or a statistic occurs twice.
func FuzzForm(f *testing.F) {
	form := record.NewForm(`analytics_"t`, formStart)
	good := formed(nil)
	text := string(good.AppendJSON(nil))
	f.Add(text)
	f.Add(strings.Replace(text, `"h"`, `"\u00e9\n"`, 1))
	f.Add(strings.Replace(text, `-6`, `-6.25e+10`, 1))
	f.Add(strings.Replace(text, `,"host"`, `,"before":true,"revision":3,"host"`, 1))
	f.Add(strings.Replace(text, `,"host"`, `,"before":true,"host"`, 1))
	f.Fuzz(func(t *testing.T, text string) {
		if !form.Matches(text) {
			return
		}
		require.True(t, json.Valid([]byte(text)), "%q", text)
		r, err := record.Parse([]byte(text))
		if err != nil {
			require.True(t, strings.Contains(err.Error(), "occurs twice") || strings.Contains(err.Error(), "out of range"), "%q: %v", text, err)
			return
		}
		require.Equal(t, `analytics_"t`, r.Table)
		require.True(t, r.Start.Equal(formStart))
		if !strings.Contains(text, `\u`) { // which Parse also understands in the names of the first members
			requireOutlined(t, form, text)
		}
	})
}

// requireOutlined checks that an outline has the record that Parse reads, without what all records of the bucket share.
func requireOutlined(t *testing.T, form record.Form, text string) {
	t.Helper()
	o, ok := form.Outline(text)
	require.True(t, ok)
	got, err := o.Record()
	require.NoError(t, err)
	want, err := record.Parse([]byte(text))
	require.NoError(t, err)
	want.Table, want.Start, want.State, want.HasRevision, want.Revision = "", time.Time{}, record.Unmarked, false, 0
	require.Equal(t, want, got)
}

func BenchmarkForm(b *testing.B) {
	form := record.NewForm(`analytics_"t`, formStart)
	r := formed(nil)
	text := string(r.AppendJSON(nil))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if !form.Matches(text) {
			b.Fatal("no match")
		}
	}
}
