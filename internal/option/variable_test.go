package option_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/option"
)

func TestVariablesAreReferencesThatATextCannotMeanOtherwise(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"${STATE}": {"STATE"}, "/var/${A}/${b_2}": {"A", "b_2"}, "$STATE": {"STATE"}, "/var/$HOST/state": {"HOST"},
		"redis://$HOST:6379": {"HOST"}, "redis://:${PW}@host": {"PW"},
		"": nil, "v$session": nil, "$": nil, "${": nil, "${}": nil, "${1}": nil, "${A:-b}": nil, "redis://:$word@host": nil, "pa$$w": nil,
	} {
		require.Equal(t, want, option.Variables(text), text)
	}
}

func TestHomeIsATildeAtTheBeginning(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{"~": true, "~/a": true, `~\a`: true, "~a": false, "/~/a": false, "": false} {
		require.Equal(t, want, option.Home(path), path)
	}
}

func TestAPasswordMayContainAReference(t *testing.T) {
	t.Parallel()
	require.Equal(t, "PW", option.SecretVariable("${PW}"))
	for _, password := range []string{"", "$PW", "a${PW}", "${PW}a", "${PW}${PW}", "${", "}"} {
		require.Empty(t, option.SecretVariable(password), password)
	}
}

func TestOptionsWithAnUnsetVariableAreErrors(t *testing.T) {
	t.Setenv("SET", "value")
	type embedded struct {
		CA string `toml:"tls_ca"`
	}
	plugin := struct {
		State  string   `toml:"state"`
		Path   string   `toml:"path"`
		Stats  []string `toml:"stats,omitempty"`
		Number int      `toml:"number"`
		Alias  string   `toml:"alias"`
		Log    string   `toml:"-"`
		embedded
	}{"${UNSET}", "${SET}", []string{"${SET}/${UNSET}"}, 1, "${UNSET}", "${UNSET}", embedded{"/$UNSET/ca"}}
	require.EqualError(t, option.Examples{"state": `"/var"`}.Unset(&plugin, "alias"),
		"invalid 'state' setting: the environment variable UNSET is not set; for example state = \"/var\"\n"+
			"invalid 'stats' setting: the environment variable UNSET is not set\n"+
			"invalid 'tls_ca' setting: the environment variable UNSET is not set")
}

func TestAnErrorThatFollowsFromAnotherIsLeftOut(t *testing.T) {
	t.Parallel()
	x := option.Examples{}
	first, same, other, none := x.Errorf("a", " 1"), x.Errorf("a", " 2"), x.Errorf("b", " 3"), errors.New("none")
	require.Equal(t, []error{first, other, none}, option.All(option.Prefer(first, errors.Join(same, other, none))))
	require.Equal(t, []error{same, none}, option.All(option.Prefer(nil, errors.Join(same, none))))
	require.NoError(t, option.Prefer(nil, nil))
}
