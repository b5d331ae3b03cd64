package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// blocked waits until so many clients of a server are blocked.
func blocked(t testing.TB, s *Server, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d clients are blocked", n), func() bool { return s.admin.blocked.Load() == n })
}

func bulks(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func withLoops(t *testing.T, f func(t *testing.T, settings ...string)) {
	for _, loops := range []string{"2", "0"} {
		t.Run("event-loops "+loops, func(t *testing.T) { f(t, "event-loops", loops) })
	}
}

// Who blocked first is served first, one push can serve several, and the replies of a
// pipeline keep their order.
func TestBlockingPops(t *testing.T) {
	withLoops(t, func(t *testing.T, settings ...string) {
		s := startServer(t, settings...)
		pusher := dial(t, s)
		var waiting []*client
		for i := range 3 {
			c := dial(t, s)
			c.send(request("PING") + request("BLPOP", "nothing", "q", "0") + request("ECHO", fmt.Sprint(i)) + request("BRPOP", "q", "0.01"))
			c.expect("+PONG\r\n")
			blocked(t, s, int64(i+1))
			waiting = append(waiting, c)
		}
		pusher.roundTrip(request("RPUSH", "q", "a", "b", "c", "d"), ":4\r\n")
		for i, c := range waiting {
			c.expect(bulks("q", string(rune('a'+i))) + fmt.Sprintf("$1\r\n%d\r\n", i))
		}
		// One of the second pops got d, the others time out.
		got := 0
		for _, c := range waiting {
			if r := c.reply(); r == bulks("q", "d") {
				got++
			} else if r != "*-1\r\n" {
				t.Errorf("reply %q", r)
			}
		}
		if got != 1 {
			t.Errorf("d was popped %d times", got)
		}
		blocked(t, s, 0)
		pusher.roundTrip(request("EXISTS", "q"), ":0\r\n")
	})
}

// A pusher's reply tells of the list before it is emptied again; a later command of
// the same pipeline finds it empty.
func TestBlockedAreServedBetweenCommands(t *testing.T) {
	s := startServer(t)
	c, pusher := dial(t, s), dial(t, s)
	c.send(request("BLPOP", "q", "0"))
	blocked(t, s, 1)
	pusher.roundTrip(request("RPUSH", "q", "a")+request("LPOP", "q")+request("LLEN", "q"), ":1\r\n$-1\r\n:0\r\n")
	c.expect(bulks("q", "a"))
	// Not within a transaction.
	c.send(request("BLPOP", "q", "0"))
	blocked(t, s, 1)
	pusher.roundTrip(request("MULTI")+request("RPUSH", "q", "a", "b")+request("LPOP", "q")+request("EXEC"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n$1\r\na\r\n")
	c.expect(bulks("q", "b"))
	// Blocking commands in one do not block.
	c.roundTrip(request("MULTI")+request("BLPOP", "q", "0")+request("BLMOVE", "q", "q", "LEFT", "LEFT", "0")+request("BZPOPMIN", "q", "0")+
		request("BLMPOP", "0", "1", "q", "LEFT")+request("EXEC"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n*-1\r\n$-1\r\n*-1\r\n*-1\r\n")
}

// Moves wake who waits for their destination, and a client is only served by a key of
// the type that it wants.
func TestBlockingChains(t *testing.T) {
	s := startServer(t)
	a, b, c, z, pusher := dial(t, s), dial(t, s), dial(t, s), dial(t, s), dial(t, s)
	for i, wait := range []struct {
		c    *client
		args []string
	}{
		{a, []string{"BLPOP", "three", "0"}},
		{b, []string{"BLMOVE", "two", "three", "LEFT", "RIGHT", "0"}},
		{c, []string{"BRPOPLPUSH", "one", "two", "0"}},
		{z, []string{"BZPOPMIN", "one", "0"}},
	} {
		wait.c.send(request(wait.args...))
		blocked(t, s, int64(i+1))
	}
	pusher.roundTrip(request("SET", "one", "string"), "+OK\r\n")
	pusher.roundTrip(request("DEL", "one"), ":1\r\n")
	blocked(t, s, 4)
	pusher.roundTrip(request("LPUSH", "one", "x"), ":1\r\n")
	a.expect(bulks("three", "x"))
	b.expect("$1\r\nx\r\n")
	c.expect("$1\r\nx\r\n")
	pusher.roundTrip(request("EXISTS", "one", "two", "three"), ":0\r\n")
	pusher.roundTrip(request("ZADD", "one", "2", "y", "1", "x"), ":2\r\n")
	z.expect(bulks("one", "x", "1"))
	z.send(request("DEL", "one") + request("BZPOPMAX", "one", "two", "0"))
	z.expect(":1\r\n")
	blocked(t, s, 1)
	pusher.roundTrip(request("ZADD", "two", "2", "y", "1", "x"), ":2\r\n")
	z.expect(bulks("two", "y", "2"))
	z.send(request("DEL", "two") + request("BZMPOP", "0", "2", "one", "two", "MIN", "COUNT", "5"))
	z.expect(":1\r\n")
	blocked(t, s, 1)
	pusher.roundTrip(request("ZADD", "two", "2", "y", "1", "x"), ":2\r\n")
	z.expect("*2\r\n$3\r\ntwo\r\n*2\r\n*2\r\n$1\r\nx\r\n$1\r\n1\r\n*2\r\n$1\r\ny\r\n$1\r\n2\r\n")
	// The destination of a move has another type by then: the element stays.
	b.send(request("BLMOVE", "src", "dst", "LEFT", "RIGHT", "0"))
	blocked(t, s, 1)
	pusher.roundTrip(request("SET", "dst", "string"), "+OK\r\n")
	pusher.roundTrip(request("RPUSH", "src", "x"), ":1\r\n")
	b.expect("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
	pusher.roundTrip(request("LRANGE", "src", "0", "-1"), bulks("x"))
	// A client that waits for several keys, two of them the same, is served once.
	a.send(request("BLMPOP", "0", "3", "k", "k", "l", "RIGHT", "COUNT", "2"))
	blocked(t, s, 1)
	pusher.roundTrip(request("MULTI")+request("RPUSH", "l", "1", "2", "3")+request("RPUSH", "k", "4")+request("EXEC"), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n:1\r\n")
	a.expect("*2\r\n$1\r\nk\r\n" + bulks("4"))
	pusher.roundTrip(request("LLEN", "l"), ":3\r\n")
}

// What makes a key of another one serves who waits for it.
func TestBlockedAreServedByAnyWrite(t *testing.T) {
	s := startServer(t)
	c, other := dial(t, s), dial(t, s)
	for _, make := range [][]string{
		{"RENAME", "list", "q"}, {"COPY", "list", "q"}, {"LMOVE", "list", "q", "LEFT", "LEFT"}, {"RPOPLPUSH", "list", "q"}, {"SWAPDB", "0", "1"}, {"MOVE", "q", "0"},
	} {
		other.do("FLUSHALL")
		c.send(request("BLPOP", "q", "0"))
		blocked(t, s, 1)
		other.do("RPUSH", "list", "x")
		switch make[0] {
		case "SWAPDB", "MOVE":
			other.do("SELECT", "1")
			other.do("RPUSH", "q", "x")
		}
		other.do(make...)
		other.do("SELECT", "0")
		c.expect(bulks("q", "x"))
	}
}

func TestBlockingTimeouts(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	began := time.Now()
	c.roundTrip(request("BLPOP", "q", "0.05"), "*-1\r\n")
	if d := time.Since(began); d < 50*time.Millisecond || d > 5*time.Second {
		t.Errorf("it took %s", d)
	}
	c.roundTrip(request("BLMOVE", "q", "r", "LEFT", "LEFT", "0.001"), "*-1\r\n")
	c.roundTrip(request("BRPOPLPUSH", "q", "r", "0.001"), "*-1\r\n")
	c.roundTrip(request("BLMPOP", "0.001", "1", "q", "LEFT"), "*-1\r\n")
	c.roundTrip(request("BZPOPMAX", "q", "0.001"), "*-1\r\n")
	c.roundTrip(request("BLPOP", "q", "-1"), "-ERR timeout is negative\r\n")
	c.roundTrip(request("BLPOP", "q", "x"), "-ERR timeout is not a float or out of range\r\n")
	c.roundTrip(request("BLPOP", "q", "1e300"), "-ERR timeout is out of range\r\n")
	c.roundTrip(request("BLMPOP", "x", "1", "q", "LEFT"), "-ERR timeout is not a float or out of range\r\n")
	c.roundTrip(request("BLMPOP", "1", "0", "q", "LEFT"), "-ERR numkeys should be greater than 0\r\n")
	c.roundTrip(request("BLMOVE", "q", "r", "UP", "LEFT", "x"), "-ERR syntax error\r\n")
	c.roundTrip(request("SET", "s", "v"), "+OK\r\n")
	c.roundTrip(request("BLPOP", "q", "s", "0"), "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n")
	c.send(request("HELLO", "3"))
	c.reply()
	c.roundTrip(request("BLPOP", "q", "0.001"), "_\r\n")
	c.roundTrip(request("BZPOPMIN", "q", "0.001"), "_\r\n")
	c.roundTrip(request("ZADD", "z", "1.5", "m"), ":1\r\n")
	c.roundTrip(request("BZPOPMIN", "z", "0"), "*3\r\n$1\r\nz\r\n$1\r\nm\r\n,1.5\r\n")
	if n := s.node.Shard(0).Parked(); n != 0 {
		t.Errorf("%d tasks are parked", n)
	}
}

func TestClientUnblock(t *testing.T) {
	s := startServer(t)
	c, other := dial(t, s), dial(t, s)
	id := strings.TrimSuffix(c.do("CLIENT", "ID")[1:], "\r\n")
	other.roundTrip(request("CLIENT", "UNBLOCK", id), ":0\r\n")
	for _, how := range []struct{ words, want []string }{
		{[]string{"BLPOP", "q", "0"}, []string{"*-1\r\n", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"}},
		{[]string{"WAIT", "1", "0"}, []string{":0\r\n", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"}},
	} {
		c.send(request(how.words...))
		blocked(t, s, 1)
		if list := other.do("CLIENT", "LIST", "ID", id); !strings.Contains(list, " flags=b ") || !strings.Contains(list, " cmd="+strings.ToLower(how.words[0])+" ") && how.words[0] != "WAIT" {
			t.Errorf("CLIENT LIST: %s", list)
		}
		if info := other.do("INFO", "clients"); !strings.Contains(info, "\r\nblocked_clients:1\r\n") {
			t.Errorf("INFO: %s", info)
		}
		other.roundTrip(request("CLIENT", "UNBLOCK", id), ":1\r\n")
		c.expect(how.want[0])
		c.send(request(how.words...))
		blocked(t, s, 1)
		other.roundTrip(request("CLIENT", "UNBLOCK", id, "ERROR"), ":1\r\n")
		c.expect(how.want[1])
		blocked(t, s, 0)
	}
	other.roundTrip(request("CLIENT", "UNBLOCK", id, "timeout"), ":0\r\n")
	other.roundTrip(request("CLIENT", "UNBLOCK", "x"), "-ERR value is not an integer or out of range\r\n")
	other.roundTrip(request("CLIENT", "UNBLOCK", id, "x"), "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n")
	// It pops nothing afterwards.
	other.roundTrip(request("RPUSH", "q", "x"), ":1\r\n")
	other.roundTrip(request("LLEN", "q"), ":1\r\n")
}

// A client that is gone, by itself or by CLIENT KILL, gets nothing any more.
func TestBlockedClientGone(t *testing.T) {
	withLoops(t, func(t *testing.T, settings ...string) {
		s := startServer(t, settings...)
		other := dial(t, s)
		for _, leave := range []func(c *client){
			func(c *client) { c.Close() },
			func(c *client) { other.do("CLIENT", "KILL", "ADDR", c.LocalAddr().String()) },
		} {
			c, second := dial(t, s), dial(t, s)
			c.send(request("BLPOP", "q", "0"))
			blocked(t, s, 1)
			second.send(request("BLPOP", "q", "0"))
			blocked(t, s, 2)
			leave(c)
			blocked(t, s, 1)
			other.roundTrip(request("RPUSH", "q", "x"), ":1\r\n")
			second.expect(bulks("q", "x"))
		}
	})
}

// A server that closes does not wait for them.
func TestCloseWithBlocked(t *testing.T) {
	withLoops(t, func(t *testing.T, settings ...string) {
		s := startServer(t, settings...)
		for i := range 20 {
			c := dial(t, s)
			c.send(request("BLPOP", "q", fmt.Sprint(i%2*1000)))
		}
		blocked(t, s, 20)
	}) // the cleanup closes it
}
