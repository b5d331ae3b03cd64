package server

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

var clientLine = regexp.MustCompile(`^id=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name=\S* age=\d+ idle=\d+ flags=\w+ db=\d+ ` +
	`sub=0 psub=0 ssub=0 multi=-?\d+ qbuf=\d+ qbuf-free=\d+ argv-mem=\d+ multi-mem=\d+ rbs=\d+ rbp=\d+ obl=\d+ oll=\d+ omem=\d+ ` +
	`tot-mem=\d+ events=rw? cmd=[\w|-]+ user=default redir=-1 resp=[23] lib-name=\S* lib-ver=\S*\n$`)

func body(bulk string) string {
	_, b, _ := strings.Cut(bulk, "\r\n")
	return strings.TrimSuffix(b, "\r\n")
}

func TestClientInfo(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.roundTrip("client setname me\r\nclient setinfo lib-name lib\r\nclient setinfo LIB-VER 1.0\r\nselect 3\r\n", "+OK\r\n+OK\r\n+OK\r\n+OK\r\n")
	line := body(c.do("client", "info"))
	if !clientLine.MatchString(line) {
		t.Errorf("bad line %q", line)
	}
	for _, want := range []string{" name=me ", " db=3 ", " flags=N ", " multi=-1 ", " cmd=client|info ", " resp=2 ", " lib-name=lib lib-ver=1.0\n"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	c.roundTrip("multi\r\nset ci 1\r\n", "+OK\r\n+QUEUED\r\n")
	other := dial(t, s)
	other.do("hello", "3")
	list := other.do("client", "list")
	lines := strings.SplitAfter(strings.TrimPrefix(body(list), "txt:"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines in %q", len(lines)-1, list)
	}
	for _, l := range lines[:2] {
		if !clientLine.MatchString(l) {
			t.Errorf("bad line %q", l)
		}
	}
	for _, want := range []string{" flags=x ", " multi=1 ", " cmd=set "} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("no %q in %q", want, lines[0])
		}
	}
	c.roundTrip("discard\r\nclient getname\r\nclient setname ''\r\nclient getname\r\n", "+OK\r\n$2\r\nme\r\n+OK\r\n$-1\r\n")
}

func TestClientErrors(t *testing.T) {
	s := startServer(t)
	dial(t, s).roundTrip("client setname 'a b'\r\nclient list id x\r\nclient list id 99\r\nclient list type foo\r\nclient list type master\r\nclient list foo\r\nclient list id\r\nclient list type\r\n",
		"-ERR Client names cannot contain spaces, newlines or special characters.\r\n-ERR Invalid client ID\r\n$0\r\n\r\n-ERR Unknown client type 'foo'\r\n$0\r\n\r\n-ERR syntax error\r\n-ERR syntax error\r\n-ERR syntax error\r\n")
	dial(t, s).roundTrip("client kill id x\r\nclient kill id 0\r\nclient kill foo bar\r\nclient kill type foo\r\nclient kill 1:1\r\nclient kill user x\r\nclient kill id 99\r\nclient kill id 1 type\r\n",
		"-ERR client-id should be greater than 0\r\n-ERR client-id should be greater than 0\r\n-ERR syntax error\r\n-ERR Unknown client type 'foo'\r\n-ERR No such client\r\n-ERR No such user 'x'\r\n:0\r\n-ERR syntax error\r\n")
	dial(t, s).roundTrip("client unpause\r\nclient pause -1\r\nclient pause x\r\nclient pause 1 foo\r\n",
		"+OK\r\n-ERR timeout is negative\r\n-ERR timeout is not an integer or out of range\r\n-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n")
	dial(t, s).roundTrip("client setinfo foo bar\r\nclient setinfo lib-name 'a b'\r\nclient no-evict x\r\nclient no-evict on\r\nclient no-touch on\r\n",
		"-ERR Unrecognized option 'foo'\r\n-ERR lib-name cannot contain spaces, newlines or special characters.\r\n-ERR syntax error\r\n+OK\r\n+OK\r\n")
}

func TestClientKill(t *testing.T) {
	s := startServer(t)
	a, b, c := dial(t, s), dial(t, s), dial(t, s)
	idOf := func(c *client) string { return strings.TrimPrefix(strings.TrimSpace(c.do("client", "id")), ":") }
	aID := idOf(a)
	idOf(b)
	c.roundTrip(request("client", "kill", "id", aID), ":1\r\n")
	a.expectEOF()
	c.roundTrip(request("client", "kill", b.LocalAddr().String()), "+OK\r\n")
	b.expectEOF()
	c.roundTrip("client kill type normal\r\n", ":0\r\n")
	d := dial(t, s)
	d.do("ping")
	c.send("client kill type normal skipme no\r\nping\r\n")
	c.expect(":2\r\n")
	c.expectEOF()
	d.expectEOF()
	eventually(t, "all clients gone", func() bool { return s.ClientCount() == 0 })
}

func TestClientPause(t *testing.T) {
	s := startServer(t)
	a, b := dial(t, s), dial(t, s)
	paused := func() bool { return strings.Contains(b.do("client", "list"), "flags=b") }

	b.roundTrip("client pause 100000 write\r\n", "+OK\r\n")
	a.send("ping\r\nset cp 1\r\nget cp\r\n")
	a.expect("+PONG\r\n")
	eventually(t, "the write waits", paused)
	b.roundTrip("get cp\r\n", "$-1\r\n")
	b.roundTrip("client unpause\r\n", "+OK\r\n")
	a.expect("+OK\r\n$1\r\n1\r\n")

	// EXEC waits when it would write, and a short pause ends by itself.
	a.roundTrip("multi\r\n", "+OK\r\n")
	a.roundTrip("set cp 2\r\n", "+QUEUED\r\n")
	b.roundTrip("client pause 300 write\r\n", "+OK\r\n")
	began := time.Now()
	a.roundTrip("exec\r\n", "*1\r\n+OK\r\n")
	if d := time.Since(began); d < 200*time.Millisecond {
		t.Errorf("EXEC did not wait: %v", d)
	}

	// ALL holds back the one that asked for it too, and WRITE does not weaken it.
	b.roundTrip("client pause 100000 all\r\n", "+OK\r\n")
	b.send("ping\r\n")
	a.send("ping\r\n")
	eventually(t, "both wait", func() bool {
		n := 0
		s.clients.each(func(c *Conn) {
			if c.shared.flags.Load()&flagPaused != 0 {
				n++
			}
		})
		return n == 2
	})
	s.pause.begin(pauseWrites, 0)
	s.pause.end()
	a.expect("+PONG\r\n")
	b.expect("+PONG\r\n")
}

func TestPausedClientCanBeKilled(t *testing.T) {
	s := startServer(t)
	a, b := dial(t, s), dial(t, s)
	b.roundTrip("client pause 100000 write\r\n", "+OK\r\n")
	a.send("set pk 1\r\n")
	eventually(t, "the write waits", func() bool { return strings.Contains(b.do("client", "list"), "flags=b") })
	b.roundTrip("client kill type normal\r\n", ":1\r\n")
	a.expectEOF()
	b.roundTrip("client unpause\r\nexists pk\r\n", "+OK\r\n:0\r\n")
}
