// Package unprivileged runs parts of tests without the rights of root, for which the modes of files mean nothing.
package unprivileged

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Do calls f on a thread without capabilities, see capabilities(7). Root is then the owner of its files and no more, as any other user
// is. Goroutines that f starts keep the rights of the process. A failure of the test in f ends f, and Do returns.
//
// The thread then waits for the end of the process. It must not end before that: package redisserver may have started a server on it, which
// the kernel would end too.
func Do(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // for ever, so that nothing else runs without capabilities
		defer func() {
			if p := recover(); p != nil {
				panic(p) // which ends the process only if this function ends
			}
			close(done)
			select {}
		}()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData // version 3 has two
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Errorf("cannot drop the capabilities: %v", err)
			return
		}
		f()
	}()
	<-done
}
