package describefile_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/describefile"
	"github.com/telegraf-describe/telegraf-describe/internal/stats"
)

const small = "time,host,v\n2026-01-01T00:00:00Z,a,1\n2026-01-01T00:30:00Z,b,2\n2026-01-01T01:00:00Z,a,4\n"

// ok runs the command and fails unless it succeeds without notes.
func ok(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	stdout, stderr, status := run(t, stdin, args...)
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	return stdout
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, want string }{
		{"-o csv --columns v", "column,type,count,missing,distinct,min,max,mean,median,mode,p95,top,top_count\nv,integer,3,0,3,1,4,2.3333333333333335,2,1,3.8,,\n"},
		{"-o csv --columns v --stats p99.9,count,std", "column,p99.9,count,stddev\nv,3.996,3,1.5275252316519468\n"},
		{"--output jsonl --columns host", `{"column":"host","type":"text","count":3,"missing":0,"distinct":2,"min":null,"max":null,"mean":null,"median":null,"mode":null,"p95":null,"top":"a","top_count":2}` + "\n"},
		{"-o json --columns v --stats max", "[\n{\"column\":\"v\",\"max\":4}\n]\n"},
		{"-o csv --by 1h --columns v --stats count,sum", "bucket,column,count,sum\n2026-01-01T00:00:00Z,v,2,3\n2026-01-01T01:00:00Z,v,1,4\n"},
		{"-o csv --group-by host --columns v --stats count,sum", "host,column,count,sum\na,v,2,5\nb,v,1,2\n"},
		{"-o csv --by 1d --tz Europe/Berlin --columns v --stats count", "bucket,column,count\n2026-01-01T00:00:00+01:00,v,3\n"},
		{"-o csv --by 1h --origin 2026-01-01T00:30:00Z --columns v --stats count", "bucket,column,count\n2025-12-31T23:30:00Z,v,1\n2026-01-01T00:30:00Z,v,2\n"},
		{"-o csv --columns v --stats first,last,mode_count,type", "column,first,last,mode_count,type\nv,1,4,1,integer\n"},
		{"-o csv --columns time --stats type,min,max,distinct", "column,type,min,max,distinct\ntime,time,2026-01-01T00:00:00Z,2026-01-01T01:00:00Z,3\n"},
		{"-o csv --text v --columns v --stats type,top,top_count", "column,type,top,top_count\nv,text,1,1\n"},
		{"-o csv --quantile-method nearest_rank --columns v --stats median,p50", "column,median,p50\nv,2,2\n"},
		{"-o lp --by 1h --columns v --stats count,p99.9 --group-by host", "analytics_stdin,field_name=v,host=a count=1i,p99_9=1 1767225600000000000\n" +
			"analytics_stdin,field_name=v,host=b count=1i,p99_9=2 1767225600000000000\nanalytics_stdin,field_name=v,host=a count=1i,p99_9=4 1767229200000000000\n"},
		{"-o markdown --columns v --stats count,mean", "| column | count | mean |\n| --- | ---: | ---: |\n| v | 3 | 2.33333 |\n"},
		{"-o table --columns v --stats count,mean", "COLUMN  COUNT     MEAN\nv           3  2.33333\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, ok(t, small, append(strings.Fields(c.args), "-")...))
			require.Equal(t, c.want, ok(t, small, append([]string{"-"}, strings.Fields(c.args)...)...), "options behind the file")
		})
	}
}

