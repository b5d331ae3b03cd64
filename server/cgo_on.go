//go:build cgo

package server

// cgoEnabled says where the engine keeps its block cache: with cgo, outside of
// the Go heap.
const cgoEnabled = true
