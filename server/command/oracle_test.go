package command

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// oracle is a real redis-server.
type oracle struct {
	tb testing.TB
	c  net.Conn
	r  *bufio.Reader
}

// lacking ends the test because the machine lacks something: as a skip on a
// developer's machine, as a failure where CI=true. (tests/harness has the same; a server
// must not know it.)
func lacking(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatalf("cannot run here, and CI=true allows no skip: %s", what)
	}
	tb.Skipf("skipped: %s", what)
}

// newOracle starts redis-server, or ends the test where there is none.
func newOracle(tb testing.TB) *oracle {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		lacking(tb, "redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "oracle") // short: a socket's path has a limit
	if err != nil {
		tb.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command(program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", dir)
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("unix", socket)
		if err == nil {
			tb.Cleanup(func() { c.Close() })
			return &oracle{tb: tb, c: c, r: bufio.NewReader(c)}
		}
		if time.Now().After(deadline) {
			tb.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // between two looks, not instead of one
	}
}

// do sends a command and returns its reply in wire form.
func (o *oracle) do(args ...string) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := o.c.Write(b.Bytes()); err != nil {
		o.tb.Fatal(err)
	}
	return string(o.read(nil))
}

func (o *oracle) read(dst []byte) []byte {
	line, err := o.r.ReadSlice('\n')
	if err != nil {
		o.tb.Fatal(err)
	}
	dst = append(dst, line...)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			body := make([]byte, n+2)
			if _, err := io.ReadFull(o.r, body); err != nil {
				o.tb.Fatal(err)
			}
			dst = append(dst, body...)
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			dst = o.read(dst)
		}
	}
	return dst
}
