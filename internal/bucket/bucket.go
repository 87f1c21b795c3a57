// Package bucket divides event time into buckets and knows which of them are open. It knows nothing
// of what is collected in a bucket.
//
// Times are nanoseconds since 1970-01-01T00:00:00Z, as metrics carry them. A bucket is the half-open
// interval [start, end).
package bucket

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Grid divides time into buckets of one width. The zero Grid is not valid; use [NewGrid]. A Grid is
// immutable and safe for concurrent use.
type Grid struct {
	width  int64
	offset int64 // the start of a bucket modulo width, in [0, width)
}

// NewGrid returns the grid of buckets of that width, which is above zero; one of them starts at origin.
// The zero origin, the start of the year 1, is the one of [time.Time.Truncate]: weeks start on Mondays.
func NewGrid(width time.Duration, origin time.Time) (Grid, error) {
	if width <= 0 {
		return Grid{}, fmt.Errorf("width %s is not above zero", width)
	}
	// The origin may be out of the range of int64 nanoseconds: the year 1 is.
	ns := big.NewInt(origin.Unix())
	ns.Mul(ns, big.NewInt(int64(time.Second)))
	ns.Add(ns, big.NewInt(int64(origin.Nanosecond())))
	ns.Mod(ns, big.NewInt(int64(width)))
	return Grid{width: int64(width), offset: ns.Int64()}, nil
}

// Width returns the width of every bucket.
func (g Grid) Width() time.Duration { return time.Duration(g.width) }

// Start returns the start of the bucket that holds t. It returns false where the start is too early
// for int64 nanoseconds, which is so for some times in the year 1677.
func (g Grid) Start(t int64) (start int64, ok bool) {
	behind := t % g.width
	if behind < 0 {
		behind += g.width
	}
	behind -= g.offset // both are in [0, width), so nothing overflows
	if behind < 0 {
		behind += g.width
	}
	if t < math.MinInt64+behind {
		return 0, false
	}
	return t - behind, true
}

// End returns the end of the bucket that begins at start, or the largest int64 where the end is
// beyond it.
func (g Grid) End(start int64) int64 {
	if start > math.MaxInt64-g.width {
		return math.MaxInt64
	}
	return start + g.width
}

// Nano returns t in nanoseconds since 1970, or false where int64 cannot hold them: before September
// 1677 and after April 2262.
func Nano(t time.Time) (int64, bool) {
	const seconds = math.MaxInt64 / int64(time.Second)
	if s := t.Unix(); s <= -seconds || s >= seconds {
		return 0, false
	}
	return t.UnixNano(), true
}

// The units of a width in the order in which they may follow each other.
var units = []struct {
	name string
	size time.Duration
}{
	{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
}

var errWidth = errors.New(`want whole numbers with the units w, d, h, m or s, such as "30s", "10d" or "1h30m"`)

// ParseWidth reads the width of buckets: whole numbers with the units w, d, h, m and s, the largest
// first and each at most once, such as "30s", "10d" or "1h30m". A width is above zero.
func ParseWidth(s string) (time.Duration, error) {
	width, rest := time.Duration(0), s
	for _, unit := range units {
		number, after, found := cutUnit(rest, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n > int64((math.MaxInt64-width)/unit.size) {
			return 0, fmt.Errorf("width %q is too large, the largest is 292 years", s)
		}
		width += time.Duration(n) * unit.size
		rest = after
	}
	if s == "" || rest != "" {
		return 0, fmt.Errorf("width %q: %w", s, errWidth)
	}
	if width == 0 {
		return 0, fmt.Errorf("width %q is zero", s)
	}
	return width, nil
}

// cutUnit splits "10d2h" at unit "d" into "10" and "2h".
func cutUnit(s, unit string) (number, after string, found bool) {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 || s[end:end+1] != unit {
		return "", s, false
	}
	return s[:end], s[end+1:], true
}
