// Package describefile is the command `telegraf-describe describe FILE…`: it describes the columns of files. The command reads
// the options, runs package profile, and writes the result by package show:
//
//	args ─▶ flags ─▶ options ─▶ profile.Run ─▶ report (stderr) ─▶ frame  ─▶ show (stdout)
//	        parse    check      file, stats    notes, counts      or writeLP
//
// What did not fit is on the standard error: bad lines, invalid cells, rounded numbers and estimates each have a line. The result is
// written in one piece at the end, so that a program that reads it gets all of it or nothing. A run with a note on one row:
//
//	$ telegraf-describe describe z.csv
//	describe: 1 row has fewer cells than the header, the first in z.csv:3: the cells that are not there count as missing
//	COLUMN  TYPE     COUNT  MISSING  DISTINCT  MIN  MAX  MEAN  MEDIAN  MODE  P95
//	a       integer      2        0         2    1    3     2       2     1  2.9
//	b       integer      1        1         1    2    2     2       2     2    2
//
// Run works in the goroutine of its caller. Package profile starts goroutines that read, parse and add, which ask the selectors of names.go
// for columns and write notes, and startProgress starts one. All of them end before Run returns, except a read of the standard input that
// ctx has interrupted.
//
// The names of columns of the output, of options and the exit statuses are an interface. They can be added to, but not renamed.
package describefile
