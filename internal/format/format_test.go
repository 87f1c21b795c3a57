package format_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/format"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// samples are records with different members and awkward names.
func samples() []record.Record {
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	return []record.Record{
		{Table: "analytics_cpu", Field: "usage", Agent: "a1", Start: at, State: record.Open, Tags: []series.Tag{{Key: "host", Value: "h 1"}},
			Stats: []record.Stat{{Name: "count", Value: int64(3)}, {Name: "mean", Value: 2.0}, {Name: "ok", Value: true}}},
		{Table: "analytics_cpu", Field: "=cmd|' /C calc'!A0", Agent: "-a", Replica: "@b", Start: at.Add(1), State: record.Final, HasRevision: true, Revision: 2,
			Tags:  []series.Tag{{Key: "+zone", Value: "\tx"}, {Key: "host", Value: "a,\"b\"\r\nc"}},
			Stats: []record.Stat{{Name: "count", Value: int64(1)}, {Name: "max", Value: -1.5e300}, {Name: "total", Value: uint64(math.MaxUint64)}}},
		{Table: "analytics_cpu", Field: "ü \\", Agent: "a1", Start: at, Tags: []series.Tag{{Key: "empty", Value: ""}, {Key: "h,=", Value: "v\x01"}}, Stats: []record.Stat{{Name: "p99_9", Value: 1e-7}}},
	}
}

func texts(records ...record.Record) (all []string) {
	for i := range records {
		all = append(all, string(records[i].AppendJSON(nil)))
	}
	return all
}

func encoded(t *testing.T, f format.Format, pretty bool, records ...record.Record) string {
	t.Helper()
	b, err := f.Append([]byte("before "), texts(records...), pretty, anyCells)
	require.NoError(t, err)
	rest, ok := strings.CutPrefix(string(b), "before ")
	require.True(t, ok, "Append keeps what was there")
	return rest
}

func TestJSONIsAnArrayOfTheStoredBytes(t *testing.T) {
	t.Parallel()
	all := texts(samples()...)
	require.Equal(t, "["+strings.Join(all, ",")+"]\n", encoded(t, format.JSON, false, samples()...))
	require.Equal(t, "[]\n", encoded(t, format.JSON, false))
	require.Equal(t, "[]\n", encoded(t, format.JSON, true))
	pretty := encoded(t, format.JSON, true, samples()...)
	require.JSONEq(t, "["+strings.Join(all, ",")+"]", pretty)
	require.True(t, strings.HasPrefix(pretty, "[\n  {\n    \"table_name\": \"analytics_cpu\",\n"), pretty)
	require.Equal(t, strings.Join(all, "\n")+"\n", encoded(t, format.JSONLines, true, samples()...))
}

func TestCSVHasAColumnForEachMember(t *testing.T) {
	t.Parallel()
	rows, err := csv.NewReader(strings.NewReader(encoded(t, format.CSV, false, samples()...))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, [][]string{
		{"table_name", "field_name", "time_bucket", "time", "agent", "replica", "final", "revision", "'+zone", "empty", "h,=", "host", "count", "mean", "ok", "max", "total", "p99_9"},
		{"analytics_cpu", "usage", "2026-01-02T03:04:00Z", "1767323040000", "a1", "", "false", "0", "", "", "", "h 1", "3", "2", "true", "", "", ""},
		{"analytics_cpu", "'=cmd|' /C calc'!A0", "2026-01-02T03:04:00.000000001Z", "1767323040000", "'-a", "'@b", "true", "2", "'\tx", "", "", "a,\"b\"\nc", "1", "", "", "-1.5e+300", "18446744073709551615", ""},
		{"analytics_cpu", "ü \\", "2026-01-02T03:04:00Z", "1767323040000", "a1", "", "", "0", "", "", "v\x01", "", "", "", "", "", "", "1e-07"},
	}, rows)
	require.Equal(t, "table_name,field_name,time_bucket,time,agent\n", encoded(t, format.CSV, false))
}

