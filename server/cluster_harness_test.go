package server

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"dkv/cluster"
	"dkv/cluster/raftlog"
)

// startShards runs a server on a node by itself with that many shards.
func startShards(t testing.TB, shards int, settings ...string) *Server {
	t.Helper()
	node, err := cluster.Open(cluster.Options{Diskless: true, Shards: shards})
	if err != nil {
		t.Fatal(err)
	}
	return serveNode(t, node, settings...)
}

// ownHost is an address of this machine that no other process listens on, or connects from:
// a free port of it stays free. Linux has all of 127/8; elsewhere it is what others have too.
func ownHost() string {
	pid := os.Getpid()
	host := fmt.Sprintf("127.%d.%d.%d", 100+pid>>16&63, pid>>8&255, 1+pid&127)
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "127.0.0.1"
	}
	_ = l.Close()
	return host
}

// freeAddrs returns addresses that nobody listens on.
func freeAddrs(t testing.TB, n int) []string {
	t.Helper()
	host := ownHost()
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// startCluster runs servers on the nodes of a cluster until the test ends, and
// returns when each of them knows the leader of each shard.
func startCluster(t testing.TB, nodes, shards int, settings ...string) []*Server {
	t.Helper()
	return startClusterWaiting(t, nodes, shards, ioTimeout, settings...)
}

// startClusterWaiting is startCluster with commands that wait for a leader for so
// long.
func startClusterWaiting(t testing.TB, nodes, shards int, timeout time.Duration, settings ...string) []*Server {
	t.Helper()
	return startClusterWith(t, nodes, shards, func(o *cluster.Options) { o.Timeout = timeout }, settings...)
}

// startClusterWith is startCluster with other options of the nodes.
func startClusterWith(t testing.TB, nodes, shards int, change func(*cluster.Options), settings ...string) []*Server {
	t.Helper()
	addrs := freeAddrs(t, nodes)
	var servers []*Server
	for _, addr := range addrs {
		o := cluster.Options{
			Dir: t.TempDir(), Fsync: raftlog.FsyncNo, Shards: shards, PeerAddr: addr, Peers: addrs, ClientAddr: "client-of-" + addr,
			TickInterval: 10 * time.Millisecond, ElectionTicks: 60, Timeout: ioTimeout,
			BlockCacheBytes: 4 << 20, MemtableBytes: 4 << 20, HotCacheBytes: 4 << 20, LogSegmentBytes: 1 << 20,
			LogRetainBytes: -1, ReserveDiskBytes: -1,
		}
		change(&o)
		node, err := cluster.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, serveNode(t, node, settings...))
	}
	for _, s := range servers {
		eventually(t, "every shard has a leader", func() bool {
			for id := range s.node.Shards() {
				if _, known := s.node.Leader(raftlog.ShardID(id)); !known {
					return false
				}
			}
			return s.node.Shards() == shards
		})
	}
	return servers
}
