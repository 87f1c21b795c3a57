package execd

import (
	"testing"
	"time"

	"github.com/influxdata/telegraf/metric"
	"github.com/influxdata/telegraf/plugins/serializers/influx"
	"github.com/stretchr/testify/require"
)

// This test is inside of the package because it compares the bytes of each line of the splitter, and chooses where a read ends.

// FuzzSplitter splits lines of Telegraf's serializer with arbitrary names and texts. The splitter must return each line whole, so
// that the parser gets the same metric as from the line alone.
func FuzzSplitter(f *testing.F) {
	for _, text := range []string{"a", "a b", "a\nb", `a"b`, `a\`, "a=\"b", "\n\"\\\n", `\"`, "#", " #\"", `"="`, "a,b\t"} {
		f.Add(text, "key", text, "x", 1)
		f.Add("m", text, "b", text, 3)
	}
	f.Add("m", `="`, "x", "y", 3) // an escaped equals sign before a quotation mark
	f.Fuzz(func(t *testing.T, name, key, tag, text string, cut int) {
		var s influx.Serializer
		require.NoError(t, s.Init())
		m := metric.New(name, map[string]string{key: tag}, map[string]any{key: text, "n": 1.5}, time.Unix(0, 1))
		line, err := s.Serialize(m)
		p := newParser()
		if err != nil {
			t.Skip("not serializable")
		}
		alone, err := p.parse(line)
		if err != nil || alone == nil {
			t.Skip("the serializer has lines that the parser rejects")
		}
		all := append(append([]byte("m f=1 1\n"), line...), "m f=2 2\n"...)
		at := int(uint(cut) % uint(len(all)))
		var lines splitter
		var got []string
		for _, part := range [][]byte{all[:at], all[at:]} {
			lines.add(part)
			for {
				line, err := lines.next()
				require.NoError(t, err)
				if line == nil {
					break
				}
				got = append(got, string(line))
			}
		}
		lines.end()
		last, err := lines.next()
		require.NoError(t, err)
		require.Nil(t, last)
		require.Equal(t, []string{"m f=1 1\n", string(line), "m f=2 2\n"}, got)
	})
}
