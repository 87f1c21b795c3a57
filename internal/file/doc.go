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
// JSON is cut at line ends too. An array of objects, or objects of several lines, are first written with one object a line, by one
// goroutine, so that they are read at the speed of one processor.
//
// What a file contains is detected from its first chunk: the compression by its magic number, the format, and of CSV the
// delimiter, the header and the kind of each column. Options override each of these.
package file
