//go:build !unix

package pebbledb

// openFileLimit is a guess that every system allows.
func openFileLimit() int {
	return 2048
}