// A record with a tag and a statistic of one name has the tag under another name. CSV has one header for all records.
func TestCSVColumnsHaveDifferentNames(t *testing.T) {
	t.Parallel()
	rec := func(stat string, tags ...series.Tag) record.Record {
		return record.Record{Table: "t", Field: "f", Agent: "a", Stats: []record.Stat{{Name: stat, Value: 1.5}}, Tags: tags}
	}
	columns := func(records ...record.Record) (header []string, cells [][]string) {
		rows, err := csv.NewReader(strings.NewReader(encoded(t, format.CSV, false, records...))).ReadAll()
		require.NoError(t, err)
		for _, row := range rows {
			cells = append(cells, row[5:])
		}
		return cells[0], cells[1:]
	}
	x, y := series.Tag{Key: "zz", Value: "x"}, series.Tag{Key: "zz", Value: "y"}
	header, cells := columns(rec("mean", x), rec("zz", y), rec("zz"))
	require.Equal(t, []string{"zz_tag", "mean", "zz"}, header)
	require.Equal(t, [][]string{{"x", "1.5", ""}, {"y", "", "1.5"}, {"", "", "1.5"}}, cells)
	header, cells = columns(rec("mean", x, series.Tag{Key: "zz_tag", Value: "other"}), rec("zz", y))
	require.Equal(t, []string{"zz_tag", "zz_tag_tag", "mean", "zz"}, header)
	require.Equal(t, [][]string{{"other", "x", "1.5", ""}, {"y", "", "", "1.5"}}, cells)
	header, _ = columns(rec("mean", x), rec("zz"), rec("zz_tag"))
	require.Equal(t, []string{"zz_tag_tag", "mean", "zz", "zz_tag"}, header)
	header, cells = columns(rec("mean", x, series.Tag{Key: "zz_tag", Value: "other"}), rec("zz"), rec("zz_tag"))
	require.Equal(t, []string{"zz_tag_tag", "zz_tag_tag_tag", "mean", "zz", "zz_tag"}, header)
	require.ElementsMatch(t, []string{"x", "other"}, cells[0][:2])
}

func TestLinesAreThoseOfTheAggregator(t *testing.T) {
	t.Parallel()
	require.Equal(t, `analytics_cpu,agent=a1,bucket_state=open,field_name=usage,host=h\ 1 count=3i,mean=2,ok=true 1767323040000000000
analytics_cpu,+zone=\tx,agent=-a,bucket_state=final,field_name=\=cmd|'\ /C\ calc'!A0,host=a\,"b"\r\nc,replica=@b count=1i,max=-1.5e+300,total=1.8446744073709552e+19,revision=2i 1767323040000000003
analytics_cpu,agent=a1,field_name=ü\ ,h\,\==v� p99_9=1e-07 1767323040000000000
`, encoded(t, format.LineProtocol, false, samples()...))
}

func TestLinesReadBack(t *testing.T) {
	t.Parallel()
	d := lineprotocol.NewDecoderWithBytes([]byte(encoded(t, format.LineProtocol, false, samples()...)))
	n := 0
	for ; d.Next(); n++ {
		name, err := d.Measurement()
		require.NoError(t, err)
		require.Equal(t, "analytics_cpu", string(name))
		for {
			key, _, err := d.NextTag()
			require.NoError(t, err)
			if key == nil {
				break
			}
		}
		for {
			key, value, err := d.NextField()
			require.NoError(t, err)
			if key == nil {
				break
			}
			want := lineprotocol.Float
			if string(key) == "count" || string(key) == "revision" {
				want = lineprotocol.Int
			} else if string(key) == "ok" {
				want = lineprotocol.Bool
			}
			require.Equal(t, want, value.Kind(), string(key))
		}
	}
	require.Equal(t, 3, n)
}

// anyCells accepts a CSV with any number of cells.
func anyCells(int) error { return nil }

