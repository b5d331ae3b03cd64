package cluster

import (
	"testing"

	"dkv/tests/harness"
	"dkv/tests/harness/wire"
)

// Five nodes whose network comes apart in every way while clients write
// through all of them: the part that has a majority goes on, and in the end
// what clients were told is true.
func TestPartitions(t *testing.T) {
	t.Parallel()
	c := harness.StartCluster(t, harness.ClusterOptions{Nodes: 5, Wire: true, Flags: []string{"-cluster-timeout", "1s"}})
	l := startLoad(c)
	l.mustFlow(t)
	for _, p := range []struct {
		name string
		// cut takes links away and returns nodes that must go on taking writes.
		cut func(leader *harness.Node, followers []*harness.Node) []*harness.Node
	}{
		{"leader cut off", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			c.Isolate(leader)
			return followers
		}},
		{"minority with the leader", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			c.Isolate(leader, followers[0])
			return followers[1:]
		}},
		{"minority without the leader", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			c.Isolate(followers[0], followers[1])
			return []*harness.Node{leader, followers[2], followers[3]}
		}},
		{"one link of the leader", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			c.Cut(leader, followers[0], true)
			return []*harness.Node{leader, followers[1], followers[2], followers[3]}
		}},
		{"leader hears nobody", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			for _, n := range followers {
				c.Cut(n, leader, false)
			}
			return followers
		}},
		{"leader is heard by nobody", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			for _, n := range followers {
				c.Cut(leader, n, false)
			}
			return followers
		}},
		{"two halves that share one node", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			// Only followers[3] hears all; with it either half is a majority.
			for _, a := range []*harness.Node{leader, followers[0]} {
				c.Cut(a, followers[1], true)
				c.Cut(a, followers[2], true)
			}
			return nil
		}},
		{"packets get lost", func(leader *harness.Node, followers []*harness.Node) []*harness.Node {
			for _, n := range followers {
				c.Wire.SetBoth(leader.Host.Number, n.Host.Number, wire.Link{Loss: 0.1})
			}
			return nil
		}},
	} {
		leader := c.MustLeader(t)
		on := p.cut(leader, c.Others(leader))
		if err := c.AwaitWrites(backLimit, on...); err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		l.mustFlow(t)
		c.Heal()
		if err := c.AwaitWrites(backLimit, c.Nodes()...); err != nil {
			t.Fatalf("%s, healed: %v", p.name, err)
		}
	}
	l.end()
	same(t, c)
	l.verify(t, c.Nodes()[0])
}

// A node is added while the leader dies, and one removed while another leader
// dies: each change is carried out in the end, once.
func TestMembershipChangesWhileLeadersDie(t *testing.T) {
	t.Parallel()
	c := local(t, 3, smallLogs...)
	l := startLoad(c, c.Nodes()...)
	l.mustFlow(t)
	fill(t, c.Nodes()[0])
	n := join(t, c)
	leader := c.MustLeader(t)
	ask := func(done chan<- harness.Reply, verb string, n, without *harness.Node) {
		via := c.Others(without, n)[0]
		r, _ := via.Call(replyLimit, "CLUSTER", verb, n.URL())
		done <- r
	}
	done := make(chan harness.Reply, 1)
	go ask(done, "ADDNODE", n, leader)
	leader.Kill()
	t.Logf("ADDNODE while the leader died: %s", <-done)
	restart(t, leader)
	harness.Until(t, backLimit, "the node to be added", func() bool {
		c.Nodes()[0].Call(replyLimit, "CLUSTER", "ADDNODE", n.URL())
		r, err := n.Call(replyLimit, "SET", "k", "v")
		return err == nil && !r.IsError()
	})
	l.mustFlow(t)

	leader = c.MustLeader(t)
	gone := c.Others(leader, n)[0]
	go ask(done, "REMOVENODE", gone, leader)
	leader.Kill()
	t.Logf("REMOVENODE while the leader died: %s", <-done)
	restart(t, leader)
	harness.Until(t, backLimit, "the node to be removed", func() bool {
		leader.Call(replyLimit, "CLUSTER", "REMOVENODE", gone.URL())
		return memberID(t, leader, gone) == 0
	})
	c.Forget(gone)
	l.mustFlow(t)
	l.end()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	l.verify(t, n)
}

// With several shards a node that is removed leads some of them. All of them
// must find another leader, whichever it leaves first.
func TestRemoveNodesThatLeadShards(t *testing.T) {
	t.Parallel()
	c := local(t, 3, "-shards", "4")
	l := startLoad(c)
	l.mustFlow(t)
	for range 4 {
		n := join(t, c)
		via := c.Others(n)
		via[0].Must(t, "CLUSTER", "ADDNODE", n.URL())
		// The one that goes leads everything.
		gone := via[len(via)-1]
		harness.Until(t, backLimit, "a node to lead all shards", func() bool {
			r, err := gone.Call(replyLimit, "CLUSTER", "FAILOVER")
			return err == nil && !r.IsError()
		})
		via[0].Must(t, "CLUSTER", "REMOVENODE", gone.URL())
		awaitUnlisted(t, n, gone)
		c.Forget(gone)
		l.mustFlow(t)
	}
	l.end()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	l.verify(t, c.Nodes()[0])
}
