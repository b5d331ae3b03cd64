package cluster

import (
	"testing"
	"time"

	"dkv/cluster/consensus"
	"dkv/cluster/raftlog"
)

// TestLogIsKeptForReceivers: until they have it, and no longer than they get on.
func TestLogIsKeptForReceivers(t *testing.T) {
	c := newTestCluster(t)
	n := c.startAll(1, nil)[0]
	s := n.Shard(0)
	start := n.o.Clock()
	type look struct {
		after  time.Duration
		match  raftlog.Index
		commit raftlog.Index
		state  string
		done   bool
	}
	const replicate, probe = "replicate", "probe"
	for name, looks := range map[string][]look{
		"caught up":          {{1, 10, 10, replicate, false}, {2, 10, 10, replicate, true}},
		"behind, gets there": {{1, 10, 90, replicate, false}, {2, 50, 95, replicate, false}, {3, 96, 99, replicate, true}},
		"keeps its distance": {{1, 10, 90, replicate, false}, {2, 80, 190, replicate, false}, {3, 180, 290, replicate, false}},
		"has not switched":   {{1, 10, 10, probe, false}, {2, 10, 10, probe, false}},
		"gets no further":    {{1, 10, 90, replicate, false}, {sentHoldTime, 10, 90, replicate, false}, {sentHoldTime + 1, 10, 90, replicate, true}},
		"gets further late": {{sentHoldTime, 11, 90, replicate, false}, {2 * sentHoldTime, 11, 90, replicate, false},
			{2*sentHoldTime + 1, 11, 90, replicate, true}},
	} {
		t.Run(name, func(t *testing.T) {
			sent := &sentSnapshot{hold: s.KeepFrom(10), match: 10, moved: start}
			defer sent.hold.Release()
			for i, l := range looks {
				got := sent.followed(consensus.Peer{Match: l.match, State: l.state}, l.commit, start.Add(l.after))
				if got != l.done {
					t.Errorf("look %d: done %v, want %v", i, got, l.done)
				}
			}
		})
	}
}

// TestLogIsReleased: of a receiver that has it, that is no member any more, and
// where another node leads.
func TestLogIsReleased(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, nil)
	n := c.leader(list...)
	s := &(*n.shards.Load())[0]
	hold := func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.mu.sent = append(n.mu.sent, &sentSnapshot{
			snapshotWay: snapshotWay{0, 9}, hold: s.KeepFrom(1), match: 1, moved: n.o.Clock(),
		})
	}
	hold()
	waitFor(t, func() bool { return !n.remembersSent(0) }) // no member
	to := c.follower(list...)
	if err := n.TransferLeader(t.Context(), 0, to.addr); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return n.Metrics().Shards[0].Status.Leader == consensus.NodeID(to.identity().NodeID) })
	hold()
	waitFor(t, func() bool { return !n.remembersSent(0) })
}
