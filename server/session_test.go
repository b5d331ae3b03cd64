package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

func contextWithTimeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), ioTimeout)
}

func TestHello(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	id := strings.TrimSpace(c.do("client", "id"))
	fields := "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n" + compatibleVersion + "\r\n$5\r\nproto\r\n:%d\r\n$2\r\nid\r\n" + id +
		"\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
	c.roundTrip("HELLO\r\n", "*14\r\n"+fmt.Sprintf(fields, 2))
	c.roundTrip("HELLO 3 SETNAME me\r\n", "%7\r\n"+fmt.Sprintf(fields, 3))
	c.roundTrip("GET none\r\nCLIENT GETNAME\r\n", "_\r\n$2\r\nme\r\n")
	c.roundTrip("RESET\r\nGET none\r\n", "+RESET\r\n$-1\r\n")
}

func TestAuth(t *testing.T) {
	s := startServer(t, "requirepass", "secret")
	const noAuth = "-NOAUTH Authentication required.\r\n"
	const wrong = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
	c := dial(t, s)
	c.roundTrip("PING\r\nget a\r\nclient id\r\n", noAuth+noAuth+noAuth)
	c.roundTrip("multi\r\n", noAuth)
	c.roundTrip("exec\r\n", "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n")
	c.roundTrip("hello 3\r\n", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n")
	c.roundTrip("auth x\r\nauth default x\r\nauth other secret\r\nhello 2 auth default x\r\n", wrong+wrong+wrong+wrong)
	c.roundTrip("PING\r\n", noAuth)
	c.roundTrip("auth secret\r\nPING\r\n", "+OK\r\n+PONG\r\n")
	c.roundTrip("reset\r\nPING\r\n", "+RESET\r\n"+noAuth)
	c.roundTrip("auth default secret\r\nPING\r\n", "+OK\r\n+PONG\r\n")

	c = dial(t, s)
	if got := c.do("hello", "3", "auth", "default", "secret"); !strings.HasPrefix(got, "%7") {
		t.Errorf("HELLO AUTH: %q", got)
	}
	c.roundTrip("PING\r\n", "+PONG\r\n")

	dial(t, s).roundTrip("quit\r\n", "+OK\r\n")

	// A client that was there before the password stays in; new ones must give it.
	if err := s.config.Set("requirepass", ""); err != nil {
		t.Fatal(err)
	}
	free := dial(t, s)
	free.roundTrip("PING\r\n", "+PONG\r\n")
	if err := s.config.Set("requirepass", "new"); err != nil {
		t.Fatal(err)
	}
	free.roundTrip("PING\r\n", "+PONG\r\n")
	dial(t, s).roundTrip("PING\r\n", noAuth)
}

func TestUnauthenticatedLimits(t *testing.T) {
	s := startServer(t, "requirepass", "secret")
	c := dial(t, s)
	c.send("*11\r\n")
	c.expect("-ERR Protocol error: unauthenticated multibulk length\r\n")
	c.expectEOF()
	c = dial(t, s)
	c.send("*1\r\n$16385\r\n")
	c.expect("-ERR Protocol error: unauthenticated bulk length\r\n")
	c.expectEOF()
	c = dial(t, s)
	big := strings.Repeat("x", 20000)
	c.roundTrip("auth secret\r\n"+request("set", "k", big), "+OK\r\n+OK\r\n")
	c.send("reset\r\n" + request("set", "k", big))
	c.expect("+RESET\r\n-ERR Protocol error: unauthenticated bulk length\r\n")
	c.expectEOF()
}

func TestClientReply(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.roundTrip("client reply skip\r\nping\r\nping a\r\n", "$1\r\na\r\n")
	c.roundTrip("client reply skip\r\nset cr 1\r\nget cr\r\n", "$1\r\n1\r\n")
	c.roundTrip("client reply off\r\nping\r\nset cr 2\r\nget cr\r\nfoo\r\nclient reply on\r\n", "+OK\r\n")
	c.roundTrip("get cr\r\nclient reply foo\r\n", "$1\r\n2\r\n-ERR syntax error\r\n")
	c.roundTrip("multi\r\nclient reply skip\r\nping\r\nexec\r\nping\r\necho a\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+PONG\r\n$1\r\na\r\n")
	c.roundTrip("multi\r\nclient reply off\r\nexec\r\nping\r\nclient reply on\r\n", "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
}
