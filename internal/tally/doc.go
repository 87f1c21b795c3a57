// Package tally counts texts and different values: exactly while there are few, and in bounded memory beyond.
package tally
