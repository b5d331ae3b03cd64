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
