//go:build !linux && !darwin

package pebbledb

// totalMemory is unknown here.
func totalMemory() uint64 {
	return 0
}
