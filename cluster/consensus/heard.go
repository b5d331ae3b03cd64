package consensus

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

// heard is which members a leader has heard a heartbeat's answer of since the last
// tick.
//
// Raft takes such an answer of a member that lacks entries as a reason to send
// them, and while it does not know yet what the member has, to send the same ones
// again: up to maxSizePerMsg, read from the log. But each round of reads is a
// heartbeat too. A member that was paused, or cut off, comes back with thousands of
// answers at once, and the message that says what it has is behind them. So a
// leader could be busy for half a minute with sending a megabyte for each.
type heard struct{ members []NodeID }

func (h *heard) tick() { h.members = h.members[:0] }

// first says whether a member's answer is the first since the last tick.
func (h *heard) first(id NodeID) bool {
	if slices.Contains(h.members, id) {
		return false
	}
	h.members = append(h.members, id)
	return true
}

// briefBytes bounds the entries that the answer to a heartbeat makes raft send, when
// it is not the member's first since the last tick.
const briefBytes = 16 << 10

// stepHeard takes the answer to a heartbeat. Beyond a member's first in a tick only
// those count that the reads under way wait for.
func (c *core) stepHeard(m *pb.Message) {
	first := c.heard.first(NodeID(m.GetFrom()))
	if !first && !c.reads.awaits(m.GetContext()) {
		return
	}
	c.brief = !first
	_ = c.rn.Step(m) // as in step
	c.brief = false
}

// awaits says whether reads wait for the answers to a heartbeat. Raft numbers in it
// the requests that it has taken, so only the last ones sent confirm the one under way.
func (q *readQueue) awaits(context []byte) bool {
	return len(q.asked) > 0 && len(context) > 0 && string(context) == string(q.beat)
}

// Entries implements raft.Storage.
func (s storage) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if *s.brief {
		maxSize = min(maxSize, briefBytes)
	}
	return s.Log.Entries(lo, hi, maxSize)
}
