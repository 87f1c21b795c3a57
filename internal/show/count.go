package show

import "strconv"

// Counted returns a number and a noun that takes an s in the plural, such as "1 line", "2 lines" and "0 lines". noun is singular,
// and n is not negative.
func Counted[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatUint(uint64(n), 10) + " " + noun + "s"
}
