package server

import (
	"fmt"
	"strings"
	"testing"
)

// invalidate is the message that keys are invalid; none: all are.
func invalidate(keys ...string) string {
	out := ">2\r\n" + bulkOf("invalidate")
	if len(keys) == 0 {
		return out + "_\r\n"
	}
	out += fmt.Sprintf("*%d\r\n", len(keys))
	for _, k := range keys {
		out += bulkOf(k)
	}
	return out
}

// tracker3 connects a client that speaks RESP3 and tracks.
func tracker3(t *testing.T, s *Server, options ...string) *client {
	t.Helper()
	c := dial(t, s)
	c.do("HELLO", "3")
	c.roundTrip(request(append([]string{"CLIENT", "TRACKING", "ON"}, options...)...), "+OK\r\n")
	return c
}

func infoLines(c *client, want ...string) {
	c.t.Helper()
	info := c.do("INFO", "clients") + c.do("INFO", "stats")
	for _, w := range want {
		if !strings.Contains(info, "\n"+w+"\r\n") {
			c.t.Errorf("INFO has no %q", w)
		}
	}
}

// TestTrackingPipeline: messages come behind the replies of a whole pipeline, and what is
// read behind a write is told of afterwards.
func TestTrackingPipeline(t *testing.T) {
	s := startServer(t)
	c := tracker3(t, s)
	c.roundTrip(request("SET", "k", "1")+request("GET", "k")+request("SET", "k", "2")+request("GET", "k"),
		"+OK\r\n$1\r\n1\r\n+OK\r\n$1\r\n2\r\n"+invalidate("k"))
	own := tracker3(t, s, "NOLOOP")
	// What it reads behind its own write it may keep, so it is told of the next change.
	own.roundTrip(request("GET", "k")+request("SET", "k", "1")+request("GET", "k"), "$1\r\n2\r\n+OK\r\n$1\r\n1\r\n")
	own.roundTrip(request("MULTI")+request("SET", "m", "1")+request("GET", "m")+request("EXEC"),
		"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n1\r\n")
	own.roundTrip(request("EVAL", "redis.call('set',KEYS[1],1) return redis.call('get',KEYS[1])", "1", "e"), "$1\r\n1\r\n")
	c.roundTrip(request("SET", "k", "3")+request("SET", "m", "3")+request("SET", "e", "3"), "+OK\r\n+OK\r\n+OK\r\n")
	own.expect(invalidate("k") + invalidate("m") + invalidate("e"))
	c.roundTrip(request("PING"), "+PONG\r\n")
	// CLIENT TRACKING in a transaction comes behind what it reads.
	late := dial(t, s)
	late.do("HELLO", "3")
	late.roundTrip(request("MULTI")+request("CLIENT", "TRACKING", "ON")+request("GET", "k")+request("EXEC"),
		"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n3\r\n"+invalidate())
}

// TestTrackingHoldsMessages: what changes while the pipeline that has read it goes on is told
// behind the reply, or the client would keep the old value.
func TestTrackingHoldsMessages(t *testing.T) {
	s := startServer(t)
	c, other := tracker3(t, s), dial(t, s)
	other.do("SET", "k", "1")
	c.send(request("GET", "k") + request("DEBUG", "SLEEP", "0.5") + request("PING"))
	eventually(t, "it reads", func() bool { return strings.Contains(other.do("INFO", "stats"), "tracking_total_keys:1\r\n") })
	other.do("SET", "k", "2")
	first := c.reply()
	if first != "$1\r\n1\r\n" && first != "$1\r\n2\r\n" {
		t.Fatalf("got %q before the reply", first)
	}
	rest := c.reply() + c.reply() + c.reply()
	if rest != "+OK\r\n"+invalidate("k")+"+PONG\r\n" && rest != "+OK\r\n+PONG\r\n"+invalidate("k") {
		t.Errorf("got %q", rest)
	}
}

