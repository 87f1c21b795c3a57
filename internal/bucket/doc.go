// Package bucket divides event time into buckets, by a fixed width or by the calendar of a time zone.
//
// A bucket is the half-open interval [start, end) of event time: a value with the time start is in it,
// a value with the time end is in the next one. Times are int64 nanoseconds since
// 1970-01-01T00:00:00Z, as metrics carry them, so they range from 1677-09-21 to 2262-04-11.
//
// A [Grid] is the division of all time into buckets. It has a [Width], an origin and a time zone.
// Hours, minutes and seconds are lengths of absolute time: every bucket is equally long, and one of
// them starts at the origin. Days, weeks, months and years follow the local calendar of the zone, so
// that their length varies where the clock changes, as in 2026 in Berlin:
//
//	                      the clock is set                               the clock is set
//	                      forward by 1 h                                 back by 1 h
//	Europe/Berlin  28 March     29 March     30 March        24 October   25 October   26 October
//	               ├── 24 h ────┼── 23 h ────┼── 24 h  ...   ├── 24 h ────┼── 25 h ────┼── 24 h
//	UTC            27th 23:00   28th 23:00   29th 22:00      23rd 22:00   24th 22:00   25th 23:00
//
// A local date starts at the first instant at which the local clock has reached it. This covers every
// change of the clock:
//
//   - A midnight that the clock skips: the day starts at the change. The clock then shows 01:00, for example.
//   - A midnight that the clock shows twice: the day starts at the first one. The time between the two is in the new
//     day, although the clock shows the date of the old day again.
//   - A date that is skipped (30 December 2011 in Apia): it has no bucket. With buckets of several
//     days it counts as a day, and its bucket is shorter.
//
// So buckets tile time: each time is in exactly one bucket, and the end of a bucket is the start of
// the next one.
package bucket
