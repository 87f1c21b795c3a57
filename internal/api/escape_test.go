package api_test

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

// hostile are names that a format must escape, or a spreadsheet would run.
var hostile = []string{
	"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "a,b", `a"b`, "a\nb", `a\b`, "a b", "a=b", "<script>alert(1)</script>", "ü ☃", `","final":true`, "#x", "'=1",
}

// formats returns the rows of an answer in every format, as the text of each member by its name.
func formats(t *testing.T, s *service, path string) map[string][]map[string]string {
	t.Helper()
	all := make(map[string][]map[string]string)
	for _, format := range []string{"json", "jsonl", "csv", "lp"} {
		w := s.get(t, path+"&format="+format)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		all[format] = readers[format](t, w)
	}
	return all
}

var readers = map[string]func(*testing.T, *httptest.ResponseRecorder) []map[string]string{
	"json": func(t *testing.T, w *httptest.ResponseRecorder) []map[string]string { return objects(t, array(t, w)) },
	"jsonl": func(t *testing.T, w *httptest.ResponseRecorder) []map[string]string {
		return objects(t, strings.Split(strings.TrimSpace(w.Body.String()), "\n"))
	},
	"csv": func(t *testing.T, w *httptest.ResponseRecorder) (rows []map[string]string) {
		table, err := csv.NewReader(w.Body).ReadAll()
		require.NoError(t, err)
		for _, cells := range table[1:] {
			row := make(map[string]string)
			for i, cell := range cells {
				row[table[0][i]] = cell
			}
			rows = append(rows, row)
		}
		return rows
	},
	"lp": func(t *testing.T, w *httptest.ResponseRecorder) (rows []map[string]string) {
		for d := lineprotocol.NewDecoderWithBytes(w.Body.Bytes()); d.Next(); {
			row := make(map[string]string)
			name, err := d.Measurement()
			require.NoError(t, err)
			row["table_name"] = string(name)
			for {
				key, value, err := d.NextTag()
				require.NoError(t, err)
				if key == nil {
					break
				}
				row[string(key)] = string(value)
			}
			for {
				key, value, err := d.NextField()
				require.NoError(t, err)
				if key == nil {
					break
				}
				row[string(key)] = strings.TrimSuffix(value.String(), "i")
			}
			_, err = d.Time(lineprotocol.Nanosecond, time.Time{})
			require.NoError(t, err)
			rows = append(rows, row)
		}
		return rows
	},
}

// objects returns JSON objects with all members as texts.
func objects(t *testing.T, texts []string) (rows []map[string]string) {
	t.Helper()
	for _, text := range texts {
		var o map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &o), text)
		row := make(map[string]string)
		for name, value := range o {
			var s string
			if json.Unmarshal(value, &s) != nil {
				s = string(value)
			}
			row[name] = s
		}
		rows = append(rows, row)
	}
	return rows
}

// Hostile names come back as they are: in stored records, merged ones and roll-ups. In CSV, an apostrophe keeps spreadsheets from
// running them.
func TestHostileNamesInEveryFormat(t *testing.T) {
	t.Parallel()
	const other = "\U0010FFFD" // after all names
	for _, name := range hostile {
		s := withRedis(t, nil)
		r := rec(1, name, "", 0)
		r.Tags = []series.Tag{{Key: name, Value: name}}
		merged := rec(2, name, "", 0)
		merged.Tags = r.Tags
		s.put(t, summed(r, name, "", 1, 2), summed(merged, name, "", 1), summed(merged, other, "", 2))
		for path, agents := range map[string][]string{cpuPath: {"", name}, cpuPath + "&agents=each": {name, other, name}, cpuPath + "&bucket=1h&agents=each": {name, other}} {
			for format, rows := range formats(t, s, path) {
				require.Len(t, rows, len(agents), "%s: %s", format, path)
				for i, row := range rows {
					agent, tag := agents[i], series.Sendable(name)
					want := map[string]string{"table_name": "analytics_cpu", "field_name": name, tag: name, "agent": agent, "count": row["count"]}
					if format == "lp" {
						want["field_name"], want[tag], want["agent"] = tag, tag, series.Sendable(agent)
					}
					if format == "csv" {
						want["field_name"], want["agent"] = inert(name), inert(agent)
						delete(want, tag)
						want[inert(tag)] = inert(name)
					}
					for member, text := range want {
						require.Equal(t, text, row[member], "%s of %q in %s: %v", member, name, format, row)
					}
				}
			}
		}
	}
}

// inert returns a text with an apostrophe if a spreadsheet would run it.
func inert(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}
