package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func TestMessagesInOrder(t *testing.T) {
	a, b := pair(t, nil)
	const count = 2000
	for i := range uint64(count) {
		shard := raftlog.ShardID(i % 3)
		a.Send(shard, []*pb.Message{appendMsg(1, 2, i, make([]byte, i*3))})
	}
	b.wait("all messages", func() bool { return len(b.received) == count })
	next := []uint64{0, 1, 2} // of each shard: they are delivered shard by shard
	for i, r := range b.received {
		index := r.msg.GetIndex()
		if r.from != 1 || index != next[r.shard] || len(r.msg.GetEntries()[0].GetData()) != int(index)*3 {
			t.Fatalf("message %d is %v of shard %d, want %d", i, index, r.shard, next[r.shard])
		}
		next[r.shard] += 3
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
	sizes := []int{0, frameTargetBytes - 200, frameTargetBytes - 50, frameTargetBytes, frameTargetBytes + 1, 5*frameTargetBytes + 7, 20 << 20, 10}
	pattern := func(i int) []byte {
		// Of a length that no part is a multiple of, so that parts that change places show.
		return bytes.Repeat(fmt.Appendf(nil, "%01009d", i), sizes[i]/1009+1)[:sizes[i]]
	}
	for i := range sizes {
		data := pattern(i)
		a.Send(7, []*pb.Message{appendMsg(1, 2, uint64(i), data), message(1, 2, uint64(i))})
	}
	b.wait("all messages", func() bool { return len(b.received) == 2*len(sizes) })
	i := 0
	for _, r := range b.received {
		if r.msg.GetType() != pb.MsgApp {
			continue
		}
		data := r.msg.GetEntries()[0].GetData()
		if r.msg.GetIndex() != uint64(i) || !bytes.Equal(data, pattern(i)) {
			t.Fatalf("message %d: index %d, %d bytes", i, r.msg.GetIndex(), len(data))
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
	// Before they met, each may have refused the other, which it did not know yet.
	a.change(func() { a.events = nil })
	addr := b.Addr()
	_ = b.Close()
	a.waitEvent("down 2", 1)
	a.waitEvent("refused 2", 1)
	b = listen(t, 2, func(o *Options) { o.Addr = addr })
	b.SetIdentity(b.ident())
	b.SetPeers(map[consensus.NodeID]Peer{1: a.member()})
	a.waitEvent("up 2", 1)
	a.Send(1, []*pb.Message{message(1, 2, 42)})
	b.wait("a message", func() bool { return len(b.received) == 1 })
	a.mu.Lock()
	defer a.mu.Unlock()
	// Between them the new b may have refused a, before it had its identity.
	events := slices.Clone(a.events)
	if len(events) > 2 {
		events = append(events[:2], slices.DeleteFunc(events[2:], func(e string) bool { return e == "down 2" })...)
	}
	if want := []string{"down 2", "refused 2", "up 2"}; !slices.Equal(events, want) {
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
