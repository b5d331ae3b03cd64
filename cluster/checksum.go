package cluster

import (
	"context"
	"fmt"

	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// Checksum returns the digest of a shard of this node, at an index, which is waited for
// as long as a command waits for a leader; 0: as it is now. Errors: shard.ErrPassed, shard.ErrNotReached,
// shard.ErrManyMarks, ctx's, the reply to requests while there is no shard.
func (n *Node) Checksum(ctx context.Context, id raftlog.ShardID, at raftlog.Index) (shard.Checksum, error) {
	s, err := n.serving(id)
	if err != nil {
		return shard.Checksum{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	wait, stop := context.WithTimeout(ctx, n.o.Timeout)
	defer stop()
	c, err := s.Checksum(ctx, wait, n.identity().ClusterID, at)
	if err != nil {
		return c, fmt.Errorf("cluster: checksum of shard %d: %w", id, err)
	}
	return c, nil
}