// A comparison of each tag with each other one would need some eight minutes instead of seconds.
func TestARecordWithManyTagsNeedsNoSquareOfThem(t *testing.T) {
	if testing.Short() {
		t.Skip("so many tags take seconds with the race detector")
	}
	t.Parallel()
	r := samples()[0]
	r.Tags = nil
	for i := range 200_000 {
		r.Tags = append(r.Tags, series.Tag{Key: fmt.Sprintf("tag_%06d", i), Value: "v"})
	}
	began := time.Now()
	_, err := format.CSV.Append(nil, texts(r), false, anyCells)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 2*time.Minute)
}

func TestRecordsThatCannotBeWrittenAreErrors(t *testing.T) {
	t.Parallel()
	for _, f := range []format.Format{format.CSV, format.LineProtocol} {
		_, err := f.Append(nil, []string{"{}"}, false, anyCells)
		require.ErrorIs(t, err, record.ErrFormat)
	}
	_, err := format.JSON.Append(nil, []string{"{"}, true, anyCells)
	require.ErrorIs(t, err, record.ErrFormat)
	var found int
	_, err = format.CSV.Append(nil, texts(samples()...), false, func(n int) error {
		found = n
		return errors.ErrUnsupported
	})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.Equal(t, 3*18, found)
	r := samples()[0]
	r.Start = time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC)
	_, err = format.LineProtocol.Append(nil, texts(r), false, anyCells)
	require.ErrorIs(t, err, format.ErrInexpressible)
	r = samples()[0]
	r.Stats = nil
	require.Empty(t, encoded(t, format.LineProtocol, false, r))
}

