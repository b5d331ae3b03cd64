package psync

import (
	"os"

	"golang.org/x/sys/unix"
)

// punch gives the space of a part of a file back to the file system. The part reads as
// zeros then.
func punch(f *os.File, from, length int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, length)
		if err != unix.EINTR {
			return err
		}
	}
}
