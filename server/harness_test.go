package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"dkv/cluster"
	"dkv/server/command"
)

// ioTimeout bounds what a test waits for; it is only met by a failing one.
const ioTimeout = 20 * time.Second

// startServer runs a server on an in-memory node until the test ends. settings
// are name, value pairs of parameters.
func startServer(t testing.TB, settings ...string) *Server {
	t.Helper()
	node, err := cluster.Open(cluster.Options{Diskless: true})
	if err != nil {
		t.Fatal(err)
	}
	return serveNode(t, node, settings...)
}

// serveNode runs a server on a node, which it closes, until the test ends.
func serveNode(t testing.TB, node *cluster.Node, settings ...string) *Server {
	t.Helper()
	cfg := NewConfig()
	for i := 0; i < len(settings); i += 2 {
		if err := cfg.Set(settings[i], settings[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if !cfg.Given("port") {
		if err := cfg.Set("port", "0"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := New(Options{Node: node, Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(context.Background()) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), ioTimeout)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil && !errors.Is(err, ErrClosed) { // closed before Serve began
			t.Errorf("serve: %v", err)
		}
		if err := node.Close(); err != nil {
			t.Errorf("close node: %v", err)
		}
	})
	return s
}

// client is one end of a connection, which speaks bytes.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, s *Server) *client {
	t.Helper()
	nc, err := net.Dial(s.Addr().Network(), s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		t.Fatal(err)
	}
	return &client{t, nc, bufio.NewReader(nc)}
}

func (c *client) send(raw string) {
	c.t.Helper()
	if _, err := io.WriteString(c, raw); err != nil {
		c.t.Fatalf("send %.60q: %v", raw, err)
	}
}

// expect reads exactly want.
func (c *client) expect(want string) {
	c.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil {
		c.t.Fatalf("got %.500q and %v, want %.500q", got[:n], err, want)
	}
	if string(got) != want {
		rest, _ := c.r.Peek(c.r.Buffered())
		c.t.Fatalf("got  %.500q\nwant %.500q", string(got)+string(rest), want)
	}
}

// roundTrip sends raw and expects exactly want, nothing before or after it.
func (c *client) roundTrip(raw, want string) {
	c.t.Helper()
	c.send(raw)
	c.expect(want)
	if n := c.r.Buffered(); n > 0 {
		rest, _ := c.r.Peek(n)
		c.t.Fatalf("after %.60q and its reply there is %q", raw, rest)
	}
}

// do sends words as a request and returns the reply's raw bytes.
func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(request(words...))
	return c.reply()
}

// reply reads one whole reply of RESP2 or RESP3.
func (c *client) reply() string {
	c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatalf("reply: %v after %q", err, line)
	}
	n := 0
	_, _ = fmt.Sscanf(line[1:], "%d", &n)
	switch line[0] {
	case '$', '=':
		if n < 0 {
			return line
		}
		body := make([]byte, n+2)
		if _, err := io.ReadFull(c.r, body); err != nil {
			c.t.Fatal(err)
		}
		return line + string(body)
	case '*', '~', '>', '%':
		if line[0] == '%' {
			n *= 2
		}
		for range n {
			line += c.reply()
		}
	}
	return line
}

// expectEOF checks that the server has closed the connection.
func (c *client) expectEOF() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err != io.EOF && !isReset(err) {
		c.t.Fatalf("the connection is open: %q, %v", b, err)
	}
}

func isReset(err error) bool {
	return err != nil && strings.Contains(err.Error(), "reset")
}

func request(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(ioTimeout)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func lookup(name string) *command.Spec { return command.Lookup([]byte(name)) }
