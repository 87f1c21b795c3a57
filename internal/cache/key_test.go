package cache

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestKeysOfATable(t *testing.T) {
	table := record.Table{Database: "db", Name: "analytics_cpu"}
	require.Equal(t, "db:analytics_cpu", table.String())
	require.Equal(t, "{db:analytics_cpu}:b:1588723200", bucketKey(table, "1588723200"))
	require.Equal(t, "{db:analytics_cpu}:q:-1.5", summaryKey(table, "-1.5"))
	require.Equal(t, []string{"{db:analytics_cpu}:idx", "{db:analytics_cpu}:exp", "{db:analytics_cpu}:names", "{db:analytics_cpu}:ver", "{db:analytics_cpu}:ch"},
		[]string{indexKey(table), expiryKey(table), namesKey(table), versionKey(table), channel(table)})
}

func TestAwkwardNamesDoNotCollide(t *testing.T) {
	seen := make(map[string]record.Table)
	for _, table := range []record.Table{
		{Database: "a:b", Name: "c"}, {Database: "a", Name: "b:c"}, {Database: "a", Name: "{b}:c"}, {Database: "a}", Name: "b"}, {Database: "a%7D", Name: "b"}, {Database: "a", Name: "b c"}, {Database: "a", Name: "ü😀/,=|%"}, {Database: "a", Name: "b\xff"}, {Database: "a", Name: "b\x00"},
	} {
		key := indexKey(table)
		require.NotContains(t, seen, key)
		seen[key] = table
		require.Equal(t, 1, strings.Count(key, "{"))
		require.Equal(t, 1, strings.Count(key, "}"))
		got, err := parseMember(member(table))
		require.NoError(t, err)
		require.Equal(t, table, got)
	}
}

func TestHashFieldsNameSeriesFieldAndAgent(t *testing.T) {
	r := record.Record{Field: "usage|idle", Agent: "a,1", Tags: []series.Tag{{Key: "host", Value: "x=y"}, {Key: "cpu", Value: "cpu 0"}}}
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
	for _, table := range []record.Table{{Database: "d", Name: long[:255]}, {Database: "analytics", Name: "analytics_tables"}, {Database: "tables", Name: "analytics"}, {Database: "a:b", Name: "ü 😀,=|%"}} {
		require.NoError(t, CheckTable(table))
	}
	for want, table := range map[string]record.Table{
		`database name "": want a name`: {Database: "", Name: "t"}, `table name "": want a name`: {Database: "d", Name: ""},
		`table name "` + long[:80] + `"…: a name has at most 255 bytes, this one has 300`:                                      {Database: "d", Name: long},
		`table name "\xff": a name is valid UTF-8`:                                                                             {Database: "d", Name: "\xff"},
		`table name "a\nb": a name has no control characters`:                                                                  {Database: "d", Name: "a\nb"},
		`database name "a\x00": a name has no control characters`:                                                              {Database: "a\x00", Name: "t"},
		`database name "a{": a name has none of { } /`:                                                                         {Database: "a{", Name: "t"},
		`database name "a}": a name has none of { } /`:                                                                         {Database: "a}", Name: "t"},
		`database name "a/b": a name has none of { } /`:                                                                        {Database: "a/b", Name: "t"},
		`table name "{brace}:colon": a name has none of { } /`:                                                                 {Database: "d", Name: "{brace}:colon"},
		`table name "a/b": a name has none of { } /`:                                                                           {Database: "d", Name: "a/b"},
		`table name "tables" in database "analytics": the key "analytics:tables" is the list of all tables, want another name`: {Database: "analytics", Name: "tables"},
	} {
		require.EqualError(t, CheckTable(table), want)
	}
}

// The key that SET replaces, whatever is there, is that of no index and not the catalogue.
func TestNoCompatibilityKeyIsAnotherKey(t *testing.T) {
	victim := record.Table{Database: "db", Name: "analytics_solar"}
	taken := []string{catalogueKey, bucketKey(victim, "0"), summaryKey(victim, "0"), indexKey(victim), expiryKey(victim), namesKey(victim), versionKey(victim)}
	for _, key := range taken {
		for i := range key {
			if table := (record.Table{Database: key[:i], Name: key[min(i+1, len(key)):]}); key[i] == ':' {
				require.Equal(t, key, table.String())
				require.Error(t, CheckTable(table), table)
			}
		}
	}
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"", "a:b", "%", "1.5", "{}:|,=", "ü\xff\x00😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if table, err := parseMember(s); err == nil {
			require.Equal(t, s, member(table))
		}
		if at, err := parseStart(s); err == nil {
			require.Equal(t, s, startText(at))
		}
	})
}