func TestLineProtocolHasARowForEachMeasurementAndField(t *testing.T) {
	t.Parallel()
	const lines = "cpu,host=a usage=1,n=1i 1\ncpu,host=b usage=3 2\nmem,host=a free=5i,s=\"x\" 1\n"
	require.Equal(t, `measurement,column,type,count,missing,distinct,mean,top
cpu,host,tag,2,0,2,,a
cpu,usage,float,2,0,2,2,
cpu,n,integer,1,1,1,1,
cpu,time,time,2,0,2,,
mem,host,tag,1,0,1,,a
mem,free,integer,1,0,1,5,
mem,s,text,1,0,1,,x
mem,time,time,1,0,1,,
`, ok(t, lines, "-o", "csv", "--stats", "type,count,missing,distinct,mean,top", "-"))
	require.Equal(t, "measurement,host,column,mean\ncpu,a,usage,1\ncpu,a,n,1\ncpu,b,usage,3\nmem,a,free,5\n",
		ok(t, lines, "-o", "csv", "--group-by", "*", "--stats", "mean", "-"))
}

func TestSeveralFilesAreOneTable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, two := filepath.Join(dir, "1.csv"), filepath.Join(dir, "2.tsv")
	require.NoError(t, os.WriteFile(one, []byte("a,b\n1,x\n"), 0o600))
	require.NoError(t, os.WriteFile(two, []byte("b\tc\ta\ny\t5\t3\n"), 0o600))
	require.Equal(t, "column,count,missing,mean,top\na,2,0,2,\nb,2,0,,x\nc,1,1,5,\n", ok(t, "", one, two, "-o", "csv", "--stats", "count,missing,mean,top"))
}

func TestBadLinesAreCountedAndShown(t *testing.T) {
	t.Parallel()
	content := "a,b\n1,2\n3,4,5\n" + strings.Repeat("1,2\n", 40) + "x\x1b[31m,2\n"
	stdout, stderr, status := run(t, content, "-o", "csv", "--stats", "count,missing", "-")
	require.Zero(t, status)
	require.Equal(t, "column,count,missing\na,41,1\nb,42,0\n", stdout)
	require.Equal(t, `describe: standard input:3: 3 cells, want 2
describe: 1 of 44 lines could not be read
describe: column "a": 1 value is not of the type integer, such as "x\x1b[31m" (--text a reads the whole column as text)
`, stderr)

	stdout, stderr, status = run(t, content, "--strict", "-")
	require.Equal(t, 1, status)
	require.Empty(t, stdout)
	require.Equal(t, "describe: standard input:3: 3 cells, want 2\n", stderr)
}

// Rows with too few cells are described and counted, as are headers between the rows.
func TestShortRowsAndRepeatedHeadersAreCounted(t *testing.T) {
	t.Parallel()
	const content = "a,b,c\n1,2,3\n\n4,5\n6\na,b,c\n"
	stdout, stderr, status := run(t, content, "-o", "csv", "--stats", "count,missing", "-")
	require.Zero(t, status)
	require.Equal(t, "column,count,missing\na,3,0\nb,2,1\nc,1,2\n", stdout)
	require.Equal(t, "describe: 2 rows have fewer cells than the header, the first in standard input:4: the cells that are not there count as missing\n"+
		"describe: 1 line repeats the header and counts as no row\n", stderr)

	_, stderr, status = run(t, content, "--strict", "-")
	require.Equal(t, 1, status)
	require.Equal(t, "describe: standard input:4: 2 cells, want 3\n", stderr)
}

func TestExitStatuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, stdin string
		status      int
		stderr      string
	}{
		{"", "", 2, "describe: no file is named\n"},
		{"--by 1x -", small, 2, `describe: --by: width "1x": want whole numbers`},
		{"--stats foo -", small, 2, `describe: --stats: unknown statistic "foo", known are ` +
			strings.Join(stats.Names(), ", ") + ", type, missing, distinct, top, top_count\n"},
		{"--stats mean,mean -", small, 2, `describe: --stats: statistic "mean" is listed twice, the first time as "mean"` + "\n"},
		{"--stats type,count,type -", small, 2, `describe: --stats: "type" is listed twice` + "\n"},
		{"--stats p101 -", small, 2, `describe: --stats: statistic "p101": percentile "101" is above 100` + "\n"},
		{"--tz Mars -", small, 2, `describe: --tz: time zone "Mars"`},
		{"--collumns x -", small, 2, "describe: unknown option --collumns, did you mean --columns?\n"},
		{"--accuracy high -", small, 2, `describe: --accuracy "high", want exact or auto`},
		{"--memory-limit lots -", small, 2, `describe: --memory-limit: "lots" is not a size`},
		{"-o xml -", small, 2, `describe: --output "xml", want table, csv, json, jsonl, markdown, lp`},
		{"--delimiter ab -", small, 2, `describe: --delimiter "ab"`},
		{"--header --no-header -", small, 2, "describe: --header and --no-header exclude each other"},
		{"--columns [ -", small, 2, `describe: --columns "[" is no name or pattern: write a backslash before a [ or \ that means itself`},
		{"--workers 0 -", small, 2, "describe: --workers 0, want 1 to 256\n"},
		{"--workers 1000000 -", small, 2, "describe: --workers 1000000, want 1 to 256\n"},
		{"--width 1 -", small, 2, "describe: --width 1, want 0 or at least 20\n"},
		{"--width -5 -", small, 2, "describe: --width -5, want 0 or at least 20\n"},
		{"--stats= -", small, 2, `describe: --stats "", want at least one name` + "\n"},
		{"--columns=, -", small, 2, `describe: --columns ",", want at least one name` + "\n"},
		{"--group-by= -", small, 2, `describe: --group-by "", want at least one name` + "\n"},
		{"- -", small, 2, "describe: the standard input (-) is named more than once\n"},
		{"--origin 2026-01-01T00:00:00Z -", small, 2, "describe: --origin needs --by"},
		{"/does/not/exist", "", 1, "describe: /does/not/exist: no such file or directory\n"},
		{"--columns x -", small, 1, "describe: no column matches --columns x: the input has host, time, v\n"},
		{"--group-by x -", small, 1, "describe: no tag or column matches --group-by x: the input has host, time, v\n"},
		{"--by 1h -", "a,b\n1,2\n", 1, "describe: standard input: no column is recognized as the time: name one by --time; the columns are a, b\n"},
		{"--format jsonl -", "x\ny\n", 1, "describe: standard input: read as JSON, as --format wants, but it looks like CSV\ndescribe: standard input:1: found \"x\", want an object\n"},
		{"--width abc -", small, 2, `describe: --width "abc", want a whole number` + "\n"},
		{"- --by", small, 2, "describe: option --by needs a value\n"},
		{"- -o", small, 2, "describe: option -o needs a value\n"},
		{"--strict=maybe -", small, 2, `describe: --strict "maybe", want true or false` + "\n"},
		{"--decimal dot -", small, 2, `describe: --decimal "dot", want auto, point or comma` + "\n"},
		{"/", "", 1, "describe: / is a directory, want a file\n"},
		{"--columns x* -", "m a=1,b=2 1\n", 1, "describe: no column matches --columns x*: the input has a, b, time\n"},
		{"-", "", 0, "describe: the input has no rows\n"},
		{"-", "\n\r\n\n", 0, "describe: the input has no rows\n"},
		{"-", "a,b\n", 0, "describe: the input has no rows\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := run(t, c.stdin, strings.Fields(c.args)...)
			require.Equal(t, c.status, status, stderr)
			require.Empty(t, stdout)
			require.True(t, strings.HasPrefix(stderr, c.stderr), stderr)
			require.Equal(t, c.status == 2, strings.Contains(stderr, "usage:"), stderr)
		})
	}
}

// Several errors of one option are on one line.
func TestErrorsOfStatisticsAreOnOneLine(t *testing.T) {
	t.Parallel()
	_, stderr, status := run(t, small, "--stats", "foo,bar", "-")
	require.Equal(t, 2, status)
	require.NotContains(t, stderr, `\n`)
	require.Contains(t, stderr, `unknown statistic "foo"`)
	require.Contains(t, stderr, `; unknown statistic "bar"`)
}

