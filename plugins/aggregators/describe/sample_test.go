package describe_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// ofTelegraf are the options of every aggregator. Telegraf documents them.
var ofTelegraf = []string{
	"grace", "delay", "alias", "namepass", "namedrop", "fieldinclude", "fieldexclude", "metricpass", "tagpass", "tagdrop",
}

func TestSampleConfigHasEveryOption(t *testing.T) {
	sample := new(describe.Describe).SampleConfig()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[describe.Describe]()) {
		name := field.Tag.Get("toml")
		if name == "" || name == "-" || slices.Contains(ofTelegraf, name) {
			continue
		}
		require.Regexp(t, `(?m)^  (# )?`+name+` = `, sample, name)
	}
}
