package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/transport"
)

func (n *testNode) mustAdd(i int) {
	n.c.t.Helper()
	if err := n.AddNode(n.c.t.Context(), "http://"+testAddr(i), false); err != nil {
		n.c.t.Fatalf("add node %d at %s: %v", i, n.addr, err)
	}
}

func (n *testNode) mustRemove(name string, force bool) {
	n.c.t.Helper()
	if err := n.RemoveNode(n.c.t.Context(), name, force); err != nil {
		n.c.t.Fatalf("remove %s at %s: %v", name, n.addr, err)
	}
}

func wantError(t *testing.T, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("%s: %v, want an error that says %q", what, err, text)
	}
	if !strings.HasPrefix(err.Error(), "ERR ") && !strings.HasPrefix(err.Error(), "CLUSTERDOWN ") {
		t.Fatalf("%s: %v is not a reply", what, err)
	}
}

// TestGrowAndShrink goes from a standalone folder to five nodes and back to one.
func TestGrowAndShrink(t *testing.T) {
	c := newTestCluster(t)
	alone := c.start(1, func(o *Options) { o.PeerAddr, o.PeerListen = "", "" })
	if err := set(alone.Node, "old", "data"); err != nil {
		t.Fatal(err)
	}
	wantError(t, "add to a node without an address", alone.AddNode(t.Context(), testAddr(2), false), "no peer address")
	alone.stopNode(false)
	list := []*testNode{c.start(1, nil)}
	c.waitServing(list...)
	for i := 2; i <= 5; i++ {
		n := c.start(i, joining)
		// Any member can be asked.
		list[len(list)-1].mustAdd(i)
		list = append(list, n)
		n.mustGet("old", "data")
		n.mustPut(fmt.Sprint("k", i), "v")
	}
	for _, n := range list {
		n.waitMembers(1, 2, 3, 4, 5)
		for i := 2; i <= 5; i++ {
			n.mustGet(fmt.Sprint("k", i), "v")
		}
	}
	for i := 4; i > 0; i-- {
		leader := c.leader(list...)
		asked := c.follower(list...)
		if i%2 == 0 {
			asked = leader
		}
		asked.mustRemove(leader.addr, false)
		waitFor(t, func() bool { return leader.ClusterInfo().State == stateRemoved })
		if err := leader.put("a", "1"); err == nil {
			t.Fatal("a removed node takes writes")
		}
		if _, err := leader.get("old", true); err == nil {
			t.Fatal("a removed node serves reads")
		}
		list = without(list, leader)
		list[0].mustPut("last", fmt.Sprint(i))
		for _, n := range list {
			n.mustGet("last", fmt.Sprint(i))
		}
	}
	for _, force := range []bool{false, true} {
		wantError(t, "remove the last node", list[0].RemoveNode(t.Context(), list[0].addr, force), "last node")
	}
	list[0].mustGet("old", "data")
}

func without(list []*testNode, n *testNode) []*testNode {
	var rest []*testNode
	for _, m := range list {
		if m != n {
			rest = append(rest, m)
		}
	}
	return rest
}

// TestReplaceDeadNode: a node dies for good, and another one takes its address.
func TestReplaceDeadNode(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 2 })
	list[0].mustPut("a", "1")
	dead := list[2]
	dead.stopNode(true)
	delete(c.nodes, dead.addr)
	c.waitServing(list[:2]...)
	waitFor(t, func() bool { return !list[0].isConnected(3) && !list[1].isConnected(3) })
	wantError(t, "remove one of two that are left", list[0].RemoveNode(t.Context(), list[1].addr, false), "majority")

	fresh := c.start(3, joining)
	wantError(t, "add at the dead one's address", list[1].AddNode(t.Context(), fresh.addr, false), "REMOVENODE 3")
	list[1].mustRemove("3", false)
	list[1].mustAdd(3)
	for _, n := range []*testNode{list[0], list[1], fresh} {
		n.waitMembers(1, 2, 4)
		n.mustGet("a", "1")
	}
	fresh.mustPut("a", "2")
	list[0].mustGet("a", "2")
}

