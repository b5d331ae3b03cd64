package transport

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// testTimeout is for what must happen; a loaded machine is slow.
const testTimeout = 30 * time.Second

// node is a Transport and the Handler that records what it delivers.
type node struct {
	*Transport
	id   consensus.NodeID
	tb   testing.TB
	logs *syncBuffer

	call     func(ctx context.Context, from consensus.NodeID, kind CallKind, shard raftlog.ShardID, payload []byte) ([]byte, error)
	admin    func(method string, payload []byte) ([]byte, error)
	snapshot func(from consensus.NodeID, h *SnapshotHeader) (SnapshotSink, error)
	messages func(from consensus.NodeID, shard raftlog.ShardID, msgs []*pb.Message)

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	received []received
	events   []string // "up 2", "down 2", "refused 2", "removed by 2"
}

type received struct {
	from  consensus.NodeID
	shard raftlog.ShardID
	msg   *pb.Message
}

type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) count(s string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.b.String(), s)
}

func (n *node) change(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.changed)
	n.changed = make(chan struct{})
}

// wait returns when cond, which is called under the lock, is true.
func (n *node) wait(what string, cond func() bool) {
	n.tb.Helper()
	timeout := time.After(testTimeout)
	for {
		n.mu.Lock()
		ok, changed := cond(), n.changed
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			n.tb.Fatalf("node %d: timeout waiting for %s; events %q", n.id, what, n.events)
		}
	}
}

// waitEvent waits until an event has come a number of times.
func (n *node) waitEvent(event string, times int) {
	n.tb.Helper()
	n.wait(event, func() bool {
		got := 0
		for _, e := range n.events {
			if e == event {
				got++
			}
		}
		return got >= times
	})
}

func (n *node) event(format string, args ...any) {
	n.change(func() { n.events = append(n.events, fmt.Sprintf(format, args...)) })
}

func (n *node) Messages(from consensus.NodeID, list []Delivery) {
	for _, d := range list {
		if n.messages != nil {
			n.messages(from, d.Shard, d.Messages)
			continue
		}
		n.change(func() {
			for _, m := range d.Messages {
				n.received = append(n.received, received{from, d.Shard, m})
			}
		})
	}
}

func (n *node) Call(ctx context.Context, from consensus.NodeID, kind CallKind, shard raftlog.ShardID, payload []byte) ([]byte, error) {
	return n.call(ctx, from, kind, shard, payload)
}

func (n *node) Admin(_ context.Context, method string, payload []byte) ([]byte, error) {
	return n.admin(method, payload)
}

func (n *node) Snapshot(from consensus.NodeID, h *SnapshotHeader) (SnapshotSink, error) {
	return n.snapshot(from, h)
}

func (n *node) PeerUp(id consensus.NodeID) { n.event("up %d", id) }

func (n *node) PeerDown(id consensus.NodeID, refused bool) {
	if refused {
		n.event("refused %d", id)
	} else {
		n.event("down %d", id)
	}
}

func (n *node) Removed(by consensus.NodeID) { n.event("removed by %d", by) }

func (n *node) Unknown(id consensus.NodeID) { n.event("unknown %d", id) }

func (n *node) ident() Identity {
	return Identity{ClusterID: "c", Node: n.id, Incarnation: fmt.Sprint("i", n.id)}
}

func (n *node) member() Peer { return Peer{Addr: n.Addr(), Incarnation: fmt.Sprint("i", n.id)} }

// listen starts a node without identity and peers.
func listen(tb testing.TB, id consensus.NodeID, change func(*Options)) *node {
	tb.Helper()
	n := &node{id: id, tb: tb, changed: make(chan struct{}), logs: &syncBuffer{}}
	o := Options{Addr: "127.0.0.1:0", Handler: n, Logger: slog.New(slog.NewTextHandler(n.logs, nil))}
	if change != nil {
		change(&o)
	}
	t, err := Listen(o)
	if err != nil {
		tb.Fatal(err)
	}
	n.Transport = t
	tb.Cleanup(func() { _ = n.Close() })
	return n
}

// meet makes nodes members of one cluster and waits until all are connected.
func meet(tb testing.TB, nodes ...*node) {
	tb.Helper()
	members := map[consensus.NodeID]Peer{}
	for _, n := range nodes {
		members[n.id] = n.member()
	}
	for _, n := range nodes {
		n.SetIdentity(n.ident())
		n.SetPeers(members)
	}
	for _, n := range nodes {
		for _, other := range nodes {
			if other != n {
				n.waitEvent(fmt.Sprintf("up %d", other.id), 1)
			}
		}
	}
}

func pair(tb testing.TB, change func(*Options)) (a, b *node) {
	a, b = listen(tb, 1, change), listen(tb, 2, change)
	meet(tb, a, b)
	return a, b
}

func message(from, to consensus.NodeID, index uint64) *pb.Message {
	return &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(from)), To: new(uint64(to)), Index: new(index)}
}

func appendMsg(from, to consensus.NodeID, index uint64, data []byte) *pb.Message {
	m := message(from, to, index)
	m.Type = pb.MsgApp.Enum()
	m.Entries = []*pb.Entry{{Index: new(index), Term: new(uint64(1)), Data: data}}
	return m
}

// leftovers are the goroutines of this package and of gRPC that still run.
func leftovers() string {
	b := make([]byte, 1<<20)
	b = b[:runtime.Stack(b, true)]
	var left []string
	for _, g := range strings.Split(string(b), "\n\n")[1:] {
		if strings.Contains(g, "cluster/transport.") && !strings.Contains(g, "testing.tRunner") ||
			strings.Contains(g, "google.golang.org/grpc/internal/transport") {
			left = append(left, g)
		}
	}
	return strings.Join(left, "\n\n")
}

// eventually polls what has no event to wait for.
func eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.Now().Add(testTimeout)
	for !cond() {
		if time.Now().After(deadline) {
			tb.Fatalf("timeout waiting for %s", what)
		}
		runtime.Gosched()
		time.Sleep(time.Millisecond)
	}
}
