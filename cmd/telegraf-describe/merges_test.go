package main

import (
	"testing"

	"github.com/influxdata/telegraf/config"
	"github.com/stretchr/testify/require"
)

func TestAnOutputThatMakesOneOfDifferentRowsIsWarnedOf(t *testing.T) {
	const (
		field = `drops the tag "field_name", so the rows of all fields of a series replace each other`
		state = `drops the tag "bucket_state", so the open and the final row of a bucket replace each other`
		name  = `name_override = "all" gives the rows of all measurements one name`
	)
	for _, test := range []struct{ describe, plugin, output, want string }{
		{"", "file", "", ""},
		{"", "file", `tagexclude = ["field_*"]`, field},
		{"", "file", `taginclude = ["host"]`, field},
		{"", "file", `taginclude = ["host", "field_name", "bucket_state"]`, ""},
		{`layout = "columns"`, "file", `tagexclude = ["field_name"]`, ""},
		{"", "file", "tagexclude = [\"field_name\"]\n  namepass = [\"other_*\"]", ""},
		{"", "file", "tagexclude = [\"field_name\"]\n  namepass = [\"analytics_cpu\"]", field},
		{"", "file", "tagexclude = [\"field_name\"]\n  namedrop = [\"analytics_*\"]", ""},
		{"", "influxdb_v2", `tagexclude = ["bucket_state"]`, ""},
		{"", "influxdb_v3", `tagexclude = ["bucket_state"]`, state},
		{"", "rediscache", `tagexclude = ["bucket_state"]`, state},
		{`emit = "final"`, "rediscache", `tagexclude = ["bucket_state"]`, ""},
		{"", "influxdb_v3", "tagexclude = [\"bucket_state\"]\n  [outputs.influxdb_v3.tagdrop]\n    bucket_state = [\"open\"]", ""},
		{"", "file", `name_override = "all"`, name},
		{"", "file", "name_override = \"all\"\n  namepass = [\"analytics_cpu\"]", ""},
		{`namepass = ["cpu"]`, "file", `name_override = "all"`, ""},
		{`name_override = "cpu_stats"`, "file", `name_override = "all"`, ""},
	} {
		c := config.NewConfig()
		text := "[[aggregators.describe]]\n  " + test.describe + "\n[[outputs." + test.plugin + "]]\n"
		if test.plugin == "rediscache" || test.plugin == "influxdb_v3" {
			text += "  database = \"d\"\n"
		}
		require.NoError(t, c.LoadConfigData([]byte(text+"  "+test.output+"\n"), config.EmptySourcePath))
		got := logged(func() { warnOutputMerges(c) })
		if test.want == "" {
			require.Empty(t, got, "%+v", test)
		}
		require.Contains(t, got, test.want, "%+v", test)
	}
}
