package describe

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// ofTelegraf are the options of every aggregator. Telegraf documents them.
var ofTelegraf = []string{
	"grace", "delay", "alias", "namepass", "namedrop", "fieldinclude", "fieldexclude", "metricpass", "tagpass", "tagdrop",
}

func TestSampleConfigHasEveryOption(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Describe]()) {
		name := field.Tag.Get("toml")
		if name == "" || name == "-" || slices.Contains(ofTelegraf, name) {
			continue
		}
		require.Regexp(t, `(?m)^  (# )?`+name+` = `, sampleConfig, name)
	}
}
