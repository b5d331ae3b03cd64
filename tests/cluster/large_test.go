package cluster

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// largeLimit bounds the wait for what is said of a large value.
const largeLimit = 3 * time.Minute

// repeated is a stream of a text again and again.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// setLarge sends SET key with a value of that many bytes, in two goes so that no
// more than a part is in memory here, and returns the value's digest.
func setLarge(t *testing.T, c *harness.TestConn, key string, size int64) []byte {
	t.Helper()
	digest := sha256.New()
	if err := c.Send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", len(key), key, size)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.MultiWriter(c, digest), &repeated{text: randomText(1<<20 + 7)}, size); err != nil {
		t.Fatal(err)
	}
	if err := c.Send("\r\n"); err != nil {
		t.Fatal(err)
	}
	return digest.Sum(nil)
}

// readLarge reads one bulk string and returns its digest.
func readLarge(t *testing.T, c *harness.TestConn, size int64) []byte {
	t.Helper()
	if line, err := c.Reader().ReadString('\n'); err != nil || line != fmt.Sprintf("$%d\r\n", size) {
		t.Fatalf("%.200q, %v", line, err)
	}
	digest := sha256.New()
	if _, err := io.CopyN(digest, c.Reader(), size); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reader().Discard(2); err != nil {
		t.Fatal(err)
	}
	return digest.Sum(nil)
}

// A value much larger than any message between nodes goes through any node, and
// comes back from a transaction twice over. What happens at the limits themselves is
// tested in package server, where they are lower: on a small machine 512 MiB can
// cost a leader its connections, and then UNCERTAIN is the right answer.
func TestLargeValueThroughAFollower(t *testing.T) {
	harness.NeedLong(t)
	const size = 128 << 20
	// Elections are not what this is about: on a small machine that is busy three
	// nodes can take longer for so much than an election timeout.
	c := local(t, 3, "-fsync", "everysec", "-raft-tick", "200ms", "-raft-election-ticks", "50")
	leader := c.MustLeader(t)
	others := c.Others(leader)
	dial := func(n *harness.Node) *harness.TestConn {
		conn := n.Dial(t)
		conn.SetDeadline(time.Now().Add(largeLimit))
		return conn
	}
	conn := dial(others[0])
	began := time.Now()
	sent := setLarge(t, conn, "large", size)
	if r, err := conn.Read(); err != nil || string(r.Raw) != "+OK\r\n" {
		t.Fatalf("SET through a follower: %.200s, %v", r, err)
	}
	t.Logf("SET of %d MiB through a follower took %v", size>>20, time.Since(began))
	for _, n := range []*harness.Node{others[1], leader} {
		other := dial(n)
		other.Queue("GET", "large")
		if err := other.Flush(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readLarge(t, other, size), sent) {
			t.Errorf("node %d has another value", n.Number)
		}
	}

	for _, args := range [][]string{{"MULTI"}, {"GET", "large"}, {"INCR", "n"}, {"GETSET", "large", "x"}, {"SET", "large", "y", "GET"}, {"EXEC"}} {
		conn.Queue(args...)
	}
	conn.Queue("MULTI")
	conn.Queue("SET", "small", "1")
	conn.Queue("EXEC")
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	wantLine(t, conn, "+OK")
	for range 4 {
		wantLine(t, conn, "+QUEUED")
	}
	wantLine(t, conn, "*4")
	if !bytes.Equal(readLarge(t, conn, size), sent) {
		t.Error("another value in a transaction")
	}
	wantLine(t, conn, ":1")
	if !bytes.Equal(readLarge(t, conn, size), sent) {
		t.Error("another value in a transaction")
	}
	wantLine(t, conn, "$1")
	wantLine(t, conn, "x")
	for _, line := range []string{"+OK", "+QUEUED", "*1", "+OK"} {
		wantLine(t, conn, line)
	}
	conn.Want("$1\r\ny\r\n", "GET", "large")
	same(t, c)
}

func wantLine(t *testing.T, c *harness.TestConn, want string) {
	t.Helper()
	if line, err := c.Reader().ReadString('\n'); err != nil || strings.TrimSuffix(line, "\r\n") != want {
		t.Fatalf("got %.200q, %v, want %q", line, err, want)
	}
}
