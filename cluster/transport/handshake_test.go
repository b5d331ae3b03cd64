package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dkv/cluster/consensus"

	pb "go.etcd.io/raft/v3/raftpb"
)

func TestRefusals(t *testing.T) {
	tests := []struct {
		reason  Refusal
		prepare func(a, b *node) (ia, ib *Identity, pa, pb *Peer)
	}{
		{RefusedNotReady, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			return new(a.ident()), nil, new(a.member()), new(b.member())
		}},
		{RefusedCluster, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			ib := b.ident()
			ib.ClusterID = "another"
			return new(a.ident()), &ib, new(a.member()), new(b.member())
		}},
		{RefusedNotMe, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			ib := b.ident()
			ib.Node = 3
			return new(a.ident()), &ib, new(a.member()), new(b.member())
		}},
		{RefusedNotMe, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			ib := b.ident() // it has lost its folder
			ib.Incarnation = "new"
			return new(a.ident()), &ib, new(a.member()), new(b.member())
		}},
		{RefusedRemoved, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			b.SetRemoved([]consensus.NodeID{7, 1})
			return new(a.ident()), new(b.ident()), new(a.member()), new(b.member())
		}},
		{RefusedUnknown, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			return new(a.ident()), new(b.ident()), nil, new(b.member())
		}},
		{RefusedIncarnation, func(a, b *node) (*Identity, *Identity, *Peer, *Peer) {
			pa := a.member()
			pa.Incarnation = "older"
			return new(a.ident()), new(b.ident()), &pa, new(b.member())
		}},
	}
	for _, test := range tests {
		t.Run(test.reason.String(), func(t *testing.T) {
			t.Parallel()
			a, b := listen(t, 1, nil), listen(t, 2, nil)
			ia, ib, pa, pb := test.prepare(a, b)
			if ib != nil {
				b.SetIdentity(*ib)
			}
			if pa != nil {
				b.SetPeers(map[consensus.NodeID]Peer{1: *pa})
			}
			a.SetIdentity(*ia)
			a.SetPeers(map[consensus.NodeID]Peer{2: *pb})
			a.waitEvent("down 2", 1)
			eventually(t, "several refusals", func() bool { return b.Metrics().Refused[test.reason] >= 3 })
			if m := b.Metrics(); len(m.Refused) != 1 {
				t.Errorf("refused %v", m.Refused)
			}
			wantLogs := 1
			if test.reason == RefusedNotReady {
				wantLogs = 0
			}
			if n := b.logs.count("refused a node's connection"); n != wantLogs {
				t.Errorf("the listener logged it %d times", n)
			}
			if n := a.logs.count("refused by a node"); n != wantLogs {
				t.Errorf("the dialer logged it %d times", n)
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			want := 0
			if test.reason == RefusedRemoved {
				want = 1
			}
			removed := 0
			for _, e := range a.events {
				switch e {
				case "up 2":
					t.Error("it is connected")
				case "removed by 2":
					removed++
				}
			}
			if removed != want {
				t.Errorf("Removed was called %d times", removed)
			}
		})
	}
}