func TestAddRefuses(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	add := func(addr string) error { return list[1].AddNode(t.Context(), addr, false) }
	wantError(t, "a member", add(testAddr(3)), "member already (node 3)")
	wantError(t, "nobody", add(testAddr(9)), "does not answer")
	wantError(t, "no address", add("nonsense"), "host:port")
	c.start(4, nil)
	wantError(t, "a cluster of its own", add(testAddr(4)), "in another cluster")
	c.start(5, withPeers(5, nil)).c.net.setCut(testAddr(5), false)
	wantError(t, "one that waits for a list", add(testAddr(5)), "-join")
	c.start(6, func(o *Options) { o.Join, o.Shards = true, 7 })
	wantError(t, "other shards", add(testAddr(6)), "7 shards")
	wantError(t, "remove a stranger", list[1].RemoveNode(t.Context(), testAddr(9), false), "no member")
	list[0].waitMembers(1, 2, 3)
}

// TestRemoveUninitialised: a node that was added and died before it was ever seen
// can be removed, and never counted.
func TestRemoveUninitialised(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	stopFake := c.fakeJoiner(4)
	if err := list[1].AddNode(t.Context(), testAddr(4), true); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(list[1].Members()) == 4 })
	if m := list[1].Members()[3]; m.ID != 4 || m.State != "joining" {
		t.Fatalf("%+v", m)
	}
	stopFake()
	list[1].mustPut("a", "1")
	list[2].mustRemove("4", false)
	for _, n := range list {
		n.waitMembers(1, 2, 3)
	}
	// Its id is not used again.
	again := c.start(4, joining)
	list[2].mustAdd(4)
	again.waitMembers(1, 2, 3, 5)
}

// TestRemovedWhileDown: a node that was removed while it was down learns of it when
// it comes back, and disturbs nobody.
func TestRemovedWhileDown(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	down := c.follower(list...)
	i := int(down.identity().NodeID)
	rest := without(list, down)
	down.stopNode(true)
	rest[0].mustRemove(down.addr, false)
	term := rest[0].ClusterInfo().Term
	down = c.start(i, nil)
	waitFor(t, func() bool { return down.ClusterInfo().State == stateRemoved })
	wantError(t, "a write", down.put("a", "1"), "removed")
	rest[1].mustPut("a", "2")
	if got := rest[0].ClusterInfo(); got.Term != term || got.Members != 2 {
		t.Fatalf("%+v, the term was %d", got, term)
	}
	down.stopNode(false)
	if _, err := c.tryStart(i, nil); !errors.Is(err, ErrRemoved) {
		t.Fatalf("it starts again: %v", err)
	}
	if _, err := c.tryStart(i, joining); !errors.Is(err, ErrRemoved) {
		t.Fatalf("it joins with its old folder: %v", err)
	}
}

// TestForceRemove takes a node out though nobody knows that a majority is left.
func TestForceRemove(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	dead := c.follower(list...)
	rest := without(list, dead)
	dead.stopNode(true)
	leader := c.leader(rest...)
	other := without(rest, leader)[0]
	waitFor(t, func() bool { return !leader.isConnected(dead.identity().node()) })
	wantError(t, "without force", leader.RemoveNode(t.Context(), other.addr, false), "majority")
	// What remains has no majority: the decision is made, and the command says so.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := leader.RemoveNode(ctx, other.addr, true); err != nil {
		wantError(t, "with force", err, "being removed")
	}
	waitFor(t, func() bool { return len(leader.list()[0].Group().Status().Voters) == 2 })
}

// TestRemovalsAtOneTime: what each removal by itself leaves a majority of may be too
// much together. Then all but those that it is not are refused.
func TestRemovalsAtOneTime(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(4, nil)
	dead := list[3]
	dead.stopNode(true)
	list = list[:3]
	leader := c.leader(list...)
	waitFor(t, func() bool { return !leader.isConnected(dead.identity().node()) })
	asked := without(list, leader)
	// Of four, one of which is dead, either can go, and not both.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	errs := make(chan error, len(asked))
	for _, n := range asked {
		go func() { errs <- leader.RemoveNode(ctx, n.addr, false) }()
	}
	refused := 0
	for range asked {
		if err := <-errs; err != nil {
			wantError(t, "the second one", err, "majority")
			refused++
		}
	}
	if refused != 1 {
		t.Errorf("%d of two removals were refused, want 1", refused)
	}
	leader.mustPut("a", "1")
}

