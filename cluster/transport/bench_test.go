package transport

import (
	"context"
	"sync/atomic"
	"testing"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// BenchmarkPingPong is one raft round trip: a MsgApp of one entry of 128 bytes
// there, a MsgAppResp back.
func BenchmarkPingPong(b *testing.B) {
	n1, n2 := listen(b, 1, nil), listen(b, 2, nil)
	back := make(chan struct{}, 1)
	n2.messages = func(_ consensus.NodeID, shard raftlog.ShardID, _ []*pb.Message) {
		n2.Send(shard, []*pb.Message{message(2, 1, 1)})
	}
	n1.messages = func(consensus.NodeID, raftlog.ShardID, []*pb.Message) { back <- struct{}{} }
	meet(b, n1, n2)
	data := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		n1.Send(0, []*pb.Message{appendMsg(1, 2, 1, data)})
		<-back
	}
}

// BenchmarkThroughput sends MsgApps of 16 entries of 256 bytes in bursts of 64.
func BenchmarkThroughput(b *testing.B) {
	n1, n2 := listen(b, 1, nil), listen(b, 2, nil)
	var got atomic.Int64
	all := make(chan struct{}, 1)
	const burst = 64
	n2.messages = func(_ consensus.NodeID, _ raftlog.ShardID, msgs []*pb.Message) {
		if got.Add(int64(len(msgs)))%burst == 0 {
			all <- struct{}{}
		}
	}
	meet(b, n1, n2)
	m := appendMsg(1, 2, 1, make([]byte, 256))
	for range 15 {
		m.Entries = append(m.Entries, m.Entries[0])
	}
	msgs := []*pb.Message{m}
	b.SetBytes(burst * 16 * 256)
	b.ReportAllocs()
	for b.Loop() {
		for range burst {
			n1.Send(0, msgs)
		}
		<-all
	}
}

func benchCall(b *testing.B, size int, callers int) {
	n1, n2 := listen(b, 1, nil), listen(b, 2, nil)
	n2.call = func(_ context.Context, _ consensus.NodeID, _ CallKind, _ raftlog.ShardID, payload []byte) ([]byte, error) {
		return payload, nil
	}
	meet(b, n1, n2)
	payload := make([]byte, size)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.SetParallelism(callers)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if _, err := n1.Transport.Call(context.Background(), 2, 1, 0, payload); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkCall(b *testing.B) {
	b.Run("callers=1", func(b *testing.B) { benchCall(b, 100, 1) })
	b.Run("callers=50", func(b *testing.B) { benchCall(b, 100, 25) })
	b.Run("1MiB", func(b *testing.B) { benchCall(b, 1<<20, 2) })
}
