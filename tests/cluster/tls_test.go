package cluster

import (
	"path/filepath"
	"strings"
	"testing"

	"dkv/tests/harness"
)

// certified makes a certificate for a node, with the authority's beside it, in a
// folder, and returns the flags for it.
func certified(a *harness.Authority, dir string) []string {
	cert, key := a.Sign("node", dir)
	return tlsFlags(cert, key, a.CopyTo(dir))
}

func tlsFlags(cert, key, ca string) []string {
	return []string{"-peer-tls-cert-file", cert, "-peer-tls-key-file", key, "-peer-tls-ca-file", ca}
}

// awaitLog waits until a node has logged a line with all of some texts.
func awaitLog(t *testing.T, n *harness.Node, texts ...string) {
	t.Helper()
	harness.Until(t, backLimit, "node to log "+strings.Join(texts, " ... "), func() bool {
		for line := range strings.Lines(n.Logs()) {
			all := true
			for _, text := range texts {
				all = all && strings.Contains(line, text)
			}
			if all {
				return true
			}
		}
		return false
	})
}

// Nodes with certificates of one authority form a cluster, serve, and take new
// certificates; nobody else gets in, and both sides say why.
func TestPeerTLS(t *testing.T) {
	a := harness.NewAuthority(t)
	shared := t.TempDir()
	c := local(t, 3, certified(a, shared)...)
	l := startLoad(c)
	l.mustFlow(t)

	// A certificate that was replaced is used from the next connection on.
	certified(a, shared)
	victim := c.Others(c.MustLeader(t))[0]
	victim.Kill()
	restart(t, victim)
	c.MustAwaitWrites(t, backLimit)

	// Neither one of another authority nor one without can be added.
	members := c.Nodes()
	for _, tc := range []struct {
		flags  []string
		reason string
	}{
		{certified(harness.NewAuthority(t), t.TempDir()), "TLS: its certificate is not signed by our authority"},
		{tlsFlags("", "", ""), "TLS: it does not speak TLS"},
	} {
		n := join(t, c, tc.flags...)
		if r, err := members[0].Call(replyLimit, "CLUSTER", "ADDNODE", n.URL()); err != nil || !r.IsError() || !strings.Contains(string(r.Str), tc.reason) {
			t.Errorf("ADDNODE: %s, %v, want %s", r, err, tc.reason)
		}
		c.Forget(n)
	}

	// Nor can they form another cluster with the members.
	other := t.TempDir()
	certified(harness.NewAuthority(t), other)
	for _, tc := range []struct {
		flags        []string
		there, heard string // what a member logs, and what the node itself
	}{
		{tlsFlags(filepath.Join(other, "node.pem"), filepath.Join(other, "node.key"), filepath.Join(shared, "ca.pem")),
			"its certificate is not signed by our authority", "it does not accept our certificate"},
		{certified(harness.NewAuthority(t), t.TempDir()), "it does not accept our certificate", "its certificate is not signed by our authority"},
		{tlsFlags("", "", ""), "it does not speak TLS", "it seems to have TLS, which this node has not"},
	} {
		place := join(t, c)
		c.Forget(place)
		peers := []string{place.Peer}
		for _, m := range members {
			peers = append(peers, m.Peer)
		}
		n, err := c.JoinAt(place, append(tc.flags, "-join", "no", "-cluster-peers", strings.Join(peers, ","))...)
		if err != nil {
			t.Fatal(err)
		}
		awaitLog(t, members[0], "refused a connection to the port for peers", tc.there)
		awaitLog(t, n, "waiting for peers", "TLS: "+tc.heard)
		c.Forget(n)
	}

	// A member that comes back with the certificate of another authority is kept
	// out, and let in again with the right one.
	own := t.TempDir()
	n := join(t, c, certified(a, own)...)
	members[0].Must(t, "CLUSTER", "ADDNODE", n.URL())
	n.Kill()
	certified(harness.NewAuthority(t), own)
	restart(t, n)
	awaitLog(t, members[0], "no connection to a node", "TLS: its certificate is not signed by our authority")
	awaitLog(t, n, "no connection to a node", "TLS: its certificate is not signed by our authority")
	l.mustFlow(t)
	if r, err := n.Call(replyLimit, "CLUSTER", "INFO"); err == nil && strings.Contains(string(r.Str), "cluster_state:ok") {
		t.Errorf("a member with the certificate of another authority is part of the cluster: %s", r)
	}
	n.Kill()
	certified(a, own)
	restart(t, n)
	c.MustAwaitWrites(t, backLimit)
	l.end()
	same(t, c)
	l.verify(t, n)
}
