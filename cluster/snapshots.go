package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/shard"
	"dkv/cluster/transport"
	"dkv/engine"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// maxSnapshotsSent bounds the raft snapshots that the node sends at once, over all
// shards. More wait for raft to ask again.
const maxSnapshotsSent = 2

// errNotReceived says that raft wants a snapshot that is not here (any more).
var errNotReceived = errors.New("cluster: the raft snapshot that was received is gone")

// snapStore is a shard's raftsnap.Store as package shard wants it: there, a
// received state is named by raft's snapshot.
type snapStore struct {
	*raftsnap.Store
	// installing is held from the moment that raft is told of a received state
	// until it has switched to it or not: no other can take its place meanwhile.
	installing sync.Mutex
	mu         struct {
		sync.Mutex
		complete *raftsnap.Receiver // given to raft
	}
	closeFailed func(error)
}

// setComplete returns what was there before.
func (st *snapStore) setComplete(r *raftsnap.Receiver) (old *raftsnap.Receiver) {
	st.mu.Lock()
	defer st.mu.Unlock()
	old, st.mu.complete = st.mu.complete, r
	return old
}

var _ shard.Store = (*snapStore)(nil)

// Switch implements shard.Store.
func (st *snapStore) Switch(snap *pb.Snapshot) (engine.Engine, error) {
	r := st.setComplete(nil)
	if r == nil {
		return nil, errNotReceived
	}
	m, err := decodeSnapshot(r.Meta())
	if err != nil {
		return nil, err
	}
	have, want := m.GetSnapshot().GetMetadata(), snap.GetMetadata()
	if have.GetIndex() != want.GetIndex() || have.GetTerm() != want.GetTerm() {
		return nil, fmt.Errorf("%w: it is of %d, wanted is %d", errNotReceived, have.GetIndex(), want.GetIndex())
	}
	eng, err := st.Store.Switch(r)
	if errors.Is(err, engine.ErrNoSpace) {
		st.setComplete(r) // it is still there, and tried again
	}
	return eng, err
}

// Pending implements shard.Store.
func (st *snapStore) Pending() (*pb.Snapshot, bool) {
	meta, ok := st.Store.Pending()
	if !ok {
		return nil, false
	}
	m, err := decodeSnapshot(meta)
	if err != nil {
		// The pointer file is checked against its checksum when it is read.
		panic("cluster: invariant: the store has a snapshot's announcement that it was not given: " + err.Error())
	}
	return m.GetSnapshot(), true
}

// Retire implements shard.Store.
func (st *snapStore) Retire(old engine.Engine) {
	if err := st.Store.Retire(old); err != nil {
		st.closeFailed(err)
	}
}

// decodeSnapshot reads a raft snapshot's announcement.
func decodeSnapshot(data []byte) (*pb.Message, error) {
	m := &pb.Message{}
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("cluster: a raft snapshot's announcement: %w", err)
	}
	if m.GetType() != pb.MsgSnap || m.GetSnapshot().GetMetadata().GetIndex() == 0 {
		return nil, errors.New("cluster: a raft snapshot's announcement is something else")
	}
	return m, nil
}

// outbox is the way of one shard's raft messages to the other members.
type outbox struct {
	n  *Node
	id raftlog.ShardID
}

// Send implements consensus.Transport. A raft snapshot goes its own way.
func (b outbox) Send(msgs []*pb.Message) {
	plain := true
	for _, m := range msgs {
		plain = plain && m.GetType() != pb.MsgSnap
	}
	if plain {
		b.n.transport.Send(b.id, msgs)
		return
	}
	rest := make([]*pb.Message, 0, len(msgs))
	for _, m := range msgs {
		if m.GetType() == pb.MsgSnap {
			b.n.goSendSnapshot(b.id, m)
		} else {
			rest = append(rest, m)
		}
	}
	if len(rest) > 0 {
		b.n.transport.Send(b.id, rest)
	}
}

// goSendSnapshot sends the raft snapshot that m announces, in the background, and
// tells the group how it ended.
func (n *Node) goSendSnapshot(id raftlog.ShardID, m *pb.Message) {
	n.goes(func(ctx context.Context) {
		select {
		case <-n.opened: // a lone voter leads while it is still being opened
		case <-ctx.Done():
			return
		}
		s := n.Shard(id)
		if s == nil {
			return // the node was removed
		}
		to := consensus.NodeID(m.GetTo())
		err := n.sendSnapshot(ctx, s, id, to, m)
		if ctx.Err() == nil {
			n.pauseSnapshots(ctx, s, id, to, err)
		}
		s.Group().ReportSnapshot(to, err == nil) // raft asks again as soon as it knows
	})
}

var errSnapshotsBusy = errors.New("cluster: enough raft snapshots are being sent; later")

