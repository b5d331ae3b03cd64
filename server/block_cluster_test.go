package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dkv/cluster/raftlog"
)

// leaderAndOther returns the server that leads shard 0, and one that does not.
func leaderAndOther(t *testing.T, servers []*Server) (leader, other *Server) {
	t.Helper()
	eventually(t, "shard 0 has a leader", func() bool {
		leader, other = nil, nil
		for _, s := range servers {
			if s.leads(0) {
				leader = s
			} else {
				other = s
			}
		}
		return leader != nil && other != nil
	})
	return leader, other
}

func parkedAt(t *testing.T, s *Server, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d tasks are parked", n), func() bool { return s.node.Shard(0).Parked() == n })
}

// A client of a node that does not lead waits at the leader, and leaves it in every
// way in which one on the leader does.
func TestBlockedElsewhere(t *testing.T) {
	servers := startCluster(t, 3, 1)
	leader, other := leaderAndOther(t, servers)
	c, pusher := dial(t, other), dial(t, other)
	c.roundTrip(request("BLPOP", "q", "0.05"), "*-1\r\n")
	parkedAt(t, leader, 0)

	c.send(request("BLPOP", "q", "0") + request("PING"))
	parkedAt(t, leader, 1)
	blocked(t, other, 1)
	pusher.roundTrip(request("RPUSH", "q", "a"), ":1\r\n")
	c.expect(bulks("q", "a") + "+PONG\r\n")

	id := strings.TrimSuffix(c.do("CLIENT", "ID")[1:], "\r\n")
	c.send(request("BZPOPMIN", "q", "0"))
	parkedAt(t, leader, 1)
	pusher.roundTrip(request("CLIENT", "UNBLOCK", id, "ERROR"), ":1\r\n")
	c.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n")
	parkedAt(t, leader, 0)

	c.send(request("BLPOP", "q", "0"))
	parkedAt(t, leader, 1)
	c.Close()
	parkedAt(t, leader, 0)
	pusher.roundTrip(request("RPUSH", "q", "b"), ":1\r\n")
	pusher.roundTrip(request("LLEN", "q"), ":1\r\n")

	// A node that is lost takes its clients along.
	d := dial(t, other)
	d.send(request("BLPOP", "nothing", "0"))
	parkedAt(t, leader, 1)
	if err := other.node.Close(); err != nil {
		t.Error(err)
	}
	parkedAt(t, leader, 0)
	eventually(t, "no ticket is held", func() bool {
		leader.tickets.mu.Lock()
		defer leader.tickets.mu.Unlock()
		return len(leader.tickets.mu.held) == 0
	})
}

