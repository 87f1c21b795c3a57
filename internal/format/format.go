// Package format writes stored records in the formats that clients ask for: JSON, JSON lines, CSV and line protocol.
//
// The records come as the JSON of [record.Record.AppendJSON]. JSON and JSON lines pass these bytes on; the other formats
// parse each record.
//
//	?format=csv ─▶ Parse ─────┐
//	                          ├─▶ Format ─▶ ContentType, and Append(dst, texts, …) ─▶ the body of the answer
//	Accept: ─────▶ Negotiate ─┘
package format

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Format is a format of records.
type Format uint8

const (
	// JSON is an array of objects.
	JSON Format = iota
	// JSONLines is one object a line.
	JSONLines
	// CSV is a table with one row for each record and one column for each member that a record has. The first line has the
	// names of the columns.
	CSV
	// LineProtocol is one line for each record, as the aggregator writes it to InfluxDB.
	LineProtocol
)

// formats has the name and the media type of each format.
var formats = [...]struct{ name, media, contentType string }{
	JSON:         {"json", "application/json", "application/json"},
	JSONLines:    {"jsonl", "application/jsonl", "application/jsonl"},
	CSV:          {"csv", "text/csv", "text/csv; charset=utf-8; header=present"},
	LineProtocol: {"lp", "text/plain", "text/plain; charset=utf-8"},
}

// aliases are other media types of the formats.
var aliases = map[string]Format{"application/x-ndjson": JSONLines, "application/x-jsonlines": JSONLines}

// Names returns the names of all formats: "json", "jsonl", "csv" and "lp".
func Names() []string {
	names := make([]string, len(formats))
	for f := range formats {
		names[f] = formats[f].name
	}
	return names
}

// Parse returns the format of a name. The error for a name that is not one of [Names] lists these.
func Parse(name string) (Format, error) {
	if f := slices.Index(Names(), name); f >= 0 {
		return Format(f), nil
	}
	return 0, fmt.Errorf("unknown format %q, known are %s", name, strings.Join(Names(), ", "))
}

// String returns the name of the format, which [Parse] accepts.
func (f Format) String() string { return formats[f].name }

// ContentType returns the value of the header Content-Type for the format.
func (f Format) ContentType() string { return formats[f].contentType }

// Negotiate returns the format that a header Accept (RFC 9110, section 12.5.1) prefers: the one with the largest weight,
// among equal weights the one that is named first, and among the formats of one range the first of JSON, JSON lines, CSV and
// line protocol. The weight of a format is that of the most specific range: "text/csv;q=0, text/*" excludes CSV. Parameters
// of a range other than q are ignored. Negotiate returns JSON and false if the header allows no format. An empty header
// allows all, and JSON is preferred.
//
//	text/csv, application/json                  CSV: the first of two with the weight 1
//	text/csv;q=0.5, application/json            JSON
//	text/*                                      CSV, which is before line protocol
//	text/html, */*;q=0.8                        JSON, as of a browser
//	text/html                                   JSON and false
func Negotiate(accept string) (Format, bool) {
	if strings.TrimSpace(accept) == "" {
		return JSON, true
	}
	var offers [len(formats)]offer
	place := 0
	for part := range strings.SplitSeq(accept, ",") {
		place++
		media, parameters, _ := strings.Cut(part, ";")
		media = strings.ToLower(strings.TrimSpace(media))
		for f := range offers {
			if specific := matching(media, Format(f)); specific > 0 {
				offers[f].consider(offer{specific, weightOf(parameters), place})
			}
		}
	}
	best, found := JSON, offer{}
	for f, o := range offers {
		if o.weight > found.weight || o.weight == found.weight && o.place < found.place {
			best, found = Format(f), o
		}
	}
	return best, found.weight > 0
}

// Weight returns the weight of a media type, such as "application/json" in lower case, in a header Accept. The weight is
// in thousandths, 0 to 1000: that of the most specific range that has the type, or 0 if none has. An empty header has no
// range.
func Weight(accept, media string) int {
	weight, best := 0, 0
	for part := range strings.SplitSeq(accept, ",") {
		element, parameters, _ := strings.Cut(part, ";")
		if specific := covers(strings.ToLower(strings.TrimSpace(element)), media); specific > best {
			weight, best = weightOf(parameters), specific
		}
	}
	return weight
}

// offer is what a header Accept has for a format. The zero offer is nothing.
type offer struct {
	specific int // of the range, as matching returns it
	weight   int // in thousandths
	place    int // of the range in the header, from 1
}

// consider replaces the offer by one of a more specific range, or of an equally specific one with a larger weight.
func (o *offer) consider(other offer) {
	if other.specific > o.specific || other.specific == o.specific && other.weight > o.weight {
		*o = other
	}
}

// matching is covers for the media types of a format.
func matching(media string, f Format) int {
	if alias, ok := aliases[media]; ok && alias == f {
		return exactly
	}
	return covers(media, formats[f].media)
}

// exactly is the result of covers for a range that is the media type.
const exactly = 3

// covers returns how specific a range of a header Accept is for a media type: 0 for a range without it, 1 for "*/*", 2 for a
// range such as "text/*", and exactly for the type itself.
func covers(element, media string) int {
	kind, _, _ := strings.Cut(media, "/")
	switch element {
	case media:
		return exactly
	case kind + "/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}

// weightOf returns the weight of an element of a header Accept in thousandths: that of the parameter q, or 1000 if it has
// none. It is 0 if the weight is malformed.
func weightOf(parameters string) int {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		whole, fraction, _ := strings.Cut(value, ".")
		if whole == "1" && strings.Trim(fraction, "0") == "" {
			return 1000
		}
		if whole != "0" || len(fraction) > 3 {
			return 0
		}
		thousandths := 0
		for _, digit := range (fraction + "000")[:3] {
			if digit < '0' || digit > '9' {
				return 0
			}
			thousandths = 10*thousandths + int(digit-'0')
		}
		return thousandths
	}
	return 1000
}

// ErrInexpressible is wrapped by the error of [Format.Append] for a record that line protocol cannot express.
var ErrInexpressible = errors.New("line protocol cannot express this")

// Append appends the records to dst in the format and returns the extended slice. texts are the records as JSON, in the
// order of the output. With pretty, which only JSON has, each record begins on a line of its own and is indented.
//
// Without records, JSON is an empty array and CSV a line with the names of the columns that every record has; the other
// formats append nothing. JSON lines, and JSON without pretty, do not check that texts are records.
//
// For CSV, cells is called once with the number of cells in the lines of the records, before the lines are made. Its error ends Append,
// and is returned. Each cell takes at least a byte, so that records with many different members can make a table that is far longer
// than they are.
//
// Other errors wrap [record.ErrFormat] for a text that is not a record, or [ErrInexpressible] for a record that line protocol
// cannot express: its bucket begins before 1678 or after 2261, its table has a name that begins with #, which would be a
// comment, or two of its tags have names that differ only in characters that line protocol cannot carry. After an error the
// result has no meaning.
func (f Format) Append(dst []byte, texts []string, pretty bool, cells func(n int) error) ([]byte, error) {
	switch f {
	case JSONLines:
		for _, text := range texts {
			dst = append(append(dst, text...), '\n')
		}
		return dst, nil
	case CSV:
		return appendCSV(dst, texts, cells)
	case LineProtocol:
		return appendLines(dst, texts)
	case JSON:
	}
	return appendJSON(dst, texts, pretty)
}
