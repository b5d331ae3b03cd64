package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// testNet connects nodes that know each other by made-up addresses, and cuts them
// off from each other.
type testNet struct {
	mu    sync.Mutex
	real  map[string]string // by made-up address
	cut   map[string]bool
	conns map[*testConn]bool
}

type testConn struct {
	net.Conn
	net      *testNet
	from, to string
}

func (c *testConn) Close() error {
	c.net.mu.Lock()
	delete(c.net.conns, c)
	c.net.mu.Unlock()
	return c.Conn.Close()
}

func (tn *testNet) dial(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, to string) (net.Conn, error) {
		tn.mu.Lock()
		addr, down := tn.real[to], tn.cut[from] || tn.cut[to]
		tn.mu.Unlock()
		if addr == "" || down {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		tc := &testConn{c, tn, from, to}
		tn.mu.Lock()
		tn.conns[tc] = true
		tn.mu.Unlock()
		return tc, nil
	}
}

// setCut cuts a node off, or connects it again.
func (tn *testNet) setCut(addr string, cut bool) {
	tn.mu.Lock()
	tn.cut[addr] = cut
	var broken []*testConn
	for c := range tn.conns {
		if cut && (c.from == addr || c.to == addr) {
			broken = append(broken, c)
		}
	}
	tn.mu.Unlock()
	for _, c := range broken {
		c.Close()
	}
}

// testCluster is some nodes in one process.
type testCluster struct {
	t     *testing.T
	net   *testNet
	nodes map[string]*testNode
	log   slog.Handler
}

type testNode struct {
	*Node
	c    *testCluster
	addr string
	fs   vfs.FS
}

func newTestCluster(t *testing.T) *testCluster {
	t.Helper()
	c := &testCluster{t: t, nodes: make(map[string]*testNode), net: &testNet{
		real: make(map[string]string), cut: make(map[string]bool), conns: make(map[*testConn]bool),
	}, log: slog.DiscardHandler}
	if testing.Verbose() {
		c.log = slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo})
	}
	t.Cleanup(c.closeAll)
	return c
}

// testWriter writes the nodes' logs into the test's.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func testAddr(i int) string { return fmt.Sprintf("node%d:7000", i) }

func testAddrs(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = testAddr(i + 1)
	}
	return list
}

// options are those of node i, whose folder stays from one start to the next.
func (c *testCluster) options(i int, change func(*Options)) Options {
	addr := testAddr(i)
	o := Options{
		Dir: "data", PeerAddr: addr, PeerListen: "127.0.0.1:0",
		TickInterval: 10 * time.Millisecond, ElectionTicks: 30,
		BlockCacheBytes: 4 << 20, MemtableBytes: 4 << 20, HotCacheBytes: 1 << 20, HotWriteBytes: 1 << 20,
		LogSegmentBytes: 256 << 10, LogRetainBytes: -1, MaxLogBytes: 1 << 20, ReserveDiskBytes: -1,
		Timeout: 10 * time.Second,
		Logger:  slog.New(c.log).With("at", addr),
		dial:    c.net.dial(addr),
	}
	if n := c.nodes[addr]; n != nil {
		o.FS = n.fs
	} else {
		o.FS = vfs.NewMem()
	}
	if change != nil {
		change(&o)
	}
	return o
}

// tryStart starts node i.
func (c *testCluster) tryStart(i int, change func(*Options)) (*testNode, error) {
	o := c.options(i, change)
	n, err := Open(o)
	if err != nil {
		return nil, err
	}
	addr := testAddr(i)
	if n.transport != nil {
		c.net.mu.Lock()
		c.net.real[addr] = n.transport.Addr()
		c.net.mu.Unlock()
	}
	tn := &testNode{Node: n, c: c, addr: addr, fs: o.FS}
	c.nodes[addr] = tn
	n.SetExecutor(tn.execute)
	return tn, nil
}

func (c *testCluster) start(i int, change func(*Options)) *testNode {
	c.t.Helper()
	n, err := c.tryStart(i, change)
	if err != nil {
		c.t.Fatalf("start node %d: %v", i, err)
	}
	return n
}

// startAll starts a cluster of n nodes and waits until it serves.
func (c *testCluster) startAll(n int, change func(*Options)) []*testNode {
	c.t.Helper()
	list := make([]*testNode, n)
	for i := range list {
		list[i] = c.start(i+1, withPeers(n, change))
	}
	c.waitServing(list...)
	return list
}

func withPeers(n int, change func(*Options)) func(*Options) {
	return func(o *Options) {
		o.Peers = testAddrs(n)
		if change != nil {
			change(o)
		}
	}
}

func joining(o *Options) { o.Join = true }