// A line that begins with # is a comment, and line protocol has no escape for that.
func TestNamesThatLineProtocolCannotExpressAreErrors(t *testing.T) {
	t.Parallel()
	for table, want := range map[string]string{
		"#cpu": `the table "#cpu": a line that begins with # is a comment`, `\`: `invalid measurement ""`,
	} {
		r := samples()[0]
		r.Table = table
		_, err := format.LineProtocol.Append(nil, texts(r), false, anyCells)
		require.ErrorIs(t, err, format.ErrInexpressible)
		require.ErrorContains(t, err, want)
	}
	r := samples()[0]
	r.Tags = []series.Tag{{Key: "a\x01", Value: "1"}, {Key: "a\x02", Value: "2"}}
	_, err := format.LineProtocol.Append(nil, texts(r), false, anyCells)
	require.ErrorIs(t, err, format.ErrInexpressible, "two tags with the same name in line protocol")
	r = samples()[0]
	r.Table, r.Field = "c#pu", "#x"
	require.Contains(t, encoded(t, format.LineProtocol, false, r), "c#pu,agent=a1,bucket_state=open,field_name=#x,")
}

func TestFormatsByName(t *testing.T) {
	t.Parallel()
	for _, f := range []format.Format{format.JSON, format.JSONLines, format.CSV, format.LineProtocol} {
		got, err := format.Parse(f.String())
		require.NoError(t, err)
		require.Equal(t, f, got)
		accepted, ok := format.Negotiate(f.ContentType())
		require.True(t, ok)
		require.Equal(t, f, accepted)
	}
	_, err := format.Parse("xml")
	require.EqualError(t, err, `unknown format "xml", known are json, jsonl, csv, lp`)
}

func TestTheHeaderAcceptSelectsTheFormat(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]format.Format{
		"": format.JSON, "*/*": format.JSON, "text/html, */*;q=0.1": format.JSON, "text/csv": format.CSV, "Text/CSV;q=0.5, application/json;q=0.4": format.CSV,
		"application/json;q=0.4, text/csv;q=0.5": format.CSV, "text/csv, application/json": format.CSV, "text/csv;q=0, application/json": format.JSON,
		"application/x-ndjson": format.JSONLines, "text/plain;q=1.000": format.LineProtocol, "text/*": format.CSV, "application/jsonl; q=0.001": format.JSONLines,
		"text/csv;q=2, application/jsonl;q=.5, text/plain;q=0.25": format.LineProtocol,
		// The most specific range of a media type has its weight (RFC 9110).
		"text/csv;q=0, text/*": format.LineProtocol, "text/*, text/csv;q=0.1": format.LineProtocol, "*/*, application/json;q=0": format.JSONLines,
		"text/*;q=0.2, */*;q=0.1, text/csv;q=0": format.LineProtocol, "application/*;q=0, */*;q=0.5": format.CSV, "application/x-ndjson;q=0, application/jsonl": format.JSONLines,
		"text/csv;q=0.5, */*": format.JSON, "*/*;q=0.1, text/csv;q=0.1": format.JSON, "text/csv;q=0.1, */*;q=0.1": format.CSV,
	} {
		got, ok := format.Negotiate(accept)
		require.True(t, ok, accept)
		require.Equal(t, want, got, accept)
	}
	for _, accept := range []string{
		"text/html", "image/png, text/xml;q=0.9", "text/csv;q=0", "application/json;q=x", "*/*;q=0", "text/csv;q=0, text/plain;q=0, text/*", "text", "/", "*",
	} {
		_, ok := format.Negotiate(accept)
		require.False(t, ok, accept)
	}
}

func TestTheMostSpecificElementOfAcceptHasTheWeight(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]int{
		"": 0, "*/*": 1000, "text/html;q=0.7, */*": 700, "*/*;q=0.9, text/*;q=0.2": 200, "text/*, Text/HTML; q=0.1": 100, "text/html;q=0, */*": 0, "application/json": 0,
	} {
		require.Equal(t, want, format.Weight(accept, "text/html"), accept)
	}
}

// lines returns how many lines of line protocol b has, and fails if one cannot be read.
func lines(t *testing.T, b []byte) (n int) {
	t.Helper()
	for d := lineprotocol.NewDecoderWithBytes(b); d.Next(); n++ {
		_, err := d.Measurement()
		require.NoError(t, err)
		for key := []byte("x"); key != nil; {
			key, _, err = d.NextTag()
			require.NoError(t, err)
		}
		for key := []byte("x"); key != nil; {
			key, _, err = d.NextField()
			require.NoError(t, err)
		}
		_, err = d.Time(lineprotocol.Nanosecond, time.Time{})
		require.NoError(t, err)
	}
	return n
}

func FuzzFormats(f *testing.F) {
	for _, text := range texts(samples()...) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := record.Parse([]byte(text))
		if err != nil {
			return
		}
		stored := string(r.AppendJSON(nil))
		if r, err = record.Parse([]byte(stored)); err != nil {
			t.Skip("the record's names are not those of a stored one")
		}
		for _, pretty := range []bool{false, true} {
			b, err := format.JSON.Append(nil, []string{stored, stored}, pretty, anyCells)
			require.NoError(t, err)
			require.True(t, json.Valid(b))
		}
		b, err := format.LineProtocol.Append(nil, []string{stored, stored}, false, anyCells)
		if err != nil {
			require.ErrorIs(t, err, format.ErrInexpressible)
		} else {
			want := map[bool]int{true: 2}[len(r.Stats) > 0]
			require.Equal(t, want, lines(t, b), "%s", b)
		}
		b, err = format.CSV.Append(nil, []string{stored, stored}, false, anyCells)
		require.NoError(t, err)
		rows, err := csv.NewReader(strings.NewReader(string(b))).ReadAll()
		require.NoError(t, err)
		require.Len(t, rows, 3)
		for i, row := range rows {
			for j, cell := range row {
				numeric := i > 0 && strings.HasPrefix(cell, "-") && strings.Trim(cell, "-0123456789.e+TZ:") == ""
				require.False(t, cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) && !numeric, "cell %d of line %d is %q", j, i, cell)
			}
		}
	})
}
