package api

import (
	"encoding/binary"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
)

// entityTag has the two ETags of an answer, as values of headers. The strong one is of the answer without compression. The weak one is of
// its compressed form, which has other bytes. Many answers share these slices, so nobody changes them: the methods of [http.Header] replace
// them.
//
// RFC 9110, section 8.8.3, defines the form. A client sends it back in If-None-Match, and the answer is 304 if it is still right:
//
//	"1767323045000123-3aa4356c92ca4041"     of stored records: the version of the table, and a hash
//	W/"1767323045000123-3aa4356c92ca4041"   the same answer, compressed
//	"r-5d3b0c9f0d1e2a47"                    of a roll-up: a hash of the records, see [answer.etag]
type entityTag struct{ strong, weak []string }

// newEntityTag returns the tags of a text, which has its quotation marks.
func newEntityTag(text string) entityTag { return entityTag{[]string{text}, []string{"W/" + text}} }

// etagHeader is the key of the ETag in an [http.Header].
const etagHeader = "Etag"

// etagOf returns the ETag of an answer: the table's version, which does not repeat after Redis has lost its data (see package
// cache), and a hash of everything else that can change the answer to one address:
//
//   - the starts of the buckets, because buckets expire without a write.
//   - for final records, how many of the buckets have ended, because a bucket ends without a write too.
//   - the form of the answer, because the header Accept can select the format.
//
// The other parameters, such as the field and the tags, are not in it: clients keep an ETag for one address.
func etagOf(sel selection, q query) entityTag {
	// Each start adds 12 bytes to what is hashed, its seconds and nanoseconds.
	b := make([]byte, 0, 64+12*len(sel.starts))
	ended := 0
	for _, start := range sel.starts {
		b = binary.BigEndian.AppendUint64(b, uint64(start.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(start.Nanosecond()))
		if !start.After(sel.timeline.Ended) {
			ended++
		}
	}
	b = append(append(strconv.AppendInt(b, int64(ended), 10), ','), q.format.String()...)
	b = strconv.AppendBool(append(strconv.AppendBool(append(b, ','), q.pretty), ','), q.descending)
	h := fnv.New64a()
	_, _ = h.Write(b)
	text := append(strconv.AppendInt(append(b[:0], '"'), sel.version, 10), '-')
	return newEntityTag(string(append(strconv.AppendUint(text, h.Sum64(), 16), '"')))
}

// notModified sets the ETag of an answer. If the client has that answer, it answers with 304 and returns true. Otherwise the handler
// sends the answer with this ETag. It ignores the value * of If-None-Match: see matchesAny.
func notModified(w http.ResponseWriter, r *http.Request, tag entityTag) bool {
	h := w.Header()
	own, ok := tag.match(strings.Join(r.Header["If-None-Match"], ","))
	if !ok {
		h[etagHeader] = tag.strong
		return false
	}
	h[etagHeader] = own
	w.WriteHeader(http.StatusNotModified)
	return true
}

// matchesAny reports whether the header If-None-Match of a request has the value *, which every ETag matches. The answer is then 304 if
// it exists, or the error, so it must be made to find out which: see [server.send]. Any other value that matches is from an earlier
// answer, so its ETag is enough.
func matchesAny(r *http.Request) bool {
	for candidate := range strings.SplitSeq(strings.Join(r.Header["If-None-Match"], ","), ",") {
		if strings.TrimSpace(candidate) == "*" {
			return true
		}
	}
	return false
}

// match returns the form of the ETag that matches a header If-None-Match, and whether there is one: the client has the compressed
// form if it is weak. Weak ETags match too, as RFC 9110 defines for this header.
func (t entityTag) match(header string) (own []string, ok bool) {
	for candidate := range strings.SplitSeq(header, ",") {
		switch strings.TrimSpace(candidate) {
		case t.strong[0]:
			return t.strong, true
		case t.weak[0]:
			return t.weak, true
		}
	}
	return nil, false
}
