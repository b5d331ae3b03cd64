package cluster

import (
	"testing"
	"time"

	"dkv/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// backLimit is how long a cluster may take until all nodes take writes again
// after a fault is over.
const backLimit = 20 * time.Second

// wired starts three nodes in a network that can be broken.
func wired(t *testing.T, flags ...string) *harness.Cluster {
	t.Helper()
	return harness.StartCluster(t, harness.ClusterOptions{Wire: true, Flags: flags})
}

// local starts nodes on loopback.
func local(t *testing.T, nodes int, flags ...string) *harness.Cluster {
	t.Helper()
	return harness.StartCluster(t, harness.ClusterOptions{Nodes: nodes, Flags: flags})
}

// smallLogs makes a node that was away for a moment need a raft snapshot.
var smallLogs = []string{"-max-log-size", "2mb", "-repl-log-size", "1mb", "-log-cache-size", "1mb", "-memtable-size", "4mb", "-hot-cache-size", "8mb",
	"-hot-write-buffer-size", "1mb"}

// same waits until all nodes hold the same.
func same(t *testing.T, c *harness.Cluster) {
	t.Helper()
	if _, err := c.AwaitSame(backLimit); err != nil {
		t.Fatal(err)
	}
}

// restart starts a node that was killed.
func restart(t *testing.T, n *harness.Node) {
	t.Helper()
	n.MustStart(t)
}
