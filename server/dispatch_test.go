package server

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"dkv/server/command"
)

func TestEveryCommandHasOneHandler(t *testing.T) {
	for _, spec := range command.All() {
		container := spec.IsContainer()
		n := 0
		if spec.Handler != nil {
			n++
		}
		if bound[spec.Name] != nil {
			n++
		}
		if container && n != 0 || !container && n != 1 {
			t.Errorf("%s: %d handlers", spec.Name, n)
		}
	}
	for name := range bound {
		container, sub, _ := strings.Cut(name, "|")
		spec := command.Lookup([]byte(container))
		if spec != nil && sub != "" {
			spec = spec.Sub([]byte(sub))
		}
		if spec == nil {
			t.Errorf("%s: a handler for no command", name)
		}
	}
}

func TestExactReplies(t *testing.T) {
	s := startServer(t)
	tests := []struct{ name, send, want string }{
		{"ping", "PING\r\nping a\r\nPING a b\r\n", "+PONG\r\n$1\r\na\r\n-ERR wrong number of arguments for 'ping' command\r\n"},
		{"echo", "echo 'a b'\r\n", "$3\r\na b\r\n"},
		{"unknown", "foo\r\nfoo a 'b c'\r\n", "-ERR unknown command 'foo', with args beginning with: \r\n-ERR unknown command 'foo', with args beginning with: 'a' 'b c' \r\n"},
		{"unknown with line break", request("f\no", "x"), "-ERR unknown command 'f o', with args beginning with: 'x' \r\n"},
		{"not built yet", "failover a\r\n", "-ERR unknown command 'failover', with args beginning with: 'a' \r\n"},
		{"arity", "get\r\nGET a b\r\nset a\r\n", "-ERR wrong number of arguments for 'get' command\r\n-ERR wrong number of arguments for 'get' command\r\n-ERR wrong number of arguments for 'set' command\r\n"},
		{"subcommands", "client\r\nclient foo\r\nCLIENT kill\r\nClient id x\r\n", "-ERR wrong number of arguments for 'client' command\r\n-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n-ERR wrong number of arguments for 'client|kill' command\r\n-ERR wrong number of arguments for 'client|id' command\r\n"},
		{"select", "select -1\r\nselect 16\r\nselect x\r\nselect 99999999999999999999\r\nselect 15\r\n", "-ERR DB index is out of range\r\n-ERR DB index is out of range\r\n-ERR value is not an integer or out of range\r\n-ERR value is not an integer or out of range\r\n+OK\r\n"},
		{"quit", "QUIT\r\nPING\r\n", "+OK\r\n"},
		{"reset", "select 3\r\nmulti\r\nclient setname n\r\nreset\r\nclient getname\r\nexec\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n+RESET\r\n$-1\r\n-ERR EXEC without MULTI\r\n"},
		{"empty requests", "\r\n*0\r\n*-1\r\nPING\r\n", "+PONG\r\n"},
		{"write then read", "set er:a 1\r\nget er:a\r\nincr er:a\r\nget er:a\r\n", "+OK\r\n$1\r\n1\r\n:2\r\n$1\r\n2\r\n"},
		{"failed write in a pipeline", "set er:b x\r\nincr er:b\r\nset er:c 1\r\nincr er:c\r\n", "+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n:2\r\n"},
		{"hello syntax", "hello 4\r\nhello x\r\nhello 3 foo\r\nhello 3 setname\r\nhello 3 setname 'a b'\r\n", "-NOPROTO unsupported protocol version\r\n-ERR Protocol version is not an integer or out of range\r\n-ERR Syntax error in HELLO option 'foo'\r\n-ERR Syntax error in HELLO option 'setname'\r\n-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
		{"auth without password", "auth x\r\nauth default x\r\nauth foo x\r\nauth a b c\r\n", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n+OK\r\n-WRONGPASS invalid username-password pair or user is disabled.\r\n-ERR syntax error\r\n"},
		{"resp3 null", "hello 3 setname er\r\nget er:none\r\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.want == "" {
				t.Skip("below")
			}
			for _, pieces := range []bool{false, true} {
				c := dial(t, s)
				if pieces {
					go func() {
						for i := range len(tt.send) {
							if _, err := c.Write([]byte(tt.send[i : i+1])); err != nil {
								return
							}
						}
					}()
					c.expect(tt.want)
				} else {
					c.roundTrip(tt.send, tt.want)
				}
				c.Close()
				dial(t, s).do("del", "er:a", "er:b", "er:c")
			}
		})
	}
}

