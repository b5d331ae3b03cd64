package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// listNodes returns what CLUSTER LISTNODES says on a node.
func listNodes(t *testing.T, n *harness.Node) string {
	t.Helper()
	return string(n.Must(t, "CLUSTER", "LISTNODES").Raw)
}

// memberID returns the id that CLUSTER LISTNODES on one node has for another,
// 0 when it is not listed.
func memberID(t *testing.T, at, n *harness.Node) int64 {
	t.Helper()
	for _, m := range at.Must(t, "CLUSTER", "LISTNODES").Elems {
		fields := make(map[string]harness.Reply)
		for i := 0; i+1 < len(m.Elems); i += 2 {
			fields[string(m.Elems[i].Str)] = m.Elems[i+1]
		}
		if string(fields["peer-addr"].Str) == n.Peer {
			id, _ := fields["id"].Int()
			return id
		}
	}
	return 0
}

// awaitUnlisted waits until a node has heard that another one was removed.
func awaitUnlisted(t *testing.T, at, gone *harness.Node) {
	t.Helper()
	harness.Until(t, backLimit, "the removed node to be off the list", func() bool { return memberID(t, at, gone) == 0 })
}

func join(t *testing.T, c *harness.Cluster, flags ...string) *harness.Node {
	t.Helper()
	n, err := c.Join(flags...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Nodes are added and removed, the leader among them, while clients write.
func TestGrowAndShrink(t *testing.T) {
	c := local(t, 3, smallLogs...)
	l := startLoad(c)
	l.mustFlow(t)
	first := c.Nodes()
	for range 2 {
		n := join(t, c)
		first[0].Must(t, "CLUSTER", "ADDNODE", n.URL())
		if err := c.AwaitWrites(backLimit, n); err != nil {
			t.Fatal(err)
		}
	}
	l.mustFlow(t)
	if n := len(c.Nodes()); n != 5 {
		t.Fatalf("%d nodes", n)
	}
	// All of the first three go; each time the leader if it is one of them.
	for range first {
		leader := c.MustLeader(t)
		gone := first[0]
		for _, n := range first {
			if n == leader {
				gone = n
			}
		}
		c.Others(gone)[0].Must(t, "CLUSTER", "REMOVENODE", gone.URL())
		c.Forget(gone)
		for i, n := range first {
			if n == gone {
				first = append(first[:i:i], first[i+1:]...)
				break
			}
		}
		l.mustFlow(t)
	}
	l.end()
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	l.verify(t, c.Nodes()[0])
}

// The leader is asked to remove itself.
func TestRemoveTheLeader(t *testing.T) {
	c := local(t, 3)
	leader := c.MustLeader(t)
	l := startLoad(c, c.Others(leader)...)
	l.mustFlow(t)
	leader.Must(t, "CLUSTER", "REMOVENODE", leader.URL())
	l.mustFlow(t)
	others := c.Others(leader)
	awaitUnlisted(t, others[0], leader)
	// It must not serve what it has any more, nor come back with its folder.
	if r, err := leader.Call(replyLimit, "DBSIZE"); err == nil && !r.IsError() {
		t.Errorf("the removed node answers %s", r)
	}
	leader.Kill()
	if code, output := startAgain(leader); code == 0 {
		if r, err := leader.Call(replyLimit, "DBSIZE"); err == nil && !r.IsError() {
			t.Errorf("the removed node was started again and answers %s\n%s", r, output)
		}
	}
	l.end()
	l.verify(t, others[0])
}

// startAgain starts a node that may refuse to start; code is 0 when it runs.
func startAgain(n *harness.Node) (code int, output string) {
	if err := n.Start(); err != nil {
		return 1, err.Error()
	}
	return 0, ""
}

// A node that never came up, or died before it had caught up, can be removed
// again, and hinders nobody.
func TestRemoveANodeThatNeverCameUp(t *testing.T) {
	c := local(t, 3)
	at := c.Nodes()[0]
	if r, err := at.Call(replyLimit, "CLUSTER", "ADDNODE", "http://127.0.0.1:1"); err != nil || !r.IsError() {
		t.Errorf("ADDNODE of an address where nobody is: %s, %v", r, err)
	}
	c.MustAwaitWrites(t, backLimit)

	n := join(t, c)
	at.Must(t, "CLUSTER", "ADDNODE", n.URL(), "ASYNC")
	n.Kill()
	c.Forget(n)
	c.MustAwaitWrites(t, backLimit)
	harness.Until(t, backLimit, "the dead node to be removed", func() bool {
		at.Call(replyLimit, "CLUSTER", "REMOVENODE", n.URL())
		return memberID(t, at, n) == 0
	})
	// One node may die as before: nobody counts the one that never was.
	leader := c.MustLeader(t)
	leader.Kill()
	if err := c.AwaitWrites(backLimit, c.Others(leader)...); err != nil {
		t.Fatal(err)
	}
	restart(t, leader)
	c.MustAwaitWrites(t, backLimit)
}

// A node that lost its folder is not who it was: its votes and what it had
// acknowledged are gone, so it must not slip back in under its old id. Removed
// and added again at the same address it gets an id that was never used.
func TestNodeIDsAreNotUsedAgain(t *testing.T) {
	c := local(t, 3)
	victim := c.Others(c.MustLeader(t))[0]
	at := c.Others(victim)[0]
	at.Must(t, "SET", "k", "v")
	var highest int64
	for _, n := range c.Nodes() {
		id := memberID(t, at, n)
		if id == 0 {
			t.Fatalf("node %d is not listed:\n%s", n.Number, listNodes(t, at))
		}
		highest = max(highest, id)
	}
	victim.Kill()
	if err := os.RemoveAll(victim.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(victim.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// With the flags that founded the cluster: it must refuse, or stay outside.
	if err := victim.Start(); err == nil {
		if r, err := victim.Call(2*time.Second, "SET", "k", "w"); err == nil && string(r.Str) == "OK" {
			t.Error("a node that lost its folder is a member again")
		}
	}
	victim.Kill()
	c.Forget(victim)
	at.Must(t, "CLUSTER", "REMOVENODE", victim.URL())

	again, err := c.JoinAt(victim)
	if err != nil {
		t.Fatal(err)
	}
	at.Must(t, "CLUSTER", "ADDNODE", again.URL())
	c.MustAwaitWrites(t, backLimit)
	if id := memberID(t, at, again); id <= highest {
		t.Errorf("the node has id %d, up to %d were used before", id, highest)
	}
	same(t, c)
	again.Dial(t).Want("$1\r\nv\r\n", "GET", "k")

	// Nor does an id come back that the last node had, nor after all restarted.
	highest = memberID(t, at, again)
	at.Must(t, "CLUSTER", "REMOVENODE", again.URL())
	c.Forget(again)
	for _, n := range c.Nodes() {
		n.Kill()
	}
	if err := harness.StartAll(c.Nodes()); err != nil {
		t.Fatal(err)
	}
	c.MustAwaitWrites(t, backLimit)
	third, err := c.JoinAt(again)
	if err != nil {
		t.Fatal(err)
	}
	at.Must(t, "CLUSTER", "ADDNODE", third.URL())
	if id := memberID(t, at, third); id <= highest {
		t.Errorf("the node has id %d, up to %d were used before", id, highest)
	}
}

// Two changes at a time, or one that would leave no majority, must not be
// carried out by a leader that is cut off: earlier systems lost updates when a
// partitioned old leader changed its membership.
func TestLeaderCutOffCannotChangeMembership(t *testing.T) {
	t.Parallel()
	c := wired(t, "-cluster-timeout", "1s")
	old := c.MustLeader(t)
	others := c.Others(old)
	c.Isolate(old)
	for _, n := range others {
		r, err := old.Call(30*time.Second, "CLUSTER", "REMOVENODE", n.URL())
		if err == nil && !r.IsError() {
			t.Errorf("a leader without a majority removed node %d: %s", n.Number, r)
		}
	}
	if err := c.AwaitWrites(backLimit, others...); err != nil {
		t.Fatal(err)
	}
	others[0].Must(t, "SET", "k", "from the majority")
	c.Heal()
	c.MustAwaitWrites(t, backLimit)
	old.Dial(t).Want("$17\r\nfrom the majority\r\n", "GET", "k")
	for _, n := range c.Nodes() {
		for _, m := range c.Nodes() {
			if memberID(t, n, m) == 0 {
				t.Errorf("node %d does not list node %d:\n%s", n.Number, m.Number, listNodes(t, n))
			}
		}
	}
	same(t, c)
}

// A follower that nothing reaches says soon that it cannot lead: before it has
// noticed, and after.
func TestFailoverOfANodeThatIsCutOff(t *testing.T) {
	c := wired(t, "-shards", "3", "-cluster-timeout", "5m")
	cut := c.Others(c.MustLeader(t))[0]
	c.Isolate(cut)
	const soon = 8 * time.Second // the peers' silence, and the elections that it waits for
	began := time.Now()
	for _, want := range []string{"ERR The leadership was not transferred: ", "this node is connected with 1 of the 3 voters"} {
		harness.Until(t, 3*soon, "the reply "+want, func() bool {
			at := time.Now()
			r, err := cut.Call(2*soon, "CLUSTER", "FAILOVER")
			if took := time.Since(at); err != nil || !r.IsError() || took > soon {
				t.Fatalf("FAILOVER on a node that is cut off: %s, %v, after %v", r, err, took)
			}
			return strings.HasPrefix(string(r.Str), "ERR The leadership was not transferred: ") && strings.Contains(string(r.Str), want)
		})
		t.Logf("%q after %v", want, time.Since(began))
	}
	c.Heal()
	harness.Until(t, backLimit, "the node to lead all", func() bool {
		r, err := cut.Call(replyLimit, "CLUSTER", "FAILOVER")
		return err == nil && !r.IsError()
	})
}

// A node by itself, with data from before it knew of clusters, is grown in
// place, and can leave then.
func TestGrowFromStandalone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "node-1"), 0o755); err != nil {
		t.Fatal(err)
	}
	srv := harness.DkvIn(t, filepath.Join(dir, "node-1", "data"))
	conn := srv.Dial(t)
	const keys = 300
	for i := range keys {
		conn.OK("SET", fmt.Sprintf("key:%d", i), "v")
	}
	conn.OK("SET", "ttl", "v", "PX", "3600000")
	conn.OK("SELECT", "3")
	conn.OK("SET", "in3", "v")
	srv.Kill()

	c := harness.StartCluster(t, harness.ClusterOptions{Nodes: 1, Dir: dir})
	alone := c.Nodes()[0]
	for range 2 {
		alone.Must(t, "CLUSTER", "ADDNODE", join(t, c).URL())
	}
	c.MustAwaitWrites(t, backLimit)
	others := c.Others(alone)
	others[0].Must(t, "CLUSTER", "REMOVENODE", alone.URL())
	c.Forget(alone)
	c.MustAwaitWrites(t, backLimit)
	same(t, c)
	for _, n := range others {
		conn := n.Dial(t)
		for i := range keys {
			conn.Want("$1\r\nv\r\n", "GET", fmt.Sprintf("key:%d", i))
		}
		if ttl := conn.DoInt("PTTL", "ttl"); ttl < 3_500_000 || ttl > 3_600_000 {
			t.Errorf("PTTL is %d on node %d", ttl, n.Number)
		}
		conn.OK("SELECT", "3")
		conn.Want("$1\r\nv\r\n", "GET", "in3")
	}
}
