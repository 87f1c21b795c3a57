package option_test

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

func TestAnErrorNamesTheOptionTheValueTheRuleAndAnExample(t *testing.T) {
	t.Parallel()
	examples := option.Examples{"layout": `"rows"`}
	require.EqualError(t, examples.OneOf("layout", "row", "rows", "columns"),
		`invalid 'layout' setting "row", want "rows" or "columns", did you mean "rows"?; for example layout = "rows"`)
	require.NoError(t, examples.OneOf("layout", "rows", "rows", "columns"))
	require.EqualError(t, examples.Errorf("emit", ": %w", errors.ErrUnsupported), "invalid 'emit' setting: unsupported operation")
	require.ErrorIs(t, examples.Errorf("emit", ": %w", errors.ErrUnsupported), errors.ErrUnsupported)
}

func TestAllUnpacksJoinedErrors(t *testing.T) {
	t.Parallel()
	one, two, three := errors.New("one"), option.Examples{}.Errorf("two", ""), errors.New("three")
	require.Equal(t, []error{one, two, three}, option.All(errors.Join(one, errors.Join(two, nil, three))))
	require.Empty(t, option.All(nil))
	require.Equal(t, "two", option.Of(fmt.Errorf("wrapped: %w", two)))
	require.Empty(t, option.Of(one))
}

func TestTheNearestWordIsSuggested(t *testing.T) {
	t.Parallel()
	known := []string{"bucket", "bucket_tag", "stats", "state", "state_tag", "p95", "mean", "median", "max_series"}
	for word, want := range map[string]string{
		"buckte": "bucket", "bukcet_tag": "bucket_tag", "Bucket": "bucket", "max-series": "max_series", "maxseries": "max_series",
		"statsu": "stats", "stat": "stats", "p59": "p95", "man": "mean", "mena": "mean", "medain": "median",
		"interval": "", "x": "", "": "", "metric": "", "bucket": "",
	} {
		require.Equal(t, want, option.Nearest(word, known), word)
	}
	require.Equal(t, `, did you mean "stats"?`, option.Suggest("statss", known))
	require.Empty(t, option.Suggest("nothing like it", known))
}

// One of two names that are equally near would often be the wrong one.
func TestAllNamesThatAreEquallyNearAreSuggested(t *testing.T) {
	t.Parallel()
	known := []string{"bucket", "state", "stats", "state"}
	require.Equal(t, `, did you mean "state" or "stats"?`, option.Suggest("stat", known))
	require.Equal(t, `, did you mean "stats"?`, option.Suggest("statss", known), "one edit is nearer than two")
	require.Equal(t, `, did you mean "p50", "p51" or "p52"?`, option.Suggest("p5", []string{"p50", "p51", "p52", "p53"}))
}

func TestAFlagThatDoesNotExistIsAnErrorWithTheNearestName(t *testing.T) {
	t.Parallel()
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var known []string
	for _, name := range []string{"listen", "group-by", "columns"} {
		flags.String(name, "", "")
		known = append(known, name)
	}
	for arg, want := range map[string]string{
		"--lisen": "--lisen, did you mean --listen?", "-group": "--group, did you mean --group-by?",
		"--colunms=x": "--colunms, did you mean --columns?", "--other": "--other",
	} {
		text, ok := option.UnknownFlag(flags.Parse([]string{arg}), known)
		require.True(t, ok, arg)
		require.Equal(t, want, text)
	}
	for _, arg := range []string{"--help", "--listen"} {
		_, ok := option.UnknownFlag(flags.Parse([]string{arg}), known)
		require.False(t, ok, arg)
	}
}
