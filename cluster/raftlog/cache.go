package raftlog

import (
	"go.etcd.io/raft/v3/raftpb"
)

// cacheEntryOverhead is what a cached entry takes besides its data: the
// protobuf struct with its three pointed-to fields, and the slot.
const cacheEntryOverhead = 152

// cache holds the newest entries of a shard, without a gap up to the last.
type cache struct {
	entries []*raftpb.Entry // entries[head:] are cached
	head    int
	bytes   int64
}

func (c *cache) len() int { return len(c.entries) - c.head }

func cachedBytes(e *raftpb.Entry) int64 { return int64(len(e.Data)) + cacheEntryOverhead }

// add caches the entry behind the last one and returns what it takes.
func (c *cache) add(e *raftpb.Entry) int64 {
	if c.head > 64 && c.head > len(c.entries)/2 {
		n := copy(c.entries, c.entries[c.head:])
		clear(c.entries[n:])
		c.entries, c.head = c.entries[:n], 0
	}
	c.entries = append(c.entries, e)
	n := cachedBytes(e)
	c.bytes += n
	return n
}

// cut drops the n newest entries, or all, and returns what they took.
func (c *cache) cut(n Index) (freed int64) {
	for ; n > 0 && c.len() > 0; n-- {
		k := len(c.entries) - 1
		freed += cachedBytes(c.entries[k])
		c.entries[k] = nil
		c.entries = c.entries[:k]
	}
	c.bytes -= freed
	return freed
}

// evict drops the oldest entries until it has freed that many bytes.
func (c *cache) evict(bytes int64) (freed int64) {
	for freed < bytes && c.len() > 0 {
		freed += cachedBytes(c.entries[c.head])
		c.entries[c.head] = nil
		c.head++
	}
	if c.len() == 0 {
		c.entries, c.head = c.entries[:0], 0
	}
	c.bytes -= freed
	return freed
}

// from returns the cached entries from index i on; last is the index of the
// newest. The caller copies what it returns.
func (c *cache) from(i, last Index) []*raftpb.Entry {
	return c.entries[len(c.entries)-int(last-i)-1:]
}

// entrySize is proto.Size(e), which raft counts by, without reflection.
func entrySize(e *raftpb.Entry) uint64 {
	var n uint64
	if e.Type != nil {
		n += 1 + varintSize(uint64(int64(*e.Type)))
	}
	if e.Term != nil {
		n += 1 + varintSize(*e.Term)
	}
	if e.Index != nil {
		n += 1 + varintSize(*e.Index)
	}
	if e.Data != nil {
		n += 1 + varintSize(uint64(len(e.Data))) + uint64(len(e.Data))
	}
	return n
}

func varintSize(v uint64) uint64 {
	n := uint64(1)
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}
