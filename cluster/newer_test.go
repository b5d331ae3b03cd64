package cluster

import "testing"

// TestLedByAStranger: a member that was cut off while another one was added, which
// leads all shards when it is back, finds out who that is.
func TestLedByAStranger(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards = 2 })
	away := c.follower(list...)
	rest := without(list, away)
	c.net.setCut(away.addr, true)
	n := c.start(4, joining)
	c.leader(rest...)
	if err := rest[0].AddNode(t.Context(), n.addr, false); err != nil {
		t.Fatal(err)
	}
	if err := n.Failover(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.mustPut("a", "1")
	c.net.setCut(away.addr, false)
	away.waitMembers(1, 2, 3, 4)
	away.mustPut("a", "2")
	away.mustPutIn(1, "b", "3")
	n.mustGet("a", "2")
	// What it was told is what it would have read.
	waitFor(t, func() bool { at := away.table.Load(); return at != nil && at.Version == n.members().Version })
	away.stopNode(true)
	away = c.start(int(away.identity().NodeID), nil)
	away.mustGet("a", "2")
}
