package corpus

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// Described is what one field of one series has in one bucket. Its statistics are computed from all of the
// values by the plainest means and with exact arithmetic, for values from 1e-20 to 1e20, to compare others with.
type Described struct {
	Measurement string
	Tags        map[string]string // of the series; empty where all series are taken together
	Field       string
	Start       time.Time // of the bucket
	Sorted      []float64 // the values; booleans as 0 and 1
	First, Last float64   // by time, then by line

	first, last time.Time
}

// Grouping says what the values of a bucket have in common.
type Grouping struct {
	Width    time.Duration // of the buckets, which start at multiples from the year 1
	BySeries bool          // each tag set alone, rather than all of a measurement together
}

// Describe reads line protocol with times in nanoseconds and returns what it describes, in the order in which
// it begins. Strings are left out.
func Describe(lines []byte, g Grouping) ([]*Described, error) {
	var all []*Described
	index := make(map[string]*Described)
	d := lineprotocol.NewDecoderWithBytes(lines)
	for d.Next() {
		p, err := readPoint(d)
		if err != nil {
			return nil, err
		}
		if !g.BySeries {
			p.tags = nil
		}
		start := p.time.Truncate(g.Width)
		for _, f := range p.fields {
			key := fmt.Sprintf("%q %q %q %s", p.measurement, p.tags, f.name, start)
			b := index[key]
			if b == nil {
				b = &Described{Measurement: p.measurement, Tags: p.tags, Field: f.name, Start: start}
				index[key] = b
				all = append(all, b)
			}
			b.add(f.value, p.time)
		}
	}
	for _, b := range all {
		slices.Sort(b.Sorted)
	}
	return all, nil
}

func (b *Described) add(v float64, at time.Time) {
	if len(b.Sorted) == 0 || at.Before(b.first) {
		b.First, b.first = v, at
	}
	if len(b.Sorted) == 0 || !at.Before(b.last) {
		b.Last, b.last = v, at
	}
	b.Sorted = append(b.Sorted, v)
}

// Count returns how many values there are, at least one.
func (b *Described) Count() int { return len(b.Sorted) }

// Min returns the smallest value.
func (b *Described) Min() float64 { return b.Sorted[0] }

// Max returns the largest value.
func (b *Described) Max() float64 { return b.Sorted[len(b.Sorted)-1] }

// Scale returns the largest magnitude of a value, to judge errors by.
func (b *Described) Scale() float64 { return max(math.Abs(b.Min()), math.Abs(b.Max())) }

// Sum returns the sum, the nearest float64 to the true one.
func (b *Described) Sum() float64 { return nearest(b.sum()) }

// Mean returns the mean, the nearest float64 to the true one.
func (b *Described) Mean() float64 { return nearest(b.mean()) }

// Variance returns the sample variance, the nearest float64 to the true one; NaN for a single value.
func (b *Described) Variance() float64 {
	if b.Count() == 1 {
		return math.NaN()
	}
	mean, squares := b.mean(), exact(0)
	for _, v := range b.Sorted {
		d := exact(0).Sub(exact(v), mean)
		squares.Add(squares, d.Mul(d, d))
	}
	return nearest(squares.Quo(squares, exact(float64(b.Count()-1))))
}

// Mode returns the most frequent value, the smallest among ties, and how often it occurs.
func (b *Described) Mode() (mode float64, count int) {
	counts := make(map[float64]int)
	for _, v := range b.Sorted {
		counts[v]++
	}
	mode = slices.MinFunc(slices.Collect(maps.Keys(counts)), func(x, y float64) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	return mode, counts[mode]
}

// Linear returns the percentile p as NumPy does: interpolated between the two nearest values.
func (b *Described) Linear(p int) float64 {
	last := int64(b.Count() - 1)
	at := big.NewRat(int64(p)*last, 100)
	lower := at.Num().Int64() / at.Denom().Int64()
	x := exact(b.Sorted[lower])
	step := exact(0).Sub(exact(b.Sorted[min(lower+1, last)]), x)
	part := exact(0).SetRat(at.Sub(at, big.NewRat(lower, 1)))
	return nearest(x.Add(x, step.Mul(step, part)))
}

// NearestRank returns the smallest value that p percent of the values do not exceed.
func (b *Described) NearestRank(p int) float64 {
	return b.Sorted[max(0, (p*b.Count()+99)/100-1)]
}

// FloorRank returns the value at the index that p percent of the count have, rounded down.
func (b *Described) FloorRank(p int) float64 {
	return b.Sorted[min(p*b.Count()/100, b.Count()-1)]
}

func (b *Described) sum() *big.Float {
	sum := exact(0)
	for _, v := range b.Sorted {
		sum.Add(sum, exact(v))
	}
	return sum
}

func (b *Described) mean() *big.Float {
	return exact(0).Quo(b.sum(), exact(float64(b.Count())))
}

// exact returns v with so many digits that sums and squares of values from 1e-20 to 1e20 lose none.
func exact(v float64) *big.Float { return new(big.Float).SetPrec(512).SetFloat64(v) }

func nearest(v *big.Float) float64 {
	f, _ := v.Float64()
	return f
}

// point is a line that is read.
type point struct {
	measurement string
	tags        map[string]string
	fields      []field
	time        time.Time
}

// field is a number of a line.
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
