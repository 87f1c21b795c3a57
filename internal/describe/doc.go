// Package describe is the command `telegraf-describe describe FILE…`: it describes the columns of files. The command reads
// the options, runs package profile, and writes the result by package show:
//
//	args ─▶ flags ─▶ options ─▶ profile.Run ─▶ report (stderr) ─▶ frame  ─▶ show (stdout)
//	        parse    check      file, stats    notes, counts      or writeLP
//
// What did not fit is on the standard error: bad lines, invalid cells, rounded numbers and estimates each have a line. The result is
// written in one piece at the end, so that a program that reads it gets all of it or nothing.
//
// The names of columns of the output, of options and the exit statuses are an interface. They can be added to, but not renamed.
package describe
