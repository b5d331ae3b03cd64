package replica

import (
	"strconv"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// TestRing: a master that is told to follow itself, or its own replica, says why it does
// not, copies nothing, and keeps its data.
func TestRing(t *testing.T) {
	master := harness.Dkv(t)
	m := master.Dial(t)
	m.OK("SET", "k", "v")
	replica := replicaOf(t, master)
	awaitUp(t, replica)
	for _, of := range []*harness.Server{master, replica} {
		m.OK("REPLICAOF", "127.0.0.1", strconv.Itoa(of.Port()))
		harness.Until(t, patience, "the ring to be refused", func() bool {
			return strings.Contains(m.Info("replication")["dkv_master_link_error"], "the source follows the replica that asks")
		})
	}
	if a, b := infoField(master, "stats", "sync_full"), infoField(replica, "stats", "sync_full"); a != "1" || b != "0" {
		t.Errorf("%s and %s full copies", a, b)
	}
	m.OK("REPLICAOF", "NO", "ONE")
	m.OK("SET", "k", "w")
	awaitGet(t, replica.Dial(t), "k", "w")
}
