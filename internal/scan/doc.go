// Package scan reads the cells of text files: numbers, truth values and times. It allocates nothing for common cells, and
// it imports the standard library only.
//
//	Number    -12  +.5  1.5e-3      the nearest float64, not NaN and not infinite
//	Bool      true  False           only these words: 1 and 0 are numbers
//	Missing   ""  NA  null  NaN     no value
//	Infinite  inf  -Infinity        a value that no statistic can use
//	Times     2026-11-01 12:30      nanoseconds since 1970
//
// Each function decides on a text alone, and refuses what is not certain. What a column of such cells is decides package file.
// Cells come without the spaces around them, see [Trim]. No function keeps a part of its argument.
package scan