func (c *testCluster) waitServing(list ...*testNode) {
	c.t.Helper()
	for _, n := range list {
		waitFor(c.t, func() bool {
			select {
			case err := <-n.Fatal():
				c.t.Fatalf("%s: %v", n.addr, err)
			default:
			}
			return n.ClusterInfo().OK
		})
	}
}

func (c *testCluster) closeAll() {
	for _, n := range c.nodes {
		if err := n.Close(); err != nil {
			c.t.Errorf("close %s: %v", n.addr, err)
		}
	}
}

// stopNode closes a node; kill first cuts it off, so that it hands nothing over.
func (n *testNode) stopNode(kill bool) {
	n.c.t.Helper()
	if kill {
		n.c.net.setCut(n.addr, true)
	}
	if err := n.Close(); err != nil {
		n.c.t.Fatalf("close %s: %v", n.addr, err)
	}
	n.c.net.mu.Lock()
	delete(n.c.net.real, n.addr)
	n.c.net.mu.Unlock()
	n.c.net.setCut(n.addr, false)
}

// execute is what the server gives to SetExecutor: the payload is "key=value".
func (n *testNode) execute(_ context.Context, id raftlog.ShardID, payload []byte) ([]byte, error) {
	task := putTask(string(payload))
	n.Shard(id).Submit(task)
	if err := task.Wait(); err != nil {
		return nil, err
	}
	return []byte("done by " + n.addr), nil
}

func putTask(pair string) *shard.Task {
	key, value, _ := strings.Cut(pair, "=")
	return &shard.Task{Eval: func(tx *keyspace.Tx) { putString(tx, key, value) }}
}

// put writes through this node, wherever the leader is.
func (n *testNode) put(key, value string) error { return n.putIn(0, key, value) }

func (n *testNode) putIn(id raftlog.ShardID, key, value string) error {
	pair := key + "=" + value
	return n.Run(n.c.t.Context(), id, &Request{
		Task:   putTask(pair),
		Encode: func() []byte { return []byte(pair) },
		Decode: func([]byte) error { return nil },
	})
}

func (n *testNode) mustPut(key, value string) {
	n.c.t.Helper()
	n.mustPutIn(0, key, value)
}

// mustPutIn repeats what ended as uncertain: writing the same again does no harm.
func (n *testNode) mustPutIn(id raftlog.ShardID, key, value string) {
	n.c.t.Helper()
	for range 20 {
		err := n.putIn(id, key, value)
		if err == nil {
			return
		}
		if !errors.Is(err, shard.ErrUncertain) {
			n.c.t.Fatalf("put %s at %s: %v", key, n.addr, err)
		}
	}
	n.c.t.Fatalf("put %s at %s: uncertain again and again", key, n.addr)
}

// get reads at this node, with a read barrier unless stale.
func (n *testNode) get(key string, stale bool) (string, error) {
	var tx keyspace.Tx
	if err := n.Read(n.c.t.Context(), 0, &tx, ReadOptions{Stale: stale}); err != nil {
		return "", err
	}
	defer tx.Close()
	e, err := tx.Read(0, []byte(key))
	return string(e.Body), err
}

func (n *testNode) mustGet(key, want string) {
	n.c.t.Helper()
	got, err := n.get(key, false)
	if err != nil || got != want {
		n.c.t.Fatalf("%s at %s is %q, want %q (%v)", key, n.addr, got, want, err)
	}
}

// leader waits for a leader of shard 0 among list, and returns it.
func (c *testCluster) leader(list ...*testNode) *testNode {
	c.t.Helper()
	var leader *testNode
	waitFor(c.t, func() bool {
		for _, n := range list {
			if s := n.Shard(0); s != nil && s.Group().Status().Leading {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// follower returns one of list that does not lead shard 0.
func (c *testCluster) follower(list ...*testNode) *testNode {
	leader := c.leader(list...)
	for _, n := range list {
		if n != leader {
			return n
		}
	}
	return nil
}

// waitMembers waits until a node sees exactly these voters in all shards.
func (n *testNode) waitMembers(want ...consensus.NodeID) {
	n.c.t.Helper()
	waitFor(n.c.t, func() bool {
		members := n.Members()
		if len(members) != len(want) {
			return false
		}
		for i, m := range members {
			if m.ID != want[i] || m.State != "voter" {
				return false
			}
		}
		return true
	})
}

// wantFatal waits for the error that ends a node.
func (n *testNode) wantFatal(want error) {
	n.c.t.Helper()
	select {
	case err := <-n.Fatal():
		if !errors.Is(err, want) {
			n.c.t.Fatalf("%s ended with %v, want %v", n.addr, err, want)
		}
	case <-time.After(30 * time.Second):
		n.c.t.Fatalf("%s goes on, want it to end with: %v", n.addr, want)
	}
}
