//go:build !cgo

package main

// limitArenas has nothing to limit: there is no C library.
func limitArenas() {}
