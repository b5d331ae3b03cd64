package server

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"dkv/cluster/slot"
	"dkv/engine/keyspace"
)

// TestPublishInCluster: what is published on any node reaches the subscribers on all,
// once, in the publisher's order. The reply counts those on its own node.
func TestPublishInCluster(t *testing.T) {
	const each = 300
	servers := startCluster(t, 3, 2)
	subs := make([]*client, len(servers))
	for i, s := range servers {
		eventually(t, "the nodes are connected", func() bool { return len(messagePeers(s)) == len(servers)-1 })
		subs[i] = dial(t, s)
		subs[i].roundTrip("subscribe a\r\nssubscribe a\r\n", event('*', "subscribe", "a", 1)+event('*', "ssubscribe", "a", 1))
	}
	two := dial(t, servers[1])
	two.roundTrip("psubscribe ?\r\n", event('*', "psubscribe", "?", 1))
	var publishing sync.WaitGroup
	for p, s := range servers {
		c := dial(t, s)
		publishing.Go(func() {
			receivers := map[bool]string{false: ":1\r\n", true: ":2\r\n"}[p == 1]
			for i := range each {
				c.roundTrip(request("PUBLISH", "a", fmt.Sprintf("%d-%d", p, i)), receivers)
			}
		})
	}
	for _, c := range append(subs, two) {
		last := make([]int, len(servers))
		for range each * len(servers) {
			got := c.reply()
			var p, i int
			if _, err := fmt.Sscanf(got[strings.LastIndex(got[:len(got)-2], "\n")+1:], "%d-%d", &p, &i); err != nil || i != last[p] {
				t.Fatalf("%q, want message %d of node %d", got, last[p], p)
			}
			last[p]++
		}
	}
	publishing.Wait()
	dial(t, servers[2]).roundTrip("spublish a x\r\n", ":1\r\n")
	for _, c := range subs {
		c.expect(message('*', "smessage", "a", "x"))
	}
	for _, s := range servers {
		if n := s.node.LostMessages(); n != 0 {
			t.Errorf("%d messages are lost", n)
		}
	}
}

// messagePeers are the members that a node could tell.
func messagePeers(s *Server) []int {
	var up []int
	for _, p := range s.node.Metrics().Peers.Peers {
		if p.Connected {
			up = append(up, 1)
		}
	}
	return up
}

// TestShardChannelsRedirect: only clients that are redirected meet slots of channels.
func TestShardChannelsRedirect(t *testing.T) {
	c := dial(t, startShards(t, 2))
	c.roundTrip("ssubscribe a b c\r\n", event('*', "ssubscribe", "a", 1)+event('*', "ssubscribe", "b", 2)+event('*', "ssubscribe", "c", 3))
	servers := startCluster(t, 3, 2, "cluster-redirect", "yes")
	// led is a channel of a shard that a node leads, and other one of a shard that another
	// node leads, as this one sees it; leaders may move until each node has its share.
	pick := func(s *Server) (led, other string) {
		for i := range 100 {
			name := fmt.Sprint("c", i)
			switch m, known := s.node.Leader(slot.NewMap(2).ShardOf(keyspace.SlotOf([]byte(name)))); {
			case m.Self:
				led = name
			case known:
				other = name
			}
		}
		return led, other
	}
	var last, other string
	eventually(t, "a node that serves one shard's channels, and sends clients elsewhere for the other's", func() bool {
		for _, s := range servers {
			var led string
			if led, other = pick(s); led == "" || other == "" {
				continue
			}
			c = dial(t, s)
			joined := c.do("SSUBSCRIBE", led)
			if joined != event('*', "ssubscribe", led, 1) {
				last = joined
				continue
			}
			c.roundTrip("sunsubscribe\r\n", event('*', "sunsubscribe", led, 0))
			c.roundTrip(request("SSUBSCRIBE", led, other), "-CROSSSLOT Keys in request don't hash to the same slot\r\n")
			if last = c.do("SPUBLISH", other, "x"); strings.HasPrefix(last, "-MOVED ") {
				return true
			}
		}
		return false
	})
	t.Logf("SPUBLISH to another node's channel: %q", last)
	c.roundTrip(request("PUBLISH", other, "x"), ":0\r\n")
}

// FuzzPassed: no bytes panic, and what is read is written the same way.
func FuzzPassed(f *testing.F) {
	f.Add(appendPassed(appendPassed(nil, toChannel, []byte("c"), []byte("m")), toShardChannel, nil, bytes.Repeat([]byte("m"), 300)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			kind, channel, message, rest, err := parsePassed(b)
			if err != nil {
				return
			}
			if kind == passedChannel || kind == passedShard {
				k := map[byte]subKind{passedChannel: toChannel, passedShard: toShardChannel}[kind]
				again := appendPassed(nil, k, channel, message)
				if k2, c2, m2, rest2, err := parsePassed(again); err != nil || k2 != kind || !bytes.Equal(c2, channel) || !bytes.Equal(m2, message) || len(rest2) != 0 {
					t.Fatalf("%x is written as %x", b, again)
				}
			}
			b = rest
		}
	})
}