// A hello that is none, or of another version.
func TestMalformedHandshakes(t *testing.T) {
	a, b := pair(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	p := a.Transport.peer(2)
	h := hello{version: ProtocolVersion + 1, cluster: "c", from: 1, to: 2}
	tests := []struct {
		first  record
		reason Refusal
	}{
		{h.record(), RefusedVersion},
		{record{kind: kindMessage}, RefusedMalformed},
		{record{kind: kindHello}, RefusedMalformed},
		{record{kind: kindHello, body: make([]byte, maxHelloBytes+1)}, RefusedMalformed},
		{record{kind: kindHello, body: []byte{ProtocolVersion, 200, 1}}, RefusedMalformed},
		{record{kind: kindHello, body: make([]byte, 2*frameTargetBytes)}, RefusedMalformed},
	}
	for i, test := range tests {
		for k := range streams {
			cc, err := a.connect(ctx, b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			s, err := cc.NewStream(ctx, &streams[k], streamKind(k).method())
			if err != nil {
				t.Fatal(err)
			}
			if err := sendRecord(s, nil, test.first); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			err = p.accepted(s)
			if want := (&RefusedError{By: b.Addr(), Reason: test.reason}).Error(); err == nil || err.Error() != want {
				t.Errorf("%d: error %v, not %s", i, err, want)
			}
			cc.close()
		}
	}
	if n := b.Metrics().Refused[RefusedVersion]; n != uint64(len(streams)) {
		t.Errorf("%d refusals", n)
	}
	if n := b.logs.count("reason=\"" + RefusedVersion.String() + "\""); n != 1 {
		t.Errorf("another version was logged %d times", n)
	}
}

// A member that is removed or replaced while it is connected is hung up.
func TestHangUp(t *testing.T) {
	a, b := pair(t, nil)
	b.SetRemoved([]consensus.NodeID{1})
	a.waitEvent("down 2", 1)
	a.waitEvent("removed by 2", 1)
	b.SetRemoved(nil)
	a.waitEvent("up 2", 2)

	b.SetPeers(map[consensus.NodeID]Peer{1: {Addr: a.Addr(), Incarnation: "another"}})
	a.waitEvent("down 2", 2)
	b.SetPeers(map[consensus.NodeID]Peer{1: a.member()})
	a.waitEvent("up 2", 3)

	// With another identity, everything is made anew.
	id := b.ident()
	id.ClusterID = "d"
	b.SetIdentity(id)
	a.waitEvent("down 2", 3)
	id = a.ident()
	id.ClusterID = "d"
	a.SetIdentity(id)
	a.waitEvent("up 2", 4)
	a.Send(0, []*pb.Message{message(1, 2, 3)})
	b.wait("a message", func() bool { return len(b.received) == 1 })

	// A node that was hung up by the caller is not reported.
	a.mu.Lock()
	n := len(a.events)
	a.mu.Unlock()
	a.SetPeers(nil)
	eventually(t, "the end of b's stream", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(a.Metrics().Peers) == 0 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.events) != n {
		t.Errorf("events %q", a.events[n:])
	}
}

// SetPeers may come first, with this node in it.
func TestPeersBeforeIdentity(t *testing.T) {
	a, b := listen(t, 1, nil), listen(t, 2, nil)
	for _, n := range []*node{a, b} {
		n.SetPeers(map[consensus.NodeID]Peer{1: a.member(), 2: b.member()})
	}
	for _, n := range []*node{a, b} {
		n.SetIdentity(n.ident())
	}
	a.waitEvent("up 2", 1)
	b.waitEvent("up 1", 1)
	if m := a.Metrics(); len(m.Peers) != 1 {
		t.Errorf("peers %+v", m.Peers)
	}
}

// ca makes certificates for 127.0.0.1.
type ca struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(tb testing.TB) *ca {
	c := &ca{tb: tb, dir: tb.TempDir()}
	c.key, c.cert = c.sign("ca", &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return c
}

func (c *ca) sign(name string, template *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	c.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.tb.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c.cert, c.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		c.tb.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.tb.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(filepath.Join(c.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			c.tb.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		c.tb.Fatal(err)
	}
	return key, cert
}

// node makes a node's certificate.
func (c *ca) node(name string) *TLS {
	c.sign(name, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return &TLS{
		CertFile: filepath.Join(c.dir, name+".pem"), KeyFile: filepath.Join(c.dir, name+".key"),
		CAFile: filepath.Join(c.dir, "ca.pem"),
	}
}

func TestTLS(t *testing.T) {
	c := newCA(t)
	with := func(files *TLS) func(*Options) { return func(o *Options) { o.TLS = files } }
	a, b := listen(t, 1, with(c.node("a"))), listen(t, 2, with(c.node("b")))
	meet(t, a, b)
	a.Send(0, []*pb.Message{message(1, 2, 3)})
	b.wait("a message", func() bool { return len(b.received) == 1 })
	b.admin = func(string, []byte) ([]byte, error) { return []byte("yes"), nil }
	if got, err := a.Transport.Admin(context.Background(), b.Addr(), "x", nil); err != nil || string(got) != "yes" {
		t.Errorf("%q, %v", got, err)
	}

	// Neither a plain node nor one with another authority's certificate gets in.
	for _, files := range []*TLS{nil, newCA(t).node("x")} {
		x := listen(t, 3, with(files))
		x.SetIdentity(x.ident())
		x.SetPeers(map[consensus.NodeID]Peer{2: b.member()})
		x.waitEvent("down 2", 1)
		if _, err := x.Transport.Admin(context.Background(), b.Addr(), "x", nil); err == nil {
			t.Error("an Admin request was answered")
		}
	}
	if _, err := Listen(Options{Addr: "127.0.0.1:0", Handler: a, TLS: &TLS{CertFile: "no", KeyFile: "such", CAFile: "file"}}); err == nil {
		t.Error("missing files were accepted")
	}
}

// TestRefusedTLSIsLoggedOnce: anybody can cause it, so it must not fill the log.
func TestRefusedTLSIsLoggedOnce(t *testing.T) {
	now := time.Now()
	var lines lineCounter
	a := listen(t, 1, func(o *Options) {
		o.TLS = newCA(t).node("a")
		o.Clock = func() time.Time { return now }
		o.Logger = slog.New(slog.NewTextHandler(&lines, nil))
	})
	failed := errors.New("tls: client didn't provide a certificate")
	log := func(addr string, err error, want int) {
		t.Helper()
		before := lines.n
		a.refusedTLS(addr, err)
		if got := lines.n - before; got != want {
			t.Errorf("%s: %d lines, want %d", addr, got, want)
		}
	}
	log("10.0.0.1:1", failed, 1)
	log("10.0.0.1:2", failed, 0)
	log("10.0.0.2:1", failed, 1)
	log("10.0.0.1:1", tls.RecordHeaderError{Msg: "x"}, 1)
	log("10.0.0.3:1", io.EOF, 0) // it only hung up
	now = now.Add(tlsLogInterval)
	log("10.0.0.1:3", failed, 1)
	for i := range maxTLSRefusals - 1 {
		log(fmt.Sprintf("10.0.1.%d:1", i), failed, 1)
	}
	log("10.0.2.1:1", failed, 0)
}

// lineCounter counts what is written.
type lineCounter struct{ n int }

func (c *lineCounter) Write(p []byte) (int, error) {
	c.n++
	return len(p), nil
}
