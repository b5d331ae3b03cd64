package cluster

import (
	"encoding/json"
	"testing"
)

// TestFolderOfTheFirstFormat: what was made before there were clusters opens as it
// is, and can grow.
func TestFolderOfTheFirstFormat(t *testing.T) {
	c := newTestCluster(t)
	n := c.start(1, func(o *Options) { o.PeerAddr, o.PeerListen = "", "" })
	if err := set(n.Node, "a", "1"); err != nil {
		t.Fatal(err)
	}
	id := *n.identity()
	n.stopNode(false)
	id.Format, id.Incarnation = 1, ""
	data, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", data)
	if err := writeIdentity(n.fs, "data", id); err != nil {
		t.Fatal(err)
	}
	n = c.start(1, nil)
	n.mustGet("a", "1")
	if now := n.identity(); now.ClusterID != id.ClusterID || now.Incarnation == "" || now.Format != formatVersion {
		t.Fatalf("%+v", now)
	}
	c.start(2, joining)
	n.mustAdd(2)
	c.nodes[testAddr(2)].mustGet("a", "1")
}
