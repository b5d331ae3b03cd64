package cluster

import "dkv/engine/pebbledb"

// UsableMemory returns the bytes of memory that a process can use, of the machine or
// of what it is confined to; 0 when the system does not say.
func UsableMemory() int64 { return pebbledb.UsableMemory() }
