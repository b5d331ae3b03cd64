package server

import (
	"strings"
	"testing"
)

// The replies of a client that is cut for its output limit go to nobody else.
func TestRepliesOfACutClientAreDropped(t *testing.T) {
	for _, loops := range []string{"0", "1"} {
		s := startServer(t, "event-loops", loops, "client-output-buffer-limit", "normal 10000 0 0")
		other := dial(t, s)
		other.roundTrip(request("SET", "big", strings.Repeat("x", 20000)), "+OK\r\n")
		for range 20 {
			c := dial(t, s)
			c.send(request("GET", "big"))
			c.expectEOF()
			for range 5 {
				other.roundTrip(request("PING"), "+PONG\r\n")
			}
		}
	}
}

// A reply with repetition ends at the limit, not when memory does.
func TestLongReplyIsCut(t *testing.T) {
	s := startServer(t, "client-output-buffer-limit", "normal 1000000 0 0", "lua-memory-limit", "8mb")
	c := dial(t, s)
	c.do("HSET", "h", "a", "b")
	c.do("SADD", "s", "a")
	c.do("ZADD", "z", "1", "a")
	for _, words := range [][]string{{"HRANDFIELD", "h", "-999999999", "WITHVALUES"}, {"SRANDMEMBER", "s", "-999999999"}, {"ZRANDMEMBER", "z", "-999999999"}} {
		long := dial(t, s)
		long.send(request(words...))
		long.expectEOF()
		c.roundTrip(request("PING"), "+PONG\r\n")
	}
	if got := c.eval("return redis.call('srandmember', KEYS[1], -2000000000)", "1", "s"); got[0] != '-' {
		t.Errorf("%.100q", got)
	}
}

// What a workspace still holds when it is given back is not there for who takes it next:
// the replies to a connection that broke while they were sent, say.
func TestWorkspaceIsGivenBackEmpty(t *testing.T) {
	s := startServer(t)
	for range 100 {
		c := &Conn{srv: s}
		c.ws = takeWorkspace(c)
		if n := len(c.ws.out.Buf); n != 0 {
			t.Fatalf("%d bytes are left over", n)
		}
		c.ws.out.BulkString("secret")
		c.ws.release()
	}
}
