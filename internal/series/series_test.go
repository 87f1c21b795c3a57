package series_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/series"
)

func TestKeyListsTagsInOrder(t *testing.T) {
	s := series.Series{Measurement: "cpu", Tags: []series.Tag{{Key: "region", Value: "eu"}, {Key: "host", Value: "a b"}}}
	require.Equal(t, "cpu,host=a b,region=eu", string(s.AppendKey(nil)))
	require.Equal(t, "region", s.Tags[0].Key, "the series itself is not sorted")
	require.Equal(t, "host=a b,region=eu", string(series.AppendTags(nil, s.Tags)))
	require.Equal(t, "cpu", string(series.Series{Measurement: "cpu"}.AppendKey(nil)))
}

func TestDifferentSeriesHaveDifferentKeys(t *testing.T) {
	tags := func(texts ...string) (all []series.Tag) {
		for i := 0; i < len(texts); i += 2 {
			all = append(all, series.Tag{Key: texts[i], Value: texts[i+1]})
		}
		return all
	}
	seen := make(map[string]bool)
	for _, s := range []series.Series{
		{}, {Measurement: "a"}, {Measurement: "a,b=c"}, {Measurement: "a", Tags: tags("b", "c")}, {Measurement: "a", Tags: tags("b", "c,d=e")},
		{Measurement: "a", Tags: tags("b", "c", "d", "e")}, {Measurement: "a", Tags: tags("b=c", "")}, {Measurement: "a", Tags: tags("b", "=c")},
		{Measurement: "a", Tags: tags("", "")}, {Measurement: "a%", Tags: nil}, {Measurement: "a%25"}, {Measurement: "a\xff"}, {Measurement: "a\x00"},
		{Measurement: "a\u0085"}, {Measurement: "ü😀|{}:"},
	} {
		key := string(s.AppendKey(nil))
		require.False(t, seen[key], "%q has the key of another series", key)
		seen[key] = true
		got, err := series.ParseKey(key)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}
}

func TestParseKeyRejectsTextsThatAppendKeyDoesNotWrite(t *testing.T) {
	for _, key := range []string{
		"a,", "a,b", "a,b=c,", "a,b=c,b=d", "a,c=1,b=2", "a%", "a%4", "a%zz", "a%2c", "a%41", "a\x00", "a\xff", "a{", "a:b", "a,b=c=d", "a|b", "a,b=%C3%BC",
	} {
		_, err := series.ParseKey(key)
		require.ErrorIs(t, err, series.ErrKey, key)
	}
}

func TestSendableTextsArriveUnchanged(t *testing.T) {
	for text, want := range map[string]string{"": "", "a b,c=d": "a b,c=d", "a\tb": `a\tb`, "a\n\f\r": `a\n\f\r`, `a\\`: "a", "a\xff": "a\uFFFD", "\\": ""} {
		require.Equal(t, want, series.Sendable(text))
		require.Equal(t, want, series.Sendable(want), "sending twice changes nothing more")
	}
}

func TestRenameTagsAvoidsTakenEqualAndEmptyKeys(t *testing.T) {
	tags := []series.Tag{{Key: "time"}, {Key: "host"}, {Key: "time_tag"}, {Key: "a\\"}, {Key: ""}, {Key: "a"}}
	renamed := series.RenameTags(tags, func(key string) bool { return key == "time" })
	require.Equal(t, []string{"time", `a\`, ""}, renamed)
	require.Equal(t, []series.Tag{{Key: "time_tag_tag"}, {Key: "host"}, {Key: "time_tag"}, {Key: "a_tag"}, {Key: "_tag"}, {Key: "a"}}, tags)
}

func FuzzKey(f *testing.F) {
	f.Add("cpu", "host", "a", "cpu,host=a")
	f.Add("c%pu", "{}:|,=", "ü\xff\x00😀", "a%2C,b=")
	f.Fuzz(func(t *testing.T, measurement, key, value, text string) {
		want := series.Series{Measurement: measurement, Tags: []series.Tag{{Key: key, Value: value}}}
		got, err := series.ParseKey(string(want.AppendKey(nil)))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.False(t, strings.ContainsAny(series.Escape(text, series.Reserved), "{}:|,="))
		if s, err := series.ParseKey(text); err == nil {
			require.Equal(t, text, string(s.AppendKey(nil)), "ParseKey accepts a text that AppendKey does not write")
		}
	})
}
