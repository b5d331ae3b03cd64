package harness

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// callLimit bounds how long a TestConn waits for one reply, so that a server
// that hangs fails one test instead of the whole run.
const callLimit = 60 * time.Second

// Conn is a connection that speaks RESP and hides nothing.
type Conn struct {
	net.Conn
	r   *bufio.Reader
	out []byte
}

// Dial connects to host:port.
func Dial(addr string) (*Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return NewConn(c), nil
}

// NewConn speaks RESP over a connection that exists.
func NewConn(c net.Conn) *Conn { return &Conn{Conn: c, r: bufio.NewReaderSize(c, 64<<10)} }

// AppendCommand appends a command as an array of bulks.
func AppendCommand(dst []byte, args ...string) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, "\r\n"...)
	for _, a := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(a)), 10)
		dst = append(dst, "\r\n"...)
		dst = append(dst, a...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}

// Queue adds a command to what Flush will send.
func (c *Conn) Queue(args ...string) { c.out = AppendCommand(c.out, args...) }

// Flush sends the queued commands in one write.
func (c *Conn) Flush() error {
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// Send writes bytes as they are.
func (c *Conn) Send(raw string) error {
	_, err := c.Conn.Write([]byte(raw))
	return err
}

// Read reads one reply.
func (c *Conn) Read() (Reply, error) { return ReadReply(c.r) }

// Reader gives access to what has arrived, for replies too big to hold.
func (c *Conn) Reader() *bufio.Reader { return c.r }

// Call sends one command and reads its reply. err is about the connection; an
// error that the server replied is in the Reply.
func (c *Conn) Call(args ...string) (Reply, error) {
	c.Queue(args...)
	if err := c.Flush(); err != nil {
		return Reply{}, err
	}
	return c.Read()
}

// TestConn is a Conn whose failures fail the test.
type TestConn struct {
	*Conn
	t testing.TB
}

// Do sends one command and returns its reply.
func (c *TestConn) Do(args ...string) Reply {
	c.t.Helper()
	c.SetDeadline(time.Now().Add(callLimit))
	r, err := c.Call(args...)
	if err != nil {
		c.t.Fatalf("%s: %v", abbreviate(args), err)
	}
	return r
}

// Want sends one command and fails the test when the bytes of its reply differ.
func (c *TestConn) Want(reply string, args ...string) {
	c.t.Helper()
	if r := c.Do(args...); string(r.Raw) != reply {
		c.t.Fatalf("%s\n got %s\nwant %q", abbreviate(args), r, reply)
	}
}

// OK sends one command and fails the test when the reply is not +OK.
func (c *TestConn) OK(args ...string) {
	c.t.Helper()
	c.Want("+OK\r\n", args...)
}

// DoInt sends one command that must be answered with a number.
func (c *TestConn) DoInt(args ...string) int64 {
	c.t.Helper()
	r := c.Do(args...)
	n, ok := r.Int()
	if !ok {
		c.t.Fatalf("%s: got %s, want a number", abbreviate(args), r)
	}
	return n
}

// Info returns the fields of INFO section.
func (c *TestConn) Info(section string) map[string]string {
	c.t.Helper()
	r := c.Do("INFO", section)
	if r.IsError() {
		c.t.Fatalf("INFO %s: %s", section, r)
	}
	fields := make(map[string]string)
	for line := range strings.SplitSeq(string(r.Str), "\r\n") {
		if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(name, "#") {
			fields[name] = value
		}
	}
	return fields
}

func abbreviate(args []string) string {
	var b strings.Builder
	for i, a := range args {
		if i > 0 {
			b.WriteByte(' ')
		}
		if len(a) > 40 {
			fmt.Fprintf(&b, "%q...(%d bytes)", a[:40], len(a))
		} else {
			fmt.Fprintf(&b, "%q", a)
		}
	}
	return b.String()
}
