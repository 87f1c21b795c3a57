// Package tally counts texts and different values: exactly while there are few, and in bounded memory beyond.
//
//	                 exact                       an estimate
//	Texts            every text and its count    the 256 most frequent ones, and a Distinct
//	Distinct         –                           4 KiB, 1.6 % standard error
//
// It imports no other package of the module, and knows nothing of columns and files.
package tally
