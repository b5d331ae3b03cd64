package server

import (
	"strings"
	"testing"
)

// The query buffer of who asks has the request itself.
func TestClientInfoCountsTheRequest(t *testing.T) {
	c := dial(t, startServer(t))
	if got := c.do("CLIENT", "INFO"); !strings.Contains(got, " qbuf=26 ") {
		t.Errorf("%q", got)
	}
	raw := request("CLIENT", "LIST") + request("PING")
	c.send(raw)
	if got := c.reply(); !strings.Contains(got, " qbuf=40 ") {
		t.Errorf("%q", got)
	}
	c.expect("+PONG\r\n")
}

// Who is held back by CLIENT PAUSE counts as blocked.
func TestPausedClientsAreBlocked(t *testing.T) {
	s := startServer(t)
	c, w := dial(t, s), dial(t, s)
	blocked := func(n string) func() bool {
		return func() bool { return strings.Contains(c.do("INFO", "clients"), "blocked_clients:"+n+"\r\n") }
	}
	c.roundTrip(request("CLIENT", "PAUSE", "100000", "WRITE"), "+OK\r\n")
	w.send(request("SET", "a", "1"))
	eventually(t, "the write waits", blocked("1"))
	if got := dial(t, s).do("EVAL", "#!lua flags=no-writes\nreturn 1", "0"); got != ":1\r\n" {
		t.Errorf("%q", got)
	}
	c.roundTrip(request("CLIENT", "UNPAUSE"), "+OK\r\n")
	w.expect("+OK\r\n")
	eventually(t, "nobody waits", blocked("0"))
}

// Another min-replicas-max-lag counts at once.
func TestMaxLagCountsAtOnce(t *testing.T) {
	s := startServer(t, "min-replicas-to-write", "1")
	c := dial(t, s)
	s.repl.good.count.Store(1)
	s.repl.good.at.Store(nanotime() + int64(ioTimeout)) // known for long
	c.roundTrip(request("SET", "a", "1"), "+OK\r\n")
	c.roundTrip(request("CONFIG", "SET", "min-replicas-max-lag", "5"), "+OK\r\n")
	c.roundTrip(request("SET", "a", "1"), "-NOREPLICAS Not enough good replicas to write.\r\n")
}