func (n *Node) sendSnapshot(ctx context.Context, s *shard.Shard, id raftlog.ShardID, to consensus.NodeID, m *pb.Message) error {
	index := raftlog.Index(m.GetSnapshot().GetMetadata().GetIndex())
	pinned, hold, ok := s.TakePinned(index)
	if !ok {
		return fmt.Errorf("cluster: the state at %d is not kept any more", index)
	}
	received := false
	defer func() {
		if !received {
			hold.Release()
		}
	}()
	src := raftsnap.NewSource(pinned)
	defer src.Close()
	select {
	case n.sending <- struct{}{}:
		defer func() { <-n.sending }()
	default:
		return errSnapshotsBusy
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("cluster: encode a raft snapshot's announcement: %w", err)
	}
	h := &transport.SnapshotHeader{
		Shard: id, ID: rand.Uint64(), Message: data, EstimatedBytes: snapshotBytes(s),
	}
	n.o.Logger.Info("sending a raft snapshot", "shard", id, "to", to, "index", index, "estimated_bytes", h.EstimatedBytes)
	if err := n.transport.SendSnapshot(ctx, to, h, src); err != nil {
		return err
	}
	received = true
	n.o.Logger.Info("a raft snapshot was received", "shard", id, "by", to, "index", index)
	n.mu.Lock()
	n.mu.sent = append(n.mu.sent, &sentSnapshot{snapshotWay: snapshotWay{id, to}, hold: hold, match: index, moved: n.o.Clock()})
	n.mu.Unlock()
	return nil
}

// sentSnapshot is a raft snapshot whose receiver needs the log after it, which may
// have become long while the snapshot was sent.
type sentSnapshot struct {
	snapshotWay
	hold  *shard.Hold
	match raftlog.Index // what the receiver has by now
	moved time.Time     // when it last got more
	goal  raftlog.Index // what was committed when it was last looked at
}

// sentHoldTime is for how long the log is kept for the receiver of a raft snapshot that
// gets no further: it may be gone, and the disk is not endless.
const sentHoldTime = time.Minute

// followed notes what the receiver has. done: the log need not be kept for it any
// more, because it has all that was committed a while ago, or gets no further.
func (sent *sentSnapshot) followed(p consensus.Peer, commit raftlog.Index, now time.Time) (done bool) {
	if p.Match > sent.match {
		sent.match, sent.moved = p.Match, now
		sent.hold.Move(p.Match)
	}
	if sent.goal > 0 && sent.match >= sent.goal && p.State == "replicate" {
		return true
	}
	sent.goal = max(commit, sent.match)
	return now.Sub(sent.moved) > sentHoldTime
}

// releaseSent lets go of the log that was kept for members that have it by now, or
// that are no members any more. The leader says what they have.
func (n *Node) releaseSent(id raftlog.ShardID, peers []consensus.Peer, commit raftlog.Index) {
	now := n.o.Clock()
	n.forgetSent(func(sent *sentSnapshot) bool {
		if sent.shard != id {
			return false
		}
		i := slices.IndexFunc(peers, func(p consensus.Peer) bool { return p.ID == sent.to })
		return i < 0 || sent.followed(peers[i], commit, now)
	})
}

// releaseFollower lets go of it all where another node leads: it is that one's log
// that the members get.
func (n *Node) releaseFollower(s *openShard) {
	if st := s.Group().Status(); st.Leader != 0 && st.Leader != st.ID {
		n.forgetSent(func(sent *sentSnapshot) bool { return sent.shard == s.id })
	}
}

func (n *Node) forgetSent(done func(*sentSnapshot) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mu.sent = slices.DeleteFunc(n.mu.sent, func(sent *sentSnapshot) bool {
		over := done(sent)
		if over {
			sent.hold.Release()
		}
		return over
	})
}

func (n *Node) remembersSent(id raftlog.ShardID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.mu.sent, func(sent *sentSnapshot) bool { return sent.shard == id })
}

// Snapshot receives a raft snapshot into the shard's store; raft is told of it when
// it is complete.
func (h *peerHandler) Snapshot(from consensus.NodeID, head *transport.SnapshotHeader) (transport.SnapshotSink, error) {
	n := h.n
	set := n.shards.Load()
	if set == nil || int(head.Shard) >= len(*set) {
		return nil, errNoShards
	}
	m, err := decodeSnapshot(head.Message)
	if err != nil {
		return nil, err
	}
	if m.GetFrom() != uint64(from) || m.GetTo() != n.identity().NodeID {
		return nil, errors.New("cluster: a raft snapshot between others")
	}
	os := &(*set)[head.Shard]
	r, err := os.store.Receive(head.ID, head.Message, head.EstimatedBytes)
	os.tellSpace(n.o.Logger, head.EstimatedBytes, err)
	if err != nil {
		return nil, err
	}
	return &snapshotSink{Receiver: r, shard: os, message: m}, nil
}

// snapshotSink hands a received raft snapshot on.
type snapshotSink struct {
	*raftsnap.Receiver
	shard   *openShard
	message *pb.Message
}

// Chunk implements transport.SnapshotSink.
func (k *snapshotSink) Chunk(data, position []byte, last bool) error {
	if err := k.Receiver.Chunk(data, position, last); err != nil || !last {
		return err
	}
	st := k.shard.store
	st.installing.Lock()
	defer st.installing.Unlock()
	st.setComplete(k.Receiver)
	ctx, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	err := k.shard.Group().Install(ctx, k.message)
	if st.setComplete(nil) != nil {
		// Raft had no use for it (what it brings is here already), or was not told.
		err = errors.Join(err, k.Receiver.Discard())
	}
	if err != nil {
		return fmt.Errorf("cluster: hand a raft snapshot on: %w", err)
	}
	return nil
}

// installTimeout bounds the wait for a group that is busy, on a full disk for one.
const installTimeout = time.Minute

// Close implements transport.SnapshotSink. What was received stays, to be resumed.
func (k *snapshotSink) Close() error { return nil }
