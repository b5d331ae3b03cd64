package server

import (
	"fmt"
	"testing"
)

// TestEventsOnAllNodes: each node tells its subscribers once of what is done to keys,
// whichever node was asked and whichever leads, and in the order of the shard's log.
func TestEventsOnAllNodes(t *testing.T) {
	const each = 100
	servers := startCluster(t, 3, 2, "notify-keyspace-events", "EA")
	subs := make([]*client, len(servers))
	for i, s := range servers {
		subs[i] = dial(t, s)
		subs[i].roundTrip("psubscribe __key*\r\n", event('*', "psubscribe", "__key*", 1))
	}
	for i, s := range servers {
		c := dial(t, s)
		for n := range each {
			c.do("incr", fmt.Sprintf("{%d}-%d", i, n))
		}
		c.do("set", fmt.Sprintf("{%d}-0", i), "x", "px", "1")
	}
	// A transaction's and those of a command that fails.
	c := dial(t, servers[1])
	c.do("set", "{0}text", "x")
	c.send("multi\r\nincr {0}n\r\nincr {0}text\r\ndel {0}n\r\nexec\r\n")
	for range 5 {
		c.reply()
	}
	word := func(name, key string) string {
		return message('*', "pmessage", "__key*", "__keyevent@0__:"+name, key)
	}
	for at, sub := range subs {
		var next, done [3]int // by tag: what its shard has told
		rest := map[string]int{word("set", "{0}text"): 1, word("incrby", "{0}n"): 1, word("del", "{0}n"): 1}
		for range 3*(each+3) + 3 {
			got := sub.reply()
			known := false
			for i := range servers {
				switch first := fmt.Sprintf("{%d}-0", i); got {
				case word("incrby", fmt.Sprintf("{%d}-%d", i, next[i])):
					next[i]++
					known = true
				case word("set", first), word("expire", first), word("expired", first):
					done[i]++
					known = next[i] == each
				}
			}
			if !known && rest[got] > 0 {
				rest[got]--
				known = true
			}
			if !known {
				t.Fatalf("node %d: %q, after %v and %v", at, got, next, done)
			}
		}
		if next != [3]int{each, each, each} || done != [3]int{3, 3, 3} {
			t.Errorf("node %d: %v and %v", at, next, done)
		}
	}
	// What was all is all.
	for _, s := range servers {
		c.roundTrip("config set notify-keyspace-events \"\"\r\n", "+OK\r\n")
		c = dial(t, s)
	}
	c.roundTrip("config set notify-keyspace-events \"\"\r\n", "+OK\r\n")
	for at, s := range servers {
		dial(t, s).do("set", "quiet", "x")
		subs[at].roundTrip("ping\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n")
	}
}

// TestMissIsToldAtOnce: a key that a read does not find makes no write.
func TestMissIsToldAtOnce(t *testing.T) {
	s := startServer(t, "notify-keyspace-events", "Km")
	sub, c := dial(t, s), dial(t, s)
	sub.roundTrip("psubscribe __key*\r\n", event('*', "psubscribe", "__key*", 1))
	before := s.node.Shard(0).Applied()
	c.roundTrip("get a\r\nmulti\r\nget b\r\nexec\r\n", "$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n")
	for _, key := range []string{"a", "b"} {
		sub.expect(message('*', "pmessage", "__key*", "__keyspace@0__:"+key, "keymiss"))
	}
	if after := s.node.Shard(0).Applied(); after != before {
		t.Errorf("reads have written entries %d to %d", before+1, after)
	}
}
