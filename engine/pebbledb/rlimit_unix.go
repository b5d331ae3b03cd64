//go:build unix

package pebbledb

import (
	"math"

	"golang.org/x/sys/unix"
)

// openFileLimit returns how many files the process may have open. (The Go
// runtime raises the soft limit to the hard one at start.)
func openFileLimit() int {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		return 1024
	}
	return int(min(uint64(lim.Cur), math.MaxInt32))
}