// When the leader hands over, who waits goes on waiting at the next one.
func TestBlockedThroughHandover(t *testing.T) {
	servers := startCluster(t, 3, 1)
	var waiting []*client
	for i := range 6 {
		c := dial(t, servers[i%3])
		c.send(request("BLPOP", "q", "0"))
		waiting = append(waiting, c)
	}
	for range 3 {
		leader, other := leaderAndOther(t, servers)
		parkedAt(t, leader, len(waiting))
		if err := other.node.Failover(t.Context()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other one leads", func() bool { return other.leads(0) })
		parkedAt(t, other, len(waiting))
		parkedAt(t, leader, 0)
		pusher := dial(t, leader)
		pusher.do("RPUSH", "q", "a", "b")
		parkedAt(t, other, len(waiting)-2)
		waiting = served(t, waiting, 2)
	}
	if len(waiting) != 0 {
		t.Errorf("%d still wait", len(waiting))
	}
}

// served takes the replies of n clients, and returns the others.
func served(t *testing.T, list []*client, n int) (rest []*client) {
	t.Helper()
	got := map[string]bool{}
	for len(got) < n {
		rest = rest[:0:0]
		for _, c := range list {
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := c.r.Peek(1); err != nil {
				rest = append(rest, c)
				continue
			}
			_ = c.SetReadDeadline(time.Now().Add(ioTimeout))
			r := c.reply()
			if !strings.HasPrefix(r, "*2\r\n$1\r\nq\r\n") || got[r] {
				t.Fatalf("reply %q", r)
			}
			got[r] = true
		}
		list = rest
	}
	return rest
}

// In a cluster of several shards the keys of a command have to be in one.
func TestBlockingOverShards(t *testing.T) {
	s := startShards(t, 4)
	c, pusher := dial(t, s), dial(t, s)
	keys := map[raftlog.ShardID]string{}
	for i := 0; len(keys) < 2; i++ {
		key := fmt.Sprint("q", i)
		ws := workspace{slots: s.slots()}
		keys[ws.shardOf([]byte(key))] = key
	}
	var two []string
	for _, key := range keys {
		two = append(two, key)
		c.send(request("BLPOP", key, "0"))
		blocked(t, s, 1)
		pusher.do("LPUSH", key, "x")
		c.expect(bulks(key, "x"))
	}
	c.roundTrip(request("BLPOP", two[0], two[1], "0"), "-CROSSSLOT Keys in request don't hash to the same slot\r\n")
}

// A master that becomes a replica sends those who wait away, and closes their connections.
func TestBlockedWhenFollowing(t *testing.T) {
	s := startServer(t)
	c, other := dial(t, s), dial(t, s)
	c.send(request("BLPOP", "q", "0"))
	blocked(t, s, 1)
	other.roundTrip(request("REPLICAOF", "127.0.0.1", "1"), "+OK\r\n")
	c.expect("-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n")
	c.expectEOF()
	c = dial(t, s)
	c.roundTrip(request("BLPOP", "q", "0"), "-READONLY You can't write against a read only replica.\r\n")
	other.roundTrip(request("REPLICAOF", "NO", "ONE"), "+OK\r\n")
	c.send(request("BLPOP", "q", "0"))
	blocked(t, s, 1)
	other.roundTrip(request("RPUSH", "q", "x"), ":1\r\n")
	c.expect(bulks("q", "x"))
}

// What is paused is not pushed, so nobody is served; who waits can still time out.
func TestBlockedWhilePaused(t *testing.T) {
	s := startServer(t)
	c, other, pusher := dial(t, s), dial(t, s), dial(t, s)
	c.send(request("BLPOP", "q", "0.2"))
	blocked(t, s, 1)
	other.roundTrip(request("CLIENT", "PAUSE", "100000", "WRITE"), "+OK\r\n")
	pusher.send(request("RPUSH", "q", "x"))
	c.expect("*-1\r\n")
	other.roundTrip(request("CLIENT", "UNPAUSE"), "+OK\r\n")
	pusher.expect(":1\r\n")
	c.roundTrip(request("BLPOP", "q", "0"), bulks("q", "x"))
}

// After READONLY, XREAD with BLOCK waits at the leader like any other, on every node and also
// where others are redirected, and what is read next is not older than what it has told.
func TestReadOnlyBlockingReads(t *testing.T) {
	for _, redirect := range []string{"no", "yes"} {
		servers := startCluster(t, 3, 1, "cluster-redirect", redirect)
		leader, _ := leaderAndOther(t, servers)
		w := dial(t, leader)
		n := 0
		for _, s := range servers {
			c := dial(t, s)
			c.want(ok, "READONLY")
			for range 10 {
				n++
				c.send(request("XREAD", "BLOCK", "0", "STREAMS", "s", "$") + request("XLEN", "s"))
				parkedAt(t, leader, 1)
				id := fmt.Sprintf("%d-1", n)
				w.want(fmt.Sprintf("$%d\r\n%s\r\n", len(id), id), "XADD", "s", id, "f", "v")
				c.expect(fmt.Sprintf("*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$%d\r\n%s\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n:%d\r\n", len(id), id, n))
			}
			c.want("*-1\r\n", "XREAD", "BLOCK", "5", "STREAMS", "s", "$")
			if c = dial(t, s); s != leader && redirect == "yes" {
				if got := c.do("XREAD", "BLOCK", "5", "STREAMS", "s", "$"); !strings.HasPrefix(got, "-MOVED ") {
					t.Errorf("%q", got)
				}
			}
		}
	}
}
