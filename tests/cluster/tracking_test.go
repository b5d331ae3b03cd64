package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// cachingClient is a client of a node that is told what to forget.
type cachingClient struct {
	*harness.TestConn
	t *testing.T
}

func cacheAt(t *testing.T, n *harness.Node, options ...string) *cachingClient {
	t.Helper()
	c := &cachingClient{n.Dial(t), t}
	c.Do("HELLO", "3")
	c.OK(append([]string{"CLIENT", "TRACKING", "ON"}, options...)...)
	return c
}

// told waits until the client is told to forget something, and checks what.
func (c *cachingClient) told(want string) {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(backLimit))
	r, err := c.Read()
	if err != nil || r.Kind != '>' || len(r.Elems) != 2 || string(r.Elems[0].Str) != "invalidate" {
		c.t.Fatalf("%s, %v: not told to forget %q", r, err, want)
	}
	got := ""
	for _, k := range r.Elems[1].Elems {
		got += string(k.Str)
	}
	if got != want {
		c.t.Fatalf("told to forget %q, want %q", got, want)
	}
}

// TestCachesThroughFailover: the leader is killed again and again; who has read on another
// node, or on one that has come back, is told of what is written through any node.
func TestCachesThroughFailover(t *testing.T) {
	c := local(t, 3)
	for round := range 3 {
		leader := c.MustLeader(t)
		alive := c.Others(leader)
		key := fmt.Sprintf("k%d", round)
		setUntilOK(t, alive[0].Dial(t), key, "before")
		var clients []*cachingClient
		for _, n := range alive {
			k := cacheAt(t, n)
			k.Want("$6\r\nbefore\r\n", "GET", key)
			clients = append(clients, k)
		}
		leader.Kill()
		setUntilOK(t, alive[round%2].Dial(t), key, "after")
		for _, k := range clients {
			k.told(key)
			k.Want("$5\r\nafter\r\n", "GET", key)
		}
		restart(t, leader)
		c.MustAwaitWrites(t, backLimit)
		back := cacheAt(t, leader)
		back.Want("$5\r\nafter\r\n", "GET", key)
		alive[0].Must(t, "DEL", key)
		for _, k := range append(clients, back) {
			k.told(key)
		}
	}
}

// forgetsAll reads what the client is told until it is told to forget everything.
func (c *cachingClient) forgetsAll() {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(backLimit))
	for {
		r, err := c.Read()
		if err != nil || len(r.Elems) == 0 {
			c.t.Fatalf("%s, %v: not told to forget everything", r, err)
		}
		if r.Elems[len(r.Elems)-1].Null {
			return
		}
	}
}

// TestCachesBehindARaftSnapshot: a member that was cut off for too long gets a copy of the
// state, of which nobody knows what it has changed. Its clients, who have stayed, are told
// to forget everything, and track anew.
func TestCachesBehindARaftSnapshot(t *testing.T) {
	c := wired(t, smallLogs...)
	victim := c.Others(c.MustLeader(t))[0]
	other := c.Others(victim)[0]
	conn := other.Dial(t)
	conn.OK("SET", "k", "before")
	same(t, c)
	// One who tracks what it reads, one for all keys, one who has another connection told,
	// in RESP2, and one who has read nothing.
	reads, all, redirects, idle := cacheAt(t, victim), cacheAt(t, victim, "BCAST", "PREFIX", "none:"), victim.Dial(t), cacheAt(t, victim)
	to := &cachingClient{victim.Dial(t), t}
	redirects.OK("CLIENT", "TRACKING", "ON", "REDIRECT", fmt.Sprint(to.DoInt("CLIENT", "ID")))
	to.Want("*3\r\n$9\r\nsubscribe\r\n$20\r\n__redis__:invalidate\r\n:1\r\n", "SUBSCRIBE", "__redis__:invalidate")
	reads.Want("$6\r\nbefore\r\n", "GET", "k")
	redirects.Want("$6\r\nbefore\r\n", "GET", "k")

	c.Isolate(victim)
	fill(t, other)
	conn.OK("SET", "k", "meanwhile")
	c.Heal()
	for _, k := range []*cachingClient{reads, all, to, idle} {
		k.forgetsAll()
	}
	harness.Until(t, backLimit, "the node to get a raft snapshot", func() bool {
		return strings.Contains(victim.Dial(t).Info("raft")["shard0_snapshot"], "switched=1")
	})
	reads.Want("$9\r\nmeanwhile\r\n", "GET", "k")
	conn.OK("SET", "k", "after")
	reads.told("k")
	conn.OK("SET", "none:x", "1")
	all.told("none:x")
}
