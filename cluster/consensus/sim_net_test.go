package consensus

import (
	"slices"
	"time"

	"dkv/cluster/raftlog"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// simNet carries messages: it loses, doubles, delays and reorders them.
type simNet struct {
	loss, twice   float64
	delay, spread time.Duration
	slow          float64 // share of messages that take much longer
	slowTime      time.Duration
	cut           map[[2]NodeID]int // links that are cut, from and to, by how many faults
	transfers     []*simTransfer
}

// broken says whether nothing gets from one node to another.
func (t *simNet) broken(from, to NodeID) bool { return t.cut[[2]NodeID{from, to}] > 0 }

// travel is how long a message is on its way.
func (w *world) travel() time.Duration {
	t := &w.net
	d := t.delay + w.around(t.spread)
	if w.chance(t.slow) {
		d += w.around(t.slowTime)
	}
	return d
}

// simTransport is what a node's core sends through.
type simTransport struct{ n *simNode }

func (t simTransport) Send(msgs []*pb.Message) {
	n := t.n
	if n.disk.off || n.w.ended {
		return
	}
	for _, m := range msgs {
		if m.GetType() == pb.MsgSnap {
			n.sendSnapshot(m)
		} else {
			n.w.send(n, m)
		}
	}
}

// send puts a message on its way. It travels as bytes, like a real one.
func (w *world) send(n *simNode, m *pb.Message) {
	b := w.logMessage("send", m)
	w.stats.Messages++
	copies := 1
	if w.chance(w.net.twice) {
		copies = 2
	}
	for range copies {
		if w.chance(w.net.loss) {
			continue
		}
		w.after(n.disk.spent+w.travel(), func() { w.deliver(b) })
	}
}

func (w *world) deliver(b []byte) {
	m := &pb.Message{}
	if err := proto.Unmarshal(b, m); err != nil {
		w.fail("decode a message: %v", err)
		return
	}
	from, to := NodeID(m.GetFrom()), NodeID(m.GetTo())
	n := w.node(to)
	if n == nil || !n.up || w.net.broken(from, to) {
		return
	}
	if w.refuses(n, from) {
		return
	}
	w.log(to, "receive", uint64(from), uint64(m.GetType()), m.GetTerm(), m.GetIndex())
	n.take(m)
}

// simTransfer is a raft snapshot on its way.
type simTransfer struct {
	from, to *simNode
	fromRun  uint64
	toRun    uint64
	state    simState
	message  []byte
	steps    int
}

// sendSnapshot begins to transfer the state that a MsgSnap announces, which was
// pinned when raft asked for it: see cluster/snapshots.go.
func (n *simNode) sendSnapshot(m *pb.Message) {
	w := n.w
	b := w.logMessage("send", m)
	index := raftlog.Index(m.GetSnapshot().GetMetadata().GetIndex())
	i := slices.IndexFunc(n.pins, func(p simState) bool { return p.index == index })
	to := w.node(NodeID(m.GetTo()))
	if i < 0 || to == nil {
		n.reportSnapshot(NodeID(m.GetTo()), false)
		return
	}
	t := &simTransfer{from: n, to: to, fromRun: n.run, state: n.pins[i], message: b, steps: 1 + w.r.IntN(6)}
	n.pins = slices.Delete(n.pins, i, i+1)
	w.net.transfers = append(w.net.transfers, t)
	w.after(w.travel(), t.step)
}

// step brings one chunk over, or the whole transfer ends.
func (t *simTransfer) step() {
	w := t.from.w
	if !slices.Contains(w.net.transfers, t) {
		return
	}
	cut := !t.to.up || t.toRun != 0 && t.toRun != t.to.run ||
		w.net.broken(t.from.id, t.to.id) || w.net.broken(t.to.id, t.from.id) || w.chance(w.net.loss) ||
		w.refuses(t.to, t.from.id) || t.to.recv != nil && t.to.recv != t && w.chance(0.5)
	if cut {
		w.log(t.from.id, "snapshot cut", uint64(t.to.id), uint64(t.state.index), uint64(t.steps))
		t.end(false)
		return
	}
	t.toRun = t.to.run
	t.to.recv = t // another one that came before is discarded, its receiver says so
	if t.steps--; t.steps > 0 {
		w.after(w.travel()+w.around(w.chunkTime), t.step)
		return
	}
	if w.mutant == mutantLateSnapshot && t.from.up {
		index := t.state.index
		t.state = t.from.state
		t.state.index = index
	}
	w.log(t.to.id, "snapshot here", uint64(t.from.id), uint64(t.state.index))
	t.to.received = append(t.to.received, t)
	m := &pb.Message{}
	if err := proto.Unmarshal(t.message, m); err != nil {
		w.fail("decode a raft snapshot: %v", err)
	}
	t.end(t.to.take(m))
}

// end takes a transfer off the net. The sender may learn it late, or not at all.
func (t *simTransfer) end(ok bool) {
	w := t.from.w
	w.net.transfers = slices.DeleteFunc(w.net.transfers, func(o *simTransfer) bool { return o == t })
	if t.to.recv == t {
		t.to.recv = nil
	}
	from, run, to := t.from, t.fromRun, t.to.id
	if ok && w.chance(w.net.loss) {
		ok = false // the answer was lost
	}
	w.after(w.travel(), func() {
		if from.up && from.run == run {
			from.reportSnapshot(to, ok)
		}
	})
}

// reportSnapshot is Group.ReportSnapshot.
func (n *simNode) reportSnapshot(to NodeID, ok bool) {
	n.onCore(0, func() error {
		status := raft.SnapshotFailure
		if ok {
			status = raft.SnapshotFinish
		}
		n.core.rn.ReportSnapshot(uint64(to), status)
		return nil
	})
}

// forget drops what a process that has ended had on its way in or out.
func (t *simNet) forget(n *simNode) {
	for _, tr := range slices.Clone(t.transfers) {
		if tr.from == n {
			t.transfers = slices.DeleteFunc(t.transfers, func(o *simTransfer) bool { return o == tr })
			if tr.to.recv == tr {
				tr.to.recv = nil
			}
		}
	}
}
