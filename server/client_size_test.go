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
