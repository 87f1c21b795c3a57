// Package describe is the command `telegraf-describe describe FILE…`: it describes the columns of files. The command reads
// the options, runs package profile, and writes the result by package show.
package describe
