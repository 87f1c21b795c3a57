// Package file reads text files in parts: line protocol, CSV and JSON lines, plain or compressed with gzip or zstd.
//
//	path ─▶ Reader ─▶ Chunk ─▶ Parser ─▶ Batch
//	        opens,    about    one for   typed cells,
//	        detects   256 KiB  each      column by
//	        and cuts           worker    column
//
// A [Reader] is used by one goroutine. It cuts the content at the ends of records, so that each [Chunk] can be parsed alone
// and by any goroutine. Where it cuts depends on the content alone. A [Parser] turns a chunk into a [Batch]; lines that it
// cannot read are counted there. Memory is bounded by the size of chunks: a record of more than [MaxRecord] bytes is a bad
// line.
//
// The Reader only has to find line ends, and closing quotes in records with quotes. The Parsers, one for each processor, do the
// slow part: they turn cells into numbers.
//
// What a file contains is detected from its first chunk, one step after the other. Options override each of them:
//
//	first 4 bytes ─▶ compression    gzip.go     gzip, zstd or none, by the magic number
//	first 64 KiB  ─▶ JSON           elements.go an array or objects of several lines become one object a line
//	first chunk   ─▶ format         detect.go   line protocol, CSV or JSON lines
//	              ─▶ delimiter      sniff.go    of CSV, then its header, the kind of each column and which one is the time
//	              ─▶ decimal mark   decimal.go  of the numbers of each column
//
// A kind is a guess from a sample. Cells that do not fit it are counted as invalid. They never change the kind, because the
// chunks before cannot be read again. Only the kind of a column without a cell in the sample stays open: see [Column].
//
// The goroutine of the Reader rewrites an array of objects, and objects of several lines, so these are read at the speed of one
// processor.
//
// The formats are those of RFC 4180 (CSV), RFC 8259 (JSON) and line protocol
// (https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/). Deviations from these are accepted if they leave no
// doubt about a value.
package file
