package apps

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/tests/harness"
)

const (
	// programLimit bounds how long a program may take.
	programLimit = 80 * time.Second
	// envRole makes this test's binary a worker.
	envRole = "DKV_APPS_ROLE"
	// envNodes and envCluster tell programs where to connect, see node/place.js.
	envNodes   = "DKV_NODES"
	envCluster = "DKV_CLUSTER"
)

// roles are what this test's binary is when it is started as a worker.
var roles = map[string]func(p place){"asynq": workAsynq, "lists": workLists}

func TestMain(m *testing.M) {
	if role := roles[os.Getenv(envRole)]; role != nil {
		go func() { // a worker ends with the test that started it
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		role(place{addrs: strings.Split(os.Getenv(envNodes), ","), clustered: os.Getenv(envCluster) == "yes"})
	}
	harness.Main(m)
}

// place is where an application finds its server.
type place struct {
	name  string
	addrs []string
	// clustered: use a client that knows clusters.
	clustered bool
	redirects bool             // its nodes redirect
	cluster   *harness.Cluster // nil: one node
}

// env is the place as programs are told it.
func (p place) env() []string {
	clustered := "no"
	if p.clustered {
		clustered = "yes"
	}
	return []string{envNodes + "=" + strings.Join(p.addrs, ","), envCluster + "=" + clustered}
}

// alone starts one node.
func alone(t *testing.T) place {
	srv := harness.Dkv(t)
	return place{name: "one node", addrs: []string{srv.Addr()}}
}

// three starts a cluster and waits until its nodes know each other's addresses for
// clients.
func three(t *testing.T, redirects bool, flags ...string) place {
	c := harness.StartCluster(t, harness.ClusterOptions{Flags: flags})
	p := place{clustered: true, redirects: redirects, cluster: c}
	for _, n := range c.Nodes() {
		p.addrs = append(p.addrs, n.Addr())
		harness.Until(t, programLimit, fmt.Sprintf("node %d to know all addresses", n.Number), func() bool {
			nodes, err := n.Call(programLimit, "CLUSTER", "NODES")
			info, err2 := n.Call(programLimit, "CLUSTER", "INFO")
			return err == nil && err2 == nil && !strings.Contains(string(nodes.Str), "noaddr") &&
				strings.Contains(string(info.Str), "cluster_state:ok\r\n")
		})
		p.setRedirect(t, n)
	}
	return p
}

// setRedirect has a node that has started redirect, where it is to do so. Not by a flag:
// the harness asks every node, when it starts, whether it takes writes.
func (p place) setRedirect(t *testing.T, n *harness.Node) {
	t.Helper()
	if p.redirects {
		n.Must(t, "CONFIG", "SET", "cluster-redirect", "yes")
	}
}

// clusters are the kinds of cluster that applications meet.
var clusters = []struct {
	name      string
	redirects bool
	flags     []string
}{
	{"cluster", false, nil},
	{"cluster that redirects, of 3 shards", true, []string{"-shards", "3"}},
}

// everywhere runs a test on one node, on any node of a cluster as if it were alone,
// and with clients that know clusters.
func everywhere(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("one node", func(t *testing.T) { test(t, alone(t)) })
	for _, kind := range clusters {
		t.Run(kind.name, func(t *testing.T) {
			harness.NeedItself(t)
			p := three(t, kind.redirects, kind.flags...)
			if !kind.redirects {
				t.Run("as one node", func(t *testing.T) { test(t, place{addrs: p.addrs[1:2], cluster: p.cluster}) })
			}
			test(t, p)
		})
	}
}

// program is a process that a test has started.
type program struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   lockedBuffer
	done  chan error
}

// lockedBuffer is what a process has written, while it writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts a program; it is killed when the test is over.
func start(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(name, args...), done: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(p.kill)
	return p
}

// startRole starts this test's binary as a worker.
func startRole(t *testing.T, at place, role string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, append(at.env(), envRole+"="+role), self, args...)
}

// kill ends the program as kill -9 does, and waits until it is gone. It can be called
// twice.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	err := <-p.done
	p.done <- err
	p.stdin.Close()
}

// mustEnd waits until the program ends well, and returns what it wrote.
func (p *program) mustEnd(t *testing.T) string {
	t.Helper()
	select {
	case err := <-p.done:
		p.done <- err
		if err != nil {
			t.Fatalf("%s: %v\n%s", p.cmd, err, p.out.String())
		}
	case <-time.After(programLimit):
		t.Fatalf("%s has not ended within %v\n%s", p.cmd, programLimit, p.out.String())
	}
	return p.out.String()
}

// startNode starts a program of node/ with its libraries.
func startNode(t *testing.T, at place, file string, args ...string) *program {
	t.Helper()
	node := harness.NeedProgram(t, "node", "nodejs")
	modules := nodeModules()
	if _, err := os.Stat(filepath.Join(modules, ".complete")); err != nil {
		harness.Missing(t, "the libraries in Node.js are not installed (tests/tools.sh install, needs npm)")
	}
	env := append(at.env(), "NODE_PATH="+filepath.Join(modules, "node_modules"))
	return start(t, env, node, append([]string{filepath.Join("node", file)}, args...)...)
}

// nodeModules is the folder that tools.sh has filled.
var nodeModules = sync.OnceValue(func() string {
	out, err := exec.Command("../tools.sh", "node-modules").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
})
