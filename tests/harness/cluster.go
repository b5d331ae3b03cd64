package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/tests/harness/wire"
)

const (
	clientPort = 6379 // of nodes on hosts of their own
	peerPort   = 7379
	// formLimit bounds the time until all nodes of a new cluster take writes.
	formLimit = 60 * time.Second
)

// ClusterOptions say what cluster to start.
type ClusterOptions struct {
	// Nodes is how many start it; default 3. One stands alone and can be grown.
	Nodes int
	// Dir is a folder for all data; that of node 1 is node-1/data in it.
	Dir string
	// Wire puts each node on a host of its own, in a network that can be broken.
	// Without it all are on loopback.
	Wire bool
	// DiskBytes gives every node a disk in memory of this size, which only it
	// sees; 0: a folder in Dir. Needs Wire.
	DiskBytes int64
	// Flags are given to every node.
	Flags []string
	// Program is the server; default: this module's dkvsrv.
	Program string
	// Clock: the program was built by ClockProgram, and Node.JumpClock is used.
	Clock bool
}

// Cluster is a set of nodes. Its methods may be called concurrently; those of
// one Node only as far as Server allows it.
type Cluster struct {
	// Wire is the network, nil without one.
	Wire *wire.Wire
	o    ClusterOptions

	mu struct {
		sync.Mutex
		nodes []*Node // members, as far as is known here
		gone  []*Node // that were members, for their logs
		last  int     // number of the newest node
	}
}

// NewCluster starts a cluster and waits until all its nodes take writes.
func NewCluster(o ClusterOptions) (*Cluster, error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Program == "" {
		var err error
		if o.Program, err = Program("dkvsrv"); err != nil {
			return nil, err
		}
	}
	c := &Cluster{o: o}
	if o.Wire {
		var err error
		if c.Wire, err = wire.New(); err != nil {
			return nil, err
		}
	}
	if err := c.form(); err != nil {
		logs := c.Logs(60)
		c.Close()
		return nil, fmt.Errorf("%w\n%s", err, logs)
	}
	return c, nil
}

// StartCluster is NewCluster for tests. Everything is gone when the test is
// over; the logs are shown when it failed.
func StartCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	NeedItself(t)
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	c, err := NewCluster(o)
	if errors.Is(err, wire.ErrUnavailable) {
		Missing(t, err.Error())
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if sign := c.SignOfBug(); sign != "" {
			t.Error(sign)
		}
		if t.Failed() {
			t.Log(c.Logs(60))
		}
	})
	return c
}

// Nodes returns the members.
func (c *Cluster) Nodes() []*Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Node(nil), c.mu.nodes...)
}

// Join starts a node that waits to be added, and counts it as a member.
func (c *Cluster) Join(flags ...string) (*Node, error) { return c.joinAt(nil, flags...) }

// JoinAt is Join at the addresses of a node that was forgotten. Only without Wire.
func (c *Cluster) JoinAt(old *Node, flags ...string) (*Node, error) { return c.joinAt(old, flags...) }

func (c *Cluster) joinAt(old *Node, flags ...string) (*Node, error) {
	n, err := c.newNode(append([]string{"-join", "yes"}, flags...))
	if err != nil {
		return nil, err
	}
	if old != nil {
		n.Peer, n.Server.port = old.Peer, old.port
	}
	c.mu.Lock()
	c.mu.nodes = append(c.mu.nodes, n)
	c.mu.Unlock()
	return n, n.Start()
}

// Forget kills a node that is no member any more, and removes its data.
func (c *Cluster) Forget(n *Node) {
	c.mu.Lock()
	for i, m := range c.mu.nodes {
		if m == n {
			c.mu.nodes = append(c.mu.nodes[:i:i], c.mu.nodes[i+1:]...)
			c.mu.gone = append(c.mu.gone, n)
			break
		}
	}
	c.mu.Unlock()
	n.gone.Store(true)
	n.Kill()
	if n.Host != nil {
		n.Host.Close()
	}
	os.RemoveAll(n.Dir)
}

// AwaitWrites waits until writes through each of the nodes are acknowledged.
func (c *Cluster) AwaitWrites(limit time.Duration, nodes ...*Node) error {
	deadline := time.Now().Add(limit)
	for _, n := range nodes {
		var last string
		ok := poll(time.Until(deadline), func() bool {
			r, err := n.Call(time.Until(deadline), "SET", "harness:writable", "1")
			if err != nil {
				last = err.Error()
			} else {
				last = string(r.Str)
			}
			return err == nil && last == "OK"
		})
		if !ok {
			return fmt.Errorf("node %d takes no writes after %v: %s", n.Number, limit, last)
		}
	}
	return nil
}

// MustAwaitWrites is AwaitWrites of all nodes for tests.
func (c *Cluster) MustAwaitWrites(t testing.TB, limit time.Duration) {
	t.Helper()
	if err := c.AwaitWrites(limit, c.Nodes()...); err != nil {
		t.Fatal(err)
	}
}