func TestProtocolErrorsClose(t *testing.T) {
	s := startServer(t)
	long := strings.Repeat("x", 70000)
	tests := map[string]string{
		"*x\r\n":                    "-ERR Protocol error: invalid multibulk length\r\n",
		"*2147483648\r\n":           "-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\nfoo\r\n":             "-ERR Protocol error: expected '$', got 'f'\r\n",
		"*1\r\n\r\n":                "-ERR Protocol error: expected '$', got ' '\r\n",
		"*1\r\n$536870913\r\n":      "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n$x\r\n":              "-ERR Protocol error: invalid bulk length\r\n",
		"\"\r\n":                    "-ERR Protocol error: unbalanced quotes in request\r\n",
		long:                        "-ERR Protocol error: too big inline request\r\n",
		"*" + long:                  "-ERR Protocol error: too big mbulk count string\r\n",
		"*1\r\n$" + long:            "-ERR Protocol error: too big bulk count string\r\n",
		"PING\r\n*x\r\nPING\r\n":    "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
		"set pe 1\r\n*x\r\n":        "+OK\r\n-ERR Protocol error: invalid multibulk length\r\n",
		"POST / HTTP/1.1\r\n":       "",
		"Host: x\r\nset pe:x 1\r\n": "",
		"PING\r\nQUIT\r\nPING\r\n":  "+PONG\r\n+OK\r\n",
	}
	for send, want := range tests {
		c := dial(t, s)
		// The server may close before it has read everything.
		_, _ = c.Write([]byte(send))
		c.expect(want)
		c.expectEOF()
	}
	c := dial(t, s)
	c.roundTrip("exists pe:x\r\n", ":0\r\n")
}

func TestDeepPipeline(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	const n = 10000
	go func() {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "SET dp:%d %d\r\nGET dp:%d\r\nINCR dp:n\r\n", i%100, i, i%100)
			if b.Len() > 1<<20 {
				_, _ = c.Write([]byte(b.String()))
				b.Reset()
			}
		}
		_, _ = c.Write([]byte(b.String()))
	}()
	for i := range n {
		v := fmt.Sprint(i)
		c.expect(fmt.Sprintf("+OK\r\n$%d\r\n%s\r\n:%d\r\n", len(v), v, i+1))
	}
}

// TestPipelineUnread sends a whole pipeline before reading anything, as many
// client libraries do: replies far beyond the socket's buffers must not stop
// the server from reading on.
func TestPipelineUnread(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	value := strings.Repeat("v", 10000)
	c.roundTrip(request("SET", "pu", value), "+OK\r\n")
	const n = 4000 // 40 MB of replies
	request := strings.Repeat("GET pu\r\n", n) + strings.Repeat("PING "+strings.Repeat("x", 1000)+"\r\n", 10000)
	c.send(request)
	want := fmt.Sprintf("$%d\r\n%s\r\n", len(value), value)
	for range n {
		c.expect(want)
	}
	for range 10000 {
		c.expect("$1000\r\n" + strings.Repeat("x", 1000) + "\r\n")
	}
	c.roundTrip("PING\r\n", "+PONG\r\n")
}

func TestBigValue(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	value := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	c.roundTrip(request("SET", "big", value), "+OK\r\n")
	c.send(request("GET", "big") + request("PING"))
	c.expect(fmt.Sprintf("$%d\r\n", len(value)))
	c.expect(value)
	c.expect("\r\n+PONG\r\n")
}

// TestPanicIsContained runs handlers that panic, one of either kind.
func TestPanicIsContained(t *testing.T) {
	s := startServer(t)
	write, read := *command.Lookup([]byte("set")), *command.Lookup([]byte("get"))
	write.Handler = func(c *command.Ctx) error {
		if err := command.Lookup([]byte("set")).Handler(c); err != nil {
			return err
		}
		panic("after writing")
	}
	read.Handler = func(c *command.Ctx) error {
		c.Out.Array(7)
		panic("while replying")
	}
	c := newConn(s, pipeConn(t))
	c.ws = takeWorkspace(c)
	args := [][]byte{[]byte("set"), []byte("panic"), []byte("1")}
	c.ws.add(0, &write, args, 0)
	c.finishWrites()
	for _, spec := range []*command.Spec{&read, command.Lookup([]byte("get"))} {
		if err := c.ws.read(0, spec, args[:2]); err != nil {
			t.Error(err)
		}
	}
	c.finish()
	want := "-ERR internal error\r\n-ERR internal error\r\n$-1\r\n"
	if got := string(c.ws.out.Buf); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	dial(t, s).roundTrip("set panic 2\r\nget panic\r\n", "+OK\r\n$1\r\n2\r\n")
}

func pipeConn(t *testing.T) net.Conn {
	a, b := net.Pipe()
	t.Cleanup(func() { a.Close(); b.Close() })
	return a
}

func TestCloseFinishesCommands(t *testing.T) {
	s := startServer(t)
	c := dial(t, s)
	c.roundTrip("PING\r\n", "+PONG\r\n")
	idle := dial(t, s)
	idle.roundTrip("PING\r\n", "+PONG\r\n")
	ctx, cancel := contextWithTimeout()
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	c.expectEOF()
	idle.expectEOF()
	if _, err := net.DialTimeout("tcp", s.Addr().String(), time.Second); err == nil {
		t.Error("the server still accepts")
	}
	if n := s.ClientCount(); n != 0 {
		t.Errorf("%d clients are left", n)
	}
}
