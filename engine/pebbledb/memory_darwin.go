package pebbledb

import "golang.org/x/sys/unix"

// totalMemory returns the machine's bytes of memory; 0 is unknown.
func totalMemory() uint64 {
	total, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return total
}
