package series

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Reserved lists the characters that separate the parts of a key, here or in a key that contains this one: the
// braces of a cluster's hash tag, the colon of a Redis key and the bar between series, field and agent.
const Reserved = "%{}:|,="

// Escape returns s with each character of reserved, each control character and each byte that is not valid UTF-8
// percent-encoded, as in RFC 3986: %, two upper-case hexadecimal digits. reserved must contain "%". The result contains
// no reserved character except "%", so the other ones can separate escaped texts. Different texts have different
// results.
func Escape(s, reserved string) string {
	if isPlain(s, reserved) {
		return s
	}
	return string(appendEscaped(nil, s, reserved))
}

// AppendEscaped appends [Escape](s, [Reserved]) to dst and returns the extended slice.
func AppendEscaped(dst []byte, s string) []byte { return appendEscaped(dst, s, Reserved) }

// appendEscaped appends Escape(s, reserved) to dst. It escapes whole characters, byte by byte.
func appendEscaped(dst []byte, s, reserved string) []byte {
	if isPlain(s, reserved) {
		return append(dst, s...)
	}
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) || strings.ContainsRune(reserved, r) {
			for _, c := range []byte(s[i : i+size]) {
				dst = fmt.Appendf(dst, "%%%02X", c)
			}
		} else {
			dst = append(dst, s[i:i+size]...)
		}
		i += size
	}
	return dst
}

// isPlain reports whether no character of s needs an escape. It uses a set of bits for ASCII: with the functions that it calls for other
// texts, BenchmarkSeriesLookup/order=random/series=100 of package engine took 790 ns instead of 330.
func isPlain(s, reserved string) bool {
	special := specialInKeys
	if reserved != Reserved {
		special = specialOf(reserved)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return utf8.ValidString(s) && !strings.ContainsAny(s, reserved) && !strings.ContainsFunc(s, unicode.IsControl)
		case special[c>>6]>>(c&63)&1 != 0:
			return false
		}
	}
	return true
}

// specialInKeys is specialOf(Reserved), which need not be made again for each part of a key.
var specialInKeys = specialOf(Reserved)

// specialOf returns the set of the reserved characters and the control characters of ASCII, one bit for each.
func specialOf(reserved string) [2]uint64 {
	special := [2]uint64{1<<' ' - 1, 1 << (0x7f - 64)} // the control characters
	for i := range len(reserved) {
		special[reserved[i]>>6&1] |= 1 << (reserved[i] & 63)
	}
	return special
}

// Unescape returns the text for which [Escape] returns s with the same reserved characters. It returns an error if Escape
// returns s for no text, so every text has one escaped form only.
func Unescape(s, reserved string) (string, error) {
	if isPlain(s, reserved) {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("%q ends within an escape", s)
		}
		high, low := digit(s[i+1]), digit(s[i+2])
		if high < 0 || low < 0 {
			return "", fmt.Errorf("escape %q, want two upper-case hexadecimal digits", s[i:i+3])
		}
		b = append(b, byte(high<<4|low))
		i += 2
	}
	text := string(b)
	if Escape(text, reserved) != s {
		return "", fmt.Errorf("%q is not an escaped text: it has an escape too many or too few", s)
	}
	return text, nil
}

// digit returns the value of an upper-case hexadecimal digit, or -1.
func digit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
