package cluster

import (
	"context"
	"runtime"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
)

// newWorkers makes the workers that drive the shards' groups: one for two processors.
// Groups of one worker share its rounds, and so the cost of frames and syncs; those
// of different workers write, apply and send at the same time.
func newWorkers() []*consensus.Worker {
	workers := make([]*consensus.Worker, max(runtime.GOMAXPROCS(0)/2, 1))
	for i := range workers {
		workers[i] = consensus.NewWorker()
	}
	return workers
}

// Barriers is Barrier for a set of shards, a bit each, which are asked together. It
// returns those that can be read now: a read of another one will find out why not.
func (n *Node) Barriers(ctx context.Context, shards uint64) (passed uint64) {
	ctx, cancel := context.WithTimeout(ctx, n.o.Timeout)
	defer cancel()
	var ids []raftlog.ShardID
	var groups []*consensus.Group
	for id := raftlog.ShardID(0); shards>>id != 0; id++ {
		if shards>>id&1 == 0 {
			continue
		}
		if s, err := n.serving(id); err == nil {
			ids, groups = append(ids, id), append(groups, s.Group())
		}
	}
	for i, err := range consensus.ReadBarriers(ctx, groups) {
		if err == nil {
			passed |= 1 << ids[i]
		}
	}
	return passed
}
