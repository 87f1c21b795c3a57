// Package series identifies a series: a measurement and its tags. It defines the one key under which the
// whole project stores and compares series, and the names that line protocol can carry.
//
//	series ── AppendKey ──▶ cpu,host=a,region=eu ── ParseKey ──▶ series
//
// The package imports the standard library only.
package series

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrKey is wrapped by every error of [ParseKey] and [ParseTags].
var ErrKey = errors.New("not a series key")

// Tag is one tag of a series. Key and Value may be any text, also an empty one.
type Tag struct {
	Key, Value string
}

// Series is a measurement and its tags. The tags are in any order, and no two of them have the same key.
type Series struct {
	Measurement string
	Tags        []Tag
}

// SortTags sorts tags by key, in place and byte by byte: the order in which [Series.AppendKey] lists them.
func SortTags(tags []Tag) {
	slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Key, b.Key) })
}

// AppendKey appends the key of the series to dst and returns the extended slice. Two series have the same key
// if and only if their measurements and tags are equal, in any order of the tags.
//
// The key is the escaped measurement (see [Escape]) and, for each tag in ascending order of keys, a comma, the
// escaped tag key, "=" and the escaped value: cpu,host=a,region=eu. AppendKey does not change s.Tags: if they are not
// in order, it sorts a copy.
func (s Series) AppendKey(dst []byte) []byte {
	dst = AppendEscaped(dst, s.Measurement)
	for _, tag := range ordered(s.Tags) {
		dst = append(dst, ',')
		dst = appendTag(dst, tag)
	}
	return dst
}

// AppendTags appends the part of the key that follows the measurement and its comma, host=a,region=eu, and returns the
// extended slice. Without tags it appends nothing. It does not change tags.
func AppendTags(dst []byte, tags []Tag) []byte {
	for i, tag := range ordered(tags) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendTag(dst, tag)
	}
	return dst
}

// appendTag appends the part of a key that describes one tag: key=value.
func appendTag(dst []byte, tag Tag) []byte {
	dst = AppendEscaped(dst, tag.Key)
	dst = append(dst, '=')
	return AppendEscaped(dst, tag.Value)
}

// ordered returns tags if they are in order, or else a sorted copy.
func ordered(tags []Tag) []Tag {
	compare := func(a, b Tag) int { return strings.Compare(a.Key, b.Key) }
	if slices.IsSortedFunc(tags, compare) {
		return tags
	}
	tags = slices.Clone(tags)
	slices.SortFunc(tags, compare)
	return tags
}

// ParseKey returns the series that has the key. The tags are in ascending order of keys. ParseKey accepts only
// results of [Series.AppendKey]. Errors wrap [ErrKey].
func ParseKey(key string) (Series, error) {
	name, rest, tagged := strings.Cut(key, ",")
	measurement, err := Unescape(name, Reserved)
	if err != nil {
		return Series{}, fmt.Errorf("%w: measurement: %w", ErrKey, err)
	}
	s := Series{Measurement: measurement}
	if !tagged {
		return s, nil
	}
	if rest == "" {
		return Series{}, fmt.Errorf("%w: %q ends in a comma", ErrKey, key)
	}
	s.Tags, err = ParseTags(rest)
	return s, err
}

// ParseTags returns the tags of a text that [AppendTags] wrote, in ascending order of keys. It returns no tags for
// the empty text. Errors wrap [ErrKey].
func ParseTags(text string) ([]Tag, error) {
	if text == "" {
		return nil, nil
	}
	tags := make([]Tag, 0, strings.Count(text, ",")+1)
	for part := range strings.SplitSeq(text, ",") {
		tag, err := parseTag(part)
		if err != nil {
			return nil, err
		}
		if n := len(tags); n > 0 && tags[n-1].Key >= tag.Key {
			return nil, fmt.Errorf("%w: tag %q after %q, want ascending keys", ErrKey, tag.Key, tags[n-1].Key)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// parseTag reads one key=value of a key.
func parseTag(text string) (Tag, error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		return Tag{}, fmt.Errorf("%w: tag %q, want key=value", ErrKey, text)
	}
	k, err := Unescape(key, Reserved)
	if err != nil {
		return Tag{}, fmt.Errorf("%w: tag key: %w", ErrKey, err)
	}
	v, err := Unescape(value, Reserved)
	if err != nil {
		return Tag{}, fmt.Errorf("%w: value of tag %q: %w", ErrKey, k, err)
	}
	return Tag{Key: k, Value: v}, nil
}
