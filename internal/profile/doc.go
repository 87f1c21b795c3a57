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
//
// A chunk travels as a job, of which there is a fixed number. Its buffers are reused, and reading waits while all are on their way:
//
//	free ─▶ read ─┬▶ todo ────▶ parse ─▶ done ┐
//	 ▲            └▶ ordered ─────────────────┴▶ take ─▶ queues of the adders ─┐
//	 └────────────────── once the last adder has added it ─────────────────────┘
//
// The values, and with them the memory, are in fields: one for each column in each group. A field keeps all of its values while
// that is what the options want, and until the memory of all of them is above the limit. Then the largest become estimates (see
// run.measure), while the adders pause.
//
// Merging what each goroutine found in the chunks that it took would be simpler. Then the first and the last value of equal times,
// and the most frequent ones of many texts, would depend on which goroutine was faster, and each of them would hold all fields.
package profile
