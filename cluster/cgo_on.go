//go:build cgo

package cluster

// cgoEnabled says where Pebble keeps its block cache and its memtables: with cgo,
// outside of Go's heap.
const cgoEnabled = true
