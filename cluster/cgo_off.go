//go:build !cgo

package cluster

// cgoEnabled says where Pebble keeps its block cache and its memtables: without cgo, in
// Go's heap.
const cgoEnabled = false
