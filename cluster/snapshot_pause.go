package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine"
)

// Pauses before a raft snapshot that could not be sent is tried again. They double
// from the first to the last: what the receiver lacks, space more often than not,
// it may lack for long. Since a receiver is asked meanwhile whether it has space,
// every roomInterval, it does not wait for the end of a pause once it has.
const (
	minSnapshotPause = time.Second
	maxSnapshotPause = 8 * minSnapshotPause // in units of Options.snapshotPause
	roomInterval     = 500 * time.Millisecond
)

// snapshotWay is from this node's shard to a member.
type snapshotWay struct {
	shard raftlog.ShardID
	to    consensus.NodeID
}

// snapshotBytes is about how much disk a raft snapshot of a shard takes.
func snapshotBytes(s *shard.Shard) uint64 { return s.Metrics().Engine.DiskBytes }

// pauseSnapshots logs how the transfer of a raft snapshot has failed, and returns
// when another one is worth while: at once after a success, which err nil is.
func (n *Node) pauseSnapshots(ctx context.Context, s *shard.Shard, id raftlog.ShardID, to consensus.NodeID, err error) {
	way := snapshotWay{id, to}
	switch {
	case err == nil:
		n.countSnapshot(way, true)
		return
	case errors.Is(err, errSnapshotsBusy):
		_ = pause(ctx, n.o.snapshotPause)
		return
	}
	wait := snapshotPause(n.o.snapshotPause, n.countSnapshot(way, false))
	room, known := n.askRoom(ctx, s, way)
	full := known && !room
	if full {
		n.o.Logger.Warn("a node has no space for the raft snapshot that it needs: it stays behind until it has",
			"shard", id, "node", to, "estimated_bytes", snapshotBytes(s), "again_in", wait, "err", err)
	} else {
		n.o.Logger.Warn("cannot send a raft snapshot", "shard", id, "to", to, "again_in", wait, "err", err)
	}
	n.awaitReceiver(ctx, s, way, wait, full)
}

// awaitReceiver waits, no longer than it takes until the receiver has the space that
// it did not have, or is there again.
func (n *Node) awaitReceiver(ctx context.Context, s *shard.Shard, way snapshotWay, wait time.Duration, full bool) {
	connected := n.isConnected(way.to)
	for until := time.Now().Add(wait); time.Now().Before(until); {
		if pause(ctx, min(roomInterval, time.Until(until))) != nil {
			return
		}
		before := connected
		if connected = n.isConnected(way.to); connected && !before {
			return
		}
		if !full {
			continue
		}
		if room, known := n.askRoom(ctx, s, way); room && known {
			return
		}
	}
}

// snapshotPause is the pause after so many failures in a row, one at least.
func snapshotPause(first time.Duration, failures int) time.Duration {
	const most = int(maxSnapshotPause / minSnapshotPause)
	times := 1
	for i := 1; i < failures && times < most; i++ {
		times *= 2
	}
	return first * time.Duration(times)
}

// countSnapshot counts a failure, and returns how many there were in a row; a
// success begins anew.
func (n *Node) countSnapshot(way snapshotWay, sent bool) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if sent {
		delete(n.mu.failed, way)
		return 0
	}
	if n.mu.failed == nil {
		n.mu.failed = make(map[snapshotWay]int)
	}
	n.mu.failed[way]++
	return n.mu.failed[way]
}

// askRoom asks a member whether it has the space for a raft snapshot; known is false
// when it does not say.
func (n *Node) askRoom(ctx context.Context, s *shard.Shard, way snapshotWay) (room, known bool) {
	ctx, cancel := context.WithTimeout(ctx, mayLeadTimeout)
	defer cancel()
	answer, err := n.transport.Call(ctx, way.to, callRoom, way.shard, binary.AppendUvarint(nil, snapshotBytes(s)))
	if err != nil || len(answer) != 1 {
		return false, false
	}
	return answer[0] == 1, true
}

// answerRoom answers it.
func (n *Node) answerRoom(id raftlog.ShardID, payload []byte) ([]byte, error) {
	s, err := n.serving(id)
	if err != nil {
		return nil, err
	}
	bytes, size := binary.Uvarint(payload)
	if size <= 0 {
		return nil, fmt.Errorf("ERR The request between nodes cannot be read")
	}
	if s.store.Fits(bytes) {
		return []byte{1}, nil
	}
	return []byte{0}, nil
}

// tellSpace logs, once, that a raft snapshot found no space, and that one did again.
func (s *openShard) tellSpace(log *slog.Logger, estimatedBytes uint64, err error) {
	full := errors.Is(err, engine.ErrNoSpace)
	switch {
	case full && !s.full.Swap(true):
		log.Warn("no space for the raft snapshot that this node needs: it stays behind until there is",
			"shard", s.id, "estimated_bytes", estimatedBytes, "err", err)
	case err == nil && s.full.Swap(false):
		log.Info("there is space for a raft snapshot again", "shard", s.id)
	}
}
