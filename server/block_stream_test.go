package server

import (
	"testing"
)

// oneBulk is a bulk string.
func oneBulk(s string) string { return bulks(s)[len("*1\r\n"):] }

// entry is one of a stream, with one field.
func entry(id, field, value string) string {
	return "*2\r\n" + oneBulk(id) + "*2\r\n" + oneBulk(field) + oneBulk(value)
}

// XREAD waits for what comes after the ids that it was given, "$" as it was when it
// began to wait; all who read get an entry, and of a group one consumer.
func TestBlockingStreamReads(t *testing.T) {
	withLoops(t, func(t *testing.T, settings ...string) {
		s := startServer(t, settings...)
		admin, readers := dial(t, s), []*client{dial(t, s), dial(t, s)}
		admin.roundTrip(request("XADD", "s", "1-1", "f", "old"), "$3\r\n1-1\r\n")
		admin.roundTrip(request("XGROUP", "CREATE", "s", "g", "$"), "+OK\r\n")
		for i, c := range readers {
			c.send(request("PING") + request("XREAD", "BLOCK", "0", "STREAMS", "other", "s", "$", "$") + request("ECHO", "x"))
			c.expect("+PONG\r\n")
			blocked(t, s, int64(i+1))
		}
		var consumers []*client
		for i, name := range []string{"first", "second"} {
			c := dial(t, s)
			c.send(request("XREADGROUP", "GROUP", "g", name, "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">"))
			blocked(t, s, int64(i+3))
			consumers = append(consumers, c)
		}
		// What was deleted in the same transaction is not read, and nobody stops waiting for it.
		admin.roundTrip(request("MULTI")+request("XADD", "s", "1-5", "f", "gone")+request("XDEL", "s", "1-5")+request("EXEC"),
			"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$3\r\n1-5\r\n:1\r\n")
		admin.roundTrip(request("XADD", "s", "2-1", "f", "v"), "$3\r\n2-1\r\n")
		for _, c := range readers {
			c.expect("*1\r\n*2\r\n" + oneBulk("s") + "*1\r\n" + entry("2-1", "f", "v") + oneBulk("x"))
		}
		consumers[0].expect("*1\r\n*2\r\n" + oneBulk("s") + "*1\r\n" + entry("2-1", "f", "v"))
		blocked(t, s, 1)
		admin.roundTrip(request("XADD", "s", "2-2", "f", "w"), "$3\r\n2-2\r\n")
		consumers[1].expect("*1\r\n*2\r\n" + oneBulk("s") + "*1\r\n" + entry("2-2", "f", "w"))
		admin.roundTrip(request("XPENDING", "s", "g"), "*4\r\n:2\r\n"+oneBulk("2-1")+oneBulk("2-2")+
			"*2\r\n"+bulks("first", "1")+bulks("second", "1"))
	})
}

// A time that is over, a group and a key that go away while they are waited for, and
// commands in a transaction.
func TestBlockingStreamEnds(t *testing.T) {
	s := startServer(t)
	c, admin := dial(t, s), dial(t, s)
	c.roundTrip(request("XREAD", "BLOCK", "10", "STREAMS", "s", "$"), "*-1\r\n")
	c.roundTrip(request("XREAD", "BLOCK", "-1", "STREAMS", "s", "$"), "-ERR timeout is negative\r\n")
	c.roundTrip(request("XREAD", "BLOCK", "x", "STREAMS", "s", "$"), "-ERR timeout is not an integer or out of range\r\n")
	c.roundTrip(request("MULTI")+request("XREAD", "BLOCK", "0", "STREAMS", "s", "$")+request("EXEC"), "+OK\r\n+QUEUED\r\n*1\r\n*-1\r\n")
	for _, tc := range []struct{ name, end, want string }{
		{"group", request("XGROUP", "DESTROY", "s", "g"), "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"},
		{"key", request("DEL", "s"), "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option\r\n"},
		{"type", request("SET", "s", "v"), "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
	} {
		admin.send(request("DEL", "s") + request("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"))
		admin.reply()
		admin.expect("+OK\r\n")
		c.send(request("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"))
		blocked(t, s, 1)
		admin.send(tc.end)
		admin.reply()
		if got := c.reply(); got != tc.want {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
	// XREAD goes on waiting for the key to be a stream again.
	c.send(request("XREAD", "BLOCK", "0", "STREAMS", "s", "0"))
	if got := c.reply(); got != "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n" {
		t.Errorf("a string: %q", got)
	}
	admin.roundTrip(request("DEL", "s"), ":1\r\n")
	c.send(request("XREAD", "BLOCK", "0", "STREAMS", "s", "0"))
	blocked(t, s, 1)
	admin.roundTrip(request("SET", "s", "v"), "+OK\r\n")
	admin.roundTrip(request("DEL", "s"), ":1\r\n")
	blocked(t, s, 1)
	admin.roundTrip(request("XADD", "s", "1-1", "f", "v"), "$3\r\n1-1\r\n")
	c.expect("*1\r\n*2\r\n" + oneBulk("s") + "*1\r\n" + entry("1-1", "f", "v"))
}

// Readers at every node of a cluster get what is added at any.
func TestBlockingStreamReadsForwarded(t *testing.T) {
	servers := startCluster(t, 3, 2)
	var readers []*client
	for i, s := range servers {
		c := dial(t, s)
		c.send(request("XREAD", "BLOCK", "0", "STREAMS", "s", "$"))
		readers = append(readers, c)
		blocked(t, servers[i], 1)
	}
	// They may still be on their way to the leader: what is added meanwhile is before "$".
	adder, last := dial(t, servers[0]), ""
	eventually(t, "all readers have something", func() bool {
		last = adder.do("XADD", "s", "*", "f", "v")
		done := true
		for i := range servers {
			done = done && servers[i].admin.blocked.Load() == 0
		}
		return done
	})
	if last == "" || last[0] != '$' {
		t.Fatalf("XADD: %q", last)
	}
	for _, c := range readers {
		if got := c.reply(); got[:4] != "*1\r\n" {
			t.Errorf("a reader got %q", got)
		}
	}
}
