// Package scan reads the cells of text files: numbers, truth values and times. It allocates nothing for common cells, and
// it imports the standard library only.
package scan
