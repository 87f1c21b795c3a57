package main

import (
	// Upstream's plugins. Each is registered by a file that build tags select, so the command has those
	// of plugins.txt by default and every one of them when it is built without tags.
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