// fakeJoiner answers who it is, but never becomes a member.
func (c *testCluster) fakeJoiner(i int) (stop func()) {
	addr := testAddr(i)
	tr, err := transport.Listen(transport.Options{Addr: "127.0.0.1:0", Handler: fakeHandler{addr: addr}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.net.mu.Lock()
	c.net.real[addr] = tr.Addr()
	c.net.mu.Unlock()
	return func() {
		c.net.mu.Lock()
		delete(c.net.real, addr)
		c.net.mu.Unlock()
		if err := tr.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

type fakeHandler struct {
	*peerHandler
	addr string
}

func (f fakeHandler) Admin(_ context.Context, method string, _ []byte) ([]byte, error) {
	if method != adminProbe {
		return nil, errors.New("not now")
	}
	return (&hello{State: stateJoining, PeerAddr: f.addr, Incarnation: "fake"}).encode(), nil
}

// TestAddIsFinishedByAnotherLeader: the command was cut short, the decision not.
func TestAddIsFinishedByAnotherLeader(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	n := c.start(4, joining)
	leader := c.leader(list...)
	if err := leader.AddNode(t.Context(), n.addr, true); err != nil {
		t.Fatal(err)
	}
	leader.stopNode(true)
	list = without(list, leader)
	// Again, at another node: it is still being added, or done.
	err := list[0].AddNode(t.Context(), n.addr, false)
	if err != nil && !strings.Contains(err.Error(), "member already (node 4)") {
		t.Fatal(err)
	}
	n.waitMembers(1, 2, 3, 4)
}

// TestSnapshotCatchUp: a member that missed more than the log holds gets the state,
// for each shard, while writes go on, and so does a new one.
func TestSnapshotCatchUp(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 2; o.MaxLogBytes = 256 << 10 })
	behind := c.follower(list...)
	i := int(behind.identity().NodeID)
	behind.stopNode(true)
	rest := without(list, behind)
	c.leader(rest...)
	value := strings.Repeat("x", 16<<10)
	for k := range 60 {
		rest[k%2].mustPut(fmt.Sprint("k", k), value)
		rest[k%2].mustPutIn(1, fmt.Sprint("l", k), value)
		for _, n := range rest {
			if k%20 == 19 {
				if err := n.Save(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	behind = c.start(i, func(o *Options) { o.MaxLogBytes = 256 << 10 })
	waitFor(t, func() bool {
		m := behind.Metrics()
		return m.Snapshots[0].Switched > 0 && m.Snapshots[1].Switched > 0
	})
	for k := range 60 {
		behind.mustGet(fmt.Sprint("k", k), value)
	}
	// It is a member like any other: it leads, and restarts.
	if err := behind.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	behind.mustPut("after", "1")
	behind.stopNode(false)
	behind = c.start(i, nil)
	behind.mustGet("after", "1")
	behind.mustGet("k3", value)
	if behind.list()[0].store.Engine() == nil {
		t.Fatal("no engine")
	}
}

func TestTransferLeader(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 3 })
	for _, to := range list {
		if err := list[0].TransferLeader(t.Context(), AllShards, to.addr); err != nil {
			t.Fatal(err)
		}
		for id := range to.list() {
			waitFor(t, func() bool { return to.list()[id].leads() })
		}
	}
	if err := list[0].Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return list[0].ClusterInfo().Led == 3 })
	if err := list[1].TransferLeader(t.Context(), 1, ""); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return list[0].ClusterInfo().Led == 2 })
	wantError(t, "to nobody", list[1].TransferLeader(t.Context(), 1, "99"), "no member")
	wantError(t, "of no shard", list[1].TransferLeader(t.Context(), 7, "1"), "no shard")
}

