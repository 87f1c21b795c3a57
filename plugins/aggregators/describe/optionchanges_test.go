package describe_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/plugins/aggregators/describe"
)

// The log has the options that differ, as the configuration spells them, and no others.
func TestChangedOptionsAreLoggedAsInTheConfiguration(t *testing.T) {
	for want, change := range map[string]func(d *describe.Describe){
		`(group_by = ["*"] → ["a b", "host"]): its 1`:                      func(d *describe.Describe) { d.GroupBy = []string{"host", "a b"} },
		`(group_by = ["*"] → []): its 1`:                                   func(d *describe.Describe) { d.GroupBy = nil },
		`(alias = "" → "eins, \"zwei\"", booleans = "number" → "ignore"):`: func(d *describe.Describe) { d.Alias, d.Booleans = `eins, "zwei"`, "ignore" },
	} {
		folder := t.TempDir()
		before := stated(t, folder, time.Unix(1_800_000_000, 0), nil)
		before.values(bucketStart, 1.0)
		before.push()
		require.NoError(t, before.Close())
		after := stated(t, folder, before.clock.now(), change)
		after.values(bucketStart, 2.0)
		log := strings.Join(after.log.Warnings(), "\n")
		require.Contains(t, log, "Options of a describe block have changed "+want)
		require.NotContains(t, log, "map[")
		require.NoError(t, after.Close())
	}
}
