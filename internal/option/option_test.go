package option_test

import (
	"errors"
	"fmt"
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
