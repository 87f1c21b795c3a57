// Package profile describes the columns of files, for each bucket of time and each group: batches of package file go in,
// rows of statistics come out.
//
//	Reader ─▶ parse and group ─▶ collect ─▶ add        ─▶ rows
//	1         one goroutine      1          one goroutine  one goroutine
//	          a core                        a core         a core
//
// The goroutines that parse take any chunk. The collector puts the batches back into the order of the file, finds the
// columns and groups that they belong to, and passes them on. Each pair of a column and a group is added to by one
// goroutine, in the order of the file. So the result does not depend on how many goroutines there are.
package profile
