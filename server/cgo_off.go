//go:build !cgo

package server

// cgoEnabled says where the engine keeps its block cache: without cgo, in the
// Go heap.
const cgoEnabled = false
