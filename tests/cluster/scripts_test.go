package cluster

import (
	"fmt"
	"strings"
	"testing"

	"dkv/tests/harness"
)

const counting = "redis.call('incr', KEYS[1]) redis.call('hincrby', KEYS[2], 'n', 1) return redis.call('get', KEYS[1])"

const countingLibrary = "#!lua name=counters\n" +
	"redis.register_function('count', function(keys) return redis.call('incr', keys[1]) end)"

// A script that was loaded through any node, and a function, can be called through
// every node, and go on when the leader is gone; what they have written is there.
func TestScripts(t *testing.T) {
	c := local(t, 3)
	leader := c.MustLeader(t)
	follower := c.Others(leader)[0].Dial(t)
	sha := string(follower.Do("SCRIPT", "LOAD", counting).Str)
	follower.Want("$8\r\ncounters\r\n", "FUNCTION", "LOAD", countingLibrary)
	n, calls := 0, 0
	count := func(nodes []*harness.Node) {
		t.Helper()
		for _, node := range nodes {
			conn := node.Dial(t)
			for range 5 {
				n++
				want := fmt.Sprint(n)
				conn.Want(fmt.Sprintf("$%d\r\n%s\r\n", len(want), want), "EVALSHA", sha, "2", "{k}n", "{k}h")
				calls++
				conn.Want(fmt.Sprintf(":%d\r\n", calls), "FCALL", "count", "1", "calls")
			}
		}
	}
	count(c.Nodes())
	leader.Kill()
	if err := c.AwaitWrites(backLimit, c.Others(leader)...); err != nil {
		t.Fatal(err)
	}
	count(c.Others(leader))
	restart(t, leader)
	c.MustAwaitWrites(t, backLimit)
	count(c.Nodes())
	conn := leader.Dial(t)
	conn.Want(fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(n)), n), "HGET", "{k}h", "n")
	same(t, c)

	// All nodes stop: the records are on disk.
	for _, node := range c.Nodes() {
		node.Kill()
	}
	if err := harness.StartAll(c.Nodes()); err != nil {
		t.Fatal(err)
	}
	c.MustAwaitWrites(t, backLimit)
	count(c.Nodes())

	// A flush through one node holds for all.
	c.Nodes()[1].Dial(t).OK("SCRIPT", "FLUSH")
	c.Nodes()[2].Dial(t).OK("FUNCTION", "FLUSH")
	for _, node := range c.Nodes() {
		conn := node.Dial(t)
		if got := conn.Do("EVALSHA", sha, "2", "{k}n", "{k}h"); !strings.HasPrefix(string(got.Raw), "-NOSCRIPT") {
			t.Errorf("after SCRIPT FLUSH: %s", got)
		}
		conn.Want("-ERR Function not found\r\n", "FCALL", "count", "1", "calls")
	}
}
