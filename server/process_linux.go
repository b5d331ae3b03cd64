package server

import (
	"bytes"
	"os"
	"strconv"
)

// residentBytes is the memory of this process that is in RAM, 0 when the
// system does not say.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[1]), 10, 64)
	return pages * uint64(os.Getpagesize())
}

// systemMemory is the machine's memory in bytes, 0 when the system does not
// say.
func systemMemory() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		fields := bytes.Fields(line)
		if len(fields) >= 2 && string(fields[0]) == "MemTotal:" {
			kb, _ := strconv.ParseUint(string(fields[1]), 10, 64)
			return kb << 10
		}
	}
	return 0
}
