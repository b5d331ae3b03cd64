package transport

import (
	"errors"
	"sync/atomic"

	"dkv/cluster/consensus"
)

// Metrics are a Transport's figures. Counters count since Listen.
type Metrics struct {
	Peers []PeerMetrics // by id
	// Refused counts handshakes that this node refused, by reason.
	Refused map[Refusal]uint64
	// Malformed counts streams that ended because they broke the format.
	Malformed uint64
	// Unroutable counts raft messages to or from the wrong node.
	Unroutable uint64
}

// PeerMetrics are those of one peer; they begin anew when it is removed.
type PeerMetrics struct {
	ID        consensus.NodeID
	Addr      string
	Connected bool   // messages and calls to it flow
	Connects  uint64 // times that they began to

	QueuedMessages int
	QueuedBytes    int64 // of raft messages that wait

	SentMessages, SentBytes         uint64
	SentFrames                      uint64 // that the sent messages went in
	DroppedMessages, DroppedBytes   uint64 // queue full, or not connected
	ReceivedMessages, ReceivedBytes uint64

	Calls         uint64 // asked of it
	CallsNotSent  uint64 // thereof, ended in ErrNotSent
	CallsBroken   uint64 // and in ErrBroken
	CallsWaiting  int    // unanswered
	CallsAnswered uint64 // that it asked

	SnapshotsSent, SnapshotsReceived         uint64 // completed
	SnapshotSentBytes, SnapshotReceivedBytes uint64
	SnapshotAttempts                         uint64 // streams that were begun
	SnapshotDamaged                          uint64 // chunks received with a wrong checksum
}

// peerStats are written without a lock.
type peerStats struct {
	connects                            atomic.Uint64
	sentMessages, sentBytes, sentFrames atomic.Uint64
	droppedMessages, droppedBytes       atomic.Uint64
	receivedMessages, receivedBytes     atomic.Uint64
	calls, callsNotSent, callsBroken    atomic.Uint64
	callsAnswered                       atomic.Uint64
	snapshotsSent, snapshotsReceived    atomic.Uint64
	snapshotSentBytes, snapshotGotBytes atomic.Uint64
	snapshotAttempts, snapshotDamaged   atomic.Uint64
}

func (s *peerStats) countCall(err error) {
	switch {
	case err == nil:
	case errors.Is(err, ErrNotSent):
		s.callsNotSent.Add(1)
	case errors.Is(err, ErrBroken):
		s.callsBroken.Add(1)
	}
}

func (s *peerStats) drop(bytes int) {
	s.droppedMessages.Add(1)
	s.droppedBytes.Add(uint64(bytes))
}

func (p *peer) metrics() PeerMetrics {
	s := p.stats
	m := PeerMetrics{
		ID: p.id, Addr: p.Addr, Connects: s.connects.Load(),
		SentMessages: s.sentMessages.Load(), SentBytes: s.sentBytes.Load(), SentFrames: s.sentFrames.Load(),
		DroppedMessages: s.droppedMessages.Load(), DroppedBytes: s.droppedBytes.Load(),
		ReceivedMessages: s.receivedMessages.Load(), ReceivedBytes: s.receivedBytes.Load(),
		Calls: s.calls.Load(), CallsNotSent: s.callsNotSent.Load(), CallsBroken: s.callsBroken.Load(),
		CallsAnswered: s.callsAnswered.Load(),
		SnapshotsSent: s.snapshotsSent.Load(), SnapshotsReceived: s.snapshotsReceived.Load(),
		SnapshotSentBytes: s.snapshotSentBytes.Load(), SnapshotReceivedBytes: s.snapshotGotBytes.Load(),
		SnapshotAttempts: s.snapshotAttempts.Load(), SnapshotDamaged: s.snapshotDamaged.Load(),
	}
	if l := p.link.Load(); l != nil {
		m.Connected = true
		m.QueuedMessages, m.QueuedBytes = l.messages.waiting()
		m.CallsWaiting = l.calls.waiting()
	}
	return m
}
