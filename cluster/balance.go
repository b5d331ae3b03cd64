package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
	"dkv/cluster/shard"
)

// Leaders are spread over the members by each giving one away when it has at least
// two more than another. That difference, and the pauses, keep them from wandering.
const (
	balanceInterval = time.Second
	// minLeadTime is how long a shard is led before it is moved for balance.
	minLeadTime = 5 * time.Second
	// holdTime is how long leaders stay where an operator has put them.
	holdTime = 10 * time.Minute
	// giveUpTime is the pause after a handover because of a disk that did not work.
	giveUpTime = 10 * time.Second
)

// holdBalance says that an operator has moved a leader.
func (n *Node) holdBalance() {
	n.heldUntil.Store(n.o.Clock().Add(holdTime).UnixMilli())
}

// balance gives leadership away: for balance, and when this node cannot write.
func (n *Node) balance(ctx context.Context) {
	b := balancer{n: n}
	for pause(ctx, balanceInterval) == nil {
		b.leaveFullDisk(ctx)
		b.spread(ctx)
	}
}

type balancer struct {
	n *Node
	// led is since when this node has led each shard, zero: it does not.
	led   []time.Time
	retry time.Time
}

// leaveFullDisk hands over what this node leads and cannot write.
func (b *balancer) leaveFullDisk(ctx context.Context) {
	n := b.n
	if time.Now().Before(b.retry) {
		return
	}
	for i := range n.list() {
		s := &n.list()[i]
		if !s.leads() {
			continue
		}
		err := s.Writable()
		if s.RefusedForSpace() && err == nil {
			err = shard.ErrNoSpace
		}
		if err == nil {
			continue
		}
		n.o.Logger.Warn("this node cannot write and hands its leadership over", "shard", s.id, "err", err)
		if err := n.giveLead(ctx, s, 0); err != nil && ctx.Err() == nil {
			b.retry = time.Now().Add(giveUpTime)
			if !errors.Is(err, errNobodyElse) {
				n.o.Logger.Warn("leadership was not handed over", "shard", s.id, "err", err)
			}
		}
	}
}

// spread hands one shard over when this node leads too many.
func (b *balancer) spread(ctx context.Context) {
	n := b.n
	list := n.list()
	if len(list) < 2 || n.o.Clock().UnixMilli() < n.heldUntil.Load() {
		return
	}
	if len(b.led) != len(list) {
		b.led = make([]time.Time, len(list))
	}
	leaders := make([]consensus.NodeID, len(list))
	var mine []raftlog.ShardID
	for i := range list {
		st := list[i].Group().Status()
		leaders[i] = st.Leader
		switch {
		case !st.Leading:
			b.led[i] = time.Time{}
		case b.led[i].IsZero():
			b.led[i] = time.Now()
		case time.Since(b.led[i]) > minLeadTime:
			mine = append(mine, list[i].id)
		}
	}
	self := n.identity().node()
	to, ok := lightest(n.members(), leaders, self, n.isConnected)
	if !ok || len(mine) == 0 {
		return
	}
	// Not always the first: another node may be looking at the same moment.
	id := mine[(int(self)+int(to))%len(mine)]
	if err := n.giveLead(ctx, &list[id], to); err != nil && ctx.Err() == nil {
		n.o.Logger.Debug("a shard's leadership was not moved", "shard", id, "to", to, "err", err)
	}
}

// lightest returns the member that should have one of self's leaderships.
func lightest(t *memberTable, leaders []consensus.NodeID, self consensus.NodeID, connected func(consensus.NodeID) bool) (to consensus.NodeID, ok bool) {
	if slices.Contains(leaders, 0) {
		return 0, false // an election is under way
	}
	count := make(map[consensus.NodeID]int)
	for _, l := range leaders {
		count[l]++
	}
	for _, m := range t.Members {
		id := consensus.NodeID(m.ID)
		if id == self || m.Leaving || !connected(id) {
			continue
		}
		if !ok || count[id] < count[to] {
			to, ok = id, true
		}
	}
	return to, ok && count[self]-count[to] >= 2
}
