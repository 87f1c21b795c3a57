package api

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/telegraf-describe/telegraf-describe/internal/record"
)

// A cursor is the place of the last record of a page. The next page begins after it, so records that are written meanwhile
// neither repeat a record nor hide one. It is a text of base64 for URLs. Its bytes are:
//
//	version    1 byte, cursorVersion
//	query      8 bytes: the hash of the query
//	from       a time: the start of the range of all pages
//	until      a time: the end of that range
//	start      a time: the bucket of the place
//	series     a text of at most maxBounded bytes
//	agent      a text of at most maxBounded bytes
//	check      4 bytes: the CRC-32 of the bytes before
//
// A time is the seconds since 1970 and the nanoseconds, as varints; the zero time is no bound. A text is its length as a uvarint
// and its bytes. The range is part of the cursor because start=-6h and last=5 mean others later.
//
// For example, this is the cursor after the record of usage_idle of host a in the bucket of 03:04:00, with the hash 1 and a range from
// 2026-01-02T00:00:00Z to 1 ns after 03:04:00. A real one has no spaces:
//
//	AQAAAAAAAAAB gKq4lQ0A wNa5lQ0C wNa5lQ0A FyJ1c2FnZV9pZGxlIiwiaG9zdCI6ImEi AHNblP4
//	version,hash from     until    start    series                           agent, check
const cursorVersion = 1

const (
	// maxBounded is the most bytes of a bounded text: the beginning and a hash, see [record.Bounded].
	maxBounded = record.MaxPlace + 16
	// maxCursor is the most bytes of a cursor, beyond those that any cursor has.
	maxCursor = 1 + 8 + 3*2*binary.MaxVarintLen64 + 2*(2+maxBounded) + 4
)

// cursorHint is the end of the fault about a wrong cursor.
const cursorHint = "; want the cursor of the Link header of a page, or an empty one for the first page"

// cursor is a decoded cursor.
//
// A client can send any bytes. The check finds damage, and not a cursor that was made up: such a one only begins a page elsewhere, in a table
// that the client may read.
type cursor struct {
	query       uint64    // the hash of the parameters that select records
	from, until time.Time // the range of all pages; zero for no bound
	place
}

// encode returns the text of a cursor.
func (c *cursor) encode() string {
	b := binary.BigEndian.AppendUint64([]byte{cursorVersion}, c.query)
	for _, t := range []time.Time{c.from, c.until, c.start} {
		b = binary.AppendVarint(b, t.Unix())
		b = binary.AppendVarint(b, int64(t.Nanosecond()))
	}
	for _, text := range []string{c.series, c.agent} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// decodeCursor returns the cursor of a text. The error is for the client, and becomes a fault of the parameter.
func decodeCursor(text string) (c cursor, err error) {
	if len(text) > base64.RawURLEncoding.EncodedLen(maxCursor) {
		return c, fmt.Errorf("a cursor has at most %d bytes, this one has %d", base64.RawURLEncoding.EncodedLen(maxCursor), len(text))
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	// The version, the query and the check have a fixed size.
	if err != nil || len(b) < 1+8+4 {
		return c, errors.New("this is not a cursor")
	}
	b, check := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	switch {
	case check != crc32.ChecksumIEEE(b):
		return c, errors.New("the cursor is damaged")
	case b[0] != cursorVersion:
		return c, fmt.Errorf("the cursor is of version %d, this service has version %d", b[0], cursorVersion)
	}
	d := cursorDecoder{b: b[9:]}
	c.query = binary.BigEndian.Uint64(b[1:9])
	c.from, c.until, c.start = d.time(), d.time(), d.time()
	c.series, c.agent = d.text(), d.text()
	// The check can be right although the bytes were made up.
	if d.bad || len(d.b) > 0 {
		return c, errors.New("the cursor is damaged")
	}
	return c, nil
}

// cursorDecoder reads the bytes of a cursor. It remembers that an error occurred, so that its caller checks for errors once, at the end.
type cursorDecoder struct {
	b   []byte // not read yet
	bad bool   // whether something was not valid; then all results are to be thrown away
}

// varint reads a varint. Like the other methods, it returns a zero value and sets bad if the bytes are not valid.
func (d *cursorDecoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.b = d.b[n:]
	return v
}

// time reads a time, in the years 0 to 10,000.
func (d *cursorDecoder) time() time.Time {
	t := time.Unix(d.varint(), d.varint()).UTC()
	d.bad = d.bad || t.Year() < 0 || t.Year() > 10_000
	return t
}

// text reads a text of at most maxBounded bytes.
func (d *cursorDecoder) text() string {
	size, n := binary.Uvarint(d.b)
	if n <= 0 || size > maxBounded || size > uint64(len(d.b)-n) {
		d.bad = true
		return ""
	}
	text := string(d.b[n : n+int(size)])
	d.b = d.b[n+int(size):]
	return text
}

// resume changes a query to that of the page after its cursor. It does nothing for a query that is not for a page. The error is a fault
// of the cursor, such as one of another table or of other parameters: its place would have no meaning.
func (q *query) resume(values url.Values) error {
	if q.limit == 0 {
		return nil
	}
	q.hash = hashOf(q.table, values)
	if q.cursor == "" {
		return nil
	}
	c, err := decodeCursor(q.cursor)
	if err == nil && c.query != q.hash {
		err = errors.New("the cursor is that of another query")
	}
	if err != nil {
		var bad faults
		bad.add("query.cursor", q.cursor, "%s%s", err, cursorHint)
		return bad
	}
	// The range of the first page, so that -6h and last=5 mean the same on each page.
	q.span, q.after = record.Range{Start: c.from, End: c.until}, &c.place
	return nil
}

// formParameters do not select records, so the pages of a query may differ in them. The database is one of them because the hash
// has that of the table, whether it is a parameter or the default.
var formParameters = []string{"cursor", "limit", "format", "pretty", "database"}

// hashOf returns a hash of the table and the parameters of a query. The order of the parameters does not matter, and the order of the
// values of one parameter does. Names and values are quoted, so that different parameters cannot be written as the same text. The hash is
// no secret: it only finds mistakes.
func hashOf(t record.Table, values url.Values) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q", []string{t.Database, t.Name})
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(formParameters, name) {
			fmt.Fprintf(h, "%q%q", name, values[name])
		}
	}
	return h.Sum64()
}

// link sets the header Link of a page to the address of the next page, if there is one: RFC 8288. The address is relative, so
// that it is also right behind a proxy that adds a prefix.
//
// For example: Link: <?cursor=AQAAAA…&database=mydb&limit=100>; rel="next"
func (a *answer) link(w http.ResponseWriter, r *http.Request) {
	if !a.more {
		return
	}
	c := cursor{query: a.hash, from: a.span.Start, until: a.span.End, place: a.last}
	values := r.URL.Query()
	values.Set("cursor", c.encode())
	w.Header().Set("Link", "<?"+values.Encode()+`>; rel="next"`)
}
