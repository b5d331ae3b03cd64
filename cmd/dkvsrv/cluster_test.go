package main

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dkv/cluster"
	"dkv/server"
)

func TestIsMine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if isMine(addr) {
		t.Errorf("%s is in use, and called free", addr)
	}
	l.Close()
	if !isMine(addr) {
		t.Errorf("%s is free, and not called so", addr)
	}
	for _, addr := range []string{"nonsense", "no-such-host.invalid:1"} {
		if isMine(addr) {
			t.Errorf("%s is called an address of this machine", addr)
		}
	}
}

func TestClusterOptions(t *testing.T) {
	config := server.NewConfig()
	if _, err := config.LoadArgs(strings.Fields("-peer-addr http://h:1 -cluster-peers h:1,h:2,h:3 -shards 4 -read-mode lease -listen-addr :7001 " +
		"-cluster-timeout 2s -raft-tick 10ms -raft-election-ticks 20 -raft-snapshot-rate 1mb -peer-listen :1 " +
		"-peer-tls-cert-file /c -peer-tls-key-file /k -peer-tls-ca-file ca.pem -dir /data")); err != nil {
		t.Fatal(err)
	}
	o, err := nodeOptions(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.PeerAddr != "h:1" || o.PeerListen != ":1" || strings.Join(o.Peers, " ") != "h:1 h:2 h:3" || o.Join || o.Shards != 4 ||
		o.ReadMode != cluster.ReadLease || o.ClientAddr != "h:7001" || o.Timeout != 2*time.Second || o.TickInterval != 10*time.Millisecond ||
		o.ElectionTicks != 20 || o.SnapshotBytesPerSecond != 1<<20 || *o.TLS != (cluster.TLS{CertFile: "/c", KeyFile: "/k", CAFile: "/data/ca.pem"}) {
		t.Errorf("options %+v", o)
	}

	config = server.NewConfig()
	if _, err := config.LoadArgs(strings.Fields("-join -peer-addr h:4 -cluster-peers h:1,h:2")); err != nil {
		t.Fatal(err)
	}
	if o, err = nodeOptions(config, nil); err != nil || !o.Join || o.Peers != nil || o.Shards != 0 || o.TLS != nil {
		t.Errorf("options %+v, %v", o, err)
	}
}

func TestRecoveryReport(t *testing.T) {
	var out strings.Builder
	printReport(&out, "dkv-data", cluster.RecoveryReport{
		OldClusterID: "old", NewClusterID: "new", NodeID: 2, Dropped: []string{"h:1", "h:3"},
		Shards: []cluster.RecoveredShard{{ID: 0, Index: 12, Term: 3, Unconfirmed: 2, Voter: true}, {ID: 1, Index: 5, Term: 4}},
	})
	for _, want := range []string{
		"The data folder dkv-data (node 2) is a cluster of its own now.", "cluster id     new, was old", "not members    h:1, h:3\n",
		"shard 0        ends at entry 12 of term 3; the last 2 were not known here to be acknowledged, and are kept\n",
		"shard 1        ends at entry 5 of term 4; this node was still catching up, so that any amount may be lost\n", "What may be lost:",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}

// A folder that does not exist is nothing to recover.
func TestRecoverNothing(t *testing.T) {
	config := server.NewConfig()
	if err := config.Set("db-folder", filepath.Join(t.TempDir(), "none")); err != nil {
		t.Fatal(err)
	}
	o, err := nodeOptions(config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := recoverLostMajority(config, o, io.Discard); err == nil {
		t.Error("a folder that does not exist was recovered")
	}
}
