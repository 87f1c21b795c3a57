package main

import (
	// Upstream's plugins. Build tags select the files that register them: the default build has the plugins
	// of plugins.txt, and a build without tags has all plugins.
	_ "github.com/influxdata/telegraf/plugins/aggregators/all"
	_ "github.com/influxdata/telegraf/plugins/inputs/all"
	_ "github.com/influxdata/telegraf/plugins/outputs/all"
	_ "github.com/influxdata/telegraf/plugins/parsers/all"
	_ "github.com/influxdata/telegraf/plugins/processors/all"
	_ "github.com/influxdata/telegraf/plugins/secretstores/all"
	_ "github.com/influxdata/telegraf/plugins/serializers/all"

	// Ours.
	_ "github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
	_ "github.com/telegraf-describe/telegraf-describe/plugins/outputs/rediscache"
)
