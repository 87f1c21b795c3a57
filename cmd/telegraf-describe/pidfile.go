package main

import (
	"fmt"
	"log"
	"os"
)

// pidFile is the file with the process id, in decimal and with a line end, such as "4711\n". It exists while the agent runs and during
// reloads. Runs with --test and --once write none.
type pidFile struct {
	path    string // empty for no file
	written bool   // by this process
}

// write writes the file once, not again after a reload. An error is logged and does not stop the agent, as in upstream.
func (p *pidFile) write() {
	if p.path == "" || p.written {
		return
	}
	if err := writePID(p.path); err != nil {
		log.Printf("E! Writing the pidfile: %v", err)
		return
	}
	p.written = true
}

// writePID writes the process id. It returns an error for a symbolic link: an agent that runs as root would overwrite
// the file that another user has linked to. A regular file that exists is overwritten: it is that of an earlier run, which was killed.
func writePID(path string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is a %s, want a file or nothing", path, fileKind(info.Mode()))
	}
	// The flag refuses a link that has replaced the file since it was checked.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|noFollow, 0o640) //nolint:gosec // its group can read it
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// fileKind names a kind of file that is not a regular file.
func fileKind(mode os.FileMode) string {
	switch {
	case mode&os.ModeSymlink != 0:
		return "symbolic link"
	case mode.IsDir():
		return "folder"
	}
	return "special file"
}

// remove removes the file if write has written it. An error is logged.
func (p *pidFile) remove() {
	if !p.written {
		return
	}
	if err := os.Remove(p.path); err != nil {
		log.Printf("E! Removing the pidfile: %v", err)
	}
}
