package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The view prints such a table every 2 s:
//
//	BUCKET   TABLE       FIELD        COUNT     MIN  MEDIAN    MEAN     P95     MAX
//	14:05:10 cpu         usage_user      10    3.02   4.271   4.518   7.128   7.538
//	14:05:10 latency web seconds         12  0.0102 0.04513 0.05127  0.1012  0.1187

// shown are the tables and fields that the demo shows, in this order.
var shown = []struct{ table, field, kind string }{
	{"cpu", "usage_user", live}, {"mem", "used_percent", live}, {"system", "load1", live},
	{"latency", "seconds", recorded}, {"latency", "bytes", recorded},
}

// The kinds of metrics: of this machine, and of the recording.
const (
	live     = "live"
	recorded = "recorded"
)

// row is a record of the API: the members that the demo shows. Service is a tag of the recording, and empty for live metrics. Members
// that the API leaves out, such as a missing statistic, are 0.
type row struct {
	Table   string  `json:"table_name"`
	Field   string  `json:"field_name"`
	Bucket  string  `json:"time_bucket"`
	Time    int64   `json:"time"`
	Service string  `json:"service"`
	Count   int64   `json:"count"`
	Min     float64 `json:"min"`
	Max     float64 `json:"max"`
	Mean    float64 `json:"mean"`
	Median  float64 `json:"median"`
	Mode    float64 `json:"mode"`
	P95     float64 `json:"p95"`
}

// view shows the newest records and counts the fresh ones. A record that is shown again counts again. It is for one goroutine.
type view struct {
	*demo
	terminal bool           // whether the output is a terminal, on which a table replaces the one before
	fresh    map[string]int // number of fresh records by kind
	drawn    int            // lines of the last table, 0 for none
}

// header is the format of a line of the table: at most 79 columns, because the shown tables and fields have short names.
const header = "%-8s %-11s %-12s %5s %7s %7s %7s %7s %7s\n"

// short formats a number with at most four significant digits, in at most seven columns for numbers up to 1e15: 258799 is "258.8k",
// 0.0007083 is "0.00071", where four digits do not fit, and -123456789 is "-123.5M".
func short(x float64) string {
	// Thousands until less than 1000 are left, then digits until the text fits.
	suffix := ""
	for _, s := range []string{"k", "M", "G", "T"} {
		if math.Abs(x) < 1000 {
			break
		}
		x, suffix = x/1000, s
	}
	for digits := 4; ; digits-- {
		text := strconv.FormatFloat(x, 'g', digits, 64) + suffix
		if len(text) <= 7 || digits == 1 {
			return text
		}
	}
}

// show prints a table of the newest bucket of each field. On a terminal it replaces the last table.
func (v *view) show(ctx context.Context) error {
	var b strings.Builder
	fmt.Fprintf(&b, header, "BUCKET", "TABLE", "FIELD", "COUNT", "MIN", "MEDIAN", "MEAN", "P95", "MAX")
	lines := 1
	for _, s := range shown {
		rows, err := v.newest(ctx, s.table, s.field)
		if err != nil {
			return err
		}
		for _, r := range rows {
			v.note(s.kind, r)
			at := time.UnixMilli(r.Time).Format("15:04:05")
			name := strings.TrimSuffix(strings.TrimPrefix(r.Table, "analytics_")+" "+r.Service, " ")
			fmt.Fprintf(&b, header, at, name, r.Field, strconv.FormatInt(r.Count, 10),
				short(r.Min), short(r.Median), short(r.Mean), short(r.P95), short(r.Max))
			lines++
		}
	}
	if lines == 1 {
		_, err := fmt.Fprintln(v.out, "waiting for the first records")
		return err
	}
	_, err := fmt.Fprint(v.out, v.drawing(b.String()))
	v.drawn = lines + 1
	return err
}

// drawing returns the text that prints a table. On a terminal, escape sequences remove the last table and cut off long lines, so that each
// row of the table is one line. A row that was wrapped would take two lines, and too few would be removed. ESC [ n A moves the cursor up n
// lines, and ESC [ J removes everything from there on.
func (v *view) drawing(table string) string {
	const noWrap, wrap = "\x1b[?7l", "\x1b[?7h" // DECAWM, which terminals have as xterm has it
	switch {
	case !v.terminal:
		return table + "\n"
	case v.drawn == 0:
		return noWrap + table + wrap + "\n"
	}
	return fmt.Sprintf("\x1b[%dA\x1b[J", v.drawn) + noWrap + table + wrap + "\n"
}

// note counts a record that is fresh: its bucket ends after the start of this run. Older ones are of an earlier run, and do not show that
// this run works.
func (v *view) note(kind string, r row) {
	const bucket = 10 * time.Second // as telegraf.conf of the quickstart has it
	if v.fresh == nil {
		v.fresh = make(map[string]int)
	}
	if r.Count > 0 && time.UnixMilli(r.Time).Add(bucket).After(v.started) {
		v.fresh[kind]++
	}
}

// newest returns the records of a field in the newest bucket, one for each series, or none if the API does not have the table yet. If ctx
// has ended it returns none and no error, because watch sees the end itself.
func (v *view) newest(ctx context.Context, table, field string) ([]row, error) {
	body, err := get(ctx, fmt.Sprintf("%s/analytics/%s?database=%s&field=%s&last=1", v.api(), table, database, field))
	var rows []row
	var status statusError
	if errors.As(err, &status) && status == http.StatusNotFound || ctx.Err() != nil {
		return rows, nil //nolint:nilerr // the table does not exist yet, or the demo ends
	}
	if err != nil {
		return rows, err
	}
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fmt.Errorf("the API did not answer with an array of records: %w", err)
	}
	return rows, nil
}

// missing returns the kinds of which the API served no fresh record.
func (v *view) missing() (kinds []string) {
	for _, kind := range []string{live, recorded} {
		if v.fresh[kind] == 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// verdict prints the numbers of fresh records, or returns an error if the API served none of a kind.
func (v *view) verdict() error {
	if missing := v.missing(); len(missing) > 0 {
		return fmt.Errorf("the API served no fresh record of the %s metrics", strings.Join(missing, " and the "))
	}
	return v.summary()
}

// summary prints the numbers of fresh records.
func (v *view) summary() error {
	_, err := fmt.Fprintf(v.out, "The API served %d fresh records of live metrics and %d of recorded ones.\n", v.fresh[live], v.fresh[recorded])
	return err
}

// statusError is the HTTP status of an answer that is not 200.
type statusError int

// Error returns a text for users of the demo.
func (e statusError) Error() string { return fmt.Sprintf("the API answered %d", int(e)) }

// get returns the body of an answer of status 200. The error for another status is a statusError. It waits 30 s at most, for the whole
// answer.
func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(resp.StatusCode)
	}
	return io.ReadAll(resp.Body)
}
