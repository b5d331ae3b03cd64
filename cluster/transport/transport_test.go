package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
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

func (n *node) Messages(from consensus.NodeID, shard raftlog.ShardID, msgs []*pb.Message) {
	if n.messages != nil {
		n.messages(from, shard, msgs)
		return
	}
	n.change(func() {
		for _, m := range msgs {
			n.received = append(n.received, received{from, shard, m})
		}
	})
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

func TestMessagesInOrder(t *testing.T) {
	a, b := pair(t, nil)
	const count = 2000
	for i := range uint64(count) {
		shard := raftlog.ShardID(i % 3)
		a.Send(shard, []*pb.Message{appendMsg(1, 2, i, make([]byte, i*3))})
	}
	b.wait("all messages", func() bool { return len(b.received) == count })
	for i, r := range b.received {
		if r.from != 1 || r.msg.GetIndex() != uint64(i) || r.shard != raftlog.ShardID(i%3) ||
			len(r.msg.GetEntries()[0].GetData()) != i*3 {
			t.Fatalf("message %d is %v of shard %d", i, r.msg.GetIndex(), r.shard)
		}
	}
	m := a.Metrics().Peers[0]
	if m.ID != 2 || !m.Connected || m.DroppedMessages != 0 || m.QueuedBytes != 0 {
		t.Errorf("metrics %+v", m)
	}
	eventually(t, "counters", func() bool {
		return a.Metrics().Peers[0].SentMessages == count && b.Metrics().Peers[0].ReceivedMessages == count
	})
}

func TestLargeMessages(t *testing.T) {
	a, b := pair(t, func(o *Options) { o.QueueBytes = 1 << 30 })
	sizes := []int{0, frameTargetBytes - 200, frameTargetBytes - 50, frameTargetBytes, frameTargetBytes + 1, 5*frameTargetBytes + 7, 40 << 20, 10}
	for i, size := range sizes {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(j * (i + 1) >> 3)
		}
		a.Send(7, []*pb.Message{appendMsg(1, 2, uint64(i), data), message(1, 2, uint64(i))})
	}
	b.wait("all messages", func() bool { return len(b.received) == 2*len(sizes) })
	i := 0
	for _, r := range b.received {
		if r.msg.GetType() != pb.MsgApp {
			continue
		}
		data := r.msg.GetEntries()[0].GetData()
		if r.msg.GetIndex() != uint64(i) || len(data) != sizes[i] {
			t.Fatalf("message %d: index %d, %d bytes", i, r.msg.GetIndex(), len(data))
		}
		for j := range data {
			if data[j] != byte(j*(i+1)>>3) {
				t.Fatalf("message %d differs at %d", i, j)
			}
		}
		i++
	}
	if n := a.Metrics().Peers[0].QueuedBytes; n != 0 {
		t.Errorf("%d bytes are queued", n)
	}
}

// What is no MsgApp neither waits behind bulk nor is dropped because of it.
func TestUrgentOvertakesBulk(t *testing.T) {
	o := newOutbox(8<<20, 1<<20)
	bulk := func(i int) bool {
		m := appendMsg(1, 2, uint64(i), make([]byte, 1<<20))
		return o.push(parcel{record: record{kind: kindMessage, total: uint64(proto.Size(m))}, msg: m}, false)
	}
	taken := 0
	for bulk(taken) {
		taken++
	}
	if taken != 7 {
		t.Errorf("%d MiB were taken, not 7", taken)
	}
	m := message(1, 2, 99)
	if !o.push(parcel{record: record{kind: kindMessage, total: uint64(proto.Size(m))}, msg: m}, true) {
		t.Fatal("a heartbeat was refused")
	}
	f, _ := o.next(nil)
	var asm assembler
	var got []uint64
	add := func(r record, _ bool) error {
		m := new(pb.Message)
		if err := proto.Unmarshal(r.body, m); err != nil {
			return err
		}
		got = append(got, m.GetIndex())
		return nil
	}
	if err := asm.frame(f.bytes(), add); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != 99 || got[1] != 0 {
		t.Errorf("the first frame has %v", got)
	}
}

