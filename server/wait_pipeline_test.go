package server

import (
	"strings"
	"testing"
)

// What was answered before a WAIT that fails is not sent again.
func TestUnblockedWaitInAPipeline(t *testing.T) {
	withLoops(t, func(t *testing.T, settings ...string) {
		s := startServer(t, settings...)
		c, other := dial(t, s), dial(t, s)
		id := strings.Trim(c.do("CLIENT", "ID"), ":\r\n")
		c.send(request("PING") + request("WAIT", "1", "0") + request("ECHO", "x"))
		c.expect("+PONG\r\n")
		blocked(t, s, 1)
		other.roundTrip(request("CLIENT", "UNBLOCK", id, "ERROR"), ":1\r\n")
		c.expect("-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n$1\r\nx\r\n")
		c.roundTrip(request("PING"), "+PONG\r\n")
	})
}
