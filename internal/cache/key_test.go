package cache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/cache"
	"github.com/telegraf-describe/telegraf-describe/internal/record"
	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestKeysOfATable(t *testing.T) {
	t.Parallel()
	table := record.Table{Database: "db", Name: "analytics_cpu"}
	require.Equal(t, "db:analytics_cpu", table.String())
	require.Equal(t, "{db:analytics_cpu}:b:1588723200", cache.BucketKey(table, "1588723200"))
	require.Equal(t, "{db:analytics_cpu}:q:-1.5", cache.SummaryKey(table, "-1.5"))
	require.Equal(t, "{db:analytics_cpu}:r:60", cache.RevisionKey(table, "60"))
	require.Equal(t, "{db:analytics_cpu}:h:60", cache.HeadKey(table, "60"))
	require.Equal(t, []string{"{db:analytics_cpu}:idx", "{db:analytics_cpu}:exp", "{db:analytics_cpu}:names", "{db:analytics_cpu}:ver", "{db:analytics_cpu}:ch"},
		[]string{cache.IndexKey(table), cache.ExpiryKey(table), cache.NamesKey(table), cache.VersionKey(table), cache.ChannelName(table)})
}

func TestAwkwardNamesDoNotCollide(t *testing.T) {
	t.Parallel()
	seen := make(map[string]record.Table)
	for _, table := range []record.Table{
		{Database: "a:b", Name: "c"}, {Database: "a", Name: "b:c"}, {Database: "a", Name: "{b}:c"}, {Database: "a}", Name: "b"}, {Database: "a%7D", Name: "b"}, {Database: "a", Name: "b c"}, {Database: "a", Name: "ü😀/,=|%"}, {Database: "a", Name: "b\xff"}, {Database: "a", Name: "b\x00"},
	} {
		key := cache.IndexKey(table)
		require.NotContains(t, seen, key)
		seen[key] = table
		require.Equal(t, 1, strings.Count(key, "{"))
		require.Equal(t, 1, strings.Count(key, "}"))
		got, err := cache.ParseMember(cache.Member(table))
		require.NoError(t, err)
		require.Equal(t, table, got)
	}
}

func TestHashFieldsNameSeriesFieldAgentAndReplica(t *testing.T) {
	t.Parallel()
	r := record.Record{Field: "usage|idle", Agent: "a,1", Tags: []series.Tag{{Key: "cpu", Value: "cpu 0"}, {Key: "host", Value: "x=y"}}}
	require.Equal(t, "cpu=cpu 0,host=x%3Dy|usage%7Cidle|a%2C1", cache.HashField(r))
	r.Replica = "b|"
	require.Equal(t, "cpu=cpu 0,host=x%3Dy|usage%7Cidle|a%2C1|b%7C", cache.HashField(r))
}

func TestBucketStartsReadBack(t *testing.T) {
	t.Parallel()
	for text, at := range map[string]time.Time{
		"1588723200": time.Unix(1588723200, 0), "0": time.Unix(0, 0), "-86400": time.Unix(-86400, 0), "1.5": time.Unix(1, 5e8),
		"-0.5": time.Unix(-1, 5e8), "-1.5": time.Unix(-2, 5e8), "7.000000001": time.Unix(7, 1), "-62135596800": {},
	} {
		require.Equal(t, text, cache.StartText(at))
		got, err := cache.ParseStart(text)
		require.NoError(t, err)
		require.Equal(t, at.UTC(), got)
	}
	for _, text := range []string{"", "x", "1.", "1.50", "01", "+1", "1.0000000001", "-0", "1e3", " 1"} {
		_, err := cache.ParseStart(text)
		require.Error(t, err, text)
	}
}

func TestCheckTableNamesTheRuleThatANameBreaks(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300)
	for _, table := range []record.Table{{Database: "d", Name: long[:255]}, {Database: "analytics", Name: "analytics_tables"}, {Database: "tables", Name: "analytics"}, {Database: "a:b", Name: "ü 😀,=|%"}} {
		require.NoError(t, cache.CheckTable(table))
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
		require.EqualError(t, cache.CheckTable(table), want)
	}
}

// SET replaces a key of any type, so no compatibility key may be equal to a key of another kind.
func TestNoCompatibilityKeyIsAnotherKey(t *testing.T) {
	t.Parallel()
	victim := record.Table{Database: "db", Name: "analytics_solar"}
	taken := []string{cache.CatalogueKey, cache.BucketKey(victim, "0"), cache.SummaryKey(victim, "0"), cache.RevisionKey(victim, "0"), cache.HeadKey(victim, "0"), cache.IndexKey(victim), cache.ExpiryKey(victim), cache.NamesKey(victim), cache.VersionKey(victim)}
	for _, key := range taken {
		for i := range key {
			if table := (record.Table{Database: key[:i], Name: key[min(i+1, len(key)):]}); key[i] == ':' {
				require.Equal(t, key, table.String())
				require.Error(t, cache.CheckTable(table), table)
			}
		}
	}
}

func FuzzKeys(f *testing.F) {
	for _, s := range []string{"", "a:b", "%", "1.5", "{}:|,=", "ü\xff\x00😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if table, err := cache.ParseMember(s); err == nil {
			require.Equal(t, s, cache.Member(table))
		}
		if at, err := cache.ParseStart(s); err == nil {
			require.Equal(t, s, cache.StartText(at))
		}
	})
}