// A record too large for a frame leaves room for urgent ones between its parts.
func TestUrgentBetweenParts(t *testing.T) {
	o := newOutbox(64<<20, 1<<20)
	body := make([]byte, 10*frameTargetBytes)
	o.push(parcel{record: record{kind: kindReply, id: 1, total: uint64(len(body)), body: body}}, false)
	var asm assembler
	var order []uint64
	for i := uint64(2); ; i++ {
		o.push(parcel{record: record{kind: kindReply, id: i}}, true)
		f, _ := o.next(nil)
		done := false
		err := asm.frame(f.bytes(), func(r record, _ bool) error {
			order = append(order, r.id)
			done = done || r.id == 1
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
	}
	if len(order) < 10 || order[len(order)-1] != 1 {
		t.Errorf("order %v", order)
	}
	if n, bytes := o.waiting(); n != 0 || bytes != 0 {
		t.Errorf("%d parcels, %d bytes left", n, bytes)
	}
}

func TestSendWithoutConnection(t *testing.T) {
	a := listen(t, 1, nil)
	a.SetIdentity(a.ident())
	a.SetPeers(map[consensus.NodeID]Peer{2: {Addr: unusedAddr(t)}})
	a.waitEvent("refused 2", 1)
	a.Send(0, []*pb.Message{message(1, 2, 1), message(1, 3, 1)})
	m := a.Metrics()
	if m.Peers[0].DroppedMessages != 1 || m.Unroutable != 1 {
		t.Errorf("metrics %+v", m)
	}
	if _, err := a.Transport.Call(context.Background(), 2, 1, 0, nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("call: %v", err)
	}
	if _, err := a.Transport.Call(context.Background(), 3, 1, 0, nil); !errors.Is(err, ErrNotSent) {
		t.Errorf("call to a stranger: %v", err)
	}
}

// unusedAddr is where nobody listens, most likely.
func unusedAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestReconnect(t *testing.T) {
	a, b := pair(t, nil)
	addr := b.Addr()
	_ = b.Close()
	a.waitEvent("down 2", 1)
	a.waitEvent("refused 2", 1)
	b = listen(t, 2, func(o *Options) { o.Addr = addr })
	b.SetIdentity(b.ident())
	b.SetPeers(map[consensus.NodeID]Peer{1: a.member()})
	a.waitEvent("up 2", 2)
	a.Send(1, []*pb.Message{message(1, 2, 42)})
	b.wait("a message", func() bool { return len(b.received) == 1 })
	want := []string{"up 2", "down 2", "refused 2", "up 2"}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Between them the new b may have refused a, before it had its identity.
	events := slices.DeleteFunc(slices.Clone(a.events[3:len(a.events)-1]), func(e string) bool { return e == "down 2" })
	if !slices.Equal(a.events[:3], want[:3]) || len(events) != 0 {
		t.Errorf("events %q", a.events)
	}
}

func TestRefusedIsReportedOnce(t *testing.T) {
	dials := make(chan struct{}, 1000)
	a := listen(t, 1, func(o *Options) {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			dials <- struct{}{}
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	})
	a.SetIdentity(a.ident())
	a.SetPeers(map[consensus.NodeID]Peer{2: {Addr: unusedAddr(t)}})
	for range 4 {
		<-dials
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Equal(a.events, []string{"refused 2"}) {
		t.Errorf("events %q", a.events)
	}
	if n := a.logs.count("no connection"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	a, b := pair(t, nil)
	c := listen(t, 3, nil)
	meet(t, a, b, c)
	b.call = func(ctx context.Context, _ consensus.NodeID, _ CallKind, _ raftlog.ShardID, _ []byte) ([]byte, error) {
		b.event("called")
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ended := make(chan error, 1)
	go func() {
		_, err := a.Transport.Call(context.Background(), 2, 1, 0, nil)
		ended <- err
	}()
	b.waitEvent("called", 1)
	for _, n := range []*node{b, a, c} {
		if err := errors.Join(n.Close(), n.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; !errors.Is(err, ErrBroken) {
		t.Errorf("call: %v", err)
	}
	eventually(t, "the end of all goroutines", func() bool { return leftovers() == "" })
}
