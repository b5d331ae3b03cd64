package transport

import (
	"dkv/cluster/raftlog"
)

// SnapshotHeader goes before a raft snapshot's chunks.
type SnapshotHeader struct {
	Shard          raftlog.ShardID
	ID             uint64 // unique to a transfer; the same when it is resumed
	Message        []byte // marshaled raftpb MsgSnap
	EstimatedBytes uint64
}

// SnapshotSource is what SendSnapshot reads, on the goroutine of its caller.
type SnapshotSource interface {
	// Next returns the chunk that follows a position (nil: the first), and the
	// position behind it. After the last one it returns an empty last chunk.
	// The chunk is read until the next call.
	Next(after []byte) (chunk []byte, position []byte, last bool, err error)
}

// SnapshotSink takes a raft snapshot. Its methods are called one at a time.
type SnapshotSink interface {
	// Position is what to resume after; nil: send from the start.
	Position() []byte
	// Chunk takes the next chunk, which was checked against its CRC32C. Both
	// slices are valid during the call only. When it has returned nil for the
	// last one, the raft snapshot is complete, verified and handed on.
	Chunk(data, position []byte, last bool) error
	// Close is called once, when the stream has ended for whatever reason.
	Close() error
}
