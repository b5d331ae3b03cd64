// Package slot says which shard of a cluster holds which hash slot, and so which
// key: pure functions of the number of shards, which never changes.
//
//	m := slot.NewMap(4)
//	id := m.ShardOf(slot.Of(key))
//	first, last := m.Range(id)
//
// The hash of a key is package keyspace's, whose records begin with it.
//
// Invariant: every slot belongs to exactly one shard, the ranges are contiguous,
// in the order of the shards, and differ in size by one slot at most.
package slot
