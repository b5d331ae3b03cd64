package cluster

import (
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// A user that was made through any node is one on all, holds there what it may not do, in
// scripts too, and is there when the leader is gone, when all nodes have stopped, and on a
// node that joins.
func TestUsers(t *testing.T) {
	c := local(t, 3)
	leader := c.MustLeader(t)
	follower := c.Others(leader)[0]
	follower.Dial(t).OK("ACL", "SETUSER", "bob", "on", ">pw", "~b*", "+@all", "-flushall", "-config")
	holds := func(nodes []*harness.Node) {
		t.Helper()
		for _, node := range nodes {
			conn := node.Dial(t)
			conn.OK("AUTH", "bob", "pw") // at once: a node that does not know the password yet asks
			conn.OK("SET", "b1", node.Addr())
			conn.Want("-NOPERM No permissions to access a key\r\n", "SET", "x", "1")
			conn.Want("-NOPERM User bob has no permissions to run the 'flushall' command\r\n", "FLUSHALL")
			conn.OK("EVAL", "return redis.call('set', KEYS[1], '1')", "1", "b1")
			conn.Want("-NOPERM ACL failure in script: No permissions to access a key\r\n",
				"EVAL", "return redis.pcall('set', 'x', '1')", "1", "b1")
			conn.Want("$-1\r\n", "EVAL", "return redis.acl_check_cmd('set', 'x', '1')", "1", "b1")
		}
	}
	holds(c.Nodes())
	leader.Kill()
	if err := c.AwaitWrites(backLimit, c.Others(leader)...); err != nil {
		t.Fatal(err)
	}
	holds(c.Others(leader))
	// A change while a node is away reaches it when it is back.
	follower.Dial(t).OK("ACL", "SETUSER", "bob", "<pw", ">new")
	restart(t, leader)
	c.MustAwaitWrites(t, backLimit)
	for _, node := range c.Nodes() {
		conn := node.Dial(t)
		conn.OK("AUTH", "bob", "new")
		conn.Want("-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH", "bob", "pw")
	}
	// Who is deleted through one node is cut off on all.
	var conns []*harness.TestConn
	for _, node := range c.Nodes() {
		conn := node.Dial(t)
		conn.OK("AUTH", "bob", "new")
		conns = append(conns, conn)
	}
	follower.Dial(t).Want(":1\r\n", "ACL", "DELUSER", "bob")
	for i, conn := range conns {
		if err := conn.SetReadDeadline(time.Now().Add(backLimit)); err != nil {
			t.Fatal(err)
		}
		if r, err := conn.Read(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("connection %d goes on: %v, %v", i, r, err)
		}
	}
	follower.Dial(t).OK("ACL", "SETUSER", "ann", "on", ">pw", "+ping")
	for _, node := range c.Nodes() {
		node.Kill()
	}
	if err := harness.StartAll(c.Nodes()); err != nil {
		t.Fatal(err)
	}
	c.MustAwaitWrites(t, backLimit)
	for _, node := range c.Nodes() {
		node.Dial(t).OK("AUTH", "ann", "pw")
	}
	same(t, c)
}
