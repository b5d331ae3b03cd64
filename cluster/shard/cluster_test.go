package shard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/engine"
	"dkv/engine/keyspace"
	"dkv/engine/pebbledb"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// patience bounds what a test waits for.
const patience = 20 * time.Second

// testCluster is several shards of one group in one process, over a network of
// function calls.
type testCluster struct {
	t     *testing.T
	mu    sync.Mutex
	nodes map[consensus.NodeID]*testNode
	cut   map[consensus.NodeID]bool // hears and says nothing
	seed  uint64
}

// testNode is one member: its disk outlives its runs.
type testNode struct {
	c   *testCluster
	id  consensus.NodeID
	fs  vfs.FS
	log *raftlog.Log
	s   *Shard

	store *testStore
}

func newTestCluster(t *testing.T, n int) *testCluster {
	t.Helper()
	c := &testCluster{t: t, nodes: make(map[consensus.NodeID]*testNode), cut: make(map[consensus.NodeID]bool)}
	cs := &pb.ConfState{}
	for i := range n {
		cs.Voters = append(cs.Voters, uint64(i+1))
	}
	for i := range n {
		c.add(consensus.NodeID(i+1), cs)
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.stop()
		}
	})
	return c
}

// add makes a member; with a nil cs it begins with nothing, as one that joins.
func (c *testCluster) add(id consensus.NodeID, cs *pb.ConfState) *testNode {
	c.t.Helper()
	return c.addOn(vfs.NewMem(), id, cs)
}

// addOn is add with a disk.
func (c *testCluster) addOn(fs vfs.FS, id consensus.NodeID, cs *pb.ConfState) *testNode {
	c.t.Helper()
	n := &testNode{c: c, id: id, fs: fs}
	n.store = &testStore{n: n}
	var err error
	if n.store.eng, err = n.store.open("0"); err != nil {
		c.t.Fatal(err)
	}
	n.openLog()
	if cs != nil {
		if err := errors.Join(Create(n.store.eng, 1, cs), n.log.Shard(0).Reset(1, 1, cs)); err != nil {
			c.t.Fatal(err)
		}
	}
	c.mu.Lock()
	c.nodes[id] = n
	c.mu.Unlock()
	n.start()
	return n
}

func (n *testNode) openLog() {
	n.c.t.Helper()
	var err error
	n.log, err = raftlog.Open(raftlog.Options{FS: n.fs, Dir: "log", SegmentBytes: 64 << 10, RetainBytes: -1})
	if err != nil {
		n.c.t.Fatal(err)
	}
}

func (n *testNode) start() {
	n.c.t.Helper()
	n.c.mu.Lock()
	n.c.seed++
	seed := n.c.seed
	n.c.mu.Unlock()
	s, err := Open(Options{
		NodeID: n.id, Engine: n.store.eng, Store: n.store, Log: n.log.Shard(0),
		Transport: network{n}, TickInterval: 10 * time.Millisecond, Seed: seed,
		Logger:  slog.New(slog.DiscardHandler),
		OnFatal: func(err error) { n.c.t.Errorf("node %d: %v", n.id, err) },
	})
	if err != nil {
		n.c.t.Fatal(err)
	}
	n.c.mu.Lock()
	n.s = s
	n.c.mu.Unlock()
}

func (n *testNode) stop() {
	n.c.mu.Lock()
	s := n.s
	n.s = nil
	n.c.mu.Unlock()
	if s == nil {
		return
	}
	if err := errors.Join(s.Close(), n.log.Close()); err != nil {
		n.c.t.Errorf("node %d: %v", n.id, err)
	}
}

// restart stops a member and starts it from its disk.
func (n *testNode) restart() {
	n.c.t.Helper()
	n.stop()
	var err error
	if n.store.eng, err = n.store.open(n.store.name()); err != nil {
		n.c.t.Fatal(err)
	}
	n.openLog()
	n.start()
}

// network delivers messages, copied as a real one would.
type network struct{ n *testNode }

func (w network) Send(msgs []*pb.Message) {
	for _, m := range msgs {
		from, to := w.n.peer(w.n.id), w.n.peer(consensus.NodeID(m.GetTo()))
		if from == nil || to == nil {
			continue
		}
		if m.GetType() == pb.MsgSnap {
			go from.c.sendSnapshot(from, to, proto.Clone(m).(*pb.Message))
			continue
		}
		to.s.Group().Step(proto.Clone(m).(*pb.Message))
	}
}

