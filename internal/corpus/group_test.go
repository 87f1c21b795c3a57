package corpus_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
	"github.com/stretchr/testify/require"

	"github.com/telegraf-describe/telegraf-describe/internal/oracle"
)

// group has the values of one field of one series in one bucket.
type group struct {
	oracle.Values // booleans are 0 and 1

	measurement string
	tags        map[string]string // of the series; empty if all series of the measurement are one group
	field       string
	start       time.Time // of the bucket
	first, last float64   // by time, then by line

	firstTime, lastTime time.Time
}

// groupsOf reads line protocol with times in nanoseconds and returns its groups in the order of their first lines. Buckets
// have the given width and start at multiples of it since the year 1. bySeries separates the series of a measurement.
// Strings are not values.
func groupsOf(lines []byte, width time.Duration, bySeries bool) ([]*group, error) {
	var all []*group
	index := make(map[string]*group)
	d := lineprotocol.NewDecoderWithBytes(lines)
	for d.Next() {
		p, err := readPoint(d)
		if err != nil {
			return nil, err
		}
		if !bySeries {
			p.tags = nil
		}
		start := p.time.Truncate(width)
		for _, f := range p.fields {
			key := fmt.Sprintf("%q %q %q %s", p.measurement, p.tags, f.name, start)
			g := index[key]
			if g == nil {
				g = &group{measurement: p.measurement, tags: p.tags, field: f.name, start: start}
				index[key] = g
				all = append(all, g)
			}
			g.add(f.value, p.time)
		}
	}
	for _, g := range all {
		slices.Sort(g.Values)
	}
	return all, nil
}

func (g *group) add(v float64, at time.Time) {
	if len(g.Values) == 0 || at.Before(g.firstTime) {
		g.first, g.firstTime = v, at
	}
	if len(g.Values) == 0 || !at.Before(g.lastTime) {
		g.last, g.lastTime = v, at
	}
	g.Values = append(g.Values, v)
}

// point is one line.
type point struct {
	measurement string
	tags        map[string]string
	fields      []field
	time        time.Time
}

// field is one field of a line whose value is a number or a boolean.
type field struct {
	name  string
	value float64
}

func readPoint(d *lineprotocol.Decoder) (point, error) {
	name, err := d.Measurement()
	if err != nil {
		return point{}, err
	}
	p := point{measurement: string(name), tags: make(map[string]string)}
	for {
		key, value, err := d.NextTag()
		if err != nil {
			return p, err
		}
		if key == nil {
			break
		}
		p.tags[string(key)] = string(value)
	}
	for {
		key, value, err := d.NextField()
		if err != nil {
			return p, err
		}
		if key == nil {
			break
		}
		if v, ok := number(value); ok {
			p.fields = append(p.fields, field{string(key), v})
		}
	}
	p.time, err = d.Time(lineprotocol.Nanosecond, time.Time{})
	p.time = p.time.UTC()
	return p, err
}

// number returns the value as a float64, or false for a string.
func number(value lineprotocol.Value) (float64, bool) {
	switch v := value.Interface().(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

func TestGroupsOfSeriesAndOfMeasurements(t *testing.T) {
	t.Parallel()
	all, err := groupsOf([]byte(`m,h=a v=3,s="x" 1700000000000000000
m,h=b v=1i 1700000000000000001
m,h=a v=10u,b=true 1699999999999999999
m,h=b v=1 1700000000000000002
`), time.Hour, false)
	require.NoError(t, err)
	require.Len(t, all, 2)
	v := all[0]
	require.Equal(t, "m", v.measurement)
	require.Equal(t, "v", v.field)
	require.Empty(t, v.tags)
	require.Equal(t, time.Date(2023, 11, 14, 22, 0, 0, 0, time.UTC), v.start)
	require.Equal(t, oracle.Values{1, 1, 3, 10}, v.Values)
	require.Equal(t, []float64{10, 1}, []float64{v.first, v.last})
	require.Equal(t, oracle.Values{1}, all[1].Values)

	series, err := groupsOf([]byte("m,h=a v=1 1\nm,h=b v=2 1\nm,h=a v=3 3600000000000\nm,h=a v=5 2\n"), time.Hour, true)
	require.NoError(t, err)
	require.Len(t, series, 3)
	require.Equal(t, oracle.Values{1, 5}, series[0].Values)
	require.Equal(t, map[string]string{"h": "b"}, series[1].tags)
}

func TestGroupsOfMalformedLines(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"m", "m v=x 1", "m,t= v=1", "m v=1 x"} {
		_, err := groupsOf([]byte(bad), time.Hour, false)
		require.Error(t, err, bad)
	}
}
