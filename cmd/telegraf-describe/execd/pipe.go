package execd

import (
	"os"
	"time"
)

// readerTime is how long the reader of a closed pipe may take to notice it.
const readerTime = 100 * time.Millisecond

// CloseWhenRead returns a function for the field Drained of [Options] that waits until f was read, where the system reports that,
// and closes it. Telegraf closes its end of the pipe when the child exits, whether or not it has read everything: the last rows of a child
// that exits at once could be lost.
func CloseWhenRead(f *os.File) func(cancel <-chan struct{}) error {
	return func(cancel <-chan struct{}) error {
		if err := awaitReader(f, cancel); err != nil {
			return err
		}
		err := f.Close()
		time.Sleep(readerTime)
		return err
	}
}
