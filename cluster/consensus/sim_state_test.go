package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"dkv/cluster/raftlog"
	"dkv/engine"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// simKeys is how many keys there are.
const simKeys = 3

// simState is what an engine holds: data, position and membership of one moment.
// It is copied by value.
type simState struct {
	index   raftlog.Index
	voters  string // fingerprint of conf
	conf    *pb.ConfState
	values  [simKeys]string
	version [simKeys]uint64 // writes to the key
}

// sum fingerprints the state.
func (s *simState) sum() uint64 {
	h := uint64(14695981039346656037)
	mix := func(t string) {
		for i := range len(t) {
			h = (h ^ uint64(t[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	mix(s.voters)
	for i := range s.values {
		mix(s.values[i])
		h = (h ^ s.version[i]) * 1099511628211
	}
	return h
}

func (s *simState) setConf(cs *pb.ConfState) {
	s.conf = proto.Clone(cs).(*pb.ConfState)
	v, l := slices.Clone(cs.GetVoters()), slices.Clone(cs.GetLearners())
	slices.Sort(v)
	slices.Sort(l)
	s.voters = fmt.Sprint(v, l, cs.GetVotersOutgoing(), cs.GetLearnersNext(), cs.GetAutoLeave())
}

// simDurable is what is left of the engine after a crash.
type simDurable struct {
	simState
	// pending is a raft snapshot that was switched to and that the log does not
	// follow yet.
	pending *pb.Snapshot
}

// simWrite is one effect of a batch. A batch is an entry's data:
//
//	kind 1 byte | index 8 bytes | { op 8 bytes | key 1 byte | length 1 byte | value }* | zeros
type simWrite struct {
	op    uint64
	key   int
	value string
}

const simIndexOffset = 1

func encodeSimBatch(writes []simWrite, padding int) []byte {
	b := make([]byte, 9, 64)
	b[0] = 'b'
	for _, wr := range writes {
		b = binary.BigEndian.AppendUint64(b, wr.op)
		b = append(b, byte(wr.key), byte(len(wr.value)))
		b = append(b, wr.value...)
	}
	return append(b, make([]byte, padding)...)
}

func decodeSimBatch(b []byte) (index raftlog.Index, writes []simWrite) {
	index = raftlog.Index(binary.BigEndian.Uint64(b[simIndexOffset:]))
	for b = b[9:]; len(b) > 9 && b[9] > 0; {
		n := int(b[9])
		writes = append(writes, simWrite{binary.BigEndian.Uint64(b), int(b[8]), string(b[10 : 10+n])})
		b = b[10+n:]
	}
	return index, writes
}

// simMachine is the side of a node that consensus sees. See shard's stateMachine.
type simMachine simNode

func (m *simMachine) Apply(index raftlog.Index, term raftlog.Term, data []byte, own *Proposal) error {
	n := (*simNode)(m)
	if n.disk.off {
		return errSimOff
	}
	mine := own != nil && own.Context == any(&n.writer) && n.writer.epoch == n.epoch
	var writes []simWrite
	if len(data) > 0 {
		var named raftlog.Index
		named, writes = decodeSimBatch(data)
		if named != index {
			n.w.fail("node %d: the batch for %d is applied at %d", n.id, named, index)
		}
	}
	for _, wr := range writes {
		n.state.values[wr.key] = wr.value
		n.state.version[wr.key]++
	}
	n.applied(index, term, data, writes)
	if mine {
		n.finishBatch(nil)
	}
	n.flushMaybe()
	return nil
}

// applied moves the position and compares with what others have there.
func (n *simNode) applied(index raftlog.Index, term raftlog.Term, data []byte, writes []simWrite) {
	if index != n.state.index+1 {
		n.w.fail("node %d: entry %d is applied to a state at %d", n.id, index, n.state.index)
	}
	n.state.index = index
	n.w.truth.applied(n, index, term, data, writes)
}

func (m *simMachine) ApplyConf(index raftlog.Index, term raftlog.Term, cs *pb.ConfState) error {
	n := (*simNode)(m)
	if n.disk.off {
		return errSimOff
	}
	n.before = n.state.conf
	n.state.setConf(cs)
	n.w.log(n.id, "members", uint64(index)).note = n.state.voters
	n.applied(index, term, []byte(n.state.voters), nil)
	n.w.membersApplied(n)
	n.flushMaybe()
	return nil
}

func (m *simMachine) Leading(term raftlog.Term) {
	n := (*simNode)(m)
	if n.disk.off {
		return
	}
	n.w.log(n.id, "leads", uint64(term), uint64(n.state.index))
	n.leads = term
	n.kickWriter()
}

func (m *simMachine) Following(lead NodeID) {
	n := (*simNode)(m)
	n.w.log(n.id, "follows", uint64(lead))
	n.leads = 0
	if n.w.mutant == mutantDefinite && n.writer.state == writerProposed {
		n.finishBatch(ErrNotLeader)
	}
}

// Restore switches to what was received, as shard.Restore does with a Store.
func (m *simMachine) Restore(snap *pb.Snapshot) error {
	n := (*simNode)(m)
	md := snap.GetMetadata()
	// Two may have come before raft looked at the first.
	i := slices.IndexFunc(n.received, func(r *simTransfer) bool { return r.state.index == raftlog.Index(md.GetIndex()) })
	if i < 0 {
		return fmt.Errorf("raft wants the snapshot at %d, which is not here", md.GetIndex())
	}
	r := n.received[i]
	n.received = nil
	n.w.log(n.id, "switch", md.GetIndex())
	n.w.stats.Snapshots++
	n.diskOp()
	if n.disk.off {
		return errSimOff
	}
	n.durable = simDurable{r.state, snap}
	n.diskOp()
	if err := n.finishSwitch(); err != nil {
		return err
	}
	n.state = n.durable.simState
	n.epoch++
	n.w.truth.restored(n)
	return nil
}

// finishSwitch makes the log follow the engine that was switched to.
func (n *simNode) finishSwitch() error {
	if n.disk.off {
		return errSimOff
	}
	md := n.durable.pending.GetMetadata()
	if n.w.mutant != mutantNoReset {
		if err := n.shard.Reset(raftlog.Index(md.GetIndex()), raftlog.Term(md.GetTerm()), md.GetConfState()); err != nil {
			return err
		}
	}
	if err := n.log.Sync(); err != nil {
		return err
	}
	n.diskOp()
	if n.disk.off {
		return errSimOff
	}
	n.durable.pending = nil
	return nil
}

// flushMaybe is the engine flushing when its memory is full, which may be in the
// middle of a round.
func (n *simNode) flushMaybe() {
	if n.w.chance(n.w.flushRate) {
		n.flush()
	}
}

// flush makes the engine's state durable: the log first, see raftlog. Then the log
// is cut.
func (n *simNode) flush() {
	if n.disk.off {
		return
	}
	n.w.log(n.id, "flush", uint64(n.state.index))
	if err := n.log.Sync(); err != nil {
		if !errors.Is(err, engine.ErrNoSpace) {
			n.w.fail("node %d: sync: %v", n.id, err)
		}
		return
	}
	n.diskOp()
	if n.disk.off {
		return
	}
	old := n.durable
	n.durable = simDurable{n.state, n.durable.pending}
	switch n.w.mutant {
	case mutantNoPosition:
		n.durable.index = old.index
	case mutantOldConf:
		n.durable.conf, n.durable.voters = old.conf, old.voters
	}
	n.diskOp()
	if n.disk.off || n.w.chance(0.3) {
		return
	}
	upTo := n.durable.index
	for _, p := range n.pins {
		upTo = min(upTo, p.index)
	}
	if err := n.shard.Truncate(upTo); err != nil && !errors.Is(err, engine.ErrNoSpace) {
		n.w.fail("node %d: truncate: %v", n.id, err)
	}
}

// maxSimPins bounds the states that wait to be sent.
const maxSimPins = 4

// snapshot is asked for by raft when a member needs what the log does not have.
func (n *simNode) snapshot() (*pb.Snapshot, error) {
	if len(n.pins) >= maxSimPins || n.w.chance(0.1) {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	term, err := n.shard.Term(uint64(n.state.index))
	if err != nil {
		return nil, err
	}
	n.pins = append(n.pins, n.state)
	return &pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		Index: new(uint64(n.state.index)), Term: new(term), ConfState: n.state.conf,
	}}, nil
}
