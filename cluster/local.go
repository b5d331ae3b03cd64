package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dkv/cluster/raftlog"
	"dkv/cluster/raftsnap"
	"dkv/cluster/replica"
	"dkv/cluster/shard"
	"dkv/engine/keyspace"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// applyRetryPause is how long a replica that cannot write waits.
const applyRetryPause = 100 * time.Millisecond

var _ replica.Local = (*localShard)(nil)

// localShard is a shard as a link sees it.
type localShard struct {
	n *Node
	s *openShard
}

// Source implements replica.Local.
func (l *localShard) Source() (shard.SourcePosition, bool) { return l.s.Source() }

// Apply implements replica.Local. A disk that cannot be written is waited for.
func (l *localShard) Apply(ctx context.Context, b *shard.SourceBatch) error {
	return l.submit(ctx, &shard.Task{Source: b})
}

func (l *localShard) submit(ctx context.Context, t *shard.Task) error {
	for said := false; ; {
		l.s.Submit(t)
		err := t.Wait()
		if !errors.Is(err, shard.ErrNoSpace) && !errors.Is(err, shard.ErrNotWritable) && !errors.Is(err, shard.ErrNotLeader) {
			return err
		}
		if !said {
			l.n.o.Logger.Warn("a replica cannot write what its source sends", "shard", l.s.id, "err", err)
			said = true
		}
		if err := pause(ctx, applyRetryPause); err != nil {
			return err
		}
	}
}

// Evaluate implements replica.Local. A disk that cannot be written is waited for.
func (l *localShard) Evaluate(ctx context.Context, t *shard.Task) error { return l.submit(ctx, t) }

// readState runs f over one state of a shard, in which all that this node has written
// is there: nobody else writes what a replica has.
func (n *Node) readState(ctx context.Context, id raftlog.ShardID, f func(tx *keyspace.Tx) error) error {
	s, err := n.serving(id)
	if err != nil {
		return err
	}
	var tx keyspace.Tx
	if err := s.BeginRead(ctx, &tx, ReadOptions{Stale: true, Snapshot: true}); err != nil {
		return err
	}
	return errors.Join(f(&tx), tx.Close())
}

// Durable implements replica.Local.
func (l *localShard) Durable() bool { return l.n.LogSynced() }

// BeginCopy implements replica.Local.
func (l *localShard) BeginCopy(id uint64, at shard.SourcePosition, estimatedBytes uint64) (*raftsnap.Receiver, error) {
	m := &pb.Message{Type: pb.MsgSnap.Enum(), Snapshot: l.s.Replacement(at)}
	meta, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("cluster: encode a copy's announcement: %w", err)
	}
	return l.s.store.Receive(id, meta, estimatedBytes)
}

// EndCopy implements replica.Local.
func (l *localShard) EndCopy(ctx context.Context, r *raftsnap.Receiver) error {
	m, err := decodeSnapshot(r.Meta())
	if err != nil {
		return err
	}
	st := l.s.store
	st.installing.Lock()
	defer st.installing.Unlock()
	st.setComplete(r)
	err = l.s.Replace(ctx, m.GetSnapshot())
	if left := st.setComplete(nil); left != nil {
		err = errors.Join(err, left.Discard())
	}
	return err
}
