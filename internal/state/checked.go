package state

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Texts with a checksum
//
// The files "options", "owner", "born", "id" and "heir" are
//
//	crc32c 01234567    CRC32C of the name of the file, a line end, and what follows
//	text
//
// Without "id" or "heir", the next run could count values twice: they are how it learns which store has got open buckets of another one.
// With other options, buckets would get wrong bounds or names of rows. A version of this program that wrote no checksum left the text
// alone, which is read if it has the form that this version wrote.

// checkedHead returns the first line of a file with that name and text.
func checkedHead(name, text string) string {
	return fmt.Sprintf("crc32c %08x\n", checksum([]byte(name+"\n"+text)))
}

// writeChecked writes a file with a checksum, whole or not at all.
func writeChecked(path, text string) error {
	return writeFile(path, []byte(checkedHead(filepath.Base(path), text)+text))
}

// readChecked reads the text of a file. unchecked is whether it has no checksum; then old has returned true for the text. If the file is
// damaged, the error wraps errFormat.
func readChecked(path string, old func(text string) bool) (text string, unchecked bool, err error) {
	b, err := os.ReadFile(path) //nolint:gosec // a file with a fixed name in the folder of a store
	if err != nil {
		return "", false, err
	}
	all := string(b)
	if head, rest, ok := strings.Cut(all, "\n"); ok && head+"\n" == checkedHead(filepath.Base(path), rest) {
		return rest, false, nil
	}
	if old(all) {
		return all, true, nil
	}
	return "", false, fmt.Errorf("file %q: %w: wrong checksum", path, errFormat)
}

// isHex reports whether the text has so many hexadecimal digits, and nothing else.
func isHex(text string, digits int) bool {
	return len(text) == digits && strings.Trim(text, "0123456789abcdef") == ""
}
