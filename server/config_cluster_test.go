package server

import (
	"net"
	"slices"
	"strings"
	"testing"
)

// TestCheckCluster gives command lines and what they come to: the own address,
// or what is wrong with them.
func TestCheckCluster(t *testing.T) {
	const three = "http://10.0.0.1:7101,http://10.0.0.2:7101,http://10.0.0.3:7101"
	cases := []struct {
		args  string
		mine  []string // addresses of this machine that are free
		peer  string
		error string
	}{
		{args: ""},
		{args: "-shards 4"},
		{args: "-peer-addr h:1", peer: "h:1"},
		{args: "-role none -peer-addr h:1", peer: "h:1"},
		{args: "-role master -nexus-node-url http://10.0.0.2:7101 -nexus-cluster-url " + three, peer: "10.0.0.2:7101"},
		{args: "--role=master --nexus-cluster-url=" + three, mine: []string{"10.0.0.3:7101"}, peer: "10.0.0.3:7101"},
		{args: "-cluster-peers 10.0.0.1:7101 -peer-addr 10.0.0.1:7101", peer: "10.0.0.1:7101"},
		{args: "-nexusJoin -nexus-node-url h:4 -role master", peer: "h:4"},
		{args: "-join -peer-addr h:4 -cluster-peers " + three, peer: "h:4"},
		{args: "-join -cluster-peers " + three, mine: []string{"10.0.0.3:7101"}, peer: "10.0.0.3:7101"},
		{args: "-recover-lost-majority -role master"},
		{args: "-role master -diskless"}, // as in the older store: a master by itself, for slaves
		{args: "-role master -peer-addr h:1", peer: "h:1"},
		{args: "-peer-addr h:1 -peer-listen :1 -peer-tls-cert-file c -peer-tls-key-file k -peer-tls-ca-file a", peer: "h:1"},

		{args: "-role slave -repl-master-addr h:1,h:2"},
		{args: "-repl-master-addr h:1"},
		{args: "-replicaof h 1"},
		{args: "-slaveof no one"},
		{args: "-role slave -repl-master-addr h:1 -shards 4 -diskless"},

		{args: "-role slave", error: "role slave needs repl-master-addr"},
		{args: "-role slave -replicaof no one", error: "role slave needs repl-master-addr"},
		{args: "-role none -repl-master-addr h:1", error: "role none does not go with repl-master-addr"},
		{args: "-repl-master-addr h:1 -peer-addr h:2", error: "a slave is no member of a cluster"},
		{args: "-role slave -repl-master-addr h:1 -join -peer-addr h:2", error: "a slave is no member of a cluster"},
		{args: "-repl-master-addr h:1 -replicaof h 1", error: "say the same thing"},
		{args: "-replicaof h", error: "replicaof needs a host and a port"},
		{args: "-replicaof h http", error: "replicaof: Invalid master port"},
		{args: "-role master -repl-master-addr h:1", error: "role master does not go with repl-master-addr"},
		{args: "-role none -join -peer-addr h:1", error: "role none: cluster-peers and join are for role master"},
		{args: "-join", error: "join needs peer-addr"},
		{args: "-cluster-peers " + three, error: "none of cluster-peers (10.0.0.1:7101, 10.0.0.2:7101, 10.0.0.3:7101) is an address of this machine"},
		{args: "-cluster-peers " + three, mine: []string{"10.0.0.1:7101", "10.0.0.3:7101"}, error: "10.0.0.1:7101 and 10.0.0.3:7101 of cluster-peers are all"},
		{args: "-peer-addr h:1 -cluster-peers " + three, error: "peer-addr h:1 is not among cluster-peers"},
		{args: "-peer-addr 0.0.0.0:1", error: "peer-addr 0.0.0.0:1: other machines cannot tell"},
		{args: "-peer-addr :1", error: "peer-addr :1: other machines cannot tell"},
		{args: "-peer-addr h:1 -client-addr [::]:1", error: "client-addr [::]:1: other machines cannot tell"},
		{args: "-peer-listen :1", error: "peer-listen needs peer-addr"},
		{args: "-peer-addr h:1 -peer-tls-cert-file x", error: "belong together"},
		{args: "-peer-addr h:1 -join -diskless", error: "diskless: a node of a cluster needs a disk"},
	}
	for _, tc := range cases {
		c := NewConfig()
		if _, err := c.LoadArgs(strings.Fields(tc.args)); err != nil {
			t.Fatalf("%s: %v", tc.args, err)
		}
		err := c.CheckCluster(func(addr string) bool { return slices.Contains(tc.mine, addr) })
		if tc.error == "" && err != nil || tc.error != "" && (err == nil || !strings.Contains(err.Error(), tc.error)) {
			t.Errorf("%s: %v, want %q", tc.args, err, tc.error)
			continue
		}
		if got := c.String("peer-addr"); tc.error == "" && got != tc.peer {
			t.Errorf("%s: peer-addr is %q, want %q", tc.args, got, tc.peer)
		}
	}
}

