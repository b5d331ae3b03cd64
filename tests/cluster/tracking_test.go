package cluster

import (
	"fmt"
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