// peer returns a member that can be reached.
func (n *testNode) peer(id consensus.NodeID) *testNode {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	p := n.c.nodes[id]
	if p == nil || p.s == nil || n.c.cut[id] || n.c.cut[n.id] {
		return nil
	}
	return &testNode{c: n.c, id: id, s: p.s, store: p.store}
}

func (c *testCluster) isolate(id consensus.NodeID, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[id] = on
}

// sendSnapshot copies the engine's state into a new engine of the receiver.
func (c *testCluster) sendSnapshot(from, to *testNode, m *pb.Message) {
	index := raftlog.Index(m.GetSnapshot().GetMetadata().GetIndex())
	pinned, hold, ok := from.s.TakePinned(index)
	if !ok {
		from.s.Group().ReportSnapshot(to.id, false)
		return
	}
	err := errors.Join(to.store.receive(pinned, m.GetSnapshot()), pinned.Close())
	if err != nil {
		c.t.Errorf("raft snapshot from %d to %d: %v", from.id, to.id, err)
	}
	to.s.Group().Step(m)
	from.s.Group().ReportSnapshot(to.id, err == nil)
	hold.Release()
}

// testStore keeps a member's engines in its file system.
type testStore struct {
	n        *testNode
	eng      engine.Engine
	received engine.Engine
	switches int
	pending  *pb.Snapshot
	onSwitch func()
}

func (st *testStore) name() string { return fmt.Sprint(st.switches) }

func (st *testStore) open(name string) (engine.Engine, error) {
	return pebbledb.Open("db"+name, pebbledb.Options{FS: st.n.fs, Logger: slog.New(slog.DiscardHandler)})
}

func (st *testStore) receive(r engine.Reader, snap *pb.Snapshot) error {
	it, err := r.NewIter(engine.IterOptions{})
	if err != nil {
		return err
	}
	defer it.Close()
	eng, err := st.open(fmt.Sprint(st.switches + 1))
	if err != nil {
		return err
	}
	var b engine.Batch
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.Value()
		if err != nil {
			return err
		}
		b.Put(it.Key(), v)
	}
	st.received = eng
	return errors.Join(it.Err(), eng.Apply(b.Repr()), eng.Flush())
}

func (st *testStore) Switch(snap *pb.Snapshot) (engine.Engine, error) {
	st.switches++
	st.eng, st.received = st.received, nil
	st.pending = snap
	if st.onSwitch != nil {
		st.onSwitch()
	}
	return st.eng, nil
}
func (st *testStore) Pending() (*pb.Snapshot, bool) { return st.pending, st.pending != nil }
func (st *testStore) Done() error                   { st.pending = nil; return nil }
func (st *testStore) Retire(old engine.Engine)      { _ = old.Close() }

// leader waits until a member that can be reached leads.
func (c *testCluster) leader() *testNode {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		c.mu.Lock()
		for id, n := range c.nodes {
			if n.s != nil && !c.cut[id] && n.s.Group().Status().Leading {
				c.mu.Unlock()
				return n
			}
		}
		c.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	c.t.Fatal("no leader")
	return nil
}

// set writes through whoever leads and returns the last error.
func (c *testCluster) set(key, value string) error {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := run(c.leader().s, put(c.t, key, []byte(value)))
		if !errors.Is(err, ErrNotLeader) || time.Now().After(deadline) {
			return err
		}
	}
}

// get reads on one member.
func (n *testNode) get(key string, o ReadOptions) (string, bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var tx keyspace.Tx
	if err := n.s.BeginRead(ctx, &tx, o); err != nil {
		return "", false, err
	}
	e, err := tx.Read(0, []byte(key))
	value, found := string(e.Body), e.Exists()
	return value, found, errors.Join(err, tx.Close())
}

func (c *testCluster) wantEverywhere(key, want string) {
	c.t.Helper()
	for id, n := range c.nodes {
		if n.s == nil || c.cut[id] {
			continue
		}
		if got, found, err := n.get(key, ReadOptions{}); err != nil || !found || got != want {
			c.t.Errorf("node %d: %s is %q (%v, %v), want %q", id, key, got, found, err, want)
		}
	}
}

func TestEveryMemberReadsWhatWasWritten(t *testing.T) {
	c := newTestCluster(t, 3)
	for i := range 50 {
		value := fmt.Sprint("v", i)
		if err := c.set("k", value); err != nil {
			t.Fatal(err)
		}
		c.wantEverywhere("k", value)
	}
	for _, n := range c.nodes {
		if got := n.s.Keyspace().Counts()[0].Keys; got != 1 {
			t.Errorf("node %d counts %d keys", n.id, got)
		}
	}
}

