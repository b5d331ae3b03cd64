package slot

import (
	"fmt"

	"dkv/cluster/raftlog"
	"dkv/engine/keyspace"
)

// Count is the number of hash slots, as in Redis Cluster.
const Count = keyspace.SlotCount

// Slot is a hash slot, below Count.
type Slot = keyspace.Slot

// Of returns the slot of a key.
func Of(key []byte) Slot { return keyspace.SlotOf(key) }

// Map assigns all slots to a number of shards. The zero value is that of one
// shard.
type Map struct {
	// more is the number of shards less one.
	more uint32
}

// NewMap returns the map for a number of shards, from 1 to Count.
func NewMap(shards int) Map {
	if shards < 1 || shards > Count {
		panic(fmt.Sprintf("slot: a map of %d shards", shards))
	}
	return Map{uint32(shards - 1)}
}

// Shards returns the number of shards.
func (m Map) Shards() int { return int(m.more) + 1 }

// All returns all shards, in order.
func (m Map) All() []raftlog.ShardID {
	ids := make([]raftlog.ShardID, m.Shards())
	for i := range ids {
		ids[i] = raftlog.ShardID(i)
	}
	return ids
}

// ShardOf returns the shard that a slot belongs to.
func (m Map) ShardOf(s Slot) raftlog.ShardID {
	// The largest shard whose first slot, id*Count/shards rounded down, is not
	// above s.
	return raftlog.ShardID(((uint32(s)+1)*(m.more+1) - 1) / Count)
}

// Range returns a shard's first and last slot.
func (m Map) Range(id raftlog.ShardID) (first, last Slot) {
	shards := uint32(m.Shards())
	if uint32(id) >= shards {
		panic(fmt.Sprintf("slot: shard %d of %d", id, shards))
	}
	return Slot(uint32(id) * Count / shards), Slot((uint32(id)+1)*Count/shards - 1)
}