// TestLeadersSpread: nobody keeps all shards.
func TestLeadersSpread(t *testing.T) {
	t.Parallel()
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 3 })
	waitFor(t, func() bool {
		for _, n := range list {
			if n.ClusterInfo().Led != 1 {
				return false
			}
		}
		return true
	})
}

func TestNextStep(t *testing.T) {
	table := func(members ...tableMember) *memberTable {
		return &memberTable{Version: 1, NextID: 9, Members: members}
	}
	m := func(id uint64, leaving bool) tableMember { return tableMember{ID: id, Leaving: leaving} }
	voter := func(id consensus.NodeID) consensus.Peer {
		return consensus.Peer{ID: id, Match: 1000, State: "replicate", Active: true}
	}
	learner := func(p consensus.Peer) consensus.Peer { p.Learner = true; return p }
	behind := func(p consensus.Peer) consensus.Peer { p.Match = 10; return p }
	for _, test := range []struct {
		name  string
		table *memberTable
		peers []consensus.Peer
		kind  stepKind
		id    consensus.NodeID
	}{
		{"as it should be", table(m(1, false), m(2, false)), []consensus.Peer{voter(1), voter(2)}, stepNone, 0},
		{"a new one", table(m(1, false), m(2, false)), []consensus.Peer{voter(1)}, stepLearner, 2},
		{"a new one that nobody sees", table(m(1, false), m(8, false)), []consensus.Peer{voter(1)}, stepNone, 0},
		{"caught up", table(m(1, false), m(2, false)), []consensus.Peer{voter(1), learner(voter(2))}, stepPromote, 2},
		{"catching up", table(m(1, false), m(2, false)), []consensus.Peer{voter(1), learner(behind(voter(2)))}, stepNone, 0},
		{"leaving", table(m(1, false), m(2, true)), []consensus.Peer{voter(1), voter(2)}, stepRemove, 2},
		{"leaving learner", table(m(1, false), m(2, true)), []consensus.Peer{voter(1), learner(behind(voter(2)))}, stepRemove, 2},
		{"removed and brought back by an old leader", table(m(1, false)), []consensus.Peer{voter(1), learner(voter(2))}, stepRemove, 2},
		{"not known yet", table(m(1, false)), []consensus.Peer{voter(1), voter(10)}, stepNone, 0},
		{"leaving itself", table(m(1, true), m(2, false)), []consensus.Peer{voter(1), voter(2)}, stepHandOver, 1},
		{"the last voter", table(m(1, true), m(2, false)), []consensus.Peer{voter(1), learner(behind(voter(2)))}, stepNone, 0},
	} {
		kind, id := nextStep(test.table, 1, 1000, test.peers, func(id consensus.NodeID) bool { return id != 8 })
		if kind != test.kind || id != test.id {
			t.Errorf("%s: step %d of node %d, want %d of %d", test.name, kind, id, test.kind, test.id)
		}
	}
}

// TestWaitsNoLongerThanTimeout: without a majority nothing hangs.
func TestWaitsNoLongerThanTimeout(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Timeout = 300 * time.Millisecond })
	leader := c.leader(list...)
	for _, n := range without(list, leader) {
		c.net.setCut(n.addr, true)
	}
	waitFor(t, func() bool { return !leader.ClusterInfo().OK })
	began := time.Now()
	wantError(t, "a write", leader.put("a", "1"), "CLUSTERDOWN")
	_, err := leader.get("a", false)
	wantError(t, "a read", err, "CLUSTERDOWN")
	if _, err := leader.get("a", true); err != nil {
		t.Fatalf("a stale read: %v", err)
	}
	_, err = leader.WatchPosition(context.Background(), 0)
	wantError(t, "a watch", err, "CLUSTERDOWN")
	wantError(t, "a new member", leader.AddNode(t.Context(), testAddr(4), false), "CLUSTERDOWN")
	if d := time.Since(began); d > 5*time.Second {
		t.Fatalf("it took %v", d)
	}
	for _, n := range list {
		c.net.setCut(n.addr, false)
	}
	c.waitServing(list...)
	leader.mustPut("a", "2")
}
