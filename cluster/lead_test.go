package cluster

import (
	"strings"
	"testing"
	"time"
)

// TestFailoverOfANodeThatIsCutOff: it says at once that it cannot lead, whatever
// commands may wait for a leader, and for all shards together.
func TestFailoverOfANodeThatIsCutOff(t *testing.T) {
	c := newTestCluster(t)
	list := c.startAll(3, func(o *Options) { o.Shards, o.Timeout = 4, time.Hour })
	cut := list[2]
	for _, other := range list[:2] {
		if err := other.Failover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	c.net.setCut(cut.addr, true)
	waitFor(t, func() bool { return !cut.isConnected(1) && !cut.isConnected(2) })
	began := time.Now()
	err := cut.Failover(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "ERR The leadership was not transferred: shard 0: this node is connected with 1 of the 3 voters") ||
		strings.Count(err.Error(), "; shard ") != 3 || strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("%v", err)
	}
	// To another: there it has to try.
	err = cut.TransferLeader(t.Context(), AllShards, list[0].addr)
	if err == nil || !strings.Contains(err.Error(), "shard 1: no leader has answered within "+cut.leadTimeout().String()) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > cut.leadTimeout()+5*time.Second {
		t.Errorf("it took %v", took)
	}
	c.net.setCut(cut.addr, false)
	waitFor(t, func() bool { return cut.Failover(t.Context()) == nil })
}