// Heal makes all links whole and lets stopped processes go on.
func (c *Cluster) Heal() {
	if c.Wire != nil {
		c.Wire.Heal()
	}
	for _, n := range c.Nodes() {
		n.Resume()
	}
}

// Cut loses all packets from one node to another, and those of the other
// direction too when both is set. Clients still reach both.
func (c *Cluster) Cut(from, to *Node, both bool) {
	c.Wire.SetLink(from.Host.Number, to.Host.Number, wire.Link{Drop: true})
	if both {
		c.Wire.SetLink(to.Host.Number, from.Host.Number, wire.Link{Drop: true})
	}
}

// Isolate cuts some nodes off from the other nodes. Clients reach all.
func (c *Cluster) Isolate(nodes ...*Node) {
	inside := make(map[*Node]bool)
	for _, n := range nodes {
		inside[n] = true
	}
	for _, a := range nodes {
		for _, b := range c.Nodes() {
			if !inside[b] {
				c.Cut(a, b, true)
			}
		}
	}
}

// Close kills all nodes.
func (c *Cluster) Close() {
	for _, n := range c.Nodes() {
		n.Kill()
	}
	if c.Wire != nil {
		c.Wire.Close()
	}
}

// SignOfBug returns a part of the logs that no server may write, or "".
func (c *Cluster) SignOfBug() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range append(append([]*Node(nil), c.mu.nodes...), c.mu.gone...) {
		logs := n.Logs()
		for _, sign := range signsOfBugs {
			if strings.Contains(logs, sign) {
				return fmt.Sprintf("the output of node %d has %q:\n%s", n.Number, sign, around(logs, sign))
			}
		}
	}
	return ""
}

// CountLogged returns how often a text is in what is kept of all nodes' output.
func (c *Cluster) CountLogged(text string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for _, n := range append(append([]*Node(nil), c.mu.nodes...), c.mu.gone...) {
		count += strings.Count(n.Logs(), text)
	}
	return count
}

// Logs returns the last lines that each node wrote.
func (c *Cluster) Logs(lines int) string {
	var b strings.Builder
	for _, n := range c.Nodes() {
		fmt.Fprintf(&b, "---- node %d, %s\n%s\n", n.Number, n.Addr(), lastLines(n.Logs(), lines))
	}
	return b.String()
}

// WriteLogs writes what is kept of each node's output, and of those that were
// removed, to files in a folder.
func (c *Cluster) WriteLogs(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range append(append([]*Node(nil), c.mu.nodes...), c.mu.gone...) {
		name := filepath.Join(folder, fmt.Sprintf("node-%d.log", n.Number))
		if err := os.WriteFile(name, []byte(n.Logs()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// form makes the first nodes and starts them together.
func (c *Cluster) form() error {
	var peers []string
	for range c.o.Nodes {
		n, err := c.newNode(nil)
		if err != nil {
			return err
		}
		c.mu.nodes = append(c.mu.nodes, n)
		peers = append(peers, n.Peer)
	}
	nodes := c.Nodes()
	if len(nodes) > 1 {
		for _, n := range nodes {
			n.flags = append(n.flags, "-cluster-peers", strings.Join(peers, ","))
		}
	}
	if err := StartAll(nodes); err != nil {
		return err
	}
	return c.AwaitWrites(formLimit, nodes...)
}

// StartAll starts nodes together and waits until each answers.
func StartAll(nodes []*Node) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = n.Start() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (c *Cluster) newNode(flags []string) (*Node, error) {
	c.mu.Lock()
	c.mu.last++
	n := &Node{Number: c.mu.last, flags: append(append([]string(nil), c.o.Flags...), flags...)}
	c.mu.Unlock()
	n.Dir = filepath.Join(c.o.Dir, fmt.Sprintf("node-%d", n.Number))
	if err := os.MkdirAll(n.Dir, 0o755); err != nil {
		return nil, err
	}
	spec := Spec{Program: c.o.Program, Args: n.args}
	host, port, peer := "127.0.0.1", 0, 0
	if c.Wire != nil {
		var err error
		if n.Host, err = c.Wire.AddHost(); err != nil {
			return nil, err
		}
		host, port, peer = n.Host.Addr(), clientPort, peerPort
		spec.Host, spec.Launch, spec.Dial = host, n.Host.Do, c.Wire.Dial
		if c.o.DiskBytes > 0 {
			if err := n.Host.Mount(n.Dir, c.o.DiskBytes); err != nil {
				return nil, err
			}
		}
	} else {
		var err, err2 error
		port, err = freePort()
		peer, err2 = freePort()
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
	}
	n.Peer = net.JoinHostPort(host, fmt.Sprint(peer))
	if c.o.Clock {
		n.clock = n.Dir + ".clock"
		if err := os.WriteFile(n.clock, make([]byte, clockBytes), 0o600); err != nil {
			return nil, err
		}
		spec.Env = append(spec.Env, clockVariable+"="+n.clock)
	}
	n.Server = NewServer(spec)
	n.Server.port = port
	return n, nil
}
