package rediscache_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
)

func TestTheSampleConfigurationHasEveryOption(t *testing.T) {
	t.Parallel()
	for _, field := range reflect.VisibleFields(reflect.TypeFor[rediscache.RedisCache]()) {
		if name := field.Tag.Get("toml"); name != "" && name != "-" && len(field.Index) == 1 {
			require.Regexp(t, `(?m)^  (# )?`+name+` = `, sampleConfig(), name)
		}
	}
}
