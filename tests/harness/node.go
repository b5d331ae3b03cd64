package harness

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"dkv/tests/harness/wire"
)

// Node is one process of a Cluster.
type Node struct {
	*Server
	// Number names the node here; it is never used again.
	Number int
	// Peer is host:port for the other nodes.
	Peer string
	// Dir holds its data folder; the root of its disk when it has one of its own.
	Dir string
	// Host is where it runs, nil when that is this machine's own network.
	Host *wire.Host

	flags []string
	gone  atomic.Bool
	clock string // the file that its clock follows, "" without one
}

// URL is how CLUSTER ADDNODE and REMOVENODE name the node.
func (n *Node) URL() string { return "http://" + n.Peer }

// Gone reports whether the cluster has forgotten the node.
func (n *Node) Gone() bool { return n.gone.Load() }

// Running reports whether its process is there, stopped or not.
func (n *Node) Running() bool { return n.PID() != 0 }

// Call connects, sends one command and reads its reply, all within limit.
func (n *Node) Call(limit time.Duration, args ...string) (Reply, error) {
	c, err := n.Connect()
	if err != nil {
		return Reply{}, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	return c.Call(args...)
}

// JumpClock sets how far the node's wall clock is off. Its monotonic clock
// goes on as before, as when the machine's clock is set.
func (n *Node) JumpClock(off time.Duration) error {
	f, err := os.OpenFile(n.clock, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var b [clockBytes]byte
	binary.NativeEndian.PutUint64(b[:], uint64(off))
	_, err = f.WriteAt(b[:], 0)
	return err
}

// data is the folder that dkvsrv gets: below what may be a disk of its own,
// beside what fills it.
func (n *Node) data() string    { return filepath.Join(n.Dir, "data") }
func (n *Node) ballast() string { return filepath.Join(n.Dir, "ballast") }

// Must is Call for tests, which fail when there is no reply or an error.
func (n *Node) Must(t testing.TB, args ...string) Reply {
	t.Helper()
	r, err := n.Call(callLimit, args...)
	if err != nil || r.IsError() {
		t.Fatalf("%s on node %d: %s %v", abbreviate(args), n.Number, r, err)
	}
	return r
}

func (n *Node) args(port int) []string {
	host := "127.0.0.1"
	if n.Host != nil {
		host = n.Host.Addr()
	}
	args := []string{"-listen-addr", host + ":" + strconv.Itoa(port), "-db-folder", n.data(),
		"-enable-debug-command", "local", "-peer-addr", n.Peer}
	return append(args, n.flags...)
}

// leaderOf asks one node for the address of the node that leads a slot's shard.
func (n *Node) leaderOf(slot int64, limit time.Duration) string {
	r, err := n.Call(limit, "CLUSTER", "SLOTS")
	if err != nil {
		return ""
	}
	for _, e := range r.Elems {
		// first slot, last slot, [host, port, id ...] of the leader, then of others
		const leader = 2
		if len(e.Elems) <= leader || len(e.Elems[leader].Elems) < 2 {
			continue
		}
		first, _ := e.Elems[0].Int()
		last, _ := e.Elems[1].Int()
		if at := e.Elems[leader].Elems; first <= slot && slot <= last {
			return string(at[0].Str) + ":" + string(at[1].Str)
		}
	}
	return ""
}

// Leader returns the node that most nodes call the leader of the shard that
// serves a slot, nil when there is none.
func (c *Cluster) Leader(slot int64) *Node {
	const limit = time.Second
	votes := make(map[string]int)
	nodes := c.Nodes()
	for _, n := range nodes {
		if n.Running() {
			votes[n.leaderOf(slot, limit)]++
		}
	}
	var best *Node
	for _, n := range nodes {
		if v := votes[n.Addr()]; v > 0 && (best == nil || v > votes[best.Addr()]) {
			best = n
		}
	}
	return best
}

// MustLeader waits until slot 0 has a leader that runs.
func (c *Cluster) MustLeader(t testing.TB) *Node {
	t.Helper()
	var n *Node
	Until(t, formLimit, "a leader", func() bool {
		n = c.Leader(0)
		return n != nil && n.Running()
	})
	return n
}

// Others returns the members without some.
func (c *Cluster) Others(without ...*Node) []*Node {
	var out []*Node
	for _, n := range c.Nodes() {
		keep := true
		for _, w := range without {
			keep = keep && n != w
		}
		if keep {
			out = append(out, n)
		}
	}
	return out
}

// AwaitSame waits until all members' contents, read as they are there, are the
// same: DEBUG DIGEST after READONLY.
func (c *Cluster) AwaitSame(limit time.Duration) (digest string, err error) {
	var last []string
	same := poll(limit, func() bool {
		last, err = c.digests(limit)
		if err != nil {
			return false
		}
		for _, d := range last {
			if d != last[0] {
				return false
			}
		}
		return true
	})
	if !same {
		return "", fmt.Errorf("after %v: digests %v, %v", limit, last, err)
	}
	return last[0], nil
}

func (c *Cluster) digests(limit time.Duration) ([]string, error) {
	var out []string
	for _, n := range c.Nodes() {
		conn, err := n.Connect()
		if err != nil {
			return out, err
		}
		conn.SetDeadline(time.Now().Add(limit))
		_, err = conn.Call("READONLY")
		var r Reply
		if err == nil {
			r, err = conn.Call("DEBUG", "DIGEST")
		}
		conn.Close()
		if err == nil && r.IsError() {
			err = fmt.Errorf("DEBUG DIGEST: %s", r.Str)
		}
		if err != nil {
			return out, fmt.Errorf("node %d: %w", n.Number, err)
		}
		out = append(out, string(r.Str))
	}
	return out, nil
}
