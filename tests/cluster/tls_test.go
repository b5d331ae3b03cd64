package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/tests/harness"
)

// authority signs certificates like those of docs/cluster.md, into a folder.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.sign("ca", a.dir, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

// sign writes name.pem and name.key to a folder; the first is the authority's own.
func (a *authority) sign(name, dir string, c *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if a.cert == nil {
		a.key, a.cert = key, c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	if c == a.cert {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			a.t.Fatal(err)
		}
	}
}

// node makes a certificate for a node on loopback, with the authority's beside it,
// in a folder, and returns the flags for it.
func (a *authority) node(dir string) []string {
	a.t.Helper()
	a.sign("node", dir, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true})
	ca, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return tlsFlags(filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"), filepath.Join(dir, "ca.pem"))
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
	a := newAuthority(t)
	shared := t.TempDir()
	c := local(t, 3, a.node(shared)...)
	l := startLoad(c)
	l.mustFlow(t)

	// A certificate that was replaced is used from the next connection on.
	a.node(shared)
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
		{newAuthority(t).node(t.TempDir()), "TLS: its certificate is not signed by our authority"},
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
	newAuthority(t).node(other)
	for _, tc := range []struct {
		flags        []string
		there, heard string // what a member logs, and what the node itself
	}{
		{tlsFlags(filepath.Join(other, "node.pem"), filepath.Join(other, "node.key"), filepath.Join(shared, "ca.pem")),
			"its certificate is not signed by our authority", "it does not accept our certificate"},
		{newAuthority(t).node(t.TempDir()), "it does not accept our certificate", "its certificate is not signed by our authority"},
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
	n := join(t, c, a.node(own)...)
	members[0].Must(t, "CLUSTER", "ADDNODE", n.URL())
	n.Kill()
	newAuthority(t).node(own)
	restart(t, n)
	awaitLog(t, members[0], "no connection to a node", "TLS: its certificate is not signed by our authority")
	awaitLog(t, n, "no connection to a node", "TLS: its certificate is not signed by our authority")
	l.mustFlow(t)
	if r, err := n.Call(replyLimit, "CLUSTER", "INFO"); err == nil && strings.Contains(string(r.Str), "cluster_state:ok") {
		t.Errorf("a member with the certificate of another authority is part of the cluster: %s", r)
	}
	n.Kill()
	a.node(own)
	restart(t, n)
	c.MustAwaitWrites(t, backLimit)
	l.end()
	same(t, c)
	l.verify(t, n)
}