// TestTrackingTable: the table is bounded, and INFO tells what is in it.
func TestTrackingTable(t *testing.T) {
	s := startServer(t, "tracking-table-max-keys", "2")
	c, other := tracker3(t, s), dial(t, s)
	infoLines(other, "tracking_clients:1", "tracking_total_keys:0", "tracking_total_items:0", "tracking_total_prefixes:0")
	c.roundTrip(request("MGET", "a", "b"), "*2\r\n_\r\n_\r\n")
	two := tracker3(t, s)
	two.roundTrip(request("GET", "a"), "_\r\n")
	infoLines(other, "tracking_clients:2", "tracking_total_keys:2", "tracking_total_items:3")
	c.send(request("GET", "c"))
	got := c.reply() + c.reply()
	if got != "_\r\n"+invalidate("a") && got != "_\r\n"+invalidate("b") {
		t.Errorf("got %q", got)
	}
	infoLines(other, "tracking_total_keys:2")
	other.do("CONFIG", "SET", "tracking-table-max-keys", "1")
	infoLines(other, "tracking_total_keys:1")
	other.do("CONFIG", "SET", "tracking-table-max-keys", "0")
	three := tracker3(t, s)
	for i := range 100 {
		three.roundTrip(request("GET", fmt.Sprint(i)), "_\r\n")
	}
	infoLines(other, "tracking_clients:3")
	if info := other.do("INFO", "stats"); !strings.Contains(info, "tracking_total_keys:10") {
		t.Errorf("without a limit: %s", info)
	}
	three.Close()
	c.Close()
	two.Close()
	eventually(t, "what clients that have gone had read is forgotten", func() bool {
		return strings.Contains(other.do("INFO", "stats"), "tracking_total_keys:0\r\ntracking_total_items:0\r\n")
	})
	wide := tracker3(t, s, "BCAST", "PREFIX", "a", "PREFIX", "b")
	infoLines(other, "tracking_clients:1", "tracking_total_prefixes:2")
	wide.do("RESET")
	infoLines(other, "tracking_clients:0", "tracking_total_prefixes:0")
}

// TestTrackingFlags: CLIENT LIST, and a client that is told instead and goes.
func TestTrackingFlags(t *testing.T) {
	s := startServer(t)
	to, other := dial(t, s), dial(t, s)
	to.do("HELLO", "3")
	id := strings.Trim(to.do("CLIENT", "ID"), ":\r\n")
	c := tracker3(t, s, "REDIRECT", id)
	line := func(want ...string) {
		t.Helper()
		info := c.do("CLIENT", "INFO")
		for _, w := range want {
			if !strings.Contains(info, " "+w+" ") {
				t.Errorf("no %s in %s", w, info)
			}
		}
	}
	line("flags=t", "redir="+id)
	// It has done nothing since it connected, and is told all the same.
	c.roundTrip(request("GET", "k"), "_\r\n")
	other.do("SET", "k", "1")
	to.expect(invalidate("k"))
	// So it is while it waits.
	to.send(request("BLPOP", "nosuch", "0"))
	eventually(t, "it waits", func() bool { return strings.Contains(other.do("INFO", "clients"), "blocked_clients:1") })
	c.roundTrip(request("GET", "k"), "$1\r\n1\r\n")
	other.do("SET", "k", "2")
	to.expect(invalidate("k"))
	to.Close()
	eventually(t, "it has gone", func() bool { return !strings.Contains(other.do("CLIENT", "LIST"), "id="+id+" ") })
	c.roundTrip(request("GET", "k"), "$1\r\n2\r\n")
	other.do("SET", "k", "3")
	c.expect(">2\r\n" + bulkOf("tracking-redir-broken") + ":" + id + "\r\n")
	line("flags=tR", "redir="+id)
	if got := c.do("CLIENT", "TRACKINGINFO"); !strings.Contains(got, "broken_redirect") {
		t.Errorf("got %q", got)
	}
	c.do("CLIENT", "TRACKING", "OFF")
	line("flags=N", "redir=-1")
	c.do("CLIENT", "TRACKING", "ON", "BCAST")
	line("flags=tB", "redir=0")
}

// TestTrackingExpiry: what the reaper deletes is told.
func TestTrackingExpiry(t *testing.T) {
	s := startServer(t)
	c, wide := tracker3(t, s), tracker3(t, s, "BCAST", "PREFIX", "k")
	c.roundTrip(request("SET", "k", "1", "PX", "500"), "+OK\r\n")
	wide.expect(invalidate("k"))
	c.roundTrip(request("EXISTS", "k"), ":1\r\n")
	c.expect(invalidate("k"))
	wide.expect(invalidate("k"))
	c.roundTrip(request("HSET", "kh", "f", "1", "g", "1"), ":2\r\n")
	wide.expect(invalidate("kh"))
	c.roundTrip(request("HGET", "kh", "f"), "$1\r\n1\r\n")
	c.roundTrip(request("HPEXPIRE", "kh", "30", "FIELDS", "1", "f"), "*1\r\n:1\r\n"+invalidate("kh"))
	wide.expect(invalidate("kh") + invalidate("kh"))
}