// The note on values that are not of the type of their column has the first of these, whatever its type.
func TestNoteOnOtherTypesHasTheFirstValue(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ first, second, kind, value string }{
		{"1", `"x\u001b"`, "integer", `x\x1b`},
		{`"x"`, "2.5", "text", "2.5"},
		{`"x"`, "true", "text", "true"},
	} {
		_, stderr, status := run(t, fmt.Sprintf("{\"a\":%s}\n{\"a\":%s}\n", c.first, c.second), "-")
		require.Zero(t, status)
		require.Equal(t, fmt.Sprintf("describe: column \"a\": 1 value is not of the type %s, such as \"%s\" (--text a reads the whole column as text)\n", c.kind, c.value), stderr)
	}
}

func TestHelpListsEveryOption(t *testing.T) {
	t.Parallel()
	help := ok(t, "", "--help")
	for _, name := range []string{
		"by", "tz", "origin", "group-by", "columns", "fields", "text", "time", "time-unit", "stats", "quantile-method", "accuracy", "memory-limit",
		"format", "delimiter", "decimal", "header", "no-header", "strict", "output", "transpose", "width", "quiet", "workers",
	} {
		require.Contains(t, help, "--"+name)
	}
	for line := range strings.Lines(help) {
		require.LessOrEqual(t, utf8.RuneCountInString(line), 81, line)
	}
}

// The error of an unknown form lists all. A new one is in the help and differs from the others.
func TestEveryOutputIsAFormOfItsOwn(t *testing.T) {
	t.Parallel()
	_, stderr, _ := run(t, small, "-o", "none", "-")
	first, _, _ := strings.Cut(stderr, "\n")
	_, list, _ := strings.Cut(first, ", want ")
	help, forms := ok(t, "", "--help"), map[string]string{}
	for name := range strings.SplitSeq(list, ", ") {
		require.Regexp(t, `--output FORM .*\b`+name+`\b`, help)
		form := ok(t, small, "-o", name, "--by", "1d", "--columns", "v", "-")
		require.NotContains(t, forms, form, "the form of %s and %s", name, forms[form])
		forms[form] = name
	}
	require.Len(t, forms, 6)
}

// A new statistic is part of "all" and of the help.
func TestAllIsEveryStatistic(t *testing.T) {
	t.Parallel()
	help := ok(t, "", "--help")
	header, _, _ := strings.Cut(ok(t, small, "--stats", "all", "-o", "csv", "-"), "\n")
	columns := strings.Split(header, ",")
	for _, name := range stats.Names() {
		require.Regexp(t, `\b`+regexp.QuoteMeta(name), help)
		if name != "p<q>" {
			require.Contains(t, columns, name)
		}
	}
}

// An interrupted run writes nothing and has the status of Ctrl-C.
func TestInterruptWritesNothing(t *testing.T) {
	t.Parallel()
	in, out, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	defer out.Close()
	_, err = out.WriteString(small)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 130, describefile.Run(ctx, []string{"-"}, in, &stdout, &stderr))
	require.Empty(t, stdout.String())
	require.Empty(t, stderr.String())
}

