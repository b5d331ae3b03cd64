package transport

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// stuckConn stops writing, as if the other end had stopped to read.
type stuckConn struct {
	net.Conn
	stuck  *atomic.Bool
	closed chan struct{}
	once   *sync.Once
}

func (c stuckConn) Write(b []byte) (int, error) {
	if c.stuck.Load() {
		<-c.closed
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (c stuckConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A peer that does not take anything fills its own queue and nothing else.
func TestSlowPeer(t *testing.T) {
	var stuck atomic.Bool
	var slow atomic.Pointer[string]
	const queueBytes = 4 << 20
	a := listen(t, 1, func(o *Options) {
		o.QueueBytes = queueBytes
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err == nil && addr == *slow.Load() {
				c = stuckConn{c, &stuck, make(chan struct{}), new(sync.Once)}
			}
			return c, err
		}
	})
	b, c := listen(t, 2, nil), listen(t, 3, nil)
	slow.Store(new(b.Addr()))
	c.call = func(context.Context, consensus.NodeID, CallKind, raftlog.ShardID, []byte) ([]byte, error) {
		return []byte("fast"), nil
	}
	meet(t, a, b, c)
	stuck.Store(true)
	data := make([]byte, 64<<10)
	const count = 400
	for i := range uint64(count) {
		a.Send(0, []*pb.Message{appendMsg(1, 2, i, data), message(1, 2, i)})
		a.Send(0, []*pb.Message{message(1, 3, i)})
	}
	c.wait("the messages to c", func() bool { return len(c.received) == count })
	if got, err := a.Transport.Call(context.Background(), 3, 1, 0, nil); err != nil || string(got) != "fast" {
		t.Errorf("call to c: %q, %v", got, err)
	}
	m := a.Metrics().Peers[0]
	// Bulk was dropped, heartbeats were not.
	if m.DroppedMessages == 0 || m.DroppedBytes < m.DroppedMessages*uint64(len(data)) {
		t.Errorf("dropped: %+v", m)
	}
	if m.QueuedBytes > queueBytes+queueBytes/8 {
		t.Errorf("%d bytes are queued", m.QueuedBytes)
	}
	if m := a.Metrics().Peers[1]; m.DroppedMessages != 0 {
		t.Errorf("to c: %+v", m)
	}
}
