package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestKeysOfATable(t *testing.T) {
	table := Table{"db", "analytics_cpu"}
	require.Equal(t, "db:analytics_cpu", table.String())
	require.Equal(t, "{db:analytics_cpu}:b:1588723200", table.bucketKey("1588723200"))
	require.Equal(t, "{db:analytics_cpu}:q:-1.5", table.summaryKey("-1.5"))
	require.Equal(t, []string{"{db:analytics_cpu}:idx", "{db:analytics_cpu}:exp", "{db:analytics_cpu}:names", "{db:analytics_cpu}:ver", "{db:analytics_cpu}:ch"},
		[]string{table.indexKey(), table.expiryKey(), table.namesKey(), table.versionKey(), table.channel()})
}

func TestAwkwardNamesDoNotCollide(t *testing.T) {
	seen := make(map[string]Table)
	for _, table := range []Table{
		{"a:b", "c"}, {"a", "b:c"}, {"a", "{b}:c"}, {"a}", "b"}, {"a%7D", "b"}, {"a", "b c"}, {"a", "ü😀/,=|%"}, {"a", "b\xff"}, {"a", "b\x00"},
	} {
		key := table.indexKey()
		require.NotContains(t, seen, key)
		seen[key] = table
		require.Equal(t, 1, strings.Count(key, "{"))
		require.Equal(t, 1, strings.Count(key, "}"))
		got, err := parseMember(table.member())
		require.NoError(t, err)
		require.Equal(t, table, got)
	}
}

func TestHashFieldsNameSeriesFieldAndAgent(t *testing.T) {
	r := record.Record{Field: "usage|idle", Agent: "a,1", Tags: []record.Tag{{Key: "host", Value: "x=y"}, {Key: "cpu", Value: "cpu 0"}}}
	require.Equal(t, "cpu=cpu 0,host=x%3Dy|usage%7Cidle|a%2C1", hashField(&r))
	require.Equal(t, "host", r.Tags[0].Key)
}

func TestBucketStartsReadBack(t *testing.T) {
	for text, at := range map[string]time.Time{
		"1588723200": time.Unix(1588723200, 0), "0": time.Unix(0, 0), "-86400": time.Unix(-86400, 0), "1.5": time.Unix(1, 5e8),
		"-0.5": time.Unix(-1, 5e8), "-1.5": time.Unix(-2, 5e8), "7.000000001": time.Unix(7, 1), "-62135596800": {},
	} {
		require.Equal(t, text, startText(at))
		got, err := parseStart(text)
		require.NoError(t, err)
		require.Equal(t, at.UTC(), got)
	}
	for _, text := range []string{"", "x", "1.", "1.50", "01", "+1", "1.0000000001", "-0", "1e3", " 1"} {
		_, err := parseStart(text)
		require.Error(t, err, text)
	}
}

func TestNamesNoTableCanHave(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, table := range []Table{{"d", long[:255]}, {"analytics", "analytics_tables"}, {"tables", "analytics"}, {"a:b", "ü 😀,=|%"}} {
		require.NoError(t, table.Check())
	}
	for want, table := range map[string]Table{
		`database name "": want a name`: {"", "t"}, `table name "": want a name`: {"d", ""},
		`table name "` + long[:80] + `"…: a name has at most 255 bytes, this one has 300`:                                      {"d", long},
		`table name "\xff": a name is valid UTF-8`:                                                                             {"d", "\xff"},
		`table name "a\nb": a name has no control characters`:                                                                  {"d", "a\nb"},
		`database name "a\x00": a name has no control characters`:                                                              {"a\x00", "t"},
		`database name "a{": a name has none of { } /`:                                                                         {"a{", "t"},
		`database name "a}": a name has none of { } /`:                                                                         {"a}", "t"},
		`database name "a/b": a name has none of { } /`:                                                                        {"a/b", "t"},
		`table name "{brace}:colon": a name has none of { } /`:                                                                 {"d", "{brace}:colon"},
		`table name "a/b": a name has none of { } /`:                                                                           {"d", "a/b"},
		`table name "tables" in database "analytics": the key "analytics:tables" is the list of all tables, want another name`: {"analytics", "tables"},
	} {
		require.EqualError(t, table.Check(), want)
	}
}

// The key that SET replaces, whatever is there, is that of no index and not the catalogue.
func TestNoCompatibilityKeyIsAnotherKey(t *testing.T) {
	victim := Table{"db", "analytics_solar"}
	taken := []string{catalogueKey, victim.bucketKey("0"), victim.summaryKey("0"), victim.indexKey(), victim.expiryKey(), victim.namesKey(), victim.versionKey()}
	for _, key := range taken {
		for i := range key {
			if table := (Table{key[:i], key[min(i+1, len(key)):]}); key[i] == ':' {
				require.Equal(t, key, table.String())
				require.Error(t, table.Check(), table)
			}
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "a", "%", "%4", "{}:|,=", "ü\xff\x00😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, reserved := range []string{reservedInKeys, reservedInFields} {
			got, err := unescape(escape(s, reserved))
			require.NoError(t, err)
			require.Equal(t, s, got)
		}
		_, _ = unescape(s)
		_, _ = parseMember(s)
		if at, err := parseStart(s); err == nil {
			require.Equal(t, s, startText(at))
		}
	})
}
