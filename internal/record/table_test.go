package record_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

func TestCheckNameQuotesTheRuleThatANameBreaks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", strings.Repeat("ü", 127), "a b:c|d%,=😀"} {
		require.NoError(t, record.CheckName(name), name)
	}
	for name, want := range map[string]string{
		"": "want a name", strings.Repeat("a", 256): "at most 255 bytes, this one has 256", "\xff": "valid UTF-8", "a\n": "no control characters",
		"a\u0085": "no control characters", "a/b": "none of { } /", "{": "none of { } /", "}": "none of { } /",
	} {
		require.ErrorContains(t, record.CheckName(name), want)
	}
	require.ErrorContains(t, record.Table{Database: "a/b", Name: "t"}.Check(), `database name "a/b": a name has none of { } /`)
	require.ErrorContains(t, record.Table{Database: "db", Name: strings.Repeat("x", 300)}.Check(), `table name "`+strings.Repeat("x", 80)+`"…: a name has at most 255 bytes`)
	require.Equal(t, "db:analytics_cpu", record.Table{Database: "db", Name: "analytics_cpu"}.String())
}