func TestSubmitWhereNobodyLeads(t *testing.T) {
	c := newTestCluster(t, 3)
	leader := c.leader()
	for _, n := range c.nodes {
		if n != leader {
			if err := run(n.s, put(t, "k", []byte("v"))); !errors.Is(err, ErrNotLeader) {
				t.Errorf("node %d: %v", n.id, err)
			}
		}
	}
}

func TestLeaderCutOff(t *testing.T) {
	c := newTestCluster(t, 3)
	if err := c.set("k", "before"); err != nil {
		t.Fatal(err)
	}
	old := c.leader()
	c.isolate(old.id, true)
	// What the old leader takes now cannot be known to have happened.
	lost := make(chan error, 1)
	go func() { lost <- run(old.s, put(t, "k", []byte("lost"))) }()
	if err := c.set("k", "after"); err != nil {
		t.Fatal(err)
	}
	c.wantEverywhere("k", "after")
	// It must not read what was overwritten.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var tx keyspace.Tx
	if err := old.s.BeginRead(ctx, &tx, ReadOptions{}); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a read on a leader that is cut off: %v", err)
	}
	if err := <-lost; !errors.Is(err, ErrUncertain) && !errors.Is(err, ErrNotLeader) {
		t.Errorf("a write on a leader that is cut off: %v", err)
	}
	c.isolate(old.id, false)
	c.wantEverywhere("k", "after")
}

func TestSwapDBIsSeenOnFollowers(t *testing.T) {
	c := newTestCluster(t, 3)
	if err := c.set("k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := run(c.leader().s, func(tx *keyspace.Tx) { tx.SwapDB(0, 1) }); err != nil {
		t.Fatal(err)
	}
	for id, n := range c.nodes {
		if _, found, err := n.get("k", ReadOptions{}); found || err != nil {
			t.Errorf("node %d still finds k in database 0 (%v)", id, err)
		}
		if keys := n.s.Keyspace().Counts()[1].Keys; keys != 1 {
			t.Errorf("node %d: %d keys in database 1", id, keys)
		}
	}
}

func TestRestartOfAll(t *testing.T) {
	c := newTestCluster(t, 3)
	if err := c.set("k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		n.restart()
	}
	c.wantEverywhere("k", "v")
}

func TestJoinByRaftSnapshot(t *testing.T) {
	c := newTestCluster(t, 1)
	for i := range 100 {
		if err := c.set(fmt.Sprint("k", i), "v"); err != nil {
			t.Fatal(err)
		}
	}
	leader := c.leader()
	n := c.add(2, nil)
	change := func(typ pb.ConfChangeType) {
		t.Helper()
		cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: typ.Enum(), NodeId: new(uint64(2))}}}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := leader.s.Group().ChangeMembership(ctx, cc); err != nil {
			t.Fatal(err)
		}
	}
	change(pb.ConfChangeAddLearnerNode)
	if got, found, err := n.get("k99", ReadOptions{}); got != "v" || !found || err != nil {
		t.Fatalf("a learner reads %q, %v, %v", got, found, err)
	}
	change(pb.ConfChangeAddNode)
	if err := c.set("k0", "w"); err != nil {
		t.Fatal(err)
	}
	c.wantEverywhere("k0", "w")
	if err := leader.s.Group().TransferLeader(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := c.set("k1", "x"); err != nil {
		t.Fatal(err)
	}
	c.wantEverywhere("k1", "x")
	n.restart()
	c.wantEverywhere("k99", "v")
	if keys := n.s.Keyspace().Counts()[0].Keys; keys != 100 {
		t.Errorf("%d keys after the raft snapshot", keys)
	}
}

func TestPeerGoneElectsAtOnce(t *testing.T) {
	c := newTestCluster(t, 3)
	if err := c.set("k", "v"); err != nil {
		t.Fatal(err)
	}
	old := c.leader()
	old.stop()
	began := time.Now()
	for _, n := range c.nodes {
		if n != old {
			n.s.Group().PeerGone(old.id)
		}
	}
	if err := c.set("k", "w"); err != nil {
		t.Fatal(err)
	}
	t.Logf("a write after the leader's death took %v", time.Since(began))
	c.wantEverywhere("k", "w")
}
