package server

import (
	"strings"
	"testing"
)

func TestDebug(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	for _, tc := range []struct{ request, want string }{
		{"DEBUG foo", "-ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.\r\n"},
		{"DEBUG SLEEP 0 1", "-ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.\r\n"},
		{"DEBUG SLEEP 0.001", "+OK\r\n"},
		{"DEBUG OBJECT nokey", "-ERR no such key\r\n"},
		{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n"},
		{"DEBUG SET-ACTIVE-EXPIRE 1", "+OK\r\n"},
		{"DEBUG RELOAD", "+OK\r\n"},
		{"DEBUG LOADAOF", "+OK\r\n"},
		{"DEBUG STRINGMATCH-LEN a*c abbbc", ":1\r\n"},
		{"DEBUG STRINGMATCH-LEN a*d abbbc", ":0\r\n"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 100b", "+OK\r\n"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD x", "-ERR argument must be a memory value bigger than 1 and smaller than 4gb\r\n"},
		{"DEBUG REPLYBUFFER RESIZING 0", "+OK\r\n"},
		{"DEBUG REPLYBUFFER FOO 0", "-ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.\r\n"},
		{"DEBUG PAUSE-CRON 1", "+OK\r\n"},
		{"DEBUG LOG hello", "+OK\r\n"},
		{"DEBUG ERROR MY-ERROR", "-MY-ERROR\r\n"},
		{"DEBUG POPULATE 3", "+OK\r\n"},
		{"DEBUG POPULATE x", "-ERR value is out of range, must be positive\r\n"},
		{"GET key:2", "$7\r\nvalue:2\r\n"},
		{"DEBUG POPULATE 2500 p 10", "+OK\r\n"},
		{"GET p:2499", "$10\r\nvalue:2499\r\n"},
		{"GET p:0", "$10\r\nvalue:0\x00\x00\x00\r\n"},
		{"DBSIZE", ":2503\r\n"},
	} {
		if got := c.do(strings.Fields(tc.request)...); got != tc.want {
			t.Errorf("%s: %q", tc.request, got)
		}
	}
	if got := c.do("DEBUG", "OBJECT", "key:1"); !strings.HasPrefix(got, "+Value at:0x0 refcount:1 encoding:embstr serializedlength:8 lru:") {
		t.Errorf("OBJECT: %q", got)
	}
	before := s.replID("cluster")
	c.do("DEBUG", "CHANGE-REPL-ID")
	if after := s.replID("cluster"); after == before || len(after) != 40 {
		t.Errorf("CHANGE-REPL-ID: %q", after)
	}
}

func TestDebugDenied(t *testing.T) {
	c := dial(t, startServer(t, "enable-debug-command", "no"))
	if got := c.do("DEBUG", "SLEEP", "0"); got != "-"+string(errDebugDenied)+"\r\n" {
		t.Errorf("%q", got)
	}
}

// The digests are those that redis-server 7.0 gives for the same data.
func TestDebugDigest(t *testing.T) {
	c := dial(t, startServer(t))
	zero := "+0000000000000000000000000000000000000000\r\n"
	if got := c.do("DEBUG", "DIGEST"); got != zero {
		t.Errorf("empty: %q", got)
	}
	c.do("SET", "a", "b")
	c.do("SET", "b", "123")
	c.do("SET", "exp", "1", "PX", "100000000")
	want := "*4\r\n+b78559cd22bce6e6df712eb99ce7f3b08e8f8f1f\r\n+89f7f51b707418f666d5b45e053bd5bbbf82ac2b\r\n" +
		zero + "+5279988c5d1911f474bcbbf2f0a87012d40f8459\r\n"
	if got := c.do("DEBUG", "DIGEST-VALUE", "a", "b", "nokey", "exp"); got != want {
		t.Errorf("values: %q", got)
	}
	one := c.do("DEBUG", "DIGEST")
	c.do("SELECT", "3")
	c.do("SET", "x", "y")
	if two := c.do("DEBUG", "DIGEST"); two == one || one == zero {
		t.Errorf("digests %q, %q", one, two)
	}
}

func TestDebugProtocol(t *testing.T) {
	c := dial(t, startServer(t))
	for _, tc := range []struct{ kind, resp2, resp3 string }{
		{"string", "$11\r\nHello World\r\n", "$11\r\nHello World\r\n"},
		{"integer", ":12345\r\n", ":12345\r\n"},
		{"double", "$5\r\n3.141\r\n", ",3.141\r\n"},
		{"null", "$-1\r\n", "_\r\n"},
		{"array", "*3\r\n:0\r\n:1\r\n:2\r\n", "*3\r\n:0\r\n:1\r\n:2\r\n"},
		{"set", "*3\r\n:0\r\n:1\r\n:2\r\n", "~3\r\n:0\r\n:1\r\n:2\r\n"},
		{"map", "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"},
		{"push", "-ERR RESP2 is not supported by this command\r\n",
			">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n$40\r\nSome real reply following the push reply\r\n"},
		{"attrib", "$39\r\nSome real reply following the attribute\r\n",
			"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the attribute\r\n"},
		{"verbatim", "$25\r\nThis is a verbatim\nstring\r\n", "=29\r\ntxt:This is a verbatim\nstring\r\n"},
		{"true", ":1\r\n", "#t\r\n"},
		{"false", ":0\r\n", "#f\r\n"},
		{"bignum", "$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n"},
	} {
		c.do("HELLO", "2")
		c.roundTrip(request("DEBUG", "PROTOCOL", tc.kind), tc.resp2)
		c.do("HELLO", "3")
		c.roundTrip(request("DEBUG", "PROTOCOL", tc.kind), tc.resp3)
	}
	if got := c.do("DEBUG", "PROTOCOL", "foo"); !strings.HasPrefix(got, "-ERR Wrong protocol type name.") {
		t.Errorf("%q", got)
	}
}

// A POPULATE that would take years ends when the server does, which startServer's end
// waits for.
func TestPopulateEnds(t *testing.T) {
	s := startServer(t)
	dial(t, s).send("debug populate 1000000000000 k 5\r\n")
	c := dial(t, s)
	eventually(t, "keys", func() bool { return c.do("dbsize") != ":0\r\n" })
}