// TestSourceAddrs: whom a replica follows, and what it says of itself.
func TestSourceAddrs(t *testing.T) {
	for _, tc := range []struct{ args, source, addr string }{
		{"", "", ":6379"},
		{"-repl-master-addr h:1,h:2 -port 7", "h:1 h:2", ":7"},
		{"-replicaof ::1 6379", "[::1]:6379", ":6379"},
		{"-replicaof NO ONE -client-addr out:9", "", "out:9"},
		{"-replica-announce-ip 10.0.0.9 -replica-announce-port 8 -client-addr out:9", "", "10.0.0.9:8"},
	} {
		c := NewConfig()
		if _, err := c.LoadArgs(strings.Fields(tc.args)); err != nil {
			t.Fatalf("%s: %v", tc.args, err)
		}
		if got := strings.Join(c.SourceAddrs(), " "); got != tc.source {
			t.Errorf("%s: source %q, want %q", tc.args, got, tc.source)
		}
		if got := c.ReplicaAddr(nil); got != tc.addr {
			t.Errorf("%s: address %q, want %q", tc.args, got, tc.addr)
		}
	}
}

func TestClientAddr(t *testing.T) {
	port := func(n int) net.Addr { return &net.TCPAddr{IP: net.IPv6zero, Port: n} }
	cases := []struct {
		args, want string
		listening  net.Addr
	}{
		{"", "127.0.0.1:6379", nil},
		{"-port 0", "127.0.0.1:0", nil},
		{"-port 0", "127.0.0.1:4567", port(4567)},
		{"-listen-addr 10.0.0.1:7001 -peer-addr 10.0.0.1:7101", "10.0.0.1:7001", port(7001)},
		{"-listen-addr :7001 -peer-addr node1:7101", "node1:7001", port(7001)},
		{"-listen-addr :7001", "127.0.0.1:7001", port(7001)},
		{"-bind * -::* -port 0 -peer-addr [::1]:7101", "[::1]:9", port(9)},
		{"-client-addr public:1 -port 0", "public:1", port(9)},
		{"-unixsocket /s -port 0", "127.0.0.1:0", &net.UnixAddr{Name: "/s"}},
	}
	for _, tc := range cases {
		c := NewConfig()
		if _, err := c.LoadArgs(strings.Fields(tc.args)); err != nil {
			t.Fatal(err)
		}
		if got := c.ClientAddr(tc.listening); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.args, got, tc.want)
		}
	}
}

func TestClusterParameters(t *testing.T) {
	c := NewConfig()
	for _, tc := range []struct{ name, value, want string }{
		{"nexus-node-url", "http://Node1:07101/", "node1:7101"},
		{"peer-listen", ":7101", ":7101"},
		{"peer-addr", "[::1]:7101", "[::1]:7101"},
		{"nexus-cluster-url", "http://a:1,HTTP://b:2/, c:3 ", "a:1,b:2,c:3"},
		{"cluster-peers", "a:1 b:2", "a:1,b:2"},
		{"cluster-peers", "", ""},
		{"role", "MASTER", "master"},
		{"repl-master-addr", "h:1,http://h:2/", "h:1,h:2"},
		{"slaveof", "h 1", "h 1"},
	} {
		if err := c.Set(tc.name, tc.value); err != nil || c.String(findParam(tc.name).name) != tc.want {
			t.Errorf("%s %q: %v, %q", tc.name, tc.value, err, c.String(findParam(tc.name).name))
		}
	}
	for _, tc := range []struct{ name, value, reason string }{
		{"role", "replica", "argument(s) must be one of the following: none, master, slave"},
		{"repl-master-addr", "h", `"h": argument must be host:port or http://host:port`},
		{"peer-addr", "nonsense", "argument must be host:port or http://host:port"},
		{"peer-addr", "https://h:1", "argument must be host:port or http://host:port (TLS between nodes: peer-tls-cert-file)"},
		{"peer-addr", "http://h:1/path", "argument must be host:port or http://host:port"},
		{"peer-addr", "h:0", "argument must be host:port or http://host:port, with a port from 1 to 65535"},
		{"cluster-peers", "a:1,b", `"b": argument must be host:port or http://host:port`},
		{"cluster-peers", "a:1,http://A:1/", "a:1 stands there twice"},
		{"shards", "0", "argument must be between 1 and 64 inclusive"},
		{"read-mode", "guess", "argument(s) must be one of the following: index, lease"},
		{"cluster-timeout", "0s", "argument must be at least 1ms"},
	} {
		if err := c.Set(tc.name, tc.value); err == nil || reasonOf(err) != tc.reason {
			t.Errorf("%s %q: %v, want %q", tc.name, tc.value, err, tc.reason)
		}
	}
}