// TestTrackingWhileBlocked: a blocking read does not hold messages back, and what it may
// have replied is invalid once more behind its reply.
func TestTrackingWhileBlocked(t *testing.T) {
	s := startServer(t)
	c, other := tracker3(t, s), dial(t, s)
	c.roundTrip(request("GET", "k"), "_\r\n")
	c.send(request("XREAD", "BLOCK", "0", "STREAMS", "x", "0"))
	eventually(t, "it waits", func() bool { return strings.Contains(other.do("INFO", "clients"), "blocked_clients:1") })
	other.do("SET", "k", "1")
	c.expect(invalidate("k"))
	other.do("XADD", "x", "1-1", "a", "b")
	got := c.reply() + c.reply() + c.reply()
	reply := "%1\r\n" + bulkOf("x") + "*1\r\n*2\r\n" + bulkOf("1-1") + "*2\r\n" + bulkOf("a") + bulkOf("b")
	// It was registered when it began, so the entry that it got is a change.
	if got != invalidate("x")+reply+invalidate("x") && got != reply+invalidate("x")+invalidate("x") {
		t.Errorf("got %q", got)
	}
}

// TestTrackingSlowReader: who never reads what it is told is ended, and holds up nobody.
func TestTrackingSlowReader(t *testing.T) {
	s := startServer(t)
	slow, c := tracker3(t, s, "BCAST"), patient(t, s)
	key := strings.Repeat("k", 1<<20)
	for range 2*maxPendingOutput>>20 + 16 {
		if got := c.do("SET", key, ""); got != "+OK\r\n" {
			t.Fatal(got)
		}
		if s.tracker.active.Load() == 0 {
			break
		}
	}
	eventually(t, "it is ended", func() bool { return s.tracker.active.Load() == 0 })
	slow.Close()
}

// ask sends a command and returns its reply, whatever messages come before.
func (c *client) ask(words ...string) string {
	c.t.Helper()
	c.send(request(words...))
	for {
		if raw := c.reply(); raw[0] != '>' {
			return raw
		}
	}
}

// told waits for a message; there may be others before it.
func (c *client) told(message string) {
	c.t.Helper()
	for {
		raw := c.reply()
		if raw == message {
			return
		}
		if raw[0] != '>' {
			c.t.Fatalf("got %q, want %q", raw, message)
		}
	}
}

// TestTrackingInCluster: whoever leads, and wherever it is written, clients are told; of
// their own changes only those who want it. Who reads a change that its node has not applied
// yet is told of it afterwards.
func TestTrackingInCluster(t *testing.T) {
	servers := startCluster(t, 3, 2)
	for i, s := range servers {
		for j := range servers {
			c, own, wide := tracker3(t, s), tracker3(t, s, "NOLOOP"), tracker3(t, s, "BCAST", "NOLOOP", "PREFIX", fmt.Sprint(i))
			writer := dial(t, servers[j])
			for n := range 4 {
				key := fmt.Sprintf("%d-%d-%d", i, j, n)
				c.ask("EXISTS", key)
				own.roundTrip(request("EXISTS", key), ":0\r\n")
				if got := writer.do("SET", key, "v"); got != "+OK\r\n" {
					t.Fatal(got)
				}
				c.told(invalidate(key))
				own.expect(invalidate(key))
				wide.expect(invalidate(key))
				own.roundTrip(request("GET", key), "$1\r\nv\r\n")
				own.roundTrip(request("APPEND", key, "x"), ":2\r\n")
				wide.expect(invalidate(key))
				wide.roundTrip(request("APPEND", key, "x"), ":3\r\n")
				c.ask("GET", key)
			}
			for _, k := range []*client{c, own, wide} {
				k.Close()
			}
		}
	}
	var clients []*client
	for _, s := range servers {
		for _, mode := range []string{"OPTOUT", "BCAST"} {
			c := dial(t, s)
			c.ask("HELLO", "3")
			c.ask("CLIENT", "TRACKING", "ON", mode)
			clients = append(clients, c)
		}
	}
	clients[1].ask("FLUSHALL")
	for _, c := range clients[2:] {
		c.told(invalidate())
	}
}