// wide has many columns and rows of texts that a terminal would obey.
func wide() string {
	var b strings.Builder
	b.WriteString("name")
	for i := range 20 {
		fmt.Fprintf(&b, ",column number %d \x1b[31m", i)
	}
	b.WriteString("\n")
	for i := range 50 {
		fmt.Fprintf(&b, "evil \x1b]0;title\x07 \u202e %d", i%3)
		for k := range 20 {
			fmt.Fprintf(&b, ",%d.%06d", i*k*1000, i*7919+k)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Tables fit the width, in both directions, and have no control character but line ends.
func TestTablesFitTheWidth(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 80, 120} {
		for _, transpose := range []string{"", "--transpose"} {
			out := ok(t, wide(), strings.Fields(fmt.Sprintf("--width %d %s --header -", width, transpose))...)
			for line := range strings.Lines(out) {
				line = strings.TrimSuffix(line, "\n")
				require.LessOrEqual(t, utf8.RuneCountInString(line), width, "%d %s: %s", width, transpose, line)
				for _, r := range line {
					require.False(t, r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x202e, "%q", line)
				}
			}
			require.Contains(t, out, map[string]string{"": "not shown: ", "--transpose": "P95"}[transpose])
		}
	}
}

// Machine formats read back.
func TestOutputsReadBack(t *testing.T) {
	t.Parallel()
	for _, accuracy := range []string{"exact", "auto"} {
		args := []string{"--header", "--accuracy", accuracy, "-"}
		records, err := csv.NewReader(strings.NewReader(ok(t, wide(), append(args, "-o", "csv")...))).ReadAll()
		require.NoError(t, err)
		require.Len(t, records, 22)
		var objects []map[string]any
		require.NoError(t, json.Unmarshal([]byte(ok(t, wide(), append(args, "-o", "json")...)), &objects))
		require.Len(t, objects, 21)
		require.Equal(t, "evil \x1b]0;title\x07 \u202e 0", objects[0]["top"])
		d := lineprotocol.NewDecoderWithBytes([]byte(ok(t, wide(), append(args, "-o", "lp")...)))
		lines := 0
		for d.Next() {
			_, err := d.Measurement()
			require.NoError(t, err)
			_, err = d.TimeBytes()
			require.NoError(t, err)
			lines++
		}
		require.Equal(t, 21, lines)
	}
}

// Beyond the limits, the estimates are marked, and the errors of the statistics are there.
func TestEstimatesAreMarked(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("id,v\n")
	for i := range 30_000 {
		fmt.Fprintf(&b, "user-%d,%d.5\n", i, i)
	}
	table := ok(t, b.String(), "--accuracy", "auto", "--width", "0", "-")
	require.Contains(t, table, "MAX_ERROR")
	require.Contains(t, table, "  ~")
	records, err := csv.NewReader(strings.NewReader(ok(t, b.String(), "--accuracy", "auto", "-o", "csv", "-"))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, "estimated", records[0][len(records[0])-1])
	require.Equal(t, "distinct top", records[1][len(records[1])-1])
	require.Equal(t, "distinct quantiles mode", records[2][len(records[2])-1])

	_, stderr, status := run(t, b.String(), "--memory-limit", "100kB", "-")
	require.Zero(t, status)
	require.Equal(t, "describe: the statistics of 2 columns are estimates: to keep all values needs more than --memory-limit 100kB\n", stderr)
}

// The result of CSV, JSON lines and line protocol of the same data is the same.
func TestFormatsAgree(t *testing.T) {
	t.Parallel()
	var asCSV, asJSON, asLP strings.Builder
	asCSV.WriteString("time,host,v,n\n")
	for i := range 3000 {
		at := time.Unix(1_767_225_600+int64(i)*60, 0).UTC()
		v, n, host := fmt.Sprintf("%d.%03d", i%97, i%1000), i%13, fmt.Sprintf("h%d", i%3)
		fmt.Fprintf(&asCSV, "%s,%s,%s,%d\n", at.Format(time.RFC3339), host, v, n)
		fmt.Fprintf(&asJSON, `{"time":%q,"host":%q,"v":%s,"n":%d}`+"\n", at.Format(time.RFC3339), host, v, n)
		fmt.Fprintf(&asLP, "m,host=%s v=%s,n=%di %d\n", host, v, n, at.UnixNano())
	}
	args := strings.Fields("-o csv --by 1d --group-by host --columns v,n --stats count,distinct,min,max,mean,stddev,median,mode,p95,first,last -")
	want := ok(t, asCSV.String(), args...)
	require.Equal(t, want, ok(t, asJSON.String(), args...))
	withoutName := strings.ReplaceAll(strings.Replace(ok(t, asLP.String(), args...), "measurement,", "", 1), "\nm,", "\n")
	require.Equal(t, want, withoutName)
}

// A name that occurs twice in a row has its last value, and the groups of the rows behind it are right.
func TestLastOfRepeatedNamesInARowCounts(t *testing.T) {
	t.Parallel()
	args := strings.Fields("-o csv --group-by g --columns v --stats count,missing,sum -")
	require.Equal(t, "g,column,count,missing,sum\nb,v,1,0,2\nc,v,2,0,7\n",
		ok(t, `{"g":"a","g":"b","v":1,"v":2}`+"\n"+`{"g":"c","v":3}`+"\n"+`{"g":"c","v":4}`+"\n", args...))
	require.Equal(t, "measurement,g,column,count,missing,sum\nm,b,v,1,0,2\nm,c,v,2,0,7\n",
		ok(t, "m,g=a,g=b v=1,v=2\nm,g=c v=3\nm,g=c v=4\n", args...))
}

// Whole numbers beyond 2^53 are rounded, which is noted, and the number of distinct ones is marked as an estimate.
func TestLargeWholeNumbersAreNotedAndDistinctIsAnEstimate(t *testing.T) {
	t.Parallel()
	const one, two = "9007199254740992", "9007199254740993"
	for name, content := range map[string]string{
		"csv": "id\n" + one + "\n" + two + "\n", "json": `{"id":` + one + "}\n" + `{"id":` + two + "}\n", "lp, signed": "m id=" + one + "i\nm id=" + two + "i\n",
		"lp, unsigned": "m id=" + one + "u\nm id=" + two + "u\n", "negative": "id\n-" + one + "\n-" + two + "\n",
	} {
		stdout, stderr, status := run(t, content, strings.Fields("-o csv --columns id --stats count,distinct -")...)
		require.Zero(t, status, name)
		require.Contains(t, stdout, "column,count,distinct,estimated\n", name)
		require.Contains(t, stdout, "id,2,1,distinct\n", name)
		require.Equal(t, "describe: column \"id\": whole numbers of 2^53 or more are rounded to 53 bits (--text id counts them exactly)\n", stderr, name)
		require.Contains(t, ok(t, content, strings.Fields("-o csv --text id --columns id --stats count,distinct -")...), "id,2,", name)
	}
	require.Equal(t, "column,distinct\nid,2\n", ok(t, "id\n"+one+"\n"+two+"\n", strings.Fields("-o csv --text id --stats distinct -")...))
	require.Equal(t, "column,distinct\nid,2\n", ok(t, "id\n9007199254740991\n9007199254740990\n", strings.Fields("-o csv --stats distinct -")...))
	require.Equal(t, "g,column,distinct,estimated\na,id,1,distinct\nb,id,1,\n",
		first(run(t, "g,id\na,"+one+"\nb,7\n", strings.Fields("-o csv --group-by g --stats distinct -")...)), "only the group with such numbers")
}

func first(stdout, _ string, _ int) string { return stdout }

// Rows can be grouped by the column with their time, as by any other. With --by, the times are needed for the buckets.
func TestGroupsOfTheTime(t *testing.T) {
	t.Parallel()
	const jsonl = `{"time":"2026-01-01T00:00:00Z","v":1}` + "\n" + `{"time":"2026-01-02T00:00:00Z","v":2}` + "\n" + `{"time":"2026-01-02T00:00:00Z","v":4}` + "\n"
	const want = "time,column,count,sum,first\n2026-01-01T00:00:00Z,v,1,1,1\n2026-01-02T00:00:00Z,v,2,6,2\n"
	table := "time,v\n2026-01-01T00:00:00Z,1\n2026-01-02T00:00:00Z,2\n2026-01-02T00:00:00Z,4\n"
	for _, content := range []string{table, jsonl} {
		args := strings.Fields("-o csv --columns v --stats count,sum,first --group-by time -")
		require.Equal(t, want, ok(t, content, args...), content)
		require.Equal(t, want, ok(t, content, append([]string{"--time", "time"}, args...)...), content)
		_, stderr, status := run(t, content, append([]string{"--by", "1d"}, args...)...)
		require.Equal(t, 1, status)
		require.Contains(t, stderr, `standard input: rows are not grouped by "time": it has their times, which --by needs`)
	}
}

// The output has a column for each name of --group-by, whatever the data.
func TestGroupColumnsAreThereWithoutValues(t *testing.T) {
	t.Parallel()
	args := strings.Fields("-o csv --group-by g --columns v --stats count -")
	require.Equal(t, "g,column,count\n,v,2\n", ok(t, "g,v\n,1\n,2\n", args...))
	require.Equal(t, "g,column,count\n,v,2\n", ok(t, `{"g":null,"v":1}`+"\n"+`{"g":null,"v":2}`+"\n", args...))
}

// A member of JSON that is always null is a column without values, and its type is that of the first value.
func TestNullsOfJSONMakeAColumn(t *testing.T) {
	t.Parallel()
	args := strings.Fields("-o csv --stats type,count,missing -")
	require.Equal(t, "column,type,count,missing\na,empty,0,2\nb,integer,2,0\n", ok(t, `{"a":null,"b":1}`+"\n"+`{"a":null,"b":2}`+"\n", args...))
	require.Equal(t, "column,type,count,missing\na,text,1,2\n", ok(t, `{"a":null}`+"\n"+`{"a":"x"}`+"\n"+`{"a":null}`+"\n", args...))
	require.Equal(t, "column,type,count,missing\na,integer,1,1\n", ok(t, `{"a":3}`+"\n"+`{"a":null}`+"\n", args...))
}

// Rows are grouped by any field of line protocol and any member of JSON, also by numbers and truth values. Of a tag and a field with
// one name, rows are grouped by the tag, and the field is described.
func TestGroupsOfFields(t *testing.T) {
	t.Parallel()
	args := strings.Fields("-o csv --group-by zz --stats count,sum -")
	for _, c := range []struct{ content, want string }{
		{"m,zz=x zz=1,v=2\nm,zz=y zz=3,v=2\n", "measurement,zz,column,count,sum\nm,x,zz,1,1\nm,x,v,1,2\nm,y,zz,1,3\nm,y,v,1,2\n"},
		{"m,zz=x zz=\"s\",v=2\nm,zz=x zz=\"t\",v=3\n", "measurement,zz,column,count,sum\nm,x,v,2,5\n"},
		{"m zz=\"s\",v=2\nm,zz=x zz=\"t\",v=3\n", "measurement,zz,column,count,sum\nm,,v,1,2\nm,x,v,1,3\n"},
		{"m zz=7i,v=2\nm zz=8i,v=2\nm zz=7i,v=3\n", "measurement,zz,column,count,sum\nm,7,v,2,5\nm,8,v,1,2\n"},
		{"m zz=t,v=2\nm zz=false,v=2\nm zz=TRUE,v=3\n", "measurement,zz,column,count,sum\nm,false,v,1,2\nm,true,v,2,5\n"},
		{`{"zz":true,"v":2}` + "\n" + `{"zz":false,"v":2}` + "\n" + `{"zz":null,"v":3}`, "zz,column,count,sum\n,v,1,3\nfalse,v,1,2\ntrue,v,1,2\n"},
		{`{"zz":7,"v":2}` + "\n" + `{"zz":"x","v":2}`, "zz,column,count,sum\n7,v,1,2\nx,v,1,2\n"},
	} {
		require.Equal(t, c.want, ok(t, c.content, args...), c.content)
	}
}

// A column whose first cells come late is of their kind: the sample has none of them.
func TestLateColumns(t *testing.T) {
	t.Parallel()
	const rows = 70_000 // some MB: more than the first chunk
	var b strings.Builder
	b.WriteString("n,error,sensor,mixed,flag\n")
	for i := range rows {
		late := ",,,"
		if i >= rows/2 {
			late = []string{"timeout,1.5,2,true", "404,2.5,,", ",,x,false"}[i%3]
		}
		fmt.Fprintf(&b, "%030d,%s\n", i, late)
	}
	for _, workers := range []string{"1", "3"} {
		stdout, stderr, status := run(t, b.String(), "-o", "csv", "--workers", workers, "--stats", "type,count,missing,distinct,sum,top,top_count", "-")
		require.Zero(t, status)
		require.Equal(t, "column,type,count,missing,distinct,sum,top,top_count\nn,integer,70000,0,70000,2449965000,,\n"+
			"error,text,23333,46667,2,,timeout,11667\nsensor,float,23333,46667,2,46665.5,,\nmixed,text,23334,46666,2,,2,11667\nflag,boolean,23334,46666,2,11667,,\n", stdout)
		require.Empty(t, stderr)
	}
}

// The kind of a late column that is nearly always a number is that, and texts are counted as not of it.
func TestLateColumnOfNumbersWithAText(t *testing.T) {
	t.Parallel()
	content := "n,v\n" + strings.Repeat("1,\n", 10_000) + strings.Repeat("1,2\n", 40) + "1,x\n"
	stdout, stderr, status := run(t, content, "-o", "csv", "--columns", "v", "--stats", "type,count,missing", "-")
	require.Zero(t, status)
	require.Equal(t, "column,type,count,missing\nv,integer,40,10001\n", stdout)
	require.Equal(t, "describe: column \"v\": 1 value is not of the type integer, such as \"x\" (--text v reads the whole column as text)\n", stderr)
}

// The time of rows is not described beside its buckets, unless there is nothing else or --columns has it.
func TestBucketsShowTheTime(t *testing.T) {
	t.Parallel()
	args := strings.Fields("-o csv --by 1h --stats count,max -")
	require.Equal(t, "bucket,column,count,max\n2026-01-01T00:00:00Z,v,2,2\n2026-01-01T01:00:00Z,v,1,4\n", ok(t, small, args...))
	require.Equal(t, "bucket,column,count,max\n2026-01-01T00:00:00Z,time,2,2026-01-01T00:30:00Z\n2026-01-01T01:00:00Z,time,1,2026-01-01T01:00:00Z\n",
		ok(t, small, append(args, "--columns", "time")...))
	require.Equal(t, "measurement,bucket,column,count,max\nm,1970-01-01T00:00:00Z,v,1,1\n", ok(t, "m v=1 1\n", args...))
	require.Equal(t, "bucket,column,count,max\n2026-01-01T00:00:00Z,time,2,2026-01-01T00:20:00Z\n", ok(t, "time\n2026-01-01T00:10:00Z\n2026-01-01T00:20:00Z\n", args...))
}

// Names in options that no column has are noted, and the names that there are.
func TestNamesThatNoColumnHasAreNoted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ args, stdin, stderr string }{
		{"--columns v,x*", small, "describe: nothing matches x* of --columns: the input has host, time, v\n"},
		{"--text v,x,y", small, "describe: nothing matches x, y of --text: the input has host, time, v\n"},
		{"--group-by host,x", small, "describe: nothing matches x of --group-by: the input has host, time, v\n"},
		{"--group-by *", "m,t=a v=1 1\n", ""},
		{"--text s --columns s,v", `{"s":"x","v":1,"w":2}`, ""},
	} {
		_, stderr, status := run(t, c.stdin, append(strings.Fields(c.args), "-")...)
		require.Zero(t, status)
		require.Equal(t, c.stderr, stderr, c.args)
	}
}
